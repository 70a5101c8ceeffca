#include "model/tree.h"

#include "model/hash.h"

enum
{
	CELL_BITS = 12,
	BELOW_CELL_BITS = 10
};

uint32_t
dyn_tree_leaf(uint64_t position)
{
	return (uint32_t) (position >> (64 - CELL_BITS - BELOW_CELL_BITS));
}

uint64_t
dyn_tree_item(uint64_t position, uint64_t hash)
{
	uint8_t bytes[16];
	uint64_t item;

	for (int i = 0; i < 8; i++)
	{
		bytes[i] = (uint8_t) (position >> (8 * i));
		bytes[8 + i] = (uint8_t) (hash >> (8 * i));
	}
	item = dyn_hash_bytes((struct dyn_slice){ bytes, sizeof(bytes) });
	return item != 0 ? item : 1;
}

uint32_t
dyn_tree_level_count(enum dyn_tree_level level)
{
	return DYN_TREE_LEAF_COUNT / dyn_tree_leaves_below(level);
}

uint32_t
dyn_tree_leaf_first(enum dyn_tree_level level, uint32_t node)
{
	return node * dyn_tree_leaves_below(level);
}

uint32_t
dyn_tree_leaves_below(enum dyn_tree_level level)
{
	switch (level)
	{
		case DYN_TREE_CELL:
			return DYN_TREE_FANOUT * DYN_TREE_FANOUT;
		case DYN_TREE_BRANCH:
			return DYN_TREE_FANOUT;
		case DYN_TREE_LEAF:
			return 1;
	}
	return 1;
}
