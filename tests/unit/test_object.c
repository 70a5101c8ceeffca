/* Objects: the laws of their algebra, and histories that others got wrong. */
#include "failing.h"
#include "objects.h"

/* -------------------------------------------------------------------- laws */

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

/* Does this context know of a retry of the same write? */
static bool
is_settled_by(const struct dyn_clock *context,
			  const struct dyn_version *version)
{
	return dyn_clock_covers(
		context, dyn_object_retry_dot(&version->request, version->value));
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
			assert_true(kept || dyn_clock_covers(&o[1].context, dot) ||
						is_settled_by(&o[1].context, &o[0].versions[i]) ||
						is_settled_by(&o[0].context, &o[0].versions[i]));
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
	assert_int_equal(dyn_clock_counter(&d5.context, (struct dyn_actor){ 1, 1 }),
					 3);
	assert_int_equal(dyn_clock_counter(&d5.context, (struct dyn_actor){ 2, 1 }),
					 1);
	assert_int_equal(dyn_clock_counter(&d5.context, (struct dyn_actor){ 3, 1 }),
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
		dot = (struct dyn_dot){ { 1, 1 },
								dyn_clock_counter(&object.context,
												  (struct dyn_actor){ 1, 1 }) };
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
		struct dyn_actor actor = { 1 + client, 1 };
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

/* Replicas of different builds compare these. */
static void
hashes_are_pinned_for_ever(void **unused)
{
	struct dyn_slice key = dyn_slice_of("alice");
	struct dyn_object one = put((struct dyn_object){ 0 }, NULL, "milk", 1, 1);
	struct dyn_object two = put(one, NULL, "eggs", 2, 2);
	struct dyn_object gone = put(two, &two.context, NULL, 1, 3);

	assert_int_equal(dyn_object_hash(&one, key), 0xb42bd88551494e34);
	assert_int_equal(dyn_object_hash(&two, key), 0x931ac7d97f470f51);
	assert_int_equal(dyn_object_hash(&gone, key), 0x37c946a022bbb351);
}

/* Equal hashes would keep anti-entropy from ever mending a difference. */
static void
two_records_of_one_version_meet_in_either_order_alike(void **unused)
{
	struct dyn_object a = put((struct dyn_object){ 0 }, NULL, "v", 1, 1);
	struct dyn_object b = put((struct dyn_object){ 0 }, NULL, "v", 1, 2);

	assert_int_equal(sync_of(a, b).version_count, 1);
	assert_true(
		dyn_slice_equal(encoded(sync_of(a, b)), encoded(sync_of(b, a))));
	assert_int_equal(sync_of(a, b).versions[0].request.bytes[0], 2);
	b = put((struct dyn_object){ 0 }, NULL, "v", 1, 1);
	b.versions[0].written_at_ms = 5;
	assert_int_equal(sync_of(a, b).versions[0].written_at_ms, 5);
	assert_int_equal(sync_of(b, a).versions[0].written_at_ms, 5);
}

static void
a_spent_actor_makes_no_dot(void **unused)
{
	struct dyn_actor actor = { 1, 1 };
	struct dyn_clock_range range = { actor, 1, UINT64_MAX - 1 };
	struct dyn_object object = { { &range, 1 }, NULL, 0 };
	struct dyn_slice values[2] = { dyn_slice_of("a"), dyn_slice_of("b") };
	struct dyn_update update = { .values = values, .value_count = 2 };
	struct dyn_object out = { .version_count = 77 };

	assert_int_equal(
		dyn_object_put(&object, &update, actor, &arena.allocator, &out),
		DYN_STATUS_TOO_LARGE);
	assert_int_equal(out.version_count, 77);
	update.value_count = 1;
	assert_int_equal(
		dyn_object_put(&object, &update, actor, &arena.allocator, &out),
		DYN_STATUS_OK);
	assert_true(dyn_object_check(&out));
	assert_int_equal(
		dyn_object_put(&out, &update, actor, &arena.allocator, &out),
		DYN_STATUS_TOO_LARGE);
	update.value_count = 0;
	update.context = &out.context;
	assert_int_equal(
		dyn_object_put(&out, &update, actor, &arena.allocator, &out),
		DYN_STATUS_OK);
	assert_true(dyn_object_is_tombstone(&out));
}

/* ------------------------------------------------------- size from strangers */

/* `count` versions with the odd or the even counters of one actor; the context
 * covers all of both. */
static struct dyn_object
many_versions(uint32_t count, uint32_t first)
{
	struct dyn_object object = { { 0 }, NULL, count };

	object.context.ranges =
		dyn_arena_allocate(&arena, sizeof(*object.context.ranges));
	object.context.ranges[0] =
		(struct dyn_clock_range){ { 1, 1 }, 1, 2 * (uint64_t) count };
	object.context.range_count = 1;
	object.versions =
		dyn_arena_allocate(&arena, count * sizeof(*object.versions));
	memset(object.versions, 0, count * sizeof(*object.versions));
	for (uint32_t i = 0; i < count; i++)
	{
		object.versions[i].dot =
			(struct dyn_dot){ { 1, 1 }, first + 2 * (uint64_t) i };
		object.versions[i].request = request_of(i);
	}
	assert_true(dyn_object_check(&object));
	return object;
}

/* Quadratic work would take minutes here. */
static void
objects_of_many_versions_meet_in_time(void **unused)
{
	struct dyn_object odd = many_versions(200000, 1);
	struct dyn_object even = many_versions(200000, 2);
	struct dyn_object merged = sync_of(odd, even);

	/* Each covers what the other holds. */
	assert_int_equal(merged.version_count, 0);
	even.context.ranges[0].last = 1;
	odd.context.ranges[0].last = 1;
	assert_int_equal(dyn_object_sync(&odd, &even, &arena.allocator, &merged),
					 DYN_STATUS_OK);
	assert_int_equal(merged.version_count, 399999);
	dyn_arena_reset(&arena);
}

static void
rows_of_a_monstrous_object_are_refused_before_memory_is_taken(void **unused)
{
	struct dyn_object object = many_versions(100000, 1);
	struct failing memory;
	struct dyn_row *rows = NULL;
	uint32_t count = 77;

	failing_init(&memory, -1);
	assert_int_equal(dyn_object_rows(&object, &memory.allocator, &rows, &count),
					 DYN_STATUS_TOO_LARGE);
	assert_int_equal(memory.calls, 0);
	assert_null(rows);
	assert_int_equal(count, 77);
	/* Twenty times the siblings that a put may leave can still be read. */
	object = many_versions(2000, 1);
	rows = rows_of(&object, &count);
	assert_int_equal(count, 2000);
	/* All even counters, and 15 of its own, which joins 14 and 16. */
	assert_int_equal(rows[7].clock.range_count, 1999);
	dyn_arena_reset(&arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sync_is_idempotent_commutative_and_associative),
		cmocka_unit_test(
			no_live_version_leaves_but_by_somebody_who_has_seen_it),
		cmocka_unit_test(a_row_clock_covers_its_row_and_no_sibling),
		cmocka_unit_test(writing_over_one_row_leaves_its_siblings),
		cmocka_unit_test(figure_3_of_the_paper_d1_to_d5),
		cmocka_unit_test(sibling_explosion_two_writers_through_one_coordinator),
		cmocka_unit_test(
			sibling_explosion_two_writers_through_two_coordinators),
		cmocka_unit_test(a_delete_leaves_what_its_writer_had_not_seen),
		cmocka_unit_test(twins_are_one_row_whose_clock_covers_both),
		cmocka_unit_test(one_dot_with_two_values_keeps_both),
		cmocka_unit_test(several_values_of_one_put_are_siblings),
		cmocka_unit_test(hashes_see_versions_and_not_contexts),
		cmocka_unit_test(hashes_are_pinned_for_ever),
		cmocka_unit_test(two_records_of_one_version_meet_in_either_order_alike),
		cmocka_unit_test(a_spent_actor_makes_no_dot),
		cmocka_unit_test(objects_of_many_versions_meet_in_time),
		cmocka_unit_test(
			rows_of_a_monstrous_object_are_refused_before_memory_is_taken),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
