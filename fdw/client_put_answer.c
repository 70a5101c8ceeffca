/*-------------------------------------------------------------------------
 *
 * client_put_answer.c
 *		What nodes say of the writes that they were sent.
 *
 *-------------------------------------------------------------------------
 */
#include "client_put.h"

#include "utils/memutils.h"

enum
{
	LATE_MAX = 4				/* then another node is tried */
};

/* A definite no: if none of its attempts may have acted, the next one is as
 * good as the first. */
static void
was_refused(Put *put, int index, enum dyn_status status)
{
	PutState   *state = &put->states[index];

	state->queued = false;
	if (!state->was_lost)
		state->first_sent_at = 0;
	/* For whoever is told when an interrupt ends the waiting. */
	put->puts[index].status = state->was_lost ? DYN_STATUS_UNKNOWN : status;
	put->cursor = Min(put->cursor, state->rank);
}

static void
try_next(Put *put, int index, enum dyn_status status, const char *text,
		 bool maybe_applied)
{
	PutState   *state = &put->states[index];

	state->was_retried |= maybe_applied && state->was_lost;
	state->was_lost |= maybe_applied;
	was_refused(put, index, status);
	state->late = 0;
	if (state->slot == DYNFDW_NO_SLOT)
		state->handed_on = true;
	else
		state->tried |= (uint8) (1 << state->slot);
	put->puts[index].text = dynfdw_put_keep_text(put, text);
}

/*
 * It has no room now, or read the write too late, and nobody has seen it: the
 * same one again, with the node's clock as it is told by then.  Who says LATE
 * again and again cannot be helped.  False: another node is to be tried.
 */
static bool
try_later(Put *put, int index, enum dyn_status status, const char *text)
{
	PutState   *state = &put->states[index];
	DynamoPut  *one = &put->puts[index];

	if (status == DYN_STATUS_LATE && ++state->late >= LATE_MAX)
		return false;
	was_refused(put, index, status);
	if (one->text == NULL || strcmp(one->text, text) != 0)
		one->text = dynfdw_put_keep_text(put, text);
	return true;
}

/* Nothing was stored; true when the node is to be asked again later. */
static bool
take_refusal(Put *put, int node, int index, enum dyn_status status,
			 const char *text)
{
	/* By whose clock it was late: perhaps of a process that is no more. */
	if (status == DYN_STATUS_LATE)
		dynfdw_clock_forget(put->cluster, node);
	if ((status == DYN_STATUS_OVERLOAD || status == DYN_STATUS_LATE) &&
		try_later(put, index, status, text))
		return true;
	try_next(put, index, status, text, false);
	return false;
}

/* True: it is to be sent again later. */
static bool
take_result(Put *put, int node, int index, const Dyn__PutResult *result)
{
	enum dyn_status status = dyn_status_is_valid(result->status)
		? (enum dyn_status) result->status : DYN_STATUS_UNKNOWN;
	struct dyn_allocator allocator = dynfdw_allocator(put->results);

	if (put->states[index].done)
		return false;
	if (dyn_status_is_of_node(status))
		return take_refusal(put, node, index, status, result->text);
	if (status == DYN_STATUS_UNKNOWN)
	{
		try_next(put, index, status, result->text, true);
		return false;
	}
	if (status == DYN_STATUS_OK && result->context.len != 0)
		dynfdw_check(dyn_clock_decode(dyn_slice_of_bytes(result->context),
									  false, &allocator,
									  &put->puts[index].result),
					 "a node sent a malformed clock");
	dynfdw_put_finish(put, index, status, result->text);
	return false;
}

/* Results for all that was asked, or an ERROR: else the node has perhaps
 * stored it. */
static bool
is_about(const DynamoCall *call, const Dyn__PutReply *reply,
		 const Batch *batch)
{
	struct dyn_envelope env;
	enum dyn_status status;

	if (reply != NULL)
		return reply->n_results == batch->count;
	status = dyn_envelope_open(call->frame, &env);
	return status == DYN_STATUS_VERSION ||
		(status == DYN_STATUS_OK && env.type == DYN_MESSAGE_ERROR);
}

static void
take_call(Put *put, DynamoCall *call)
{
	Batch	   *batch = call->owner;
	enum dyn_status status = DYN_STATUS_UNKNOWN;
	const char *text = psprintf("no answer from %s",
								dynfdw_cluster_node_address(put->cluster,
															call->node));
	Dyn__PutReply *reply = NULL;
	bool		refused = false;
	int			later = 0;
	int			undone = put->undone;

	if (call->state == DYNAMO_CALL_WAITING)
		dynfdw_node_mute(put->cluster, call->node);
	if (call->state == DYNAMO_CALL_ANSWERED)
	{
		reply = dynfdw_call_reply(call, DYN_MESSAGE_PUT_REPLY, &status, &text);
		if (!is_about(call, reply, batch))
		{
			status = DYN_STATUS_UNKNOWN;
			text = "the answer is malformed";
		}
		refused = reply == NULL && dyn_status_is_of_node(status);
	}
	for (int i = 0; i < batch->count; i++)
	{
		int			index = batch->indexes[i];

		if (reply != NULL && reply->n_results == batch->count)
			later += take_result(put, call->node, index, reply->results[i]);
		else if (refused)
			later += take_refusal(put, call->node, index, status, text);
		else if (status != DYN_STATUS_UNKNOWN)
			dynfdw_put_finish(put, index, status, text);
		else
			try_next(put, index, status, text, true);
	}
	dynfdw_window_answered(&put->windows[call->node], call->sent_at,
						   batch->count, batch->bytes, later);
	if (put->undone < undone)
		dynfdw_put_move_deadline(put);
	if (reply != NULL)
	{
		dynfdw_cluster_digest(put->cluster, reply->ring_digest);
		dynfdw_cluster_bucket_digest(put->cluster, reply->bucket_digest);
	}
	dynfdw_call_end(call);
}

void
dynfdw_put_collect(Put *put)
{
	DynamoMoment now = dynfdw_now();
	MemoryContext old = CurrentMemoryContext;
	MemoryContext temporary = AllocSetContextCreate(old, "dynamo_fdw answers",
													ALLOCSET_DEFAULT_SIZES);
	dlist_mutable_iter iter;

	MemoryContextSwitchTo(temporary);
	dlist_foreach_modify(iter, &put->group->calls)
	{
		DynamoCall *call = dlist_container(DynamoCall, in_group, iter.cur);
		Batch	   *batch = call->owner;

		if (call->state != DYNAMO_CALL_WAITING || batch->give_up_at <= now)
			take_call(put, call);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(temporary);
}
