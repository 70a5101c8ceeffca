/* Envelopes and bodies: what a stranger can send. */
#include "model/arena.h"
#include "model/message.h"

#include "failing.h"
#include "prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct dyn_arena arena;

static struct dyn_slice
get_frame(const char *bucket, const char *key)
{
	Dyn__GetRequest request = DYN__GET_REQUEST__INIT;
	ProtobufCBinaryData bytes = dyn_bytes_of_slice(dyn_slice_of(key));
	struct dyn_envelope env = { .type = DYN_MESSAGE_GET,
								.remaining_ms = 1000,
								.correlation = 0x0102030405060708,
								.cluster = 0x1112131415161718,
								.sender = { { 9, 8, 7 } } };
	struct dyn_slice frame;

	request.bucket = dyn_bytes_of_slice(dyn_slice_of(bucket));
	request.n_keys = 1;
	request.keys = &bytes;
	assert_int_equal(
		dyn_message_pack(&env, &request.base, &arena.allocator, &frame),
		DYN_STATUS_OK);
	return frame;
}

static void
a_frame_is_read_back(void **unused)
{
	struct dyn_slice frame = get_frame("cart", "alice");
	struct dyn_envelope env;
	ProtobufCMessage *body;
	const Dyn__GetRequest *request;

	assert_int_equal(dyn_envelope_open(frame, &env), DYN_STATUS_OK);
	assert_int_equal(env.type, DYN_MESSAGE_GET);
	assert_int_equal(env.remaining_ms, 1000);
	assert_int_equal(env.correlation, 0x0102030405060708);
	assert_int_equal(env.cluster, 0x1112131415161718);
	assert_int_equal(env.sender.bytes[1], 8);
	assert_int_equal(dyn_message_unpack(&env, &arena.allocator, &body),
					 DYN_STATUS_OK);
	request = (const Dyn__GetRequest *) body;
	assert_int_equal(request->n_keys, 1);
	assert_true(dyn_slice_equal(dyn_slice_of_bytes(request->keys[0]),
								dyn_slice_of("alice")));
}

static void
any_flipped_bit_is_noticed(void **unused)
{
	struct dyn_slice frame = get_frame("cart", "alice");
	uint8_t copy[256];

	assert_true(frame.size <= sizeof(copy));
	for (size_t bit = 0; bit < frame.size * 8; bit++)
	{
		struct dyn_slice broken = { copy, frame.size };
		struct dyn_envelope env;
		enum dyn_status status;

		memcpy(copy, frame.data, frame.size);
		copy[bit / 8] ^= (uint8_t) (1 << bit % 8);
		status = dyn_envelope_open(broken, &env);
		/* Byte 4 is the version, which is answered as such. */
		assert_int_equal(status, bit / 8 == 4 ? DYN_STATUS_VERSION
											  : DYN_STATUS_BAD_REQUEST);
	}
}

static void
a_cut_or_longer_frame_is_refused(void **unused)
{
	struct dyn_slice frame = get_frame("cart", "alice");
	uint8_t copy[256] = { 0 };
	struct dyn_envelope env;

	memcpy(copy, frame.data, frame.size);
	for (size_t size = 0; size < sizeof(copy); size++)
		if (size != frame.size)
			assert_int_equal(
				dyn_envelope_open((struct dyn_slice){ copy, size }, &env),
				DYN_STATUS_BAD_REQUEST);
}

static void
another_version_tells_whom_to_answer(void **unused)
{
	struct dyn_slice frame = get_frame("cart", "alice");
	uint8_t copy[256];
	struct dyn_envelope env;

	memcpy(copy, frame.data, frame.size);
	copy[4] = 9;
	assert_int_equal(
		dyn_envelope_open((struct dyn_slice){ copy, frame.size }, &env),
		DYN_STATUS_VERSION);
	assert_int_equal(env.version, 9);
	assert_int_equal(env.correlation, 0x0102030405060708);
}

