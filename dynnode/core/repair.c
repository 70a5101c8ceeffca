#include "core/repair.h"

#include "core/cluster.h"
#include "core/coord_get.h"
#include "core/exchange.h"
#include "core/load.h"
#include "core/outbox.h"
#include "core/peer.h"
#include "core/replica.h"
#include "core/room.h"
#include "model/hash.h"

#include <string.h>

static const struct dyn_request_kind repair_kind;

/* One of the two replicas, as far as one key is concerned. */
struct side
{
	bool heard;
	bool sends; /* the merged object is on its way there */
	uint64_t listed_hash;
	uint64_t hash; /* 0 = no record */
	struct dyn_slice object;
};

struct dyn_repair_op
{
	struct dyn_slice key;
	struct side own;
	struct side peer;
	bool failed;
	bool left; /* for want of credit */
	struct dyn_slice merged;
};

struct dyn_repair
{
	uint64_t for_serial; /* who hears of the outcome */
	uint32_t peer_index;
	uint32_t waiting; /* answers */
	bool sending;     /* the second half */
	uint64_t pulling; /* bytes: of the own budget */
	uint64_t pushing; /* bytes: of the peer's grant */
	struct dyn_repair_outcome outcome;
	struct dyn_repair_op *ops;
};

/* ------------------------------------------------------------------- end */

static void
finish(struct dyn_node *node, struct dyn_request *request)
{
	struct dyn_repair *self = request->repair;
	struct dyn_repair_outcome *outcome = &self->outcome;

	for (uint32_t op = 0; op < request->op_count; op++)
	{
		const struct dyn_repair_op *key = &self->ops[op];

		if (key->left)
			outcome->left |= UINT64_C(1) << op;
		else
			outcome->repaired +=
				self->sending && !key->failed && key->merged.size != 0;
	}
	dyn_credit_pulled(node, self->pulling);
	dyn_credit_sent(node->peers[self->peer_index], self->pushing);
	dyn_exchange_repaired(node, self->for_serial, outcome);
	dyn_request_end(node, request);
}

static void
fail(struct dyn_repair *self, uint32_t op, enum dyn_status status)
{
	self->ops[op].failed = true;
	self->outcome.status =
		status != DYN_STATUS_OK ? status : DYN_STATUS_NO_QUORUM;
}

static void
expire(struct dyn_node *node, struct dyn_request *request)
{
	for (uint32_t op = 0; op < request->op_count; op++)
	{
		struct dyn_repair_op *self = &request->repair->ops[op];

		if (!self->own.heard || !self->peer.heard || self->own.sends ||
			self->peer.sends)
			fail(request->repair, op, DYN_STATUS_TIMEOUT);
	}
	finish(node, request);
}

/* ----------------------------------------------------------------- sending */

static void
answered(struct dyn_node *node, struct dyn_request *request)
{
	if (--request->repair->waiting == 0)
		finish(node, request);
}

static void
replicated(struct dyn_node *node, struct dyn_request *request,
		   const struct dyn_call_item *item, bool lost, enum dyn_status status)
{
	uint32_t op = item->op;

	if (lost && status == DYN_STATUS_OK)
		status = DYN_STATUS_NO_QUORUM;
	if (status != DYN_STATUS_OK)
		fail(request->repair, op, status);
	request->repair->ops[op].peer.sends = false;
	answered(node, request);
}

static void
child_done(struct dyn_node *node, struct dyn_request *request,
		   struct dyn_request *child)
{
	uint32_t op = child->parent_op;
	enum dyn_status status = child->replicas[0].status;

	if (status != DYN_STATUS_OK)
		fail(request->repair, op, status);
	request->repair->ops[op].own.sends = false;
	answered(node, request);
}

static uint64_t
fence_of(const struct dyn_node *node, const struct dyn_request *request,
		 uint32_t op)
{
	uint16_t cell = dyn_hash_cell(
		dyn_hash_position(request->bucket, request->repair->ops[op].key));

	return dyn_fence_birth(node, request->serial,
						   dyn_cluster_partition(node, cell));
}

