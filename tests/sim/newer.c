#include "tests/sim/newer.h"

#include "model/message.h"

#include <stdlib.h>
#include <string.h>

enum
{
	/* Places in a frame: model/envelope.h. */
	AT_VERSION = 4,
	AT_TYPE = 5,
	AT_FLAGS = 6,
	AT_CORRELATION_TOP = 23,
	TYPE_UNKNOWN = 200
};

/* One of each wire type.  Field numbers that messages.proto leaves alone. */
static uint8_t a_varint[] = { 0x96, 0x01 };
static uint8_t a_fixed64[] = { 1, 2, 3, 4, 5, 6, 7, 8 };
static uint8_t a_string[] = { 5, 'l', 'a', 't', 'e', 'r' };
static uint8_t a_fixed32[] = { 1, 2, 3, 4 };

static ProtobufCMessageUnknownField later_fields[] = {
	{ 1000, PROTOBUF_C_WIRE_TYPE_VARINT, sizeof(a_varint), a_varint },
	{ 1001, PROTOBUF_C_WIRE_TYPE_64BIT, sizeof(a_fixed64), a_fixed64 },
	{ 1002, PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED, sizeof(a_string), a_string },
	{ 1003, PROTOBUF_C_WIRE_TYPE_32BIT, sizeof(a_fixed32), a_fixed32 }
};

/* In this message and in all within it. */
static void
set_unknown(ProtobufCMessage *message, ProtobufCMessageUnknownField *fields,
			unsigned count)
{
	const ProtobufCMessageDescriptor *descriptor = message->descriptor;

	message->unknown_fields = fields;
	message->n_unknown_fields = count;
	for (unsigned i = 0; i < descriptor->n_fields; i++)
	{
		const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
		char *at = (char *) message + field->offset;

		if (field->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		if (field->label == PROTOBUF_C_LABEL_REPEATED)
		{
			size_t members =
				*(size_t *) ((char *) message + field->quantifier_offset);

			for (size_t j = 0; j < members; j++)
				set_unknown((*(ProtobufCMessage ***) at)[j], fields, count);
		}
		else if (*(ProtobufCMessage **) at != NULL)
			set_unknown(*(ProtobufCMessage **) at, fields, count);
	}
}

static void *
take_memory(void *context, size_t size)
{
	void *memory = malloc(size);

	(void) context;
	if (memory == NULL)
		abort();
	return memory;
}

static void
give_memory(void *context, void *memory)
{
	(void) context;
	free(memory);
}

static const struct dyn_allocator plain = { .allocate = take_memory,
											.release = give_memory };

static struct dyn_slice
copy_of(struct dyn_slice frame)
{
	uint8_t *bytes = take_memory(NULL, frame.size);

	memcpy(bytes, frame.data, frame.size);
	return (struct dyn_slice){ bytes, frame.size };
}

/* The message with later fields; as it is when it cannot be read. */
static struct dyn_slice
with_fields(struct dyn_slice frame)
{
	struct dyn_envelope env;
	ProtobufCAllocator memory = { .alloc = take_memory, .free = give_memory };
	ProtobufCMessage *body;
	struct dyn_slice longer;
	enum dyn_status status;

	if (dyn_envelope_open(frame, &env) != DYN_STATUS_OK ||
		dyn_message_unpack(&env, &plain, &body) != DYN_STATUS_OK)
		return copy_of(frame);
	set_unknown(body, later_fields,
				sizeof(later_fields) / sizeof(later_fields[0]));
	status = dyn_message_pack(&env, body, &plain, &longer);
	set_unknown(body, NULL, 0);
	protobuf_c_message_free_unpacked(body, &memory);
	return status == DYN_STATUS_OK ? longer : copy_of(frame);
}

struct dyn_slice
dyn_newer_frame(struct dyn_slice frame, enum dyn_newer_kind kind)
{
	struct dyn_slice later;
	uint8_t *bytes;

	if (frame.size < DYN_ENVELOPE_SIZE)
		return copy_of(frame);
	later = kind == DYN_NEWER_FIELDS ? with_fields(frame) : copy_of(frame);
	bytes = (uint8_t *) (uintptr_t) later.data;
	bytes[AT_FLAGS] |= 1;
	if (kind == DYN_NEWER_TYPE)
		bytes[AT_TYPE] = TYPE_UNKNOWN;
	if (kind == DYN_NEWER_VERSION)
		bytes[AT_VERSION]++;
	if (kind != DYN_NEWER_FIELDS)
		bytes[AT_CORRELATION_TOP] |= 0x80;
	dyn_envelope_sum(bytes, later.size - DYN_ENVELOPE_SIZE);
	return later;
}
