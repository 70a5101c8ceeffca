/* An encoded object: canonical, its rows add up, updates keep it sound. */
#include "fuzz/targets.h"

#include "failing.h"

#include "model/arena.h"
#include "model/object.h"

#include <string.h>

/* No row's clock covers a sibling, and all rows together are the context. */
static void
check_rows(const struct dyn_object *object, struct dyn_arena *arena)
{
	struct dyn_clock all = { NULL, 0 };
	struct dyn_row *rows;
	uint32_t row_count;

	FUZZ_REQUIRE(dyn_object_rows(object, &arena->allocator, &rows,
								 &row_count) == DYN_STATUS_OK);
	FUZZ_REQUIRE(row_count <= object->version_count);
	FUZZ_REQUIRE((row_count == 0) == dyn_object_is_tombstone(object));
	for (uint32_t i = 0; i < row_count; i++)
	{
		struct dyn_clock sum;

		FUZZ_REQUIRE(dyn_clock_check(&rows[i].clock));
		FUZZ_REQUIRE(dyn_clock_covers(&rows[i].clock, rows[i].version->dot));
		for (uint32_t j = 0; j < row_count; j++)
			if (j != i && dyn_dot_compare(rows[i].version->dot,
										  rows[j].version->dot) != 0)
				FUZZ_REQUIRE(
					!dyn_clock_covers(&rows[i].clock, rows[j].version->dot));
		FUZZ_REQUIRE(dyn_clock_union(&all, &rows[i].clock, &arena->allocator,
									 &sum) == DYN_STATUS_OK);
		all = sum;
	}
	if (row_count > 0)
		FUZZ_REQUIRE(dyn_clock_compare(&all, &object->context) ==
					 DYN_CLOCK_EQUAL);
}

/* Who has read everything replaces everything. */
static void
check_put(const struct dyn_object *object, struct dyn_arena *arena)
{
	/* One that is there, or one that is not. */
	struct dyn_actor actor = object->context.range_count % 2 != 0
								 ? object->context.ranges[0].actor
								 : (struct dyn_actor){ 0x1234, 7 };
	struct dyn_slice value = dyn_slice_of("new");
	struct dyn_update update = { .context = &object->context,
								 .values = &value,
								 .value_count = 1 };
	struct dyn_object after;

	if (dyn_clock_counter(&object->context, actor) == UINT64_MAX)
	{
		FUZZ_REQUIRE(dyn_object_put(object, &update, actor, &arena->allocator,
									&after) == DYN_STATUS_TOO_LARGE);
		return;
	}
	FUZZ_REQUIRE(dyn_object_put(object, &update, actor, &arena->allocator,
								&after) == DYN_STATUS_OK);
	FUZZ_REQUIRE(dyn_object_check(&after));
	FUZZ_REQUIRE(after.version_count == 1);
	FUZZ_REQUIRE(dyn_slice_equal(after.versions[0].value, value));
	FUZZ_REQUIRE(!dyn_clock_covers(&object->context, after.versions[0].dot));
}

static void
check_object(struct dyn_slice bytes, const struct dyn_object *object,
			 struct dyn_arena *arena)
{
	struct dyn_slice encoded;
	struct dyn_object same;

	FUZZ_REQUIRE(dyn_object_check(object));
	FUZZ_REQUIRE(dyn_object_encode(object, &arena->allocator, &encoded) ==
				 DYN_STATUS_OK);
	FUZZ_REQUIRE(dyn_slice_equal(encoded, bytes));
	FUZZ_REQUIRE(dyn_object_hash(object, dyn_slice_of("key")) != 0);
	FUZZ_REQUIRE(dyn_object_sync(object, object, &arena->allocator, &same) ==
				 DYN_STATUS_OK);
	FUZZ_REQUIRE(dyn_object_encode(&same, &arena->allocator, &encoded) ==
				 DYN_STATUS_OK);
	FUZZ_REQUIRE(dyn_slice_equal(encoded, bytes));
	check_rows(object, arena);
	check_put(object, arena);
}

/* Every allocation of a decoding fails once in turn, for small inputs. */
static void
check_exhaustion(struct dyn_slice bytes)
{
	for (long n = 0; n < 3; n++)
	{
		struct failing failing;
		struct dyn_arena arena;
		struct dyn_object object;

		failing_init(&failing, n);
		dyn_arena_init(&arena, failing.allocator, 16);
		(void) dyn_object_decode(bytes, &arena.allocator, &object);
		dyn_arena_destroy(&arena);
		FUZZ_REQUIRE(failing.live == 0);
	}
}

void
fuzz_object(const uint8_t *data, size_t size)
{
	struct dyn_slice bytes = { data, size };
	struct dyn_arena arena;
	struct dyn_object object;
	enum dyn_status status;

	check_exhaustion(bytes);
	dyn_arena_init(&arena, dyn_allocator_malloc(), 0);
	status = dyn_object_decode(bytes, &arena.allocator, &object);
	if (status == DYN_STATUS_OK)
		check_object(bytes, &object, &arena);
	else
		FUZZ_REQUIRE(status == DYN_STATUS_BAD_REQUEST);
	dyn_arena_destroy(&arena);
}
