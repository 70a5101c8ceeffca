/* What people are told of who answered, who refused, and who said nothing. */
#include "corerig.h"
#include "objects.h"
#include "rigclient.h"
#include "righand.h"

#include "core/building.h"

#include <stdio.h>

static const char *
address(struct corerig *rig, uint32_t n)
{
	return rig->nodes[n].address;
}

static const char *
put_text(struct corerig *rig, uint32_t w)
{
	const Dyn__PutResult *result = rigclient_put(
		rig, 0,
		(struct rigclient_put){ .key = "alice", .values = { "v" }, .w = w });

	assert_non_null(result);
	return result->text;
}

static const char *
get_text(struct corerig *rig)
{
	const Dyn__GetResult *result = rigclient_get(rig, 0, "alice", 2);

	assert_non_null(result);
	return result->text;
}

/* The heartbeats after that tell everybody. */
static void
fill_disk(struct corerig *rig, uint32_t n)
{
	corerig_full(rig, n);
	corerig_run(rig, 1000);
}

static void
a_full_owner_is_not_one_that_said_nothing(void **unused)
{
	struct corerig *rig = corerig_new(3, 1, DYN_ANTI_ENTROPY_NEVER);
	char expected[200];

	fill_disk(rig, 2);
	snprintf(expected, sizeof(expected),
			 "3 answers were needed, 2 came; FULL from %s", address(rig, 2));
	assert_string_equal(put_text(rig, 3), expected);
	corerig_free(&rig);
}

static void
who_is_away_and_who_is_building_are_told_apart(void **unused)
{
	struct corerig *rig = corerig_new(3, 1, DYN_ANTI_ENTROPY_NEVER);
	char expected[200];

	corerig_cut(rig, 2, true);
	corerig_run(rig, 5000);
	/* It does not end without the third. */
	dyn_building_begin(rig->nodes[1].node, 0, DYN_BUILDING_KEEP);
	snprintf(expected, sizeof(expected), "BUILDING from %s", address(rig, 1));
	assert_non_null(strstr(get_text(rig), expected));
	snprintf(expected, sizeof(expected), "no answer from %s", address(rig, 2));
	assert_non_null(strstr(get_text(rig), expected));
	assert_null(strstr(get_text(rig), ", 10."));
	corerig_free(&rig);
}

/* It cannot be told whether it is done: by whom, at least. */
static void
who_was_to_coordinate_a_write_is_named(void **unused)
{
	struct corerig *rig = corerig_new_of(2, 1, 1, DYN_ANTI_ENTROPY_NEVER);
	uint32_t owner =
		dyn_node_id_compare(&rig->nodes[0].node->cluster.ring.slots[0].node,
							dyn_node_identity(rig->nodes[0].node)) != 0;
	char expected[200];
	const Dyn__PutResult *result;

	rig->nodes[1 - owner].node->config.request_timeout_ms = 200;
	corerig_cut(rig, owner, true);
	result = rigclient_put(
		rig, 1 - owner,
		(struct rigclient_put){ .key = "alice", .values = { "v" }, .w = 1 });
	snprintf(expected, sizeof(expected),
			 "%s, which was to coordinate it, did not answer",
			 address(rig, owner));
	assert_int_equal(result->status, DYN_STATUS_UNKNOWN);
	assert_string_equal(result->text, expected);
	corerig_free(&rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_owner_is_not_one_that_said_nothing),
		cmocka_unit_test(who_was_to_coordinate_a_write_is_named),
		cmocka_unit_test(who_is_away_and_who_is_building_are_told_apart),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
