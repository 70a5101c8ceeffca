/*-------------------------------------------------------------------------
 *
 * whitebox.h
 *      What only the simulator can see: disks, stores, answers in the making.
 *
 *     W1 dot unique    a dot stands for one (key, request, value), for ever;
 *                      and what a record says of its object is true
 *     W2 ack durable   when a write's OK leaves a node, W disks hold it, or
 *                      what replaced it
 *     W3 context sane  row clocks cover their own version and no other row's
 *     W4 in flight     at the end nothing is left in flight; all that requests
 *                      hold is counted, and bounded (finish.c, simnode.c)
 *     W5 reaped        what owners remove, all of them know, no hint or frame
 *                      could bring it back, and nothing does
 *     W6 corrupt       a damaged record is never "not found"
 *     W7 committed     what an owner answers to a READ is on its disk
 *     W8 owners say no "not found" rests on owners only (simread.c)
 *     W9 hints         as many are counted as are on disk, and no more
 *                      than hints_max (simnode.c)
 *     W10 left         no attempt begins to act after its client has left it
 *     C5 bound         no write is two rows, so there are never more rows than
 *                      writers who had not read each other
 *     C6 converged     at the end all owners' records are equal
 *     C7 trees         ... and so are their hashes of each cell, which are
 *                      those of the records
 *     C8 placement     no record on a node that is not an owner
 *     C13 reaped       at the end nothing is left of what is dead for the grace
 *     C11 answered     a request that arrived is answered in its time
 *     drift            LMDB has, and says, what the model does (simreal.h)
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_WHITEBOX_H
#define DYN_TESTS_WHITEBOX_H

#include "model/object.h"
#include "tests/sim/world.h"

enum
{
	DYN_WHITEBOX_WHY = 160 /* bytes of an explanation */
};

/* The name of the bucket that all keys live in. */
#define DYN_SIM_BUCKET "sim"

/* The rule of a difference that is a damaged record. */
#define DYN_WHITEBOX_DAMAGED "C6 (damaged)"

/* Numbers to bytes and back: key number k is "key-k". */
struct dyn_slice dyn_sim_key(uint32_t key, char buffer[32]);
struct dyn_record_key dyn_sim_record_key(uint32_t key, char buffer[32]);

/* The number of a key; false when it is none of ours. */
bool dyn_sim_key_number(struct dyn_slice key, uint32_t *number);

/* The value of a vid: starts with both numbers, the rest follows from them. */
struct dyn_slice dyn_sim_value(const struct dyn_world *world, uint32_t key,
							   uint32_t vid, uint8_t *buffer);
/* The vid of a value of this key; false when nobody could have written it. */
bool dyn_sim_vid(const struct dyn_world *world, uint32_t key,
				 struct dyn_slice value, uint32_t *vid);

struct dyn_whitebox *dyn_whitebox_new(void);
void dyn_whitebox_free(struct dyn_whitebox **self);

/* A STORE effect leaves a core. */
void dyn_whitebox_store(struct dyn_world *world, uint32_t node,
						const struct dyn_effect *effect);

/* A SEND effect leaves a core: objects that replicas will hold. */
void dyn_whitebox_send(struct dyn_world *world, uint32_t node,
					   struct dyn_slice frame);

/* A REPLY effect leaves a core. */
void dyn_whitebox_reply(struct dyn_world *world, uint32_t node, uint64_t route,
						struct dyn_slice frame);

/* On how many owners' disks is this write held, or replaced?  takers_only:
 * of nodes that stored a version of it themselves, so that they know its
 * request, and not just what replaced it. */
uint32_t dyn_whitebox_holders(const struct dyn_world *world, uint32_t write,
							  bool takers_only);

/* Is a version of this write live on any disk? */
bool dyn_whitebox_is_stored(const struct dyn_world *world, uint32_t write);

/* The residue of history.h, by the context of `by` against the dots of the
 * version: of this world. */
bool dyn_whitebox_is_residue(void *world, uint32_t key, uint32_t vid,
							 uint32_t by);

/* An object that a client was given: W3. */
void dyn_whitebox_object(struct dyn_world *world, uint32_t key,
						 const struct dyn_object *object);

/* The first difference between the disks that must not be there at the end
 * (C6: all owners hold the same versions; C8: nobody else holds anything, and
 * no hints are left): its rule, and where it is. NULL when there is none. */
const char *dyn_whitebox_unequal(struct dyn_world *world, uint32_t key,
								 char why[DYN_WHITEBOX_WHY]);

/* C13: does an owner hold it as deleted or expired, since some time? */
bool dyn_whitebox_is_dead(struct dyn_world *world, uint32_t key);

/* C7, of all disks. */
void dyn_whitebox_trees(struct dyn_world *world);

/* The real store of a node has said something else than the model. */
void dyn_whitebox_drift(struct dyn_world *world, uint32_t node);

/* What is live on the first owner that holds the key. */
void dyn_whitebox_live(struct dyn_world *world, uint32_t key,
					   struct dyn_vids *live);

/* W6: this node's own answer to a READ sent at this time was "not found". */
void dyn_whitebox_absent(struct dyn_world *world, uint32_t node, uint32_t key,
						 uint64_t asked_ms);

/* Which nodes own the key; false before the cluster is formed. */
bool dyn_whitebox_owners(const struct dyn_world *world, uint32_t key,
						 bool owners[DYN_SIM_NODES_MAX]);

#endif
