/*-------------------------------------------------------------------------
 *
 * flush.c
 *		Unsent writes on their way, in groups that share one outcome.
 *
 *-------------------------------------------------------------------------
 */
#include "journal.h"

#include "connection.h"

#include "foreign/foreign.h"
#include "miscadmin.h"
#include "storage/predicate.h"
#include "storage/proc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/* ---------------------------------------------------------------- collecting */

/* Keys of one server and one way of asking go together. */
static bool
goes_with(const PendingKey *a, const PendingKey *b)
{
	return a->serverid == b->serverid && a->userid == b->userid &&
		a->w == b->w && a->timeout_ms == b->timeout_ms;
}

static FlushGroup *
group_of(Flush *flush, const PendingKey *key)
{
	FlushGroup **link = &flush->groups;
	ForeignServer *server;

	for (; *link != NULL; link = &(*link)->next)
		if (goes_with((*link)->lead, key))
			return *link;
	server = GetForeignServerExtended(key->serverid, FSV_MISSING_OK);
	if (server == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the transaction has dropped a foreign server that it had written to"),
				 errhint("Its writes would be sent at commit: drop the server in the next transaction.")));
	*link = palloc0(sizeof(**link));
	(*link)->lead = key;
	(*link)->server = server->servername;
	(*link)->cluster = dynfdw_cluster(key->serverid, key->userid);
	return *link;
}

/* Names are looked up before anything is sent: the catalog must not be asked
 * once something is stored, for that may fail. */
static void
name_table(PendingKey *key, const PendingKey *before)
{
	if (before != NULL && before->relid == key->relid)
	{
		key->table = before->table;
		return;
	}
	key->table = get_rel_name(key->relid);
	if (key->table == NULL)
		key->table = dynfdw_key_text(key->bucket);
}

static void
add_key(Flush *flush, PendingKey *key)
{
	FlushGroup *group = group_of(flush, key);

	if (flush->nkeys == flush->capacity)
	{
		flush->capacity = flush->capacity ? flush->capacity * 2 : 64;
		flush->keys = flush->keys
			? repalloc_huge(flush->keys, flush->capacity * sizeof(PendingKey *))
			: palloc(flush->capacity * sizeof(PendingKey *));
	}
	name_table(key, flush->nkeys ? flush->keys[flush->nkeys - 1] : NULL);
	flush->keys[flush->nkeys++] = key;
	dynfdw_fold_to_puts(&group->puts, &group->rest, key);
}

/* One of its writes takes the others along: they are one put. */
static bool
goes_at_statement(PendingKey *key)
{
	dlist_iter	iter;

	dlist_foreach(iter, &key->writes)
		if (dlist_container(DynamoWrite, in_key, iter.cur)->at_statement)
			return true;
	return false;
}

/* Nothing is taken out of the journal before all of it was looked at. */
static void
collect(Flush *flush, bool at_statement)
{
	dlist_iter	iter;

	dlist_foreach(iter, &dynfdw_journal_keys)
	{
		PendingKey *key = dlist_container(PendingKey, in_order, iter.cur);

		if (!at_statement || goes_at_statement(key))
			add_key(flush, key);
	}
	for (int i = 0; i < flush->nkeys; i++)
		dynfdw_journal_remove(flush->keys[i]);
}

static bool
has_puts(const Flush *flush)
{
	for (const FlushGroup *group = flush->groups; group; group = group->next)
		if (group->puts.nputs > 0)
			return true;
	return false;
}

/* ------------------------------------------------------------------- sending */

/* False when statement_timeout says that it is over. */
static bool
time_is_left(Flush *flush, DynamoRequestOptions *options)
{
	if (flush->limit == DYNAMO_NEVER)
		return true;
	options->limit_ms = (int) dynfdw_ms_until(dynfdw_now(), flush->limit);
	return options->limit_ms > 0;
}

static bool
are_applied(const DynamoPutList *list)
{
	for (int i = 0; i < list->nputs; i++)
		if (list->puts[i].status != DYN_STATUS_OK)
			return false;
	return true;
}

/* The rest only after everything else was applied. */
static void
send_puts(Flush *flush, FlushGroup *group, DynamoRequestStats *stats)
{
	DynamoRequestOptions options = {.w = group->lead->w,
	.timeout_ms = group->lead->timeout_ms};

	if (!time_is_left(flush, &options))
		return;
	dynfdw_multi_put(group->cluster, group->puts.puts, group->puts.nputs,
					 &options, stats);
	if (group->rest.nputs > 0 && are_applied(&group->puts) &&
		time_is_left(flush, &options))
		dynfdw_multi_put(group->cluster, group->rest.puts, group->rest.nputs,
						 &options, stats);
}

/* Does the error say something of this backend, not of a server? */
static bool
ends_everything(const ErrorData *error)
{
	int			category = ERRCODE_TO_CATEGORY(error->sqlerrcode);

	return category == ERRCODE_OPERATOR_INTERVENTION ||
		category == ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE ||
		category == ERRCODE_TRANSACTION_ROLLBACK ||
		category == ERRCODE_INSUFFICIENT_RESOURCES;
}

/*
 * An error is kept, not passed on: what it means depends on what else was
 * stored.  The transaction fails in any case, and nothing was touched that
 * would have to be cleaned up before.  Termination does not come back here.
 */
static void
send_group(Flush *flush, FlushGroup *group, DynamoRequestStats *stats)
{
	PG_TRY();
	{
		send_puts(flush, group, stats);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(flush->context);
		group->error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	if (group->error != NULL && ends_everything(group->error))
		flush->interrupt = group->error;
}

/* All groups are tried, as all keys of one group are. */
static void
send_groups(Flush *flush, DynamoRequestStats *stats)
{
	DynamoRequestOptions unused;

	dynfdw_outcome_watch(flush);
	for (FlushGroup *group = flush->groups;
		 group != NULL && flush->interrupt == NULL; group = group->next)
	{
		send_group(flush, group, stats);
		if (!time_is_left(flush, &unused) &&
			(group->error != NULL || !are_applied(&group->puts) ||
			 !are_applied(&group->rest)))
			flush->out_of_time = true;
	}
	dynfdw_raise_outcome(flush);
	dynfdw_outcome_keep(flush);
	dynfdw_outcome_watch(NULL);
}

void
dynfdw_flush(bool at_statement, DynamoRequestStats *stats)
{
	MemoryContext context;
	MemoryContext old;
	DynamoRequestStats own = {0};
	Flush	   *flush;

	if (dynfdw_journal_context() == NULL)
		return;
	if (stats == NULL)
		stats = &own;
	context = AllocSetContextCreate(TopTransactionContext,
									"dynamo_fdw writes to send",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	flush = palloc0(sizeof(*flush));
	flush->context = context;
	/* It does not reach into commit: keep its promise here. */
	flush->limit = at_statement || StatementTimeout == 0 ? DYNAMO_NEVER
		: dynfdw_after(dynfdw_now(), StatementTimeout);
	collect(flush, at_statement);
	if (has_puts(flush))
	{
		/* The last moment at which PostgreSQL may still say no. */
		if (!at_statement)
			PreCommit_CheckForSerializationFailure();
		send_groups(flush, stats);
	}
	MemoryContextSwitchTo(old);
	dynfdw_journal_sent(flush->keys, flush->nkeys);
	MemoryContextDelete(context);
	elog(DEBUG1,
		 "dynamo_fdw: sent " UINT64_FORMAT " writes in " UINT64_FORMAT
		 " round trips, " UINT64_FORMAT " messages",
		 stats->keys, stats->round_trips, stats->messages);
}
