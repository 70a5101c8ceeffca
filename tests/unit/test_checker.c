/*
 * The checker that judges every simulated run is judged here: handmade
 * histories, good ones it must accept and bad ones it must name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/sim/checker.h"

enum
{
	N = 3
};

/* A history of one key with its own clock: each step takes one tick. */
struct story
{
	struct dyn_history history;
	uint64_t now_ms;
	struct dyn_checker_counts counts;
	char rules[256]; /* reported, in order, with blanks between */
};

static void
note(void *context, const char *rule, const char *text)
{
	struct story *story = context;

	(void) text;
	if (strstr(story->rules, rule) == NULL &&
		strlen(story->rules) + 8 < sizeof(story->rules))
	{
		strcat(story->rules, rule);
		strcat(story->rules, " ");
	}
}

static void
begin(struct story *story)
{
	memset(story, 0, sizeof(*story));
	dyn_history_init(&story->history, 1);
}

/* The rules that the checker names; the history is gone afterwards. */
static const char *
judge(struct story *story)
{
	dyn_checker_run(&story->history, N, note, story, &story->counts);
	dyn_history_destroy(&story->history);
	return story->rules;
}

/* A write of one value (or a delete), with W = 2, that saw these vids. */
static uint32_t
open_write(struct story *story, enum dyn_history_mode mode,
		   uint32_t value_count, const uint32_t *seen, uint32_t seen_count)
{
	struct dyn_vids vids = { (uint32_t *) (uintptr_t) seen, seen_count,
							 seen_count };

	return dyn_history_write(&story->history, 0, 0, mode, value_count, &vids, 2,
							 2, ++story->now_ms);
}

static uint32_t
put(struct story *story, enum dyn_history_result result, const uint32_t *seen,
	uint32_t seen_count)
{
	uint32_t op = open_write(story, DYN_HISTORY_SIBLING, 1, seen, seen_count);

	dyn_history_end(&story->history, op, result, ++story->now_ms);
	return story->history.ops[op].first_vid;
}

static uint32_t
erase(struct story *story, enum dyn_history_result result, uint32_t seen)
{
	uint32_t op = open_write(story, DYN_HISTORY_SIBLING, 0, &seen, 1);

	dyn_history_end(&story->history, op, result, ++story->now_ms);
	return story->history.ops[op].first_vid;
}

static void
read_by(struct story *story, uint32_t client, uint8_t r, const uint32_t *vids,
		uint32_t count)
{
	uint32_t op =
		dyn_history_read(&story->history, 0, client, r, true, ++story->now_ms);

	for (uint32_t i = 0; i < count; i++)
		dyn_history_return(&story->history, op, vids[i]);
	dyn_history_end(&story->history, op, DYN_HISTORY_OK, ++story->now_ms);
}

static void
read_one(struct story *story, uint32_t vid)
{
	read_by(story, 1, 2, &vid, 1);
}

static void
end_with(struct story *story, const uint32_t *vids, uint32_t count)
{
	struct dyn_vids final = { (uint32_t *) (uintptr_t) vids, count, count };

	dyn_history_final(&story->history, 0, &final);
}

/* ------------------------------------------------------------ good histories */

static void
test_siblings_and_their_reconciliation_are_fine(void **state)
{
	struct story story;
	uint32_t pair[2];
	uint32_t last;

	(void) state;
	begin(&story);
	pair[0] = put(&story, DYN_HISTORY_OK, NULL, 0);
	pair[1] = put(&story, DYN_HISTORY_OK, NULL, 0);
	read_by(&story, 1, 2, pair, 2);
	last = put(&story, DYN_HISTORY_OK, pair, 2);
	read_one(&story, last);
	end_with(&story, &last, 1);
	assert_string_equal(judge(&story), "");
	assert_int_equal(story.counts.writes_acknowledged, 3);
	assert_int_equal(story.counts.reads_strict, 2);
}

static void
test_an_unknown_write_may_be_there_or_not(void **state)
{
	for (int there = 0; there < 2; there++)
	{
		struct story story;
		uint32_t vids[2];

		(void) state;
		begin(&story);
		vids[0] = put(&story, DYN_HISTORY_OK, NULL, 0);
		vids[1] = put(&story, DYN_HISTORY_UNKNOWN, NULL, 0);
		end_with(&story, vids, there ? 2 : 1);
		assert_string_equal(judge(&story), "");
	}
}

