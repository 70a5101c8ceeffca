/*
 * wire: say something wrong to a node, and tell what it answers.
 *
 *     wire HOST:PORT CASE     prints "STATUS text", a reply's name, or "silence"
 *     wire --list             the cases
 *     wire --impostor PORT    speak ZeroMQ, but not our protocol: echo frames
 *
 * Exit code 0 also when the answer is an error: what is right, the test that
 * calls decides.  1: the node does not answer a good HELLO afterwards, on the
 * same connection (or, where that is closed, on a new one).
 */
#include "model/arena.h"
#include "model/message.h"
#include "model/object.h"
#include "model/ring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <zmq.h>

enum
{
	ANSWER_WAIT_MS = 700,
	HELLO_WAIT_MS = 3000
};

struct wire
{
	void *zmq;
	void *socket;
	char endpoint[300];
	struct dyn_arena arena;
	uint64_t correlation;
	uint64_t cluster;
	uint32_t remaining_ms;
};

static void
reconnect(struct wire *self)
{
	int linger = 0;

	if (self->socket != NULL)
		zmq_close(self->socket);
	self->socket = zmq_socket(self->zmq, ZMQ_DEALER);
	zmq_setsockopt(self->socket, ZMQ_LINGER, &linger, sizeof(linger));
	zmq_connect(self->socket, self->endpoint);
}

static struct dyn_slice
frame_of(struct wire *self, unsigned type, const ProtobufCMessage *body)
{
	struct dyn_envelope env = { .type = (enum dyn_message_type) type,
								.remaining_ms = self->remaining_ms,
								.correlation = ++self->correlation,
								.cluster = self->cluster };
	struct dyn_slice frame = { 0 };

	if (dyn_message_pack(&env, body, &self->arena.allocator, &frame) !=
		DYN_STATUS_OK)
		exit(2);
	return frame;
}

static struct dyn_slice
hello_frame(struct wire *self)
{
	Dyn__Hello hello = DYN__HELLO__INIT;

	hello.version_min = hello.version_max = DYN_PROTOCOL_VERSION;
	hello.agent = "wire";
	return frame_of(self, DYN_MESSAGE_HELLO, &hello.base);
}

static bool
receive(struct wire *self, long wait_ms, struct dyn_slice *frame)
{
	zmq_pollitem_t item = { self->socket, 0, ZMQ_POLLIN, 0 };
	zmq_msg_t message;

	if (zmq_poll(&item, 1, wait_ms) <= 0)
		return false;
	zmq_msg_init(&message);
	zmq_msg_recv(&message, self->socket, 0);
	*frame = dyn_arena_copy(
		&self->arena,
		(struct dyn_slice){ zmq_msg_data(&message), zmq_msg_size(&message) });
	zmq_msg_close(&message);
	return true;
}

/* The first status that is no OK, of a reply's results. */
static void
print_results(unsigned type, const ProtobufCMessage *body)
{
	uint32_t status = 0;
	const char *text = "";

	switch (type)
	{
		case DYN_MESSAGE_ERROR:
			status = ((const Dyn__Error *) body)->status;
			text = ((const Dyn__Error *) body)->text;
			break;
		case DYN_MESSAGE_PUT_REPLY:
			for (size_t i = ((const Dyn__PutReply *) body)->n_results; i-- > 0;)
			{
				const Dyn__PutResult *one =
					((const Dyn__PutReply *) body)->results[i];

				status = one->status != DYN_STATUS_OK ? one->status : status;
				text = one->status != DYN_STATUS_OK ? one->text : text;
			}
			break;
		case DYN_MESSAGE_GET_REPLY:
			if (((const Dyn__GetReply *) body)->n_results > 0)
			{
				status = ((const Dyn__GetReply *) body)->results[0]->status;
				text = ((const Dyn__GetReply *) body)->results[0]->text;
			}
			break;
		case DYN_MESSAGE_SCAN_REPLY:
			status = ((const Dyn__ScanReply *) body)->status;
			text = ((const Dyn__ScanReply *) body)->text;
			break;
		default:
			break;
	}
	printf("%s %s %s\n", dyn_message_name(type),
		   dyn_status_name((enum dyn_status) status), text);
}

