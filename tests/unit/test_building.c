/* Stores that are emptied, go back, or must forget: how they are filled up. */
#include "corerig.h"
#include "objects.h"
#include "rigclient.h"
#include "rigdisk.h"
#include "righand.h"
#include "rigrecord.h"

#include "core/building.h"
#include "core/progress.h"

#include <stdio.h>

enum
{
	KEYS = 60,
	FILLED_MS = 20000 /* more than it ever takes */
};

/* The same records on all nodes. */
static void
put_many(struct corerig *rig)
{
	char key[32];

	for (uint32_t i = 0; i < KEYS; i++)
	{
		snprintf(key, sizeof(key), "key-%u", i);
		rigrecord_put_on(rig, 0, rig->count - 1, i % 3 ? "cart" : "session",
						 key, object_of("value", i + 1));
	}
}

static enum dyn_status
scan_all(struct corerig *rig, uint32_t n)
{
	Dyn__ScanRequest request = DYN__SCAN_REQUEST__INIT;
	const Dyn__ScanReply *reply;

	request.bucket = dyn_bytes_of_slice(dyn_slice_of("cart"));
	request.cell_last = DYN_CELL_COUNT - 1;
	reply = corerig_ask(rig, n, DYN_MESSAGE_SCAN, &request.base);
	assert_non_null(reply);
	if (rig->reply_type == DYN_MESSAGE_ERROR)
		return (enum dyn_status)((const Dyn__Error *) rig->reply)->status;
	return (enum dyn_status) reply->status;
}

/* ------------------------------------------------------------- emptied disks */

static void
a_new_disk_says_nothing_until_it_holds_what_the_others_hold(void **unused)
{
	struct corerig *rig = corerig_new(3, 8, DYN_ANTI_ENTROPY_NEVER);

	put_many(rig);
	corerig_lose_disk(rig, 1);
	for (int ms = 0; !corerig_is_built(rig, 1) && ms < FILLED_MS; ms += 100)
	{
		enum dyn_status status = rigclient_read_status(rig, 1, "key-1");

		assert_true(status == DYN_STATUS_NOT_READY ||
					status == DYN_STATUS_BUILDING || corerig_is_built(rig, 1));
		status = scan_all(rig, 1);
		assert_true(status == DYN_STATUS_NOT_READY ||
					status == DYN_STATUS_BUILDING || corerig_is_built(rig, 1));
		corerig_run(rig, 97);
	}
	assert_true(corerig_is_built(rig, 1));
	assert_true(corerig_counter(rig, 1, "reads_building") > 0);
	assert_true(corerig_is_equal(rig, 0, 1));
	assert_int_equal(rigclient_read_status(rig, 1, "key-1"), DYN_STATUS_OK);
	assert_int_equal(rigclient_read_status(rig, 1, "nobody"),
					 DYN_STATUS_NOT_FOUND);
	assert_int_equal(rigclient_get_status(rig, 1, "key-1", 3), DYN_STATUS_OK);
	assert_int_equal(corerig_counter(rig, 0, "buildings"), 0);
	corerig_free(&rig);
}

/* It is written again, and counts as stored only then. */
static void
a_new_store_keeps_its_identity_though_its_commit_was_aborted(void **unused)
{
	struct corerig *rig = corerig_new(3, 8, DYN_ANTI_ENTROPY_NEVER);
	struct dyn_node_id id;

	corerig_empty(rig, 1);
	rig->nodes[1].store.aborts = true;
	corerig_restart(rig, 1, NULL);
	corerig_run(rig, 5);
	assert_false(rig->nodes[1].node->identity_stored);
	rig->nodes[1].store.aborts = false;
	corerig_run(rig, 2000);
	assert_true(rig->nodes[1].node->identity_stored);
	id = *dyn_node_identity(rig->nodes[1].node);
	corerig_restart(rig, 1, NULL);
	assert_int_equal(
		dyn_node_id_compare(&id, dyn_node_identity(rig->nodes[1].node)), 0);
	corerig_free(&rig);
}

