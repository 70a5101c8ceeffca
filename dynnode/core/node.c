#include "core/node.h"

#include "core/admin.h"
#include "core/boot.h"
#include "core/bucket.h"
#include "core/call.h"
#include "core/cluster.h"
#include "core/commit.h"
#include "core/coord_get.h"
#include "core/coord_put.h"
#include "core/copy.h"
#include "core/discard.h"
#include "core/exchange.h"
#include "core/filling.h"
#include "core/formation.h"
#include "core/handoff.h"
#include "core/hello.h"
#include "core/identity.h"
#include "core/key_table.h"
#include "core/load.h"
#include "core/outbox.h"
#include "core/peer.h"
#include "core/replica.h"
#include "core/replica_read.h"
#include "core/room.h"
#include "core/scan.h"
#include "core/state.h"

#include <assert.h>
#include <string.h>

enum
{
	SCRATCH_CHUNK_SIZE = 256 * 1024
};

void
dyn_log(struct dyn_node *node, enum dyn_log_level level, const char *text)
{
	struct dyn_effect *effect = dyn_effects_add(node->out, DYN_EFFECT_LOG);

	effect->log.level = level;
	effect->log.text = dyn_arena_copy(&node->out->arena, dyn_slice_of(text));
}

/* ---------------------------------------------------------------- messages */

/* Requests for work: the handler takes the unpacked message and answers. */
static void
begin_request(struct dyn_node *node, const struct dyn_envelope *env,
			  uint64_t route, enum dyn_request_type type)
{
	struct dyn_request *request;
	const void *message;

	if (!dyn_cluster_serves(node))
	{
		dyn_outbox_error(node, route, env->correlation, DYN_STATUS_NOT_READY,
						 "the node is not part of a formed cluster yet");
		return;
	}
	request = dyn_request_new(node, type, route, env);
	if (request == NULL)
		return;
	message = dyn_request_unpack(node, request, env);
	if (message == NULL)
		return;
	switch (type)
	{
		case DYN_REQUEST_PUT:
			dyn_put_begin(node, request, message);
			break;
		case DYN_REQUEST_GET:
			dyn_get_begin(node, request, message);
			break;
		case DYN_REQUEST_READ:
			dyn_replica_read(node, request, message);
			break;
		case DYN_REQUEST_REPLICATE:
			dyn_replica_begin(node, request, message);
			break;
		case DYN_REQUEST_SCAN:
			dyn_scan_begin(node, request, message);
			break;
		case DYN_REQUEST_TREE:
			dyn_exchange_answer_tree(node, request, &env->sender, message);
			break;
		case DYN_REQUEST_LIST:
			dyn_exchange_answer_list(node, request, message);
			break;
		case DYN_REQUEST_COPY:
			dyn_copy_begin(node, request, &env->sender, message);
			break;
		case DYN_REQUEST_FENCE:
			dyn_reap_take_fence(node, request, &env->sender, message);
			break;
		case DYN_REQUEST_REAP:
			dyn_reap_take(node, request, &env->sender, message);
			break;
		case DYN_REQUEST_HANDOFF:
		case DYN_REQUEST_REPAIR:
		case DYN_REQUEST_FILL:
		case DYN_REQUEST_DISCARD:
		case DYN_REQUEST_SCRUB: /* never a message */
			break;
	}
}

/* What is answered at once, from memory. */
static void
take_notice(struct dyn_node *node, const struct dyn_envelope *env,
			uint64_t route)
{
	ProtobufCMessage *body;
	enum dyn_status status =
		dyn_message_unpack(env, &node->scratch.allocator, &body);

	if (status != DYN_STATUS_OK)
	{
		dyn_count(node, frames_bad);
		dyn_outbox_error(node, route, env->correlation, status,
						 dyn_status_text(status));
		return;
	}
	switch ((int) env->type)
	{
		case DYN_MESSAGE_HELLO:
			dyn_hello_take(node, route, env->correlation,
						   (const Dyn__Hello *) body);
			break;
		case DYN_MESSAGE_STATUS:
			dyn_admin_status(node, route, env->correlation,
							 (const Dyn__StatusRequest *) body);
			break;
		case DYN_MESSAGE_REPAIR:
			dyn_admin_repair(node, route, env->correlation,
							 (const Dyn__RepairRequest *) body);
			break;
		case DYN_MESSAGE_BUCKET:
			dyn_bucket_take(node, route, env->correlation,
							(const Dyn__BucketRequest *) body);
			break;
		case DYN_MESSAGE_CANCEL:
			dyn_request_cancel(node, route, (const Dyn__Cancel *) body);
			break;
		case DYN_MESSAGE_HEARTBEAT:
			dyn_peer_heartbeat(node, env, route, (const Dyn__Heartbeat *) body);
			break;
		case DYN_MESSAGE_FORM:
			dyn_formation_enter(node, (const Dyn__Form *) body);
			break;
	}
}

