/*
 * The history of real processes: from files to what the checker judges.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/fault/journal.h"
#include "tests/sim/checker.h"

struct fixture
{
	struct dyn_journal journal;
	struct dyn_history history;
	uint64_t residues;
	char rules[256]; /* those that were broken, in order */
};

static void
report(void *context, const char *rule, const char *text)
{
	struct fixture *self = context;
	size_t size = strlen(self->rules);

	(void) text;
	snprintf(self->rules + size, sizeof(self->rules) - size, "%s ", rule);
}

static bool
load(struct fixture *self, const char *text)
{
	char path[] = "/tmp/test_fault_journal.XXXXXX";
	int fd = mkstemp(path);
	bool good;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	good = dyn_journal_load(&self->journal, path);
	unlink(path);
	return good;
}

/* What the checker finds when `live` (C.N) is all that is left of key 7, or
 * nothing is (NULL). */
static const char *
judge(struct fixture *self, bool stand_ins, const struct dyn_token *live)
{
	struct dyn_vids vids = { 0 };
	struct dyn_checker_counts counts;

	dyn_journal_to_history(&self->journal, 10, 3, 0, stand_ins, &self->history);
	if (live != NULL)
		dyn_vids_add(&vids, dyn_journal_find(&self->journal, *live)->vid);
	dyn_history_final(&self->history, 7, &vids);
	self->rules[0] = 0;
	dyn_checker_run(&self->history, 3, report, self, &counts);
	self->residues = counts.residues;
	free(vids.items);
	dyn_history_destroy(&self->history);
	return self->rules;
}

static void
a_sound_history_is_good(void **state)
{
	struct fixture self = { 0 };
	struct dyn_token last = { 2, 1 };

	(void) state;
	assert_true(load(&self, "P 1.1 7 0 2 2 100 - -\n"
							"O 1.1 200 2 -\n"
							"G 2.9 7 2 300\n"
							"O 2.9 310 2 1.1\n"
							"P 2.1 7 0 2 2 320 1.1 -\n"
							"O 2.1 330 3 -\n"));
	assert_string_equal(judge(&self, false, &last), "");
	dyn_journal_destroy(&self.journal);
}

static void
a_lost_write_is_found(void **state)
{
	struct fixture self = { 0 };

	(void) state;
	assert_true(load(&self, "P 1.1 7 0 2 2 100 - -\n"
							"O 1.1 200 2 -\n"));
	assert_string_equal(judge(&self, false, NULL), "C1 ");
	dyn_journal_destroy(&self.journal);
}

static void
a_deleted_value_that_is_back_is_found(void **state)
{
	struct fixture self = { 0 };
	struct dyn_token deleted = { 1, 1 };

	(void) state;
	assert_true(load(&self, "P 1.1 7 0 2 2 100 - -\n"
							"O 1.1 200 2 -\n"
							"D 1.2 7 0 2 2 300 1.1 -\n"
							"O 1.2 400 2 -\n"));
	assert_string_equal(judge(&self, false, NULL), "");
	assert_string_equal(judge(&self, false, &deleted), "C3 ");
	dyn_journal_destroy(&self.journal);
}

/* Two files, and a read that is older than the write which it returns. */
static void
a_read_may_return_a_write_that_began_after_it(void **state)
{
	struct fixture self = { 0 };
	struct dyn_token second = { 2, 1 };

	(void) state;
	assert_true(load(&self, "P 1.1 7 0 2 2 100 - -\n"
							"O 1.1 200 2 -\n"
							"G 1.2 7 2 300\n"
							"O 1.2 500 2 1.1,2.1\n"));
	assert_true(load(&self, "P 2.1 7 0 2 2 400 1.1 -\n"
							"O 2.1 600 2 -\n"));
	/* Together with what it replaces, though: no read may see that. */
	assert_string_equal(judge(&self, false, &second), "C4 ");
	dyn_journal_destroy(&self.journal);
}