/* Whoever hears of its place, and cannot write that down, knows no cluster. */
static void
a_new_disk_whose_forming_was_aborted_waits_for_the_next(void **unused)
{
	struct corerig *rig = corerig_new(3, 8, DYN_ANTI_ENTROPY_NEVER);
	struct dyn_node_id id = *dyn_node_identity(rig->nodes[1].node);

	corerig_empty(rig, 1);
	corerig_restart(rig, 1, &id);
	while (!rig->nodes[1].node->identity_stored)
		corerig_run(rig, 1);
	rig->nodes[1].store.aborts = true;
	while (rig->nodes[1].node->quiet_until_ms == 0)
		corerig_run(rig, 1);
	corerig_cut(rig, 0, true);
	corerig_cut(rig, 2, true);
	corerig_run(rig, 20000);
	assert_false(rig->nodes[1].node->cluster.formed);
	rig->nodes[1].store.aborts = false;
	corerig_cut(rig, 0, false);
	corerig_cut(rig, 2, false);
	corerig_run(rig, FILLED_MS);
	assert_true(rig->nodes[1].node->cluster.formed);
	assert_true(corerig_is_built(rig, 1));
	corerig_free(&rig);
}

/* It founds a cluster of its own: nobody says a word that it could wait for. */
static void
who_is_alone_founds_again_when_that_was_aborted(void **unused)
{
	struct corerig *rig = corerig_new(1, 8, DYN_ANTI_ENTROPY_NEVER);
	struct dyn_node *node;

	corerig_empty(rig, 0);
	corerig_restart(rig, 0, NULL);
	/* The identity is written already. */
	rig->nodes[0].store.aborts = true;
	node = rig->nodes[0].node;
	corerig_run(rig, 5000);
	assert_true(node->identity_stored);
	assert_false(node->cluster.formed);
	rig->nodes[0].store.aborts = false;
	corerig_run(rig, 2000);
	assert_true(node->cluster.formed);
	corerig_free(&rig);
}

static void
a_new_disk_without_a_node_id_stays_outside(void **unused)
{
	struct corerig *rig = corerig_new(3, 8, DYN_ANTI_ENTROPY_NEVER);

	corerig_empty(rig, 1);
	corerig_restart(rig, 1, NULL);
	corerig_run(rig, FILLED_MS);
	assert_null(dyn_node_ring(rig->nodes[1].node));
	assert_true(rig->nodes[1].node->told_outside);
	corerig_free(&rig);
}

/* Nothing is where it was, for the others. */
static void
move(struct corerig *rig, uint32_t node)
{
	snprintf(rig->nodes[node].address, sizeof(rig->nodes[node].address),
			 "10.0.1.1:7001");
	for (uint32_t i = 0; i < rig->count; i++)
		for (uint32_t p = 0; p <= CORERIG_NODES_MAX; p++)
			if (i != node && rig->nodes[i].peers[p] == (int) node)
				rig->nodes[i].peers[p] = -1;
	for (uint32_t i = 0; i < rig->count; i++)
		for (uint32_t p = 0; p < rig->nodes[i].node->peer_count; p++)
			if (i != node && rig->nodes[i].peers[p] == -1)
			{
				struct dyn_event event = { .type = DYN_EVENT_PEER_DOWN,
										   .peer.peer_index = p };

				corerig_step(rig, i, &event);
			}
}

static void
a_new_disk_takes_its_place_at_another_address(void **unused)
{
	struct corerig *rig = corerig_new(3, 8, DYN_ANTI_ENTROPY_NEVER);

	put_many(rig);
	move(rig, 1);
	corerig_lose_disk(rig, 1);
	corerig_run(rig, FILLED_MS);
	assert_true(corerig_is_built(rig, 1));
	assert_true(corerig_is_equal(rig, 0, 1));
	assert_int_equal(rigclient_read_status(rig, 1, "key-1"), DYN_STATUS_OK);
	assert_int_equal(rigclient_get_status(rig, 0, "key-1", 3), DYN_STATUS_OK);
	corerig_free(&rig);
}

static void
a_node_id_of_nobody_stays_outside_and_says_so(void **unused)
{
	struct corerig *rig = corerig_new(3, 8, DYN_ANTI_ENTROPY_NEVER);
	struct dyn_node_id id = { { 1, 2, 3 } };

	corerig_empty(rig, 1);
	corerig_restart(rig, 1, &id);
	corerig_run(rig, FILLED_MS);
	assert_null(dyn_node_ring(rig->nodes[1].node));
	assert_true(rig->nodes[1].node->told_outside);
	corerig_free(&rig);
}

