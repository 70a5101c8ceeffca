/*-------------------------------------------------------------------------
 *
 * simrequest.h
 *      A client's frames: what was sent, to whom, and what became of it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_SIMREQUEST_H
#define DYN_TESTS_SIMREQUEST_H

#include "tests/sim/simclient.h"

enum
{
	DYN_SIM_ATTEMPTS = 512,
	DYN_SIM_BATCH_MAX = 16,
	DYN_SIM_OPERATOR = DYN_SIM_CLIENTS_MAX - 1 /* the client of simsync.c */
};

/* One frame that awaits an answer. */
struct dyn_attempt
{
	uint64_t correlation; /* 0 = free */
	enum dyn_message_type type;
	uint32_t node;
	uint32_t remaining_ms;
	uint32_t writes[DYN_SIM_BATCH_MAX]; /* operations, for a PUT */
	uint32_t write_count;
	uint64_t delivered_ms; /* 0 = not yet */
	uint32_t delivered_life;
	bool answered;  /* a REPLY left the node */
	bool heard;     /* ... and arrived */
	bool cancelled; /* no answer is owed */
};

struct dyn_attempts
{
	struct dyn_attempt items[DYN_SIM_ATTEMPTS]; /* a ring */
	uint32_t next;
	uint64_t sequence;
};

struct dyn_attempt *dyn_attempts_find(struct dyn_attempts *self,
									  uint64_t correlation);

/* Pack and send; the attempt is remembered. */
struct dyn_attempt *dyn_sim_send(struct dyn_world *world, uint32_t client,
								 struct dyn_attempts *attempts, uint32_t node,
								 enum dyn_message_type type,
								 const ProtobufCMessage *body,
								 uint32_t remaining_ms);

/* A PUT: the writes stand in the attempt before the frame leaves. */
struct dyn_attempt *dyn_sim_send_writes(
	struct dyn_world *world, uint32_t client, struct dyn_attempts *attempts,
	uint32_t node, enum dyn_message_type type, const ProtobufCMessage *body,
	uint32_t remaining_ms, const uint32_t *writes, uint32_t write_count);

/* Was an answer owed and never given?  (C11) */
void dyn_sim_check_answered(struct dyn_world *world,
							const struct dyn_attempt *attempt);
void dyn_sim_check_all_answered(struct dyn_world *world,
								const struct dyn_attempts *attempts);

/* ---- writes ---- */

/* A new write, in the history too; context encoded, copied. */
uint32_t dyn_sim_new_write(struct dyn_world *world, uint32_t client,
						   uint32_t key, enum dyn_history_mode mode,
						   uint32_t value_count, struct dyn_slice context,
						   const struct dyn_vids *seen, uint8_t w);

/* Until when it may act, by the clock of the node that is asked. */
struct dyn_sim_bound
{
	uint64_t process;
	uint64_t act_until_ms;
};

/* Send these writes in one PUT; bound: or NULL. */
struct dyn_attempt *dyn_sim_send_put(struct dyn_world *world, uint32_t client,
									 struct dyn_attempts *attempts,
									 uint32_t node, const uint32_t *ops,
									 uint32_t count, uint32_t remaining_ms,
									 const struct dyn_sim_bound *bound);

/* A node's word on one write of an attempt. */
void dyn_sim_write_answer(struct dyn_world *world, uint32_t op,
						  enum dyn_status status);

/* No more attempts for now: UNKNOWN or a definite no, unless it is OK. */
void dyn_sim_write_rest(struct dyn_world *world, uint32_t op);

/* The end of the run: which writes may rightly stand twice? */
void dyn_sim_judge_repeats(struct dyn_world *world);

#endif
