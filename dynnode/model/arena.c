#include "model/arena.h"

#include <stdlib.h>
#include <string.h>

enum
{
	DEFAULT_CHUNK_SIZE = 16 * 1024,
	ALIGNMENT = 16
};

struct dyn_arena_chunk
{
	struct dyn_arena_chunk *next;
	size_t size; /* of what follows */
	size_t used;
	uint64_t unused; /* keeps what follows aligned */
};

static void *
arena_allocate(void *context, size_t size)
{
	return dyn_arena_allocate(context, size);
}

static void
arena_release(void *context, void *memory)
{
}

void
dyn_arena_init(struct dyn_arena *self, struct dyn_allocator parent,
			   size_t chunk_size)
{
	memset(self, 0, sizeof(*self));
	self->parent = parent;
	self->allocator =
		(struct dyn_allocator){ arena_allocate, arena_release, self };
	self->chunk_size = chunk_size ? chunk_size : DEFAULT_CHUNK_SIZE;
}

static struct dyn_arena_chunk *
new_chunk(struct dyn_arena *self, size_t size)
{
	struct dyn_arena_chunk *chunk;

	if (size < self->chunk_size)
		size = self->chunk_size;
	chunk = self->parent.allocate(self->parent.context, sizeof(*chunk) + size);
	if (chunk == NULL)
		return NULL;
	chunk->size = size;
	chunk->used = 0;
	if (self->meter != NULL)
		*self->meter += sizeof(*chunk) + size;
	return chunk;
}

void *
dyn_arena_allocate(struct dyn_arena *self, size_t size)
{
	size_t rounded = (size + ALIGNMENT - 1) & ~(size_t) (ALIGNMENT - 1);
	struct dyn_arena_chunk *chunk = self->chunks;
	uint8_t *memory;

	if (rounded < size || rounded > SIZE_MAX / 2)
		return NULL;
	if (rounded == 0)
		rounded = ALIGNMENT;
	if (chunk == NULL || chunk->size - chunk->used < rounded)
	{
		chunk = new_chunk(self, rounded);
		if (chunk == NULL)
			return NULL;
		/* A large piece gets a chunk of its own behind the one in use, so
		 * that what is left of that one is not lost. */
		if (self->chunks != NULL && rounded >= self->chunk_size)
		{
			chunk->next = self->chunks->next;
			self->chunks->next = chunk;
		}
		else
		{
			chunk->next = self->chunks;
			self->chunks = chunk;
		}
	}
	memory = (uint8_t *) (chunk + 1) + chunk->used;
	chunk->used += rounded;
	self->used_size += rounded;
	return memory;
}

struct dyn_slice
dyn_arena_copy(struct dyn_arena *self, struct dyn_slice bytes)
{
	uint8_t *copy = dyn_arena_allocate(self, bytes.size);

	if (copy == NULL)
		return (struct dyn_slice){ NULL, 0 };
	if (bytes.size != 0)
		memcpy(copy, bytes.data, bytes.size);
	return (struct dyn_slice){ copy, bytes.size };
}

static void
release_chunks(struct dyn_arena *self, struct dyn_arena_chunk *keep)
{
	struct dyn_arena_chunk *chunk = self->chunks;

	while (chunk != NULL)
	{
		struct dyn_arena_chunk *next = chunk->next;

		if (chunk != keep && self->meter != NULL)
			*self->meter -= sizeof(*chunk) + chunk->size;
		if (chunk != keep)
			self->parent.release(self->parent.context, chunk);
		chunk = next;
	}
}

/* The one chunk of ordinary size that is kept, so that a large message does
 * not stay in memory for ever. */
static struct dyn_arena_chunk *
chunk_to_keep(const struct dyn_arena *self)
{
	struct dyn_arena_chunk *chunk = self->chunks;

	while (chunk != NULL && chunk->size > self->chunk_size)
		chunk = chunk->next;
	return chunk;
}

void
dyn_arena_reset(struct dyn_arena *self)
{
	struct dyn_arena_chunk *keep = chunk_to_keep(self);

	release_chunks(self, keep);
	self->chunks = keep;
	self->used_size = 0;
	if (keep != NULL)
	{
		keep->next = NULL;
		keep->used = 0;
	}
}

void
dyn_arena_destroy(struct dyn_arena *self)
{
	release_chunks(self, NULL);
	self->chunks = NULL;
	self->used_size = 0;
}

size_t
dyn_arena_taken(const struct dyn_arena *self)
{
	const struct dyn_arena_chunk *chunk;
	size_t size = 0;

	for (chunk = self->chunks; chunk != NULL; chunk = chunk->next)
		size += sizeof(*chunk) + chunk->size;
	return size;
}

static void *
malloc_allocate(void *context, size_t size)
{
	return malloc(size ? size : 1);
}

static void
malloc_release(void *context, void *memory)
{
	free(memory);
}

struct dyn_allocator
dyn_allocator_malloc(void)
{
	return (struct dyn_allocator){ malloc_allocate, malloc_release, NULL };
}
