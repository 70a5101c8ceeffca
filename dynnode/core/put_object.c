#include "core/put_object.h"

enum
{
	STAMP_AHEAD_MS = 10 * 60 * 1000 /* no clock should be so wrong */
};

/* ----------------------------------------------------------------- actors */

void
dyn_put_notice_amnesia(struct dyn_node *node, const struct dyn_clock *record,
					   const struct dyn_clock *other)
{
	for (uint32_t i = 0; i < other->range_count; i++)
	{
		struct dyn_actor actor = other->ranges[i].actor;

		if (actor.start != node->start_id || actor.epoch < node->epoch_floor ||
			dyn_clock_covers(record,
							 (struct dyn_dot){ actor, other->ranges[i].last }))
			continue;
		dyn_count(node, amnesia);
		node->epoch_floor = node->epoch_next;
		return;
	}
}

/*
 * Clocks come from clients too, and may claim anything of this process: an
 * epoch that was never given out is no actor to go on with, and one that
 * somebody claims before it was given out is passed over.
 */
static struct dyn_actor
choose_actor(struct dyn_node *node, const struct dyn_clock *record,
			 const struct dyn_clock *read, const struct dyn_clock *base)
{
	struct dyn_actor actor;

	if (dyn_clock_latest_actor(record, node->start_id, &actor) &&
		actor.epoch >= node->epoch_floor && actor.epoch < node->epoch_next &&
		dyn_clock_counter(record, actor) <= UINT64_MAX - DYN_VALUES_MAX)
		return actor;
	dyn_count(node, epochs);
	do
		actor = (struct dyn_actor){ node->start_id, node->epoch_next++ };
	while (dyn_clock_counter(record, actor) != 0 ||
		   dyn_clock_counter(read, actor) != 0 ||
		   dyn_clock_counter(base, actor) != 0);
	return actor;
}

/* ----------------------------------------------------------------- objects */

/* What a reader is shown of an object now. */
static struct dyn_object
view(struct dyn_node *node, const struct dyn_object *object)
{
	struct dyn_object seen = *object;

	seen.versions = dyn_arena_allocate(
		&node->scratch, object->version_count * sizeof(*seen.versions));
	for (uint32_t i = 0; i < object->version_count; i++)
		seen.versions[i] = object->versions[i];
	dyn_object_view(&seen, dyn_skew_view_ms(node));
	return seen;
}

/* Why the mode forbids the write on what is seen of the object, or OK. */
static enum dyn_status
check_mode(const struct dyn_put_op *put, const struct dyn_object *seen)
{
	if (put->message->mode == DYN__PUT_MODE__CREATE)
		return seen->version_count != 0 ? DYN_STATUS_EXISTS : DYN_STATUS_OK;
	if (put->message->mode == DYN__PUT_MODE__GUARDED)
		for (uint32_t i = 0; i < seen->version_count; i++)
			if (!dyn_clock_covers(&put->context, seen->versions[i].dot))
				return DYN_STATUS_CONFLICT;
	return DYN_STATUS_OK;
}

/* The last write wins: values that were never read and are gone with this. */
static void
count_discarded(struct dyn_node *node, const struct dyn_put_op *put,
				const struct dyn_object *base, const struct dyn_object *seen)
{
	uint64_t view_ms = dyn_skew_view_ms(node);
	uint32_t shown = 0;

	for (uint32_t i = 0; i < base->version_count; i++)
	{
		const struct dyn_version *version = &base->versions[i];
		bool is_shown =
			shown < seen->version_count &&
			dyn_dot_compare(seen->versions[shown].dot, version->dot) == 0;

		shown += is_shown;
		if (version->expires_at_ms != 0 && version->expires_at_ms <= view_ms)
			continue;
		if (!is_shown || !dyn_clock_covers(&put->context, version->dot))
			dyn_count(node, lww_discarded);
	}
	if (put->message->n_values > 1)
		node->counters[DYN_COUNT_lww_discarded] += put->message->n_values - 1;
}

/*
 * Where the last write wins, a put has one value: the last one.  A delete is
 * a version that has expired at once, so that it wins by its stamp over
 * earlier writes that nobody has met yet, like any other write.
 */
static void
make_last_write(struct dyn_node *node, const struct dyn_put_op *put,
				const struct dyn_object *base, const struct dyn_object *seen,
				struct dyn_update *change)
{
	static const struct dyn_slice nothing = { 0 };

	count_discarded(node, put, base, seen);
	change->flags = DYN_VERSION_LWW;
	change->written_at_ms = dyn_object_stamp(base, node->wall_ms);
	if (change->written_at_ms > node->wall_ms + STAMP_AHEAD_MS)
		dyn_count(node, stamps_ahead);
	if (change->value_count > 1)
		change->values += change->value_count - 1;
	if (change->value_count == 0)
	{
		change->values = &nothing;
		change->expires_at_ms = 1;
	}
	change->value_count = 1;
}

/* What a put replaces beside what its writer has read: everything, where it is
 * asked to; else what readers are not shown any more. */
