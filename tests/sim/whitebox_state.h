/*-------------------------------------------------------------------------
 *
 * whitebox_state.h
 *      What the white box remembers, shared by whitebox.c, whitebox_disks.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_WHITEBOX_STATE_H
#define DYN_TESTS_WHITEBOX_STATE_H

#include "tests/sim/simclient.h"
#include "tests/sim/whitebox.h"

struct dyn_known_dot;

/* The dots of one write of the history. */
struct dyn_write_dots
{
	struct dyn_dot *items;
	uint32_t count;
	uint32_t capacity;
	uint32_t takers; /* nodes that stored a version of it, as bits */
};

struct dyn_whitebox
{
	struct dyn_known_dot *dots;
	struct dyn_write_dots *writes; /* by operation */
	uint32_t write_capacity;
	uint64_t seen[4096]; /* hashes of records looked at lately */
	struct dyn_clock given_up[DYN_SIM_KEYS_MAX]; /* whitebox_reap.c */
	struct dyn_arena arena;
};

/* whitebox_disks.c; W7: the node tells somebody this object. */
void dyn_whitebox_told(struct dyn_world *world, uint32_t node,
					   const struct dyn_object *object);

/* whitebox_disks.c; W1: a write leaves the core, and the hash that is held
 * already keeps its time. */
void dyn_whitebox_held(struct dyn_world *world, uint32_t node,
					   const struct dyn_write *write);

/* whitebox_reap.c; W5: a write leaves the core. */
void dyn_whitebox_reap(struct dyn_world *world, uint32_t node,
					   const struct dyn_write *write);

/* ... a floor is on its way to disk: no older request is under way. */
void dyn_whitebox_floor(struct dyn_world *world, uint32_t node);

/* ... what a node sends: hints are marked with the floor of their keeper. */
void dyn_whitebox_mark(struct dyn_world *world, uint32_t node,
					   const Dyn__ReplicateRequest *request,
					   const Dyn__ReplicateOp *op);

/* Has an owner given it up, with others, as nothing of it is left? */
bool dyn_whitebox_gave_up(const struct dyn_world *world, uint32_t key,
						  struct dyn_dot dot);

/* whitebox_disks.c; W2: the OK of this write leaves the node. */
void dyn_whitebox_acknowledged(struct dyn_world *world, uint32_t node,
							   uint32_t op);

#endif
