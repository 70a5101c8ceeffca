/* A cluster on this machine, for users and for tests: the commands. */
#include "ctl/playground.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* -------------------------------------------------------------- settings */

static void
settings_path(const struct playground *self, char out[CTL_PATH_SIZE])
{
	snprintf(out, CTL_PATH_SIZE, "%s/playground", self->dir);
}

static bool
save(const struct playground *self)
{
	char path[CTL_PATH_SIZE];
	FILE *file;

	settings_path(self, path);
	file = fopen(path, "we");
	if (file == NULL)
		return false;
	fprintf(file, "%d %d %d %d %d %d\n", self->nodes, self->base_port, self->n,
			self->r, self->w, self->partitions);
	return fclose(file) == 0;
}

static bool
load(struct playground *self)
{
	char path[CTL_PATH_SIZE];
	FILE *file;
	bool good;

	settings_path(self, path);
	file = fopen(path, "re");
	if (file == NULL)
		return false;
	good = fscanf(file, "%d %d %d %d %d %d", &self->nodes, &self->base_port,
				  &self->n, &self->r, &self->w, &self->partitions) == 6 &&
		   self->nodes >= 1 && self->nodes <= DYN_MEMBERS_MAX;
	fclose(file);
	return good;
}

/* -------------------------------------------------------------- commands */

/* Those of `which`, by number; NULL = all. */
static int
stop_nodes(const struct playground *self, const bool *which)
{
	pid_t pid;

	for (int node = 1; node <= self->nodes; node++)
		if ((which == NULL || which[node]) &&
			ctl_node_state(self, node, &pid) != CTL_NODE_STOPPED)
		{
			kill(pid, SIGTERM);
			kill(pid, SIGCONT);
		}
	for (int node = 1; node <= self->nodes; node++)
	{
		if (which != NULL && !which[node])
			continue;
		ctl_node_wait_stopped(self, node, CTL_STOP_WAIT_MS);
		if (ctl_node_state(self, node, &pid) != CTL_NODE_STOPPED)
			kill(pid, SIGKILL);
		ctl_node_wait_stopped(self, node, CTL_STOP_WAIT_MS);
	}
	return CTL_OK;
}

static void
print_status(const struct playground *self)
{
	bool json = self->ctl->arguments.json;
	char seeds[DYN_MEMBERS_MAX * 24];

	ctl_list_seeds(self, seeds, sizeof(seeds));
	if (json)
	{
		printf("{\"dir\": ");
		ctl_print_json(dyn_slice_of(self->dir));
		printf(", \"addresses\": \"%s\", \"n\": %d, \"r\": %d, \"w\": %d, "
			   "\"nodes\": [",
			   seeds, self->n, self->r, self->w);
	}
	else
		printf("%-5s %-22s %-9s %8s\n", "node", "address", "state", "pid");
	for (int node = 1; node <= self->nodes; node++)
	{
		pid_t pid;
		enum ctl_node_status state = ctl_node_state(self, node, &pid);
		char address[64];

		ctl_node_address(self, node, address);
		if (json)
			printf("%s{\"node\": %d, \"address\": \"%s\", \"state\": \"%s\", "
				   "\"pid\": %ld}",
				   node > 1 ? ", " : "", node, address,
				   ctl_node_status_names[state], (long) pid);
		else
			printf("%-5d %-22s %-9s %8ld\n", node, address,
				   ctl_node_status_names[state], (long) pid);
	}
	if (json)
		printf("]}\n");
	else
		printf("\nCREATE SERVER store FOREIGN DATA WRAPPER dynamo_fdw\n"
			   "    OPTIONS (nodes '%s');\n",
			   seeds);
}

