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

/* ---- equal cells ---- */

static bool
is_equal(const struct dyn_scan_merge *self, uint32_t cell)
{
	return self->equal[cell / 8] & 1 << cell % 8;
}

void
dyn_scan_merge_compare(struct dyn_scan_merge *self, uint16_t cell_first,
					   const uint64_t *const *hashes, uint32_t cell_count)
{
	for (uint32_t i = 0; i < cell_count && cell_first + i < DYN_CELL_COUNT; i++)
	{
		uint32_t cell = cell_first + i;
		bool equal = true;

		for (uint8_t s = 1; s < self->stream_count; s++)
			equal &= hashes[s][i] == hashes[0][i];
		if (!equal)
			continue;
		self->equal[cell / 8] |= (uint8_t) (1 << cell % 8);
		self->equal_count++;
	}
}

bool
dyn_scan_merge_differing(const struct dyn_scan_merge *self, uint16_t *first,
						 uint16_t *last)
{
	uint32_t from = *first;
	uint32_t to;

	while (from <= *last && is_equal(self, from))
		from++;
	if (from > *last)
		return false;
	for (to = from; to < *last && !is_equal(self, to + 1);)
		to++;
	*first = (uint16_t) from;
	*last = (uint16_t) to;
	return true;
}

bool
dyn_scan_merge_last(const struct dyn_scan_merge *self, uint16_t *cell,
					struct dyn_slice *key)
{
	const struct dyn_scan_stream *stream = &self->streams[0];

	*cell = stream->last_cell;
	*key = stream->last_key;
	return stream->has_last;
}

/* Nothing behind the first stream's last item was emitted: for that the stream
 * must have had a page. */
void
dyn_scan_merge_distrust(struct dyn_scan_merge *self)
{
	memset(self->equal, 0, sizeof(self->equal));
	self->equal_count = 0;
	for (uint8_t i = 1; i < self->stream_count; i++)
	{
		self->streams[i].has_page = self->streams[i].ended = false;
		self->streams[i].has_last = false;
	}
}

/* ---- pages ---- */

static bool
is_damaged(const struct dyn_scan_item *items, uint32_t item_count)
{
	for (uint32_t i = 0; i < item_count; i++)
		if (items[i].status != DYN_STATUS_OK)
			return true;
	return false;
}

bool
dyn_scan_merge_feed(struct dyn_scan_merge *self, uint8_t stream,
					const struct dyn_scan_item *items, uint32_t item_count,
					bool ended)
{
	struct dyn_scan_stream *to = &self->streams[stream];
	bool distrusted =
		stream == 0 && self->equal_count != 0 && is_damaged(items, item_count);

	if (distrusted)
		dyn_scan_merge_distrust(self);
	to->items = items;
	to->item_count = item_count;
	to->position = 0;
	to->has_page = true;
	to->ended = ended;
	return distrusted;
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
	uint8_t needed = self->stream_count;
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
	if (least == head(&self->streams[0]) && is_equal(self, least_cell))
		needed = 1;
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
	return diverged || agreeing < needed ? DYN_SCAN_DIVERGED : DYN_SCAN_ITEM;
}