static void
test_a_delete_explains_an_absence(void **state)
{
	struct story story;

	(void) state;
	begin(&story);
	erase(&story, DYN_HISTORY_UNKNOWN, put(&story, DYN_HISTORY_OK, NULL, 0));
	end_with(&story, NULL, 0);
	assert_string_equal(judge(&story), "");
}

static void
test_an_unknown_overwrite_that_was_replaced_explains_an_absence(void **state)
{
	struct story story;
	uint32_t first;
	uint32_t second;
	uint32_t third;

	(void) state;
	begin(&story);
	first = put(&story, DYN_HISTORY_OK, NULL, 0);
	second = put(&story, DYN_HISTORY_UNKNOWN, &first, 1);
	third = put(&story, DYN_HISTORY_OK, &second, 1);
	end_with(&story, &third, 1);
	assert_string_equal(judge(&story), "");
}

static void
test_a_read_concurrent_with_a_write_may_miss_it(void **state)
{
	struct story story;
	uint32_t op;

	(void) state;
	begin(&story);
	op = open_write(&story, DYN_HISTORY_SIBLING, 1, NULL, 0);
	read_by(&story, 1, 2, NULL, 0);
	dyn_history_end(&story.history, op, DYN_HISTORY_OK, ++story.now_ms);
	end_with(&story, &story.history.ops[op].first_vid, 1);
	assert_string_equal(judge(&story), "");
}

static void
test_a_read_of_too_few_owners_may_miss_a_write(void **state)
{
	struct story story;
	uint32_t vid;

	(void) state;
	begin(&story);
	vid = put(&story, DYN_HISTORY_OK, NULL, 0);
	read_by(&story, 1, 1, NULL, 0);
	end_with(&story, &vid, 1);
	assert_string_equal(judge(&story), "");
}

static void
test_a_replacing_write_explains_what_it_met(void **state)
{
	struct story story;
	uint32_t op;

	(void) state;
	begin(&story);
	put(&story, DYN_HISTORY_OK, NULL, 0);
	op = open_write(&story, DYN_HISTORY_REPLACE, 1, NULL, 0);
	dyn_history_end(&story.history, op, DYN_HISTORY_OK, ++story.now_ms);
	end_with(&story, &story.history.ops[op].first_vid, 1);
	assert_string_equal(judge(&story), "");
}

static void
test_a_repeated_write_that_comes_back_is_counted(void **state)
{
	struct story story;
	uint32_t vids[2];

	(void) state;
	begin(&story);
	vids[0] = put(&story, DYN_HISTORY_OK, NULL, 0);
	vids[1] = put(&story, DYN_HISTORY_OK, vids, 1);
	story.history.ops[story.history.keys[0].vid_ops[vids[0]]].repeated = true;
	end_with(&story, vids, 2);
	assert_string_equal(judge(&story), "");
	assert_true(story.counts.repeats > 0);
}

/* Who replaced the first version had read its first attempt's copy only. */
static bool
is_of_the_first_attempt(void *context, uint32_t key, uint32_t vid, uint32_t by)
{
	const uint32_t *read_op = context;

	assert_int_equal(key, 0);
	assert_int_equal(vid, 0);
	return by == *read_op;
}

/* A write that was retried, one that had read it, a later one that had, too. */
static const char *
judge_a_retried_write(struct story *story, uint32_t residue_op,
					  bool is_replaced_twice)
{
	uint32_t vids[3];

	begin(story);
	vids[0] = put(story, DYN_HISTORY_UNKNOWN, NULL, 0);
	vids[1] = put(story, DYN_HISTORY_OK, vids, 1);
	vids[2] = put(story, DYN_HISTORY_OK, vids, is_replaced_twice ? 2 : 0);
	story->history.ops[0].exact = true;
	story->history.is_residue = is_of_the_first_attempt;
	story->history.residue_context = &residue_op;
	if (is_replaced_twice)
		vids[1] = vids[2];
	end_with(story, vids, is_replaced_twice ? 2 : 3);
	return judge(story);
}

static void
test_a_retry_that_nobody_has_read_may_stay(void **state)
{
	struct story story;

	(void) state;
	assert_string_equal(judge_a_retried_write(&story, 1, false), "");
	assert_true(story.counts.residues > 0);
	assert_int_equal(story.counts.repeats, 0);
}

