#include "core/coord_put.h"

#include "core/bucket.h"
#include "core/cluster.h"
#include "core/outbox.h"
#include "core/peer.h"
#include "core/put_object.h"
#include "core/receipt.h"
#include "core/room.h"
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
	else if (put->writing.quorum.needed != 0)
		result->receipt =
			dyn_receipt_make(node, &request->arena, put->partition,
							 &put->writing.quorum, put->writing.by_fallback);
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
	reply.bucket_digest = node->bucket_digest;
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
	if (put->counted)
		dyn_room_end_put(node, put->begun_ms, put->held_bytes);
	put->counted = false;
	put->status = status;
	put->text = text;
	if (status != DYN_STATUS_OK)
		put->result = (struct dyn_slice){ 0 };
	if (status == DYN_STATUS_UNKNOWN)
		dyn_count(node, put_ops_unknown);
	if (--request->undecided == 0)
		answer(node, request);
}

/* Nothing of it has been sent. */
static void
refuse_for_now(struct dyn_node *node, struct dyn_request *request, uint32_t op)
{
	dyn_count(node, overloads);
	decide(node, request, op, DYN_STATUS_OVERLOAD,
		   "the node has too many writes in flight");
}

static char *
write_text(struct dyn_node *node, struct dyn_request *request,
		   const struct dyn_put_op *put)
{
	return dyn_receipt_text(node, &request->arena, put->partition,
							&put->writing.quorum);
}

void
dyn_put_written(struct dyn_node *node, struct dyn_request *request, uint32_t op)
{
	struct dyn_put_op *put = &request->puts[op];

	if (put->phase != DYN_PUT_WRITING)
		return;
	switch (dyn_quorum_state(&put->writing.quorum))
	{
		case DYN_QUORUM_OPEN:
			break;
		case DYN_QUORUM_REACHED:
			decide(node, request, op, DYN_STATUS_OK, NULL);
			break;
		case DYN_QUORUM_IMPOSSIBLE:
			dyn_count(node, quorums_failed);
			if (dyn_write_may_exist(&put->writing))
				decide(node, request, op, DYN_STATUS_UNKNOWN,
					   write_text(node, request, put));
			else
				decide(node, request, op,
					   put->writing.refusal != DYN_STATUS_OK
						   ? put->writing.refusal
						   : DYN_STATUS_NO_QUORUM,
					   write_text(node, request, put));
			break;
	}
}

/* ---------------------------------------------------------------- applying */

/* Was its request id used before, for another key or value?  It would be taken
 * for a retry, and be lost. */
static bool
is_other_write(struct dyn_node *node, const struct dyn_put_op *put,
			   const struct dyn_object *object)
{
	const Dyn__PutOp *message = put->message;
	bool found = false;

	if (put->read.other ||
		dyn_remember_is_other(&node->remember, &put->id, put->mark))
		return true;
	for (uint32_t v = 0; v < object->version_count; v++)
	{
		const struct dyn_version *version = &object->versions[v];

		if (dyn_request_id_compare(&version->request, &put->id) != 0)
			continue;
		found = true;
		if (message->n_values == 0 && version->value.size == 0)
			return false;
		for (size_t i = 0; i < message->n_values; i++)
			if (dyn_slice_equal(version->value,
								dyn_slice_of_bytes(message->values[i])))
				return false;
	}
	return found;
}