static void
an_unknown_type_is_refused(void **unused)
{
	Dyn__StatusRequest request = DYN__STATUS_REQUEST__INIT;
	struct dyn_envelope env = { .type = DYN_MESSAGE_STATUS };
	struct dyn_slice frame;
	uint8_t copy[DYN_ENVELOPE_SIZE];

	dyn_message_pack(&env, &request.base, &arena.allocator, &frame);
	memcpy(copy, frame.data, sizeof(copy));
	env.type = (enum dyn_message_type) 200;
	dyn_envelope_seal(&env, copy);
	assert_int_equal(
		dyn_envelope_open((struct dyn_slice){ copy, sizeof(copy) }, &env),
		DYN_STATUS_BAD_REQUEST);
	assert_string_equal(dyn_message_name(200), "INVALID");
	assert_string_equal(dyn_message_name(DYN_MESSAGE_GET), "GET");
}

/* All that was asked for, whether it was given back or not. */
static void *
count_size(void *context, size_t size)
{
	*(size_t *) context += size;
	return malloc(size ? size : 1);
}

static void
give_back(void *context, void *memory)
{
	free(memory);
}

/* A body of empty submessages: two bytes each, some hundred in memory. */
static void
memory_for_unpacking_is_bounded_by_the_size_of_the_body(void **unused)
{
	static const enum dyn_message_type types[] = {
		DYN_MESSAGE_PUT, DYN_MESSAGE_REPLICATE, DYN_MESSAGE_PUT_REPLY,
		DYN_MESSAGE_SCAN_REPLY, DYN_MESSAGE_STATUS_REPLY
	};
	static const uint8_t tags[] = { 0x22, 0x12, 0x0a, 0x1a, 0x42 };

	for (int t = 0; t < 5; t++)
		for (size_t size = 2; size <= 8 * 1024 * 1024; size *= 4)
		{
			uint8_t *bytes = calloc(1, size);
			size_t taken = 0;
			struct dyn_allocator counting = { count_size, give_back, &taken };
			struct dyn_envelope env = { .type = types[t],
										.body = { bytes, size } };
			ProtobufCAllocator release = { count_size, give_back, &taken };
			ProtobufCMessage *body;
			enum dyn_status status;

			for (size_t i = 0; i < size; i += 2)
				bytes[i] = tags[t];
			status = dyn_message_unpack(&env, &counting, &body);
			assert_true(taken <= 65 * size + 4096);
			assert_true(taken <= size + DYN_UNPACK_OVERHEAD_MAX);
			if (status == DYN_STATUS_OK)
				protobuf_c_message_free_unpacked(body, &release);
			else
				assert_true(size > 32);
			free(bytes);
		}
}

/* The honest message with the most memory for a byte on the wire. */
static void
any_number_of_keys_that_are_not_there_can_be_answered(void **unused)
{
	static Dyn__ReadResult results[DYN_BATCH_OPS_MAX];
	static Dyn__ReadResult *pointers[DYN_BATCH_OPS_MAX];
	Dyn__ReadReply reply = DYN__READ_REPLY__INIT;
	struct dyn_envelope env = { .type = DYN_MESSAGE_READ_REPLY };

	for (int i = 0; i < DYN_BATCH_OPS_MAX; i++)
	{
		dyn__read_result__init(&results[i]);
		results[i].status = DYN_STATUS_NOT_FOUND;
		pointers[i] = &results[i];
	}
	reply.results = pointers;
	for (reply.n_results = 1; reply.n_results <= DYN_BATCH_OPS_MAX;
		 reply.n_results++)
	{
		struct dyn_slice frame;
		ProtobufCMessage *body;

		dyn_message_pack(&env, &reply.base, &arena.allocator, &frame);
		assert_int_equal(dyn_envelope_open(frame, &env), DYN_STATUS_OK);
		assert_int_equal(dyn_message_unpack(&env, &arena.allocator, &body),
						 DYN_STATUS_OK);
		dyn_arena_reset(&arena);
	}
}

