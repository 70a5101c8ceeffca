#include "tests/sim/scenarios.h"

#include "tests/sim/nemesis.h"
#include "tests/sim/play.h"
#include "tests/sim/simnet.h"
#include "tests/sim/simrequest.h"

#include <stdio.h>
#include <string.h>

/* -------------------------------------------------------------- scenarios */

/* The paper's cart: two writers that read nothing make two siblings; who
 * read both replaces both. */
static void
siblings_and_reconciliation(struct dyn_world *world)
{
	struct dyn_sim_result a = dyn_play_put(world, 0, 1, NULL);
	struct dyn_sim_result b = dyn_play_put(world, 1, 1, NULL);
	struct dyn_sim_result read = dyn_sim_do_get(world, 2, 1, 0);
	struct dyn_sim_result c;
	struct dyn_sim_result after;

	EXPECT(a.status == DYN_STATUS_OK && b.status == DYN_STATUS_OK);
	EXPECT(read.row_count == 2);
	c = dyn_play_put(world, 2, 1, &read);
	after = dyn_sim_do_get(world, 0, 1, 0);
	EXPECT(c.status == DYN_STATUS_OK && after.row_count == 1);
	dyn_sim_result_free(&read);
	dyn_sim_result_free(&after);
}

/* kv679: a coordinator loses what it had not committed, comes back, and
 * writes again: the new write must not look like one that was replaced. */
static void
coordinator_with_amnesia(struct dyn_world *world)
{
	uint32_t key = 2;
	uint32_t coordinator = dyn_play_owner(world, key, 0);
	uint32_t other = dyn_play_owner(world, key, 1);
	struct dyn_sim_result read;
	struct dyn_sim_result after;

	for (int round = 0; round < 5; round++)
	{
		dyn_play_put(world, coordinator, key, NULL);
		read = dyn_sim_do_get(world, other, key, 0);
		dyn_play_delete(world, other, key, &read);
		dyn_simnode_crash(world, coordinator, 10);
		dyn_play_pass(world, 5000);
		EXPECT(dyn_play_put(world, coordinator, key, NULL).status ==
			   DYN_STATUS_OK);
		after = dyn_sim_do_get(world, other, key, (uint8_t) world->swarm.n);
		EXPECT(after.row_count == 1);
		dyn_sim_result_free(&read);
		dyn_sim_result_free(&after);
	}
}

/* Two clients that never read each other, each replacing its own version a
 * hundred times: never more than two siblings. */
static void
no_sibling_explosion(struct dyn_world *world)
{
	struct dyn_sim_result mine[2] = { { 0 }, { 0 } };

	for (int round = 0; round < 100; round++)
	{
		int who = round % 2;
		struct dyn_sim_result read;

		EXPECT(dyn_play_put(world, (uint32_t) round % 3, 3,
							round < 2 ? NULL : &mine[who])
				   .status == DYN_STATUS_OK);
		read = dyn_sim_do_get(world, (uint32_t) (round + 1) % 3, 3, 0);
		EXPECT(read.row_count <= 2);
		dyn_sim_result_free(&mine[who]);
		mine[who] = read;
	}
	dyn_sim_result_free(&mine[0]);
	dyn_sim_result_free(&mine[1]);
}

/* Ten clients read, then all of them write what they read plus their own:
 * never more siblings than writers, however often. */
static void
no_sibling_explosion_of_many(struct dyn_world *world)
{
	enum
	{
		WRITERS = 10,
		KEY = 12
	};

	for (uint32_t round = 0; round < 20; round++)
	{
		struct dyn_sim_result reads[WRITERS];

		for (uint32_t i = 0; i < WRITERS; i++)
			reads[i] = dyn_sim_do_get(world, (i + round) % 3, KEY, 0);
		for (uint32_t i = 0; i < WRITERS; i++)
		{
			EXPECT(reads[i].row_count <= WRITERS);
			EXPECT(dyn_play_put(world, (i * 7 + round) % 3, KEY,
								round > 0 ? &reads[i] : NULL)
					   .status == DYN_STATUS_OK);
			dyn_sim_result_free(&reads[i]);
		}
	}
	EXPECT(dyn_play_rows(world, 0, KEY) == WRITERS);
	EXPECT(dyn_play_update(world, 1, KEY).status == DYN_STATUS_OK);
	EXPECT(dyn_play_rows(world, 2, KEY) == 1);
}

