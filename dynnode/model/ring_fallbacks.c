#include <string.h>

#include "model/hash.h"
#include "model/ring.h"

enum
{
	FRACTION_BITS = 32
};

/* Binary logarithm of x >= 1 in fixed point, by squaring: the same on every
 * machine, which libm's is not. */
static uint64_t
log2_fixed(uint64_t x)
{
	int exponent = 63 - __builtin_clzll(x);
	uint64_t result = (uint64_t) exponent << FRACTION_BITS;
	uint64_t mantissa = x << (63 - exponent); /* 1.0 to 2.0, in 1.63 */

	for (int bit = FRACTION_BITS - 1; bit >= 0; bit--)
	{
		unsigned __int128 square = (unsigned __int128) mantissa * mantissa;

		if (square >> 127)
		{
			result |= 1ULL << bit;
			mantissa = (uint64_t) (square >> 64);
		}
		else
			mantissa = (uint64_t) (square >> 63);
	}
	return result;
}

/* -log2(h / 2^64) / weight: the smaller the better. */
static uint64_t
cost(const struct dyn_member *member, uint16_t partition)
{
	uint8_t bytes[18];
	uint64_t hash;

	memcpy(bytes, member->id.bytes, 16);
	bytes[16] = (uint8_t) partition;
	bytes[17] = (uint8_t) (partition >> 8);
	hash = dyn_hash_bytes((struct dyn_slice){ bytes, sizeof(bytes) }) | 1;
	return ((64ULL << FRACTION_BITS) - log2_fixed(hash)) / member->weight;
}

/* Is its zone one that none of the chosen members lies in? A member without
 * a zone brings no new one. */
static bool
brings_a_zone(const struct dyn_ring *ring, const bool *chosen, uint32_t index)
{
	const char *zone = ring->members[index].zone;

	if (zone[0] == 0)
		return false;
	for (uint32_t i = 0; i < ring->member_count; i++)
		if (chosen[i] && strcmp(ring->members[i].zone, zone) == 0)
			return false;
	return true;
}

/* The best of those not chosen yet, or -1. */
static int
choose(const struct dyn_ring *ring, const bool *chosen, const uint64_t *costs)
{
	int best = -1;
	bool best_brings = false;

	for (uint32_t i = 0; i < ring->member_count; i++)
	{
		const struct dyn_member *member = &ring->members[i];
		bool brings;

		if (chosen[i] || member->status != DYN_MEMBER_VALID ||
			member->weight == 0)
			continue;
		brings = brings_a_zone(ring, chosen, i);
		if (best >= 0 && (best_brings > brings ||
						  (best_brings == brings && costs[best] <= costs[i])))
			continue;
		best = (int) i;
		best_brings = brings;
	}
	return best;
}

uint32_t
dyn_ring_fallbacks(const struct dyn_ring *self, uint16_t partition,
				   uint8_t *out)
{
	bool chosen[DYN_MEMBERS_MAX] = { false };
	uint64_t costs[DYN_MEMBERS_MAX];
	uint32_t count = 0;
	int next;

	for (uint32_t i = 0; i < self->member_count; i++)
	{
		chosen[i] = dyn_ring_find(self, partition, &self->members[i].id) >= 0;
		costs[i] = self->members[i].weight != 0
					   ? cost(&self->members[i], partition)
					   : 0;
	}
	while ((next = choose(self, chosen, costs)) >= 0)
	{
		chosen[next] = true;
		out[count++] = (uint8_t) next;
	}
	return count;
}
