/*-------------------------------------------------------------------------
 *
 * simdisk_tree.h
 *      The hash tree of a simulated disk's main table.
 *
 * Kept as the real store keeps it: by what a write replaces and what it
 * brings; a branch is computed anew when damage hides what is replaced.  A
 * record whose head is damaged then counts as none.
 *
 * Private to simdisk*.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_SIMDISK_TREE_H
#define DYN_TESTS_SIMDISK_TREE_H

#include "tests/sim/simdisk.h"

struct dyn_simbranch
{
	uint32_t number;
	uint64_t leaves[DYN_TREE_FANOUT];
};

/* Branches in which something hangs, or once did, in order. */
struct dyn_simtree
{
	struct dyn_simbranch *branches;
	uint32_t count;
	uint32_t capacity;
};

void dyn_simtree_copy(struct dyn_simtree *self, const struct dyn_simtree *from);

/* The record's item comes or goes. */
void dyn_simtree_change(struct dyn_simtree *self,
						const struct dyn_simrecord *record);

/* The branch of this key, by the records. */
void dyn_simtree_recompute(struct dyn_simtree *self,
						   const struct dyn_simrecord *records, uint32_t count,
						   const struct dyn_record_key *key);

uint64_t dyn_simtree_hash(const struct dyn_simtree *self,
						  enum dyn_tree_level level, uint32_t node);

/* dyn_simdisk_tree_wrong */
uint32_t dyn_simtree_wrong(const struct dyn_simtree *self,
						   const struct dyn_simrecord *records, uint32_t count);

#endif
