/*
 * Crash images: a power cut at any moment, as the store may find its file
 * afterwards.
 *
 * The store on LMDB takes random batches while every write and sync of its
 * file is recorded.  From the log come files as a crash may leave them
 * (disk.h), and each is opened by the store: every batch that it had
 * acknowledged must be there whole, later ones whole and in order or not at
 * all, every checksum right, the tree that of the records; and it must take
 * writes.  Some images are the beginning of a further life.
 *
 *     log.h       what happened to the file
 *     recorder.h  how it gets into the log
 *     disk.h      what a crash leaves of it
 *     load.h      batches, and what should be stored after each
 *     subject.h   the store, and what is stored
 *     life.h      one recording
 *     verdict.h   its images, and what becomes of them
 *
 * Whether it would notice anything is tested too: four stores that lie about
 * what they have synced must be found out.
 */
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/clock.h"
#include "scratch.h"
#include "verdict.h"

enum
{
	LIVES = 3,               /* of a seed */
	IMAGES_PER_LIFE = 100,   /* torn at sector borders */
	TORN_META_PER_LIFE = 10, /* torn within the meta sector */
	IMAGES_MAX = IMAGES_PER_LIFE + TORN_META_PER_LIFE,
	LIE_IMAGES_PER_SEED = 25,
	LIE_IMAGES_MAX = 500, /* until a lie must be found out */
	TOLD_MAX = 10         /* failures that are printed */
};

struct options
{
	uint64_t seed;
	uint32_t image_count;
	bool is_first; /* one failure is enough */
	bool is_replay;
	uint32_t life; /* to replay */
	uint32_t image;
	const char *keep;
	const char *csv;
};

/* What was seen so far. */
struct tally
{
	uint32_t lives;
	uint32_t batches;
	uint64_t entries;
	uint32_t images;                        /* torn at sector borders */
	uint32_t outcomes[CRASH_OUTCOME_COUNT]; /* of them */
	uint32_t torn_images;                   /* ... within the meta sector */
	uint32_t torn_outcomes[CRASH_OUTCOME_COUNT];
	uint32_t record_failures;
	uint32_t failures;
	uint32_t torn_failures;
};

/* What to do with one seed. */
struct task
{
	uint64_t seed;
	enum crash_lie lie;
	uint32_t image_count;
	const struct options *replay; /* or NULL */
	bool is_quiet;
	struct tally *tally;
};

static char *directory;
static volatile sig_atomic_t was_told_to_stop;

static void
stop(int number)
{
	was_told_to_stop = 1;
}

static void
clean_up(void)
{
	scratch_remove(directory);
	directory = NULL;
}

/* ---- one life and its images ---- */

static void
tell(const struct crash_life *life, const struct crash_shot *shot)
{
	unsigned long long seed = life->seed;

	printf("# %s: seed %llu life %u image %u, crash at entry %u of %u with %u "
		   "writes not synced%s%s\n"
		   "# replay: build/crash-images --replay %llu.%u.%u\n",
		   crash_outcome_names[shot->verdict.outcome], seed, life->number,
		   shot->image, shot->position, life->log.count,
		   shot->verdict.pending_count,
		   shot->verdict.text[0] != '\0' ? ": " : "", shot->verdict.text, seed,
		   life->number, shot->image);
}

static void
count(const struct task *task, const struct crash_life *life,
	  const struct crash_shot *shot)
{
	struct tally *tally = task->tally;
	enum crash_outcome outcome = shot->verdict.outcome;
	bool is_torn = shot->image >= CRASH_TORN_META;
	bool is_failure = is_torn ? outcome == CRASH_WRONG : outcome != CRASH_FINE;

	*(is_torn ? &tally->torn_images : &tally->images) += 1;
	(is_torn ? tally->torn_outcomes : tally->outcomes)[outcome]++;
	*(is_torn ? &tally->torn_failures : &tally->failures) += is_failure;
	if ((task->replay != NULL && task->replay->image == shot->image) ||
		(is_failure && !task->is_quiet &&
		 tally->failures + tally->torn_failures <= TOLD_MAX))
		tell(life, shot);
}

