#include "io/store_lmdb.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "core/memory.h"
#include "io/store_directory.h"
#include "io/store_env.h"
#include "io/store_read.h"
#include "io/store_write.h"

/* Readers of processes that died (somebody ran mdb_stat) pin old pages. */
#define READER_CHECK_MS 60000

/* A full store is writable again when this much fits, or an eighth of its
 * limit: with less it would be full at once. */
#define ROOM_WANTED     ((size_t) 1 << 20)
#define ROOM_WANTED_MAX ((size_t) 4 << 20)

/* A SCAN that waits for the reader thread, with all its bytes. */
struct scan_job
{
	struct scan_job *next;
	struct dyn_effect effect;
	uint8_t bytes[];
};

struct store
{
	struct dyn_store base;
	struct dyn_store_lmdb_config config;
	dyn_store_complete complete;
	void *context;
	int lock_fd;
	int wakeup_fd;
	struct dyn_store_env env;
	struct dyn_store_reader load_reader; /* the caller's thread */
	struct dyn_store_reader scan_reader; /* the reader thread */
	pthread_t writer;
	pthread_t reader;

	/* Only the writer thread. */
	struct dyn_store_batch **group;
	size_t room_wanted;
	bool needs_nudge; /* something was committed since the last one */
	uint64_t reader_check_ms;

	/* Below: under the mutex. */
	pthread_mutex_t mutex;
	pthread_cond_t writer_wakeup;
	pthread_cond_t reader_wakeup;
	struct dyn_store_batch *batches; /* first in, first out */
	struct dyn_store_batch **batches_tail;
	struct scan_job *scans;
	struct scan_job **scans_tail;
	struct dyn_store_completion *done;
	struct dyn_store_completion **done_tail;
	bool is_closing;
	bool is_full;
	bool has_failed;
	char failure[256];
	struct dyn_store_lmdb_stats stats;
};

/* ---- time ---- */

static struct timespec
now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time;
}

static uint64_t
now_us(clockid_t clock)
{
	struct timespec time = now(clock);

	return (uint64_t) time.tv_sec * 1000000 + (uint64_t) time.tv_nsec / 1000;
}

static uint64_t
now_ms(clockid_t clock)
{
	return now_us(clock) / 1000;
}

/* ---- completions; all under the mutex ---- */

static void
wake_caller(struct store *self)
{
	uint64_t one = 1;
	ssize_t done;

	/* EAGAIN: the counter stands at its end, which is readable too. */
	do
		done = write(self->wakeup_fd, &one, sizeof(one));
	while (done < 0 && errno == EINTR);
}

static void
push_done(struct store *self, struct dyn_store_completion *completion)
{
	if (self->done == NULL)
		wake_caller(self);
	*self->done_tail = completion;
	self->done_tail = &completion->next;
}

static void
push_stored(struct store *self, uint64_t token, enum dyn_status status)
{
	struct dyn_store_completion *completion =
		dyn_store_completion_new(DYN_EVENT_STORED);

	completion->event.stored.token = token;
	completion->event.stored.status = status;
	push_done(self, completion);
}

/* ---- the writer thread ---- */

/* For good: nothing is written after this. */
static void
fail(struct store *self, const char *what, int code)
{
	pthread_mutex_lock(&self->mutex);
	if (!self->has_failed)
		snprintf(self->failure, sizeof(self->failure), "%s failed: %s", what,
				 mdb_strerror(code));
	self->has_failed = true;
	wake_caller(self);
	pthread_mutex_unlock(&self->mutex);
}

static void
committed(struct store *self, struct dyn_store_batch *const *batches,
		  uint32_t count, uint64_t took_us)
{
	struct dyn_store_lmdb_stats *stats = &self->stats;
	uint64_t writes = 0;

	self->needs_nudge = true;
	pthread_mutex_lock(&self->mutex);
	for (uint32_t i = 0; i < count; i++)
	{
		writes += batches[i]->item_count;
		push_stored(self, batches[i]->token, DYN_STATUS_OK);
	}
	stats->stores += count;
	stats->writes += writes;
	stats->commits++;
	stats->syncs += !self->config.no_sync;
	stats->commit_us += took_us;
	if (stats->group_max < count)
		stats->group_max = count;
	pthread_mutex_unlock(&self->mutex);
}

