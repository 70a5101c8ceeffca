/*-------------------------------------------------------------------------
 *
 * key_table.h
 *      Each key with writes in flight: its newest object, in memory.
 *
 * An entry is made when work for a key arrives; its record is loaded once;
 * then operations apply to it in the order of their arrival, each on the
 * result of the one before, committed or not (commit.h).  It goes when no work
 * and no commit is left.  Reads never look here: they answer from committed
 * state (load.h).
 *
 * An entry owns its object, and counts it in node->room.key_bytes.  How many
 * entries there may be: room.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_KEY_TABLE_H
#define DYN_CORE_KEY_TABLE_H

#include "core/event.h"
#include "core/request.h"
#include "core/state.h"

struct dyn_key
{
	UT_hash_handle hh;    /* by bytes: bucket, 0, key */
	enum dyn_table table; /* MAIN of an owner, HINTS of anybody else */
	bool loading;
	bool applying;               /* an operation is in the middle of it */
	bool on_disk;                /* there is a record, as of the last commit */
	bool is_doubted;             /* CORRUPT, but maybe only what is beside it */
	enum dyn_loaded_state state; /* FOUND, ABSENT, or unreadable */
	uint8_t slots;               /* HINTS: whom it is kept for */
	uint8_t flags;               /* DYN_RECORD_... of the object */
	uint64_t hash;               /* of the object */
	uint64_t held_at_ms;         /* since when it has this hash; 0 = as
									 * long as anybody remembers */
	uint64_t before_hash;        /* what it had before the newest commit */
	uint64_t before_held_at_ms;  /* ... since when; 0 = nothing, or unknown */
	struct dyn_slice object;     /* encoded; memory of its own */
	struct dyn_commit *last_commit; /* the newest one that holds this key */
	uint32_t write_index;           /* of its write in that one */
	uint32_t commit_count;
	uint32_t last_item;    /* scratch of dyn_commit_stored */
	struct dyn_work *work; /* waiting for the load */
	uint32_t work_count;
	uint32_t work_capacity;
	uint16_t cell;
	uint16_t partition;
	struct dyn_slice bucket;
	struct dyn_slice key;
	uint32_t bytes_size;
	uint8_t bytes[];
};

/* Apply the operation now or when the key is loaded; false = no room. */
bool dyn_key_do(struct dyn_node *node, struct dyn_slice bucket,
				struct dyn_slice key, struct dyn_work work);

/* What an operation makes of a key. Borrowed until the step ends. */
struct dyn_key_value
{
	struct dyn_slice object; /* encoded; empty = no record any more */
	uint64_t hash;
	uint8_t slots;                    /* HINTS */
	uint8_t flags;                    /* dyn_key_flags of the object */
	const struct dyn_request_id *ids; /* to be remembered with it */
	uint32_t id_count;
};

/* What the record of this object says of it (core/effect.h). */
uint8_t dyn_key_flags(const struct dyn_object *object);

/* ---- for commit.c and load.c ---- */

/* A commit begins with the key as it is: only what this leaves counts for since
 * when a hash is held, for nobody sees what comes and goes within it. */
void dyn_key_set_begin(struct dyn_key *self);

/* This is what the key holds from now on, committed or not. */
void dyn_key_set(struct dyn_node *node, struct dyn_key *self,
				 const struct dyn_key_value *value);

/* Its record: whoever waits has its turn. The entry may be gone then. */
void dyn_key_loaded(struct dyn_node *node, struct dyn_key *self,
					const struct dyn_loaded *record);

/* Let it go when nothing is left to do for it. */
void dyn_key_release(struct dyn_node *node, struct dyn_key *self);

/* ---- the whole table ---- */

/* Partitions on whose hints work is under way. */
void dyn_key_mark_hints(const struct dyn_node *node, bool *by_partition);

void dyn_key_destroy_all(struct dyn_node *node);
void dyn_key_check_all(const struct dyn_node *node);

#endif