static void
nobody_founds_a_cluster_with_a_node_id(void **unused)
{
	struct corerig *rig = corerig_new(2, 8, DYN_ANTI_ENTROPY_NEVER);
	struct dyn_node_id id = *dyn_node_identity(rig->nodes[0].node);

	corerig_empty(rig, 0);
	corerig_empty(rig, 1);
	corerig_restart(rig, 0, &id);
	corerig_restart(rig, 1, NULL);
	corerig_run(rig, FILLED_MS);
	assert_null(dyn_node_ring(rig->nodes[0].node));
	assert_null(dyn_node_ring(rig->nodes[1].node));
	corerig_free(&rig);
}

/* Wait until it takes writes, but not until it is built. */
static void
run_until_it_serves(struct corerig *rig, uint32_t n)
{
	while (rigclient_read_status(rig, n, "key-1") == DYN_STATUS_NOT_READY)
		corerig_run(rig, 10);
}

static void
what_is_written_meanwhile_counts_and_stays(void **unused)
{
	struct corerig *rig = corerig_new(3, 8, DYN_ANTI_ENTROPY_NEVER);

	put_many(rig);
	rig->nodes[2].store.stalls = true; /* it tells nothing */
	corerig_lose_disk(rig, 1);
	run_until_it_serves(rig, 1);
	assert_int_equal(rigclient_write(rig, 1, "new", 2), DYN_STATUS_OK);
	corerig_run(rig, 1000); /* the others have met it */
	assert_int_equal(rigclient_write(rig, 0, "newer", 3), DYN_STATUS_OK);
	assert_non_null(corerig_get(rig, 1, "cart", "newer"));
	corerig_run(rig, 5000);
	assert_false(corerig_is_built(rig, 1));
	assert_int_equal(rigclient_read_status(rig, 1, "new"), DYN_STATUS_BUILDING);
	rig->nodes[2].store.stalls = false;
	corerig_run(rig, FILLED_MS);
	assert_true(corerig_is_built(rig, 1));
	assert_int_equal(rigclient_read_status(rig, 1, "new"), DYN_STATUS_OK);
	assert_int_equal(rigclient_read_status(rig, 1, "newer"), DYN_STATUS_OK);
	assert_true(corerig_is_equal(rig, 0, 1));
	corerig_free(&rig);
}

static void
one_source_is_not_enough_when_others_may_know_more(void **unused)
{
	struct corerig *rig = corerig_new(3, 8, DYN_ANTI_ENTROPY_NEVER);

	put_many(rig);
	corerig_put(rig, 2, "cart", "only-here", object_of("value", 7777));
	corerig_cut(rig, 2, true);
	corerig_lose_disk(rig, 1);
	corerig_run(rig, FILLED_MS);
	assert_false(corerig_is_built(rig, 1));
	assert_int_equal(rigclient_read_status(rig, 1, "key-1"),
					 DYN_STATUS_BUILDING);
	corerig_cut(rig, 2, false);
	corerig_run(rig, FILLED_MS);
	assert_true(corerig_is_built(rig, 1));
	assert_non_null(corerig_get(rig, 1, "cart", "only-here"));
	corerig_free(&rig);
}

static void
a_restart_in_the_midst_goes_on(void **unused)
{
	struct corerig *rig = corerig_new(3, 8, DYN_ANTI_ENTROPY_NEVER);

	put_many(rig);
	rig->nodes[2].store.stalls = true;
	corerig_lose_disk(rig, 1);
	corerig_run(rig, 10000);
	assert_false(corerig_is_built(rig, 1));
	corerig_restart(rig, 1, NULL);
	corerig_run(rig, 5000);
	assert_false(corerig_is_built(rig, 1));
	assert_int_equal(rigclient_read_status(rig, 1, "key-1"),
					 DYN_STATUS_BUILDING);
	rig->nodes[2].store.stalls = false;
	corerig_run(rig, FILLED_MS);
	assert_true(corerig_is_built(rig, 1));
	assert_true(corerig_is_equal(rig, 0, 1));
	corerig_free(&rig);
}

