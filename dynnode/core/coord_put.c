#include "core/coord_put.h"

#include "core/bucket.h"
#include "core/cluster.h"
#include "core/put_answer.h"
#include "core/put_apply.h"
#include "core/put_forward.h"
#include "core/receipt.h"
#include "core/room.h"
#include "core/text.h"
#include "model/hash.h"

#include <string.h>

enum
{
	HEAR_ALL_HEDGES = 10 /* hedge delays that a retry waits for all owners */
};

/* ------------------------------------------------------------- beginning */

static char *
say_value_limit(const struct dyn_node *node, struct dyn_request *request)
{
	struct dyn_text *text = dyn_arena_allocate(&request->arena, sizeof(*text));

	dyn_text_set(text, "the cluster takes values of up to ");
	dyn_text_add_number(text, node->cluster.value_size_max);
	dyn_text_add(text, " bytes");
	return text->bytes;
}

static enum dyn_status
check_op(const struct dyn_node *node, struct dyn_request *request,
		 struct dyn_put_op *put, char **text)
{
	const Dyn__PutOp *message = put->message;
	enum dyn_status status = dyn_key_check(put->key);

	*text = "a key has 1 to 440 bytes";
	if (status != DYN_STATUS_OK)
		return status;
	*text = "a request id has 16 bytes, a put at most 100 values and a known "
			"mode";
	if (!dyn_request_id_of_bytes(message->request_id, &put->id) ||
		message->n_values > DYN_VALUES_MAX ||
		(unsigned) message->mode > DYN__PUT_MODE__GUARDED)
		return DYN_STATUS_BAD_REQUEST;
	for (size_t i = 0; i < message->n_values; i++)
		if (message->values[i].len > node->cluster.value_size_max)
		{
			*text = say_value_limit(node, request);
			return DYN_STATUS_TOO_LARGE;
		}
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
place(struct dyn_node *node, struct dyn_request *request,
	  struct dyn_put_op *put)
{
	const Dyn__PutOp *message = put->message;
	uint64_t position = dyn_hash_position(request->bucket, put->key);

