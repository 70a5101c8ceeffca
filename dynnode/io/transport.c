#include "io/transport.h"

#include "io/address.h"
#include "model/envelope.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

enum
{
	ROUTER_CLIENT,
	ROUTER_DATA,
	ROUTER_CONTROL,
	ROUTER_COUNT,

	PLANE_COUNT = 2,
	FRAMES_PER_TURN = 128, /* of one socket; the rest waits its turn */
	HIGH_WATER_MARK = 20000,
	BACKLOG = 1024,
	HEARTBEAT_MS = 1000,
	HEARTBEAT_TIMEOUT_MS = 4000,
	RECONNECT_MS = 50,
	RECONNECT_MAX_MS = 1000,
	IDENTITY_SIZE = 5
};

struct link
{
	void *socket;  /* DEALER */
	void *monitor; /* PAIR that tells of its connection */
	bool stands;
};

struct peer
{
	struct link links[PLANE_COUNT];
	bool used;
	bool up;
};

struct dyn_transport
{
	void *zmq;
	void *routers[ROUTER_COUNT];
	struct peer *peers;
	uint32_t peer_count;
	zmq_pollitem_t *items;
	int item_capacity;
	dyn_transport_deliver deliver;
	void *context;
	struct dyn_transport_counters counters;
};

static void
set_number(void *socket, int option, int value)
{
	int rc = zmq_setsockopt(socket, option, &value, sizeof(value));

	assert(rc == 0);
	(void) rc;
}

static void
set_limits(void *socket)
{
	int64_t size_max = DYN_FRAME_SIZE_MAX;

	zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &size_max, sizeof(size_max));
	set_number(socket, ZMQ_LINGER, 0);
	set_number(socket, ZMQ_SNDHWM, HIGH_WATER_MARK);
	set_number(socket, ZMQ_RCVHWM, HIGH_WATER_MARK);
	set_number(socket, ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS);
	set_number(socket, ZMQ_HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS);
	set_number(socket, ZMQ_TCP_KEEPALIVE, 1);
}

/* ------------------------------------------------------------------ opening */

static bool
bind_router(struct dyn_transport *self, int which,
			const struct dyn_address *address, char *reason, size_t reason_size)
{
	char endpoint[DYN_ADDRESS_SIZE_MAX + 32];
	void *socket = zmq_socket(self->zmq, ZMQ_ROUTER);

	if (socket == NULL)
	{
		snprintf(reason, reason_size, "cannot make a socket: %s",
				 zmq_strerror(zmq_errno()));
		return false;
	}
	self->routers[which] = socket;
	set_limits(socket);
	set_number(socket, ZMQ_ROUTER_MANDATORY, 1);
	set_number(socket, ZMQ_BACKLOG, BACKLOG);
	snprintf(endpoint, sizeof(endpoint), "tcp://%s:%d", address->host,
			 address->port + which);
	if (zmq_bind(socket, endpoint) == 0)
		return true;
	snprintf(reason, reason_size,
			 "cannot listen on %s: %s (a node needs three free ports in a "
			 "row)",
			 endpoint, zmq_strerror(zmq_errno()));
	return false;
}

struct dyn_transport *
dyn_transport_open(const char *listen, dyn_transport_deliver deliver,
				   void *context, char *reason, size_t reason_size)
{
	struct dyn_transport *self = calloc(1, sizeof(*self));
	struct dyn_address address;

	if (self == NULL || !dyn_address_parse(listen, &address))
	{
		snprintf(reason, reason_size, "\"%s\" is not host:port", listen);
		free(self);
		return NULL;
	}
	self->deliver = deliver;
	self->context = context;
	self->zmq = zmq_ctx_new();
	if (self->zmq != NULL)
		zmq_ctx_set(self->zmq, ZMQ_MAX_SOCKETS, 4096);
	for (int which = 0; which < ROUTER_COUNT; which++)
		if (self->zmq == NULL ||
			!bind_router(self, which, &address, reason, reason_size))
		{
			dyn_transport_close(&self);
			return NULL;
		}
	return self;
}

static void
close_link(struct link *link)
{
	if (link->monitor != NULL)
	{
		zmq_socket_monitor(link->socket, NULL, 0);
		zmq_close(link->monitor);
	}
	if (link->socket != NULL)
		zmq_close(link->socket);
}

