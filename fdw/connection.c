/*-------------------------------------------------------------------------
 *
 * connection.c
 *		A backend's sockets to its clusters.
 *
 *-------------------------------------------------------------------------
 */
#include "connection.h"

#include <pthread.h>

#include "access/xact.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

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
	RECONNECT_MAX_MS = 1000,
	SUSPECT_MS = 5000,			/* a silent node comes last for so long */
	SETTLE_MS = 300				/* for members that their fellows call up */
};

typedef struct DynamoNode
{
	char		address[DYN_ADDRESS_SIZE_MAX + 1];
	void	   *socket;			/* NULL: given up */
	int			fd;
	bool		writable;		/* the connection stands */
	bool		signalled;		/* its state may have changed: look */
	bool		hello_sent;
	TimestampTz suspect_until;	/* it was silent; 0 = no */
} DynamoNode;

struct DynamoCluster
{
	dlist_node	link;
	Oid			serverid;
	uint32		server_hash;	/* in the catalog cache */
	uint64		generation;		/* counts changes of nodes */
	bool		invalid;		/* the server was altered, perhaps */
	MemoryContext context;		/* options, nodes, ring: of one generation */
	DynamoOptions options;
	DynamoNode *nodes;
	int			nnodes;
	bool		ready;
	bool		stale;			/* the ring changed: say HELLO again */
	struct dyn_ring ring;
	uint64		ring_digest;
	uint64		tag;
	int			n;
	int			r;
	int			w;
	uint64		value_size_max;
	int			member_node[DYN_MEMBERS_MAX];
	bool		member_up[DYN_MEMBERS_MAX];
	WaitEventSet *wait_set;		/* NULL: to be made */
	bool		sent;			/* since an answer came: a round trip begins */
	dlist_head	calls;			/* WAITING */
	uint64		correlation_next;
};

static dlist_head clusters = DLIST_STATIC_INIT(clusters);
static void *zmq_context;
static pid_t zmq_pid;
static int	fds_taken;

/* The frame being received: closed before the next one, or after an error. */
static zmq_msg_t incoming;
static bool incoming_open;

/* ---------------------------------------------------------------- memory */

static void *
context_allocate(void *context, size_t size)
{
	return MemoryContextAllocExtended((MemoryContext) context,
									  size ? size : 1, MCXT_ALLOC_HUGE);
}

static void
context_release(void *context, void *memory)
{
	pfree(memory);
}

struct dyn_allocator
dynfdw_allocator(MemoryContext context)
{
	return (struct dyn_allocator)
	{
		context_allocate, context_release, context
	};
}

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

static void
close_nodes(DynamoCluster *cluster)
{
	for (int i = 0; i < cluster->nnodes; i++)
		if (cluster->nodes[i].socket != NULL)
		{
			zmq_close(cluster->nodes[i].socket);
			give_fds(NODE_FDS);
		}
	cluster->nnodes = 0;
	cluster->nodes = NULL;
	if (cluster->wait_set != NULL)
		FreeWaitEventSet(cluster->wait_set);
	cluster->wait_set = NULL;
}

static void
shut_down(int code, Datum arg)
{
	dlist_iter	iter;

	if (zmq_context == NULL || zmq_pid != getpid())
		return;
	dlist_foreach(iter, &clusters)
		close_nodes(dlist_container(DynamoCluster, link, iter.cur));
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
	set_number(node->socket, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS);
	zmq_getsockopt(node->socket, ZMQ_FD, &node->fd, &size);
	snprintf(endpoint, sizeof(endpoint), "tcp://%s", node->address);
	zmq_connect(node->socket, endpoint);
	node->signalled = true;
}

/* The node with this address, connected; made when it is new. */
static int
node_of_address(DynamoCluster *cluster, const char *address)
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

/* ------------------------------------------------------------- clusters */

