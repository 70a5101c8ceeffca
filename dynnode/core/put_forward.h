/*-------------------------------------------------------------------------
 *
 * put_forward.h
 *      A put that another node shall coordinate.
 *
 * (Dynamo 2007, section 4.6.)  An owner, one whose store takes writes first;
 * when none can be reached, the first fallback that can: maybe this node, which
 * coordinates then.  A put is forwarded once; a second time only by who has it
 * from its client, when the first one's record is damaged, for that one has
 * stored nothing.  Whether a coordinator that was lost has stored it, nobody
 * knows: UNKNOWN.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_PUT_FORWARD_H
#define DYN_CORE_PUT_FORWARD_H

#include "core/coord_put.h"

void dyn_put_forward(struct dyn_node *node, struct dyn_request *request,
					 uint32_t op, uint32_t w);

/* The own record is damaged, and the other owners cannot all be heard: to the
 * next owner, or CORRUPT. */
void dyn_put_hand_on(struct dyn_node *node, struct dyn_request *request,
					 uint32_t op);

void dyn_put_forward_answer(struct dyn_node *node, struct dyn_request *request,
							uint32_t op, const Dyn__PutResult *result);
/* status OK = nothing is known. */
void dyn_put_forward_lost(struct dyn_node *node, struct dyn_request *request,
						  uint32_t op, enum dyn_status status);

#endif