static size_t
room_wanted(const struct store *self, size_t size)
{
	size_t most = self->env.map_size_max / 8;

	if (most > ROOM_WANTED_MAX)
		most = ROOM_WANTED_MAX;
	if (size < ROOM_WANTED)
		size = ROOM_WANTED;
	return size < most ? size : most;
}

static void
refuse_full(struct store *self, const struct dyn_store_batch *batch)
{
	self->room_wanted = room_wanted(
		self,
		2 * dyn_store_commit_size((struct dyn_store_batch *const *) &batch, 1));
	pthread_mutex_lock(&self->mutex);
	push_stored(self, batch->token, DYN_STATUS_FULL);
	self->stats.stores_full++;
	self->is_full = true;
	pthread_mutex_unlock(&self->mutex);
}

/*
 * One attempt.  A disk that is full in the middle of a commit (a file system
 * that does not keep what fallocate promised) leaves the last commit as it
 * was, unless LMDB says that it cannot be sure; then it refuses every later
 * transaction, and one is tried at once.
 */
static int
try_commit(struct store *self, struct dyn_store_batch *const *batches,
		   uint32_t count)
{
	uint64_t begin_us = now_us(CLOCK_MONOTONIC);
	int code = dyn_store_commit(&self->env, batches, count);
	int later;

	if (code == 0)
	{
		committed(self, batches, count, now_us(CLOCK_MONOTONIC) - begin_us);
		return 0;
	}
	if (dyn_store_env_fault(code) != DYN_STORE_FULL || code == MDB_MAP_FULL ||
		code == MDB_TXN_FULL)
		return code;
	later = dyn_store_try_room(&self->env, 1);
	return dyn_store_env_fault(later) == DYN_STORE_FATAL ? later : code;
}

/* Commit these, growing the map while that helps. */
static int
commit(struct store *self, struct dyn_store_batch *const *batches,
	   uint32_t count)
{
	for (;;)
	{
		int code = try_commit(self, batches, count);
		int grown;

		if (code != MDB_MAP_FULL)
			return code;
		grown = dyn_store_env_grow(&self->env,
								   dyn_store_commit_size(batches, count));
		if (grown != 0)
			return grown;
	}
}

/*
 * What does not fit as a whole is halved until it does, in order: a STORE is
 * all or none, and only one that does not fit alone is refused.
 */
static void
commit_or_halve(struct store *self, struct dyn_store_batch *const *batches,
				uint32_t count)
{
	int code;

	if (self->has_failed)
		return;
	code = commit(self, batches, count);
	switch (dyn_store_env_fault(code))
	{
		case DYN_STORE_FINE:
			return;
		case DYN_STORE_FATAL:
			fail(self, "a commit of the store", code);
			return;
		case DYN_STORE_FULL:
			break;
	}
	if (count == 1)
	{
		refuse_full(self, batches[0]);
		return;
	}
	commit_or_halve(self, batches, count / 2);
	commit_or_halve(self, batches + count / 2, count - count / 2);
}

/* A look costs no sync, but for one after each commit in a full store. */
static int
look_again(struct store *self)
{
	int code;

	if (self->needs_nudge)
	{
		code = dyn_store_nudge(&self->env);
		if (dyn_store_env_fault(code) == DYN_STORE_FATAL)
			return code;
		self->needs_nudge = code != 0;
	}
	code = dyn_store_try_room(&self->env, self->room_wanted);
	if (code == MDB_MAP_FULL)
		code = dyn_store_env_grow(&self->env, self->room_wanted);
	return code;
}

/* Is there room again? */
static void
probe(struct store *self)
{
	int code = look_again(self);

	switch (dyn_store_env_fault(code))
	{
		case DYN_STORE_FULL:
			return;
		case DYN_STORE_FATAL:
			fail(self, "a look for room in the store", code);
			return;
		case DYN_STORE_FINE:
			break;
	}
	pthread_mutex_lock(&self->mutex);
	self->is_full = false;
	push_done(self, dyn_store_completion_new(DYN_EVENT_STORE_WRITABLE));
	pthread_mutex_unlock(&self->mutex);
}