/* For whoever wants to look at it. */
static void
keep(const struct task *task, struct crash_life *life,
	 const struct crash_shot *shot)
{
	const struct options *options = task->replay;
	struct crash_file file = { 0 };

	if (options == NULL || options->keep == NULL ||
		options->life != life->number || options->image != shot->image)
		return;
	crash_verdict_image(life, shot, &file);
	if (crash_file_save(&file, options->keep))
		printf("# kept as %s\n", options->keep);
	else
		perror(options->keep);
	crash_file_destroy(&file);
}

/* Is image 0 among them, and fine?  Then the next life begins there. */
static bool
judge_images(const struct task *task, struct crash_life *life,
			 const uint32_t *images, uint32_t image_count,
			 struct crash_file *next, uint32_t *next_state)
{
	struct crash_shot shots[IMAGES_MAX] = { 0 };
	bool goes_on = false;

	for (uint32_t i = 0; i < image_count; i++)
		shots[i].image = images[i];
	if (!crash_verdict_reach(life, shots, image_count, &was_told_to_stop))
		return false;
	for (uint32_t i = 0; i < image_count; i++)
	{
		count(task, life, &shots[i]);
		keep(task, life, &shots[i]);
		if (shots[i].image != 0)
			continue;
		crash_verdict_image(life, &shots[i], next);
		*next_state = shots[i].verdict.state;
		goes_on = shots[i].verdict.outcome == CRASH_FINE;
	}
	return goes_on;
}

static bool
record(const struct task *task, struct crash_life *life)
{
	struct tally *tally = task->tally;

	life->no_sync = task->lie == CRASH_NO_SYNC;
	life->is_quiet = task->is_quiet;
	tally->lives++;
	if (!crash_life_record(life))
	{
		tally->record_failures++;
		printf("# seed %llu life %u: %s\n", (unsigned long long) life->seed,
			   life->number, life->text);
		return false;
	}
	tally->entries += life->log.count;
	tally->batches += life->load.batch_count;
	crash_log_tell(&life->log, task->lie);
	return true;
}

/* Image 0 first: a life hangs on it. */
static uint32_t
choose_images(const struct task *task, uint32_t life,
			  uint32_t images[IMAGES_MAX])
{
	uint32_t done = life * IMAGES_PER_LIFE;
	uint32_t total = 0;

	if (task->replay != NULL)
	{
		if (life < task->replay->life)
			images[total++] = 0;
		else if (life == task->replay->life)
			images[total++] = task->replay->image;
		return total;
	}
	for (uint32_t i = 0; i < IMAGES_PER_LIFE && done + i < task->image_count;
		 i++)
		images[total++] = i;
	if (total > 0 && task->lie == CRASH_TRUTH)
		for (uint32_t i = 0; i < TORN_META_PER_LIFE; i++)
			images[total++] = CRASH_TORN_META + i;
	return total;
}

/* All lives of a seed. */
static void
run_seed(const struct task *task)
{
	static struct crash_life lives[LIVES];
	uint32_t images[IMAGES_MAX];
	bool goes_on = true;
	uint32_t begun = 1;

	crash_life_init(&lives[0], task->seed, directory);
	for (uint32_t i = 0; goes_on && i < LIVES && !was_told_to_stop; i++)
	{
		uint32_t image_count = choose_images(task, i, images);
		struct crash_file image = { 0 };
		uint32_t state;

		goes_on =
			image_count > 0 && record(task, &lives[i]) &&
			judge_images(task, &lives[i], images, image_count, &image, &state);
		if (goes_on && i + 1 < LIVES)
			crash_life_follow(&lives[begun++], &lives[i], &image, state);
		crash_file_destroy(&image);
	}
	for (uint32_t i = 0; i < begun; i++)
		crash_life_destroy(&lives[i]);
}

/* ---- the tests ---- */

static uint32_t test_count;
static uint32_t failed_count;

static void
test(bool passed, const char *claim)
{
	if (was_told_to_stop)
		return;
	printf("%sok %u - %s\n", passed ? "" : "not ", ++test_count, claim);
	failed_count += !passed;
}

