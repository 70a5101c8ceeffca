/*
 * The store on LMDB: one writer thread, group commit.
 *
 *     caller's thread   submit: LOAD and TREE are read at once, STORE and
 *                       SCAN are copied and queued; dispatch: completions
 *     writer thread     all STOREs that wait become one transaction and one
 *                       commit, synced; meanwhile the next ones gather
 *     reader thread     SCAN, one page at a time
 *
 * Only LMDB's default mode is used, in which a commit is on disk when it
 * returns and a crash at any point leaves the last commit whole.  Never
 * WRITEMAP: a full disk would be a SIGBUS.
 *
 * Space is taken from the file system (fallocate) before LMDB may use it,
 * and LMDB's map is as long as what was taken.  So a full disk, or the limit
 * map_size_max, always shows as a full map before anything is written, and
 * never in the middle of a commit.  A STORE that does not fit is refused,
 * others of its group are committed without it (writer.c).
 *
 * Any other failure of a commit is final: the sync that failed may have lost
 * pages that a second sync would call good.
 */
#include "io/store/store.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/memory.h"
#include "io/clock.h"
#include "io/store/directory.h"
#include "io/store/scan.h"
#include "io/store/state.h"
#include "io/store/tree_load.h"
#include "io/store/writer.h"

/* ---- the reader thread ---- */

/* NULL when the store closes. */
static struct dyn_store_scan_job *
next_scan(struct dyn_store_state *self)
{
	struct dyn_store_scan_job *job;

	pthread_mutex_lock(&self->mutex);
	while (self->scans == NULL && !self->is_closing)
		pthread_cond_wait(&self->reader_wakeup, &self->mutex);
	job = self->scans;
	if (job != NULL)
		self->scans = job->next;
	if (self->scans == NULL)
		self->scans_tail = &self->scans;
	pthread_mutex_unlock(&self->mutex);
	return job;
}

static void *
run_reader(void *argument)
{
	struct dyn_store_state *self = argument;
	struct dyn_store_scan_job *job;

	while ((job = next_scan(self)) != NULL)
	{
		uint64_t corrupt = 0;
		struct dyn_store_completion *completion =
			dyn_store_scan_page(&self->scan_reader, &job->effect, &corrupt);

		dyn_memory_give(job);
		pthread_mutex_lock(&self->mutex);
		self->stats.scans++;
		self->stats.corrupt += corrupt;
		dyn_store_state_push(self, completion);
		pthread_mutex_unlock(&self->mutex);
	}
	return NULL;
}

/* ---- submit ---- */

static void
submit_store(struct dyn_store_state *self, const struct dyn_effect *effect)
{
	struct dyn_store_batch *batch = dyn_store_batch_new(effect);

	pthread_mutex_lock(&self->mutex);
	*self->batches_tail = batch;
	self->batches_tail = &batch->next;
	self->stats.stores_queued++;
	pthread_cond_signal(&self->writer_wakeup);
	pthread_mutex_unlock(&self->mutex);
}

static void
submit_load(struct dyn_store_state *self, const struct dyn_effect *effect)
{
	uint64_t corrupt = 0;
	struct dyn_store_completion *completion =
		dyn_store_read_load(&self->load_reader, effect, &corrupt);

	pthread_mutex_lock(&self->mutex);
	self->stats.loads += completion->event.loaded.record_count;
	self->stats.corrupt += corrupt;
	dyn_store_state_push(self, completion);
	pthread_mutex_unlock(&self->mutex);
}

static void
submit_scan(struct dyn_store_state *self, const struct dyn_effect *effect)
{
	struct dyn_slice *slices[6];
	struct dyn_store_scan_job *job;
	struct dyn_effect copy = *effect;
	size_t size = 0;

	slices[0] = &copy.scan.bucket;
	slices[1] = &copy.scan.after_key;
	slices[2] = &copy.scan.key_min;
	slices[3] = &copy.scan.key_max;
	slices[4] = &copy.scan.prefix;
	slices[5] = &copy.scan.after_bucket;
	for (int i = 0; i < 6; i++)
		size += slices[i]->size;
	job = dyn_memory_take(sizeof(*job) + size);
	size = 0;
	for (int i = 0; i < 6; i++)
		if (slices[i]->size != 0)
		{
			memcpy(job->bytes + size, slices[i]->data, slices[i]->size);
			slices[i]->data = job->bytes + size;
			size += slices[i]->size;
		}
	job->effect = copy;
	pthread_mutex_lock(&self->mutex);
	*self->scans_tail = job;
	self->scans_tail = &job->next;
	pthread_cond_signal(&self->reader_wakeup);
	pthread_mutex_unlock(&self->mutex);
}

static void
submit_tree(struct dyn_store_state *self, const struct dyn_effect *effect)
{
	struct dyn_store_completion *completion =
		dyn_store_read_tree(&self->env.tree, effect);

	pthread_mutex_lock(&self->mutex);
	dyn_store_state_push(self, completion);
	pthread_mutex_unlock(&self->mutex);
}

