/*
 * A page of a SCAN, on a simulated disk.
 *
 * It goes the way that the real store goes (io/store/scan.c): a seek for each
 * occupied cell and lowest key.  Without damage any way would find the same;
 * with it, the way decides: where a search ends beside a record whose head is
 * damaged, or such a record would be passed over, the page is worth nothing.
 * A page for_damage goes from one record with a sound head to the next one
 * (io/store/survey.c).
 */
#include "tests/sim/simstore_read.h"

#include <string.h>

struct page
{
	struct dyn_simjob *job;
	const struct dyn_effect *scan;
	const struct dyn_simdisk *disk;
	uint32_t count;          /* of the table's records */
	struct dyn_slice bucket; /* the one that is being read */
	uint32_t at;             /* the record found */
	uint32_t visits;
	uint64_t bytes;
	const struct dyn_record_key *last;
	uint32_t damaged; /* for_damage: headless ones since */
};

enum outcome
{
	FOUND,   /* in the bucket and its range of cells */
	OUTSIDE, /* a record behind that */
	END,     /* of the table */
	DAMAGED
};

static const struct dyn_simrecord *
record_at(const struct page *page, uint32_t index)
{
	return dyn_simdisk_at(page->disk, page->scan->scan.table, index);
}

/* May a search end here, or pass it over? */
static bool
is_believed(const struct page *page, uint32_t index)
{
	return !record_at(page, index)->headless;
}

static const struct dyn_record_key *
place(const struct page *page)
{
	return &record_at(page, page->at)->key;
}

static bool
has_all_buckets(const struct page *page)
{
	return page->scan->scan.bucket.size == 0;
}

/* The first key of a cell that the range can hold. */
static struct dyn_slice
lowest_key(const struct page *page)
{
	struct dyn_slice prefix = page->scan->scan.prefix;
	struct dyn_slice key_min = page->scan->scan.key_min;

	return dyn_slice_compare(prefix, key_min) > 0 ? prefix : key_min;
}

static bool
is_above_range(const struct page *page, struct dyn_slice key)
{
	struct dyn_slice prefix = page->scan->scan.prefix;
	struct dyn_slice key_max = page->scan->scan.key_max;

	if (key_max.size != 0 && dyn_slice_compare(key, key_max) > 0)
		return true;
	return prefix.size != 0 && dyn_slice_compare(key, prefix) > 0 &&
		   (key.size < prefix.size ||
			memcmp(key.data, prefix.data, prefix.size) != 0);
}

/* ------------------------------------------------------------------- moving */

static enum outcome
move_to(struct page *page, uint32_t index)
{
	const struct dyn_simrecord *record;

	page->at = index;
	if (index == page->count)
		return END;
	record = record_at(page, index);
	if (dyn_slice_equal(record->key.bucket, page->bucket) &&
		record->key.cell <= page->scan->scan.cell_last)
		return FOUND;
	return is_believed(page, index) ? OUTSIDE : DAMAGED;
}

static enum outcome
seek(struct page *page, uint16_t cell, struct dyn_slice key)
{
	struct dyn_record_key from = { page->bucket, cell, key };
	uint32_t index =
		dyn_simdisk_seek(page->disk, page->scan->scan.table, &from);

	if ((index == page->count ||
		 dyn_record_key_compare(&record_at(page, index)->key, &from) != 0) &&
		index > 0 && !is_believed(page, index - 1))
		return DAMAGED;
	return move_to(page, index);
}

static enum outcome
seek_next_bucket(struct page *page)
{
	uint32_t index = page->at;

	while (index < page->count &&
		   dyn_slice_equal(record_at(page, index)->key.bucket, page->bucket))
		index++;
	if (index > 0 && !is_believed(page, index - 1))
		return DAMAGED;
	return move_to(page, index);
}

/* --------------------------------------------- the next record of the range */

