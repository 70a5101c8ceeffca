#include "io/store_tree_disk.h"

#include <string.h>

#include "core/memory.h"
#include "io/store_read.h"
#include "io/store_walk.h"
#include "model/hash.h"

enum
{
	NUMBER_SIZE = 8, /* of branch or log record; in a branch's key 4 */
	BRANCH_KEY_SIZE = 4,
	SUM_SIZE = 8,
	HASH_SIZE = 8,
	LEAF_SIZE = 4 + HASH_SIZE,
	BRANCH_SIZE = NUMBER_SIZE + DYN_TREE_FANOUT * HASH_SIZE + SUM_SIZE,
	REPAIRS_MAX = 64, /* damaged branches; beyond that all are computed */
	LOG_SIZE_MAX = NUMBER_SIZE + DYN_STORE_LOG_LEAVES_MAX * LEAF_SIZE + SUM_SIZE
};

static uint8_t *
put_number(uint8_t *out, uint64_t number, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		out[i] = (uint8_t) (number >> (8 * i));
	return out + size;
}

static uint64_t
get_number(const uint8_t *in, unsigned size)
{
	uint64_t number = 0;

	for (unsigned i = 0; i < size; i++)
		number |= (uint64_t) in[i] << (8 * i);
	return number;
}

/* Big-endian: so numbers ascend in the table. */
static void
put_key(uint8_t *out, uint64_t number, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		out[i] = (uint8_t) (number >> (8 * (size - 1 - i)));
}

static uint64_t
get_key(MDB_val key)
{
	const uint8_t *in = key.mv_data;
	uint64_t number = 0;

	for (size_t i = 0; i < key.mv_size; i++)
		number = number << 8 | in[i];
	return number;
}

static uint64_t
sum_of(const uint8_t *bytes, size_t size)
{
	return dyn_hash_bytes((struct dyn_slice){ bytes, size });
}

/* A value whose bytes are as they were written, under the number it tells. */
static bool
is_sound(MDB_val key, size_t key_size, MDB_val value)
{
	const uint8_t *bytes = value.mv_data;
	size_t size = value.mv_size;

	return key.mv_size == key_size && size >= NUMBER_SIZE + SUM_SIZE &&
		   get_number(bytes + size - SUM_SIZE, SUM_SIZE) ==
			   sum_of(bytes, size - SUM_SIZE) &&
		   get_number(bytes, NUMBER_SIZE) == get_key(key);
}

/* ---- branches ---- */

int
dyn_store_tree_put_branch(MDB_cursor *cursor, uint32_t branch,
						  const uint64_t leaves[DYN_TREE_FANOUT])
{
	uint8_t key_bytes[BRANCH_KEY_SIZE];
	uint8_t bytes[BRANCH_SIZE];
	uint8_t *at = put_number(bytes, branch, NUMBER_SIZE);
	MDB_val key = { BRANCH_KEY_SIZE, key_bytes };
	MDB_val value = { BRANCH_SIZE, bytes };
	uint64_t any = 0;
	int code;

	put_key(key_bytes, branch, BRANCH_KEY_SIZE);
	for (uint32_t i = 0; i < DYN_TREE_FANOUT; i++)
	{
		any |= leaves[i];
		at = put_number(at, leaves[i], HASH_SIZE);
	}
	if (any != 0)
	{
		put_number(at, sum_of(bytes, BRANCH_SIZE - SUM_SIZE), SUM_SIZE);
		return mdb_cursor_put(cursor, &key, &value, 0);
	}
	code = mdb_cursor_get(cursor, &key, &value, MDB_SET_KEY);
	if (code == 0)
		code = mdb_cursor_del(cursor, 0);
	return code == MDB_NOTFOUND ? 0 : code;
}

static bool
get_branch(MDB_val key, MDB_val value, uint64_t leaves[DYN_TREE_FANOUT])
{
	const uint8_t *at = value.mv_data;

	if (value.mv_size != BRANCH_SIZE ||
		!is_sound(key, BRANCH_KEY_SIZE, value) ||
		get_key(key) >= DYN_TREE_BRANCH_COUNT)
		return false;
	for (uint32_t i = 0; i < DYN_TREE_FANOUT; i++)
		leaves[i] = get_number(at + NUMBER_SIZE + i * HASH_SIZE, HASH_SIZE);
	return true;
}

/* ---- the log ---- */

