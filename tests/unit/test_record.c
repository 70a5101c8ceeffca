/*
 * A record is believed only as it was written, under the key it was written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "io/store/record.h"

enum
{
	OBJECT_SIZE = 300
};

struct sample
{
	struct dyn_record_name name;
	uint8_t object[OBJECT_SIZE];
	uint8_t record[DYN_RECORD_HEAD_SIZE + OBJECT_SIZE];
	size_t size;
};

static struct dyn_slice
text(const char *string)
{
	return (struct dyn_slice){ (const uint8_t *) string, strlen(string) };
}

/* Since some day of 2286. */
#define HELD_AT UINT64_C(0x091122334455)

static struct sample
make_sample(size_t object_size)
{
	struct dyn_record_key key = { text("cart"), 0x0abc, text("alice") };
	struct sample sample;
	struct dyn_record record = { .hash = 0x1122334455,
								 .held_at_ms = HELD_AT,
								 .flags = DYN_RECORD_CROWDED,
								 .object = { sample.object, object_size } };

	assert_int_equal(dyn_record_name_make(&key, &sample.name), DYN_STATUS_OK);
	for (size_t i = 0; i < OBJECT_SIZE; i++)
		sample.object[i] = (uint8_t) (i * 7 + 3);
	sample.size = DYN_RECORD_HEAD_SIZE + object_size;
	assert_int_equal(dyn_record_encode(dyn_record_name_slice(&sample.name),
									   &record, sample.record),
					 DYN_STATUS_OK);
	return sample;
}

static enum dyn_status
decode(const struct sample *sample, struct dyn_record *out)
{
	return dyn_record_decode(dyn_record_name_slice(&sample->name),
							 (struct dyn_slice){ sample->record, sample->size },
							 out);
}

static void
what_was_written_is_read(void **state)
{
	for (size_t size = 0; size <= OBJECT_SIZE; size++)
	{
		struct sample sample = make_sample(size);
		struct dyn_record record;

		assert_int_equal(decode(&sample, &record), DYN_STATUS_OK);
		assert_true(record.hash == 0x1122334455);
		assert_true(record.held_at_ms == HELD_AT);
		assert_int_equal(record.slots, 0);
		assert_int_equal(record.flags, DYN_RECORD_CROWDED);
		assert_int_equal(record.object.size, size);
		assert_memory_equal(record.object.data, sample.object, size);
	}
}

static void
the_slots_of_a_hint_are_kept_and_covered_by_its_checksum(void **state)
{
	struct sample sample = make_sample(OBJECT_SIZE);
	struct dyn_slice name = dyn_record_name_slice(&sample.name);
	struct dyn_record record = { .object = { sample.object, OBJECT_SIZE } };

	for (unsigned slots = 0; slots <= UINT8_MAX; slots++)
	{
		record.slots = (uint8_t) slots;
		record.object.data = sample.object;
		assert_int_equal(dyn_record_encode(name, &record, sample.record),
						 DYN_STATUS_OK);
		assert_int_equal(decode(&sample, &record), DYN_STATUS_OK);
		assert_int_equal(record.slots, slots);
		sample.record[3] ^= (uint8_t) (1 << slots % 8);
		assert_int_equal(decode(&sample, &record), DYN_STATUS_CORRUPT);
	}
}

static void
a_time_beyond_48_bits_is_the_last_one_that_fits(void **state)
{
	struct sample sample = make_sample(OBJECT_SIZE);
	struct dyn_record record = { .held_at_ms = UINT64_MAX,
								 .object = { sample.object, OBJECT_SIZE } };

	assert_int_equal(dyn_record_encode(dyn_record_name_slice(&sample.name),
									   &record, sample.record),
					 DYN_STATUS_OK);
	assert_int_equal(decode(&sample, &record), DYN_STATUS_OK);
	assert_true(record.held_at_ms == (UINT64_C(1) << 48) - 1);
	assert_int_equal(record.flags, 0);
}

static void
every_flipped_bit_of_a_record_is_noticed(void **state)
{
	struct sample sample = make_sample(OBJECT_SIZE);
	struct dyn_record record;

	for (size_t i = 0; i < sample.size * 8; i++)
	{
		sample.record[i / 8] ^= (uint8_t) (1 << i % 8);
		assert_int_equal(decode(&sample, &record), DYN_STATUS_CORRUPT);
		sample.record[i / 8] ^= (uint8_t) (1 << i % 8);
	}
	assert_int_equal(decode(&sample, &record), DYN_STATUS_OK);
}

