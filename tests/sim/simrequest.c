#include "tests/sim/simrequest.h"

#include "tests/sim/simnet.h"
#include "tests/sim/whitebox.h"

#include <stdlib.h>
#include <string.h>

enum
{
	/* Ids are remembered for 10 s; what arrives later may be new again. */
	REMEMBERED_MS = 7000,
	/* A restart forgets them; so does one shortly after the last attempt. */
	AFTERMATH_MS = 8000
};

/* ---------------------------------------------------------------- attempts */

struct dyn_attempt *
dyn_attempts_find(struct dyn_attempts *self, uint64_t correlation)
{
	for (uint32_t i = 0; correlation != 0 && i < DYN_SIM_ATTEMPTS; i++)
		if (self->items[i].correlation == correlation)
			return &self->items[i];
	return NULL;
}

/* Clocks may run slow, and a tick may be late. */
static uint64_t
patience_ms(const struct dyn_world *world, const struct dyn_attempt *attempt)
{
	return (uint64_t) attempt->remaining_ms * 1300 /
			   world->swarm.clock_slowest +
		   500;
}

void
dyn_sim_check_answered(struct dyn_world *world,
					   const struct dyn_attempt *attempt)
{
	const struct dyn_simnode *node = &world->nodes[attempt->node];

	/* A replica's own view is nobody's duty: READ and SCAN end in silence. */
	if (attempt->type == DYN_MESSAGE_READ || attempt->type == DYN_MESSAGE_SCAN)
		return;
	if (attempt->correlation == 0 || attempt->delivered_ms == 0 ||
		attempt->answered || attempt->cancelled || node->node == NULL ||
		node->life != attempt->delivered_life ||
		node->paused_until_ms >= attempt->delivered_ms ||
		world->now_ms < attempt->delivered_ms + patience_ms(world, attempt))
		return;
	dyn_world_violation(world, "C11", "node %u never answered a %s",
						attempt->node, dyn_message_name(attempt->type));
}

void
dyn_sim_check_all_answered(struct dyn_world *world,
						   const struct dyn_attempts *attempts)
{
	for (uint32_t i = 0; i < DYN_SIM_ATTEMPTS; i++)
		dyn_sim_check_answered(world, &attempts->items[i]);
}

static uint64_t
cluster_tag(const struct dyn_world *world)
{
	for (uint32_t i = 0; i < world->swarm.node_count; i++)
	{
		const struct dyn_ring *ring =
			world->nodes[i].node ? dyn_node_ring(world->nodes[i].node) : NULL;

		if (ring != NULL)
			return dyn_envelope_cluster(&ring->cluster);
	}
	return 0;
}

struct dyn_attempt *
dyn_sim_send(struct dyn_world *world, uint32_t client,
			 struct dyn_attempts *attempts, uint32_t node,
			 enum dyn_message_type type, const ProtobufCMessage *body,
			 uint32_t remaining_ms)
{
	return dyn_sim_send_writes(world, client, attempts, node, type, body,
							   remaining_ms, NULL, 0);
}

struct dyn_attempt *
dyn_sim_send_writes(struct dyn_world *world, uint32_t client,
					struct dyn_attempts *attempts, uint32_t node,
					enum dyn_message_type type, const ProtobufCMessage *body,
					uint32_t remaining_ms, const uint32_t *writes,
					uint32_t write_count)
{
	struct dyn_attempt *attempt =
		&attempts->items[attempts->next++ % DYN_SIM_ATTEMPTS];
	struct dyn_envelope env = { .type = type,
								.remaining_ms = remaining_ms,
								.cluster = cluster_tag(world) };
	struct dyn_allocator allocator = dyn_allocator_malloc();
	struct dyn_slice frame;

	dyn_sim_check_answered(world, attempt);
	env.correlation = (uint64_t) (client + 1) << 32 | ++attempts->sequence;
	*attempt = (struct dyn_attempt){ .correlation = env.correlation,
									 .type = type,
									 .node = node,
									 .remaining_ms = remaining_ms,
									 .write_count = write_count };
	if (write_count > 0)
		memcpy(attempt->writes, writes, write_count * sizeof(*writes));
	if (dyn_message_pack(&env, body, &allocator, &frame) != DYN_STATUS_OK)
		abort();
	dyn_world_say(world, "client %u sends node %u %s correlation %llx", client,
				  node, dyn_message_name(type),
				  (unsigned long long) env.correlation);
	dyn_simnet_client_send(world, client, node, frame, env.correlation);
	free((void *) frame.data);
	return attempt;
}

