/* Who is believed to live: heartbeats, requests, and the own loop's lag. */
#include "core/detector.h"

#include "prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum
{
	INTERVAL_MS = 500,
	SILENCE_MAX_MS = 3000,
	START_MS = 1000000
};

static struct dyn_detector
started(void)
{
	struct dyn_detector detector;

	dyn_detector_start(&detector, INTERVAL_MS, SILENCE_MAX_MS, START_MS);
	return detector;
}

/* Heartbeats with these gaps; the time of the last one. */
static uint64_t
beat(struct dyn_detector *detector, uint32_t count, uint32_t gap_min_ms,
	 uint32_t gap_max_ms)
{
	struct prng rng = { 7 };
	uint64_t now_ms = START_MS;

	for (uint32_t i = 0; i < count; i++)
	{
		uint32_t spread = gap_max_ms - gap_min_ms + 1;

		now_ms += gap_min_ms + prng_below(&rng, spread);
		dyn_detector_beat(detector, now_ms);
	}
	return now_ms;
}

/* How long it is silent before it is suspected. */
static uint64_t
suspected_after_ms(const struct dyn_detector *detector, uint64_t since_ms)
{
	uint64_t ms = 0;

	while (!dyn_detector_suspects(detector, since_ms + ms))
		ms++;
	return ms;
}

static void
a_steady_peer_is_suspected_soon_after_its_beats_stop(void **state)
{
	struct dyn_detector detector = started();
	uint64_t last_ms = beat(&detector, 200, 495, 505);
	uint64_t after_ms = suspected_after_ms(&detector, last_ms);

	assert_true(after_ms > 2 * INTERVAL_MS);
	assert_true(after_ms < 3 * INTERVAL_MS);
}

static void
an_unsteady_peer_is_given_more_time_but_never_more_than_the_setting(
	void **state)
{
	struct dyn_detector steady = started();
	struct dyn_detector unsteady = started();
	struct dyn_detector wild = started();
	uint64_t a = suspected_after_ms(&steady, beat(&steady, 100, 495, 505));
	uint64_t b = suspected_after_ms(&unsteady, beat(&unsteady, 100, 200, 900));
	uint64_t c = suspected_after_ms(&wild, beat(&wild, 100, 100, 20000));

	assert_true(a < b && b < c);
	assert_int_equal(c, SILENCE_MAX_MS + 1);
}

static void
no_gap_of_the_usual_rhythm_makes_a_suspect(void **state)
{
	struct dyn_detector detector = started();
	struct prng rng = { 42 };
	uint64_t now_ms = beat(&detector, 64, 300, 800);

	for (int i = 0; i < 100000; i++)
	{
		now_ms += 300 + prng_below(&rng, 501);
		assert_false(dyn_detector_suspects(&detector, now_ms));
		dyn_detector_beat(&detector, now_ms);
	}
}

static void
any_frame_ends_the_suspicion_of_silence(void **state)
{
	struct dyn_detector detector = started();
	uint64_t last_ms = beat(&detector, 10, 500, 500);

	assert_true(dyn_detector_is_silent(&detector, last_ms + 5000));
	dyn_detector_heard(&detector, last_ms + 5000);
	assert_false(dyn_detector_suspects(&detector, last_ms + 5000));
}

static void
three_unanswered_requests_make_a_suspect_for_a_while(void **state)
{
	struct dyn_detector detector = started();

	dyn_detector_failed(&detector, START_MS);
	dyn_detector_failed(&detector, START_MS);
	assert_false(dyn_detector_suspects(&detector, START_MS));
	dyn_detector_failed(&detector, START_MS);
	assert_true(dyn_detector_suspects(&detector, START_MS));
	dyn_detector_heard(&detector, START_MS + DYN_DETECTOR_SUSPECT_MS - 1);
	assert_true(dyn_detector_suspects(&detector,
									  START_MS + DYN_DETECTOR_SUSPECT_MS - 1));
	assert_false(
		dyn_detector_suspects(&detector, START_MS + DYN_DETECTOR_SUSPECT_MS));
}

static void
after_the_suspicion_one_failure_renews_it_and_one_answer_ends_it(void **state)
{
	struct dyn_detector detector = started();
	uint64_t later_ms = START_MS + DYN_DETECTOR_SUSPECT_MS + 1;

	for (int i = 0; i < 3; i++)
		dyn_detector_failed(&detector, START_MS);
	dyn_detector_heard(&detector, later_ms);
	assert_false(dyn_detector_suspects(&detector, later_ms));
	dyn_detector_failed(&detector, later_ms);
	assert_true(dyn_detector_suspects(&detector, later_ms));
	dyn_detector_answered(&detector, 3);
	assert_false(dyn_detector_suspects(&detector, later_ms));
	dyn_detector_failed(&detector, later_ms);
	dyn_detector_failed(&detector, later_ms);
	assert_false(dyn_detector_suspects(&detector, later_ms));
}

static void
the_own_standstill_is_nobody_elses_silence(void **state)
{
	struct dyn_detector detector = started();
	uint64_t last_ms = beat(&detector, 50, 500, 500);
	uint64_t now_ms = last_ms + 20000;

	assert_true(dyn_detector_suspects(&detector, now_ms));
	dyn_detector_forgive(&detector, 19500, now_ms);
	assert_false(dyn_detector_suspects(&detector, now_ms));
	/* The gap that follows is an ordinary one: the rhythm is not spoiled. */
	dyn_detector_beat(&detector, now_ms);
	assert_true(suspected_after_ms(&detector, now_ms) < 3 * INTERVAL_MS);
}

static void
forgiving_never_reaches_into_the_future(void **state)
{
	struct dyn_detector detector = started();

	dyn_detector_forgive(&detector, UINT32_MAX, START_MS + 10);
	assert_int_equal(detector.heard_at_ms, START_MS + 10);
}

static void
patience_follows_the_answers_between_the_floor_and_a_second(void **state)
{
	struct dyn_detector detector = started();

	assert_int_equal(dyn_detector_patience_ms(&detector, 50), 50);
	for (int i = 0; i < 100; i++)
		dyn_detector_answered(&detector, 2);
	assert_int_equal(dyn_detector_patience_ms(&detector, 50), 50);
	for (int i = 0; i < 100; i++)
		dyn_detector_answered(&detector, 200);
	assert_true(dyn_detector_patience_ms(&detector, 50) >= 190);
	assert_true(dyn_detector_patience_ms(&detector, 50) < 400);
	for (int i = 0; i < 100; i++)
		dyn_detector_answered(&detector, 100000);
	assert_int_equal(dyn_detector_patience_ms(&detector, 50), 1000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_steady_peer_is_suspected_soon_after_its_beats_stop),
		cmocka_unit_test(
			an_unsteady_peer_is_given_more_time_but_never_more_than_the_setting),
		cmocka_unit_test(no_gap_of_the_usual_rhythm_makes_a_suspect),
		cmocka_unit_test(any_frame_ends_the_suspicion_of_silence),
		cmocka_unit_test(three_unanswered_requests_make_a_suspect_for_a_while),
		cmocka_unit_test(
			after_the_suspicion_one_failure_renews_it_and_one_answer_ends_it),
		cmocka_unit_test(the_own_standstill_is_nobody_elses_silence),
		cmocka_unit_test(forgiving_never_reaches_into_the_future),
		cmocka_unit_test(
			patience_follows_the_answers_between_the_floor_and_a_second),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