static enum outcome
settle_in_bucket(struct page *page, enum outcome outcome)
{
	struct dyn_slice lowest = lowest_key(page);

	while (outcome == FOUND)
	{
		const struct dyn_simrecord *record = record_at(page, page->at);
		uint16_t cell = record->key.cell;
		bool is_below = dyn_slice_compare(record->key.key, lowest) < 0;

		if (!is_below && !is_above_range(page, record->key.key))
			break;
		if (!is_believed(page, page->at))
			return DAMAGED;
		if (is_below)
			outcome = seek(page, cell, lowest);
		else if (cell >= page->scan->scan.cell_last)
			return OUTSIDE;
		else
			outcome = seek(page, (uint16_t) (cell + 1), lowest);
	}
	return outcome;
}

static enum outcome
enter_bucket(struct page *page)
{
	uint16_t cell_first = page->scan->scan.cell_first;

	page->bucket = place(page)->bucket;
	if (place(page)->cell < cell_first)
		return seek(page, cell_first, lowest_key(page));
	return place(page)->cell <= page->scan->scan.cell_last ? FOUND : OUTSIDE;
}

static enum outcome
settle(struct page *page, enum outcome outcome)
{
	outcome = settle_in_bucket(page, outcome);
	while (outcome == OUTSIDE && has_all_buckets(page))
	{
		if (dyn_slice_equal(place(page)->bucket, page->bucket))
			outcome = seek_next_bucket(page);
		else
			outcome = enter_bucket(page);
		outcome = settle_in_bucket(page, outcome);
	}
	return outcome;
}

static enum outcome
first(struct page *page)
{
	const struct dyn_effect *scan = page->scan;
	struct dyn_record_key after;
	enum outcome outcome;

	page->bucket = scan->scan.bucket;
	if (has_all_buckets(page))
	{
		if (!scan->scan.has_after)
			return settle(page, move_to(page, 0));
		page->bucket = scan->scan.after_bucket;
	}
	if (!scan->scan.has_after || scan->scan.after_cell < scan->scan.cell_first)
		return settle(page,
					  seek(page, scan->scan.cell_first, lowest_key(page)));
	after = (struct dyn_record_key){ page->bucket, scan->scan.after_cell,
									 scan->scan.after_key };
	outcome = seek(page, after.cell, after.key);
	if (outcome == FOUND && dyn_record_key_compare(place(page), &after) == 0)
		outcome = move_to(page, page->at + 1);
	return settle(page, outcome);
}

/* ------------------------------------------------------------------- a page */

/* A damaged head cannot tell. */
static bool
passes_filter(const struct dyn_effect *scan, const struct dyn_simrecord *record)
{
	return scan->scan.flags == 0 || record->headless ||
		   (record->flags & scan->scan.flags) != 0;
}

/* False when the page has no place for it. */
static bool
add(struct page *page, const struct dyn_simrecord *record)
{
	const struct dyn_effect *scan = page->scan;
	struct dyn_simjob *job = page->job;
	struct dyn_record_key key = record->key;
	uint64_t size = key.key.size;

	if (!scan->scan.hash_only && !record->corrupt)
		size += record->object->size;
	if (job->record_count == scan->scan.items_max ||
		(job->record_count > 0 && page->bytes + size > scan->scan.bytes_max))
		return false;
	page->bytes += size;
	if (scan->scan.for_damage)
		key = dyn_simrecord_place(record);
	dyn_simjob_add_found(job, &key, record,
						 record->corrupt ? DYN_LOADED_CORRUPT
										 : DYN_LOADED_FOUND,
						 scan->scan.hash_only);
	return true;
}

/* False when the page ends before this record. */
static bool
look_at(struct page *page, const struct dyn_simrecord *record)
{
	uint32_t visits_max = page->scan->scan.visits_max;

	if (visits_max != 0 && page->visits == visits_max)
		return false;
	if (passes_filter(page->scan, record) && !add(page, record))
		return false;
	page->visits++;
	return true;
}

static bool
visit(struct page *page, const struct dyn_simrecord *record)
{
	if (!look_at(page, record))
		return false;
	page->last = &record->key;
	return true;
}

static enum outcome
fill(struct page *page)
{
	enum outcome outcome = first(page);

	while (outcome == FOUND && visit(page, record_at(page, page->at)))
		outcome = settle(page, move_to(page, page->at + 1));
	return outcome;
}

