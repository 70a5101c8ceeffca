#include "tests/sim/world.h"

#include "model/arena.h"
#include "model/bucket.h"
#include "model/wall.h"
#include "tests/sim/nemesis.h"
#include "tests/sim/simclient_state.h"
#include "tests/sim/simlmdb.h"
#include "tests/sim/simnet.h"
#include "tests/sim/simview.h"
#include "tests/sim/whitebox.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum
{
	STEPS_MAX = 20000000,  /* a run that goes on and on is a failure too */
	STAMPS_DRIFT_MS = 1000 /* of writes in one millisecond, each one more */
};

uint64_t
dyn_world_wall_ms(const struct dyn_world *self)
{
	return self->wall_base_ms + self->now_ms;
}

/* ------------------------------------------------------------------- reports */

void
dyn_world_mix(struct dyn_world *self, uint64_t value)
{
	uint64_t z = self->trace ^ value;

	z = (z ^ (z >> 31)) * UINT64_C(0x9fb21c651e98df25);
	self->trace = (z ^ (z >> 28)) + UINT64_C(0x9e3779b97f4a7c15);
}

void
dyn_world_violation(struct dyn_world *self, const char *rule,
					const char *format, ...)
{
	va_list arguments;
	char text[256];

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (self->violation_count++ == 0)
		snprintf(self->first_violation, sizeof(self->first_violation),
				 "%s at %" PRIu64 " ms: %s", rule, self->now_ms, text);
	dyn_world_say(self, "VIOLATION %s: %s", rule, text);
}

const char *
dyn_fault_name(enum dyn_fault fault)
{
	static const char *const names[] = {
#define FAULT_NAME(name) #name,
		DYN_FAULT_MAP(FAULT_NAME)
#undef FAULT_NAME
	};

	return names[fault];
}

void
dyn_world_fault(struct dyn_world *self, enum dyn_fault fault)
{
	self->faults[fault]++;
}

void
dyn_world_say(const struct dyn_world *self, const char *format, ...)
{
	va_list arguments;

	if (!self->verbose)
		return;
	printf("%8" PRIu64 "  ", self->now_ms);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
}

/* -------------------------------------------------------------------- events */

void
dyn_world_push(struct dyn_world *self, uint64_t at_ms,
			   enum dyn_world_event kind, uint32_t who, uint64_t what,
			   void *data)
{
	dyn_simqueue_push(&self->queue, (struct dyn_simevent){ .at_ms = at_ms,
														   .kind = kind,
														   .who = who,
														   .what = what,
														   .data = data });
}

void
dyn_world_end_full(struct dyn_world *self, uint32_t index)
{
	struct dyn_simnode *node = &self->nodes[index];

	if (self->now_ms < node->full_until_ms)
		return;
	dyn_simdisk_set_full(node->disk, false);
	dyn_simnode_plan(self, index);
}

static void
handle(struct dyn_world *self, struct dyn_simevent *event)
{
	switch ((enum dyn_world_event) event->kind)
	{
		case DYN_WORLD_FRAME:
			dyn_simnet_arrive(self, event);
			break;
		case DYN_WORLD_WAKE:
			dyn_simnode_wake(self, event->who, event->what);
			break;
		case DYN_WORLD_LINK_TRY:
			dyn_simnet_try(self, event->what);
			break;
		case DYN_WORLD_LINK_LOST:
			dyn_simnet_lost(self, event->what);
			break;
		case DYN_WORLD_START:
			dyn_simnode_start(self, event->who);
			break;
		case DYN_WORLD_RESUME:
			dyn_world_end_full(self, event->who);
			break;
		case DYN_WORLD_CLIENT:
			dyn_simclient_wake(self, event->who, event->what);
			break;
		case DYN_WORLD_NEMESIS:
			dyn_nemesis_strike(self, event->who);
			break;
		case DYN_WORLD_CRASH:
			if (!self->calm)
				dyn_simnode_crash(self, event->who, event->what);
			break;
		case DYN_WORLD_SHOT:
			if (!self->calm && self->nodes[event->who].life == event->what)
				dyn_simnode_crash(self, event->who,
								  dyn_simrandom_below(
									  &self->nodes[event->who].random,
									  (uint64_t) self->swarm.down_ms_max + 1));
			break;
		case DYN_WORLD_FLAP:
			dyn_nemesis_flap_again(self, event->who, event->what);
			break;
		case DYN_WORLD_MEND:
			dyn_simnet_mend(self, event->who, event->what);
			break;
		case DYN_WORLD_WOKEN:
			dyn_simnet_woken(self, event->who);
			break;
		case DYN_WORLD_RETRANSMIT:
			dyn_simnet_retransmit(self, event->what);
			break;
	}
}

void
dyn_world_run_until(struct dyn_world *self, uint64_t until_ms)
{
	while (self->queue.count > 0 && self->queue.items[0].at_ms <= until_ms &&
		   self->step_count < STEPS_MAX)
	{
		struct dyn_simevent event;

		dyn_simqueue_pop(&self->queue, &event);
		if (event.at_ms > self->now_ms)
			self->now_ms = event.at_ms;
		handle(self, &event);
	}
	if (self->step_count >= STEPS_MAX && self->violation_count == 0)
		dyn_world_violation(self, "runaway", "%d steps", (int) STEPS_MAX);
	self->now_ms = until_ms;
}

/* -------------------------------------------------------------- life of a run */

