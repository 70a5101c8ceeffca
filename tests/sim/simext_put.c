/*
 * Writes as fdw/client_put*.c sends them.
 */
#include "tests/sim/simext.h"

#include "model/hash.h"
#include "tests/sim/simnet.h"
#include "tests/sim/whitebox.h"

#include <string.h>

enum
{
	SILENT_MS = 1500,
	SUSPECT_MS = 5000,
	FEW_OPS = 8, /* the extension's 16, as batches are small here */
	PAUSE_MS_MIN = 4,
	PAUSE_MS_MAX = 256,
	STUCK_MS = 1000,
	LATE_MAX = 4,     /* then another node is tried */
	OWNERS_TRIED = 3, /* even if each takes its time */
	ROUND_PAUSE_MS = 100,
	ROUNDS_MAX = 8,
	OP_LIMIT_MS = DYN_OP_LIMIT_MS
};

static uint64_t
least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* ------------------------------------------------------------- whom to ask */

static bool
is_usable(const struct dyn_simclient *self, uint32_t node)
{
	return self->nodes[node].is_up;
}

/* Silent, or it takes nothing any more: others first.  What is checked goes to
 * whom others of its key go to, however busy that one is. */
static bool
comes_last(const struct dyn_world *world, const struct dyn_simclient *self,
		   uint32_t node, bool checked)
{
	uint64_t since_ms = self->nodes[node].refused_since_ms;

	return dyn_simext_is_suspect(world, self, node) ||
		   (!checked && since_ms != 0 && world->now_ms >= since_ms + STUCK_MS);
}

/* An owner not tried yet that can be reached: its node, or -1. */
static int
choose_owner(const struct dyn_world *world, const struct dyn_simclient *self,
			 struct dyn_simext_put *put, bool last)
{
	for (uint8_t slot = 0; slot < self->ring.replica_count; slot++)
	{
		uint32_t node = dyn_simext_owner(world, self, put->partition, slot);

		if ((put->tried >> slot & 1) != 0 || !is_usable(self, node) ||
			comes_last(world, self, node, put->checked) != last)
			continue;
		put->slot = (int8_t) slot;
		return (int) node;
	}
	return -1;
}

static bool
are_owners_away(const struct dyn_world *world, const struct dyn_simclient *self,
				const struct dyn_simext_put *put)
{
	for (uint8_t slot = 0; slot < self->ring.replica_count; slot++)
	{
		uint32_t node = dyn_simext_owner(world, self, put->partition, slot);

		if (is_usable(self, node) && !dyn_simext_is_suspect(world, self, node))
			return false;
	}
	return true;
}

/* Somebody who hands it on, or stands in; once, and only when nobody may have
 * the write. */
static int
choose_stand_in(struct dyn_world *world, const struct dyn_simclient *self,
				struct dyn_simext_put *put)
{
	uint32_t count = world->swarm.node_count;
	uint32_t first = put->checked ? put->partition : self->pid;

	if (put->tried != 0 || put->was_lost || put->handed_on ||
		!are_owners_away(world, self, put))
		return -1;
	for (uint32_t i = 0; i < count; i++)
	{
		uint32_t node = (i + first) % count;

		if (!is_usable(self, node) ||
			comes_last(world, self, node, put->checked))
			continue;
		put->slot = -1;
		dyn_world_fault(world, DYN_FAULT_handed_on);
		return (int) node;
	}
	return -1;
}

static int
choose_node(struct dyn_world *world, const struct dyn_simclient *self,
			struct dyn_simext_put *put)
{
	int node = choose_owner(world, self, put, false);

	if (node < 0)
		node = choose_stand_in(world, self, put);
	return node >= 0 ? node : choose_owner(world, self, put, true);
}

/* ----------------------------------------------------------------- outcomes */

