/*
 * Attempts at writes that act late, or have acted unseen, while others replace
 * what was written: nothing comes back, and nothing later is lost.
 */
#include "tests/sim/nemesis.h"
#include "tests/sim/play.h"
#include "tests/sim/simclient_state.h"
#include "tests/sim/simnet.h"

enum
{
	KEY = 5,
	SILENT_MS = 1500, /* then a client goes on */
	HALTED_MS = 6000,
	SOON_MS = 500,
	LATER_MS = 10000
};

/* The owners of the key. */
struct owners
{
	uint32_t a;
	uint32_t b;
	uint32_t c;
};

static struct owners
owners_of(struct dyn_world *world)
{
	return (struct owners){ dyn_play_owner(world, KEY, 0),
							dyn_play_owner(world, KEY, 1),
							dyn_play_owner(world, KEY, 2) };
}

/* A node's clients reach it, the other nodes do not. */
static void
cut_off(struct dyn_world *world, uint32_t node, bool cut)
{
	for (uint32_t i = 0; i < world->swarm.node_count; i++)
		if (i != node)
		{
			dyn_simnet_block(world, i, node, cut);
			dyn_simnet_block(world, node, i, cut);
		}
}

static void
join(struct dyn_world *world, uint32_t node, uint32_t other)
{
	dyn_simnet_block(world, node, other, false);
	dyn_simnet_block(world, other, node, false);
}

static bool
is_acknowledged(const struct dyn_world *world, uint32_t op)
{
	return world->history.ops[op].result == DYN_HISTORY_OK;
}

/* An attempt that its client gives up after its time, and another one at
 * another node, which is acknowledged. */
static void
give_up_and_retry(struct dyn_world *world, uint32_t op, uint32_t node,
				  uint32_t other)
{
	dyn_play_attempt(world, node, op, false, SILENT_MS);
	dyn_play_pass(world, SILENT_MS);
	EXPECT(!is_acknowledged(world, op));
	dyn_play_attempt(world, other, op, true, SILENT_MS);
	dyn_play_pass(world, SOON_MS);
	EXPECT(is_acknowledged(world, op));
}

/* Read at R, at a node that knows everything, and delete it, or update it. */
static struct dyn_sim_result
replace(struct dyn_world *world, uint32_t node, uint32_t value_count)
{
	struct dyn_sim_result read = dyn_sim_do_get(world, node, KEY, 0);
	struct dyn_sim_put put = { .key = KEY,
							   .value_count = value_count,
							   .read = &read };
	struct dyn_sim_result write;

	EXPECT(read.row_count == 1);
	write = dyn_sim_do_put(world, node, &put);
	EXPECT(write.status == DYN_STATUS_OK);
	dyn_sim_result_free(&read);
	return write;
}

/* A paused node wakes up, with the first attempt in its socket. */
void
dyn_late_insert_and_delete(struct dyn_world *world)
{
	struct owners node = owners_of(world);
	uint32_t op = dyn_play_write(world, KEY, DYN_HISTORY_SIBLING, 1, NULL);
	uint64_t begun;

	dyn_nemesis_stop(world, node.a, HALTED_MS);
	give_up_and_retry(world, op, node.a, node.b);
	replace(world, node.b, 0);
	begun = dyn_play_sum(world, "put_ops");
	dyn_play_pass(world, LATER_MS);
	EXPECT(dyn_play_sum(world, "put_ops") == begun);
	EXPECT(dyn_play_sum(world, "puts_late") == 1);
	EXPECT(dyn_play_rows(world, node.a, KEY) == 0);
}

