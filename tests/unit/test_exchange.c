/* Anti-entropy between cores: what it finds, what it costs, how it ends. */
#include "corerig.h"
#include "objects.h"
#include "righand.h"
#include "rigrecord.h"

#include "core/verified.h"

#include <stdio.h>

enum
{
	EVERY_MS = 1000,
	ROUND_MS = 2000, /* longer than the longest interval with its pauses */
	MILLION = 1000000
};

static void
put_many(struct corerig *rig, uint32_t first, uint32_t last, uint32_t from,
		 uint32_t count)
{
	char key[32];

	for (uint32_t i = from; i < from + count; i++)
	{
		snprintf(key, sizeof(key), "key-%u", i);
		rigrecord_put_on(rig, first, last, i % 3 ? "cart" : "session", key,
						 object_of_size(100, i + 1));
	}
}

/* -------------------------------------------------------- what is too large */

static void
what_no_frame_would_hold_is_left_apart_and_counted(void **unused)
{
	struct corerig *rig = corerig_new(2, 1, EVERY_MS);

	corerig_put(rig, 0, "cart", "large", object_of_size(33 << 20, 1));
	corerig_put(rig, 1, "cart", "large", object_of_size(33 << 20, 2));
	corerig_put(rig, 0, "cart", "small", object_of_size(100, 3));
	corerig_run(rig, 10 * ROUND_MS);
	assert_true(corerig_sum(rig, "objects_too_large") > 0);
	assert_int_equal(corerig_sum(rig, "frames_too_large"), 0);
	for (uint32_t n = 0; n < 2; n++)
	{
		size_t size = corerig_get(rig, n, "cart", "large")->object_size;

		assert_in_range(size, 33 << 20, (33 << 20) + 1000);
		assert_non_null(corerig_get(rig, n, "cart", "small"));
	}
	corerig_free(&rig);
	dyn_arena_reset(&arena);
}

static void
many_large_objects_travel_in_several_frames(void **unused)
{
	struct corerig *rig = corerig_new(2, 1, EVERY_MS);
	char key[32];

	for (uint32_t i = 0; i < 8; i++)
	{
		snprintf(key, sizeof(key), "key-%u", i);
		corerig_put(rig, 0, "cart", key, object_of_size(12 << 20, i + 1));
	}
	corerig_run(rig, 10 * ROUND_MS);
	assert_int_equal(corerig_sum(rig, "frames_too_large"), 0);
	assert_true(corerig_is_equal(rig, 0, 1));
	corerig_free(&rig);
	dyn_arena_reset(&arena);
}

/* --------------------------------------------------------------- what it costs */

/* A million keys by what they add to the trees: their records are never
 * looked at. */
static void
equal_partitions_of_a_million_keys_cost_200_bytes_and_two_round_trips(
	void **unused)
{
	static const uint16_t counts[] = { 1, 4, 256 };

	for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++)
	{
		struct corerig *rig = corerig_new(2, counts[c], EVERY_MS);
		struct prng prng = { 7 };
		uint64_t rounds;
		uint64_t bytes;

		/* A million in each of up to four, then less. */
		for (uint32_t i = 0; i < MILLION * (counts[c] < 4 ? counts[c] : 4); i++)
		{
			uint64_t position = prng_next(&prng);
			uint64_t item = dyn_tree_item(position, prng_next(&prng));

			for (uint32_t n = 0; n < 2; n++)
				rig->nodes[n].store.leaves[dyn_tree_leaf(position)] ^= item;
		}
		corerig_count_anew(rig);
		corerig_run(rig, 10 * ROUND_MS);
		rounds = rig->frames[DYN_MESSAGE_TREE];
		bytes = corerig_compare_bytes(rig);
		assert_in_range(rounds, 5, 25);
		assert_int_equal(rig->frames[DYN_MESSAGE_TREE_REPLY], rounds);
		assert_int_equal(corerig_sum(rig, "exchange_roots_differing"), 0);
		print_message(
			"# %u partitions: %.1f bytes for one, in one round trip\n",
			counts[c], (double) bytes / (double) rounds / counts[c]);
		assert_true(bytes < 200 * rounds * counts[c]);
		assert_int_equal(corerig_repair_bytes(rig), 0);
		corerig_free(&rig);
	}
}

