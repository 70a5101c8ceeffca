/*-------------------------------------------------------------------------
 *
 * prng.h
 *      Reproducible randomness for tests (SplitMix64).
 *
 *-------------------------------------------------------------------------
 */
#ifndef TESTS_PRNG_H
#define TESTS_PRNG_H

#include <stdint.h>

struct prng
{
	uint64_t state;
};

static inline uint64_t
prng_next(struct prng *self)
{
	uint64_t z = (self->state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* 0 .. bound - 1; bound at least 1. */
static inline uint32_t
prng_below(struct prng *self, uint32_t bound)
{
	return (uint32_t) (prng_next(self) % bound);
}

#endif