/* May this type come through this kind of socket? */
static bool
is_allowed(enum dyn_source source, enum dyn_message_type type)
{
	switch ((int) type)
	{
		case DYN_MESSAGE_HELLO:
		case DYN_MESSAGE_PUT:
		case DYN_MESSAGE_READ:
		case DYN_MESSAGE_CANCEL:
			return source != DYN_SOURCE_PEER;
		case DYN_MESSAGE_GET:
		case DYN_MESSAGE_SCAN:
		case DYN_MESSAGE_STATUS:
		case DYN_MESSAGE_BUCKET:
		case DYN_MESSAGE_REPAIR:
			return source == DYN_SOURCE_CLIENT;
		case DYN_MESSAGE_REPLICATE:
		case DYN_MESSAGE_TREE:
		case DYN_MESSAGE_LIST:
		case DYN_MESSAGE_COPY:
		case DYN_MESSAGE_FENCE:
		case DYN_MESSAGE_REAP:
		case DYN_MESSAGE_FORM:
			return source == DYN_SOURCE_NODE;
		case DYN_MESSAGE_HEARTBEAT:
			return source != DYN_SOURCE_CLIENT;
		default: /* answers */
			return source == DYN_SOURCE_PEER;
	}
}

static void
take_request(struct dyn_node *node, const struct dyn_envelope *env,
			 uint64_t route)
{
	switch ((int) env->type)
	{
		case DYN_MESSAGE_PUT:
			begin_request(node, env, route, DYN_REQUEST_PUT);
			break;
		case DYN_MESSAGE_GET:
			begin_request(node, env, route, DYN_REQUEST_GET);
			break;
		case DYN_MESSAGE_READ:
			begin_request(node, env, route, DYN_REQUEST_READ);
			break;
		case DYN_MESSAGE_REPLICATE:
			begin_request(node, env, route, DYN_REQUEST_REPLICATE);
			break;
		case DYN_MESSAGE_SCAN:
			begin_request(node, env, route, DYN_REQUEST_SCAN);
			break;
		case DYN_MESSAGE_TREE:
			begin_request(node, env, route, DYN_REQUEST_TREE);
			break;
		case DYN_MESSAGE_LIST:
			begin_request(node, env, route, DYN_REQUEST_LIST);
			break;
		case DYN_MESSAGE_COPY:
			begin_request(node, env, route, DYN_REQUEST_COPY);
			break;
		case DYN_MESSAGE_FENCE:
			begin_request(node, env, route, DYN_REQUEST_FENCE);
			break;
		case DYN_MESSAGE_REAP:
			begin_request(node, env, route, DYN_REQUEST_REAP);
			break;
		default:
			take_notice(node, env, route);
			break;
	}
}

static void
take_answer(struct dyn_node *node, const struct dyn_envelope *env,
			uint32_t peer_index)
{
	ProtobufCMessage *body;

	if (dyn_message_unpack(env, &node->scratch.allocator, &body) !=
		DYN_STATUS_OK)
	{
		dyn_count(node, replies_bad);
		return;
	}
	dyn_peer_heard(node, peer_index);
	if (env->type == DYN_MESSAGE_WELCOME)
		dyn_peer_welcome(node, peer_index, (const Dyn__Welcome *) body);
	else if (env->type == DYN_MESSAGE_HEARTBEAT)
		dyn_peer_heartbeat_answer(node, peer_index,
								  (const Dyn__Heartbeat *) body);
	else if (env->type == DYN_MESSAGE_ERROR && env->correlation == 0)
		dyn_peer_error(node, peer_index, (const Dyn__Error *) body);
	else
		dyn_call_answer(node, peer_index, env, body);
}

/* Who does not know a cluster may ask; fellows only bring objects and compare
 * what they hold. */
static bool
is_other_cluster(const struct dyn_node *node, const struct dyn_envelope *env)
{
	if (!node->cluster.formed || env->cluster == node->cluster.tag)
		return false;
	return env->cluster != 0 || env->type == DYN_MESSAGE_REPLICATE ||
		   env->type == DYN_MESSAGE_TREE || env->type == DYN_MESSAGE_LIST ||
		   env->type == DYN_MESSAGE_COPY || env->type == DYN_MESSAGE_FENCE ||
		   env->type == DYN_MESSAGE_REAP;
}

