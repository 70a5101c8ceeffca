/*-------------------------------------------------------------------------
 *
 * wall.h
 *      By which clock what expires is judged.
 *
 * Wall clocks differ.  The end of a version is counted from the latest wall
 * clock that its coordinator knows of, and judged by the earliest one that
 * whoever judges knows of, as nodes tell it with each answer (view_ms).  So a
 * version is shown for its time to live at least, and longer by as much as
 * clocks differ: some node has answered both, the coordinator and the reader
 * (R + W > N), and its clock is neither later than the one nor earlier than
 * the other.
 *
 * A clock that differs from one's own by more than DYN_CLOCKS_APART_MS is
 * believed to be that far away and no further: of clocks that are more wrong
 * than that nothing is promised, but they do not decide for all others either.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_MODEL_WALL_H
#define DYN_MODEL_WALL_H

#include "model/types.h"

enum
{
	DYN_CLOCKS_APART_MS = 60 * 1000 /* as much as clocks may differ */
};

/* What one node has told last, and when, by the reader's steady clock. */
struct dyn_told_view
{
	uint64_t view_ms; /* 0 = nothing yet */
	uint64_t at_ms;
};

/*
 * The time by which a reader shows or does not show what expires: the earliest
 * of what nodes have told lately, else what was told last; his own clock where
 * nobody has told anything.  `now_ms` is his steady clock, `wall_ms` his wall
 * clock.
 */
struct dyn_view
{
	uint64_t now_ms;
	uint64_t wall_ms;
	uint64_t earliest_ms;
	uint64_t latest_ms;
	uint64_t latest_age_ms;
};

struct dyn_view dyn_view_begin(uint64_t now_ms, uint64_t wall_ms);
void dyn_view_add(struct dyn_view *self, const struct dyn_told_view *told);
uint64_t dyn_view_end(const struct dyn_view *self);

/* `at_ms`, but no further from `wall_ms` than clocks may differ. */
uint64_t dyn_view_near(uint64_t at_ms, uint64_t wall_ms);

#endif
