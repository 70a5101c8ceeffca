/*-------------------------------------------------------------------------
 *
 * connection.c
 *		A backend's sockets: life of libzmq, calls, waiting.
 *
 *-------------------------------------------------------------------------
 */
#include "cluster_state.h"
#include "node_clock.h"

#include <pthread.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include <signal.h>
#include <zmq.h>

enum
{
	CONTEXT_FDS = 8,			/* what libzmq takes for a context */
	NODE_FDS = 2,				/* a socket's mailbox and its connection */
	HIGH_WATER_MARK = 20000,
	HEARTBEAT_MS = 1000,
	HEARTBEAT_TIMEOUT_MS = 3000,
	RECONNECT_MS = 50,
	RECONNECT_MAX_MS = 1000
};

static void *zmq_context;
static pid_t zmq_pid;
static int	fds_taken;

/* The frame being received: closed before the next one, or after an error. */
static zmq_msg_t incoming;
static bool incoming_open;

/* --------------------------------------------------------- life of libzmq */

static void
take_fds(int count)
{
	for (int i = 0; i < count; i++)
	{
		if (!AcquireExternalFD())
		{
			while (i-- > 0)
				ReleaseExternalFD();
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
					 errmsg("too few file descriptors are left to connect to a Dynamo cluster"),
					 errhint("Raise max_files_per_process, and the limit of the operating system if need be.")));
		}
	}
	fds_taken += count;
}

static void
give_fds(int count)
{
	fds_taken -= count;
	while (count-- > 0)
		ReleaseExternalFD();
}

void
dynfdw_close_nodes(DynamoCluster *cluster)
{
	for (int i = 0; i < cluster->nnodes; i++)
		if (cluster->nodes[i].socket != NULL)
		{
			zmq_close(cluster->nodes[i].socket);
			give_fds(NODE_FDS);
		}
	if (cluster->nodes != NULL)
		pfree(cluster->nodes);
	cluster->nnodes = 0;
	cluster->nodes = NULL;
	if (cluster->wait_set != NULL)
		FreeWaitEventSet(cluster->wait_set);
	cluster->wait_set = NULL;
}

static void
shut_down(int code, Datum arg)
{
	if (zmq_context == NULL || zmq_pid != getpid())
		return;
	dynfdw_close_clusters();
	if (incoming_open)
		zmq_msg_close(&incoming);
	incoming_open = false;
	zmq_ctx_term(zmq_context);
	zmq_context = NULL;
}

/*
 * libzmq starts its threads with the first socket, and they inherit the
 * signal mask of that moment: so everything is blocked meanwhile.
 */
static void *
open_socket(void)
{
	sigset_t	all;
	sigset_t	before;
	void	   *socket = NULL;

	if (zmq_context != NULL && zmq_pid != getpid())
		elog(ERROR, "a connection to a Dynamo cluster cannot be inherited");
	if (zmq_context == NULL)
		take_fds(CONTEXT_FDS);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	if (zmq_context == NULL)
	{
		zmq_context = zmq_ctx_new();
		zmq_pid = getpid();
		if (zmq_context != NULL)
		{
			zmq_ctx_set(zmq_context, ZMQ_BLOCKY, 0);
			zmq_ctx_set(zmq_context, ZMQ_IO_THREADS, 1);
			zmq_ctx_set(zmq_context, ZMQ_MAX_SOCKETS, 4 * DYN_MEMBERS_MAX);
			on_proc_exit(shut_down, 0);
		}
	}
	if (zmq_context != NULL)
		socket = zmq_socket(zmq_context, ZMQ_DEALER);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (socket == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not create a ZeroMQ socket: %s",
						zmq_strerror(zmq_errno()))));
	return socket;
}

static void
set_number(void *socket, int option, int value)
{
	zmq_setsockopt(socket, option, &value, sizeof(value));
}

static void
connect_node(DynamoCluster *cluster, DynamoNode *node)
{
	char		endpoint[DYN_ADDRESS_SIZE_MAX + 16];
	int64		size_max = DYN_FRAME_SIZE_MAX;
	size_t		size = sizeof(node->fd);

	take_fds(NODE_FDS);
	PG_TRY();
	{
		node->socket = open_socket();
	}
	PG_CATCH();
	{
		give_fds(NODE_FDS);
		PG_RE_THROW();
	}
	PG_END_TRY();
	zmq_setsockopt(node->socket, ZMQ_MAXMSGSIZE, &size_max, sizeof(size_max));
	set_number(node->socket, ZMQ_LINGER, 0);
	set_number(node->socket, ZMQ_IMMEDIATE, 1);
	set_number(node->socket, ZMQ_SNDHWM, HIGH_WATER_MARK);
	set_number(node->socket, ZMQ_RCVHWM, HIGH_WATER_MARK);
	set_number(node->socket, ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS);
	set_number(node->socket, ZMQ_HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS);
	set_number(node->socket, ZMQ_RECONNECT_IVL, RECONNECT_MS);
	set_number(node->socket, ZMQ_IPV6, node->address[0] == '[');
	set_number(node->socket, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS);
	zmq_getsockopt(node->socket, ZMQ_FD, &node->fd, &size);
	snprintf(endpoint, sizeof(endpoint), "tcp://%s", node->address);
	zmq_connect(node->socket, endpoint);
	node->signalled = true;
}

