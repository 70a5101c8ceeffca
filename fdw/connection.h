/*-------------------------------------------------------------------------
 *
 * connection.h
 *		A backend's sockets to a cluster, and calls that await answers.
 *
 * Plain libzmq, guarded (czmq replaces signal handlers): one private context
 * for the backend, made at the first request with all signals blocked, so
 * that its threads never take one of PostgreSQL's; one DEALER for each node.
 * IMMEDIATE: what cannot be sent now is not sent ever, so no write arrives
 * after its statement has failed.
 *
 * Waiting is on the latch, postmaster death and every socket's ZMQ_FD.  That
 * descriptor is edge-triggered: all sockets are drained before each wait.
 * Interrupts are answered at once; the connection survives them, and answers
 * to calls that nobody awaits any more are dropped by their correlation.
 *
 * Calls belong to a group, which lives in a memory context: when that is
 * reset (an error, the end of a scan), its calls are forgotten, and the nodes
 * are told not to go on (CANCEL).
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYNFDW_CONNECTION_H
#define DYNFDW_CONNECTION_H

#include "client.h"
#include "dynamo_fdw.h"
#include "lib/ilist.h"
#include "model/message.h"
#include "model/ring.h"
#include "moment.h"

typedef enum DynamoCallState
{
	DYNAMO_CALL_WAITING,
	DYNAMO_CALL_ANSWERED,
	DYNAMO_CALL_LOST			/* the connection broke */
} DynamoCallState;

typedef struct DynamoCallGroup
{
	DynamoCluster *cluster;
	MemoryContext context;
	dlist_head	calls;
	DynamoRequestStats *stats;	/* may be NULL */
	MemoryContextCallback callback;
} DynamoCallGroup;

typedef struct DynamoCall
{
	dlist_node	in_cluster;
	dlist_node	in_group;
	DynamoCallGroup *group;
	uint64		correlation;
	int			node;
	DynamoMoment sent_at;
	DynamoMoment answered_at;
	DynamoCallState state;
	struct dyn_slice frame;		/* ANSWERED: in the group's context */
	void	   *owner;			/* the caller's */
	int			number;			/* the caller's */
} DynamoCall;

/* Ready to work: settings and ring are known. Raises 08001. */
extern void dynfdw_cluster_ready(DynamoCluster *cluster);
extern void dynfdw_cluster_ready_by(DynamoCluster *cluster, DynamoMoment limit);

/* Another number when ALTER SERVER named other nodes: what was learned before
 * is gone. */
extern uint64 dynfdw_cluster_generation(DynamoCluster *cluster);

/* The allocator of a memory context; the context must outlive its use. */
extern struct dyn_allocator dynfdw_allocator(MemoryContext context);

extern const struct dyn_ring *dynfdw_cluster_ring(DynamoCluster *cluster);
/* Asked for, else the server's, else the bucket's, else the cluster's. */
extern int	dynfdw_cluster_r(DynamoCluster *cluster, struct dyn_slice bucket,
							 const DynamoRequestOptions *options);
/* 0 = the bucket's or the cluster's: the coordinator knows. */
extern int	dynfdw_cluster_w(DynamoCluster *cluster,
							 const DynamoRequestOptions *options);
extern int	dynfdw_cluster_timeout_ms(DynamoCluster *cluster,
									  const DynamoRequestOptions *options);
extern int	dynfdw_cluster_connect_timeout_ms(DynamoCluster *cluster);
extern DynamoMoment dynfdw_cluster_deadline(DynamoCluster *cluster,
											const DynamoRequestOptions *options);
extern uint64 dynfdw_cluster_value_size_max(DynamoCluster *cluster);
extern int	dynfdw_cluster_node_count(DynamoCluster *cluster);
extern const char *dynfdw_cluster_node_address(DynamoCluster *cluster,
											   int node);

/* The ring changed on a node (a reply's digest): fetch it before next use. */
extern void dynfdw_cluster_digest(DynamoCluster *cluster, uint64 digest);
extern void dynfdw_cluster_refresh(DynamoCluster *cluster);

/* The same for properties of buckets. */
extern void dynfdw_cluster_bucket_digest(DynamoCluster *cluster,
										 uint64 digest);

/* The wall clock, as nodes tell theirs. */
extern uint64 dynfdw_wall_ms(void);

/*
 * The time for which versions that expire are shown or not: by the clocks of
 * the nodes, not by this machine's (model/wall.h).  Asked for after an answer
 * that versions came with.
 */
extern uint64 dynfdw_view_ms(DynamoCluster *cluster);

extern void dynfdw_cluster_told_view(DynamoCluster *cluster, int node,
									 uint64 view_ms, DynamoMoment at);

/* Node that owns a slot, or -1 when there is no connection to it now. */
extern int	dynfdw_cluster_owner(DynamoCluster *cluster, uint16 partition,
								 int slot);
/* That node is up, as its fellows say, and this session only has to be
 * connected to it. */
extern bool dynfdw_cluster_owner_awaited(DynamoCluster *cluster,
										 uint16 partition, int slot);
/* For messages: the address of a slot's owner. */
extern const char *dynfdw_cluster_owner_address(DynamoCluster *cluster,
												uint16 partition, int slot);
extern bool dynfdw_node_usable(DynamoCluster *cluster, int node);

/* Node that is a member of the ring, by index. */
extern int	dynfdw_cluster_member_node(DynamoCluster *cluster, uint32 member);

/* In the current memory context. */
extern DynamoCallGroup *dynfdw_group_begin(DynamoCluster *cluster,
										   DynamoRequestStats *stats);
extern void dynfdw_group_end(DynamoCallGroup *group);

/* NULL: the node cannot be reached now; nothing was sent. */
extern DynamoCall *dynfdw_call(DynamoCallGroup *group, int node,
							   enum dyn_message_type type,
							   const ProtobufCMessage *body,
							   DynamoMoment deadline);
extern void dynfdw_call_end(DynamoCall *call);

/*
 * Wait until some call of the cluster has changed its state (true) or until
 * this time (false).  Raises for interrupts.
 */
extern bool dynfdw_wait(DynamoCluster *cluster, DynamoMoment until,
						DynamoRequestStats *stats);

/* The answer, in the current memory context; NULL when it is an ERROR (then
 * *status and *text) or malformed (BAD_REQUEST). */
extern void *dynfdw_call_reply(DynamoCall *call,
							   enum dyn_message_type reply_type,
							   enum dyn_status *status, const char **text);

#endif
