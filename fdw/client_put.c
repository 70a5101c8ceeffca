/*-------------------------------------------------------------------------
 *
 * client_put.c
 *		Multi-put: batches to the coordinators, in parallel.
 *
 * A write goes to the first owner of its key that can be reached.  An owner
 * that refuses for a reason of its own, or is lost, is followed by the next
 * one; when the first may have applied it, the retry is marked, and carries
 * the same request id, so that it makes no second row.  What was once on its
 * way and never answered stays UNKNOWN, whatever refuses it later.  A node
 * that has no room for a write now is sent the same write again later, and
 * less at a time (window.h).
 *
 *-------------------------------------------------------------------------
 */
#include "avoid.h"

#include "model/hash.h"
#include "utils/memutils.h"
#include "window.h"

enum
{
	BYTES_PER_FRAME = 1024 * 1024,
	LOOK_AHEAD = 8192,			/* writes for other nodes than one that is busy */
	SILENT_MS = 1500,			/* then another owner is asked for a few writes */
	FEW_OPS = 16				/* a large frame may take its time */
};

typedef struct PutState
{
	uint16		partition;
	uint8		tried;			/* slots */
	int8		slot;			/* of the present attempt */
	bool		was_lost;		/* an attempt may have been applied */
	bool		done;
	bool		queued;			/* in a frame on its way */
	uint8		request_id[16];
	uint16		cell;
	int			rank;			/* place in the order of sending */
} PutState;

typedef struct Batch
{
	int		   *indexes;
	int			count;
	int			capacity;
	TimestampTz give_up_at;
} Batch;

typedef struct Put
{
	DynamoCluster *cluster;
	DynamoPut  *puts;
	int			nputs;
	int			w;
	int			timeout_ms;		/* without any progress */
	TimestampTz limit;			/* of the whole */
	TimestampTz deadline;		/* moves on with each write that is done */
	DynamoRequestStats *stats;
	PutState   *states;
	int		   *order;			/* of sending: as the stores keep records */
	DynamoCallGroup *group;
	MemoryContext results;
	int			undone;
	DynamoWindow *windows;		/* by node */
	TimestampTz now;			/* when sending began */
	TimestampTz resume_at;		/* when a node may be sent to again */
	int			cursor;			/* all of order before it is done or queued */
} Put;

static char *
keep_text(Put *put, const char *text)
{
	return text && text[0] ? MemoryContextStrdup(put->results, text) : NULL;
}

static void
move_deadline(Put *put)
{
	put->deadline =
		Min(put->limit, TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													put->timeout_ms));
}

static void
finish(Put *put, int index, enum dyn_status status, const char *text)
{
	PutState   *state = &put->states[index];

	if (state->done)
		return;
	if (status != DYN_STATUS_OK && state->was_lost)
		status = DYN_STATUS_UNKNOWN;
	state->done = true;
	put->puts[index].status = status;
	put->puts[index].text = keep_text(put, text);
	put->undone--;
}

/* An owner not tried yet that can be reached: its node, or -1. */
static int
choose_node(Put *put, int index)
{
	PutState   *state = &put->states[index];
	int			n = dynfdw_cluster_ring(put->cluster)->replica_count;

	/* Those who were silent, or take nothing any more, come last. */
	for (int s = 0; s < 2 * n; s++)
	{
		int			slot = s % n;
		int			node;

		if (state->tried & (1 << slot))
			continue;
		node = dynfdw_cluster_owner(put->cluster, state->partition, slot);
		if (node < 0 ||
			(dynfdw_node_suspect(put->cluster, node) ||
			 dynfdw_window_is_stuck(&put->windows[node], put->now)) != (s >= n))
			continue;
		state->slot = (int8) slot;
		return node;
	}
	return -1;
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
		finish(put, index,
			   one->status != DYN_STATUS_OK ? one->status : DYN_STATUS_UNKNOWN,
			   one->text ? one->text : "no owner of the key answered");
		return;
	}
	initStringInfo(&text);
	appendStringInfoString(&text, "no owner of the key can be reached: ");
	for (int slot = 0; slot < n; slot++)
		appendStringInfo(&text, "%s%s", slot ? ", " : "",
						 dynfdw_cluster_owner_address(put->cluster,
													  state->partition, slot));
	finish(put, index, DYN_STATUS_NO_QUORUM, text.data);
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

