/*-------------------------------------------------------------------------
 *
 * exchange.h
 *      Anti-entropy: owners compare their hash trees and mend what differs.
 *
 * (Dynamo 2007, section 4.7.)  Every anti_entropy_ms a node goes through a
 * round with each other owner of its partitions whose id is greater, so each
 * pair does it once.  A round descends the tree of model/tree.h:
 *
 *     partitions   one frame with the hash of each; most rounds end here
 *     (pause)
 *     cells        of the partitions that differed
 *     branches     of a few of the cells that still do
 *     leaves       of those branches
 *     (pause)
 *     leaves       again: what is being written has arrived meanwhile
 *     lists        of keys and hashes in these leaves, cell by cell
 *     repair       of the keys that differ, both ways (repair.h)
 *
 * then the next few cells, until all have been looked at.  Writes in flight
 * make trees differ all the time; they must differ at each look, and the key's
 * two hashes must stand still from the list to the repair.
 *
 * The peer answers from its own tree and lists and remembers nothing
 * (exchange_answer.c), so a round that ends early leaves nothing behind.  One
 * step is under way for each peer, its size is bounded, and its time, too.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_EXCHANGE_H
#define DYN_CORE_EXCHANGE_H

#include "core/repair.h"
#include "core/request.h"
#include "core/state.h"
#include "model/message.h"
#include "model/tree.h"

enum
{
	DYN_EXCHANGE_NODES_MAX = 4096 /* compared at once */
};

/* Levels on the wire. */
enum dyn_exchange_level
{
	DYN_EXCHANGE_PARTITIONS,
	DYN_EXCHANGE_CELLS,
	DYN_EXCHANGE_BRANCHES,
	DYN_EXCHANGE_LEAVES,
	DYN_EXCHANGE_LEVEL_COUNT
};

/* ---- the one that asks ---- */

void dyn_exchange_tick(struct dyn_node *node);
uint64_t dyn_exchange_deadline(const struct dyn_node *node);
void dyn_exchange_destroy(struct dyn_node *node);

/* A TREE or SCANNED event that no request waits for. */
void dyn_exchange_tree(struct dyn_node *node, const struct dyn_event *event);
void dyn_exchange_scanned(struct dyn_node *node, const struct dyn_event *event);

void dyn_exchange_repaired(struct dyn_node *node, uint64_t serial,
						   const struct dyn_repair_outcome *outcome);

/* Begin a round now with each peer that this partition (-1 = any) is shared
 * with, if it is this node that begins them; how many. */
uint32_t dyn_exchange_ask(struct dyn_node *node, int32_t partition);

/* Is there something to be repaired, as far as is known? */
bool dyn_exchange_wants(const struct dyn_node *node, uint32_t peer_index);

/* How it goes with a peer: "idle", "leaves", ...; how its last round ended,
 * and when (0 = none has). */
const char *dyn_exchange_state(const struct dyn_node *node, int32_t peer_index,
							   enum dyn_status *last, uint64_t *ended_at_ms);

/* ---- the one that answers: exchange_answer.c ---- */

extern const struct dyn_request_kind dyn_tree_kind;
extern const struct dyn_request_kind dyn_list_kind;

void dyn_exchange_answer_tree(struct dyn_node *node,
							  struct dyn_request *request,
							  const struct dyn_node_id *asker,
							  const Dyn__TreeRequest *message);
void dyn_exchange_answer_list(struct dyn_node *node,
							  struct dyn_request *request,
							  const Dyn__ListRequest *message);

/* ---- both ---- */

/* Ask the store for the hashes of these nodes; of all cells of partitions. */
void dyn_exchange_read_tree(struct dyn_node *node, uint64_t token,
							enum dyn_exchange_level level,
							const uint32_t *nodes, uint32_t count);

/* The hashes of the nodes out of those that were read: those of partitions
 * are folded.  False when there are not as many as there should be. */
bool dyn_exchange_take_tree(const struct dyn_node *node,
							const struct dyn_event *event,
							enum dyn_exchange_level level, uint32_t count,
							uint64_t *hashes);

/* The partition that a node of this level is in. */
uint16_t dyn_exchange_partition(const struct dyn_node *node,
								enum dyn_exchange_level level, uint32_t number);

#endif
