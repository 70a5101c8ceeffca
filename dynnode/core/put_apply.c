#include "core/put_apply.h"

#include "core/bucket.h"
#include "core/cluster.h"
#include "core/commit.h"
#include "core/handoff.h"
#include "core/peer.h"
#include "core/put_answer.h"
#include "core/put_forward.h"
#include "core/put_object.h"
#include "core/room.h"

/* ------------------------------------------------------------ what is made */

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

/* What is known of the key: its record, and what other owners told. */
static enum dyn_status
find_base(struct dyn_node *node, const struct dyn_put_op *put,
		  const struct dyn_key *key, struct dyn_object *record,
		  struct dyn_object *base)
{
	const struct dyn_allocator *allocator = &node->scratch.allocator;
	struct dyn_object found;
	enum dyn_status status = DYN_STATUS_OK;

	*record = (struct dyn_object){ 0 };
	if (key->object.size != 0)
		status = dyn_object_decode(key->object, allocator, record);
	if (status != DYN_STATUS_OK)
		return DYN_STATUS_CORRUPT;
	*base = *record;
	if (put->read_object.size != 0)
	{
		status = dyn_object_decode(put->read_object, allocator, &found);
		if (status == DYN_STATUS_OK)
			status = dyn_object_sync(record, &found, allocator, base);
	}
	if (status != DYN_STATUS_OK)
		return status;
	/* Whatever becomes of the put: a retry, too, brings what was read into the
	 * record, and the record may have forgotten more of it (reap.h). */
	dyn_put_notice_amnesia(node, &record->context, &base->context);
	return status;
}

/* The request's own id, and those of what was read and of what is replaced. */
static void
list_ids(struct dyn_node *node, const struct dyn_put_op *put,
		 const struct dyn_object *record, const struct dyn_object *base,
		 struct dyn_key_value *value)
{
	uint32_t count_max = 1 + base->version_count + put->replaced_count;
	struct dyn_request_id *ids =
		dyn_arena_allocate(&node->scratch, count_max * sizeof(*ids));

	ids[0] = put->id;
	value->ids = ids;
	value->id_count = 1 + dyn_remember_news(&record->context, base, ids + 1);
	for (uint32_t i = 0; i < put->replaced_count; i++)
		ids[value->id_count++] = put->replaced[i];
}

/* What is known of its value, live or replaced, or of its id, tells that an
 * earlier attempt was applied. */
static bool
is_repetition(const struct dyn_node *node, const struct dyn_bucket *bucket,
			  const struct dyn_put_op *put, const struct dyn_object *base)
{
	return put->read.remembered ||
		   dyn_remember_knows(&node->remember, &put->id) ||
		   dyn_object_has_request(base, &put->id) ||
		   dyn_put_is_named(bucket, put, base);
}

/*
 * Of a repetition: may an earlier retry have acted where nobody sees it, while
 * all that is left here of the write is its id?  Whoever replaced it need not
 * have covered the retry's name, so nobody can say that it has ended.
 */
static bool
may_be_hidden(const struct dyn_bucket *bucket, const struct dyn_put_op *put,
			  const struct dyn_object *base)
{
	const Dyn__PutOp *message = put->message;

	return message->retry && message->retried &&
		   (message->n_values != 0 || bucket->conflict == DYN_CONFLICT_LWW) &&
		   !dyn_object_has_request(base, &put->id) &&
		   !dyn_put_is_named(bucket, put, base);
}

static enum dyn_status
replace(struct dyn_node *node, struct dyn_request *request,
		const struct dyn_bucket *bucket, struct dyn_put_op *put,
		const struct dyn_object *record, const struct dyn_object *base,
		struct dyn_object *next)
{
	enum dyn_status status =
		dyn_put_object(node, bucket, put, &record->context, base, next);

	if (status == DYN_STATUS_TOO_LARGE && put->message->retry)
	{
		dyn_count(node, retries_refused);
		put->fault =
			"the key was written by 64 retries already that its owners "
			"must remember until it has rested";
	}
	if (status != DYN_STATUS_OK)
		return status;
	put->replaced = dyn_arena_allocate(
		&request->arena, base->version_count * sizeof(*put->replaced));
	put->replaced_count = dyn_remember_replaced(
		base, next, dyn_remember_since(&node->remember, node->wall_ms),
		put->replaced);
	return DYN_STATUS_OK;
}

/* The new object of the key, encoded, or why there is none. */
static enum dyn_status
compute(struct dyn_node *node, struct dyn_request *request,
		const struct dyn_bucket *bucket, struct dyn_put_op *put,
		const struct dyn_key *key, struct dyn_object *next,
		struct dyn_key_value *value)
{
	struct dyn_object record;
	struct dyn_object base;
	enum dyn_status status = find_base(node, put, key, &record, &base);

