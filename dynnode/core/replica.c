#include "core/replica.h"

#include "core/cluster.h"
#include "core/commit.h"
#include "core/coord_put.h"
#include "core/filling.h"
#include "core/handoff.h"
#include "core/load.h"
#include "core/outbox.h"
#include "core/repair.h"
#include "core/room.h"
#include "model/hash.h"

#include <string.h>

static uint16_t
partition_of(const struct dyn_node *node, struct dyn_slice bucket,
			 struct dyn_slice key)
{
	return dyn_cluster_partition(node,
								 dyn_hash_cell(dyn_hash_position(bucket, key)));
}

static bool
owns(const struct dyn_node *node, struct dyn_slice bucket, struct dyn_slice key)
{
	return dyn_cluster_own_slot(node, partition_of(node, bucket, key)) >= 0;
}

static bool
answers(struct dyn_node *node, struct dyn_slice bucket, struct dyn_slice key)
{
	uint16_t cell = dyn_hash_cell(dyn_hash_position(bucket, key));

	if (dyn_building_answers(node, dyn_cluster_partition(node, cell)))
		return true;
	dyn_count(node, reads_building);
	return false;
}

static bool
takes(const struct dyn_node *node, struct dyn_slice bucket,
	  struct dyn_slice key)
{
	uint16_t cell = dyn_hash_cell(dyn_hash_position(bucket, key));

	return dyn_building_takes(node, dyn_cluster_partition(node, cell));
}

static enum dyn_load_view
view_of(const Dyn__ReadRequest *message)
{
	if (message->hints)
		return DYN_LOAD_HINT;
	return message->hash_only ? DYN_LOAD_HASH : DYN_LOAD_OBJECT;
}

/* ------------------------------------------------------------------- READ */

/* What one answer may carry, beyond its first object. */
static size_t
read_bytes_max(const struct dyn_request *request)
{
	const Dyn__ReadRequest *message = request->message;

	return message->bytes_max != 0 && message->bytes_max < DYN_REPLY_BYTES_MAX
			   ? message->bytes_max
			   : DYN_REPLY_BYTES_MAX;
}

static void
fill_read_result(const struct dyn_request *request, uint32_t index,
				 Dyn__ReadResult *result, size_t *bytes)
{
	const struct dyn_read_op *op = &request->reads[index];

	dyn__read_result__init(result);
	result->status = op->status;
	result->remembered = op->remembered;
	result->other = op->other;
	if (op->status != DYN_STATUS_OK)
		return;
	if (*bytes + op->object.size > read_bytes_max(request) && *bytes != 0)
	{
		result->status = DYN_STATUS_TOO_LARGE;
		return;
	}
	*bytes += op->object.size;
	result->hash = op->hash;
	result->fence = op->fence;
	result->object = dyn_bytes_of_slice(op->object);
}

static void
answer_read(struct dyn_node *node, struct dyn_request *request)
{
	Dyn__ReadReply reply = DYN__READ_REPLY__INIT;
	Dyn__ReadResult *results = dyn_arena_allocate(
		&request->arena, request->op_count * sizeof(*results));
	size_t bytes = 0;

	reply.n_results = request->op_count;
	reply.results = dyn_arena_allocate(
		&request->arena, request->op_count * sizeof(*reply.results));
	for (uint32_t op = 0; op < request->op_count; op++)
	{
		fill_read_result(request, op, &results[op], &bytes);
		reply.results[op] = &results[op];
	}
	reply.bucket_digest = node->bucket_digest;
	dyn_outbox_reply(node, request->route, DYN_MESSAGE_READ_REPLY,
					 request->correlation, &reply.base);
	dyn_request_end(node, request);
}

static void begin_read_op(struct dyn_node *node, struct dyn_request *request,
						  uint32_t op);

static void
decide_read(struct dyn_node *node, struct dyn_request *request, uint32_t op,
			enum dyn_status status)
{
	struct dyn_read_op *read = &request->reads[op];

	if (read->decided)
		return;
	read->decided = true;
	read->status = status;
	if (status == DYN_STATUS_OK)
		request->answer_bytes += read->object.size;
	if (--request->undecided == 0)
		answer_read(node, request);
	else
		dyn_request_begin_some(node, request, begin_read_op);
}

