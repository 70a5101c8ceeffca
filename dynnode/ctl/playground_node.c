#include "ctl/playground.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "io/clock.h"

const char *const ctl_node_status_names[] = { "stopped", "running", "paused" };

int
ctl_complain(const char *text, const char *detail)
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
		  char out[CTL_PATH_SIZE])
{
	snprintf(out, CTL_PATH_SIZE, "%s/node%d%s%s", self->dir, node,
			 name[0] ? "/" : "", name);
}

void
ctl_node_address(const struct playground *self, int node, char out[64])
{
	snprintf(out, 64, "127.0.0.1:%d",
			 self->base_port + CTL_PORT_STEP * (node - 1));
}

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

enum ctl_node_status
ctl_node_state(const struct playground *self, int node, pid_t *pid)
{
	char path[CTL_PATH_SIZE];
	char data[CTL_PATH_SIZE];
	long number = 0;
	bool paused;
	FILE *file;

	*pid = 0;
	node_path(self, node, "pid", path);
	node_path(self, node, "data", data);
	file = fopen(path, "re");
	if (file == NULL)
		return CTL_NODE_STOPPED;
	if (fscanf(file, "%ld", &number) != 1)
		number = 0;
	fclose(file);
	if (number <= 1 || !is_ours((pid_t) number, data) ||
		is_zombie_or_paused((pid_t) number, &paused))
		return CTL_NODE_STOPPED;
	*pid = (pid_t) number;
	return paused ? CTL_NODE_PAUSED : CTL_NODE_RUNNING;
}

static void
find_dynnode(char out[CTL_PATH_SIZE])
{
	ssize_t size = readlink("/proc/self/exe", out, CTL_PATH_SIZE - 16);
	char *slash;

	out[size > 0 ? size : 0] = 0;
	slash = strrchr(out, '/');
	if (slash != NULL)
		snprintf(slash + 1, 16, "dynnode");
	if (slash == NULL || access(out, X_OK) != 0)
		snprintf(out, CTL_PATH_SIZE, "dynnode");
}

void
ctl_list_seeds(const struct playground *self, char *out, size_t size)
{
	size_t used = 0;

	for (int node = 1; node <= self->nodes && used < size; node++)
	{
		char address[64];

		ctl_node_address(self, node, address);
		used += (size_t) snprintf(out + used, size - used, "%s%s",
								  node > 1 ? "," : "", address);
	}
}

/* The child's part: never returns. started closes itself when dynnode runs. */
static void
exec_node(const struct playground *self, int node, int started)
{
	char program[CTL_PATH_SIZE];
	char data[CTL_PATH_SIZE];
	char log[CTL_PATH_SIZE];
	char seeds[DYN_MEMBERS_MAX * 24];
	char address[64];
	char numbers[4][16];
	int log_fd;

	find_dynnode(program);
	node_path(self, node, "data", data);
	node_path(self, node, "log", log);
	ctl_node_address(self, node, address);
	ctl_list_seeds(self, seeds, sizeof(seeds));
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

bool
ctl_node_start(const struct playground *self, int node)
{
	char path[CTL_PATH_SIZE];
	FILE *file;
	pid_t pid;
	int started[2];
	ssize_t got;

	node_path(self, node, "", path);
	if (mkdir(path, 0755) != 0 && errno != EEXIST)
		return ctl_complain(path, strerror(errno)) == CTL_OK;
	if (pipe2(started, O_CLOEXEC) != 0)
		return ctl_complain("cannot make a pipe", strerror(errno)) == CTL_OK;
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
		return ctl_complain("cannot start a process", strerror(errno)) ==
			   CTL_OK;
	node_path(self, node, "pid", path);
	file = fopen(path, "we");
	if (file != NULL && fprintf(file, "%ld\n", (long) pid) > 0 &&
		fclose(file) == 0)
		return true;
	/* A process that nobody could find again. */
	kill(pid, SIGKILL);
	return ctl_complain(path, strerror(errno)) == CTL_OK;
}

/* Does this WELCOME show every node up that runs, so that the first statement
 * of whoever waits for us meets a whole cluster? */
static bool
knows_all(const struct playground *self, const Dyn__Welcome *welcome)
{
	struct dyn_ring ring;

	if (!welcome->formed ||
		dyn_ring_decode(dyn_slice_of_bytes(welcome->ring),
						&self->ctl->arena.allocator, &ring) != DYN_STATUS_OK)
		return false;
	for (int node = 1; node <= self->nodes; node++)
	{
		char address[64];
		bool up = false;
		pid_t pid;

		ctl_node_address(self, node, address);
		for (uint32_t i = 0; i < ring.member_count; i++)
			up = up || (i < welcome->n_peer_up && welcome->peer_up[i] &&
						strcmp(ring.members[i].address, address) == 0);
		if (!up && ctl_node_state(self, node, &pid) == CTL_NODE_RUNNING)
			return false;
	}
	return true;
}

static bool
is_formed(const struct playground *self, int node)
{
	Dyn__Hello hello = DYN__HELLO__INIT;
	struct dyn_client *client;
	char address[64];
	void *reply = NULL;
	const char *text;
	bool formed;

	ctl_node_address(self, node, address);
	client = dyn_client_open(address);
	if (client == NULL)
		return false;
	hello.version_min = hello.version_max = DYN_PROTOCOL_VERSION;
	hello.agent = "dynctl playground";
	formed = dyn_client_ask(client, 300, DYN_MESSAGE_HELLO, &hello.base,
							DYN_MESSAGE_WELCOME, &self->ctl->arena, &reply,
							&text) == DYN_STATUS_OK &&
			 knows_all(self, reply);
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
tell_failed(const struct playground *self, int node)
{
	char log[CTL_PATH_SIZE];

	node_path(self, node, "log", log);
	fprintf(stderr, "dynctl: playground: node %d did not come up; see %s\n",
			node, log);
	show_last_line(log);
	return false;
}

bool
ctl_node_wait_formed(const struct playground *self, int first, int last)
{
	int node = first; /* whose turn it is: those before it are fine */
	uint64_t until_ms = dyn_clock_ms(CLOCK_MONOTONIC) + CTL_START_WAIT_MS;

	while (node <= last && dyn_clock_ms(CLOCK_MONOTONIC) < until_ms)
	{
		waitpid(-1, NULL, WNOHANG);
		/* The others may wait in vain for one that has ended. */
		for (int other = first; other <= last; other++)
		{
			pid_t pid;

			if (ctl_node_state(self, other, &pid) == CTL_NODE_STOPPED)
				return tell_failed(self, other);
		}
		if (is_formed(self, node))
		{
			node++;
			until_ms = dyn_clock_ms(CLOCK_MONOTONIC) + CTL_START_WAIT_MS;
		}
		else
			sleep_ms(50);
	}
	return node > last || tell_failed(self, node);
}

bool
ctl_node_signal(const struct playground *self, int node, int number)
{
	pid_t pid;

	if (ctl_node_state(self, node, &pid) == CTL_NODE_STOPPED)
	{
		fprintf(stderr, "dynctl: playground: node %d is not running\n", node);
		return false;
	}
	return kill(pid, number) == 0;
}

void
ctl_node_wait_stopped(const struct playground *self, int node, int wait_ms)
{
	pid_t pid;

	for (int waited = 0; waited < wait_ms &&
						 ctl_node_state(self, node, &pid) != CTL_NODE_STOPPED;
		 waited += 20)
	{
		waitpid(-1, NULL, WNOHANG);
		sleep_ms(20);
	}
}
