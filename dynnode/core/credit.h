/*-------------------------------------------------------------------------
 *
 * credit.h
 *      How much background work may be on its way to a node.
 *
 * A node that comes back is met by everybody who kept hints for it, and by
 * everybody whose tree differs from its own.  Its clients must not notice.  So
 * the receiver grants: each heartbeat tells a peer how many bytes of hints and
 * repairs together it may have on their way here, and what the node fetches
 * for itself comes out of the same budget.
 *
 * The budget is halved when commits beside which background work is under way
 * take longer than those without ever did, and grows while they do not and the
 * budget was used.  It begins small, and again when there was nothing to do.
 * Every few heartbeats nobody is granted anything: what commits take then is
 * what "calm" means.
 *
 * Who has something to bring says so in its heartbeats.  A budget that is too
 * small for all of these goes to some of them, in turns; when nobody says so,
 * everybody has such turns with a small share, for what comes up.
 *
 * A sender never has more on its way than the receiver's last grant, but for
 * a single object that is larger, alone (credit_oversize counts).
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_CREDIT_H
#define DYN_CORE_CREDIT_H

#include "model/types.h"

struct dyn_node;
struct dyn_peer;

enum
{
	DYN_CREDIT_MAX = 4 * 1024 * 1024, /* bytes, of all together */
	DYN_CREDIT_FIRST = 64 * 1024,
	DYN_CREDIT_MIN = 16 * 1024,
	DYN_CREDIT_SHARE_MIN = 32 * 1024, /* of one in a turn; else fewer have it */
	DYN_CREDIT_SHARE_SMALL = 12 * 1024, /* ... when nobody wants any */
	DYN_CREDIT_SLICE_MAX = 512 * 1024,  /* one page of hints */
	DYN_CREDIT_COMMITS = 16,            /* judged together */
	DYN_CREDIT_REST = 8                 /* every so many turns are nobody's */
};

/* The receiver's side. */
struct dyn_credit
{
	uint64_t budget;    /* bytes that may be on their way here */
	uint64_t here;      /* bytes of background frames being worked at */
	uint64_t pulling;   /* bytes that this node fetches */
	uint64_t most;      /* of both together, since the last look */
	uint64_t own_share; /* ... and how many it may, in this turn */
	bool own_wants;     /* it was refused some */
	uint32_t calm_ms;   /* x 64: the longest calm commits of late; 0 = none */
	uint32_t count;     /* commits beside background work since the last look */
	uint32_t slow_count; /* of them */
	uint32_t turn;
	uint32_t last; /* peer that had the last share */
};

void dyn_credit_init(struct dyn_credit *self);

/* A commit took so long from being handed to the store.  burdened: background
 * work was under way. */
void dyn_credit_commit(struct dyn_node *node, uint64_t took_ms, bool burdened);

/* Is any under way, here or in answers that are awaited? */
bool dyn_credit_is_used(const struct dyn_node *node);

/* A background frame of so many bytes has arrived; it has been answered. */
void dyn_credit_arrived(struct dyn_node *node, uint64_t bytes);
void dyn_credit_left(struct dyn_node *node, uint64_t bytes);

/* Heartbeats are about to leave: whose turn is it now? Peers' `granted`. */
void dyn_credit_turn(struct dyn_node *node);

/* What a peer may have on its way here: 0 while the store takes no writes. */
uint64_t dyn_credit_grant(const struct dyn_node *node,
						  const struct dyn_peer *peer);

/* ---- what this node fetches for itself (objects in answers) ---- */

/* How many bytes may be asked for now; 0 = ask again after the next
 * heartbeat. */
uint64_t dyn_credit_may_pull(struct dyn_node *node);
/* So many were asked for; the answer is worked off, or will not come. */
void dyn_credit_pull(struct dyn_node *node, uint64_t bytes);
void dyn_credit_pulled(struct dyn_node *node, uint64_t bytes);

/* ---- what this node brings to others ---- */

/* How many bytes more may be on their way to the peer; 0 = wait. */
uint64_t dyn_credit_may_send(const struct dyn_peer *peer);
void dyn_credit_send(struct dyn_node *node, struct dyn_peer *peer,
					 uint64_t bytes);
void dyn_credit_sent(struct dyn_peer *peer, uint64_t bytes);

#endif
