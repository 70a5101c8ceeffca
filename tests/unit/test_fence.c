/* Stamps and floors: what is too old to be taken. */
#include "corerig.h"
#include "objects.h"

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

static enum dyn_status
put_key(struct corerig *rig, uint32_t n, const char *key, uint32_t w)
{
	Dyn__PutRequest request = DYN__PUT_REQUEST__INIT;
	Dyn__PutOp op = DYN__PUT_OP__INIT;
	Dyn__PutOp *ops = &op;
	ProtobufCBinaryData value = { 1, (uint8_t *) "v" };
	static uint8_t id[16];
	const Dyn__PutReply *reply;

	id[0]++;
	request.bucket = dyn_bytes_of_slice(dyn_slice_of("cart"));
	request.w = w;
	request.n_ops = 1;
	request.ops = &ops;
	op.key = dyn_bytes_of_slice(dyn_slice_of(key));
	op.request_id = (ProtobufCBinaryData){ sizeof(id), id };
	op.values = &value;
	op.n_values = 1;
	reply = corerig_ask(rig, n, DYN_MESSAGE_PUT, &request.base);
	assert_non_null(reply);
	assert_int_equal(rig->reply_type, DYN_MESSAGE_PUT_REPLY);
	return (enum dyn_status) reply->results[0]->status;
}

static void
what_is_older_than_the_floor_is_refused_and_nothing_is_stored(void **unused)
{
	struct corerig *rig = corerig_new(2, 1, DYN_ANTI_ENTROPY_NEVER);

	set(rig, 0, 4, 4);
	set(rig, 1, 5, 5);
	assert_int_equal(put_key(rig, 0, "alice", 1), DYN_STATUS_OK);
	corerig_run(rig, 100);
	assert_null(corerig_get(rig, 1, "cart", "alice"));
	assert_int_equal(corerig_counter(rig, 1, "fenced"), 1);
	set(rig, 0, 5, 4);
	assert_int_equal(put_key(rig, 0, "bob", 2), DYN_STATUS_OK);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			what_is_older_than_the_floor_is_refused_and_nothing_is_stored),
		cmocka_unit_test(
			a_request_keeps_the_floor_when_the_stamp_rises_above_it),
		cmocka_unit_test(
			a_store_of_an_earlier_time_takes_no_writes_before_it_is_rebuilt),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
