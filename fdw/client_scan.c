/*-------------------------------------------------------------------------
 *
 * client_scan.c
 *		Stream a bucket: partition by partition, R owners of each merged.
 *
 * A few partitions are under way at once (client_stream.h), so memory is
 * bounded by the window and the network is never idle.  Keys on which the
 * owners differ are gathered and read through a coordinator.
 *
 *-------------------------------------------------------------------------
 */
#include "client_stream.h"

#include "utils/memutils.h"

enum
{
	DIVERGED_MAX = 256			/* keys gathered before they are read */
};

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
	dyn_scan_census_init(&scan->census, (uint16_t) scan->partition_count);
	if (spec->rows_hint > 0)
		scan->items_max = Max(spec->rows_hint, 16);
	return scan;
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
	for (int i = 0; i < DYNAMO_SCAN_WINDOW; i++)
	{
		Partition  *partition = &scan->window[(scan->current + i) % DYNAMO_SCAN_WINDOW];

		if (!partition->active && scan->next_partition < scan->partition_count)
			dynfdw_partition_begin(scan, partition);
	}
	return scan->window[scan->current].active ? &scan->window[scan->current]
		: NULL;
}

static void
end_partition(DynamoScan *scan, Partition *partition)
{
	uint32		equal = partition->merge.equal_count;

	dyn_scan_census_note(&scan->census, partition->nkeys, partition->compared,
						 equal);
	if (scan->r > 1)
	{
		scan->stats->cells_equal += equal;
		scan->stats->cells_merged += scan->census.cells - equal;
	}
	partition->active = false;
	scan->current = (scan->current + 1) % DYNAMO_SCAN_WINDOW;
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
	/* The clock is asked for those that may have expired only: it is not
	 * cheap beside the rest. */
	dyn_object_view(object, dyn_object_is_mortal(object)
					? dynfdw_view_ms(scan->cluster) : 0);
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
				dynfdw_partition_feed(scan, partition, which);
				break;
			case DYN_SCAN_END:
				end_partition(scan, partition);
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