void
dyn_transport_close(struct dyn_transport **self_p)
{
	struct dyn_transport *self = *self_p;

	if (self == NULL)
		return;
	for (uint32_t i = 0; i < self->peer_count; i++)
		for (int plane = 0; plane < PLANE_COUNT; plane++)
			close_link(&self->peers[i].links[plane]);
	for (int which = 0; which < ROUTER_COUNT; which++)
		if (self->routers[which] != NULL)
			zmq_close(self->routers[which]);
	if (self->zmq != NULL)
		zmq_ctx_term(self->zmq);
	free(self->peers);
	free(self->items);
	free(self);
	*self_p = NULL;
}

/* -------------------------------------------------------------- connecting */

/* A monitor's PAIR for a socket; NULL when there are no descriptors left. */
static void *
open_monitor(struct dyn_transport *self, void *socket, uint32_t peer, int plane)
{
	char endpoint[64];
	void *monitor;

	snprintf(endpoint, sizeof(endpoint), "inproc://monitor-%u-%d", peer, plane);
	if (zmq_socket_monitor(socket, endpoint,
						   ZMQ_EVENT_HANDSHAKE_SUCCEEDED |
							   ZMQ_EVENT_DISCONNECTED) != 0)
		return NULL;
	monitor = zmq_socket(self->zmq, ZMQ_PAIR);
	if (monitor == NULL)
		return NULL;
	set_number(monitor, ZMQ_LINGER, 0);
	zmq_connect(monitor, endpoint);
	return monitor;
}

static void
connect_link(struct dyn_transport *self, uint32_t index, int plane,
			 const struct dyn_address *address)
{
	struct link *link = &self->peers[index].links[plane];
	char endpoint[DYN_ADDRESS_SIZE_MAX + 32];
	int offset = plane == DYN_PLANE_DATA ? ROUTER_DATA : ROUTER_CONTROL;

	link->socket = zmq_socket(self->zmq, ZMQ_DEALER);
	if (link->socket == NULL)
		return;
	set_limits(link->socket);
	/* Nothing is queued for a peer that is not there: it would be delivered
	 * long after everybody gave up. */
	set_number(link->socket, ZMQ_IMMEDIATE, 1);
	set_number(link->socket, ZMQ_RECONNECT_IVL, RECONNECT_MS);
	set_number(link->socket, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS);
	link->monitor = open_monitor(self, link->socket, index, plane);
	snprintf(endpoint, sizeof(endpoint), "tcp://%s:%d", address->host,
			 address->port + offset);
	zmq_connect(link->socket, endpoint);
}

static void
connect_peer(struct dyn_transport *self, uint32_t index,
			 struct dyn_slice address_text)
{
	char text[DYN_ADDRESS_SIZE_MAX + 1];
	struct dyn_address address;

	if (address_text.size >= sizeof(text))
		return;
	memcpy(text, address_text.data, address_text.size);
	text[address_text.size] = 0;
	if (!dyn_address_parse(text, &address))
		return;
	if (index >= self->peer_count)
	{
		self->peers = realloc(self->peers, (index + 1) * sizeof(*self->peers));
		if (self->peers == NULL)
			abort();
		memset(self->peers + self->peer_count, 0,
			   (index + 1 - self->peer_count) * sizeof(*self->peers));
		self->peer_count = index + 1;
	}
	if (self->peers[index].used)
		return;
	self->peers[index].used = true;
	connect_link(self, index, DYN_PLANE_DATA, &address);
	connect_link(self, index, DYN_PLANE_CONTROL, &address);
}

/* ------------------------------------------------------------------ sending */

static bool
send_part(void *socket, const void *bytes, size_t size, int flags)
{
	return zmq_send(socket, bytes, size, ZMQ_DONTWAIT | flags) >= 0;
}

static void
count_sent(struct dyn_transport *self, bool sent)
{
	if (sent)
		self->counters.frames_out++;
	else
		self->counters.dropped++;
}

/* A route is socket << 32 | the four bytes behind the leading zero of an
 * identity that ZeroMQ made; never 0, because of the 1. */
