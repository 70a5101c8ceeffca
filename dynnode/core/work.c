#include "core/work.h"

#include "core/coord_put.h"
#include "core/coord_read.h"
#include "core/discard.h"
#include "core/handoff.h"
#include "core/load.h"
#include "core/put_apply.h"
#include "core/reap.h"
#include "core/repair.h"
#include "core/replica.h"
#include "core/replica_apply.h"
#include "core/replica_read.h"

void
dyn_work_apply(struct dyn_node *node, struct dyn_work work, struct dyn_key *key)
{
	struct dyn_request *request = dyn_request_find(node, work.serial);

	if (request == NULL)
		return;
	if (request->type == DYN_REQUEST_PUT)
		dyn_put_apply(node, request, work.op, key);
	else if (request->type == DYN_REQUEST_HANDOFF)
		dyn_handoff_apply(node, request, work.op, key);
	else if (request->type == DYN_REQUEST_DISCARD)
		dyn_discard_apply(node, request, work.op, key);
	else if (request->type == DYN_REQUEST_REAP)
		dyn_reap_apply(node, request, work.op, key);
	else if (request->type == DYN_REQUEST_READ)
		dyn_replica_read_apply(node, request, work.op, key);
	else
		dyn_replica_apply(node, request, work.op, key);
}

void
dyn_work_committed(struct dyn_node *node, struct dyn_work work,
				   enum dyn_status status, bool carried)
{
	struct dyn_request *request = dyn_request_find(node, work.serial);

	if (request == NULL)
		return;
	if (request->type == DYN_REQUEST_PUT)
		dyn_put_committed(node, request, work.op, status, carried);
	else if (request->type == DYN_REQUEST_HANDOFF)
		dyn_handoff_committed(node, request, work.op, status);
	else if (request->type == DYN_REQUEST_DISCARD)
		dyn_discard_committed(node, request, status);
	else if (request->type == DYN_REQUEST_REAP)
		dyn_reap_committed(node, request, work.op, status);
	else if (request->type == DYN_REQUEST_READ)
		dyn_replica_read_committed(node, request, work.op);
	else
		dyn_replica_committed(
			node, request, work.op,
			carried && status != DYN_STATUS_OK ? DYN_STATUS_UNKNOWN : status);
}

void
dyn_work_loaded(struct dyn_node *node, struct dyn_work work, uint8_t slot,
				enum dyn_load_view view, const struct dyn_loaded *record)
{
	struct dyn_request *request = dyn_request_find(node, work.serial);

	if (request == NULL)
		return;
	if (request->type == DYN_REQUEST_READ)
		dyn_replica_read_loaded(node, request, work.op, record);
	else if (request->type == DYN_REQUEST_REPAIR)
		dyn_repair_loaded(node, request, work.op, record);
	else if (request->type == DYN_REQUEST_REAP)
		dyn_reap_loaded(node, request, work.op, record);
	else
		dyn_read_loaded(node, request, work.op, slot, view == DYN_LOAD_HINT,
						record);
}