static void
submit(struct dyn_store *base, const struct dyn_effect *effect)
{
	struct dyn_store_state *self = (struct dyn_store_state *) base;

	assert(effect->type == DYN_EFFECT_STORE ||
		   effect->type == DYN_EFFECT_LOAD || effect->type == DYN_EFFECT_SCAN ||
		   effect->type == DYN_EFFECT_TREE);
	if (effect->type == DYN_EFFECT_STORE)
		submit_store(self, effect);
	else if (effect->type == DYN_EFFECT_LOAD)
		submit_load(self, effect);
	else if (effect->type == DYN_EFFECT_SCAN)
		submit_scan(self, effect);
	else
		submit_tree(self, effect);
}

/* ---- dispatch ---- */

static int
wakeup_fd(struct dyn_store *base)
{
	return ((struct dyn_store_state *) base)->wakeup_fd;
}

static struct dyn_store_completion *
take_done(struct dyn_store_state *self, bool *has_failed)
{
	struct dyn_store_completion *done;
	uint64_t count;

	pthread_mutex_lock(&self->mutex);
	/* Under the mutex, so that no wakeup is lost between both. */
	if (read(self->wakeup_fd, &count, sizeof(count)) < 0)
		assert(errno == EAGAIN || errno == EINTR);
	done = self->done;
	self->done = NULL;
	self->done_tail = &self->done;
	*has_failed = self->has_failed;
	if (self->has_failed)
		dyn_store_state_wake(self);
	pthread_mutex_unlock(&self->mutex);
	return done;
}

/* What a callback submits is delivered by the next call: no turn is endless. */
static bool
dispatch(struct dyn_store *base, const char **reason)
{
	struct dyn_store_state *self = (struct dyn_store_state *) base;
	bool has_failed;
	struct dyn_store_completion *done = take_done(self, &has_failed);
	uint64_t wall_ms = dyn_clock_ms(CLOCK_REALTIME);

	while (done != NULL)
	{
		struct dyn_store_completion *next = done->next;

		done->event.wall_ms = wall_ms;
		self->complete(self->context, &done->event);
		dyn_store_completion_destroy(done);
		done = next;
	}
	if (has_failed)
		*reason = self->failure;
	return !has_failed;
}

static enum dyn_status
read_meta(struct dyn_store *base, const struct dyn_allocator *allocator,
		  struct dyn_slice **names, struct dyn_slice **values, uint32_t *count)
{
	struct dyn_store_state *self = (struct dyn_store_state *) base;

	return dyn_store_read_meta(&self->load_reader, allocator, names, values,
							   count);
}

static bool
count_records(struct dyn_store *base, enum dyn_table table, uint64_t *count)
{
	struct dyn_store_state *self = (struct dyn_store_state *) base;

	return dyn_store_read_count(&self->load_reader, table, count);
}

void
dyn_store_lmdb_stats(struct dyn_store *base, struct dyn_store_lmdb_stats *out)
{
	struct dyn_store_state *self = (struct dyn_store_state *) base;

	pthread_mutex_lock(&self->mutex);
	*out = self->stats;
	out->writable = !self->is_full && !self->has_failed;
	pthread_mutex_unlock(&self->mutex);
	dyn_store_tree_stats(&self->env.tree, &out->tree);
}

enum dyn_status
dyn_store_lmdb_check(struct dyn_store *base, struct dyn_store_tree_report *out)
{
	struct dyn_store_state *self = (struct dyn_store_state *) base;
	int code = dyn_store_reader_begin(&self->load_reader);

	if (code == 0)
	{
		code =
			dyn_store_tree_check(&self->env.tree, self->load_reader.txn, out);
		dyn_store_reader_end(&self->load_reader);
	}
	return code ? DYN_STATUS_IO_ERROR : DYN_STATUS_OK;
}

/* ---- open and close ---- */

static void
free_lists(struct dyn_store_state *self)
{
	while (self->done != NULL)
	{
		struct dyn_store_completion *next = self->done->next;

		dyn_store_completion_destroy(self->done);
		self->done = next;
	}
	while (self->batches != NULL)
	{
		struct dyn_store_batch *next = self->batches->next;

		dyn_store_batch_destroy(self->batches);
		self->batches = next;
	}
}

static void
destroy(struct dyn_store_state *self)
{
	free_lists(self);
	pthread_cond_destroy(&self->writer_wakeup);
	pthread_cond_destroy(&self->reader_wakeup);
	pthread_mutex_destroy(&self->mutex);
	if (self->wakeup_fd >= 0)
		close(self->wakeup_fd);
	dyn_store_directory_unlock(&self->lock_fd);
	dyn_memory_give(self->group);
	dyn_memory_give(self);
}

