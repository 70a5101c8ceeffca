/*
 * load: clients that read and write while something breaks.
 *
 *     load --nodes HOST:PORT,... --journal FILE [--clients 12] [--keys 200]
 *          [--n 3] [--r 2] [--w 2] [--fill 2000] [--large 8] [--deletes 12]
 *          [--think-ms 2] [--seed 1]
 *
 * One value in --large has up to --fill bytes, the others are small; of a
 * hundred writes that stand on what was read --deletes are deletes.
 *
 * Runs until its standard input says "stop" or ends; then waits for what is
 * under way, and prints one line of JSON: what was acknowledged, how long it
 * took, and the longest time without any acknowledged write.
 */
#include "tests/fault/workload.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum
{
	END_US = 6 * 1000 * 1000 /* what is not answered by then is unknown */
};

static const struct option options[] = {
	{ "nodes", required_argument, NULL, 'a' },
	{ "journal", required_argument, NULL, 'j' },
	{ "clients", required_argument, NULL, 'c' },
	{ "keys", required_argument, NULL, 'k' },
	{ "n", required_argument, NULL, 'n' },
	{ "r", required_argument, NULL, 'r' },
	{ "w", required_argument, NULL, 'w' },
	{ "fill", required_argument, NULL, 'f' },
	{ "large", required_argument, NULL, 'l' },
	{ "deletes", required_argument, NULL, 'd' },
	{ "think-ms", required_argument, NULL, 't' },
	{ "seed", required_argument, NULL, 's' },
	{ NULL, 0, NULL, 0 }
};

static uint32_t
number(const char *text, uint32_t min, uint32_t max)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != 0 || value < min || value > max)
	{
		fprintf(stderr, "load: \"%s\" is not a number from %u to %u\n", text,
				min, max);
		exit(2);
	}
	return (uint32_t) value;
}

static bool
read_options(struct dyn_workload *self, uint64_t *seed, int argc, char **argv)
{
	int option;

	self->client_count = 12;
	self->key_count = 200;
	self->n = 3;
	self->r = self->w = 2;
	self->fill_max = 2000;
	self->large = 8;
	self->deletes = 12;
	self->think_us = 2000;
	*seed = 1;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
	{
		switch (option)
		{
			case 'a':
				if (!dyn_links_open(&self->links, optarg))
					return false;
				break;
			case 'j':
				self->journal = fopen(optarg, "we");
				break;
			case 'c':
				self->client_count = number(optarg, 1, 1000);
				break;
			case 'k':
				self->key_count = number(optarg, 1, DYN_FAULT_KEYS_MAX);
				break;
			case 'n':
				self->n = number(optarg, 1, DYN_REPLICAS_MAX);
				break;
			case 'r':
				self->r = number(optarg, 1, DYN_REPLICAS_MAX);
				break;
			case 'w':
				self->w = number(optarg, 1, DYN_REPLICAS_MAX);
				break;
			case 'f':
				self->fill_max = number(optarg, 1, 60000);
				break;
			case 'l':
				self->large = number(optarg, 1, 1000);
				break;
			case 'd':
				self->deletes = number(optarg, 0, 100);
				break;
			case 't':
				self->think_us = 1000 * number(optarg, 0, 60000);
				break;
			case 's':
				*seed = number(optarg, 0, UINT32_MAX);
				break;
			default:
				return false;
		}
	}
	return self->links.count > 0 && self->journal != NULL && optind == argc;
}

/* "stop", or nobody is there any more. */
static bool
is_told_to_stop(void)
{
	char text[64];
	ssize_t size = read(STDIN_FILENO, text, sizeof(text) - 1);

	if (size > 0)
		text[size] = 0;
	return size <= 0 || strstr(text, "stop") != NULL;
}

static void
run(struct dyn_workload *self)
{
	uint64_t end_us = UINT64_MAX;

	for (;;)
	{
		uint64_t now_us = dyn_journal_now_us();
		uint64_t next_us = dyn_workload_tick(self, now_us);
		long wait_ms = next_us > now_us ? (long) (next_us - now_us) / 1000 : 0;

		if (self->ending && (dyn_workload_is_idle(self) || now_us > end_us))
			return;
		if (dyn_links_wait(&self->links, wait_ms,
						   self->ending ? -1 : STDIN_FILENO, dyn_workload_take,
						   self) &&
			is_told_to_stop())
		{
			self->ending = true;
			end_us = now_us + END_US;
		}
	}
}

static int
compare_latencies(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *) a;
	uint32_t y = *(const uint32_t *) b;

	return x < y ? -1 : x > y;
}

static double
latency_ms(const struct dyn_workload_stats *stats, double part)
{
	uint32_t at = (uint32_t) (part * stats->latency_count);

	if (stats->latency_count == 0)
		return 0;
	if (at >= stats->latency_count)
		at = stats->latency_count - 1;
	return stats->latencies_us[at] / 1000.0;
}

static void
report(struct dyn_workload_stats *stats)
{
	bool first = true;

	qsort(stats->latencies_us, stats->latency_count,
		  sizeof(*stats->latencies_us), compare_latencies);
	printf("{\"acknowledged\": %" PRIu64 ", \"refused\": %" PRIu64
		   ", \"unknown\": %" PRIu64 ", \"reads\": %" PRIu64
		   ", \"reads_failed\": %" PRIu64 ", \"receipts_short\": %" PRIu64
		   ", \"put_p50_ms\": %.1f, \"put_p99_ms\": %.1f, \"put_max_ms\": %.1f"
		   ", \"gap_max_ms\": %" PRIu64 ", \"statuses\": {",
		   stats->acknowledged, stats->refused, stats->unknown, stats->reads,
		   stats->reads_failed, stats->receipts_short, latency_ms(stats, 0.5),
		   latency_ms(stats, 0.99), latency_ms(stats, 1),
		   stats->gap_us_max / 1000);
	for (uint32_t i = 0; i < DYN_STATUSES_MAX; i++)
	{
		if (stats->statuses[i] == 0)
			continue;
		printf("%s\"%s\": %" PRIu64, first ? "" : ", ",
			   dyn_status_name((enum dyn_status) i), stats->statuses[i]);
		first = false;
	}
	printf("}}\n");
}

int
main(int argc, char **argv)
{
	static struct dyn_workload workload;
	uint64_t seed;

	if (!read_options(&workload, &seed, argc, argv))
	{
		fprintf(stderr, "usage: load --nodes HOST:PORT,... --journal FILE ..., "
						"see tests/fault/load.c\n");
		return 2;
	}
	dyn_workload_init(&workload, seed);
	run(&workload);
	report(&workload.stats);
	if (fclose(workload.journal) != 0)
		return 1;
	dyn_links_close(&workload.links);
	dyn_workload_destroy(&workload);
	return 0;
}
