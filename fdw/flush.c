/*-------------------------------------------------------------------------
 *
 * flush.c
 *		Unsent writes on their way: in groups, and what has become of them.
 *
 *-------------------------------------------------------------------------
 */
#include "journal.h"

#include "connection.h"

#include "foreign/foreign.h"
#include "storage/proc.h"
#include "utils/memutils.h"

enum
{
	NAMED_KEYS_MAX = 10			/* in an error's detail */
};

/* ----------------------------------------------------------------- outcomes */

static void
list_keys(StringInfo out, const DynamoPutList *flush, const char *title,
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
raise_outcome(DynamoCluster *cluster, const DynamoPutList *flush)
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

/* ------------------------------------------------------------------ sending */

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
send_puts(DynamoCluster *cluster, DynamoPutList *flush, DynamoPutList *rest,
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
		dynfdw_add_put(flush, &rest->puts[i], false);
	}
}

static void
send_group(PendingKey *lead, bool at_statement, DynamoRequestStats *stats)
{
	DynamoCluster *cluster;
	DynamoRequestOptions options = {.w = lead->w,
	.timeout_ms = lead->timeout_ms};
	DynamoPutList flush = {0};
	DynamoPutList rest = {0};
	dlist_mutable_iter iter;

	if (GetForeignServerExtended(lead->serverid, FSV_MISSING_OK) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the transaction has dropped a foreign server that it had written to"),
				 errhint("Its writes would be sent at commit: drop the server in the next transaction.")));
	cluster = dynfdw_cluster(lead->serverid, lead->userid);
	/* statement_timeout does not reach into commit: keep its promise here. */
	options.limit_ms = StatementTimeout;
	dlist_foreach_modify(iter, &dynfdw_journal_keys)
	{
		PendingKey *key = dlist_container(PendingKey, in_order, iter.cur);

		if (key != lead && ((at_statement && !key->at_statement) ||
							!goes_with(key, lead)))
			continue;
		dynfdw_fold_to_puts(&flush, &rest, key);
		if (key != lead)
			dynfdw_journal_remove(key);
	}
	dynfdw_journal_remove(lead);
	send_puts(cluster, &flush, &rest, &options, stats);
	raise_outcome(cluster, &flush);
}

/* The first key that goes now, or NULL. */
static PendingKey *
first_to_send(bool at_statement)
{
	dlist_iter	iter;

	dlist_foreach(iter, &dynfdw_journal_keys)
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

	if (dynfdw_journal_context() == NULL)
		return;
	if (stats == NULL)
		stats = &own;
	old = MemoryContextSwitchTo(dynfdw_journal_context());
	while ((lead = first_to_send(at_statement)) != NULL)
		send_group(lead, at_statement, stats);
	MemoryContextSwitchTo(old);
	dynfdw_journal_sent();
	elog(DEBUG1,
		 "dynamo_fdw: sent " UINT64_FORMAT " writes in " UINT64_FORMAT
		 " round trips, " UINT64_FORMAT " messages",
		 stats->keys, stats->round_trips, stats->messages);
}
