#include "tests/sim/simclient_state.h"
#include "tests/sim/simext.h"
#include "tests/sim/simnet.h"
#include "tests/sim/simview.h"
#include "tests/sim/whitebox.h"

#include <stdlib.h>
#include <string.h>

enum
{
	RETRY_WINDOW_MS = 4000,
	ATTEMPTS_MAX = 4,
	FRESH_MS = 1500 /* a context older than this is stale */
};

struct dyn_simclient *
dyn_simclient_of(struct dyn_world *world, uint32_t index)
{
	return world->clients[index];
}

static bool
chance(struct dyn_simclient *self, uint32_t rate)
{
	return dyn_simrandom_chance(&self->random, rate);
}

static uint64_t
below(struct dyn_simclient *self, uint64_t bound)
{
	return dyn_simrandom_below(&self->random, bound);
}

void
dyn_simclient_timer(struct dyn_world *world, struct dyn_simclient *self,
					uint64_t ms)
{
	dyn_world_push(world, world->now_ms + ms, DYN_WORLD_CLIENT, self->index,
				   ++self->timer, NULL);
}

void
dyn_simclient_await(struct dyn_world *world, struct dyn_simclient *self,
					uint64_t ms)
{
	if (!world->calm && chance(self, world->swarm.abandon_rate))
	{
		self->action.abandoned = true;
		ms = 1 + below(self, ms < 200 ? ms : 200);
	}
	dyn_simclient_timer(world, self, ms);
}

/* The action is over: think. */
void
dyn_simclient_rest(struct dyn_world *world, struct dyn_simclient *self)
{
	self->action = (struct dyn_action){ .kind = DYN_ACTION_NONE };
	dyn_simclient_timer(world, self,
						1 + below(self, 2 * (uint64_t) world->swarm.think_ms));
}

uint32_t
dyn_simclient_some_node(struct dyn_world *world, struct dyn_simclient *self)
{
	return (uint32_t) below(self, world->swarm.node_count);
}

void
dyn_simclient_new(struct dyn_world *world, uint32_t index)
{
	struct dyn_simclient *self = dyn_sim_allocate(sizeof(*self));

	self->index = index;
	self->random = dyn_simrandom_stream(world->seed, 1000 + index);
	dyn_simext_init(world, self);
	self->memories =
		dyn_sim_allocate(world->history.key_count * sizeof(*self->memories));
	dyn_arena_init(&self->result_arena, dyn_allocator_malloc(), 1024);
	world->clients[index] = self;
}

void
dyn_simclient_free(struct dyn_world *world, uint32_t index)
{
	struct dyn_simclient *self = world->clients[index];

	if (self == NULL)
		return;
	for (uint32_t i = 0; i < world->history.key_count; i++)
	{
		free(self->memories[i].context);
		free(self->memories[i].row);
		free(self->memories[i].vids.items);
	}
	if (self->action.kind == DYN_ACTION_DIRECT ||
		self->action.kind == DYN_ACTION_SCAN)
		dyn_arena_destroy(&self->action.arena);
	if (self->has_ring)
		dyn_ring_destroy(&self->ring);
	dyn_arena_destroy(&self->result_arena);
	free(self->memories);
	free(self);
	world->clients[index] = NULL;
}

/* -------------------------------------------------------------------- hello */

static void
say_hello(struct dyn_world *world, struct dyn_simclient *self)
{
	Dyn__Hello hello = DYN__HELLO__INIT;

	hello.version_min = hello.version_max = DYN_PROTOCOL_VERSION;
	hello.agent = "sim";
	self->action.kind = DYN_ACTION_HELLO;
	dyn_sim_send(world, self->index, &self->attempts,
				 dyn_simclient_some_node(world, self), DYN_MESSAGE_HELLO,
				 &hello.base, 1000);
	dyn_simclient_timer(world, self, 1000);
}