static void
two_new_disks_fill_up_from_the_one_that_is_left(void **unused)
{
	struct corerig *rig = corerig_new(3, 8, DYN_ANTI_ENTROPY_NEVER);

	put_many(rig);
	corerig_lose_disk(rig, 1);
	corerig_lose_disk(rig, 2);
	corerig_run(rig, FILLED_MS);
	assert_true(corerig_is_built(rig, 1) && corerig_is_built(rig, 2));
	assert_true(corerig_is_equal(rig, 0, 1));
	assert_true(corerig_is_equal(rig, 0, 2));
	corerig_free(&rig);
}

static void
what_one_owner_cannot_read_another_one_tells(void **unused)
{
	struct corerig *rig = corerig_new(3, 8, DYN_ANTI_ENTROPY_NEVER);

	put_many(rig);
	corerig_get(rig, 0, "cart", "key-1")->damaged = true;
	corerig_cut(rig, 2, true);
	corerig_lose_disk(rig, 1);
	corerig_run(rig, FILLED_MS);
	assert_int_equal(corerig_counter(rig, 1, "fill_damaged"), 1);
	assert_false(corerig_is_built(rig, 1));
	corerig_cut(rig, 2, false);
	corerig_run(rig, FILLED_MS);
	assert_true(corerig_is_built(rig, 1));
	assert_int_equal(rigclient_read_status(rig, 1, "key-1"), DYN_STATUS_OK);
	corerig_free(&rig);
}

/* Nothing can be mended. */
static void
lose_reads(struct corerig *rig, uint32_t from, enum dyn_message_type type,
		   struct dyn_slice *frame)
{
	(void) rig;
	if (from == 1 && type == DYN_MESSAGE_READ)
		frame->size = 0;
}

/* Whether it has the record it cannot tell while there is damage beside its
 * place, and must not end without it. */
static void
what_damage_beside_its_place_may_hide_is_filled_all_the_same(void **unused)
{
	struct corerig *rig = corerig_new(3, 8, DYN_ANTI_ENTROPY_NEVER);

	put_many(rig);
	corerig_lose_disk(rig, 1);
	rig->nodes[1].store.doubted = "key-1";
	rig->watch = lose_reads;
	corerig_run(rig, FILLED_MS);
	assert_false(corerig_is_built(rig, 1));
	rig->watch = NULL;
	corerig_run(rig, FILLED_MS);
	assert_true(corerig_is_built(rig, 1));
	rig->nodes[1].store.doubted = NULL;
	assert_non_null(corerig_get(rig, 1, "cart", "key-1"));
	assert_true(corerig_is_equal(rig, 0, 1));
	corerig_free(&rig);
}

static void
a_record_under_a_damaged_key_keeps_no_other_from_being_told(void **unused)
{
	struct corerig *rig = corerig_new(3, 8, DYN_ANTI_ENTROPY_NEVER);

	put_many(rig);
	rigrecord_misname(rig, 0, "cart", "key-1");
	corerig_lose_disk(rig, 1);
	corerig_run(rig, FILLED_MS);
	assert_true(corerig_is_built(rig, 1));
	assert_int_equal(rigclient_read_status(rig, 1, "key-1"), DYN_STATUS_OK);
	assert_int_equal(corerig_counter(rig, 1, "replies_bad"), 0);
	corerig_free(&rig);
}

/* What it held may be newer than what any one source tells. */
static void
what_is_damaged_meanwhile_is_mended_by_all_owners_not_by_a_source(void **unused)
{
	struct corerig *rig = corerig_new(3, 8, DYN_ANTI_ENTROPY_NEVER);
	const struct corerig_record *newer;
	const struct corerig_record *mended;

	put_many(rig);
	corerig_cut(rig, 2, true);
	corerig_lose_disk(rig, 1);
	corerig_run(rig, FILLED_MS);
	assert_int_equal(rigclient_write(rig, 0, "key-1", 2), DYN_STATUS_OK);
	corerig_get(rig, 1, "cart", "key-1")->damaged = true;
	corerig_cut(rig, 2, false);
	corerig_run(rig, FILLED_MS);
	assert_true(corerig_is_built(rig, 1));
	newer = corerig_get(rig, 0, "cart", "key-1");
	mended = corerig_get(rig, 1, "cart", "key-1");
	assert_false(mended->damaged);
	assert_int_equal(mended->object_size, newer->object_size);
	assert_memory_equal(mended->object, newer->object, newer->object_size);
	corerig_free(&rig);
}

