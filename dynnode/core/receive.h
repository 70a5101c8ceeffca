/*-------------------------------------------------------------------------
 *
 * receive.h
 *      A frame came: who takes it, or why nobody does.
 *
 * Each kind of socket carries some types of messages only: clients ask, nodes
 * bring objects and compare what they hold, and answers come on the connection
 * that asked.  Frames of another cluster are refused with WRONG_CLUSTER, of
 * another version with VERSION, what may not come this way with NOT_AUTH; what
 * cannot be read is dropped.  All of it is counted.
 *
 * Adding a type of message: messages.proto, then the switches here.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_RECEIVE_H
#define DYN_CORE_RECEIVE_H

#include "core/event.h"
#include "core/state.h"

/* A MESSAGE event. */
void dyn_receive_message(struct dyn_node *node, const struct dyn_event *event);

#endif
