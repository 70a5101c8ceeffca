/*-------------------------------------------------------------------------
 *
 * work.h
 *      An operation of a request that waits for the store, or for a key.
 *
 * Who waits is named by the request's serial and the operation's index, so
 * whoever ended meanwhile is not found, and hears nothing.  Here stands, once,
 * which module hears of what, by the request's type.
 *
 * Any of these may decide the operation and end its request.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_WORK_H
#define DYN_CORE_WORK_H

#include "core/load.h"
#include "core/state.h"

struct dyn_work
{
	uint64_t serial;
	uint32_t op;
};

/* Its turn at the key: what it does to it. */
void dyn_work_apply(struct dyn_node *node, struct dyn_work work,
					struct dyn_key *key);

/* The commit of what it wrote ended; carried: a later commit of the key holds
 * the same versions. */
void dyn_work_committed(struct dyn_node *node, struct dyn_work work,
						enum dyn_status status, bool carried);

/* The record that it reads. It lives for this step. */
void dyn_work_loaded(struct dyn_node *node, struct dyn_work work, uint8_t slot,
					 enum dyn_load_view view, const struct dyn_loaded *record);

#endif
