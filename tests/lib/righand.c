/*
 * The hands of a unit test on the cores of corerig.c: it cuts, fills, puts
 * records straight into a store, asks as a client does, and counts.
 */
#include "righand.h"

#include "core/handoff.h"
#include "model/hash.h"

#include <stdlib.h>
#include <string.h>

void
corerig_cut(struct corerig *rig, uint32_t node, bool cut)
{
	rig->nodes[node].cut = cut;
}

void
corerig_full(struct corerig *rig, uint32_t node)
{
	rig->nodes[node].node->writable = false;
}

void
corerig_scrub_every(struct corerig *rig, uint32_t node, uint32_t ms)
{
	rig->nodes[node].node->config.scrub_ms = ms;
	rig->nodes[node].node->scrub.next_at_ms = 0;
}

uint16_t
corerig_cell(const char *bucket, const char *key)
{
	return dyn_hash_cell(
		dyn_hash_position(dyn_slice_of(bucket), dyn_slice_of(key)));
}

uint16_t
corerig_partition(const struct corerig *rig, const char *bucket,
				  const char *key)
{
	return dyn_hash_partition(corerig_cell(bucket, key), rig->partitions);
}

static void
put_into(struct corerig *rig, struct corerig_store *store, uint64_t wall_ms,
		 const char *bucket, const char *key, struct dyn_slice bytes,
		 uint8_t slots)
{
	struct dyn_write write = { .key = { .bucket = dyn_slice_of(bucket),
										.cell = corerig_cell(bucket, key),
										.key = dyn_slice_of(key) },
							   .held_at_ms = wall_ms,
							   .slots = slots,
							   .object = bytes };
	struct dyn_object object;

	if (bytes.size != 0)
	{
		if (dyn_object_decode(bytes, &rig->arena.allocator, &object) !=
			DYN_STATUS_OK)
			abort();
		write.hash = dyn_object_hash(&object, dyn_slice_of(key));
		write.flags = dyn_key_flags(&object);
	}
	rigstore_put(store, &write);
}

static struct corerig_record *
get_from(struct corerig_store *store, const char *bucket, const char *key)
{
	return rigstore_find(store, dyn_slice_of(bucket), corerig_cell(bucket, key),
						 dyn_slice_of(key));
}

void
corerig_put(struct corerig *rig, uint32_t node, const char *bucket,
			const char *key, struct dyn_slice bytes)
{
	put_into(rig, &rig->nodes[node].store, rig->nodes[node].wall_ms, bucket,
			 key, bytes, 0);
}

struct corerig_record *
corerig_get(struct corerig *rig, uint32_t node, const char *bucket,
			const char *key)
{
	return get_from(&rig->nodes[node].store, bucket, key);
}

struct corerig_record *
corerig_put_hint(struct corerig *rig, uint32_t node, const char *bucket,
				 const char *key, struct dyn_slice bytes, uint8_t slots)
{
	struct dyn_node *keeper = rig->nodes[node].node;
	struct corerig_store *hints = &rig->nodes[node].hints;

	put_into(rig, hints, rig->nodes[node].wall_ms, bucket, key, bytes, slots);
	keeper->hints.count++;
	dyn_handoff_note(keeper, corerig_partition(rig, bucket, key), slots);
	return get_from(hints, bucket, key);
}

bool
corerig_is_equal(const struct corerig *rig, uint32_t a, uint32_t b)
{
	const struct corerig_store *x = &rig->nodes[a].store;
	const struct corerig_store *y = &rig->nodes[b].store;

	if (x->count != y->count || !rigstore_tree_is_right(x) ||
		!rigstore_tree_is_right(y))
		return false;
	for (uint32_t i = 0; i < x->count; i++)
	{
		const struct corerig_record *r = &x->records[i];
		const struct corerig_record *s = &y->records[i];

		if (strcmp(r->key, s->key) != 0 || strcmp(r->bucket, s->bucket) != 0 ||
			r->damaged || s->damaged || r->hash != s->hash ||
			r->object_size != s->object_size ||
			memcmp(r->object, s->object, r->object_size) != 0)
			return false;
	}
	return true;
}

uint64_t
corerig_counter(const struct corerig *rig, uint32_t node, const char *name)
{
	const char *other;
	uint64_t value = 0;

	for (uint32_t i = 0;
		 (other = dyn_node_counter(rig->nodes[node].node, i, &value)); i++)
		if (strcmp(other, name) == 0)
			return value;
	abort();
}

uint64_t
corerig_sum(const struct corerig *rig, const char *name)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < rig->count; i++)
		sum += corerig_counter(rig, i, name);
	return sum;
}

void
corerig_count_anew(struct corerig *rig)
{
	memset(rig->frames, 0, sizeof(rig->frames));
	memset(rig->bytes, 0, sizeof(rig->bytes));
}

/* A message of the test's own; what comes of it at once has come. */
static void
deliver(struct corerig *rig, uint32_t node, enum dyn_message_type type,
		const ProtobufCMessage *body)
{
	struct dyn_envelope env = { .type = type, .correlation = 1 };
	struct dyn_event event = { .type = DYN_EVENT_MESSAGE };

	if (dyn_message_pack(&env, body, &rig->arena.allocator,
						 &event.message.frame) != DYN_STATUS_OK)
		abort();
	event.message.source = DYN_SOURCE_CLIENT;
	event.message.route = CORERIG_CLIENT_ROUTE;
	corerig_step(rig, node, &event);
}

const Dyn__StatusReply *
corerig_status(struct corerig *rig, uint32_t node)
{
	Dyn__StatusRequest request = DYN__STATUS_REQUEST__INIT;

	request.partitions = true;
	rig->status = NULL;
	deliver(rig, node, DYN_MESSAGE_STATUS, &request.base);
	return rig->status;
}

void
corerig_send(struct corerig *rig, uint32_t node, enum dyn_message_type type,
			 const ProtobufCMessage *body)
{
	rig->reply = NULL;
	deliver(rig, node, type, body);
}

const void *
corerig_await(struct corerig *rig)
{
	for (int ms = 0; ms < 1000 && rig->reply == NULL; ms++)
		corerig_run(rig, 1);
	return rig->reply;
}

const void *
corerig_ask(struct corerig *rig, uint32_t node, enum dyn_message_type type,
			const ProtobufCMessage *body)
{
	corerig_send(rig, node, type, body);
	return corerig_await(rig);
}

uint64_t
corerig_compare_bytes(const struct corerig *rig)
{
	return rig->bytes[DYN_MESSAGE_TREE] + rig->bytes[DYN_MESSAGE_TREE_REPLY] +
		   rig->bytes[DYN_MESSAGE_LIST] + rig->bytes[DYN_MESSAGE_LIST_REPLY];
}

uint64_t
corerig_repair_bytes(const struct corerig *rig)
{
	return rig->bytes[DYN_MESSAGE_READ] + rig->bytes[DYN_MESSAGE_READ_REPLY] +
		   rig->bytes[DYN_MESSAGE_REPLICATE] +
		   rig->bytes[DYN_MESSAGE_REPLICATE_REPLY];
}
