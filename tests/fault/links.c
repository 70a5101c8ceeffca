#include "tests/fault/links.h"

#include "io/address.h"

#include <stdio.h>
#include <string.h>

#include <zmq.h>

enum
{
	FRAMES_PER_TURN = 64
};

static void
set_number(void *socket, int option, int value)
{
	zmq_setsockopt(socket, option, &value, sizeof(value));
}

static void *
connect_to(struct dyn_links *self, const struct dyn_address *address)
{
	char endpoint[DYN_ADDRESS_SIZE_MAX + 32];
	void *socket = zmq_socket(self->zmq, ZMQ_DEALER);

	if (socket == NULL)
		return NULL;
	set_number(socket, ZMQ_LINGER, 0);
	/* Nothing waits for a node that is not there, see PROTOCOL.md. */
	set_number(socket, ZMQ_IMMEDIATE, 1);
	set_number(socket, ZMQ_RECONNECT_IVL, 50);
	set_number(socket, ZMQ_RECONNECT_IVL_MAX, 300);
	set_number(socket, ZMQ_CONNECT_TIMEOUT, 1000);
	set_number(socket, ZMQ_HEARTBEAT_IVL, 500);
	set_number(socket, ZMQ_HEARTBEAT_TIMEOUT, 2000);
	snprintf(endpoint, sizeof(endpoint), "tcp://%s:%d", address->host,
			 address->port);
	if (zmq_connect(socket, endpoint) == 0)
		return socket;
	zmq_close(socket);
	return NULL;
}

bool
dyn_links_open(struct dyn_links *self, const char *addresses)
{
	*self = (struct dyn_links){ .zmq = zmq_ctx_new() };
	dyn_arena_init(&self->arena, dyn_allocator_malloc(), 64 * 1024);
	while (*addresses != 0 && self->count < DYN_LINKS_MAX)
	{
		size_t size = strcspn(addresses, ",");
		char *text = self->addresses[self->count];
		struct dyn_address address;

		if (size > DYN_ADDRESS_SIZE_MAX)
			return false;
		memcpy(text, addresses, size);
		text[size] = 0;
		if (!dyn_address_parse(text, &address))
			return false;
		self->sockets[self->count] = connect_to(self, &address);
		if (self->sockets[self->count++] == NULL)
			return false;
		addresses += size + (addresses[size] == ',');
	}
	return self->count > 0 && *addresses == 0;
}

void
dyn_links_close(struct dyn_links *self)
{
	for (uint32_t i = 0; i < self->count; i++)
		if (self->sockets[i] != NULL)
			zmq_close(self->sockets[i]);
	zmq_ctx_term(self->zmq);
	dyn_arena_destroy(&self->arena);
}

int
dyn_links_find(const struct dyn_links *self, const char *address)
{
	for (uint32_t i = 0; i < self->count; i++)
		if (strcmp(self->addresses[i], address) == 0)
			return (int) i;
	return -1;
}

bool
dyn_links_send(struct dyn_links *self, uint32_t node,
			   enum dyn_message_type type, uint64_t correlation,
			   uint32_t remaining_ms, const ProtobufCMessage *body)
{
	struct dyn_envelope env = { .type = type,
								.remaining_ms = remaining_ms,
								.correlation = correlation };
	struct dyn_slice frame;

	dyn_arena_reset(&self->arena);
	return dyn_message_pack(&env, body, &self->arena.allocator, &frame) ==
			   DYN_STATUS_OK &&
		   zmq_send(self->sockets[node], frame.data, frame.size,
					ZMQ_DONTWAIT) >= 0;
}

unsigned
dyn_links_owners(const Dyn__Receipt *receipt)
{
	if (receipt == NULL || receipt->n_fallbacks > receipt->n_answered)
		return 0;
	return (unsigned) (receipt->n_answered - receipt->n_fallbacks);
}

/* Its frame may send others, which use the arena: hand over from one of its
 * own. */
static void
take_frame(zmq_msg_t *message, uint32_t node, dyn_links_take take,
		   void *context)
{
	struct dyn_slice frame = { zmq_msg_data(message), zmq_msg_size(message) };
	struct dyn_envelope env;
	struct dyn_arena arena;
	ProtobufCMessage *body;

	dyn_arena_init(&arena, dyn_allocator_malloc(), 0);
	if (dyn_envelope_open(frame, &env) == DYN_STATUS_OK &&
		dyn_message_unpack(&env, &arena.allocator, &body) == DYN_STATUS_OK)
		take(context, node, &env, body);
	dyn_arena_destroy(&arena);
}

static void
drain(struct dyn_links *self, uint32_t node, dyn_links_take take, void *context)
{
	for (int i = 0; i < FRAMES_PER_TURN; i++)
	{
		zmq_msg_t message;

		zmq_msg_init(&message);
		if (zmq_msg_recv(&message, self->sockets[node], ZMQ_DONTWAIT) < 0)
		{
			zmq_msg_close(&message);
			return;
		}
		take_frame(&message, node, take, context);
		zmq_msg_close(&message);
	}
}

bool
dyn_links_wait(struct dyn_links *self, long wait_ms, int descriptor,
			   dyn_links_take take, void *context)
{
	zmq_pollitem_t items[DYN_LINKS_MAX + 1];
	int count = (int) self->count + (descriptor >= 0);

	for (uint32_t i = 0; i < self->count; i++)
		items[i] = (zmq_pollitem_t){ self->sockets[i], 0, ZMQ_POLLIN, 0 };
	items[self->count] = (zmq_pollitem_t){ NULL, descriptor, ZMQ_POLLIN, 0 };
	if (zmq_poll(items, count, wait_ms) <= 0)
		return false;
	for (uint32_t i = 0; i < self->count; i++)
		if (items[i].revents & ZMQ_POLLIN)
			drain(self, i, take, context);
	return descriptor >= 0 && (items[self->count].revents & ZMQ_POLLIN);
}
