#include "core/outbox.h"

#include "core/peer.h"
#include "core/request.h"

#include <string.h>

/* What one frame says once for all its operations. */
struct dyn_batch_kind
{
	bool repair;           /* REPLICATE */
	uint8_t hint_slots;    /* REPLICATE */
	bool background;       /* REPLICATE */
	bool hints;            /* READ */
	uint32_t bytes_max;    /* READ */
	bool stand_in;         /* PUT */
	uint32_t w;            /* PUT */
	uint64_t act_until_ms; /* PUT: by this node's time */
};

/* Operations for one peer, to leave in one frame. */
struct dyn_batch
{
	uint32_t peer_index;
	enum dyn_message_type type; /* REPLICATE, READ, PUT */
	struct dyn_batch_kind kind;
	struct dyn_slice bucket;
	size_t bytes;
	uint32_t count;
	uint32_t capacity;
	struct dyn_batch_op *ops;
	struct dyn_call *call; /* NULL for repairs */
};

struct dyn_batch_op
{
	struct dyn_slice key;
	struct dyn_slice object;
	uint64_t fence;
	const struct dyn_request_id *request_id; /* NULL = none */
	uint64_t mark;                           /* of the request: READ */
	const struct dyn_request_id *replaced;   /* REPLICATE: more ids */
	uint32_t replaced_count;
	const Dyn__PutOp *put;
};

/* ---------------------------------------------------------------- frames */

static enum dyn_status
pack(struct dyn_node *node, enum dyn_message_type type, uint64_t correlation,
	 uint32_t remaining_ms, const ProtobufCMessage *body,
	 struct dyn_slice *frame)
{
	struct dyn_envelope env = { .version = DYN_PROTOCOL_VERSION,
								.type = type,
								.remaining_ms = remaining_ms,
								.correlation = correlation,
								.sender = node->id };

	if (node->cluster.formed)
		env.cluster = node->cluster.tag;
	return dyn_message_pack(&env, body, dyn_out_allocator(node), frame);
}

/* A frame that cannot leave: somebody waits for it in vain. */
static void
note_too_large(struct dyn_node *node)
{
	uint64_t count = ++node->counters[DYN_COUNT_frames_too_large];

	/* The first one, and then ever more rarely. */
	if ((count & (count - 1)) == 0)
		dyn_log(node, DYN_LOG_ERROR,
				"a frame of more than 64 MiB could not be sent");
}

void
dyn_outbox_send(struct dyn_node *node, uint32_t peer_index,
				enum dyn_message_type type, uint64_t correlation,
				uint32_t remaining_ms, const ProtobufCMessage *body)
{
	struct dyn_effect *effect;
	struct dyn_slice frame;

	if (pack(node, type, correlation, remaining_ms, body, &frame) !=
		DYN_STATUS_OK)
	{
		note_too_large(node);
		return;
	}
	effect = dyn_effects_add(node->out, DYN_EFFECT_SEND);
	effect->send.peer_index = peer_index;
	effect->send.frame = frame;
	effect->send.plane =
		type == DYN_MESSAGE_HELLO || type == DYN_MESSAGE_FORM ||
				type == DYN_MESSAGE_FENCE || type == DYN_MESSAGE_HEARTBEAT
			? DYN_PLANE_CONTROL
			: DYN_PLANE_DATA;
}

bool
dyn_outbox_reply(struct dyn_node *node, uint64_t route,
				 enum dyn_message_type type, uint64_t correlation,
				 const ProtobufCMessage *body)
{
	struct dyn_effect *effect;
	struct dyn_slice frame;

	if (pack(node, type, correlation, 0, body, &frame) != DYN_STATUS_OK)
	{
		note_too_large(node);
		dyn_outbox_error(node, route, correlation, DYN_STATUS_TOO_LARGE,
						 "the answer is larger than a frame may be");
		return false;
	}
	effect = dyn_effects_add(node->out, DYN_EFFECT_REPLY);
	effect->reply.route = route;
	effect->reply.frame = frame;
	return true;
}

