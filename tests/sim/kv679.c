/*
 * The family of losses by clocks that go backwards (riak_kv issue 679), told
 * anew for this cluster: what matters in each is which replica holds which
 * age of the key when its coordinator writes again.  Where the original needs
 * a fallback to keep an old copy, an owner that is away does the same.
 */
#include "tests/sim/play.h"

#include "model/clock.h"

enum
{
	KEY = 11,
	REAP_MS = 30000 /* longer than anything takes to be reaped */
};

/* The coordinator's record is lost; it writes again, as if it were the first
 * time.  The new write must not look like one of the old ones. */
void
dyn_kv679_dataloss(struct dyn_world *world)
{
	uint32_t a = dyn_play_owner(world, KEY, 0);
	struct dyn_sim_result phil = dyn_play_put(world, a, KEY, NULL);
	struct dyn_sim_result bob = dyn_play_put(world, a, KEY, NULL);
	struct dyn_sim_result jon;

	dyn_play_pass(world, 1000);
	dyn_play_forget(world, a, KEY);
	jon = dyn_play_put(world, a, KEY, NULL);
	EXPECT(jon.status == DYN_STATUS_OK);
	dyn_play_pass(world, 1000);
	EXPECT(dyn_play_rows(world, a, KEY) == 3);
	EXPECT(dyn_play_has(world, a, KEY, &phil));
	EXPECT(dyn_play_has(world, a, KEY, &bob));
	EXPECT(dyn_play_has(world, a, KEY, &jon));
}

/* A's old clock survives on B, its new one on C; A loses its own, is repaired
 * from B, and writes again what C has seen long ago. */
void
dyn_kv679_dataloss_fb(struct dyn_world *world)
{
	uint32_t a = dyn_play_owner(world, KEY, 0);
	uint32_t b = dyn_play_owner(world, KEY, 1);
	uint32_t c = dyn_play_owner(world, KEY, 2);
	struct dyn_sim_result joe;
	struct dyn_sim_result anne;
	struct dyn_sim_result read;

	dyn_play_stop(world, c);
	dyn_play_update(world, a, KEY);
	dyn_play_update(world, a, KEY);
	dyn_play_stop(world, b);
	dyn_play_start(world, c);
	dyn_play_put(world, a, KEY, NULL);
	joe = dyn_play_update(world, a, KEY);
	EXPECT(joe.status == DYN_STATUS_OK);
	dyn_play_stop(world, c);
	dyn_play_forget(world, a, KEY);
	dyn_play_start(world, b);
	read = dyn_sim_do_get(world, a, KEY, 0);
	/* Nobody who is up can know of joe. */
	world->history.ops[read.op].strict = false;
	anne = dyn_play_put(world, a, KEY, &read);
	dyn_sim_result_free(&read);
	EXPECT(anne.status == DYN_STATUS_OK);
	dyn_play_start(world, c);
	EXPECT(dyn_play_rows(world, a, KEY) == 2);
	EXPECT(dyn_play_has(world, a, KEY, &joe));
	EXPECT(dyn_play_has(world, a, KEY, &anne));
}

/* Only these two of the owners can talk. */
static void
leave_together(struct dyn_world *world, uint32_t one, uint32_t two)
{
	for (uint32_t i = 0; i < world->swarm.node_count; i++)
		if (i != one && i != two && world->nodes[i].node != NULL)
			dyn_simnode_crash(world, i, UINT64_MAX);
	dyn_play_pass(world, 1000);
	dyn_simnode_start(world, one);
	dyn_simnode_start(world, two);
	dyn_play_pass(world, 3000);
}

/*
 * Five owners, W = 2.  P1 writes once together with F1, twice with F2; P2
 * writes with F3.  P1's record is lost behind its back; it hears from P2, then
 * from F1, each by a read, and writes: all that F2 holds of it must not cover
 * the new write.
 */
