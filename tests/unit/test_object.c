/* Objects against the ground truth: sets of write events (lib/oracle.h). */
#include "model/arena.h"
#include "model/message.h"
#include "model/object.h"

#include "failing.h"
#include "oracle.h"
#include "prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum
{
	REPLICAS = 3,
	EVENTS_PER_HISTORY = 120,
	OPERATIONS = 1000000
};

static struct dyn_arena arena;

/* ------------------------------------------------------------- small helpers */

static struct dyn_request_id
request_of(uint32_t number)
{
	struct dyn_request_id id = { { 0 } };

	memcpy(id.bytes, &number, sizeof(number));
	return id;
}

/* One value under an actor; the object afterwards. */
static struct dyn_object
put(struct dyn_object object, const struct dyn_clock *context,
	const char *value, uint64_t actor, uint32_t request)
{
	struct dyn_slice bytes =
		value ? dyn_slice_of(value) : (struct dyn_slice){ NULL, 0 };
	struct dyn_update update = { .request = request_of(request),
								 .context = context,
								 .values = &bytes,
								 .value_count = value != NULL };
	struct dyn_object out;

	assert_int_equal(dyn_object_put(&object, &update,
									(struct dyn_actor){ actor, 0 },
									&arena.allocator, &out),
					 DYN_STATUS_OK);
	assert_true(dyn_object_check(&out));
	return out;
}

static struct dyn_object
sync_of(struct dyn_object a, struct dyn_object b)
{
	struct dyn_object out;

	assert_int_equal(dyn_object_sync(&a, &b, &arena.allocator, &out),
					 DYN_STATUS_OK);
	assert_true(dyn_object_check(&out));
	return out;
}

static struct dyn_slice
encoded(struct dyn_object object)
{
	struct dyn_slice bytes;

	assert_int_equal(dyn_object_encode(&object, &arena.allocator, &bytes),
					 DYN_STATUS_OK);
	return bytes;
}

static bool
has_value(struct dyn_object object, const char *value)
{
	for (uint32_t i = 0; i < object.version_count; i++)
		if (dyn_slice_equal(object.versions[i].value, dyn_slice_of(value)))
			return true;
	return false;
}

static struct dyn_row *
rows_of(struct dyn_object *object, uint32_t *count)
{
	struct dyn_row *rows;

	assert_int_equal(dyn_object_rows(object, &arena.allocator, &rows, count),
					 DYN_STATUS_OK);
	return rows;
}

/* ------------------------------------------------- against the ground truth */

struct history
{
	struct dyn_object objects[REPLICAS];
	struct oracle_replica truths[REPLICAS];
	struct dyn_dot dots[ORACLE_EVENTS]; /* of each event */
	uint32_t event_count;
	struct dyn_arena arena;
};

/* The model knows exactly what the truth knows. */
static void
compare(const struct history *history, uint32_t r)
{
	const struct dyn_object *object = &history->objects[r];
	uint32_t live = 0;

	assert_true(dyn_object_check(object));
	for (uint32_t e = 0; e < history->event_count; e++)
	{
		assert_int_equal(dyn_clock_covers(&object->context, history->dots[e]),
						 oracle_has(&history->truths[r].seen, e));
		live += oracle_has(&history->truths[r].live, e);
	}
	assert_int_equal(object->version_count, live);
	for (uint32_t i = 0; i < object->version_count; i++)
	{
		uint32_t event;

		memcpy(&event, object->versions[i].request.bytes, sizeof(event));
		assert_true(oracle_has(&history->truths[r].live, event));
	}
}

/* A random context that somebody could have read: nothing, a whole object, or
 * one of its rows; and what it has seen. */
static struct dyn_clock
read_context(struct history *history, struct prng *prng,
			 struct oracle_set *seen)
{
	uint32_t r = prng_below(prng, REPLICAS);
	struct dyn_object *object = &history->objects[r];
	struct dyn_row *rows;
	uint32_t count;
	uint32_t row;