void
dyn_outbox_error(struct dyn_node *node, uint64_t route, uint64_t correlation,
				 enum dyn_status status, const char *text)
{
	Dyn__Error error = DYN__ERROR__INIT;

	error.status = status;
	error.text = (char *) text;
	error.version_min = error.version_max = DYN_PROTOCOL_VERSION;
	error.clock_ms = dyn_node_clock_ms(node);
	dyn_outbox_reply(node, route, DYN_MESSAGE_ERROR, correlation, &error.base);
}

/* --------------------------------------------------------------- batches */

static ProtobufCBinaryData *
bytes_array(struct dyn_node *node, uint32_t count)
{
	return dyn_arena_allocate(&node->scratch,
							  count * sizeof(ProtobufCBinaryData));
}

static struct dyn_slice
slice_of_request(const struct dyn_request_id *id)
{
	return id ? (struct dyn_slice){ id->bytes, sizeof(id->bytes) }
			  : (struct dyn_slice){ NULL, 0 };
}

/* Its own, then those of what it replaces. */
static void
list_ids(struct dyn_node *node, const struct dyn_batch_op *op,
		 Dyn__ReplicateOp *out)
{
	out->n_request_ids = 1 + op->replaced_count;
	out->request_ids = bytes_array(node, 1 + op->replaced_count);
	out->request_ids[0] = dyn_bytes_of_slice(slice_of_request(op->request_id));
	for (uint32_t i = 0; i < op->replaced_count; i++)
		out->request_ids[1 + i] =
			dyn_bytes_of_slice(slice_of_request(&op->replaced[i]));
}

static void
send_replicate(struct dyn_node *node, const struct dyn_batch *batch,
			   uint64_t correlation, uint32_t remaining_ms)
{
	Dyn__ReplicateRequest message = DYN__REPLICATE_REQUEST__INIT;
	Dyn__ReplicateOp *ops =
		dyn_arena_allocate(&node->scratch, batch->count * sizeof(*ops));

	message.bucket = dyn_bytes_of_slice(batch->bucket);
	message.repair = batch->kind.repair;
	message.hint_slots = batch->kind.hint_slots;
	message.background = batch->kind.background;
	message.n_ops = batch->count;
	message.ops =
		dyn_arena_allocate(&node->scratch, batch->count * sizeof(*message.ops));
	for (uint32_t i = 0; i < batch->count; i++)
	{
		const struct dyn_batch_op *op = &batch->ops[i];

		dyn__replicate_op__init(&ops[i]);
		ops[i].key = dyn_bytes_of_slice(op->key);
		ops[i].object = dyn_bytes_of_slice(op->object);
		ops[i].fence = op->fence;
		if (op->request_id != NULL)
			list_ids(node, op, &ops[i]);
		message.ops[i] = &ops[i];
	}
	dyn_outbox_send(node, batch->peer_index, batch->type, correlation,
					remaining_ms, &message.base);
}

static void
send_read(struct dyn_node *node, const struct dyn_batch *batch,
		  uint64_t correlation, uint32_t remaining_ms)
{
	Dyn__ReadRequest message = DYN__READ_REQUEST__INIT;
	bool ids = false;

	message.bucket = dyn_bytes_of_slice(batch->bucket);
	message.hints = batch->kind.hints;
	message.bytes_max = batch->kind.bytes_max;
	message.n_keys = batch->count;
	message.keys = bytes_array(node, batch->count);
	message.request_ids = bytes_array(node, batch->count);
	message.request_marks = dyn_arena_allocate(
		&node->scratch, batch->count * sizeof(*message.request_marks));
	for (uint32_t i = 0; i < batch->count; i++)
	{
		message.keys[i] = dyn_bytes_of_slice(batch->ops[i].key);
		message.request_ids[i] =
			dyn_bytes_of_slice(slice_of_request(batch->ops[i].request_id));
		message.request_marks[i] = batch->ops[i].mark;
		ids |= batch->ops[i].request_id != NULL;
	}
	message.n_request_ids = message.n_request_marks = ids ? batch->count : 0;
	dyn_outbox_send(node, batch->peer_index, batch->type, correlation,
					remaining_ms, &message.base);
}

