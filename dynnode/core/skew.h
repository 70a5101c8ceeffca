/*-------------------------------------------------------------------------
 *
 * skew.h
 *      How far other nodes' wall clocks are from this one's.
 *
 * A node tells its wall clock in WELCOME and in its answers to heartbeats, and
 * repeats when (by the asker's steady clock) it was asked: somewhere between
 * then and now its clock showed that, which bounds the difference from both
 * sides, however long the frames were on their way.  The narrowest bounds of
 * the last seconds are kept, until others contradict them.
 *
 * Beyond a second it is said in the log, once, and again when it is over; and
 * counted (clocks_apart).  STATUS tells it of each peer.
 *
 * What it is for: model/wall.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_SKEW_H
#define DYN_CORE_SKEW_H

#include "model/types.h"

struct dyn_node;

/* A peer's wall clock lies between these many milliseconds ahead of this
 * node's steady clock (behind, when they are negative). */
struct dyn_skew
{
	bool known;
	bool apart; /* it was said in the log */
	int64_t least_ms;
	int64_t most_ms;
	uint64_t at_ms;   /* when these were measured */
	uint64_t told_ms; /* when it told its clock last */
};

/* A peer's wall clock, in the answer to what it was asked at asked_ms. */
void dyn_skew_learn(struct dyn_node *node, uint32_t peer_index,
					uint64_t wall_ms, uint64_t asked_ms);

/* Its clock is so far ahead of this node's (negative: behind), give or take
 * *error_ms; false = not known. */
bool dyn_skew_of(const struct dyn_node *node, uint32_t peer_index,
				 int64_t *skew_ms, uint64_t *error_ms);

/* The earliest wall clock that is known of, this node's included: by it what
 * expires is judged, here and by who is told of it (view_ms in answers). */
uint64_t dyn_skew_view_ms(const struct dyn_node *node);

/* The latest one: from it the end of what expires is counted. */
uint64_t dyn_skew_latest_ms(const struct dyn_node *node);

#endif