static void
test_a_retry_that_was_replaced_stays_away(void **state)
{
	struct story story;

	(void) state;
	assert_string_equal(judge_a_retried_write(&story, UINT32_MAX, false),
						"C4 C3 ");
	/* The one knew the first attempt only, but the other one the retry. */
	assert_string_equal(judge_a_retried_write(&story, 1, true), "C4 C3 ");
}

/* The last write wins: an attempt may act until its client has left it, though
 * the write has ended. */
static void
test_an_attempt_acts_until_its_client_has_left_it(void **state)
{
	struct story story;
	uint32_t vids[2];

	(void) state;
	for (uint64_t until_ms = 0; until_ms < 20; until_ms += 10)
	{
		begin(&story);
		story.history.lww = true;
		vids[0] = put(&story, DYN_HISTORY_OK, NULL, 0);
		vids[1] = put(&story, DYN_HISTORY_OK, NULL, 0);
		story.history.ops[0].exact = true;
		story.history.ops[0].acts_until_ms = until_ms;
		end_with(&story, vids, 1);
		assert_string_equal(judge(&story), until_ms == 0 ? "L2 " : "");
	}
}

static void
test_a_row_stands_for_what_its_neighbours_replaced(void **state)
{
	struct story story;
	struct dyn_vids rows = { 0 };
	uint32_t vids[3];
	uint32_t op;

	(void) state;
	begin(&story);
	vids[0] = put(&story, DYN_HISTORY_OK, NULL, 0);
	vids[1] = put(&story, DYN_HISTORY_UNKNOWN, vids, 1);
	vids[2] = put(&story, DYN_HISTORY_OK, NULL, 0);
	dyn_vids_add(&rows, vids[1]);
	dyn_vids_add(&rows, vids[2]);
	op = open_write(&story, DYN_HISTORY_SIBLING, 1, &vids[2], 1);
	dyn_history_beside(&story.history, op, &rows);
	dyn_history_end(&story.history, op, DYN_HISTORY_OK, ++story.now_ms);
	read_one(&story, story.history.ops[op].first_vid);
	vids[2] = story.history.ops[op].first_vid;
	end_with(&story, &vids[1], 2);

	assert_string_equal(judge(&story), "");
	free(rows.items);
}

/* Of what one row's context stands for, a neighbour that was not met need not
 * have been, and so what it had replaced. */
static void
test_a_guarded_write_has_met_what_its_neighbours_replaced(void **state)
{
	struct story story;
	struct dyn_vids rows = { 0 };
	uint32_t vids[3];
	uint32_t op;

	(void) state;
	begin(&story);
	vids[0] = put(&story, DYN_HISTORY_OK, NULL, 0);
	vids[1] = put(&story, DYN_HISTORY_UNKNOWN, vids, 1);
	vids[2] = put(&story, DYN_HISTORY_OK, NULL, 0);
	dyn_vids_add(&rows, vids[1]);
	dyn_vids_add(&rows, vids[2]);
	op = open_write(&story, DYN_HISTORY_GUARDED, 1, &vids[2], 1);
	dyn_history_beside(&story.history, op, &rows);
	dyn_history_end(&story.history, op, DYN_HISTORY_OK, ++story.now_ms);
	vids[2] = story.history.ops[op].first_vid;
	end_with(&story, &vids[1], 2);

	assert_string_equal(judge(&story), "");
	free(rows.items);
}

/* ------------------------------------------------------------- bad histories */

static void
test_a_lost_write_is_named(void **state)
{
	struct story story;

	(void) state;
	begin(&story);
	put(&story, DYN_HISTORY_OK, NULL, 0);
	end_with(&story, NULL, 0);
	assert_string_equal(judge(&story), "C1 ");
}

static void
test_a_write_lost_behind_a_concurrent_one_is_named(void **state)
{
	struct story story;
	uint32_t second;

	(void) state;
	begin(&story);
	put(&story, DYN_HISTORY_OK, NULL, 0);
	second = put(&story, DYN_HISTORY_OK, NULL, 0);
	end_with(&story, &second, 1);
	assert_string_equal(judge(&story), "C1 ");
}

static void
test_a_row_clock_that_covered_its_sibling_is_named(void **state)
{
	struct story story;
	uint32_t pair[2];
	uint32_t last;

	(void) state;
	begin(&story);
	pair[0] = put(&story, DYN_HISTORY_OK, NULL, 0);
	pair[1] = put(&story, DYN_HISTORY_OK, NULL, 0);
	read_by(&story, 1, 2, pair, 2);
	last = put(&story, DYN_HISTORY_OK, &pair[1], 1);
	end_with(&story, &last, 1);
	assert_string_equal(judge(&story), "C1 ");
}

