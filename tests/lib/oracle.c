/*
 * Bit sets, so simple that they are believed: test_object_truth.c compares
 * what objects say with them.
 */
#include "oracle.h"

bool
oracle_has(const struct oracle_set *set, uint32_t event)
{
	return (set->words[event / 64] >> (event % 64) & 1) != 0;
}

void
oracle_add(struct oracle_set *set, uint32_t event)
{
	set->words[event / 64] |= (uint64_t) 1 << (event % 64);
}

void
oracle_remove(struct oracle_set *set, uint32_t event)
{
	set->words[event / 64] &= ~((uint64_t) 1 << (event % 64));
}

bool
oracle_is_subset(const struct oracle_set *a, const struct oracle_set *b)
{
	for (int i = 0; i < ORACLE_WORDS; i++)
		if ((a->words[i] & ~b->words[i]) != 0)
			return false;
	return true;
}

struct oracle_replica
oracle_merge(const struct oracle_replica *a, const struct oracle_replica *b)
{
	struct oracle_replica out;

	for (int i = 0; i < ORACLE_WORDS; i++)
	{
		uint64_t both = a->live.words[i] & b->live.words[i];
		uint64_t only_a = a->live.words[i] & ~b->seen.words[i];
		uint64_t only_b = b->live.words[i] & ~a->seen.words[i];

		out.live.words[i] = both | only_a | only_b;
		out.seen.words[i] = a->seen.words[i] | b->seen.words[i];
	}
	return out;
}

void
oracle_put(struct oracle_replica *self, const struct oracle_set *read,
		   const uint32_t *events, uint32_t count)
{
	for (int i = 0; i < ORACLE_WORDS; i++)
	{
		self->live.words[i] &= ~read->words[i];
		self->seen.words[i] |= read->words[i];
	}
	for (uint32_t i = 0; i < count; i++)
	{
		oracle_add(&self->live, events[i]);
		oracle_add(&self->seen, events[i]);
	}
}
