/*-------------------------------------------------------------------------
 *
 * scan.c
 *		Rows of a foreign table: by keys, or streamed.
 *
 * Nothing is evaluated and nothing is sent before the first row is asked for
 * (BI tools ask with LIMIT 0).  A key's live versions are its rows; what the
 * transaction has written and not sent is laid over them.
 *
 *-------------------------------------------------------------------------
 */
#include "dynamo_fdw.h"

#include "plan.h"
#include "scan_state.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "connection.h"

enum
{
	KEYS_PER_GET = 1024
};

/* ----------------------------------------------------------------- handles */

/* The rows that an UPDATE's or DELETE's scan has returned: their keys and
 * clocks, by number; the number travels as the row's ctid. */
typedef struct HandleTable
{
	struct HandleTable *next;
	EState	   *estate;
	Oid			relid;
	MemoryContext context;
	DynamoHandle **handles;
	uint64		count;
	uint64		capacity;
	MemoryContextCallback callback;
} HandleTable;

static HandleTable *handle_tables;

static void
forget_handles(void *arg)
{
	HandleTable **link = &handle_tables;

	while (*link != NULL && *link != arg)
		link = &(*link)->next;
	if (*link != NULL)
		*link = (*link)->next;
}

static HandleTable *
find_handles(EState *estate, Oid relid, bool make)
{
	HandleTable *table;
	MemoryContext old;

	for (table = handle_tables; table != NULL; table = table->next)
		if (table->estate == estate && table->relid == relid)
			return table;
	if (!make)
		return NULL;
	old = MemoryContextSwitchTo(estate->es_query_cxt);
	table = palloc0(sizeof(*table));
	table->estate = estate;
	table->relid = relid;
	table->context = estate->es_query_cxt;
	table->callback.func = forget_handles;
	table->callback.arg = table;
	MemoryContextRegisterResetCallback(table->context, &table->callback);
	table->next = handle_tables;
	handle_tables = table;
	MemoryContextSwitchTo(old);
	return table;
}

static struct dyn_slice
copy_slice(struct dyn_slice bytes)
{
	uint8	   *copy = palloc(bytes.size + 1);

	if (bytes.size != 0)
		memcpy(copy, bytes.data, bytes.size);
	return (struct dyn_slice) {copy, bytes.size};
}

/* Remember a row, and number it in the slot. */
static void
set_handle(HandleTable *table, const DynamoRowData *row, uint64 pending,
		   ItemPointer tid)
{
	MemoryContext old = MemoryContextSwitchTo(table->context);
	struct dyn_allocator allocator = dynfdw_allocator(table->context);
	DynamoHandle *handle = palloc0(sizeof(*handle));

	if (table->count == table->capacity)
	{
		table->capacity = table->capacity ? table->capacity * 2 : 64;
		table->handles = table->handles
			? repalloc_huge(table->handles,
							table->capacity * sizeof(*table->handles))
			: palloc(table->capacity * sizeof(*table->handles));
	}
	handle->key = copy_slice(row->key);
	handle->pending = pending;
	if (row->clock != NULL)
		dynfdw_check(dyn_clock_copy(row->clock, &allocator, &handle->clock),
					 "vclock");
	table->handles[table->count] = handle;
	/* Offset 0 would be invalid. */
	ItemPointerSet(tid, (BlockNumber) (table->count >> 15),
				   (OffsetNumber) ((table->count & 0x7fff) + 1));
	table->count++;
	MemoryContextSwitchTo(old);
}

const DynamoHandle *
dynfdw_handle(EState *estate, Oid relid, ItemPointer tid)
{
	HandleTable *table = find_handles(estate, relid, false);
	uint64		number = (uint64) ItemPointerGetBlockNumberNoCheck(tid) << 15 |
		(ItemPointerGetOffsetNumberNoCheck(tid) - 1);

	if (table == NULL || number >= table->count)
		elog(ERROR, "a row of a Dynamo foreign table is not known any more");
	return table->handles[number];
}

/* ------------------------------------------------------------------- begin */