static void
test_an_invented_version_is_named(void **state)
{
	struct story story;
	uint32_t vid;

	(void) state;
	begin(&story);
	vid = put(&story, DYN_HISTORY_OK, NULL, 0);
	read_by(&story, 1, 1, (uint32_t[]){ vid, 99 }, 2);
	end_with(&story, &vid, 1);
	assert_string_equal(judge(&story), "C2 ");
}

static void
test_a_refused_write_that_appears_is_named(void **state)
{
	struct story story;
	uint32_t vid;

	(void) state;
	begin(&story);
	vid = put(&story, DYN_HISTORY_NO, NULL, 0);
	end_with(&story, &vid, 1);
	assert_string_equal(judge(&story), "C2 ");
}

static void
test_a_version_read_before_it_was_written_is_named(void **state)
{
	struct story story;
	uint32_t vid;

	(void) state;
	begin(&story);
	read_by(&story, 1, 1, (uint32_t[]){ 0 }, 1);
	vid = put(&story, DYN_HISTORY_OK, NULL, 0);
	end_with(&story, &vid, 1);
	assert_string_equal(judge(&story), "C2 ");
}

static void
test_a_value_that_comes_back_after_its_delete_is_named(void **state)
{
	struct story story;
	uint32_t vid;

	(void) state;
	begin(&story);
	vid = put(&story, DYN_HISTORY_OK, NULL, 0);
	erase(&story, DYN_HISTORY_OK, vid);
	end_with(&story, &vid, 1);
	assert_string_equal(judge(&story), "C3 ");
}

static void
test_a_replaced_value_beside_its_replacement_is_named(void **state)
{
	struct story story;
	uint32_t vids[2];

	(void) state;
	begin(&story);
	vids[0] = put(&story, DYN_HISTORY_OK, NULL, 0);
	vids[1] = put(&story, DYN_HISTORY_OK, vids, 1);
	end_with(&story, vids, 2);
	assert_string_equal(judge(&story), "C4 C3 ");
}

static void
test_a_stale_strict_read_is_named(void **state)
{
	struct story story;
	uint32_t vid;

	(void) state;
	begin(&story);
	vid = put(&story, DYN_HISTORY_OK, NULL, 0);
	read_by(&story, 1, 2, NULL, 0);
	end_with(&story, &vid, 1);
	assert_string_equal(judge(&story), "C9 ");
}

static void
test_a_strict_read_of_a_replaced_value_is_named(void **state)
{
	struct story story;
	uint32_t vids[2];

	(void) state;
	begin(&story);
	vids[0] = put(&story, DYN_HISTORY_OK, NULL, 0);
	vids[1] = put(&story, DYN_HISTORY_OK, vids, 1);
	read_one(&story, vids[0]);
	end_with(&story, &vids[1], 1);
	assert_string_equal(judge(&story), "C9 ");
}

static void
test_a_delete_in_the_future_excuses_no_stale_read(void **state)
{
	struct story story;

	(void) state;
	begin(&story);
	put(&story, DYN_HISTORY_OK, NULL, 0);
	read_by(&story, 1, 2, NULL, 0);
	erase(&story, DYN_HISTORY_OK, 0);
	end_with(&story, NULL, 0);
	assert_string_equal(judge(&story), "C9 ");
}

static void
test_a_client_that_goes_back_in_time_is_named(void **state)
{
	struct story story;
	uint32_t vid;

	(void) state;
	begin(&story);
	vid = put(&story, DYN_HISTORY_OK, NULL, 0);
	read_one(&story, vid);
	read_by(&story, 1, 2, NULL, 0);
	end_with(&story, &vid, 1);
	assert_string_equal(judge(&story), "C9 C10 ");
}

static void
test_a_create_over_a_live_version_is_named(void **state)
{
	struct story story;
	uint32_t vids[2];
	uint32_t op;

	(void) state;
	begin(&story);
	vids[0] = put(&story, DYN_HISTORY_OK, NULL, 0);
	op = open_write(&story, DYN_HISTORY_CREATE, 1, NULL, 0);
	dyn_history_end(&story.history, op, DYN_HISTORY_OK, ++story.now_ms);
	vids[1] = story.history.ops[op].first_vid;
	end_with(&story, vids, 2);
	assert_string_equal(judge(&story), "C12 ");
}

