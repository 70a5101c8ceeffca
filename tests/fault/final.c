#include "tests/fault/final.h"

#include "model/hash.h"
#include "model/object.h"
#include "tests/sim/simdisk.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum
{
	ASK_MS = 3000,
	KEYS_PER_READ = 64,
	PAUSE_US = 50 * 1000
};

const char *
dyn_final_text(char out[128], uint32_t key, const char *what)
{
	snprintf(out, 128, "key %u, %s", key, what);
	return out;
}

/* ------------------------------------------------------------------- opening */

static bool
open_clients(struct dyn_final *self, const char *nodes, const char *without)
{
	self->without = -1;
	while (*nodes != 0 && self->client_count < DYN_LINKS_MAX)
	{
		char address[DYN_ADDRESS_SIZE_MAX + 1];
		size_t size = strcspn(nodes, ",");

		if (size >= sizeof(address))
			return false;
		memcpy(address, nodes, size);
		address[size] = 0;
		if (without != NULL && strcmp(address, without) == 0)
			self->without = (int) self->client_count;
		self->clients[self->client_count] = dyn_client_open(address);
		if (self->clients[self->client_count++] == NULL)
			return false;
		nodes += size + (nodes[size] == ',');
	}
	return true;
}

/* Who is it, and what ring does it know? */
static bool
greet(struct dyn_final *self, uint32_t client, bool *has_ring)
{
	struct dyn_allocator allocator = dyn_allocator_malloc();
	Dyn__Hello hello = DYN__HELLO__INIT;
	Dyn__Welcome *welcome;
	void *reply = NULL;
	const char *text;

	hello.version_min = hello.version_max = DYN_PROTOCOL_VERSION;
	hello.agent = "fault check";
	if (dyn_client_ask(self->clients[client], ASK_MS, DYN_MESSAGE_HELLO,
					   &hello.base, DYN_MESSAGE_WELCOME, &self->arena, &reply,
					   &text) != DYN_STATUS_OK)
		return false;
	welcome = reply;
	if (!*has_ring && welcome->formed)
		*has_ring = dyn_ring_decode(dyn_slice_of_bytes(welcome->ring),
									&allocator, &self->ring) == DYN_STATUS_OK;
	return dyn_node_id_of_bytes(welcome->node, &self->ids[client]);
}

static bool
find_ring(struct dyn_final *self)
{
	bool has_ring = false;

	for (uint32_t i = 0; i < self->client_count; i++)
	{
		if ((int) i == self->without || greet(self, i, &has_ring))
			continue;
		fprintf(stderr, "check: %s does not answer\n",
				dyn_client_address(self->clients[i]));
		return false;
	}
	if (!has_ring)
		fprintf(stderr, "check: no node tells the ring\n");
	return has_ring;
}

/* By its id: an address is where a node is, not who. The one that is outside
 * has no id that the ring knows. */
static uint32_t
client_of(const struct dyn_final *self, const struct dyn_node_id *node)
{
	for (uint32_t i = 0; i < self->client_count; i++)
		if ((int) i != self->without &&
			dyn_node_id_compare(&self->ids[i], node) == 0)
			return i;
	return self->without < 0 ? UINT32_MAX : (uint32_t) self->without;
}

static bool
find_owners(struct dyn_final *self)
{
	self->n = self->ring.replica_count;
	for (uint32_t key = 0; key < self->key_count; key++)
	{
		char text[16];
		uint16_t cell = dyn_hash_cell(dyn_hash_position(
			dyn_slice_of(DYN_FAULT_BUCKET), dyn_fault_key(key, text)));

		for (uint32_t slot = 0; slot < self->n; slot++)
		{
			struct dyn_final_key *k = &self->keys[key];

			k->nodes[slot] = client_of(
				self, &dyn_ring_slot(
						   &self->ring,
						   dyn_hash_partition(cell, self->ring.partition_count),
						   (uint8_t) slot)
						   ->node);
			if (k->nodes[slot] == UINT32_MAX)
				return false;
			k->asked[slot] = (int) k->nodes[slot] != self->without;
		}
	}
	return true;
}

/* -------------------------------------------------------------------- looking */

static bool
has_token(const struct dyn_tokens *tokens, struct dyn_token token)
{
	for (uint32_t i = 0; i < tokens->count; i++)
		if (tokens->items[i].client == token.client &&
			tokens->items[i].count == token.count)
			return true;
	return false;
}

