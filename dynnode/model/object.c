#include "model/object.h"

#include "model/wire.h"

#include <stdlib.h>
#include <xxhash.h>

enum
{
	TAG_CONTEXT = DYN_WIRE_TAG(1, DYN_WIRE_BYTES),
	TAG_VERSIONS = DYN_WIRE_TAG(2, DYN_WIRE_BYTES),
	TAG_START = DYN_WIRE_TAG(1, DYN_WIRE_FIXED64),
	TAG_EPOCH = DYN_WIRE_TAG(2, DYN_WIRE_VARINT),
	TAG_COUNTER = DYN_WIRE_TAG(3, DYN_WIRE_VARINT),
	TAG_REQUEST = DYN_WIRE_TAG(4, DYN_WIRE_BYTES),
	TAG_WRITTEN_AT = DYN_WIRE_TAG(5, DYN_WIRE_VARINT),
	TAG_FLAGS = DYN_WIRE_TAG(6, DYN_WIRE_VARINT),
	TAG_VALUE = DYN_WIRE_TAG(7, DYN_WIRE_BYTES),
	TAG_EXPIRES_AT = DYN_WIRE_TAG(8, DYN_WIRE_VARINT),

	VERSION_SIZE_MIN = 20, /* a counter and a request id */

	HASH_SEED = 0x64796e6f,
	HASH_SEED_TOMBSTONE = 0x746f6d62,
	HASH_SEED_RETRY = 0x72657472
};

bool
dyn_object_is_tombstone(const struct dyn_object *self)
{
	return self->version_count == 0 && !dyn_clock_is_empty(&self->context);
}

/* ---------------------------------------------------------------- algebra */

static struct dyn_version *
new_versions(const struct dyn_allocator *allocator, size_t count)
{
	return allocator->allocate(allocator->context,
							   count * sizeof(struct dyn_version));
}

static int
compare_versions(const struct dyn_version *a, const struct dyn_version *b)
{
	int order = dyn_dot_compare(a->dot, b->dot);

	return order ? order : dyn_slice_compare(a->value, b->value);
}

/* For bsearch. */
static int
compare_any_versions(const void *a, const void *b)
{
	return compare_versions(a, b);
}

/* Of two records of one version the greater one stays, so that replicas are
 * equal in whatever order they met; only a damaged history has two. */
static const struct dyn_version *
greater_record(const struct dyn_version *a, const struct dyn_version *b)
{
	int order = dyn_request_id_compare(&a->request, &b->request);

	if (order == 0 && a->written_at_ms != b->written_at_ms)
		order = a->written_at_ms < b->written_at_ms ? -1 : 1;
	if (order == 0 && a->expires_at_ms != b->expires_at_ms)
		order = a->expires_at_ms < b->expires_at_ms ? -1 : 1;
	if (order == 0)
		order = a->flags < b->flags ? -1 : 1;
	return order < 0 ? b : a;
}

/* By bisection: whoever sends many versions must not cost quadratic time. */
static bool
has_dot(const struct dyn_object *self, struct dyn_dot dot)
{
	uint32_t low = 0;
	uint32_t high = self->version_count;

	while (low < high)
	{
		uint32_t middle = low + (high - low) / 2;
		int order = dyn_dot_compare(self->versions[middle].dot, dot);

		if (order == 0)
			return true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

/* Does a version of one side survive meeting the other side? */
static bool
survives(const struct dyn_version *version, const struct dyn_object *other)
{
	return !dyn_clock_covers(&other->context, version->dot) ||
		   has_dot(other, version->dot);
}

/* ----------------------------------------------------------- retried writes */

struct dyn_dot
dyn_object_retry_dot(const struct dyn_request_id *request,
					 struct dyn_slice value)
{
	struct
	{
		struct dyn_request_id request;
		uint64_t value_hash;
	} name = { *request, XXH3_64bits(value.data, value.size) };
	uint64_t start = XXH3_64bits_withSeed(&name, sizeof(name), HASH_SEED_RETRY);

	return (struct dyn_dot){ { start, 0 }, 1 };
}

/* How many dots of retried writes it covers; other actors have epochs. */
static uint32_t
count_retry_dots(const struct dyn_clock *self)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < self->range_count; i++)
		count += self->ranges[i].actor.epoch == 0;
	return count;
}