static void
test_a_guarded_write_past_an_unread_version_is_named(void **state)
{
	struct story story;
	uint32_t vids[3];
	uint32_t op;

	(void) state;
	begin(&story);
	vids[0] = put(&story, DYN_HISTORY_OK, NULL, 0);
	vids[1] = put(&story, DYN_HISTORY_OK, NULL, 0);
	op = open_write(&story, DYN_HISTORY_GUARDED, 1, vids, 1);
	dyn_history_end(&story.history, op, DYN_HISTORY_OK, ++story.now_ms);
	vids[2] = story.history.ops[op].first_vid;
	end_with(&story, &vids[1], 2);
	assert_string_equal(judge(&story), "C12 ");
}

/* A history of a bucket in which the last write wins. */
static void
begin_lww(struct story *story, uint64_t clocks_differ_ms)
{
	begin(story);
	story->history.lww = true;
	story->history.clocks_differ_ms = clocks_differ_ms;
}

static void
where_the_last_write_wins_the_earlier_one_may_be_lost(void **state)
{
	struct story story;
	uint32_t first;
	uint32_t last;

	begin_lww(&story, 0);
	first = put(&story, DYN_HISTORY_OK, NULL, 0);
	read_one(&story, first);
	last = put(&story, DYN_HISTORY_OK, NULL, 0);
	read_one(&story, last);
	end_with(&story, &last, 1);
	assert_string_equal(judge(&story), "");
}

static void
where_the_last_write_wins_two_versions_are_one_too_many(void **state)
{
	struct story story;
	uint32_t pair[2];

	begin_lww(&story, 0);
	pair[0] = put(&story, DYN_HISTORY_OK, NULL, 0);
	pair[1] = put(&story, DYN_HISTORY_OK, NULL, 0);
	end_with(&story, pair, 2);
	assert_non_null(strstr(judge(&story), "L1"));
}

/* By a read, and at the end; unless the clocks are worth nothing. */
static void
where_the_last_write_wins_the_earlier_one_must_not(void **state)
{
	for (int read = 0; read < 2; read++)
		for (int differ = 0; differ < 3; differ++)
		{
			static const uint64_t differences[] = { 0, 100, UINT64_MAX };
			struct story story;
			uint32_t first;
			uint32_t last;

			begin_lww(&story, differences[differ]);
			first = put(&story, DYN_HISTORY_OK, NULL, 0);
			last = put(&story, DYN_HISTORY_OK, NULL, 0);
			if (read)
				read_one(&story, first);
			end_with(&story, read ? &last : &first, 1);
			assert_string_equal(judge(&story), differ ? "" : "L2 ");
		}
}

static void
an_unanswered_write_may_be_the_last(void **state)
{
	struct story story;
	uint32_t unknown;

	begin_lww(&story, 0);
	unknown = put(&story, DYN_HISTORY_UNKNOWN, NULL, 0);
	put(&story, DYN_HISTORY_OK, NULL, 0);
	end_with(&story, &unknown, 1);
	assert_string_equal(judge(&story), "");
}

static void
where_the_last_write_wins_only_a_delete_leaves_nothing(void **state)
{
	for (int deleted = 0; deleted < 3; deleted++)
	{
		struct story story;
		uint32_t first;

		begin_lww(&story, 0);
		first = put(&story, DYN_HISTORY_OK, NULL, 0);
		if (deleted)
			erase(&story, DYN_HISTORY_OK, first);
		if (deleted == 2)
			put(&story, DYN_HISTORY_OK, NULL, 0);
		end_with(&story, NULL, 0);
		assert_string_equal(judge(&story), deleted == 1 ? "" : "L2 ");
	}
}

/* Causality needs no clocks. */
static void
where_the_last_write_wins_what_a_writer_had_read_stays_away(void **state)
{
	struct story story;
	uint32_t first;
	uint32_t last;

	begin_lww(&story, UINT64_MAX);
	first = put(&story, DYN_HISTORY_OK, NULL, 0);
	read_one(&story, first);
	last = put(&story, DYN_HISTORY_OK, &first, 1);
	end_with(&story, &first, 1);
	(void) last;
	assert_non_null(strstr(judge(&story), "C3"));
}

/* From its time on a value may be missing; before, it may not. */
static void
what_has_expired_may_be_missing(void **state)
{
	for (int expired = 0; expired < 2; expired++)
	{
		struct story story;
		uint32_t first;

		begin(&story);
		story.history.ttl_ms = 100;
		first = put(&story, DYN_HISTORY_OK, NULL, 0);
		read_one(&story, first);
		story.now_ms += expired ? 100 : 50;
		read_by(&story, 1, 2, NULL, 0);
		assert_string_equal(judge(&story), expired ? "" : "C9 C10 ");
	}
}

