/*
 * Anti-entropy: down the tree, to the leaves that differ.
 */
#include "core/descent.h"

#include "core/verified.h"

static const struct dyn_call_kind tree_call;

enum
{
	/* How many nodes have children that fit one comparison. */
	PARENTS_MAX = DYN_EXCHANGE_NODES_MAX / DYN_TREE_FANOUT
};

static enum dyn_exchange_level
level_of(enum dyn_descent_state state)
{
	switch (state)
	{
		case DYN_DESCENT_PARTITIONS:
			return DYN_EXCHANGE_PARTITIONS;
		case DYN_DESCENT_CELLS:
			return DYN_EXCHANGE_CELLS;
		case DYN_DESCENT_BRANCHES:
			return DYN_EXCHANGE_BRANCHES;
		case DYN_DESCENT_IDLE:
		case DYN_DESCENT_LEAVES:
		case DYN_DESCENT_LEAVES_AGAIN:
		case DYN_DESCENT_LISTING:
		case DYN_DESCENT_REPAIRING:
			break;
	}
	return DYN_EXCHANGE_LEAVES;
}

void
dyn_descent_compare(struct dyn_node *node, struct dyn_descent *self,
					enum dyn_descent_state state)
{
	dyn_descent_step(node, self, state);
	self->round->read_at_ms = node->now_ms;
	dyn_exchange_read_tree(node, self->serial, level_of(state),
						   self->round->nodes, self->round->node_count);
}

void
dyn_exchange_tree(struct dyn_node *node, const struct dyn_event *event)
{
	uint32_t peer_index;
	struct dyn_descent *self =
		dyn_descent_find(node, event->tree.token, &peer_index);
	Dyn__TreeRequest message = DYN__TREE_REQUEST__INIT;
	struct dyn_round *round;
	enum dyn_status status;

	if (self == NULL)
		return;
	round = self->round;
	status = event->tree.status;
	if (status == DYN_STATUS_OK)
		status = dyn_descent_may_go_on(node, self, peer_index);
	if (status == DYN_STATUS_OK &&
		!dyn_exchange_take_tree(node, event, level_of(self->state),
								round->node_count, round->hashes))
		status = DYN_STATUS_IO_ERROR;
	if (status != DYN_STATUS_OK)
	{
		dyn_descent_end(node, self, status);
		return;
	}
	message.level = level_of(self->state);
	message.n_nodes = message.n_hashes = round->node_count;
	message.nodes = round->nodes;
	message.hashes = round->hashes;
	dyn_descent_ask(node, self, peer_index, &tree_call, &message.base);
}

/* Forget the nodes that the peer cannot compare; false when the answer is not
 * sound. */
static bool
drop_building(struct dyn_round *round, const Dyn__TreeReply *reply)
{
	uint32_t count = 0;
	size_t j = 0;

	for (uint32_t i = 0; i < round->node_count; i++)
		if (j < reply->n_building && reply->building[j] == round->nodes[i])
			j++;
		else
			round->nodes[count++] = round->nodes[i];
	round->node_count = count;
	return j == reply->n_building;
}

/* Keep of the nodes those that differ; false when the answer is not sound. */
static bool
keep_differing(struct dyn_round *round, const Dyn__TreeReply *reply)
{
	uint32_t i = 0;

	for (size_t j = 0; j < reply->n_differing; j++)
	{
		while (i < round->node_count && round->nodes[i] < reply->differing[j])
			i++;
		if (i == round->node_count || round->nodes[i] != reply->differing[j])
			return false;
		i++;
	}
	for (size_t j = 0; j < reply->n_differing; j++)
		round->nodes[j] = reply->differing[j];
	round->node_count = (uint32_t) reply->n_differing;
	return true;
}

/* The nodes become their children, all of them. */
static void
go_down(struct dyn_round *round, uint32_t fanout)
{
	uint32_t count = round->node_count;

	for (uint32_t i = count; i-- > 0;)
		for (uint32_t j = fanout; j-- > 0;)
			round->nodes[i * fanout + j] = round->nodes[i] * fanout + j;
	round->node_count = count * fanout;
}

/* Partitions among the nodes before the answer, none of which differs. */
static void
note_equal(struct dyn_node *node, uint32_t peer_index, struct dyn_round *round,
		   enum dyn_exchange_level level, const Dyn__TreeReply *reply)
{
	const struct dyn_node_id *peer = &node->peers[peer_index]->id;
	size_t j = 0;

	for (uint32_t i = 0; i < round->node_count;)
	{
		uint16_t partition =
			dyn_exchange_partition(node, level, round->nodes[i]);
		bool equal = true;

		for (;
			 i < round->node_count &&
			 dyn_exchange_partition(node, level, round->nodes[i]) == partition;
			 i++)
			if (j < reply->n_differing &&
				reply->differing[j] == round->nodes[i])
			{
				equal = false;
				j++;
			}
		if (!equal)
			continue;
		if (level == DYN_EXCHANGE_PARTITIONS)
			dyn_count(node, exchange_roots_equal);
		dyn_verified_note(node, partition, peer, round->read_at_ms);
	}
}

/* ------------------------------------------------------------- the descent */

/* Leaves are gathered until so many more might not fit. */
static bool
there_is_room(const struct dyn_round *round)
{
	return round->leaf_count <= DYN_EXCHANGE_NODES_MAX - DYN_TREE_FANOUT;
}