/* By bisection, as above. NULL: it is not live. */
static struct dyn_version *
find_version(const struct dyn_object *self, const struct dyn_version *wanted)
{
	return bsearch(wanted, self->versions, self->version_count,
				   sizeof(*self->versions), compare_any_versions);
}

/* What a retry makes of the same write, as far as it is compared. */
static struct dyn_version
retry_of(const struct dyn_version *version)
{
	return (struct dyn_version){ .dot = dyn_object_retry_dot(&version->request,
															 version->value),
								 .value = version->value };
}

/* Is it the late or unseen attempt at a write whose retry has ended, or, where
 * the last write wins, is there at all?  A version of another value under that
 * dot is a damaged history, and no retry of this one. */
static bool
is_settled(const struct dyn_object *self, const struct dyn_version *version)
{
	struct dyn_version retried = retry_of(version);

	return dyn_dot_compare(retried.dot, version->dot) != 0 &&
		   dyn_clock_covers(&self->context, retried.dot) &&
		   ((version->flags & DYN_VERSION_LWW) ||
			find_version(self, &retried) == NULL);
}

/*
 * Drop what is settled.  Values are hashed only where a retry left its name.
 * All are judged by the versions as they were, then the array is closed up.
 */
static enum dyn_status
close_retries(struct dyn_object *self, const struct dyn_allocator *allocator)
{
	uint32_t count = 0;
	bool *settled;

	if (self->version_count == 0 || count_retry_dots(&self->context) == 0)
		return DYN_STATUS_OK;
	settled = allocator->allocate(allocator->context,
								  self->version_count * sizeof(*settled));
	if (settled == NULL)
		return DYN_STATUS_NO_MEMORY;
	for (uint32_t i = 0; i < self->version_count; i++)
		settled[i] = is_settled(self, &self->versions[i]);
	for (uint32_t i = 0; i < self->version_count; i++)
		if (!settled[i])
			self->versions[count++] = self->versions[i];
	self->version_count = count;
	allocator->release(allocator->context, settled);
	return DYN_STATUS_OK;
}

/* ---------------------------------------------------------------- sync, put */

static void
release_object(struct dyn_object *self, const struct dyn_allocator *allocator)
{
	if (self->versions != NULL)
		allocator->release(allocator->context, self->versions);
	if (self->context.ranges != NULL)
		allocator->release(allocator->context, self->context.ranges);
}

enum dyn_status
dyn_object_sync(const struct dyn_object *a, const struct dyn_object *b,
				const struct dyn_allocator *allocator, struct dyn_object *out)
{
	struct dyn_object result = { 0 };
	uint32_t i = 0;
	uint32_t j = 0;

	result.versions =
		new_versions(allocator, (size_t) a->version_count + b->version_count);
	if (result.versions == NULL)
		return DYN_STATUS_NO_MEMORY;
	if (dyn_clock_union(&a->context, &b->context, allocator, &result.context) !=
		DYN_STATUS_OK)
	{
		allocator->release(allocator->context, result.versions);
		return DYN_STATUS_NO_MEMORY;
	}
	while (i < a->version_count || j < b->version_count)
	{
		int order;

		if (i == a->version_count)
			order = 1;
		else if (j == b->version_count)
			order = -1;
		else
			order = compare_versions(&a->versions[i], &b->versions[j]);
		if (order == 0)
		{
			result.versions[result.version_count++] =
				*greater_record(&a->versions[i++], &b->versions[j++]);
		}
		else if (order < 0)
		{
			if (survives(&a->versions[i], b))
				result.versions[result.version_count++] = a->versions[i];
			i++;
		}
		else
		{
			if (survives(&b->versions[j], a))
				result.versions[result.version_count++] = b->versions[j];
			j++;
		}
	}
	if (close_retries(&result, allocator) != DYN_STATUS_OK)
	{
		release_object(&result, allocator);
		return DYN_STATUS_NO_MEMORY;
	}
	*out = result;
	return DYN_STATUS_OK;
}

