/* Stamps and floors: what is too old to be taken. */
#include "corerig.h"
#include "objects.h"
#include "rigclient.h"
#include "rigdisk.h"
#include "righand.h"

#include "core/building.h"
#include "core/memory.h"

#include <stdio.h>

static struct dyn_fence_place *
place(struct corerig *rig, uint32_t n)
{
	struct dyn_node *node = rig->nodes[n].node;

	if (node->fence.places == NULL)
		node->fence.places = dyn_memory_take(
			node->cluster.ring.partition_count * sizeof(*node->fence.places));
	return node->fence.places;
}

static void
set(struct corerig *rig, uint32_t n, uint64_t stamp, uint64_t floor)
{
	place(rig, n)->stamp = stamp;
	place(rig, n)->floor = floor;
}

static void
what_is_older_than_the_floor_is_refused_and_nothing_is_stored(void **unused)
{
	struct corerig *rig = corerig_new(2, 1, DYN_ANTI_ENTROPY_NEVER);

	set(rig, 0, 4, 4);
	set(rig, 1, 5, 5);
	assert_int_equal(rigclient_write(rig, 0, "alice", 1), DYN_STATUS_OK);
	corerig_run(rig, 100);
	assert_null(corerig_get(rig, 1, "cart", "alice"));
	assert_int_equal(corerig_counter(rig, 1, "fenced"), 1);
	set(rig, 0, 5, 4);
	assert_int_equal(rigclient_write(rig, 0, "bob", 2), DYN_STATUS_OK);
	assert_non_null(corerig_get(rig, 1, "cart", "bob"));
	corerig_free(&rig);
}

static void
a_request_keeps_the_floor_when_the_stamp_rises_above_it(void **unused)
{
	struct corerig *rig = corerig_new(2, 1, DYN_ANTI_ENTROPY_NEVER);
	struct dyn_node *node = rig->nodes[0].node;
	uint64_t serial = ++node->serial_next;

	set(rig, 0, 7, 3);
	assert_int_equal(dyn_fence_birth(node, serial, 0), 7);
	place(rig, 0)->stamp = 8;
	place(rig, 0)->stamped_serial = serial + 1;
	assert_int_equal(dyn_fence_birth(node, serial, 0), 3);
	assert_int_equal(dyn_fence_birth(node, serial + 1, 0), 8);
	corerig_free(&rig);
}

enum
{
	STAMP = 4 /* of the partition, before what happens */
};

static enum dyn_fence_state
state_after_raise(struct corerig *rig, struct dyn_fence_place before,
				  uint64_t stamp)
{
	*place(rig, 0) = before;
	assert_true(dyn_fence_raise_stamp(rig->nodes[0].node, 0, stamp));
	return dyn_fence_state(rig->nodes[0].node, 0);
}

static enum dyn_fence_state
state_after_learn(struct corerig *rig, struct dyn_fence_place before,
				  uint64_t floor)
{
	struct dyn_node *node = rig->nodes[0].node;
	Dyn__Welcome welcome = DYN__WELCOME__INIT;
	struct dyn_effects effects;

	dyn_effects_init(&effects);
	node->out = &effects;
	*place(rig, 0) = before;
	welcome.n_floors = 1;
	welcome.floors = &floor;
	dyn_fence_learn(node, dyn_node_identity(rig->nodes[1].node), &welcome);
	node->out = NULL;
	dyn_effects_destroy(&effects);
	return dyn_fence_state(node, 0);
}

static enum dyn_fence_state
state_after_commit(struct corerig *rig, struct dyn_fence_place before,
				   enum dyn_status status)
{
	struct dyn_node *node = rig->nodes[0].node;

	*place(rig, 0) = before;
	dyn_fence_stored(node, node->token_next, status);
	assert_int_equal(place(rig, 0)->stamp,
					 status == DYN_STATUS_OK ? before.wanted_stamp : STAMP);
	assert_true(place(rig, 0)->floor <= place(rig, 0)->stamp);
	return dyn_fence_state(node, 0);
}

