#include "tests/sim/simstore.h"

#include "tests/sim/simrandom.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum
{
	GROUP_MAX = 64,       /* STOREs of one commit */
	RECORD_OVERHEAD = 100 /* bytes, on the modelled disk */
};

/* One submitted effect on its way to a completion. */
struct job
{
	struct job *next;
	enum dyn_effect_type type;
	uint64_t token;
	uint64_t ready_at_ms;
	uint64_t serial; /* order among equals */

	/* STORE: the writes; LOAD and SCAN: what was found */
	enum dyn_table *tables;
	struct dyn_simrecord *records;
	enum dyn_loaded_state *states;
	uint32_t record_count;
	enum dyn_status status;

	uint64_t *hashes; /* TREE */

	/* LOAD, SCAN, TREE: the request, kept until the snapshot is taken */
	struct dyn_effect request;
	struct dyn_arena arena; /* of the request */
	bool taken;
	bool end;
	struct dyn_record_key last; /* SCAN: where it ended before the end */
};

/* A queue of jobs in order. */
struct queue
{
	struct job *first;
	struct job **last;
};

struct simstore
{
	struct dyn_store base;
	struct dyn_simdisk *disk;
	struct dyn_simstore_config config;
	struct dyn_simrandom random;
	dyn_store_complete complete;
	void *context;
	struct queue waiting;   /* STOREs not begun */
	struct queue group;     /* the commit in flight, ready at commit_at_ms */
	struct queue committed; /* done, STORED not delivered yet */
	struct queue reads;
	uint64_t commit_at_ms;
	uint64_t disk_read_us; /* when the modelled disk can read again */
	uint64_t serial_next;
	bool told_full; /* refused a STORE, or was opened full: WRITABLE is owed */
	bool failed;
};

/* ------------------------------------------------------------------- queues */

static void
queue_init(struct queue *self)
{
	self->first = NULL;
	self->last = &self->first;
}

static void
queue_push(struct queue *self, struct job *job)
{
	job->next = NULL;
	*self->last = job;
	self->last = &job->next;
}

static void
queue_unlink(struct queue *self, struct job **place)
{
	struct job *job = *place;

	*place = job->next;
	if (self->last == &job->next)
		self->last = place;
}

static struct job *
queue_pop(struct queue *self)
{
	struct job *job = self->first;

	if (job != NULL)
		queue_unlink(self, &self->first);
	return job;
}

static void
free_job(struct job *job)
{
	for (uint32_t i = 0; i < job->record_count; i++)
	{
		free((void *) job->records[i].key.bucket.data);
		dyn_simblob_release(job->records[i].object);
	}
	free((void *) job->last.bucket.data);
	free(job->records);
	free(job->states);
	free(job->hashes);
	free(job->tables);
	dyn_arena_destroy(&job->arena);
	free(job);
}

static void
queue_free(struct queue *self)
{
	struct job *job;

	while ((job = queue_pop(self)) != NULL)
		free_job(job);
}

/* -------------------------------------------------------------------- time */

static uint64_t
now(const struct simstore *self)
{
	return self->config.now_ms ? *self->config.now_ms : 0;
}

static uint64_t
latency(struct simstore *self, uint32_t max)
{
	if (self->config.now_ms == NULL)
		return 0;
	if (dyn_simrandom_chance(&self->random, self->config.slow_rate))
		max = self->config.slow_ms_max;
	return dyn_simrandom_below(&self->random, (uint64_t) max + 1);
}

static bool
is_modelled(const struct simstore *self)
{
	return self->config.disk_bytes_per_ms != 0;
}

static uint64_t
transfer_us(const struct simstore *self, uint64_t bytes)
{
	return bytes * 1000 / self->config.disk_bytes_per_ms;
}

/* ------------------------------------------------------------------- writer */

/* Bucket and key in one piece, owned through the bucket's pointer. */
static struct dyn_record_key
own_key(const struct dyn_record_key *key, bool meta)
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
take_writes(struct job *job, const struct dyn_effect *effect)
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
		record->key = own_key(&write->key, write->table == DYN_TABLE_META);
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

