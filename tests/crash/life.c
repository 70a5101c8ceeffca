#include "life.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "recorder.h"

void
crash_life_init(struct crash_life *self, uint64_t seed, const char *directory)
{
	*self = (struct crash_life){ .seed = seed, .directory = directory };
	crash_load_init(&self->load, seed);
}

void
crash_life_follow(struct crash_life *self, const struct crash_life *other,
				  const struct crash_file *image, uint32_t state)
{
	*self = (struct crash_life){ .seed = other->seed,
								 .number = other->number + 1,
								 .directory = other->directory,
								 .no_sync = other->no_sync,
								 .has_start = true };
	crash_load_follow(&self->load, &other->load, state,
					  other->seed * 1000 + self->number);
	crash_file_copy(&self->start, image);
}

void
crash_life_destroy(struct crash_life *self)
{
	crash_load_destroy(&self->load);
	crash_file_destroy(&self->start);
	crash_log_destroy(&self->log);
}

static bool
fail(struct crash_life *self, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(self->text, sizeof(self->text), format, arguments);
	va_end(arguments);
	return false;
}

struct crash_subject
crash_life_subject(struct crash_life *self)
{
	return (struct crash_subject){ .config = { .directory = self->directory,
											   .group_count_max =
												   self->load.habits.group_max,
											   .no_sync = self->no_sync },
								   .log = &self->log };
}

/* ---- recording ---- */

/*
 * True when the writer is about to touch the file, false when it has nothing
 * left to do.  (When it has told of a commit and has more to do, it will
 * arrive at once: its completions wait until then, so that the log does not
 * depend on who was faster.)
 */
static bool
wait_for_writer(struct crash_subject *subject)
{
	bool is_told = false;
	uint32_t waited_ms = 0;

	while (waited_ms < CRASH_WAIT_MS)
	{
		struct pollfd fds[2] = {
			{ .fd = crash_recorder_fd(), .events = POLLIN },
			{ .fd = subject->store->ops->wakeup_fd(subject->store),
			  .events = POLLIN }
		};

		if (crash_recorder_has_arrived())
			return true;
		if (crash_subject_is_done(subject))
			return false;
		/* It stays readable until its completions are dispatched. */
		if (is_told)
			waited_ms += poll(fds, 1, 1) == 0;
		else if (poll(fds, 2, CRASH_WAIT_MS) == 0)
			return false;
		is_told = is_told || fds[1].revents != 0;
	}
	return false;
}

static void
submit_one(struct crash_life *self, struct crash_subject *subject)
{
	struct dyn_write writes[CRASH_WRITES_MAX];
	uint32_t count = crash_load_next(&self->load, writes);

	crash_subject_submit(subject, writes, count);
}

/* A batch for an idle store, others while it writes, until it is idle. */
static bool
work(struct crash_life *self, struct crash_subject *subject)
{
	struct crash_load *load = &self->load;
	bool is_well = true;
	bool is_busy;

	submit_one(self, subject);
	do
	{
		is_busy = wait_for_writer(subject);
		is_well = crash_subject_dispatch(subject) && is_well;
		while (is_busy && load->batch_count < load->habits.batch_count &&
			   dyn_simrandom_chance(&load->random, load->habits.pipe_rate))
			submit_one(self, subject);
		if (is_busy)
			crash_recorder_release();
	} while (is_busy);
	if (is_well && subject->stored_count < subject->submitted_count)
	{
		snprintf(subject->text, sizeof(subject->text),
				 "the store stands still");
		return false;
	}
	return is_well;
}

static void
close_subject(struct crash_subject *subject)
{
	crash_recorder_let_pass();
	crash_subject_close(subject);
	crash_recorder_let_stop();
}

static bool
record(struct crash_life *self, struct crash_subject *subject)
{
	struct crash_load *load = &self->load;

	if (!crash_subject_open(subject, 0))
		return fail(self, "%s", subject->text);
	while (load->batch_count < load->habits.batch_count)
	{
		if (!work(self, subject))
		{
			close_subject(subject);
			return fail(self, "%s", subject->text);
		}
		if (!dyn_simrandom_chance(&load->random, load->habits.reopen_rate))
			continue;
		close_subject(subject);
		if (!crash_subject_open(subject, load->batch_count))
			return fail(self, "%s", subject->text);
	}
	close_subject(subject);
	return true;
}

/* The file must be what the log makes of it, or something went past. */
static bool
compare_file(struct crash_life *self)
{
	struct crash_disk disk;
	struct crash_file seen = { 0 };
	struct crash_file file = { 0 };
	bool is_same;

	crash_disk_init(&disk, &self->log, &self->start);
	crash_disk_advance(&disk, self->log.count);
	crash_disk_see(&disk, &seen);
	if (!crash_file_load(&file, self->directory))
		is_same = fail(self, "could not read the file: %s", strerror(errno));
	else
	{
		is_same = !seen.is_new && seen.size == file.size &&
				  memcmp(seen.bytes, file.bytes, seen.used_size) == 0;
		for (size_t i = seen.used_size; is_same && i < file.size; i++)
			is_same = file.bytes[i] == 0;
		if (!is_same)
			fail(self, "the file is not what its log makes of it");
	}
	crash_file_destroy(&seen);
	crash_file_destroy(&file);
	crash_disk_destroy(&disk);
	return is_same;
}

bool
crash_life_record(struct crash_life *self)
{
	struct crash_subject subject = crash_life_subject(self);
	bool is_recorded;

	if (!self->has_start)
		self->start.is_new = true;
	if (!crash_file_put(&self->start, self->directory))
		return fail(self, "could not write %s: %s", self->directory,
					strerror(errno));
	crash_recorder_begin(&self->log, self->directory, self->start.is_new);
	is_recorded = record(self, &subject);
	crash_recorder_end();
	return is_recorded && compare_file(self);
}
