/*-------------------------------------------------------------------------
 *
 * inspect.c
 *		Functions that look into a cluster: dynamo_nodes, dynamo_ring,
 *		dynamo_partitions, dynamo_stats, dynamo_owners, dynamo_conflicts.
 *
 * They need what reading needs: USAGE on the server, or SELECT on the table.
 * What the transaction has written and not sent is not shown, for no node
 * knows of it.
 *
 *-------------------------------------------------------------------------
 */
#include "dynamo_fdw.h"

#include "connection.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_type.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "model/hash.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

enum
{
	PATIENCE_MS = 2000,			/* for nodes that do not answer */
	COLUMNS_MAX = 16
};

/* ------------------------------------------------------------------- result */

typedef struct Rows
{
	Tuplestorestate *store;
	TupleDesc	desc;
	Datum		values[COLUMNS_MAX];
	bool		nulls[COLUMNS_MAX];
	int			count;			/* of the row being made */
	MemoryContext row;			/* its memory */
} Rows;

static void
begin_rows(FunctionCallInfo fcinfo, Rows *rows)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext old;

	if (info == NULL || !IsA(info, ReturnSetInfo) ||
		!(info->allowedModes & SFRM_Materialize))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("set-valued function called in context that cannot accept a set")));
	memset(rows, 0, sizeof(*rows));
	if (get_call_result_type(fcinfo, NULL, &rows->desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	old = MemoryContextSwitchTo(info->econtext->ecxt_per_query_memory);
	rows->desc = CreateTupleDescCopy(rows->desc);
	rows->store =
		tuplestore_begin_heap((info->allowedModes & SFRM_Materialize_Random) != 0,
							  false, work_mem);
	info->returnMode = SFRM_Materialize;
	info->setResult = rows->store;
	info->setDesc = rows->desc;
	MemoryContextSwitchTo(old);
	rows->row = AllocSetContextCreate(CurrentMemoryContext, "dynamo_fdw row",
									  ALLOCSET_DEFAULT_SIZES);
}

/* The next column of the row; its datum may lie in rows->row. */
static void
add_datum(Rows *rows, Datum value)
{
	rows->nulls[rows->count] = false;
	rows->values[rows->count++] = value;
}

static void
add_null(Rows *rows)
{
	rows->nulls[rows->count] = true;
	rows->values[rows->count++] = (Datum) 0;
}

static void
add_nulls(Rows *rows, int count)
{
	while (count-- > 0)
		add_null(rows);
}

static void
add_text(Rows *rows, const char *text)
{
	MemoryContext old = MemoryContextSwitchTo(rows->row);

	add_datum(rows, CStringGetTextDatum(text));
	MemoryContextSwitchTo(old);
}

static void
add_interval(Rows *rows, uint64 ms)
{
	Interval   *interval = MemoryContextAllocZero(rows->row, sizeof(*interval));

	interval->time = (TimeOffset) Min(ms, PG_INT64_MAX / 1000) * 1000;
	add_datum(rows, IntervalPGetDatum(interval));
}

static void
add_node_id(Rows *rows, const struct dyn_node_id *id)
{
	char		text[33];

	dyn_node_id_format(id, text);
	add_text(rows, text);
}

static void
add_clock(Rows *rows, const struct dyn_clock *clock)
{
	MemoryContext old = MemoryContextSwitchTo(rows->row);

	add_datum(rows, dynfdw_vclock_datum(clock));
	MemoryContextSwitchTo(old);
}

static void
end_row(Rows *rows)
{
	Assert(rows->count == rows->desc->natts);
	tuplestore_putvalues(rows->store, rows->desc, rows->values, rows->nulls);
	rows->count = 0;
	MemoryContextReset(rows->row);
}

/* ------------------------------------------------------------- permissions */

static void
check_is_ours(Oid serverid)
{
	if (GetFdwRoutineByServerId(serverid)->BeginForeignScan !=
		dynamoBeginForeignScan)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("server \"%s\" is not of the foreign data wrapper dynamo_fdw",
						GetForeignServer(serverid)->servername)));
}

static DynamoCluster *
open_server(const char *name)
{
	ForeignServer *server = GetForeignServerByName(name, false);
	AclResult	allowed = dynfdw_server_aclcheck(server->serverid,
												 GetUserId(), ACL_USAGE);
	DynamoCluster *cluster;

	if (allowed != ACLCHECK_OK)
		aclcheck_error(allowed, OBJECT_FOREIGN_SERVER, server->servername);
	check_is_ours(server->serverid);
	cluster = dynfdw_cluster(server->serverid, GetUserId());
	dynfdw_cluster_ready(cluster);
	return cluster;
}

