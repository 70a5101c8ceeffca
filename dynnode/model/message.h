/*-------------------------------------------------------------------------
 *
 * message.h
 *      Pack and unpack the bodies of messages.proto.
 *
 * The generated structs (build/gen/messages.pb-c.h) are used as they are;
 * this is the thin bridge from them to frames, statuses and the project's
 * allocator.  protobuf-c's own allocator is never used.
 *
 * Unpacked messages live in the allocator given and are never freed one by
 * one: give an arena's allocator, or a memory context's.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_MODEL_MESSAGE_H
#define DYN_MODEL_MESSAGE_H

#include <protobuf-c/protobuf-c.h>

#include "messages.pb-c.h"
#include "model/envelope.h"

enum
{
	DYN_UNPACK_OVERHEAD_MAX = 64 * 1024 * 1024
};

/*
 * Make one frame of header and body, in memory from the allocator.  TOO_LARGE
 * when the frame would exceed DYN_FRAME_SIZE_MAX.
 */
enum dyn_status dyn_message_pack(const struct dyn_envelope *env,
								 const ProtobufCMessage *body,
								 const struct dyn_allocator *allocator,
								 struct dyn_slice *frame);

/*
 * Unpack the body that env->type names.  BAD_REQUEST when it does not parse,
 * TOO_LARGE when it holds more than DYN_BATCH_OPS_MAX operations.  The caller
 * casts *out to the message that DYN_MESSAGE_MAP lists for env->type.
 * A ceiling on memory holds, see dyn_message_unpack_body.
 */
enum dyn_status dyn_message_unpack(const struct dyn_envelope *env,
								   const struct dyn_allocator *allocator,
								   ProtobufCMessage **out);

/*
 * Unpack any message under the ceiling: the body's size for the bytes in it,
 * and for what stands around them the least of 64 x size + 4 KiB and
 * DYN_UNPACK_OVERHEAD_MAX.  BAD_REQUEST when it does not parse or would take
 * more, NO_MEMORY when the allocator gave none.
 */
enum dyn_status dyn_message_unpack_body(
	const ProtobufCMessageDescriptor *descriptor, struct dyn_slice body,
	const struct dyn_allocator *allocator, ProtobufCMessage **out);

/* Between slices and protobuf-c's bytes; both borrow. */
struct dyn_slice dyn_slice_of_bytes(ProtobufCBinaryData bytes);
ProtobufCBinaryData dyn_bytes_of_slice(struct dyn_slice slice);

/* Fixed-size ids out of bytes fields; false unless exactly 16 bytes. */
bool dyn_node_id_of_bytes(ProtobufCBinaryData bytes, struct dyn_node_id *out);
bool dyn_request_id_of_bytes(ProtobufCBinaryData bytes,
							 struct dyn_request_id *out);

/* The node's clock as a reply tells it, and by what time what expires is
 * judged (model/wall.h); 0 = it tells none.  WELCOME tells the clock beside
 * the process that it belongs to. */
uint64_t dyn_message_clock_ms(enum dyn_message_type type,
							  const ProtobufCMessage *body);
uint64_t dyn_message_view_ms(enum dyn_message_type type,
							 const ProtobufCMessage *body);

#endif
