/*-------------------------------------------------------------------------
 *
 * scan_census.h
 *      Is it worth comparing trees before the next partition is read?
 *
 * A listing of hashes costs what it lists: for a few keys, those of a prefix
 * or of a small bucket, it is cheaper than the hashes of all cells, and needs
 * no second look where they differ.  Keys spread evenly over partitions, so
 * the ones that were read tell how many the next one holds; the first are
 * read without comparing.  And where most cells differed (an owner was away,
 * or others write a lot), comparing is left alone for a while.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_MODEL_SCAN_CENSUS_H
#define DYN_MODEL_SCAN_CENSUS_H

#include "model/types.h"

enum
{
	DYN_SCAN_KEYS_PER_CELL = 2, /* fewer are listed rather than compared */
	DYN_SCAN_UNCOMPARED = 15    /* partitions, after one that differed */
};

struct dyn_scan_census
{
	uint32_t cells; /* of a partition */
	uint32_t partitions;
	uint64_t keys;
	uint32_t wait; /* partitions until one is compared again */
};

void dyn_scan_census_init(struct dyn_scan_census *self,
						  uint16_t partition_count);

bool dyn_scan_census_wants(const struct dyn_scan_census *self);

/* A partition was read; it was compared, and so many cells were equal, or it
 * was not. */
void dyn_scan_census_note(struct dyn_scan_census *self, uint64_t keys,
						  bool compared, uint32_t equal_count);

#endif
