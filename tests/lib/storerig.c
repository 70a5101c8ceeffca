/*
 * The store under test as its callers see it (io/store/store.h): effects in,
 * completions waited for.
 */
#include "storerig.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/store/record.h"
#include "model/hash.h"
#include "scratch.h"
#include "storehand.h"

/* cmocka is not linked into everything that links this directory. */
void
storerig_must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "storerig: %s\n", what);
	abort();
}

static struct dyn_record_key
place_of(const char *key)
{
	const char *slash = strchr(key, '/');
	struct dyn_slice bucket = dyn_slice_of("b");

	if (slash != NULL)
	{
		bucket =
			(struct dyn_slice){ (const uint8_t *) key, (size_t) (slash - key) };
		key = slash + 1;
	}
	return (struct dyn_record_key){ bucket, (uint8_t) key[0],
									dyn_slice_of(key) };
}

static void
note_stored(struct storerig *rig, const struct dyn_event *event)
{
	storerig_must(event->stored.token < STORERIG_TOKENS_MAX, "too many STOREs");
	rig->statuses[event->stored.token] = event->stored.status;
	rig->tokens_in_order[rig->stored_count++] = event->stored.token;
}

static void
note_loaded(struct storerig *rig, const struct dyn_event *event)
{
	const struct dyn_loaded *record = &event->loaded.records[0];

	storerig_must(event->loaded.record_count != 0, "something of a LOAD");
	rig->loaded_count = event->loaded.record_count;
	rig->state = record->state;
	rig->hash = record->hash;
	rig->held_at_ms = record->held_at_ms;
	rig->flags = record->flags;
	free(rig->object);
	rig->object_size = record->object.size;
	rig->object = malloc(record->object.size + 1);
	storerig_must(rig->object != NULL, "memory");
	if (record->object.size != 0)
		memcpy(rig->object, record->object.data, record->object.size);
	rig->read_count++;
}

static size_t
keep(uint8_t *to, struct dyn_slice bytes)
{
	if (bytes.size != 0)
		memcpy(to, bytes.data, bytes.size);
	return bytes.size;
}

static void
note_scanned(struct storerig *rig, const struct dyn_event *event)
{
	rig->scan_status = event->scanned.status;
	rig->scan_end = event->scanned.end;
	rig->after_bucket_size =
		keep(rig->after_bucket, event->scanned.after_bucket);
	rig->after_cell = event->scanned.after_cell;
	rig->after_damaged = event->scanned.after_damaged;
	rig->after_key_size = keep(rig->after_key, event->scanned.after_key);
	rig->scan_found = 0;
	rig->scan_corrupt = 0;
	for (uint32_t i = 0; i < event->scanned.item_count; i++)
	{
		rig->scan_found += event->scanned.items[i].state == DYN_LOADED_FOUND;
		rig->scan_corrupt +=
			event->scanned.items[i].state == DYN_LOADED_CORRUPT;
	}
	rig->read_count++;
}

static void
complete(void *context, const struct dyn_event *event)
{
	struct storerig *rig = context;

	if (rig->watch != NULL)
		rig->watch(rig, event);
	if (event->type == DYN_EVENT_STORED)
		note_stored(rig, event);
	else if (event->type == DYN_EVENT_LOADED)
		note_loaded(rig, event);
	else if (event->type == DYN_EVENT_SCANNED)
		note_scanned(rig, event);
	else if (event->type != DYN_EVENT_TREE)
	{
		storerig_must(event->type == DYN_EVENT_STORE_WRITABLE, "a known event");
		rig->writable_count++;
	}
}

struct storerig *
storerig_new(void)
{
	struct storerig *rig = calloc(1, sizeof(*rig));

	storerig_must(rig != NULL, "memory");
	rig->config.directory = scratch_make();
	return rig;
}

void
storerig_free(struct storerig *rig)
{
	storerig_close(rig);
	scratch_remove((char *) rig->config.directory);
	free(rig->object);
	free(rig);
}

int
storerig_set_up(void **state)
{
	*state = storerig_new();
	return 0;
}

int
storerig_tear_down(void **state)
{
	storerig_free(*state);
	return 0;
}

static enum dyn_status
open_store(struct storerig *rig, char *reason, size_t reason_size)
{
	rig->token_next = 0;
	rig->stored_count = 0;
	rig->writable_count = 0;
	rig->has_failed = false;
	for (uint32_t i = 0; i < STORERIG_TOKENS_MAX; i++)
		rig->statuses[i] = DYN_STATUS_INTERNAL;
	return dyn_store_lmdb_open(&rig->config, complete, rig, &rig->store, reason,
							   reason_size);
}