static void
note_name(struct dyn_final *self, struct dyn_token token,
		  const struct dyn_version *version)
{
	uint64_t start =
		dyn_object_retry_dot(&version->request, version->value).actor.start;

	for (uint32_t i = self->name_count; i-- > 0;)
		if (self->names[i].start == start)
			return;
	if (self->name_count == self->name_capacity)
	{
		self->name_capacity = 2 * self->name_capacity + 1024;
		self->names = dyn_sim_grow(self->names,
								   self->name_capacity * sizeof(*self->names));
	}
	self->names[self->name_count++] =
		(struct dyn_journal_name){ .token = token, .start = start };
}

/* Twins have one value, so they are one here. */
static void
take_object(struct dyn_final *self, uint32_t key, struct dyn_slice bytes)
{
	struct dyn_final_key *k = &self->keys[key];
	struct dyn_object object;

	if (dyn_object_decode(bytes, &self->arena.allocator, &object) !=
		DYN_STATUS_OK)
	{
		k->strange = true;
		return;
	}
	k->tombstone |= object.version_count == 0;
	for (uint32_t i = 0; i < object.version_count; i++)
	{
		struct dyn_token token;

		if (!dyn_fault_value_parse(object.versions[i].value, key, &token))
			k->strange = true;
		else if (!has_token(&k->tokens, token))
			dyn_tokens_add(&k->tokens, token);
		if (!k->strange)
			note_name(self, token, &object.versions[i]);
	}
}

static int
slot_of(const struct dyn_final *self, uint32_t key, uint32_t client)
{
	for (uint32_t slot = 0; slot < self->n; slot++)
		if (self->keys[key].nodes[slot] == client)
			return (int) slot;
	return -1;
}

static void
ask_for(struct dyn_final *self, uint32_t client, const uint32_t *keys,
		uint32_t count)
{
	Dyn__ReadRequest request = DYN__READ_REQUEST__INIT;
	ProtobufCBinaryData bytes[KEYS_PER_READ];
	char texts[KEYS_PER_READ][16];
	void *reply = NULL;
	const char *text;
	enum dyn_status status;

	request.bucket = dyn_bytes_of_slice(dyn_slice_of(DYN_FAULT_BUCKET));
	request.n_keys = count;
	request.keys = bytes;
	for (uint32_t i = 0; i < count; i++)
		bytes[i] = dyn_bytes_of_slice(dyn_fault_key(keys[i], texts[i]));
	dyn_arena_reset(&self->arena);
	status = dyn_client_ask(self->clients[client], ASK_MS, DYN_MESSAGE_READ,
							&request.base, DYN_MESSAGE_READ_REPLY, &self->arena,
							&reply, &text);
	for (uint32_t i = 0; i < count; i++)
	{
		struct dyn_final_key *k = &self->keys[keys[i]];
		int slot = slot_of(self, keys[i], client);
		const Dyn__ReadResult *result =
			status == DYN_STATUS_OK && i < ((Dyn__ReadReply *) reply)->n_results
				? ((Dyn__ReadReply *) reply)->results[i]
				: NULL;

		k->statuses[slot] =
			result ? (enum dyn_status) result->status : DYN_STATUS_TIMEOUT;
		k->hashes[slot] = result ? result->hash : 0;
		if (result != NULL && result->status == DYN_STATUS_OK)
			take_object(self, keys[i], dyn_slice_of_bytes(result->object));
	}
}

static void
look_at_client(struct dyn_final *self, uint32_t client)
{
	uint32_t keys[KEYS_PER_READ];
	uint32_t count = 0;

	for (uint32_t key = 0; key < self->key_count; key++)
	{
		if (!self->keys[key].equal && slot_of(self, key, client) >= 0)
			keys[count++] = key;
		if (count == KEYS_PER_READ || (count > 0 && key + 1 == self->key_count))
		{
			ask_for(self, client, keys, count);
			count = 0;
		}
	}
}

/* Hashes cover live dots and values; a tombstone's covers its context. */
static bool
is_equal(const struct dyn_final *self, struct dyn_final_key *k)
{
	int first = -1;

	for (uint32_t slot = 0; slot < self->n; slot++)
	{
		const char *address = dyn_client_address(self->clients[k->nodes[slot]]);

		if (!k->asked[slot])
			continue;
		if (k->statuses[slot] != DYN_STATUS_OK &&
			k->statuses[slot] != DYN_STATUS_NOT_FOUND)
		{
			snprintf(k->trouble, sizeof(k->trouble), "%.60s says %s", address,
					 dyn_status_name(k->statuses[slot]));
			return false;
		}
		if (first < 0)
			first = (int) slot;
		if (k->hashes[slot] == k->hashes[first])
			continue;
		snprintf(k->trouble, sizeof(k->trouble), "%.36s and %.36s differ",
				 dyn_client_address(self->clients[k->nodes[first]]), address);
		return false;
	}
	return true;
}

