/*-------------------------------------------------------------------------
 *
 * cluster_record.h
 *      What a cluster has agreed on: settings and ring.
 *
 * A Form message: FORM brings it to a member whose store does not know the
 * cluster yet, and the store keeps it as the record "cluster".  Settings are
 * decided by who founds the cluster and never change; the ring is merged with
 * whatever others know better.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_CLUSTER_RECORD_H
#define DYN_CORE_CLUSTER_RECORD_H

#include "core/state.h"
#include "model/message.h"

/* For a message of this step; in scratch memory. */
const Dyn__Settings *dyn_cluster_record_settings(struct dyn_node *node);

/* To disk, in this step's commit, whose token it returns. */
uint64_t dyn_cluster_record_store(struct dyn_node *node);

/* Settings and ring into the node's memory; BAD_REQUEST (or why the ring cannot
 * be decoded) when they are not sound, or this node is not part of it. */
enum dyn_status dyn_cluster_record_adopt(struct dyn_node *node,
										 const Dyn__Form *form);

/* Take over what a peer's table knows better. One that is malformed, or
 * contradicts ours, is counted (frames_bad) and refused whole. */
void dyn_cluster_record_merge_ring(struct dyn_node *node,
								   struct dyn_slice ring);

#endif
