/*-------------------------------------------------------------------------
 *
 * read.h
 *      LOAD and TREE as finished completions; meta records.
 *
 * What cannot be read is never taken for absent.  A damaged record is
 * CORRUPT.  When a key is not found, its neighbours are looked at too: if
 * the key of a record was damaged on its page, the search for the true key
 * ends beside it, and the answer is DOUBTED.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_IO_STORE_READ_H
#define DYN_IO_STORE_READ_H

#include "io/store/cursor.h"
#include "io/store/env.h"

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

/* effect->type LOAD; *corrupt counts damaged records met. */
struct dyn_store_completion *
dyn_store_read_load(struct dyn_store_reader *reader,
					const struct dyn_effect *effect, uint64_t *corrupt);

/* effect->type TREE; from memory, on any thread. */
struct dyn_store_completion *
dyn_store_read_tree(struct dyn_store_tree *tree,
					const struct dyn_effect *effect);

/* All records of the meta table (struct dyn_store_ops). */
bool dyn_store_read_count(struct dyn_store_reader *reader, enum dyn_table table,
						  uint64_t *count);

enum dyn_status dyn_store_read_meta(struct dyn_store_reader *reader,
									const struct dyn_allocator *allocator,
									struct dyn_slice **names,
									struct dyn_slice **values, uint32_t *count);

/* ---- for the other readers ---- */

/* Not zeroed, never NULL; for free(). */
uint8_t *dyn_store_take_bytes(size_t size);

/* Copies the slice's bytes to *to, which moves on; the slice follows. */
void dyn_store_move_slice(struct dyn_slice *slice, uint8_t **to);

#endif
