/*-------------------------------------------------------------------------
 *
 * simnet.h
 *      The network between cores and clients, as ZeroMQ shows it, or worse.
 *
 * A link is one direction of asking: its owner sends, the other side replies
 * along it.  Frames of a link keep their order unless the seed says
 * otherwise.  A link that breaks tells its owner (PEER_DOWN); answers to
 * what was asked before never come, and questions on the way may or may not
 * arrive.  Frames may be dropped, delayed, doubled or damaged at any time;
 * partitions work in one direction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_SIMNET_H
#define DYN_TESTS_SIMNET_H

#include "tests/sim/world.h"

struct dyn_simnet *dyn_simnet_new(void);
void dyn_simnet_free(struct dyn_simnet **self);

/* What a node's effects ask for. */
void dyn_simnet_connect(struct dyn_world *world, uint32_t node,
						uint32_t peer_index, struct dyn_slice address);
void dyn_simnet_send(struct dyn_world *world, uint32_t node,
					 uint32_t peer_index, enum dyn_plane plane,
					 struct dyn_slice frame);
void dyn_simnet_reply(struct dyn_world *world, uint32_t node, uint64_t route,
					  struct dyn_slice frame);

/* A client's frame. `tag` comes back to dyn_simclient_delivered. */
void dyn_simnet_client_send(struct dyn_world *world, uint32_t client,
							uint32_t node, struct dyn_slice frame,
							uint64_t tag);

/* Which client a route leads to; false when it leads to a node. */
bool dyn_simnet_route_client(const struct dyn_world *world, uint64_t route,
							 uint32_t *client);

/* Events of the queue. */
void dyn_simnet_arrive(struct dyn_world *world, struct dyn_simevent *event);
void dyn_simnet_try(struct dyn_world *world, uint64_t what);
void dyn_simnet_lost(struct dyn_world *world, uint64_t what);

/* Trouble. Endpoints: nodes, then clients from DYN_SIM_NODES_MAX. */
void dyn_simnet_block(struct dyn_world *world, uint32_t from, uint32_t to,
					  bool blocked);
void dyn_simnet_heal(struct dyn_world *world);
void dyn_simnet_flap(struct dyn_world *world);
void dyn_simnet_node_down(struct dyn_world *world, uint32_t node);

/* Free the data of a frame event that is never handled. */
void dyn_simnet_drop(struct dyn_simevent *event);

#endif
