/*
 * Trouble, by the seed's dice: each kind comes back after a random time.
 */
#include "model/object.h"
#include "tests/sim/simnet.h"
#include "tests/sim/whitebox.h"
#include "tests/sim/world.h"

#include <string.h>

enum kind
{
	CRASH,
	CRASH_ALL,
	PAUSE,
	FLAP,
	PARTITION,
	HEAL,
	FULL,
	FAIL,
	DAMAGE,
	KIND_COUNT
};

static uint64_t
period(const struct dyn_world *world, enum kind kind)
{
	const struct dyn_swarm *swarm = &world->swarm;

	switch (kind)
	{
		case CRASH:
			return swarm->crash_period_ms;
		case CRASH_ALL:
			return 8 * (uint64_t) swarm->crash_period_ms;
		case PAUSE:
			return swarm->pause_period_ms;
		case FLAP:
			return swarm->flap_period_ms;
		case PARTITION:
			return swarm->partition_period_ms;
		case HEAL:
			return swarm->partition_period_ms ? swarm->partition_ms_max : 0;
		case FULL:
			return swarm->full_period_ms;
		case FAIL:
			return swarm->fail_period_ms;
		case DAMAGE:
			return swarm->damage_period_ms;
		case KIND_COUNT:
			break;
	}
	return 0;
}

static uint64_t
below(struct dyn_world *world, uint64_t bound)
{
	return dyn_simrandom_below(&world->random, bound);
}

static void
again(struct dyn_world *world, enum kind kind)
{
	uint64_t mean = period(world, kind);

	if (mean > 0)
		dyn_world_push(world, world->now_ms + 1 + below(world, 2 * mean),
					   DYN_WORLD_NEMESIS, kind, 0, NULL);
}

void
dyn_nemesis_begin(struct dyn_world *world)
{
	for (int kind = 0; kind < KIND_COUNT; kind++)
		again(world, (enum kind) kind);
}

/* ------------------------------------------------------------------ partitions */

/* One node cut off, two halves, one direction only, a bridge, or one link. */
static void
partition(struct dyn_world *world)
{
	uint32_t n = world->swarm.node_count;
	uint32_t shape = (uint32_t) below(world, 5);
	uint32_t one = (uint32_t) below(world, n);
	uint32_t two = (uint32_t) below(world, n);
	uint64_t side = below(world, UINT64_C(1) << n);
	bool one_way = below(world, 2) == 0;

	for (uint32_t from = 0; from < n; from++)
		for (uint32_t to = 0; to < n; to++)
		{
			bool cut = false;

			if (shape == 0)
				cut = from == one || (!one_way && to == one);
			else if (shape == 1)
				cut = (side >> from & 1) != (side >> to & 1) &&
					  (!one_way || (side >> from & 1));
			else if (shape == 2)
				cut = from != one && to != one &&
					  (side >> from & 1) != (side >> to & 1);
			else if (shape == 3)
				cut = from == one && to == two;
			else /* a ring: only neighbours hear each other */
				cut = (from + 1) % n != to && (to + 1) % n != from;
			if (cut && from != to)
				dyn_simnet_block(world, from, to, true);
		}
	if (below(world, 3) != 0)
		return;
	for (uint32_t client = DYN_SIM_NODES_MAX;
		 client < DYN_SIM_ENDPOINTS_MAX - 1; client++)
	{
		bool there = below(world, 2) == 0;

		dyn_simnet_block(world, there ? client : one, there ? one : client,
						 true);
	}
}

/* --------------------------------------------------------------------- disks */

/* Only a record that every owner holds, equal and sound, is damaged: so no
 * acknowledged write stands on fewer than the others. */
static bool
may_damage(struct dyn_world *world, uint32_t node,
		   const struct dyn_simrecord *record)
{
	uint32_t equal_count = 0;

	if (record->corrupt)
		return false;
	for (uint32_t i = 0; i < world->swarm.node_count; i++)
	{
		const struct dyn_simrecord *other =
			dyn_simdisk_get(world->nodes[i].disk, DYN_TABLE_MAIN, &record->key);

		if (other == NULL)
			continue;
		if (other->corrupt ||
			!dyn_slice_equal(dyn_simblob_slice(other->object),
							 dyn_simblob_slice(record->object)))
			return false;
		equal_count++;
	}
	return equal_count == world->swarm.n && world->swarm.n > 1;
}

bool
dyn_nemesis_damage(struct dyn_world *world, uint32_t node)
{
	struct dyn_simdisk *disk = world->nodes[node].disk;
	uint32_t count = dyn_simdisk_count(disk, DYN_TABLE_MAIN);

	for (uint32_t tries = 0; count > 0 && tries < 10; tries++)
	{
		uint32_t index = (uint32_t) below(world, count);

		if (may_damage(world, node,
					   dyn_simdisk_at(disk, DYN_TABLE_MAIN, index)))
		{
			dyn_simdisk_corrupt(disk, index);
			world->fault_count++;
			return true;
		}
	}
	return false;
}

/* ------------------------------------------------------------------- strikes */

static void
strike_node(struct dyn_world *world, enum kind kind, uint32_t node)
{
	const struct dyn_swarm *swarm = &world->swarm;
	struct dyn_simnode *target = &world->nodes[node];

	if (target->node == NULL)
		return;
	world->fault_count++;
	if (kind == CRASH)
		dyn_simnode_crash(world, node, below(world, swarm->down_ms_max + 1));
	else if (kind == PAUSE)
	{
		target->paused_until_ms =
			world->now_ms + 1 + below(world, swarm->pause_ms_max);
	}
	else if (kind == FULL)
	{
		dyn_simdisk_set_full(target->disk, true);
		target->full_until_ms =
			world->now_ms + below(world, swarm->full_ms_max);
		dyn_world_push(world, target->full_until_ms, DYN_WORLD_RESUME, node, 0,
					   NULL);
	}
	else if (kind == FAIL)
	{
		dyn_simstore_fail(target->store);
		dyn_simnode_plan(world, node);
	}
	else if (kind == DAMAGE)
		(void) dyn_nemesis_damage(world, node);
}

void
dyn_nemesis_strike(struct dyn_world *world, uint32_t kind)
{
	uint32_t node;

	if (world->calm)
		return;
	node = (uint32_t) below(world, world->swarm.node_count);
	dyn_world_say(world, "trouble %u, node %u", kind, node);
	switch ((enum kind) kind)
	{
		case CRASH_ALL:
			for (uint32_t i = 0; i < world->swarm.node_count; i++)
				strike_node(world, CRASH, i);
			break;
		case FLAP:
			dyn_simnet_flap(world);
			break;
		case PARTITION:
			partition(world);
			break;
		case HEAL:
			dyn_simnet_heal(world);
			break;
		case CRASH:
		case PAUSE:
		case FULL:
		case FAIL:
		case DAMAGE:
		case KIND_COUNT:
			strike_node(world, (enum kind) kind, node);
			break;
	}
	again(world, (enum kind) kind);
}