void
dynamoBeginForeignScan(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	EState	   *estate = node->ss.ps.state;
	Relation	relation = node->ss.ss_currentRelation;
	DynamoScanState *state = palloc0(sizeof(*state));

	node->fdw_state = state;
	state->relation = dynfdw_relation(RelationGetRelid(relation), GetUserId());
	state->tests = linitial(plan->fdw_private);
	state->flags = linitial_int(lsecond(plan->fdw_private));
	state->exprs = ExecInitExprList(plan->fdw_exprs, (PlanState *) node);
	state->is_target = list_member_int(estate->es_plannedstmt->resultRelations,
									   plan->scan.scanrelid);
	state->by_keys = state->tests != NIL &&
		linitial_int(state->tests) <= DYNAMO_KEY_ANY;
	/* What one run of the scan needs, until it is run again. */
	state->run = AllocSetContextCreate(estate->es_query_cxt,
									   "dynamo_fdw scan",
									   ALLOCSET_DEFAULT_SIZES);
	state->batch = AllocSetContextCreate(estate->es_query_cxt,
										 "dynamo_fdw rows",
										 ALLOCSET_DEFAULT_SIZES);
	state->options.r = state->relation->options.r;
	state->options.timeout_ms = state->relation->options.timeout_ms;
}

/* -------------------------------------------------------------------- keys */

static void
add_key(DynamoScanState *state, struct dyn_slice key)
{
	if (state->nkeys == state->key_capacity)
	{
		state->key_capacity = state->key_capacity ? state->key_capacity * 2 : 16;
		state->keys = state->keys
			? repalloc_huge(state->keys, state->key_capacity * sizeof(*state->keys))
			: palloc(state->key_capacity * sizeof(*state->keys));
	}
	state->keys[state->nkeys++] = key;
}

/* No key of that size can exist: then nothing is found, and nothing said. */
static void
add_key_datum(DynamoScanState *state, Datum datum)
{
	struct dyn_slice key;

	if (dynfdw_key_of_datum(&state->relation->columns[state->relation->key - 1],
							datum, &key))
		add_key(state, key);
}

static int
compare_keys(const void *a, const void *b)
{
	return dyn_slice_compare(*(const struct dyn_slice *) a,
							 *(const struct dyn_slice *) b);
}

/* A key asked for twice is one key. */
static void
remove_duplicates(DynamoScanState *state)
{
	int			kept = 0;

	qsort(state->keys, state->nkeys, sizeof(*state->keys), compare_keys);
	for (int i = 0; i < state->nkeys; i++)
		if (kept == 0 || !dyn_slice_equal(state->keys[kept - 1],
										  state->keys[i]))
			state->keys[kept++] = state->keys[i];
	state->nkeys = kept;
}

static void
add_array_keys(DynamoScanState *state, Datum datum)
{
	ArrayType  *array = DatumGetArrayTypeP(datum);
	Oid			type = ARR_ELEMTYPE(array);
	int16		length;
	bool		by_value;
	char		align;
	Datum	   *datums;
	bool	   *nulls;
	int			count;

	get_typlenbyvalalign(type, &length, &by_value, &align);
	deconstruct_array(array, type, length, by_value, align, &datums, &nulls,
					  &count);
	for (int i = 0; i < count; i++)
		if (!nulls[i])
			add_key_datum(state, datums[i]);
	remove_duplicates(state);
}

static void
find_keys(DynamoScanState *state, ExprContext *econtext)
{
	bool		isnull;
	Datum		datum = ExecEvalExpr(linitial(state->exprs), econtext, &isnull);

	if (isnull)
		return;
	if (linitial_int(state->tests) == DYNAMO_KEY_ANY)
		add_array_keys(state, datum);
	else
		add_key_datum(state, datum);
}

/* The fixed beginning of a LIKE pattern. */
static struct dyn_slice
like_prefix(struct dyn_slice pattern)
{
	struct dyn_slice prefix = {pattern.data, 0};

	while (prefix.size < pattern.size &&
		   strchr("%_\\", pattern.data[prefix.size]) == NULL)
		prefix.size++;
	return prefix;
}

/* Bounds that any key must keep to: the greatest minimum, and so on. Clauses
 * stay as filters, so a bound too many is all that could go wrong. */
static void
find_bounds(DynamoScanState *state, ExprContext *econtext,
			DynamoScanSpec *spec)
{
	ListCell   *test;
	ListCell   *expr;

	forboth(test, state->tests, expr, state->exprs)
	{
		bool		isnull;
		Datum		datum = ExecEvalExpr(lfirst(expr), econtext, &isnull);
		struct dyn_slice bytes;

		if (isnull)
		{
			state->nothing = true;	/* the operators are strict */
			continue;
		}
		bytes.data = (const uint8_t *) VARDATA_ANY(PG_DETOAST_DATUM_PACKED(datum));
		bytes.size = VARSIZE_ANY_EXHDR(PG_DETOAST_DATUM_PACKED(datum));
		if (GetDatabaseEncoding() != PG_UTF8 &&
			!state->relation->columns[state->relation->key - 1].is_bytea)
			continue;
		if (lfirst_int(test) == DYNAMO_KEY_LIKE)
			bytes = like_prefix(bytes);
		if (bytes.size > DYN_KEY_SIZE_MAX)
			bytes.size = lfirst_int(test) == DYNAMO_KEY_MAX ? 0
				: DYN_KEY_SIZE_MAX;
		if (bytes.size == 0)
			continue;
		bytes = copy_slice(bytes);
		if (lfirst_int(test) == DYNAMO_KEY_MIN)
		{
			if (dyn_slice_compare(bytes, spec->key_min) > 0)
				spec->key_min = bytes;
		}
		else if (lfirst_int(test) == DYNAMO_KEY_MAX)
		{
			if (spec->key_max.size == 0 ||
				dyn_slice_compare(bytes, spec->key_max) < 0)
				spec->key_max = bytes;
		}
		else if (bytes.size > spec->prefix.size)
			spec->prefix = bytes;
	}
}

