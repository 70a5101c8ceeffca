/* What a reader is shown of an object: the last write, and nothing expired. */
#include "objects.h"

enum
{
	MINUTE_MS = 60 * 1000,
	T = 1000 * MINUTE_MS /* some time */
};

static struct dyn_object
write_lww(struct dyn_object object, const struct dyn_clock *context,
		  const char *value, uint64_t actor, uint32_t request,
		  uint64_t written_at_ms)
{
	return put_with(object, context, value, actor, request,
					(struct extras){ .written_at_ms = written_at_ms,
									 .flags = DYN_VERSION_LWW });
}

/* A copy: the view works in place. */
static struct dyn_object
view_of(struct dyn_object object, uint64_t now_ms)
{
	struct dyn_object copy;

	assert_int_equal(
		dyn_object_decode(encoded(object), &arena.allocator, &copy),
		DYN_STATUS_OK);
	dyn_object_view(&copy, now_ms);
	assert_true(dyn_object_check(&copy));
	assert_true(dyn_clock_sort_compare(&copy.context, &object.context) == 0);
	assert_int_equal(dyn_object_is_dead(&object, now_ms),
					 copy.version_count == 0);
	return copy;
}

static void
of_last_writes_the_greatest_stamp_is_shown(void **unused)
{
	struct dyn_object empty = { 0 };
	struct dyn_object a = write_lww(empty, NULL, "early", 9, 1, T);
	struct dyn_object b = write_lww(empty, NULL, "late", 5, 2, T + 1);
	struct dyn_object c = write_lww(empty, NULL, "earliest", 7, 3, T - 1);
	struct dyn_object all = sync_of(sync_of(a, b), c);
	struct dyn_object seen = view_of(all, T);

	assert_int_equal(all.version_count, 3);
	assert_int_equal(seen.version_count, 1);
	assert_true(has_value(seen, "late"));
}

static void
of_equal_stamps_the_greater_dot_is_shown(void **unused)
{
	struct dyn_object empty = { 0 };
	struct dyn_object a = write_lww(empty, NULL, "a", 5, 1, T);
	struct dyn_object b = write_lww(empty, NULL, "b", 9, 2, T);

	assert_true(has_value(view_of(sync_of(a, b), T), "b"));
	assert_true(has_value(view_of(sync_of(b, a), T), "b"));
}

/* Who has read the winner replaces what it hides, and leaves no row. */
static void
the_shown_row_clock_covers_what_is_hidden(void **unused)
{
	struct dyn_object empty = { 0 };
	struct dyn_object a = write_lww(empty, NULL, "early", 5, 1, T);
	struct dyn_object b = write_lww(empty, NULL, "late", 9, 2, T + 1);
	struct dyn_object both = sync_of(a, b);
	struct dyn_object seen = view_of(both, T);
	uint32_t count;
	struct dyn_row *rows = rows_of(&seen, &count);

	assert_int_equal(count, 1);
	assert_true(dyn_clock_sort_compare(&rows[0].clock, &both.context) == 0);
	both = write_lww(both, &rows[0].clock, "next", 5, 3, T + 2);
	assert_int_equal(both.version_count, 1);
}

/* Values from before the bucket was changed yield to nobody. */
static void
versions_without_the_mark_are_shown_beside_the_winner(void **unused)
{
	struct dyn_object empty = { 0 };
	struct dyn_object old = put(empty, NULL, "sibling", 3, 1);
	struct dyn_object a = write_lww(empty, NULL, "early", 5, 2, T);
	struct dyn_object b = write_lww(empty, NULL, "late", 9, 3, T + 1);
	struct dyn_object seen = view_of(sync_of(old, sync_of(a, b)), T);
	uint32_t count;
	struct dyn_row *rows = rows_of(&seen, &count);

	assert_int_equal(count, 2);
	assert_true(has_value(seen, "sibling") && has_value(seen, "late"));
	for (uint32_t i = 0; i < 2; i++)
	{
		assert_false(
			dyn_clock_covers(&rows[i].clock, rows[1 - i].version->dot));
		assert_true(dyn_clock_covers(&rows[i].clock, a.versions[0].dot));
	}
}

static void
a_version_is_shown_until_its_end_and_not_from_then_on(void **unused)
{
	struct dyn_object empty = { 0 };
	struct dyn_object mortal = put_with(empty, NULL, "mortal", 5, 1,
										(struct extras){ .expires_at_ms = T });
	struct dyn_object immortal = put(empty, NULL, "immortal", 9, 2);
	struct dyn_object both = sync_of(mortal, immortal);

	assert_int_equal(view_of(mortal, 0).version_count, 1);
	assert_int_equal(view_of(mortal, T - 1).version_count, 1);
	assert_int_equal(view_of(mortal, T).version_count, 0);
	assert_int_equal(view_of(mortal, UINT64_MAX).version_count, 0);
	assert_int_equal(view_of(both, T - 1).version_count, 2);
	assert_int_equal(view_of(both, T).version_count, 1);
	assert_true(has_value(view_of(both, UINT64_MAX), "immortal"));
}

