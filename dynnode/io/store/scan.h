/*-------------------------------------------------------------------------
 *
 * scan.h
 *      SCAN over one read transaction, as a finished completion.
 *
 * A page is found by seeks: one for each occupied cell and lowest key, and
 * when all buckets are wanted at most two for each bucket, whatever lies
 * outside the range of cells.
 *
 * A filter reads the heads of what it passes by, and nothing else of it.
 *
 * A damaged record is an item that says so.  A scan whose keys do not
 * ascend, or that would begin, skip or end on the word of a damaged record,
 * is an IO_ERROR, not a short page.  One for_damage goes another way
 * (io/store/survey.h), which no damaged record stops.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_IO_STORE_SCAN_H
#define DYN_IO_STORE_SCAN_H

#include "io/store/read.h"

/* effect->type SCAN; *corrupt counts damaged records met. */
struct dyn_store_completion *
dyn_store_scan_page(struct dyn_store_reader *reader,
					const struct dyn_effect *effect, uint64_t *corrupt);

#endif
