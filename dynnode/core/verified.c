#include "core/verified.h"

#include "core/cluster.h"
#include "core/state.h"

static uint32_t
slot_count(const struct dyn_node *node)
{
	const struct dyn_ring *ring = &node->cluster.ring;

	return (uint32_t) ring->partition_count * ring->replica_count;
}

static uint32_t
place(const struct dyn_node *node, uint16_t partition, uint8_t slot)
{
	return (uint32_t) partition * node->cluster.ring.replica_count + slot;
}

void
dyn_verified_note(struct dyn_node *node, uint16_t partition,
				  const struct dyn_node_id *owner, uint64_t at_ms)
{
	int slot = dyn_ring_find(&node->cluster.ring, partition, owner);
	struct dyn_verified *item;

	if (slot < 0)
		return;
	if (node->verified == NULL)
		node->verified =
			dyn_memory_take(slot_count(node) * sizeof(*node->verified));
	item = &node->verified[place(node, partition, (uint8_t) slot)];
	item->owner = *owner;
	item->at_ms = at_ms != 0 ? at_ms : 1;
}

uint64_t
dyn_verified_at(const struct dyn_node *node, uint16_t partition, uint8_t slot)
{
	const struct dyn_slot *owner =
		dyn_ring_slot(&node->cluster.ring, partition, slot);
	const struct dyn_verified *item;

	if (node->verified == NULL)
		return 0;
	item = &node->verified[place(node, partition, slot)];
	return dyn_node_id_compare(&item->owner, &owner->node) == 0 ? item->at_ms
																: 0;
}

void
dyn_verified_summary(const struct dyn_node *node,
					 const struct dyn_node_id *owner, uint32_t *shared,
					 uint32_t *verified, uint64_t *oldest_ms)
{
	const struct dyn_ring *ring = &node->cluster.ring;

	*shared = *verified = 0;
	*oldest_ms = 0;
	for (uint16_t p = 0; p < ring->partition_count; p++)
	{
		int slot = dyn_ring_find(ring, p, owner);
		uint64_t at_ms;

		if (slot < 0 || dyn_cluster_own_slot(node, p) < 0)
			continue;
		++*shared;
		at_ms = dyn_verified_at(node, p, (uint8_t) slot);
		if (at_ms == 0)
			continue;
		++*verified;
		if (*oldest_ms == 0 || at_ms < *oldest_ms)
			*oldest_ms = at_ms;
	}
}

void
dyn_verified_destroy(struct dyn_node *node)
{
	dyn_memory_give(node->verified);
}
