#include "tests/sim/whitebox_state.h"

#include "core/key_table.h"
#include "model/hash.h"
#include "tests/sim/simnet.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

enum
{
	CLOCK_STEP_MS = 2 /* clocks show whole milliseconds */
};

/* All that is known of one dot. */
struct dyn_known_dot
{
	UT_hash_handle hh;
	struct
	{
		uint64_t start;
		uint64_t epoch;
		uint64_t counter;
		uint64_t key; /* counters are of one key */
	} id;
	struct dyn_request_id request;
	uint64_t value_hash;
	uint32_t write;    /* of the history; UINT32_MAX = nobody's */
	uint64_t first_ms; /* it was met */
};

struct dyn_whitebox *
dyn_whitebox_new(void)
{
	struct dyn_whitebox *self = dyn_sim_allocate(sizeof(*self));

	dyn_arena_init(&self->arena, dyn_allocator_malloc(), 64 * 1024);
	return self;
}

void
dyn_whitebox_free(struct dyn_whitebox **self)
{
	struct dyn_known_dot *dot;
	struct dyn_known_dot *next;

	if (*self == NULL)
		return;
	HASH_ITER(hh, (*self)->dots, dot, next)
	{
		HASH_DEL((*self)->dots, dot);
		free(dot);
	}
	for (uint32_t i = 0; i < (*self)->write_capacity; i++)
		free((*self)->writes[i].items);
	free((*self)->writes);
	for (uint32_t i = 0; i < DYN_SIM_KEYS_MAX; i++)
		free((*self)->given_up[i].ranges);
	dyn_arena_destroy(&(*self)->arena);
	free(*self);
	*self = NULL;
}

/* ---------------------------------------------------------- keys and values */

struct dyn_slice
dyn_sim_key(uint32_t key, char buffer[32])
{
	snprintf(buffer, 32, "key-%u", key);
	return dyn_slice_of(buffer);
}

struct dyn_record_key
dyn_sim_record_key(uint32_t key, char buffer[32])
{
	struct dyn_record_key record = { .bucket = dyn_slice_of(DYN_SIM_BUCKET),
									 .key = dyn_sim_key(key, buffer) };

	record.cell = dyn_hash_cell(dyn_hash_position(record.bucket, record.key));
	return record;
}

/* Small, or near the cluster's limit: below, at, beyond. */
static uint32_t
value_size(const struct dyn_world *world, struct dyn_simrandom *filler)
{
	const struct dyn_swarm *swarm = &world->swarm;

	if (swarm->value_limit > 64 &&
		dyn_simrandom_chance(filler, swarm->big_rate))
		return swarm->value_limit - 40 +
			   (uint32_t) dyn_simrandom_below(filler, 44);
	return 8 + (uint32_t) dyn_simrandom_below(filler, swarm->value_size_max);
}

struct dyn_slice
dyn_sim_value(const struct dyn_world *world, uint32_t key, uint32_t vid,
			  uint8_t *buffer)
{
	struct dyn_simrandom filler =
		dyn_simrandom_stream(key * UINT64_C(1000003) + vid, 77);
	uint32_t size = value_size(world, &filler);

	memcpy(buffer, &key, 4);
	memcpy(buffer + 4, &vid, 4);
	for (uint32_t i = 8; i < size; i += 8)
	{
		uint64_t bytes = dyn_simrandom_next(&filler);

		memcpy(buffer + i, &bytes, size - i < 8 ? size - i : 8);
	}
	return (struct dyn_slice){ buffer, size };
}

bool
dyn_sim_vid(const struct dyn_world *world, uint32_t key, struct dyn_slice value,
			uint32_t *vid)
{
	uint8_t buffer[DYN_SIM_VALUE_MAX];

	if (value.size < 8)
		return false;
	memcpy(vid, value.data + 4, 4);
	return dyn_slice_equal(value, dyn_sim_value(world, key, *vid, buffer));
}

