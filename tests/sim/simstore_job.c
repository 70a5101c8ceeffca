#include "tests/sim/simstore_job.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum
{
	RECORD_OVERHEAD = 100 /* bytes, on the modelled disk */
};

/* ------------------------------------------------------------------- queues */

void
dyn_simjobs_init(struct dyn_simjobs *self)
{
	self->first = NULL;
	self->last = &self->first;
}

void
dyn_simjobs_push(struct dyn_simjobs *self, struct dyn_simjob *job)
{
	job->next = NULL;
	*self->last = job;
	self->last = &job->next;
}

void
dyn_simjobs_unlink(struct dyn_simjobs *self, struct dyn_simjob **place)
{
	struct dyn_simjob *job = *place;

	*place = job->next;
	if (self->last == &job->next)
		self->last = place;
}

struct dyn_simjob *
dyn_simjobs_pop(struct dyn_simjobs *self)
{
	struct dyn_simjob *job = self->first;

	if (job != NULL)
		dyn_simjobs_unlink(self, &self->first);
	return job;
}

void
dyn_simjob_drop_found(struct dyn_simjob *job)
{
	for (uint32_t i = 0; i < job->record_count; i++)
	{
		free((void *) job->records[i].key.bucket.data);
		dyn_simblob_release(job->records[i].object);
	}
	job->record_count = 0;
}

void
dyn_simjob_free(struct dyn_simjob *job)
{
	dyn_simjob_drop_found(job);
	free((void *) job->last.bucket.data);
	free(job->records);
	free(job->states);
	free(job->hashes);
	free(job->tables);
	if (job->real != NULL)
		job->real->ops->forget(&job->answer);
	dyn_arena_destroy(&job->arena);
	free(job);
}

void
dyn_simjobs_free(struct dyn_simjobs *self)
{
	struct dyn_simjob *job;

	while ((job = dyn_simjobs_pop(self)) != NULL)
		dyn_simjob_free(job);
}

/* --------------------------------------------------------------------- jobs */

struct dyn_record_key
dyn_simjob_own_key(const struct dyn_record_key *key, bool meta)
{
	size_t bucket_size = meta ? 0 : key->bucket.size;
	uint8_t *bytes = dyn_sim_allocate(bucket_size + key->key.size);
	struct dyn_record_key own = { .cell = meta ? 0 : key->cell };

	if (bucket_size > 0)
		memcpy(bytes, key->bucket.data, bucket_size);
	if (key->key.size > 0)
		memcpy(bytes + bucket_size, key->key.data, key->key.size);
	own.bucket = (struct dyn_slice){ bytes, bucket_size };
	own.key = (struct dyn_slice){ bytes + bucket_size, key->key.size };
	return own;
}

static void
take_writes(struct dyn_simjob *job, const struct dyn_effect *effect)
{
	uint32_t count = effect->store.write_count;

	job->tables = dyn_sim_allocate(count * sizeof(*job->tables));
	job->records = dyn_sim_allocate(count * sizeof(*job->records));
	job->record_count = count;
	for (uint32_t i = 0; i < count; i++)
	{
		const struct dyn_write *write = &effect->store.writes[i];
		struct dyn_simrecord *record = &job->records[i];

		job->tables[i] = write->table;
		record->key =
			dyn_simjob_own_key(&write->key, write->table == DYN_TABLE_META);
		record->hash = write->hash;
		record->slots = write->table == DYN_TABLE_HINTS ? write->slots : 0;
		if (write->table != DYN_TABLE_META)
		{
			record->held_at_ms = write->held_at_ms;
			record->flags = write->flags;
		}
		if (write->object.size > 0)
			record->object = dyn_simblob_new(write->object);
	}
}

uint64_t
dyn_simjob_size(const struct dyn_simjob *job)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < job->record_count; i++)
		bytes += RECORD_OVERHEAD + job->records[i].key.key.size +
				 (job->records[i].object ? job->records[i].object->size : 0);
	return bytes;
}

static void
keep_slice(struct dyn_simjob *job, struct dyn_slice *slice)
{
	*slice = dyn_arena_copy(&job->arena, *slice);
}

static void
keep_request(struct dyn_simjob *job, const struct dyn_effect *effect)
{
	struct dyn_effect *request = &job->request;

	*request = *effect;
	if (effect->type == DYN_EFFECT_SCAN)
	{
		keep_slice(job, &request->scan.bucket);
		keep_slice(job, &request->scan.after_bucket);
		keep_slice(job, &request->scan.after_key);
		keep_slice(job, &request->scan.key_min);
		keep_slice(job, &request->scan.key_max);
		keep_slice(job, &request->scan.prefix);
	}
	else if (effect->type == DYN_EFFECT_TREE)
	{
		struct dyn_slice nodes = { (const uint8_t *) effect->tree.nodes,
								   effect->tree.node_count *
									   sizeof(*effect->tree.nodes) };

		keep_slice(job, &nodes);
		request->tree.nodes = (const uint32_t *) (const void *) nodes.data;
	}
	else
	{
		uint32_t count = effect->load.key_count;
		struct dyn_record_key *keys =
			dyn_arena_allocate(&job->arena, count * sizeof(*keys));

		for (uint32_t i = 0; i < count; i++)
		{
			keys[i] = effect->load.keys[i];
			keep_slice(job, &keys[i].bucket);
			keep_slice(job, &keys[i].key);
		}
		request->load.keys = keys;
	}
}

void
dyn_simjob_add_found(struct dyn_simjob *job, const struct dyn_record_key *key,
					 const struct dyn_simrecord *record,
					 enum dyn_loaded_state state, bool hash_only)
{
	struct dyn_simrecord *found = &job->records[job->record_count];

	found->key = dyn_simjob_own_key(key, false);
	if (state == DYN_LOADED_FOUND)
	{
		found->hash = record->hash;
		found->held_at_ms = record->held_at_ms;
		found->slots = record->slots;
		found->flags = record->flags;
		if (!hash_only)
			found->object = dyn_simblob_hold(record->object);
	}
	job->states[job->record_count++] = state;
}


struct dyn_simjob *
dyn_simjob_new(const struct dyn_effect *effect)
{
	struct dyn_simjob *self = dyn_sim_allocate(sizeof(*self));

	dyn_arena_init(&self->arena, dyn_allocator_malloc(), 512);
	self->type = effect->type;
	if (effect->type == DYN_EFFECT_STORE)
	{
		self->token = effect->store.token;
		take_writes(self, effect);
		return self;
	}
	assert(effect->type == DYN_EFFECT_LOAD || effect->type == DYN_EFFECT_SCAN ||
		   effect->type == DYN_EFFECT_TREE);
	self->token = effect->type == DYN_EFFECT_LOAD   ? effect->load.token
				  : effect->type == DYN_EFFECT_SCAN ? effect->scan.token
													: effect->tree.token;
	keep_request(self, effect);
	return self;
}