/* ------------------------------------------------------------------ writes */

const struct dyn_simwrite *
dyn_simwrite_of(const struct dyn_world *world, uint32_t op)
{
	return &world->writes[op];
}

const struct dyn_simwrite *
dyn_simwrite_find(const struct dyn_world *world,
				  const struct dyn_request_id *request, uint32_t *op)
{
	memcpy(op, request->bytes, 4);
	if (*op >= world->write_capacity || !world->writes[*op].used ||
		dyn_request_id_compare(&world->writes[*op].request, request) != 0)
		return NULL;
	return &world->writes[*op];
}

static struct dyn_simwrite *
make_room(struct dyn_world *world, uint32_t op)
{
	if (op >= world->write_capacity)
	{
		uint32_t capacity = 2 * op + 256;

		world->writes =
			dyn_sim_grow(world->writes, capacity * sizeof(*world->writes));
		memset(world->writes + world->write_capacity, 0,
			   (capacity - world->write_capacity) * sizeof(*world->writes));
		world->write_capacity = capacity;
	}
	return &world->writes[op];
}

static void
say_context(const struct dyn_world *world, struct dyn_slice bytes)
{
	struct dyn_arena arena;
	struct dyn_clock context;
	char *text;

	dyn_arena_init(&arena, dyn_allocator_malloc(), 4096);
	if (bytes.size != 0 &&
		dyn_clock_decode(bytes, false, &arena.allocator, &context) ==
			DYN_STATUS_OK &&
		dyn_clock_format(&context, &arena.allocator, &text) == DYN_STATUS_OK)
		dyn_world_say(world, "  with context %s", text);
	dyn_arena_destroy(&arena);
}

uint32_t
dyn_sim_new_write(struct dyn_world *world, uint32_t client, uint32_t key,
				  enum dyn_history_mode mode, uint32_t value_count,
				  struct dyn_slice context, const struct dyn_vids *seen,
				  uint8_t w)
{
	uint32_t op =
		dyn_history_write(&world->history, key, client, mode, value_count, seen,
						  w ? w : (uint8_t) world->swarm.w,
						  (uint8_t) world->swarm.r, world->now_ms);
	struct dyn_simwrite *write = make_room(world, op);
	const struct dyn_history_op *entry = &world->history.ops[op];
	struct dyn_simrandom random = dyn_simrandom_stream(world->seed ^ op, 3);
	uint64_t bits[2] = { dyn_simrandom_next(&random),
						 dyn_simrandom_next(&random) };

	*write = (struct dyn_simwrite){ .used = true,
									.key = key,
									.mode = mode,
									.w = w,
									.first_ms = world->now_ms,
									.read_op = UINT32_MAX };
	dyn_world_say(world,
				  "client %u makes op %u: key %u, %u values from version %u, "
				  "mode %d, read %u versions",
				  client, op, key, value_count, entry->first_vid, (int) mode,
				  entry->seen.count);
	for (uint32_t i = 0; i < entry->seen.count; i++)
		dyn_world_say(world, "  read version %u", entry->seen.items[i]);
	if (world->verbose)
		say_context(world, context);
	memcpy(write->request.bytes, bits, 16);
	memcpy(write->request.bytes, &op, 4);
	if (context.size > 0)
	{
		uint8_t *copy = dyn_sim_allocate(context.size);

		memcpy(copy, context.data, context.size);
		write->context = (struct dyn_slice){ copy, context.size };
	}
	return op;
}

