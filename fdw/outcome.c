/*-------------------------------------------------------------------------
 *
 * outcome.c
 *		What has become of the writes of a transaction, in words.
 *
 * Whoever gets a definite error repeats the transaction, so it means that
 * nothing of it is stored, on no server.  Otherwise the error is 08007,
 * whatever the cause; the cause is named.
 *
 *-------------------------------------------------------------------------
 */
#include "journal.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"

enum
{
	NAMED_KEYS_MAX = 10			/* in an error's detail */
};

/* ------------------------------------------------------------- lists of keys */

typedef struct KeyList
{
	int			count;
	int			named;			/* of them, in names */
	const char *table;			/* of the last name; NULL: name it anew */
	StringInfoData names;
} KeyList;

static void
add_key(KeyList *list, const PendingKey *key)
{
	if (list->count++ >= NAMED_KEYS_MAX)
		return;
	list->named++;
	if (list->names.data == NULL)
		initStringInfo(&list->names);
	if (list->table == NULL || strcmp(list->table, key->table) != 0)
		appendStringInfo(&list->names, "%s%s: ", list->names.len ? "; " : "",
						 key->table);
	else
		appendStringInfoString(&list->names, ", ");
	appendStringInfoString(&list->names, dynfdw_key_text(key->key));
	list->table = key->table;
}

/* One list is another one's, too, whose memory goes. */
static void
move_list(KeyList *to, KeyList *from)
{
	if (from->named > 0 && to->count < NAMED_KEYS_MAX)
	{
		if (to->names.data == NULL)
			initStringInfo(&to->names);
		appendStringInfo(&to->names, "%s%s", to->named ? "; " : "",
						 from->names.data);
		to->named += from->named;
		to->table = NULL;
	}
	to->count += from->count;
	if (from->names.data != NULL)
		pfree(from->names.data);
	memset(from, 0, sizeof(*from));
}

static void
move_lists(KeyList to[KEY_OUTCOMES], KeyList from[KEY_OUTCOMES])
{
	for (int i = 0; i < KEY_OUTCOMES; i++)
		move_list(&to[i], &from[i]);
}

static void
print_list(StringInfo out, const char *title, const KeyList *list)
{
	appendStringInfo(out, "%s%s: %d", out->len ? "; " : "", title,
					 list->count);
	if (list->count > 0)
		appendStringInfo(out, " (%s%s)", list->names.data,
						 list->count > list->named ? ", ..." : "");
}

/* ----------------------------------------------------------------- outcomes */

static bool
is_conflict(const DynamoPut *put)
{
	return put->status == DYN_STATUS_CONFLICT ||
		put->status == DYN_STATUS_EXISTS;
}

static void
judge(const DynamoPutList *list)
{
	for (int i = 0; i < list->nputs; i++)
	{
		PendingKey *key = list->keys[i];
		KeyOutcome	outcome = list->puts[i].status == DYN_STATUS_OK ? KEY_APPLIED
			: list->puts[i].status == DYN_STATUS_UNKNOWN ? KEY_UNKNOWN
			: KEY_REFUSED;

		if (key->outcome == KEY_NOTHING || outcome == KEY_UNKNOWN)
			key->outcome = outcome;
		else if (key->outcome != KEY_UNKNOWN && key->outcome != outcome)
			key->outcome = KEY_IN_PART;
	}
}

static void
judge_all(Flush *flush)
{
	for (int i = 0; i < flush->nkeys; i++)
		flush->keys[i]->outcome = KEY_NOTHING;
	for (const FlushGroup *group = flush->groups; group; group = group->next)
	{
		judge(&group->puts);
		judge(&group->rest);
	}
}

static void
list_outcomes(const Flush *flush, KeyList lists[KEY_OUTCOMES])
{
	for (int i = 0; i < flush->nkeys; i++)
		add_key(&lists[flush->keys[i]->outcome], flush->keys[i]);
}

/* How many keys have something in the store, or may have. */
static int
count_stored(const KeyList lists[KEY_OUTCOMES])
{
	return lists[KEY_APPLIED].count + lists[KEY_IN_PART].count +
		lists[KEY_UNKNOWN].count;
}

static const char *
print_outcomes(const KeyList lists[KEY_OUTCOMES])
{
	StringInfoData out;

	initStringInfo(&out);
	print_list(&out, "Applied", &lists[KEY_APPLIED]);
	if (lists[KEY_IN_PART].count > 0)
		print_list(&out, "applied in part", &lists[KEY_IN_PART]);
	print_list(&out, "unknown", &lists[KEY_UNKNOWN]);
	print_list(&out, "not applied", &lists[KEY_REFUSED]);
	return out.data;
}

/* -------------------------------------------------------------------- causes */

