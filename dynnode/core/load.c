#include "core/load.h"
#include "core/state.h"

#include "core/key_table.h"
#include "core/request.h"
#include "model/hash.h"

#include <assert.h>

/* A record to be read: for its entry, or for an operation that reads. */
struct dyn_load_item
{
	struct dyn_key *key; /* NULL for a read */
	struct dyn_record_key record;
	struct dyn_work work;
	uint8_t slot;
};

struct dyn_load
{
	UT_hash_handle hh;
	uint64_t token;
	enum dyn_load_view view;
	struct dyn_load_item *items;
	uint32_t item_count;
	uint32_t item_capacity;
};

static struct dyn_record_key
record_key(struct dyn_slice bucket, struct dyn_slice key)
{
	return (struct dyn_record_key){ .bucket = bucket,
									.cell = dyn_hash_cell(
										dyn_hash_position(bucket, key)),
									.key = key };
}

static void
free_load(struct dyn_load *self)
{
	if (self == NULL)
		return;
	dyn_memory_give(self->items);
	dyn_memory_give(self);
}

static struct dyn_load *
open_load(struct dyn_node *node, enum dyn_load_view view)
{
	struct dyn_load *load = node->open_loads[view];

	if (load == NULL)
	{
		load = dyn_memory_take(sizeof(*load));
		load->token = ++node->token_next;
		load->view = view;
		node->open_loads[view] = load;
	}
	load->items =
		dyn_memory_reserve(load->items, load->item_count, &load->item_capacity,
						   sizeof(*load->items));
	return load;
}

void
dyn_load_key(struct dyn_node *node, struct dyn_key *self)
{
	struct dyn_load *load = open_load(
		node, self->table == DYN_TABLE_HINTS ? DYN_LOAD_HINT : DYN_LOAD_OBJECT);
	struct dyn_load_item *item = &load->items[load->item_count++];

	item->key = self;
	item->record = (struct dyn_record_key){ .bucket = self->bucket,
											.cell = self->cell,
											.key = self->key };
}

void
dyn_load_read(struct dyn_node *node, struct dyn_slice bucket,
			  struct dyn_slice key, enum dyn_load_view view,
			  struct dyn_work work, uint8_t slot)
{
	struct dyn_load *load = open_load(node, view);
	struct dyn_load_item *item = &load->items[load->item_count++];

	*item = (struct dyn_load_item){ .record = record_key(bucket, key),
									.work = work,
									.slot = slot };
}

/* Does anybody still wait for it? */
static bool
is_wanted(struct dyn_node *node, const struct dyn_load_item *item)
{
	return item->key != NULL ||
		   dyn_request_find(node, item->work.serial) != NULL;
}

/* What the answer left out goes with the next load, before all others. */
static void
put_back(struct dyn_node *node, const struct dyn_load *self, uint32_t from)
{
	struct dyn_load *later = node->open_loads[self->view];
	struct dyn_load *next;

	node->open_loads[self->view] = NULL;
	for (uint32_t i = from; i < self->item_count; i++)
	{
		if (!is_wanted(node, &self->items[i]))
			continue;
		next = open_load(node, self->view);
		next->items[next->item_count++] = self->items[i];
	}
	for (uint32_t i = 0; later != NULL && i < later->item_count; i++)
	{
		next = open_load(node, self->view);
		next->items[next->item_count++] = later->items[i];
	}
	free_load(later);
}

void
dyn_load_event(struct dyn_node *node, const struct dyn_event *event)
{
	struct dyn_load *self;
	uint64_t token = event->loaded.token;

	HASH_FIND(hh, node->loads, &token, sizeof(token), self);
	assert(self != NULL && event->loaded.record_count != 0 &&
		   event->loaded.record_count <= self->item_count);
	HASH_DEL(node->loads, self);
	node->is_loading[self->view] = false;
	if (event->loaded.record_count < self->item_count)
		put_back(node, self, event->loaded.record_count);
	for (uint32_t i = 0; i < event->loaded.record_count; i++)
	{
		const struct dyn_loaded *record = &event->loaded.records[i];

		if (record->state > DYN_LOADED_ABSENT)
			dyn_count(node, records_unreadable);
		if (self->items[i].key != NULL)
			dyn_key_loaded(node, self->items[i].key, record);
		else
			dyn_request_loaded(node, self->items[i].work, self->items[i].slot,
							   self->view == DYN_LOAD_HINT, record);
	}
	free_load(self);
}

/* ------------------------------------------------------------ step's end */

/* While they waited for the load before, requests may have ended; what their
 * items borrowed went with them. */
static void
drop_unwanted(struct dyn_node *node, struct dyn_load *self)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < self->item_count; i++)
		if (is_wanted(node, &self->items[i]))
			self->items[count++] = self->items[i];
	self->item_count = count;
}

/* Keys of one request follow each other, and share their bucket. */
static struct dyn_record_key *
copy_keys(struct dyn_arena *arena, const struct dyn_load *self)
{
	struct dyn_record_key *keys =
		dyn_arena_allocate(arena, self->item_count * sizeof(*keys));

	for (uint32_t i = 0; i < self->item_count; i++)
	{
		const struct dyn_record_key *from = &self->items[i].record;
		bool same =
			i > 0 && from->bucket.data == self->items[i - 1].record.bucket.data;

		keys[i].cell = from->cell;
		keys[i].bucket =
			same ? keys[i - 1].bucket : dyn_arena_copy(arena, from->bucket);
		keys[i].key = dyn_arena_copy(arena, from->key);
	}
	return keys;
}

static void
flush_load(struct dyn_node *node, enum dyn_load_view view)
{
	struct dyn_load *self = node->open_loads[view];
	struct dyn_record_key *keys;
	struct dyn_effect *effect;

	if (self == NULL || node->is_loading[view])
		return;
	drop_unwanted(node, self);
	if (self->item_count == 0)
	{
		node->open_loads[view] = NULL;
		free_load(self);
		return;
	}
	keys = copy_keys(&node->out->arena, self);
	effect = dyn_effects_add(node->out, DYN_EFFECT_LOAD);
	effect->load.token = self->token;
	effect->load.keys = keys;
	effect->load.key_count = self->item_count;
	effect->load.hash_only = view == DYN_LOAD_HASH;
	effect->load.bytes_max = node->config.load_bytes_max;
	effect->load.table =
		view == DYN_LOAD_HINT ? DYN_TABLE_HINTS : DYN_TABLE_MAIN;
	HASH_ADD(hh, node->loads, token, sizeof(self->token), self);
	node->open_loads[view] = NULL;
	node->is_loading[view] = true;
}

void
dyn_load_flush(struct dyn_node *node)
{
	flush_load(node, DYN_LOAD_OBJECT);
	flush_load(node, DYN_LOAD_HASH);
	flush_load(node, DYN_LOAD_HINT);
}

void
dyn_load_destroy_all(struct dyn_node *node)
{
	struct dyn_load *load;
	struct dyn_load *load_next;

	HASH_ITER(hh, node->loads, load, load_next)
	{
		HASH_DEL(node->loads, load);
		free_load(load);
	}
	for (int view = 0; view < DYN_LOAD_VIEW_COUNT; view++)
		free_load(node->open_loads[view]);
}

void
dyn_load_check(const struct dyn_node *node)
{
	for (int view = 0; view < DYN_LOAD_VIEW_COUNT; view++)
		assert(node->open_loads[view] == NULL || node->is_loading[view]);
}
