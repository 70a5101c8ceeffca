/*-------------------------------------------------------------------------
 *
 * object.h
 *      All that is known of one key: a context and the live versions.
 *
 *     object  = (context C, versions V), every dot of V covered by C
 *     V empty, C not empty: the key was deleted (a tombstone)
 *     no object at all:     the key is unknown here
 *
 * Versions are sorted by dot, then value.  Replicas always exchange the
 * whole object after an update, never "the new value only".  The algebra is
 * the one of dotted version vectors with explicit dots (Dynamo 2007, section
 * 4.4 repaired; laws and counter-examples are tests in
 * tests/unit/test_object*.c):
 *
 *     sync(A, B)  keeps a version that both hold, or one holds and the
 *                 other's context does not cover; contexts are united.
 *                 Idempotent, commutative, associative.  Same dot and other
 *                 value (a damaged history): both stay; same dot and value,
 *                 other request: the greater one.
 *     put(S, X)   drops what X covers, and the twins of what it drops; adds
 *                 one new dot for each value; context = S.context + X + the
 *                 dots.  No values: a delete.
 *     row clock of v = S.context without the dots of the other rows' live
 *                 versions; so whoever read one row cannot erase another.
 *                 Versions with one request id and one value (a retried
 *                 write, twins) are one row, whose clock covers all of them.
 *     view(S, t)  what a reader at time t is shown, with the context of all.
 *                 Of the versions marked LWW only the one with the greatest
 *                 stamp (written_at_ms, then dot) is left; then those that
 *                 have expired go, a row with the last of its twins.  In
 *                 this order, so that the end of a version brings back
 *                 nothing that it had replaced.
 *
 * A retried write has a name.  An attempt that was lost may act late, or have
 * acted unseen, and make a dot of its own; whoever replaces the write's row
 * may never have met that dot.  So a retry makes the dot that follows from the
 * write itself, rho = (XXH3(request id, hash of the value), epoch 0, 1): all
 * retries make the same one, whoever replaces the row covers it, and it lives
 * in contexts as dots do.  (Processes give out epochs from 1.)  Where rho is
 * covered, what became of it decides for its twins: sync and put drop a live
 * version v whose rho is another dot that is covered and not live, or, marked
 * LWW, that is covered at all; for of two stamps of one write the later one
 * would beat what came in between.  This closure of a join is a join.
 *
 * Otherwise sync and put know nothing of stamps and expiry: storing and repairing stay
 * pure algebra, and whoever reads takes the view.  A row's clock in a view
 * covers what the view hides.  An object whose view is empty is dead: what
 * removes it must remove all of it, as a tombstone.
 *
 * An object is a value: arrays come from the allocator of the call that made
 * it, value bytes are borrowed from the inputs of that call (encoded bytes
 * are copied by decode).  Functions return OK or NO_MEMORY unless said
 * otherwise and leave *out alone on failure.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_MODEL_OBJECT_H
#define DYN_MODEL_OBJECT_H

#include "model/clock.h"
#include "model/types.h"

enum
{
	/* entries of a context from which on it is pruned, as in the paper */
	DYN_CONTEXT_CROWDED = 10,
	/* names of retried writes in one object: those of a client's context
	 * must leave room for others */
	DYN_RETRY_DOTS_MAX = 64,
	/* what the clocks of all rows of one key may take: a key of some 2000
	 * siblings can still be read, and reconciled */
	DYN_ROWS_SIZE_MAX = 256 * 1024 * 1024
};

/* What the flags of a version say; bits that are not known here are kept. */
enum
{
	/* put in a bucket where the last write wins: it yields to any other of
	 * this kind with a greater stamp */
	DYN_VERSION_LWW = 1
};

struct dyn_version
{
	struct dyn_dot dot;
	struct dyn_request_id request; /* of the put that made it */
	uint64_t written_at_ms;        /* wall clock of the coordinator; advisory,
									* but for LWW, whose stamp it is */
	uint64_t expires_at_ms;        /* wall clock from which on nobody is shown
									* it; 0 = never */
	uint32_t flags;                /* DYN_VERSION_... */
	struct dyn_slice value;
};

struct dyn_object
{
	struct dyn_clock context;
	struct dyn_version *versions;
	uint32_t version_count;
};

