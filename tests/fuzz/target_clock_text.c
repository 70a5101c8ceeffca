/* The text form of a clock: what is taken prints canonically. */
#include "fuzz/targets.h"

#include "model/arena.h"
#include "model/clock.h"

#include <string.h>

static void
check_parsed(const struct dyn_clock *clock, struct dyn_arena *arena)
{
	struct dyn_clock again;
	struct dyn_slice encoded;
	char *first;
	char *second;

	FUZZ_REQUIRE(dyn_clock_check(clock));
	FUZZ_REQUIRE(dyn_clock_format(clock, &arena->allocator, &first) ==
				 DYN_STATUS_OK);
	FUZZ_REQUIRE(dyn_clock_parse(dyn_slice_of(first), &arena->allocator,
								 &again) == DYN_STATUS_OK);
	FUZZ_REQUIRE(dyn_clock_compare(clock, &again) == DYN_CLOCK_EQUAL);
	FUZZ_REQUIRE(dyn_clock_format(&again, &arena->allocator, &second) ==
				 DYN_STATUS_OK);
	FUZZ_REQUIRE(strcmp(first, second) == 0);
	FUZZ_REQUIRE(dyn_clock_encode(clock, &arena->allocator, &encoded) ==
				 DYN_STATUS_OK);
	FUZZ_REQUIRE(dyn_clock_decode(encoded, false, &arena->allocator, &again) ==
				 DYN_STATUS_OK);
	FUZZ_REQUIRE(dyn_clock_compare(clock, &again) == DYN_CLOCK_EQUAL);
}

void
fuzz_clock_text(const uint8_t *data, size_t size)
{
	struct dyn_arena arena;
	struct dyn_clock clock;
	enum dyn_status status;

	dyn_arena_init(&arena, dyn_allocator_malloc(), 0);
	status = dyn_clock_parse((struct dyn_slice){ data, size }, &arena.allocator,
							 &clock);
	if (status == DYN_STATUS_OK)
		check_parsed(&clock, &arena);
	else
		FUZZ_REQUIRE(status == DYN_STATUS_BAD_REQUEST ||
					 status == DYN_STATUS_TOO_LARGE);
	dyn_arena_destroy(&arena);
}
