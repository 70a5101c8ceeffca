#include "tests/sim/nemesis.h"

#include "tests/sim/simnet.h"

#include <string.h>

static uint32_t
period(const struct dyn_world *world, uint32_t kind)
{
	const struct dyn_swarm *swarm = &world->swarm;

	switch ((enum dyn_nemesis) kind)
	{
#define NEMESIS_PERIOD(name, period_ms)                                        \
	case DYN_NEMESIS_##name:                                                   \
		return swarm->period_ms;
		DYN_NEMESIS_MAP(NEMESIS_PERIOD)
#undef NEMESIS_PERIOD
		case DYN_NEMESIS_COUNT:
			break;
	}
	return 0;
}

static void
again(struct dyn_world *world, uint32_t kind, struct dyn_simrandom *random)
{
	uint64_t mean = period(world, kind);

	if (mean > 0)
		dyn_world_push(
			world, world->now_ms + 1 + dyn_simrandom_below(random, 2 * mean),
			DYN_WORLD_NEMESIS, kind, 0, NULL);
}

void
dyn_nemesis_begin(struct dyn_world *world)
{
	for (uint32_t kind = 0; kind < DYN_NEMESIS_COUNT; kind++)
	{
		world->nemeses[kind] = dyn_simrandom_stream(world->seed, 500 + kind);
		again(world, kind, &world->nemeses[kind]);
	}
}

/* ------------------------------------------------------------------ processes */

static void
crash(struct dyn_world *world, uint32_t node, struct dyn_simrandom *random)
{
	dyn_simnode_crash(
		world, node,
		dyn_simrandom_below(random, (uint64_t) world->swarm.down_ms_max + 1));
}

/* Most of the interesting moments of a crash are a millisecond long: aim. */
static void
snipe(struct dyn_world *world, uint32_t node, struct dyn_simrandom *random)
{
	struct dyn_simnode *target = &world->nodes[node];

	target->snipe = (uint8_t) dyn_simrandom_between(random, DYN_SNIPE_STORE,
													DYN_SNIPE_REPLY);
	target->snipe_count = (uint32_t) dyn_simrandom_between(random, 1, 10);
	/* At once; when the frames of the step have arrived; when the commit may
	 * just have been made. */
	target->snipe_delay_ms =
		dyn_simrandom_below(random, dyn_simrandom_below(random, 3) == 0
										? 1
										: (uint64_t) world->swarm.delay_ms_max +
											  world->swarm.commit_ms_max + 2);
}

/* One node, or each of some, goes down and comes back again and again. */
static void
storm(struct dyn_world *world, struct dyn_simrandom *random)
{
	uint64_t who = dyn_simrandom_next(random);
	uint64_t at_ms = world->now_ms;
	uint64_t count = dyn_simrandom_between(random, 3, 12);

	for (uint64_t i = 0; i < count; i++)
	{
		for (uint32_t node = 0; node < world->swarm.node_count; node++)
			if ((who >> node & 1) != 0)
				dyn_world_push(world, at_ms, DYN_WORLD_CRASH, node,
							   dyn_simrandom_below(random, 200), NULL);
		at_ms += dyn_simrandom_between(random, 1, 2000);
	}
}

void
dyn_nemesis_stop(struct dyn_world *world, uint32_t node, uint64_t ms)
{
	struct dyn_simnode *self = &world->nodes[node];

	self->paused_until_ms = world->now_ms + ms;
	if (world->swarm.socket_frames == 0)
		return;
	/* Frames first, or the timers. */
	self->late_ms = dyn_simrandom_below(&self->random, 2) *
					dyn_simrandom_below(&self->random, 20);
	dyn_world_push(world, self->paused_until_ms, DYN_WORLD_WOKEN, node, 0,
				   NULL);
	dyn_simnet_stopped(world, node);
}

static void
pause(struct dyn_world *world, struct dyn_simrandom *random)
{
	uint64_t who = UINT64_C(1)
				   << dyn_simrandom_below(random, world->swarm.node_count);

	if (dyn_simrandom_below(random, 4) == 0)
		who = dyn_simrandom_next(random);
	for (uint32_t node = 0; node < world->swarm.node_count; node++)
	{
		uint64_t ms =
			1 + dyn_simrandom_below(random, world->swarm.pause_ms_max);

		if ((who >> node & 1) == 0 || world->nodes[node].node == NULL)
			continue;
		dyn_world_fault(world, DYN_FAULT_pause);
		dyn_nemesis_stop(world, node, ms);
	}
}

