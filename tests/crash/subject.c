#include "subject.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "model/hash.h"
#include "model/tree.h"

static bool
say(struct crash_subject *self, bool *what, const char *format, ...)
{
	va_list arguments;

	/* The first is the one to look at. */
	if (!self->is_damaged && !self->is_wrong)
	{
		va_start(arguments, format);
		vsnprintf(self->text, sizeof(self->text), format, arguments);
		va_end(arguments);
	}
	*what = true;
	return false;
}

/* ---- completions ---- */

static void
note_stored(struct crash_subject *self)
{
	const struct dyn_event *event = self->event;

	if (event->stored.status != DYN_STATUS_OK)
		say(self, &self->is_wrong, "batch %u was answered with status %d",
			(uint32_t) event->stored.token, (int) event->stored.status);
	if (event->stored.token != self->batch_first + self->stored_count)
		say(self, &self->is_wrong, "batch %u was answered out of order",
			(uint32_t) event->stored.token);
	self->stored_count++;
	if (self->log != NULL)
		crash_log_add(
			self->log,
			(struct crash_entry){ .type = CRASH_STORED,
								  .number = (uint32_t) event->stored.token });
}

/* One record that the store showed. */
static void
note_record(struct crash_subject *self, enum dyn_table table,
			struct dyn_slice bucket, struct dyn_slice key,
			const struct dyn_loaded *record)
{
	uint32_t index = crash_load_find_key(self->load, table, bucket, key);

	if (index == CRASH_KEYS_MAX)
	{
		say(self, &self->is_wrong, "a key that was never written: %.*s",
			(int) (key.size < 60 ? key.size : 60), (const char *) key.data);
		return;
	}
	if (self->found[index] != 0)
		say(self, &self->is_wrong, "key %u is there twice", index);
	self->found[index] = crash_load_digest(&self->load->keys[index], record);
	self->hashes[index] = record->hash;
}

static void
note_scanned(struct crash_subject *self, enum dyn_table table,
			 struct dyn_slice bucket)
{
	const struct dyn_event *event = self->event;

	if (event->scanned.status != DYN_STATUS_OK)
		say(self, &self->is_damaged, "a scan ended with status %d",
			(int) event->scanned.status);
	for (uint32_t i = 0; i < event->scanned.item_count; i++)
	{
		const struct dyn_scanned *item = &event->scanned.items[i];

		if (item->state == DYN_LOADED_FOUND)
			note_record(self, table, bucket.size != 0 ? bucket : item->bucket,
						item->key,
						&(struct dyn_loaded){ .hash = item->hash,
											  .held_at_ms = item->held_at_ms,
											  .slots = item->slots,
											  .flags = item->flags,
											  .object = item->object });
		else
			say(self, &self->is_damaged, "a damaged record in a scan");
	}
	self->is_end = event->scanned.end || event->scanned.status != DYN_STATUS_OK;
	self->after_bucket_size = event->scanned.after_bucket.size;
	if (self->after_bucket_size != 0)
		memcpy(self->after_bucket, event->scanned.after_bucket.data,
			   self->after_bucket_size);
	self->after_cell = event->scanned.after_cell;
	self->after_key_size = event->scanned.after_key.size;
	if (self->after_key_size != 0)
		memcpy(self->after_key, event->scanned.after_key.data,
			   self->after_key_size);
}

/* What is read is noted by whoever asked for it. */
struct reading
{
	void (*note)(struct crash_subject *self, const struct reading *reading);
	enum dyn_table table;
	struct dyn_slice bucket;
	uint32_t key;
	const uint64_t *expected;
	const char *what;
};

static const struct reading *reading_now;

static void
complete(void *context, const struct dyn_event *event)
{
	struct crash_subject *self = context;

	self->event = event;
	if (event->type == DYN_EVENT_STORED)
		note_stored(self);
	else if (event->type == DYN_EVENT_STORE_WRITABLE || reading_now == NULL)
		say(self, &self->is_wrong, "an unexpected event of type %d",
			(int) event->type);
	else
	{
		self->read_count++;
		reading_now->note(self, reading_now);
	}
}

