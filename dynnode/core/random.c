#include "core/random.h"

#include <string.h>

uint64_t
dyn_random_next(struct dyn_random *self)
{
	uint64_t z = (self->state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

struct dyn_node_id
dyn_random_node_id(struct dyn_random *self)
{
	struct dyn_node_id id;
	uint64_t high = dyn_random_next(self);
	uint64_t low = dyn_random_next(self);

	memcpy(id.bytes, &high, 8);
	memcpy(id.bytes + 8, &low, 8);
	return id;
}
