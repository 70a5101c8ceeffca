/*-------------------------------------------------------------------------
 *
 * tree_disk.h
 *      Records of the hash tree: what they look like.
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

#include <lmdb.h>

#include "model/tree.h"

/* A leaf and its hash; while a transaction is built, what changes in it. */
struct dyn_store_leaf
{
	uint32_t leaf;
	uint64_t hash;
};

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

/* What a key says: a branch, or a number of the log. */
uint64_t dyn_store_tree_number(MDB_val key);

/* False when the record is not as it was written. */
bool dyn_store_tree_get_branch(MDB_val key, MDB_val value,
							   uint64_t leaves[DYN_TREE_FANOUT]);

/* How many branches a damaged record may have been of: the one that its key
 * says, and the one that it says itself; perhaps none that there is. */
uint32_t dyn_store_tree_guess(MDB_val key, MDB_val value, uint64_t branches[2]);

/* How many leaves a record of the log has, by its size. */
uint32_t dyn_store_tree_log_count(MDB_val value);

typedef void (*dyn_store_leaf_visit)(void *context, uint32_t leaf,
									 uint64_t hash);

/* False when the record is not as it was written; some leaves may have been
 * visited. */
bool dyn_store_tree_read_log(MDB_val key, MDB_val value,
							 dyn_store_leaf_visit visit, void *context);

#endif
