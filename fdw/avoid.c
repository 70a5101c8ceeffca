/*-------------------------------------------------------------------------
 *
 * avoid.c
 *		What a backend remembers of nodes that were of no help.
 *
 *-------------------------------------------------------------------------
 */
#include "avoid.h"

#include "cluster_state.h"
#include "utils/memutils.h"

enum
{
	SUSPECT_MS = 5000,			/* a silent node comes last for so long */
	BUILDING_ASK_MS = 2000		/* between two questions to one that builds */
};

void
dynfdw_node_silent(DynamoCluster *cluster, int node)
{
	cluster->nodes[node].is_mute = dynfdw_node_is_mute(cluster, node);
	cluster->nodes[node].suspect_until = dynfdw_after(dynfdw_now(), SUSPECT_MS);
}

void
dynfdw_node_mute(DynamoCluster *cluster, int node)
{
	dynfdw_node_silent(cluster, node);
	cluster->nodes[node].is_mute = true;
}

bool
dynfdw_node_is_mute(DynamoCluster *cluster, int node)
{
	return cluster->nodes[node].is_mute && dynfdw_node_suspect(cluster, node);
}

bool
dynfdw_node_suspect(DynamoCluster *cluster, int node)
{
	return cluster->nodes[node].suspect_until != 0 &&
		cluster->nodes[node].suspect_until > dynfdw_now();
}

/* ---------------------------------------------------------------- building */

/* Whatever a ring says that comes later, a partition's bit is there. */
enum
{
	BITS_SIZE = DYN_PARTITIONS_MAX / 8
};

static void
set_bit(uint8 *bits, uint32 partition)
{
	bits[partition / 8] |= (uint8) (1 << partition % 8);
}

static void
clear_bits(DynamoNode *node)
{
	if (node->building != NULL)
		pfree(node->building);
	node->building = NULL;
}

/* The questions live as long as the nodes: an answer may come when the
 * statement that asked has ended. */
static DynamoCallGroup *
questions_of(DynamoCluster *cluster)
{
	MemoryContext old;

	if (cluster->questions == NULL)
	{
		old = MemoryContextSwitchTo(cluster->context);
		cluster->questions = dynfdw_group_begin(cluster, NULL);
		MemoryContextSwitchTo(old);
	}
	return cluster->questions;
}

/* Is there a question to the node that was not answered yet? */
static bool
is_asked(DynamoCluster *cluster, int node)
{
	dlist_iter	iter;

	if (cluster->questions == NULL)
		return false;
	dlist_foreach(iter, &cluster->questions->calls)
		if (dlist_container(DynamoCall, in_group, iter.cur)->node == node)
			return true;
	return false;
}

static void
ask(DynamoCluster *cluster, int node)
{
	DynamoMoment now = dynfdw_now();
	Dyn__StatusRequest request = DYN__STATUS_REQUEST__INIT;
	bool		sent = cluster->sent;

	if (now < cluster->nodes[node].ask_at || is_asked(cluster, node))
		return;
	request.partitions = true;
	cluster->nodes[node].ask_at = dynfdw_after(now, BUILDING_ASK_MS);
	(void) dynfdw_call(questions_of(cluster), node, DYN_MESSAGE_STATUS,
					   &request.base, cluster->nodes[node].ask_at);
	/* Nobody waits for it: it is no part of a round trip. */
	cluster->sent = sent;
}

/* All that the node says of its partitions, instead of what was known. */
static void
take_status(DynamoCluster *cluster, DynamoNode *node,
			const Dyn__StatusReply *reply)
{
	clear_bits(node);
	if (!reply->in_doubt && reply->building == 0)
		return;
	node->building = MemoryContextAllocZero(cluster->context, BITS_SIZE);
	if (reply->in_doubt)
		memset(node->building, 0xff, BITS_SIZE);
	for (size_t i = 0; i < reply->n_partitions; i++)
		if (reply->partitions[i]->building &&
			reply->partitions[i]->partition < DYN_PARTITIONS_MAX)
			set_bit(node->building, reply->partitions[i]->partition);
}

static void
take_answer(DynamoCluster *cluster, DynamoCall *call)
{
	MemoryContext temporary = AllocSetContextCreate(CurrentMemoryContext,
													"dynamo_fdw status",
													ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(temporary);
	enum dyn_status status;
	const char *text;
	Dyn__StatusReply *reply = NULL;

	if (call->state == DYNAMO_CALL_ANSWERED)
		reply = dynfdw_call_reply(call, DYN_MESSAGE_STATUS_REPLY, &status,
								  &text);
	if (reply != NULL)
		take_status(cluster, &cluster->nodes[call->node], reply);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(temporary);
	dynfdw_call_end(call);
}

void
dynfdw_node_building(DynamoCluster *cluster, int node, uint16 partition)
{
	DynamoNode *known = &cluster->nodes[node];

	if (known->building == NULL)
		known->building = MemoryContextAllocZero(cluster->context, BITS_SIZE);
	set_bit(known->building, partition);
	ask(cluster, node);
}

bool
dynfdw_reads_elsewhere(DynamoCluster *cluster, int node, uint16 partition)
{
	const uint8 *building = cluster->nodes[node].building;

	return (building != NULL &&
			(building[partition / 8] & (1 << partition % 8)) != 0) ||
		dynfdw_node_suspect(cluster, node);
}

void
dynfdw_ask_building(DynamoCluster *cluster)
{
	DynamoMoment now;
	dlist_mutable_iter iter;

	if (cluster->questions == NULL)
		return;
	now = dynfdw_now();
	dlist_foreach_modify(iter, &cluster->questions->calls)
	{
		DynamoCall *call = dlist_container(DynamoCall, in_group, iter.cur);

		if (call->state != DYNAMO_CALL_WAITING)
			take_answer(cluster, call);
		else if (now >= cluster->nodes[call->node].ask_at)
			dynfdw_call_end(call);	/* it is asked again */
	}
	for (int node = 0; node < cluster->nnodes; node++)
		if (cluster->nodes[node].building != NULL)
			ask(cluster, node);
}
