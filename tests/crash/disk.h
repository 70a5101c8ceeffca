/*-------------------------------------------------------------------------
 *
 * disk.h
 *      A data file as a crash may leave it.
 *
 * What was synced is there.  Of the rest, each sector of 512 bytes is as it
 * was after any of the writes to it since then, or before all of them,
 * whatever became of its neighbours: caches write back pages in any order,
 * disks write sectors in any order, but a sector as a whole.  The file is at
 * least as long as it was when synced, and as long as what is in it.  Its name
 * it has for sure when the directory was synced.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_CRASH_DISK_H
#define DYN_TESTS_CRASH_DISK_H

#include "log.h"
#include "sim/simrandom.h"

enum
{
	CRASH_SECTOR_SIZE = 512
};

/* A file's bytes; beyond used_size all are 0. */
struct crash_file
{
	uint8_t *bytes;
	size_t capacity;
	size_t used_size;
	size_t size;
	bool is_new; /* it lies in new/ yet */
};

void crash_file_write(struct crash_file *self, size_t at, const uint8_t *bytes,
					  size_t size);
void crash_file_copy(struct crash_file *self, const struct crash_file *from);
void crash_file_destroy(struct crash_file *self);

/* data.mdb of a directory, and the only one in it. False and errno. */
bool crash_file_load(struct crash_file *self, const char *directory);
bool crash_file_put(struct crash_file *self, const char *directory);

/* The same at any path. */
bool crash_file_save(struct crash_file *self, const char *path);

/* Goes through a log and knows at each position what is on disk for sure. */
struct crash_disk
{
	const struct crash_log *log;
	uint32_t position;
	uint32_t submitted_count; /* batches handed over until here */
	uint32_t stored_count;    /* ... and said to be stored */
	bool is_renamed;          /* perhaps */
	struct crash_file synced;
	/* WRITEs, WRITE_METAs and SIZEs that may be lost: indexes into the log. */
	uint32_t *pending;
	uint32_t pending_count;
	uint32_t pending_capacity;
	uint32_t *last; /* by sector, for crash_disk_tear */
	uint32_t last_count;
};

/* start: the file before the log, or NULL. */
void crash_disk_init(struct crash_disk *self, const struct crash_log *log,
					 const struct crash_file *start);
void crash_disk_destroy(struct crash_disk *self);

/* Only forward. */
void crash_disk_advance(struct crash_disk *self, uint32_t position);

/* The file as programs saw it at this position. */
void crash_disk_see(struct crash_disk *self, struct crash_file *out);

/* The file as a crash may leave it. */
void crash_disk_tear(struct crash_disk *self, struct dyn_simrandom *random,
					 struct crash_file *out);

/*
 * As if sectors were not whole: the last pending write, which must be a
 * WRITE_META, is torn at any byte, or mixed from its eight-byte words.
 */
void crash_disk_tear_meta(struct crash_disk *self, struct dyn_simrandom *random,
						  struct crash_file *out);

#endif
