/*
 * fakenodes: three nodes of a cluster that store nothing, but write down every
 * PUT that comes and answer it as a plan says, so that a test can see what a
 * client does.
 *
 *     fakenodes DIRECTORY PORT PORT PORT
 *
 * All keys have the owners 1, 2, 3, in this order.  DIRECTORY/plan holds a word
 * for each PUT to come, DIRECTORY/hello one for each HELLO; a word is taken
 * from the file when it is followed, and what no word is left for is answered
 * well.  The words:
 *
 *     ok         success
 *     STATUS     this status, for each operation
 *     =STATUS    an ERROR of this status, for all
 *     +WORD      this word stays in the file
 *     silent     no answer
 *     garbled    a PUT_REPLY without results
 *     restart    LATE, by another process whose clock begins anew
 *     break      the connection is closed without an answer
 *
 * DIRECTORY/log has a line for each frame, times in milliseconds:
 *
 *     put NODE TIME ID RETRY ACT_AT PROCESS OPS BYTES WORD
 *     hello NODE TIME - - - - - - WORD
 *
 * ACT_AT is what act_until_ms says, as a time of this log; PROCESS is "right",
 * "wrong" or "none".  The nodes' clocks are far apart.
 */
#include "io/clock.h"
#include "model/arena.h"
#include "model/bucket.h"
#include "model/message.h"
#include "model/ring.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zmq.h>

enum
{
	NODES = 3,
	PARTITIONS = 8,
	CLOCK_APART_MS = 10000000
};

struct fake
{
	void *socket;
	int port;
	uint64_t process;
	uint64_t clock_offset_ms; /* clock = now + offset */
};

struct program
{
	void *zmq;
	const char *directory;
	struct fake nodes[NODES];
	struct dyn_arena arena;
	struct dyn_ring ring;
	FILE *log;
};

static void
fail(const char *what)
{
	fprintf(stderr, "fakenodes: %s\n", what);
	exit(2);
}

static uint64_t
clock_of(const struct fake *node)
{
	return dyn_clock_ms(CLOCK_MONOTONIC) + node->clock_offset_ms;
}

/* --------------------------------------------------------------- the plan */

/* The next word of a plan, taken from its file; "ok" when there is none. */
static void
next_word(struct program *self, const char *plan, char *word, size_t size)
{
	char path[500];
	char temporary[520];
	char text[4096] = "";
	const char *rest;
	size_t length;
	FILE *file;

	snprintf(word, size, "ok");
	snprintf(path, sizeof(path), "%s/%s", self->directory, plan);
	file = fopen(path, "r");
	if (file == NULL)
		return;
	length = fread(text, 1, sizeof(text) - 1, file);
	text[length] = '\0';
	fclose(file);
	rest = text + strspn(text, " \n");
	length = strcspn(rest, " \n");
	if (length == 0)
		return;
	snprintf(word, size, "%.*s", (int) length, rest);
	if (word[0] == '+')
	{
		memmove(word, word + 1, strlen(word));
		return;
	}
	snprintf(temporary, sizeof(temporary), "%s.new", path);
	file = fopen(temporary, "w");
	if (file == NULL)
		fail("cannot write the plan");
	fputs(rest + length, file);
	fclose(file);
	rename(temporary, path);
}

static enum dyn_status
status_of(const char *word)
{
	for (unsigned number = 0; number < 256; number++)
		if (dyn_status_is_valid(number) &&
			strcmp(dyn_status_name((enum dyn_status) number), word) == 0)
			return (enum dyn_status) number;
	if (strcmp(word, "ok") != 0)
		fail(word);
	return DYN_STATUS_OK;
}

/* ---------------------------------------------------------------- sockets */

static void
open_node(struct program *self, struct fake *node)
{
	char endpoint[64];
	int linger = 0;

	snprintf(endpoint, sizeof(endpoint), "tcp://127.0.0.1:%d", node->port);
	node->socket = zmq_socket(self->zmq, ZMQ_ROUTER);
	zmq_setsockopt(node->socket, ZMQ_LINGER, &linger, sizeof(linger));
	/* The port of a socket that was closed is free in a moment. */
	for (int i = 0; zmq_bind(node->socket, endpoint) != 0; i++)
	{
		if (i == 500)
			fail("cannot listen");
		usleep(10000);
	}
}

static void
restart(struct fake *node)
{
	node->process += 1000;
	node->clock_offset_ms = 1000 - dyn_clock_ms(CLOCK_MONOTONIC);
}

