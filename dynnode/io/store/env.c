/*
 * The LMDB environment: opened at the start, with the tables and the hash tree
 * in them (tree_load.c); grown by the writer thread when a commit finds it
 * full; read in transactions by read.c and scan.c.
 */
#include "io/store/env.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/store/tree_load.h"

#define MIB ((size_t) 1024 * 1024)

/*
 * The map grows by an eighth of itself within these bounds: rarely enough
 * that moving it costs nothing, small enough that a small store stays small.
 */
#define MAP_SIZE_FIRST (1 * MIB)
#define MAP_STEP_MIN   (1 * MIB)
#define MAP_STEP_MAX   (64 * MIB)

/* The loop's reader, the scan thread, mdb_stat and friends. */
#define READERS_MAX 32

/* A table of its own says that this program made the store, and which
 * format it has; LMDB itself knows nothing of that. */
static const char *const table_names[] = {
	[DYN_TABLE_MAIN] = "main",
	[DYN_TABLE_META] = "meta",
	[DYN_TABLE_HINTS] = "hints",
};

enum
{
	TABLE_COUNT = sizeof(table_names) / sizeof(table_names[0])
};

static const char about_table[] = "dynnode";
static const char format_key[] = "format";

/* Whatever was made by an earlier program is brought to the last one at open,
 * and earlier programs refuse it from then on. */
enum format
{
	FORMAT_FIRST = 1, /* without hints and tree */
	FORMAT_TREE = 2,  /* all records of their first format */
	FORMAT_NOW = 3
};

static const char tree_table[] = "tree";
static const char tree_log_table[] = "tree_log";

/* Room for them, when they are made for a store that is there. */
#define TREE_STEP (8 * MIB)

static enum dyn_status
refuse(char *reason, size_t reason_size, const char *what, int code)
{
	snprintf(reason, reason_size, "could not %s: %s", what, mdb_strerror(code));
	return DYN_STATUS_IO_ERROR;
}

enum dyn_store_fault
dyn_store_env_fault(int code)
{
	switch (code)
	{
		case 0:
			return DYN_STORE_FINE;
		case MDB_MAP_FULL:
		case MDB_TXN_FULL:
		case ENOSPC:
		case EDQUOT:
		case EFBIG:
			return DYN_STORE_FULL;
		default:
			return DYN_STORE_FATAL;
	}
}

/* ---- room ---- */

static size_t
round_to_page(const struct dyn_store_env *self, size_t size)
{
	return (size + self->page_size - 1) / self->page_size * self->page_size;
}

/* fallocate is not everywhere; written zeros take room as well. */
static int
write_zeros(int fd, size_t from, size_t to)
{
	static const uint8_t zeros[65536];

	while (from < to)
	{
		size_t size = to - from < sizeof(zeros) ? to - from : sizeof(zeros);
		ssize_t done = pwrite(fd, zeros, size, (off_t) from);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return errno;
		from += (size_t) done;
	}
	return 0;
}

static int
extend(int fd, size_t from, size_t to)
{
	int code;

	do
		code = fallocate(fd, 0, (off_t) from, (off_t) (to - from)) ? errno : 0;
	while (code == EINTR);
	if (code == EOPNOTSUPP || code == ENOSYS)
		code = write_zeros(fd, from, to);
	/* The longer file first, then what is in it: a commit's fdatasync after
	 * growth has been a weak spot of file systems. */
	if (code == 0 && fdatasync(fd) != 0)
		code = errno;
	return code;
}

static int
data_fd(const struct dyn_store_env *self)
{
	int fd = -1;

	mdb_env_get_fd(self->mdb, &fd);
	return fd;
}

static size_t
next_step(const struct dyn_store_env *self, size_t size)
{
	size_t step = self->map_size / 8;

	if (step < MAP_STEP_MIN)
		step = MAP_STEP_MIN;
	if (step > MAP_STEP_MAX)
		step = MAP_STEP_MAX;
	return round_to_page(self, step > size ? step : size);
}