static void
its_state_goes_as_the_table_tells(void **unused)
{
	struct corerig *rig = corerig_new(2, 1, DYN_ANTI_ENTROPY_NEVER);
	const struct dyn_fence_place level = { .stamp = STAMP };
	const struct dyn_fence_place raising = { .stamp = STAMP,
											 .wanted_stamp = 6 };
	const struct dyn_fence_place behind = { .stamp = STAMP, .behind = 6 };
	const struct dyn_fence_place half = { .stamp = STAMP,
										  .wanted_stamp = 5,
										  .behind = 6 };
	const struct dyn_fence_place back = { .stamp = STAMP,
										  .wanted_stamp = 7,
										  .behind = 6 };

	assert_int_equal(state_after_raise(rig, level, 5), DYN_FENCE_RAISING);
	assert_int_equal(state_after_raise(rig, raising, 7), DYN_FENCE_RAISING);
	assert_int_equal(state_after_raise(rig, behind, 5), DYN_FENCE_BEHIND);
	assert_int_equal(state_after_raise(rig, behind, 6), DYN_FENCE_RETURNING);
	assert_int_equal(state_after_raise(rig, back, 8), DYN_FENCE_RETURNING);

	assert_int_equal(state_after_learn(rig, level, STAMP), DYN_FENCE_LEVEL);
	assert_int_equal(state_after_learn(rig, level, 5), DYN_FENCE_BEHIND);
	assert_int_equal(state_after_learn(rig, raising, 6), DYN_FENCE_RETURNING);
	assert_int_equal(state_after_learn(rig, raising, 7), DYN_FENCE_BEHIND);
	assert_int_equal(state_after_learn(rig, behind, 7), DYN_FENCE_BEHIND);
	assert_int_equal(state_after_learn(rig, back, 7), DYN_FENCE_RETURNING);
	assert_int_equal(state_after_learn(rig, back, 8), DYN_FENCE_BEHIND);

	assert_int_equal(state_after_commit(rig, raising, DYN_STATUS_OK),
					 DYN_FENCE_LEVEL);
	assert_int_equal(state_after_commit(rig, half, DYN_STATUS_OK),
					 DYN_FENCE_BEHIND);
	assert_int_equal(state_after_commit(rig, back, DYN_STATUS_OK),
					 DYN_FENCE_LEVEL);
	assert_int_equal(state_after_commit(rig, raising, DYN_STATUS_FULL),
					 DYN_FENCE_LEVEL);
	assert_int_equal(state_after_commit(rig, half, DYN_STATUS_FULL),
					 DYN_FENCE_BEHIND);
	assert_int_equal(state_after_commit(rig, back, DYN_STATUS_FULL),
					 DYN_FENCE_BEHIND);
	*place(rig, 0) = level;
	corerig_free(&rig);
}

/* The peer's floors come with its WELCOME. */
static void
reconnect(struct corerig *rig, uint32_t n)
{
	struct dyn_event down = { .type = DYN_EVENT_PEER_DOWN };
	struct dyn_event up = { .type = DYN_EVENT_PEER_UP };

	corerig_step(rig, n, &down);
	corerig_step(rig, n, &up);
	corerig_run(rig, 10);
}

static void
a_store_of_an_earlier_time_takes_no_writes_before_it_is_rebuilt(void **unused)
{
	struct corerig *rig = corerig_new(2, 1, DYN_ANTI_ENTROPY_NEVER);

	set(rig, 0, 4, 4);
	set(rig, 1, 6, 5);
	reconnect(rig, 0);
	assert_int_equal(corerig_counter(rig, 0, "fence_behind"), 1);
	assert_int_equal(place(rig, 0)->behind, 5);
	assert_true(dyn_building_is(rig->nodes[0].node, 0));
	reconnect(rig, 1);
	assert_int_equal(corerig_counter(rig, 1, "fence_behind"), 0);
	corerig_free(&rig);
}

/* It must not tell the keeper of a hint that it has had what it refuses. */
static void
a_store_of_an_earlier_time_does_not_say_that_it_is_too_old(void **unused)
{
	struct corerig *rig = corerig_new(3, 1, DYN_ANTI_ENTROPY_NEVER);

	set(rig, 0, 5, 5);
	set(rig, 1, 4, 4);
	place(rig, 1)->behind = 5;
	/* It stays so as long as it has not met all owners. */
	corerig_cut(rig, 2, true);
	for (uint32_t i = 0; i < rig->nodes[1].node->peer_count; i++)
		if (rig->nodes[1].peers[i] == 2)
			rig->nodes[1].node->peers[i]->identified = false;
	assert_int_equal(rigclient_write(rig, 0, "alice", 1), DYN_STATUS_OK);
	corerig_run(rig, 100);
	assert_int_equal(place(rig, 1)->behind, 5);
	assert_null(corerig_get(rig, 1, "cart", "alice"));
	assert_int_equal(corerig_counter(rig, 1, "fenced"), 0);
	/* Another owner may do what it cannot, so a client is sent there. */
	assert_int_equal(rigclient_write(rig, 1, "bob", 1), DYN_STATUS_OK);
	assert_null(corerig_get(rig, 1, "cart", "bob"));
	assert_non_null(corerig_get(rig, 0, "cart", "bob"));
	corerig_free(&rig);
}

