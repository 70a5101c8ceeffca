/*-------------------------------------------------------------------------
 *
 * clock_text.c
 *      The readable form of a clock: {a1b2c3d4e5f60718.7:3!1,...}
 *
 *-------------------------------------------------------------------------
 */
#include "model/clock.h"

#include <string.h>

enum
{
	/* '!', two numbers of 20 digits, "..", and before the first one of an
	 * actor: ",", 16 digits, ".", 20 digits, ":", 20 digits */
	RANGE_TEXT_MAX = 1 + 20 + 2 + 20 + 1 + 16 + 1 + 20 + 1 + 20
};

/* ---------------------------------------------------------------- writing */

static char *
put_decimal(char *at, uint64_t number)
{
	char digits[20];
	int count = 0;

	do
		digits[count++] = (char) ('0' + number % 10);
	while ((number /= 10) != 0);
	while (count > 0)
		*at++ = digits[--count];
	return at;
}

static char *
put_hex(char *at, uint64_t number)
{
	for (int shift = 60; shift >= 0; shift -= 4)
		*at++ = "0123456789abcdef"[number >> shift & 15];
	return at;
}

static char *
put_exception(char *at, uint64_t from, uint64_t to)
{
	*at++ = '!';
	at = put_decimal(at, from);
	if (from == to)
		return at;
	*at++ = '.';
	*at++ = '.';
	return put_decimal(at, to);
}

static char *
put_actor(char *at, const struct dyn_clock *self, uint32_t first,
		  uint32_t behind)
{
	struct dyn_actor actor = self->ranges[first].actor;
	uint64_t next = 1;

	at = put_hex(at, actor.start);
	*at++ = '.';
	at = put_decimal(at, actor.epoch);
	*at++ = ':';
	at = put_decimal(at, self->ranges[behind - 1].last);
	for (uint32_t i = first; i < behind; i++)
	{
		if (self->ranges[i].first > next)
			at = put_exception(at, next, self->ranges[i].first - 1);
		next = self->ranges[i].last + 1;
	}
	return at;
}

enum dyn_status
dyn_clock_format(const struct dyn_clock *self,
				 const struct dyn_allocator *allocator, char **out)
{
	char *text = allocator->allocate(
		allocator->context, (size_t) self->range_count * RANGE_TEXT_MAX + 3);
	char *at = text;

	if (text == NULL)
		return DYN_STATUS_NO_MEMORY;
	*at++ = '{';
	for (uint32_t i = 0; i < self->range_count;)
	{
		uint32_t behind = i + 1;

		while (behind < self->range_count &&
			   dyn_actor_compare(self->ranges[behind].actor,
								 self->ranges[i].actor) == 0)
			behind++;
		if (i != 0)
			*at++ = ',';
		at = put_actor(at, self, i, behind);
		i = behind;
	}
	*at++ = '}';
	*at = 0;
	*out = text;
	return DYN_STATUS_OK;
}

/* ---------------------------------------------------------------- reading */

struct parser
{
	const char *at;
	const char *end;
	const struct dyn_allocator *allocator;
	struct dyn_clock clock; /* so far */
	uint32_t entry_count;   /* in the text, each of one actor */
};

static char
peek(const struct parser *self)
{
	return self->at < self->end ? *self->at : 0;
}

static bool
take(struct parser *self, char c)
{
	if (peek(self) != c || self->at == self->end)
		return false;
	self->at++;
	return true;
}

static void
skip_space(struct parser *self)
{
	while (self->at < self->end && strchr(" \t\r\n\f\v", *self->at) != NULL &&
		   *self->at != 0)
		self->at++;
}

