#include "tests/fault/workload.h"

#include "model/hash.h"
#include "tests/sim/simdisk.h"

#include <stdlib.h>
#include <string.h>

enum
{
	HELLO_US = 200 * 1000,
	READ_MS = 1500,
	PUT_MS = 1500,
	GRACE_US = 300 * 1000, /* for the answer to arrive after the deadline */
	ATTEMPTS_MAX = 3,
	HOT_KEYS = 8,
	/* in a million */
	HOT_RATE = 250000,
	WRITE_RATE = 600000,
	BLIND_RATE = 150000,
	ROW_RATE = 400000,
	DELETE_RATE = 120000,
	MODE_RATE = 150000,
	RETRY_RATE = 500000,
	DIRECT_RATE = 400000
};

static bool
chance(struct dyn_client_process *self, uint32_t rate)
{
	return dyn_simrandom_chance(&self->random, rate);
}

static uint32_t
below(struct dyn_client_process *self, uint32_t bound)
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

static uint32_t
some_node(struct dyn_workload *self, struct dyn_client_process *client)
{
	return below(client, self->links.count);
}

static void
rest(struct dyn_workload *self, struct dyn_client_process *client)
{
	client->state = DYN_CLIENT_THINKS;
	client->due_us =
		dyn_journal_now_us() + 1 + below(client, 2 * self->think_us + 1);
}

/* --------------------------------------------------------------------- reads */

static void
keep(struct dyn_slice *to, struct dyn_slice bytes)
{
	uint8_t *copy = dyn_sim_grow((void *) to->data, bytes.size + 1);

	memcpy(copy, bytes.data, bytes.size);
	*to = (struct dyn_slice){ copy, bytes.size };
}

/* One row, drawn by lot, whose clock a later write may stand on. */
static void
remember_row(struct dyn_client_process *client, struct dyn_memory *memory,
			 const struct dyn_object *object, struct dyn_arena *arena)
{
	struct dyn_slice bytes;
	struct dyn_row *rows;
	uint32_t count;
	uint32_t pick;

	memory->has_row = false;
	if (dyn_object_rows(object, &arena->allocator, &rows, &count) !=
			DYN_STATUS_OK ||
		count == 0)
		return;
	pick = below(client, count);
	if (!dyn_fault_value_parse(rows[pick].version->value, client->key,
							   &memory->row_token) ||
		dyn_clock_encode(&rows[pick].clock, &arena->allocator, &bytes) !=
			DYN_STATUS_OK)
		return;
	keep(&memory->row, bytes);
	memory->has_row = true;
}

/* Take an object in: false when it is none, or holds what nobody made. The
 * name of such a value is one that no write has. */
static bool
note(struct dyn_client_process *client, struct dyn_slice bytes)
{
	static const struct dyn_token nobody = { UINT32_MAX, UINT32_MAX };
	struct dyn_memory *memory = &client->memories[client->key];
	struct dyn_object object;
	struct dyn_slice context;
	struct dyn_arena arena;
	bool ok;

	dyn_arena_init(&arena, dyn_allocator_malloc(), 0);
	memory->tokens.count = 0;
	ok = dyn_object_decode(bytes, &arena.allocator, &object) == DYN_STATUS_OK &&
		 dyn_clock_encode(&object.context, &arena.allocator, &context) ==
			 DYN_STATUS_OK;
	if (ok)
	{
		for (uint32_t i = 0; i < object.version_count; i++)
		{
			struct dyn_token token;

			if (!dyn_fault_value_parse(object.versions[i].value, client->key,
									   &token))
				token = nobody;
			dyn_tokens_add(&memory->tokens, token);
		}
		memory->used = true;
		keep(&memory->context, context);
		remember_row(client, memory, &object, &arena);
	}
	dyn_arena_destroy(&arena);
	return ok;
}

static void
begin_read(struct dyn_workload *self, struct dyn_client_process *client,
		   enum dyn_client_state state)
{
	client->state = state;
	client->op.count++;
	client->due_us = dyn_journal_now_us() + READ_MS * 1000 + GRACE_US;
	memset(client->correlations, 0, sizeof(client->correlations));
	dyn_journal_read(self->journal, client->op, client->key, self->r);
}

static void
fail_read(struct dyn_workload *self, struct dyn_client_process *client)
{
	self->stats.reads_failed++;
	dyn_journal_no(self->journal, client->op);
	rest(self, client);
}

/* A good answer rests on a quorum, of owners or stand-ins. */
static void
check_receipt(struct dyn_workload *self, const Dyn__Receipt *receipt,
			  uint32_t needed)
{
	self->stats.receipts_short +=
		receipt == NULL || receipt->n_answered < needed;
}

/* An object, or (data NULL) the word that there is none. */
static void
end_read(struct dyn_workload *self, struct dyn_client_process *client,
		 unsigned owners, struct dyn_slice object)
{
	static const struct dyn_tokens none = { 0 };

	if (object.data != NULL && !note(client, object))
	{
		fail_read(self, client);
		return;
	}
	self->stats.reads++;
	dyn_journal_ok(self->journal, client->op, owners,
				   object.data ? &client->memories[client->key].tokens : &none);
	rest(self, client);
}

