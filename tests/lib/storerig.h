/*-------------------------------------------------------------------------
 *
 * storerig.h
 *      A store on LMDB under test: one line for each thing a test does.
 *
 * Keys are C strings, in bucket "b", or "c/key" for one in bucket "c"; their
 * cell is the first letter.  What must not happen ends the test program with
 * a line on stderr.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_STORERIG_H
#define DYN_TESTS_STORERIG_H

#include "io/store/store.h"

enum
{
	STORERIG_TOKENS_MAX = 8192,
	STORERIG_WAIT_MS = 20000
};

struct storerig
{
	struct dyn_store_lmdb_config config;
	struct dyn_store *store;
	uint64_t token_next;
	/* Of STOREs, by token: what was answered, DYN_STATUS_INTERNAL before. */
	enum dyn_status statuses[STORERIG_TOKENS_MAX];
	uint64_t tokens_in_order[STORERIG_TOKENS_MAX]; /* as answered */
	uint32_t stored_count;
	uint32_t writable_count;
	uint32_t read_count;

	/* The last LOAD of one key, and the last page, with bytes of its own. */
	uint32_t loaded_count; /* by the last LOAD */
	enum dyn_loaded_state state;
	uint64_t hash;
	uint64_t held_at_ms;
	uint8_t flags;
	uint8_t *object;
	size_t object_size;
	bool scan_all;        /* the pages to come are of all buckets */
	const char *scan_min; /* ... and of this range; NULL = none */
	const char *scan_max;
	uint8_t scan_flags; /* ... that pass this filter */
	uint32_t scan_visits_max;
	bool scan_for_damage;
	uint16_t scan_cell_first; /* ... of these cells */
	uint16_t scan_cell_last;  /* 0 = the last one */
	enum dyn_status scan_status;
	bool scan_end;
	uint32_t scan_found;
	uint32_t scan_corrupt;
	uint8_t after_bucket[DYN_BUCKET_SIZE_MAX];
	size_t after_bucket_size;
	uint16_t after_cell;
	uint8_t after_key[DYN_KEY_SIZE_MAX];
	size_t after_key_size;
	uint32_t after_damaged;

	/* Called for every completion before it is noted; may be NULL. */
	void (*watch)(struct storerig *rig, const struct dyn_event *event);
	uint64_t rebuilds; /* of the tree, that the test expects of each open */
	bool is_damaged;   /* by the test: the tree is not checked at close */
	bool has_failed;
	const char *failure;
};

/* Zeroed but for the directory, which it makes. */
struct storerig *storerig_new(void);
/* Closes the store, removes the directory. */
void storerig_free(struct storerig *rig);
/* The same for cmocka: each test's state is a storerig of its own. */
int storerig_set_up(void **state);
int storerig_tear_down(void **state);

/* Ends the test program with that line, unless it holds. */
void storerig_must(bool holds, const char *what);

void storerig_open(struct storerig *rig);
/* Expects a refusal and returns its reason, good until the next call. */
const char *storerig_open_refused(struct storerig *rig);
/* Checks first that the hash tree is that of the records, unless the store
 * has failed. */
void storerig_close(struct storerig *rig);

struct dyn_store_tree_report storerig_check(struct storerig *rig);

struct dyn_write storerig_write(const char *key, const void *object,
								size_t size);
/* Returns the token. */
uint64_t storerig_submit(struct storerig *rig, const struct dyn_write *writes,
						 uint32_t count);
uint64_t storerig_submit_one(struct storerig *rig, const char *key,
							 const void *object, size_t size);

/* Wait for all STOREs, or for one; the status of that one. */
void storerig_finish(struct storerig *rig);
enum dyn_status storerig_wait(struct storerig *rig, uint64_t token);
/* submit_one and wait. */
enum dyn_status storerig_put(struct storerig *rig, const char *key,
							 const void *object, size_t size);

/* Dispatch what comes within so many ms (at once when something is there).
 * False when the store has failed. */
bool storerig_turn(struct storerig *rig, int wait_ms);

enum dyn_loaded_state storerig_load(struct storerig *rig, const char *key);
/* Of a LOAD of these keys with this bound: how many are answered; rig has the
 * first one. */
uint32_t storerig_load_some(struct storerig *rig, const char *const *keys,
							uint32_t count, uint32_t bytes_max);
/* Is the key there with exactly this object? */
bool storerig_has(struct storerig *rig, const char *key, const void *object,
				  size_t size);
/* One page of the bucket (or all) after the given cursor in rig (restart: from the
 * beginning). */
void storerig_scan(struct storerig *rig, bool restart, uint32_t items_max);

/* What an earlier program would have left of the store, which is closed: this
 * format of the store, all records of their first format. */
void storerig_make_old(const struct storerig *rig, const char *format);

struct dyn_store_lmdb_stats storerig_stats(struct storerig *rig);

#endif
