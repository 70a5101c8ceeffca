#include "core/request.h"

#include "core/outbox.h"
#include "core/room.h"
#include "model/hash.h"

enum
{
	REQUEST_CHUNK_SIZE = 2048
};

static void
set_timer(struct dyn_node *node, struct dyn_request *self)
{
	dyn_timers_set(&node->request_timers, &self->timer,
				   self->hedge_at_ms < self->deadline_ms ? self->hedge_at_ms
														 : self->deadline_ms);
}

void
dyn_request_wake(struct dyn_node *node, struct dyn_request *self,
				 uint64_t at_ms)
{
	if (self->hedge_at_ms <= at_ms)
		return;
	self->hedge_at_ms = at_ms;
	set_timer(node, self);
}

struct dyn_request *
dyn_request_new(struct dyn_node *node, const struct dyn_request_kind *kind,
				uint64_t route, const struct dyn_envelope *env)
{
	struct dyn_request *self;
	uint32_t timeout_ms = node->config.request_timeout_ms;

	if (env != NULL && !dyn_room_for_request(node, kind, env->body.size))
	{
		dyn_count(node, overloads);
		dyn_outbox_error(node, route, env->correlation, DYN_STATUS_OVERLOAD,
						 "the node has too many requests in flight");
		return NULL;
	}
	if (env != NULL && env->remaining_ms != 0 && env->remaining_ms < timeout_ms)
		timeout_ms = env->remaining_ms;
	self = dyn_memory_take(sizeof(*self));
	dyn_arena_init(&self->arena, dyn_memory_allocator(), REQUEST_CHUNK_SIZE);
	self->arena.meter = &node->room.held_bytes;
	self->serial = ++node->serial_next;
	self->kind = kind;
	self->route = route;
	self->correlation = env ? env->correlation : 0;
	self->bytes = env ? env->body.size : 0;
	self->deadline_ms = node->now_ms + timeout_ms;
	self->act_until_ms = UINT64_MAX;
	self->hedge_at_ms = UINT64_MAX;
	HASH_ADD(hh, node->requests, serial, sizeof(self->serial), self);
	node->request_count++;
	set_timer(node, self);
	return self;
}

const void *
dyn_request_unpack(struct dyn_node *node, struct dyn_request *self,
				   const struct dyn_envelope *env)
{
	ProtobufCMessage *message;
	enum dyn_status status =
		dyn_message_unpack(env, &self->arena.allocator, &message);

	if (status != DYN_STATUS_OK)
	{
		dyn_request_refuse(node, self, status, dyn_status_text(status));
		return NULL;
	}
	self->message = message;
	return message;
}

struct dyn_request *
dyn_request_find(struct dyn_node *node, uint64_t serial)
{
	struct dyn_request *self;

	HASH_FIND(hh, node->requests, &serial, sizeof(serial), self);
	return self;
}

void
dyn_request_begin_some(struct dyn_node *node, struct dyn_request *self,
					   void (*begin)(struct dyn_node *node,
									 struct dyn_request *request, uint32_t op))
{
	if (self->beginning)
		return;
	self->beginning = true;
	while (self->begun < self->op_count &&
		   self->begun - (self->op_count - self->undecided) < DYN_READS_AT_ONCE)
		begin(node, self, self->begun++);
	self->beginning = false;
}

void
dyn_request_end(struct dyn_node *node, struct dyn_request *self)
{
	if (self->ended)
		return;
	self->ended = true;
	HASH_DEL(node->requests, self);
	node->request_count--;
	dyn_credit_left(node, self->background_bytes);
	dyn_timers_cancel(&node->request_timers, &self->timer);
	self->next_ended = node->ended;
	node->ended = self;
}

const char *
dyn_request_fault(const struct dyn_node *node, const struct dyn_request *self,
				  uint32_t count, uint32_t quorum)
{
	if (count == 0)
		return "the request names no key";
	if (quorum > node->cluster.n)
		return "r and w cannot be greater than the cluster's n";
	if (dyn_bucket_check(self->bucket) != DYN_STATUS_OK)
		return "a bucket's name has 1 to 63 bytes, and no NUL";
	return NULL;
}

void
dyn_request_refuse(struct dyn_node *node, struct dyn_request *self,
				   enum dyn_status status, const char *text)
{
	if (self->route != 0)
		dyn_outbox_error(node, self->route, self->correlation, status, text);
	dyn_request_end(node, self);
}

void
dyn_request_cancel(struct dyn_node *node, uint64_t route,
				   const Dyn__Cancel *cancel)
{
	struct dyn_request *self;
	struct dyn_request *next;

	HASH_ITER(hh, node->requests, self, next)
	{
		if (self->route != route || !self->kind->is_read)
			continue;
		for (size_t i = 0; i < cancel->n_correlations; i++)
			if (cancel->correlations[i] == self->correlation)
			{
				dyn_request_end(node, self);
				break;
			}
	}
}

uint32_t
dyn_request_remaining_ms(const struct dyn_node *node,
						 const struct dyn_request *self)
{
	return self->deadline_ms > node->now_ms
			   ? (uint32_t) (self->deadline_ms - node->now_ms)
			   : 1;
}

static void
expire(struct dyn_node *node, struct dyn_request *self)
{
	dyn_count(node, timeouts);
	if (self->kind->expire != NULL)
		self->kind->expire(node, self);
	else
		dyn_request_end(node, self);
}

void
dyn_request_tick(struct dyn_node *node)
{
	struct dyn_timer *timer;

	while ((timer = dyn_timers_take_due(&node->request_timers, node->now_ms)))
	{
		struct dyn_request *self =
			(struct dyn_request *) (void *) ((char *) timer -
											 offsetof(struct dyn_request,
													  timer));

		if (self->deadline_ms <= node->now_ms)
		{
			expire(node, self);
			continue;
		}
		self->hedge_at_ms = UINT64_MAX;
		if (self->kind->hedge != NULL)
			self->kind->hedge(node, self);
		if (!self->ended)
			set_timer(node, self);
	}
}

/* ---------------------------------------------------------------- the store */

void
dyn_request_apply(struct dyn_node *node, struct dyn_work work,
				  struct dyn_key *key)
{
	struct dyn_request *self = dyn_request_find(node, work.serial);

	if (self != NULL)
		self->kind->apply(node, self, work.op, key);
}

void
dyn_request_committed(struct dyn_node *node, struct dyn_work work,
					  enum dyn_status status, bool carried)
{
	struct dyn_request *self = dyn_request_find(node, work.serial);

	if (self != NULL)
		self->kind->committed(node, self, work.op, status, carried);
}

void
dyn_request_loaded(struct dyn_node *node, struct dyn_work work, uint8_t slot,
				   bool is_hint, const struct dyn_loaded *record)
{
	struct dyn_request *self = dyn_request_find(node, work.serial);

	if (self != NULL)
		self->kind->loaded(node, self, work.op, slot, is_hint, record);
}

/* -------------------------------------------------------------------- ends */

void
dyn_request_free_ended(struct dyn_node *node)
{
	while (node->ended != NULL)
	{
		struct dyn_request *self = node->ended;

		node->ended = self->next_ended;
		dyn_arena_destroy(&self->arena);
		dyn_memory_give(self);
	}
}

void
dyn_request_destroy_all(struct dyn_node *node)
{
	struct dyn_request *self;
	struct dyn_request *next;

	HASH_ITER(hh, node->requests, self, next)
	dyn_request_end(node, self);
	dyn_request_free_ended(node);
	dyn_timers_destroy(&node->request_timers);
}