/* The answer is lost; the retry goes to another coordinator: one row. */
static void
retry_elsewhere(struct dyn_world *world)
{
	uint32_t key = 4;
	struct dyn_sim_put write = { .key = key, .value_count = 1 };
	struct dyn_sim_result first;
	struct dyn_sim_result read;

	dyn_simnet_block(world, dyn_play_owner(world, key, 0),
					 DYN_SIM_NODES_MAX + DYN_SIM_OPERATOR, true);
	first = dyn_sim_do_put(world, dyn_play_owner(world, key, 0), &write);
	EXPECT(first.status == DYN_STATUS_TIMEOUT);
	dyn_simnet_heal(world);
	/* Somebody replaces it in between: the retry must not bring it back. */
	read = dyn_sim_do_get(world, dyn_play_owner(world, key, 2), key, 0);
	EXPECT(read.row_count == 1);
	EXPECT(
		dyn_play_put(world, dyn_play_owner(world, key, 2), key, &read).status ==
		DYN_STATUS_OK);
	write.retry = true;
	write.retry_op = first.op;
	EXPECT(
		dyn_sim_do_put(world, dyn_play_owner(world, key, 1), &write).status ==
		DYN_STATUS_OK);
	dyn_sim_result_free(&read);
	read = dyn_sim_do_get(world, dyn_play_owner(world, key, 1), key, 0);
	EXPECT(read.row_count == 1);
	EXPECT(!world->writes[first.op].repeated);
	dyn_sim_result_free(&read);
}

/* One of three is away: nobody notices. Two away: a definite no, at once,
 * and nothing is stored. */
static void
quorum_lost_and_found(struct dyn_world *world)
{
	struct dyn_sim_result result;
	uint64_t begin_ms;

	dyn_simnode_crash(world, dyn_play_owner(world, 5, 2), UINT64_MAX);
	dyn_play_pass(world, 1000);
	EXPECT(dyn_play_put(world, dyn_play_owner(world, 5, 0), 5, NULL).status ==
		   DYN_STATUS_OK);
	dyn_simnode_crash(world, dyn_play_owner(world, 5, 1), UINT64_MAX);
	dyn_play_pass(world, 1000);
	begin_ms = world->now_ms;
	result = dyn_play_put(world, dyn_play_owner(world, 5, 0), 5, NULL);
	EXPECT(result.status == DYN_STATUS_NO_QUORUM);
	EXPECT(world->now_ms - begin_ms < 200);
	EXPECT(dyn_whitebox_holders(world, result.op, false) == 0);
	result = dyn_sim_do_get(world, dyn_play_owner(world, 5, 0), 5, 0);
	EXPECT(result.status == DYN_STATUS_NO_QUORUM);
}

/* A full store refuses writes, still answers reads, and recovers by itself. */
static void
full_store(struct dyn_world *world)
{
	uint32_t key = 6;
	struct dyn_sim_result read;

	EXPECT(dyn_play_put(world, 0, key, NULL).status == DYN_STATUS_OK);
	for (uint32_t i = 0; i < 3; i++)
		dyn_simdisk_set_full(world->nodes[i].disk, true);
	EXPECT(
		dyn_play_put(world, dyn_play_owner(world, key, 0), key, NULL).status !=
		DYN_STATUS_OK);
	dyn_play_pass(world, 2000);
	EXPECT(
		dyn_play_put(world, dyn_play_owner(world, key, 0), key, NULL).status !=
		DYN_STATUS_OK);
	read = dyn_sim_do_get(world, dyn_play_owner(world, key, 1), key, 0);
	EXPECT(read.status == DYN_STATUS_OK && read.row_count == 1);
	dyn_sim_result_free(&read);
	for (uint32_t i = 0; i < 3; i++)
	{
		dyn_simdisk_set_full(world->nodes[i].disk, false);
		dyn_simnode_plan(world, i);
	}
	dyn_play_pass(world, 2000);
	EXPECT(
		dyn_play_put(world, dyn_play_owner(world, key, 2), key, NULL).status ==
		DYN_STATUS_OK);
	read = dyn_sim_do_get(world, 0, key, 3);
	EXPECT(read.row_count == 2);
	dyn_sim_result_free(&read);
}