/* --------------------------------------------------------------- beginning */

static void
begin_stream(DynamoScanState *state, ExprContext *econtext)
{
	DynamoScanSpec spec = {.bucket = state->relation->bucket,
	.keys_only = (state->flags & DYNAMO_SCAN_KEYS_ONLY) != 0};
	struct dyn_slice *pending;
	int			npending;

	find_bounds(state, econtext, &spec);
	if (state->nothing)
		return;
	npending = dynfdw_pending_keys(state->relation->serverid,
								   state->relation->bucket, &pending);
	/* Sorted, so that the scan can tick off what it has met. */
	if (npending > 0)
		qsort(pending, npending, sizeof(*pending), compare_keys);
	state->pending = pending;
	state->npending = npending;
	state->pending_met = palloc0(npending + 1);
	state->scan = dynfdw_scan_begin(dynfdw_cluster(state->relation->serverid,
												   state->relation->userid),
									&spec, &state->options, &state->stats);
}

static void
begin_run(ForeignScanState *node)
{
	DynamoScanState *state = node->fdw_state;
	ExprContext *econtext = node->ss.ps.ps_ExprContext;
	MemoryContext old = MemoryContextSwitchTo(state->run);

	if (state->by_keys)
		find_keys(state, econtext);
	else
		begin_stream(state, econtext);
	state->begun = true;
	MemoryContextSwitchTo(old);
}

/* -------------------------------------------------------------------- rows */

static void
add_row(DynamoScanState *state, const DynamoRowData *row, uint64 pending)
{
	if (state->nrows == state->row_capacity)
	{
		state->row_capacity = state->row_capacity ? state->row_capacity * 2 : 16;
		state->rows = state->rows
			? repalloc_huge(state->rows, state->row_capacity * sizeof(ScanRow))
			: MemoryContextAlloc(state->batch,
								 state->row_capacity * sizeof(ScanRow));
	}
	state->rows[state->nrows].data = *row;
	state->rows[state->nrows++].pending = pending;
}

/* A row of the store that the transaction has replaced does not show. */
static bool
is_replaced(const DynamoPending *pending, const struct dyn_row *row)
{
	return pending->hides_all ||
		dyn_clock_covers(&pending->context, row->version->dot);
}

/* All rows of a key, as the command sees them. */
static void
add_key_rows(DynamoScanState *state, struct dyn_slice key,
			 const struct dyn_object *object, CommandId curcid)
{
	struct dyn_allocator allocator = dynfdw_allocator(state->batch);
	struct dyn_row *rows = NULL;
	uint32_t	nrows = 0;
	DynamoPending pending;
	DynamoRowData row = {.key = key,
	.no_value = (state->flags & DYNAMO_SCAN_KEYS_ONLY) != 0};
	struct dyn_clock *context = palloc0(sizeof(*context));
	int			first = state->nrows;

	if (object != NULL)
		*context = object->context;
	if (object != NULL)
		dynfdw_check(dyn_object_rows(object, &allocator, &rows, &nrows),
					 "rows of a key");
	dynfdw_pending(state->relation->serverid, state->relation->bucket, key,
				   curcid, &pending);
	for (uint32_t i = 0; i < nrows; i++)
	{
		if (pending.any && is_replaced(&pending, &rows[i]))
			continue;
		row.value = rows[i].version->value;
		row.version = rows[i].version;
		row.clock = &rows[i].clock;
		row.context = context;
		add_row(state, &row, 0);
	}
	row.version = NULL;
	row.clock = row.context = NULL;
	for (int i = 0; i < pending.nrows; i++)
	{
		row.value = copy_slice(dynfdw_pending_value(pending.rows[i]));
		add_row(state, &row, dynfdw_pending_id(pending.rows[i]));
	}
	for (int i = first; i < state->nrows; i++)
		state->rows[i].data.siblings = state->nrows - first;
}