static void
begin_read_op(struct dyn_node *node, struct dyn_request *request, uint32_t i)
{
	const Dyn__ReadRequest *message = request->message;
	struct dyn_read_op *op = &request->reads[i];
	struct dyn_request_id id;

	/* Before the load: what it finds was taken under this floor or a later
	 * one. */
	if (message->hints)
		op->fence =
			dyn_fence_floor(node, partition_of(node, request->bucket, op->key));
	/* Known before the load is submitted, so the load sees its write. */
	op->remembered = message->n_request_ids != 0 &&
					 dyn_request_id_of_bytes(message->request_ids[i], &id) &&
					 dyn_remember_is_committed(&node->remember, &id);
	op->other =
		op->remembered && i < message->n_request_marks &&
		dyn_remember_is_other(&node->remember, &id, message->request_marks[i]);
	if (dyn_key_check(op->key) != DYN_STATUS_OK)
		decide_read(node, request, i, dyn_key_check(op->key));
	else if (owns(node, request->bucket, op->key) == message->hints)
		decide_read(node, request, i, DYN_STATUS_NOT_OWNER);
	else if (!answers(node, request->bucket, op->key))
		decide_read(node, request, i, DYN_STATUS_BUILDING);
	else if (message->hints &&
			 dyn_fence_is_behind(node,
								 partition_of(node, request->bucket, op->key)))
		decide_read(node, request, i, DYN_STATUS_FENCED);
	else if (request->answer_bytes >= read_bytes_max(request))
		decide_read(node, request, i, DYN_STATUS_TOO_LARGE);
	else
		dyn_load_read(node, request->bucket, op->key, view_of(message),
					  (struct dyn_work){ request->serial, i }, 0);
}

void
dyn_replica_read(struct dyn_node *node, struct dyn_request *request,
				 const Dyn__ReadRequest *message)
{
	uint32_t count = (uint32_t) message->n_keys;

	request->bucket = dyn_slice_of_bytes(message->bucket);
	if (count == 0 || dyn_bucket_check(request->bucket) != DYN_STATUS_OK ||
		(message->n_request_ids != 0 && message->n_request_ids != count))
	{
		dyn_request_refuse(node, request, DYN_STATUS_BAD_REQUEST,
						   "no keys, not a bucket's name, or request ids that "
						   "do not match the keys");
		return;
	}
	request->op_count = request->undecided = count;
	request->reads =
		dyn_arena_allocate(&request->arena, count * sizeof(*request->reads));
	memset(request->reads, 0, count * sizeof(*request->reads));
	node->counters[DYN_COUNT_read_ops] += count;
	for (uint32_t i = 0; i < count; i++)
		request->reads[i].key = dyn_slice_of_bytes(message->keys[i]);
	dyn_request_begin_some(node, request, begin_read_op);
}

void
dyn_replica_read_loaded(struct dyn_node *node, struct dyn_request *request,
						uint32_t op, const struct dyn_loaded *record)
{
	struct dyn_read_op *read = &request->reads[op];

	read->hash = record->hash;
	if (!answers(node, request->bucket, read->key)) /* since it was asked */
	{
		decide_read(node, request, op, DYN_STATUS_BUILDING);
		return;
	}
	switch (record->state)
	{
		case DYN_LOADED_FOUND:
			if (request->answer_bytes != 0 &&
				request->answer_bytes + record->object.size >
					read_bytes_max(request))
			{
				decide_read(node, request, op, DYN_STATUS_TOO_LARGE);
				break;
			}
			/* The record lives as long as this step; so does the answer when
			 * this is the last key. */
			read->object =
				request->undecided == 1
					? record->object
					: dyn_arena_copy(&request->arena, record->object);
			decide_read(node, request, op, DYN_STATUS_OK);
			break;
		case DYN_LOADED_ABSENT:
			decide_read(node, request, op, DYN_STATUS_NOT_FOUND);
			break;
		case DYN_LOADED_CORRUPT:
			decide_read(node, request, op, DYN_STATUS_CORRUPT);
			break;
		case DYN_LOADED_IO_ERROR:
			decide_read(node, request, op, DYN_STATUS_IO_ERROR);
			break;
	}
}

/* -------------------------------------------------------------- REPLICATE */

