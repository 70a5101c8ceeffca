/*
 * The harness of a core: feeds it events, performs its effects, kills it.
 */
#include "core/coord_put.h"
#include "core/exchange.h"
#include "core/prune.h"
#include "core/state.h"
#include "model/hash.h"
#include "tests/sim/nemesis.h"
#include "tests/sim/simclient.h"
#include "tests/sim/simnet.h"
#include "tests/sim/whitebox.h"
#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum
{
	STEPS_AT_ONCE_MAX = 100000, /* of one node in one millisecond */
	MILLION = 1000000,
	MADE_OF_A_KEY = 4,          /* so often its object, at most */
	MADE_OF_A_FRAME = 4,        /* unpacked, passed on, answered */
	HELD_OF_WRITTEN = 2,        /* so often what room.h counts of it */
	MADE_OF_A_REAP_ITEM = 1024, /* bytes, with its key */
	MADE_OF_A_REAP_ACTOR = 80
};

bool
dyn_simnode_is_up(const struct dyn_world *world, uint32_t index)
{
	return world->nodes[index].node != NULL;
}

/* ------------------------------------------------------------------- clocks */

uint64_t
dyn_simnode_clock(const struct dyn_world *world, uint32_t index)
{
	const struct dyn_simnode *self = &world->nodes[index];

	return self->clock_base_ms +
		   (world->now_ms - self->started_at_ms) * self->clock_ppm / MILLION;
}

/* When a node's clock will show this time. */
static uint64_t
world_time(const struct dyn_simnode *self, uint64_t clock_ms)
{
	uint64_t passed;

	if (clock_ms == UINT64_MAX)
		return UINT64_MAX;
	if (clock_ms <= self->clock_base_ms)
		return self->started_at_ms;
	passed = clock_ms - self->clock_base_ms;
	return self->started_at_ms +
		   (passed * MILLION + self->clock_ppm - 1) / self->clock_ppm;
}

void
dyn_simnode_plan(struct dyn_world *world, uint32_t index)
{
	struct dyn_simnode *self = &world->nodes[index];
	uint64_t at_ms;
	uint64_t store_ms;

	if (self->node == NULL)
		return;
	at_ms = world_time(self, dyn_node_deadline(self->node));
	store_ms = dyn_simstore_deadline(self->store);
	if (store_ms < at_ms)
		at_ms = store_ms;
	if (at_ms < self->paused_until_ms + self->late_ms)
		at_ms = self->paused_until_ms + self->late_ms;
	if (at_ms < world->now_ms)
		at_ms = world->now_ms;
	if (at_ms >= self->wake_at_ms)
		return;
	self->wake_at_ms = at_ms;
	dyn_world_push(world, at_ms, DYN_WORLD_WAKE, index, ++self->wake_serial,
				   NULL);
}

/* ------------------------------------------------------------------ effects */

static void
say_frame(const struct dyn_world *world, uint32_t index, const char *what,
		  uint64_t where, struct dyn_slice frame)
{
	struct dyn_envelope env = { 0 };

	if (!world->verbose)
		return;
	if (dyn_envelope_open(frame, &env) != DYN_STATUS_OK)
		dyn_world_say(world, "node %u %s %" PRIx64 " damaged", index, what,
					  where);
	else
		dyn_world_say(world,
					  "node %u %s %" PRIx64 " %s correlation %" PRIx64
					  " %zu bytes",
					  index, what, where, dyn_message_name(env.type),
					  env.correlation, env.body.size);
}

