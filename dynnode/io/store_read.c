#include "io/store_read.h"

#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "io/record.h"

static struct dyn_slice
slice_of(MDB_val value)
{
	return (struct dyn_slice){ value.mv_data, value.mv_size };
}

static MDB_val
val_of(struct dyn_slice slice)
{
	return (MDB_val){ slice.size, (void *) slice.data };
}

/* Not zeroed: it is overwritten at once. */
static uint8_t *
take_bytes(size_t size)
{
	uint8_t *bytes = malloc(size ? size : 1);

	if (bytes == NULL)
		abort();
	return bytes;
}

static void
move_slice(struct dyn_slice *slice, uint8_t **to)
{
	if (slice->size == 0)
	{
		*slice = (struct dyn_slice){ NULL, 0 };
		return;
	}
	memcpy(*to, slice->data, slice->size);
	slice->data = *to;
	*to += slice->size;
}

struct dyn_store_completion *
dyn_store_completion_new(enum dyn_event_type type)
{
	struct dyn_store_completion *self = dyn_memory_take(sizeof(*self));

	self->event.type = type;
	return self;
}

void
dyn_store_completion_destroy(struct dyn_store_completion *self)
{
	dyn_memory_give(self->items);
	free(self->bytes);
	dyn_memory_give(self);
}

/* LMDB's own word for damage, or something else that kept us from reading. */
static enum dyn_loaded_state
state_of_failure(int code)
{
	if (code == MDB_CORRUPTED || code == MDB_PAGE_NOTFOUND)
		return DYN_LOADED_CORRUPT;
	return DYN_LOADED_IO_ERROR;
}

/* ---- LOAD ---- */

/* Is the record where this move leads (if it leads to one) a sound one? */
static bool
is_sound_at(MDB_cursor *cursor, MDB_cursor_op move, MDB_val key, int *code)
{
	MDB_val value;

	*code = mdb_cursor_get(cursor, &key, &value, move);
	if (*code == MDB_NOTFOUND)
		return true;
	return *code == 0 &&
		   dyn_record_head_is_sound(slice_of(key), slice_of(value));
}

/* Is the absence of this key believable? */
static bool
are_neighbours_sound(struct dyn_store_reader *reader, MDB_dbi table,
					 struct dyn_slice name)
{
	MDB_cursor *cursor;
	bool sound;
	int code;

	if (mdb_cursor_open(reader->txn, table, &cursor) != 0)
		return false;
	sound = is_sound_at(cursor, MDB_SET_RANGE, val_of(name), &code);
	if (sound)
		sound = is_sound_at(cursor, code == 0 ? MDB_PREV : MDB_LAST,
							val_of(name), &code);
	mdb_cursor_close(cursor);
	return sound;
}

static void
load_one(struct dyn_store_reader *reader, MDB_dbi table,
		 const struct dyn_record_key *key, struct dyn_loaded *out)
{
	struct dyn_record_name name;
	struct dyn_record record;
	MDB_val lookup;
	MDB_val value;
	int code;

	out->state = DYN_LOADED_IO_ERROR;
	if (key->key.size == 0 || dyn_record_name_make(key, &name))
		return;
	lookup = val_of(dyn_record_name_slice(&name));
	code = mdb_get(reader->txn, table, &lookup, &value);
	if (code == MDB_NOTFOUND)
		out->state =
			are_neighbours_sound(reader, table, dyn_record_name_slice(&name))
				? DYN_LOADED_ABSENT
				: DYN_LOADED_CORRUPT;
	else if (code != 0)
		out->state = state_of_failure(code);
	else if (dyn_record_decode(slice_of(lookup), slice_of(value), &record))
		out->state = DYN_LOADED_CORRUPT;
	else
	{
		out->state = DYN_LOADED_FOUND;
		out->hash = record.hash;
		out->slots = record.slots;
		out->object = record.object;
	}
}

/* The slices still point into the map: bring them to memory of our own. */
static void *
copy_loaded(struct dyn_loaded *records, uint32_t count)
{
	uint8_t *bytes;
	uint8_t *at;
	size_t size = 0;

	for (uint32_t i = 0; i < count; i++)
		size += records[i].object.size;
	bytes = at = take_bytes(size);
	for (uint32_t i = 0; i < count; i++)
		move_slice(&records[i].object, &at);
	return bytes;
}