/* Twenty thousand keys; some of them on one side only. */
static void
traffic_grows_with_the_differences_not_with_the_data(void **unused)
{
	uint64_t before = 0;

	for (uint32_t differing = 1; differing <= 1000; differing *= 10)
	{
		struct corerig *rig = corerig_new(2, 64, EVERY_MS);
		uint64_t compared;
		uint64_t repaired;

		put_many(rig, 0, 1, 0, 20000);
		put_many(rig, 0, 0, 100000, differing / 2);
		put_many(rig, 1, 1, 200000, differing - differing / 2);
		corerig_count_anew(rig);
		for (int i = 0; i < 20 && !corerig_is_equal(rig, 0, 1); i++)
			corerig_run(rig, ROUND_MS);
		assert_true(corerig_is_equal(rig, 0, 1));
		compared = corerig_compare_bytes(rig);
		repaired = corerig_repair_bytes(rig);
		print_message(
			"# %u of 20000 keys differ: %.0f bytes each to find, %.0f "
			"to repair\n",
			differing, (double) compared / differing,
			(double) repaired / differing);
		assert_int_equal(corerig_sum(rig, "exchange_keys_repaired"), differing);
		assert_int_equal(corerig_sum(rig, "exchange_keys_equal"), 0);
		/* 20000 keys of 160 bytes would be three megabytes. */
		assert_true(repaired < 600 * (uint64_t) differing);
		assert_true(compared < 8000 * (uint64_t) differing + 10000);
		assert_true(before == 0 || compared + repaired < 12 * before);
		before = compared + repaired;
		corerig_free(&rig);
	}
}

/* ------------------------------------------------------------ what it repairs */

static void
what_one_side_lacks_or_holds_otherwise_is_merged_both_ways(void **unused)
{
	struct corerig *rig = corerig_new(3, 16, EVERY_MS);
	struct dyn_object old = put((struct dyn_object){ 0 }, NULL, "old", 1, 1);
	struct dyn_object newer = put(old, &old.context, "new", 2, 2);
	struct dyn_object gone = put(newer, &newer.context, NULL, 2, 3);
	struct dyn_object left = put(old, NULL, "left", 3, 4);
	struct dyn_object right = put(old, NULL, "right", 4, 5);
	struct corerig_record *record;

	put_many(rig, 0, 2, 0, 2000);
	corerig_put(rig, 0, "b", "only-first", encoded(old));
	corerig_put(rig, 2, "b", "only-last", encoded(old));
	rigrecord_put_on(rig, 0, 2, "b", "stale", encoded(old));
	corerig_put(rig, 1, "b", "stale", encoded(newer));
	rigrecord_put_on(rig, 0, 2, "b", "deleted", encoded(newer));
	corerig_put(rig, 0, "b", "deleted", encoded(gone));
	corerig_put(rig, 0, "b", "siblings", encoded(left));
	corerig_put(rig, 2, "b", "siblings", encoded(right));
	corerig_run(rig, 3 * ROUND_MS);
	assert_true(corerig_is_equal(rig, 0, 1));
	assert_true(corerig_is_equal(rig, 0, 2));
	assert_non_null(corerig_get(rig, 1, "b", "only-first"));
	assert_non_null(corerig_get(rig, 1, "b", "only-last"));
	record = corerig_get(rig, 2, "b", "stale");
	assert_memory_equal(record->object, encoded(newer).data,
						record->object_size);
	record = corerig_get(rig, 2, "b", "deleted");
	assert_memory_equal(record->object, encoded(gone).data,
						record->object_size);
	assert_int_equal(rigrecord_object(rig, 1, "b", "siblings").version_count,
					 3);
	/* Only what was behind was written. */
	assert_true(rig->nodes[0].store.writes <= 4);
	corerig_free(&rig);
}

/* A node that lost everything: more than a list, a batch, or a comparison
 * holds at once. */
static void
an_emptied_replica_is_filled(void **unused)
{
	struct corerig *rig = corerig_new(2, 4, EVERY_MS);

	put_many(rig, 0, 0, 0, 12000);
	corerig_run(rig, 200 * ROUND_MS);
	assert_true(corerig_is_equal(rig, 0, 1));
	assert_int_equal(corerig_sum(rig, "exchange_keys_repaired"), 12000);
	assert_int_equal(corerig_counter(rig, 0, "exchanges_given_up"), 0);
	corerig_free(&rig);
}

