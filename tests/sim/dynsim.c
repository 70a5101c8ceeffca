/*
 * dynsim: seeds and scenarios through the simulator.
 *
 *     dynsim --seeds A..B [--jobs J]     run them; the last line counts
 *     dynsim --seeds A..B --first        seeds only, until one fails
 *     dynsim --replay S [--trace]        one seed, once; --trace tells all
 *     dynsim --scenarios                 the named ones only
 *
 * Workers are processes: a core that aborts takes only its seed with it.
 */
#include "tests/sim/scenarios.h"
#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum
{
	JOBS_MAX = 64,
	TWICE_EVERY = 10 /* of so many seeds one runs twice */
};

/* What a seed gave. */
struct outcome
{
	uint64_t trace;
	uint64_t simulated_ms;
	uint64_t steps;
	uint64_t faults;
	uint64_t violations;
	struct dyn_checker_counts counts;
	char text[320];
};

/* Shared between the workers. */
struct board
{
	uint64_t next;
	uint64_t last;
	uint64_t done;
	uint64_t failed;
	uint64_t current[JOBS_MAX];
	uint64_t twice;
	bool first; /* stop at the first failure */
	struct outcome sum;
};

static void
run_seed(uint64_t seed, bool verbose, struct outcome *outcome)
{
	struct dyn_swarm swarm;
	struct dyn_world *world;

	dyn_swarm_draw(&swarm, seed);
	world = dyn_world_new(seed, &swarm, verbose);
	dyn_world_run(world);
	*outcome = (struct outcome){ .trace = world->trace,
								 .simulated_ms = world->now_ms,
								 .steps = world->step_count,
								 .faults = world->fault_count,
								 .violations = world->violation_count,
								 .counts = world->counts };
	memcpy(outcome->text, world->first_violation, sizeof(outcome->text));
	dyn_world_free(&world);
}

static void
run_checked(struct board *board, uint64_t seed, struct outcome *outcome)
{
	struct outcome again;

	run_seed(seed, false, outcome);
	if (seed % TWICE_EVERY != 0)
		return;
	run_seed(seed, false, &again);
	__atomic_add_fetch(&board->twice, 1, __ATOMIC_SEQ_CST);
	if (again.trace == outcome->trace)
		return;
	if (outcome->violations++ == 0)
		snprintf(outcome->text, sizeof(outcome->text),
				 "trace: two runs differ: %016" PRIx64 ", %016" PRIx64,
				 outcome->trace, again.trace);
}

static void
add(uint64_t *sum, uint64_t value)
{
	__atomic_add_fetch(sum, value, __ATOMIC_SEQ_CST);
}

static void
add_failure(struct board *board, uint64_t seed, const char *text)
{
	add(&board->failed, 1);
	printf("seed %" PRIu64 " FAILED: %s\n", seed, text);
	printf("  again: build/dynsim --replay %" PRIu64 " --trace\n", seed);
	fflush(stdout);
	if (board->first)
		__atomic_store_n(&board->next, board->last + 1, __ATOMIC_SEQ_CST);
}

static void
add_outcome(struct board *board, uint64_t seed, const struct outcome *outcome)
{
	struct outcome *sum = &board->sum;
	uint64_t done;

	add(&sum->simulated_ms, outcome->simulated_ms);
	add(&sum->steps, outcome->steps);
	add(&sum->faults, outcome->faults);
	add(&sum->violations, outcome->violations);
	add(&sum->counts.writes_acknowledged, outcome->counts.writes_acknowledged);
	add(&sum->counts.writes_unknown, outcome->counts.writes_unknown);
	add(&sum->counts.reads, outcome->counts.reads);
	add(&sum->counts.reads_strict, outcome->counts.reads_strict);
	add(&sum->counts.repeats, outcome->counts.repeats);
	add(&sum->counts.reads_stepped, outcome->counts.reads_stepped);
	if (outcome->violations > 0)
		add_failure(board, seed, outcome->text);
	done = __atomic_add_fetch(&board->done, 1, __ATOMIC_SEQ_CST);
	if (done % 50 == 0)
	{
		printf("%" PRIu64 " seeds done\n", done);
		fflush(stdout);
	}
}

static void
work(struct board *board, uint32_t job)
{
	for (;;)
	{
		struct outcome outcome;
		uint64_t seed = __atomic_fetch_add(&board->next, 1, __ATOMIC_SEQ_CST);

		if (seed > board->last)
			return;
		board->current[job] = seed;
		run_checked(board, seed, &outcome);
		add_outcome(board, seed, &outcome);
		board->current[job] = 0;
	}
}

static pid_t
hire(struct board *board, uint32_t job)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
	{
		work(board, job);
		fflush(stdout);
		_exit(0);
	}
	return pid;
}

