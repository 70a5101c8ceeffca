/*
 * The members' part of reaping: stamps and floors, what is held here, and its
 * end.
 */
#include "core/building.h"
#include "core/cluster.h"
#include "core/commit.h"
#include "core/handoff.h"
#include "core/key_table.h"
#include "core/load.h"
#include "core/outbox.h"
#include "core/prune.h"
#include "core/reap.h"
#include "core/request.h"
#include "core/room.h"
#include "model/hash.h"

/* A step of FENCE that waits for its commit. */
struct dyn_fencing
{
	uint64_t token;
	uint32_t *blocks; /* enum dyn_reap_block, by partition of the message */
};

/* An item of REAP. */
struct dyn_reap_op
{
	struct dyn_slice bucket;
	struct dyn_slice key;
	uint16_t partition;
	const Dyn__ReapItem *item;
	enum dyn_status status;
};

static void
expire(struct dyn_node *node, struct dyn_request *request)
{
	dyn_request_end(node, request);
	if (request->parent == 0)
		return;
	if (request->kind == &dyn_fence_kind)
		dyn_reap_fenced(node, request->parent, request->parent_op, NULL);
	else
		dyn_reap_answered(node, request->parent, request->parent_op, NULL);
}

/* ------------------------------------------------------------------ fences */

/* A member, who speaks to this process and no earlier one. */
static enum dyn_status
check_asker(const struct dyn_node *node, const struct dyn_node_id *asker,
			uint64_t process)
{
	if (dyn_ring_member(&node->cluster.ring, asker) == NULL)
		return DYN_STATUS_NOT_AUTH;
	return process == node->start_id ? DYN_STATUS_OK : DYN_STATUS_NOT_READY;
}

static bool
is_sound(const struct dyn_node *node, const Dyn__FenceRequest *message)
{
	if (message->step >= DYN_FENCE_STEP_COUNT || message->n_partitions == 0 ||
		message->n_partitions != message->n_fences)
		return false;
	for (size_t i = 0; i < message->n_partitions; i++)
		if (message->partitions[i] >= node->cluster.ring.partition_count ||
			(i > 0 && message->partitions[i] <= message->partitions[i - 1]) ||
			message->fences[i] == 0)
			return false;
	return true;
}

static void
answer_fence(struct dyn_node *node, struct dyn_request *request)
{
	const Dyn__FenceRequest *message = request->message;
	Dyn__FenceReply reply = DYN__FENCE_REPLY__INIT;

	reply.n_blocks = reply.n_stamps = message->n_partitions;
	reply.blocks = request->fencing->blocks;
	reply.stamps = dyn_arena_allocate(&request->arena,
									  reply.n_stamps * sizeof(*reply.stamps));
	for (size_t i = 0; i < reply.n_stamps; i++)
		reply.stamps[i] =
			dyn_fence_next(node, (uint16_t) message->partitions[i]) - 1;
	if (request->route != 0)
		dyn_outbox_reply(node, request->route, DYN_MESSAGE_FENCE_REPLY,
						 request->correlation, &reply.base);
	dyn_request_end(node, request);
	if (request->parent != 0)
		dyn_reap_fenced(node, request->parent, request->parent_op, &reply);
}

static enum dyn_reap_block
raise_stamp(struct dyn_node *node, uint16_t partition, uint64_t fence)
{
	if (!node->writable)
		return DYN_REAP_FULL;
	if (dyn_fence_is_behind(node, partition))
		return DYN_REAP_NOT_WHOLE;
	return dyn_fence_raise_stamp(node, partition, fence) ? DYN_REAP_DONE
														 : DYN_REAP_STAMPED;
}

static enum dyn_reap_block
drain(struct dyn_node *node, uint16_t partition, uint64_t fence,
	  uint64_t oldest)
{
	if (dyn_fence_stamp(node, partition) < fence)
		return DYN_REAP_STAMPED; /* not what it was when it said yes */
	return dyn_fence_is_drained(node, partition, oldest) ? DYN_REAP_DONE
														 : DYN_REAP_REQUESTS;
}