static void
take_message(struct dyn_node *node, const struct dyn_event *event)
{
	enum dyn_source source = event->message.source;
	uint64_t route = event->message.route;
	struct dyn_envelope env = { 0 };
	enum dyn_status status = dyn_envelope_open(event->message.frame, &env);
	bool other_cluster;

	dyn_count(node, frames_received);
	if (status == DYN_STATUS_VERSION && source != DYN_SOURCE_PEER)
		dyn_outbox_error(node, route, env.correlation, status,
						 dyn_status_text(status));
	if (status != DYN_STATUS_OK ||
		(source == DYN_SOURCE_PEER &&
		 event->message.peer_index >= node->peer_count))
	{
		dyn_count(node, frames_bad);
		return;
	}
	other_cluster = is_other_cluster(node, &env);
	if (other_cluster || !is_allowed(source, env.type))
	{
		if (other_cluster)
			dyn_count(node, frames_other_cluster);
		else
			dyn_count(node, frames_refused);
		status = other_cluster ? DYN_STATUS_WRONG_CLUSTER : DYN_STATUS_NOT_AUTH;
		if (source != DYN_SOURCE_PEER)
			dyn_outbox_error(node, route, env.correlation, status,
							 dyn_status_text(status));
		return;
	}
	if (source == DYN_SOURCE_PEER)
		take_answer(node, &env, event->message.peer_index);
	else
		take_request(node, &env, route);
}

/* -------------------------------------------------------------------- step */

static void
begin_step(struct dyn_node *node, uint64_t now_ms, uint64_t wall_ms,
		   struct dyn_effects *out)
{
	node->now_ms = now_ms;
	node->wall_ms = wall_ms;
	node->out = out;
}

static void
end_step(struct dyn_node *node)
{
	dyn_outbox_flush(node);
	dyn_building_flush(node);
	dyn_load_flush(node);
	dyn_commit_flush(node);
	dyn_request_free_ended(node);
	dyn_arena_reset(&node->scratch);
	node->out = NULL;
}

