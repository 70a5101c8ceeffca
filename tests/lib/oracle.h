/*-------------------------------------------------------------------------
 *
 * oracle.h
 *      The ground truth about versions: sets of write events, nothing clever.
 *
 * Every write is an event with a number (0 .. ORACLE_EVENTS - 1).  A replica
 * knows two sets of numbers: the events it has seen, and those of them that
 * live.  Merging two replicas keeps what lives in both, or lives in one and
 * was never seen by the other.  That is the definition; the model's clocks
 * and objects are compared with it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TESTS_ORACLE_H
#define TESTS_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

enum
{
	ORACLE_EVENTS = 256,
	ORACLE_WORDS = ORACLE_EVENTS / 64
};

struct oracle_set
{
	uint64_t words[ORACLE_WORDS];
};

struct oracle_replica
{
	struct oracle_set seen;
	struct oracle_set live;
};

bool oracle_has(const struct oracle_set *set, uint32_t event);
void oracle_add(struct oracle_set *set, uint32_t event);
void oracle_remove(struct oracle_set *set, uint32_t event);
bool oracle_is_subset(const struct oracle_set *a, const struct oracle_set *b);

struct oracle_replica oracle_merge(const struct oracle_replica *a,
								   const struct oracle_replica *b);

/* What `read` has seen dies; then the new events live. */
void oracle_put(struct oracle_replica *self, const struct oracle_set *read,
				const uint32_t *events, uint32_t count);

#endif