/* Until when the peer may act, by its own clock: it is to begin only while
 * this node and its client wait.  Its WELCOME has told that clock. */
static void
set_bound(const struct dyn_node *node, const struct dyn_batch *batch,
		  Dyn__PutRequest *message)
{
	uint64_t clock_ms = dyn_peer_clock_ms(node, batch->peer_index);
	uint64_t until_ms = batch->kind.act_until_ms;

	if (clock_ms == 0)
		return;
	message->process = node->peers[batch->peer_index]->process;
	message->act_until_ms =
		clock_ms + (until_ms > node->now_ms ? until_ms - node->now_ms : 0);
}

static void
send_put(struct dyn_node *node, const struct dyn_batch *batch,
		 uint64_t correlation, uint32_t remaining_ms)
{
	Dyn__PutRequest message = DYN__PUT_REQUEST__INIT;

	message.bucket = dyn_bytes_of_slice(batch->bucket);
	message.w = batch->kind.w;
	message.stand_in = batch->kind.stand_in;
	message.hops = 1;
	set_bound(node, batch, &message);
	message.n_ops = batch->count;
	message.ops =
		dyn_arena_allocate(&node->scratch, batch->count * sizeof(*message.ops));
	for (uint32_t i = 0; i < batch->count; i++)
		message.ops[i] = (Dyn__PutOp *) batch->ops[i].put;
	dyn_outbox_send(node, batch->peer_index, batch->type, correlation,
					remaining_ms, &message.base);
}

static void
flush_batch(struct dyn_node *node, struct dyn_batch *batch)
{
	uint64_t correlation = batch->call ? batch->call->correlation : 0;
	uint32_t remaining_ms = node->config.request_timeout_ms;

	if (batch->call != NULL)
	{
		uint64_t until_ms = node->now_ms + 1;

		for (uint32_t i = 0; i < batch->call->item_count; i++)
			if (batch->call->items[i].deadline_ms > until_ms)
				until_ms = batch->call->items[i].deadline_ms;
		remaining_ms = (uint32_t) (until_ms - node->now_ms);
	}
	if (batch->type == DYN_MESSAGE_REPLICATE)
		send_replicate(node, batch, correlation, remaining_ms);
	else if (batch->type == DYN_MESSAGE_READ)
		send_read(node, batch, correlation, remaining_ms);
	else
		send_put(node, batch, correlation, remaining_ms);
	if (batch->call != NULL)
		dyn_call_await(node, batch->call);
	dyn_memory_give(batch->ops);
}

static bool
is_same_kind(const struct dyn_batch_kind *a, const struct dyn_batch_kind *b)
{
	return a->repair == b->repair && a->hint_slots == b->hint_slots &&
		   a->background == b->background && a->hints == b->hints &&
		   a->bytes_max == b->bytes_max && a->stand_in == b->stand_in &&
		   a->w == b->w && a->act_until_ms == b->act_until_ms;
}

static const struct dyn_call_kind *
kind_of_call(enum dyn_message_type type)
{
	if (type == DYN_MESSAGE_REPLICATE)
		return &dyn_replicate_call;
	return type == DYN_MESSAGE_READ ? &dyn_read_call : &dyn_put_call;
}

/* The batch under way for this peer and kind, with room for bytes more. */
static struct dyn_batch *
open_batch(struct dyn_node *node, uint32_t peer_index,
		   enum dyn_message_type type, struct dyn_batch_kind kind,
		   struct dyn_slice bucket, size_t bytes)
{
	struct dyn_batch *batch;

	for (uint32_t i = 0; i < node->batch_count; i++)
	{
		batch = &node->batches[i];
		if (batch->peer_index != peer_index || batch->type != type ||
			!is_same_kind(&batch->kind, &kind) ||
			!dyn_slice_equal(batch->bucket, bucket))
			continue;
		if (batch->count < DYN_BATCH_OPS_MAX &&
			batch->bytes + bytes <= DYN_BATCH_BYTES_MAX)
			return batch;
		flush_batch(node, batch);
		*batch = node->batches[--node->batch_count];
		break;
	}
	node->batches =
		dyn_memory_reserve(node->batches, node->batch_count,
						   &node->batch_capacity, sizeof(*node->batches));
	batch = &node->batches[node->batch_count++];
	*batch = (struct dyn_batch){
		.peer_index = peer_index, .type = type, .kind = kind, .bucket = bucket
	};
	if (!kind.repair)
		batch->call = dyn_call_new(node, peer_index, kind_of_call(type));
	return batch;
}

