/*-------------------------------------------------------------------------
 *
 * client_get.c
 *		Multi-get: R owners asked directly, all at once.
 *
 * The object comes from one owner, hashes from the others (Dynamo 2007,
 * section 6.4: client-driven coordination).  A key on which R owners agree is
 * done in one round trip.  All others (they differ, one is silent, lost, or
 * cannot say) go to a coordinated GET, which also repairs; a coordinator that
 * is silent in its turn is not waited for alone.
 *
 *-------------------------------------------------------------------------
 */
#include "avoid.h"

#include "miscadmin.h"
#include "model/hash.h"
#include "utils/memutils.h"

enum
{
	KEYS_PER_FRAME = 1024,
	HEDGE_MS = 100,				/* without an answer: a coordinator is asked */
	KEYS_PER_MS = 1,			/* ... later, when many keys were asked for */
	COORDINATOR_SILENT_MS = 300,	/* then another one is asked, too */
	COORDINATORS_MAX = 2		/* at once */
};

typedef struct KeyState
{
	uint16		partition;
	uint8		answers;		/* of owners that know the key or its absence */
	bool		settled;
	bool		disagreed;		/* to be read by a coordinator */
	bool		left_out;		/* the answer was full: to be asked again */
	bool		absent;
	uint64		hash;
	struct dyn_slice object;
} KeyState;

typedef struct Get
{
	DynamoCluster *cluster;
	struct dyn_slice bucket;
	const struct dyn_slice *keys;
	int			nkeys;
	int			r;
	const DynamoRequestOptions *options;
	DynamoMoment deadline;		/* of what is being asked now */
	DynamoRequestStats *stats;
	KeyState   *states;
	DynamoCallGroup *group;
} Get;

/* The keys of one frame to one node; a call's owner. */
typedef struct KeyList
{
	int		   *indexes;
	int			count;
	int			capacity;
} KeyList;

static void
add_key(KeyList *list, int index)
{
	if (list->count == list->capacity)
	{
		list->capacity = list->capacity ? list->capacity * 2 : 8;
		list->indexes = list->indexes
			? repalloc(list->indexes, list->capacity * sizeof(int))
			: palloc(list->capacity * sizeof(int));
	}
	list->indexes[list->count++] = index;
}

static ProtobufCBinaryData *
key_array(const Get *get, const int *indexes, int count)
{
	ProtobufCBinaryData *array = palloc(count * sizeof(*array));

	for (int i = 0; i < count; i++)
		array[i] = dyn_bytes_of_slice(get->keys[indexes[i]]);
	return array;
}

/* ---------------------------------------------------------- direct reads */

static void
send_reads(Get *get, int node, KeyList *list, bool hash_only)
{
	for (int first = 0; first < list->count; first += KEYS_PER_FRAME)
	{
		int			count = Min(KEYS_PER_FRAME, list->count - first);
		Dyn__ReadRequest request = DYN__READ_REQUEST__INIT;
		DynamoCall *call;
		KeyList    *part = palloc0(sizeof(*part));

		request.bucket = dyn_bytes_of_slice(get->bucket);
		request.hash_only = hash_only;
		request.n_keys = count;
		request.keys = key_array(get, list->indexes + first, count);
		part->indexes = list->indexes + first;
		part->count = count;
		call = dynfdw_call(get->group, node, DYN_MESSAGE_READ, &request.base,
						   get->deadline);
		if (call != NULL)
		{
			call->owner = part;
			call->number = hash_only;
			continue;
		}
		for (int i = 0; i < count; i++)
			get->states[part->indexes[i]].disagreed = true;
	}
}

/*
 * R reachable owners of each key: one for the object, the others for hashes.
 * Who comes first differs between backends, to spread the load; those who
 * were silent, or say that they are being filled, come last.
 */
static void
ask_owners(Get *get)
{
	int			nnodes = dynfdw_cluster_node_count(get->cluster);
	int			n = dynfdw_cluster_ring(get->cluster)->replica_count;
	KeyList    *objects = palloc0(nnodes * sizeof(KeyList));
	KeyList    *hashes = palloc0(nnodes * sizeof(KeyList));

	dynfdw_ask_building(get->cluster);
	for (int i = 0; i < get->nkeys; i++)
	{
		KeyState   *state = &get->states[i];
		int			found = 0;

		if (state->settled || state->disagreed)
			continue;
		state->answers = 0;
		state->left_out = false;
		for (int s = 0; s < 2 * n && found < get->r; s++)
		{
			int			slot = (s + MyProcPid) % n;
			int			node = dynfdw_cluster_owner(get->cluster,
													state->partition, slot);

			if (node < 0 ||
				dynfdw_reads_elsewhere(get->cluster, node,
									   state->partition) != (s >= n))
				continue;
			add_key(found == 0 ? &objects[node] : &hashes[node], i);
			found++;
		}
		if (found < get->r)
			state->disagreed = true;
	}
	for (int node = 0; node < nnodes; node++)
	{
		send_reads(get, node, &objects[node], false);
		send_reads(get, node, &hashes[node], true);
	}
}