/* One cell with more keys than a page. */
static void
a_crowded_cell_is_compared_page_by_page(void **unused)
{
	struct corerig *rig = corerig_new(2, 1, EVERY_MS);
	uint32_t made = 0;
	char key[32];

	for (uint32_t i = 0; made < 9000; i++)
	{
		snprintf(key, sizeof(key), "%u", i);
		if (corerig_cell("b", key) > 7)
			continue;
		rigrecord_put_on(rig, made % 100 == 7, made % 100 != 9, "b", key,
						 object_of("x", i + 1));
		made++;
		dyn_arena_reset(&arena);
	}
	corerig_run(rig, 60 * ROUND_MS);
	assert_true(corerig_is_equal(rig, 0, 1));
	assert_int_equal(corerig_sum(rig, "exchange_keys_repaired"), 180);
	corerig_free(&rig);
}

/* --------------------------------------------------------------- what it spares */

/* The key is written between the list and the repair. */
static void
write_meanwhile(struct corerig *rig, uint32_t from, enum dyn_message_type type,
				struct dyn_slice *frame)
{
	if (type == DYN_MESSAGE_LIST_REPLY && rig->context != NULL)
	{
		rigrecord_put_on(rig, 0, 1, "b", "hot",
						 *(struct dyn_slice *) rig->context);
		rig->context = NULL;
	}
}

static void
a_key_that_is_being_written_is_left_alone(void **unused)
{
	struct corerig *rig = corerig_new(2, 4, EVERY_MS);
	struct dyn_object first = put((struct dyn_object){ 0 }, NULL, "1", 1, 1);
	struct dyn_slice second = encoded(put(first, &first.context, "2", 1, 2));

	corerig_put(rig, 0, "b", "hot", encoded(first));
	rig->watch = write_meanwhile;
	rig->context = &second;
	corerig_run(rig, 2 * ROUND_MS);
	assert_null(rig->context);
	assert_int_equal(corerig_sum(rig, "exchange_keys_differing"), 1);
	assert_int_equal(corerig_sum(rig, "exchange_keys_equal"), 1);
	assert_int_equal(corerig_sum(rig, "exchange_keys_repaired"), 0);
	assert_int_equal(rig->nodes[0].store.writes + rig->nodes[1].store.writes,
					 0);
	corerig_free(&rig);
}

/* The write arrives on the other side during the first pause. */
static void
a_write_in_flight_is_no_difference(void **unused)
{
	struct corerig *rig = corerig_new(2, 4, EVERY_MS);
	struct dyn_slice object = object_of("x", 1);

	corerig_put(rig, 0, "b", "k", object);
	for (int i = 0; corerig_sum(rig, "exchange_roots_differing") == 0; i++)
	{
		assert_true(i < ROUND_MS);
		corerig_run(rig, 1);
	}
	corerig_put(rig, 1, "b", "k", object);
	corerig_run(rig, 2 * ROUND_MS);
	assert_int_equal(corerig_sum(rig, "exchange_cells_differing"), 0);
	assert_int_equal(corerig_sum(rig, "exchange_keys_differing"), 0);
	assert_int_equal(rig->frames[DYN_MESSAGE_LIST], 0);
	corerig_free(&rig);
}

/* What a damaged record held may stand on one other owner only. */
static void
a_damaged_record_is_mended_by_all_owners_never_by_one(void **unused)
{
	struct corerig *rig = corerig_new(3, 4, EVERY_MS);
	struct dyn_object first = put((struct dyn_object){ 0 }, NULL, "1", 1, 1);
	struct dyn_object here = put(first, &first.context, "here", 1, 2);
	struct dyn_object there = put(first, &first.context, "there", 2, 3);
	struct corerig_record *record;

	corerig_put(rig, 0, "b", "k", encoded(here));
	corerig_put(rig, 1, "b", "k", encoded(there));
	corerig_put(rig, 2, "b", "k", encoded(here));
	corerig_get(rig, 0, "b", "k")->damaged = true;
	corerig_cut(rig, 2, true);
	corerig_run(rig, 6000);
	corerig_count_anew(rig);
	corerig_run(rig, 4 * ROUND_MS);
	assert_true(rig->frames[DYN_MESSAGE_LIST] > 0);
	assert_true(corerig_get(rig, 0, "b", "k")->damaged);
	record = corerig_get(rig, 1, "b", "k");
	assert_memory_equal(record->object, encoded(there).data,
						record->object_size);
	corerig_cut(rig, 2, false);
	corerig_run(rig, 6 * ROUND_MS);
	assert_false(corerig_get(rig, 0, "b", "k")->damaged);
	assert_int_equal(rigrecord_object(rig, 0, "b", "k").version_count, 2);
	assert_true(corerig_is_equal(rig, 0, 1));
	assert_true(corerig_is_equal(rig, 0, 2));
	corerig_free(&rig);
}

