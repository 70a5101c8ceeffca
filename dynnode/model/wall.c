#include "model/wall.h"

enum
{
	LATELY_MS = 10 * 1000
};

uint64_t
dyn_view_near(uint64_t at_ms, uint64_t wall_ms)
{
	if (at_ms < wall_ms && wall_ms - at_ms > DYN_CLOCKS_APART_MS)
		return wall_ms - DYN_CLOCKS_APART_MS;
	if (at_ms > wall_ms && at_ms - wall_ms > DYN_CLOCKS_APART_MS)
		return wall_ms + DYN_CLOCKS_APART_MS;
	return at_ms;
}

struct dyn_view
dyn_view_begin(uint64_t now_ms, uint64_t wall_ms)
{
	return (struct dyn_view){ .now_ms = now_ms,
							  .wall_ms = wall_ms,
							  .earliest_ms = UINT64_MAX,
							  .latest_ms = wall_ms,
							  .latest_age_ms = UINT64_MAX };
}

void
dyn_view_add(struct dyn_view *self, const struct dyn_told_view *told)
{
	uint64_t age_ms = self->now_ms - told->at_ms;
	uint64_t view_ms = told->view_ms + age_ms;

	if (told->view_ms == 0 || told->at_ms > self->now_ms)
		return;
	if (age_ms < self->latest_age_ms)
	{
		self->latest_age_ms = age_ms;
		self->latest_ms = view_ms;
	}
	if (age_ms <= LATELY_MS && view_ms < self->earliest_ms)
		self->earliest_ms = view_ms;
}

uint64_t
dyn_view_end(const struct dyn_view *self)
{
	return dyn_view_near(self->earliest_ms != UINT64_MAX ? self->earliest_ms
														 : self->latest_ms,
						 self->wall_ms);
}
