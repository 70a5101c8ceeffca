#include "verdict.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* A store is made within so many entries of its log. */
enum
{
	FIRST_ENTRIES = 15
};

const char *const crash_outcome_names[CRASH_OUTCOME_COUNT] = {
	[CRASH_FINE] = "fine",       [CRASH_REFUSED] = "refused",
	[CRASH_DAMAGED] = "damaged", [CRASH_OLD] = "old",
	[CRASH_MIXED] = "mixed",     [CRASH_WRONG] = "wrong",
	[CRASH_DIED] = "died",
};

/* ---- images ---- */

static struct dyn_simrandom
stream_of(const struct crash_life *self, uint32_t image, uint32_t purpose)
{
	return dyn_simrandom_stream(self->seed, ((uint64_t) self->number << 40) +
												((uint64_t) image << 8) +
												purpose);
}

/* Some write of a meta page; without any (a store that never syncs), some
 * entry. */
static uint32_t
find_meta(const struct crash_log *log, struct dyn_simrandom *random)
{
	uint32_t from = (uint32_t) dyn_simrandom_below(random, log->count);

	for (uint32_t i = 0; i < log->count; i++)
		if (log->entries[(from + i) % log->count].type == CRASH_WRITE_META)
			return (from + i) % log->count;
	return from;
}

/* Many of them around the moment at which a commit becomes true, and some of
 * the first life while the store is made. */
static uint32_t
position_of(const struct crash_life *self, uint32_t image)
{
	struct dyn_simrandom random = stream_of(self, image, 1);
	uint32_t meta = find_meta(&self->log, &random);
	uint32_t position;

	if (image >= CRASH_TORN_META)
		return meta + 1;
	if (!self->has_start && dyn_simrandom_chance(&random, 100000))
		return (uint32_t) dyn_simrandom_below(&random, FIRST_ENTRIES);
	if (dyn_simrandom_chance(&random, 500000))
		return (uint32_t) dyn_simrandom_between(&random, 0, self->log.count);
	position = meta + (uint32_t) dyn_simrandom_below(&random, 6);
	position = position < 2 ? 0 : position - 2;
	return position < self->log.count ? position : self->log.count;
}

static void
make_image(const struct crash_life *self, struct crash_disk *disk,
		   const struct crash_shot *shot, struct crash_file *file)
{
	struct dyn_simrandom random = stream_of(self, shot->image, 2);

	crash_disk_advance(disk, shot->position);
	if (shot->image >= CRASH_TORN_META)
		crash_disk_tear_meta(disk, &random, file);
	else
		crash_disk_tear(disk, &random, file);
}

void
crash_verdict_image(struct crash_life *self, const struct crash_shot *shot,
					struct crash_file *file)
{
	struct crash_disk disk;

	crash_disk_init(&disk, &self->log, &self->start);
	make_image(self, &disk, shot, file);
	crash_disk_destroy(&disk);
}

/* ---- the verdict ---- */

static void
judge_damage(const struct crash_subject *subject, struct crash_verdict *out)
{
	out->outcome = subject->is_wrong ? CRASH_WRONG : CRASH_DAMAGED;
	snprintf(out->text, sizeof(out->text), "%s", subject->text);
}

/* No state that it may be in: how far is it from the nearest one? */
static void
judge_difference(const struct crash_load *load,
				 const struct crash_subject *subject, uint32_t first,
				 uint32_t last, struct crash_verdict *out)
{
	uint64_t expected[CRASH_KEYS_MAX];
	uint32_t least = UINT32_MAX;

	out->outcome = CRASH_MIXED;
	for (uint32_t i = 0; i < load->habits.key_count; i++)
		if (!crash_load_was(load, i, subject->found[i]))
			out->outcome = CRASH_WRONG;
	for (uint32_t state = first; state <= last; state++)
	{
		uint32_t count = 0;
		uint32_t key = 0;

		crash_load_state(load, state, expected);
		for (uint32_t i = load->habits.key_count; i-- > 0;)
			if (expected[i] != subject->found[i])
			{
				count++;
				key = i;
			}
		if (count >= least)
			continue;
		least = count;
		snprintf(out->text, sizeof(out->text),
				 "%u keys are not as after %u of %u to %u batches, the first "
				 "is %u, which is %s",
				 count, state, first, last, key,
				 subject->found[key] == 0 ? "missing"
				 : expected[key] == 0     ? "there"
										  : "another");
	}
}

/* Everything in the store, from open to close. */
static bool
judge_content(struct crash_subject *subject, const struct crash_load *load,
			  uint32_t first, uint32_t last, struct dyn_simrandom *random,
			  struct crash_verdict *out)
{
	bool is_read;

	if (!crash_subject_open(subject, 0))
	{
		out->outcome = CRASH_REFUSED;
		snprintf(out->text, sizeof(out->text), "%s", subject->text);
		return false;
	}
	is_read = crash_subject_read(subject, load, random);
	crash_subject_close(subject);
	if (!is_read)
	{
		judge_damage(subject, out);
		return false;
	}
	if (crash_load_find_state(load, subject->found, first, last, &out->state))
	{
		out->outcome = CRASH_FINE;
		return true;
	}
	if (first > 0 &&
		crash_load_find_state(load, subject->found, 0, first - 1, &out->state))
	{
		out->outcome = CRASH_OLD;
		snprintf(out->text, sizeof(out->text),
				 "%u batches are there, %u were acknowledged", out->state,
				 first);
	}
	else
		judge_difference(load, subject, first, last, out);
	return false;
}