static int
move_map(struct dyn_store_env *self, size_t map_size)
{
	int code;

	pthread_rwlock_wrlock(&self->map_lock);
	code = mdb_env_set_mapsize(self->mdb, map_size);
	if (code == 0)
		self->map_size = map_size;
	pthread_rwlock_unlock(&self->map_lock);
	return code;
}

int
dyn_store_env_grow(struct dyn_store_env *self, size_t size)
{
	size_t room = self->map_size_max - self->map_size;
	size_t step = next_step(self, size);
	int code;

	if (step > room)
		step = room;
	if (step == 0 || step < size)
		return MDB_MAP_FULL;
	code = extend(data_fd(self), self->map_size, self->map_size + step);
	if (dyn_store_env_fault(code) == DYN_STORE_FULL &&
		step > round_to_page(self, size))
	{
		/* Near the end of the disk: what is needed and no more. */
		step = round_to_page(self, size);
		code = extend(data_fd(self), self->map_size, self->map_size + step);
	}
	if (code != 0)
		return code;
	/* From here on a failure leaves LMDB without a map. */
	code = move_map(self, self->map_size + step);
	return dyn_store_env_fault(code) == DYN_STORE_FULL ? EIO : code;
}

/* ---- open ---- */

/* The map of an existing store is its file; a new one begins small. */
static enum dyn_status
size_map(struct dyn_store_env *self, const char *file, char *reason,
		 size_t reason_size)
{
	struct stat status = { 0 };
	int code;

	if (stat(file, &status) != 0 && errno != ENOENT)
		return refuse(reason, reason_size, "look at the store's file", errno);
	self->file_size = (size_t) status.st_size;
	self->map_size = round_to_page(self, self->file_size);
	if (self->map_size == 0)
		self->map_size = MAP_SIZE_FIRST;
	code = mdb_env_set_mapsize(self->mdb, self->map_size);
	if (code != 0)
		return refuse(reason, reason_size, "size the store's map", code);
	return DYN_STATUS_OK;
}

static enum dyn_status
explain_open(const char *file, int code, char *reason, size_t reason_size)
{
	switch (code)
	{
		case MDB_INVALID:
			snprintf(reason, reason_size, "\"%s\" is not an LMDB file", file);
			return DYN_STATUS_CORRUPT;
		case MDB_VERSION_MISMATCH:
			snprintf(reason, reason_size,
					 "\"%s\" has a version of LMDB's format that this library "
					 "does not know",
					 file);
			return DYN_STATUS_VERSION;
		case MDB_CORRUPTED:
		case MDB_PAGE_NOTFOUND:
			snprintf(reason, reason_size, "\"%s\" is damaged: %s", file,
					 mdb_strerror(code));
			return DYN_STATUS_CORRUPT;
		default:
			snprintf(reason, reason_size, "could not open \"%s\": %s", file,
					 mdb_strerror(code));
			return DYN_STATUS_IO_ERROR;
	}
}

/* Beyond the end of the file a page of the map is a SIGBUS, so a file that
 * was cut short is noticed now. */
static enum dyn_status
check_length(struct dyn_store_env *self, const char *file, char *reason,
			 size_t reason_size)
{
	MDB_envinfo info;
	MDB_stat stat_env;
	size_t used;

	mdb_env_info(self->mdb, &info);
	mdb_env_stat(self->mdb, &stat_env);
	used = (info.me_last_pgno + 1) * stat_env.ms_psize;
	self->map_size = info.me_mapsize;
	if (self->map_size_max < self->map_size)
		self->map_size_max = self->map_size;
	if (self->file_size == 0 || self->file_size >= used)
		return DYN_STATUS_OK;
	snprintf(reason, reason_size,
			 "\"%s\" is damaged: %zu bytes long, but its pages take %zu", file,
			 self->file_size, used);
	return DYN_STATUS_CORRUPT;
}

