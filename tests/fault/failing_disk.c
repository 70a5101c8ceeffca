/*
 * failing_disk: a library for LD_PRELOAD, a disk and a clock that misbehave
 * when they are told to.
 *
 * FAULT_CONTROL names a file of struct control that the test maps and changes
 * while the program runs.  What it can do:
 *
 *     sync_error    the next sync fails with EIO, and what was written since
 *                   the last good one is gone: the old bytes are put back.
 *                   (A kernel drops such pages; a second sync would say yes.)
 *     sync_delay    every sync takes so long
 *     write_error   1: the next pwrite fails with EIO; 2: it fails after half
 *                   of its bytes have been written
 *     power_cut     at the next write or sync everything unsynced is gone, and
 *                   the program too, as if the power had failed
 *     sync_lie      syncs say yes and do nothing: a power cut takes back all
 *                   that was written since, O_DSYNC or not
 *     clock_offset  added to CLOCK_REALTIME; the monotonic clock stays
 *
 * Without that file FAULT_CLOCK_OFFSET_MS sets the clock, for good, and disks
 * are left alone.
 *
 * A descriptor opened with O_DSYNC has no unsynced writes.  Errors happen
 * once and then clear themselves; counts tell the test what has happened.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* tests/fault/nodes.py knows this layout. */
struct control
{
	_Atomic uint32_t sync_error;
	_Atomic uint32_t sync_delay_ms;
	_Atomic uint32_t write_error;
	_Atomic uint32_t power_cut;
	_Atomic int64_t clock_offset_ms;
	_Atomic uint32_t sync_errors_done;
	_Atomic uint32_t write_errors_done;
	_Atomic uint32_t syncs;
	_Atomic uint32_t undone; /* writes taken back */
	_Atomic uint32_t sync_lie;
	_Atomic uint32_t power_cuts_done;
};

/* What stood in the file before a write that is not synced yet. */
struct undo
{
	struct undo *next; /* the write before */
	int fd;
	off_t at;
	size_t size;
	uint8_t bytes[];
};

static struct control idle;
static struct control *control = &idle;
static struct undo *undos;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static int (*real_fdatasync)(int);
static int (*real_fsync)(int);
static int (*real_clock_gettime)(clockid_t, struct timespec *);

/* Before any thread of the program, but maybe not before other libraries. */
__attribute__((constructor)) static void
begin(void)
{
	const char *path = getenv("FAULT_CONTROL");
	const char *offset_ms = getenv("FAULT_CLOCK_OFFSET_MS");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *mapped;

	real_pwrite = dlsym(RTLD_NEXT, "pwrite");
	real_writev = dlsym(RTLD_NEXT, "writev");
	real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
	real_fsync = dlsym(RTLD_NEXT, "fsync");
	real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
	if (offset_ms != NULL)
		idle.clock_offset_ms = strtoll(offset_ms, NULL, 10);
	if (fd < 0)
		return;
	mapped =
		mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (mapped != MAP_FAILED)
		control = mapped;
}

static bool
is_same_file(int a, int b)
{
	struct stat x;
	struct stat y;

	return a == b || (fstat(a, &x) == 0 && fstat(b, &y) == 0 &&
					  x.st_dev == y.st_dev && x.st_ino == y.st_ino);
}

/* ---- what is not synced ---- */

/* LMDB's own descriptor for its meta pages can only be written to. */
static ssize_t
read_at(int fd, void *bytes, size_t size, off_t at)
{
	ssize_t got = pread(fd, bytes, size, at);
	char path[64];
	int readable;

	if (got >= 0 || errno != EBADF)
		return got;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	readable = open(path, O_RDONLY | O_CLOEXEC);
	if (readable < 0)
		return -1;
	got = pread(readable, bytes, size, at);
	close(readable);
	return got;
}

static void
remember(int fd, size_t size, off_t at)
{
	int flags = fcntl(fd, F_GETFL);
	struct undo *undo;
	ssize_t got;

	if (control == &idle || flags < 0 ||
		((flags & (O_DSYNC | O_SYNC)) != 0 && !control->sync_lie))
		return;
	undo = malloc(sizeof(*undo) + size);
	if (undo == NULL)
		return;
	*undo = (struct undo){ .fd = fd, .at = at };
	got = read_at(fd, undo->bytes, size, at);
	/* What lay beyond the end of the file reads as zeros afterwards. */
	if (got < 0)
		got = 0;
	memset(undo->bytes + got, 0, size - (size_t) got);
	undo->size = size;
	pthread_mutex_lock(&mutex);
	undo->next = undos;
	undos = undo;
	pthread_mutex_unlock(&mutex);
}

/* All of a file: put back, newest first, or let go. */
static void
settle(int fd, bool take_back)
{
	struct undo **link;

	pthread_mutex_lock(&mutex);
	link = &undos;
	while (*link != NULL)
	{
		struct undo *undo = *link;

		if (!is_same_file(fd, undo->fd))
		{
			link = &undo->next;
			continue;
		}
		if (take_back)
		{
			(void) !real_pwrite(undo->fd, undo->bytes, undo->size, undo->at);
			control->undone++;
		}
		*link = undo->next;
		free(undo);
	}
	pthread_mutex_unlock(&mutex);
}

