#include "core/coord_put.h"

#include "core/cluster.h"
#include "core/outbox.h"
#include "core/peer.h"
#include "core/receipt.h"
#include "model/hash.h"

#include <string.h>

/* ---------------------------------------------------------------- answers */

static void
fill_result(struct dyn_node *node, struct dyn_request *request, uint32_t op,
			Dyn__PutResult *result)
{
	const struct dyn_put_op *put = &request->puts[op];

	dyn__put_result__init(result);
	result->status = put->status;
	if (put->text != NULL)
		result->text = put->text;
	result->context = dyn_bytes_of_slice(put->result);
	if (put->receipt != NULL)
		result->receipt = (Dyn__Receipt *) put->receipt;
	else if (put->writes.needed != 0)
		result->receipt = dyn_receipt_make(node, &request->arena,
										   put->partition, &put->writes);
}

static void
answer(struct dyn_node *node, struct dyn_request *request)
{
	Dyn__PutReply reply = DYN__PUT_REPLY__INIT;
	Dyn__PutResult *results = dyn_arena_allocate(
		&request->arena, request->op_count * sizeof(*results));

	reply.n_results = request->op_count;
	reply.results = dyn_arena_allocate(
		&request->arena, request->op_count * sizeof(*reply.results));
	for (uint32_t op = 0; op < request->op_count; op++)
	{
		fill_result(node, request, op, &results[op]);
		reply.results[op] = &results[op];
	}
	reply.ring_digest = node->cluster.ring_digest;
	dyn_outbox_reply(node, request->route, DYN_MESSAGE_PUT_REPLY,
					 request->correlation, &reply.base);
	dyn_request_end(node, request);
}

static void
decide(struct dyn_node *node, struct dyn_request *request, uint32_t op,
	   enum dyn_status status, char *text)
{
	struct dyn_put_op *put = &request->puts[op];

	if (put->phase == DYN_PUT_DECIDED)
		return;
	put->phase = DYN_PUT_DECIDED;
	put->read.decided = true;
	put->status = status;
	put->text = text;
	if (status != DYN_STATUS_OK)
		put->result = (struct dyn_slice){ 0 };
	if (status == DYN_STATUS_UNKNOWN)
		dyn_count(node, put_ops_unknown);
	if (--request->undecided == 0)
		answer(node, request);
}

static char *
write_text(struct dyn_node *node, struct dyn_request *request,
		   const struct dyn_put_op *put)
{
	return dyn_receipt_text(node, &request->arena, put->partition,
							&put->writes);
}

/* Has the quorum of an operation in WRITING been decided? */
static void
decide_if_certain(struct dyn_node *node, struct dyn_request *request,
				  uint32_t op)
{
	struct dyn_put_op *put = &request->puts[op];

	if (put->phase != DYN_PUT_WRITING)
		return;
	switch (dyn_quorum_state(&put->writes))
	{
		case DYN_QUORUM_OPEN:
			break;
		case DYN_QUORUM_REACHED:
			decide(node, request, op, DYN_STATUS_OK, NULL);
			break;
		case DYN_QUORUM_IMPOSSIBLE:
			dyn_count(node, quorums_failed);
			if (put->maybe != 0)
				decide(node, request, op, DYN_STATUS_UNKNOWN,
					   write_text(node, request, put));
			else
				decide(node, request, op,
					   put->refusal != DYN_STATUS_OK ? put->refusal
													 : DYN_STATUS_NO_QUORUM,
					   write_text(node, request, put));
			break;
	}
}

/* ----------------------------------------------------------------- actors */

void
dyn_put_notice_amnesia(struct dyn_node *node, const struct dyn_clock *record,
					   const struct dyn_clock *other)
{
	struct dyn_actor actor;

	if (!dyn_clock_latest_actor(other, node->start_id, &actor))
		return;
	if (dyn_clock_covers(
			record, (struct dyn_dot){ actor, dyn_clock_counter(other, actor) }))
		return;
	dyn_count(node, amnesia);
	node->epoch_floor = node->epoch_next;
}

/*
 * Clocks come from clients too, and may claim anything of this process: an
 * epoch that was never given out is no actor to go on with, and one that
 * somebody claims before it was given out is passed over.
 */
