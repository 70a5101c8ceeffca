/* Arenas: alignment, one end of life, and what the parent sees of it. */
#include "model/arena.h"

#include "failing.h"
#include "prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum
{
	CHUNK_SIZE = 1024
};

static void
pieces_are_aligned_and_do_not_overlap(void **unused)
{
	struct prng prng = { 31 };
	struct failing memory;
	struct dyn_arena arena;

	failing_init(&memory, -1);
	dyn_arena_init(&arena, memory.allocator, CHUNK_SIZE);
	for (int round = 0; round < 200; round++)
	{
		uint8_t *pieces[100];
		size_t sizes[100];

		for (int i = 0; i < 100; i++)
		{
			/* Mostly small, some as large as a chunk or larger. */
			sizes[i] = prng_below(&prng, prng_below(&prng, 8) ? 100 : 4000);
			pieces[i] = dyn_arena_allocate(&arena, sizes[i]);
			assert_non_null(pieces[i]);
			assert_int_equal((uintptr_t) pieces[i] % 16, 0);
			memset(pieces[i], i, sizes[i]);
		}
		for (int i = 0; i < 100; i++)
			for (size_t k = 0; k < sizes[i]; k++)
				assert_int_equal(pieces[i][k], i);
		dyn_arena_reset(&arena);
		assert_int_equal(arena.used_size, 0);
		assert_true(memory.live <= 1);
	}
	dyn_arena_destroy(&arena);
	assert_int_equal(memory.live, 0);
}

static void
nothing_is_also_a_piece(void **unused)
{
	struct dyn_arena arena;
	void *one;
	void *other;

	dyn_arena_init(&arena, dyn_allocator_malloc(), 0);
	one = dyn_arena_allocate(&arena, 0);
	other = dyn_arena_allocate(&arena, 0);
	assert_non_null(one);
	assert_non_null(other);
	assert_ptr_not_equal(one, other);
	dyn_arena_destroy(&arena);
}

static void
a_reset_keeps_one_ordinary_chunk_and_asks_no_more(void **unused)
{
	struct failing memory;
	struct dyn_arena arena;

	failing_init(&memory, -1);
	dyn_arena_init(&arena, memory.allocator, CHUNK_SIZE);
	for (int round = 0; round < 100; round++)
	{
		for (int i = 0; i < 8; i++)
			assert_non_null(dyn_arena_allocate(&arena, 100));
		dyn_arena_reset(&arena);
	}
	assert_int_equal(memory.calls, 1);
	dyn_arena_destroy(&arena);
	assert_int_equal(memory.live, 0);
}

static void
a_large_piece_does_not_stay_after_a_reset(void **unused)
{
	struct failing memory;
	struct dyn_arena arena;

	failing_init(&memory, -1);
	dyn_arena_init(&arena, memory.allocator, CHUNK_SIZE);
	assert_non_null(dyn_arena_allocate(&arena, 100 * CHUNK_SIZE));
	dyn_arena_reset(&arena);
	assert_int_equal(memory.live, 0);
	assert_non_null(dyn_arena_allocate(&arena, 10));
	assert_non_null(dyn_arena_allocate(&arena, 100 * CHUNK_SIZE));
	dyn_arena_reset(&arena);
	assert_int_equal(memory.live, 1);
	dyn_arena_destroy(&arena);
	assert_int_equal(memory.live, 0);
}

static void
a_large_piece_leaves_the_rest_of_a_chunk_in_use(void **unused)
{
	struct failing memory;
	struct dyn_arena arena;

	failing_init(&memory, -1);
	dyn_arena_init(&arena, memory.allocator, CHUNK_SIZE);
	assert_non_null(dyn_arena_allocate(&arena, 16));
	assert_non_null(dyn_arena_allocate(&arena, 2 * CHUNK_SIZE));
	assert_non_null(dyn_arena_allocate(&arena, CHUNK_SIZE - 16));
	assert_int_equal(memory.calls, 2);
	assert_int_equal(arena.used_size, 3 * CHUNK_SIZE);
	dyn_arena_destroy(&arena);
	assert_int_equal(memory.live, 0);
}