static void
values_of_nobody_are_found(void **state)
{
	struct fixture self = { 0 };

	(void) state;
	assert_true(load(&self, "G 1.2 7 2 300\n"
							"O 1.2 500 2 9.9\n"));
	assert_string_equal(judge(&self, false, NULL), "C2 ");
	dyn_journal_destroy(&self.journal);
}

/* W = 2 and R = 2 of 3 must meet, but not when one of them was a stand-in, or
 * when nobody told and stand-ins were about. */
static void
answers_count_for_the_owners_that_they_tell_of(void **state)
{
	static const char *const histories[] = {
		"P 1.1 7 0 2 2 100 - -\nO 1.1 200 2 -\nG 2.1 7 2 300\nO 2.1 400 2 -\n",
		"P 1.1 7 0 2 2 100 - -\nO 1.1 200 1 -\nG 2.1 7 2 300\nO 2.1 400 2 -\n",
		"P 1.1 7 0 2 2 100 - -\nO 1.1 200 2 -\nG 2.1 7 2 300\nO 2.1 400 1 -\n",
		"P 1.1 7 0 2 2 100 - -\nO 1.1 200 - -\nG 2.1 7 2 300\nO 2.1 400 2 -\n"
	};
	static const char *const owners[] = { "C9 ", "", "", "C9 " };
	static const char *const stand_ins[] = { "C9 ", "", "", "" };
	struct dyn_token live = { 1, 1 };

	(void) state;
	for (int i = 0; i < 4; i++)
	{
		struct fixture self = { 0 };

		assert_true(load(&self, histories[i]));
		assert_string_equal(judge(&self, false, &live), owners[i]);
		assert_string_equal(judge(&self, true, &live), stand_ins[i]);
		dyn_journal_destroy(&self.journal);
	}
}

/* 1.1 is deleted by somebody who has read it, and is there at the end. */
static void
what_its_deleter_has_not_met_may_stay(void **state)
{
	static const struct
	{
		const char *history;
		bool stays;
	} cases[] = {
		/* as it was under way, the first attempt's copy only */
		{ "P 1.1 7 0 2 2 100 - -\nV 1.1 000000000000abcd\nA 1.1\n"
		  "D 2.1 7 0 2 2 150 1.1 -\nX 2.1 140 {0000000000000005.1:1}\n"
		  "O 2.1 170 2 -\nO 1.1 200 2 -\n",
		  true },
		/* the retry's, too */
		{ "P 1.1 7 0 2 2 100 - -\nV 1.1 000000000000abcd\nA 1.1\n"
		  "D 2.1 7 0 2 2 150 1.1 -\nX 2.1 140 {0000000000000005.1:1,000000000000abcd.0:1}\n"
		  "O 2.1 170 2 -\nO 1.1 200 2 -\n",
		  false },
		/* that, by another of its rows */
		{ "P 1.1 7 0 2 2 100 - -\nV 1.1 000000000000abcd\nA 1.1\n"
		  "D 2.1 7 0 2 2 150 1.1 -\nX 2.1 140 {0000000000000005.1:1}\nX 2.1 140 {000000000000abcd.0:1}\n"
		  "O 2.1 170 2 -\nO 1.1 200 2 -\n",
		  false },
		/* it had been acknowledged: then whoever reads meets both */
		{ "P 1.1 7 0 2 2 100 - -\nV 1.1 000000000000abcd\nA 1.1\n"
		  "O 1.1 130 2 -\nD 2.1 7 0 2 2 150 1.1 -\nX 2.1 140 {0000000000000005.1:1}\n"
		  "O 2.1 170 2 -\n",
		  false },
		/* ... but not with R + W <= N */
		{ "P 1.1 7 0 2 1 100 - -\nV 1.1 000000000000abcd\nA 1.1\n"
		  "O 1.1 130 2 -\nD 2.1 7 0 2 1 150 1.1 -\nX 2.1 140 {0000000000000005.1:1}\n"
		  "O 2.1 170 2 -\n",
		  true },
		/* nobody knows what its retry is called, or what the deleter carried */
		{ "P 1.1 7 0 2 2 100 - -\nA 1.1\n"
		  "D 2.1 7 0 2 2 150 1.1 -\nX 2.1 140 {0000000000000005.1:1}\n"
		  "O 2.1 170 2 -\nO 1.1 200 2 -\n",
		  false },
		{ "P 1.1 7 0 2 2 100 - -\nV 1.1 000000000000abcd\nA 1.1\n"
		  "D 2.1 7 0 2 2 150 1.1 -\nO 2.1 170 2 -\nO 1.1 200 2 -\n",
		  false },
		/* one who replaced it did meet the retry's */
		{ "P 1.1 7 0 2 2 100 - -\nV 1.1 000000000000abcd\nA 1.1\n"
		  "D 2.1 7 0 2 2 150 1.1 -\nX 2.1 140 {0000000000000005.1:1}\nO 2.1 170 2 -\n"
		  "D 3.1 7 0 2 2 160 1.1 -\nX 3.1 155 {000000000000abcd.0:1}\n"
		  "O 3.1 180 2 -\nO 1.1 200 2 -\n",
		  false },
	};
	struct dyn_token live = { 1, 1 };

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		struct fixture self = { 0 };

		assert_true(load(&self, cases[i].history));
		assert_int_equal(judge(&self, false, &live)[0] == 0, cases[i].stays);
		assert_true(self.residues != 0 || !cases[i].stays);
		dyn_journal_destroy(&self.journal);
	}
}

