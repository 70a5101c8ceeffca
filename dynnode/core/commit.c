#include "core/commit.h"

#include "core/bucket.h"
#include "core/formation.h"
#include "core/handoff.h"
#include "core/identity.h"

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

/* The write of this key in this commit: there is one, whatever was made of it
 * before. */
static struct dyn_write *
write_of(struct dyn_commit *commit, struct dyn_key *key)
{
	if (key->commit_count != 0 && key->last_commit == commit)
		return &commit->writes[key->write_index];
	key->write_index = commit->write_count;
	dyn_key_set_begin(key);
	return add_write(commit);
}

bool
dyn_commit_write(struct dyn_node *node, struct dyn_key *key,
				 const struct dyn_key_value *value, struct dyn_work work)
{
	struct dyn_commit *commit;
	struct dyn_write *write;

	/* From here on the entry's object speaks of them; before the commit is
	 * done, a retry must find them too. */
	for (uint32_t i = 0; i < value->id_count; i++)
		dyn_remember_pending(&node->remember, &value->ids[i], node->now_ms);
	if (holds(node, key, value, work))
		return key->commit_count == 0;
	commit = open_commit(node);
	write = write_of(commit, key);
	dyn_key_set(node, key, value);
	commit->bytes += value->object.size;
	node->room.key_bytes += value->object.size;
	*write = (struct dyn_write){
		.table = key->table,
		.key = { .bucket = key->bucket, .cell = key->cell, .key = key->key },
		.hash = value->hash,
		.held_at_ms = key->held_at_ms,
		.slots = value->slots,
		.flags = key->flags,
		.object = value->object
	};
	add_item(node, commit, key, work, value->ids, value->id_count);
	return false;
}

void
dyn_commit_await(struct dyn_node *node, struct dyn_key *key,
				 struct dyn_work work)
{
	assert(key->commit_count != 0);
	add_item(node, key->last_commit, key, work, NULL, 0);
}

void
dyn_commit_remove_misnamed(struct dyn_node *node, enum dyn_table table,
						   const struct dyn_record_key *place)
{
	struct dyn_write *write = add_write(open_commit(node));
	struct dyn_arena *arena = &node->out->arena;

	write->table = table;
	write->key =
		(struct dyn_record_key){ .bucket = dyn_arena_copy(arena, place->bucket),
								 .cell = place->cell,
								 .key = dyn_arena_copy(arena, place->key) };
}

uint64_t
dyn_commit_write_meta(struct dyn_node *node, const char *name,
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

/* ----------------------------------------------------------- its end */

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
	/* A key beside damage may be there or not (DYN_LOADED_DOUBTED): two may
	 * stand for one record. */
	else if (node->hints.count > 0)
		node->hints.count--;
}

static void
settle_ids(struct dyn_node *node, const struct dyn_commit_item *item,
		   enum dyn_status status)
{
	for (uint32_t i = 0; i < item->id_count; i++)
		if (status == DYN_STATUS_OK)
			dyn_remember_committed(&node->remember, &item->ids[i],
								   node->now_ms);
		else
			dyn_remember_forget(&node->remember, &item->ids[i]);
}

static void
committed(struct dyn_node *node, const struct dyn_commit_item *item,
		  enum dyn_status status)
{
	/* A later commit of the key carries what this one did not write, and the
	 * requests that it speaks of: only when that one fails, too, nothing of
	 * them is on disk. */
	bool carried = item->key->commit_count != 0;

	if (item->key->table == DYN_TABLE_HINTS)
		hint_committed(node, item, status);
	if (status != DYN_STATUS_OK && carried)
		add_item(node, item->key->last_commit, item->key,
				 (struct dyn_work){ 0, 0 }, item->ids, item->id_count);
	else
		settle_ids(node, item, status);
	dyn_request_committed(node, item->work, status, carried);
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

/* A key may stand here several times; its last item lets it go. */
static void
let_keys_go(struct dyn_node *node, const struct dyn_commit *self)
{
	for (uint32_t i = 0; i < self->item_count; i++)
	{
		if (self->items[i].key->last_commit == self)
			self->items[i].key->last_commit = NULL;
		self->items[i].key->last_item = i;
	}
	for (uint32_t i = 0; i < self->item_count; i++)
		if (self->items[i].key->last_item == i)
			dyn_key_release(node, self->items[i].key);
}

/* It held records of the node's own: whoever wrote some knows its token. */
static void
meta_stored(struct dyn_node *node, uint64_t token, enum dyn_status status)
{
	node->records_due |= status != DYN_STATUS_OK;
	dyn_identity_committed(node, token, status);
	dyn_formation_stored(node, token, status);
	dyn_bucket_stored(node, token, status);
	dyn_building_stored(node, token, status);
	dyn_fence_stored(node, token, status);
	dyn_progress_stored(node, token, status);
	dyn_reap_stored(node, token, status);
}

void
dyn_commit_stored(struct dyn_node *node, const struct dyn_event *event)
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
	let_keys_go(node, self);
	if (self->has_meta)
		meta_stored(node, token, event->stored.status);
	free_commit(self);
}

/* -------------------------------------------------------------- the whole */

void
dyn_commit_flush(struct dyn_node *node)
{
	struct dyn_commit *commit = node->open_commit;
	struct dyn_write *writes;
	struct dyn_effect *effect;

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
dyn_commit_destroy_all(struct dyn_node *node)
{
	struct dyn_commit *commit;
	struct dyn_commit *commit_next;

	HASH_ITER(hh, node->commits, commit, commit_next)
	{
		HASH_DEL(node->commits, commit);
		free_commit(commit);
	}
}

uint64_t
dyn_commit_item_count(const struct dyn_node *node)
{
	const struct dyn_commit *self;
	uint64_t count = 0;

	for (self = node->commits; self != NULL; self = self->hh.next)
		count += self->item_count;
	return count;
}

uint64_t
dyn_commit_bytes(const struct dyn_node *node)
{
	const struct dyn_commit *self;
	uint64_t bytes = 0;

	for (self = node->commits; self != NULL; self = self->hh.next)
		bytes += self->bytes;
	return bytes;
}
