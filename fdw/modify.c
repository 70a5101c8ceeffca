/*-------------------------------------------------------------------------
 *
 * modify.c
 *		INSERT, UPDATE and DELETE: into the transaction's journal (xact.c).
 *
 *-------------------------------------------------------------------------
 */
#include "dynamo_fdw.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/appendinfo.h"
#include "optimizer/inherit.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "connection.h"

enum
{
	BATCH_SIZE = 1000,
	LOOKUP_MAX = 100,			/* keys at once: their values come, too */
	STREAM_SIZE = 4 * 1024 * 1024	/* write_at 'statement': then send */
};

typedef struct ModifyState
{
	DynamoRelation *relation;
	bool		do_nothing;		/* ON CONFLICT DO NOTHING */
	bool		streams;		/* COPY: may send before its end */
	AttrNumber	ctid;			/* of the row's handle, in the plan's slot */
	AttrNumber	whole;			/* of the row itself; 0 = not there */
	CommandId	cid;			/* of the statement: triggers have later ones */
	MemoryContext temporary;	/* of one row */
	DynamoLookup *lookup;		/* keys to create */
	DynamoRequestStats stats;
} ModifyState;

int
dynamoIsForeignRelUpdatable(Relation rel)
{
	return (1 << CMD_INSERT) | (1 << CMD_UPDATE) | (1 << CMD_DELETE);
}

void
dynamoAddForeignUpdateTargets(PlannerInfo *root, Index rtindex,
							  RangeTblEntry *target_rte,
							  Relation target_relation)
{
	Var		   *var = makeVar(rtindex, SelfItemPointerAttributeNumber, TIDOID,
							  -1, InvalidOid, 0);

	add_row_identity_var(root, var, rtindex, "ctid");
	/* The row that is returned; a DELETE has nothing else to take it from. */
	if (root->parse->commandType == CMD_DELETE &&
		root->parse->returningList != NIL)
	{
		var = makeVar(rtindex, InvalidAttrNumber, RECORDOID, -1, InvalidOid, 0);
		add_row_identity_var(root, var, rtindex, "wholerow");
	}
}

/* -------------------------------------------------------------------- plan */

static void
check_updated(PlannerInfo *root, Index resultRelation)
{
	Oid			relid = planner_rt_fetch(resultRelation, root)->relid;
	/* Of a partition, those of its parent: it has none of its own. */
	Bitmapset  *columns =
		get_rel_all_updated_cols(root, find_base_rel(root, resultRelation));
	int			column = -1;

	while ((column = bms_next_member(columns, column)) >= 0)
	{
		AttrNumber	attnum = column + FirstLowInvalidHeapAttributeNumber;
		char	   *name = get_attname(relid, attnum, true);
		DynamoColumnRole role = name ? dynfdw_column_role(relid, attnum, name)
			: DYNAMO_ROLE_NONE;

		if (role == DYNAMO_ROLE_VALUE || role == DYNAMO_ROLE_NONE)
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot update column \"%s\": only the value of a row can change",
						name),
				 role == DYNAMO_ROLE_KEY
				 ? errhint("INSERT the row under its new key and DELETE the old one.")
				 : errhint("To replace other versions too, INSERT with vclock_merge(vclock) of their rows.")));
	}
}

List *
dynamoPlanForeignModify(PlannerInfo *root, ModifyTable *plan,
						Index resultRelation, int subplan_index)
{
	if (plan->operation == CMD_UPDATE)
		check_updated(root, resultRelation);
	if (plan->onConflictAction != ONCONFLICT_NONE &&
		plan->onConflictAction != ONCONFLICT_NOTHING)
		elog(ERROR, "unexpected ON CONFLICT specification: %d",
			 (int) plan->onConflictAction);
	return list_make1_int(plan->onConflictAction == ONCONFLICT_NOTHING);
}

/* ------------------------------------------------------------------- begin */

