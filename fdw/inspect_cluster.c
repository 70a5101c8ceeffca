/*-------------------------------------------------------------------------
 *
 * inspect_cluster.c
 *		Functions that look into a cluster: dynamo_nodes, dynamo_ring,
 *		dynamo_partitions, dynamo_stats.
 *
 *-------------------------------------------------------------------------
 */
#include "inspect.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

/* At a member's address may stand another node: one with an empty disk, that
 * was not told whose place it takes, belongs to no cluster. */
static bool
speaks_for(const Dyn__StatusReply *reply, const struct dyn_member *member)
{
	struct dyn_node_id id;

	return dyn_node_id_of_bytes(reply->node, &id) &&
		dyn_node_id_compare(&id, &member->id) == 0;
}

/* How far the node's wall clock is ahead of this machine's: it was told some
 * time between the question and the answer. */
static int64
skew_of(const DynamoCall *call, const Dyn__StatusReply *reply)
{
	int64		since_us = dynfdw_now() - call->answered_at;
	int64		waited_us = call->answered_at - call->sent_at;

	return (int64) reply->wall_ms + (since_us + waited_us / 2) / 1000 -
		(int64) dynfdw_wall_ms();
}

/* By member index; NULL: not connected, silent, or another node. skews: where
 * not NULL, those of the nodes that answer. */
static Dyn__StatusReply **
ask_status(DynamoCluster *cluster, bool partitions, int64 *skews)
{
	const struct dyn_ring *ring = dynfdw_cluster_ring(cluster);
	DynamoCallGroup *group = dynfdw_group_begin(cluster, NULL);
	Dyn__StatusReply **replies = palloc0(ring->member_count * sizeof(*replies));
	DynamoCall **calls = palloc0(ring->member_count * sizeof(*calls));
	Dyn__StatusRequest request = DYN__STATUS_REQUEST__INIT;

	request.partitions = partitions;
	for (uint32 i = 0; i < ring->member_count; i++)
		calls[i] =
			dynfdw_call(group, dynfdw_cluster_member_node(cluster, i),
						DYN_MESSAGE_STATUS, &request.base,
						dynfdw_after(dynfdw_now(), DYNAMO_PATIENCE_MS));
	dynfdw_inspect_await(cluster, group);
	for (uint32 i = 0; i < ring->member_count; i++)
	{
		enum dyn_status status;
		const char *text;

		if (calls[i] != NULL && calls[i]->state == DYNAMO_CALL_ANSWERED)
			replies[i] = dynfdw_call_reply(calls[i], DYN_MESSAGE_STATUS_REPLY,
										   &status, &text);
		if (replies[i] != NULL && !speaks_for(replies[i], &ring->members[i]))
			replies[i] = NULL;
		if (replies[i] != NULL && skews != NULL)
			skews[i] = skew_of(calls[i], replies[i]);
	}
	dynfdw_group_end(group);
	return replies;
}

/* ---------------------------------------------------------- nodes and ring */

static void
add_slot_counts(DynamoRows *rows, const struct dyn_ring *ring,
				const struct dyn_node_id *id)
{
	int			slots = 0;
	int			first = 0;

	for (int p = 0; p < ring->partition_count; p++)
	{
		int			index = dyn_ring_find(ring, (uint16) p, id);

		slots += index >= 0;
		first += index == 0;
	}
	dynfdw_row_datum(rows, Int32GetDatum(slots));
	dynfdw_row_datum(rows, Int32GetDatum(first));
}