/* --------------------------------------------- for who looks for damage */

/* Right behind the last sound record before this index. */
static uint32_t
behind_sound(const struct page *page, uint32_t index)
{
	while (index > 0 && record_at(page, index - 1)->headless)
		index--;
	return index;
}

static uint32_t
survey_cell(const struct page *page, uint16_t cell)
{
	struct dyn_record_key from = { .bucket = page->bucket, .cell = cell };

	return behind_sound(
		page, dyn_simdisk_seek(page->disk, page->scan->scan.table, &from));
}

static uint32_t
survey_begin(struct page *page)
{
	const struct dyn_effect *scan = page->scan;
	struct dyn_record_key after;
	uint32_t index;

	page->bucket = scan->scan.bucket;
	if (has_all_buckets(page) && !scan->scan.has_after)
		return 0;
	if (has_all_buckets(page))
		page->bucket = scan->scan.after_bucket;
	if (!scan->scan.has_after || scan->scan.after_cell < scan->scan.cell_first)
		return survey_cell(page, scan->scan.cell_first);
	after = (struct dyn_record_key){ page->bucket, scan->scan.after_cell,
									 scan->scan.after_key };
	index = dyn_simdisk_seek(page->disk, scan->scan.table, &after);
	if (index < page->count &&
		dyn_record_key_compare(&record_at(page, index)->key, &after) == 0)
		index++;
	return behind_sound(page, index);
}

static uint32_t
survey_next_bucket(const struct page *page)
{
	uint32_t index = page->at;

	while (index < page->count &&
		   dyn_slice_equal(record_at(page, index)->key.bucket, page->bucket))
		index++;
	return behind_sound(page, index);
}

static bool
survey_is_in_range(const struct page *page)
{
	return dyn_slice_equal(place(page)->bucket, page->bucket) &&
		   place(page)->cell <= page->scan->scan.cell_last;
}

/* On from `at` to a damaged record, or one of the range. */
static enum outcome
survey(struct page *page)
{
	uint16_t cell_first = page->scan->scan.cell_first;

	while (page->at < page->count && !record_at(page, page->at)->headless &&
		   !survey_is_in_range(page))
	{
		if (!has_all_buckets(page))
			return END;
		if (dyn_slice_equal(place(page)->bucket, page->bucket))
			page->at = survey_next_bucket(page);
		else
		{
			page->bucket = place(page)->bucket;
			if (place(page)->cell < cell_first)
				page->at = survey_cell(page, cell_first);
		}
	}
	return page->at < page->count ? FOUND : END;
}

static enum outcome
fill_for_damage(struct page *page)
{
	uint32_t shown = page->scan->scan.after_damaged;

	page->damaged = shown;
	for (page->at = survey_begin(page); survey(page) == FOUND; page->at++)
	{
		const struct dyn_simrecord *record = record_at(page, page->at);

		if (record->headless && shown != 0)
			shown--;
		else if (record->headless ? !look_at(page, record)
								  : !visit(page, record))
			return FOUND;
		else
			page->damaged = record->headless ? page->damaged + 1 : 0;
	}
	return END;
}

void
dyn_simjob_scan(struct dyn_simjob *self, const struct dyn_simdisk *disk)
{
	struct page page = { .job = self,
						 .scan = &self->request,
						 .disk = disk,
						 .count = dyn_simdisk_count(disk,
													self->request.scan.table) };
	struct dyn_record_key from = { self->request.scan.after_bucket,
								   self->request.scan.after_cell,
								   self->request.scan.after_key };
	enum outcome outcome =
		page.scan->scan.for_damage ? fill_for_damage(&page) : fill(&page);

	self->end = outcome == OUTSIDE || outcome == END;
	if (page.last == NULL && page.scan->scan.has_after)
		page.last = &from;
	if (outcome == FOUND)
		self->damaged = page.damaged;
	if (outcome == FOUND && page.last != NULL)
		self->last = dyn_simjob_own_key(page.last, false);
	if (outcome == DAMAGED)
	{
		dyn_simjob_drop_found(self);
		self->status = DYN_STATUS_IO_ERROR;
	}
}
