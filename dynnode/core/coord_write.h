/*-------------------------------------------------------------------------
 *
 * coord_write.h
 *      Bring a key's new object to W nodes: owners, or who stands in.
 *
 * (Dynamo 2007, section 4.6: sloppy quorum and hinted handoff.)  Each slot of
 * the partition counts once.  Its owner is asked; when the owner cannot be
 * reached, refuses, is lost, or is late, the next fallback of the partition's
 * list is, which keeps the object as a hint for the slot (handoff.h).  A
 * fallback stands in for one slot of an operation only, so W answers are W
 * nodes.  A slot has said no when neither its owner nor a fallback may still
 * answer and no fallback is left.
 *
 * The coordinator's own slot is one like the others, except that it is written
 * through the key table.  A coordinator that is no owner stands in itself.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_COORD_WRITE_H
#define DYN_CORE_COORD_WRITE_H

#include "core/call.h"
#include "core/quorum.h"
#include "core/state.h"

struct dyn_writing
{
	struct dyn_quorum quorum;
	uint16_t partition;
	uint8_t own_slot;
	bool stands_in;           /* this node is a fallback for own_slot */
	uint8_t owner_pending;    /* slots whose owner may still answer */
	uint8_t fallback_pending; /* slots whose stand-in may */
	uint8_t owner_maybe;      /* slots whose owner holds it, or may */
	uint8_t by_fallback;      /* slots for which a fallback said yes */
	uint32_t fallback_next;   /* in the partition's list */
	uint32_t fallback_maybe;  /* how many fallbacks hold it, or may */
	uint64_t sent_at_ms;
	enum dyn_status refusal; /* of a node that stored nothing */
	uint64_t fence;          /* the object's mark; before dyn_write_begin */
	struct dyn_slice object; /* for fallbacks; in the request's arena */
};

/* own_slot -1: this node stands in for one whose owner is away. */
void dyn_write_init(struct dyn_node *node, struct dyn_writing *self,
					uint16_t partition, int own_slot, uint8_t needed);

/* Are there W nodes to be had that take writes? If not, the quorum tells which
 * are missing, and `refusal` is FULL when they are there, but full. */
bool dyn_write_is_possible(struct dyn_node *node, struct dyn_writing *self);

/* Send it to the other slots. committed: the own record held it already. */
void dyn_write_begin(struct dyn_node *node, struct dyn_request *request,
					 uint32_t op, struct dyn_slice object, bool committed);

/* A node's word; UNKNOWN: nothing is known of it. The outcome, when it is
 * certain, is for dyn_put_written to find. */
void dyn_write_answer(struct dyn_node *node, struct dyn_request *request,
					  const struct dyn_call_item *item, enum dyn_status status);

/* Ask fallbacks for slots whose owners are late; when to look again. */
uint64_t dyn_write_hedge(struct dyn_node *node, struct dyn_request *request,
						 uint32_t op);

/* May any node hold it? */
bool dyn_write_may_exist(const struct dyn_writing *self);

#endif
