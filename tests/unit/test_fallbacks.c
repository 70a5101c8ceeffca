/* Who stands in for a partition's owners. */
#include "model/arena.h"
#include "model/ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum
{
	PARTITIONS = 1024,
	REPLICAS = 3
};

static struct dyn_node_id
id_of(uint32_t number)
{
	struct dyn_node_id id = { { 0 } };

	id.bytes[0] = (uint8_t) (number + 1);
	return id;
}

/* Partition p belongs to members p, p + 1, p + 2. */
static struct dyn_ring
ring_of(uint32_t member_count, uint32_t zone_count)
{
	struct dyn_allocator allocator = dyn_allocator_malloc();
	struct dyn_ring ring;

	assert_int_equal(
		dyn_ring_init(&ring, &allocator, id_of(200), PARTITIONS, REPLICAS),
		DYN_STATUS_OK);
	for (uint32_t i = 0; i < member_count; i++)
	{
		struct dyn_member member = { .id = id_of(i),
									 .status = DYN_MEMBER_VALID,
									 .weight = 1 };

		snprintf(member.address, sizeof(member.address), "host:%u", 7001 + i);
		if (zone_count != 0)
			snprintf(member.zone, sizeof(member.zone), "z%u", i % zone_count);
		assert_int_equal(dyn_ring_merge_member(&ring, &member), DYN_STATUS_OK);
	}
	for (uint32_t p = 0; p < PARTITIONS; p++)
		for (uint8_t s = 0; s < REPLICAS; s++)
		{
			struct dyn_slot slot = { .fepoch = 1,
									 .ver = 1,
									 .node = id_of((p + s) % member_count) };

			dyn_ring_merge_slot(&ring, (uint16_t) p, s, &slot);
		}
	return ring;
}

static void
everybody_but_the_owners_stands_in_once(void **state)
{
	struct dyn_ring ring = ring_of(9, 0);

	for (uint16_t p = 0; p < PARTITIONS; p++)
	{
		uint8_t list[DYN_MEMBERS_MAX];
		uint32_t count = dyn_ring_fallbacks(&ring, p, list);
		uint64_t seen = 0;

		assert_int_equal(count, 9 - REPLICAS);
		for (uint32_t i = 0; i < count; i++)
		{
			assert_int_equal(dyn_ring_find(&ring, p, &ring.members[list[i]].id),
							 -1);
			assert_int_equal(seen >> list[i] & 1, 0);
			seen |= 1ULL << list[i];
		}
	}
	dyn_ring_destroy(&ring);
}

static void
with_as_many_nodes_as_replicas_there_is_nobody(void **state)
{
	struct dyn_ring ring = ring_of(REPLICAS, 0);
	uint8_t list[DYN_MEMBERS_MAX];

	assert_int_equal(dyn_ring_fallbacks(&ring, 5, list), 0);
	dyn_ring_destroy(&ring);
}

/* How often each member is the first to stand in, of the partitions that
 * member 0 owns. */
static void
count_first(const struct dyn_ring *ring, uint32_t *counts)
{
	for (uint16_t p = 0; p < PARTITIONS; p++)
	{
		uint8_t list[DYN_MEMBERS_MAX];

		if (dyn_ring_find(ring, p, &ring->members[0].id) >= 0 &&
			dyn_ring_fallbacks(ring, p, list) != 0)
			counts[list[0]]++;
	}
}

static void
a_lost_nodes_load_spreads_over_all_others(void **state)
{
	struct dyn_ring ring = ring_of(30, 0);
	uint32_t counts[DYN_MEMBERS_MAX] = { 0 };
	uint32_t used = 0;

	count_first(&ring, counts);
	for (uint32_t i = 1; i < 30; i++)
	{
		used += counts[i] != 0;
		/* 102 partitions over some 27 nodes: 4 each, by chance up to 12. */
		assert_true(counts[i] < 14);
	}
	assert_true(used > 24);
	dyn_ring_destroy(&ring);
}

static void
weights_are_honoured(void **state)
{
	struct dyn_ring ring = ring_of(9, 0);
	uint32_t heavy = 0;
	uint32_t light = 0;

	ring.members[7].weight = 4;
	for (uint16_t p = 0; p < PARTITIONS; p++)
	{
		uint8_t list[DYN_MEMBERS_MAX];

		if (dyn_ring_find(&ring, p, &ring.members[7].id) >= 0 ||
			dyn_ring_find(&ring, p, &ring.members[4].id) >= 0)
			continue;
		dyn_ring_fallbacks(&ring, p, list);
		heavy += list[0] == 7;
		light += list[0] == 4;
	}
	assert_true(heavy > 2 * light && heavy < 8 * light);
	dyn_ring_destroy(&ring);
}

static void
zones_that_nobody_represents_come_first(void **state)
{
	/* Owners lie in zones 0, 1, 2 of 5, or 1, 2, 3, ... */
	struct dyn_ring ring = ring_of(10, 5);

	for (uint16_t p = 0; p < PARTITIONS; p++)
	{
		uint8_t list[DYN_MEMBERS_MAX];
		uint32_t zones = 0;

		assert_int_equal(dyn_ring_fallbacks(&ring, p, list), 10 - REPLICAS);
		for (uint8_t s = 0; s < REPLICAS; s++)
			zones |= 1U << ((p + s) % 10 % 5);
		for (uint32_t i = 0; i < 2; i++)
		{
			assert_int_equal(zones >> (list[i] % 5) & 1, 0);
			zones |= 1U << (list[i] % 5);
		}
	}
	dyn_ring_destroy(&ring);
}

static void
only_valid_members_stand_in(void **state)
{
	struct dyn_ring ring = ring_of(6, 0);
	uint8_t list[DYN_MEMBERS_MAX];

	ring.members[4].status = DYN_MEMBER_LEAVING;
	ring.members[5].weight = 0;
	assert_int_equal(dyn_ring_fallbacks(&ring, 0, list), 1);
	assert_int_equal(list[0], 3);
	dyn_ring_destroy(&ring);
}

/* All nodes must compute it alike, whatever they were compiled with. */
static void
the_order_is_pinned(void **state)
{
	struct dyn_ring ring = ring_of(9, 0);
	static const uint8_t wanted[] = { 6, 8, 4, 3, 7, 5 };
	uint8_t list[DYN_MEMBERS_MAX];

	assert_int_equal(dyn_ring_fallbacks(&ring, 0, list), sizeof(wanted));
	assert_memory_equal(list, wanted, sizeof(wanted));
	dyn_ring_destroy(&ring);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everybody_but_the_owners_stands_in_once),
		cmocka_unit_test(with_as_many_nodes_as_replicas_there_is_nobody),
		cmocka_unit_test(a_lost_nodes_load_spreads_over_all_others),
		cmocka_unit_test(weights_are_honoured),
		cmocka_unit_test(zones_that_nobody_represents_come_first),
		cmocka_unit_test(only_valid_members_stand_in),
		cmocka_unit_test(the_order_is_pinned),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