static void
print_answer(struct wire *self)
{
	struct dyn_slice frame;
	struct dyn_envelope env;
	ProtobufCMessage *body;

	if (!receive(self, ANSWER_WAIT_MS, &frame))
		printf("silence\n");
	else if (dyn_envelope_open(frame, &env) != DYN_STATUS_OK ||
			 dyn_message_unpack(&env, &self->arena.allocator, &body) !=
				 DYN_STATUS_OK)
		printf("no frame of ours, %zu bytes\n", frame.size);
	else
		print_results(env.type, body);
}

static bool
is_alive(struct wire *self)
{
	struct dyn_slice frame = hello_frame(self);
	struct dyn_envelope env;

	zmq_send(self->socket, frame.data, frame.size, 0);
	while (receive(self, HELLO_WAIT_MS, &frame))
		if (dyn_envelope_open(frame, &env) == DYN_STATUS_OK &&
			env.type == DYN_MESSAGE_WELCOME)
			return true;
	return false;
}

static void
send_bytes(struct wire *self, struct dyn_slice frame)
{
	zmq_send(self->socket, frame.data, frame.size, 0);
}

/* ------------------------------------------------------------ bad envelopes */

static void
send_damaged(struct wire *self, size_t at, uint8_t flip)
{
	struct dyn_slice frame = hello_frame(self);

	((uint8_t *) frame.data)[at] ^= flip;
	send_bytes(self, frame);
}

/* Checksum right, header wrong. */
static void
send_sealed(struct wire *self, unsigned type)
{
	static const char body[] = "\xff\xff\xff\xff\xff\xff";
	uint8_t *frame =
		dyn_arena_allocate(&self->arena, DYN_ENVELOPE_SIZE + sizeof(body));
	struct dyn_envelope env = { .type = (enum dyn_message_type) type,
								.remaining_ms = 1000,
								.correlation = ++self->correlation,
								.body = { (const uint8_t *) body,
										  sizeof(body) } };

	memcpy(frame + DYN_ENVELOPE_SIZE, body, sizeof(body));
	dyn_envelope_seal(&env, frame);
	send_bytes(self,
			   (struct dyn_slice){ frame, DYN_ENVELOPE_SIZE + sizeof(body) });
}

static void
short_frame(struct wire *self)
{
	send_bytes(self, (struct dyn_slice){ hello_frame(self).data, 10 });
}

static void
empty_frame(struct wire *self)
{
	send_bytes(self, (struct dyn_slice){ (const uint8_t *) "", 0 });
}

static void
wrong_magic(struct wire *self)
{
	send_damaged(self, 0, 0x20);
}

static void
wrong_checksum(struct wire *self)
{
	send_damaged(self, 48, 1);
}

static void
damaged_body(struct wire *self)
{
	send_damaged(self, DYN_ENVELOPE_SIZE + 1, 0x40);
}

static void
size_overflow(struct wire *self)
{
	struct dyn_slice frame = hello_frame(self);

	memset((uint8_t *) frame.data + 12, 0xff, 4);
	send_bytes(self, frame);
}

static void
trailing_bytes(struct wire *self)
{
	struct dyn_slice frame = hello_frame(self);
	uint8_t *longer = dyn_arena_allocate(&self->arena, frame.size + 7);

	memcpy(longer, frame.data, frame.size);
	memset(longer + frame.size, 0, 7);
	send_bytes(self, (struct dyn_slice){ longer, frame.size + 7 });
}

static void
other_version(struct wire *self)
{
	send_damaged(self, 4, 0x40);
}

static void
unknown_type(struct wire *self)
{
	send_sealed(self, 200);
}

static void
garbage_put(struct wire *self)
{
	send_sealed(self, DYN_MESSAGE_PUT);
}

static void
unasked_reply(struct wire *self)
{
	Dyn__PutReply reply = DYN__PUT_REPLY__INIT;

	send_bytes(self, frame_of(self, DYN_MESSAGE_PUT_REPLY, &reply.base));
}

static void
many_parts(struct wire *self)
{
	for (int i = 0; i < 1000; i++)
		zmq_send(self->socket, "part", 4, ZMQ_SNDMORE);
	zmq_send(self->socket, "last", 4, 0);
}

static void
huge_frame(struct wire *self)
{
	size_t size = (size_t) DYN_FRAME_SIZE_MAX + 1;
	zmq_msg_t message;

	zmq_msg_init_size(&message, size);
	memset(zmq_msg_data(&message), 'x', size);
	zmq_msg_send(&message, self->socket, 0);
}

/* -------------------------------------------------------------- not allowed */

