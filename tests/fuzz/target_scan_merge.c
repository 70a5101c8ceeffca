/*
 * Pages that owners sent, in whatever order.  Byte 0 tells the number of
 * streams; whenever a page is asked for, the bytes that follow make it: a
 * count, then for each item the size of its key, the key, its hash and whether
 * it is damaged.  When the bytes end, so do the streams.
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
	return item;
}

/* Is this key behind the last one? */
static bool
is_behind(struct dyn_slice bucket, struct dyn_slice last, struct dyn_slice key)
{
	uint16_t cell = dyn_hash_cell(dyn_hash_position(bucket, key));
	uint16_t last_cell = dyn_hash_cell(dyn_hash_position(bucket, last));

	return cell > last_cell ||
		   (cell == last_cell && dyn_slice_compare(key, last) > 0);
}

void
fuzz_scan_merge(const uint8_t *data, size_t size)
{
	struct reader reader = { data, data + size };
	struct dyn_slice bucket = dyn_slice_of("b");
	struct dyn_scan_item pages[3][PAGE_ITEMS_MAX];
	struct dyn_scan_merge merge;
	struct dyn_scan_item item;
	struct dyn_slice last = { NULL, 0 };
	uint8_t stream;

	dyn_scan_merge_init(&merge, bucket, (uint8_t) (1 + next_byte(&reader) % 3));
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

			for (uint32_t i = 0; i < count; i++)
				pages[stream][i] = next_item(&reader);
			dyn_scan_merge_feed(&merge, stream, pages[stream], count,
								reader.at == reader.end);
			continue;
		}
		FUZZ_REQUIRE(last.data == NULL || is_behind(bucket, last, item.key));
		last = item.key;
	}
}
