/*
 * The writer thread: which STOREs make a group, what happens when it does not
 * fit, and when a full store has room again.  The transaction is write.c's.
 */
#include "io/store/writer.h"

#include "io/clock.h"

/* Readers of processes that died (somebody ran mdb_stat) pin old pages. */
#define READER_CHECK_MS 60000

/* A full store is writable again when this much fits, or an eighth of its
 * limit: with less it would be full at once. */
#define ROOM_WANTED     ((size_t) 1 << 20)
#define ROOM_WANTED_MAX ((size_t) 4 << 20)

static void
committed(struct dyn_store_state *self, struct dyn_store_batch *const *batches,
		  uint32_t count, uint64_t took_us)
{
	struct dyn_store_lmdb_stats *stats = &self->stats;
	uint64_t writes = 0;

	self->needs_nudge = true;
	pthread_mutex_lock(&self->mutex);
	for (uint32_t i = 0; i < count; i++)
	{
		writes += batches[i]->item_count;
		dyn_store_state_push_stored(self, batches[i]->token, DYN_STATUS_OK);
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
room_wanted(const struct dyn_store_state *self, size_t size)
{
	size_t most = self->env.map_size_max / 8;

	if (most > ROOM_WANTED_MAX)
		most = ROOM_WANTED_MAX;
	if (size < ROOM_WANTED)
		size = ROOM_WANTED;
	return size < most ? size : most;
}

static void
refuse_full(struct dyn_store_state *self, const struct dyn_store_batch *batch)
{
	self->room_wanted = room_wanted(
		self,
		2 * dyn_store_commit_size((struct dyn_store_batch *const *) &batch, 1));
	pthread_mutex_lock(&self->mutex);
	dyn_store_state_push_stored(self, batch->token, DYN_STATUS_FULL);
	self->stats.stores_full++;
	self->is_full = true;
	pthread_mutex_unlock(&self->mutex);
}

/* Before a completion is told, so that whoever hears it sees its sizes. */
static void
update_sizes(struct dyn_store_state *self)
{
	MDB_envinfo info;

	mdb_env_info(self->env.mdb, &info);
	pthread_mutex_lock(&self->mutex);
	self->stats.map_size = self->env.map_size;
	self->stats.used_size = (info.me_last_pgno + 1) * self->env.page_size;
	pthread_mutex_unlock(&self->mutex);
}

/*
 * One attempt.  A disk that is full in the middle of a commit (a file system
 * that does not keep what fallocate promised) leaves the last commit as it
 * was, unless LMDB says that it cannot be sure; then it refuses every later
 * transaction, and one is tried at once.
 */
static int
try_commit(struct dyn_store_state *self, struct dyn_store_batch *const *batches,
		   uint32_t count, bool may_sweep)
{
	uint64_t begin_us = dyn_clock_us(CLOCK_MONOTONIC);
	int code = dyn_store_commit(&self->env, batches, count, may_sweep);
	int later;

	if (code == 0)
	{
		update_sizes(self);
		committed(self, batches, count,
				  dyn_clock_us(CLOCK_MONOTONIC) - begin_us);
		return 0;
	}
	if (dyn_store_env_fault(code) != DYN_STORE_FULL || code == MDB_MAP_FULL ||
		code == MDB_TXN_FULL)
		return code;
	later = dyn_store_try_room(&self->env, 1);
	return dyn_store_env_fault(later) == DYN_STORE_FATAL ? later : code;
}

/* Commit these, growing the map while that helps.  Sweeping the hash tree
 * takes pages that a STORE may need more. */
static int
commit(struct dyn_store_state *self, struct dyn_store_batch *const *batches,
	   uint32_t count)
{
	bool may_sweep = true;

	for (;;)
	{
		int code = try_commit(self, batches, count, may_sweep);
		int grown;

		if (code != MDB_MAP_FULL)
			return code;
		grown = dyn_store_env_grow(&self->env,
								   dyn_store_commit_size(batches, count));
		if (grown == 0)
			continue;
		if (!may_sweep || dyn_store_env_fault(grown) == DYN_STORE_FATAL)
			return grown;
		may_sweep = false;
	}
}

/*
 * What does not fit as a whole is halved until it does, in order: a STORE is
 * all or none, and only one that does not fit alone is refused.
 */
static void
commit_or_halve(struct dyn_store_state *self,
				struct dyn_store_batch *const *batches, uint32_t count)
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
			dyn_store_state_fail(self, "a commit of the store", code);
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
look_again(struct dyn_store_state *self)
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
probe(struct dyn_store_state *self)
{
	int code = look_again(self);

	switch (dyn_store_env_fault(code))
	{
		case DYN_STORE_FULL:
			return;
		case DYN_STORE_FATAL:
			dyn_store_state_fail(self, "a look for room in the store", code);
			return;
		case DYN_STORE_FINE:
			break;
	}
	pthread_mutex_lock(&self->mutex);
	self->is_full = false;
	dyn_store_state_push(self,
						 dyn_store_completion_new(DYN_EVENT_STORE_WRITABLE));
	pthread_mutex_unlock(&self->mutex);
}

static void
check_readers(struct dyn_store_state *self)
{
	uint64_t time_ms = dyn_clock_ms(CLOCK_MONOTONIC);
	int stale;

	if (time_ms < self->reader_check_ms)
		return;
	self->reader_check_ms = time_ms + READER_CHECK_MS;
	mdb_reader_check(self->env.mdb, &stale);
}

/* Refused before the commit; STORED keeps its place in the order because
 * the group ends before it. */
static void
refuse_batch(struct dyn_store_state *self, struct dyn_store_batch *batch)
{
	dyn_store_state_push_stored(self, batch->token, DYN_STATUS_ABORTED);
	self->stats.stores_queued--;
	dyn_store_batch_destroy(batch);
}

/* Under the mutex: what the next commit takes. */
static uint32_t
take_group(struct dyn_store_state *self)
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
wait_for_batch(struct dyn_store_state *self)
{
	uint64_t wait_ms = self->is_full ? self->config.probe_ms : READER_CHECK_MS;
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
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

void *
dyn_store_writer_run(void *argument)
{
	struct dyn_store_state *self = argument;
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
		if (is_full && go_on && dyn_clock_ms(CLOCK_MONOTONIC) >= probe_at_ms)
		{
			probe(self);
			probe_at_ms = dyn_clock_ms(CLOCK_MONOTONIC) + self->config.probe_ms;
		}
		check_readers(self);
	}
	return NULL;
}

void
dyn_store_writer_look(struct dyn_store_state *self)
{
	int code;

	self->room_wanted = room_wanted(self, 0);
	code = look_again(self);
	self->is_full = dyn_store_env_fault(code) == DYN_STORE_FULL;
	self->needs_nudge = self->is_full;
	if (dyn_store_env_fault(code) == DYN_STORE_FATAL)
		dyn_store_state_fail(self, "a look for room in the store", code);
	update_sizes(self);
}