static uint64_t
make_route(int which, const uint8_t *identity)
{
	uint64_t route = (uint64_t) (which + 1);

	for (int i = 1; i < IDENTITY_SIZE; i++)
		route = route << 8 | identity[i];
	return route;
}

static void
reply(struct dyn_transport *self, uint64_t route, struct dyn_slice frame)
{
	uint8_t identity[IDENTITY_SIZE] = { 0 };
	int which = (int) (route >> 32) - 1;
	void *socket;

	if (which < 0 || which >= ROUTER_COUNT)
		return;
	socket = self->routers[which];
	for (int i = 1; i < IDENTITY_SIZE; i++)
		identity[i] = (uint8_t) (route >> (8 * (IDENTITY_SIZE - 1 - i)));
	count_sent(self,
			   send_part(socket, identity, sizeof(identity), ZMQ_SNDMORE) &&
				   send_part(socket, frame.data, frame.size, 0));
}

void
dyn_transport_perform(struct dyn_transport *self,
					  const struct dyn_effect *effect)
{
	switch ((int) effect->type)
	{
		case DYN_EFFECT_CONNECT:
			connect_peer(self, effect->connect.peer_index,
						 effect->connect.address);
			break;
		case DYN_EFFECT_REPLY:
			reply(self, effect->reply.route, effect->reply.frame);
			break;
		case DYN_EFFECT_SEND:
		{
			uint32_t index = effect->send.peer_index;
			void *socket =
				index < self->peer_count
					? self->peers[index].links[effect->send.plane].socket
					: NULL;

			count_sent(self, socket != NULL &&
								 send_part(socket, effect->send.frame.data,
										   effect->send.frame.size, 0));
			break;
		}
		default:
			break;
	}
}

/* ---------------------------------------------------------------- receiving */

static bool
has_more(zmq_msg_t *message)
{
	return zmq_msg_more(message) != 0;
}

/* What follows the one part that a frame has: read and thrown away. */
static void
skip_parts(void *socket)
{
	zmq_msg_t part;
	bool more = true;

	while (more)
	{
		zmq_msg_init(&part);
		more =
			zmq_msg_recv(&part, socket, ZMQ_DONTWAIT) >= 0 && has_more(&part);
		zmq_msg_close(&part);
	}
}

static void
deliver_frame(struct dyn_transport *self, void *socket, zmq_msg_t *frame,
			  struct dyn_event *event)
{
	if (has_more(frame))
	{
		skip_parts(socket);
		self->counters.malformed++;
		return;
	}
	event->type = DYN_EVENT_MESSAGE;
	event->message.frame =
		(struct dyn_slice){ zmq_msg_data(frame), zmq_msg_size(frame) };
	self->counters.frames_in++;
	self->deliver(self->context, event);
}

/* One frame of a ROUTER. False when there is none. */
static bool
receive_routed(struct dyn_transport *self, int which)
{
	void *socket = self->routers[which];
	uint8_t identity[256];
	int identity_size =
		zmq_recv(socket, identity, sizeof(identity), ZMQ_DONTWAIT);
	struct dyn_event event = { 0 };
	zmq_msg_t frame;

	if (identity_size < 0)
		return false;
	zmq_msg_init(&frame);
	if (zmq_msg_recv(&frame, socket, ZMQ_DONTWAIT) >= 0)
	{
		event.message.source =
			which == ROUTER_CLIENT ? DYN_SOURCE_CLIENT : DYN_SOURCE_NODE;
		event.message.route = make_route(which, identity);
		if (identity_size == IDENTITY_SIZE && identity[0] == 0)
			deliver_frame(self, socket, &frame, &event);
		else
		{
			if (has_more(&frame))
				skip_parts(socket);
			self->counters.malformed++;
		}
	}
	zmq_msg_close(&frame);
	return true;
}

static bool
receive_answer(struct dyn_transport *self, uint32_t index, int plane)
{
	void *socket = self->peers[index].links[plane].socket;
	struct dyn_event event = { 0 };
	zmq_msg_t frame;
	bool received;

	if (socket == NULL)
		return false;
	zmq_msg_init(&frame);
	received = zmq_msg_recv(&frame, socket, ZMQ_DONTWAIT) >= 0;
	if (received)
	{
		event.message.source = DYN_SOURCE_PEER;
		event.message.peer_index = index;
		deliver_frame(self, socket, &frame, &event);
	}
	zmq_msg_close(&frame);
	return received;
}

