/*
 * The transport on real sockets: who is told what, what is dropped, and that
 * nothing that others do makes it wait.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <dirent.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include "io/clock.h"
#include "io/transport.h"

enum
{
	EVENTS_MAX = 4096,
	TEXT_SIZE = 64,
	PATIENCE_MS = 10000
};

/* What a transport delivered; of a frame, its beginning. */
struct seen
{
	enum dyn_event_type type;
	enum dyn_source source;
	uint64_t route;
	uint32_t peer_index;
	size_t size;
	char text[TEXT_SIZE];
};

struct side
{
	struct dyn_transport *transport;
	int port;
	char listen[64];
	struct seen events[EVENTS_MAX];
	int count;
	bool echoes; /* every frame is answered with itself */
};

static void
reply_to(struct side *self, uint64_t route, const void *bytes, size_t size)
{
	struct dyn_effect effect = { .type = DYN_EFFECT_REPLY };

	effect.reply.route = route;
	effect.reply.frame = (struct dyn_slice){ bytes, size };
	dyn_transport_perform(self->transport, &effect);
}

static void
record(void *context, const struct dyn_event *event)
{
	struct side *self = context;
	struct seen *seen = &self->events[self->count % EVENTS_MAX];

	self->count++;
	memset(seen, 0, sizeof(*seen));
	seen->type = event->type;
	if (event->type != DYN_EVENT_MESSAGE)
	{
		seen->peer_index = event->peer.peer_index;
		return;
	}
	seen->source = event->message.source;
	seen->route = event->message.route;
	seen->peer_index = event->message.peer_index;
	seen->size = event->message.frame.size;
	memcpy(seen->text, event->message.frame.data,
		   seen->size < TEXT_SIZE ? seen->size : TEXT_SIZE - 1);
	if (self->echoes && seen->source != DYN_SOURCE_PEER)
		reply_to(self, seen->route, event->message.frame.data, seen->size);
}

/* Opens where it can: others use ports on this machine as well. */
static struct side *
open_side(void)
{
	static int next = 0;
	struct side *self = calloc(1, sizeof(*self));
	char reason[256] = "";

	assert_non_null(self);
	for (int try = 0; try < 1000 && self->transport == NULL; try++)
	{
		self->port = 13000 + (int) ((getpid() * 31 + next++) % 1800) * 10;
		snprintf(self->listen, sizeof(self->listen), "127.0.0.1:%d",
				 self->port);
		self->transport = dyn_transport_open(self->listen, record, self, reason,
											 sizeof(reason));
	}
	if (self->transport == NULL)
		fail_msg("no ports: %s", reason);
	return self;
}

static void
close_side(struct side *self)
{
	dyn_transport_close(&self->transport);
	assert_null(self->transport);
	free(self);
}

/* As the loop does, for a while. */
static void
turn(struct side *self, long timeout_ms)
{
	dyn_transport_wait(self->transport, NULL, 0, timeout_ms);
	dyn_transport_drain(self->transport);
}

static void
pump(struct side *a, struct side *b, uint64_t duration_ms)
{
	uint64_t end = dyn_clock_ms(CLOCK_MONOTONIC) + duration_ms;

	while (dyn_clock_ms(CLOCK_MONOTONIC) < end)
	{
		turn(a, 2);
		if (b != NULL)
			turn(b, 2);
	}
}

/* Until a has seen `count` events. */
static void
pump_until(struct side *a, struct side *b, int count)
{
	uint64_t end = dyn_clock_ms(CLOCK_MONOTONIC) + PATIENCE_MS;

	while (a->count < count && dyn_clock_ms(CLOCK_MONOTONIC) < end)
	{
		turn(a, 2);
		if (b != NULL)
			turn(b, 2);
	}
	if (a->count < count)
		fail_msg("%d events after %d ms, not %d", a->count, PATIENCE_MS, count);
}

static void
connect_to(struct side *self, uint32_t index, const char *address)
{
	struct dyn_effect effect = { .type = DYN_EFFECT_CONNECT };

	effect.connect.peer_index = index;
	effect.connect.address = dyn_slice_of(address);
	dyn_transport_perform(self->transport, &effect);
}

