/*-------------------------------------------------------------------------
 *
 * life.h
 *      A store at work until the power fails, recorded.
 *
 * A life begins with no file, or with an image that the life before left.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_CRASH_LIFE_H
#define DYN_TESTS_CRASH_LIFE_H

#include "disk.h"
#include "subject.h"

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

/* The store of this life, not opened yet. */
struct crash_subject crash_life_subject(struct crash_life *self);

#endif