static void
what_is_no_journal_is_refused(void **state)
{
	static const char *const bad[] = { "Y 1.1 7 0\n",
									   "X 1.1 7 {}\n",
									   "V 1.1 -\n",
									   "P 1 7 0 2 2 100 - -\n",
									   "P 1.1 99999 0 2 2 100 - -\n",
									   "P 1.1 7 0 2 2 100 - 1\n",
									   "O 1.1 200 2 -\n",
									   "\n" };

	(void) state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		struct fixture self = { 0 };

		assert_false(load(&self, bad[i]));
		dyn_journal_destroy(&self.journal);
	}
}

static void
a_line_that_was_cut_off_is_left_out(void **state)
{
	struct fixture self = { 0 };

	(void) state;
	assert_true(load(&self, "P 1.1 7 0 2 2 100 - -\nO 1.1 20"));
	assert_int_equal(self.journal.count, 1);
	assert_int_equal(self.journal.ops[0].result, DYN_HISTORY_PENDING);
	dyn_journal_destroy(&self.journal);
}

static void
a_value_tells_who_made_it_and_is_whole(void **state)
{
	char text[DYN_FAULT_VALUE_SIZE_MAX];
	struct dyn_token token = { 3, 45 };
	struct dyn_token found;
	struct dyn_slice value = dyn_fault_value(17, token, 12, text);

	(void) state;
	assert_true(dyn_fault_value_parse(value, 17, &found));
	assert_int_equal(found.client, 3);
	assert_int_equal(found.count, 45);
	assert_false(dyn_fault_value_parse(value, 18, &found));
	value.size--;
	assert_false(dyn_fault_value_parse(value, 17, &found));
	value.size++;
	text[value.size - 1] ^= 1;
	assert_false(dyn_fault_value_parse(value, 17, &found));
	assert_false(dyn_fault_value_parse(dyn_slice_of(""), 17, &found));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sound_history_is_good),
		cmocka_unit_test(a_lost_write_is_found),
		cmocka_unit_test(a_deleted_value_that_is_back_is_found),
		cmocka_unit_test(a_read_may_return_a_write_that_began_after_it),
		cmocka_unit_test(values_of_nobody_are_found),
		cmocka_unit_test(answers_count_for_the_owners_that_they_tell_of),
		cmocka_unit_test(what_its_deleter_has_not_met_may_stay),
		cmocka_unit_test(what_is_no_journal_is_refused),
		cmocka_unit_test(a_line_that_was_cut_off_is_left_out),
		cmocka_unit_test(a_value_tells_who_made_it_and_is_whole),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
