/*
 * Stores that are lost, or that an older copy takes the place of: nobody is
 * told what they do not know, and they are filled up without anybody reading.
 */
#include "tests/sim/nemesis.h"
#include "tests/sim/play.h"
#include "tests/sim/simnet.h"

#include <string.h>

enum
{
	KEYS = 30,
	NODE = 1, /* the one that has the trouble */
	SETTLE_MS = 3000,
	HEARD_MS = 50, /* commits, frames, slow ticks */
	FILL_MS = 30000
};

static void
write_all(struct dyn_world *world, uint32_t node)
{
	for (uint32_t key = 0; key < KEYS; key++)
		EXPECT(dyn_play_update(world, node, key).status == DYN_STATUS_OK);
}

/* What this node alone says, if it says anything, is no less than one row. */
static void
listen_to(struct dyn_world *world, uint32_t node)
{
	for (uint32_t key = 0; key < KEYS; key++)
	{
		struct dyn_sim_result read = dyn_sim_do_get(world, node, key, 1);

		EXPECT(read.status != DYN_STATUS_NOT_FOUND);
		EXPECT(read.status != DYN_STATUS_OK || read.row_count == 1);
		dyn_sim_result_free(&read);
	}
}

static uint64_t
counter(struct dyn_world *world, const char *name)
{
	const char *found;
	uint64_t value;

	for (uint32_t i = 0;
		 (found = dyn_node_counter(world->nodes[NODE].node, i, &value)) != NULL;
		 i++)
		if (strcmp(found, name) == 0)
			return value;
	return 0;
}

static bool
is_equal(struct dyn_world *world)
{
	char why[DYN_WHITEBOX_WHY];

	for (uint32_t key = 0; key < KEYS; key++)
		if (dyn_whitebox_unequal(world, key, why) != NULL)
			return false;
	return true;
}

static void
empty(struct dyn_world *world)
{
	struct dyn_simrandom random = { .state = 1 };

	EXPECT(dyn_nemesis_empty(world, NODE, &random));
	dyn_play_pass(world, world->swarm.down_ms_max + 2);
	if (world->nodes[NODE].node == NULL)
		dyn_simnode_start(world, NODE);
}

/* The first time a copy is made, the second time it is put in place. */
static void
copy_or_go_back(struct dyn_world *world)
{
	struct dyn_simrandom random = { .state = 1 };
	uint32_t seconds = 0;

	/* Everybody must have heard how far its store had come. */
	while (!dyn_nemesis_roll_back(world, NODE, &random) && seconds++ < 30)
		dyn_play_pass(world, 1000);
	EXPECT(seconds < 30);
	dyn_play_pass(world, world->swarm.down_ms_max + 2);
}

void
dyn_refill_emptied_disk(struct dyn_world *world)
{
	write_all(world, 0);
	dyn_play_pass(world, SETTLE_MS);
	empty(world);
	for (uint32_t i = 0; i < 30; i++)
	{
		listen_to(world, NODE);
		listen_to(world, 0);
		if (i == 10)
			write_all(world, 2);
		dyn_play_pass(world, 200);
	}
	dyn_play_pass(world, FILL_MS);
	EXPECT(counter(world, "buildings") >= world->swarm.partition_count);
	EXPECT(counter(world, "buildings_done") >= world->swarm.partition_count);
	EXPECT(is_equal(world));
}

static void
part(struct dyn_world *world, uint32_t a, uint32_t b)
{
	dyn_simnet_block(world, a, b, true);
	dyn_simnet_block(world, b, a, true);
}

/* This node, by itself, tells of this write. */
static void
expect_write(struct dyn_world *world, uint32_t key, uint32_t op)
{
	struct dyn_sim_result read = dyn_sim_do_get(world, NODE, key, 1);

	EXPECT(dyn_vids_has(&read.vids, world->history.ops[op].first_vid));
	dyn_sim_result_free(&read);
}

/*
 * It crashes again and again before it is full, while only one other node can
 * tell, which has missed the last writes.  What is written meanwhile stays.
 */
