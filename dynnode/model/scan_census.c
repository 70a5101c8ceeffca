#include "model/scan_census.h"

void
dyn_scan_census_init(struct dyn_scan_census *self, uint16_t partition_count)
{
	*self =
		(struct dyn_scan_census){ .cells = DYN_CELL_COUNT / partition_count };
}

bool
dyn_scan_census_wants(const struct dyn_scan_census *self)
{
	return self->partitions > 0 && self->wait == 0 &&
		   self->keys / self->partitions >=
			   (uint64_t) DYN_SCAN_KEYS_PER_CELL * self->cells;
}

void
dyn_scan_census_note(struct dyn_scan_census *self, uint64_t keys, bool compared,
					 uint32_t equal_count)
{
	self->partitions++;
	self->keys += keys;
	if (compared && equal_count < self->cells / 2)
		self->wait = DYN_SCAN_UNCOMPARED;
	else if (self->wait > 0)
		self->wait--;
}