/* The new object of the key, encoded, or why there is none. */
static enum dyn_status
compute(struct dyn_node *node, const struct dyn_bucket *bucket,
		struct dyn_put_op *put, const struct dyn_key *key,
		struct dyn_object *next, struct dyn_slice *encoded,
		struct dyn_key_value *value)
{
	const struct dyn_allocator *allocator = &node->scratch.allocator;
	struct dyn_object record = { 0 };
	struct dyn_object base;
	struct dyn_request_id *ids;
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
	/* Whatever becomes of the put: a retry, too, brings what was read into the
	 * record, and the record may have forgotten more of it (reap.h). */
	dyn_put_notice_amnesia(node, &record.context, &base.context);
	ids = dyn_arena_allocate(&node->scratch,
							 (1 + base.version_count) * sizeof(*ids));
	ids[0] = put->id;
	value->ids = ids;
	value->id_count = 1 + dyn_remember_news(&record.context, &base, ids + 1);
	*next = base;
	if (is_other_write(node, put, &base))
	{
		put->reused = true;
		return DYN_STATUS_BAD_REQUEST;
	}
	if (put->read.remembered || dyn_remember_knows(&node->remember, &put->id) ||
		dyn_object_has_request(&base, &put->id))
		dyn_count(node, put_ops_repeated);
	else
	{
		status =
			dyn_put_object(node, bucket, put, &record.context, &base, next);
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

/* First learn what R owners know. */
static void
read_owners(struct dyn_node *node, struct dyn_request *request, uint32_t op)
{
	struct dyn_put_op *put = &request->puts[op];

	put->phase = DYN_PUT_READING;
	put->read.key = put->key;
	put->read.request_id = &put->id;
	put->read.request_mark = put->mark;
	/* What a check or a retry must know, only owners know for certain. */
	put->read.owners_only = !put->seeding;
	dyn_read_begin(node, request, op, put->partition,
				   (uint8_t) dyn_bucket_r(node, request->bucket, 0));
}

/*
 * Where the last write wins, a writer who has read something must win over it
 * and over all that it had won over: its stamp has to exceed what was read.
 * What the record does not know of it is asked of R owners, if so many can be
 * reached; a write is not refused for that.
 */
static bool
must_seed(struct dyn_node *node, const struct dyn_bucket *bucket,
		  const struct dyn_put_op *put, const struct dyn_key *key)
{
	struct dyn_object record = { 0 };
	uint32_t count = 1; /* this node */

	if (bucket->conflict != DYN_CONFLICT_LWW || put->read.quorum.needed != 0 ||
		dyn_clock_is_empty(&put->context))
		return false;
	if (key->object.size != 0 &&
		dyn_object_decode(key->object, &node->scratch.allocator, &record) !=
			DYN_STATUS_OK)
		return false; /* it fails when it is applied */
	if (dyn_clock_descends(&record.context, &put->context))
		return false;
	for (uint8_t slot = 0; slot < node->cluster.n; slot++)
		count += dyn_peer_is_reachable(
			node, dyn_cluster_owner(node, put->partition, slot));
	if (count >= dyn_bucket_r(node, dyn_bucket_name(bucket), 0))
		return true;
	dyn_count(node, lww_unseeded);
	return false;
}

/* The mark of the object that is made: not that of the request when older
 * hints go into it. */
static uint64_t
fence_of(const struct dyn_node *node, const struct dyn_request *request,
		 const struct dyn_put_op *put, const struct dyn_key *key)
{
	uint64_t fence = dyn_fence_birth(node, request->serial, key->partition);
	uint64_t floor = dyn_fence_floor(node, key->partition);

	if (put->read.quorum.needed != 0)
		fence = dyn_read_fence(node, request, &put->read);
	return key->table == DYN_TABLE_HINTS && floor < fence ? floor : fence;
}

/* Not while the store discards, nor while others refuse its marks. */
static bool
may_write(const struct dyn_node *node, uint16_t partition)
{
	return dyn_building_takes(node, partition) &&
		   !dyn_fence_is_behind(node, partition);
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

static void hand_on(struct dyn_node *node, struct dyn_request *request,
					uint32_t op);

/* Does what was read tell all that a damaged record may have held? */
static bool
has_read_others(const struct dyn_put_op *put)
{
	uint8_t own = (uint8_t) (1U << put->writing.own_slot);
	uint8_t heard = put->read.quorum.yes & (uint8_t) ~put->read.by_fallback;

	return !put->writing.stands_in && put->read.quorum.needed != 0 &&
		   (heard | own) == put->read.quorum.all;
}

/*
 * The own record is damaged: what it held may stand on one other owner only,
 * so all of them are read, and the put takes what they hold together for the
 * record.  When one of them is away, another owner shall coordinate.
 */
static void
mend(struct dyn_node *node, struct dyn_request *request, uint32_t op)
{
	struct dyn_put_op *put = &request->puts[op];

	if (put->mending || put->writing.stands_in || node->cluster.n == 1)
	{
		hand_on(node, request, op);
		return;
	}
	dyn_count(node, puts_mended);
	put->mending = true;
	put->phase = DYN_PUT_READING;
	put->read = (struct dyn_read){ .key = put->key,
								   .request_id = &put->id,
								   .request_mark = put->mark,
								   .owners_only = true };
	dyn_read_begin(node, request, op, put->partition, node->cluster.n - 1);
}

void
dyn_put_apply(struct dyn_node *node, struct dyn_request *request, uint32_t op,
			  struct dyn_key *key)
{
	struct dyn_put_op *put = &request->puts[op];
	const struct dyn_bucket *bucket = dyn_bucket_find(node, request->bucket);
	struct dyn_object next;
	struct dyn_slice encoded = { 0 };
	struct dyn_key_value value = { 0 };
	enum dyn_status status;
	bool committed;

	if (put->phase != DYN_PUT_LOADING)
		return;
	if (!may_write(node, put->partition))
	{
		decide(node, request, op, DYN_STATUS_BUILDING,
			   refusal_text(DYN_STATUS_BUILDING));
		return;
	}
	if (key->state == DYN_LOADED_IO_ERROR)
	{
		decide(node, request, op, DYN_STATUS_IO_ERROR,
			   refusal_text(DYN_STATUS_IO_ERROR));
		return;
	}
	if (key->state == DYN_LOADED_CORRUPT && !has_read_others(put))
	{
		mend(node, request, op);
		return;
	}
	if (!dyn_write_is_possible(node, &put->writing))
	{
		dyn_count(node, quorums_failed);
		decide(node, request, op,
			   put->writing.refusal != DYN_STATUS_OK ? put->writing.refusal
													 : DYN_STATUS_NO_QUORUM,
			   write_text(node, request, put));
		return;
	}
	put->writing.fence = fence_of(node, request, put, key);
	if (put->writing.fence < dyn_fence_floor(node, key->partition))
	{
		dyn_count(node, fenced);
		decide(node, request, op, DYN_STATUS_FENCED,
			   refusal_text(DYN_STATUS_FENCED));
		return;
	}
	if (must_seed(node, bucket, put, key))
	{
		put->seeding = true;
		read_owners(node, request, op);
		return;
	}
	if (!dyn_room_for_put_bytes(node, key->object.size))
	{
		refuse_for_now(node, request, op);
		return;
	}
	/* What a damaged record held of my writes nobody can tell. */
	if (key->state == DYN_LOADED_CORRUPT)
		node->epoch_floor = node->epoch_next;
	status = compute(node, bucket, put, key, &next, &encoded, &value);
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
		char *text = status != DYN_STATUS_OK ? refusal_text(status) : NULL;

		decide(node, request, op, status,
			   put->reused ? "the request id was used for another write"
						   : text);
		return;
	}
	put->phase = DYN_PUT_WRITING;
	put->held_bytes = dyn_room_hold_put(node, encoded.size);
	value.object = encoded;
	value.hash = dyn_object_hash(&next, put->key);
	value.flags = dyn_key_flags(&next);
	if (put->writing.stands_in)
		value.slots = key->slots | (uint8_t) (1U << put->writing.own_slot);
	committed = dyn_key_write(node, key, &value,
							  (struct dyn_work){ request->serial, op });
	dyn_remember_note_mark(&node->remember, &put->id, put->mark);
	dyn_write_begin(node, request, op, encoded, committed);
}

void
dyn_put_committed(struct dyn_node *node, struct dyn_request *request,
				  uint32_t op, enum dyn_status status, bool carried)
{
	struct dyn_writing *writing = &request->puts[op].writing;
	struct dyn_call_item item = { .op = op,
								  .slot = writing->own_slot,
								  .fallback = writing->stands_in };

	if (status != DYN_STATUS_OK && carried)
		status = DYN_STATUS_UNKNOWN;
	dyn_write_answer(node, request, &item, status);
}

void
dyn_put_hedge(struct dyn_node *node, struct dyn_request *request)
{
	for (uint32_t op = 0; op < request->op_count && !request->ended; op++)
	{
		uint64_t next_ms;

		if (request->puts[op].phase != DYN_PUT_WRITING)
			continue;
		next_ms = dyn_write_hedge(node, request, op);
		dyn_request_wake(node, request, next_ms);
		dyn_put_written(node, request, op);
	}
}

/* ------------------------------------------------------------- forwarding */

/* Who shall coordinate: an owner, one whose store takes writes first; when
 * none can be reached, the first fallback that can, maybe this node. */
static int32_t
choose_coordinator(struct dyn_node *node, uint16_t partition, uint8_t avoid,
				   bool *stand_in)
{
	int32_t best = DYN_PEER_NONE;
	int32_t peer;

	for (uint8_t slot = 0; slot < node->cluster.n; slot++)
	{
		peer = dyn_cluster_owner(node, partition, slot);
		if (dyn_peer_is_reachable(node, peer) && !(avoid & (1U << slot)) &&
			(best < 0 || !node->peers[best]->writable))
			best = peer;
	}
	*stand_in = best < 0;
	for (uint32_t i = 0; best == DYN_PEER_NONE && i < node->cluster.n &&
						 dyn_cluster_fallback(node, partition, i, &peer);
		 i++)
		if (peer == DYN_PEER_SELF ? node->writable
								  : dyn_peer_is_reachable(node, peer) &&
										node->peers[peer]->writable)
			best = peer;
	return best;
}

static void coordinate(struct dyn_node *node, struct dyn_request *request,
					   uint32_t op, uint32_t w, int own_slot);

static void
forward_to(struct dyn_node *node, struct dyn_request *request, uint32_t op,
		   int32_t peer, bool stand_in)
{
	const Dyn__PutRequest *message = request->message;
	struct dyn_put_op *put = &request->puts[op];
	struct dyn_call_item item = { .serial = request->serial,
								  .op = op,
								  .fallback = stand_in,
								  .deadline_ms = request->deadline_ms };

	for (uint8_t slot = 0; slot < node->cluster.n; slot++)
		if (dyn_cluster_owner(node, put->partition, slot) == peer)
			put->avoid |= (uint8_t) (1U << slot);
	dyn_count(node, put_ops_forwarded);
	put->phase = DYN_PUT_FORWARDED;
	dyn_outbox_forward(node, (uint32_t) peer, request->bucket,
					   dyn_bucket_w(node, request->bucket, message->w),
					   put->message, &item);
}

static void
forward(struct dyn_node *node, struct dyn_request *request, uint32_t op,
		uint32_t w)
{
	struct dyn_put_op *put = &request->puts[op];
	bool stand_in;
	int32_t best =
		choose_coordinator(node, put->partition, put->avoid, &stand_in);

	if (best == DYN_PEER_SELF)
	{
		coordinate(node, request, op, w, -1);
		return;
	}
	if (best == DYN_PEER_NONE)
	{
		dyn_count(node, quorums_failed);
		dyn_quorum_init(&put->writing.quorum, node->cluster.n, (uint8_t) w);
		put->writing.quorum.no = put->writing.quorum.all;
		decide(node, request, op, DYN_STATUS_NO_QUORUM,
			   write_text(node, request, put));
		return;
	}
	forward_to(node, request, op, best, stand_in);
}

/* Another owner may have a sound record, or hear all others. False when there
 * is none. */
static bool
forward_again(struct dyn_node *node, struct dyn_request *request, uint32_t op)
{
	struct dyn_put_op *put = &request->puts[op];
	const Dyn__PutRequest *message = request->message;
	bool stand_in;
	int32_t peer =
		choose_coordinator(node, put->partition, put->avoid, &stand_in);

	if (message->hops != 0 || stand_in)
		return false;
	forward_to(node, request, op, peer, false);
	return true;
}

static void
hand_on(struct dyn_node *node, struct dyn_request *request, uint32_t op)
{
	struct dyn_put_op *put = &request->puts[op];

	put->avoid |= (uint8_t) (1U << put->writing.own_slot);
	if (!put->writing.stands_in && forward_again(node, request, op))
		return;
	decide(node, request, op, DYN_STATUS_CORRUPT,
		   refusal_text(DYN_STATUS_CORRUPT));
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
	/* Its record is damaged; it has stored nothing. */
	if (result->status == DYN_STATUS_CORRUPT &&
		forward_again(node, request, op))
		return;
	put->result = dyn_arena_copy(arena, dyn_slice_of_bytes(result->context));
	put->writing.quorum.needed = 0; /* the receipt is the coordinator's */
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
	if (!dyn_key_do(node, request->bucket, put->key,
					(struct dyn_work){ request->serial, op }))
		refuse_for_now(node, request, op);
}

static void
coordinate(struct dyn_node *node, struct dyn_request *request, uint32_t op,
		   uint32_t w, int own_slot)
{
	struct dyn_put_op *put = &request->puts[op];

	if (!dyn_room_begin_put(node))
	{
		refuse_for_now(node, request, op);
		return;
	}
	put->counted = true;
	put->begun_ms = node->now_ms;
	dyn_write_init(node, &put->writing, put->partition, own_slot, (uint8_t) w);
	dyn_count(node, put_ops);
	if (own_slot < 0)
		dyn_count(node, put_ops_stood_in);
	if (put->message->mode == DYN__PUT_MODE__SIBLING && !put->message->retry)
	{
		load(node, request, op);
		return;
	}
	read_owners(node, request, op);
}

static void
begin_op(struct dyn_node *node, struct dyn_request *request, uint32_t op,
		 uint32_t w)
{
	const Dyn__PutRequest *message = request->message;
	struct dyn_put_op *put = &request->puts[op];
	char *text;
	enum dyn_status status = check_op(node, request, put, &text);
	int own_slot;
	bool takes;

	if (status != DYN_STATUS_OK)
	{
		decide(node, request, op, status, text);
		return;
	}
	put->partition = dyn_cluster_partition(
		node, dyn_hash_cell(dyn_hash_position(request->bucket, put->key)));
	put->mark = dyn_remember_mark(
		dyn_hash_position(request->bucket, put->key),
		message->ops[op]->n_values != 0
			? dyn_slice_of_bytes(
				  message->ops[op]->values[message->ops[op]->n_values - 1])
			: (struct dyn_slice){ NULL, 0 });
	/* What it took alone might have to be discarded. */
	if (node->progress.in_doubt && !dyn_progress_has_met_anybody(node))
	{
		decide(node, request, op, DYN_STATUS_NOT_READY,
			   "the node was just started, and has met no other member yet");
		return;
	}
	own_slot = dyn_cluster_own_slot(node, put->partition);
	takes = may_write(node, put->partition);
	if (node->writable && takes && (own_slot >= 0 || message->stand_in))
		coordinate(node, request, op, w, own_slot);
	else if (message->hops == 0)
		forward(node, request, op, w);
	else if (!takes)
		decide(node, request, op, DYN_STATUS_BUILDING,
			   refusal_text(DYN_STATUS_BUILDING));
	else
		decide(node, request, op,
			   node->writable ? DYN_STATUS_NOT_OWNER : DYN_STATUS_FULL,
			   node->writable ? "the node owns no replica of the key"
							  : "the store is full and takes no writes");
}

void
dyn_put_begin(struct dyn_node *node, struct dyn_request *request,
			  const Dyn__PutRequest *message)
{
	uint32_t count = (uint32_t) message->n_ops;
	uint32_t w;

	request->bucket = dyn_slice_of_bytes(message->bucket);
	w = dyn_bucket_w(node, request->bucket, message->w);
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
		begin_op(node, request, op, w);
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
	if (!enough && put->mending)
	{
		hand_on(node, request, op);
		return;
	}
	/* Who remembers the request could not show what became of it: its write
	 * is not among what was read, and must not be acknowledged as if it were. */
	if (put->read.remembered &&
		(put->read.remembered_by & put->read.quorum.yes) == 0)
		enough = put->seeding = false;
	if (!enough && put->seeding)
		dyn_count(node, lww_unseeded);
	else if (!enough)
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
				   dyn_write_may_exist(&put->writing) ? DYN_STATUS_UNKNOWN
													  : DYN_STATUS_TIMEOUT,
				   write_text(node, request, put));
	}
}