static void
print_outcomes(const char *what, uint32_t image_count,
			   const uint32_t outcomes[CRASH_OUTCOME_COUNT])
{
	printf("# %u images %s:", image_count, what);
	for (int i = 0; i < CRASH_OUTCOME_COUNT; i++)
		if (outcomes[i] > 0)
			printf(" %u %s", outcomes[i], crash_outcome_names[i]);
	printf("\n");
}

static double
seconds(void)
{
	return (double) dyn_clock_us(CLOCK_MONOTONIC) / 1e6;
}

static void
write_csv(const struct options *options, const struct tally *tally,
		  double took_s)
{
	FILE *file;

	if (options->csv == NULL)
		return;
	file = fopen(options->csv, "a");
	if (file == NULL)
	{
		perror(options->csv);
		failed_count++;
		return;
	}
	fprintf(file, "crash-images,%llu,%u,%u,%u,%.1f\n",
			(unsigned long long) options->seed, tally->images,
			tally->torn_images,
			tally->record_failures + tally->failures + tally->torn_failures,
			took_s);
	fclose(file);
}

static bool
is_same_log_twice(uint64_t seed)
{
	uint64_t hashes[2];

	for (int i = 0; i < 2; i++)
	{
		static struct crash_life life;

		crash_life_init(&life, seed, directory);
		if (!crash_life_record(&life))
			printf("# seed %llu: %s\n", (unsigned long long) seed, life.text);
		hashes[i] = life.text[0] == '\0' ? crash_log_hash(&life.log) : 0;
		crash_life_destroy(&life);
	}
	return hashes[0] == hashes[1] && hashes[0] != 0;
}

static void
test_images(const struct options *options)
{
	struct tally tally = { 0 };
	uint64_t seed = options->seed;
	double begin_s = seconds();
	double took_s;

	while (tally.images < options->image_count && tally.record_failures == 0 &&
		   !(options->is_first && tally.failures > 0) && !was_told_to_stop)
	{
		struct task task = { .seed = seed++,
							 .image_count = options->image_count - tally.images,
							 .tally = &tally };

		run_seed(&task);
	}
	took_s = seconds() - begin_s;
	printf("# seeds %llu to %llu: %u lives, %u batches, %llu log entries, "
		   "%.1f s\n",
		   (unsigned long long) options->seed, (unsigned long long) seed - 1,
		   tally.lives, tally.batches, (unsigned long long) tally.entries,
		   took_s);
	print_outcomes("torn at sector borders", tally.images, tally.outcomes);
	print_outcomes("torn within the meta sector", tally.torn_images,
				   tally.torn_outcomes);
	write_csv(options, &tally, took_s);
	test(tally.record_failures == 0,
		 "the store works, and all that it does to its file is in the log");
	test(tally.failures == 0, "a crash loses nothing that was acknowledged, "
							  "and leaves no batch in part");
	test(tally.torn_failures == 0,
		 "a meta sector torn in itself brings up what was once written, or "
		 "nothing");
}

static void
test_lie(const struct options *options, enum crash_lie lie, const char *claim)
{
	struct tally tally = { 0 };
	uint64_t seed = options->seed;

	while (tally.failures == 0 && tally.images < LIE_IMAGES_MAX &&
		   !was_told_to_stop)
	{
		struct task task = { .seed = seed++,
							 .lie = lie,
							 .image_count = LIE_IMAGES_PER_SEED,
							 .is_quiet = true,
							 .tally = &tally };

		run_seed(&task);
		if (tally.record_failures > 0)
			break;
	}
	print_outcomes("of this store", tally.images, tally.outcomes);
	test(tally.failures > 0, claim);
}

static void
run_tests(const struct options *options)
{
	printf("1..%u\n", options->is_first ? 4 : 8);
	printf("# seed %llu, %u images\n", (unsigned long long) options->seed,
		   options->image_count);
	test(is_same_log_twice(options->seed), "one seed records one log");
	test_images(options);
	if (options->is_first)
		return;
	test_lie(options, CRASH_NO_SYNC, "a store that never syncs is found out");
	test_lie(options, CRASH_LATE_SYNC,
			 "a store that syncs data after the meta page is found out");
	test_lie(options, CRASH_LAZY_META,
			 "a store that does not sync its meta pages is found out");
	test_lie(options, CRASH_EARLY_REPLY,
			 "a store that answers before the commit is found out");
}

