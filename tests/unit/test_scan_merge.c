/* Merging R owners' listings against a plain comparison of maps. */
#include "model/hash.h"
#include "model/scan_census.h"
#include "model/scan_merge.h"
#include "model/tree.h"

#include "prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum
{
	KEYS = 40,
	STREAMS = 3
};

static const char *const bucket = "b";
static char key_texts[KEYS][8];
static struct dyn_slice keys[KEYS]; /* in the order (cell, key) */

/* What stream s holds of key k: 0 = nothing, else a hash; CORRUPT apart. */
struct holding
{
	uint64_t hash;
	bool corrupt;
};

static uint16_t
cell_of_key(int k)
{
	return dyn_hash_cell(dyn_hash_position(dyn_slice_of(bucket), keys[k]));
}

static int
compare_keys(const void *a, const void *b)
{
	const struct dyn_slice *ka = a;
	const struct dyn_slice *kb = b;
	uint16_t ca = dyn_hash_cell(dyn_hash_position(dyn_slice_of(bucket), *ka));
	uint16_t cb = dyn_hash_cell(dyn_hash_position(dyn_slice_of(bucket), *kb));

	if (ca != cb)
		return ca < cb ? -1 : 1;
	return dyn_slice_compare(*ka, *kb);
}

static int
make_keys(void **unused)
{
	for (int k = 0; k < KEYS; k++)
	{
		snprintf(key_texts[k], sizeof(key_texts[k]), "key%d", k);
		keys[k] = dyn_slice_of(key_texts[k]);
	}
	qsort(keys, KEYS, sizeof(keys[0]), compare_keys);
	return 0;
}

struct lister
{
	struct dyn_scan_item items[KEYS];
	uint32_t count;
	uint32_t next;
};

static void
list(struct lister *lister, const struct holding *holdings)
{
	lister->count = lister->next = 0;
	for (int k = 0; k < KEYS; k++)
		if (holdings[k].hash != 0)
			lister->items[lister->count++] =
				(struct dyn_scan_item){ .key = keys[k],
										.hash = holdings[k].hash,
										.status = holdings[k].corrupt
													  ? DYN_STATUS_CORRUPT
													  : DYN_STATUS_OK,
										.cell = cell_of_key(k) };
}

/* Do all streams hold the same readable record of a key? */
static bool
agree(struct holding holdings[STREAMS][KEYS], uint8_t streams, int k)
{
	for (uint8_t s = 0; s < streams; s++)
		if (holdings[s][k].hash == 0 || holdings[s][k].corrupt ||
			holdings[s][k].hash != holdings[0][k].hash)
			return false;
	return true;
}

static bool
anybody_has(struct holding holdings[STREAMS][KEYS], uint8_t streams, int k)
{
	for (uint8_t s = 0; s < streams; s++)
		if (holdings[s][k].hash != 0)
			return true;
	return false;
}

static void
merge_and_compare(struct prng *prng, uint8_t streams)
{
	struct holding holdings[STREAMS][KEYS];
	struct lister listers[STREAMS];
	struct dyn_scan_merge merge;
	struct dyn_scan_item item;
	uint8_t which;
	int k = 0;

	for (int i = 0; i < KEYS; i++)
	{
		uint64_t common = prng_below(prng, 4) ? 1 + prng_below(prng, 9) : 0;

		for (uint8_t s = 0; s < streams; s++)
		{
			holdings[s][i].hash =
				prng_below(prng, 8) ? common : prng_below(prng, 3);
			holdings[s][i].corrupt = prng_below(prng, 30) == 0;
		}
	}
	for (uint8_t s = 0; s < streams; s++)
		list(&listers[s], holdings[s]);
	dyn_scan_merge_init(&merge, dyn_slice_of(bucket), streams);
	for (;;)
	{
		enum dyn_scan_merge_step step =
			dyn_scan_merge_next(&merge, &item, &which);

		if (step == DYN_SCAN_NEED_PAGE)
		{
			struct lister *lister = &listers[which];
			uint32_t left = lister->count - lister->next;
			uint32_t size = prng_below(prng, 5);

			size = size < left ? size : left;
			/* The last page may come empty, or with the last items. */
			dyn_scan_merge_feed(&merge, which, lister->items + lister->next,
								size, size == left && prng_below(prng, 2) == 0);
			lister->next += size;
			continue;
		}
		while (k < KEYS && !anybody_has(holdings, streams, k))
			k++;
		if (step == DYN_SCAN_END)
			break;
		assert_true(k < KEYS);
		assert_true(dyn_slice_equal(item.key, keys[k]));
		assert_int_equal(step, agree(holdings, streams, k) ? DYN_SCAN_ITEM
														   : DYN_SCAN_DIVERGED);
		k++;
	}
	assert_int_equal(k, KEYS);
}