struct dyn_store_completion *
dyn_store_read_load(struct dyn_store_reader *reader,
					const struct dyn_effect *effect, uint64_t *corrupt)
{
	struct dyn_store_completion *self =
		dyn_store_completion_new(DYN_EVENT_LOADED);
	uint32_t count = effect->load.key_count;
	struct dyn_loaded *records = dyn_memory_take(count * sizeof(*records));
	bool begun = dyn_store_reader_begin(reader) == 0;

	for (uint32_t i = 0; i < count; i++)
	{
		records[i].state = DYN_LOADED_IO_ERROR;
		if (begun)
			load_one(reader, reader->env->tables[effect->load.table],
					 &effect->load.keys[i], &records[i]);
		*corrupt += records[i].state == DYN_LOADED_CORRUPT;
		if (effect->load.hash_only)
			records[i].object = (struct dyn_slice){ NULL, 0 };
	}
	self->items = records;
	self->bytes = copy_loaded(records, count);
	if (begun)
		dyn_store_reader_end(reader);
	self->event.loaded.token = effect->load.token;
	self->event.loaded.records = records;
	self->event.loaded.record_count = count;
	return self;
}

/* ---- SCAN ---- */

struct page
{
	const struct dyn_effect *effect; /* the SCAN */
	MDB_cursor *cursor;
	struct dyn_scanned *items;
	uint32_t count;
	uint32_t capacity;
	size_t size;   /* of keys and objects */
	uint16_t cell; /* of the last item, or where the page begins */
	struct dyn_slice key;
	bool end;
};

/* A record as the cursor finds it. */
struct found
{
	struct dyn_slice name;
	struct dyn_slice value;
	uint16_t cell;
	struct dyn_slice key;
};

enum outcome
{
	FOUND,
	END,
	DAMAGED
};

static int
compare(struct dyn_slice a, struct dyn_slice b)
{
	size_t size = a.size < b.size ? a.size : b.size;
	int order = size ? memcmp(a.data, b.data, size) : 0;

	if (order != 0)
		return order;
	return a.size < b.size ? -1 : a.size > b.size;
}

/* The first key of a cell that the range can hold. */
static struct dyn_slice
lowest_key(const struct dyn_effect *effect)
{
	if (compare(effect->scan.prefix, effect->scan.key_min) > 0)
		return effect->scan.prefix;
	return effect->scan.key_min;
}

static bool
is_above_range(const struct dyn_effect *effect, struct dyn_slice key)
{
	struct dyn_slice prefix = effect->scan.prefix;

	if (effect->scan.key_max.size != 0 &&
		compare(key, effect->scan.key_max) > 0)
		return true;
	if (prefix.size == 0 || compare(key, prefix) < 0)
		return false;
	return key.size < prefix.size ||
		   memcmp(key.data, prefix.data, prefix.size) != 0;
}

static enum outcome
outcome_of(struct page *page, int code, MDB_val name, MDB_val value,
		   struct found *out)
{
	struct dyn_slice bucket = page->effect->scan.bucket;
	bool inside;

	if (code == MDB_NOTFOUND)
		return END;
	if (code != 0)
		return DAMAGED;
	out->name = slice_of(name);
	out->value = slice_of(value);
	inside = dyn_record_name_split(out->name, bucket, &out->cell, &out->key) &&
			 out->cell <= page->effect->scan.cell_last;
	if (inside)
		return FOUND;
	/* Believe in the end of the range only if a sound record says so. */
	return dyn_record_head_is_sound(out->name, out->value) ? END : DAMAGED;
}

/*
 * A damaged key sends the search past itself, and past sound ones beside it;
 * it then lies just before the place where the search ended.  So that record
 * has to be sound, unless the key itself was found.
 */
static bool
is_place_believable(struct page *page, int code)
{
	MDB_val name = { 0, NULL };
	bool sound;

	sound =
		is_sound_at(page->cursor, code == 0 ? MDB_PREV : MDB_LAST, name, &code);
	/* Back again; where there is no record before, the cursor stayed. */
	if (code == 0)
		mdb_cursor_get(page->cursor, &name, &(MDB_val){ 0, NULL }, MDB_NEXT);
	return sound;
}

static enum outcome
seek(struct page *page, uint16_t cell, struct dyn_slice key, struct found *out)
{
	struct dyn_record_key place = { page->effect->scan.bucket, cell, key };
	struct dyn_record_name name;
	MDB_val lookup;
	MDB_val value = { 0, NULL };
	int code;

	if (dyn_record_name_make(&place, &name) != DYN_STATUS_OK)
		return DAMAGED;
	lookup = val_of(dyn_record_name_slice(&name));
	code = mdb_cursor_get(page->cursor, &lookup, &value, MDB_SET_RANGE);
	if ((code == 0 || code == MDB_NOTFOUND) &&
		!(code == 0 &&
		  compare(slice_of(lookup), dyn_record_name_slice(&name)) == 0) &&
		!is_place_believable(page, code))
		return DAMAGED;
	return outcome_of(page, code, lookup, value, out);
}

