#include "core/put_answer.h"

#include "core/outbox.h"
#include "core/receipt.h"
#include "core/room.h"

/* The answer must not become larger than a frame may be, for it would be an
 * ERROR, which says that nothing was stored: contexts beyond a bound are left
 * out. */
static void
fill_result(struct dyn_node *node, struct dyn_request *request, uint32_t op,
			size_t *bytes, Dyn__PutResult *result)
{
	const struct dyn_put_op *put = &request->puts[op];

	dyn__put_result__init(result);
	result->status = put->status;
	if (put->text != NULL)
		result->text = put->text;
	if (*bytes + put->result.size <= DYN_REPLY_BYTES_MAX)
	{
		*bytes += put->result.size;
		result->context = dyn_bytes_of_slice(put->result);
	}
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
	size_t bytes = 0;

	reply.n_results = request->op_count;
	reply.results = dyn_arena_allocate(
		&request->arena, request->op_count * sizeof(*reply.results));
	for (uint32_t op = 0; op < request->op_count; op++)
	{
		fill_result(node, request, op, &bytes, &results[op]);
		reply.results[op] = &results[op];
	}
	reply.ring_digest = node->cluster.ring_digest;
	reply.bucket_digest = node->bucket_digest;
	reply.clock_ms = dyn_node_clock_ms(node);
	dyn_outbox_reply(node, request->route, DYN_MESSAGE_PUT_REPLY,
					 request->correlation, &reply.base);
	dyn_request_end(node, request);
}

void
dyn_put_decide(struct dyn_node *node, struct dyn_request *request, uint32_t op,
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
void
dyn_put_refuse_for_now(struct dyn_node *node, struct dyn_request *request,
					   uint32_t op)
{
	dyn_count(node, overloads);
	dyn_put_decide(node, request, op, DYN_STATUS_OVERLOAD,
				   "the node has too many writes in flight");
}

void
dyn_put_refuse_late(struct dyn_node *node, struct dyn_request *request,
					uint32_t op)
{
	dyn_count(node, puts_late);
	dyn_put_decide(node, request, op, DYN_STATUS_LATE,
				   dyn_put_refusal_text(DYN_STATUS_LATE));
}

char *
dyn_put_write_text(struct dyn_node *node, struct dyn_request *request,
				   const struct dyn_put_op *put)
{
	return dyn_receipt_text(node, &request->arena, put->partition,
							&put->writing.quorum);
}

char *
dyn_put_refusal_text(enum dyn_status status)
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
		case DYN_STATUS_TOO_LARGE:
			return "the key's versions would be larger together than an "
				   "object may be: read it and reconcile them first";
		case DYN_STATUS_FULL:
			return "the store is full and takes no writes";
		default:
			return (char *) dyn_status_text(status);
	}
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
			dyn_put_decide(node, request, op, DYN_STATUS_OK, NULL);
			break;
		case DYN_QUORUM_IMPOSSIBLE:
			dyn_count(node, quorums_failed);
			if (dyn_write_may_exist(&put->writing))
				dyn_put_decide(node, request, op, DYN_STATUS_UNKNOWN,
							   dyn_put_write_text(node, request, put));
			else
				dyn_put_decide(node, request, op,
							   put->writing.refusal != DYN_STATUS_OK
								   ? put->writing.refusal
								   : DYN_STATUS_NO_QUORUM,
							   dyn_put_write_text(node, request, put));
			break;
	}
}
