/*-------------------------------------------------------------------------
 *
 * put_answer.h
 *      The last word on an operation of a put, and the answer to all.
 *
 * (Dynamo 2007, section 4.5.)  An operation is decided once; what it held of the
 * room (room.h) is given back then.  With the last one the answer leaves, and
 * the request ends: after a call of any function here it may be gone.
 *
 * A status other than OK has a text for people, which lives as long as the
 * request or for ever.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_PUT_ANSWER_H
#define DYN_CORE_PUT_ANSWER_H

#include "core/coord_put.h"

/* text: NULL, or why. */
void dyn_put_decide(struct dyn_node *node, struct dyn_request *request,
					uint32_t op, enum dyn_status status, char *text);

/* OVERLOAD: nothing of it has been sent. */
void dyn_put_refuse_for_now(struct dyn_node *node, struct dyn_request *request,
							uint32_t op);

/* LATE: its time to act is over, and it has not begun to. */
void dyn_put_refuse_late(struct dyn_node *node, struct dyn_request *request,
						 uint32_t op);

/* Somebody has answered for a slot: is the outcome certain? */
void dyn_put_written(struct dyn_node *node, struct dyn_request *request,
					 uint32_t op);

/* Who answered, who did not; why a status was given. */
char *dyn_put_write_text(struct dyn_node *node, struct dyn_request *request,
						 const struct dyn_put_op *put);
char *dyn_put_refusal_text(enum dyn_status status);

#endif
