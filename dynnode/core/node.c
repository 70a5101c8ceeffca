#include "core/node.h"

#include "core/admin.h"
#include "core/bucket.h"
#include "core/call.h"
#include "core/commit.h"
#include "core/coord_put.h"
#include "core/copy.h"
#include "core/discard.h"
#include "core/exchange.h"
#include "core/filling.h"
#include "core/formation.h"
#include "core/handoff.h"
#include "core/identity.h"
#include "core/key_table.h"
#include "core/load.h"
#include "core/node_step.h"
#include "core/outbox.h"
#include "core/peer.h"
#include "core/receive.h"
#include "core/scan.h"

#include <assert.h>

void
dyn_log(struct dyn_node *node, enum dyn_log_level level, const char *text)
{
	struct dyn_effect *effect = dyn_effects_add(node->out, DYN_EFFECT_LOG);

	effect->log.level = level;
	effect->log.text = dyn_arena_copy(&node->out->arena, dyn_slice_of(text));
}

/* -------------------------------------------------------------------- step */

void
dyn_node_begin_step(struct dyn_node *node, uint64_t now_ms, uint64_t wall_ms,
					struct dyn_effects *out)
{
	node->now_ms = now_ms;
	node->wall_ms = wall_ms;
	node->out = out;
}

void
dyn_node_end_step(struct dyn_node *node)
{
	dyn_outbox_flush(node);
	dyn_building_flush(node);
	dyn_load_flush(node);
	dyn_commit_flush(node);
	dyn_request_free_ended(node);
	dyn_arena_reset(&node->scratch);
	node->out = NULL;
}

/* Own records that could not be written, or whose commit was aborted. */
static void
write_again(struct dyn_node *node)
{
	node->records_due = false;
	dyn_formation_writable(node);
	dyn_bucket_writable(node);
	dyn_building_writable(node);
}

static void
tick(struct dyn_node *node)
{
	if (node->records_due && node->writable &&
		node->now_ms >= node->heartbeat_at_ms)
		write_again(node);
	dyn_identity_tick(node);
	dyn_progress_tick(node);
	dyn_peer_tick(node);
	dyn_call_tick(node);
	dyn_request_tick(node);
	dyn_handoff_tick(node);
	dyn_fence_tick(node);
	dyn_scrub_tick(node);
	dyn_discard_tick(node);
	dyn_filling_tick(node);
	dyn_exchange_tick(node);
	dyn_reap_tick(node);
}

/* A page of records: of the round of reaping, of a request, or of a round of
 * anti-entropy. */
static void
scanned(struct dyn_node *node, const struct dyn_event *event)
{
	struct dyn_request *request = dyn_request_find(node, event->scanned.token);

	if (dyn_reap_scanned(node, event))
		return;
	if (request == NULL)
	{
		dyn_exchange_scanned(node, event);
		return;
	}
	if (request->kind->scanned != NULL)
		request->kind->scanned(node, request, event);
}

static void
tree_read(struct dyn_node *node, const struct dyn_event *event)
{
	struct dyn_request *request = dyn_request_find(node, event->tree.token);

	if (request == NULL)
		dyn_exchange_tree(node, event);
	else
		request->kind->tree_read(node, request, event);
}

static void
became_writable(struct dyn_node *node)
{
	if (!node->writable)
		dyn_log(node, DYN_LOG_INFO, "the store takes writes again");
	node->writable = true;
	write_again(node);
}

void
dyn_node_step(struct dyn_node *self, const struct dyn_event *event,
			  uint64_t now_ms, struct dyn_effects *out)
{
	dyn_node_begin_step(self, now_ms, event->wall_ms, out);
	switch (event->type)
	{
		case DYN_EVENT_MESSAGE:
			dyn_receive_message(self, event);
			break;
		case DYN_EVENT_STORED:
			dyn_commit_stored(self, event);
			break;
		case DYN_EVENT_LOADED:
			dyn_load_event(self, event);
			break;
		case DYN_EVENT_SCANNED:
			scanned(self, event);
			break;
		case DYN_EVENT_TREE:
			tree_read(self, event);
			break;
		case DYN_EVENT_TICK:
			tick(self);
			break;
		case DYN_EVENT_PEER_UP:
			dyn_peer_up(self, event->peer.peer_index);
			break;
		case DYN_EVENT_PEER_DOWN:
			dyn_peer_down(self, event->peer.peer_index);
			break;
		case DYN_EVENT_STORE_WRITABLE:
			became_writable(self);
			break;
	}
	dyn_node_end_step(self);
}

uint64_t
dyn_node_deadline(const struct dyn_node *self)
{
	uint64_t deadline = self->heartbeat_at_ms;
	uint64_t calls = dyn_timers_deadline(&self->call_timers);
	uint64_t requests = dyn_timers_deadline(&self->request_timers);
	uint64_t exchange = dyn_exchange_deadline(self);
	uint64_t reap = dyn_reap_deadline(self);

	if (calls < deadline)
		deadline = calls;
	if (exchange < deadline)
		deadline = exchange;
	if (reap < deadline)
		deadline = reap;
	return requests < deadline ? requests : deadline;
}

/* ------------------------------------------------------------------- views */

const struct dyn_node_id *
dyn_node_identity(const struct dyn_node *self)
{
	return &self->id;
}

const struct dyn_ring *
dyn_node_ring(const struct dyn_node *self)
{
	return self->cluster.formed ? &self->cluster.ring : NULL;
}

const char *
dyn_node_counter(const struct dyn_node *self, uint32_t index, uint64_t *value)
{
	const char *name = dyn_admin_counter_name(index);

	if (name != NULL)
		*value = self->counters[index];
	return name;
}

void
dyn_node_load(const struct dyn_node *self, uint32_t *requests, uint32_t *keys)
{
	*requests = self->request_count;
	*keys = self->key_count;
}

void
dyn_node_memory(const struct dyn_node *self, size_t *counted, size_t *found)
{
	const struct dyn_request *request;

	*counted = self->room.held_bytes;
	*found = 0;
	for (request = self->requests; request != NULL; request = request->hh.next)
		*found += dyn_arena_taken(&request->arena);
}

uint64_t
dyn_node_hint_count(const struct dyn_node *self)
{
	return self->hints.count;
}

void
dyn_node_check(const struct dyn_node *self)
{
	const struct dyn_request *request;
	uint32_t count = 0;
	uint32_t puts = 0;

	for (request = self->requests; request != NULL; request = request->hh.next)
	{
		count++;
		for (uint32_t op = 0;
			 request->kind == &dyn_put_kind && op < request->op_count; op++)
			puts += request->puts[op].counted;
		assert(!request->ended && request->undecided <= request->op_count);
		assert(request->kind->is_paged || request->undecided > 0);
		assert(request->timer.place != 0);
	}
	assert(count == self->request_count);
	assert(count == self->request_timers.count);
	assert(puts == self->room.put_count);
	assert(self->call_count == self->call_timers.count);
	assert(self->ended == NULL && self->batch_count == 0);
	dyn_key_check_all(self);
	dyn_load_check(self);
	assert(self->open_commit == NULL);
	dyn_fence_check(self);
}
