/*-------------------------------------------------------------------------
 *
 * subject.h
 *      The store under test, the real one, and all that it holds.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_CRASH_SUBJECT_H
#define DYN_TESTS_CRASH_SUBJECT_H

#include "io/store/store.h"
#include "load.h"
#include "log.h"

enum
{
	CRASH_TEXT_SIZE = 400,
	CRASH_WAIT_MS = 60000
};

struct crash_subject
{
	struct dyn_store_lmdb_config config;
	bool is_new; /* it may be made when opened */
	struct dyn_store *store;
	struct crash_log *log;      /* SUBMITTED and STORED go there; or NULL */
	uint32_t submitted_count;   /* since it was opened */
	uint32_t stored_count;      /* ... and completed */
	uint32_t batch_first;       /* number of the first of them */
	char text[CRASH_TEXT_SIZE]; /* what is wrong with it */
	/* While it is read: */
	const struct crash_load *load;
	uint64_t found[CRASH_KEYS_MAX];  /* digests of what is there */
	uint64_t hashes[CRASH_KEYS_MAX]; /* of objects, for the tree */
	const struct dyn_event *event;   /* during a callback */
	bool is_damaged;                 /* the store said so itself */
	bool is_wrong;                   /* it did not, but something is */
	uint32_t read_count;
	bool is_end; /* of the scan */
	char after_bucket[DYN_BUCKET_SIZE_MAX];
	size_t after_bucket_size;
	uint16_t after_cell;
	uint8_t after_key[DYN_KEY_SIZE_MAX];
	size_t after_key_size;
};

/* False and text. batch_first: the number of the next batch. */
bool crash_subject_open(struct crash_subject *self, uint32_t batch_first);
void crash_subject_close(struct crash_subject *self);

void crash_subject_submit(struct crash_subject *self,
						  const struct dyn_write *writes, uint32_t count);
/* Deliver the completions that are there.  False and text when the store has
 * failed, or refused a batch. */
bool crash_subject_dispatch(struct crash_subject *self);
/* Wait for all of them. */
bool crash_subject_finish(struct crash_subject *self);

/* Has the store committed all that was submitted, though perhaps not told? */
bool crash_subject_is_done(struct crash_subject *self);

/*
 * Read everything in more than one way: records into found, which must be
 * records of load's keys; the same again by key; and the tree.  False when
 * is_damaged or is_wrong, and text.
 */
bool crash_subject_read(struct crash_subject *self,
						const struct crash_load *load,
						struct dyn_simrandom *random);

#endif
