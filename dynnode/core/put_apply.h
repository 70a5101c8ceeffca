/*-------------------------------------------------------------------------
 *
 * put_apply.h
 *      An operation of a put has its turn at the key: what it writes, or why not.
 *
 * In this order: may this store take writes there, is its record sound (if not,
 * the other owners are read, or one of them coordinates), are there W nodes,
 * does the mark reach the floor (fence.h), must stamps be learnt first, is there
 * room.  Then the object is made (put_object.h), handed to the key table and sent
 * to the other slots, in one step.
 *
 * Until then every no is definite.  The operation may be decided, and the request
 * have ended, when a function here returns.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_PUT_APPLY_H
#define DYN_CORE_PUT_APPLY_H

#include "core/coord_put.h"

/* LOADING ended: it is this operation's turn at the key. */
void dyn_put_apply(struct dyn_node *node, struct dyn_request *request,
				   uint32_t op, struct dyn_key *key);

/* Not while the store discards, nor while others refuse its marks. */
bool dyn_put_may_write(const struct dyn_node *node, uint16_t partition);

#endif
