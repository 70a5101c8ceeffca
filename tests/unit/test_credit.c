/* How much background work may be on its way to a node. */
#include "core/credit.h"
#include "core/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum
{
	PEERS = 8
};

/* A node with peers that can be reached, and nothing else. */
struct rig
{
	struct dyn_node node;
	struct dyn_peer peers[PEERS];
};

static int
setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	rig->node.writable = true;
	rig->node.cluster.formed = true;
	rig->node.cluster.ring.member_count = PEERS + 1;
	rig->node.config.hedge_ms = 50;
	rig->node.peer_count = PEERS;
	for (uint32_t i = 0; i < PEERS; i++)
	{
		rig->node.peers[i] = &rig->peers[i];
		rig->peers[i].connected = rig->peers[i].identified =
			rig->peers[i].formed = true;
	}
	dyn_credit_init(&rig->node.credit);
	*state = rig;
	return 0;
}

static int
teardown(void **state)
{
	free(*state);
	return 0;
}

static uint64_t
granted_to_all(const struct rig *rig)
{
	uint64_t sum = rig->node.credit.own_share;

	for (uint32_t i = 0; i < PEERS; i++)
		sum += dyn_credit_grant(&rig->node, &rig->peers[i]);
	return sum;
}

/* So many commits of this length beside so much background work. */
static void
commits(struct rig *rig, uint32_t count, uint64_t took_ms, uint64_t bytes)
{
	for (uint32_t i = 0; i < count; i++)
	{
		dyn_credit_arrived(&rig->node, bytes);
		dyn_credit_commit(&rig->node, took_ms, bytes != 0);
		dyn_credit_left(&rig->node, bytes);
	}
}

static void
the_budget_is_halved_when_commits_take_longer_than_calm_ones(void **state)
{
	struct rig *rig = *state;

	commits(rig, 100, 10, 0);
	commits(rig, 16, 17, 50000);
	assert_true(rig->node.credit.budget >= DYN_CREDIT_FIRST);
	rig->node.credit.budget = DYN_CREDIT_MAX;
	commits(rig, 2, 19, 50000);
	assert_int_equal(rig->node.credit.budget, DYN_CREDIT_MAX / 2);
	commits(rig, 100, 19, 50000);
	assert_int_equal(rig->node.credit.budget, DYN_CREDIT_MIN);
}

static void
a_slow_disk_that_is_always_slow_is_no_reason_to_wait(void **state)
{
	struct rig *rig = *state;

	commits(rig, 100, 400, 0);
	commits(rig, 160, 450, DYN_CREDIT_MAX);
	assert_true(rig->node.credit.budget > DYN_CREDIT_FIRST);
}

static void
the_budget_grows_only_while_it_is_used(void **state)
{
	struct rig *rig = *state;

	commits(rig, 100, 10, 0);
	commits(rig, 1000, 10, 1000);
	assert_int_equal(rig->node.credit.budget, DYN_CREDIT_FIRST);
	commits(rig, 1000, 10, DYN_CREDIT_MAX);
	assert_int_equal(rig->node.credit.budget, DYN_CREDIT_MAX);
}

static void
the_budget_begins_small_again_when_there_was_nothing_to_do(void **state)
{
	struct rig *rig = *state;

	rig->node.credit.budget = DYN_CREDIT_MAX;
	for (uint32_t i = 0; i < 3; i++)
		dyn_credit_turn(&rig->node);
	assert_int_equal(rig->node.credit.budget, DYN_CREDIT_FIRST);
}

static void
grants_are_together_never_more_than_the_budget(void **state)
{
	struct rig *rig = *state;

	for (uint32_t wanting = 0; wanting <= PEERS; wanting++)
		for (uint64_t budget = DYN_CREDIT_MIN; budget <= DYN_CREDIT_MAX;
			 budget *= 2)
			for (uint32_t turn = 0; turn < 20; turn++)
			{
				rig->node.credit.budget = budget;
				rig->node.credit.own_wants = turn % 2 != 0;
				for (uint32_t i = 0; i < PEERS; i++)
					rig->peers[i].wants = i < wanting;
				dyn_credit_turn(&rig->node);
				assert_true(granted_to_all(rig) <= rig->node.credit.budget);
			}
}