/* self.context + what the writer has read + the dots of the new versions. */
static enum dyn_status
put_context(const struct dyn_object *self, const struct dyn_update *update,
			const struct dyn_clock *dots, const struct dyn_allocator *allocator,
			struct dyn_clock *out)
{
	struct dyn_clock read = { 0 };
	enum dyn_status status;

	if (update->context == NULL)
		return dyn_clock_union(&self->context, dots, allocator, out);
	status = dyn_clock_union(&self->context, update->context, allocator, &read);
	if (status != DYN_STATUS_OK)
		return status;
	status = dyn_clock_union(&read, dots, allocator, out);
	allocator->release(allocator->context, read.ranges);
	return status;
}

/* Of one row, in an order that brings twins together. */
static int
compare_rows(const void *a, const void *b)
{
	const struct dyn_version *left = *(const struct dyn_version *const *) a;
	const struct dyn_version *right = *(const struct dyn_version *const *) b;
	int order = dyn_request_id_compare(&left->request, &right->request);

	return order ? order : dyn_slice_compare(left->value, right->value);
}

/*
 * The versions that the writer has not read, nor seen a twin of: readers are
 * shown twins as one row, so whoever replaces one means the row.  (Not in
 * sync: there it would not be associative.)
 */
static enum dyn_status
keep_unread(const struct dyn_object *self, const struct dyn_clock *read,
			const struct dyn_allocator *allocator, struct dyn_object *result)
{
	const struct dyn_version **gone;
	uint32_t gone_count = 0;

	if (read == NULL || self->version_count == 0)
	{
		for (uint32_t i = 0; i < self->version_count; i++)
			result->versions[result->version_count++] = self->versions[i];
		return DYN_STATUS_OK;
	}
	gone = allocator->allocate(allocator->context,
							   self->version_count * sizeof(const void *));
	if (gone == NULL)
		return DYN_STATUS_NO_MEMORY;
	for (uint32_t i = 0; i < self->version_count; i++)
		if (dyn_clock_covers(read, self->versions[i].dot))
			gone[gone_count++] = &self->versions[i];
	qsort((void *) gone, gone_count, sizeof(*gone), compare_rows);
	for (uint32_t i = 0; i < self->version_count; i++)
	{
		const struct dyn_version *version = &self->versions[i];

		if (!dyn_clock_covers(read, version->dot) &&
			bsearch(&version, (const void *) gone, gone_count, sizeof(*gone),
					compare_rows) == NULL)
			result->versions[result->version_count++] = *version;
	}
	allocator->release(allocator->context, (void *) gone);
	return DYN_STATUS_OK;
}

static void
insert_version(struct dyn_object *self, const struct dyn_version *version)
{
	uint32_t i = self->version_count++;

	for (; i > 0 && compare_versions(&self->versions[i - 1], version) > 0; i--)
		self->versions[i] = self->versions[i - 1];
	self->versions[i] = *version;
}

/* The dots of the new versions: by value, and as a clock, for both of which
 * there is room. */
static void
name_retries(const struct dyn_update *update, struct dyn_dot *dots,
			 struct dyn_clock *clock)
{
	for (uint32_t i = 0; i < update->value_count; i++)
	{
		struct dyn_actor actor;
		uint32_t at = clock->range_count;

		dots[i] = dyn_object_retry_dot(&update->request, update->values[i]);
		actor = dots[i].actor;
		if (dyn_clock_covers(clock, dots[i]))
			continue; /* equal values are one row */
		for (; at > 0 &&
			   dyn_actor_compare(clock->ranges[at - 1].actor, actor) > 0;
			 at--)
			clock->ranges[at] = clock->ranges[at - 1];
		clock->ranges[at] = (struct dyn_clock_range){ actor, 1, 1 };
		clock->range_count++;
	}
}