static struct dyn_actor
choose_actor(struct dyn_node *node, const struct dyn_clock *record,
			 const struct dyn_clock *read, const struct dyn_clock *base)
{
	struct dyn_actor actor;

	if (dyn_clock_latest_actor(record, node->start_id, &actor) &&
		actor.epoch >= node->epoch_floor && actor.epoch < node->epoch_next &&
		dyn_clock_counter(record, actor) <= UINT64_MAX - DYN_VALUES_MAX)
		return actor;
	dyn_count(node, epochs);
	do
		actor = (struct dyn_actor){ node->start_id, node->epoch_next++ };
	while (dyn_clock_counter(record, actor) != 0 ||
		   dyn_clock_counter(read, actor) != 0 ||
		   dyn_clock_counter(base, actor) != 0);
	return actor;
}

/* ---------------------------------------------------------------- applying */

/* Can w owners be reached that take writes?  Otherwise nothing is begun, and
 * the quorum tells who is missing. */
static enum dyn_status
check_owners(const struct dyn_node *node, struct dyn_put_op *put)
{
	uint8_t reachable = (uint8_t) (1U << put->own_slot);
	uint8_t writable = reachable;

	for (uint8_t slot = 0; slot < node->cluster.n; slot++)
	{
		int32_t peer = dyn_cluster_owner(node, put->partition, slot);

		if (!dyn_peer_is_reachable(node, peer))
			continue;
		reachable |= (uint8_t) (1U << slot);
		if (node->peers[peer]->writable)
			writable |= (uint8_t) (1U << slot);
	}
	if (dyn_quorum_count(writable) >= put->writes.needed)
		return DYN_STATUS_OK;
	put->writes.yes = writable;
	put->writes.no = put->writes.all & (uint8_t) ~writable;
	return dyn_quorum_count(reachable) >= put->writes.needed
			   ? DYN_STATUS_FULL
			   : DYN_STATUS_NO_QUORUM;
}

/* Why the mode forbids the write on this object, or OK. */
static enum dyn_status
check_mode(const struct dyn_put_op *put, const struct dyn_object *object)
{
	if (put->message->mode == DYN__PUT_MODE__CREATE)
		return object->version_count != 0 ? DYN_STATUS_EXISTS : DYN_STATUS_OK;
	if (put->message->mode == DYN__PUT_MODE__GUARDED)
		for (uint32_t i = 0; i < object->version_count; i++)
			if (!dyn_clock_covers(&put->context, object->versions[i].dot))
				return DYN_STATUS_CONFLICT;
	return DYN_STATUS_OK;
}

/* The object after the update. Fails by the limits on what clients may put. */
static enum dyn_status
update(struct dyn_node *node, const struct dyn_put_op *put,
	   const struct dyn_clock *record, const struct dyn_object *base,
	   struct dyn_object *next)
{
	const struct dyn_allocator *allocator = &node->scratch.allocator;
	struct dyn_clock context = put->context;
	struct dyn_update change = { .request = put->id,
								 .context = &context,
								 .value_count =
									 (uint32_t) put->message->n_values,
								 .written_at_ms = node->wall_ms };
	struct dyn_slice *values = dyn_arena_allocate(
		&node->scratch, change.value_count * sizeof(*values));
	struct dyn_actor actor = { 0 };
	enum dyn_status status = DYN_STATUS_OK;

	for (uint32_t i = 0; i < change.value_count; i++)
		values[i] = dyn_slice_of_bytes(put->message->values[i]);
	change.values = values;
	if (put->message->mode == DYN__PUT_MODE__REPLACE)
		status = dyn_clock_union(&context, &base->context, allocator, &context);
	if (status != DYN_STATUS_OK)
		return status;
	if (change.value_count != 0)
	{
		dyn_put_notice_amnesia(node, record, &context);
		dyn_put_notice_amnesia(node, record, &base->context);
		actor = choose_actor(node, record, &context, &base->context);
	}
	status = dyn_object_put(base, &change, actor, allocator, next);
	if (status == DYN_STATUS_OK && next->version_count > DYN_SIBLINGS_MAX &&
		next->version_count > base->version_count)
	{
		dyn_count(node, siblings_refused);
		return DYN_STATUS_SIBLINGS;
	}
	if (next->version_count > DYN_SIBLINGS_WARN)
		dyn_count(node, siblings_many);
	return status;
}

