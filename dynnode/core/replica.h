/*-------------------------------------------------------------------------
 *
 * replica.h
 *      What a node does as one of a key's owners, for whoever asks.
 *
 * READ tells this replica's own committed view; REPLICATE brings it up to an
 * object, and answers OK only when that is on disk.  Both are refused with
 * NOT_OWNER by a node without a slot of the partition.  With hints, both are
 * about what such a node keeps for others, and refused by owners.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_REPLICA_H
#define DYN_CORE_REPLICA_H

#include "core/key_table.h"
#include "core/request.h"

struct dyn_read_op
{
	struct dyn_slice key;
	bool decided;
	bool remembered;
	bool other; /* ... for another write */
	enum dyn_status status;
	uint64_t hash;
	uint64_t fence;          /* of hints: the floor when they were asked for */
	struct dyn_slice object; /* of this step, or in the request's arena */
};

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

void dyn_replica_read(struct dyn_node *node, struct dyn_request *request,
					  const Dyn__ReadRequest *message);
void dyn_replica_read_loaded(struct dyn_node *node, struct dyn_request *request,
							 uint32_t op, const struct dyn_loaded *record);

void dyn_replica_begin(struct dyn_node *node, struct dyn_request *request,
					   const Dyn__ReplicateRequest *message);
void dyn_replica_apply(struct dyn_node *node, struct dyn_request *request,
					   uint32_t op, struct dyn_key *key);
/* UNKNOWN: this commit was aborted, a later one holds the same versions. */
void dyn_replica_committed(struct dyn_node *node, struct dyn_request *request,
						   uint32_t op, enum dyn_status status);

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

#endif