static void
take_result(Get *get, const DynamoCall *call, KeyState *state,
			const Dyn__ReadResult *result)
{
	bool		absent = result->status == DYN_STATUS_NOT_FOUND;

	if (result->status == DYN_STATUS_TOO_LARGE)
	{
		state->left_out = true;
		return;
	}
	if (result->status == DYN_STATUS_BUILDING)
		dynfdw_node_building(get->cluster, call->node, state->partition);
	if (result->status != DYN_STATUS_OK && !absent)
		state->disagreed = true;
	else if (state->answers > 0 &&
			 (absent != state->absent ||
			  (!absent && result->hash != state->hash)))
		state->disagreed = true;
	state->absent = absent;
	state->hash = result->hash;
	if (call->number == 0)		/* not for hashes only */
		state->object = dyn_slice_of_bytes(result->object);
	state->answers++;
	if (state->answers == get->r && !state->disagreed)
		state->settled = true;
}

static void
take_read(Get *get, DynamoCall *call)
{
	KeyList    *list = call->owner;
	enum dyn_status status;
	const char *text;
	Dyn__ReadReply *reply = NULL;

	if (call->state == DYNAMO_CALL_ANSWERED)
		reply = dynfdw_call_reply(call, DYN_MESSAGE_READ_REPLY, &status, &text);
	if (reply != NULL)
		dynfdw_cluster_bucket_digest(get->cluster, reply->bucket_digest);
	for (int i = 0; i < list->count; i++)
	{
		KeyState   *state = &get->states[list->indexes[i]];

		if (reply == NULL || reply->n_results != list->count)
			state->disagreed = true;
		else
			take_result(get, call, state, reply->results[i]);
	}
	call->owner = NULL;
}

/* Take what has come. True while some answer is awaited. */
static bool
collect(Get *get, void (*take) (Get *get, DynamoCall *call))
{
	bool		waiting = false;
	dlist_iter	iter;

	dlist_foreach(iter, &get->group->calls)
	{
		DynamoCall *call = dlist_container(DynamoCall, in_group, iter.cur);

		if (call->owner == NULL)
			continue;
		if (call->state == DYNAMO_CALL_WAITING)
			waiting = true;
		else
			take(get, call);
	}
	return waiting;
}

/* Those who owe an answer now. */
static void
note_silence(Get *get)
{
	dlist_iter	iter;

	dlist_foreach(iter, &get->group->calls)
	{
		DynamoCall *call = dlist_container(DynamoCall, in_group, iter.cur);

		if (call->state == DYNAMO_CALL_WAITING)
			dynfdw_node_silent(get->cluster, call->node);
	}
}

/* "no answer from a, b", for an error. */
static const char *
describe_silent(Get *get)
{
	StringInfoData text;
	dlist_iter	iter;

	initStringInfo(&text);
	dlist_foreach(iter, &get->group->calls)
	{
		DynamoCall *call = dlist_container(DynamoCall, in_group, iter.cur);

		if (call->state == DYNAMO_CALL_WAITING)
			appendStringInfo(&text, "%s%s",
							 text.len ? ", " : "no answer from ",
							 dynfdw_cluster_node_address(get->cluster,
														 call->node));
	}
	return text.data;
}

static int
count_settled(const Get *get)
{
	int			count = 0;

	for (int i = 0; i < get->nkeys; i++)
		count += get->states[i].settled;
	return count;
}

/* One round of direct reads. True when it settled something, and left some
 * keys out because answers were full. */
static bool
read_round(Get *get)
{
	int			hedge_ms = HEDGE_MS + get->nkeys / KEYS_PER_MS;
	int			settled = count_settled(get);
	bool		left_out = false;

	get->deadline = dynfdw_cluster_deadline(get->cluster, get->options);
	ask_owners(get);
	/* Whoever says nothing for so long is passed over. */
	while (collect(get, take_read))
	{
		DynamoMoment hedge = dynfdw_after(dynfdw_now(), hedge_ms);

		if (dynfdw_wait(get->cluster, Min(hedge, get->deadline), get->stats))
			continue;
		note_silence(get);
		break;
	}
	for (int i = 0; i < get->nkeys; i++)
	{
		KeyState   *state = &get->states[i];

		if (state->settled)
			continue;
		if (state->left_out && !state->disagreed)
			left_out = true;
		else
			state->disagreed = true;
	}
	dynfdw_group_end(get->group);
	return left_out && count_settled(get) > settled;
}