static enum outcome
step(struct page *page, struct found *out)
{
	MDB_val name = { 0, NULL };
	MDB_val value = { 0, NULL };
	int code = mdb_cursor_get(page->cursor, &name, &value, MDB_NEXT);

	return outcome_of(page, code, name, value, out);
}

/* From a found record to the first one at or after it in the key range:
 * at most one seek for each occupied cell and its lowest key. */
static enum outcome
settle(struct page *page, enum outcome outcome, struct found *found)
{
	const struct dyn_effect *effect = page->effect;
	struct dyn_slice lowest = lowest_key(effect);

	while (outcome == FOUND)
	{
		uint16_t cell = found->cell;

		bool is_below = compare(found->key, lowest) < 0;

		if (!is_below && !is_above_range(effect, found->key))
			break;
		/* Nothing is passed over on the word of a damaged key. */
		if (!dyn_record_head_is_sound(found->name, found->value))
			return DAMAGED;
		if (is_below)
			outcome = seek(page, cell, lowest, found);
		else if (cell >= effect->scan.cell_last)
			return END;
		else
			outcome = seek(page, (uint16_t) (cell + 1), lowest, found);
		/* A seek never goes back, unless a page lies about its keys. */
		if (outcome == FOUND && found->cell < cell)
			return DAMAGED;
	}
	return outcome;
}

static enum outcome
first(struct page *page, struct found *found)
{
	const struct dyn_effect *effect = page->effect;
	enum outcome outcome;

	page->cell = effect->scan.cell_first;
	if (!effect->scan.has_after ||
		effect->scan.after_cell < effect->scan.cell_first)
		return settle(
			page,
			seek(page, effect->scan.cell_first, lowest_key(effect), found),
			found);
	page->cell = effect->scan.after_cell;
	page->key = effect->scan.after_key;
	outcome = seek(page, page->cell, page->key, found);
	if (outcome == FOUND && found->cell == page->cell &&
		compare(found->key, page->key) == 0)
		outcome = step(page, found);
	return settle(page, outcome, found);
}

/* Keys must ascend from the cursor on, or a reader would go round for ever
 * or miss some. */
static bool
is_ascending(const struct page *page, const struct found *found)
{
	if (found->cell != page->cell)
		return found->cell > page->cell;
	if (page->key.size == 0)
		return found->key.size != 0;
	return compare(found->key, page->key) > 0;
}

/* False when the page has no place for it. */
static bool
add(struct page *page, const struct found *found)
{
	const struct dyn_effect *effect = page->effect;
	struct dyn_record record = { 0 };
	struct dyn_scanned item = { .state = DYN_LOADED_FOUND, .key = found->key };
	size_t size;

	if (dyn_record_decode(found->name, found->value, &record) != DYN_STATUS_OK)
		item.state = DYN_LOADED_CORRUPT;
	item.hash = record.hash;
	item.slots = record.slots;
	if (!effect->scan.hash_only)
		item.object = record.object;
	size = item.key.size + item.object.size;
	if (page->count > 0 && (page->count >= effect->scan.items_max ||
							page->size + size > effect->scan.bytes_max))
		return false;
	page->items = dyn_memory_reserve(page->items, page->count, &page->capacity,
									 sizeof(item));
	page->items[page->count++] = item;
	page->size += size;
	page->cell = found->cell;
	page->key = found->key;
	return true;
}

/* OK, or DAMAGED when what follows cannot be trusted; the page is then
 * worth nothing. */
static enum outcome
fill(struct page *page)
{
	struct found found;
	enum outcome outcome = first(page, &found);

	while (outcome == FOUND)
	{
		if (!is_ascending(page, &found))
			return DAMAGED;
		if (!add(page, &found))
			return FOUND;
		outcome = settle(page, step(page, &found), &found);
	}
	page->end = outcome == END;
	return outcome;
}

static uint64_t
count_corrupt(const struct page *page)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < page->count; i++)
		count += page->items[i].state == DYN_LOADED_CORRUPT;
	return count;
}

/* Everything that the page points to moves out of the map. */
static void
finish(struct page *page, struct dyn_store_completion *out)
{
	uint8_t *at;

	out->bytes = at = take_bytes(page->size);
	for (uint32_t i = 0; i < page->count; i++)
	{
		move_slice(&page->items[i].key, &at);
		move_slice(&page->items[i].object, &at);
	}
	out->items = page->items;
	out->event.scanned.items = page->items;
	out->event.scanned.item_count = page->count;
	out->event.scanned.end = page->end;
	if (page->end)
		return;
	out->event.scanned.after_cell = page->cell;
	out->event.scanned.after_key = page->items[page->count - 1].key;
}

