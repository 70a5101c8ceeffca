/*
 * A node's begin and end, and what its configuration leaves open.
 */
#include "core/boot.h"
#include "core/bucket.h"
#include "core/call.h"
#include "core/cluster.h"
#include "core/commit.h"
#include "core/exchange.h"
#include "core/key_table.h"
#include "core/load.h"
#include "core/node_step.h"
#include "core/request.h"
#include "core/room.h"

#include <string.h>

enum
{
	SCRATCH_CHUNK_SIZE = 256 * 1024
};

static const char *
keep_text(struct dyn_node *node, const char *text)
{
	size_t size = strlen(text ? text : "") + 1;
	char *copy = dyn_arena_allocate(&node->boot_arena, size);

	memcpy(copy, text ? text : "", size);
	return copy;
}

enum
{
	MEMORY_MAX = 512 * 1024 * 1024
};

_Static_assert(MEMORY_MAX / 2 > DYN_FRAME_SIZE_MAX,
			   "the largest frame would be refused for ever (core/room.h)");

static void
set_default(uint32_t *value, uint32_t normal)
{
	if (*value == 0)
		*value = normal;
}

static void
set_defaults(struct dyn_node_config *config)
{
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
	set_default(&config->memory_max, MEMORY_MAX);
	set_default(&config->load_bytes_max, 16 * 1024 * 1024);
	set_default(&config->remembered_max, 1048576);
	set_default(&config->hints_max, 1048576);
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
	set_defaults(config);
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
					  DYN_OP_LIMIT_MS +
						  (uint64_t) node->config.request_timeout_ms);
	dyn_credit_init(&node->credit);
	dyn_room_init(node);
	dyn_node_begin_step(node, now_ms, 0, out);
	status = dyn_boot_run(node, boot);
	dyn_node_end_step(node);
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
	dyn_memory_give(node->hints.rest_ms);
	for (uint32_t i = 0; i < node->peer_count; i++)
		dyn_memory_give(node->peers[i]);
	dyn_memory_give(node->batches);
	dyn_arena_destroy(&node->scratch);
	dyn_arena_destroy(&node->boot_arena);
	dyn_memory_give(node);
	*self = NULL;
}
