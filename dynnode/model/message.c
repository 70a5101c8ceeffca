#include "model/message.h"

#include <string.h>

static const ProtobufCMessageDescriptor *const descriptors[] = {
	[DYN_MESSAGE_HELLO] = &dyn__hello__descriptor,
	[DYN_MESSAGE_WELCOME] = &dyn__welcome__descriptor,
	[DYN_MESSAGE_ERROR] = &dyn__error__descriptor,
	[DYN_MESSAGE_PUT] = &dyn__put_request__descriptor,
	[DYN_MESSAGE_PUT_REPLY] = &dyn__put_reply__descriptor,
	[DYN_MESSAGE_GET] = &dyn__get_request__descriptor,
	[DYN_MESSAGE_GET_REPLY] = &dyn__get_reply__descriptor,
	[DYN_MESSAGE_READ] = &dyn__read_request__descriptor,
	[DYN_MESSAGE_READ_REPLY] = &dyn__read_reply__descriptor,
	[DYN_MESSAGE_REPLICATE] = &dyn__replicate_request__descriptor,
	[DYN_MESSAGE_REPLICATE_REPLY] = &dyn__replicate_reply__descriptor,
	[DYN_MESSAGE_SCAN] = &dyn__scan_request__descriptor,
	[DYN_MESSAGE_SCAN_REPLY] = &dyn__scan_reply__descriptor,
	[DYN_MESSAGE_HEARTBEAT] = &dyn__heartbeat__descriptor,
	[DYN_MESSAGE_FORM] = &dyn__form__descriptor,
	[DYN_MESSAGE_STATUS] = &dyn__status_request__descriptor,
	[DYN_MESSAGE_STATUS_REPLY] = &dyn__status_reply__descriptor,
	[DYN_MESSAGE_CANCEL] = &dyn__cancel__descriptor,
	[DYN_MESSAGE_TREE] = &dyn__tree_request__descriptor,
	[DYN_MESSAGE_TREE_REPLY] = &dyn__tree_reply__descriptor,
	[DYN_MESSAGE_LIST] = &dyn__list_request__descriptor,
	[DYN_MESSAGE_LIST_REPLY] = &dyn__list_reply__descriptor,
	[DYN_MESSAGE_COPY] = &dyn__copy_request__descriptor,
	[DYN_MESSAGE_COPY_REPLY] = &dyn__copy_reply__descriptor,
	[DYN_MESSAGE_FENCE] = &dyn__fence_request__descriptor,
	[DYN_MESSAGE_FENCE_REPLY] = &dyn__fence_reply__descriptor,
	[DYN_MESSAGE_REAP] = &dyn__reap_request__descriptor,
	[DYN_MESSAGE_REAP_REPLY] = &dyn__reap_reply__descriptor,
	[DYN_MESSAGE_BUCKET] = &dyn__bucket_request__descriptor,
	[DYN_MESSAGE_BUCKET_REPLY] = &dyn__bucket_reply__descriptor,
	[DYN_MESSAGE_REPAIR] = &dyn__repair_request__descriptor,
	[DYN_MESSAGE_REPAIR_REPLY] = &dyn__repair_reply__descriptor
};

enum dyn_status
dyn_message_pack(const struct dyn_envelope *env, const ProtobufCMessage *body,
				 const struct dyn_allocator *allocator, struct dyn_slice *frame)
{
	size_t size = protobuf_c_message_get_packed_size(body);
	struct dyn_envelope sealed = *env;
	uint8_t *bytes;

	if (size > DYN_FRAME_SIZE_MAX - DYN_ENVELOPE_SIZE)
		return DYN_STATUS_TOO_LARGE;
	bytes = allocator->allocate(allocator->context, DYN_ENVELOPE_SIZE + size);
	if (bytes == NULL)
		return DYN_STATUS_NO_MEMORY;
	protobuf_c_message_pack(body, bytes + DYN_ENVELOPE_SIZE);
	sealed.body = (struct dyn_slice){ bytes + DYN_ENVELOPE_SIZE, size };
	dyn_envelope_seal(&sealed, bytes);
	*frame = (struct dyn_slice){ bytes, DYN_ENVELOPE_SIZE + size };
	return DYN_STATUS_OK;
}

/* ------------------------------------------------------ the memory ceiling */

/*
 * A submessage takes two bytes on the wire when it is empty and some hundred
 * in memory, so a frame of empty operations could take fifty times its size.
 * What unpacking may take is counted down here, before it is taken.
 *
 * Honest messages need up to 34 bytes for one: a READ of a thousand keys that
 * are not there has results of four bytes each, which take 72 as a message and
 * up to 64 in protobuf-c's list of fields, whose capacity doubles.
 */
struct budget
{
	const struct dyn_allocator *allocator;
	size_t left;
	bool is_exhausted; /* the allocator below gave nothing */
};

static size_t
ceiling(size_t body_size)
{
	size_t overhead = 64 * body_size + 4096;

	if (body_size > DYN_UNPACK_OVERHEAD_MAX / 64 ||
		overhead > DYN_UNPACK_OVERHEAD_MAX)
		overhead = DYN_UNPACK_OVERHEAD_MAX;
	return body_size + overhead;
}

