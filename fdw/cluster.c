/*-------------------------------------------------------------------------
 *
 * cluster.c
 *		The clusters that this backend has met: options, members, ring.
 *
 * A foreign server is a cluster.  It is met at the first request: HELLO goes
 * to all nodes that the option names, and the first WELCOME tells settings
 * and ring, whose members are then connected too.
 *
 *-------------------------------------------------------------------------
 */
#include "cluster_state.h"
#include "node_clock.h"

#include "foreign/foreign.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

enum
{
	SETTLE_MS = 300				/* for members that their fellows call up */
};

static dlist_head clusters = DLIST_STATIC_INIT(clusters);
static bool sweep_is_due;		/* some server may have been dropped */

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
			cluster->invalid = sweep_is_due = true;
	}
}

/* Forget the nodes, and what they told. */
static void
disconnect(DynamoCluster *cluster)
{
	dynfdw_lose_calls(cluster, -1);
	dynfdw_close_nodes(cluster);
	MemoryContextReset(cluster->context);
	cluster->questions = cluster->greetings = NULL;
	memset(&cluster->ring, 0, sizeof(cluster->ring));
	memset(&cluster->options, 0, sizeof(cluster->options));
	cluster->ring_digest = 0;
	cluster->buckets = NULL;
	cluster->bucket_digest = cluster->bucket_digest_seen = 0;
	cluster->tag = 0;			/* other nodes may be another cluster's */
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

	/* First, for looking into the catalogs may bring more of them. */
	sweep_is_due = false;
	dlist_foreach(iter, &clusters)
	{
		DynamoCluster *cluster = dlist_container(DynamoCluster, link, iter.cur);

		if (cluster->invalid && cluster->nnodes > 0 &&
			GetForeignServerExtended(cluster->serverid,
									 FSV_MISSING_OK) == NULL)
			disconnect(cluster);
	}
}

void
dynfdw_close_clusters(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &clusters)
		dynfdw_close_nodes(dlist_container(DynamoCluster, link, iter.cur));
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
	if (sweep_is_due)
		sweep();
	if (cluster == NULL)
		cluster = new_cluster(serverid);
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

/* What somebody has asked for. */
static int
check_count(DynamoCluster *cluster, const char *name, int count)
{
	if (count > cluster->n)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is %d, but the cluster keeps %d replicas", name,
						count, cluster->n)));
	return count;
}

int
dynfdw_cluster_r(DynamoCluster *cluster, struct dyn_slice bucket,
				 const DynamoRequestOptions *options)
{
	int			asked = options->r ? options->r : cluster->options.r;
	const struct dyn_bucket *known;

	if (asked != 0)
		return check_count(cluster, "r", asked);
	known = dyn_buckets_find(cluster->buckets, bucket);
	return known != NULL && known->r != 0 && known->r <= cluster->n
		? known->r : cluster->r;
}

int
dynfdw_cluster_w(DynamoCluster *cluster, const DynamoRequestOptions *options)
{
	int			asked = options->w ? options->w : cluster->options.w;

	return asked ? check_count(cluster, "w", asked) : 0;
}

