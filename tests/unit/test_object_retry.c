/* Retried writes: what is one write stays one, and what has ended stays ended
 * (model/object.h, core/coord_put.h). */
#include "objects.h"

#include <stdio.h>

static const struct extras RETRY = { .is_retry = true };

static struct dyn_object
first(struct dyn_object object, const char *value, uint64_t actor,
	  uint32_t request)
{
	return put(object, NULL, value, actor, request);
}

static struct dyn_object
retry(struct dyn_object object, const char *value, uint32_t request)
{
	return put_with(object, NULL, value, 1, request, RETRY);
}

static struct dyn_object
removed_from(struct dyn_object object, const struct dyn_clock *context)
{
	return put(object, context, NULL, 9, 99);
}

/* Both orders must give the same; that is returned. */
static struct dyn_object
meet(struct dyn_object a, struct dyn_object b)
{
	assert_true(
		dyn_slice_equal(encoded(sync_of(a, b)), encoded(sync_of(b, a))));
	return sync_of(a, b);
}

static const struct dyn_object NONE = { 0 };

/* Clients of other languages make it, too. */
static void
the_name_of_a_retried_write_is_pinned_for_ever(void **unused)
{
	struct dyn_request_id id = request_of(7);
	struct dyn_dot dot = dyn_object_retry_dot(&id, dyn_slice_of("milk"));

	assert_int_equal(dot.actor.start, 0x14312d07e5f8e628);
	assert_int_equal(dot.actor.epoch, 0);
	assert_int_equal(dot.counter, 1);
}

static void
all_retries_of_a_write_are_one_version(void **unused)
{
	struct dyn_object a = retry(NONE, "v", 7);
	struct dyn_object b = retry(first(NONE, "w", 2, 8), "v", 7);

	assert_int_equal(meet(a, b).version_count, 2);
	assert_int_equal(retry(a, "v", 7).version_count, 1);
}

static void
a_late_first_attempt_does_not_bring_back_what_was_deleted(void **unused)
{
	struct dyn_object late = first(NONE, "v", 1, 7);
	struct dyn_object retried = retry(NONE, "v", 7);
	struct dyn_object gone = removed_from(retried, &retried.context);

	assert_int_equal(meet(late, gone).version_count, 0);
	/* Whoever coordinates it late drops it himself. */
	assert_int_equal(first(gone, "v", 1, 7).version_count, 0);
	/* Until somebody has replaced it, both stand for the row. */
	assert_int_equal(meet(late, retried).version_count, 2);
}

/* Readers are shown the twins as one row. */
static void
who_replaces_one_twin_replaces_the_row(void **unused)
{
	struct dyn_object late = first(NONE, "v", 1, 7);
	struct dyn_object other = first(NONE, "v", 3, 8);
	struct dyn_object both = meet(meet(late, retry(NONE, "v", 7)), other);

	assert_int_equal(both.version_count, 3);
	both = removed_from(both, &late.context);
	assert_int_equal(both.version_count, 1);
	/* Another write of the same value is another row. */
	assert_int_equal(
		dyn_dot_compare(both.versions[0].dot, other.versions[0].dot), 0);
}

/* One put may have several values: who settles one has not read the others. */
static void
what_became_of_one_value_says_nothing_of_another(void **unused)
{
	struct dyn_object late = first(first(NONE, "x", 1, 7), "y", 2, 7);
	struct dyn_object x = retry(NONE, "x", 7);
	struct dyn_object both = retry(x, "y", 7);
	struct dyn_object met;

	both = removed_from(both, &x.context);
	assert_int_equal(both.version_count, 1);
	met = meet(late, both);
	assert_true(has_value(met, "y"));
	assert_false(has_value(met, "x"));
}