/* ---- just when a put is under way ---- */

/* Mostly as long as makes a client go on, sometimes longer than anybody
 * remembers it. */
static void
halt(struct dyn_world *world, uint32_t node, struct dyn_simrandom *random)
{
	struct dyn_simnode *self = &world->nodes[node];
	uint64_t most_ms = world->swarm.halt_ms_max;

	if (most_ms > 5000 && dyn_simrandom_below(random, 3) != 0)
		most_ms = 5000;
	self->halt =
		(uint8_t) dyn_simrandom_between(random, DYN_HALT_PUT, DYN_HALT_CUT);
	self->halt_count = (uint32_t) dyn_simrandom_between(random, 1, 3);
	self->halt_ms = 1 + dyn_simrandom_below(random, most_ms);
}

/* Its clients reach it, the other nodes do not. */
static void
cut_off(struct dyn_world *world, uint32_t node, uint64_t ms)
{
	dyn_simnet_cuts cuts;

	memset(cuts, 0, sizeof(cuts));
	for (uint32_t other = 0; other < world->swarm.node_count; other++)
		cuts[node][other] = cuts[other][node] = other != node;
	dyn_simnet_cut(world, cuts, 3, world->now_ms + ms);
}

void
dyn_nemesis_halt_now(struct dyn_world *world, uint32_t node,
					 enum dyn_halt moment)
{
	static const enum dyn_fault faults[] = { 0, DYN_FAULT_halt_with_put,
											 DYN_FAULT_halt_at_load,
											 DYN_FAULT_halt_at_store,
											 DYN_FAULT_cut_off_with_put };
	struct dyn_simnode *self = &world->nodes[node];
	uint8_t halt = self->halt;

	if (halt == DYN_HALT_NOT || world->calm ||
		(halt == DYN_HALT_CUT ? DYN_HALT_PUT : halt) != (uint8_t) moment ||
		self->paused_until_ms > world->now_ms || --self->halt_count > 0)
		return;
	self->halt = DYN_HALT_NOT;
	/* What only the copy takes goes with it. */
	dyn_nemesis_end_clone(world);
	dyn_world_fault(world, faults[halt]);
	dyn_world_say(world, "node %u is halted (%u) for %u ms", node, halt,
				  (unsigned) self->halt_ms);
	if (halt == DYN_HALT_CUT)
		cut_off(world, node, self->halt_ms);
	else
		dyn_nemesis_stop(world, node, self->halt_ms);
}

/* Some seconds, an hour, or years, either way; or right again. */
static void
jump(struct dyn_world *world, uint32_t node, struct dyn_simrandom *random)
{
	int64_t *offset_ms = &world->nodes[node].wall_offset_ms;
	int64_t before_ms = *offset_ms;
	int64_t far_ms = (int64_t) world->swarm.wall_jump_s * 1000;

	switch (dyn_simrandom_below(random, 4))
	{
		case 0:
			*offset_ms = 0;
			break;
		case 1:
			*offset_ms += (int64_t) dyn_simrandom_below(random, 20000) - 10000;
			break;
		case 2:
			*offset_ms = far_ms;
			break;
		default:
			*offset_ms = -far_ms;
			break;
	}
	dyn_world_fault(world, DYN_FAULT_wall_jump);
	if (*offset_ms < before_ms)
		dyn_world_fault(world, DYN_FAULT_wall_jump_back);
}

/* ------------------------------------------------------------------- strikes */

static void
fill(struct dyn_world *world, uint32_t node, struct dyn_simrandom *random)
{
	struct dyn_simnode *target = &world->nodes[node];

	dyn_world_fault(world, DYN_FAULT_store_full);
	dyn_simdisk_set_full(target->disk, true);
	target->full_until_ms =
		world->now_ms + dyn_simrandom_below(random, world->swarm.full_ms_max);
	dyn_world_push(world, target->full_until_ms, DYN_WORLD_RESUME, node, 0,
				   NULL);
}

