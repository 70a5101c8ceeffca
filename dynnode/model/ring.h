/*-------------------------------------------------------------------------
 *
 * ring.h
 *      Members, the slot table, and who is to be asked for a key.
 *
 * The ring is an explicit table (Dynamo 2007, section 6.2, strategy 3):
 *
 *     slot (partition p, index s of 0..N-1)  ->  (fepoch, ver, node)
 *
 * All N nodes of a partition are distinct.  Only a slot's current owner may
 * write ver + 1 and name its successor; an operator's force writes fepoch +
 * 1.  Records merge by taking the greater (fepoch, ver, node), so tables
 * that met in any order are equal.  Both halves of the system hold one: the
 * nodes to serve, the FDW to send a request straight to an owner.
 *
 * A ring owns its slots and members (from the allocator given at init).
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_MODEL_RING_H
#define DYN_MODEL_RING_H

#include "model/types.h"

/* X(NAME, number, text): the life of a member, in order. */
#define DYN_MEMBER_STATUS_MAP(X)                                               \
	X(JOINING, 0, "joining")                                                   \
	X(VALID, 1, "valid")                                                       \
	X(LEAVING, 2, "leaving")                                                   \
	X(LEFT, 3, "left")                                                         \
	X(REMOVED, 4, "removed")

enum dyn_member_status
{
#define DYN_MEMBER_STATUS_ENUM(name, number, text) DYN_MEMBER_##name = number,
	DYN_MEMBER_STATUS_MAP(DYN_MEMBER_STATUS_ENUM)
#undef DYN_MEMBER_STATUS_ENUM
};

const char *dyn_member_status_name(enum dyn_member_status status);

struct dyn_member
{
	struct dyn_node_id id;
	uint64_t incarnation; /* the node's own counter for what follows */
	enum dyn_member_status status;
	uint32_t weight;
	char zone[64];
	/* host:port for clients; replica data is on port + 1, control on + 2 */
	char address[DYN_ADDRESS_SIZE_MAX + 1];
	uint64_t store_generation;
	uint64_t start_count;
};

struct dyn_slot
{
	uint64_t fepoch;
	uint64_t ver;
	struct dyn_node_id node;
};

struct dyn_ring
{
	struct dyn_allocator allocator;
	struct dyn_node_id cluster;
	uint16_t partition_count;   /* Q */
	uint8_t replica_count;      /* N */
	struct dyn_slot *slots;     /* Q x N, partition major */
	struct dyn_member *members; /* sorted by id */
	uint32_t member_count;
	uint32_t member_capacity;
};

/* An empty ring: no members, all slots zero. BAD_REQUEST unless Q is a power
 * of two up to DYN_PARTITIONS_MAX and 1 <= N <= DYN_REPLICAS_MAX. */
enum dyn_status dyn_ring_init(struct dyn_ring *self,
							  const struct dyn_allocator *allocator,
							  struct dyn_node_id cluster,
							  uint16_t partition_count, uint8_t replica_count);
void dyn_ring_destroy(struct dyn_ring *self);

/* Insert, or take over when incarnation is greater; TOO_LARGE when there are
 * DYN_MEMBERS_MAX. */
enum dyn_status dyn_ring_merge_member(struct dyn_ring *self,
									  const struct dyn_member *member);
const struct dyn_member *dyn_ring_member(const struct dyn_ring *self,
										 const struct dyn_node_id *id);

const struct dyn_slot *dyn_ring_slot(const struct dyn_ring *self,
									 uint16_t partition, uint8_t index);
/* Keep the greater record. True when the table changed. */
bool dyn_ring_merge_slot(struct dyn_ring *self, uint16_t partition,
						 uint8_t index, const struct dyn_slot *slot);

/* All records of another table of this cluster, or none: BAD_REQUEST when it
 * has another cluster or size, or the two do not make a sound table together
 * (dyn_ring_check); TOO_LARGE when there are too many members. */
enum dyn_status dyn_ring_merge(struct dyn_ring *self,
							   const struct dyn_ring *other);

/* Index of the slot that a node holds in a partition, or -1. */
int dyn_ring_find(const struct dyn_ring *self, uint16_t partition,
				  const struct dyn_node_id *node);

/*
 * Who stands in when owners of a partition cannot be reached, best first:
 * members that are VALID and hold no slot of it, as indexes into members.
 * Zones that neither an owner nor an earlier one lies in come first; within
 * that by weighted rendezvous (-ln(h) / weight, h a hash of node and
 * partition), which spreads a lost node's load over everybody.  The same on
 * every node.  out has room for member_count; the count is returned.
 */
uint32_t dyn_ring_fallbacks(const struct dyn_ring *self, uint16_t partition,
							uint8_t *out);

/* XXH3 over the table in order, members' ids and incarnations included. */
uint64_t dyn_ring_digest(const struct dyn_ring *self);

/* Q and N in range, every slot's node a member, N distinct nodes in every
 * partition; BAD_REQUEST otherwise. */
enum dyn_status dyn_ring_check(const struct dyn_ring *self);

/* Message Ring, both ways. Decoding initialises *out and checks it. */
enum dyn_status dyn_ring_encode(const struct dyn_ring *self,
								const struct dyn_allocator *allocator,
								struct dyn_slice *out);
enum dyn_status dyn_ring_decode(struct dyn_slice bytes,
								const struct dyn_allocator *allocator,
								struct dyn_ring *out);

#endif
