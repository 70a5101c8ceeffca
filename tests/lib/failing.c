/* For tests of what happens when memory runs out, of the fuzzers too. */
#include "failing.h"

#include <stdlib.h>

static void *
allocate(void *context, size_t size)
{
	struct failing *self = context;

	if (self->calls_left == 0)
		return NULL;
	self->calls_left--;
	self->live++;
	self->calls++;
	self->size += size;
	return malloc(size ? size : 1);
}

static void
release(void *context, void *memory)
{
	struct failing *self = context;

	self->live--;
	free(memory);
}

void
failing_init(struct failing *self, long calls_left)
{
	self->allocator = (struct dyn_allocator){ allocate, release, self };
	self->calls_left = calls_left;
	self->live = 0;
	self->calls = 0;
	self->size = 0;
}