static void *
budget_allocate(void *context, size_t size)
{
	struct budget *budget = context;
	void *memory;

	if (size > budget->left)
		return NULL;
	budget->left -= size;
	memory = budget->allocator->allocate(budget->allocator->context, size);
	budget->is_exhausted |= memory == NULL;
	return memory;
}

static void
budget_release(void *context, void *memory)
{
	struct budget *budget = context;

	budget->allocator->release(budget->allocator->context, memory);
}

static size_t
operation_count(enum dyn_message_type type, const ProtobufCMessage *body)
{
	switch ((int) type)
	{
		case DYN_MESSAGE_PUT:
			return ((const Dyn__PutRequest *) body)->n_ops;
		case DYN_MESSAGE_GET:
			return ((const Dyn__GetRequest *) body)->n_keys;
		case DYN_MESSAGE_READ:
			return ((const Dyn__ReadRequest *) body)->n_keys;
		case DYN_MESSAGE_REPLICATE:
			return ((const Dyn__ReplicateRequest *) body)->n_ops;
		case DYN_MESSAGE_CANCEL:
			return ((const Dyn__Cancel *) body)->n_correlations;
		case DYN_MESSAGE_TREE:
			return ((const Dyn__TreeRequest *) body)->n_nodes;
		case DYN_MESSAGE_LIST:
			return ((const Dyn__ListRequest *) body)->n_items;
		case DYN_MESSAGE_COPY_REPLY:
			return ((const Dyn__CopyReply *) body)->n_items;
		case DYN_MESSAGE_FENCE:
			return ((const Dyn__FenceRequest *) body)->n_partitions;
		case DYN_MESSAGE_REAP:
			return ((const Dyn__ReapRequest *) body)->n_items;
		default:
			return 0;
	}
}

enum dyn_status
dyn_message_unpack_body(const ProtobufCMessageDescriptor *descriptor,
						struct dyn_slice body,
						const struct dyn_allocator *allocator,
						ProtobufCMessage **out)
{
	struct budget budget = { allocator, ceiling(body.size), false };
	ProtobufCAllocator bridge = { budget_allocate, budget_release, &budget };

	*out = protobuf_c_message_unpack(descriptor, &bridge, body.size, body.data);
	if (*out != NULL)
		return DYN_STATUS_OK;
	return budget.is_exhausted ? DYN_STATUS_NO_MEMORY : DYN_STATUS_BAD_REQUEST;
}

enum dyn_status
dyn_message_unpack(const struct dyn_envelope *env,
				   const struct dyn_allocator *allocator,
				   ProtobufCMessage **out)
{
	ProtobufCAllocator bridge = { allocator->allocate, allocator->release,
								  allocator->context };
	ProtobufCMessage *body;
	enum dyn_status status = dyn_message_unpack_body(
		descriptors[env->type], env->body, allocator, &body);

	if (status != DYN_STATUS_OK)
		return status;
	if (operation_count(env->type, body) > DYN_BATCH_OPS_MAX)
	{
		protobuf_c_message_free_unpacked(body, &bridge);
		return DYN_STATUS_TOO_LARGE;
	}
	*out = body;
	return DYN_STATUS_OK;
}

/* ------------------------------------------------------------ small bridges */

struct dyn_slice
dyn_slice_of_bytes(ProtobufCBinaryData bytes)
{
	return (struct dyn_slice){ bytes.data, bytes.len };
}

ProtobufCBinaryData
dyn_bytes_of_slice(struct dyn_slice slice)
{
	return (ProtobufCBinaryData){ slice.size, (uint8_t *) slice.data };
}

bool
dyn_node_id_of_bytes(ProtobufCBinaryData bytes, struct dyn_node_id *out)
{
	if (bytes.len != sizeof(out->bytes))
		return false;
	memcpy(out->bytes, bytes.data, sizeof(out->bytes));
	return true;
}

bool
dyn_request_id_of_bytes(ProtobufCBinaryData bytes, struct dyn_request_id *out)
{
	if (bytes.len != sizeof(out->bytes))
		return false;
	memcpy(out->bytes, bytes.data, sizeof(out->bytes));
	return true;
}

uint64_t
dyn_message_clock_ms(enum dyn_message_type type, const ProtobufCMessage *body)
{
	switch ((int) type)
	{
		case DYN_MESSAGE_ERROR:
			return ((const Dyn__Error *) body)->clock_ms;
		case DYN_MESSAGE_PUT_REPLY:
			return ((const Dyn__PutReply *) body)->clock_ms;
		case DYN_MESSAGE_GET_REPLY:
			return ((const Dyn__GetReply *) body)->clock_ms;
		case DYN_MESSAGE_READ_REPLY:
			return ((const Dyn__ReadReply *) body)->clock_ms;
		case DYN_MESSAGE_SCAN_REPLY:
			return ((const Dyn__ScanReply *) body)->clock_ms;
		default:
			return 0;
	}
}

uint64_t
dyn_message_view_ms(enum dyn_message_type type, const ProtobufCMessage *body)
{
	switch ((int) type)
	{
		case DYN_MESSAGE_GET_REPLY:
			return ((const Dyn__GetReply *) body)->view_ms;
		case DYN_MESSAGE_READ_REPLY:
			return ((const Dyn__ReadReply *) body)->view_ms;
		case DYN_MESSAGE_SCAN_REPLY:
			return ((const Dyn__ScanReply *) body)->view_ms;
		default:
			return 0;
	}
}
