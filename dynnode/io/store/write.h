/*-------------------------------------------------------------------------
 *
 * write.h
 *      STOREs as the writer thread sees them: copied, encoded, committed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_IO_STORE_WRITE_H
#define DYN_IO_STORE_WRITE_H

#include "io/store/env.h"
#include "io/store/record.h"

/* One write, ready for LMDB.  Borrows from its batch. */
struct dyn_store_item
{
	enum dyn_table table;
	struct dyn_slice name;
	struct dyn_slice record; /* empty = remove */
	uint32_t leaf;           /* MAIN: where it hangs in the hash tree */
	uint64_t position;
	uint32_t order; /* of submission, within a commit */
};

/* One STORE. */
struct dyn_store_batch
{
	struct dyn_store_batch *next;
	uint64_t token;
	bool is_refused; /* asks for what no store can hold */
	uint32_t item_count;
	uint32_t main_count; /* items of MAIN */
	struct dyn_store_item *items;
	size_t size; /* of names and records */
	uint8_t *bytes;
};

struct dyn_store_batch *dyn_store_batch_new(const struct dyn_effect *effect);
void dyn_store_batch_destroy(struct dyn_store_batch *self);

/*
 * Everything of these batches in one transaction, synced, with what it changes
 * in the hash tree; later writes of a key win.  0, or LMDB's code and nothing
 * was written.  may_sweep: tree.h.
 */
int dyn_store_commit(struct dyn_store_env *env,
					 struct dyn_store_batch *const *batches, uint32_t count,
					 bool may_sweep);

/* How much room such a commit takes at most, about. */
size_t dyn_store_commit_size(struct dyn_store_batch *const *batches,
							 uint32_t count);

/* Would records of this size together fit now?  0 or LMDB's code. */
int dyn_store_try_room(struct dyn_store_env *env, size_t size);

/* An empty commit.  LMDB uses again what a commit freed only two commits
 * later, and a full store may have no others coming. */
int dyn_store_nudge(struct dyn_store_env *env);

#endif
