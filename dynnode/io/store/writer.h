/*-------------------------------------------------------------------------
 *
 * writer.h
 *      The writer thread of a store on LMDB: group commit, fullness.
 *
 *     take all STOREs that wait -> one transaction -> one sync -> STOREDs
 *          ^                           | does not fit
 *          |                           v
 *          +---- grow the map, or halve the group until only what does not
 *                fit alone is left: FULL.  From then on look for room now
 *                and then, and say STORE_WRITABLE when there is some.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_IO_STORE_WRITER_H
#define DYN_IO_STORE_WRITER_H

#include "io/store/state.h"

/* Before the thread runs: a store that is full at the start says so before
 * the first STORE does. */
void dyn_store_writer_look(struct dyn_store_state *self);

/* The thread; argument is the struct dyn_store_state. */
void *dyn_store_writer_run(void *argument);

#endif
