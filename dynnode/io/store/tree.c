/*
 * The hash tree at work: write.c tells what a commit changes, the log and a
 * sweep bring it to disk in the same transaction (tree_disk.c), and answers
 * come from memory.  How it got there at the start is tree_load.c.
 */
#include "io/store/tree.h"

#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "io/store/tree_disk.h"
#include "io/store/walk.h"
#include "model/hash.h"

enum
{
	/* Branches that one sweep looks at, at least. */
	SWEEP_STEP = 1024,

	/* Changes in which a sweep comes round: so many for each branch that is
	 * not 0, but not fewer.  The log has those of at most two rounds. */
	ROUND_PER_BRANCH = 4,
	ROUND_MIN = 2048,

	/* Records of the log that leave with one sweep, at least. */
	DROP_STEP = 1024,

	/* For dyn_store_tree_room. */
	PAGE_SIZE = 4096,
	CHANGES_PER_PAGE = 6
};

struct cursors
{
	MDB_cursor *branches;
	MDB_cursor *log;
};

static int
open_cursors(struct dyn_store_tree *self, MDB_txn *txn, struct cursors *out)
{
	int code = mdb_cursor_open(txn, self->branches_table, &out->branches);

	if (code != 0)
		return code;
	code = mdb_cursor_open(txn, self->log_table, &out->log);
	if (code != 0)
		mdb_cursor_close(out->branches);
	return code;
}

static void
close_cursors(struct cursors *self)
{
	mdb_cursor_close(self->branches);
	mdb_cursor_close(self->log);
}

/* ---- memory ---- */

void
dyn_store_tree_init(struct dyn_store_tree *self)
{
	*self = (struct dyn_store_tree){ 0 };
	pthread_mutex_init(&self->lock, NULL);
	/* Zeroed by the kernel: what no record hangs in takes no memory. */
	self->leaves = dyn_memory_take(DYN_TREE_LEAF_COUNT * sizeof(uint64_t));
	self->branches = dyn_memory_take(DYN_TREE_BRANCH_COUNT * sizeof(uint64_t));
	self->cells = dyn_memory_take(DYN_CELL_COUNT * sizeof(uint64_t));
	self->dirty = dyn_memory_take(DYN_TREE_BRANCH_COUNT / 8);
	self->log.first = 1;
}

void
dyn_store_tree_destroy(struct dyn_store_tree *self)
{
	if (self->leaves == NULL)
		return;
	dyn_memory_give(self->leaves);
	dyn_memory_give(self->branches);
	dyn_memory_give(self->cells);
	dyn_memory_give(self->dirty);
	dyn_memory_give(self->changes);
	dyn_memory_give(self->doubts);
	pthread_mutex_destroy(&self->lock);
	self->leaves = NULL;
}

uint32_t
dyn_store_tree_leaf_of(uint16_t cell, uint64_t position)
{
	uint32_t below = dyn_tree_leaves_below(DYN_TREE_CELL);

	return cell * below + dyn_tree_leaf(position) % below;
}

uint64_t
dyn_store_tree_item(const struct dyn_record_key *place, uint64_t hash,
					uint32_t *leaf)
{
	uint64_t position = dyn_hash_position(place->bucket, place->key);

	*leaf = dyn_store_tree_leaf_of(place->cell, position);
	return dyn_tree_item(position, hash);
}

static bool
is_dirty(const struct dyn_store_tree *self, uint32_t branch)
{
	return self->dirty[branch / 8] & 1 << branch % 8;
}

void
dyn_store_tree_soil(struct dyn_store_tree *self, uint32_t branch)
{
	self->dirty[branch / 8] |= (uint8_t) (1 << branch % 8);
}

/* Under the lock. */
static void
set(struct dyn_store_tree *self, uint32_t leaf, uint64_t hash)
{
	uint32_t branch = leaf / DYN_TREE_FANOUT;
	uint64_t change = self->leaves[leaf] ^ hash;
	uint64_t before = self->branches[branch];

	self->leaves[leaf] = hash;
	self->branches[branch] = before ^ change;
	self->cells[branch / DYN_TREE_FANOUT] ^= change;
	self->branch_count += self->branches[branch] != 0;
	self->branch_count -= before != 0;
	dyn_store_tree_soil(self, branch);
}

