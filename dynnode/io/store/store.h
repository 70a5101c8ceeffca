/*-------------------------------------------------------------------------
 *
 * store.h
 *      The store as shells see it: effects in, completions out.
 *
 * Two kinds implement it: lmdb.c and the simulated one
 * (tests/sim/simstore.c); tests/unit/test_store_conformance.c runs the same
 * random operations on both.
 *
 * Submitting copies what it is given.  Completions come back through the
 * callback given at open, always on the thread that calls dispatch(), never
 * from inside submit: a STORED only after the commit is synced to disk; its
 * order is the order of submission.  Slices in a completion live until the
 * callback returns.
 *
 * A LOAD, SCAN or TREE sees every STORE whose completion was dispatched before
 * it was submitted.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_IO_STORE_H
#define DYN_IO_STORE_H

#include "core/effect.h"
#include "core/event.h"

struct dyn_store;

/* event->type is STORED, LOADED, SCANNED, TREE or STORE_WRITABLE. */
typedef void (*dyn_store_complete)(void *context,
								   const struct dyn_event *event);

struct dyn_store_ops
{
	/* effect->type is STORE, LOAD, SCAN or TREE. */
	void (*submit)(struct dyn_store *self, const struct dyn_effect *effect);

	/* Readable when dispatch() has something to deliver; -1 = none. */
	int (*wakeup_fd)(struct dyn_store *self);

	/* Deliver the completions that are ready. False when the store has
	 * failed for good (EIO from a sync, ...): the process must stop; *reason
	 * is static or owned by the store. */
	bool (*dispatch)(struct dyn_store *self, const char **reason);

	/* All meta records, for dyn_boot; memory from the allocator. */
	enum dyn_status (*read_meta)(struct dyn_store *self,
								 const struct dyn_allocator *allocator,
								 struct dyn_slice **names,
								 struct dyn_slice **values, uint32_t *count);

	/* How many records there are, for dyn_boot; false = cannot be read. */
	bool (*count)(struct dyn_store *self, enum dyn_table table,
				  uint64_t *count);

	/* Finish what was submitted, close, free. */
	void (*close)(struct dyn_store **self);
};

struct dyn_store
{
	const struct dyn_store_ops *ops;
};

#endif