/* The node with this address, connected; made when it is new. */
int
dynfdw_connect(DynamoCluster *cluster, const char *address)
{
	MemoryContext old;
	DynamoNode *node;

	for (int i = 0; i < cluster->nnodes; i++)
		if (strcmp(cluster->nodes[i].address, address) == 0)
			return i;
	old = MemoryContextSwitchTo(cluster->context);
	cluster->nodes = cluster->nodes
		? repalloc(cluster->nodes, (cluster->nnodes + 1) * sizeof(DynamoNode))
		: palloc(sizeof(DynamoNode));
	MemoryContextSwitchTo(old);
	node = &cluster->nodes[cluster->nnodes];
	memset(node, 0, sizeof(*node));
	strlcpy(node->address, address, sizeof(node->address));
	connect_node(cluster, node);
	if (cluster->wait_set != NULL)
		FreeWaitEventSet(cluster->wait_set);
	cluster->wait_set = NULL;
	return cluster->nnodes++;
}

void
dynfdw_lose_calls(DynamoCluster *cluster, int node)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &cluster->calls)
	{
		DynamoCall *call = dlist_container(DynamoCall, in_cluster, iter.cur);

		if (node >= 0 && call->node != node)
			continue;
		dlist_delete(&call->in_cluster);
		call->state = DYNAMO_CALL_LOST;
	}
}

/* ---------------------------------------------------------------- groups */

static void
forget_group(void *arg)
{
	DynamoCallGroup *group = arg;
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &group->calls)
	{
		DynamoCall *call = dlist_container(DynamoCall, in_group, iter.cur);

		if (call->state == DYNAMO_CALL_WAITING)
			dlist_delete(&call->in_cluster);
	}
	dlist_init(&group->calls);
}

DynamoCallGroup *
dynfdw_group_begin(DynamoCluster *cluster, DynamoRequestStats *stats)
{
	DynamoCallGroup *group = palloc0(sizeof(*group));

	group->cluster = cluster;
	group->context = CurrentMemoryContext;
	group->stats = stats;
	dlist_init(&group->calls);
	group->callback.func = forget_group;
	group->callback.arg = group;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &group->callback);
	return group;
}

/* Tell a node that nobody awaits these any more. Best effort, never raises. */
static void
send_cancel(DynamoCluster *cluster, int node, uint64 *correlations, int count)
{
	uint8		frame[DYN_ENVELOPE_SIZE + 9 * 64 + 16];
	Dyn__Cancel cancel = DYN__CANCEL__INIT;
	struct dyn_envelope env = {.type = DYN_MESSAGE_CANCEL,
	.cluster = cluster->tag};

	if (!dynfdw_node_usable(cluster, node) || count == 0)
		return;
	cancel.n_correlations = count;
	cancel.correlations = correlations;
	env.body.size = dyn__cancel__get_packed_size(&cancel);
	dyn__cancel__pack(&cancel, frame + DYN_ENVELOPE_SIZE);
	dyn_envelope_seal(&env, frame);
	(void) zmq_send(cluster->nodes[node].socket, frame,
					DYN_ENVELOPE_SIZE + env.body.size, ZMQ_DONTWAIT);
	cluster->nodes[node].signalled = true;
}

void
dynfdw_group_end(DynamoCallGroup *group)
{
	DynamoCluster *cluster = group->cluster;

	for (int node = 0; node < cluster->nnodes; node++)
	{
		uint64		correlations[64];
		int			count = 0;
		dlist_iter	iter;

		dlist_foreach(iter, &group->calls)
		{
			DynamoCall *call = dlist_container(DynamoCall, in_group, iter.cur);

			if (call->state == DYNAMO_CALL_WAITING && call->node == node &&
				count < lengthof(correlations))
				correlations[count++] = call->correlation;
		}
		send_cancel(cluster, node, correlations, count);
	}
	forget_group(group);
}

