/*-------------------------------------------------------------------------
 *
 * client_scan.c
 *		Stream a bucket: partition by partition, R owners of each merged.
 *
 * A few partitions are under way at once, each with R streams of pages (the
 * first stream brings objects, the others hashes), so memory is bounded by
 * the window and the network is never idle.  A stream that fails goes on with
 * another owner behind the last key it gave.  Keys on which the owners differ
 * are gathered and read through a coordinator.
 *
 *-------------------------------------------------------------------------
 */
#include "connection.h"

#include "miscadmin.h"
#include "model/hash.h"
#include "model/scan_merge.h"
#include "utils/memutils.h"

enum
{
	WINDOW = 4,					/* partitions under way */
	DIVERGED_MAX = 256,			/* keys gathered before they are read */
	SILENT_MS = 1000			/* then another owner is asked */
};

typedef struct Stream
{
	int			slot;			/* of the owner being asked */
	uint8		tried;			/* slots that failed for good */
	bool		hash_only;
	DynamoCall *call;			/* the page under way, or NULL */
	MemoryContext page;			/* the page being read */
	bool		ended;			/* no page follows */
	uint16		after_cell;		/* cursor of the next page */
	struct dyn_slice after_key;
	uint8		after_bytes[DYN_KEY_SIZE_MAX];
} Stream;

typedef struct Partition
{
	bool		active;
	uint16		number;
	int			nstreams;
	Stream		streams[DYN_REPLICAS_MAX];
	struct dyn_scan_merge merge;
} Partition;

struct DynamoScan
{
	DynamoCluster *cluster;
	uint64		generation;		/* of the cluster, when the scan began */
	DynamoScanSpec spec;
	DynamoRequestOptions options;
	DynamoRequestStats *stats;
	DynamoRequestStats unused;
	MemoryContext context;
	MemoryContext row;			/* of the row handed out */
	DynamoCallGroup *group;
	int			r;
	int			partition_count;
	int			next_partition; /* not begun yet */
	int			current;		/* index into window */
	Partition	window[WINDOW];
	uint32		items_max;
	/* keys on which owners differ, and what the coordinator said of them */
	struct dyn_slice *diverged;
	int			ndiverged;
	struct dyn_object *answers;
	int			nanswers;
	int			next_answer;
	MemoryContext answer_context;
};

static void
ask_page(DynamoScan *scan, Partition *partition, Stream *stream)
{
	Dyn__ScanRequest request = DYN__SCAN_REQUEST__INIT;
	int			node;

	request.bucket = dyn_bytes_of_slice(scan->spec.bucket);
	request.cell_first =
		dyn_hash_cell_first(partition->number, scan->partition_count);
	request.cell_last =
		dyn_hash_cell_last(partition->number, scan->partition_count);
	request.after_cell = stream->after_cell;
	request.after_key = dyn_bytes_of_slice(stream->after_key);
	request.key_min = dyn_bytes_of_slice(scan->spec.key_min);
	request.key_max = dyn_bytes_of_slice(scan->spec.key_max);
	request.prefix = dyn_bytes_of_slice(scan->spec.prefix);
	request.hash_only = stream->hash_only;
	request.keys_only = scan->spec.keys_only;
	request.items_max = scan->items_max;
	node = dynfdw_cluster_owner(scan->cluster, partition->number, stream->slot);
	stream->call = node < 0 ? NULL :
		dynfdw_call(scan->group, node, DYN_MESSAGE_SCAN, &request.base,
					dynfdw_cluster_deadline(scan->cluster, &scan->options));
}

/* Is another stream of the partition with this owner? */
static bool
slot_is_taken(const Partition *partition, const Stream *stream, int slot)
{
	for (int i = 0; i < partition->nstreams; i++)
		if (&partition->streams[i] != stream &&
			partition->streams[i].slot == slot)
			return true;
	return false;
}

