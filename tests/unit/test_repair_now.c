/* Anti-entropy when an operator asks for it. */
#include "corerig.h"
#include "objects.h"
#include "righand.h"

static struct dyn_slice
some_object(void)
{
	return encoded(put((struct dyn_object){ 0 }, NULL, "value", 7, 1));
}

/* The answer's number of rounds; or the error's status, negative. */
static int
ask(struct corerig *rig, uint32_t n, bool all, uint32_t partition)
{
	Dyn__RepairRequest request = DYN__REPAIR_REQUEST__INIT;
	const void *reply;

	request.all = all;
	request.partition = partition;
	reply = corerig_ask(rig, n, DYN_MESSAGE_REPAIR, &request.base);
	assert_non_null(reply);
	if (rig->reply_type == DYN_MESSAGE_ERROR)
		return -(int) ((const Dyn__Error *) reply)->status;
	return (int) ((const Dyn__RepairReply *) reply)->rounds;
}

static void
a_round_begins_when_asked_for_though_there_are_none_otherwise(void **unused)
{
	struct corerig *rig = corerig_new(3, 8, DYN_ANTI_ENTROPY_NEVER);

	corerig_put(rig, 2, "cart", "k", some_object());
	corerig_run(rig, 60000);
	assert_null(corerig_get(rig, 0, "cart", "k"));
	/* Of each pair the node with the lesser id asks. */
	assert_int_equal(ask(rig, 2, true, 0), 0);
	assert_int_equal(ask(rig, 1, true, 0), 1);
	assert_int_equal(ask(rig, 0, true, 0), 2);
	corerig_run(rig, 10000);
	assert_true(corerig_is_equal(rig, 0, 2) && corerig_is_equal(rig, 1, 2));
	/* And no other one follows. */
	assert_int_equal(corerig_counter(rig, 0, "exchanges"), 2);
	corerig_free(&rig);
}

static void
who_asks_during_a_round_gets_another_one_after_it(void **unused)
{
	struct corerig *rig = corerig_new(2, 8, DYN_ANTI_ENTROPY_NEVER);

	corerig_put(rig, 1, "cart", "k", some_object());
	rig->nodes[0].store.stalls = true;
	assert_int_equal(ask(rig, 0, true, 0), 1);
	corerig_run(rig, 1000);
	assert_int_equal(ask(rig, 0, false, 3), 1);
	rig->nodes[0].store.stalls = false;
	corerig_run(rig, 60000);
	assert_int_equal(corerig_counter(rig, 0, "exchanges"), 2);
	assert_true(corerig_is_equal(rig, 0, 1));
	corerig_free(&rig);
}

static void
a_partition_that_does_not_exist_is_refused(void **unused)
{
	struct corerig *rig = corerig_new(2, 8, DYN_ANTI_ENTROPY_NEVER);

	assert_int_equal(ask(rig, 0, false, 8), -DYN_STATUS_BAD_REQUEST);
	assert_int_equal(ask(rig, 0, false, 7), 1);
	corerig_free(&rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_round_begins_when_asked_for_though_there_are_none_otherwise),
		cmocka_unit_test(who_asks_during_a_round_gets_another_one_after_it),
		cmocka_unit_test(a_partition_that_does_not_exist_is_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