	memset(seen, 0, sizeof(*seen));
	if (prng_below(prng, 4) == 0)
		return (struct dyn_clock){ NULL, 0 };
	*seen = history->truths[r].seen;
	assert_int_equal(
		dyn_object_rows(object, &history->arena.allocator, &rows, &count),
		DYN_STATUS_OK);
	if (count == 0 || prng_below(prng, 2) == 0)
		return object->context;
	row = prng_below(prng, count);
	for (uint32_t i = 0; i < object->version_count; i++)
	{
		uint32_t event;

		memcpy(&event, object->versions[i].request.bytes, sizeof(event));
		if (&object->versions[i] != rows[row].version)
			oracle_remove(seen, event);
	}
	return rows[row].clock;
}

static void
random_put(struct history *history, struct prng *prng)
{
	uint32_t r = prng_below(prng, REPLICAS);
	struct oracle_set read;
	struct dyn_clock context = read_context(history, prng, &read);
	uint32_t event = history->event_count;
	bool is_delete = prng_below(prng, 8) == 0;
	struct dyn_actor actor = { 100 + r, 0 };
	char text[16];
	struct dyn_slice value;
	struct dyn_update update = { .request = request_of(event),
								 .context = &context,
								 .values = &value,
								 .value_count = !is_delete };

	snprintf(text, sizeof(text), "v%u", event);
	value = dyn_arena_copy(&history->arena, dyn_slice_of(text));
	assert_int_equal(dyn_object_put(&history->objects[r], &update, actor,
									&history->arena.allocator,
									&history->objects[r]),
					 DYN_STATUS_OK);
	oracle_put(&history->truths[r], &read, &event, !is_delete);
	if (is_delete)
		return;
	history->dots[event] =
		(struct dyn_dot){ actor, dyn_clock_counter(&history->objects[r].context,
												   actor) };
	history->event_count++;
}

static void
random_sync(struct history *history, struct prng *prng)
{
	uint32_t r = prng_below(prng, REPLICAS);
	uint32_t other = prng_below(prng, REPLICAS);

	assert_int_equal(
		dyn_object_sync(&history->objects[r], &history->objects[other],
						&history->arena.allocator, &history->objects[r]),
		DYN_STATUS_OK);
	history->truths[r] =
		oracle_merge(&history->truths[r], &history->truths[other]);
}

static void
a_million_random_operations_keep_to_the_ground_truth(void **unused)
{
	struct prng prng = { 11 };
	static struct history history;

	for (uint32_t done = 0; done < OPERATIONS;)
	{
		memset(&history, 0, sizeof(history));
		dyn_arena_init(&history.arena, dyn_allocator_malloc(), 64 * 1024);
		while (history.event_count < EVENTS_PER_HISTORY)
		{
			if (prng_below(&prng, 3) == 0)
				random_put(&history, &prng);
			else
				random_sync(&history, &prng);
			if (++done % 4 == 0)
				compare(&history, prng_below(&prng, REPLICAS));
		}
		for (uint32_t r = 0; r < REPLICAS; r++)
			compare(&history, r);
		dyn_arena_destroy(&history.arena);
	}
}

/* -------------------------------------------------------------------- laws */

/* Three objects that share some past. */
static void
random_objects(struct prng *prng, struct dyn_object objects[REPLICAS])
{
	memset(objects, 0, REPLICAS * sizeof(*objects));
	for (int step = 0; step < 12; step++)
	{
		uint32_t r = prng_below(prng, REPLICAS);
		uint32_t other = prng_below(prng, REPLICAS);
		const struct dyn_clock *context =
			prng_below(prng, 2) ? &objects[other].context : NULL;

		if (prng_below(prng, 2) == 0)
			objects[r] =
				put(objects[r], context, prng_below(prng, 6) ? "x" : NULL,
					50 + r, (uint32_t) step);
		else
			objects[r] = sync_of(objects[r], objects[other]);
	}
}

