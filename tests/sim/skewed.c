/*
 * Wall clocks that are a minute apart: a value with a time to live is shown
 * from its acknowledgement on, whoever coordinated it, whoever reads, and
 * though nodes have not met each other before.
 */
#include "tests/sim/play.h"
#include "tests/sim/simclient_state.h"
#include "tests/sim/simnet.h"

#include "model/wall.h"

enum
{
	HALF_MS = DYN_CLOCKS_APART_MS / 2,
	EARLIER_MS = 500,
	SETTLE_MS = 3000
};

static void
set_reader(struct dyn_world *world, int64_t offset_ms)
{
	dyn_simclient_of(world, DYN_SIM_OPERATOR)->wall_offset_ms = offset_ms;
}

static void
set_clocks(struct dyn_world *world, int64_t a_ms, int64_t b_ms, int64_t c_ms)
{
	world->nodes[0].wall_offset_ms = a_ms;
	world->nodes[1].wall_offset_ms = b_ms;
	world->nodes[2].wall_offset_ms = c_ms;
	world->history.ends_late_ms += DYN_CLOCKS_APART_MS;
	dyn_play_pass(world, SETTLE_MS);
}

/* Through each node, at once, and shortly before its time is up. */
static void
expect_lives(struct dyn_world *world, uint32_t first_key)
{
	for (uint32_t node = 0; node < 3; node++)
	{
		uint32_t key = first_key + node;
		uint64_t put_ms = world->now_ms;

		EXPECT(dyn_play_put(world, node, key, NULL).status == DYN_STATUS_OK);
		for (uint32_t other = 0; other < 3; other++)
			EXPECT(dyn_play_rows(world, other, key) == 1);
		dyn_play_pass(world, put_ms + world->swarm.ttl_ms - EARLIER_MS -
								 world->now_ms);
		for (uint32_t other = 0; other < 3; other++)
			EXPECT(dyn_play_rows(world, other, key) == 1);
	}
	dyn_play_pass(world, world->swarm.ttl_ms + DYN_CLOCKS_APART_MS);
	for (uint32_t node = 0; node < 3; node++)
		EXPECT(dyn_play_rows(world, node, first_key + node) == 0);
}

void
dyn_skewed_nodes(struct dyn_world *world)
{
	set_clocks(world, -HALF_MS, HALF_MS, 0);
	expect_lives(world, 0);
	set_clocks(world, 0, 0, -DYN_CLOCKS_APART_MS);
	expect_lives(world, 3);
	set_clocks(world, DYN_CLOCKS_APART_MS, 0, 0);
	expect_lives(world, 6);
}

void
dyn_skewed_reader(struct dyn_world *world)
{
	set_reader(world, DYN_CLOCKS_APART_MS);
	expect_lives(world, 0);
	set_reader(world, -DYN_CLOCKS_APART_MS);
	expect_lives(world, 3);
}

/* The coordinator has never heard of the node that is ahead; then that one
 * coordinates the read. */
void
dyn_skewed_strangers(struct dyn_world *world)
{
	uint64_t until_ms;

	set_clocks(world, -HALF_MS, -HALF_MS, HALF_MS);
	dyn_play_stop(world, 0);
	dyn_play_stop(world, 1);
	for (uint32_t i = 0; i < 2; i++)
	{
		dyn_simnet_block(world, 2, i, true);
		dyn_simnet_block(world, i, 2, true);
	}
	dyn_simnode_start(world, 0);
	dyn_simnode_start(world, 1);
	dyn_play_pass(world, 2 * SETTLE_MS);
	EXPECT(dyn_play_put(world, 0, 1, NULL).status == DYN_STATUS_OK);
	until_ms = world->now_ms + world->swarm.ttl_ms - EARLIER_MS;
	dyn_simnet_heal(world);
	while (world->now_ms < until_ms)
	{
		struct dyn_sim_result read =
			dyn_sim_do_get(world, 2, 1, (uint8_t) world->swarm.r);

		if (read.status == DYN_STATUS_OK && world->now_ms < until_ms)
			EXPECT(read.row_count == 1);
		dyn_sim_result_free(&read);
		dyn_play_pass(world, 50);
	}
}

/* The coordinator is behind, and gone; the others have started anew, and know
 * nothing of its clock. */
void
dyn_skewed_coordinator_gone(struct dyn_world *world)
{
	uint64_t put_ms;
	uint32_t reads = 0;

	set_clocks(world, -DYN_CLOCKS_APART_MS, 0, 0);
	put_ms = world->now_ms;
	EXPECT(dyn_play_put(world, 0, 1, NULL).status == DYN_STATUS_OK);
	dyn_play_pass(world, 100); /* both others have it */
	for (uint32_t i = 0; i < 3; i++)
		dyn_play_stop(world, i);
	dyn_simnode_start(world, 1);
	dyn_simnode_start(world, 2);
	while (world->now_ms < put_ms + world->swarm.ttl_ms - EARLIER_MS)
	{
		struct dyn_sim_result read =
			dyn_sim_do_get(world, 1, 1, (uint8_t) world->swarm.r);

		if (read.status == DYN_STATUS_OK)
		{
			reads++;
			EXPECT(read.row_count == 1);
		}
		dyn_sim_result_free(&read);
		dyn_play_pass(world, 1000);
	}
	EXPECT(reads > 0);
	dyn_play_start(world, 0);
}
