#include "tests/sim/simdisk_tree.h"

#include <stdlib.h>
#include <string.h>

#include "model/hash.h"

static uint32_t
leaf_of(const struct dyn_record_key *key)
{
	uint32_t below = dyn_tree_leaves_below(DYN_TREE_CELL);

	return key->cell * below +
		   dyn_tree_leaf(dyn_hash_position(key->bucket, key->key)) % below;
}

static uint64_t
item_of(const struct dyn_simrecord *record)
{
	return dyn_tree_item(dyn_hash_position(record->key.bucket, record->key.key),
						 record->hash);
}

/* Index of the first branch not before this one. */
static uint32_t
tree_seek(const struct dyn_simtree *self, uint32_t number)
{
	uint32_t low = 0;
	uint32_t high = self->count;

	while (low < high)
	{
		uint32_t middle = low + (high - low) / 2;

		if (self->branches[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct dyn_simbranch *
tree_branch(struct dyn_simtree *self, uint32_t number)
{
	uint32_t index = tree_seek(self, number);
	struct dyn_simbranch *branch;

	if (index < self->count && self->branches[index].number == number)
		return &self->branches[index];
	if (self->count == self->capacity)
	{
		self->capacity = self->capacity ? 2 * self->capacity : 64;
		self->branches = dyn_sim_grow(self->branches,
									  self->capacity * sizeof(*self->branches));
	}
	branch = &self->branches[index];
	memmove(branch + 1, branch, (self->count - index) * sizeof(*branch));
	*branch = (struct dyn_simbranch){ .number = number };
	self->count++;
	return branch;
}

void
dyn_simtree_change(struct dyn_simtree *self, const struct dyn_simrecord *record)
{
	uint32_t leaf = leaf_of(&record->key);

	tree_branch(self, leaf / DYN_TREE_FANOUT)->leaves[leaf % DYN_TREE_FANOUT] ^=
		item_of(record);
}

static uint64_t
tree_leaf(const struct dyn_simtree *self, uint32_t leaf)
{
	uint32_t number = leaf / DYN_TREE_FANOUT;
	uint32_t index = tree_seek(self, number);

	if (index == self->count || self->branches[index].number != number)
		return 0;
	return self->branches[index].leaves[leaf % DYN_TREE_FANOUT];
}

void
dyn_simtree_copy(struct dyn_simtree *self, const struct dyn_simtree *from)
{
	size_t size = from->count * sizeof(*from->branches);

	*self = (struct dyn_simtree){ .branches = dyn_sim_allocate(size),
								  .count = from->count,
								  .capacity = from->count };
	if (size > 0)
		memcpy(self->branches, from->branches, size);
}

void
dyn_simtree_recompute(struct dyn_simtree *self,
					  const struct dyn_simrecord *records, uint32_t count,
					  const struct dyn_record_key *key)
{
	uint32_t number = leaf_of(key) / DYN_TREE_FANOUT;
	struct dyn_simbranch *branch = tree_branch(self, number);

	memset(branch->leaves, 0, sizeof(branch->leaves));
	for (uint32_t i = 0; i < count; i++)
		if (!records[i].headless && records[i].key.cell == key->cell &&
			leaf_of(&records[i].key) / DYN_TREE_FANOUT == number)
			dyn_simtree_change(self, &records[i]);
}

uint64_t
dyn_simtree_hash(const struct dyn_simtree *tree, enum dyn_tree_level level,
				 uint32_t node)
{
	uint32_t first = dyn_tree_leaf_first(level, node);
	uint32_t end = first + dyn_tree_leaves_below(level);
	uint64_t hash = 0;

	if (level == DYN_TREE_LEAF)
		return tree_leaf(tree, node);
	for (uint32_t i = tree_seek(tree, first / DYN_TREE_FANOUT);
		 i < tree->count && tree->branches[i].number * DYN_TREE_FANOUT < end;
		 i++)
		for (uint32_t l = 0; l < DYN_TREE_FANOUT; l++)
			hash ^= tree->branches[i].leaves[l];
	return hash;
}

static bool
has_damage(const struct dyn_simrecord *records, uint32_t count, uint32_t branch)
{
	for (uint32_t i = 0; i < count; i++)
	{
		struct dyn_record_key place = dyn_simrecord_place(&records[i]);

		if (records[i].headless && leaf_of(&place) / DYN_TREE_FANOUT == branch)
			return true;
	}
	return false;
}

/* Leaves of a branch that are others in this tree. */
static uint32_t
count_others(const struct dyn_simbranch *branch, const struct dyn_simtree *tree)
{
	uint32_t wrong = 0;

	for (uint32_t l = 0; l < DYN_TREE_FANOUT; l++)
		wrong += branch->leaves[l] !=
				 tree_leaf(tree, branch->number * DYN_TREE_FANOUT + l);
	return wrong;
}

static bool
has_branch(const struct dyn_simtree *self, uint32_t number)
{
	uint32_t at = tree_seek(self, number);

	return at < self->count && self->branches[at].number == number;
}

uint32_t
dyn_simtree_wrong(const struct dyn_simtree *self,
				  const struct dyn_simrecord *records, uint32_t record_count)
{
	struct dyn_simtree true_tree = { 0 };
	uint32_t wrong = 0;

	for (uint32_t i = 0; i < record_count; i++)
		if (!records[i].headless)
			dyn_simtree_change(&true_tree, &records[i]);
	for (uint32_t i = 0; i < self->count; i++)
		if (!has_damage(records, record_count, self->branches[i].number))
			wrong += count_others(&self->branches[i], &true_tree);
	for (uint32_t i = 0; i < true_tree.count; i++)
	{
		uint32_t number = true_tree.branches[i].number;

		/* Those of both were compared. */
		wrong += !has_branch(self, number) &&
				 !has_damage(records, record_count, number);
	}
	free(true_tree.branches);
	return wrong;
}