static void
close_store(struct dyn_store **base)
{
	struct dyn_store_state *self = (struct dyn_store_state *) *base;

	*base = NULL;
	pthread_mutex_lock(&self->mutex);
	self->is_closing = true;
	pthread_cond_signal(&self->writer_wakeup);
	pthread_cond_signal(&self->reader_wakeup);
	pthread_mutex_unlock(&self->mutex);
	pthread_join(self->writer, NULL);
	pthread_join(self->reader, NULL);
	dyn_store_reader_destroy(&self->load_reader);
	dyn_store_reader_destroy(&self->scan_reader);
	dyn_store_env_close(&self->env);
	destroy(self);
}

static const struct dyn_store_ops store_ops = { .submit = submit,
												.wakeup_fd = wakeup_fd,
												.dispatch = dispatch,
												.read_meta = read_meta,
												.count = count_records,
												.close = close_store };

static struct dyn_store_state *
new_store(const struct dyn_store_lmdb_config *config)
{
	struct dyn_store_state *self = dyn_memory_take(sizeof(*self));
	pthread_condattr_t attributes;

	self->base.ops = &store_ops;
	self->config = *config;
	self->config.directory = NULL; /* the caller's */
	if (self->config.map_size_max == 0)
		self->config.map_size_max = (size_t) 1 << 40;
	if (self->config.group_count_max == 0)
		self->config.group_count_max = 4096;
	if (self->config.group_size_max == 0)
		self->config.group_size_max = (size_t) 16 << 20;
	if (self->config.probe_ms == 0)
		self->config.probe_ms = 1000;
	self->group = dyn_memory_take(self->config.group_count_max *
								  sizeof(struct dyn_store_batch *));
	self->lock_fd = -1;
	self->wakeup_fd = -1;
	self->batches_tail = &self->batches;
	self->scans_tail = &self->scans;
	self->done_tail = &self->done;
	pthread_mutex_init(&self->mutex, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&self->writer_wakeup, &attributes);
	pthread_cond_init(&self->reader_wakeup, &attributes);
	pthread_condattr_destroy(&attributes);
	return self;
}

/* Signals are for the thread that runs the loop, but those of a crash: LMDB
 * crashes here at a damaged page, and whoever watches for that must hear it. */
static void
fill_signals(sigset_t *set)
{
	static const int numbers[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL };

	sigfillset(set);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		sigdelset(set, numbers[i]);
}

static bool
start_threads(struct dyn_store_state *self, char *reason, size_t reason_size)
{
	sigset_t most;
	sigset_t old;
	int code;

	fill_signals(&most);
	pthread_sigmask(SIG_SETMASK, &most, &old);
	code = pthread_create(&self->writer, NULL, dyn_store_writer_run, self);
	if (code == 0)
	{
		code = pthread_create(&self->reader, NULL, run_reader, self);
		if (code != 0)
		{
			self->is_closing = true;
			pthread_cond_signal(&self->writer_wakeup);
			pthread_join(self->writer, NULL);
		}
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (code == 0)
	{
		pthread_setname_np(self->writer, "store-writer");
		pthread_setname_np(self->reader, "store-reader");
		return true;
	}
	snprintf(reason, reason_size, "could not start a thread: %s",
			 strerror(code));
	return false;
}

static enum dyn_status
open_store(struct dyn_store_state *self, const char *directory, char *reason,
		   size_t reason_size)
{
	enum dyn_status status = dyn_store_directory_lock(directory, &self->lock_fd,
													  reason, reason_size);

	if (status != DYN_STATUS_OK)
		return status;
	self->wakeup_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (self->wakeup_fd < 0)
	{
		snprintf(reason, reason_size, "could not make an eventfd: %s",
				 strerror(errno));
		return DYN_STATUS_IO_ERROR;
	}
	status =
		dyn_store_env_open(&self->env, directory, self->config.map_size_max,
						   self->config.no_sync, reason, reason_size);
	if (status != DYN_STATUS_OK)
		return status;
	status = dyn_store_directory_sync(directory, reason, reason_size);
	if (status == DYN_STATUS_OK)
	{
		dyn_store_writer_look(self);
		dyn_store_reader_init(&self->load_reader, &self->env);
		dyn_store_reader_init(&self->scan_reader, &self->env);
		if (!start_threads(self, reason, reason_size))
			status = DYN_STATUS_IO_ERROR;
	}
	if (status != DYN_STATUS_OK)
		dyn_store_env_close(&self->env);
	return status;
}

enum dyn_status
dyn_store_lmdb_open(const struct dyn_store_lmdb_config *config,
					dyn_store_complete complete, void *context,
					struct dyn_store **out, char *reason, size_t reason_size)
{
	struct dyn_store_state *self = new_store(config);
	enum dyn_status status;

	self->complete = complete;
	self->context = context;
	status = open_store(self, config->directory, reason, reason_size);
	if (status != DYN_STATUS_OK)
	{
		destroy(self);
		return status;
	}
	*out = &self->base;
	return DYN_STATUS_OK;
}
