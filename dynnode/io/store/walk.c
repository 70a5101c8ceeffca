/*
 * Sound records one after the other, for tree.c (a cell) and tree_load.c (all
 * of them).  It stands on cursor.c.
 */
#include "io/store/walk.h"

#include <string.h>

#include "io/store/cursor.h"

struct walk
{
	MDB_cursor *cursor;
	dyn_store_visit visit;
	void *context;
	uint64_t *damaged;

	struct dyn_store_spot at; /* after a move that returned 0 */
};

static int
move(struct walk *self, MDB_cursor_op op)
{
	return dyn_store_move(self->cursor, op, &self->at);
}

/* Onwards to a sound record, this one or a later one. */
static int
to_sound(struct walk *self, int code)
{
	while (code == 0 && !self->at.is_sound)
	{
		++*self->damaged;
		code = move(self, MDB_NEXT);
	}
	return code;
}

/* To the first sound record at or after this name. */
static int
seek(struct walk *self, struct dyn_slice name)
{
	int code = dyn_store_seek_before(self->cursor, name, &self->at);

	code = to_sound(self, code);
	while (code == 0 && dyn_slice_compare(self->at.name, name) < 0)
		code = to_sound(self, move(self, MDB_NEXT));
	return code;
}

static int
seek_cell(struct walk *self, struct dyn_slice bucket, uint16_t cell)
{
	struct dyn_record_key place = { .bucket = bucket, .cell = cell };
	struct dyn_record_name name;

	if (dyn_record_name_make(&place, &name) != DYN_STATUS_OK)
		return MDB_CORRUPTED;
	return seek(self, dyn_record_name_slice(&name));
}

static int
seek_next_bucket(struct walk *self, struct dyn_slice bucket)
{
	struct dyn_record_name name;

	dyn_record_name_behind(bucket, &name);
	return seek(self, dyn_record_name_slice(&name));
}

/* All of the cell in the bucket where the cursor stands; then on to the next
 * bucket. */
static int
walk_bucket(struct walk *self, uint16_t cell)
{
	uint8_t bytes[DYN_BUCKET_SIZE_MAX];
	struct dyn_slice bucket = { bytes, self->at.place.bucket.size };
	int code;

	memcpy(bytes, self->at.place.bucket.data, bucket.size);
	code = seek_cell(self, bucket, cell);
	while (code == 0 && self->at.place.cell == cell &&
		   dyn_slice_equal(self->at.place.bucket, bucket))
	{
		self->visit(self->context, &self->at.place,
					dyn_record_head_hash(self->at.value));
		code = to_sound(self, move(self, MDB_NEXT));
	}
	if (code == 0 && dyn_slice_compare(self->at.place.bucket, bucket) <= 0)
		code = seek_next_bucket(self, bucket);
	return code;
}

static int
walk_buckets(struct walk *self, uint16_t cell)
{
	int code = to_sound(self, move(self, MDB_FIRST));

	while (code == 0)
		code = walk_bucket(self, cell);
	return code;
}

static int
walk_records(struct walk *self)
{
	int code = to_sound(self, move(self, MDB_FIRST));

	while (code == 0)
	{
		self->visit(self->context, &self->at.place,
					dyn_record_head_hash(self->at.value));
		code = to_sound(self, move(self, MDB_NEXT));
	}
	return code;
}

/* cell NULL: the whole table. */
static int
walk(struct walk *self, MDB_txn *txn, MDB_dbi table, const uint16_t *cell)
{
	int code = mdb_cursor_open(txn, table, &self->cursor);

	if (code != 0)
		return code;
	code = cell != NULL ? walk_buckets(self, *cell) : walk_records(self);
	mdb_cursor_close(self->cursor);
	return code == MDB_NOTFOUND ? 0 : code;
}

int
dyn_store_walk_cell(MDB_txn *txn, MDB_dbi table, uint16_t cell,
					dyn_store_visit visit, void *context, uint64_t *damaged)
{
	struct walk self = { .visit = visit,
						 .context = context,
						 .damaged = damaged };

	return walk(&self, txn, table, &cell);
}

int
dyn_store_walk_all(MDB_txn *txn, MDB_dbi table, dyn_store_visit visit,
				   void *context, uint64_t *damaged)
{
	struct walk self = { .visit = visit,
						 .context = context,
						 .damaged = damaged };

	return walk(&self, txn, table, NULL);
}
