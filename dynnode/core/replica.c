#include "core/replica.h"

#include "core/bucket.h"
#include "core/cluster.h"
#include "core/handoff.h"
#include "core/outbox.h"
#include "core/replica_apply.h"
#include "model/hash.h"

#include <string.h>

/* ----------------------------------------------------------------- its end */

static void
answer_replicate(struct dyn_node *node, struct dyn_request *request)
{
	Dyn__ReplicateReply reply = DYN__REPLICATE_REPLY__INIT;
	struct dyn_request *parent = dyn_request_find(node, request->parent);

	if (parent != NULL)
		parent->kind->child_done(node, parent, request);
	if (request->route != 0)
	{
		reply.n_statuses = request->op_count;
		reply.statuses = dyn_arena_allocate(
			&request->arena, request->op_count * sizeof(*reply.statuses));
		for (uint32_t op = 0; op < request->op_count; op++)
			reply.statuses[op] = request->replicas[op].status;
		dyn_outbox_reply(node, request->route, DYN_MESSAGE_REPLICATE_REPLY,
						 request->correlation, &reply.base);
	}
	dyn_request_end(node, request);
}

void
dyn_replica_decide(struct dyn_node *node, struct dyn_request *request,
				   uint32_t op, enum dyn_status status)
{
	struct dyn_replica_op *self = &request->replicas[op];

	if (self->decided)
		return;
	self->decided = true;
	self->status = status;
	if (status == DYN_STATUS_OK && self->repair)
		dyn_count(node, repairs_applied);
	if (status == DYN_STATUS_OK && self->hint_slots != 0)
		dyn_count(node, hints_written);
	if (--request->undecided == 0)
		answer_replicate(node, request);
}

/* UNKNOWN: this commit was aborted, a later one holds the same versions. */
static void
committed(struct dyn_node *node, struct dyn_request *request, uint32_t op,
		  enum dyn_status status, bool carried)
{
	if (carried && status != DYN_STATUS_OK)
		status = DYN_STATUS_UNKNOWN;
	dyn_replica_decide(node, request, op, status);
}

/* -------------------------------------------------------------- its begin */

/* All other owners have no record: a damaged one is to go. */
bool
dyn_replica_removes_damaged(const struct dyn_replica_op *op)
{
	return op->object.size == 0 && op->repair && op->hint_slots == 0;
}

static bool
take_op(struct dyn_request *request, const Dyn__ReplicateOp *message,
		const Dyn__ReplicateRequest *frame, struct dyn_replica_op *op)
{
	op->key = dyn_slice_of_bytes(message->key);
	op->object = dyn_slice_of_bytes(message->object);
	op->repair = frame->repair;
	op->hint_slots = (uint8_t) frame->hint_slots;
	op->fence = message->fence;
	op->id_count = op->sent_count = (uint32_t) message->n_request_ids;
	op->ids =
		dyn_arena_allocate(&request->arena, op->id_count * sizeof(*op->ids));
	for (uint32_t i = 0; i < op->id_count; i++)
		if (!dyn_request_id_of_bytes(message->request_ids[i], &op->ids[i]))
			return false;
	return dyn_key_check(op->key) == DYN_STATUS_OK &&
		   (op->object.size != 0 || dyn_replica_removes_damaged(op));
}

static void
begin_replicate_op(struct dyn_node *node, struct dyn_request *request,
				   uint32_t i)
{
	struct dyn_replica_op *op = &request->replicas[i];
	uint16_t partition = dyn_cluster_partition(
		node, dyn_hash_cell(dyn_hash_position(request->bucket, op->key)));

	/* Who owns a slot keeps no hint for another: that would be one node
	 * counted for two. */
	if ((dyn_cluster_own_slot(node, partition) >= 0) == (op->hint_slots != 0))
		dyn_replica_decide(node, request, i, DYN_STATUS_NOT_OWNER);
	else if (!dyn_building_takes(node, partition))
		dyn_replica_decide(node, request, i, DYN_STATUS_BUILDING);
	else if (!node->writable)
		dyn_replica_decide(node, request, i, DYN_STATUS_FULL);
	else if (!dyn_key_do(node, request->bucket, op->key,
						 (struct dyn_work){ request->serial, i }))
	{
		dyn_count(node, overloads);
		dyn_replica_decide(node, request, i, DYN_STATUS_OVERLOAD);
	}
}

