/* What puts make of objects, by the rules of their buckets, and what records
 * say of them. */
#include "corerig.h"
#include "rigclient.h"
#include "righand.h"
#include "rigrecord.h"

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
	MINUTE_MS = 60 * 1000,
	T = 1000 * MINUTE_MS, /* what wall clocks show at first */
	TTL_MS = 5 * MINUTE_MS,
	/* The clocks stand still between two looks at them, so nodes think that
	 * others run by as much as passes between two heartbeats. */
	STILL_MS = 1000
};

static struct corerig *rig;

static void
set_bucket(const char *name, uint8_t conflict, uint64_t ttl_ms)
{
	Dyn__BucketRequest request = DYN__BUCKET_REQUEST__INIT;
	Dyn__Bucket change = DYN__BUCKET__INIT;

	change.name = dyn_bytes_of_slice(dyn_slice_of(name));
	change.conflict = conflict;
	change.ttl_ms = ttl_ms;
	request.set = &change;
	assert_non_null(corerig_ask(rig, 0, DYN_MESSAGE_BUCKET, &request.base));
	assert_int_equal(rig->reply_type, DYN_MESSAGE_BUCKET_REPLY);
	corerig_run(rig, 100);
}

static int
set_up(void **unused)
{
	rig = corerig_new(3, 4, UINT32_MAX);
	for (uint32_t i = 0; i < 3; i++)
		rig->nodes[i].wall_ms = T;
	set_bucket("mortal", DYN_CONFLICT_SIBLINGS, TTL_MS);
	set_bucket("last", DYN_CONFLICT_LWW, 0);
	set_bucket("both", DYN_CONFLICT_LWW, TTL_MS);
	return 0;
}

static int
tear_down(void **unused)
{
	corerig_free(&rig);
	return 0;
}

struct write
{
	const char *bucket;
	const char *values[3]; /* none = a delete */
	const struct dyn_clock *context;
	Dyn__PutMode mode;
};

static enum dyn_status
put(uint32_t node, struct write write)
{
	struct rigclient_put put = { .bucket = write.bucket, .mode = write.mode };
	const Dyn__PutResult *result;

	for (int i = 0; i < 3; i++)
		put.values[i] = write.values[i];
	if (write.context != NULL)
		assert_int_equal(dyn_clock_encode(write.context, &rig->arena.allocator,
										  &put.context),
						 DYN_STATUS_OK);
	result = rigclient_put(rig, node, put);
	assert_non_null(result);
	corerig_run(rig, 10); /* the other replicas, too */
	return (enum dyn_status) result->status;
}

static struct dyn_object
held(uint32_t node, const char *bucket)
{
	return rigrecord_object(rig, node, bucket, "k");
}

static bool
is(const struct dyn_version *version, const char *value)
{
	return dyn_slice_equal(version->value, dyn_slice_of(value));
}

/* ------------------------------------------------------------ time to live */

/* By all clocks, and all know it of each other. */
static void
pass(uint64_t ms)
{
	for (uint32_t i = 0; i < 3; i++)
		rig->nodes[i].wall_ms += ms;
	corerig_run(rig, STILL_MS);
}

static void
a_version_ends_its_buckets_time_after_it_was_put(void **unused)
{
	struct dyn_object object;

	put(0, (struct write){ .bucket = "mortal", .values = { "v" } });
	put(0, (struct write){ .bucket = "plain", .values = { "v" } });
	assert_in_range(held(1, "mortal").versions[0].expires_at_ms, T + TTL_MS,
					T + TTL_MS + STILL_MS);
	assert_int_equal(held(1, "plain").versions[0].expires_at_ms, 0);
	object = held(0, "mortal");
	put(0, (struct write){ .bucket = "mortal", .context = &object.context });
	object = held(1, "mortal");
	assert_true(dyn_object_is_tombstone(&object));
}

