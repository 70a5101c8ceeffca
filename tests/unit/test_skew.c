/* Nodes whose wall clocks differ: what they know of it, what they say of it,
 * and that an acknowledged row with a time to live is shown all the same. */
#include "corerig.h"
#include "rigclient.h"
#include "rigdisk.h"
#include "righand.h"
#include "rigrecord.h"

#include "core/skew.h"
#include "model/bucket.h"
#include "model/object.h"
#include "model/wall.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum
{
	T = 1000 * 1000 * 1000, /* what wall clocks show at first */
	TTL_MS = 5000,
	APART_MS = DYN_CLOCKS_APART_MS,
	HEARTBEATS_MS = 2000,
	ERROR_MS = 5 /* frames take a millisecond each way */
};

static struct corerig *rig;
/* Lines of its log. */
static uint32_t warnings;
static uint32_t calms;

static int
set_up(void **unused)
{
	Dyn__BucketRequest request = DYN__BUCKET_REQUEST__INIT;
	Dyn__Bucket change = DYN__BUCKET__INIT;

	rig = corerig_new(3, 4, UINT32_MAX);
	rig->walls_run = true;
	for (uint32_t i = 0; i < 3; i++)
		rig->nodes[i].wall_ms = T;
	change.name = dyn_bytes_of_slice(dyn_slice_of("mortal"));
	change.ttl_ms = TTL_MS;
	request.set = &change;
	assert_non_null(corerig_ask(rig, 0, DYN_MESSAGE_BUCKET, &request.base));
	assert_int_equal(rig->reply_type, DYN_MESSAGE_BUCKET_REPLY);
	corerig_run(rig, HEARTBEATS_MS);
	return 0;
}

static int
tear_down(void **unused)
{
	corerig_free(&rig);
	return 0;
}

static void
set_clock(uint32_t node, int64_t ahead_ms)
{
	rig->nodes[node].wall_ms = (uint64_t) (T + ahead_ms);
}

static enum dyn_status
put(uint32_t node, const char *value, Dyn__PutMode mode)
{
	const Dyn__PutResult *result = rigclient_put(
		rig, node,
		(struct rigclient_put){
			.bucket = "mortal", .values = { value }, .mode = mode });

	assert_non_null(result);
	return (enum dyn_status) result->status;
}

/* What a client is shown who asks this node, and has a clock of his own. */
static uint32_t
shown(uint32_t node, uint64_t wall_ms)
{
	Dyn__GetRequest request = DYN__GET_REQUEST__INIT;
	ProtobufCBinaryData key = dyn_bytes_of_slice(dyn_slice_of("k"));
	const Dyn__GetReply *reply;
	struct dyn_object object;
	struct dyn_view view = dyn_view_begin(rig->now_ms, wall_ms);

	request.bucket = dyn_bytes_of_slice(dyn_slice_of("mortal"));
	request.n_keys = 1;
	request.keys = &key;
	reply = corerig_ask(rig, node, DYN_MESSAGE_GET, &request.base);
	assert_non_null(reply);
	assert_int_equal(rig->reply_type, DYN_MESSAGE_GET_REPLY);
	assert_int_equal(reply->results[0]->status, DYN_STATUS_OK);
	assert_int_equal(
		dyn_object_decode(dyn_slice_of_bytes(reply->results[0]->object),
						  &rig->arena.allocator, &object),
		DYN_STATUS_OK);
	dyn_view_add(&view, &(struct dyn_told_view){ reply->view_ms, view.now_ms });
	dyn_object_view(&object, dyn_view_end(&view));
	return object.version_count;
}

/* By everybody, whatever clock the client has within the bound. */
static void
expect_shown_to_all(uint32_t count)
{
	for (uint32_t node = 0; node < 3; node++)
	{
		uint64_t now_ms = rig->nodes[node].wall_ms + rig->now_ms;

		assert_int_equal(shown(node, now_ms), count);
		assert_int_equal(shown(node, (uint64_t) T + rig->now_ms), count);
	}
}

static const Dyn__PeerStatus *
peer_status(uint32_t node, uint32_t other)
{
	const Dyn__StatusReply *status = corerig_status(rig, node);

	for (size_t i = 0; i < status->n_peers; i++)
		if (strcmp(status->peers[i]->address, rig->nodes[other].address) == 0)
			return status->peers[i];
	fail();
	return NULL;
}

/* ---------------------------------------------------------- what is known */

static void
expect_skew(uint32_t node, uint32_t other, int64_t skew_ms)
{
	const Dyn__PeerStatus *peer = peer_status(node, other);

	assert_true(peer->skew_known);
	assert_in_range(peer->skew_ms - skew_ms + ERROR_MS, 0, 2 * ERROR_MS);
	assert_in_range(peer->skew_error_ms, 0, ERROR_MS);
}

