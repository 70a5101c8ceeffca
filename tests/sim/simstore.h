/*-------------------------------------------------------------------------
 *
 * simstore.h
 *      The store under simulation: io/store/store.h over a disk in memory.
 *
 * It behaves as the one on LMDB does: one writer that commits in groups, each
 * all or none; readers beside it; completions at dispatch.  Time is virtual:
 * work started now is ready later, by the seed's dice.  What a crash does to
 * a commit in flight is diced too: the group is on disk whole, or not at all;
 * its answer never comes.
 *
 * Or the disk is a modelled one (disk_bytes_per_ms): one commit at a time, of
 * all that has gathered, takes a sync and its bytes; beside it one read at a
 * time takes its bytes.  What is done there makes others wait, as on a disk.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_SIMSTORE_H
#define DYN_TESTS_SIMSTORE_H

#include "io/store/store.h"
#include "tests/sim/simdisk.h"

struct dyn_simstore_config
{
	/* The virtual clock. NULL: no time passes, all work is ready at once. */
	const uint64_t *now_ms;
	uint64_t seed;

	/* Latencies are 0 .. max; a slow one takes up to slow_ms. */
	uint32_t commit_ms_max;
	uint32_t read_ms_max;
	uint32_t slow_ms_max;

	/* The modelled disk, instead of diced latencies; 0 = none. */
	uint32_t disk_sync_ms;
	uint32_t disk_bytes_per_ms;

	/* Of a million. */
	uint32_t slow_rate;     /* commits and reads that are slow */
	uint32_t abort_rate;    /* commits given up: ABORTED */
	uint32_t io_error_rate; /* records of a LOAD that cannot be read */
};

struct dyn_store *dyn_simstore_open(struct dyn_simdisk *disk,
									const struct dyn_simstore_config *config,
									dyn_store_complete complete, void *context);

/* When dispatch will have something to deliver; UINT64_MAX = never. */
uint64_t dyn_simstore_deadline(const struct dyn_store *store);

/* What a core goes on from that works at this key: the last write of it that
 * it was not told of yet, even if that was given up; else what is on the disk.
 * NULL when there is none; removed: its object is NULL. */
const struct dyn_simrecord *
dyn_simstore_newest(const struct dyn_store *store, enum dyn_table table,
					const struct dyn_record_key *key);

/* From now on dispatch returns false, as after EIO from a sync. */
void dyn_simstore_fail(struct dyn_store *store);

/* The power goes: free the store; the disk keeps what it has. */
void dyn_simstore_crash(struct dyn_store **store);

#endif