static enum dyn_status
name_versions(const struct dyn_object *self, const struct dyn_update *update,
			  struct dyn_actor actor, struct dyn_dot *dots,
			  struct dyn_clock *clock)
{
	uint64_t counter = dyn_clock_counter(&self->context, actor);

	if (update->is_retry)
		name_retries(update, dots, clock);
	else if (counter > UINT64_MAX - update->value_count)
		return DYN_STATUS_TOO_LARGE;
	else if (update->value_count != 0)
	{
		for (uint32_t i = 0; i < update->value_count; i++)
			dots[i] = (struct dyn_dot){ actor, counter + 1 + i };
		clock->ranges[clock->range_count++] =
			(struct dyn_clock_range){ actor, counter + 1,
									  counter + update->value_count };
	}
	return DYN_STATUS_OK;
}

/* What is new goes beside what stays, unless it was written before. */
static void
add_versions(const struct dyn_object *self, const struct dyn_update *update,
			 const struct dyn_dot *dots, struct dyn_object *result)
{
	for (uint32_t i = 0; i < update->value_count; i++)
	{
		struct dyn_version version = { .dot = dots[i],
									   .request = update->request,
									   .written_at_ms = update->written_at_ms,
									   .expires_at_ms = update->expires_at_ms,
									   .flags = update->flags,
									   .value = update->values[i] };

		if (update->is_retry && (dyn_clock_covers(&self->context, dots[i]) ||
								 has_dot(result, dots[i])))
			continue;
		insert_version(result, &version);
	}
}

enum dyn_status
dyn_object_put(const struct dyn_object *self, const struct dyn_update *update,
			   struct dyn_actor actor, const struct dyn_allocator *allocator,
			   struct dyn_object *out)
{
	size_t room = (size_t) update->value_count + 1;
	struct dyn_object result = { 0 };
	struct dyn_clock clock = { 0 };
	struct dyn_dot *dots;
	enum dyn_status status;

	dots = allocator->allocate(allocator->context,
							   room * (sizeof(*dots) + sizeof(*clock.ranges)));
	if (dots == NULL)
		return DYN_STATUS_NO_MEMORY;
	clock.ranges = (struct dyn_clock_range *) (dots + room);
	result.versions = new_versions(allocator, (size_t) self->version_count +
												  update->value_count);
	status = result.versions ? DYN_STATUS_OK : DYN_STATUS_NO_MEMORY;
	if (status == DYN_STATUS_OK)
		status = name_versions(self, update, actor, dots, &clock);
	if (status == DYN_STATUS_OK)
		status = put_context(self, update, &clock, allocator, &result.context);
	if (status == DYN_STATUS_OK && update->is_retry &&
		count_retry_dots(&result.context) > DYN_RETRY_DOTS_MAX)
		status = DYN_STATUS_TOO_LARGE;
	if (status == DYN_STATUS_OK)
		status = keep_unread(self, update->context, allocator, &result);
	if (status == DYN_STATUS_OK)
	{
		add_versions(self, update, dots, &result);
		status = close_retries(&result, allocator);
	}
	allocator->release(allocator->context, dots);
	if (status != DYN_STATUS_OK)
		release_object(&result, allocator);
	else
		*out = result;
	return status;
}

bool
dyn_object_has_request(const struct dyn_object *self,
					   const struct dyn_request_id *request)
{
	for (uint32_t i = 0; i < self->version_count; i++)
		if (dyn_request_id_compare(&self->versions[i].request, request) == 0)
			return true;
	return false;
}

/* ------------------------------------------------------------------- view */

/* The version that the last write has won with, or NULL. */
static const struct dyn_version *
find_winner(const struct dyn_object *self)
{
	const struct dyn_version *winner = NULL;

	/* They ascend by dot, so of equal stamps the later one stays. */
	for (uint32_t i = 0; i < self->version_count; i++)
		if ((self->versions[i].flags & DYN_VERSION_LWW) &&
			(winner == NULL ||
			 self->versions[i].written_at_ms >= winner->written_at_ms))
			winner = &self->versions[i];
	return winner;
}

