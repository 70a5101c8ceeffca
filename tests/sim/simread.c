/*
 * The reads of a client: coordinated and direct.
 */
#include "model/hash.h"
#include "tests/sim/simclient_state.h"
#include "tests/sim/simext.h"
#include "tests/sim/simview.h"
#include "tests/sim/whitebox.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum
{
	READ_MS = 2000
};

/* ------------------------------------------------------------ what is seen */

static void
keep(uint8_t **to, uint32_t *size, struct dyn_slice bytes)
{
	*to = dyn_sim_grow(*to, bytes.size);
	*size = (uint32_t) bytes.size;
	memcpy(*to, bytes.data, bytes.size);
}

static void
remember(struct dyn_world *world, struct dyn_simclient *self, uint32_t key,
		 uint32_t op, const struct dyn_object *object, struct dyn_arena *arena)
{
	struct dyn_memory *memory = &self->memories[key];
	struct dyn_slice bytes;
	struct dyn_row *rows;
	uint32_t count;
	uint32_t pick;

	if (dyn_clock_encode(&object->context, &arena->allocator, &bytes) !=
			DYN_STATUS_OK ||
		dyn_object_rows(object, &arena->allocator, &rows, &count) !=
			DYN_STATUS_OK)
		return;
	memory->used = true;
	memory->at_ms = world->now_ms;
	memory->op = op;
	keep(&memory->context, &memory->context_size, bytes);
	memory->has_row = count > 0;
	if (count == 0)
		return;
	pick = (uint32_t) dyn_simrandom_below(&self->random, count);
	if (!dyn_sim_vid(world, key, rows[pick].version->value, &memory->row_vid) ||
		dyn_clock_encode(&rows[pick].clock, &arena->allocator, &bytes) !=
			DYN_STATUS_OK)
		memory->has_row = false;
	else
		keep(&memory->row, &memory->row_size, bytes);
}

bool
dyn_simread_note(struct dyn_world *world, struct dyn_simclient *self,
				 uint32_t key, uint32_t op, struct dyn_slice bytes)
{
	struct dyn_object object;
	struct dyn_arena arena;
	bool ok;

	dyn_arena_init(&arena, dyn_allocator_malloc(), 4096);
	ok = dyn_object_decode(bytes, &arena.allocator, &object) == DYN_STATUS_OK;
	if (!ok)
		dyn_world_violation(world, "W3", "key %u: a malformed object", key);
	else
	{
		self->memories[key].vids.count = 0;
		dyn_object_view(&object, dyn_simview_ms(world, self));
		dyn_whitebox_object(world, key, &object);
		for (uint32_t i = 0; i < object.version_count; i++)
		{
			uint32_t vid;

			if (!dyn_sim_vid(world, key, object.versions[i].value, &vid))
			{
				dyn_world_violation(world, "C2", "key %u: a value of nobody",
									key);
				continue;
			}
			dyn_world_say(world,
						  "  client %u op %u reads key %u version %u (%" PRIx64
						  ".%" PRIu64 ":%" PRIu64 ")",
						  self->index, op, key, vid,
						  object.versions[i].dot.actor.start,
						  object.versions[i].dot.actor.epoch,
						  object.versions[i].dot.counter);
			dyn_history_return(&world->history, op, vid);
			dyn_vids_add(&self->memories[key].vids, vid);
		}
		remember(world, self, key, op, &object, &arena);
	}
	dyn_arena_destroy(&arena);
	return ok;
}

void
dyn_simread_end(struct dyn_world *world, uint32_t op,
				enum dyn_history_result result)
{
	dyn_history_end(&world->history, op, result, world->now_ms);
}

void
dyn_simread_give_up(struct dyn_world *world, struct dyn_simclient *self)
{
	for (uint32_t i = 0; i < self->action.count; i++)
		dyn_simread_end(world, self->action.ops[i], DYN_HISTORY_NO);
	if (self->action.kind == DYN_ACTION_DIRECT ||
		self->action.kind == DYN_ACTION_SCAN)
		dyn_arena_destroy(&self->action.arena);
	dyn_simclient_rest(world, self);
}

/* ---------------------------------------------------------- coordinated get */

/* Ask a coordinator for the keys of the action. */
static struct dyn_attempt *
ask(struct dyn_world *world, struct dyn_simclient *self, uint32_t node)
{
	struct dyn_action *action = &self->action;
	Dyn__GetRequest request = DYN__GET_REQUEST__INIT;
	ProtobufCBinaryData keys[DYN_SIM_BATCH_MAX];
	char texts[DYN_SIM_BATCH_MAX][32];

	for (uint32_t i = 0; i < action->count; i++)
		keys[i] = dyn_bytes_of_slice(dyn_sim_key(action->keys[i], texts[i]));
	request.bucket = dyn_bytes_of_slice(dyn_slice_of(DYN_SIM_BUCKET));
	request.r = action->own_r;
	request.keys = keys;
	request.n_keys = action->count;
	return dyn_sim_send(world, self->index, &self->attempts, node,
						DYN_MESSAGE_GET, &request.base, READ_MS);
}

