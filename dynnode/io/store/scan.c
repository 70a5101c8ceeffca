/*
 * A page of a SCAN, on the reader thread of lmdb.c: seek, fill, copy out.  One
 * for_damage is survey.c's way instead.
 */
#include "io/store/scan.h"

#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "io/store/record.h"
#include "io/store/survey.h"
#include "model/arena.h"
#include "model/hash.h"

struct page
{
	const struct dyn_effect *effect; /* the SCAN */
	MDB_cursor *cursor;
	struct dyn_slice bucket; /* the one that is being read */
	struct dyn_scanned *items;
	uint32_t count;
	uint32_t capacity;
	size_t size; /* of keys and objects */
	size_t bucket_size;
	uint16_t cell; /* of the last visit in this bucket, or where it begins */
	struct dyn_slice key;
	uint32_t visits;
	struct dyn_record_key last; /* visited and taken, or passed by */
	uint32_t damaged;           /* for_damage: unsound ones visited since */
	struct dyn_arena names;     /* of records whose own keys are damaged */
	bool end;
};

/* A record as the cursor finds it. */
struct found
{
	struct dyn_slice name;
	struct dyn_slice value;
	struct dyn_record_key place;
};

enum outcome
{
	FOUND,   /* in the bucket and its range of cells */
	OUTSIDE, /* a sound record behind that */
	END,     /* of the table */
	DAMAGED
};

static bool
has_all_buckets(const struct dyn_effect *effect)
{
	return effect->scan.bucket.size == 0;
}

/* The first key of a cell that the range can hold. */
static struct dyn_slice
lowest_key(const struct dyn_effect *effect)
{
	if (dyn_slice_compare(effect->scan.prefix, effect->scan.key_min) > 0)
		return effect->scan.prefix;
	return effect->scan.key_min;
}

static bool
is_above_range(const struct dyn_effect *effect, struct dyn_slice key)
{
	struct dyn_slice prefix = effect->scan.prefix;

	if (effect->scan.key_max.size != 0 &&
		dyn_slice_compare(key, effect->scan.key_max) > 0)
		return true;
	if (prefix.size == 0 || dyn_slice_compare(key, prefix) < 0)
		return false;
	return key.size < prefix.size ||
		   memcmp(key.data, prefix.data, prefix.size) != 0;
}

/* ---- moving the cursor ---- */

static enum outcome
outcome_of(struct page *page, int code, MDB_val name, MDB_val value,
		   struct found *out)
{
	if (code == MDB_NOTFOUND)
		return END;
	if (code != 0)
		return DAMAGED;
	out->name = dyn_store_slice_of(name);
	out->value = dyn_store_slice_of(value);
	if (!dyn_record_name_parse(out->name, &out->place))
		return DAMAGED;
	if (dyn_slice_equal(out->place.bucket, page->bucket) &&
		out->place.cell <= page->effect->scan.cell_last)
		return FOUND;
	/* Believe in the end of the range only if a sound record says so. */
	return dyn_record_head_is_sound(out->name, out->value) ? OUTSIDE : DAMAGED;
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
	bool sound = dyn_store_is_sound_at(
		page->cursor, code == 0 ? MDB_PREV : MDB_LAST, name, &code);
	/* Back again; where there is no record before, the cursor stayed. */
	if (code == 0)
		mdb_cursor_get(page->cursor, &name, &(MDB_val){ 0, NULL }, MDB_NEXT);
	return sound;
}

static enum outcome
seek_name(struct page *page, struct dyn_slice name, struct found *out)
{
	MDB_val lookup = dyn_store_val_of(name);
	MDB_val value = { 0, NULL };
	int code = mdb_cursor_get(page->cursor, &lookup, &value, MDB_SET_RANGE);

	if ((code == 0 || code == MDB_NOTFOUND) &&
		!(code == 0 && dyn_slice_equal(dyn_store_slice_of(lookup), name)) &&
		!is_place_believable(page, code))
		return DAMAGED;
	return outcome_of(page, code, lookup, value, out);
}

