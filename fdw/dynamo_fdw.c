/*-------------------------------------------------------------------------
 *
 * dynamo_fdw.c
 *		The handler of the foreign data wrapper: which callback is where.
 *
 *-------------------------------------------------------------------------
 */
#include "dynamo_fdw.h"

#include "fmgr.h"

#ifdef PG_MODULE_MAGIC_EXT
PG_MODULE_MAGIC_EXT(.name = "dynamo_fdw",.version = "1.0");
#else
PG_MODULE_MAGIC;
#endif

void		_PG_init(void);

void
_PG_init(void)
{
	dynfdw_define_settings();
	dynfdw_xact_init();
}

PG_FUNCTION_INFO_V1(dynamo_fdw_handler);

Datum
dynamo_fdw_handler(PG_FUNCTION_ARGS)
{
	FdwRoutine *routine = makeNode(FdwRoutine);

	/* plan.c, scan.c */
	routine->GetForeignRelSize = dynamoGetForeignRelSize;
	routine->GetForeignPaths = dynamoGetForeignPaths;
	routine->GetForeignPlan = dynamoGetForeignPlan;
	routine->BeginForeignScan = dynamoBeginForeignScan;
	routine->IterateForeignScan = dynamoIterateForeignScan;
	routine->ReScanForeignScan = dynamoReScanForeignScan;
	routine->EndForeignScan = dynamoEndForeignScan;

	/* modify.c */
	routine->AddForeignUpdateTargets = dynamoAddForeignUpdateTargets;
	routine->PlanForeignModify = dynamoPlanForeignModify;
	routine->BeginForeignModify = dynamoBeginForeignModify;
	routine->ExecForeignInsert = dynamoExecForeignInsert;
	routine->ExecForeignBatchInsert = dynamoExecForeignBatchInsert;
	routine->GetForeignModifyBatchSize = dynamoGetForeignModifyBatchSize;
	routine->ExecForeignUpdate = dynamoExecForeignUpdate;
	routine->ExecForeignDelete = dynamoExecForeignDelete;
	routine->EndForeignModify = dynamoEndForeignModify;
	routine->BeginForeignInsert = dynamoBeginForeignInsert;
	routine->EndForeignInsert = dynamoEndForeignInsert;
	routine->IsForeignRelUpdatable = dynamoIsForeignRelUpdatable;

	/* analyze.c */
	routine->AnalyzeForeignTable = dynamoAnalyzeForeignTable;

	/* explain.c */
	routine->ExplainForeignScan = dynamoExplainForeignScan;
	routine->ExplainForeignModify = dynamoExplainForeignModify;

	PG_RETURN_POINTER(routine);
}