static void
every_key_comes_once_and_agreed_only_when_all_hold_it(void **unused)
{
	struct prng prng = { 4 };

	for (int round = 0; round < 20000; round++)
		merge_and_compare(&prng, (uint8_t) (1 + prng_below(&prng, STREAMS)));
}

static void
keys_out_of_order_or_twice_are_noticed(void **unused)
{
	for (int first = 0; first < KEYS; first++)
		for (int second = 0; second < KEYS; second++)
		{
			struct dyn_scan_item items[2] = {
				{ .key = keys[first], .hash = 1, .status = DYN_STATUS_OK },
				{ .key = keys[second], .hash = 1, .status = DYN_STATUS_OK }
			};
			struct dyn_scan_merge merge;
			struct dyn_scan_item item;
			uint8_t which;

			dyn_scan_merge_init(&merge, dyn_slice_of(bucket), 1);
			assert_int_equal(dyn_scan_merge_next(&merge, &item, &which),
							 DYN_SCAN_NEED_PAGE);
			dyn_scan_merge_feed(&merge, 0, items, 2, true);
			assert_int_equal(dyn_scan_merge_next(&merge, &item, &which),
							 DYN_SCAN_ITEM);
			assert_int_equal(dyn_scan_merge_next(&merge, &item, &which),
							 second > first ? DYN_SCAN_ITEM
											: DYN_SCAN_BAD_ORDER);
		}
}

static void
a_key_of_impossible_size_is_noticed(void **unused)
{
	struct dyn_scan_item bad = { .key = { (const uint8_t *) "", 0 } };
	struct dyn_scan_merge merge;
	struct dyn_scan_item item;
	uint8_t which;

	dyn_scan_merge_init(&merge, dyn_slice_of(bucket), 1);
	dyn_scan_merge_feed(&merge, 0, &bad, 1, true);
	assert_int_equal(dyn_scan_merge_next(&merge, &item, &which),
					 DYN_SCAN_BAD_ORDER);
}

/* ---- equal cells ---- */

/*
 * What owners hold of a key: versions 1, 2, ... of which each includes those
 * before it, as merging makes it.  `told` is what the hash of its cell stands
 * for, `held` what a page finds later.
 */
struct copy
{
	uint64_t told;
	uint64_t held;
	bool damaged;
};

struct owner
{
	struct copy copies[KEYS];
	uint64_t hashes[DYN_CELL_COUNT];
	struct dyn_scan_item items[KEYS];
	uint32_t count;
};

static struct owner owners[STREAMS];

static void
tell_hash(struct owner *owner, int k)
{
	uint64_t position = dyn_hash_position(dyn_slice_of(bucket), keys[k]);

	if (owner->copies[k].told != 0)
		owner->hashes[cell_of_key(k)] ^=
			dyn_tree_item(position, owner->copies[k].told);
}

/* Half of the keys: else too few cells would be equal. */
static void
make_owners(struct prng *prng, uint8_t count)
{
	memset(owners, 0, sizeof(owners));
	for (int k = 0; k < KEYS; k += 2)
	{
		uint64_t common = prng_below(prng, 4);

		for (uint8_t s = 0; s < count; s++)
		{
			struct copy *copy = &owners[s].copies[k];

			copy->told = prng_below(prng, 12) ? common : prng_below(prng, 4);
			copy->held = copy->told + (prng_below(prng, 12) == 0);
			copy->damaged = copy->held != 0 && prng_below(prng, 60) == 0;
			tell_hash(&owners[s], k);
		}
	}
}

/* What the owner lists, but only in cells that it is asked for, and behind
 * the key `last`. */
static void
list_owner(struct owner *owner, const struct dyn_scan_merge *merge,
		   bool is_first, struct dyn_slice last)
{
	bool begun = last.size == 0;

	owner->count = 0;
	for (int k = 0; k < KEYS; k++)
	{
		const struct copy *copy = &owner->copies[k];
		uint16_t cell = cell_of_key(k);
		bool wanted = is_first || dyn_scan_merge_differing(merge, &cell,
														   &(uint16_t){ cell });

		if (begun && wanted && copy->held != 0)
			owner->items[owner->count++] = (struct dyn_scan_item){
				.key = keys[k],
				.hash = copy->held,
				.status = copy->damaged ? DYN_STATUS_CORRUPT : DYN_STATUS_OK,
				.cell = cell_of_key(k)
			};
		begun |= dyn_slice_equal(keys[k], last);
	}
}

