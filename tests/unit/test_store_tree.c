/*
 * The hash tree of a store: after whatever happened, it is the tree of the
 * records.  Random operations are in test_store_conformance.c, full disks and
 * kills in test_store_faults.c; both check the tree whenever a store closes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/store/record.h"
#include "model/hash.h"
#include "sim/simdisk.h"
#include "sim/simrandom.h"
#include "storefile.h"
#include "storehand.h"
#include "storerig.h"

enum
{
	KEYS = 6000,
	CELLS = 128,     /* that they are in */
	WRITES_MAX = 500 /* of one STORE */
};

static int
set_up(void **state)
{
	storerig_set_up(state);
	((struct storerig *) *state)->config.no_sync = true;
	return 0;
}

/* ---- many records ---- */

/* Numbers of keys whose hashes lie in the first cells. */
static uint32_t numbers[KEYS];

/* Keys of two buckets, in the cells of their hashes; version 0 = removed. */
struct records
{
	struct storerig *rig;
	struct dyn_simrandom random;
	uint64_t versions[KEYS];
	uint64_t version_last;
};

static struct records *
records_new(struct storerig *rig, uint64_t seed)
{
	struct records *self = calloc(1, sizeof(*self));

	assert_non_null(self);
	self->rig = rig;
	self->random = dyn_simrandom_stream(seed, 3);
	return self;
}

static uint64_t
below(struct records *self, uint64_t bound)
{
	return dyn_simrandom_below(&self->random, bound);
}

static struct dyn_record_key
place_of_number(uint32_t number, char text[16])
{
	struct dyn_record_key place = { dyn_slice_of(number % 3 ? "b" : "other"),
									0,
									{ NULL, 0 } };

	snprintf(text, 16, "key-%u", number);
	place.key = dyn_slice_of(text);
	place.cell = dyn_hash_cell(dyn_hash_position(place.bucket, place.key));
	return place;
}

static struct dyn_record_key
place_of(uint32_t key, char text[16])
{
	return place_of_number(numbers[key], text);
}

static void
choose_numbers(void)
{
	uint32_t count = 0;

	for (uint32_t number = 0; count < KEYS; number++)
	{
		char text[16];

		if (place_of_number(number, text).cell < CELLS)
			numbers[count++] = number;
	}
}

static uint64_t
hash_of(uint64_t version)
{
	return version * UINT64_C(0x9e3779b97f4a7c15);
}

static void
write_keys(struct records *self, const uint32_t *keys, uint32_t count,
		   bool is_removal)
{
	static const uint8_t object[300];
	struct dyn_write writes[WRITES_MAX];
	char texts[WRITES_MAX][16];

	for (uint32_t i = 0; i < count; i++)
	{
		uint64_t version = is_removal ? 0 : ++self->version_last;

		writes[i] = (struct dyn_write){ .key = place_of(keys[i], texts[i]),
										.hash = hash_of(version) };
		writes[i].object =
			(struct dyn_slice){ object, version ? 1 + version % 300 : 0 };
		self->versions[keys[i]] = version;
	}
	storerig_submit(self->rig, writes, count);
}

/* So many records, in STOREs of any size. */
static void
write_some(struct records *self, uint32_t total)
{
	while (total > 0)
	{
		uint32_t keys[WRITES_MAX];
		uint32_t most = below(self, 3) ? 3 : WRITES_MAX;
		uint32_t count = 1 + (uint32_t) below(self, most);

		if (count > total)
			count = total;
		for (uint32_t i = 0; i < count; i++)
			keys[i] = (uint32_t) below(self, KEYS);
		write_keys(self, keys, count, below(self, 4) == 0);
		total -= count;
		if (below(self, 10) == 0)
			storerig_finish(self->rig);
	}
	storerig_finish(self->rig);
}

static void
write_all(struct records *self, bool is_removal)
{
	for (uint32_t first = 0; first < KEYS; first += 100)
	{
		uint32_t keys[100];

		for (uint32_t i = 0; i < 100; i++)
			keys[i] = first + i;
		write_keys(self, keys, 100, is_removal);
	}
	storerig_finish(self->rig);
}

