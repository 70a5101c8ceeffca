/* Request ids: what is a retry, and what is a mistake. */
#include "corerig.h"
#include "objects.h"
#include "rigclient.h"
#include "righand.h"

#include <string.h>

static enum dyn_status
write_some(struct corerig *rig, uint32_t n, const char *key, uint8_t id,
		   const char *const *values, uint32_t count, bool retry)
{
	struct rigclient_put put = { .key = key, .id = id, .retry = retry };

	assert_true(count <= RIGCLIENT_VALUES_MAX);
	for (uint32_t i = 0; i < count; i++)
		put.values[i] = values[i];
	if (count == 0)
		put.mode = DYN__PUT_MODE__REPLACE;
	return rigclient_put_status(rig, n, put);
}

static enum dyn_status
write_one(struct corerig *rig, uint32_t n, const char *key, uint8_t id,
		  const char *value, bool retry)
{
	return write_some(rig, n, key, id, &value, 1, retry);
}

static struct dyn_slice
held(struct corerig *rig, const char *key)
{
	const struct corerig_record *record = corerig_get(rig, 0, "cart", key);

	assert_non_null(record);
	return dyn_arena_copy(
		&rig->arena, (struct dyn_slice){ record->object, record->object_size });
}

static struct dyn_object
decoded(struct corerig *rig, struct dyn_slice bytes)
{
	struct dyn_object object;

	assert_int_equal(dyn_object_decode(bytes, &rig->arena.allocator, &object),
					 DYN_STATUS_OK);
	return object;
}

static uint32_t
count_versions(struct corerig *rig, const char *key)
{
	return decoded(rig, held(rig, key)).version_count;
}

static void
a_retry_is_answered_ok_and_stored_once(void **unused)
{
	struct corerig *rig = corerig_new(3, 8, DYN_ANTI_ENTROPY_NEVER);
	const char *two[] = { "a", "b" };

	assert_int_equal(write_one(rig, 0, "k", 1, "a", false), DYN_STATUS_OK);
	for (uint32_t n = 0; n < 3; n++)
		for (int marked = 0; marked < 2; marked++)
			assert_int_equal(write_one(rig, n, "k", 1, "a", marked),
							 DYN_STATUS_OK);
	assert_int_equal(count_versions(rig, "k"), 1);
	/* Of several values, and of a delete, too. */
	for (uint32_t n = 0; n < 3; n++)
		assert_int_equal(write_some(rig, n, "l", 2, two, 2, n != 0),
						 DYN_STATUS_OK);
	assert_int_equal(count_versions(rig, "l"), 2);
	for (uint32_t n = 0; n < 3; n++)
		assert_int_equal(write_some(rig, n, "l", 3, NULL, 0, n != 0),
						 DYN_STATUS_OK);
	assert_int_equal(count_versions(rig, "l"), 0);
	/* And when it was overwritten since. */
	for (uint32_t n = 0; n < 3; n++)
		assert_int_equal(write_some(rig, n, "l", 2, two, 2, true),
						 DYN_STATUS_OK);
	assert_int_equal(count_versions(rig, "l"), 0);
	corerig_free(&rig);
}

static void
an_id_with_another_value_is_refused_wherever_it_comes(void **unused)
{
	struct corerig *rig = corerig_new(3, 8, DYN_ANTI_ENTROPY_NEVER);

	assert_int_equal(write_one(rig, 0, "k", 1, "a", false), DYN_STATUS_OK);
	for (uint32_t n = 0; n < 3; n++)
		for (int marked = 0; marked < 2; marked++)
			assert_int_equal(write_one(rig, n, "k", 1, "b", marked),
							 DYN_STATUS_BAD_REQUEST);
	assert_int_equal(count_versions(rig, "k"), 1);
	corerig_free(&rig);
}

static void
also_when_the_first_value_was_overwritten(void **unused)
{
	struct corerig *rig = corerig_new(3, 8, DYN_ANTI_ENTROPY_NEVER);

	assert_int_equal(write_one(rig, 0, "k", 1, "a", false), DYN_STATUS_OK);
	assert_int_equal(write_some(rig, 1, "k", 2, NULL, 0, false), DYN_STATUS_OK);
	for (uint32_t n = 0; n < 3; n++)
		assert_int_equal(write_one(rig, n, "k", 1, "b", true),
						 DYN_STATUS_BAD_REQUEST);
	assert_int_equal(count_versions(rig, "k"), 0);
	corerig_free(&rig);
}