static void
take_welcome(struct dyn_world *world, struct dyn_simclient *self,
			 const Dyn__Welcome *welcome)
{
	struct dyn_allocator allocator = dyn_allocator_malloc();

	if (!welcome->formed || self->has_ring)
		return;
	if (dyn_ring_decode(dyn_slice_of_bytes(welcome->ring), &allocator,
						&self->ring) != DYN_STATUS_OK)
	{
		dyn_world_violation(world, "wire", "a WELCOME without a sound ring");
		return;
	}
	self->has_ring = true;
	if (self->action.kind == DYN_ACTION_HELLO)
		dyn_simclient_rest(world, self);
}

/* ------------------------------------------------------------------- writes */

static uint32_t
some_key(struct dyn_world *world, struct dyn_simclient *self)
{
	if (chance(self, world->swarm.hot_rate))
		return 0;
	return (uint32_t) below(self, world->history.key_count);
}

static void
send_writes(struct dyn_world *world, struct dyn_simclient *self)
{
	struct dyn_action *action = &self->action;
	uint32_t ops[DYN_SIM_BATCH_MAX];
	uint32_t count = 0;
	uint32_t remaining_ms = 300 + (uint32_t) below(self, 1500);
	const struct dyn_attempt *attempt;

	for (uint32_t i = 0; i < action->count; i++)
		if (!action->decided[i])
			ops[count++] = action->ops[i];
	action->attempt_count++;
	attempt = dyn_sim_send_put(world, self->index, &self->attempts,
							   dyn_simclient_some_node(world, self), ops, count,
							   remaining_ms, NULL);
	action->correlations[0] = attempt->correlation;
	if (action->attempt_count > 1)
		dyn_world_fault(world, DYN_FAULT_retry);
	dyn_simclient_await(world, self, remaining_ms + below(self, 400));
}

/* Every fifth key is one of those that know the checking and replacing modes:
 * what REPLACE covers no client can know, so the other keys do without. */
static enum dyn_history_mode
some_mode(struct dyn_world *world, struct dyn_simclient *self, uint32_t key)
{
	if (!chance(self, world->swarm.mode_rate))
		return DYN_HISTORY_SIBLING;
	if (key % 5 == 1)
		return DYN_HISTORY_REPLACE;
	return below(self, 2) ? DYN_HISTORY_CREATE : DYN_HISTORY_GUARDED;
}

/* Write one key, if what is known of it allows that. */
static bool
add_write(struct dyn_world *world, struct dyn_simclient *self, uint32_t key,
		  uint8_t w)
{
	struct dyn_action *action = &self->action;
	const struct dyn_memory *memory = &self->memories[key];
	enum dyn_history_mode mode = some_mode(world, self, key);
	bool blind =
		mode == DYN_HISTORY_CREATE || mode == DYN_HISTORY_REPLACE ||
		(memory->vids.count < 10 && chance(self, world->swarm.blind_rate));
	bool fresh = memory->used && (world->now_ms - memory->at_ms < FRESH_MS ||
								  chance(self, world->swarm.stale_rate));
	uint32_t value_count =
		chance(self, world->swarm.two_rate) && !world->swarm.lww ? 2 : 1;
	struct dyn_slice context = { 0 };
	struct dyn_vids row = { &self->memories[key].row_vid, 1, 1 };
	const struct dyn_vids *seen = NULL;

	if (!blind && !fresh)
		return false;
	if (!blind)
	{
		bool one = memory->has_row && memory->vids.count < 8 &&
				   chance(self, world->swarm.row_rate);

		context =
			one ? (struct dyn_slice){ memory->row, memory->row_size }
				: (struct dyn_slice){ memory->context, memory->context_size };
		seen = one ? &row : &memory->vids;
	}
	if ((!blind || mode == DYN_HISTORY_REPLACE) &&
		chance(self, world->swarm.delete_rate))
		value_count = 0;
	if (blind)
		dyn_world_fault(world, DYN_FAULT_write_blind);
	else if (world->now_ms - memory->at_ms >= FRESH_MS)
		dyn_world_fault(world, DYN_FAULT_write_stale);
	action->keys[action->count] = key;
	action->ops[action->count++] = dyn_sim_new_write(
		world, self->index, key, mode, value_count, context, seen, w);
	if (!blind)
		world->writes[action->ops[action->count - 1]].read_op = memory->op;
	if (seen == &row)
		dyn_history_beside(&world->history, action->ops[action->count - 1],
						   &memory->vids);
	return true;
}