/* Not the sender's fault, and nothing is left behind. */
static void
running_out_of_memory_is_said_as_such(void **unused)
{
	struct dyn_envelope env;
	enum dyn_status status = DYN_STATUS_NO_MEMORY;
	struct dyn_slice frame = get_frame("cart", "alice");
	long n;

	assert_int_equal(dyn_envelope_open(frame, &env), DYN_STATUS_OK);
	for (n = 0; status != DYN_STATUS_OK; n++)
	{
		struct failing failing;
		ProtobufCAllocator release;
		ProtobufCMessage *body;

		failing_init(&failing, n);
		status = dyn_message_unpack(&env, &failing.allocator, &body);
		release = (ProtobufCAllocator){ failing.allocator.allocate,
										failing.allocator.release,
										failing.allocator.context };
		if (status == DYN_STATUS_OK)
			protobuf_c_message_free_unpacked(body, &release);
		else
			assert_int_equal(status, DYN_STATUS_NO_MEMORY);
		assert_int_equal(failing.live, 0);
	}
	assert_true(n > 3);
}

static void
more_than_4096_operations_are_too_many(void **unused)
{
	Dyn__GetRequest request = DYN__GET_REQUEST__INIT;
	static ProtobufCBinaryData keys[DYN_BATCH_OPS_MAX + 1];
	struct dyn_envelope env = { .type = DYN_MESSAGE_GET };
	struct dyn_slice frame;
	ProtobufCMessage *body;

	for (int i = 0; i <= DYN_BATCH_OPS_MAX; i++)
		keys[i] = dyn_bytes_of_slice(dyn_slice_of("a key"));
	request.keys = keys;
	for (request.n_keys = DYN_BATCH_OPS_MAX;
		 request.n_keys <= DYN_BATCH_OPS_MAX + 1; request.n_keys++)
	{
		dyn_message_pack(&env, &request.base, &arena.allocator, &frame);
		assert_int_equal(dyn_envelope_open(frame, &env), DYN_STATUS_OK);
		assert_int_equal(dyn_message_unpack(&env, &arena.allocator, &body),
						 request.n_keys <= DYN_BATCH_OPS_MAX
							 ? DYN_STATUS_OK
							 : DYN_STATUS_TOO_LARGE);
	}
}

/* Sealed frames with random bodies of every type: refused or unpacked. */
static void
random_bodies_of_every_type_do_no_harm(void **unused)
{
	struct prng prng = { 3 };

	for (int round = 0; round < 200000; round++)
	{
		uint8_t body[64];
		struct dyn_envelope env = {
			.type = (enum dyn_message_type)(1 + prng_below(&prng, 22)),
			.body = { body, prng_below(&prng, sizeof(body)) }
		};
		ProtobufCMessage *message;

		for (size_t i = 0; i < env.body.size; i++)
			body[i] = prng_below(&prng, 3) ? (uint8_t) prng_below(&prng, 80)
										   : (uint8_t) prng_next(&prng);
		(void) dyn_message_unpack(&env, &arena.allocator, &message);
		dyn_arena_reset(&arena);
	}
}

static void
ids_have_sixteen_bytes(void **unused)
{
	uint8_t bytes[17] = { 1 };
	struct dyn_node_id id;
	struct dyn_request_id request;

	for (size_t size = 0; size <= 17; size++)
	{
		ProtobufCBinaryData data = { size, bytes };

		assert_int_equal(dyn_node_id_of_bytes(data, &id), size == 16);
		assert_int_equal(dyn_request_id_of_bytes(data, &request), size == 16);
	}
}

static int
set_up(void **unused)
{
	dyn_arena_init(&arena, dyn_allocator_malloc(), 0);
	return 0;
}

static int
tear_down(void **unused)
{
	dyn_arena_destroy(&arena);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_is_read_back),
		cmocka_unit_test(any_flipped_bit_is_noticed),
		cmocka_unit_test(a_cut_or_longer_frame_is_refused),
		cmocka_unit_test(another_version_tells_whom_to_answer),
		cmocka_unit_test(an_unknown_type_is_refused),
		cmocka_unit_test(
			memory_for_unpacking_is_bounded_by_the_size_of_the_body),
		cmocka_unit_test(any_number_of_keys_that_are_not_there_can_be_answered),
		cmocka_unit_test(running_out_of_memory_is_said_as_such),
		cmocka_unit_test(more_than_4096_operations_are_too_many),
		cmocka_unit_test(random_bodies_of_every_type_do_no_harm),
		cmocka_unit_test(ids_have_sixteen_bytes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
