#include "core/cluster.h"

#include "core/peer.h"
#include "model/hash.h"

#include <string.h>

enum
{
	NO_MEMBER = DYN_MEMBERS_MAX /* the end of a list of fallbacks */
};

bool
dyn_cluster_serves(const struct dyn_node *node)
{
	return node->cluster.formed && node->now_ms >= node->quiet_until_ms;
}

uint16_t
dyn_cluster_partition(const struct dyn_node *node, uint16_t cell)
{
	return dyn_hash_partition(cell, node->cluster.ring.partition_count);
}

int32_t
dyn_cluster_owner(const struct dyn_node *node, uint16_t partition, uint8_t slot)
{
	const struct dyn_cluster *cluster = &node->cluster;

	return cluster
		->member_peer[cluster->slot_member[partition * cluster->n + slot]];
}

int
dyn_cluster_own_slot(const struct dyn_node *node, uint16_t partition)
{
	for (uint8_t slot = 0; slot < node->cluster.n; slot++)
		if (dyn_cluster_owner(node, partition, slot) == DYN_PEER_SELF)
			return slot;
	return -1;
}

const char *
dyn_cluster_owner_address(const struct dyn_node *node, uint16_t partition,
						  uint8_t slot)
{
	const struct dyn_cluster *cluster = &node->cluster;

	return cluster->ring
		.members[cluster->slot_member[partition * cluster->n + slot]]
		.address;
}

bool
dyn_cluster_fallback(struct dyn_node *node, uint16_t partition, uint32_t index,
					 int32_t *peer)
{
	struct dyn_cluster *cluster = &node->cluster;
	uint8_t *list = cluster->fallbacks[partition];

	if (list == NULL)
	{
		uint32_t count;

		list = dyn_memory_take(cluster->ring.member_count + 1);
		count = dyn_ring_fallbacks(&cluster->ring, partition, list);
		list[count] = NO_MEMBER;
		cluster->fallbacks[partition] = list;
	}
	/* Whoever asks goes on from where the list has not ended yet. */
	if (list[index] == NO_MEMBER)
		return false;
	*peer = cluster->member_peer[list[index]];
	return true;
}

static void
forget_fallbacks(struct dyn_cluster *cluster)
{
	if (cluster->fallbacks == NULL)
		return;
	for (uint32_t i = 0; i < cluster->fallback_lists; i++)
		dyn_memory_give(cluster->fallbacks[i]);
	dyn_memory_give(cluster->fallbacks);
	cluster->fallbacks = NULL;
}

/* --------------------------------------------------------- tables that follow the ring */

void
dyn_cluster_map_peers(struct dyn_node *node)
{
	struct dyn_cluster *cluster = &node->cluster;

	for (uint32_t i = 0; i < cluster->ring.member_count; i++)
	{
		const struct dyn_node_id *id = &cluster->ring.members[i].id;
		int32_t peer = dyn_peer_of_id(node, id);

		if (dyn_node_id_compare(id, &node->id) == 0)
			cluster->member_peer[i] = DYN_PEER_SELF;
		else
			cluster->member_peer[i] = peer >= 0 ? peer : DYN_PEER_NONE;
	}
}

static uint64_t
digest_members(struct dyn_node *node)
{
	const struct dyn_ring *ring = &node->cluster.ring;
	uint8_t *bytes =
		dyn_arena_allocate(&node->scratch, ring->member_count * 16);

	for (uint32_t i = 0; i < ring->member_count; i++)
		memcpy(bytes + i * 16, ring->members[i].id.bytes, 16);
	return dyn_hash_bytes(
		(struct dyn_slice){ bytes, (size_t) ring->member_count * 16 });
}

static void
map_slots(struct dyn_cluster *cluster)
{
	const struct dyn_ring *ring = &cluster->ring;
	uint32_t slot_count =
		(uint32_t) ring->partition_count * ring->replica_count;

	dyn_memory_give(cluster->slot_member);
	cluster->slot_member = dyn_memory_take(slot_count);
	for (uint32_t i = 0; i < slot_count; i++)
	{
		const struct dyn_member *member =
			dyn_ring_member(ring, &ring->slots[i].node);

		cluster->slot_member[i] = (uint8_t) (member - ring->members);
	}
}

void
dyn_cluster_ring_changed(struct dyn_node *node)
{
	struct dyn_cluster *cluster = &node->cluster;
	const struct dyn_ring *ring = &cluster->ring;

	cluster->ring_digest = dyn_ring_digest(ring);
	cluster->members_digest = digest_members(node);
	forget_fallbacks(cluster);
	cluster->fallback_lists = ring->partition_count;
	cluster->fallbacks =
		dyn_memory_take(ring->partition_count * sizeof(*cluster->fallbacks));
	map_slots(cluster);
	/* Somebody at my own place, but not at my address, may be a copy of me. */
	for (uint32_t i = 0; i < ring->member_count; i++)
		if (dyn_node_id_compare(&ring->members[i].id, &node->id) != 0 ||
			strcmp(ring->members[i].address, node->config.address) != 0)
			dyn_peer_of_address(node, ring->members[i].address);
	dyn_cluster_map_peers(node);
	dyn_count(node, ring_changes);
}

void
dyn_cluster_destroy(struct dyn_node *node)
{
	if (node->cluster.ring.slots != NULL)
		dyn_ring_destroy(&node->cluster.ring);
	dyn_memory_give(node->cluster.slot_member);
	forget_fallbacks(&node->cluster);
}