static void
answer_replicate(struct dyn_node *node, struct dyn_request *request)
{
	Dyn__ReplicateReply reply = DYN__REPLICATE_REPLY__INIT;
	struct dyn_request *parent = dyn_request_find(node, request->parent);

	if (parent != NULL && parent->type == DYN_REQUEST_FILL)
		dyn_filling_stored(node, parent, request);
	else if (parent != NULL)
		dyn_repair_stored(node, parent, request->parent_op,
						  request->replicas[0].status);
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

static void
decide_replicate(struct dyn_node *node, struct dyn_request *request,
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

/* All other owners have no record: a damaged one is to go. */
static bool
removes_damaged(const struct dyn_replica_op *op)
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
		   (op->object.size != 0 || removes_damaged(op));
}

static void
begin_replicate_op(struct dyn_node *node, struct dyn_request *request,
				   uint32_t i)
{
	struct dyn_replica_op *op = &request->replicas[i];

	/* Who owns a slot keeps no hint for another: that would be one node
	 * counted for two. */
	if (owns(node, request->bucket, op->key) == (op->hint_slots != 0))
		decide_replicate(node, request, i, DYN_STATUS_NOT_OWNER);
	else if (!takes(node, request->bucket, op->key))
		decide_replicate(node, request, i, DYN_STATUS_BUILDING);
	else if (op->hint_slots != 0 && !dyn_handoff_has_room(node))
	{
		dyn_count(node, hints_refused);
		decide_replicate(node, request, i, DYN_STATUS_OVERLOAD);
	}
	else if (!node->writable)
		decide_replicate(node, request, i, DYN_STATUS_FULL);
	else if (!dyn_key_do(node, request->bucket, op->key,
						 (struct dyn_work){ request->serial, i }))
	{
		dyn_count(node, overloads);
		decide_replicate(node, request, i, DYN_STATUS_OVERLOAD);
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
			decide_replicate(node, request, i, DYN_STATUS_BAD_REQUEST);
		else
			begin_replicate_op(node, request, i);
	}
}

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
	repair_own(node, dyn_request_new(node, DYN_REQUEST_REPLICATE, 0, NULL),
			   bucket, key, object, fence);
}

void
dyn_replica_repair_for(struct dyn_node *node, const struct dyn_request *repair,
					   uint32_t op, struct dyn_slice key,
					   struct dyn_slice object, uint64_t fence)
{
	struct dyn_request *request =
		dyn_request_new(node, DYN_REQUEST_REPLICATE, 0, NULL);

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
		dyn_request_new(node, DYN_REQUEST_REPLICATE, 0, NULL);
	struct dyn_arena *arena = &request->arena;
	struct dyn_replica_op *ops =
		dyn_arena_allocate(arena, count * sizeof(*ops));

	request->parent = fill->serial;
	request->bucket = dyn_arena_copy(arena, bucket);
	request->op_count = request->undecided = count;
	request->replicas = ops;
	for (uint32_t i = 0; i < count; i++)
		ops[i] = (struct dyn_replica_op){
			.repair = true,
			.fill = true,
			.key = dyn_arena_copy(arena, items[i].key),
			.object = dyn_arena_copy(arena, items[i].object)
		};
	for (uint32_t i = 0; i < count; i++)
		begin_replicate_op(node, request, i);
}

static void
learn_requests(struct dyn_request *request, struct dyn_replica_op *op,
			   const struct dyn_clock *known, const struct dyn_object *object)
{
	struct dyn_request_id *ids = dyn_arena_allocate(
		&request->arena, (op->id_count + object->version_count) * sizeof(*ids));

	for (uint32_t i = 0; i < op->id_count; i++)
		ids[i] = op->ids[i];
	op->ids = ids;
	op->id_count += dyn_remember_news(known, object, ids + op->id_count);
}

/* What the requests in the frame wrote: the last of the versions that they
 * made.  One that has none here is a delete, or has been overwritten. */
static void
learn_marks(struct dyn_request *request, struct dyn_replica_op *op,
			const struct dyn_object *object)
{
	op->marks =
		dyn_arena_allocate(&request->arena, op->sent_count * sizeof(uint64_t));
	for (uint32_t i = 0; i < op->sent_count; i++)
	{
		op->marks[i] = 0;
		for (uint32_t v = 0; v < object->version_count; v++)
			if (dyn_request_id_compare(&object->versions[v].request,
									   &op->ids[i]) == 0)
				op->marks[i] = dyn_remember_mark(
					dyn_hash_position(request->bucket, op->key),
					object->versions[v].value);
	}
}

/* What the key holds after the incoming object is merged in, encoded. */
static enum dyn_status
merge(struct dyn_node *node, struct dyn_request *request,
	  struct dyn_replica_op *op, const struct dyn_key *key,
	  struct dyn_object *merged, struct dyn_slice *encoded)
{
	const struct dyn_allocator *allocator = &node->scratch.allocator;
	struct dyn_object record = { 0 };
	struct dyn_object object;
	enum dyn_status status = dyn_object_decode(op->object, allocator, &object);

	if (status != DYN_STATUS_OK)
		return DYN_STATUS_BAD_REQUEST;
	if (key->object.size != 0 &&
		dyn_object_decode(key->object, allocator, &record) != DYN_STATUS_OK)
		return DYN_STATUS_CORRUPT;
	dyn_put_notice_amnesia(node, &record.context, &object.context);
	learn_marks(request, op, &object);
	learn_requests(request, op, &record.context, &object);
	*merged = object;
	if (key->object.size != 0)
		status = dyn_object_sync(&record, &object, allocator, merged);
	if (status == DYN_STATUS_OK)
		status = dyn_object_encode(merged, dyn_out_allocator(node), encoded);
	if (status == DYN_STATUS_OK && encoded->size > DYN_RECORD_SIZE_MAX)
	{
		dyn_count(node, objects_too_large);
		return DYN_STATUS_TOO_LARGE;
	}
	return status;
}

