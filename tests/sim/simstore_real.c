/*
 * Where a simulated disk has a real store beside it: what that one says to a
 * reader must be what the model says, and is what the reader gets.
 */
#include "tests/sim/simstore_read.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
dyn_simreal_note(struct dyn_simreal *self, const char *format, ...)
{
	va_list arguments;

	if (self->drift[0] != 0)
		return;
	va_start(arguments, format);
	vsnprintf(self->drift, sizeof(self->drift), format, arguments);
	va_end(arguments);
}

/* ------------------------------------------------------------------- asking */

/* Records that the dice made unreadable are not asked for; those that the
 * model left out are, for the real one must leave them out as well. */
static void
ask_load(struct dyn_simjob *job, struct dyn_simreal *real)
{
	struct dyn_effect effect = job->request;
	uint32_t all = effect.load.key_count;
	struct dyn_record_key *keys = dyn_sim_allocate(all * sizeof(*keys));
	uint32_t count = 0;

	for (uint32_t i = 0; i < all; i++)
		if (i >= job->record_count || job->states[i] != DYN_LOADED_IO_ERROR)
			keys[count++] = effect.load.keys[i];
	effect.load.keys = keys;
	effect.load.key_count = count;
	job->answer = real->ops->read(real, &effect);
	free(keys);
}

void
dyn_simjob_ask(struct dyn_simjob *self, struct dyn_simreal *real)
{
	self->real = real;
	if (self->type == DYN_EFFECT_LOAD)
		ask_load(self, real);
	else
		self->answer = real->ops->read(real, &self->request);
}

/* ---------------------------------------------------------------- comparing */

static bool
is_same_loaded(const struct dyn_loaded *a, const struct dyn_loaded *b)
{
	return a->state == b->state && a->hash == b->hash &&
		   a->held_at_ms == b->held_at_ms && a->slots == b->slots &&
		   a->flags == b->flags && dyn_slice_equal(a->object, b->object);
}

static void
note_loaded(struct dyn_simjob *job, uint32_t index,
			const struct dyn_loaded *model, const struct dyn_loaded *real)
{
	const struct dyn_record_key *key = &job->records[index].key;

	dyn_simreal_note(job->real,
					 "LOAD of \"%.*s\", cell %u: state %d, hash %" PRIx64
					 " instead of %d, %" PRIx64 ", or other bytes",
					 (int) key->key.size, (const char *) key->key.data,
					 key->cell, real->state, real->hash, model->state,
					 model->hash);
}

/* Of those that the dice left out, the real one says nothing. */
static uint32_t
count_asked(const struct dyn_simjob *job)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < job->record_count; i++)
		count += job->states[i] != DYN_LOADED_IO_ERROR;
	return count;
}

void
dyn_simjob_match_load(struct dyn_simjob *self, struct dyn_loaded *records)
{
	const struct dyn_event *event = &self->answer.event;
	const struct dyn_loaded *real = event->loaded.records;

	if (event->type != DYN_EVENT_LOADED ||
		event->loaded.record_count != count_asked(self))
	{
		dyn_simreal_note(self->real, "LOAD: %u records instead of %u",
						 event->loaded.record_count, count_asked(self));
		return;
	}
	for (uint32_t i = 0; i < self->record_count; i++)
	{
		if (self->states[i] == DYN_LOADED_IO_ERROR)
			continue;
		if (!is_same_loaded(&records[i], real))
			note_loaded(self, i, &records[i], real);
		records[i] = *real++;
	}
}

static bool
is_same_item(const struct dyn_scanned *a, const struct dyn_scanned *b)
{
	return a->state == b->state && a->cell == b->cell && a->hash == b->hash &&
		   a->held_at_ms == b->held_at_ms && a->slots == b->slots &&
		   a->flags == b->flags && dyn_slice_equal(a->bucket, b->bucket) &&
		   dyn_slice_equal(a->key, b->key) &&
		   dyn_slice_equal(a->object, b->object);
}

static bool
is_same_page(const struct dyn_event *a, const struct dyn_event *b)
{
	if (a->scanned.status != b->scanned.status ||
		a->scanned.item_count != b->scanned.item_count ||
		a->scanned.end != b->scanned.end ||
		a->scanned.after_cell != b->scanned.after_cell ||
		a->scanned.after_damaged != b->scanned.after_damaged ||
		!dyn_slice_equal(a->scanned.after_bucket, b->scanned.after_bucket) ||
		!dyn_slice_equal(a->scanned.after_key, b->scanned.after_key))
		return false;
	for (uint32_t i = 0; i < a->scanned.item_count; i++)
		if (!is_same_item(&a->scanned.items[i], &b->scanned.items[i]))
			return false;
	return true;
}

static void
note_page(struct dyn_simjob *job, const struct dyn_event *model)
{
	const struct dyn_event *real = &job->answer.event;

	dyn_simreal_note(job->real,
					 "SCAN of cells %u to %u: status %d, %u items%s instead of "
					 "%d, %u%s, or other ones",
					 job->request.scan.cell_first, job->request.scan.cell_last,
					 real->scanned.status, real->scanned.item_count,
					 real->scanned.end ? ", the end" : "",
					 model->scanned.status, model->scanned.item_count,
					 model->scanned.end ? ", the end" : "");
}

static void
match_hashes(struct dyn_simjob *job, const struct dyn_event *model)
{
	const struct dyn_event *real = &job->answer.event;

	if (model->tree.status != real->tree.status ||
		model->tree.hash_count != real->tree.hash_count)
	{
		dyn_simreal_note(job->real, "TREE: status %d instead of %d",
						 real->tree.status, model->tree.status);
		return;
	}
	for (uint32_t i = 0; i < model->tree.hash_count; i++)
		if (model->tree.status == DYN_STATUS_OK &&
			model->tree.hashes[i] != real->tree.hashes[i])
			dyn_simreal_note(
				job->real,
				"TREE, level %d, node %u: hash %" PRIx64 " instead of %" PRIx64,
				job->request.tree.level, job->request.tree.nodes[i],
				real->tree.hashes[i], model->tree.hashes[i]);
}

void
dyn_simjob_match(struct dyn_simjob *self, struct dyn_event *event)
{
	const struct dyn_event *real = &self->answer.event;

	if (real->type != event->type)
	{
		dyn_simreal_note(self->real, "no answer");
		return;
	}
	if (event->type == DYN_EVENT_TREE)
		match_hashes(self, event);
	else if (!is_same_page(event, real))
		note_page(self, event);
	*event = *real;
}
