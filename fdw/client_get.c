/*-------------------------------------------------------------------------
 *
 * client_get.c
 *		Multi-get: R owners asked directly, all at once.
 *
 * The object comes from one owner, hashes from the others (Dynamo 2007,
 * section 6.4: client-driven coordination).  A key on which R owners agree is
 * done in one round trip.  All others (they differ, one is silent, lost, or
 * cannot say) go to a coordinated GET, which also repairs.
 *
 *-------------------------------------------------------------------------
 */
#include "connection.h"

#include "miscadmin.h"
#include "model/hash.h"
#include "utils/memutils.h"

enum
{
	KEYS_PER_FRAME = 1024,
	HEDGE_MS = 100				/* then a coordinator is asked instead */
};

typedef struct KeyState
{
	uint16		partition;
	uint8		answers;		/* of owners that know the key or its absence */
	bool		settled;
	bool		disagreed;		/* to be read by a coordinator */
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
	TimestampTz deadline;
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

/* R reachable owners of each key: one for the object, the others for hashes.
 * Who comes first differs between backends, to spread the load. */
static void
ask_owners(Get *get)
{
	int			nnodes = dynfdw_cluster_node_count(get->cluster);
	int			n = dynfdw_cluster_ring(get->cluster)->replica_count;
	KeyList    *objects = palloc0(nnodes * sizeof(KeyList));
	KeyList    *hashes = palloc0(nnodes * sizeof(KeyList));

	for (int i = 0; i < get->nkeys; i++)
	{
		KeyState   *state = &get->states[i];
		int			found = 0;

		for (int s = 0; s < n && found < get->r; s++)
		{
			int			slot = (s + MyProcPid) % n;
			int			node = dynfdw_cluster_owner(get->cluster,
													state->partition, slot);

			if (node < 0)
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
take_result(Get *get, KeyState *state, const Dyn__ReadResult *result,
			bool hash_only)
{
	bool		absent = result->status == DYN_STATUS_NOT_FOUND;

	if (result->status != DYN_STATUS_OK && !absent)
		state->disagreed = true;
	else if (state->answers > 0 &&
			 (absent != state->absent ||
			  (!absent && result->hash != state->hash)))
		state->disagreed = true;
	state->absent = absent;
	state->hash = result->hash;
	if (!hash_only)
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
	for (int i = 0; i < list->count; i++)
	{
		KeyState   *state = &get->states[list->indexes[i]];

		if (reply == NULL || reply->n_results != list->count)
			state->disagreed = true;
		else
			take_result(get, state, reply->results[i], call->number != 0);
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

static void
read_directly(Get *get)
{
	TimestampTz hedge =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), HEDGE_MS);

	ask_owners(get);
	while (collect(get, take_read))
		if (!dynfdw_wait(get->cluster, Min(hedge, get->deadline), get->stats))
			break;
	/* Whoever has not answered by now is passed over. */
	for (int i = 0; i < get->nkeys; i++)
		if (!get->states[i].settled)
			get->states[i].disagreed = true;
	dynfdw_group_end(get->group);
}

/* ------------------------------------------------------ coordinated reads */

static void
take_get_result(Get *get, int index, const Dyn__GetResult *result)
{
	KeyState   *state = &get->states[index];

	if (result->status == DYN_STATUS_TOO_LARGE)
		return;					/* the answer was full: ask again */
	if (result->status != DYN_STATUS_OK &&
		result->status != DYN_STATUS_NOT_FOUND)
		dynfdw_raise(dyn_status_is_valid(result->status)
					 ? (enum dyn_status) result->status : DYN_STATUS_INTERNAL,
					 "could not read from the cluster", result->text);
	state->object = dyn_slice_of_bytes(result->object);
	state->settled = true;
}

/* False when this node could not help. */
static bool
coordinate(Get *get, int node, const int *indexes, int count,
		   enum dyn_status *status, const char **text)
{
	Dyn__GetRequest request = DYN__GET_REQUEST__INIT;
	Dyn__GetReply *reply = NULL;
	DynamoCall *call;

	request.bucket = dyn_bytes_of_slice(get->bucket);
	request.r = get->r;
	request.n_keys = count;
	request.keys = key_array(get, indexes, count);
	call = dynfdw_call(get->group, node, DYN_MESSAGE_GET, &request.base,
					   get->deadline);
	if (call == NULL)
		return false;
	/* The node answers by the deadline; what it says then is worth waiting
	 * for a moment longer. */
	while (call->state == DYNAMO_CALL_WAITING)
		if (!dynfdw_wait(get->cluster,
						 TimestampTzPlusMilliseconds(get->deadline, HEDGE_MS),
						 get->stats))
			break;
	if (call->state == DYNAMO_CALL_ANSWERED)
		reply = dynfdw_call_reply(call, DYN_MESSAGE_GET_REPLY, status, text);
	else
		*text = psprintf("no answer from %s",
						 dynfdw_cluster_node_address(get->cluster, node));
	dlist_delete(&call->in_group);	/* its frame is needed */
	if (call->state == DYNAMO_CALL_WAITING)
		dlist_delete(&call->in_cluster);
	if (reply == NULL || reply->n_results != count)
		return false;
	for (int i = 0; i < count; i++)
		take_get_result(get, indexes[i], reply->results[i]);
	dynfdw_cluster_digest(get->cluster, reply->ring_digest);
	return true;
}

/* Somebody who can be reached reads these keys; each node is tried once. */
static void
coordinate_somewhere(Get *get, const int *indexes, int count)
{
	int			nnodes = dynfdw_cluster_node_count(get->cluster);
	enum dyn_status status = DYN_STATUS_NO_QUORUM;
	const char *text = "no node can be reached";

	for (int i = 0; i < nnodes; i++)
	{
		int			node = (i + MyProcPid) % nnodes;

		if (!dynfdw_node_usable(get->cluster, node))
			continue;
		if (coordinate(get, node, indexes, count, &status, &text))
			return;
		if (GetCurrentTimestamp() >= get->deadline)
			status = DYN_STATUS_TIMEOUT;
	}
	dynfdw_raise(status, "could not read from the cluster", text);
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
			coordinate_somewhere(get, indexes + first,
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

	if (nkeys == 0)
		return;
	MemoryContextSwitchTo(working);
	dynfdw_cluster_ready(cluster);
	get.r = dynfdw_cluster_r(cluster, options);
	get.deadline = dynfdw_cluster_deadline(cluster, options);
	get.states = palloc0(nkeys * sizeof(KeyState));
	get.group = dynfdw_group_begin(cluster, get.stats);
	get.stats->keys += nkeys;
	for (int i = 0; i < nkeys; i++)
		get.states[i].partition =
			dyn_hash_partition(dyn_hash_cell(dyn_hash_position(bucket, keys[i])),
							   dynfdw_cluster_ring(cluster)->partition_count);
	read_directly(&get);
	read_coordinated(&get);
	for (int i = 0; i < nkeys; i++)
	{
		memset(&objects[i], 0, sizeof(objects[i]));
		if (get.states[i].object.size != 0)
			dynfdw_check(dyn_object_decode(get.states[i].object, &allocator,
										   &objects[i]),
						 "a node sent a malformed object");
	}
	MemoryContextSwitchTo(results);
	MemoryContextDelete(working);
}
