#include "model/scan_merge.h"

#include "model/hash.h"

#include <string.h>

void
dyn_scan_merge_init(struct dyn_scan_merge *self, struct dyn_slice bucket,
					uint8_t stream_count)
{
	memset(self, 0, sizeof(*self));
	self->bucket = bucket;
	self->stream_count = stream_count;
}

void
dyn_scan_merge_feed(struct dyn_scan_merge *self, uint8_t stream,
					const struct dyn_scan_item *items, uint32_t item_count,
					bool ended)
{
	struct dyn_scan_stream *to = &self->streams[stream];

	to->items = items;
	to->item_count = item_count;
	to->position = 0;
	to->has_page = true;
	to->ended = ended;
}

static const struct dyn_scan_item *
head(const struct dyn_scan_stream *stream)
{
	return stream->has_page && stream->position < stream->item_count
			   ? &stream->items[stream->position]
			   : NULL;
}

static uint16_t
cell_of(const struct dyn_scan_merge *self, struct dyn_slice key)
{
	return dyn_hash_cell(dyn_hash_position(self->bucket, key));
}

static int
compare_places(uint16_t cell_a, struct dyn_slice a, uint16_t cell_b,
			   struct dyn_slice b)
{
	if (cell_a != cell_b)
		return cell_a < cell_b ? -1 : 1;
	return dyn_slice_compare(a, b);
}

/* Step over a stream's head, and remember it for the order check. */
static void
consume(struct dyn_scan_stream *stream, uint16_t cell)
{
	struct dyn_slice key = stream->items[stream->position++].key;

	memcpy(stream->last_key_bytes, key.data, key.size);
	stream->last_key = (struct dyn_slice){ stream->last_key_bytes, key.size };
	stream->last_cell = cell;
	stream->has_last = true;
}

/* A stream that must have a page before anything can be said. */
static bool
find_hungry(const struct dyn_scan_merge *self, uint8_t *stream)
{
	for (uint8_t i = 0; i < self->stream_count; i++)
	{
		const struct dyn_scan_stream *one = &self->streams[i];

		if (head(one) != NULL || (one->has_page && one->ended))
			continue;
		*stream = i;
		return true;
	}
	return false;
}

enum dyn_scan_merge_step
dyn_scan_merge_next(struct dyn_scan_merge *self, struct dyn_scan_item *item,
					uint8_t *stream)
{
	uint16_t cells[DYN_REPLICAS_MAX];
	const struct dyn_scan_item *least = NULL;
	uint16_t least_cell = 0;
	uint8_t agreeing = 0;
	bool diverged = false;

	if (find_hungry(self, stream))
		return DYN_SCAN_NEED_PAGE;
	for (uint8_t i = 0; i < self->stream_count; i++)
	{
		const struct dyn_scan_stream *one = &self->streams[i];
		const struct dyn_scan_item *first = head(one);

		if (first == NULL)
			continue;
		*stream = i;
		if (dyn_key_check(first->key) != DYN_STATUS_OK)
			return DYN_SCAN_BAD_ORDER;
		cells[i] = cell_of(self, first->key);
		if (one->has_last && compare_places(one->last_cell, one->last_key,
											cells[i], first->key) >= 0)
			return DYN_SCAN_BAD_ORDER;
		if (least == NULL ||
			compare_places(cells[i], first->key, least_cell, least->key) < 0)
		{
			least = first;
			least_cell = cells[i];
		}
	}
	if (least == NULL)
		return DYN_SCAN_END;
	*item = *least;
	for (uint8_t i = 0; i < self->stream_count; i++)
	{
		const struct dyn_scan_item *first = head(&self->streams[i]);

		if (first == NULL || !dyn_slice_equal(first->key, item->key))
			continue;
		agreeing++;
		diverged |= first->status != DYN_STATUS_OK || first->hash != item->hash;
		consume(&self->streams[i], cells[i]);
	}
	/* All agree: then the first stream's item was the least one. */
	return diverged || agreeing != self->stream_count ? DYN_SCAN_DIVERGED
													  : DYN_SCAN_ITEM;
}
