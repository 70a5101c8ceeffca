/*-------------------------------------------------------------------------
 *
 * xact.c
 *		Writes that the transaction has made and not sent.
 *
 * A journal: each write is kept with its command and subtransaction, under
 * its key.  What a command sees, and what is sent in the end, are computed by
 * going through a key's writes in order; rolling back a savepoint takes its
 * writes out.  At PRE_COMMIT each key becomes one put (one causal context,
 * the values that are left), and all are sent together.
 *
 * Dynamo has no atomicity over keys: when some puts are done and others are
 * not, the error 08007 says which.
 *
 *-------------------------------------------------------------------------
 */
#include "dynamo_fdw.h"

#include "connection.h"

#include "access/xact.h"
#include "foreign/foreign.h"
#include "lib/ilist.h"
#include "model/hash.h"
#include "storage/proc.h"
#include "utils/timeout.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

enum
{
	NAMED_KEYS_MAX = 10			/* in an error's detail */
};

typedef struct PendingKey
{
	dlist_node	in_order;		/* of first writes */
	struct PendingKey *next;	/* same hash */
	Oid			serverid;
	Oid			userid;
	int			w;
	int			timeout_ms;
	bool		at_statement;	/* goes with the statement, not at commit */
	struct dyn_slice bucket;
	struct dyn_slice key;
	dlist_head	writes;
} PendingKey;

struct DynamoWrite
{
	dlist_node	in_key;
	dlist_node	in_time;		/* of all writes */
	uint64		id;
	SubTransactionId subid;
	DynamoWriteSpec spec;
	bool		hidden;			/* scratch of fold() */
};

typedef struct HashEntry
{
	uint64		hash;
	PendingKey *keys;
} HashEntry;

static MemoryContext pending_context;	/* NULL: nothing is pending */
static HTAB *pending_hash;
static dlist_head pending_order;
static dlist_head pending_writes;	/* as they were made */
static Size pending_size;
static uint64 last_id;			/* never given twice, in no transaction */

/* ------------------------------------------------------------------ keeping */

static void
forget_all(void)
{
	if (pending_context != NULL)
		MemoryContextDelete(pending_context);
	pending_context = NULL;
	pending_hash = NULL;
	pending_size = 0;
	dlist_init(&pending_order);
	dlist_init(&pending_writes);
}

