/* A replica's page, and the hashes that come with it. */
#include "corerig.h"
#include "objects.h"
#include "righand.h"

#include "model/hash.h"

enum
{
	PARTITIONS = 4,
	CELLS = DYN_CELL_COUNT / PARTITIONS
};

/* Of the partition that the key lies in. */
static Dyn__ScanRequest
request_at(const char *bucket, const char *key)
{
	Dyn__ScanRequest request = DYN__SCAN_REQUEST__INIT;
	uint16_t partition =
		dyn_hash_partition(corerig_cell(bucket, key), PARTITIONS);

	request.bucket = dyn_bytes_of_slice(dyn_slice_of(bucket));
	request.cell_first = dyn_hash_cell_first(partition, PARTITIONS);
	request.cell_last = dyn_hash_cell_last(partition, PARTITIONS);
	request.cell_hashes = true;
	return request;
}

static const Dyn__ScanReply *
ask(struct corerig *rig, uint32_t node, const Dyn__ScanRequest *request)
{
	const void *reply =
		corerig_ask(rig, node, DYN_MESSAGE_SCAN, &request->base);

	assert_non_null(reply);
	return rig->reply_type == DYN_MESSAGE_SCAN_REPLY ? reply : NULL;
}

static uint64_t
hash_at(const Dyn__ScanReply *reply, const Dyn__ScanRequest *request,
		const char *bucket, const char *key)
{
	assert_int_equal(reply->n_cell_hashes, CELLS);
	return reply->cell_hashes[corerig_cell(bucket, key) - request->cell_first];
}

static bool
has_item(const Dyn__ScanReply *reply, const char *key)
{
	for (size_t i = 0; i < reply->n_items; i++)
		if (dyn_slice_equal(dyn_slice_of_bytes(reply->items[i]->key),
							dyn_slice_of(key)))
			return true;
	return false;
}

static void
hashes_are_equal_where_records_are_and_only_there(void **unused)
{
	struct corerig *rig = corerig_new(2, PARTITIONS, 0);
	Dyn__ScanRequest request = request_at("cart", "alice");
	uint64_t own;

	corerig_put(rig, 0, "cart", "alice", object_of("milk", 1));
	corerig_put(rig, 1, "cart", "alice", object_of("milk", 1));
	own = hash_at(ask(rig, 0, &request), &request, "cart", "alice");
	assert_int_not_equal(own, 0);
	assert_int_equal(hash_at(ask(rig, 1, &request), &request, "cart", "alice"),
					 own);
	corerig_put(rig, 1, "cart", "alice", object_of("eggs", 2));
	assert_int_not_equal(
		hash_at(ask(rig, 1, &request), &request, "cart", "alice"), own);
	corerig_free(&rig);
	dyn_arena_reset(&arena);
}

static void
hashes_alone_come_without_items_and_do_not_look_like_an_empty_end(void **unused)
{
	struct corerig *rig = corerig_new(2, PARTITIONS, 0);
	Dyn__ScanRequest request = request_at("cart", "alice");
	const Dyn__ScanReply *reply;
	uint64_t own;

	corerig_put(rig, 0, "cart", "alice", object_of("milk", 1));
	reply = ask(rig, 0, &request);
	assert_true(reply->n_items == 1 && reply->end);
	own = hash_at(reply, &request, "cart", "alice");
	request.no_items = true;
	reply = ask(rig, 0, &request);
	assert_true(reply->n_items == 0 && !reply->end);
	assert_int_equal(hash_at(reply, &request, "cart", "alice"), own);
	request.cell_hashes = false;
	assert_null(ask(rig, 0, &request));
	request.no_items = false;
	assert_int_equal(ask(rig, 0, &request)->n_cell_hashes, 0);
	corerig_free(&rig);
	dyn_arena_reset(&arena);
}

/* A record arrives while the page is on its way: the reader may see it
 * without its hash, but never the hash without the record. */
static void
a_page_is_never_older_than_its_hashes(void **unused)
{
	Dyn__ScanRequest request = request_at("cart", "alice");

	for (int late_ms = 0; late_ms < 6; late_ms++)
	{
		struct corerig *rig = corerig_new(2, PARTITIONS, 0);
		struct dyn_envelope env = { .type = DYN_MESSAGE_SCAN,
									.correlation = 1 };
		struct dyn_event event = { .type = DYN_EVENT_MESSAGE };
		const Dyn__ScanReply *reply;
		uint64_t hash;
		bool has;

		assert_int_equal(dyn_message_pack(&env, &request.base,
										  &rig->arena.allocator,
										  &event.message.frame),
						 DYN_STATUS_OK);
		event.message.source = DYN_SOURCE_CLIENT;
		event.message.route = 1;
		rig->reply = NULL;
		corerig_step(rig, 0, &event);
		corerig_run(rig, (uint64_t) late_ms);
		corerig_put(rig, 0, "cart", "alice", object_of("milk", 1));
		corerig_run(rig, 10);
		reply = (const Dyn__ScanReply *) rig->reply;
		assert_non_null(reply);
		hash = hash_at(reply, &request, "cart", "alice");
		has = has_item(reply, "alice");
		assert_true(hash == 0 || has);
		if (late_ms == 0)
			assert_true(has);
		corerig_free(&rig);
	}
	dyn_arena_reset(&arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hashes_are_equal_where_records_are_and_only_there),
		cmocka_unit_test(
			hashes_alone_come_without_items_and_do_not_look_like_an_empty_end),
		cmocka_unit_test(a_page_is_never_older_than_its_hashes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	dyn_arena_init(&arena, dyn_allocator_malloc(), 1 << 16);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
