#include "tests/sim/simlmdb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "io/store/read.h"
#include "io/store/scan.h"
#include "io/store/write.h"
#include "tests/sim/simdirectory.h"

/* More than any seed writes. */
#define MAP_SIZE_MAX ((size_t) 1 << 30)

struct simlmdb
{
	struct dyn_simreal base;
	char *directory;
	struct dyn_store_env env;
	struct dyn_store_reader reader;
	bool is_open;
};

/* ------------------------------------------------------------ open and close */

static void
close_store(struct dyn_simreal *base)
{
	struct simlmdb *self = (struct simlmdb *) base;

	if (!self->is_open)
		return;
	dyn_store_reader_destroy(&self->reader);
	dyn_store_env_close(&self->env);
	self->is_open = false;
}

/* False when it cannot be, and that is noted. */
static bool
is_ready(struct simlmdb *self)
{
	char reason[256] = "";

	if (self->is_open)
		return true;
	self->env = (struct dyn_store_env){ 0 };
	if (dyn_store_env_open(&self->env, self->directory, MAP_SIZE_MAX, true,
						   reason, sizeof(reason)) != DYN_STATUS_OK)
	{
		dyn_simreal_note(&self->base, "the store does not open: %s", reason);
		return false;
	}
	dyn_store_reader_init(&self->reader, &self->env);
	self->is_open = true;
	return true;
}

/* A process that starts reads everything anew. */
static void
open_store(struct dyn_simreal *base)
{
	close_store(base);
	is_ready((struct simlmdb *) base);
}

static void
free_store(struct dyn_simreal *base)
{
	struct simlmdb *self = (struct simlmdb *) base;

	close_store(base);
	dyn_simdirectory_remove(self->directory);
	free(self);
}

/* As dynctl's user copies a store that is in use. */
static struct dyn_simreal *
copy_store(struct dyn_simreal *base)
{
	struct simlmdb *self = (struct simlmdb *) base;
	struct dyn_simreal *copy = dyn_simlmdb_new();
	int code = EINVAL;

	if (is_ready(self))
		code = mdb_env_copy2(self->env.mdb,
							 ((struct simlmdb *) copy)->directory, 0);
	if (code != 0)
		dyn_simreal_note(base, "no copy: %s", mdb_strerror(code));
	return copy;
}

/* ------------------------------------------------------------------- writing */

static struct dyn_store_batch *
encode(const struct dyn_simbatch *batch)
{
	struct dyn_write *writes = dyn_sim_allocate(batch->count * sizeof(*writes));
	struct dyn_effect effect = { .type = DYN_EFFECT_STORE };
	struct dyn_store_batch *encoded;

	for (uint32_t i = 0; i < batch->count; i++)
	{
		const struct dyn_simrecord *record = &batch->records[i];

		writes[i] = (struct dyn_write){ .table = batch->tables[i],
										.key = record->key,
										.hash = record->hash,
										.held_at_ms = record->held_at_ms,
										.slots = record->slots,
										.flags = record->flags };
		if (record->object != NULL)
			writes[i].object = dyn_simblob_slice(record->object);
	}
	effect.store.writes = writes;
	effect.store.write_count = batch->count;
	encoded = dyn_store_batch_new(&effect);
	free(writes);
	return encoded;
}

/* Growing the map while that helps, as the writer does. */
static int
commit_encoded(struct simlmdb *self, struct dyn_store_batch **batches,
			   uint32_t count)
{
	int code;

	while ((code = dyn_store_commit(&self->env, batches, count, true)) ==
		   MDB_MAP_FULL)
		if (dyn_store_env_grow(&self->env,
							   dyn_store_commit_size(batches, count)) != 0)
			return code;
	return code;
}