/* The absolute path, made when starting. */
static bool
find_dir(struct playground *self, bool make)
{
	const char *dir = self->ctl->arguments.dir ? self->ctl->arguments.dir
											   : "./dynamo-playground";
	char path[PATH_MAX];

	if (make && mkdir(dir, 0755) != 0 && errno != EEXIST)
	{
		ctl_complain(dir, strerror(errno));
		return false;
	}
	if (realpath(dir, path) == NULL || strlen(path) >= sizeof(self->dir))
	{
		ctl_complain(dir, strerror(errno));
		return false;
	}
	memcpy(self->dir, path, strlen(path) + 1);
	return true;
}

/* What the flags say, over what *self holds. */
static bool
read_options(struct playground *self)
{
	const struct ctl_arguments *arguments = &self->ctl->arguments;

	if (!ctl_parse_number(arguments->nodes, 1, DYN_MEMBERS_MAX, "--nodes",
						  &self->nodes) ||
		!ctl_parse_number(arguments->base_port, 1024, 65000, "--base-port",
						  &self->base_port) ||
		!ctl_parse_number(arguments->n, 1, DYN_REPLICAS_MAX, "--n", &self->n) ||
		!ctl_parse_number(arguments->partitions, 1, DYN_PARTITIONS_MAX,
						  "--partitions", &self->partitions))
		return false;
	if (arguments->r != 0)
		self->r = arguments->r;
	if (arguments->w != 0)
		self->w = arguments->w;
	return true;
}

static bool
plan_new(struct playground *self)
{
	self->nodes = 3;
	self->base_port = 7001;
	self->n = self->r = self->w = 0;
	self->partitions = 64;
	if (!read_options(self))
		return false;
	if (self->n == 0)
		self->n = self->nodes < 3 ? self->nodes : 3;
	if (self->r == 0)
		self->r = self->n / 2 + 1;
	if (self->w == 0)
		self->w = self->n / 2 + 1;
	if (self->n > self->nodes || self->r > self->n || self->w > self->n)
		ctl_complain("n cannot exceed the nodes, r and w cannot exceed n",
					 NULL);
	else if (self->base_port + CTL_PORT_STEP * self->nodes > 65533)
		ctl_complain("the last node's ports would be beyond 65535", NULL);
	else if (self->partitions & (self->partitions - 1))
		ctl_complain("--partitions is not a power of two", NULL);
	else
		return true;
	return false;
}

/* An existing playground is started as it is; flags may repeat its settings,
 * but not contradict them. */
static bool
agrees(const struct playground *self)
{
	struct playground asked = *self;

	if (!read_options(&asked))
		return false;
	if (asked.nodes == self->nodes && asked.base_port == self->base_port &&
		asked.n == self->n && asked.r == self->r && asked.w == self->w &&
		asked.partitions == self->partitions)
		return true;
	fprintf(stderr,
			"dynctl: playground: %s holds one with --nodes %d --base-port %d "
			"--n %d --r %d --w %d --partitions %d; start it without flags, or "
			"choose another directory\n",
			self->dir, self->nodes, self->base_port, self->n, self->r, self->w,
			self->partitions);
	return false;
}

/* One that is paused would not answer, however long we wait. */
static bool
refuse_paused(const struct playground *self)
{
	pid_t pid;

	for (int node = 1; node <= self->nodes; node++)
		if (ctl_node_state(self, node, &pid) == CTL_NODE_PAUSED)
		{
			fprintf(stderr,
					"dynctl: playground: node %d is paused: resume it first\n",
					node);
			return true;
		}
	return false;
}

/* A start that fails leaves all as it was: what ran runs on, and a new
 * playground keeps no settings that the next try would contradict. */
static int
give_up_start(const struct playground *self, bool is_new, const bool *started)
{
	char path[CTL_PATH_SIZE];

	stop_nodes(self, started);
	settings_path(self, path);
	if (is_new)
		unlink(path);
	else
		fprintf(stderr, "dynctl: playground: the nodes that were started are "
						"stopped again; \"start I\" starts one without the "
						"others\n");
	return CTL_FAILED;
}

