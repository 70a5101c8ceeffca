/*-------------------------------------------------------------------------
 *
 * store_read.h
 *      LOAD and SCAN over one read transaction, as finished completions.
 *
 * What cannot be read is never taken for absent.  A damaged record is
 * CORRUPT.  When a key is not found, its neighbours are looked at too: if
 * the key of a record was damaged on its page, the search for the true key
 * ends beside it, and the answer is CORRUPT.  A scan whose keys do not
 * ascend, or that would begin, skip or end on the word of a damaged record,
 * is an IO_ERROR, not a short page.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_IO_STORE_READ_H
#define DYN_IO_STORE_READ_H

#include "io/store_env.h"

/* One event with all that it points to, in one piece of memory each. */
struct dyn_store_completion
{
	struct dyn_store_completion *next;
	struct dyn_event event;
	void *items; /* the array in the event */
	void *bytes; /* what its slices point to */
};

struct dyn_store_completion *dyn_store_completion_new(enum dyn_event_type type);
void dyn_store_completion_destroy(struct dyn_store_completion *self);

/* effect->type LOAD or SCAN; *corrupt counts damaged records met. */
struct dyn_store_completion *
dyn_store_read_load(struct dyn_store_reader *reader,
					const struct dyn_effect *effect, uint64_t *corrupt);
struct dyn_store_completion *
dyn_store_read_scan(struct dyn_store_reader *reader,
					const struct dyn_effect *effect, uint64_t *corrupt);

/* All records of the meta table (struct dyn_store_ops). */
enum dyn_status dyn_store_read_meta(struct dyn_store_reader *reader,
									const struct dyn_allocator *allocator,
									struct dyn_slice **names,
									struct dyn_slice **values, uint32_t *count);

#endif
