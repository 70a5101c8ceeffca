/* Attempts that come late, and what a retry leaves behind: an operation acts
 * once, and not after its client has gone on (core/coord_put.h). */
#include "corerig.h"
#include "objects.h"
#include "rigclient.h"
#include "rigdisk.h"
#include "righand.h"
#include "rigrecord.h"

#include "core/peer.h"

#include <string.h>

enum
{
	ID = 9 /* of the write that is retried */
};

static uint64_t
clock_of(const struct corerig *rig, uint32_t n)
{
	return rig->now_ms - rig->nodes[n].node->started_at_ms;
}

static struct rigclient_put
bounded(const struct corerig *rig, uint32_t n, uint64_t act_until_ms)
{
	return (struct rigclient_put){ .values = { "v" },
								   .process = rig->nodes[n].node->start_id,
								   .act_until_ms = act_until_ms };
}

static void
assert_stored_nowhere(struct corerig *rig)
{
	corerig_run(rig, 100);
	for (uint32_t n = 0; n < 3; n++)
		assert_null(corerig_get(rig, n, "cart", "k"));
}

static void
a_put_that_comes_late_is_refused_and_stored_nowhere(void **unused)
{
	struct corerig *rig = corerig_new(3, 8, DYN_ANTI_ENTROPY_NEVER);
	struct rigclient_put put = bounded(rig, 0, clock_of(rig, 0));

	assert_int_equal(rigclient_put_status(rig, 0, put), DYN_STATUS_LATE);
	assert_stored_nowhere(rig);
	assert_int_equal(corerig_counter(rig, 0, "puts_late"), 1);
	put = bounded(rig, 0, clock_of(rig, 0) + 100);
	assert_int_equal(rigclient_put_status(rig, 0, put), DYN_STATUS_OK);
	corerig_free(&rig);
}

/* Frames may outlive the process that they were sent to. */
static void
a_put_for_another_process_is_late(void **unused)
{
	struct corerig *rig = corerig_new(3, 8, DYN_ANTI_ENTROPY_NEVER);
	struct rigclient_put put = bounded(rig, 0, UINT64_MAX);

	corerig_restart(rig, 0, NULL);
	corerig_run(rig, 2000);
	assert_int_equal(rigclient_put_status(rig, 0, put), DYN_STATUS_LATE);
	assert_stored_nowhere(rig);
	corerig_free(&rig);
}

/* A process may stop while its store reads. */
static void
a_put_that_becomes_late_while_its_record_is_read_is_refused(void **unused)
{
	struct corerig *rig = corerig_new(3, 8, DYN_ANTI_ENTROPY_NEVER);
	/* The frame is there at once, the record a millisecond later. */
	struct rigclient_put put = bounded(rig, 0, clock_of(rig, 0) + 1);
	uint64_t loads = rig->nodes[0].node->token_next;

	assert_int_equal(rigclient_put_status(rig, 0, put), DYN_STATUS_LATE);
	assert_true(rig->nodes[0].node->token_next > loads);
	assert_stored_nowhere(rig);
	corerig_free(&rig);
}

/* ------------------------------------------------------- from node to node */

static void
what_is_known_of_a_peers_clock_is_never_ahead_of_it(void **unused)
{
	struct corerig *rig = corerig_new(3, 8, DYN_ANTI_ENTROPY_NEVER);

	corerig_run(rig, 5000);
	corerig_restart(rig, 2, NULL);
	for (int i = 0; i < 50; i++)
	{
		corerig_run(rig, 101);
		for (uint32_t n = 0; n < 3; n++)
			for (uint32_t p = 0; p < rig->nodes[n].node->peer_count; p++)
			{
				const struct dyn_node *node = rig->nodes[n].node;
				int other = rig->nodes[n].peers[p];
				uint64_t known_ms = dyn_peer_clock_ms(node, p);
				uint64_t true_ms;

				if (known_ms == 0 || other < 0)
					continue;
				/* As it was at the node's last step. */
				true_ms = clock_of(rig, (uint32_t) other) -
						  (rig->now_ms - node->now_ms);
				assert_true(known_ms <= true_ms && known_ms + 10 >= true_ms);
			}
	}
	corerig_free(&rig);
}

struct forwarded
{
	uint32_t count;
	uint32_t from;
	uint64_t process;
	uint64_t act_until_ms;
};

static void
watch_forwarded(struct corerig *rig, uint32_t from, enum dyn_message_type type,
				struct dyn_slice *frame)
{
	struct forwarded *seen = rig->context;
	struct dyn_envelope env;
	ProtobufCMessage *body;

