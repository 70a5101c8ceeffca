#include "core/coord_get.h"

#include "core/bucket.h"
#include "core/cluster.h"
#include "core/outbox.h"
#include "core/receipt.h"
#include "model/hash.h"

/* Objects beyond what one answer may carry are left out; the client asks for
 * these keys again. */
static void
fill_result(struct dyn_node *node, struct dyn_request *request, uint32_t op,
			Dyn__GetResult *result, size_t *bytes)
{
	const struct dyn_get_op *get = &request->gets[op];

	dyn__get_result__init(result);
	result->status = get->status;
	if (get->text != NULL)
		result->text = get->text;
	if (get->read.quorum.needed != 0)
		result->receipt =
			dyn_receipt_make(node, &request->arena, get->read.partition,
							 &get->read.quorum, get->read.by_fallback);
	if (get->status != DYN_STATUS_OK)
		return;
	if (*bytes + get->object.size > DYN_REPLY_BYTES_MAX && *bytes != 0)
	{
		result->status = DYN_STATUS_TOO_LARGE;
		result->text = "the answer is full: ask for fewer keys at once";
		return;
	}
	*bytes += get->object.size;
	result->object = dyn_bytes_of_slice(get->object);
}

static void
answer(struct dyn_node *node, struct dyn_request *request)
{
	Dyn__GetReply reply = DYN__GET_REPLY__INIT;
	Dyn__GetResult *results = dyn_arena_allocate(
		&request->arena, request->op_count * sizeof(*results));
	size_t bytes = 0;

	reply.n_results = request->op_count;
	reply.results = dyn_arena_allocate(
		&request->arena, request->op_count * sizeof(*reply.results));
	for (uint32_t op = 0; op < request->op_count; op++)
	{
		fill_result(node, request, op, &results[op], &bytes);
		reply.results[op] = &results[op];
	}
	reply.ring_digest = node->cluster.ring_digest;
	reply.bucket_digest = node->bucket_digest;
	reply.clock_ms = dyn_node_clock_ms(node);
	reply.view_ms = dyn_skew_view_ms(node);
	if (request->route != 0)
		dyn_outbox_reply(node, request->route, DYN_MESSAGE_GET_REPLY,
						 request->correlation, &reply.base);
	dyn_request_end(node, request);
}

static void begin_op(struct dyn_node *node, struct dyn_request *request,
					 uint32_t op);

static void
decide(struct dyn_node *node, struct dyn_request *request, uint32_t op,
	   enum dyn_status status, char *text)
{
	struct dyn_get_op *get = &request->gets[op];

	if (get->decided)
		return;
	get->decided = true;
	get->read.decided = true;
	get->status = status;
	get->text = text;
	if (status == DYN_STATUS_OK)
		request->answer_bytes += get->object.size;
	if (--request->undecided == 0)
		answer(node, request);
	else
		dyn_request_begin_some(node, request, begin_op);
}

static void
begin_op(struct dyn_node *node, struct dyn_request *request, uint32_t op)
{
	const Dyn__GetRequest *message = request->message;
	struct dyn_slice key = request->gets[op].read.key;
	enum dyn_status status = dyn_key_check(key);
	uint32_t r = dyn_bucket_r(node, request->bucket, message->r);

	if (status != DYN_STATUS_OK)
		decide(node, request, op, status, "a key has 1 to 440 bytes");
	else if (request->answer_bytes >= DYN_REPLY_BYTES_MAX)
		decide(node, request, op, DYN_STATUS_TOO_LARGE,
			   "the answer is full: ask for fewer keys at once");
	else
		dyn_read_begin(
			node, request, op,
			dyn_cluster_partition(
				node, dyn_hash_cell(dyn_hash_position(request->bucket, key))),
			(uint8_t) r);
}

void
dyn_get_begin(struct dyn_node *node, struct dyn_request *request,
			  const Dyn__GetRequest *message)
{
	uint32_t count = (uint32_t) message->n_keys;
	const char *fault;

	request->bucket = dyn_slice_of_bytes(message->bucket);
	fault = dyn_request_fault(node, request, count, message->r);
	if (fault != NULL)
	{
		dyn_request_refuse(node, request, DYN_STATUS_BAD_REQUEST, fault);
		return;
	}
	request->op_count = request->undecided = count;
	request->gets =
		dyn_arena_allocate(&request->arena, count * sizeof(*request->gets));
	for (uint32_t op = 0; op < count; op++)
		request->gets[op] = (struct dyn_get_op){ .read.key = dyn_slice_of_bytes(
													 message->keys[op]) };
	node->counters[DYN_COUNT_get_ops] += count;
	dyn_request_begin_some(node, request, begin_op);
}

void
dyn_get_refuse_for_now(struct dyn_node *node, struct dyn_request *request,
					   uint32_t op)
{
	dyn_count(node, overloads);
	decide(node, request, op, DYN_STATUS_OVERLOAD,
		   "the node has too many reads in flight");
}

void
dyn_get_read(struct dyn_node *node, struct dyn_request *request, uint32_t op,
			 bool enough)
{
	struct dyn_get_op *get = &request->gets[op];
	const struct dyn_read *read = &get->read;
	enum dyn_status status;

	if (!enough)
	{
		dyn_count(node, quorums_failed);
		if (read->damaged != 0 &&
			dyn_read_merge(node, request, read, &get->object) == DYN_STATUS_OK)
			dyn_read_repair(node, request, read, get->object);
		decide(node, request, op,
			   read->failure != DYN_STATUS_OK ? read->failure
											  : DYN_STATUS_NO_QUORUM,
			   dyn_receipt_text(node, &request->arena, read->partition,
								&read->quorum));
		return;
	}
	status = dyn_read_merge(node, request, read, &get->object);
	if (status == DYN_STATUS_OVERLOAD)
	{
		dyn_get_refuse_for_now(node, request, op);
		return;
	}
	if (status != DYN_STATUS_OK)
	{
		dyn_count(node, replies_bad);
		decide(node, request, op, DYN_STATUS_INTERNAL,
			   "an owner answered with a malformed object");
		return;
	}
	dyn_read_repair(node, request, read, get->object);
	if (get->object.size > DYN_RECORD_SIZE_MAX)
	{
		decide(node, request, op, DYN_STATUS_TOO_LARGE,
			   "the key's versions are together larger than an answer may be: "
			   "replace them without reading");
		return;
	}
	decide(node, request, op,
		   get->object.size != 0 ? DYN_STATUS_OK : DYN_STATUS_NOT_FOUND, NULL);
}

static void
expire(struct dyn_node *node, struct dyn_request *request)
{
	uint32_t count = request->op_count;

	request->begun = count; /* no new ones */
	for (uint32_t op = 0; op < count; op++)
	{
		const struct dyn_read *read = &request->gets[op].read;

		if (request->gets[op].decided)
			continue;
		decide(node, request, op, DYN_STATUS_TIMEOUT,
			   read->quorum.needed != 0
				   ? dyn_receipt_text(node, &request->arena, read->partition,
									  &read->quorum)
				   : "the time was up before it was asked for");
	}
}

const struct dyn_request_kind dyn_get_kind = {
	.name = "get",
	.makes_objects = true,
	.is_read = true,
	.expire = expire,
	.hedge = dyn_read_hedge,
	.loaded = dyn_read_loaded,
	.read_answered = dyn_read_answered,
};
