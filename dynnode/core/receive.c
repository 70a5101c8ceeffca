#include "core/receive.h"

#include "core/admin.h"
#include "core/bucket.h"
#include "core/call.h"
#include "core/cluster.h"
#include "core/coord_get.h"
#include "core/coord_put.h"
#include "core/copy.h"
#include "core/exchange.h"
#include "core/formation.h"
#include "core/hello.h"
#include "core/outbox.h"
#include "core/peer.h"
#include "core/replica.h"
#include "core/replica_read.h"
#include "core/scan.h"

/* ---------------------------------------------------------------- requests */

/* The handler takes the unpacked message and answers. */
static void
hand_over(struct dyn_node *node, enum dyn_message_type type,
		  struct dyn_request *request, const struct dyn_node_id *sender,
		  const void *message)
{
	switch ((int) type)
	{
		case DYN_MESSAGE_PUT:
			dyn_put_begin(node, request, message);
			break;
		case DYN_MESSAGE_GET:
			dyn_get_begin(node, request, message);
			break;
		case DYN_MESSAGE_READ:
			dyn_replica_read(node, request, message);
			break;
		case DYN_MESSAGE_REPLICATE:
			dyn_replica_begin(node, request, message);
			break;
		case DYN_MESSAGE_SCAN:
			dyn_scan_begin(node, request, message);
			break;
		case DYN_MESSAGE_TREE:
			dyn_exchange_answer_tree(node, request, sender, message);
			break;
		case DYN_MESSAGE_LIST:
			dyn_exchange_answer_list(node, request, message);
			break;
		case DYN_MESSAGE_COPY:
			dyn_copy_begin(node, request, sender, message);
			break;
		case DYN_MESSAGE_FENCE:
			dyn_reap_take_fence(node, request, sender, message);
			break;
		case DYN_MESSAGE_REAP:
			dyn_reap_take(node, request, sender, message);
			break;
	}
}

static void
begin_request(struct dyn_node *node, const struct dyn_envelope *env,
			  uint64_t route, const struct dyn_request_kind *kind)
{
	struct dyn_request *request;
	const void *message;

	if (!dyn_cluster_serves(node))
	{
		dyn_outbox_error(node, route, env->correlation, DYN_STATUS_NOT_READY,
						 "the node is not part of a formed cluster yet");
		return;
	}
	request = dyn_request_new(node, kind, route, env);
	if (request == NULL)
		return;
	message = dyn_request_unpack(node, request, env);
	if (message != NULL)
		hand_over(node, env->type, request, &env->sender, message);
}

/* What is answered at once, from memory. */
static void
take_notice(struct dyn_node *node, const struct dyn_envelope *env,
			uint64_t route)
{
	ProtobufCMessage *body;
	enum dyn_status status =
		dyn_message_unpack(env, &node->scratch.allocator, &body);

	if (status != DYN_STATUS_OK)
	{
		dyn_count(node, frames_bad);
		dyn_outbox_error(node, route, env->correlation, status,
						 dyn_status_text(status));
		return;
	}
	switch ((int) env->type)
	{
		case DYN_MESSAGE_HELLO:
			dyn_hello_take(node, route, env->correlation,
						   (const Dyn__Hello *) body);
			break;
		case DYN_MESSAGE_STATUS:
			dyn_admin_status(node, route, env->correlation,
							 (const Dyn__StatusRequest *) body);
			break;
		case DYN_MESSAGE_REPAIR:
			dyn_admin_repair(node, route, env->correlation,
							 (const Dyn__RepairRequest *) body);
			break;
		case DYN_MESSAGE_BUCKET:
			dyn_bucket_take(node, route, env->correlation,
							(const Dyn__BucketRequest *) body);
			break;
		case DYN_MESSAGE_CANCEL:
			dyn_request_cancel(node, route, (const Dyn__Cancel *) body);
			break;
		case DYN_MESSAGE_HEARTBEAT:
			dyn_peer_heartbeat(node, env, route, (const Dyn__Heartbeat *) body);
			break;
		case DYN_MESSAGE_FORM:
			dyn_formation_enter(node, (const Dyn__Form *) body);
			break;
	}
}

static void
take_request(struct dyn_node *node, const struct dyn_envelope *env,
			 uint64_t route)
{
	switch ((int) env->type)
	{
		case DYN_MESSAGE_PUT:
			begin_request(node, env, route, &dyn_put_kind);
			break;
		case DYN_MESSAGE_GET:
			begin_request(node, env, route, &dyn_get_kind);
			break;
		case DYN_MESSAGE_READ:
			begin_request(node, env, route, &dyn_read_kind);
			break;
		case DYN_MESSAGE_REPLICATE:
			begin_request(node, env, route, &dyn_replicate_kind);
			break;
		case DYN_MESSAGE_SCAN:
			begin_request(node, env, route, &dyn_scan_kind);
			break;
		case DYN_MESSAGE_TREE:
			begin_request(node, env, route, &dyn_tree_kind);
			break;
		case DYN_MESSAGE_LIST:
			begin_request(node, env, route, &dyn_list_kind);
			break;
		case DYN_MESSAGE_COPY:
			begin_request(node, env, route, &dyn_copy_kind);
			break;
		case DYN_MESSAGE_FENCE:
			begin_request(node, env, route, &dyn_fence_kind);
			break;
		case DYN_MESSAGE_REAP:
			begin_request(node, env, route, &dyn_reap_kind);
			break;
		default:
			take_notice(node, env, route);
			break;
	}
}

