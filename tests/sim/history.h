/*-------------------------------------------------------------------------
 *
 * history.h
 *      What the clients of one run did and saw: the checker's only input.
 *
 * Each value written is unique and has a number within its key, the vid.  A
 * delete has a vid too, though nothing with it is ever stored.  A write names
 * the vids that its context stood for when the writer read it; a read names
 * the vids that it returned.  Servers' clocks and contexts do not appear.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_HISTORY_H
#define DYN_TESTS_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

enum dyn_history_kind
{
	DYN_HISTORY_PUT,
	DYN_HISTORY_DELETE,
	DYN_HISTORY_READ
};

/* How a write treats what it has not read (messages.proto, PutMode). */
enum dyn_history_mode
{
	DYN_HISTORY_SIBLING,
	DYN_HISTORY_CREATE,
	DYN_HISTORY_REPLACE,
	DYN_HISTORY_GUARDED
};

enum dyn_history_result
{
	DYN_HISTORY_PENDING, /* no answer until the end: the same as UNKNOWN */
	DYN_HISTORY_OK,
	DYN_HISTORY_NO, /* a definite no: nothing of it is stored anywhere */
	DYN_HISTORY_UNKNOWN
};

/* Vids, by number. */
struct dyn_vids
{
	uint32_t *items;
	uint32_t count;
	uint32_t capacity;
};

struct dyn_history_op
{
	enum dyn_history_kind kind;
	enum dyn_history_mode mode;
	enum dyn_history_result result;
	uint32_t key;
	uint32_t client;
	uint32_t first_vid; /* writes: vid_count new ones */
	uint32_t vid_count;
	struct dyn_vids seen; /* writes: of the context; reads: returned */
	/* A row's context stands also for what the rows beside it had replaced
	 * when they were read together, though not for these rows. */
	struct dyn_vids beside;
	/* W of a write, R of a read; owners only, when a receipt tells of
	 * fallbacks that stood in */
	uint8_t quorum;
	uint8_t check_quorum; /* R of a write that reads first */
	bool strict;          /* read from R owners, merged */
	/* Sent again while its first attempt may still have been under way, or
	 * after a restart: it may have been applied twice. */
	bool repeated;
	/* Its attempts said until when they may act, and its retries have a name
	 * of their own: it is one write, however often it was sent.  Until then
	 * one of its attempts may have acted; 0 = until its end. */
	bool exact;
	uint64_t acts_until_ms;
	uint64_t begin_ms;
	uint64_t end_ms; /* UINT64_MAX without an answer */
};

struct dyn_history_key
{
	uint32_t *ops; /* indexes, in the order of begin */
	uint32_t op_count;
	uint32_t op_capacity;
	uint32_t *vid_ops; /* the write of each vid */
	uint32_t vid_count;
	uint32_t vid_capacity;
	struct dyn_vids final; /* live on every replica at the end */
	bool has_final;
};

/* Did the write `by`, which had seen this version of an exact write, see its
 * first attempt's copy only, and not the one of its retries, which stays? */
typedef bool (*dyn_history_residue)(void *context, uint32_t key, uint32_t vid,
									uint32_t by);

struct dyn_history
{
	dyn_history_residue is_residue; /* NULL: nobody knows */
	void *residue_context;
	struct dyn_history_op *ops;
	uint32_t op_count;
	uint32_t op_capacity;
	struct dyn_history_key *keys;
	uint32_t key_count;
	/* The last write wins: of writes that know nothing of each other one is
	 * left.  Nodes' wall clocks, which say which, differ by less than this;
	 * UINT64_MAX = by whatever they like. */
	bool lww;
	uint64_t clocks_differ_ms;
	/* Values end so long after they were written (0 = never), or earlier or
	 * later by as much as this. */
	uint64_t ttl_ms;
	uint64_t ends_early_ms;
	uint64_t ends_late_ms;
};

void dyn_history_init(struct dyn_history *self, uint32_t key_count);
void dyn_history_destroy(struct dyn_history *self);

void dyn_vids_add(struct dyn_vids *self, uint32_t vid);
bool dyn_vids_has(const struct dyn_vids *self, uint32_t vid);

/* A write of value_count values (0 = delete) whose context stands for
 * `seen` (copied). Returns its index. */
uint32_t dyn_history_write(struct dyn_history *self, uint32_t key,
						   uint32_t client, enum dyn_history_mode mode,
						   uint32_t value_count, const struct dyn_vids *seen,
						   uint8_t w, uint8_t check_r, uint64_t now_ms);
uint32_t dyn_history_read(struct dyn_history *self, uint32_t key,
						  uint32_t client, uint8_t r, bool strict,
						  uint64_t now_ms);

/* The context of a write was one row's; these were the others. */
void dyn_history_beside(struct dyn_history *self, uint32_t op,
						const struct dyn_vids *vids);

/* A vid that a read returned. */
void dyn_history_return(struct dyn_history *self, uint32_t op, uint32_t vid);

/* The answer. An OK that comes after UNKNOWN counts from then on; nothing
 * else changes an answer given. */
void dyn_history_end(struct dyn_history *self, uint32_t op,
					 enum dyn_history_result result, uint64_t now_ms);

/* What all replicas hold at the end. */
void dyn_history_final(struct dyn_history *self, uint32_t key,
					   const struct dyn_vids *vids);

#endif
