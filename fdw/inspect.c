/*-------------------------------------------------------------------------
 *
 * inspect.c
 *		What the functions that look into a cluster share.
 *
 *-------------------------------------------------------------------------
 */
#include "inspect.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_foreign_server.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* ------------------------------------------------------------------- result */

void
dynfdw_rows_begin(FunctionCallInfo fcinfo, DynamoRows *rows)
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

void
dynfdw_row_datum(DynamoRows *rows, Datum value)
{
	rows->nulls[rows->count] = false;
	rows->values[rows->count++] = value;
}

void
dynfdw_row_null(DynamoRows *rows)
{
	rows->nulls[rows->count] = true;
	rows->values[rows->count++] = (Datum) 0;
}

void
dynfdw_row_nulls(DynamoRows *rows, int count)
{
	while (count-- > 0)
		dynfdw_row_null(rows);
}

void
dynfdw_row_text(DynamoRows *rows, const char *text)
{
	MemoryContext old = MemoryContextSwitchTo(rows->row);

	dynfdw_row_datum(rows, CStringGetTextDatum(text));
	MemoryContextSwitchTo(old);
}

void
dynfdw_row_signed_interval(DynamoRows *rows, int64 ms)
{
	Interval   *interval = MemoryContextAllocZero(rows->row, sizeof(*interval));

	ms = Max(Min(ms, PG_INT64_MAX / 1000), PG_INT64_MIN / 1000);
	interval->time = (TimeOffset) ms * 1000;
	dynfdw_row_datum(rows, IntervalPGetDatum(interval));
}

void
dynfdw_row_interval(DynamoRows *rows, uint64 ms)
{
	dynfdw_row_signed_interval(rows, (int64) Min(ms, PG_INT64_MAX));
}

void
dynfdw_row_node_id(DynamoRows *rows, const struct dyn_node_id *id)
{
	char		text[33];

	dyn_node_id_format(id, text);
	dynfdw_row_text(rows, text);
}

void
dynfdw_row_clock(DynamoRows *rows, const struct dyn_clock *clock)
{
	MemoryContext old = MemoryContextSwitchTo(rows->row);

	dynfdw_row_datum(rows, dynfdw_vclock_datum(clock));
	MemoryContextSwitchTo(old);
}

void
dynfdw_row_end(DynamoRows *rows)
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

DynamoCluster *
dynfdw_inspect_server(const char *name)
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

DynamoRelation *
dynfdw_inspect_table(Oid relid)
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

void
dynfdw_inspect_await(DynamoCluster *cluster, DynamoCallGroup *group)
{
	DynamoMoment until = dynfdw_after(dynfdw_now(), DYNAMO_PATIENCE_MS);

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