bool
dyn_sim_key_number(struct dyn_slice key, uint32_t *number)
{
	char text[32];

	if (key.size < 5 || key.size >= sizeof(text))
		return false;
	memcpy(text, key.data, key.size);
	text[key.size] = 0;
	*number = (uint32_t) strtoul(text + 4, NULL, 10);
	return memcmp(text, "key-", 4) == 0;
}

/* ------------------------------------------------------------- W1: the dots */

static void
note_write_dot(struct dyn_whitebox *self, uint32_t write, struct dyn_dot dot)
{
	struct dyn_write_dots *dots;

	if (write >= self->write_capacity)
	{
		uint32_t capacity = 2 * write + 64;

		self->writes =
			dyn_sim_grow(self->writes, capacity * sizeof(*self->writes));
		memset(self->writes + self->write_capacity, 0,
			   (capacity - self->write_capacity) * sizeof(*self->writes));
		self->write_capacity = capacity;
	}
	dots = &self->writes[write];
	if (dots->count == dots->capacity)
	{
		dots->capacity = dots->capacity ? 2 * dots->capacity : 2;
		dots->items =
			dyn_sim_grow(dots->items, dots->capacity * sizeof(*dots->items));
	}
	dots->items[dots->count++] = dot;
}

/* The dot is new: whose write is it? */
static void
learn_dot(struct dyn_world *world, uint32_t node,
		  const struct dyn_version *version, struct dyn_known_dot *known)
{
	struct dyn_whitebox *self = world->whitebox;

	HASH_ADD(hh, self->dots, id, sizeof(known->id), known);
	if (dyn_simwrite_find(world, &version->request, &known->write) != NULL)
	{
		note_write_dot(self, known->write, version->dot);
		return;
	}
	known->write = UINT32_MAX;
	dyn_world_violation(world, "C2", "node %u has a write of nobody", node);
}

/* W10: a coordinator sends what it makes in the step that makes it. */
static void
check_time(struct dyn_world *world, uint32_t node, uint32_t op,
		   struct dyn_dot dot)
{
	const struct dyn_simwrite *write;
	uint64_t until_ms;

	if (op == UINT32_MAX || !dyn_simwrite_is_exact(world, op))
		return;
	write = dyn_simwrite_of(world, op);
	until_ms = write->acts_until_ms[dot.actor.epoch == 0];
	if (world->now_ms > until_ms + CLOCK_STEP_MS)
		dyn_world_violation(world, "W10",
							"node %u acts on op %u (key %u) %" PRIu64
							" ms after its client has left it",
							node, op, write->key, world->now_ms - until_ms);
}

static void
note_version(struct dyn_world *world, uint32_t node, uint32_t key,
			 const struct dyn_version *version, bool stored)
{
	struct dyn_whitebox *self = world->whitebox;
	struct dyn_known_dot *known;
	struct dyn_known_dot wanted = { .id = { version->dot.actor.start,
											version->dot.actor.epoch,
											version->dot.counter, key } };
	uint64_t value_hash = dyn_hash_bytes(version->value);

	HASH_FIND(hh, self->dots, &wanted.id, sizeof(wanted.id), known);
	if (known == NULL)
	{
		known = dyn_sim_allocate(sizeof(*known));
		known->id = wanted.id;
		known->request = version->request;
		known->value_hash = value_hash;
		known->first_ms = world->now_ms;
		learn_dot(world, node, version, known);
		if (!stored)
			check_time(world, node, known->write, version->dot);
	}
	else if (known->value_hash != value_hash ||
			 dyn_request_id_compare(&known->request, &version->request) != 0)
		dyn_world_violation(world, "W1",
							"node %u uses a dot of key %u twice "
							"(%" PRIx64 ".%" PRIu64 ":%" PRIu64 ")",
							node, key, wanted.id.start, wanted.id.epoch,
							wanted.id.counter);
	if (stored && known->write != UINT32_MAX)
		self->writes[known->write].takers |= 1U << node;
}