static enum dyn_reap_block
raise_floor(struct dyn_node *node, uint16_t partition, uint64_t fence,
			uint64_t oldest, const bool *held)
{
	enum dyn_reap_block block = drain(node, partition, fence, oldest);

	if (block != DYN_REAP_DONE)
		return block;
	if (!node->writable)
		return DYN_REAP_FULL;
	if (dyn_fence_is_behind(node, partition) ||
		!dyn_building_takes(node, partition))
		return DYN_REAP_NOT_WHOLE;
	if (dyn_cluster_own_slot(node, partition) < 0)
	{
		if (held[partition])
			return DYN_REAP_HINTS;
	}
	else if (!dyn_building_answers(node, partition))
		return DYN_REAP_NOT_WHOLE;
	dyn_fence_raise_floor(node, partition, fence);
	return DYN_REAP_DONE;
}

void
dyn_reap_take_fence(struct dyn_node *node, struct dyn_request *request,
					const struct dyn_node_id *asker,
					const Dyn__FenceRequest *message)
{
	struct dyn_fencing *self;
	uint64_t oldest = dyn_fence_oldest(node);
	const bool *held =
		message->step == DYN_FENCE_FLOOR ? dyn_handoff_held(node) : NULL;
	bool any = false;
	enum dyn_status status = check_asker(node, asker, message->process);

	if (!is_sound(node, message))
		status = DYN_STATUS_BAD_REQUEST;
	if (status != DYN_STATUS_OK)
	{
		dyn_request_refuse(node, request, status, dyn_status_text(status));
		return;
	}
	self = dyn_arena_allocate(&request->arena, sizeof(*self));
	self->token = 0;
	self->blocks = dyn_arena_allocate(
		&request->arena, message->n_partitions * sizeof(*self->blocks));
	request->fencing = self;
	for (size_t i = 0; i < message->n_partitions; i++)
	{
		uint16_t partition = (uint16_t) message->partitions[i];

		self->blocks[i] =
			message->step == DYN_FENCE_STAMP
				? raise_stamp(node, partition, message->fences[i])
			: message->step == DYN_FENCE_DRAIN
				? drain(node, partition, message->fences[i], oldest)
				: raise_floor(node, partition, message->fences[i], oldest,
							  held);
		any |= self->blocks[i] == DYN_REAP_DONE;
	}
	if (any && message->step != DYN_FENCE_DRAIN)
		self->token = dyn_fence_store(node);
	else
		answer_fence(node, request);
}

void
dyn_reap_stored(struct dyn_node *node, uint64_t token, enum dyn_status status)
{
	struct dyn_request *request;
	struct dyn_request *next;

	HASH_ITER(hh, node->requests, request, next)
	{
		const Dyn__FenceRequest *message = request->message;

		if (request->kind != &dyn_fence_kind ||
			request->fencing->token != token)
			continue;
		for (size_t i = 0; i < message->n_partitions; i++)
			if (status != DYN_STATUS_OK &&
				request->fencing->blocks[i] == DYN_REAP_DONE)
				request->fencing->blocks[i] = DYN_REAP_FULL;
		answer_fence(node, request);
	}
}

/* -------------------------------------------------------------------- REAP */

static void
answer_reap(struct dyn_node *node, struct dyn_request *request)
{
	Dyn__ReapReply reply = DYN__REAP_REPLY__INIT;

	reply.n_statuses = request->op_count;
	reply.statuses = dyn_arena_allocate(
		&request->arena, request->op_count * sizeof(*reply.statuses));
	for (uint32_t op = 0; op < request->op_count; op++)
		reply.statuses[op] = request->reaps[op].status;
	if (request->route != 0)
		dyn_outbox_reply(node, request->route, DYN_MESSAGE_REAP_REPLY,
						 request->correlation, &reply.base);
	dyn_request_end(node, request);
	if (request->parent != 0)
		dyn_reap_answered(node, request->parent, request->parent_op, &reply);
}

