/*-------------------------------------------------------------------------
 *
 * remember.h
 *      Request ids of writes that were applied here, for a bounded time.
 *
 * So a frame that the network doubled, or a client's retry, makes no second
 * version (notes: L3).  An id is PENDING from the moment its write is applied
 * in memory, COMMITTED once it is on disk; an aborted commit forgets it.  Only
 * COMMITTED ids are told to others, because a LOAD submitted from then on
 * sees what they did.  A LOAD beside a PENDING one may see it or not, or what
 * replaced it: whoever asks for that id waits for the commit (replica_read.c).
 *
 * Beside an id stands what was written with it, as far as that is known, as a
 * mark: the same id with another mark is no retry, but a client's mistake.
 *
 * Kept for as long as a client may go on trying (DYN_OP_LIMIT_MS) and the last
 * attempt may take, at most `max` of them: the oldest go first.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_REMEMBER_H
#define DYN_CORE_REMEMBER_H

#include "model/object.h"
#include "model/types.h"

struct dyn_remembered;

struct dyn_remember
{
	struct dyn_remembered *table; /* uthash: in the order of insertion */
	uint32_t count;
	uint32_t max;
	uint64_t keep_ms;
};

void dyn_remember_init(struct dyn_remember *self, uint32_t max,
					   uint64_t keep_ms);
void dyn_remember_destroy(struct dyn_remember *self);

void dyn_remember_pending(struct dyn_remember *self,
						  const struct dyn_request_id *id, uint64_t now_ms);
void dyn_remember_committed(struct dyn_remember *self,
							const struct dyn_request_id *id, uint64_t now_ms);

/* Of the write of a key whose last value this is (empty: of a delete, too, for
 * where the last write wins that is such a value); never 0. */
uint64_t dyn_remember_mark(uint64_t position, struct dyn_slice last_value);

/* What was written earlier, by a wall clock, belongs to a request that is no
 * longer remembered, if nodes' clocks differ by less than a minute. */
uint64_t dyn_remember_since(const struct dyn_remember *self, uint64_t wall_ms);

/* What was written with an id, if it is remembered; 0 = not known. */
void dyn_remember_note_mark(struct dyn_remember *self,
							const struct dyn_request_id *id, uint64_t mark);

/* Is it remembered for something else? */
bool dyn_remember_is_other(const struct dyn_remember *self,
						   const struct dyn_request_id *id, uint64_t mark);

/* Its commit was aborted. A COMMITTED id stays. */
void dyn_remember_forget(struct dyn_remember *self,
						 const struct dyn_request_id *id);

/*
 * Versions that come by repair, or beside somebody else's write, are writes
 * applied here too: the requests of those that `known` does not cover.  ids
 * has room for all versions of the object; the count is returned.
 */
uint32_t dyn_remember_news(const struct dyn_clock *known,
						   const struct dyn_object *object,
						   struct dyn_request_id *ids);

/*
 * What a write or a merge replaces was applied, too, here or elsewhere: a
 * retry of it must hear so, though nothing is left to see.  The requests of
 * versions of `before` that `after` does not hold, but for those written before
 * since_wall_ms, whose clients have long ended.  ids has room for all
 * versions of `before`; the count is returned.
 */
uint32_t dyn_remember_replaced(const struct dyn_object *before,
							   const struct dyn_object *after,
							   uint64_t since_wall_ms,
							   struct dyn_request_id *ids);

bool dyn_remember_knows(const struct dyn_remember *self,
						const struct dyn_request_id *id);
bool dyn_remember_is_committed(const struct dyn_remember *self,
							   const struct dyn_request_id *id);

#endif