static void
compare_leaves(struct dyn_node *node, struct dyn_descent *self)
{
	struct dyn_round *round = self->round;
	uint32_t max =
		(DYN_EXCHANGE_NODES_MAX - round->leaf_count) / DYN_TREE_FANOUT;

	round->node_count = 0;
	while (round->branch_next < round->branch_count && round->node_count < max)
		round->nodes[round->node_count++] =
			round->branches[round->branch_next++];
	go_down(round, DYN_TREE_FANOUT);
	dyn_descent_compare(node, self, DYN_DESCENT_LEAVES);
}

static void
compare_branches(struct dyn_node *node, struct dyn_descent *self)
{
	struct dyn_round *round = self->round;

	round->node_count = 0;
	while (round->cell_next < round->cell_count &&
		   round->node_count < PARENTS_MAX)
		round->nodes[round->node_count++] = round->cells[round->cell_next++];
	go_down(round, DYN_TREE_FANOUT);
	dyn_descent_compare(node, self, DYN_DESCENT_BRANCHES);
}

/* One pause for as many leaves as possible. */
static void
look_again(struct dyn_node *node, struct dyn_descent *self)
{
	struct dyn_round *round = self->round;

	for (uint32_t i = 0; i < round->leaf_count; i++)
		round->nodes[i] = round->leaves[i];
	round->node_count = round->leaf_count;
	round->leaf_count = 0;
	dyn_descent_pause(node, self, DYN_DESCENT_LEAVES_AGAIN);
}

void
dyn_descent_go_on(struct dyn_node *node, struct dyn_descent *self,
				  uint32_t peer_index)
{
	struct dyn_round *round = self->round;
	enum dyn_status status = dyn_descent_may_go_on(node, self, peer_index);

	if (status != DYN_STATUS_OK)
		dyn_descent_end(node, self, status);
	else if (round->branch_next < round->branch_count && there_is_room(round))
		compare_leaves(node, self);
	else if (round->cell_next < round->cell_count && there_is_room(round))
		compare_branches(node, self);
	else if (round->leaf_count != 0)
		look_again(node, self);
	else
		dyn_descent_end(node, self, DYN_STATUS_OK);
}

static void
keep_cells(struct dyn_round *round)
{
	for (uint32_t i = 0; i < round->node_count; i++)
		round->cells[i] = (uint16_t) round->nodes[i];
	round->cell_count = round->node_count;
}

static void
keep_branches(struct dyn_round *round)
{
	for (uint32_t i = 0; i < round->node_count; i++)
		round->branches[i] = round->nodes[i];
	round->branch_count = round->node_count;
	round->branch_next = 0;
}

static void
keep_leaves(struct dyn_round *round)
{
	for (uint32_t i = 0; i < round->node_count; i++)
		round->leaves[round->leaf_count++] = round->nodes[i];
}

/* The nodes are those that differ. */
static void
compared(struct dyn_node *node, struct dyn_descent *self, uint32_t peer_index)
{
	struct dyn_round *round = self->round;
	uint32_t count = round->node_count;

	switch (self->state)
	{
		case DYN_DESCENT_PARTITIONS:
			node->counters[DYN_COUNT_exchange_roots_differing] += count;
			if (count == 0)
				break;
			go_down(round, DYN_CELL_COUNT / node->cluster.ring.partition_count);
			dyn_descent_pause(node, self, DYN_DESCENT_CELLS);
			return;
		case DYN_DESCENT_CELLS:
			node->counters[DYN_COUNT_exchange_cells_differing] += count;
			keep_cells(round);
			break;
		case DYN_DESCENT_BRANCHES:
			keep_branches(round);
			break;
		case DYN_DESCENT_LEAVES:
			keep_leaves(round);
			break;
		case DYN_DESCENT_LEAVES_AGAIN:
			node->counters[DYN_COUNT_exchange_leaves_differing] += count;
			dyn_descent_list(node, self, peer_index);
			return;
		case DYN_DESCENT_IDLE:
		case DYN_DESCENT_LISTING:
		case DYN_DESCENT_REPAIRING:
			break;
	}
	dyn_descent_go_on(node, self, peer_index);
}

static void
tree_answered(struct dyn_node *node, const struct dyn_call *call,
			  const ProtobufCMessage *body)
{
	const Dyn__TreeReply *reply = (const Dyn__TreeReply *) body;
	uint64_t serial = call->items[0].serial;
	uint32_t peer_index;
	struct dyn_descent *self = dyn_descent_find(node, serial, &peer_index);
	struct dyn_round *round;

	if (self == NULL)
		return;
	round = self->round;
	if (!drop_building(round, reply))
	{
		dyn_count(node, replies_bad);
		dyn_descent_end(node, self, DYN_STATUS_BAD_REQUEST);
		return;
	}
	if (self->state == DYN_DESCENT_PARTITIONS ||
		self->state == DYN_DESCENT_CELLS)
		note_equal(node, peer_index, round, level_of(self->state), reply);
	if (!keep_differing(round, reply))
	{
		dyn_count(node, replies_bad);
		dyn_descent_end(node, self, DYN_STATUS_BAD_REQUEST);
		return;
	}
	compared(node, self, peer_index);
}

static const struct dyn_call_kind tree_call = { DYN_MESSAGE_TREE,
												DYN_MESSAGE_TREE_REPLY, NULL,
												tree_answered,
												dyn_descent_lost };
