/* Memory of operations: counted, bounded, and who is refused for it. */
#include "corerig.h"
#include "objects.h"
#include "rigclient.h"
#include "righand.h"

#include "core/state.h"

#include <string.h>

enum
{
	BIG = 100 * 1024,
	NODES = 3
};

static char big[BIG + 1];

static struct dyn_slice
big_object(uint64_t actor)
{
	memset(big, 'x', BIG);
	return object_of(big, actor);
}

static struct corerig *
start(uint32_t memory_max)
{
	struct corerig *rig = corerig_new(NODES, 1, DYN_ANTI_ENTROPY_NEVER);

	if (memory_max != 0)
		rig->nodes[0].node->config.memory_max = memory_max;
	for (uint32_t n = 0; n < NODES; n++)
	{
		corerig_put(rig, n, "cart", "big", big_object(1));
		corerig_put(rig, n, "cart", "big2", big_object(1));
		corerig_put(rig, n, "cart", "differs", big_object(n + 1));
		corerig_put(rig, n, "cart", "small", object_of("v", 1));
	}
	return rig;
}

static size_t
held(const struct corerig *rig, uint32_t n)
{
	size_t counted;
	size_t found;

	dyn_node_memory(rig->nodes[n].node, &counted, &found);
	assert_int_equal(counted, found);
	return found;
}

static void
done(struct corerig **rig)
{
	corerig_run(*rig, 10000);
	for (uint32_t n = 0; n < NODES; n++)
		assert_int_equal(held(*rig, n), 0);
	corerig_free(rig);
	dyn_arena_reset(&arena);
}

static enum dyn_status
get(struct corerig *rig, const char *key)
{
	return rigclient_get_status(rig, 0, key, NODES);
}

/* The most that node 0 held when frames left. */
static void
note_most(struct corerig *rig, uint32_t from, enum dyn_message_type type,
		  struct dyn_slice *frame)
{
	size_t *most = rig->context;

	if (rig->nodes[0].node->room.held_bytes > *most)
		*most = rig->nodes[0].node->room.held_bytes;
}

static void
what_a_get_reads_is_counted_until_its_answer(void **unused)
{
	struct corerig *rig = start(0);
	size_t most = 0;

	rig->watch = note_most;
	rig->context = &most;
	assert_int_equal(get(rig, "big"), DYN_STATUS_OK);
	rig->watch = NULL;
	assert_true(most > BIG);
	assert_true(most < 2 * BIG); /* what owners hold alike is held once */
	assert_int_equal(held(rig, 0), 0);
	done(&rig);
}

static void
what_a_put_reads_is_counted_until_its_answer(void **unused)
{
	struct corerig *rig = start(0);
	size_t most = 0;

	rig->watch = note_most;
	rig->context = &most;
	assert_int_equal(rigclient_put_status(rig, 0,
										  (struct rigclient_put){
											  .key = "big",
											  .values = { "new" },
											  .mode = DYN__PUT_MODE__REPLACE }),
					 DYN_STATUS_OK);
	rig->watch = NULL;
	assert_true(most > BIG);
	done(&rig);
}

static void
a_get_that_does_not_fit_is_answered_overload(void **unused)
{
	struct corerig *rig = start(BIG);

	assert_int_equal(get(rig, "big"), DYN_STATUS_OVERLOAD);
	assert_int_equal(corerig_counter(rig, 0, "overloads"), 1);
	assert_int_equal(get(rig, "small"), DYN_STATUS_OK);
	rig->nodes[0].node->config.memory_max = 2 * BIG;
	assert_int_equal(get(rig, "big"), DYN_STATUS_OK);
	done(&rig);
}

/* Three different objects, and the one that is made of them. */
static void
what_is_merged_must_fit_too(void **unused)
{
	struct corerig *rig = start(3 * BIG);

	assert_int_equal(get(rig, "differs"), DYN_STATUS_OVERLOAD);
	rig->nodes[0].node->config.memory_max = 6 * BIG;
	assert_int_equal(get(rig, "differs"), DYN_STATUS_OVERLOAD);
	rig->nodes[0].node->config.memory_max = 9 * BIG;
	assert_int_equal(get(rig, "differs"), DYN_STATUS_OK);
	done(&rig);
}

/* Two different objects, one of which is what is made of them. */
static void
what_one_owner_has_already_is_not_held_again(void **unused)
{
	struct corerig *rig = start(3 * BIG);
	struct dyn_object ahead;

	assert_int_equal(dyn_object_decode(big_object(1), &arena.allocator, &ahead),
					 DYN_STATUS_OK);
	ahead = put(ahead, NULL, "sibling", 2, 2);
	corerig_put(rig, 2, "cart", "big", encoded(ahead));
	assert_int_equal(get(rig, "big"), DYN_STATUS_OK);
	done(&rig);
}

