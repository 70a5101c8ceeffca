#include "fuzz/fuzznode.h"

#include "fuzz/founding.h"
#include "fuzz/targets.h"

#include "core/key_table.h"
#include "model/message.h"
#include "model/object.h"
#include "tests/sim/simstore.h"

#include <string.h>

struct dyn_slice
fuzznode_frame(const struct fuzznode *self, uint8_t type, uint32_t remaining_ms,
			   uint64_t correlation, struct dyn_slice body)
{
	uint8_t *frame = malloc(DYN_ENVELOPE_SIZE + body.size);
	struct dyn_envelope env = { .type = (enum dyn_message_type) type,
								.remaining_ms = remaining_ms,
								.correlation = correlation,
								.cluster = self->cluster,
								.body = { frame + DYN_ENVELOPE_SIZE,
										  body.size } };

	if (body.size != 0)
		memcpy(frame + DYN_ENVELOPE_SIZE, body.data, body.size);
	dyn_envelope_seal(&env, frame);
	return (struct dyn_slice){ frame, DYN_ENVELOPE_SIZE + body.size };
}

/* ------------------------------------------------------------------ effects */

/* What goes out is sound; a client's question is answered once. */
static void
check_reply(struct fuzznode *self, uint64_t route, struct dyn_slice frame)
{
	struct dyn_envelope env;

	FUZZ_REQUIRE(dyn_envelope_open(frame, &env) == DYN_STATUS_OK);
	if (route != 1 || env.correlation == 0 || env.correlation > 255)
		return;
	FUZZ_REQUIRE(self->answers[env.correlation] == 0);
	self->answers[env.correlation] = 1;
}

static void
note_call(struct fuzznode *self, uint32_t peer_index, struct dyn_slice frame)
{
	struct fuzznode_call *call =
		&self->calls[self->call_count % FUZZNODE_CALLS_MAX];
	struct dyn_envelope env;

	FUZZ_REQUIRE(dyn_envelope_open(frame, &env) == DYN_STATUS_OK);
	if (env.correlation == 0)
		return;
	*call = (struct fuzznode_call){ peer_index, (uint8_t) env.type,
									env.correlation };
	self->call_count++;
}

/* What goes to disk can be read again, and has its hash. */
static void
check_store(const struct dyn_effect *effect)
{
	struct dyn_arena arena;

	dyn_arena_init(&arena, dyn_allocator_malloc(), 0);
	for (uint32_t i = 0; i < effect->store.write_count; i++)
	{
		const struct dyn_write *write = &effect->store.writes[i];
		struct dyn_object object;

		if (write->table != DYN_TABLE_MAIN || write->object.size == 0)
			continue;
		FUZZ_REQUIRE(dyn_object_decode(write->object, &arena.allocator,
									   &object) == DYN_STATUS_OK);
		FUZZ_REQUIRE(dyn_object_hash(&object, write->key.key) == write->hash);
		FUZZ_REQUIRE(dyn_key_flags(&object) == write->flags);
	}
	dyn_arena_destroy(&arena);
}

static void
perform(struct fuzznode *self, const struct dyn_effect *effect)
{
	switch (effect->type)
	{
		case DYN_EFFECT_SEND:
			note_call(self, effect->send.peer_index, effect->send.frame);
			break;
		case DYN_EFFECT_REPLY:
			check_reply(self, effect->reply.route, effect->reply.frame);
			break;
		case DYN_EFFECT_STORE:
			check_store(effect);
			self->store->ops->submit(self->store, effect);
			break;
		case DYN_EFFECT_LOAD:
		case DYN_EFFECT_SCAN:
		case DYN_EFFECT_TREE:
			self->store->ops->submit(self->store, effect);
			break;
		case DYN_EFFECT_CONNECT:
		case DYN_EFFECT_LOG:
			break;
		case DYN_EFFECT_FATAL:
			/* Nothing that a stranger says may stop a node. */
			FUZZ_REQUIRE(effect->type != DYN_EFFECT_FATAL);
	}
}

static void
perform_all(struct fuzznode *self)
{
	for (uint32_t i = 0; i < self->effects.count; i++)
		perform(self, &self->effects.items[i]);
	dyn_effects_reset(&self->effects);
}

void
fuzznode_step(struct fuzznode *self, struct dyn_event *event)
{
	event->wall_ms = 1700000000000 + self->now_ms;
	dyn_node_step(self->node, event, self->now_ms, &self->effects);
	dyn_node_check(self->node);
	perform_all(self);
}

