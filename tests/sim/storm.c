/*
 * The hint storm: everybody kept hints for one node, and it comes back.
 *
 * The disks are modelled ones, so what is brought to the node makes its other
 * work wait.  All requests need all owners (R = W = N): none is answered
 * without it.  How long they take while hints are delivered is held against
 * how long they took before.
 */
#include "tests/sim/play.h"

#include "core/node.h"
#include "tests/sim/simrequest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum
{
	AWAY = 4,
	CALM_MS = 20000,
	DELIVERY_MS_MAX = 120000
};

/* How long requests took that the node had a part in. */
struct latencies
{
	uint32_t count;
	uint32_t failed;
	uint64_t p50_ms;
	uint64_t p99_ms;
};

static int
by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *) a;
	uint64_t y = *(const uint64_t *) b;

	return (x > y) - (x < y);
}

static bool
involves(struct dyn_world *world, const struct dyn_history_op *op,
		 uint32_t node)
{
	bool owners[DYN_SIM_NODES_MAX] = { false };

	dyn_whitebox_owners(world, op->key, owners);
	return op->client != DYN_SIM_OPERATOR && owners[node];
}

static struct latencies
measure(struct dyn_world *world, uint32_t node, uint64_t from_ms,
		uint64_t until_ms)
{
	const struct dyn_history *history = &world->history;
	uint64_t *took = dyn_sim_allocate(history->op_count * sizeof(*took));
	struct latencies all = { 0 };

	for (uint32_t i = 0; i < history->op_count; i++)
	{
		const struct dyn_history_op *op = &history->ops[i];

		if (op->begin_ms < from_ms || op->begin_ms >= until_ms ||
			op->result == DYN_HISTORY_PENDING || !involves(world, op, node))
			continue;
		/* Reads without an answer were taken back. */
		if (op->kind == DYN_HISTORY_READ && op->result != DYN_HISTORY_OK)
			continue;
		all.failed += op->result != DYN_HISTORY_OK;
		took[all.count++] = op->result == DYN_HISTORY_OK
								? op->end_ms - op->begin_ms
								: UINT32_MAX;
	}
	qsort(took, all.count, sizeof(*took), by_value);
	if (all.count != 0)
	{
		all.p50_ms = took[all.count / 2];
		all.p99_ms = took[all.count * 99 / 100];
	}
	free(took);
	return all;
}

static uint32_t
hints_of(const struct dyn_world *world, uint32_t node)
{
	return dyn_simdisk_count(world->nodes[node].disk, DYN_TABLE_HINTS);
}

static void
say(struct dyn_world *world, const char *what, const struct latencies *self)
{
	dyn_world_say(world,
				  "STORM %s: %u requests, %u failed, p50 %" PRIu64
				  " ms, p99 %" PRIu64 " ms",
				  what, self->count, self->failed, self->p50_ms, self->p99_ms);
}

/* All keys are written while the node is away: a hint for each of its own. */
static void
gather_hints(struct dyn_world *world)
{
	for (uint32_t key = 0; key < world->history.key_count; key++)
	{
		struct dyn_sim_result result =
			dyn_play_put(world, key % AWAY, key, NULL);

		EXPECT(result.status == DYN_STATUS_OK);
	}
	for (uint32_t i = 0; i < world->swarm.node_count; i++)
		EXPECT(i == AWAY || hints_of(world, i) > 0);
}

/* Every hint that some of the nodes hold is thrown away. */
static void
lose_hints(struct dyn_world *world, uint32_t step)
{
	for (uint32_t i = 0; step != 0 && i < world->swarm.node_count; i += step)
		dyn_play_lose_hints(world, i);
}

static uint32_t
count_behind(struct dyn_world *world)
{
	char why[DYN_WHITEBOX_WHY];
	uint32_t count = 0;

	for (uint32_t key = 0; key < world->history.key_count; key++)
		count += dyn_whitebox_unequal(world, key, why) != NULL;
	return count;
}

/* How long requests take with nothing else to do, and while the node is
 * brought up to date: hints of every step-th sender are lost. */
static void
play(struct dyn_world *world, uint32_t step)
{
	struct latencies calm;
	struct latencies storm;
	uint64_t from_ms = world->now_ms;
	uint32_t behind;

	dyn_play_pass(world, CALM_MS);
	calm = measure(world, AWAY, from_ms, world->now_ms - 1000);
	dyn_play_stop(world, AWAY);
	gather_hints(world);
	lose_hints(world, step);
	behind = count_behind(world);
	EXPECT(behind > world->history.key_count / 4);
	from_ms = world->now_ms;
	dyn_simnode_start(world, AWAY);
	while (count_behind(world) > behind / 50 &&
		   world->now_ms < from_ms + DELIVERY_MS_MAX)
		dyn_play_pass(world, 100);
	storm = measure(world, AWAY, from_ms, world->now_ms);
	dyn_world_say(world, "STORM %u keys brought in %" PRIu64 " ms", behind,
				  world->now_ms - from_ms);
	say(world, "calm", &calm);
	say(world, "storm", &storm);
	EXPECT(world->now_ms < from_ms + DELIVERY_MS_MAX);
	EXPECT(calm.count > 1000 && storm.count > 50);
	EXPECT(storm.p99_ms < 2 * calm.p99_ms);
}

/* Eight senders and one node that returns keep its foreground p99 below twice
 * the calm one. */
void
dyn_storm_of_hints(struct dyn_world *world)
{
	play(world, 0);
}

/* The same when all is left to anti-entropy: it brings and fetches. */
void
dyn_storm_of_repairs(struct dyn_world *world)
{
	play(world, 1);
}

/* Both at once share one credit. */
void
dyn_storm_of_both(struct dyn_world *world)
{
	play(world, 2);
}