static void
commit(struct dyn_simreal *base, const struct dyn_simbatch *batches,
	   uint32_t count)
{
	struct simlmdb *self = (struct simlmdb *) base;
	struct dyn_store_batch **encoded =
		dyn_sim_allocate(count * sizeof(struct dyn_store_batch *));
	int code = 0;

	for (uint32_t i = 0; i < count; i++)
	{
		encoded[i] = encode(&batches[i]);
		if (encoded[i]->is_refused)
			dyn_simreal_note(base, "a STORE is refused");
	}
	if (is_ready(self))
		code = commit_encoded(self, encoded, count);
	if (code != 0)
		dyn_simreal_note(base, "no commit: %s", mdb_strerror(code));
	for (uint32_t i = 0; i < count; i++)
		dyn_store_batch_destroy(encoded[i]);
	free(encoded);
}

/* A bit of the record turns over where it lies. */
static int
flip(struct simlmdb *self, MDB_txn *txn, struct dyn_slice name, bool head)
{
	MDB_val key = dyn_store_val_of(name);
	MDB_val value;
	uint8_t *bytes;
	size_t at;
	int code = mdb_get(txn, self->env.tables[DYN_TABLE_MAIN], &key, &value);

	if (code != 0)
		return code;
	bytes = dyn_sim_allocate(value.mv_size);
	memcpy(bytes, value.mv_data, value.mv_size);
	at = value.mv_size % DYN_RECORD_HEAD_SIZE;
	if (!head)
		at = DYN_RECORD_HEAD_SIZE + (value.mv_size - DYN_RECORD_HEAD_SIZE) / 2;
	bytes[at] ^= 0x10;
	value.mv_data = bytes;
	code = mdb_put(txn, self->env.tables[DYN_TABLE_MAIN], &key, &value, 0);
	free(bytes);
	return code;
}

static int
try_damage(struct simlmdb *self, const struct dyn_record_key *key, bool head)
{
	struct dyn_record_name name;
	MDB_txn *txn;
	int code;

	if (dyn_record_name_make(key, &name) != DYN_STATUS_OK)
		return EINVAL;
	code = mdb_txn_begin(self->env.mdb, NULL, 0, &txn);
	if (code != 0)
		return code;
	code = flip(self, txn, dyn_record_name_slice(&name), head);
	if (code == 0)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return code;
}

static void
damage(struct dyn_simreal *base, const struct dyn_record_key *key, bool head)
{
	struct simlmdb *self = (struct simlmdb *) base;
	int code = EINVAL;

	if (is_ready(self))
		code = try_damage(self, key, head);
	if (code == MDB_MAP_FULL && dyn_store_env_grow(&self->env, 1 << 20) == 0)
		code = try_damage(self, key, head);
	if (code != 0)
		dyn_simreal_note(base, "no damage: %s", mdb_strerror(code));
}

static int
move_record(struct simlmdb *self, MDB_txn *txn, MDB_val from, MDB_val to)
{
	MDB_dbi table = self->env.tables[DYN_TABLE_MAIN];
	MDB_val value;
	uint8_t *bytes;
	int code = mdb_get(txn, table, &from, &value);

	if (code != 0)
		return code;
	bytes = dyn_sim_allocate(value.mv_size);
	memcpy(bytes, value.mv_data, value.mv_size);
	value.mv_data = bytes;
	code = mdb_del(txn, table, &from, NULL);
	if (code == 0)
		code = mdb_put(txn, table, &to, &value, MDB_NOOVERWRITE);
	free(bytes);
	return code;
}

static int
try_misname(struct simlmdb *self, const struct dyn_record_key *from,
			const struct dyn_record_key *to)
{
	struct dyn_record_name names[2];
	MDB_txn *txn;
	int code;

	if (dyn_record_name_make(from, &names[0]) != DYN_STATUS_OK ||
		dyn_record_name_make(to, &names[1]) != DYN_STATUS_OK)
		return EINVAL;
	code = mdb_txn_begin(self->env.mdb, NULL, 0, &txn);
	if (code != 0)
		return code;
	code = move_record(self, txn,
					   dyn_store_val_of(dyn_record_name_slice(&names[0])),
					   dyn_store_val_of(dyn_record_name_slice(&names[1])));
	if (code == 0)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return code;
}