static void
aborted_commits_are_tried_again(void **unused)
{
	struct corerig *rig = corerig_new(3, 8, DYN_ANTI_ENTROPY_NEVER);

	put_many(rig);
	corerig_lose_disk(rig, 1);
	run_until_it_serves(rig, 1);
	rig->nodes[1].store.aborts = true;
	corerig_run(rig, 3000);
	assert_true(corerig_counter(rig, 1, "fill_failures") > 0);
	assert_false(corerig_is_built(rig, 1));
	rig->nodes[1].store.aborts = false;
	corerig_run(rig, FILLED_MS);
	assert_true(corerig_is_built(rig, 1));
	assert_true(corerig_is_equal(rig, 0, 1));
	corerig_free(&rig);
}

static void
anti_entropy_leaves_alone_what_is_being_built(void **unused)
{
	struct corerig *rig = corerig_new(3, 8, 1000);

	put_many(rig);
	rig->nodes[2].store.stalls = true;
	corerig_lose_disk(rig, 1);
	corerig_run(rig, 2 * FILLED_MS);
	assert_false(corerig_is_built(rig, 1));
	assert_int_equal(corerig_counter(rig, 0, "exchange_keys_differing"), 0);
	assert_int_equal(corerig_counter(rig, 1, "exchange_keys_differing"), 0);
	rig->nodes[2].store.stalls = false;
	corerig_run(rig, 2 * FILLED_MS);
	assert_true(corerig_is_built(rig, 1));
	corerig_free(&rig);
}

/* ----------------------------------------------------- stores that went back */

static void
equal_hashes_excuse_nothing(void **unused)
{
	struct corerig *rig = corerig_new(3, 1, DYN_ANTI_ENTROPY_NEVER);
	struct dyn_object lesser = put((struct dyn_object){ 0 }, NULL, "v", 1, 1);
	struct dyn_object more = lesser;
	struct dyn_object dead =
		put((struct dyn_object){ 0 }, NULL, "gone", 99, 99);

	/* The same versions; a dot more that is known to be dead. */
	dead.version_count = 0;
	more = sync_of(more, dead);
	assert_int_equal(dyn_object_hash(&lesser, dyn_slice_of("key")),
					 dyn_object_hash(&more, dyn_slice_of("key")));
	corerig_put(rig, 0, "cart", "key", encoded(more));
	corerig_put(rig, 2, "cart", "key", encoded(more));
	corerig_put(rig, 1, "cart", "key", encoded(lesser));
	dyn_building_begin_all(rig->nodes[1].node, DYN_BUILDING_KEEP);
	corerig_run(rig, FILLED_MS);
	assert_true(corerig_is_built(rig, 1));
	assert_true(corerig_is_equal(rig, 0, 1));
	corerig_free(&rig);
}

static void
a_store_that_went_back_answers_nothing_before_it_is_told(void **unused)
{
	struct corerig *rig = corerig_new(3, 8, DYN_ANTI_ENTROPY_NEVER);

	assert_int_equal(rigclient_write(rig, 0, "old", 3), DYN_STATUS_OK);
	corerig_run(rig, 2000);
	corerig_keep(rig, 1);
	assert_int_equal(rigclient_write(rig, 0, "new", 3), DYN_STATUS_OK);
	corerig_run(rig, 2000);
	corerig_go_back(rig, 1);
	corerig_cut(rig, 1, true);
	corerig_restart(rig, 1, NULL);
	corerig_run(rig, 10000);
	assert_int_equal(rigclient_read_status(rig, 1, "old"), DYN_STATUS_BUILDING);
	assert_int_equal(rigclient_read_status(rig, 1, "new"), DYN_STATUS_BUILDING);
	corerig_cut(rig, 1, false);
	for (int ms = 0; ms < FILLED_MS; ms += 50)
	{
		assert_int_not_equal(rigclient_read_status(rig, 1, "new"),
							 DYN_STATUS_NOT_FOUND);
		corerig_run(rig, 50);
	}
	assert_int_equal(corerig_counter(rig, 1, "rollbacks"), 1);
	assert_true(corerig_is_built(rig, 1));
	assert_int_equal(rigclient_read_status(rig, 1, "new"), DYN_STATUS_OK);
	corerig_free(&rig);
}