static void
invalidate(Datum arg, int cacheid, uint32 hashvalue)
{
	dlist_iter	iter;

	dlist_foreach(iter, &clusters)
	{
		DynamoCluster *cluster = dlist_container(DynamoCluster, link, iter.cur);

		/* 0: everything may have changed. */
		if (hashvalue == 0 || hashvalue == cluster->server_hash)
			cluster->invalid = true;
	}
}

static void
lose_calls(DynamoCluster *cluster, int node)
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

/* Forget the nodes, and what they told. */
static void
disconnect(DynamoCluster *cluster)
{
	lose_calls(cluster, -1);
	close_nodes(cluster);
	MemoryContextReset(cluster->context);
	memset(&cluster->ring, 0, sizeof(cluster->ring));
	memset(&cluster->options, 0, sizeof(cluster->options));
	cluster->ready = false;
	cluster->stale = false;
	cluster->generation++;
}

/*
 * Look at the server's options again.  Invalidations come for nothing, too
 * (a full queue of them): only other nodes are a reason to connect anew, for
 * that ends the cursors that are open.
 */
static void
revalidate(DynamoCluster *cluster)
{
	DynamoOptions options;
	bool		is_same;

	dynfdw_server_options(cluster->serverid, &options);
	is_same = cluster->options.nodes != NULL &&
		strcmp(cluster->options.nodes, options.nodes) == 0;
	if (!is_same)
		disconnect(cluster);
	options.nodes = is_same ? cluster->options.nodes
		: MemoryContextStrdup(cluster->context, options.nodes);
	cluster->options = options;
	cluster->invalid = false;
}

/* Servers that were dropped need no sockets any more. */
static void
sweep(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &clusters)
	{
		DynamoCluster *cluster = dlist_container(DynamoCluster, link, iter.cur);

		if (cluster->invalid && cluster->nnodes > 0 &&
			GetForeignServerExtended(cluster->serverid,
									 FSV_MISSING_OK) == NULL)
			disconnect(cluster);
	}
}

static DynamoCluster *
new_cluster(Oid serverid)
{
	static bool registered = false;
	DynamoCluster *cluster;

	if (!registered)
	{
		CacheRegisterSyscacheCallback(FOREIGNSERVEROID, invalidate, (Datum) 0);
		registered = true;
	}
	cluster = MemoryContextAllocZero(TopMemoryContext, sizeof(*cluster));
	cluster->serverid = serverid;
	cluster->server_hash =
		GetSysCacheHashValue1(FOREIGNSERVEROID, ObjectIdGetDatum(serverid));
	cluster->invalid = true;
	cluster->context = AllocSetContextCreate(TopMemoryContext,
											 "dynamo_fdw cluster",
											 ALLOCSET_DEFAULT_SIZES);
	dlist_init(&cluster->calls);
	/* Numbers of another backend's life are of another connection. */
	cluster->correlation_next = 1;
	dlist_push_tail(&clusters, &cluster->link);
	return cluster;
}

DynamoCluster *
dynfdw_cluster(Oid serverid, Oid userid)
{
	dlist_iter	iter;
	DynamoCluster *cluster = NULL;

	dlist_foreach(iter, &clusters)
	{
		DynamoCluster *one = dlist_container(DynamoCluster, link, iter.cur);

		if (one->serverid == serverid)
			cluster = one;
	}
	if (cluster == NULL)
	{
		sweep();
		cluster = new_cluster(serverid);
	}
	if (cluster->invalid)
		revalidate(cluster);
	return cluster;
}

uint64
dynfdw_cluster_generation(DynamoCluster *cluster)
{
	return cluster->generation;
}

const struct dyn_ring *
dynfdw_cluster_ring(DynamoCluster *cluster)
{
	return &cluster->ring;
}

/* A request's wish, else the server's or the setting's, else the cluster's. */
static int
choose_count(DynamoCluster *cluster, const char *name, int asked, int server,
			 int normal)
{
	int			count = asked ? asked : server ? server : normal;

	if (count > cluster->n)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is %d, but the cluster keeps %d replicas", name,
						count, cluster->n)));
	return count;
}

