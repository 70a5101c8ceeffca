/*
 * LOAD and TREE become completions here, on the caller's thread: lmdb.c
 * submits, this reads, state.c keeps them until dispatch.  Pages of a SCAN are
 * scan.c's.
 */
#include "io/store/read.h"

#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "io/store/record.h"

uint8_t *
dyn_store_take_bytes(size_t size)
{
	uint8_t *bytes = malloc(size ? size : 1);

	if (bytes == NULL)
		abort();
	return bytes;
}

void
dyn_store_move_slice(struct dyn_slice *slice, uint8_t **to)
{
	if (slice->size == 0)
	{
		*slice = (struct dyn_slice){ NULL, 0 };
		return;
	}
	memcpy(*to, slice->data, slice->size);
	slice->data = *to;
	*to += slice->size;
}

struct dyn_store_completion *
dyn_store_completion_new(enum dyn_event_type type)
{
	struct dyn_store_completion *self = dyn_memory_take(sizeof(*self));

	self->event.type = type;
	return self;
}

void
dyn_store_completion_destroy(struct dyn_store_completion *self)
{
	dyn_memory_give(self->items);
	free(self->bytes);
	dyn_memory_give(self);
}

/* LMDB's own word for damage, or something else that kept us from reading. */
static enum dyn_loaded_state
state_of_failure(int code)
{
	if (code == MDB_CORRUPTED || code == MDB_PAGE_NOTFOUND)
		return DYN_LOADED_CORRUPT;
	return DYN_LOADED_IO_ERROR;
}

/* ---- LOAD ---- */

/* Is the absence of this key believable? */
static bool
are_neighbours_sound(struct dyn_store_reader *reader, MDB_dbi table,
					 struct dyn_slice name)
{
	MDB_cursor *cursor;
	bool sound;
	int code;

	if (mdb_cursor_open(reader->txn, table, &cursor) != 0)
		return false;
	sound = dyn_store_is_sound_at(cursor, MDB_SET_RANGE, dyn_store_val_of(name),
								  &code);
	if (sound)
		sound = dyn_store_is_sound_at(cursor, code == 0 ? MDB_PREV : MDB_LAST,
									  dyn_store_val_of(name), &code);
	mdb_cursor_close(cursor);
	return sound;
}

static void
load_one(struct dyn_store_reader *reader, MDB_dbi table,
		 const struct dyn_record_key *key, struct dyn_loaded *out)
{
	struct dyn_record_name name;
	struct dyn_record record;
	MDB_val lookup;
	MDB_val value;
	int code;

	out->state = DYN_LOADED_IO_ERROR;
	if (key->key.size == 0 || dyn_record_name_make(key, &name))
		return;
	lookup = dyn_store_val_of(dyn_record_name_slice(&name));
	code = mdb_get(reader->txn, table, &lookup, &value);
	if (code == MDB_NOTFOUND)
		out->state =
			are_neighbours_sound(reader, table, dyn_record_name_slice(&name))
				? DYN_LOADED_ABSENT
				: DYN_LOADED_DOUBTED;
	else if (code != 0)
		out->state = state_of_failure(code);
	else if (dyn_record_decode(dyn_store_slice_of(lookup),
							   dyn_store_slice_of(value), &record))
		out->state = DYN_LOADED_CORRUPT;
	else
	{
		out->state = DYN_LOADED_FOUND;
		out->hash = record.hash;
		out->held_at_ms = record.held_at_ms;
		out->slots = record.slots;
		out->flags = record.flags;
		out->object = record.object;
	}
}

/* The slices still point into the map: bring them to memory of our own. */
static void *
copy_loaded(struct dyn_loaded *records, uint32_t count)
{
	uint8_t *bytes;
	uint8_t *at;
	size_t size = 0;

	for (uint32_t i = 0; i < count; i++)
		size += records[i].object.size;
	bytes = at = dyn_store_take_bytes(size);
	for (uint32_t i = 0; i < count; i++)
		dyn_store_move_slice(&records[i].object, &at);
	return bytes;
}

struct dyn_store_completion *
dyn_store_read_load(struct dyn_store_reader *reader,
					const struct dyn_effect *effect, uint64_t *corrupt)
{
	struct dyn_store_completion *self =
		dyn_store_completion_new(DYN_EVENT_LOADED);
	uint32_t count = effect->load.key_count;
	struct dyn_loaded *records = dyn_memory_take(count * sizeof(*records));
	bool begun = dyn_store_reader_begin(reader) == 0;
	size_t bytes = 0;

	for (uint32_t i = 0; i < count; i++)
	{
		records[i].state = DYN_LOADED_IO_ERROR;
		if (begun)
			load_one(reader, reader->env->tables[effect->load.table],
					 &effect->load.keys[i], &records[i]);
		*corrupt += records[i].state == DYN_LOADED_CORRUPT ||
					records[i].state == DYN_LOADED_DOUBTED;
		if (effect->load.hash_only)
			records[i].object = (struct dyn_slice){ NULL, 0 };
		bytes += records[i].object.size;
		if (effect->load.bytes_max != 0 && bytes >= effect->load.bytes_max)
			count = i + 1;
	}
	self->items = records;
	self->bytes = copy_loaded(records, count);
	if (begun)
		dyn_store_reader_end(reader);
	self->event.loaded.token = effect->load.token;
	self->event.loaded.records = records;
	self->event.loaded.record_count = count;
	return self;
}