struct merging
{
	struct prng *prng;
	uint8_t streams;
	struct dyn_scan_merge merge;
	uint32_t next[STREAMS];
};

static void
list_all(struct merging *self, uint8_t from, struct dyn_slice last)
{
	for (uint8_t s = from; s < self->streams; s++)
	{
		list_owner(&owners[s], &self->merge, s == 0, last);
		self->next[s] = 0;
	}
}

static void
list_anew(struct merging *self)
{
	struct dyn_slice last;
	uint16_t cell;

	if (!dyn_scan_merge_last(&self->merge, &cell, &last))
		last.size = 0;
	list_all(self, 1, last);
}

static void
feed_some(struct merging *self, uint8_t which)
{
	struct owner *owner = &owners[which];
	uint32_t left = owner->count - self->next[which];
	uint32_t size = prng_below(self->prng, 5);
	const struct dyn_scan_item *items = owner->items + self->next[which];

	/* Another owner takes over what the first one has begun. */
	if (which == 0 && self->merge.equal_count > 0 &&
		prng_below(self->prng, 20) == 0)
	{
		dyn_scan_merge_distrust(&self->merge);
		list_anew(self);
	}
	size = size < left ? size : left;
	self->next[which] += size;
	if (dyn_scan_merge_feed(&self->merge, which, items, size, size == left))
		list_anew(self);
}

/* Was the key worth a row, and if it came without a second look, was that no
 * less than what everybody had told? */
static void
judge(uint8_t streams, int k, enum dyn_scan_merge_step step, uint64_t shown)
{
	bool some_copy_counts = false;

	for (uint8_t s = 0; s < streams; s++)
	{
		const struct copy *copy = &owners[s].copies[k];

		some_copy_counts |= copy->told != 0;
		if (step == DYN_SCAN_ITEM)
			assert_true(shown >= copy->told);
	}
	if (some_copy_counts)
		assert_true(step == DYN_SCAN_ITEM || step == DYN_SCAN_DIVERGED);
}

static uint32_t
compare_and_merge(struct prng *prng, uint8_t streams)
{
	struct merging self = { .prng = prng, .streams = streams };
	const uint64_t *hashes[STREAMS];
	struct dyn_scan_item item;
	uint8_t which;
	int k = 0;

	make_owners(prng, streams);
	for (uint8_t s = 0; s < streams; s++)
		hashes[s] = owners[s].hashes;
	dyn_scan_merge_init(&self.merge, dyn_slice_of(bucket), streams);
	dyn_scan_merge_compare(&self.merge, 0, hashes, DYN_CELL_COUNT);
	list_all(&self, 0, (struct dyn_slice){ NULL, 0 });
	for (;;)
	{
		enum dyn_scan_merge_step step =
			dyn_scan_merge_next(&self.merge, &item, &which);

		if (step == DYN_SCAN_NEED_PAGE)
		{
			feed_some(&self, which);
			continue;
		}
		assert_int_not_equal(step, DYN_SCAN_BAD_ORDER);
		while (k < KEYS &&
			   (step == DYN_SCAN_END || !dyn_slice_equal(keys[k], item.key)))
			judge(streams, k++, DYN_SCAN_END, 0);
		if (step == DYN_SCAN_END)
			return self.merge.equal_count;
		assert_true(k < KEYS);
		judge(streams, k++, step, item.hash);
	}
}

static void
one_copy_of_equal_cells_shows_what_reads_of_all_owners_would(void **unused)
{
	struct prng prng = { 8 };
	uint64_t equal = 0;

	for (int round = 0; round < 20000; round++)
		equal += compare_and_merge(&prng, (uint8_t) (2 + prng_below(&prng, 2)));
	/* Not that it looked everywhere. */
	assert_true(equal / 20000 > DYN_CELL_COUNT / 2);
}

static void
only_cells_that_differ_are_asked_for(void **unused)
{
	static uint64_t own[DYN_CELL_COUNT];
	static uint64_t theirs[DYN_CELL_COUNT];
	const uint64_t *hashes[2] = { own, theirs };
	struct dyn_scan_merge merge;
	uint16_t first = 16;
	uint16_t last = 31;

	dyn_scan_merge_init(&merge, dyn_slice_of(bucket), 2);
	assert_true(dyn_scan_merge_differing(&merge, &first, &last));
	assert_true(first == 16 && last == 31);
	theirs[3] = theirs[4] = theirs[15] = 1;
	dyn_scan_merge_compare(&merge, 16, hashes, 16);
	assert_int_equal(merge.equal_count, 13);
	assert_true(dyn_scan_merge_differing(&merge, &first, &last));
	assert_true(first == 19 && last == 20);
	first = 21, last = 31;
	assert_true(dyn_scan_merge_differing(&merge, &first, &last));
	assert_true(first == 31 && last == 31);
	first = 21, last = 30;
	assert_false(dyn_scan_merge_differing(&merge, &first, &last));
}

