/* Envelopes and bodies: what a stranger can send. */
#include "model/arena.h"
#include "model/message.h"

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
		for (size_t size = 2; size <= 65536; size *= 4)
		{
			uint8_t *bytes = calloc(1, size);
			struct dyn_arena own;
			struct dyn_envelope env = { .type = types[t],
										.body = { bytes, size } };
			ProtobufCMessage *body;

			for (size_t i = 0; i < size; i += 2)
				bytes[i] = tags[t];
			dyn_arena_init(&own, dyn_allocator_malloc(), 64);
			(void) dyn_message_unpack(&env, &own.allocator, &body);
			/* 16 bytes of rounding for each piece come on top. */
			assert_true(own.used_size <= 2 * (32 * size + 4096));
			dyn_arena_destroy(&own);
			free(bytes);
		}
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
			.type = (enum dyn_message_type)(1 + prng_below(&prng, 18)),
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
		cmocka_unit_test(more_than_4096_operations_are_too_many),
		cmocka_unit_test(random_bodies_of_every_type_do_no_harm),
		cmocka_unit_test(ids_have_sixteen_bytes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