/* ---- stores ---- */

bool
crash_subject_open(struct crash_subject *self, uint32_t batch_first)
{
	self->submitted_count = self->stored_count = 0;
	self->batch_first = batch_first;
	self->is_damaged = self->is_wrong = false;
	return dyn_store_lmdb_open(&self->config, complete, self, &self->store,
							   self->text, sizeof(self->text)) == DYN_STATUS_OK;
}

void
crash_subject_close(struct crash_subject *self)
{
	self->store->ops->close(&self->store);
}

void
crash_subject_submit(struct crash_subject *self, const struct dyn_write *writes,
					 uint32_t count)
{
	struct dyn_effect effect = { .type = DYN_EFFECT_STORE };

	effect.store.token = self->batch_first + self->submitted_count++;
	effect.store.writes = writes;
	effect.store.write_count = count;
	if (self->log != NULL)
		crash_log_add(self->log, (struct crash_entry){
									 .type = CRASH_SUBMITTED,
									 .number = (uint32_t) effect.store.token });
	self->store->ops->submit(self->store, &effect);
}

bool
crash_subject_dispatch(struct crash_subject *self)
{
	const char *reason;

	if (!self->store->ops->dispatch(self->store, &reason))
		say(self, &self->is_damaged, "the store has failed: %s", reason);
	return !self->is_damaged && !self->is_wrong;
}

static bool
turn(struct crash_subject *self)
{
	struct pollfd wakeup = { .fd = self->store->ops->wakeup_fd(self->store),
							 .events = POLLIN };

	if (poll(&wakeup, 1, CRASH_WAIT_MS) != 1)
		return say(self, &self->is_wrong, "the store does not answer");
	return crash_subject_dispatch(self);
}

bool
crash_subject_finish(struct crash_subject *self)
{
	while (self->stored_count < self->submitted_count)
		if (!turn(self))
			return false;
	return true;
}

bool
crash_subject_is_done(struct crash_subject *self)
{
	struct dyn_store_lmdb_stats stats;

	dyn_store_lmdb_stats(self->store, &stats);
	return stats.stores + stats.stores_full == self->submitted_count;
}

/* ---- reading ---- */

static bool
read_one(struct crash_subject *self, const struct dyn_effect *effect,
		 const struct reading *reading)
{
	uint32_t before = self->read_count;

	reading_now = reading;
	self->store->ops->submit(self->store, effect);
	while (self->read_count == before && turn(self))
		;
	reading_now = NULL;
	return !self->is_damaged && !self->is_wrong;
}

static void
note_scan(struct crash_subject *self, const struct reading *reading)
{
	note_scanned(self, reading->table, reading->bucket);
}

static bool
scan(struct crash_subject *self, enum dyn_table table, const char *bucket,
	 struct dyn_simrandom *random)
{
	struct reading reading = { .note = note_scan,
							   .table = table,
							   .bucket = dyn_slice_of(bucket) };
	struct dyn_effect effect = { .type = DYN_EFFECT_SCAN };

	effect.scan.table = table;
	effect.scan.bucket = reading.bucket;
	effect.scan.cell_last = DYN_CELL_COUNT - 1;
	effect.scan.bytes_max = UINT32_MAX;
	do
	{
		effect.scan.items_max =
			(uint32_t) dyn_simrandom_between(random, 1, 200);
		if (!read_one(self, &effect, &reading))
			return false;
		effect.scan.has_after = true;
		effect.scan.after_bucket =
			(struct dyn_slice){ (const uint8_t *) self->after_bucket,
								self->after_bucket_size };
		effect.scan.after_cell = self->after_cell;
		effect.scan.after_key =
			(struct dyn_slice){ self->after_key, self->after_key_size };
	} while (!self->is_end);
	return true;
}

