/* The slot table: merging in any order ends in one table. */
#include "model/arena.h"
#include "model/ring.h"

#include "failing.h"
#include "prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum
{
	MEMBERS = 5,
	PARTITIONS = 8,
	REPLICAS = 3
};

static struct dyn_allocator
heap(void)
{
	return dyn_allocator_malloc();
}

static struct dyn_node_id
id_of(uint32_t number)
{
	struct dyn_node_id id = { { 0 } };

	id.bytes[0] = (uint8_t) (number + 1);
	return id;
}

static struct dyn_member
member_of(uint32_t number, uint64_t incarnation)
{
	struct dyn_member member = { .id = id_of(number),
								 .incarnation = incarnation,
								 .status = DYN_MEMBER_VALID,
								 .weight = 1 };

	snprintf(member.address, sizeof(member.address), "host%u:%u", number,
			 7001 + (unsigned) incarnation);
	return member;
}

static struct dyn_ring
new_ring(void)
{
	struct dyn_allocator allocator = heap();
	struct dyn_ring ring;

	assert_int_equal(
		dyn_ring_init(&ring, &allocator, id_of(200), PARTITIONS, REPLICAS),
		DYN_STATUS_OK);
	return ring;
}

/* All members, every partition owned by three of them. */
static struct dyn_ring
full_ring(void)
{
	struct dyn_ring ring = new_ring();

	for (uint32_t m = 0; m < MEMBERS; m++)
	{
		struct dyn_member member = member_of(m, 1);

		assert_int_equal(dyn_ring_merge_member(&ring, &member), DYN_STATUS_OK);
	}
	for (uint16_t p = 0; p < PARTITIONS; p++)
		for (uint8_t s = 0; s < REPLICAS; s++)
		{
			struct dyn_slot slot = { 1, 1, id_of((p + s) % MEMBERS) };

			assert_true(dyn_ring_merge_slot(&ring, p, s, &slot));
		}
	assert_int_equal(dyn_ring_check(&ring), DYN_STATUS_OK);
	return ring;
}

static void
impossible_sizes_are_refused(void **unused)
{
	static const uint16_t bad_partitions[] = { 0, 3, 100, 4097, 8192 };
	struct dyn_allocator allocator = heap();
	struct dyn_ring ring;

	for (int i = 0; i < 5; i++)
		assert_int_equal(
			dyn_ring_init(&ring, &allocator, id_of(0), bad_partitions[i], 3),
			DYN_STATUS_BAD_REQUEST);
	assert_int_equal(dyn_ring_init(&ring, &allocator, id_of(0), 8, 0),
					 DYN_STATUS_BAD_REQUEST);
	assert_int_equal(dyn_ring_init(&ring, &allocator, id_of(0), 8, 9),
					 DYN_STATUS_BAD_REQUEST);
}

/* The same records in two random orders give one table. */
static void
records_that_met_in_any_order_give_one_table(void **unused)
{
	struct prng prng = { 1 };

	for (int round = 0; round < 300; round++)
	{
		struct dyn_ring rings[2] = { full_ring(), full_ring() };
		struct dyn_member members[20];
		struct dyn_slot slots[40];
		uint32_t order[2][40];

		for (uint32_t i = 0; i < 20; i++)
		{
			members[i] =
				member_of(prng_below(&prng, MEMBERS), prng_below(&prng, 4));
			members[i].status = (enum dyn_member_status) prng_below(&prng, 3);
			members[i].weight = prng_below(&prng, 3);
		}
		for (uint32_t i = 0; i < 40; i++)
			slots[i] = (struct dyn_slot){ 1 + prng_below(&prng, 2),
										  1 + prng_below(&prng, 4),
										  id_of(prng_below(&prng, MEMBERS)) };
		for (int side = 0; side < 2; side++)
		{
			for (uint32_t i = 0; i < 40; i++)
				order[side][i] = i;
			for (uint32_t i = 40; i > 1; i--)
			{
				uint32_t j = prng_below(&prng, i);
				uint32_t keep = order[side][j];

				order[side][j] = order[side][i - 1];
				order[side][i - 1] = keep;
			}
			for (uint32_t i = 0; i < 40; i++)
			{
				uint32_t which = order[side][i];

				dyn_ring_merge_slot(
					&rings[side], (uint16_t) (which % PARTITIONS),
					(uint8_t) (which % REPLICAS), &slots[which]);
				if (which < 20)
					dyn_ring_merge_member(&rings[side], &members[which]);
				/* Meeting again changes nothing. */
				assert_false(dyn_ring_merge_slot(
					&rings[side], (uint16_t) (which % PARTITIONS),
					(uint8_t) (which % REPLICAS), &slots[which]));
			}
		}
		assert_int_equal(dyn_ring_digest(&rings[0]),
						 dyn_ring_digest(&rings[1]));
		dyn_ring_destroy(&rings[0]);
		dyn_ring_destroy(&rings[1]);
	}
}

