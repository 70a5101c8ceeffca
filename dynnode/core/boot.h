/*-------------------------------------------------------------------------
 *
 * boot.h
 *      From the store's own records to a node that may begin.
 *
 * The configuration is checked, then each record goes to whoever keeps it:
 * "identity", "buckets", "cluster" with "fence", "progress", "building".  A
 * record that is damaged, or contradicts the configuration, ends the process
 * (FATAL effect): what it said cannot be made up.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_BOOT_H
#define DYN_CORE_BOOT_H

#include "core/state.h"

/* BAD_REQUEST with a FATAL effect when records and config contradict each
 * other, or either is not sound. */
enum dyn_status dyn_boot_run(struct dyn_node *node,
							 const struct dyn_boot *boot);

/* The FATAL effect; returns BAD_REQUEST. text is copied. */
enum dyn_status dyn_boot_fatal(struct dyn_node *node, const char *text);

#endif