/* The first failure of a kind: a put, or what ended a group (put NULL). */
typedef struct Failure
{
	const FlushGroup *group;	/* NULL: there is none */
	const DynamoPut *put;
	const PendingKey *key;
} Failure;

static Failure
find_put(const Flush *flush, bool (*is_it) (const DynamoPut *put))
{
	for (const FlushGroup *group = flush->groups; group; group = group->next)
	{
		const DynamoPutList *lists[] = {&group->puts, &group->rest};

		for (int l = 0; l < lengthof(lists); l++)
			for (int i = 0; i < lists[l]->nputs; i++)
				if (is_it(&lists[l]->puts[i]))
					return (Failure)
				{
					group, &lists[l]->puts[i], lists[l]->keys[i]
				};
	}
	return (Failure) {0};
}

static bool
is_unknown(const DynamoPut *put)
{
	return put->status == DYN_STATUS_UNKNOWN;
}

/* Not merely not sent, because of another failure. */
static bool
is_answered_no(const DynamoPut *put)
{
	return put->status != DYN_STATUS_OK && put->status != DYN_STATUS_ABORTED;
}

static bool
is_not_applied(const DynamoPut *put)
{
	return put->status != DYN_STATUS_OK;
}

static Failure
find_failure(const Flush *flush)
{
	Failure		failure;

	for (const FlushGroup *group = flush->groups; group; group = group->next)
		if (group->error != NULL)
			return (Failure) {.group = group};
	failure = find_put(flush, is_unknown);
	if (failure.group == NULL)
		failure = find_put(flush, is_answered_no);
	return failure.group ? failure : find_put(flush, is_not_applied);
}

/* ---------------------------------------------------------- definite errors */

static void
raise_put(const Flush *flush, const Failure *failure)
{
	const char *key = dynfdw_key_text(failure->key->key);
	const char *table = failure->key->table;
	const char *text = failure->put->text;

	/* The statement has counted the row, and may not have: who repeats the
	 * transaction is told that nothing was done. */
	if (failure->put->status == DYN_STATUS_EXISTS && failure->key->or_nothing)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("key \"%s\" of table \"%s\" was created by somebody else meanwhile",
						key, table),
				 errhint("Repeat the transaction.")));
	if (failure->put->status == DYN_STATUS_EXISTS)
		ereport(ERROR,
				(errcode(ERRCODE_UNIQUE_VIOLATION),
				 errmsg("key \"%s\" of table \"%s\" exists already", key,
						table),
				 errdetail("Somebody else has created it meanwhile.")));
	if (flush->nkeys > 1)
		text = psprintf("%s. Nothing of the other keys is stored either",
						text ? text : dyn_status_text(failure->put->status));
	dynfdw_raise(failure->put->status,
				 psprintf("could not write key \"%s\" of table \"%s\"", key,
						  table), text);
}

static void
raise_timeout(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_QUERY_CANCELED),
			 errmsg("canceling statement due to statement timeout"),
			 errdetail("Nothing was stored.")));
}

/* Nothing is stored anywhere. */
static void
raise_definite(const Flush *flush)
{
	Failure		failure = find_put(flush, is_conflict);

	if (flush->interrupt != NULL)
		ReThrowError(flush->interrupt);
	if (flush->out_of_time)
		raise_timeout();
	/* Whoever repeats the transaction will hear of the others. */
	if (failure.group == NULL)
		failure = find_failure(flush);
	if (failure.group == NULL)
		return;
	if (failure.put == NULL)
		ReThrowError(failure.group->error);
	raise_put(flush, &failure);
}

/* ------------------------------------------------------- outcomes in part */

static void
raise_in_part(const Flush *flush, const char *lists)
{
	Failure		failure = find_failure(flush);
	const ErrorData *error = failure.group ? failure.group->error : NULL;
	StringInfoData cause;
	StringInfoData detail;

	initStringInfo(&cause);
	initStringInfo(&detail);
	appendStringInfo(&detail, "%s.", lists);
	if (flush->interrupt != NULL)
	{
		error = flush->interrupt;
		appendStringInfoString(&cause, error->message);
		/* A block that catches this error must not have caught the cancel. */
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED &&
			GetCurrentTransactionNestLevel() > 1)
			QueryCancelPending = InterruptPending = true;
	}
	else if (flush->out_of_time)
		appendStringInfoString(&cause,
							   "canceling statement due to statement timeout");
	else if (error != NULL)
	{
		appendStringInfo(&cause, "server \"%s\": %s", failure.group->server,
						 error->message);
		if (error->detail != NULL)
			appendStringInfo(&detail, " First failure: %s", error->detail);
	}
	else
	{
		appendStringInfoString(&cause, dyn_status_text(failure.put->status));
		appendStringInfo(&detail,
						 " First failure: key \"%s\" of table \"%s\", server \"%s\": %s.",
						 dynfdw_key_text(failure.key->key), failure.key->table,
						 failure.group->server,
						 failure.put->text ? failure.put->text
						 : dyn_status_text(failure.put->status));
	}
	/* Its context has been collected once. */
	if (error != NULL)
		error_context_stack = NULL;
	ereport(ERROR,
			(errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
			 errmsg("not all writes reached the cluster: %s", cause.data),
			 errdetail("%s", detail.data),
			 errhint("Writes are not atomic over several keys: read these keys before writing them again."),
			 error && error->context ? errcontext("%s", error->context) : 0));
}