/* Whatever the time is. */
static bool
is_beaten(const struct dyn_version *self, const struct dyn_version *winner)
{
	return (self->flags & DYN_VERSION_LWW) && self != winner;
}

static bool
is_shown(const struct dyn_version *self, const struct dyn_version *winner,
		 uint64_t now_ms)
{
	return !is_beaten(self, winner) &&
		   (self->expires_at_ms == 0 || now_ms < self->expires_at_ms);
}

/* The retry of a version that is live beside it, or NULL. */
static struct dyn_version *
find_twin(const struct dyn_object *self, const struct dyn_version *version,
		  const struct dyn_version *winner)
{
	struct dyn_version retried = retry_of(version);
	struct dyn_version *twin = find_version(self, &retried);

	return twin != NULL && twin != version && !is_beaten(twin, winner) &&
				   !is_beaten(version, winner)
			   ? twin
			   : NULL;
}

/*
 * Each attempt at a write has counted its end by itself.  Were a row shown by
 * one of two twins, whoever writes beside it would take the other one, which
 * he is not shown, for replaced, and so the row.
 */
static void
let_twins_end_together(struct dyn_object *self,
					   const struct dyn_version *winner)
{
	struct dyn_version *twin;

	if (!dyn_object_is_mortal(self) || count_retry_dots(&self->context) == 0)
		return;
	for (uint32_t i = 0; i < self->version_count; i++)
	{
		uint64_t end_ms = self->versions[i].expires_at_ms;

		twin = find_twin(self, &self->versions[i], winner);
		if (twin != NULL && twin->expires_at_ms != 0 &&
			(end_ms == 0 || end_ms > twin->expires_at_ms))
			twin->expires_at_ms = end_ms;
	}
	for (uint32_t i = 0; i < self->version_count; i++)
	{
		twin = find_twin(self, &self->versions[i], winner);
		if (twin != NULL)
			self->versions[i].expires_at_ms = twin->expires_at_ms;
	}
}

void
dyn_object_view(struct dyn_object *self, uint64_t now_ms)
{
	const struct dyn_version *winner = find_winner(self);
	uint32_t count = 0;

	let_twins_end_together(self, winner);
	/* What was written down already stands before the one looked at, so the
	 * winner is found in its place. */
	for (uint32_t i = 0; i < self->version_count; i++)
		if (is_shown(&self->versions[i], winner, now_ms))
			self->versions[count++] = self->versions[i];
	self->version_count = count;
}

bool
dyn_object_is_dead(const struct dyn_object *self, uint64_t now_ms)
{
	const struct dyn_version *winner = find_winner(self);

	for (uint32_t i = 0; i < self->version_count; i++)
		if (is_shown(&self->versions[i], winner, now_ms))
			return false;
	return !dyn_clock_is_empty(&self->context);
}

uint64_t
dyn_object_dies_at(const struct dyn_object *self)
{
	const struct dyn_version *winner = find_winner(self);
	uint64_t at_ms = 0;

	for (uint32_t i = 0; i < self->version_count; i++)
		if (!is_beaten(&self->versions[i], winner) &&
			self->versions[i].expires_at_ms > at_ms)
			at_ms = self->versions[i].expires_at_ms;
	return at_ms;
}

bool
dyn_object_is_mortal(const struct dyn_object *self)
{
	for (uint32_t i = 0; i < self->version_count; i++)
		if (self->versions[i].expires_at_ms != 0)
			return true;
	return self->version_count == 0;
}

uint64_t
dyn_object_stamp(const struct dyn_object *self, uint64_t wall_ms)
{
	for (uint32_t i = 0; i < self->version_count; i++)
		if (self->versions[i].written_at_ms >= wall_ms)
			wall_ms = self->versions[i].written_at_ms +
					  (self->versions[i].written_at_ms != UINT64_MAX);
	return wall_ms;
}