	if (type != DYN_MESSAGE_PUT)
		return;
	assert_int_equal(dyn_envelope_open(*frame, &env), DYN_STATUS_OK);
	assert_int_equal(dyn_message_unpack(&env, &rig->arena.allocator, &body),
					 DYN_STATUS_OK);
	seen->count++;
	seen->from = from;
	seen->process = ((const Dyn__PutRequest *) body)->process;
	seen->act_until_ms = ((const Dyn__PutRequest *) body)->act_until_ms;
}

/* The client's time ends at the same moment, by the coordinator's clock. */
static void
a_forwarded_put_tells_its_time_by_the_coordinators_clock(void **unused)
{
	struct corerig *rig = corerig_new_of(4, 3, 8, DYN_ANTI_ENTROPY_NEVER);
	struct forwarded seen = { 0 };

	corerig_run(rig, 3000);
	for (uint32_t n = 1; n < 4; n++)
	{
		corerig_restart(rig, n, NULL);
		corerig_run(rig, 2000);
	}
	rig->watch = watch_forwarded;
	rig->context = &seen;
	for (uint32_t n = 0; n < 4 && seen.count == 0; n++)
		assert_int_equal(rigclient_put_status(
							 rig, n, bounded(rig, n, clock_of(rig, n) + 500)),
						 DYN_STATUS_OK);
	assert_int_equal(seen.count, 1);
	for (uint32_t n = 0; n < 4; n++)
		if (rig->nodes[n].node->start_id == seen.process)
		{
			/* It answered within a few milliseconds; rig->now_ms is later. */
			assert_int_not_equal(n, seen.from);
			assert_in_range(seen.act_until_ms, clock_of(rig, n) + 470,
							clock_of(rig, n) + 500);
			return;
		}
	fail();
}

/* ---------------------------------------------------------------- histories */

/* In which a read asks two owners. */
static struct corerig *
new_rig_of_two(void)
{
	struct corerig *rig = corerig_new(3, 8, DYN_ANTI_ENTROPY_NEVER);

	for (uint32_t n = 0; n < 3; n++)
		rig->nodes[n].node->cluster.r = 2;
	return rig;
}

static struct dyn_object
object_at(struct corerig *rig, uint32_t n)
{
	return rigrecord_object(rig, n, "cart", "k");
}

static enum dyn_status
attempt(struct corerig *rig, uint32_t n, Dyn__PutMode mode, bool retry)
{
	return rigclient_put_status(rig, n,
								(struct rigclient_put){ .values = { "v" },
														.mode = mode,
														.id = ID,
														.w = 1,
														.retry = retry });
}

/* What is there at a node is read and replaced, or deleted. */
static void
replace_at(struct corerig *rig, uint32_t n, const char *value)
{
	struct dyn_object object = object_at(rig, n);
	struct dyn_slice context;

	assert_int_equal(
		dyn_clock_encode(&object.context, &rig->arena.allocator, &context),
		DYN_STATUS_OK);
	assert_int_equal(rigclient_put_status(
						 rig, n,
						 (struct rigclient_put){
							 .values = { value }, .context = context, .w = 1 }),
					 DYN_STATUS_OK);
}

/* Nobody remembers a request any more. */
static void
forget(struct corerig *rig)
{
	for (uint32_t n = 0; n < rig->count; n++)
	{
		corerig_restart(rig, n, NULL);
		corerig_run(rig, 2000);
	}
}

/* All have met. */
static void
assert_ends_with(struct corerig *rig, const char *value)
{
	assert_non_null(rigclient_get(rig, 1, "k", 3));
	corerig_run(rig, 200);
	for (uint32_t n = 0; n < 3; n++)
	{
		struct dyn_object object = object_at(rig, n);

		assert_int_equal(object.version_count, value != NULL);
		if (value != NULL)
			assert_true(has_value(object, value));
	}
}

/* The first attempt acted unseen, at a node that nobody else could reach. */
static void
a_hidden_attempt_brings_nothing_back_that_its_retry_has_ended(void **unused)
{
	static const char *const ends[] = { NULL, "w" };

	for (size_t i = 0; i < 2; i++)
	{
		struct corerig *rig = new_rig_of_two();

		corerig_cut(rig, 0, true);
		corerig_run(rig, 5000);
		assert_int_equal(attempt(rig, 1, DYN__PUT_MODE__SIBLING, true),
						 DYN_STATUS_OK);
		assert_int_equal(object_at(rig, 1).versions[0].dot.actor.epoch, 0);
		replace_at(rig, 1, ends[i]);
		assert_int_equal(attempt(rig, 0, DYN__PUT_MODE__SIBLING, false),
						 DYN_STATUS_OK);
		assert_int_equal(object_at(rig, 0).version_count, 1);
		corerig_cut(rig, 0, false);
		corerig_run(rig, 5000);
		assert_ends_with(rig, ends[i]);
		corerig_free(&rig);
	}
}