static ModifyState *
begin(ResultRelInfo *resultRelInfo, EState *estate)
{
	ModifyState *state = palloc0(sizeof(*state));

	state->cid = estate->es_output_cid;
	state->relation = dynfdw_relation(RelationGetRelid(resultRelInfo->ri_RelationDesc),
									  GetUserId());
	state->temporary = AllocSetContextCreate(estate->es_query_cxt,
											 "dynamo_fdw row to write",
											 ALLOCSET_DEFAULT_SIZES);
	state->lookup = dynfdw_lookup_new(state->relation, &state->stats);
	resultRelInfo->ri_FdwState = state;
	return state;
}

void
dynamoBeginForeignModify(ModifyTableState *mtstate,
						 ResultRelInfo *resultRelInfo, List *fdw_private,
						 int subplan_index, int eflags)
{
	ModifyState *state;

	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	state = begin(resultRelInfo, mtstate->ps.state);
	state->do_nothing = linitial_int(fdw_private) != 0;
	if (mtstate->operation != CMD_INSERT)
	{
		List	   *tlist = outerPlan(mtstate->ps.plan)->targetlist;

		state->ctid = ExecFindJunkAttributeInTlist(tlist, "ctid");
		state->whole = ExecFindJunkAttributeInTlist(tlist, "wholerow");
	}
}

void
dynamoBeginForeignInsert(ModifyTableState *mtstate,
						 ResultRelInfo *resultRelInfo)
{
	ModifyState *state = resultRelInfo->ri_FdwState;

	/* An UPDATE's own partition, now also a target of rows that move. */
	if (state != NULL)
		return;
	state = begin(resultRelInfo, mtstate->ps.state);
	/* COPY has no plan; otherwise a partition of an INSERT that may read. */
	state->streams = mtstate->ps.plan == NULL;
	if (mtstate->ps.plan == NULL)
		state->cid = GetCurrentCommandId(true);
	else
		state->do_nothing =
			((ModifyTable *) mtstate->ps.plan)->onConflictAction ==
			ONCONFLICT_NOTHING;
}

/* ----------------------------------------------------------------- a row */

static void
refuse_null(const ModifyState *state, AttrNumber attnum)
{
	DynamoColumn *column = &state->relation->columns[attnum - 1];

	ereport(ERROR,
			(errcode(ERRCODE_NOT_NULL_VIOLATION),
			 errmsg("null value in column \"%s\" of a Dynamo foreign table",
					column->name),
			 column->role == DYNAMO_ROLE_VALUE
			 ? errhint("To remove a key, DELETE it.") : 0));
}

static struct dyn_slice
key_of_slot(ModifyState *state, TupleTableSlot *slot)
{
	AttrNumber	attnum = state->relation->key;
	bool		isnull;
	Datum		datum = slot_getattr(slot, attnum, &isnull);

	if (isnull)
		refuse_null(state, attnum);
	return dynfdw_key_bytes(&state->relation->columns[attnum - 1], datum);
}

static struct dyn_slice
value_of_slot(ModifyState *state, TupleTableSlot *slot)
{
	AttrNumber	attnum = state->relation->value;
	struct dyn_slice value;
	bool		isnull;
	Datum		datum;

	if (attnum == 0)
		return (struct dyn_slice) {NULL, 0};
	datum = slot_getattr(slot, attnum, &isnull);
	if (isnull)
		refuse_null(state, attnum);
	value = dynfdw_value_bytes(&state->relation->columns[attnum - 1], datum);
	if (value.size > DYN_VALUE_SIZE_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a value has at most %d bytes, this one has %zu",
						DYN_VALUE_SIZE_MAX, value.size)));
	return value;
}

