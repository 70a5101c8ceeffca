#include "core/key_table.h"
#include "core/put_apply.h"

#include "core/bucket.h"
#include "core/cluster.h"
#include "core/coord_put.h"
#include "core/coord_read.h"
#include "core/discard.h"
#include "core/formation.h"
#include "core/handoff.h"
#include "core/repair.h"
#include "core/replica.h"
#include "core/room.h"
#include "model/hash.h"

#include <assert.h>
#include <string.h>

/* An operation that waits for a commit. */
struct dyn_commit_item
{
	struct dyn_key *key;
	struct dyn_work work;
	struct dyn_request_id *ids;
	uint32_t id_count;
	bool is_there; /* the record, after it */
};

struct dyn_commit
{
	UT_hash_handle hh;
	uint64_t token;
	uint64_t handed_over_ms; /* to the store */
	size_t bytes;            /* of objects, counted in node->room */
	bool burdened;           /* background work was under way */
	bool has_meta;
	struct dyn_write *writes; /* until it is flushed */
	uint32_t write_count;
	uint32_t write_capacity;
	struct dyn_commit_item *items;
	uint32_t item_count;
	uint32_t item_capacity;
};

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
	enum dyn_key_view view;
	struct dyn_load_item *items;
	uint32_t item_count;
	uint32_t item_capacity;
};

/* ---------------------------------------------------------------- entries */

static struct dyn_record_key
record_key(struct dyn_slice bucket, struct dyn_slice key)
{
	return (struct dyn_record_key){ .bucket = bucket,
									.cell = dyn_hash_cell(
										dyn_hash_position(bucket, key)),
									.key = key };
}

static struct dyn_key *
find(const struct dyn_node *node, struct dyn_slice bucket, struct dyn_slice key)
{
	uint8_t bytes[DYN_BUCKET_SIZE_MAX + 1 + DYN_KEY_SIZE_MAX];
	size_t size = bucket.size + 1 + key.size;
	struct dyn_key *self;

	memcpy(bytes, bucket.data, bucket.size);
	bytes[bucket.size] = 0;
	memcpy(bytes + bucket.size + 1, key.data, key.size);
	HASH_FIND(hh, node->keys, bytes, size, self);
	return self;
}

static struct dyn_key *
new_key(struct dyn_node *node, struct dyn_slice bucket, struct dyn_slice key)
{
	size_t size = bucket.size + 1 + key.size;
	struct dyn_key *self = dyn_memory_take(sizeof(*self) + size);

	memcpy(self->bytes, bucket.data, bucket.size);
	memcpy(self->bytes + bucket.size + 1, key.data, key.size);
	self->bytes_size = (uint32_t) size;
	self->bucket = (struct dyn_slice){ self->bytes, bucket.size };
	self->key = (struct dyn_slice){ self->bytes + bucket.size + 1, key.size };
	self->cell = record_key(bucket, key).cell;
	self->partition = dyn_cluster_partition(node, self->cell);
	self->table = dyn_cluster_own_slot(node, self->partition) >= 0
					  ? DYN_TABLE_MAIN
					  : DYN_TABLE_HINTS;
	HASH_ADD(hh, node->keys, bytes, size, self);
	node->key_count++;
	return self;
}

static void
drop_key(struct dyn_node *node, struct dyn_key *self)
{
	HASH_DEL(node->keys, self);
	node->key_count--;
	node->room.key_bytes -= self->object.size;
	dyn_memory_give((void *) self->object.data);
	dyn_memory_give(self->work);
	dyn_memory_give(self);
}

static void
drop_if_idle(struct dyn_node *node, struct dyn_key *self)
{
	if (!self->loading && !self->applying && self->work_count == 0 &&
		self->commit_count == 0)
		drop_key(node, self);
}

static void
set_object(struct dyn_node *node, struct dyn_key *self, struct dyn_slice object)
{
	uint8_t *copy = NULL;

	node->room.key_bytes += object.size;
	node->room.key_bytes -= self->object.size;
	if (object.size != 0)
	{
		copy = dyn_memory_take(object.size);
		memcpy(copy, object.data, object.size);
	}
	dyn_memory_give((void *) self->object.data);
	self->object = (struct dyn_slice){ copy, object.size };
}

