/*-------------------------------------------------------------------------
 *
 * client_put_answer.c
 *		What nodes say of the writes that they were sent.
 *
 *-------------------------------------------------------------------------
 */
#include "client_put.h"

#include "utils/memutils.h"

/* Would another owner perhaps do it? Nothing was stored for any of these. */
static bool
is_of_this_node(enum dyn_status status)
{
	return status == DYN_STATUS_NOT_OWNER || status == DYN_STATUS_OVERLOAD ||
		status == DYN_STATUS_NOT_READY || status == DYN_STATUS_FULL ||
		status == DYN_STATUS_NO_QUORUM || status == DYN_STATUS_CORRUPT ||
		status == DYN_STATUS_IO_ERROR || status == DYN_STATUS_ABORTED ||
		status == DYN_STATUS_BUILDING || status == DYN_STATUS_FENCED;
}

static void
try_next(Put *put, int index, enum dyn_status status, const char *text,
		 bool maybe_applied)
{
	PutState   *state = &put->states[index];

	state->queued = false;
	state->was_lost |= maybe_applied;
	if (state->slot == DYNFDW_NO_SLOT)
		state->handed_on = true;
	else
		state->tried |= (uint8) (1 << state->slot);
	put->puts[index].status = status;
	put->puts[index].text = dynfdw_put_keep_text(put, text);
	put->cursor = Min(put->cursor, state->rank);
}

/* It has no room now, and nobody has seen the write: the same one again. */
static void
try_later(Put *put, int index, const char *text)
{
	PutState   *state = &put->states[index];
	DynamoPut  *one = &put->puts[index];

	state->queued = false;
	one->status = DYN_STATUS_OVERLOAD;
	if (one->text == NULL || strcmp(one->text, text) != 0)
		one->text = dynfdw_put_keep_text(put, text);
	put->cursor = Min(put->cursor, state->rank);
}

/* False: it is to be sent again later. */
static bool
take_result(Put *put, int index, const Dyn__PutResult *result)
{
	enum dyn_status status = dyn_status_is_valid(result->status)
		? (enum dyn_status) result->status : DYN_STATUS_UNKNOWN;
	struct dyn_allocator allocator = dynfdw_allocator(put->results);

	if (put->states[index].done)
		return true;
	if (status == DYN_STATUS_OVERLOAD)
	{
		try_later(put, index, result->text);
		return false;
	}
	if (is_of_this_node(status))
	{
		try_next(put, index, status, result->text, false);
		return true;
	}
	if (status == DYN_STATUS_OK && result->context.len != 0)
		dynfdw_check(dyn_clock_decode(dyn_slice_of_bytes(result->context),
									  false, &allocator,
									  &put->puts[index].result),
					 "a node sent a malformed clock");
	dynfdw_put_finish(put, index, status, result->text);
	return true;
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
		dynfdw_node_silent(put->cluster, call->node);
	if (call->state == DYNAMO_CALL_ANSWERED)
	{
		reply = dynfdw_call_reply(call, DYN_MESSAGE_PUT_REPLY, &status, &text);
		refused = reply == NULL && is_of_this_node(status);
	}
	for (int i = 0; i < batch->count; i++)
	{
		int			index = batch->indexes[i];

		if (reply != NULL && reply->n_results == batch->count)
			later += !take_result(put, index, reply->results[i]);
		else if (refused && status == DYN_STATUS_OVERLOAD)
		{
			try_later(put, index, text);
			later++;
		}
		else if (call->state == DYNAMO_CALL_ANSWERED && !refused)
			dynfdw_put_finish(put, index, status, text);
		else
			try_next(put, index, refused ? status : DYN_STATUS_UNKNOWN, text,
					 !refused);
	}
	dynfdw_window_answered(&put->windows[call->node], call->sent_at,
						   batch->count, later);
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
	TimestampTz now = GetCurrentTimestamp();
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