static void
each_knows_how_far_others_are(void **unused)
{
	expect_skew(0, 1, 0);
	set_clock(1, -APART_MS);
	corerig_run(rig, HEARTBEATS_MS);
	expect_skew(0, 1, -APART_MS);
	expect_skew(1, 0, APART_MS);
	expect_skew(1, 2, APART_MS);
	expect_skew(2, 0, 0);
	set_clock(1, 3600 * 1000);
	corerig_run(rig, HEARTBEATS_MS);
	expect_skew(0, 1, 3600 * 1000);
}

/* Its own clock is set: the others are as far from it at once. */
static void
who_is_set_himself_knows_it_at_once(void **unused)
{
	set_clock(0, 30000);
	expect_skew(0, 1, -30000);
}

/* A frame that was long on its way widens the bounds, and nothing else. */
static void
late_answers_deceive_nobody(void **unused)
{
	uint32_t peer = 0;
	int64_t skew_ms;
	uint64_t error_ms;

	while (rig->nodes[0].peers[peer] != 1)
		peer++;
	rig->nodes[0].node->now_ms = rig->now_ms;
	rig->nodes[0].node->wall_ms = rig->nodes[0].wall_ms + rig->now_ms;
	rig->nodes[0].node->peers[peer]->skew.known = false;
	/* Asked 1.8 s ago, and its clock is equal: at half of the way. */
	dyn_skew_learn(rig->nodes[0].node, peer, T + rig->now_ms - 900,
				   rig->now_ms - 1800);
	assert_true(dyn_skew_of(rig->nodes[0].node, peer, &skew_ms, &error_ms));
	assert_in_range(skew_ms + 1, 0, 2);
	assert_int_equal(error_ms, 900);
	/* A better one is kept, though a worse one comes. */
	dyn_skew_learn(rig->nodes[0].node, peer, T + rig->now_ms - 1,
				   rig->now_ms - 2);
	dyn_skew_learn(rig->nodes[0].node, peer, T + rig->now_ms - 100,
				   rig->now_ms - 1900);
	assert_true(dyn_skew_of(rig->nodes[0].node, peer, &skew_ms, &error_ms));
	assert_int_equal(error_ms, 1);
	/* What nobody can have said. */
	dyn_skew_learn(rig->nodes[0].node, peer, UINT64_MAX, rig->now_ms);
	dyn_skew_learn(rig->nodes[0].node, peer, T, rig->now_ms + 1);
	dyn_skew_learn(rig->nodes[0].node, peer, 0, rig->now_ms);
	dyn_skew_learn(rig->nodes[0].node, peer, T, 0);
	assert_true(dyn_skew_of(rig->nodes[0].node, peer, &skew_ms, &error_ms));
	assert_int_equal(error_ms, 1);
}

/* ------------------------------------------------------------------ the log */

static bool
has(struct dyn_slice text, const char *part)
{
	return memmem(text.data, text.size, part, strlen(part)) != NULL;
}

static void
hear(uint32_t node, struct dyn_slice text)
{
	if (node != 0)
		return;
	warnings += has(text, " is 1.9 s behind this node's: ");
	calms += has(text, " agrees with this node's again");
}

/* What node 0 says meanwhile. */
static void
listen(uint64_t ms)
{
	warnings = calms = 0;
	rig->hear = hear;
	corerig_run(rig, ms);
}

static void
it_is_said_once_and_when_it_is_over(void **unused)
{
	set_clock(1, -1900);
	listen(5 * HEARTBEATS_MS);
	assert_int_equal(warnings, 1);
	assert_int_equal(calms, 0);
	assert_int_equal(corerig_counter(rig, 0, "clocks_apart"), 1);
	/* Neither far nor near: nothing is said. */
	set_clock(1, -800);
	listen(HEARTBEATS_MS);
	assert_int_equal(warnings + calms, 0);
	set_clock(1, 0);
	listen(HEARTBEATS_MS);
	assert_int_equal(warnings, 0);
	assert_int_equal(calms, 1);
	set_clock(1, -1900);
	listen(HEARTBEATS_MS);
	assert_int_equal(warnings, 1);
	assert_int_equal(corerig_counter(rig, 0, "clocks_apart"), 2);
}

/* --------------------------------------------------------------- what ends */

/* One clock is behind, or ahead, by as much as is promised: whoever
 * coordinates, everybody sees the row at once, and nobody treats it as over. */
static void
expect_life(int64_t ahead_ms)
{
	set_clock(2, ahead_ms);
	corerig_run(rig, HEARTBEATS_MS);
	for (uint32_t node = 0; node < 3; node++)
	{
		assert_int_equal(put(node, "v", DYN__PUT_MODE__SIBLING), DYN_STATUS_OK);
		expect_shown_to_all(1);
		for (uint32_t other = 0; other < 3; other++)
			assert_int_equal(put(other, "w", DYN__PUT_MODE__CREATE),
							 DYN_STATUS_EXISTS);
		/* Not long before its time. */
		corerig_run(rig, TTL_MS - 1000);
		expect_shown_to_all(1);
		/* It may last longer by as much as the clocks differ. */
		corerig_run(rig, APART_MS + 2000);
		expect_shown_to_all(0);
		assert_int_equal(put((node + 1) % 3, "w", DYN__PUT_MODE__CREATE),
						 DYN_STATUS_OK);
		corerig_run(rig, TTL_MS + APART_MS + 1000);
		expect_shown_to_all(0);
	}
}

