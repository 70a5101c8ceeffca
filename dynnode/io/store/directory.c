/*
 * The first thing that lmdb.c does: is the directory fit, and ours alone?  The
 * environment in it is env.c's.
 */
#include "io/store/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

enum
{
	LOCK_WAIT_MS = 2000,
	LOCK_PAUSE_MS = 20
};

/* Two machines that mount one of these would both get the lock, and their
 * shared maps do not see each other's writes.  Numbers of statfs(2). */
static const struct
{
	unsigned long type;
	const char *name;
} remote_file_systems[] = {
	{ 0x6969, "NFS" },      { 0xff534d42, "CIFS" }, { 0xfe534d42, "SMB" },
	{ 0x517b, "SMB" },      { 0x01021997, "9P" },   { 0x5346414f, "AFS" },
	{ 0x00c36400, "Ceph" },
};

static enum dyn_status
refuse(char *reason, size_t reason_size, const char *path, const char *why)
{
	snprintf(reason, reason_size, "data directory \"%s\" %s", path, why);
	return DYN_STATUS_IO_ERROR;
}

static enum dyn_status
refuse_errno(char *reason, size_t reason_size, const char *path,
			 const char *what)
{
	snprintf(reason, reason_size, "could not %s \"%s\": %s", what, path,
			 strerror(errno));
	return DYN_STATUS_IO_ERROR;
}

static enum dyn_status
check(const char *path, char *reason, size_t reason_size)
{
	struct stat status;
	struct statfs fs;

	if (stat(path, &status) != 0)
		return refuse_errno(reason, reason_size, path, "look at");
	if (!S_ISDIR(status.st_mode))
		return refuse(reason, reason_size, path, "is not a directory");
	if (status.st_uid != geteuid())
		return refuse(reason, reason_size, path,
					  "belongs to another user than the one who runs this");
	if (status.st_mode & (S_IWGRP | S_IWOTH))
		return refuse(reason, reason_size, path,
					  "may be written to by others (its mode should be 0700)");
	if (access(path, R_OK | W_OK | X_OK) != 0)
		return refuse_errno(reason, reason_size, path, "write to");
	if (statfs(path, &fs) != 0)
		return refuse_errno(reason, reason_size, path, "look at");
	for (size_t i = 0;
		 i < sizeof(remote_file_systems) / sizeof(remote_file_systems[0]); i++)
		if ((unsigned long) fs.f_type == remote_file_systems[i].type)
		{
			snprintf(reason, reason_size,
					 "data directory \"%s\" lies on %s; it must be local", path,
					 remote_file_systems[i].name);
			return DYN_STATUS_IO_ERROR;
		}
	return DYN_STATUS_OK;
}

enum dyn_status
dyn_store_directory_sync(const char *path, char *reason, size_t reason_size)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result;

	if (fd < 0)
		return refuse_errno(reason, reason_size, path, "open");
	result = fsync(fd);
	close(fd);
	if (result != 0)
		return refuse_errno(reason, reason_size, path, "sync");
	return DYN_STATUS_OK;
}

/* The name of the directory itself must survive too. */
static enum dyn_status
make(const char *path, char *reason, size_t reason_size)
{
	char *parent;
	enum dyn_status status;

	if (mkdir(path, S_IRWXU) != 0)
	{
		if (errno == EEXIST)
			return DYN_STATUS_OK;
		return refuse_errno(reason, reason_size, path, "make");
	}
	if (asprintf(&parent, "%s/..", path) < 0)
		abort();
	status = dyn_store_directory_sync(parent, reason, reason_size);
	free(parent);
	return status;
}

/* Who holds the lock wrote its process id; advisory, for the message only. */
static enum dyn_status
refuse_locked(int fd, const char *path, char *reason, size_t reason_size)
{
	char text[16] = "";
	ssize_t size;

	if (errno != EWOULDBLOCK)
		return refuse_errno(reason, reason_size, path, "lock");
	size = pread(fd, text, sizeof(text) - 1, 0);
	if (size > 0)
		text[strcspn(text, "\n")] = '\0';
	snprintf(reason, reason_size,
			 "data directory \"%s\" is in use by another process (%s)", path,
			 size > 0 ? text : "unknown");
	return DYN_STATUS_IO_ERROR;
}

/* Who was killed a moment ago holds its lock until the kernel has put it away. */
static bool
take(int fd)
{
	const struct timespec pause = { .tv_nsec = LOCK_PAUSE_MS * 1000000L };

	for (int ms = 0; ms < LOCK_WAIT_MS; ms += LOCK_PAUSE_MS)
	{
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return true;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return false;
		nanosleep(&pause, NULL);
	}
	return flock(fd, LOCK_EX | LOCK_NB) == 0;
}

static enum dyn_status
lock(const char *path, const char *file, int *lock_fd, char *reason,
	 size_t reason_size)
{
	enum dyn_status status;
	int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
				  S_IRUSR | S_IWUSR);

	if (fd < 0)
		return refuse_errno(reason, reason_size, file, "open");
	if (!take(fd))
	{
		status = refuse_locked(fd, path, reason, reason_size);
		close(fd);
		return status;
	}
	/* The pid is a courtesy to whoever is refused: no disk, no matter. */
	if (ftruncate(fd, 0) != 0 || dprintf(fd, "%d\n", (int) getpid()) < 0)
		errno = 0;
	*lock_fd = fd;
	return DYN_STATUS_OK;
}

enum dyn_status
dyn_store_directory_lock(const char *path, int *lock_fd, char *reason,
						 size_t reason_size)
{
	enum dyn_status status;
	char *file;

	*lock_fd = -1;
	status = make(path, reason, reason_size);
	if (status == DYN_STATUS_OK)
		status = check(path, reason, reason_size);
	if (status != DYN_STATUS_OK)
		return status;
	if (asprintf(&file, "%s/dynnode.lock", path) < 0)
		abort();
	status = lock(path, file, lock_fd, reason, reason_size);
	free(file);
	return status;
}

void
dyn_store_directory_unlock(int *lock_fd)
{
	/* The file stays: removing it would let two processes lock two files
	 * of one name. */
	if (*lock_fd >= 0)
		close(*lock_fd);
	*lock_fd = -1;
}