/* The envelope's name for the node's cluster, 0 when it did not tell. */
static uint64_t
ask_cluster(struct wire *self)
{
	struct dyn_slice frame = hello_frame(self);
	struct dyn_envelope env;
	ProtobufCMessage *body;
	struct dyn_ring ring;

	send_bytes(self, frame);
	if (!receive(self, HELLO_WAIT_MS, &frame) ||
		dyn_envelope_open(frame, &env) != DYN_STATUS_OK ||
		env.type != DYN_MESSAGE_WELCOME ||
		dyn_message_unpack(&env, &self->arena.allocator, &body) !=
			DYN_STATUS_OK ||
		dyn_ring_decode(dyn_slice_of_bytes(((Dyn__Welcome *) body)->ring),
						&self->arena.allocator, &ring) != DYN_STATUS_OK)
		return 0;
	return dyn_envelope_cluster(&ring.cluster);
}

static void
replicate_from_client(struct wire *self)
{
	Dyn__ReplicateRequest request = DYN__REPLICATE_REQUEST__INIT;

	self->cluster = ask_cluster(self);
	request.bucket = (ProtobufCBinaryData){ 1, (uint8_t *) "b" };
	send_bytes(self, frame_of(self, DYN_MESSAGE_REPLICATE, &request.base));
}

static void
heartbeat_from_client(struct wire *self)
{
	Dyn__Heartbeat beat = DYN__HEARTBEAT__INIT;

	beat.answer = true;
	send_bytes(self, frame_of(self, DYN_MESSAGE_HEARTBEAT, &beat.base));
}

static void
form_from_client(struct wire *self)
{
	Dyn__Form form = DYN__FORM__INIT;

	send_bytes(self, frame_of(self, DYN_MESSAGE_FORM, &form.base));
}

static void
hello_version(struct wire *self)
{
	Dyn__Hello hello = DYN__HELLO__INIT;

	hello.version_min = 7;
	hello.version_max = 9;
	send_bytes(self, frame_of(self, DYN_MESSAGE_HELLO, &hello.base));
}

static void
other_cluster(struct wire *self)
{
	Dyn__GetRequest request = DYN__GET_REQUEST__INIT;
	ProtobufCBinaryData key = { 1, (uint8_t *) "k" };

	self->cluster = 0x1234567812345678;
	request.bucket = (ProtobufCBinaryData){ 1, (uint8_t *) "b" };
	request.n_keys = 1;
	request.keys = &key;
	send_bytes(self, frame_of(self, DYN_MESSAGE_GET, &request.base));
	self->cluster = 0;
}

/* ----------------------------------------------------------------- bad puts */

struct put
{
	Dyn__PutRequest request;
	Dyn__PutOp op;
	Dyn__PutOp *ops[1];
	ProtobufCBinaryData value;
	uint8_t id[16];
};

static void
put_init(struct put *self)
{
	dyn__put_request__init(&self->request);
	dyn__put_op__init(&self->op);
	/* An id that was used before would make it a retry, and store nothing. */
	getrandom(self->id, sizeof(self->id), 0);
	self->value = (ProtobufCBinaryData){ 1, (uint8_t *) "v" };
	self->op.key = (ProtobufCBinaryData){ 8, (uint8_t *) "wire-key" };
	self->op.request_id = (ProtobufCBinaryData){ 16, self->id };
	self->op.n_values = 1;
	self->op.values = &self->value;
	self->ops[0] = &self->op;
	self->request.bucket = (ProtobufCBinaryData){ 4, (uint8_t *) "wire" };
	self->request.n_ops = 1;
	self->request.ops = self->ops;
}

static void
put_send(struct wire *self, struct put *put)
{
	send_bytes(self, frame_of(self, DYN_MESSAGE_PUT, &put->request.base));
}

static ProtobufCBinaryData
many_bytes(struct wire *self, size_t size)
{
	uint8_t *bytes = dyn_arena_allocate(&self->arena, size);

	memset(bytes, 'k', size);
	return (ProtobufCBinaryData){ size, bytes };
}

static void
put_key_size(struct wire *self, size_t size)
{
	struct put put;

	put_init(&put);
	put.op.key = many_bytes(self, size);
	put.request.bucket = many_bytes(self, DYN_BUCKET_SIZE_MAX);
	put_send(self, &put);
}

static void
put_key_0(struct wire *self)
{
	put_key_size(self, 0);
}

static void
put_key_1(struct wire *self)
{
	put_key_size(self, 1);
}

static void
put_key_440(struct wire *self)
{
	put_key_size(self, DYN_KEY_SIZE_MAX);
}