void
dyn_kv679_dataloss_fb2(struct dyn_world *world)
{
	uint32_t p1 = dyn_play_owner(world, KEY, 0);
	uint32_t p2 = dyn_play_owner(world, KEY, 1);
	uint32_t f1 = dyn_play_owner(world, KEY, 2);
	uint32_t f2 = dyn_play_owner(world, KEY, 3);
	uint32_t f3 = dyn_play_owner(world, KEY, 4);
	struct dyn_sim_result charlie;
	struct dyn_sim_result emma;
	struct dyn_sim_result read;

	leave_together(world, p1, f1);
	dyn_play_update(world, p1, KEY);
	leave_together(world, p1, f2);
	dyn_play_update(world, p1, KEY);
	charlie = dyn_play_update(world, p1, KEY);
	leave_together(world, p2, f3);
	dyn_play_update(world, p2, KEY);
	dyn_play_forget(world, p1, KEY);
	leave_together(world, p1, p2);
	read = dyn_sim_do_get(world, p1, KEY, 0);
	dyn_sim_result_free(&read);
	dyn_play_forget(world, p1, KEY);
	leave_together(world, p1, f1);
	read = dyn_sim_do_get(world, p1, KEY, 0);
	dyn_sim_result_free(&read);
	leave_together(world, p1, p2);
	emma = dyn_play_update(world, p1, KEY);
	EXPECT(emma.status == DYN_STATUS_OK);
	for (uint32_t i = 0; i < world->swarm.node_count; i++)
		dyn_simnode_start(world, i);
	dyn_play_pass(world, 3000);
	EXPECT(dyn_play_has(world, p1, KEY, &charlie));
	EXPECT(dyn_play_has(world, p1, KEY, &emma));
}

/* A tombstone survives with somebody who was away; the key is made again:
 * what comes back from him must not cover the new value. */
static void
tombstone_of(struct dyn_world *world, bool away_before)
{
	uint32_t a = dyn_play_owner(world, KEY, 0);
	uint32_t patsy = dyn_play_owner(world, KEY, 2);
	struct dyn_sim_result read;
	struct dyn_sim_result jon;

	for (int i = 0; i < 3; i++)
		dyn_play_update(world, a, KEY);
	if (away_before) /* the one who is away holds the value, not the delete */
		dyn_play_stop(world, patsy);
	read = dyn_sim_do_get(world, a, KEY, 0);
	EXPECT(dyn_play_delete(world, a, KEY, &read).status == DYN_STATUS_OK);
	dyn_sim_result_free(&read);
	dyn_play_pass(world, 500);
	if (!away_before)
		dyn_play_stop(world, patsy);
	dyn_play_pass(world, REAP_MS);
	jon = dyn_play_put(world, a, KEY, NULL);
	EXPECT(jon.status == DYN_STATUS_OK);
	dyn_play_start(world, patsy);
	for (int i = 0; i < 5; i++)
	{
		dyn_play_pass(world, 500);
		EXPECT(dyn_play_rows(world, i % 2 ? patsy : a, KEY) == 1);
	}
	EXPECT(dyn_play_has(world, patsy, KEY, &jon));
}

void
dyn_kv679_tombstone(struct dyn_world *world)
{
	tombstone_of(world, true);
}

void
dyn_kv679_tombstone2(struct dyn_world *world)
{
	tombstone_of(world, false);
}

/* No two nodes, and no two starts of one node, are the same actor. */
void
dyn_kv679_uid(struct dyn_world *world)
{
	struct dyn_arena arena;
	struct dyn_sim_result read;
	struct dyn_clock clock;
	uint32_t starts = 0;

	for (uint32_t i = 0; i < 3; i++)
		dyn_play_put(world, dyn_play_owner(world, KEY, i), KEY, NULL);
	dyn_simnode_crash(world, dyn_play_owner(world, KEY, 0), 10);
	dyn_play_pass(world, 3000);
	dyn_play_put(world, dyn_play_owner(world, KEY, 0), KEY, NULL);
	read = dyn_sim_do_get(world, 0, KEY, 3);
	EXPECT(read.row_count == 4);
	dyn_arena_init(&arena, dyn_allocator_malloc(), 1024);
	EXPECT(dyn_clock_decode(read.context, false, &arena.allocator, &clock) ==
		   DYN_STATUS_OK);
	for (uint32_t i = 0; i < clock.range_count; i++)
		starts += i == 0 || clock.ranges[i].actor.start !=
								clock.ranges[i - 1].actor.start;
	EXPECT(starts == 4);
	dyn_arena_destroy(&arena);
	dyn_sim_result_free(&read);
}
