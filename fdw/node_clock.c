/*-------------------------------------------------------------------------
 *
 * node_clock.c
 *		What the nodes' clocks say (node_clock.h).
 *
 *-------------------------------------------------------------------------
 */
#include "node_clock.h"

#include "avoid.h"
#include "cluster_state.h"
#include "utils/memutils.h"

enum
{
	DRIFT_DIVISOR = 1000,		/* clocks differ by less than this part */
	HELLO_AGAIN_MS = 250		/* to a node that refused it */
};

/* ------------------------------------------------------------------- HELLO */

DynamoCallGroup *
dynfdw_greetings(DynamoCluster *cluster)
{
	MemoryContext old;

	if (cluster->greetings == NULL)
	{
		old = MemoryContextSwitchTo(cluster->context);
		cluster->greetings = dynfdw_group_begin(cluster, NULL);
		MemoryContextSwitchTo(old);
	}
	return cluster->greetings;
}

bool
dynfdw_greet(DynamoCluster *cluster, int node, DynamoMoment deadline)
{
	Dyn__Hello	hello = DYN__HELLO__INIT;
	bool		sent = cluster->sent;
	DynamoCall *call;

	hello.version_min = hello.version_max = DYN_PROTOCOL_VERSION;
	hello.agent = "dynamo_fdw";
	call = dynfdw_call(dynfdw_greetings(cluster), node, DYN_MESSAGE_HELLO,
					   &hello.base, deadline);
	/* It goes beside a statement's requests: no round trip of its own. */
	cluster->sent = sent;
	return call != NULL;
}

void
dynfdw_greetings_end(DynamoCluster *cluster)
{
	dlist_mutable_iter iter;

	if (cluster->greetings == NULL)
		return;
	dlist_foreach_modify(iter, &cluster->greetings->calls)
		dynfdw_call_end(dlist_container(DynamoCall, in_group, iter.cur));
}

/* The HELLO to a node that is not answered yet, or NULL. */
static DynamoCall *
find_greeting(DynamoCluster *cluster, int node)
{
	dlist_iter	iter;

	if (cluster->greetings == NULL)
		return NULL;
	dlist_foreach(iter, &cluster->greetings->calls)
	{
		DynamoCall *call = dlist_container(DynamoCall, in_group, iter.cur);

		if (call->node == node && call->state == DYNAMO_CALL_WAITING)
			return call;
	}
	return NULL;
}

/* Who answers HELLO with an ERROR, as a node does that is starting, comes last
 * until he is asked again. */
static void
take_greeting(DynamoCluster *cluster, DynamoCall *call)
{
	enum dyn_status status;
	const char *text;
	Dyn__Welcome *welcome;

	if (call->state != DYNAMO_CALL_ANSWERED)
		return;
	welcome = dynfdw_call_reply(call, DYN_MESSAGE_WELCOME, &status, &text);
	if (welcome != NULL)
	{
		dynfdw_clock_welcome(cluster, call->node, welcome, call->answered_at);
		return;
	}
	dynfdw_node_mute(cluster, call->node);
	cluster->nodes[call->node].suspect_until =
		cluster->nodes[call->node].greet_at =
		dynfdw_after(dynfdw_now(), HELLO_AGAIN_MS);
}

static bool
is_overdue(const DynamoCall *call, DynamoMoment now)
{
	return dynfdw_after(call->sent_at, DYNAMO_HELLO_SILENT_MS) <= now;
}