/* The context that an INSERT names; empty when it names none. */
static struct dyn_clock
context_of_slot(ModifyState *state, TupleTableSlot *slot)
{
	AttrNumber	attnum = state->relation->vclock;
	struct dyn_allocator allocator = dynfdw_allocator(CurrentMemoryContext);
	struct dyn_clock clock = {NULL, 0};
	bool		isnull = true;
	Datum		datum = (Datum) 0;

	if (attnum != 0)
		datum = slot_getattr(slot, attnum, &isnull);
	if (isnull)
		return clock;
	if (state->relation->columns[attnum - 1].is_vclock)
		clock = dynfdw_vclock_clock(datum);
	else if (dyn_clock_parse(dyn_slice_of(TextDatumGetCString(datum)),
							 &allocator, &clock) != DYN_STATUS_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("invalid vclock in column \"%s\"",
						state->relation->columns[attnum - 1].name)));
	if (dyn_clock_entry_count(&clock) > DYN_CLOCK_ENTRIES_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a vclock has at most %d entries",
						DYN_CLOCK_ENTRIES_MAX)));
	return clock;
}

/* What the cluster tells of a row cannot be told to it. */
static void
refuse_told(const ModifyState *state, TupleTableSlot *slot)
{
	for (int i = 0; i < state->relation->natts; i++)
	{
		const DynamoColumn *column = &state->relation->columns[i];

		if (column->role <= DYNAMO_ROLE_VCLOCK || slot->tts_isnull[i])
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_GENERATED_ALWAYS),
				 errmsg("cannot insert a value into column \"%s\"",
						column->name),
				 errdetail("It is the %s of a row, which the cluster knows.",
						   dynfdw_role_name(column->role))));
	}
}

static void
stream(ModifyState *state)
{
	if (!state->relation->options.write_at_statement || !state->streams ||
		dynfdw_buffered_size() <= STREAM_SIZE)
		return;
	dynfdw_flush(true, &state->stats);
	dynfdw_lookup_forget(state->lookup);
}

/* False when ON CONFLICT DO NOTHING did nothing. */
static bool
insert_row(ModifyState *state, TupleTableSlot *slot)
{
	MemoryContext old;
	DynamoWriteSpec spec = {.kind = DYNAMO_WRITE_INSERT,.cid = state->cid};
	DynamoInsertMode mode = state->relation->options.insert_mode;

	MemoryContextReset(state->temporary);
	old = MemoryContextSwitchTo(state->temporary);
	slot_getallattrs(slot);
	refuse_told(state, slot);
	spec.key = key_of_slot(state, slot);
	spec.value = value_of_slot(state, slot);
	spec.context = context_of_slot(state, slot);
	/* Whoever names a context says what he replaces; no mode then. */
	if (!dyn_clock_is_empty(&spec.context))
		mode = DYNAMO_INSERT_SIBLING;
	if (state->do_nothing)
		mode = DYNAMO_INSERT_CREATE;
	spec.mode = mode == DYNAMO_INSERT_CREATE ? DYNAMO_PUT_CREATE
		: mode == DYNAMO_INSERT_REPLACE ? DYNAMO_PUT_REPLACE
		: DYNAMO_PUT_SIBLING;
	if (mode == DYNAMO_INSERT_CREATE)
	{
		if (dynfdw_key_exists(state->lookup, spec.key))
		{
			MemoryContextSwitchTo(old);
			if (state->do_nothing)
				return false;
			ereport(ERROR,
					(errcode(ERRCODE_UNIQUE_VIOLATION),
					 errmsg("key \"%s\" exists already",
							dynfdw_key_text(spec.key)),
					 errhint("insert_mode 'create' is set; 'sibling' or 'replace' would write.")));
		}
		/* Checked again when it is sent. */
		spec.or_nothing = state->do_nothing;
	}
	(void) dynfdw_buffer_write(state->relation, &spec);
	MemoryContextSwitchTo(old);
	stream(state);
	return true;
}

