/*-------------------------------------------------------------------------
 *
 * envelope.h
 *      What stands before the body of every message.
 *
 * One ZeroMQ message is one frame: a fixed header of DYN_ENVELOPE_SIZE bytes,
 * little-endian, then the body, a protobuf message that `type` names.
 *
 *     offset size
 *          0    4  magic "DYNO"
 *          4    1  version (DYN_PROTOCOL_VERSION)
 *          5    1  type (enum dyn_message_type)
 *          6    2  flags (0)
 *          8    4  remaining_ms: time the sender still gives this work
 *         12    4  body_size
 *         16    8  correlation: chosen by the asker, repeated in the answer
 *         24    8  cluster: first 8 bytes of the cluster id, 0 = not known
 *         32   16  sender: node id, all zero for a client
 *         48    8  checksum: XXH3_64 of bytes 0..47 and the body
 *
 * Nothing of a frame is looked at before size, magic, version and checksum
 * are right, in this order.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_MODEL_ENVELOPE_H
#define DYN_MODEL_ENVELOPE_H

#include "model/types.h"

enum
{
	DYN_PROTOCOL_VERSION = 1,
	DYN_ENVELOPE_SIZE = 56
};

/* X(NAME, number, body message in messages.proto) */
#define DYN_MESSAGE_MAP(X)                                                     \
	X(HELLO, 1, Hello)                                                         \
	X(WELCOME, 2, Welcome)                                                     \
	X(ERROR, 3, Error)                                                         \
	X(PUT, 4, PutRequest)                                                      \
	X(PUT_REPLY, 5, PutReply)                                                  \
	X(GET, 6, GetRequest)                                                      \
	X(GET_REPLY, 7, GetReply)                                                  \
	X(READ, 8, ReadRequest)                                                    \
	X(READ_REPLY, 9, ReadReply)                                                \
	X(REPLICATE, 10, ReplicateRequest)                                         \
	X(REPLICATE_REPLY, 11, ReplicateReply)                                     \
	X(SCAN, 12, ScanRequest)                                                   \
	X(SCAN_REPLY, 13, ScanReply)                                               \
	X(HEARTBEAT, 14, Heartbeat)                                                \
	X(FORM, 15, Form)                                                          \
	X(STATUS, 16, StatusRequest)                                               \
	X(STATUS_REPLY, 17, StatusReply)                                           \
	X(CANCEL, 18, Cancel)                                                      \
	X(TREE, 19, TreeRequest)                                                   \
	X(TREE_REPLY, 20, TreeReply)                                               \
	X(LIST, 21, ListRequest)                                                   \
	X(LIST_REPLY, 22, ListReply)                                               \
	X(COPY, 23, CopyRequest)                                                   \
	X(COPY_REPLY, 24, CopyReply)                                               \
	X(FENCE, 25, FenceRequest)                                                 \
	X(FENCE_REPLY, 26, FenceReply)                                             \
	X(REAP, 27, ReapRequest)                                                   \
	X(REAP_REPLY, 28, ReapReply)                                               \
	X(BUCKET, 30, BucketRequest)                                               \
	X(BUCKET_REPLY, 31, BucketReply)                                           \
	X(REPAIR, 32, RepairRequest)                                               \
	X(REPAIR_REPLY, 33, RepairReply)

enum dyn_message_type
{
#define DYN_MESSAGE_ENUM(name, number, message) DYN_MESSAGE_##name = number,
	DYN_MESSAGE_MAP(DYN_MESSAGE_ENUM)
#undef DYN_MESSAGE_ENUM
};

struct dyn_envelope
{
	uint8_t version;
	enum dyn_message_type type;
	uint32_t remaining_ms;
	uint64_t correlation;
	uint64_t cluster;
	struct dyn_node_id sender;
	struct dyn_slice body; /* borrowed from the frame */
};

/* "PUT_REPLY"; "INVALID" for a number that is not in the list. */
const char *dyn_message_name(unsigned type);

/* Write the header of a frame whose body already stands at
 * frame + DYN_ENVELOPE_SIZE; env->body.size tells its size, env->version and
 * env->body.data are not looked at. */
void dyn_envelope_seal(const struct dyn_envelope *env, uint8_t *frame);

/* Write the checksum anew, for a header and a body of this size that stand
 * there. */
void dyn_envelope_sum(uint8_t *frame, size_t body_size);

/*
 * BAD_REQUEST: short, wrong magic, sizes that do not add up, wrong checksum,
 * unknown type.  TOO_LARGE: beyond DYN_FRAME_SIZE_MAX.  VERSION: another
 * protocol version; the envelope is filled in as far as version, type and
 * correlation, so that the asker can be told.
 */
enum dyn_status dyn_envelope_open(struct dyn_slice frame,
								  struct dyn_envelope *out);

/* The value for `cluster` of this cluster id. */
uint64_t dyn_envelope_cluster(const struct dyn_node_id *cluster);

#endif