static void
perform(struct dyn_world *world, uint32_t index,
		const struct dyn_effect *effect)
{
	struct dyn_simnode *self = &world->nodes[index];

	switch (effect->type)
	{
		case DYN_EFFECT_SEND:
			dyn_world_mix(world, dyn_hash_bytes(effect->send.frame));
			say_frame(world, index, "sends to peer", effect->send.peer_index,
					  effect->send.frame);
			dyn_whitebox_send(world, index, effect->send.frame);
			dyn_simnet_send(world, index, effect->send.peer_index,
							effect->send.plane, effect->send.frame);
			break;
		case DYN_EFFECT_REPLY:
			dyn_world_mix(world, dyn_hash_bytes(effect->reply.frame));
			say_frame(world, index, "replies to", effect->reply.route,
					  effect->reply.frame);
			dyn_whitebox_reply(world, index, effect->reply.route,
							   effect->reply.frame);
			dyn_simnet_reply(world, index, effect->reply.route,
							 effect->reply.frame);
			break;
		case DYN_EFFECT_STORE:
			dyn_world_say(world, "node %u stores %" PRIu64 " (%u records)",
						  index, effect->store.token,
						  effect->store.write_count);
			for (uint32_t i = 0; i < effect->store.write_count; i++)
				dyn_world_mix(world,
							  dyn_hash_bytes(effect->store.writes[i].object));
			dyn_whitebox_store(world, index, effect);
			self->store->ops->submit(self->store, effect);
			break;
		case DYN_EFFECT_LOAD:
		case DYN_EFFECT_SCAN:
		case DYN_EFFECT_TREE:
			self->store->ops->submit(self->store, effect);
			break;
		case DYN_EFFECT_CONNECT:
			dyn_simnet_connect(world, index, effect->connect.peer_index,
							   effect->connect.address);
			break;
		case DYN_EFFECT_LOG:
			dyn_world_say(world, "node %u: %.*s", index,
						  (int) effect->log.text.size,
						  (const char *) effect->log.text.data);
			break;
		case DYN_EFFECT_FATAL:
			self->dying = true;
			if (dyn_nemesis_has_twin(world, index))
			{
				dyn_world_fault(world, DYN_FAULT_twin_refused);
				break;
			}
			dyn_world_violation(world, "fatal", "node %u: %.*s", index,
								(int) effect->fatal.text.size,
								(const char *) effect->fatal.text.data);
			break;
	}
}

static bool
is_target(const struct dyn_world *world, uint8_t snipe,
		  const struct dyn_effect *effect)
{
	uint32_t client;

	if (snipe == DYN_SNIPE_STORE)
		return effect->type == DYN_EFFECT_STORE &&
			   effect->store.writes[0].table != DYN_TABLE_META;
	if (snipe == DYN_SNIPE_SEND)
		return effect->type == DYN_EFFECT_SEND && effect->send.frame.size > 5 &&
			   effect->send.frame.data[5] == DYN_MESSAGE_REPLICATE;
	return effect->type == DYN_EFFECT_REPLY &&
		   dyn_simnet_route_client(world, effect->reply.route, &client);
}

/* The sniper waits for an effect; the node dies when the step is over, or a
 * little later. */
static void
aim(struct dyn_world *world, uint32_t index, const struct dyn_effect *effect)
{
	static const enum dyn_fault faults[] = { 0, DYN_FAULT_crash_at_store,
											 DYN_FAULT_crash_at_send,
											 DYN_FAULT_crash_at_reply };
	struct dyn_simnode *self = &world->nodes[index];

	if (!is_target(world, self->snipe, effect) || --self->snipe_count > 0)
		return;
	dyn_world_fault(world, faults[self->snipe]);
	self->snipe = DYN_SNIPE_NOT;
	dyn_world_push(world, world->now_ms + self->snipe_delay_ms, DYN_WORLD_SHOT,
				   index, self->life, NULL);
}

/* Effects may not change while they are performed: nothing here steps. */
static void
perform_all(struct dyn_world *world, uint32_t index)
{
	struct dyn_effects *effects = &world->nodes[index].effects;
	bool loads = false;
	bool stores = false;

	for (uint32_t i = 0; i < effects->count; i++)
	{
		perform(world, index, &effects->items[i]);
		if (world->nodes[index].snipe != DYN_SNIPE_NOT)
			aim(world, index, &effects->items[i]);
		if (effects->items[i].type == DYN_EFFECT_LOAD)
			loads = true;
		if (effects->items[i].type == DYN_EFFECT_STORE &&
			effects->items[i].store.writes[0].table != DYN_TABLE_META)
			stores = true;
	}
	if (loads)
		dyn_nemesis_halt_now(world, index, DYN_HALT_LOAD);
	if (stores)
		dyn_nemesis_halt_now(world, index, DYN_HALT_STORE);
	dyn_effects_reset(effects);
}