/* Locked until the end of the transaction. */
static DynamoRelation *
open_table(Oid relid)
{
	Relation	relation = table_open(relid, AccessShareLock);
	AclResult	allowed = pg_class_aclcheck(relid, GetUserId(), ACL_SELECT);

	if (allowed != ACLCHECK_OK)
		aclcheck_error(allowed,
					   get_relkind_objtype(relation->rd_rel->relkind),
					   RelationGetRelationName(relation));
	if (relation->rd_rel->relkind != RELKIND_FOREIGN_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a foreign table",
						RelationGetRelationName(relation))));
	table_close(relation, NoLock);
	check_is_ours(GetForeignServerIdByRelId(relid));
	return dynfdw_relation(relid, GetUserId());
}

/* ------------------------------------------------------------------ asking */

/* The same question to every node; answers by node, NULL where none came. */
static void
await_all(DynamoCluster *cluster, DynamoCallGroup *group)
{
	TimestampTz until =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), PATIENCE_MS);

	for (;;)
	{
		bool		waiting = false;
		dlist_iter	iter;

		dlist_foreach(iter, &group->calls)
			waiting |= dlist_container(DynamoCall, in_group, iter.cur)->state ==
				DYNAMO_CALL_WAITING;
		if (!waiting || !dynfdw_wait(cluster, until, NULL))
			return;
	}
}

/* By member index; NULL: not connected, or silent. */
static Dyn__StatusReply **
ask_status(DynamoCluster *cluster, bool partitions)
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
						TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													PATIENCE_MS));
	await_all(cluster, group);
	for (uint32 i = 0; i < ring->member_count; i++)
	{
		enum dyn_status status;
		const char *text;

		if (calls[i] != NULL && calls[i]->state == DYNAMO_CALL_ANSWERED)
			replies[i] = dynfdw_call_reply(calls[i], DYN_MESSAGE_STATUS_REPLY,
										   &status, &text);
	}
	dynfdw_group_end(group);
	return replies;
}

/* --------------------------------------------------- nodes, ring and stats */

static void
add_slot_counts(Rows *rows, const struct dyn_ring *ring,
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
	add_datum(rows, Int32GetDatum(slots));
	add_datum(rows, Int32GetDatum(first));
}

