/*
 * The end of a run: trouble stops, everything must work and become equal
 * again within a bounded time; then history and disks are judged.
 */
#include "core/state.h"
#include "tests/sim/nemesis.h"
#include "tests/sim/simclient_state.h"
#include "tests/sim/simnet.h"
#include "tests/sim/whitebox.h"

#include <stdlib.h>
#include <string.h>

enum
{
	MEMORY_IN_PEACE = 16,
	QUIET_MS = 12000, /* longer than any delay, deadline and silence */
	FINAL_ROUNDS = 20,
	CONVERGE_MAX_MS = 60000, /* beyond some rounds of anti-entropy */
	CONVERGE_ROUNDS = 6,
	CONVERGE_STEP_MS = 500,
	REAP_MAX_MS = 60000, /* beyond the grace, and some rounds */
	REAP_ROUNDS = 20,
	WRITE_TRIES = 10,
	WRITE_PAUSE_MS = 200,
	IDLE_TRIES = 20
};

/* No more trouble: everything that was broken works again. */
static void
heal(struct dyn_world *self)
{
	self->calm = true;
	dyn_simnet_heal(self);
	/* A copy that was there first keeps the original from running. */
	if (self->nodes[DYN_SIM_CLONE].node != NULL)
		dyn_simnode_crash(self, DYN_SIM_CLONE, UINT64_MAX);
	for (uint32_t i = 0; i < self->swarm.node_count; i++)
	{
		struct dyn_simnode *node = &self->nodes[i];

		node->full_until_ms = 0;
		dyn_world_end_full(self, i);
		if (node->paused_until_ms > self->now_ms)
			node->paused_until_ms = self->now_ms;
		node->late_ms = 0;
		dyn_simnet_woken(self, i);
		/* A store's dice were thrown at its start: start it anew. */
		if (node->node != NULL &&
			(self->swarm.io_error_rate > 0 || self->swarm.abort_rate > 0 ||
			 self->swarm.slow_rate > 0))
			dyn_simnode_crash(self, i, UINT64_MAX);
		dyn_simnode_start(self, i);
		dyn_simnode_plan(self, i);
	}
	dyn_world_run_until(self, self->now_ms + QUIET_MS);
}

/* ------------------------------------------------------------- convergence */

static const char *
first_difference(struct dyn_world *self, char why[DYN_WHITEBOX_WHY])
{
	for (uint32_t key = 0; key < self->history.key_count; key++)
	{
		const char *rule = dyn_whitebox_unequal(self, key, why);

		/* Without a scrub what is damaged is found when it is read. */
		if (rule != NULL && (self->swarm.scrub_ms > 0 ||
							 strcmp(rule, DYN_WHITEBOX_DAMAGED) != 0))
			return rule;
	}
	return NULL;
}

/* Nobody reads: the nodes must find their differences themselves. */
static void
converge(struct dyn_world *self)
{
	uint64_t begin_ms = self->now_ms;
	uint64_t round_ms =
		(uint64_t) (self->swarm.anti_entropy_ms + self->swarm.scrub_ms) * 1000 /
		self->swarm.clock_slowest;
	uint64_t max_ms = CONVERGE_MAX_MS + CONVERGE_ROUNDS * round_ms;
	char why[DYN_WHITEBOX_WHY];
	const char *rule = first_difference(self, why);

	/* Without anti-entropy only reads make replicas equal. */
	if (self->swarm.anti_entropy_ms == 0)
		return;
	while (rule != NULL && self->now_ms < begin_ms + max_ms)
	{
		dyn_world_run_until(self, self->now_ms + CONVERGE_STEP_MS);
		rule = first_difference(self, why);
	}
	self->converged_ms = self->now_ms - begin_ms;
	if (rule != NULL)
		dyn_world_violation(self, rule, "after %d s of peace: %s",
							(int) (max_ms / 1000), why);
}

/* C13: what is dead goes, when everybody is there. */
static void
reap(struct dyn_world *self)
{
	uint64_t slowest = self->swarm.clock_slowest;
	uint64_t max_ms =
		REAP_MAX_MS + self->swarm.grace_ms * UINT64_C(2) +
		REAP_ROUNDS * (uint64_t) self->swarm.reap_ms * 1000 / slowest;
	uint64_t until_ms = self->now_ms + max_ms;
	uint32_t key = 0;

	if (self->swarm.reap_ms == 0 || self->swarm.anti_entropy_ms == 0)
		return;
	/* By clocks that are wrong nobody can tell what has expired; what was held
	 * while they were must go all the same. */
	for (uint32_t i = 0; i < self->swarm.node_count; i++)
		self->nodes[i].wall_offset_ms = 0;
	while (key < self->history.key_count && self->now_ms < until_ms)
		if (dyn_whitebox_is_dead(self, key))
			dyn_world_run_until(self, self->now_ms + CONVERGE_STEP_MS);
		else
			key++;
	if (key < self->history.key_count)
		dyn_world_violation(self, "C13", "key %u is not reaped in %d s", key,
							(int) (max_ms / 1000));
}

/* Read a key at r until it answers: everything is well, so it must. */
static void
read_finally(struct dyn_world *self, uint32_t key, uint8_t r)
{
	for (uint32_t round = 0; round < FINAL_ROUNDS; round++)
	{
		uint32_t node = (uint32_t) dyn_simrandom_below(&self->random,
													   self->swarm.node_count);
		struct dyn_sim_result result = dyn_sim_do_get(self, node, key, r);

		dyn_sim_result_free(&result);
		dyn_world_run_until(self, self->now_ms + 20);
		if (result.status == DYN_STATUS_OK ||
			result.status == DYN_STATUS_NOT_FOUND)
			return;
		if (round + 1 == FINAL_ROUNDS)
			dyn_world_violation(self, "C11",
								"key %u cannot be read at r = %u: %s", key, r,
								dyn_status_name(result.status));
	}
}