/* W4: nobody works for ever in one moment. */
static void
notice_circles(struct dyn_world *world, uint32_t index)
{
	struct dyn_simnode *self = &world->nodes[index];

	if (self->busy_ms != world->now_ms)
	{
		self->busy_ms = world->now_ms;
		self->busy_count = 0;
	}
	if (++self->busy_count != STEPS_AT_ONCE_MAX)
		return;
	dyn_world_violation(world, "W4", "node %u goes round in circles", index);
	self->dying = true;
}

/* What puts count by themselves (core/room.h), those that are decided, too:
 * their request keeps what it holds of them until it is answered. */
static size_t
written_bytes(const struct dyn_request *request)
{
	size_t bytes = 0;

	if (request->kind != &dyn_put_kind || request->puts == NULL)
		return 0;
	for (uint32_t op = 0; op < request->op_count; op++)
		bytes += request->puts[op].held_bytes;
	return bytes;
}

/* Of a page of reaping, which asks for no room: small, and there is one for
 * each member at most.  It names what is to be pruned from each item, actor by
 * actor. */
static size_t
reaped_bytes(const struct dyn_request *request)
{
	size_t most = (size_t) request->op_count *
				  (MADE_OF_A_REAP_ITEM +
				   (size_t) DYN_PRUNE_ACTORS_MAX * MADE_OF_A_REAP_ACTOR);
	size_t taken = dyn_arena_taken(&request->arena);

	if (request->kind != &dyn_reap_kind)
		return 0;
	return taken < most ? taken : most;
}

/* What may come on top of memory_max and half of it: all that was written,
 * what is reaped, what is made of one key, and of the largest frame. */
static size_t
memory_on_top(const struct dyn_world *world, const struct dyn_simnode *self)
{
	const struct dyn_request *request = self->node->requests;
	size_t one_key = dyn_simdisk_largest(self->disk) + world->swarm.value_limit;
	size_t written = 0;
	size_t reaped = 0;
	size_t frame = 0;

	for (; request != NULL; request = request->hh.next)
	{
		written += written_bytes(request);
		reaped += reaped_bytes(request);
		if (request->bytes > frame)
			frame = request->bytes;
	}
	return MADE_OF_A_KEY * one_key + HELD_OF_WRITTEN * written + reaped +
		   MADE_OF_A_FRAME * frame;
}

/* W4: a node counts all that its requests hold, and holds no more than it is
 * told, but for what may come on top (core/room.h). */
static void
check_memory(struct dyn_world *world, uint32_t index)
{
	const struct dyn_simnode *self = &world->nodes[index];
	size_t memory_max = world->swarm.memory_max;
	size_t most = memory_max + memory_max / 2 + memory_on_top(world, self);
	size_t counted;
	size_t found;

	dyn_node_memory(self->node, &counted, &found);
	if (counted != found)
		dyn_world_violation(world, "W4",
							"node %u counts %zu bytes of requests, they "
							"hold %zu",
							index, counted, found);
	if (memory_max != 0 && found > most)
		dyn_world_violation(world, "W4",
							"node %u holds %zu bytes of requests, it was to "
							"hold %zu and %zu at most",
							index, found, memory_max, most);
}

/* W9: a node that writes nothing counts the hints that it has on disk, and it
 * never has more than it is told. */
static void
check_hint_count(struct dyn_world *world, uint32_t index)
{
	const struct dyn_simnode *self = &world->nodes[index];
	uint32_t count = dyn_simdisk_count(self->disk, DYN_TABLE_HINTS);
	uint32_t requests;
	uint32_t keys;

	if (world->swarm.hints_max != 0 && count > world->swarm.hints_max)
		dyn_world_violation(world, "W9", "node %u has %u hints, %u are allowed",
							index, count, world->swarm.hints_max);
	dyn_node_load(self->node, &requests, &keys);
	if (keys == 0 && !self->hints_lost &&
		dyn_node_hint_count(self->node) != count)
		dyn_world_violation(world, "W9",
							"node %u counts %" PRIu64 " hints, it has %u",
							index, dyn_node_hint_count(self->node), count);
}

