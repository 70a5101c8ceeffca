/*-------------------------------------------------------------------------
 *
 * window.c
 *		How many writes may be on their way to one node (window.h).
 *
 *-------------------------------------------------------------------------
 */
#include "window.h"

enum
{
	OPS_PER_FRAME = 1000,
	FRAMES_MAX = 4,
	SIZE_MAX_OPS = FRAMES_MAX * OPS_PER_FRAME,
	BYTES_MAX = 2 * 1024 * 1024,	/* then no frame more */
	SIZE_MIN_OPS = 32,			/* many sessions are still served in turn */
	PAUSE_MS_MIN = 4,
	PAUSE_MS_MAX = 256,
	STUCK_MS = 1000
};

/* So that those who were refused together do not come back together. */
static int
random_below(int limit)
{
	uint32		bits = 0;

	(void) pg_strong_random(&bits, sizeof(bits));
	return (int) (bits % (uint32) limit);
}

void
dynfdw_window_init(DynamoWindow *self)
{
	memset(self, 0, sizeof(*self));
	self->size = SIZE_MAX_OPS;
}

int
dynfdw_window_room(const DynamoWindow *self, DynamoMoment now)
{
	int			frame = Min(OPS_PER_FRAME, Max(SIZE_MIN_OPS, self->size / 2));
	int			room = self->size - self->in_flight;

	if (self->frames >= FRAMES_MAX || self->bytes >= BYTES_MAX ||
		now < self->not_before)
		return 0;
	/* No frames of a few operations each, while others are on their way. */
	if (self->in_flight > 0 && room < frame / 2)
		return 0;
	return Max(0, Min(room, frame));
}

void
dynfdw_window_sent(DynamoWindow *self, int ops, size_t bytes)
{
	self->bytes += bytes;
	self->frames++;
	self->in_flight += ops;
}

void
dynfdw_window_answered(DynamoWindow *self, DynamoMoment sent_at, int ops,
					   size_t bytes, int refused)
{
	int			were_in_flight = self->in_flight;
	DynamoMoment now = dynfdw_now();

	self->frames--;
	self->bytes -= bytes;
	self->in_flight -= ops;
	if (refused < ops)
		self->refused_since = 0;
	if (refused == 0)
	{
		self->pause_ms = 0;
		self->size = Min(SIZE_MAX_OPS, self->size + ops / 8 + 1);
		return;
	}
	if (refused == ops && self->refused_since == 0)
		self->refused_since = now;
	/* What had left before the last halving says nothing new. */
	if (sent_at <= self->halved_at)
		return;
	self->halved_at = now;
	self->size = Max(SIZE_MIN_OPS, Min(self->size, were_in_flight) / 2);
	self->pause_ms = Min(PAUSE_MS_MAX, Max(PAUSE_MS_MIN, 2 * self->pause_ms));
	self->not_before = dynfdw_after(now, self->pause_ms / 2 +
									random_below(self->pause_ms));
}

bool
dynfdw_window_is_stuck(const DynamoWindow *self, DynamoMoment now)
{
	return self->refused_since != 0 &&
		now >= dynfdw_after(self->refused_since, STUCK_MS);
}