/* ------------------------------------------------------------------- rows */

static bool
are_twins(const struct dyn_version *a, const struct dyn_version *b)
{
	return dyn_request_id_compare(&a->request, &b->request) == 0 &&
		   dyn_slice_equal(a->value, b->value);
}

/* Is there an earlier version of the same row? */
static bool
is_later_twin(const struct dyn_object *self, uint32_t i)
{
	for (uint32_t j = 0; j < i; j++)
		if (are_twins(&self->versions[j], &self->versions[i]))
			return true;
	return false;
}

/* The context without the dots of the versions of other rows. */
static enum dyn_status
row_clock(const struct dyn_object *self, const struct dyn_version *version,
		  struct dyn_dot *dots, const struct dyn_allocator *allocator,
		  struct dyn_clock *out)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < self->version_count; i++)
		if (!are_twins(&self->versions[i], version) &&
			dyn_dot_compare(self->versions[i].dot, version->dot) != 0)
			dots[count++] = self->versions[i].dot;
	return dyn_clock_minus(&self->context, dots, count, allocator, out);
}

/* Each row has a clock of its own, as long as context and versions together. */
static bool
rows_are_too_large(const struct dyn_object *self)
{
	uint64_t clock_size =
		((uint64_t) self->context.range_count + self->version_count) *
		sizeof(struct dyn_clock_range);

	return self->version_count != 0 &&
		   clock_size > DYN_ROWS_SIZE_MAX / self->version_count;
}

enum dyn_status
dyn_object_rows(const struct dyn_object *self,
				const struct dyn_allocator *allocator, struct dyn_row **rows,
				uint32_t *row_count)
{
	struct dyn_row *result;
	struct dyn_dot *dots;
	uint32_t count = 0;
	enum dyn_status status;

	if (rows_are_too_large(self))
		return DYN_STATUS_TOO_LARGE;
	result = allocator->allocate(allocator->context,
								 self->version_count * sizeof(*result));
	dots = allocator->allocate(allocator->context,
							   self->version_count * sizeof(*dots));
	status = result && dots ? DYN_STATUS_OK : DYN_STATUS_NO_MEMORY;
	for (uint32_t i = 0; i < self->version_count && status == DYN_STATUS_OK;
		 i++)
	{
		if (is_later_twin(self, i))
			continue;
		result[count].version = &self->versions[i];
		status = row_clock(self, &self->versions[i], dots, allocator,
						   &result[count].clock);
		if (status == DYN_STATUS_OK)
			count++;
	}
	if (dots != NULL)
		allocator->release(allocator->context, dots);
	if (status == DYN_STATUS_OK)
	{
		*rows = result;
		*row_count = count;
		return DYN_STATUS_OK;
	}
	while (count > 0)
		allocator->release(allocator->context, result[--count].clock.ranges);
	if (result != NULL)
		allocator->release(allocator->context, result);
	return status;
}

/* ------------------------------------------------------------------- hash */

/*
 * Retries of one write that know nothing of each other make one dot, each at a
 * time of its own, and where these have met the greater one stays: whoever has
 * the lesser one must hear of it.
 */
static uint64_t
hash_time(const struct dyn_version *version, uint64_t hash)
{
	uint64_t parts[3] = { version->written_at_ms, version->expires_at_ms,
						  version->flags };

	return version->dot.actor.epoch == 0
			   ? XXH3_64bits_withSeed(parts, sizeof(parts), hash)
			   : hash;
}

uint64_t
dyn_object_hash(const struct dyn_object *self, struct dyn_slice key)
{
	uint64_t hash = XXH3_64bits_withSeed(
		key.data, key.size,
		self->version_count ? HASH_SEED : HASH_SEED_TOMBSTONE);

	if (self->version_count == 0)
		hash = XXH3_64bits_withSeed(
			self->context.ranges,
			self->context.range_count * sizeof(*self->context.ranges), hash);
	for (uint32_t i = 0; i < self->version_count; i++)
	{
		const struct dyn_version *version = &self->versions[i];
		uint64_t parts[4] = { version->dot.actor.start,
							  version->dot.actor.epoch, version->dot.counter,
							  XXH3_64bits(version->value.data,
										  version->value.size) };

		hash = hash_time(version,
						 XXH3_64bits_withSeed(parts, sizeof(parts), hash));
	}
	return hash ? hash : 1;
}