static void
put_key_441(struct wire *self)
{
	put_key_size(self, DYN_KEY_SIZE_MAX + 1);
}

static void
put_bucket_size(struct wire *self, size_t size)
{
	struct put put;

	put_init(&put);
	put.request.bucket = many_bytes(self, size);
	put_send(self, &put);
}

static void
put_bucket_0(struct wire *self)
{
	put_bucket_size(self, 0);
}

static void
put_bucket_64(struct wire *self)
{
	put_bucket_size(self, DYN_BUCKET_SIZE_MAX + 1);
}

static void
put_value_size(struct wire *self, size_t size)
{
	struct put put;

	put_init(&put);
	put.value = many_bytes(self, size);
	put.op.mode = DYN__PUT_MODE__REPLACE;
	put_send(self, &put);
}

static void
put_value_0(struct wire *self)
{
	put_value_size(self, 0);
}

static void
put_value_max(struct wire *self)
{
	put_value_size(self, DYN_VALUE_SIZE_DEFAULT);
}

static void
put_value_over(struct wire *self)
{
	put_value_size(self, DYN_VALUE_SIZE_DEFAULT + 1);
}

static void
put_context_garbage(struct wire *self)
{
	struct put put;

	put_init(&put);
	put.op.context = many_bytes(self, 40);
	put_send(self, &put);
}

static void
put_context_truncated(struct wire *self)
{
	struct dyn_clock_range range = { { 5, 1 }, 1, 3 };
	struct dyn_clock clock = { &range, 1 };
	struct dyn_slice encoded;
	struct put put;

	put_init(&put);
	dyn_clock_encode(&clock, &self->arena.allocator, &encoded);
	put.op.context =
		(ProtobufCBinaryData){ encoded.size - 1, (uint8_t *) encoded.data };
	put_send(self, &put);
}

static void
put_context_entries(struct wire *self, uint32_t count)
{
	struct dyn_clock_range *ranges =
		dyn_arena_allocate(&self->arena, count * sizeof(*ranges));
	struct dyn_clock clock = { ranges, count };
	struct dyn_slice encoded;
	struct put put;

	for (uint32_t i = 0; i < count; i++)
		ranges[i] = (struct dyn_clock_range){ { i + 1, 1 }, 1, 1 };
	put_init(&put);
	put.op.mode = DYN__PUT_MODE__SIBLING;
	dyn_clock_encode(&clock, &self->arena.allocator, &encoded);
	put.op.context = dyn_bytes_of_slice(encoded);
	put_send(self, &put);
}

static void
put_context_256(struct wire *self)
{
	put_context_entries(self, DYN_CLOCK_ENTRIES_MAX);
}

static void
put_context_10000(struct wire *self)
{
	put_context_entries(self, 10000);
}

static void
put_context_exceptions(struct wire *self)
{
	struct dyn_clock_range ranges[] = { { { 5, 1 }, 2, 3 },
										{ { 5, 1 }, 9, 9 } };
	struct dyn_clock clock = { ranges, 2 };
	struct dyn_slice encoded;
	struct put put;

	put_init(&put);
	dyn_clock_encode(&clock, &self->arena.allocator, &encoded);
	put.op.context = dyn_bytes_of_slice(encoded);
	put_send(self, &put);
}

static void
put_w_9(struct wire *self)
{
	struct put put;

	put_init(&put);
	put.request.w = 9;
	put_send(self, &put);
}

static void
put_no_id(struct wire *self)
{
	struct put put;

	put_init(&put);
	put.op.request_id.len = 15;
	put_send(self, &put);
}

static void
put_mode_99(struct wire *self)
{
	struct put put;

	put_init(&put);
	put.op.mode = (Dyn__PutMode) 99;
	put_send(self, &put);
}

static void
put_nothing(struct wire *self)
{
	struct put put;

	put_init(&put);
	put.request.n_ops = 0;
	put_send(self, &put);
}

static void
put_values_65(struct wire *self)
{
	ProtobufCBinaryData values[DYN_VALUES_MAX + 1];
	struct put put;

	put_init(&put);
	for (int i = 0; i <= DYN_VALUES_MAX; i++)
		values[i] = put.value;
	put.op.n_values = DYN_VALUES_MAX + 1;
	put.op.values = values;
	put_send(self, &put);
}

