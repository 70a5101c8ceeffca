/*-------------------------------------------------------------------------
 *
 * journal.h
 *		Writes that the transaction has made and not sent: shared by
 *		journal.c (keeps them), fold.c (what is left of a key's writes),
 *		flush.c (sends that) and xact.c (when), and nobody else; what others
 *		see of it is in dynamo_fdw.h.
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
#ifndef DYNFDW_JOURNAL_H
#define DYNFDW_JOURNAL_H

#include "dynamo_fdw.h"

#include "lib/ilist.h"

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
	bool		hidden;			/* scratch of dynfdw_fold() */
};

/* Puts to be sent together, in a list that grows. */
typedef struct DynamoPutList
{
	DynamoPut  *puts;
	bool	   *checked_creates;
	int			nputs;
	int			capacity;
} DynamoPutList;

/* ---- journal.c ---- */

/* Keys with unsent writes, by their first ones. */
extern dlist_head dynfdw_journal_keys;

/* What was written lives there, until everything is sent or the transaction
 * ends.  NULL: nothing is pending. */
extern MemoryContext dynfdw_journal_context(void);

/* NULL: no such key has unsent writes. */
extern PendingKey *dynfdw_journal_find(Oid serverid, struct dyn_slice bucket,
									   struct dyn_slice key);

/* What is sent must not be found any more, however the sending ends: a write
 * added to it later would never be sent. */
extern void dynfdw_journal_remove(PendingKey *key);

/* Some keys were sent, or all: then the memory goes, too. */
extern void dynfdw_journal_sent(void);

/* The transaction has ended; the memory goes with its own. */
extern void dynfdw_journal_end(void);

/* A subtransaction has: its writes are its parent's, or are gone. */
extern void dynfdw_journal_end_sub(SubTransactionId subid,
								   SubTransactionId parent, bool commit);

/* ---- fold.c ---- */

/* What is left of a key's writes before a command (InvalidCommandId: at the
 * end), in the current memory context. */
extern void dynfdw_fold(PendingKey *key, CommandId curcid, DynamoPending *out);

/* The same as puts; those in `rest` go when all of `puts` was applied. */
extern void dynfdw_fold_to_puts(DynamoPutList *puts, DynamoPutList *rest,
								PendingKey *key);

extern DynamoPut *dynfdw_add_put(DynamoPutList *list, const DynamoPut *put,
								 bool checked_create);

#endif