/* The new object of the key, encoded, or why there is none. */
static enum dyn_status
compute(struct dyn_node *node, struct dyn_put_op *put,
		const struct dyn_key *key, struct dyn_object *next,
		struct dyn_slice *encoded, struct dyn_request_id **ids,
		uint32_t *id_count)
{
	const struct dyn_allocator *allocator = &node->scratch.allocator;
	struct dyn_object record = { 0 };
	struct dyn_object base;
	enum dyn_status status = DYN_STATUS_OK;

	if (key->object.size != 0)
		status = dyn_object_decode(key->object, allocator, &record);
	if (status != DYN_STATUS_OK)
		return DYN_STATUS_CORRUPT;
	base = record;
	if (put->read.quorum.needed != 0)
		status = dyn_object_sync(&record, &put->read_object, allocator, &base);
	if (status != DYN_STATUS_OK)
		return status;
	*ids = dyn_arena_allocate(&node->scratch,
							  (1 + base.version_count) * sizeof(**ids));
	(*ids)[0] = put->id;
	*id_count = 1 + dyn_remember_news(&record.context, &base, *ids + 1);
	*next = base;
	if (put->read.remembered || dyn_remember_knows(&node->remember, &put->id) ||
		dyn_object_has_request(&base, &put->id))
		dyn_count(node, put_ops_repeated);
	else
	{
		status = check_mode(put, &base);
		if (status == DYN_STATUS_OK)
			status = update(node, put, &record.context, &base, next);
		if (status != DYN_STATUS_OK)
			return status;
	}
	if (dyn_clock_is_empty(&next->context))
		return DYN_STATUS_OK;
	status = dyn_object_encode(next, dyn_out_allocator(node), encoded);
	if (status == DYN_STATUS_OK && encoded->size > DYN_OBJECT_SIZE_MAX &&
		encoded->size > key->object.size)
		return DYN_STATUS_TOO_LARGE;
	return status;
}

static void
replicate(struct dyn_node *node, struct dyn_request *request, uint32_t op,
		  struct dyn_slice encoded)
{
	struct dyn_put_op *put = &request->puts[op];

	for (uint8_t slot = 0; slot < node->cluster.n; slot++)
	{
		int32_t peer = dyn_cluster_owner(node, put->partition, slot);
		struct dyn_call_item item = { .serial = request->serial,
									  .op = op,
									  .slot = slot,
									  .deadline_ms = request->deadline_ms };

		if (slot == put->own_slot)
			continue;
		if (!dyn_peer_is_reachable(node, peer))
		{
			dyn_quorum_no(&put->writes, slot);
			continue;
		}
		dyn_outbox_replicate(node, (uint32_t) peer, request->bucket, put->key,
							 encoded, &put->id, &item);
		put->maybe |= (uint8_t) (1U << slot);
	}
}

static char *
refusal_text(enum dyn_status status)
{
	switch ((int) status)
	{
		case DYN_STATUS_EXISTS:
			return "the key has a live version";
		case DYN_STATUS_CONFLICT:
			return "a version exists that the writer's context does not cover";
		case DYN_STATUS_SIBLINGS:
			return "the key would have more than 100 siblings: read it and "
				   "reconcile them first";
		default:
			return (char *) dyn_status_text(status);
	}
}

void
dyn_put_apply(struct dyn_node *node, struct dyn_request *request, uint32_t op,
			  struct dyn_key *key)
{
	struct dyn_put_op *put = &request->puts[op];
	struct dyn_object next;
	struct dyn_slice encoded = { 0 };
	struct dyn_request_id *ids;
	uint32_t id_count;
	enum dyn_status status;

