/*-------------------------------------------------------------------------
 *
 * copy.h
 *      All that this node holds of a partition, for an owner that fills up.
 *
 * A page at a time, whole objects, damaged records named; nothing is
 * remembered between pages.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_COPY_H
#define DYN_CORE_COPY_H

#include "core/event.h"
#include "core/request.h"

extern const struct dyn_request_kind dyn_copy_kind;

void dyn_copy_begin(struct dyn_node *node, struct dyn_request *request,
					const struct dyn_node_id *asker,
					const Dyn__CopyRequest *message);

#endif
