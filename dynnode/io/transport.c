/*
 * Sockets: frames that arrive become events for loop.c, effects SEND, REPLY
 * and CONNECT become frames.  What is in a frame is the core's affair.
 */
#include "io/transport.h"

#include "io/address.h"
#include "model/envelope.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
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
	/* Of what one client has sent and we have not looked at: beyond, TCP holds
	 * it back, and nothing is lost.  Nodes drop what they cannot send at once,
	 * so their queues are longer. */
	CLIENT_FRAMES_MAX = 256,
	BACKLOG = 1024,
	HEARTBEAT_MS = 1000,
	HEARTBEAT_TIMEOUT_MS = 4000,
	HANDSHAKE_MS = 5000, /* then a stranger that says nothing is closed */
	RECONNECT_MS = 50,
	RECONNECT_MAX_MS = 1000,
	/* Then it is made anew: the kernel asks a peer that was cut off for a while
	 * less and less often, up to minutes apart. */
	CONNECT_TIMEOUT_MS = 2000,
	IDENTITY_SIZE = 5
};

/*
 * A socket's ZMQ_FD is edge-triggered, and any call on the socket may swallow
 * an edge.  So a socket is looked into when its descriptor has signalled, and
 * again after each send; otherwise it is left alone (asking a ZeroMQ socket
 * anything costs two system calls).
 */
struct source
{
	void *socket;
	int descriptor;
	bool signalled; /* something may be there to receive */
};

struct link
{
	struct source dealer;
	struct source monitor; /* PAIR that tells of its connection */
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
	struct source routers[ROUTER_COUNT];
	struct peer *peers;
	uint32_t peer_count;
	struct pollfd *items;
	struct source **item_sources;
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
	set_number(socket, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS);
	set_number(socket, ZMQ_TCP_KEEPALIVE, 1);
}

static void
allow_ipv6(void *socket, const struct dyn_address *address)
{
	set_number(socket, ZMQ_IPV6, address->host[0] == '[');
}

