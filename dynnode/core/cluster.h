/*-------------------------------------------------------------------------
 *
 * cluster.h
 *      Who owns what: the ring, as the hot paths ask it.
 *
 * (Dynamo 2007, sections 4.2 and 6.2.)  The ring (model/ring.h) names members
 * by id; here stand the tables that are derived from it whenever it changes:
 * who owns a slot, by which connection a member is reached, who stands in for
 * a partition's owners.  All but dyn_cluster_serves need the ring: before a
 * cluster is formed nothing asks them, as no request is taken.
 *
 * Who this node is: identity.h.  How a cluster comes to be: formation.h.  Its
 * record on disk and on the wire: cluster_record.h.
 *
 * Partitions, slots and peers are indices: a partition below the ring's count,
 * a slot below n, a peer of node->peers, or DYN_PEER_SELF, DYN_PEER_NONE.
 * Nothing here fails.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_CLUSTER_H
#define DYN_CORE_CLUSTER_H

#include "core/state.h"

/*
 * Is the node a part of its cluster, and sure that it is the only one of its
 * identity (identity.h)?
 */
bool dyn_cluster_serves(const struct dyn_node *node);

/* The place of a key. */
uint16_t dyn_cluster_partition(const struct dyn_node *node, uint16_t cell);

/* Peer index of a slot's owner, or DYN_PEER_SELF, DYN_PEER_NONE. */
int32_t dyn_cluster_owner(const struct dyn_node *node, uint16_t partition,
						  uint8_t slot);

/* My slot in a partition, or -1. */
int dyn_cluster_own_slot(const struct dyn_node *node, uint16_t partition);

/*
 * The index-th node to stand in for owners that cannot be reached: a peer
 * index, DYN_PEER_SELF, or DYN_PEER_NONE for one that is not connected.  False
 * at the end of the list.
 */
bool dyn_cluster_fallback(struct dyn_node *node, uint16_t partition,
						  uint32_t index, int32_t *peer);

/* The address of a slot's owner, for texts. */
const char *dyn_cluster_owner_address(const struct dyn_node *node,
									  uint16_t partition, uint8_t slot);

/* The ring changed: derived tables and connections follow. */
void dyn_cluster_ring_changed(struct dyn_node *node);

/* Peers' identities changed: find the members' connections anew. */
void dyn_cluster_map_peers(struct dyn_node *node);

/* The ring, and what was derived from it. */
void dyn_cluster_destroy(struct dyn_node *node);

#endif