static void
a_clock_that_is_behind_hides_no_row(void **unused)
{
	expect_life(-APART_MS);
}

static void
a_clock_that_is_ahead_hides_no_row(void **unused)
{
	expect_life(APART_MS);
}

/* Another's write beside it, by a node for whose clock it is over. */
static void
who_is_ahead_replaces_nothing_unread(void **unused)
{
	set_clock(2, APART_MS);
	corerig_run(rig, HEARTBEATS_MS);
	for (uint32_t node = 0; node < 3; node++)
	{
		put(node, "v", DYN__PUT_MODE__SIBLING);
		put(2, "w", DYN__PUT_MODE__SIBLING);
		expect_shown_to_all(2);
		corerig_run(rig, TTL_MS + APART_MS + 1000);
	}
}

/* Where clocks agree, a row ends when its time is up. */
static void
equal_clocks_cost_nothing(void **unused)
{
	put(0, "v", DYN__PUT_MODE__SIBLING);
	corerig_run(rig, TTL_MS - 50);
	expect_shown_to_all(1);
	corerig_run(rig, 50);
	expect_shown_to_all(0);
}

/* From its first write on. */
static void
who_has_just_started_knows_the_others(void **unused)
{
	set_clock(2, -APART_MS);
	corerig_restart(rig, 2, NULL);
	for (int ms = 0; put(2, "v", DYN__PUT_MODE__SIBLING) != DYN_STATUS_OK; ms++)
	{
		assert_true(ms < HEARTBEATS_MS);
		corerig_run(rig, 1);
	}
	expect_shown_to_all(1);
}

/* One clock that shows another century neither ends all rows, nor keeps them. */
static void
a_clock_out_of_all_bounds_decides_for_nobody_else(void **unused)
{
	int64_t far_ms[] = { -(int64_t) T + 5, INT64_C(4000000000000) };

	for (int i = 0; i < 2; i++)
	{
		set_clock(2, far_ms[i]);
		corerig_run(rig, HEARTBEATS_MS);
		put(0, "v", DYN__PUT_MODE__SIBLING);
		assert_int_equal(shown(0, (uint64_t) T + rig->now_ms), 1);
		assert_int_equal(shown(1, (uint64_t) T + rig->now_ms), 1);
		assert_int_equal(shown(2, (uint64_t) T + rig->now_ms), 1);
		corerig_run(rig, TTL_MS + 2 * APART_MS + 1000);
		assert_int_equal(shown(0, (uint64_t) T + rig->now_ms), 0);
		assert_int_equal(shown(1, (uint64_t) T + rig->now_ms), 0);
		assert_int_equal(shown(2, (uint64_t) T + rig->now_ms), 0);
	}
}

/* ---------------------------------------------------------------- a reader */

static uint64_t
view_of(const struct dyn_told_view *told, uint32_t count, uint64_t now_ms,
		uint64_t wall_ms)
{
	struct dyn_view view = dyn_view_begin(now_ms, wall_ms);

	for (uint32_t i = 0; i < count; i++)
		dyn_view_add(&view, &told[i]);
	return dyn_view_end(&view);
}

static void
a_reader_takes_the_earliest_of_what_was_told_lately(void **unused)
{
	struct dyn_told_view told[3] = { { T + 100, 1000 }, { T, 900 }, { 0, 0 } };

	/* Nobody has told anything: his own. */
	assert_int_equal(view_of(told + 2, 1, 1000, T + 7), T + 7);
	assert_int_equal(view_of(told, 3, 1000, T), T + 100);
	assert_int_equal(view_of(told, 3, 1500, T), T + 600);
	/* One is too long ago. */
	assert_int_equal(view_of(told, 3, 10950, T), T + 10050);
	/* All are: the last one. */
	assert_int_equal(view_of(told, 3, 20000, T), T + 19100);
	/* Whatever his own clock shows, within bounds; and no further. */
	assert_int_equal(view_of(told, 3, 1000, T + APART_MS), T + 100);
	assert_int_equal(view_of(told, 3, 1000, T - APART_MS + 200), T + 100);
	assert_int_equal(view_of(told, 3, 1000, T + APART_MS + 101), T + 101);
	assert_int_equal(view_of(told, 3, 1000, T - APART_MS), T);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(each_knows_how_far_others_are),
		TEST(who_is_set_himself_knows_it_at_once),
		TEST(late_answers_deceive_nobody),
		TEST(it_is_said_once_and_when_it_is_over),
		TEST(a_clock_that_is_behind_hides_no_row),
		TEST(a_clock_that_is_ahead_hides_no_row),
		TEST(who_is_ahead_replaces_nothing_unread),
		TEST(equal_clocks_cost_nothing),
		TEST(who_has_just_started_knows_the_others),
		TEST(a_clock_out_of_all_bounds_decides_for_nobody_else),
		TEST(a_reader_takes_the_earliest_of_what_was_told_lately),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