/* Its key hides the cell from every list.  The scrub would come there some
 * day; it is off here. */
static void
damage_that_hides_a_cell_is_looked_for_at_once(void **unused)
{
	for (uint32_t damaged = 0; damaged < 2; damaged++)
	{
		struct corerig *rig = corerig_new(2, 1, EVERY_MS);
		uint64_t passes = corerig_counter(rig, damaged, "scrub_passes");

		for (uint32_t n = 0; n < 2; n++)
		{
			corerig_put(rig, n, "b", "k", object_of("value", 7));
			rig->nodes[n].node->config.scrub_ms = DYN_SCRUB_NEVER;
		}
		corerig_put(rig, 1 - damaged, "b", "k", object_of("other", 8));
		corerig_get(rig, damaged, "b", "k")->damaged = true;
		rig->nodes[damaged].store.spoils = true;
		corerig_run(rig, 8 * ROUND_MS);
		assert_true(corerig_counter(rig, damaged, "scrub_suspects") > 0);
		assert_int_equal(corerig_counter(rig, 1 - damaged, "scrub_suspects"),
						 0);
		assert_int_equal(corerig_counter(rig, damaged, "scrub_passes"), passes);
		assert_false(corerig_get(rig, damaged, "b", "k")->damaged);
		assert_true(corerig_is_equal(rig, 0, 1));
		corerig_free(&rig);
	}
}

/* As after a reaping that it missed; a single owner's word is not enough. */
static void
a_damaged_record_that_no_other_owner_has_goes(void **unused)
{
	struct corerig *rig = corerig_new(3, 4, EVERY_MS);
	struct dyn_object object = put((struct dyn_object){ 0 }, NULL, "1", 1, 1);

	corerig_put(rig, 0, "b", "k", encoded(object));
	corerig_get(rig, 0, "b", "k")->damaged = true;
	corerig_cut(rig, 2, true);
	corerig_run(rig, 6000 + 4 * ROUND_MS);
	assert_non_null(corerig_get(rig, 0, "b", "k"));
	corerig_cut(rig, 2, false);
	corerig_run(rig, 6 * ROUND_MS);
	assert_null(corerig_get(rig, 0, "b", "k"));
	assert_null(corerig_get(rig, 1, "b", "k"));
	assert_null(corerig_get(rig, 2, "b", "k"));
	assert_true(corerig_is_equal(rig, 0, 1));
	corerig_free(&rig);
}

/* All owners' records: no one is left to tell what they held. */
static void
damaged_records_everywhere_stay_damaged(void **unused)
{
	struct corerig *rig = corerig_new(3, 4, EVERY_MS);
	struct dyn_object object = put((struct dyn_object){ 0 }, NULL, "1", 1, 1);

	for (uint32_t n = 0; n < 3; n++)
	{
		corerig_put(rig, n, "b", "k", encoded(object));
		corerig_get(rig, n, "b", "k")->damaged = true;
	}
	corerig_scrub_every(rig, 0, EVERY_MS);
	corerig_run(rig, 6 * ROUND_MS);
	assert_true(corerig_counter(rig, 0, "scrub_damaged") > 0);
	for (uint32_t n = 0; n < 3; n++)
		assert_true(corerig_get(rig, n, "b", "k")->damaged);
	corerig_free(&rig);
}

