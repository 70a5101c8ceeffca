/*-------------------------------------------------------------------------
 *
 * filling.h
 *      How a partition that is BUILDING gets its records back.
 *
 * From each other owner that can be reached one page is under way at a time
 * (COPY): all records of one partition, in their order, whatever their
 * hashes.  Each object is merged with what is here, like a repair; when all of
 * the page is on disk the next one is asked for, up to the end.  What a page
 * may take is a part of this node's budget for background work (credit.h).
 *
 * A page that is lost, or meets a store that is full or busy, is asked for
 * again at the next heartbeat, and is smaller then.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_FILLING_H
#define DYN_CORE_FILLING_H

#include "core/request.h"
#include "core/state.h"

/* Start what can be started; at heartbeats. */
void dyn_filling_tick(struct dyn_node *node);

#endif
