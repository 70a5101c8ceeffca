#include "io/store_walk.h"

#include <string.h>

#include "io/record.h"
#include "io/store_read.h"

struct walk
{
	MDB_cursor *cursor;
	dyn_store_visit visit;
	void *context;
	uint64_t *damaged;

	/* Where the cursor stands, after a move that returned 0. */
	struct dyn_slice name;
	struct dyn_slice value;
	struct dyn_record_key place;
	bool is_sound;
};

static int
move(struct walk *self, MDB_cursor_op op)
{
	MDB_val name = dyn_store_val_of(self->name);
	MDB_val value;
	int code = mdb_cursor_get(self->cursor, &name, &value, op);

	if (code != 0)
		return code;
	self->name = dyn_store_slice_of(name);
	self->value = dyn_store_slice_of(value);
	self->is_sound = dyn_record_head_is_sound(self->name, self->value) &&
					 dyn_record_name_parse(self->name, &self->place);
	return 0;
}

/* Onwards to a sound record, this one or a later one. */
static int
to_sound(struct walk *self, int code)
{
	while (code == 0 && !self->is_sound)
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
	int code;

	self->name = name;
	code = move(self, MDB_SET_RANGE);
	if (code == MDB_NOTFOUND)
		code = move(self, MDB_LAST);
	while (code == 0 &&
		   !(self->is_sound && dyn_slice_compare(self->name, name) < 0))
		code = move(self, MDB_PREV);
	if (code == MDB_NOTFOUND)
		code = move(self, MDB_FIRST);
	code = to_sound(self, code);
	while (code == 0 && dyn_slice_compare(self->name, name) < 0)
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

/* No name of the bucket reaches this far: behind its bytes they all have a
 * NUL. */
static int
seek_next_bucket(struct walk *self, struct dyn_slice bucket)
{
	uint8_t name[DYN_BUCKET_SIZE_MAX + 1];

	memcpy(name, bucket.data, bucket.size);
	name[bucket.size] = 1;
	return seek(self, (struct dyn_slice){ name, bucket.size + 1 });
}

/* All of the cell in the bucket where the cursor stands; then on to the next
 * bucket. */
static int
walk_bucket(struct walk *self, uint16_t cell)
{
	uint8_t bytes[DYN_BUCKET_SIZE_MAX];
	struct dyn_slice bucket = { bytes, self->place.bucket.size };
	int code;

	memcpy(bytes, self->place.bucket.data, bucket.size);
	code = seek_cell(self, bucket, cell);
	while (code == 0 && self->place.cell == cell &&
		   dyn_slice_equal(self->place.bucket, bucket))
	{
		self->visit(self->context, &self->place,
					dyn_record_head_hash(self->value));
		code = to_sound(self, move(self, MDB_NEXT));
	}
	if (code == 0 && dyn_slice_compare(self->place.bucket, bucket) <= 0)
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
		self->visit(self->context, &self->place,
					dyn_record_head_hash(self->value));
		code = to_sound(self, move(self, MDB_NEXT));
	}
	return code;
}

int
dyn_store_walk_cell(MDB_txn *txn, MDB_dbi table, uint16_t cell,
					dyn_store_visit visit, void *context, uint64_t *damaged)
{
	struct walk walk = { .visit = visit,
						 .context = context,
						 .damaged = damaged };
	int code = mdb_cursor_open(txn, table, &walk.cursor);

	if (code != 0)
		return code;
	code = walk_buckets(&walk, cell);
	mdb_cursor_close(walk.cursor);
	return code == MDB_NOTFOUND ? 0 : code;
}

int
dyn_store_walk_all(MDB_txn *txn, MDB_dbi table, dyn_store_visit visit,
				   void *context, uint64_t *damaged)
{
	struct walk walk = { .visit = visit,
						 .context = context,
						 .damaged = damaged };
	int code = mdb_cursor_open(txn, table, &walk.cursor);

	if (code != 0)
		return code;
	code = walk_records(&walk);
	mdb_cursor_close(walk.cursor);
	return code == MDB_NOTFOUND ? 0 : code;
}