static bool
send_batch(Put *put, int node, Batch *batch)
{
	Dyn__PutRequest request = DYN__PUT_REQUEST__INIT;
	Dyn__PutOp *ops = palloc(batch->count * sizeof(*ops));
	DynamoCall *call;

	request.bucket = dyn_bytes_of_slice(put->puts[batch->indexes[0]].bucket);
	request.w = put->w;
	/* The coordinators are chosen here: no need to forward. */
	request.n_ops = batch->count;
	request.ops = palloc(batch->count * sizeof(*request.ops));
	for (int i = 0; i < batch->count; i++)
	{
		fill_op(put, batch->indexes[i], &ops[i]);
		request.ops[i] = &ops[i];
	}
	call = dynfdw_call(put->group, node, DYN_MESSAGE_PUT, &request.base,
					   put->deadline);
	if (call == NULL)
		return false;
	batch->give_up_at =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
									batch->count <= FEW_OPS ? SILENT_MS
									: Max(SILENT_MS, put->timeout_ms));
	call->owner = batch;
	dynfdw_window_sent(&put->windows[node], batch->count);
	for (int i = 0; i < batch->count; i++)
	{
		put->states[batch->indexes[i]].queued = true;
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
	Batch	   *batch;

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
	size_t	   *bytes = palloc0(nnodes * sizeof(*bytes));
	int			passed_over = 0;

	put->now = GetCurrentTimestamp();
	put->resume_at = DT_NOEND;
	while (put->cursor < put->nputs &&
		   (put->states[put->order[put->cursor]].done ||
			put->states[put->order[put->cursor]].queued))
		put->cursor++;
	for (int rank = put->cursor; rank < put->nputs; rank++)
	{
		int			i = put->order[rank];
		int			node;
		Batch	   *batch;

		if (put->states[i].done || put->states[i].queued)
			continue;
		node = choose_node(put, i);
		if (node < 0)
		{
			give_up(put, i);
			continue;
		}
		batch = open[node];
		if (batch != NULL &&
			(batch->count == batch->capacity || bytes[node] > BYTES_PER_FRAME ||
			 !dyn_slice_equal(put->puts[batch->indexes[0]].bucket,
							  put->puts[i].bucket)))
		{
			open[node] = NULL;
			bytes[node] = 0;
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
		bytes[node] += op_bytes(&put->puts[i]);
	}
	for (int node = 0; node < nnodes; node++)
		if (open[node] != NULL)
			(void) send_batch(put, node, open[node]);
}

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
	state->tried |= (uint8) (1 << state->slot);
	put->puts[index].status = status;
	put->puts[index].text = keep_text(put, text);
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
		one->text = keep_text(put, text);
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
	finish(put, index, status, result->text);
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
			finish(put, index, status, text);
		else
			try_next(put, index, refused ? status : DYN_STATUS_UNKNOWN, text,
					 !refused);
	}
	dynfdw_window_answered(&put->windows[call->node], call->sent_at,
						   batch->count, later);
	if (put->undone < undone)
		move_deadline(put);
	if (reply != NULL)
	{
		dynfdw_cluster_digest(put->cluster, reply->ring_digest);
		dynfdw_cluster_bucket_digest(put->cluster, reply->bucket_digest);
	}
	dynfdw_call_end(call);
}

/* Take what has come, and give up on who is silent. */
static void
collect(Put *put)
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

static void
send_more(Put *put)
{
	MemoryContext old = CurrentMemoryContext;
	MemoryContext temporary = AllocSetContextCreate(old, "dynamo_fdw frames",
													ALLOCSET_DEFAULT_SIZES);

	MemoryContextSwitchTo(temporary);
	send_some(put);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(temporary);
}

/*
 * Until there is news, somebody has been silent for too long, or a node may be
 * sent to again.  False when the time is up.
 */
static bool
wait_for_news(Put *put)
{
	TimestampTz next = Min(put->deadline, put->resume_at);
	dlist_iter	iter;

	/* A node was lost while sending: choose anew. */
	if (dlist_is_empty(&put->group->calls) && put->resume_at == DT_NOEND)
		return GetCurrentTimestamp() < put->deadline;
	dlist_foreach(iter, &put->group->calls)
	{
		DynamoCall *call = dlist_container(DynamoCall, in_group, iter.cur);

		next = Min(next, ((Batch *) call->owner)->give_up_at);
	}
	return dynfdw_wait(put->cluster, next, put->stats) ||
		GetCurrentTimestamp() < put->deadline;
}

/* The time is up. */
static void
expire(Put *put)
{
	for (int i = 0; i < put->nputs; i++)
	{
		PutState   *state = &put->states[i];

		if (state->done)
			continue;
		if (state->queued)
			state->was_lost = true;
		if (!put->puts[i].sent)
			finish(put, i, DYN_STATUS_TIMEOUT, "the time was up before it was sent");
		else if (!state->was_lost)
			/* Whoever it was sent to has refused it. */
			finish(put, i, put->puts[i].status, put->puts[i].text);
		else
			finish(put, i, DYN_STATUS_UNKNOWN,
				   put->puts[i].text ? put->puts[i].text
				   : "no answer before the time was up");
	}
}

