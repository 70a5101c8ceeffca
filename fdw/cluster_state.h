/*-------------------------------------------------------------------------
 *
 * cluster_state.h
 *		A cluster as a backend knows it: shared by cluster.c (what it is, who
 *		its nodes are), connection.c (the sockets to them), avoid.c (who of
 *		them comes last) and node_clock.c (what their clocks say), and nobody
 *		else.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYNFDW_CLUSTER_STATE_H
#define DYNFDW_CLUSTER_STATE_H

#include "connection.h"

#include "model/bucket.h"
#include "model/wall.h"
#include "storage/latch.h"

/* A node's clock as it was told last (node_clock.h). */
typedef struct DynamoNodeClock
{
	bool		known;
	uint64		process;		/* 0: it knows no bounds */
	uint64		told_ms;
	DynamoMoment told_at;		/* when we heard it */
	DynamoMoment met_at;		/* when we first heard of this process */
} DynamoNodeClock;

typedef struct DynamoNode
{
	char		address[DYN_ADDRESS_SIZE_MAX + 1];
	void	   *socket;			/* NULL: given up */
	int			fd;
	bool		writable;		/* the connection stands */
	bool		connected;		/* it has stood */
	bool		signalled;		/* its state may have changed: look */
	bool		hello_sent;
	DynamoMoment suspect_until; /* it was silent; 0 = no */
	bool		is_mute;		/* as long as it is suspect */
	uint8	   *building;		/* bits of partitions; NULL = none is */
	DynamoMoment ask_at;		/* not about them again before that */
	DynamoNodeClock clock;
	DynamoMoment greet_at;		/* no HELLO for the clock before that */
	struct dyn_told_view told;
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
	struct dyn_buckets *buckets;	/* as long as it is full */
	uint64		bucket_digest;
	uint64		bucket_digest_seen; /* another one, looked into already */
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
	DynamoCallGroup *questions; /* to nodes that build, or NULL */
	DynamoCallGroup *greetings; /* HELLO, or NULL */
	uint64		correlation_next;
};

/* ---- connection.c ---- */

/* The node with this address, connected; made when it is new. */
extern int	dynfdw_connect(DynamoCluster *cluster, const char *address);
extern void dynfdw_close_nodes(DynamoCluster *cluster);

/* Calls to a node, or to all (-1), get no answer any more. */
extern void dynfdw_lose_calls(DynamoCluster *cluster, int node);

/* Receive what is there; true when a call or a connection changed. */
extern bool dynfdw_drain(DynamoCluster *cluster);

/* Look into all sockets at the next drain. */
extern void dynfdw_signal_all(DynamoCluster *cluster);

/* ---- cluster.c ---- */

/* At the end of the process. */
extern void dynfdw_close_clusters(void);

#endif