/* ... in a kernel's queue, behind a cut, and its client has hung up. */
void
dyn_late_retransmitted(struct dyn_world *world)
{
	struct owners node = owners_of(world);
	uint32_t op = dyn_play_write(world, KEY, DYN_HISTORY_SIBLING, 1, NULL);
	uint32_t client = DYN_SIM_NODES_MAX + DYN_SIM_OPERATOR;

	dyn_simnet_block(world, client, node.a, true);
	give_up_and_retry(world, op, node.a, node.b);
	replace(world, node.b, 0);
	dyn_simnet_hang_up(world, DYN_SIM_OPERATOR);
	dyn_simnet_block(world, client, node.a, false);
	dyn_play_pass(world, LATER_MS);
	EXPECT(world->faults[DYN_FAULT_frame_retransmitted] > 0);
	EXPECT(dyn_play_sum(world, "puts_late") == 1);
	EXPECT(dyn_play_rows(world, node.a, KEY) == 0);
}

/* The first attempt has acted in time, where only its client could see it. */
static struct dyn_sim_result
act_unseen_then_replace(struct dyn_world *world, uint32_t value_count)
{
	struct owners node = owners_of(world);
	uint32_t op = dyn_play_write(world, KEY, DYN_HISTORY_SIBLING, 1, NULL);
	struct dyn_sim_result write;

	cut_off(world, node.a, true);
	give_up_and_retry(world, op, node.a, node.b);
	write = replace(world, node.c, value_count);
	cut_off(world, node.a, false);
	dyn_play_pass(world, LATER_MS);
	return write;
}

void
dyn_late_unseen_insert_and_delete(struct dyn_world *world)
{
	act_unseen_then_replace(world, 0);
	EXPECT(dyn_play_rows(world, 0, KEY) == 0);
}

void
dyn_late_unseen_update_and_update(struct dyn_world *world)
{
	struct dyn_sim_result write = act_unseen_then_replace(world, 1);

	EXPECT(dyn_play_rows(world, 0, KEY) == 1);
	EXPECT(dyn_play_has(world, 1, KEY, &write));
}

/* ... though the retry was sent to a third node, too, after the delete, when
 * all had forgotten its id. */
void
dyn_late_retry_after_forgetting(struct dyn_world *world)
{
	struct owners node = owners_of(world);
	uint32_t op = dyn_play_write(world, KEY, DYN_HISTORY_REPLACE, 1, NULL);
	struct dyn_sim_put other = { .key = KEY,
								 .mode = DYN_HISTORY_REPLACE,
								 .value_count = 1 };
	struct dyn_sim_result write;

	dyn_nemesis_stop(world, node.a, HALTED_MS);
	dyn_play_attempt(world, node.a, op, false, SILENT_MS);
	dyn_play_pass(world, SILENT_MS);
	dyn_play_attempt(world, node.b, op, true, SILENT_MS);
	dyn_play_pass(world, SOON_MS);
	write = dyn_sim_do_put(world, node.c, &other);
	EXPECT(write.status == DYN_STATUS_OK);
	for (uint32_t i = 0; i < world->swarm.node_count; i++)
		dyn_simnode_crash(world, i, 10);
	dyn_play_pass(world, 5000);
	dyn_play_attempt(world, node.c, op, true, SILENT_MS);
	dyn_play_pass(world, LATER_MS);
	EXPECT(dyn_play_rows(world, node.a, KEY) == 1);
	EXPECT(dyn_play_has(world, node.b, KEY, &write));
}

/* The process stops when the attempt was begun, before it made anything. */
void
dyn_late_after_its_load(struct dyn_world *world)
{
	struct owners node = owners_of(world);
	uint32_t op = dyn_play_write(world, KEY, DYN_HISTORY_SIBLING, 1, NULL);

	world->nodes[node.a].halt = DYN_HALT_LOAD;
	world->nodes[node.a].halt_count = 1;
	/* Before it takes the others for dead. */
	world->nodes[node.a].halt_ms = SOON_MS;
	dyn_play_attempt(world, node.a, op, false, SOON_MS / 2);
	dyn_play_pass(world, LATER_MS);
	EXPECT(world->faults[DYN_FAULT_halt_at_load] == 1);
	EXPECT(dyn_play_sum(world, "puts_late") == 1);
	EXPECT(dyn_play_rows(world, node.b, KEY) == 0);
}