/*
 * Other threads look at these pages through a map, and would be surprised: so
 * a child of this process takes the writes back when it is gone.
 */
static void
maybe_lose_power(void)
{
	pid_t parent = getpid();

	if (!control->power_cut)
		return;
	if (fork() != 0)
		_exit(137);
	while (getppid() == parent)
		usleep(1000);
	for (struct undo *undo = undos; undo != NULL; undo = undo->next)
	{
		(void) !real_pwrite(undo->fd, undo->bytes, undo->size, undo->at);
		control->undone++;
	}
	control->power_cuts_done++;
	_exit(0);
}

/* ---- sync ---- */

static int
sync_with(int (*real)(int), int fd)
{
	uint32_t delay_ms = control->sync_delay_ms;
	int result;

	maybe_lose_power();
	if (delay_ms > 0)
		usleep(delay_ms * 1000);
	maybe_lose_power();
	if (control->sync_error)
	{
		control->sync_error = 0;
		control->sync_errors_done++;
		settle(fd, true);
		errno = EIO;
		return -1;
	}
	if (control->sync_lie)
		return 0;
	result = real(fd);
	control->syncs++;
	if (result == 0)
		settle(fd, false);
	return result;
}

__attribute__((visibility("default"))) int
fdatasync(int fd)
{
	return sync_with(real_fdatasync, fd);
}

__attribute__((visibility("default"))) int
fsync(int fd)
{
	return sync_with(real_fsync, fd);
}

/* ---- write ---- */

/* Does this write fail?  When it is to be torn, its first half is written. */
static bool
fails(int fd, const void *bytes, size_t size, off_t at)
{
	uint32_t error = control->write_error;

	maybe_lose_power();
	if (error == 0)
	{
		remember(fd, size, at);
		return false;
	}
	control->write_error = 0;
	control->write_errors_done++;
	if (error == 2)
	{
		remember(fd, size / 2, at);
		(void) !real_pwrite(fd, bytes, size / 2, at);
	}
	errno = EIO;
	return true;
}

__attribute__((visibility("default"))) ssize_t
pwrite(int fd, const void *bytes, size_t size, off_t at)
{
	return fails(fd, bytes, size, at) ? -1 : real_pwrite(fd, bytes, size, at);
}

__attribute__((visibility("default"))) ssize_t
pwrite64(int fd, const void *bytes, size_t size, off_t at)
{
	return pwrite(fd, bytes, size, at);
}

static size_t
total_size(const struct iovec *parts, int count)
{
	size_t size = 0;

	for (int i = 0; i < count; i++)
		size += parts[i].iov_len;
	return size;
}

/* LMDB writes pages that lie in a row this way. */
__attribute__((visibility("default"))) ssize_t
writev(int fd, const struct iovec *parts, int count)
{
	off_t at = lseek(fd, 0, SEEK_CUR);

	if (at < 0)
		return real_writev(fd, parts, count);
	/* A torn one tears within its first part. */
	if (control->write_error != 0 || control->power_cut)
		return fails(fd, parts[0].iov_base, parts[0].iov_len, at)
				   ? -1
				   : real_writev(fd, parts, count);
	remember(fd, total_size(parts, count), at);
	return real_writev(fd, parts, count);
}

/* ---- clock ---- */

__attribute__((visibility("default"))) int
clock_gettime(clockid_t clock, struct timespec *time)
{
	/* Other libraries may ask before begin() was called. */
	int result = real_clock_gettime
					 ? real_clock_gettime(clock, time)
					 : (int) syscall(SYS_clock_gettime, clock, time);
	int64_t offset_ms = control->clock_offset_ms;
	int64_t ns;

	if (result != 0 || offset_ms == 0 || clock != CLOCK_REALTIME)
		return result;
	ns = time->tv_nsec + offset_ms % 1000 * 1000000;
	time->tv_sec += (time_t) (offset_ms / 1000);
	if (ns < 0)
	{
		ns += 1000000000;
		time->tv_sec--;
	}
	if (ns >= 1000000000)
	{
		ns -= 1000000000;
		time->tv_sec++;
	}
	time->tv_nsec = ns;
	return 0;
}

__attribute__((visibility("default"))) int
gettimeofday(struct timeval *restrict time, void *restrict zone)
{
	struct timespec now;
	int result = clock_gettime(CLOCK_REALTIME, &now);

	(void) zone;
	if (result == 0)
		*time = (struct timeval){ now.tv_sec, now.tv_nsec / 1000 };
	return result;
}

__attribute__((visibility("default"))) time_t
time(time_t *out)
{
	struct timespec now = { 0, 0 };

	clock_gettime(CLOCK_REALTIME, &now);
	if (out != NULL)
		*out = now.tv_sec;
	return now.tv_sec;
}
