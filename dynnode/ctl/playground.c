/*-------------------------------------------------------------------------
 *
 * playground.c
 *      A cluster on this machine, for users and for tests.
 *
 * Everything lies in one directory:
 *
 *     DIR/playground    settings: nodes, base port, n, r, w, partitions
 *     DIR/node1/        data/, log, pid, ready
 *
 * Node I listens on base-port + 10 * (I - 1).  A process is only ever
 * signalled after its command line was seen to name the node's own directory.
 *
 *-------------------------------------------------------------------------
 */
#include "ctl/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum
{
	PORT_STEP = 10,
	STOP_WAIT_MS = 5000,
	START_WAIT_MS = 15000,
	PATH_SIZE = 4096
};

struct playground
{
	struct ctl *ctl;
	char dir[PATH_SIZE - 256]; /* absolute */
	int nodes;
	int base_port;
	int n;
	int r;
	int w;
	int partitions;
};

enum state
{
	STOPPED,
	RUNNING,
	PAUSED
};

static const char *const state_names[] = { "stopped", "running", "paused" };

static int
complain(const char *text, const char *detail)
{
	fprintf(stderr, "dynctl: playground: %s%s%s\n", text, detail ? ": " : "",
			detail ? detail : "");
	return CTL_FAILED;
}

static void
sleep_ms(long ms)
{
	struct timespec time = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&time, NULL);
}

static void
node_path(const struct playground *self, int node, const char *name,
		  char out[PATH_SIZE])
{
	snprintf(out, PATH_SIZE, "%s/node%d%s%s", self->dir, node,
			 name[0] ? "/" : "", name);
}

static void
node_address(const struct playground *self, int node, char out[64])
{
	snprintf(out, 64, "127.0.0.1:%d", self->base_port + PORT_STEP * (node - 1));
}

/* -------------------------------------------------------------- settings */

static bool
save(const struct playground *self)
{
	char path[PATH_SIZE];
	FILE *file;

	snprintf(path, sizeof(path), "%s/playground", self->dir);
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
	char path[PATH_SIZE];
	FILE *file;
	bool good;

	snprintf(path, sizeof(path), "%s/playground", self->dir);
	file = fopen(path, "re");
	if (file == NULL)
		return false;
	good = fscanf(file, "%d %d %d %d %d %d", &self->nodes, &self->base_port,
				  &self->n, &self->r, &self->w, &self->partitions) == 6 &&
		   self->nodes >= 1 && self->nodes <= DYN_MEMBERS_MAX;
	fclose(file);
	return good;
}

/* -------------------------------------------------------------- processes */

/* Does this process run the node of this directory? */
static bool
is_ours(pid_t pid, const char *data)
{
	char path[64];
	char line[8192];
	FILE *file;
	size_t size;

	snprintf(path, sizeof(path), "/proc/%ld/cmdline", (long) pid);
	file = fopen(path, "re");
	if (file == NULL)
		return false;
	size = fread(line, 1, sizeof(line) - 1, file);
	fclose(file);
	line[size] = 0;
	for (size_t at = 0; at < size; at += strlen(line + at) + 1)
		if (strcmp(line + at, data) == 0)
			return true;
	return false;
}

static bool
is_zombie_or_paused(pid_t pid, bool *paused)
{
	char path[64];
	char line[1024];
	char *end;
	FILE *file;

	*paused = false;
	snprintf(path, sizeof(path), "/proc/%ld/stat", (long) pid);
	file = fopen(path, "re");
	if (file == NULL)
		return true;
	end = fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;
	fclose(file);
	if (end == NULL || end[1] == 0)
		return true;
	*paused = end[2] == 'T';
	return end[2] == 'Z';
}

static enum state
node_state(const struct playground *self, int node, pid_t *pid)
{
	char path[PATH_SIZE];
	char data[PATH_SIZE];
	long number = 0;
	bool paused;
	FILE *file;

	*pid = 0;
	node_path(self, node, "pid", path);
	node_path(self, node, "data", data);
	file = fopen(path, "re");
	if (file == NULL)
		return STOPPED;
	if (fscanf(file, "%ld", &number) != 1)
		number = 0;
	fclose(file);
	if (number <= 1 || !is_ours((pid_t) number, data) ||
		is_zombie_or_paused((pid_t) number, &paused))
		return STOPPED;
	*pid = (pid_t) number;
	return paused ? PAUSED : RUNNING;
}

static void
find_dynnode(char out[PATH_SIZE])
{
	ssize_t size = readlink("/proc/self/exe", out, PATH_SIZE - 16);
	char *slash;

	out[size > 0 ? size : 0] = 0;
	slash = strrchr(out, '/');
	if (slash != NULL)
		snprintf(slash + 1, 16, "dynnode");
	if (slash == NULL || access(out, X_OK) != 0)
		snprintf(out, PATH_SIZE, "dynnode");
}

