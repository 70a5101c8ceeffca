/*-------------------------------------------------------------------------
 *
 * client_put.c
 *		Multi-put: batches to the coordinators, in parallel.
 *
 *-------------------------------------------------------------------------
 */
#include "client_put.h"

#include "model/hash.h"
#include "utils/memutils.h"

char *
dynfdw_put_keep_text(Put *put, const char *text)
{
	return text && text[0] ? MemoryContextStrdup(put->results, text) : NULL;
}

void
dynfdw_put_move_deadline(Put *put)
{
	put->deadline =
		Min(put->limit, dynfdw_after(dynfdw_now(), put->timeout_ms));
}

void
dynfdw_put_finish(Put *put, int index, enum dyn_status status,
				  const char *text)
{
	PutState   *state = &put->states[index];

	if (state->done)
		return;
	if (status != DYN_STATUS_OK && state->was_lost)
		status = DYN_STATUS_UNKNOWN;
	state->done = true;
	put->puts[index].status = status;
	put->puts[index].text = dynfdw_put_keep_text(put, text);
	put->undone--;
}

/*
 * Until there is news, somebody has been silent for too long, or a node may be
 * sent to again.  False when the time is up.
 */
static bool
wait_for_news(Put *put)
{
	DynamoMoment next = Min(put->deadline, put->resume_at);
	dlist_iter	iter;

	/* A node was lost while sending: choose anew. */
	if (dlist_is_empty(&put->group->calls) && put->resume_at == DYNAMO_NEVER)
		return dynfdw_now() < put->deadline;
	dlist_foreach(iter, &put->group->calls)
	{
		DynamoCall *call = dlist_container(DynamoCall, in_group, iter.cur);

		next = Min(next, ((Batch *) call->owner)->give_up_at);
	}
	return dynfdw_wait(put->cluster, next, put->stats) ||
		dynfdw_now() < put->deadline;
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
			dynfdw_put_finish(put, i, DYN_STATUS_TIMEOUT,
							  "the time was up before it was sent");
		else if (!state->was_lost)
			/* Whoever it was sent to has refused it. */
			dynfdw_put_finish(put, i, put->puts[i].status, put->puts[i].text);
		else
			dynfdw_put_finish(put, i, DYN_STATUS_UNKNOWN,
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
		? dynfdw_after(dynfdw_now(), options->limit_ms)
		: DYNAMO_NEVER;
	dynfdw_cluster_ready_by(cluster, put.limit);
	put.w = dynfdw_cluster_w(cluster, options);
	put.timeout_ms = dynfdw_cluster_timeout_ms(cluster, options);
	dynfdw_put_move_deadline(&put);
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
	/* Meeting the cluster may have taken all the time there was. */
	if (dynfdw_now() >= put.limit)
		expire(&put);
	while (put.undone > 0)
	{
		dynfdw_put_collect(&put);
		if (put.undone > 0)
			dynfdw_put_send(&put);
		if (put.undone > 0 && !wait_for_news(&put))
			expire(&put);
	}
	error_context_stack = context.previous;
	MemoryContextSwitchTo(results);
	MemoryContextDelete(working);
}