static void
replay(const struct options *options)
{
	struct tally tally = { 0 };
	struct task task = { .seed = options->seed,
						 .replay = options,
						 .tally = &tally };

	run_seed(&task);
	failed_count = tally.failures + tally.torn_failures +
				   tally.record_failures +
				   (tally.images + tally.torn_images != options->life + 1);
}

/* ---- the command line ---- */

static const char usage_text[] =
	"usage: crash-images [--images N] [--seed S] [--first] [--csv FILE]\n"
	"       crash-images --replay SEED.LIFE.IMAGE [--keep FILE]\n"
	"\n"
	"  --images N    how many crash images to make (default 5000)\n"
	"  --seed S      the first seed (default 1)\n"
	"  --first       no more seeds after a failure, and no lies\n"
	"  --csv FILE    append: crash-images, seed, images torn at sector\n"
	"                borders, images torn within the meta sector, failures,\n"
	"                seconds\n"
	"  --replay ...  one image again, as a failure names it\n"
	"  --keep FILE   write that image there\n";

static bool
read_number(const char *text, uint64_t *out)
{
	char *end;

	*out = strtoull(text, &end, 10);
	return end != text && *end == '\0' && *text != '-';
}

static bool
read_replay(const char *text, struct options *options)
{
	unsigned long long seed;
	char rest;

	options->is_replay = true;
	if (sscanf(text, "%llu.%u.%u%c", &seed, &options->life, &options->image,
			   &rest) != 3)
		return false;
	options->seed = seed;
	return options->life < LIVES;
}

static bool
read_options(int count, char **words, struct options *options)
{
	static const struct option known[] = {
		{ "images", required_argument, NULL, 'i' },
		{ "seed", required_argument, NULL, 's' },
		{ "first", no_argument, NULL, 'f' },
		{ "csv", required_argument, NULL, 'c' },
		{ "replay", required_argument, NULL, 'r' },
		{ "keep", required_argument, NULL, 'k' },
		{ NULL, 0, NULL, 0 }
	};
	uint64_t number = options->image_count;
	bool is_good = true;
	int option;

	while ((option = getopt_long(count, words, "", known, NULL)) != -1)
		switch (option)
		{
			case 'i':
				is_good = read_number(optarg, &number) && number > 0 &&
						  number <= 1000000000 && is_good;
				break;
			case 's':
				is_good = read_number(optarg, &options->seed) && is_good;
				break;
			case 'r':
				is_good = read_replay(optarg, options) && is_good;
				break;
			case 'f':
				options->is_first = true;
				break;
			case 'c':
				options->csv = optarg;
				break;
			case 'k':
				options->keep = optarg;
				break;
			default:
				is_good = false;
		}
	options->image_count = (uint32_t) number;
	return is_good && optind == count;
}

/* Files of a few megabytes, written thousands of times: in memory, where
 * there is a place for that. */
static void
make_directory(void)
{
	if (getenv("TMPDIR") == NULL && access("/dev/shm", W_OK | X_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0);
	directory = scratch_make();
	atexit(clean_up);
}

int
main(int count, char **words)
{
	struct options options = { .seed = 1, .image_count = 5000 };

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!read_options(count, words, &options))
	{
		fputs(usage_text, stderr);
		return 2;
	}
	/* Large pieces always come from the system: they are zero, and most of
	 * LMDB's are never touched. */
	mallopt(M_MMAP_THRESHOLD, 256 * 1024);
	signal(SIGTERM, stop);
	signal(SIGINT, stop);
	make_directory();
	if (options.is_replay)
		replay(&options);
	else
		run_tests(&options);
	if (was_told_to_stop)
		printf("Bail out! told to stop\n");
	return failed_count == 0 && !was_told_to_stop ? 0 : 1;
}