static enum outcome
seek(struct page *page, uint16_t cell, struct dyn_slice key, struct found *out)
{
	struct dyn_record_key place = { page->bucket, cell, key };
	struct dyn_record_name name;

	if (dyn_record_name_make(&place, &name) != DYN_STATUS_OK)
		return DAMAGED;
	return seek_name(page, dyn_record_name_slice(&name), out);
}

/* Behind all records of the bucket: its name has no NUL, but each of them
 * has one there. */
static enum outcome
seek_next_bucket(struct page *page, struct found *out)
{
	struct dyn_record_name name;

	dyn_record_name_behind(page->bucket, &name);
	return seek_name(page, dyn_record_name_slice(&name), out);
}

static enum outcome
move(struct page *page, MDB_cursor_op op, struct found *out)
{
	MDB_val name = { 0, NULL };
	MDB_val value = { 0, NULL };
	int code = mdb_cursor_get(page->cursor, &name, &value, op);

	return outcome_of(page, code, name, value, out);
}

/* ---- the next record of the range ---- */

/* Within the bucket, from a found record to the first one at or after it in
 * the key range: at most one seek for each occupied cell and its lowest
 * key. */
static enum outcome
settle_in_bucket(struct page *page, enum outcome outcome, struct found *found)
{
	const struct dyn_effect *effect = page->effect;
	struct dyn_slice lowest = lowest_key(effect);

	while (outcome == FOUND)
	{
		uint16_t cell = found->place.cell;
		bool is_below = dyn_slice_compare(found->place.key, lowest) < 0;

		if (!is_below && !is_above_range(effect, found->place.key))
			break;
		/* Nothing is passed over on the word of a damaged key. */
		if (!dyn_record_head_is_sound(found->name, found->value))
			return DAMAGED;
		if (is_below)
			outcome = seek(page, cell, lowest, found);
		else if (cell >= effect->scan.cell_last)
			return OUTSIDE;
		else
			outcome = seek(page, (uint16_t) (cell + 1), lowest, found);
		/* A seek never goes back, unless a page lies about its keys. */
		if (outcome == FOUND && found->place.cell < cell)
			return DAMAGED;
	}
	return outcome;
}

/* The sound record found is the first one of its bucket, which becomes the
 * one that is read. */
static enum outcome
enter_bucket(struct page *page, struct found *found)
{
	uint16_t cell_first = page->effect->scan.cell_first;

	if (dyn_slice_compare(found->place.bucket, page->bucket) <= 0)
		return DAMAGED;
	page->bucket = found->place.bucket;
	page->cell = cell_first;
	page->key = (struct dyn_slice){ NULL, 0 };
	if (found->place.cell < cell_first)
		return seek(page, cell_first, lowest_key(page->effect), found);
	return found->place.cell <= page->effect->scan.cell_last ? FOUND : OUTSIDE;
}

static enum outcome
settle(struct page *page, enum outcome outcome, struct found *found)
{
	outcome = settle_in_bucket(page, outcome, found);
	while (outcome == OUTSIDE && has_all_buckets(page->effect))
	{
		if (dyn_slice_equal(found->place.bucket, page->bucket))
			outcome = seek_next_bucket(page, found);
		else
			outcome = enter_bucket(page, found);
		outcome = settle_in_bucket(page, outcome, found);
	}
	return outcome;
}

static enum outcome
first(struct page *page, struct found *found)
{
	const struct dyn_effect *effect = page->effect;
	enum outcome outcome;

	page->cell = effect->scan.cell_first;
	page->bucket = effect->scan.bucket;
	if (has_all_buckets(effect))
	{
		if (!effect->scan.has_after)
			return settle(page, move(page, MDB_FIRST, found), found);
		page->bucket = effect->scan.after_bucket;
	}
	if (!effect->scan.has_after ||
		effect->scan.after_cell < effect->scan.cell_first)
		return settle(
			page,
			seek(page, effect->scan.cell_first, lowest_key(effect), found),
			found);
	page->cell = effect->scan.after_cell;
	page->key = effect->scan.after_key;
	outcome = seek(page, page->cell, page->key, found);
	if (outcome == FOUND && found->place.cell == page->cell &&
		dyn_slice_equal(found->place.key, page->key))
		outcome = move(page, MDB_NEXT, found);
	return settle(page, outcome, found);
}

