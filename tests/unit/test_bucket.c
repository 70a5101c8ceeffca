/* The table of buckets: merging, order, bounds, and bytes from strangers. */
#include "model/arena.h"
#include "model/bucket.h"

#include "failing.h"
#include "prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct dyn_buckets a;
static struct dyn_buckets b;
static struct dyn_buckets c;

static int
set_up(void **unused)
{
	a.count = b.count = c.count = 0;
	return 0;
}

static struct dyn_bucket
bucket(const char *name, uint64_t version, uint64_t ttl_ms)
{
	struct dyn_bucket self = dyn_bucket_of(dyn_slice_of(name));

	self.version = version;
	self.ttl_ms = ttl_ms;
	return self;
}

static bool
set(struct dyn_buckets *table, const char *name, uint64_t version,
	uint64_t ttl_ms)
{
	struct dyn_bucket one = bucket(name, version, ttl_ms);

	return dyn_buckets_merge_one(table, &one);
}

static uint64_t
ttl_of(const struct dyn_buckets *table, const char *name)
{
	const struct dyn_bucket *found =
		dyn_buckets_find(table, dyn_slice_of(name));

	return found ? found->ttl_ms : UINT64_MAX;
}

static void
the_higher_version_stays(void **unused)
{
	assert_true(set(&a, "cart", 2, 20));
	assert_false(set(&a, "cart", 1, 10));
	assert_int_equal(ttl_of(&a, "cart"), 20);
	assert_true(set(&a, "cart", 3, 0));
	assert_int_equal(ttl_of(&a, "cart"), 0);
	assert_false(set(&a, "cart", 3, 0));
	assert_int_equal(a.count, 1);
	assert_null(dyn_buckets_find(&a, dyn_slice_of("car")));
	assert_null(dyn_buckets_find(&a, dyn_slice_of("carts")));
}

static void
changes_made_at_once_end_in_the_same_one_everywhere(void **unused)
{
	set(&a, "cart", 5, 1);
	set(&b, "cart", 5, 2);
	assert_false(dyn_buckets_digest(&a) == dyn_buckets_digest(&b));
	c = a;
	assert_true(dyn_buckets_merge(&a, &b) != dyn_buckets_merge(&b, &c));
	assert_true(dyn_buckets_digest(&a) == dyn_buckets_digest(&b));
	assert_int_equal(ttl_of(&a, "cart"), ttl_of(&b, "cart"));
}

/* Three tables of overlapping buckets, merged in any order and twice. */
static void
merging_is_idempotent_commutative_and_associative(void **unused)
{
	static struct dyn_buckets one;
	static struct dyn_buckets other;
	struct prng prng = { 5 };

	for (int round = 0; round < 2000; round++)
	{
		struct dyn_buckets *tables[3] = { &a, &b, &c };

		set_up(NULL);
		for (int i = 0; i < 60; i++)
		{
			char name[8];

			snprintf(name, sizeof(name), "b%u", prng_below(&prng, 12));
			set(tables[prng_below(&prng, 3)], name, 1 + prng_below(&prng, 3),
				prng_below(&prng, 3));
		}
		one = a;
		dyn_buckets_merge(&one, &b);
		dyn_buckets_merge(&one, &c);
		other = c;
		dyn_buckets_merge(&other, &b);
		dyn_buckets_merge(&other, &a);
		assert_true(dyn_buckets_digest(&one) == dyn_buckets_digest(&other));
		assert_false(dyn_buckets_merge(&one, &b));
		for (uint32_t i = 1; i < one.count; i++)
			assert_true(dyn_slice_compare(dyn_bucket_name(&one.items[i - 1]),
										  dyn_bucket_name(&one.items[i])) < 0);
	}
}

/* Two that have each filled their table alone: both end with the same. */
static void
a_table_never_grows_beyond_its_bound_and_still_converges(void **unused)
{
	char name[16];

	for (int i = 0; i < DYN_BUCKETS_MAX; i++)
	{
		snprintf(name, sizeof(name), "x%05d", 2 * i);
		assert_true(set(&a, name, 1, 1));
		snprintf(name, sizeof(name), "x%05d", 2 * i + 1);
		assert_true(set(&b, name, 1, 1));
	}
	assert_false(set(&a, "z", 1, 1));
	c = a;
	assert_true(dyn_buckets_merge(&a, &b));
	assert_true(dyn_buckets_merge(&b, &c));
	assert_int_equal(a.count, DYN_BUCKETS_MAX);
	assert_int_equal(b.count, DYN_BUCKETS_MAX);
	assert_true(dyn_buckets_digest(&a) == dyn_buckets_digest(&b));
	assert_int_equal(ttl_of(&a, "x00000"), 1);
	assert_int_equal(ttl_of(&a, "x01023"), 1);
	assert_int_equal(ttl_of(&a, "x01024"), UINT64_MAX);
}

