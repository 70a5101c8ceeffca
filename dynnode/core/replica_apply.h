/*-------------------------------------------------------------------------
 *
 * replica_apply.h
 *      An object that came has its turn at the key.
 *
 * Merged with what is there (model/object.h: sync) and committed; what is there
 * already is not written again.  Not taken: FENCED, when its mark is below the
 * floor (fence.h); BUILDING, where it would be discarded again; CORRUPT, when
 * the record is damaged and what came is not all that other owners hold (the
 * record is mended then, soon); IO_ERROR; OVERLOAD.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_REPLICA_APPLY_H
#define DYN_CORE_REPLICA_APPLY_H

#include "core/replica.h"

void dyn_replica_apply(struct dyn_node *node, struct dyn_request *request,
					   uint32_t op, struct dyn_key *key);

#endif