/* It would discard it when it hears that it is of an earlier time. */
static void
who_has_met_nobody_takes_nothing_marked_above_its_stamp(void **unused)
{
	struct corerig *rig = corerig_new(2, 1, DYN_ANTI_ENTROPY_NEVER);

	set(rig, 0, 5, 5);
	set(rig, 1, 4, 4);
	rig->nodes[1].node->progress.others[0].met = false;
	assert_int_not_equal(rigclient_write(rig, 0, "alice", 2), DYN_STATUS_OK);
	assert_null(corerig_get(rig, 1, "cart", "alice"));
	set(rig, 1, 5, 4);
	assert_int_equal(rigclient_write(rig, 0, "bob", 2), DYN_STATUS_OK);
	corerig_free(&rig);
}

static void
who_has_just_started_and_met_nobody_coordinates_no_writes(void **unused)
{
	struct corerig *rig = corerig_new(2, 1, DYN_ANTI_ENTROPY_NEVER);

	corerig_cut(rig, 1, true);
	corerig_restart(rig, 1, NULL);
	corerig_cut(rig, 1, false);
	corerig_cut(rig, 0, true);
	assert_int_equal(rigclient_write(rig, 1, "alice", 1), DYN_STATUS_NOT_READY);
	assert_null(corerig_get(rig, 1, "cart", "alice"));
	corerig_cut(rig, 0, false);
	corerig_run(rig, 2000);
	assert_int_equal(rigclient_write(rig, 1, "alice", 1), DYN_STATUS_OK);
	corerig_free(&rig);
}

/* FORMs to node 1 that do not arrive, so that it hears the floors before it
 * can use them; then HELLOs with which it asks again. */
static uint32_t forms_lost;
static uint32_t hellos_lost;

static void
lose_frames(struct corerig *rig, uint32_t from, enum dyn_message_type type,
			struct dyn_slice *frame)
{
	bool is_formed = rig->nodes[1].node->cluster.formed;
	uint32_t *left = type == DYN_MESSAGE_FORM ? &forms_lost
					 : from == 1 && type == DYN_MESSAGE_HELLO && is_formed
						 ? &hellos_lost
						 : NULL;

	if (left == NULL || *left == 0)
		return;
	(*left)--;
	frame->size = 0;
}

/* What it was told before it had formed it could not use. */
static void
a_new_store_hears_of_the_floors_though_frames_are_lost(void **unused)
{
	struct corerig *rig = corerig_new(3, 1, DYN_ANTI_ENTROPY_NEVER);

	set(rig, 0, 5, 5);
	set(rig, 2, 5, 5);
	rig->watch = lose_frames;
	forms_lost = 2;
	hellos_lost = 4;
	corerig_lose_disk(rig, 1);
	corerig_run(rig, 30000);
	assert_int_equal(hellos_lost, 0);
	assert_int_equal(dyn_fence_stamp(rig->nodes[1].node, 0), 5);
	assert_int_equal(rigclient_write(rig, 1, "alice", 3), DYN_STATUS_OK);
	corerig_free(&rig);
}

/* An emptied node that forms after so long, and then meets nobody: what it took
 * alone it would discard when it hears of a floor. */
static void
expect_no_writes_of_a_store_formed_after(uint32_t outside_ms)
{
	struct corerig *rig = corerig_new(2, 1, DYN_ANTI_ENTROPY_NEVER);

	set(rig, 0, 5, 5);
	rig->watch = lose_frames;
	forms_lost = outside_ms != 0 ? UINT32_MAX : 0;
	hellos_lost = UINT32_MAX;
	corerig_lose_disk(rig, 1);
	corerig_run(rig, outside_ms);
	assert_false(rig->nodes[1].node->cluster.formed);
	forms_lost = 0;
	corerig_run(rig, 5000);
	assert_true(rig->nodes[1].node->cluster.formed);
	assert_int_equal(rigclient_write(rig, 1, "alice", 1), DYN_STATUS_NOT_READY);
	hellos_lost = 0;
	corerig_run(rig, 30000);
	assert_int_equal(rigclient_write(rig, 1, "alice", 1), DYN_STATUS_OK);
	corerig_free(&rig);
}

static void
a_new_store_that_has_met_nobody_coordinates_no_writes(void **unused)
{
	expect_no_writes_of_a_store_formed_after(0);
}

