/*-------------------------------------------------------------------------
 *
 * verified.h
 *      When this node and the other owners of its partitions were last equal.
 *
 * Anti-entropy notes it (exchange.h), on both sides of a comparison, with the
 * time at which this node's own hashes were read.  It is kept in memory: a
 * node that was started anew has verified nothing yet, and neither has a slot
 * that went to another owner.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_VERIFIED_H
#define DYN_CORE_VERIFIED_H

#include "model/types.h"

struct dyn_node;

/* Of one slot of the table. */
struct dyn_verified
{
	struct dyn_node_id owner; /* at that time */
	uint64_t at_ms;           /* 0 = never */
};

void dyn_verified_note(struct dyn_node *node, uint16_t partition,
					   const struct dyn_node_id *owner, uint64_t at_ms);

/* When the owner of a slot was last found equal to this node; 0 = never. */
uint64_t dyn_verified_at(const struct dyn_node *node, uint16_t partition,
						 uint8_t slot);

/* Of all partitions that both own: how many, how many of them were ever
 * found equal, and the time of the one that waits longest. */
void dyn_verified_summary(const struct dyn_node *node,
						  const struct dyn_node_id *owner, uint32_t *shared,
						  uint32_t *verified, uint64_t *oldest_ms);

void dyn_verified_destroy(struct dyn_node *node);

#endif
