/* The binary form of a clock: canonical, bounded, one with its text. */
#include "fuzz/targets.h"

#include "failing.h"

#include "model/arena.h"
#include "model/clock.h"

#include <string.h>

/* A client's clock is refused for its size only. */
static void
check_limit(struct dyn_slice bytes, const struct dyn_clock *clock,
			struct dyn_arena *arena)
{
	struct dyn_clock limited;
	enum dyn_status status =
		dyn_clock_decode(bytes, true, &arena->allocator, &limited);

	if (dyn_clock_entry_count(clock) > DYN_CLOCK_ENTRIES_MAX)
		FUZZ_REQUIRE(status == DYN_STATUS_TOO_LARGE);
	else
		FUZZ_REQUIRE(status == DYN_STATUS_OK);
}

static void
check_text(const struct dyn_clock *clock, struct dyn_arena *arena)
{
	struct dyn_clock parsed;
	char *text;

	FUZZ_REQUIRE(dyn_clock_format(clock, &arena->allocator, &text) ==
				 DYN_STATUS_OK);
	FUZZ_REQUIRE(dyn_clock_parse(dyn_slice_of(text), &arena->allocator,
								 &parsed) == DYN_STATUS_OK);
	FUZZ_REQUIRE(dyn_clock_compare(clock, &parsed) == DYN_CLOCK_EQUAL);
	FUZZ_REQUIRE(dyn_clock_hash(clock) == dyn_clock_hash(&parsed));
}

/* A clock with itself, and without its last dot. */
static void
check_algebra(const struct dyn_clock *clock, struct dyn_arena *arena)
{
	struct dyn_clock both;
	struct dyn_clock less;
	struct dyn_dot dot;

	FUZZ_REQUIRE(dyn_clock_union(clock, clock, &arena->allocator, &both) ==
				 DYN_STATUS_OK);
	FUZZ_REQUIRE(dyn_clock_compare(clock, &both) == DYN_CLOCK_EQUAL);
	if (dyn_clock_is_empty(clock))
		return;
	dot.actor = clock->ranges[clock->range_count - 1].actor;
	dot.counter = clock->ranges[clock->range_count - 1].last;
	FUZZ_REQUIRE(dyn_clock_covers(clock, dot));
	FUZZ_REQUIRE(dyn_clock_minus(clock, &dot, 1, &arena->allocator, &less) ==
				 DYN_STATUS_OK);
	FUZZ_REQUIRE(dyn_clock_check(&less));
	FUZZ_REQUIRE(!dyn_clock_covers(&less, dot));
	FUZZ_REQUIRE(dyn_clock_compare(&less, clock) == DYN_CLOCK_BEFORE);
	FUZZ_REQUIRE(dyn_clock_add(&less, dot, &arena->allocator, &both) ==
				 DYN_STATUS_OK);
	FUZZ_REQUIRE(dyn_clock_compare(clock, &both) == DYN_CLOCK_EQUAL);
}

/* Decoding without memory says so and leaves nothing. */
static void
check_exhaustion(struct dyn_slice bytes)
{
	struct failing failing;
	struct dyn_arena arena;
	struct dyn_clock clock;

	failing_init(&failing, 0);
	dyn_arena_init(&arena, failing.allocator, 0);
	(void) dyn_clock_decode(bytes, false, &arena.allocator, &clock);
	dyn_arena_destroy(&arena);
	FUZZ_REQUIRE(failing.live == 0);
}

void
fuzz_clock(const uint8_t *data, size_t size)
{
	struct dyn_slice bytes = { data, size };
	struct dyn_arena arena;
	struct dyn_clock clock;
	enum dyn_status status;

	check_exhaustion(bytes);
	dyn_arena_init(&arena, dyn_allocator_malloc(), 0);
	status = dyn_clock_decode(bytes, false, &arena.allocator, &clock);
	if (status == DYN_STATUS_OK)
	{
		struct dyn_slice encoded;

		FUZZ_REQUIRE(dyn_clock_check(&clock));
		FUZZ_REQUIRE(dyn_clock_encoded_size(&clock) == size);
		FUZZ_REQUIRE(dyn_clock_encode(&clock, &arena.allocator, &encoded) ==
					 DYN_STATUS_OK);
		FUZZ_REQUIRE(dyn_slice_equal(encoded, bytes));
		check_limit(bytes, &clock, &arena);
		check_text(&clock, &arena);
		check_algebra(&clock, &arena);
	}
	else
		FUZZ_REQUIRE(status == DYN_STATUS_BAD_REQUEST);
	dyn_arena_destroy(&arena);
}