static void
finish(struct dyn_world *world, struct dyn_simclient *self, uint32_t index)
{
	struct dyn_simext_put *put = &self->puts[index];

	if (put->done)
		return;
	put->done = true;
	dyn_sim_write_rest(world, self->action.ops[index]);
}

static void
refused(struct dyn_simext_put *put)
{
	put->queued = false;
	if (!put->was_lost)
		put->first_sent_ms = 0;
}

static void
try_next(struct dyn_simext_put *put, bool maybe_applied)
{
	put->was_retried |= maybe_applied && put->was_lost;
	put->was_lost |= maybe_applied;
	refused(put);
	put->late = 0;
	if (put->slot < 0)
		put->handed_on = true;
	else
		put->tried |= (uint8_t) (1 << put->slot);
}

/* It has no room now; others that it refuses at once wait with this one. */
static void
try_later(struct dyn_world *world, struct dyn_simclient *self, uint32_t node)
{
	struct dyn_simext_node *known = &self->nodes[node];

	if (known->refused_since_ms == 0)
		known->refused_since_ms = world->now_ms;
	known->pause_ms = known->pause_ms ? 2 * known->pause_ms : PAUSE_MS_MIN;
	if (known->pause_ms > PAUSE_MS_MAX)
		known->pause_ms = PAUSE_MS_MAX;
	known->not_before_ms = world->now_ms + known->pause_ms / 2 +
						   dyn_simrandom_below(&self->random, known->pause_ms);
}

static void
take_status(struct dyn_world *world, struct dyn_simclient *self, uint32_t node,
			uint32_t index, enum dyn_status status)
{
	struct dyn_simext_put *put = &self->puts[index];

	if (put->done)
		return;
	dyn_sim_write_answer(world, self->action.ops[index], status);
	if (status == DYN_STATUS_LATE)
	{
		/* Perhaps of a process that is no more: it tells its clock anew. */
		dyn_world_fault(world, DYN_FAULT_attempt_late);
		self->nodes[node].is_up = self->nodes[node].greeted = false;
	}
	if (status == DYN_STATUS_LATE && ++put->late < LATE_MAX)
		refused(put);
	else if (status == DYN_STATUS_OVERLOAD)
	{
		refused(put);
		try_later(world, self, node);
	}
	else if (dyn_status_is_of_node(status) || status == DYN_STATUS_UNKNOWN)
		try_next(put, status == DYN_STATUS_UNKNOWN);
	else
	{
		self->nodes[node].refused_since_ms = 0;
		self->nodes[node].pause_ms = 0;
		self->put_deadline_ms = world->now_ms + self->timeout_ms;
		finish(world, self, index);
	}
}

/* Nobody has answered, and nobody will be listened to. */
static void
give_up_frame(struct dyn_world *world, struct dyn_simclient *self,
			  struct dyn_simext_frame *frame)
{
	dyn_world_fault(world, DYN_FAULT_attempt_given_up);
	for (uint32_t i = 0; i < frame->count; i++)
		if (!self->puts[frame->indexes[i]].done)
			try_next(&self->puts[frame->indexes[i]], true);
	frame->correlation = 0;
}

static void
give_up_silent(struct dyn_world *world, struct dyn_simclient *self)
{
	for (uint32_t i = 0; i < DYN_SIM_BATCH_MAX; i++)
	{
		struct dyn_simext_frame *frame = &self->frames[i];

		if (frame->correlation == 0 || frame->give_up_ms > world->now_ms)
			continue;
		self->nodes[frame->node].suspect_until_ms = world->now_ms + SUSPECT_MS;
		give_up_frame(world, self, frame);
	}
}

void
dyn_simext_put_lost(struct dyn_world *world, struct dyn_simclient *self,
					uint32_t node)
{
	for (uint32_t i = 0; i < DYN_SIM_BATCH_MAX; i++)
		if (self->frames[i].correlation != 0 && self->frames[i].node == node)
			give_up_frame(world, self, &self->frames[i]);
	dyn_simext_put_go(world, self);
}

