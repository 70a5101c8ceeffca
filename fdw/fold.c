/*-------------------------------------------------------------------------
 *
 * fold.c
 *		What is left of a key's writes: rows for a command, puts in the end.
 *
 *-------------------------------------------------------------------------
 */
#include "journal.h"

#include "connection.h"

/* -------------------------------------------------------------------- rows */

/* Does this write replace an earlier pending row? */
static bool
replaces(const DynamoWrite *write, const DynamoWrite *earlier)
{
	if (write->spec.kind != DYNAMO_WRITE_INSERT)
		return write->spec.replaces == earlier->id;
	/* An INSERT that covers something, or everything: what its command could
	 * see. */
	return earlier->spec.cid < write->spec.cid &&
		(write->spec.mode == DYNAMO_PUT_REPLACE ||
		 !dyn_clock_is_empty(&write->spec.context));
}

static void
hide_replaced(PendingKey *key, DynamoWrite *write)
{
	dlist_iter	iter;

	/* Most writes replace nothing: a key may have thousands. */
	if (write->spec.kind == DYNAMO_WRITE_INSERT
		? write->spec.mode != DYNAMO_PUT_REPLACE &&
		dyn_clock_is_empty(&write->spec.context)
		: write->spec.replaces == 0)
		return;
	dlist_foreach(iter, &key->writes)
	{
		DynamoWrite *earlier = dlist_container(DynamoWrite, in_key, iter.cur);

		if (earlier == write)
			break;
		if (replaces(write, earlier))
			earlier->hidden = true;
	}
}

void
dynfdw_fold(PendingKey *key, CommandId curcid, DynamoPending *out)
{
	struct dyn_allocator allocator = dynfdw_allocator(CurrentMemoryContext);
	dlist_iter	iter;
	int			capacity = 0;

	memset(out, 0, sizeof(*out));
	dlist_foreach(iter, &key->writes)
	{
		DynamoWrite *write = dlist_container(DynamoWrite, in_key, iter.cur);

		write->hidden = write->spec.kind == DYNAMO_WRITE_DELETE;
		if (write->spec.cid >= curcid)
			continue;
		out->any = true;
		hide_replaced(key, write);
		if (write->spec.mode == DYNAMO_PUT_REPLACE)
			out->hides_all = true;
		if (!dyn_clock_is_empty(&write->spec.context))
			dynfdw_check(dyn_clock_union(&out->context, &write->spec.context,
										 &allocator, &out->context), "vclock");
		capacity++;
	}
	out->rows = palloc((capacity + 1) * sizeof(*out->rows));
	dlist_foreach(iter, &key->writes)
	{
		DynamoWrite *write = dlist_container(DynamoWrite, in_key, iter.cur);

		if (!write->hidden && write->spec.cid < curcid)
			out->rows[out->nrows++] = write;
	}
}

void
dynfdw_pending(Oid serverid, struct dyn_slice bucket, struct dyn_slice key,
			   CommandId curcid, DynamoPending *out)
{
	PendingKey *pending = dynfdw_journal_find(serverid, bucket, key);

	memset(out, 0, sizeof(*out));
	if (pending != NULL)
		dynfdw_fold(pending, curcid, out);
}

/* -------------------------------------------------------------------- puts */

static DynamoPut *
new_put(DynamoPutList *list, PendingKey *key, int nvalues)
{
	DynamoPut  *put;

	if (list->nputs == list->capacity)
	{
		list->capacity = list->capacity ? list->capacity * 2 : 64;
		list->puts = list->puts
			? repalloc_huge(list->puts, list->capacity * sizeof(DynamoPut))
			: palloc(list->capacity * sizeof(DynamoPut));
		list->keys = list->keys
			? repalloc_huge(list->keys, list->capacity * sizeof(PendingKey *))
			: palloc(list->capacity * sizeof(PendingKey *));
	}
	list->keys[list->nputs] = key;
	put = &list->puts[list->nputs++];
	memset(put, 0, sizeof(*put));
	put->bucket = key->bucket;
	put->key = key->key;
	put->status = DYN_STATUS_ABORTED;
	put->values = palloc(Max(1, nvalues) * sizeof(struct dyn_slice));
	return put;
}