TupleTableSlot *
dynamoExecForeignInsert(EState *estate, ResultRelInfo *resultRelInfo,
						TupleTableSlot *slot, TupleTableSlot *planSlot)
{
	ModifyState *state = resultRelInfo->ri_FdwState;

	/* What was read for an earlier row may be old by now. */
	dynfdw_lookup_forget(state->lookup);
	return insert_row(state, slot) ? slot : NULL;
}

int
dynamoGetForeignModifyBatchSize(ResultRelInfo *resultRelInfo)
{
	/* RETURNING, a view's checks and triggers want their rows one by one. */
	if (resultRelInfo->ri_projectReturning != NULL ||
		resultRelInfo->ri_WithCheckOptions != NIL ||
		(resultRelInfo->ri_TrigDesc &&
		 (resultRelInfo->ri_TrigDesc->trig_insert_before_row ||
		  resultRelInfo->ri_TrigDesc->trig_insert_after_row)))
		return 1;
	return BATCH_SIZE;
}

/* Ask for the keys of rows that are to create them, in one request. */
static void
look_up(ModifyState *state, TupleTableSlot **slots, int count)
{
	struct dyn_slice keys[LOOKUP_MAX];
	MemoryContext old;

	if (!state->do_nothing &&
		state->relation->options.insert_mode != DYNAMO_INSERT_CREATE)
		return;
	MemoryContextReset(state->temporary);
	old = MemoryContextSwitchTo(state->temporary);
	for (int i = 0; i < count; i++)
		keys[i] = key_of_slot(state, slots[i]);
	dynfdw_lookup(state->lookup, keys, count);
	MemoryContextSwitchTo(old);
}

TupleTableSlot **
dynamoExecForeignBatchInsert(EState *estate, ResultRelInfo *resultRelInfo,
							 TupleTableSlot **slots,
							 TupleTableSlot **planSlots, int *numSlots)
{
	ModifyState *state = resultRelInfo->ri_FdwState;
	int			inserted = 0;

	for (int i = 0; i < *numSlots; i++)
	{
		if (i % LOOKUP_MAX == 0)
			look_up(state, slots + i, Min(LOOKUP_MAX, *numSlots - i));
		inserted += insert_row(state, slots[i]);
	}
	dynfdw_lookup_forget(state->lookup);
	/* Nobody looks at the rows, only at their number: see the batch size. */
	*numSlots = inserted;
	return slots;
}

/* The row that an UPDATE or DELETE is about. */
static const DynamoHandle *
find_handle(EState *estate, ModifyState *state, TupleTableSlot *planSlot)
{
	bool		isnull;
	Datum		datum = ExecGetJunkAttribute(planSlot, state->ctid, &isnull);

	if (isnull)
		elog(ERROR, "ctid is NULL");
	return dynfdw_handle(estate, state->relation->relid,
						 (ItemPointer) DatumGetPointer(datum));
}

static DynamoWriteSpec
change_of(const ModifyState *state, const DynamoHandle *handle,
		  DynamoWriteKind kind)
{
	DynamoWriteSpec spec = {.kind = kind,.cid = state->cid,.key = handle->key,
		.context = handle->clock,.replaces = handle->pending,
		.mode = state->relation->options.conflict_error
	? DYNAMO_PUT_GUARDED : DYNAMO_PUT_SIBLING};

	return spec;
}

/* Does anybody see the row after it was written? */
static bool
is_looked_at(const ResultRelInfo *resultRelInfo)
{
	return resultRelInfo->ri_projectReturning != NULL ||
		(resultRelInfo->ri_TrigDesc != NULL &&
		 resultRelInfo->ri_TrigDesc->trig_update_after_row);
}

/* The old version's clock and so on are not those of the new one, which gets
 * its own when it is sent. */
