#include "tests/fault/workload.h"

#include "tests/sim/simdisk.h"

#include <stdlib.h>
#include <string.h>

enum
{
	HELLO_US = 200 * 1000,
	PUT_MS = 1500,
	ATTEMPTS_MAX = 3,
	HOT_KEYS = 8,
	/* in a million */
	HOT_RATE = 250000,
	WRITE_RATE = 600000,
	BLIND_RATE = 150000,
	ROW_RATE = 400000,
	MODE_RATE = 150000,
	RETRY_RATE = 500000,
	DIRECT_RATE = 400000
};

bool
dyn_client_chance(struct dyn_client_process *self, uint32_t rate)
{
	return dyn_simrandom_chance(&self->random, rate);
}

uint32_t
dyn_client_below(struct dyn_client_process *self, uint32_t bound)
{
	return (uint32_t) dyn_simrandom_below(&self->random, bound);
}

void
dyn_workload_init(struct dyn_workload *self, uint64_t seed)
{
	uint64_t now_us = dyn_journal_now_us();

	self->clients =
		dyn_sim_allocate(self->client_count * sizeof(*self->clients));
	for (uint32_t i = 0; i < self->client_count; i++)
	{
		struct dyn_client_process *client = &self->clients[i];

		client->index = i;
		client->random = dyn_simrandom_stream(seed, 1000 + i);
		client->op.client = i;
		client->memories =
			dyn_sim_allocate(self->key_count * sizeof(*client->memories));
		client->due_us = now_us;
	}
	self->stats.last_ack_us = now_us;
}

void
dyn_workload_destroy(struct dyn_workload *self)
{
	for (uint32_t i = 0; i < self->client_count; i++)
	{
		struct dyn_client_process *client = &self->clients[i];

		for (uint32_t key = 0; key < self->key_count; key++)
		{
			free((void *) client->memories[key].context.data);
			free((void *) client->memories[key].row.data);
			dyn_tokens_destroy(&client->memories[key].tokens);
		}
		free((void *) client->object.data);
		free(client->memories);
	}
	free(self->clients);
	free(self->stats.latencies_us);
	if (self->has_ring)
		dyn_ring_destroy(&self->ring);
}

uint32_t
dyn_workload_some_node(struct dyn_workload *self,
					   struct dyn_client_process *client)
{
	return dyn_client_below(client, self->links.count);
}

void
dyn_workload_rest(struct dyn_workload *self, struct dyn_client_process *client)
{
	client->state = DYN_CLIENT_THINKS;
	client->due_us = dyn_journal_now_us() + 1 +
					 dyn_client_below(client, 2 * self->think_us + 1);
}

/* -------------------------------------------------------------------- clocks */

static void
say_hello(struct dyn_workload *self, uint32_t node)
{
	Dyn__Hello hello = DYN__HELLO__INIT;

	hello.version_min = hello.version_max = DYN_PROTOCOL_VERSION;
	hello.agent = "fault load";
	self->clocks[node].asked_us = dyn_journal_now_us();
	dyn_links_send(&self->links, node, DYN_MESSAGE_HELLO, ++self->correlation,
				   1000, &hello.base);
}

/* A node whose clock is known; others are asked for it.  Or -1. */
static int
some_bounded_node(struct dyn_workload *self, struct dyn_client_process *client)
{
	uint32_t first = dyn_workload_some_node(self, client);

	for (uint32_t i = 0; i < self->links.count; i++)
	{
		uint32_t node = (first + i) % self->links.count;

		if (self->clocks[node].process != 0)
			return (int) node;
		if (dyn_journal_now_us() - self->clocks[node].asked_us > HELLO_US)
			say_hello(self, node);
	}
	return -1;
}

static void
take_clock(struct dyn_workload *self, uint32_t node, uint64_t clock_ms)
{
	if (clock_ms == 0)
		return;
	self->clocks[node].clock_ms = clock_ms;
	self->clocks[node].heard_us = dyn_journal_now_us();
}

