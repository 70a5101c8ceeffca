/*-------------------------------------------------------------------------
 *
 * client_put_send.c
 *		Writes to the coordinators: whom each goes to, how many in a frame.
 *
 *-------------------------------------------------------------------------
 */
#include "client_put.h"

#include "miscadmin.h"
#include "utils/memutils.h"

enum
{
	BYTES_PER_FRAME = 1024 * 1024,
	LOOK_AHEAD = 8192,			/* writes for other nodes than one that is busy */
	SILENT_MS = 1500,			/* then another owner is asked for a few writes */
	FEW_OPS = 16,				/* more, ... */
	FEW_BYTES = 256 * 1024,		/* ... or larger ones, may take their time */
	OWNERS_TRIED = 3,			/* even so, within DYN_OP_LIMIT_MS */
	ROUND_PAUSE_MS = 100,
	ROUNDS_MAX = 8
};

/* Is it checked against what is there? */
static bool
is_checked(const DynamoPut *one)
{
	return one->mode == DYNAMO_PUT_GUARDED || one->mode == DYNAMO_PUT_CREATE;
}

static bool
is_silent(const Put *put, int node, bool checked)
{
	return checked ? dynfdw_node_is_mute(put->cluster, node)
		: dynfdw_node_suspect(put->cluster, node);
}

/* Silent, or it takes nothing any more: others first. */
static bool
comes_last(const Put *put, int node, bool checked)
{
	if (is_silent(put, node, checked))
	{
		if (checked)
			dynfdw_ask_whether_back(put->cluster, node);
		return true;
	}
	return !checked && dynfdw_window_is_stuck(&put->windows[node], put->now);
}

/* An owner not tried yet that can be reached: its node, or -1. */
static int
choose_owner(const Put *put, PutState *state, bool checked, bool last)
{
	int			n = dynfdw_cluster_ring(put->cluster)->replica_count;

	for (int slot = 0; slot < n; slot++)
	{
		int			node = dynfdw_cluster_owner(put->cluster, state->partition,
												slot);

		if ((state->tried & (1 << slot)) != 0 || node < 0 ||
			comes_last(put, node, checked) != last)
			continue;
		state->slot = (int8) slot;
		return node;
	}
	return -1;
}

/* Who only has no room now is not away: to whoever else is asked, it says the
 * same. */
static bool
are_owners_away(const Put *put, const PutState *state, bool checked)
{
	int			n = dynfdw_cluster_ring(put->cluster)->replica_count;

	for (int slot = 0; slot < n; slot++)
	{
		int			node = dynfdw_cluster_owner(put->cluster, state->partition,
												slot);

		if (node >= 0 && !is_silent(put, node, checked))
			return false;
	}
	return true;
}

/*
 * A node that owns nothing of the key hands the write on to whoever stands in
 * for the owners, or to an owner that it can reach itself.  One such node is
 * asked, and only when nobody may have the write: a retry needs owners.
 */
static int
choose_stand_in(const Put *put, PutState *state, bool checked)
{
	int			nnodes = dynfdw_cluster_node_count(put->cluster);
	int			first = checked ? state->partition : MyProcPid;

	if (state->tried != 0 || state->was_lost || state->handed_on ||
		!are_owners_away(put, state, checked))
		return -1;
	for (int i = 0; i < nnodes; i++)
	{
		int			node = (i + first) % nnodes;

		if (!dynfdw_node_usable(put->cluster, node) ||
			comes_last(put, node, checked))
			continue;
		state->slot = DYNFDW_NO_SLOT;
		return node;
	}
	return -1;
}

static int
choose_node(const Put *put, int index)
{
	PutState   *state = &put->states[index];
	bool		checked = is_checked(&put->puts[index]);
	int			node = choose_owner(put, state, checked, false);

	if (node < 0)
		node = choose_stand_in(put, state, checked);
	return node >= 0 ? node : choose_owner(put, state, checked, true);
}

/* One more attempt would still be on its way when nodes begin to forget that
 * they know the write. */
static bool
is_over(const Put *put, const PutState *state)
{
	return state->first_sent_at != 0 &&
		put->now > dynfdw_after(state->first_sent_at,
								DYN_OP_LIMIT_MS - SILENT_MS);
}

/* All owners were asked, and one of them may have done it: ask again, for as
 * long as there is time. */
