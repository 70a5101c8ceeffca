/*-------------------------------------------------------------------------
 *
 * quorum.h
 *      Count answers by who gave them, until the outcome is certain.
 *
 * Answers are counted by slot, so a duplicated frame counts once, and the
 * first word of a slot stands.  (Dynamo 2007, section 4.5: R and W.)
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_QUORUM_H
#define DYN_CORE_QUORUM_H

#include "model/status.h"
#include "model/types.h"

enum dyn_quorum_state
{
	DYN_QUORUM_OPEN,
	DYN_QUORUM_REACHED,
	DYN_QUORUM_IMPOSSIBLE /* too many have said no */
};

struct dyn_quorum
{
	uint8_t needed;
	uint8_t all; /* bit masks by slot index from here on */
	uint8_t yes;
	uint8_t no;
	/* By slot: why its owner refused, DYN_STATUS_OK when it has not said so;
	 * for people only.  A fallback may still answer for it. */
	uint8_t refusals[DYN_REPLICAS_MAX];
};

/* Requires slot_count <= DYN_REPLICAS_MAX. */
void dyn_quorum_init(struct dyn_quorum *self, uint8_t slot_count,
					 uint8_t needed);

/* False when this slot had answered before. */
bool dyn_quorum_yes(struct dyn_quorum *self, uint8_t slot);
bool dyn_quorum_no(struct dyn_quorum *self, uint8_t slot);

void dyn_quorum_refused(struct dyn_quorum *self, uint8_t slot,
						enum dyn_status status);

enum dyn_quorum_state dyn_quorum_state(const struct dyn_quorum *self);

/* How many bits are set. */
uint8_t dyn_quorum_count(uint8_t mask);

#endif
