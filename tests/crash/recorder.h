/*-------------------------------------------------------------------------
 *
 * recorder.h
 *      Everything that this process does to a store's file goes into a log.
 *
 * The file is data.mdb in the directory, or new/data.mdb until it is renamed.
 * The C library's functions that write, lengthen, sync and name files are
 * replaced in the program that links this, also for LMDB.  Syncs return at once
 * whether or not anything is recorded: no test here needs a real disk, the
 * crashes are made from the log.  (What bypassed the log would show: the file
 * must be what the log makes of it.)
 *
 * While it records, each thread but the one that began stops before it
 * touches the file ("arrives") until it is released.  So that one thread
 * decides what happens between any two writes of the store, and one seed
 * always gives one log.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_CRASH_RECORDER_H
#define DYN_TESTS_CRASH_RECORDER_H

#include "log.h"

/* The file need not be there yet. */
void crash_recorder_begin(struct crash_log *log, const char *directory);
/* No thread may be stopped. */
void crash_recorder_end(void);
/* Record no more, and let go whoever is stopped: for a test that failed. */
void crash_recorder_abandon(void);

/* Readable when a thread has arrived. */
int crash_recorder_fd(void);
bool crash_recorder_has_arrived(void);
void crash_recorder_release(void);

#endif