static void
ensure_context(void)
{
	HASHCTL		ctl = {.keysize = sizeof(uint64),.entrysize = sizeof(HashEntry)};

	if (pending_context != NULL)
		return;
	pending_context = AllocSetContextCreate(TopTransactionContext,
											"dynamo_fdw pending writes",
											ALLOCSET_DEFAULT_SIZES);
	ctl.hcxt = pending_context;
	pending_hash = hash_create("dynamo_fdw pending keys", 256, &ctl,
							   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	dlist_init(&pending_order);
	dlist_init(&pending_writes);
}

static PendingKey *
find_key(Oid serverid, struct dyn_slice bucket, struct dyn_slice key,
		 bool make)
{
	uint64		hash = dyn_hash_position(bucket, key) ^ serverid;
	HashEntry  *entry;
	PendingKey *pending;
	bool		found;

	if (pending_context == NULL)
		return NULL;
	entry = hash_search(pending_hash, &hash, make ? HASH_ENTER : HASH_FIND,
						&found);
	if (entry == NULL)
		return NULL;
	if (!found)
		entry->keys = NULL;
	for (pending = entry->keys; pending != NULL; pending = pending->next)
		if (pending->serverid == serverid &&
			dyn_slice_equal(pending->bucket, bucket) &&
			dyn_slice_equal(pending->key, key))
			return pending;
	if (!make)
		return NULL;
	pending = palloc0(sizeof(*pending));
	pending->next = entry->keys;
	entry->keys = pending;
	pending->serverid = serverid;
	dlist_init(&pending->writes);
	dlist_push_tail(&pending_order, &pending->in_order);
	return pending;
}

/* What is sent must not be found any more, however the sending ends: a write
 * added to it later would never be sent. */
static void
remove_key(PendingKey *key)
{
	uint64		hash = dyn_hash_position(key->bucket, key->key) ^ key->serverid;
	HashEntry  *entry = hash_search(pending_hash, &hash, HASH_FIND, NULL);
	PendingKey **link = &entry->keys;
	dlist_iter	iter;

	while (*link != key)
		link = &(*link)->next;
	*link = key->next;
	dlist_delete(&key->in_order);
	dlist_foreach(iter, &key->writes)
		dlist_delete(&dlist_container(DynamoWrite, in_key, iter.cur)->in_time);
	dlist_init(&key->writes);
}

static struct dyn_slice
copy_slice(struct dyn_slice bytes)
{
	uint8	   *copy = palloc(bytes.size + 1);

	if (bytes.size != 0)
		memcpy(copy, bytes.data, bytes.size);
	pending_size += bytes.size;
	return (struct dyn_slice) {copy, bytes.size};
}

Size
dynfdw_buffered_size(void)
{
	return pending_size;
}

/*
 * Has this command changed the row already?  A join may bring a row several
 * times; as everywhere in PostgreSQL only the first change counts.  (Two would
 * make two siblings of one.)  A row is known by its clock, as long as it is
 * pending by its write.  What its own trigger has changed is an error, as on
 * other tables.
 */
static bool
is_changed(PendingKey *key, const DynamoWriteSpec *spec)
{
	dlist_iter	iter;

	dlist_foreach(iter, &key->writes)
	{
		const DynamoWrite *write = dlist_container(DynamoWrite, in_key,
												   iter.cur);

		if (write->spec.cid < spec->cid ||
			write->spec.kind == DYNAMO_WRITE_INSERT ||
			write->spec.replaces != spec->replaces ||
			dyn_clock_sort_compare(&write->spec.context, &spec->context) != 0)
			continue;
		if (write->spec.cid > spec->cid)
			ereport(ERROR,
					(errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
					 errmsg("a row to be changed was already modified by an operation triggered by the current command"),
					 errhint("Consider using an AFTER trigger instead of a BEFORE trigger to propagate changes to other rows.")));
		return true;
	}
	return false;
}

bool
dynfdw_buffer_write(DynamoRelation *rel, const DynamoWriteSpec *spec)
{
	struct dyn_allocator allocator;
	MemoryContext old;
	PendingKey *key;
	DynamoWrite *write;

	ensure_context();
	if (spec->kind != DYNAMO_WRITE_INSERT)
	{
		key = find_key(rel->serverid, rel->bucket, spec->key, false);
		if (key != NULL && is_changed(key, spec))
			return false;
	}
	old = MemoryContextSwitchTo(pending_context);
	allocator = dynfdw_allocator(pending_context);
	key = find_key(rel->serverid, rel->bucket, spec->key, true);
	if (key->key.data == NULL)
	{
		key->bucket = copy_slice(rel->bucket);
		key->key = copy_slice(spec->key);
		key->userid = rel->userid;
	}
	key->w = rel->options.w;
	key->timeout_ms = rel->options.timeout_ms;
	key->at_statement |= rel->options.write_at_statement;
	write = palloc0(sizeof(*write));
	write->id = ++last_id;
	write->subid = GetCurrentSubTransactionId();
	write->spec = *spec;
	write->spec.key = key->key;
	if (spec->kind != DYNAMO_WRITE_DELETE)
		write->spec.value = copy_slice(spec->value);
	dynfdw_check(dyn_clock_copy(&spec->context, &allocator,
								&write->spec.context), "vclock");
	dlist_push_tail(&key->writes, &write->in_key);
	dlist_push_tail(&pending_writes, &write->in_time);
	pending_size += sizeof(*write);
	MemoryContextSwitchTo(old);
	return true;
}

/* ------------------------------------------------------------------ folding */

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

/* What is left of a key's writes before a command; in the current context. */
static void
fold(PendingKey *key, CommandId curcid, DynamoPending *out)
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
	PendingKey *pending = find_key(serverid, bucket, key, false);

	memset(out, 0, sizeof(*out));
	if (pending != NULL)
		fold(pending, curcid, out);
}

bool
dynfdw_is_pending(Oid serverid, struct dyn_slice bucket, struct dyn_slice key)
{
	return find_key(serverid, bucket, key, false) != NULL;
}