static void
what_has_expired_must_not_be_shown(void **state)
{
	static const uint64_t differences[] = { 0, 100, UINT64_MAX };

	for (int differ = 0; differ < 3; differ++)
	{
		struct story story;
		uint32_t first;

		begin(&story);
		story.history.ttl_ms = 100;
		story.history.ends_late_ms = differences[differ];
		first = put(&story, DYN_HISTORY_OK, NULL, 0);
		story.now_ms += 150;
		read_one(&story, first);
		assert_string_equal(judge(&story), differ ? "" : "T1 ");
	}
}

/* Nothing is left where the last write has expired; but not without it. */
static void
the_last_write_may_have_expired(void **state)
{
	for (int expired = 0; expired < 2; expired++)
	{
		struct story story;

		begin_lww(&story, 0);
		story.history.ttl_ms = 100;
		put(&story, DYN_HISTORY_OK, NULL, 0);
		put(&story, DYN_HISTORY_OK, NULL, 0);
		story.now_ms += expired ? 100 : 50;
		read_by(&story, 1, 2, NULL, 0);
		assert_string_equal(judge(&story), expired ? "" : "L2 ");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_siblings_and_their_reconciliation_are_fine),
		cmocka_unit_test(test_an_unknown_write_may_be_there_or_not),
		cmocka_unit_test(test_a_delete_explains_an_absence),
		cmocka_unit_test(
			test_an_unknown_overwrite_that_was_replaced_explains_an_absence),
		cmocka_unit_test(test_a_read_concurrent_with_a_write_may_miss_it),
		cmocka_unit_test(test_a_read_of_too_few_owners_may_miss_a_write),
		cmocka_unit_test(test_a_replacing_write_explains_what_it_met),
		cmocka_unit_test(test_a_repeated_write_that_comes_back_is_counted),
		cmocka_unit_test(test_a_retry_that_nobody_has_read_may_stay),
		cmocka_unit_test(test_a_retry_that_was_replaced_stays_away),
		cmocka_unit_test(test_an_attempt_acts_until_its_client_has_left_it),
		cmocka_unit_test(test_a_row_stands_for_what_its_neighbours_replaced),
		cmocka_unit_test(test_a_lost_write_is_named),
		cmocka_unit_test(test_a_write_lost_behind_a_concurrent_one_is_named),
		cmocka_unit_test(test_a_row_clock_that_covered_its_sibling_is_named),
		cmocka_unit_test(test_an_invented_version_is_named),
		cmocka_unit_test(test_a_refused_write_that_appears_is_named),
		cmocka_unit_test(test_a_version_read_before_it_was_written_is_named),
		cmocka_unit_test(
			test_a_value_that_comes_back_after_its_delete_is_named),
		cmocka_unit_test(test_a_replaced_value_beside_its_replacement_is_named),
		cmocka_unit_test(test_a_stale_strict_read_is_named),
		cmocka_unit_test(test_a_strict_read_of_a_replaced_value_is_named),
		cmocka_unit_test(test_a_delete_in_the_future_excuses_no_stale_read),
		cmocka_unit_test(test_a_client_that_goes_back_in_time_is_named),
		cmocka_unit_test(test_a_create_over_a_live_version_is_named),
		cmocka_unit_test(test_a_guarded_write_past_an_unread_version_is_named),
		cmocka_unit_test(
			test_a_guarded_write_has_met_what_its_neighbours_replaced),
		cmocka_unit_test(where_the_last_write_wins_the_earlier_one_may_be_lost),
		cmocka_unit_test(
			where_the_last_write_wins_two_versions_are_one_too_many),
		cmocka_unit_test(where_the_last_write_wins_the_earlier_one_must_not),
		cmocka_unit_test(an_unanswered_write_may_be_the_last),
		cmocka_unit_test(
			where_the_last_write_wins_only_a_delete_leaves_nothing),
		cmocka_unit_test(
			where_the_last_write_wins_what_a_writer_had_read_stays_away),
		cmocka_unit_test(what_has_expired_may_be_missing),
		cmocka_unit_test(what_has_expired_must_not_be_shown),
		cmocka_unit_test(the_last_write_may_have_expired),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
