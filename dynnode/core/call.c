#include "core/call.h"
#include "core/put_forward.h"

#include "core/coord_put.h"
#include "core/coord_read.h"
#include "core/exchange.h"
#include "core/filling.h"
#include "core/handoff.h"
#include "core/peer.h"
#include "core/repair.h"
#include "core/request.h"

#include <stddef.h>

enum
{
	EVIDENCE_MS = 500
};

struct dyn_call *
dyn_call_new(struct dyn_node *node, uint32_t peer_index,
			 enum dyn_message_type type)
{
	struct dyn_call *self = dyn_memory_take(sizeof(*self));

	self->correlation = ++node->correlation_next;
	self->peer_index = peer_index;
	self->type = type;
	return self;
}

void
dyn_call_add(struct dyn_call *self, const struct dyn_call_item *item)
{
	self->items =
		dyn_memory_reserve(self->items, self->item_count, &self->item_capacity,
						   sizeof(*self->items));
	self->items[self->item_count++] = *item;
}

void
dyn_call_await(struct dyn_node *node, struct dyn_call *self)
{
	uint64_t until_ms = node->now_ms + 1;

	self->sent_at_ms = node->now_ms;
	for (uint32_t i = 0; i < self->item_count; i++)
		if (self->items[i].deadline_ms > until_ms)
			until_ms = self->items[i].deadline_ms;
	HASH_ADD(hh, node->calls, correlation, sizeof(self->correlation), self);
	node->call_count++;
	dyn_timers_set(&node->call_timers, &self->timer, until_ms);
}

static void
end(struct dyn_node *node, struct dyn_call *self)
{
	HASH_DEL(node->calls, self);
	node->call_count--;
	dyn_timers_cancel(&node->call_timers, &self->timer);
	dyn_memory_give(self->items);
	dyn_memory_give(self);
}

static void
lose_repair(struct dyn_node *node, const struct dyn_call *self,
			const struct dyn_call_item *item, enum dyn_status status)
{
	struct dyn_request *request = dyn_request_find(node, item->serial);

	if (status == DYN_STATUS_OK)
		status = DYN_STATUS_NO_QUORUM;
	if (self->type == DYN_MESSAGE_READ)
		dyn_repair_read(node, request, item->op, status, 0,
						(struct dyn_slice){ NULL, 0 });
	else
		dyn_repair_replicated(node, request, item->op, status);
}

/* What one waiting operation is told when no answer comes. */
static void
lose_item(struct dyn_node *node, const struct dyn_call *self,
		  const struct dyn_call_item *item, enum dyn_status status)
{
	struct dyn_request *request = dyn_request_find(node, item->serial);

	if (self->type == DYN_MESSAGE_TREE || self->type == DYN_MESSAGE_LIST)
		dyn_exchange_lost(node, item->serial, status);
	else if (self->type == DYN_MESSAGE_FENCE)
		dyn_reap_fenced(node, item->serial, item->op, NULL);
	else if (self->type == DYN_MESSAGE_REAP)
		dyn_reap_answered(node, item->serial, item->op, NULL);
	if (request == NULL)
		return;
	if (request->type == DYN_REQUEST_HANDOFF)
		dyn_handoff_answer(node, request, item->op, DYN_STATUS_UNKNOWN);
	else if (request->type == DYN_REQUEST_REPAIR)
		lose_repair(node, self, item, status);
	else if (request->type == DYN_REQUEST_FILL)
		dyn_filling_lost(node, request, status);
	else if (self->type == DYN_MESSAGE_READ)
		dyn_read_lost(node, request, item, status);
	else if (self->type == DYN_MESSAGE_REPLICATE)
		dyn_write_answer(node, request, item,
						 status != DYN_STATUS_OK ? status : DYN_STATUS_UNKNOWN);
	else
		dyn_put_forward_lost(node, request, item->op, status);
}

/* status OK: nothing is known; else the peer refused the whole frame. */
static void
lose(struct dyn_node *node, struct dyn_call *self, enum dyn_status status)
{
	for (uint32_t i = 0; i < self->item_count; i++)
		lose_item(node, self, &self->items[i], status);
	end(node, self);
}