static void
sync_is_idempotent_commutative_and_associative(void **unused)
{
	struct prng prng = { 12 };

	for (int round = 0; round < 20000; round++)
	{
		struct dyn_object o[REPLICAS];

		random_objects(&prng, o);
		assert_true(
			dyn_slice_equal(encoded(sync_of(o[0], o[0])), encoded(o[0])));
		assert_true(dyn_slice_equal(encoded(sync_of(o[0], o[1])),
									encoded(sync_of(o[1], o[0]))));
		assert_true(
			dyn_slice_equal(encoded(sync_of(sync_of(o[0], o[1]), o[2])),
							encoded(sync_of(o[0], sync_of(o[1], o[2])))));
		dyn_arena_reset(&arena);
	}
}

static void
no_live_version_leaves_but_by_somebody_who_has_seen_it(void **unused)
{
	struct prng prng = { 13 };

	for (int round = 0; round < 20000; round++)
	{
		struct dyn_object o[REPLICAS];
		struct dyn_object merged;

		random_objects(&prng, o);
		merged = sync_of(o[0], o[1]);
		for (uint32_t i = 0; i < o[0].version_count; i++)
		{
			struct dyn_dot dot = o[0].versions[i].dot;
			bool kept = false;

			for (uint32_t j = 0; j < merged.version_count; j++)
				kept |= dyn_dot_compare(merged.versions[j].dot, dot) == 0;
			assert_true(kept || dyn_clock_covers(&o[1].context, dot));
		}
		dyn_arena_reset(&arena);
	}
}

static void
a_row_clock_covers_its_row_and_no_sibling(void **unused)
{
	struct prng prng = { 14 };

	for (int round = 0; round < 20000; round++)
	{
		struct dyn_object o[REPLICAS];
		struct dyn_clock all = { NULL, 0 };
		struct dyn_row *rows;
		uint32_t count;

		random_objects(&prng, o);
		rows = rows_of(&o[0], &count);
		for (uint32_t i = 0; i < count; i++)
		{
			for (uint32_t j = 0; j < count; j++)
				assert_int_equal(
					dyn_clock_covers(&rows[i].clock, rows[j].version->dot),
					i == j);
			dyn_clock_union(&all, &rows[i].clock, &arena.allocator, &all);
		}
		/* All rows' clocks together are the context. */
		if (count > 0)
			assert_int_equal(dyn_clock_compare(&all, &o[0].context),
							 DYN_CLOCK_EQUAL);
		dyn_arena_reset(&arena);
	}
}

static void
writing_over_one_row_leaves_its_siblings(void **unused)
{
	struct prng prng = { 15 };

	for (int round = 0; round < 10000; round++)
	{
		struct dyn_object o[REPLICAS];
		struct dyn_object after;
		struct dyn_row *rows;
		uint32_t count;
		uint32_t row;

		random_objects(&prng, o);
		rows = rows_of(&o[0], &count);
		if (count == 0)
			continue;
		row = prng_below(&prng, count);
		after = put(o[0], &rows[row].clock, "new", 50, 999);
		for (uint32_t i = 0; i < count; i++)
		{
			bool there = false;

			for (uint32_t j = 0; j < after.version_count; j++)
				there |= dyn_dot_compare(after.versions[j].dot,
										 rows[i].version->dot) == 0;
			assert_int_equal(there, i != row);
		}
		dyn_arena_reset(&arena);
	}
}

/* ------------------------------------------------------------ known histories */

/* Dynamo 2007, figure 3: D1 and D2 by Sx; D3 by Sy and D4 by Sz, both of
 * clients that had read D2; D5 by Sx, of a client that had read D3 and D4. */