	put->partition = dyn_cluster_partition(node, dyn_hash_cell(position));
	put->mark = dyn_remember_mark(
		position,
		message->n_values != 0
			? dyn_slice_of_bytes(message->values[message->n_values - 1])
			: (struct dyn_slice){ NULL, 0 });
}

static void
load(struct dyn_node *node, struct dyn_request *request, uint32_t op)
{
	struct dyn_put_op *put = &request->puts[op];

	put->phase = DYN_PUT_LOADING;
	if (!dyn_key_do(node, request->bucket, put->key,
					(struct dyn_work){ request->serial, op }))
		dyn_put_refuse_for_now(node, request, op);
}

void
dyn_put_coordinate(struct dyn_node *node, struct dyn_request *request,
				   uint32_t op, uint32_t w, int own_slot)
{
	struct dyn_put_op *put = &request->puts[op];

	if (!dyn_room_begin_put(node))
	{
		dyn_put_refuse_for_now(node, request, op);
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
	dyn_put_read_owners(node, request, op);
}

bool
dyn_put_is_late(const struct dyn_node *node, const struct dyn_request *request)
{
	return node->now_ms >= request->act_until_ms;
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
		dyn_put_decide(node, request, op, status, text);
		return;
	}
	if (dyn_put_is_late(node, request))
	{
		dyn_put_refuse_late(node, request, op);
		return;
	}
	place(node, request, put);
	/* What it took alone might have to be discarded. */
	if (node->progress.in_doubt && !dyn_progress_has_met_anybody(node))
	{
		dyn_put_decide(
			node, request, op, DYN_STATUS_NOT_READY,
			"the node was just started, and has met no other member yet");
		return;
	}
	own_slot = dyn_cluster_own_slot(node, put->partition);
	takes = dyn_put_may_write(node, put->partition);
	if (node->writable && takes && (own_slot >= 0 || message->stand_in))
		dyn_put_coordinate(node, request, op, w, own_slot);
	else if (message->hops == 0)
		dyn_put_forward(node, request, op, w);
	else if (!takes)
		dyn_put_decide(node, request, op, DYN_STATUS_BUILDING,
					   dyn_put_refusal_text(DYN_STATUS_BUILDING));
	else
		dyn_put_decide(node, request, op,
					   node->writable ? DYN_STATUS_NOT_OWNER : DYN_STATUS_FULL,
					   node->writable ? "the node owns no replica of the key"
									  : dyn_put_refusal_text(DYN_STATUS_FULL));
}

/* By the clock of this process: what was told to another one is over. */
static uint64_t
act_until(const struct dyn_node *node, const Dyn__PutRequest *message)
{
	if (message->process == 0)
		return UINT64_MAX;
	if (message->process != node->start_id)
		return 0;
	return message->act_until_ms > UINT64_MAX - node->started_at_ms
			   ? UINT64_MAX
			   : node->started_at_ms + message->act_until_ms;
}

void
dyn_put_begin(struct dyn_node *node, struct dyn_request *request,
			  const Dyn__PutRequest *message)
{
	uint32_t count = (uint32_t) message->n_ops;
	uint32_t w;
	const char *fault;

	request->bucket = dyn_slice_of_bytes(message->bucket);
	w = dyn_bucket_w(node, request->bucket, message->w);
	fault = dyn_request_fault(node, request, count, w);
	if (fault != NULL)
	{
		dyn_request_refuse(node, request, DYN_STATUS_BAD_REQUEST, fault);
		return;
	}
	request->act_until_ms = act_until(node, message);
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

/* --------------------------------------------------------------- reading */

/* A short wait, for an owner that is merely late; and time to write is left. */
static uint64_t
hear_all_until(const struct dyn_node *node, const struct dyn_request *request)
{
	uint64_t wait_ms = (request->deadline_ms - node->now_ms) / 2;
	uint64_t wait_ms_max = (uint64_t) HEAR_ALL_HEDGES * node->config.hedge_ms;

	return node->now_ms + (wait_ms < wait_ms_max ? wait_ms : wait_ms_max);
}

/* First learn what R owners know. */
void
dyn_put_read_owners(struct dyn_node *node, struct dyn_request *request,
					uint32_t op)
{
	struct dyn_put_op *put = &request->puts[op];

	put->phase = DYN_PUT_READING;
	put->read.key = put->key;
	put->read.request_id = &put->id;
	put->read.request_mark = put->mark;
	/* What a check or a retry must know, only owners know for certain. */
	put->read.owners_only = !put->seeding;
	if (put->message->retry)
		put->read.all_until_ms = hear_all_until(node, request);
	dyn_read_begin(node, request, op, put->partition,
				   (uint8_t) dyn_bucket_r(node, request->bucket, 0));
}

void
dyn_put_read(struct dyn_node *node, struct dyn_request *request, uint32_t op,
			 bool enough)
{
	struct dyn_put_op *put = &request->puts[op];
	struct dyn_object found;
	enum dyn_status status;

	if (put->phase != DYN_PUT_READING)
		return;
	if (!enough && put->mending)
	{
		dyn_put_hand_on(node, request, op);
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
		dyn_put_decide(node, request, op, DYN_STATUS_NO_QUORUM,
					   dyn_receipt_text(node, &request->arena, put->partition,
										&put->read.quorum));
		return;
	}
	status = dyn_read_merge(node, request, &put->read, &put->read_object);
	if (status == DYN_STATUS_OVERLOAD)
	{
		dyn_put_refuse_for_now(node, request, op);
		return;
	}
	/* It is kept encoded until the put has its turn at the key: many small
	 * versions take several times as much when they are decoded. */
	if (status == DYN_STATUS_OK && put->read_object.size != 0)
		status = dyn_object_decode(put->read_object, &node->scratch.allocator,
								   &found);
	if (status != DYN_STATUS_OK)
		dyn_put_decide(node, request, op, DYN_STATUS_INTERNAL,
					   "an owner answered with a malformed object");
	else
		load(node, request, op);
}

/* --------------------------------------------------------------- writing */

static void
committed(struct dyn_node *node, struct dyn_request *request, uint32_t op,
		  enum dyn_status status, bool carried)
{
	struct dyn_writing *writing = &request->puts[op].writing;
	struct dyn_call_item item = { .op = op,
								  .slot = writing->own_slot,
								  .fallback = writing->stands_in };

	if (status != DYN_STATUS_OK && carried)
		status = DYN_STATUS_UNKNOWN;
	dyn_write_answer(node, request, &item, status);
}

/* Look whether an owner is so late that a fallback should stand in. */
static void
hedge(struct dyn_node *node, struct dyn_request *request)
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
	if (!request->ended)
		dyn_read_hedge(node, request);
}

static void
expire(struct dyn_node *node, struct dyn_request *request)
{
	uint32_t count = request->op_count;

	for (uint32_t op = 0; op < count; op++)
	{
		struct dyn_put_op *put = &request->puts[op];

		if (put->phase == DYN_PUT_READING)
			dyn_put_decide(node, request, op, DYN_STATUS_TIMEOUT,
						   dyn_receipt_text(node, &request->arena,
											put->partition, &put->read.quorum));
		else if (put->phase == DYN_PUT_LOADING)
			dyn_put_decide(node, request, op, DYN_STATUS_TIMEOUT,
						   "the node's own store did not answer in time");
		else if (put->phase == DYN_PUT_FORWARDED)
			dyn_put_forward_lost(node, request, op, DYN_STATUS_OK);
		else if (put->phase != DYN_PUT_DECIDED)
			dyn_put_decide(node, request, op,
						   dyn_write_may_exist(&put->writing)
							   ? DYN_STATUS_UNKNOWN
							   : DYN_STATUS_TIMEOUT,
						   dyn_put_write_text(node, request, put));
	}
}

static void
replicated(struct dyn_node *node, struct dyn_request *request,
		   const struct dyn_call_item *item, bool lost, enum dyn_status status)
{
	if (lost && status == DYN_STATUS_OK)
		status = DYN_STATUS_UNKNOWN;
	dyn_write_answer(node, request, item, status);
}

static void
forwarded(struct dyn_node *node, struct dyn_request *request,
		  const struct dyn_call_item *item, const Dyn__PutResult *result,
		  enum dyn_status status)
{
	if (result != NULL)
		dyn_put_forward_answer(node, request, item->op, result);
	else
		dyn_put_forward_lost(node, request, item->op, status);
}

const struct dyn_request_kind dyn_put_kind = {
	.name = "put",
	.makes_objects = true,
	.expire = expire,
	.hedge = hedge,
	.apply = dyn_put_apply,
	.committed = committed,
	.loaded = dyn_read_loaded,
	.read_answered = dyn_read_answered,
	.replicated = replicated,
	.forwarded = forwarded,
};
