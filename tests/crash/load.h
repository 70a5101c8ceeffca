/*-------------------------------------------------------------------------
 *
 * load.h
 *      Random batches, and what a store holds after each of them.
 *
 * State k is what is stored after the first k batches: for each key a digest
 * of its record, 0 = none.  A store that opens again must be in one of the
 * states; which one is found by the sum of its digests.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_CRASH_LOAD_H
#define DYN_TESTS_CRASH_LOAD_H

#include "core/effect.h"
#include "core/event.h"
#include "sim/simrandom.h"

enum
{
	CRASH_KEYS_MAX = 256,
	CRASH_WRITES_MAX = 96 /* in a batch */
};

struct crash_key
{
	enum dyn_table table;
	struct dyn_record_key place; /* META: key only */
	uint64_t position;
	char bucket[DYN_BUCKET_SIZE_MAX + 1];
	uint8_t key[DYN_KEY_SIZE_MAX];
};

/* How a run behaves, drawn from its seed. */
struct crash_habits
{
	uint32_t key_count;
	uint32_t hint_rate; /* keys of the hints table, of a million */
	uint32_t meta_rate; /* keys of the meta table */
	uint32_t batch_count;
	uint32_t writes_max; /* in a batch */
	uint32_t delete_rate;
	uint32_t size_max;  /* of most objects */
	uint32_t big_rate;  /* objects that are larger ... */
	uint32_t big_max;   /* ... up to this */
	uint32_t pipe_rate; /* another batch is handed over at a write */
	uint32_t reopen_rate;
	uint32_t group_max; /* STOREs in one commit */
};

/* One write of the past. */
struct crash_change
{
	uint32_t key;
	uint64_t digest;
};

struct crash_batch
{
	struct crash_change changes[CRASH_WRITES_MAX];
	uint32_t change_count;
};

struct crash_load
{
	struct dyn_simrandom random;
	struct crash_habits habits;
	struct crash_key keys[CRASH_KEYS_MAX];
	uint64_t start[CRASH_KEYS_MAX]; /* state 0 */
	uint64_t now[CRASH_KEYS_MAX];   /* state batch_count */
	struct crash_batch *batches;    /* batch i leads from state i to i + 1 */
	uint64_t *sums;                 /* of states 0 .. batch_count */
	uint32_t batch_count;
	uint32_t batch_capacity;
	uint32_t sum_capacity;
	struct crash_change *past; /* of the lives before */
	uint32_t past_count;
	uint32_t past_capacity;
	uint8_t *object_bytes; /* of the last batch */
	size_t object_capacity;
};

/* Keys and habits come from the seed.  An empty store is state 0. */
void crash_load_init(struct crash_load *self, uint64_t seed);
void crash_load_destroy(struct crash_load *self);

/* The same keys with a stream of batches of its own, from the other's state
 * on; self is not initialised before. */
void crash_load_follow(struct crash_load *self, const struct crash_load *other,
					   uint32_t state, uint64_t stream);

/* A new batch; writes and objects live until the next one.  Returns the
 * number of writes. */
uint32_t crash_load_next(struct crash_load *self,
						 struct dyn_write writes[CRASH_WRITES_MAX]);

/* Of what a table keeps of it; the state does not count. */
uint64_t crash_load_digest(const struct crash_key *key,
						   const struct dyn_loaded *record);

/* CRASH_KEYS_MAX when there is no such key.  bucket is empty for META. */
uint32_t crash_load_find_key(const struct crash_load *self,
							 enum dyn_table table, struct dyn_slice bucket,
							 struct dyn_slice key);

void crash_load_state(const struct crash_load *self, uint32_t state,
					  uint64_t digests[CRASH_KEYS_MAX]);

/* Is this a state from first to last?  The first such. */
bool crash_load_find_state(const struct crash_load *self,
						   const uint64_t digests[CRASH_KEYS_MAX],
						   uint32_t first, uint32_t last, uint32_t *state);

/* Was this record ever written, in this life or one before (or, digest 0,
 * absent)? */
bool crash_load_was(const struct crash_load *self, uint32_t key,
					uint64_t digest);

#endif