static void
run_seeds(struct board *board, uint32_t jobs)
{
	pid_t pids[JOBS_MAX];
	uint32_t busy = jobs;

	for (uint32_t job = 0; job < jobs; job++)
		pids[job] = hire(board, job);
	while (busy > 0)
	{
		int status;
		pid_t pid = wait(&status);

		for (uint32_t job = 0; job < jobs; job++)
		{
			char text[64];

			if (pids[job] != pid)
				continue;
			if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
			{
				busy--;
				break;
			}
			snprintf(text, sizeof(text), "the core aborted (signal %d)",
					 WIFSIGNALED(status) ? WTERMSIG(status) : 0);
			add_failure(board, board->current[job], text);
			add(&board->done, 1);
			pids[job] = hire(board, job);
			break;
		}
	}
}

static bool
play_scenarios(bool verbose)
{
	bool all = true;

	for (uint32_t i = 0; i < dyn_scenarios_count(); i++)
	{
		char why[320] = "";
		bool ok = dyn_scenarios_play(i, verbose, why, sizeof(why));

		printf("scenario %s: %s%s\n", dyn_scenarios_name(i),
			   ok ? "ok" : "FAILED: ", why);
		fflush(stdout);
		all &= ok;
	}
	return all;
}

static int
replay(uint64_t seed, bool verbose)
{
	struct outcome outcome;

	run_seed(seed, verbose, &outcome);
	printf("seed %" PRIu64 ": trace %016" PRIx64 ", %" PRIu64 " steps, "
		   "%" PRIu64 " writes acknowledged, %" PRIu64 " violations%s%s\n",
		   seed, outcome.trace, outcome.steps,
		   outcome.counts.writes_acknowledged, outcome.violations,
		   outcome.violations ? "; the first: " : "", outcome.text);
	return outcome.violations > 0;
}

static int
summary(const struct board *board, uint64_t seeds, double seconds, bool ok)
{
	const struct outcome *sum = &board->sum;

	printf("%" PRIu64 " seeds, %.1f simulated hours, %" PRIu64 " steps, "
		   "%" PRIu64 " faults, %" PRIu64 " writes acknowledged, "
		   "%" PRIu64 " unknown, %" PRIu64 " reads (%" PRIu64 " strict), "
		   "%" PRIu64 " repeats, %" PRIu64 " run twice, %.1f s; "
		   "%" PRIu64 " seeds failed, %" PRIu64 " violations%s\n",
		   seeds, (double) sum->simulated_ms / 3600000, sum->steps, sum->faults,
		   sum->counts.writes_acknowledged, sum->counts.writes_unknown,
		   sum->counts.reads, sum->counts.reads_strict, sum->counts.repeats,
		   board->twice, seconds, board->failed, sum->violations,
		   ok ? "" : ", a scenario failed");
	return board->failed > 0 || !ok;
}

static int
usage(void)
{
	fprintf(
		stderr,
		"usage: dynsim --seeds A..B [--jobs J] [--first] | --replay S [--trace] | "
		"--scenarios [--trace]\n");
	return 2;
}

static bool
read_number(const char *text, char **end, uint64_t *number)
{
	*number = strtoull(text, end, 10);
	return *end != text;
}

int
main(int argc, char **argv)
{
	struct board *board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE,
							   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t jobs = 1;
	uint64_t seed = 0;
	bool verbose = false;
	bool ok;
	char *end;
	struct timespec from;
	struct timespec to;

	if (board == MAP_FAILED)
		return 2;
	for (int i = 1; i < argc; i++)
	{
		const char *value = i + 1 < argc ? argv[i + 1] : "";

		if (strcmp(argv[i], "--trace") == 0)
			verbose = true;
		else if (strcmp(argv[i], "--first") == 0)
			board->first = true;
		else if (strcmp(argv[i], "--scenarios") == 0)
			board->last = 0;
		else if (strcmp(argv[i], "--jobs") == 0 &&
				 read_number(value, &end, &jobs) && jobs >= 1 &&
				 jobs <= JOBS_MAX)
			i++;
		else if (strcmp(argv[i], "--replay") == 0 &&
				 read_number(value, &end, &seed))
			i++;
		else if (strcmp(argv[i], "--seeds") == 0 &&
				 read_number(value, &end, &board->next) &&
				 strncmp(end, "..", 2) == 0 &&
				 read_number(end + 2, &end, &board->last))
			i++;
		else
			return usage();
	}
	if (argc == 1)
		return usage();
	if (seed != 0)
		return replay(seed, verbose);
	clock_gettime(CLOCK_MONOTONIC, &from);
	ok = board->first || play_scenarios(verbose);
	if (board->last == 0)
		return !ok;
	seed = board->next;
	run_seeds(board, (uint32_t) jobs);
	clock_gettime(CLOCK_MONOTONIC, &to);
	return summary(board, board->last - seed + 1,
				   (double) (to.tv_sec - from.tv_sec) +
					   (double) (to.tv_nsec - from.tv_nsec) / 1e9,
				   ok);
}