PG_FUNCTION_INFO_V1(dynamo_nodes);
Datum
dynamo_nodes(PG_FUNCTION_ARGS)
{
	DynamoCluster *cluster = open_server(NameStr(*PG_GETARG_NAME(0)));
	Dyn__StatusReply **replies = ask_status(cluster, false);
	const struct dyn_ring *ring = dynfdw_cluster_ring(cluster);
	Rows		rows;

	begin_rows(fcinfo, &rows);
	for (uint32 i = 0; i < ring->member_count; i++)
	{
		const struct dyn_member *member = &ring->members[i];

		add_node_id(&rows, &member->id);
		add_text(&rows, member->address);
		add_text(&rows, member->zone);
		add_text(&rows, dyn_member_status_name(member->status));
		add_slot_counts(&rows, ring, &member->id);
		add_datum(&rows, BoolGetDatum(replies[i] != NULL));
		if (replies[i] == NULL)
			add_nulls(&rows, 6);
		else
		{
			add_datum(&rows, BoolGetDatum(replies[i]->writable));
			add_text(&rows, replies[i]->version);
			add_interval(&rows, replies[i]->uptime_ms);
			add_datum(&rows, Int64GetDatum((int64) replies[i]->hints));
			add_datum(&rows, Int32GetDatum((int32) replies[i]->building));
			add_datum(&rows, BoolGetDatum(replies[i]->in_doubt));
		}
		end_row(&rows);
	}
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(dynamo_ring);
Datum
dynamo_ring(PG_FUNCTION_ARGS)
{
	DynamoCluster *cluster = open_server(NameStr(*PG_GETARG_NAME(0)));
	const struct dyn_ring *ring = dynfdw_cluster_ring(cluster);
	Rows		rows;

	begin_rows(fcinfo, &rows);
	for (int p = 0; p < ring->partition_count; p++)
		for (int s = 0; s < ring->replica_count; s++)
		{
			const struct dyn_slot *slot =
				dyn_ring_slot(ring, (uint16) p, (uint8) s);

			add_datum(&rows, Int32GetDatum(p));
			add_datum(&rows, Int32GetDatum(s));
			add_node_id(&rows, &slot->node);
			add_text(&rows, dynfdw_cluster_owner_address(cluster, (uint16) p, s));
			add_datum(&rows, Int64GetDatum((int64) slot->fepoch));
			add_datum(&rows, Int64GetDatum((int64) slot->ver));
			end_row(&rows);
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
add_owners(Rows *rows, DynamoCluster *cluster, int partition, uint32 slots)
{
	MemoryContext old = MemoryContextSwitchTo(rows->row);
	Datum		owners[DYN_REPLICAS_MAX];
	int			count = 0;

	for (int s = 0; s < DYN_REPLICAS_MAX; s++)
		if (slots & (1U << s))
			owners[count++] =
				CStringGetTextDatum(dynfdw_cluster_owner_address(cluster, (uint16) partition, s));
	add_datum(rows, PointerGetDatum(construct_array(owners, count, TEXTOID, -1,
													false, TYPALIGN_INT)));
	MemoryContextSwitchTo(old);
}

static void
add_partition(Rows *rows, DynamoCluster *cluster, Dyn__StatusReply **replies,
			  int partition)
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
	add_datum(rows, Int32GetDatum(partition));
	add_owners(rows, cluster, partition, (1U << n) - 1);
	add_datum(rows, Int32GetDatum(n * (n - 1) / 2));
	add_datum(rows, Int32GetDatum(verified));
	if (n > 1 && verified == n * (n - 1) / 2)
		add_interval(rows, oldest_ms);
	else
		add_null(rows);
	add_owners(rows, cluster, partition, building);
	end_row(rows);
}

PG_FUNCTION_INFO_V1(dynamo_partitions);
Datum
dynamo_partitions(PG_FUNCTION_ARGS)
{
	DynamoCluster *cluster = open_server(NameStr(*PG_GETARG_NAME(0)));
	Dyn__StatusReply **replies = ask_status(cluster, true);
	int			count = dynfdw_cluster_ring(cluster)->partition_count;
	Rows		rows;

	begin_rows(fcinfo, &rows);
	for (int p = 0; p < count; p++)
		add_partition(&rows, cluster, replies, p);
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(dynamo_stats);
Datum
dynamo_stats(PG_FUNCTION_ARGS)
{
	DynamoCluster *cluster = open_server(NameStr(*PG_GETARG_NAME(0)));
	Dyn__StatusReply **replies = ask_status(cluster, false);
	const struct dyn_ring *ring = dynfdw_cluster_ring(cluster);
	Rows		rows;

	begin_rows(fcinfo, &rows);
	for (uint32 i = 0; i < ring->member_count; i++)
		for (size_t c = 0; replies[i] != NULL && c < replies[i]->n_counters; c++)
		{
			add_text(&rows, ring->members[i].address);
			add_text(&rows, replies[i]->counters[c]->name);
			add_datum(&rows,
					  Int64GetDatum((int64) Min(replies[i]->counters[c]->value,
												PG_INT64_MAX)));
			end_row(&rows);
		}
	return (Datum) 0;
}

/* ------------------------------------------------------------------ owners */

/* What an owner holds of the key. */
static void
add_holding(Rows *rows, const DynamoCall *call, Dyn__ReadReply *reply,
			enum dyn_status status)
{
	struct dyn_allocator allocator = dynfdw_allocator(rows->row);
	struct dyn_object object;

	if (call == NULL || call->state != DYNAMO_CALL_ANSWERED)
	{
		add_text(rows, call == NULL ? "not connected" : "silent");
		add_nulls(rows, 2);
		return;
	}
	if (reply != NULL)
		status = reply->n_results == 1 &&
			dyn_status_is_valid(reply->results[0]->status)
			? (enum dyn_status) reply->results[0]->status
			: DYN_STATUS_BAD_REQUEST;
	if (status != DYN_STATUS_OK)
	{
		add_text(rows, status == DYN_STATUS_NOT_FOUND ? "absent"
				 : dyn_status_text(status));
		add_nulls(rows, 2);
		return;
	}
	dynfdw_check(dyn_object_decode(dyn_slice_of_bytes(reply->results[0]->object),
								   &allocator, &object),
				 "a node sent a malformed object");
	dyn_object_view(&object, dynfdw_wall_ms());
	add_text(rows, dyn_object_is_tombstone(&object) ? "deleted" : "present");
	add_datum(rows, Int32GetDatum((int32) object.version_count));
	add_clock(rows, &object.context);
}

static Datum
list_owners(FunctionCallInfo fcinfo, DynamoRelation *rel, struct dyn_slice key)
{
	DynamoCluster *cluster = dynfdw_cluster(rel->serverid, rel->userid);
	Dyn__ReadRequest request = DYN__READ_REQUEST__INIT;
	ProtobufCBinaryData key_bytes = dyn_bytes_of_slice(key);
	DynamoCall *calls[DYN_REPLICAS_MAX] = {0};
	const struct dyn_ring *ring;
	DynamoCallGroup *group;
	uint16		partition;
	Rows		rows;

	dynfdw_cluster_ready(cluster);
	ring = dynfdw_cluster_ring(cluster);
	partition =
		dyn_hash_partition(dyn_hash_cell(dyn_hash_position(rel->bucket, key)),
						   ring->partition_count);
	request.bucket = dyn_bytes_of_slice(rel->bucket);
	request.n_keys = 1;
	request.keys = &key_bytes;
	group = dynfdw_group_begin(cluster, NULL);
	for (int s = 0; s < ring->replica_count; s++)
		calls[s] =
			dynfdw_call(group, dynfdw_cluster_owner(cluster, partition, s),
						DYN_MESSAGE_READ, &request.base,
						TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													PATIENCE_MS));
	await_all(cluster, group);
	begin_rows(fcinfo, &rows);
	for (int s = 0; s < ring->replica_count; s++)
	{
		enum dyn_status status = DYN_STATUS_OK;
		const char *text;
		Dyn__ReadReply *reply = NULL;

		if (calls[s] != NULL && calls[s]->state == DYNAMO_CALL_ANSWERED)
			reply = dynfdw_call_reply(calls[s], DYN_MESSAGE_READ_REPLY,
									  &status, &text);
		add_datum(&rows, Int32GetDatum(partition));
		add_datum(&rows, Int32GetDatum(s));
		add_node_id(&rows, &dyn_ring_slot(ring, partition, (uint8) s)->node);
		add_text(&rows, dynfdw_cluster_owner_address(cluster, partition, s));
		add_holding(&rows, calls[s], reply, status);
		end_row(&rows);
	}
	dynfdw_group_end(group);
	return (Datum) 0;
}

/* For text and for bytea. */
PG_FUNCTION_INFO_V1(dynamo_owners);
Datum
dynamo_owners(PG_FUNCTION_ARGS)
{
	DynamoRelation *rel = open_table(PG_GETARG_OID(0));
	DynamoColumn argument = {0};

	argument.is_bytea =
		getBaseType(get_fn_expr_argtype(fcinfo->flinfo, 1)) == BYTEAOID;
	return list_owners(fcinfo, rel,
					   dynfdw_key_bytes(&argument, PG_GETARG_DATUM(1)));
}

/* --------------------------------------------------------------- conflicts */

static void
add_key(Rows *rows, const DynamoRelation *rel, struct dyn_slice key)
{
	MemoryContext old = MemoryContextSwitchTo(rows->row);
	bytea	   *bytes;
	char	   *text;

	if (rel->columns[rel->key - 1].is_bytea ||
		!pg_verify_mbstr(PG_UTF8, (const char *) key.data, (int) key.size, true))
	{
		bytes = palloc(VARHDRSZ + key.size);
		SET_VARSIZE(bytes, VARHDRSZ + key.size);
		memcpy(VARDATA(bytes), key.data, key.size);
		add_text(rows, DatumGetCString(DirectFunctionCall1(byteaout,
														   PointerGetDatum(bytes))));
	}
	else
	{
		text = pg_any_to_server((const char *) key.data, (int) key.size,
								PG_UTF8);
		add_datum(rows, PointerGetDatum(cstring_to_text_with_len(text,
																 text == (const char *) key.data
																 ? (int) key.size
																 : (int) strlen(text))));
	}
	MemoryContextSwitchTo(old);
}

PG_FUNCTION_INFO_V1(dynamo_conflicts);
Datum
dynamo_conflicts(PG_FUNCTION_ARGS)
{
	DynamoRelation *rel = open_table(PG_GETARG_OID(0));
	DynamoScanSpec spec = {.bucket = rel->bucket,.keys_only = true};
	DynamoRequestOptions options = {.r = rel->options.r,
	.timeout_ms = rel->options.timeout_ms};
	DynamoScan *scan;
	struct dyn_slice key;
	struct dyn_object object;
	Rows		rows;

	begin_rows(fcinfo, &rows);
	scan = dynfdw_scan_begin(dynfdw_cluster(rel->serverid, rel->userid), &spec,
							 &options, NULL);
	while (dynfdw_scan_next(scan, &key, &object))
	{
		struct dyn_allocator allocator = dynfdw_allocator(rows.row);
		struct dyn_row *versions;
		uint32_t	count;

		if (object.version_count < 2)
			continue;
		/* A write that was retried elsewhere is one row. */
		dynfdw_check(dyn_object_rows(&object, &allocator, &versions, &count),
					 "rows of a key");
		if (count >= 2)
		{
			add_key(&rows, rel, key);
			add_datum(&rows, Int32GetDatum((int32) count));
			add_clock(&rows, &object.context);
			end_row(&rows);
		}
		else
			MemoryContextReset(rows.row);
	}
	dynfdw_scan_end(scan);
	return (Datum) 0;
}
