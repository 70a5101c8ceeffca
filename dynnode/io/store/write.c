/*
 * A STORE on its way to disk: copied on the caller's thread, then, with others
 * of its group, one transaction on the writer thread (writer.c), with what it
 * changes in the hash tree (tree.c).
 */
#include "io/store/write.h"

#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "io/store/read.h"
#include "model/hash.h"

/*
 * Pages that one write dirties at most: the path from the root to its leaf,
 * a split of each, and its share of LMDB's list of free pages.
 */
enum
{
	PAGES_PER_WRITE = 8,
	PAGES_PER_COMMIT = 64,
	RESTORE_SIZE_MAX = 16 * 1024 /* beside a write: within its pages */
};

static enum dyn_status
make_name(const struct dyn_write *write, struct dyn_record_name *out)
{
	if (write->table == DYN_TABLE_META)
		return dyn_record_name_make_meta(write->key.key, out);
	if (write->key.key.size == 0 || write->key.cell >= DYN_CELL_COUNT)
		return DYN_STATUS_BAD_REQUEST;
	return dyn_record_name_make(&write->key, out);
}

static size_t
size_max(const struct dyn_effect *effect)
{
	size_t size = 0;

	for (uint32_t i = 0; i < effect->store.write_count; i++)
		size += DYN_RECORD_KEY_SIZE_MAX + DYN_RECORD_HEAD_SIZE +
				effect->store.writes[i].object.size;
	return size;
}

static struct dyn_record
record_of(const struct dyn_write *write)
{
	struct dyn_record record = { .hash = write->hash, .object = write->object };

	if (write->table == DYN_TABLE_HINTS)
		record.slots = write->slots;
	if (write->table != DYN_TABLE_META)
	{
		record.held_at_ms = write->held_at_ms;
		record.flags = write->flags;
	}
	return record;
}

static bool
add_item(struct dyn_store_batch *self, const struct dyn_write *write)
{
	struct dyn_store_item *item = &self->items[self->item_count++];
	struct dyn_record record = record_of(write);
	struct dyn_record_name name;

	if (make_name(write, &name) != DYN_STATUS_OK)
		return false;
	item->table = write->table;
	if (item->table == DYN_TABLE_MAIN)
	{
		item->position = dyn_hash_position(write->key.bucket, write->key.key);
		item->leaf = dyn_store_tree_leaf_of(write->key.cell, item->position);
		self->main_count++;
	}
	item->name = (struct dyn_slice){ self->bytes + self->size, name.size };
	memcpy(self->bytes + self->size, name.bytes, name.size);
	self->size += name.size;
	if (write->object.size == 0)
		return true;
	item->record =
		(struct dyn_slice){ self->bytes + self->size,
							DYN_RECORD_HEAD_SIZE + write->object.size };
	self->size += item->record.size;
	return dyn_record_encode(item->name, &record,
							 (uint8_t *) item->record.data) == DYN_STATUS_OK;
}

struct dyn_store_batch *
dyn_store_batch_new(const struct dyn_effect *effect)
{
	struct dyn_store_batch *self = dyn_memory_take(sizeof(*self));
	uint32_t count = effect->store.write_count;

	self->token = effect->store.token;
	self->items = dyn_memory_take(count * sizeof(*self->items));
	/* Not zeroed: pages that no name or record reaches stay untouched. */
	self->bytes = malloc(size_max(effect) + 1);
	if (self->bytes == NULL)
		abort();
	for (uint32_t i = 0; i < count && !self->is_refused; i++)
		self->is_refused = !add_item(self, &effect->store.writes[i]);
	return self;
}

void
dyn_store_batch_destroy(struct dyn_store_batch *self)
{
	free(self->bytes);
	dyn_memory_give(self->items);
	dyn_memory_give(self);
}

size_t
dyn_store_commit_size(struct dyn_store_batch *const *batches, uint32_t count)
{
	size_t pages = PAGES_PER_COMMIT;
	uint32_t main_count = 0;

	for (uint32_t i = 0; i < count; i++)
	{
		pages += batches[i]->size / 4096 +
				 (size_t) batches[i]->item_count * PAGES_PER_WRITE;
		main_count += batches[i]->main_count;
	}
	return pages * 4096 + dyn_store_tree_room(main_count);
}

/* ---- one transaction ---- */