/* A frame of what the peer lacks, from this operation on; the first one that
 * did not fit. */
static uint32_t
send_to_peer(struct dyn_node *node, struct dyn_request *request, uint32_t first)
{
	struct dyn_repair *self = request->repair;
	struct dyn_call *call =
		dyn_call_new(node, self->peer_index, &dyn_replicate_call);
	uint32_t op;
	size_t bytes = 0;
	Dyn__ReplicateRequest message = DYN__REPLICATE_REQUEST__INIT;
	Dyn__ReplicateOp *ops =
		dyn_arena_allocate(&node->scratch, request->op_count * sizeof(*ops));

	message.bucket = dyn_bytes_of_slice(request->bucket);
	message.repair = true;
	message.ops = dyn_arena_allocate(&node->scratch,
									 request->op_count * sizeof(*message.ops));
	for (op = first; op < request->op_count && bytes < DYN_BATCH_BYTES_MAX;
		 op++)
	{
		Dyn__ReplicateOp *to = &ops[message.n_ops];
		struct dyn_call_item item = { .serial = request->serial,
									  .op = op,
									  .deadline_ms = request->deadline_ms };

		if (!self->ops[op].peer.sends)
			continue;
		if (bytes + self->ops[op].merged.size > DYN_BATCH_BYTES_MAX &&
			bytes != 0)
			break;
		bytes += self->ops[op].merged.size;
		dyn__replicate_op__init(to);
		to->key = dyn_bytes_of_slice(self->ops[op].key);
		to->object = dyn_bytes_of_slice(self->ops[op].merged);
		to->fence = fence_of(node, request, op);
		self->outcome.bytes += to->object.len;
		message.ops[message.n_ops++] = to;
		dyn_call_add(call, &item);
		dyn_count(node, repairs_sent);
	}
	dyn_outbox_send(node, self->peer_index, DYN_MESSAGE_REPLICATE,
					call->correlation, dyn_request_remaining_ms(node, request),
					&message.base);
	dyn_call_await(node, call);
	while (op < request->op_count && !self->ops[op].peer.sends)
		op++;
	return op;
}

static void
keep(struct dyn_node *node, struct dyn_request *request, uint32_t op)
{
	dyn_count(node, repairs_sent);
	dyn_replica_repair_for(node, request, op, request->repair->ops[op].key,
						   request->repair->ops[op].merged,
						   fence_of(node, request, op));
}

static void
leave(struct dyn_repair_op *self)
{
	self->left = true;
	self->own.sends = self->peer.sends = false;
}

/* No more leaves for the peer than it granted, but for one large object. */
static void
keep_to_credit(struct dyn_node *node, struct dyn_request *request)
{
	struct dyn_repair *self = request->repair;
	struct dyn_peer *peer = node->peers[self->peer_index];
	uint64_t rest = dyn_credit_may_send(peer);
	bool alone = peer->sending == 0 && peer->credit != 0;

	for (uint32_t op = 0; op < request->op_count; op++)
	{
		uint64_t size = self->ops[op].key.size + self->ops[op].merged.size;

		if (!self->ops[op].peer.sends)
			continue;
		if (self->pushing + size <= rest || (alone && self->pushing == 0))
			self->pushing += size;
		else
			leave(&self->ops[op]);
	}
	if (self->pushing != 0)
		dyn_credit_send(node, peer, self->pushing);
}

static void
send(struct dyn_node *node, struct dyn_request *request)
{
	struct dyn_repair *self = request->repair;
	bool peer = false;

	self->sending = true;
	keep_to_credit(node, request);
	for (uint32_t op = 0; op < request->op_count; op++)
	{
		self->waiting += self->ops[op].own.sends + self->ops[op].peer.sends;
		peer |= self->ops[op].peer.sends;
	}
	if (self->waiting == 0)
	{
		finish(node, request);
		return;
	}
	/* An answer may come at once: nobody finishes before all have left. */
	self->waiting++;
	for (uint32_t op = 0; peer && op < request->op_count;)
		op = send_to_peer(node, request, op);
	for (uint32_t op = 0; op < request->op_count; op++)
		if (self->ops[op].own.sends)
			keep(node, request, op);
	answered(node, request);
}