static void
begin_writes(struct dyn_world *world, struct dyn_simclient *self)
{
	struct dyn_action *action = &self->action;
	uint32_t count = 1 + (uint32_t) below(self, world->swarm.batch_max);
	uint8_t w = 0;
	uint32_t unread[DYN_SIM_BATCH_MAX];
	uint32_t unread_count = 0;

	if (chance(self, world->swarm.own_quorum_rate))
		w = (uint8_t) dyn_simrandom_between(&self->random, 1, world->swarm.n);
	action->kind = DYN_ACTION_PUT;
	for (uint32_t i = 0; i < count; i++)
	{
		uint32_t key = some_key(world, self);

		if (!add_write(world, self, key, w))
			unread[unread_count++] = key;
	}
	if (action->count > 0 && self->is_extension)
	{
		dyn_simext_put(world, self);
		return;
	}
	if (action->count > 0)
	{
		send_writes(world, self);
		return;
	}
	/* Nothing could be written yet: read it, then come back soon. */
	action->count = unread_count;
	memcpy(action->keys, unread, unread_count * sizeof(*unread));
	dyn_simread_get(world, self);
}

static void
remember_write(struct dyn_simclient *self, uint32_t op)
{
	self->recent[self->recent_count++ % 8] = op;
}

static void
end_writes(struct dyn_world *world, struct dyn_simclient *self)
{
	struct dyn_action *action = &self->action;

	for (uint32_t i = 0; i < action->count; i++)
	{
		dyn_sim_write_rest(world, action->ops[i]);
		remember_write(self, action->ops[i]);
	}
	dyn_simclient_rest(world, self);
}

/* All answered, or the time is up: again, or be content. */
static void
after_attempt(struct dyn_world *world, struct dyn_simclient *self)
{
	struct dyn_action *action = &self->action;
	bool undecided = false;

	for (uint32_t i = 0; i < action->count; i++)
		undecided |= !action->decided[i];
	if (undecided && !action->late && !action->abandoned &&
		action->attempt_count < ATTEMPTS_MAX &&
		world->now_ms - world->writes[action->ops[0]].first_ms <
			RETRY_WINDOW_MS &&
		chance(self, world->swarm.retry_rate))
		send_writes(world, self);
	else
		end_writes(world, self);
}

/* Send again what has been decided already, as a client does whose answer
 * was lost. */
static bool
retry_late(struct dyn_world *world, struct dyn_simclient *self)
{
	struct dyn_action *action = &self->action;
	uint32_t op;

	if (self->recent_count == 0)
		return false;
	op = self->recent[below(self,
							self->recent_count < 8 ? self->recent_count : 8)];
	if (world->now_ms - world->writes[op].first_ms > RETRY_WINDOW_MS ||
		world->history.ops[op].result == DYN_HISTORY_NO)
		return false;
	dyn_world_fault(world, DYN_FAULT_retry_late);
	action->kind = DYN_ACTION_PUT;
	action->late = true;
	action->count = 1;
	action->ops[0] = op;
	send_writes(world, self);
	return true;
}

void
dyn_sim_note_receipt(struct dyn_world *world, uint32_t op,
					 const Dyn__Receipt *receipt)
{
	struct dyn_history_op *entry = &world->history.ops[op];

	if (receipt == NULL || receipt->n_fallbacks == 0 ||
		entry->result == DYN_HISTORY_OK)
		return;
	entry->quorum = receipt->n_answered > receipt->n_fallbacks
						? (uint8_t) (receipt->n_answered - receipt->n_fallbacks)
						: 0;
}