static void
take_clocks(struct dyn_workload *self, uint32_t node,
			const struct dyn_envelope *env, const ProtobufCMessage *body)
{
	const Dyn__PutReply *put = (const Dyn__PutReply *) body;
	bool is_late = false;

	if (env->type == DYN_MESSAGE_PUT_REPLY)
	{
		take_clock(self, node, put->clock_ms);
		is_late =
			put->n_results == 1 && put->results[0]->status == DYN_STATUS_LATE;
	}
	else if (env->type == DYN_MESSAGE_GET_REPLY)
		take_clock(self, node, ((const Dyn__GetReply *) body)->clock_ms);
	else if (env->type == DYN_MESSAGE_READ_REPLY)
		take_clock(self, node, ((const Dyn__ReadReply *) body)->clock_ms);
	else if (env->type == DYN_MESSAGE_ERROR)
		is_late = ((const Dyn__Error *) body)->status == DYN_STATUS_LATE;
	/* Perhaps it is another process than the one that we know. */
	if (is_late)
		self->clocks[node].process = 0;
}

/* By the node's clock, which has gone on since it told it, or a little more. */
static uint64_t
act_until_ms(const struct dyn_node_clock *clock, uint64_t give_up_us)
{
	uint64_t age_us = dyn_journal_now_us() - clock->heard_us;
	uint64_t until_us = give_up_us - clock->heard_us - age_us / 1000;

	return clock->clock_ms + until_us / 1000;
}

/* -------------------------------------------------------------------- writes */

static void
end_write(struct dyn_workload *self, struct dyn_client_process *client)
{
	if (client->refused_count == client->sent_count)
	{
		self->stats.refused++;
		dyn_journal_no(self->journal, client->op);
	}
	else
	{
		self->stats.unknown++;
		dyn_journal_unknown(self->journal, client->op);
	}
	dyn_workload_rest(self, client);
}

static void
note_ack(struct dyn_workload_stats *stats, uint64_t begin_us)
{
	uint64_t now_us = dyn_journal_now_us();

	stats->acknowledged++;
	if (now_us - stats->last_ack_us > stats->gap_us_max)
		stats->gap_us_max = now_us - stats->last_ack_us;
	stats->last_ack_us = now_us;
	if (stats->latency_count == stats->latency_capacity)
	{
		stats->latency_capacity = 2 * stats->latency_capacity + 1024;
		stats->latencies_us =
			dyn_sim_grow(stats->latencies_us, stats->latency_capacity *
												  sizeof(*stats->latencies_us));
	}
	stats->latencies_us[stats->latency_count++] =
		(uint32_t) (now_us - begin_us);
}

static void
name_retry(struct dyn_workload *self, const struct dyn_client_process *client,
		   const Dyn__PutOp *op)
{
	struct dyn_request_id id;

	memcpy(id.bytes, op->request_id.data, sizeof(id.bytes));
	dyn_journal_name(
		self->journal, client->op,
		dyn_object_retry_dot(&id, dyn_slice_of_bytes(op->values[0])));
}

static void
send_put(struct dyn_workload *self, struct dyn_client_process *client)
{
	Dyn__PutRequest request = DYN__PUT_REQUEST__INIT;
	Dyn__PutOp op = DYN__PUT_OP__INIT;
	Dyn__PutOp *ops = &op;
	static char value_text[DYN_FAULT_VALUE_SIZE_MAX];
	ProtobufCBinaryData value;
	char key_text[16];
	int node = some_bounded_node(self, client);
	uint32_t id[4] = { 0x66617530, client->op.client, client->op.count,
					   (uint32_t) client->begin_us };

	op.key = dyn_bytes_of_slice(dyn_fault_key(client->key, key_text));
	op.request_id = (ProtobufCBinaryData){ sizeof(id), (uint8_t *) id };
	op.context = dyn_bytes_of_slice(client->context);
	op.mode = (Dyn__PutMode) client->mode;
	op.retry = client->sent_count > 0;
	if (!client->is_delete)
	{
		value = dyn_bytes_of_slice(
			dyn_fault_value(client->key, client->op, client->fill, value_text));
		op.values = &value;
		op.n_values = 1;
	}
	request.bucket = dyn_bytes_of_slice(dyn_slice_of(DYN_FAULT_BUCKET));
	request.n_ops = 1;
	request.ops = &ops;
	client->correlations[0] = ++self->correlation;
	client->due_us = dyn_journal_now_us() + PUT_MS * 1000 + DYN_GRACE_US;
	if (node >= 0)
	{
		request.process = self->clocks[node].process;
		request.act_until_ms =
			act_until_ms(&self->clocks[node], client->due_us);
	}
	if (client->sent_count > client->refused_count)
		dyn_journal_again(self->journal, client->op);
	if (!client->is_delete && client->sent_count == 0)
		name_retry(self, client, &op);
	if (node >= 0 &&
		dyn_links_send(&self->links, (uint32_t) node, DYN_MESSAGE_PUT,
					   client->correlations[0], PUT_MS, &request.base))
		client->sent_count++;
	else
		end_write(self, client);
}

