/*-------------------------------------------------------------------------
 *
 * identity.h
 *      Who this node is, and whether it is the only one.
 *
 * The store's record "identity" tells it across restarts: node id, store
 * generation, start counter.  A new store makes an id, or takes the one that
 * it is told (config.node_id): then it is that member, and all its partitions
 * are BUILDING (building.h).
 *
 * In the ring a member's incarnation is its start counter, so a restart with a
 * new address wins over what others remember.  When others know of more starts
 * than the store does, the store went back to an older state, or a copy of it
 * has run elsewhere: its partitions are built up anew, and the counter goes on
 * above theirs.
 *
 * A store that was last used at another address may be a copy: the node listens
 * for silence_ms (node->quiet_until_ms) whether the other one is there before it
 * serves.  Two processes of one identity that dial each other settle it at once
 * (peer.c); one that listens elsewhere than where others reach it dials itself
 * there.  Of two that advertise the same address else each claims a later
 * life than the other one's, in turn, by what others tell.  A process that has
 * claimed several at a stretch gives way; the longer it had run before, the more
 * it may.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_IDENTITY_H
#define DYN_CORE_IDENTITY_H

#include "core/state.h"

/* From its record, or anew when that is NULL. BAD_REQUEST with a FATAL effect
 * when it is damaged, or another node's than the configuration says. */
enum dyn_status dyn_identity_boot(struct dyn_node *node,
								  const struct dyn_slice *record);

/* To disk, in this step's commit; and the end of a commit of own records. */
void dyn_identity_store(struct dyn_node *node);
void dyn_identity_committed(struct dyn_node *node, uint64_t token,
							enum dyn_status status);

/* Bring my record in the ring up to this start; false when it was. The ring
 * holds this node. */
bool dyn_identity_merge(struct dyn_node *node);

/* What others tell of this node's own record (NULL: what the ring says): when
 * they know a later life of it, the store went back to an older state, or a
 * copy of it has run. */
void dyn_identity_claim(struct dyn_node *node, const struct dyn_member *told);

/* Another process is this node, at that address: this one ends (FATAL). */
void dyn_identity_give_way(struct dyn_node *node, const char *address);

/* Has it listened for long enough? */
void dyn_identity_tick(struct dyn_node *node);

#endif
