/*-------------------------------------------------------------------------
 *
 * life.h
 *      A store at work until the power fails, and what it may wake up with.
 *
 * A life begins with no file, or with an image that the life before left.
 * It is recorded; then any number of images are made of it, each with a
 * number, from which its position in the log and all else that is random
 * follow.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_CRASH_LIFE_H
#define DYN_TESTS_CRASH_LIFE_H

#include <signal.h>

#include "disk.h"
#include "subject.h"

/* Image numbers: those from here on are torn within the meta page's sector. */
enum
{
	CRASH_TORN_META = 1000000
};

struct crash_life
{
	uint64_t seed;
	uint32_t number;
	const char *directory;
	bool no_sync;
	bool is_quiet; /* about what it dies of */
	struct crash_load load;
	bool has_start;
	struct crash_file start;
	struct crash_log log;
	char text[CRASH_TEXT_SIZE]; /* what went wrong */
};

/* The first life of a seed. */
void crash_life_init(struct crash_life *self, uint64_t seed,
					 const char *directory);
/* The life after other, from its image, which is in this state. */
void crash_life_follow(struct crash_life *self, const struct crash_life *other,
					   const struct crash_file *image, uint32_t state);
void crash_life_destroy(struct crash_life *self);

/* False and text when the store failed, or wrote past the recorder. */
bool crash_life_record(struct crash_life *self);

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
bool crash_life_judge(struct crash_life *self, struct crash_shot *shots,
					  uint32_t shot_count,
					  const volatile sig_atomic_t *is_stopped);

/* The image itself. */
void crash_life_image(struct crash_life *self, const struct crash_shot *shot,
					  struct crash_file *file);

#endif
