/* An encoded slot table: what is taken is sound and travels unchanged. */
#include "fuzz/targets.h"

#include "failing.h"

#include "model/arena.h"
#include "model/ring.h"

static void
check_ring(const struct dyn_ring *ring)
{
	struct dyn_allocator heap = dyn_allocator_malloc();
	struct dyn_slice bytes;
	struct dyn_ring back;

	FUZZ_REQUIRE(dyn_ring_check(ring) == DYN_STATUS_OK);
	FUZZ_REQUIRE(dyn_ring_encode(ring, &heap, &bytes) == DYN_STATUS_OK);
	FUZZ_REQUIRE(dyn_ring_decode(bytes, &heap, &back) == DYN_STATUS_OK);
	FUZZ_REQUIRE(dyn_ring_digest(ring) == dyn_ring_digest(&back));
	for (uint32_t i = 0; i < ring->member_count; i++)
		FUZZ_REQUIRE(dyn_ring_merge_member(&back, &ring->members[i]) ==
					 DYN_STATUS_OK);
	for (uint32_t p = 0; p < ring->partition_count; p++)
		for (uint8_t s = 0; s < ring->replica_count; s++)
			FUZZ_REQUIRE(!dyn_ring_merge_slot(
				&back, (uint16_t) p, s, dyn_ring_slot(ring, (uint16_t) p, s)));
	FUZZ_REQUIRE(dyn_ring_digest(ring) == dyn_ring_digest(&back));
	dyn_ring_destroy(&back);
	heap.release(heap.context, (void *) bytes.data);
}

void
fuzz_ring(const uint8_t *data, size_t size)
{
	struct failing failing;
	struct dyn_ring ring;
	enum dyn_status status;

	failing_init(&failing, -1);
	status = dyn_ring_decode((struct dyn_slice){ data, size },
							 &failing.allocator, &ring);
	if (status == DYN_STATUS_OK)
	{
		check_ring(&ring);
		dyn_ring_destroy(&ring);
	}
	else
		FUZZ_REQUIRE(status == DYN_STATUS_BAD_REQUEST ||
					 status == DYN_STATUS_TOO_LARGE);
	FUZZ_REQUIRE(failing.live == 0);
}