/* ---------------------------------------------- what a retry left behind */

/* The dots of one version: that of its retries, and those of attempts that were
 * not marked. */
struct dots_of
{
	struct dyn_dot retried;
	uint64_t retried_ms; /* when it was met; UINT64_MAX = it was not */
	const struct dyn_clock *context;
	bool covers_other; /* the context does, of the unmarked attempts */
};

static void
look_at_dot(const struct dyn_whitebox *self, uint32_t key, struct dyn_dot dot,
			uint64_t value_hash, struct dots_of *out)
{
	struct dyn_known_dot *known;
	struct dyn_known_dot wanted = { .id = { dot.actor.start, dot.actor.epoch,
											dot.counter, key } };

	HASH_FIND(hh, self->dots, &wanted.id, sizeof(wanted.id), known);
	if (known == NULL || known->value_hash != value_hash)
		return;
	if (dot.actor.epoch != 0)
	{
		out->covers_other |= dyn_clock_covers(out->context, dot);
		return;
	}
	out->retried = dot;
	out->retried_ms = known->first_ms;
}

/* Had the write been acknowledged, so that who read then must have met it? */
static bool
was_to_be_met(const struct dyn_world *world, uint32_t op, uint32_t by)
{
	const struct dyn_history_op *write = &world->history.ops[op];
	const struct dyn_history_op *reader = &world->history.ops[by];
	uint32_t read_op = dyn_simwrite_of(world, by)->read_op;
	uint8_t r = reader->check_quorum;

	if (read_op != UINT32_MAX)
	{
		reader = &world->history.ops[read_op];
		r = reader->quorum;
	}
	return write->result == DYN_HISTORY_OK &&
		   write->end_ms < reader->begin_ms &&
		   write->quorum + r > (uint8_t) world->swarm.n;
}

bool
dyn_whitebox_is_residue(void *context, uint32_t key, uint32_t vid, uint32_t by)
{
	struct dyn_world *world = context;
	const struct dyn_whitebox *self = world->whitebox;
	uint32_t op = world->history.keys[key].vid_ops[vid];
	const struct dyn_simwrite *replacing = dyn_simwrite_of(world, by);
	uint8_t buffer[DYN_SIM_VALUE_MAX];
	uint64_t value_hash =
		dyn_hash_bytes(dyn_sim_value(world, key, vid, buffer));
	struct dyn_clock seen = { 0 };
	struct dots_of dots = { .retried_ms = UINT64_MAX, .context = &seen };

	dyn_arena_reset(&world->whitebox->arena);
	if (replacing->context.size != 0 &&
		dyn_clock_decode(replacing->context, false, &self->arena.allocator,
						 &seen) != DYN_STATUS_OK)
		return false;
	for (uint32_t i = 0;
		 op < self->write_capacity && i < self->writes[op].count; i++)
		look_at_dot(self, key, self->writes[op].items[i], value_hash, &dots);
	if (dots.retried_ms == UINT64_MAX ||
		dyn_clock_covers(&seen, dots.retried) || was_to_be_met(world, op, by))
		return false;
	/* What a replacing write met, only its coordinator knows. */
	return dots.covers_other ||
		   (world->history.ops[by].mode == DYN_HISTORY_REPLACE &&
			dots.retried_ms >= world->history.ops[by].begin_ms);
}

/* Does the record say of the object what is true? */
static bool
is_described(const struct dyn_write *write, const struct dyn_object *object)
{
	return write->hash == dyn_object_hash(object, write->key.key) &&
		   write->flags == dyn_key_flags(object) && write->held_at_ms != 0;
}

static void
note_object(struct dyn_world *world, uint32_t node, struct dyn_slice key_bytes,
			struct dyn_slice bytes, const struct dyn_write *write)
{
	struct dyn_whitebox *self = world->whitebox;
	struct dyn_object object;
	uint32_t key;
	uint64_t hash;
	uint64_t *seen;

