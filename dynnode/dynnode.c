/*-------------------------------------------------------------------------
 *
 * dynnode.c
 *      One node of a cluster: read settings, open, run, close.
 *
 * Exit codes: 0 stopped by SIGTERM or SIGINT; 1 it cannot start; 2 bad
 * settings; 3 the store failed while it ran.  LMDB's pages have no checksums,
 * so a damaged one may end the process in the middle of LMDB: by the signal,
 * after a line that says what to look at.
 *
 *-------------------------------------------------------------------------
 */
#include "io/config.h"
#include "io/loop.h"
#include "io/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

enum
{
	EXIT_STOPPED = 0,
	EXIT_CANNOT_START = 1,
	EXIT_BAD_SETTINGS = 2,
	EXIT_STORE_FAILED = 3
};

static enum dyn_log_level log_level_max = DYN_LOG_INFO;

static void
log_line(enum dyn_log_level level, const char *text, size_t size)
{
	static const char *const names[] = { "ERROR", "WARNING", "INFO", "DEBUG" };
	uint64_t wall_ms = dyn_loop_wall_ms();
	time_t seconds = (time_t) (wall_ms / 1000);
	struct tm tm;
	char stamp[32];

	if (level > log_level_max)
		return;
	localtime_r(&seconds, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%d %H:%M:%S", &tm);
	fprintf(stderr, "%s.%03d %s  %.*s\n", stamp, (int) (wall_ms % 1000),
			names[level], (int) size, text);
}

static void
log_text(enum dyn_log_level level, const char *text)
{
	log_line(level, text, strlen(text));
}

/* Before any thread exists, so that all of them inherit the mask. */
static int
open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* LMDB follows what its pages say, and gives up with an abort where it notices
 * that they cannot be true.  Only what a handler may call. */
static void
tell_of_crash(int number)
{
	static const char text[] =
		"ERROR  the node has crashed. When it does so again at each start, "
		"its data.mdb is damaged: start it with an empty data directory and "
		"--node-id, as after the loss of a disk\n";
	ssize_t written = write(STDERR_FILENO, text, sizeof(text) - 1);

	(void) written;
	/* SA_RESETHAND: now it is the signal's own doing. */
	raise(number);
}

static void
watch_for_crashes(void)
{
	static const int numbers[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL };
	struct sigaction action = { .sa_handler = tell_of_crash,
								.sa_flags = SA_RESETHAND };

	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		sigaction(numbers[i], &action, NULL);
}

/* Each connection takes a descriptor, and the usual soft limit is 1024. */
static void
raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* Give large blocks (frames, values) back to the system at once.  Left alone,
 * the allocator moves its threshold up after the first of them, and a flood of
 * values leaves the process at its peak for ever. */
static void
keep_large_blocks_apart(void)
{
#ifdef M_MMAP_THRESHOLD
	mallopt(M_MMAP_THRESHOLD, 512 * 1024);
#endif
}

static bool
write_ready_file(const struct dyn_config *config)
{
	FILE *file;

	if (config->ready_file[0] == 0)
		return true;
	file = fopen(config->ready_file, "we");
	if (file == NULL)
		return false;
	fprintf(file, "%ld\n", (long) getpid());
	return fclose(file) == 0;
}

/* The node itself, from what the store remembers. */
static enum dyn_status
make_node(struct dyn_loop *loop, const struct dyn_config *config)
{
	struct dyn_node_config core = dyn_config_for_core(config);
	struct dyn_allocator allocator = dyn_allocator_malloc();
	struct dyn_meta_record *records;
	struct dyn_store_lmdb_stats stats;
	struct dyn_arena arena;
	struct dyn_slice *names;
	struct dyn_slice *values;
	struct dyn_boot boot = { 0 };
	enum dyn_status status;

	dyn_arena_init(&arena, allocator, 0);
	status = loop->store->ops->read_meta(loop->store, &arena.allocator, &names,
										 &values, &boot.record_count);
	if (status == DYN_STATUS_OK &&
		!loop->store->ops->count(loop->store, DYN_TABLE_HINTS,
								 &boot.hint_count))
		status = DYN_STATUS_IO_ERROR;
	if (status != DYN_STATUS_OK ||
		getrandom(&boot.start_id, sizeof(boot.start_id), 0) < 0 ||
		getrandom(&boot.prng_seed, sizeof(boot.prng_seed), 0) < 0)
	{
		snprintf(loop->reason, sizeof(loop->reason),
				 "cannot read the node's own records: %s",
				 dyn_status_text(status));
		dyn_arena_destroy(&arena);
		return status != DYN_STATUS_OK ? status : DYN_STATUS_IO_ERROR;
	}
	records =
		dyn_arena_allocate(&arena, (boot.record_count + 1) * sizeof(*records));
	for (uint32_t i = 0; i < boot.record_count; i++)
		records[i] = (struct dyn_meta_record){ names[i], values[i] };
	boot.records = records;
	dyn_store_lmdb_stats(loop->store, &stats);
	boot.writable = stats.writable;
	status = dyn_node_new(&core, &boot, dyn_loop_now_ms(), &loop->effects,
						  &loop->node);
	dyn_loop_perform(loop);
	dyn_arena_destroy(&arena);
	return status;
}

static int
start_and_run(struct dyn_loop *loop, const struct dyn_config *config)
{
	struct dyn_store_lmdb_config store = { .directory = config->data,
										   .map_size_max =
											   config->map_size_max };
	enum dyn_status status;
	char text[1024];

	if (dyn_store_lmdb_open(&store, dyn_loop_deliver, loop, &loop->store,
							loop->reason,
							sizeof(loop->reason)) != DYN_STATUS_OK)
		return EXIT_CANNOT_START;
	loop->transport = dyn_transport_open(config->listen, dyn_loop_deliver, loop,
										 loop->reason, sizeof(loop->reason));
	if (loop->transport == NULL)
		return EXIT_CANNOT_START;
	status = make_node(loop, config);
	/* n, r, w or a name that the cluster or the store does not bear. */
	if (status == DYN_STATUS_BAD_REQUEST)
		return EXIT_BAD_SETTINGS;
	if (status != DYN_STATUS_OK)
		return EXIT_CANNOT_START;
	snprintf(text, sizeof(text),
			 "dynnode %s listens on %s (pid %ld), data in %.512s", DYN_VERSION,
			 config->listen, (long) getpid(), config->data);
	log_text(DYN_LOG_INFO, text);
	if (!write_ready_file(config))
	{
		snprintf(loop->reason, sizeof(loop->reason), "cannot write %.256s: %s",
				 config->ready_file, strerror(errno));
		return EXIT_CANNOT_START;
	}
	return dyn_loop_run(loop) ? EXIT_STOPPED : EXIT_STORE_FAILED;
}

int
main(int argc, char **argv)
{
	static struct dyn_config config;
	static struct dyn_loop loop;
	int code;

	switch (dyn_config_read(&config, argc, argv))
	{
		case DYN_CONFIG_HELP:
			return EXIT_STOPPED;
		case DYN_CONFIG_BAD:
			return EXIT_BAD_SETTINGS;
		case DYN_CONFIG_RUN:
			break;
	}
	log_level_max = config.level;
	loop.log = log_line;
	loop.signal_fd = open_signals();
	watch_for_crashes();
	raise_descriptor_limit();
	keep_large_blocks_apart();
	dyn_effects_init(&loop.effects);
	code = start_and_run(&loop, &config);
	if (code != EXIT_STOPPED)
		log_text(DYN_LOG_ERROR, loop.reason);
	/* No more frames; then finish what the store was given. */
	dyn_transport_close(&loop.transport);
	if (loop.store != NULL)
		loop.store->ops->close(&loop.store);
	dyn_node_destroy(&loop.node);
	dyn_effects_destroy(&loop.effects);
	if (config.ready_file[0] != 0)
		unlink(config.ready_file);
	if (code == EXIT_STOPPED)
		log_text(DYN_LOG_INFO, "stopped");
	return code;
}
