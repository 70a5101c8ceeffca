/*-------------------------------------------------------------------------
 *
 * verdict.h
 *      What a store may wake up with after a crash, and whether it may.
 *
 * Any number of images are made of a recorded life, each with a number, from
 * which its position in the log and all else that is random follow.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_CRASH_VERDICT_H
#define DYN_TESTS_CRASH_VERDICT_H

#include <signal.h>

#include "life.h"

/* Image numbers: those from here on are torn within the meta page's sector. */
enum
{
	CRASH_TORN_META = 1000000
};

enum crash_outcome
{
	CRASH_FINE,    /* a state that it may be in, and it works on from there */
	CRASH_REFUSED, /* it does not open, and says why */
	CRASH_DAMAGED, /* it opens and says itself that something is broken */
	CRASH_OLD,     /* a state, but what was acknowledged later is missing */
	CRASH_MIXED,   /* no state: batches are there in part, or out of order */
	CRASH_WRONG,   /* something that was never written, or contradicts */
	CRASH_DIED,    /* by a signal */
	CRASH_OUTCOME_COUNT
};

struct crash_verdict
{
	enum crash_outcome outcome;
	uint32_t state;         /* FINE */
	uint32_t pending_count; /* writes not synced */
	char text[CRASH_TEXT_SIZE];
};

struct crash_shot
{
	uint32_t image;
	uint32_t position;
	struct crash_verdict verdict;
};

extern const char *const crash_outcome_names[CRASH_OUTCOME_COUNT];

/*
 * Make these images, open them with the store, look at everything, and write
 * on.  That happens in other processes, which may die of it.  Puts the shots
 * in the order of their positions.  False when it was stopped: then nothing
 * is said about some.
 */
bool crash_verdict_reach(struct crash_life *self, struct crash_shot *shots,
						 uint32_t shot_count,
						 const volatile sig_atomic_t *is_stopped);

/* The image itself. */
void crash_verdict_image(struct crash_life *self, const struct crash_shot *shot,
						 struct crash_file *file);

#endif