static void
list_seeds(const struct playground *self, char *out, size_t size)
{
	size_t used = 0;

	for (int node = 1; node <= self->nodes && used < size; node++)
	{
		char address[64];

		node_address(self, node, address);
		used += (size_t) snprintf(out + used, size - used, "%s%s",
								  node > 1 ? "," : "", address);
	}
}

/* The child's part: never returns. started closes itself when dynnode runs. */
static void
exec_node(const struct playground *self, int node, int started)
{
	char program[PATH_SIZE];
	char data[PATH_SIZE];
	char log[PATH_SIZE];
	char seeds[DYN_MEMBERS_MAX * 24];
	char address[64];
	char numbers[4][16];
	int log_fd;

	find_dynnode(program);
	node_path(self, node, "data", data);
	node_path(self, node, "log", log);
	node_address(self, node, address);
	list_seeds(self, seeds, sizeof(seeds));
	snprintf(numbers[0], 16, "%d", self->n);
	snprintf(numbers[1], 16, "%d", self->r);
	snprintf(numbers[2], 16, "%d", self->w);
	snprintf(numbers[3], 16, "%d", self->partitions);
	setsid();
	log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
	if (log_fd >= 0)
	{
		dup2(log_fd, STDOUT_FILENO);
		dup2(log_fd, STDERR_FILENO);
	}
	log_fd = open("/dev/null", O_RDONLY);
	if (log_fd >= 0)
		dup2(log_fd, STDIN_FILENO);
	/* Whoever started us may wait for its pipes to close. */
	for (int fd = 3; fd < 1024; fd++)
		if (fd != started)
			close(fd);
	execlp(program, "dynnode", "--data", data, "--listen", address, "--seeds",
		   seeds, "--cluster-name", "playground", "--n", numbers[0], "--r",
		   numbers[1], "--w", numbers[2], "--partitions", numbers[3],
		   (char *) NULL);
	fprintf(stderr, "cannot run %s: %s\n", program, strerror(errno));
	_exit(127);
}

static bool
start_node(const struct playground *self, int node)
{
	char path[PATH_SIZE];
	FILE *file;
	pid_t pid;
	int started[2];
	ssize_t got;

	node_path(self, node, "", path);
	if (mkdir(path, 0755) != 0 && errno != EEXIST)
		return complain(path, strerror(errno)) == CTL_OK;
	if (pipe2(started, O_CLOEXEC) != 0)
		return complain("cannot make a pipe", strerror(errno)) == CTL_OK;
	pid = fork();
	if (pid == 0)
		exec_node(self, node, started[1]);
	close(started[1]);
	/* Until it runs dynnode, its command line is ours and it seems stopped. */
	do
		got = read(started[0], path, 1);
	while (got < 0 && errno == EINTR);
	close(started[0]);
	if (pid < 0)
		return complain("cannot start a process", strerror(errno)) == CTL_OK;
	node_path(self, node, "pid", path);
	file = fopen(path, "we");
	if (file != NULL && fprintf(file, "%ld\n", (long) pid) > 0 &&
		fclose(file) == 0)
		return true;
	/* A process that nobody could find again. */
	kill(pid, SIGKILL);
	return complain(path, strerror(errno)) == CTL_OK;
}

/* Is it up, and does it know its cluster? */
static bool
is_formed(const struct playground *self, int node)
{
	Dyn__Hello hello = DYN__HELLO__INIT;
	struct dyn_client *client;
	char address[64];
	void *reply = NULL;
	const char *text;
	bool formed = false;

	node_address(self, node, address);
	client = dyn_client_open(address);
	if (client == NULL)
		return false;
	hello.version_min = hello.version_max = DYN_PROTOCOL_VERSION;
	hello.agent = "dynctl playground";
	if (dyn_client_ask(client, 300, DYN_MESSAGE_HELLO, &hello.base,
					   DYN_MESSAGE_WELCOME, &self->ctl->arena, &reply,
					   &text) == DYN_STATUS_OK)
	{
		const Dyn__Welcome *welcome = reply;
		size_t up = 0;

		/* All living nodes must have found each other, so that the first
		 * statement of whoever waits for us meets a whole cluster. */
		for (size_t i = 0; i < welcome->n_peer_up; i++)
			up += welcome->peer_up[i] != 0;
		for (int other = 1; other <= self->nodes; other++)
		{
			pid_t pid;

			if (node_state(self, other, &pid) != RUNNING)
				up++;
		}
		formed = welcome->formed && up >= (size_t) self->nodes;
	}
	dyn_client_close(&client);
	return formed;
}

/* Of a log: mostly, why. */
static void
show_last_line(const char *path)
{
	FILE *file = fopen(path, "re");
	char line[1024];
	char last_line[1024] = "";

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		memcpy(last_line, line, sizeof(line));
	if (file != NULL)
		fclose(file);
	fprintf(stderr, "%s", last_line);
}

