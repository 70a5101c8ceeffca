/*-------------------------------------------------------------------------
 *
 * cluster.h
 *      Who this node is, which cluster it belongs to, and who owns what.
 *
 * Two records of the store tell it across restarts: "identity" (node id,
 * store generation, start counter) and "cluster" (settings and ring, a Form
 * message).  A cluster is formed once: the first of the seeds waits until all
 * of them have answered HELLO and none belongs to a cluster, makes a balanced
 * slot table of distinct nodes, stores it, and sends FORM to the others.  A
 * store that knows a cluster never forms or enters another; a store that was
 * emptied is a stranger to its old cluster and stays NOT_READY, unless it is
 * told whose place it takes (config.node_id): then it is that member, and all
 * its partitions are BUILDING (building.h).
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_CLUSTER_H
#define DYN_CORE_CLUSTER_H

#include "core/state.h"
#include "model/message.h"

/* Read the boot records; BAD_REQUEST with a FATAL effect when they and the
 * config contradict each other. */
enum dyn_status dyn_cluster_boot(struct dyn_node *node,
								 const struct dyn_boot *boot);
void dyn_cluster_destroy(struct dyn_node *node);

/* Found the cluster if that is mine to do and everybody is there. */
void dyn_cluster_try_form(struct dyn_node *node);
void dyn_cluster_form(struct dyn_node *node, const Dyn__Form *form);

/* A cluster is there, and this store knows of none: say so, and what to do when
 * it is a member's disk that was replaced. */
void dyn_cluster_stay_outside(struct dyn_node *node,
							  const Dyn__Welcome *welcome);

/* A member whose store does not know the cluster yet. */
void dyn_cluster_send_form(struct dyn_node *node, uint32_t peer_index);

/* A commit that held meta records ended. */
void dyn_cluster_stored(struct dyn_node *node, uint64_t token,
						enum dyn_status status);

/* The store takes writes again: what could not be written is due. */
void dyn_cluster_writable(struct dyn_node *node);

/* Take over what a peer's table knows better. */
void dyn_cluster_merge_ring(struct dyn_node *node, struct dyn_slice ring);

/*
 * Is the node a part of its cluster, and sure that it is the only one of its
 * identity?  A store that was last used at another address may be a copy: the
 * node listens for silence_ms whether the other one is there before it serves.
 */
bool dyn_cluster_serves(const struct dyn_node *node);
void dyn_cluster_tick(struct dyn_node *node);

/* Peers' identities changed: find the members' connections anew. */
void dyn_cluster_map_peers(struct dyn_node *node);

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

/* Answer a HELLO: WELCOME, or why not. */
void dyn_cluster_hello(struct dyn_node *node, uint64_t route,
					   uint64_t correlation, const Dyn__Hello *hello);
const Dyn__Settings *dyn_cluster_settings(struct dyn_node *node);

#endif