static void
complete(void *context, const struct dyn_event *event)
{
	struct dyn_event copy = *event;

	fuzznode_step(context, &copy);
}

void
fuzznode_drain(struct fuzznode *self)
{
	const char *reason;

	while (dyn_simstore_deadline(self->store) != UINT64_MAX)
		FUZZ_REQUIRE(self->store->ops->dispatch(self->store, &reason));
}

void
fuzznode_sleep(struct fuzznode *self, uint64_t ms)
{
	uint64_t until_ms = self->now_ms + ms;

	while (dyn_node_deadline(self->node) <= until_ms)
	{
		struct dyn_event tick = { .type = DYN_EVENT_TICK };
		uint64_t deadline_ms = dyn_node_deadline(self->node);

		if (deadline_ms > self->now_ms)
			self->now_ms = deadline_ms;
		fuzznode_step(self, &tick);
		/* A tick moves what is due, or the node would spin. */
		FUZZ_REQUIRE(dyn_node_deadline(self->node) > self->now_ms);
	}
	self->now_ms = until_ms;
}

/* ------------------------------------------------------------ start and stop */

static void
copy_records(const struct dyn_simdisk *from, struct dyn_simdisk *to)
{
	for (uint32_t i = 0; i < dyn_simdisk_count(from, DYN_TABLE_META); i++)
		dyn_simdisk_put(to, DYN_TABLE_META,
						dyn_simdisk_at(from, DYN_TABLE_META, i));
}

static void
boot(struct fuzznode *self, const struct founding *founding)
{
	struct dyn_boot boot = { .start_id = 4711,
							 .prng_seed = 42,
							 .writable = true };
	struct dyn_meta_record records[8];
	struct dyn_slice *names;
	struct dyn_slice *values;
	struct dyn_arena arena;

	dyn_arena_init(&arena, dyn_allocator_malloc(), 0);
	FUZZ_REQUIRE(self->store->ops->read_meta(
					 self->store, &arena.allocator, &names, &values,
					 &boot.record_count) == DYN_STATUS_OK);
	FUZZ_REQUIRE(boot.record_count > 1 && boot.record_count <= 8);
	for (uint32_t i = 0; i < boot.record_count; i++)
		records[i] = (struct dyn_meta_record){ names[i], values[i] };
	boot.records = records;
	FUZZ_REQUIRE(dyn_node_new(&founding->config, &boot, self->now_ms,
							  &self->effects, &self->node) == DYN_STATUS_OK);
	perform_all(self);
	dyn_arena_destroy(&arena);
}

/* A fellow's connection stands, and it answers the greeting. */
static void
greet(struct fuzznode *self, const struct founding *founding, uint32_t peer)
{
	struct dyn_event up = { .type = DYN_EVENT_PEER_UP };
	struct dyn_event event = { .type = DYN_EVENT_MESSAGE };
	struct dyn_slice frame;

	up.peer.peer_index = peer;
	fuzznode_step(self, &up);
	frame = fuzznode_frame(self, DYN_MESSAGE_WELCOME, 0, 0,
						   founding->welcomes[peer + 1]);
	event.message.source = DYN_SOURCE_PEER;
	event.message.peer_index = peer;
	event.message.frame = frame;
	fuzznode_step(self, &event);
	free((void *) frame.data);
}

void
fuzznode_start(struct fuzznode *self, uint8_t n)
{
	const struct founding *founding = founding_get(n);
	struct dyn_simstore_config store = { .seed = 1 };

	memset(self, 0, sizeof(*self));
	self->now_ms = 1000;
	dyn_effects_init(&self->effects);
	self->disk = dyn_simdisk_new();
	copy_records(founding->disk, self->disk);
	self->store = dyn_simstore_open(self->disk, &store, complete, self);
	boot(self, founding);
	fuzznode_drain(self);
	FUZZ_REQUIRE(dyn_node_ring(self->node) != NULL);
	self->cluster = dyn_envelope_cluster(&dyn_node_ring(self->node)->cluster);
	for (uint32_t peer = 0; peer < FUZZNODE_PEERS; peer++)
		greet(self, founding, peer);
}

void
fuzznode_stop(struct fuzznode *self)
{
	dyn_node_destroy(&self->node);
	dyn_simstore_crash(&self->store);
	dyn_simdisk_free(&self->disk);
	dyn_effects_destroy(&self->effects);
}
