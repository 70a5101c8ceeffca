/*-------------------------------------------------------------------------
 *
 * descent.h
 *      A round of anti-entropy with one peer (exchange.h), from within.
 *
 * exchange.c decides when rounds begin and notes how they end, descent.c goes
 * down the tree, descent_list.c through the lists of keys, whose differences
 * repair.c mends.
 *
 * Each step has a serial number of its own.  What comes under another one
 * (from the store, the peer, a repair) is late and finds nothing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_DESCENT_H
#define DYN_CORE_DESCENT_H

#include "core/call.h"
#include "core/exchange.h"
#include "core/listing.h"

enum dyn_descent_state
{
	DYN_DESCENT_IDLE,
	DYN_DESCENT_PARTITIONS, /* from here on in the order of a round */
	DYN_DESCENT_CELLS,
	DYN_DESCENT_BRANCHES,
	DYN_DESCENT_LEAVES,
	DYN_DESCENT_LEAVES_AGAIN,
	DYN_DESCENT_LISTING,
	DYN_DESCENT_REPAIRING
};

/* A place in a cell, with memory of its own. */
struct dyn_cursor
{
	uint8_t bucket[DYN_BUCKET_SIZE_MAX];
	uint8_t key[DYN_KEY_SIZE_MAX];
	struct dyn_bound at;
};

/* What a round holds in memory. */
struct dyn_round
{
	uint64_t begun_at_ms;
	uint64_t read_at_ms; /* own hashes */
	uint64_t ring_digest;
	uint64_t building_begun;
	/* The nodes being compared. */
	uint32_t nodes[DYN_EXCHANGE_NODES_MAX];
	uint64_t hashes[DYN_EXCHANGE_NODES_MAX];
	uint32_t node_count;
	/* Those that differ and are still to be looked at, level by level: cells
	 * and branches from `next` on; leaves wait for their second look. */
	uint16_t cells[DYN_CELL_COUNT];
	uint32_t cell_count;
	uint32_t cell_next;
	uint32_t branches[DYN_EXCHANGE_NODES_MAX];
	uint32_t branch_count;
	uint32_t branch_next;
	uint32_t leaves[DYN_EXCHANGE_NODES_MAX];
	uint32_t leaf_count;
	/* After the second look the nodes are the leaves that differ; those of
	 * one cell are listed together: list_first up to list_next. */
	uint32_t list_first;
	uint32_t list_next;
	struct dyn_leaves listed;
	struct dyn_cursor after;
	struct dyn_cursor until; /* of the page of the list under way */
	bool page_is_last;
	struct dyn_list own;
	struct dyn_arena page_arena;
	/* Keys that differ, until they are enough for a batch. */
	struct dyn_repair_key *keys;
	uint32_t key_count;
	uint32_t key_capacity;
	uint32_t key_next;
	uint32_t batch_max;
	uint32_t waits; /* for credit, one after the other */
	struct dyn_arena key_arena;
};

struct dyn_descent
{
	enum dyn_descent_state state;
	bool pausing;    /* the state begins at at_ms */
	bool again;      /* another round is to follow at once */
	uint64_t serial; /* of the step under way: all else is late */
	uint64_t at_ms;  /* when the step begins, or is given up */
	enum dyn_status last;
	uint64_t ended_at_ms;
	struct dyn_round *round; /* NULL while idle */
};

/* A new step, to be done with before at_ms. */
void dyn_descent_step(struct dyn_node *node, struct dyn_descent *self,
					  enum dyn_descent_state state);

/* The same after a pause. */
void dyn_descent_pause(struct dyn_node *node, struct dyn_descent *self,
					   enum dyn_descent_state state);

/* The round is over: OK = all that differed was looked at. */
void dyn_descent_end(struct dyn_node *node, struct dyn_descent *self,
					 enum dyn_status status);

/* Of the step with this serial, or NULL: it is late. */
struct dyn_descent *dyn_descent_find(struct dyn_node *node, uint64_t serial,
									 uint32_t *peer_index);

/* May a round begin, or go on?  OK, or why not. */
enum dyn_status dyn_descent_may_go_on(const struct dyn_node *node,
									  const struct dyn_descent *self,
									  uint32_t peer_index);

/* A frame whose answer this step waits for. */
void dyn_descent_ask(struct dyn_node *node, const struct dyn_descent *self,
					 uint32_t peer_index, const struct dyn_call_kind *kind,
					 const ProtobufCMessage *message);

/* It will not come. */
void dyn_descent_lost(struct dyn_node *node, const struct dyn_call_item *item,
					  enum dyn_status status);

/* Compare the round's nodes. */
void dyn_descent_compare(struct dyn_node *node, struct dyn_descent *self,
						 enum dyn_descent_state state);

/* What is still to be compared, or the end. */
void dyn_descent_go_on(struct dyn_node *node, struct dyn_descent *self,
					   uint32_t peer_index);

/* The nodes are leaves that differed twice: list the keys in them. */
void dyn_descent_list(struct dyn_node *node, struct dyn_descent *self,
					  uint32_t peer_index);

/* After a pause for want of credit. */
void dyn_descent_repair(struct dyn_node *node, struct dyn_descent *self,
						uint32_t peer_index);

#endif