static void
misname(struct dyn_simreal *base, const struct dyn_record_key *from,
		const struct dyn_record_key *to)
{
	struct simlmdb *self = (struct simlmdb *) base;
	int code = EINVAL;

	if (is_ready(self))
		code = try_misname(self, from, to);
	if (code == MDB_MAP_FULL && dyn_store_env_grow(&self->env, 1 << 20) == 0)
		code = try_misname(self, from, to);
	if (code != 0)
		dyn_simreal_note(base, "no damaged key: %s", mdb_strerror(code));
}

/* ------------------------------------------------------------------- reading */

static struct dyn_simanswer
read_store(struct dyn_simreal *base, const struct dyn_effect *effect)
{
	struct simlmdb *self = (struct simlmdb *) base;
	struct dyn_store_completion *completion;
	uint64_t corrupt = 0;

	if (!is_ready(self))
		return (struct dyn_simanswer){ .memory = NULL };
	if (effect->type == DYN_EFFECT_LOAD)
		completion = dyn_store_read_load(&self->reader, effect, &corrupt);
	else if (effect->type == DYN_EFFECT_SCAN)
		completion = dyn_store_scan_page(&self->reader, effect, &corrupt);
	else
		completion = dyn_store_read_tree(&self->env.tree, effect);
	return (struct dyn_simanswer){ completion->event, completion };
}

static void
forget(struct dyn_simanswer *answer)
{
	if (answer->memory != NULL)
		dyn_store_completion_destroy(answer->memory);
	answer->memory = NULL;
}

static enum dyn_status
read_meta(struct dyn_simreal *base, const struct dyn_allocator *allocator,
		  struct dyn_slice **names, struct dyn_slice **values, uint32_t *count)
{
	struct simlmdb *self = (struct simlmdb *) base;

	*count = 0;
	if (!is_ready(self))
		return DYN_STATUS_IO_ERROR;
	return dyn_store_read_meta(&self->reader, allocator, names, values, count);
}

static bool
count_records(struct dyn_simreal *base, enum dyn_table table, uint64_t *count)
{
	struct simlmdb *self = (struct simlmdb *) base;

	return is_ready(self) && dyn_store_read_count(&self->reader, table, count);
}

/* ----------------------------------------------------------------- comparing */

static bool
is_same_name(enum dyn_table table, const struct dyn_record_key *key,
			 MDB_val found)
{
	struct dyn_record_name name;
	enum dyn_status status = table == DYN_TABLE_META
								 ? dyn_record_name_make_meta(key->key, &name)
								 : dyn_record_name_make(key, &name);

	return status == DYN_STATUS_OK &&
		   dyn_slice_equal(dyn_record_name_slice(&name),
						   dyn_store_slice_of(found));
}

static bool
is_same_record(const struct dyn_simrecord *model, MDB_val name, MDB_val value)
{
	struct dyn_slice bytes = dyn_store_slice_of(value);
	struct dyn_record record;

	if (model->headless ==
		dyn_record_head_is_sound(dyn_store_slice_of(name), bytes))
		return false;
	if (dyn_record_decode(dyn_store_slice_of(name), bytes, &record) !=
		DYN_STATUS_OK)
		return model->corrupt;
	return !model->corrupt && record.hash == model->hash &&
		   record.held_at_ms == model->held_at_ms &&
		   record.slots == model->slots && record.flags == model->flags &&
		   dyn_slice_equal(record.object, dyn_simblob_slice(model->object));
}