static enum dyn_status
scan(struct dyn_store_reader *reader, struct page *page,
	 struct dyn_store_completion *out)
{
	enum outcome outcome;

	if (mdb_cursor_open(reader->txn,
						reader->env->tables[page->effect->scan.table],
						&page->cursor) != 0)
		return DYN_STATUS_IO_ERROR;
	outcome = fill(page);
	mdb_cursor_close(page->cursor);
	if (outcome == DAMAGED)
	{
		dyn_memory_give(page->items);
		return DYN_STATUS_IO_ERROR;
	}
	finish(page, out);
	return DYN_STATUS_OK;
}

struct dyn_store_completion *
dyn_store_read_scan(struct dyn_store_reader *reader,
					const struct dyn_effect *effect, uint64_t *corrupt)
{
	struct dyn_store_completion *self =
		dyn_store_completion_new(DYN_EVENT_SCANNED);
	struct page page = { .effect = effect };

	self->event.scanned.token = effect->scan.token;
	self->event.scanned.status = DYN_STATUS_IO_ERROR;
	if (dyn_store_reader_begin(reader) != 0)
		return self;
	self->event.scanned.status = scan(reader, &page, self);
	if (self->event.scanned.status == DYN_STATUS_OK)
		*corrupt += count_corrupt(&page);
	else
		*corrupt += 1;
	dyn_store_reader_end(reader);
	return self;
}

/* ---- the meta table ---- */

static enum dyn_status
copy_out(const struct dyn_allocator *allocator, struct dyn_slice from,
		 struct dyn_slice *to)
{
	uint8_t *bytes =
		allocator->allocate(allocator->context, from.size ? from.size : 1);

	if (bytes == NULL)
		return DYN_STATUS_NO_MEMORY;
	if (from.size != 0)
		memcpy(bytes, from.data, from.size);
	*to = (struct dyn_slice){ bytes, from.size };
	return DYN_STATUS_OK;
}

static enum dyn_status
copy_meta(MDB_cursor *cursor, const struct dyn_allocator *allocator,
		  struct dyn_slice *names, struct dyn_slice *values, size_t entries,
		  uint32_t *count)
{
	MDB_val name;
	MDB_val value;
	int code;

	for (*count = 0;
		 (code = mdb_cursor_get(cursor, &name, &value, MDB_NEXT)) == 0;
		 ++*count)
	{
		struct dyn_record record;
		enum dyn_status status;

		if (*count >= entries ||
			dyn_record_decode(slice_of(name), slice_of(value), &record))
			return DYN_STATUS_CORRUPT;
		status = copy_out(allocator, slice_of(name), &names[*count]);
		if (status == DYN_STATUS_OK)
			status = copy_out(allocator, record.object, &values[*count]);
		if (status != DYN_STATUS_OK)
			return status;
	}
	if (code != MDB_NOTFOUND)
		return state_of_failure(code) == DYN_LOADED_CORRUPT
				   ? DYN_STATUS_CORRUPT
				   : DYN_STATUS_IO_ERROR;
	return *count == entries ? DYN_STATUS_OK : DYN_STATUS_CORRUPT;
}

static enum dyn_status
read_meta(struct dyn_store_reader *reader,
		  const struct dyn_allocator *allocator, struct dyn_slice **names,
		  struct dyn_slice **values, uint32_t *count)
{
	MDB_dbi table = reader->env->tables[DYN_TABLE_META];
	MDB_stat table_stat;
	MDB_cursor *cursor;
	enum dyn_status status;
	size_t size;

	if (mdb_stat(reader->txn, table, &table_stat) != 0 ||
		mdb_cursor_open(reader->txn, table, &cursor) != 0)
		return DYN_STATUS_IO_ERROR;
	size = (table_stat.ms_entries + 1) * sizeof(struct dyn_slice);
	*names = allocator->allocate(allocator->context, size);
	*values = allocator->allocate(allocator->context, size);
	if (*names == NULL || *values == NULL)
		status = DYN_STATUS_NO_MEMORY;
	else
		status = copy_meta(cursor, allocator, *names, *values,
						   table_stat.ms_entries, count);
	mdb_cursor_close(cursor);
	return status;
}

enum dyn_status
dyn_store_read_meta(struct dyn_store_reader *reader,
					const struct dyn_allocator *allocator,
					struct dyn_slice **names, struct dyn_slice **values,
					uint32_t *count)
{
	enum dyn_status status;

	*names = *values = NULL;
	*count = 0;
	if (dyn_store_reader_begin(reader) != 0)
		return DYN_STATUS_IO_ERROR;
	status = read_meta(reader, allocator, names, values, count);
	dyn_store_reader_end(reader);
	return status;
}