static void
figure_3_of_the_paper_d1_to_d5(void **unused)
{
	struct dyn_object none = { 0 };
	struct dyn_object d1 = put(none, NULL, "D1", 1, 1);
	struct dyn_object d2 = put(d1, &d1.context, "D2", 1, 2);
	struct dyn_object d3 = put(d2, &d2.context, "D3", 2, 3);
	struct dyn_object d4 = put(d2, &d2.context, "D4", 3, 4);
	struct dyn_object both = sync_of(d3, d4);
	struct dyn_object d5;

	assert_int_equal(d2.version_count, 1);
	assert_int_equal(dyn_clock_compare(&d1.context, &d2.context),
					 DYN_CLOCK_BEFORE);
	assert_int_equal(dyn_clock_compare(&d3.context, &d4.context),
					 DYN_CLOCK_CONCURRENT);
	assert_int_equal(both.version_count, 2);
	assert_true(has_value(both, "D3") && has_value(both, "D4"));
	d5 = put(both, &both.context, "D5", 1, 5);
	assert_int_equal(d5.version_count, 1);
	/* [(Sx,3),(Sy,1),(Sz,1)] */
	assert_int_equal(dyn_clock_counter(&d5.context, (struct dyn_actor){ 1, 0 }),
					 3);
	assert_int_equal(dyn_clock_counter(&d5.context, (struct dyn_actor){ 2, 0 }),
					 1);
	assert_int_equal(dyn_clock_counter(&d5.context, (struct dyn_actor){ 3, 0 }),
					 1);
	assert_int_equal(sync_of(d5, d3).version_count, 1);
}

/* Two clients take turns; each knows only its own last write. */
static void
sibling_explosion_two_writers_through_one_coordinator(void **unused)
{
	struct dyn_object object = { 0 };
	struct dyn_clock last[2] = { { NULL, 0 }, { NULL, 0 } };

	for (uint32_t i = 0; i < 101; i++)
	{
		uint32_t client = i % 2;
		struct dyn_dot dot;
		struct dyn_row *rows;
		uint32_t count;

		object = put(object, &last[client], "x", 1, i);
		assert_true(object.version_count <= 2);
		dot = (struct dyn_dot){ { 1, 0 },
								dyn_clock_counter(&object.context,
												  (struct dyn_actor){ 1, 0 }) };
		rows = rows_of(&object, &count);
		for (uint32_t r = 0; r < count; r++)
			if (dyn_dot_compare(rows[r].version->dot, dot) == 0)
				last[client] = rows[r].clock;
	}
}

/* The same through two coordinators that exchange after each write. */
static void
sibling_explosion_two_writers_through_two_coordinators(void **unused)
{
	struct dyn_object replicas[2] = { { { 0 }, 0, 0 }, { { 0 }, 0, 0 } };
	struct dyn_clock last[2] = { { NULL, 0 }, { NULL, 0 } };

	for (uint32_t i = 0; i < 101; i++)
	{
		uint32_t client = i % 2;
		struct dyn_actor actor = { 1 + client, 0 };
		struct dyn_row *rows;
		uint32_t count;

		replicas[client] =
			put(replicas[client], &last[client], "x", actor.start, i);
		replicas[1 - client] = sync_of(replicas[1 - client], replicas[client]);
		assert_true(replicas[0].version_count <= 2);
		assert_true(replicas[1].version_count <= 2);
		rows = rows_of(&replicas[client], &count);
		for (uint32_t r = 0; r < count; r++)
			if (dyn_actor_compare(rows[r].version->dot.actor, actor) == 0 &&
				rows[r].version->dot.counter ==
					dyn_clock_counter(&replicas[client].context, actor))
				last[client] = rows[r].clock;
	}
}

/*
 * A hot key: two clients that have both read the same version write through
 * one coordinator.  With the paper's vectors of (node, counter) the second
 * write, (A, 3), descends from the first, (A, 2), which its writer never
 * read: an acknowledged write is lost without any failure.
 */
