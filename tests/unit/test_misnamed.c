/* Records under damaged keys (core/misnamed.h): what they hold up. */
#include "corerig.h"
#include "objects.h"
#include "rigclient.h"

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
		for (uint32_t n = 0; n < rig->count; n++)
		{
			snprintf(key, sizeof(key), "key-%u", i);
			corerig_put(rig, n, "cart", key,
						encoded(put((struct dyn_object){ 0 }, NULL, "v", i + 1,
									i + 1)));
		}
}

static uint16_t
partition_of(const char *key)
{
	uint16_t cell = dyn_hash_cell(
		dyn_hash_position(dyn_slice_of("cart"), dyn_slice_of(key)));

	return dyn_hash_partition(cell, PARTITIONS);
}

/* It stands where it stood, under a key of another partition. */
static void
misname(struct corerig *rig, uint32_t n, const char *key)
{
	struct corerig_record *record = corerig_get(rig, n, "cart", key);
	char *last = record->key + strlen(record->key) - 1;

	record->damaged = true;
	do
		++*last;
	while (partition_of(record->key) == partition_of(key));
}

static bool
is_building(const struct corerig *rig, uint32_t n, uint16_t partition)
{
	return dyn_building_is(rig->nodes[n].node, partition);
}

static uint32_t
building_count(const struct corerig *rig, uint32_t n)
{
	return rig->nodes[n].node->building.count;
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
lose_disk(struct corerig *rig, uint32_t n)
{
	struct dyn_node_id id = *dyn_node_identity(rig->nodes[n].node);

	corerig_empty(rig, n);
	corerig_restart(rig, n, &id);
}

static void
a_source_with_a_misnamed_record_tells_the_rest_and_is_not_believed_whole(
	void **unused)
{
	struct corerig *rig = corerig_new(3, PARTITIONS, DYN_ANTI_ENTROPY_NEVER);

	put_many(rig);
	misname(rig, 0, "key-1");
	corerig_cut(rig, 2, true);
	lose_disk(rig, 1);
	corerig_run(rig, LONG_MS);
	assert_int_equal(corerig_counter(rig, 1, "replies_bad"), 0);
	assert_int_equal(rig->nodes[1].store.count, KEYS - 1);
	assert_true(is_building(rig, 1, partition_of("key-1")));
	corerig_cut(rig, 2, false);
	corerig_run(rig, LONG_MS);
	assert_int_equal(building_count(rig, 1), 0);
	assert_non_null(corerig_get(rig, 1, "cart", "key-1"));
	assert_true(corerig_is_equal(rig, 1, 2));
	corerig_free(&rig);
}

/* Its partition has to wait until the key is written; no other one does. */
static void
a_misnamed_record_holds_up_no_other_partition_that_is_discarded(void **unused)
{
	struct corerig *rig = corerig_new(3, PARTITIONS, DYN_ANTI_ENTROPY_NEVER);
	uint16_t stuck = partition_of("key-1");

	put_many(rig);
	misname(rig, 1, "key-1");
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
	misname(rig, 1, "key-1");
	corerig_get(rig, 1, "cart", "key-4")->damaged = true;
	rig->nodes[1].node->config.scrub_ms = 100;
	rig->nodes[1].node->scrub.next_at_ms = 0;
	corerig_count_anew(rig);
	corerig_run(rig, LONG_MS);
	assert_true(corerig_counter(rig, 1, "scrub_passes") > 1);
	assert_true(corerig_counter(rig, 1, "scrub_misnamed") > 1);
	assert_int_equal(corerig_counter(rig, 1, "scrub_damaged"), 1);
	assert_false(corerig_get(rig, 1, "cart", "key-4")->damaged);
	assert_int_equal(rig->frames[DYN_MESSAGE_READ], 2);
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
