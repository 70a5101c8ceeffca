/*
 * What a client that acts as the extension knows of nodes; its reads, and what
 * it does next.
 */
#include "tests/sim/simext.h"

#include "model/hash.h"
#include "tests/sim/simnet.h"
#include "tests/sim/whitebox.h"

#include <stdlib.h>
#include <string.h>

enum
{
	SUSPECT_MS = 5000, /* a silent node comes last for so long */
	GREET_MS = 1000,   /* between two HELLO that nobody answers */
	DRIFT_SHARE = 1000 /* clocks of machines differ by less than a thousandth */
};

void
dyn_simext_init(struct dyn_world *world, struct dyn_simclient *self)
{
	struct dyn_simrandom random =
		dyn_simrandom_stream(world->seed, 3000 + self->index);

	self->is_extension =
		self->index != DYN_SIM_OPERATOR &&
		dyn_simrandom_chance(&random, world->swarm.extension_rate);
	self->pid = (uint32_t) dyn_simrandom_below(&random, 1000);
	self->timeout_ms = world->swarm.request_timeout_ms;
	if (dyn_simrandom_below(&random, 3) == 0)
		self->timeout_ms *= 6;
}

/* -------------------------------------------------------------------- nodes */

static void
say_hello(struct dyn_world *world, struct dyn_simclient *self, uint32_t node)
{
	struct dyn_simext_node *known = &self->nodes[node];
	Dyn__Hello hello = DYN__HELLO__INIT;

	hello.version_min = hello.version_max = DYN_PROTOCOL_VERSION;
	hello.agent = "sim";
	known->greeted = true;
	known->greeted_ms = world->now_ms;
	dyn_sim_send(world, self->index, &self->attempts, node, DYN_MESSAGE_HELLO,
				 &hello.base, 1000);
}

void
dyn_simext_greet(struct dyn_world *world, struct dyn_simclient *self)
{
	for (uint32_t node = 0; node < world->swarm.node_count; node++)
	{
		const struct dyn_simext_node *known = &self->nodes[node];

		if (!known->is_up &&
			(!known->greeted || world->now_ms >= known->greeted_ms + GREET_MS))
			say_hello(world, self, node);
	}
}

void
dyn_simext_hear(struct dyn_world *world, struct dyn_simclient *self,
				uint32_t node, const struct dyn_envelope *env,
				const ProtobufCMessage *body)
{
	struct dyn_simext_node *known = &self->nodes[node];
	uint64_t clock_ms = dyn_message_clock_ms(env->type, body);

	known->suspect_until_ms = 0;
	if (env->type == DYN_MESSAGE_WELCOME)
	{
		known->is_up = true;
		known->process = ((const Dyn__Welcome *) body)->process;
		clock_ms = ((const Dyn__Welcome *) body)->uptime_ms;
	}
	if (clock_ms == 0)
		return;
	known->clock_ms = clock_ms;
	known->told_ms = world->now_ms;
}

void
dyn_simext_forget(struct dyn_simclient *self)
{
	for (uint32_t node = 0; node < DYN_SIM_NODES_MAX; node++)
		self->nodes[node].is_up = self->nodes[node].greeted = false;
}

void
dyn_simclient_lost(struct dyn_world *world, uint32_t index, uint32_t node)
{
	struct dyn_simclient *self = world->clients[index];

	if (self == NULL || !self->is_extension)
		return;
	dyn_world_say(world, "client %u loses node %u", index, node);
	self->nodes[node].is_up = false;
	self->nodes[node].greeted = false;
	if (self->action.kind == DYN_ACTION_OWN_PUT)
		dyn_simext_put_lost(world, self, node);
}

bool
dyn_simclient_is_extension(const struct dyn_world *world, uint32_t index)
{
	return world->clients[index] != NULL && world->clients[index]->is_extension;
}

bool
dyn_simext_is_suspect(const struct dyn_world *world,
					  const struct dyn_simclient *self, uint32_t node)
{
	return self->nodes[node].suspect_until_ms > world->now_ms;
}

uint64_t
dyn_simext_clock_at(const struct dyn_world *world,
					const struct dyn_simclient *self, uint32_t node,
					uint64_t at_ms)
{
	const struct dyn_simext_node *known = &self->nodes[node];
	uint64_t age_ms = world->now_ms - known->told_ms;

	return known->clock_ms + age_ms - (age_ms + DRIFT_SHARE - 1) / DRIFT_SHARE +
		   (at_ms - world->now_ms);
}