static int
compare_place(const struct dyn_store_item *a, const struct dyn_store_item *b)
{
	size_t size = a->name.size < b->name.size ? a->name.size : b->name.size;
	int order;

	if (a->table != b->table)
		return a->table < b->table ? -1 : 1;
	order = memcmp(a->name.data, b->name.data, size);
	if (order != 0)
		return order;
	return a->name.size < b->name.size ? -1 : a->name.size > b->name.size;
}

static int
compare_items(const void *left, const void *right)
{
	const struct dyn_store_item *a = *(struct dyn_store_item *const *) left;
	const struct dyn_store_item *b = *(struct dyn_store_item *const *) right;
	int order = compare_place(a, b);

	if (order != 0)
		return order;
	return a->order < b->order ? -1 : a->order > b->order;
}

/* All writes in the order of their keys: neighbours share pages while these
 * are in the cache, and the later of two writes of a key comes last. */
static struct dyn_store_item **
sort_items(struct dyn_store_batch *const *batches, uint32_t count,
		   uint32_t *item_count)
{
	struct dyn_store_item **items;
	uint32_t total = 0;

	for (uint32_t i = 0; i < count; i++)
		total += batches[i]->item_count;
	items = dyn_memory_take(total * sizeof(struct dyn_store_item *));
	*item_count = 0;
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t j = 0; j < batches[i]->item_count; j++)
		{
			batches[i]->items[j].order = *item_count;
			items[(*item_count)++] = &batches[i]->items[j];
		}
	qsort(items, total, sizeof(struct dyn_store_item *), compare_items);
	return items;
}

static int
write_item(const struct dyn_store_env *env, MDB_txn *txn,
		   const struct dyn_store_item *item)
{
	MDB_dbi table = env->tables[item->table];
	MDB_val name = dyn_store_val_of(item->name);
	MDB_val value = dyn_store_val_of(item->record);
	int code;

	if (item->record.size != 0)
		return mdb_put(txn, table, &name, &value, 0);
	code = mdb_del(txn, table, &name, NULL);
	return code == MDB_NOTFOUND ? 0 : code;
}

/* ---- main table and hints, where damaged keys are found out ---- */

/* The record that an item replaces, when the search for it is over. */
struct replaced
{
	bool is_found;    /* the cursor stands on it */
	bool is_misnamed; /* ... under a damaged key */
	bool is_doubted;  /* something is damaged here: there may have been one */
	uint64_t hash;    /* of one that is found and not doubted */

	bool is_restored; /* another one beside it got its key back; look again */
	struct dyn_record_name restored;
};

/*
 * A damaged record beside the place where the search ended.  When all of its
 * head is sound under the item's name, only its key is damaged, and it is the
 * one that was searched for; the cursor stands on it.
 */
static void
look_at_neighbour(struct dyn_slice name, MDB_val value, struct replaced *out)
{
	struct dyn_slice bytes = dyn_store_slice_of(value);

	out->is_found = dyn_record_head_is_sound(name, bytes);
	out->is_misnamed = out->is_found;
	/* Its branch may have been computed without it, since its key is damaged. */
	out->is_doubted = true;
}

/*
 * The damaged record where the cursor stands gets its key back when that can
 * be known: else a search that it misleads would put a record in a wrong
 * place.  A name that is right is not tried to mend.
 */
static int
restore(MDB_cursor *cursor, MDB_val name, MDB_val value, struct replaced *out)
{
	struct dyn_slice bytes = dyn_store_slice_of(value);
	struct dyn_record_key place;
	uint8_t *copy;
	int code;

	if (value.mv_size > RESTORE_SIZE_MAX ||
		(dyn_record_name_parse(dyn_store_slice_of(name), &place) &&
		 dyn_hash_is_of_cell(place.cell, place.bucket, place.key)) ||
		!dyn_record_name_mend(dyn_store_slice_of(name), bytes, &out->restored))
		return 0;
	copy = dyn_store_take_bytes(bytes.size);
	memcpy(copy, bytes.data, bytes.size);
	value.mv_data = copy;
	name = dyn_store_val_of(dyn_record_name_slice(&out->restored));
	code = mdb_cursor_del(cursor, 0);
	if (code == 0)
		code = mdb_cursor_put(cursor, &name, &value, MDB_NOOVERWRITE);
	free(copy);
	out->is_restored = true;
	return code == MDB_KEYEXIST ? 0 : code;
}