uint64
dynfdw_wall_ms(void)
{
	int64		us = GetCurrentTimestamp() +
		(int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;

	return us > 0 ? (uint64) us / 1000 : 0;
}

void
dynfdw_cluster_told_view(DynamoCluster *cluster, int node, uint64 view_ms,
						 DynamoMoment at)
{
	if (view_ms != 0)
		cluster->nodes[node].told = (struct dyn_told_view)
	{
		view_ms, (uint64) at / 1000
	};
}

uint64
dynfdw_view_ms(DynamoCluster *cluster)
{
	struct dyn_view view = dyn_view_begin((uint64) dynfdw_now() / 1000,
										  dynfdw_wall_ms());

	for (int i = 0; i < cluster->nnodes; i++)
		dyn_view_add(&view, &cluster->nodes[i].told);
	return dyn_view_end(&view);
}

int
dynfdw_cluster_connect_timeout_ms(DynamoCluster *cluster)
{
	return cluster->options.connect_timeout_ms;
}

int
dynfdw_cluster_timeout_ms(DynamoCluster *cluster,
						  const DynamoRequestOptions *options)
{
	return options->timeout_ms ? options->timeout_ms
		: cluster->options.timeout_ms;
}

DynamoMoment
dynfdw_cluster_deadline(DynamoCluster *cluster,
						const DynamoRequestOptions *options)
{
	return dynfdw_after(dynfdw_now(),
						dynfdw_cluster_timeout_ms(cluster, options));
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

bool
dynfdw_cluster_owner_awaited(DynamoCluster *cluster, uint16 partition, int slot)
{
	uint32		member = owner_member(cluster, partition, slot);
	int			node = cluster->member_node[member];

	return cluster->member_up[member] && node >= 0 &&
		node < cluster->nnodes && cluster->nodes[node].socket != NULL &&
		!cluster->nodes[node].connected;
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

void
dynfdw_cluster_bucket_digest(DynamoCluster *cluster, uint64 digest)
{
	/* A node that is behind for long tells its old one again and again. */
	if (digest == 0 || digest == cluster->bucket_digest ||
		digest == cluster->bucket_digest_seen)
		return;
	cluster->bucket_digest_seen = digest;
	cluster->stale = true;
}

/* --------------------------------------------------------------- meeting */

/* Most clusters have few buckets with properties of their own: keep no more
 * than there are. */
static void
take_buckets(DynamoCluster *cluster, const Dyn__Welcome *welcome)
{
	struct dyn_allocator allocator = dynfdw_allocator(CurrentMemoryContext);
	struct dyn_buckets *table = palloc(sizeof(*table));
	size_t		size;

	dynfdw_check(dyn_buckets_decode(dyn_slice_of_bytes(welcome->buckets),
									&allocator, table),
				 "a node sent a malformed table of buckets");
	size = offsetof(struct dyn_buckets, items) +
		table->count * sizeof(table->items[0]);
	if (cluster->buckets != NULL)
		pfree(cluster->buckets);
	cluster->buckets = memcpy(MemoryContextAlloc(cluster->context, size),
							  table, size);
	cluster->bucket_digest = welcome->bucket_digest;
	pfree(table);
}

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
	take_buckets(cluster, welcome);
	cluster->n = welcome->settings->n;
	cluster->r = welcome->settings->r;
	cluster->w = welcome->settings->w;
	cluster->value_size_max = welcome->settings->value_size_max;
	for (uint32 i = 0; i < ring.member_count; i++)
	{
		cluster->member_up[i] =
			i < welcome->n_peer_up ? welcome->peer_up[i] : true;
		cluster->member_node[i] =
			dynfdw_connect(cluster, ring.members[i].address);
	}
	cluster->ready = true;
	cluster->stale = false;
	return true;
}

/* Members that their fellows call up are waited for a moment, so that the
 * first request of a session finds them connected; and each is asked for its
 * clock, so that the first put need not. */
static void
settle(DynamoCluster *cluster)
{
	DynamoMoment until = dynfdw_after(dynfdw_now(), SETTLE_MS);

	for (;;)
	{
		bool		all = true;

		dynfdw_take_clocks(cluster);
		for (uint32 i = 0; i < cluster->ring.member_count; i++)
		{
			int			node = cluster->member_node[i];

			all &= !cluster->member_up[i] || dynfdw_node_usable(cluster, node);
			if (dynfdw_node_usable(cluster, node))
				(void) dynfdw_ask_clock(cluster, node, DYNAMO_HELLO_SILENT_MS);
		}
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
		dynfdw_connect(cluster, next);
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
	if (welcome != NULL)
		dynfdw_clock_welcome(cluster, call->node, welcome, call->answered_at);
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
greet_all(DynamoCluster *cluster, DynamoMoment until)
{
	for (int i = 0; i < cluster->nnodes; i++)
		if (!cluster->nodes[i].hello_sent &&
			dynfdw_greet(cluster, i, until))
			cluster->nodes[i].hello_sent = true;
}

static void
meet(DynamoCluster *cluster, DynamoMoment limit)
{
	DynamoCallGroup *group = dynfdw_greetings(cluster);
	DynamoMoment until =
		Min(limit, dynfdw_after(dynfdw_now(),
								cluster->options.connect_timeout_ms));
	enum dyn_status worst = DYN_STATUS_OK;
	StringInfoData why;
	bool		known = false;

	initStringInfo(&why);
	dynfdw_greetings_end(cluster);
	for (int i = 0; i < cluster->nnodes; i++)
		cluster->nodes[i].hello_sent = false;
	do
	{
		dlist_mutable_iter iter;

		dynfdw_signal_all(cluster);
		dynfdw_drain(cluster);
		greet_all(cluster, until);
		dlist_foreach_modify(iter, &group->calls)
		{
			DynamoCall *call = dlist_container(DynamoCall, in_group, iter.cur);

			if (call->state == DYNAMO_CALL_WAITING || known)
				continue;
			known = answered(cluster, call, &why, &worst);
			dynfdw_call_end(call);
		}
	} while (!known && dynfdw_wait(cluster, until, NULL));
	/* What the others answer tells of their clocks. */
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
	dynfdw_cluster_ready_by(cluster, DYNAMO_NEVER);
}

void
dynfdw_cluster_ready_by(DynamoCluster *cluster, DynamoMoment limit)
{
	MemoryContext temporary;
	MemoryContext old;
	bool		any = false;

	if (cluster->ready && !cluster->stale)
	{
		/* What happened since the last statement. */
		dynfdw_signal_all(cluster);
		dynfdw_drain(cluster);
		dynfdw_take_clocks(cluster);
		for (int i = 0; i < cluster->nnodes && !any; i++)
			any = cluster->nodes[i].writable;
		if (any)
			return;
	}
	temporary = AllocSetContextCreate(CurrentMemoryContext,
									  "dynamo_fdw connecting",
									  ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(temporary);
	PG_TRY();
	{
		connect_listed(cluster);
		meet(cluster, limit);
	}
	PG_CATCH();
	{
		/* A cluster that was never met keeps no descriptors. */
		if (!cluster->ready)
		{
			dynfdw_lose_calls(cluster, -1);
			dynfdw_greetings_end(cluster);
			dynfdw_close_nodes(cluster);
		}
		PG_RE_THROW();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	MemoryContextDelete(temporary);
}

void
dynfdw_cluster_refresh(DynamoCluster *cluster)
{
	cluster->stale = true;
	dynfdw_cluster_ready(cluster);
}