static void
raise_incomplete(DynamoScan *scan, const Partition *partition,
				 const char *text)
{
	int			n = dynfdw_cluster_ring(scan->cluster)->replica_count;
	StringInfoData silent;

	initStringInfo(&silent);
	for (int slot = 0; slot < n; slot++)
		if (dynfdw_cluster_owner(scan->cluster, partition->number, slot) < 0)
			appendStringInfo(&silent, "%s%s", silent.len ? ", " : "",
							 dynfdw_cluster_owner_address(scan->cluster,
														  partition->number,
														  slot));
	dynfdw_raise(DYN_STATUS_NO_QUORUM, "could not scan the whole bucket",
				 psprintf("%d owners of partition %d are needed; %s%s%s",
						  scan->r, partition->number,
						  silent.len ? "no connection to " : "",
						  silent.len ? silent.data : "",
						  silent.len == 0 ? text : ""));
}

/* The stream's page from an owner that was not tried yet; those who were
 * silent come last.  False when there is none; then nothing has changed. */
static bool
ask_another(DynamoScan *scan, Partition *partition, Stream *stream)
{
	int			n = dynfdw_cluster_ring(scan->cluster)->replica_count;
	Stream		before = *stream;

	for (int s = 0; s < 2 * n; s++)
	{
		int			slot = (s + MyProcPid) % n;
		int			node;

		if (slot == before.slot || (stream->tried & (1 << slot)) ||
			slot_is_taken(partition, stream, slot))
			continue;
		node = dynfdw_cluster_owner(scan->cluster, partition->number, slot);
		if (node < 0 || dynfdw_node_suspect(scan->cluster, node) != (s >= n))
			continue;
		stream->slot = slot;
		ask_page(scan, partition, stream);
		if (stream->call == NULL)
			continue;
		if (before.slot >= 0)
			stream->tried |= (uint8) (1 << before.slot);
		if (before.call != NULL)
			dynfdw_call_end(before.call);
		return true;
	}
	*stream = before;
	return false;
}

/* Go on with another owner; an error when there is none. */
static void
switch_owner(DynamoScan *scan, Partition *partition, Stream *stream,
			 const char *why)
{
	if (!ask_another(scan, partition, stream))
		raise_incomplete(scan, partition, why);
}

static void
begin_partition(DynamoScan *scan, Partition *partition)
{
	MemoryContext old = MemoryContextSwitchTo(scan->context);

	partition->active = true;
	partition->number = (uint16) scan->next_partition++;
	partition->nstreams = scan->r;
	dyn_scan_merge_init(&partition->merge, scan->spec.bucket,
						(uint8_t) scan->r);
	for (int i = 0; i < scan->r; i++)
	{
		MemoryContext page = partition->streams[i].page;

		memset(&partition->streams[i], 0, sizeof(Stream));
		partition->streams[i].slot = -1;
		partition->streams[i].hash_only = i > 0;
		partition->streams[i].page = page ? page :
			AllocSetContextCreate(scan->context, "dynamo_fdw page",
								  ALLOCSET_DEFAULT_SIZES);
	}
	for (int i = 0; i < scan->r; i++)
		switch_owner(scan, partition, &partition->streams[i],
					 "their stores failed");
	MemoryContextSwitchTo(old);
}

DynamoScan *
dynfdw_scan_begin(DynamoCluster *cluster, const DynamoScanSpec *spec,
				  const DynamoRequestOptions *options,
				  DynamoRequestStats *stats)
{
	DynamoScan *scan = palloc0(sizeof(*scan));

	dynfdw_cluster_ready(cluster);
	scan->cluster = cluster;
	scan->generation = dynfdw_cluster_generation(cluster);
	scan->spec = *spec;
	scan->options = *options;
	scan->stats = stats ? stats : &scan->unused;
	scan->context = CurrentMemoryContext;
	scan->row = AllocSetContextCreate(scan->context, "dynamo_fdw row",
									  ALLOCSET_DEFAULT_SIZES);
	scan->answer_context = AllocSetContextCreate(scan->context,
												 "dynamo_fdw answers",
												 ALLOCSET_DEFAULT_SIZES);
	scan->diverged = palloc(DIVERGED_MAX * sizeof(struct dyn_slice));
	scan->answers = palloc(DIVERGED_MAX * sizeof(struct dyn_object));
	scan->group = dynfdw_group_begin(cluster, scan->stats);
	scan->r = dynfdw_cluster_r(cluster, spec->bucket, options);
	scan->partition_count = dynfdw_cluster_ring(cluster)->partition_count;
	if (spec->rows_hint > 0)
		scan->items_max = Max(spec->rows_hint, 16);
	return scan;
}