static void
reset_rows(DynamoScanState *state)
{
	MemoryContextReset(state->batch);
	state->rows = NULL;
	state->nrows = state->next_row = state->row_capacity = 0;
}

static void
get_rows(DynamoScanState *state, const struct dyn_slice *keys, int count,
		 CommandId curcid)
{
	struct dyn_object *objects = palloc(count * sizeof(*objects));

	dynfdw_multi_get(dynfdw_cluster(state->relation->serverid,
									state->relation->userid),
					 state->relation->bucket, keys, count, &state->options,
					 &state->stats, objects);
	for (int i = 0; i < count; i++)
		add_key_rows(state, keys[i], &objects[i], curcid);
}

/* The next keys' rows, into an empty list. False when no key is left. */
static bool
more_by_keys(DynamoScanState *state, CommandId curcid)
{
	int			count = Min(KEYS_PER_GET, state->nkeys - state->next_key);

	if (count <= 0)
		return false;
	get_rows(state, state->keys + state->next_key, count, curcid);
	state->next_key += count;
	return true;
}

static void
tick_off(DynamoScanState *state, struct dyn_slice key)
{
	struct dyn_slice *found;

	if (state->npending == 0)
		return;
	found = bsearch(&key, state->pending, state->npending, sizeof(key),
					compare_keys);
	if (found != NULL)
		state->pending_met[found - state->pending] = true;
}

/*
 * Keys that only this transaction knew when the scan began.  Under an open
 * cursor a statement may have sent them since: then they are in the store,
 * perhaps in a part that the stream had passed.
 */
static bool
more_pending(DynamoScanState *state, CommandId curcid)
{
	struct dyn_slice *sent = palloc(KEYS_PER_GET * sizeof(*sent));
	int			nsent = 0;

	for (; state->next_pending < state->npending && nsent < KEYS_PER_GET;
		 state->next_pending++)
	{
		struct dyn_slice key = state->pending[state->next_pending];

		if (state->pending_met[state->next_pending])
			continue;
		if (!dynfdw_is_pending(state->relation->serverid,
							   state->relation->bucket, key))
			sent[nsent++] = key;
		else if (nsent > 0)
			break;
		else
		{
			add_key_rows(state, key, NULL, curcid);
			state->next_pending++;
			return true;
		}
	}
	if (nsent > 0)
		get_rows(state, sent, nsent, curcid);
	return nsent > 0;
}

static bool
more_by_stream(DynamoScanState *state, CommandId curcid)
{
	struct dyn_slice key;
	struct dyn_object object;

	if (state->scan == NULL)
		return false;
	if (!state->stream_ended && dynfdw_scan_next(state->scan, &key, &object))
	{
		tick_off(state, key);
		add_key_rows(state, key, &object, curcid);
		return true;
	}
	state->stream_ended = true;
	return more_pending(state, curcid);
}

TupleTableSlot *
dynamoIterateForeignScan(ForeignScanState *node)
{
	DynamoScanState *state = node->fdw_state;
	EState	   *estate = node->ss.ps.state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
	CommandId	curcid = estate->es_snapshot->curcid;
	ScanRow    *row;

	if (!state->begun)
		begin_run(node);
	while (state->next_row == state->nrows)
	{
		MemoryContext old;
		bool		more;

		reset_rows(state);
		old = MemoryContextSwitchTo(state->batch);
		more = state->by_keys ? more_by_keys(state, curcid)
			: more_by_stream(state, curcid);
		MemoryContextSwitchTo(old);
		if (!more)
			return ExecClearTuple(slot);
	}
	row = &state->rows[state->next_row++];
	dynfdw_fill_slot(state->relation, &row->data, slot);
	if (state->is_target)
		set_handle(find_handles(estate, state->relation->relid, true),
				   &row->data, row->pending, &slot->tts_tid);
	return slot;
}

void
dynamoReScanForeignScan(ForeignScanState *node)
{
	DynamoScanState *state = node->fdw_state;

	if (!state->begun)
		return;
	if (state->scan != NULL)
		dynfdw_scan_end(state->scan);
	reset_rows(state);
	MemoryContextReset(state->run);
	state->scan = NULL;
	state->keys = NULL;
	state->nkeys = state->key_capacity = state->next_key = 0;
	state->pending = NULL;
	state->npending = state->next_pending = 0;
	state->stream_ended = state->nothing = state->begun = false;
}

void
dynamoEndForeignScan(ForeignScanState *node)
{
	DynamoScanState *state = node->fdw_state;

	if (state == NULL)
		return;
	if (state->scan != NULL)
		dynfdw_scan_end(state->scan);
	MemoryContextDelete(state->batch);
	MemoryContextDelete(state->run);
}