/* ---- a page ---- */

/* Keys must ascend from the cursor on, or a reader would go round for ever
 * or miss some. */
static bool
is_ascending(const struct page *page, const struct found *found)
{
	if (found->place.cell != page->cell)
		return found->place.cell > page->cell;
	if (page->key.size == 0)
		return found->place.key.size != 0;
	return dyn_slice_compare(found->place.key, page->key) > 0;
}

static bool
begins_bucket(const struct page *page, uint32_t index)
{
	return index == 0 || !dyn_slice_equal(page->items[index].bucket,
										  page->items[index - 1].bucket);
}

/* False when the page has no place for it. */
static bool
add(struct page *page, const struct found *found)
{
	const struct dyn_effect *effect = page->effect;
	struct dyn_record record = { 0 };
	struct dyn_scanned item = { .state = DYN_LOADED_FOUND,
								.cell = found->place.cell,
								.key = found->place.key };
	size_t size;

	if (dyn_record_decode(found->name, found->value, &record) != DYN_STATUS_OK)
		item.state = DYN_LOADED_CORRUPT;
	item.hash = record.hash;
	item.held_at_ms = record.held_at_ms;
	item.slots = record.slots;
	item.flags = record.flags;
	if (has_all_buckets(effect))
		item.bucket = found->place.bucket;
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
	if (begins_bucket(page, page->count - 1))
		page->bucket_size += item.bucket.size;
	return true;
}

/* May the filter pass it by?  A damaged head cannot tell. */
static bool
is_wanted(const struct page *page, const struct found *found)
{
	uint8_t flags = page->effect->scan.flags;

	return flags == 0 || !dyn_record_head_is_sound(found->name, found->value) ||
		   (dyn_record_head_flags(found->value) & flags) != 0;
}

/* False when the page ends before this record. */
static bool
look_at(struct page *page, const struct found *found)
{
	uint32_t visits_max = page->effect->scan.visits_max;

	if (visits_max != 0 && page->visits == visits_max)
		return false;
	if (is_wanted(page, found) && !add(page, found))
		return false;
	page->visits++;
	return true;
}

static bool
visit(struct page *page, const struct found *found)
{
	if (!look_at(page, found))
		return false;
	page->cell = found->place.cell;
	page->key = found->place.key;
	page->last = found->place;
	return true;
}

/* END, or FOUND when the page is full before that; DAMAGED when what follows
 * cannot be trusted: the page is then worth nothing. */
static enum outcome
fill(struct page *page)
{
	struct found found;
	enum outcome outcome = first(page, &found);

	while (outcome == FOUND)
	{
		if (!is_ascending(page, &found))
			return DAMAGED;
		if (!visit(page, &found))
			return FOUND;
		outcome = settle(page, move(page, MDB_NEXT, &found), &found);
	}
	page->end = outcome != DAMAGED;
	return outcome;
}

/* ---- a page for who looks for damage ---- */

/*
 * Where an unsound record says it is.  When that cannot be and all of its head
 * is sound under a name like this one but for a byte, that is its name; when
 * nothing can be made of it, the key is empty.
 */
static void
find_place(struct page *page, struct found *found)
{
	struct dyn_record_name name;
	bool is_place = dyn_record_name_parse(found->name, &found->place);
	struct dyn_slice bytes;

	if (is_place && dyn_hash_is_of_cell(found->place.cell, found->place.bucket,
										found->place.key))
		return;
	if (dyn_record_name_mend(found->name, found->value, &name))
	{
		bytes = dyn_arena_copy(&page->names, dyn_record_name_slice(&name));
		is_place = dyn_record_name_parse(bytes, &found->place);
	}
	if (!is_place)
		found->place = (struct dyn_record_key){ 0 };
}

/* Behind a sound record, and behind so many unsound ones after it: these have
 * no place that a search would find. */
