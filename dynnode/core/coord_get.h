/*-------------------------------------------------------------------------
 *
 * coord_get.h
 *      Coordinated reads: merge what R owners know, answer, repair.
 *
 * (Dynamo 2007, sections 4.5 and 4.7.)  Any node may coordinate a read; it
 * needs to own nothing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_COORD_GET_H
#define DYN_CORE_COORD_GET_H

#include "core/coord_read.h"
#include "core/request.h"

struct dyn_get_op
{
	struct dyn_read read;
	enum dyn_status status; /* valid once decided */
	bool decided;
	char *text;
	struct dyn_slice object;
};

extern const struct dyn_request_kind dyn_get_kind;

void dyn_get_begin(struct dyn_node *node, struct dyn_request *request,
				   const Dyn__GetRequest *message);

/* The read of one key ended: enough owners answered, or cannot any more. */
void dyn_get_read(struct dyn_node *node, struct dyn_request *request,
				  uint32_t op, bool enough);
/* OVERLOAD: there is no room for what it has read. */
void dyn_get_refuse_for_now(struct dyn_node *node, struct dyn_request *request,
							uint32_t op);

#endif
