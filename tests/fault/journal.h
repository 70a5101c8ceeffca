/*-------------------------------------------------------------------------
 *
 * journal.h
 *      A history as a file: what clients of real processes did and saw.
 *
 * The load generator and the SQL sessions each write one; `check` reads all
 * of one round, sorts them by time and makes the history of tests/sim that
 * tests/sim/checker.h judges.  One line is one event, words are separated by
 * one blank, times are microseconds of the monotonic clock of this machine:
 *
 *     P C.N KEY MODE W R TIME SEEN BESIDE   a write begins; its name is C.N
 *     D C.N KEY MODE W R TIME SEEN BESIDE   a delete begins
 *     G C.N KEY R TIME                      a read begins
 *     A C.N            sent again while undecided
 *     X C.N TIME CLOCK what a write or delete carried as its context, and when
 *                      the read began that it came from
 *     V C.N START      the name of the retry of a write: START is 16 digits
 *     O C.N TIME OWNERS SEEN   it went well: on so many owners; what was read
 *     N C.N TIME       a definite no, or a read that failed
 *     U C.N TIME       it may have happened or not
 *
 * SEEN and BESIDE (history.h) are names of writes with commas between, or -.
 * OWNERS, how many slots answered by their own nodes, is - when the client
 * was not told, as in SQL.  An operation without
 * an end is unknown.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_FAULT_JOURNAL_H
#define DYN_TESTS_FAULT_JOURNAL_H

#include "model/clock.h"
#include "tests/fault/value.h"
#include "tests/sim/history.h"

#include <stdio.h>

/* Names of writes. */
struct dyn_tokens
{
	struct dyn_token *items;
	uint32_t count;
	uint32_t capacity;
};

void dyn_tokens_add(struct dyn_tokens *self, struct dyn_token token);
void dyn_tokens_destroy(struct dyn_tokens *self);

uint64_t dyn_journal_now_us(void);

/* ---- writing ---- */

void dyn_journal_write(FILE *file, struct dyn_token op, bool is_delete,
					   uint32_t key, enum dyn_history_mode mode, unsigned w,
					   unsigned r, const struct dyn_tokens *seen,
					   const struct dyn_tokens *beside);
void dyn_journal_read(FILE *file, struct dyn_token op, uint32_t key,
					  unsigned r);
void dyn_journal_again(FILE *file, struct dyn_token op);
void dyn_journal_context(FILE *file, struct dyn_token op, uint64_t read_us,
						 struct dyn_slice clock);
void dyn_journal_name(FILE *file, struct dyn_token op, struct dyn_dot name);
void dyn_journal_ok(FILE *file, struct dyn_token op, unsigned owners,
					const struct dyn_tokens *seen);
void dyn_journal_no(FILE *file, struct dyn_token op);
void dyn_journal_unknown(FILE *file, struct dyn_token op);

/* ---- reading ---- */

/* The dot of the retry of a write (dyn_object_retry_dot). */
struct dyn_journal_name
{
	struct dyn_token token;
	uint64_t start;
};

struct dyn_journal_op
{
	struct dyn_token name;
	enum dyn_history_kind kind;
	enum dyn_history_mode mode;
	enum dyn_history_result result;
	uint32_t key;
	unsigned w;
	unsigned r;
	bool told_owners;
	unsigned owners;
	bool again;
	uint64_t begin_us;
	uint64_t end_us;
	struct dyn_tokens seen;
	struct dyn_tokens beside;
	char *contexts;   /* the clocks that it carried, as lines; or NULL */
	uint64_t read_us; /* when the read began that they came from */
	uint32_t index;   /* in the history */
	uint32_t vid;     /* of a write */
};

struct dyn_journal
{
	struct dyn_journal_op *ops;
	uint32_t count;
	uint32_t capacity;
	struct dyn_journal_name *names;
	uint32_t name_count;
	uint32_t name_capacity;
	/* of dyn_journal_to_history */
	uint32_t n;
	bool stand_ins;
};

/* Add a file's operations. False, and said on stderr, when it is none; a
 * last line that was cut off is left out. */
bool dyn_journal_load(struct dyn_journal *self, const char *path);

/*
 * The journal is the history's, too, and tells it of residues: a write that
 * replaced another one and carried the dot of its first attempt, not that of
 * its retry, leaves the latter there (model/object.h).  Rightly so when the
 * other one had not been acknowledged yet as it was read, or when reads need
 * not meet writes.
 *
 * n: replicas.  Reads that began after relaxed_from_us (0 = none) may rightly miss
 * something, because a replica has gone back in time.  An answer
 * counts for as many owners as it tells of; stand_ins: one that tells nothing
 * counts for none, as fallbacks may have answered.
 */
void dyn_journal_to_history(struct dyn_journal *self, uint32_t key_count,
							uint32_t n, uint64_t relaxed_from_us,
							bool stand_ins, struct dyn_history *history);

/* Somebody has seen what the write's retry is called. */
void dyn_journal_know(struct dyn_journal *self, struct dyn_token token,
					  uint64_t start);

/* NULL when nobody made such a write. After dyn_journal_to_history. */
const struct dyn_journal_op *dyn_journal_find(const struct dyn_journal *self,
											  struct dyn_token name);

void dyn_journal_destroy(struct dyn_journal *self);

#endif
