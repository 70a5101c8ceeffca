/*-------------------------------------------------------------------------
 *
 * random.h
 *      Reproducible randomness from the seed of the boot record (SplitMix64).
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_RANDOM_H
#define DYN_CORE_RANDOM_H

#include "model/types.h"

struct dyn_random
{
	uint64_t state;
};

uint64_t dyn_random_next(struct dyn_random *self);
struct dyn_node_id dyn_random_node_id(struct dyn_random *self);

#endif
