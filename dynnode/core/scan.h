/*-------------------------------------------------------------------------
 *
 * scan.h
 *      One page of this replica's records, in the order (cell, key).
 *
 * The node must own every partition of the cells asked for: an incomplete
 * answer would look like missing rows.  The reader merges the pages of R
 * owners (model/scan_merge.h).
 *
 * When it is asked for the hashes of the cells, they are read before the page
 * is: what the page shows is then never older than what the hashes stand
 * for, and that is all that the reader relies on.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_SCAN_H
#define DYN_CORE_SCAN_H

#include "core/request.h"

extern const struct dyn_request_kind dyn_scan_kind;

void dyn_scan_begin(struct dyn_node *node, struct dyn_request *request,
					const Dyn__ScanRequest *message);

#endif
