/*-------------------------------------------------------------------------
 *
 * node_clock.h
 *		What the nodes' clocks say, so that a put can carry until when it may
 *		act.
 *
 * A frame can wait in the socket of a stopped node, or in a kernel's queue,
 * for longer than its client waits.  So each attempt at a put tells, in the
 * receiver's own clock, when its client leaves it; what comes later is refused
 * with LATE, and then nothing of that attempt was or will be stored.
 *
 * A node tells its clock in WELCOME, together with the process whose clock it
 * is, and in every reply.  It did so before we heard it, so what we reckon
 * from that is early, never late; for clocks that run at different speeds a
 * thousandth of the time since is taken off.  Where that would be much of an
 * attempt's time, or nothing is known, HELLO is said first: to all members as
 * soon as a session has met the cluster, so that a put seldom has to wait.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYNFDW_NODE_CLOCK_H
#define DYNFDW_NODE_CLOCK_H

#include "connection.h"

/* When an answer to HELLO is no longer awaited. */
enum
{
	DYNAMO_HELLO_SILENT_MS = 1500
};

/* The calls of HELLO, as long as the nodes live. */
extern DynamoCallGroup *dynfdw_greetings(DynamoCluster *cluster);

/* Say HELLO, of which nobody but this file awaits the answer. False: the node
 * cannot be reached now. */
extern bool dynfdw_greet(DynamoCluster *cluster, int node,
						 DynamoMoment deadline);

/* Nobody awaits the answers any more. */
extern void dynfdw_greetings_end(DynamoCluster *cluster);

/* What a WELCOME told; what another process told is forgotten. */
extern void dynfdw_clock_welcome(DynamoCluster *cluster, int node,
								 const Dyn__Welcome *welcome,
								 DynamoMoment heard_at);

/* What a reply told; 0 = nothing.  Nor does one that was heard before the
 * WELCOME of the process that is known. */
extern void dynfdw_clock_told(DynamoCluster *cluster, int node,
							  uint64 clock_ms, DynamoMoment heard_at);

/* Its process may be another one by now. */
extern void dynfdw_clock_forget(DynamoCluster *cluster, int node);

/* Take what has come, and call those silent who were asked too long ago.
 * Waits for nothing. */
extern void dynfdw_take_clocks(DynamoCluster *cluster);

/*
 * Is the node's clock known well enough for attempts of so many milliseconds?
 * Then 0.  If not the node is asked, and this is when to look again at the
 * latest; dynfdw_wait returns when the answer comes.
 */
extern DynamoMoment dynfdw_ask_clock(DynamoCluster *cluster, int node,
									 int attempt_ms);

/* Say HELLO to one that is mute, if that was not done: what it answers tells
 * that it is back. */
extern void dynfdw_ask_whether_back(DynamoCluster *cluster, int node);

/* What an attempt carries that is given up at this moment; only after
 * dynfdw_ask_clock returned 0. */
extern void dynfdw_act_until(DynamoCluster *cluster, int node,
							 DynamoMoment give_up_at,
							 Dyn__PutRequest *request);

#endif
