/*-------------------------------------------------------------------------
 *
 * simext.h
 *      Clients that do what the extension does, with its waits and its order.
 *
 * As fdw/client_put*.c: a write goes to the first owner of its key that can be
 * reached and was not silent of late.  Who refuses it for a reason of his own,
 * is lost, or is silent for SILENT_MS, is followed by the next one; when he may
 * have applied it, all later attempts are marked `retry`.  Once, when all
 * owners are away, a node that owns nothing of the key is asked to hand it on.
 * What was given up is not listened to any more.
 *
 * Each attempt says until when it may act, by the receiver's clock: as that was
 * told last, plus what has passed here since, less a thousandth of it.  So what
 * such a client has written is judged exactly (checker.h), but where clocks run
 * at other speeds than that thousandth allows, or the network doubles a frame.
 *
 * Reads ask R owners directly, then coordinators (fdw/client_get.c).  And they
 * come back at once to delete or to update what they have just written, having
 * read it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_SIMEXT_H
#define DYN_TESTS_SIMEXT_H

#include "tests/sim/simclient_state.h"

/* Of some of the clients, as the seed has it. */
void dyn_simext_init(struct dyn_world *world, struct dyn_simclient *self);

/* Something new is begun; true when there was something to do beside what
 * other clients do. */
bool dyn_simext_begin(struct dyn_world *world, struct dyn_simclient *self);

/* ---- writes: the action holds the operations ---- */
void dyn_simext_put(struct dyn_world *world, struct dyn_simclient *self);
/* The timer of the action. */
void dyn_simext_put_go(struct dyn_world *world, struct dyn_simclient *self);
void dyn_simext_put_take(struct dyn_world *world, struct dyn_simclient *self,
						 const struct dyn_attempt *attempt,
						 const struct dyn_envelope *env,
						 const ProtobufCMessage *body);
/* The client is no more. */
void dyn_simext_put_leave(struct dyn_world *world, struct dyn_simclient *self);
/* The connection broke. */
void dyn_simext_put_lost(struct dyn_world *world, struct dyn_simclient *self,
						 uint32_t node);

/* ---- reads ---- */
enum
{
	DYN_SIMEXT_HEDGE_MS = 100,
	DYN_SIMEXT_COORDINATOR_MS = 300
};

/* R owners of the partition, in the action. */
bool dyn_simext_owners(struct dyn_world *world, struct dyn_simclient *self,
					   uint16_t partition);
/* Those who owe an answer to the action were silent. */
void dyn_simext_note_silence(struct dyn_world *world,
							 struct dyn_simclient *self);
uint32_t dyn_simext_coordinator(struct dyn_world *world,
								struct dyn_simclient *self);

/* ---- nodes ---- */

/* Its connections are gone. */
void dyn_simext_forget(struct dyn_simclient *self);

/* HELLO to whom there is no connection. */
void dyn_simext_greet(struct dyn_world *world, struct dyn_simclient *self);
/* An answer has come: it is there, and perhaps told its clock. */
void dyn_simext_hear(struct dyn_world *world, struct dyn_simclient *self,
					 uint32_t node, const struct dyn_envelope *env,
					 const ProtobufCMessage *body);
bool dyn_simext_is_suspect(const struct dyn_world *world,
						   const struct dyn_simclient *self, uint32_t node);

/* Until when, by the node's clock, that is `at_ms` here. */
uint64_t dyn_simext_clock_at(const struct dyn_world *world,
							 const struct dyn_simclient *self, uint32_t node,
							 uint64_t at_ms);

/* The node that owns this slot of a partition. */
uint32_t dyn_simext_owner(const struct dyn_world *world,
						  const struct dyn_simclient *self, uint16_t partition,
						  uint8_t slot);

#endif