/* All keys that were not equal yet; how many still are not. */
static uint32_t
look(struct dyn_final *self)
{
	uint32_t differing = 0;

	for (uint32_t key = 0; key < self->key_count; key++)
		if (!self->keys[key].equal)
		{
			self->keys[key].tokens.count = 0;
			self->keys[key].strange = false;
			self->keys[key].tombstone = false;
		}
	for (uint32_t client = 0; client < self->client_count; client++)
		if ((int) client != self->without)
			look_at_client(self, client);
	for (uint32_t key = 0; key < self->key_count; key++)
	{
		self->keys[key].equal = is_equal(self, &self->keys[key]);
		differing += !self->keys[key].equal;
	}
	return differing;
}

/* ------------------------------------------------------------------ repairing */

static void
read_at_n(struct dyn_final *self, uint32_t key, uint32_t round)
{
	Dyn__GetRequest request = DYN__GET_REQUEST__INIT;
	ProtobufCBinaryData bytes;
	char key_text[16];
	void *reply;
	const char *text;
	uint32_t client = (key + round) % self->client_count;

	if ((int) client == self->without)
		client = (client + 1) % self->client_count;
	bytes = dyn_bytes_of_slice(dyn_fault_key(key, key_text));
	request.bucket = dyn_bytes_of_slice(dyn_slice_of(DYN_FAULT_BUCKET));
	request.r = self->without < 0 ? self->n : self->n - 1;
	request.n_keys = 1;
	request.keys = &bytes;
	dyn_arena_reset(&self->arena);
	dyn_client_ask(self->clients[client], ASK_MS, DYN_MESSAGE_GET,
				   &request.base, DYN_MESSAGE_GET_REPLY, &self->arena, &reply,
				   &text);
}

static void
converge(struct dyn_final *self, uint32_t settle_ms, uint32_t converge_ms)
{
	uint64_t begin_us = dyn_journal_now_us();
	uint64_t passed_ms = 0;
	uint32_t differing = look(self);

	for (uint32_t round = 0; differing > 0 && passed_ms < converge_ms; round++)
	{
		bool repairs = passed_ms >= settle_ms;

		if (repairs && self->repaired_count == 0)
			self->repaired_count = differing;
		for (uint32_t key = 0; repairs && key < self->key_count; key++)
			if (!self->keys[key].equal)
				read_at_n(self, key, round);
		usleep(PAUSE_US);
		differing = look(self);
		passed_ms = (dyn_journal_now_us() - begin_us) / 1000;
	}
	self->converged_ms = passed_ms;
}

bool
dyn_final_read(struct dyn_final *self, const char *nodes, const char *without,
			   uint32_t key_count, uint32_t settle_ms, uint32_t converge_ms)
{
	*self = (struct dyn_final){ .key_count = key_count };
	dyn_arena_init(&self->arena, dyn_allocator_malloc(), 0);
	self->keys = dyn_sim_allocate(key_count * sizeof(*self->keys));
	if (!open_clients(self, nodes, without) || !find_ring(self))
		return false;
	if (!find_owners(self))
	{
		fprintf(stderr, "check: the ring names a node that was not given\n");
		return false;
	}
	converge(self, settle_ms, converge_ms);
	return true;
}

void
dyn_final_again(struct dyn_final *self)
{
	usleep(4 * PAUSE_US);
	for (uint32_t key = 0; key < self->key_count; key++)
		self->keys[key].equal = false;
	look(self);
}

uint32_t
dyn_final_tombstones(const struct dyn_final *self)
{
	uint32_t count = 0;

	for (uint32_t key = 0; key < self->key_count; key++)
		count += self->keys[key].tombstone;
	return count;
}

void
dyn_final_destroy(struct dyn_final *self)
{
	for (uint32_t i = 0; i < self->client_count; i++)
		dyn_client_close(&self->clients[i]);
	for (uint32_t key = 0; key < self->key_count; key++)
		dyn_tokens_destroy(&self->keys[key].tokens);
	free(self->keys);
	free(self->names);
	dyn_ring_destroy(&self->ring);
	dyn_arena_destroy(&self->arena);
}
