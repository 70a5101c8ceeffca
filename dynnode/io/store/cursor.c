/*
 * The lowest floor of the store, beside record.c: one step of an LMDB cursor.
 * Whoever reads more than one record stands on it (walk, survey, scan, read).
 */
#include "io/store/cursor.h"

int
dyn_store_move(MDB_cursor *cursor, MDB_cursor_op op,
			   struct dyn_store_spot *spot)
{
	MDB_val name = dyn_store_val_of(spot->name);
	MDB_val value;
	int code = mdb_cursor_get(cursor, &name, &value, op);

	if (code != 0)
		return code;
	spot->name = dyn_store_slice_of(name);
	spot->value = dyn_store_slice_of(value);
	spot->is_sound = dyn_record_head_is_sound(spot->name, spot->value) &&
					 dyn_record_name_parse(spot->name, &spot->place);
	return 0;
}

int
dyn_store_seek_before(MDB_cursor *cursor, struct dyn_slice name,
					  struct dyn_store_spot *spot)
{
	int code;

	spot->name = name;
	code = dyn_store_move(cursor, MDB_SET_RANGE, spot);
	if (code == MDB_NOTFOUND)
		code = dyn_store_move(cursor, MDB_LAST, spot);
	while (code == 0 &&
		   !(spot->is_sound && dyn_slice_compare(spot->name, name) < 0))
		code = dyn_store_move(cursor, MDB_PREV, spot);
	if (code == MDB_NOTFOUND)
		code = dyn_store_move(cursor, MDB_FIRST, spot);
	return code;
}

bool
dyn_store_is_sound_at(MDB_cursor *cursor, MDB_cursor_op move, MDB_val key,
					  int *code)
{
	MDB_val value;

	*code = mdb_cursor_get(cursor, &key, &value, move);
	if (*code == MDB_NOTFOUND)
		return true;
	return *code == 0 && dyn_record_head_is_sound(dyn_store_slice_of(key),
												  dyn_store_slice_of(value));
}
