/*
 * The one place where the programs read a clock.  The core never does: time
 * comes to it with its events.
 */
#include "io/clock.h"

uint64_t
dyn_clock_us(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (uint64_t) time.tv_sec * 1000000 + (uint64_t) time.tv_nsec / 1000;
}

uint64_t
dyn_clock_ms(clockid_t clock)
{
	return dyn_clock_us(clock) / 1000;
}
