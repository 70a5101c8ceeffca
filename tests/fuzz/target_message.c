/*
 * A sealed frame of any type: byte 0 names the type, byte 1 the allocation
 * that fails (0 = none), the body follows.  So the checksum, which random
 * bytes never meet, is no wall before the decoders.
 */
#include "fuzz/targets.h"

#include "failing.h"

#include "model/arena.h"
#include "model/bucket.h"
#include "model/message.h"

#include <string.h>

static ProtobufCAllocator
bridge_of(const struct dyn_allocator *allocator)
{
	return (ProtobufCAllocator){ allocator->allocate, allocator->release,
								 allocator->context };
}

static struct dyn_slice
pack(const struct dyn_envelope *env, const ProtobufCMessage *body,
	 const struct dyn_allocator *allocator)
{
	struct dyn_slice frame;

	FUZZ_REQUIRE(dyn_message_pack(env, body, allocator, &frame) ==
				 DYN_STATUS_OK);
	return frame;
}

static void
bytes_field(void (*target)(const uint8_t *, size_t), ProtobufCBinaryData bytes)
{
	target(bytes.data, bytes.len);
}

/* A table of buckets that was taken is the same after a journey, and merges
 * with itself into itself. */
static void
fuzz_buckets(const uint8_t *data, size_t size)
{
	struct dyn_allocator heap = dyn_allocator_malloc();
	struct dyn_buckets *table = heap.allocate(heap.context, 2 * sizeof(*table));
	struct dyn_slice bytes;

	if (dyn_buckets_decode((struct dyn_slice){ data, size }, &heap, table) ==
		DYN_STATUS_OK)
	{
		FUZZ_REQUIRE(dyn_buckets_encode(table, &heap, &bytes) == DYN_STATUS_OK);
		FUZZ_REQUIRE(dyn_buckets_decode(bytes, &heap, table + 1) ==
					 DYN_STATUS_OK);
		FUZZ_REQUIRE(dyn_buckets_digest(table) ==
					 dyn_buckets_digest(table + 1));
		FUZZ_REQUIRE(!dyn_buckets_merge(table, table + 1));
		heap.release(heap.context, (void *) bytes.data);
	}
	heap.release(heap.context, table);
}

/* The encoded forms that a message carries as bytes. */
static void
look_inside(enum dyn_message_type type, const ProtobufCMessage *body)
{
	switch ((int) type)
	{
		case DYN_MESSAGE_WELCOME:
			bytes_field(fuzz_ring, ((const Dyn__Welcome *) body)->ring);
			bytes_field(fuzz_buckets, ((const Dyn__Welcome *) body)->buckets);
			break;
		case DYN_MESSAGE_FORM:
			bytes_field(fuzz_ring, ((const Dyn__Form *) body)->ring);
			bytes_field(fuzz_buckets, ((const Dyn__Form *) body)->buckets);
			break;
		case DYN_MESSAGE_HEARTBEAT:
			bytes_field(fuzz_ring, ((const Dyn__Heartbeat *) body)->ring);
			bytes_field(fuzz_buckets, ((const Dyn__Heartbeat *) body)->buckets);
			break;
		case DYN_MESSAGE_PUT:
		{
			const Dyn__PutRequest *put = (const Dyn__PutRequest *) body;

			for (size_t i = 0; i < put->n_ops; i++)
				bytes_field(fuzz_clock, put->ops[i]->context);
			break;
		}
		case DYN_MESSAGE_REPLICATE:
		{
			const Dyn__ReplicateRequest *replicate =
				(const Dyn__ReplicateRequest *) body;

			for (size_t i = 0; i < replicate->n_ops; i++)
				bytes_field(fuzz_object, replicate->ops[i]->object);
			break;
		}
		default:
			break;
	}
}

/*
 * Forget what the schema does not name.  protobuf-c takes the field number 0
 * when it is written in two bytes, as an unknown field, and packs it in one,
 * which it refuses to read; no message is ever passed on with its unknown
 * fields.
 */
static void
drop_unknown_fields(ProtobufCMessage *message, ProtobufCAllocator *allocator)
{
	const ProtobufCMessageDescriptor *descriptor = message->descriptor;

	for (unsigned i = 0; i < message->n_unknown_fields; i++)
		allocator->free(allocator->allocator_data,
						message->unknown_fields[i].data);
	if (message->n_unknown_fields != 0)
		allocator->free(allocator->allocator_data, message->unknown_fields);
	message->n_unknown_fields = 0;
	message->unknown_fields = NULL;
	for (unsigned i = 0; i < descriptor->n_fields; i++)
	{
		const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
		const uint8_t *member = (const uint8_t *) message + field->offset;
		ProtobufCMessage **children = (ProtobufCMessage **) (uintptr_t) member;
		size_t count = 1;

		if (field->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		if (field->label == PROTOBUF_C_LABEL_REPEATED)
		{
			memcpy(&count, (const uint8_t *) message + field->quantifier_offset,
				   sizeof(count));
			memcpy(&children, member, sizeof(children));
		}
		for (size_t j = 0; j < count; j++)
			if (children[j] != NULL)
				drop_unknown_fields(children[j], allocator);
	}
}

/* What was unpacked, packed, unpacked and packed again is the same. */
static void
travel_again(const struct dyn_envelope *env, const ProtobufCMessage *body)
{
	struct dyn_allocator heap = dyn_allocator_malloc();
	ProtobufCAllocator bridge = bridge_of(&heap);
	struct dyn_slice first = pack(env, body, &heap);
	struct dyn_slice second;
	struct dyn_envelope opened;
	ProtobufCMessage *again;
	enum dyn_status status;

	FUZZ_REQUIRE(dyn_envelope_open(first, &opened) == DYN_STATUS_OK);
	FUZZ_REQUIRE(opened.type == env->type);
	status = dyn_message_unpack(&opened, &heap, &again);
	FUZZ_REQUIRE(status == DYN_STATUS_OK);
	second = pack(env, again, &heap);
	FUZZ_REQUIRE(dyn_slice_equal(first, second));
	protobuf_c_message_free_unpacked(again, &bridge);
	heap.release(heap.context, (void *) first.data);
	heap.release(heap.context, (void *) second.data);
}

void
fuzz_message(const uint8_t *data, size_t size)
{
	struct failing failing;
	struct dyn_envelope env = { .correlation = 1 };
	ProtobufCAllocator bridge;
	ProtobufCMessage *body;
	enum dyn_status status;

	if (size < 2 || strcmp(dyn_message_name(data[0]), "INVALID") == 0)
		return;
	env.type = (enum dyn_message_type) data[0];
	env.body = (struct dyn_slice){ data + 2, size - 2 };
	failing_init(&failing, (long) data[1] - 1);
	bridge = bridge_of(&failing.allocator);
	status = dyn_message_unpack(&env, &failing.allocator, &body);
	if (status == DYN_STATUS_OK)
	{
		look_inside(env.type, body);
		drop_unknown_fields(body, &bridge);
		travel_again(&env, body);
		protobuf_c_message_free_unpacked(body, &bridge);
	}
	else
		FUZZ_REQUIRE(status == DYN_STATUS_BAD_REQUEST ||
					 status == DYN_STATUS_TOO_LARGE ||
					 (status == DYN_STATUS_NO_MEMORY && data[1] != 0));
	FUZZ_REQUIRE(failing.live == 0);
}
