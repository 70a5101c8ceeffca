/* The answer to a put of many operations (core/put_answer.h). */
#include "corerig.h"
#include "objects.h"
#include "righand.h"
#include "rigrecord.h"

#include <stdio.h>

enum
{
	KEYS = 24,
	ACTORS = 180000, /* of a context of some three megabytes */
	WRITER = 7
};

/* One value, and a context as of a key that very many processes have written. */
static struct dyn_slice
object_of_many_actors(void)
{
	struct dyn_clock_range *ranges =
		dyn_arena_allocate(&arena, ACTORS * sizeof(*ranges));
	struct dyn_version version = { .dot = { { WRITER, 1 }, 1 },
								   .request = request_of(1),
								   .value = dyn_slice_of("v") };

	for (uint32_t i = 0; i < ACTORS; i++)
		ranges[i] =
			(struct dyn_clock_range){ { (uint64_t) i + WRITER, 1 }, 1, 1 };
	return encoded((struct dyn_object){ { ranges, ACTORS }, &version, 1 });
}

/* As an ERROR it would say that nothing was stored. */
static void
an_answer_never_grows_beyond_a_frame(void **unused)
{
	struct corerig *rig = corerig_new(1, 8, DYN_ANTI_ENTROPY_NEVER);
	struct dyn_slice object = object_of_many_actors();
	Dyn__PutRequest request = DYN__PUT_REQUEST__INIT;
	Dyn__PutOp ops[KEYS];
	Dyn__PutOp *op_list[KEYS];
	uint8_t ids[KEYS][16] = { { 0 } };
	char keys[KEYS][8];
	ProtobufCBinaryData value = dyn_bytes_of_slice(dyn_slice_of("w"));
	const Dyn__PutReply *reply;
	uint32_t told = 0;

	for (uint32_t i = 0; i < KEYS; i++)
	{
		snprintf(keys[i], sizeof(keys[i]), "k%u", i);
		rigrecord_put_on(rig, 0, 0, "cart", keys[i], object);
		ids[i][0] = (uint8_t) (i + 1);
		ids[i][15] = 1;
		dyn__put_op__init(&ops[i]);
		ops[i].key = dyn_bytes_of_slice(dyn_slice_of(keys[i]));
		ops[i].request_id = (ProtobufCBinaryData){ 16, ids[i] };
		ops[i].n_values = 1;
		ops[i].values = &value;
		op_list[i] = &ops[i];
	}
	request.bucket = dyn_bytes_of_slice(dyn_slice_of("cart"));
	request.n_ops = KEYS;
	request.ops = op_list;
	reply = corerig_ask(rig, 0, DYN_MESSAGE_PUT, &request.base);
	assert_non_null(reply);
	assert_int_equal(rig->reply_type, DYN_MESSAGE_PUT_REPLY);
	for (uint32_t i = 0; i < KEYS; i++)
	{
		assert_int_equal(reply->results[i]->status, DYN_STATUS_OK);
		told += reply->results[i]->context.len != 0;
	}
	assert_in_range(told, 1, KEYS - 1);
	corerig_free(&rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_never_grows_beyond_a_frame),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