/* Nor does it count against it how long it had waited for the cluster. */
static void
a_new_store_that_was_long_outside_coordinates_no_writes_either(void **unused)
{
	expect_no_writes_of_a_store_formed_after(70000);
}

/* A commit that is given up must not be the last attempt. */
static void
a_stamp_that_did_not_get_to_disk_is_asked_for_again(void **unused)
{
	struct corerig *rig = corerig_new(2, 1, DYN_ANTI_ENTROPY_NEVER);

	set(rig, 0, 4, 4);
	set(rig, 1, 6, 5);
	reconnect(rig, 0);
	rig->nodes[0].store.aborts = true;
	while (!dyn_building_takes(rig->nodes[0].node, 0))
		corerig_run(rig, 1);
	corerig_run(rig, 2000);
	assert_int_equal(dyn_fence_stamp(rig->nodes[0].node, 0), 4);
	rig->nodes[0].store.aborts = false;
	corerig_run(rig, 2000);
	assert_int_equal(place(rig, 0)->behind, 0);
	corerig_restart(rig, 0, NULL);
	assert_int_equal(dyn_fence_stamp(rig->nodes[0].node, 0), 5);
	corerig_free(&rig);
}

/* The first answer to a READ is kept here, as if it took long. */
static uint8_t late_bytes[4096];
static struct dyn_slice late;

static void
hold_back(struct corerig *rig, uint32_t from, enum dyn_message_type type,
		  struct dyn_slice *frame)
{
	if (from != 2 || type != DYN_MESSAGE_READ_REPLY || late.size != 0)
		return;
	assert_true(frame->size <= sizeof(late_bytes));
	memcpy(late_bytes, frame->data, frame->size);
	late = (struct dyn_slice){ late_bytes, frame->size };
	frame->size = 0;
}

/* What was read of the store before it was discarded is as old as ever. */
static void
a_read_of_a_store_of_an_earlier_time_brings_nothing_back(void **unused)
{
	struct corerig *rig = corerig_new(3, 1, DYN_ANTI_ENTROPY_NEVER);
	struct dyn_event answer = { .type = DYN_EVENT_MESSAGE };

	set(rig, 0, 4, 4);
	set(rig, 1, 5, 5);
	set(rig, 2, 5, 5);
	corerig_put(rig, 0, "cart", "alice", object_of("deleted", 9));
	rig->watch = hold_back;
	rig->nodes[0].node->config.request_timeout_ms = 10000;
	rigclient_send_get(rig, 0, "alice", 3);
	assert_null(corerig_await(rig));
	assert_true(late.size != 0);
	reconnect(rig, 0);
	assert_int_equal(place(rig, 0)->behind, 5);
	corerig_run(rig, 2000);
	answer.message.source = DYN_SOURCE_PEER;
	while (rig->nodes[0].peers[answer.message.peer_index] != 2)
		answer.message.peer_index++;
	answer.message.frame = late;
	assert_null(rig->reply);
	corerig_step(rig, 0, &answer);
	corerig_run(rig, 100);
	assert_int_equal(rig->reply_type, DYN_MESSAGE_GET_REPLY);
	assert_null(corerig_get(rig, 1, "cart", "alice"));
	assert_null(corerig_get(rig, 2, "cart", "alice"));
	corerig_run(rig, 2000);
	assert_int_equal(place(rig, 0)->behind, 0);
	corerig_free(&rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			what_is_older_than_the_floor_is_refused_and_nothing_is_stored),
		cmocka_unit_test(
			a_request_keeps_the_floor_when_the_stamp_rises_above_it),
		cmocka_unit_test(its_state_goes_as_the_table_tells),
		cmocka_unit_test(
			a_store_of_an_earlier_time_takes_no_writes_before_it_is_rebuilt),
		cmocka_unit_test(
			a_store_of_an_earlier_time_does_not_say_that_it_is_too_old),
		cmocka_unit_test(
			who_has_met_nobody_takes_nothing_marked_above_its_stamp),
		cmocka_unit_test(
			who_has_just_started_and_met_nobody_coordinates_no_writes),
		cmocka_unit_test(
			a_new_store_hears_of_the_floors_though_frames_are_lost),
		cmocka_unit_test(a_new_store_that_has_met_nobody_coordinates_no_writes),
		cmocka_unit_test(
			a_new_store_that_was_long_outside_coordinates_no_writes_either),
		cmocka_unit_test(a_stamp_that_did_not_get_to_disk_is_asked_for_again),
		cmocka_unit_test(
			a_read_of_a_store_of_an_earlier_time_brings_nothing_back),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
