/* Objects as bytes: canonical, held against protobuf-c, and from strangers. */
#include "model/message.h"

#include "failing.h"
#include "objects.h"

static void
encoded_form_is_canonical_and_protobuf(void **unused)
{
	struct prng prng = { 16 };

	for (int round = 0; round < 20000; round++)
	{
		struct dyn_object o[REPLICAS];
		struct dyn_object back;
		struct dyn_slice bytes;
		Dyn__Object *message;
		uint8_t packed[4096];

		random_objects(&prng, o);
		if (dyn_clock_is_empty(&o[0].context))
			continue;
		bytes = encoded(o[0]);
		assert_int_equal(dyn_object_decode(bytes, &arena.allocator, &back),
						 DYN_STATUS_OK);
		assert_true(dyn_object_check(&back));
		assert_true(dyn_slice_equal(encoded(back), bytes));
		message = dyn__object__unpack(NULL, bytes.size, bytes.data);
		assert_non_null(message);
		assert_int_equal(message->n_versions, o[0].version_count);
		assert_int_equal(dyn__object__pack(message, packed), bytes.size);
		assert_memory_equal(packed, bytes.data, bytes.size);
		dyn__object__free_unpacked(message, NULL);
		dyn_arena_reset(&arena);
	}
}

/* Refused: nothing was kept. Accepted: canonical. Either way in bounds. */
static bool
decode_hostile(const uint8_t *bytes, size_t size)
{
	/* Memory of exactly this size: a sanitizer sees the first byte beyond. */
	uint8_t *exact = malloc(size ? size : 1);
	struct dyn_slice slice = { exact, size };
	struct dyn_object back = { .version_count = 77 };
	struct failing memory;
	enum dyn_status status;

	memcpy(exact, bytes, size);
	failing_init(&memory, -1);
	status = dyn_object_decode(slice, &memory.allocator, &back);
	assert_true(memory.size <= 16 * size);
	if (status == DYN_STATUS_OK)
	{
		assert_true(dyn_object_check(&back));
		assert_true(dyn_slice_equal(encoded(back), slice));
		memory.allocator.release(memory.allocator.context, back.context.ranges);
		memory.allocator.release(memory.allocator.context, back.versions);
	}
	else
	{
		assert_int_equal(status, DYN_STATUS_BAD_REQUEST);
		assert_int_equal(back.version_count, 77);
	}
	assert_int_equal(memory.live, 0);
	free(exact);
	return status == DYN_STATUS_OK;
}

static void
mutated_bytes_decode_to_their_own_canonical_form_or_not_at_all(void **unused)
{
	struct prng prng = { 17 };
	uint32_t accepted = 0;
	uint32_t refused = 0;

	for (int round = 0; round < 100000; round++)
	{
		struct dyn_object o[REPLICAS];
		struct dyn_slice bytes;
		uint8_t mutated[4096];
		size_t size;

		random_objects(&prng, o);
		bytes = encoded(o[0]);
		assert_true(bytes.size < sizeof(mutated) - PRNG_MUTATE_ROOM);
		memcpy(mutated, bytes.data, bytes.size);
		size = prng_mutate(&prng, mutated, bytes.size, prng_below(&prng, 3));
		if (decode_hostile(mutated, size))
			accepted++;
		else
			refused++;
		dyn_arena_reset(&arena);
	}
	assert_true(accepted > 1000);
	assert_true(refused > 1000);
}

#define CONTEXT_1 "\x0a\x04\x0a\x02\x18\x01" /* {0.0:1} */
#define CONTEXT_2 "\x0a\x04\x0a\x02\x18\x02" /* {0.0:2} */
#define REQUEST                                                                \
	"\x22\x10"                                                                 \
	"0123456789abcdef"
#define VERSION_1 "\x12\x14\x18\x01" REQUEST
#define VERSION_2 "\x12\x14\x18\x02" REQUEST