static void
answer(struct program *self, struct fake *node, zmq_msg_t *route,
	   uint64_t correlation, enum dyn_message_type type,
	   const ProtobufCMessage *body)
{
	struct dyn_envelope env = { .type = type,
								.correlation = correlation,
								.cluster =
									dyn_envelope_cluster(&self->ring.cluster) };
	struct dyn_slice frame;

	if (dyn_message_pack(&env, body, &self->arena.allocator, &frame) !=
		DYN_STATUS_OK)
		fail("cannot pack an answer");
	zmq_send(node->socket, zmq_msg_data(route), zmq_msg_size(route),
			 ZMQ_SNDMORE);
	zmq_send(node->socket, frame.data, frame.size, 0);
}

/* ---------------------------------------------------------------- answers */

static void
take_hello(struct program *self, int which, zmq_msg_t *route,
		   const struct dyn_envelope *env)
{
	struct fake *node = &self->nodes[which];
	Dyn__Welcome welcome = DYN__WELCOME__INIT;
	Dyn__Settings settings = DYN__SETTINGS__INIT;
	struct dyn_slice ring;
	char word[64];

	next_word(self, "hello", word, sizeof(word));
	fprintf(self->log, "hello %d %" PRIu64 " - - - - - - %s\n", which + 1,
			dyn_clock_ms(CLOCK_MONOTONIC), word);
	fflush(self->log);
	if (strcmp(word, "silent") == 0)
		return;
	if (dyn_ring_encode(&self->ring, &self->arena.allocator, &ring) !=
		DYN_STATUS_OK)
		fail("cannot encode the ring");
	settings.n = NODES;
	settings.r = settings.w = 2;
	settings.value_size_max = DYN_VALUE_SIZE_DEFAULT;
	welcome.formed = true;
	welcome.settings = &settings;
	welcome.ring = dyn_bytes_of_slice(ring);
	welcome.process = node->process;
	welcome.uptime_ms = clock_of(node);
	answer(self, node, route, env->correlation, DYN_MESSAGE_WELCOME,
		   &welcome.base);
}

static void
write_down(struct program *self, int which, const Dyn__PutRequest *request,
		   size_t bytes, const char *word)
{
	const struct fake *node = &self->nodes[which];
	uint64_t now = dyn_clock_ms(CLOCK_MONOTONIC);

	for (size_t i = 0; i < request->n_ops; i++)
	{
		const Dyn__PutOp *op = request->ops[i];

		fprintf(self->log, "put %d %" PRIu64 " ", which + 1, now);
		for (size_t byte = 0; byte < op->request_id.len; byte++)
			fprintf(self->log, "%02x", op->request_id.data[byte]);
		fprintf(self->log, " %d %" PRId64 " %s %zu %zu %s\n",
				op->retried ? 2 : op->retry,
				(int64_t) (request->act_until_ms - node->clock_offset_ms),
				request->process == 0               ? "none"
				: request->process == node->process ? "right"
													: "wrong",
				request->n_ops, bytes, word);
	}
	/* Whoever has the answer looks here. */
	fflush(self->log);
}

static void
answer_put(struct program *self, struct fake *node, zmq_msg_t *route,
		   uint64_t correlation, size_t count, const char *word)
{
	Dyn__PutReply reply = DYN__PUT_REPLY__INIT;
	Dyn__PutResult result = DYN__PUT_RESULT__INIT;

	reply.clock_ms = clock_of(node);
	if (strcmp(word, "garbled") != 0)
	{
		result.status = status_of(word);
		result.text = "as planned";
		reply.n_results = count;
		reply.results =
			dyn_arena_allocate(&self->arena, count * sizeof(*reply.results));
		for (size_t i = 0; i < count; i++)
			reply.results[i] = &result;
	}
	answer(self, node, route, correlation, DYN_MESSAGE_PUT_REPLY, &reply.base);
}

