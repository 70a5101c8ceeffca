/*
 * dynsim: seeds and scenarios through the simulator.
 *
 *     dynsim --seeds A..B [--jobs J]      scenarios, then the seeds; the last
 *                                         line counts, failures are shrunk
 *     dynsim --seeds A..B --first         seeds only, until one fails
 *     dynsim --scenarios                  the named ones only
 *     dynsim --scenario NAME [--trace]    one of them
 *     dynsim --list FILE                  runs told by the lines of a file
 *
 * One run:
 *
 *     --replay S [--calm] [--set NAME=N,...] [--trace]
 *     --shrink S [--calm] [--set NAME=N,...] [--seconds N]
 *     --show S   [--calm] [--set NAME=N,...]       its parameters
 *
 * Without --calm the parameters are the seed's own (swarm.h).
 *
 * --store sim|lmdb, for seeds: what stores stand on (simreal.h).  When
 * it is not said, seeds run on the model, and one in 20 on LMDB as well.
 */
#include "io/clock.h"
#include "tests/sim/runner.h"
#include "tests/sim/scenarios.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum
{
	SHRINK_SECONDS = 60,
	SHRINK_FAILURES = 3, /* of many, so many are shrunk */
	SETTINGS_SIZE = 4096,
	LINE_SIZE = 4096,
	WORDS_MAX = 16
};

enum command
{
	NONE,
	SEEDS,
	SCENARIOS,
	LIST,
	REPLAY,
	SHRINK,
	SHOW
};

struct options
{
	enum command command;
	struct dyn_run_request seeds;
	uint64_t seed;
	const char *file;
	const char *scenario;
	const char *settings;
	enum dyn_run_store store;
	uint32_t seconds;
	bool calm;
	bool verbose;
};

static double
now(void)
{
	return (double) dyn_clock_us(CLOCK_MONOTONIC) / 1e6;
}

/* ----------------------------------------------------------------- one run */

static bool
make_swarm(const struct options *options, struct dyn_swarm *swarm)
{
	char why[200];

	if (options->calm)
		dyn_swarm_calm(swarm);
	else
		dyn_swarm_draw(swarm, options->seed);
	if (options->settings != NULL &&
		!dyn_swarm_set(swarm, options->settings, why, sizeof(why)))
	{
		fprintf(stderr, "dynsim: %s\n", why);
		return false;
	}
	if (options->store != DYN_STORE_AUTO)
		swarm->lmdb = options->store == DYN_STORE_LMDB;
	return true;
}

static void
print_replay(uint64_t seed, const struct dyn_swarm *swarm)
{
	char settings[SETTINGS_SIZE];

	dyn_swarm_print(swarm, settings, sizeof(settings));
	printf("--replay %" PRIu64 " --calm --set %s\n", seed, settings);
}

static void
replay_once(const struct options *options, const struct dyn_swarm *swarm,
			struct dyn_outcome *outcome)
{
	dyn_run_seed(options->seed, swarm, options->verbose, outcome);
	if (options->verbose)
		dyn_run_print_faults(outcome);
	printf("seed %" PRIu64 ": trace %016" PRIx64 ", %" PRIu64 " steps, "
		   "%" PRIu64 " actions, %" PRIu64 " strikes, %" PRIu64
		   " writes acknowledged, %" PRIu64 " residues%s, %" PRIu64
		   " violations%s%s\n",
		   options->seed, outcome->trace, outcome->steps, outcome->actions,
		   outcome->strikes, outcome->counts.writes_acknowledged,
		   outcome->counts.residues, swarm->lmdb ? ", on LMDB" : "",
		   outcome->violations, outcome->violations ? "; the first: " : "",
		   outcome->text);
	fflush(stdout);
}

/* As --seeds does it: some on LMDB as well. */
static int
replay(const struct options *options)
{
	struct dyn_outcome outcome;
	struct dyn_outcome other;
	struct dyn_swarm swarm;

	if (!make_swarm(options, &swarm))
		return 2;
	replay_once(options, &swarm, &outcome);
	if (options->store != DYN_STORE_AUTO || options->calm ||
		options->settings != NULL || !dyn_run_is_twice(options->seed))
		return outcome.violations > 0;
	swarm.lmdb = 1;
	replay_once(options, &swarm, &other);
	if (other.trace != outcome.trace)
		printf("seed %" PRIu64 ": two runs differ\n", options->seed);
	return outcome.violations > 0 || other.violations > 0 ||
		   other.trace != outcome.trace;
}

