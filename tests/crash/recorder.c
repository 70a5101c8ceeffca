#include "recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static struct
{
	_Atomic bool is_on;
	struct crash_log *log;
	const char *directory;
	char file[4096];
	char new_file[4096];
	bool is_new; /* nothing was written to data.mdb yet */
	pthread_t driver;
	_Atomic bool may_pass;
	int arrived_fd;
	sem_t released;
} recorder;

void
crash_recorder_begin(struct crash_log *log, const char *directory, bool is_new)
{
	recorder.log = log;
	recorder.directory = directory;
	recorder.is_new = is_new;
	snprintf(recorder.file, sizeof(recorder.file), "%s/data.mdb", directory);
	snprintf(recorder.new_file, sizeof(recorder.new_file), "%s/new/data.mdb",
			 directory);
	recorder.driver = pthread_self();
	recorder.arrived_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (recorder.arrived_fd < 0 || sem_init(&recorder.released, 0, 0) != 0)
	{
		perror("recorder");
		abort();
	}
	recorder.is_on = true;
}

void
crash_recorder_end(void)
{
	recorder.is_on = false;
	close(recorder.arrived_fd);
	sem_destroy(&recorder.released);
}

/* One post is enough: there is one writer, and it may be between asking and
 * stopping. */
void
crash_recorder_let_pass(void)
{
	recorder.may_pass = true;
	sem_post(&recorder.released);
}

void
crash_recorder_let_stop(void)
{
	uint64_t count;

	while (sem_trywait(&recorder.released) == 0)
		;
	while (read(recorder.arrived_fd, &count, sizeof(count)) > 0)
		;
	recorder.may_pass = false;
}

int
crash_recorder_fd(void)
{
	return recorder.arrived_fd;
}

bool
crash_recorder_has_arrived(void)
{
	struct pollfd arrived = { .fd = recorder.arrived_fd, .events = POLLIN };

	return poll(&arrived, 1, 0) == 1;
}

void
crash_recorder_release(void)
{
	uint64_t count;

	if (read(recorder.arrived_fd, &count, sizeof(count)) < 0)
		abort();
	sem_post(&recorder.released);
}

/* Before a thread touches the file. */
static void
arrive(void)
{
	uint64_t one = 1;

	if (pthread_equal(pthread_self(), recorder.driver) || recorder.may_pass)
		return;
	if (syscall(SYS_write, recorder.arrived_fd, &one, sizeof(one)) < 0)
		abort();
	while (sem_wait(&recorder.released) != 0)
		;
}

static bool
is_same_file(const struct stat *status, const char *path)
{
	struct stat other;

	return stat(path, &other) == 0 && status->st_ino == other.st_ino &&
		   status->st_dev == other.st_dev;
}

static void
add(enum crash_entry_type type, size_t at, size_t size, const void *bytes)
{
	crash_log_add(
		recorder.log,
		(struct crash_entry){
			.type = type, .at = at, .size = size, .bytes = (void *) bytes });
}

static bool
is_recorded(int fd)
{
	struct stat status;

	if (!recorder.is_on || fstat(fd, &status) != 0)
		return false;
	if (is_same_file(&status, recorder.new_file))
		return true;
	if (!is_same_file(&status, recorder.file))
		return false;
	/* Made in its place, without a new name. */
	if (recorder.is_new)
		add(CRASH_RENAMED, 0, 0, NULL);
	recorder.is_new = false;
	return true;
}

static bool
is_directory_recorded(int fd)
{
	struct stat status;

	return recorder.is_on && fstat(fd, &status) == 0 &&
		   is_same_file(&status, recorder.directory);
}

/* LMDB writes its meta pages through a descriptor of their own. */
static void
add_write(int fd, size_t at, size_t size, const void *bytes)
{
	bool is_synced = (fcntl(fd, F_GETFL) & O_DSYNC) != 0;

	add(is_synced ? CRASH_WRITE_META : CRASH_WRITE, at, size, bytes);
	if (is_synced)
		add(CRASH_META_SYNC, 0, 0, NULL);
}

