#include "core/prune.h"

#include "core/state.h"

static bool
has_live_version(const struct dyn_object *object, struct dyn_actor actor)
{
	for (uint32_t i = 0; i < object->version_count; i++)
		if (dyn_actor_compare(object->versions[i].dot.actor, actor) == 0)
			return true;
	return false;
}

/* Does the process still run that wrote under it? */
static bool
is_retired(const struct dyn_node *node, struct dyn_actor actor)
{
	if (actor.start == node->start_id)
		return false;
	for (uint32_t i = 0; i < node->peer_count; i++)
		if (node->peers[i]->identified &&
			node->peers[i]->process == actor.start)
			return false;
	return true;
}

/* What the actor whose ranges begin here takes of the entries: one, and one
 * for each gap (model/clock.h). */
static uint32_t
entries_of(const struct dyn_clock *context, uint32_t first)
{
	struct dyn_actor actor = context->ranges[first].actor;
	uint32_t count = 1U + (context->ranges[first].first > 1);

	for (uint32_t i = first + 1;
		 i < context->range_count &&
		 dyn_actor_compare(context->ranges[i].actor, actor) == 0;
		 i++)
		count++;
	return count;
}

uint32_t
dyn_prune_choose(const struct dyn_node *node, const struct dyn_object *object,
				 struct dyn_arena *arena, struct dyn_actor **actors)
{
	const struct dyn_clock *context = &object->context;
	uint32_t entries = dyn_clock_entry_count(context);
	uint32_t count = 0;

	/* A deleted key's context is all that it has. */
	if (object->version_count == 0 || entries <= DYN_CONTEXT_CROWDED)
		return 0;
	*actors =
		dyn_arena_allocate(arena, context->range_count * sizeof(**actors));
	for (int retired = 1; retired >= 0; retired--)
		for (uint32_t i = 0;
			 i < context->range_count && entries > DYN_CONTEXT_CROWDED &&
			 count < DYN_PRUNE_ACTORS_MAX;
			 i++)
		{
			struct dyn_actor actor = context->ranges[i].actor;
			bool same = i > 0 && dyn_actor_compare(
									 actor, context->ranges[i - 1].actor) == 0;

			if (same || is_retired(node, actor) != (retired == 1) ||
				has_live_version(object, actor))
				continue;
			(*actors)[count++] = actor;
			entries -= entries_of(context, i);
		}
	return count;
}

static bool
is_named(const struct dyn_actor *actors, uint32_t count, struct dyn_actor actor)
{
	for (uint32_t i = 0; i < count; i++)
		if (dyn_actor_compare(actors[i], actor) == 0)
			return true;
	return false;
}

enum dyn_status
dyn_prune(const struct dyn_object *object, const struct dyn_actor *actors,
		  uint32_t count, const struct dyn_allocator *allocator,
		  struct dyn_object *out)
{
	const struct dyn_clock *from = &object->context;
	struct dyn_clock context = { 0 };

	context.ranges = allocator->allocate(
		allocator->context, (from->range_count + 1) * sizeof(*context.ranges));
	if (context.ranges == NULL)
		return DYN_STATUS_NO_MEMORY;
	for (uint32_t i = 0; i < from->range_count; i++)
		if (!is_named(actors, count, from->ranges[i].actor) ||
			has_live_version(object, from->ranges[i].actor))
			context.ranges[context.range_count++] = from->ranges[i];
	*out = *object;
	out->context = context;
	return DYN_STATUS_OK;
}
