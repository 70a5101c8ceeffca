/*-------------------------------------------------------------------------
 *
 * request.h
 *      Messages that ask for work, from their arrival to their answer.
 *
 * A request owns an arena: its unpacked message, the objects collected for
 * it, its results.  All of it counts in node->room.held_bytes, from its first
 * byte to its last (room.h).  Others refer to it by serial number, never by pointer, so
 * whatever arrives after its end finds nothing.  A request that ended stays
 * in memory until the step's end.
 *
 * Each of its operations is decided once.  When the last one is, the answer
 * leaves.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_REQUEST_H
#define DYN_CORE_REQUEST_H

#include "core/state.h"
#include "model/message.h"

struct dyn_get_op;
struct dyn_put_op;
struct dyn_read_op;
struct dyn_repair;
struct dyn_replica_op;
struct dyn_handoff;
struct dyn_fencing;
struct dyn_reap_op;
struct dyn_fill;
struct dyn_discard;

struct dyn_key;
struct dyn_loaded;
struct dyn_call_item;
struct dyn_request;

/*
 * What a kind of request is, and what it hears: a constant of the module that
 * serves it.  NULL where nothing of the sort can come.  Any of these may decide
 * operations, and end the request.
 */
struct dyn_request_kind
{
	const char *name;
	bool makes_objects; /* may send an object, or bring one in (fence.h) */
	bool is_read;       /* CANCEL ends it */
	bool is_paged;      /* it may be open though no operation is */
	bool is_owed;       /* the other side of what others have begun: it ends
						 * here, and asks nobody else (room.h) */
	/* The time is up: what is undecided is decided now.  NULL: whoever asked
	 * has given up at the same moment, so it ends. */
	void (*expire)(struct dyn_node *node, struct dyn_request *request);
	/* Somebody is late: whom else to ask. */
	void (*hedge)(struct dyn_node *node, struct dyn_request *request);

	/* The store.  An operation's turn at its key: what it does to it. */
	void (*apply)(struct dyn_node *node, struct dyn_request *request,
				  uint32_t op, struct dyn_key *key);
	/* The commit of what it wrote ended; carried: a later commit of the key
	 * holds the same versions. */
	void (*committed)(struct dyn_node *node, struct dyn_request *request,
					  uint32_t op, enum dyn_status status, bool carried);
	/* The record that it reads.  It lives for this step. */
	void (*loaded)(struct dyn_node *node, struct dyn_request *request,
				   uint32_t op, uint8_t slot, bool is_hint,
				   const struct dyn_loaded *record);
	void (*scanned)(struct dyn_node *node, struct dyn_request *request,
					const struct dyn_event *event);
	void (*tree_read)(struct dyn_node *node, struct dyn_request *request,
					  const struct dyn_event *event);

	/* Another node's word.  result NULL, or lost: none comes; then status is
	 * why the peer refused the whole frame, or OK: nothing is known. */
	void (*read_answered)(struct dyn_node *node, struct dyn_request *request,
						  const struct dyn_call_item *item,
						  const Dyn__ReadResult *result,
						  enum dyn_status status);
	void (*replicated)(struct dyn_node *node, struct dyn_request *request,
					   const struct dyn_call_item *item, bool lost,
					   enum dyn_status status);
	void (*forwarded)(struct dyn_node *node, struct dyn_request *request,
					  const struct dyn_call_item *item,
					  const Dyn__PutResult *result, enum dyn_status status);
	/* One of the node's own that it began has been decided. */
	void (*child_done)(struct dyn_node *node, struct dyn_request *request,
					   struct dyn_request *child);
};

/*
 * An operation of a request that waits for the store, or for a key.  Whoever
 * ended meanwhile is not found, and hears nothing.
 */
struct dyn_work
{
	uint64_t serial;
	uint32_t op;
};

