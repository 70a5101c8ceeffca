#include "tests/sim/simstore.h"

#include "tests/sim/simrandom.h"
#include "tests/sim/simstore_job.h"
#include "tests/sim/simstore_read.h"

#include <stdlib.h>
#include <string.h>

enum
{
	GROUP_MAX = 64 /* STOREs of one commit */
};

struct simstore
{
	struct dyn_store base;
	struct dyn_simdisk *disk;
	struct dyn_simstore_config config;
	struct dyn_simrandom random;
	dyn_store_complete complete;
	void *context;
	struct dyn_simjobs waiting; /* STOREs not begun */
	struct dyn_simjobs group; /* the commit in flight, ready at commit_at_ms */
	struct dyn_simjobs committed; /* done, STORED not delivered yet */
	struct dyn_simjobs reads;
	uint64_t commit_at_ms;
	uint64_t disk_read_us; /* when the modelled disk can read again */
	uint64_t serial_next;
	bool told_full; /* refused a STORE, or was opened full: WRITABLE is owed */
	bool failed;
};

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

/* All of them in one commit. */
static void
apply(struct simstore *self, const struct dyn_simjobs *jobs)
{
	struct dyn_simbatch *batches;
	uint32_t count = 0;

	for (const struct dyn_simjob *job = jobs->first; job; job = job->next)
		count++;
	if (count == 0)
		return;
	batches = dyn_sim_allocate(count * sizeof(*batches));
	count = 0;
	for (const struct dyn_simjob *job = jobs->first; job; job = job->next)
		batches[count++] = (struct dyn_simbatch){ job->tables, job->records,
												  job->record_count };
	dyn_simdisk_commit(self->disk, batches, count);
	free(batches);
}

/* A sync, and what the group's bytes take. */
static uint64_t
commit_ms(struct simstore *self)
{
	uint64_t bytes = 0;

	if (!is_modelled(self))
		return latency(self, self->config.commit_ms_max);
	for (const struct dyn_simjob *job = self->group.first; job; job = job->next)
		bytes += dyn_simjob_size(job);
	return self->config.disk_sync_ms + (transfer_us(self, bytes) + 999) / 1000;
}

static void
begin_group(struct simstore *self, uint64_t at_ms)
{
	uint64_t size = is_modelled(self)
						? GROUP_MAX
						: 1 + dyn_simrandom_below(&self->random, GROUP_MAX);

	for (; size > 0 && self->waiting.first != NULL; size--)
		dyn_simjobs_push(&self->group, dyn_simjobs_pop(&self->waiting));
	self->commit_at_ms = at_ms + commit_ms(self);
}

