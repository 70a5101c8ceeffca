/*
 * The parameters of the simulator's runs: what is drawn can exist, and what
 * is printed for a replay is what was meant.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/sim/swarm.h"

static void
test_every_seed_draws_a_cluster_that_can_exist(void **state)
{
	struct dyn_swarm swarm;

	for (uint64_t seed = 0; seed < 20000; seed++)
	{
		dyn_swarm_draw(&swarm, seed);
		assert_true(dyn_swarm_is_sound(&swarm));
	}
}

static void
test_a_seed_always_draws_the_same(void **state)
{
	struct dyn_swarm first;
	struct dyn_swarm second;

	memset(&first, 1, sizeof(first));
	memset(&second, 2, sizeof(second));
	dyn_swarm_draw(&first, 7);
	dyn_swarm_draw(&second, 7);
	assert_memory_equal(&first, &second, sizeof(first));
}

static void
test_what_is_printed_gives_the_same_parameters_again(void **state)
{
	for (uint64_t seed = 1; seed < 200; seed++)
	{
		struct dyn_swarm drawn;
		struct dyn_swarm again;
		char text[4096];
		char why[200];

		dyn_swarm_draw(&drawn, seed);
		dyn_swarm_print(&drawn, text, sizeof(text));
		assert_true(strlen(text) + 1 < sizeof(text));
		dyn_swarm_calm(&again);
		assert_true(dyn_swarm_set(&again, text, why, sizeof(why)));
		assert_memory_equal(&drawn, &again, sizeof(drawn));
	}
}

static void
test_a_calm_run_prints_nothing(void **state)
{
	struct dyn_swarm calm;
	char text[100];

	dyn_swarm_calm(&calm);
	dyn_swarm_print(&calm, text, sizeof(text));
	assert_string_equal(text, "");
}

static void
test_what_is_no_parameter_is_refused(void **state)
{
	static const char *const bad[] = {
		"n",    "n=",           "n=2x",
		"nn=2", "=2",           "r=2,w",
		"w=4",  "n=0",          "node_count=10",
		"n=6",  "batch_max=17", "partition_count=3"
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		struct dyn_swarm swarm;
		char why[200] = "";

		dyn_swarm_calm(&swarm);
		assert_false(dyn_swarm_set(&swarm, bad[i], why, sizeof(why)));
		assert_true(strlen(why) > 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_seed_draws_a_cluster_that_can_exist),
		cmocka_unit_test(test_a_seed_always_draws_the_same),
		cmocka_unit_test(test_what_is_printed_gives_the_same_parameters_again),
		cmocka_unit_test(test_a_calm_run_prints_nothing),
		cmocka_unit_test(test_what_is_no_parameter_is_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
