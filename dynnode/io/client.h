/*-------------------------------------------------------------------------
 *
 * client.h
 *      A patient client of one node: ask, wait, take the answer.
 *
 * For dynctl and tests; the extension has a client of its own (fdw/).
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_IO_CLIENT_H
#define DYN_IO_CLIENT_H

#include "model/arena.h"
#include "model/message.h"
#include "model/ring.h"

struct dyn_client;

/* Does not wait for the connection. NULL: not host:port, or no descriptors. */
struct dyn_client *dyn_client_open(const char *address);
void dyn_client_close(struct dyn_client **self);
const char *dyn_client_address(const struct dyn_client *self);

/*
 * Send body as a message of this type and wait for the answer, which lives in
 * the arena.  Anything but the expected reply is an error: its status comes
 * back and *text (in the arena) says why.  TIMEOUT when nothing came.
 */
enum dyn_status dyn_client_ask(struct dyn_client *self, uint32_t timeout_ms,
							   enum dyn_message_type type,
							   const ProtobufCMessage *body,
							   enum dyn_message_type reply_type,
							   struct dyn_arena *arena, void **reply,
							   const char **text);

#endif
