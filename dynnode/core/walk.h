/*-------------------------------------------------------------------------
 *
 * walk.h
 *      How far a walk through all buckets of a table has come.
 *
 * The node's own walks (hints on their way, the scrub) read page by page, with
 * anything between two pages; the place is kept by key, never by an open
 * transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_WALK_H
#define DYN_CORE_WALK_H

#include "core/effect.h"
#include "core/event.h"

struct dyn_walk
{
	uint16_t cell;    /* after this; key_size 0 = at the beginning */
	uint32_t damaged; /* ... and after so many damaged records (effect.h) */
	uint8_t bucket_size;
	uint16_t key_size;
	uint8_t bucket[DYN_BUCKET_SIZE_MAX];
	uint8_t key[DYN_KEY_SIZE_MAX];
};

/* Let a SCAN of all buckets go on from here. */
void dyn_walk_resume(const struct dyn_walk *self, struct dyn_effect *scan,
					 struct dyn_arena *arena);

/* After this key.  Sizes within their limits. */
void dyn_walk_set(struct dyn_walk *self, struct dyn_slice bucket, uint16_t cell,
				  struct dyn_slice key);

/* Where this page ended; it was not the last one. */
void dyn_walk_keep(struct dyn_walk *self, const struct dyn_event *scanned);

#endif