static void
step(struct dyn_world *world, uint32_t index, struct dyn_event *event)
{
	struct dyn_simnode *self = &world->nodes[index];

	event->wall_ms =
		(uint64_t) ((int64_t) (world->wall_base_ms + world->now_ms) +
					self->wall_offset_ms);
	dyn_world_mix(world, world->now_ms << 8 | index << 4 | event->type);
	world->step_count++;
	notice_circles(world, index);
	dyn_node_step(self->node, event, dyn_simnode_clock(world, index),
				  &self->effects);
	dyn_node_check(self->node);
	check_memory(world, index);
	perform_all(world, index);
	check_hint_count(world, index);
}

void
dyn_simnode_take(struct dyn_world *world, uint32_t index,
				 struct dyn_event *event)
{
	if (world->verbose && event->type == DYN_EVENT_MESSAGE)
		say_frame(world, index,
				  event->message.source == DYN_SOURCE_PEER ? "hears peer"
														   : "is asked by",
				  event->message.source == DYN_SOURCE_PEER
					  ? event->message.peer_index
					  : event->message.route,
				  event->message.frame);
	else if (event->type != DYN_EVENT_TICK)
		dyn_world_say(world, "node %u event %d", index, (int) event->type);
	step(world, index, event);
	dyn_simnode_plan(world, index);
}

/* -------------------------------------------------------------------- store */

struct completion
{
	struct dyn_world *world;
	uint32_t index;
};

static void
count_troubles(struct dyn_world *world, const struct dyn_event *event)
{
	if (event->type == DYN_EVENT_STORED &&
		event->stored.status == DYN_STATUS_ABORTED)
		dyn_world_fault(world, DYN_FAULT_commit_aborted);
	if (event->type == DYN_EVENT_STORED &&
		event->stored.status == DYN_STATUS_FULL)
		dyn_world_fault(world, DYN_FAULT_commit_refused);
	if (event->type != DYN_EVENT_LOADED)
		return;
	for (uint32_t i = 0; i < event->loaded.record_count; i++)
	{
		enum dyn_loaded_state state = event->loaded.records[i].state;

		if (state == DYN_LOADED_IO_ERROR)
			dyn_world_fault(world, DYN_FAULT_read_failed);
		if (state == DYN_LOADED_CORRUPT || state == DYN_LOADED_DOUBTED)
			dyn_world_fault(world, DYN_FAULT_record_met_damaged);
	}
}

static void
complete(void *context, const struct dyn_event *event)
{
	struct completion *self = context;
	struct dyn_event copy = *event;

	if (self->world->nodes[self->index].dying)
		return;
	count_troubles(self->world, event);
	if (event->type == DYN_EVENT_STORED)
		dyn_world_say(self->world, "node %u stored %" PRIu64 ": %s",
					  self->index, event->stored.token,
					  dyn_status_name(event->stored.status));
	step(self->world, self->index, &copy);
}

void
dyn_simnode_wake(struct dyn_world *world, uint32_t index, uint64_t serial)
{
	struct dyn_simnode *self = &world->nodes[index];
	struct dyn_event tick = { .type = DYN_EVENT_TICK };
	const char *reason;

	if (self->node == NULL || serial != self->wake_serial)
		return;
	self->wake_at_ms = UINT64_MAX;
	if (self->paused_until_ms > world->now_ms)
	{
		dyn_simnode_plan(world, index);
		return;
	}
	if (!self->store->ops->dispatch(self->store, &reason) || self->dying)
	{
		dyn_simnode_crash(
			world, index,
			dyn_simrandom_below(&self->random,
								(uint64_t) world->swarm.down_ms_max + 1));
		return;
	}
	dyn_whitebox_drift(world, index);
	if (world_time(self, dyn_node_deadline(self->node)) <= world->now_ms)
		step(world, index, &tick);
	dyn_simnode_plan(world, index);
}

