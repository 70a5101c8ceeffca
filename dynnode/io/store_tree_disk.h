/*-------------------------------------------------------------------------
 *
 * store_tree_disk.h
 *      Records of the hash tree: what they look like, reading all of them.
 *
 *     tree      branch (4 bytes, big-endian) = branch (4), 0 (4), 32 leaves
 *               (8 each), checksum of all these (8)
 *     tree_log  number (8, big-endian) = number (8), up to 160 times leaf (4)
 *               and hash (8), checksum of all these (8)
 *
 * Numbers in values are little-endian.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_IO_STORE_TREE_DISK_H
#define DYN_IO_STORE_TREE_DISK_H

#include "io/store_tree.h"

enum
{
	/* Two records share a page of LMDB. */
	DYN_STORE_LOG_LEAVES_MAX = 160
};

/* 0 or LMDB's code; no leaf but 0 removes the branch. */
int dyn_store_tree_put_branch(MDB_cursor *cursor, uint32_t branch,
							  const uint64_t leaves[DYN_TREE_FANOUT]);

/* One record of the log, to its end. */
int dyn_store_tree_put_log(MDB_cursor *cursor, uint64_t number,
						   const struct dyn_store_leaf *leaves, uint32_t count);

/* Remove the log's first record; *number and *count are what it was. */
int dyn_store_tree_drop_log(MDB_cursor *cursor, uint64_t *number,
							uint32_t *count);

/* The leaves of a branch by the records of its cell. */
int dyn_store_tree_recompute(struct dyn_store_tree *self, MDB_txn *txn,
							 uint32_t branch, uint64_t leaves[DYN_TREE_FANOUT]);

/* Fill the memory from the tables.  What is damaged is computed from the
 * records again and written.  0 or LMDB's code; when it is committed, say
 * dyn_store_tree_committed. */
int dyn_store_tree_load(struct dyn_store_tree *self, MDB_txn *txn);

/* The same for all of it: for a store that has no tree, or one that cannot be
 * read. */
int dyn_store_tree_rebuild(struct dyn_store_tree *self, MDB_txn *txn);

/* ---- looking at it ---- */

struct dyn_store_tree_report
{
	uint64_t records;
	uint64_t damaged;          /* records of the main table */
	uint64_t branches;         /* records of the tree */
	uint64_t log_leaves;       /* leaves in records of the log */
	uint64_t damaged_branches; /* records of either that are damaged */
	uint64_t wrong;            /* leaves that are not those of the records */
};

/*
 * Compare the tree on disk with the records, all in one transaction.  A leaf
 * still holds what was in a record that was damaged later, so with damaged
 * ones some wrong leaves are to be expected.
 */
int dyn_store_tree_check(struct dyn_store_tree *self, MDB_txn *txn,
						 struct dyn_store_tree_report *out);

#endif