int
dyn_store_tree_put_log(MDB_cursor *cursor, uint64_t number,
					   const struct dyn_store_leaf *leaves, uint32_t count)
{
	uint8_t key_bytes[NUMBER_SIZE];
	uint8_t bytes[LOG_SIZE_MAX];
	uint8_t *at = put_number(bytes, number, NUMBER_SIZE);
	MDB_val key = { NUMBER_SIZE, key_bytes };
	MDB_val value = { .mv_data = bytes };

	put_key(key_bytes, number, NUMBER_SIZE);
	for (uint32_t i = 0; i < count; i++)
	{
		at = put_number(at, leaves[i].leaf, LEAF_SIZE - HASH_SIZE);
		at = put_number(at, leaves[i].hash, HASH_SIZE);
	}
	at = put_number(at, sum_of(bytes, (size_t) (at - bytes)), SUM_SIZE);
	value.mv_size = (size_t) (at - bytes);
	return mdb_cursor_put(cursor, &key, &value, MDB_APPEND);
}

static uint32_t
log_count(MDB_val value)
{
	return value.mv_size < NUMBER_SIZE + SUM_SIZE
			   ? 0
			   : (uint32_t) (value.mv_size - NUMBER_SIZE - SUM_SIZE) /
					 LEAF_SIZE;
}

int
dyn_store_tree_drop_log(MDB_cursor *cursor, uint64_t *number, uint32_t *count)
{
	MDB_val key;
	MDB_val value;
	int code = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);

	if (code != 0)
		return code;
	*number = get_key(key);
	*count = log_count(value);
	return mdb_cursor_del(cursor, 0);
}

typedef void (*leaf_visit)(void *context, uint32_t leaf, uint64_t hash);

/* False when the record is not as it was written. */
static bool
read_log(MDB_val key, MDB_val value, leaf_visit visit, void *context)
{
	const uint8_t *at = value.mv_data;
	uint32_t count = log_count(value);

	if (!is_sound(key, NUMBER_SIZE, value))
		return false;
	at += NUMBER_SIZE;
	for (uint32_t i = 0; i < count; i++, at += LEAF_SIZE)
	{
		uint64_t leaf = get_number(at, LEAF_SIZE - HASH_SIZE);

		if (leaf >= DYN_TREE_LEAF_COUNT)
			return false;
		visit(context, (uint32_t) leaf,
			  get_number(at + LEAF_SIZE - HASH_SIZE, HASH_SIZE));
	}
	return true;
}

/* ---- from records ---- */

struct recomputing
{
	uint32_t branch;
	uint64_t *leaves;
};

static uint64_t
position_of(const struct dyn_record_key *place)
{
	return dyn_hash_position(place->bucket, place->key);
}

static void
add_to_branch(void *context, const struct dyn_record_key *place, uint64_t hash)
{
	struct recomputing *self = context;
	uint64_t position = position_of(place);
	uint32_t leaf = dyn_store_tree_leaf_of(place->cell, position);

	if (leaf / DYN_TREE_FANOUT == self->branch)
		self->leaves[leaf % DYN_TREE_FANOUT] ^= dyn_tree_item(position, hash);
}

int
dyn_store_tree_recompute(struct dyn_store_tree *self, MDB_txn *txn,
						 uint32_t branch, uint64_t leaves[DYN_TREE_FANOUT])
{
	struct recomputing recomputing = { branch, leaves };
	uint64_t damaged = 0;

	memset(leaves, 0, DYN_TREE_FANOUT * sizeof(*leaves));
	return dyn_store_walk_cell(txn, self->main,
							   (uint16_t) (branch / DYN_TREE_FANOUT),
							   add_to_branch, &recomputing, &damaged);
}

/* All leaves, and which branches have some. */
struct forest
{
	uint64_t *leaves;
	bool has_leaves[DYN_TREE_BRANCH_COUNT];
	uint64_t records;
};

static struct forest *
forest_new(void)
{
	struct forest *self = dyn_memory_take(sizeof(*self));

	/* Zeroed by the kernel: what nothing is in takes no memory. */
	self->leaves = dyn_memory_take(DYN_TREE_LEAF_COUNT * sizeof(uint64_t));
	return self;
}

static void
forest_free(struct forest *self)
{
	dyn_memory_give(self->leaves);
	dyn_memory_give(self);
}

