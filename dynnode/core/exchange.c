#include "core/exchange.h"

#include "core/call.h"
#include "core/cluster.h"
#include "core/descent.h"
#include "core/outbox.h"
#include "core/peer.h"
#include "core/verified.h"

enum
{
	PAUSE_PART = 20, /* of anti_entropy_ms */
	PAUSE_MIN_MS = 20,
	INTERVAL_ASKED_MS = 5000, /* of rounds that are begun when asked only */
	BATCH_FIRST = 8
};

static const char *const state_names[] = {
	[DYN_DESCENT_IDLE] = "idle",
	[DYN_DESCENT_PARTITIONS] = "partitions",
	[DYN_DESCENT_CELLS] = "cells",
	[DYN_DESCENT_BRANCHES] = "branches",
	[DYN_DESCENT_LEAVES] = "leaves",
	[DYN_DESCENT_LEAVES_AGAIN] = "leaves again",
	[DYN_DESCENT_LISTING] = "lists",
	[DYN_DESCENT_REPAIRING] = "repair",
};

/* --------------------------------------------------------------- the clock */

/* Somewhere between 3/4 and 5/4 of the interval: nodes that were started
 * together must not go on together. */
static uint64_t
next_round_at(struct dyn_node *node)
{
	uint64_t interval_ms = node->config.anti_entropy_ms;
	uint64_t jitter = dyn_random_next(&node->random) % (interval_ms / 2 + 1);

	return node->now_ms + interval_ms - interval_ms / 4 + jitter;
}

static uint64_t
pause_ms(const struct dyn_node *node)
{
	uint64_t interval_ms = node->config.anti_entropy_ms;
	uint64_t pause;

	if (interval_ms == DYN_ANTI_ENTROPY_NEVER)
		interval_ms = INTERVAL_ASKED_MS;
	pause = interval_ms / PAUSE_PART;

	return pause > PAUSE_MIN_MS ? pause : PAUSE_MIN_MS;
}

void
dyn_descent_step(struct dyn_node *node, struct dyn_descent *self,
				 enum dyn_descent_state state)
{
	self->state = state;
	self->pausing = false;
	self->serial = ++node->serial_next;
	self->at_ms = node->now_ms + 2 * (uint64_t) node->config.request_timeout_ms;
}

void
dyn_descent_pause(struct dyn_node *node, struct dyn_descent *self,
				  enum dyn_descent_state state)
{
	self->state = state;
	self->pausing = true;
	self->serial = 0;
	self->at_ms = node->now_ms + pause_ms(node);
}

/* ------------------------------------------------------------------ the end */

static void
free_round(struct dyn_descent *self)
{
	if (self->round == NULL)
		return;
	dyn_arena_destroy(&self->round->page_arena);
	dyn_arena_destroy(&self->round->key_arena);
	dyn_memory_give(self->round->keys);
	dyn_memory_give(self->round);
	self->round = NULL;
}

void
dyn_descent_end(struct dyn_node *node, struct dyn_descent *self,
				enum dyn_status status)
{
	free_round(self);
	self->state = DYN_DESCENT_IDLE;
	self->pausing = false;
	self->serial = 0;
	self->last = status;
	self->ended_at_ms = node->now_ms;
	self->at_ms = self->again ? node->now_ms : next_round_at(node);
	self->again = false;
	if (status != DYN_STATUS_OK)
		dyn_count(node, exchanges_given_up);
}

struct dyn_descent *
dyn_descent_find(struct dyn_node *node, uint64_t serial, uint32_t *peer_index)
{
	for (uint32_t i = 0; serial != 0 && i < node->peer_count; i++)
		if (node->descents[i] != NULL && node->descents[i]->serial == serial)
		{
			*peer_index = i;
			return node->descents[i];
		}
	return NULL;
}

