/*-------------------------------------------------------------------------
 *
 * request.h
 *      Messages that ask for work, from their arrival to their answer.
 *
 * A request owns an arena: its unpacked message, the objects collected for
 * it, its results.  All of it counts in node->room.held_bytes, from its first
 * byte to its last (room.h).  Others refer to it by serial number, never by pointer, so
 * whatever arrives after its end finds nothing.  A request that ended stays
 * in memory until the step's end.
 *
 * Each of its operations is decided once.  When the last one is, the answer
 * leaves.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_REQUEST_H
#define DYN_CORE_REQUEST_H

#include "core/state.h"
#include "model/message.h"

struct dyn_get_op;
struct dyn_put_op;
struct dyn_read_op;
struct dyn_repair;
struct dyn_replica_op;
struct dyn_handoff;
struct dyn_fencing;
struct dyn_reap_op;
struct dyn_fill;
struct dyn_discard;

enum dyn_request_type
{
	DYN_REQUEST_PUT,       /* coord_put.c */
	DYN_REQUEST_GET,       /* coord_get.c */
	DYN_REQUEST_READ,      /* replica_read.c */
	DYN_REQUEST_REPLICATE, /* replica.c */
	DYN_REQUEST_SCAN,      /* scan.c */
	DYN_REQUEST_HANDOFF,   /* handoff.c */
	DYN_REQUEST_TREE,      /* exchange_answer.c */
	DYN_REQUEST_LIST,      /* exchange_answer.c */
	DYN_REQUEST_REPAIR,    /* repair.c */
	DYN_REQUEST_FENCE,     /* reap_answer.c */
	DYN_REQUEST_REAP,      /* reap_answer.c */
	DYN_REQUEST_SCRUB,     /* scrub.c */
	DYN_REQUEST_COPY,      /* copy.c */
	DYN_REQUEST_FILL,      /* filling.c */
	DYN_REQUEST_DISCARD    /* discard.c */
};

struct dyn_request
{
	UT_hash_handle hh;
	uint64_t serial;
	enum dyn_request_type type;
	uint64_t route; /* 0 = nobody awaits an answer */
	uint64_t correlation;
	uint64_t deadline_ms;
	uint64_t act_until_ms; /* PUT: its client waits no longer; UINT64_MAX = it
							* has not said */
	uint64_t hedge_at_ms;  /* UINT64_MAX = no more */
	struct dyn_timer timer;
	struct dyn_arena arena;
	size_t bytes;            /* of its frame */
	size_t background_bytes; /* ... and in node->credit */
	struct dyn_slice bucket;
	uint32_t op_count;
	uint32_t undecided;
	/* GET and READ bring in a part of their keys at a time, so that what
	 * they hold in memory is bounded whatever the values' size. */
	uint32_t begun;      /* operations */
	size_t answer_bytes; /* of the objects found so far */
	bool beginning;      /* in the loop that begins them */
	bool ended;
	struct dyn_request *next_ended;
	const void *message;      /* unpacked, as its type says */
	struct dyn_node_id asker; /* TREE: which node, and since when */
	uint64_t asked_at_ms;
	bool vouches;          /* COPY: nothing was lost here when it began */
	bool for_damage;       /* COPY, DISCARD, HANDOFF: read over damage */
	uint64_t *cell_hashes; /* SCAN: when they were asked for and read */
	uint64_t parent; /* REPLICATE: for this operation of a REPAIR, for a FILL */
	uint32_t parent_op;
	union
	{
		struct dyn_put_op *puts;
		struct dyn_get_op *gets;
		struct dyn_read_op *reads;
		struct dyn_replica_op *replicas;
		struct dyn_handoff *handoff;
		struct dyn_fencing *fencing;
		struct dyn_reap_op *reaps;
		struct dyn_repair *repair;
		struct dyn_fill *fill;
		struct dyn_discard *discard;
	};
};

/* NULL when there is no room: OVERLOAD was answered.  route 0 and env NULL
 * for work of the node's own. */
struct dyn_request *dyn_request_new(struct dyn_node *node,
									enum dyn_request_type type, uint64_t route,
									const struct dyn_envelope *env);

/* The body; BAD_REQUEST and the like were answered when NULL comes back,
 * and the request has ended. */
const void *dyn_request_unpack(struct dyn_node *node, struct dyn_request *self,
							   const struct dyn_envelope *env);

struct dyn_request *dyn_request_find(struct dyn_node *node, uint64_t serial);

/*
 * Begin operations in their order until DYN_READS_AT_ONCE are under way; to be
 * called again whenever one is decided (a loop, whoever calls from within).
 */
void dyn_request_begin_some(struct dyn_node *node, struct dyn_request *self,
							void (*begin)(struct dyn_node *node,
										  struct dyn_request *request,
										  uint32_t op));

/* It has been answered, or deserves no answer. */
void dyn_request_end(struct dyn_node *node, struct dyn_request *self);

/* What is wrong with a request for so many keys that asks for a quorum of so
 * many, in words for its sender; NULL when nothing is. */
const char *dyn_request_fault(const struct dyn_node *node,
							  const struct dyn_request *self, uint32_t count,
							  uint32_t quorum);

/* Refuse it as a whole. */
void dyn_request_refuse(struct dyn_node *node, struct dyn_request *self,
						enum dyn_status status, const char *text);

/* Give up what a client of this route no longer wants (reads only). */
void dyn_request_cancel(struct dyn_node *node, uint64_t route,
						const Dyn__Cancel *cancel);

/* Look at it again at this time (hedges), if it was not to be sooner. */
void dyn_request_wake(struct dyn_node *node, struct dyn_request *self,
					  uint64_t at_ms);
void dyn_request_tick(struct dyn_node *node);

/* Milliseconds that are left, at least 1. */
uint32_t dyn_request_remaining_ms(const struct dyn_node *node,
								  const struct dyn_request *self);

void dyn_request_free_ended(struct dyn_node *node);
void dyn_request_destroy_all(struct dyn_node *node);

#endif
