/* A bucket's properties: set at one node, kept, told to the others, applied. */
#include "corerig.h"
#include "rigclient.h"
#include "righand.h"

#include "model/bucket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum
{
	SPREAD_MS = 20 /* at once, not with the next heartbeat */
};

static struct corerig *rig;

static int
set_up(void **unused)
{
	rig = corerig_new(3, 4, UINT32_MAX);
	return 0;
}

static int
tear_down(void **unused)
{
	corerig_free(&rig);
	return 0;
}

static Dyn__Bucket
bucket(const char *name, uint64_t ttl_ms, uint64_t version)
{
	Dyn__Bucket self = DYN__BUCKET__INIT;

	self.name = dyn_bytes_of_slice(dyn_slice_of(name));
	self.ttl_ms = ttl_ms;
	self.version = version;
	return self;
}

static enum dyn_status
ask(uint32_t node, const char *name, Dyn__Bucket *change, Dyn__Bucket **out)
{
	Dyn__BucketRequest request = DYN__BUCKET_REQUEST__INIT;
	const void *reply;

	request.name = dyn_bytes_of_slice(dyn_slice_of(name));
	request.set = change;
	reply = corerig_ask(rig, node, DYN_MESSAGE_BUCKET, &request.base);
	assert_non_null(reply);
	if (rig->reply_type == DYN_MESSAGE_ERROR)
		return (enum dyn_status)((const Dyn__Error *) reply)->status;
	assert_int_equal(rig->reply_type, DYN_MESSAGE_BUCKET_REPLY);
	assert_int_equal(((const Dyn__BucketReply *) reply)->n_buckets, 1);
	*out = ((const Dyn__BucketReply *) reply)->buckets[0];
	return DYN_STATUS_OK;
}

static enum dyn_status
set(uint32_t node, Dyn__Bucket change)
{
	Dyn__Bucket *out;

	return ask(node, "", &change, &out);
}

static uint64_t
ttl_at(uint32_t node, const char *name)
{
	Dyn__Bucket *out;

	assert_int_equal(ask(node, name, NULL, &out), DYN_STATUS_OK);
	return out->ttl_ms;
}

/* What a restart would find. */
static uint64_t
ttl_on_disk(uint32_t node, const char *name)
{
	static struct dyn_buckets table;
	const struct corerig_store *store = &rig->nodes[node].store;
	const struct dyn_bucket *found;

	for (int i = 0; i < 4; i++)
	{
		struct dyn_slice bytes = { store->meta[i].bytes, store->meta[i].size };

		if (strcmp(store->meta[i].name, "buckets") != 0)
			continue;
		assert_int_equal(
			dyn_buckets_decode(bytes, &rig->arena.allocator, &table),
			DYN_STATUS_OK);
		found = dyn_buckets_find(&table, dyn_slice_of(name));
		return found ? found->ttl_ms : 0;
	}
	return 0;
}

static void
a_change_reaches_all_nodes_and_their_disks_at_once(void **unused)
{
	assert_int_equal(ttl_at(1, "cart"), 0);
	assert_int_equal(set(1, bucket("cart", 5000, 0)), DYN_STATUS_OK);
	assert_int_equal(ttl_on_disk(1, "cart"), 5000);
	corerig_run(rig, SPREAD_MS);
	for (uint32_t node = 0; node < 3; node++)
	{
		assert_int_equal(ttl_at(node, "cart"), 5000);
		assert_int_equal(ttl_on_disk(node, "cart"), 5000);
	}
	assert_int_equal(set(2, bucket("cart", 0, 1)), DYN_STATUS_OK);
	corerig_run(rig, SPREAD_MS);
	for (uint32_t node = 0; node < 3; node++)
		assert_int_equal(ttl_at(node, "cart"), 0);
}

/* When all know the same, heartbeats carry no tables. */
static void
what_all_know_is_not_told_again(void **unused)
{
	uint64_t before;

	corerig_run(rig, 2000);
	corerig_count_anew(rig);
	corerig_run(rig, 5000);
	before = rig->bytes[DYN_MESSAGE_HEARTBEAT];
	assert_int_equal(set(0, bucket("cart", 5000, 0)), DYN_STATUS_OK);
	corerig_run(rig, 2000);
	corerig_count_anew(rig);
	corerig_run(rig, 5000);
	assert_true(rig->bytes[DYN_MESSAGE_HEARTBEAT] <= before + before / 10);
}

static void
a_change_of_what_is_known_no_more_is_refused(void **unused)
{
	assert_int_equal(set(0, bucket("cart", 1000, 0)), DYN_STATUS_OK);
	corerig_run(rig, SPREAD_MS);
	assert_int_equal(set(1, bucket("cart", 2000, 0)), DYN_STATUS_CONFLICT);
	assert_int_equal(set(1, bucket("cart", 2000, 7)), DYN_STATUS_CONFLICT);
	assert_int_equal(set(1, bucket("cart", 2000, 1)), DYN_STATUS_OK);
	assert_int_equal(ttl_at(1, "cart"), 2000);
}

