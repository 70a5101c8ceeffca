/*-------------------------------------------------------------------------
 *
 * client_put.h
 *		One multi-put under way: shared by client_put.c (its life),
 *		client_put_send.c (who is sent what) and client_put_answer.c (what
 *		has become of it), and nobody else.
 *
 * A write goes to the first owner of its key that can be reached.  An owner
 * that refuses for a reason of its own, or is lost, is followed by the next
 * one; when the first may have applied it, the retry is marked, and carries
 * the same request id, so that it makes no second row.  While there is time,
 * all owners are asked again, with more patience, what has become of such a
 * write: UNKNOWN of a node, whose time for a request may be shorter than ours,
 * is no last word.  What was once on its way and never answered stays UNKNOWN,
 * whatever refuses it later.  A node
 * that has no room for a write now is sent the same write again later, and
 * less at a time (window.h).  So is it to one that says LATE, once it has told
 * its clock anew.  When no owner can be reached, or all were silent
 * of late, any other node is asked once: it finds those who stand in for them.
 *
 * Writes that look at what is there (guarded, create) are checked by their
 * coordinator alone, so two of them that are checked at the same time by two
 * nodes both pass.  Therefore they go to the first owner whom a connection
 * leads to, however busy he is, unless he has left a write without an answer;
 * and he is asked meanwhile whether he is back.
 *
 * A write acts at most once, and not after we have left it:
 *
 * - An attempt ends when the node has answered, when the connection broke, or
 *   at its give_up_at, and until that time it may act (node_clock.h).  The
 *   next one leaves after that.
 * - All attempts after one that may have acted are marked `retry`, so at most
 *   one that is not marked can act.
 * - No attempt is on its way later than DYN_OP_LIMIT_MS after the first that
 *   may have acted: for as long as that, and a request more, the nodes
 *   remember the id.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYNFDW_CLIENT_PUT_H
#define DYNFDW_CLIENT_PUT_H

#include "avoid.h"
#include "node_clock.h"
#include "window.h"

enum
{
	DYNFDW_NO_SLOT = -1			/* the attempt is with no owner */
};

typedef struct PutState
{
	uint16		partition;
	uint8		tried;			/* slots */
	int8		slot;			/* of the present attempt, or DYNFDW_NO_SLOT */
	bool		handed_on;		/* a node that owns nothing of it was tried */
	bool		was_lost;		/* an attempt may have been applied */
	bool		was_retried;	/* ... one that was marked */
	uint8		round;			/* all owners were tried so often */
	uint8		late;			/* times in a row that a node said LATE */
	bool		done;
	bool		queued;			/* in a frame on its way */
	uint8		request_id[16];
	DynamoMoment first_sent_at; /* of those that may have been applied, or of
								 * the one on its way; 0 = none */
	DynamoMoment not_before;	/* the next round; 0 = no */
	uint16		cell;
	int			rank;			/* place in the order of sending */
} PutState;

typedef struct Batch
{
	int		   *indexes;
	int			count;
	int			capacity;
	size_t		bytes;
	DynamoMoment give_up_at;
} Batch;

typedef struct Put
{
	DynamoCluster *cluster;
	DynamoPut  *puts;
	int			nputs;
	int			w;
	int			timeout_ms;		/* without any progress */
	DynamoMoment limit;			/* of the whole */
	DynamoMoment deadline;		/* moves on with each write that is done */
	DynamoRequestStats *stats;
	PutState   *states;
	int		   *order;			/* of sending: as the stores keep records */
	DynamoCallGroup *group;
	MemoryContext results;
	int			undone;
	DynamoWindow *windows;		/* by node */
	DynamoMoment now;			/* when sending began */
	DynamoMoment resume_at;		/* when a node may be sent to again */
	int			cursor;			/* all of order before it is done or queued */
} Put;

/* ---- client_put.c ---- */

/* The outcome of one write; the first one stands. */
extern void dynfdw_put_finish(Put *put, int index, enum dyn_status status,
							  const char *text);

/* A node's words, as long as the results live; NULL when there are none. */
extern char *dynfdw_put_keep_text(Put *put, const char *text);

/* There was progress: the time without any begins anew. */
extern void dynfdw_put_move_deadline(Put *put);

/* ---- client_put_send.c ---- */

/* Send what is neither done nor on its way, as far as the nodes' windows
 * allow; what no owner is left for is finished. */
extern void dynfdw_put_send(Put *put);

/* ---- client_put_answer.c ---- */

/* Take what has come, and give up on who is silent. */
extern void dynfdw_put_collect(Put *put);

#endif
