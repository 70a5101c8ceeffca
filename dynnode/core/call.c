#include "core/call.h"

#include "core/peer.h"
#include "core/request.h"

#include <stddef.h>

enum
{
	EVIDENCE_MS = 500
};

struct dyn_call *
dyn_call_new(struct dyn_node *node, uint32_t peer_index,
			 const struct dyn_call_kind *kind)
{
	struct dyn_call *self = dyn_memory_take(sizeof(*self));

	self->correlation = ++node->correlation_next;
	self->peer_index = peer_index;
	self->kind = kind;
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

/* -------------------------------------------------------------------- READ */

static bool
fits_reads(const ProtobufCMessage *body, uint32_t count)
{
	const Dyn__ReadReply *reply = (const Dyn__ReadReply *) body;
	bool ok = reply->n_results == count;

	for (uint32_t i = 0; ok && i < count; i++)
		ok = dyn_status_is_valid(reply->results[i]->status);
	return ok;
}

static void
answer_reads(struct dyn_node *node, const struct dyn_call *self,
			 const ProtobufCMessage *body)
{
	const Dyn__ReadReply *reply = (const Dyn__ReadReply *) body;

	for (uint32_t i = 0; i < self->item_count; i++)
	{
		const struct dyn_call_item *item = &self->items[i];
		struct dyn_request *request = dyn_request_find(node, item->serial);
		const Dyn__ReadResult *result = reply->results[i];

		if (request != NULL)
			request->kind->read_answered(node, request, item, result,
										 (enum dyn_status) result->status);
	}
}

static void
lose_read(struct dyn_node *node, const struct dyn_call_item *item,
		  enum dyn_status status)
{
	struct dyn_request *request = dyn_request_find(node, item->serial);

	if (request != NULL)
		request->kind->read_answered(node, request, item, NULL, status);
}

/* --------------------------------------------------------------- REPLICATE */

static bool
fits_replicates(const ProtobufCMessage *body, uint32_t count)
{
	const Dyn__ReplicateReply *reply = (const Dyn__ReplicateReply *) body;
	bool ok = reply->n_statuses == count;

	for (uint32_t i = 0; ok && i < count; i++)
		ok = dyn_status_is_valid(reply->statuses[i]);
	return ok;
}

static void
answer_replicates(struct dyn_node *node, const struct dyn_call *self,
				  const ProtobufCMessage *body)
{
	const Dyn__ReplicateReply *reply = (const Dyn__ReplicateReply *) body;

	for (uint32_t i = 0; i < self->item_count; i++)
	{
		const struct dyn_call_item *item = &self->items[i];
		struct dyn_request *request = dyn_request_find(node, item->serial);
		enum dyn_status status = (enum dyn_status) reply->statuses[i];

		if (request != NULL)
			request->kind->replicated(node, request, item, false, status);
	}
}

static void
lose_replicate(struct dyn_node *node, const struct dyn_call_item *item,
			   enum dyn_status status)
{
	struct dyn_request *request = dyn_request_find(node, item->serial);

	if (request != NULL)
		request->kind->replicated(node, request, item, true, status);
}

/* ------------------------------------------------------------ PUT, forwarded */

static bool
fits_forwards(const ProtobufCMessage *body, uint32_t count)
{
	const Dyn__PutReply *reply = (const Dyn__PutReply *) body;
	bool ok = reply->n_results == count;

	for (uint32_t i = 0; ok && i < count; i++)
		ok = dyn_status_is_valid(reply->results[i]->status);
	return ok;
}

static void
answer_forwards(struct dyn_node *node, const struct dyn_call *self,
				const ProtobufCMessage *body)
{
	const Dyn__PutReply *reply = (const Dyn__PutReply *) body;

	for (uint32_t i = 0; i < self->item_count; i++)
	{
		const struct dyn_call_item *item = &self->items[i];
		struct dyn_request *request = dyn_request_find(node, item->serial);

		if (request != NULL)
			request->kind->forwarded(
				node, request, item, reply->results[i],
				(enum dyn_status) reply->results[i]->status);
	}
}

static void
lose_forward(struct dyn_node *node, const struct dyn_call_item *item,
			 enum dyn_status status)
{
	struct dyn_request *request = dyn_request_find(node, item->serial);

	if (request != NULL)
		request->kind->forwarded(node, request, item, NULL, status);
}

const struct dyn_call_kind dyn_read_call = { DYN_MESSAGE_READ,
											 DYN_MESSAGE_READ_REPLY, fits_reads,
											 answer_reads, lose_read };
const struct dyn_call_kind dyn_replicate_call = {
	DYN_MESSAGE_REPLICATE, DYN_MESSAGE_REPLICATE_REPLY, fits_replicates,
	answer_replicates, lose_replicate
};
const struct dyn_call_kind dyn_put_call = { DYN_MESSAGE_PUT,
											DYN_MESSAGE_PUT_REPLY,
											fits_forwards, answer_forwards,
											lose_forward };

/* ------------------------------------------------------------ what happens */

static void
lose(struct dyn_node *node, struct dyn_call *self, enum dyn_status status)
{
	for (uint32_t i = 0; i < self->item_count; i++)
		self->kind->lose(node, &self->items[i], status);
	end(node, self);
}

void
dyn_call_answer(struct dyn_node *node, uint32_t peer_index,
				const struct dyn_envelope *env, const ProtobufCMessage *body)
{
	const struct dyn_call_kind *kind;
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
	kind = self->kind;
	/* A forwarded put takes as long as others do. */
	if (self->kind != &dyn_put_call)
		dyn_peer_answered(node, peer_index, node->now_ms - self->sent_at_ms);
	if (env->type == DYN_MESSAGE_ERROR)
	{
		uint32_t status = ((const Dyn__Error *) body)->status;

		lose(node, self,
			 dyn_status_is_valid(status) ? (enum dyn_status) status
										 : DYN_STATUS_UNKNOWN);
		return;
	}
	if (env->type != kind->reply_type ||
		(kind->fits != NULL && !kind->fits(body, self->item_count)))
	{
		dyn_count(node, replies_bad);
		lose(node, self, DYN_STATUS_OK);
		return;
	}
	kind->answer(node, self, body);
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
		if (self->kind != &dyn_put_call &&
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