static void
a_table_survives_its_encoded_form(void **unused)
{
	struct dyn_allocator heap = dyn_allocator_malloc();
	struct dyn_slice bytes;
	char name[DYN_BUCKET_SIZE_MAX + 1];

	for (int i = 0; i < DYN_BUCKETS_MAX; i++)
	{
		struct dyn_bucket one;

		snprintf(name, sizeof(name), "%063d", i);
		one = bucket(name, UINT64_MAX, DYN_TTL_MS_MAX);
		one.r = one.w = DYN_REPLICAS_MAX;
		one.conflict = DYN_CONFLICT_LWW;
		assert_true(dyn_buckets_merge_one(&a, &one));
	}
	assert_int_equal(dyn_buckets_encode(&a, &heap, &bytes), DYN_STATUS_OK);
	assert_int_equal(dyn_buckets_decode(bytes, &heap, &b), DYN_STATUS_OK);
	assert_true(dyn_buckets_digest(&a) == dyn_buckets_digest(&b));
	heap.release(heap.context, (void *) bytes.data);
	assert_int_equal(dyn_buckets_encode(&c, &heap, &bytes), DYN_STATUS_OK);
	assert_int_equal(dyn_buckets_decode(bytes, &heap, &b), DYN_STATUS_OK);
	assert_int_equal(b.count, 0);
	heap.release(heap.context, (void *) bytes.data);
}

static enum dyn_status
decode_table(Dyn__Bucket *first, Dyn__Bucket *second)
{
	struct dyn_allocator heap = dyn_allocator_malloc();
	Dyn__Bucket *list[2] = { first, second };
	Dyn__BucketTable table = DYN__BUCKET_TABLE__INIT;
	uint8_t bytes[512];

	table.n_buckets = second ? 2 : 1;
	table.buckets = list;
	return dyn_buckets_decode(
		(struct dyn_slice){ bytes, dyn__bucket_table__pack(&table, bytes) },
		&heap, &b);
}

static Dyn__Bucket
message_of(const char *name)
{
	Dyn__Bucket message = DYN__BUCKET__INIT;

	message.name = dyn_bytes_of_slice(dyn_slice_of(name));
	message.version = 1;
	return message;
}

static void
what_cannot_be_is_refused(void **unused)
{
	Dyn__Bucket good = message_of("a");
	Dyn__Bucket next = message_of("b");
	Dyn__Bucket bad[7];
	char text[65];

	memset(text, 'x', 64);
	text[64] = 0;
	assert_int_equal(decode_table(&good, &next), DYN_STATUS_OK);
	assert_int_equal(decode_table(&next, &good), DYN_STATUS_BAD_REQUEST);
	assert_int_equal(decode_table(&good, &good), DYN_STATUS_BAD_REQUEST);
	for (int i = 0; i < 7; i++)
		bad[i] = message_of("a");
	bad[0].name.len = 0;
	bad[1] = message_of(text);
	bad[2].r = DYN_REPLICAS_MAX + 1;
	bad[3].w = 256;
	bad[4].conflict = 2;
	bad[5].ttl_ms = DYN_TTL_MS_MAX + 1;
	bad[6].version = 0;
	for (int i = 0; i < 7; i++)
		assert_int_equal(decode_table(&bad[i], NULL), DYN_STATUS_BAD_REQUEST);
}

static void
properties_fit_the_number_of_replicas(void **unused)
{
	struct dyn_bucket one = bucket("cart", 1, 0);
	const char *why;

	one.r = 3;
	assert_true(dyn_bucket_is_sound(&one, 3, &why));
	assert_false(dyn_bucket_is_sound(&one, 2, &why));
	assert_non_null(strstr(why, "n"));
	one.r = 0;
	one.w = 4;
	assert_false(dyn_bucket_is_sound(&one, 3, &why));
	one.w = 0;
	one.ttl_ms = DYN_TTL_MS_MAX + 1;
	assert_false(dyn_bucket_is_sound(&one, 3, &why));
}

/* Mutated tables decode to something sound, or leave no memory behind. */
static void
mutated_bytes_keep_nothing(void **unused)
{
	struct dyn_allocator heap = dyn_allocator_malloc();
	struct prng prng = { 6 };
	struct dyn_slice bytes;
	uint32_t accepted = 0;

	for (int i = 0; i < 5; i++)
	{
		char name[8];

		snprintf(name, sizeof(name), "b%d", i);
		set(&a, name, 1 + i, 1000 * i);
	}
	assert_int_equal(dyn_buckets_encode(&a, &heap, &bytes), DYN_STATUS_OK);
	for (int round = 0; round < 50000; round++)
	{
		struct failing memory;
		uint8_t mutated[512];
		size_t size;

		memcpy(mutated, bytes.data, bytes.size);
		size =
			prng_mutate(&prng, mutated, bytes.size, 1 + prng_below(&prng, 3));
		failing_init(&memory, (long) prng_below(&prng, 40) - 20);
		accepted += dyn_buckets_decode((struct dyn_slice){ mutated, size },
									   &memory.allocator, &b) == DYN_STATUS_OK;
		assert_int_equal(memory.live, 0);
	}
	assert_true(accepted > 100);
	heap.release(heap.context, (void *) bytes.data);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_higher_version_stays, set_up),
		cmocka_unit_test_setup(
			changes_made_at_once_end_in_the_same_one_everywhere, set_up),
		cmocka_unit_test_setup(
			merging_is_idempotent_commutative_and_associative, set_up),
		cmocka_unit_test_setup(
			a_table_never_grows_beyond_its_bound_and_still_converges, set_up),
		cmocka_unit_test_setup(a_table_survives_its_encoded_form, set_up),
		cmocka_unit_test_setup(what_cannot_be_is_refused, set_up),
		cmocka_unit_test_setup(properties_fit_the_number_of_replicas, set_up),
		cmocka_unit_test_setup(mutated_bytes_keep_nothing, set_up),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