void
dyn_refill_with_crashes(struct dyn_world *world)
{
	uint32_t ops[KEYS];
	struct dyn_sim_result meanwhile;

	write_all(world, 0);
	dyn_play_pass(world, SETTLE_MS);
	part(world, 0, NODE);
	part(world, 0, 2);
	dyn_play_pass(world, 2 * SETTLE_MS);
	for (uint32_t key = 0; key < KEYS; key++)
		ops[key] = dyn_play_update(world, 2, key).op;
	part(world, NODE, 2);
	dyn_simnet_block(world, 0, NODE, false);
	dyn_simnet_block(world, NODE, 0, false);
	empty(world);
	dyn_play_pass(world, 2 * SETTLE_MS);
	meanwhile = dyn_play_put(world, 0, 5, NULL);
	EXPECT(meanwhile.status == DYN_STATUS_OK);
	for (uint32_t i = 0; i < 5; i++)
	{
		dyn_play_pass(world, 4000);
		dyn_simnode_crash(world, NODE, UINT64_MAX);
		dyn_simnode_start(world, NODE);
	}
	dyn_simnet_heal(world);
	dyn_play_pass(world, FILL_MS);
	EXPECT(counter(world, "buildings_done") >= world->swarm.partition_count);
	for (uint32_t key = 0; key < KEYS; key++)
		expect_write(world, key, ops[key]);
	expect_write(world, 5, meanwhile.op);
}

/* What one of the others cannot read, a third one tells. */
void
dyn_refill_beside_damage(struct dyn_world *world)
{
	char buffer[32];
	struct dyn_simdisk *disk = world->nodes[0].disk;

	write_all(world, 0);
	dyn_play_pass(world, SETTLE_MS);
	part(world, NODE, 2);
	for (uint32_t key = 0; key < KEYS; key += 5)
	{
		struct dyn_record_key place = dyn_sim_record_key(key, buffer);

		dyn_simdisk_corrupt(
			disk, dyn_simdisk_seek(disk, DYN_TABLE_MAIN, &place), false);
	}
	empty(world);
	dyn_play_pass(world, FILL_MS);
	listen_to(world, NODE);
	EXPECT(counter(world, "fill_damaged") > 0);
	dyn_simnet_heal(world);
	dyn_play_pass(world, FILL_MS);
	listen_to(world, NODE);
	EXPECT(counter(world, "buildings_done") >= world->swarm.partition_count);
}

void
dyn_refill_restored_backup(struct dyn_world *world)
{
	write_all(world, 0);
	dyn_play_pass(world, SETTLE_MS);
	copy_or_go_back(world);
	write_all(world, 2);
	dyn_play_pass(world, SETTLE_MS);
	for (uint32_t key = 0; key < KEYS; key += 3)
	{
		struct dyn_sim_result read = dyn_sim_do_get(world, 0, key, 0);

		EXPECT(dyn_play_delete(world, 0, key, &read).status == DYN_STATUS_OK);
		dyn_sim_result_free(&read);
	}
	dyn_play_pass(world, SETTLE_MS);
	copy_or_go_back(world);
	dyn_play_pass(world, FILL_MS);
	EXPECT(counter(world, "rollbacks") > 0);
	EXPECT(counter(world, "buildings_done") >= world->swarm.partition_count);
	EXPECT(is_equal(world));
	for (uint32_t key = 0; key < KEYS; key++)
	{
		struct dyn_sim_result read = dyn_sim_do_get(world, NODE, key, 1);

		EXPECT(read.row_count == (key % 3 != 0));
		dyn_sim_result_free(&read);
	}
}

/* Two heartbeats after the copy were enough for others to know of what was
 * written since: a write in their first moment, and one of a single key. */
void
dyn_refill_backup_of_two_heartbeats(struct dyn_world *world)
{
	struct dyn_simnode *node = &world->nodes[NODE];

	write_all(world, 0);
	dyn_play_pass(world, SETTLE_MS);
	for (uint32_t round = 0; round < 8; round++)
	{
		dyn_play_pass(world, 41); /* a copy at any moment between two */
		node->snapshot = dyn_simdisk_copy(node->disk);
		EXPECT(dyn_play_update(world, 0, round).status == DYN_STATUS_OK);
		dyn_play_pass(world, 2 * world->swarm.heartbeat_ms + HEARD_MS);
		dyn_simnode_crash(world, NODE, UINT64_MAX);
		dyn_simdisk_free(&node->disk);
		node->disk = node->snapshot;
		node->snapshot = NULL;
		node->lost_at_ms = world->now_ms;
		dyn_simnode_start(world, NODE);
		listen_to(world, NODE);
		dyn_play_pass(world, FILL_MS);
		EXPECT(counter(world, "rollbacks") > 0);
		EXPECT(is_equal(world));
		listen_to(world, NODE);
	}
}

