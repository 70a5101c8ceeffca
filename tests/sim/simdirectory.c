#include "tests/sim/simdirectory.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "tests/sim/simdisk.h"

enum
{
	PATH_SIZE = 512,
	ROOM_WANTED_MIB = 256
};

/* A signal handler must find them. */
static char base[PATH_SIZE - 64];
static pid_t owner;
static unsigned made;   /* since the base was */
static unsigned living; /* ... and not removed yet */

static void
remove_store(const char *path)
{
	static const char *const files[] = { "data.mdb", "lock.mdb", "new/data.mdb",
										 "new/lock.mdb", "new" };
	char file[PATH_SIZE];

	for (unsigned i = 0; i < sizeof(files) / sizeof(files[0]); i++)
	{
		snprintf(file, sizeof(file), "%s/%s", path, files[i]);
		if (unlink(file) != 0)
			rmdir(file);
	}
	rmdir(path);
}

static void
name_of(unsigned number, char path[PATH_SIZE])
{
	snprintf(path, PATH_SIZE, "%s/%u", base, number);
}

/* Nothing here but calls that a handler may make, and snprintf of numbers and
 * strings, which takes no lock and no memory. */
static void
clean_up(int number)
{
	if (owner == getpid())
		for (unsigned i = 0; i < made; i++)
		{
			char path[PATH_SIZE];

			name_of(i, path);
			remove_store(path);
		}
	if (owner == getpid())
		rmdir(base);
	raise(number); /* the handler was for one time */
}

/* Whoever handles these already (a sanitizer) goes on doing so. */
static void
watch_signals(void)
{
	static const int numbers[] = { SIGINT,  SIGTERM, SIGHUP, SIGALRM,
								   SIGABRT, SIGSEGV, SIGBUS, SIGPIPE };

	for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
	{
		struct sigaction action = { .sa_handler = clean_up,
									.sa_flags = SA_RESETHAND | SA_NODEFER };
		struct sigaction old;

		if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
			sigaction(numbers[i], &action, NULL);
	}
}

static bool
has_room(const char *path)
{
	struct statvfs status;

	return access(path, W_OK | X_OK) == 0 && statvfs(path, &status) == 0 &&
		   (unsigned long long) status.f_bavail * status.f_frsize >=
			   (unsigned long long) ROOM_WANTED_MIB << 20;
}

static void
make_base(void)
{
	const char *parent = getenv("TMPDIR");

	if (parent == NULL || *parent == 0)
		parent = "/tmp";
	if (has_room("/dev/shm"))
		parent = "/dev/shm";
	snprintf(base, sizeof(base), "%s/dynsim-XXXXXX", parent);
	if (mkdtemp(base) == NULL)
	{
		perror(base);
		exit(1);
	}
	owner = getpid();
	made = 0;
	watch_signals();
}

char *
dyn_simdirectory_new(void)
{
	char *path = dyn_sim_allocate(PATH_SIZE);

	if (living == 0)
		make_base();
	name_of(made, path);
	if (mkdir(path, S_IRWXU) != 0)
	{
		perror(path);
		exit(1);
	}
	made++;
	living++;
	return path;
}

void
dyn_simdirectory_remove(char *path)
{
	remove_store(path);
	free(path);
	if (--living == 0)
		rmdir(base);
}
