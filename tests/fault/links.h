/*-------------------------------------------------------------------------
 *
 * links.h
 *      The load generator's connections: one to each node, frames both ways.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_FAULT_LINKS_H
#define DYN_TESTS_FAULT_LINKS_H

#include "model/arena.h"
#include "model/message.h"
#include "model/ring.h"

enum
{
	DYN_LINKS_MAX = 16
};

struct dyn_links
{
	void *zmq;
	void *sockets[DYN_LINKS_MAX];
	char addresses[DYN_LINKS_MAX][DYN_ADDRESS_SIZE_MAX + 1];
	uint32_t count;
	struct dyn_arena arena; /* of the frame at hand */
};

/* host:port,host:port,...; false when that is no such list. */
bool dyn_links_open(struct dyn_links *self, const char *addresses);
void dyn_links_close(struct dyn_links *self);

/* Index of the node with this address, -1 when there is none. */
int dyn_links_find(const struct dyn_links *self, const char *address);

/* False when nothing can have left: there is no connection. */
bool dyn_links_send(struct dyn_links *self, uint32_t node,
					enum dyn_message_type type, uint64_t correlation,
					uint32_t remaining_ms, const ProtobufCMessage *body);

/* How many slots answered by their owners, not by stand-ins; a missing
 * receipt tells of none. */
unsigned dyn_links_owners(const Dyn__Receipt *receipt);

typedef void (*dyn_links_take)(void *context, uint32_t node,
							   const struct dyn_envelope *env,
							   const ProtobufCMessage *body);

/* Wait, also for input on `descriptor` (-1 = none), and hand over what has
 * come. True when there is input. */
bool dyn_links_wait(struct dyn_links *self, long wait_ms, int descriptor,
					dyn_links_take take, void *context);

#endif
