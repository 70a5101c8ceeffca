/*
 * The hash tree when a store is opened (env.c): tables into memory, what is
 * damaged computed from records; and the comparison of both, for checks.
 */
#include "io/store/tree_load.h"

#include <string.h>

#include "core/memory.h"
#include "io/store/walk.h"

enum
{
	REPAIRS_MAX = 64 /* damaged branches; beyond that all are computed */
};

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
	uint32_t leaf;
	uint64_t item = dyn_store_tree_item(place, hash, &leaf);

	self->leaves[leaf] ^= item;
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
read_branch(struct reading *self, MDB_val key, MDB_val value)
{
	uint64_t branch = dyn_store_tree_number(key);
	uint64_t leaves[DYN_TREE_FANOUT];
	uint64_t guesses[2];
	uint32_t guess_count;

	self->branches++;
	if (dyn_store_tree_get_branch(key, value, leaves))
	{
		memcpy(self->forest->leaves + branch * DYN_TREE_FANOUT, leaves,
			   sizeof(leaves));
		self->forest->has_leaves[branch] = true;
		return;
	}
	self->damaged++;
	guess_count = dyn_store_tree_guess(key, value, guesses);
	for (uint32_t i = 0; i < guess_count; i++)
		if (guesses[i] < DYN_TREE_BRANCH_COUNT)
			self->is_bad[guesses[i]] = true;
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
	uint64_t number = dyn_store_tree_number(key);

	if (log->last < log->first)
		log->first = number;
	else if (number != log->last + 1)
		self->is_log_damaged = true;
	log->last = number;
	log->leaf_count += dyn_store_tree_log_count(value);
	if (dyn_store_tree_read_log(key, value, play, self))
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
		if (!dyn_store_tree_get_branch(key, value, leaves) &&
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
