/*-------------------------------------------------------------------------
 *
 * state.h
 *      What the threads of a store on LMDB share.
 *
 * Private to lmdb.c and writer.c.  Completions are pushed by any
 * of the threads and taken by the caller's; the eventfd is readable while
 * there are some, or when the store has failed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_IO_STORE_STATE_H
#define DYN_IO_STORE_STATE_H

#include "io/store/env.h"
#include "io/store/read.h"
#include "io/store/store.h"
#include "io/store/write.h"

/* A SCAN that waits for the reader thread, with all its bytes. */
struct dyn_store_scan_job
{
	struct dyn_store_scan_job *next;
	struct dyn_effect effect;
	uint8_t bytes[];
};

struct dyn_store_state
{
	struct dyn_store base;
	struct dyn_store_lmdb_config config;
	dyn_store_complete complete;
	void *context;
	int lock_fd;
	int wakeup_fd;
	struct dyn_store_env env;
	struct dyn_store_reader load_reader; /* the caller's thread */
	struct dyn_store_reader scan_reader; /* the reader thread */
	pthread_t writer;
	pthread_t reader;

	/* Only the writer thread. */
	struct dyn_store_batch **group;
	size_t room_wanted;
	bool needs_nudge; /* something was committed since the last one */
	uint64_t reader_check_ms;

	/* Below: under the mutex. */
	pthread_mutex_t mutex;
	pthread_cond_t writer_wakeup;
	pthread_cond_t reader_wakeup;
	struct dyn_store_batch *batches; /* first in, first out */
	struct dyn_store_batch **batches_tail;
	struct dyn_store_scan_job *scans;
	struct dyn_store_scan_job **scans_tail;
	struct dyn_store_completion *done;
	struct dyn_store_completion **done_tail;
	bool is_closing;
	bool is_full;
	bool has_failed;
	char failure[256];
	struct dyn_store_lmdb_stats stats;
};

/* These three under the mutex. */
void dyn_store_state_wake(struct dyn_store_state *self);
void dyn_store_state_push(struct dyn_store_state *self,
						  struct dyn_store_completion *completion);
void dyn_store_state_push_stored(struct dyn_store_state *self, uint64_t token,
								 enum dyn_status status);

/* For good: nothing is written after this.  Not under the mutex. */
void dyn_store_state_fail(struct dyn_store_state *self, const char *what,
						  int code);

#endif