static void
take_put(struct program *self, int which, zmq_msg_t *route,
		 const struct dyn_envelope *env, const Dyn__PutRequest *request)
{
	struct fake *node = &self->nodes[which];
	Dyn__Error error = DYN__ERROR__INIT;
	char word[64];

	next_word(self, "plan", word, sizeof(word));
	if (strcmp(word, "restart") == 0)
		restart(node);
	write_down(self, which, request, env->body.size, word);
	if (strcmp(word, "silent") == 0)
		return;
	if (strcmp(word, "break") == 0)
	{
		zmq_close(node->socket);
		open_node(self, node);
		return;
	}
	if (word[0] != '=')
	{
		answer_put(self, node, route, env->correlation, request->n_ops,
				   strcmp(word, "restart") == 0 ? "LATE" : word);
		return;
	}
	error.status = status_of(word + 1);
	error.text = "as planned";
	error.clock_ms = clock_of(node);
	answer(self, node, route, env->correlation, DYN_MESSAGE_ERROR, &error.base);
}

static void
take_frame(struct program *self, int which)
{
	void *socket = self->nodes[which].socket;
	zmq_msg_t route;
	zmq_msg_t message;
	struct dyn_envelope env;
	ProtobufCMessage *body;

	dyn_arena_reset(&self->arena);
	zmq_msg_init(&route);
	zmq_msg_init(&message);
	zmq_msg_recv(&route, socket, 0);
	zmq_msg_recv(&message, socket, 0);
	if (dyn_envelope_open((struct dyn_slice){ zmq_msg_data(&message),
											  zmq_msg_size(&message) },
						  &env) != DYN_STATUS_OK ||
		dyn_message_unpack(&env, &self->arena.allocator, &body) !=
			DYN_STATUS_OK)
		fail("a client sent what is no frame");
	if (env.type == DYN_MESSAGE_HELLO)
		take_hello(self, which, &route, &env);
	else if (env.type == DYN_MESSAGE_PUT)
		take_put(self, which, &route, &env, (const Dyn__PutRequest *) body);
	zmq_msg_close(&message);
	zmq_msg_close(&route);
}

/* ------------------------------------------------------------------- life */

static void
make_ring(struct program *self)
{
	struct dyn_allocator allocator = dyn_allocator_malloc();
	struct dyn_node_id cluster = { { 7, 7, 7, 7, 7, 7, 7, 7, 7 } };

	if (dyn_ring_init(&self->ring, &allocator, cluster, PARTITIONS, NODES) !=
		DYN_STATUS_OK)
		fail("no ring");
	for (int i = 0; i < NODES; i++)
	{
		struct dyn_member member = { .id = { { (uint8_t) (i + 1) } },
									 .incarnation = 1,
									 .status = DYN_MEMBER_VALID,
									 .weight = 1,
									 .store_generation = 1,
									 .start_count = 1 };

		snprintf(member.address, sizeof(member.address), "127.0.0.1:%d",
				 self->nodes[i].port);
		if (dyn_ring_merge_member(&self->ring, &member) != DYN_STATUS_OK)
			fail("no member");
		for (uint16_t partition = 0; partition < PARTITIONS; partition++)
		{
			struct dyn_slot slot = { 1, 1, member.id };

			dyn_ring_merge_slot(&self->ring, partition, (uint8_t) i, &slot);
		}
	}
}

int
main(int argc, char **argv)
{
	struct program self = { 0 };
	char path[500];

	if (argc != 2 + NODES)
		fail("usage: fakenodes DIRECTORY PORT PORT PORT");
	self.directory = argv[1];
	snprintf(path, sizeof(path), "%s/log", self.directory);
	self.log = fopen(path, "a");
	self.zmq = zmq_ctx_new();
	if (self.log == NULL || self.zmq == NULL)
		fail("cannot begin");
	dyn_arena_init(&self.arena, dyn_allocator_malloc(), 0);
	for (int i = 0; i < NODES; i++)
	{
		self.nodes[i].port = atoi(argv[2 + i]);
		self.nodes[i].process = (uint64_t) i + 1;
		self.nodes[i].clock_offset_ms =
			(uint64_t) (i + 1) * CLOCK_APART_MS - dyn_clock_ms(CLOCK_MONOTONIC);
		open_node(&self, &self.nodes[i]);
	}
	make_ring(&self);
	for (;;)
	{
		zmq_pollitem_t items[NODES];

		for (int i = 0; i < NODES; i++)
			items[i] =
				(zmq_pollitem_t){ self.nodes[i].socket, 0, ZMQ_POLLIN, 0 };
		/* Sockets may be exchanged meanwhile: one frame, and look again. */
		if (zmq_poll(items, NODES, -1) <= 0)
			continue;
		for (int i = 0; i < NODES; i++)
			if (items[i].revents & ZMQ_POLLIN)
			{
				take_frame(&self, i);
				break;
			}
	}
}