int
dynfdw_cluster_r(DynamoCluster *cluster, const DynamoRequestOptions *options)
{
	return choose_count(cluster, "r", options->r, cluster->options.r,
						cluster->r);
}

int
dynfdw_cluster_w(DynamoCluster *cluster, const DynamoRequestOptions *options)
{
	return choose_count(cluster, "w", options->w, cluster->options.w,
						cluster->w);
}

int
dynfdw_cluster_timeout_ms(DynamoCluster *cluster,
						  const DynamoRequestOptions *options)
{
	return options->timeout_ms ? options->timeout_ms
		: cluster->options.timeout_ms;
}

TimestampTz
dynfdw_cluster_deadline(DynamoCluster *cluster,
						const DynamoRequestOptions *options)
{
	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
									   dynfdw_cluster_timeout_ms(cluster,
																 options));
}

uint64
dynfdw_cluster_value_size_max(DynamoCluster *cluster)
{
	return cluster->value_size_max;
}

int
dynfdw_cluster_node_count(DynamoCluster *cluster)
{
	return cluster->nnodes;
}

const char *
dynfdw_cluster_node_address(DynamoCluster *cluster, int node)
{
	return cluster->nodes[node].address;
}

bool
dynfdw_node_usable(DynamoCluster *cluster, int node)
{
	return node >= 0 && node < cluster->nnodes && cluster->nodes[node].writable;
}

void
dynfdw_node_silent(DynamoCluster *cluster, int node)
{
	cluster->nodes[node].suspect_until =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SUSPECT_MS);
}

bool
dynfdw_node_suspect(DynamoCluster *cluster, int node)
{
	return cluster->nodes[node].suspect_until != 0 &&
		cluster->nodes[node].suspect_until > GetCurrentTimestamp();
}

int
dynfdw_cluster_member_node(DynamoCluster *cluster, uint32 member)
{
	return cluster->member_node[member];
}

static int
owner_member(DynamoCluster *cluster, uint16 partition, int slot)
{
	const struct dyn_slot *owner =
		dyn_ring_slot(&cluster->ring, partition, (uint8_t) slot);

	return (int) (dyn_ring_member(&cluster->ring, &owner->node) -
				  cluster->ring.members);
}

int
dynfdw_cluster_owner(DynamoCluster *cluster, uint16 partition, int slot)
{
	int			node =
		cluster->member_node[owner_member(cluster, partition, slot)];

	return dynfdw_node_usable(cluster, node) ? node : -1;
}

const char *
dynfdw_cluster_owner_address(DynamoCluster *cluster, uint16 partition, int slot)
{
	return cluster->ring.members[owner_member(cluster, partition, slot)].address;
}

void
dynfdw_cluster_digest(DynamoCluster *cluster, uint64 digest)
{
	if (digest != 0 && digest != cluster->ring_digest)
	{
		cluster->stale = true;
		cluster->ring_digest = digest;
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
			const ProtobufCMessage *body, TimestampTz deadline)
{
	DynamoCluster *cluster = group->cluster;
	TimestampTz now = GetCurrentTimestamp();
	long		remaining_ms = TimestampDifferenceMilliseconds(now, deadline);
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
	call = find_call(cluster, env.correlation, node);
	if (call == NULL)
		return false;
	copy = MemoryContextAllocHuge(call->group->context, size);
	memcpy(copy, data, size);
	call->frame = (struct dyn_slice) {copy, size};
	call->state = DYNAMO_CALL_ANSWERED;
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
		progress = true;
		if (!writable)
			lose_calls(cluster, which);
	}
	return progress;
}

/* Any call on a socket may swallow an edge of its ZMQ_FD; so after one, and
 * after a signal, it is looked into, and left alone otherwise. */
static bool
drain(DynamoCluster *cluster)
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