static void
every_flipped_bit_of_a_key_is_noticed_by_the_head_alone(void **state)
{
	struct sample sample = make_sample(OBJECT_SIZE);

	for (size_t i = 0; i < sample.name.size * 8; i++)
	{
		sample.name.bytes[i / 8] ^= (uint8_t) (1 << i % 8);
		assert_false(dyn_record_head_is_sound(
			dyn_record_name_slice(&sample.name),
			(struct dyn_slice){ sample.record, sample.size }));
		sample.name.bytes[i / 8] ^= (uint8_t) (1 << i % 8);
	}
}

static void
a_record_of_any_other_length_is_noticed(void **state)
{
	struct sample sample = make_sample(OBJECT_SIZE - 1);
	size_t whole = sample.size;
	struct dyn_record record;

	for (sample.size = 0; sample.size <= whole + 1; sample.size++)
		assert_int_equal(decode(&sample, &record), sample.size == whole
													   ? DYN_STATUS_OK
													   : DYN_STATUS_CORRUPT);
}

static void
a_name_that_was_never_made_is_no_place(void **state)
{
	static const char *const names[] = { "", "\0\0\0k", "bucket", "b\0\1" };
	static const size_t sizes[] = { 0, 4, 6, 3 };
	uint8_t bytes[DYN_BUCKET_SIZE_MAX + 5] = { 0 };
	struct dyn_record_key place;

	for (size_t i = 0; i < 4; i++)
		assert_false(dyn_record_name_parse(
			(struct dyn_slice){ (const uint8_t *) names[i], sizes[i] },
			&place));
	memset(bytes, 'x', DYN_BUCKET_SIZE_MAX + 1);
	assert_false(dyn_record_name_parse(
		(struct dyn_slice){ bytes, sizeof(bytes) }, &place));
}

static void
the_longest_key_fits_lmdb_and_a_longer_one_is_refused(void **state)
{
	uint8_t bytes[DYN_KEY_SIZE_MAX + 1];
	struct dyn_record_key key = { { bytes, DYN_BUCKET_SIZE_MAX },
								  DYN_CELL_COUNT - 1,
								  { bytes, DYN_KEY_SIZE_MAX } };
	struct dyn_record_name name;
	struct dyn_record_key back;

	memset(bytes, 'x', sizeof(bytes));
	assert_int_equal(dyn_record_name_make(&key, &name), DYN_STATUS_OK);
	assert_int_equal(name.size, 506);
	assert_true(dyn_record_name_parse(dyn_record_name_slice(&name), &back));
	assert_true(dyn_slice_equal(back.bucket, key.bucket));
	assert_int_equal(back.cell, DYN_CELL_COUNT - 1);
	assert_true(dyn_slice_equal(back.key, key.key));

	key.key.size++;
	assert_int_equal(dyn_record_name_make(&key, &name), DYN_STATUS_BAD_REQUEST);
	key.key.size--;
	key.bucket.size++;
	assert_int_equal(dyn_record_name_make(&key, &name), DYN_STATUS_BAD_REQUEST);
	key.bucket.size = 0;
	assert_int_equal(dyn_record_name_make(&key, &name), DYN_STATUS_BAD_REQUEST);
	key.bucket = (struct dyn_slice){ (const uint8_t *) "a\0b", 3 };
	assert_int_equal(dyn_record_name_make(&key, &name), DYN_STATUS_BAD_REQUEST);
}

/* The order on disk is (bucket, cell, key), whatever the bytes. */
static void
names_sort_as_bucket_cell_key(void **state)
{
	static const char *const buckets[] = { "a", "ab", "a\xff", "b" };
	static const uint16_t cells[] = { 0, 1, 255, 256, 4095 };
	static const char *const keys[] = { "\x01", "a", "aa", "b", "\xff" };
	struct dyn_record_name last = { 0 };

	for (size_t b = 0; b < 4; b++)
		for (size_t c = 0; c < 5; c++)
			for (size_t k = 0; k < 5; k++)
			{
				struct dyn_record_key key = { text(buckets[b]), cells[c],
											  text(keys[k]) };
				struct dyn_record_name name;

				assert_int_equal(dyn_record_name_make(&key, &name),
								 DYN_STATUS_OK);
				assert_true(dyn_slice_compare(dyn_record_name_slice(&last),
											  dyn_record_name_slice(&name)) <
							0);
				last = name;
			}
}

/* Pinned for ever: a store of today is read by every later program. */
static void
the_format_is_what_it_always_was(void **state)
{
	static const uint8_t head[DYN_RECORD_HEAD_SIZE] = {
		'D',  'y',  2,    0,    3,    0,    0,    0,    0x55, 0x44,
		0x33, 0x22, 0x11, 0,    0,    0,    0x1c, 0x48, 0x5b, 0x48,
		0xda, 0x8d, 0x08, 0xa9, 0x55, 0x44, 0x33, 0x22, 0x11, 0x09,
		2,    0,    0x8c, 0xe4, 0xe7, 0x36, 0xf6, 0x0d, 0xc7, 0x82
	};
	struct sample sample = make_sample(3);

	assert_memory_equal(sample.record, head, sizeof(head));
	assert_memory_equal(sample.name.bytes,
						"cart\0\x0a\xbc"
						"alice",
						12);
}