static void
send_to(struct side *self, uint32_t index, enum dyn_plane plane,
		const char *text)
{
	struct dyn_effect effect = { .type = DYN_EFFECT_SEND };

	effect.send.peer_index = index;
	effect.send.plane = plane;
	effect.send.frame = dyn_slice_of(text);
	dyn_transport_perform(self->transport, &effect);
}

static const struct seen *
last(const struct side *self)
{
	assert_true(self->count > 0);
	return &self->events[(self->count - 1) % EVENTS_MAX];
}

static void
assert_frame(const struct seen *seen, enum dyn_source source, const char *text)
{
	assert_int_equal(seen->type, DYN_EVENT_MESSAGE);
	assert_int_equal(seen->source, source);
	assert_string_equal(seen->text, text);
}

static uint64_t
dropped(const struct side *self)
{
	return dyn_transport_counters(self->transport)->dropped;
}

static uint64_t
malformed(const struct side *self)
{
	return dyn_transport_counters(self->transport)->malformed;
}

/* ---- clients: plain ZeroMQ ---- */

struct client
{
	void *zmq;
	void *socket;
};

static struct client
open_client(const struct side *side, int plane, const char *identity)
{
	struct client self = { zmq_ctx_new(), NULL };
	char endpoint[64];
	int zero = 0;
	int wait_ms = PATIENCE_MS;

	self.socket = zmq_socket(self.zmq, ZMQ_DEALER);
	assert_non_null(self.socket);
	zmq_setsockopt(self.socket, ZMQ_LINGER, &zero, sizeof(zero));
	zmq_setsockopt(self.socket, ZMQ_RCVTIMEO, &wait_ms, sizeof(wait_ms));
	if (identity != NULL)
		zmq_setsockopt(self.socket, ZMQ_ROUTING_ID, identity, strlen(identity));
	snprintf(endpoint, sizeof(endpoint), "tcp://127.0.0.1:%d",
			 side->port + plane);
	assert_int_equal(zmq_connect(self.socket, endpoint), 0);
	return self;
}

static void
close_client(struct client *self)
{
	zmq_close(self->socket);
	zmq_ctx_term(self->zmq);
}

static void
say(const struct client *self, const char *text)
{
	assert_int_equal(zmq_send(self->socket, text, strlen(text), 0),
					 (int) strlen(text));
}

/* The side lives in this thread, too: pump until the client hears. */
static void
hears(struct side *side, const struct client *self, const char *text)
{
	uint64_t end = dyn_clock_ms(CLOCK_MONOTONIC) + PATIENCE_MS;
	char bytes[TEXT_SIZE] = "";
	int size = -1;

	while (size < 0 && dyn_clock_ms(CLOCK_MONOTONIC) < end)
	{
		turn(side, 2);
		size = zmq_recv(self->socket, bytes, sizeof(bytes) - 1, ZMQ_DONTWAIT);
	}
	assert_true(size >= 0);
	bytes[size] = 0;
	assert_string_equal(bytes, text);
}

static void
assert_alive(struct side *side)
{
	struct client client = open_client(side, 0, NULL);
	bool echoed = side->echoes;

	side->echoes = true;
	say(&client, "alive?");
	hears(side, &client, "alive?");
	side->echoes = echoed;
	close_client(&client);
}

static void
a_client_is_answered_by_its_route(void **state)
{
	struct side *side = open_side();
	struct client one = open_client(side, 0, NULL);
	struct client two = open_client(side, 0, NULL);
	uint64_t routes[2];

	say(&one, "one");
	pump_until(side, NULL, 1);
	assert_frame(last(side), DYN_SOURCE_CLIENT, "one");
	routes[0] = last(side)->route;
	say(&two, "two");
	pump_until(side, NULL, 2);
	assert_frame(last(side), DYN_SOURCE_CLIENT, "two");
	routes[1] = last(side)->route;
	assert_true(routes[0] != 0 && routes[1] != 0 && routes[0] != routes[1]);
	reply_to(side, routes[1], "to two", 6);
	reply_to(side, routes[0], "to one", 6);
	hears(side, &one, "to one");
	hears(side, &two, "to two");
	close_client(&one);
	close_client(&two);
	close_side(side);
}

