/*
 * Trouble with disks: damaged records; stores that are lost, that go back to
 * an older copy, or that are there twice.
 */
#include "core/number.h"
#include "tests/sim/nemesis.h"
#include "tests/sim/whitebox.h"

#include <string.h>

static void
note_damage(struct dyn_world *world, uint32_t node,
			const struct dyn_simrecord *record)
{
	uint32_t key;

	if (dyn_sim_key_number(record->key.key, &key) && key < DYN_SIM_KEYS_MAX)
		world->nodes[node].damaged_ms[key] = world->now_ms;
}

/* Of its object, its head, or its key, without which no head is sound. */
static void
damage(struct dyn_simdisk *disk, uint32_t index, bool head)
{
	if (!head || index % 2 == 0 || !dyn_simdisk_misname(disk, index))
		dyn_simdisk_corrupt(disk, index, head);
}

bool
dyn_nemesis_damage(struct dyn_world *world, uint32_t node,
				   struct dyn_simrandom *random)
{
	struct dyn_simdisk *disk = world->nodes[node].disk;
	uint32_t count = dyn_simdisk_count(disk, DYN_TABLE_MAIN);

	for (uint32_t tries = 0; count > 0 && tries < 10; tries++)
	{
		uint32_t index = (uint32_t) dyn_simrandom_below(random, count);

		if (dyn_atlas_may_damage(world, node,
								 dyn_simdisk_at(disk, DYN_TABLE_MAIN, index)))
		{
			note_damage(world, node,
						dyn_simdisk_at(disk, DYN_TABLE_MAIN, index));
			damage(disk, index,
				   dyn_simrandom_chance(random, world->swarm.head_rate));
			dyn_world_fault(world, DYN_FAULT_record_damaged);
			return true;
		}
	}
	return false;
}

/* Stop the node; what its disk then holds is what counts. */
static void
stop(struct dyn_world *world, uint32_t node, struct dyn_simrandom *random)
{
	dyn_simnode_crash(
		world, node,
		dyn_simrandom_below(random, (uint64_t) world->swarm.down_ms_max + 1));
}

bool
dyn_nemesis_empty(struct dyn_world *world, uint32_t node,
				  struct dyn_simrandom *random)
{
	struct dyn_simnode *self = &world->nodes[node];

	/* A cluster of one is gone with its store: nobody knows of it. */
	if (world->swarm.node_count == 1 || dyn_node_ring(self->node) == NULL ||
		!dyn_atlas_may_lose(world, node, NULL))
		return false;
	self->id = *dyn_node_identity(self->node);
	stop(world, node, random);
	if (!dyn_atlas_may_lose(world, node, NULL))
		return false; /* the last commit was made while it went down */
	dyn_simdisk_free(&self->disk);
	self->disk = dyn_world_new_disk(world);
	self->lost_at_ms = world->now_ms;
	dyn_world_fault(world, DYN_FAULT_store_emptied);
	return true;
}

/* How far a store has come, as a disk knows it (core/progress.c). */
static uint64_t
known_progress(const struct dyn_simdisk *disk, const struct dyn_node_id *id)
{
	struct dyn_record_key place = { .key = dyn_slice_of("progress") };
	const struct dyn_simrecord *record =
		dyn_simdisk_get(disk, DYN_TABLE_META, &place);
	struct dyn_slice bytes;

	if (record == NULL)
		return 0;
	bytes = dyn_simblob_slice(record->object);
	if (id == NULL)
		return dyn_get_u64(bytes.data + 1);
	for (size_t at = 9; at + 24 <= bytes.size; at += 24)
		if (memcmp(bytes.data + at, id->bytes, 16) == 0)
			return dyn_get_u64(bytes.data + at + 16);
	return 0;
}

/* Whom ever the node meets first: it must be told that it has gone back.  What
 * was written soon after a copy was made nobody can miss (core/progress.h). */
static bool
others_will_notice(const struct dyn_world *world, uint32_t node)
{
	const struct dyn_simnode *self = &world->nodes[node];
	uint64_t before = known_progress(self->snapshot, NULL);

	for (uint32_t i = 0; i < world->swarm.node_count; i++)
		if (i != node &&
			known_progress(world->nodes[i].disk,
						   dyn_node_identity(self->node)) <= before)
			return false;
	return true;
}

/* A copy of nothing is an emptied store: without node-id it stays outside, and
 * dyn_nemesis_empty is about those that are told. */
static bool
has_identity(const struct dyn_simdisk *disk)
{
	struct dyn_record_key place = { .key = dyn_slice_of("identity") };

	return dyn_simdisk_get(disk, DYN_TABLE_META, &place) != NULL;
}

/* Of all stores that have none yet. */
static void
take_copies(struct dyn_world *world)
{
	for (uint32_t i = 0; i < world->swarm.node_count; i++)
		if (world->nodes[i].snapshot == NULL &&
			has_identity(world->nodes[i].disk))
			world->nodes[i].snapshot = dyn_simdisk_copy(world->nodes[i].disk);
}

/* The first time copies are taken, later on one comes back. */
bool
dyn_nemesis_roll_back(struct dyn_world *world, uint32_t node,
					  struct dyn_simrandom *random)
{
	struct dyn_simnode *self = &world->nodes[node];

	if (self->snapshot == NULL)
	{
		take_copies(world);
		return true;
	}
	/* With nobody else, nobody can notice.  What the copy holds may have to be
	 * discarded: it counts for nothing. */
	if (world->swarm.node_count == 1 || !others_will_notice(world, node) ||
		!dyn_atlas_may_lose(world, node, NULL))
		return false;
	stop(world, node, random);
	if (!dyn_atlas_may_lose(world, node, NULL))
		return false;
	dyn_simdisk_free(&self->disk);
	self->disk = self->snapshot;
	self->snapshot = NULL;
	self->lost_at_ms = world->now_ms;
	dyn_world_fault(world, DYN_FAULT_store_rolled_back);
	return true;
}

bool
dyn_nemesis_has_twin(const struct dyn_world *world, uint32_t node)
{
	const struct dyn_simnode *clone = &world->nodes[DYN_SIM_CLONE];

	return node == DYN_SIM_CLONE || (clone->life > 0 && clone->twin == node);
}

/* Whoever runs alone is the node: a copy must not, or what only it holds would
 * be lost with it.  So it is there only while the other one surely is. */
void
dyn_nemesis_end_clone(struct dyn_world *world)
{
	dyn_simnode_crash(world, DYN_SIM_CLONE, UINT64_MAX);
}

/* The same data directory on another machine, while the first one runs. */
bool
dyn_nemesis_clone(struct dyn_world *world, uint32_t node,
				  struct dyn_simrandom *random)
{
	struct dyn_simnode *clone = &world->nodes[DYN_SIM_CLONE];

	if (clone->node != NULL ||
		world->nodes[node].paused_until_ms > world->now_ms)
		return false;
	dyn_simdisk_free(&clone->disk);
	clone->disk = dyn_simdisk_copy(world->nodes[node].disk);
	clone->twin = node;
	dyn_world_fault(world, DYN_FAULT_store_cloned);
	dyn_world_push(world, world->now_ms + dyn_simrandom_below(random, 5000),
				   DYN_WORLD_START, DYN_SIM_CLONE, 0, NULL);
	return true;
}
