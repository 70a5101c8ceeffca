/*-------------------------------------------------------------------------
 *
 * cursor.h
 *      One step of a cursor of LMDB, and whether what it leads to is sound.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_IO_STORE_CURSOR_H
#define DYN_IO_STORE_CURSOR_H

#include <lmdb.h>

#include "io/store/record.h"

static inline struct dyn_slice
dyn_store_slice_of(MDB_val value)
{
	return (struct dyn_slice){ value.mv_data, value.mv_size };
}

static inline MDB_val
dyn_store_val_of(struct dyn_slice slice)
{
	return (MDB_val){ slice.size, (void *) slice.data };
}

/* Where a cursor stands that looks for damage; place only of a sound record,
 * whose head and name are. */
struct dyn_store_spot
{
	struct dyn_slice name;
	struct dyn_slice value;
	struct dyn_record_key place;
	bool is_sound;
};

/* 0 or LMDB's code, then *spot is as before; a search begins at its name. */
int dyn_store_move(MDB_cursor *cursor, MDB_cursor_op op,
				   struct dyn_store_spot *spot);

/* Onto the last sound record before this name; the first one of the table when
 * there is none.  The search itself is only where the looking around begins:
 * damaged keys may lead it astray.  0 or LMDB's code. */
int dyn_store_seek_before(MDB_cursor *cursor, struct dyn_slice name,
						  struct dyn_store_spot *spot);

/* Is the record where this move leads (if it leads to one) a sound one? */
bool dyn_store_is_sound_at(MDB_cursor *cursor, MDB_cursor_op move, MDB_val key,
						   int *code);

#endif