void
dyn_store_tree_take(struct dyn_store_tree *self, uint64_t *leaves,
					const bool *has_leaves,
					const struct dyn_store_tree_log *log)
{
	dyn_memory_give(self->leaves);
	self->leaves = leaves;
	self->branch_count = 0;
	memset(self->cells, 0, DYN_CELL_COUNT * sizeof(uint64_t));
	memset(self->branches, 0, DYN_TREE_BRANCH_COUNT * sizeof(uint64_t));
	memset(self->dirty, 0, DYN_TREE_BRANCH_COUNT / 8);
	for (uint32_t branch = 0; branch < DYN_TREE_BRANCH_COUNT; branch++)
	{
		uint64_t hash = 0;

		if (!has_leaves[branch])
			continue;
		for (uint32_t i = 0; i < DYN_TREE_FANOUT; i++)
			hash ^= leaves[branch * DYN_TREE_FANOUT + i];
		self->branches[branch] = hash;
		self->cells[branch / DYN_TREE_FANOUT] ^= hash;
		self->branch_count += hash != 0;
	}
	self->log = *log;
	self->sweep = (struct dyn_store_tree_sweep){ .round_last = log->last };
	self->stats.log_size = log->leaf_count;
}

/* ---- a transaction ---- */

void
dyn_store_tree_begin(struct dyn_store_tree *self)
{
	self->change_count = 0;
	self->doubt_count = 0;
}

void
dyn_store_tree_change(struct dyn_store_tree *self, uint32_t leaf, uint64_t item)
{
	if (item == 0)
		return;
	self->changes =
		dyn_memory_reserve(self->changes, self->change_count,
						   &self->change_capacity, sizeof(*self->changes));
	self->changes[self->change_count++] = (struct dyn_store_leaf){ leaf, item };
}

static bool
is_doubted(const struct dyn_store_tree *self, uint32_t branch)
{
	for (uint32_t i = 0; i < self->doubt_count; i++)
		if (self->doubts[i] == branch)
			return true;
	return false;
}

void
dyn_store_tree_doubt(struct dyn_store_tree *self, uint32_t leaf)
{
	if (is_doubted(self, leaf / DYN_TREE_FANOUT))
		return;
	self->doubts =
		dyn_memory_reserve(self->doubts, self->doubt_count,
						   &self->doubt_capacity, sizeof(*self->doubts));
	self->doubts[self->doubt_count++] = leaf / DYN_TREE_FANOUT;
}

static int
compare_leaves(const void *left, const void *right)
{
	uint32_t a = ((const struct dyn_store_leaf *) left)->leaf;
	uint32_t b = ((const struct dyn_store_leaf *) right)->leaf;

	return (a > b) - (a < b);
}

/* From items that come and go, in any order, to the new hash of each leaf
 * that is not as it was. */
static void
merge_changes(struct dyn_store_tree *self)
{
	struct dyn_store_leaf *changes = self->changes;
	uint32_t count = 0;

	if (self->change_count == 0)
		return;
	qsort(changes, self->change_count, sizeof(*changes), compare_leaves);
	for (uint32_t i = 0; i < self->change_count;)
	{
		struct dyn_store_leaf merged = { changes[i].leaf, 0 };

		for (; i < self->change_count && changes[i].leaf == merged.leaf; i++)
			merged.hash ^= changes[i].hash;
		if (merged.hash == 0)
			continue;
		merged.hash ^= self->leaves[merged.leaf];
		changes[count++] = merged;
	}
	self->change_count = count;
}

static void
drop_doubted(struct dyn_store_tree *self)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < self->change_count; i++)
		if (!is_doubted(self, self->changes[i].leaf / DYN_TREE_FANOUT))
			self->changes[count++] = self->changes[i];
	self->change_count = count;
}

struct recomputing
{
	uint32_t branch;
	uint64_t *leaves;
};

static void
add_to_branch(void *context, const struct dyn_record_key *place, uint64_t hash)
{
	struct recomputing *self = context;
	uint32_t leaf;
	uint64_t item = dyn_store_tree_item(place, hash, &leaf);

	if (leaf / DYN_TREE_FANOUT == self->branch)
		self->leaves[leaf % DYN_TREE_FANOUT] ^= item;
}