static void begin_op(struct dyn_node *node, struct dyn_request *request,
					 uint32_t op);

static void
decide(struct dyn_node *node, struct dyn_request *request, uint32_t op,
	   enum dyn_status status)
{
	request->reaps[op].status = status;
	if (--request->undecided == 0)
		answer_reap(node, request);
	else
		dyn_request_begin_some(node, request, begin_op);
}

static bool
is_prune(const struct dyn_reap_op *op)
{
	return op->item->n_actors != 0;
}

/* Of what has versions the object hash does not tell all: a context that
 * knows of one more delete must not go. */
static bool
is_by_bytes(const struct dyn_reap_op *op)
{
	return is_prune(op) || op->item->dies_at_ms != 0;
}

static void
begin_op(struct dyn_node *node, struct dyn_request *request, uint32_t i)
{
	const Dyn__ReapRequest *message = request->message;
	struct dyn_reap_op *op = &request->reaps[i];
	struct dyn_work work = { request->serial, i };

	if (dyn_cluster_own_slot(node, op->partition) < 0)
		decide(node, request, i, DYN_STATUS_NOT_OWNER);
	else if (!dyn_building_answers(node, op->partition))
		decide(node, request, i, DYN_STATUS_BUILDING);
	else if (message->step == DYN_REAP_ASK)
		dyn_load_read(node, op->bucket, op->key,
					  is_by_bytes(op) ? DYN_LOAD_OBJECT : DYN_LOAD_HASH, work,
					  0);
	else if (!node->writable)
		decide(node, request, i, DYN_STATUS_FULL);
	else if (!dyn_key_do(node, op->bucket, op->key, work))
		decide(node, request, i, DYN_STATUS_OVERLOAD);
}

static bool
take_items(struct dyn_node *node, struct dyn_request *request,
		   const Dyn__ReapRequest *message)
{
	struct dyn_slice bucket = { NULL, 0 };

	for (size_t i = 0; i < message->n_items; i++)
	{
		struct dyn_reap_op *op = &request->reaps[i];

		op->item = message->items[i];
		if (op->item->bucket.len != 0)
			bucket = dyn_slice_of_bytes(op->item->bucket);
		op->bucket = bucket;
		op->key = dyn_slice_of_bytes(op->item->key);
		if (dyn_bucket_check(bucket) != DYN_STATUS_OK ||
			dyn_key_check(op->key) != DYN_STATUS_OK ||
			op->item->n_actors > DYN_PRUNE_ACTORS_MAX)
			return false;
		op->partition = dyn_cluster_partition(
			node, dyn_hash_cell(dyn_hash_position(bucket, op->key)));
	}
	return true;
}

void
dyn_reap_take(struct dyn_node *node, struct dyn_request *request,
			  const struct dyn_node_id *asker, const Dyn__ReapRequest *message)
{
	uint32_t count = (uint32_t) message->n_items;
	enum dyn_status status = check_asker(node, asker, message->process);

	request->reaps =
		dyn_arena_allocate(&request->arena, count * sizeof(*request->reaps));
	if (count == 0 || message->step >= DYN_REAP_STEP_COUNT ||
		!take_items(node, request, message))
		status = DYN_STATUS_BAD_REQUEST;
	if (status != DYN_STATUS_OK)
	{
		dyn_request_refuse(node, request, status, dyn_status_text(status));
		return;
	}
	request->op_count = request->undecided = count;
	dyn_request_begin_some(node, request, begin_op);
}

static void
loaded(struct dyn_node *node, struct dyn_request *request, uint32_t i,
	   uint8_t slot, bool is_hint, const struct dyn_loaded *record)
{
	const struct dyn_reap_op *op = &request->reaps[i];
	uint64_t hash = record->hash;

	if (record->state != DYN_LOADED_FOUND)
	{
		decide(node, request, i,
			   record->state == DYN_LOADED_ABSENT ? DYN_STATUS_NOT_FOUND
												  : DYN_STATUS_CORRUPT);
		return;
	}
	if (is_by_bytes(op))
		hash = dyn_hash_bytes(record->object);
	if (hash != op->item->hash)
		decide(node, request, i, DYN_STATUS_CONFLICT);
	else if (!dyn_reap_is_due(node, record->held_at_ms) ||
			 dyn_skew_view_ms(node) < op->item->dies_at_ms)
		decide(node, request, i, DYN_STATUS_NOT_READY);
	else
		decide(node, request, i, DYN_STATUS_OK);
}