/* Copies: a statement in between may send the writes, and forget them. */
int
dynfdw_pending_keys(Oid serverid, struct dyn_slice bucket,
					struct dyn_slice **keys)
{
	int			count = 0;
	int			capacity = 16;
	dlist_iter	iter;

	*keys = NULL;
	if (pending_context == NULL)
		return 0;
	*keys = palloc(capacity * sizeof(**keys));
	dlist_foreach(iter, &pending_order)
	{
		PendingKey *key = dlist_container(PendingKey, in_order, iter.cur);

		if (key->serverid != serverid ||
			!dyn_slice_equal(key->bucket, bucket))
			continue;
		if (count == capacity)
		{
			capacity *= 2;
			*keys = repalloc_huge(*keys, capacity * sizeof(**keys));
		}
		(*keys)[count].data = memcpy(palloc(key->key.size), key->key.data,
									 key->key.size);
		(*keys)[count++].size = key->key.size;
	}
	return count;
}

struct dyn_slice
dynfdw_pending_value(const DynamoWrite *write)
{
	return write->spec.value;
}

uint64
dynfdw_pending_id(const DynamoWrite *write)
{
	return write->id;
}

/* ------------------------------------------------------------------ sending */

typedef struct Flush
{
	DynamoPut  *puts;
	bool	   *checked_creates;
	int			nputs;
	int			capacity;
} Flush;

static DynamoPut *
add_put(Flush *flush, const DynamoPut *put, bool checked_create)
{
	if (flush->nputs == flush->capacity)
	{
		flush->capacity = flush->capacity ? flush->capacity * 2 : 64;
		flush->puts = flush->puts
			? repalloc_huge(flush->puts, flush->capacity * sizeof(DynamoPut))
			: palloc(flush->capacity * sizeof(DynamoPut));
		flush->checked_creates = flush->checked_creates
			? repalloc_huge(flush->checked_creates, flush->capacity)
			: palloc(flush->capacity);
	}
	flush->checked_creates[flush->nputs] = checked_create;
	flush->puts[flush->nputs] = *put;
	return &flush->puts[flush->nputs++];
}

static DynamoPut *
new_put(Flush *flush, const PendingKey *key, bool checked_create)
{
	DynamoPut	put = {.bucket = key->bucket,.key = key->key};

	return add_put(flush, &put, checked_create);
}