/* With fewer stores than w that take writes, nothing is written anywhere: a
 * definite no, not one more version on the store that still has room. */
static void
too_few_with_room(struct dyn_world *world)
{
	uint32_t key = 6;
	uint32_t here = dyn_play_owner(world, key, 0);
	struct dyn_sim_result result;

	for (uint32_t i = 0; i < world->swarm.node_count; i++)
		dyn_simdisk_set_full(world->nodes[i].disk, i != here);
	dyn_play_put(world, here, key, NULL);
	dyn_play_pass(world, 2000); /* the others have found out, and told */
	result = dyn_play_put(world, here, key, NULL);
	EXPECT(result.status == DYN_STATUS_FULL);
	EXPECT(dyn_whitebox_holders(world, result.op, false) == 0);
}

/* The start counter of a node that started with a full store is kept as soon
 * as there is room, or the next start would count the same. */
static void
start_while_full(struct dyn_world *world)
{
	struct dyn_record_key place = { .key = dyn_slice_of("identity") };
	struct dyn_simdisk *disk = world->nodes[0].disk;
	uint8_t before =
		dyn_simdisk_get(disk, DYN_TABLE_META, &place)->object->data[25];

	dyn_simdisk_set_full(disk, true);
	dyn_play_put(world, 0, 6, NULL);
	dyn_simnode_crash(world, 0, UINT64_MAX);
	dyn_simnode_start(world, 0);
	dyn_play_pass(world, 1000);
	dyn_simdisk_set_full(disk, false);
	dyn_simnode_plan(world, 0);
	dyn_play_pass(world, 1000);
	EXPECT(dyn_simdisk_get(disk, DYN_TABLE_META, &place)->object->data[25] ==
		   before + 1);
}

/* A copy of a data directory is started beside the node that it was copied
 * from: the copy ends, and until then nobody has taken it for the node. */
static void
clone_refused(struct dyn_world *world)
{
	struct dyn_simrandom random = { .state = 1 };
	struct dyn_sim_result result;

	for (uint32_t key = 0; key < 10; key++)
		dyn_play_put(world, 0, key, NULL);
	EXPECT(dyn_nemesis_clone(world, 1, &random));
	for (uint32_t i = 0; i < 100; i++)
	{
		/* The checks see on whose disks it stands. */
		result = dyn_play_put(world, i % 3, i % 10, NULL);
		EXPECT(result.status == DYN_STATUS_OK);
		dyn_play_pass(world, 150);
	}
	EXPECT(world->faults[DYN_FAULT_twin_refused] > 0);
	EXPECT(world->nodes[1].node != NULL && !world->nodes[1].dying);
	EXPECT(dyn_play_rows(world, 0, 3) > 0);
}

/* The power is back, for a node and for the machine with a copy of its data:
 * neither is older, but the copy is not where it was used last. */
