/*-------------------------------------------------------------------------
 *
 * storehand.h
 *      A storerig's store, while it is closed, with LMDB alone, as another
 *      program would open it: one write transaction.
 *
 * What must not happen ends the test program, as in storerig.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_STOREHAND_H
#define DYN_TESTS_STOREHAND_H

#include "storerig.h"

#include <lmdb.h>

struct storehand
{
	MDB_env *env;
	MDB_txn *txn;
};

struct storehand storehand_begin(const struct storerig *rig);
/* Commits. */
void storehand_end(struct storehand *hand);

/* A table that must be there. */
MDB_dbi storehand_table(struct storehand *hand, const char *table);

/* Into a table that is made when it is not there; NULL = the one that lists
 * the others. */
void storehand_put(struct storehand *hand, const char *table, const char *key,
				   const char *value);

#endif
