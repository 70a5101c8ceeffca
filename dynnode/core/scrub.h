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
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_SCRUB_H
#define DYN_CORE_SCRUB_H

#include "core/walk.h"

struct dyn_node;
struct dyn_request;

/* How far a pass has come. */
struct dyn_scrub
{
	uint64_t serial; /* of the page under way; 0 = none */
	uint64_t next_at_ms;
	struct dyn_walk place;
};

void dyn_scrub_tick(struct dyn_node *node);
void dyn_scrub_scanned(struct dyn_node *node, struct dyn_request *request,
					   const struct dyn_event *event);
void dyn_scrub_expire(struct dyn_node *node, struct dyn_request *request);

#endif
