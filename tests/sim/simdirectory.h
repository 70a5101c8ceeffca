/*-------------------------------------------------------------------------
 *
 * simdirectory.h
 *      Directories for real stores of the simulator, in memory if possible.
 *
 * All of a process lie in one directory under /dev/shm, or under TMPDIR (or
 * /tmp) where there is none or it has little room.  It goes with the last of
 * them, and with the process when a signal ends it; kill -9 leaves it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_SIMDIRECTORY_H
#define DYN_TESTS_SIMDIRECTORY_H

/* A new one, for the caller to give back; ends the process when there is none
 * to be had. */
char *dyn_simdirectory_new(void);

/* Remove it with the files of a store, and free the path. */
void dyn_simdirectory_remove(char *path);

#endif
