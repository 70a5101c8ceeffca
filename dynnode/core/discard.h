/*-------------------------------------------------------------------------
 *
 * discard.h
 *      Remove what may be older than deletes that all others have forgotten.
 *
 * A partition in mode DISCARD (building.h) takes no writes until all its
 * records are gone: page by page, through the key table, and when no commit
 * that had begun before is under way any more.  Where this node owns nothing
 * it is the partition's hints that go.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_DISCARD_H
#define DYN_CORE_DISCARD_H

#include "core/event.h"
#include "core/key_table.h"
#include "core/request.h"

/* Start what can be started; at heartbeats. */
void dyn_discard_tick(struct dyn_node *node);

#endif