static void
take_put(struct dyn_world *world, struct dyn_simclient *self,
		 const struct dyn_attempt *attempt, const struct dyn_envelope *env,
		 const ProtobufCMessage *body)
{
	struct dyn_action *action = &self->action;
	const Dyn__PutReply *reply = (const Dyn__PutReply *) body;
	bool whole = env->type == DYN_MESSAGE_ERROR;

	if (!whole && (env->type != DYN_MESSAGE_PUT_REPLY ||
				   reply->n_results != attempt->write_count))
	{
		dyn_world_violation(world, "wire", "not an answer to a PUT");
		return;
	}
	for (uint32_t i = 0; i < attempt->write_count; i++)
	{
		enum dyn_status status =
			(enum dyn_status)(whole ? ((const Dyn__Error *) body)->status
									: reply->results[i]->status);

		if (!whole)
			dyn_sim_note_receipt(world, attempt->writes[i],
								 reply->results[i]->receipt);
		dyn_sim_write_answer(world, attempt->writes[i], status);
		for (uint32_t j = 0; j < action->count; j++)
			if (action->kind == DYN_ACTION_PUT &&
				action->ops[j] == attempt->writes[i] && status == DYN_STATUS_OK)
				action->decided[j] = true;
	}
	if (action->kind == DYN_ACTION_PUT &&
		action->correlations[0] == attempt->correlation)
		after_attempt(world, self);
}

/* -------------------------------------------------------------------- life */

static void
begin(struct dyn_world *world, struct dyn_simclient *self)
{
	struct dyn_action *action = &self->action;

	if (world->calm || (world->swarm.actions_max > 0 &&
						world->action_count >= world->swarm.actions_max))
		return;
	if (!self->has_ring && !self->is_extension)
	{
		say_hello(world, self);
		return;
	}
	if (self->is_extension && dyn_simext_begin(world, self))
		return;
	world->action_count++;
	if (!self->is_extension && chance(self, world->swarm.late_retry_rate) &&
		retry_late(world, self))
		return;
	if (chance(self, world->swarm.write_rate))
	{
		begin_writes(world, self);
		return;
	}
	action->count = 1 + (uint32_t) below(self, world->swarm.batch_max);
	for (uint32_t i = 0; i < action->count; i++)
		action->keys[i] = some_key(world, self);
	if (chance(self, world->swarm.scan_rate))
		dyn_simscan_begin(world, self);
	else if (chance(self, world->swarm.direct_rate))
		dyn_simread_direct(world, self);
	else
		dyn_simread_get(world, self);
}

void
dyn_simclient_wake(struct dyn_world *world, uint32_t index, uint64_t what)
{
	struct dyn_simclient *self = world->clients[index];

	if (what != self->timer || index == DYN_SIM_OPERATOR)
		return;
	if (self->action.kind == DYN_ACTION_OWN_PUT)
	{
		dyn_simext_put_go(world, self);
		return;
	}
	if (self->action.abandoned)
	{
		dyn_world_fault(world, DYN_FAULT_client_hung_up);
		dyn_simnet_hang_up(world, index);
		dyn_simext_forget(self);
	}
	switch (self->action.kind)
	{
		case DYN_ACTION_NONE:
			begin(world, self);
			break;
		case DYN_ACTION_HELLO:
			dyn_simclient_rest(world, self);
			break;
		case DYN_ACTION_PUT:
			after_attempt(world, self);
			break;
		case DYN_ACTION_OWN_PUT:
			break;
		case DYN_ACTION_GET:
		case DYN_ACTION_DIRECT:
		case DYN_ACTION_SCAN:
			dyn_simread_late(world, self);
			break;
	}
}

