/*
 * check: read every key from its owners, and judge what the clients saw.
 *
 *     check --nodes HOST:PORT,... --keys N [--without HOST:PORT]
 *           [--relaxed-from MICROSECONDS] [--stand-ins] [--settle-ms 3000]
 *           [--converge-ms 30000] [--reap-ms 60000] JOURNAL...
 *
 * All nodes run and can talk.  First it waits for --settle-ms whether the
 * owners become equal by themselves.  Keys that do not are read at r = N, which
 * repairs them, until all owners are equal or --converge-ms has passed.  Then
 * the checker of the simulator judges.  Owners may be equal while a write still
 * lies with a stand-in: so as long as --settle-ms has not passed, a verdict is
 * not the last.  --without: a node that is outside of
 * the cluster, and is not asked.  --stand-ins: fallbacks have answered for
 * owners, so what a client was not told about its owners counts for none.
 * --reap-ms: for so long it waits until no owner of any key holds a tombstone
 * (R1), and judges what is then there.
 *
 * Violations are lines "C1 ...", each followed by what was done to that key;
 * the last line is JSON.  Exit code 0 without violations, 1 with, 2 when it
 * could not judge.
 */
#include "tests/fault/final.h"
#include "tests/fault/journal.h"
#include "tests/sim/checker.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum
{
	RULES_MAX = 32,
	TOLD_MAX = 3 /* violations of each rule that are told in full */
};

static const struct option options[] = {
	{ "nodes", required_argument, NULL, 'a' },
	{ "keys", required_argument, NULL, 'k' },
	{ "without", required_argument, NULL, 'o' },
	{ "relaxed-from", required_argument, NULL, 'x' },
	{ "stand-ins", no_argument, NULL, 'i' },
	{ "settle-ms", required_argument, NULL, 's' },
	{ "converge-ms", required_argument, NULL, 'c' },
	{ "reap-ms", required_argument, NULL, 'r' },
	{ NULL, 0, NULL, 0 }
};

struct judge
{
	struct dyn_journal journal;
	struct dyn_history history;
	bool tells;
	uint64_t violation_count;
	uint32_t final_names; /* of the final state's that the journal knows */
	struct
	{
		char name[8];
		uint64_t count;
	} rules[RULES_MAX];
};

/* ------------------------------------------------------------------- telling */

static const char *const kinds[] = { "put", "delete", "read" };
static const char *const results[] = { "pending", "ok", "no", "unknown" };
static const char *const modes[] = { "", "create ", "replace ", "guarded " };

static void
tell_tokens(const char *word, const struct dyn_tokens *tokens)
{
	if (tokens->count > 0)
		printf(" %s", word);
	for (uint32_t i = 0; i < tokens->count; i++)
		printf(" c%u.%u", tokens->items[i].client, tokens->items[i].count);
}

/* All that was done to a key, in order; where a version is a write's. */
static void
tell_key(const struct judge *self, uint32_t key)
{
	uint64_t first_us = self->journal.count ? self->journal.ops[0].begin_us : 0;

	for (uint32_t i = 0; i < self->journal.count; i++)
	{
		const struct dyn_journal_op *op = &self->journal.ops[i];

		if (op->key != key)
			continue;
		printf("    op %u c%u.%u at %.3f to %.3f s: %s%s", op->index,
			   op->name.client, op->name.count,
			   (double) (op->begin_us - first_us) / 1e6,
			   op->end_us == UINT64_MAX
				   ? -1.0
				   : (double) (op->end_us - first_us) / 1e6,
			   modes[op->mode], kinds[op->kind]);
		if (op->kind != DYN_HISTORY_READ)
			printf(" (version %u)", op->vid);
		printf(" %s%s", results[op->result], op->again ? ", repeated" : "");
		if (op->told_owners && op->kind != DYN_HISTORY_READ)
			printf(", %u owners", op->owners);
		tell_tokens(op->kind == DYN_HISTORY_READ ? "read" : "having read",
					&op->seen);
		tell_tokens("beside", &op->beside);
		printf("\n");
	}
	printf("    at the end:");
	for (uint32_t i = 0; i < self->history.keys[key].final.count; i++)
		printf(" version %u", self->history.keys[key].final.items[i]);
	printf("\n");
}