static void
hot_key_keeps_what_plain_vector_clocks_lose(void **unused)
{
	struct dyn_object object = put((struct dyn_object){ 0 }, NULL, "old", 1, 1);
	struct dyn_clock read = object.context; /* by both clients */
	uint32_t plain_old = 1;                 /* the paper's counter of A */
	uint32_t plain_first = plain_old + 1;
	uint32_t plain_second = plain_first + 1;

	object = put(object, &read, "first", 1, 2);
	object = put(object, &read, "second", 1, 3);
	/* The plain rule: a version with a lower counter is an ancestor. */
	assert_true(plain_first < plain_second);
	/* Ours: the first is alive, because nobody who wrote had read it. */
	assert_int_equal(object.version_count, 2);
	assert_true(has_value(object, "first") && has_value(object, "second"));
	assert_false(has_value(object, "old"));
}

static void
a_delete_leaves_what_its_writer_had_not_seen(void **unused)
{
	struct dyn_object seen = put((struct dyn_object){ 0 }, NULL, "seen", 1, 1);
	struct dyn_object both = put(seen, NULL, "unseen", 1, 2);
	struct dyn_object after = put(both, &seen.context, NULL, 1, 3);
	struct dyn_object gone = put(both, &both.context, NULL, 1, 4);

	assert_int_equal(after.version_count, 1);
	assert_true(has_value(after, "unseen"));
	assert_true(dyn_object_is_tombstone(&gone));
	/* A replica that still has the old versions does not bring them back. */
	assert_int_equal(sync_of(gone, both).version_count, 0);
	assert_int_equal(sync_of(both, gone).version_count, 0);
}

static void
twins_are_one_row_whose_clock_covers_both(void **unused)
{
	struct dyn_object a = put((struct dyn_object){ 0 }, NULL, "v", 1, 7);
	struct dyn_object b = put((struct dyn_object){ 0 }, NULL, "v", 2, 7);
	struct dyn_object other = put((struct dyn_object){ 0 }, NULL, "v", 3, 8);
	struct dyn_object merged = sync_of(sync_of(a, b), other);
	struct dyn_row *rows;
	uint32_t count;

	/* Stored as three, read as two: one of them was retried elsewhere. */
	assert_int_equal(merged.version_count, 3);
	rows = rows_of(&merged, &count);
	assert_int_equal(count, 2);
	assert_true(dyn_clock_covers(&rows[0].clock, a.versions[0].dot));
	assert_true(dyn_clock_covers(&rows[0].clock, b.versions[0].dot));
	assert_false(dyn_clock_covers(&rows[0].clock, other.versions[0].dot));
	assert_int_equal(put(merged, &rows[0].clock, "w", 1, 9).version_count, 2);
}

static void
one_dot_with_two_values_keeps_both(void **unused)
{
	struct dyn_object a = put((struct dyn_object){ 0 }, NULL, "one", 1, 1);
	struct dyn_object b = put((struct dyn_object){ 0 }, NULL, "two", 1, 2);
	struct dyn_object merged = sync_of(a, b);

	assert_int_equal(merged.version_count, 2);
	assert_true(dyn_slice_equal(encoded(merged), encoded(sync_of(b, a))));
}

static void
several_values_of_one_put_are_siblings(void **unused)
{
	struct dyn_slice values[3] = { dyn_slice_of("a"), dyn_slice_of("b"),
								   dyn_slice_of("c") };
	struct dyn_update update = { .values = values, .value_count = 3 };
	struct dyn_object object = { 0 };

	assert_int_equal(dyn_object_put(&object, &update,
									(struct dyn_actor){ 1, 1 },
									&arena.allocator, &object),
					 DYN_STATUS_OK);
	assert_int_equal(object.version_count, 3);
	assert_int_equal(object.context.range_count, 1);
	assert_int_equal(object.context.ranges[0].last, 3);
}

/* ------------------------------------------------------------------- hashes */

