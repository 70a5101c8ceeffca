/*-------------------------------------------------------------------------
 *
 * rigdisk.h
 *      Restarts of a core in a unit test, on its disk or on another one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_RIGDISK_H
#define DYN_TESTS_RIGDISK_H

#include "corerig.h"

/*
 * A crash, and a start from what is on the disk; `as` = with this node-id, or
 * NULL.  What was on its way to the node is lost, and the others notice.
 */
void corerig_restart(struct corerig *rig, uint32_t node,
					 const struct dyn_node_id *as);

/* While it is down, in effect: an empty disk; a copy of the disk is made; that
 * copy takes its place. */
void corerig_empty(struct corerig *rig, uint32_t node);
void corerig_keep(struct corerig *rig, uint32_t node);
void corerig_go_back(struct corerig *rig, uint32_t node);

/* Its disk is empty, and it starts again in its own place.  It is built when
 * all partitions are filled up. */
void corerig_lose_disk(struct corerig *rig, uint32_t node);
bool corerig_is_built(const struct corerig *rig, uint32_t node);

#endif
