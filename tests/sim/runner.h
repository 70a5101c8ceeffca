/*-------------------------------------------------------------------------
 *
 * runner.h
 *      Runs of seeds: one, many by several processes, the regression list.
 *
 * Workers are processes: a core that aborts takes only its seed with it.
 * Some seeds run twice, the second time in a process of its own with other
 * addresses, and on LMDB (simreal.h): the fingerprints must be equal.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_RUNNER_H
#define DYN_TESTS_RUNNER_H

#include "tests/sim/world.h"

enum
{
	DYN_JOBS_MAX = 64,
	DYN_FAILURES_MAX = 64 /* remembered by number; all are printed */
};

/* What a run gave. */
struct dyn_outcome
{
	uint64_t trace;
	uint64_t simulated_ms;
	uint64_t node_ms; /* ... times the nodes */
	uint64_t steps;
	uint64_t faults[DYN_FAULT_COUNT];
	uint64_t strikes;
	uint64_t actions;
	uint64_t violations;
	uint64_t converged_ms; /* the sum of many, when added up */
	uint64_t converged_ms_max;
	struct dyn_checker_counts counts;
	char text[320]; /* of the first violation */
};

void dyn_run_seed(uint64_t seed, const struct dyn_swarm *swarm, bool verbose,
				  struct dyn_outcome *outcome);

/* In a process of its own, which is killed when it takes too long.  False
 * when it aborted or was killed; the text tells. */
bool dyn_run_apart(uint64_t seed, const struct dyn_swarm *swarm,
				   uint32_t seconds_max, struct dyn_outcome *outcome);

/* What stores stand on. */
enum dyn_run_store
{
	DYN_STORE_AUTO, /* the model; of those that run twice, LMDB as well */
	DYN_STORE_SIM,
	DYN_STORE_LMDB
};

struct dyn_run_request
{
	enum dyn_run_store store;
	uint64_t first;
	uint64_t last;
	uint32_t jobs;
	bool stop_at_failure;
};

struct dyn_run_result
{
	struct dyn_outcome sum;
	uint64_t done;
	uint64_t failed;
	uint64_t twice;
	uint64_t failures[DYN_FAILURES_MAX]; /* the first seeds that failed */
};

/* One of those that do? */
bool dyn_run_is_twice(uint64_t seed);

void dyn_run_seeds(const struct dyn_run_request *request,
				   struct dyn_run_result *result);

/* Figures, for people. */
void dyn_run_print(const struct dyn_run_result *result, double seconds);
void dyn_run_print_faults(const struct dyn_outcome *sum);

/* ---- shrink.c ---- */

/* Take away of a failing run whatever it does not need to fail in the same
 * way; *swarm becomes what is left. False when it does not fail. */
bool dyn_shrink(uint64_t seed, struct dyn_swarm *swarm, uint32_t seconds_max,
				struct dyn_outcome *outcome);

#endif
