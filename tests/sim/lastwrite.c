/*
 * Buckets in which the last write wins: what is left, and that who has read a
 * value wins over it, and over all that it had won over, though the clocks of
 * the coordinators are ten minutes apart.
 */
#include "tests/sim/play.h"
#include "tests/sim/simnet.h"

enum
{
	KEY = 12,
	SKEW_MS = 10 * 60 * 1000,
	SETTLE_MS = 3000
};

/* Nobody hears this node, nor does it hear anybody. */
static void
cut_off(struct dyn_world *world, uint32_t node)
{
	for (uint32_t i = 0; i < world->swarm.node_count; i++)
		if (i != node)
		{
			dyn_simnet_block(world, node, i, true);
			dyn_simnet_block(world, i, node, true);
		}
	dyn_play_pass(world, SETTLE_MS);
}

static void
heal(struct dyn_world *world)
{
	dyn_simnet_heal(world);
	dyn_play_pass(world, SETTLE_MS);
}

static void
set_clock(struct dyn_world *world, uint32_t node, int64_t offset_ms)
{
	world->nodes[node].wall_offset_ms = offset_ms;
	world->history.clocks_differ_ms = UINT64_MAX;
}

/* A blind write that only this node stores. */
static struct dyn_sim_result
put_here_only(struct dyn_world *world, uint32_t node)
{
	struct dyn_sim_put write = { .key = KEY, .value_count = 1, .w = 1 };

	return dyn_sim_do_put(world, node, &write);
}

/* Two who cannot talk write blindly: the later one is left, and whoever looks
 * sees one version all the while. */
void
dyn_lastwrite_one_is_left(struct dyn_world *world)
{
	uint32_t a = dyn_play_owner(world, KEY, 0);
	uint32_t b = dyn_play_owner(world, KEY, 1);
	struct dyn_sim_result early;
	struct dyn_sim_result late;

	cut_off(world, b);
	early = put_here_only(world, b);
	EXPECT(early.status == DYN_STATUS_OK);
	dyn_play_pass(world, 10);
	late = dyn_play_put(world, a, KEY, NULL);
	EXPECT(late.status == DYN_STATUS_OK);
	heal(world);
	EXPECT(dyn_play_rows(world, a, KEY) == 1);
	EXPECT(dyn_play_has(world, b, KEY, &late));
	EXPECT(dyn_play_put(world, b, KEY, NULL).status == DYN_STATUS_OK);
	EXPECT(dyn_play_rows(world, a, KEY) == 1);
}

/* A delete wins over an earlier write that nobody has met yet, and a later
 * write over the delete. */
void
dyn_lastwrite_delete(struct dyn_world *world)
{
	uint32_t a = dyn_play_owner(world, KEY, 0);
	uint32_t b = dyn_play_owner(world, KEY, 1);
	struct dyn_sim_result read;

	cut_off(world, b);
	EXPECT(put_here_only(world, b).status == DYN_STATUS_OK);
	dyn_play_pass(world, 10);
	dyn_play_put(world, a, KEY, NULL);
	read = dyn_sim_do_get(world, a, KEY, 0);
	EXPECT(read.row_count == 1);
	EXPECT(dyn_play_delete(world, a, KEY, &read).status == DYN_STATUS_OK);
	dyn_sim_result_free(&read);
	heal(world);
	EXPECT(dyn_play_rows(world, b, KEY) == 0);
	EXPECT(dyn_play_put(world, b, KEY, NULL).status == DYN_STATUS_OK);
	EXPECT(dyn_play_rows(world, a, KEY) == 1);
}

/*
 * A client writes what it reads, now through a node that is ten minutes ahead,
 * now through one that is as much behind.  A third node, on time and alone,
 * holds a write that the first link of the chain would have won over: so does
 * the last.
 */
void
dyn_lastwrite_chain(struct dyn_world *world)
{
	uint32_t ahead = dyn_play_owner(world, KEY, 0);
	uint32_t behind = dyn_play_owner(world, KEY, 1);
	uint32_t alone = dyn_play_owner(world, KEY, 2);
	struct dyn_sim_result last = { 0 };

	set_clock(world, ahead, SKEW_MS);
	set_clock(world, behind, -SKEW_MS);
	cut_off(world, alone);
	EXPECT(put_here_only(world, alone).status == DYN_STATUS_OK);
	for (int i = 0; i < 20; i++)
	{
		last = dyn_play_update(world, i % 2 ? behind : ahead, KEY);
		EXPECT(last.status == DYN_STATUS_OK);
	}
	heal(world);
	EXPECT(dyn_play_rows(world, alone, KEY) == 1);
	EXPECT(dyn_play_has(world, alone, KEY, &last));
}

/*
 * The chain goes on through a node that holds nothing of what its client has
 * read: it asks the others before it stamps the write.
 */
void
dyn_lastwrite_chain_meets_strangers(struct dyn_world *world)
{
	uint32_t ahead = dyn_play_owner(world, KEY, 0);
	uint32_t behind = dyn_play_owner(world, KEY, 1);
	uint32_t alone = dyn_play_owner(world, KEY, 2);
	struct dyn_sim_result read;
	struct dyn_sim_result last;

	set_clock(world, ahead, SKEW_MS);
	set_clock(world, behind, -SKEW_MS);
	cut_off(world, behind);
	cut_off(world, alone);
	EXPECT(put_here_only(world, alone).status == DYN_STATUS_OK);
	dyn_play_put(world, ahead, KEY, NULL);
	read = dyn_sim_do_get(world, ahead, KEY, 0);
	EXPECT(read.row_count == 1);
	dyn_simnet_heal(world);
	cut_off(world, alone);
	last = dyn_play_put(world, behind, KEY, &read);
	EXPECT(last.status == DYN_STATUS_OK);
	dyn_sim_result_free(&read);
	heal(world);
	EXPECT(dyn_play_rows(world, alone, KEY) == 1);
	EXPECT(dyn_play_has(world, alone, KEY, &last));
}