	if (put->phase != DYN_PUT_LOADING)
		return;
	if (key->state > DYN_LOADED_ABSENT)
	{
		status = key->state == DYN_LOADED_CORRUPT ? DYN_STATUS_CORRUPT
												  : DYN_STATUS_IO_ERROR;
		decide(node, request, op, status, refusal_text(status));
		return;
	}
	status = check_owners(node, put);
	if (status != DYN_STATUS_OK)
	{
		dyn_count(node, quorums_failed);
		decide(node, request, op, status, write_text(node, request, put));
		return;
	}
	status = compute(node, put, key, &next, &encoded, &ids, &id_count);
	if (status == DYN_STATUS_OK && encoded.size != 0)
	{
		struct dyn_slice context;

		status = dyn_clock_encode(&next.context, &request->arena.allocator,
								  &context);
		put->result = context;
	}
	if (status != DYN_STATUS_OK || encoded.size == 0)
	{
		/* An empty object: a delete of nothing, which is done. */
		decide(node, request, op, status,
			   status != DYN_STATUS_OK ? refusal_text(status) : NULL);
		return;
	}
	put->phase = DYN_PUT_WRITING;
	put->maybe = (uint8_t) (1U << put->own_slot);
	if (dyn_key_write(node, key, encoded, dyn_object_hash(&next, put->key),
					  (struct dyn_work){ request->serial, op }, ids, id_count))
		dyn_quorum_yes(&put->writes, put->own_slot);
	replicate(node, request, op, encoded);
	decide_if_certain(node, request, op);
}

void
dyn_put_committed(struct dyn_node *node, struct dyn_request *request,
				  uint32_t op, enum dyn_status status, bool carried)
{
	struct dyn_put_op *put = &request->puts[op];

	if (put->phase != DYN_PUT_WRITING)
		return;
	if (status == DYN_STATUS_OK)
		dyn_quorum_yes(&put->writes, put->own_slot);
	else
	{
		dyn_quorum_no(&put->writes, put->own_slot);
		put->refusal = status;
		if (!carried)
			put->maybe &= (uint8_t) ~(1U << put->own_slot);
	}
	decide_if_certain(node, request, op);
}

void
dyn_put_replica_answer(struct dyn_node *node, struct dyn_request *request,
					   uint32_t op, uint8_t slot, enum dyn_status status)
{
	struct dyn_put_op *put = &request->puts[op];

	if (put->phase != DYN_PUT_WRITING)
		return;
	if (status == DYN_STATUS_OK)
		dyn_quorum_yes(&put->writes, slot);
	else if (dyn_quorum_no(&put->writes, slot))
	{
		put->refusal = status;
		if (status != DYN_STATUS_UNKNOWN)
			put->maybe &= (uint8_t) ~(1U << slot);
	}
	decide_if_certain(node, request, op);
}

void
dyn_put_replica_lost(struct dyn_node *node, struct dyn_request *request,
					 uint32_t op, uint8_t slot, enum dyn_status status)
{
	dyn_put_replica_answer(node, request, op, slot,
						   status != DYN_STATUS_OK ? status
												   : DYN_STATUS_UNKNOWN);
}

/* ------------------------------------------------------------- forwarding */

static void
forward(struct dyn_node *node, struct dyn_request *request, uint32_t op,
		uint32_t w)
{
	struct dyn_put_op *put = &request->puts[op];
	int32_t best = DYN_PEER_NONE;

	for (uint8_t slot = 0; slot < node->cluster.n; slot++)
	{
		int32_t peer = dyn_cluster_owner(node, put->partition, slot);

		if (dyn_peer_is_reachable(node, peer) &&
			(best < 0 || !node->peers[best]->writable))
			best = peer;
	}
	if (best < 0)
	{
		dyn_count(node, quorums_failed);
		put->writes.no = put->writes.all;
		decide(node, request, op, DYN_STATUS_NO_QUORUM,
			   write_text(node, request, put));
		return;
	}
	dyn_count(node, put_ops_forwarded);
	put->phase = DYN_PUT_FORWARDED;
	dyn_outbox_forward(
		node, (uint32_t) best, request->bucket, w, put->message,
		&(struct dyn_call_item){ .serial = request->serial,
								 .op = op,
								 .deadline_ms = request->deadline_ms });
}

