/* Clocks against the definition: a set of dots. */
#include "model/arena.h"
#include "model/clock.h"
#include "model/message.h"

#include "failing.h"
#include "prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum
{
	ACTORS = 4,
	COUNTERS = 12 /* 1 .. 12 */
};

/* The definition: which of ACTORS x COUNTERS dots are in. */
struct dots
{
	bool in[ACTORS][COUNTERS + 1];
};

static struct dyn_arena arena;

static struct dyn_dot
dot_of(uint32_t actor, uint64_t counter)
{
	/* Same start and another epoch is another actor. */
	return (struct dyn_dot){ { 7 + actor / 2, actor % 2 }, counter };
}

static struct dots
random_dots(struct prng *prng)
{
	struct dots dots;
	uint32_t density = 1 + prng_below(prng, 10);

	for (int a = 0; a < ACTORS; a++)
		for (int c = 0; c <= COUNTERS; c++)
			dots.in[a][c] = c > 0 && prng_below(prng, 10) < density;
	return dots;
}

static struct dyn_clock
clock_of(const struct dots *dots)
{
	struct dyn_clock clock = { 0 };

	for (uint32_t a = 0; a < ACTORS; a++)
		for (uint32_t c = 1; c <= COUNTERS; c++)
			if (dots->in[a][c])
				assert_int_equal(dyn_clock_add(&clock, dot_of(a, c),
											   &arena.allocator, &clock),
								 DYN_STATUS_OK);
	assert_true(dyn_clock_check(&clock));
	return clock;
}

static void
assert_same(const struct dyn_clock *clock, const struct dots *dots)
{
	assert_true(dyn_clock_check(clock));
	for (uint32_t a = 0; a < ACTORS; a++)
		for (uint32_t c = 1; c <= COUNTERS; c++)
			assert_int_equal(dyn_clock_covers(clock, dot_of(a, c)),
							 dots->in[a][c]);
}

static bool
is_subset(const struct dots *a, const struct dots *b)
{
	for (int i = 0; i < ACTORS; i++)
		for (int c = 1; c <= COUNTERS; c++)
			if (a->in[i][c] && !b->in[i][c])
				return false;
	return true;
}

static void
a_clock_is_its_set_of_dots(void **unused)
{
	struct prng prng = { 1 };

	for (int round = 0; round < 20000; round++)
	{
		struct dots a = random_dots(&prng);
		struct dots b = random_dots(&prng);
		struct dots both = a;
		struct dyn_clock ca = clock_of(&a);
		struct dyn_clock cb = clock_of(&b);
		struct dyn_clock out;
		bool ab = is_subset(&b, &a);
		bool ba = is_subset(&a, &b);

		assert_same(&ca, &a);
		for (int i = 0; i < ACTORS; i++)
			for (int c = 1; c <= COUNTERS; c++)
				both.in[i][c] |= b.in[i][c];
		assert_int_equal(dyn_clock_union(&ca, &cb, &arena.allocator, &out),
						 DYN_STATUS_OK);
		assert_same(&out, &both);
		assert_int_equal(dyn_clock_descends(&ca, &cb), ab);
		assert_int_equal(dyn_clock_compare(&ca, &cb),
						 ab ? (ba ? DYN_CLOCK_EQUAL : DYN_CLOCK_AFTER)
							: (ba ? DYN_CLOCK_BEFORE : DYN_CLOCK_CONCURRENT));
		assert_int_equal(dyn_clock_sort_compare(&ca, &cb) == 0, ab && ba);
		dyn_arena_reset(&arena);
	}
}

static int
compare_dots(const void *a, const void *b)
{
	return dyn_dot_compare(*(const struct dyn_dot *) a,
						   *(const struct dyn_dot *) b);
}