/* ---------------------------------------------------------- start and crash */

static void
free_completion(struct dyn_simnode *self)
{
	free(self->completion);
	self->completion = NULL;
}

static void
open_store(struct dyn_world *world, uint32_t index)
{
	struct dyn_simnode *self = &world->nodes[index];
	const struct dyn_swarm *swarm = &world->swarm;
	struct completion *completion = dyn_sim_allocate(sizeof(*completion));
	struct dyn_simstore_config config = {
		.now_ms = &world->now_ms,
		.seed = dyn_simrandom_next(&self->random),
		.commit_ms_max = swarm->commit_ms_max,
		.read_ms_max = swarm->read_ms_max,
		.slow_ms_max = swarm->slow_ms_max,
		.disk_sync_ms = swarm->disk_sync_ms,
		.disk_bytes_per_ms = swarm->disk_bytes_per_ms,
		.slow_rate = world->calm ? 0 : swarm->slow_rate,
		.abort_rate = world->calm ? 0 : swarm->abort_rate,
		.io_error_rate = world->calm ? 0 : swarm->io_error_rate
	};

	completion->world = world;
	completion->index = index;
	self->completion = completion;
	self->store = dyn_simstore_open(self->disk, &config, complete, completion);
}

static void
boot(struct dyn_world *world, uint32_t index)
{
	struct dyn_simnode *self = &world->nodes[index];
	const struct dyn_swarm *swarm = &world->swarm;
	const char *seeds[DYN_SIM_NODES_MAX];
	struct dyn_node_config config = {
		.cluster_name = "sim",
		.address = self->address,
		.seeds = seeds,
		.seed_count = swarm->node_count,
		.node_id = self->id,
		.zone = "",
		.version = "sim",
		.n = (uint8_t) swarm->n,
		.r = (uint8_t) swarm->r,
		.w = (uint8_t) swarm->w,
		.partition_count = (uint16_t) swarm->partition_count,
		.value_size_max = swarm->value_limit,
		.request_timeout_ms = swarm->request_timeout_ms,
		.hedge_ms = swarm->hedge_ms,
		.heartbeat_ms = swarm->heartbeat_ms,
		.reap_ms = swarm->reap_ms ? swarm->reap_ms : DYN_REAP_NEVER,
		.tombstone_grace_ms = swarm->grace_ms,
		.scrub_ms = swarm->scrub_ms ? swarm->scrub_ms : DYN_SCRUB_NEVER,
		.anti_entropy_ms = swarm->anti_entropy_ms ? swarm->anti_entropy_ms
												  : DYN_ANTI_ENTROPY_NEVER,
		.requests_max = swarm->requests_max,
		.keys_max = swarm->keys_max,
		.bytes_max = swarm->bytes_max,
		.memory_max = swarm->memory_max,
		.load_bytes_max = swarm->load_bytes_max,
		.hints_max = swarm->hints_max
	};
	struct dyn_boot record = { .start_id = dyn_simrandom_next(&self->random),
							   .prng_seed = dyn_simrandom_next(&self->random),
							   .writable = !dyn_simdisk_is_full(self->disk) };
	struct dyn_allocator allocator;
	struct dyn_arena arena;
	struct dyn_slice *names;
	struct dyn_slice *values;
	struct dyn_meta_record *records;

	for (uint32_t i = 0; i < swarm->node_count; i++)
		seeds[i] = world->nodes[i].address;
	dyn_arena_init(&arena, dyn_allocator_malloc(), 0);
	allocator = arena.allocator;
	self->store->ops->read_meta(self->store, &allocator, &names, &values,
								&record.record_count);
	self->store->ops->count(self->store, DYN_TABLE_HINTS, &record.hint_count);
	self->hints_lost = false;
	/* A new store does not start on a full disk: somebody makes room. */
	if (record.record_count == 0 && !record.writable)
	{
		dyn_simdisk_set_full(self->disk, false);
		record.writable = true;
	}
	records = dyn_arena_allocate(&arena,
								 (record.record_count + 1) * sizeof(*records));
	for (uint32_t i = 0; i < record.record_count; i++)
		records[i] = (struct dyn_meta_record){ names[i], values[i] };
	record.records = records;
	if (dyn_node_new(&config, &record, dyn_simnode_clock(world, index),
					 &self->effects, &self->node) != DYN_STATUS_OK)
		dyn_world_violation(world, "boot", "node %u does not start", index);
	perform_all(world, index);
	dyn_arena_destroy(&arena);
}

