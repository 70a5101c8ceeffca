#include "core/detector.h"

enum
{
	QUANTILE_1000 = 5612,   /* of the normal distribution at phi 8 */
	SILENCE_MIN_MS = 500,   /* never suspected before */
	DEVIATION_MIN_PART = 4, /* of the interval */
	PATIENCE_MAX_MS = 1000,
	ANSWER_MAX_MS = 60000
};

static uint64_t
square_root(uint64_t x)
{
	uint64_t low = 0;
	uint64_t high = 1ULL << 32;

	while (low + 1 < high)
	{
		uint64_t middle = (low + high) / 2;

		if (middle * middle <= x)
			low = middle;
		else
			high = middle;
	}
	return low;
}

void
dyn_detector_start(struct dyn_detector *self, uint32_t interval_ms,
				   uint32_t silence_max_ms, uint64_t now_ms)
{
	*self = (struct dyn_detector){ .interval_ms = interval_ms,
								   .silence_max_ms = silence_max_ms,
								   .heard_at_ms = now_ms };
}

void
dyn_detector_heard(struct dyn_detector *self, uint64_t now_ms)
{
	self->heard_at_ms = now_ms;
}

void
dyn_detector_beat(struct dyn_detector *self, uint64_t now_ms)
{
	uint64_t gap = now_ms - self->beat_at_ms;
	uint16_t *place = &self->gaps[self->gap_next];
	bool first = self->beat_at_ms == 0;

	self->heard_at_ms = now_ms;
	self->beat_at_ms = now_ms;
	if (first || gap > DYN_DETECTOR_GAP_CAP_MS)
		return;
	if (self->gap_count == DYN_DETECTOR_GAPS)
	{
		self->sum -= *place;
		self->square_sum -= (uint64_t) *place * *place;
	}
	else
		self->gap_count++;
	*place = (uint16_t) gap;
	self->sum += gap;
	self->square_sum += gap * gap;
	self->gap_next = (self->gap_next + 1) % DYN_DETECTOR_GAPS;
}

void
dyn_detector_answered(struct dyn_detector *self, uint64_t took_ms)
{
	uint32_t took_ms8 =
		8 * (uint32_t) (took_ms < ANSWER_MAX_MS ? took_ms : ANSWER_MAX_MS);
	uint32_t off = took_ms8 > self->answer_ms8 ? took_ms8 - self->answer_ms8
											   : self->answer_ms8 - took_ms8;

	self->failures = 0;
	self->suspect_until_ms = 0;
	self->answer_deviation_ms8 =
		self->answer_deviation_ms8 - self->answer_deviation_ms8 / 4 + off / 4;
	self->answer_ms8 = self->answer_ms8 - self->answer_ms8 / 8 + took_ms8 / 8;
}

void
dyn_detector_failed(struct dyn_detector *self, uint64_t now_ms)
{
	if (self->failures < DYN_DETECTOR_FAILURES_MAX)
		self->failures++;
	if (self->failures < DYN_DETECTOR_FAILURES_MAX)
		return;
	self->suspect_until_ms = now_ms + DYN_DETECTOR_SUSPECT_MS;
	/* What comes after that is a probe: one failure is enough. */
	self->failures--;
}

void
dyn_detector_forgive(struct dyn_detector *self, uint64_t lag_ms,
					 uint64_t now_ms)
{
	self->heard_at_ms += lag_ms;
	if (self->heard_at_ms > now_ms)
		self->heard_at_ms = now_ms;
	if (self->beat_at_ms != 0)
		self->beat_at_ms += lag_ms;
	if (self->beat_at_ms > now_ms)
		self->beat_at_ms = now_ms;
}

/* How long a silence the rhythm so far makes believable. */
static uint64_t
believable_ms(const struct dyn_detector *self)
{
	uint64_t count = self->gap_count;
	uint64_t mean = self->interval_ms;
	uint64_t deviation = 0;
	uint64_t silence;

	if (count != 0)
	{
		mean = self->sum / count;
		deviation = square_root(self->square_sum / count -
								(self->sum / count) * (self->sum / count));
	}
	if (mean < self->interval_ms)
		mean = self->interval_ms;
	if (deviation < self->interval_ms / DEVIATION_MIN_PART)
		deviation = self->interval_ms / DEVIATION_MIN_PART;
	silence = mean + deviation * QUANTILE_1000 / 1000;
	if (silence < SILENCE_MIN_MS)
		silence = SILENCE_MIN_MS;
	return silence < self->silence_max_ms ? silence : self->silence_max_ms;
}

bool
dyn_detector_is_silent(const struct dyn_detector *self, uint64_t now_ms)
{
	return now_ms > self->heard_at_ms + believable_ms(self);
}

bool
dyn_detector_suspects(const struct dyn_detector *self, uint64_t now_ms)
{
	return now_ms < self->suspect_until_ms ||
		   dyn_detector_is_silent(self, now_ms);
}

uint32_t
dyn_detector_patience_ms(const struct dyn_detector *self, uint32_t floor_ms)
{
	uint32_t patience_ms =
		(self->answer_ms8 + 4 * self->answer_deviation_ms8) / 8;

	if (patience_ms > PATIENCE_MAX_MS)
		patience_ms = PATIENCE_MAX_MS;
	return patience_ms > floor_ms ? patience_ms : floor_ms;
}