static enum dyn_status
open_file(struct dyn_store_env *self, const char *directory, const char *file,
		  char *reason, size_t reason_size)
{
	unsigned flags = MDB_NOTLS | (self->no_sync ? MDB_NOSYNC : 0);
	int code = mdb_env_open(self->mdb, directory, flags, S_IRUSR | S_IWUSR);
	enum dyn_status status;
	int stale;

	if (code != 0)
		return explain_open(file, code, reason, reason_size);
	status = check_length(self, file, reason, reason_size);
	if (status != DYN_STATUS_OK)
		return status;
	/* Nobody else may have it open for writing, so whatever reader is left
	 * in the lock file died with its process and would pin pages. */
	mdb_reader_check(self->mdb, &stale);
	fcntl(data_fd(self), F_SETFD, FD_CLOEXEC);
	/* An old file has its room already, unless somebody made holes in it;
	 * then a full disk still serves reads. */
	code = extend(data_fd(self), 0, self->map_size);
	if (dyn_store_env_fault(code) == DYN_STORE_FATAL ||
		(code != 0 && self->file_size == 0))
		return refuse(reason, reason_size, "take room for the store", code);
	return DYN_STATUS_OK;
}

/* OK and which of the formats that this program knows: one digit. */
static enum dyn_status
read_format(MDB_txn *txn, MDB_dbi about, enum format *format, char *reason,
			size_t reason_size)
{
	MDB_val key = { sizeof(format_key) - 1, (void *) format_key };
	MDB_val value;
	int code = mdb_get(txn, about, &key, &value);

	if (code != 0)
		return refuse(reason, reason_size, "read the store's format", code);
	*format = FORMAT_FIRST;
	while (*format <= FORMAT_NOW)
	{
		if (value.mv_size == 1 &&
			*(const char *) value.mv_data == '0' + (int) *format)
			return DYN_STATUS_OK;
		*format = (enum format)(*format + 1);
	}
	snprintf(reason, reason_size,
			 "the store has format %.*s, this program knows format %d",
			 (int) (value.mv_size < 20 ? value.mv_size : 20),
			 (const char *) value.mv_data, (int) FORMAT_NOW);
	return DYN_STATUS_VERSION;
}

/* All of them; those that are missing are made when that is allowed. */
static int
open_dbis(struct dyn_store_env *self, MDB_txn *txn, unsigned flags)
{
	int code = 0;

	for (int i = 0; code == 0 && i < TABLE_COUNT; i++)
		code = mdb_dbi_open(txn, table_names[i], flags, &self->tables[i]);
	if (code == 0)
		code = mdb_dbi_open(txn, tree_table, flags, &self->tree.branches_table);
	if (code == 0)
		code = mdb_dbi_open(txn, tree_log_table, flags, &self->tree.log_table);
	self->tree.main = self->tables[DYN_TABLE_MAIN];
	return code;
}

static int
write_format(struct dyn_store_env *self, MDB_txn *txn)
{
	char format = '0' + FORMAT_NOW;
	MDB_val key = { sizeof(format_key) - 1, (void *) format_key };
	MDB_val value = { 1, &format };

	return mdb_put(txn, self->about, &key, &value, 0);
}

/* A new store, or one of the first format, gets all that this one has. */
static int
make_tables(struct dyn_store_env *self, MDB_txn *txn)
{
	int code = mdb_dbi_open(txn, about_table, MDB_CREATE, &self->about);

	if (code == 0)
		code = write_format(self, txn);
	if (code == 0)
		code = open_dbis(self, txn, MDB_CREATE);
	if (code == 0)
		code = dyn_store_tree_rebuild(&self->tree, txn);
	return code;
}

static int
load_tables(struct dyn_store_env *self, MDB_txn *txn, enum format format)
{
	int code = open_dbis(self, txn, 0);

	if (code == 0 && format != FORMAT_NOW)
		code = write_format(self, txn);
	return code ? code : dyn_store_tree_load(&self->tree, txn);
}

/* An environment without any table is new; one with tables must have been
 * made here, in one transaction with them.  *code is LMDB's, when it is not
 * 0 and the status is OK. */