void
storerig_open(struct storerig *rig)
{
	char reason[512] = "";

	storerig_must(open_store(rig, reason, sizeof(reason)) == DYN_STATUS_OK,
				  reason);
}

const char *
storerig_open_refused(struct storerig *rig)
{
	static char reason[512];

	reason[0] = '\0';
	storerig_must(open_store(rig, reason, sizeof(reason)) != DYN_STATUS_OK,
				  "a refusal");
	storerig_must(rig->store == NULL, "a refusal leaves nothing open");
	return reason;
}

struct dyn_store_tree_report
storerig_check(struct storerig *rig)
{
	struct dyn_store_tree_report report;

	storerig_must(dyn_store_lmdb_check(rig->store, &report) == DYN_STATUS_OK,
				  "a store that can be read");
	return report;
}

void
storerig_close(struct storerig *rig)
{
	if (rig->store == NULL)
		return;
	if (!rig->is_damaged && !rig->has_failed)
	{
		struct dyn_store_tree_report report = storerig_check(rig);

		storerig_must(report.wrong == 0, "the tree of the records");
		storerig_must(report.damaged + report.damaged_branches == 0,
					  "a sound store");
		storerig_must(storerig_stats(rig).tree.rebuilt == rig->rebuilds,
					  "a tree that was never computed again");
	}
	rig->store->ops->close(&rig->store);
}

struct dyn_write
storerig_write(const char *key, const void *object, size_t size)
{
	return (struct dyn_write){ .table = DYN_TABLE_MAIN,
							   .key = place_of(key),
							   .hash = size * 31 + 7,
							   .object = { object, size } };
}

uint64_t
storerig_submit(struct storerig *rig, const struct dyn_write *writes,
				uint32_t count)
{
	struct dyn_effect effect = { .type = DYN_EFFECT_STORE };

	effect.store.token = rig->token_next++;
	effect.store.writes = writes;
	effect.store.write_count = count;
	rig->store->ops->submit(rig->store, &effect);
	return effect.store.token;
}

uint64_t
storerig_submit_one(struct storerig *rig, const char *key, const void *object,
					size_t size)
{
	struct dyn_write write = storerig_write(key, object, size);

	return storerig_submit(rig, &write, 1);
}

bool
storerig_turn(struct storerig *rig, int wait_ms)
{
	struct pollfd wakeup = { .fd = rig->store->ops->wakeup_fd(rig->store),
							 .events = POLLIN };

	if (poll(&wakeup, 1, wait_ms) == 1 &&
		!rig->store->ops->dispatch(rig->store, &rig->failure))
		rig->has_failed = true;
	return !rig->has_failed;
}

/* Something must come, or the test is over. */
static void
must_turn(struct storerig *rig)
{
	uint32_t before = rig->stored_count + rig->read_count + rig->writable_count;

	storerig_must(storerig_turn(rig, STORERIG_WAIT_MS), "the store has failed");
	storerig_must(before !=
					  rig->stored_count + rig->read_count + rig->writable_count,
				  "nothing came in time");
}

void
storerig_finish(struct storerig *rig)
{
	while (rig->stored_count < rig->token_next)
		must_turn(rig);
}

enum dyn_status
storerig_wait(struct storerig *rig, uint64_t token)
{
	while (rig->statuses[token] == DYN_STATUS_INTERNAL)
		must_turn(rig);
	return rig->statuses[token];
}

enum dyn_status
storerig_put(struct storerig *rig, const char *key, const void *object,
			 size_t size)
{
	return storerig_wait(rig, storerig_submit_one(rig, key, object, size));
}

static void
submit_read(struct storerig *rig, const struct dyn_effect *effect)
{
	uint32_t before = rig->read_count;

	rig->store->ops->submit(rig->store, effect);
	while (rig->read_count == before)
		must_turn(rig);
}

uint32_t
storerig_load_some(struct storerig *rig, const char *const *keys,
				   uint32_t count, uint32_t bytes_max)
{
	struct dyn_record_key places[8];
	struct dyn_effect effect = { .type = DYN_EFFECT_LOAD };

	storerig_must(count <= 8, "not so many keys");
	for (uint32_t i = 0; i < count; i++)
		places[i] = place_of(keys[i]);
	effect.load.keys = places;
	effect.load.key_count = count;
	effect.load.bytes_max = bytes_max;
	submit_read(rig, &effect);
	return rig->loaded_count;
}

