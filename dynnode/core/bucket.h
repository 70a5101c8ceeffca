/*-------------------------------------------------------------------------
 *
 * bucket.h
 *      The buckets' properties, as this node knows them.
 *
 * The table (model/bucket.h) is kept in the store's record "buckets" and
 * spreads with heartbeats: each tells the digest of its sender's table, and
 * brings the table when the receiver's last word was another.  A change made
 * here is answered when it is on this node's disk; it reaches the others with
 * the next heartbeats, which leave at once.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_BUCKET_H
#define DYN_CORE_BUCKET_H

#include "core/state.h"
#include "model/message.h"

/* record NULL: the store has none. False when it is damaged. */
bool dyn_bucket_boot(struct dyn_node *node, const struct dyn_slice *record);
void dyn_bucket_destroy(struct dyn_node *node);

/* Never NULL: without a record all is as the cluster has it. */
const struct dyn_bucket *dyn_bucket_find(const struct dyn_node *node,
										 struct dyn_slice name);

/* R and W of a request that asks for so many: its own word, else the bucket's,
 * else the cluster's. */
uint32_t dyn_bucket_r(const struct dyn_node *node, struct dyn_slice name,
					  uint32_t asked);
uint32_t dyn_bucket_w(const struct dyn_node *node, struct dyn_slice name,
					  uint32_t asked);

/* A client's BUCKET. */
void dyn_bucket_take(struct dyn_node *node, uint64_t route,
					 uint64_t correlation, const Dyn__BucketRequest *message);

/* A commit that held meta records ended. */
void dyn_bucket_stored(struct dyn_node *node, uint64_t token,
					   enum dyn_status status);

/* What could not be written, or not be committed, is due. */
void dyn_bucket_writable(struct dyn_node *node);

/* The table for WELCOME and FORM, in scratch memory. */
struct dyn_slice dyn_bucket_table(struct dyn_node *node);

/* Into a heartbeat for somebody whose table has this digest (0 = unknown). */
void dyn_bucket_tell(struct dyn_node *node, Dyn__Heartbeat *heartbeat,
					 uint64_t other_digest);

/* A table that came; empty = none. */
void dyn_bucket_merge(struct dyn_node *node, struct dyn_slice bytes);

#endif