static void
add_to_forest(void *context, const struct dyn_record_key *place, uint64_t hash)
{
	struct forest *self = context;
	uint64_t position = position_of(place);
	uint32_t leaf = dyn_store_tree_leaf_of(place->cell, position);

	self->leaves[leaf] ^= dyn_tree_item(position, hash);
	self->has_leaves[leaf / DYN_TREE_FANOUT] = true;
	self->records++;
}

/* ---- all of it ---- */

struct reading
{
	struct forest *forest;
	uint32_t branches;
	struct dyn_store_tree_log log;
	uint32_t damaged; /* records of either table */
	bool is_log_damaged;
	bool is_in_log[DYN_TREE_BRANCH_COUNT];
	bool is_bad[DYN_TREE_BRANCH_COUNT]; /* its record */
};

static void
note_bad(struct reading *self, uint64_t branch)
{
	if (branch < DYN_TREE_BRANCH_COUNT)
		self->is_bad[branch] = true;
}

/* A damaged record may have been of the branch that its key says, or of the
 * one that it says itself. */
static void
read_branch(struct reading *self, MDB_val key, MDB_val value)
{
	uint64_t leaves[DYN_TREE_FANOUT];

	self->branches++;
	if (get_branch(key, value, leaves))
	{
		memcpy(self->forest->leaves + get_key(key) * DYN_TREE_FANOUT, leaves,
			   sizeof(leaves));
		self->forest->has_leaves[get_key(key)] = true;
		return;
	}
	self->damaged++;
	if (key.mv_size == BRANCH_KEY_SIZE)
		note_bad(self, get_key(key));
	if (value.mv_size >= NUMBER_SIZE)
		note_bad(self, get_number(value.mv_data, NUMBER_SIZE));
}

static void
play(void *context, uint32_t leaf, uint64_t hash)
{
	struct reading *self = context;

	self->forest->leaves[leaf] = hash;
	self->forest->has_leaves[leaf / DYN_TREE_FANOUT] = true;
	self->is_in_log[leaf / DYN_TREE_FANOUT] = true;
}

/* The numbers have no gaps. */
static void
read_log_record(struct reading *self, MDB_val key, MDB_val value)
{
	struct dyn_store_tree_log *log = &self->log;
	uint64_t number = get_key(key);

	if (log->last < log->first)
		log->first = number;
	else if (number != log->last + 1)
		self->is_log_damaged = true;
	log->last = number;
	log->leaf_count += log_count(value);
	if (read_log(key, value, play, self))
		return;
	self->damaged++;
	self->is_log_damaged = true;
}