enum dyn_status
dyn_descent_may_go_on(const struct dyn_node *node,
					  const struct dyn_descent *self, uint32_t peer_index)
{
	if (!dyn_peer_is_reachable(node, (int32_t) peer_index))
		return DYN_STATUS_NO_QUORUM;
	/* What is missing here is no difference. */
	if (node->progress.in_doubt ||
		(self->round != NULL &&
		 self->round->building_begun != node->building.begun))
		return DYN_STATUS_BUILDING;
	if (!node->writable || !node->peers[peer_index]->writable)
		return DYN_STATUS_FULL;
	if (self->round != NULL &&
		self->round->ring_digest != node->cluster.ring_digest)
		return DYN_STATUS_NOT_OWNER;
	return DYN_STATUS_OK;
}

void
dyn_descent_ask(struct dyn_node *node, const struct dyn_descent *self,
				uint32_t peer_index, const struct dyn_call_kind *kind,
				const ProtobufCMessage *message)
{
	struct dyn_call *call = dyn_call_new(node, peer_index, kind);
	uint32_t timeout_ms = node->config.request_timeout_ms;
	struct dyn_call_item item = { .serial = self->serial,
								  .deadline_ms = node->now_ms + timeout_ms };

	dyn_call_add(call, &item);
	node->counters[DYN_COUNT_exchange_bytes] +=
		DYN_ENVELOPE_SIZE + protobuf_c_message_get_packed_size(message);
	dyn_outbox_send(node, peer_index, kind->type, call->correlation, timeout_ms,
					message);
	dyn_call_await(node, call);
}

void
dyn_descent_lost(struct dyn_node *node, const struct dyn_call_item *item,
				 enum dyn_status status)
{
	uint32_t peer_index;
	struct dyn_descent *self =
		dyn_descent_find(node, item->serial, &peer_index);

	if (self != NULL)
		dyn_descent_end(node, self,
						status != DYN_STATUS_OK ? status
												: DYN_STATUS_NO_QUORUM);
}

/* ------------------------------------------------------------------- rounds */

static void
begin_round(struct dyn_node *node, struct dyn_descent *self,
			uint32_t peer_index)
{
	const struct dyn_node_id *peer = &node->peers[peer_index]->id;
	const struct dyn_ring *ring = &node->cluster.ring;
	struct dyn_round *round = dyn_memory_take(sizeof(*round));

	self->round = round;
	dyn_arena_init(&round->page_arena, dyn_memory_allocator(), 16 * 1024);
	dyn_arena_init(&round->key_arena, dyn_memory_allocator(), 16 * 1024);
	round->begun_at_ms = node->now_ms;
	round->ring_digest = node->cluster.ring_digest;
	round->building_begun = node->building.begun;
	round->batch_max = BATCH_FIRST;
	for (uint16_t p = 0; p < ring->partition_count; p++)
		if (dyn_cluster_own_slot(node, p) >= 0 &&
			dyn_building_answers(node, p) && dyn_ring_find(ring, p, peer) >= 0)
			round->nodes[round->node_count++] = p;
	if (round->node_count == 0)
	{
		dyn_descent_end(node, self, DYN_STATUS_OK);
		return;
	}
	dyn_count(node, exchanges);
	dyn_descent_compare(node, self, DYN_DESCENT_PARTITIONS);
}

static void
wake(struct dyn_node *node, struct dyn_descent *self, uint32_t peer_index)
{
	enum dyn_status status = dyn_descent_may_go_on(node, self, peer_index);

	if (self->state == DYN_DESCENT_IDLE && status != DYN_STATUS_OK)
		self->at_ms = next_round_at(node);
	else if (self->state == DYN_DESCENT_IDLE)
		begin_round(node, self, peer_index);
	else if (!self->pausing)
		dyn_descent_end(node, self, DYN_STATUS_TIMEOUT);
	else if (status != DYN_STATUS_OK)
		dyn_descent_end(node, self, status);
	else if (self->state == DYN_DESCENT_REPAIRING)
		dyn_descent_repair(node, self, peer_index);
	else
		dyn_descent_compare(node, self, self->state);
}

