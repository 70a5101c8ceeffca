/* Merging R owners' listings against a plain comparison of maps. */
#include "model/hash.h"
#include "model/scan_merge.h"

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
													  : DYN_STATUS_OK };
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_comes_once_and_agreed_only_when_all_hold_it),
		cmocka_unit_test(keys_out_of_order_or_twice_are_noticed),
		cmocka_unit_test(a_key_of_impossible_size_is_noticed),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_keys, NULL);
}