static bool
begin_round(Put *put, PutState *state)
{
	if (!state->was_lost || state->round == ROUNDS_MAX ||
		is_over(put, state) ||
		put->deadline < dynfdw_after(put->now, SILENT_MS))
		return false;
	state->round++;
	state->tried = 0;
	state->not_before = dynfdw_after(put->now, ROUND_PAUSE_MS);
	return true;
}

/* No round begins too early. */
static bool
is_paused(Put *put, const PutState *state)
{
	if (state->not_before <= put->now)
		return false;
	put->resume_at = Min(put->resume_at, state->not_before);
	return true;
}

static void
give_up(Put *put, int index)
{
	PutState   *state = &put->states[index];
	DynamoPut  *one = &put->puts[index];
	int			n = dynfdw_cluster_ring(put->cluster)->replica_count;
	StringInfoData text;

	if (one->text != NULL || one->sent)
	{
		/* What the last owner said stands. */
		dynfdw_put_finish(put, index,
						  one->status != DYN_STATUS_OK ? one->status
						  : DYN_STATUS_UNKNOWN,
						  one->text ? one->text
						  : "no owner of the key answered");
		return;
	}
	initStringInfo(&text);
	appendStringInfoString(&text, "no owner of the key can be reached: ");
	for (int slot = 0; slot < n; slot++)
		appendStringInfo(&text, "%s%s", slot ? ", " : "",
						 dynfdw_cluster_owner_address(put->cluster,
													  state->partition, slot));
	dynfdw_put_finish(put, index, DYN_STATUS_NO_QUORUM, text.data);
}

static void
fill_op(Put *put, int index, Dyn__PutOp *op)
{
	DynamoPut  *one = &put->puts[index];
	PutState   *state = &put->states[index];
	struct dyn_allocator allocator = dynfdw_allocator(CurrentMemoryContext);
	struct dyn_slice context;

	dyn__put_op__init(op);
	op->key = dyn_bytes_of_slice(one->key);
	op->request_id.data = state->request_id;
	op->request_id.len = sizeof(state->request_id);
	op->mode = (Dyn__PutMode) one->mode;
	op->retry = state->was_lost;
	op->retried = state->was_retried;
	op->n_values = one->nvalues;
	op->values = palloc(one->nvalues * sizeof(*op->values));
	for (int i = 0; i < one->nvalues; i++)
		op->values[i] = dyn_bytes_of_slice(one->values[i]);
	if (dyn_clock_is_empty(&one->context))
		return;
	dynfdw_check(dyn_clock_encode(&one->context, &allocator, &context),
				 "could not make a request");
	op->context = dyn_bytes_of_slice(context);
}

/* How long a node may take for a frame, with all that it has still to do for
 * us before; so that there is time for another owner. */
static int
patience_ms(const Put *put, const DynamoWindow *window, const Batch *batch)
{
	int			ms = Min(put->timeout_ms / 2, DYN_OP_LIMIT_MS / OWNERS_TRIED);
	int			round = put->states[batch->indexes[0]].round;

	if (window->in_flight + batch->count <= FEW_OPS &&
		window->bytes + batch->bytes <= FEW_BYTES)
		ms = 0;
	return Max(ms, Min(SILENT_MS << round, DYN_OP_LIMIT_MS / OWNERS_TRIED));
}

/* Until when its answer is awaited, and it may act. */
static DynamoMoment
give_up_at(const Put *put, int node, const Batch *batch, DynamoMoment now)
{
	DynamoMoment until =
		Min(put->deadline,
			dynfdw_after(now, patience_ms(put, &put->windows[node], batch)));

	for (int i = 0; i < batch->count; i++)
	{
		DynamoMoment first = put->states[batch->indexes[i]].first_sent_at;

		until = Min(until, dynfdw_after(first != 0 ? first : now,
										DYN_OP_LIMIT_MS));
	}
	return until;
}