/* Blind writers, each after the end of the one before: they never fill up. */
static void
what_has_expired_is_replaced_unread(void **unused)
{
	for (uint32_t i = 0; i < 2 * DYN_SIBLINGS_MAX; i++)
	{
		assert_int_equal(
			put(0, (struct write){ .bucket = "mortal", .values = { "v" } }),
			DYN_STATUS_OK);
		assert_int_equal(held(0, "mortal").version_count, 1);
		pass(TTL_MS + STILL_MS);
	}
}

static void
what_has_not_expired_stays_a_sibling(void **unused)
{
	put(0, (struct write){ .bucket = "mortal", .values = { "a" } });
	pass(TTL_MS / 2);
	put(0, (struct write){ .bucket = "mortal", .values = { "b" } });
	pass(TTL_MS / 2 + STILL_MS);
	put(0, (struct write){ .bucket = "mortal", .values = { "c" } });
	assert_int_equal(held(0, "mortal").version_count, 2);
}

static void
create_and_guarded_do_not_see_what_has_expired(void **unused)
{
	struct write create = { .bucket = "mortal",
							.values = { "w" },
							.mode = DYN__PUT_MODE__CREATE };
	struct write guarded = { .bucket = "mortal",
							 .values = { "x" },
							 .mode = DYN__PUT_MODE__GUARDED };

	put(0, (struct write){ .bucket = "mortal", .values = { "v" } });
	assert_int_equal(put(0, create), DYN_STATUS_EXISTS);
	assert_int_equal(put(0, guarded), DYN_STATUS_CONFLICT);
	pass(TTL_MS + STILL_MS);
	assert_int_equal(put(0, create), DYN_STATUS_OK);
	assert_int_equal(put(0, guarded), DYN_STATUS_CONFLICT);
	pass(TTL_MS + STILL_MS);
	assert_int_equal(put(0, guarded), DYN_STATUS_OK);
}

/* ------------------------------------------------------ the last write wins */

static void
a_last_write_replaces_all_that_its_coordinator_holds(void **unused)
{
	struct dyn_object object;

	put(0, (struct write){ .bucket = "last", .values = { "a" } });
	put(1, (struct write){ .bucket = "last", .values = { "b" } });
	put(2, (struct write){ .bucket = "last", .values = { "c" } });
	for (uint32_t node = 0; node < 3; node++)
	{
		object = held(node, "last");
		assert_int_equal(object.version_count, 1);
		assert_true(is(&object.versions[0], "c"));
		assert_int_equal(object.versions[0].flags, DYN_VERSION_LWW);
	}
	assert_int_equal(corerig_sum(rig, "lww_discarded"), 2);
}

static void
what_its_writer_had_read_is_no_loss(void **unused)
{
	struct dyn_object object;

	put(0, (struct write){ .bucket = "last", .values = { "a" } });
	object = held(0, "last");
	put(1, (struct write){ .bucket = "last",
						   .values = { "b" },
						   .context = &object.context });
	assert_int_equal(corerig_sum(rig, "lww_discarded"), 0);
}

static void
of_several_values_the_last_one_is_put(void **unused)
{
	struct dyn_object object;

	put(0, (struct write){ .bucket = "last", .values = { "a", "b", "c" } });
	object = held(0, "last");
	assert_int_equal(object.version_count, 1);
	assert_true(is(&object.versions[0], "c"));
	assert_int_equal(corerig_sum(rig, "lww_discarded"), 2);
}

static void
a_stamp_exceeds_those_that_it_replaces(void **unused)
{
	rig->nodes[0].wall_ms = T + 10 * MINUTE_MS;
	put(0, (struct write){ .bucket = "last", .values = { "a" } });
	put(1, (struct write){ .bucket = "last", .values = { "b" } });
	assert_int_equal(held(1, "last").versions[0].written_at_ms,
					 T + 10 * MINUTE_MS + 1);
	assert_int_equal(corerig_sum(rig, "stamps_ahead"), 1);
	rig->nodes[1].wall_ms = T + 2;
	put(1, (struct write){ .bucket = "last", .values = { "c" } });
	assert_int_equal(corerig_sum(rig, "stamps_ahead"), 1);
}

