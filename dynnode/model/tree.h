/*-------------------------------------------------------------------------
 *
 * tree.h
 *      The hash tree by which replicas find where they differ.
 *
 * (Dynamo 2007, section 4.7.)  Two fixed levels hang below each of the 4096
 * cells: 32 branches of 32 leaves, chosen by the ten bits of the position
 * that follow the cell's twelve.  A leaf is the XOR of dyn_tree_item over the
 * records in it, a tombstone's included; every node above is the XOR of its
 * children, so the hash of a partition is the XOR over its records, whatever
 * the number of partitions.  No record = 0.
 *
 * XOR makes an update two operations (the old item out, the new one in) that
 * fit the transaction of the record itself: the tree cannot drift and is
 * never rebuilt.
 *
 * Numbers of nodes: a cell is 0..4095; a branch is cell * 32 + 0..31; a leaf
 * is branch * 32 + 0..31.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_MODEL_TREE_H
#define DYN_MODEL_TREE_H

#include "model/types.h"

enum
{
	DYN_TREE_FANOUT = 32, /* branches of a cell, leaves of a branch */
	DYN_TREE_BRANCH_COUNT = DYN_CELL_COUNT * DYN_TREE_FANOUT,
	DYN_TREE_LEAF_COUNT = DYN_TREE_BRANCH_COUNT * DYN_TREE_FANOUT
};

/* Whose hash: a node of this level by its number. */
enum dyn_tree_level
{
	DYN_TREE_CELL,
	DYN_TREE_BRANCH,
	DYN_TREE_LEAF
};

/* Number of the leaf that a key at this position hangs in. */
uint32_t dyn_tree_leaf(uint64_t position);

/* What a record adds to its leaf: never 0.  position stands for bucket and
 * key, hash is the object's. */
uint64_t dyn_tree_item(uint64_t position, uint64_t hash);

/* How many nodes a level has. */
uint32_t dyn_tree_level_count(enum dyn_tree_level level);

/* The first leaf below a node, and how many. */
uint32_t dyn_tree_leaf_first(enum dyn_tree_level level, uint32_t node);
uint32_t dyn_tree_leaves_below(enum dyn_tree_level level);

#endif