static void
clone_as_old_refused(struct dyn_world *world)
{
	struct dyn_simrandom random = { .state = 1 };

	dyn_play_put(world, 0, 1, NULL);
	for (uint32_t i = 0; i < 8; i++)
	{
		uint64_t before = world->faults[DYN_FAULT_twin_refused];

		dyn_simnode_crash(world, 1, UINT64_MAX);
		dyn_simnode_crash(world, DYN_SIM_CLONE, UINT64_MAX);
		EXPECT(dyn_nemesis_clone(world, 1, &random));
		dyn_simnode_start(world, 1);
		dyn_simnode_start(world, DYN_SIM_CLONE);
		dyn_play_pass(world, 8000);
		EXPECT(world->faults[DYN_FAULT_twin_refused] > before);
		EXPECT(world->nodes[1].node != NULL && !world->nodes[1].dying);
	}
}

/* Nobody reads, no tree is compared: damage is found and mended all the same. */
static void
scrub_mends(struct dyn_world *world)
{
	for (uint32_t key = 0; key < 10; key++)
	{
		char buffer[32];
		struct dyn_record_key place = dyn_sim_record_key(key, buffer);
		struct dyn_simdisk *disk;

		dyn_play_put(world, 0, key, NULL);
		dyn_play_pass(world, 500);
		disk = world->nodes[dyn_play_owner(world, key, key % 3)].disk;
		dyn_simdisk_corrupt(
			disk, dyn_simdisk_seek(disk, DYN_TABLE_MAIN, &place), false);
	}
	dyn_play_pass(world, 20000);
	for (uint32_t key = 0; key < 10; key++)
	{
		char buffer[32];
		struct dyn_record_key place = dyn_sim_record_key(key, buffer);
		struct dyn_simdisk *disk =
			world->nodes[dyn_play_owner(world, key, key % 3)].disk;

		EXPECT(!dyn_simdisk_get(disk, DYN_TABLE_MAIN, &place)->corrupt);
	}
}

/* A damaged record is never "not found", and a read mends it. */
static void
damaged_record(struct dyn_world *world)
{
	uint32_t key = 7;
	char buffer[32];
	struct dyn_record_key place = dyn_sim_record_key(key, buffer);
	uint32_t node = dyn_play_owner(world, key, 0);
	struct dyn_simdisk *disk = world->nodes[node].disk;
	struct dyn_sim_result read;

	EXPECT(dyn_play_put(world, node, key, NULL).status == DYN_STATUS_OK);
	dyn_play_pass(world, 1000);
	dyn_simdisk_corrupt(disk, dyn_simdisk_seek(disk, DYN_TABLE_MAIN, &place),
						false);
	read = dyn_sim_do_get(world, node, key, 0);
	EXPECT(read.status == DYN_STATUS_OK && read.row_count == 1);
	dyn_sim_result_free(&read);
	dyn_play_pass(world, 1000);
	EXPECT(!dyn_simdisk_get(disk, DYN_TABLE_MAIN, &place)->corrupt);
}

static void
damage(struct dyn_world *world, uint32_t node, uint32_t key)
{
	char buffer[32];
	struct dyn_record_key place = dyn_sim_record_key(key, buffer);
	struct dyn_simdisk *disk = world->nodes[node].disk;

	dyn_simdisk_corrupt(disk, dyn_simdisk_seek(disk, DYN_TABLE_MAIN, &place),
						false);
}

static bool
is_damaged(struct dyn_world *world, uint32_t node, uint32_t key)
{
	char buffer[32];
	struct dyn_record_key place = dyn_sim_record_key(key, buffer);

	return dyn_simdisk_get(world->nodes[node].disk, DYN_TABLE_MAIN, &place)
		->corrupt;
}

/* Whose own record is damaged takes writes all the same, and loses nothing of
 * what the others hold; when it cannot hear all of them, another one takes
 * them. */