static void
also_for_another_key(void **unused)
{
	struct corerig *rig = corerig_new(3, 8, DYN_ANTI_ENTROPY_NEVER);

	assert_int_equal(write_one(rig, 0, "k", 1, "a", false), DYN_STATUS_OK);
	for (uint32_t n = 0; n < 3; n++)
		assert_int_equal(write_one(rig, n, "l", 1, "a", n % 2 != 0),
						 DYN_STATUS_BAD_REQUEST);
	assert_null(corerig_get(rig, 0, "cart", "l"));
	corerig_free(&rig);
}

/* Its record was reaped; others have of its writes the first one only. */
static void
a_retry_that_brings_forgotten_writes_back_makes_no_dot_twice(void **unused)
{
	struct corerig *rig = corerig_new(3, 8, DYN_ANTI_ENTROPY_NEVER);
	struct dyn_slice first;
	struct dyn_object second;
	struct dyn_object third;

	assert_int_equal(write_one(rig, 0, "k", 1, "a", false), DYN_STATUS_OK);
	first = held(rig, "k");
	assert_int_equal(write_one(rig, 0, "k", 2, "b", false), DYN_STATUS_OK);
	second = decoded(rig, held(rig, "k"));
	assert_int_equal(second.version_count, 2);
	corerig_run(rig, 100);
	corerig_put(rig, 0, "cart", "k", (struct dyn_slice){ NULL, 0 });
	corerig_put(rig, 1, "cart", "k", first);
	corerig_put(rig, 2, "cart", "k", first);

	assert_int_equal(write_one(rig, 0, "k", 1, "a", true), DYN_STATUS_OK);
	assert_true(dyn_slice_equal(held(rig, "k"), first));
	assert_int_equal(write_one(rig, 0, "k", 3, "c", false), DYN_STATUS_OK);
	third = decoded(rig, held(rig, "k"));
	assert_int_equal(third.version_count, 2);
	assert_false(dyn_clock_covers(&third.context, second.versions[1].dot));
	corerig_free(&rig);
}

/* What is loaded meanwhile may be of before it or after it, or after what
 * replaced it: without the id the retry would be written beside that. */
static void
who_asks_for_a_request_on_its_way_to_disk_hears_when_it_is_there(void **unused)
{
	struct corerig *rig = corerig_new(3, 8, DYN_ANTI_ENTROPY_NEVER);
	struct dyn_request_id id = { { 9 } };
	const Dyn__ReadResult *result;
	enum dyn_status status;
	uint32_t late = 0;

	assert_int_equal(write_one(rig, 0, "k", 9, "a", false), DYN_STATUS_OK);
	while (late < 2 &&
		   dyn_remember_is_committed(&rig->nodes[late].node->remember, &id))
		late++;
	while (!dyn_remember_knows(&rig->nodes[late].node->remember, &id))
		corerig_run(rig, 1);
	assert_false(
		dyn_remember_is_committed(&rig->nodes[late].node->remember, &id));
	result = rigclient_read(rig, late, "k", &id, &status);
	assert_int_equal(status, DYN_STATUS_OK);
	assert_true(result->remembered);
	corerig_free(&rig);
}

/* One in which a read is content with one owner. */
static struct corerig *
new_rig_of_one_owner(void)
{
	struct corerig *rig = corerig_new(3, 8, DYN_ANTI_ENTROPY_NEVER);

	for (uint32_t n = 0; n < 3; n++)
		rig->nodes[n].node->cluster.r = 1;
	return rig;
}

/* Any owner may be the only one that the first attempt had reached, and its
 * write may have been replaced since: R of the others do not know of it. */
static void
a_retry_hears_of_its_write_whoever_alone_remembers_it(void **unused)
{
	for (uint32_t asked = 0; asked < 3; asked++)
		for (uint32_t knows = 0; knows < 3; knows++)
		{
			struct corerig *rig = new_rig_of_one_owner();
			struct dyn_node *node = rig->nodes[knows].node;
			struct dyn_request_id id = { { 9 } };

			assert_int_equal(write_one(rig, 0, "k", 1, "new", false),
							 DYN_STATUS_OK);
			corerig_run(rig, 100);
			dyn_remember_committed(&node->remember, &id, node->now_ms);
			assert_int_equal(write_one(rig, asked, "k", 9, "old", true),
							 DYN_STATUS_OK);
			assert_int_equal(count_versions(rig, "k"), 1);
			corerig_free(&rig);
		}
}

static void
a_retry_waits_for_a_silent_owner_but_a_short_time(void **unused)
{
	struct corerig *rig = new_rig_of_one_owner();

	rig->nodes[2].store.stalls = true;
	assert_int_equal(write_one(rig, 0, "k", 9, "a", true), DYN_STATUS_OK);
	assert_int_equal(count_versions(rig, "k"), 1);
	corerig_free(&rig);
}