	if (bytes.size == 0)
		return;
	if (!dyn_sim_key_number(key_bytes, &key) || key >= world->history.key_count)
	{
		dyn_world_violation(world, "C2", "node %u has a key of nobody", node);
		return;
	}
	hash = dyn_hash_bytes(bytes) + key * 64 + node * 2 + (write != NULL);
	seen = &self->seen[hash % 4096];
	if (*seen == hash)
		return;
	*seen = hash;
	dyn_arena_reset(&self->arena);
	if (dyn_object_decode(bytes, &self->arena.allocator, &object) !=
			DYN_STATUS_OK ||
		(write != NULL && !is_described(write, &object)))
	{
		dyn_world_violation(world, "W1", "node %u has a bad record", node);
		return;
	}
	for (uint32_t i = 0; i < object.version_count; i++)
		note_version(world, node, key, &object.versions[i], write != NULL);
}

void
dyn_whitebox_store(struct dyn_world *world, uint32_t node,
				   const struct dyn_effect *effect)
{
	for (uint32_t i = 0; i < effect->store.write_count; i++)
		if (effect->store.writes[i].table == DYN_TABLE_META)
			dyn_whitebox_floor(world, node);
		else
			dyn_whitebox_reap(world, node, &effect->store.writes[i]);
	for (uint32_t i = 0; i < effect->store.write_count; i++)
		if (effect->store.writes[i].table != DYN_TABLE_META &&
			effect->store.writes[i].object.size != 0)
		{
			const struct dyn_write *write = &effect->store.writes[i];

			dyn_whitebox_held(world, node, write);
			note_object(world, node, write->key.key, write->object, write);
		}
}

void
dyn_whitebox_send(struct dyn_world *world, uint32_t node,
				  struct dyn_slice frame)
{
	struct dyn_envelope env = { 0 };
	struct dyn_arena arena;
	ProtobufCMessage *body;

	if (frame.size <= 5 || frame.data[5] != DYN_MESSAGE_REPLICATE ||
		dyn_envelope_open(frame, &env) != DYN_STATUS_OK)
		return;
	dyn_arena_init(&arena, dyn_allocator_malloc(), 4096);
	if (dyn_message_unpack(&env, &arena.allocator, &body) == DYN_STATUS_OK)
	{
		const Dyn__ReplicateRequest *request = (Dyn__ReplicateRequest *) body;

		for (size_t i = 0; i < request->n_ops; i++)
			dyn_whitebox_mark(world, node, request, request->ops[i]);
		for (size_t i = 0; i < request->n_ops; i++)
			note_object(world, node, dyn_slice_of_bytes(request->ops[i]->key),
						dyn_slice_of_bytes(request->ops[i]->object), NULL);
	}
	dyn_arena_destroy(&arena);
}

static void
note_put_result(struct dyn_world *world, uint32_t node, uint32_t op,
				const Dyn__PutResult *result)
{
	const struct dyn_simwrite *write = dyn_simwrite_of(world, op);

	dyn_world_say(world, "  op %u (key %u, mode %d, attempts %u): %s %s", op,
				  write->key, (int) write->mode, write->attempt_count,
				  dyn_status_name((enum dyn_status) result->status),
				  result->text);
	if (result->status == DYN_STATUS_OK)
		dyn_whitebox_acknowledged(world, node, op);
}

/* W7: an owner's own word, to clients and to nodes. */
static void
check_read_reply(struct dyn_world *world, uint32_t node,
				 const struct dyn_envelope *env)
{
	struct dyn_arena arena;
	ProtobufCMessage *body;

	dyn_arena_init(&arena, dyn_allocator_malloc(), 4096);
	if (dyn_message_unpack(env, &arena.allocator, &body) == DYN_STATUS_OK)
	{
		const Dyn__ReadReply *reply = (const Dyn__ReadReply *) body;

		for (size_t i = 0; i < reply->n_results; i++)
		{
			struct dyn_object object;

			if (reply->results[i]->object.len > 0 &&
				dyn_object_decode(dyn_slice_of_bytes(reply->results[i]->object),
								  &arena.allocator, &object) == DYN_STATUS_OK)
				dyn_whitebox_told(world, node, &object);
		}
	}
	dyn_arena_destroy(&arena);
}

