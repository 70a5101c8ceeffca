/*-------------------------------------------------------------------------
 *
 * progress.h
 *      How far each member's store has come, so that it is noticed when one
 *      has gone back.
 *
 * Each node counts on its disk the heartbeats in which it committed records
 * (the meta record "progress"), and tells the count when it is on disk.
 * Everybody remembers everybody's greatest count, in memory, on disk, and in
 * what it tells.  A node that hears of a greater count than its store knows
 * has an older copy of that store: all its partitions are to be built up
 * again (building.h).
 *
 * After a start nobody can know that without having met others.  So a member
 * of a cluster of several is in doubt at first, and answers no reads, until it
 * has met all others; or some, when silence_ms have passed; or nobody, when
 * DYN_ALONE times that has.  As long as it has met nobody it coordinates no
 * writes either.  What was committed between the copy and the second heartbeat
 * after it nobody can miss.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_PROGRESS_H
#define DYN_CORE_PROGRESS_H

#include "model/types.h"

struct dyn_node;

enum
{
	DYN_ALONE = 20 /* times silence_ms: a cluster that nobody else is left of */
};

struct dyn_progress_item
{
	struct dyn_node_id id;
	uint64_t count;
	bool met; /* since this start */
};

struct dyn_progress
{
	bool in_doubt;
	uint64_t doubted_at_ms; /* the start, or when the cluster became known */
	bool is_new;     /* the store: it is no wonder that others know more */
	bool has_more;   /* records have been committed since it was counted */
	bool has_others; /* others' counts have changed since they were stored */
	uint64_t store_at_ms; /* when these are stored at the latest */
	uint64_t own;         /* on disk */
	uint64_t next;        /* being committed */
	uint64_t token;       /* ... with this; 0 = none */
	struct dyn_progress_item others[DYN_MEMBERS_MAX];
	uint32_t other_count;
};

/* False when the record is damaged.  NULL = none. */
bool dyn_progress_boot(struct dyn_node *node, const struct dyn_slice *record);

/* The store knows a cluster already, or takes the place of one that did: is
 * it still as it was? */
void dyn_progress_doubt(struct dyn_node *node);

/* All counts in the order of the ring's members; in the step's memory. */
uint64_t *dyn_progress_tell(struct dyn_node *node);

/* ... as somebody with the same members (cluster.members_digest) told them. */
void dyn_progress_learn(struct dyn_node *node, const uint64_t *counts,
						size_t count);

/* A fellow has told who it is, and what it knows. */
void dyn_progress_met(struct dyn_node *node, const struct dyn_node_id *id);

/* Since this start?  Who has met nobody may have an older copy of its store,
 * and may have to discard what it takes. */
bool dyn_progress_has_met_anybody(const struct dyn_node *node);

/* Records are on disk. */
void dyn_progress_committed(struct dyn_node *node);

void dyn_progress_tick(struct dyn_node *node);
void dyn_progress_stored(struct dyn_node *node, uint64_t token,
						 enum dyn_status status);

#endif