static void
a_change_that_is_not_on_disk_is_not_made(void **unused)
{
	rig->nodes[0].store.aborts = true;
	assert_int_equal(set(0, bucket("cart", 1000, 0)), DYN_STATUS_ABORTED);
	rig->nodes[0].store.aborts = false;
	corerig_run(rig, 2000);
	for (uint32_t node = 0; node < 3; node++)
		assert_int_equal(ttl_at(node, "cart"), 0);
	assert_int_equal(set(0, bucket("cart", 1000, 0)), DYN_STATUS_OK);
	corerig_full(rig, 0);
	assert_int_equal(set(0, bucket("cart", 2000, 1)), DYN_STATUS_FULL);
	assert_int_equal(ttl_at(0, "cart"), 1000);
}

/* Both sides of a partition change things; afterwards all are equal. */
static void
who_was_away_learns_it_and_tells_its_own(void **unused)
{
	corerig_cut(rig, 2, true);
	assert_int_equal(set(0, bucket("here", 1000, 0)), DYN_STATUS_OK);
	assert_int_equal(set(0, bucket("both", 1000, 0)), DYN_STATUS_OK);
	assert_int_equal(set(0, bucket("both", 2000, 1)), DYN_STATUS_OK);
	assert_int_equal(set(2, bucket("there", 3000, 0)), DYN_STATUS_OK);
	assert_int_equal(set(2, bucket("both", 4000, 0)), DYN_STATUS_OK);
	corerig_run(rig, 5000);
	assert_int_equal(ttl_at(2, "here"), 0);
	corerig_cut(rig, 2, false);
	corerig_run(rig, 5000);
	for (uint32_t node = 0; node < 3; node++)
	{
		assert_int_equal(ttl_at(node, "here"), 1000);
		assert_int_equal(ttl_at(node, "there"), 3000);
		assert_int_equal(ttl_at(node, "both"), 2000);
		assert_int_equal(ttl_on_disk(node, "both"), 2000);
	}
}

static void
what_no_bucket_can_have_is_refused(void **unused)
{
	Dyn__Bucket change = bucket("", 1, 0);
	Dyn__Bucket *out;

	assert_int_equal(set(0, change), DYN_STATUS_BAD_REQUEST);
	change = bucket("cart", DYN_TTL_MS_MAX + 1, 0);
	assert_int_equal(set(0, change), DYN_STATUS_BAD_REQUEST);
	change = bucket("cart", 0, 0);
	change.conflict = 2;
	assert_int_equal(set(0, change), DYN_STATUS_BAD_REQUEST);
	change = bucket("cart", 0, 0);
	change.r = 4;
	assert_int_equal(set(0, change), DYN_STATUS_BAD_REQUEST);
	change.r = 3;
	change.w = 1000;
	assert_int_equal(set(0, change), DYN_STATUS_BAD_REQUEST);
	change.w = 3;
	assert_int_equal(set(0, change), DYN_STATUS_OK);
	assert_int_equal(
		ask(0,
			"a name of more than sixty-three bytes is not the name of a bucket",
			NULL, &out),
		DYN_STATUS_BAD_REQUEST);
}

static uint32_t
read_quorum(const char *name, uint32_t r)
{
	Dyn__GetRequest request = DYN__GET_REQUEST__INIT;
	ProtobufCBinaryData key = dyn_bytes_of_slice(dyn_slice_of("k"));
	const Dyn__GetReply *reply;

	request.bucket = dyn_bytes_of_slice(dyn_slice_of(name));
	request.r = r;
	request.n_keys = 1;
	request.keys = &key;
	reply = corerig_ask(rig, 0, DYN_MESSAGE_GET, &request.base);
	assert_int_equal(rig->reply_type, DYN_MESSAGE_GET_REPLY);
	return reply->results[0]->receipt->needed;
}

static uint32_t
write_quorum(const char *name, uint32_t w)
{
	const Dyn__PutResult *result = rigclient_put(
		rig, 0,
		(struct rigclient_put){ .bucket = name, .values = { "v" }, .w = w });

	assert_non_null(result);
	assert_int_equal(result->status, DYN_STATUS_OK);
	return result->receipt->needed;
}

/* The cluster's are r = 3, w = 1. */
static void
r_and_w_are_the_requests_then_the_buckets_then_the_clusters(void **unused)
{
	Dyn__Bucket change = bucket("cart", 0, 0);

	assert_int_equal(read_quorum("cart", 0), 3);
	assert_int_equal(write_quorum("cart", 0), 1);
	change.r = 2;
	change.w = 3;
	assert_int_equal(set(0, change), DYN_STATUS_OK);
	assert_int_equal(read_quorum("cart", 0), 2);
	assert_int_equal(write_quorum("cart", 0), 3);
	assert_int_equal(read_quorum("cart", 1), 1);
	assert_int_equal(write_quorum("cart", 2), 2);
	assert_int_equal(read_quorum("other", 0), 3);
	assert_int_equal(write_quorum("other", 0), 1);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_change_reaches_all_nodes_and_their_disks_at_once),
		TEST(what_all_know_is_not_told_again),
		TEST(a_change_of_what_is_known_no_more_is_refused),
		TEST(a_change_that_is_not_on_disk_is_not_made),
		TEST(who_was_away_learns_it_and_tells_its_own),
		TEST(what_no_bucket_can_have_is_refused),
		TEST(r_and_w_are_the_requests_then_the_buckets_then_the_clusters),
	};
#undef TEST

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