static void
read_directly(Get *get)
{
	while (read_round(get))
		continue;
	for (int i = 0; i < get->nkeys; i++)
		if (!get->states[i].settled)
			get->states[i].disagreed = true;
}

/* ------------------------------------------------------ coordinated reads */

/* A coordinated read of some keys, and what went wrong with it so far. */
typedef struct Attempt
{
	const int  *indexes;
	int			count;
	bool	   *asked;			/* by node */
	int			waiting;		/* calls */
	enum dyn_status status;
	const char *text;
} Attempt;

/* Would another coordinator perhaps do better? */
static bool
is_of_this_node(enum dyn_status status)
{
	return status == DYN_STATUS_NO_QUORUM || status == DYN_STATUS_OVERLOAD ||
		status == DYN_STATUS_NOT_READY || status == DYN_STATUS_NOT_OWNER ||
		status == DYN_STATUS_IO_ERROR || status == DYN_STATUS_BUILDING;
}

/* False when the key is to be asked of somebody else. */
static bool
take_get_result(Get *get, Attempt *attempt, int index,
				const Dyn__GetResult *result)
{
	KeyState   *state = &get->states[index];
	enum dyn_status status = dyn_status_is_valid(result->status)
		? (enum dyn_status) result->status : DYN_STATUS_INTERNAL;

	if (status == DYN_STATUS_TOO_LARGE)
		return true;			/* the answer was full: ask again */
	if (is_of_this_node(status))
	{
		attempt->status = status;
		attempt->text = result->text;
		return false;
	}
	if (status != DYN_STATUS_OK && status != DYN_STATUS_NOT_FOUND)
		dynfdw_raise(status, "could not read from the cluster", result->text);
	state->object = dyn_slice_of_bytes(result->object);
	state->settled = true;
	return true;
}

/* False when this node could not help. */
static bool
take_get(Get *get, Attempt *attempt, DynamoCall *call)
{
	Dyn__GetReply *reply = NULL;
	bool		complete = true;

	attempt->waiting--;
	if (call->state == DYNAMO_CALL_ANSWERED)
		reply = dynfdw_call_reply(call, DYN_MESSAGE_GET_REPLY,
								  &attempt->status, &attempt->text);
	else
	{
		attempt->status = DYN_STATUS_NO_QUORUM;
		attempt->text = psprintf("the connection to %s was lost",
								 dynfdw_cluster_node_address(get->cluster,
															 call->node));
	}
	dynfdw_call_end(call);
	if (reply == NULL)
		return false;
	if (reply->n_results != attempt->count)
	{
		attempt->status = DYN_STATUS_BAD_REQUEST;
		attempt->text = "the answer is malformed";
		return false;
	}
	for (int i = 0; i < attempt->count; i++)
		complete &= take_get_result(get, attempt, attempt->indexes[i],
									reply->results[i]);
	dynfdw_cluster_digest(get->cluster, reply->ring_digest);
	dynfdw_cluster_bucket_digest(get->cluster, reply->bucket_digest);
	return complete;
}

/* True when somebody has answered for all of the keys. */
static bool
take_gets(Get *get, Attempt *attempt)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &get->group->calls)
	{
		DynamoCall *call = dlist_container(DynamoCall, in_group, iter.cur);

		if (call->state != DYNAMO_CALL_WAITING && take_get(get, attempt, call))
			return true;
	}
	return false;
}

/* A node that can be reached and was not asked yet, or -1. */
static int
choose_coordinator(Get *get, const Attempt *attempt)
{
	int			nnodes = dynfdw_cluster_node_count(get->cluster);

	for (int i = 0; i < 2 * nnodes; i++)
	{
		int			node = (i + MyProcPid) % nnodes;

		if (!attempt->asked[node] &&
			dynfdw_node_usable(get->cluster, node) &&
			dynfdw_node_suspect(get->cluster, node) == (i >= nnodes))
			return node;
	}
	return -1;
}

/* False when there is nobody left to ask. */
static bool
ask_coordinator(Get *get, Attempt *attempt)
{
	Dyn__GetRequest request = DYN__GET_REQUEST__INIT;
	int			node;

	get->deadline = dynfdw_cluster_deadline(get->cluster, get->options);
	request.bucket = dyn_bytes_of_slice(get->bucket);
	request.r = get->r;
	request.n_keys = attempt->count;
	request.keys = key_array(get, attempt->indexes, attempt->count);
	while ((node = choose_coordinator(get, attempt)) >= 0)
	{
		attempt->asked[node] = true;
		if (dynfdw_call(get->group, node, DYN_MESSAGE_GET, &request.base,
						get->deadline) == NULL)
			continue;
		attempt->waiting++;
		return true;
	}
	return false;
}