PG_FUNCTION_INFO_V1(dynamo_nodes);
Datum
dynamo_nodes(PG_FUNCTION_ARGS)
{
	DynamoCluster *cluster = dynfdw_inspect_server(NameStr(*PG_GETARG_NAME(0)));
	int64		skews[DYN_MEMBERS_MAX];
	Dyn__StatusReply **replies = ask_status(cluster, false, skews);
	const struct dyn_ring *ring = dynfdw_cluster_ring(cluster);
	DynamoRows	rows;

	dynfdw_rows_begin(fcinfo, &rows);
	for (uint32 i = 0; i < ring->member_count; i++)
	{
		const struct dyn_member *member = &ring->members[i];

		dynfdw_row_node_id(&rows, &member->id);
		dynfdw_row_text(&rows, member->address);
		dynfdw_row_text(&rows, member->zone);
		dynfdw_row_text(&rows, dyn_member_status_name(member->status));
		add_slot_counts(&rows, ring, &member->id);
		dynfdw_row_datum(&rows, BoolGetDatum(replies[i] != NULL));
		if (replies[i] == NULL)
			dynfdw_row_nulls(&rows, 7);
		else
		{
			dynfdw_row_datum(&rows, BoolGetDatum(replies[i]->writable));
			dynfdw_row_text(&rows, replies[i]->version);
			dynfdw_row_interval(&rows, replies[i]->uptime_ms);
			dynfdw_row_datum(&rows, Int64GetDatum((int64) replies[i]->hints));
			dynfdw_row_datum(&rows, Int32GetDatum((int32) replies[i]->building));
			dynfdw_row_datum(&rows, BoolGetDatum(replies[i]->in_doubt));
			/* An earlier version does not tell. */
			if (replies[i]->wall_ms != 0)
				dynfdw_row_signed_interval(&rows, skews[i]);
			else
				dynfdw_row_null(&rows);
		}
		dynfdw_row_end(&rows);
	}
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(dynamo_ring);
Datum
dynamo_ring(PG_FUNCTION_ARGS)
{
	DynamoCluster *cluster = dynfdw_inspect_server(NameStr(*PG_GETARG_NAME(0)));
	const struct dyn_ring *ring = dynfdw_cluster_ring(cluster);
	DynamoRows	rows;

	dynfdw_rows_begin(fcinfo, &rows);
	for (int p = 0; p < ring->partition_count; p++)
		for (int s = 0; s < ring->replica_count; s++)
		{
			const struct dyn_slot *slot =
				dyn_ring_slot(ring, (uint16) p, (uint8) s);

			dynfdw_row_datum(&rows, Int32GetDatum(p));
			dynfdw_row_datum(&rows, Int32GetDatum(s));
			dynfdw_row_node_id(&rows, &slot->node);
			dynfdw_row_text(&rows,
							dynfdw_cluster_owner_address(cluster, (uint16) p, s));
			dynfdw_row_datum(&rows, Int64GetDatum((int64) slot->fepoch));
			dynfdw_row_datum(&rows, Int64GetDatum((int64) slot->ver));
			dynfdw_row_end(&rows);
		}
	return (Datum) 0;
}

/* ------------------------------------------------------------- partitions */

/* By slot: how long ago this member found the slot's owner equal to itself;
 * NULL when it does not tell. */
static const Dyn__PartitionStatus *
told_of(const Dyn__StatusReply *reply, uint32 partition, int replica_count)
{
	for (size_t i = 0; reply != NULL && i < reply->n_partitions; i++)
		if (reply->partitions[i]->partition == partition &&
			reply->partitions[i]->n_verified_ms == (size_t) replica_count)
			return reply->partitions[i];
	return NULL;
}

/* Both of a pair may tell; who has looked last is right. 0 = neither has. */
static uint64
pair_ms(const Dyn__PartitionStatus **told, int a, int b)
{
	uint64		from_a = told[a] != NULL ? told[a]->verified_ms[b] : 0;
	uint64		from_b = told[b] != NULL ? told[b]->verified_ms[a] : 0;

	if (from_a == 0 || from_b == 0)
		return Max(from_a, from_b);
	return Min(from_a, from_b);
}

/* The addresses of the owners with these bits, in the order of their slots. */
static void
add_owners(DynamoRows *rows, DynamoCluster *cluster, int partition,
		   uint32 slots)
{
	MemoryContext old = MemoryContextSwitchTo(rows->row);
	Datum		owners[DYN_REPLICAS_MAX];
	int			count = 0;

	for (int s = 0; s < DYN_REPLICAS_MAX; s++)
		if (slots & (1U << s))
			owners[count++] =
				CStringGetTextDatum(dynfdw_cluster_owner_address(cluster, (uint16) partition, s));
	dynfdw_row_datum(rows,
					 PointerGetDatum(construct_array(owners, count, TEXTOID,
													 -1, false, TYPALIGN_INT)));
	MemoryContextSwitchTo(old);
}

static void
add_partition(DynamoRows *rows, DynamoCluster *cluster,
			  Dyn__StatusReply **replies, int partition)
{
	const struct dyn_ring *ring = dynfdw_cluster_ring(cluster);
	const Dyn__PartitionStatus *told[DYN_REPLICAS_MAX];
	int			n = ring->replica_count;
	int			verified = 0;
	uint64		oldest_ms = 0;
	uint32		building = 0;

	for (int s = 0; s < n; s++)
	{
		const struct dyn_member *owner =
			dyn_ring_member(ring, &dyn_ring_slot(ring, (uint16) partition,
												 (uint8) s)->node);

		told[s] = told_of(replies[owner - ring->members], (uint32) partition, n);
		if (told[s] != NULL && told[s]->building)
			building |= 1U << s;
	}
	for (int a = 0; a < n; a++)
		for (int b = a + 1; b < n; b++)
		{
			uint64		ms = pair_ms(told, a, b);

			verified += ms != 0;
			oldest_ms = Max(oldest_ms, ms);
		}
	dynfdw_row_datum(rows, Int32GetDatum(partition));
	add_owners(rows, cluster, partition, (1U << n) - 1);
	dynfdw_row_datum(rows, Int32GetDatum(n * (n - 1) / 2));
	dynfdw_row_datum(rows, Int32GetDatum(verified));
	if (n > 1 && verified == n * (n - 1) / 2)
		dynfdw_row_interval(rows, oldest_ms);
	else
		dynfdw_row_null(rows);
	add_owners(rows, cluster, partition, building);
	dynfdw_row_end(rows);
}

PG_FUNCTION_INFO_V1(dynamo_partitions);
Datum
dynamo_partitions(PG_FUNCTION_ARGS)
{
	DynamoCluster *cluster = dynfdw_inspect_server(NameStr(*PG_GETARG_NAME(0)));
	Dyn__StatusReply **replies = ask_status(cluster, true, NULL);
	int			count = dynfdw_cluster_ring(cluster)->partition_count;
	DynamoRows	rows;

	dynfdw_rows_begin(fcinfo, &rows);
	for (int p = 0; p < count; p++)
		add_partition(&rows, cluster, replies, p);
	return (Datum) 0;
}

/* ------------------------------------------------------------------- stats */

PG_FUNCTION_INFO_V1(dynamo_stats);
Datum
dynamo_stats(PG_FUNCTION_ARGS)
{
	DynamoCluster *cluster = dynfdw_inspect_server(NameStr(*PG_GETARG_NAME(0)));
	Dyn__StatusReply **replies = ask_status(cluster, false, NULL);
	const struct dyn_ring *ring = dynfdw_cluster_ring(cluster);
	DynamoRows	rows;

	dynfdw_rows_begin(fcinfo, &rows);
	for (uint32 i = 0; i < ring->member_count; i++)
		for (size_t c = 0; replies[i] != NULL && c < replies[i]->n_counters; c++)
		{
			dynfdw_row_text(&rows, ring->members[i].address);
			dynfdw_row_text(&rows, replies[i]->counters[c]->name);
			dynfdw_row_datum(&rows,
							 Int64GetDatum((int64) Min(replies[i]->counters[c]->value,
													   PG_INT64_MAX)));
			dynfdw_row_end(&rows);
		}
	return (Datum) 0;
}
