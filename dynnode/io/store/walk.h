/*-------------------------------------------------------------------------
 *
 * walk.h
 *      All sound records of a cell, or of the whole main table.
 *
 * For those who compute something over records, the hash tree above all.  A
 * damaged record is counted and passed by; it hides no other one, whatever
 * its key says now: where a search ends is believed only after a step back
 * to a sound record before it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_IO_STORE_WALK_H
#define DYN_IO_STORE_WALK_H

#include <lmdb.h>

#include "core/effect.h"

/* place lives until the call returns; hash is the object's. */
typedef void (*dyn_store_visit)(void *context,
								const struct dyn_record_key *place,
								uint64_t hash);

/* 0 or LMDB's code.  The transaction may have writes, but visit writes
 * nothing.  *damaged counts damaged records met. */
int dyn_store_walk_cell(MDB_txn *txn, MDB_dbi table, uint16_t cell,
						dyn_store_visit visit, void *context,
						uint64_t *damaged);
int dyn_store_walk_all(MDB_txn *txn, MDB_dbi table, dyn_store_visit visit,
					   void *context, uint64_t *damaged);

#endif