static void
take(struct dyn_world *world, struct dyn_simclient *self,
	 const struct dyn_attempt *attempt, uint32_t node,
	 const struct dyn_envelope *env, const ProtobufCMessage *body)
{
	if (self->is_extension)
		dyn_simext_hear(world, self, node, env, body);
	if (attempt->type == DYN_MESSAGE_PUT && self->is_extension)
		dyn_simext_put_take(world, self, attempt, env, body);
	else if (attempt->type == DYN_MESSAGE_PUT)
		take_put(world, self, attempt, env, body);
	else if (attempt->type != DYN_MESSAGE_HELLO)
		dyn_simread_take(world, self, env, body);
	else if (env->type == DYN_MESSAGE_WELCOME)
		take_welcome(world, self, (const Dyn__Welcome *) body);
}

void
dyn_simclient_take(struct dyn_world *world, uint32_t index, uint32_t node,
				   struct dyn_slice frame)
{
	struct dyn_simclient *self = world->clients[index];
	struct dyn_envelope env = { 0 };
	struct dyn_attempt *attempt;
	struct dyn_arena arena;
	ProtobufCMessage *body;
	enum dyn_status status;

	if (dyn_envelope_open(frame, &env) != DYN_STATUS_OK)
		return; /* damaged on the way */
	attempt = dyn_attempts_find(&self->attempts, env.correlation);
	if (attempt == NULL || attempt->heard)
		return;
	attempt->heard = true;
	dyn_world_say(world, "client %u hears node %u %s correlation %llx", index,
				  node, dyn_message_name(env.type),
				  (unsigned long long) env.correlation);
	dyn_arena_init(&arena, dyn_allocator_malloc(), 4096);
	status = dyn_message_unpack(&env, &arena.allocator, &body);
	if (status == DYN_STATUS_OK)
		dyn_simview_note(world, self, node, env.type, body);
	if (status != DYN_STATUS_OK)
		dyn_world_violation(world, "wire", "node %u sends a bad %s", node,
							dyn_message_name(env.type));
	else if (index == DYN_SIM_OPERATOR)
		dyn_simsync_take(world, self, &env, body);
	else
		take(world, self, attempt, node, &env, body);
	dyn_arena_destroy(&arena);
}

/* ------------------------------------------------------------ from the net */

static struct dyn_attempt *
attempt_of(struct dyn_world *world, uint64_t tag)
{
	uint64_t client = (tag >> 32) - 1;

	if (client >= DYN_SIM_CLIENTS_MAX || world->clients[client] == NULL)
		return NULL;
	return dyn_attempts_find(&world->clients[client]->attempts, tag);
}

uint32_t
dyn_simclient_writes(struct dyn_world *world, uint64_t tag,
					 const uint32_t **writes)
{
	const struct dyn_attempt *attempt = attempt_of(world, tag);

	if (attempt == NULL)
		return 0;
	*writes = attempt->writes;
	return attempt->write_count;
}

void
dyn_simclient_delivered(struct dyn_world *world, uint64_t tag, uint32_t node)
{
	struct dyn_attempt *attempt = attempt_of(world, tag);

	if (attempt == NULL)
		return;
	if (attempt->delivered_ms == 0)
	{
		attempt->delivered_ms = world->now_ms;
		attempt->delivered_life = world->nodes[node].life;
	}
	for (uint32_t i = 0; i < attempt->write_count; i++)
		world->writes[attempt->writes[i]].last_ms = world->now_ms;
}

uint32_t
dyn_simclient_answered(struct dyn_world *world, uint32_t index,
					   uint64_t correlation, const uint32_t **writes)
{
	struct dyn_attempt *attempt =
		dyn_attempts_find(&world->clients[index]->attempts, correlation);

	if (attempt == NULL)
		return 0;
	attempt->answered = true;
	*writes = attempt->writes;
	return attempt->write_count;
}