static void
open_source(struct source *self, void *socket)
{
	size_t size = sizeof(self->descriptor);

	self->socket = socket;
	self->descriptor = -1;
	zmq_getsockopt(socket, ZMQ_FD, &self->descriptor, &size);
	self->signalled = true;
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
	open_source(&self->routers[which], socket);
	set_limits(socket);
	set_number(socket, ZMQ_ROUTER_MANDATORY, 1);
	set_number(socket, ZMQ_BACKLOG, BACKLOG);
	if (which == ROUTER_CLIENT)
		set_number(socket, ZMQ_RCVHWM, CLIENT_FRAMES_MAX);
	allow_ipv6(socket, address);
	/* Names are looked up for connecting only; this one needs no look. */
	snprintf(endpoint, sizeof(endpoint), "tcp://%s:%d",
			 strcmp(address->host, "localhost") == 0 ? "127.0.0.1"
													 : address->host,
			 address->port + which);
	if (zmq_bind(socket, endpoint) == 0)
		return true;
	snprintf(reason, reason_size, "cannot listen on %s: %s (%s)", endpoint,
			 zmq_strerror(zmq_errno()),
			 zmq_errno() == ENODEV
				 ? "listen takes an IP address of this machine; a name may "
				   "stand in advertise and seeds"
				 : "a node needs three free ports in a row");
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
	if (link->monitor.socket != NULL)
	{
		zmq_socket_monitor(link->dealer.socket, NULL, 0);
		zmq_close(link->monitor.socket);
	}
	if (link->dealer.socket != NULL)
		zmq_close(link->dealer.socket);
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
		if (self->routers[which].socket != NULL)
			zmq_close(self->routers[which].socket);
	if (self->zmq != NULL)
		zmq_ctx_term(self->zmq);
	free(self->peers);
	free(self->items);
	free(self->item_sources);
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
	void *socket = zmq_socket(self->zmq, ZMQ_DEALER);
	void *monitor;

	if (socket == NULL)
		return;
	set_limits(socket);
	/* Nothing is queued for a peer that is not there: it would be delivered
	 * long after everybody gave up. */
	set_number(socket, ZMQ_IMMEDIATE, 1);
	allow_ipv6(socket, address);
	set_number(socket, ZMQ_RECONNECT_IVL, RECONNECT_MS);
	set_number(socket, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS);
	set_number(socket, ZMQ_CONNECT_TIMEOUT, CONNECT_TIMEOUT_MS);
	open_source(&link->dealer, socket);
	monitor = open_monitor(self, socket, index, plane);
	if (monitor != NULL)
		open_source(&link->monitor, monitor);
	snprintf(endpoint, sizeof(endpoint), "tcp://%s:%d", address->host,
			 address->port + offset);
	zmq_connect(socket, endpoint);
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
send_part(struct source *to, const void *bytes, size_t size, int flags)
{
	to->signalled = true;
	return zmq_send(to->socket, bytes, size, ZMQ_DONTWAIT | flags) >= 0;
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
	struct source *router;

	if (which < 0 || which >= ROUTER_COUNT)
	{
		count_sent(self, false);
		return;
	}
	router = &self->routers[which];
	for (int i = 1; i < IDENTITY_SIZE; i++)
		identity[i] = (uint8_t) (route >> (8 * (IDENTITY_SIZE - 1 - i)));
	count_sent(self,
			   send_part(router, identity, sizeof(identity), ZMQ_SNDMORE) &&
				   send_part(router, frame.data, frame.size, 0));
}

/* To one that was told to be down nothing goes, though one of its two links
 * may still stand: what was said meanwhile must not arrive later. */
static void
send_to_peer(struct dyn_transport *self, const struct dyn_effect *effect)
{
	uint32_t index = effect->send.peer_index;

	count_sent(
		self,
		index < self->peer_count && self->peers[index].up &&
			send_part(&self->peers[index].links[effect->send.plane].dealer,
					  effect->send.frame.data, effect->send.frame.size, 0));
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
			send_to_peer(self, effect);
			break;
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
	void *socket = self->routers[which].socket;
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
	void *socket = self->peers[index].links[plane].dealer.socket;
	struct dyn_event event = { 0 };
	zmq_msg_t frame;
	bool received;

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
watch_link(struct dyn_transport *self, uint32_t index, int plane)
{
	int number;

	self->peers[index].links[plane].monitor.signalled = false;
	while ((number = receive_monitored(
				self->peers[index].links[plane].monitor.socket)) != 0)
	{
		struct peer *peer = &self->peers[index];

		peer->links[plane].stands = number == ZMQ_EVENT_HANDSHAKE_SUCCEEDED;
		/* A loss is told even when it has been mended meanwhile. */
		tell_state(self, index, peer->links[0].stands && peer->links[1].stands);
	}
}

static void
drain_router(struct dyn_transport *self, int which)
{
	if (!self->routers[which].signalled)
		return;
	self->routers[which].signalled = false;
	for (int count = 0; count < FRAMES_PER_TURN; count++)
		if (!receive_routed(self, which))
			return;
	self->routers[which].signalled = true; /* perhaps not empty */
}

/* Delivering may add peers: nothing is kept across it but indexes. */
static void
drain_link(struct dyn_transport *self, uint32_t index, int plane)
{
	if (!self->peers[index].links[plane].dealer.signalled)
		return;
	self->peers[index].links[plane].dealer.signalled = false;
	for (int count = 0; count < FRAMES_PER_TURN; count++)
		if (!receive_answer(self, index, plane))
			return;
	self->peers[index].links[plane].dealer.signalled = true;
}

void
dyn_transport_drain(struct dyn_transport *self)
{
	for (uint32_t i = 0; i < self->peer_count; i++)
		for (int plane = 0; plane < PLANE_COUNT; plane++)
			if (self->peers[i].links[plane].monitor.signalled)
				watch_link(self, i, plane);
	drain_router(self, ROUTER_CONTROL);
	for (uint32_t i = 0; i < self->peer_count; i++)
		drain_link(self, i, DYN_PLANE_CONTROL);
	for (uint32_t i = 0; i < self->peer_count; i++)
		drain_link(self, i, DYN_PLANE_DATA);
	drain_router(self, ROUTER_DATA);
	drain_router(self, ROUTER_CLIENT);
}

/* ------------------------------------------------------------------ waiting */

static void
add_item(struct dyn_transport *self, int *count, int descriptor,
		 struct source *source)
{
	if (*count == self->item_capacity)
	{
		size_t capacity = self->item_capacity ? self->item_capacity * 2U : 16;

		self->items = realloc(self->items, capacity * sizeof(*self->items));
		self->item_sources =
			realloc(self->item_sources, capacity * sizeof(*self->item_sources));
		if (self->items == NULL || self->item_sources == NULL)
			abort();
		self->item_capacity = (int) capacity;
	}
	self->items[*count] = (struct pollfd){ descriptor, POLLIN, 0 };
	self->item_sources[(*count)++] = source;
}

/* True when the socket has something to receive, signalled or not. */
static bool
look(struct source *source)
{
	int events = 0;
	size_t size = sizeof(events);

	if (source->signalled)
	{
		zmq_getsockopt(source->socket, ZMQ_EVENTS, &events, &size);
		source->signalled = (events & ZMQ_POLLIN) != 0;
	}
	return source->signalled;
}

static bool
add_source(struct dyn_transport *self, int *count, struct source *source)
{
	if (source->socket == NULL)
		return false;
	add_item(self, count, source->descriptor, source);
	return look(source);
}

bool
dyn_transport_wait(struct dyn_transport *self, const int *descriptors,
				   int descriptor_count, long timeout_ms)
{
	int count = 0;
	bool ready = false;
	int rc;

	for (int which = 0; which < ROUTER_COUNT; which++)
		ready |= add_source(self, &count, &self->routers[which]);
	for (uint32_t i = 0; i < self->peer_count; i++)
		for (int plane = 0; plane < PLANE_COUNT; plane++)
		{
			struct link *link = &self->peers[i].links[plane];

			ready |= add_source(self, &count, &link->dealer);
			ready |= add_source(self, &count, &link->monitor);
		}
	for (int i = 0; i < descriptor_count; i++)
		if (descriptors[i] >= 0)
			add_item(self, &count, descriptors[i], NULL);
	rc = poll(self->items, (nfds_t) count, ready ? 0 : (int) timeout_ms);
	for (int i = 0; i < count && rc > 0; i++)
		if (self->items[i].revents != 0 && self->item_sources[i] != NULL)
			self->item_sources[i]->signalled = true;
	return rc >= 0 || errno != EINTR;
}

const struct dyn_transport_counters *
dyn_transport_counters(const struct dyn_transport *self)
{
	return &self->counters;
}
