/*-------------------------------------------------------------------------
 *
 * tree.h
 *      The hash tree of the main table (model/tree.h), on disk and in memory.
 *
 * All leaves are in memory (32 MiB when the store is large), and answers come
 * from there.  On disk are
 *
 *     tree      one record for each branch that is not 0: its 32 leaves
 *     tree_log  what changed since: leaf and new hash, in order of commits
 *
 * A commit appends what it changes to the log, in its own transaction: a few
 * bytes in one place instead of a page of the tree for each record.  A sweep
 * goes round the branches and writes those that changed, some with every few
 * commits, so that a page is written once for many changes; when it comes
 * round, the log up to where it began is dropped.  The log says what a hash
 * is, not how it changes, so it may be played over branches that have it
 * already.
 *
 *     tree + tree_log = the hashes of the records     after every commit
 *
 * The item of a record that is replaced comes from its head.  When that is
 * damaged, its branch is computed anew from the records of its cell, in the
 * same transaction; the damaged ones count as none.  So does a damaged record
 * of the tree, when the store is opened.
 *
 * The writer's thread calls everything but what answers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_IO_STORE_TREE_H
#define DYN_IO_STORE_TREE_H

#include <pthread.h>

#include "core/effect.h"
#include "io/store/store.h"
#include "io/store/tree_disk.h"

/* The log: records first to last by number; last < first: empty. */
struct dyn_store_tree_log
{
	uint64_t first;
	uint64_t last;
	uint64_t leaf_count;
};

/* How far the sweep is. */
struct dyn_store_tree_sweep
{
	uint32_t at;         /* branches below were written in this round */
	uint32_t swept;      /* ... this many of them by the last sweep */
	uint64_t debt;       /* branches that are due */
	uint64_t round_last; /* last log record when this round began */
	uint64_t drop_last;  /* log records up to this one are of no use */
};

struct dyn_store_tree
{
	MDB_dbi main;
	MDB_dbi branches_table;
	MDB_dbi log_table;

	/* Committed state, changed under the lock. */
	pthread_mutex_t lock;
	uint64_t *leaves;
	uint64_t *branches;
	uint64_t *cells;
	struct dyn_store_tree_stats stats;

	/* Only the writer. */
	uint8_t *dirty; /* bit of a branch: it differs from its record */
	uint32_t branch_count;
	struct dyn_store_tree_log log;
	struct dyn_store_tree_sweep sweep;

	/* Of the transaction that is being built. */
	struct dyn_store_leaf *changes;
	uint32_t change_count;
	uint32_t change_capacity;
	uint32_t *doubts; /* branches to compute anew */
	uint32_t doubt_count;
	uint32_t doubt_capacity;
	struct dyn_store_tree_log log_after;
	struct dyn_store_tree_sweep sweep_after;
	struct dyn_store_tree_stats stats_after;
};

void dyn_store_tree_init(struct dyn_store_tree *self);
void dyn_store_tree_destroy(struct dyn_store_tree *self);

/* The leaf of a place: below the cell that it names. */
uint32_t dyn_store_tree_leaf_of(uint16_t cell, uint64_t position);

/* The item of a record with this hash, and the leaf that it hangs in. */
uint64_t dyn_store_tree_item(const struct dyn_record_key *place, uint64_t hash,
							 uint32_t *leaf);

/* ---- a transaction ---- */

void dyn_store_tree_begin(struct dyn_store_tree *self);

/* A record's item comes or goes. */
void dyn_store_tree_change(struct dyn_store_tree *self, uint32_t leaf,
						   uint64_t item);

/* What was in this leaf cannot be known. */
void dyn_store_tree_doubt(struct dyn_store_tree *self, uint32_t leaf);

/* After all writes to the main table; 0 or LMDB's code.  A sweep can wait
 * while there is little room. */
int dyn_store_tree_write(struct dyn_store_tree *self, MDB_txn *txn,
						 bool may_sweep);

/* It is committed. */
void dyn_store_tree_committed(struct dyn_store_tree *self);

/* How much room dyn_store_tree_write takes, about. */
size_t dyn_store_tree_room(uint32_t change_count);

/* Is the log longer than a sweep ever leaves it? */
bool dyn_store_tree_is_long(const struct dyn_store_tree *self);

/* Sweep all, drop the log: a transaction without changes of its own. */
int dyn_store_tree_fold(struct dyn_store_tree *self, MDB_txn *txn);

/*
 * While the store is opened: these are the leaves of the tables.  Takes the
 * memory of leaves; only branches that has_leaves names are looked at.
 */
void dyn_store_tree_take(struct dyn_store_tree *self, uint64_t *leaves,
						 const bool *has_leaves,
						 const struct dyn_store_tree_log *log);

/* This branch differs from its record. */
void dyn_store_tree_soil(struct dyn_store_tree *self, uint32_t branch);

/* ---- answers ---- */

/* Any thread.  effect->type TREE; false when a node is none of its level. */
bool dyn_store_tree_answer(struct dyn_store_tree *self,
						   const struct dyn_effect *effect, uint64_t *hashes);

void dyn_store_tree_stats(struct dyn_store_tree *self,
						  struct dyn_store_tree_stats *out);

#endif
