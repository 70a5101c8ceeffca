/*-------------------------------------------------------------------------
 *
 * scratch.h
 *      A directory for one test, gone when the test is.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_SCRATCH_H
#define DYN_TESTS_SCRATCH_H

/* A new directory, mode 0700, under TMPDIR or /tmp; ends the process when
 * there is none to be had. */
char *scratch_make(void);

/* Remove it with all that is in it, and free the path. */
void scratch_remove(char *path);

#endif