static DynamoPutMode
fold_mode(PendingKey *key, bool *checked_create)
{
	DynamoPutMode mode = DYNAMO_PUT_SIBLING;
	dlist_iter	iter;

	*checked_create = false;
	dlist_foreach(iter, &key->writes)
	{
		DynamoWrite *write = dlist_container(DynamoWrite, in_key, iter.cur);

		*checked_create |= write->spec.is_checked_create;
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

/*
 * One put for a key; more only for equal values inserted twice, which one put
 * could not keep apart, and for very many values.  Those go when the first
 * has been applied: what it replaces or guards against must not be they.
 */
static void
fold_to_puts(Flush *flush, Flush *rest, PendingKey *key)
{
	DynamoPending state;
	bool		checked;
	DynamoPutMode mode = fold_mode(key, &checked);
	DynamoPut  *put;

	fold(key, InvalidCommandId, &state);
	if (!state.any || (state.nrows == 0 && mode != DYNAMO_PUT_REPLACE &&
					   dyn_clock_is_empty(&state.context)))
		return;
	/* What the transaction itself has deleted does not exist any more. */
	if (mode == DYNAMO_PUT_CREATE && !dyn_clock_is_empty(&state.context))
		mode = DYNAMO_PUT_GUARDED;
	put = new_put(flush, key, checked);
	put->mode = mode;
	put->context = state.context;
	put->values = palloc(Min(state.nrows, DYN_VALUES_MAX) *
						 sizeof(struct dyn_slice) + 1);
	for (int i = 0; i < state.nrows; i++)
	{
		struct dyn_slice value = state.rows[i]->spec.value;
		bool		twin = false;
		bool		may_be = state.rows[i]->spec.kind == DYNAMO_WRITE_UPDATE;

		for (int j = 0; may_be && j < i && !twin; j++)
			twin = same_version(state.rows[j], state.rows[i]);
		if (twin)
			continue;
		if (has_value(put, value) || put->nvalues == DYN_VALUES_MAX)
		{
			put = new_put(rest, key, false);
			put->values = palloc(DYN_VALUES_MAX * sizeof(struct dyn_slice));
		}
		put->values[put->nvalues++] = value;
	}
}

static void
list_keys(StringInfo out, const Flush *flush, const char *title,
		  bool (*belongs) (const DynamoPut *put))
{
	int			count = 0;
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < flush->nputs; i++)
	{
		if (!belongs(&flush->puts[i]))
			continue;
		if (count++ < NAMED_KEYS_MAX)
			appendStringInfo(&names, "%s%s", names.len ? ", " : "",
							 dynfdw_key_text(flush->puts[i].key));
	}
	appendStringInfo(out, "%s%s: %d", out->len ? "; " : "", title, count);
	if (count > 0)
		appendStringInfo(out, " (%s%s)", names.data,
						 count > NAMED_KEYS_MAX ? ", ..." : "");
}

static bool
is_applied(const DynamoPut *put)
{
	return put->status == DYN_STATUS_OK;
}

static bool
is_unknown(const DynamoPut *put)
{
	return put->status == DYN_STATUS_UNKNOWN;
}

static bool
is_refused(const DynamoPut *put)
{
	return !is_applied(put) && !is_unknown(put);
}

static void
raise_outcome(DynamoCluster *cluster, const Flush *flush)
{
	const DynamoPut *first = NULL;
	int			applied = 0;
	StringInfoData detail;

	for (int i = 0; i < flush->nputs; i++)
	{
		if (is_applied(&flush->puts[i]))
			applied++;
		else if (first == NULL || (is_unknown(&flush->puts[i]) &&
								   !is_unknown(first)))
			first = &flush->puts[i];
	}
	if (first == NULL)
		return;
	if (applied == 0 && flush->nputs == 1)
	{
		/* It did not exist when the statement looked. */
		if (first->status == DYN_STATUS_EXISTS && flush->checked_creates[0])
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("key \"%s\" was created by somebody else meanwhile",
							dynfdw_key_text(first->key)),
					 errhint("Repeat the transaction.")));
		if (first->status == DYN_STATUS_EXISTS)
			ereport(ERROR,
					(errcode(ERRCODE_UNIQUE_VIOLATION),
					 errmsg("key \"%s\" exists already", dynfdw_key_text(first->key))));
		dynfdw_put_error(cluster, first);
	}
	initStringInfo(&detail);
	list_keys(&detail, flush, "Applied", is_applied);
	list_keys(&detail, flush, "unknown", is_unknown);
	list_keys(&detail, flush, "not applied", is_refused);
	ereport(ERROR,
			(errcode(applied || is_unknown(first)
					 ? ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN
					 : dynfdw_sqlstate(first->status)),
			 errmsg("not all writes reached the cluster: %s",
					dyn_status_text(first->status)),
			 errdetail("%s. First failure: %s.", detail.data,
					   first->text ? first->text
					   : dyn_status_text(first->status)),
			 errhint("Writes are not atomic over several keys: read these keys before writing them again.")));
}

/* Keys of one server and one way of asking go together. */
static bool
goes_with(const PendingKey *a, const PendingKey *b)
{
	return a->serverid == b->serverid && a->userid == b->userid &&
		a->w == b->w && a->timeout_ms == b->timeout_ms;
}

/* Send, the rest only after everything else was applied; `flush` has the
 * outcomes of all. */
static void
send_puts(DynamoCluster *cluster, Flush *flush, Flush *rest,
		  const DynamoRequestOptions *options, DynamoRequestStats *stats)
{
	bool		applied = true;

	dynfdw_multi_put(cluster, flush->puts, flush->nputs, options, stats);
	if (rest->nputs == 0)
		return;
	for (int i = 0; i < flush->nputs; i++)
		applied &= is_applied(&flush->puts[i]);
	if (applied)
		dynfdw_multi_put(cluster, rest->puts, rest->nputs, options, stats);
	for (int i = 0; i < rest->nputs; i++)
	{
		if (!applied)
			rest->puts[i].status = DYN_STATUS_ABORTED;
		add_put(flush, &rest->puts[i], false);
	}
}