/* ----------------------------------------------------------------- reading */

/* What both know together, encoded. */
static enum dyn_status
merge(struct dyn_node *node, struct dyn_request *request,
	  struct dyn_repair_op *op)
{
	const struct dyn_allocator *scratch = &node->scratch.allocator;
	struct dyn_object own = { 0 };
	struct dyn_object peer = { 0 };
	struct dyn_object merged;
	enum dyn_status status = DYN_STATUS_OK;

	if (op->own.object.size != 0)
		status = dyn_object_decode(op->own.object, scratch, &own);
	if (status == DYN_STATUS_OK && op->peer.object.size != 0)
		status = dyn_object_decode(op->peer.object, scratch, &peer);
	if (status == DYN_STATUS_OK)
		status = dyn_object_sync(&own, &peer, scratch, &merged);
	if (status == DYN_STATUS_OK)
		status =
			dyn_object_encode(&merged, &request->arena.allocator, &op->merged);
	return status;
}

/* Both sides have told: what is to be done about this key? */
static void
judge(struct dyn_node *node, struct dyn_request *request, uint32_t i)
{
	struct dyn_repair *self = request->repair;
	struct dyn_repair_op *op = &self->ops[i];
	enum dyn_status status;

	if (op->failed || op->left)
		return;
	if (op->own.hash == op->peer.hash)
	{
		self->outcome.equal++;
		return;
	}
	if (op->own.hash != op->own.listed_hash ||
		op->peer.hash != op->peer.listed_hash)
	{
		self->outcome.moved++;
		return;
	}
	status = merge(node, request, op);
	if (status == DYN_STATUS_OK && op->merged.size > DYN_RECORD_SIZE_MAX)
	{
		/* Each side keeps its own, until a write replaces both. */
		dyn_count(node, objects_too_large);
		fail(self, i, DYN_STATUS_TOO_LARGE);
		op->merged = (struct dyn_slice){ NULL, 0 };
		return;
	}
	if (status != DYN_STATUS_OK)
	{
		dyn_count(node, replies_bad);
		fail(self, i, DYN_STATUS_BAD_REQUEST);
		op->merged = (struct dyn_slice){ NULL, 0 };
		return;
	}
	op->own.sends = !dyn_slice_equal(op->merged, op->own.object);
	op->peer.sends = !dyn_slice_equal(op->merged, op->peer.object);
}

static void
heard(struct dyn_node *node, struct dyn_request *request)
{
	if (--request->repair->waiting != 0)
		return;
	for (uint32_t op = 0; op < request->op_count; op++)
		judge(node, request, op);
	send(node, request);
}

static void
loaded(struct dyn_node *node, struct dyn_request *request, uint32_t op,
	   uint8_t slot, bool is_hint, const struct dyn_loaded *record)
{
	struct side *own = &request->repair->ops[op].own;

	own->heard = true;
	if (record->state == DYN_LOADED_FOUND &&
		!dyn_room_for_collected(node, record->object.size))
		leave(&request->repair->ops[op]);
	else if (record->state == DYN_LOADED_FOUND)
	{
		own->hash = record->hash;
		own->object = dyn_arena_copy(&request->arena, record->object);
	}
	else if (record->state != DYN_LOADED_ABSENT)
		fail(request->repair, op,
			 record->state != DYN_LOADED_IO_ERROR ? DYN_STATUS_CORRUPT
												  : DYN_STATUS_IO_ERROR);
	heard(node, request);
}

static void
read_answered(struct dyn_node *node, struct dyn_request *request,
			  const struct dyn_call_item *item, const Dyn__ReadResult *result,
			  enum dyn_status status)
{
	struct dyn_repair_op *self = &request->repair->ops[item->op];
	struct dyn_slice object = { NULL, 0 };

