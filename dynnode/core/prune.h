/*-------------------------------------------------------------------------
 *
 * prune.h
 *      Which entries of a crowded context may go.
 *
 * (Dynamo 2007, section 4.4: the oldest entries of a clock of more than ten
 * go.)  Here they go from all owners together, when nothing older than the
 * object is left anywhere (reap.h), so no version can come back.  An actor
 * with a live version keeps its entry.  Of the others those of processes that
 * run no longer go first; tombstones are reaped, not pruned.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_PRUNE_H
#define DYN_CORE_PRUNE_H

#include "core/node.h"
#include "model/object.h"

enum
{
	DYN_PRUNE_ACTORS_MAX = 1024 /* of one object at a time */
};

/* The actors whose entries are to go so that DYN_CONTEXT_CROWDED are left;
 * 0 when there are no more, or none may go.  In the arena. */
uint32_t dyn_prune_choose(const struct dyn_node *node,
						  const struct dyn_object *object,
						  struct dyn_arena *arena, struct dyn_actor **actors);

/*
 * The object without the entries of these actors, but for those that have a
 * live version.  Its versions are those of the object.
 */
enum dyn_status dyn_prune(const struct dyn_object *object,
						  const struct dyn_actor *actors, uint32_t count,
						  const struct dyn_allocator *allocator,
						  struct dyn_object *out);

#endif