/* The leaves of a branch by the records of its cell. */
static int
recompute(struct dyn_store_tree *self, MDB_txn *txn, uint32_t branch,
		  uint64_t leaves[DYN_TREE_FANOUT])
{
	struct recomputing recomputing = { branch, leaves };
	uint64_t damaged = 0;

	memset(leaves, 0, DYN_TREE_FANOUT * sizeof(*leaves));
	return dyn_store_walk_cell(txn, self->main,
							   (uint16_t) (branch / DYN_TREE_FANOUT),
							   add_to_branch, &recomputing, &damaged);
}

/* After merging: the branches in doubt get all their leaves anew. */
static int
settle_doubts(struct dyn_store_tree *self, MDB_txn *txn)
{
	if (self->doubt_count == 0)
		return 0;
	drop_doubted(self);
	for (uint32_t i = 0; i < self->doubt_count; i++)
	{
		uint32_t first = self->doubts[i] * DYN_TREE_FANOUT;
		uint64_t leaves[DYN_TREE_FANOUT];
		int code = recompute(self, txn, self->doubts[i], leaves);

		if (code != 0)
			return code;
		for (uint32_t l = 0; l < DYN_TREE_FANOUT; l++)
			if (leaves[l] != self->leaves[first + l])
			{
				/* Any item but 0 makes a place for the hash. */
				dyn_store_tree_change(self, first + l, 1);
				self->changes[self->change_count - 1].hash = leaves[l];
			}
		self->stats_after.recomputed++;
	}
	return 0;
}

static int
append_log(struct dyn_store_tree *self, MDB_cursor *cursor)
{
	struct dyn_store_tree_log *log = &self->log_after;

	for (uint32_t i = 0; i < self->change_count;)
	{
		uint32_t count = self->change_count - i;
		int code;

		if (count > DYN_STORE_LOG_LEAVES_MAX)
			count = DYN_STORE_LOG_LEAVES_MAX;
		code = dyn_store_tree_put_log(cursor, log->last + 1, self->changes + i,
									  count);
		if (code != 0)
			return code;
		log->last++;
		log->leaf_count += count;
		i += count;
	}
	return 0;
}

/* ---- the sweep ---- */

/* What is committed goes to the branches: changes of this transaction are in
 * the log and have their turn later. */
static int
sweep_branches(struct dyn_store_tree *self, MDB_cursor *cursor, uint32_t first,
			   uint32_t end)
{
	for (uint32_t branch = first; branch < end; branch++)
	{
		int code;

		if (!is_dirty(self, branch))
			continue;
		code = dyn_store_tree_put_branch(
			cursor, branch, self->leaves + branch * DYN_TREE_FANOUT);
		if (code != 0)
			return code;
		self->stats_after.branches++;
	}
	return 0;
}

static int
drop_log(struct dyn_store_tree *self, MDB_cursor *cursor, uint64_t most)
{
	struct dyn_store_tree_log *log = &self->log_after;

	for (; most > 0 && log->first <= log->last &&
		   log->first <= self->sweep_after.drop_last;
		 most--)
	{
		uint64_t number;
		uint32_t count;
		int code = dyn_store_tree_drop_log(cursor, &number, &count);

		if (code != 0)
			return code;
		log->first = number + 1;
		log->leaf_count -= count < log->leaf_count ? count : log->leaf_count;
	}
	return 0;
}

static uint32_t
round_length(const struct dyn_store_tree *self)
{
	uint32_t changes = ROUND_PER_BRANCH * self->branch_count;

	return changes < ROUND_MIN ? ROUND_MIN : changes;
}

static void
owe(struct dyn_store_tree *self)
{
	self->sweep_after.debt += (uint64_t) self->change_count *
							  DYN_TREE_BRANCH_COUNT / round_length(self);
}

static int
sweep(struct dyn_store_tree *self, const struct cursors *cursors)
{
	struct dyn_store_tree_sweep *sweep = &self->sweep_after;
	uint32_t end = DYN_TREE_BRANCH_COUNT;
	int code;

	if (sweep->debt < SWEEP_STEP)
		return 0;
	if (sweep->debt < end - sweep->at)
		end = sweep->at + (uint32_t) sweep->debt;
	code = sweep_branches(self, cursors->branches, sweep->at, end);
	if (code != 0)
		return code;
	sweep->swept = end - sweep->at;
	sweep->at = end;
	sweep->debt = 0;
	if (end == DYN_TREE_BRANCH_COUNT)
	{
		sweep->at = 0;
		sweep->drop_last = sweep->round_last;
		sweep->round_last = self->log_after.last;
	}
	return drop_log(self, cursors->log,
					DROP_STEP + 4 * (self->log_after.last - self->log.last));
}