static void
only_the_first_port_is_for_clients(void **state)
{
	struct side *side = open_side();

	side->echoes = true;
	for (int plane = 0; plane < 3; plane++)
	{
		struct client client = open_client(side, plane, NULL);

		say(&client, "hello");
		hears(side, &client, "hello");
		assert_frame(last(side), plane ? DYN_SOURCE_NODE : DYN_SOURCE_CLIENT,
					 "hello");
		close_client(&client);
	}
	close_side(side);
}

static void
an_empty_frame_is_a_frame(void **state)
{
	struct side *side = open_side();
	struct client client = open_client(side, 0, NULL);

	side->echoes = true;
	say(&client, "");
	hears(side, &client, "");
	assert_int_equal(last(side)->size, 0);
	close_client(&client);
	close_side(side);
}

static void
frames_of_several_parts_are_dropped_and_counted(void **state)
{
	struct side *side = open_side();
	struct client client = open_client(side, 0, NULL);

	for (int part = 0; part < 1000; part++)
		zmq_send(client.socket, "part", 4, ZMQ_SNDMORE);
	zmq_send(client.socket, "end", 3, 0);
	zmq_send(client.socket, "", 0, ZMQ_SNDMORE); /* as a REQ would */
	zmq_send(client.socket, "body", 4, 0);
	say(&client, "good");
	pump_until(side, NULL, 1);
	assert_frame(last(side), DYN_SOURCE_CLIENT, "good");
	assert_int_equal(side->count, 1);
	assert_int_equal(malformed(side), 2);
	close_client(&client);
	close_side(side);
}

static void
who_names_himself_is_not_listened_to(void **state)
{
	static const char *const names[] = { "me", "12345", "a name of its own" };
	struct side *side = open_side();

	for (int i = 0; i < 3; i++)
	{
		struct client client = open_client(side, 0, names[i]);

		say(&client, "x");
		zmq_send(client.socket, "y", 1, ZMQ_SNDMORE);
		zmq_send(client.socket, "z", 1, 0);
		for (int wait = 0; wait < 500 && malformed(side) < 2U * (i + 1); wait++)
			turn(side, 10);
		close_client(&client);
	}
	assert_int_equal(side->count, 0);
	assert_int_equal(malformed(side), 6);
	assert_alive(side);
	close_side(side);
}

static void
replies_to_nobody_are_dropped_and_counted(void **state)
{
	static const uint64_t routes[] = { (uint64_t) 1 << 32, UINT64_MAX, 0,
									   (uint64_t) 3 << 32 | 77,
									   (uint64_t) 4 << 32 | 1 };
	struct side *side = open_side();
	uint64_t begin = dyn_clock_ms(CLOCK_MONOTONIC);

	for (int i = 0; i < 5; i++)
		reply_to(side, routes[i], "x", 1);
	assert_int_equal(dropped(side), 5);
	assert_true(dyn_clock_ms(CLOCK_MONOTONIC) - begin < 1000);
	assert_alive(side);
	close_side(side);
}

static void
a_reply_to_a_client_that_left_does_not_wait(void **state)
{
	struct side *side = open_side();
	struct client client = open_client(side, 0, NULL);
	uint64_t route;
	uint64_t begin;

	say(&client, "and gone");
	pump_until(side, NULL, 1);
	route = last(side)->route;
	close_client(&client);
	pump(side, NULL, 300);
	begin = dyn_clock_ms(CLOCK_MONOTONIC);
	for (int i = 0; i < 1000; i++)
		reply_to(side, route, "too late", 8);
	assert_true(dyn_clock_ms(CLOCK_MONOTONIC) - begin < 1000);
	assert_int_equal(dropped(side), 1000);
	/* Its route is not given to the next one. */
	client = open_client(side, 0, NULL);
	say(&client, "next");
	pump_until(side, NULL, 2);
	assert_true(last(side)->route != route);
	close_client(&client);
	close_side(side);
}