static void
check_readers(struct store *self)
{
	uint64_t time_ms = now_ms(CLOCK_MONOTONIC);
	int stale;

	if (time_ms < self->reader_check_ms)
		return;
	self->reader_check_ms = time_ms + READER_CHECK_MS;
	mdb_reader_check(self->env.mdb, &stale);
}

/* Refused before the commit; STORED keeps its place in the order because
 * the group ends before it. */
static void
refuse_batch(struct store *self, struct dyn_store_batch *batch)
{
	push_stored(self, batch->token, DYN_STATUS_ABORTED);
	self->stats.stores_queued--;
	dyn_store_batch_destroy(batch);
}

/* Under the mutex: what the next commit takes. */
static uint32_t
take_group(struct store *self)
{
	uint32_t count = 0;
	size_t size = 0;

	while (self->batches != NULL && count < self->config.group_count_max)
	{
		struct dyn_store_batch *batch = self->batches;

		if (count > 0 && (batch->is_refused ||
						  size + batch->size > self->config.group_size_max))
			break;
		self->batches = batch->next;
		if (self->batches == NULL)
			self->batches_tail = &self->batches;
		if (batch->is_refused)
		{
			refuse_batch(self, batch);
			continue;
		}
		self->group[count++] = batch;
		size += batch->size;
	}
	self->stats.stores_queued -= count;
	return count;
}

