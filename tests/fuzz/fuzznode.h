/*-------------------------------------------------------------------------
 *
 * fuzznode.h
 *      One node of a formed cluster of three, whose fellows are hostile.
 *
 * The cluster is founded once, by three honest nodes over queues; every input
 * then boots the first of them anew from the records that it stored, and
 * answers its greetings as the others did.  After that whatever comes to it
 * comes from the input.  The store is the simulated one, without delays.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TESTS_FUZZ_FUZZNODE_H
#define TESTS_FUZZ_FUZZNODE_H

#include "core/node.h"
#include "io/store/store.h"
#include "tests/sim/simdisk.h"

enum
{
	FUZZNODE_CALLS_MAX = 32, /* latest questions to fellows */
	FUZZNODE_PEERS = 2
};

/* A question of the node that a fellow may answer. */
struct fuzznode_call
{
	uint32_t peer_index;
	uint8_t type;
	uint64_t correlation;
};

struct fuzznode
{
	struct dyn_simdisk *disk;
	struct dyn_store *store;
	struct dyn_node *node;
	struct dyn_effects effects;
	uint64_t now_ms;
	uint64_t cluster; /* for envelopes */
	struct fuzznode_call calls[FUZZNODE_CALLS_MAX];
	uint32_t call_count; /* ever made; the ring buffer's place */
	/* By the correlations that clients used, 1 and up: answers so far. */
	uint8_t answers[256];
};

/* Up, formed, both fellows connected and greeted. n is 3, or 2: then there
 * are partitions that the node does not own. */
void fuzznode_start(struct fuzznode *self, uint8_t n);
void fuzznode_stop(struct fuzznode *self);

/* One event, its effects, and the invariants. */
void fuzznode_step(struct fuzznode *self, struct dyn_event *event);

/* Let the store answer all that it was asked, and what follows from it. */
void fuzznode_drain(struct fuzznode *self);

/* Time passes; TICKs as the node wants them. */
void fuzznode_sleep(struct fuzznode *self, uint64_t ms);

/* A frame of this type and body, sealed; malloc'ed. */
struct dyn_slice fuzznode_frame(const struct fuzznode *self, uint8_t type,
								uint32_t remaining_ms, uint64_t correlation,
								struct dyn_slice body);

#endif