/* Node 1 was away; its client has read elsewhere. */
static void
what_a_writer_had_read_is_asked_for_before_it_is_stamped(void **unused)
{
	struct dyn_object object;
	uint64_t stamp;

	corerig_cut(rig, 1, true);
	rig->nodes[0].wall_ms = T + 10 * MINUTE_MS;
	put(0, (struct write){ .bucket = "last", .values = { "a" } });
	object = held(0, "last");
	stamp = object.versions[0].written_at_ms;
	/* Hints may not tell it before. */
	corerig_run(rig, 2000);
	corerig_cut(rig, 1, false);
	corerig_run(rig, 2000);
	assert_int_equal(put(1, (struct write){ .bucket = "last",
											.values = { "b" },
											.context = &object.context }),
					 DYN_STATUS_OK);
	assert_true(held(1, "last").versions[0].written_at_ms > stamp);
	assert_int_equal(corerig_sum(rig, "lww_unseeded"), 0);
}

/* Nobody can tell: the write is taken all the same, and counted. */
static void
a_write_is_not_refused_for_want_of_a_stamp(void **unused)
{
	struct dyn_object object;

	corerig_cut(rig, 1, true);
	put(0, (struct write){ .bucket = "last", .values = { "a" } });
	object = held(0, "last");
	corerig_run(rig, 5000);
	assert_int_equal(put(1, (struct write){ .bucket = "last",
											.values = { "b" },
											.context = &object.context }),
					 DYN_STATUS_OK);
	assert_int_equal(corerig_sum(rig, "lww_unseeded"), 1);
}

static void
a_delete_is_a_version_that_nobody_is_shown(void **unused)
{
	struct dyn_object object;
	uint64_t stamp;

	put(0, (struct write){ .bucket = "last", .values = { "a" } });
	object = held(0, "last");
	stamp = object.versions[0].written_at_ms;
	put(1, (struct write){ .bucket = "last", .context = &object.context });
	object = held(2, "last");
	assert_int_equal(object.version_count, 1);
	assert_true(object.versions[0].written_at_ms > stamp);
	assert_true(dyn_object_is_dead(&object, 2));
	assert_int_equal(put(2, (struct write){ .bucket = "last",
											.values = { "b" },
											.mode = DYN__PUT_MODE__CREATE }),
					 DYN_STATUS_OK);
	assert_int_equal(corerig_sum(rig, "lww_discarded"), 0);
}

/* The stamp may be ahead of the clock; the end of life is by the clocks, and no
 * further than these may differ. */
static void
a_last_write_ends_by_the_clock_not_by_its_stamp(void **unused)
{
	rig->nodes[0].wall_ms = T + 10 * MINUTE_MS;
	put(0, (struct write){ .bucket = "both", .values = { "a" } });
	put(1, (struct write){ .bucket = "both", .values = { "b" } });
	assert_in_range(held(1, "both").versions[0].expires_at_ms, T + TTL_MS,
					T + TTL_MS + DYN_CLOCKS_APART_MS);
	assert_int_equal(held(1, "both").versions[0].written_at_ms,
					 T + 10 * MINUTE_MS + 1);
}

/* ------------------------------------------------- what the record says of it */

static void
show_clocks(uint64_t wall_ms)
{
	for (uint32_t i = 0; i < 3; i++)
		rig->nodes[i].wall_ms = wall_ms;
}

static const struct corerig_record *
record(uint32_t node, const char *bucket)
{
	return corerig_get(rig, node, bucket, "k");
}

/* So many actors of whom nobody has heard. */
static struct dyn_clock
clock_of(uint32_t actors)
{
	struct dyn_clock clock = { 0 };

	for (uint32_t i = 0; i < actors; i++)
		assert_int_equal(dyn_clock_add(&clock,
									   (struct dyn_dot){ { i + 1, 0 }, 1 },
									   &rig->arena.allocator, &clock),
						 DYN_STATUS_OK);
	return clock;
}

