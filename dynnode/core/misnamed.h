/*-------------------------------------------------------------------------
 *
 * misnamed.h
 *      Damaged records that stand under a damaged key.
 *
 * A misnamed record shows a key that does not belong into the cell that it
 * shows, or no key at all.  What it is a record of nobody can tell, so under
 * that key nothing is mended, removed or told; the record of its true key is
 * missing.  Whoever reads or writes that key finds damage beside its place,
 * and what replaces the record takes this one away (io/store/write.c).
 *
 * The store finds out what a key was of which one byte is damaged, and shows
 * that, so a misnamed record has lost more.  Only pages of all buckets can
 * tell.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_MISNAMED_H
#define DYN_CORE_MISNAMED_H

#include "core/event.h"
#include "model/hash.h"

static inline bool
dyn_scanned_is_misnamed(const struct dyn_scanned *item)
{
	return item->state != DYN_LOADED_FOUND &&
		   (item->key.size == 0 ||
			!dyn_hash_is_of_cell(item->cell, item->bucket, item->key));
}

#endif