static void
a_request_on_its_way_under_another_key_is_not_waited_for(void **unused)
{
	struct corerig *rig = corerig_new(3, 8, DYN_ANTI_ENTROPY_NEVER);
	struct dyn_request_id id = { { 7 } };
	struct dyn_node *node = rig->nodes[1].node;
	enum dyn_status status;

	dyn_remember_pending(&node->remember, &id, node->now_ms);
	assert_non_null(rigclient_read(rig, 1, "k", &id, &status));
	assert_int_equal(status, DYN_STATUS_OVERLOAD);
	corerig_free(&rig);
}

/* Of two values of one put the later one was replaced by somebody else. Owners
 * that learn of the put with a retry meet the first one only, and must not take
 * that for all that was written. */
static void
a_retry_of_a_put_that_is_replaced_in_part_makes_no_later_one_a_mistake(
	void **unused)
{
	struct corerig *rig = corerig_new(3, 8, DYN_ANTI_ENTROPY_NEVER);
	const char *two[] = { "a", "b" };
	struct dyn_object object;
	struct dyn_clock read;
	struct dyn_slice context;

	corerig_cut(rig, 1, true);
	corerig_cut(rig, 2, true);
	assert_int_equal(write_some(rig, 0, "k", 9, two, 2, false), DYN_STATUS_OK);
	corerig_cut(rig, 1, false);
	corerig_cut(rig, 2, false);
	corerig_run(rig, 5000);
	object = decoded(rig, held(rig, "k"));
	assert_int_equal(object.version_count, 2);
	assert_true(dyn_slice_equal(object.versions[1].value, dyn_slice_of("b")));
	assert_int_equal(dyn_clock_minus(&object.context, &object.versions[0].dot,
									 1, &rig->arena.allocator, &read),
					 DYN_STATUS_OK);
	assert_int_equal(dyn_clock_encode(&read, &rig->arena.allocator, &context),
					 DYN_STATUS_OK);
	assert_int_equal(
		rigclient_put_status(rig, 0,
							 (struct rigclient_put){ .key = "k",
													 .values = { "c" },
													 .context = context }),
		DYN_STATUS_OK);
	corerig_run(rig, 100);
	for (uint32_t n = 0; n < 3; n++)
		assert_int_equal(write_some(rig, n, "k", 9, two, 2, true),
						 DYN_STATUS_OK);
	assert_int_equal(count_versions(rig, "k"), 2);
	corerig_free(&rig);
}

/* The commit that brought it is given up, the next one of the key is not, and
 * that one writes what both have made of it. */
static void
a_request_is_known_when_a_later_commit_has_carried_its_write(void **unused)
{
	struct corerig *rig = corerig_new(1, 8, DYN_ANTI_ENTROPY_NEVER);
	struct rigclient_put first = { .key = "k", .values = { "a" }, .id = 9 };
	struct rigclient_put second = { .key = "k", .values = { "b" } };

	assert_int_equal(write_one(rig, 0, "k", 1, "old", false), DYN_STATUS_OK);
	rig->nodes[0].store.aborts = true;
	rigclient_send(rig, 0, first);
	corerig_run(rig, 2); /* it is loaded, and its commit begins */
	rig->nodes[0].store.aborts = false;
	rigclient_send(rig, 0, second);
	corerig_run(rig, 100);
	assert_int_equal(corerig_counter(rig, 0, "commits_aborted"), 1);
	assert_int_equal(count_versions(rig, "k"), 3);
	assert_int_equal(write_some(rig, 0, "k", 2, NULL, 0, false), DYN_STATUS_OK);
	assert_int_equal(write_one(rig, 0, "k", 9, "a", true), DYN_STATUS_OK);
	assert_int_equal(count_versions(rig, "k"), 0);
	corerig_free(&rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_retry_is_answered_ok_and_stored_once),
		cmocka_unit_test(an_id_with_another_value_is_refused_wherever_it_comes),
		cmocka_unit_test(also_when_the_first_value_was_overwritten),
		cmocka_unit_test(also_for_another_key),
		cmocka_unit_test(
			who_asks_for_a_request_on_its_way_to_disk_hears_when_it_is_there),
		cmocka_unit_test(a_retry_hears_of_its_write_whoever_alone_remembers_it),
		cmocka_unit_test(a_retry_waits_for_a_silent_owner_but_a_short_time),
		cmocka_unit_test(
			a_request_on_its_way_under_another_key_is_not_waited_for),
		cmocka_unit_test(
			a_retry_that_brings_forgotten_writes_back_makes_no_dot_twice),
		cmocka_unit_test(
			a_request_is_known_when_a_later_commit_has_carried_its_write),
		cmocka_unit_test(
			a_retry_of_a_put_that_is_replaced_in_part_makes_no_later_one_a_mistake),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
