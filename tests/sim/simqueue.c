#include "tests/sim/simqueue.h"

#include "tests/sim/simdisk.h"

#include <stdlib.h>

static bool
is_before(const struct dyn_simevent *a, const struct dyn_simevent *b)
{
	return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->serial < b->serial;
}

static void
swap(struct dyn_simevent *a, struct dyn_simevent *b)
{
	struct dyn_simevent other = *a;

	*a = *b;
	*b = other;
}

void
dyn_simqueue_destroy(struct dyn_simqueue *self)
{
	free(self->items);
	*self = (struct dyn_simqueue){ 0 };
}

void
dyn_simqueue_push(struct dyn_simqueue *self, struct dyn_simevent event)
{
	uint32_t place = self->count++;

	if (self->count > self->capacity)
	{
		self->capacity = self->capacity ? 2 * self->capacity : 256;
		self->items =
			dyn_sim_grow(self->items, self->capacity * sizeof(*self->items));
	}
	event.serial = self->serial_next++;
	self->items[place] = event;
	for (; place > 0; place = (place - 1) / 2)
	{
		if (!is_before(&self->items[place], &self->items[(place - 1) / 2]))
			break;
		swap(&self->items[place], &self->items[(place - 1) / 2]);
	}
}

bool
dyn_simqueue_pop(struct dyn_simqueue *self, struct dyn_simevent *event)
{
	uint32_t place = 0;

	if (self->count == 0)
		return false;
	*event = self->items[0];
	self->items[0] = self->items[--self->count];
	for (;;)
	{
		uint32_t least = place;

		for (uint32_t child = 2 * place + 1; child <= 2 * place + 2; child++)
			if (child < self->count &&
				is_before(&self->items[child], &self->items[least]))
				least = child;
		if (least == place)
			return true;
		swap(&self->items[place], &self->items[least]);
		place = least;
	}
}