static void
send_group(PendingKey *lead, bool at_statement, DynamoRequestStats *stats)
{
	DynamoCluster *cluster;
	DynamoRequestOptions options = {.w = lead->w,
	.timeout_ms = lead->timeout_ms};
	Flush		flush = {0};
	Flush		rest = {0};
	dlist_mutable_iter iter;

	if (GetForeignServerExtended(lead->serverid, FSV_MISSING_OK) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the transaction has dropped a foreign server that it had written to"),
				 errhint("Its writes would be sent at commit: drop the server in the next transaction.")));
	cluster = dynfdw_cluster(lead->serverid, lead->userid);
	/* statement_timeout does not reach into commit: keep its promise here. */
	options.limit_ms = StatementTimeout;
	dlist_foreach_modify(iter, &pending_order)
	{
		PendingKey *key = dlist_container(PendingKey, in_order, iter.cur);

		if (key != lead && ((at_statement && !key->at_statement) ||
							!goes_with(key, lead)))
			continue;
		fold_to_puts(&flush, &rest, key);
		if (key != lead)
			remove_key(key);
	}
	remove_key(lead);
	send_puts(cluster, &flush, &rest, &options, stats);
	raise_outcome(cluster, &flush);
}

/* The first key that goes now, or NULL. */
static PendingKey *
first_to_send(bool at_statement)
{
	dlist_iter	iter;

	dlist_foreach(iter, &pending_order)
	{
		PendingKey *key = dlist_container(PendingKey, in_order, iter.cur);

		if (key->at_statement || !at_statement)
			return key;
	}
	return NULL;
}

void
dynfdw_flush(bool at_statement, DynamoRequestStats *stats)
{
	MemoryContext old;
	DynamoRequestStats own = {0};
	PendingKey *lead;

	if (pending_context == NULL)
		return;
	if (stats == NULL)
		stats = &own;
	old = MemoryContextSwitchTo(pending_context);
	while ((lead = first_to_send(at_statement)) != NULL)
		send_group(lead, at_statement, stats);
	MemoryContextSwitchTo(old);
	pending_size = 0;
	if (dlist_is_empty(&pending_order))
		forget_all();
	elog(DEBUG1,
		 "dynamo_fdw: sent " UINT64_FORMAT " writes in " UINT64_FORMAT
		 " round trips, " UINT64_FORMAT " messages",
		 stats->keys, stats->round_trips, stats->messages);
}

/* -------------------------------------------------------------- transactions */

static void
at_xact(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			dynfdw_flush(false, NULL);
			break;
		case XACT_EVENT_PRE_PREPARE:
			if (pending_context != NULL && !dlist_is_empty(&pending_order))
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot PREPARE a transaction that has written to a Dynamo cluster"),
						 errhint("Dynamo cannot promise to commit later: use COMMIT.")));
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			/* The memory goes with the transaction's. */
			pending_context = NULL;
			forget_all();
			break;
		default:
			break;
	}
}

static void
at_subxact(SubXactEvent event, SubTransactionId subid,
		   SubTransactionId parent, void *arg)
{
	dlist_node *node;
	dlist_node *before;

	if (pending_context == NULL || (event != SUBXACT_EVENT_ABORT_SUB &&
									event != SUBXACT_EVENT_COMMIT_SUB))
		return;
	/* Its writes are the last ones: those of subtransactions within it have
	 * become its own, or are gone. */
	for (node = pending_writes.head.prev; node != &pending_writes.head;
		 node = before)
	{
		DynamoWrite *write = dlist_container(DynamoWrite, in_time, node);

		before = node->prev;
		if (write->subid != subid)
			break;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			write->subid = parent;
		else
		{
			dlist_delete(&write->in_key);
			dlist_delete(&write->in_time);
		}
	}
}

void
dynfdw_xact_init(void)
{
	dlist_init(&pending_order);
	dlist_init(&pending_writes);
	RegisterXactCallback(at_xact, NULL);
	RegisterSubXactCallback(at_subxact, NULL);
}