/* As the first program wrote it. */
static struct sample
make_first(void)
{
	static const uint8_t head[DYN_RECORD_HEAD_SIZE_FIRST] = {
		'D',  'y',  1,    0,    3,    0,    0,    0,    0x55, 0x44, 0x33,
		0x22, 0x11, 0,    0,    0,    0x1c, 0x48, 0x5b, 0x48, 0xda, 0x8d,
		0x08, 0xa9, 0x7f, 0xa8, 0x15, 0x91, 0x17, 0xee, 0x64, 0x74
	};
	struct sample sample = make_sample(3);

	memcpy(sample.record, head, sizeof(head));
	memcpy(sample.record + sizeof(head), sample.object, 3);
	sample.size = sizeof(head) + 3;
	return sample;
}

static void
a_record_of_the_first_format_is_read_and_says_that_it_wants_a_look(void **state)
{
	struct sample sample = make_first();
	struct dyn_record record;

	assert_int_equal(decode(&sample, &record), DYN_STATUS_OK);
	assert_true(record.hash == 0x1122334455);
	assert_true(record.held_at_ms == 0);
	assert_int_equal(record.slots, 0);
	assert_int_equal(record.flags, DYN_RECORD_MORTAL | DYN_RECORD_CROWDED);
	assert_int_equal(record.object.size, 3);
	assert_memory_equal(record.object.data, sample.object, 3);
}

static void
every_flipped_bit_of_the_first_format_is_noticed(void **state)
{
	struct sample sample = make_first();
	struct dyn_record record;

	for (size_t i = 0; i < sample.size * 8; i++)
	{
		sample.record[i / 8] ^= (uint8_t) (1 << i % 8);
		assert_int_equal(decode(&sample, &record), DYN_STATUS_CORRUPT);
		sample.record[i / 8] ^= (uint8_t) (1 << i % 8);
	}
}

static void
a_name_of_which_one_byte_is_damaged_is_found_out(void **unused)
{
	const struct sample sample = make_sample(50);
	struct dyn_slice bytes = { sample.record, sample.size };
	struct dyn_record_name found;

	for (size_t at = 0; at < sample.name.size; at++)
		for (unsigned change = 1; change < 256; change++)
		{
			struct dyn_record_name name = sample.name;

			name.bytes[at] ^= (uint8_t) change;
			assert_true(dyn_record_name_mend(dyn_record_name_slice(&name),
											 bytes, &found));
			assert_true(dyn_slice_equal(dyn_record_name_slice(&found),
										dyn_record_name_slice(&sample.name)));
		}
}

static void
what_has_lost_more_than_a_byte_of_its_name_stays_unknown(void **unused)
{
	struct sample sample = make_sample(50);
	struct dyn_slice bytes = { sample.record, sample.size };
	struct dyn_record_name found;
	struct dyn_record_name name = sample.name;

	name.bytes[0] ^= 1;
	name.bytes[6] ^= 1;
	assert_false(
		dyn_record_name_mend(dyn_record_name_slice(&name), bytes, &found));
	name.bytes[0] ^= 1;
	sample.record[9] ^= 1;
	assert_false(
		dyn_record_name_mend(dyn_record_name_slice(&name), bytes, &found));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written_is_read),
		cmocka_unit_test(
			the_slots_of_a_hint_are_kept_and_covered_by_its_checksum),
		cmocka_unit_test(every_flipped_bit_of_a_record_is_noticed),
		cmocka_unit_test(
			every_flipped_bit_of_a_key_is_noticed_by_the_head_alone),
		cmocka_unit_test(a_record_of_any_other_length_is_noticed),
		cmocka_unit_test(a_name_that_was_never_made_is_no_place),
		cmocka_unit_test(the_longest_key_fits_lmdb_and_a_longer_one_is_refused),
		cmocka_unit_test(names_sort_as_bucket_cell_key),
		cmocka_unit_test(a_time_beyond_48_bits_is_the_last_one_that_fits),
		cmocka_unit_test(the_format_is_what_it_always_was),
		cmocka_unit_test(
			a_record_of_the_first_format_is_read_and_says_that_it_wants_a_look),
		cmocka_unit_test(every_flipped_bit_of_the_first_format_is_noticed),
		cmocka_unit_test(a_name_of_which_one_byte_is_damaged_is_found_out),
		cmocka_unit_test(
			what_has_lost_more_than_a_byte_of_its_name_stays_unknown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