/* One event of a monitor: two parts, of which the first two bytes of the
 * first one are the number. 0 when there is none. */
static int
receive_monitored(void *monitor)
{
	uint8_t bytes[16] = { 0 };
	uint16_t number;

	if (monitor == NULL ||
		zmq_recv(monitor, bytes, sizeof(bytes), ZMQ_DONTWAIT) < 0)
		return 0;
	skip_parts(monitor);
	memcpy(&number, bytes, sizeof(number));
	return number;
}

static void
tell_state(struct dyn_transport *self, uint32_t index, bool up)
{
	struct dyn_event event = { .type = up ? DYN_EVENT_PEER_UP
										  : DYN_EVENT_PEER_DOWN };

	if (self->peers[index].up == up)
		return;
	self->peers[index].up = up;
	event.peer.peer_index = index;
	self->deliver(self->context, &event);
}

static void
watch_peer(struct dyn_transport *self, uint32_t index)
{
	for (int plane = 0; plane < PLANE_COUNT; plane++)
	{
		int number;

		while ((number = receive_monitored(
					self->peers[index].links[plane].monitor)) != 0)
		{
			struct peer *peer = &self->peers[index];

			peer->links[plane].stands = number == ZMQ_EVENT_HANDSHAKE_SUCCEEDED;
			/* A loss is told even when it has been mended meanwhile. */
			tell_state(self, index,
					   peer->links[0].stands && peer->links[1].stands);
		}
	}
}

void
dyn_transport_drain(struct dyn_transport *self)
{
	int count;

	for (uint32_t i = 0; i < self->peer_count; i++)
		watch_peer(self, i);
	for (count = 0; count < FRAMES_PER_TURN; count++)
		if (!receive_routed(self, ROUTER_CONTROL))
			break;
	for (uint32_t i = 0; i < self->peer_count; i++)
		for (count = 0; count < FRAMES_PER_TURN; count++)
			if (!receive_answer(self, i, DYN_PLANE_CONTROL))
				break;
	for (uint32_t i = 0; i < self->peer_count; i++)
		for (count = 0; count < FRAMES_PER_TURN; count++)
			if (!receive_answer(self, i, DYN_PLANE_DATA))
				break;
	for (count = 0; count < FRAMES_PER_TURN; count++)
		if (!receive_routed(self, ROUTER_DATA))
			break;
	for (count = 0; count < FRAMES_PER_TURN; count++)
		if (!receive_routed(self, ROUTER_CLIENT))
			break;
}

/* ------------------------------------------------------------------ waiting */

static void
add_item(struct dyn_transport *self, int *count, void *socket, int descriptor)
{
	if (*count == self->item_capacity)
	{
		self->item_capacity =
			self->item_capacity ? self->item_capacity * 2 : 16;
		self->items = realloc(self->items, (size_t) self->item_capacity *
											   sizeof(*self->items));
		if (self->items == NULL)
			abort();
	}
	self->items[(*count)++] =
		(zmq_pollitem_t){ socket, descriptor, ZMQ_POLLIN, 0 };
}

bool
dyn_transport_wait(struct dyn_transport *self, const int *descriptors,
				   int descriptor_count, long timeout_ms)
{
	int count = 0;

	for (int which = 0; which < ROUTER_COUNT; which++)
		add_item(self, &count, self->routers[which], 0);
	for (uint32_t i = 0; i < self->peer_count; i++)
		for (int plane = 0; plane < PLANE_COUNT; plane++)
		{
			struct link *link = &self->peers[i].links[plane];

			if (link->socket != NULL)
				add_item(self, &count, link->socket, 0);
			if (link->monitor != NULL)
				add_item(self, &count, link->monitor, 0);
		}
	for (int i = 0; i < descriptor_count; i++)
		if (descriptors[i] >= 0)
			add_item(self, &count, NULL, descriptors[i]);
	return zmq_poll(self->items, count, timeout_ms) >= 0 || errno != EINTR;
}

const struct dyn_transport_counters *
dyn_transport_counters(const struct dyn_transport *self)
{
	return &self->counters;
}
