/*-------------------------------------------------------------------------
 *
 * hello.h
 *      The answer to HELLO: WELCOME, or why not.
 *
 * Whoever asks learns who this node is, and, when it belongs to a cluster, all
 * that is needed to find keys: settings, ring, buckets, who is up.  A node
 * learns the floors of fences (fence.h), too.  VERSION, WRONG_CLUSTER; NOT_READY
 * until the identity is on disk, and while another process of the same identity
 * may live.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_HELLO_H
#define DYN_CORE_HELLO_H

#include "core/state.h"
#include "model/message.h"

void dyn_hello_take(struct dyn_node *node, uint64_t route, uint64_t correlation,
					const Dyn__Hello *hello);

#endif