static void
hashes_see_versions_and_not_contexts(void **unused)
{
	struct dyn_slice key = dyn_slice_of("k");
	struct dyn_object a = put((struct dyn_object){ 0 }, NULL, "v", 1, 1);
	struct dyn_object wider = a;
	struct dyn_object tomb;
	struct dyn_object wider_tomb;

	dyn_clock_add(&a.context, (struct dyn_dot){ { 9, 9 }, 1 }, &arena.allocator,
				  &wider.context);
	assert_int_equal(dyn_object_hash(&a, key), dyn_object_hash(&wider, key));
	assert_int_not_equal(dyn_object_hash(&a, key),
						 dyn_object_hash(&a, dyn_slice_of("l")));
	/* Deletes differ by their contexts, and from an absent key. */
	tomb = put(a, &a.context, NULL, 1, 2);
	wider_tomb = put(wider, &wider.context, NULL, 1, 2);
	assert_int_not_equal(dyn_object_hash(&tomb, key), 0);
	assert_int_not_equal(dyn_object_hash(&tomb, key),
						 dyn_object_hash(&wider_tomb, key));
	assert_int_not_equal(dyn_object_hash(&tomb, key), dyn_object_hash(&a, key));
}

/* -------------------------------------------------------------- encoded form */

static void
encoded_form_is_canonical_and_protobuf(void **unused)
{
	struct prng prng = { 16 };

	for (int round = 0; round < 20000; round++)
	{
		struct dyn_object o[REPLICAS];
		struct dyn_object back;
		struct dyn_slice bytes;
		Dyn__Object *message;
		uint8_t packed[4096];

		random_objects(&prng, o);
		if (dyn_clock_is_empty(&o[0].context))
			continue;
		bytes = encoded(o[0]);
		assert_int_equal(dyn_object_decode(bytes, &arena.allocator, &back),
						 DYN_STATUS_OK);
		assert_true(dyn_object_check(&back));
		assert_true(dyn_slice_equal(encoded(back), bytes));
		message = dyn__object__unpack(NULL, bytes.size, bytes.data);
		assert_non_null(message);
		assert_int_equal(message->n_versions, o[0].version_count);
		assert_int_equal(dyn__object__pack(message, packed), bytes.size);
		assert_memory_equal(packed, bytes.data, bytes.size);
		dyn__object__free_unpacked(message, NULL);
		dyn_arena_reset(&arena);
	}
}

static void
mutated_bytes_decode_to_their_own_canonical_form_or_not_at_all(void **unused)
{
	struct prng prng = { 17 };
	uint32_t accepted = 0;

	for (int round = 0; round < 100000; round++)
	{
		struct dyn_object o[REPLICAS];
		struct dyn_object back;
		struct dyn_slice bytes;
		uint8_t mutated[4096];

		random_objects(&prng, o);
		bytes = encoded(o[0]);
		memcpy(mutated, bytes.data, bytes.size);
		for (uint32_t i = prng_below(&prng, 3); i > 0; i--)
			mutated[prng_below(&prng, (uint32_t) bytes.size)] =
				(uint8_t) prng_next(&prng);
		if (prng_below(&prng, 5) == 0)
			bytes.size = prng_below(&prng, (uint32_t) bytes.size);
		bytes.data = mutated;
		if (dyn_object_decode(bytes, &arena.allocator, &back) == DYN_STATUS_OK)
		{
			accepted++;
			assert_true(dyn_object_check(&back));
			assert_true(dyn_slice_equal(encoded(back), bytes));
		}
		dyn_arena_reset(&arena);
	}
	assert_true(accepted > 1000);
}

/* ------------------------------------------------------------------- memory */

