#include "core/timer.h"

#include "core/memory.h"

static void
put_at(struct dyn_timers *self, uint32_t place, struct dyn_timer *timer)
{
	self->heap[place] = timer;
	timer->place = place;
}

static void
sift_up(struct dyn_timers *self, uint32_t place, struct dyn_timer *timer)
{
	for (; place > 1 && self->heap[place / 2]->at_ms > timer->at_ms; place /= 2)
		put_at(self, place, self->heap[place / 2]);
	put_at(self, place, timer);
}

static void
sift_down(struct dyn_timers *self, uint32_t place, struct dyn_timer *timer)
{
	for (uint32_t child; (child = place * 2) <= self->count; place = child)
	{
		if (child < self->count &&
			self->heap[child + 1]->at_ms < self->heap[child]->at_ms)
			child++;
		if (self->heap[child]->at_ms >= timer->at_ms)
			break;
		put_at(self, place, self->heap[child]);
	}
	put_at(self, place, timer);
}

void
dyn_timers_destroy(struct dyn_timers *self)
{
	dyn_memory_give(self->heap);
	*self = (struct dyn_timers){ 0 };
}

void
dyn_timers_set(struct dyn_timers *self, struct dyn_timer *timer, uint64_t at_ms)
{
	dyn_timers_cancel(self, timer);
	self->heap = dyn_memory_reserve(self->heap, self->count + 1,
									&self->capacity, sizeof(*self->heap));
	timer->at_ms = at_ms;
	sift_up(self, ++self->count, timer);
}

void
dyn_timers_cancel(struct dyn_timers *self, struct dyn_timer *timer)
{
	uint32_t place = timer->place;
	struct dyn_timer *last;

	if (place == 0)
		return;
	timer->place = 0;
	last = self->heap[self->count--];
	if (last == timer)
		return;
	if (place > 1 && self->heap[place / 2]->at_ms > last->at_ms)
		sift_up(self, place, last);
	else
		sift_down(self, place, last);
}

uint64_t
dyn_timers_deadline(const struct dyn_timers *self)
{
	return self->count ? self->heap[1]->at_ms : UINT64_MAX;
}

struct dyn_timer *
dyn_timers_take_due(struct dyn_timers *self, uint64_t now_ms)
{
	struct dyn_timer *timer;

	if (dyn_timers_deadline(self) > now_ms)
		return NULL;
	timer = self->heap[1];
	dyn_timers_cancel(self, timer);
	return timer;
}