/* ------------------------------------------------------------------ sending */

static struct dyn_simext_frame *
free_frame(struct dyn_simclient *self)
{
	for (uint32_t i = 0; i < DYN_SIM_BATCH_MAX; i++)
		if (self->frames[i].correlation == 0)
			return &self->frames[i];
	return NULL;
}

/* How long a node may take: so long that there is time for another owner. */
static uint64_t
patience_ms(const struct dyn_simclient *self,
			const struct dyn_simext_frame *frame)
{
	uint64_t most_ms = OP_LIMIT_MS / OWNERS_TRIED;
	uint64_t few_ms = least(
		(uint64_t) SILENT_MS << self->puts[frame->indexes[0]].round, most_ms);
	uint64_t many_ms = least(self->timeout_ms / 2, most_ms);

	return frame->count > FEW_OPS && many_ms > few_ms ? many_ms : few_ms;
}

static uint64_t
give_up_at(const struct dyn_world *world, const struct dyn_simclient *self,
		   const struct dyn_simext_frame *frame)
{
	uint64_t until =
		least(self->put_deadline_ms, world->now_ms + patience_ms(self, frame));

	for (uint32_t i = 0; i < frame->count; i++)
	{
		uint64_t first_ms = self->puts[frame->indexes[i]].first_sent_ms;

		until =
			least(until, (first_ms ? first_ms : world->now_ms) + OP_LIMIT_MS);
	}
	return until;
}

static void
note_sent(struct dyn_world *world, struct dyn_simclient *self,
		  const struct dyn_simext_frame *frame, uint32_t index)
{
	struct dyn_simext_put *put = &self->puts[index];
	struct dyn_simwrite *write = &world->writes[self->action.ops[index]];

	put->queued = true;
	if (put->first_sent_ms == 0)
		put->first_sent_ms = world->now_ms;
	if (put->was_lost)
		dyn_world_fault(world, DYN_FAULT_attempt_marked);
	write->is_bounded = true;
	write->is_marked = put->was_lost;
	write->is_retried = put->was_retried;
	if (write->acts_until_ms[put->was_lost] < frame->give_up_ms)
		write->acts_until_ms[put->was_lost] = frame->give_up_ms;
}

static void
send_frame(struct dyn_world *world, struct dyn_simclient *self,
		   struct dyn_simext_frame *frame)
{
	uint32_t ops[DYN_SIM_BATCH_MAX];
	struct dyn_sim_bound bound = { .process =
									   self->nodes[frame->node].process };

	frame->give_up_ms = give_up_at(world, self, frame);
	bound.act_until_ms =
		dyn_simext_clock_at(world, self, frame->node, frame->give_up_ms);
	for (uint32_t i = 0; i < frame->count; i++)
	{
		note_sent(world, self, frame, frame->indexes[i]);
		ops[i] = self->action.ops[frame->indexes[i]];
	}
	frame->correlation =
		dyn_sim_send_put(
			world, self->index, &self->attempts, frame->node, ops, frame->count,
			(uint32_t) (self->put_deadline_ms - world->now_ms + 1), &bound)
			->correlation;
	if (!world->calm &&
		dyn_simrandom_chance(&self->random, world->swarm.sever_rate))
		dyn_simnet_sever(world, self->index, frame->node,
						 dyn_simrandom_below(&self->random, 200));
}

/* May it be sent to now?  Else it is looked at again at resume_at. */
static bool
is_ready(struct dyn_world *world, struct dyn_simclient *self, uint32_t node)
{
	uint64_t not_before_ms = self->nodes[node].not_before_ms;

	if (not_before_ms <= world->now_ms)
		return true;
	self->resume_at_ms = least(self->resume_at_ms, not_before_ms);
	return false;
}

static bool
is_over(const struct dyn_world *world, const struct dyn_simext_put *put)
{
	return put->first_sent_ms != 0 &&
		   world->now_ms + SILENT_MS > put->first_sent_ms + OP_LIMIT_MS;
}