static void
apply_job(struct simstore *self, const struct job *job)
{
	for (uint32_t i = 0; i < job->record_count; i++)
		dyn_simdisk_put(self->disk, job->tables[i], &job->records[i]);
}

static uint64_t
bytes_of(const struct job *job)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < job->record_count; i++)
		bytes += RECORD_OVERHEAD + job->records[i].key.key.size +
				 (job->records[i].object ? job->records[i].object->size : 0);
	return bytes;
}

/* A sync, and what the group's bytes take. */
static uint64_t
commit_ms(struct simstore *self)
{
	uint64_t bytes = 0;

	if (!is_modelled(self))
		return latency(self, self->config.commit_ms_max);
	for (const struct job *job = self->group.first; job; job = job->next)
		bytes += bytes_of(job);
	return self->config.disk_sync_ms + (transfer_us(self, bytes) + 999) / 1000;
}

static void
begin_group(struct simstore *self, uint64_t at_ms)
{
	uint64_t size = is_modelled(self)
						? GROUP_MAX
						: 1 + dyn_simrandom_below(&self->random, GROUP_MAX);

	for (; size > 0 && self->waiting.first != NULL; size--)
		queue_push(&self->group, queue_pop(&self->waiting));
	self->commit_at_ms = at_ms + commit_ms(self);
}

static void
finish_group(struct simstore *self)
{
	struct job *job;
	bool full = dyn_simdisk_is_full(self->disk);
	bool aborted = dyn_simrandom_chance(&self->random, self->config.abort_rate);

	while ((job = queue_pop(&self->group)) != NULL)
	{
		job->status = full      ? DYN_STATUS_FULL
					  : aborted ? DYN_STATUS_ABORTED
								: DYN_STATUS_OK;
		if (job->status == DYN_STATUS_OK)
			apply_job(self, job);
		job->ready_at_ms = self->commit_at_ms;
		if (!is_modelled(self))
			job->ready_at_ms += latency(self, self->config.read_ms_max);
		queue_push(&self->committed, job);
	}
}

/* Let the writer do all that it would have done by now. */
static void
advance(struct simstore *self)
{
	if (self->failed)
		return;
	for (;;)
	{
		if (self->group.first != NULL)
		{
			if (self->commit_at_ms > now(self))
				return;
			finish_group(self);
			if (self->waiting.first != NULL)
				begin_group(self, self->commit_at_ms);
		}
		else if (self->waiting.first != NULL)
			begin_group(self, now(self));
		else
			return;
	}
}

/* ------------------------------------------------------------------- readers */

