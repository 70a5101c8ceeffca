/*-------------------------------------------------------------------------
 *
 * fence.h
 *      What was written before a delete must not come back behind it.
 *
 * A tombstone that is removed (reap.h) no longer covers anything: whatever
 * older object then still arrives, in a frame that was late or out of a hint,
 * would bring back what was deleted.  So each member keeps two numbers for
 * each partition:
 *
 *     stamp   what the objects that it sends from now on are marked with
 *     floor   what they must be marked with, at least, to be taken here
 *
 * stamp >= floor, both only grow, and both are on disk before they are told
 * to anybody.  A floor of F is set only after every member had a stamp of at
 * least F on disk, and had ended all requests that began before.  So a
 * frame that outlived its request is refused, and so is a store that went back
 * in time; a request that lives is not, but for one at a member that had
 * missed the floor before: it is marked with that one's old floor.
 *
 * The mark of an object is the birth of the request that made it, and never
 * more than that of anything that went into it: a request that began before
 * the stamp was raised is marked with the floor, and so is all that was read
 * out of a table of hints, whose age nobody knows but for that.
 *
 * A member whose stamp is below another one's floor has lost what its store
 * knew (a copy of an earlier time was brought back): WELCOME tells.  It is
 * behind there: it takes and coordinates no writes for the partition, and its
 * own frames keep their old mark, until what it holds of it has been discarded
 * (building.h): what it owns, which it then copies from the others, and what
 * it keeps for others, which was delivered in the life that it forgot.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_FENCE_H
#define DYN_CORE_FENCE_H

#include "core/node.h"
#include "model/message.h"

/*
 * A partition at this member is in one of four states, which follow from
 * wanted_stamp and behind (dyn_fence_state):
 *
 *                wanted_stamp     behind     new requests' mark   takes writes
 *     LEVEL      0                0          stamp                yes
 *     RAISING    > stamp          0          stamp                yes
 *     BEHIND     0, or < behind   > stamp    stamp                no
 *     RETURNING  >= behind        > stamp    stamp                no
 *
 *     raise S    a stamp is to be raised, to more than any before; while the
 *                store is behind only dyn_fence_tick does it, to `behind`,
 *                when what was held there has gone
 *     learn F    another member has a floor F > stamp, and > behind
 *     stored     the commit of wanted_stamp is on disk: it is the stamp now,
 *                and out of RETURNING floor and behind are settled, too
 *     aborted    it is not, and wanted_stamp is none again
 *
 *                raise S              learn F                stored   aborted
 *     LEVEL      RAISING              BEHIND                 -        -
 *     RAISING    RAISING              BEHIND, or RETURNING   LEVEL    LEVEL
 *                                     if wanted_stamp >= F
 *     BEHIND     RETURNING if S >=    BEHIND, or RETURNING   BEHIND   BEHIND
 *                behind, else BEHIND  if wanted_stamp >= F
 *     RETURNING  RETURNING            BEHIND, or RETURNING   LEVEL    BEHIND
 *                                     if wanted_stamp >= F
 *
 * In all of them a request that began before the stamp was raised has the
 * floor for its mark, and the floor only grows, up to the stamp.
 */
enum dyn_fence_state
{
	DYN_FENCE_LEVEL,
	DYN_FENCE_RAISING,
	DYN_FENCE_BEHIND,
	DYN_FENCE_RETURNING
};

/* One partition. */
struct dyn_fence_place
{
	uint64_t stamp;          /* on disk */
	uint64_t floor;          /* maybe not on disk yet */
	uint64_t wanted_stamp;   /* on its way to disk; 0 = none */
	uint64_t wanted_token;   /* with this commit or a later one */
	uint64_t stamped_serial; /* of the first request marked with stamp */
	uint64_t owner_floor;    /* the highest one that an owner told */
	uint64_t heard_stamp;    /* the highest one of other members */
	uint64_t behind;         /* a stamp that this store once had; 0 = none */
	uint64_t behind_serial;  /* of the first request since that is known */
};

struct dyn_fence
{
	struct dyn_fence_place *places; /* by partition; NULL = all are 0 */
};

/* False when the record is damaged.  The ring is known. */
bool dyn_fence_boot(struct dyn_node *node, const struct dyn_slice *record);
void dyn_fence_destroy(struct dyn_node *node);

/* The mark of what a request makes, by its serial. */
uint64_t dyn_fence_birth(const struct dyn_node *node, uint64_t serial,
						 uint16_t partition);
uint64_t dyn_fence_stamp(const struct dyn_node *node, uint16_t partition);
uint64_t dyn_fence_floor(const struct dyn_node *node, uint16_t partition);

/* The highest floor that this node or any owner has, as far as it knows. */
uint64_t dyn_fence_known_floor(const struct dyn_node *node, uint16_t partition);

enum dyn_fence_state dyn_fence_state(const struct dyn_node *node,
									 uint16_t partition);

/* Has the store forgotten what was removed here (BEHIND, RETURNING)? */
bool dyn_fence_is_behind(const struct dyn_node *node, uint16_t partition);

/*
 * Raise a stamp, which counts from when it is on disk; dyn_fence_store must
 * follow in the same step.  False when it is not higher than any before: what
 * was born under that one may be older than whoever asks thinks.
 */
bool dyn_fence_raise_stamp(struct dyn_node *node, uint16_t partition,
						   uint64_t stamp);

/* Of another member; a stamp higher than all that were heard of. */
void dyn_fence_note(struct dyn_node *node, uint16_t partition, uint64_t stamp);
uint64_t dyn_fence_next(const struct dyn_node *node, uint16_t partition);

/* The serial of the oldest request that could still send an object, or bring
 * one into this store; UINT64_MAX = none. */
uint64_t dyn_fence_oldest(const struct dyn_node *node);

/* Have all requests ended that began before the stamp was raised? */
bool dyn_fence_is_drained(const struct dyn_node *node, uint16_t partition,
						  uint64_t oldest);

/* Raise a floor, at once. dyn_fence_store must follow. */
void dyn_fence_raise_floor(struct dyn_node *node, uint16_t partition,
						   uint64_t floor);

/* All numbers to disk, in this step's commit, whose token it returns. */
uint64_t dyn_fence_store(struct dyn_node *node);
void dyn_fence_stored(struct dyn_node *node, uint64_t token,
					  enum dyn_status status);

/* Floors in a WELCOME to another node; of another node. */
void dyn_fence_tell(struct dyn_node *node, Dyn__Welcome *welcome);
void dyn_fence_learn(struct dyn_node *node, const struct dyn_node_id *peer,
					 const Dyn__Welcome *welcome);

/* Where the store is behind: has what it held gone? At heartbeats. */
void dyn_fence_tick(struct dyn_node *node);

/* stamp >= floor, and what else must hold in memory, by assertions. */
void dyn_fence_check(const struct dyn_node *node);

#endif