static void
cancel(struct dyn_world *world, struct dyn_simclient *self,
	   struct dyn_attempt *attempt)
{
	Dyn__Cancel message = DYN__CANCEL__INIT;
	uint64_t correlation = attempt->correlation;

	dyn_world_fault(world, DYN_FAULT_request_cancelled);
	attempt->cancelled = true;
	message.n_correlations = 1;
	message.correlations = &correlation;
	dyn_sim_send(world, self->index, &self->attempts, attempt->node,
				 DYN_MESSAGE_CANCEL, &message.base, 0)
		->cancelled = true;
}

void
dyn_simread_get(struct dyn_world *world, struct dyn_simclient *self)
{
	struct dyn_action *action = &self->action;
	uint8_t r = (uint8_t) world->swarm.r;
	struct dyn_attempt *attempt;

	action->own_r = 0;
	if (dyn_simrandom_chance(&self->random, world->swarm.own_quorum_rate))
		action->own_r = r =
			(uint8_t) dyn_simrandom_between(&self->random, 1, world->swarm.n);
	action->kind = DYN_ACTION_GET;
	for (uint32_t i = 0; i < action->count; i++)
		action->ops[i] = dyn_history_read(&world->history, action->keys[i],
										  self->index, r, true, world->now_ms);
	memset(action->correlations, 0, sizeof(action->correlations));
	attempt = ask(world, self,
				  self->is_extension ? dyn_simext_coordinator(world, self)
									 : dyn_simclient_some_node(world, self));
	action->correlations[0] = attempt->correlation;
	dyn_simclient_await(world, self,
						self->is_extension ? DYN_SIMEXT_COORDINATOR_MS
										   : READ_MS + 500);
	if (dyn_simrandom_chance(&self->random, 10000))
		cancel(world, self, attempt);
}

/* Somebody was silent: as the extension does it, a coordinator is asked, then
 * another one as well; else the read is given up. */
void
dyn_simread_late(struct dyn_world *world, struct dyn_simclient *self)
{
	struct dyn_action *action = &self->action;

	if (!self->is_extension || action->abandoned ||
		action->kind == DYN_ACTION_SCAN ||
		(action->kind == DYN_ACTION_GET && action->correlations[1] != 0))
	{
		dyn_simread_give_up(world, self);
		return;
	}
	dyn_simext_note_silence(world, self);
	self->turn++;
	if (action->kind == DYN_ACTION_GET)
	{
		action->correlations[1] =
			ask(world, self, dyn_simext_coordinator(world, self))->correlation;
		dyn_simclient_timer(world, self, READ_MS);
		return;
	}
	dyn_simread_end(world, action->ops[0], DYN_HISTORY_NO);
	dyn_arena_destroy(&action->arena);
	dyn_simread_get(world, self);
}

static void
take_get(struct dyn_world *world, struct dyn_simclient *self,
		 const Dyn__GetReply *reply)
{
	struct dyn_action *action = &self->action;

	if (reply->n_results != action->count)
		dyn_world_violation(world, "wire", "a GET_REPLY of %zu results",
							reply->n_results);
	for (uint32_t i = 0; i < action->count && i < reply->n_results; i++)
	{
		const Dyn__GetResult *result = reply->results[i];
		bool ok =
			result->status == DYN_STATUS_NOT_FOUND ||
			(result->status == DYN_STATUS_OK &&
			 dyn_simread_note(world, self, action->keys[i], action->ops[i],
							  dyn_slice_of_bytes(result->object)));

		/* W8: who only stands in for an owner cannot know that there is
		 * nothing. */
		if (result->status == DYN_STATUS_NOT_FOUND && result->receipt != NULL &&
			result->receipt->n_fallbacks != 0)
			dyn_world_violation(world, "W8",
								"key %u: \"not found\" rests on a fallback",
								action->keys[i]);
		dyn_sim_note_receipt(world, action->ops[i], result->receipt);
		dyn_simread_end(world, action->ops[i],
						ok ? DYN_HISTORY_OK : DYN_HISTORY_NO);
	}
	dyn_simclient_rest(world, self);
}

/* -------------------------------------------------------------- direct read */

bool
dyn_simread_owners(struct dyn_world *world, struct dyn_simclient *self,
				   uint16_t partition)
{
	struct dyn_action *action = &self->action;
	uint8_t n = self->ring.replica_count;
	uint8_t first;

	if (self->is_extension)
		return dyn_simext_owners(world, self, partition);
	first = (uint8_t) dyn_simrandom_below(&self->random, n);

	action->owner_count = 0;
	for (uint8_t i = 0; i < world->swarm.r; i++)
	{
		const struct dyn_slot *slot =
			dyn_ring_slot(&self->ring, partition, (uint8_t) ((first + i) % n));
		const struct dyn_member *member =
			dyn_ring_member(&self->ring, &slot->node);

		for (uint32_t node = 0; node < world->swarm.node_count; node++)
			if (strcmp(member->address, world->nodes[node].address) == 0)
				action->owners[action->owner_count++] = node;
	}
	return action->owner_count == world->swarm.r;
}