static uint32_t
other_node(struct dyn_world *world)
{
	bool owners[DYN_SIM_NODES_MAX] = { false };
	uint32_t node = 0;

	dyn_whitebox_owners(world, KEY, owners);
	while (owners[node])
		node++;
	return node;
}

/* A node that owns nothing of it hands the attempt on, to a process that has
 * stopped, was started at another time, and reads the frame when it wakes. */
void
dyn_late_handed_on(struct dyn_world *world)
{
	struct owners node = owners_of(world);
	uint32_t op = dyn_play_write(world, KEY, DYN_HISTORY_SIBLING, 1, NULL);
	uint32_t owners[] = { node.a, node.b, node.c };

	for (uint32_t i = 0; i < 3; i++)
		dyn_simnode_crash(world, owners[i], 10);
	dyn_play_pass(world, LATER_MS);
	/* Before they take each other for dead. */
	for (uint32_t i = 0; i < 3; i++)
		dyn_nemesis_stop(world, owners[i], SOON_MS);
	dyn_play_attempt(world, other_node(world), op, false, SOON_MS / 2);
	dyn_play_pass(world, LATER_MS);
	EXPECT(dyn_play_sum(world, "put_ops_forwarded") >= 1);
	EXPECT(dyn_play_sum(world, "puts_late") >= 1);
	EXPECT(dyn_play_rows(world, node.a, KEY) == 0);
}

/* One put of two values; of what was read one row is deleted.  The other one
 * stays, and the first does not come back. */
void
dyn_late_one_of_two_values(struct dyn_world *world)
{
	struct owners node = owners_of(world);
	struct dyn_memory *memory =
		&dyn_simclient_of(world, DYN_SIM_OPERATOR)->memories[KEY];
	uint32_t op = dyn_play_write(world, KEY, DYN_HISTORY_SIBLING, 2, NULL);
	struct dyn_sim_result read;
	struct dyn_sim_result row;

	cut_off(world, node.a, true);
	give_up_and_retry(world, op, node.a, node.b);
	read = dyn_sim_do_get(world, node.c, KEY, 0);
	EXPECT(read.row_count == 2 && memory->has_row);
	row =
		(struct dyn_sim_result){ .vids = { &memory->row_vid, 1, 1 },
								 .context = { memory->row, memory->row_size } };
	EXPECT(dyn_play_delete(world, node.c, KEY, &row).status == DYN_STATUS_OK);
	dyn_sim_result_free(&read);
	cut_off(world, node.a, false);
	dyn_play_pass(world, LATER_MS);
	EXPECT(dyn_play_rows(world, node.a, KEY) == 1);
}

/* Readers of one owner: somebody has read the first attempt's copy only, and
 * deletes the row where both are known. */
void
dyn_late_twins_go_together(struct dyn_world *world)
{
	struct owners node = owners_of(world);
	uint32_t op = dyn_play_write(world, KEY, DYN_HISTORY_SIBLING, 1, NULL);
	struct dyn_sim_result read;

	cut_off(world, node.a, true);
	dyn_play_attempt(world, node.a, op, false, SILENT_MS);
	dyn_play_pass(world, SILENT_MS);
	dyn_play_attempt(world, node.b, op, true, SILENT_MS);
	dyn_play_pass(world, SOON_MS);
	read = dyn_sim_do_get(world, node.a, KEY, 1);
	EXPECT(read.row_count == 1);
	cut_off(world, node.a, false);
	dyn_play_pass(world, LATER_MS);
	EXPECT(dyn_play_rows(world, node.b, KEY) == 1);
	EXPECT(dyn_play_delete(world, node.c, KEY, &read).status == DYN_STATUS_OK);
	dyn_sim_result_free(&read);
	dyn_play_pass(world, LATER_MS);
	EXPECT(dyn_play_rows(world, node.b, KEY) == 0);
}

/* The last write wins: the first attempt was stamped by a clock that is ahead;
 * what comes after the retry wins over it all the same. */
