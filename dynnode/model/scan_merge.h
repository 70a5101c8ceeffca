/*-------------------------------------------------------------------------
 *
 * scan_merge.h
 *      Merge what R owners list of one range of cells.
 *
 * A ring-aware client reads a range of cells from R owners at once: the first
 * stream carries objects, the others hashes.  A key on which all R agree is
 * emitted from the first stream; any other key (missing somewhere, another
 * hash, unreadable) is emitted as diverged, and the caller asks for it with a
 * coordinated get, which also repairs the stale owners.  So a scan is as
 * consistent as R reads.
 *
 * The merge does no I/O and owns nothing: pages are borrowed, and a page must
 * live until next() asks for that stream's following page or returns END.
 * Streams are ordered by (cell, key); a page out of order is BAD_REQUEST.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_MODEL_SCAN_MERGE_H
#define DYN_MODEL_SCAN_MERGE_H

#include "model/types.h"

struct dyn_scan_item
{
	struct dyn_slice key;
	struct dyn_slice object; /* empty in a stream of hashes */
	uint64_t hash;
	enum dyn_status status; /* OK or CORRUPT */
};

enum dyn_scan_merge_step
{
	DYN_SCAN_ITEM,      /* *item: a key all streams agree on */
	DYN_SCAN_DIVERGED,  /* item->key: to be read with a coordinated get */
	DYN_SCAN_NEED_PAGE, /* give the next page of *stream first */
	DYN_SCAN_END,
	DYN_SCAN_BAD_ORDER /* *stream broke the order: a broken peer */
};

struct dyn_scan_stream
{
	const struct dyn_scan_item *items;
	uint32_t item_count;
	uint32_t position; /* next item */
	bool has_page;
	bool ended;                /* no page follows the present one */
	uint16_t last_cell;        /* of the last item taken, for the order check */
	struct dyn_slice last_key; /* copied into last_key_bytes */
	uint8_t last_key_bytes[DYN_KEY_SIZE_MAX];
	bool has_last;
};

struct dyn_scan_merge
{
	struct dyn_slice bucket; /* borrowed for the life of the merge */
	struct dyn_scan_stream streams[DYN_REPLICAS_MAX];
	uint8_t stream_count;
};

/* Requires 1 <= stream_count <= DYN_REPLICAS_MAX. */
void dyn_scan_merge_init(struct dyn_scan_merge *self, struct dyn_slice bucket,
						 uint8_t stream_count);

/* Give a stream its first or next page, after NEED_PAGE asked for it. A page
 * may be empty; ended tells that it is the last one. */
void dyn_scan_merge_feed(struct dyn_scan_merge *self, uint8_t stream,
						 const struct dyn_scan_item *items, uint32_t item_count,
						 bool ended);

enum dyn_scan_merge_step dyn_scan_merge_next(struct dyn_scan_merge *self,
											 struct dyn_scan_item *item,
											 uint8_t *stream);

#endif