/* First the last write, then its end: what had lost stays lost. */
static void
the_end_of_a_winner_brings_back_nothing(void **unused)
{
	struct dyn_object empty = { 0 };
	struct dyn_object a = write_lww(empty, NULL, "lost", 5, 1, T);
	struct dyn_object b = put_with(empty, NULL, "won", 9, 2,
								   (struct extras){ .written_at_ms = T + 1,
													.expires_at_ms = T + 9,
													.flags = DYN_VERSION_LWW });
	struct dyn_object both = sync_of(a, b);

	assert_true(has_value(view_of(both, T + 8), "won"));
	assert_int_equal(view_of(both, T + 9).version_count, 0);
}

/* Who was beaten may have been written by a clock that was years ahead. */
static void
an_object_dies_with_what_is_shown_of_it(void **unused)
{
	struct dyn_object empty = { 0 };
	struct extras lww = { .written_at_ms = T,
						  .expires_at_ms = T + 9,
						  .flags = DYN_VERSION_LWW };
	struct extras beaten = { .written_at_ms = T - 1,
							 .expires_at_ms = 2 * T,
							 .flags = DYN_VERSION_LWW };
	struct extras plain = { .expires_at_ms = T + 20 };
	struct dyn_object both =
		sync_of(put_with(empty, NULL, "won", 5, 1, lww),
				put_with(empty, NULL, "lost", 7, 2, beaten));
	struct dyn_object all =
		sync_of(both, put_with(empty, NULL, "beside", 9, 3, plain));

	assert_int_equal(dyn_object_dies_at(&both), T + 9);
	assert_true(dyn_object_is_dead(&both, T + 9));
	assert_int_equal(dyn_object_dies_at(&all), T + 20);
	assert_false(dyn_object_is_dead(&all, T + 19));
	assert_true(dyn_object_is_dead(&all, T + 20));
}

static void
a_tombstone_is_dead_and_an_unknown_key_is_not(void **unused)
{
	struct dyn_object empty = { 0 };
	struct dyn_object a = put(empty, NULL, "x", 5, 1);

	assert_false(dyn_object_is_dead(&a, T));
	a = put(a, &a.context, NULL, 5, 2);
	assert_true(dyn_object_is_dead(&a, T));
	assert_false(dyn_object_is_dead(&empty, T));
}

/* Whatever order replicas meet in, readers agree; and a view of a view is
 * the same. */
static void
replicas_that_have_met_show_the_same(void **unused)
{
	struct prng prng = { 21 };

	for (int round = 0; round < 20000; round++)
	{
		struct dyn_object o[REPLICAS];
		uint64_t now_ms = prng_below(&prng, 1200);
		struct dyn_object one;
		struct dyn_object other;
		struct dyn_object seen;
		uint32_t marked = 0;

		random_objects(&prng, o);
		one = sync_of(sync_of(o[0], o[1]), o[2]);
		other = sync_of(o[2], sync_of(o[1], o[0]));
		if (dyn_clock_is_empty(&one.context))
			continue;
		seen = view_of(one, now_ms);
		assert_true(
			dyn_slice_equal(encoded(seen), encoded(view_of(other, now_ms))));
		assert_true(
			dyn_slice_equal(encoded(seen), encoded(view_of(seen, now_ms))));
		for (uint32_t i = 0; i < seen.version_count; i++)
		{
			marked += seen.versions[i].flags & DYN_VERSION_LWW;
			assert_true(seen.versions[i].expires_at_ms == 0 ||
						seen.versions[i].expires_at_ms > now_ms);
		}
		assert_true(marked <= 1);
		for (uint32_t i = 0; i < one.version_count && marked; i++)
			for (uint32_t j = 0; j < seen.version_count; j++)
				if (one.versions[i].flags & seen.versions[j].flags)
					assert_true(one.versions[i].written_at_ms <=
								seen.versions[j].written_at_ms);
		dyn_arena_reset(&arena);
	}
}

/*
 * Two coordinators, ten minutes ahead and behind, write in turn what each
 * reads of the other; a third, on time, writes blindly all the while.  Every
 * link of the chain beats all that the one before it had beaten.
 */
