#include "tests/sim/simdisk.h"

#include <stdlib.h>
#include <string.h>

#include "model/hash.h"

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

struct branch
{
	uint32_t number;
	uint64_t leaves[DYN_TREE_FANOUT];
};

/* Branches in which something hangs, or once did, in order. */
struct tree
{
	struct branch *branches;
	uint32_t count;
	uint32_t capacity;
};

struct dyn_simdisk
{
	struct table tables[TABLE_COUNT];
	struct tree tree;
	bool full;
	uint32_t held_wrong;
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

/* -------------------------------------------------------------------- tree */

static uint32_t
leaf_of(const struct dyn_record_key *key)
{
	uint32_t below = dyn_tree_leaves_below(DYN_TREE_CELL);

	return key->cell * below +
		   dyn_tree_leaf(dyn_hash_position(key->bucket, key->key)) % below;
}

static uint64_t
item_of(const struct dyn_simrecord *record)
{
	return dyn_tree_item(dyn_hash_position(record->key.bucket, record->key.key),
						 record->hash);
}

/* Index of the first branch not before this one. */
static uint32_t
tree_seek(const struct tree *self, uint32_t number)
{
	uint32_t low = 0;
	uint32_t high = self->count;

	while (low < high)
	{
		uint32_t middle = low + (high - low) / 2;

		if (self->branches[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct branch *
tree_branch(struct tree *self, uint32_t number)
{
	uint32_t index = tree_seek(self, number);
	struct branch *branch;

	if (index < self->count && self->branches[index].number == number)
		return &self->branches[index];
	if (self->count == self->capacity)
	{
		self->capacity = self->capacity ? 2 * self->capacity : 64;
		self->branches = dyn_sim_grow(self->branches,
									  self->capacity * sizeof(*self->branches));
	}
	branch = &self->branches[index];
	memmove(branch + 1, branch, (self->count - index) * sizeof(*branch));
	*branch = (struct branch){ .number = number };
	self->count++;
	return branch;
}

static void
tree_change(struct tree *self, const struct dyn_simrecord *record)
{
	uint32_t leaf = leaf_of(&record->key);

	tree_branch(self, leaf / DYN_TREE_FANOUT)->leaves[leaf % DYN_TREE_FANOUT] ^=
		item_of(record);
}

static uint64_t
tree_leaf(const struct tree *self, uint32_t leaf)
{
	uint32_t number = leaf / DYN_TREE_FANOUT;
	uint32_t index = tree_seek(self, number);

	if (index == self->count || self->branches[index].number != number)
		return 0;
	return self->branches[index].leaves[leaf % DYN_TREE_FANOUT];
}

/* A damaged record counts as none. */
static void
tree_recompute(struct tree *self, const struct table *table, uint32_t number)
{
	struct branch *branch = tree_branch(self, number);

	memset(branch->leaves, 0, sizeof(branch->leaves));
	for (uint32_t i = 0; i < table->count; i++)
	{
		const struct dyn_simrecord *record = &table->records[i];

		if (!record->corrupt && record->key.cell == number / DYN_TREE_FANOUT &&
			leaf_of(&record->key) / DYN_TREE_FANOUT == number)
			tree_change(self, record);
	}
}

uint64_t
dyn_simdisk_tree_hash(const struct dyn_simdisk *self, enum dyn_tree_level level,
					  uint32_t node)
{
	const struct tree *tree = &self->tree;
	uint32_t first = dyn_tree_leaf_first(level, node);
	uint32_t end = first + dyn_tree_leaves_below(level);
	uint64_t hash = 0;

	if (level == DYN_TREE_LEAF)
		return tree_leaf(tree, node);
	for (uint32_t i = tree_seek(tree, first / DYN_TREE_FANOUT);
		 i < tree->count && tree->branches[i].number * DYN_TREE_FANOUT < end;
		 i++)
		for (uint32_t l = 0; l < DYN_TREE_FANOUT; l++)
			hash ^= tree->branches[i].leaves[l];
	return hash;
}

static bool
has_damage(const struct table *table, uint32_t branch)
{
	for (uint32_t i = 0; i < table->count; i++)
		if (table->records[i].corrupt &&
			leaf_of(&table->records[i].key) / DYN_TREE_FANOUT == branch)
			return true;
	return false;
}

/* Leaves of a that are other in b, unless damage explains it. */
static uint32_t
count_differences(const struct tree *a, const struct tree *b,
				  const struct table *table)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < a->count; i++)
	{
		const struct branch *branch = &a->branches[i];
		uint32_t wrong = 0;

		for (uint32_t l = 0; l < DYN_TREE_FANOUT; l++)
			wrong += branch->leaves[l] !=
					 tree_leaf(b, branch->number * DYN_TREE_FANOUT + l);
		if (wrong > 0 && !has_damage(table, branch->number))
			count += wrong;
	}
	return count;
}

uint32_t
dyn_simdisk_tree_wrong(const struct dyn_simdisk *self)
{
	const struct table *table = &self->tables[DYN_TABLE_MAIN];
	struct tree true_tree = { 0 };
	uint32_t count;

	for (uint32_t i = 0; i < table->count; i++)
		if (!table->records[i].corrupt)
			tree_change(&true_tree, &table->records[i]);
	count = count_differences(&self->tree, &true_tree, table);
	for (uint32_t i = 0; i < true_tree.count; i++)
	{
		const struct branch *branch = &true_tree.branches[i];
		uint32_t at = tree_seek(&self->tree, branch->number);

		/* Those of both were compared. */
		if ((at == self->tree.count ||
			 self->tree.branches[at].number != branch->number) &&
			!has_damage(table, branch->number))
			count++;
	}
	free(true_tree.branches);
	return count;
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
	free((*self)->tree.branches);
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

static void
put_record(struct table *table, uint32_t index, bool present,
		   const struct dyn_simrecord *from)
{
	struct dyn_simrecord *record =
		present ? &table->records[index] : make_room(table, index);

	if (!present)
		record->key = copy_key(&from->key);
	dyn_simblob_hold(from->object);
	dyn_simblob_release(record->object);
	record->object = from->object;
	record->hash = from->hash;
	record->held_at_ms = from->held_at_ms;
	record->slots = from->slots;
	record->flags = from->flags;
	record->corrupt = false;
}

static void
note_held(struct dyn_simdisk *self, const struct dyn_simrecord *old,
		  const struct dyn_simrecord *record)
{
	if (old->hash == record->hash && old->held_at_ms != 0 &&
		old->held_at_ms != record->held_at_ms)
		self->held_wrong++;
}

uint32_t
dyn_simdisk_held_wrong(const struct dyn_simdisk *self)
{
	return self->held_wrong;
}

void
dyn_simdisk_put(struct dyn_simdisk *self, enum dyn_table which,
				const struct dyn_simrecord *from)
{
	const struct dyn_record_key *key = &from->key;
	struct table *table = &self->tables[which];
	uint32_t index = dyn_simdisk_seek(self, which, key);
	bool present = is_at(table, index, key);
	bool doubted = present && table->records[index].corrupt;

	self->version++;
	if (which != DYN_TABLE_META && present && !doubted && from->object != NULL)
		note_held(self, &table->records[index], from);
	if (which == DYN_TABLE_MAIN && present && !doubted)
		tree_change(&self->tree, &table->records[index]);
	if (which == DYN_TABLE_MAIN && from->object != NULL && !doubted)
		tree_change(&self->tree, from);
	if (from->object != NULL)
		put_record(table, index, present, from);
	else if (present)
		remove_record(table, index);
	if (which == DYN_TABLE_MAIN && doubted)
		tree_recompute(&self->tree, table, leaf_of(key) / DYN_TREE_FANOUT);
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
