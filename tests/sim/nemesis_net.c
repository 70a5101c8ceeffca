/*
 * Trouble in the network: partitions of all shapes, clogs, flapping links.
 */
#include "tests/sim/nemesis.h"

#include "tests/sim/simnet.h"

#include <string.h>

enum dyn_shape
{
	SHAPE_ONE,     /* one node cut off */
	SHAPE_HALVES,  /* two groups */
	SHAPE_LINKS,   /* each link by a coin */
	SHAPE_BRIDGE,  /* two groups with one node in both */
	SHAPE_RING,    /* only neighbours hear each other */
	SHAPE_LINK,    /* one link */
	SHAPE_CLIENTS, /* clients and one node */
	SHAPE_COUNT
};

static const enum dyn_fault shape_faults[] = {
	DYN_FAULT_partition_of_one,     DYN_FAULT_partition_in_halves,
	DYN_FAULT_partition_of_links,   DYN_FAULT_partition_bridged,
	DYN_FAULT_partition_ring,       DYN_FAULT_partition_of_one_link,
	DYN_FAULT_partition_of_clients,
};

/* The dice of one partition. */
struct plan
{
	enum dyn_shape shape;
	uint32_t node_count;
	uint32_t one;
	uint32_t two;
	uint64_t side;
	uint64_t coins;
};

static bool
are_apart(const struct plan *plan, uint32_t from, uint32_t to)
{
	uint32_t n = plan->node_count;
	bool sides_differ = (plan->side >> from & 1) != (plan->side >> to & 1);

	switch (plan->shape)
	{
		case SHAPE_ONE:
			return from == plan->one || to == plan->one;
		case SHAPE_HALVES:
			return sides_differ;
		case SHAPE_LINKS:
			return (plan->coins >> (from * to + from + to) % 64 & 1) != 0;
		case SHAPE_BRIDGE:
			return from != plan->one && to != plan->one && sides_differ;
		case SHAPE_RING:
			return (from + 1) % n != to && (to + 1) % n != from;
		case SHAPE_LINK:
			return (from == plan->one && to == plan->two) ||
				   (from == plan->two && to == plan->one);
		case SHAPE_CLIENTS:
		case SHAPE_COUNT:
			break;
	}
	return false;
}

/* Of a cut in one direction: which one? */
static bool
is_cut_way(const struct plan *plan, uint32_t from, uint32_t to)
{
	switch (plan->shape)
	{
		case SHAPE_ONE:
			return from == plan->one;
		case SHAPE_HALVES:
		case SHAPE_BRIDGE:
			return (plan->side >> from & 1) != 0;
		case SHAPE_LINK:
			return from == plan->one;
		case SHAPE_LINKS:
		case SHAPE_RING:
		case SHAPE_CLIENTS:
		case SHAPE_COUNT:
			break;
	}
	return (plan->coins >> (7 * from + to) % 64 & 1) != 0;
}

static void
cut_clients(dyn_simnet_cuts cuts, const struct plan *plan, bool one_way)
{
	for (uint32_t i = DYN_SIM_NODES_MAX; i < DYN_SIM_ENDPOINTS_MAX - 1; i++)
	{
		bool there = (plan->coins >> i & 1) != 0;

		cuts[i][plan->one] = !one_way || there;
		cuts[plan->one][i] = !one_way || !there;
	}
}

static enum dyn_shape
pick_shape(const struct dyn_world *world, struct dyn_simrandom *random)
{
	uint32_t allowed =
		world->swarm.partition_shapes & ((1U << SHAPE_COUNT) - 1);

	for (uint32_t tries = 0; tries < 50; tries++)
	{
		uint32_t shape = (uint32_t) dyn_simrandom_below(random, SHAPE_COUNT);

		if (allowed == 0 || (allowed >> shape & 1) != 0)
			return (enum dyn_shape) shape;
	}
	return SHAPE_ONE;
}

static struct plan
make_plan(const struct dyn_world *world, struct dyn_simrandom *random)
{
	uint32_t n = world->swarm.node_count;
	struct plan plan = { .shape = pick_shape(world, random),
						 .node_count = n,
						 .one = (uint32_t) dyn_simrandom_below(random, n),
						 .two = (uint32_t) dyn_simrandom_below(random, n),
						 .side = dyn_simrandom_next(random),
						 .coins = dyn_simrandom_next(random) };

	return plan;
}

void
dyn_nemesis_partition(struct dyn_world *world, struct dyn_simrandom *random)
{
	struct plan plan = make_plan(world, random);
	bool one_way = dyn_simrandom_below(random, 3) == 0;
	uint32_t planes = dyn_simrandom_below(random, 6) == 0
						  ? 1U << dyn_simrandom_below(random, 2)
						  : 3;
	uint64_t until_ms =
		world->now_ms + 1 +
		dyn_simrandom_below(random, world->swarm.partition_ms_max);
	dyn_simnet_cuts cuts;

	memset(cuts, 0, sizeof(cuts));
	for (uint32_t from = 0; from < plan.node_count; from++)
		for (uint32_t to = 0; to < plan.node_count; to++)
			cuts[from][to] = from != to && are_apart(&plan, from, to) &&
							 (!one_way || is_cut_way(&plan, from, to));
	if (plan.shape == SHAPE_CLIENTS)
		cut_clients(cuts, &plan, one_way);
	dyn_world_fault(world, shape_faults[plan.shape]);
	if (one_way)
		dyn_world_fault(world, DYN_FAULT_partition_one_way);
	if (planes != 3)
		dyn_world_fault(world, DYN_FAULT_partition_of_plane);
	dyn_simnet_cut(world, cuts, planes, until_ms);
}

/* Some of a node's links, each for a time of its own, so that they come back
 * one after the other. */
void
dyn_nemesis_clog(struct dyn_world *world, struct dyn_simrandom *random)
{
	uint32_t node =
		(uint32_t) dyn_simrandom_below(random, world->swarm.node_count);

	for (uint32_t other = 0; other < DYN_SIM_ENDPOINTS_MAX; other++)
		for (uint32_t way = 0; way < 2; way++)
		{
			uint64_t until_ms =
				world->now_ms + 1 +
				dyn_simrandom_below(random, world->swarm.clog_ms_max);

			if (dyn_simrandom_below(random, 2) == 0 || other == node)
				continue;
			dyn_world_fault(world, DYN_FAULT_link_clogged);
			dyn_simnet_clog(world, way ? node : other, way ? other : node,
							until_ms);
		}
}

void
dyn_nemesis_flap(struct dyn_world *world, struct dyn_simrandom *random)
{
	uint32_t n = world->swarm.node_count;
	uint32_t node = (uint32_t) dyn_simrandom_below(random, n);
	uint32_t peer = (uint32_t) dyn_simrandom_below(random, n);
	uint64_t times = dyn_simrandom_below(random, 3) == 0
						 ? dyn_simrandom_between(random, 3, 20)
						 : 1;

	if (times > 1)
		dyn_world_fault(world, DYN_FAULT_link_flapping);
	dyn_nemesis_flap_again(world, node << 16 | peer, times);
}

void
dyn_nemesis_flap_again(struct dyn_world *world, uint32_t who, uint64_t left)
{
	uint32_t node = who >> 16;
	uint32_t peer = who & 0xffff;

	if (world->calm)
		return;
	dyn_world_fault(world, DYN_FAULT_link_broken);
	dyn_simnet_break(world, node, peer);
	if (left > 1)
		dyn_world_push(world, world->now_ms + 20 + (left * 7919) % 700,
					   DYN_WORLD_FLAP, who, left - 1, NULL);
}