static void
a_third_owner_that_differs_makes_the_cell_differ(void **unused)
{
	static const uint64_t same[1] = { 5 };
	static const uint64_t other[1] = { 6 };
	const uint64_t *hashes[3] = { same, same, other };
	struct dyn_scan_merge merge;

	dyn_scan_merge_init(&merge, dyn_slice_of(bucket), 3);
	dyn_scan_merge_compare(&merge, 7, hashes, 1);
	assert_int_equal(merge.equal_count, 0);
}

/* The key that is missing there may stand on no other of the R owners. */
static void
a_page_with_a_misnamed_record_is_no_answer(void **unused)
{
	struct dyn_scan_item misnamed = { .key = keys[1],
									  .status = DYN_STATUS_CORRUPT,
									  .cell = cell_of_key(0) };
	struct dyn_scan_item damaged = { .key = keys[0],
									 .status = DYN_STATUS_CORRUPT,
									 .cell = cell_of_key(0) };
	struct dyn_scan_item items[2] = { damaged, misnamed };

	assert_true(dyn_scan_item_is_misnamed(dyn_slice_of(bucket), &misnamed));
	assert_false(dyn_scan_item_is_misnamed(dyn_slice_of(bucket), &damaged));
	assert_true(dyn_scan_page_is_sound(dyn_slice_of(bucket), NULL, 0));
	assert_true(dyn_scan_page_is_sound(dyn_slice_of(bucket), items, 1));
	assert_false(dyn_scan_page_is_sound(dyn_slice_of(bucket), items, 2));
}

static void
a_cell_that_is_none_is_noticed(void **unused)
{
	struct dyn_scan_item item = { .key = keys[0],
								  .status = DYN_STATUS_CORRUPT,
								  .cell = DYN_CELL_COUNT };
	struct dyn_scan_merge merge;
	uint8_t which;

	dyn_scan_merge_init(&merge, dyn_slice_of(bucket), 1);
	dyn_scan_merge_feed(&merge, 0, &item, 1, true);
	assert_int_equal(dyn_scan_merge_next(&merge, &item, &which),
					 DYN_SCAN_BAD_ORDER);
}

/* ---- is it worth it? ---- */

static void
few_keys_are_listed_many_are_compared(void **unused)
{
	struct dyn_scan_census census;

	dyn_scan_census_init(&census, 256);
	assert_int_equal(census.cells, 16);
	assert_false(dyn_scan_census_wants(&census));
	dyn_scan_census_note(&census, 31, false, 0);
	assert_false(dyn_scan_census_wants(&census));
	dyn_scan_census_note(&census, 33, false, 0);
	assert_true(dyn_scan_census_wants(&census));
}

static void
where_most_cells_differ_comparing_rests_for_a_while(void **unused)
{
	struct dyn_scan_census census;
	uint32_t rested = 0;

	dyn_scan_census_init(&census, 256);
	dyn_scan_census_note(&census, 1000, false, 0);
	dyn_scan_census_note(&census, 1000, true, 8);
	assert_true(dyn_scan_census_wants(&census));
	dyn_scan_census_note(&census, 1000, true, 7);
	for (; !dyn_scan_census_wants(&census); rested++)
		dyn_scan_census_note(&census, 1000, false, 0);
	assert_int_equal(rested, DYN_SCAN_UNCOMPARED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_comes_once_and_agreed_only_when_all_hold_it),
		cmocka_unit_test(keys_out_of_order_or_twice_are_noticed),
		cmocka_unit_test(a_key_of_impossible_size_is_noticed),
		cmocka_unit_test(
			one_copy_of_equal_cells_shows_what_reads_of_all_owners_would),
		cmocka_unit_test(only_cells_that_differ_are_asked_for),
		cmocka_unit_test(a_third_owner_that_differs_makes_the_cell_differ),
		cmocka_unit_test(a_page_with_a_misnamed_record_is_no_answer),
		cmocka_unit_test(a_cell_that_is_none_is_noticed),
		cmocka_unit_test(few_keys_are_listed_many_are_compared),
		cmocka_unit_test(where_most_cells_differ_comparing_rests_for_a_while),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_keys, NULL);
}