/* ---------------------------------------------------------------- pages */

/*
 * A silent owner is followed by another one if there is any; the last one may
 * take all the time that a request has.
 */
static void
wait_page(DynamoScan *scan, Partition *partition, Stream *stream)
{
	int			timeout_ms = dynfdw_cluster_timeout_ms(scan->cluster,
													   &scan->options);
	bool		patient = false;

	while (stream->call->state == DYNAMO_CALL_WAITING)
	{
		TimestampTz until =
			TimestampTzPlusMilliseconds(stream->call->sent_at,
										patient ? Max(timeout_ms, SILENT_MS)
										: Min(timeout_ms, SILENT_MS));

		if (dynfdw_wait(scan->cluster, until, scan->stats))
			continue;
		dynfdw_node_silent(scan->cluster, stream->call->node);
		if (patient)
			switch_owner(scan, partition, stream, "it did not answer in time");
		else
			patient = !ask_another(scan, partition, stream);
	}
}

/* A page's items, in the stream's page context; NULL when the owner failed. */
static Dyn__ScanReply *
read_page(Stream *stream, const char **text)
{
	enum dyn_status status;
	Dyn__ScanReply *reply = NULL;

	*text = "the connection was lost";
	if (stream->call->state == DYNAMO_CALL_ANSWERED)
		reply = dynfdw_call_reply(stream->call, DYN_MESSAGE_SCAN_REPLY, &status,
								  text);
	if (reply != NULL && reply->status != DYN_STATUS_OK)
	{
		*text = reply->text;
		reply = NULL;
	}
	if (reply != NULL && (reply->after_key.len > DYN_KEY_SIZE_MAX ||
						  reply->after_cell >= DYN_CELL_COUNT))
		reply = NULL;
	return reply;
}

static void
feed_stream(DynamoScan *scan, Partition *partition, uint8 which)
{
	Stream	   *stream = &partition->streams[which];
	MemoryContext old;
	Dyn__ScanReply *reply;
	struct dyn_scan_item *items;
	const char *text;

	for (;;)
	{
		wait_page(scan, partition, stream);
		MemoryContextReset(stream->page);
		old = MemoryContextSwitchTo(stream->page);
		reply = read_page(stream, &text);
		MemoryContextSwitchTo(old);
		if (reply != NULL)
			break;
		switch_owner(scan, partition, stream, pstrdup(text));
	}
	items = MemoryContextAllocHuge(stream->page, (reply->n_items + 1) *
								   sizeof(*items));
	for (size_t i = 0; i < reply->n_items; i++)
		items[i] = (struct dyn_scan_item) {
			.key = dyn_slice_of_bytes(reply->items[i]->key),
			.object = dyn_slice_of_bytes(reply->items[i]->object),
			.hash = reply->items[i]->hash,
			.status = (enum dyn_status) reply->items[i]->status
	};
	dynfdw_cluster_bucket_digest(scan->cluster, reply->bucket_digest);
	stream->ended = reply->end;
	stream->after_cell = (uint16) reply->after_cell;
	if (reply->after_key.len > 0)
		memcpy(stream->after_bytes, reply->after_key.data,
			   reply->after_key.len);
	stream->after_key = (struct dyn_slice) {
		stream->after_bytes, reply->after_key.len
	};
	/* The reply was copied out of the frame; ask for the next page while
	 * this one is read. */
	dynfdw_call_end(stream->call);
	stream->call = NULL;
	if (!stream->ended)
	{
		ask_page(scan, partition, stream);
		if (stream->call == NULL)
			switch_owner(scan, partition, stream, "the connection was lost");
	}
	dyn_scan_merge_feed(&partition->merge, which, items,
						(uint32_t) reply->n_items, stream->ended);
}

