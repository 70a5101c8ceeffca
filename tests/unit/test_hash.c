/* The position of a key never changes: these vectors pin it for ever. */
#include "model/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void
positions_are_pinned_for_ever(void **unused)
{
	static const struct
	{
		const char *bucket;
		const char *key;
		uint64_t position;
	} vectors[] = {
		{ "cart", "alice", 0xd2850bf675b6e0e1 },
		{ "cart", "bob", 0xa983ceca042de20d },
		{ "b", "k", 0xb7931afab3c5e541 },
	};

	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
		assert_int_equal(dyn_hash_position(dyn_slice_of(vectors[i].bucket),
										   dyn_slice_of(vectors[i].key)),
						 vectors[i].position);
}

/* XXH3_64 as its authors publish it, with their test data and without a seed,
 * on each of its ways by length; so another library or version that hashed
 * otherwise would be noticed before it moved a key. */
static void
bytes_are_hashed_as_xxh3_says(void **unused)
{
	static const struct
	{
		size_t size;
		uint64_t hash;
	} vectors[] = {
		{ 0, 0x2d06800538d394c2 },    { 1, 0xc44bdff4074eecdb },
		{ 6, 0x27b56a84cd2d7325 },    { 12, 0xa713daf0dfbb77e7 },
		{ 24, 0xa3fe70bf9d3510eb },   { 48, 0x397da259ecba1f11 },
		{ 80, 0xbcdefbbb2c47c90a },   { 195, 0xcd94217ee362ec3a },
		{ 403, 0xcdeb804d65c6dea4 },  { 512, 0x617e49599013cb6b },
		{ 2048, 0xdd59e2c3a5f038e0 }, { 2240, 0x6e73a90539cf2948 },
		{ 2367, 0xcb37aeb9e5d361ed },
	};
	uint8_t bytes[2367];
	uint64_t generator = 2654435761U;

	for (size_t i = 0; i < sizeof(bytes); i++)
	{
		bytes[i] = (uint8_t) (generator >> 56);
		generator *= 11400714785074694797ULL;
	}
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
		assert_int_equal(
			dyn_hash_bytes((struct dyn_slice){ bytes, vectors[i].size }),
			vectors[i].hash);
}

/* The definition of a position: XXH3_64 of bucket, NUL, key. */
static void
a_position_is_the_hash_of_bucket_nul_key(void **unused)
{
	static const uint8_t bytes[] = "cart\0alice";
	uint8_t longest[DYN_BUCKET_SIZE_MAX + 1 + DYN_KEY_SIZE_MAX];
	struct dyn_slice bucket = { longest, DYN_BUCKET_SIZE_MAX };
	struct dyn_slice key = { longest + DYN_BUCKET_SIZE_MAX + 1,
							 DYN_KEY_SIZE_MAX };

	assert_int_equal(
		dyn_hash_position(dyn_slice_of("cart"), dyn_slice_of("alice")),
		dyn_hash_bytes((struct dyn_slice){ bytes, sizeof(bytes) - 1 }));
	memset(longest, 0xff, sizeof(longest));
	longest[DYN_BUCKET_SIZE_MAX] = 0;
	assert_int_equal(
		dyn_hash_position(bucket, key),
		dyn_hash_bytes((struct dyn_slice){ longest, sizeof(longest) }));
}

static void
bucket_and_key_cannot_be_shifted_into_each_other(void **unused)
{
	assert_int_not_equal(
		dyn_hash_position(dyn_slice_of("ab"), dyn_slice_of("c")),
		dyn_hash_position(dyn_slice_of("a"), dyn_slice_of("bc")));
}

static void
partitions_are_contiguous_ranges_of_cells(void **unused)
{
	for (uint32_t count = 1; count <= DYN_PARTITIONS_MAX; count *= 2)
	{
		uint32_t next = 0;

		for (uint32_t p = 0; p < count; p++)
		{
			uint16_t first =
				dyn_hash_cell_first((uint16_t) p, (uint16_t) count);
			uint16_t last = dyn_hash_cell_last((uint16_t) p, (uint16_t) count);

			assert_int_equal(first, next);
			assert_int_equal(dyn_hash_partition(first, (uint16_t) count), p);
			assert_int_equal(dyn_hash_partition(last, (uint16_t) count), p);
			next = last + 1U;
		}
		assert_int_equal(next, DYN_CELL_COUNT);
	}
	assert_int_equal(dyn_hash_cell(UINT64_MAX), DYN_CELL_COUNT - 1);
	assert_int_equal(dyn_hash_cell(0), 0);
}

static void
sizes_of_keys_and_buckets_are_checked(void **unused)
{
	uint8_t bytes[512];
	struct dyn_slice slice = { bytes, 0 };

	memset(bytes, 'x', sizeof(bytes));
	assert_int_equal(dyn_key_check(slice), DYN_STATUS_BAD_REQUEST);
	assert_int_equal(dyn_bucket_check(slice), DYN_STATUS_BAD_REQUEST);
	slice.size = 1;
	assert_int_equal(dyn_key_check(slice), DYN_STATUS_OK);
	assert_int_equal(dyn_bucket_check(slice), DYN_STATUS_OK);
	slice.size = DYN_BUCKET_SIZE_MAX;
	assert_int_equal(dyn_bucket_check(slice), DYN_STATUS_OK);
	slice.size++;
	assert_int_equal(dyn_bucket_check(slice), DYN_STATUS_TOO_LARGE);
	slice.size = DYN_KEY_SIZE_MAX;
	assert_int_equal(dyn_key_check(slice), DYN_STATUS_OK);
	slice.size++;
	assert_int_equal(dyn_key_check(slice), DYN_STATUS_TOO_LARGE);
	slice.size = 3;
	bytes[1] = 0;
	assert_int_equal(dyn_key_check(slice), DYN_STATUS_OK);
	assert_int_equal(dyn_bucket_check(slice), DYN_STATUS_BAD_REQUEST);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(positions_are_pinned_for_ever),
		cmocka_unit_test(bytes_are_hashed_as_xxh3_says),
		cmocka_unit_test(a_position_is_the_hash_of_bucket_nul_key),
		cmocka_unit_test(bucket_and_key_cannot_be_shifted_into_each_other),
		cmocka_unit_test(partitions_are_contiguous_ranges_of_cells),
		cmocka_unit_test(sizes_of_keys_and_buckets_are_checked),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