/* Each is an Object to a protobuf reader, and not a sound canonical one. */
static void
what_is_not_canonical_or_not_sound_is_refused(void **unused)
{
	static const struct
	{
		const char *what;
		const char *bytes;
		size_t size;
	} bad[] = {
#define BYTES(literal) literal, sizeof(literal) - 1
		{ "nothing", BYTES("") },
		{ "an empty context", BYTES("\x0a\x00") },
		{ "no context", BYTES(VERSION_1) },
		{ "a context behind", BYTES(VERSION_1 CONTEXT_1) },
		{ "two contexts", BYTES(CONTEXT_1 CONTEXT_1) },
		{ "a dot not covered", BYTES(CONTEXT_1 VERSION_2) },
		{ "versions descending", BYTES(CONTEXT_2 VERSION_2 VERSION_1) },
		{ "a version twice", BYTES(CONTEXT_1 VERSION_1 VERSION_1) },
		{ "counter 0", BYTES(CONTEXT_1 "\x12\x14\x18\x00" REQUEST) },
		{ "no request id", BYTES(CONTEXT_1 "\x12\x02\x18\x01") },
		{ "no request id, a long value",
		  BYTES(CONTEXT_1 "\x12\x14\x18\x01\x3a\x10"
						  "0123456789abcdef") },
		{ "a short request id", BYTES(CONTEXT_1 "\x12\x16\x18\x01\x22\x0f"
												"0123456789abcde"
												"\x3a\x01x") },
		{ "a time of 0",
		  BYTES(CONTEXT_1 "\x12\x16\x18\x01" REQUEST "\x28\x00") },
		{ "flags of 33 bits", BYTES(CONTEXT_1 "\x12\x1a\x18\x01" REQUEST
											  "\x30\x80\x80\x80\x80\x10") },
		{ "an end at 0",
		  BYTES(CONTEXT_1 "\x12\x16\x18\x01" REQUEST "\x40\x00") },
		{ "an end before the value",
		  BYTES(CONTEXT_1 "\x12\x19\x18\x01" REQUEST "\x40\x01\x3a\x01x") },
		{ "an empty value",
		  BYTES(CONTEXT_1 "\x12\x16\x18\x01" REQUEST "\x3a\x00") },
		{ "an unknown field",
		  BYTES(CONTEXT_1 "\x12\x16\x18\x01" REQUEST "\x48\x01") },
		{ "an unknown field outside", BYTES(CONTEXT_1 VERSION_1 "\x18\x01") },
		{ "a version of no bytes", BYTES(CONTEXT_1 "\x12\x00") },
		{ "cut off", BYTES(CONTEXT_1 "\x12\x15\x18\x01" REQUEST) },
#undef BYTES
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (decode_hostile((const uint8_t *) bad[i].bytes, bad[i].size))
			fail_msg("%s was accepted", bad[i].what);
#define ACCEPT(literal)                                                        \
	assert_true(decode_hostile((const uint8_t *) literal, sizeof(literal) - 1))
	ACCEPT(CONTEXT_1);
	ACCEPT(CONTEXT_1 VERSION_1);
	ACCEPT(CONTEXT_2 VERSION_1 VERSION_2);
#undef ACCEPT
}

/* A megabyte of versions of no bytes asked for 37 megabytes once. */
static void
memory_stays_in_proportion_to_the_input(void **unused)
{
	enum
	{
		PIECES = 1 << 19
	};
	size_t size = 6 + 2 * PIECES;
	uint8_t *bytes = malloc(size);

	memcpy(bytes, CONTEXT_1, 6);
	for (size_t i = 0; i < PIECES; i++)
	{
		bytes[6 + 2 * i] = 0x12;
		bytes[7 + 2 * i] = 0;
	}
	assert_false(decode_hostile(bytes, size));
	free(bytes);
}

/* On the path of every read and write. */
static void
an_object_of_one_version_takes_few_allocations(void **unused)
{
	struct dyn_object object =
		put((struct dyn_object){ 0 }, NULL, "value", UINT64_MAX, 1);
	struct dyn_slice bytes = encoded(object);
	struct dyn_object out;
	struct dyn_slice again;
	struct failing memory;
	struct dyn_arena scratch;

	failing_init(&memory, -1);
	dyn_object_decode(bytes, &memory.allocator, &out);
	assert_int_equal(memory.calls, 2);
	assert_true(memory.size < 4 * bytes.size);
	free(out.context.ranges);
	free(out.versions);
	failing_init(&memory, -1);
	dyn_object_sync(&object, &object, &memory.allocator, &out);
	assert_int_equal(memory.calls, 2);
	free(out.context.ranges);
	free(out.versions);
	failing_init(&memory, -1);
	dyn_object_encode(&object, &memory.allocator, &again);
	assert_int_equal(memory.calls, 1);
	assert_int_equal(memory.size, bytes.size);
	free((void *) again.data);
	/* All of it in an arena: one. */
	failing_init(&memory, -1);
	dyn_arena_init(&scratch, memory.allocator, 0);
	dyn_object_decode(bytes, &scratch.allocator, &out);
	dyn_object_sync(&object, &out, &scratch.allocator, &out);
	dyn_object_encode(&out, &scratch.allocator, &again);
	assert_true(dyn_slice_equal(bytes, again));
	assert_int_equal(memory.calls, 1);
	dyn_arena_destroy(&scratch);
}

/* ------------------------------------------------------------------- memory */

/* What is tried with an allocator; it frees what it made. */
struct attempt
{
	struct dyn_object a;
	struct dyn_object b;
	struct dyn_slice bytes;
};

typedef enum dyn_status (*attempt_function)(const struct attempt *self,
											const struct dyn_allocator *memory);

/* Give an object back, or see that a failure did not touch it. */
static enum dyn_status
settle(enum dyn_status status, const struct dyn_object *out,
	   const struct dyn_allocator *memory)
{
	if (status == DYN_STATUS_OK)
	{
		assert_true(dyn_object_check(out));
		memory->release(memory->context, out->versions);
		memory->release(memory->context, out->context.ranges);
	}
	else
	{
		assert_int_equal(out->version_count, 77);
		assert_null(out->versions);
		assert_null(out->context.ranges);
	}
	return status;
}

static enum dyn_status
try_sync(const struct attempt *self, const struct dyn_allocator *memory)
{
	struct dyn_object out = { .version_count = 77 };

	return settle(dyn_object_sync(&self->a, &self->b, memory, &out), &out,
				  memory);
}

static enum dyn_status
try_put(const struct attempt *self, const struct dyn_allocator *memory)
{
	struct dyn_slice value = dyn_slice_of("v");
	struct dyn_update update = { .context = &self->b.context,
								 .values = &value,
								 .value_count = 1 };
	struct dyn_object out = { .version_count = 77 };

	return settle(dyn_object_put(&self->a, &update, (struct dyn_actor){ 1, 1 },
								 memory, &out),
				  &out, memory);
}

static enum dyn_status
try_decode(const struct attempt *self, const struct dyn_allocator *memory)
{
	struct dyn_object out = { .version_count = 77 };

	return settle(dyn_object_decode(self->bytes, memory, &out), &out, memory);
}

static enum dyn_status
try_encode(const struct attempt *self, const struct dyn_allocator *memory)
{
	struct dyn_slice out = { NULL, 77 };
	enum dyn_status status = dyn_object_encode(&self->a, memory, &out);

	if (status == DYN_STATUS_OK)
		memory->release(memory->context, (void *) out.data);
	else
		assert_true(out.data == NULL && out.size == 77);
	return status;
}

static enum dyn_status
try_rows(const struct attempt *self, const struct dyn_allocator *memory)
{
	struct dyn_row *rows = NULL;
	uint32_t count = 77;
	enum dyn_status status = dyn_object_rows(&self->a, memory, &rows, &count);

	if (status == DYN_STATUS_OK)
	{
		for (uint32_t i = 0; i < count; i++)
			memory->release(memory->context, rows[i].clock.ranges);
		memory->release(memory->context, rows);
	}
	else
		assert_true(rows == NULL && count == 77);
	return status;
}

/* Does it know of a retried write?  Then versions are looked at once more. */
static bool
knows_a_retry(const struct dyn_object *object)
{
	for (uint32_t i = 0; i < object->context.range_count; i++)
		if (object->context.ranges[i].actor.epoch == 0)
			return true;
	return false;
}

static void
running_out_of_memory_leaves_nothing_behind(void **unused)
{
	static const struct
	{
		attempt_function function;
		long places; /* allocations of a run that succeeds */
	} attempts[] = { { try_sync, 3 },
					 { try_put, 6 },
					 { try_decode, 2 },
					 { try_encode, 1 },
					 { try_rows, 4 } };
	struct prng prng = { 18 };
	struct dyn_object o[REPLICAS];
	struct attempt attempt;

	do
		random_objects(&prng, o);
	while (o[0].version_count != 2 || o[1].version_count < 1 ||
		   !knows_a_retry(&o[0]));
	attempt = (struct attempt){ o[0], o[1], encoded(o[0]) };
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
		for (long n = 0; n <= attempts[i].places; n++)
		{
			struct failing memory;

			failing_init(&memory, n);
			assert_int_equal(attempts[i].function(&attempt, &memory.allocator),
							 n < attempts[i].places ? DYN_STATUS_NO_MEMORY
													: DYN_STATUS_OK);
			assert_int_equal(memory.live, 0);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encoded_form_is_canonical_and_protobuf),
		cmocka_unit_test(
			mutated_bytes_decode_to_their_own_canonical_form_or_not_at_all),
		cmocka_unit_test(what_is_not_canonical_or_not_sound_is_refused),
		cmocka_unit_test(memory_stays_in_proportion_to_the_input),
		cmocka_unit_test(an_object_of_one_version_takes_few_allocations),
		cmocka_unit_test(running_out_of_memory_leaves_nothing_behind),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