static void
minus_removes_exactly_these_dots(void **unused)
{
	struct prng prng = { 2 };

	for (int round = 0; round < 20000; round++)
	{
		struct dots a = random_dots(&prng);
		struct dyn_clock clock = clock_of(&a);
		struct dyn_dot dots[8];
		uint32_t count = prng_below(&prng, 9);

		for (uint32_t i = 0; i < count; i++)
		{
			uint32_t actor = prng_below(&prng, ACTORS);
			uint32_t counter = 1 + prng_below(&prng, COUNTERS);

			dots[i] = dot_of(actor, counter);
			a.in[actor][counter] = false;
		}
		qsort(dots, count, sizeof(dots[0]), compare_dots);
		assert_int_equal(
			dyn_clock_minus(&clock, dots, count, &arena.allocator, &clock),
			DYN_STATUS_OK);
		assert_same(&clock, &a);
		dyn_arena_reset(&arena);
	}
}

static void
counter_is_the_highest_covered(void **unused)
{
	struct prng prng = { 3 };

	for (int round = 0; round < 5000; round++)
	{
		struct dots a = random_dots(&prng);
		struct dyn_clock clock = clock_of(&a);

		for (uint32_t actor = 0; actor < ACTORS; actor++)
		{
			uint32_t highest = 0;

			for (uint32_t c = 1; c <= COUNTERS; c++)
				if (a.in[actor][c])
					highest = c;
			assert_int_equal(dyn_clock_counter(&clock, dot_of(actor, 1).actor),
							 highest);
		}
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
	struct dyn_clock back = { NULL, 77 };
	struct failing memory;
	enum dyn_status status;

	memcpy(exact, bytes, size);
	failing_init(&memory, -1);
	status = dyn_clock_decode(slice, false, &memory.allocator, &back);
	assert_true(memory.size <= 16 * size);
	if (status == DYN_STATUS_OK)
	{
		struct dyn_slice again;

		assert_true(dyn_clock_check(&back));
		assert_int_equal(dyn_clock_encode(&back, &arena.allocator, &again),
						 DYN_STATUS_OK);
		assert_true(dyn_slice_equal(slice, again));
		memory.allocator.release(memory.allocator.context, back.ranges);
	}
	else
	{
		assert_int_equal(status, DYN_STATUS_BAD_REQUEST);
		assert_int_equal(back.range_count, 77);
	}
	assert_int_equal(memory.live, 0);
	free(exact);
	return status == DYN_STATUS_OK;
}

static void
the_last_counter_is_like_any_other(void **unused)
{
	struct dyn_actor actor = { UINT64_MAX, UINT64_MAX };
	struct dyn_dot last = { actor, UINT64_MAX };
	struct dyn_dot before = { actor, UINT64_MAX - 1 };
	struct dyn_clock_range ranges[] = { { actor, 1, UINT64_MAX } };
	struct dyn_clock clock = { ranges, 1 };
	struct dyn_clock less;
	struct dyn_clock back;
	struct dyn_slice bytes;
	char *text;

	assert_true(dyn_clock_check(&clock));
	assert_true(dyn_clock_covers(&clock, last));
	assert_true(dyn_clock_counter(&clock, actor) == UINT64_MAX);
	dyn_clock_minus(&clock, &before, 1, &arena.allocator, &less);
	assert_true(dyn_clock_check(&less));
	assert_int_equal(less.range_count, 2);
	dyn_clock_add(&less, before, &arena.allocator, &back);
	assert_int_equal(dyn_clock_compare(&back, &clock), DYN_CLOCK_EQUAL);
	dyn_clock_encode(&less, &arena.allocator, &bytes);
	assert_int_equal(dyn_clock_decode(bytes, true, &arena.allocator, &back),
					 DYN_STATUS_OK);
	assert_int_equal(dyn_clock_compare(&back, &less), DYN_CLOCK_EQUAL);
	dyn_clock_format(&less, &arena.allocator, &text);
	assert_string_equal(text, "{ffffffffffffffff.18446744073709551615:"
							  "18446744073709551615!18446744073709551614}");
	assert_int_equal(
		dyn_clock_parse(dyn_slice_of(text), &arena.allocator, &back),
		DYN_STATUS_OK);
	assert_int_equal(dyn_clock_compare(&back, &less), DYN_CLOCK_EQUAL);
	dyn_clock_minus(&less, &last, 1, &arena.allocator, &less);
	assert_int_equal(less.range_count, 1);
	assert_true(dyn_clock_counter(&less, actor) == UINT64_MAX - 2);
}

/* Each is a Clock to a protobuf reader, and not the canonical one. */
static void
what_is_not_canonical_is_refused(void **unused)
{
	static const struct
	{
		const char *what;
		const char *bytes;
		size_t size;
	} bad[] = {
#define BYTES(literal) literal, sizeof(literal) - 1
		{ "no counter", BYTES("\x0a\x00") },
		{ "counter 0", BYTES("\x0a\x02\x18\x00") },
		{ "a long varint", BYTES("\x0a\x03\x18\x81\x00") },
		{ "a long size", BYTES("\x0a\x82\x00\x18\x01") },
		{ "an epoch of 0", BYTES("\x0a\x04\x10\x00\x18\x01") },
		{ "fields the other way", BYTES("\x0a\x04\x18\x01\x10\x01") },
		{ "a field twice", BYTES("\x0a\x04\x18\x01\x18\x01") },
		{ "an unknown field", BYTES("\x0a\x04\x18\x01\x28\x01") },
		{ "an unknown field outside", BYTES("\x0a\x02\x18\x01\x10\x01") },
		{ "no exceptions", BYTES("\x0a\x04\x18\x01\x22\x00") },
		{ "unpacked exceptions", BYTES("\x0a\x06\x18\x03\x20\x01\x20\x01") },
		{ "half an exception", BYTES("\x0a\x05\x18\x03\x22\x01\x01") },
		{ "exception 0", BYTES("\x0a\x06\x18\x03\x22\x02\x00\x01") },
		{ "exception turned", BYTES("\x0a\x06\x18\x05\x22\x02\x03\x02") },
		{ "exception at the top", BYTES("\x0a\x06\x18\x03\x22\x02\x03\x03") },
		{ "exceptions that touch",
		  BYTES("\x0a\x08\x18\x09\x22\x04\x02\x03\x04\x05") },
		{ "an actor twice",
		  BYTES("\x0a\x04\x10\x01\x18\x01\x0a\x04\x10\x01\x18\x02") },
		{ "actors descending",
		  BYTES("\x0a\x04\x10\x02\x18\x01\x0a\x04\x10\x01\x18\x01") },
		{ "cut off", BYTES("\x0a\x03\x18\x01") },
		{ "a counter of 65 bits",
		  BYTES("\x0a\x0b\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02") },
#undef BYTES
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (decode_hostile((const uint8_t *) bad[i].bytes, bad[i].size))
			fail_msg("%s was accepted", bad[i].what);
	assert_true(decode_hostile((const uint8_t *) "", 0));
	assert_true(decode_hostile((const uint8_t *) "\x0a\x02\x18\x01", 4));
}

static void
latest_actor_is_the_greatest_epoch_of_a_start(void **unused)
{
	struct dyn_clock clock = { 0 };
	struct dyn_actor actor;

	assert_false(dyn_clock_latest_actor(&clock, 7, &actor));
	for (uint64_t epoch = 1; epoch <= 3; epoch++)
		dyn_clock_add(&clock, (struct dyn_dot){ { 7, epoch }, 5 },
					  &arena.allocator, &clock);
	dyn_clock_add(&clock, (struct dyn_dot){ { 8, 9 }, 1 }, &arena.allocator,
				  &clock);
	assert_true(dyn_clock_latest_actor(&clock, 7, &actor));
	assert_int_equal(actor.epoch, 3);
	assert_false(dyn_clock_latest_actor(&clock, 6, &actor));
}

static void
encoded_form_is_canonical_and_protobuf(void **unused)
{
	struct prng prng = { 4 };

	for (int round = 0; round < 20000; round++)
	{
		struct dots a = random_dots(&prng);
		struct dyn_clock clock = clock_of(&a);
		struct dyn_clock back;
		struct dyn_slice bytes;
		struct dyn_slice again;
		Dyn__Clock *message;
		uint8_t packed[1024];

		assert_int_equal(dyn_clock_encode(&clock, &arena.allocator, &bytes),
						 DYN_STATUS_OK);
		assert_int_equal(bytes.size, dyn_clock_encoded_size(&clock));
		assert_int_equal(dyn_clock_decode(bytes, true, &arena.allocator, &back),
						 DYN_STATUS_OK);
		assert_same(&back, &a);
		assert_int_equal(dyn_clock_encode(&back, &arena.allocator, &again),
						 DYN_STATUS_OK);
		assert_true(dyn_slice_equal(bytes, again));
		/* Any protobuf reader takes it, and writes the same bytes. */
		message = dyn__clock__unpack(NULL, bytes.size, bytes.data);
		assert_non_null(message);
		assert_int_equal(dyn__clock__pack(message, packed), bytes.size);
		assert_memory_equal(packed, bytes.data, bytes.size);
		dyn__clock__free_unpacked(message, NULL);
		dyn_arena_reset(&arena);
	}
}

static void
mutated_bytes_decode_to_their_own_canonical_form_or_not_at_all(void **unused)
{
	struct prng prng = { 5 };
	uint32_t accepted = 0;
	uint32_t refused = 0;

	for (int round = 0; round < 100000; round++)
	{
		struct dots a = random_dots(&prng);
		struct dyn_clock clock = clock_of(&a);
		struct dyn_slice bytes;
		uint8_t mutated[1024];
		size_t size;

		dyn_clock_encode(&clock, &arena.allocator, &bytes);
		assert_true(bytes.size < sizeof(mutated) - PRNG_MUTATE_ROOM);
		memcpy(mutated, bytes.data, bytes.size);
		size = prng_mutate(&prng, mutated, bytes.size, prng_below(&prng, 4));
		if (decode_hostile(mutated, size))
			accepted++;
		else
			refused++;
		dyn_arena_reset(&arena);
	}
	assert_true(accepted > 1000);
	assert_true(refused > 1000);
}

static void
text_form_is_read_back(void **unused)
{
	struct prng prng = { 6 };

	for (int round = 0; round < 20000; round++)
	{
		struct dots a = random_dots(&prng);
		struct dyn_clock clock = clock_of(&a);
		struct dyn_clock back;
		char *text;

		assert_int_equal(dyn_clock_format(&clock, &arena.allocator, &text),
						 DYN_STATUS_OK);
		assert_int_equal(
			dyn_clock_parse(dyn_slice_of(text), &arena.allocator, &back),
			DYN_STATUS_OK);
		assert_same(&back, &a);
		dyn_arena_reset(&arena);
	}
}

/* Reversed and shuffled, and long enough that quadratic work would show. */
static void
entries_are_read_in_any_order(void **unused)
{
	enum
	{
		ENTRIES = 50000,
		ENTRY_SIZE = 23 /* 0123456789abcdef.0:3!2, */
	};
	struct prng prng = { 7 };
	uint32_t *order = malloc(ENTRIES * sizeof(*order));
	char *text = malloc(ENTRIES * ENTRY_SIZE + 2);
	struct dyn_clock sorted = { 0 };

	for (int variant = 0; variant < 3; variant++)
	{
		struct dyn_clock clock;
		size_t size = 0;

		for (uint32_t i = 0; i < ENTRIES; i++)
			order[i] = variant == 0 ? i : ENTRIES - 1 - i;
		for (uint32_t i = ENTRIES - 1; variant == 2 && i > 0; i--)
		{
			uint32_t j = prng_below(&prng, i + 1);
			uint32_t other = order[i];

			order[i] = order[j];
			order[j] = other;
		}
		text[size++] = '{';
		for (uint32_t i = 0; i < ENTRIES; i++, size += ENTRY_SIZE)
			snprintf(text + size, ENTRY_SIZE + 1, "%016x.0:3!2,", order[i]);
		text[size - 1] = '}';
		assert_int_equal(
			dyn_clock_parse((struct dyn_slice){ (uint8_t *) text, size },
							&arena.allocator, &clock),
			DYN_STATUS_OK);
		assert_int_equal(clock.range_count, 2 * ENTRIES);
		if (variant == 0)
			sorted = clock;
		assert_int_equal(dyn_clock_sort_compare(&clock, &sorted), 0);
	}
	free(order);
	free(text);
	dyn_arena_reset(&arena);
}

static void
text_form_is_the_documented_one(void **unused)
{
	struct dyn_clock clock = { 0 };
	static const uint64_t counters[] = { 1, 2, 3, 5, 9 };
	char *text;

	for (int i = 0; i < 5; i++)
		dyn_clock_add(
			&clock, (struct dyn_dot){ { 0xa1b2c3d4e5f60718, 7 }, counters[i] },
			&arena.allocator, &clock);
	dyn_clock_add(&clock, (struct dyn_dot){ { 1, 0 }, 2 }, &arena.allocator,
				  &clock);
	dyn_clock_format(&clock, &arena.allocator, &text);
	assert_string_equal(text,
						"{0000000000000001.0:2!1,a1b2c3d4e5f60718.7:9!4!6..8}");
	clock.range_count = 0;
	dyn_clock_format(&clock, &arena.allocator, &text);
	assert_string_equal(text, "{}");
}

static void
malformed_text_is_refused(void **unused)
{
	static const char *const bad[] = {
		"",
		"{",
		"}",
		"x",
		"{}x",
		"{,}",
		"{a1b2c3d4e5f60718.1:3",
		"{a1b2c3d4e5f60718.1:0}",
		"{a1b2c3d4e5f60718.1}",
		"{a1b2c3d4e5f6071.1:3}",
		"{g1b2c3d4e5f60718.1:3}",
		"{a1b2c3d4e5f60718.1:3,}",
		"{a1b2c3d4e5f60718.1:3!3}",
		"{a1b2c3d4e5f60718.1:3!0}",
		"{a1b2c3d4e5f60718.1:9!2!3}",
		"{a1b2c3d4e5f60718.1:9!5!2}",
		"{a1b2c3d4e5f60718.1:9!5..4}",
		"{a1b2c3d4e5f60718.1:9!1.2}",
		"{a1b2c3d4e5f60718.1:3 !1}",
		"{a1b2c3d4e5f60718.1:3,a1b2c3d4e5f60718.1:4}",
		"{a1b2c3d4e5f60718.1:3,a1b2c3d4e5f60718.1:5!1..4}",
		"{a1b2c3d4e5f60718.1:5!1..3,a1b2c3d4e5f60718.1:3}",
		"{a1b2c3d4e5f60718.1:3,a1b2c3d4e5f60718.1:3}",
		"{a1b2c3d4e5f60718.1:1,0000000000000001.0:1,a1b2c3d4e5f60718.1:9!1..8}",
		"{a1b2c3d4e5f60718.99999999999999999999:1}",
		"{a1b2c3d4e5f60718.1:18446744073709551616}",
	};
	struct dyn_clock clock;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (dyn_clock_parse(dyn_slice_of(bad[i]), &arena.allocator, &clock) !=
			DYN_STATUS_BAD_REQUEST)
			fail_msg("%s was accepted", bad[i]);
	assert_int_equal(dyn_clock_parse(dyn_slice_of(" { A1B2C3D4E5F60718.1:3 , "
												  "0000000000000001.0:1 } "),
									 &arena.allocator, &clock),
					 DYN_STATUS_OK);
	assert_int_equal(clock.range_count, 2);
	assert_true(dyn_clock_check(&clock));
}

static void
more_than_256_entries_are_too_large_for_a_context(void **unused)
{
	struct dyn_clock clock = { 0 };
	struct dyn_clock back;
	struct dyn_slice bytes;

	for (uint64_t i = 1; i <= DYN_CLOCK_ENTRIES_MAX; i++)
		dyn_clock_add(&clock, (struct dyn_dot){ { i, 0 }, 1 }, &arena.allocator,
					  &clock);
	assert_int_equal(dyn_clock_entry_count(&clock), DYN_CLOCK_ENTRIES_MAX);
	dyn_clock_encode(&clock, &arena.allocator, &bytes);
	assert_int_equal(dyn_clock_decode(bytes, true, &arena.allocator, &back),
					 DYN_STATUS_OK);
	/* One exception more. */
	dyn_clock_add(&clock, (struct dyn_dot){ { 1, 0 }, 3 }, &arena.allocator,
				  &clock);
	dyn_clock_encode(&clock, &arena.allocator, &bytes);
	assert_int_equal(dyn_clock_decode(bytes, true, &arena.allocator, &back),
					 DYN_STATUS_TOO_LARGE);
	assert_int_equal(dyn_clock_decode(bytes, false, &arena.allocator, &back),
					 DYN_STATUS_OK);
}

/* Each of them allocates once, so there is one place to fail at. */
static void
running_out_of_memory_leaves_nothing_behind(void **unused)
{
	struct dyn_clock_range ranges[] = { { { 1, 0 }, 1, 3 },
										{ { 2, 0 }, 2, 2 } };
	struct dyn_clock clock = { ranges, 2 };
	struct dyn_slice encoded;
	struct failing failing;
	struct dyn_clock out = { NULL, 77 };
	struct dyn_slice bytes = { NULL, 77 };
	char *text = NULL;
	struct dyn_dot dot = { { 1, 0 }, 2 };

	dyn_clock_encode(&clock, &arena.allocator, &encoded);
	failing_init(&failing, 0);
	assert_int_equal(dyn_clock_union(&clock, &clock, &failing.allocator, &out),
					 DYN_STATUS_NO_MEMORY);
	assert_int_equal(dyn_clock_add(&clock, dot, &failing.allocator, &out),
					 DYN_STATUS_NO_MEMORY);
	assert_int_equal(dyn_clock_minus(&clock, &dot, 1, &failing.allocator, &out),
					 DYN_STATUS_NO_MEMORY);
	assert_int_equal(dyn_clock_copy(&clock, &failing.allocator, &out),
					 DYN_STATUS_NO_MEMORY);
	assert_int_equal(dyn_clock_decode(encoded, true, &failing.allocator, &out),
					 DYN_STATUS_NO_MEMORY);
	assert_int_equal(
		dyn_clock_parse(dyn_slice_of("{}"), &failing.allocator, &out),
		DYN_STATUS_NO_MEMORY);
	assert_int_equal(out.range_count, 77);
	assert_int_equal(dyn_clock_encode(&clock, &failing.allocator, &bytes),
					 DYN_STATUS_NO_MEMORY);
	assert_int_equal(bytes.size, 77);
	assert_int_equal(dyn_clock_format(&clock, &failing.allocator, &text),
					 DYN_STATUS_NO_MEMORY);
	assert_null(text);
	assert_int_equal(failing.live, 0);
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
		cmocka_unit_test(a_clock_is_its_set_of_dots),
		cmocka_unit_test(minus_removes_exactly_these_dots),
		cmocka_unit_test(counter_is_the_highest_covered),
		cmocka_unit_test(the_last_counter_is_like_any_other),
		cmocka_unit_test(what_is_not_canonical_is_refused),
		cmocka_unit_test(latest_actor_is_the_greatest_epoch_of_a_start),
		cmocka_unit_test(encoded_form_is_canonical_and_protobuf),
		cmocka_unit_test(
			mutated_bytes_decode_to_their_own_canonical_form_or_not_at_all),
		cmocka_unit_test(text_form_is_read_back),
		cmocka_unit_test(entries_are_read_in_any_order),
		cmocka_unit_test(text_form_is_the_documented_one),
		cmocka_unit_test(malformed_text_is_refused),
		cmocka_unit_test(more_than_256_entries_are_too_large_for_a_context),
		cmocka_unit_test(running_out_of_memory_leaves_nothing_behind),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
