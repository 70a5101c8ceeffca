/*-------------------------------------------------------------------------
 *
 * scrub.h
 *      Read everything now and then, so that damage is found while the
 *      other owners can still mend it.
 *
 * One page of records each scrub_ms, through all buckets; the store checks
 * each record's sums as it reads.  A damaged one is read from all owners,
 * which mends it (repair.h).  When a page cannot be read at all, the pass
 * begins anew and it is counted.
 *
 * A pass may take weeks.  Where somebody has met damage that keeps him from
 * going on (a key that is damaged hides its cell from anti-entropy) it is
 * looked for at the next tick, however the scrub is set, and the pass goes on
 * behind that.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_SCRUB_H
#define DYN_CORE_SCRUB_H

#include "core/walk.h"

struct dyn_node;
struct dyn_request;

struct dyn_scrub
{
	uint64_t serial; /* of the page under way; 0 = none */
	uint64_t next_at_ms;
	struct dyn_walk place; /* how far the pass has come */
	/* A cell that comes first, and how far that has come. */
	bool suspects;
	uint16_t suspect;
	struct dyn_walk suspect_place;
	bool of_suspect; /* the page under way */
};

/* This cell could not be read for damage.  One is remembered at a time; who
 * tries again meets the next. */
void dyn_scrub_suspect(struct dyn_node *node, uint16_t cell);

void dyn_scrub_tick(struct dyn_node *node);

#endif
