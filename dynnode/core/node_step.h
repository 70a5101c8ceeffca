/*-------------------------------------------------------------------------
 *
 * node_step.h
 *      The frame of a step, for node.c and node_life.c.
 *
 * Between the two, node->out is where effects go, and scratch memory is at hand.
 * A start is a step without an event.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_NODE_STEP_H
#define DYN_CORE_NODE_STEP_H

#include "core/state.h"

void dyn_node_begin_step(struct dyn_node *node, uint64_t now_ms,
						 uint64_t wall_ms, struct dyn_effects *out);

/* What was gathered becomes effects; scratch memory and requests that ended
 * are gone. */
void dyn_node_end_step(struct dyn_node *node);

#endif