void
dyn_put_forward_answer(struct dyn_node *node, struct dyn_request *request,
					   uint32_t op, const Dyn__PutResult *result)
{
	struct dyn_put_op *put = &request->puts[op];
	struct dyn_arena *arena = &request->arena;
	Dyn__Receipt *receipt;

	if (put->phase != DYN_PUT_FORWARDED)
		return;
	put->result = dyn_arena_copy(arena, dyn_slice_of_bytes(result->context));
	put->writes.needed = 0; /* the receipt is the coordinator's */
	if (result->receipt != NULL)
	{
		size_t size = dyn__receipt__get_packed_size(result->receipt);
		uint8_t *bytes = dyn_arena_allocate(arena, size + 1);
		ProtobufCAllocator allocator = { arena->allocator.allocate,
										 arena->allocator.release,
										 arena->allocator.context };

		dyn__receipt__pack(result->receipt, bytes);
		receipt = dyn__receipt__unpack(&allocator, size, bytes);
		put->receipt = receipt;
	}
	decide(node, request, op, (enum dyn_status) result->status,
		   dyn_receipt_say(arena, result->text));
}

void
dyn_put_forward_lost(struct dyn_node *node, struct dyn_request *request,
					 uint32_t op, enum dyn_status status)
{
	if (request->puts[op].phase == DYN_PUT_FORWARDED)
		decide(node, request, op,
			   status != DYN_STATUS_OK ? status : DYN_STATUS_UNKNOWN,
			   status != DYN_STATUS_OK
				   ? refusal_text(status)
				   : "the node it was forwarded to did not answer");
}

/* --------------------------------------------------------------- beginning */

static enum dyn_status
check_op(const struct dyn_node *node, struct dyn_request *request,
		 struct dyn_put_op *put, char **text)
{
	const Dyn__PutOp *message = put->message;
	enum dyn_status status = dyn_key_check(put->key);

	*text = "a key has 1 to 440 bytes";
	if (status != DYN_STATUS_OK)
		return status;
	*text = "a request id has 16 bytes, a put at most 64 values and a known "
			"mode";
	if (!dyn_request_id_of_bytes(message->request_id, &put->id) ||
		message->n_values > DYN_VALUES_MAX ||
		(unsigned) message->mode > DYN__PUT_MODE__GUARDED)
		return DYN_STATUS_BAD_REQUEST;
	*text = "a value is larger than the cluster allows";
	for (size_t i = 0; i < message->n_values; i++)
		if (message->values[i].len > node->cluster.value_size_max)
			return DYN_STATUS_TOO_LARGE;
	*text = "the context is malformed or has more than 256 entries";
	if (message->context.len != 0)
		status = dyn_clock_decode(dyn_slice_of_bytes(message->context), true,
								  &request->arena.allocator, &put->context);
	if (status != DYN_STATUS_OK)
		return status;
	*text = "a delete needs the context of what it deletes";
	if (message->n_values == 0 && dyn_clock_is_empty(&put->context) &&
		message->mode != DYN__PUT_MODE__REPLACE)
		return DYN_STATUS_BAD_REQUEST;
	return DYN_STATUS_OK;
}

static void
load(struct dyn_node *node, struct dyn_request *request, uint32_t op)
{
	struct dyn_put_op *put = &request->puts[op];

	put->phase = DYN_PUT_LOADING;
	if (dyn_key_do(node, request->bucket, put->key,
				   (struct dyn_work){ request->serial, op }))
		return;
	dyn_count(node, overloads);
	decide(node, request, op, DYN_STATUS_OVERLOAD,
		   "the node has too many keys in flight");
}