static void
damaged_takes_writes(struct dyn_world *world)
{
	uint32_t key = 7;
	uint32_t node = dyn_play_owner(world, key, 0);
	uint32_t away = dyn_play_owner(world, key, 2);

	EXPECT(dyn_play_put(world, node, key, NULL).status == DYN_STATUS_OK);
	dyn_play_pass(world, 1000);
	damage(world, node, key);
	EXPECT(dyn_play_put(world, node, key, NULL).status == DYN_STATUS_OK);
	EXPECT(dyn_play_sum(world, "puts_mended") == 1);
	dyn_play_pass(world, 100);
	EXPECT(!is_damaged(world, node, key));
	EXPECT(dyn_play_rows(world, node, key) == 2);
	dyn_play_stop(world, away);
	damage(world, node, key);
	EXPECT(dyn_play_put(world, node, key, NULL).status == DYN_STATUS_OK);
	dyn_play_start(world, away);
	/* This read meets the damage, and mends it. */
	dyn_play_rows(world, node, key);
	dyn_play_pass(world, 500);
	EXPECT(dyn_play_rows(world, node, key) == 3);
}

/* A damaged record that nobody reads keeps no hint away for long. */
static void
damaged_takes_hints(struct dyn_world *world)
{
	uint32_t key = 7;
	uint32_t away = dyn_play_owner(world, key, 2);
	uint32_t here = dyn_play_owner(world, key, 0);

	EXPECT(dyn_play_put(world, here, key, NULL).status == DYN_STATUS_OK);
	dyn_play_pass(world, 500);
	dyn_play_stop(world, away);
	EXPECT(dyn_play_put(world, here, key, NULL).status == DYN_STATUS_OK);
	EXPECT(dyn_play_sum(world, "hints_written") == 1);
	damage(world, away, key);
	dyn_simnode_start(world, away);
	dyn_play_pass(world, 10000);
	EXPECT(!is_damaged(world, away, key));
	EXPECT(dyn_play_sum(world, "hints_delivered") == 1);
	EXPECT(dyn_play_rows(world, here, key) == 2);
}

/* A replica that was away during a delete must not bring the value back. */
static void
delete_behind_the_back(struct dyn_world *world)
{
	uint32_t key = 8;
	uint32_t away = dyn_play_owner(world, key, 2);
	uint32_t here = dyn_play_owner(world, key, 0);
	struct dyn_sim_result read;

	EXPECT(dyn_play_put(world, here, key, NULL).status == DYN_STATUS_OK);
	dyn_play_pass(world, 500);
	dyn_simnode_crash(world, away, UINT64_MAX);
	dyn_play_pass(world, 500);
	read = dyn_sim_do_get(world, here, key, 0);
	EXPECT(dyn_play_delete(world, here, key, &read).status == DYN_STATUS_OK);
	dyn_sim_result_free(&read);
	dyn_simnode_start(world, away);
	dyn_play_pass(world, 3000);
	EXPECT(dyn_play_put(world, away, key, NULL).status == DYN_STATUS_OK);
	read = dyn_sim_do_get(world, away, key, 3);
	EXPECT(read.row_count == 1);
	dyn_sim_result_free(&read);
}

/* The row clock of one sibling replaces that one only; a create meets a live
 * version; a guarded write meets what its context does not cover. */
static void
checking_modes(struct dyn_world *world)
{
	struct dyn_sim_put write = { .key = 9,
								 .mode = DYN_HISTORY_CREATE,
								 .value_count = 1 };
	struct dyn_sim_result read;

	EXPECT(dyn_sim_do_put(world, 0, &write).status == DYN_STATUS_OK);
	EXPECT(dyn_sim_do_put(world, 1, &write).status == DYN_STATUS_EXISTS);
	read = dyn_sim_do_get(world, 2, 9, 0);
	EXPECT(dyn_play_put(world, 2, 9, NULL).status == DYN_STATUS_OK);
	write.mode = DYN_HISTORY_GUARDED;
	write.read = &read;
	EXPECT(dyn_sim_do_put(world, 0, &write).status == DYN_STATUS_CONFLICT);
	dyn_sim_result_free(&read);
	read = dyn_sim_do_get(world, 1, 9, 0);
	write.read = &read;
	EXPECT(dyn_sim_do_put(world, 1, &write).status == DYN_STATUS_OK);
	dyn_sim_result_free(&read);
	read = dyn_sim_do_get(world, 1, 9, 0);
	EXPECT(read.row_count == 1);
	dyn_sim_result_free(&read);
}

