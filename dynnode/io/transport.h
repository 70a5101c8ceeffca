/*-------------------------------------------------------------------------
 *
 * transport.h
 *      Frames between nodes and clients, over ZeroMQ.
 *
 *     port P      ROUTER  clients          frames become SOURCE_CLIENT events
 *     port P + 1  ROUTER  replica data     SOURCE_NODE
 *     port P + 2  ROUTER  control          SOURCE_NODE; drained first
 *
 * Each peer has two DEALERs, one to its data and one to its control socket,
 * so that a large transfer never delays a heartbeat.  A peer is up while both
 * stand.  One frame is one ZeroMQ message of one part; others are dropped and
 * counted.
 *
 * A route is the place a frame came from: the socket and the identity that
 * ZeroMQ gave the connection.  Replies to connections that are gone are
 * dropped.  Sending never waits: what does not fit under the high-water mark
 * is dropped and counted, like any frame that a network may lose.  Clients that
 * send faster than we read are held back by TCP.
 *
 * One thread uses a transport.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_IO_TRANSPORT_H
#define DYN_IO_TRANSPORT_H

#include "core/effect.h"
#include "core/event.h"

struct dyn_transport;

struct dyn_transport_counters
{
	uint64_t frames_in;
	uint64_t frames_out;
	uint64_t malformed; /* more than one part, or an identity of its own */
	uint64_t dropped;   /* no room, or nobody there */
};

/* event->type is MESSAGE, PEER_UP or PEER_DOWN; lives until it returns. */
typedef void (*dyn_transport_deliver)(void *context,
									  const struct dyn_event *event);

/*
 * Bind host:port and the two ports above it.  NULL and one line for people in
 * *reason when that fails (address in use, ...).
 */
struct dyn_transport *dyn_transport_open(const char *listen,
										 dyn_transport_deliver deliver,
										 void *context, char *reason,
										 size_t reason_size);
void dyn_transport_close(struct dyn_transport **self);

/* A CONNECT, SEND or REPLY effect. */
void dyn_transport_perform(struct dyn_transport *self,
						   const struct dyn_effect *effect);

/*
 * Wait up to timeout_ms (-1 = for ever) until a socket, or one of the other
 * descriptors, has something to read.  False on a signal.
 */
bool dyn_transport_wait(struct dyn_transport *self, const int *descriptors,
						int descriptor_count, long timeout_ms);

/* Deliver what has arrived, a bounded number of frames from each socket. */
void dyn_transport_drain(struct dyn_transport *self);

const struct dyn_transport_counters *
dyn_transport_counters(const struct dyn_transport *self);

#endif
