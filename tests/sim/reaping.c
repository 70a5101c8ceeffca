/*
 * Reaping in scenarios: what is deleted goes everywhere, and stays away.
 */
#include "tests/sim/play.h"

#include "model/hash.h"
#include "tests/sim/simnet.h"

#include <stdio.h>
#include <string.h>

static const struct dyn_simrecord *
record_of(struct dyn_world *world, uint32_t node, uint32_t key)
{
	char buffer[32];
	struct dyn_record_key place = dyn_sim_record_key(key, buffer);

	return dyn_simdisk_get(world->nodes[node].disk, DYN_TABLE_MAIN, &place);
}

/* On how many disks is there a record of the key? */
static uint32_t
count_records(struct dyn_world *world, uint32_t key)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < world->swarm.node_count; i++)
		count += record_of(world, i, key) != NULL;
	return count;
}

static void
delete_key(struct dyn_world *world, uint32_t node, uint32_t key)
{
	struct dyn_sim_result read =
		dyn_sim_do_get(world, node, key, (uint8_t) world->swarm.r);
	struct dyn_sim_result result = dyn_play_delete(world, node, key, &read);

	EXPECT(result.status == DYN_STATUS_OK);
	dyn_sim_result_free(&read);
}

/* Time for the grace and some rounds. */
static void
wait(struct dyn_world *world)
{
	dyn_play_pass(world,
				  world->swarm.grace_ms + 6 * (uint64_t) world->swarm.reap_ms);
}

/* A key is deleted and made again, over and over; each time nothing of it was
 * left, and what is made is there to stay. */
void
dyn_reaping_delete_and_make_again(struct dyn_world *world)
{
	for (uint32_t round = 0; round < 4; round++)
	{
		struct dyn_sim_result write = dyn_play_put(world, round % 3, 1, NULL);

		EXPECT(write.status == DYN_STATUS_OK);
		wait(world);
		EXPECT(count_records(world, 1) == world->swarm.n);
		EXPECT(dyn_play_has(world, (round + 1) % 3, 1, &write));
		delete_key(world, (round + 2) % 3, 1);
		EXPECT(dyn_play_rows(world, 0, 1) == 0);
		wait(world);
		EXPECT(count_records(world, 1) == 0);
		EXPECT(dyn_play_rows(world, round % 3, 1) == 0);
	}
	EXPECT(dyn_play_sum(world, "reaped") == 4 * (uint64_t) world->swarm.n);
}

/* A write's frame, as it left before the delete. */
static void
deliver_late(struct dyn_world *world, uint32_t node, uint32_t key,
			 struct dyn_slice object)
{
	char buffer[32];
	struct dyn_record_key place = dyn_sim_record_key(key, buffer);
	struct dyn_event event = { .type = DYN_EVENT_MESSAGE };
	Dyn__ReplicateRequest message = DYN__REPLICATE_REQUEST__INIT;
	Dyn__ReplicateOp op = DYN__REPLICATE_OP__INIT;
	Dyn__ReplicateOp *ops = &op;
	struct dyn_envelope env = {
		.type = DYN_MESSAGE_REPLICATE,
		.cluster =
			dyn_envelope_cluster(&dyn_node_ring(world->nodes[0].node)->cluster)
	};
	struct dyn_arena arena;

	op.key = dyn_bytes_of_slice(place.key);
	op.object = dyn_bytes_of_slice(object);
	message.bucket = dyn_bytes_of_slice(place.bucket);
	message.n_ops = 1;
	message.ops = &ops;
	dyn_arena_init(&arena, dyn_allocator_malloc(), 1024);
	event.message.source = DYN_SOURCE_NODE;
	EXPECT(dyn_message_pack(&env, &message.base, &arena.allocator,
							&event.message.frame) == DYN_STATUS_OK);
	dyn_simnode_take(world, node, &event);
	dyn_arena_destroy(&arena);
}

/* A frame that was under way since before the delete brings nothing back. */
void
dyn_reaping_late_frame(struct dyn_world *world)
{
	uint32_t owner = dyn_play_owner(world, 3, 1);
	struct dyn_simblob *before;

	EXPECT(dyn_play_put(world, 0, 3, NULL).status == DYN_STATUS_OK);
	dyn_play_pass(world, 500);
	before = dyn_simblob_hold(record_of(world, owner, 3)->object);
	delete_key(world, 0, 3);
	/* While the tombstone is there, it does no harm, and is taken. */
	deliver_late(world, owner, 3, dyn_simblob_slice(before));
	dyn_play_pass(world, 500);
	EXPECT(dyn_play_rows(world, 1, 3) == 0);
	EXPECT(dyn_play_sum(world, "fenced") == 0);
	wait(world);
	EXPECT(count_records(world, 3) == 0);
	for (uint32_t rank = 0; rank < world->swarm.n; rank++)
		deliver_late(world, dyn_play_owner(world, 3, rank), 3,
					 dyn_simblob_slice(before));
	dyn_play_pass(world, 500);
	EXPECT(dyn_play_sum(world, "fenced") == world->swarm.n);
	EXPECT(count_records(world, 3) == 0);
	EXPECT(dyn_play_rows(world, 2, 3) == 0);
	/* All of them were started anew meanwhile: floors are on disk. */
	for (uint32_t node = 0; node < world->swarm.node_count; node++)
	{
		dyn_play_stop(world, node);
		dyn_play_start(world, node);
	}
	deliver_late(world, owner, 3, dyn_simblob_slice(before));
	dyn_play_pass(world, 500);
	EXPECT(count_records(world, 3) == 0);
	dyn_simblob_release(before);
}

