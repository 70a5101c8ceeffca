/* Hints that never get home, and what waits for them. */
#include "corerig.h"
#include "objects.h"
#include "rigclient.h"

#include "core/cluster.h"
#include "core/handoff.h"
#include "model/hash.h"

#include <stdio.h>

enum
{
	GRACE_MS = 1000,
	REAP_MS = 500,
	WALL_MS = 1000000,
	LARGE = 33 * 1024 * 1024,
	KEEPER = 3
};

static struct corerig *
start(void)
{
	struct corerig *rig = corerig_new_of(4, 3, 4, DYN_ANTI_ENTROPY_NEVER);

	for (uint32_t n = 0; n < 4; n++)
	{
		rig->nodes[n].wall_ms = WALL_MS;
		rig->nodes[n].node->config.tombstone_grace_ms = GRACE_MS;
		rig->nodes[n].node->config.reap_ms = REAP_MS;
		rig->nodes[n].node->reap.at_ms = 0;
	}
	corerig_run(rig, 3000);
	return rig;
}

static uint16_t
partition_of(struct corerig *rig, const char *key)
{
	return dyn_hash_partition(dyn_hash_cell(dyn_hash_position(
								  dyn_slice_of("cart"), dyn_slice_of(key))),
							  rig->partitions);
}

/* Two keys of one partition that the keeper does not own. */
static void
choose_keys(struct corerig *rig, char *hinted, char *deleted)
{
	uint32_t i = 0;

	do
		snprintf(hinted, 16, "h%u", i++);
	while (dyn_cluster_own_slot(rig->nodes[KEEPER].node,
								partition_of(rig, hinted)) >= 0);
	do
		snprintf(deleted, 16, "d%u", i++);
	while (partition_of(rig, deleted) != partition_of(rig, hinted));
}

static void
put_owners(struct corerig *rig, const char *key, struct dyn_slice object)
{
	for (uint32_t n = 0; n < 3; n++)
		corerig_put(rig, n, "cart", key, object);
}

static uint32_t
count(struct corerig *rig, const char *key)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < 3; i++)
		n += corerig_get(rig, i, "cart", key) != NULL;
	return n;
}

static struct dyn_slice
tombstone(void)
{
	struct dyn_object object = put((struct dyn_object){ 0 }, NULL, "old", 1, 1);

	return encoded(put(object, &object.context, NULL, 1, 2));
}

static struct dyn_slice
large(uint64_t actor)
{
	char *value = malloc(LARGE + 1);
	struct dyn_slice bytes;

	memset(value, 'v', LARGE);
	value[LARGE] = 0;
	bytes = encoded(
		put((struct dyn_object){ 0 }, NULL, value, actor, (uint32_t) actor));
	free(value);
	return bytes;
}

static void
pass(struct corerig *rig, uint64_t ms)
{
	for (uint32_t n = 0; n < 4; n++)
		rig->nodes[n].wall_ms += ms;
	corerig_run(rig, 20000);
}

static void
a_hint_gets_home_and_what_is_deleted_goes(void **unused)
{
	struct corerig *rig = start();
	char hinted[16];
	char deleted[16];

	choose_keys(rig, hinted, deleted);
	put_owners(rig, deleted, tombstone());
	corerig_put_hint(rig, KEEPER, "cart", hinted,
					 encoded(put((struct dyn_object){ 0 }, NULL, "v", 5, 5)),
					 7);
	pass(rig, GRACE_MS);
	assert_int_equal(rig->nodes[KEEPER].hints.count, 0);
	assert_int_equal(count(rig, hinted), 3);
	assert_int_equal(count(rig, deleted), 0);
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
	put_owners(rig, deleted, tombstone());
	put_owners(rig, hinted, large(5));
	corerig_put_hint(rig, KEEPER, "cart", hinted, large(6), 7);
	corerig_count_anew(rig);
	pass(rig, GRACE_MS);
	assert_int_equal(count(rig, deleted), 3);
	assert_true(rig->frames[DYN_MESSAGE_REPLICATE] <= 3);
	assert_int_equal(rigclient_put_status(rig, 0,
										  (struct rigclient_put){
											  .key = hinted,
											  .values = { "new" },
											  .w = 3,
											  .mode = DYN__PUT_MODE__REPLACE }),
					 DYN_STATUS_OK);
	for (int i = 0; i < 5; i++)
		pass(rig, GRACE_MS);
	assert_int_equal(rig->nodes[KEEPER].hints.count, 0);
	assert_int_equal(count(rig, deleted), 0);
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
	put_owners(rig, deleted, tombstone());
	hint = corerig_put_hint(
		rig, KEEPER, "cart", hinted,
		encoded(put((struct dyn_object){ 0 }, NULL, "v", 5, 5)), 7);
	hint->damaged = true;
	hint->key[0] ^= 1;
	pass(rig, GRACE_MS);
	pass(rig, GRACE_MS);
	assert_int_equal(rig->nodes[KEEPER].hints.count, 0);
	assert_int_equal(count(rig, deleted), 0);
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
	corerig_put_hint(rig, KEEPER, "cart", hinted,
					 encoded(put((struct dyn_object){ 0 }, NULL, "v", 5, 5)),
					 7);
	rig->nodes[KEEPER].hints.spoils = true;
	pass(rig, GRACE_MS);
	assert_int_equal(rig->nodes[KEEPER].hints.count, 0);
	assert_int_equal(count(rig, hinted), 3);
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

static int
reset_arena(void **unused)
{
	dyn_arena_reset(&arena);
	return 0;
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