static void
release_does_nothing_until_the_end(void **unused)
{
	struct failing memory;
	struct dyn_arena arena;
	uint8_t *piece;

	failing_init(&memory, -1);
	dyn_arena_init(&arena, memory.allocator, CHUNK_SIZE);
	piece = arena.allocator.allocate(arena.allocator.context, 10);
	memset(piece, 7, 10);
	arena.allocator.release(arena.allocator.context, piece);
	memset(dyn_arena_allocate(&arena, 10), 8, 10);
	assert_int_equal(piece[9], 7);
	dyn_arena_destroy(&arena);
	dyn_arena_destroy(&arena); /* again does no harm */
	assert_int_equal(memory.live, 0);
	/* And it can be used anew. */
	assert_non_null(dyn_arena_allocate(&arena, 10));
	dyn_arena_destroy(&arena);
	assert_int_equal(memory.live, 0);
}

static void
a_copy_is_the_bytes_elsewhere(void **unused)
{
	struct failing memory;
	struct dyn_arena arena;
	uint8_t bytes[] = { 1, 2, 3 };
	struct dyn_slice copy;

	failing_init(&memory, 1);
	dyn_arena_init(&arena, memory.allocator, CHUNK_SIZE);
	copy = dyn_arena_copy(&arena, (struct dyn_slice){ bytes, 3 });
	bytes[0] = 9;
	assert_int_equal(copy.size, 3);
	assert_int_equal(copy.data[0], 1);
	copy = dyn_arena_copy(&arena, (struct dyn_slice){ NULL, 0 });
	assert_non_null(copy.data);
	assert_int_equal(copy.size, 0);
	/* Out of memory: no data, unlike an empty copy. */
	copy = dyn_arena_copy(&arena, (struct dyn_slice){ bytes, SIZE_MAX });
	assert_null(copy.data);
	dyn_arena_destroy(&arena);
}

static void
running_out_of_memory_leaves_an_arena_usable(void **unused)
{
	struct failing memory;
	struct dyn_arena arena;

	for (long n = 0; n < 5; n++)
	{
		long served = 0;

		failing_init(&memory, n);
		dyn_arena_init(&arena, memory.allocator, CHUNK_SIZE);
		while (dyn_arena_allocate(&arena, CHUNK_SIZE) != NULL)
			served++;
		assert_int_equal(served, n);
		assert_int_equal(arena.used_size, (size_t) n * CHUNK_SIZE);
		memory.calls_left = 1;
		assert_int_equal(dyn_arena_allocate(&arena, CHUNK_SIZE) != NULL, 1);
		dyn_arena_destroy(&arena);
		assert_int_equal(memory.live, 0);
	}
}

static void
sizes_that_overflow_are_refused(void **unused)
{
	struct failing memory;
	struct dyn_arena arena;

	failing_init(&memory, -1);
	dyn_arena_init(&arena, memory.allocator, CHUNK_SIZE);
	for (size_t less = 0; less < 64; less++)
		assert_null(dyn_arena_allocate(&arena, SIZE_MAX - less));
	assert_null(dyn_arena_allocate(&arena, SIZE_MAX / 2 + 1));
	assert_int_equal(memory.calls, 0);
	assert_int_equal(arena.used_size, 0);
	dyn_arena_destroy(&arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_are_aligned_and_do_not_overlap),
		cmocka_unit_test(nothing_is_also_a_piece),
		cmocka_unit_test(a_reset_keeps_one_ordinary_chunk_and_asks_no_more),
		cmocka_unit_test(a_large_piece_does_not_stay_after_a_reset),
		cmocka_unit_test(a_large_piece_leaves_the_rest_of_a_chunk_in_use),
		cmocka_unit_test(release_does_nothing_until_the_end),
		cmocka_unit_test(a_copy_is_the_bytes_elsewhere),
		cmocka_unit_test(running_out_of_memory_leaves_an_arena_usable),
		cmocka_unit_test(sizes_that_overflow_are_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