static void
tick(struct dyn_node *node)
{
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

/* Of a request, or of a round of anti-entropy. */
static void
scanned(struct dyn_node *node, const struct dyn_event *event)
{
	struct dyn_request *request = dyn_request_find(node, event->scanned.token);

	if (dyn_reap_scanned(node, event))
		return;
	if (request == NULL)
		dyn_exchange_scanned(node, event);
	else if (request->type == DYN_REQUEST_LIST)
		dyn_exchange_answer_scanned(node, request, event);
	else if (request->type == DYN_REQUEST_COPY)
		dyn_copy_scanned(node, request, event);
	else if (request->type == DYN_REQUEST_DISCARD)
		dyn_discard_scanned(node, request, event);
	else
		dyn_scan_done(node, event);
}

static void
tree_read(struct dyn_node *node, const struct dyn_event *event)
{
	struct dyn_request *request = dyn_request_find(node, event->tree.token);

	if (request == NULL)
		dyn_exchange_tree(node, event);
	else if (request->type == DYN_REQUEST_SCAN)
		dyn_scan_hashes_read(node, request, event);
	else
		dyn_exchange_answer_tree_read(node, request, event);
}

void
dyn_node_step(struct dyn_node *self, const struct dyn_event *event,
			  uint64_t now_ms, struct dyn_effects *out)
{
	begin_step(self, now_ms, event->wall_ms, out);
	switch (event->type)
	{
		case DYN_EVENT_MESSAGE:
			take_message(self, event);
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
			if (!self->writable)
				dyn_log(self, DYN_LOG_INFO, "the store takes writes again");
			self->writable = true;
			dyn_formation_writable(self);
			dyn_bucket_writable(self);
			dyn_building_writable(self);
			break;
	}
	end_step(self);
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

/* -------------------------------------------------------- life and views */

static const char *
keep_text(struct dyn_node *node, const char *text)
{
	size_t size = strlen(text ? text : "") + 1;
	char *copy = dyn_arena_allocate(&node->boot_arena, size);

	memcpy(copy, text ? text : "", size);
	return copy;
}

static void
set_default(uint32_t *value, uint32_t normal)
{
	if (*value == 0)
		*value = normal;
}

static void
keep_config(struct dyn_node *node, const struct dyn_node_config *from)
{
	struct dyn_node_config *config = &node->config;
	const char **seeds = dyn_arena_allocate(
		&node->boot_arena, (from->seed_count + 1) * sizeof(*seeds));

	*config = *from;
	config->cluster_name = keep_text(node, from->cluster_name);
	config->address = keep_text(node, from->address);
	config->zone = keep_text(node, from->zone);
	config->version = keep_text(node, from->version);
	for (uint32_t i = 0; i < from->seed_count; i++)
		seeds[i] = keep_text(node, from->seeds[i]);
	if (config->seed_count == 0)
		seeds[config->seed_count++] = config->address;
	config->seeds = seeds;
	if (config->partition_count == 0)
		config->partition_count = 256;
	set_default(&config->value_size_max, DYN_VALUE_SIZE_DEFAULT);
	set_default(&config->request_timeout_ms, 5000);
	set_default(&config->hedge_ms, 50);
	set_default(&config->heartbeat_ms, 500);
	set_default(&config->silence_ms, 3000);
	set_default(&config->anti_entropy_ms, 5000);
	set_default(&config->scrub_ms, 2000);
	set_default(&config->tombstone_grace_ms, 24 * 60 * 60 * 1000);
	set_default(&config->reap_ms, 60 * 1000);
	set_default(&config->requests_max, 4096);
	set_default(&config->keys_max, 65536);
	set_default(&config->bytes_max, 256 * 1024 * 1024);
	set_default(&config->load_bytes_max, 16 * 1024 * 1024);
	set_default(&config->remembered_max, 1048576);
	set_default(&config->hints_max, 1048576);
}

enum dyn_status
dyn_node_new(const struct dyn_node_config *config, const struct dyn_boot *boot,
			 uint64_t now_ms, struct dyn_effects *out, struct dyn_node **self)
{
	struct dyn_node *node = dyn_memory_take(sizeof(*node));
	enum dyn_status status;

	dyn_arena_init(&node->boot_arena, dyn_memory_allocator(), 1024);
	dyn_arena_init(&node->scratch, dyn_memory_allocator(), SCRATCH_CHUNK_SIZE);
	keep_config(node, config);
	node->random.state = boot->prng_seed;
	node->start_id = boot->start_id;
	node->epoch_next = node->epoch_floor = 1;
	node->writable = boot->writable;
	node->hints.count = boot->hint_count;
	node->started_at_ms = now_ms;
	node->heartbeat_at_ms = now_ms + node->config.heartbeat_ms;
	/* Numbers of an earlier life must not be taken for this one's. */
	node->correlation_next = dyn_random_next(&node->random) >> 1;
	dyn_remember_init(&node->remember, node->config.remembered_max,
					  2 * (uint64_t) node->config.request_timeout_ms);
	dyn_credit_init(&node->credit);
	dyn_room_init(node);
	begin_step(node, now_ms, 0, out);
	status = dyn_boot_run(node, boot);
	end_step(node);
	if (status != DYN_STATUS_OK)
		dyn_node_destroy(&node);
	*self = node;
	return status;
}

void
dyn_node_destroy(struct dyn_node **self)
{
	struct dyn_node *node = *self;

	if (node == NULL)
		return;
	dyn_bucket_destroy(node);
	dyn_fence_destroy(node);
	dyn_request_destroy_all(node);
	dyn_call_destroy_all(node);
	dyn_load_destroy_all(node);
	dyn_commit_destroy_all(node);
	dyn_key_destroy_all(node);
	dyn_remember_destroy(&node->remember);
	dyn_exchange_destroy(node);
	dyn_reap_destroy(node);
	dyn_cluster_destroy(node);
	dyn_building_destroy(node);
	dyn_memory_give(node->hints.pending);
	dyn_memory_give(node->hints.walked);
	for (uint32_t i = 0; i < node->peer_count; i++)
		dyn_memory_give(node->peers[i]);
	dyn_memory_give(node->batches);
	dyn_arena_destroy(&node->scratch);
	dyn_arena_destroy(&node->boot_arena);
	dyn_memory_give(node);
	*self = NULL;
}

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
	size_t bytes = 0;

	for (request = self->requests; request != NULL; request = request->hh.next)
	{
		count++;
		bytes += request->bytes;
		for (uint32_t op = 0;
			 request->type == DYN_REQUEST_PUT && op < request->op_count; op++)
			puts += request->puts[op].counted;
		assert(!request->ended && request->undecided <= request->op_count);
		assert(request->type == DYN_REQUEST_SCAN ||
			   request->type == DYN_REQUEST_TREE ||
			   request->type == DYN_REQUEST_LIST ||
			   request->type == DYN_REQUEST_HANDOFF ||
			   request->type == DYN_REQUEST_COPY ||
			   request->type == DYN_REQUEST_FENCE ||
			   request->type == DYN_REQUEST_FILL ||
			   request->type == DYN_REQUEST_DISCARD ||
			   request->type == DYN_REQUEST_SCRUB || request->undecided > 0);
		assert(request->timer.place != 0);
	}
	assert(count == self->request_count && bytes == self->request_bytes);
	assert(count == self->request_timers.count);
	assert(puts == self->room.put_count);
	assert(self->call_count == self->call_timers.count);
	assert(self->ended == NULL && self->batch_count == 0);
	dyn_key_check_all(self);
	dyn_load_check(self);
	assert(self->open_commit == NULL);
	dyn_fence_check(self);
}