/*
 * Somebody who can be reached reads these keys.  A second coordinator is
 * asked when the first is silent, the next when one has failed; each node is
 * tried once, and whoever answers first is believed.
 */
static void
coordinate(Get *get, const int *indexes, int count)
{
	/* The nodes answer by the deadline; what they say then is worth waiting
	 * for a moment longer. */
	DynamoMoment end = dynfdw_after(get->deadline, HEDGE_MS);
	Attempt		attempt = {.indexes = indexes,.count = count,
		.status = DYN_STATUS_NO_QUORUM,.text = "no node can be reached"};
	bool		more = true;
	DynamoMoment until = 0;

	attempt.asked = palloc0(dynfdw_cluster_node_count(get->cluster));
	for (;;)
	{
		DynamoMoment now = dynfdw_now();

		if (take_gets(get, &attempt))
			break;
		if (more && (attempt.waiting == 0 ||
					 (attempt.waiting < COORDINATORS_MAX && now >= until)))
		{
			more = ask_coordinator(get, &attempt);
			until = dynfdw_after(now, COORDINATOR_SILENT_MS);
		}
		if (attempt.waiting == 0)
			dynfdw_raise(attempt.status, "could not read from the cluster",
						 attempt.text);
		if (now >= end)
			dynfdw_raise(DYN_STATUS_TIMEOUT, "could not read from the cluster",
						 describe_silent(get));
		if (!dynfdw_wait(get->cluster,
						 more && attempt.waiting < COORDINATORS_MAX
						 ? Min(until, end) : end, get->stats))
			note_silence(get);
	}
	dynfdw_group_end(get->group);
}

static void
read_coordinated(Get *get)
{
	int		   *indexes = palloc(get->nkeys * sizeof(int));
	int			last = INT_MAX;

	for (;;)
	{
		int			count = 0;

		for (int i = 0; i < get->nkeys; i++)
			if (!get->states[i].settled)
				indexes[count++] = i;
		if (count == 0)
			return;
		if (count == last)
			dynfdw_raise(DYN_STATUS_TOO_LARGE,
						 "could not read from the cluster", NULL);
		if (last == INT_MAX)
			get->stats->coordinated += count;
		last = count;
		for (int first = 0; first < count; first += KEYS_PER_FRAME)
			coordinate(get, indexes + first,
					   Min(KEYS_PER_FRAME, count - first));
	}
}

void
dynfdw_multi_get(DynamoCluster *cluster, struct dyn_slice bucket,
				 const struct dyn_slice *keys, int nkeys,
				 const DynamoRequestOptions *options,
				 DynamoRequestStats *stats, struct dyn_object *objects)
{
	MemoryContext results = CurrentMemoryContext;
	MemoryContext working = AllocSetContextCreate(results, "dynamo_fdw get",
												  ALLOCSET_DEFAULT_SIZES);
	struct dyn_allocator allocator = dynfdw_allocator(results);
	DynamoRequestStats unused = {0};
	Get			get = {.cluster = cluster,.bucket = bucket,.keys = keys,
	.nkeys = nkeys,.stats = stats ? stats : &unused};
	uint64		now_ms;

	if (nkeys == 0)
		return;
	MemoryContextSwitchTo(working);
	dynfdw_cluster_ready(cluster);
	get.r = dynfdw_cluster_r(cluster, bucket, options);
	get.options = options;
	get.states = palloc0(nkeys * sizeof(KeyState));
	get.group = dynfdw_group_begin(cluster, get.stats);
	get.stats->keys += nkeys;
	for (int i = 0; i < nkeys; i++)
		get.states[i].partition =
			dyn_hash_partition(dyn_hash_cell(dyn_hash_position(bucket, keys[i])),
							   dynfdw_cluster_ring(cluster)->partition_count);
	read_directly(&get);
	read_coordinated(&get);
	now_ms = dynfdw_view_ms(cluster);
	for (int i = 0; i < nkeys; i++)
	{
		memset(&objects[i], 0, sizeof(objects[i]));
		if (get.states[i].object.size != 0)
			dynfdw_check(dyn_object_decode(get.states[i].object, &allocator,
										   &objects[i]),
						 "a node sent a malformed object");
		dyn_object_view(&objects[i], now_ms);
	}
	MemoryContextSwitchTo(results);
	MemoryContextDelete(working);
}
