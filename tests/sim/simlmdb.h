/*-------------------------------------------------------------------------
 *
 * simlmdb.h
 *      The store of io/ under a simulated disk (simreal.h): LMDB itself.
 *
 * The inner, synchronous functions of the store are called here, those that
 * its threads call: one transaction for each simulated commit, with its hash
 * tree, readers of their own transaction.  What is not used are the threads
 * and what they decide: when to commit, and what to do when it is full.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_SIMLMDB_H
#define DYN_TESTS_SIMLMDB_H

#include "tests/sim/simreal.h"

/* A new store in a directory of its own, which goes with it. */
struct dyn_simreal *dyn_simlmdb_new(void);

#endif
