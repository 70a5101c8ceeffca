/*-------------------------------------------------------------------------
 *
 * reap_round.h
 *      A round of reaping, from its keys to their end.
 *
 * reap.c finds what may go and keeps the time; reap_round.c asks the others,
 * raises the fences, and has the keys removed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_REAP_ROUND_H
#define DYN_CORE_REAP_ROUND_H

#include "core/reap.h"
#include "core/state.h"

enum
{
	DYN_REAP_KEYS_MAX = 2048, /* of one round, and up to a page more */
	DYN_REAP_PAGE_ITEMS_MAX = 256,
	DYN_REAP_PAGES_MAX = 256, /* of one round */
	DYN_REAP_PAUSE_MS = 100
};

enum dyn_reap_phase
{
	DYN_REAP_WALKING,
	DYN_REAP_ASKING,
	DYN_REAP_STAMPING,
	DYN_REAP_DRAINING,
	DYN_REAP_FLOOR_AT_OTHERS,
	DYN_REAP_FLOOR_AT_OWNERS,
	DYN_REAP_REMOVING
};

struct dyn_reap_key
{
	struct dyn_slice bucket;
	struct dyn_slice key;
	uint64_t hash;
	uint64_t dies_at_ms;
	uint16_t partition;
	bool refused;             /* in this step: it is not so at somebody's */
	bool failed;              /* it is out */
	bool differs;             /* in its context, maybe */
	struct dyn_actor *actors; /* whose entries go; none = the record does */
	uint32_t actor_count;
};

struct dyn_reap_part
{
	uint16_t partition;
	bool refused; /* in this step, for good */
	bool dropped; /* it is out */
	uint64_t fence;
	uint64_t done; /* this step, by member */
};

struct dyn_reap_round
{
	struct dyn_arena arena;
	enum dyn_reap_phase state;
	bool pausing;
	uint64_t until_ms; /* the step is tried again */
	uint64_t ring_digest;
	uint64_t processes[DYN_MEMBERS_MAX];
	uint32_t waiting; /* answers */
	uint32_t pages;
	struct dyn_reap_key keys[DYN_REAP_KEYS_MAX + DYN_REAP_PAGE_ITEMS_MAX];
	uint32_t key_count;
	uint32_t prune_count;
	struct dyn_reap_part *parts;
	uint32_t part_count;
};

/* ---- reap.c ---- */

bool dyn_reap_is_self(const struct dyn_node *node, uint32_t member);

/* Something is awaited, for the phase, under a new serial.  One answer is
 * counted already: nobody goes on before all were asked. */
void dyn_reap_await(struct dyn_node *node, enum dyn_reap_phase phase);

/* Is everybody still there? False when the round has ended. */
bool dyn_reap_may_go_on(struct dyn_node *node);
void dyn_reap_note_block(struct dyn_node *node, uint32_t member,
						 enum dyn_reap_block block);

/* go_on: there is more to be done at once. */
void dyn_reap_end(struct dyn_node *node, bool go_on);

/* ---- reap_round.c ---- */

/* The keys are there: the other owners are asked. */
void dyn_reap_ask_owners(struct dyn_node *node);

/* A step with fences, to those who have not done it yet. */
void dyn_reap_send_fences(struct dyn_node *node, enum dyn_reap_phase phase);

#endif