static void
running_out_of_memory_leaves_nothing_behind(void **unused)
{
	struct prng prng = { 18 };
	struct dyn_object o[REPLICAS];
	struct dyn_slice bytes;
	struct dyn_slice value = dyn_slice_of("v");
	long n = 0;
	bool failed = true;

	do
		random_objects(&prng, o);
	while (o[0].version_count < 2 || o[1].version_count < 1);
	bytes = encoded(o[0]);
	for (; failed; n++)
	{
		struct failing failing;
		struct dyn_object out = { .version_count = 77 };
		struct dyn_update update = { .context = &o[1].context,
									 .values = &value,
									 .value_count = 1 };
		struct dyn_row *rows = NULL;
		uint32_t count = 77;
		enum dyn_status statuses[4];

		failing_init(&failing, n);
		statuses[0] = dyn_object_sync(&o[0], &o[1], &failing.allocator, &out);
		failed = statuses[0] != DYN_STATUS_OK;
		if (failed)
		{
			assert_int_equal(statuses[0], DYN_STATUS_NO_MEMORY);
			assert_int_equal(out.version_count, 77);
			assert_int_equal(failing.live, 0);
		}
		else
		{
			free(out.versions);
			free(out.context.ranges);
		}
		out.version_count = 77;
		failing_init(&failing, n);
		statuses[1] = dyn_object_put(&o[0], &update, (struct dyn_actor){ 1, 1 },
									 &failing.allocator, &out);
		if (statuses[1] == DYN_STATUS_OK)
		{
			free(out.versions);
			free(out.context.ranges);
		}
		else
		{
			assert_int_equal(out.version_count, 77);
			assert_int_equal(failing.live, 0);
			failed = true;
		}
		out.version_count = 77;
		failing_init(&failing, n);
		statuses[2] = dyn_object_decode(bytes, &failing.allocator, &out);
		if (statuses[2] == DYN_STATUS_OK)
		{
			free(out.versions);
			free(out.context.ranges);
		}
		else
		{
			assert_int_equal(statuses[2], DYN_STATUS_NO_MEMORY);
			assert_int_equal(out.version_count, 77);
			assert_int_equal(failing.live, 0);
			failed = true;
		}
		failing_init(&failing, n);
		statuses[3] = dyn_object_rows(&o[0], &failing.allocator, &rows, &count);
		if (statuses[3] == DYN_STATUS_OK)
		{
			for (uint32_t i = 0; i < count; i++)
				free(rows[i].clock.ranges);
			free(rows);
		}
		else
		{
			assert_int_equal(count, 77);
			assert_int_equal(failing.live, 0);
			failed = true;
		}
	}
	assert_true(n > 3);
}

static int
set_up(void **unused)
{
	dyn_arena_init(&arena, dyn_allocator_malloc(), 0);
	return 0;
}

static int
tear_down(void **unused)
{
	dyn_arena_destroy(&arena);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_million_random_operations_keep_to_the_ground_truth),
		cmocka_unit_test(sync_is_idempotent_commutative_and_associative),
		cmocka_unit_test(
			no_live_version_leaves_but_by_somebody_who_has_seen_it),
		cmocka_unit_test(a_row_clock_covers_its_row_and_no_sibling),
		cmocka_unit_test(writing_over_one_row_leaves_its_siblings),
		cmocka_unit_test(figure_3_of_the_paper_d1_to_d5),
		cmocka_unit_test(sibling_explosion_two_writers_through_one_coordinator),
		cmocka_unit_test(
			sibling_explosion_two_writers_through_two_coordinators),
		cmocka_unit_test(hot_key_keeps_what_plain_vector_clocks_lose),
		cmocka_unit_test(a_delete_leaves_what_its_writer_had_not_seen),
		cmocka_unit_test(twins_are_one_row_whose_clock_covers_both),
		cmocka_unit_test(one_dot_with_two_values_keeps_both),
		cmocka_unit_test(several_values_of_one_put_are_siblings),
		cmocka_unit_test(hashes_see_versions_and_not_contexts),
		cmocka_unit_test(encoded_form_is_canonical_and_protobuf),
		cmocka_unit_test(
			mutated_bytes_decode_to_their_own_canonical_form_or_not_at_all),
		cmocka_unit_test(running_out_of_memory_leaves_nothing_behind),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