static bool
scan_table(struct crash_subject *self, enum dyn_table table,
		   struct dyn_simrandom *random)
{
	if (dyn_simrandom_chance(random, 500000))
		return scan(self, table, "", random);
	return scan(self, table, "cart", random) &&
		   scan(self, table, "session", random);
}

static bool
read_meta(struct crash_subject *self)
{
	struct dyn_allocator allocator = dyn_memory_allocator();
	struct dyn_slice *names = NULL;
	struct dyn_slice *values = NULL;
	uint32_t count = 0;
	enum dyn_status status = self->store->ops->read_meta(
		self->store, &allocator, &names, &values, &count);

	if (status != DYN_STATUS_OK)
		return say(self, &self->is_damaged, "the meta records gave status %d",
				   (int) status);
	for (uint32_t i = 0; i < count; i++)
		note_record(self, DYN_TABLE_META, (struct dyn_slice){ NULL, 0 },
					names[i], &(struct dyn_loaded){ .object = values[i] });
	dyn_memory_give(names);
	dyn_memory_give(values);
	return !self->is_wrong;
}

static void
note_load(struct crash_subject *self, const struct reading *reading)
{
	const struct dyn_loaded *record = &self->event->loaded.records[0];
	uint64_t digest = 0;

	if (record->state != DYN_LOADED_FOUND && record->state != DYN_LOADED_ABSENT)
	{
		say(self, &self->is_damaged, "key %u loads as damaged", reading->key);
		return;
	}
	if (record->state == DYN_LOADED_FOUND)
		digest = crash_load_digest(&self->load->keys[reading->key], record);
	if (digest != self->found[reading->key])
		say(self, &self->is_wrong, "key %u loads not as it was scanned",
			reading->key);
}

static bool
load_some(struct crash_subject *self, struct dyn_simrandom *random)
{
	for (int i = 0; i < 8; i++)
	{
		uint32_t key = (uint32_t) dyn_simrandom_below(
			random, self->load->habits.key_count);
		struct reading reading = { .note = note_load,
								   .table = self->load->keys[key].table,
								   .key = key };
		struct dyn_effect effect = { .type = DYN_EFFECT_LOAD };

		if (reading.table == DYN_TABLE_META)
			continue;
		effect.load.table = reading.table;
		effect.load.keys = &self->load->keys[key].place;
		effect.load.key_count = 1;
		if (!read_one(self, &effect, &reading))
			return false;
	}
	return true;
}

/* ---- the tree ---- */

static void
note_tree(struct crash_subject *self, const struct reading *reading)
{
	const struct dyn_event *event = self->event;

	if (event->tree.status != DYN_STATUS_OK)
	{
		say(self, &self->is_damaged, "the tree gave status %d",
			(int) event->tree.status);
		return;
	}
	for (uint32_t i = 0; i < event->tree.hash_count; i++)
		if (event->tree.hashes[i] != reading->expected[i])
		{
			say(self, &self->is_wrong,
				"the tree's %s hash %u of %u is not that of its records",
				reading->what, i, event->tree.hash_count);
			return;
		}
}

/* Nodes of a level and what their hashes should be. */
struct foliage
{
	uint32_t nodes[DYN_CELL_COUNT];
	uint64_t hashes[DYN_CELL_COUNT];
	uint32_t count;
};

static int
compare_nodes(const void *left, const void *right)
{
	uint32_t a = *(const uint32_t *) left;
	uint32_t b = *(const uint32_t *) right;

	return a < b ? -1 : a > b;
}

static uint32_t
node_of(const struct crash_key *key, enum dyn_tree_level level)
{
	return dyn_tree_leaf(key->position) / dyn_tree_leaves_below(level);
}

/* All cells; of the other levels the nodes that keys hang in, with or
 * without a record now. */
