/*-------------------------------------------------------------------------
 *
 * replica_read.h
 *      READ: this replica's own committed view of keys.
 *
 * Refused with NOT_OWNER by a node without a slot of the partition; with hints,
 * it is about what such a node keeps for others, and refused by owners.  BUILDING
 * where records may be missing (building.h), FENCED where hints may be older than
 * what was removed (fence.h).
 *
 * An answer carries objects of so many bytes as whoever asks allows and this
 * node has room for (room.h), and at least one; what is left out is TOO_LARGE,
 * to be asked for again.  The last key's object is not copied, so each answer
 * brings those who ask again nearer.  Keys are loaded some at a time, so that
 * what an answer holds in memory is bounded.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_REPLICA_READ_H
#define DYN_CORE_REPLICA_READ_H

#include "core/event.h"
#include "core/request.h"

struct dyn_read_op
{
	struct dyn_slice key;
	bool decided;
	bool remembered;
	bool other; /* ... for another write */
	enum dyn_status status;
	uint64_t hash;
	uint64_t fence;          /* of hints: the floor when they were asked for */
	struct dyn_slice object; /* of this step, or in the request's arena */
};

extern const struct dyn_request_kind dyn_read_kind;

void dyn_replica_read(struct dyn_node *node, struct dyn_request *request,
					  const Dyn__ReadRequest *message);

#endif