static uint64_t
root_of(const struct records *self)
{
	uint64_t root = 0;

	for (uint32_t key = 0; key < KEYS; key++)
	{
		char text[16];
		struct dyn_record_key place = place_of(key, text);

		if (self->versions[key] != 0)
			root ^= dyn_tree_item(dyn_hash_position(place.bucket, place.key),
								  hash_of(self->versions[key]));
	}
	return root;
}

static uint64_t answered_root;
static enum dyn_status answered_status;

static void
note_tree(struct storerig *rig, const struct dyn_event *event)
{
	if (event->type != DYN_EVENT_TREE)
		return;
	answered_status = event->tree.status;
	answered_root = 0;
	for (uint32_t i = 0; i < event->tree.hash_count; i++)
		answered_root ^= event->tree.hashes[i];
}

/* What the store answers for all nodes of a level below the first cells,
 * together. */
static uint64_t
ask_root(struct storerig *rig, enum dyn_tree_level level)
{
	struct dyn_effect effect = { .type = DYN_EFFECT_TREE };
	uint32_t count = dyn_tree_leaf_first(DYN_TREE_CELL, CELLS) /
					 dyn_tree_leaves_below(level);
	uint32_t *nodes = calloc(count, sizeof(*nodes));

	assert_non_null(nodes);
	for (uint32_t i = 0; i < count; i++)
		nodes[i] = i;
	effect.tree.level = level;
	effect.tree.nodes = nodes;
	effect.tree.node_count = count;
	rig->watch = note_tree;
	rig->store->ops->submit(rig->store, &effect);
	free(nodes);
	assert_true(storerig_turn(rig, STORERIG_WAIT_MS));
	assert_int_equal(answered_status, DYN_STATUS_OK);
	return answered_root;
}

static void
expect_tree(struct records *self)
{
	struct dyn_store_tree_report report = storerig_check(self->rig);
	uint64_t root = root_of(self);
	uint64_t count = 0;

	for (uint32_t key = 0; key < KEYS; key++)
		count += self->versions[key] != 0;
	assert_int_equal(report.records, count);
	assert_int_equal(report.wrong, 0);
	for (int level = DYN_TREE_CELL; level <= DYN_TREE_LEAF; level++)
		assert_true(ask_root(self->rig, (enum dyn_tree_level) level) == root);
}

/* ---- in peace ---- */

static void
the_tree_is_that_of_the_records_after_any_commits(void **state)
{
	struct records *records = records_new(*state, 1);

	for (int round = 0; round < 15; round++)
	{
		storerig_open(*state);
		expect_tree(records);
		for (int i = 0; i < 4; i++)
		{
			write_some(records, (uint32_t) below(records, 2500));
			expect_tree(records);
		}
		storerig_close(*state);
	}
	free(records);
}

static void
a_branch_that_becomes_all_zero_is_removed(void **state)
{
	struct records *records = records_new(*state, 2);
	struct storerig *rig = *state;

	storerig_open(rig);
	write_all(records, false);
	for (int i = 0; i < 20; i++)
		write_some(records, 2500);
	assert_true(storerig_check(rig).branches > 2000);
	write_all(records, true);
	/* One key, until the sweep has come round more than once. */
	for (int i = 0; i < 4 * 4 * KEYS; i++)
	{
		write_keys(records, &(uint32_t){ 7 }, 1, false);
		if (i % 64 == 0)
			storerig_finish(rig);
		if (rig->token_next == STORERIG_TOKENS_MAX)
		{
			storerig_finish(rig);
			storerig_close(rig);
			storerig_open(rig);
		}
	}
	storerig_finish(rig);
	assert_in_range(storerig_check(rig).branches, 1, 1);
	expect_tree(records);
	free(records);
}

static void
the_log_stays_short_whatever_the_size_of_commits(void **state)
{
	struct records *records = records_new(*state, 4);
	struct storerig *rig = *state;
	uint64_t longest = 0;

	storerig_open(rig);
	for (int i = 0; i < 60; i++)
	{
		struct dyn_store_tree_report report;
		struct dyn_store_tree_stats stats;

		write_some(records, 2500);
		stats = storerig_stats(rig).tree;
		report = storerig_check(rig);
		assert_int_equal(report.wrong, 0);
		assert_int_equal(report.log_leaves, stats.log_size);
		longest = stats.log_size > longest ? stats.log_size : longest;
		if (rig->token_next > STORERIG_TOKENS_MAX - 2500)
		{
			storerig_close(rig);
			storerig_open(rig);
		}
	}
	/* Two rounds of four changes for each branch, and a commit. */
	assert_in_range(longest, 1000, 2 * 4 * KEYS + WRITES_MAX);
	expect_tree(records);
	free(records);
}