/* It cannot be told, as nobody reaches it but clients. */
void
dyn_refill_silent_before_told(struct dyn_world *world)
{
	struct dyn_sim_result read;

	write_all(world, 0);
	dyn_play_pass(world, SETTLE_MS);
	copy_or_go_back(world);
	write_all(world, 2);
	dyn_play_pass(world, SETTLE_MS);
	for (uint32_t i = 0; i < world->swarm.node_count; i++)
		if (i != NODE)
			part(world, NODE, i);
	copy_or_go_back(world);
	for (uint32_t i = 0; i < 20; i++)
	{
		read = dyn_sim_do_get(world, NODE, i, 1);
		EXPECT(read.status != DYN_STATUS_OK &&
			   read.status != DYN_STATUS_NOT_FOUND);
		dyn_sim_result_free(&read);
		dyn_play_pass(world, 1000);
	}
	dyn_simnet_heal(world);
	dyn_play_pass(world, FILL_MS);
	EXPECT(counter(world, "rollbacks") > 0);
	EXPECT(is_equal(world));
	listen_to(world, NODE);
}

static struct dyn_slice
bytes_on(const struct dyn_world *world, uint32_t node, uint32_t key)
{
	char buffer[32];
	struct dyn_record_key place = dyn_sim_record_key(key, buffer);
	const struct dyn_simrecord *record =
		dyn_simdisk_get(world->nodes[node].disk, DYN_TABLE_MAIN, &place);

	return record != NULL ? dyn_simblob_slice(record->object)
						  : (struct dyn_slice){ NULL, 0 };
}

/* As if a version had been there and been replaced by the one that is: same
 * versions, same hash, a dot more in the context. */
static void
add_dead_dot(struct dyn_world *world, uint32_t node, uint32_t key)
{
	struct dyn_simdisk *disk = world->nodes[node].disk;
	char buffer[32];
	struct dyn_record_key place = dyn_sim_record_key(key, buffer);
	const struct dyn_simrecord *found =
		dyn_simdisk_get(disk, DYN_TABLE_MAIN, &place);
	struct dyn_simrecord record = *found;
	struct dyn_object object;
	struct dyn_object dead = { .version_count = 0 };
	struct dyn_slice bytes;
	struct dyn_arena arena;

	dyn_arena_init(&arena, dyn_allocator_malloc(), 4096);
	EXPECT(dyn_object_decode(dyn_simblob_slice(found->object), &arena.allocator,
							 &object) == DYN_STATUS_OK);
	EXPECT(dyn_clock_add(&dead.context,
						 (struct dyn_dot){ .actor = { 77, 1 }, .counter = 1 },
						 &arena.allocator, &dead.context) == DYN_STATUS_OK);
	EXPECT(dyn_object_sync(&object, &dead, &arena.allocator, &object) ==
		   DYN_STATUS_OK);
	EXPECT(dyn_object_encode(&object, &arena.allocator, &bytes) ==
		   DYN_STATUS_OK);
	record.key = place;
	record.object = dyn_simblob_new(bytes);
	dyn_simdisk_put(disk, DYN_TABLE_MAIN, &record);
	dyn_simblob_release(record.object);
	dyn_arena_destroy(&arena);
}

/* Hashes that are equal excuse nothing: they say nothing of contexts. */
void
dyn_refill_contexts(struct dyn_world *world)
{
	write_all(world, 0);
	dyn_play_pass(world, SETTLE_MS);
	copy_or_go_back(world);
	for (uint32_t key = 1; key < KEYS; key++)
		EXPECT(dyn_play_update(world, 0, key).status == DYN_STATUS_OK);
	dyn_play_pass(world, SETTLE_MS);
	add_dead_dot(world, 0, 0);
	add_dead_dot(world, 2, 0);
	copy_or_go_back(world);
	dyn_play_pass(world, FILL_MS);
	EXPECT(counter(world, "buildings_done") > 0);
	EXPECT(dyn_slice_equal(bytes_on(world, 0, 0), bytes_on(world, NODE, 0)));
}