/* How often was it broken before? */
static uint64_t
count_rule(struct judge *self, const char *rule)
{
	uint32_t i = 0;

	while (i + 1 < RULES_MAX && self->rules[i].count > 0 &&
		   strcmp(self->rules[i].name, rule) != 0)
		i++;
	snprintf(self->rules[i].name, sizeof(self->rules[i].name), "%s", rule);
	return self->rules[i].count++;
}

static void
tell_rules(const struct judge *self)
{
	printf("\"rules\": {");
	for (uint32_t i = 0; i < RULES_MAX && self->rules[i].count > 0; i++)
		printf("%s\"%s\": %" PRIu64, i ? ", " : "", self->rules[i].name,
			   self->rules[i].count);
	printf("}");
}

static void
report(void *context, const char *rule, const char *text)
{
	struct judge *self = context;
	static uint32_t told_key = UINT32_MAX;
	unsigned key;

	if (!self->tells)
	{
		self->violation_count++;
		return;
	}
	self->violation_count++;
	if (count_rule(self, rule) >= TOLD_MAX)
		return;
	printf("%s %s\n", rule, text);
	if (sscanf(text, "key %u", &key) == 1 && key != told_key)
	{
		tell_key(self, key);
		told_key = key;
	}
}

/* ---------------------------------------------------------------- final state */

/* What is live of a key at the end; a value of nobody is a violation. */
static void
take_final(struct judge *self, const struct dyn_final *final, uint32_t key)
{
	struct dyn_vids vids = { 0 };
	const struct dyn_final_key *found = &final->keys[key];
	char text[128];

	for (uint32_t i = 0; i < found->tokens.count; i++)
	{
		const struct dyn_journal_op *op =
			dyn_journal_find(&self->journal, found->tokens.items[i]);

		dyn_vids_add(&vids,
					 op != NULL && op->key == key && op->kind == DYN_HISTORY_PUT
						 ? op->vid
						 : UINT32_MAX);
	}
	dyn_history_final(&self->history, key, &vids);
	free(vids.items);
	if (found->strange)
		report(self, "C2", dyn_final_text(text, key, "a value of nobody"));
	if (!found->equal)
		report(self, "C6", dyn_final_text(text, key, found->trouble));
}

/* ------------------------------------------------------------------ the whole */

struct arguments
{
	const char *nodes;
	const char *without;
	uint32_t key_count;
	uint64_t relaxed_from_us;
	bool stand_ins;
	uint32_t settle_ms;
	uint32_t converge_ms;
	uint32_t reap_ms; /* 0 = tombstones may stay */
	uint64_t reaped_ms;
};

static bool
read_options(struct arguments *self, int argc, char **argv)
{
	int option;

	*self = (struct arguments){ .settle_ms = 3000, .converge_ms = 30000 };
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
	{
		switch (option)
		{
			case 'a':
				self->nodes = optarg;
				break;
			case 'k':
				self->key_count = (uint32_t) strtoul(optarg, NULL, 10);
				break;
			case 'o':
				self->without = optarg;
				break;
			case 'x':
				self->relaxed_from_us = strtoull(optarg, NULL, 10);
				break;
			case 'i':
				self->stand_ins = true;
				break;
			case 's':
				self->settle_ms = (uint32_t) strtoul(optarg, NULL, 10);
				break;
			case 'c':
				self->converge_ms = (uint32_t) strtoul(optarg, NULL, 10);
				break;
			case 'r':
				self->reap_ms = (uint32_t) strtoul(optarg, NULL, 10);
				break;
			default:
				return false;
		}
	}
	return self->nodes != NULL && self->key_count > 0 &&
		   self->key_count <= DYN_FAULT_KEYS_MAX && optind < argc;
}

static void
judge_all(struct judge *self, const struct dyn_final *final,
		  const struct arguments *arguments, struct dyn_checker_counts *counts)
{
	self->violation_count = 0;
	dyn_history_destroy(&self->history);
	dyn_journal_to_history(&self->journal, arguments->key_count, final->n,
						   arguments->relaxed_from_us, arguments->stand_ins,
						   &self->history);
	while (self->final_names < final->name_count)
	{
		const struct dyn_journal_name *name =
			&final->names[self->final_names++];

		dyn_journal_know(&self->journal, name->token, name->start);
	}
	for (uint32_t key = 0; key < arguments->key_count; key++)
		take_final(self, final, key);
	dyn_checker_run(&self->history, (uint8_t) final->n, report, self, counts);
}

