/*-------------------------------------------------------------------------
 *
 * admin.h
 *      What a node tells about itself: STATUS.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_ADMIN_H
#define DYN_CORE_ADMIN_H

#include "core/state.h"
#include "model/message.h"

void dyn_admin_status(struct dyn_node *node, uint64_t route,
					  uint64_t correlation, const Dyn__StatusRequest *message);

/* An operator's wish for anti-entropy. */
void dyn_admin_repair(struct dyn_node *node, uint64_t route,
					  uint64_t correlation, const Dyn__RepairRequest *message);

/* NULL behind the last one. */
const char *dyn_admin_counter_name(uint32_t index);

#endif
