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
 * Where all R have the same hash of a cell (model/tree.h), the first stream
 * alone is emitted, and the others need not list that cell.  That is no less
 * than R reads.  Let the first owner have read its hash at the time a, another
 * one at b, both after the scan began.  The hashes are equal: what the first
 * one held at a is what the other one held at b.  The first one's page was read
 * at a or later, and a replica only ever merges (what is reaped is shown to
 * nobody; who discards answers no SCAN until it has all again); so the page
 * shows all that the first one held at a, which is all that the other one held
 * at b, which is all that was acknowledged there before the scan began.  Hence
 * the one rule for the hashes: read after the scan began, and the first
 * stream's not after its page.  Later pages of the same owner are later still.
 * The records of other buckets count in a cell's hash, so writes to them make
 * cells differ, too: that costs a comparison, never a row.
 *
 * Two things end this, for the rest of the range (distrust): another owner
 * takes over the first stream, or a damaged record stands in it.  A record's
 * hash outlives the record; and of one whose key is damaged, the true key lies
 * between its neighbours, and only another owner can say which it is.
 *
 * The merge does no I/O and owns nothing: pages are borrowed, and a page must
 * live until next() asks for that stream's following page or returns END.
 * Streams are ordered by (cell, key); a page out of order is BAD_REQUEST.  A
 * damaged record stands where it lies, whatever its key says.  Where one is
 * misnamed the true key is missing from that stream, and it may be the only one
 * of the R that should have it: such a page is no answer, and another owner is
 * asked (dyn_scan_page_is_sound).
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
	uint16_t cell;          /* CORRUPT: where it lies; its key may be damaged */
};

enum dyn_scan_merge_step
{
	DYN_SCAN_ITEM,      /* *item: a key all owners agree on */
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
	uint32_t equal_count;              /* cells of which all hold the same */
	uint8_t equal[DYN_CELL_COUNT / 8]; /* bit of a cell: it is one */
};

/* May this page be an answer, one of R?  Not when it shows a misnamed record.
 * To be asked before it is fed to a merge of several. */
bool dyn_scan_page_is_sound(struct dyn_slice bucket,
							const struct dyn_scan_item *items,
							uint32_t item_count);

/* Damaged, and under another key than it was written (model/hash.h). */
bool dyn_scan_item_is_misnamed(struct dyn_slice bucket,
							   const struct dyn_scan_item *item);

/* Requires 1 <= stream_count <= DYN_REPLICAS_MAX. */
void dyn_scan_merge_init(struct dyn_scan_merge *self, struct dyn_slice bucket,
						 uint8_t stream_count);

/*
 * Before any page: hashes[s] are stream s's of the cells from cell_first on.
 * Where all are equal, no other stream than the first is needed.
 */
void dyn_scan_merge_compare(struct dyn_scan_merge *self, uint16_t cell_first,
							const uint64_t *const *hashes, uint32_t cell_count);

/* The next cells in a row, within *first .. *last, that the other streams have
 * to list; false when there are none. */
bool dyn_scan_merge_differing(const struct dyn_scan_merge *self,
							  uint16_t *first, uint16_t *last);

/*
 * From here on no cell counts as equal: the other streams begin anew, behind
 * the last item of the first one (dyn_scan_merge_last).  Only while the first
 * stream's page is used up.
 */
void dyn_scan_merge_distrust(struct dyn_scan_merge *self);

/* The place of the first stream's last item; false when it gave none. */
bool dyn_scan_merge_last(const struct dyn_scan_merge *self, uint16_t *cell,
						 struct dyn_slice *key);

/*
 * Give a stream its first or next page, after NEED_PAGE asked for it.  A page
 * may be empty; ended tells that it is the last one.  True when there was
 * reason for distrust: it is done.
 */
bool dyn_scan_merge_feed(struct dyn_scan_merge *self, uint8_t stream,
						 const struct dyn_scan_item *items, uint32_t item_count,
						 bool ended);

enum dyn_scan_merge_step dyn_scan_merge_next(struct dyn_scan_merge *self,
											 struct dyn_scan_item *item,
											 uint8_t *stream);

#endif