/* More is written than the nodes have room for: what is refused was sent to
 * nobody, and nobody is left with half a write. */
static void
overload_is_definite(struct dyn_world *world)
{
	dyn_play_pass(world, 30000);
	EXPECT(dyn_play_sum(world, "records_committed") > 1000);
	EXPECT(dyn_play_sum(world, "overloads") > 1000);
	EXPECT(dyn_play_sum(world, "put_ops_unknown") == 0);
}

/* Nodes hold less than their clients ask for at once: what reads bring in is
 * refused before it is too much (W4), and what fits goes on. */
static void
reads_keep_to_the_room(struct dyn_world *world)
{
	dyn_play_pass(world, 30000);
	EXPECT(dyn_play_sum(world, "get_ops") > 1000);
	EXPECT(dyn_play_sum(world, "records_committed") > 1000);
	EXPECT(dyn_play_sum(world, "overloads") > 100);
}

/* Scans while replicas are late and stores slow: the checker judges. */
static void
scans_and_late_replicas(struct dyn_world *world)
{
	dyn_play_pass(world, 120000);
	EXPECT(dyn_play_sum(world, "scan_hashes") > 1000);
}

/* R + W <= N: a read may miss what was acknowledged, until the owners have
 * met.  Nothing is lost by it. */
static void
read_may_miss(struct dyn_world *world)
{
	uint32_t key = 5;
	struct dyn_sim_result write;
	struct dyn_sim_result read;

	for (uint32_t node = 1; node < 3; node++)
	{
		dyn_simnet_block(world, 0, node, true);
		dyn_simnet_block(world, node, 0, true);
	}
	dyn_play_pass(world, 5000);
	write = dyn_play_put(world, 0, key, NULL);
	EXPECT(write.status == DYN_STATUS_OK);
	read = dyn_sim_do_get(world, 1, key, 1);
	EXPECT(read.row_count == 0);
	dyn_sim_result_free(&read);
	dyn_simnet_heal(world);
	dyn_play_pass(world, 15 * (uint64_t) world->swarm.anti_entropy_ms);
	read = dyn_sim_do_get(world, 1, key, 1);
	EXPECT(read.row_count == 1);
	dyn_sim_result_free(&read);
}

/* -------------------------------------------------------------------- list */

#define REFILL "key_count=30"
#define REAP   "reap_ms=1000,grace_ms=2000,anti_entropy_ms=1000,scrub_ms=3000"
#define LATE   "socket_frames=10000,anti_entropy_ms=1000"
#define FIVE   "node_count=5,n=5,r=2,w=2"
#define NINE                                                                   \
	"node_count=9,r=3,w=3,partition_count=256,key_count=4096,client_count=9,"  \
	"think_ms=20,blind_rate=1000000,value_size_max=8000,lww=1,"                \
	"disk_sync_ms=5,disk_bytes_per_ms=5000"
#define CROWD                                                                  \
	"client_count=9,batch_max=16,key_count=64,write_rate=1000000,"             \
	"blind_rate=500000,think_ms=2,commit_ms_max=30,keys_max=24"

#define HOARD                                                                  \
	"node_count=4,n=4,r=4,w=1,client_count=9,batch_max=16,key_count=64,"       \
	"write_rate=200000,blind_rate=800000,think_ms=2,delay_ms_min=10,"          \
	"delay_ms_max=50,value_size_max=2000,memory_max=60000"

