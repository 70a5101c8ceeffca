#include "tests/sim/simdisk.h"

#include <stdlib.h>
#include <string.h>

#include "model/hash.h"
#include "tests/sim/simdisk_tree.h"
#include "tests/sim/simreal.h"

enum
{
	TABLE_COUNT = 3, /* by enum dyn_table */
	/* As io/store/write.c has it. */
	RECORD_HEAD_SIZE = 40,
	RESTORE_SIZE_MAX = 16 * 1024
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
	struct dyn_simtree tree;
	struct dyn_simreal *real; /* NULL: there is none */
	bool full;
	uint32_t largest;
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
	free(record->true_key);
	dyn_simblob_release(record->object);
}

struct dyn_record_key
dyn_simrecord_place(const struct dyn_simrecord *self)
{
	struct dyn_record_key place = self->key;

	if (self->true_key != NULL)
		place.key.data = self->true_key;
	return place;
}

/* -------------------------------------------------------------------- disk */

struct dyn_simdisk *
dyn_simdisk_new(void)
{
	return dyn_sim_allocate(sizeof(struct dyn_simdisk));
}

struct dyn_simdisk *
dyn_simdisk_new_beside(struct dyn_simreal *real)
{
	struct dyn_simdisk *self = dyn_simdisk_new();

	self->real = real;
	return self;
}