static void
who_read_the_winner_wins_whatever_the_clocks_show(void **unused)
{
	struct dyn_object empty = { 0 };
	struct dyn_object blind = write_lww(empty, NULL, "blind", 3, 1, T);
	struct dyn_object chain =
		write_lww(empty, NULL, "first", 5, 2, T + 10 * MINUTE_MS);
	struct dyn_object seen;

	assert_true(has_value(view_of(sync_of(blind, chain), T), "first"));
	for (uint32_t i = 0; i < 100; i++)
	{
		uint64_t wall_ms = T + i + (i % 2 ? 10 * MINUTE_MS : -10 * MINUTE_MS);

		seen = view_of(chain, T);
		chain = write_lww(chain, &seen.context, "next", 5 + i % 2, 3 + i,
						  dyn_object_stamp(&chain, wall_ms));
		seen = view_of(sync_of(blind, chain), T);
		assert_int_equal(seen.version_count, 1);
		assert_true(has_value(seen, "next"));
	}
}

static void
a_stamp_is_the_clock_or_beyond_all_that_is_replaced(void **unused)
{
	struct dyn_object o = { 0 };

	assert_int_equal(dyn_object_stamp(&o, T), T);
	o = write_lww(o, NULL, "a", 5, 1, T);
	assert_int_equal(dyn_object_stamp(&o, T - 1), T + 1);
	assert_int_equal(dyn_object_stamp(&o, T), T + 1);
	assert_int_equal(dyn_object_stamp(&o, T + 1), T + 1);
	assert_int_equal(dyn_object_stamp(&o, T + 2), T + 2);
	o = write_lww(o, NULL, "b", 9, 2, UINT64_MAX);
	assert_true(dyn_object_stamp(&o, T) == UINT64_MAX);
}

/* One dot, two records of it: a damaged history stays the same everywhere. */
static void
two_ends_of_one_version_become_one(void **unused)
{
	struct dyn_object a = put_with((struct dyn_object){ 0 }, NULL, "x", 5, 1,
								   (struct extras){ .expires_at_ms = T });
	struct dyn_object b = put_with((struct dyn_object){ 0 }, NULL, "x", 5, 1,
								   (struct extras){ .expires_at_ms = T + 1 });

	assert_int_equal(sync_of(a, b).version_count, 1);
	assert_int_equal(sync_of(a, b).versions[0].expires_at_ms, T + 1);
	assert_int_equal(sync_of(b, a).versions[0].expires_at_ms, T + 1);
}

/* One attempt counted its end from an earlier clock than the other one did:
 * the row is there as long as one of them is, and who writes beside it, or
 * replaces another row, must not take the rest of it along. */
static void
twins_end_together(void **unused)
{
	struct dyn_object empty = { 0 };
	struct extras first = { .expires_at_ms = T + 1 };
	struct extras retry = { .expires_at_ms = T + 3, .is_retry = true };
	struct dyn_object other = put(empty, NULL, "other", 2, 2);

	for (int turn = 0; turn < 2; turn++)
	{
		struct dyn_object both =
			sync_of(sync_of(put_with(empty, NULL, "v", 1, 1, first), other),
					put_with(empty, NULL, "v", 0, 1, retry));
		struct dyn_object seen = view_of(both, T + 2);
		uint32_t count;
		struct dyn_row *rows = rows_of(&seen, &count);

		assert_int_equal(count, 2);
		for (uint32_t i = 0; i < count; i++)
			if (dyn_slice_equal(rows[i].version->value, dyn_slice_of("other")))
				both = put(both, &rows[i].clock, NULL, 2, 3);
			else
				assert_int_equal(rows[i].version->expires_at_ms, T + 3);
		seen = view_of(both, T + 2);
		assert_true(has_value(seen, "v"));
		assert_false(has_value(seen, "other"));
		assert_int_equal(view_of(both, T + 3).version_count, 0);
		first.expires_at_ms = T + 3;
		retry.expires_at_ms = T + 1;
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_last_writes_the_greatest_stamp_is_shown),
		cmocka_unit_test(of_equal_stamps_the_greater_dot_is_shown),
		cmocka_unit_test(the_shown_row_clock_covers_what_is_hidden),
		cmocka_unit_test(twins_end_together),
		cmocka_unit_test(versions_without_the_mark_are_shown_beside_the_winner),
		cmocka_unit_test(a_version_is_shown_until_its_end_and_not_from_then_on),
		cmocka_unit_test(the_end_of_a_winner_brings_back_nothing),
		cmocka_unit_test(an_object_dies_with_what_is_shown_of_it),
		cmocka_unit_test(a_tombstone_is_dead_and_an_unknown_key_is_not),
		cmocka_unit_test(replicas_that_have_met_show_the_same),
		cmocka_unit_test(who_read_the_winner_wins_whatever_the_clocks_show),
		cmocka_unit_test(a_stamp_is_the_clock_or_beyond_all_that_is_replaced),
		cmocka_unit_test(two_ends_of_one_version_become_one),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