static void
a_client_that_does_not_read_holds_nobody_up(void **state)
{
	struct side *side = open_side();
	struct client client = open_client(side, 0, NULL);
	char frame[2048];
	uint64_t begin;
	int one = 1;

	memset(frame, 'x', sizeof(frame));
	zmq_setsockopt(client.socket, ZMQ_RCVHWM, &one, sizeof(one));
	say(&client, "talk to me");
	pump_until(side, NULL, 1);
	begin = dyn_clock_ms(CLOCK_MONOTONIC);
	for (int i = 0; i < 60000; i++)
		reply_to(side, last(side)->route, frame, sizeof(frame));
	assert_true(dyn_clock_ms(CLOCK_MONOTONIC) - begin < 8000);
	assert_true(dropped(side) > 0);
	assert_alive(side);
	close_client(&client);
	close_side(side);
}

static void
a_frame_over_the_limit_ends_its_connection_alone(void **state)
{
	size_t size = (size_t) DYN_FRAME_SIZE_MAX + 1;
	char *bytes = calloc(1, size);
	struct side *side = open_side();
	struct client good = open_client(side, 0, NULL);
	struct client bad = open_client(side, 0, NULL);

	assert_non_null(bytes);
	say(&good, "before");
	pump_until(side, NULL, 1);
	zmq_send(bad.socket, bytes, size, 0);
	pump(side, NULL, 1500);
	assert_int_equal(side->count, 1);
	say(&good, "after");
	pump_until(side, NULL, 2);
	assert_frame(last(side), DYN_SOURCE_CLIENT, "after");
	assert_true(last(side)->route == side->events[0].route);
	/* And one of just the limit is taken. */
	zmq_send(good.socket, bytes, size - 1, 0);
	pump_until(side, NULL, 3);
	assert_int_equal(last(side)->size, size - 1);
	close_client(&bad);
	close_client(&good);
	close_side(side);
	free(bytes);
}

/* ---- peers ---- */

static void
a_peer_is_up_when_both_planes_stand_and_answers_by_index(void **state)
{
	struct side *a = open_side();
	struct side *b = open_side();

	b->echoes = true;
	connect_to(a, 5, b->listen);
	pump_until(a, b, 1);
	assert_int_equal(last(a)->type, DYN_EVENT_PEER_UP);
	assert_int_equal(last(a)->peer_index, 5);
	send_to(a, 5, DYN_PLANE_DATA, "data");
	pump_until(a, b, 2);
	assert_frame(last(a), DYN_SOURCE_PEER, "data");
	assert_int_equal(last(a)->peer_index, 5);
	send_to(a, 5, DYN_PLANE_CONTROL, "control");
	pump_until(a, b, 3);
	assert_frame(last(a), DYN_SOURCE_PEER, "control");
	assert_frame(last(b), DYN_SOURCE_NODE, "control");
	assert_int_equal(dropped(a), 0);
	close_side(a);
	close_side(b);
}

static void
a_peer_that_stops_is_down_and_comes_back(void **state)
{
	struct side *a = open_side();
	struct side *b = open_side();
	char reason[256] = "";
	uint64_t begin;

	connect_to(a, 0, b->listen);
	pump_until(a, b, 1);
	for (int round = 0; round < 3; round++)
	{
		dyn_transport_close(&b->transport);
		begin = dyn_clock_ms(CLOCK_MONOTONIC);
		pump_until(a, NULL, 2 + 2 * round);
		assert_int_equal(last(a)->type, DYN_EVENT_PEER_DOWN);
		assert_true(dyn_clock_ms(CLOCK_MONOTONIC) - begin < 1000);
		send_to(a, 0, DYN_PLANE_DATA, "for nobody");
		assert_int_equal(dropped(a), round + 1);
		b->transport =
			dyn_transport_open(b->listen, record, b, reason, sizeof(reason));
		if (b->transport == NULL)
			fail_msg("%s", reason);
		pump_until(a, b, 3 + 2 * round);
		assert_int_equal(last(a)->type, DYN_EVENT_PEER_UP);
	}
	/* Nothing that was said meanwhile arrives now. */
	pump(a, b, 300);
	assert_int_equal(b->count, 0);
	send_to(a, 0, DYN_PLANE_DATA, "for you");
	pump_until(b, a, 1);
	assert_frame(last(b), DYN_SOURCE_NODE, "for you");
	close_side(a);
	close_side(b);
}