static ssize_t
record_pieces(int fd, const struct iovec *pieces, int count, off_t at)
{
	ssize_t done = 0;

	/* One by one, so that the log has what was written in its order. */
	for (int i = 0; i < count; i++)
	{
		ssize_t size = (ssize_t) syscall(SYS_pwrite64, fd, pieces[i].iov_base,
										 pieces[i].iov_len, at + done);

		if (size < 0)
			return done > 0 ? done : -1;
		add_write(fd, (size_t) (at + done), (size_t) size, pieces[i].iov_base);
		done += size;
		if ((size_t) size < pieces[i].iov_len)
			break;
	}
	return done;
}

/* ---- in place of the C library's ---- */

ssize_t
pwrite(int fd, const void *bytes, size_t size, off_t at)
{
	struct iovec piece = { (void *) bytes, size };

	if (!is_recorded(fd))
		return (ssize_t) syscall(SYS_pwrite64, fd, bytes, size, at);
	arrive();
	return record_pieces(fd, &piece, 1, at);
}

ssize_t
pwritev(int fd, const struct iovec *pieces, int count, off_t at)
{
	if (!is_recorded(fd))
		return (ssize_t) syscall(SYS_pwritev, fd, pieces, count, at, 0);
	arrive();
	return record_pieces(fd, pieces, count, at);
}

ssize_t
writev(int fd, const struct iovec *pieces, int count)
{
	off_t at;
	ssize_t done;

	if (!is_recorded(fd))
		return (ssize_t) syscall(SYS_writev, fd, pieces, count);
	arrive();
	at = lseek(fd, 0, SEEK_CUR);
	done = record_pieces(fd, pieces, count, at);
	if (done > 0)
		lseek(fd, at + done, SEEK_SET);
	return done;
}

ssize_t
write(int fd, const void *bytes, size_t size)
{
	struct iovec piece = { (void *) bytes, size };

	if (!is_recorded(fd))
		return (ssize_t) syscall(SYS_write, fd, bytes, size);
	return writev(fd, &piece, 1);
}

static void
add_size(int fd)
{
	struct stat status;

	if (fstat(fd, &status) == 0)
		add(CRASH_SIZE, 0, (size_t) status.st_size, NULL);
}

int
ftruncate(int fd, off_t size)
{
	bool is_file = is_recorded(fd);
	int result;

	if (is_file)
		arrive();
	result = (int) syscall(SYS_ftruncate, fd, size);
	if (is_file && result == 0)
		add_size(fd);
	return result;
}

int
fallocate(int fd, int mode, off_t at, off_t size)
{
	bool is_file = is_recorded(fd);
	int result;

	if (is_file)
		arrive();
	result = (int) syscall(SYS_fallocate, fd, mode, at, size);
	if (is_file && result == 0)
		add_size(fd);
	return result;
}

static int
sync_file(int fd)
{
	if (is_recorded(fd))
	{
		arrive();
		add(CRASH_SYNC, 0, 0, NULL);
	}
	else if (is_directory_recorded(fd))
		add(CRASH_NAME_SYNC, 0, 0, NULL);
	return 0;
}

int
fdatasync(int fd)
{
	return sync_file(fd);
}

int
fsync(int fd)
{
	return sync_file(fd);
}

int
rename(const char *from, const char *to)
{
	int result = (int) syscall(SYS_rename, from, to);

	if (result == 0 && recorder.is_on && strcmp(to, recorder.file) == 0)
	{
		add(CRASH_RENAMED, 0, 0, NULL);
		recorder.is_new = false;
	}
	return result;
}

int
unlink(const char *path)
{
	int result = (int) syscall(SYS_unlink, path);

	if (result == 0 && recorder.is_on && strcmp(path, recorder.new_file) == 0)
		add(CRASH_REMOVED, 0, 0, NULL);
	return result;
}
