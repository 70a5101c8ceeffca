/*-------------------------------------------------------------------------
 *
 * clock.h
 *      Causal contexts: which write events somebody has seen.
 *
 * A clock is a set of dots, kept as a version vector with exceptions: for
 * each actor the highest counter, and the counters below it that are not
 * covered.  (Dynamo 2007, section 4.4, uses plain vectors; why they lose
 * writes is told in ARCHITECTURE.md.)  In memory the set is a sorted array
 * of ranges:
 *
 *     actor A: 1 2 3 . 5      ->  {A, 1, 3} {A, 5, 5}       text {A:5!4}
 *     actor B: 1 2            ->  {B, 1, 2}                 text {B:2}
 *
 * Ranges are sorted by actor, then first; they neither overlap nor touch;
 * 1 <= first <= last.  So equal sets are equal arrays (the canonical form).
 *
 * A clock is a value: plain struct, ranges borrowed.  Functions that make a
 * clock take its array from the allocator and never write into their inputs;
 * an input may be the same clock twice.  They return OK or NO_MEMORY unless
 * said otherwise, and leave *out alone on failure.
 *
 * Text: {actor:n,actor:n!x!y..z,...}, actors ascending; actor is 16 hex
 * digits of the start, a dot, the epoch in decimal; each !x or !y..z is a
 * counter or range that is not covered.  {} is the empty clock.
 * Binary: the message Clock of messages.proto.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_MODEL_CLOCK_H
#define DYN_MODEL_CLOCK_H

#include "model/types.h"

struct dyn_clock_range
{
	struct dyn_actor actor;
	uint64_t first;
	uint64_t last;
};

struct dyn_clock
{
	struct dyn_clock_range *ranges;
	uint32_t range_count;
};

enum dyn_clock_order
{
	DYN_CLOCK_EQUAL,
	DYN_CLOCK_BEFORE, /* a is a proper subset of b */
	DYN_CLOCK_AFTER,
	DYN_CLOCK_CONCURRENT
};

bool dyn_clock_is_empty(const struct dyn_clock *self);
bool dyn_clock_covers(const struct dyn_clock *self, struct dyn_dot dot);

/* Does a cover everything that b covers? */
bool dyn_clock_descends(const struct dyn_clock *a, const struct dyn_clock *b);
enum dyn_clock_order dyn_clock_compare(const struct dyn_clock *a,
									   const struct dyn_clock *b);

/* A total order without causal meaning, for sorting and grouping. */
int dyn_clock_sort_compare(const struct dyn_clock *a,
						   const struct dyn_clock *b);
uint64_t dyn_clock_hash(const struct dyn_clock *self);

/* Highest counter of an actor, 0 when it is not there. */
uint64_t dyn_clock_counter(const struct dyn_clock *self,
						   struct dyn_actor actor);

/* Greatest actor with this start, by epoch; false when there is none. */
bool dyn_clock_latest_actor(const struct dyn_clock *self, uint64_t start,
							struct dyn_actor *actor);

/* Actors plus exceptions: what DYN_CLOCK_ENTRIES_MAX limits. */
uint32_t dyn_clock_entry_count(const struct dyn_clock *self);

enum dyn_status dyn_clock_union(const struct dyn_clock *a,
								const struct dyn_clock *b,
								const struct dyn_allocator *allocator,
								struct dyn_clock *out);
enum dyn_status dyn_clock_add(const struct dyn_clock *self, struct dyn_dot dot,
							  const struct dyn_allocator *allocator,
							  struct dyn_clock *out);

/* Everything but these dots; dots ascend, covered or not, repeated or not. */
enum dyn_status dyn_clock_minus(const struct dyn_clock *self,
								const struct dyn_dot *dots, uint32_t dot_count,
								const struct dyn_allocator *allocator,
								struct dyn_clock *out);
enum dyn_status dyn_clock_copy(const struct dyn_clock *self,
							   const struct dyn_allocator *allocator,
							   struct dyn_clock *out);

/*
 * Encoded form (message Clock), canonical: equal clocks give equal bytes.
 * Decoding accepts the canonical form only: anything else is BAD_REQUEST,
 * more than DYN_CLOCK_ENTRIES_MAX entries with limit = true is TOO_LARGE.
 * Decoding takes at most 16 times the memory of its input.
 */
enum dyn_status dyn_clock_encode(const struct dyn_clock *self,
								 const struct dyn_allocator *allocator,
								 struct dyn_slice *out);
size_t dyn_clock_encoded_size(const struct dyn_clock *self);

/* Write the encoded form; returns behind its last byte. */
uint8_t *dyn_clock_put(const struct dyn_clock *self, uint8_t *at);
enum dyn_status dyn_clock_decode(struct dyn_slice bytes, bool limit,
								 const struct dyn_allocator *allocator,
								 struct dyn_clock *out);

/* Text form; *out is NUL-terminated.  Parsing takes white space between
 * entries and entries in any order; a repeated actor is BAD_REQUEST. */
enum dyn_status dyn_clock_format(const struct dyn_clock *self,
								 const struct dyn_allocator *allocator,
								 char **out);
enum dyn_status dyn_clock_parse(struct dyn_slice text,
								const struct dyn_allocator *allocator,
								struct dyn_clock *out);

/* Is the array in canonical form?  For assertions and tests. */
bool dyn_clock_check(const struct dyn_clock *self);

#endif