/* Under the mutex. Sleeps until there is something to do. */
static void
wait_for_batch(struct store *self)
{
	uint64_t wait_ms = self->is_full ? self->config.probe_ms : READER_CHECK_MS;
	struct timespec until = now(CLOCK_MONOTONIC);

	until.tv_sec += (time_t) (wait_ms / 1000);
	until.tv_nsec += (long) (wait_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000)
	{
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	while (self->batches == NULL && !self->is_closing)
		if (pthread_cond_timedwait(&self->writer_wakeup, &self->mutex,
								   &until) != 0)
			break;
}

static void
update_sizes(struct store *self)
{
	MDB_envinfo info;

	mdb_env_info(self->env.mdb, &info);
	pthread_mutex_lock(&self->mutex);
	self->stats.map_size = self->env.map_size;
	self->stats.used_size = (info.me_last_pgno + 1) * self->env.page_size;
	pthread_mutex_unlock(&self->mutex);
}

static void *
run_writer(void *argument)
{
	struct store *self = argument;
	uint64_t probe_at_ms = 0;
	bool go_on = true;

	while (go_on)
	{
		uint32_t count;
		bool is_full;

		pthread_mutex_lock(&self->mutex);
		wait_for_batch(self);
		count = take_group(self);
		is_full = self->is_full;
		go_on = !self->has_failed &&
				!(self->is_closing && count == 0 && self->batches == NULL);
		pthread_mutex_unlock(&self->mutex);

		if (count > 0)
			commit_or_halve(self, self->group, count);
		for (uint32_t i = 0; i < count; i++)
			dyn_store_batch_destroy(self->group[i]);
		if (is_full && go_on && now_ms(CLOCK_MONOTONIC) >= probe_at_ms)
		{
			probe(self);
			probe_at_ms = now_ms(CLOCK_MONOTONIC) + self->config.probe_ms;
		}
		check_readers(self);
		update_sizes(self);
	}
	return NULL;
}

/* ---- the reader thread ---- */

/* NULL when the store closes. */
static struct scan_job *
next_scan(struct store *self)
{
	struct scan_job *job;

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
	struct store *self = argument;
	struct scan_job *job;

	while ((job = next_scan(self)) != NULL)
	{
		uint64_t corrupt = 0;
		struct dyn_store_completion *completion =
			dyn_store_read_scan(&self->scan_reader, &job->effect, &corrupt);

		dyn_memory_give(job);
		pthread_mutex_lock(&self->mutex);
		self->stats.scans++;
		self->stats.corrupt += corrupt;
		push_done(self, completion);
		pthread_mutex_unlock(&self->mutex);
	}
	return NULL;
}

/* ---- submit ---- */

static void
submit_store(struct store *self, const struct dyn_effect *effect)
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
submit_load(struct store *self, const struct dyn_effect *effect)
{
	uint64_t corrupt = 0;
	struct dyn_store_completion *completion =
		dyn_store_read_load(&self->load_reader, effect, &corrupt);

	pthread_mutex_lock(&self->mutex);
	self->stats.loads += effect->load.key_count;
	self->stats.corrupt += corrupt;
	push_done(self, completion);
	pthread_mutex_unlock(&self->mutex);
}

static void
submit_scan(struct store *self, const struct dyn_effect *effect)
{
	struct dyn_slice *slices[5];
	struct scan_job *job;
	struct dyn_effect copy = *effect;
	size_t size = 0;

	slices[0] = &copy.scan.bucket;
	slices[1] = &copy.scan.after_key;
	slices[2] = &copy.scan.key_min;
	slices[3] = &copy.scan.key_max;
	slices[4] = &copy.scan.prefix;
	for (int i = 0; i < 5; i++)
		size += slices[i]->size;
	job = dyn_memory_take(sizeof(*job) + size);
	size = 0;
	for (int i = 0; i < 5; i++)
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
submit(struct dyn_store *base, const struct dyn_effect *effect)
{
	struct store *self = (struct store *) base;

	assert(effect->type == DYN_EFFECT_STORE ||
		   effect->type == DYN_EFFECT_LOAD || effect->type == DYN_EFFECT_SCAN);
	if (effect->type == DYN_EFFECT_STORE)
		submit_store(self, effect);
	else if (effect->type == DYN_EFFECT_LOAD)
		submit_load(self, effect);
	else
		submit_scan(self, effect);
}

/* ---- dispatch ---- */

static int
wakeup_fd(struct dyn_store *base)
{
	return ((struct store *) base)->wakeup_fd;
}

static struct dyn_store_completion *
take_done(struct store *self, bool *has_failed)
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
		wake_caller(self);
	pthread_mutex_unlock(&self->mutex);
	return done;
}

/* What a callback submits is delivered by the next call: no turn is endless. */
static bool
dispatch(struct dyn_store *base, const char **reason)
{
	struct store *self = (struct store *) base;
	bool has_failed;
	struct dyn_store_completion *done = take_done(self, &has_failed);
	uint64_t wall_ms = now_ms(CLOCK_REALTIME);

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
	struct store *self = (struct store *) base;

	return dyn_store_read_meta(&self->load_reader, allocator, names, values,
							   count);
}

void
dyn_store_lmdb_stats(struct dyn_store *base, struct dyn_store_lmdb_stats *out)
{
	struct store *self = (struct store *) base;

	pthread_mutex_lock(&self->mutex);
	*out = self->stats;
	out->writable = !self->is_full && !self->has_failed;
	pthread_mutex_unlock(&self->mutex);
}

/* ---- open and close ---- */

static void
free_lists(struct store *self)
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
destroy(struct store *self)
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
	struct store *self = (struct store *) *base;

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
												.close = close_store };

static struct store *
new_store(const struct dyn_store_lmdb_config *config)
{
	struct store *self = dyn_memory_take(sizeof(*self));
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

/* Signals are for the thread that runs the loop. */
static bool
start_threads(struct store *self, char *reason, size_t reason_size)
{
	sigset_t all;
	sigset_t old;
	int code;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	code = pthread_create(&self->writer, NULL, run_writer, self);
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

/* A store that is full at the start says so before the first STORE does. */
static void
look_for_room(struct store *self)
{
	int code;

	self->room_wanted = room_wanted(self, 0);
	code = look_again(self);
	self->is_full = dyn_store_env_fault(code) == DYN_STORE_FULL;
	self->needs_nudge = self->is_full;
	if (dyn_store_env_fault(code) == DYN_STORE_FATAL)
		fail(self, "a look for room in the store", code);
	update_sizes(self);
}

static enum dyn_status
open_store(struct store *self, const char *directory, char *reason,
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
		look_for_room(self);
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
	struct store *self = new_store(config);
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