/* Whatever it would replace by its mode: it has acted. */
static void
a_late_attempt_whose_retry_was_replaced_changes_nothing(void **unused)
{
	static const Dyn__PutMode modes[] = { DYN__PUT_MODE__SIBLING,
										  DYN__PUT_MODE__REPLACE,
										  DYN__PUT_MODE__CREATE };

	for (size_t i = 0; i < 3; i++)
		for (int retry = 0; retry < 2; retry++)
		{
			struct corerig *rig = new_rig_of_two();

			assert_int_equal(attempt(rig, 1, modes[i], true), DYN_STATUS_OK);
			corerig_run(rig, 100);
			replace_at(rig, 1, modes[i] == DYN__PUT_MODE__CREATE ? NULL : "w");
			forget(rig);
			assert_int_equal(attempt(rig, 0, modes[i], retry), DYN_STATUS_OK);
			corerig_run(rig, 100);
			assert_ends_with(rig,
							 modes[i] == DYN__PUT_MODE__CREATE ? NULL : "w");
			assert_int_equal(corerig_counter(rig, 0, "put_ops_repeated"), 1);
			corerig_free(&rig);
		}
}

/* One node alone had the first attempt's write, and passed on that it was
 * deleted; its dot says nothing to a retry, the id does. */
static void
whoever_takes_a_delete_learns_what_was_deleted(void **unused)
{
	struct corerig *rig = new_rig_of_two();

	corerig_cut(rig, 0, true);
	corerig_cut(rig, 2, true);
	corerig_run(rig, 5000);
	assert_int_equal(attempt(rig, 1, DYN__PUT_MODE__SIBLING, false),
					 DYN_STATUS_OK);
	corerig_cut(rig, 2, false);
	corerig_run(rig, 5000);
	assert_null(corerig_get(rig, 2, "cart", "k"));
	replace_at(rig, 1, NULL);
	corerig_run(rig, 100);
	corerig_cut(rig, 1, true);
	corerig_cut(rig, 0, false);
	corerig_run(rig, 5000);
	assert_int_equal(attempt(rig, 2, DYN__PUT_MODE__SIBLING, true),
					 DYN_STATUS_OK);
	assert_int_equal(object_at(rig, 2).version_count, 0);
	corerig_free(&rig);
}

/* Two attempts were lost, and the second may have acted where nobody sees it.
 * What is left of the first is only that it was replaced: by somebody who has
 * not met the name that the second one made. */
static void
what_may_have_acted_unseen_is_unknown_once_its_copy_is_replaced(void **unused)
{
	struct corerig *rig = new_rig_of_two();
	struct rigclient_put again = {
		.values = { "v" }, .id = ID, .w = 1, .retry = true
	};

	assert_int_equal(attempt(rig, 1, DYN__PUT_MODE__SIBLING, false),
					 DYN_STATUS_OK);
	corerig_run(rig, 100);
	replace_at(rig, 1, "w");
	corerig_run(rig, 100);
	/* After one lost attempt it is a repetition. */
	assert_int_equal(rigclient_put_status(rig, 0, again), DYN_STATUS_OK);
	again.retried = true;
	for (uint32_t n = 0; n < 3; n++)
		assert_int_equal(rigclient_put_status(rig, n, again),
						 DYN_STATUS_UNKNOWN);
	assert_ends_with(rig, "w");
	corerig_free(&rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_put_that_comes_late_is_refused_and_stored_nowhere),
		cmocka_unit_test(a_put_for_another_process_is_late),
		cmocka_unit_test(
			a_put_that_becomes_late_while_its_record_is_read_is_refused),
		cmocka_unit_test(what_is_known_of_a_peers_clock_is_never_ahead_of_it),
		cmocka_unit_test(
			a_forwarded_put_tells_its_time_by_the_coordinators_clock),
		cmocka_unit_test(
			a_hidden_attempt_brings_nothing_back_that_its_retry_has_ended),
		cmocka_unit_test(
			a_late_attempt_whose_retry_was_replaced_changes_nothing),
		cmocka_unit_test(whoever_takes_a_delete_learns_what_was_deleted),
		cmocka_unit_test(
			what_may_have_acted_unseen_is_unknown_once_its_copy_is_replaced),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