/* ----------------------------------------------------------- encoded form */

static size_t
number_size(uint64_t number)
{
	return number ? 1 + dyn_wire_varint_size(number) : 0;
}

static size_t
version_size(const struct dyn_version *self)
{
	size_t size = self->dot.actor.start ? 9 : 0;

	size += number_size(self->dot.actor.epoch);
	size += number_size(self->dot.counter);
	size += 2 + sizeof(self->request.bytes);
	size += number_size(self->written_at_ms);
	size += number_size(self->flags);
	if (self->value.size != 0)
		size += 1 + dyn_wire_varint_size(self->value.size) + self->value.size;
	size += number_size(self->expires_at_ms);
	return size;
}

static uint8_t *
put_number(uint8_t *at, uint8_t tag, uint64_t number)
{
	if (number == 0)
		return at;
	*at++ = tag;
	return dyn_wire_put_varint(at, number);
}

static uint8_t *
put_version(uint8_t *at, const struct dyn_version *self)
{
	if (self->dot.actor.start != 0)
	{
		*at++ = TAG_START;
		at = dyn_wire_put_fixed64(at, self->dot.actor.start);
	}
	at = put_number(at, TAG_EPOCH, self->dot.actor.epoch);
	at = put_number(at, TAG_COUNTER, self->dot.counter);
	*at++ = TAG_REQUEST;
	at = dyn_wire_put_bytes(
		at,
		(struct dyn_slice){ self->request.bytes, sizeof(self->request.bytes) });
	at = put_number(at, TAG_WRITTEN_AT, self->written_at_ms);
	at = put_number(at, TAG_FLAGS, self->flags);
	if (self->value.size != 0)
	{
		*at++ = TAG_VALUE;
		at = dyn_wire_put_bytes(at, self->value);
	}
	return put_number(at, TAG_EXPIRES_AT, self->expires_at_ms);
}

enum dyn_status
dyn_object_encode(const struct dyn_object *self,
				  const struct dyn_allocator *allocator, struct dyn_slice *out)
{
	size_t context = dyn_clock_encoded_size(&self->context);
	size_t size = 1 + dyn_wire_varint_size(context) + context;
	uint8_t *bytes;
	uint8_t *at;

	for (uint32_t i = 0; i < self->version_count; i++)
	{
		size_t one = version_size(&self->versions[i]);

		size += 1 + dyn_wire_varint_size(one) + one;
	}
	at = bytes = allocator->allocate(allocator->context, size);
	if (bytes == NULL)
		return DYN_STATUS_NO_MEMORY;
	*at++ = TAG_CONTEXT;
	at = dyn_wire_put_varint(at, context);
	at = dyn_clock_put(&self->context, at);
	for (uint32_t i = 0; i < self->version_count; i++)
	{
		*at++ = TAG_VERSIONS;
		at = dyn_wire_put_varint(at, version_size(&self->versions[i]));
		at = put_version(at, &self->versions[i]);
	}
	*out = (struct dyn_slice){ bytes, size };
	return DYN_STATUS_OK;
}