/*
 * How far the ends of values may be off.  Never early, as long as clocks are
 * within bounds; late by as much as they differ, or as nodes think that they
 * do, where their steady clocks run fast or slow, or answers come late: what a
 * node hears of another one's clock is as uncertain as the answer took.
 */
static void
set_clocks(struct dyn_world *self)
{
	struct dyn_history *history = &self->history;
	bool wild = self->swarm.wall_period_ms != 0;
	bool steady =
		self->swarm.clock_slowest == 1000 && self->swarm.clock_fastest == 1000;
	bool prompt =
		self->swarm.pause_period_ms == 0 && self->swarm.halt_period_ms == 0 &&
		self->swarm.clog_period_ms == 0 && self->swarm.retransmit_rate == 0;

	history->clocks_differ_ms =
		wild ? UINT64_MAX : STAMPS_DRIFT_MS + self->swarm.skew_ms_max;
	history->ends_early_ms = wild ? UINT64_MAX : STAMPS_DRIFT_MS;
	history->ends_late_ms =
		wild ? UINT64_MAX
			 : STAMPS_DRIFT_MS + self->swarm.skew_ms_max +
				   (steady && prompt ? 0 : 2 * DYN_CLOCKS_APART_MS);
}

/* The properties of the bucket are known to all nodes from the start. */
static void
plant_bucket(struct dyn_world *self)
{
	struct dyn_allocator heap = dyn_allocator_malloc();
	struct dyn_record_key place = { .key = dyn_slice_of("buckets") };
	struct dyn_buckets *table = dyn_sim_allocate(sizeof(*table));
	struct dyn_bucket bucket = dyn_bucket_of(dyn_slice_of(DYN_SIM_BUCKET));
	struct dyn_slice bytes;
	struct dyn_simblob *blob;

	bucket.conflict =
		self->swarm.lww ? DYN_CONFLICT_LWW : DYN_CONFLICT_SIBLINGS;
	bucket.ttl_ms = self->swarm.ttl_ms;
	bucket.version = 1;
	dyn_buckets_merge_one(table, &bucket);
	dyn_buckets_encode(table, &heap, &bytes);
	blob = dyn_simblob_new(bytes);
	for (uint32_t i = 0; i < self->swarm.node_count; i++)
		dyn_simdisk_put(
			self->nodes[i].disk, DYN_TABLE_META,
			&(struct dyn_simrecord){ .key = place, .object = blob });
	dyn_simblob_release(blob);
	heap.release(heap.context, (void *) bytes.data);
	free(table);
	self->history.lww = self->swarm.lww != 0;
	self->history.ttl_ms = self->swarm.ttl_ms;
	set_clocks(self);
}

struct dyn_simdisk *
dyn_world_new_disk(const struct dyn_world *self)
{
	if (self->swarm.lmdb)
		return dyn_simdisk_new_beside(dyn_simlmdb_new());
	return dyn_simdisk_new();
}

struct dyn_world *
dyn_world_new(uint64_t seed, const struct dyn_swarm *swarm, bool verbose)
{
	struct dyn_world *self = dyn_sim_allocate(sizeof(*self));

	self->seed = seed;
	self->swarm = *swarm;
	self->verbose = verbose;
	self->now_ms = 1000;
	self->random = dyn_simrandom_stream(seed, 1);
	self->wall_base_ms = UINT64_C(1700000000000) +
						 dyn_simrandom_below(&self->random, 1000000000);
	self->net = dyn_simnet_new(seed);
	self->whitebox = dyn_whitebox_new();
	dyn_history_init(&self->history, swarm->key_count);
	for (uint32_t i = 0; i < DYN_SIM_NODES_MAX; i++)
		dyn_simnode_init(self, i);
	if (swarm->lww || swarm->ttl_ms)
		plant_bucket(self);
	for (uint32_t i = 0; i < swarm->node_count; i++)
	{
		dyn_world_push(self,
					   self->now_ms + dyn_simrandom_below(&self->random, 500),
					   DYN_WORLD_START, i, 0, NULL);
	}
	for (uint32_t i = 0; i < swarm->client_count; i++)
	{
		dyn_simclient_new(self, i);
		dyn_world_push(self, self->now_ms + 2000, DYN_WORLD_CLIENT, i, 0, NULL);
	}
	dyn_simclient_new(self, DYN_SIM_OPERATOR);
	dyn_simview_spread(self);
	return self;
}

void
dyn_world_free(struct dyn_world **self)
{
	struct dyn_world *world = *self;
	struct dyn_simevent event;

	while (dyn_simqueue_pop(&world->queue, &event))
		if (event.kind == DYN_WORLD_FRAME)
			dyn_simnet_drop(&event);
	dyn_simqueue_destroy(&world->queue);
	for (uint32_t i = 0; i < DYN_SIM_CLIENTS_MAX; i++)
		dyn_simclient_free(world, i);
	for (uint32_t i = 0; i < DYN_SIM_NODES_MAX; i++)
		dyn_simnode_destroy(world, i);
	dyn_simnet_free(&world->net);
	dyn_whitebox_free(&world->whitebox);
	dyn_history_destroy(&world->history);
	for (uint32_t i = 0; i < world->write_capacity; i++)
		free((void *) world->writes[i].context.data);
	free(world->writes);
	free(world->crashes_ms);
	free(world);
	*self = NULL;
}

/* ------------------------------------------------------------------ the run */

void
dyn_world_run(struct dyn_world *self)
{
	dyn_nemesis_begin(self);
	dyn_world_run_until(self, self->now_ms + self->swarm.duration_ms);
	dyn_world_finish(self);
}
