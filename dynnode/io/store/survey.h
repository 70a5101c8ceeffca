/*-------------------------------------------------------------------------
 *
 * survey.h
 *      The records of a SCAN's range for whoever looks for damage.
 *
 * The way leads from one record with a sound head and name to the next one;
 * what is unsound is shown where it is met and decides nothing.  Where a
 * search ends is believed only after steps to sound records on both sides, so
 * no sound record of the range is passed over, whatever the keys of others
 * say, and the way always ends.  A sound record that stands behind a greater
 * one counts as unsound.
 *
 * Unsound records are shown that stand in the range, or between a sound one
 * before the range, or a part of it in one bucket, and the first one behind
 * that: which of the two they belong to nobody knows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_IO_STORE_SURVEY_H
#define DYN_IO_STORE_SURVEY_H

#include "io/store/cursor.h"

struct dyn_store_survey
{
	const struct dyn_effect *effect;
	MDB_cursor *cursor;
	bool begun;
	struct dyn_slice bucket; /* the one that is being read */
	struct dyn_slice passed; /* the last sound name */

	struct dyn_store_spot at;
};

/* The effect is a SCAN for_damage; both live as long as the survey. */
void dyn_store_survey_init(struct dyn_store_survey *self,
						   const struct dyn_effect *effect, MDB_cursor *cursor);

/* On to the next record.  0; MDB_NOTFOUND at the end of the range; or LMDB's
 * code. */
int dyn_store_survey_next(struct dyn_store_survey *self);

#endif