void
dyn_simread_direct(struct dyn_world *world, struct dyn_simclient *self)
{
	struct dyn_action *action = &self->action;
	char text[32];
	struct dyn_record_key record = dyn_sim_record_key(action->keys[0], text);
	ProtobufCBinaryData key = dyn_bytes_of_slice(record.key);

	action->kind = DYN_ACTION_DIRECT;
	action->count = 1;
	action->answer_count = 0;
	action->differs = false;
	action->ops[0] =
		dyn_history_read(&world->history, action->keys[0], self->index,
						 (uint8_t) world->swarm.r, true, world->now_ms);
	dyn_arena_init(&action->arena, dyn_allocator_malloc(), 1024);
	if (!dyn_simread_owners(
			world, self,
			dyn_hash_partition(record.cell, self->ring.partition_count)))
	{
		dyn_simread_late(world, self);
		return;
	}
	for (uint8_t i = 0; i < action->owner_count; i++)
	{
		Dyn__ReadRequest request = DYN__READ_REQUEST__INIT;

		request.bucket = dyn_bytes_of_slice(record.bucket);
		request.n_keys = 1;
		request.keys = &key;
		request.hash_only = i > 0;
		action->correlations[i] =
			dyn_sim_send(world, self->index, &self->attempts, action->owners[i],
						 DYN_MESSAGE_READ, &request.base, READ_MS)
				->correlation;
	}
	dyn_simclient_await(
		world, self, self->is_extension ? DYN_SIMEXT_HEDGE_MS : READ_MS + 500);
}

static void
end_direct(struct dyn_world *world, struct dyn_simclient *self)
{
	struct dyn_action *action = &self->action;
	bool ok =
		!action->differs && (action->status == DYN_STATUS_NOT_FOUND ||
							 dyn_simread_note(world, self, action->keys[0],
											  action->ops[0], action->object));

	dyn_simread_end(world, action->ops[0],
					ok ? DYN_HISTORY_OK : DYN_HISTORY_NO);
	dyn_arena_destroy(&action->arena);
	if (ok)
		dyn_simclient_rest(world, self);
	else
		dyn_simread_get(world, self); /* as the FDW does it */
}

static void
take_read(struct dyn_world *world, struct dyn_simclient *self, uint8_t owner,
		  const Dyn__ReadReply *reply)
{
	struct dyn_action *action = &self->action;
	const Dyn__ReadResult *result;

	if (reply->n_results != 1)
	{
		dyn_world_violation(world, "wire", "a READ_REPLY of %zu results",
							reply->n_results);
		return;
	}
	result = reply->results[0];
	action->correlations[owner] = 0;
	if (result->status == DYN_STATUS_NOT_FOUND)
		dyn_whitebox_absent(world, action->owners[owner], action->keys[0],
							world->history.ops[action->ops[0]].begin_ms);
	if (result->status != DYN_STATUS_OK &&
		result->status != DYN_STATUS_NOT_FOUND)
		action->differs = true;
	if (action->answer_count++ == 0)
	{
		action->hash = result->hash;
		action->status = (enum dyn_status) result->status;
	}
	else if (action->hash != result->hash ||
			 action->status != (enum dyn_status) result->status)
		action->differs = true;
	if (owner == 0)
		action->object =
			dyn_arena_copy(&action->arena, dyn_slice_of_bytes(result->object));
	if (action->answer_count == action->owner_count)
		end_direct(world, self);
}

/* ------------------------------------------------------------------- answers */

void
dyn_simread_take(struct dyn_world *world, struct dyn_simclient *self,
				 const struct dyn_envelope *env, const ProtobufCMessage *body)
{
	struct dyn_action *action = &self->action;
	uint8_t place = 0;

	while (place < DYN_REPLICAS_MAX &&
		   action->correlations[place] != env->correlation)
		place++;
	if (place == DYN_REPLICAS_MAX)
		return; /* of an action given up */
	if (env->type == DYN_MESSAGE_ERROR)
		dyn_simread_give_up(world, self);
	else if (action->kind == DYN_ACTION_GET &&
			 env->type == DYN_MESSAGE_GET_REPLY)
		take_get(world, self, (const Dyn__GetReply *) body);
	else if (action->kind == DYN_ACTION_DIRECT &&
			 env->type == DYN_MESSAGE_READ_REPLY)
		take_read(world, self, place, (const Dyn__ReadReply *) body);
	else if (action->kind == DYN_ACTION_SCAN &&
			 env->type == DYN_MESSAGE_SCAN_REPLY)
		dyn_simscan_take(world, self, (const Dyn__ScanReply *) body);
	else
		dyn_world_violation(world, "wire", "an answer of another kind: %s",
							dyn_message_name(env->type));
}