static void
a_record_is_held_since_it_came_to_its_hash(void **unused)
{
	struct dyn_clock seen = clock_of(3);
	uint64_t hash;

	put(0, (struct write){ .bucket = "plain", .values = { "v" } });
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(record(i, "plain")->held_at_ms, T);
	hash = record(0, "plain")->hash;
	show_clocks(T + MINUTE_MS);
	/* Whoever deletes what is not live leaves all rows as they are. */
	put(0, (struct write){ .bucket = "plain", .context = &seen });
	assert_int_equal(held(0, "plain").context.range_count, 4);
	for (uint32_t i = 0; i < 3; i++)
	{
		assert_true(record(i, "plain")->hash == hash);
		assert_int_equal(record(i, "plain")->held_at_ms, T);
	}
	put(1, (struct write){ .bucket = "plain", .values = { "w" } });
	for (uint32_t i = 0; i < 3; i++)
	{
		assert_true(record(i, "plain")->hash != hash);
		assert_int_equal(record(i, "plain")->held_at_ms, T + MINUTE_MS);
	}
}

static void
an_aborted_write_does_not_change_since_when(void **unused)
{
	struct dyn_clock context;

	put(0, (struct write){ .bucket = "plain", .values = { "v" } });
	show_clocks(T + MINUTE_MS);
	rig->nodes[0].store.aborts = true;
	put(0, (struct write){ .bucket = "plain", .values = { "w" } });
	assert_int_equal(record(0, "plain")->held_at_ms, T);
	assert_int_equal(record(1, "plain")->held_at_ms, T + MINUTE_MS);
	rig->nodes[0].store.aborts = false;
	show_clocks(T + 2 * MINUTE_MS);
	context = clock_of(2);
	put(0, (struct write){ .bucket = "plain", .context = &context });
	assert_int_equal(record(0, "plain")->held_at_ms, T);
	assert_int_equal(record(1, "plain")->held_at_ms, T + MINUTE_MS);
}

/* Both in one request, so in one commit: a sibling, and a delete of it. */
static void
put_and_take_back(const struct dyn_clock *context)
{
	static uint8_t ids[2][16] = { { 200 }, { 201 } };
	Dyn__PutRequest request = DYN__PUT_REQUEST__INIT;
	Dyn__PutOp ops[2] = { DYN__PUT_OP__INIT, DYN__PUT_OP__INIT };
	Dyn__PutOp *places[2] = { &ops[0], &ops[1] };
	ProtobufCBinaryData value = dyn_bytes_of_slice(dyn_slice_of("w"));
	struct dyn_slice bytes;

	assert_int_equal(dyn_clock_encode(context, &rig->arena.allocator, &bytes),
					 DYN_STATUS_OK);
	for (int i = 0; i < 2; i++)
	{
		ops[i].key = dyn_bytes_of_slice(dyn_slice_of("k"));
		ops[i].request_id = (ProtobufCBinaryData){ sizeof(ids[i]), ids[i] };
	}
	ops[0].n_values = 1;
	ops[0].values = &value;
	ops[1].context = dyn_bytes_of_slice(bytes);
	request.bucket = dyn_bytes_of_slice(dyn_slice_of("plain"));
	request.n_ops = 2;
	request.ops = places;
	assert_non_null(corerig_ask(rig, 0, DYN_MESSAGE_PUT, &request.base));
	assert_int_equal(rig->reply_type, DYN_MESSAGE_PUT_REPLY);
	corerig_run(rig, 10);
}

static void
what_comes_and_goes_in_one_commit_does_not_change_since_when(void **unused)
{
	struct dyn_clock context = { 0 };
	struct dyn_object object;
	struct dyn_dot dot;

	put(0, (struct write){ .bucket = "plain", .values = { "v" } });
	dot = held(0, "plain").versions[0].dot;
	dot.counter++; /* of the sibling that will be deleted */
	assert_int_equal(
		dyn_clock_add(&context, dot, &rig->arena.allocator, &context),
		DYN_STATUS_OK);
	show_clocks(T + MINUTE_MS);
	put_and_take_back(&context);
	for (uint32_t i = 0; i < 3; i++)
	{
		object = held(i, "plain");
		assert_int_equal(object.version_count, 1);
		assert_true(is(&object.versions[0], "v"));
		assert_true(dyn_clock_covers(&object.context, dot));
		assert_int_equal(record(i, "plain")->held_at_ms, T);
	}
}