enum dyn_loaded_state
storerig_load(struct storerig *rig, const char *key)
{
	storerig_load_some(rig, &key, 1, 1);
	return rig->state;
}

bool
storerig_has(struct storerig *rig, const char *key, const void *object,
			 size_t size)
{
	return storerig_load(rig, key) == DYN_LOADED_FOUND &&
		   rig->object_size == size && rig->hash == size * 31 + 7 &&
		   memcmp(rig->object, object, size) == 0;
}

void
storerig_scan(struct storerig *rig, bool restart, uint32_t items_max)
{
	struct dyn_effect effect = { .type = DYN_EFFECT_SCAN };

	if (!rig->scan_all)
		effect.scan.bucket = dyn_slice_of("b");
	effect.scan.cell_first = rig->scan_cell_first;
	effect.scan.cell_last =
		rig->scan_cell_last != 0 ? rig->scan_cell_last : DYN_CELL_COUNT - 1;
	effect.scan.has_after = !restart && rig->after_key_size != 0;
	effect.scan.after_damaged = restart ? 0 : rig->after_damaged;
	effect.scan.after_bucket =
		(struct dyn_slice){ rig->after_bucket, rig->after_bucket_size };
	effect.scan.after_cell = rig->after_cell;
	effect.scan.after_key =
		(struct dyn_slice){ rig->after_key, rig->after_key_size };
	if (rig->scan_min != NULL)
		effect.scan.key_min = dyn_slice_of(rig->scan_min);
	if (rig->scan_max != NULL)
		effect.scan.key_max = dyn_slice_of(rig->scan_max);
	effect.scan.flags = rig->scan_flags;
	effect.scan.visits_max = rig->scan_visits_max;
	effect.scan.for_damage = rig->scan_for_damage;
	effect.scan.items_max = items_max;
	effect.scan.bytes_max = UINT32_MAX;
	submit_read(rig, &effect);
}

struct dyn_store_lmdb_stats
storerig_stats(struct storerig *rig)
{
	struct dyn_store_lmdb_stats stats;

	dyn_store_lmdb_stats(rig->store, &stats);
	return stats;
}

/* The first head is 32 bytes, and the sum of its first 24 with the name. */
static MDB_val
old_record(MDB_val name, MDB_val value, uint8_t *bytes)
{
	uint8_t summed[DYN_RECORD_KEY_SIZE_MAX + 24];
	size_t object_size = value.mv_size - DYN_RECORD_HEAD_SIZE;
	uint64_t sum;

	memcpy(bytes, value.mv_data, 24);
	bytes[2] = 1;
	memcpy(summed, name.mv_data, name.mv_size);
	memcpy(summed + name.mv_size, bytes, 24);
	sum = dyn_hash_bytes((struct dyn_slice){ summed, name.mv_size + 24 });
	memcpy(bytes + 24, &sum, 8);
	memcpy(bytes + 32, (uint8_t *) value.mv_data + DYN_RECORD_HEAD_SIZE,
		   object_size);
	return (MDB_val){ 32 + object_size, bytes };
}

static void
make_table_old(struct storehand *hand, const char *table)
{
	MDB_cursor *cursor;
	MDB_dbi dbi = storehand_table(hand, table);
	MDB_val name;
	MDB_val value;

	storerig_must(mdb_cursor_open(hand->txn, dbi, &cursor) == 0, "a cursor");
	while (mdb_cursor_get(cursor, &name, &value, MDB_NEXT) == 0)
	{
		uint8_t key[DYN_RECORD_KEY_SIZE_MAX];
		uint8_t *bytes = malloc(value.mv_size);
		MDB_val old = old_record(name, value, bytes);

		/* What is on a page moves while it is written. */
		memcpy(key, name.mv_data, name.mv_size);
		name.mv_data = key;
		storerig_must(mdb_cursor_put(cursor, &name, &old, MDB_CURRENT) == 0,
					  "an old record");
		free(bytes);
	}
	mdb_cursor_close(cursor);
}

void
storerig_make_old(const struct storerig *rig, const char *format)
{
	MDB_val key = { 6, (void *) "format" };
	MDB_val value = { strlen(format), (void *) format };
	struct storehand hand = storehand_begin(rig);

	make_table_old(&hand, "main");
	make_table_old(&hand, "meta");
	make_table_old(&hand, "hints");
	storerig_must(mdb_put(hand.txn, storehand_table(&hand, "dynnode"), &key,
						  &value, 0) == 0,
				  "the old format");
	storehand_end(&hand);
}
