/*-------------------------------------------------------------------------
 *
 * rigrecord.h
 *      Records on the disks of a corerig: put there, looked into, spoiled.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_RIGRECORD_H
#define DYN_TESTS_RIGRECORD_H

#include "corerig.h"

#include "model/object.h"

/* The same record on the nodes first .. last. */
void rigrecord_put_on(struct corerig *rig, uint32_t first, uint32_t last,
					  const char *bucket, const char *key,
					  struct dyn_slice object);

/* What a record holds, in rig->arena; nothing when there is no record. */
struct dyn_object rigrecord_object(struct corerig *rig, uint32_t node,
								   const char *bucket, const char *key);

/* Bits of its key turn over, so that it is one of another partition by its
 * key, but stands where it was. */
void rigrecord_misname(struct corerig *rig, uint32_t node, const char *bucket,
					   const char *key);

#endif
