/*-------------------------------------------------------------------------
 *
 * explain.c
 *		What a scan does, and what it has cost.
 *
 *-------------------------------------------------------------------------
 */
#include "dynamo_fdw.h"

#include "plan.h"
#include "scan_state.h"

#include "foreign/foreign.h"
#include "lib/stringinfo.h"

static const char *const test_names[] = {
	[DYNAMO_KEY_EQUALS] = "key =",
	[DYNAMO_KEY_ANY] = "key = ANY",
	[DYNAMO_KEY_MIN] = "key >=",
	[DYNAMO_KEY_MAX] = "key <=",
	[DYNAMO_KEY_PREFIX] = "key prefix",
	[DYNAMO_KEY_LIKE] = "key LIKE prefix",
};

void
dynamoExplainForeignScan(ForeignScanState *node, ExplainState *es)
{
	DynamoScanState *state = node->fdw_state;
	StringInfoData pushed;
	ListCell   *cell;

	ExplainPropertyText("Strategy", state->by_keys ? "multi-get"
						: "scan of all partitions", es);
	ExplainPropertyText("Bucket", state->relation->options.bucket, es);
	/* A multi-get brings whole objects, wanted or not. */
	if (!state->by_keys && (state->flags & DYNAMO_SCAN_KEYS_ONLY))
		ExplainPropertyText("Values", "not fetched", es);
	initStringInfo(&pushed);
	foreach(cell, state->tests)
		appendStringInfo(&pushed, "%s%s", pushed.len ? ", " : "",
						 test_names[lfirst_int(cell)]);
	if (pushed.len > 0)
		ExplainPropertyText("Pushed", pushed.data, es);
	if (!es->analyze)
		return;
	ExplainPropertyInteger("Round Trips", NULL, state->stats.round_trips, es);
	ExplainPropertyInteger("Messages", NULL, state->stats.messages, es);
	if (state->stats.cells_equal + state->stats.cells_merged > 0)
	{
		ExplainPropertyInteger("Cells Verified", NULL,
							   state->stats.cells_equal, es);
		ExplainPropertyInteger("Cells Merged", NULL,
							   state->stats.cells_merged, es);
	}
	if (es->verbose)
	{
		ExplainPropertyInteger("Keys Asked", NULL, state->stats.keys, es);
		ExplainPropertyInteger("Bytes Received", NULL,
							   state->stats.bytes_received, es);
		ExplainPropertyInteger("Keys Disagreed", NULL,
							   state->stats.coordinated, es);
	}
}

void
dynamoExplainForeignModify(ModifyTableState *mtstate,
						   ResultRelInfo *resultRelInfo, List *fdw_private,
						   int subplan_index, ExplainState *es)
{
	DynamoOptions options;
	static const char *const modes[] = {"sibling", "create", "replace"};

	dynfdw_options(GetForeignServerIdByRelId(RelationGetRelid(resultRelInfo->ri_RelationDesc)),
				   RelationGetRelid(resultRelInfo->ri_RelationDesc), &options);
	ExplainPropertyText("Sent", options.write_at_statement
						? "with the statement" : "at commit", es);
	if (mtstate->operation == CMD_INSERT)
		ExplainPropertyText("Insert Mode", modes[options.insert_mode], es);
}
