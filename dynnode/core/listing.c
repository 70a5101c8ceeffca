#include "core/listing.h"

#include "model/hash.h"

#include <string.h>

int
dyn_listing_compare(struct dyn_slice bucket_a, struct dyn_slice key_a,
					struct dyn_slice bucket_b, struct dyn_slice key_b)
{
	int order = dyn_slice_compare(bucket_a, bucket_b);

	return order != 0 ? order : dyn_slice_compare(key_a, key_b);
}

bool
dyn_listing_leaves(const uint32_t *numbers, size_t count,
				   struct dyn_leaves *out)
{
	memset(out, 0, sizeof(*out));
	if (count == 0 || numbers[0] >= DYN_TREE_LEAF_COUNT)
		return false;
	out->cell = (uint16_t) (numbers[0] / DYN_CELL_LEAVES);
	for (size_t i = 0; i < count; i++)
	{
		uint32_t below = numbers[i] % DYN_CELL_LEAVES;

		if (numbers[i] / DYN_CELL_LEAVES != out->cell ||
			(i > 0 && numbers[i] <= numbers[i - 1]))
			return false;
		out->bits[below / 32] |= UINT32_C(1) << (below % 32);
	}
	return true;
}

static bool
is_in(const struct dyn_leaves *leaves, struct dyn_slice bucket,
	  struct dyn_slice key)
{
	uint32_t leaf = dyn_tree_leaf(dyn_hash_position(bucket, key));
	uint32_t below = leaf % DYN_CELL_LEAVES;

	return leaf / DYN_CELL_LEAVES == leaves->cell &&
		   (leaves->bits[below / 32] >> (below % 32) & 1) != 0;
}

static bool
is_behind(struct dyn_slice bucket, struct dyn_slice key,
		  const struct dyn_bound *bound)
{
	return bound->bucket.size != 0 &&
		   dyn_listing_compare(bucket, key, bound->bucket, bound->key) > 0;
}

void
dyn_listing_scan(struct dyn_node *node, uint64_t token, uint16_t cell,
				 const struct dyn_bound *after)
{
	struct dyn_effect *effect = dyn_effects_add(node->out, DYN_EFFECT_SCAN);
	struct dyn_arena *arena = &node->out->arena;

	effect->scan.token = token;
	effect->scan.cell_first = effect->scan.cell_last = cell;
	effect->scan.hash_only = true;
	effect->scan.items_max = DYN_LISTING_ITEMS_MAX;
	effect->scan.bytes_max = DYN_LISTING_BYTES_MAX;
	effect->scan.has_after = after->bucket.size != 0;
	if (!effect->scan.has_after)
		return;
	effect->scan.after_bucket = dyn_arena_copy(arena, after->bucket);
	effect->scan.after_cell = cell;
	effect->scan.after_key = dyn_arena_copy(arena, after->key);
}

struct dyn_bound
dyn_listing_end(const struct dyn_event *event)
{
	if (event->scanned.end)
		return (struct dyn_bound){ { NULL, 0 }, { NULL, 0 } };
	return (struct dyn_bound){ event->scanned.after_bucket,
							   event->scanned.after_key };
}

struct dyn_list
dyn_listing_take(const struct dyn_event *event, const struct dyn_leaves *leaves,
				 const struct dyn_bound *until, struct dyn_arena *arena)
{
	struct dyn_list list = { 0 };
	struct dyn_slice bucket = { NULL, 0 };

	list.items = dyn_arena_allocate(arena, event->scanned.item_count *
											   sizeof(*list.items));
	for (uint32_t i = 0; i < event->scanned.item_count; i++)
	{
		const struct dyn_scanned *from = &event->scanned.items[i];
		bool found = from->state == DYN_LOADED_FOUND;

		if (is_behind(from->bucket, from->key, until))
			break;
		if (!is_in(leaves, from->bucket, from->key))
			continue;
		if (!dyn_slice_equal(bucket, from->bucket))
			bucket = dyn_arena_copy(arena, from->bucket);
		list.items[list.count++] =
			(struct dyn_listed){ .bucket = bucket,
								 .key = dyn_arena_copy(arena, from->key),
								 .hash = found ? from->hash : 0,
								 .damaged = !found };
	}
	return list;
}

void
dyn_listing_pack(const struct dyn_list *list, struct dyn_arena *arena,
				 Dyn__ListItem ***items)
{
	Dyn__ListItem *to = dyn_arena_allocate(arena, list->count * sizeof(*to));

	*items = dyn_arena_allocate(arena, list->count * sizeof(**items));
	for (uint32_t i = 0; i < list->count; i++)
	{
		const struct dyn_listed *from = &list->items[i];

		dyn__list_item__init(&to[i]);
		if (i == 0 || !dyn_slice_equal(from->bucket, from[-1].bucket))
			to[i].bucket = dyn_bytes_of_slice(from->bucket);
		to[i].key = dyn_bytes_of_slice(from->key);
		to[i].hash = from->hash;
		to[i].damaged = from->damaged;
		(*items)[i] = &to[i];
	}
}

bool
dyn_listing_unpack(Dyn__ListItem **items, size_t count,
				   const struct dyn_leaves *leaves,
				   const struct dyn_bound *after, const struct dyn_bound *until,
				   struct dyn_arena *arena, struct dyn_list *out)
{
	struct dyn_bound last = *after;

	out->count = (uint32_t) count;
	out->items = dyn_arena_allocate(arena, count * sizeof(*out->items));
	for (size_t i = 0; i < count; i++)
	{
		struct dyn_listed *to = &out->items[i];

		*to =
			(struct dyn_listed){ .bucket = dyn_slice_of_bytes(items[i]->bucket),
								 .key = dyn_slice_of_bytes(items[i]->key),
								 .hash = items[i]->hash,
								 .damaged = items[i]->damaged };
		if (to->bucket.size == 0 && i > 0)
			to->bucket = to[-1].bucket;
		if (dyn_bucket_check(to->bucket) != DYN_STATUS_OK ||
			dyn_key_check(to->key) != DYN_STATUS_OK ||
			!is_in(leaves, to->bucket, to->key) ||
			is_behind(to->bucket, to->key, until) ||
			(last.bucket.size != 0 && !is_behind(to->bucket, to->key, &last)))
			return false;
		last = (struct dyn_bound){ to->bucket, to->key };
	}
	return true;
}
