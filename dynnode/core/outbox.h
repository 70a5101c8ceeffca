/*-------------------------------------------------------------------------
 *
 * outbox.h
 *      Frames that leave: single ones at once, operations in batches.
 *
 * Operations for one peer that arise in one step leave in one frame, with one
 * call (call.h) that knows whom each answer belongs to.  The slices handed in
 * must live until the step ends.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_OUTBOX_H
#define DYN_CORE_OUTBOX_H

#include "core/call.h"
#include "core/state.h"
#include "model/message.h"

void dyn_outbox_send(struct dyn_node *node, uint32_t peer_index,
					 enum dyn_message_type type, uint64_t correlation,
					 uint32_t remaining_ms, const ProtobufCMessage *body);
/* False when the answer is too large for a frame. */
bool dyn_outbox_reply(struct dyn_node *node, uint64_t route,
					  enum dyn_message_type type, uint64_t correlation,
					  const ProtobufCMessage *body);
void dyn_outbox_error(struct dyn_node *node, uint64_t route,
					  uint64_t correlation, enum dyn_status status,
					  const char *text);

/* replaced: other requests to be remembered with it, which live as long as the
 * step.  The whole object; item NULL = a repair, whose answer nobody awaits.
 * item->fallback = to be kept for item->slot, whose owner is away. */
void dyn_outbox_replicate(struct dyn_node *node, uint32_t peer_index,
						  struct dyn_slice bucket, struct dyn_slice key,
						  struct dyn_slice object, uint64_t fence,
						  const struct dyn_request_id *request_id,
						  const struct dyn_request_id *replaced,
						  uint32_t replaced_count,
						  const struct dyn_call_item *item);

/* item->fallback = what is held there for other owners. */
void dyn_outbox_read(struct dyn_node *node, uint32_t peer_index,
					 struct dyn_slice bucket, struct dyn_slice key,
					 const struct dyn_request_id *request_id, uint64_t mark,
					 const struct dyn_call_item *item);
/* The same, with a bound for the objects of one answer: those behind the first
 * one that go beyond it are TOO_LARGE. */
void dyn_outbox_read_some(struct dyn_node *node, uint32_t peer_index,
						  struct dyn_slice bucket, struct dyn_slice key,
						  uint32_t bytes_max, const struct dyn_call_item *item);
/* item->fallback = to a fallback, as no owner can be reached.  act_until_ms: by
 * this node's time. */
void dyn_outbox_forward(struct dyn_node *node, uint32_t peer_index,
						struct dyn_slice bucket, uint32_t w,
						uint64_t act_until_ms, const Dyn__PutOp *op,
						const struct dyn_call_item *item);

/* The end of a step: everything gathered becomes frames. */
void dyn_outbox_flush(struct dyn_node *node);

#endif
