/*
 * Pages that owners sent, in whatever order.  Byte 0 tells the number of
 * streams; whenever a page is asked for, the bytes that follow make it: a
 * count, then for each item the size of its key, the key, its hash and whether
 * it is damaged, and then in which cell.  When the bytes end, so do the
 * streams.  Byte 1 tells which cells' hashes are equal, and between pages a
 * byte may say that another owner takes over.
 */
#include "fuzz/targets.h"

#include "model/hash.h"
#include "model/scan_merge.h"

#include <string.h>

enum
{
	PAGE_ITEMS_MAX = 8
};

struct reader
{
	const uint8_t *at;
	const uint8_t *end;
};

static uint8_t
next_byte(struct reader *reader)
{
	return reader->at < reader->end ? *reader->at++ : 0;
}

static struct dyn_scan_item
next_item(struct reader *reader)
{
	size_t left = (size_t) (reader->end - reader->at);
	size_t size = next_byte(reader) % 4;
	struct dyn_scan_item item = { .key = { reader->at, size } };

	left = left > 0 ? left - 1 : 0;
	if (size > left)
		item.key.size = left;
	reader->at += item.key.size;
	item.hash = next_byte(reader) % 4;
	item.status =
		next_byte(reader) % 8 == 7 ? DYN_STATUS_CORRUPT : DYN_STATUS_OK;
	if (item.status != DYN_STATUS_OK)
		item.cell = (uint16_t) (next_byte(reader) << 8 | next_byte(reader));
	return item;
}

static uint16_t
cell_of(struct dyn_slice bucket, const struct dyn_scan_item *item)
{
	if (item->status != DYN_STATUS_OK)
		return item->cell;
	return dyn_hash_cell(dyn_hash_position(bucket, item->key));
}

/* Is this item behind the last one? */
static bool
is_behind(struct dyn_slice bucket, const struct dyn_scan_item *last,
		  const struct dyn_scan_item *item)
{
	uint16_t cell = cell_of(bucket, item);
	uint16_t last_cell = cell_of(bucket, last);

	return cell > last_cell ||
		   (cell == last_cell && dyn_slice_compare(item->key, last->key) > 0);
}

/* Cells of which the number has a bit in common are not equal. */
static void
compare(struct dyn_scan_merge *merge, uint8_t bits)
{
	static uint64_t own[DYN_CELL_COUNT];
	static uint64_t theirs[DYN_CELL_COUNT];
	const uint64_t *hashes[3] = { own, theirs, theirs };

	for (uint32_t i = 0; i < DYN_CELL_COUNT; i++)
		theirs[i] = (i & bits) != 0;
	dyn_scan_merge_compare(merge, 0, hashes, DYN_CELL_COUNT);
}

void
fuzz_scan_merge(const uint8_t *data, size_t size)
{
	struct reader reader = { data, data + size };
	struct dyn_slice bucket = dyn_slice_of("b");
	struct dyn_scan_item pages[3][PAGE_ITEMS_MAX];
	struct dyn_scan_merge merge;
	struct dyn_scan_item item;
	struct dyn_scan_item last = { .key = { NULL, 0 } };
	uint8_t stream;

	dyn_scan_merge_init(&merge, bucket, (uint8_t) (1 + next_byte(&reader) % 3));
	compare(&merge, next_byte(&reader));
	for (;;)
	{
		enum dyn_scan_merge_step step =
			dyn_scan_merge_next(&merge, &item, &stream);

		if (step == DYN_SCAN_END)
			break;
		FUZZ_REQUIRE(step == DYN_SCAN_ITEM || step == DYN_SCAN_DIVERGED ||
					 stream < merge.stream_count);
		if (step == DYN_SCAN_BAD_ORDER)
			break;
		if (step == DYN_SCAN_NEED_PAGE)
		{
			uint32_t count = next_byte(&reader) % PAGE_ITEMS_MAX;

			if (stream == 0 && next_byte(&reader) % 8 == 7)
				dyn_scan_merge_distrust(&merge);
			for (uint32_t i = 0; i < count; i++)
				pages[stream][i] = next_item(&reader);
			dyn_scan_merge_feed(&merge, stream, pages[stream], count,
								reader.at == reader.end);
			continue;
		}
		FUZZ_REQUIRE(last.key.data == NULL || is_behind(bucket, &last, &item));
		last = item;
	}
}
