/*-------------------------------------------------------------------------
 *
 * store.h
 *      The store as shells see it: effects in, completions out.
 *
 * The face of this folder: the other headers in it are for its own files and
 * for tests.  Two kinds implement it: the one on LMDB (lmdb.c) and the
 * simulated one (tests/sim/simstore.c); tests/unit/test_store_conformance.c
 * runs the same random operations on both.
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

/*
 * ---- on LMDB ----
 *
 * A STORE that does not fit, because the disk or the limit map_size_max is
 * full, is answered FULL; when there is room again the callback gets
 * STORE_WRITABLE.  Any other failure of a commit is final: dispatch returns
 * false and nothing is written any more.
 *
 * The directory belongs to one process: a lock file sees to that.  Do not
 * fork and go on using a store in the child.
 */

/* 0 or false = the default. */
struct dyn_store_lmdb_config
{
	const char *directory;    /* made when missing; its parent must exist */
	size_t map_size_max;      /* bytes the store may take; default 1 TiB */
	uint32_t group_count_max; /* STOREs in one commit; default 4096 */
	size_t group_size_max;    /* bytes in one commit; default 16 MiB */
	uint32_t probe_ms;        /* between two looks for room; default 1000 */
	bool no_sync;             /* tests only: commits are not durable */
};

/* Of the hash tree. */
struct dyn_store_tree_stats
{
	uint64_t changes;    /* leaves that commits changed */
	uint64_t branches;   /* ... and branches that the sweep wrote */
	uint64_t recomputed; /* branches computed anew from records */
	uint64_t rebuilt;    /* times that the tree of a store was */
	uint64_t log_size;   /* leaves in the log now */
};

struct dyn_store_lmdb_stats
{
	bool writable;          /* false: the last STOREs were refused FULL */
	uint64_t stores;        /* STOREs committed */
	uint64_t writes;        /* records in them */
	uint64_t commits;       /* transactions that hold them */
	uint64_t syncs;         /* fdatasyncs; a commit also syncs its meta page */
	uint64_t group_max;     /* most STOREs in one commit */
	uint64_t commit_us;     /* time spent in commits */
	uint64_t stores_full;   /* STOREs refused FULL */
	uint64_t stores_queued; /* STOREs that wait now */
	uint64_t loads;         /* records asked for */
	uint64_t scans;         /* pages read */
	uint64_t corrupt;       /* damaged records met */
	uint64_t map_size;      /* bytes taken from the file system */
	uint64_t used_size;     /* ... up to the last page LMDB has ever used */
	struct dyn_store_tree_stats tree;
};

/*
 * OK; or a status and, in *reason, one line for people: what is wrong with
 * the directory or the store in it.  A new store is made in a directory
 * without one.
 */
enum dyn_status dyn_store_lmdb_open(const struct dyn_store_lmdb_config *config,
									dyn_store_complete complete, void *context,
									struct dyn_store **out, char *reason,
									size_t reason_size);

/* self must come from dyn_store_lmdb_open. */
void dyn_store_lmdb_stats(struct dyn_store *self,
						  struct dyn_store_lmdb_stats *out);

struct dyn_store_tree_report
{
	uint64_t records;
	uint64_t damaged;          /* records of the main table */
	uint64_t branches;         /* records of the tree */
	uint64_t log_leaves;       /* leaves in records of the log */
	uint64_t damaged_branches; /* records of either that are damaged */
	uint64_t wrong;            /* leaves that are not those of the records */
};

/* Compare the hash tree on disk with the records: reads everything, and the
 * map cannot grow meanwhile.  OK, or IO_ERROR when the store cannot be read.
 */
enum dyn_status dyn_store_lmdb_check(struct dyn_store *self,
									 struct dyn_store_tree_report *out);

#endif