static void
list_nodes(const struct crash_load *load, enum dyn_tree_level level,
		   struct foliage *out)
{
	uint32_t kept = 0;

	out->count = 0;
	if (level == DYN_TREE_CELL)
		while (out->count < DYN_CELL_COUNT)
		{
			out->nodes[out->count] = out->count;
			out->count++;
		}
	for (uint32_t i = 0; i < load->habits.key_count && level != DYN_TREE_CELL;
		 i++)
		if (load->keys[i].table == DYN_TABLE_MAIN)
			out->nodes[out->count++] = node_of(&load->keys[i], level);
	qsort(out->nodes, out->count, sizeof(*out->nodes), compare_nodes);
	for (uint32_t i = 0; i < out->count; i++)
		if (kept == 0 || out->nodes[kept - 1] != out->nodes[i])
			out->nodes[kept++] = out->nodes[i];
	out->count = kept;
}

static void
hash_nodes(const struct crash_subject *self, enum dyn_tree_level level,
		   struct foliage *out)
{
	memset(out->hashes, 0, sizeof(out->hashes));
	for (uint32_t i = 0; i < self->load->habits.key_count; i++)
	{
		const struct crash_key *key = &self->load->keys[i];
		uint32_t node = node_of(key, level);
		uint32_t *at;

		if (key->table != DYN_TABLE_MAIN || self->found[i] == 0)
			continue;
		at = bsearch(&node, out->nodes, out->count, sizeof(*out->nodes),
					 compare_nodes);
		out->hashes[at - out->nodes] ^=
			dyn_tree_item(key->position, self->hashes[i]);
	}
}

static bool
read_tree(struct crash_subject *self)
{
	static const char *const names[] = { [DYN_TREE_CELL] = "cell",
										 [DYN_TREE_BRANCH] = "branch",
										 [DYN_TREE_LEAF] = "leaf" };
	struct foliage foliage;

	for (int level = DYN_TREE_CELL; level <= DYN_TREE_LEAF; level++)
	{
		struct reading reading = { .note = note_tree,
								   .expected = foliage.hashes,
								   .what = names[level] };
		struct dyn_effect effect = { .type = DYN_EFFECT_TREE };

		list_nodes(self->load, (enum dyn_tree_level) level, &foliage);
		hash_nodes(self, (enum dyn_tree_level) level, &foliage);
		effect.tree.level = (enum dyn_tree_level) level;
		effect.tree.nodes = foliage.nodes;
		effect.tree.node_count = foliage.count;
		if (foliage.count > 0 && !read_one(self, &effect, &reading))
			return false;
	}
	return true;
}

/* The tree's own records: the store would mend damaged ones, but a crash
 * damages none. */
static bool
check_tree(struct crash_subject *self)
{
	struct dyn_store_lmdb_stats stats;
	struct dyn_store_tree_report report;

	dyn_store_lmdb_stats(self->store, &stats);
	if (stats.tree.recomputed != 0 ||
		(stats.tree.rebuilt != 0 && !self->is_new))
		return say(self, &self->is_damaged,
				   "the tree had to be computed again");
	if (dyn_store_lmdb_check(self->store, &report) != DYN_STATUS_OK)
		return say(self, &self->is_damaged, "the tree cannot be checked");
	if (report.wrong != 0 || report.damaged_branches != 0)
		return say(self, &self->is_wrong,
				   "%u leaves of the tree on disk are wrong, %u damaged",
				   (uint32_t) report.wrong, (uint32_t) report.damaged_branches);
	return true;
}

bool
crash_subject_read(struct crash_subject *self, const struct crash_load *load,
				   struct dyn_simrandom *random)
{
	self->load = load;
	memset(self->found, 0, sizeof(self->found));
	return read_meta(self) && scan_table(self, DYN_TABLE_MAIN, random) &&
		   scan_table(self, DYN_TABLE_HINTS, random) &&
		   load_some(self, random) && read_tree(self) && check_tree(self);
}
