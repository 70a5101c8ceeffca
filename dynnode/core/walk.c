#include "core/walk.h"

#include <string.h>

void
dyn_walk_resume(const struct dyn_walk *self, struct dyn_effect *scan,
				struct dyn_arena *arena)
{
	struct dyn_slice bucket = { self->bucket, self->bucket_size };
	struct dyn_slice key = { self->key, self->key_size };

	scan->scan.has_after = self->key_size != 0;
	scan->scan.after_bucket = dyn_arena_copy(arena, bucket);
	scan->scan.after_cell = self->cell;
	scan->scan.after_key = dyn_arena_copy(arena, key);
	scan->scan.after_damaged = self->damaged;
}

void
dyn_walk_set(struct dyn_walk *self, struct dyn_slice bucket, uint16_t cell,
			 struct dyn_slice key)
{
	self->cell = cell;
	self->damaged = 0;
	self->bucket_size = (uint8_t) bucket.size;
	if (bucket.size != 0)
		memcpy(self->bucket, bucket.data, bucket.size);
	self->key_size = (uint16_t) key.size;
	if (key.size != 0)
		memcpy(self->key, key.data, key.size);
}

void
dyn_walk_keep(struct dyn_walk *self, const struct dyn_event *scanned)
{
	dyn_walk_set(self, scanned->scanned.after_bucket,
				 scanned->scanned.after_cell, scanned->scanned.after_key);
	self->damaged = scanned->scanned.after_damaged;
}
