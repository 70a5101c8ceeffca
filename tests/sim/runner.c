#include "tests/sim/runner.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum
{
	TWICE_EVERY = 20,       /* of so many seeds one runs twice */
	SEED_SECONDS_MAX = 900, /* then it is killed, and has failed */
	LINE_SIZE = 800
};

/* Shared between the workers. */
struct board
{
	uint64_t next;
	uint64_t last;
	bool stop_at_failure;
	enum dyn_run_store store;
	uint64_t current[DYN_JOBS_MAX];
	struct dyn_run_result result;
};

/* ----------------------------------------------------------------- one seed */

void
dyn_run_seed(uint64_t seed, const struct dyn_swarm *swarm, bool verbose,
			 struct dyn_outcome *outcome)
{
	struct dyn_world *world = dyn_world_new(seed, swarm, verbose);

	dyn_world_run(world);
	*outcome =
		(struct dyn_outcome){ .trace = world->trace,
							  .simulated_ms = world->now_ms,
							  .node_ms = world->now_ms * swarm->node_count,
							  .steps = world->step_count,
							  .strikes = world->strike_count,
							  .actions = world->action_count,
							  .violations = world->violation_count,
							  .converged_ms = world->converged_ms,
							  .converged_ms_max = world->converged_ms,
							  .counts = world->counts };
	memcpy(outcome->faults, world->faults, sizeof(outcome->faults));
	memcpy(outcome->text, world->first_violation, sizeof(outcome->text));
	dyn_world_free(&world);
}

bool
dyn_run_apart(uint64_t seed, const struct dyn_swarm *swarm,
			  uint32_t seconds_max, struct dyn_outcome *outcome)
{
	struct dyn_outcome *shared =
		mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;
	int status;

	if (shared == MAP_FAILED)
		abort();
	fflush(stdout);
	pid = fork();
	if (pid == 0)
	{
		FILE *quiet = freopen("/dev/null", "w", stderr);

		(void) quiet;
		alarm(seconds_max);
		dyn_run_seed(seed, swarm, false, shared);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) != pid)
		;
	*outcome = *shared;
	munmap(shared, sizeof(*shared));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	outcome->violations = 1;
	snprintf(outcome->text, sizeof(outcome->text),
			 WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM
				 ? "endless: more than %u s"
				 : "abort: of the core (%u)",
			 WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM
				 ? seconds_max
				 : (unsigned) WTERMSIG(status));
	return false;
}

bool
dyn_run_is_twice(uint64_t seed)
{
	return seed % TWICE_EVERY == 0;
}

/* What another process says of this seed; false when it says nothing. */
static bool
run_elsewhere(uint64_t seed, const char *store, uint64_t *trace,
			  char text[LINE_SIZE])
{
	char path[256];
	char command[400];
	ssize_t size = readlink("/proc/self/exe", path, sizeof(path) - 1);
	bool ok = false;
	FILE *pipe;

	if (size <= 0)
		return false;
	path[size] = 0;
	snprintf(command, sizeof(command), "'%s' --replay %" PRIu64 " --store %s",
			 path, seed, store);
	pipe = popen(command, "r");
	if (pipe == NULL)
		return false;
	if (fgets(text, LINE_SIZE, pipe) != NULL)
		ok = sscanf(text, "seed %*u: trace %" SCNx64, trace) == 1;
	pclose(pipe);
	return ok;
}

static void
run_again(const struct board *board, uint64_t seed, struct dyn_outcome *outcome)
{
	const char *store = board->store == DYN_STORE_SIM ? "sim" : "lmdb";
	const char *first;
	char text[LINE_SIZE] = "";
	uint64_t trace = 0;

	if (run_elsewhere(seed, store, &trace, text) && trace == outcome->trace &&
		(outcome->violations > 0 || strstr(text, " 0 violations") != NULL))
		return;
	text[strcspn(text, "\n")] = 0;
	first = strstr(text, "; the first: ");
	if (outcome->violations++ == 0 && first != NULL)
		snprintf(outcome->text, sizeof(outcome->text), "%s (--store %s)",
				 first + strlen("; the first: "), store);
	else if (outcome->violations == 1)
		snprintf(outcome->text, sizeof(outcome->text),
				 "trace: two runs differ: %016" PRIx64 ", %016" PRIx64
				 " (--store %s)",
				 outcome->trace, trace, store);
}

static void
run_checked(struct board *board, uint64_t seed, struct dyn_outcome *outcome)
{
	struct dyn_swarm swarm;

	dyn_swarm_draw(&swarm, seed);
	swarm.lmdb = board->store == DYN_STORE_LMDB;
	dyn_run_seed(seed, &swarm, false, outcome);
	if (!dyn_run_is_twice(seed) || board->stop_at_failure)
		return;
	run_again(board, seed, outcome);
	__atomic_add_fetch(&board->result.twice, 1, __ATOMIC_SEQ_CST);
}

/* ------------------------------------------------------------------- sums */

static void
add(uint64_t *sum, uint64_t value)
{
	__atomic_add_fetch(sum, value, __ATOMIC_SEQ_CST);
}

static void
add_counts(struct dyn_checker_counts *sum,
		   const struct dyn_checker_counts *counts)
{
	add(&sum->writes_acknowledged, counts->writes_acknowledged);
	add(&sum->writes_unknown, counts->writes_unknown);
	add(&sum->reads, counts->reads);
	add(&sum->reads_strict, counts->reads_strict);
	add(&sum->repeats, counts->repeats);
	add(&sum->residues, counts->residues);
	add(&sum->reads_stepped, counts->reads_stepped);
	add(&sum->reads_stale, counts->reads_stale);
}

