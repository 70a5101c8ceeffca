/*-------------------------------------------------------------------------
 *
 * arena.h
 *      Memory that is given back all at once.
 *
 * Messages and objects are decoded into many small pieces with one common
 * end of life.  An arena cuts them from chunks of a parent allocator.
 * release() of its allocator does nothing; reset keeps the first chunk for
 * the next use.  Zeroed memory is a valid empty arena once init was called.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_MODEL_ARENA_H
#define DYN_MODEL_ARENA_H

#include "model/types.h"

struct dyn_arena_chunk;

struct dyn_arena
{
	struct dyn_allocator parent;
	struct dyn_allocator allocator; /* hand &arena->allocator to others */
	struct dyn_arena_chunk *chunks; /* newest first */
	size_t chunk_size;              /* smallest chunk asked of the parent */
	size_t used_size;               /* handed out since init or reset */
	size_t *meter; /* after init, or NULL: what the parent gave, of all arenas
					* that have this meter */
};

/* chunk_size 0 = 16 KiB. The arena must not be moved after init. */
void dyn_arena_init(struct dyn_arena *self, struct dyn_allocator parent,
					size_t chunk_size);

/* NULL only when the parent returned NULL. size 0 gives a valid pointer. */
void *dyn_arena_allocate(struct dyn_arena *self, size_t size);

/* A copy that lives as long as the arena; data NULL when out of memory. */
struct dyn_slice dyn_arena_copy(struct dyn_arena *self, struct dyn_slice bytes);

/* Everything handed out becomes invalid. */
void dyn_arena_reset(struct dyn_arena *self);
void dyn_arena_destroy(struct dyn_arena *self);

/* What the parent gave, counted chunk by chunk. */
size_t dyn_arena_taken(const struct dyn_arena *self);

/* malloc and free, for those outside a backend. */
struct dyn_allocator dyn_allocator_malloc(void);

#endif