/* There is no record of this name; code is the search's, value the next
 * one's. */
static int
look_around(MDB_cursor *cursor, struct dyn_slice name, int code, MDB_val key,
			MDB_val value, struct replaced *out)
{
	if (code == 0 && !dyn_record_head_is_sound(dyn_store_slice_of(key),
											   dyn_store_slice_of(value)))
	{
		look_at_neighbour(name, value, out);
		if (out->is_found)
			return 0;
		code = restore(cursor, key, value, out);
		if (code != 0 || out->is_restored)
			return code;
	}
	code = mdb_cursor_get(cursor, &key, &value, code ? MDB_LAST : MDB_PREV);
	if (code == 0 && !dyn_record_head_is_sound(dyn_store_slice_of(key),
											   dyn_store_slice_of(value)))
	{
		look_at_neighbour(name, value, out);
		if (!out->is_found)
			code = restore(cursor, key, value, out);
	}
	return code == MDB_NOTFOUND ? 0 : code;
}

static int
look_for_replaced(MDB_cursor *cursor, struct dyn_slice name,
				  struct replaced *out)
{
	MDB_val key = dyn_store_val_of(name);
	MDB_val value;
	int code = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);

	*out = (struct replaced){ 0 };
	if (code != 0 && code != MDB_NOTFOUND)
		return code;
	if (code != 0 || !dyn_slice_equal(dyn_store_slice_of(key), name))
		return look_around(cursor, name, code, key, value, out);
	out->is_found = true;
	out->is_doubted =
		!dyn_record_head_is_sound(name, dyn_store_slice_of(value));
	if (!out->is_doubted)
		out->hash = dyn_record_head_hash(dyn_store_slice_of(value));
	return 0;
}

/* What was restored may have been left out of its branch before; tree is NULL
 * for hints. */
static void
note_restored(struct dyn_store_tree *tree, const struct replaced *replaced)
{
	struct dyn_record_key place;

	if (tree != NULL && dyn_record_name_parse(
							dyn_record_name_slice(&replaced->restored), &place))
		dyn_store_tree_doubt(
			tree, dyn_store_tree_leaf_of(
					  place.cell, dyn_hash_position(place.bucket, place.key)));
}

/* Each turn but the last makes a record sound. */
static int
find_replaced(struct dyn_store_tree *tree, MDB_cursor *cursor,
			  struct dyn_slice name, struct replaced *out)
{
	int code;

	while ((code = look_for_replaced(cursor, name, out)) == 0 &&
		   out->is_restored)
		note_restored(tree, out);
	return code;
}

static int
replace(MDB_cursor *cursor, const struct replaced *replaced, MDB_val name,
		MDB_val value)
{
	bool is_removal = value.mv_size == 0;
	int code = 0;

	if (replaced->is_found && !replaced->is_misnamed && !is_removal)
		return mdb_cursor_put(cursor, &name, &value, MDB_CURRENT);
	if (replaced->is_found)
		code = mdb_cursor_del(cursor, 0);
	if (code == 0 && !is_removal)
		code = mdb_cursor_put(cursor, &name, &value, 0);
	return code;
}

static int
write_main_item(struct dyn_store_tree *tree, MDB_cursor *cursor,
				const struct dyn_store_item *item)
{
	struct replaced replaced;
	int code = find_replaced(tree, cursor, item->name, &replaced);

	if (code != 0)
		return code;
	if (replaced.is_doubted)
		dyn_store_tree_doubt(tree, item->leaf);
	else if (replaced.is_found)
		dyn_store_tree_change(tree, item->leaf,
							  dyn_tree_item(item->position, replaced.hash));
	if (item->record.size != 0)
		dyn_store_tree_change(
			tree, item->leaf,
			dyn_tree_item(item->position, dyn_record_head_hash(item->record)));
	return replace(cursor, &replaced, dyn_store_val_of(item->name),
				   dyn_store_val_of(item->record));
}

static bool
is_misnamed(struct dyn_slice name)
{
	struct dyn_record_key place;

	return dyn_record_name_parse(name, &place) &&
		   !dyn_hash_is_of_cell(place.cell, place.bucket, place.key);
}

/* A record that is to go under the damaged key that it shows stands where its
 * true one belongs, where no search for this one ends.  One pass, for one
 * damaged record. */