static void
one_node_twice_in_a_partition_is_no_ring(void **unused)
{
	struct dyn_ring ring = full_ring();
	struct dyn_slot slot = { 2, 1, dyn_ring_slot(&ring, 0, 0)->node };

	dyn_ring_merge_slot(&ring, 0, 1, &slot);
	assert_int_equal(dyn_ring_check(&ring), DYN_STATUS_BAD_REQUEST);
	dyn_ring_destroy(&ring);
}

static void
a_slot_without_a_member_is_no_ring(void **unused)
{
	struct dyn_ring ring = full_ring();
	struct dyn_slot slot = { 2, 1, id_of(99) };

	dyn_ring_merge_slot(&ring, 3, 1, &slot);
	assert_int_equal(dyn_ring_check(&ring), DYN_STATUS_BAD_REQUEST);
	dyn_ring_destroy(&ring);
}

/* Two sound tables whose newest records do not fit together. */
static void
tables_that_contradict_each_other_do_not_merge(void **unused)
{
	struct dyn_ring mine = full_ring();
	struct dyn_ring other = full_ring();
	uint64_t digest = dyn_ring_digest(&mine);
	struct dyn_slot *slots = other.slots;
	struct dyn_node_id first = slots[0].node;

	/* They swap owners; one record is older than mine, so that mine stays. */
	slots[0] = (struct dyn_slot){ 1, 0, slots[1].node };
	slots[1] = (struct dyn_slot){ 1, 9, first };
	assert_int_equal(dyn_ring_check(&other), DYN_STATUS_OK);
	assert_int_equal(dyn_ring_merge(&mine, &other), DYN_STATUS_BAD_REQUEST);
	assert_int_equal(dyn_ring_digest(&mine), digest);

	slots[0].ver = 9;
	assert_int_equal(dyn_ring_merge(&mine, &other), DYN_STATUS_OK);
	assert_int_equal(dyn_ring_digest(&mine), dyn_ring_digest(&other));

	other.cluster = id_of(201);
	assert_int_equal(dyn_ring_merge(&mine, &other), DYN_STATUS_BAD_REQUEST);
	dyn_ring_destroy(&mine);
	dyn_ring_destroy(&other);
}

/* 64 members between them: what does not fit changes nothing. */
static void
a_table_with_too_many_members_does_not_merge(void **unused)
{
	struct dyn_ring mine = full_ring();
	struct dyn_ring other = full_ring();
	struct dyn_slot slot = { 1, 9, id_of(100) };
	uint64_t digest;

	for (uint32_t m = MEMBERS; m < DYN_MEMBERS_MAX; m++)
	{
		struct dyn_member member = member_of(m, 1);

		assert_int_equal(dyn_ring_merge_member(&mine, &member), DYN_STATUS_OK);
	}
	digest = dyn_ring_digest(&mine);
	{
		struct dyn_member member = member_of(100, 1);

		assert_int_equal(dyn_ring_merge_member(&other, &member), DYN_STATUS_OK);
	}
	dyn_ring_merge_slot(&other, 0, 0, &slot);
	assert_int_equal(dyn_ring_check(&other), DYN_STATUS_OK);
	assert_int_equal(dyn_ring_merge(&mine, &other), DYN_STATUS_TOO_LARGE);
	assert_int_equal(dyn_ring_digest(&mine), digest);
	dyn_ring_destroy(&mine);
	dyn_ring_destroy(&other);
}

static void
merging_without_memory_changes_nothing(void **unused)
{
	struct dyn_ring mine = full_ring();
	struct dyn_ring other = full_ring();
	uint64_t digest = dyn_ring_digest(&mine);
	struct dyn_allocator heap_allocator = mine.allocator;
	struct dyn_member member = member_of(0, 7);
	struct failing failing;

	dyn_ring_merge_member(&other, &member);
	for (long n = 0; n < 3; n++)
	{
		failing_init(&failing, n);
		mine.allocator = failing.allocator;
		assert_int_equal(dyn_ring_merge(&mine, &other), DYN_STATUS_NO_MEMORY);
		assert_int_equal(failing.live, 0);
		assert_int_equal(dyn_ring_digest(&mine), digest);
	}
	mine.allocator = heap_allocator;
	dyn_ring_destroy(&mine);
	dyn_ring_destroy(&other);
}

