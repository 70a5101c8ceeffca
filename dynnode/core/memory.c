#include "core/memory.h"

#include <stdlib.h>
#include <string.h>

void *
dyn_memory_take(size_t size)
{
	void *memory = calloc(1, size ? size : 1);

	if (memory == NULL)
		abort();
	return memory;
}

void
dyn_memory_give(void *memory)
{
	free(memory);
}

void *
dyn_memory_reserve(void *items, uint32_t count, uint32_t *capacity,
				   size_t item_size)
{
	if (count < *capacity)
		return items;
	*capacity = *capacity ? *capacity * 2 : 8;
	items = realloc(items, *capacity * item_size);
	if (items == NULL)
		abort();
	memset((char *) items + count * item_size, 0,
		   (*capacity - count) * item_size);
	return items;
}

/* Not zeroed: arenas and message buffers overwrite what they take. */
static void *
allocate(void *context, size_t size)
{
	void *memory = malloc(size ? size : 1);

	if (memory == NULL)
		abort();
	return memory;
}

static void
release(void *context, void *memory)
{
	free(memory);
}

struct dyn_allocator
dyn_memory_allocator(void)
{
	return (struct dyn_allocator){ allocate, release, NULL };
}
