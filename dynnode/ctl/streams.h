/*-------------------------------------------------------------------------
 *
 * streams.h
 *      The streams of pages that a scan merges: one partition's at a time.
 *
 * The first one brings objects, the others hashes.  When trees are compared
 * first, the others bring only the cells that differ (model/scan_merge.h).
 * What fails is told on stderr.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CTL_STREAMS_H
#define DYN_CTL_STREAMS_H

#include "ctl/ctl.h"

#include "model/scan_merge.h"

/* One owner's records of one partition, page after page. */
struct ctl_stream
{
	struct dyn_client *client;
	Dyn__ScanRequest request;
	struct dyn_arena arena; /* of the present page */
	struct dyn_scan_item *items;
	uint32_t item_count;
	bool is_end;
	bool has_page;       /* that the merge was not given yet */
	uint16_t cell_first; /* of the partition */
	uint16_t cell_last;
	uint8_t after_key[DYN_KEY_SIZE_MAX]; /* the cursor outlives the page */
	const uint64_t *hashes; /* of the cells, when they were asked for */
	uint32_t hash_count;
	enum dyn_status status; /* of the last reply */
	bool has_begun;         /* the first page is there */
};

struct ctl_streams
{
	struct ctl *ctl;
	struct dyn_scan_merge merge;
	struct ctl_stream streams[DYN_REPLICAS_MAX];
	uint8_t count;
	uint64_t key_count; /* that the first one has listed */
};

void ctl_streams_init(struct ctl_streams *self, struct ctl *ctl);
void ctl_streams_destroy(struct ctl_streams *self);

/* One more, of these cells. */
void ctl_streams_add(struct ctl_streams *self, struct dyn_client *client,
					 uint16_t cell_first, uint16_t cell_last);

/*
 * With all of them there: read the first pages; when `compared`, compare trees
 * first.  False, and the stream that failed.  Nothing was told of an owner that
 * is BUILDING: another one may be asked instead.
 */
bool ctl_streams_begin(struct ctl_streams *self, bool compared,
					   uint8_t *failed);

/* The next page of a stream into the merge. */
bool ctl_streams_feed(struct ctl_streams *self, uint8_t index);

#endif
