/* Hints that never get home, and what waits for them. */
#include "corerig.h"
#include "objects.h"
#include "rigclient.h"
#include "righand.h"
#include "rigreap.h"

#include "core/cluster.h"

#include <stdio.h>

enum
{
	LARGE = 33 * 1024 * 1024,
	KEEPER = RIGREAP_OWNERS /* the node beside them */
};

static struct corerig *
start(void)
{
	return rigreap_new(RIGREAP_OWNERS + 1, 3000);
}

/* Two keys of one partition that the keeper does not own. */
static void
choose_keys(struct corerig *rig, char *hinted, char *deleted)
{
	uint32_t i = 0;

	do
		snprintf(hinted, 16, "h%u", i++);
	while (dyn_cluster_own_slot(rig->nodes[KEEPER].node,
								corerig_partition(rig, "cart", hinted)) >= 0);
	do
		snprintf(deleted, 16, "d%u", i++);
	while (corerig_partition(rig, "cart", deleted) !=
		   corerig_partition(rig, "cart", hinted));
}

/* The grace, and time for everything. */
static void
pass_grace(struct corerig *rig)
{
	rigreap_pass(rig, RIGREAP_GRACE_MS, 20000);
}

static void
a_hint_gets_home_and_what_is_deleted_goes(void **unused)
{
	struct corerig *rig = start();
	char hinted[16];
	char deleted[16];

	choose_keys(rig, hinted, deleted);
	rigreap_put(rig, deleted, tombstone_of(1));
	corerig_put_hint(rig, KEEPER, "cart", hinted, object_of("v", 5), 7);
	pass_grace(rig);
	assert_int_equal(rig->nodes[KEEPER].hints.count, 0);
	assert_int_equal(rigreap_count(rig, hinted), 3);
	assert_int_equal(rigreap_count(rig, deleted), 0);
	corerig_free(&rig);
}

/* It may be newer than the delete, so that has to wait; but not at the cost of
 * sending the hint again and again. */
static void
a_hint_that_fits_no_record_is_left_alone_until_the_key_is_replaced(
	void **unused)
{
	struct corerig *rig = start();
	char hinted[16];
	char deleted[16];

	choose_keys(rig, hinted, deleted);
	rigreap_put(rig, deleted, tombstone_of(1));
	rigreap_put(rig, hinted, object_of_size(LARGE, 5));
	corerig_put_hint(rig, KEEPER, "cart", hinted, object_of_size(LARGE, 6), 7);
	corerig_count_anew(rig);
	pass_grace(rig);
	assert_int_equal(rigreap_count(rig, deleted), 3);
	assert_true(rig->frames[DYN_MESSAGE_REPLICATE] <= 3);
	assert_int_equal(rigclient_put_status(rig, 0,
										  (struct rigclient_put){
											  .key = hinted,
											  .values = { "new" },
											  .w = 3,
											  .mode = DYN__PUT_MODE__REPLACE }),
					 DYN_STATUS_OK);
	for (int i = 0; i < 5; i++)
		pass_grace(rig);
	assert_int_equal(rig->nodes[KEEPER].hints.count, 0);
	assert_int_equal(rigreap_count(rig, deleted), 0);
	corerig_free(&rig);
}

static void
a_hint_under_a_damaged_key_keeps_no_deletes(void **unused)
{
	struct corerig *rig = start();
	struct corerig_record *hint;
	char hinted[16];
	char deleted[16];

	choose_keys(rig, hinted, deleted);
	rigreap_put(rig, deleted, tombstone_of(1));
	hint = corerig_put_hint(rig, KEEPER, "cart", hinted, object_of("v", 5), 7);
	hint->damaged = true;
	hint->key[0] ^= 1;
	pass_grace(rig);
	pass_grace(rig);
	assert_int_equal(rig->nodes[KEEPER].hints.count, 0);
	assert_int_equal(rigreap_count(rig, deleted), 0);
	corerig_free(&rig);
}

/* What stands beside it may be of anywhere. */
static void
a_hint_beside_a_damaged_key_gets_home(void **unused)
{
	struct corerig *rig = start();
	char hinted[16];
	char deleted[16];

	choose_keys(rig, hinted, deleted);
	corerig_put_hint(rig, KEEPER, "cart", hinted, object_of("v", 5), 7);
	rig->nodes[KEEPER].hints.spoils = true;
	pass_grace(rig);
	assert_int_equal(rig->nodes[KEEPER].hints.count, 0);
	assert_int_equal(rigreap_count(rig, hinted), 3);
	corerig_free(&rig);
}

/* Everybody but node 3 is away. */
static void
a_stand_in_keeps_no_more_hints_than_it_may(void **unused)
{
	struct corerig *rig = corerig_new_of(4, 3, 4, DYN_ANTI_ENTROPY_NEVER);

	rig->nodes[KEEPER].node->config.hints_max = 2;
	for (uint32_t n = 0; n < 3; n++)
		corerig_cut(rig, n, true);
	corerig_run(rig, 20000);
	for (uint32_t i = 0; i < 200; i++)
	{
		char key[16];

		snprintf(key, sizeof(key), "k%u", i);
		(void) rigclient_put_status(
			rig, KEEPER,
			(struct rigclient_put){ .key = key, .values = { "a" }, .w = 1 });
	}
	assert_true(rig->nodes[KEEPER].hints.count != 0);
	assert_true(rig->nodes[KEEPER].hints.count <= 2);
	corerig_free(&rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_hint_gets_home_and_what_is_deleted_goes,
								  reset_arena),
		cmocka_unit_test_teardown(
			a_hint_that_fits_no_record_is_left_alone_until_the_key_is_replaced,
			reset_arena),
		cmocka_unit_test_teardown(a_hint_under_a_damaged_key_keeps_no_deletes,
								  reset_arena),
		cmocka_unit_test_teardown(a_hint_beside_a_damaged_key_gets_home,
								  reset_arena),
		cmocka_unit_test(a_stand_in_keeps_no_more_hints_than_it_may),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
