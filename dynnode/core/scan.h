/*-------------------------------------------------------------------------
 *
 * scan.h
 *      One page of this replica's records, in the order (cell, key).
 *
 * The node must own every partition of the cells asked for: an incomplete
 * answer would look like missing rows.  The reader merges the pages of R
 * owners (model/scan_merge.h).
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_SCAN_H
#define DYN_CORE_SCAN_H

#include "core/request.h"

void dyn_scan_begin(struct dyn_node *node, struct dyn_request *request,
					const Dyn__ScanRequest *message);
void dyn_scan_done(struct dyn_node *node, const struct dyn_event *event);

#endif
