/* Records under damaged keys (core/misnamed.h): what they hold up. */
#include "corerig.h"
#include "objects.h"
#include "rigdisk.h"
#include "righand.h"
#include "rigrecord.h"

#include "core/building.h"
#include "core/misnamed.h"

#include <stdio.h>

enum
{
	KEYS = 60,
	PARTITIONS = 8,
	LONG_MS = 20000
};

static void
put_many(struct corerig *rig)
{
	char key[32];

	for (uint32_t i = 0; i < KEYS; i++)
	{
		snprintf(key, sizeof(key), "key-%u", i);
		rigrecord_put_on(rig, 0, rig->count - 1, "cart", key,
						 object_of("v", i + 1));
	}
}

static bool
is_building(const struct corerig *rig, uint32_t n, uint16_t partition)
{
	return dyn_building_is(rig->nodes[n].node, partition);
}

static void
what_is_misnamed_says_so(void **unused)
{
	struct dyn_scanned item = { .state = DYN_LOADED_CORRUPT,
								.bucket = dyn_slice_of("cart"),
								.key = dyn_slice_of("key-1") };

	item.cell = dyn_hash_cell(dyn_hash_position(item.bucket, item.key));
	assert_false(dyn_scanned_is_misnamed(&item));
	item.cell ^= 1;
	assert_true(dyn_scanned_is_misnamed(&item));
	item.state = DYN_LOADED_FOUND;
	assert_false(dyn_scanned_is_misnamed(&item));
	item = (struct dyn_scanned){ .state = DYN_LOADED_CORRUPT };
	assert_true(dyn_scanned_is_misnamed(&item));
}

static void
a_source_with_a_misnamed_record_tells_the_rest_and_is_not_believed_whole(
	void **unused)
{
	struct corerig *rig = corerig_new(3, PARTITIONS, DYN_ANTI_ENTROPY_NEVER);

	put_many(rig);
	rigrecord_misname(rig, 0, "cart", "key-1");
	corerig_cut(rig, 2, true);
	corerig_lose_disk(rig, 1);
	corerig_run(rig, LONG_MS);
	assert_int_equal(corerig_counter(rig, 1, "replies_bad"), 0);
	assert_int_equal(rig->nodes[1].store.count, KEYS - 1);
	assert_true(is_building(rig, 1, corerig_partition(rig, "cart", "key-1")));
	corerig_cut(rig, 2, false);
	corerig_run(rig, LONG_MS);
	assert_true(corerig_is_built(rig, 1));
	assert_non_null(corerig_get(rig, 1, "cart", "key-1"));
	assert_true(corerig_is_equal(rig, 1, 2));
	corerig_free(&rig);
}

/* Its partition has to wait until the key is written; no other one does. */
static void
a_misnamed_record_holds_up_no_other_partition_that_is_discarded(void **unused)
{
	struct corerig *rig = corerig_new(3, PARTITIONS, DYN_ANTI_ENTROPY_NEVER);
	uint16_t stuck = corerig_partition(rig, "cart", "key-1");

	put_many(rig);
	rigrecord_misname(rig, 1, "cart", "key-1");
	for (uint16_t p = 0; p < PARTITIONS; p++)
		dyn_building_begin(rig->nodes[1].node, p, DYN_BUILDING_DISCARD);
	rig->nodes[1].node->building.discard_from = stuck;
	corerig_run(rig, LONG_MS);
	for (uint16_t p = 0; p < PARTITIONS; p++)
		assert_int_equal(is_building(rig, 1, p), p == stuck);
	assert_int_equal(corerig_counter(rig, 1, "discarded"), KEYS - 1);
	corerig_free(&rig);
}

static void
nobody_is_asked_to_mend_a_misnamed_record(void **unused)
{
	struct corerig *rig = corerig_new(3, PARTITIONS, DYN_ANTI_ENTROPY_NEVER);

	put_many(rig);
	rigrecord_misname(rig, 1, "cart", "key-1");
	corerig_get(rig, 1, "cart", "key-4")->damaged = true;
	corerig_scrub_every(rig, 1, 100);
	corerig_count_anew(rig);
	corerig_run(rig, LONG_MS);
	assert_true(corerig_counter(rig, 1, "scrub_passes") > 1);
	assert_true(corerig_counter(rig, 1, "scrub_misnamed") > 1);
	assert_int_equal(corerig_counter(rig, 1, "scrub_damaged"), 1);
	assert_false(corerig_get(rig, 1, "cart", "key-4")->damaged);
	assert_int_equal(rig->frames[DYN_MESSAGE_READ], 2);
	corerig_free(&rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_misnamed_says_so),
		cmocka_unit_test_teardown(
			a_source_with_a_misnamed_record_tells_the_rest_and_is_not_believed_whole,
			reset_arena),
		cmocka_unit_test_teardown(
			a_misnamed_record_holds_up_no_other_partition_that_is_discarded,
			reset_arena),
		cmocka_unit_test_teardown(nobody_is_asked_to_mend_a_misnamed_record,
								  reset_arena),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