static int
show(const struct options *options)
{
	struct dyn_swarm swarm;

	if (!make_swarm(options, &swarm))
		return 2;
	print_replay(options->seed, &swarm);
	return 0;
}

static int
shrink(const struct options *options)
{
	struct dyn_outcome outcome;
	struct dyn_swarm swarm;

	if (!make_swarm(options, &swarm))
		return 2;
	if (!dyn_shrink(options->seed, &swarm, options->seconds, &outcome))
	{
		printf("seed %" PRIu64 " does not fail\n", options->seed);
		return 1;
	}
	printf("seed %" PRIu64 " shrunk to %" PRIu64 " actions, %" PRIu64
		   " strikes, %.1f s: %s\n  again: build/dynsim ",
		   options->seed, outcome.actions, outcome.strikes,
		   (double) swarm.duration_ms / 1000, outcome.text);
	print_replay(options->seed, &swarm);
	fflush(stdout);
	return 0;
}

/* ---------------------------------------------------------------- many runs */

static bool
play_scenarios(const char *name, bool verbose)
{
	bool all = true;

	for (uint32_t i = 0; i < dyn_scenarios_count(); i++)
	{
		char why[320] = "";
		bool ok;

		if (name != NULL && strcmp(name, dyn_scenarios_name(i)) != 0)
			continue;
		ok = dyn_scenarios_play(i, verbose, why, sizeof(why));
		printf("scenario %s: %s%s\n", dyn_scenarios_name(i),
			   ok ? "ok" : "FAILED: ", why);
		fflush(stdout);
		all &= ok;
	}
	return all;
}

/* On LMDB, when it does not fail on the model. */
static void
shrink_failure(const struct options *options, uint64_t seed)
{
	struct options one = { .seed = seed,
						   .store = options->store,
						   .seconds = SHRINK_SECONDS };

	if (shrink(&one) == 0 || one.store != DYN_STORE_AUTO ||
		!dyn_run_is_twice(seed))
		return;
	one.store = DYN_STORE_LMDB;
	shrink(&one);
}

static int
run_seeds(const struct options *options)
{
	struct dyn_run_result result;
	double begin = now();
	bool ok = options->seeds.stop_at_failure || play_scenarios(NULL, false);

	dyn_run_seeds(&options->seeds, &result);
	for (uint64_t i = 0; i < result.failed && i < SHRINK_FAILURES &&
						 !options->seeds.stop_at_failure;
		 i++)
		shrink_failure(options, result.failures[i]);
	dyn_run_print(&result, now() - begin);
	if (!ok)
		printf("a scenario failed\n");
	return result.failed > 0 || !ok;
}

static bool read_options(int argc, char **argv, struct options *options);

/* A line: the words after "dynsim", then a comment. */
static bool
run_line(char *line)
{
	char *words[WORDS_MAX + 1] = { "dynsim" };
	int count = 1;
	struct options options;
	struct dyn_outcome outcome;
	struct dyn_swarm swarm;

	line[strcspn(line, "#\n")] = 0;
	for (char *word = strtok(line, " \t"); word != NULL && count < WORDS_MAX;
		 word = strtok(NULL, " \t"))
		words[count++] = word;
	if (count == 1)
		return true;
	if (!read_options(count, words, &options) || options.command != REPLAY ||
		!make_swarm(&options, &swarm))
		return false;
	(void) dyn_run_apart(options.seed, &swarm, SHRINK_SECONDS, &outcome);
	printf("scenario seed %" PRIu64 " (%s): %s%s\n", options.seed,
		   options.settings ? options.settings : "its own parameters",
		   outcome.violations ? "FAILED: " : "ok", outcome.text);
	fflush(stdout);
	return outcome.violations == 0;
}

static int
run_list(const struct options *options)
{
	FILE *file = fopen(options->file, "r");
	char line[LINE_SIZE];
	bool ok = true;

	if (file == NULL)
	{
		perror(options->file);
		return 2;
	}
	while (fgets(line, sizeof(line), file) != NULL)
		ok &= run_line(line);
	fclose(file);
	return !ok;
}