static void
answer_reads(struct dyn_node *node, struct dyn_call *self,
			 const Dyn__ReadReply *reply)
{
	for (uint32_t i = 0; i < self->item_count; i++)
	{
		const struct dyn_call_item *item = &self->items[i];
		struct dyn_request *request = dyn_request_find(node, item->serial);
		const Dyn__ReadResult *result = reply->results[i];

		if (request != NULL && request->type == DYN_REQUEST_REPAIR)
			dyn_repair_read(node, request, item->op,
							(enum dyn_status) result->status, result->hash,
							dyn_slice_of_bytes(result->object));
		if (request == NULL || request->type == DYN_REQUEST_REPAIR)
			continue;
		if (result->remembered)
			dyn_read_remembered(request, item->op, item->slot, result->other);
		dyn_read_answer(node, request, item, (enum dyn_status) result->status,
						dyn_slice_of_bytes(result->object), result->fence);
	}
}

static void
answer_replicates(struct dyn_node *node, struct dyn_call *self,
				  const Dyn__ReplicateReply *reply)
{
	for (uint32_t i = 0; i < self->item_count; i++)
	{
		const struct dyn_call_item *item = &self->items[i];
		struct dyn_request *request = dyn_request_find(node, item->serial);

		enum dyn_status status = (enum dyn_status) reply->statuses[i];

		if (request == NULL)
			continue;
		if (request->type == DYN_REQUEST_HANDOFF)
			dyn_handoff_answer(node, request, item->op, status);
		else if (request->type == DYN_REQUEST_REPAIR)
			dyn_repair_replicated(node, request, item->op, status);
		else
			dyn_write_answer(node, request, item, status);
	}
}

static void
answer_forwards(struct dyn_node *node, struct dyn_call *self,
				const Dyn__PutReply *reply)
{
	for (uint32_t i = 0; i < self->item_count; i++)
	{
		const struct dyn_call_item *item = &self->items[i];
		struct dyn_request *request = dyn_request_find(node, item->serial);

		if (request != NULL)
			dyn_put_forward_answer(node, request, item->op, reply->results[i]);
	}
}

/* Does this body answer that call, item for item, in statuses we know? */
static bool
fits(const struct dyn_call *self, const struct dyn_envelope *env,
	 const ProtobufCMessage *body)
{
	uint32_t count = self->item_count;

	if (self->type == DYN_MESSAGE_READ && env->type == DYN_MESSAGE_READ_REPLY)
	{
		const Dyn__ReadReply *reply = (const Dyn__ReadReply *) body;
		bool ok = reply->n_results == count;

		for (uint32_t i = 0; ok && i < count; i++)
			ok = dyn_status_is_valid(reply->results[i]->status);
		return ok;
	}
	if (self->type == DYN_MESSAGE_REPLICATE &&
		env->type == DYN_MESSAGE_REPLICATE_REPLY)
	{
		const Dyn__ReplicateReply *reply = (const Dyn__ReplicateReply *) body;
		bool ok = reply->n_statuses == count;

		for (uint32_t i = 0; ok && i < count; i++)
			ok = dyn_status_is_valid(reply->statuses[i]);
		return ok;
	}
	if (self->type == DYN_MESSAGE_PUT && env->type == DYN_MESSAGE_PUT_REPLY)
	{
		const Dyn__PutReply *reply = (const Dyn__PutReply *) body;
		bool ok = reply->n_results == count;

		for (uint32_t i = 0; ok && i < count; i++)
			ok = dyn_status_is_valid(reply->results[i]->status);
		return ok;
	}
	return (self->type == DYN_MESSAGE_TREE &&
			env->type == DYN_MESSAGE_TREE_REPLY) ||
		   (self->type == DYN_MESSAGE_LIST &&
			env->type == DYN_MESSAGE_LIST_REPLY) ||
		   (self->type == DYN_MESSAGE_COPY &&
			env->type == DYN_MESSAGE_COPY_REPLY) ||
		   (self->type == DYN_MESSAGE_FENCE &&
			env->type == DYN_MESSAGE_FENCE_REPLY) ||
		   (self->type == DYN_MESSAGE_REAP &&
			env->type == DYN_MESSAGE_REAP_REPLY);
}