static void
every_eighth_turn_is_nobodys(void **state)
{
	struct rig *rig = *state;

	for (uint32_t turn = 0; turn < 32; turn++)
	{
		dyn_credit_turn(&rig->node);
		assert_int_equal(granted_to_all(rig) == 0, turn % DYN_CREDIT_REST == 0);
	}
}

static void
all_that_want_have_their_turn_however_small_the_budget(void **state)
{
	struct rig *rig = *state;
	uint32_t turns[PEERS] = { 0 };

	for (uint32_t turn = 0; turn < 64; turn++)
	{
		rig->node.credit.budget = DYN_CREDIT_MIN;
		for (uint32_t i = 0; i < PEERS; i++)
			rig->peers[i].wants = i != 3;
		dyn_credit_turn(&rig->node);
		for (uint32_t i = 0; i < PEERS; i++)
			turns[i] += rig->peers[i].granted != 0;
	}
	for (uint32_t i = 0; i < PEERS; i++)
		assert_true(i == 3 ? turns[i] == 0 : turns[i] >= 7);
}

static void
who_cannot_be_reached_or_a_full_store_is_granted_nothing(void **state)
{
	struct rig *rig = *state;

	rig->peers[1].silent = true;
	rig->node.credit.turn = 1;
	dyn_credit_turn(&rig->node);
	assert_int_equal(dyn_credit_grant(&rig->node, &rig->peers[1]), 0);
	assert_true(dyn_credit_grant(&rig->node, &rig->peers[2]) != 0);
	rig->node.writable = false;
	assert_int_equal(dyn_credit_grant(&rig->node, &rig->peers[2]), 0);
	assert_int_equal(dyn_credit_may_pull(&rig->node), 0);
}

static void
what_is_on_its_way_is_taken_off_whoever_sent_it(void **state)
{
	struct rig *rig = *state;
	struct dyn_peer *peer = &rig->peers[0];

	peer->credit = 1000;
	dyn_credit_send(&rig->node, peer, 600); /* hints */
	assert_int_equal(dyn_credit_may_send(peer), 400);
	dyn_credit_send(&rig->node, peer, 400); /* repairs */
	assert_int_equal(dyn_credit_may_send(peer), 0);
	peer->credit = 100; /* the next heartbeat */
	assert_int_equal(dyn_credit_may_send(peer), 0);
	assert_true(peer->sending <= peer->sending_max);
	dyn_credit_sent(peer, 600);
	dyn_credit_sent(peer, 400);
	assert_int_equal(dyn_credit_may_send(peer), 100);
	assert_int_equal(rig->node.counters[DYN_COUNT_credit_oversize], 0);
	dyn_credit_send(&rig->node, peer, 5000);
	assert_int_equal(rig->node.counters[DYN_COUNT_credit_oversize], 1);
}

static void
what_the_node_fetches_comes_out_of_the_same_budget(void **state)
{
	struct rig *rig = *state;
	struct dyn_credit *credit = &rig->node.credit;
	uint64_t share;

	credit->turn = 1;
	assert_int_equal(dyn_credit_may_pull(&rig->node), 0);
	for (uint32_t i = 0; i < PEERS; i++)
		rig->peers[i].wants = true;
	dyn_credit_turn(&rig->node);
	share = dyn_credit_may_pull(&rig->node);
	assert_true(share != 0 && granted_to_all(rig) <= credit->budget);
	dyn_credit_pull(&rig->node, share);
	assert_int_equal(dyn_credit_may_pull(&rig->node), 0);
	assert_true(dyn_credit_is_used(&rig->node));
	dyn_credit_pulled(&rig->node, share);
	assert_int_equal(dyn_credit_may_pull(&rig->node), share);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_budget_is_halved_when_commits_take_longer_than_calm_ones),
		TEST(a_slow_disk_that_is_always_slow_is_no_reason_to_wait),
		TEST(the_budget_grows_only_while_it_is_used),
		TEST(the_budget_begins_small_again_when_there_was_nothing_to_do),
		TEST(grants_are_together_never_more_than_the_budget),
		TEST(every_eighth_turn_is_nobodys),
		TEST(all_that_want_have_their_turn_however_small_the_budget),
		TEST(who_cannot_be_reached_or_a_full_store_is_granted_nothing),
		TEST(what_is_on_its_way_is_taken_off_whoever_sent_it),
		TEST(what_the_node_fetches_comes_out_of_the_same_budget),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
