#include "model/clock.h"

#include "model/wire.h"

#include <xxhash.h>

enum
{
	TAG_CLOCK_ACTORS = DYN_WIRE_TAG(1, DYN_WIRE_BYTES),
	TAG_START = DYN_WIRE_TAG(1, DYN_WIRE_FIXED64),
	TAG_EPOCH = DYN_WIRE_TAG(2, DYN_WIRE_VARINT),
	TAG_COUNTER = DYN_WIRE_TAG(3, DYN_WIRE_VARINT),
	TAG_EXCEPTIONS = DYN_WIRE_TAG(4, DYN_WIRE_BYTES)
};

/* -------------------------------------------------------------- questions */

bool
dyn_clock_is_empty(const struct dyn_clock *self)
{
	return self->range_count == 0;
}

/* The first range that ends at or behind the dot, or range_count. */
static uint32_t
find(const struct dyn_clock *self, struct dyn_dot dot)
{
	uint32_t low = 0;
	uint32_t high = self->range_count;

	while (low < high)
	{
		uint32_t middle = low + (high - low) / 2;
		const struct dyn_clock_range *range = &self->ranges[middle];
		int order = dyn_actor_compare(range->actor, dot.actor);

		if (order < 0 || (order == 0 && range->last < dot.counter))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool
dyn_clock_covers(const struct dyn_clock *self, struct dyn_dot dot)
{
	uint32_t i = find(self, dot);

	return i < self->range_count &&
		   dyn_actor_compare(self->ranges[i].actor, dot.actor) == 0 &&
		   self->ranges[i].first <= dot.counter;
}

bool
dyn_clock_descends(const struct dyn_clock *a, const struct dyn_clock *b)
{
	uint32_t i = 0;

	for (uint32_t j = 0; j < b->range_count; j++)
	{
		const struct dyn_clock_range *want = &b->ranges[j];

		while (i < a->range_count)
		{
			int order = dyn_actor_compare(a->ranges[i].actor, want->actor);

			if (order > 0 || (order == 0 && a->ranges[i].last >= want->first))
				break;
			i++;
		}
		if (i == a->range_count ||
			dyn_actor_compare(a->ranges[i].actor, want->actor) != 0 ||
			a->ranges[i].first > want->first || a->ranges[i].last < want->last)
			return false;
	}
	return true;
}

enum dyn_clock_order
dyn_clock_compare(const struct dyn_clock *a, const struct dyn_clock *b)
{
	bool after = dyn_clock_descends(a, b);
	bool before = dyn_clock_descends(b, a);

	if (after)
		return before ? DYN_CLOCK_EQUAL : DYN_CLOCK_AFTER;
	return before ? DYN_CLOCK_BEFORE : DYN_CLOCK_CONCURRENT;
}

static int
compare_u64(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int
compare_ranges(const struct dyn_clock_range *a, const struct dyn_clock_range *b)
{
	int order = dyn_actor_compare(a->actor, b->actor);

	if (order == 0)
		order = compare_u64(a->first, b->first);
	return order ? order : compare_u64(a->last, b->last);
}

int
dyn_clock_sort_compare(const struct dyn_clock *a, const struct dyn_clock *b)
{
	for (uint32_t i = 0; i < a->range_count && i < b->range_count; i++)
	{
		int order = compare_ranges(&a->ranges[i], &b->ranges[i]);

		if (order != 0)
			return order;
	}
	return compare_u64(a->range_count, b->range_count);
}

uint64_t
dyn_clock_hash(const struct dyn_clock *self)
{
	/* Four 64-bit fields: no padding, and the array is canonical. */
	return XXH3_64bits(self->ranges, self->range_count * sizeof(*self->ranges));
}

uint64_t
dyn_clock_counter(const struct dyn_clock *self, struct dyn_actor actor)
{
	uint32_t i = find(self, (struct dyn_dot){ actor, UINT64_MAX });

	/* i is behind the actor's ranges, but for one that ends at the maximum. */
	if (i < self->range_count &&
		dyn_actor_compare(self->ranges[i].actor, actor) == 0)
		return self->ranges[i].last;
	if (i == 0 || dyn_actor_compare(self->ranges[i - 1].actor, actor) != 0)
		return 0;
	return self->ranges[i - 1].last;
}

bool
dyn_clock_latest_actor(const struct dyn_clock *self, uint64_t start,
					   struct dyn_actor *actor)
{
	for (uint32_t i = self->range_count; i > 0; i--)
	{
		if (self->ranges[i - 1].actor.start != start)
			continue;
		*actor = self->ranges[i - 1].actor;
		return true;
	}
	return false;
}

static bool
same_actor_before(const struct dyn_clock *self, uint32_t i)
{
	return i > 0 && dyn_actor_compare(self->ranges[i - 1].actor,
									  self->ranges[i].actor) == 0;
}

uint32_t
dyn_clock_entry_count(const struct dyn_clock *self)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < self->range_count; i++)
	{
		bool same = same_actor_before(self, i);

		count += !same;                             /* the actor */
		count += same || self->ranges[i].first > 1; /* what is missing before */
	}
	return count;
}

bool
dyn_clock_check(const struct dyn_clock *self)
{
	for (uint32_t i = 0; i < self->range_count; i++)
	{
		const struct dyn_clock_range *range = &self->ranges[i];

		if (range->first < 1 || range->first > range->last)
			return false;
		if (i == 0)
			continue;
		if (same_actor_before(self, i))
		{
			if (range[-1].last >= range->first - 1)
				return false;
		}
		else if (dyn_actor_compare(range[-1].actor, range->actor) > 0)
			return false;
	}
	return true;
}

/* ------------------------------------------------------------ new clocks */

static struct dyn_clock_range *
new_ranges(const struct dyn_allocator *allocator, size_t count)
{
	return allocator->allocate(allocator->context,
							   count * sizeof(struct dyn_clock_range));
}

/* Append a range that does not begin before the last one; join what touches. */
static void
append(struct dyn_clock *out, struct dyn_clock_range range)
{
	struct dyn_clock_range *last =
		out->range_count ? &out->ranges[out->range_count - 1] : NULL;

	if (last != NULL && dyn_actor_compare(last->actor, range.actor) == 0 &&
		range.first - 1 <= last->last)
	{
		if (range.last > last->last)
			last->last = range.last;
		return;
	}
	out->ranges[out->range_count++] = range;
}

enum dyn_status
dyn_clock_union(const struct dyn_clock *a, const struct dyn_clock *b,
				const struct dyn_allocator *allocator, struct dyn_clock *out)
{
	size_t count = (size_t) a->range_count + b->range_count;
	struct dyn_clock result = { new_ranges(allocator, count), 0 };
	uint32_t i = 0;
	uint32_t j = 0;

	if (result.ranges == NULL)
		return DYN_STATUS_NO_MEMORY;
	while (i < a->range_count || j < b->range_count)
	{
		if (j == b->range_count ||
			(i < a->range_count &&
			 compare_ranges(&a->ranges[i], &b->ranges[j]) <= 0))
			append(&result, a->ranges[i++]);
		else
			append(&result, b->ranges[j++]);
	}
	*out = result;
	return DYN_STATUS_OK;
}

enum dyn_status
dyn_clock_add(const struct dyn_clock *self, struct dyn_dot dot,
			  const struct dyn_allocator *allocator, struct dyn_clock *out)
{
	struct dyn_clock_range range = { dot.actor, dot.counter, dot.counter };
	struct dyn_clock one = { &range, 1 };

	return dyn_clock_union(self, &one, allocator, out);
}

enum dyn_status
dyn_clock_copy(const struct dyn_clock *self,
			   const struct dyn_allocator *allocator, struct dyn_clock *out)
{
	struct dyn_clock_range *ranges = new_ranges(allocator, self->range_count);

	if (ranges == NULL)
		return DYN_STATUS_NO_MEMORY;
	if (self->range_count != 0)
		memcpy(ranges, self->ranges, self->range_count * sizeof(*ranges));
	*out = (struct dyn_clock){ ranges, self->range_count };
	return DYN_STATUS_OK;
}

/* Append what is left of a range without the dots from *at on that lie in it;
 * *at moves behind them. */
static void
append_without(struct dyn_clock *out, struct dyn_clock_range range,
			   const struct dyn_dot *dots, uint32_t dot_count, uint32_t *at)
{
	uint64_t next = range.first;

	for (; *at < dot_count; (*at)++)
	{
		const struct dyn_dot *dot = &dots[*at];
		int order = dyn_actor_compare(dot->actor, range.actor);

		if (order > 0 || (order == 0 && dot->counter > range.last))
			break;
		if (order < 0 || dot->counter < next)
			continue;
		if (dot->counter > next)
			out->ranges[out->range_count++] =
				(struct dyn_clock_range){ range.actor, next, dot->counter - 1 };
		if (dot->counter == range.last)
			return;
		next = dot->counter + 1;
	}
	out->ranges[out->range_count++] =
		(struct dyn_clock_range){ range.actor, next, range.last };
}

enum dyn_status
dyn_clock_minus(const struct dyn_clock *self, const struct dyn_dot *dots,
				uint32_t dot_count, const struct dyn_allocator *allocator,
				struct dyn_clock *out)
{
	size_t count = (size_t) self->range_count + dot_count;
	struct dyn_clock result = { new_ranges(allocator, count), 0 };
	uint32_t at = 0;

	if (result.ranges == NULL)
		return DYN_STATUS_NO_MEMORY;
	for (uint32_t i = 0; i < self->range_count; i++)
		append_without(&result, self->ranges[i], dots, dot_count, &at);
	*out = result;
	return DYN_STATUS_OK;
}

/* ------------------------------------------------------------ binary form */

/* The ranges of one actor: [first, behind). */
static uint32_t
behind_actor(const struct dyn_clock *self, uint32_t first)
{
	uint32_t behind = first + 1;

	while (behind < self->range_count && same_actor_before(self, behind))
		behind++;
	return behind;
}

/* The gap before range i of an actor that starts at `first`; false = none. */
static bool
gap_before(const struct dyn_clock *self, uint32_t first, uint32_t i,
		   uint64_t *from, uint64_t *to)
{
	*from = i == first ? 1 : self->ranges[i - 1].last + 1;
	*to = self->ranges[i].first - 1;
	return *from <= *to;
}

static size_t
exceptions_size(const struct dyn_clock *self, uint32_t first, uint32_t behind)
{
	size_t size = 0;
	uint64_t from;
	uint64_t to;

	for (uint32_t i = first; i < behind; i++)
		if (gap_before(self, first, i, &from, &to))
			size += dyn_wire_varint_size(from) + dyn_wire_varint_size(to);
	return size;
}

static size_t
actor_size(const struct dyn_clock *self, uint32_t first, uint32_t behind)
{
	struct dyn_actor actor = self->ranges[first].actor;
	size_t exceptions = exceptions_size(self, first, behind);
	size_t size = 1 + dyn_wire_varint_size(self->ranges[behind - 1].last);

	if (actor.start != 0)
		size += 9;
	if (actor.epoch != 0)
		size += 1 + dyn_wire_varint_size(actor.epoch);
	if (exceptions != 0)
		size += 1 + dyn_wire_varint_size(exceptions) + exceptions;
	return size;
}

static uint8_t *
put_actor(uint8_t *at, const struct dyn_clock *self, uint32_t first,
		  uint32_t behind)
{
	struct dyn_actor actor = self->ranges[first].actor;
	size_t exceptions = exceptions_size(self, first, behind);
	uint64_t from;
	uint64_t to;

	if (actor.start != 0)
	{
		*at++ = TAG_START;
		at = dyn_wire_put_fixed64(at, actor.start);
	}
	if (actor.epoch != 0)
	{
		*at++ = TAG_EPOCH;
		at = dyn_wire_put_varint(at, actor.epoch);
	}
	*at++ = TAG_COUNTER;
	at = dyn_wire_put_varint(at, self->ranges[behind - 1].last);
	if (exceptions == 0)
		return at;
	*at++ = TAG_EXCEPTIONS;
	at = dyn_wire_put_varint(at, exceptions);
	for (uint32_t i = first; i < behind; i++)
		if (gap_before(self, first, i, &from, &to))
		{
			at = dyn_wire_put_varint(at, from);
			at = dyn_wire_put_varint(at, to);
		}
	return at;
}

size_t
dyn_clock_encoded_size(const struct dyn_clock *self)
{
	size_t size = 0;

	for (uint32_t i = 0; i < self->range_count;)
	{
		uint32_t behind = behind_actor(self, i);
		size_t one = actor_size(self, i, behind);

		size += 1 + dyn_wire_varint_size(one) + one;
		i = behind;
	}
	return size;
}

uint8_t *
dyn_clock_put(const struct dyn_clock *self, uint8_t *at)
{
	for (uint32_t i = 0; i < self->range_count;)
	{
		uint32_t behind = behind_actor(self, i);

		*at++ = TAG_CLOCK_ACTORS;
		at = dyn_wire_put_varint(at, actor_size(self, i, behind));
		at = put_actor(at, self, i, behind);
		i = behind;
	}
	return at;
}

enum dyn_status
dyn_clock_encode(const struct dyn_clock *self,
				 const struct dyn_allocator *allocator, struct dyn_slice *out)
{
	size_t size = dyn_clock_encoded_size(self);
	uint8_t *bytes = allocator->allocate(allocator->context, size);

	if (bytes == NULL)
		return DYN_STATUS_NO_MEMORY;
	dyn_clock_put(self, bytes);
	*out = (struct dyn_slice){ bytes, size };
	return DYN_STATUS_OK;
}

/* The exceptions of one actor become the ranges between them. False when they
 * are not ascending, disjoint, apart, and below the counter. */
static bool
get_ranges(struct dyn_slice exceptions, struct dyn_actor actor,
		   uint64_t counter, struct dyn_clock *out)
{
	struct dyn_wire_reader reader = dyn_wire_reader(exceptions);
	uint64_t next = 1;

	while (!dyn_wire_at_end(&reader))
	{
		uint64_t from = dyn_wire_get_varint(&reader);
		uint64_t to = dyn_wire_get_varint(&reader);

		/* Only the first exception may begin where the range before it
		 * would be empty: at 1. */
		if (reader.failed || from > to || to >= counter || from < next ||
			(from == next && from != 1))
			return false;
		if (from > next)
			out->ranges[out->range_count++] =
				(struct dyn_clock_range){ actor, next, from - 1 };
		next = to + 1;
	}
	out->ranges[out->range_count++] =
		(struct dyn_clock_range){ actor, next, counter };
	return true;
}

static bool
get_actor(struct dyn_slice bytes, struct dyn_clock *out)
{
	struct dyn_wire_reader reader = dyn_wire_reader(bytes);
	struct dyn_actor actor;
	uint64_t counter;
	struct dyn_slice exceptions = { bytes.data, 0 };

	actor.start = dyn_wire_get_number(&reader, TAG_START);
	actor.epoch = dyn_wire_get_number(&reader, TAG_EPOCH);
	counter = dyn_wire_get_number(&reader, TAG_COUNTER);
	if (dyn_wire_next_is(&reader, TAG_EXCEPTIONS))
	{
		exceptions = dyn_wire_get_bytes(&reader);
		if (exceptions.size == 0)
			return false;
	}
	if (reader.failed || !dyn_wire_at_end(&reader) || counter == 0)
		return false;
	if (out->range_count != 0 &&
		dyn_actor_compare(out->ranges[out->range_count - 1].actor, actor) >= 0)
		return false;
	return get_ranges(exceptions, actor, counter, out);
}

/*
 * How many ranges the actors can have at most: one, and one for each
 * exception, which takes two bytes of what its actor's other fields leave.
 * So memory is in proportion to the input, and close to what is needed.
 */
static bool
count_room(struct dyn_wire_reader reader, size_t *room)
{
	*room = 0;
	while (!dyn_wire_at_end(&reader))
	{
		struct dyn_slice actor;
		size_t others = 4; /* counter; tag and size of the exceptions */

		if (!dyn_wire_next_is(&reader, TAG_CLOCK_ACTORS))
			return false;
		actor = dyn_wire_get_bytes(&reader);
		if (reader.failed || actor.size == 0)
			return false;
		if (actor.data[0] == TAG_START)
			others += 9;
		*room += 1 + (actor.size > others ? (actor.size - others) / 2 : 0);
	}
	return true;
}

enum dyn_status
dyn_clock_decode(struct dyn_slice bytes, bool limit,
				 const struct dyn_allocator *allocator, struct dyn_clock *out)
{
	struct dyn_wire_reader reader = dyn_wire_reader(bytes);
	struct dyn_clock result = { NULL, 0 };
	size_t room;

	if (!count_room(reader, &room))
		return DYN_STATUS_BAD_REQUEST;
	result.ranges = new_ranges(allocator, room);
	if (result.ranges == NULL)
		return DYN_STATUS_NO_MEMORY;
	while (dyn_wire_next_is(&reader, TAG_CLOCK_ACTORS))
		if (!get_actor(dyn_wire_get_bytes(&reader), &result))
		{
			allocator->release(allocator->context, result.ranges);
			return DYN_STATUS_BAD_REQUEST;
		}
	if (limit && dyn_clock_entry_count(&result) > DYN_CLOCK_ENTRIES_MAX)
	{
		allocator->release(allocator->context, result.ranges);
		return DYN_STATUS_TOO_LARGE;
	}
	*out = result;
	return DYN_STATUS_OK;
}
