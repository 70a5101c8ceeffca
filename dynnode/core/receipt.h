/*-------------------------------------------------------------------------
 *
 * receipt.h
 *      What an answer rests on, for programs (Receipt) and for people.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_RECEIPT_H
#define DYN_CORE_RECEIPT_H

#include "core/quorum.h"
#include "core/state.h"
#include "model/message.h"

/* coordinator is the slot of this node, or N when it owns none; by_fallback:
 * slots for which a fallback answered. */
Dyn__Receipt *dyn_receipt_make(struct dyn_node *node, struct dyn_arena *arena,
							   uint16_t partition,
							   const struct dyn_quorum *quorum,
							   uint8_t by_fallback);

/* "3 answers were needed, 1 came; no answer from 10.0.0.1:7001; FULL from
 * 10.0.0.2:7001" */
char *dyn_receipt_text(struct dyn_node *node, struct dyn_arena *arena,
					   uint16_t partition, const struct dyn_quorum *quorum);

/* A copy of a text in an arena. */
char *dyn_receipt_say(struct dyn_arena *arena, const char *text);

#endif