static int
start_all(struct playground *self)
{
	bool is_new = !load(self);
	bool started[DYN_MEMBERS_MAX + 1] = { false };
	bool good = true;

	if (!(is_new ? plan_new(self) : agrees(self)))
		return CTL_USAGE;
	if (is_new && !save(self))
		return ctl_complain(self->dir, strerror(errno));
	if (refuse_paused(self))
		return CTL_FAILED;
	for (int node = 1; node <= self->nodes && good; node++)
	{
		pid_t pid;

		if (ctl_node_state(self, node, &pid) == CTL_NODE_STOPPED)
			good = started[node] = ctl_node_start(self, node);
	}
	if (!good || !ctl_node_wait_formed(self, 1, self->nodes))
		return give_up_start(self, is_new, started);
	print_status(self);
	return CTL_OK;
}

static int
start_one(const struct playground *self, int node)
{
	pid_t pid;

	if (ctl_node_state(self, node, &pid) != CTL_NODE_STOPPED)
		return ctl_complain("that node is running", NULL);
	if (!ctl_node_start(self, node) || !ctl_node_wait_formed(self, node, node))
		return CTL_FAILED;
	/* The others must have seen it come back, too. */
	for (int other = 1; other <= self->nodes; other++)
		if (ctl_node_state(self, other, &pid) == CTL_NODE_RUNNING &&
			!ctl_node_wait_formed(self, other, other))
			return CTL_FAILED;
	return CTL_OK;
}

static int
refuse_verb(const char *verb)
{
	fprintf(stderr,
			"dynctl: playground: \"%s\" is no command, or needs a node's "
			"number, or takes none\n",
			verb);
	return CTL_USAGE;
}

static int
one_node(const struct playground *self, const char *verb, const char *word)
{
	int node = 0;

	if (!ctl_parse_number(word, 1, self->nodes, "node", &node))
		return CTL_USAGE;
	if (strcmp(verb, "start") == 0)
		return start_one(self, node);
	if (strcmp(verb, "kill") == 0)
	{
		if (!ctl_node_signal(self, node, SIGKILL))
			return CTL_FAILED;
		ctl_node_wait_stopped(self, node, CTL_STOP_WAIT_MS);
		return CTL_OK;
	}
	if (strcmp(verb, "pause") == 0)
		return ctl_node_signal(self, node, SIGSTOP) ? CTL_OK : CTL_FAILED;
	if (strcmp(verb, "resume") == 0)
		return ctl_node_signal(self, node, SIGCONT) ? CTL_OK : CTL_FAILED;
	if (strcmp(verb, "stop") == 0)
	{
		if (!ctl_node_signal(self, node, SIGTERM))
			return CTL_FAILED;
		ctl_node_wait_stopped(self, node, CTL_STOP_WAIT_MS);
		return CTL_OK;
	}
	return refuse_verb(verb);
}

int
ctl_playground(struct ctl *ctl)
{
	struct playground self = { .ctl = ctl };
	const struct ctl_arguments *arguments = &ctl->arguments;
	const char *verb = arguments->word_count ? arguments->words[0] : "";
	bool starts = strcmp(verb, "start") == 0 && arguments->word_count == 1;

	if (arguments->word_count < 1 || arguments->word_count > 2)
	{
		fprintf(stderr, "usage: dynctl playground start|stop|status|kill "
						"I|pause I|resume I|start I|stop I [--dir DIR]\n");
		return CTL_USAGE;
	}
	if (!find_dir(&self, starts))
		return CTL_FAILED;
	if (starts)
		return start_all(&self);
	if (!load(&self))
		return ctl_complain("there is no playground in", self.dir);
	if (arguments->word_count == 2)
		return one_node(&self, verb, arguments->words[1]);
	if (strcmp(verb, "stop") == 0)
		return stop_nodes(&self, NULL);
	if (strcmp(verb, "status") == 0)
	{
		print_status(&self);
		return CTL_OK;
	}
	return refuse_verb(verb);
}