void
dyn_simnode_start(struct dyn_world *world, uint32_t index)
{
	struct dyn_simnode *self = &world->nodes[index];

	if (self->node != NULL ||
		(index == DYN_SIM_CLONE &&
		 (!dyn_simnode_is_up(world, self->twin) ||
		  world->nodes[self->twin].paused_until_ms > world->now_ms)))
		return;
	dyn_world_say(world, "node %u starts", index);
	self->life++;
	self->dying = false;
	self->paused_until_ms = 0;
	self->wake_at_ms = UINT64_MAX;
	self->wake_serial++;
	self->started_at_ms = world->now_ms;
	self->clock_base_ms = dyn_simrandom_below(&self->random, 1000000000);
	self->clock_ppm = 1000 * (uint32_t) dyn_simrandom_between(
								 &self->random, world->swarm.clock_slowest,
								 world->swarm.clock_fastest);
	if (self->clock_ppm <= 900000 || self->clock_ppm >= 1100000)
		dyn_world_fault(world, DYN_FAULT_clock_rate);
	if (world->swarm.drift_ppm != 0)
		self->clock_ppm += (uint32_t) dyn_simrandom_below(
							   &self->random, 2 * world->swarm.drift_ppm + 1) -
						   world->swarm.drift_ppm;
	self->snipe = DYN_SNIPE_NOT;
	self->halt = DYN_HALT_NOT;
	self->late_ms = 0;
	open_store(world, index);
	boot(world, index);
	dyn_whitebox_drift(world, index);
	if (self->node == NULL)
	{
		dyn_simstore_crash(&self->store);
		free_completion(self);
		return;
	}
	dyn_simnode_plan(world, index);
}

void
dyn_simnode_crash(struct dyn_world *world, uint32_t index, uint64_t down_ms)
{
	struct dyn_simnode *self = &world->nodes[index];

	if (self->node == NULL)
		return;
	if (index != DYN_SIM_CLONE && dyn_nemesis_has_twin(world, index))
		dyn_nemesis_end_clone(world);
	dyn_world_say(world, "node %u crashes", index);
	dyn_world_mix(world, world->now_ms << 8 | 0xff);
	dyn_world_fault(world, DYN_FAULT_crash);
	world->crashes_ms =
		dyn_sim_grow(world->crashes_ms,
					 (world->crash_count + 1) * sizeof(*world->crashes_ms));
	world->crashes_ms[world->crash_count++] = world->now_ms;
	dyn_node_destroy(&self->node);
	dyn_simstore_crash(&self->store);
	free_completion(self);
	dyn_simnet_node_down(world, index);
	if (down_ms != UINT64_MAX && index != DYN_SIM_CLONE)
		dyn_world_push(world, world->now_ms + 1 + down_ms, DYN_WORLD_START,
					   index, 0, NULL);
}

void
dyn_simnode_init(struct dyn_world *world, uint32_t index)
{
	struct dyn_simnode *self = &world->nodes[index];

	snprintf(self->address, sizeof(self->address), "10.0.0.%u:7001", index + 1);
	self->disk = dyn_world_new_disk(world);
	self->random = dyn_simrandom_stream(world->seed, 2000 + index);
	dyn_effects_init(&self->effects);
}

void
dyn_simnode_destroy(struct dyn_world *world, uint32_t index)
{
	struct dyn_simnode *self = &world->nodes[index];

	dyn_node_destroy(&self->node);
	if (self->store != NULL)
		dyn_simstore_crash(&self->store);
	free_completion(self);
	dyn_effects_destroy(&self->effects);
	dyn_simdisk_free(&self->disk);
	if (self->snapshot != NULL)
		dyn_simdisk_free(&self->snapshot);
}