/* A stranger that has ROUTERs where a node has its data and control. */
static void *
bind_stranger(void *zmq, int port)
{
	void *socket = zmq_socket(zmq, ZMQ_ROUTER);
	char endpoint[64];
	int zero = 0;

	zmq_setsockopt(socket, ZMQ_LINGER, &zero, sizeof(zero));
	snprintf(endpoint, sizeof(endpoint), "tcp://127.0.0.1:%d", port);
	assert_int_equal(zmq_bind(socket, endpoint), 0);
	return socket;
}

static void
a_peer_with_one_plane_is_down(void **state)
{
	struct side *a = open_side();
	struct side *place = open_side(); /* three ports that are free */
	void *zmq = zmq_ctx_new();
	void *planes[2];

	dyn_transport_close(&place->transport);
	for (int lost = 0; lost < 2; lost++)
	{
		int count = a->count;

		planes[0] = bind_stranger(zmq, place->port + 1);
		if (lost == 0)
		{
			connect_to(a, 0, place->listen);
			pump(a, NULL, 500);
			assert_int_equal(a->count, 0); /* half of it is not up */
		}
		planes[1] = bind_stranger(zmq, place->port + 2);
		pump_until(a, NULL, count + 1);
		assert_int_equal(last(a)->type, DYN_EVENT_PEER_UP);
		zmq_close(planes[lost]);
		pump_until(a, NULL, count + 2);
		assert_int_equal(last(a)->type, DYN_EVENT_PEER_DOWN);
		zmq_close(planes[1 - lost]);
		pump(a, NULL, 300);
		assert_int_equal(a->count, count + 2); /* told once */
	}
	zmq_ctx_term(zmq);
	close_side(a);
	free(place);
}

