/*-------------------------------------------------------------------------
 *
 * peer.h
 *      The other nodes, as this one sees them: connected, known, silent.
 *
 * A peer is an address with a connection.  Who listens there it tells in its
 * WELCOME, anew on every connection.  That somebody is silent or suspected is
 * a local opinion (detector.h) used for routing only; it changes nothing about
 * ownership.
 *
 * Every heartbeat_ms each connected peer gets a HEARTBEAT (or a HELLO while
 * it is not identified, or knows no cluster yet).  Ring tables travel with
 * heartbeats when digests differ.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_PEER_H
#define DYN_CORE_PEER_H

#include "core/state.h"
#include "model/message.h"

/* The peer with this address, made (with a CONNECT) when it is new; -1 when
 * there are too many. */
int32_t dyn_peer_of_address(struct dyn_node *node, const char *address);

/* The peer that identified itself so, or -1. */
int32_t dyn_peer_of_id(const struct dyn_node *node,
					   const struct dyn_node_id *id);

/* May work be sent there? */
bool dyn_peer_is_reachable(const struct dyn_node *node, int32_t peer_index);

void dyn_peer_up(struct dyn_node *node, uint32_t peer_index);
void dyn_peer_down(struct dyn_node *node, uint32_t peer_index);

/* What members told while this node knew no cluster it could not use (floors,
 * progress): they are as if they had not been met, and are asked until they
 * tell it again. */
void dyn_peer_meet_again(struct dyn_node *node);

/* Any frame of the peer's proves that it lives. */
void dyn_peer_heard(struct dyn_node *node, uint32_t peer_index);

/* What became of a request to it (detector.h); how long its next answer may
 * take before somebody else is asked. */
void dyn_peer_answered(struct dyn_node *node, uint32_t peer_index,
					   uint64_t took_ms);
void dyn_peer_failed(struct dyn_node *node, uint32_t peer_index);
uint32_t dyn_peer_patience_ms(const struct dyn_node *node, int32_t peer_index);

/*
 * What the peer's clock shows by now, at least: it told it before this node
 * heard it, and the clocks of two machines differ by less than one in a
 * thousand.  0: it has told none.
 */
uint64_t dyn_peer_clock_ms(const struct dyn_node *node, uint32_t peer_index);

void dyn_peer_welcome(struct dyn_node *node, uint32_t peer_index,
					  const Dyn__Welcome *welcome);
void dyn_peer_error(struct dyn_node *node, uint32_t peer_index,
					const Dyn__Error *error);

/* A HEARTBEAT that asks (by route), or answers (of a peer). */
void dyn_peer_heartbeat(struct dyn_node *node, const struct dyn_envelope *env,
						uint64_t route, const Dyn__Heartbeat *heartbeat);
void dyn_peer_heartbeat_answer(struct dyn_node *node, uint32_t peer_index,
							   const Dyn__Heartbeat *heartbeat);

/* Notice silence; send what is due at heartbeat_at_ms. */
void dyn_peer_tick(struct dyn_node *node);

#endif
