/*-------------------------------------------------------------------------
 *
 * tree_load.h
 *      The hash tree from its tables into memory, and from records anew.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_IO_STORE_TREE_LOAD_H
#define DYN_IO_STORE_TREE_LOAD_H

#include "io/store/tree.h"

/* Fill the memory from the tables.  What is damaged is computed from the
 * records again and written.  0 or LMDB's code; when it is committed, say
 * dyn_store_tree_committed. */
int dyn_store_tree_load(struct dyn_store_tree *self, MDB_txn *txn);

/* The same for all of it: for a store that has no tree, or one that cannot be
 * read. */
int dyn_store_tree_rebuild(struct dyn_store_tree *self, MDB_txn *txn);

/* ---- looking at it ---- */

/*
 * Compare the tree on disk with the records, all in one transaction.  A leaf
 * still holds what was in a record that was damaged later, so with damaged
 * ones some wrong leaves are to be expected.
 */
int dyn_store_tree_check(struct dyn_store_tree *self, MDB_txn *txn,
						 struct dyn_store_tree_report *out);

#endif