/* What a client puts. value_count 0 is a delete. */
struct dyn_update
{
	struct dyn_request_id request;
	const struct dyn_clock *context; /* what the writer has read; may be NULL */
	const struct dyn_slice *values;
	uint32_t value_count;
	uint64_t written_at_ms;
	uint64_t expires_at_ms;
	uint32_t flags;
	bool is_retry; /* the dots follow from the write (dyn_object_retry_dot) */
};

/* One row as a reader sees it: a live version with its twins. */
struct dyn_row
{
	const struct dyn_version *version; /* the one with the lowest dot */
	struct dyn_clock clock;
};

bool dyn_object_is_tombstone(const struct dyn_object *self);

/* The dot rho of a retried write of this value. */
struct dyn_dot dyn_object_retry_dot(const struct dyn_request_id *request,
									struct dyn_slice value);

enum dyn_status dyn_object_sync(const struct dyn_object *a,
								const struct dyn_object *b,
								const struct dyn_allocator *allocator,
								struct dyn_object *out);

/*
 * Apply an update under `actor`: value i gets the dot (actor, n + 1 + i),
 * n = dyn_clock_counter(context of self, actor).  self may be an empty
 * object (zeroed).  TOO_LARGE when the actor's counters would run out.
 *
 * A retry takes no actor: its dots follow from the write.  A value whose dot
 * self covers was written before, and is left out.  TOO_LARGE when more than
 * DYN_RETRY_DOTS_MAX of such dots would be covered.
 */
enum dyn_status dyn_object_put(const struct dyn_object *self,
							   const struct dyn_update *update,
							   struct dyn_actor actor,
							   const struct dyn_allocator *allocator,
							   struct dyn_object *out);

/* The rows of an object, in the order of their versions. *rows is an array
 * of *row_count; its memory and the clocks' come from the allocator.
 * TOO_LARGE, before anything is allocated, beyond DYN_ROWS_SIZE_MAX. */
enum dyn_status dyn_object_rows(const struct dyn_object *self,
								const struct dyn_allocator *allocator,
								struct dyn_row **rows, uint32_t *row_count);

/* Leave only what a reader at this time is shown; each twin tells the end of
 * the row.  In place: the array stays as large as it was, the context as it
 * is. */
void dyn_object_view(struct dyn_object *self, uint64_t now_ms);

/* Does a reader at this time see none of it?  (A tombstone, or expired.) */
bool dyn_object_is_dead(const struct dyn_object *self, uint64_t now_ms);

/* Of one that is dead and has versions: when the last of those that readers
 * were shown expires.  What was beaten by a later write does not count. */
uint64_t dyn_object_dies_at(const struct dyn_object *self);

/* May it be dead at some time, as it is?  (Nothing is live, or something
 * expires.) */
bool dyn_object_is_mortal(const struct dyn_object *self);

/*
 * The stamp of a version that is to replace all of these: the wall clock, or
 * more than the greatest stamp here when that is ahead of it.  (A hybrid
 * logical clock: who has seen a version writes a later one, whatever the
 * clocks of nodes show.)
 */
uint64_t dyn_object_stamp(const struct dyn_object *self, uint64_t wall_ms);

/* Is there a live version with this request id? */
bool dyn_object_has_request(const struct dyn_object *self,
							const struct dyn_request_id *request);

/*
 * The hash that replicas compare: XXH3 over key, sorted live dots and value
 * hashes, and the times of retried writes (two retries have one dot, and each
 * its time); not over the context, so that pruning causes no repair.  A
 * tombstone is hashed with its canonical context, under a tag: it never
 * equals the hash of another delete, and 0 stands for an absent key.
 */
uint64_t dyn_object_hash(const struct dyn_object *self, struct dyn_slice key);

/*
 * Encoded form (message Object): equal objects give equal bytes.  Decoding
 * checks everything (order, canonical clock, dots covered) and returns
 * BAD_REQUEST otherwise; whoever reads from a disk calls that CORRUPT.
 * Decoding takes at most 16 times the memory of its input.
 */
enum dyn_status dyn_object_encode(const struct dyn_object *self,
								  const struct dyn_allocator *allocator,
								  struct dyn_slice *out);
enum dyn_status dyn_object_decode(struct dyn_slice bytes,
								  const struct dyn_allocator *allocator,
								  struct dyn_object *out);

/* Do the invariants hold?  For assertions and tests. */
bool dyn_object_check(const struct dyn_object *self);

#endif