/* ----------------------------------------------------------------- answers */

static void
take_answer(struct dyn_node *node, const struct dyn_envelope *env,
			uint32_t peer_index)
{
	ProtobufCMessage *body;

	if (dyn_message_unpack(env, &node->scratch.allocator, &body) !=
		DYN_STATUS_OK)
	{
		dyn_count(node, replies_bad);
		return;
	}
	dyn_peer_heard(node, peer_index);
	if (env->type == DYN_MESSAGE_WELCOME)
		dyn_peer_welcome(node, peer_index, (const Dyn__Welcome *) body);
	else if (env->type == DYN_MESSAGE_HEARTBEAT)
		dyn_peer_heartbeat_answer(node, peer_index,
								  (const Dyn__Heartbeat *) body);
	else if (env->type == DYN_MESSAGE_ERROR && env->correlation == 0)
		dyn_peer_error(node, peer_index, (const Dyn__Error *) body);
	else
		dyn_call_answer(node, peer_index, env, body);
}

/* ------------------------------------------------------------- may it pass? */

/* May this type come through this kind of socket? */
static bool
is_allowed(enum dyn_source source, enum dyn_message_type type)
{
	switch ((int) type)
	{
		case DYN_MESSAGE_HELLO:
		case DYN_MESSAGE_PUT:
		case DYN_MESSAGE_READ:
		case DYN_MESSAGE_CANCEL:
			return source != DYN_SOURCE_PEER;
		case DYN_MESSAGE_GET:
		case DYN_MESSAGE_SCAN:
		case DYN_MESSAGE_STATUS:
		case DYN_MESSAGE_BUCKET:
		case DYN_MESSAGE_REPAIR:
			return source == DYN_SOURCE_CLIENT;
		case DYN_MESSAGE_REPLICATE:
		case DYN_MESSAGE_TREE:
		case DYN_MESSAGE_LIST:
		case DYN_MESSAGE_COPY:
		case DYN_MESSAGE_FENCE:
		case DYN_MESSAGE_REAP:
		case DYN_MESSAGE_FORM:
			return source == DYN_SOURCE_NODE;
		case DYN_MESSAGE_HEARTBEAT:
			return source != DYN_SOURCE_CLIENT;
		default: /* answers */
			return source == DYN_SOURCE_PEER;
	}
}

/* Who does not know a cluster may ask; fellows only bring objects and compare
 * what they hold. */
static bool
is_other_cluster(const struct dyn_node *node, const struct dyn_envelope *env)
{
	if (!node->cluster.formed || env->cluster == node->cluster.tag)
		return false;
	return env->cluster != 0 || env->type == DYN_MESSAGE_REPLICATE ||
		   env->type == DYN_MESSAGE_TREE || env->type == DYN_MESSAGE_LIST ||
		   env->type == DYN_MESSAGE_COPY || env->type == DYN_MESSAGE_FENCE ||
		   env->type == DYN_MESSAGE_REAP;
}

static void
refuse(struct dyn_node *node, const struct dyn_event *event,
	   const struct dyn_envelope *env, enum dyn_status status)
{
	if (event->message.source != DYN_SOURCE_PEER)
		dyn_outbox_error(node, event->message.route, env->correlation, status,
						 dyn_status_text(status));
}

void
dyn_receive_message(struct dyn_node *node, const struct dyn_event *event)
{
	enum dyn_source source = event->message.source;
	struct dyn_envelope env = { 0 };
	enum dyn_status status = dyn_envelope_open(event->message.frame, &env);

	dyn_count(node, frames_received);
	if (status == DYN_STATUS_VERSION)
		refuse(node, event, &env, status);
	if (status != DYN_STATUS_OK ||
		(source == DYN_SOURCE_PEER &&
		 event->message.peer_index >= node->peer_count))
		dyn_count(node, frames_bad);
	else if (is_other_cluster(node, &env))
	{
		dyn_count(node, frames_other_cluster);
		refuse(node, event, &env, DYN_STATUS_WRONG_CLUSTER);
	}
	else if (!is_allowed(source, env.type))
	{
		dyn_count(node, frames_refused);
		refuse(node, event, &env, DYN_STATUS_NOT_AUTH);
	}
	else if (source == DYN_SOURCE_PEER)
		take_answer(node, &env, event->message.peer_index);
	else
		take_request(node, &env, event->message.route);
}