static void
put_ops_4097(struct wire *self)
{
	struct put put;
	Dyn__PutOp **ops = dyn_arena_allocate(
		&self->arena, (DYN_BATCH_OPS_MAX + 1) * sizeof(*ops));

	put_init(&put);
	for (int i = 0; i <= DYN_BATCH_OPS_MAX; i++)
		ops[i] = &put.op;
	put.request.n_ops = DYN_BATCH_OPS_MAX + 1;
	put.request.ops = ops;
	put_send(self, &put);
}

/* One put of many keys, each with a value of so many bytes. */
static void
put_many(struct wire *self, int first, int count, Dyn__PutMode mode,
		 size_t size)
{
	struct put put;
	Dyn__PutOp **ops =
		dyn_arena_allocate(&self->arena, (size_t) count * sizeof(*ops));

	put_init(&put);
	put.value = many_bytes(self, size);
	put.op.mode = mode;
	for (int i = 0; i < count; i++)
	{
		char *key = dyn_arena_allocate(&self->arena, 32);

		ops[i] = dyn_arena_allocate(&self->arena, sizeof(*ops[i]));
		*ops[i] = put.op;
		ops[i]->request_id = many_bytes(self, 16);
		getrandom(ops[i]->request_id.data, 16, 0);
		ops[i]->key.len = (size_t) snprintf(key, 32, "large-%d", first + i);
		ops[i]->key.data = (uint8_t *) key;
	}
	put.request.n_ops = (size_t) count;
	put.request.ops = ops;
	put_send(self, &put);
}

/* The coordinator reads more than two peers' answers hold at once. */
static void
replace_much(struct wire *self)
{
	struct dyn_slice frame;

	for (int first = 0; first < 70; first += 10)
	{
		put_many(self, first, 10, DYN__PUT_MODE__SIBLING, 1024 * 1024);
		if (!receive(self, 20000, &frame))
			printf("no answer to the values\n");
	}
	put_many(self, 0, 70, DYN__PUT_MODE__REPLACE, 1);
	zmq_poll(&(zmq_pollitem_t){ self->socket, 0, ZMQ_POLLIN, 0 }, 1, 20000);
}

/* Twice the same request id, one value: the second is answered, not applied. */
static void
put_twice(struct wire *self)
{
	struct put put;
	struct dyn_slice frame;

	put_init(&put);
	put.op.key = (ProtobufCBinaryData){ 5, (uint8_t *) "twice" };
	put_send(self, &put);
	if (!receive(self, ANSWER_WAIT_MS, &frame))
		return;
	put.op.retry = true;
	put_send(self, &put);
}

/* -------------------------------------------------------- bad gets and scans */

static void
get_with(struct wire *self, uint32_t r, size_t key_size, size_t bucket_size)
{
	Dyn__GetRequest request = DYN__GET_REQUEST__INIT;
	ProtobufCBinaryData key = many_bytes(self, key_size);

	request.bucket = many_bytes(self, bucket_size);
	request.r = r;
	request.n_keys = 1;
	request.keys = &key;
	send_bytes(self, frame_of(self, DYN_MESSAGE_GET, &request.base));
}

static void
get_r_9(struct wire *self)
{
	get_with(self, 9, 1, 1);
}

static void
get_key_0(struct wire *self)
{
	get_with(self, 0, 0, 1);
}

static void
get_key_441(struct wire *self)
{
	get_with(self, 0, DYN_KEY_SIZE_MAX + 1, 1);
}

static void
get_absent(struct wire *self)
{
	get_with(self, 0, 99, 50);
}

static void
scan_with(struct wire *self, uint32_t first, uint32_t last, size_t bucket_size)
{
	Dyn__ScanRequest request = DYN__SCAN_REQUEST__INIT;

	request.bucket = many_bytes(self, bucket_size);
	request.cell_first = first;
	request.cell_last = last;
	send_bytes(self, frame_of(self, DYN_MESSAGE_SCAN, &request.base));
}

static void
scan_absent(struct wire *self)
{
	scan_with(self, 0, 0, 50);
}

static void
scan_bucket_64(struct wire *self)
{
	scan_with(self, 0, 0, DYN_BUCKET_SIZE_MAX + 1);
}

static void
scan_cells(struct wire *self)
{
	scan_with(self, 5000, 9000, 1);
}

static void
scan_backwards(struct wire *self)
{
	scan_with(self, 9, 3, 1);
}

/* ------------------------------------------------------------------ the whole */