static void
answer_copy(struct dyn_node *node, const struct dyn_call *self,
			const Dyn__CopyReply *reply)
{
	struct dyn_request *request = dyn_request_find(node, self->items[0].serial);

	if (request != NULL)
		dyn_filling_answer(node, request, reply);
}

void
dyn_call_answer(struct dyn_node *node, uint32_t peer_index,
				const struct dyn_envelope *env, const ProtobufCMessage *body)
{
	struct dyn_call *self;

	if (env->correlation == 0)
		return; /* of a repair, or a HELLO */
	HASH_FIND(hh, node->calls, &env->correlation, sizeof(env->correlation),
			  self);
	if (self == NULL)
	{
		dyn_count(node, replies_late);
		return;
	}
	if (self->peer_index != peer_index)
	{
		dyn_count(node, replies_bad);
		return;
	}
	/* A forwarded put takes as long as others do. */
	if (self->type != DYN_MESSAGE_PUT)
		dyn_peer_answered(node, peer_index, node->now_ms - self->sent_at_ms);
	if (env->type == DYN_MESSAGE_ERROR)
	{
		uint32_t status = ((const Dyn__Error *) body)->status;

		lose(node, self,
			 dyn_status_is_valid(status) ? (enum dyn_status) status
										 : DYN_STATUS_UNKNOWN);
		return;
	}
	if (!fits(self, env, body))
	{
		dyn_count(node, replies_bad);
		lose(node, self, DYN_STATUS_OK);
		return;
	}
	if (self->type == DYN_MESSAGE_READ)
		answer_reads(node, self, (const Dyn__ReadReply *) body);
	else if (self->type == DYN_MESSAGE_REPLICATE)
		answer_replicates(node, self, (const Dyn__ReplicateReply *) body);
	else if (self->type == DYN_MESSAGE_TREE)
		dyn_exchange_tree_answer(node, self->items[0].serial,
								 (const Dyn__TreeReply *) body);
	else if (self->type == DYN_MESSAGE_LIST)
		dyn_exchange_list_answer(node, self->items[0].serial,
								 (const Dyn__ListReply *) body);
	else if (self->type == DYN_MESSAGE_COPY)
		answer_copy(node, self, (const Dyn__CopyReply *) body);
	else if (self->type == DYN_MESSAGE_FENCE)
		dyn_reap_fenced(node, self->items[0].serial, self->items[0].op,
						(const Dyn__FenceReply *) body);
	else if (self->type == DYN_MESSAGE_REAP)
		dyn_reap_answered(node, self->items[0].serial, self->items[0].op,
						  (const Dyn__ReapReply *) body);
	else
		answer_forwards(node, self, (const Dyn__PutReply *) body);
	end(node, self);
}

void
dyn_call_lose_peer(struct dyn_node *node, uint32_t peer_index)
{
	struct dyn_call *self;
	struct dyn_call *next;

	HASH_ITER(hh, node->calls, self, next)
	if (self->peer_index == peer_index)
		lose(node, self, DYN_STATUS_OK);
}

void
dyn_call_tick(struct dyn_node *node)
{
	struct dyn_timer *timer;

	while ((timer = dyn_timers_take_due(&node->call_timers, node->now_ms)))
	{
		struct dyn_call *self =
			(struct dyn_call *) (void *) ((char *) timer -
										  offsetof(struct dyn_call, timer));

		/* A short deadline is the client's impatience, no evidence. */
		if (self->type != DYN_MESSAGE_PUT &&
			node->now_ms - self->sent_at_ms >= EVIDENCE_MS)
			dyn_peer_failed(node, self->peer_index);
		lose(node, self, DYN_STATUS_OK);
	}
}

void
dyn_call_destroy_all(struct dyn_node *node)
{
	struct dyn_call *self;
	struct dyn_call *next;

	HASH_ITER(hh, node->calls, self, next)
	end(node, self);
	dyn_timers_destroy(&node->call_timers);
}