static void
get(struct dyn_workload *self, struct dyn_client_process *client)
{
	Dyn__GetRequest request = DYN__GET_REQUEST__INIT;
	ProtobufCBinaryData key;
	char text[16];

	begin_read(self, client, DYN_CLIENT_GETS);
	key = dyn_bytes_of_slice(dyn_fault_key(client->key, text));
	request.bucket = dyn_bytes_of_slice(dyn_slice_of(DYN_FAULT_BUCKET));
	request.n_keys = 1;
	request.keys = &key;
	client->correlations[0] = ++self->correlation;
	if (!dyn_links_send(&self->links, some_node(self, client), DYN_MESSAGE_GET,
						client->correlations[0], READ_MS, &request.base))
		fail_read(self, client);
}

static void
take_get(struct dyn_workload *self, struct dyn_client_process *client,
		 const struct dyn_envelope *env, const ProtobufCMessage *body)
{
	const Dyn__GetReply *reply = (const Dyn__GetReply *) body;
	const Dyn__GetResult *result;
	static const struct dyn_slice none = { NULL, 0 };

	if (env->type != DYN_MESSAGE_GET_REPLY || reply->n_results != 1)
	{
		fail_read(self, client);
		return;
	}
	result = reply->results[0];
	if (result->status == DYN_STATUS_OK ||
		result->status == DYN_STATUS_NOT_FOUND)
		check_receipt(self, result->receipt, self->r);
	if (result->status == DYN_STATUS_OK)
		end_read(self, client, dyn_links_owners(result->receipt),
				 dyn_slice_of_bytes(result->object));
	else if (result->status == DYN_STATUS_NOT_FOUND)
		end_read(self, client, dyn_links_owners(result->receipt), none);
	else
		fail_read(self, client);
}

/* R owners in a row, from a random one. */
static bool
pick_owners(struct dyn_workload *self, struct dyn_client_process *client,
			uint16_t partition)
{
	uint8_t n = self->ring.replica_count;
	uint32_t first = below(client, n);

	for (uint32_t i = 0; i < self->r; i++)
	{
		const struct dyn_slot *slot =
			dyn_ring_slot(&self->ring, partition, (uint8_t) ((first + i) % n));
		const struct dyn_member *member =
			dyn_ring_member(&self->ring, &slot->node);
		int node = member ? dyn_links_find(&self->links, member->address) : -1;

		if (node < 0)
			return false;
		client->owners[i] = (uint32_t) node;
	}
	return true;
}

static void
read_owners(struct dyn_workload *self, struct dyn_client_process *client)
{
	char text[16];
	struct dyn_slice key = dyn_fault_key(client->key, text);
	ProtobufCBinaryData bytes = dyn_bytes_of_slice(key);
	uint16_t cell =
		dyn_hash_cell(dyn_hash_position(dyn_slice_of(DYN_FAULT_BUCKET), key));

	if (!pick_owners(self, client,
					 dyn_hash_partition(cell, self->ring.partition_count)))
	{
		get(self, client);
		return;
	}
	begin_read(self, client, DYN_CLIENT_READS);
	client->answer_count = 0;
	client->differs = false;
	for (uint32_t i = 0; i < self->r; i++)
	{
		Dyn__ReadRequest request = DYN__READ_REQUEST__INIT;

		request.bucket = dyn_bytes_of_slice(dyn_slice_of(DYN_FAULT_BUCKET));
		request.n_keys = 1;
		request.keys = &bytes;
		request.hash_only = i > 0;
		client->correlations[i] = ++self->correlation;
		if (!dyn_links_send(&self->links, client->owners[i], DYN_MESSAGE_READ,
							client->correlations[i], READ_MS, &request.base))
		{
			fail_read(self, client);
			return;
		}
	}
}