static DynamoPutMode
fold_mode(PendingKey *key)
{
	DynamoPutMode mode = DYNAMO_PUT_SIBLING;
	dlist_iter	iter;

	key->or_nothing = false;
	dlist_foreach(iter, &key->writes)
	{
		DynamoWrite *write = dlist_container(DynamoWrite, in_key, iter.cur);

		key->or_nothing |= write->spec.or_nothing;
		if (write->spec.mode == DYNAMO_PUT_REPLACE)
			mode = DYNAMO_PUT_REPLACE;
		else if (write->spec.mode == DYNAMO_PUT_CREATE &&
				 mode != DYNAMO_PUT_REPLACE)
			mode = DYNAMO_PUT_CREATE;
		else if (write->spec.mode == DYNAMO_PUT_GUARDED &&
				 mode == DYNAMO_PUT_SIBLING)
			mode = DYNAMO_PUT_GUARDED;
	}
	return mode;
}

/*
 * Two rows of one UPDATE with one value are one version (in one command the
 * rows of a key share a context, the write set is the distinct values); two
 * INSERTs of one value are two.
 */
static bool
same_version(const DynamoWrite *a, const DynamoWrite *b)
{
	return a->spec.kind == DYNAMO_WRITE_UPDATE &&
		b->spec.kind == DYNAMO_WRITE_UPDATE && a->spec.cid == b->spec.cid &&
		dyn_slice_equal(a->spec.value, b->spec.value);
}

static bool
has_value(const DynamoPut *put, struct dyn_slice value)
{
	for (int i = 0; i < put->nvalues; i++)
		if (dyn_slice_equal(put->values[i], value))
			return true;
	return false;
}

/* The rows that are left, without twins, at the beginning of state->rows. */
static void
drop_twins(DynamoPending *state)
{
	int			kept = 0;

	for (int i = 0; i < state->nrows; i++)
	{
		bool		twin = false;

		for (int j = 0; j < kept && !twin &&
			 state->rows[i]->spec.kind == DYNAMO_WRITE_UPDATE; j++)
			twin = same_version(state->rows[j], state->rows[i]);
		if (!twin)
			state->rows[kept++] = state->rows[i];
	}
	state->nrows = kept;
}

/* What no node would take is not sent, and nothing else with it. */
static void
check_rows(const PendingKey *key, const DynamoPending *state)
{
	Size		size = 0;

	if (state->nrows > DYN_VALUES_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("key \"%s\" of table \"%s\" would get %d rows at once, of at most %d",
						dynfdw_key_text(key->key), key->table, state->nrows,
						DYN_VALUES_MAX),
				 errdetail("None of these writes was sent.")));
	for (int i = 0; i < state->nrows; i++)
		size += state->rows[i]->spec.value.size;
	if (size > DYN_OBJECT_SIZE_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the rows of key \"%s\" of table \"%s\" would have %zu bytes together, of at most %d",
						dynfdw_key_text(key->key), key->table, size,
						DYN_OBJECT_SIZE_MAX),
				 errdetail("None of these writes was sent.")));
}

/*
 * One put for a key; more only for equal values inserted twice, which one put
 * could not keep apart.  Those go when the first has been applied: what it
 * replaces or guards against must not be they.
 */
void
dynfdw_fold_to_puts(DynamoPutList *puts, DynamoPutList *rest,
					PendingKey *key)
{
	DynamoPending state;
	DynamoPutMode mode = fold_mode(key);
	DynamoPut  *put;

	dynfdw_fold(key, InvalidCommandId, &state);
	if (!state.any || (state.nrows == 0 && mode != DYNAMO_PUT_REPLACE &&
					   dyn_clock_is_empty(&state.context)))
		return;
	drop_twins(&state);
	check_rows(key, &state);
	/* What the transaction itself has deleted does not exist any more. */
	if (mode == DYNAMO_PUT_CREATE && !dyn_clock_is_empty(&state.context))
		mode = DYNAMO_PUT_GUARDED;
	put = new_put(puts, key, state.nrows);
	put->mode = mode;
	put->context = state.context;
	for (int i = 0; i < state.nrows; i++)
	{
		struct dyn_slice value = state.rows[i]->spec.value;

		if (has_value(put, value))
			put = new_put(rest, key, state.nrows - i);
		put->values[put->nvalues++] = value;
	}
}
