/*
 * The way through a range that no damaged record stops, for scan.c's pages
 * for_damage: scrubbing and repair begin with these.
 */
#include "io/store/survey.h"

#include <string.h>

void
dyn_store_survey_init(struct dyn_store_survey *self,
					  const struct dyn_effect *effect, MDB_cursor *cursor)
{
	*self = (struct dyn_store_survey){ .effect = effect, .cursor = cursor };
}

static bool
has_all_buckets(const struct dyn_store_survey *self)
{
	return self->effect->scan.bucket.size == 0;
}

/* ---- moving the cursor ---- */

static int
move(struct dyn_store_survey *self, MDB_cursor_op op)
{
	return dyn_store_move(self->cursor, op, &self->at);
}

static bool
is_sound_from(const struct dyn_store_survey *self, struct dyn_slice name)
{
	return self->at.is_sound && dyn_slice_compare(self->at.name, name) >= 0;
}

/*
 * To what stands right behind the last sound record before this name: the
 * first one at or after it, or unsound ones before that.
 */
static int
seek(struct dyn_store_survey *self, struct dyn_slice name)
{
	int code = dyn_store_seek_before(self->cursor, name, &self->at);

	while (code == 0 && !is_sound_from(self, name))
		code = move(self, MDB_NEXT);
	if (code != 0 && code != MDB_NOTFOUND)
		return code;
	code = move(self, code == 0 ? MDB_PREV : MDB_LAST);
	while (code == 0 && !self->at.is_sound)
		code = move(self, MDB_PREV);
	if (code != 0 && code != MDB_NOTFOUND)
		return code;
	return move(self, code == 0 ? MDB_NEXT : MDB_FIRST);
}

static int
seek_cell(struct dyn_store_survey *self, uint16_t cell)
{
	struct dyn_record_key place = { .bucket = self->bucket, .cell = cell };
	struct dyn_record_name name;

	if (dyn_record_name_make(&place, &name) != DYN_STATUS_OK)
		return MDB_BAD_VALSIZE;
	return seek(self, dyn_record_name_slice(&name));
}

/* Behind this key: with a NUL at its end it is the next one there can be. */
static int
seek_behind(struct dyn_store_survey *self, const struct dyn_record_key *place)
{
	uint8_t bytes[DYN_RECORD_KEY_SIZE_MAX + 1];
	struct dyn_record_name name;

	if (dyn_record_name_make(place, &name) != DYN_STATUS_OK)
		return MDB_BAD_VALSIZE;
	memcpy(bytes, name.bytes, name.size);
	bytes[name.size] = 0;
	return seek(self, (struct dyn_slice){ bytes, name.size + 1 });
}

/* No name of the bucket reaches this far: behind its bytes they all have a
 * NUL. */
static int
seek_next_bucket(struct dyn_store_survey *self)
{
	struct dyn_record_name name;

	dyn_record_name_behind(self->bucket, &name);
	return seek(self, dyn_record_name_slice(&name));
}

/* ---- the next record ---- */

static int
begin(struct dyn_store_survey *self)
{
	const struct dyn_effect *effect = self->effect;

	self->bucket = effect->scan.bucket;
	if (has_all_buckets(self) && !effect->scan.has_after)
		return move(self, MDB_FIRST);
	if (has_all_buckets(self))
		self->bucket = effect->scan.after_bucket;
	if (!effect->scan.has_after ||
		effect->scan.after_cell < effect->scan.cell_first)
		return seek_cell(self, effect->scan.cell_first);
	return seek_behind(
		self, &(struct dyn_record_key){ self->bucket, effect->scan.after_cell,
										effect->scan.after_key });
}

/* Sound, but not where it should be. */
static bool
is_misplaced(const struct dyn_store_survey *self)
{
	return self->passed.size != 0 &&
		   dyn_slice_compare(self->at.name, self->passed) <= 0;
}

static bool
is_in_range(const struct dyn_store_survey *self)
{
	return dyn_slice_equal(self->at.place.bucket, self->bucket) &&
		   self->at.place.cell >= self->effect->scan.cell_first &&
		   self->at.place.cell <= self->effect->scan.cell_last;
}

/* From a sound record outside the range to where the range goes on. */
static int
go_on(struct dyn_store_survey *self)
{
	if (!has_all_buckets(self))
		return MDB_NOTFOUND;
	if (self->at.place.cell < self->effect->scan.cell_first)
		return seek_cell(self, self->effect->scan.cell_first);
	return seek_next_bucket(self);
}

int
dyn_store_survey_next(struct dyn_store_survey *self)
{
	int code = self->begun ? move(self, MDB_NEXT) : begin(self);

	self->begun = true;
	while (code == 0 && self->at.is_sound)
	{
		if (is_misplaced(self))
		{
			self->at.is_sound = false;
			return 0;
		}
		self->passed = self->at.name;
		if (has_all_buckets(self))
			self->bucket = self->at.place.bucket;
		if (is_in_range(self))
			return 0;
		code = go_on(self);
	}
	return code;
}