static uint32_t
find_stranger(struct dyn_world *world, uint32_t key)
{
	bool owners[DYN_SIM_NODES_MAX];
	char buffer[32];
	struct dyn_record_key place = dyn_sim_record_key(key, buffer);

	dyn_whitebox_owners(world, key, owners);
	for (uint32_t i = 0; i < world->swarm.node_count; i++)
		if (!owners[i] && dyn_simdisk_get(world->nodes[i].disk, DYN_TABLE_HINTS,
										  &place) != NULL)
			return i;
	return UINT32_MAX;
}

/* Who keeps something for an owner is away: nothing goes before it is back,
 * and has brought what it keeps. */
void
dyn_reaping_waits_for_a_fallback(struct dyn_world *world)
{
	uint32_t key = 5;
	uint32_t late = dyn_play_owner(world, key, 2);
	uint32_t first = dyn_play_owner(world, key, 0);
	uint32_t keeper;

	dyn_play_stop(world, late);
	EXPECT(dyn_play_put(world, first, key, NULL).status == DYN_STATUS_OK);
	dyn_play_pass(world, 500);
	keeper = find_stranger(world, key);
	EXPECT(keeper != UINT32_MAX);
	if (keeper == UINT32_MAX)
		return;
	dyn_play_stop(world, keeper);
	dyn_play_start(world, late);
	dyn_play_pass(world, 5000);
	delete_key(world, first, key);
	wait(world);
	dyn_play_pass(world, 10000);
	EXPECT(count_records(world, key) == world->swarm.n);
	EXPECT(dyn_play_sum(world, "reap_blocked") > 0 &&
		   dyn_play_sum(world, "reaped") == 0);
	dyn_play_start(world, keeper);
	wait(world);
	dyn_play_pass(world, 5000);
	EXPECT(find_stranger(world, key) == UINT32_MAX);
	EXPECT(count_records(world, key) == 0);
	EXPECT(dyn_play_rows(world, first, key) == 0);
}

/* What has expired goes, from all owners, and nobody mends anything. */
void
dyn_reaping_expired_keys(struct dyn_world *world)
{
	uint32_t keys = world->swarm.key_count;
	uint32_t left = 0;

	for (uint32_t key = 0; key < keys; key++)
		EXPECT(dyn_play_put(world, key % 3, key, NULL).status == DYN_STATUS_OK);
	dyn_play_pass(world, world->swarm.ttl_ms);
	wait(world);
	dyn_play_pass(world, 3000);
	for (uint32_t key = 0; key < keys; key++)
		left += count_records(world, key);
	EXPECT(left == 0);
	EXPECT(dyn_play_sum(world, "reaped") == (uint64_t) keys * world->swarm.n);
	EXPECT(dyn_play_sum(world, "repairs_sent") == 0);
}

/* A key that is written by ever new processes keeps a short context, and what
 * was replaced stays away. */
void
dyn_reaping_prunes(struct dyn_world *world)
{
	struct dyn_simblob *old = NULL;
	struct dyn_sim_result last = { .status = DYN_STATUS_OK };

	for (uint32_t round = 0; round < 18; round++)
	{
		uint32_t node = round % 3;

		dyn_play_stop(world, node);
		dyn_play_start(world, node);
		last = dyn_play_update(world, node, 2);
		EXPECT(last.status == DYN_STATUS_OK);
		if (round == 1)
		{
			dyn_play_pass(world, 500);
			old = dyn_simblob_hold(record_of(world, 0, 2)->object);
		}
	}
	wait(world);
	wait(world);
	EXPECT(dyn_play_sum(world, "pruned") >= world->swarm.n);
	for (uint32_t node = 0; node < world->swarm.n; node++)
		EXPECT((record_of(world, node, 2)->flags & DYN_RECORD_CROWDED) == 0);
	deliver_late(world, 1, 2, dyn_simblob_slice(old));
	dyn_play_pass(world, 500);
	EXPECT(dyn_play_rows(world, 1, 2) == 1);
	EXPECT(dyn_play_has(world, 2, 2, &last));
	dyn_simblob_release(old);
}