static void
members_are_found_and_bounded(void **unused)
{
	struct dyn_ring ring = new_ring();
	struct dyn_node_id stranger = id_of(250);

	for (uint32_t m = DYN_MEMBERS_MAX; m > 0; m--)
	{
		struct dyn_member member = member_of(m - 1, m);

		assert_int_equal(dyn_ring_merge_member(&ring, &member), DYN_STATUS_OK);
	}
	for (uint32_t m = 0; m < DYN_MEMBERS_MAX; m++)
	{
		struct dyn_node_id id = id_of(m);

		assert_int_equal(dyn_ring_member(&ring, &id)->incarnation, m + 1);
	}
	assert_null(dyn_ring_member(&ring, &stranger));
	{
		struct dyn_member member = member_of(100, 1);

		assert_int_equal(dyn_ring_merge_member(&ring, &member),
						 DYN_STATUS_TOO_LARGE);
	}
	dyn_ring_destroy(&ring);
}

static void
the_greater_incarnation_wins(void **unused)
{
	struct dyn_ring ring = full_ring();
	struct dyn_member older = member_of(2, 0);
	struct dyn_member newer = member_of(2, 9);

	dyn_ring_merge_member(&ring, &newer);
	dyn_ring_merge_member(&ring, &older);
	assert_string_equal(dyn_ring_member(&ring, &newer.id)->address,
						newer.address);
	dyn_ring_destroy(&ring);
}

static void
encoded_form_is_read_back(void **unused)
{
	struct dyn_ring ring = full_ring();
	struct dyn_allocator allocator = heap();
	struct dyn_slice bytes;
	struct dyn_ring back;

	assert_int_equal(dyn_ring_encode(&ring, &allocator, &bytes), DYN_STATUS_OK);
	assert_int_equal(dyn_ring_decode(bytes, &allocator, &back), DYN_STATUS_OK);
	assert_int_equal(dyn_ring_digest(&ring), dyn_ring_digest(&back));
	for (uint16_t p = 0; p < PARTITIONS; p++)
		assert_int_equal(
			dyn_ring_find(&back, p, &dyn_ring_slot(&ring, p, 2)->node), 2);
	dyn_ring_destroy(&ring);
	dyn_ring_destroy(&back);
	allocator.release(allocator.context, (void *) bytes.data);
}

/* Whatever arrives: a sound table, or a refusal, and no memory lost. */
static void
mutated_bytes_give_a_sound_table_or_none(void **unused)
{
	struct dyn_ring ring = full_ring();
	struct dyn_allocator allocator = heap();
	struct prng prng = { 2 };
	struct dyn_slice bytes;
	uint8_t mutated[4096];

	dyn_ring_encode(&ring, &allocator, &bytes);
	assert_true(bytes.size <= sizeof(mutated));
	for (int round = 0; round < 50000; round++)
	{
		struct failing failing;
		struct dyn_slice input = { mutated, bytes.size };
		struct dyn_ring back;

		memcpy(mutated, bytes.data, bytes.size);
		for (uint32_t i = 1 + prng_below(&prng, 3); i > 0; i--)
			mutated[prng_below(&prng, (uint32_t) bytes.size)] =
				(uint8_t) prng_next(&prng);
		if (prng_below(&prng, 6) == 0)
			input.size = prng_below(&prng, (uint32_t) bytes.size);
		failing_init(&failing, -1);
		if (dyn_ring_decode(input, &failing.allocator, &back) == DYN_STATUS_OK)
		{
			assert_int_equal(dyn_ring_check(&back), DYN_STATUS_OK);
			dyn_ring_destroy(&back);
		}
		assert_int_equal(failing.live, 0);
	}
	dyn_ring_destroy(&ring);
	allocator.release(allocator.context, (void *) bytes.data);
}

