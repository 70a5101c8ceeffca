/*-------------------------------------------------------------------------
 *
 * prng.h
 *      Reproducible randomness for tests (SplitMix64).
 *
 *-------------------------------------------------------------------------
 */
#ifndef TESTS_PRNG_H
#define TESTS_PRNG_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

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

enum
{
	PRNG_MUTATE_ROOM = 64 /* how much longer prng_mutate may make bytes */
};

/* Damage bytes `times` (at most 8) times: a byte set, a bit flipped, some
 * bytes cut out or repeated, the end cut off.  Returns the new size. */
static inline size_t
prng_mutate(struct prng *self, uint8_t *bytes, size_t size, uint32_t times)
{
	for (; times > 0 && size > 0; times--)
	{
		size_t at = prng_below(self, (uint32_t) size);
		size_t count = 1 + prng_below(self, PRNG_MUTATE_ROOM / 8);

		if (count > size - at)
			count = size - at;
		switch (prng_below(self, 6))
		{
			case 0:
				bytes[at] ^= (uint8_t) (1 << prng_below(self, 8));
				break;
			case 1:
				memmove(bytes + at, bytes + at + count, size - at - count);
				size -= count;
				break;
			case 2:
				memmove(bytes + at + count, bytes + at, size - at);
				size += count;
				break;
			case 3:
				size = at;
				break;
			default:
				bytes[at] = (uint8_t) prng_next(self);
				break;
		}
	}
	return size;
}

#endif