static void
nothing_is_compared_while_a_store_is_full(void **unused)
{
	for (uint32_t full = 0; full < 2; full++)
	{
		struct corerig *rig = corerig_new(2, 4, EVERY_MS);

		corerig_run(rig, ROUND_MS);
		corerig_full(rig, full);
		corerig_run(rig, 1500); /* until heartbeats have told it */
		corerig_count_anew(rig);
		corerig_run(rig, 3 * ROUND_MS);
		assert_int_equal(corerig_compare_bytes(rig), 0);
		corerig_free(&rig);
	}
}

/* ---------------------------------------------------------------- how it ends */

static void
a_peer_that_falls_silent_ends_the_round_wherever_it_is(void **unused)
{
	for (uint32_t cut_at = 0; cut_at < 200; cut_at += 12)
	{
		struct corerig *rig = corerig_new(2, 4, EVERY_MS);

		put_many(rig, 0, 0, 0, 300);
		for (int i = 0; corerig_sum(rig, "exchange_roots_differing") == 0; i++)
		{
			assert_true(i < ROUND_MS);
			corerig_run(rig, 1);
		}
		corerig_run(rig, cut_at);
		corerig_cut(rig, 1, true);
		corerig_run(rig, 6000);
		assert_string_equal(corerig_status(rig, 0)->exchanges[0]->state,
							"idle");
		corerig_cut(rig, 1, false);
		corerig_run(rig, 20 * ROUND_MS);
		assert_true(corerig_is_equal(rig, 0, 1));
		corerig_free(&rig);
	}
}

static void
a_store_that_does_not_answer_ends_the_round(void **unused)
{
	for (uint32_t who = 0; who < 2; who++)
	{
		struct corerig *rig = corerig_new(2, 4, EVERY_MS);
		const Dyn__ExchangeStatus *status;

		put_many(rig, 0, 0, 0, 10);
		rig->nodes[who].store.stalls = true;
		corerig_run(rig, 2500);
		rig->nodes[who].store.stalls = false;
		corerig_run(rig, 4 * ROUND_MS);
		status = corerig_status(rig, 0)->exchanges[0];
		assert_true(corerig_counter(rig, 0, "exchanges_given_up") > 0);
		assert_int_equal(status->last_status, DYN_STATUS_OK);
		assert_true(corerig_is_equal(rig, 0, 1));
		corerig_free(&rig);
	}
}

/* Instead of a right answer comes one with these bytes changed. */
static void
spoil(struct corerig *rig, uint32_t from, enum dyn_message_type type,
	  struct dyn_slice *frame)
{
	struct prng *prng = rig->context;
	struct dyn_envelope env = { 0 };
	uint8_t *copy;

	if ((type != DYN_MESSAGE_TREE_REPLY && type != DYN_MESSAGE_LIST_REPLY &&
		 type != DYN_MESSAGE_TREE && type != DYN_MESSAGE_LIST) ||
		prng_below(prng, 2) == 0)
		return;
	assert_int_equal(dyn_envelope_open(*frame, &env), DYN_STATUS_OK);
	copy = dyn_arena_allocate(&rig->arena, frame->size + 8 * PRNG_MUTATE_ROOM);
	memcpy(copy, frame->data, frame->size);
	env.body.size =
		prng_mutate(prng, copy + DYN_ENVELOPE_SIZE, env.body.size, 2);
	dyn_envelope_seal(&env, copy);
	*frame = (struct dyn_slice){ copy, DYN_ENVELOPE_SIZE + env.body.size };
}

static void
spoiled_frames_end_a_round_and_damage_nothing(void **unused)
{
	for (uint64_t seed = 1; seed <= 12; seed++)
	{
		struct corerig *rig = corerig_new(2, 4, EVERY_MS);
		struct prng prng = { seed };

		put_many(rig, 0, 1, 0, 100);
		put_many(rig, 0, 0, 1000, 30);
		put_many(rig, 1, 1, 2000, 30);
		rig->watch = spoil;
		rig->context = &prng;
		corerig_run(rig, 20 * ROUND_MS);
		rig->watch = NULL;
		corerig_run(rig, 10 * ROUND_MS);
		assert_true(corerig_is_equal(rig, 0, 1));
		assert_int_equal(rig->nodes[0].store.count, 160);
		corerig_free(&rig);
	}
}

/* --------------------------------------------------------------- what it tells */