static void
fail(struct dyn_world *world, uint32_t node)
{
	dyn_world_fault(world, DYN_FAULT_store_failed);
	dyn_simstore_fail(world->nodes[node].store);
	dyn_simnode_plan(world, node);
}

static void
strike_node(struct dyn_world *world, enum dyn_nemesis kind, uint32_t node,
			struct dyn_simrandom *random)
{
	switch (kind)
	{
		case DYN_NEMESIS_CRASH:
			crash(world, node, random);
			break;
		case DYN_NEMESIS_SNIPE:
			snipe(world, node, random);
			break;
		case DYN_NEMESIS_WALL:
			jump(world, node, random);
			break;
		case DYN_NEMESIS_FULL:
			fill(world, node, random);
			break;
		case DYN_NEMESIS_FAIL:
			fail(world, node);
			break;
		case DYN_NEMESIS_DAMAGE:
			(void) dyn_nemesis_damage(world, node, random);
			break;
		case DYN_NEMESIS_EMPTY:
			(void) dyn_nemesis_empty(world, node, random);
			break;
		case DYN_NEMESIS_ROLLBACK:
			(void) dyn_nemesis_roll_back(world, node, random);
			break;
		case DYN_NEMESIS_CLONE:
			(void) dyn_nemesis_clone(world, node, random);
			break;
		case DYN_NEMESIS_HALT:
			halt(world, node, random);
			break;
		case DYN_NEMESIS_CRASH_ALL:
		case DYN_NEMESIS_STORM:
		case DYN_NEMESIS_PAUSE:
		case DYN_NEMESIS_FLAP:
		case DYN_NEMESIS_CLOG:
		case DYN_NEMESIS_PARTITION:
		case DYN_NEMESIS_COUNT:
			break;
	}
}

static void
strike(struct dyn_world *world, enum dyn_nemesis kind,
	   struct dyn_simrandom *random)
{
	uint32_t node =
		(uint32_t) dyn_simrandom_below(random, world->swarm.node_count);

	switch (kind)
	{
		case DYN_NEMESIS_CRASH_ALL:
			dyn_world_fault(world, DYN_FAULT_crash_of_all);
			for (uint32_t i = 0; i < world->swarm.node_count; i++)
				crash(world, i, random);
			break;
		case DYN_NEMESIS_STORM:
			dyn_world_fault(world, DYN_FAULT_restart_storm);
			storm(world, random);
			break;
		case DYN_NEMESIS_PAUSE:
			pause(world, random);
			break;
		case DYN_NEMESIS_FLAP:
			dyn_nemesis_flap(world, random);
			break;
		case DYN_NEMESIS_CLOG:
			dyn_nemesis_clog(world, random);
			break;
		case DYN_NEMESIS_PARTITION:
			dyn_nemesis_partition(world, random);
			break;
		case DYN_NEMESIS_CRASH:
		case DYN_NEMESIS_SNIPE:
		case DYN_NEMESIS_WALL:
		case DYN_NEMESIS_FULL:
		case DYN_NEMESIS_FAIL:
		case DYN_NEMESIS_DAMAGE:
		case DYN_NEMESIS_EMPTY:
		case DYN_NEMESIS_ROLLBACK:
		case DYN_NEMESIS_CLONE:
		case DYN_NEMESIS_HALT:
			if (world->nodes[node].node != NULL)
				strike_node(world, kind, node, random);
			break;
		case DYN_NEMESIS_COUNT:
			break;
	}
}

void
dyn_nemesis_strike(struct dyn_world *world, uint32_t kind)
{
	struct dyn_simrandom *random = &world->nemeses[kind];
	uint32_t max = world->swarm.strikes_max;

	if (world->calm || (max > 0 && world->strike_count >= max))
		return;
	world->strike_count++;
	if (kind != DYN_NEMESIS_WALL && kind != DYN_NEMESIS_DAMAGE)
		dyn_nemesis_end_clone(world);
	dyn_world_say(world, "trouble %u", kind);
	strike(world, (enum dyn_nemesis) kind, random);
	again(world, kind, random);
}
