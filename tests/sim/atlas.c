/*
 * The budget of disk faults: what one disk loses the others must hold.
 */
#include "core/state.h"
#include "model/object.h"
#include "tests/sim/nemesis.h"

/* What is left of a key, merged from everywhere. */
struct left
{
	struct dyn_object object;
	bool any;
};

static bool
add(struct left *left, const struct dyn_simrecord *record,
	struct dyn_arena *arena)
{
	struct dyn_object object;
	struct dyn_object both;

	if (record == NULL || record->corrupt)
		return true;
	if (dyn_object_decode(dyn_simblob_slice(record->object), &arena->allocator,
						  &object) != DYN_STATUS_OK)
		return false;
	if (!left->any)
		left->object = object;
	else if (dyn_object_sync(&left->object, &object, &arena->allocator,
							 &both) == DYN_STATUS_OK)
		left->object = both;
	left->any = true;
	return true;
}

/* hints: what is held for others counts, too. */
static bool
add_disk(struct left *left, const struct dyn_simdisk *disk,
		 const struct dyn_record_key *key, bool hints, struct dyn_arena *arena)
{
	return add(left, dyn_simdisk_get(disk, DYN_TABLE_MAIN, key), arena) &&
		   (!hints ||
			add(left, dyn_simdisk_get(disk, DYN_TABLE_HINTS, key), arena));
}

/* Does the merge with this record give nothing new? */
static bool
knows(const struct left *left, const struct dyn_simrecord *record,
	  struct dyn_arena *arena)
{
	struct left with = *left;
	struct dyn_slice before;
	struct dyn_slice after;

	return left->any && add(&with, record, arena) &&
		   dyn_object_encode(&left->object, &arena->allocator, &before) ==
			   DYN_STATUS_OK &&
		   dyn_object_encode(&with.object, &arena->allocator, &after) ==
			   DYN_STATUS_OK &&
		   dyn_slice_equal(before, after);
}

/* May what it holds still have to be discarded?  A store that lost something
 * counts again when it has been built up. */
static bool
is_in_doubt(const struct dyn_simnode *self)
{
	return self->lost_at_ms != 0 &&
		   (self->node == NULL || self->node->progress.in_doubt ||
			self->node->building.count != 0);
}

static bool
may_lose_record(struct dyn_world *world, uint32_t node,
				const struct dyn_simdisk *instead,
				const struct dyn_simrecord *record, bool hints)
{
	struct dyn_arena arena;
	struct left left = { .any = false };
	bool ok = true;

	if (record->corrupt)
		return true; /* nothing to lose any more */
	dyn_arena_init(&arena, dyn_allocator_malloc(), 16 * 1024);
	for (uint32_t i = 0; i < world->swarm.node_count; i++)
		if (i != node && !is_in_doubt(&world->nodes[i]))
			ok &= add_disk(&left, world->nodes[i].disk, &record->key, hints,
						   &arena);
	if (instead != NULL)
		ok &= add_disk(&left, instead, &record->key, hints, &arena);
	ok = ok && knows(&left, record, &arena);
	dyn_arena_destroy(&arena);
	return ok;
}

bool
dyn_atlas_may_lose(struct dyn_world *world, uint32_t node,
				   const struct dyn_simdisk *instead)
{
	const struct dyn_simdisk *disk = world->nodes[node].disk;
	static const enum dyn_table tables[] = { DYN_TABLE_MAIN, DYN_TABLE_HINTS };

	/* Owners tell owners what they lost, nobody tells them of hints: an owner's
	 * record must be another owner's, too. */

	for (uint32_t t = 0; t < 2; t++)
		for (uint32_t i = 0; i < dyn_simdisk_count(disk, tables[t]); i++)
			if (!may_lose_record(world, node, instead,
								 dyn_simdisk_at(disk, tables[t], i),
								 tables[t] == DYN_TABLE_HINTS))
				return false;
	return true;
}

bool
dyn_atlas_may_damage(struct dyn_world *world, uint32_t node,
					 const struct dyn_simrecord *record)
{
	/* Owners mend it, and would know nothing of what stands on a hint. */
	return !record->corrupt &&
		   may_lose_record(world, node, NULL, record, false);
}
