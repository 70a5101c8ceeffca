/*-------------------------------------------------------------------------
 *
 * room.h
 *      Who may take how much of what a node has.
 *
 * A write that this node coordinates needs room on the other owners too,
 * where it meets what they coordinate themselves.  If every node filled its
 * key table with its own clients' writes, each would refuse the others'
 * REPLICATEs, and all those writes would end half done.  So a node takes on
 * only its share of undecided puts, one of n + 1: then what n nodes send to
 * each other finds room, and one share is left for repairs and hints.
 *
 * Room alone is not enough: what waits behind more work than can be done
 * before its deadline ends half done too.  While puts are decided in a fifth
 * of the longest time that one may take, more of them are let in; when one
 * takes longer, half as many.
 *
 * What a client is refused for want of room was sent to nobody: OVERLOAD is
 * a definite no, and the client may try again later.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_ROOM_H
#define DYN_CORE_ROOM_H

#include "core/request.h"
#include "core/state.h"

/* May a message of this type and size become a request? */
bool dyn_room_for_request(const struct dyn_node *node,
						  enum dyn_request_type type, size_t size);

void dyn_room_init(struct dyn_node *node);

/* May one more put be coordinated here?  If so it counts until it ends. */
bool dyn_room_begin_put(struct dyn_node *node);
void dyn_room_end_put(struct dyn_node *node, uint64_t begun_ms,
					  size_t held_bytes);

/* What a put makes is known when it is made: may one more be?  Then it holds
 * so many bytes until it ends.  own_size: of the key's object as it is, which
 * is no reason to refuse. */
bool dyn_room_for_put_bytes(const struct dyn_node *node, size_t own_size);
size_t dyn_room_hold_put(struct dyn_node *node, size_t object_size);

/* May one more key be worked at, for anybody? */
bool dyn_room_for_key(const struct dyn_node *node);

/* May one more object be merged and written, for anybody? */
bool dyn_room_for_object(const struct dyn_node *node, size_t own_size);

#endif