static bool
wait_formed(const struct playground *self, int node)
{
	char log[PATH_SIZE];

	for (int waited = 0; waited < START_WAIT_MS; waited += 50)
	{
		pid_t pid;

		waitpid(-1, NULL, WNOHANG);
		if (node_state(self, node, &pid) == STOPPED)
			break;
		if (is_formed(self, node))
			return true;
		sleep_ms(50);
	}
	node_path(self, node, "log", log);
	fprintf(stderr, "dynctl: playground: node %d did not come up; see %s\n",
			node, log);
	show_last_line(log);
	return false;
}

static bool
signal_node(const struct playground *self, int node, int number)
{
	pid_t pid;

	if (node_state(self, node, &pid) == STOPPED)
	{
		fprintf(stderr, "dynctl: playground: node %d is not running\n", node);
		return false;
	}
	return kill(pid, number) == 0;
}

static void
wait_stopped(const struct playground *self, int node, int wait_ms)
{
	pid_t pid;

	for (int waited = 0;
		 waited < wait_ms && node_state(self, node, &pid) != STOPPED;
		 waited += 20)
	{
		waitpid(-1, NULL, WNOHANG);
		sleep_ms(20);
	}
}

/* -------------------------------------------------------------- commands */

static int
stop_all(const struct playground *self)
{
	pid_t pid;

	for (int node = 1; node <= self->nodes; node++)
		if (node_state(self, node, &pid) != STOPPED)
		{
			kill(pid, SIGTERM);
			kill(pid, SIGCONT);
		}
	for (int node = 1; node <= self->nodes; node++)
	{
		wait_stopped(self, node, STOP_WAIT_MS);
		if (node_state(self, node, &pid) != STOPPED)
			kill(pid, SIGKILL);
		wait_stopped(self, node, STOP_WAIT_MS);
	}
	return CTL_OK;
}

static void
print_status(const struct playground *self)
{
	bool json = self->ctl->arguments.json;
	char seeds[DYN_MEMBERS_MAX * 24];

	list_seeds(self, seeds, sizeof(seeds));
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
		enum state state = node_state(self, node, &pid);
		char address[64];

		node_address(self, node, address);
		if (json)
			printf("%s{\"node\": %d, \"address\": \"%s\", \"state\": \"%s\", "
				   "\"pid\": %ld}",
				   node > 1 ? ", " : "", node, address, state_names[state],
				   (long) pid);
		else
			printf("%-5d %-22s %-9s %8ld\n", node, address, state_names[state],
				   (long) pid);
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
		complain(dir, strerror(errno));
		return false;
	}
	if (realpath(dir, path) == NULL || strlen(path) >= sizeof(self->dir))
	{
		complain(dir, strerror(errno));
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
		complain("n cannot exceed the nodes, r and w cannot exceed n", NULL);
	else if (self->base_port + PORT_STEP * self->nodes > 65533)
		complain("the last node's ports would be beyond 65535", NULL);
	else if (self->partitions & (self->partitions - 1))
		complain("--partitions is not a power of two", NULL);
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

static int
start_all(struct playground *self)
{
	bool is_new = !load(self);
	bool good = true;

	if (!(is_new ? plan_new(self) : agrees(self)))
		return CTL_USAGE;
	if (is_new && !save(self))
		return complain(self->dir, strerror(errno));
	for (int node = 1; node <= self->nodes && good; node++)
	{
		pid_t pid;

		if (node_state(self, node, &pid) == STOPPED)
			good = start_node(self, node);
	}
	for (int node = 1; node <= self->nodes && good; node++)
		good = wait_formed(self, node);
	if (!good)
	{
		stop_all(self);
		return CTL_FAILED;
	}
	print_status(self);
	return CTL_OK;
}

static int
start_one(const struct playground *self, int node)
{
	pid_t pid;

	if (node_state(self, node, &pid) != STOPPED)
		return complain("that node is running", NULL);
	return start_node(self, node) && wait_formed(self, node) ? CTL_OK
															 : CTL_FAILED;
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
		if (!signal_node(self, node, SIGKILL))
			return CTL_FAILED;
		wait_stopped(self, node, STOP_WAIT_MS);
		return CTL_OK;
	}
	if (strcmp(verb, "pause") == 0)
		return signal_node(self, node, SIGSTOP) ? CTL_OK : CTL_FAILED;
	if (strcmp(verb, "resume") == 0)
		return signal_node(self, node, SIGCONT) ? CTL_OK : CTL_FAILED;
	if (strcmp(verb, "stop") == 0)
	{
		if (!signal_node(self, node, SIGTERM))
			return CTL_FAILED;
		wait_stopped(self, node, STOP_WAIT_MS);
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
		return complain("there is no playground in", self.dir);
	if (arguments->word_count == 2)
		return one_node(&self, verb, arguments->words[1]);
	if (strcmp(verb, "stop") == 0)
		return stop_all(&self);
	if (strcmp(verb, "status") == 0)
	{
		print_status(&self);
		return CTL_OK;
	}
	return refuse_verb(verb);
}