struct dyn_request
{
	UT_hash_handle hh;
	uint64_t serial;
	const struct dyn_request_kind *kind;
	uint64_t route; /* 0 = nobody awaits an answer */
	uint64_t correlation;
	uint64_t deadline_ms;
	uint64_t act_until_ms; /* PUT: its client waits no longer; UINT64_MAX = it
							* has not said */
	uint64_t hedge_at_ms;  /* UINT64_MAX = no more */
	struct dyn_timer timer;
	struct dyn_arena arena;
	size_t bytes;            /* of its frame */
	size_t background_bytes; /* ... and in node->credit */
	struct dyn_slice bucket;
	uint32_t op_count;
	uint32_t undecided;
	/* GET and READ bring in a part of their keys at a time, so that what
	 * they hold in memory is bounded whatever the values' size. */
	uint32_t begun;      /* operations */
	size_t answer_bytes; /* of the objects found so far */
	bool beginning;      /* in the loop that begins them */
	bool ended;
	struct dyn_request *next_ended;
	const void *message;      /* unpacked, as its kind says */
	struct dyn_node_id asker; /* TREE: which node, and since when */
	uint64_t asked_at_ms;
	bool vouches;          /* COPY: nothing was lost here when it began */
	bool for_damage;       /* COPY, DISCARD, HANDOFF: read over damage */
	uint64_t *cell_hashes; /* SCAN: when they were asked for and read */
	uint64_t parent; /* REPLICATE: for this operation of a REPAIR, for a FILL */
	uint32_t parent_op;
	union
	{
		struct dyn_put_op *puts;
		struct dyn_get_op *gets;
		struct dyn_read_op *reads;
		struct dyn_replica_op *replicas;
		struct dyn_handoff *handoff;
		struct dyn_fencing *fencing;
		struct dyn_reap_op *reaps;
		struct dyn_repair *repair;
		struct dyn_fill *fill;
		struct dyn_discard *discard;
	};
};

/* NULL when there is no room: OVERLOAD was answered.  route 0 and env NULL
 * for work of the node's own. */
struct dyn_request *dyn_request_new(struct dyn_node *node,
									const struct dyn_request_kind *kind,
									uint64_t route,
									const struct dyn_envelope *env);

/* The body; BAD_REQUEST and the like were answered when NULL comes back,
 * and the request has ended. */
const void *dyn_request_unpack(struct dyn_node *node, struct dyn_request *self,
							   const struct dyn_envelope *env);

struct dyn_request *dyn_request_find(struct dyn_node *node, uint64_t serial);

/*
 * Begin operations in their order until DYN_READS_AT_ONCE are under way; to be
 * called again whenever one is decided (a loop, whoever calls from within).
 */
void dyn_request_begin_some(struct dyn_node *node, struct dyn_request *self,
							void (*begin)(struct dyn_node *node,
										  struct dyn_request *request,
										  uint32_t op));

/* It has been answered, or deserves no answer. */
void dyn_request_end(struct dyn_node *node, struct dyn_request *self);

/* What is wrong with a request for so many keys that asks for a quorum of so
 * many, in words for its sender; NULL when nothing is. */
const char *dyn_request_fault(const struct dyn_node *node,
							  const struct dyn_request *self, uint32_t count,
							  uint32_t quorum);

/* Refuse it as a whole. */
void dyn_request_refuse(struct dyn_node *node, struct dyn_request *self,
						enum dyn_status status, const char *text);

/* Give up what a client of this route no longer wants (reads only). */
void dyn_request_cancel(struct dyn_node *node, uint64_t route,
						const Dyn__Cancel *cancel);

/* Look at it again at this time (hedges), if it was not to be sooner. */
void dyn_request_wake(struct dyn_node *node, struct dyn_request *self,
					  uint64_t at_ms);
void dyn_request_tick(struct dyn_node *node);

/* What a kind hears of the store (struct dyn_request_kind). */
void dyn_request_apply(struct dyn_node *node, struct dyn_work work,
					   struct dyn_key *key);
void dyn_request_committed(struct dyn_node *node, struct dyn_work work,
						   enum dyn_status status, bool carried);
void dyn_request_loaded(struct dyn_node *node, struct dyn_work work,
						uint8_t slot, bool is_hint,
						const struct dyn_loaded *record);

/* Milliseconds that are left, at least 1. */
uint32_t dyn_request_remaining_ms(const struct dyn_node *node,
								  const struct dyn_request *self);

void dyn_request_free_ended(struct dyn_node *node);
void dyn_request_destroy_all(struct dyn_node *node);

#endif
