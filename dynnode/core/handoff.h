/*-------------------------------------------------------------------------
 *
 * handoff.h
 *      Objects kept for owners that were away, and brought to them.
 *
 * (Dynamo 2007, section 4.6.)  A hint is a record of DYN_TABLE_HINTS: the
 * object, and a bit for each slot of its partition that it is kept for.  It is
 * as durable as any record, and whoever is asked to read for the slot finds
 * it there.
 *
 * Each reachable peer that owns slots with hints is told so in heartbeats, and
 * gets one slice after the other while it grants credit for them (credit.h):
 * a page of the table, no larger than that, in REPLICATE frames.  A slot's bit
 * goes only when the owner has committed that very object, byte for byte (the
 * object hash says nothing of contexts); a hint that has changed meanwhile
 * stays and is sent again.  The last bit takes the record with it.
 *
 * Which partitions may hold hints is known from the first walk through the
 * table after a start; until then all may.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_HANDOFF_H
#define DYN_CORE_HANDOFF_H

#include "core/key_table.h"
#include "core/request.h"

struct dyn_handoff;

/* A hint for these slots was written or changed in memory; and once more when
 * that is on disk, where walks look. */
void dyn_handoff_note(struct dyn_node *node, uint16_t partition, uint8_t slots);

/* Is there something for the peer, as far as is known? */
bool dyn_handoff_wants(const struct dyn_node *node, uint32_t peer_index);

/* By partition: may hints lie here, or be on their way to disk? In the step's
 * memory. */
bool *dyn_handoff_held(struct dyn_node *node);

/* May this key, whose turn it is, be kept as a hint?  A new one counts against
 * hints_max; false is counted (hints_refused). */
bool dyn_handoff_takes(struct dyn_node *node, const struct dyn_key *key);

/* Start what can be started; at heartbeats. */
void dyn_handoff_tick(struct dyn_node *node);

#endif
