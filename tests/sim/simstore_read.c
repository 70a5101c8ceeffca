#include "tests/sim/simstore_read.h"

static void
take_load(struct dyn_simjob *job, const struct dyn_simdisk *disk,
		  struct dyn_simrandom *random, uint32_t io_error_rate)
{
	const struct dyn_effect *load = &job->request;
	uint32_t bytes_max = load->load.bytes_max;
	size_t bytes = 0;

	for (uint32_t i = 0;
		 i < load->load.key_count && (bytes_max == 0 || bytes < bytes_max); i++)
	{
		const struct dyn_record_key *key = &load->load.keys[i];
		const struct dyn_simrecord *record =
			dyn_simdisk_get(disk, load->load.table, key);
		enum dyn_loaded_state state = DYN_LOADED_FOUND;

		if (dyn_simrandom_chance(random, io_error_rate))
			state = DYN_LOADED_IO_ERROR;
		else if (record == NULL)
			state = dyn_simdisk_is_absent(disk, load->load.table, key)
						? DYN_LOADED_ABSENT
						: DYN_LOADED_DOUBTED;
		else if (record->true_key != NULL)
			state = DYN_LOADED_DOUBTED;
		else if (record->corrupt)
			state = DYN_LOADED_CORRUPT;
		dyn_simjob_add_found(job, key, record, state, load->load.hash_only);
		if (state == DYN_LOADED_FOUND && !load->load.hash_only)
			bytes += record->object->size;
	}
}

static void
take_tree(struct dyn_simjob *job, const struct dyn_simdisk *disk)
{
	const struct dyn_effect *tree = &job->request;
	uint32_t all = dyn_tree_level_count(tree->tree.level);

	job->hashes =
		dyn_sim_allocate(tree->tree.node_count * sizeof(*job->hashes));
	job->status = DYN_STATUS_OK;
	for (uint32_t i = 0; i < tree->tree.node_count; i++)
		if (tree->tree.nodes[i] < all)
			job->hashes[i] = dyn_simdisk_tree_hash(disk, tree->tree.level,
												   tree->tree.nodes[i]);
		else
			job->status = DYN_STATUS_IO_ERROR;
}

static void
make_room(struct dyn_simjob *job, const struct dyn_simdisk *disk)
{
	uint32_t max = job->type == DYN_EFFECT_LOAD ? job->request.load.key_count
												: job->request.scan.items_max;

	if (job->type == DYN_EFFECT_SCAN)
	{
		uint32_t all = dyn_simdisk_count(disk, job->request.scan.table);

		max = max < all ? max : all;
	}
	job->records = dyn_sim_allocate(max * sizeof(*job->records));
	job->states = dyn_sim_allocate(max * sizeof(*job->states));
}

void
dyn_simjob_look(struct dyn_simjob *self, const struct dyn_simdisk *disk,
				struct dyn_simrandom *random, uint32_t io_error_rate)
{
	self->taken = true;
	if (self->type == DYN_EFFECT_TREE)
	{
		take_tree(self, disk);
		return;
	}
	make_room(self, disk);
	if (self->type == DYN_EFFECT_LOAD)
		take_load(self, disk, random, io_error_rate);
	else
		dyn_simjob_scan(self, disk);
}