/* REPLACE has keys of its own: what it covers no client can know. */
static enum dyn_history_mode
some_mode(struct dyn_client_process *client)
{
	if (!dyn_client_chance(client, MODE_RATE))
		return DYN_HISTORY_SIBLING;
	if (client->key % 5 == 1)
		return DYN_HISTORY_REPLACE;
	return dyn_client_below(client, 2) ? DYN_HISTORY_CREATE
									   : DYN_HISTORY_GUARDED;
}

static bool
may_be_blind(struct dyn_client_process *client, const struct dyn_memory *memory)
{
	return client->mode == DYN_HISTORY_CREATE ||
		   client->mode == DYN_HISTORY_REPLACE ||
		   (memory->used && memory->tokens.count < 6 &&
			dyn_client_chance(client, BLIND_RATE));
}

/* False when the key must be read first. */
static bool
begin_write(struct dyn_workload *self, struct dyn_client_process *client)
{
	struct dyn_memory *memory = &client->memories[client->key];
	const struct dyn_tokens *seen = NULL;
	const struct dyn_tokens *beside = NULL;
	struct dyn_tokens row = { &memory->row_token, 1, 1 };

	client->mode = some_mode(client);
	client->context = (struct dyn_slice){ NULL, 0 };
	if (!may_be_blind(client, memory))
	{
		bool one = memory->has_row && dyn_client_chance(client, ROW_RATE);

		if (!memory->used)
			return false;
		client->context = one ? memory->row : memory->context;
		seen = one ? &row : &memory->tokens;
		beside = one ? &memory->tokens : NULL;
	}
	client->is_delete = (seen != NULL || client->mode == DYN_HISTORY_REPLACE) &&
						dyn_client_below(client, 100) < self->deletes;
	client->fill = dyn_client_below(
		client, dyn_client_below(client, self->large) ? 64 : self->fill_max);
	client->op.count++;
	client->state = DYN_CLIENT_PUTS;
	client->sent_count = client->refused_count = 0;
	client->begin_us = dyn_journal_now_us();
	dyn_journal_write(self->journal, client->op, client->is_delete, client->key,
					  client->mode, self->w, self->r, seen, beside);
	if (seen != NULL)
		dyn_journal_context(self->journal, client->op, memory->read_us,
							client->context);
	send_put(self, client);
	/* Read again before the next write that stands on a read: a context
	 * used twice makes siblings, which is right, and explodes. */
	memory->used = memory->used && dyn_client_chance(client, 50000);
	return true;
}

static void
after_attempt(struct dyn_workload *self, struct dyn_client_process *client)
{
	if (!self->ending && client->sent_count < ATTEMPTS_MAX &&
		dyn_client_chance(client, RETRY_RATE))
		send_put(self, client);
	else
		end_write(self, client);
}

/* To delete whatever there is, when there is nothing, is no write.  Nor is one
 * that was done when it came again, and whose key has been deleted and reaped
 * since: that is known of it, and rests on nobody. */
static bool
rests_on_records(const struct dyn_client_process *client,
				 const Dyn__Receipt *receipt)
{
	if (client->is_delete && client->mode == DYN_HISTORY_REPLACE)
		return false;
	return client->sent_count == 1 || receipt == NULL ||
		   receipt->n_answered != 0;
}