static void
wait_for_peace(struct judge *self, struct dyn_final *final,
			   const struct arguments *arguments)
{
	uint64_t begin_us = dyn_journal_now_us();
	struct dyn_checker_counts counts;
	uint64_t before_ms = final->converged_ms;

	for (;;)
	{
		uint64_t passed_ms = (dyn_journal_now_us() - begin_us) / 1000;

		judge_all(self, final, arguments, &counts);
		if (self->violation_count == 0 ||
			before_ms + passed_ms >= arguments->settle_ms)
			return;
		dyn_final_again(final);
		final->converged_ms = before_ms + passed_ms;
	}
}

static void
wait_for_reaping(struct judge *self, struct dyn_final *final,
				 struct arguments *arguments)
{
	uint64_t begin_us = dyn_journal_now_us();
	struct dyn_checker_counts counts;

	do
	{
		dyn_final_again(final);
		judge_all(self, final, arguments, &counts);
		arguments->reaped_ms = (dyn_journal_now_us() - begin_us) / 1000;
	} while ((dyn_final_tombstones(final) > 0 || self->violation_count > 0) &&
			 arguments->reaped_ms < arguments->reap_ms);
}

static void
report_tombstones(struct judge *self, const struct dyn_final *final)
{
	char text[128];

	for (uint32_t key = 0; key < final->key_count; key++)
		if (final->keys[key].tombstone)
			report(self, "R1",
				   dyn_final_text(text, key, "a tombstone is left"));
}

static uint32_t
count_versions(const struct dyn_final *final, uint32_t *siblings_max)
{
	uint32_t versions = 0;

	*siblings_max = 0;
	for (uint32_t key = 0; key < final->key_count; key++)
	{
		uint32_t count = final->keys[key].tokens.count;

		versions += count;
		if (count > *siblings_max)
			*siblings_max = count;
	}
	return versions;
}

int
main(int argc, char **argv)
{
	static struct judge judge;
	static struct dyn_final final;
	struct arguments arguments;
	struct dyn_checker_counts counts;
	uint32_t version_count;
	uint32_t siblings_max;

	if (!read_options(&arguments, argc, argv))
	{
		fprintf(stderr, "usage: check --nodes HOST:PORT,... --keys N ... "
						"JOURNAL..., see tests/fault/check.c\n");
		return 2;
	}
	for (int i = optind; i < argc; i++)
		if (!dyn_journal_load(&judge.journal, argv[i]))
			return 2;
	for (uint32_t i = 0; i < judge.journal.count; i++)
		if (judge.journal.ops[i].key >= arguments.key_count)
			return 2;
	if (!dyn_final_read(&final, arguments.nodes, arguments.without,
						arguments.key_count, arguments.settle_ms,
						arguments.converge_ms))
		return 2;
	wait_for_peace(&judge, &final, &arguments);
	if (arguments.reap_ms != 0)
		wait_for_reaping(&judge, &final, &arguments);
	judge.tells = true;
	judge_all(&judge, &final, &arguments, &counts);
	if (arguments.reap_ms != 0)
		report_tombstones(&judge, &final);
	version_count = count_versions(&final, &siblings_max);
	printf("{\"violations\": %" PRIu64 ", \"acknowledged\": %" PRIu64
		   ", \"unknown\": %" PRIu64 ", \"reads\": %" PRIu64
		   ", \"reads_strict\": %" PRIu64 ", \"repeats\": %" PRIu64
		   ", \"residues\": %" PRIu64 ", \"converged_ms\": %" PRIu64
		   ", \"repaired_keys\": %u"
		   ", \"reaped_ms\": %" PRIu64
		   ", \"live_versions\": %u, \"siblings_max\": %u, ",
		   judge.violation_count, counts.writes_acknowledged,
		   counts.writes_unknown, counts.reads, counts.reads_strict,
		   counts.repeats, counts.residues, final.converged_ms,
		   final.repaired_count, arguments.reaped_ms, version_count,
		   siblings_max);
	tell_rules(&judge);
	printf("}\n");
	dyn_final_destroy(&final);
	dyn_history_destroy(&judge.history);
	dyn_journal_destroy(&judge.journal);
	return judge.violation_count ? 1 : 0;
}
