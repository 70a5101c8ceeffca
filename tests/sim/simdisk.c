#include "tests/sim/simdisk.h"

#include <stdlib.h>
#include <string.h>

enum
{
	TABLE_COUNT = 3 /* by enum dyn_table */
};

struct table
{
	struct dyn_simrecord *records; /* sorted */
	uint32_t count;
	uint32_t capacity;
};

struct dyn_simdisk
{
	struct table tables[TABLE_COUNT];
	bool full;
	uint64_t version;
};

void *
dyn_sim_allocate(size_t size)
{
	void *memory = calloc(1, size ? size : 1);

	if (memory == NULL)
		abort();
	return memory;
}

void *
dyn_sim_grow(void *memory, size_t size)
{
	memory = realloc(memory, size ? size : 1);
	if (memory == NULL)
		abort();
	return memory;
}

/* ------------------------------------------------------------------- blobs */

struct dyn_simblob *
dyn_simblob_new(struct dyn_slice bytes)
{
	struct dyn_simblob *blob = malloc(sizeof(*blob) + bytes.size);

	if (blob == NULL)
		abort();
	blob->holder_count = 1;
	blob->size = (uint32_t) bytes.size;
	if (bytes.size > 0)
		memcpy(blob->data, bytes.data, bytes.size);
	return blob;
}

struct dyn_simblob *
dyn_simblob_hold(struct dyn_simblob *self)
{
	self->holder_count++;
	return self;
}

void
dyn_simblob_release(struct dyn_simblob *self)
{
	if (self != NULL && --self->holder_count == 0)
		free(self);
}

struct dyn_slice
dyn_simblob_slice(const struct dyn_simblob *self)
{
	struct dyn_slice slice = { self->data, self->size };

	return slice;
}

/* -------------------------------------------------------------------- keys */

int
dyn_record_key_compare(const struct dyn_record_key *a,
					   const struct dyn_record_key *b)
{
	int order = dyn_slice_compare(a->bucket, b->bucket);

	if (order != 0)
		return order;
	if (a->cell != b->cell)
		return a->cell < b->cell ? -1 : 1;
	return dyn_slice_compare(a->key, b->key);
}

/* Bucket and key in one piece of memory, which the bucket's pointer owns. */
static struct dyn_record_key
copy_key(const struct dyn_record_key *key)
{
	uint8_t *bytes = dyn_sim_allocate(key->bucket.size + key->key.size);
	struct dyn_record_key copy = *key;

	if (key->bucket.size > 0)
		memcpy(bytes, key->bucket.data, key->bucket.size);
	if (key->key.size > 0)
		memcpy(bytes + key->bucket.size, key->key.data, key->key.size);
	copy.bucket.data = bytes;
	copy.key.data = bytes + key->bucket.size;
	return copy;
}

static void
free_record(struct dyn_simrecord *record)
{
	free((void *) record->key.bucket.data);
	dyn_simblob_release(record->object);
}

/* -------------------------------------------------------------------- disk */

struct dyn_simdisk *
dyn_simdisk_new(void)
{
	return dyn_sim_allocate(sizeof(struct dyn_simdisk));
}

void
dyn_simdisk_free(struct dyn_simdisk **self)
{
	if (*self == NULL)
		return;
	for (int t = 0; t < TABLE_COUNT; t++)
	{
		struct table *table = &(*self)->tables[t];

		for (uint32_t i = 0; i < table->count; i++)
			free_record(&table->records[i]);
		free(table->records);
	}
	free(*self);
	*self = NULL;
}

uint32_t
dyn_simdisk_count(const struct dyn_simdisk *self, enum dyn_table table)
{
	return self->tables[table].count;
}

const struct dyn_simrecord *
dyn_simdisk_at(const struct dyn_simdisk *self, enum dyn_table table,
			   uint32_t index)
{
	return &self->tables[table].records[index];
}

uint32_t
dyn_simdisk_seek(const struct dyn_simdisk *self, enum dyn_table table,
				 const struct dyn_record_key *key)
{
	const struct table *t = &self->tables[table];
	uint32_t low = 0;
	uint32_t high = t->count;

	while (low < high)
	{
		uint32_t middle = low + (high - low) / 2;

		if (dyn_record_key_compare(&t->records[middle].key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool
is_at(const struct table *table, uint32_t index,
	  const struct dyn_record_key *key)
{
	return index < table->count &&
		   dyn_record_key_compare(&table->records[index].key, key) == 0;
}

const struct dyn_simrecord *
dyn_simdisk_get(const struct dyn_simdisk *self, enum dyn_table table,
				const struct dyn_record_key *key)
{
	uint32_t index = dyn_simdisk_seek(self, table, key);

	if (!is_at(&self->tables[table], index, key))
		return NULL;
	return &self->tables[table].records[index];
}

static struct dyn_simrecord *
make_room(struct table *table, uint32_t index)
{
	struct dyn_simrecord *record;

	if (table->count == table->capacity)
	{
		table->capacity = table->capacity ? 2 * table->capacity : 64;
		table->records = dyn_sim_grow(
			table->records, table->capacity * sizeof(*table->records));
	}
	record = &table->records[index];
	memmove(record + 1, record, (table->count - index) * sizeof(*record));
	memset(record, 0, sizeof(*record));
	table->count++;
	return record;
}

static void
remove_record(struct table *table, uint32_t index)
{
	struct dyn_simrecord *record = &table->records[index];

	free_record(record);
	table->count--;
	memmove(record, record + 1, (table->count - index) * sizeof(*record));
}

void
dyn_simdisk_put(struct dyn_simdisk *self, enum dyn_table which,
				const struct dyn_record_key *key, uint64_t hash, uint8_t slots,
				struct dyn_simblob *object)
{
	struct table *table = &self->tables[which];
	uint32_t index = dyn_simdisk_seek(self, which, key);
	bool present = is_at(table, index, key);
	struct dyn_simrecord *record;

	self->version++;
	if (object == NULL)
	{
		if (present)
			remove_record(table, index);
		return;
	}
	record = present ? &table->records[index] : make_room(table, index);
	if (!present)
		record->key = copy_key(key);
	dyn_simblob_hold(object);
	dyn_simblob_release(record->object);
	record->object = object;
	record->hash = hash;
	record->slots = slots;
	record->corrupt = false;
}

void
dyn_simdisk_corrupt(struct dyn_simdisk *self, uint32_t index)
{
	self->version++;
	self->tables[DYN_TABLE_MAIN].records[index].corrupt = true;
}

void
dyn_simdisk_set_full(struct dyn_simdisk *self, bool full)
{
	self->full = full;
}

bool
dyn_simdisk_is_full(const struct dyn_simdisk *self)
{
	return self->full;
}

uint64_t
dyn_simdisk_version(const struct dyn_simdisk *self)
{
	return self->version;
}