static void
forget_told(ModifyState *state, TupleTableSlot *slot)
{
	TupleDesc	desc = slot->tts_tupleDescriptor;
	bool	   *nulls = palloc(desc->natts * sizeof(bool));

	slot_getallattrs(slot);
	for (int i = 0; i < desc->natts; i++)
	{
		DynamoColumnRole role = state->relation->columns[i].role;

		nulls[i] = slot->tts_isnull[i] || role == DYNAMO_ROLE_VCLOCK ||
			role == DYNAMO_ROLE_CONTEXT || role == DYNAMO_ROLE_WRITTEN_AT ||
			role == DYNAMO_ROLE_COORDINATOR;
	}
	ExecForceStoreHeapTuple(heap_form_tuple(desc, slot->tts_values, nulls),
							slot, false);
}

TupleTableSlot *
dynamoExecForeignUpdate(EState *estate, ResultRelInfo *resultRelInfo,
						TupleTableSlot *slot, TupleTableSlot *planSlot)
{
	ModifyState *state = resultRelInfo->ri_FdwState;
	const DynamoHandle *handle = find_handle(estate, state, planSlot);
	DynamoWriteSpec spec = change_of(state, handle, DYNAMO_WRITE_UPDATE);
	MemoryContext old;

	MemoryContextReset(state->temporary);
	old = MemoryContextSwitchTo(state->temporary);
	/* A trigger may have changed more than the statement named. */
	if (!dyn_slice_equal(key_of_slot(state, slot), handle->key))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot change the key of a row of a Dynamo foreign table")));
	spec.value = value_of_slot(state, slot);
	if (!dynfdw_buffer_write(state->relation, &spec))
		slot = NULL;
	else if (is_looked_at(resultRelInfo))
		forget_told(state, slot);
	MemoryContextSwitchTo(old);
	return slot;
}

/* The row as the scan has found it; lives as long as the state's temporary
 * memory. */
static void
take_whole_row(ModifyState *state, TupleTableSlot *planSlot,
			   TupleTableSlot *slot)
{
	MemoryContext old;
	HeapTupleData tuple = {.t_tableOid = state->relation->relid};
	bool		isnull;
	Datum		datum = ExecGetJunkAttribute(planSlot, state->whole, &isnull);

	if (isnull)
		elog(ERROR, "wholerow is NULL");
	tuple.t_data = DatumGetHeapTupleHeader(datum);
	tuple.t_len = HeapTupleHeaderGetDatumLength(tuple.t_data);
	ItemPointerSetInvalid(&tuple.t_self);
	MemoryContextReset(state->temporary);
	old = MemoryContextSwitchTo(state->temporary);
	ExecForceStoreHeapTuple(heap_copytuple(&tuple), slot, false);
	MemoryContextSwitchTo(old);
}

TupleTableSlot *
dynamoExecForeignDelete(EState *estate, ResultRelInfo *resultRelInfo,
						TupleTableSlot *slot, TupleTableSlot *planSlot)
{
	ModifyState *state = resultRelInfo->ri_FdwState;
	const DynamoHandle *handle = find_handle(estate, state, planSlot);
	DynamoWriteSpec spec = change_of(state, handle, DYNAMO_WRITE_DELETE);

	if (!dynfdw_buffer_write(state->relation, &spec))
		return NULL;
	if (resultRelInfo->ri_projectReturning != NULL)
		take_whole_row(state, planSlot, slot);
	return slot;
}

/* --------------------------------------------------------------------- end */

/* A partition that an UPDATE changes and moves rows into is ended twice. */
static void
end(ResultRelInfo *resultRelInfo)
{
	ModifyState *state = resultRelInfo->ri_FdwState;

	if (state == NULL)
		return;
	/* The statement's scans have ended: what it wrote may go. */
	if (state->relation->options.write_at_statement)
		dynfdw_flush(true, &state->stats);
	MemoryContextDelete(state->temporary);
	resultRelInfo->ri_FdwState = NULL;
}

void
dynamoEndForeignModify(EState *estate, ResultRelInfo *resultRelInfo)
{
	end(resultRelInfo);
}

void
dynamoEndForeignInsert(EState *estate, ResultRelInfo *resultRelInfo)
{
	end(resultRelInfo);
}