static void
add_found(struct job *job, const struct dyn_record_key *key,
		  const struct dyn_simrecord *record, enum dyn_loaded_state state,
		  bool hash_only)
{
	struct dyn_simrecord *found = &job->records[job->record_count];

	found->key = own_key(key, false);
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

static void
take_load(struct simstore *self, struct job *job)
{
	const struct dyn_effect *load = &job->request;
	uint32_t bytes_max = load->load.bytes_max;
	size_t bytes = 0;

	for (uint32_t i = 0;
		 i < load->load.key_count && (bytes_max == 0 || bytes < bytes_max); i++)
	{
		const struct dyn_record_key *key = &load->load.keys[i];
		const struct dyn_simrecord *record =
			dyn_simdisk_get(self->disk, load->load.table, key);
		enum dyn_loaded_state state = DYN_LOADED_FOUND;

		if (dyn_simrandom_chance(&self->random, self->config.io_error_rate))
			state = DYN_LOADED_IO_ERROR;
		else if (record == NULL)
			state = DYN_LOADED_ABSENT;
		else if (record->corrupt)
			state = DYN_LOADED_CORRUPT;
		add_found(job, key, record, state, load->load.hash_only);
		if (state == DYN_LOADED_FOUND && !load->load.hash_only)
			bytes += record->object->size;
	}
}

static bool
scan_wants(const struct dyn_effect *scan, struct dyn_slice key)
{
	struct dyn_slice prefix = scan->scan.prefix;

	if (scan->scan.key_min.size > 0 &&
		dyn_slice_compare(key, scan->scan.key_min) < 0)
		return false;
	if (scan->scan.key_max.size > 0 &&
		dyn_slice_compare(key, scan->scan.key_max) > 0)
		return false;
	return key.size >= prefix.size &&
		   (prefix.size == 0 ||
			memcmp(key.data, prefix.data, prefix.size) == 0);
}

static uint32_t
scan_start(const struct simstore *self, const struct dyn_effect *scan)
{
	enum dyn_table table = scan->scan.table;
	struct dyn_record_key from = { .bucket = scan->scan.bucket,
								   .cell = scan->scan.cell_first };
	uint32_t index;

	if (from.bucket.size == 0 && scan->scan.has_after)
		from.bucket = scan->scan.after_bucket;

	if (!scan->scan.has_after || scan->scan.after_cell < from.cell)
		return dyn_simdisk_seek(self->disk, table, &from);
	from.cell = scan->scan.after_cell;
	from.key = scan->scan.after_key;
	index = dyn_simdisk_seek(self->disk, table, &from);
	if (index < dyn_simdisk_count(self->disk, table) &&
		dyn_record_key_compare(&dyn_simdisk_at(self->disk, table, index)->key,
							   &from) == 0)
		index++;
	return index;
}

/* From this record to the first one at or after it in a bucket and a cell of
 * the range; the count of records when there is none. */
static uint32_t
scan_skip(const struct simstore *self, const struct dyn_effect *scan,
		  uint32_t index)
{
	uint32_t count = dyn_simdisk_count(self->disk, scan->scan.table);

	while (index < count)
	{
		struct dyn_record_key place =
			dyn_simdisk_at(self->disk, scan->scan.table, index)->key;
		bool is_named = scan->scan.bucket.size != 0;

		if (is_named && !dyn_slice_equal(place.bucket, scan->scan.bucket))
			return count;
		if (place.cell > scan->scan.cell_last && is_named)
			return count;
		if (place.cell >= scan->scan.cell_first &&
			place.cell <= scan->scan.cell_last)
			return index;
		place.key.size = 0;
		place.cell = place.cell < scan->scan.cell_first ? scan->scan.cell_first
														: DYN_CELL_COUNT;
		index = dyn_simdisk_seek(self->disk, scan->scan.table, &place);
	}
	return count;
}

/* A damaged record cannot tell what it is. */
static bool
passes_filter(const struct dyn_effect *scan, const struct dyn_simrecord *record)
{
	return scan->scan.flags == 0 || record->corrupt ||
		   (record->flags & scan->scan.flags) != 0;
}

/* False when the page has no place for it. */
static bool
scan_add(struct job *job, const struct dyn_simrecord *record, uint64_t *bytes)
{
	const struct dyn_effect *scan = &job->request;
	uint64_t size = record->key.key.size;

	if (!scan->scan.hash_only && !record->corrupt)
		size += record->object->size;
	if (job->record_count == scan->scan.items_max ||
		(job->record_count > 0 && *bytes + size > scan->scan.bytes_max))
		return false;
	*bytes += size;
	add_found(job, &record->key, record,
			  record->corrupt ? DYN_LOADED_CORRUPT : DYN_LOADED_FOUND,
			  scan->scan.hash_only);
	return true;
}

static void
take_scan(struct simstore *self, struct job *job)
{
	const struct dyn_effect *scan = &job->request;
	uint32_t count = dyn_simdisk_count(self->disk, scan->scan.table);
	const struct dyn_record_key *last = NULL;
	uint32_t visits = 0;
	uint64_t bytes = 0;

	job->end = true;
	for (uint32_t i = scan_start(self, scan); i < count; i++)
	{
		const struct dyn_simrecord *record;

		i = scan_skip(self, scan, i);
		if (i == count)
			return;
		record = dyn_simdisk_at(self->disk, scan->scan.table, i);
		if (!scan_wants(scan, record->key.key))
			continue;
		if ((scan->scan.visits_max != 0 && visits == scan->scan.visits_max) ||
			(passes_filter(scan, record) && !scan_add(job, record, &bytes)))
		{
			job->end = false;
			job->last = own_key(last, false);
			return;
		}
		visits++;
		last = &record->key;
	}
}

static void
take_tree(struct simstore *self, struct job *job)
{
	const struct dyn_effect *tree = &job->request;
	uint32_t all = dyn_tree_level_count(tree->tree.level);

	job->hashes =
		dyn_sim_allocate(tree->tree.node_count * sizeof(*job->hashes));
	job->status = DYN_STATUS_OK;
	for (uint32_t i = 0; i < tree->tree.node_count; i++)
		if (tree->tree.nodes[i] < all)
			job->hashes[i] = dyn_simdisk_tree_hash(self->disk, tree->tree.level,
												   tree->tree.nodes[i]);
		else
			job->status = DYN_STATUS_IO_ERROR;
}

static void
take_records(struct simstore *self, struct job *job)
{
	uint32_t max = job->type == DYN_EFFECT_LOAD ? job->request.load.key_count
												: job->request.scan.items_max;

	if (job->type == DYN_EFFECT_SCAN)
	{
		uint32_t all = dyn_simdisk_count(self->disk, job->request.scan.table);

		max = max < all ? max : all;
	}
	job->records = dyn_sim_allocate(max * sizeof(*job->records));
	job->states = dyn_sim_allocate(max * sizeof(*job->states));
	if (job->type == DYN_EFFECT_LOAD)
		take_load(self, job);
	else
		take_scan(self, job);
}

/* Read the disk as it is at this moment. */
static void
take_snapshot(struct simstore *self, struct job *job)
{
	job->taken = true;
	if (job->type == DYN_EFFECT_TREE)
		take_tree(self, job);
	else
		take_records(self, job);
}

/* Behind the reads before it, as long as its bytes take. */
static uint64_t
read_ms(struct simstore *self, const struct job *job)
{
	uint64_t now_us = now(self) * 1000;

	if (self->disk_read_us < now_us)
		self->disk_read_us = now_us;
	self->disk_read_us += transfer_us(self, bytes_of(job));
	return (self->disk_read_us - now_us) / 1000;
}

/* -------------------------------------------------------------------- submit */

static void
keep_slice(struct job *job, struct dyn_slice *slice)
{
	*slice = dyn_arena_copy(&job->arena, *slice);
}

static void
keep_request(struct job *job, const struct dyn_effect *effect)
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

static void
submit(struct dyn_store *store, const struct dyn_effect *effect)
{
	struct simstore *self = (struct simstore *) store;
	struct job *job = dyn_sim_allocate(sizeof(*job));

	advance(self);
	dyn_arena_init(&job->arena, dyn_allocator_malloc(), 512);
	job->type = effect->type;
	job->serial = self->serial_next++;
	if (effect->type == DYN_EFFECT_STORE)
	{
		job->token = effect->store.token;
		take_writes(job, effect);
		queue_push(&self->waiting, job);
		return;
	}
	assert(effect->type == DYN_EFFECT_LOAD || effect->type == DYN_EFFECT_SCAN ||
		   effect->type == DYN_EFFECT_TREE);
	job->token = effect->type == DYN_EFFECT_LOAD   ? effect->load.token
				 : effect->type == DYN_EFFECT_SCAN ? effect->scan.token
												   : effect->tree.token;
	keep_request(job, effect);
	if (is_modelled(self))
	{
		take_snapshot(self, job);
		job->ready_at_ms = now(self) + read_ms(self, job);
	}
	else
	{
		job->ready_at_ms = now(self) + latency(self, self->config.read_ms_max);
		/* A reader's snapshot is of any moment between question and answer. */
		if (dyn_simrandom_below(&self->random, 2) == 0)
			take_snapshot(self, job);
	}
	queue_push(&self->reads, job);
}

/* ------------------------------------------------------------------- deliver */

static void
deliver_load(struct simstore *self, struct job *job, struct dyn_event *event)
{
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
	event->type = DYN_EVENT_LOADED;
	event->loaded.token = job->token;
	event->loaded.records = records;
	event->loaded.record_count = job->record_count;
	self->complete(self->context, event);
	free(records);
}

static void
deliver_scan(struct simstore *self, struct job *job, struct dyn_event *event)
{
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
	event->type = DYN_EVENT_SCANNED;
	event->scanned.token = job->token;
	event->scanned.status = DYN_STATUS_OK;
	event->scanned.items = items;
	event->scanned.item_count = job->record_count;
	event->scanned.end = job->end;
	if (job->request.scan.bucket.size == 0)
		event->scanned.after_bucket = job->last.bucket;
	event->scanned.after_cell = job->last.cell;
	event->scanned.after_key = job->last.key;
	self->complete(self->context, event);
	free(items);
}

static void
deliver_tree(struct simstore *self, struct job *job, struct dyn_event *event)
{
	event->type = DYN_EVENT_TREE;
	event->tree.token = job->token;
	event->tree.status = job->status;
	event->tree.hashes = job->hashes;
	event->tree.hash_count = job->request.tree.node_count;
	self->complete(self->context, event);
}

static void
deliver(struct simstore *self, struct job *job)
{
	struct dyn_event event = { 0 };

	if (job->type == DYN_EFFECT_STORE)
	{
		event.type = DYN_EVENT_STORED;
		event.stored.token = job->token;
		event.stored.status = job->status;
		self->told_full |= job->status == DYN_STATUS_FULL;
		self->complete(self->context, &event);
	}
	else
	{
		if (!job->taken)
			take_snapshot(self, job);
		if (job->type == DYN_EFFECT_LOAD)
			deliver_load(self, job, &event);
		else if (job->type == DYN_EFFECT_TREE)
			deliver_tree(self, job, &event);
		else
			deliver_scan(self, job, &event);
	}
	free_job(job);
}

/* The next completion that is due, unlinked; NULL when there is none. */
static struct job *
next_due(struct simstore *self)
{
	struct job **place = NULL;
	struct job *job = self->committed.first;
	struct queue *from = &self->committed;

	if (job != NULL && job->ready_at_ms <= now(self))
		place = &self->committed.first;
	for (struct job **read = &self->reads.first; *read != NULL;
		 read = &(*read)->next)
	{
		if ((*read)->ready_at_ms > now(self))
			continue;
		if (place == NULL || (*read)->ready_at_ms < (*place)->ready_at_ms ||
			((*read)->ready_at_ms == (*place)->ready_at_ms &&
			 (*read)->serial < (*place)->serial))
		{
			place = read;
			from = &self->reads;
		}
	}
	if (place == NULL)
		return NULL;
	job = *place;
	queue_unlink(from, place);
	return job;
}

static bool
dispatch(struct dyn_store *store, const char **reason)
{
	struct simstore *self = (struct simstore *) store;
	struct job *job;

	for (;;)
	{
		if (self->failed)
		{
			*reason = "the simulated disk failed";
			return false;
		}
		advance(self);
		job = next_due(self);
		if (job == NULL)
			break;
		deliver(self, job);
	}
	if (self->told_full && !dyn_simdisk_is_full(self->disk))
	{
		struct dyn_event event = { .type = DYN_EVENT_STORE_WRITABLE };

		self->told_full = false;
		self->complete(self->context, &event);
	}
	return true;
}

uint64_t
dyn_simstore_deadline(const struct dyn_store *store)
{
	const struct simstore *self = (const struct simstore *) store;
	uint64_t deadline = UINT64_MAX;

	if (self->failed)
		return now(self);
	if (self->told_full && !dyn_simdisk_is_full(self->disk))
		return now(self);
	if (self->group.first != NULL)
		deadline = self->commit_at_ms;
	else if (self->waiting.first != NULL)
		deadline = now(self);
	if (self->committed.first != NULL &&
		self->committed.first->ready_at_ms < deadline)
		deadline = self->committed.first->ready_at_ms;
	for (const struct job *job = self->reads.first; job; job = job->next)
		if (job->ready_at_ms < deadline)
			deadline = job->ready_at_ms;
	return deadline;
}

/* ---------------------------------------------------------- open and close */

static int
wakeup_fd(struct dyn_store *store)
{
	return -1;
}

static enum dyn_status
read_meta(struct dyn_store *store, const struct dyn_allocator *allocator,
		  struct dyn_slice **names, struct dyn_slice **values, uint32_t *count)
{
	struct simstore *self = (struct simstore *) store;
	uint32_t all = dyn_simdisk_count(self->disk, DYN_TABLE_META);
	size_t size = (all ? all : 1) * sizeof(struct dyn_slice);

	*names = allocator->allocate(allocator->context, size);
	*values = allocator->allocate(allocator->context, size);
	if (*names == NULL || *values == NULL)
		return DYN_STATUS_NO_MEMORY;
	for (uint32_t i = 0; i < all; i++)
	{
		const struct dyn_simrecord *record =
			dyn_simdisk_at(self->disk, DYN_TABLE_META, i);
		struct dyn_slice parts[2] = { record->key.key,
									  dyn_simblob_slice(record->object) };

		for (int p = 0; p < 2; p++)
		{
			uint8_t *copy = allocator->allocate(
				allocator->context, parts[p].size ? parts[p].size : 1);

			if (copy == NULL)
				return DYN_STATUS_NO_MEMORY;
			memcpy(copy, parts[p].data, parts[p].size);
			parts[p].data = copy;
		}
		(*names)[i] = parts[0];
		(*values)[i] = parts[1];
	}
	*count = all;
	return DYN_STATUS_OK;
}

static bool
count_records(struct dyn_store *store, enum dyn_table table, uint64_t *count)
{
	*count = dyn_simdisk_count(((struct simstore *) store)->disk, table);
	return true;
}

static void
free_store(struct simstore *self)
{
	queue_free(&self->waiting);
	queue_free(&self->group);
	queue_free(&self->committed);
	queue_free(&self->reads);
	free(self);
}

static void
close_store(struct dyn_store **store)
{
	struct simstore *self = (struct simstore *) *store;
	const struct job *job;

	if (!dyn_simdisk_is_full(self->disk) && !self->failed)
	{
		for (job = self->group.first; job != NULL; job = job->next)
			apply_job(self, job);
		for (job = self->waiting.first; job != NULL; job = job->next)
			apply_job(self, job);
	}
	free_store(self);
	*store = NULL;
}

void
dyn_simstore_fail(struct dyn_store *store)
{
	((struct simstore *) store)->failed = true;
}

void
dyn_simstore_crash(struct dyn_store **store)
{
	struct simstore *self = (struct simstore *) *store;
	bool kept;

	advance(self);
	kept = dyn_simrandom_below(&self->random, 2) == 0 &&
		   !dyn_simdisk_is_full(self->disk);
	if (kept)
		for (const struct job *job = self->group.first; job; job = job->next)
			apply_job(self, job);
	free_store(self);
	*store = NULL;
}

struct dyn_store *
dyn_simstore_open(struct dyn_simdisk *disk,
				  const struct dyn_simstore_config *config,
				  dyn_store_complete complete, void *context)
{
	static const struct dyn_store_ops ops = {
		.submit = submit,
		.wakeup_fd = wakeup_fd,
		.dispatch = dispatch,
		.read_meta = read_meta,
		.count = count_records,
		.close = close_store,
	};
	struct simstore *self = dyn_sim_allocate(sizeof(*self));

	self->base.ops = &ops;
	self->disk = disk;
	self->config = *config;
	self->random = dyn_simrandom_stream(config->seed, 0x73746f7265);
	self->complete = complete;
	self->context = context;
	self->told_full = dyn_simdisk_is_full(disk);
	queue_init(&self->waiting);
	queue_init(&self->group);
	queue_init(&self->committed);
	queue_init(&self->reads);
	return &self->base;
}
