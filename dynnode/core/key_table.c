#include "core/key_table.h"

#include "core/cluster.h"
#include "core/commit.h"
#include "core/handoff.h"
#include "core/load.h"
#include "core/room.h"
#include "model/hash.h"

#include <assert.h>
#include <string.h>

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
	self->cell = dyn_hash_cell(dyn_hash_position(bucket, key));
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

/* While a commit is told of, its keys are without it already, but it lets them
 * go when all have heard (commit.c). */
void
dyn_key_release(struct dyn_node *node, struct dyn_key *self)
{
	if (!self->loading && !self->applying && self->work_count == 0 &&
		self->commit_count == 0 && self->last_commit == NULL)
		drop_key(node, self);
}

/* ---------------------------------------------------------------- objects */

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

void
dyn_key_set_begin(struct dyn_key *self)
{
	bool is_there = self->state == DYN_LOADED_FOUND;

	self->before_hash = self->hash;
	self->before_held_at_ms = is_there ? self->held_at_ms : 0;
}

/* Since when does it have this hash, when it gets it now? */
static uint64_t
held_since(const struct dyn_node *node, const struct dyn_key *self,
		   uint64_t hash)
{
	if (self->state == DYN_LOADED_FOUND && self->hash == hash &&
		self->held_at_ms != 0)
		return self->held_at_ms;
	if (self->before_held_at_ms != 0 && self->before_hash == hash)
		return self->before_held_at_ms;
	return node->wall_ms;
}

void
dyn_key_set(struct dyn_node *node, struct dyn_key *self,
			const struct dyn_key_value *value)
{
	bool is_there = value->object.size != 0;

	self->held_at_ms = held_since(node, self, value->hash);
	self->hash = value->hash;
	self->flags = value->flags;

	if (self->table == DYN_TABLE_HINTS)
		dyn_handoff_note(node, self->partition, value->slots);
	set_object(node, self, value->object);
	self->slots = value->slots;
	self->state = is_there ? DYN_LOADED_FOUND : DYN_LOADED_ABSENT;
}

/* ------------------------------------------------------------------- turns */

/* What is done to a key may come back to it at once (a put that must read
 * other owners first, when there is nobody to ask): the entry stays until the
 * outermost is done. */
static void
apply(struct dyn_node *node, struct dyn_key *self, struct dyn_work work)
{
	bool applying = self->applying;

	self->applying = true;
	dyn_request_apply(node, work, self);
	self->applying = applying;
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
		self->loading = true;
		dyn_load_key(node, self);
	}
	if (!self->loading)
	{
		apply(node, self, work);
		dyn_key_release(node, self);
		return true;
	}
	self->work = dyn_memory_reserve(self->work, self->work_count,
									&self->work_capacity, sizeof(*self->work));
	self->work[self->work_count++] = work;
	return true;
}

void
dyn_key_loaded(struct dyn_node *node, struct dyn_key *self,
			   const struct dyn_loaded *record)
{
	struct dyn_work *work = self->work;
	uint32_t count = self->work_count;

	self->loading = false;
	self->is_doubted = record->state == DYN_LOADED_DOUBTED;
	self->state = self->is_doubted ? DYN_LOADED_CORRUPT : record->state;
	self->on_disk =
		record->state == DYN_LOADED_FOUND || self->state == DYN_LOADED_CORRUPT;
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
	dyn_key_release(node, self);
}

void
dyn_key_mark_hints(const struct dyn_node *node, bool *by_partition)
{
	const struct dyn_key *self;

	for (self = node->keys; self != NULL; self = self->hh.next)
		if (self->table == DYN_TABLE_HINTS)
			by_partition[self->partition] = true;
}

/* --------------------------------------------------------------- the whole */

void
dyn_key_destroy_all(struct dyn_node *node)
{
	while (node->keys != NULL)
		drop_key(node, node->keys);
}

void
dyn_key_check_all(const struct dyn_node *node)
{
	const struct dyn_key *key;
	uint32_t count = 0;
	uint64_t commit_count = 0;
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
	assert(count == node->key_count);
	assert(commit_count == dyn_commit_item_count(node));
	assert(bytes + dyn_commit_bytes(node) == node->room.key_bytes);
}
