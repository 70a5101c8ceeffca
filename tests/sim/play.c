#include "tests/sim/play.h"

#include "core/state.h"
#include "tests/sim/simclient_state.h"

#include <string.h>

uint32_t
dyn_play_owner(struct dyn_world *world, uint32_t key, uint32_t rank)
{
	bool owners[DYN_SIM_NODES_MAX] = { false };

	dyn_whitebox_owners(world, key, owners);
	for (uint32_t i = 0; i < world->swarm.node_count; i++)
		if (owners[i] && rank-- == 0)
			return i;
	return 0;
}

struct dyn_sim_result
dyn_play_put(struct dyn_world *world, uint32_t node, uint32_t key,
			 const struct dyn_sim_result *read)
{
	struct dyn_sim_put write = { .key = key, .value_count = 1, .read = read };

	return dyn_sim_do_put(world, node, &write);
}

struct dyn_sim_result
dyn_play_delete(struct dyn_world *world, uint32_t node, uint32_t key,
				const struct dyn_sim_result *read)
{
	struct dyn_sim_put write = { .key = key, .read = read };

	return dyn_sim_do_put(world, node, &write);
}

uint32_t
dyn_play_write(struct dyn_world *world, uint32_t key,
			   enum dyn_history_mode mode, uint32_t value_count,
			   const struct dyn_sim_result *read)
{
	struct dyn_slice none = { 0 };

	return dyn_sim_new_write(world, DYN_SIM_OPERATOR, key, mode, value_count,
							 read ? read->context : none,
							 read ? &read->vids : NULL, 0);
}

void
dyn_play_attempt(struct dyn_world *world, uint32_t node, uint32_t op,
				 bool is_retry, uint64_t ms)
{
	struct dyn_simclient *self = dyn_simclient_of(world, DYN_SIM_OPERATOR);
	const struct dyn_simnode *to = &world->nodes[node];
	struct dyn_simwrite *write = &world->writes[op];
	struct dyn_sim_bound bound = {
		.process = to->node->start_id,
		.act_until_ms = dyn_simnode_clock(world, node) - to->clock_base_ms + ms
	};

	write->is_bounded = true;
	write->is_retried |= write->is_marked;
	write->is_marked = is_retry;
	write->acts_until_ms[is_retry] = world->now_ms + ms;
	dyn_sim_send_put(world, self->index, &self->attempts, node, &op, 1,
					 (uint32_t) ms + 1000, &bound);
}

struct dyn_sim_result
dyn_play_update(struct dyn_world *world, uint32_t node, uint32_t key)
{
	struct dyn_sim_result read = dyn_sim_do_get(world, node, key, 0);
	struct dyn_sim_result write = dyn_play_put(
		world, node, key, read.status == DYN_STATUS_OK ? &read : NULL);

	dyn_sim_result_free(&read);
	return write;
}

uint32_t
dyn_play_rows(struct dyn_world *world, uint32_t node, uint32_t key)
{
	struct dyn_sim_result read =
		dyn_sim_do_get(world, node, key, (uint8_t) world->swarm.n);
	uint32_t count = read.row_count;

	dyn_sim_result_free(&read);
	return count;
}

bool
dyn_play_has(struct dyn_world *world, uint32_t node, uint32_t key,
			 const struct dyn_sim_result *write)
{
	struct dyn_sim_result read =
		dyn_sim_do_get(world, node, key, (uint8_t) world->swarm.n);
	bool has =
		dyn_vids_has(&read.vids, world->history.ops[write->op].first_vid);

	dyn_sim_result_free(&read);
	return has;
}

void
dyn_play_pass(struct dyn_world *world, uint64_t ms)
{
	dyn_world_run_until(world, world->now_ms + ms);
}

void
dyn_play_stop(struct dyn_world *world, uint32_t node)
{
	dyn_simnode_crash(world, node, UINT64_MAX);
	dyn_play_pass(world, 1000);
}

void
dyn_play_start(struct dyn_world *world, uint32_t node)
{
	dyn_simnode_start(world, node);
	dyn_play_pass(world, 3000);
}

void
dyn_play_forget(struct dyn_world *world, uint32_t node, uint32_t key)
{
	char buffer[32];
	struct dyn_simrecord none = { .key = dyn_sim_record_key(key, buffer) };

	dyn_simdisk_put(world->nodes[node].disk, DYN_TABLE_MAIN, &none);
}

void
dyn_play_lose_hints(struct dyn_world *world, uint32_t node)
{
	struct dyn_simdisk *disk = world->nodes[node].disk;

	world->nodes[node].hints_lost = true;
	while (dyn_simdisk_count(disk, DYN_TABLE_HINTS) != 0)
	{
		struct dyn_record_key place =
			dyn_simdisk_at(disk, DYN_TABLE_HINTS, 0)->key;
		uint8_t bucket[DYN_BUCKET_SIZE_MAX];
		uint8_t key[DYN_KEY_SIZE_MAX];

		/* The key goes with the record. */
		memcpy(bucket, place.bucket.data, place.bucket.size);
		memcpy(key, place.key.data, place.key.size);
		place.bucket.data = bucket;
		place.key.data = key;
		dyn_simdisk_put(disk, DYN_TABLE_HINTS,
						&(struct dyn_simrecord){ .key = place });
	}
}

uint64_t
dyn_play_sum(const struct dyn_world *world, const char *name)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < world->swarm.node_count; i++)
	{
		const char *other;
		uint64_t value = 0;

		for (uint32_t c = 0;
			 world->nodes[i].node != NULL &&
			 (other = dyn_node_counter(world->nodes[i].node, c, &value));
			 c++)
			if (strcmp(other, name) == 0)
				total += value;
	}
	return total;
}