static void
begin_op(struct dyn_node *node, struct dyn_request *request, uint32_t op,
		 uint32_t w, bool forwarded)
{
	struct dyn_put_op *put = &request->puts[op];
	char *text;
	enum dyn_status status = check_op(node, request, put, &text);
	int own_slot;

	if (status != DYN_STATUS_OK)
	{
		decide(node, request, op, status, text);
		return;
	}
	put->partition = dyn_cluster_partition(
		node, dyn_hash_cell(dyn_hash_position(request->bucket, put->key)));
	own_slot = dyn_cluster_own_slot(node, put->partition);
	dyn_quorum_init(&put->writes, node->cluster.n, (uint8_t) w);
	if (own_slot < 0 || !node->writable)
	{
		if (!forwarded)
			forward(node, request, op, w);
		else
			decide(node, request, op,
				   own_slot < 0 ? DYN_STATUS_NOT_OWNER : DYN_STATUS_FULL,
				   own_slot < 0 ? "the node owns no replica of the key"
								: "the store is full and takes no writes");
		return;
	}
	put->own_slot = (uint8_t) own_slot;
	dyn_count(node, put_ops);
	if (put->message->mode == DYN__PUT_MODE__SIBLING && !put->message->retry)
	{
		load(node, request, op);
		return;
	}
	put->phase = DYN_PUT_READING;
	put->read.key = put->key;
	put->read.request_id = &put->id;
	dyn_read_begin(node, request, op, put->partition, node->cluster.r);
}

void
dyn_put_begin(struct dyn_node *node, struct dyn_request *request,
			  const Dyn__PutRequest *message)
{
	uint32_t count = (uint32_t) message->n_ops;
	uint32_t w = message->w ? message->w : node->cluster.w;

	request->bucket = dyn_slice_of_bytes(message->bucket);
	if (count == 0 || w > node->cluster.n ||
		dyn_bucket_check(request->bucket) != DYN_STATUS_OK)
	{
		dyn_request_refuse(node, request, DYN_STATUS_BAD_REQUEST,
						   "no operations, w greater than the cluster's n, or "
						   "not a bucket's name");
		return;
	}
	request->op_count = request->undecided = count;
	request->puts =
		dyn_arena_allocate(&request->arena, count * sizeof(*request->puts));
	memset(request->puts, 0, count * sizeof(*request->puts));
	for (uint32_t op = 0; op < count; op++)
	{
		request->puts[op].message = message->ops[op];
		request->puts[op].key = dyn_slice_of_bytes(message->ops[op]->key);
		request->puts[op].read.decided = true; /* until it begins */
	}
	for (uint32_t op = 0; op < count; op++)
	{
		request->puts[op].read.decided = false;
		begin_op(node, request, op, w, message->hops != 0);
	}
}

void
dyn_put_read(struct dyn_node *node, struct dyn_request *request, uint32_t op,
			 bool enough)
{
	struct dyn_put_op *put = &request->puts[op];
	struct dyn_slice merged;
	enum dyn_status status;

	if (put->phase != DYN_PUT_READING)
		return;
	if (!enough)
	{
		dyn_count(node, quorums_failed);
		decide(node, request, op, DYN_STATUS_NO_QUORUM,
			   dyn_receipt_text(node, &request->arena, put->partition,
								&put->read.quorum));
		return;
	}
	status = dyn_read_merge(request, &put->read, &merged);
	if (status == DYN_STATUS_OK && merged.size != 0)
		status = dyn_object_decode(merged, &request->arena.allocator,
								   &put->read_object);
	if (status != DYN_STATUS_OK)
		decide(node, request, op, DYN_STATUS_INTERNAL,
			   "an owner answered with a malformed object");
	else
		load(node, request, op);
}

void
dyn_put_expire(struct dyn_node *node, struct dyn_request *request)
{
	uint32_t count = request->op_count;

	for (uint32_t op = 0; op < count; op++)
	{
		struct dyn_put_op *put = &request->puts[op];

		if (put->phase == DYN_PUT_READING)
			decide(node, request, op, DYN_STATUS_TIMEOUT,
				   dyn_receipt_text(node, &request->arena, put->partition,
									&put->read.quorum));
		else if (put->phase == DYN_PUT_LOADING)
			decide(node, request, op, DYN_STATUS_TIMEOUT,
				   "the node's own store did not answer in time");
		else if (put->phase == DYN_PUT_FORWARDED)
			dyn_put_forward_lost(node, request, op, DYN_STATUS_OK);
		else if (put->phase != DYN_PUT_DECIDED)
			decide(node, request, op,
				   put->maybe != 0 ? DYN_STATUS_UNKNOWN : DYN_STATUS_TIMEOUT,
				   write_text(node, request, put));
	}
}