static bool
get_version(struct dyn_slice bytes, struct dyn_version *out)
{
	struct dyn_wire_reader reader = dyn_wire_reader(bytes);
	struct dyn_slice request = { 0 };
	uint64_t flags;

	memset(out, 0, sizeof(*out));
	out->dot.actor.start = dyn_wire_get_number(&reader, TAG_START);
	out->dot.actor.epoch = dyn_wire_get_number(&reader, TAG_EPOCH);
	out->dot.counter = dyn_wire_get_number(&reader, TAG_COUNTER);
	if (dyn_wire_next_is(&reader, TAG_REQUEST))
		request = dyn_wire_get_bytes(&reader);
	if (request.size != sizeof(out->request.bytes))
		return false;
	memcpy(out->request.bytes, request.data, request.size);
	out->written_at_ms = dyn_wire_get_number(&reader, TAG_WRITTEN_AT);
	flags = dyn_wire_get_number(&reader, TAG_FLAGS);
	out->flags = (uint32_t) flags;
	if (dyn_wire_next_is(&reader, TAG_VALUE))
	{
		out->value = dyn_wire_get_bytes(&reader);
		if (out->value.size == 0)
			return false;
	}
	out->expires_at_ms = dyn_wire_get_number(&reader, TAG_EXPIRES_AT);
	return !reader.failed && dyn_wire_at_end(&reader) && flags <= UINT32_MAX;
}

/* How many versions stand behind the context.  False when one of them is too
 * small to be one, so that memory stays in proportion to the input. */
static bool
count_versions(struct dyn_wire_reader reader, size_t *count)
{
	*count = 0;
	while (!dyn_wire_at_end(&reader))
	{
		if (!dyn_wire_next_is(&reader, TAG_VERSIONS) ||
			dyn_wire_get_bytes(&reader).size < VERSION_SIZE_MIN)
			return false;
		(*count)++;
	}
	return true;
}

/* Everything behind the context. False when it is not canonical. */
static bool
get_versions(struct dyn_wire_reader *reader, struct dyn_object *out)
{
	while (dyn_wire_next_is(reader, TAG_VERSIONS))
	{
		struct dyn_version *version = &out->versions[out->version_count];

		if (!get_version(dyn_wire_get_bytes(reader), version) ||
			!dyn_clock_covers(&out->context, version->dot))
			return false;
		if (out->version_count > 0 &&
			compare_versions(version - 1, version) >= 0)
			return false;
		out->version_count++;
	}
	return true;
}

enum dyn_status
dyn_object_decode(struct dyn_slice bytes, const struct dyn_allocator *allocator,
				  struct dyn_object *out)
{
	struct dyn_wire_reader reader = dyn_wire_reader(bytes);
	struct dyn_object result = { 0 };
	struct dyn_slice context;
	size_t version_max;
	uint8_t *copy;
	enum dyn_status status;

	if (!dyn_wire_next_is(&reader, TAG_CONTEXT))
		return DYN_STATUS_BAD_REQUEST;
	context = dyn_wire_get_bytes(&reader);
	if (reader.failed || context.size == 0 ||
		!count_versions(reader, &version_max))
		return DYN_STATUS_BAD_REQUEST;
	status = dyn_clock_decode(context, false, allocator, &result.context);
	if (status != DYN_STATUS_OK)
		return status;
	/* One piece for the versions and, behind them, the bytes that their
	 * values point into. */
	result.versions = allocator->allocate(
		allocator->context, version_max * sizeof(*result.versions) +
								(size_t) (reader.end - reader.at));
	if (result.versions == NULL)
	{
		allocator->release(allocator->context, result.context.ranges);
		return DYN_STATUS_NO_MEMORY;
	}
	copy = (uint8_t *) (result.versions + version_max);
	if (reader.at != reader.end)
		memcpy(copy, reader.at, (size_t) (reader.end - reader.at));
	reader.end = copy + (reader.end - reader.at);
	reader.at = copy;
	if (!get_versions(&reader, &result))
	{
		allocator->release(allocator->context, result.versions);
		allocator->release(allocator->context, result.context.ranges);
		return DYN_STATUS_BAD_REQUEST;
	}
	*out = result;
	return DYN_STATUS_OK;
}

bool
dyn_object_check(const struct dyn_object *self)
{
	if (!dyn_clock_check(&self->context))
		return false;
	for (uint32_t i = 0; i < self->version_count; i++)
		if (!dyn_clock_covers(&self->context, self->versions[i].dot) ||
			(i > 0 &&
			 compare_versions(&self->versions[i - 1], &self->versions[i]) >= 0))
			return false;
	return true;
}
