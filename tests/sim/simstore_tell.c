/*
 * What a job found, as the event that the core gets.
 */
#include "tests/sim/simstore_read.h"

#include <stdlib.h>

static void
tell_load(struct dyn_simjob *job, dyn_store_complete complete, void *context)
{
	struct dyn_event event = { .type = DYN_EVENT_LOADED };
	struct dyn_loaded *records =
		dyn_sim_allocate(job->record_count * sizeof(*records));

	for (uint32_t i = 0; i < job->record_count; i++)
	{
		records[i].state = job->states[i];
		records[i].hash = job->records[i].hash;
		records[i].held_at_ms = job->records[i].held_at_ms;
		records[i].slots = job->records[i].slots;
		records[i].flags = job->records[i].flags;
		if (job->records[i].object != NULL)
			records[i].object = dyn_simblob_slice(job->records[i].object);
	}
	if (job->real != NULL)
		dyn_simjob_match_load(job, records);
	event.loaded.token = job->token;
	event.loaded.records = records;
	event.loaded.record_count = job->record_count;
	complete(context, &event);
	free(records);
}

static void
tell_scan(struct dyn_simjob *job, dyn_store_complete complete, void *context)
{
	struct dyn_event event = { .type = DYN_EVENT_SCANNED };
	struct dyn_scanned *items =
		dyn_sim_allocate(job->record_count * sizeof(*items));

	for (uint32_t i = 0; i < job->record_count; i++)
	{
		items[i].state = job->states[i];
		if (job->request.scan.bucket.size == 0)
			items[i].bucket = job->records[i].key.bucket;
		items[i].key = job->records[i].key.key;
		items[i].hash = job->records[i].hash;
		items[i].cell = job->records[i].key.cell;
		items[i].held_at_ms = job->records[i].held_at_ms;
		items[i].slots = job->records[i].slots;
		items[i].flags = job->records[i].flags;
		if (job->records[i].object != NULL)
			items[i].object = dyn_simblob_slice(job->records[i].object);
	}
	event.scanned.token = job->token;
	event.scanned.status = job->status;
	event.scanned.items = items;
	event.scanned.item_count = job->record_count;
	event.scanned.end = job->end;
	if (job->request.scan.bucket.size == 0)
		event.scanned.after_bucket = job->last.bucket;
	event.scanned.after_cell = job->last.cell;
	event.scanned.after_key = job->last.key;
	event.scanned.after_damaged = job->damaged;
	if (job->real != NULL)
		dyn_simjob_match(job, &event);
	complete(context, &event);
	free(items);
}

static void
tell_tree(struct dyn_simjob *job, dyn_store_complete complete, void *context)
{
	struct dyn_event event = { .type = DYN_EVENT_TREE };

	event.tree.token = job->token;
	event.tree.status = job->status;
	event.tree.hashes = job->hashes;
	event.tree.hash_count = job->request.tree.node_count;
	if (job->real != NULL)
		dyn_simjob_match(job, &event);
	complete(context, &event);
}


static void
tell_stored(struct dyn_simjob *job, dyn_store_complete complete, void *context)
{
	struct dyn_event event = { .type = DYN_EVENT_STORED };

	event.stored.token = job->token;
	event.stored.status = job->status;
	complete(context, &event);
}

void
dyn_simjob_tell(struct dyn_simjob *self, dyn_store_complete complete,
				void *context)
{
	if (self->type == DYN_EFFECT_STORE)
		tell_stored(self, complete, context);
	else if (self->type == DYN_EFFECT_LOAD)
		tell_load(self, complete, context);
	else if (self->type == DYN_EFFECT_TREE)
		tell_tree(self, complete, context);
	else
		tell_scan(self, complete, context);
}