static void
add_failure(struct board *board, uint64_t seed, const char *text)
{
	uint64_t number =
		__atomic_fetch_add(&board->result.failed, 1, __ATOMIC_SEQ_CST);

	if (number < DYN_FAILURES_MAX)
		board->result.failures[number] = seed;
	printf("seed %" PRIu64 " FAILED: %s\n", seed, text);
	printf("  again: build/dynsim --replay %" PRIu64 " --trace\n", seed);
	fflush(stdout);
	if (board->stop_at_failure)
		__atomic_store_n(&board->next, board->last + 1, __ATOMIC_SEQ_CST);
}

static void
add_outcome(struct board *board, uint64_t seed,
			const struct dyn_outcome *outcome)
{
	struct dyn_outcome *sum = &board->result.sum;
	uint64_t done;

	add(&sum->simulated_ms, outcome->simulated_ms);
	add(&sum->node_ms, outcome->node_ms);
	add(&sum->steps, outcome->steps);
	add(&sum->strikes, outcome->strikes);
	add(&sum->actions, outcome->actions);
	add(&sum->violations, outcome->violations);
	add(&sum->converged_ms, outcome->converged_ms);
	if (sum->converged_ms_max < outcome->converged_ms_max)
		sum->converged_ms_max = outcome->converged_ms_max;
	for (uint32_t i = 0; i < DYN_FAULT_COUNT; i++)
		add(&sum->faults[i], outcome->faults[i]);
	add_counts(&sum->counts, &outcome->counts);
	if (outcome->violations > 0)
		add_failure(board, seed, outcome->text);
	done = __atomic_add_fetch(&board->result.done, 1, __ATOMIC_SEQ_CST);
	if (done % 50 == 0)
	{
		printf("%" PRIu64 " seeds done\n", done);
		fflush(stdout);
	}
}

/* ----------------------------------------------------------------- workers */

static void
work(struct board *board, uint32_t job)
{
	for (;;)
	{
		struct dyn_outcome outcome;
		uint64_t seed = __atomic_fetch_add(&board->next, 1, __ATOMIC_SEQ_CST);

		if (seed > board->last)
			return;
		board->current[job] = seed;
		alarm(SEED_SECONDS_MAX);
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

/* A worker ended: is its work done, or must another one go on? */
static bool
is_done(struct board *board, uint32_t job, int status)
{
	char text[64];

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	snprintf(text, sizeof(text), "abort: of the core (signal %d)",
			 WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	add_failure(board, board->current[job], text);
	add(&board->result.done, 1);
	return false;
}

void
dyn_run_seeds(const struct dyn_run_request *request,
			  struct dyn_run_result *result)
{
	struct board *board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE,
							   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pids[DYN_JOBS_MAX];
	uint32_t busy = request->jobs;

	if (board == MAP_FAILED)
		abort();
	board->next = request->first;
	board->last = request->last;
	board->stop_at_failure = request->stop_at_failure;
	board->store = request->store;
	for (uint32_t job = 0; job < request->jobs; job++)
		pids[job] = hire(board, job);
	while (busy > 0)
	{
		int status;
		pid_t pid = wait(&status);

		for (uint32_t job = 0; job < request->jobs; job++)
		{
			if (pids[job] != pid)
				continue;
			if (is_done(board, job, status))
				busy--;
			else
				pids[job] = hire(board, job);
			break;
		}
	}
	*result = board->result;
	munmap(board, sizeof(*board));
}

/* ----------------------------------------------------------------- figures */

void
dyn_run_print_faults(const struct dyn_outcome *sum)
{
	for (uint32_t i = 0; i < DYN_FAULT_COUNT; i++)
		printf("# %-24s %12" PRIu64 "\n", dyn_fault_name((enum dyn_fault) i),
			   sum->faults[i]);
}

static uint64_t
count_faults(const struct dyn_outcome *sum)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < DYN_FAULT_COUNT; i++)
		count += sum->faults[i];
	return count;
}

void
dyn_run_print(const struct dyn_run_result *result, double seconds)
{
	const struct dyn_outcome *sum = &result->sum;

	dyn_run_print_faults(sum);
	printf("# %" PRIu64 " reads were stale, %" PRIu64
		   " stepped back, as R + W <= N or fallbacks allow\n",
		   sum->counts.reads_stale, sum->counts.reads_stepped);
	printf("# converged after %.1f s of peace on average, %.1f s at most\n",
		   result->done > 0
			   ? (double) sum->converged_ms / 1000 / (double) result->done
			   : 0.0,
		   (double) sum->converged_ms_max / 1000);
	printf("%" PRIu64 " seeds, %.1f simulated cluster hours (%.1f of nodes), "
		   "%" PRIu64 " steps, %" PRIu64 " faults, %" PRIu64
		   " writes acknowledged, %" PRIu64 " unknown, %" PRIu64
		   " reads (%" PRIu64 " strict), %" PRIu64 " repeats, %" PRIu64
		   " residues, %" PRIu64 " run twice, %.1f s; %" PRIu64
		   " seeds failed, %" PRIu64 " violations\n",
		   result->done, (double) sum->simulated_ms / 3600000,
		   (double) sum->node_ms / 3600000, sum->steps, count_faults(sum),
		   sum->counts.writes_acknowledged, sum->counts.writes_unknown,
		   sum->counts.reads, sum->counts.reads_strict, sum->counts.repeats,
		   sum->counts.residues, result->twice, seconds, result->failed,
		   sum->violations);
}
