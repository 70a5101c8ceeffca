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

/* For the order check. */
static void
remember(struct dyn_scan_stream *stream, uint16_t cell, struct dyn_slice key)
{
	memcpy(stream->last_key_bytes, key.data, key.size);
	stream->last_key = (struct dyn_slice){ stream->last_key_bytes, key.size };
	stream->last_cell = cell;
	stream->has_last = true;
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
	const struct dyn_scan_stream *first = &self->streams[0];

	memset(self->equal, 0, sizeof(self->equal));
	self->equal_count = 0;
	for (uint8_t i = 1; i < self->stream_count; i++)
	{
		struct dyn_scan_stream *stream = &self->streams[i];

		stream->has_page = stream->ended = false;
		stream->has_last = false;
		if (first->has_last)
			remember(stream, first->last_cell, first->last_key);
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
true_cell(struct dyn_slice bucket, struct dyn_slice key)
{
	return dyn_hash_cell(dyn_hash_position(bucket, key));
}

bool
dyn_scan_item_is_misnamed(struct dyn_slice bucket,
						  const struct dyn_scan_item *item)
{
	return item->status != DYN_STATUS_OK &&
		   !dyn_hash_is_of_cell(item->cell, bucket, item->key);
}

bool
dyn_scan_page_is_sound(struct dyn_slice bucket,
					   const struct dyn_scan_item *items, uint32_t item_count)
{
	for (uint32_t i = 0; i < item_count; i++)
		if (dyn_scan_item_is_misnamed(bucket, &items[i]))
			return false;
	return true;
}

static uint16_t
cell_of(const struct dyn_scan_merge *self, const struct dyn_scan_item *item)
{
	return item->status == DYN_STATUS_OK ? true_cell(self->bucket, item->key)
										 : item->cell;
}

static int
compare_places(uint16_t cell_a, struct dyn_slice a, uint16_t cell_b,
			   struct dyn_slice b)
{
	if (cell_a != cell_b)
		return cell_a < cell_b ? -1 : 1;
	return dyn_slice_compare(a, b);
}

/* Step over a stream's head. */
static void
consume(struct dyn_scan_stream *stream, uint16_t cell)
{
	remember(stream, cell, stream->items[stream->position++].key);
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

/* The stream with the least head, or stream_count when no head is left; false:
 * *stream broke the order.  cells[i] is that of stream i's head. */
static bool
find_least(const struct dyn_scan_merge *self, uint16_t *cells, uint8_t *least,
		   uint8_t *stream)
{
	const struct dyn_scan_item *item = NULL;

	*least = self->stream_count;
	for (uint8_t i = 0; i < self->stream_count; i++)
	{
		const struct dyn_scan_stream *one = &self->streams[i];
		const struct dyn_scan_item *first = head(one);

		if (first == NULL)
			continue;
		*stream = i;
		if (dyn_key_check(first->key) != DYN_STATUS_OK)
			return false;
		cells[i] = cell_of(self, first);
		if (cells[i] >= DYN_CELL_COUNT ||
			(one->has_last && compare_places(one->last_cell, one->last_key,
											 cells[i], first->key) >= 0))
			return false;
		if (item != NULL &&
			compare_places(cells[i], first->key, cells[*least], item->key) >= 0)
			continue;
		item = first;
		*least = i;
	}
	return true;
}

/* Step over this place in all streams that have it; do enough of them, and
 * agree? */
static bool
take_place(struct dyn_scan_merge *self, const uint16_t *cells, uint8_t least,
		   struct dyn_scan_item *item)
{
	uint16_t cell = cells[least];
	uint8_t needed =
		least == 0 && is_equal(self, cell) ? 1 : self->stream_count;
	uint8_t agreeing = 0;
	bool diverged = false;

	*item = *head(&self->streams[least]);
	for (uint8_t i = 0; i < self->stream_count; i++)
	{
		const struct dyn_scan_item *first = head(&self->streams[i]);

		if (first == NULL || cells[i] != cell ||
			!dyn_slice_equal(first->key, item->key))
			continue;
		agreeing++;
		diverged |= first->status != DYN_STATUS_OK || first->hash != item->hash;
		consume(&self->streams[i], cell);
	}
	return !diverged && agreeing >= needed;
}

enum dyn_scan_merge_step
dyn_scan_merge_next(struct dyn_scan_merge *self, struct dyn_scan_item *item,
					uint8_t *stream)
{
	uint16_t cells[DYN_REPLICAS_MAX];
	uint8_t least;

	if (find_hungry(self, stream))
		return DYN_SCAN_NEED_PAGE;
	if (!find_least(self, cells, &least, stream))
		return DYN_SCAN_BAD_ORDER;
	if (least == self->stream_count)
		return DYN_SCAN_END;
	/* When all agree, the first stream's item is the least one. */
	return take_place(self, cells, least, item) ? DYN_SCAN_ITEM
												: DYN_SCAN_DIVERGED;
}