/* Of two stamps of one write the later would beat what came between. */
static void
where_the_last_write_wins_the_retry_stands_for_the_write(void **unused)
{
	struct extras late = { .written_at_ms = 3000, .flags = DYN_VERSION_LWW };
	struct extras retried = { .written_at_ms = 1000,
							  .flags = DYN_VERSION_LWW,
							  .is_retry = true };
	struct extras between = { .written_at_ms = 2000, .flags = DYN_VERSION_LWW };
	struct dyn_object met =
		meet(put_with(NONE, NULL, "v", 1, 7, late),
			 meet(put_with(NONE, NULL, "v", 1, 7, retried),
				  put_with(NONE, NULL, "between", 2, 8, between)));

	assert_int_equal(met.version_count, 2);
	dyn_object_view(&met, 0);
	assert_true(has_value(met, "between"));
}

static void
a_retry_of_what_was_replaced_writes_nothing(void **unused)
{
	struct dyn_object retried = retry(NONE, "v", 7);
	struct dyn_object gone = removed_from(retried, &retried.context);

	assert_int_equal(retry(gone, "v", 7).version_count, 0);
	assert_int_equal(retry(retried, "v", 7).version_count, 1);
}

static void
equal_values_of_a_retried_put_are_one_version(void **unused)
{
	struct dyn_slice values[3] = { dyn_slice_of("x"), dyn_slice_of("y"),
								   dyn_slice_of("x") };
	struct dyn_update update = { .request = request_of(7),
								 .values = values,
								 .value_count = 3,
								 .is_retry = true };
	struct dyn_object out;

	assert_int_equal(dyn_object_put(&NONE, &update, (struct dyn_actor){ 0 },
									&arena.allocator, &out),
					 DYN_STATUS_OK);
	assert_true(dyn_object_check(&out));
	assert_int_equal(out.version_count, 2);
	assert_int_equal(out.context.range_count, 2);
}

/* A client's context has room for 256 entries. */
static void
names_of_retried_writes_are_bounded(void **unused)
{
	struct dyn_object object = NONE;
	struct dyn_slice value = dyn_slice_of("v");
	struct dyn_update update = { .values = &value,
								 .value_count = 1,
								 .is_retry = true };
	struct dyn_object out;

	for (uint32_t i = 0; i < DYN_RETRY_DOTS_MAX; i++)
		object = retry(object, "v", i);
	update.request = request_of(DYN_RETRY_DOTS_MAX);
	assert_int_equal(dyn_object_put(&object, &update, (struct dyn_actor){ 0 },
									&arena.allocator, &out),
					 DYN_STATUS_TOO_LARGE);
	/* Others are written as ever. */
	assert_int_equal(first(object, "w", 2, 1000).version_count,
					 DYN_RETRY_DOTS_MAX + 1);
}

/* A version of another value under a name is a damaged history: it must not
 * keep two replicas from becoming equal. */
static void
what_only_looks_like_a_retry_stands_for_nothing(void **unused)
{
	struct dyn_object late = first(NONE, "v", 1, 7);
	struct dyn_object odd = retry(NONE, "v", 7);
	struct dyn_object met;

	odd.versions[0].value = dyn_slice_of("w");
	met = meet(late, odd);
	assert_int_equal(met.version_count, 1);
	assert_true(has_value(met, "w"));
	assert_true(dyn_slice_equal(encoded(meet(met, late)), encoded(met)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_name_of_a_retried_write_is_pinned_for_ever),
		cmocka_unit_test(all_retries_of_a_write_are_one_version),
		cmocka_unit_test(
			a_late_first_attempt_does_not_bring_back_what_was_deleted),
		cmocka_unit_test(who_replaces_one_twin_replaces_the_row),
		cmocka_unit_test(what_became_of_one_value_says_nothing_of_another),
		cmocka_unit_test(
			where_the_last_write_wins_the_retry_stands_for_the_write),
		cmocka_unit_test(a_retry_of_what_was_replaced_writes_nothing),
		cmocka_unit_test(equal_values_of_a_retried_put_are_one_version),
		cmocka_unit_test(names_of_retried_writes_are_bounded),
		cmocka_unit_test(what_only_looks_like_a_retry_stands_for_nothing),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