static enum dyn_status
open_tables(struct dyn_store_env *self, MDB_txn *txn, const char *file,
			int *code, char *reason, size_t reason_size)
{
	MDB_dbi root;
	MDB_stat stat_root;
	enum dyn_status status;
	enum format format;

	*code = mdb_dbi_open(txn, NULL, 0, &root);
	if (*code == 0)
		*code = mdb_stat(txn, root, &stat_root);
	if (*code == 0 && stat_root.ms_entries == 0)
	{
		*code = make_tables(self, txn);
		return DYN_STATUS_OK;
	}
	if (*code == 0)
		*code = mdb_dbi_open(txn, about_table, 0, &self->about);
	if (*code == MDB_NOTFOUND || *code == MDB_INCOMPATIBLE)
	{
		snprintf(reason, reason_size, "\"%s\" was made by another program",
				 file);
		return DYN_STATUS_VERSION;
	}
	if (*code != 0)
		return DYN_STATUS_OK;
	status = read_format(txn, self->about, &format, reason, reason_size);
	if (status == DYN_STATUS_OK)
		*code = format == FORMAT_FIRST ? make_tables(self, txn)
									   : load_tables(self, txn, format);
	return status;
}

/* One attempt, in one transaction. */
static enum dyn_status
try_tables(struct dyn_store_env *self, const char *file, int *code,
		   char *reason, size_t reason_size)
{
	enum dyn_status status;
	MDB_txn *txn;

	*code = mdb_txn_begin(self->mdb, NULL, 0, &txn);
	if (*code != 0)
		return DYN_STATUS_OK;
	status = open_tables(self, txn, file, code, reason, reason_size);
	if (status != DYN_STATUS_OK || *code != 0)
	{
		mdb_txn_abort(txn);
		return status;
	}
	*code = mdb_txn_commit(txn);
	if (*code == 0)
		dyn_store_tree_committed(&self->tree);
	return DYN_STATUS_OK;
}

/* A long log costs time at each start.  Nothing is wrong when there is no
 * room to write it off now. */
static int
fold_tree(struct dyn_store_env *self)
{
	MDB_txn *txn;
	int code;

	if (!dyn_store_tree_is_long(&self->tree))
		return 0;
	code = mdb_txn_begin(self->mdb, NULL, 0, &txn);
	if (code != 0)
		return code;
	code = dyn_store_tree_fold(&self->tree, txn);
	if (code != 0)
	{
		mdb_txn_abort(txn);
		return dyn_store_env_fault(code) == DYN_STORE_FULL ? 0 : code;
	}
	code = mdb_txn_commit(txn);
	if (code == 0)
		dyn_store_tree_committed(&self->tree);
	return dyn_store_env_fault(code) == DYN_STORE_FULL ? 0 : code;
}

static enum dyn_status
open_all(struct dyn_store_env *self, const char *directory, const char *file,
		 char *reason, size_t reason_size)
{
	enum dyn_status status = size_map(self, file, reason, reason_size);
	int code;

	if (status == DYN_STATUS_OK)
		status = open_file(self, directory, file, reason, reason_size);
	if (status != DYN_STATUS_OK)
		return status;
	do
		status = try_tables(self, file, &code, reason, reason_size);
	while (status == DYN_STATUS_OK && code == MDB_MAP_FULL &&
		   dyn_store_env_grow(self, TREE_STEP) == 0);
	if (status == DYN_STATUS_OK && code == 0)
		code = fold_tree(self);
	if (status == DYN_STATUS_OK && code != 0)
		return explain_open(file, code, reason, reason_size);
	return status;
}

/* Readers that come and go must not keep the map from growing. */
static void
init_map_lock(struct dyn_store_env *self)
{
	pthread_rwlockattr_t attributes;

	pthread_rwlockattr_init(&attributes);
	pthread_rwlockattr_setkind_np(&attributes,
								  PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&self->map_lock, &attributes);
	pthread_rwlockattr_destroy(&attributes);
}

