#include "core/effect.h"

#include "core/memory.h"

#include <string.h>

enum
{
	EFFECTS_CHUNK_SIZE = 64 * 1024
};

void
dyn_effects_init(struct dyn_effects *self)
{
	memset(self, 0, sizeof(*self));
	dyn_arena_init(&self->arena, dyn_memory_allocator(), EFFECTS_CHUNK_SIZE);
}

void
dyn_effects_destroy(struct dyn_effects *self)
{
	dyn_arena_destroy(&self->arena);
	dyn_memory_give(self->items);
	self->items = NULL;
	self->count = self->capacity = 0;
}

void
dyn_effects_reset(struct dyn_effects *self)
{
	dyn_arena_reset(&self->arena);
	self->count = 0;
}

struct dyn_effect *
dyn_effects_add(struct dyn_effects *self, enum dyn_effect_type type)
{
	struct dyn_effect *effect;

	self->items = dyn_memory_reserve(self->items, self->count, &self->capacity,
									 sizeof(*self->items));
	effect = &self->items[self->count++];
	memset(effect, 0, sizeof(*effect));
	effect->type = type;
	return effect;
}