static void
finish_group(struct simstore *self)
{
	struct dyn_simjob *job;
	bool full = dyn_simdisk_is_full(self->disk);
	bool aborted = dyn_simrandom_chance(&self->random, self->config.abort_rate);
	enum dyn_status status = full      ? DYN_STATUS_FULL
							 : aborted ? DYN_STATUS_ABORTED
									   : DYN_STATUS_OK;

	if (status == DYN_STATUS_OK)
		apply(self, &self->group);
	while ((job = dyn_simjobs_pop(&self->group)) != NULL)
	{
		job->status = status;
		job->ready_at_ms = self->commit_at_ms;
		if (!is_modelled(self))
			job->ready_at_ms += latency(self, self->config.read_ms_max);
		dyn_simjobs_push(&self->committed, job);
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

static void
look(struct simstore *self, struct dyn_simjob *job)
{
	struct dyn_simreal *real = dyn_simdisk_real(self->disk);

	dyn_simjob_look(job, self->disk, &self->random, self->config.io_error_rate);
	if (real != NULL)
		dyn_simjob_ask(job, real);
}

/* Behind the reads before it, as long as its bytes take. */
static uint64_t
read_ms(struct simstore *self, const struct dyn_simjob *job)
{
	uint64_t now_us = now(self) * 1000;

	if (self->disk_read_us < now_us)
		self->disk_read_us = now_us;
	self->disk_read_us += transfer_us(self, dyn_simjob_size(job));
	return (self->disk_read_us - now_us) / 1000;
}

/* -------------------------------------------------------------------- submit */

static void
submit(struct dyn_store *store, const struct dyn_effect *effect)
{
	struct simstore *self = (struct simstore *) store;
	struct dyn_simjob *job = dyn_simjob_new(effect);

	advance(self);
	job->serial = self->serial_next++;
	if (effect->type == DYN_EFFECT_STORE)
	{
		dyn_simjobs_push(&self->waiting, job);
		return;
	}
	if (is_modelled(self))
	{
		look(self, job);
		job->ready_at_ms = now(self) + read_ms(self, job);
	}
	else
	{
		job->ready_at_ms = now(self) + latency(self, self->config.read_ms_max);
		/* A reader's snapshot is of any moment between question and answer. */
		if (dyn_simrandom_below(&self->random, 2) == 0)
			look(self, job);
	}
	dyn_simjobs_push(&self->reads, job);
}

/* ------------------------------------------------------------------- deliver */

static void
deliver(struct simstore *self, struct dyn_simjob *job)
{
	if (job->type == DYN_EFFECT_STORE)
		self->told_full |= job->status == DYN_STATUS_FULL;
	else if (!job->taken)
		look(self, job);
	dyn_simjob_tell(job, self->complete, self->context);
	dyn_simjob_free(job);
}

/* The next completion that is due, unlinked; NULL when there is none. */
static struct dyn_simjob *
next_due(struct simstore *self)
{
	struct dyn_simjob **place = NULL;
	struct dyn_simjob *job = self->committed.first;
	struct dyn_simjobs *from = &self->committed;

	if (job != NULL && job->ready_at_ms <= now(self))
		place = &self->committed.first;
	for (struct dyn_simjob **read = &self->reads.first; *read != NULL;
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
	dyn_simjobs_unlink(from, place);
	return job;
}

static bool
dispatch(struct dyn_store *store, const char **reason)
{
	struct simstore *self = (struct simstore *) store;
	struct dyn_simjob *job;

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
	for (const struct dyn_simjob *job = self->reads.first; job; job = job->next)
		if (job->ready_at_ms < deadline)
			deadline = job->ready_at_ms;
	return deadline;
}

/* ------------------------------------------------------------------ looking */

static const struct dyn_simrecord *
last_write(const struct dyn_simjobs *jobs, enum dyn_table table,
		   const struct dyn_record_key *key)
{
	const struct dyn_simrecord *last = NULL;

	for (const struct dyn_simjob *job = jobs->first; job; job = job->next)
		for (uint32_t i = 0; i < job->record_count; i++)
			if (job->tables[i] == table &&
				dyn_record_key_compare(&job->records[i].key, key) == 0)
				last = &job->records[i];
	return last;
}

const struct dyn_simrecord *
dyn_simstore_newest(const struct dyn_store *store, enum dyn_table table,
					const struct dyn_record_key *key)
{
	const struct simstore *self = (const struct simstore *) store;
	const struct dyn_simjobs *queues[] = { &self->waiting, &self->group,
										   &self->committed };

	for (int i = 0; i < 3; i++)
	{
		const struct dyn_simrecord *last = last_write(queues[i], table, key);

		if (last != NULL)
			return last;
	}
	return dyn_simdisk_get(self->disk, table, key);
}

/* ---------------------------------------------------------- open and close */

static int
wakeup_fd(struct dyn_store *store)
{
	return -1;
}

static enum dyn_status
list_meta(struct simstore *self, const struct dyn_allocator *allocator,
		  struct dyn_slice **names, struct dyn_slice **values, uint32_t *count)
{
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

static enum dyn_status
read_meta(struct dyn_store *store, const struct dyn_allocator *allocator,
		  struct dyn_slice **names, struct dyn_slice **values, uint32_t *count)
{
	struct simstore *self = (struct simstore *) store;
	struct dyn_simreal *real = dyn_simdisk_real(self->disk);

	if (real != NULL)
		return real->ops->read_meta(real, allocator, names, values, count);
	return list_meta(self, allocator, names, values, count);
}

static bool
count_records(struct dyn_store *store, enum dyn_table table, uint64_t *count)
{
	struct simstore *self = (struct simstore *) store;
	struct dyn_simreal *real = dyn_simdisk_real(self->disk);

	if (real != NULL)
		return real->ops->count(real, table, count);
	*count = dyn_simdisk_count(self->disk, table);
	return true;
}

static void
free_store(struct simstore *self)
{
	struct dyn_simreal *real = dyn_simdisk_real(self->disk);

	dyn_simjobs_free(&self->waiting);
	dyn_simjobs_free(&self->group);
	dyn_simjobs_free(&self->committed);
	dyn_simjobs_free(&self->reads);
	if (real != NULL)
		real->ops->close(real);
	free(self);
}

static void
close_store(struct dyn_store **store)
{
	struct simstore *self = (struct simstore *) *store;

	if (!dyn_simdisk_is_full(self->disk) && !self->failed)
	{
		apply(self, &self->group);
		apply(self, &self->waiting);
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
		apply(self, &self->group);
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
	dyn_simjobs_init(&self->waiting);
	dyn_simjobs_init(&self->group);
	dyn_simjobs_init(&self->committed);
	dyn_simjobs_init(&self->reads);
	if (dyn_simdisk_real(disk) != NULL)
		dyn_simdisk_real(disk)->ops->open(dyn_simdisk_real(disk));
	dyn_simdisk_drift(disk);
	return &self->base;
}
