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

/* is_new: there is no data.mdb yet. */
void crash_recorder_begin(struct crash_log *log, const char *directory,
						  bool is_new);
/* No thread may be stopped. */
void crash_recorder_end(void);

/* Threads do not stop while they may pass; who is stopped, goes on.  (For the
 * time in which the store is closed.) */
void crash_recorder_let_pass(void);
/* There must be no other threads. */
void crash_recorder_let_stop(void);


/* Readable when a thread has arrived. */
int crash_recorder_fd(void);
bool crash_recorder_has_arrived(void);
void crash_recorder_release(void);

#endif