static enum dyn_status
write_once(struct dyn_world *self, uint32_t node)
{
	struct dyn_sim_put put = {
		.key = node % self->history.key_count,
		.value_count = 1,
		.w = (uint8_t) self->swarm.n,
	};
	struct dyn_sim_result read =
		dyn_sim_do_get(self, node, put.key, (uint8_t) self->swarm.n);
	enum dyn_status status;

	put.read = read.status == DYN_STATUS_OK ? &read : NULL;
	status = dyn_sim_do_put(self, node, &put).status;
	dyn_sim_result_free(&read);
	return status;
}

/* Where there is room for very few keys, reaping may have taken it: here, or
 * where another owner then says that it has none. */
static bool
may_have_no_room(const struct dyn_world *self, enum dyn_status status)
{
	bool is_small = self->swarm.keys_max != 0 || self->swarm.bytes_max != 0;

	return status == DYN_STATUS_OVERLOAD ||
		   (status == DYN_STATUS_UNKNOWN && is_small);
}

/* In peace every node takes writes, and all owners commit them. */
static void
write_finally(struct dyn_world *self, uint32_t node)
{
	enum dyn_status status = write_once(self, node);

	for (int i = 0; i < WRITE_TRIES && may_have_no_room(self, status); i++)
	{
		dyn_world_run_until(self, self->now_ms + WRITE_PAUSE_MS);
		status = write_once(self, node);
	}
	/* TOO_LARGE: some values are meant to be (swarm.h, big_rate). */
	if (status != DYN_STATUS_OK && status != DYN_STATUS_TOO_LARGE)
		dyn_world_violation(self, "C11", "in peace node %u answers a write: %s",
							node, dyn_status_name(status));
}

/* ------------------------------------------------------------------ verdict */

static void
report(void *context, const char *rule, const char *text)
{
	dyn_world_violation(context, rule, "%s", text);
}

/* W4: nothing is left in flight; what the nodes do among themselves comes and
 * goes. */
static void
check_idle(struct dyn_world *self)
{
	for (uint32_t i = 0; i < self->swarm.node_count; i++)
	{
		uint32_t requests = 1;
		uint32_t keys = 1;

		if (self->nodes[i].node == NULL)
			continue;
		for (int tries = 0; tries < IDLE_TRIES && (requests || keys); tries++)
		{
			if (tries > 0)
				dyn_world_run_until(self, self->now_ms + 7);
			if (self->nodes[i].node == NULL)
				break;
			dyn_node_load(self->nodes[i].node, &requests, &keys);
		}
		if (self->nodes[i].node != NULL && (requests != 0 || keys != 0))
			dyn_world_violation(self, "W4",
								"node %u still has %u requests "
								"and %u keys in flight",
								i, requests, keys);
	}
}

static void
check_disks(struct dyn_world *self)
{
	dyn_whitebox_trees(self);
	for (uint32_t key = 0; key < self->history.key_count; key++)
	{
		struct dyn_vids live = { 0 };
		char why[DYN_WHITEBOX_WHY];
		const char *rule = dyn_whitebox_unequal(self, key, why);

		if (rule != NULL)
			dyn_world_violation(self, rule, "%s", why);
		dyn_whitebox_live(self, key, &live);
		dyn_history_final(&self->history, key, &live);
		free(live.items);
	}
}

static void
check_history(struct dyn_world *self)
{
	for (uint32_t i = 0; i < DYN_SIM_CLIENTS_MAX; i++)
		if (self->clients[i] != NULL)
			dyn_sim_check_all_answered(self, &self->clients[i]->attempts);
	for (uint32_t op = 0; op < self->history.op_count; op++)
		if (op < self->write_capacity && self->writes[op].used)
			dyn_sim_write_rest(self, op);
	dyn_sim_judge_repeats(self);
	self->history.is_residue = dyn_whitebox_is_residue;
	self->history.residue_context = self;
	dyn_checker_run(&self->history, (uint8_t) self->swarm.n, report, self,
					&self->counts);
}

/* A frame of reaping names the dead actors of all keys, and may be more than
 * half of a memory as small as swarms draw it: room.h does not allow that, and
 * what is refused meanwhile would be no news. */
static void
have_memory(struct dyn_world *self)
{
	self->swarm.memory_max *= MEMORY_IN_PEACE;
	for (uint32_t i = 0;
		 self->swarm.memory_max != 0 && i < self->swarm.node_count; i++)
		if (self->nodes[i].node != NULL)
			self->nodes[i].node->config.memory_max = self->swarm.memory_max;
}

void
dyn_world_finish(struct dyn_world *self)
{
	heal(self);
	converge(self);
	have_memory(self);
	for (uint32_t key = 0; key < self->history.key_count; key++)
		read_finally(self, key, (uint8_t) self->swarm.n);
	for (uint32_t node = 0; node < self->swarm.node_count; node++)
		write_finally(self, node);
	dyn_world_run_until(self, self->now_ms + QUIET_MS);
	reap(self);
	converge(self);
	check_idle(self);
	check_disks(self);
	check_history(self);
}