uint32_t
dyn_simext_owner(const struct dyn_world *world,
				 const struct dyn_simclient *self, uint16_t partition,
				 uint8_t slot)
{
	const struct dyn_member *member = dyn_ring_member(
		&self->ring, &dyn_ring_slot(&self->ring, partition, slot)->node);

	for (uint32_t node = 0; node < world->swarm.node_count; node++)
		if (strcmp(member->address, world->nodes[node].address) == 0)
			return node;
	return 0;
}

/* -------------------------------------------------------------------- reads */

/* Who comes first differs between clients; those who were silent come last. */
bool
dyn_simext_owners(struct dyn_world *world, struct dyn_simclient *self,
				  uint16_t partition)
{
	struct dyn_action *action = &self->action;
	uint8_t n = self->ring.replica_count;

	action->owner_count = 0;
	for (uint8_t s = 0; s < 2 * n && action->owner_count < world->swarm.r; s++)
	{
		uint32_t node = dyn_simext_owner(world, self, partition,
										 (uint8_t) ((s + self->pid) % n));

		if (self->nodes[node].is_up &&
			dyn_simext_is_suspect(world, self, node) == (s >= n))
			action->owners[action->owner_count++] = node;
	}
	return action->owner_count == world->swarm.r;
}

void
dyn_simext_note_silence(struct dyn_world *world, struct dyn_simclient *self)
{
	const struct dyn_action *action = &self->action;

	for (uint8_t i = 0; i < DYN_REPLICAS_MAX; i++)
	{
		const struct dyn_attempt *attempt =
			dyn_attempts_find(&self->attempts, action->correlations[i]);

		if (attempt != NULL && !attempt->heard)
			self->nodes[attempt->node].suspect_until_ms =
				world->now_ms + SUSPECT_MS;
	}
}

uint32_t
dyn_simext_coordinator(struct dyn_world *world, struct dyn_simclient *self)
{
	uint32_t count = world->swarm.node_count;

	for (uint32_t round = 0; round < 2; round++)
		for (uint32_t i = 0; i < count; i++)
		{
			uint32_t node = (i + self->pid + self->turn) % count;

			if (self->nodes[node].is_up &&
				dyn_simext_is_suspect(world, self, node) == (round != 0))
				return node;
		}
	return self->pid % count;
}

/* ------------------------------------------------------- what it does next */

/* Delete, or update, what was read: all of it, or one row. */
static bool
replace_read(struct dyn_world *world, struct dyn_simclient *self, uint32_t key)
{
	struct dyn_memory *memory = &self->memories[key];
	struct dyn_action *action = &self->action;
	bool one = memory->has_row && memory->vids.count > 1 &&
			   dyn_simrandom_below(&self->random, 2) == 0;
	struct dyn_vids row = { &memory->row_vid, 1, 1 };
	struct dyn_slice context =
		one ? (struct dyn_slice){ memory->row, memory->row_size }
			: (struct dyn_slice){ memory->context, memory->context_size };
	enum dyn_history_mode mode = dyn_simrandom_below(&self->random, 5) == 0
									 ? DYN_HISTORY_GUARDED
									 : DYN_HISTORY_SIBLING;

	if (memory->vids.count == 0)
		return false;
	dyn_world_fault(world, DYN_FAULT_followed);
	action->keys[0] = key;
	action->ops[0] =
		dyn_sim_new_write(world, self->index, key, mode,
						  (uint32_t) dyn_simrandom_below(&self->random, 2),
						  context, one ? &row : &memory->vids, 0);
	world->writes[action->ops[0]].read_op = memory->op;
	action->count = 1;
	if (one)
		dyn_history_beside(&world->history, action->ops[0], &memory->vids);
	dyn_simext_put(world, self);
	return true;
}

bool
dyn_simext_begin(struct dyn_world *world, struct dyn_simclient *self)
{
	struct dyn_action *action = &self->action;
	uint32_t key = self->follow_key;

	dyn_simext_greet(world, self);
	if (!self->has_ring)
	{
		dyn_simclient_timer(world, self, GREET_MS);
		return true;
	}
	self->turn++;
	switch (self->follow)
	{
		case DYN_FOLLOW_NOT:
			return false;
		case DYN_FOLLOW_READ:
			self->follow = DYN_FOLLOW_WRITE;
			action->count = 1;
			action->keys[0] = key;
			dyn_simread_direct(world, self);
			return true;
		case DYN_FOLLOW_WRITE:
			break;
	}
	self->follow = DYN_FOLLOW_NOT;
	return self->memories[key].used &&
		   self->memories[key].at_ms >= self->follow_ms &&
		   replace_read(world, self, key);
}
