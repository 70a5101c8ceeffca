/*-------------------------------------------------------------------------
 *
 * reap.h
 *      What is deleted or has expired goes, from all owners together.
 *
 * (Dynamo 2007 does not say.)  A tombstone may go when nothing older than it
 * is left anywhere: no owner without it, no hint, no frame under way, no
 * request that read before it came.  The owner of a partition's first slot
 * collects; a round is
 *
 *     walk     own dead objects, held since tombstone_grace_ms at least
 *     ask      do all other owners hold the very same, as long?
 *     stamp    all members: a higher stamp F for these partitions (fence.h)
 *     drain    all members: have the requests ended that began before?
 *     floor    members that own nothing there: floor F, and no hints are left
 *     floor    the owners: floor F
 *     remove   the owners: what still is what was asked about
 *
 * What has a mark below F was made by a request that began before the stamps
 * rose, or out of a hint from before; no owner takes it any more.  What has a
 * mark of F or more was read after all owners held the tombstone, so it knows
 * of it.  Whoever does not answer, was started anew meanwhile, or says no,
 * ends the round for what it says no to; nothing is lost, as only the last
 * step removes anything, and a later round takes a higher F.
 *
 * The same way entries of actors without a live version go from contexts that
 * have grown beyond DYN_CONTEXT_CROWDED entries (the paper's truncation of
 * clocks): when all owners hold the object byte for byte, and nothing older
 * than it is left anywhere, these entries protect from nothing.
 *
 * Members answer in reap_answer.c.  One round is under way at a time, its
 * size is bounded, and its time, too.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_REAP_H
#define DYN_CORE_REAP_H

#include "core/event.h"
#include "core/node.h"
#include "core/walk.h"
#include "model/message.h"

struct dyn_key;
struct dyn_request;

/* Why something cannot be reaped now; on the wire in FENCE_REPLY. */
enum dyn_reap_block
{
	DYN_REAP_DONE,      /* nothing */
	DYN_REAP_STAMPED,   /* that stamp or a higher one was there already */
	DYN_REAP_REQUESTS,  /* older ones are under way */
	DYN_REAP_HINTS,     /* some are kept there */
	DYN_REAP_NOT_WHOLE, /* the store lacks something of it: it is building
						 * (building.h), or behind (fence.h) */
	DYN_REAP_FULL,      /* the store takes no writes */
	DYN_REAP_AWAY,      /* cannot be reached, or was started anew */
	DYN_REAP_BLOCK_COUNT
};

/* Steps of FENCE, and of REAP. */
enum
{
	DYN_FENCE_STAMP,
	DYN_FENCE_DRAIN,
	DYN_FENCE_FLOOR,
	DYN_FENCE_STEP_COUNT
};

enum
{
	DYN_REAP_ASK,
	DYN_REAP_REMOVE,
	DYN_REAP_STEP_COUNT
};

struct dyn_reap_round;

struct dyn_reap
{
	uint64_t at_ms;    /* of the next round, or of the end of a pause */
	uint64_t serial;   /* of what is awaited; 0 = nothing */
	uint64_t begun_ms; /* wall clock, when this process first looked, or the
						* clock went far back */
	uint64_t seen_ms;  /* ..., when it looked last */
	struct dyn_walk place;
	struct dyn_reap_round *round; /* NULL = none */
	/* Dead objects that the pass under way and the last whole one left. */
	uint64_t left;
	uint64_t waiting;
	enum dyn_reap_block block; /* why, lately */
	char block_address[DYN_ADDRESS_SIZE_MAX + 1];
};

/* ---- the collector ---- */

void dyn_reap_tick(struct dyn_node *node);
uint64_t dyn_reap_deadline(const struct dyn_node *node);
void dyn_reap_destroy(struct dyn_node *node);

/* A page of the walk; false = of somebody else's. */
bool dyn_reap_scanned(struct dyn_node *node, const struct dyn_event *event);

/* A member's answers, by the serial of the step; the node's own come the same
 * way, without a peer.  NULL: none will come. */
void dyn_reap_fenced(struct dyn_node *node, uint64_t serial, uint32_t member,
					 const Dyn__FenceReply *reply);
void dyn_reap_answered(struct dyn_node *node, uint64_t serial, uint32_t member,
					   const Dyn__ReapReply *reply);

/* "asking", ...; "" when nothing blocks, else what. */
const char *dyn_reap_state(const struct dyn_node *node);
const char *dyn_reap_block_text(enum dyn_reap_block block);

/* Dead for so long that other clocks agree, and held for the grace? */
bool dyn_reap_is_due(const struct dyn_node *node, uint64_t held_at_ms);
uint64_t dyn_reap_margin_ms(const struct dyn_node *node);

/* ---- the members: reap_answer.c ---- */

extern const struct dyn_request_kind dyn_fence_kind;
extern const struct dyn_request_kind dyn_reap_kind;

/* A member's part; for an own one, parent tells the serial of the step. */
void dyn_reap_take_fence(struct dyn_node *node, struct dyn_request *request,
						 const struct dyn_node_id *asker,
						 const Dyn__FenceRequest *message);
void dyn_reap_take(struct dyn_node *node, struct dyn_request *request,
				   const struct dyn_node_id *asker,
				   const Dyn__ReapRequest *message);

/* A commit that held fences ended. */
void dyn_reap_stored(struct dyn_node *node, uint64_t token,
					 enum dyn_status status);

#endif
