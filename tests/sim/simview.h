/*-------------------------------------------------------------------------
 *
 * simview.h
 *      Wall clocks that are apart all the time, and by which a client judges
 *      what has expired: as the extension does it (model/wall.h).
 *
 * With `skew_ms_max` all of nodes and clients are spread over so much.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_SIMVIEW_H
#define DYN_TESTS_SIMVIEW_H

#include "tests/sim/simclient_state.h"

void dyn_simview_spread(struct dyn_world *world);

/* What a node tells with its answer. */
void dyn_simview_note(const struct dyn_world *world, struct dyn_simclient *self,
					  uint32_t node, enum dyn_message_type type,
					  const ProtobufCMessage *body);

uint64_t dyn_simview_ms(const struct dyn_world *world,
						const struct dyn_simclient *self);

#endif
