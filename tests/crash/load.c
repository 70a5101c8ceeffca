#include "load.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "core/memory.h"
#include "model/hash.h"

enum
{
	HURRY_EVERY = 5 /* seeds */
};

/* ---- keys and habits ---- */

static void
draw_key(struct crash_load *self, uint32_t index, struct dyn_simrandom *random)
{
	struct crash_key *key = &self->keys[index];
	uint64_t dice = dyn_simrandom_below(random, 1000000);
	size_t size = 5 + dyn_simrandom_below(random, 20);

	if (dyn_simrandom_chance(random, 50000))
		size = 5 + dyn_simrandom_below(random, DYN_KEY_SIZE_MAX - 4);
	if (dice < self->habits.meta_rate)
	{
		key->table = DYN_TABLE_META;
		size = 5 + size % 20;
	}
	else if (dice < self->habits.meta_rate + self->habits.hint_rate)
		key->table = DYN_TABLE_HINTS;
	else
		key->table = DYN_TABLE_MAIN;
	/* Its number makes it unique, and easy to find. */
	snprintf((char *) key->key, 6, "%04x.", index & 0xffff);
	for (size_t i = 5; i < size; i++)
		key->key[i] = (uint8_t) ('a' + dyn_simrandom_below(random, 26));
	key->place.key = (struct dyn_slice){ key->key, size };
	if (key->table == DYN_TABLE_META)
		return;
	strcpy(key->bucket, index % 3 == 0 ? "cart" : "session");
	key->place.bucket = dyn_slice_of(key->bucket);
	key->position = dyn_hash_position(key->place.bucket, key->place.key);
	key->place.cell = dyn_hash_cell(key->position);
}

static void
draw_habits(struct crash_habits *self, struct dyn_simrandom *random)
{
	static const uint32_t sizes[] = { 40, 200, 1000, 3000 };
	static const uint32_t groups[] = { 0, 0, 1, 2, 5 };

	self->key_count = (uint32_t) dyn_simrandom_between(random, 10, 250);
	self->hint_rate = (uint32_t) dyn_simrandom_below(random, 300000);
	self->meta_rate = (uint32_t) dyn_simrandom_below(random, 200000);
	self->batch_count = (uint32_t) dyn_simrandom_between(random, 20, 80);
	self->writes_max = (uint32_t) dyn_simrandom_between(random, 1, 24);
	self->delete_rate = (uint32_t) dyn_simrandom_below(random, 400000);
	self->size_max = sizes[dyn_simrandom_below(random, 4)];
	self->big_rate = (uint32_t) dyn_simrandom_below(random, 50000);
	self->big_max = (uint32_t) dyn_simrandom_between(random, 4000, 60000);
	self->pipe_rate = (uint32_t) dyn_simrandom_below(random, 400000);
	self->reopen_rate = (uint32_t) dyn_simrandom_below(random, 50000);
	self->group_max = groups[dyn_simrandom_below(random, 5)];
}

/* Many small writes: enough for the tree to drop what it logged. */
static void
draw_hurry(struct crash_habits *self, struct dyn_simrandom *random)
{
	self->key_count = (uint32_t) dyn_simrandom_between(random, 150, 250);
	self->hint_rate /= 3;
	self->meta_rate /= 3;
	self->batch_count = (uint32_t) dyn_simrandom_between(random, 200, 260);
	self->writes_max = CRASH_WRITES_MAX;
	self->size_max = 40;
	self->big_rate /= 10;
}

void
crash_load_init(struct crash_load *self, uint64_t seed)
{
	struct dyn_simrandom random = dyn_simrandom_stream(seed, 1);

	*self = (struct crash_load){ .random = dyn_simrandom_stream(seed, 2) };
	draw_habits(&self->habits, &random);
	if (seed % HURRY_EVERY == 0)
		draw_hurry(&self->habits, &random);
	for (uint32_t i = 0; i < self->habits.key_count; i++)
		draw_key(self, i, &random);
	self->sums =
		dyn_memory_reserve(NULL, 0, &self->sum_capacity, sizeof(*self->sums));
	self->sums[0] = 0;
}

