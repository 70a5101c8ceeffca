/*-------------------------------------------------------------------------
 *
 * xact.c
 *		When unsent writes are sent, and when they are forgotten.
 *
 *-------------------------------------------------------------------------
 */
#include "journal.h"

#include "access/xact.h"

static void
at_xact(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			dynfdw_flush(false, NULL);
			dynfdw_outcome_commit();
			break;
		case XACT_EVENT_PRE_PREPARE:
			if (dynfdw_journal_has_writes() || dynfdw_outcome_any())
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot PREPARE a transaction that has written to a Dynamo cluster"),
						 errhint("Dynamo cannot promise to commit later: use COMMIT.")));
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			dynfdw_outcome_end(event != XACT_EVENT_ABORT);
			dynfdw_journal_end();
			break;
		default:
			break;
	}
}

static void
at_subxact(SubXactEvent event, SubTransactionId subid,
		   SubTransactionId parent, void *arg)
{
	bool		commit = event == SUBXACT_EVENT_COMMIT_SUB;

	if (!commit && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	dynfdw_journal_end_sub(subid, parent, commit);
	dynfdw_outcome_end_sub(subid, parent, commit);
}

void
dynfdw_xact_init(void)
{
	RegisterXactCallback(at_xact, NULL);
	RegisterSubXactCallback(at_subxact, NULL);
}