void
dynfdw_raise_outcome(Flush *flush)
{
	KeyList		lists[KEY_OUTCOMES] = {0};
	Failure		failure = find_failure(flush);

	judge_all(flush);
	if (flush->interrupt == NULL && !flush->out_of_time &&
		failure.group == NULL)
		return;
	list_outcomes(flush, lists);
	dynfdw_outcome_watch(NULL);
	if (count_stored(lists) == 0)
		raise_definite(flush);
	/* Somebody may catch the error, and the transaction end otherwise. */
	if (GetCurrentTransactionNestLevel() > 1)
		dynfdw_outcome_keep(flush);
	/* One key alone: its node's words say it all. */
	if (flush->nkeys == 1 && lists[KEY_UNKNOWN].count == 1 &&
		failure.put != NULL && !flush->out_of_time)
		raise_put(flush, &failure);
	raise_in_part(flush, print_outcomes(lists));
}

/* --------------------------------------------- what outlives a transaction */

static Flush *watched;

/* What a subtransaction has sent.  All of this is in the transaction's own
 * memory. */
typedef struct Sent
{
	struct Sent *outer;			/* of a subtransaction around it */
	SubTransactionId subid;
	KeyList		lists[KEY_OUTCOMES];
} Sent;

static Sent *sent;				/* innermost first; NULL: nothing */
static KeyList undone[KEY_OUTCOMES];	/* by those that were rolled back */

void
dynfdw_outcome_watch(Flush *flush)
{
	watched = flush;
}

static Sent *
sent_by(SubTransactionId subid)
{
	Sent	   *outer = sent;

	if (sent == NULL || sent->subid != subid)
	{
		sent = MemoryContextAllocZero(TopTransactionContext, sizeof(Sent));
		sent->outer = outer;
		sent->subid = subid;
	}
	return sent;
}

void
dynfdw_outcome_keep(const Flush *flush)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	Sent	   *by = sent_by(GetCurrentSubTransactionId());

	for (int i = 0; i < flush->nkeys; i++)
	{
		KeyList    *list = &by->lists[flush->keys[i]->outcome];
		const char *table = list->table;

		add_key(list, flush->keys[i]);
		if (list->table != table)
			list->table = pstrdup(list->table);
	}
	MemoryContextSwitchTo(old);
}

void
dynfdw_outcome_end_sub(SubTransactionId subid, SubTransactionId parent,
					   bool commit)
{
	Sent	   *ended = sent;
	MemoryContext old;

	if (sent == NULL || sent->subid != subid)
		return;
	old = MemoryContextSwitchTo(TopTransactionContext);
	sent = ended->outer;
	move_lists(commit ? sent_by(parent)->lists : undone, ended->lists);
	pfree(ended);
	MemoryContextSwitchTo(old);
}

bool
dynfdw_outcome_any(void)
{
	if (count_stored(undone) > 0)
		return true;
	for (const Sent *by = sent; by != NULL; by = by->outer)
		if (count_stored(by->lists) > 0)
			return true;
	return false;
}

static void
warn(const char *message, const KeyList lists[KEY_OUTCOMES])
{
	ereport(WARNING,
			(errcode(ERRCODE_WARNING),
			 errmsg("%s", message),
			 errdetail("%s.", print_outcomes(lists)),
			 errhint("Read these keys before writing them again.")));
}

void
dynfdw_outcome_commit(void)
{
	if (count_stored(undone) > 0)
		warn("a part of the transaction was rolled back, but not what it had sent to a Dynamo cluster",
			 undone);
	memset(undone, 0, sizeof(undone));
}

void
dynfdw_outcome_end(bool committed)
{
	Flush	   *flush = watched;
	Sent	   *by = sent;
	KeyList		lists[KEY_OUTCOMES];

	memcpy(lists, undone, sizeof(lists));
	memset(undone, 0, sizeof(undone));
	sent = NULL;
	watched = NULL;
	if (committed)
		return;
	for (; by != NULL; by = by->outer)
		move_lists(lists, by->lists);
	if (flush != NULL)
	{
		judge_all(flush);
		list_outcomes(flush, lists);
	}
	if (count_stored(lists) > 0)
		warn("the transaction has no effect, but what it had sent to a Dynamo cluster has",
			 lists);
}