static int
look_everywhere(MDB_cursor *cursor, struct dyn_slice name, struct replaced *out)
{
	MDB_val key;
	MDB_val value;
	int code = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);

	while (code == 0 && !dyn_slice_equal(dyn_store_slice_of(key), name))
		code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	out->is_found = out->is_misnamed = code == 0;
	return code == MDB_NOTFOUND ? 0 : code;
}

static int
write_hint(MDB_cursor *cursor, const struct dyn_store_item *item)
{
	struct replaced replaced;
	int code = find_replaced(NULL, cursor, item->name, &replaced);

	if (code == 0 && item->record.size == 0 && !replaced.is_found &&
		is_misnamed(item->name))
		code = look_everywhere(cursor, item->name, &replaced);
	return code != 0 ? code
					 : replace(cursor, &replaced, dyn_store_val_of(item->name),
							   dyn_store_val_of(item->record));
}

static int
write_sorted(struct dyn_store_env *env, MDB_txn *txn, MDB_cursor *main,
			 MDB_cursor *hints, struct dyn_store_item **items, uint32_t count)
{
	int code = 0;

	for (uint32_t i = 0; i < count && code == 0; i++)
	{
		bool is_last = i + 1 == count || compare_place(items[i], items[i + 1]);

		if (is_last && items[i]->table == DYN_TABLE_MAIN)
			code = write_main_item(&env->tree, main, items[i]);
		else if (is_last && items[i]->table == DYN_TABLE_HINTS)
			code = write_hint(hints, items[i]);
		else if (is_last)
			code = write_item(env, txn, items[i]);
	}
	return code;
}

static int
write_items(struct dyn_store_env *env, struct dyn_store_item **items,
			uint32_t count, bool may_sweep)
{
	MDB_cursor *main = NULL;
	MDB_cursor *hints = NULL;
	MDB_txn *txn;
	int code = mdb_txn_begin(env->mdb, NULL, 0, &txn);

	if (code != 0)
		return code;
	dyn_store_tree_begin(&env->tree);
	code = mdb_cursor_open(txn, env->tables[DYN_TABLE_MAIN], &main);
	if (code == 0)
		code = mdb_cursor_open(txn, env->tables[DYN_TABLE_HINTS], &hints);
	if (code == 0)
		code = write_sorted(env, txn, main, hints, items, count);
	mdb_cursor_close(hints);
	mdb_cursor_close(main);
	if (code == 0)
		code = dyn_store_tree_write(&env->tree, txn, may_sweep);
	if (code == 0)
		code = mdb_txn_commit(txn);
	else
		mdb_txn_abort(txn);
	if (code == 0)
		dyn_store_tree_committed(&env->tree);
	return code;
}

int
dyn_store_commit(struct dyn_store_env *env,
				 struct dyn_store_batch *const *batches, uint32_t count,
				 bool may_sweep)
{
	uint32_t item_count;
	struct dyn_store_item **items = sort_items(batches, count, &item_count);
	int code = write_items(env, items, item_count, may_sweep);

	dyn_memory_give(items);
	return code;
}

/*
 * One page at a time, because what removals free lies scattered; a refused
 * object that needs many pages in a row may be refused once more.
 */
int
dyn_store_try_room(struct dyn_store_env *env, size_t size)
{
	char name[] = "room0000"; /* never committed */
	MDB_txn *txn;
	int code = mdb_txn_begin(env->mdb, NULL, 0, &txn);

	if (code != 0)
		return code;
	for (size_t i = 0; code == 0 && i <= size / env->page_size; i++)
	{
		MDB_val key = { sizeof(name), name };
		MDB_val value = { env->page_size - DYN_RECORD_HEAD_SIZE, NULL };

		memcpy(name + 4, &(uint32_t){ (uint32_t) i }, 4);
		code = mdb_put(txn, env->tables[DYN_TABLE_META], &key, &value,
					   MDB_RESERVE);
	}
	mdb_txn_abort(txn);
	return code;
}

int
dyn_store_nudge(struct dyn_store_env *env)
{
	static const char name[] = "nudge";
	MDB_val key = { sizeof(name) - 1, (void *) name };
	MDB_val value = { sizeof(name) - 1, (void *) name };
	MDB_txn *txn;
	int code = mdb_txn_begin(env->mdb, NULL, 0, &txn);

	if (code != 0)
		return code;
	code = mdb_put(txn, env->about, &key, &value, 0);
	if (code == 0)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return code;
}