static void
a_put_that_reads_what_does_not_fit_is_refused_and_nothing_is_stored(
	void **unused)
{
	static const struct rigclient_put puts[] = {
		{ .key = "big", .values = { "new" }, .mode = DYN__PUT_MODE__REPLACE },
		{ .key = "big", .values = { "new" }, .mode = DYN__PUT_MODE__GUARDED },
		{ .key = "big", .values = { "new" }, .retry = true },
	};

	for (uint32_t i = 0; i < sizeof(puts) / sizeof(*puts); i++)
	{
		struct corerig *rig = start(BIG);
		struct dyn_slice before = big_object(1);

		assert_int_equal(rigclient_put_status(rig, 0, puts[i]),
						 DYN_STATUS_OVERLOAD);
		corerig_run(rig, 100);
		for (uint32_t n = 0; n < NODES; n++)
		{
			const struct corerig_record *record =
				corerig_get(rig, n, "cart", "big");

			assert_int_equal(record->object_size, before.size);
			assert_memory_equal(record->object, before.data, before.size);
		}
		done(&rig);
	}
}

static void
a_put_that_reads_nothing_needs_no_room_to_read(void **unused)
{
	struct corerig *rig = start(BIG);

	assert_int_equal(
		rigclient_put_status(
			rig, 0,
			(struct rigclient_put){ .key = "big", .values = { "beside" } }),
		DYN_STATUS_OK);
	done(&rig);
}

/* The room is full from the moment when the write leaves. */
static void
fill(struct corerig *rig, uint32_t from, enum dyn_message_type type,
	 struct dyn_slice *frame)
{
	bool *filled = rig->context;

	if (from != 0 || type != DYN_MESSAGE_REPLICATE || *filled)
		return;
	*filled = true;
	rig->nodes[0].node->room.held_bytes +=
		rig->nodes[0].node->config.memory_max;
}

static void
a_full_room_ends_what_has_left_and_begins_nothing(void **unused)
{
	struct corerig *rig = start(0);
	struct dyn_node *node = rig->nodes[0].node;
	bool filled = false;

	rig->watch = fill;
	rig->context = &filled;
	assert_int_equal(
		rigclient_put_status(rig, 0,
							 (struct rigclient_put){ .key = "small",
													 .values = { "beside" },
													 .w = NODES }),
		DYN_STATUS_OK);
	rig->watch = NULL;
	assert_true(filled);
	assert_int_equal(get(rig, "small"), DYN_STATUS_OVERLOAD);
	assert_int_equal(rig->reply_type, DYN_MESSAGE_ERROR);
	node->room.held_bytes -= node->config.memory_max;
	assert_int_equal(get(rig, "small"), DYN_STATUS_OK);
	done(&rig);
}

static void
a_read_leaves_out_what_does_not_fit_and_answers_one_at_least(void **unused)
{
	struct corerig *rig = start(BIG);
	Dyn__ReadRequest request = DYN__READ_REQUEST__INIT;
	ProtobufCBinaryData keys[] = { dyn_bytes_of_slice(dyn_slice_of("big")),
								   dyn_bytes_of_slice(dyn_slice_of("big2")) };
	const Dyn__ReadReply *reply;

	request.bucket = dyn_bytes_of_slice(dyn_slice_of("cart"));
	request.n_keys = 2;
	request.keys = keys;
	reply = corerig_ask(rig, 0, DYN_MESSAGE_READ, &request.base);
	assert_non_null(reply);
	assert_int_equal(rig->reply_type, DYN_MESSAGE_READ_REPLY);
	assert_int_equal(reply->results[0]->status, DYN_STATUS_TOO_LARGE);
	assert_int_equal(reply->results[1]->status, DYN_STATUS_OK);
	done(&rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_get_reads_is_counted_until_its_answer),
		cmocka_unit_test(what_a_put_reads_is_counted_until_its_answer),
		cmocka_unit_test(a_get_that_does_not_fit_is_answered_overload),
		cmocka_unit_test(what_is_merged_must_fit_too),
		cmocka_unit_test(what_one_owner_has_already_is_not_held_again),
		cmocka_unit_test(
			a_put_that_reads_what_does_not_fit_is_refused_and_nothing_is_stored),
		cmocka_unit_test(a_put_that_reads_nothing_needs_no_room_to_read),
		cmocka_unit_test(a_full_room_ends_what_has_left_and_begins_nothing),
		cmocka_unit_test(
			a_read_leaves_out_what_does_not_fit_and_answers_one_at_least),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