static int
read_table(struct reading *self, MDB_txn *txn, MDB_dbi table,
		   void (*read)(struct reading *, MDB_val, MDB_val))
{
	MDB_cursor *cursor;
	MDB_val key;
	MDB_val value;
	int code = mdb_cursor_open(txn, table, &cursor);

	if (code != 0)
		return code;
	while ((code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0)
		read(self, key, value);
	mdb_cursor_close(cursor);
	return code == MDB_NOTFOUND ? 0 : code;
}

static struct reading *
reading_new(void)
{
	struct reading *self = dyn_memory_take(sizeof(*self));

	self->forest = forest_new();
	self->log.first = 1;
	return self;
}

static void
reading_free(struct reading *self)
{
	forest_free(self->forest);
	dyn_memory_give(self);
}

static int
read_all(struct reading *self, struct dyn_store_tree *tree, MDB_txn *txn)
{
	int code = read_table(self, txn, tree->branches_table, read_branch);

	if (code == 0)
		code = read_table(self, txn, tree->log_table, read_log_record);
	return code;
}

/* ---- loading ---- */

/* What the log brought has to be swept yet. */
static void
take_over(struct dyn_store_tree *self, struct reading *reading)
{
	struct forest *forest = reading->forest;

	dyn_store_tree_take(self, forest->leaves, forest->has_leaves,
						&reading->log);
	forest->leaves = NULL;
	for (uint32_t branch = 0; branch < DYN_TREE_BRANCH_COUNT; branch++)
		if (reading->is_in_log[branch] || reading->is_bad[branch])
			dyn_store_tree_soil(self, branch);
}

/* So that nothing of them is found by the next one who reads. */
static int
drop_bad(struct dyn_store_tree *self, MDB_txn *txn)
{
	uint64_t leaves[DYN_TREE_FANOUT];
	MDB_cursor *cursor;
	MDB_val key;
	MDB_val value;
	int code = mdb_cursor_open(txn, self->branches_table, &cursor);

	if (code != 0)
		return code;
	while ((code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0)
		if (!get_branch(key, value, leaves) &&
			(code = mdb_cursor_del(cursor, 0)) != 0)
			break;
	mdb_cursor_close(cursor);
	return code == MDB_NOTFOUND ? 0 : code;
}

/* Branches whose records are damaged are computed anew. */
static int
repair(struct dyn_store_tree *self, MDB_txn *txn, struct reading *reading)
{
	int code = 0;

	take_over(self, reading);
	if (reading->damaged != 0)
		code = drop_bad(self, txn);
	if (code != 0)
		return code;
	dyn_store_tree_begin(self);
	for (uint32_t branch = 0; branch < DYN_TREE_BRANCH_COUNT; branch++)
		if (reading->is_bad[branch])
			dyn_store_tree_doubt(self, branch * DYN_TREE_FANOUT);
	return dyn_store_tree_write(self, txn, false);
}

int
dyn_store_tree_load(struct dyn_store_tree *self, MDB_txn *txn)
{
	struct reading *reading = reading_new();
	int code = read_all(reading, self, txn);

	if (code == 0 &&
		(reading->is_log_damaged || reading->damaged > REPAIRS_MAX))
		code = dyn_store_tree_rebuild(self, txn);
	else if (code == 0)
		code = repair(self, txn, reading);
	reading_free(reading);
	return code;
}

static int
put_branches(struct dyn_store_tree *self, MDB_txn *txn)
{
	MDB_cursor *cursor;
	int code = mdb_cursor_open(txn, self->branches_table, &cursor);

	if (code != 0)
		return code;
	for (uint32_t branch = 0; code == 0 && branch < DYN_TREE_BRANCH_COUNT;
		 branch++)
		if (self->branches[branch] != 0)
			code = dyn_store_tree_put_branch(
				cursor, branch, self->leaves + branch * DYN_TREE_FANOUT);
	mdb_cursor_close(cursor);
	return code;
}

int
dyn_store_tree_rebuild(struct dyn_store_tree *self, MDB_txn *txn)
{
	const struct dyn_store_tree_log no_log = { .first = 1 };
	struct forest *forest = forest_new();
	uint64_t damaged = 0;
	bool is_empty;
	int code = mdb_drop(txn, self->branches_table, 0);

	if (code == 0)
		code = mdb_drop(txn, self->log_table, 0);
	if (code == 0)
		code = dyn_store_walk_all(txn, self->main, add_to_forest, forest,
								  &damaged);
	if (code == 0)
	{
		dyn_store_tree_take(self, forest->leaves, forest->has_leaves, &no_log);
		forest->leaves = NULL;
		code = put_branches(self, txn);
	}
	is_empty = forest->records == 0;
	forest_free(forest);
	dyn_store_tree_begin(self);
	if (code == 0)
		code = dyn_store_tree_write(self, txn, false);
	self->stats_after.rebuilt += !is_empty;
	return code;
}

/* ---- looking at it ---- */

static uint64_t
count_differences(const struct forest *a, const struct forest *b)
{
	uint64_t count = 0;

	for (uint32_t branch = 0; branch < DYN_TREE_BRANCH_COUNT; branch++)
		for (uint32_t i = 0; i < DYN_TREE_FANOUT; i++)
		{
			if (!a->has_leaves[branch] && !b->has_leaves[branch])
				break;
			count += a->leaves[branch * DYN_TREE_FANOUT + i] !=
					 b->leaves[branch * DYN_TREE_FANOUT + i];
		}
	return count;
}

int
dyn_store_tree_check(struct dyn_store_tree *self, MDB_txn *txn,
					 struct dyn_store_tree_report *out)
{
	struct reading *reading = reading_new();
	struct forest *forest = forest_new();
	int code = read_all(reading, self, txn);

	*out = (struct dyn_store_tree_report){ 0 };
	if (code == 0)
		code = dyn_store_walk_all(txn, self->main, add_to_forest, forest,
								  &out->damaged);
	out->wrong = count_differences(reading->forest, forest);
	out->records = forest->records;
	out->branches = reading->branches;
	out->log_leaves = reading->log.leaf_count;
	out->damaged_branches = reading->damaged + reading->is_log_damaged;
	reading_free(reading);
	forest_free(forest);
	return code;
}