/* A life is too short for a round of the sweep. */
static void
short_lives_do_not_make_the_log_longer_for_ever(void **state)
{
	struct records *records = records_new(*state, 5);
	struct storerig *rig = *state;
	uint64_t longest = 0;

	for (int life = 0; life < 60; life++)
	{
		uint64_t size;

		storerig_open(rig);
		write_some(records, 1500);
		size = storerig_stats(rig).tree.log_size;
		longest = size > longest ? size : longest;
		storerig_close(rig);
	}
	assert_in_range(longest, 1500, 3 * 4 * KEYS + 1500);
	storerig_open(rig);
	expect_tree(records);
	free(records);
}

static void
a_node_that_does_not_exist_is_an_error(void **state)
{
	struct storerig *rig = *state;
	uint32_t nodes[] = { 0, DYN_CELL_COUNT };
	struct dyn_effect effect = { .type = DYN_EFFECT_TREE };

	storerig_open(rig);
	effect.tree.level = DYN_TREE_CELL;
	effect.tree.nodes = nodes;
	effect.tree.node_count = 2;
	rig->watch = note_tree;
	rig->store->ops->submit(rig->store, &effect);
	assert_true(storerig_turn(rig, STORERIG_WAIT_MS));
	assert_int_equal(answered_status, DYN_STATUS_IO_ERROR);
}

/* ---- with LMDB alone, as another program would ---- */

/* As the first release left it: no hints, no tree. */
static void
make_first_format(const struct storerig *rig)
{
	static const char *const tables[] = { "hints", "tree", "tree_log" };
	struct storehand hand;

	storerig_make_old(rig, "1");
	hand = storehand_begin(rig);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(
			mdb_drop(hand.txn, storehand_table(&hand, tables[i]), 1), 0);
	storehand_end(&hand);
}

static void
a_store_of_the_first_release_gets_its_tree_once(void **state)
{
	struct records *records = records_new(*state, 6);
	struct storerig *rig = *state;
	struct dyn_write hint;

	storerig_open(rig);
	write_some(records, 20000);
	storerig_close(rig);
	make_first_format(rig);
	rig->rebuilds = 1;
	storerig_open(rig);
	expect_tree(records);
	hint = storerig_write("hint", "v", 1);
	hint.table = DYN_TABLE_HINTS;
	assert_int_equal(storerig_wait(rig, storerig_submit(rig, &hint, 1)),
					 DYN_STATUS_OK);
	write_some(records, 3000);
	expect_tree(records);
	storerig_close(rig);
	rig->rebuilds = 0;
	storerig_open(rig);
	expect_tree(records);
	free(records);
}

/* One of many records of a table, by number. */
static MDB_cursor *
some_record(struct storehand *hand, MDB_dbi table, uint64_t number,
			MDB_val *key, MDB_val *value)
{
	MDB_cursor *cursor;
	MDB_stat stat;

	assert_int_equal(mdb_stat(hand->txn, table, &stat), 0);
	assert_true(stat.ms_entries > 0);
	assert_int_equal(mdb_cursor_open(hand->txn, table, &cursor), 0);
	for (number %= stat.ms_entries;; number--)
	{
		assert_int_equal(mdb_cursor_get(cursor, key, value, MDB_NEXT), 0);
		if (number == 0)
			return cursor;
	}
}

/* A byte of a record's key or value becomes another one. */
static void
damage_by_hand(struct records *self, const char *table)
{
	struct storehand hand = storehand_begin(self->rig);
	MDB_dbi dbi = storehand_table(&hand, table);
	MDB_val key;
	MDB_val value;
	MDB_cursor *cursor =
		some_record(&hand, dbi, below(self, 10000), &key, &value);
	uint8_t change = (uint8_t) (1 + below(self, 255));
	uint8_t bytes[4096];
	size_t at = below(self, key.mv_size + value.mv_size);
	size_t key_size = key.mv_size;

	assert_true(key.mv_size + value.mv_size <= sizeof(bytes));
	memcpy(bytes, key.mv_data, key.mv_size);
	memcpy(bytes + key.mv_size, value.mv_data, value.mv_size);
	bytes[at] ^= change;
	value = (MDB_val){ value.mv_size, bytes + key_size };
	key = (MDB_val){ key_size, bytes };
	assert_int_equal(mdb_cursor_del(cursor, 0), 0);
	mdb_cursor_close(cursor);
	assert_int_equal(mdb_put(hand.txn, dbi, &key, &value, 0), 0);
	storehand_end(&hand);
}

