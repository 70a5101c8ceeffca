/*-------------------------------------------------------------------------
 *
 * lmdb.h
 *      The store on disk: LMDB, one writer thread, group commit.
 *
 *     caller's thread   submit: LOAD and TREE are read at once, STORE and
 *                       SCAN are copied and queued; dispatch: completions
 *     writer thread     all STOREs that wait become one transaction and one
 *                       commit, synced; meanwhile the next ones gather
 *     reader thread     SCAN, one page at a time
 *
 * Only LMDB's default mode is used, in which a commit is on disk when it
 * returns and a crash at any point leaves the last commit whole.  Never
 * WRITEMAP: a full disk would be a SIGBUS.
 *
 * Space is taken from the file system (fallocate) before LMDB may use it,
 * and LMDB's map is as long as what was taken.  So a full disk, or the limit
 * map_size_max, always shows as a full map before anything is written, and
 * never in the middle of a commit.  A STORE that does not fit is answered
 * FULL, others of its group are committed without it; when there is room
 * again the callback gets STORE_WRITABLE.
 *
 * Any other failure of a commit is final: the sync that failed may have lost
 * pages that a second sync would call good.  dispatch returns false and
 * nothing is written any more.
 *
 * The directory belongs to one process: a lock file sees to that.  Do not
 * fork and go on using a store in the child.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_IO_STORE_LMDB_H
#define DYN_IO_STORE_LMDB_H

#include "io/store/store.h"
#include "io/store/tree_load.h"

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

/* Compare the hash tree on disk with the records: reads everything, and the
 * map cannot grow meanwhile.  OK, or IO_ERROR when the store cannot be read.
 */
enum dyn_status dyn_store_lmdb_check(struct dyn_store *self,
									 struct dyn_store_tree_report *out);

#endif
