#include "log.h"

#include <string.h>
#include <xxhash.h>

#include "core/memory.h"

void
crash_log_add(struct crash_log *self, struct crash_entry entry)
{
	if (entry.bytes != NULL)
	{
		uint8_t *copy = dyn_memory_take(entry.size);

		memcpy(copy, entry.bytes, entry.size);
		entry.bytes = copy;
	}
	self->entries = dyn_memory_reserve(self->entries, self->count,
									   &self->capacity, sizeof(entry));
	self->entries[self->count++] = entry;
}

void
crash_log_destroy(struct crash_log *self)
{
	for (uint32_t i = 0; i < self->count; i++)
		dyn_memory_give(self->entries[i].bytes);
	dyn_memory_give(self->entries);
	*self = (struct crash_log){ 0 };
}

uint64_t
crash_log_hash(const struct crash_log *self)
{
	uint64_t hash = 0;

	for (uint32_t i = 0; i < self->count; i++)
	{
		const struct crash_entry *entry = &self->entries[i];
		uint64_t head[] = { hash, entry->type, entry->number, entry->at,
							entry->size };

		hash = XXH3_64bits(head, sizeof(head));
		if (entry->bytes != NULL)
			hash = XXH3_64bits_withSeed(entry->bytes, entry->size, hash);
	}
	return hash;
}

/* ---- lies ---- */

/* Move the entry at `from` so that it stands at `to`. */
static void
move_entry(struct crash_log *self, uint32_t from, uint32_t to)
{
	struct crash_entry entry = self->entries[from];

	if (from < to)
		memmove(self->entries + from, self->entries + from + 1,
				(to - from) * sizeof(entry));
	else
		memmove(self->entries + to + 1, self->entries + to,
				(from - to) * sizeof(entry));
	self->entries[to] = entry;
}

/* Each sync trades places with the meta page that it was for. */
static void
sync_late(struct crash_log *self)
{
	for (uint32_t i = 0; i < self->count; i++)
	{
		uint32_t to = i;

		if (self->entries[i].type != CRASH_SYNC)
			continue;
		while (to < self->count && self->entries[to].type != CRASH_META_SYNC)
			to++;
		if (to == self->count)
			return;
		move_entry(self, i, to);
		i = to;
	}
}

static void
sync_meta_never(struct crash_log *self)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < self->count; i++)
		if (self->entries[i].type != CRASH_META_SYNC)
			self->entries[kept++] = self->entries[i];
	self->count = kept;
}

static void
reply_early(struct crash_log *self)
{
	for (uint32_t i = 0; i < self->count; i++)
	{
		uint32_t to = i;

		if (self->entries[i].type != CRASH_STORED)
			continue;
		while (self->entries[to].type != CRASH_SUBMITTED ||
			   self->entries[to].number != self->entries[i].number)
			to--;
		move_entry(self, i, to + 1);
	}
}

void
crash_log_tell(struct crash_log *self, enum crash_lie lie)
{
	switch (lie)
	{
		case CRASH_TRUTH:
		case CRASH_NO_SYNC:
			return;
		case CRASH_LATE_SYNC:
			sync_late(self);
			return;
		case CRASH_LAZY_META:
			sync_meta_never(self);
			return;
		case CRASH_EARLY_REPLY:
			reply_early(self);
			return;
	}
}
