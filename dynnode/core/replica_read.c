#include "core/replica_read.h"

#include "core/bucket.h"
#include "core/cluster.h"
#include "core/commit.h"
#include "core/load.h"
#include "core/outbox.h"
#include "core/request.h"
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
answers(struct dyn_node *node, uint16_t partition)
{
	if (dyn_building_answers(node, partition))
		return true;
	dyn_count(node, reads_building);
	return false;
}

static enum dyn_load_view
view_of(const Dyn__ReadRequest *message)
{
	if (message->hints)
		return DYN_LOAD_HINT;
	return message->hash_only ? DYN_LOAD_HASH : DYN_LOAD_OBJECT;
}

/* What one answer may carry, beyond its first object. */
static size_t
read_bytes_max(const struct dyn_request *request)
{
	const Dyn__ReadRequest *message = request->message;

	return message->bytes_max != 0 && message->bytes_max < DYN_REPLY_BYTES_MAX
			   ? message->bytes_max
			   : DYN_REPLY_BYTES_MAX;
}

/* -------------------------------------------------------------- its answer */

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
	reply.clock_ms = dyn_node_clock_ms(node);
	reply.view_ms = dyn_skew_view_ms(node);
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

/* ------------------------------------------------------------------ its way */

/* Known before the load is submitted, so the load sees its write. */
static void
ask_memory(struct dyn_node *node, const Dyn__ReadRequest *message, uint32_t i,
		   struct dyn_read_op *op)
{
	struct dyn_request_id id;

	op->remembered = message->n_request_ids != 0 &&
					 dyn_request_id_of_bytes(message->request_ids[i], &id) &&
					 dyn_remember_is_committed(&node->remember, &id);
	op->other =
		op->remembered && i < message->n_request_marks &&
		dyn_remember_is_other(&node->remember, &id, message->request_marks[i]);
}

static void
begin_read_op(struct dyn_node *node, struct dyn_request *request, uint32_t i)
{
	const Dyn__ReadRequest *message = request->message;
	struct dyn_read_op *op = &request->reads[i];
	uint16_t partition = partition_of(node, request->bucket, op->key);

	/* Before the load: what it finds was taken under this floor or a later
	 * one. */
	if (message->hints)
		op->fence = dyn_fence_floor(node, partition);
	ask_memory(node, message, i, op);
	if (dyn_key_check(op->key) != DYN_STATUS_OK)
		decide_read(node, request, i, dyn_key_check(op->key));
	else if ((dyn_cluster_own_slot(node, partition) >= 0) == message->hints)
		decide_read(node, request, i, DYN_STATUS_NOT_OWNER);
	else if (!answers(node, partition))
		decide_read(node, request, i, DYN_STATUS_BUILDING);
	else if (message->hints && dyn_fence_is_behind(node, partition))
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

/* ------------------------------------- requests on their way to disk */

/*
 * The request was applied here, but was not known to be on disk when the load
 * was submitted: what was loaded may have its write, or another one that
 * replaced it, or none.
 */
static bool
is_in_motion(const struct dyn_node *node, const struct dyn_request *request,
			 uint32_t i)
{
	const Dyn__ReadRequest *message = request->message;
	struct dyn_request_id id;

	return !request->reads[i].remembered && !message->hints &&
		   message->n_request_ids != 0 &&
		   dyn_request_id_of_bytes(message->request_ids[i], &id) &&
		   dyn_remember_knows(&node->remember, &id);
}

/* Load it again when the commit is done. */
static void
wait_for_commit(struct dyn_node *node, struct dyn_request *request, uint32_t op)
{
	if (!dyn_key_do(node, request->bucket, request->reads[op].key,
					(struct dyn_work){ request->serial, op }))
		decide_read(node, request, op, DYN_STATUS_OVERLOAD);
}

static void
apply(struct dyn_node *node, struct dyn_request *request, uint32_t op,
	  struct dyn_key *key)
{
	if (request->reads[op].decided)
		return;
	if (key->commit_count != 0)
	{
		dyn_commit_await(node, key, (struct dyn_work){ request->serial, op });
		return;
	}
	ask_memory(node, request->message, op, &request->reads[op]);
	/* Still on its way: as another key's, which is a client's mistake and not
	 * waited for. */
	if (is_in_motion(node, request, op))
		decide_read(node, request, op, DYN_STATUS_OVERLOAD);
	else
		begin_read_op(node, request, op);
}

static void
committed(struct dyn_node *node, struct dyn_request *request, uint32_t op,
		  enum dyn_status status, bool carried)
{
	if (!request->reads[op].decided)
		begin_read_op(node, request, op);
}

/* ------------------------------------------------------------ what it reads */

static void
take_object(struct dyn_node *node, struct dyn_request *request, uint32_t op,
			struct dyn_slice object)
{
	/* The record lives as long as this step; so does the answer then. */
	bool is_last = request->undecided == 1;

	if ((request->answer_bytes != 0 &&
		 request->answer_bytes + object.size > read_bytes_max(request)) ||
		(!is_last && !dyn_room_for_collected(node, object.size)))
	{
		decide_read(node, request, op, DYN_STATUS_TOO_LARGE);
		return;
	}
	request->reads[op].object =
		is_last ? object : dyn_arena_copy(&request->arena, object);
	decide_read(node, request, op, DYN_STATUS_OK);
}

static void
loaded(struct dyn_node *node, struct dyn_request *request, uint32_t op,
	   uint8_t slot, bool is_hint, const struct dyn_loaded *record)
{
	struct dyn_read_op *read = &request->reads[op];

	read->hash = record->hash;
	if (is_in_motion(node, request, op))
	{
		wait_for_commit(node, request, op);
		return;
	}
	/* It may have begun since it was asked. */
	if (!answers(node, partition_of(node, request->bucket, read->key)))
	{
		decide_read(node, request, op, DYN_STATUS_BUILDING);
		return;
	}
	switch (record->state)
	{
		case DYN_LOADED_FOUND:
			take_object(node, request, op, record->object);
			break;
		case DYN_LOADED_ABSENT:
			decide_read(node, request, op, DYN_STATUS_NOT_FOUND);
			break;
		case DYN_LOADED_CORRUPT:
		case DYN_LOADED_DOUBTED:
			decide_read(node, request, op, DYN_STATUS_CORRUPT);
			break;
		case DYN_LOADED_IO_ERROR:
			decide_read(node, request, op, DYN_STATUS_IO_ERROR);
			break;
	}
}

const struct dyn_request_kind dyn_read_kind = {
	.name = "read",
	.is_read = true,
	.apply = apply,
	.committed = committed,
	.loaded = loaded,
};