static void
take_put(struct dyn_workload *self, struct dyn_client_process *client,
		 const struct dyn_envelope *env, const ProtobufCMessage *body)
{
	const Dyn__PutReply *reply = (const Dyn__PutReply *) body;
	const Dyn__PutResult *result = NULL;
	uint32_t status = DYN_STATUS_UNKNOWN;

	if (env->type == DYN_MESSAGE_ERROR)
		status = ((const Dyn__Error *) body)->status;
	else if (env->type == DYN_MESSAGE_PUT_REPLY && reply->n_results == 1)
	{
		result = reply->results[0];
		status = result->status;
	}
	client->correlations[0] = 0;
	self->stats.statuses[status < DYN_STATUSES_MAX ? status : 0]++;
	if (status == DYN_STATUS_OK && result != NULL)
	{
		if (rests_on_records(client, result->receipt))
			dyn_workload_check_receipt(self, result->receipt, self->w);
		dyn_journal_ok(self->journal, client->op,
					   dyn_links_owners(result->receipt), NULL);
		note_ack(&self->stats, client->begin_us);
		dyn_workload_rest(self, client);
		return;
	}
	client->refused_count += status != DYN_STATUS_UNKNOWN;
	after_attempt(self, client);
}

/* ---------------------------------------------------------------------- life */

static void
take_welcome(struct dyn_workload *self, uint32_t node,
			 const Dyn__Welcome *welcome)
{
	struct dyn_allocator allocator = dyn_allocator_malloc();

	if (!self->has_ring && welcome->formed &&
		dyn_ring_decode(dyn_slice_of_bytes(welcome->ring), &allocator,
						&self->ring) == DYN_STATUS_OK)
		self->has_ring = true;
	self->clocks[node].process = welcome->process;
	take_clock(self, node, welcome->uptime_ms);
}

static void
begin(struct dyn_workload *self, struct dyn_client_process *client)
{
	if (!self->has_ring)
	{
		say_hello(self, dyn_workload_some_node(self, client));
		client->due_us = dyn_journal_now_us() + HELLO_US;
		return;
	}
	client->key = dyn_client_chance(client, HOT_RATE)
					  ? dyn_client_below(client, HOT_KEYS)
					  : dyn_client_below(client, self->key_count);
	if (client->key >= self->key_count)
		client->key = 0;
	if (dyn_client_chance(client, WRITE_RATE) && begin_write(self, client))
		return;
	if (dyn_client_chance(client, DIRECT_RATE))
		dyn_workload_read_owners(self, client);
	else
		dyn_workload_get(self, client);
}

/* The time of an operation, or of a pause, is up. */
static void
wake(struct dyn_workload *self, struct dyn_client_process *client)
{
	switch (client->state)
	{
		case DYN_CLIENT_THINKS:
			if (self->ending)
				client->due_us = UINT64_MAX;
			else
				begin(self, client);
			break;
		case DYN_CLIENT_PUTS:
			after_attempt(self, client);
			break;
		case DYN_CLIENT_GETS:
		case DYN_CLIENT_READS:
			dyn_workload_fail_read(self, client);
			break;
	}
}

void
dyn_workload_take(void *workload, uint32_t node, const struct dyn_envelope *env,
				  const ProtobufCMessage *body)
{
	struct dyn_workload *self = workload;

	if (env->type == DYN_MESSAGE_WELCOME)
	{
		take_welcome(self, node, (const Dyn__Welcome *) body);
		return;
	}
	take_clocks(self, node, env, body);
	for (uint32_t i = 0; env->correlation != 0 && i < self->client_count; i++)
	{
		struct dyn_client_process *client = &self->clients[i];

		for (uint32_t place = 0; place < DYN_REPLICAS_MAX; place++)
		{
			if (client->state == DYN_CLIENT_THINKS ||
				client->correlations[place] != env->correlation)
				continue;
			if (client->state == DYN_CLIENT_PUTS)
				take_put(self, client, env, body);
			else if (client->state == DYN_CLIENT_GETS)
				dyn_workload_take_get(self, client, env, body);
			else
				dyn_workload_take_read(self, client, place, env, body);
			return;
		}
	}
}

uint64_t
dyn_workload_tick(struct dyn_workload *self, uint64_t now_us)
{
	uint64_t next_us = now_us + 1000000;

	for (uint32_t i = 0; i < self->client_count; i++)
	{
		if (self->clients[i].due_us <= now_us)
			wake(self, &self->clients[i]);
		if (self->clients[i].due_us < next_us)
			next_us = self->clients[i].due_us;
	}
	return next_us;
}

bool
dyn_workload_is_idle(const struct dyn_workload *self)
{
	for (uint32_t i = 0; i < self->client_count; i++)
		if (self->clients[i].state != DYN_CLIENT_THINKS)
			return false;
	return true;
}