void
dyn_whitebox_reply(struct dyn_world *world, uint32_t node, uint64_t route,
				   struct dyn_slice frame)
{
	struct dyn_envelope env = { 0 };
	struct dyn_arena arena;
	ProtobufCMessage *body;
	const uint32_t *writes;
	uint32_t client;
	uint32_t count;
	bool to_client = dyn_simnet_route_client(world, route, &client);
	bool is_read = frame.size > 5 && frame.data[5] == DYN_MESSAGE_READ_REPLY;

	if (!to_client && !is_read)
		return;
	if (dyn_envelope_open(frame, &env) != DYN_STATUS_OK)
	{
		dyn_world_violation(world, "wire", "node %u sends a bad frame", node);
		return;
	}
	if (is_read)
		check_read_reply(world, node, &env);
	if (!to_client)
		return;
	count = dyn_simclient_answered(world, client, env.correlation, &writes);
	if (count == 0 || env.type != DYN_MESSAGE_PUT_REPLY)
		return;
	dyn_arena_init(&arena, dyn_allocator_malloc(), 4096);
	if (dyn_message_unpack(&env, &arena.allocator, &body) == DYN_STATUS_OK &&
		((Dyn__PutReply *) body)->n_results == count)
		for (uint32_t i = 0; i < count; i++)
			note_put_result(world, node, writes[i],
							((Dyn__PutReply *) body)->results[i]);
	else
		dyn_world_violation(world, "wire", "node %u: bad PUT_REPLY", node);
	dyn_arena_destroy(&arena);
}

/* ----------------------------------------------------------- W3: contexts */

/* C5: one write is one row, however often it was applied. */
static void
check_rows_differ(struct dyn_world *world, uint32_t key,
				  const struct dyn_row *rows, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t j = 0; j < i; j++)
			if (dyn_slice_equal(rows[i].version->value, rows[j].version->value))
				dyn_world_violation(world, "C5",
									"key %u: rows %u and %u are one write", key,
									j, i);
}

void
dyn_whitebox_object(struct dyn_world *world, uint32_t key,
					const struct dyn_object *object)
{
	struct dyn_arena *arena = &world->whitebox->arena;
	struct dyn_row *rows;
	uint32_t count;

	dyn_arena_reset(arena);
	if (!dyn_object_check(object) ||
		dyn_object_rows(object, &arena->allocator, &rows, &count) !=
			DYN_STATUS_OK)
	{
		dyn_world_violation(world, "W3", "key %u: a malformed object", key);
		return;
	}
	check_rows_differ(world, key, rows, count);
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t j = 0; j < count; j++)
			if (dyn_clock_covers(&rows[i].clock, rows[j].version->dot) !=
				(i == j))
				dyn_world_violation(world, "W3",
									"key %u: row %u and the clock of row %u",
									key, j, i);
}

void
dyn_whitebox_absent(struct dyn_world *world, uint32_t node, uint32_t key,
					uint64_t asked_ms)
{
	char buffer[32];
	struct dyn_record_key place = dyn_sim_record_key(key, buffer);
	const struct dyn_simnode *self = &world->nodes[node];
	const struct dyn_simrecord *record =
		dyn_simdisk_get(self->disk, DYN_TABLE_MAIN, &place);

	if (record != NULL && record->corrupt && self->damaged_ms[key] < asked_ms)
		dyn_world_violation(world, "W6",
							"node %u calls its damaged key %u \"not found\"",
							node, key);
}
