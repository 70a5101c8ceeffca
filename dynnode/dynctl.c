/*-------------------------------------------------------------------------
 *
 * dynctl.c
 *      Look into a cluster, read and write it, and play with one.
 *
 *-------------------------------------------------------------------------
 */
#include "ctl/ctl.h"

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
	{ "get", "get BUCKET KEY [--replica] [--json]",
	  "a key's rows: siblings as several", ctl_get, true },
	{ "put",
	  "put BUCKET KEY VALUE|- [--context CLOCK] [--mode "
	  "sibling|create|replace|guarded]",
	  "write a value (- = standard input)", ctl_put, true },
	{ "del", "del BUCKET KEY [--context CLOCK]",
	  "delete what the context covers (default: all)", ctl_del, true },
	{ "scan", "scan BUCKET [--prefix P] [--keys-only] [--replica] [--json]",
	  "list a bucket", ctl_scan, true },
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
	fprintf(out,
			"\n  --node host:port   whom to ask [127.0.0.1:7001]\n"
			"  --timeout MS       how long to wait [5000]\n"
			"  --json             for scripts\n"
			"  --replica          that node's own records only, with hashes\n"
			"\nexit codes: 0 done, 1 failed, 2 wrong usage, 3 not found\n");
	return out == stdout ? CTL_OK : CTL_USAGE;
}

static bool
take_switch(struct ctl_arguments *self, const char *flag)
{
	if (strcmp(flag, "--json") == 0)
		return self->json = true;
	if (strcmp(flag, "--replica") == 0)
		return self->replica = true;
	if (strcmp(flag, "--keys-only") == 0)
		return self->keys_only = true;
	if (strcmp(flag, "--retry") == 0)
		return self->retry = true;
	return false;
}

static const char **
find_option(struct ctl_arguments *self, const char *flag)
{
	static const char *const names[] = {
		"--node", "--context", "--mode",      "--prefix",
		"--dir",  "--nodes",   "--base-port", "--n",
		"--r",    "--w",       "--partitions"
	};
	const char **fields[] = { &self->node,      &self->context,   &self->mode,
							  &self->prefix,    &self->dir,       &self->nodes,
							  &self->base_port, &self->n,         &self->r,
							  &self->w,         &self->partitions };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], flag) == 0)
			return fields[i];
	return NULL;
}

static bool
parse_timeout(const char *text, uint32_t *out)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end != 0 || value < 1 || value > 3600000)
	{
		fprintf(stderr, "dynctl: --timeout: \"%s\" is not 1 to 3600000\n",
				text);
		return false;
	}
	*out = (uint32_t) value;
	return true;
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
		if ((option == NULL && strcmp(argument, "--timeout") != 0) ||
			i + 1 == argc)
		{
			fprintf(stderr, "dynctl: %s: %s\n", argument,
					i + 1 == argc ? "a value is missing" : "no such flag");
			return false;
		}
		i++;
		if (option != NULL)
			*option = argv[i];
		else if (!parse_timeout(argv[i], &self->timeout_ms))
			return false;
	}
	return true;
}

static int
run(const struct command *command, int argc, char **argv)
{
	struct ctl ctl = { 0 };
	int code;

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
	return code;
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
