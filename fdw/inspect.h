/*-------------------------------------------------------------------------
 *
 * inspect.h
 *		What the functions that look into a cluster share: dynamo_nodes,
 *		dynamo_ring, dynamo_partitions, dynamo_stats (inspect_cluster.c),
 *		dynamo_owners, dynamo_conflicts (inspect_table.c).
 *
 * They need what reading needs: USAGE on the server, or SELECT on the table.
 * What the transaction has written and not sent is not shown, for no node
 * knows of it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYNFDW_INSPECT_H
#define DYNFDW_INSPECT_H

#include "connection.h"

#include "fmgr.h"
#include "utils/tuplestore.h"

enum
{
	DYNAMO_COLUMNS_MAX = 16,
	DYNAMO_PATIENCE_MS = 2000	/* for nodes that do not answer */
};

/* ---- the rows of a function's result ---- */

typedef struct DynamoRows
{
	Tuplestorestate *store;
	TupleDesc	desc;
	Datum		values[DYNAMO_COLUMNS_MAX];
	bool		nulls[DYNAMO_COLUMNS_MAX];
	int			count;			/* of the row being made */
	MemoryContext row;			/* its memory */
} DynamoRows;

/* Raises where no set is wanted. */
extern void dynfdw_rows_begin(FunctionCallInfo fcinfo, DynamoRows *rows);

/* The next column of the row; its datum may lie in rows->row. */
extern void dynfdw_row_datum(DynamoRows *rows, Datum value);
extern void dynfdw_row_null(DynamoRows *rows);
extern void dynfdw_row_nulls(DynamoRows *rows, int count);
extern void dynfdw_row_text(DynamoRows *rows, const char *text);
extern void dynfdw_row_interval(DynamoRows *rows, uint64 ms);
extern void dynfdw_row_signed_interval(DynamoRows *rows, int64 ms);
extern void dynfdw_row_node_id(DynamoRows *rows, const struct dyn_node_id *id);
extern void dynfdw_row_clock(DynamoRows *rows, const struct dyn_clock *clock);

/* All columns are there; the memory of the row is free for the next one. */
extern void dynfdw_row_end(DynamoRows *rows);

/* ---- what is looked into: an error when it is not ours, or forbidden ---- */

/* Ready to work. */
extern DynamoCluster *dynfdw_inspect_server(const char *name);

/* Locked until the end of the transaction. */
extern DynamoRelation *dynfdw_inspect_table(Oid relid);

/* ---- asking ---- */

/* Until all calls of the group were answered or lost, but not for ever. */
extern void dynfdw_inspect_await(DynamoCluster *cluster,
								 DynamoCallGroup *group);

#endif