static int
compare_places(const void *a, const void *b, void *arg)
{
	Put		   *put = arg;
	int			i = *(const int *) a;
	int			j = *(const int *) b;
	int			order = dyn_slice_compare(put->puts[i].bucket,
										  put->puts[j].bucket);

	if (order == 0)
		order = (int) put->states[i].cell - (int) put->states[j].cell;
	if (order == 0)
		order = dyn_slice_compare(put->puts[i].key, put->puts[j].key);
	return order ? order : i - j;
}

/*
 * Send in the order in which the stores keep records (bucket, cell, key):
 * then the records of a frame lie on few pages, and a commit writes few.  In
 * random order each record of a bulk load costs a page of its own.
 */
static void
sort_places(Put *put)
{
	put->order = MemoryContextAllocHuge(CurrentMemoryContext,
										put->nputs * sizeof(int));
	for (int i = 0; i < put->nputs; i++)
		put->order[i] = i;
	qsort_arg(put->order, put->nputs, sizeof(int), compare_places, put);
	for (int rank = 0; rank < put->nputs; rank++)
		put->states[put->order[rank]].rank = rank;
}

static void
prepare(Put *put)
{
	uint16		partition_count =
		dynfdw_cluster_ring(put->cluster)->partition_count;
	uint8		random[16];

	/* Drawn once for the statement; the writes are numbered. */
	if (!pg_strong_random(random, sizeof(random)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not draw random numbers for request ids")));
	for (int i = 0; i < put->nputs; i++)
	{
		DynamoPut  *one = &put->puts[i];
		uint32		number = (uint32) i;

		one->status = DYN_STATUS_ABORTED;
		one->text = NULL;
		one->sent = false;
		memset(&one->result, 0, sizeof(one->result));
		memcpy(put->states[i].request_id, random, sizeof(random));
		for (int byte = 0; byte < 4; byte++)
			put->states[i].request_id[12 + byte] ^=
				(uint8) (number >> (8 * byte));
		put->states[i].cell =
			dyn_hash_cell(dyn_hash_position(one->bucket, one->key));
		put->states[i].partition =
			dyn_hash_partition(put->states[i].cell, partition_count);
	}
	sort_places(put);
}

/* With an error, a cancel above all: what has become of the writes. */
static void
tell_outcome(void *arg)
{
	Put		   *put = arg;
	int			applied = 0;
	int			unknown = 0;

	for (int i = 0; i < put->nputs; i++)
	{
		applied += put->states[i].done &&
			put->puts[i].status == DYN_STATUS_OK;
		unknown += put->puts[i].status == DYN_STATUS_UNKNOWN;
	}
	errcontext("sending %d writes to a Dynamo cluster: %d were applied, %d perhaps",
			   put->nputs, applied, unknown);
}

void
dynfdw_multi_put(DynamoCluster *cluster, DynamoPut *puts, int nputs,
				 const DynamoRequestOptions *options,
				 DynamoRequestStats *stats)
{
	MemoryContext results = CurrentMemoryContext;
	MemoryContext working = AllocSetContextCreate(results, "dynamo_fdw put",
												  ALLOCSET_DEFAULT_SIZES);
	DynamoRequestStats unused = {0};
	ErrorContextCallback context;
	Put			put = {.cluster = cluster,.puts = puts,.nputs = nputs,
		.stats = stats ? stats : &unused,.results = results,
	.undone = nputs};

	if (nputs == 0)
		return;
	MemoryContextSwitchTo(working);
	put.limit = options->limit_ms > 0
		? TimestampTzPlusMilliseconds(GetCurrentTimestamp(), options->limit_ms)
		: DT_NOEND;
	dynfdw_cluster_ready_by(cluster, put.limit);
	put.w = dynfdw_cluster_w(cluster, options);
	put.timeout_ms = dynfdw_cluster_timeout_ms(cluster, options);
	move_deadline(&put);
	put.states = MemoryContextAllocExtended(working, nputs * sizeof(PutState),
											MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	put.windows = palloc(dynfdw_cluster_node_count(cluster) *
						 sizeof(*put.windows));
	for (int node = 0; node < dynfdw_cluster_node_count(cluster); node++)
		dynfdw_window_init(&put.windows[node]);
	put.group = dynfdw_group_begin(cluster, put.stats);
	put.stats->keys += nputs;
	prepare(&put);
	context.callback = tell_outcome;
	context.arg = &put;
	context.previous = error_context_stack;
	error_context_stack = &context;
	while (put.undone > 0)
	{
		collect(&put);
		if (put.undone > 0)
			send_more(&put);
		if (put.undone > 0 && !wait_for_news(&put))
			expire(&put);
	}
	error_context_stack = context.previous;
	MemoryContextSwitchTo(results);
	MemoryContextDelete(working);
}

void
dynfdw_put_error(DynamoCluster *cluster, const DynamoPut *put)
{
	dynfdw_raise(put->status, "could not write to the cluster", put->text);
}