/* ---- TREE ---- */

struct dyn_store_completion *
dyn_store_read_tree(struct dyn_store_tree *tree,
					const struct dyn_effect *effect)
{
	struct dyn_store_completion *self =
		dyn_store_completion_new(DYN_EVENT_TREE);
	uint32_t count = effect->tree.node_count;
	uint64_t *hashes = dyn_memory_take(count * sizeof(*hashes));
	bool is_known = dyn_store_tree_answer(tree, effect, hashes);

	self->items = hashes;
	self->event.tree.token = effect->tree.token;
	self->event.tree.status = is_known ? DYN_STATUS_OK : DYN_STATUS_IO_ERROR;
	self->event.tree.hashes = hashes;
	self->event.tree.hash_count = count;
	return self;
}

/* ---- the meta table ---- */

static enum dyn_status
copy_out(const struct dyn_allocator *allocator, struct dyn_slice from,
		 struct dyn_slice *to)
{
	uint8_t *bytes =
		allocator->allocate(allocator->context, from.size ? from.size : 1);

	if (bytes == NULL)
		return DYN_STATUS_NO_MEMORY;
	if (from.size != 0)
		memcpy(bytes, from.data, from.size);
	*to = (struct dyn_slice){ bytes, from.size };
	return DYN_STATUS_OK;
}

static enum dyn_status
copy_meta(MDB_cursor *cursor, const struct dyn_allocator *allocator,
		  struct dyn_slice *names, struct dyn_slice *values, size_t entries,
		  uint32_t *count)
{
	MDB_val name;
	MDB_val value;
	int code;

	for (*count = 0;
		 (code = mdb_cursor_get(cursor, &name, &value, MDB_NEXT)) == 0;
		 ++*count)
	{
		struct dyn_record record;
		enum dyn_status status;

		if (*count >= entries ||
			dyn_record_decode(dyn_store_slice_of(name),
							  dyn_store_slice_of(value), &record))
			return DYN_STATUS_CORRUPT;
		status = copy_out(allocator, dyn_store_slice_of(name), &names[*count]);
		if (status == DYN_STATUS_OK)
			status = copy_out(allocator, record.object, &values[*count]);
		if (status != DYN_STATUS_OK)
			return status;
	}
	if (code != MDB_NOTFOUND)
		return state_of_failure(code) == DYN_LOADED_CORRUPT
				   ? DYN_STATUS_CORRUPT
				   : DYN_STATUS_IO_ERROR;
	return *count == entries ? DYN_STATUS_OK : DYN_STATUS_CORRUPT;
}

static enum dyn_status
read_meta(struct dyn_store_reader *reader,
		  const struct dyn_allocator *allocator, struct dyn_slice **names,
		  struct dyn_slice **values, uint32_t *count)
{
	MDB_dbi table = reader->env->tables[DYN_TABLE_META];
	MDB_stat table_stat;
	MDB_cursor *cursor;
	enum dyn_status status;
	size_t size;

	if (mdb_stat(reader->txn, table, &table_stat) != 0 ||
		mdb_cursor_open(reader->txn, table, &cursor) != 0)
		return DYN_STATUS_IO_ERROR;
	size = (table_stat.ms_entries + 1) * sizeof(struct dyn_slice);
	*names = allocator->allocate(allocator->context, size);
	*values = allocator->allocate(allocator->context, size);
	if (*names == NULL || *values == NULL)
		status = DYN_STATUS_NO_MEMORY;
	else
		status = copy_meta(cursor, allocator, *names, *values,
						   table_stat.ms_entries, count);
	mdb_cursor_close(cursor);
	return status;
}

enum dyn_status
dyn_store_read_meta(struct dyn_store_reader *reader,
					const struct dyn_allocator *allocator,
					struct dyn_slice **names, struct dyn_slice **values,
					uint32_t *count)
{
	enum dyn_status status;

	*names = *values = NULL;
	*count = 0;
	if (dyn_store_reader_begin(reader) != 0)
		return DYN_STATUS_IO_ERROR;
	status = read_meta(reader, allocator, names, values, count);
	dyn_store_reader_end(reader);
	return status;
}

bool
dyn_store_read_count(struct dyn_store_reader *reader, enum dyn_table table,
					 uint64_t *count)
{
	MDB_stat table_stat;
	bool ok;

	if (dyn_store_reader_begin(reader) != 0)
		return false;
	ok = mdb_stat(reader->txn, reader->env->tables[table], &table_stat) == 0;
	if (ok)
		*count = table_stat.ms_entries;
	dyn_store_reader_end(reader);
	return ok;
}
