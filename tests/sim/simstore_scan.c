/*
 * A page of a SCAN, on a simulated disk.
 */
#include "tests/sim/simstore_read.h"

#include <string.h>

static bool
scan_wants(const struct dyn_effect *scan, struct dyn_slice key)
{
	struct dyn_slice prefix = scan->scan.prefix;

	if (scan->scan.key_min.size > 0 &&
		dyn_slice_compare(key, scan->scan.key_min) < 0)
		return false;
	if (scan->scan.key_max.size > 0 &&
		dyn_slice_compare(key, scan->scan.key_max) > 0)
		return false;
	return key.size >= prefix.size &&
		   (prefix.size == 0 ||
			memcmp(key.data, prefix.data, prefix.size) == 0);
}

static uint32_t
scan_start(const struct dyn_simdisk *disk, const struct dyn_effect *scan)
{
	enum dyn_table table = scan->scan.table;
	struct dyn_record_key from = { .bucket = scan->scan.bucket,
								   .cell = scan->scan.cell_first };
	uint32_t index;

	if (from.bucket.size == 0 && scan->scan.has_after)
		from.bucket = scan->scan.after_bucket;

	if (!scan->scan.has_after || scan->scan.after_cell < from.cell)
		return dyn_simdisk_seek(disk, table, &from);
	from.cell = scan->scan.after_cell;
	from.key = scan->scan.after_key;
	index = dyn_simdisk_seek(disk, table, &from);
	if (index < dyn_simdisk_count(disk, table) &&
		dyn_record_key_compare(&dyn_simdisk_at(disk, table, index)->key,
							   &from) == 0)
		index++;
	return index;
}

/* From this record to the first one at or after it in a bucket and a cell of
 * the range; the count of records when there is none. */
static uint32_t
scan_skip(const struct dyn_simdisk *disk, const struct dyn_effect *scan,
		  uint32_t index)
{
	uint32_t count = dyn_simdisk_count(disk, scan->scan.table);

	while (index < count)
	{
		struct dyn_record_key place =
			dyn_simdisk_at(disk, scan->scan.table, index)->key;
		bool is_named = scan->scan.bucket.size != 0;

		if (is_named && !dyn_slice_equal(place.bucket, scan->scan.bucket))
			return count;
		if (place.cell > scan->scan.cell_last && is_named)
			return count;
		if (place.cell >= scan->scan.cell_first &&
			place.cell <= scan->scan.cell_last)
			return index;
		place.key.size = 0;
		place.cell = place.cell < scan->scan.cell_first ? scan->scan.cell_first
														: DYN_CELL_COUNT;
		index = dyn_simdisk_seek(disk, scan->scan.table, &place);
	}
	return count;
}

/* A damaged record cannot tell what it is. */
static bool
passes_filter(const struct dyn_effect *scan, const struct dyn_simrecord *record)
{
	return scan->scan.flags == 0 || record->corrupt ||
		   (record->flags & scan->scan.flags) != 0;
}

/* False when the page has no place for it. */
static bool
scan_add(struct dyn_simjob *job, const struct dyn_simrecord *record,
		 uint64_t *bytes)
{
	const struct dyn_effect *scan = &job->request;
	uint64_t size = record->key.key.size;

	if (!scan->scan.hash_only && !record->corrupt)
		size += record->object->size;
	if (job->record_count == scan->scan.items_max ||
		(job->record_count > 0 && *bytes + size > scan->scan.bytes_max))
		return false;
	*bytes += size;
	dyn_simjob_add_found(job, &record->key, record,
						 record->corrupt ? DYN_LOADED_CORRUPT
										 : DYN_LOADED_FOUND,
						 scan->scan.hash_only);
	return true;
}

void
dyn_simjob_scan(struct dyn_simjob *job, const struct dyn_simdisk *disk)
{
	const struct dyn_effect *scan = &job->request;
	uint32_t count = dyn_simdisk_count(disk, scan->scan.table);
	const struct dyn_record_key *last = NULL;
	uint32_t visits = 0;
	uint64_t bytes = 0;

	job->end = true;
	for (uint32_t i = scan_start(disk, scan); i < count; i++)
	{
		const struct dyn_simrecord *record;

		i = scan_skip(disk, scan, i);
		if (i == count)
			return;
		record = dyn_simdisk_at(disk, scan->scan.table, i);
		if (!scan_wants(scan, record->key.key))
			continue;
		if ((scan->scan.visits_max != 0 && visits == scan->scan.visits_max) ||
			(passes_filter(scan, record) && !scan_add(job, record, &bytes)))
		{
			job->end = false;
			job->last = dyn_simjob_own_key(last, false);
			return;
		}
		visits++;
		last = &record->key;
	}
}