static const struct
{
	const char *name;
	void (*run)(struct wire *self);
} cases[] = {
	{ "short_frame", short_frame },
	{ "empty_frame", empty_frame },
	{ "wrong_magic", wrong_magic },
	{ "wrong_checksum", wrong_checksum },
	{ "damaged_body", damaged_body },
	{ "size_overflow", size_overflow },
	{ "trailing_bytes", trailing_bytes },
	{ "other_version", other_version },
	{ "unknown_type", unknown_type },
	{ "garbage_put", garbage_put },
	{ "unasked_reply", unasked_reply },
	{ "many_parts", many_parts },
	{ "huge_frame", huge_frame },
	{ "replicate_from_client", replicate_from_client },
	{ "heartbeat_from_client", heartbeat_from_client },
	{ "form_from_client", form_from_client },
	{ "hello_version", hello_version },
	{ "other_cluster", other_cluster },
	{ "put_key_0", put_key_0 },
	{ "put_key_1", put_key_1 },
	{ "put_key_440", put_key_440 },
	{ "put_key_441", put_key_441 },
	{ "put_bucket_0", put_bucket_0 },
	{ "put_bucket_64", put_bucket_64 },
	{ "put_value_0", put_value_0 },
	{ "put_value_max", put_value_max },
	{ "put_value_over", put_value_over },
	{ "put_context_garbage", put_context_garbage },
	{ "put_context_truncated", put_context_truncated },
	{ "put_context_256", put_context_256 },
	{ "put_context_10000", put_context_10000 },
	{ "put_context_exceptions", put_context_exceptions },
	{ "put_w_9", put_w_9 },
	{ "put_no_id", put_no_id },
	{ "put_mode_99", put_mode_99 },
	{ "put_nothing", put_nothing },
	{ "put_values_65", put_values_65 },
	{ "put_ops_4097", put_ops_4097 },
	{ "put_twice", put_twice },
	{ "replace_much", replace_much },
	{ "get_r_9", get_r_9 },
	{ "get_key_0", get_key_0 },
	{ "get_key_441", get_key_441 },
	{ "get_absent", get_absent },
	{ "scan_absent", scan_absent },
	{ "scan_bucket_64", scan_bucket_64 },
	{ "scan_cells", scan_cells },
	{ "scan_backwards", scan_backwards },
};

enum
{
	CASE_COUNT = sizeof(cases) / sizeof(cases[0])
};

static int
list(void)
{
	for (int i = 0; i < CASE_COUNT; i++)
		printf("%s\n", cases[i].name);
	return 0;
}

/* Until it is killed. */
static int
impostor(const char *port)
{
	void *zmq = zmq_ctx_new();
	void *socket = zmq_socket(zmq, ZMQ_ROUTER);
	char endpoint[64];

	snprintf(endpoint, sizeof(endpoint), "tcp://127.0.0.1:%s", port);
	if (zmq_bind(socket, endpoint) != 0)
		return 1;
	for (;;)
	{
		zmq_msg_t part;
		int more;

		zmq_msg_init(&part);
		zmq_msg_recv(&part, socket, 0);
		more = zmq_msg_more(&part);
		zmq_msg_send(&part, socket, more ? ZMQ_SNDMORE : 0);
	}
}

static int
run(struct wire *self, int which)
{
	int timeout_ms = 1000;

	cases[which].run(self);
	print_answer(self);
	if (is_alive(self))
		return 0;
	/* libzmq closes what breaks its own limits: ask on a new connection. */
	reconnect(self);
	zmq_setsockopt(self->socket, ZMQ_RCVTIMEO, &timeout_ms, sizeof(timeout_ms));
	return is_alive(self) ? 0 : 1;
}

int
main(int argc, char **argv)
{
	static struct wire self = { .remaining_ms = 5000 };

	if (argc == 2 && strcmp(argv[1], "--list") == 0)
		return list();
	if (argc == 3 && strcmp(argv[1], "--impostor") == 0)
		return impostor(argv[2]);
	if (argc != 3)
		return 2;
	snprintf(self.endpoint, sizeof(self.endpoint), "tcp://%s", argv[1]);
	dyn_arena_init(&self.arena, dyn_allocator_malloc(), 0);
	self.zmq = zmq_ctx_new();
	reconnect(&self);
	for (int i = 0; i < CASE_COUNT; i++)
		if (strcmp(argv[2], cases[i].name) == 0)
			return run(&self, i);
	fprintf(stderr, "wire: no case \"%s\"\n", argv[2]);
	return 2;
}