/* ----------------------------------------------------------------- rows */

static void
read_diverged(DynamoScan *scan)
{
	MemoryContext old = MemoryContextSwitchTo(scan->answer_context);

	dynfdw_multi_get(scan->cluster, scan->spec.bucket, scan->diverged,
					 scan->ndiverged, &scan->options, scan->stats,
					 scan->answers);
	MemoryContextSwitchTo(old);
	scan->nanswers = scan->ndiverged;
	scan->next_answer = 0;
}

static bool
next_answer(DynamoScan *scan, struct dyn_slice *key, struct dyn_object *object)
{
	while (scan->next_answer < scan->nanswers)
	{
		int			i = scan->next_answer++;

		if (scan->answers[i].version_count == 0)
			continue;
		*key = scan->diverged[i];
		*object = scan->answers[i];
		return true;
	}
	if (scan->nanswers > 0)
	{
		MemoryContextReset(scan->answer_context);
		scan->nanswers = scan->next_answer = scan->ndiverged = 0;
	}
	return false;
}

static void
gather(DynamoScan *scan, struct dyn_slice key)
{
	uint8	   *copy = MemoryContextAlloc(scan->answer_context, key.size);

	memcpy(copy, key.data, key.size);
	scan->diverged[scan->ndiverged++] = (struct dyn_slice) {copy, key.size};
}

/* The partition in turn; the window is kept full. NULL at the end. */
static Partition *
current_partition(DynamoScan *scan)
{
	for (int i = 0; i < WINDOW; i++)
	{
		Partition  *partition = &scan->window[(scan->current + i) % WINDOW];

		if (!partition->active && scan->next_partition < scan->partition_count)
			begin_partition(scan, partition);
	}
	return scan->window[scan->current].active ? &scan->window[scan->current]
		: NULL;
}

/* An agreed item as an object; false for a tombstone. */
static bool
decode_item(DynamoScan *scan, const struct dyn_scan_item *item,
			struct dyn_slice *key, struct dyn_object *object)
{
	struct dyn_allocator allocator = dynfdw_allocator(scan->row);

	MemoryContextReset(scan->row);
	dynfdw_check(dyn_object_decode(item->object, &allocator, object),
				 "a node sent a malformed object");
	dyn_object_view(object, dynfdw_wall_ms());
	*key = item->key;
	return object->version_count != 0;
}

bool
dynfdw_scan_next(DynamoScan *scan, struct dyn_slice *key,
				 struct dyn_object *object)
{
	Partition  *partition;

	/* An open cursor, and somebody altered the server: its pages were of
	 * another cluster, perhaps. */
	if (scan->generation != dynfdw_cluster_generation(scan->cluster))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the foreign server was altered while its rows were being read")));
	for (;;)
	{
		struct dyn_scan_item item;
		uint8_t		which = 0;

		if (next_answer(scan, key, object))
			return true;
		partition = current_partition(scan);
		if (partition == NULL)
		{
			if (scan->ndiverged == 0)
				return false;
			read_diverged(scan);
			continue;
		}
		switch (dyn_scan_merge_next(&partition->merge, &item, &which))
		{
			case DYN_SCAN_ITEM:
				if (decode_item(scan, &item, key, object))
					return true;
				break;
			case DYN_SCAN_DIVERGED:
				gather(scan, item.key);
				if (scan->ndiverged == DIVERGED_MAX)
					read_diverged(scan);
				break;
			case DYN_SCAN_NEED_PAGE:
				feed_stream(scan, partition, which);
				break;
			case DYN_SCAN_END:
				partition->active = false;
				scan->current = (scan->current + 1) % WINDOW;
				break;
			case DYN_SCAN_BAD_ORDER:
				ereport(ERROR,
						(errcode(ERRCODE_PROTOCOL_VIOLATION),
						 errmsg("a node listed its records out of order")));
		}
	}
}

void
dynfdw_scan_end(DynamoScan *scan)
{
	dynfdw_group_end(scan->group);
}
