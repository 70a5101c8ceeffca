/*-------------------------------------------------------------------------
 *
 * journal.h
 *		Writes that the transaction has made and not sent: shared by
 *		journal.c (keeps them), fold.c (what is left of a key's writes),
 *		flush.c (sends that), outcome.c (tells what has become of it) and
 *		xact.c (when), and nobody else; what others see of it is in
 *		dynamo_fdw.h.
 *
 * A journal: each write is kept with its command and subtransaction, under
 * its key.  What a command sees, and what is sent in the end, are computed by
 * going through a key's writes in order; rolling back a savepoint takes its
 * writes out.  At PRE_COMMIT each key becomes one put (one causal context,
 * the values that are left), and all are sent together.
 *
 * Dynamo has no atomicity over keys, let alone servers: when some puts are
 * done, or may be, and others are not, the error 08007 says which.  A definite
 * error means that nothing at all is stored, on no server.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYNFDW_JOURNAL_H
#define DYNFDW_JOURNAL_H

#include "dynamo_fdw.h"
#include "moment.h"

#include "lib/ilist.h"

/* What has become of a key, which may need several puts. */
typedef enum KeyOutcome
{
	KEY_NOTHING,				/* nothing was to be sent */
	KEY_APPLIED,
	KEY_IN_PART,				/* one put was applied, another was not */
	KEY_UNKNOWN,
	KEY_REFUSED,				/* or not sent */
	KEY_OUTCOMES				/* how many there are */
} KeyOutcome;

typedef struct PendingKey
{
	dlist_node	in_order;		/* of first writes */
	struct PendingKey *next;	/* same hash */
	Oid			serverid;
	Oid			userid;
	int			w;
	int			timeout_ms;
	bool		or_nothing;		/* a write of it is ON CONFLICT DO NOTHING */
	Oid			relid;			/* through which it was written last */
	struct dyn_slice bucket;
	struct dyn_slice key;
	dlist_head	writes;
	const char *table;			/* the name of relid, once it is sent */
	KeyOutcome	outcome;
} PendingKey;

struct DynamoWrite
{
	dlist_node	in_key;
	dlist_node	in_time;		/* of all writes */
	uint64		id;
	SubTransactionId subid;
	bool		at_statement;	/* goes with the statement, not at commit */
	DynamoWriteSpec spec;
	bool		hidden;			/* scratch of dynfdw_fold() */
};

/* Puts to be sent together, in a list that grows. */
typedef struct DynamoPutList
{
	DynamoPut  *puts;
	PendingKey **keys;			/* whose they are */
	int			nputs;
	int			capacity;
} DynamoPutList;

/* Keys of one server and one way of asking. */
typedef struct FlushGroup
{
	struct FlushGroup *next;
	const PendingKey *lead;		/* any of them */
	DynamoCluster *cluster;
	const char *server;
	DynamoPutList puts;
	DynamoPutList rest;			/* go when all of puts were applied */
	ErrorData  *error;			/* what has ended the sending; NULL = nothing */
} FlushGroup;

/* What is sent together, and shares one outcome. */
typedef struct Flush
{
	MemoryContext context;
	FlushGroup *groups;
	PendingKey **keys;
	int			nkeys;
	int			capacity;
	DynamoMoment limit;			/* by statement_timeout */
	bool		out_of_time;	/* that was reached */
	ErrorData  *interrupt;		/* somebody wants no more to be sent */
} Flush;

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

/* Does anything wait to be sent?  A key whose writes were rolled back stays in
 * the list. */
extern bool dynfdw_journal_has_writes(void);

/* These keys, removed before, were sent: their memory is used again. */
extern void dynfdw_journal_sent(PendingKey **keys, int nkeys);

/* The transaction has ended; the memory goes with its own. */
extern void dynfdw_journal_end(void);

/* A subtransaction has: its writes are its parent's, or are gone. */
extern void dynfdw_journal_end_sub(SubTransactionId subid,
								   SubTransactionId parent, bool commit);

/* ---- fold.c ---- */

/* What is left of a key's writes before a command (InvalidCommandId: at the
 * end), in the current memory context. */
extern void dynfdw_fold(PendingKey *key, CommandId curcid, DynamoPending *out);

/* The same as puts, none of them sent; those in `rest` go when all of `puts`
 * was applied.  Raises when the key has more rows than one may have. */
extern void dynfdw_fold_to_puts(DynamoPutList *puts, DynamoPutList *rest,
								PendingKey *key);

/* ---- outcome.c ---- */

/* Raises unless everything was applied.  To be called once all that will be
 * sent was sent, or an interrupt has ended it: nothing may come in between. */
extern void dynfdw_raise_outcome(Flush *flush);

/* This is being sent: if the backend ends meanwhile, its log says what was
 * stored.  NULL: its outcome is known to whoever waits for it. */
extern void dynfdw_outcome_watch(Flush *flush);

/* All of this was applied, and stays so if the transaction ends otherwise. */
extern void dynfdw_outcome_keep(const Flush *flush);

/* A subtransaction has ended: what it had sent is its parent's, or was rolled
 * back in vain. */
extern void dynfdw_outcome_end_sub(SubTransactionId subid,
								   SubTransactionId parent, bool commit);

/* Was anything stored, or perhaps, in a part that was rolled back or not? */
extern bool dynfdw_outcome_any(void);

/* Before the transaction commits: a WARNING names what was stored by parts of
 * it that were rolled back. */
extern void dynfdw_outcome_commit(void);

/* The transaction has ended: a WARNING names what was stored all the same,
 * unless it was committed. */
extern void dynfdw_outcome_end(bool committed);

#endif