void
dyn_replica_begin(struct dyn_node *node, struct dyn_request *request,
				  const Dyn__ReplicateRequest *message)
{
	uint32_t count = (uint32_t) message->n_ops;

	request->bucket = dyn_slice_of_bytes(message->bucket);
	if (count == 0 || dyn_bucket_check(request->bucket) != DYN_STATUS_OK ||
		message->hint_slots >> node->cluster.n != 0)
	{
		dyn_request_refuse(node, request, DYN_STATUS_BAD_REQUEST,
						   "no operations, not a bucket's name, or hints for "
						   "slots that do not exist");
		return;
	}
	request->op_count = request->undecided = count;
	if (message->background || message->repair)
	{
		request->background_bytes = request->bytes;
		dyn_credit_arrived(node, request->bytes);
	}
	request->replicas =
		dyn_arena_allocate(&request->arena, count * sizeof(*request->replicas));
	memset(request->replicas, 0, count * sizeof(*request->replicas));
	node->counters[DYN_COUNT_replicate_ops] += count;
	for (uint32_t i = 0; i < count; i++)
	{
		if (!take_op(request, message->ops[i], message, &request->replicas[i]))
			dyn_replica_decide(node, request, i, DYN_STATUS_BAD_REQUEST);
		else
			begin_replicate_op(node, request, i);
	}
}

/* ---------------------------------------------------------- the node's own */

static void
repair_own(struct dyn_node *node, struct dyn_request *request,
		   struct dyn_slice bucket, struct dyn_slice key,
		   struct dyn_slice object, uint64_t fence)
{
	struct dyn_replica_op *op =
		dyn_arena_allocate(&request->arena, sizeof(*op));

	*op = (struct dyn_replica_op){ .repair = true, .fence = fence };
	op->key = dyn_arena_copy(&request->arena, key);
	op->object = dyn_arena_copy(&request->arena, object);
	request->bucket = dyn_arena_copy(&request->arena, bucket);
	request->op_count = request->undecided = 1;
	request->replicas = op;
	begin_replicate_op(node, request, 0);
}

void
dyn_replica_repair_self(struct dyn_node *node, struct dyn_slice bucket,
						struct dyn_slice key, struct dyn_slice object,
						uint64_t fence)
{
	repair_own(node, dyn_request_new(node, &dyn_replicate_kind, 0, NULL),
			   bucket, key, object, fence);
}

void
dyn_replica_repair_for(struct dyn_node *node, const struct dyn_request *repair,
					   uint32_t op, struct dyn_slice key,
					   struct dyn_slice object, uint64_t fence)
{
	struct dyn_request *request =
		dyn_request_new(node, &dyn_replicate_kind, 0, NULL);

	request->parent = repair->serial;
	request->parent_op = op;
	repair_own(node, request, repair->bucket, key, object, fence);
}

void
dyn_replica_fill(struct dyn_node *node, const struct dyn_request *fill,
				 struct dyn_slice bucket, const struct dyn_fill_item *items,
				 uint32_t count)
{
	struct dyn_request *request =
		dyn_request_new(node, &dyn_replicate_kind, 0, NULL);
	struct dyn_arena *arena = &request->arena;
	struct dyn_replica_op *ops =
		dyn_arena_allocate(arena, count * sizeof(*ops));

	request->parent = fill->serial;
	request->bucket = dyn_arena_copy(arena, bucket);
	request->op_count = request->undecided = count;
	request->replicas = ops;
	for (uint32_t i = 0; i < count; i++)
		ops[i] = (struct dyn_replica_op){
			.fill = true,
			.key = dyn_arena_copy(arena, items[i].key),
			.object = dyn_arena_copy(arena, items[i].object)
		};
	for (uint32_t i = 0; i < count; i++)
		begin_replicate_op(node, request, i);
}

const struct dyn_request_kind dyn_replicate_kind = {
	.name = "replicate",
	.is_owed = true,
	.apply = dyn_replica_apply,
	.committed = committed,
};
