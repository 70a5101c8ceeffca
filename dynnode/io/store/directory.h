/*-------------------------------------------------------------------------
 *
 * directory.h
 *      The directory of a store: is it fit, and is it ours alone?
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_IO_STORE_DIRECTORY_H
#define DYN_IO_STORE_DIRECTORY_H

#include "model/types.h"

/*
 * Make the directory if it is missing (mode 0700), check that it is one,
 * that it belongs to this user, that nobody else may write to it, and that
 * it lies on a local file system; then lock it until the process ends or
 * dyn_store_directory_unlock.  Waits two seconds for another process, which may
 * have been killed a moment ago.  On failure *reason says why.
 */
enum dyn_status dyn_store_directory_lock(const char *path, int *lock_fd,
										 char *reason, size_t reason_size);
void dyn_store_directory_unlock(int *lock_fd);

/* New names in the directory survive a crash from now on. */
enum dyn_status dyn_store_directory_sync(const char *path, char *reason,
										 size_t reason_size);

#endif
