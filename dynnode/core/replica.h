/*-------------------------------------------------------------------------
 *
 * replica.h
 *      REPLICATE: bring this node up to an object.
 *
 * (Dynamo 2007, section 4.5.)  OK only when what came is on disk, merged with
 * what was there.  Refused with NOT_OWNER by a node without a slot of the
 * partition; with hints, objects are kept for others (handoff.h), by who is no
 * owner.  FULL, OVERLOAD (room.h), BUILDING (the store is discarding), and what
 * replica_apply.h says: nothing was stored.
 *
 * A node brings itself up to what it has read from others in the same way:
 * requests without a route, whose parent hears of the outcome.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_REPLICA_H
#define DYN_CORE_REPLICA_H

#include "core/key_table.h"
#include "core/request.h"

struct dyn_replica_op
{
	struct dyn_slice key;
	struct dyn_slice object;
	struct dyn_request_id *ids;
	uint32_t id_count;
	uint32_t sent_count; /* of them: with the frame */
	uint64_t *marks;     /* of these (remember.h) */
	uint64_t fence;      /* its mark (fence.h) */
	uint8_t hint_slots;  /* kept for these slots, whose owners are away */
	bool repair;
	bool fill; /* of another owner's records, as they are now */
	bool decided;
	enum dyn_status status;
};

extern const struct dyn_request_kind dyn_replicate_kind;

void dyn_replica_begin(struct dyn_node *node, struct dyn_request *request,
					   const Dyn__ReplicateRequest *message);

/* Read repair of this node's own record. */
void dyn_replica_repair_self(struct dyn_node *node, struct dyn_slice bucket,
							 struct dyn_slice key, struct dyn_slice object,
							 uint64_t fence);

/* The same for an operation of a REPAIR, which hears of the outcome. */
void dyn_replica_repair_for(struct dyn_node *node,
							const struct dyn_request *repair, uint32_t op,
							struct dyn_slice key, struct dyn_slice object,
							uint64_t fence);

/* Objects of one bucket that another owner told: merged with what is here; the
 * FILL hears of the outcome once. */
struct dyn_fill_item
{
	struct dyn_slice key;
	struct dyn_slice object;
};

void dyn_replica_fill(struct dyn_node *node, const struct dyn_request *fill,
					  struct dyn_slice bucket,
					  const struct dyn_fill_item *items, uint32_t count);

/* ---- for replica_apply.c ---- */

void dyn_replica_decide(struct dyn_node *node, struct dyn_request *request,
						uint32_t op, enum dyn_status status);

/* All other owners have no record: a damaged one is to go. */
bool dyn_replica_removes_damaged(const struct dyn_replica_op *op);

#endif
