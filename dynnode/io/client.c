/*
 * The client of dynctl: one DEALER to one node, one question at a time.
 * Frames are packed and opened by model/envelope.h, as everywhere.
 */
#include "io/client.h"

#include "io/address.h"
#include "io/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

struct dyn_client
{
	void *zmq;
	void *socket;
	char address[DYN_ADDRESS_SIZE_MAX + 1];
	uint64_t correlation;
};

struct dyn_client *
dyn_client_open(const char *text)
{
	struct dyn_client *self = calloc(1, sizeof(*self));
	struct dyn_address address;
	char endpoint[DYN_ADDRESS_SIZE_MAX + 32];
	int linger = 0;
	int ipv6;

	if (self == NULL || !dyn_address_parse(text, &address))
	{
		free(self);
		return NULL;
	}
	snprintf(self->address, sizeof(self->address), "%s", text);
	snprintf(endpoint, sizeof(endpoint), "tcp://%s:%d", address.host,
			 address.port);
	self->zmq = zmq_ctx_new();
	self->socket = self->zmq ? zmq_socket(self->zmq, ZMQ_DEALER) : NULL;
	if (self->socket == NULL)
	{
		dyn_client_close(&self);
		return NULL;
	}
	zmq_setsockopt(self->socket, ZMQ_LINGER, &linger, sizeof(linger));
	ipv6 = address.host[0] == '[';
	zmq_setsockopt(self->socket, ZMQ_IPV6, &ipv6, sizeof(ipv6));
	zmq_connect(self->socket, endpoint);
	return self;
}

void
dyn_client_close(struct dyn_client **self_p)
{
	struct dyn_client *self = *self_p;

	if (self == NULL)
		return;
	if (self->socket != NULL)
		zmq_close(self->socket);
	if (self->zmq != NULL)
		zmq_ctx_term(self->zmq);
	free(self);
	*self_p = NULL;
}

const char *
dyn_client_address(const struct dyn_client *self)
{
	return self->address;
}

/* The next frame, into the arena; false when the time is up. */
static bool
receive(struct dyn_client *self, uint64_t until_ms, struct dyn_arena *arena,
		struct dyn_slice *frame)
{
	for (;;)
	{
		uint64_t now = dyn_clock_ms(CLOCK_MONOTONIC);
		zmq_pollitem_t item = { self->socket, 0, ZMQ_POLLIN, 0 };
		zmq_msg_t message;
		bool received;

		if (zmq_poll(&item, 1, until_ms > now ? (long) (until_ms - now) : 0) <=
				0 &&
			now >= until_ms)
			return false;
		zmq_msg_init(&message);
		received = zmq_msg_recv(&message, self->socket, ZMQ_DONTWAIT) >= 0;
		if (received)
			*frame = dyn_arena_copy(
				arena, (struct dyn_slice){ zmq_msg_data(&message),
										   zmq_msg_size(&message) });
		zmq_msg_close(&message);
		if (received)
			return true;
	}
}

/* Does this frame answer? *status tells how. */
static bool
take(struct dyn_client *self, struct dyn_slice frame,
	 enum dyn_message_type reply_type, struct dyn_arena *arena, void **reply,
	 const char **text, enum dyn_status *status)
{
	struct dyn_envelope env;
	ProtobufCMessage *body;

	if (dyn_envelope_open(frame, &env) != DYN_STATUS_OK ||
		env.correlation != self->correlation ||
		dyn_message_unpack(&env, &arena->allocator, &body) != DYN_STATUS_OK)
		return false;
	if (env.type == reply_type)
	{
		*reply = body;
		*status = DYN_STATUS_OK;
		return true;
	}
	if (env.type != DYN_MESSAGE_ERROR)
		return false;
	*status = (enum dyn_status)((Dyn__Error *) body)->status;
	if (*status == DYN_STATUS_OK || !dyn_status_is_valid(*status))
		*status = DYN_STATUS_INTERNAL;
	*text = ((Dyn__Error *) body)->text;
	return true;
}

enum dyn_status
dyn_client_ask(struct dyn_client *self, uint32_t timeout_ms,
			   enum dyn_message_type type, const ProtobufCMessage *body,
			   enum dyn_message_type reply_type, struct dyn_arena *arena,
			   void **reply, const char **text)
{
	uint64_t until_ms = dyn_clock_ms(CLOCK_MONOTONIC) + timeout_ms;
	/* So that the node's own word, which tells who was silent, comes before
	 * the time is up here. */
	uint32_t remaining_ms = timeout_ms - timeout_ms / 8;
	struct dyn_envelope env = { .type = type,
								.remaining_ms = remaining_ms,
								.correlation = ++self->correlation };
	struct dyn_slice frame;
	enum dyn_status status =
		dyn_message_pack(&env, body, &arena->allocator, &frame);

	*text = "the request is too large for one message";
	if (status != DYN_STATUS_OK)
		return status;
	*text = "no answer in time";
	if (zmq_send(self->socket, frame.data, frame.size, 0) < 0)
		return DYN_STATUS_TIMEOUT;
	while (receive(self, until_ms, arena, &frame))
		if (take(self, frame, reply_type, arena, reply, text, &status))
			return status;
	return DYN_STATUS_TIMEOUT;
}