	self->peer.heard = true;
	if (result == NULL && status == DYN_STATUS_OK)
		status = DYN_STATUS_NO_QUORUM;
	if (result != NULL)
		object = dyn_slice_of_bytes(result->object);
	if (status == DYN_STATUS_OK && !dyn_room_for_collected(node, object.size))
		status = DYN_STATUS_TOO_LARGE;
	if (status == DYN_STATUS_OK && object.size != 0 && result->hash != 0)
	{
		self->peer.hash = result->hash;
		self->peer.object = dyn_arena_copy(&request->arena, object);
		request->repair->outcome.bytes += object.size;
	}
	/* Its answer was full, or there is no room for it here. */
	else if (status == DYN_STATUS_TOO_LARGE)
		leave(self);
	else if (status != DYN_STATUS_NOT_FOUND)
		fail(request->repair, item->op,
			 status == DYN_STATUS_OK ? DYN_STATUS_BAD_REQUEST : status);
	heard(node, request);
}

/* ------------------------------------------------------------------ begin */

void
dyn_repair_begin(struct dyn_node *node, uint64_t serial, uint32_t peer_index,
				 const struct dyn_repair_key *keys, uint32_t count)
{
	uint64_t bytes_max = dyn_credit_may_pull(node);
	struct dyn_request *request = dyn_request_new(node, &repair_kind, 0, NULL);
	struct dyn_repair *self =
		dyn_arena_allocate(&request->arena, sizeof(*self));

	memset(self, 0, sizeof(*self));
	self->for_serial = serial;
	self->peer_index = peer_index;
	self->outcome.count = count;
	self->waiting = 2 * count;
	self->pulling = bytes_max;
	dyn_credit_pull(node, bytes_max);
	self->ops = dyn_arena_allocate(&request->arena, count * sizeof(*self->ops));
	memset(self->ops, 0, count * sizeof(*self->ops));
	request->repair = self;
	request->bucket = dyn_arena_copy(&request->arena, keys[0].bucket);
	request->op_count = request->undecided = count;
	for (uint32_t op = 0; op < count; op++)
	{
		struct dyn_repair_op *to = &self->ops[op];
		struct dyn_call_item item = { .serial = request->serial,
									  .op = op,
									  .deadline_ms = request->deadline_ms };

		to->key = dyn_arena_copy(&request->arena, keys[op].key);
		to->own.listed_hash = keys[op].own_hash;
		to->peer.listed_hash = keys[op].peer_hash;
		dyn_load_read(node, request->bucket, to->key, DYN_LOAD_OBJECT,
					  (struct dyn_work){ request->serial, op }, 0);
		dyn_outbox_read_some(node, peer_index, request->bucket, to->key,
							 (uint32_t) bytes_max, &item);
	}
}

uint64_t
dyn_repair_mend(struct dyn_node *node, const struct dyn_repair_key *keys,
				uint32_t count)
{
	struct dyn_request *request = dyn_request_new(node, &dyn_get_kind, 0, NULL);
	struct dyn_arena *arena = &request->arena;
	Dyn__GetRequest *message = dyn_arena_allocate(arena, sizeof(*message));
	uint64_t serial = request->serial;

	dyn__get_request__init(message);
	message->bucket = dyn_bytes_of_slice(dyn_arena_copy(arena, keys[0].bucket));
	message->r = node->cluster.n;
	message->n_keys = count;
	message->keys = dyn_arena_allocate(arena, count * sizeof(*message->keys));
	for (uint32_t i = 0; i < count; i++)
		message->keys[i] =
			dyn_bytes_of_slice(dyn_arena_copy(arena, keys[i].key));
	request->message = message;
	dyn_get_begin(node, request, message);
	return serial;
}

static const struct dyn_request_kind repair_kind = {
	.name = "repair",
	.makes_objects = true,
	.expire = expire,
	.loaded = loaded,
	.read_answered = read_answered,
	.replicated = replicated,
	.child_done = child_done,
};