static void
equality_is_told_by_both_sides_partition_by_partition(void **unused)
{
	struct corerig *rig = corerig_new(3, 8, EVERY_MS);
	const Dyn__StatusReply *status;

	put_many(rig, 0, 2, 0, 100);
	corerig_run(rig, 2 * ROUND_MS);
	for (uint32_t i = 0; i < 3; i++)
	{
		status = corerig_status(rig, i);
		assert_int_equal(status->n_exchanges, 2);
		assert_int_equal(status->n_partitions, 8);
		for (size_t e = 0; e < 2; e++)
		{
			assert_int_equal(status->exchanges[e]->partitions, 8);
			assert_int_equal(status->exchanges[e]->verified, 8);
			assert_in_range(status->exchanges[e]->oldest_ms, 1, ROUND_MS);
		}
		for (size_t p = 0; p < 8; p++)
		{
			uint32_t never = 0;

			assert_int_equal(status->partitions[p]->n_verified_ms, 3);
			for (size_t s = 0; s < 3; s++)
				never += status->partitions[p]->verified_ms[s] == 0;
			assert_int_equal(never, 1); /* itself */
		}
	}
	/* Who is away is not found equal: the time grows. */
	corerig_cut(rig, 2, true);
	corerig_run(rig, 8 * ROUND_MS);
	status = corerig_status(rig, 0);
	for (size_t e = 0; e < 2; e++)
		if (strcmp(status->exchanges[e]->address, rig->nodes[2].address) == 0)
			assert_true(status->exchanges[e]->oldest_ms > 6 * ROUND_MS);
		else
			assert_true(status->exchanges[e]->oldest_ms <= ROUND_MS);
	corerig_free(&rig);
}

static void
a_partition_that_differs_is_not_told_to_be_equal(void **unused)
{
	struct corerig *rig = corerig_new(2, 8, EVERY_MS);
	const Dyn__StatusReply *status;

	/* A difference that cannot be repaired: there is no record for it. */
	rig->nodes[0].store.leaves[5 * (DYN_TREE_LEAF_COUNT / 8)] ^= 1;
	corerig_run(rig, 3 * ROUND_MS);
	for (uint32_t i = 0; i < 2; i++)
	{
		status = corerig_status(rig, i);
		assert_int_equal(status->exchanges[0]->partitions, 8);
		assert_int_equal(status->exchanges[0]->verified, 7);
		for (size_t p = 0; p < 8; p++)
			assert_int_equal(status->partitions[p]->verified_ms[0] +
									 status->partitions[p]->verified_ms[1] !=
								 0,
							 p != 5);
	}
	corerig_free(&rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_no_frame_would_hold_is_left_apart_and_counted),
		cmocka_unit_test(many_large_objects_travel_in_several_frames),
		cmocka_unit_test(
			equal_partitions_of_a_million_keys_cost_200_bytes_and_two_round_trips),
		cmocka_unit_test(traffic_grows_with_the_differences_not_with_the_data),
		cmocka_unit_test(
			what_one_side_lacks_or_holds_otherwise_is_merged_both_ways),
		cmocka_unit_test(an_emptied_replica_is_filled),
		cmocka_unit_test(a_crowded_cell_is_compared_page_by_page),
		cmocka_unit_test(a_key_that_is_being_written_is_left_alone),
		cmocka_unit_test(a_write_in_flight_is_no_difference),
		cmocka_unit_test(a_damaged_record_is_mended_by_all_owners_never_by_one),
		cmocka_unit_test(damage_that_hides_a_cell_is_looked_for_at_once),
		cmocka_unit_test(a_damaged_record_that_no_other_owner_has_goes),
		cmocka_unit_test(damaged_records_everywhere_stay_damaged),
		cmocka_unit_test(nothing_is_compared_while_a_store_is_full),
		cmocka_unit_test(
			a_peer_that_falls_silent_ends_the_round_wherever_it_is),
		cmocka_unit_test(a_store_that_does_not_answer_ends_the_round),
		cmocka_unit_test(spoiled_frames_end_a_round_and_damage_nothing),
		cmocka_unit_test(equality_is_told_by_both_sides_partition_by_partition),
		cmocka_unit_test(a_partition_that_differs_is_not_told_to_be_equal),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
