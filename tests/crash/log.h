/*-------------------------------------------------------------------------
 *
 * log.h
 *      What happened to one data file, in order.
 *
 * The writes, sizes and syncs are the disk's side; SUBMITTED and STORED are
 * the store's caller's: when a batch was handed over, and when its
 * completion was dispatched.  A crash at position p is one in which the
 * first p entries have happened and nothing else.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_CRASH_LOG_H
#define DYN_TESTS_CRASH_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum crash_entry_type
{
	CRASH_WRITE,      /* bytes at an offset; not on disk yet */
	CRASH_WRITE_META, /* the same through a descriptor with O_DSYNC */
	CRASH_META_SYNC,  /* ... which has returned: that write is on disk */
	CRASH_SIZE,       /* the file was made this long; not on disk yet */
	CRASH_SYNC,       /* fdatasync has returned: all before is on disk */
	CRASH_REMOVED,    /* a file that was never finished; the next is empty */
	CRASH_RENAMED,    /* a new file got its name; not on disk yet */
	CRASH_NAME_SYNC,  /* the directory is synced: it has its name for good */
	CRASH_SUBMITTED,  /* batch `number` was handed to the store */
	CRASH_STORED      /* its completion was dispatched */
};

struct crash_entry
{
	enum crash_entry_type type;
	uint32_t number; /* SUBMITTED, STORED */
	size_t at;       /* WRITE, WRITE_META */
	size_t size;     /* ... of the bytes; SIZE: of the file */
	uint8_t *bytes;
};

struct crash_log
{
	struct crash_entry *entries;
	uint32_t count;
	uint32_t capacity;
};

/* Bytes are copied. */
void crash_log_add(struct crash_log *self, struct crash_entry entry);
void crash_log_destroy(struct crash_log *self);

/* Of all that is in it: two runs of one seed must agree. */
uint64_t crash_log_hash(const struct crash_log *self);

/* Lies that a store could tell; each must be found out by the images. */
enum crash_lie
{
	CRASH_TRUTH,
	CRASH_NO_SYNC,    /* MDB_NOSYNC; not a change of the log but of the store */
	CRASH_LATE_SYNC,  /* data pages are synced after the meta page */
	CRASH_LAZY_META,  /* meta pages are on disk at the next sync only */
	CRASH_EARLY_REPLY /* completions come before the commit */
};

/* The log as it would be if the store did so. */
void crash_log_tell(struct crash_log *self, enum crash_lie lie);

#endif
