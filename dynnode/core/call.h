/*-------------------------------------------------------------------------
 *
 * call.h
 *      Frames sent to peers that somebody awaits an answer to.
 *
 * A call ends with the peer's answer, with the loss of the peer, or when the
 * time is up; whoever waits for one of its items learns it once.  An answer
 * from another peer than the one asked is dropped and counted.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_CALL_H
#define DYN_CORE_CALL_H

#include "core/state.h"
#include "model/message.h"

/* Who waits: the operation `op` of a request, for the word of `slot`. */
struct dyn_call_item
{
	uint64_t serial;
	uint32_t op;
	uint8_t slot;
	bool fallback; /* asked to stand in for the slot's owner */
	uint64_t deadline_ms;
};

struct dyn_call;

/*
 * What is asked, and who hears of it: a constant of the module that asks.  Who
 * waits may have ended, and is then told nothing.
 */
struct dyn_call_kind
{
	enum dyn_message_type type;
	enum dyn_message_type reply_type;
	/* Is it an answer item for item, in statuses that are known?  NULL: who
	 * hears it finds out. */
	bool (*fits)(const ProtobufCMessage *body, uint32_t item_count);
	void (*answer)(struct dyn_node *node, const struct dyn_call *call,
				   const ProtobufCMessage *body);
	/* status OK: nothing is known; else the peer refused the whole frame. */
	void (*lose)(struct dyn_node *node, const struct dyn_call_item *item,
				 enum dyn_status status);
};

/* Whose items are operations of requests (struct dyn_request_kind). */
extern const struct dyn_call_kind dyn_read_call;
extern const struct dyn_call_kind dyn_replicate_call;
extern const struct dyn_call_kind dyn_put_call;

struct dyn_call
{
	UT_hash_handle hh;
	uint64_t correlation;
	uint32_t peer_index;
	const struct dyn_call_kind *kind;
	uint64_t sent_at_ms;
	struct dyn_timer timer;
	struct dyn_call_item *items;
	uint32_t item_count;
	uint32_t item_capacity;
};

/* A new call without items, not yet awaited. */
struct dyn_call *dyn_call_new(struct dyn_node *node, uint32_t peer_index,
							  const struct dyn_call_kind *kind);
void dyn_call_add(struct dyn_call *self, const struct dyn_call_item *item);

/* Its frame has left: await the answer. */
void dyn_call_await(struct dyn_node *node, struct dyn_call *self);

/* An answer of a peer: the reply to what it was sent, or ERROR. */
void dyn_call_answer(struct dyn_node *node, uint32_t peer_index,
					 const struct dyn_envelope *env,
					 const ProtobufCMessage *body);

/* Nothing sent to this peer will be answered any more. */
void dyn_call_lose_peer(struct dyn_node *node, uint32_t peer_index);
void dyn_call_tick(struct dyn_node *node);
void dyn_call_destroy_all(struct dyn_node *node);

#endif