void
crash_load_destroy(struct crash_load *self)
{
	dyn_memory_give(self->batches);
	dyn_memory_give(self->sums);
	dyn_memory_give(self->past);
	dyn_memory_give(self->object_bytes);
	*self = (struct crash_load){ 0 };
}

static uint64_t
sum_of(const uint64_t digests[CRASH_KEYS_MAX])
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < CRASH_KEYS_MAX; i++)
		sum += digests[i];
	return sum;
}

static void
remember_one(struct crash_load *self, struct crash_change change)
{
	self->past = dyn_memory_reserve(self->past, self->past_count,
									&self->past_capacity, sizeof(*self->past));
	self->past[self->past_count++] = change;
}

/* Whatever the other or those before it wrote. */
static void
remember(struct crash_load *self, const struct crash_load *other)
{
	self->past = NULL;
	self->past_count = self->past_capacity = 0;
	for (uint32_t i = 0; i < other->past_count; i++)
		remember_one(self, other->past[i]);
	for (uint32_t i = 0; i < other->batch_count; i++)
		for (uint32_t j = 0; j < other->batches[i].change_count; j++)
			remember_one(self, other->batches[i].changes[j]);
}

void
crash_load_follow(struct crash_load *self, const struct crash_load *other,
				  uint32_t state, uint64_t stream)
{
	*self = *other;
	self->random = dyn_simrandom_stream(stream, 3);
	for (uint32_t i = 0; i < self->habits.key_count; i++)
	{
		struct crash_key *key = &self->keys[i];

		key->place.key.data = key->key;
		if (key->table != DYN_TABLE_META)
			key->place.bucket.data = (const uint8_t *) key->bucket;
	}
	remember(self, other);
	crash_load_state(other, state, self->start);
	memcpy(self->now, self->start, sizeof(self->now));
	self->batches = NULL;
	self->batch_count = self->batch_capacity = self->sum_capacity = 0;
	self->object_bytes = NULL;
	self->object_capacity = 0;
	self->sums =
		dyn_memory_reserve(NULL, 0, &self->sum_capacity, sizeof(*self->sums));
	self->sums[0] = sum_of(self->start);
}

/* ---- batches ---- */

static uint32_t
draw_size(struct crash_load *self)
{
	if (dyn_simrandom_chance(&self->random, self->habits.big_rate))
		return (uint32_t) dyn_simrandom_between(
			&self->random, self->habits.size_max, self->habits.big_max);
	return (uint32_t) dyn_simrandom_between(&self->random, 1,
											self->habits.size_max);
}

static void
fill(struct crash_load *self, size_t at, uint32_t size)
{
	for (uint32_t i = 0; i < size; i += 8)
	{
		uint64_t word = dyn_simrandom_next(&self->random);

		memcpy(self->object_bytes + at + i, &word, size - i < 8 ? size - i : 8);
	}
}

static void
draw_head(struct crash_load *self, struct dyn_write *write)
{
	uint64_t word = dyn_simrandom_next(&self->random);

	write->hash = dyn_simrandom_next(&self->random);
	write->held_at_ms = word >> 16;
	write->slots = (uint8_t) (1 + word % UINT8_MAX);
	write->flags = (uint8_t) (word >> 8) & 3;
}

static void
draw_write(struct crash_load *self, struct dyn_write *write,
		   struct crash_change *change, size_t *used)
{
	const struct crash_key *key;
	uint32_t size = 0;

	change->key =
		(uint32_t) dyn_simrandom_below(&self->random, self->habits.key_count);
	key = &self->keys[change->key];
	*write = (struct dyn_write){ .table = key->table, .key = key->place };
	if (!dyn_simrandom_chance(&self->random, self->habits.delete_rate))
		size = draw_size(self);
	if (size > 0)
		draw_head(self, write);
	fill(self, *used, size);
	write->object = (struct dyn_slice){ self->object_bytes + *used, size };
	*used += size;
	change->digest = 0;
	if (size != 0)
		change->digest = crash_load_digest(
			key, &(struct dyn_loaded){ .hash = write->hash,
									   .held_at_ms = write->held_at_ms,
									   .slots = write->slots,
									   .flags = write->flags,
									   .object = write->object });
	self->now[change->key] = change->digest;
}