void
dynfdw_call_end(DynamoCall *call)
{
	if (call->state == DYNAMO_CALL_WAITING)
		dlist_delete(&call->in_cluster);
	dlist_delete(&call->in_group);
	if (call->frame.data != NULL)
		pfree((void *) call->frame.data);
	pfree(call);
}

/* --------------------------------------------------------------- sending */

DynamoCall *
dynfdw_call(DynamoCallGroup *group, int node, enum dyn_message_type type,
			const ProtobufCMessage *body, DynamoMoment deadline)
{
	DynamoCluster *cluster = group->cluster;
	DynamoMoment now = dynfdw_now();
	long		remaining_ms = dynfdw_ms_until(now, deadline);
	struct dyn_allocator allocator = dynfdw_allocator(CurrentMemoryContext);
	struct dyn_envelope env = {.type = type,.cluster = cluster->tag};
	struct dyn_slice frame;
	DynamoCall *call;
	int			rc;

	if (node < 0 || node >= cluster->nnodes ||
		cluster->nodes[node].socket == NULL)
		return NULL;
	env.remaining_ms = remaining_ms > 0 ? (uint32) remaining_ms : 1;
	env.correlation = cluster->correlation_next++;
	dynfdw_check(dyn_message_pack(&env, body, &allocator, &frame),
				 "could not make a request");
	call = MemoryContextAllocZero(group->context, sizeof(*call));
	rc = zmq_send(cluster->nodes[node].socket, frame.data, frame.size,
				  ZMQ_DONTWAIT);
	cluster->nodes[node].signalled = true;
	pfree((void *) frame.data);
	if (rc < 0)
	{
		cluster->nodes[node].writable = false;
		pfree(call);
		return NULL;
	}
	cluster->sent = true;
	call->group = group;
	call->correlation = env.correlation;
	call->node = node;
	call->sent_at = now;
	dlist_push_tail(&cluster->calls, &call->in_cluster);
	dlist_push_tail(&group->calls, &call->in_group);
	if (group->stats != NULL)
	{
		group->stats->messages++;
		group->stats->bytes_sent += frame.size;
	}
	return call;
}

/* ------------------------------------------------------------- receiving */

static DynamoCall *
find_call(DynamoCluster *cluster, uint64 correlation, int node)
{
	dlist_iter	iter;

	dlist_foreach(iter, &cluster->calls)
	{
		DynamoCall *call = dlist_container(DynamoCall, in_cluster, iter.cur);

		if (call->correlation == correlation && call->node == node)
			return call;
	}
	return NULL;
}

/* A frame to whoever awaits it; late ones are dropped. */
static bool
deliver(DynamoCluster *cluster, int node, const void *data, size_t size)
{
	struct dyn_slice frame = {data, size};
	struct dyn_envelope env;
	enum dyn_status status = dyn_envelope_open(frame, &env);
	DynamoCall *call;
	uint8	   *copy;

	if (status != DYN_STATUS_OK && status != DYN_STATUS_VERSION)
		ereport(ERROR,
				(errcode(ERRCODE_PROTOCOL_VIOLATION),
				 errmsg("%s does not speak the protocol of a Dynamo node",
						cluster->nodes[node].address)));
	cluster->nodes[node].suspect_until = 0;
	cluster->nodes[node].is_mute = false;
	call = find_call(cluster, env.correlation, node);
	if (call == NULL)
		return false;
	copy = MemoryContextAllocHuge(call->group->context, size);
	memcpy(copy, data, size);
	call->frame = (struct dyn_slice) {copy, size};
	call->state = DYNAMO_CALL_ANSWERED;
	call->answered_at = dynfdw_now();
	dlist_delete(&call->in_cluster);
	if (call->group->stats != NULL)
		call->group->stats->bytes_received += size;
	return true;
}

static int
socket_events(void *socket)
{
	int			events = 0;
	size_t		size = sizeof(events);

	zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size);
	return events;
}

static bool
drain_node(DynamoCluster *cluster, int which)
{
	bool		progress = false;
	int			events = socket_events(cluster->nodes[which].socket);
	bool		writable = (events & ZMQ_POLLOUT) != 0;

	while (events & ZMQ_POLLIN)
	{
		if (incoming_open)
			zmq_msg_close(&incoming);
		zmq_msg_init(&incoming);
		incoming_open = true;
		if (zmq_msg_recv(&incoming, cluster->nodes[which].socket,
						 ZMQ_DONTWAIT) >= 0)
			progress |= deliver(cluster, which, zmq_msg_data(&incoming),
								zmq_msg_size(&incoming));
		zmq_msg_close(&incoming);
		incoming_open = false;
		events = socket_events(cluster->nodes[which].socket);
	}
	if (writable != cluster->nodes[which].writable)
	{
		cluster->nodes[which].writable = writable;
		cluster->nodes[which].connected |= writable;
		progress = true;
		if (!writable)
		{
			dynfdw_lose_calls(cluster, which);
			dynfdw_clock_forget(cluster, which);
		}
	}
	return progress;
}