void
dynfdw_take_clocks(DynamoCluster *cluster)
{
	DynamoMoment now = dynfdw_now();
	MemoryContext temporary;
	MemoryContext old;
	dlist_mutable_iter iter;

	if (cluster->greetings == NULL ||
		dlist_is_empty(&cluster->greetings->calls))
		return;
	temporary = AllocSetContextCreate(CurrentMemoryContext,
									  "dynamo_fdw clocks",
									  ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(temporary);
	dlist_foreach_modify(iter, &cluster->greetings->calls)
	{
		DynamoCall *call = dlist_container(DynamoCall, in_group, iter.cur);

		if (call->state == DYNAMO_CALL_WAITING && !is_overdue(call, now))
			continue;
		if (call->state == DYNAMO_CALL_WAITING)
			dynfdw_node_mute(cluster, call->node);
		take_greeting(cluster, call);
		dynfdw_call_end(call);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(temporary);
}

/* ------------------------------------------------------------------ clocks */

/* What the node's clock says at a moment, at the least. */
static uint64
clock_at(const DynamoNodeClock *clock, DynamoMoment moment)
{
	int64		us = Max(0, moment - clock->told_at);

	return clock->told_ms + (uint64) (us - us / DRIFT_DIVISOR) / 1000;
}

void
dynfdw_clock_welcome(DynamoCluster *cluster, int node,
					 const Dyn__Welcome *welcome, DynamoMoment heard_at)
{
	DynamoNodeClock *clock = &cluster->nodes[node].clock;

	if (clock->known && clock->process == welcome->process)
	{
		dynfdw_clock_told(cluster, node, welcome->uptime_ms, heard_at);
		return;
	}
	clock->known = true;
	clock->process = welcome->process;
	clock->told_ms = welcome->uptime_ms;
	clock->told_at = clock->met_at = heard_at;
}

void
dynfdw_clock_told(DynamoCluster *cluster, int node, uint64 clock_ms,
				  DynamoMoment heard_at)
{
	DynamoNodeClock *clock = &cluster->nodes[node].clock;

	/* It came before WELCOME: perhaps from a process that is no more, and is
	 * looked at only now (a page for a cursor). */
	if (!clock->known || heard_at <= clock->met_at)
		return;
	/* What was heard late says less than what one knows. */
	if (clock_ms == 0 || clock_ms < clock_at(clock, heard_at))
		return;
	clock->told_ms = clock_ms;
	clock->told_at = heard_at;
}

void
dynfdw_clock_forget(DynamoCluster *cluster, int node)
{
	cluster->nodes[node].clock.known = false;
}

DynamoMoment
dynfdw_ask_clock(DynamoCluster *cluster, int node, int attempt_ms)
{
	DynamoNode *known = &cluster->nodes[node];
	DynamoMoment now = dynfdw_now();
	DynamoCall *greeting;

	/* At most a tenth of the attempt's time may be lost to drift. */
	if (known->clock.known &&
		(now - known->clock.told_at) / DRIFT_DIVISOR <=
		(int64) attempt_ms * 1000 / 10)
		return 0;
	greeting = find_greeting(cluster, node);
	if (greeting != NULL)
		return dynfdw_after(greeting->sent_at, DYNAMO_HELLO_SILENT_MS);
	if (now < known->greet_at)
		return known->greet_at;
	if (!dynfdw_greet(cluster, node,
					  dynfdw_after(now, DYNAMO_HELLO_SILENT_MS)))
		return now;				/* it is not usable any more */
	return dynfdw_after(now, DYNAMO_HELLO_SILENT_MS);
}

void
dynfdw_ask_whether_back(DynamoCluster *cluster, int node)
{
	DynamoMoment now = dynfdw_now();

	if (now >= cluster->nodes[node].greet_at &&
		find_greeting(cluster, node) == NULL)
		(void) dynfdw_greet(cluster, node,
							dynfdw_after(now, DYNAMO_HELLO_SILENT_MS));
}

void
dynfdw_act_until(DynamoCluster *cluster, int node, DynamoMoment give_up_at,
				 Dyn__PutRequest *request)
{
	const DynamoNodeClock *clock = &cluster->nodes[node].clock;

	Assert(clock->known);
	request->process = clock->process;
	if (clock->process != 0)
		request->act_until_ms = clock_at(clock, give_up_at);
}