static void
signal_all(DynamoCluster *cluster)
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
dynfdw_wait(DynamoCluster *cluster, TimestampTz until,
			DynamoRequestStats *stats)
{
	bool		looked = false;

	for (;;)
	{
		WaitEvent	events[8];
		long		timeout_ms;
		int			count;

		CHECK_FOR_INTERRUPTS();
		if (drain(cluster))
		{
			if (cluster->sent && stats != NULL)
				stats->round_trips++;
			cluster->sent = false;
			return true;
		}
		timeout_ms =
			TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until);
		if (timeout_ms <= 0)
		{
			/* Time passed without waiting, perhaps: an idle cursor.  What has
			 * come meanwhile is no silence. */
			if (looked)
				return false;
			looked = true;
			signal_all(cluster);
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
	if (env.type == reply_type)
		return body;
	*status = DYN_STATUS_BAD_REQUEST;
	if (env.type != DYN_MESSAGE_ERROR)
		return NULL;
	*text = ((Dyn__Error *) body)->text;
	*status = (enum dyn_status) ((Dyn__Error *) body)->status;
	if (*status == DYN_STATUS_OK || !dyn_status_is_valid(*status))
		*status = DYN_STATUS_INTERNAL;
	return NULL;
}

/* --------------------------------------------------------------- meeting */

/* Take over what a WELCOME tells. False when the cluster is not formed. */
static bool
take_welcome(DynamoCluster *cluster, const Dyn__Welcome *welcome)
{
	struct dyn_allocator allocator = dynfdw_allocator(cluster->context);
	struct dyn_ring ring;

	if (!welcome->formed || welcome->settings == NULL)
		return false;
	dynfdw_check(dyn_ring_decode(dyn_slice_of_bytes(welcome->ring), &allocator,
								 &ring),
				 "a node sent a malformed ring");
	if (cluster->ready &&
		dyn_node_id_compare(&ring.cluster, &cluster->ring.cluster) != 0)
		dynfdw_raise(DYN_STATUS_WRONG_CLUSTER, "could not refresh the ring",
					 NULL);
	if (cluster->ring.slots != NULL)
		dyn_ring_destroy(&cluster->ring);
	cluster->ring = ring;
	cluster->ring_digest = dyn_ring_digest(&ring);
	cluster->tag = dyn_envelope_cluster(&ring.cluster);
	cluster->n = welcome->settings->n;
	cluster->r = welcome->settings->r;
	cluster->w = welcome->settings->w;
	cluster->value_size_max = welcome->settings->value_size_max;
	for (uint32 i = 0; i < ring.member_count; i++)
	{
		cluster->member_up[i] =
			i < welcome->n_peer_up ? welcome->peer_up[i] : true;
		cluster->member_node[i] =
			node_of_address(cluster, ring.members[i].address);
	}
	cluster->ready = true;
	cluster->stale = false;
	return true;
}

/* Members that their fellows call up are waited for a moment, so that the
 * first request of a session finds them connected. */
static void
settle(DynamoCluster *cluster)
{
	TimestampTz until =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SETTLE_MS);

	for (;;)
	{
		bool		all = true;

		for (uint32 i = 0; i < cluster->ring.member_count; i++)
			all &= !cluster->member_up[i] ||
				dynfdw_node_usable(cluster, cluster->member_node[i]);
		if (all || !dynfdw_wait(cluster, until, NULL))
			return;
	}
}

static void
connect_listed(DynamoCluster *cluster)
{
	char	   *copy = pstrdup(cluster->options.nodes);
	char	   *next = copy;

	while (next != NULL)
	{
		char	   *comma = strchr(next, ',');

		if (comma != NULL)
			*comma++ = '\0';
		while (*next == ' ')
			next++;
		node_of_address(cluster, next);
		next = comma;
	}
	pfree(copy);
}

/* One answer to HELLO: true when the cluster is known now. *why is kept for
 * the error when nobody can help. */
static bool
answered(DynamoCluster *cluster, DynamoCall *call, StringInfo why,
		 enum dyn_status *worst)
{
	const char *address = cluster->nodes[call->node].address;
	enum dyn_status status;
	const char *text;
	Dyn__Welcome *welcome;