static void
damage_to_the_tree_is_repaired_when_the_store_is_opened(void **state)
{
	struct records *records = records_new(*state, 7);
	struct storerig *rig = *state;
	uint64_t recomputed = 0;
	uint64_t rebuilt = 0;

	storerig_open(rig);
	write_some(records, 30000);
	storerig_close(rig);
	for (int round = 0; round < 60; round++)
	{
		struct dyn_store_tree_stats stats;

		/* Enough for a log that is not empty. */
		storerig_open(rig);
		write_some(records, 100);
		storerig_close(rig);
		rig->rebuilds = 0;
		damage_by_hand(records, round % 2 ? "tree" : "tree_log");
		storerig_open(rig);
		stats = storerig_stats(rig).tree;
		assert_true(stats.recomputed + stats.rebuilt > 0);
		recomputed += stats.recomputed;
		rebuilt += stats.rebuilt;
		expect_tree(records);
		assert_int_equal(storerig_check(rig).damaged_branches, 0);
		rig->rebuilds = stats.rebuilt;
		storerig_close(rig);
		rig->rebuilds = 0;
	}
	assert_true(recomputed > 0 && rebuilt > 0);
	print_message("# 60 times damage: %llu branches computed, %llu trees\n",
				  (unsigned long long) recomputed,
				  (unsigned long long) rebuilt);
	storerig_open(rig);
	expect_tree(records);
	free(records);
}

/* The check itself can fail. */
static void
a_tree_of_other_records_is_noticed(void **state)
{
	struct records *records = records_new(*state, 8);
	struct storerig *rig = *state;
	struct storehand hand;
	MDB_val key;
	MDB_val value;
	MDB_cursor *cursor;

	storerig_open(rig);
	write_some(records, 20000);
	storerig_close(rig);
	hand = storehand_begin(rig);
	cursor =
		some_record(&hand, storehand_table(&hand, "main"), 77, &key, &value);
	assert_int_equal(mdb_cursor_del(cursor, 0), 0);
	mdb_cursor_close(cursor);
	storehand_end(&hand);
	storerig_open(rig);
	assert_int_equal(storerig_check(rig).wrong, 1);
	rig->is_damaged = true;
	storerig_close(rig);
	free(records);
}

/* ---- damaged records ---- */

enum
{
	FEW = 150,
	DAMAGE_ROUNDS = 400
};

static void
few_key(uint32_t i, char key[32])
{
	snprintf(key, 32, "%s%c-few-%03u", i % 2 ? "c/" : "", 'a' + i % 3, i);
}

static size_t
few_object(uint32_t i, uint32_t round, uint8_t object[300])
{
	struct dyn_simrandom random = dyn_simrandom_stream(i, round);
	size_t size = 40 + dyn_simrandom_below(&random, 200);

	for (size_t b = 0; b < size; b++)
		object[b] = (uint8_t) dyn_simrandom_next(&random);
	return size;
}

static void
put_few(struct storerig *rig, uint32_t i, uint32_t round)
{
	uint8_t object[300];
	char key[32];
	size_t size = few_object(i, round, object);

	few_key(i, key);
	assert_int_equal(storerig_put(rig, key, object, size), DYN_STATUS_OK);
}

/* Key, head and object as they lie together on a page, wherever a copy of
 * them is: a byte of them becomes another one. */
static void
damage_few(struct storerig *rig, struct dyn_simrandom *random, uint32_t i,
		   uint32_t round)
{
	uint8_t object[300];
	size_t size = few_object(i, round, object);
	char key[32];
	char name[STOREFILE_NAME_MAX];
	struct storefile_image image = storefile_read(rig);
	/* Back from the object: its head, and then its name. */
	size_t back;
	size_t offset;
	uint8_t change = (uint8_t) (1 + dyn_simrandom_below(random, 255));

	few_key(i, key);
	back = DYN_RECORD_HEAD_SIZE + storefile_name(key, name);
	offset = dyn_simrandom_below(random, back + size);
	assert_true(storefile_change(rig, &image, object, size,
								 (ptrdiff_t) offset - (ptrdiff_t) back,
								 change) > 0);
	storefile_free(&image);
}