/* ------------------------------------------------------------- command line */

static int
usage(void)
{
	fprintf(
		stderr,
		"usage: dynsim --seeds A..B [--jobs J] [--first]\n"
		"       dynsim --scenarios | --scenario NAME [--trace] | --list FILE\n"
		"       dynsim --replay S | --shrink S [--seconds N] | --show S\n"
		"              [--calm] [--set NAME=N,...] [--trace]\n"
		"       seeds: [--store sim|lmdb]\n");
	return 2;
}

static bool
read_number(const char *text, uint64_t *number)
{
	char *end;

	*number = strtoull(text, &end, 10);
	return end != text && *end == 0;
}

static bool
read_range(const char *text, struct dyn_run_request *seeds)
{
	char *end;

	seeds->first = strtoull(text, &end, 10);
	return end != text && strncmp(end, "..", 2) == 0 &&
		   read_number(end + 2, &seeds->last);
}

static bool
read_store(const char *text, enum dyn_run_store *store)
{
	*store = strcmp(text, "lmdb") == 0 ? DYN_STORE_LMDB : DYN_STORE_SIM;
	return *store == DYN_STORE_LMDB || strcmp(text, "sim") == 0;
}

/* An option with a value; false when it is none of these. */
static bool
read_valued(const char *name, const char *value, struct options *options)
{
	static const struct
	{
		const char *name;
		enum command command;
	} seeds[] = { { "--replay", REPLAY },
				  { "--shrink", SHRINK },
				  { "--show", SHOW } };
	uint64_t number = 0;

	for (uint32_t i = 0; i < 3; i++)
		if (strcmp(name, seeds[i].name) == 0)
		{
			options->command = seeds[i].command;
			return read_number(value, &options->seed);
		}
	if (strcmp(name, "--seeds") == 0)
	{
		options->command = SEEDS;
		return read_range(value, &options->seeds);
	}
	if (strcmp(name, "--list") == 0)
	{
		options->command = LIST;
		options->file = value;
		return true;
	}
	if (strcmp(name, "--scenario") == 0)
	{
		options->command = SCENARIOS;
		options->scenario = value;
		return true;
	}
	if (strcmp(name, "--store") == 0)
		return read_store(value, &options->store);
	if (strcmp(name, "--set") == 0)
	{
		options->settings = value;
		return true;
	}
	if (!read_number(value, &number))
		return false;
	if (strcmp(name, "--jobs") == 0)
		options->seeds.jobs = (uint32_t) number;
	else if (strcmp(name, "--seconds") == 0)
		options->seconds = (uint32_t) number;
	else
		return false;
	return options->seeds.jobs >= 1 && options->seeds.jobs <= DYN_JOBS_MAX;
}

static bool
read_options(int argc, char **argv, struct options *options)
{
	*options = (struct options){ .seconds = SHRINK_SECONDS };
	options->seeds.jobs = 1;
	for (int i = 1; i < argc; i++)
	{
		if (strcmp(argv[i], "--trace") == 0)
			options->verbose = true;
		else if (strcmp(argv[i], "--first") == 0)
			options->seeds.stop_at_failure = true;
		else if (strcmp(argv[i], "--calm") == 0)
			options->calm = true;
		else if (strcmp(argv[i], "--scenarios") == 0)
			options->command = SCENARIOS;
		else if (i + 1 < argc && read_valued(argv[i], argv[i + 1], options))
			i++;
		else
			return false;
	}
	options->seeds.store = options->store;
	return options->command != NONE;
}

int
main(int argc, char **argv)
{
	struct options options;

	if (!read_options(argc, argv, &options))
		return usage();
	switch (options.command)
	{
		case SEEDS:
			return run_seeds(&options);
		case SCENARIOS:
			return !play_scenarios(options.scenario, options.verbose);
		case LIST:
			return run_list(&options);
		case REPLAY:
			return replay(&options);
		case SHRINK:
			return shrink(&options);
		case SHOW:
			return show(&options);
		case NONE:
			break;
	}
	return usage();
}