static void
plan(struct dyn_store_tree *self)
{
	self->log_after = self->log;
	self->sweep_after = self->sweep;
	self->sweep_after.swept = 0;
	self->stats_after = self->stats;
}

static int
write_changes(struct dyn_store_tree *self, MDB_txn *txn,
			  const struct cursors *cursors)
{
	int code;

	merge_changes(self);
	code = settle_doubts(self, txn);
	if (code == 0)
		code = append_log(self, cursors->log);
	owe(self);
	self->stats_after.changes += self->change_count;
	return code;
}

int
dyn_store_tree_write(struct dyn_store_tree *self, MDB_txn *txn, bool may_sweep)
{
	struct cursors cursors;
	int code = open_cursors(self, txn, &cursors);

	if (code != 0)
		return code;
	plan(self);
	code = write_changes(self, txn, &cursors);
	if (code == 0 && may_sweep)
		code = sweep(self, &cursors);
	self->stats_after.log_size = self->log_after.leaf_count;
	close_cursors(&cursors);
	return code;
}

bool
dyn_store_tree_is_long(const struct dyn_store_tree *self)
{
	return self->log.leaf_count > 3 * (uint64_t) round_length(self);
}

int
dyn_store_tree_fold(struct dyn_store_tree *self, MDB_txn *txn)
{
	struct cursors cursors;
	int code = open_cursors(self, txn, &cursors);

	if (code != 0)
		return code;
	dyn_store_tree_begin(self);
	plan(self);
	self->sweep.at = self->sweep_after.at = 0;
	self->sweep_after.round_last = self->log.last;
	self->sweep_after.debt = DYN_TREE_BRANCH_COUNT;
	code = sweep(self, &cursors);
	if (code == 0)
		code = drop_log(self, cursors.log, UINT64_MAX);
	self->stats_after.log_size = self->log_after.leaf_count;
	close_cursors(&cursors);
	return code;
}

/* Those that a sweep wrote. */
static void
clean(struct dyn_store_tree *self)
{
	uint32_t end = self->sweep.at + self->sweep_after.swept;

	for (uint32_t branch = self->sweep.at; branch < end; branch++)
		self->dirty[branch / 8] &= (uint8_t) ~(1 << branch % 8);
}

void
dyn_store_tree_committed(struct dyn_store_tree *self)
{
	pthread_mutex_lock(&self->lock);
	clean(self);
	for (uint32_t i = 0; i < self->change_count; i++)
		set(self, self->changes[i].leaf, self->changes[i].hash);
	self->log = self->log_after;
	self->sweep = self->sweep_after;
	self->stats = self->stats_after;
	pthread_mutex_unlock(&self->lock);
}

/* The log's records, and the branches that are due for so many changes; a
 * sweep that finds no room is left for later. */
size_t
dyn_store_tree_room(uint32_t change_count)
{
	return (size_t) change_count / CHANGES_PER_PAGE * PAGE_SIZE;
}

/* ---- answers ---- */

bool
dyn_store_tree_answer(struct dyn_store_tree *self,
					  const struct dyn_effect *effect, uint64_t *hashes)
{
	enum dyn_tree_level level = effect->tree.level;
	const uint64_t *all = level == DYN_TREE_CELL     ? self->cells
						  : level == DYN_TREE_BRANCH ? self->branches
													 : self->leaves;
	bool is_known = true;

	pthread_mutex_lock(&self->lock);
	for (uint32_t i = 0; i < effect->tree.node_count; i++)
	{
		uint32_t node = effect->tree.nodes[i];

		is_known &= node < dyn_tree_level_count(level);
		hashes[i] = is_known ? all[node] : 0;
	}
	pthread_mutex_unlock(&self->lock);
	return is_known;
}

void
dyn_store_tree_stats(struct dyn_store_tree *self,
					 struct dyn_store_tree_stats *out)
{
	pthread_mutex_lock(&self->lock);
	*out = self->stats;
	pthread_mutex_unlock(&self->lock);
}