static void
add(struct dyn_batch *batch, const struct dyn_batch_op *op, size_t bytes,
	const struct dyn_call_item *item)
{
	batch->ops = dyn_memory_reserve(batch->ops, batch->count, &batch->capacity,
									sizeof(*batch->ops));
	batch->ops[batch->count++] = *op;
	batch->bytes += bytes;
	if (item != NULL)
		dyn_call_add(batch->call, item);
}

void
dyn_outbox_replicate(struct dyn_node *node, uint32_t peer_index,
					 struct dyn_slice bucket, struct dyn_slice key,
					 struct dyn_slice object, uint64_t fence,
					 const struct dyn_request_id *request_id,
					 const struct dyn_request_id *replaced,
					 uint32_t replaced_count, const struct dyn_call_item *item)
{
	size_t bytes =
		key.size + object.size + 40 + replaced_count * (sizeof(*replaced) + 2);
	struct dyn_batch_op op = { .key = key,
							   .object = object,
							   .fence = fence,
							   .request_id = request_id,
							   .replaced = replaced,
							   .replaced_count = replaced_count };

	/* A hint on its way home has no request id: it may be of many. */
	struct dyn_batch_kind kind = { .repair = item == NULL,
								   .background =
									   item != NULL && request_id == NULL };

	if (item != NULL && item->fallback)
		kind.hint_slots = (uint8_t) (1U << item->slot);
	add(open_batch(node, peer_index, DYN_MESSAGE_REPLICATE, kind, bucket,
				   bytes),
		&op, bytes, item);
}

static void
add_read(struct dyn_node *node, uint32_t peer_index, struct dyn_slice bucket,
		 struct dyn_slice key, const struct dyn_request_id *request_id,
		 uint64_t mark, struct dyn_batch_kind kind,
		 const struct dyn_call_item *item)
{
	size_t bytes = key.size + 24;
	struct dyn_batch_op op = { .key = key,
							   .request_id = request_id,
							   .mark = mark };

	add(open_batch(node, peer_index, DYN_MESSAGE_READ, kind, bucket, bytes),
		&op, bytes, item);
}

void
dyn_outbox_read(struct dyn_node *node, uint32_t peer_index,
				struct dyn_slice bucket, struct dyn_slice key,
				const struct dyn_request_id *request_id, uint64_t mark,
				const struct dyn_call_item *item)
{
	add_read(node, peer_index, bucket, key, request_id, mark,
			 (struct dyn_batch_kind){ .hints = item->fallback }, item);
}

void
dyn_outbox_read_some(struct dyn_node *node, uint32_t peer_index,
					 struct dyn_slice bucket, struct dyn_slice key,
					 uint32_t bytes_max, const struct dyn_call_item *item)
{
	add_read(node, peer_index, bucket, key, NULL, 0,
			 (struct dyn_batch_kind){ .bytes_max = bytes_max }, item);
}

void
dyn_outbox_forward(struct dyn_node *node, uint32_t peer_index,
				   struct dyn_slice bucket, uint32_t w, uint64_t act_until_ms,
				   const Dyn__PutOp *put, const struct dyn_call_item *item)
{
	size_t bytes = dyn__put_op__get_packed_size(put);
	struct dyn_batch_op op = { .put = put };

	struct dyn_batch_kind kind = { .w = w,
								   .stand_in = item->fallback,
								   .act_until_ms = act_until_ms };

	add(open_batch(node, peer_index, DYN_MESSAGE_PUT, kind, bucket, bytes), &op,
		bytes, item);
}

void
dyn_outbox_flush(struct dyn_node *node)
{
	for (uint32_t i = 0; i < node->batch_count; i++)
		flush_batch(node, &node->batches[i]);
	node->batch_count = 0;
}
