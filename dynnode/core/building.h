/*-------------------------------------------------------------------------
 *
 * building.h
 *      Partitions whose records this node cannot vouch for yet.
 *
 * A store that was emptied, or went back to an older state, lacks records that
 * this node once said it holds.  If it answered reads, "not found" among them,
 * what others have acknowledged would disappear.  So its partitions are
 * BUILDING: reads of all kinds are answered with that status, which counts for
 * nothing, while writes and hints are taken and count; until all records have
 * been copied from enough other owners (filling.c).
 *
 *     NOT       an owner like any other
 *     KEEP      what is there stays; what others hold is merged into it
 *     DISCARD   what is there may hold what was deleted and reaped everywhere
 *               else: it is removed first, and meanwhile no write is taken
 *
 * A partition in which this node owns nothing has hints at most: KEEP means
 * nothing there, DISCARD removes them.
 *
 * It is on disk (the meta record "building"), so a restart goes on with it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_BUILDING_H
#define DYN_CORE_BUILDING_H

#include "model/types.h"

struct dyn_node;

enum dyn_building_mode
{
	DYN_BUILDING_NOT,
	DYN_BUILDING_KEEP,
	DYN_BUILDING_DISCARD
};

/* Of one partition. */
struct dyn_building_part
{
	uint8_t mode;
	uint8_t pulled; /* by slot: all that its owner can tell is here */
	uint8_t clean;  /* ... and that owner vouches for it, nothing left out */
	uint32_t turn;  /* counts how often it began: older copies are void */
};

struct dyn_building
{
	bool all;         /* everything this node is going to own: a new disk */
	bool dirty;       /* to be written with this step */
	uint64_t token;   /* of the latest commit of it; 0 = none */
	uint32_t count;   /* partitions that are not NOT */
	uint64_t begun;   /* counts all beginnings */
	uint64_t discard; /* serial of the page that is being removed; 0 = none */
	uint16_t discard_from;           /* the partition to begin with */
	struct dyn_building_part *parts; /* Q; NULL while not formed */
};

/*
 * From now on, whatever was copied before.  DISCARD stays DISCARD.  Takes
 * effect at once, and is on disk with the commit of this step.
 */
void dyn_building_begin(struct dyn_node *node, uint16_t partition,
						enum dyn_building_mode mode);

/* All partitions that this node owns. */
void dyn_building_begin_all(struct dyn_node *node, enum dyn_building_mode mode);

/* Is an own partition BUILDING, in either mode? */
bool dyn_building_is(const struct dyn_node *node, uint16_t partition);

/* What was there has been removed: from DISCARD to KEEP, or NOT. */
void dyn_building_discarded(struct dyn_node *node, uint16_t partition);

/* The owner of this slot has told all; its word counts when it is clean.
 * Ends the building when enough have. */
void dyn_building_pulled(struct dyn_node *node, uint16_t partition,
						 uint8_t slot, bool clean);

/* ---- what a partition's state means for others' requests ---- */

/* May a read be answered from what is here?  Not when something is known to be
 * missing, or might be (progress.h). */
bool dyn_building_answers(const struct dyn_node *node, uint16_t partition);

/* May something be written?  Not while DISCARD goes on. */
bool dyn_building_takes(const struct dyn_node *node, uint16_t partition);

/* May another owner copy what is here?  It knows that it may not be all. */
bool dyn_building_tells(const struct dyn_node *node, uint16_t partition);

/* ---- life ---- */

/* A node without a store takes over a member's place: all is to be built. */
void dyn_building_take_over(struct dyn_node *node);

/* The cluster is known now (and at boot, with the record): false = that is
 * damaged. */
bool dyn_building_formed(struct dyn_node *node, const struct dyn_slice *record);

/* The step's end; its commit's outcome; room again. */
void dyn_building_flush(struct dyn_node *node);
void dyn_building_stored(struct dyn_node *node, uint64_t token,
						 enum dyn_status status);
void dyn_building_writable(struct dyn_node *node);
void dyn_building_destroy(struct dyn_node *node);

#endif
