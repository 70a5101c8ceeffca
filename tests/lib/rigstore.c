/*
 * The stores of the cores in a unit test: what corerig.c makes of an effect
 * for a store comes here, and the completion goes back to it as an event.
 * Records are a sorted array; nothing is looked up faster than that.
 */
#include "rigstore.h"

#include "model/hash.h"
#include "model/tree.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
order(const struct corerig_record *record, struct dyn_slice bucket,
	  uint16_t cell, struct dyn_slice key)
{
	int by_bucket = dyn_slice_compare(dyn_slice_of(record->bucket), bucket);

	if (by_bucket != 0)
		return by_bucket;
	if (record->cell != cell)
		return record->cell < cell ? -1 : 1;
	return dyn_slice_compare(dyn_slice_of(record->key), key);
}

static uint32_t
seek(const struct corerig_store *store, struct dyn_slice bucket, uint16_t cell,
	 struct dyn_slice key)
{
	uint32_t low = 0;
	uint32_t high = store->count;

	while (low < high)
	{
		uint32_t middle = (low + high) / 2;

		if (order(&store->records[middle], bucket, cell, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct dyn_slice
keep(struct dyn_arena *arena, const void *bytes, size_t size)
{
	return dyn_arena_copy(arena, (struct dyn_slice){ bytes, size });
}

static char *
text_of(struct dyn_slice bytes)
{
	char *text = calloc(1, bytes.size + 1);

	memcpy(text, bytes.data, bytes.size);
	return text;
}

static uint64_t
item_of(const struct corerig_record *record, uint32_t *leaf)
{
	uint64_t position = dyn_hash_position(dyn_slice_of(record->bucket),
										  dyn_slice_of(record->key));

	*leaf = dyn_tree_leaf(position);
	return dyn_tree_item(position, record->hash);
}

static void
free_record(struct corerig_record *record)
{
	free(record->bucket);
	free(record->key);
	free(record->object);
}

void
rigstore_init(struct corerig_store *store)
{
	memset(store, 0, sizeof(*store));
	store->leaves = calloc(DYN_TREE_LEAF_COUNT, sizeof(*store->leaves));
}

void
rigstore_free(struct corerig_store *store)
{
	for (uint32_t r = 0; r < store->count; r++)
		free_record(&store->records[r]);
	free(store->records);
	free(store->leaves);
	for (int m = 0; m < CORERIG_META_MAX; m++)
		free(store->meta[m].bytes);
	memset(store, 0, sizeof(*store));
}

void
rigstore_put(struct corerig_store *store, const struct dyn_write *write)
{
	struct dyn_slice bucket = write->key.bucket;
	struct dyn_slice key = write->key.key;
	struct dyn_slice object = write->object;
	uint16_t cell = write->key.cell;
	uint32_t i = seek(store, bucket, cell, key);
	struct corerig_record *record = &store->records[i];

	if (i < store->count && order(record, bucket, cell, key) == 0)
	{
		store->leaves[record->leaf] ^= record->item;
		free_record(record);
		memmove(record, record + 1,
				(--store->count - i) * sizeof(*store->records));
	}
	if (object.size == 0)
		return;
	if (store->count == store->capacity)
	{
		store->capacity = store->capacity ? 2 * store->capacity : 64;
		store->records =
			realloc(store->records, store->capacity * sizeof(*store->records));
	}
	record = &store->records[i];
	memmove(record + 1, record, (store->count++ - i) * sizeof(*store->records));
	*record = (struct corerig_record){ .bucket = text_of(bucket),
									   .key = text_of(key),
									   .cell = cell,
									   .hash = write->hash,
									   .held_at_ms = write->held_at_ms,
									   .flags = write->flags,
									   .slots = write->slots,
									   .object_size = object.size };
	record->object = malloc(object.size);
	memcpy(record->object, object.data, object.size);
	record->item = item_of(record, &record->leaf);
	store->leaves[record->leaf] ^= record->item;
}

void
rigstore_put_meta(struct corerig_store *store, const struct dyn_write *write)
{
	char *name = text_of(write->key.key);

	for (int i = 0; i < CORERIG_META_MAX; i++)
		if (store->meta[i].name[0] == 0 ||
			strcmp(store->meta[i].name, name) == 0)
		{
			snprintf(store->meta[i].name, sizeof(store->meta[i].name), "%s",
					 name);
			free(store->meta[i].bytes);
			store->meta[i].bytes = malloc(write->object.size);
			memcpy(store->meta[i].bytes, write->object.data,
				   write->object.size);
			store->meta[i].size = write->object.size;
			break;
		}
	free(name);
}

struct corerig_record *
rigstore_find(struct corerig_store *store, struct dyn_slice bucket,
			  uint16_t cell, struct dyn_slice key)
{
	uint32_t i = seek(store, bucket, cell, key);

	return i < store->count && order(&store->records[i], bucket, cell, key) == 0
			   ? &store->records[i]
			   : NULL;
}

void
rigstore_write(struct corerig_store *store, struct corerig_store *hints,
			   const struct dyn_effect *effect, struct dyn_event *event)
{
	event->stored.token = effect->store.token;
	if (store->aborts)
	{
		event->stored.status = DYN_STATUS_ABORTED;
		return;
	}
	for (uint32_t i = 0; i < effect->store.write_count; i++)
	{
		const struct dyn_write *write = &effect->store.writes[i];

		if (write->table == DYN_TABLE_META)
			rigstore_put_meta(store, write);
		else if (write->table == DYN_TABLE_MAIN)
		{
			rigstore_put(store, write);
			store->writes++;
		}
		else
			rigstore_put(hints, write);
	}
}

void
rigstore_load(const struct corerig_store *store,
			  const struct dyn_effect *effect, struct dyn_event *event,
			  struct dyn_arena *arena)
{
	uint32_t count = effect->load.key_count;
	struct dyn_loaded *records =
		dyn_arena_allocate(arena, count * sizeof(*records));

	for (uint32_t i = 0; i < count; i++)
	{
		const struct dyn_record_key *key = &effect->load.keys[i];
		uint32_t at = seek(store, key->bucket, key->cell, key->key);
		const struct corerig_record *record = &store->records[at];

		records[i] = (struct dyn_loaded){ .state = DYN_LOADED_ABSENT };
		if (store->doubted != NULL &&
			dyn_slice_equal(key->key, dyn_slice_of(store->doubted)))
			records[i].state = DYN_LOADED_DOUBTED;
		if (at == store->count ||
			order(record, key->bucket, key->cell, key->key) != 0)
			continue;
		records[i].state =
			record->damaged ? DYN_LOADED_CORRUPT : DYN_LOADED_FOUND;
		if (record->damaged)
			continue;
		records[i].hash = record->hash;
		records[i].held_at_ms = record->held_at_ms;
		records[i].flags = record->flags;
		records[i].slots = record->slots;
		if (!effect->load.hash_only)
			records[i].object =
				keep(arena, record->object, record->object_size);
	}
	event->loaded.token = effect->load.token;
	event->loaded.records = records;
	event->loaded.record_count = count;
}

static bool
scan_wants(const struct dyn_effect *effect, const struct corerig_record *record)
{
	struct dyn_slice bucket = effect->scan.bucket.size != 0
								  ? effect->scan.bucket
								  : effect->scan.after_bucket;

	if (record->cell < effect->scan.cell_first ||
		record->cell > effect->scan.cell_last)
		return false;
	if (effect->scan.bucket.size != 0 &&
		!dyn_slice_equal(dyn_slice_of(record->bucket), effect->scan.bucket))
		return false;
	return !effect->scan.has_after ||
		   order(record, bucket, effect->scan.after_cell,
				 effect->scan.after_key) > 0;
}

static struct dyn_scanned
scanned(struct dyn_arena *arena, const struct dyn_effect *effect,
		const struct corerig_record *record)
{
	struct dyn_scanned item = {
		.state = DYN_LOADED_CORRUPT,
		.bucket = keep(arena, record->bucket, strlen(record->bucket)),
		.cell = record->cell,
		.key = keep(arena, record->key, strlen(record->key))
	};

	if (record->damaged)
		return item;
	item.state = DYN_LOADED_FOUND;
	item.hash = record->hash;
	item.held_at_ms = record->held_at_ms;
	item.flags = record->flags;
	item.slots = record->slots;
	if (!effect->scan.hash_only)
		item.object = keep(arena, record->object, record->object_size);
	return item;
}

static bool
has_damage(const struct corerig_store *store)
{
	for (uint32_t i = 0; i < store->count; i++)
		if (store->records[i].damaged)
			return true;
	return false;
}

void
rigstore_scan(const struct corerig_store *store,
			  const struct dyn_effect *effect, struct dyn_event *event,
			  struct dyn_arena *arena)
{
	uint32_t max = effect->scan.items_max;
	const struct corerig_record *last = NULL;
	struct dyn_scanned *items;
	uint32_t count = 0;
	uint32_t visits = 0;

	if (max > store->count)
		max = store->count;
	items = dyn_arena_allocate(arena, (max + 1) * sizeof(*items));
	event->scanned.token = effect->scan.token;
	if (store->spoils && has_damage(store) && !effect->scan.for_damage)
	{
		event->scanned.status = DYN_STATUS_IO_ERROR;
		return;
	}
	event->scanned.items = items;
	event->scanned.end = true;
	for (uint32_t i = 0; i < store->count && event->scanned.end; i++)
	{
		const struct corerig_record *record = &store->records[i];
		bool wanted = effect->scan.flags == 0 || record->damaged ||
					  (record->flags & effect->scan.flags) != 0;

		if (!scan_wants(effect, record))
			continue;
		if ((wanted && count == effect->scan.items_max) ||
			(effect->scan.visits_max != 0 && visits == effect->scan.visits_max))
		{
			event->scanned.end = false;
			continue;
		}
		visits++;
		last = record;
		if (wanted)
			items[count++] = scanned(arena, effect, record);
	}
	event->scanned.item_count = count;
	if (event->scanned.end)
		return;
	event->scanned.after_bucket =
		keep(arena, last->bucket, strlen(last->bucket));
	event->scanned.after_cell = last->cell;
	event->scanned.after_key = keep(arena, last->key, strlen(last->key));
}

void
rigstore_tree(const struct corerig_store *store,
			  const struct dyn_effect *effect, struct dyn_event *event,
			  struct dyn_arena *arena)
{
	uint32_t count = effect->tree.node_count;
	uint32_t below = dyn_tree_leaves_below(effect->tree.level);
	uint64_t *hashes = dyn_arena_allocate(arena, count * sizeof(*hashes));

	for (uint32_t i = 0; i < count; i++)
	{
		uint32_t first =
			dyn_tree_leaf_first(effect->tree.level, effect->tree.nodes[i]);

		assert(i == 0 || effect->tree.nodes[i] > effect->tree.nodes[i - 1]);
		hashes[i] = 0;
		for (uint32_t j = 0; j < below; j++)
			hashes[i] ^= store->leaves[first + j];
	}
	event->tree.token = effect->tree.token;
	event->tree.hashes = hashes;
	event->tree.hash_count = count;
}

bool
rigstore_tree_is_right(const struct corerig_store *store)
{
	uint64_t *leaves = calloc(DYN_TREE_LEAF_COUNT, sizeof(*leaves));
	bool right;

	for (uint32_t i = 0; i < store->count; i++)
	{
		uint32_t leaf;
		uint64_t item = item_of(&store->records[i], &leaf);

		leaves[leaf] ^= item;
	}
	right = memcmp(leaves, store->leaves,
				   DYN_TREE_LEAF_COUNT * sizeof(*leaves)) == 0;
	free(leaves);
	return right;
}
