/*-------------------------------------------------------------------------
 *
 * simstore_read.h
 *      LOAD, SCAN and TREE of a simulated store: looking, and telling.
 *
 * Private to simstore*.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_SIMSTORE_READ_H
#define DYN_TESTS_SIMSTORE_READ_H

#include "io/store/store.h"
#include "tests/sim/simrandom.h"
#include "tests/sim/simstore_job.h"

/* Read the disk as it is at this moment.  Of a million records of a LOAD so
 * many cannot be read. */
void dyn_simjob_look(struct dyn_simjob *self, const struct dyn_simdisk *disk,
					 struct dyn_simrandom *random, uint32_t io_error_rate);

/* ... when it is a SCAN (simstore_scan.c). */
void dyn_simjob_scan(struct dyn_simjob *self, const struct dyn_simdisk *disk);

/* Ask the real store, too (simstore_real.c). */
void dyn_simjob_ask(struct dyn_simjob *self, struct dyn_simreal *real);

/* Its answer takes the place of the model's, and must be equal. */
void dyn_simjob_match_load(struct dyn_simjob *self, struct dyn_loaded *records);
void dyn_simjob_match(struct dyn_simjob *self, struct dyn_event *event);

/* What was found, as an event. */
void dyn_simjob_tell(struct dyn_simjob *self, dyn_store_complete complete,
					 void *context);

#endif