uint32_t
crash_load_next(struct crash_load *self,
				struct dyn_write writes[CRASH_WRITES_MAX])
{
	uint32_t count = (uint32_t) dyn_simrandom_between(&self->random, 1,
													  self->habits.writes_max);
	struct crash_batch *batch;
	size_t used = 0;

	if (self->object_bytes == NULL)
		self->object_bytes =
			dyn_memory_take((size_t) CRASH_WRITES_MAX *
							(self->habits.big_max + self->habits.size_max));
	self->batches =
		dyn_memory_reserve(self->batches, self->batch_count,
						   &self->batch_capacity, sizeof(*self->batches));
	batch = &self->batches[self->batch_count++];
	batch->change_count = count;
	for (uint32_t i = 0; i < count; i++)
		draw_write(self, &writes[i], &batch->changes[i], &used);
	self->sums = dyn_memory_reserve(self->sums, self->batch_count,
									&self->sum_capacity, sizeof(*self->sums));
	self->sums[self->batch_count] = sum_of(self->now);
	return count;
}

/* ---- records and states ---- */

/* Never 0. */
uint64_t
crash_load_digest(const struct crash_key *key, const struct dyn_loaded *record)
{
	uint64_t head[] = { (uint64_t) key->table,
						XXH3_64bits(key->place.key.data, key->place.key.size),
						record->hash,
						record->held_at_ms,
						record->slots,
						record->flags,
						record->object.size };

	/* META has no room for the rest, and only HINTS know slots. */
	if (key->table == DYN_TABLE_META)
		head[2] = head[3] = head[5] = 0;
	if (key->table != DYN_TABLE_HINTS)
		head[4] = 0;
	return XXH3_64bits_withSeed(record->object.data, record->object.size,
								XXH3_64bits(head, sizeof(head))) |
		   1;
}

uint32_t
crash_load_find_key(const struct crash_load *self, enum dyn_table table,
					struct dyn_slice bucket, struct dyn_slice key)
{
	const struct crash_key *found;
	char number[5] = "";
	unsigned index;

	if (key.size < 5)
		return CRASH_KEYS_MAX;
	memcpy(number, key.data, 4);
	if (sscanf(number, "%4x", &index) != 1 || index >= self->habits.key_count)
		return CRASH_KEYS_MAX;
	found = &self->keys[index];
	if (found->table != table || !dyn_slice_equal(found->place.key, key) ||
		!dyn_slice_equal(found->place.bucket, bucket))
		return CRASH_KEYS_MAX;
	return index;
}

void
crash_load_state(const struct crash_load *self, uint32_t state,
				 uint64_t digests[CRASH_KEYS_MAX])
{
	memcpy(digests, self->start, sizeof(self->start));
	for (uint32_t i = 0; i < state; i++)
		for (uint32_t j = 0; j < self->batches[i].change_count; j++)
			digests[self->batches[i].changes[j].key] =
				self->batches[i].changes[j].digest;
}

bool
crash_load_find_state(const struct crash_load *self,
					  const uint64_t digests[CRASH_KEYS_MAX], uint32_t first,
					  uint32_t last, uint32_t *state)
{
	uint64_t expected[CRASH_KEYS_MAX];
	uint64_t sum = sum_of(digests);

	for (uint32_t i = first; i <= last; i++)
	{
		if (self->sums[i] != sum)
			continue;
		crash_load_state(self, i, expected);
		if (memcmp(expected, digests, sizeof(expected)) != 0)
			continue;
		*state = i;
		return true;
	}
	return false;
}

bool
crash_load_was(const struct crash_load *self, uint32_t key, uint64_t digest)
{
	if (digest == 0)
		return true;
	for (uint32_t i = 0; i < self->past_count; i++)
		if (self->past[i].key == key && self->past[i].digest == digest)
			return true;
	for (uint32_t i = 0; i < self->batch_count; i++)
		for (uint32_t j = 0; j < self->batches[i].change_count; j++)
			if (self->batches[i].changes[j].key == key &&
				self->batches[i].changes[j].digest == digest)
				return true;
	return false;
}