/* Hand the operation to whoever knows what it does to a key. */
static void
hand_over(struct dyn_node *node, struct dyn_request *request,
		  struct dyn_key *self, struct dyn_work work)
{
	if (request->type == DYN_REQUEST_PUT)
		dyn_put_apply(node, request, work.op, self);
	else if (request->type == DYN_REQUEST_HANDOFF)
		dyn_handoff_apply(node, request, work.op, self);
	else if (request->type == DYN_REQUEST_DISCARD)
		dyn_discard_apply(node, request, work.op, self);
	else if (request->type == DYN_REQUEST_REAP)
		dyn_reap_apply(node, request, work.op, self);
	else
		dyn_replica_apply(node, request, work.op, self);
}

/* What is done to a key may come back to it at once (a put that must read
 * other owners first, when there is nobody to ask): the entry stays until the
 * outermost is done. */
static void
apply(struct dyn_node *node, struct dyn_key *self, struct dyn_work work)
{
	struct dyn_request *request = dyn_request_find(node, work.serial);
	bool applying = self->applying;

	if (request == NULL)
		return; /* its time ran out: it was never applied */
	self->applying = true;
	hand_over(node, request, self, work);
	self->applying = applying;
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
open_load(struct dyn_node *node, enum dyn_key_view view)
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

static void
load_key(struct dyn_node *node, struct dyn_key *self)
{
	struct dyn_load *load = open_load(
		node, self->table == DYN_TABLE_HINTS ? DYN_KEY_HINT : DYN_KEY_OBJECT);
	struct dyn_load_item *item = &load->items[load->item_count++];

	self->loading = true;
	item->key = self;
	item->record = (struct dyn_record_key){ .bucket = self->bucket,
											.cell = self->cell,
											.key = self->key };
}

bool
dyn_key_do(struct dyn_node *node, struct dyn_slice bucket, struct dyn_slice key,
		   struct dyn_work work)
{
	struct dyn_key *self = find(node, bucket, key);

	if (self == NULL)
	{
		if (!dyn_room_for_key(node))
			return false;
		self = new_key(node, bucket, key);
		load_key(node, self);
	}
	if (!self->loading)
	{
		apply(node, self, work);
		drop_if_idle(node, self);
		return true;
	}
	self->work = dyn_memory_reserve(self->work, self->work_count,
									&self->work_capacity, sizeof(*self->work));
	self->work[self->work_count++] = work;
	return true;
}

void
dyn_key_mark_hints(const struct dyn_node *node, bool *by_partition)
{
	const struct dyn_key *self;

	for (self = node->keys; self != NULL; self = self->hh.next)
		if (self->table == DYN_TABLE_HINTS)
			by_partition[self->partition] = true;
}

/* ---------------------------------------------------------------- commits */

static struct dyn_commit *
open_commit(struct dyn_node *node)
{
	if (node->open_commit == NULL)
	{
		node->open_commit = dyn_memory_take(sizeof(*node->open_commit));
		node->open_commit->token = ++node->token_next;
	}
	return node->open_commit;
}

static void
add_item(struct dyn_node *node, struct dyn_commit *commit, struct dyn_key *key,
		 struct dyn_work work, const struct dyn_request_id *ids,
		 uint32_t id_count)
{
	struct dyn_commit_item *item;

	commit->items =
		dyn_memory_reserve(commit->items, commit->item_count,
						   &commit->item_capacity, sizeof(*commit->items));
	item = &commit->items[commit->item_count++];
	*item = (struct dyn_commit_item){ .key = key,
									  .work = work,
									  .id_count = id_count,
									  .is_there = key->object.size != 0 };
	if (id_count != 0)
	{
		item->ids = dyn_memory_take(id_count * sizeof(*ids));
		memcpy(item->ids, ids, id_count * sizeof(*ids));
	}
	key->commit_count++;
	key->last_commit = commit;
	node->hints.writing += key->table == DYN_TABLE_HINTS;
}

static struct dyn_write *
add_write(struct dyn_commit *commit)
{
	commit->writes =
		dyn_memory_reserve(commit->writes, commit->write_count,
						   &commit->write_capacity, sizeof(*commit->writes));
	return &commit->writes[commit->write_count++];
}

/* Is it what the key holds already? Its commit, if one is under way, tells
 * the operation too. */
static bool
holds(struct dyn_node *node, struct dyn_key *self,
	  const struct dyn_key_value *value, struct dyn_work work)
{
	if (!dyn_slice_equal(self->object, value->object) ||
		self->slots != value->slots || self->state > DYN_LOADED_ABSENT)
		return false;
	if (self->commit_count != 0)
		add_item(node, self->last_commit, self, work, value->ids,
				 value->id_count);
	else
		for (uint32_t i = 0; i < value->id_count; i++)
			dyn_remember_committed(&node->remember, &value->ids[i],
								   node->now_ms);
	return true;
}

uint8_t
dyn_key_flags(const struct dyn_object *object)
{
	uint8_t flags = 0;

	if (dyn_object_is_mortal(object))
		flags |= DYN_RECORD_MORTAL;
	if (dyn_clock_entry_count(&object->context) > DYN_CONTEXT_CROWDED)
		flags |= DYN_RECORD_CROWDED;
	return flags;
}

static void
set_value(struct dyn_node *node, struct dyn_key *self,
		  const struct dyn_key_value *value)
{
	bool was_there = self->state == DYN_LOADED_FOUND;
	bool is_there = value->object.size != 0;

	if (!was_there || self->hash != value->hash || self->held_at_ms == 0)
		self->held_at_ms = node->wall_ms;
	self->hash = value->hash;
	self->flags = value->flags;

	if (self->table == DYN_TABLE_HINTS)
		dyn_handoff_note(node, self->partition, value->slots);
	set_object(node, self, value->object);
	self->slots = value->slots;
	self->state = is_there ? DYN_LOADED_FOUND : DYN_LOADED_ABSENT;
}

bool
dyn_key_write(struct dyn_node *node, struct dyn_key *self,
			  const struct dyn_key_value *value, struct dyn_work work)
{
	struct dyn_commit *commit;
	struct dyn_write *write;

	/* From here on the entry's object speaks of them; before the commit is
	 * done, a retry must find them too. */
	for (uint32_t i = 0; i < value->id_count; i++)
		dyn_remember_pending(&node->remember, &value->ids[i], node->now_ms);
	if (holds(node, self, value, work))
		return self->commit_count == 0;
	commit = open_commit(node);
	if (self->commit_count != 0 && self->last_commit == commit)
		write = &commit->writes[self->write_index];
	else
	{
		self->write_index = commit->write_count;
		write = add_write(commit);
	}
	set_value(node, self, value);
	commit->bytes += value->object.size;
	node->room.key_bytes += value->object.size;
	write->table = self->table;
	write->key = (struct dyn_record_key){ .bucket = self->bucket,
										  .cell = self->cell,
										  .key = self->key };
	write->hash = value->hash;
	write->held_at_ms = self->held_at_ms;
	write->slots = value->slots;
	write->flags = self->flags;
	write->object = value->object;
	add_item(node, commit, self, work, value->ids, value->id_count);
	return false;
}

uint64_t
dyn_key_write_meta(struct dyn_node *node, const char *name,
				   struct dyn_slice value)
{
	struct dyn_commit *commit = open_commit(node);
	struct dyn_write *write = add_write(commit);

	commit->has_meta = true;
	write->table = DYN_TABLE_META;
	write->key.key = dyn_slice_of(name);
	write->object = value;
	return commit->token;
}

static void
hint_committed(struct dyn_node *node, const struct dyn_commit_item *item,
			   enum dyn_status status)
{
	struct dyn_key *key = item->key;

	/* A walk that began before the commit did not see it. */
	dyn_handoff_note(node, key->partition, key->slots);
	node->hints.writing--;
	if (status != DYN_STATUS_OK || item->is_there == key->on_disk)
		return;
	key->on_disk = item->is_there;
	if (key->on_disk)
		node->hints.count++;
	else
		node->hints.count--;
}

static void
committed(struct dyn_node *node, const struct dyn_commit_item *item,
		  enum dyn_status status)
{
	struct dyn_request *request = dyn_request_find(node, item->work.serial);

	/* A later commit of the key carries what this one did not write. */
	bool carried = item->key->commit_count != 0;

	if (item->key->table == DYN_TABLE_HINTS)
		hint_committed(node, item, status);
	for (uint32_t i = 0; i < item->id_count; i++)
		if (status == DYN_STATUS_OK)
			dyn_remember_committed(&node->remember, &item->ids[i],
								   node->now_ms);
		else
			dyn_remember_forget(&node->remember, &item->ids[i]);
	if (request == NULL)
		return;
	if (request->type == DYN_REQUEST_PUT)
		dyn_put_committed(node, request, item->work.op, status, carried);
	else if (request->type == DYN_REQUEST_HANDOFF)
		dyn_handoff_committed(node, request, item->work.op, status);
	else if (request->type == DYN_REQUEST_DISCARD)
		dyn_discard_committed(node, request, status);
	else if (request->type == DYN_REQUEST_REAP)
		dyn_reap_committed(node, request, item->work.op, status);
	else
		dyn_replica_committed(
			node, request, item->work.op,
			carried && status != DYN_STATUS_OK ? DYN_STATUS_UNKNOWN : status);
}

static void
free_commit(struct dyn_commit *self)
{
	for (uint32_t i = 0; i < self->item_count; i++)
		dyn_memory_give(self->items[i].ids);
	dyn_memory_give(self->items);
	dyn_memory_give(self->writes);
	dyn_memory_give(self);
}

/* Keys of an aborted commit: none of its dots may be made again. */
static void
count_commit(struct dyn_node *node, const struct dyn_commit *self,
			 enum dyn_status status)
{
	if (status == DYN_STATUS_OK)
	{
		dyn_count(node, commits);
		node->counters[DYN_COUNT_records_committed] += self->write_count;
		if (self->item_count != 0)
			dyn_progress_committed(node);
		return;
	}
	dyn_count(node, commits_aborted);
	node->epoch_floor = node->epoch_next;
	if (status != DYN_STATUS_FULL || !node->writable)
		return;
	node->writable = false;
	dyn_log(node, DYN_LOG_WARNING,
			"the store is full: writes are refused, reads go on");
}

void
dyn_key_stored(struct dyn_node *node, const struct dyn_event *event)
{
	struct dyn_commit *self;
	uint64_t token = event->stored.token;

	HASH_FIND(hh, node->commits, &token, sizeof(token), self);
	assert(self != NULL);
	HASH_DEL(node->commits, self);
	node->room.key_bytes -= self->bytes;
	count_commit(node, self, event->stored.status);
	dyn_credit_commit(node, node->now_ms - self->handed_over_ms,
					  self->burdened || dyn_credit_is_used(node));
	for (uint32_t i = 0; i < self->item_count; i++)
		self->items[i].key->commit_count--;
	for (uint32_t i = 0; i < self->item_count; i++)
		committed(node, &self->items[i], event->stored.status);
	/* A key may stand here several times; its last item lets it go. */
	for (uint32_t i = 0; i < self->item_count; i++)
	{
		if (self->items[i].key->last_commit == self)
			self->items[i].key->last_commit = NULL;
		self->items[i].key->last_item = i;
	}
	for (uint32_t i = 0; i < self->item_count; i++)
		if (self->items[i].key->last_item == i)
			drop_if_idle(node, self->items[i].key);
	if (self->has_meta)
	{
		dyn_formation_stored(node, token, event->stored.status);
		dyn_bucket_stored(node, token, event->stored.status);
		dyn_building_stored(node, token, event->stored.status);
		dyn_fence_stored(node, token, event->stored.status);
		dyn_progress_stored(node, token, event->stored.status);
		dyn_reap_stored(node, token, event->stored.status);
	}
	free_commit(self);
}

/* ------------------------------------------------------------------ loads */

void
dyn_key_load(struct dyn_node *node, struct dyn_slice bucket,
			 struct dyn_slice key, enum dyn_key_view view, struct dyn_work work,
			 uint8_t slot)
{
	struct dyn_load *load = open_load(node, view);
	struct dyn_load_item *item = &load->items[load->item_count++];

	*item = (struct dyn_load_item){ .record = record_key(bucket, key),
									.work = work,
									.slot = slot };
}

static void
key_loaded(struct dyn_node *node, struct dyn_key *self,
		   const struct dyn_loaded *record)
{
	struct dyn_work *work = self->work;
	uint32_t count = self->work_count;

	self->loading = false;
	self->state = record->state;
	self->on_disk = record->state == DYN_LOADED_FOUND ||
					record->state == DYN_LOADED_CORRUPT;
	if (record->state == DYN_LOADED_FOUND)
	{
		set_object(node, self, record->object);
		self->hash = record->hash;
		self->held_at_ms = record->held_at_ms;
		self->slots = record->slots;
		self->flags = record->flags;
	}
	self->work = NULL;
	self->work_count = self->work_capacity = 0;
	for (uint32_t i = 0; i < count; i++)
		apply(node, self, work[i]);
	dyn_memory_give(work);
	drop_if_idle(node, self);
}

static void
read_loaded(struct dyn_node *node, const struct dyn_load *load,
			const struct dyn_load_item *item, const struct dyn_loaded *record)
{
	struct dyn_request *request = dyn_request_find(node, item->work.serial);

	if (request == NULL)
		return;
	if (request->type == DYN_REQUEST_READ)
		dyn_replica_read_loaded(node, request, item->work.op, record);
	else if (request->type == DYN_REQUEST_REPAIR)
		dyn_repair_loaded(node, request, item->work.op, record);
	else if (request->type == DYN_REQUEST_REAP)
		dyn_reap_loaded(node, request, item->work.op, record);
	else
		dyn_read_loaded(node, request, item->work.op, item->slot,
						load->view == DYN_KEY_HINT, record);
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
dyn_key_loaded(struct dyn_node *node, const struct dyn_event *event)
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
			key_loaded(node, self->items[i].key, record);
		else
			read_loaded(node, self, &self->items[i], record);
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

static void
flush_load(struct dyn_node *node, enum dyn_key_view view)
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
	keys =
		dyn_arena_allocate(&node->out->arena, self->item_count * sizeof(*keys));
	for (uint32_t i = 0; i < self->item_count; i++)
	{
		const struct dyn_record_key *from = &self->items[i].record;
		bool same =
			i > 0 && from->bucket.data == self->items[i - 1].record.bucket.data;

		keys[i].cell = from->cell;
		keys[i].bucket = same ? keys[i - 1].bucket
							  : dyn_arena_copy(&node->out->arena, from->bucket);
		keys[i].key = dyn_arena_copy(&node->out->arena, from->key);
	}
	effect = dyn_effects_add(node->out, DYN_EFFECT_LOAD);
	effect->load.token = self->token;
	effect->load.keys = keys;
	effect->load.key_count = self->item_count;
	effect->load.hash_only = view == DYN_KEY_HASH;
	effect->load.bytes_max = node->config.load_bytes_max;
	effect->load.table =
		view == DYN_KEY_HINT ? DYN_TABLE_HINTS : DYN_TABLE_MAIN;
	HASH_ADD(hh, node->loads, token, sizeof(self->token), self);
	node->open_loads[view] = NULL;
	node->is_loading[view] = true;
}

void
dyn_key_flush(struct dyn_node *node)
{
	struct dyn_commit *commit = node->open_commit;
	struct dyn_write *writes;
	struct dyn_effect *effect;

	flush_load(node, DYN_KEY_OBJECT);
	flush_load(node, DYN_KEY_HASH);
	flush_load(node, DYN_KEY_HINT);
	if (commit == NULL)
		return;
	writes = dyn_arena_allocate(&node->out->arena,
								commit->write_count * sizeof(*writes));
	memcpy(writes, commit->writes, commit->write_count * sizeof(*writes));
	effect = dyn_effects_add(node->out, DYN_EFFECT_STORE);
	effect->store.token = commit->token;
	effect->store.writes = writes;
	effect->store.write_count = commit->write_count;
	dyn_memory_give(commit->writes);
	commit->writes = NULL;
	commit->handed_over_ms = node->now_ms;
	commit->burdened = dyn_credit_is_used(node);
	HASH_ADD(hh, node->commits, token, sizeof(commit->token), commit);
	node->open_commit = NULL;
}

void
dyn_key_destroy_all(struct dyn_node *node)
{
	struct dyn_load *load;
	struct dyn_load *load_next;
	struct dyn_commit *commit;
	struct dyn_commit *commit_next;

	HASH_ITER(hh, node->loads, load, load_next)
	{
		HASH_DEL(node->loads, load);
		free_load(load);
	}
	HASH_ITER(hh, node->commits, commit, commit_next)
	{
		HASH_DEL(node->commits, commit);
		free_commit(commit);
	}
	for (int view = 0; view < 3; view++)
		free_load(node->open_loads[view]);
	while (node->keys != NULL)
		drop_key(node, node->keys);
}

void
dyn_key_check_all(const struct dyn_node *node)
{
	const struct dyn_key *key;
	const struct dyn_commit *commit;
	uint32_t count = 0;
	uint64_t commit_count = 0;
	uint64_t item_count = 0;
	uint64_t bytes = 0;

	for (key = node->keys; key != NULL; key = key->hh.next)
	{
		count++;
		commit_count += key->commit_count;
		bytes += key->object.size;
		assert(key->loading || key->commit_count != 0);
		assert(key->loading || key->work_count == 0);
		assert(!key->applying);
		assert((key->last_commit != NULL) == (key->commit_count != 0));
	}
	for (commit = node->commits; commit != NULL; commit = commit->hh.next)
	{
		item_count += commit->item_count;
		bytes += commit->bytes;
	}
	assert(count == node->key_count && commit_count == item_count);
	assert(bytes == node->room.key_bytes && node->open_commit == NULL);
	for (int view = 0; view < 3; view++)
		assert(node->open_loads[view] == NULL || node->is_loading[view]);
}