/* A store that came up must also take writes, and keep them. */
static void
judge_further(struct crash_life *self, struct crash_subject *subject,
			  struct dyn_simrandom *random, struct crash_verdict *out)
{
	struct crash_load load;
	struct dyn_write writes[CRASH_WRITES_MAX];
	uint32_t state = out->state;
	uint32_t count = (uint32_t) dyn_simrandom_between(random, 1, 4);
	bool is_well = true;

	crash_load_follow(&load, &self->load, state, dyn_simrandom_next(random));
	subject->is_new = false;
	if (!crash_subject_open(subject, 0))
		is_well = false;
	for (uint32_t i = 0; is_well && i < count; i++)
	{
		uint32_t write_count = crash_load_next(&load, writes);

		crash_subject_submit(subject, writes, write_count);
		is_well = crash_subject_finish(subject);
	}
	if (is_well)
	{
		crash_subject_close(subject);
		judge_content(subject, &load, count, count, random, out);
	}
	else
		judge_damage(subject, out);
	crash_load_destroy(&load);
	if (out->outcome != CRASH_FINE)
	{
		char text[CRASH_TEXT_SIZE];

		memcpy(text, out->text, sizeof(text));
		snprintf(out->text, sizeof(out->text), "%.300s (state %u, written on)",
				 text, state);
	}
	out->state = state;
}

static void
judge(struct crash_life *self, struct crash_disk *disk, struct crash_shot *shot,
	  struct crash_file *file)
{
	struct crash_subject subject = crash_life_subject(self);
	struct dyn_simrandom random = stream_of(self, shot->image, 3);
	struct crash_verdict *verdict = &shot->verdict;

	subject.log = NULL;
	make_image(self, disk, shot, file);
	verdict->pending_count = disk->pending_count;
	subject.is_new = file->is_new;
	if (!crash_file_put(file, self->directory))
	{
		perror(self->directory);
		_exit(1);
	}
	if (judge_content(&subject, &self->load, disk->stored_count,
					  disk->submitted_count, &random, verdict) &&
		shot->image < CRASH_TORN_META && dyn_simrandom_chance(&random, 250000))
		judge_further(self, &subject, &random, verdict);
}

/* ---- in processes of their own ---- */

/* Shared with the child, which goes as far as it can. */
struct docket
{
	uint32_t done_count;
	struct crash_shot shots[];
};

/* After an image that may be broken LMDB's memory may be, too. */
static void
judge_in_child(struct crash_life *self, struct docket *docket,
			   uint32_t shot_count)
{
	static const int deadly[] = { SIGSEGV, SIGBUS,  SIGABRT,
								  SIGFPE,  SIGTERM, SIGINT };
	struct crash_disk disk;
	struct crash_file file = { 0 };
	bool goes_on = true;

	for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++)
		signal(deadly[i], SIG_DFL);
	crash_disk_init(&disk, &self->log, &self->start);
	while (goes_on && docket->done_count < shot_count)
	{
		struct crash_shot *shot = &docket->shots[docket->done_count];

		alarm(120);
		goes_on = shot->image < CRASH_TORN_META;
		/* LMDB's last words about what must break are of no interest. */
		if ((!goes_on || self->is_quiet) &&
			freopen("/dev/null", "w", stderr) == NULL)
			_exit(1);
		judge(self, &disk, shot, &file);
		docket->done_count++;
	}
	_exit(0);
}

static void
judge_death(struct crash_verdict *out, int status)
{
	out->outcome = CRASH_DIED;
	snprintf(out->text, sizeof(out->text), "the process ended with %s %d",
			 WIFSIGNALED(status) ? "signal" : "code",
			 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static bool
judge_some(struct crash_life *self, struct docket *docket, uint32_t shot_count)
{
	int status = 0;
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child == 0)
		judge_in_child(self, docket, shot_count);
	while (child > 0 && waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			child = -1;
	if (child < 0)
	{
		perror("a process for the store");
		return false;
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		judge_death(&docket->shots[docket->done_count++].verdict, status);
	return true;
}

static int
compare_shots(const void *left, const void *right)
{
	const struct crash_shot *a = left;
	const struct crash_shot *b = right;

	if (a->position != b->position)
		return a->position < b->position ? -1 : 1;
	return a->image < b->image ? -1 : a->image > b->image;
}

bool
crash_verdict_reach(struct crash_life *self, struct crash_shot *shots,
					uint32_t shot_count,
					const volatile sig_atomic_t *is_stopped)
{
	size_t size = shot_count * sizeof(*shots);
	struct docket *docket =
		mmap(NULL, sizeof(*docket) + size, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bool is_done = docket != MAP_FAILED;

	if (!is_done)
		return false;
	for (uint32_t i = 0; i < shot_count; i++)
		shots[i].position = position_of(self, shots[i].image);
	/* A disk goes only forward. */
	qsort(shots, shot_count, sizeof(*shots), compare_shots);
	memcpy(docket->shots, shots, size);
	while (is_done && docket->done_count < shot_count)
		is_done = judge_some(self, docket, shot_count) && !*is_stopped;
	memcpy(shots, docket->shots, size);
	munmap(docket, sizeof(*docket) + size);
	return is_done;
}
