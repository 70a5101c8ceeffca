/*-------------------------------------------------------------------------
 *
 * env.h
 *      The LMDB environment of a store: its tables, its room, its readers.
 *
 * One thread writes (grow, and transactions of its own); any number of
 * readers, each used by one thread at a time.  What a reader finds lives in
 * the map until dyn_store_reader_end: copy before.
 *
 * The map may move when it grows, so a reader holds map_lock shared while
 * its transaction is active, and growing takes it exclusively.  Readers
 * therefore are short: one LOAD, one page of a SCAN.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_IO_STORE_ENV_H
#define DYN_IO_STORE_ENV_H

#include <lmdb.h>
#include <pthread.h>

#include "io/store/store.h"
#include "io/store/tree.h"

struct dyn_store_env
{
	MDB_env *mdb;
	MDB_dbi tables[3]; /* by enum dyn_table */
	MDB_dbi about;     /* who made the store */
	struct dyn_store_tree tree;
	pthread_rwlock_t map_lock;
	size_t file_size; /* when it was opened */
	size_t map_size;  /* taken from the file system; only the writer */
	size_t map_size_max;
	size_t page_size;
	bool no_sync;
};

/* What LMDB's return code means for a store. */
enum dyn_store_fault
{
	DYN_STORE_FINE,
	DYN_STORE_FULL, /* nothing was written; other work may go on */
	DYN_STORE_FATAL
};

struct dyn_store_reader
{
	struct dyn_store_env *env;
	MDB_txn *txn; /* kept between uses, renewed for each */
};

/* Opens or makes the store; on failure *reason says why and nothing is left
 * open. */
enum dyn_status dyn_store_env_open(struct dyn_store_env *self,
								   const char *directory, size_t map_size_max,
								   bool no_sync, char *reason,
								   size_t reason_size);

/* All readers must be destroyed before. */
void dyn_store_env_close(struct dyn_store_env *self);

enum dyn_store_fault dyn_store_env_fault(int code);

/* Take room for at least `size` bytes more.  FULL when the limit or the
 * file system has no more.  No write transaction may be open. */
int dyn_store_env_grow(struct dyn_store_env *self, size_t size);

void dyn_store_reader_init(struct dyn_store_reader *self,
						   struct dyn_store_env *env);
void dyn_store_reader_destroy(struct dyn_store_reader *self);

/* 0 or LMDB's code; begin that failed needs no end. */
int dyn_store_reader_begin(struct dyn_store_reader *self);
void dyn_store_reader_end(struct dyn_store_reader *self);

#endif