/* Any call on a socket may swallow an edge of its ZMQ_FD; so after one, and
 * after a signal, it is looked into, and left alone otherwise. */
bool
dynfdw_drain(DynamoCluster *cluster)
{
	bool		progress = false;

	for (int i = 0; i < cluster->nnodes; i++)
		if (cluster->nodes[i].socket != NULL && cluster->nodes[i].signalled)
		{
			/* In this order: an error leaves the rest to the next look. */
			progress |= drain_node(cluster, i);
			cluster->nodes[i].signalled = false;
		}
	return progress;
}

void
dynfdw_signal_all(DynamoCluster *cluster)
{
	for (int i = 0; i < cluster->nnodes; i++)
		cluster->nodes[i].signalled = true;
}

static WaitEventSet *
wait_set_of(DynamoCluster *cluster)
{
	WaitEventSet *set;

	if (cluster->wait_set != NULL)
		return cluster->wait_set;
	set = dynfdw_create_wait_event_set(cluster->nnodes + 2);
	PG_TRY();
	{
		AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
		AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL,
						  NULL);
		for (int i = 0; i < cluster->nnodes; i++)
			if (cluster->nodes[i].socket != NULL)
				AddWaitEventToSet(set, WL_SOCKET_READABLE,
								  cluster->nodes[i].fd, NULL,
								  (void *) (intptr_t) (i + 1));
	}
	PG_CATCH();
	{
		/* A set that lacks a node would wait for ever. */
		FreeWaitEventSet(set);
		PG_RE_THROW();
	}
	PG_END_TRY();
	cluster->wait_set = set;
	return set;
}

bool
dynfdw_wait(DynamoCluster *cluster, DynamoMoment until,
			DynamoRequestStats *stats)
{
	bool		looked = false;

	for (;;)
	{
		WaitEvent	events[8];
		long		timeout_ms;
		int			count;

		CHECK_FOR_INTERRUPTS();
		if (dynfdw_drain(cluster))
		{
			if (cluster->sent && stats != NULL)
				stats->round_trips++;
			cluster->sent = false;
			return true;
		}
		timeout_ms = dynfdw_ms_until(dynfdw_now(), until);
		if (timeout_ms <= 0)
		{
			/* Time passed without waiting, perhaps: an idle cursor.  What has
			 * come meanwhile is no silence. */
			if (looked)
				return false;
			looked = true;
			dynfdw_signal_all(cluster);
			continue;
		}
		count = WaitEventSetWait(wait_set_of(cluster), timeout_ms, events,
								 lengthof(events), PG_WAIT_EXTENSION);
		for (int i = 0; i < count; i++)
		{
			if (events[i].events & WL_LATCH_SET)
				ResetLatch(MyLatch);
			if (events[i].events & WL_SOCKET_READABLE)
				cluster->nodes[(intptr_t) events[i].user_data - 1].signalled = true;
		}
	}
}

/* What comes with versions. */
static void
note_view(const DynamoCall *call, enum dyn_message_type type,
		  const ProtobufCMessage *body)
{
	dynfdw_cluster_told_view(call->group->cluster, call->node,
							 dyn_message_view_ms(type, body),
							 call->answered_at);
}

void *
dynfdw_call_reply(DynamoCall *call, enum dyn_message_type reply_type,
				  enum dyn_status *status, const char **text)
{
	struct dyn_allocator allocator = dynfdw_allocator(CurrentMemoryContext);
	struct dyn_envelope env;
	ProtobufCMessage *body;

	*text = "the answer is malformed";
	*status = dyn_envelope_open(call->frame, &env);
	if (*status == DYN_STATUS_OK)
		*status = dyn_message_unpack(&env, &allocator, &body);
	if (*status != DYN_STATUS_OK)
		return NULL;
	dynfdw_clock_told(call->group->cluster, call->node,
					  dyn_message_clock_ms(env.type, body), call->answered_at);
	if (env.type == reply_type)
	{
		note_view(call, env.type, body);
		return body;
	}
	*status = DYN_STATUS_BAD_REQUEST;
	if (env.type != DYN_MESSAGE_ERROR)
		return NULL;
	*text = ((Dyn__Error *) body)->text;
	*status = (enum dyn_status) ((Dyn__Error *) body)->status;
	if (*status == DYN_STATUS_OK || !dyn_status_is_valid(*status))
		*status = DYN_STATUS_INTERNAL;
	return NULL;
}