/* Those that were told LATE have no connection until the node has said
 * WELCOME again: a moment. */
static bool
waits_for_clock(struct dyn_world *world, struct dyn_simclient *self,
				const struct dyn_simext_put *put)
{
	if (put->late == 0 || put->late >= LATE_MAX)
		return false;
	dyn_simext_greet(world, self);
	self->resume_at_ms = least(self->resume_at_ms, world->now_ms + 20);
	return true;
}

/* All owners were asked, and one of them may have done it: ask again, for as
 * long as there is time. */
static bool
begin_round(struct dyn_world *world, const struct dyn_simclient *self,
			struct dyn_simext_put *put)
{
	if (!put->was_lost || put->round == ROUNDS_MAX || is_over(world, put) ||
		self->put_deadline_ms < world->now_ms + SILENT_MS)
		return false;
	dyn_world_fault(world, DYN_FAULT_round_begun);
	put->round++;
	put->tried = 0;
	put->not_before_ms = world->now_ms + ROUND_PAUSE_MS;
	return true;
}

static bool
is_paused(const struct dyn_world *world, struct dyn_simclient *self,
		  const struct dyn_simext_put *put)
{
	if (put->not_before_ms <= world->now_ms)
		return false;
	self->resume_at_ms = least(self->resume_at_ms, put->not_before_ms);
	return true;
}

static void
send_some(struct dyn_world *world, struct dyn_simclient *self)
{
	struct dyn_simext_frame open[DYN_SIM_NODES_MAX];

	memset(open, 0, sizeof(open));
	self->resume_at_ms = UINT64_MAX;
	for (uint32_t i = 0; i < self->action.count; i++)
	{
		struct dyn_simext_put *put = &self->puts[i];
		int node;

		if (put->done || put->queued || is_paused(world, self, put))
			continue;
		node = is_over(world, put) ? -1 : choose_node(world, self, put);
		if (node < 0 && waits_for_clock(world, self, put))
			continue;
		if (node < 0 && begin_round(world, self, put))
			(void) is_paused(world, self, put);
		else if (node < 0)
			finish(world, self, i);
		else if (is_ready(world, self, (uint32_t) node))
			open[node].indexes[open[node].count++] = i;
	}
	for (uint32_t node = 0; node < world->swarm.node_count; node++)
	{
		struct dyn_simext_frame *frame = free_frame(self);

		if (open[node].count == 0 || frame == NULL)
			continue;
		*frame = open[node];
		frame->node = node;
		send_frame(world, self, frame);
	}
}

/* --------------------------------------------------------------------- life */

static bool
is_done(const struct dyn_simclient *self)
{
	for (uint32_t i = 0; i < self->action.count; i++)
		if (!self->puts[i].done)
			return false;
	return true;
}

static void
end(struct dyn_world *world, struct dyn_simclient *self)
{
	uint32_t key =
		self->action
			.keys[dyn_simrandom_below(&self->random, self->action.count)];

	memset(self->frames, 0, sizeof(self->frames));
	if (!dyn_simrandom_chance(&self->random, world->swarm.follow_rate))
	{
		dyn_simclient_rest(world, self);
		return;
	}
	self->action = (struct dyn_action){ .kind = DYN_ACTION_NONE };
	self->follow = DYN_FOLLOW_READ;
	self->follow_key = key;
	self->follow_ms = world->now_ms;
	dyn_simclient_timer(world, self,
						1 + dyn_simrandom_below(&self->random, 50));
}

static uint64_t
wake_at(const struct dyn_simclient *self)
{
	uint64_t at_ms = least(self->put_deadline_ms, self->resume_at_ms);

	if (self->action.abandoned)
		at_ms = least(at_ms, self->leave_at_ms);
	for (uint32_t i = 0; i < DYN_SIM_BATCH_MAX; i++)
		if (self->frames[i].correlation != 0)
			at_ms = least(at_ms, self->frames[i].give_up_ms);
	return at_ms;
}