/* A store of the past must not take what it would discard: neither when it
 * knows that it is one, nor when nobody could tell it yet. */
static bool
may_discard(const struct dyn_node *node, const struct dyn_replica_op *self,
			uint16_t partition)
{
	return dyn_fence_is_behind(node, partition) ||
		   (self->fence > dyn_fence_stamp(node, partition) &&
			!dyn_progress_has_met_anybody(node));
}

/* Whoever brings something is refused until the record is mended: that need
 * not wait for somebody to find it.  One at a time; the scrub meets the rest. */
static void
mend_soon(struct dyn_node *node, const struct dyn_key *key)
{
	struct dyn_repair_key damaged = { .bucket = key->bucket, .key = key->key };

	if (key->state == DYN_LOADED_CORRUPT && key->table == DYN_TABLE_MAIN &&
		dyn_request_find(node, node->mending) == NULL)
		node->mending = dyn_repair_mend(node, &damaged, 1);
}

static void
remove_damaged(struct dyn_node *node, struct dyn_request *request, uint32_t op,
			   struct dyn_key *key)
{
	struct dyn_key_value none = { 0 };

	/* Else it was mended, or is gone already. */
	if (key->state == DYN_LOADED_CORRUPT)
	{
		/* What it held of my writes nobody can tell. */
		node->epoch_floor = node->epoch_next;
		if (!dyn_commit_write(node, key, &none,
							  (struct dyn_work){ request->serial, op }))
			return;
	}
	decide_replicate(node, request, op, DYN_STATUS_OK);
}

void
dyn_replica_apply(struct dyn_node *node, struct dyn_request *request,
				  uint32_t op, struct dyn_key *key)
{
	struct dyn_replica_op *self = &request->replicas[op];
	struct dyn_object merged;
	struct dyn_key_value value = { 0 };
	enum dyn_status status;
	bool done;

	/* What came before the discarding began, and is met only now. */
	if (!dyn_building_takes(node, key->partition))
	{
		decide_replicate(node, request, op, DYN_STATUS_BUILDING);
		return;
	}
	/* Only now: while it waited for its turn, the floor may have risen. */
	if (!self->fill && self->fence < dyn_fence_floor(node, key->partition))
	{
		dyn_count(node, fenced);
		decide_replicate(node, request, op, DYN_STATUS_FENCED);
		return;
	}
	/* FENCED would tell whoever keeps a hint that this node has had it. */
	if (!self->fill && may_discard(node, self, key->partition))
	{
		decide_replicate(node, request, op, DYN_STATUS_BUILDING);
		return;
	}
	if (key->state == DYN_LOADED_IO_ERROR ||
		(key->state == DYN_LOADED_CORRUPT && !self->repair))
	{
		mend_soon(node, key);
		decide_replicate(node, request, op,
						 key->state == DYN_LOADED_CORRUPT
							 ? DYN_STATUS_CORRUPT
							 : DYN_STATUS_IO_ERROR);
		return;
	}
	if (!dyn_room_for_object(node, key->object.size))
	{
		dyn_count(node, overloads);
		decide_replicate(node, request, op, DYN_STATUS_OVERLOAD);
		return;
	}
	if (removes_damaged(self))
	{
		remove_damaged(node, request, op, key);
		return;
	}
	/* What a damaged record held of my writes nobody can tell. */
	if (key->state == DYN_LOADED_CORRUPT)
		node->epoch_floor = node->epoch_next;
	status = merge(node, request, self, key, &merged, &value.object);
	if (status != DYN_STATUS_OK)
	{
		decide_replicate(node, request, op, status);
		return;
	}
	value.hash = dyn_object_hash(&merged, self->key);
	value.flags = dyn_key_flags(&merged);
	value.ids = self->ids;
	value.id_count = self->id_count;
	value.slots = key->slots | self->hint_slots;
	done = dyn_commit_write(node, key, &value,
							(struct dyn_work){ request->serial, op });
	for (uint32_t i = 0; i < self->sent_count; i++)
		dyn_remember_note_mark(&node->remember, &self->ids[i], self->marks[i]);
	if (done)
		decide_replicate(node, request, op, DYN_STATUS_OK);
}

void
dyn_replica_committed(struct dyn_node *node, struct dyn_request *request,
					  uint32_t op, enum dyn_status status)
{
	decide_replicate(node, request, op, status);
}