static bool
visit_any(struct page *page, const struct dyn_store_survey *survey,
		  uint32_t *shown)
{
	struct found found = { survey->at.name, survey->at.value,
						   survey->at.place };

	if (survey->at.is_sound)
	{
		if (!visit(page, &found))
			return false;
		page->damaged = 0;
		return true;
	}
	if (*shown != 0)
	{
		--*shown;
		return true;
	}
	find_place(page, &found);
	if (!look_at(page, &found))
		return false;
	page->damaged++;
	return true;
}

static enum outcome
fill_for_damage(struct page *page)
{
	const struct dyn_effect *effect = page->effect;
	struct dyn_store_survey survey;
	uint32_t shown = effect->scan.after_damaged;
	int code;

	page->damaged = shown;
	if (effect->scan.has_after)
		page->last = (struct dyn_record_key){ effect->scan.after_bucket,
											  effect->scan.after_cell,
											  effect->scan.after_key };
	dyn_store_survey_init(&survey, effect, page->cursor);
	while ((code = dyn_store_survey_next(&survey)) == 0)
		if (!visit_any(page, &survey, &shown))
			return FOUND;
	page->end = code == MDB_NOTFOUND;
	return page->end ? END : DAMAGED;
}

/* ---- the answer ---- */

static uint64_t
count_corrupt(const struct page *page)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < page->count; i++)
		count += page->items[i].state == DYN_LOADED_CORRUPT;
	return count;
}

/* Everything that the page points to moves out of the map; a bucket once for
 * all of its items. */
static void
move_items(struct page *page, uint8_t **at)
{
	struct dyn_slice bucket = { NULL, 0 };

	for (uint32_t i = 0; i < page->count; i++)
	{
		struct dyn_scanned *item = &page->items[i];

		if (i == 0 || !dyn_slice_equal(item->bucket, bucket))
		{
			dyn_store_move_slice(&item->bucket, at);
			bucket = item->bucket;
		}
		item->bucket = bucket;
		dyn_store_move_slice(&item->key, at);
		dyn_store_move_slice(&item->object, at);
	}
}

static void
finish(struct page *page, struct dyn_store_completion *out)
{
	struct dyn_record_key *last = &page->last;
	uint8_t *at;

	if (page->end)
	{
		*last = (struct dyn_record_key){ 0 };
		page->damaged = 0;
	}
	else if (!has_all_buckets(page->effect))
		last->bucket = (struct dyn_slice){ NULL, 0 };
	out->bytes = at = dyn_store_take_bytes(page->size + page->bucket_size +
										   last->bucket.size + last->key.size);
	move_items(page, &at);
	dyn_store_move_slice(&last->bucket, &at);
	dyn_store_move_slice(&last->key, &at);
	out->items = page->items;
	out->event.scanned.items = page->items;
	out->event.scanned.item_count = page->count;
	out->event.scanned.end = page->end;
	out->event.scanned.after_bucket = last->bucket;
	out->event.scanned.after_cell = last->cell;
	out->event.scanned.after_key = last->key;
	out->event.scanned.after_damaged = page->damaged;
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
	outcome =
		page->effect->scan.for_damage ? fill_for_damage(page) : fill(page);
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
dyn_store_scan_page(struct dyn_store_reader *reader,
					const struct dyn_effect *effect, uint64_t *corrupt)
{
	struct dyn_store_completion *self =
		dyn_store_completion_new(DYN_EVENT_SCANNED);
	struct page page = { .effect = effect };

	self->event.scanned.token = effect->scan.token;
	self->event.scanned.status = DYN_STATUS_IO_ERROR;
	if (dyn_store_reader_begin(reader) != 0)
		return self;
	dyn_arena_init(&page.names, dyn_allocator_malloc(), 1024);
	self->event.scanned.status = scan(reader, &page, self);
	dyn_arena_destroy(&page.names);
	if (self->event.scanned.status == DYN_STATUS_OK)
		*corrupt += count_corrupt(&page);
	else
		*corrupt += 1;
	dyn_store_reader_end(reader);
	return self;
}