void
dyn_simext_put_leave(struct dyn_world *world, struct dyn_simclient *self)
{
	for (uint32_t i = 0; i < self->action.count; i++)
		finish(world, self, i);
	dyn_world_fault(world, DYN_FAULT_client_hung_up);
	dyn_simnet_hang_up(world, self->index);
	dyn_simext_forget(self);
	memset(self->frames, 0, sizeof(self->frames));
	dyn_simclient_rest(world, self);
}

void
dyn_simext_put_go(struct dyn_world *world, struct dyn_simclient *self)
{
	uint64_t at_ms;

	give_up_silent(world, self);
	dyn_simext_greet(world, self);
	if (self->action.abandoned && world->now_ms >= self->leave_at_ms)
	{
		dyn_simext_put_leave(world, self);
		return;
	}
	if (world->now_ms < self->put_deadline_ms)
		send_some(world, self);
	else
		for (uint32_t i = 0; i < self->action.count; i++)
			finish(world, self, i);
	if (is_done(self))
	{
		end(world, self);
		return;
	}
	at_ms = wake_at(self);
	dyn_simclient_timer(world, self,
						at_ms > world->now_ms ? at_ms - world->now_ms : 1);
}

void
dyn_simext_put(struct dyn_world *world, struct dyn_simclient *self)
{
	struct dyn_action *action = &self->action;

	action->kind = DYN_ACTION_OWN_PUT;
	memset(self->puts, 0, sizeof(self->puts));
	memset(self->frames, 0, sizeof(self->frames));
	for (uint32_t i = 0; i < action->count; i++)
	{
		char text[32];

		enum dyn_history_mode mode = world->writes[action->ops[i]].mode;

		self->puts[i].checked =
			mode == DYN_HISTORY_GUARDED || mode == DYN_HISTORY_CREATE;
		self->puts[i].partition =
			dyn_hash_partition(dyn_sim_record_key(action->keys[i], text).cell,
							   self->ring.partition_count);
	}
	self->put_deadline_ms = world->now_ms + self->timeout_ms;
	if (!world->calm &&
		dyn_simrandom_chance(&self->random, world->swarm.abandon_rate))
	{
		action->abandoned = true;
		self->leave_at_ms =
			world->now_ms + dyn_simrandom_below(&self->random, 3000);
	}
	dyn_simext_put_go(world, self);
}

void
dyn_simext_put_take(struct dyn_world *world, struct dyn_simclient *self,
					const struct dyn_attempt *attempt,
					const struct dyn_envelope *env,
					const ProtobufCMessage *body)
{
	const Dyn__PutReply *reply = (const Dyn__PutReply *) body;
	bool whole = env->type == DYN_MESSAGE_ERROR;
	struct dyn_simext_frame *frame = NULL;

	if (!whole && (env->type != DYN_MESSAGE_PUT_REPLY ||
				   reply->n_results != attempt->write_count))
	{
		dyn_world_violation(world, "wire", "not an answer to a PUT");
		return;
	}
	for (uint32_t i = 0; i < DYN_SIM_BATCH_MAX; i++)
		if (self->frames[i].correlation == attempt->correlation)
			frame = &self->frames[i];
	if (self->action.kind != DYN_ACTION_OWN_PUT || frame == NULL)
		return; /* given up */
	for (uint32_t i = 0; i < frame->count; i++)
	{
		uint32_t index = frame->indexes[i];

		if (!whole)
			dyn_sim_note_receipt(world, self->action.ops[index],
								 reply->results[i]->receipt);
		take_status(world, self, frame->node, index,
					(enum dyn_status)(whole
										  ? ((const Dyn__Error *) body)->status
										  : reply->results[i]->status));
	}
	frame->correlation = 0;
	dyn_simext_put_go(world, self);
}