/* Could an earlier attempt of it still be applied, unknown to the others? */
static bool
is_still_open(struct dyn_world *world, struct dyn_attempts *attempts,
			  uint32_t op)
{
	const struct dyn_simwrite *write = &world->writes[op];

	for (uint32_t i = 0; i < DYN_SIM_ATTEMPTS; i++)
	{
		const struct dyn_attempt *attempt = &attempts->items[i];

		for (uint32_t j = 0;
			 attempt->correlation != 0 && j < attempt->write_count; j++)
			if (attempt->writes[j] == op && !attempt->answered &&
				(attempt->delivered_ms == 0 ||
				 world->now_ms <
					 attempt->delivered_ms + patience_ms(world, attempt)))
				return true;
	}
	return dyn_whitebox_holders(world, op, true) <
			   (write->w ? write->w : world->swarm.w) ||
		   world->swarm.r + (write->w ? write->w : world->swarm.w) <=
			   world->swarm.n;
}

static void
fill_put_op(struct dyn_world *world, uint32_t op, struct dyn_arena *arena,
			Dyn__PutOp *message)
{
	struct dyn_simwrite *write = &world->writes[op];
	const struct dyn_history_op *entry = &world->history.ops[op];
	char *key = dyn_arena_allocate(arena, 32);

	dyn__put_op__init(message);
	message->key = dyn_bytes_of_slice(dyn_sim_key(write->key, key));
	message->request_id.data = write->request.bytes;
	message->request_id.len = 16;
	message->context = dyn_bytes_of_slice(write->context);
	message->mode = (Dyn__PutMode) write->mode;
	message->retry =
		write->is_bounded ? write->is_marked : write->attempt_count > 0;
	/* Clients of the other kind are as old ones: they do not say so. */
	message->retried = write->is_bounded && write->is_retried;
	if (entry->kind == DYN_HISTORY_DELETE)
		return;
	message->n_values = entry->vid_count;
	message->values =
		dyn_arena_allocate(arena, entry->vid_count * sizeof(*message->values));
	for (uint32_t i = 0; i < entry->vid_count; i++)
		message->values[i] = dyn_bytes_of_slice(
			dyn_sim_value(world, write->key, entry->first_vid + i,
						  dyn_arena_allocate(arena, DYN_SIM_VALUE_MAX)));
}

struct dyn_attempt *
dyn_sim_send_put(struct dyn_world *world, uint32_t client,
				 struct dyn_attempts *attempts, uint32_t node,
				 const uint32_t *ops, uint32_t count, uint32_t remaining_ms,
				 const struct dyn_sim_bound *bound)
{
	Dyn__PutRequest request = DYN__PUT_REQUEST__INIT;
	Dyn__PutOp messages[DYN_SIM_BATCH_MAX];
	Dyn__PutOp *pointers[DYN_SIM_BATCH_MAX];
	struct dyn_arena arena;
	struct dyn_attempt *attempt;

	dyn_arena_init(&arena, dyn_allocator_malloc(), 16 * 1024);
	request.bucket = dyn_bytes_of_slice(dyn_slice_of(DYN_SIM_BUCKET));
	request.w = world->writes[ops[0]].w;
	request.n_ops = count;
	request.ops = pointers;
	request.process = bound != NULL ? bound->process : 0;
	request.act_until_ms = bound != NULL ? bound->act_until_ms : 0;
	for (uint32_t i = 0; i < count; i++)
	{
		struct dyn_simwrite *write = &world->writes[ops[i]];

		fill_put_op(world, ops[i], &arena, &messages[i]);
		pointers[i] = &messages[i];
		if (write->attempt_count > 0 && !write->is_bounded &&
			is_still_open(world, attempts, ops[i]))
			write->repeated = true;
		write->attempt_count++;
		write->maybe_count++;
		write->last_ms = world->now_ms;
	}
	attempt =
		dyn_sim_send_writes(world, client, attempts, node, DYN_MESSAGE_PUT,
							&request.base, remaining_ms, ops, count);
	dyn_arena_destroy(&arena);
	return attempt;
}

void
dyn_sim_write_answer(struct dyn_world *world, uint32_t op,
					 enum dyn_status status)
{
	struct dyn_simwrite *write = &world->writes[op];

	if (status == DYN_STATUS_TOO_LARGE)
		dyn_world_fault(world, DYN_FAULT_write_oversize);
	if (status == DYN_STATUS_OK)
		dyn_history_end(&world->history, op, DYN_HISTORY_OK, world->now_ms);
	else if (status != DYN_STATUS_UNKNOWN && write->maybe_count > 0)
		write->maybe_count--;
}

