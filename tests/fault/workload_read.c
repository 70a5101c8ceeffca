/*
 * The reads of the clients: coordinated, and of R owners.
 */
#include "tests/fault/workload.h"

#include "model/hash.h"
#include "tests/sim/simdisk.h"

#include <stdlib.h>
#include <string.h>

enum
{
	READ_MS = 1500
};

static void
keep(struct dyn_slice *to, struct dyn_slice bytes)
{
	uint8_t *copy = dyn_sim_grow((void *) to->data, bytes.size + 1);

	if (bytes.size > 0)
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
	pick = dyn_client_below(client, count);
	if (!dyn_fault_value_parse(rows[pick].version->value, client->key,
							   &memory->row_token) ||
		dyn_clock_encode(&rows[pick].clock, &arena->allocator, &bytes) !=
			DYN_STATUS_OK)
		return;
	keep(&memory->row, bytes);
	memory->has_row = true;
}

/* Of what SQL sessions write only those who read objects know it. */
static void
note_name(struct dyn_workload *self, struct dyn_token token,
		  const struct dyn_version *version)
{
	if (token.client >= self->client_count)
		dyn_journal_name(
			self->journal, token,
			dyn_object_retry_dot(&version->request, version->value));
}

/* Take an object in: false when it is none, or holds what nobody made. The
 * name of such a value is one that no write has. */
static bool
note(struct dyn_workload *self, struct dyn_client_process *client,
	 struct dyn_slice bytes)
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
			else
				note_name(self, token, &object.versions[i]);
			dyn_tokens_add(&memory->tokens, token);
		}
		memory->used = true;
		memory->read_us = client->begin_us;
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
	client->begin_us = dyn_journal_now_us();
	client->due_us = client->begin_us + READ_MS * 1000 + DYN_GRACE_US;
	memset(client->correlations, 0, sizeof(client->correlations));
	dyn_journal_read(self->journal, client->op, client->key, self->r);
}

void
dyn_workload_fail_read(struct dyn_workload *self,
					   struct dyn_client_process *client)
{
	self->stats.reads_failed++;
	dyn_journal_no(self->journal, client->op);
	dyn_workload_rest(self, client);
}

/* A good answer rests on a quorum, of owners or stand-ins. */
void
dyn_workload_check_receipt(struct dyn_workload *self,
						   const Dyn__Receipt *receipt, uint32_t needed)
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

	if (object.data != NULL && !note(self, client, object))
	{
		dyn_workload_fail_read(self, client);
		return;
	}
	self->stats.reads++;
	dyn_journal_ok(self->journal, client->op, owners,
				   object.data ? &client->memories[client->key].tokens : &none);
	dyn_workload_rest(self, client);
}

void
dyn_workload_get(struct dyn_workload *self, struct dyn_client_process *client)
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
	if (!dyn_links_send(&self->links, dyn_workload_some_node(self, client),
						DYN_MESSAGE_GET, client->correlations[0], READ_MS,
						&request.base))
		dyn_workload_fail_read(self, client);
}

void
dyn_workload_take_get(struct dyn_workload *self,
					  struct dyn_client_process *client,
					  const struct dyn_envelope *env,
					  const ProtobufCMessage *body)
{
	const Dyn__GetReply *reply = (const Dyn__GetReply *) body;
	const Dyn__GetResult *result;
	static const struct dyn_slice none = { NULL, 0 };

	if (env->type != DYN_MESSAGE_GET_REPLY || reply->n_results != 1)
	{
		dyn_workload_fail_read(self, client);
		return;
	}
	result = reply->results[0];
	if (result->status == DYN_STATUS_OK ||
		result->status == DYN_STATUS_NOT_FOUND)
		dyn_workload_check_receipt(self, result->receipt, self->r);
	if (result->status == DYN_STATUS_OK)
		end_read(self, client, dyn_links_owners(result->receipt),
				 dyn_slice_of_bytes(result->object));
	else if (result->status == DYN_STATUS_NOT_FOUND)
		end_read(self, client, dyn_links_owners(result->receipt), none);
	else
		dyn_workload_fail_read(self, client);
}

/* R owners in a row, from a random one. */
static bool
pick_owners(struct dyn_workload *self, struct dyn_client_process *client,
			uint16_t partition)
{
	uint8_t n = self->ring.replica_count;
	uint32_t first = dyn_client_below(client, n);

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

void
dyn_workload_read_owners(struct dyn_workload *self,
						 struct dyn_client_process *client)
{
	char text[16];
	struct dyn_slice key = dyn_fault_key(client->key, text);
	ProtobufCBinaryData bytes = dyn_bytes_of_slice(key);
	uint16_t cell =
		dyn_hash_cell(dyn_hash_position(dyn_slice_of(DYN_FAULT_BUCKET), key));

	if (!pick_owners(self, client,
					 dyn_hash_partition(cell, self->ring.partition_count)))
	{
		dyn_workload_get(self, client);
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
			dyn_workload_fail_read(self, client);
			return;
		}
	}
}

void
dyn_workload_take_read(struct dyn_workload *self,
					   struct dyn_client_process *client, uint32_t place,
					   const struct dyn_envelope *env,
					   const ProtobufCMessage *body)
{
	const Dyn__ReadReply *reply = (const Dyn__ReadReply *) body;
	const Dyn__ReadResult *result;
	static const struct dyn_slice none = { NULL, 0 };

	if (env->type != DYN_MESSAGE_READ_REPLY || reply->n_results != 1)
	{
		dyn_workload_fail_read(self, client);
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
		dyn_workload_get(self, client);
		return;
	}
	end_read(self, client, self->r,
			 client->status == DYN_STATUS_OK ? client->object : none);
}