	if (call->state != DYNAMO_CALL_ANSWERED)
		return false;
	welcome = dynfdw_call_reply(call, DYN_MESSAGE_WELCOME, &status, &text);
	if (welcome != NULL && take_welcome(cluster, welcome))
		return true;
	if (welcome != NULL)
	{
		status = DYN_STATUS_NOT_READY;
		text = "its cluster is not formed yet";
	}
	*worst = status;
	appendStringInfo(why, "%s%s: %s", why->len ? "; " : "", address, text);
	return false;
}

/* HELLO to every node as soon as its connection stands. */
static void
greet(DynamoCluster *cluster, DynamoCallGroup *group, TimestampTz until)
{
	Dyn__Hello	hello = DYN__HELLO__INIT;

	hello.version_min = hello.version_max = DYN_PROTOCOL_VERSION;
	hello.agent = "dynamo_fdw";
	for (int i = 0; i < cluster->nnodes; i++)
		if (!cluster->nodes[i].hello_sent &&
			dynfdw_call(group, i, DYN_MESSAGE_HELLO, &hello.base, until))
			cluster->nodes[i].hello_sent = true;
}

static void
meet(DynamoCluster *cluster)
{
	DynamoCallGroup *group = dynfdw_group_begin(cluster, NULL);
	TimestampTz until =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
									cluster->options.connect_timeout_ms);
	enum dyn_status worst = DYN_STATUS_OK;
	StringInfoData why;
	bool		known = false;

	initStringInfo(&why);
	for (int i = 0; i < cluster->nnodes; i++)
		cluster->nodes[i].hello_sent = false;
	do
	{
		dlist_mutable_iter iter;

		signal_all(cluster);
		drain(cluster);
		greet(cluster, group, until);
		dlist_foreach_modify(iter, &group->calls)
		{
			DynamoCall *call = dlist_container(DynamoCall, in_group, iter.cur);

			if (call->state == DYNAMO_CALL_WAITING || known)
				continue;
			known = answered(cluster, call, &why, &worst);
			dynfdw_call_end(call);
		}
	} while (!known && dynfdw_wait(cluster, until, NULL));
	dynfdw_group_end(group);
	if (known)
	{
		settle(cluster);
		return;
	}
	/* BAD_REQUEST: what answers there is no dynnode. */
	ereport(ERROR,
			(errcode(worst == DYN_STATUS_OK || worst == DYN_STATUS_NOT_READY
					 ? ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION
					 : worst == DYN_STATUS_BAD_REQUEST
					 ? ERRCODE_PROTOCOL_VIOLATION
					 : dynfdw_sqlstate(worst)),
			 errmsg("could not connect to a Dynamo cluster at %s",
					cluster->options.nodes),
			 why.len ? errdetail("%s.", why.data)
			 : errdetail("No node answered within %d ms.",
						 cluster->options.connect_timeout_ms),
			 errhint("Check the option \"nodes\" of the server, and that the nodes run.")));
}

void
dynfdw_cluster_ready(DynamoCluster *cluster)
{
	MemoryContext temporary;
	MemoryContext old;
	bool		any = false;

	if (zmq_context != NULL && zmq_pid != getpid())
		elog(ERROR, "a connection to a Dynamo cluster cannot be inherited");
	if (cluster->ready && !cluster->stale)
	{
		/* What happened since the last statement. */
		signal_all(cluster);
		drain(cluster);
		for (int i = 0; i < cluster->nnodes && !any; i++)
			any = cluster->nodes[i].writable;
		if (any)
			return;
	}
	temporary = AllocSetContextCreate(CurrentMemoryContext,
									  "dynamo_fdw connecting",
									  ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(temporary);
	connect_listed(cluster);
	meet(cluster);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(temporary);
}

void
dynfdw_cluster_refresh(DynamoCluster *cluster)
{
	cluster->stale = true;
	dynfdw_cluster_ready(cluster);
}
