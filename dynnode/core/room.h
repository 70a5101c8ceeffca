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
 * Memory: all that requests hold is counted, whatever they are (held_bytes:
 * their messages, what they have read, what they made of it).  Of memory_max
 *
 *     a half           is for new work: beyond it OVERLOAD is the answer
 *     three quarters   for what running reads bring in: a get, or a put that
 *                      reads before it writes, whose object does not fit is
 *                      answered OVERLOAD; a READ leaves it out (TOO_LARGE: ask
 *                      again), and so does a comparison; a read repair of this
 *                      node's own record is left for another time
 *     all              for REPLICATEs: the other side of what others have
 *                      begun, which ends here and asks nobody else
 *
 * What owners hold alike is held once, and what is made of it only if none has
 * it already.  So one key's read always fits in an empty room of the default
 * size, unless more than five owners hold different objects of the greatest
 * size.
 *
 * A write that has left is never broken for want of memory.  What is beyond
 * these lines is counted too, but not refused: what one frame is unpacked to
 * and passed on with, what a put makes of one key, and pages of the node's own
 * background work, whose bytes credit.h bounds, or whose items reap_round.h
 * does.  W4 of the simulator allows half as much again for these, and pages of
 * reaping, and what is made of one key and of one frame, a few times their
 * sizes.  Half of memory_max must be more than the largest
 * frame, which would be refused for ever.  Objects that are written count by
 * themselves (bytes_max: key table, commits; so do the copies that their puts
 * hold): reads do not keep writes out.
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

/* May a message of this type and size become a request?  The size is what it
 * is expected to take; what it takes is counted when it is unpacked. */
bool dyn_room_for_request(const struct dyn_node *node,
						  const struct dyn_request_kind *kind, size_t size);

/* May a running operation take in so much more that it has read, or make so
 * much of it? */
bool dyn_room_for_collected(const struct dyn_node *node, size_t size);

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