static void
a_record_that_cannot_tell_is_held_since_its_next_write(void **unused)
{
	struct dyn_clock context = clock_of(1);

	put(0, (struct write){ .bucket = "plain", .values = { "v" } });
	corerig_get(rig, 0, "plain", "k")->held_at_ms = 0;
	show_clocks(T + MINUTE_MS);
	put(0, (struct write){ .bucket = "plain", .context = &context });
	assert_int_equal(record(0, "plain")->held_at_ms, T + MINUTE_MS);
	assert_int_equal(record(1, "plain")->held_at_ms, T);
}

static void
tombstones_and_what_expires_are_mortal_and_nothing_else(void **unused)
{
	struct dyn_clock context;

	put(0, (struct write){ .bucket = "plain", .values = { "v" } });
	put(0, (struct write){ .bucket = "last", .values = { "v" } });
	put(0, (struct write){ .bucket = "mortal", .values = { "v" } });
	for (uint32_t i = 0; i < 3; i++)
	{
		assert_int_equal(record(i, "plain")->flags, 0);
		assert_int_equal(record(i, "last")->flags, 0);
		assert_int_equal(record(i, "mortal")->flags, DYN_RECORD_MORTAL);
	}
	context = held(0, "plain").context;
	put(1, (struct write){ .bucket = "plain", .context = &context });
	context = held(0, "last").context;
	put(1, (struct write){ .bucket = "last", .context = &context });
	for (uint32_t i = 0; i < 3; i++)
	{
		assert_int_equal(record(i, "plain")->flags, DYN_RECORD_MORTAL);
		assert_int_equal(record(i, "last")->flags, DYN_RECORD_MORTAL);
	}
	put(2, (struct write){ .bucket = "plain", .values = { "again" } });
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(record(i, "plain")->flags, 0);
}

static void
a_context_of_more_than_ten_entries_is_crowded(void **unused)
{
	struct dyn_clock context = clock_of(DYN_CONTEXT_CROWDED - 1);

	put(0, (struct write){
			   .bucket = "plain", .values = { "v" }, .context = &context });
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(record(i, "plain")->flags, 0);
	put(1, (struct write){ .bucket = "plain", .values = { "w" } });
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(record(i, "plain")->flags, DYN_RECORD_CROWDED);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_version_ends_its_buckets_time_after_it_was_put),
		TEST(what_has_expired_is_replaced_unread),
		TEST(what_has_not_expired_stays_a_sibling),
		TEST(create_and_guarded_do_not_see_what_has_expired),
		TEST(a_last_write_replaces_all_that_its_coordinator_holds),
		TEST(what_its_writer_had_read_is_no_loss),
		TEST(of_several_values_the_last_one_is_put),
		TEST(a_stamp_exceeds_those_that_it_replaces),
		TEST(what_a_writer_had_read_is_asked_for_before_it_is_stamped),
		TEST(a_write_is_not_refused_for_want_of_a_stamp),
		TEST(a_delete_is_a_version_that_nobody_is_shown),
		TEST(a_last_write_ends_by_the_clock_not_by_its_stamp),
		TEST(a_record_is_held_since_it_came_to_its_hash),
		TEST(an_aborted_write_does_not_change_since_when),
		TEST(what_comes_and_goes_in_one_commit_does_not_change_since_when),
		TEST(a_record_that_cannot_tell_is_held_since_its_next_write),
		TEST(tombstones_and_what_expires_are_mortal_and_nothing_else),
		TEST(a_context_of_more_than_ten_entries_is_crowded),
	};
#undef TEST

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
