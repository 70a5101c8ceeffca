/*-------------------------------------------------------------------------
 *
 * simrandom.h
 *      The simulator's randomness: splitmix64, one stream for each purpose.
 *
 * Separate streams (network, each disk, each client, faults) keep a change
 * in one part from reshuffling all the others, so that a failing seed stays
 * recognisable while it is being looked into.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_SIMRANDOM_H
#define DYN_TESTS_SIMRANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct dyn_simrandom
{
	uint64_t state;
};

static inline uint64_t
dyn_simrandom_next(struct dyn_simrandom *self)
{
	uint64_t z = (self->state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* A stream of its own for one purpose of one seed. */
static inline struct dyn_simrandom
dyn_simrandom_stream(uint64_t seed, uint64_t purpose)
{
	struct dyn_simrandom stream = { seed * UINT64_C(0xd1342543de82ef95) +
									purpose };

	stream.state = dyn_simrandom_next(&stream) ^ (purpose << 32);
	return stream;
}

/* 0 .. bound - 1; 0 when bound is 0. The bias of the modulo is harmless. */
static inline uint64_t
dyn_simrandom_below(struct dyn_simrandom *self, uint64_t bound)
{
	return bound == 0 ? 0 : dyn_simrandom_next(self) % bound;
}

/* first .. last, both included. */
static inline uint64_t
dyn_simrandom_between(struct dyn_simrandom *self, uint64_t first, uint64_t last)
{
	return first + dyn_simrandom_below(self, last - first + 1);
}

/* True in so many of a million cases. */
static inline bool
dyn_simrandom_chance(struct dyn_simrandom *self, uint32_t per_million)
{
	return per_million > 0 && dyn_simrandom_below(self, 1000000) < per_million;
}

#endif