static void
others_remember_it_over_restarts_of_their_own(void **unused)
{
	struct corerig *rig = corerig_new(3, 8, DYN_ANTI_ENTROPY_NEVER);

	corerig_run(rig, 2000);
	corerig_keep(rig, 1);
	assert_int_equal(rigclient_write(rig, 0, "new", 3), DYN_STATUS_OK);
	corerig_run(rig, 15000);
	corerig_go_back(rig, 1);
	for (uint32_t i = 0; i < 3; i++)
		corerig_restart(rig, i, NULL);
	corerig_run(rig, FILLED_MS);
	assert_int_equal(corerig_counter(rig, 1, "rollbacks"), 1);
	assert_int_equal(rigclient_read_status(rig, 1, "new"), DYN_STATUS_OK);
	assert_int_equal(corerig_counter(rig, 0, "rollbacks"), 0);
	corerig_free(&rig);
}

static void
a_restart_with_the_same_store_builds_nothing(void **unused)
{
	struct corerig *rig = corerig_new(3, 8, DYN_ANTI_ENTROPY_NEVER);

	assert_int_equal(rigclient_write(rig, 0, "key-1", 3), DYN_STATUS_OK);
	corerig_run(rig, 3000);
	for (uint32_t round = 0; round < 5; round++)
	{
		corerig_restart(rig, 1, NULL);
		assert_int_equal(rigclient_write(rig, 0, "key-1", 1), DYN_STATUS_OK);
		corerig_run(rig, 700 * round + 20);
	}
	assert_int_equal(rigclient_read_status(rig, 1, "key-1"), DYN_STATUS_OK);
	assert_int_equal(corerig_counter(rig, 1, "rollbacks"), 0);
	assert_int_equal(corerig_counter(rig, 1, "buildings"), 0);
	corerig_free(&rig);
}

static void
a_store_of_before_the_cluster_was_formed_is_built_up(void **unused)
{
	struct corerig *rig = corerig_new(3, 8, DYN_ANTI_ENTROPY_NEVER);

	put_many(rig);
	corerig_run(rig, 2000);
	/* Only its identity is left. */
	for (int i = 0; i < CORERIG_META_MAX; i++)
		if (strcmp(rig->nodes[1].store.meta[i].name, "cluster") == 0)
			snprintf(rig->nodes[1].store.meta[i].name, 32, "nothing");
	corerig_restart(rig, 1, NULL);
	corerig_run(rig, 50);
	assert_int_not_equal(rigclient_read_status(rig, 1, "key-1"),
						 DYN_STATUS_NOT_FOUND);
	assert_int_not_equal(rigclient_read_status(rig, 1, "key-1"), DYN_STATUS_OK);
	corerig_run(rig, FILLED_MS);
	assert_true(corerig_is_built(rig, 1));
	assert_true(corerig_counter(rig, 1, "buildings_done") >= 8);
	corerig_free(&rig);
}

static void
who_is_alone_answers_after_a_while(void **unused)
{
	struct corerig *rig = corerig_new(3, 8, DYN_ANTI_ENTROPY_NEVER);

	put_many(rig);
	corerig_cut(rig, 1, true);
	corerig_restart(rig, 1, NULL);
	corerig_run(rig, 20000);
	assert_int_equal(rigclient_read_status(rig, 1, "key-1"),
					 DYN_STATUS_BUILDING);
	corerig_run(rig, DYN_ALONE * 3000);
	assert_int_equal(rigclient_read_status(rig, 1, "key-1"), DYN_STATUS_OK);
	corerig_free(&rig);
}

/* ------------------------------------------------------------------ discard */

static void
what_is_discarded_goes_and_what_others_hold_comes(void **unused)
{
	struct corerig *rig = corerig_new(3, 1, DYN_ANTI_ENTROPY_NEVER);

	put_many(rig);
	corerig_put(rig, 1, "cart", "deleted-long-ago", object_of("v", 5555));
	corerig_get(rig, 1, "cart", "key-2")->damaged = true;
	dyn_building_begin(rig->nodes[1].node, 0, DYN_BUILDING_DISCARD);
	assert_int_equal(rigclient_read_status(rig, 1, "key-1"),
					 DYN_STATUS_BUILDING);
	corerig_run(rig, FILLED_MS);
	assert_true(corerig_is_built(rig, 1));
	assert_null(corerig_get(rig, 1, "cart", "deleted-long-ago"));
	assert_true(corerig_is_equal(rig, 0, 1));
	assert_true(corerig_counter(rig, 1, "discarded") > KEYS);
	corerig_free(&rig);
}