bool
dyn_exchange_wants(const struct dyn_node *node, uint32_t peer_index)
{
	const struct dyn_descent *self = node->descents[peer_index];

	return self != NULL && self->state >= DYN_DESCENT_LISTING;
}

/* Of each pair of nodes the one with the lesser id asks. */
static bool
is_mine_to_ask(const struct dyn_node *node, uint32_t peer_index)
{
	return dyn_peer_is_reachable(node, (int32_t) peer_index) &&
		   dyn_node_id_compare(&node->id, &node->peers[peer_index]->id) < 0;
}

void
dyn_exchange_tick(struct dyn_node *node)
{
	if (!node->cluster.formed ||
		(node->config.anti_entropy_ms == DYN_ANTI_ENTROPY_NEVER &&
		 !node->exchange_asked))
		return;
	for (uint32_t i = 0; i < node->peer_count; i++)
	{
		struct dyn_descent *self = node->descents[i];

		if (self == NULL && is_mine_to_ask(node, i))
		{
			self = node->descents[i] = dyn_memory_take(sizeof(*self));
			self->at_ms = next_round_at(node);
		}
		if (self == NULL || self->at_ms > node->now_ms)
			continue;
		/* Somebody else may live at this address by now. */
		if (self->state == DYN_DESCENT_IDLE && !is_mine_to_ask(node, i))
			self->at_ms = next_round_at(node);
		else
			wake(node, self, i);
	}
}

/* Is there a partition, this one or any, that both own? */
static bool
share(const struct dyn_node *node, uint32_t peer_index, int32_t partition)
{
	const struct dyn_ring *ring = &node->cluster.ring;
	const struct dyn_node_id *peer = &node->peers[peer_index]->id;

	for (uint16_t p = 0; p < ring->partition_count; p++)
		if ((partition < 0 || p == partition) &&
			dyn_cluster_own_slot(node, p) >= 0 &&
			dyn_ring_find(ring, p, peer) >= 0)
			return true;
	return false;
}

uint32_t
dyn_exchange_ask(struct dyn_node *node, int32_t partition)
{
	uint32_t count = 0;

	node->exchange_asked = true;
	for (uint32_t i = 0; i < node->peer_count; i++)
	{
		struct dyn_descent *self = node->descents[i];

		if (!is_mine_to_ask(node, i) || !share(node, i, partition))
			continue;
		if (self == NULL)
			self = node->descents[i] = dyn_memory_take(sizeof(*self));
		if (self->state == DYN_DESCENT_IDLE)
			self->at_ms = node->now_ms;
		else
			self->again = true;
		count++;
	}
	return count;
}

uint64_t
dyn_exchange_deadline(const struct dyn_node *node)
{
	uint64_t deadline = UINT64_MAX;

	for (uint32_t i = 0; i < node->peer_count; i++)
		if (node->descents[i] != NULL && node->descents[i]->at_ms < deadline)
			deadline = node->descents[i]->at_ms;
	return deadline;
}

void
dyn_exchange_destroy(struct dyn_node *node)
{
	for (uint32_t i = 0; i < node->peer_count; i++)
	{
		if (node->descents[i] != NULL)
			free_round(node->descents[i]);
		dyn_memory_give(node->descents[i]);
	}
	dyn_verified_destroy(node);
}

const char *
dyn_exchange_state(const struct dyn_node *node, int32_t peer_index,
				   enum dyn_status *last, uint64_t *ended_at_ms)
{
	const struct dyn_descent *self =
		peer_index >= 0 ? node->descents[peer_index] : NULL;

	*last = self != NULL ? self->last : DYN_STATUS_OK;
	*ended_at_ms = self != NULL ? self->ended_at_ms : 0;
	if (self == NULL)
		return "asked by it";
	return self->pausing ? "pausing" : state_names[self->state];
}