/* Which has its sockets open, but does not move: as a machine that hangs. */
static void
a_peer_that_hangs_is_down_after_a_few_heartbeats(void **state)
{
	struct side *a;
	struct side *b = NULL;
	int told[2];
	int port = 0;
	char address[64];
	pid_t pid;
	uint64_t begin;
	uint64_t took;

	assert_int_equal(pipe(told), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
	{
		alarm(60);
		b = open_side();
		if (write(told[1], &b->port, sizeof(b->port)) < 0)
			_exit(1);
		for (;;)
			turn(b, 1000);
	}
	assert_int_equal(read(told[0], &port, sizeof(port)), sizeof(port));
	snprintf(address, sizeof(address), "127.0.0.1:%d", port);
	a = open_side();
	connect_to(a, 0, address);
	pump_until(a, NULL, 1);
	assert_int_equal(last(a)->type, DYN_EVENT_PEER_UP);
	kill(pid, SIGSTOP);
	begin = dyn_clock_ms(CLOCK_MONOTONIC);
	for (int wait = 0; wait < 100 && a->count < 2; wait++)
		turn(a, 100);
	took = dyn_clock_ms(CLOCK_MONOTONIC) - begin;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(told[0]);
	close(told[1]);
	assert_true(a->count >= 2);
	assert_int_equal(a->events[1].type, DYN_EVENT_PEER_DOWN);
	assert_true(took < 7000);
	close_side(a);
}

static void
a_listener_that_says_nothing_is_never_up(void **state)
{
	struct side *a = open_side();
	struct side *place = open_side();
	int sockets[2];
	int one = 1;

	dyn_transport_close(&place->transport);
	for (int i = 0; i < 2; i++)
	{
		struct sockaddr_in address = { .sin_family = AF_INET };

		address.sin_port = htons((uint16_t) (place->port + 1 + i));
		address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		sockets[i] = socket(AF_INET, SOCK_STREAM, 0);
		setsockopt(sockets[i], SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		assert_int_equal(
			bind(sockets[i], (struct sockaddr *) &address, sizeof(address)), 0);
		assert_int_equal(listen(sockets[i], 5), 0);
	}
	connect_to(a, 0, place->listen);
	pump(a, NULL, 700);
	assert_int_equal(a->count, 0);
	send_to(a, 0, DYN_PLANE_DATA, "x");
	assert_int_equal(dropped(a), 1);
	close(sockets[0]);
	close(sockets[1]);
	close_side(a);
	free(place);
}

static void
peers_that_make_no_sense_are_left_alone(void **state)
{
	struct side *a = open_side();
	struct side *b = open_side();
	char long_name[400];

	memset(long_name, 'x', sizeof(long_name));
	memcpy(long_name + sizeof(long_name) - 6, ":7001", 6);
	connect_to(a, 0, "nonsense");
	connect_to(a, 1, "");
	connect_to(a, 2, long_name);
	for (uint32_t index = 0; index < 5; index++)
		send_to(a, index, DYN_PLANE_CONTROL, "x");
	assert_int_equal(dropped(a), 5);
	connect_to(a, 0, b->listen); /* the first of its index that is one */
	connect_to(a, 0, "127.0.0.1:1");
	pump_until(a, b, 1);
	assert_int_equal(last(a)->type, DYN_EVENT_PEER_UP);
	close_side(a);
	close_side(b);
}

static void
many_peers_are_told_apart(void **state)
{
	struct side *a = open_side();
	struct side *others[6];
	char text[16];

	for (int i = 0; i < 6; i++)
	{
		others[i] = open_side();
		others[i]->echoes = true;
		connect_to(a, (uint32_t) i, others[i]->listen);
	}
	pump_until(a, NULL, 6);
	for (int i = 0; i < 6; i++)
	{
		snprintf(text, sizeof(text), "to %d", i);
		send_to(a, (uint32_t) i, i % 2 ? DYN_PLANE_DATA : DYN_PLANE_CONTROL,
				text);
		pump_until(a, others[i], 7 + i);
		assert_frame(last(a), DYN_SOURCE_PEER, text);
		assert_int_equal(last(a)->peer_index, i);
	}
	close_side(a);
	for (int i = 0; i < 6; i++)
		close_side(others[i]);
}

/* ---- turns ---- */

static void
control_comes_before_data_and_data_before_clients(void **state)
{
	struct side *side = open_side();
	struct client clients[3];
	static const char *const texts[] = { "client", "data", "control" };

	for (int plane = 0; plane < 3; plane++)
	{
		clients[plane] = open_client(side, plane, NULL);
		say(&clients[plane], texts[plane]);
	}
	usleep(500 * 1000); /* all of them lie there */
	for (int i = 0; i < 100 && side->count < 3; i++)
		turn(side, 10);
	assert_string_equal(side->events[0].text, "control");
	assert_string_equal(side->events[1].text, "data");
	assert_string_equal(side->events[2].text, "client");
	for (int plane = 0; plane < 3; plane++)
		close_client(&clients[plane]);
	close_side(side);
}

static void
a_turn_is_bounded_and_the_rest_is_not_forgotten(void **state)
{
	struct side *side = open_side();
	struct client client = open_client(side, 0, NULL);
	struct client control = open_client(side, 2, NULL);
	int turns = 0;
	bool urgent = false;

	for (int i = 0; i < 1000; i++)
		say(&client, "many");
	usleep(500 * 1000);
	while (side->count < 1000 && turns++ < 2000)
	{
		int before = side->count;

		turn(side, 100);
		assert_true(side->count - before <= 128);
	}
	assert_int_equal(side->count, 1000);
	/* Between two turns of a flood, control gets its turn. */
	for (int i = 0; i < 1000; i++)
		say(&client, "flood");
	usleep(300 * 1000);
	turn(side, 100);
	say(&control, "urgent");
	usleep(300 * 1000);
	turn(side, 100);
	assert_true(side->count < 2001);
	for (int i = 1000; i < side->count; i++)
		urgent |= strcmp(side->events[i].text, "urgent") == 0;
	assert_true(urgent);
	pump_until(side, NULL, 2001);
	close_client(&client);
	close_client(&control);
	close_side(side);
}

static void
waiting_ends_for_other_descriptors_and_in_time(void **state)
{
	struct side *side = open_side();
	uint64_t begin = dyn_clock_ms(CLOCK_MONOTONIC);
	int ends[2];
	int descriptors[2] = { -1, -1 };

	turn(side, 0);
	dyn_transport_wait(side->transport, descriptors, 2, 200);
	assert_true(dyn_clock_ms(CLOCK_MONOTONIC) - begin >= 190 &&
				dyn_clock_ms(CLOCK_MONOTONIC) - begin < 2000);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
	descriptors[1] = ends[0];
	begin = dyn_clock_ms(CLOCK_MONOTONIC);
	dyn_transport_wait(side->transport, descriptors, 2, 5000);
	assert_true(dyn_clock_ms(CLOCK_MONOTONIC) - begin < 1000);
	close(ends[0]);
	close(ends[1]);
	close_side(side);
}

/*
 * A socket's descriptor signals once for what comes; who misses that waits
 * for ever.  So each side waits with no end but the test's, and a lost edge
 * shows as a wait that was too long.
 */
static void
no_signal_is_lost_in_many_exchanges(void **state)
{
	struct side *a = open_side();
	struct side *b = open_side();
	int expected = 1;

	b->echoes = true;
	connect_to(a, 0, b->listen);
	pump_until(a, b, 1);
	pump(a, b, 50);
	for (int round = 0; round < 3000; round++)
	{
		int burst = 1 + round * 7 % 5;
		uint64_t begin = dyn_clock_ms(CLOCK_MONOTONIC);

		for (int i = 0; i < burst; i++)
			send_to(a, 0, (round + i) % 3 ? DYN_PLANE_DATA : DYN_PLANE_CONTROL,
					"ping");
		expected += burst;
		while (a->count < expected &&
			   dyn_clock_ms(CLOCK_MONOTONIC) - begin < 4000)
		{
			if (b->count < expected - 1)
				turn(b, 2000);
			else
				turn(a, 2000);
		}
		assert_int_equal(a->count, expected);
		assert_true(dyn_clock_ms(CLOCK_MONOTONIC) - begin < 2000);
	}
	assert_int_equal(dropped(a) + dropped(b), 0);
	close_side(a);
	close_side(b);
}

/* ---- opening and closing ---- */

static void
a_port_in_use_is_told_and_the_others_are_given_back(void **state)
{
	struct side *side = open_side();
	struct side *other = calloc(1, sizeof(*other));
	char text[64];
	char reason[256] = "";
	char port[16];

	/* Its third port is the first of the one that is open. */
	snprintf(text, sizeof(text), "127.0.0.1:%d", side->port - 2);
	other->transport =
		dyn_transport_open(text, record, other, reason, sizeof(reason));
	assert_null(other->transport);
	snprintf(port, sizeof(port), ":%d", side->port);
	assert_non_null(strstr(reason, port));
	assert_non_null(strstr(reason, "in use"));
	close_side(side);
	other->transport =
		dyn_transport_open(text, record, other, reason, sizeof(reason));
	if (other->transport == NULL)
		fail_msg("%s", reason);
	close_side(other);
}

static void
what_is_no_address_is_told(void **state)
{
	char reason[256] = "";

	assert_null(
		dyn_transport_open("nowhere", record, NULL, reason, sizeof(reason)));
	assert_non_null(strstr(reason, "\"nowhere\""));
	assert_null(dyn_transport_open("192.0.2.1:7001", record, NULL, reason,
								   sizeof(reason)));
	assert_non_null(strstr(reason, "192.0.2.1:7001"));
}

static int
count_descriptors(void)
{
	DIR *open = opendir("/proc/self/fd");
	int count = 0;

	assert_non_null(open);
	while (readdir(open) != NULL)
		count++;
	closedir(open);
	return count;
}

static void
closing_gives_every_descriptor_back(void **state)
{
	int before = count_descriptors();

	for (int round = 0; round < 5; round++)
	{
		struct side *a = open_side();
		struct side *b = open_side();

		connect_to(a, 0, b->listen);
		connect_to(a, 1, "127.0.0.1:9");
		connect_to(b, 0, a->listen);
		if (round % 2)
			pump_until(a, b, 1);
		send_to(a, 0, DYN_PLANE_DATA, "never read");
		close_side(a);
		close_side(b);
	}
	assert_int_equal(count_descriptors(), before);
}

/* ---- noise ---- */

static void
pour(int port, const void *bytes, size_t size)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	int socket_fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_port = htons((uint16_t) port);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(
		connect(socket_fd, (struct sockaddr *) &address, sizeof(address)), 0);
	send(socket_fd, bytes, size, MSG_NOSIGNAL);
	close(socket_fd);
}

static void
noise_on_all_ports_is_not_delivered(void **state)
{
	/* A greeting of ZMTP 3.0 with NULL, then frames that are none. */
	uint8_t greeting[64 + 512] = { 0xff, 0,    0, 0, 0,   0,   0,   0,
								   0,    0x7f, 3, 0, 'N', 'U', 'L', 'L' };
	struct side *side = open_side();
	uint32_t random = 1;

	for (int round = 0; round < 200; round++)
	{
		uint8_t noise[512];

		for (size_t i = 0; i < sizeof(noise); i++)
		{
			random = random * 1664525 + 1013904223;
			noise[i] = (uint8_t) (random >> 24);
		}
		memcpy(greeting + 64, noise, sizeof(noise));
		for (int plane = 0; plane < 3; plane++)
		{
			pour(side->port + plane, "GET / HTTP/1.1\r\n\r\n", 18);
			pour(side->port + plane, noise, 1 + random % sizeof(noise));
			pour(side->port + plane, greeting, 1 + random % sizeof(greeting));
		}
		turn(side, 0);
	}
	pump(side, NULL, 300);
	assert_int_equal(side->count, 0);
	assert_alive(side);
	close_side(side);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		/* First, for it forks. */
		cmocka_unit_test(a_peer_that_hangs_is_down_after_a_few_heartbeats),
		cmocka_unit_test(a_client_is_answered_by_its_route),
		cmocka_unit_test(only_the_first_port_is_for_clients),
		cmocka_unit_test(an_empty_frame_is_a_frame),
		cmocka_unit_test(frames_of_several_parts_are_dropped_and_counted),
		cmocka_unit_test(who_names_himself_is_not_listened_to),
		cmocka_unit_test(replies_to_nobody_are_dropped_and_counted),
		cmocka_unit_test(a_reply_to_a_client_that_left_does_not_wait),
		cmocka_unit_test(a_client_that_does_not_read_holds_nobody_up),
		cmocka_unit_test(a_frame_over_the_limit_ends_its_connection_alone),
		cmocka_unit_test(
			a_peer_is_up_when_both_planes_stand_and_answers_by_index),
		cmocka_unit_test(a_peer_that_stops_is_down_and_comes_back),
		cmocka_unit_test(a_peer_with_one_plane_is_down),
		cmocka_unit_test(a_listener_that_says_nothing_is_never_up),
		cmocka_unit_test(peers_that_make_no_sense_are_left_alone),
		cmocka_unit_test(many_peers_are_told_apart),
		cmocka_unit_test(control_comes_before_data_and_data_before_clients),
		cmocka_unit_test(a_turn_is_bounded_and_the_rest_is_not_forgotten),
		cmocka_unit_test(waiting_ends_for_other_descriptors_and_in_time),
		cmocka_unit_test(no_signal_is_lost_in_many_exchanges),
		cmocka_unit_test(a_port_in_use_is_told_and_the_others_are_given_back),
		cmocka_unit_test(what_is_no_address_is_told),
		cmocka_unit_test(closing_gives_every_descriptor_back),
		cmocka_unit_test(noise_on_all_ports_is_not_delivered),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("transport", tests, NULL, NULL);
}