static bool
send_batch(Put *put, int node, Batch *batch)
{
	DynamoMoment now = dynfdw_now();
	Dyn__PutRequest request = DYN__PUT_REQUEST__INIT;
	Dyn__PutOp *ops = palloc(batch->count * sizeof(*ops));
	DynamoCall *call;

	request.bucket = dyn_bytes_of_slice(put->puts[batch->indexes[0]].bucket);
	request.w = put->w;
	request.n_ops = batch->count;
	request.ops = palloc(batch->count * sizeof(*request.ops));
	for (int i = 0; i < batch->count; i++)
	{
		fill_op(put, batch->indexes[i], &ops[i]);
		request.ops[i] = &ops[i];
	}
	batch->give_up_at = give_up_at(put, node, batch, now);
	dynfdw_act_until(put->cluster, node, batch->give_up_at, &request);
	call = dynfdw_call(put->group, node, DYN_MESSAGE_PUT, &request.base,
					   put->deadline);
	if (call == NULL)
		return false;
	call->owner = batch;
	dynfdw_window_sent(&put->windows[node], batch->count, batch->bytes);
	for (int i = 0; i < batch->count; i++)
	{
		PutState   *state = &put->states[batch->indexes[i]];

		state->queued = true;
		if (state->first_sent_at == 0)
			state->first_sent_at = now;
		put->puts[batch->indexes[i]].sent = true;
		/* Until somebody knows better: an interrupt may end the waiting. */
		put->puts[batch->indexes[i]].status = DYN_STATUS_UNKNOWN;
	}
	return true;
}

static size_t
op_bytes(const DynamoPut *one)
{
	size_t		bytes = one->key.size + 64;

	for (int i = 0; i < one->nvalues; i++)
		bytes += one->values[i].size;
	return bytes;
}

/* An empty frame for the node, as large as its window allows; or NULL. */
static Batch *
open_batch(Put *put, int node)
{
	int			room = dynfdw_window_room(&put->windows[node], put->now);
	DynamoMoment told_by;
	Batch	   *batch;

	if (room > 0 &&
		(told_by = dynfdw_ask_clock(put->cluster, node, SILENT_MS)) != 0)
	{
		put->resume_at = Min(put->resume_at, told_by);
		return NULL;
	}
	if (room == 0)
	{
		if (put->now < put->windows[node].not_before)
			put->resume_at = Min(put->resume_at, put->windows[node].not_before);
		return NULL;
	}
	batch = MemoryContextAllocZero(put->group->context, sizeof(*batch));
	batch->capacity = room;
	batch->indexes = MemoryContextAlloc(put->group->context,
										room * sizeof(int));
	return batch;
}

/*
 * Fill frames with what is neither done nor on its way, as far as the nodes'
 * windows allow.
 */
static void
send_some(Put *put)
{
	int			nnodes = dynfdw_cluster_node_count(put->cluster);
	Batch	  **open = palloc0(nnodes * sizeof(*open));
	int			passed_over = 0;

	dynfdw_take_clocks(put->cluster);
	put->now = dynfdw_now();
	put->resume_at = DYNAMO_NEVER;
	while (put->cursor < put->nputs &&
		   (put->states[put->order[put->cursor]].done ||
			put->states[put->order[put->cursor]].queued))
		put->cursor++;
	for (int rank = put->cursor; rank < put->nputs; rank++)
	{
		int			i = put->order[rank];
		int			node;
		Batch	   *batch;

		if (put->states[i].done || put->states[i].queued ||
			is_paused(put, &put->states[i]))
			continue;
		node = is_over(put, &put->states[i]) ? -1 : choose_node(put, i);
		if (node < 0)
		{
			if (!begin_round(put, &put->states[i]))
				give_up(put, i);
			else
				(void) is_paused(put, &put->states[i]);
			continue;
		}
		batch = open[node];
		if (batch != NULL &&
			(batch->count == batch->capacity ||
			 batch->bytes > BYTES_PER_FRAME ||
			 !dyn_slice_equal(put->puts[batch->indexes[0]].bucket,
							  put->puts[i].bucket)))
		{
			open[node] = NULL;
			if (!send_batch(put, node, batch))
				break;
			batch = NULL;
		}
		if (batch == NULL)
			batch = open[node] = open_batch(put, node);
		if (batch == NULL)
		{
			if (++passed_over == LOOK_AHEAD)
				break;
			continue;
		}
		batch->indexes[batch->count++] = i;
		batch->bytes += op_bytes(&put->puts[i]);
	}
	for (int node = 0; node < nnodes; node++)
		if (open[node] != NULL)
			(void) send_batch(put, node, open[node]);
}

void
dynfdw_put_send(Put *put)
{
	MemoryContext old = CurrentMemoryContext;
	MemoryContext temporary = AllocSetContextCreate(old, "dynamo_fdw frames",
													ALLOCSET_DEFAULT_SIZES);

	MemoryContextSwitchTo(temporary);
	send_some(put);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(temporary);
}
