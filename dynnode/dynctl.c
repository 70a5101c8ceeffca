/*-------------------------------------------------------------------------
 *
 * dynctl.c
 *      Look into a cluster, read and write it, and play with one.
 *
 *-------------------------------------------------------------------------
 */
#include "ctl/ctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct command
{
	const char *name;
	const char *usage;
	const char *help;
	int (*run)(struct ctl *self);
	bool connects;
} commands[] = {
	{ "status", "status [--node H:P] [--json]", "one node: peers, counters",
	  ctl_status, true },
	{ "ring", "ring [--node H:P] [--json]", "members and who owns what",
	  ctl_ring_command, true },
	{ "get", "get BUCKET KEY [--r R] [--replica] [--receipt] [--json]",
	  "a key's rows: siblings as several", ctl_get, true },
	{ "put",
	  "put BUCKET KEY VALUE|- [--context CLOCK] [--mode "
	  "sibling|create|replace|guarded] [--w W] "
	  "[--receipt] [--json]",
	  "write a value (- = standard input)", ctl_put, true },
	{ "del", "del BUCKET KEY [--context CLOCK] [--w W] [--receipt] [--json]",
	  "delete what the context covers (default: all)", ctl_del, true },
	{ "scan",
	  "scan BUCKET [--prefix P] [--keys-only] [--r R] [--replica] [--json]",
	  "list a bucket", ctl_scan, true },
	{ "bucket",
	  "bucket list | show BUCKET | set BUCKET [conflict=siblings|lww] "
	  "[ttl=TIME|never] [r=R|cluster] [w=W|cluster] [--json]",
	  "what buckets have of their own", ctl_bucket, true },
	{ "repair", "repair [PARTITION] [--json]",
	  "compare owners now, mend what differs, until they are equal",
	  ctl_repair, true },
	{ "playground",
	  "playground start --nodes N --dir DIR --base-port P [--n 3 --r 2 --w "
	  "2] | stop | status | kill I | pause I | resume I | start I",
	  "a cluster on this machine", ctl_playground, false },
};

enum
{
	COMMAND_COUNT = sizeof(commands) / sizeof(commands[0])
};

static int
usage(FILE *out)
{
	fprintf(out, "dynctl %s: look into a dynamo_fdw cluster\n\n", DYN_VERSION);
	for (int i = 0; i < COMMAND_COUNT; i++)
		fprintf(out, "  dynctl %s\n      %s\n", commands[i].usage,
				commands[i].help);
	fprintf(
		out,
		"\n  --node host:port   whom to ask [127.0.0.1:7001]\n"
		"  --timeout MS       how long to wait [5000]\n"
		"  --json             for scripts\n"
		"  --receipt          get, put, del: on which replicas the answer rests\n"
		"  --replica          that node's own records only; scan shows their "
		"hashes\n"
		"\nexit codes: 0 done, 1 failed, 2 wrong usage, 3 not found\n");
	return out == stdout ? CTL_OK : CTL_USAGE;
}

static bool
take_switch(struct ctl_arguments *self, const char *flag)
{
	if (strcmp(flag, "--json") == 0)
		return self->json = true;
	if (strcmp(flag, "--receipt") == 0)
		return self->receipt = true;
	if (strcmp(flag, "--replica") == 0)
		return self->replica = true;
	if (strcmp(flag, "--keys-only") == 0)
		return self->keys_only = true;
	return false;
}

static const char **
find_option(struct ctl_arguments *self, const char *flag)
{
	static const char *const names[] = {
		"--node",  "--context",   "--mode", "--prefix",    "--dir",
		"--nodes", "--base-port", "--n",    "--partitions"
	};
	const char **fields[] = { &self->node,      &self->context,
							  &self->mode,      &self->prefix,
							  &self->dir,       &self->nodes,
							  &self->base_port, &self->n,
							  &self->partitions };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], flag) == 0)
			return fields[i];
	return NULL;
}

static int *
find_number(struct ctl_arguments *self, const char *flag, int *max)
{
	*max = DYN_REPLICAS_MAX;
	if (strcmp(flag, "--r") == 0)
		return &self->r;
	if (strcmp(flag, "--w") == 0)
		return &self->w;
	*max = 3600000;
	return strcmp(flag, "--timeout") == 0 ? &self->timeout_ms : NULL;
}

/* "--" ends the flags, so that keys and values may begin with dashes. */
static bool
parse(struct ctl_arguments *self, int argc, char **argv)
{
	bool flags = true;

	self->node = "127.0.0.1:7001";
	self->timeout_ms = 5000;
	for (int i = 2; i < argc; i++)
	{
		const char *argument = argv[i];
		const char **option;
		int *number;
		int max;

		if (!flags || strncmp(argument, "--", 2) != 0)
		{
			if (self->word_count == 64)
				return false;
			self->words[self->word_count++] = argument;
			continue;
		}
		if (argument[2] == 0)
		{
			flags = false;
			continue;
		}
		if (take_switch(self, argument))
			continue;
		option = find_option(self, argument);
		number = find_number(self, argument, &max);
		if ((option == NULL && number == NULL) || i + 1 == argc)
		{
			fprintf(stderr, "dynctl: %s: %s\n", argument,
					option || number ? "a value is missing" : "no such flag");
			return false;
		}
		i++;
		if (option != NULL)
			*option = argv[i];
		else if (!ctl_parse_number(argv[i], 1, max, argument, number))
			return false;
	}
	return true;
}

/* An answer that could not be written was not given. */
static int
finish_output(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	fprintf(stderr, "dynctl: cannot write the output: %s\n", strerror(errno));
	return CTL_FAILED;
}

static int
run(const struct command *command, int argc, char **argv)
{
	struct ctl ctl = { 0 };
	int code;

	if (argc == 3 && strcmp(argv[2], "--help") == 0)
	{
		printf("usage: dynctl %s\n", command->usage);
		return finish_output(CTL_OK);
	}
	if (!parse(&ctl.arguments, argc, argv))
		return CTL_USAGE;
	dyn_arena_init(&ctl.arena, dyn_allocator_malloc(), 0);
	if (command->connects)
		ctl.client = dyn_client_open(ctl.arguments.node);
	if (command->connects && ctl.client == NULL)
	{
		fprintf(stderr, "dynctl: --node: \"%s\" is not host:port\n",
				ctl.arguments.node);
		code = CTL_USAGE;
	}
	else
		code = command->run(&ctl);
	if (code == CTL_USAGE && command->connects && ctl.client != NULL)
		fprintf(stderr, "usage: dynctl %s\n", command->usage);
	dyn_client_close(&ctl.client);
	dyn_arena_destroy(&ctl.arena);
	return finish_output(code);
}

int
main(int argc, char **argv)
{
	if (argc < 2)
		return usage(stderr);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)
		return usage(stdout);
	if (strcmp(argv[1], "--version") == 0)
	{
		printf("dynctl %s\n", DYN_VERSION);
		return CTL_OK;
	}
	for (int i = 0; i < COMMAND_COUNT; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return run(&commands[i], argc, argv);
	fprintf(stderr, "dynctl: there is no command \"%s\"\n\n", argv[1]);
	return usage(stderr);
}