/* The environment in this directory, whose data file is `file`. */
static enum dyn_status
open_directory(struct dyn_store_env *self, const char *directory,
			   const char *file, size_t map_size_max, bool no_sync,
			   char *reason, size_t reason_size)
{
	enum dyn_status status;
	int code = mdb_env_create(&self->mdb);

	if (code != 0)
		return refuse(reason, reason_size, "make an LMDB environment", code);
	self->page_size = (size_t) sysconf(_SC_PAGESIZE);
	self->map_size_max = map_size_max / self->page_size * self->page_size;
	self->no_sync = no_sync;
	mdb_env_set_maxdbs(self->mdb, TABLE_COUNT + 3);
	dyn_store_tree_init(&self->tree);
	mdb_env_set_maxreaders(self->mdb, READERS_MAX);
	init_map_lock(self);
	status = open_all(self, directory, file, reason, reason_size);
	if (status != DYN_STATUS_OK)
		dyn_store_env_close(self);
	return status;
}

/*
 * A new store is made beside its place, and moved there when its tables are
 * on disk: a file of which a power cut has left a part of the first pages is
 * no LMDB file, and would be refused for ever.  What is found in new/ was
 * never finished.
 */
static enum dyn_status
make_store(const char *directory, const char *file, size_t map_size_max,
		   bool no_sync, char *reason, size_t reason_size)
{
	struct dyn_store_env fresh = { 0 };
	char new_directory[4096];
	char new_file[4096];
	char new_lock[4096];
	enum dyn_status status;

	snprintf(new_directory, sizeof(new_directory), "%s/new", directory);
	snprintf(new_file, sizeof(new_file), "%s/new/data.mdb", directory);
	snprintf(new_lock, sizeof(new_lock), "%s/new/lock.mdb", directory);
	unlink(new_file);
	unlink(new_lock);
	if (mkdir(new_directory, S_IRWXU) != 0 && errno != EEXIST)
		return refuse(reason, reason_size, "make a new store", errno);
	status = open_directory(&fresh, new_directory, new_file, map_size_max,
							no_sync, reason, reason_size);
	if (status == DYN_STATUS_OK)
		dyn_store_env_close(&fresh);
	if (status == DYN_STATUS_OK && rename(new_file, file) != 0)
		status = refuse(reason, reason_size, "move the new store", errno);
	unlink(new_file);
	unlink(new_lock);
	rmdir(new_directory);
	return status;
}

enum dyn_status
dyn_store_env_open(struct dyn_store_env *self, const char *directory,
				   size_t map_size_max, bool no_sync, char *reason,
				   size_t reason_size)
{
	enum dyn_status status = DYN_STATUS_OK;
	char file[4096];

	snprintf(file, sizeof(file), "%s/data.mdb", directory);
	if (access(file, F_OK) != 0 && errno == ENOENT)
		status = make_store(directory, file, map_size_max, no_sync, reason,
							reason_size);
	if (status != DYN_STATUS_OK)
		return status;
	return open_directory(self, directory, file, map_size_max, no_sync, reason,
						  reason_size);
}

void
dyn_store_env_close(struct dyn_store_env *self)
{
	mdb_env_close(self->mdb);
	self->mdb = NULL;
	dyn_store_tree_destroy(&self->tree);
	pthread_rwlock_destroy(&self->map_lock);
}

/* ---- readers ---- */

void
dyn_store_reader_init(struct dyn_store_reader *self, struct dyn_store_env *env)
{
	*self = (struct dyn_store_reader){ .env = env };
}

void
dyn_store_reader_destroy(struct dyn_store_reader *self)
{
	if (self->txn != NULL)
		mdb_txn_abort(self->txn);
	self->txn = NULL;
}

int
dyn_store_reader_begin(struct dyn_store_reader *self)
{
	int code;

	pthread_rwlock_rdlock(&self->env->map_lock);
	if (self->txn == NULL)
		code = mdb_txn_begin(self->env->mdb, NULL, MDB_RDONLY, &self->txn);
	else
		code = mdb_txn_renew(self->txn);
	if (code != 0)
		pthread_rwlock_unlock(&self->env->map_lock);
	return code;
}

void
dyn_store_reader_end(struct dyn_store_reader *self)
{
	mdb_txn_reset(self->txn);
	pthread_rwlock_unlock(&self->env->map_lock);
}