/* All records of a table, in order. */
static void
compare_table(struct simlmdb *self, MDB_cursor *cursor,
			  const struct dyn_simdisk *disk, enum dyn_table table)
{
	uint32_t count = dyn_simdisk_count(disk, table);
	MDB_val name;
	MDB_val value;

	for (uint32_t i = 0; i < count; i++)
	{
		const struct dyn_simrecord *model = dyn_simdisk_at(disk, table, i);
		int code = mdb_cursor_get(cursor, &name, &value, MDB_NEXT);

		if (code == 0 && is_same_name(table, &model->key, name) &&
			is_same_record(model, name, value))
			continue;
		dyn_simreal_note(&self->base, "table %d: record %u of %u, \"%.*s\": %s",
						 table, i, count, (int) model->key.key.size,
						 (const char *) model->key.key.data,
						 code ? mdb_strerror(code) : "another one");
		return;
	}
	if (mdb_cursor_get(cursor, &name, &value, MDB_NEXT) != MDB_NOTFOUND)
		dyn_simreal_note(&self->base, "table %d has more than %u records",
						 table, count);
}

static void
compare_tables(struct simlmdb *self, const struct dyn_simdisk *disk)
{
	for (int t = 0; t < 3; t++)
	{
		MDB_cursor *cursor;

		if (mdb_cursor_open(self->reader.txn, self->env.tables[t], &cursor) !=
			0)
			continue;
		compare_table(self, cursor, disk, (enum dyn_table) t);
		mdb_cursor_close(cursor);
	}
}

/* The hashes of these nodes. */
static void
compare_nodes(struct simlmdb *self, const struct dyn_simdisk *disk,
			  enum dyn_tree_level level, uint32_t first, uint32_t count)
{
	uint32_t *nodes = dyn_sim_allocate(count * sizeof(*nodes));
	uint64_t *hashes = dyn_sim_allocate(count * sizeof(*hashes));
	struct dyn_effect effect = { .type = DYN_EFFECT_TREE };

	for (uint32_t i = 0; i < count; i++)
		nodes[i] = first + i;
	effect.tree.level = level;
	effect.tree.nodes = nodes;
	effect.tree.node_count = count;
	dyn_store_tree_answer(&self->env.tree, &effect, hashes);
	for (uint32_t i = 0; i < count; i++)
		if (hashes[i] != dyn_simdisk_tree_hash(disk, level, nodes[i]))
			dyn_simreal_note(&self->base, "tree, level %d: node %u is another",
							 level, nodes[i]);
	free(nodes);
	free(hashes);
}

static void
compare(struct dyn_simreal *base, const struct dyn_simdisk *disk)
{
	struct simlmdb *self = (struct simlmdb *) base;
	uint32_t cell = DYN_CELL_COUNT;

	if (!is_ready(self) || dyn_store_reader_begin(&self->reader) != 0)
	{
		dyn_simreal_note(base, "the store cannot be read");
		return;
	}
	compare_tables(self, disk);
	dyn_store_reader_end(&self->reader);
	compare_nodes(self, disk, DYN_TREE_CELL, 0, DYN_CELL_COUNT);
	for (uint32_t i = 0; i < dyn_simdisk_count(disk, DYN_TABLE_MAIN); i++)
	{
		uint32_t other = dyn_simdisk_at(disk, DYN_TABLE_MAIN, i)->key.cell;

		if (other != cell)
			compare_nodes(self, disk, DYN_TREE_BRANCH, other * DYN_TREE_FANOUT,
						  DYN_TREE_FANOUT);
		cell = other;
	}
}

/* ---------------------------------------------------------------------- new */

struct dyn_simreal *
dyn_simlmdb_new(void)
{
	static const struct dyn_simreal_ops ops = { .open = open_store,
												.close = close_store,
												.commit = commit,
												.damage = damage,
												.misname = misname,
												.read = read_store,
												.forget = forget,
												.read_meta = read_meta,
												.count = count_records,
												.compare = compare,
												.copy = copy_store,
												.free = free_store };
	struct simlmdb *self = dyn_sim_allocate(sizeof(*self));

	self->base.ops = &ops;
	self->directory = dyn_simdirectory_new();
	return &self->base;
}