void
dyn_late_stamp_of_a_twin(struct dyn_world *world)
{
	struct owners node = owners_of(world);
	uint32_t op = dyn_play_write(world, KEY, DYN_HISTORY_SIBLING, 1, NULL);
	struct dyn_sim_result write;

	world->nodes[node.a].wall_offset_ms = 60000;
	cut_off(world, node.a, true);
	dyn_play_attempt(world, node.a, op, false, SILENT_MS);
	dyn_play_pass(world, SILENT_MS);
	cut_off(world, node.c, true);
	dyn_play_attempt(world, node.b, op, true, SILENT_MS);
	dyn_play_pass(world, SOON_MS);
	EXPECT(is_acknowledged(world, op));
	dyn_simnode_crash(world, node.b, UINT64_MAX);
	dyn_play_pass(world, SOON_MS);
	write = dyn_play_put(world, node.c, KEY, NULL);
	EXPECT(write.status == DYN_STATUS_OK);
	dyn_simnode_start(world, node.b);
	cut_off(world, node.a, false);
	cut_off(world, node.c, false);
	dyn_play_pass(world, LATER_MS);
	EXPECT(dyn_play_has(world, node.a, KEY, &write));
}

/* ... and two retries that know nothing of each other have one name, and each
 * its stamp: all owners go by the same one. */
void
dyn_late_stamps_of_retries(struct dyn_world *world)
{
	struct owners node = owners_of(world);
	uint32_t op = dyn_play_write(world, KEY, DYN_HISTORY_SIBLING, 1, NULL);
	uint32_t count = 0;

	for (uint32_t i = 0; i < world->swarm.node_count; i++)
		cut_off(world, i, true);
	dyn_play_attempt(world, node.a, op, true, SILENT_MS);
	dyn_play_pass(world, SOON_MS);
	EXPECT(dyn_play_put(world, node.b, KEY, NULL).status == DYN_STATUS_OK);
	dyn_play_pass(world, SOON_MS);
	dyn_play_attempt(world, node.c, op, true, SILENT_MS);
	dyn_play_pass(world, SOON_MS);
	/* They meet one after the other. */
	join(world, node.a, node.b);
	dyn_play_pass(world, LATER_MS);
	join(world, node.b, node.c);
	dyn_play_pass(world, LATER_MS);
	join(world, node.a, node.c);
	dyn_play_pass(world, LATER_MS);
	for (uint32_t i = 0; i < world->swarm.node_count; i++)
	{
		struct dyn_sim_result read = dyn_sim_do_get(world, i, KEY, 1);

		count += dyn_vids_has(&read.vids, world->history.ops[op].first_vid);
		dyn_sim_result_free(&read);
	}
	EXPECT(count == 0 || count == world->swarm.node_count);
}

/* A retry acts where nobody sees it; the next one meets the first attempt's
 * copy, and is acknowledged as a repetition.  Who reads then meets one of W
 * owners, and what he deletes stays deleted. */
void
dyn_late_acknowledged_on_the_first_copy(struct dyn_world *world)
{
	struct owners node = owners_of(world);
	uint32_t op = dyn_play_write(world, KEY, DYN_HISTORY_SIBLING, 1, NULL);

	cut_off(world, node.a, true);
	dyn_play_attempt(world, node.a, op, false, SILENT_MS);
	dyn_play_pass(world, SILENT_MS);
	cut_off(world, node.a, false);
	dyn_play_pass(world, LATER_MS);
	cut_off(world, node.b, true);
	dyn_play_attempt(world, node.b, op, true, SILENT_MS);
	dyn_play_pass(world, SILENT_MS);
	EXPECT(!is_acknowledged(world, op));
	cut_off(world, node.b, false);
	dyn_play_pass(world, LATER_MS);
	dyn_play_attempt(world, node.a, op, true, SILENT_MS);
	dyn_play_pass(world, SOON_MS);
	EXPECT(is_acknowledged(world, op));
	replace(world, node.c, 0);
	dyn_play_pass(world, LATER_MS);
	EXPECT(dyn_play_rows(world, node.b, KEY) == 0);
}