	if (status != DYN_STATUS_OK)
		return status;
	*next = base;
	if (is_other_write(node, put, &base))
	{
		put->fault = "the request id was used for another write";
		return DYN_STATUS_BAD_REQUEST;
	}
	if (is_repetition(node, bucket, put, &base))
	{
		dyn_count(node, put_ops_repeated);
		if (may_be_hidden(bucket, put, &base))
		{
			put->fault =
				"it was applied and replaced, but an earlier attempt may "
				"have acted unseen";
			return DYN_STATUS_UNKNOWN;
		}
		if (put->message->retry && put->message->retried)
			status = dyn_put_name(node, put, &base, next);
	}
	else
		status = replace(node, request, bucket, put, &record, &base, next);
	if (status != DYN_STATUS_OK)
		return status;
	list_ids(node, put, &record, &base, value);
	if (dyn_clock_is_empty(&next->context))
		return DYN_STATUS_OK;
	status = dyn_object_encode(next, dyn_out_allocator(node), &value->object);
	if (status == DYN_STATUS_OK && value->object.size > DYN_OBJECT_SIZE_MAX &&
		value->object.size > key->object.size)
		return DYN_STATUS_TOO_LARGE;
	return status;
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

/* ---------------------------------------------------------- may it be made? */

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

/* Not while the store discards, nor while others refuse its marks. */
bool
dyn_put_may_write(const struct dyn_node *node, uint16_t partition)
{
	return dyn_building_takes(node, partition) &&
		   !dyn_fence_is_behind(node, partition);
}

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
		dyn_put_hand_on(node, request, op);
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

/* Is the own record one that something can be made of?  If not, the operation
 * was decided, or has gone another way. */
static bool
has_record(struct dyn_node *node, struct dyn_request *request, uint32_t op,
		   const struct dyn_key *key)
{
	struct dyn_put_op *put = &request->puts[op];
	enum dyn_status status = DYN_STATUS_OK;

	if (!dyn_put_may_write(node, put->partition))
		status = DYN_STATUS_BUILDING;
	else if (key->state == DYN_LOADED_IO_ERROR)
		status = DYN_STATUS_IO_ERROR;
	if (status != DYN_STATUS_OK)
	{
		dyn_put_decide(node, request, op, status, dyn_put_refusal_text(status));
		return false;
	}
	if (key->state == DYN_LOADED_CORRUPT && !has_read_others(put))
	{
		mend(node, request, op);
		return false;
	}
	return true;
}

/* Are there W nodes, and is what would be made young enough for them?  If not,
 * the operation was decided. */
static bool
has_takers(struct dyn_node *node, struct dyn_request *request, uint32_t op,
		   const struct dyn_key *key)
{
	struct dyn_put_op *put = &request->puts[op];

	if (!dyn_write_is_possible(node, &put->writing))
	{
		dyn_count(node, quorums_failed);
		dyn_put_decide(node, request, op,
					   put->writing.refusal != DYN_STATUS_OK
						   ? put->writing.refusal
						   : DYN_STATUS_NO_QUORUM,
					   dyn_put_write_text(node, request, put));
		return false;
	}
	put->writing.fence = fence_of(node, request, put, key);
	if (put->writing.fence < dyn_fence_floor(node, key->partition))
	{
		dyn_count(node, fenced);
		dyn_put_decide(node, request, op, DYN_STATUS_FENCED,
					   dyn_put_refusal_text(DYN_STATUS_FENCED));
		return false;
	}
	return true;
}

/* Is there room for what would be made, and for one more hint, if it is one? */
static bool
has_room(struct dyn_node *node, const struct dyn_put_op *put,
		 const struct dyn_key *key)
{
	if (put->writing.stands_in && !dyn_handoff_takes(node, key))
		return false;
	return dyn_room_for_put_bytes(node, key->object.size);
}

/* --------------------------------------------------------------- doing it */

/* False when there is nothing to write, and the operation was decided. */
static bool
make_object(struct dyn_node *node, struct dyn_request *request, uint32_t op,
			const struct dyn_bucket *bucket, const struct dyn_key *key,
			struct dyn_key_value *value)
{
	struct dyn_put_op *put = &request->puts[op];
	struct dyn_object next;
	enum dyn_status status;
	char *text;

	/* What a damaged record held of my writes nobody can tell. */
	if (key->state == DYN_LOADED_CORRUPT)
		node->epoch_floor = node->epoch_next;
	status = compute(node, request, bucket, put, key, &next, value);
	if (status == DYN_STATUS_OK && value->object.size != 0)
	{
		struct dyn_slice context;

		status = dyn_clock_encode(&next.context, &request->arena.allocator,
								  &context);
		put->result = context;
	}
	if (status == DYN_STATUS_OK && value->object.size != 0)
	{
		value->hash = dyn_object_hash(&next, put->key);
		value->flags = dyn_key_flags(&next);
		return true;
	}
	/* An empty object: a delete of nothing, which is done. */
	text = status != DYN_STATUS_OK ? dyn_put_refusal_text(status) : NULL;
	dyn_put_decide(node, request, op, status, put->fault ? put->fault : text);
	return false;
}

static void
write_object(struct dyn_node *node, struct dyn_request *request, uint32_t op,
			 struct dyn_key *key, struct dyn_key_value *value)
{
	struct dyn_put_op *put = &request->puts[op];
	bool committed;

	put->phase = DYN_PUT_WRITING;
	put->held_bytes = dyn_room_hold_put(node, value->object.size);
	if (put->writing.stands_in)
		value->slots = key->slots | (uint8_t) (1U << put->writing.own_slot);
	committed = dyn_commit_write(node, key, value,
								 (struct dyn_work){ request->serial, op });
	dyn_remember_note_mark(&node->remember, &put->id, put->mark);
	dyn_write_begin(node, request, op, value->object, committed);
}

void
dyn_put_apply(struct dyn_node *node, struct dyn_request *request, uint32_t op,
			  struct dyn_key *key)
{
	struct dyn_put_op *put = &request->puts[op];
	const struct dyn_bucket *bucket = dyn_bucket_find(node, request->bucket);
	struct dyn_key_value value = { 0 };

	if (put->phase != DYN_PUT_LOADING || !has_record(node, request, op, key) ||
		!has_takers(node, request, op, key))
		return;
	if (dyn_put_is_late(node, request))
		dyn_put_refuse_late(node, request, op);
	else if (must_seed(node, bucket, put, key))
	{
		put->seeding = true;
		dyn_put_read_owners(node, request, op);
	}
	else if (!has_room(node, put, key))
		dyn_put_refuse_for_now(node, request, op);
	else if (make_object(node, request, op, bucket, key, &value))
		write_object(node, request, op, key, &value);
}