struct dyn_simreal *
dyn_simdisk_real(const struct dyn_simdisk *self)
{
	return self->real;
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
	free((*self)->tree.branches);
	if ((*self)->real != NULL)
		(*self)->real->ops->free((*self)->real);
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

uint32_t
dyn_simdisk_largest(const struct dyn_simdisk *self)
{
	return self->largest;
}

/* Is this the record of the key, with damage in its own one? */
static bool
was_at(const struct table *table, uint32_t index,
	   const struct dyn_record_key *key)
{
	struct dyn_record_key place;

	if (index >= table->count || table->records[index].true_key == NULL)
		return false;
	place = dyn_simrecord_place(&table->records[index]);
	return dyn_record_key_compare(&place, key) == 0;
}

const struct dyn_simrecord *
dyn_simdisk_get(const struct dyn_simdisk *self, enum dyn_table table,
				const struct dyn_record_key *key)
{
	uint32_t index = dyn_simdisk_seek(self, table, key);
	const struct table *t = &self->tables[table];

	if (is_at(t, index, key) || was_at(t, index, key))
		return &t->records[index];
	return index > 0 && was_at(t, index - 1, key) ? &t->records[index - 1]
												  : NULL;
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

static void
copy_record(struct dyn_simrecord *record, const struct dyn_simrecord *from)
{
	struct dyn_record_key key = record->key;

	dyn_simblob_hold(from->object);
	dyn_simblob_release(record->object);
	free(record->true_key);
	*record = *from;
	record->key = key;
	if (from->true_key == NULL)
		return;
	record->true_key = dyn_sim_allocate(key.key.size);
	memcpy(record->true_key, from->true_key, key.key.size);
}

struct dyn_simdisk *
dyn_simdisk_copy(const struct dyn_simdisk *from)
{
	struct dyn_simdisk *self = dyn_simdisk_new();

	for (int t = 0; t < TABLE_COUNT; t++)
		for (uint32_t i = 0; i < from->tables[t].count; i++)
		{
			const struct dyn_simrecord *old = &from->tables[t].records[i];
			struct dyn_simrecord *record = make_room(&self->tables[t], i);

			record->key = copy_key(&old->key);
			copy_record(record, old);
		}
	dyn_simtree_copy(&self->tree, &from->tree);
	if (from->real != NULL)
		self->real = from->real->ops->copy(from->real);
	return self;
}

/* ------------------------------------------------------------------ commits */

static void
put_record(struct table *table, uint32_t index, bool present,
		   const struct dyn_simrecord *from)
{
	struct dyn_simrecord *record;

	if (from->object == NULL)
	{
		if (present)
			remove_record(table, index);
		return;
	}
	record = present ? &table->records[index] : make_room(table, index);
	if (!present)
		record->key = copy_key(&from->key);
	copy_record(record, from);
	record->corrupt = record->headless = false;
}

struct write
{
	enum dyn_table table;
	const struct dyn_simrecord *record;
	uint32_t order;
};

static int
compare_places(const struct write *a, const struct write *b)
{
	if (a->table != b->table)
		return a->table < b->table ? -1 : 1;
	return dyn_record_key_compare(&a->record->key, &b->record->key);
}

static int
compare_writes(const void *left, const void *right)
{
	const struct write *a = left;
	const struct write *b = right;
	int order = compare_places(a, b);

	if (order != 0)
		return order;
	return a->order < b->order ? -1 : a->order > b->order;
}

static void
note_sizes(struct dyn_simdisk *self, const struct write *writes, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
	{
		const struct dyn_simblob *object = writes[i].record->object;

		if (object != NULL && object->size > self->largest)
			self->largest = object->size;
	}
}

/* In the order of their places, and of two of one place the later one last:
 * so the real store writes them. */
static struct write *
sort_writes(const struct dyn_simbatch *batches, uint32_t count, uint32_t *total)
{
	struct write *writes;
	uint32_t all = 0;

	for (uint32_t b = 0; b < count; b++)
		all += batches[b].count;
	writes = dyn_sim_allocate(all * sizeof(*writes));
	*total = 0;
	for (uint32_t b = 0; b < count; b++)
		for (uint32_t i = 0; i < batches[b].count; i++)
		{
			writes[*total] = (struct write){ batches[b].tables[i],
											 &batches[b].records[i], *total };
			++*total;
		}
	qsort(writes, all, sizeof(*writes), compare_writes);
	return writes;
}

static bool
is_headless(const struct table *table, uint32_t index)
{
	return index < table->count && table->records[index].headless;
}

/* The search for a key ends here: could damage have hidden it? */
static bool
is_doubted(const struct table *table, uint32_t index, bool present)
{
	return is_headless(table, index) ||
		   (!present && index > 0 && is_headless(table, index - 1));
}

bool
dyn_simdisk_is_absent(const struct dyn_simdisk *self, enum dyn_table table,
					  const struct dyn_record_key *key)
{
	return !is_doubted(&self->tables[table], dyn_simdisk_seek(self, table, key),
					   false);
}

/* A record beside a write gets its key back.  False: it cannot. */
static bool
restore(struct dyn_simdisk *self, struct table *table, uint32_t index)
{
	struct dyn_simrecord *record = &table->records[index];
	struct dyn_simrecord restored = *record;
	uint32_t to;

	if (record->true_key == NULL ||
		RECORD_HEAD_SIZE + record->object->size > RESTORE_SIZE_MAX)
		return false;
	restored.key = dyn_simrecord_place(record);
	restored.key = copy_key(&restored.key);
	restored.true_key = NULL;
	restored.restored = true;
	restored.corrupt = restored.headless = false;
	dyn_simblob_hold(restored.object);
	remove_record(table, index);
	to = dyn_simdisk_seek(self, DYN_TABLE_MAIN, &restored.key);
	if (is_at(table, to, &restored.key))
		free_record(&restored);
	else
		*make_room(table, to) = restored;
	dyn_simtree_recompute(&self->tree, table->records, table->count,
						  &table->records[to].key);
	return true;
}

/* Records beside the place of a write get their keys back, but for the one that
 * it replaces: that goes.  True when there was one. */
static bool
clear_around(struct dyn_simdisk *self, struct table *table,
			 const struct dyn_record_key *key)
{
	for (;;)
	{
		uint32_t index = dyn_simdisk_seek(self, DYN_TABLE_MAIN, key);
		uint32_t at = index;

		if (is_at(table, index, key))
			return false;
		if (!was_at(table, at, key))
		{
			if (is_headless(table, at) && restore(self, table, at))
				continue;
			at = index - 1;
			if (index == 0 || !is_headless(table, at))
				return false;
			if (!was_at(table, at, key))
			{
				if (restore(self, table, at))
					continue;
				return false;
			}
		}
		remove_record(table, at);
		return true;
	}
}

static void
put_main(struct dyn_simdisk *self, struct table *table,
		 const struct dyn_simrecord *from)
{
	bool cleared = clear_around(self, table, &from->key);
	uint32_t index = dyn_simdisk_seek(self, DYN_TABLE_MAIN, &from->key);
	bool present = is_at(table, index, &from->key);
	bool doubted = cleared || is_doubted(table, index, present);

	if (present && !doubted)
		dyn_simtree_change(&self->tree, &table->records[index]);
	if (from->object != NULL && !doubted)
		dyn_simtree_change(&self->tree, from);
	put_record(table, index, present, from);
	if (doubted)
		dyn_simtree_recompute(&self->tree, table->records, table->count,
							  &from->key);
}

/* The last write is the one that counts. */
static void
put_last(struct dyn_simdisk *self, const struct write *writes, uint32_t count)
{
	enum dyn_table which = writes[0].table;
	const struct dyn_simrecord *from = writes[count - 1].record;
	struct table *table = &self->tables[which];
	uint32_t index = dyn_simdisk_seek(self, which, &from->key);
	bool present = is_at(table, index, &from->key);

	if (which == DYN_TABLE_MAIN)
		put_main(self, table, from);
	else
		put_record(table, index, present, from);
}

void
dyn_simdisk_commit(struct dyn_simdisk *self, const struct dyn_simbatch *batches,
				   uint32_t count)
{
	uint32_t total;
	struct write *writes = sort_writes(batches, count, &total);
	uint32_t same;

	self->version++;
	note_sizes(self, writes, total);
	for (uint32_t i = 0; i < total; i += same)
	{
		same = 1;
		while (i + same < total &&
			   compare_places(&writes[i], &writes[i + same]) == 0)
			same++;
		put_last(self, &writes[i], same);
	}
	free(writes);
	if (self->real != NULL)
		self->real->ops->commit(self->real, batches, count);
}

void
dyn_simdisk_put(struct dyn_simdisk *self, enum dyn_table table,
				const struct dyn_simrecord *record)
{
	enum dyn_table tables[1] = { table };
	struct dyn_simrecord records[1] = { *record };

	dyn_simdisk_commit(self, &(struct dyn_simbatch){ tables, records, 1 }, 1);
}

void
dyn_simdisk_corrupt(struct dyn_simdisk *self, uint32_t index, bool head)
{
	struct dyn_simrecord *record = &self->tables[DYN_TABLE_MAIN].records[index];

	self->version++;
	if (record->true_key != NULL ||
		(record->corrupt && (record->headless || !head)))
		return;
	record->corrupt = true;
	record->headless = head;
	if (self->real != NULL)
		self->real->ops->damage(self->real, &record->key, head);
}

/* Does this change of a byte leave it where it stands, but is no key of its
 * cell? */
static bool
may_change(const struct table *table, uint32_t index, size_t at, uint8_t change)
{
	struct dyn_simrecord *record = &table->records[index];
	uint8_t *byte = (uint8_t *) record->key.key.data + at;
	bool may;

	*byte ^= change;
	may = !dyn_hash_is_of_cell(record->key.cell, record->key.bucket,
							   record->key.key) &&
		  (index == 0 || dyn_record_key_compare(&table->records[index - 1].key,
												&record->key) < 0) &&
		  (index + 1 == table->count ||
		   dyn_record_key_compare(&record->key,
								  &table->records[index + 1].key) < 0);
	*byte ^= change;
	return may;
}

static void
change_key(struct dyn_simdisk *self, uint32_t index, size_t at, uint8_t change)
{
	struct dyn_simrecord *record = &self->tables[DYN_TABLE_MAIN].records[index];
	struct dyn_record_key place;

	record->true_key = dyn_sim_allocate(record->key.key.size);
	memcpy(record->true_key, record->key.key.data, record->key.key.size);
	((uint8_t *) record->key.key.data)[at] ^= change;
	record->corrupt = record->headless = true;
	place = dyn_simrecord_place(record);
	self->version++;
	if (self->real != NULL)
		self->real->ops->misname(self->real, &place, &record->key);
}

bool
dyn_simdisk_misname(struct dyn_simdisk *self, uint32_t index)
{
	const struct table *table = &self->tables[DYN_TABLE_MAIN];
	size_t size = table->records[index].key.key.size;

	if (table->records[index].corrupt)
		return false;
	for (size_t at = size; at > 0; at--)
		for (unsigned change = 1; change < 256; change++)
			if (may_change(table, index, at - 1, (uint8_t) change))
			{
				change_key(self, index, at - 1, (uint8_t) change);
				return true;
			}
	return false;
}

/* ------------------------------------------------------------------- looking */

uint64_t
dyn_simdisk_tree_hash(const struct dyn_simdisk *self, enum dyn_tree_level level,
					  uint32_t node)
{
	return dyn_simtree_hash(&self->tree, level, node);
}

uint32_t
dyn_simdisk_tree_wrong(const struct dyn_simdisk *self)
{
	const struct table *table = &self->tables[DYN_TABLE_MAIN];

	return dyn_simtree_wrong(&self->tree, table->records, table->count);
}

const char *
dyn_simdisk_drift(const struct dyn_simdisk *self)
{
	if (self->real == NULL)
		return NULL;
	self->real->ops->compare(self->real, self);
	return self->real->drift[0] != 0 ? self->real->drift : NULL;
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