static void
running_out_of_memory_leaves_nothing_behind(void **unused)
{
	struct dyn_ring ring = full_ring();
	struct dyn_allocator allocator = heap();
	struct dyn_slice bytes;
	enum dyn_status status = DYN_STATUS_NO_MEMORY;
	long n;

	dyn_ring_encode(&ring, &allocator, &bytes);
	for (n = 0; status != DYN_STATUS_OK; n++)
	{
		struct failing failing;
		struct dyn_ring back;

		failing_init(&failing, n);
		status = dyn_ring_decode(bytes, &failing.allocator, &back);
		if (status == DYN_STATUS_OK)
			dyn_ring_destroy(&back);
		else
			assert_int_equal(status, DYN_STATUS_NO_MEMORY);
		assert_int_equal(failing.live, 0);
	}
	assert_true(n > 5);
	dyn_ring_destroy(&ring);
	allocator.release(allocator.context, (void *) bytes.data);
}

/* 64 members with the longest names, 4096 x 8 slots with the longest
 * numbers: what decoding accepts must hold it. */
static void
the_largest_table_is_read_back(void **unused)
{
	struct dyn_allocator allocator = heap();
	struct dyn_slice bytes;
	struct dyn_ring ring;
	struct dyn_ring back;

	assert_int_equal(dyn_ring_init(&ring, &allocator, id_of(200),
								   DYN_PARTITIONS_MAX, DYN_REPLICAS_MAX),
					 DYN_STATUS_OK);
	for (uint32_t m = 0; m < DYN_MEMBERS_MAX; m++)
	{
		struct dyn_member member = member_of(m, UINT64_MAX);

		memset(member.address, 'a', sizeof(member.address) - 1);
		memset(member.zone, 'z', sizeof(member.zone) - 1);
		member.store_generation = member.start_count = UINT64_MAX;
		assert_int_equal(dyn_ring_merge_member(&ring, &member), DYN_STATUS_OK);
	}
	for (uint16_t p = 0; p < DYN_PARTITIONS_MAX; p++)
		for (uint8_t s = 0; s < DYN_REPLICAS_MAX; s++)
		{
			struct dyn_slot slot = { UINT64_MAX, UINT64_MAX,
									 id_of((p + s) % DYN_MEMBERS_MAX) };

			dyn_ring_merge_slot(&ring, p, s, &slot);
		}
	assert_int_equal(dyn_ring_encode(&ring, &allocator, &bytes), DYN_STATUS_OK);
	assert_int_equal(dyn_ring_decode(bytes, &allocator, &back), DYN_STATUS_OK);
	assert_int_equal(dyn_ring_digest(&ring), dyn_ring_digest(&back));
	dyn_ring_destroy(&ring);
	dyn_ring_destroy(&back);
	allocator.release(allocator.context, (void *) bytes.data);
}

/* Two bytes for a member on the wire, 104 in memory. */
static void
a_table_of_a_million_empty_members_takes_bounded_memory(void **unused)
{
	enum
	{
		SIZE = 1024 * 1024
	};
	uint8_t *bytes = calloc(1, SIZE);
	struct dyn_arena arena;
	struct dyn_ring back;

	for (size_t i = 0; i < SIZE; i += 2)
		bytes[i] = 0x22;
	dyn_arena_init(&arena, dyn_allocator_malloc(), 0);
	assert_int_not_equal(dyn_ring_decode((struct dyn_slice){ bytes, SIZE },
										 &arena.allocator, &back),
						 DYN_STATUS_OK);
	/* The arena rounds each piece up on top of the ceiling. */
	assert_true(arena.used_size <= 80 * 1024 * 1024);
	dyn_arena_destroy(&arena);
	free(bytes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(impossible_sizes_are_refused),
		cmocka_unit_test(records_that_met_in_any_order_give_one_table),
		cmocka_unit_test(one_node_twice_in_a_partition_is_no_ring),
		cmocka_unit_test(a_slot_without_a_member_is_no_ring),
		cmocka_unit_test(tables_that_contradict_each_other_do_not_merge),
		cmocka_unit_test(a_table_with_too_many_members_does_not_merge),
		cmocka_unit_test(merging_without_memory_changes_nothing),
		cmocka_unit_test(members_are_found_and_bounded),
		cmocka_unit_test(the_greater_incarnation_wins),
		cmocka_unit_test(encoded_form_is_read_back),
		cmocka_unit_test(mutated_bytes_give_a_sound_table_or_none),
		cmocka_unit_test(running_out_of_memory_leaves_nothing_behind),
		cmocka_unit_test(the_largest_table_is_read_back),
		cmocka_unit_test(
			a_table_of_a_million_empty_members_takes_bounded_memory),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
