/*-------------------------------------------------------------------------
 *
 * repair.h
 *      Make this node and one other owner equal in a few keys.
 *
 * Used by anti-entropy for keys whose hashes differ.  Both whole objects are
 * read again; a key whose hash has moved since it was listed is left alone (it
 * is being written), one that turned out equal was a false alarm.  The rest is
 * merged, and whoever is behind gets the merged object and merges it with what
 * it holds by then.  Nothing is overwritten and only the two are touched.
 *
 * What is read comes out of this node's own budget for background work, what
 * is sent out of the peer's grant (credit.h).  Keys for which neither is
 * enough are left for the next batch; one at least is read.
 *
 * A damaged record on either side is no part of this: what it held may stand
 * on one other owner only, so it is mended by a read of all owners
 * (dyn_repair_mend).
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_REPAIR_H
#define DYN_CORE_REPAIR_H

#include "core/event.h"
#include "core/request.h"
#include "core/state.h"

enum
{
	DYN_REPAIR_KEYS_MAX = 64 /* of one batch */
};

/* A key, and the hashes it was listed with; 0 = no record. */
struct dyn_repair_key
{
	struct dyn_slice bucket;
	struct dyn_slice key;
	uint64_t own_hash;
	uint64_t peer_hash;
	bool damaged; /* on one side or both */
};

/* What became of a batch. */
struct dyn_repair_outcome
{
	enum dyn_status status; /* OK, or why some key was not repaired */
	uint32_t count;
	uint32_t repaired;
	uint32_t equal; /* by now */
	uint32_t moved; /* written meanwhile */
	uint64_t left;  /* bits by key: not looked at for want of credit */
	size_t bytes;   /* of objects that were fetched or sent */
};

/* Keys of one bucket, at most DYN_REPAIR_KEYS_MAX.  dyn_exchange_repaired of
 * that serial hears of the outcome, once, in a later step. */
void dyn_repair_begin(struct dyn_node *node, uint64_t serial,
					  uint32_t peer_index, const struct dyn_repair_key *keys,
					  uint32_t count);

/* Read these keys of one bucket from all owners, which mends what is damaged.
 * The serial of the request; nobody hears of its outcome. */
uint64_t dyn_repair_mend(struct dyn_node *node,
						 const struct dyn_repair_key *keys, uint32_t count);

#endif
