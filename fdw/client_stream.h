/*-------------------------------------------------------------------------
 *
 * client_stream.h
 *		The streams of pages that a scan merges, for client_scan.c.
 *
 * Each partition under way has R of them: the first one brings objects, the
 * others hashes.  A stream that fails goes on with another owner behind the
 * last key it gave.
 *
 * Where a partition holds enough keys (model/scan_census.h), the owners first
 * tell the hashes of its cells, the first one together with its first page,
 * and the others list only those cells that differ (model/scan_merge.h).  All
 * of that is asked at once, and compared as soon as it is there, while other
 * partitions are read, so it costs no round trip where partitions are equal.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYNFDW_CLIENT_STREAM_H
#define DYNFDW_CLIENT_STREAM_H

#include "connection.h"

#include "model/scan_census.h"
#include "model/scan_merge.h"

enum
{
	DYNAMO_SCAN_WINDOW = 4		/* partitions under way */
};

typedef struct Stream
{
	int			slot;			/* of the owner being asked */
	uint8		tried;			/* slots that failed for good */
	bool		hash_only;
	DynamoCall *call;			/* the page under way, or NULL */
	MemoryContext page;			/* the page being read */
	/* A page that has come, until the merge wants it; then taken is false. */
	bool		taken;
	struct dyn_scan_item *items;
	uint32		nitems;
	bool		ended;			/* no page follows */
	uint64	   *hashes;			/* of the cells, while they are compared */
	/* the cells that it lists now, and the cursor of the next page */
	uint16		cell_first;
	uint16		cell_last;
	uint16		after_cell;
	struct dyn_slice after_key;
	uint8		after_bytes[DYN_KEY_SIZE_MAX];
} Stream;

typedef struct Partition
{
	bool		active;
	uint16		number;
	bool		comparing;		/* cells are; nothing was emitted yet */
	bool		compared;
	int			nstreams;
	uint64		nkeys;			/* listed by the first stream */
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
	Partition	window[DYNAMO_SCAN_WINDOW];
	struct dyn_scan_census census;
	uint32		items_max;
	/* keys on which owners differ, and what the coordinator said of them */
	struct dyn_slice *diverged;
	int			ndiverged;
	struct dyn_object *answers;
	int			nanswers;
	int			next_answer;
	MemoryContext answer_context;
};

/* Ask for all streams of the next partition. */
extern void dynfdw_partition_begin(DynamoScan *scan, Partition *partition);

/* Give the partition's merge the next page of a stream; waits for it. */
extern void dynfdw_partition_feed(DynamoScan *scan, Partition *partition,
								  uint8 which);

#endif