static void
write_again_after_damage(struct storerig *rig, struct dyn_simrandom *random,
						 uint32_t rounds[FEW], uint32_t round)
{
	uint32_t which = (uint32_t) dyn_simrandom_below(random, FEW);
	struct dyn_store_tree_report report;

	damage_few(rig, random, which, rounds[which]);
	storerig_open(rig);
	rounds[which] = round;
	if (dyn_simrandom_below(random, 4) == 0)
	{
		char key[32];

		few_key(which, key);
		assert_int_equal(storerig_put(rig, key, NULL, 0), DYN_STATUS_OK);
	}
	else
		put_few(rig, which, round);
	report = storerig_check(rig);
	assert_int_equal(report.damaged, 0);
	assert_int_equal(report.wrong, 0);
	put_few(rig, which, round);
	assert_int_equal(storerig_check(rig).records, FEW);
	storerig_close(rig);
}

static void
a_damaged_record_that_is_replaced_leaves_no_trace_in_the_tree(void **state)
{
	struct storerig *rig = *state;
	struct dyn_simrandom random = dyn_simrandom_stream(11, 12);
	uint32_t rounds[FEW] = { 0 };

	storerig_open(rig);
	for (uint32_t i = 0; i < FEW; i++)
		put_few(rig, i, 0);
	storerig_close(rig);
	for (uint32_t round = 1; round <= DAMAGE_ROUNDS; round++)
		write_again_after_damage(rig, &random, rounds, round);
}

/* ---- the simulated disk ---- */

static struct dyn_record_key
sim_place(uint32_t i, uint8_t *byte)
{
	*byte = (uint8_t) i;
	/* Few cells, so that records share branches. */
	return (struct dyn_record_key){ dyn_slice_of("b"),
									(uint16_t) (i % 2),
									{ byte, 1 } };
}

static void
the_simulated_disk_keeps_its_tree(void **state)
{
	struct dyn_simrandom random = dyn_simrandom_stream(21, 22);
	struct dyn_simdisk *disk = dyn_simdisk_new();
	struct dyn_simblob *blob = dyn_simblob_new(dyn_slice_of("object"));

	for (int i = 0; i < 20000; i++)
	{
		uint64_t dice = dyn_simrandom_below(&random, 10);
		uint32_t count = dyn_simdisk_count(disk, DYN_TABLE_MAIN);
		uint8_t byte;
		struct dyn_record_key place =
			sim_place((uint32_t) dyn_simrandom_below(&random, 200), &byte);

		if (dice == 0 && count > 0)
			dyn_simdisk_corrupt(disk,
								(uint32_t) dyn_simrandom_below(&random, count),
								dyn_simrandom_below(&random, 2) == 0);
		else
			dyn_simdisk_put(
				disk, DYN_TABLE_MAIN,
				&(struct dyn_simrecord){ .key = place,
										 .hash = dyn_simrandom_next(&random),
										 .object = dice < 4 ? NULL : blob });
		assert_int_equal(dyn_simdisk_tree_wrong(disk), 0);
	}
	dyn_simblob_release(blob);
	dyn_simdisk_free(&disk);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, set_up, storerig_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_tree_is_that_of_the_records_after_any_commits),
		TEST(a_branch_that_becomes_all_zero_is_removed),
		TEST(the_log_stays_short_whatever_the_size_of_commits),
		TEST(short_lives_do_not_make_the_log_longer_for_ever),
		TEST(a_node_that_does_not_exist_is_an_error),
		TEST(a_store_of_the_first_release_gets_its_tree_once),
		TEST(damage_to_the_tree_is_repaired_when_the_store_is_opened),
		TEST(a_tree_of_other_records_is_noticed),
		TEST(a_damaged_record_that_is_replaced_leaves_no_trace_in_the_tree),
		cmocka_unit_test(the_simulated_disk_keeps_its_tree),
	};

	choose_numbers();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