static const struct
{
	const char *name;
	void (*play)(struct dyn_world *world);
	const char *settings; /* or NULL; beyond those of a calm run (swarm.h) */
} scenarios[] = {
	{ "siblings_and_reconciliation", siblings_and_reconciliation, NULL },
	{ "coordinator_with_amnesia", coordinator_with_amnesia, NULL },
	{ "no_sibling_explosion", no_sibling_explosion, NULL },
	{ "no_sibling_explosion_of_many", no_sibling_explosion_of_many, NULL },
	{ "retry_elsewhere", retry_elsewhere, NULL },
	{ "quorum_lost_and_found", quorum_lost_and_found, NULL },
	{ "full_store", full_store, NULL },
	{ "too_few_with_room", too_few_with_room, NULL },
	{ "start_while_full", start_while_full, NULL },
	{ "damaged_record", damaged_record, NULL },
	{ "a_damaged_record_takes_writes", damaged_takes_writes, "node_count=4" },
	{ "a_damaged_record_takes_hints", damaged_takes_hints, "node_count=4" },
	{ "a_clone_is_refused", clone_refused, NULL },
	{ "a_clone_as_old_is_refused", clone_as_old_refused, NULL },
	{ "scrub_mends_unread_records", scrub_mends, "scrub_ms=500" },
	{ "delete_behind_the_back", delete_behind_the_back, NULL },
	{ "checking_modes", checking_modes, NULL },
	{ "overload_is_definite", overload_is_definite, CROWD },
	{ "reads_keep_to_the_room", reads_keep_to_the_room, HOARD },
	{ "without_overlap_a_read_may_miss", read_may_miss,
	  "w=1,r=1,anti_entropy_ms=1000" },
	{ "scans_and_late_replicas", scans_and_late_replicas,
	  "client_count=9,key_count=8,partition_count=4,think_ms=10,"
	  "write_rate=400000,blind_rate=100000,scan_rate=1000000,"
	  "tail_rate=300000,tail_ms_max=60,read_ms_max=30" },
	{ "kv679_dataloss", dyn_kv679_dataloss, NULL },
	{ "kv679_dataloss_fb", dyn_kv679_dataloss_fb, NULL },
	{ "kv679_dataloss_fb2", dyn_kv679_dataloss_fb2, FIVE },
	{ "kv679_tombstone", dyn_kv679_tombstone, NULL },
	{ "kv679_tombstone2", dyn_kv679_tombstone2, NULL },
	{ "kv679_uid", dyn_kv679_uid, NULL },
	{ "anti_entropy_alone_converges", dyn_equal_without_reads,
	  "anti_entropy_ms=1000,key_count=60" },
	{ "anti_entropy_after_a_partition", dyn_equal_after_a_partition,
	  "anti_entropy_ms=1000,key_count=20,w=1" },
	{ "anti_entropy_under_load", dyn_equal_under_load,
	  "anti_entropy_ms=500,key_count=2000,client_count=8,think_ms=1,"
	  "batch_max=16,write_rate=950000,blind_rate=900000,commit_ms_max=15,"
	  "partition_count=32" },
	{ "no_hint_storm", dyn_storm_of_hints, NINE },
	{ "no_repair_storm", dyn_storm_of_repairs, NINE ",anti_entropy_ms=1000" },
	{ "hints_and_repairs_share_credit", dyn_storm_of_both,
	  NINE ",anti_entropy_ms=1000" },
	{ "an_emptied_disk_is_filled", dyn_refill_emptied_disk, REFILL },
	{ "an_emptied_disk_and_crashes", dyn_refill_with_crashes, REFILL },
	{ "an_emptied_disk_with_little_room", dyn_refill_emptied_disk,
	  REFILL ",partition_count=1,keys_max=4" },
	{ "an_emptied_disk_beside_damage", dyn_refill_beside_damage,
	  REFILL ",r=1,w=3" },
	{ "a_restored_backup_is_brought_up", dyn_refill_restored_backup, REFILL },
	{ "a_backup_of_two_heartbeats_is_noticed",
	  dyn_refill_backup_of_two_heartbeats, REFILL },
	{ "a_restored_backup_is_silent_before_it_is_told",
	  dyn_refill_silent_before_told, REFILL },
	{ "a_restored_backup_learns_contexts", dyn_refill_contexts, REFILL },
	{ "a_deleted_key_is_made_again", dyn_reaping_delete_and_make_again, REAP },
	{ "a_late_frame_brings_nothing_back", dyn_reaping_late_frame, REAP },
	{ "a_fallback_away_blocks_reaping", dyn_reaping_waits_for_a_fallback,
	  REAP ",node_count=5" },
	{ "expired_keys_go_without_repairs", dyn_reaping_expired_keys,
	  REAP ",ttl_ms=3000,key_count=300" },
	{ "long_contexts_are_pruned", dyn_reaping_prunes, REAP },
	{ "clocks_apart_hide_no_row", dyn_skewed_nodes, "ttl_ms=5000" },
	{ "a_reader_s_clock_hides_no_row", dyn_skewed_reader, "ttl_ms=5000" },
	{ "a_stranger_s_clock_hides_no_row", dyn_skewed_strangers, "ttl_ms=8000" },
	{ "who_is_gone_hides_no_row", dyn_skewed_coordinator_gone, "ttl_ms=30000" },
	{ "a_late_insert_after_a_delete", dyn_late_insert_and_delete, LATE },
	{ "a_retransmitted_insert_after_a_delete", dyn_late_retransmitted,
	  LATE ",retransmit_rate=1000000" },
	{ "an_unseen_insert_after_a_delete", dyn_late_unseen_insert_and_delete,
	  LATE },
	{ "an_unseen_update_after_an_update", dyn_late_unseen_update_and_update,
	  LATE },
	{ "a_retry_that_all_have_forgotten", dyn_late_retry_after_forgetting,
	  LATE },
	{ "a_put_that_is_late_when_it_was_loaded", dyn_late_after_its_load, LATE },
	{ "a_put_that_was_handed_on_late", dyn_late_handed_on,
	  LATE ",node_count=4" },
	{ "one_of_two_values_is_deleted", dyn_late_one_of_two_values, LATE },
	{ "twins_go_together", dyn_late_twins_go_together, LATE ",r=1,w=1" },
	{ "lastwrite_the_stamp_of_a_twin", dyn_late_stamp_of_a_twin,
	  LATE ",lww=1,r=1,w=1" },
	{ "lastwrite_the_stamps_of_retries", dyn_late_stamps_of_retries,
	  LATE ",lww=1,r=1,w=1" },
	{ "a_retry_acknowledged_on_the_first_copy",
	  dyn_late_acknowledged_on_the_first_copy, "socket_frames=10000,r=1,w=3" },
	{ "lastwrite_one_is_left", dyn_lastwrite_one_is_left, "lww=1" },
	{ "lastwrite_delete", dyn_lastwrite_delete, "lww=1" },
	{ "lastwrite_chain", dyn_lastwrite_chain, "lww=1" },
	{ "lastwrite_chain_meets_strangers", dyn_lastwrite_chain_meets_strangers,
	  "lww=1,node_count=5,n=5,r=3,w=3" },
};

uint32_t
dyn_scenarios_count(void)
{
	return sizeof(scenarios) / sizeof(scenarios[0]);
}

const char *
dyn_scenarios_name(uint32_t index)
{
	return scenarios[index].name;
}

bool
dyn_scenarios_play(uint32_t index, bool verbose, char *why, uint32_t why_size)
{
	struct dyn_swarm swarm;
	struct dyn_world *world;
	bool ok;

	dyn_swarm_calm(&swarm);
	if (scenarios[index].settings != NULL &&
		!dyn_swarm_set(&swarm, scenarios[index].settings, why, why_size))
		return false;
	world = dyn_world_new(index + 1, &swarm, verbose);
	dyn_play_pass(world, 5000);
	scenarios[index].play(world);
	dyn_world_finish(world);
	ok = world->violation_count == 0;
	snprintf(why, why_size, "%s", world->first_violation);
	dyn_world_free(&world);
	return ok;
}
