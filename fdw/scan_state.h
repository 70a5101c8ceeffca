/*-------------------------------------------------------------------------
 *
 * scan_state.h
 *		The executor's state of one ForeignScan, for scan.c and explain.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYNFDW_SCAN_STATE_H
#define DYNFDW_SCAN_STATE_H

#include "dynamo_fdw.h"

typedef struct ScanRow
{
	DynamoRowData data;
	uint64		pending;		/* its write's id; 0: a row of the store */
} ScanRow;

typedef struct DynamoScanState
{
	DynamoRelation *relation;
	DynamoRequestOptions options;
	DynamoRequestStats stats;
	List	   *tests;			/* DynamoKeyTest of each expression */
	List	   *exprs;			/* ExprState */
	int			flags;
	bool		by_keys;
	bool		is_target;		/* of an UPDATE or DELETE: rows need handles */
	bool		begun;			/* expressions were evaluated */
	bool		nothing;		/* a NULL bound: no row can match */

	/* in `run`: one run of the scan */
	MemoryContext run;
	struct dyn_slice *keys;
	int			nkeys;
	int			key_capacity;
	int			next_key;
	DynamoScan *scan;
	bool		stream_ended;
	struct dyn_slice *pending;	/* keys with unsent writes, sorted */
	bool	   *pending_met;	/* the stream has returned them */
	int			npending;
	int			next_pending;

	/* in `batch`: rows to be returned */
	MemoryContext batch;
	ScanRow    *rows;
	int			nrows;
	int			row_capacity;
	int			next_row;
} DynamoScanState;

#endif