static void
take_read(struct dyn_workload *self, struct dyn_client_process *client,
		  uint32_t place, const struct dyn_envelope *env,
		  const ProtobufCMessage *body)
{
	const Dyn__ReadReply *reply = (const Dyn__ReadReply *) body;
	const Dyn__ReadResult *result;
	static const struct dyn_slice none = { NULL, 0 };

	if (env->type != DYN_MESSAGE_READ_REPLY || reply->n_results != 1)
	{
		fail_read(self, client);
		return;
	}
	result = reply->results[0];
	client->correlations[place] = 0;
	if (client->answer_count++ == 0)
	{
		client->hash = result->hash;
		client->status = (enum dyn_status) result->status;
	}
	if ((result->status != DYN_STATUS_OK &&
		 result->status != DYN_STATUS_NOT_FOUND) ||
		client->hash != result->hash ||
		client->status != (enum dyn_status) result->status)
		client->differs = true;
	if (place == 0)
		keep(&client->object, dyn_slice_of_bytes(result->object));
	if (client->answer_count < self->r)
		return;
	if (client->differs)
	{
		/* As the extension does it: this read told nothing, ask a node. */
		dyn_journal_no(self->journal, client->op);
		get(self, client);
		return;
	}
	end_read(self, client, self->r,
			 client->status == DYN_STATUS_OK ? client->object : none);
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
	rest(self, client);
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
send_put(struct dyn_workload *self, struct dyn_client_process *client)
{
	Dyn__PutRequest request = DYN__PUT_REQUEST__INIT;
	Dyn__PutOp op = DYN__PUT_OP__INIT;
	Dyn__PutOp *ops = &op;
	static char value_text[DYN_FAULT_VALUE_SIZE_MAX];
	ProtobufCBinaryData value;
	char key_text[16];
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
	client->due_us = dyn_journal_now_us() + PUT_MS * 1000 + GRACE_US;
	if (client->sent_count > client->refused_count)
		dyn_journal_again(self->journal, client->op);
	if (dyn_links_send(&self->links, some_node(self, client), DYN_MESSAGE_PUT,
					   client->correlations[0], PUT_MS, &request.base))
		client->sent_count++;
	else
		end_write(self, client);
}

/* REPLACE has keys of its own: what it covers no client can know. */
static enum dyn_history_mode
some_mode(struct dyn_client_process *client)
{
	if (!chance(client, MODE_RATE))
		return DYN_HISTORY_SIBLING;
	if (client->key % 5 == 1)
		return DYN_HISTORY_REPLACE;
	return below(client, 2) ? DYN_HISTORY_CREATE : DYN_HISTORY_GUARDED;
}

static bool
may_be_blind(struct dyn_client_process *client, const struct dyn_memory *memory)
{
	return client->mode == DYN_HISTORY_CREATE ||
		   client->mode == DYN_HISTORY_REPLACE ||
		   (memory->used && memory->tokens.count < 6 &&
			chance(client, BLIND_RATE));
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
		bool one = memory->has_row && chance(client, ROW_RATE);

		if (!memory->used)
			return false;
		client->context = one ? memory->row : memory->context;
		seen = one ? &row : &memory->tokens;
		beside = one ? &memory->tokens : NULL;
	}
	client->is_delete = (seen != NULL || client->mode == DYN_HISTORY_REPLACE) &&
						chance(client, DELETE_RATE);
	client->fill =
		below(client, below(client, self->large) ? 64 : self->fill_max);
	client->op.count++;
	client->state = DYN_CLIENT_PUTS;
	client->sent_count = client->refused_count = 0;
	client->begin_us = dyn_journal_now_us();
	dyn_journal_write(self->journal, client->op, client->is_delete, client->key,
					  client->mode, self->w, self->r, seen, beside);
	send_put(self, client);
	/* Read again before the next write that stands on a read: a context
	 * used twice makes siblings, which is right, and explodes. */
	memory->used = memory->used && chance(client, 50000);
	return true;
}

static void
after_attempt(struct dyn_workload *self, struct dyn_client_process *client)
{
	if (!self->ending && client->sent_count < ATTEMPTS_MAX &&
		chance(client, RETRY_RATE))
		send_put(self, client);
	else
		end_write(self, client);
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
		/* To delete whatever there is, when there is nothing, is no write. */
		if (!client->is_delete || client->mode != DYN_HISTORY_REPLACE)
			check_receipt(self, result->receipt, self->w);
		dyn_journal_ok(self->journal, client->op,
					   dyn_links_owners(result->receipt), NULL);
		note_ack(&self->stats, client->begin_us);
		rest(self, client);
		return;
	}
	client->refused_count += status != DYN_STATUS_UNKNOWN;
	after_attempt(self, client);
}

/* ---------------------------------------------------------------------- life */

static void
say_hello(struct dyn_workload *self, struct dyn_client_process *client)
{
	Dyn__Hello hello = DYN__HELLO__INIT;

	hello.version_min = hello.version_max = DYN_PROTOCOL_VERSION;
	hello.agent = "fault load";
	dyn_links_send(&self->links, some_node(self, client), DYN_MESSAGE_HELLO,
				   ++self->correlation, 1000, &hello.base);
	client->due_us = dyn_journal_now_us() + HELLO_US;
}

static void
take_welcome(struct dyn_workload *self, const Dyn__Welcome *welcome)
{
	struct dyn_allocator allocator = dyn_allocator_malloc();

	if (!self->has_ring && welcome->formed &&
		dyn_ring_decode(dyn_slice_of_bytes(welcome->ring), &allocator,
						&self->ring) == DYN_STATUS_OK)
		self->has_ring = true;
}

static void
begin(struct dyn_workload *self, struct dyn_client_process *client)
{
	if (!self->has_ring)
	{
		say_hello(self, client);
		return;
	}
	client->key = chance(client, HOT_RATE) ? below(client, HOT_KEYS)
										   : below(client, self->key_count);
	if (client->key >= self->key_count)
		client->key = 0;
	if (chance(client, WRITE_RATE) && begin_write(self, client))
		return;
	if (chance(client, DIRECT_RATE))
		read_owners(self, client);
	else
		get(self, client);
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
			fail_read(self, client);
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
		take_welcome(self, (const Dyn__Welcome *) body);
		return;
	}
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
				take_get(self, client, env, body);
			else
				take_read(self, client, place, env, body);
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
