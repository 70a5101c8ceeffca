/*
 * Anti-entropy in scenarios: it finds alone what nobody reads, and leaves a
 * healthy cluster alone.
 */
#include "tests/sim/play.h"

#include "tests/sim/simnet.h"

#include <stdio.h>
#include <string.h>

/* How many keys differ between their owners. */
static uint32_t
count_unequal(struct dyn_world *world)
{
	char why[DYN_WHITEBOX_WHY];
	uint32_t count = 0;

	for (uint32_t key = 0; key < world->history.key_count; key++)
		count += dyn_whitebox_unequal(world, key, why) != NULL;
	return count;
}

/* What was kept for nodes that are away is thrown away. */
static void
lose_hints(struct dyn_world *world)
{
	for (uint32_t i = 0; i < world->swarm.node_count; i++)
		dyn_play_lose_hints(world, i);
}

/* A node is away while keys are made, replaced and deleted, some of which it
 * never met; what was kept for it is lost, and nobody reads.  All owners become
 * equal all the same. */
void
dyn_equal_without_reads(struct dyn_world *world)
{
	uint32_t away = 1;
	uint32_t keys = world->swarm.key_count;

	for (uint32_t key = 0; key < keys / 2; key++)
		dyn_play_put(world, 0, key, NULL);
	dyn_play_pass(world, 1000);
	dyn_play_stop(world, away);
	for (uint32_t key = 0; key < keys; key++)
	{
		struct dyn_sim_result read;

		if (key >= keys / 2)
			dyn_play_put(world, 0, key, NULL);
		read = dyn_sim_do_get(world, 0, key, 0);
		if (key % 3 == 0)
			dyn_play_delete(world, 2, key, &read);
		else
			dyn_play_put(world, 2, key, key % 3 == 1 ? &read : NULL);
		dyn_sim_result_free(&read);
	}
	dyn_play_pass(world, 1000);
	lose_hints(world);
	EXPECT(count_unequal(world) > keys / 2);
	dyn_play_start(world, away);
	dyn_play_pass(world, 10 * (uint64_t) world->swarm.anti_entropy_ms);
	EXPECT(count_unequal(world) == 0);
	EXPECT(dyn_play_sum(world, "exchange_keys_repaired") > keys / 2);
	EXPECT(dyn_play_sum(world, "exchange_keys_repaired") < 3 * keys);
}

/* Both sides of a partition take writes (W = 1) and neither reads. */
void
dyn_equal_after_a_partition(struct dyn_world *world)
{
	uint32_t keys = world->swarm.key_count;

	for (uint32_t node = 1; node < 3; node++)
	{
		dyn_simnet_block(world, 0, node, true);
		dyn_simnet_block(world, node, 0, true);
	}
	dyn_play_pass(world, 5000);
	for (uint32_t key = 0; key < keys; key++)
		for (uint32_t node = 0; node < 3; node++)
			dyn_play_put(world, node, key, NULL);
	lose_hints(world);
	EXPECT(count_unequal(world) > keys / 2);
	dyn_simnet_heal(world);
	dyn_play_pass(world, 3000);
	lose_hints(world);
	dyn_play_pass(world, 15 * (uint64_t) world->swarm.anti_entropy_ms);
	EXPECT(count_unequal(world) == 0);
	EXPECT(dyn_play_rows(world, 0, 1) == 3);
}

/* Eight clients write thousands of keys a second and nothing breaks: what is
 * in flight is taken for no difference. */
void
dyn_equal_under_load(struct dyn_world *world)
{
	uint64_t begin_ms = world->now_ms;
	uint64_t seconds;
	uint64_t puts;
	uint64_t compared;

	dyn_play_pass(world, 20000);
	seconds = (world->now_ms - begin_ms) / 1000;
	puts = dyn_play_sum(world, "put_ops");
	compared = dyn_play_sum(world, "exchange_roots_equal") +
			   dyn_play_sum(world, "exchange_roots_differing");
	printf("# %lu writes a second; %lu comparisons of partitions, %lu differed "
		   "for a moment, then %lu cells and %lu leaves; of %lu keys listed "
		   "%lu were repaired, %lu equal, %lu in motion\n",
		   (unsigned long) (puts / seconds), (unsigned long) compared,
		   (unsigned long) dyn_play_sum(world, "exchange_roots_differing"),
		   (unsigned long) dyn_play_sum(world, "exchange_cells_differing"),
		   (unsigned long) dyn_play_sum(world, "exchange_leaves_differing"),
		   (unsigned long) dyn_play_sum(world, "exchange_keys_differing"),
		   (unsigned long) dyn_play_sum(world, "exchange_keys_repaired"),
		   (unsigned long) dyn_play_sum(world, "exchange_keys_equal"),
		   (unsigned long) dyn_play_sum(world, "exchange_keys_moved"));
	EXPECT(puts / seconds >= 2000);
	EXPECT(compared > 1000);
	EXPECT(dyn_play_sum(world, "exchange_keys_repaired") * 10000 <= puts);
}