static void
no_write_is_taken_until_all_is_discarded(void **unused)
{
	struct corerig *rig = corerig_new(2, 1, DYN_ANTI_ENTROPY_NEVER);

	put_many(rig);
	rig->nodes[1].store.stalls = true;
	dyn_building_begin(rig->nodes[1].node, 0, DYN_BUILDING_DISCARD);
	/* The one that coordinates has it, the other one does not. */
	assert_int_equal(rigclient_write(rig, 0, "new", 2), DYN_STATUS_UNKNOWN);
	assert_null(corerig_get(rig, 1, "cart", "new"));
	rig->nodes[1].store.stalls = false;
	corerig_run(rig, FILLED_MS);
	assert_true(corerig_is_built(rig, 1));
	assert_int_equal(rigclient_write(rig, 0, "new", 2), DYN_STATUS_OK);
	assert_true(corerig_is_equal(rig, 0, 1));
	corerig_free(&rig);
}

static void
keep_does_not_spare_what_is_to_be_discarded(void **unused)
{
	struct corerig *rig = corerig_new(2, 1, DYN_ANTI_ENTROPY_NEVER);

	corerig_put(rig, 1, "cart", "old", object_of("v", 5555));
	dyn_building_begin(rig->nodes[1].node, 0, DYN_BUILDING_DISCARD);
	dyn_building_begin(rig->nodes[1].node, 0, DYN_BUILDING_KEEP);
	corerig_run(rig, FILLED_MS);
	assert_null(corerig_get(rig, 1, "cart", "old"));
	corerig_free(&rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_new_disk_says_nothing_until_it_holds_what_the_others_hold),
		cmocka_unit_test(
			a_new_store_keeps_its_identity_though_its_commit_was_aborted),
		cmocka_unit_test(
			a_new_disk_whose_forming_was_aborted_waits_for_the_next),
		cmocka_unit_test(who_is_alone_founds_again_when_that_was_aborted),
		cmocka_unit_test(a_new_disk_without_a_node_id_stays_outside),
		cmocka_unit_test(a_new_disk_takes_its_place_at_another_address),
		cmocka_unit_test(a_node_id_of_nobody_stays_outside_and_says_so),
		cmocka_unit_test(nobody_founds_a_cluster_with_a_node_id),
		cmocka_unit_test(what_is_written_meanwhile_counts_and_stays),
		cmocka_unit_test(one_source_is_not_enough_when_others_may_know_more),
		cmocka_unit_test(a_restart_in_the_midst_goes_on),
		cmocka_unit_test(two_new_disks_fill_up_from_the_one_that_is_left),
		cmocka_unit_test(what_one_owner_cannot_read_another_one_tells),
		cmocka_unit_test(
			what_damage_beside_its_place_may_hide_is_filled_all_the_same),
		cmocka_unit_test(
			a_record_under_a_damaged_key_keeps_no_other_from_being_told),
		cmocka_unit_test(
			what_is_damaged_meanwhile_is_mended_by_all_owners_not_by_a_source),
		cmocka_unit_test(aborted_commits_are_tried_again),
		cmocka_unit_test(anti_entropy_leaves_alone_what_is_being_built),
		cmocka_unit_test(equal_hashes_excuse_nothing),
		cmocka_unit_test(
			a_store_that_went_back_answers_nothing_before_it_is_told),
		cmocka_unit_test(others_remember_it_over_restarts_of_their_own),
		cmocka_unit_test(a_restart_with_the_same_store_builds_nothing),
		cmocka_unit_test(a_store_of_before_the_cluster_was_formed_is_built_up),
		cmocka_unit_test(who_is_alone_answers_after_a_while),
		cmocka_unit_test(what_is_discarded_goes_and_what_others_hold_comes),
		cmocka_unit_test(no_write_is_taken_until_all_is_discarded),
		cmocka_unit_test(keep_does_not_spare_what_is_to_be_discarded),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