static enum dyn_status
widen_context(struct dyn_node *node, bool everything,
			  const struct dyn_object *base, const struct dyn_object *seen,
			  struct dyn_clock *context)
{
	const struct dyn_allocator *allocator = &node->scratch.allocator;
	struct dyn_clock more = base->context;
	struct dyn_dot *dots;
	enum dyn_status status = DYN_STATUS_OK;

	if (!everything && seen->version_count == base->version_count)
		return DYN_STATUS_OK;
	if (!everything)
	{
		dots = dyn_arena_allocate(&node->scratch,
								  seen->version_count * sizeof(*dots));
		for (uint32_t i = 0; i < seen->version_count; i++)
			dots[i] = seen->versions[i].dot;
		status = dyn_clock_minus(&base->context, dots, seen->version_count,
								 allocator, &more);
	}
	return status != DYN_STATUS_OK
			   ? status
			   : dyn_clock_union(context, &more, allocator, context);
}

bool
dyn_put_is_named(const struct dyn_bucket *bucket, const struct dyn_put_op *put,
				 const struct dyn_object *base)
{
	const Dyn__PutOp *message = put->message;
	bool lww = bucket->conflict == DYN_CONFLICT_LWW;
	size_t first = lww && message->n_values > 1 ? message->n_values - 1 : 0;
	struct dyn_slice nothing = { NULL, 0 };

	if (message->n_values == 0)
		return lww && dyn_clock_covers(&base->context,
									   dyn_object_retry_dot(&put->id, nothing));
	for (size_t i = first; i < message->n_values; i++)
		if (!dyn_clock_covers(
				&base->context,
				dyn_object_retry_dot(&put->id,
									 dyn_slice_of_bytes(message->values[i]))))
			return false;
	return true;
}

enum dyn_status
dyn_put_name(struct dyn_node *node, const struct dyn_put_op *put,
			 const struct dyn_object *base, struct dyn_object *next)
{
	enum dyn_status status = DYN_STATUS_OK;

	*next = *base;
	for (uint32_t i = 0; i < base->version_count && status == DYN_STATUS_OK;
		 i++)
	{
		const struct dyn_version *version = &base->versions[i];
		struct dyn_dot dot = version->dot;
		struct dyn_clock_range range = { dot.actor, dot.counter, dot.counter };
		struct dyn_clock context = { &range, 1 };
		struct dyn_update change = { .request = put->id,
									 .context = &context,
									 .values = &version->value,
									 .value_count = 1,
									 .written_at_ms = version->written_at_ms,
									 .expires_at_ms = version->expires_at_ms,
									 .flags = version->flags,
									 .is_retry = true };

		if (dyn_request_id_compare(&version->request, &put->id) != 0 ||
			dyn_clock_covers(&next->context,
							 dyn_object_retry_dot(&put->id, version->value)))
			continue;
		status = dyn_object_put(next, &change, (struct dyn_actor){ 0 },
								&node->scratch.allocator, next);
	}
	/* Too many names: it stays as it is, as what was applied is applied. */
	return status == DYN_STATUS_TOO_LARGE ? DYN_STATUS_OK : status;
}

enum dyn_status
dyn_put_object(struct dyn_node *node, const struct dyn_bucket *bucket,
			   const struct dyn_put_op *put, const struct dyn_clock *record,
			   const struct dyn_object *base, struct dyn_object *next)
{
	const struct dyn_allocator *allocator = &node->scratch.allocator;
	struct dyn_clock context = put->context;
	struct dyn_update change = { .request = put->id,
								 .context = &context,
								 .value_count =
									 (uint32_t) put->message->n_values,
								 .written_at_ms = node->wall_ms,
								 .is_retry = put->message->retry };
	struct dyn_slice *values = dyn_arena_allocate(
		&node->scratch, change.value_count * sizeof(*values));
	struct dyn_actor actor = { 0 };
	struct dyn_object seen = view(node, base);
	bool lww = bucket->conflict == DYN_CONFLICT_LWW;
	bool replace = lww || put->message->mode == DYN__PUT_MODE__REPLACE;
	enum dyn_status status = check_mode(put, &seen);

	if (status == DYN_STATUS_OK)
		status = widen_context(node, replace, base, &seen, &context);
	if (status != DYN_STATUS_OK)
		return status;
	for (uint32_t i = 0; i < change.value_count; i++)
		values[i] = dyn_slice_of_bytes(put->message->values[i]);
	change.values = values;
	if (bucket->ttl_ms != 0 && change.value_count != 0)
		change.expires_at_ms = dyn_skew_latest_ms(node) + bucket->ttl_ms;
	if (lww)
		make_last_write(node, put, base, &seen, &change);
	/* A delete, too: what it brings into the record is gone on with by the
	 * next put, and the record may have forgotten more (reap.h). */
	dyn_put_notice_amnesia(node, record, &context);
	if (change.value_count != 0 && !change.is_retry)
		actor = choose_actor(node, record, &context, &base->context);
	status = dyn_object_put(base, &change, actor, allocator, next);
	if (status == DYN_STATUS_OK && next->version_count > DYN_SIBLINGS_MAX &&
		next->version_count > base->version_count)
	{
		dyn_count(node, siblings_refused);
		return DYN_STATUS_SIBLINGS;
	}
	if (next->version_count > DYN_SIBLINGS_WARN)
		dyn_count(node, siblings_many);
	return status;
}