/* Is the key's object, on disk, still what all owners were asked about? */
static bool
is_same(const struct dyn_node *node, const struct dyn_reap_op *op,
		const struct dyn_key *key)
{
	if (op->item->fence == 0 ||
		op->item->fence > dyn_fence_floor(node, op->partition) ||
		!dyn_building_answers(node, op->partition) ||
		key->state != DYN_LOADED_FOUND || key->commit_count != 0)
		return false;
	return op->item->hash ==
		   (is_by_bytes(op) ? dyn_hash_bytes(key->object) : key->hash);
}

static enum dyn_status
make_value(struct dyn_node *node, const struct dyn_reap_op *op,
		   const struct dyn_key *key, struct dyn_key_value *value)
{
	const struct dyn_allocator *allocator = &node->scratch.allocator;
	struct dyn_actor *actors = dyn_arena_allocate(
		&node->scratch, op->item->n_actors * sizeof(*actors));
	struct dyn_object object;
	struct dyn_object pruned;

	if (dyn_object_decode(key->object, allocator, &object) != DYN_STATUS_OK)
		return DYN_STATUS_CORRUPT;
	if (!is_prune(op))
		return dyn_object_is_dead(&object, dyn_skew_view_ms(node))
				   ? DYN_STATUS_OK
				   : DYN_STATUS_CONFLICT;
	if (object.version_count == 0)
		return DYN_STATUS_CONFLICT;
	for (size_t i = 0; i < op->item->n_actors; i++)
		actors[i] = (struct dyn_actor){ op->item->actors[i]->start,
										op->item->actors[i]->epoch };
	if (dyn_prune(&object, actors, (uint32_t) op->item->n_actors, allocator,
				  &pruned) != DYN_STATUS_OK ||
		dyn_object_encode(&pruned, dyn_out_allocator(node), &value->object) !=
			DYN_STATUS_OK)
		return DYN_STATUS_NO_MEMORY;
	value->hash = key->hash;
	value->flags = dyn_key_flags(&pruned);
	return DYN_STATUS_OK;
}

static void
apply(struct dyn_node *node, struct dyn_request *request, uint32_t i,
	  struct dyn_key *key)
{
	const struct dyn_reap_op *op = &request->reaps[i];
	struct dyn_key_value value = { 0 };
	enum dyn_status status = DYN_STATUS_CONFLICT;

	if (is_same(node, op, key))
		status = make_value(node, op, key, &value);
	if (status == DYN_STATUS_OK && !dyn_room_for_object(node, key->object.size))
		status = DYN_STATUS_OVERLOAD;
	if (status != DYN_STATUS_OK)
	{
		decide(node, request, i, status);
		return;
	}
	if (dyn_commit_write(node, key, &value,
						 (struct dyn_work){ request->serial, i }))
		decide(node, request, i, DYN_STATUS_OK);
}

static void
committed(struct dyn_node *node, struct dyn_request *request, uint32_t i,
		  enum dyn_status status, bool carried)
{
	if (status == DYN_STATUS_OK && is_prune(&request->reaps[i]))
		dyn_count(node, pruned);
	else if (status == DYN_STATUS_OK)
		dyn_count(node, reaped);
	decide(node, request, i, status);
}

const struct dyn_request_kind dyn_fence_kind = {
	.name = "fence",
	.is_paged = true,
	.expire = expire,
};

const struct dyn_request_kind dyn_reap_kind = {
	.name = "reap",
	.expire = expire,
	.apply = apply,
	.committed = committed,
	.loaded = loaded,
};
