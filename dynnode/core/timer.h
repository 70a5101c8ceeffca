/*-------------------------------------------------------------------------
 *
 * timer.h
 *      Points in time at which somebody wants to be woken: a binary heap.
 *
 * A timer is embedded in its owner, which outlives its place in the heap.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_TIMER_H
#define DYN_CORE_TIMER_H

#include "model/types.h"

struct dyn_timer
{
	uint64_t at_ms;
	uint32_t place; /* in the heap, from 1; 0 = not set */
};

struct dyn_timers
{
	struct dyn_timer **heap; /* heap[0] is not used */
	uint32_t count;
	uint32_t capacity;
};

void dyn_timers_destroy(struct dyn_timers *self);

/* Set or move. */
void dyn_timers_set(struct dyn_timers *self, struct dyn_timer *timer,
					uint64_t at_ms);

/* Does nothing when it is not set. */
void dyn_timers_cancel(struct dyn_timers *self, struct dyn_timer *timer);

/* UINT64_MAX when no timer is set. */
uint64_t dyn_timers_deadline(const struct dyn_timers *self);

/* Take one that is due, or NULL. */
struct dyn_timer *dyn_timers_take_due(struct dyn_timers *self, uint64_t now_ms);

#endif
