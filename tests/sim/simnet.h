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
 * What kernels and stopped processes do, where the seed has it: frames that a
 * partition stops are sent again when it is over, though their sender may have
 * hung up long ago; and frames for a node that stands still wait in its socket,
 * until it wakes and takes them in their order.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_SIMNET_H
#define DYN_TESTS_SIMNET_H

#include "tests/sim/world.h"

/* [from][to]; endpoints: nodes, then clients from DYN_SIM_NODES_MAX. */
typedef bool dyn_simnet_cuts[DYN_SIM_ENDPOINTS_MAX][DYN_SIM_ENDPOINTS_MAX];

struct dyn_simnet *dyn_simnet_new(uint64_t seed);
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

/* It breaks this connection so soon after what it has sent last. */
void dyn_simnet_sever(struct dyn_world *world, uint32_t client, uint32_t node,
					  uint64_t ms);

/* A node stands still, or goes on: clients notice the one, frames wait for the
 * other. */
void dyn_simnet_stopped(struct dyn_world *world, uint32_t node);
void dyn_simnet_woken(struct dyn_world *world, uint32_t node);

/* A kernel tries again (DYN_WORLD_RETRANSMIT). */
void dyn_simnet_retransmit(struct dyn_world *world, uint64_t what);

/* Events of the queue. */
void dyn_simnet_arrive(struct dyn_world *world, struct dyn_simevent *event);
void dyn_simnet_try(struct dyn_world *world, uint64_t what);
void dyn_simnet_lost(struct dyn_world *world, uint64_t what);

/* ---- trouble ---- */

/* One direction, until it is said otherwise. */
void dyn_simnet_block(struct dyn_world *world, uint32_t from, uint32_t to,
					  bool blocked);
/* A partition with an end (DYN_WORLD_MEND); planes: bits by enum dyn_plane.
 * One too many is not made. */
void dyn_simnet_cut(struct dyn_world *world, const dyn_simnet_cuts cuts,
					uint32_t planes, uint64_t until_ms);
void dyn_simnet_mend(struct dyn_world *world, uint32_t index, uint64_t serial);
/* No partitions and clogs from now on. */
void dyn_simnet_heal(struct dyn_world *world);
/* What is sent one way arrives after this time. */
void dyn_simnet_clog(struct dyn_world *world, uint32_t from, uint32_t to,
					 uint64_t until_ms);
/* Connections of this node to that peer are lost now, and made again. */
void dyn_simnet_break(struct dyn_world *world, uint32_t node, uint32_t peer);
/* A client's connections end; answers on their way are not heard. */
void dyn_simnet_hang_up(struct dyn_world *world, uint32_t client);
void dyn_simnet_node_down(struct dyn_world *world, uint32_t node);

/* Every request on its way to a node that lives. */
void dyn_simnet_each_request(struct dyn_world *world,
							 void (*look)(void *context, uint32_t to,
										  struct dyn_slice frame),
							 void *context);

/* Free the data of a frame event that is never handled. */
void dyn_simnet_drop(struct dyn_simevent *event);

#endif