void
dyn_sim_write_rest(struct dyn_world *world, uint32_t op)
{
	const struct dyn_simwrite *write = &world->writes[op];

	if (world->history.ops[op].result == DYN_HISTORY_OK)
		return;
	if (write->maybe_count == 0 && dyn_whitebox_is_stored(world, op))
		dyn_world_violation(world, "C2",
							"op %u (key %u) was definitely refused, and is "
							"stored",
							op, write->key);
	dyn_history_end(&world->history, op,
					write->maybe_count == 0 ? DYN_HISTORY_NO
											: DYN_HISTORY_UNKNOWN,
					world->now_ms);
}

/* Two frames of one attempt: one word about them settles nothing. */
static void
note_doubled(struct dyn_world *world, uint32_t op)
{
	world->writes[op].maybe_count++;
	world->writes[op].repeated = true;
}

void
dyn_simclient_doubled(struct dyn_world *world, uint64_t tag)
{
	const uint32_t *writes;
	uint32_t count = dyn_simclient_writes(world, tag, &writes);

	for (uint32_t i = 0; i < count; i++)
		note_doubled(world, writes[i]);
}

void
dyn_simclient_forward_doubled(struct dyn_world *world, struct dyn_slice frame)
{
	struct dyn_envelope env = { 0 };
	struct dyn_arena arena;
	ProtobufCMessage *body;

	if (dyn_envelope_open(frame, &env) != DYN_STATUS_OK ||
		env.type != DYN_MESSAGE_PUT)
		return;
	dyn_arena_init(&arena, dyn_allocator_malloc(), 4096);
	if (dyn_message_unpack(&env, &arena.allocator, &body) == DYN_STATUS_OK)
	{
		const Dyn__PutRequest *request = (const Dyn__PutRequest *) body;

		for (size_t i = 0; i < request->n_ops; i++)
		{
			struct dyn_request_id id;
			uint32_t op;

			if (dyn_request_id_of_bytes(request->ops[i]->request_id, &id) &&
				dyn_simwrite_find(world, &id, &op) != NULL)
				note_doubled(world, op);
		}
	}
	dyn_arena_destroy(&arena);
}

/* Do clocks differ by less than the extension counts on?  (simext.c) */
static bool
can_be_exact(const struct dyn_world *world)
{
	return world->swarm.clock_slowest == 1000 &&
		   world->swarm.clock_fastest == 1000 && world->swarm.drift_ppm <= 500;
}

bool
dyn_simwrite_is_exact(const struct dyn_world *world, uint32_t op)
{
	const struct dyn_simwrite *write = &world->writes[op];

	return write->is_bounded && !write->repeated && can_be_exact(world);
}

static bool
has_crashed(const struct dyn_world *world, uint64_t from_ms, uint64_t until_ms)
{
	for (uint64_t i = 0; i < world->crash_count; i++)
		if (world->crashes_ms[i] >= from_ms && world->crashes_ms[i] <= until_ms)
			return true;
	return false;
}

void
dyn_sim_judge_repeats(struct dyn_world *world)
{
	uint64_t remembered_ms =
		(uint64_t) REMEMBERED_MS * 1000 / world->swarm.clock_fastest;

	for (uint32_t op = 0; op < world->history.op_count; op++)
	{
		const struct dyn_simwrite *write =
			op < world->write_capacity ? &world->writes[op] : NULL;
		struct dyn_history_op *entry = &world->history.ops[op];

		if (write == NULL || !write->used)
			continue;
		entry->exact = dyn_simwrite_is_exact(world, op);
		if (entry->exact)
			entry->acts_until_ms =
				write->acts_until_ms[write->acts_until_ms[1] >
									 write->acts_until_ms[0]];
		else if (write->attempt_count > 1 || write->repeated)
			entry->repeated =
				write->repeated ||
				(write->is_bounded && write->attempt_count > 1) ||
				write->last_ms > write->first_ms + remembered_ms ||
				has_crashed(world, write->first_ms,
							write->last_ms + AFTERMATH_MS);
	}
}
