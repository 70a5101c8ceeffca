/*-------------------------------------------------------------------------
 *
 * client_stream.c
 *		Pages of the owners of a partition, one stream for each.
 *
 *-------------------------------------------------------------------------
 */
#include "client_stream.h"

#include "avoid.h"

#include "miscadmin.h"
#include "model/hash.h"
#include "utils/memutils.h"

enum
{
	SILENT_MS = 1000			/* then another owner is asked */
};

static uint16
first_cell(const DynamoScan *scan, const Partition *partition)
{
	return dyn_hash_cell_first(partition->number, scan->partition_count);
}

static uint16
last_cell(const DynamoScan *scan, const Partition *partition)
{
	return dyn_hash_cell_last(partition->number, scan->partition_count);
}

static void
ask_page(DynamoScan *scan, Partition *partition, Stream *stream)
{
	Dyn__ScanRequest request = DYN__SCAN_REQUEST__INIT;
	int			node;

	request.bucket = dyn_bytes_of_slice(scan->spec.bucket);
	request.cell_first = stream->cell_first;
	request.cell_last = stream->cell_last;
	request.cell_hashes = partition->comparing;
	request.no_items = partition->comparing && stream->hash_only;
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
 * silent, or say that they are being filled, come last.  False when there is none; then nothing has changed. */
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
		if (node < 0 ||
			dynfdw_reads_elsewhere(scan->cluster, node,
								   partition->number) != (s >= n))
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

/* Is there an owner whom the session only has to be connected to? */
static bool
owner_is_awaited(DynamoScan *scan, const Partition *partition,
				 const Stream *stream)
{
	int			n = dynfdw_cluster_ring(scan->cluster)->replica_count;

	for (int slot = 0; slot < n; slot++)
		if (!(stream->tried & (1 << slot)) &&
			!slot_is_taken(partition, stream, slot) &&
			dynfdw_cluster_owner_awaited(scan->cluster, partition->number,
										 slot))
			return true;
	return false;
}

/* Go on with another owner; an error when there is none.  One that is not
 * connected yet may take as long as the first of a session may. */
static void
switch_owner(DynamoScan *scan, Partition *partition, Stream *stream,
			 const char *why)
{
	DynamoMoment until =
		dynfdw_after(dynfdw_now(),
					 dynfdw_cluster_connect_timeout_ms(scan->cluster));

	while (!ask_another(scan, partition, stream))
		if (!owner_is_awaited(scan, partition, stream) ||
			!dynfdw_wait(scan->cluster, until, scan->stats))
			raise_incomplete(scan, partition, why);
}

static void
begin_stream(DynamoScan *scan, Partition *partition, int which)
{
	Stream	   *stream = &partition->streams[which];
	MemoryContext page = stream->page;

	memset(stream, 0, sizeof(*stream));
	stream->slot = -1;
	stream->hash_only = which > 0;
	stream->cell_first = first_cell(scan, partition);
	stream->cell_last = last_cell(scan, partition);
	stream->page = page ? page :
		AllocSetContextCreate(scan->context, "dynamo_fdw page",
							  ALLOCSET_DEFAULT_SIZES);
}

static bool
wants_comparing(const DynamoScan *scan)
{
	DynamoCompare setting = dynfdw_compare_trees();

	if (scan->r < 2 || setting == DYNAMO_COMPARE_OFF)
		return false;
	return setting == DYNAMO_COMPARE_ON ||
		dyn_scan_census_wants(&scan->census);
}

void
dynfdw_partition_begin(DynamoScan *scan, Partition *partition)
{
	MemoryContext old = MemoryContextSwitchTo(scan->context);

	dynfdw_ask_building(scan->cluster);
	partition->active = true;
	partition->number = (uint16) scan->next_partition++;
	partition->nstreams = scan->r;
	partition->nkeys = 0;
	partition->compared = false;
	partition->comparing = wants_comparing(scan);
	dyn_scan_merge_init(&partition->merge, scan->spec.bucket,
						(uint8_t) scan->r);
	for (int i = 0; i < scan->r; i++)
		begin_stream(scan, partition, i);
	for (int i = 0; i < scan->r; i++)
		switch_owner(scan, partition, &partition->streams[i],
					 "their stores failed");
	MemoryContextSwitchTo(old);
}

/* ---------------------------------------------------------------- pages */

static void
compare_ahead(DynamoScan *scan);

/*
 * Until the stream's call is answered or lost.  A silent owner is followed by
 * another one if there is any; the last one may take all the time that a
 * request has.
 */
static void
wait_page(DynamoScan *scan, Partition *partition, Stream *stream)
{
	int			timeout_ms = dynfdw_cluster_timeout_ms(scan->cluster,
													   &scan->options);
	bool		patient = false;
	bool		comparing = partition->comparing;

	while (!stream->taken && stream->call->state == DYNAMO_CALL_WAITING)
	{
		DynamoMoment until =
			dynfdw_after(stream->call->sent_at,
						 patient ? Max(timeout_ms, SILENT_MS)
						 : Min(timeout_ms, SILENT_MS));

		if (dynfdw_wait(scan->cluster, until, scan->stats))
		{
			compare_ahead(scan);
			if (comparing && !partition->comparing)
				return;
			continue;
		}
		dynfdw_node_silent(scan->cluster, stream->call->node);
		if (patient)
			switch_owner(scan, partition, stream, "it did not answer in time");
		else
			patient = !ask_another(scan, partition, stream);
	}
}

/* The answer, in the stream's page context; NULL when the owner failed. */
static Dyn__ScanReply *
read_page(Stream *stream, enum dyn_status *status, const char **text)
{
	Dyn__ScanReply *reply = NULL;

	*status = DYN_STATUS_NO_QUORUM;
	*text = "the connection was lost";
	if (stream->call->state == DYNAMO_CALL_ANSWERED)
		reply = dynfdw_call_reply(stream->call, DYN_MESSAGE_SCAN_REPLY, status,
								  text);
	if (reply != NULL && reply->status != DYN_STATUS_OK)
	{
		*status = (enum dyn_status) reply->status;
		*text = reply->text;
		reply = NULL;
	}
	if (reply != NULL && (reply->after_key.len > DYN_KEY_SIZE_MAX ||
						  reply->after_cell >= DYN_CELL_COUNT))
		reply = NULL;
	return reply;
}

/* Where the next page begins: behind this key, or (size 0) with the cells. */
static void
set_cursor(Stream *stream, uint16 cell, struct dyn_slice key)
{
	if (key.size > 0)
		memcpy(stream->after_bytes, key.data, key.size);
	stream->after_cell = cell;
	stream->after_key = (struct dyn_slice) {stream->after_bytes, key.size};
}

/* The next cells that the stream is needed for, from this one on. */
static bool
next_cells(DynamoScan *scan, Partition *partition, Stream *stream, int cell)
{
	uint16		first = (uint16) cell;
	uint16		last = last_cell(scan, partition);

	if (!stream->hash_only || cell > last ||
		!dyn_scan_merge_differing(&partition->merge, &first, &last))
		return false;
	stream->cell_first = first;
	stream->cell_last = last;
	set_cursor(stream, 0, (struct dyn_slice) {NULL, 0});
	return true;
}

static void
take_items(Stream *stream, const Dyn__ScanReply *reply)
{
	stream->items = MemoryContextAllocHuge(stream->page, (reply->n_items + 1) *
										   sizeof(*stream->items));
	stream->nitems = (uint32) reply->n_items;
	for (size_t i = 0; i < reply->n_items; i++)
		stream->items[i] = (struct dyn_scan_item) {
			.key = dyn_slice_of_bytes(reply->items[i]->key),
			.object = dyn_slice_of_bytes(reply->items[i]->object),
			.hash = reply->items[i]->hash,
			.status = (enum dyn_status) reply->items[i]->status,
			.cell = (uint16_t) reply->items[i]->cell
	};
}

/* Take what the stream's call has brought; when the owner failed, another one
 * is asked. */
static void
take_page(DynamoScan *scan, Partition *partition, Stream *stream)
{
	MemoryContext old;
	Dyn__ScanReply *reply;
	enum dyn_status status;
	const char *text;

	MemoryContextReset(stream->page);
	old = MemoryContextSwitchTo(stream->page);
	reply = read_page(stream, &status, &text);
	MemoryContextSwitchTo(old);
	if (reply == NULL)
	{
		if (status == DYN_STATUS_BUILDING)
			dynfdw_node_building(scan->cluster, stream->call->node,
								 partition->number);
		switch_owner(scan, partition, stream, pstrdup(text));
		return;
	}
	dynfdw_cluster_bucket_digest(scan->cluster, reply->bucket_digest);
	take_items(stream, reply);
	if (!dyn_scan_page_is_sound(scan->spec.bucket, stream->items,
								stream->nitems))
	{
		switch_owner(scan, partition, stream, "a record is damaged");
		return;
	}
	stream->taken = true;
	stream->ended = reply->end;
	/* A node that knows nothing of hashes leaves them out. */
	stream->hashes = reply->n_cell_hashes == scan->census.cells
		? reply->cell_hashes : NULL;
	if (!partition->comparing || !stream->hash_only)
		set_cursor(stream, (uint16) reply->after_cell,
				   dyn_slice_of_bytes(reply->after_key));
	/* The reply was copied out of the frame. */
	dynfdw_call_end(stream->call);
	stream->call = NULL;
	if (partition->comparing)
		return;
	if (stream->ended)
		stream->ended = !next_cells(scan, partition, stream,
									stream->cell_last + 1);
	if (!stream->ended)
		ask_page(scan, partition, stream);	/* while this one is read */
}

/* ------------------------------------------------------------ equal cells */

static bool
all_taken(const Partition *partition)
{
	for (int i = 0; i < partition->nstreams; i++)
		if (!partition->streams[i].taken)
			return false;
	return true;
}

/* All owners have told their hashes: ask for what is needed besides. */
static void
compare(DynamoScan *scan, Partition *partition)
{
	const uint64 *hashes[DYN_REPLICAS_MAX];
	bool		complete = true;

	for (int i = 0; i < partition->nstreams; i++)
	{
		hashes[i] = partition->streams[i].hashes;
		complete &= hashes[i] != NULL;
	}
	if (complete)
		dyn_scan_merge_compare(&partition->merge, first_cell(scan, partition),
							   hashes, scan->census.cells);
	partition->comparing = false;
	partition->compared = true;
	if (!partition->streams[0].ended)
		ask_page(scan, partition, &partition->streams[0]);
	for (int i = 1; i < partition->nstreams; i++)
	{
		Stream	   *stream = &partition->streams[i];

		stream->nitems = 0;
		stream->ended = !next_cells(scan, partition, stream,
									first_cell(scan, partition));
		stream->taken = stream->ended;
		if (!stream->ended)
			ask_page(scan, partition, stream);
	}
}

/* Compare what can be compared, without waiting. */
static void
compare_ahead(DynamoScan *scan)
{
	for (int w = 0; w < DYNAMO_SCAN_WINDOW; w++)
	{
		Partition  *partition = &scan->window[w];

		if (!partition->active || !partition->comparing)
			continue;
		for (int i = 0; i < partition->nstreams; i++)
		{
			Stream	   *stream = &partition->streams[i];

			if (!stream->taken && stream->call->state != DYNAMO_CALL_WAITING)
				take_page(scan, partition, stream);
		}
		if (all_taken(partition))
			compare(scan, partition);
	}
}

/* The other streams list everything behind what the first one has given. */
static void
begin_anew(DynamoScan *scan, Partition *partition)
{
	struct dyn_slice key;
	uint16		cell;
	bool		any = dyn_scan_merge_last(&partition->merge, &cell, &key);

	for (int i = 1; i < partition->nstreams; i++)
	{
		Stream	   *stream = &partition->streams[i];

		if (stream->call != NULL)
			dynfdw_call_end(stream->call);
		stream->call = NULL;
		stream->taken = false;
		next_cells(scan, partition, stream,
				   any ? cell : first_cell(scan, partition));
		if (any)
			set_cursor(stream, cell, key);
		ask_page(scan, partition, stream);
	}
}

/* --------------------------------------------------------- into the merge */

/* A stream of which a page is wanted has one, or waits for one. */
static void
ensure_asked(DynamoScan *scan, Partition *partition, Stream *stream)
{
	if (stream->call == NULL)
		ask_page(scan, partition, stream);
	if (stream->call == NULL)
		switch_owner(scan, partition, stream, "the connection was lost");
}

/* What partition->comparing waits for. */
static void
finish_comparing(DynamoScan *scan, Partition *partition)
{
	while (partition->comparing)
	{
		Stream	   *stream = partition->streams;

		while (stream->taken)
			stream++;
		wait_page(scan, partition, stream);
		compare_ahead(scan);
	}
}

static void
await_page(DynamoScan *scan, Partition *partition, uint8 which)
{
	Stream	   *stream = &partition->streams[which];
	int			slot = stream->slot;

	while (!stream->taken)
	{
		ensure_asked(scan, partition, stream);
		wait_page(scan, partition, stream);
		take_page(scan, partition, stream);
	}
	/* Another one's copy was not compared. */
	if (which == 0 && stream->slot != slot &&
		partition->merge.equal_count > 0)
	{
		dyn_scan_merge_distrust(&partition->merge);
		begin_anew(scan, partition);
	}
}

void
dynfdw_partition_feed(DynamoScan *scan, Partition *partition, uint8 which)
{
	Stream	   *stream = &partition->streams[which];

	finish_comparing(scan, partition);
	await_page(scan, partition, which);
	stream->taken = false;
	if (which == 0)
		partition->nkeys += stream->nitems;
	if (dyn_scan_merge_feed(&partition->merge, which, stream->items,
							stream->nitems, stream->ended))
		begin_anew(scan, partition);
}