static bool
take_decimal(struct parser *self, uint64_t *number)
{
	const char *start = self->at;
	uint64_t value = 0;

	while (peek(self) >= '0' && peek(self) <= '9')
	{
		unsigned digit = (unsigned) (*self->at++ - '0');

		if (value > (UINT64_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*number = value;
	return self->at > start;
}

static bool
take_hex(struct parser *self, uint64_t *number)
{
	uint64_t value = 0;

	for (int i = 0; i < 16; i++)
	{
		char c = peek(self);
		const char *digits = "0123456789abcdef";
		const char *place;

		if (c >= 'A' && c <= 'F')
			c = (char) (c - 'A' + 'a');
		place = c ? strchr(digits, c) : NULL;
		if (place == NULL)
			return false;
		value = value << 4 | (uint64_t) (place - digits);
		self->at++;
	}
	*number = value;
	return true;
}

/* Room was made for one range per character at most. */
static void
append(struct parser *self, struct dyn_actor actor, uint64_t first,
	   uint64_t last)
{
	self->clock.ranges[self->clock.range_count++] =
		(struct dyn_clock_range){ actor, first, last };
}

static bool
take_entry(struct parser *self)
{
	struct dyn_actor actor;
	uint64_t counter;
	uint64_t next = 1;

	if (!take_hex(self, &actor.start) || !take(self, '.') ||
		!take_decimal(self, &actor.epoch) || !take(self, ':') ||
		!take_decimal(self, &counter) || counter == 0)
		return false;
	while (take(self, '!'))
	{
		uint64_t from;
		uint64_t to;

		if (!take_decimal(self, &from))
			return false;
		to = from;
		if (take(self, '.') && (!take(self, '.') || !take_decimal(self, &to)))
			return false;
		if (from < next || (from == next && from != 1) || from > to ||
			to >= counter)
			return false;
		if (from > next)
			append(self, actor, next, from - 1);
		next = to + 1;
	}
	append(self, actor, next, counter);
	self->entry_count++;
	return true;
}

static bool
is_before(const struct dyn_clock_range *a, const struct dyn_clock_range *b)
{
	int order = dyn_actor_compare(a->actor, b->actor);

	return order < 0 || (order == 0 && a->first < b->first);
}

/* Let the range at `i` sink to its place in a heap with the last range on
 * top. */
static void
sink(struct dyn_clock_range *ranges, size_t count, size_t i)
{
	struct dyn_clock_range range = ranges[i];

	for (size_t child; (child = 2 * i + 1) < count; i = child)
	{
		if (child + 1 < count && is_before(&ranges[child], &ranges[child + 1]))
			child++;
		if (!is_before(&range, &ranges[child]))
			break;
		ranges[i] = ranges[child];
	}
	ranges[i] = range;
}

/* Entries may stand in any order, and the text may be long: a heap sort, in
 * place and never quadratic. */
static void
sort_ranges(struct dyn_clock *clock)
{
	for (size_t i = clock->range_count / 2; i > 0; i--)
		sink(clock->ranges, clock->range_count, i - 1);
	for (size_t count = clock->range_count; count > 1; count--)
	{
		struct dyn_clock_range last = clock->ranges[0];

		clock->ranges[0] = clock->ranges[count - 1];
		clock->ranges[count - 1] = last;
		sink(clock->ranges, count - 1, 0);
	}
}

/* False when an actor repeats, even if its ranges fit together. */
static bool
sort_entries(struct parser *self)
{
	const struct dyn_clock_range *ranges = self->clock.ranges;
	uint32_t actor_count = 0;

	sort_ranges(&self->clock);
	for (uint32_t i = 0; i < self->clock.range_count; i++)
		actor_count += i == 0 || dyn_actor_compare(ranges[i - 1].actor,
												   ranges[i].actor) != 0;
	return actor_count == self->entry_count && dyn_clock_check(&self->clock);
}

static bool
parse(struct parser *self)
{
	skip_space(self);
	if (!take(self, '{'))
		return false;
	skip_space(self);
	if (!take(self, '}'))
	{
		do
		{
			skip_space(self);
			if (!take_entry(self))
				return false;
			skip_space(self);
		} while (take(self, ','));
		if (!take(self, '}'))
			return false;
	}
	skip_space(self);
	return self->at == self->end && sort_entries(self);
}

enum dyn_status
dyn_clock_parse(struct dyn_slice text, const struct dyn_allocator *allocator,
				struct dyn_clock *out)
{
	struct parser parser = { (const char *) text.data,
							 (const char *) text.data + text.size,
							 allocator,
							 { NULL, 0 },
							 0 };

	/* An entry has at least 20 characters, an exception two. */
	parser.clock.ranges = allocator->allocate(
		allocator->context, (text.size / 2 + 1) * sizeof(*parser.clock.ranges));
	if (parser.clock.ranges == NULL)
		return DYN_STATUS_NO_MEMORY;
	if (!parse(&parser))
	{
		allocator->release(allocator->context, parser.clock.ranges);
		return DYN_STATUS_BAD_REQUEST;
	}
	*out = parser.clock;
	return DYN_STATUS_OK;
}
