/*
 * The store on LMDB when things go wrong: full disks and full maps, syncs
 * that fail, kill -9, damaged pages.
 *
 * The C library's fdatasync, pwrite and writev are replaced in this program,
 * also for LMDB, so that a disk can be made to fail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/simrandom.h"
#include "storerig.h"

/* ---- a disk that can fail ---- */

static _Atomic int sync_error;  /* errno of the next syncs */
static _Atomic int write_error; /* ... of the next data page writes */
static _Atomic int meta_error;  /* ... of the next meta page writes */
static _Atomic bool hold_syncs;
static _Atomic uint32_t syncs_begun;
static _Atomic uint32_t syncs_done;

int fdatasync(int fd);

int
fdatasync(int fd)
{
	syncs_begun++;
	while (hold_syncs)
		usleep(100);
	if (sync_error != 0)
	{
		errno = sync_error;
		return -1;
	}
	syncs_done++;
	return (int) syscall(SYS_fdatasync, fd);
}

ssize_t
pwrite(int fd, const void *bytes, size_t size, off_t at)
{
	/* LMDB writes its meta pages through a descriptor of their own. */
	bool is_meta = (fcntl(fd, F_GETFL) & O_DSYNC) != 0;
	int error = is_meta ? meta_error : write_error;

	if (error != 0)
	{
		errno = error;
		return -1;
	}
	return (ssize_t) syscall(SYS_pwrite64, fd, bytes, size, at);
}

ssize_t
writev(int fd, const struct iovec *pieces, int count)
{
	if (write_error != 0)
	{
		errno = write_error;
		return -1;
	}
	return (ssize_t) syscall(SYS_writev, fd, pieces, count);
}

static void
heal(void)
{
	sync_error = write_error = meta_error = 0;
	hold_syncs = false;
}

static int
set_up(void **state)
{
	heal();
	*state = storerig_new();
	return 0;
}

static int
tear_down(void **state)
{
	heal();
	storerig_free(*state);
	return 0;
}

/* Nothing may come within this time. */
static void
assert_silence(struct storerig *rig)
{
	uint32_t before = rig->stored_count;

	storerig_turn(rig, 100);
	assert_int_equal(rig->stored_count, before);
}

/* dispatch says that the store has failed. */
static void
wait_failure(struct storerig *rig)
{
	for (int i = 0; i < 100 && !rig->has_failed; i++)
		storerig_turn(rig, 100);
	assert_true(rig->has_failed);
}

/* STORE_WRITABLE comes, and it comes once. */
static void
wait_writable(struct storerig *rig)
{
	for (int i = 0; i < 200 && rig->writable_count == 0; i++)
		assert_true(storerig_turn(rig, 100));
	for (int i = 0; i < 3; i++)
		assert_true(storerig_turn(rig, 30));
	assert_int_equal(rig->writable_count, 1);
	assert_true(storerig_stats(rig).writable);
}

/* ---- syncs ---- */

static void
stored_is_said_only_after_the_sync(void **state)
{
	struct storerig *rig = *state;
	uint32_t done;

	storerig_open(rig);
	done = syncs_done;
	hold_syncs = true;
	storerig_submit_one(rig, "k", "v", 1);
	assert_silence(rig);
	/* A LOAD does not wait for it, and sees what was before. */
	assert_int_equal(storerig_load(rig, "k"), DYN_LOADED_ABSENT);
	assert_int_equal(rig->stored_count, 0);
	hold_syncs = false;
	storerig_finish(rig);
	assert_true(syncs_done > done);
	assert_true(storerig_has(rig, "k", "v", 1));
}

static void
what_gathers_during_a_sync_is_one_commit(void **state)
{
	struct storerig *rig = *state;
	uint32_t begun;

	storerig_open(rig);
	begun = syncs_begun;
	hold_syncs = true;
	storerig_submit_one(rig, "first", "v", 1);
	for (int i = 0; i < 50000 && syncs_begun == begun; i++)
		usleep(100);
	for (int i = 0; i < 500; i++)
	{
		char key[16];

		snprintf(key, sizeof(key), "k%d", i);
		storerig_submit_one(rig, key, "v", 1);
	}
	hold_syncs = false;
	storerig_finish(rig);
	assert_int_equal(storerig_stats(rig).commits, 2);
	assert_int_equal(storerig_stats(rig).group_max, 500);
}

static void
expect_final_failure(struct storerig *rig, _Atomic int *fault)
{
	storerig_open(rig);
	assert_int_equal(storerig_put(rig, "before", "v", 1), DYN_STATUS_OK);
	*fault = EIO;
	storerig_submit_one(rig, "k", "v", 1);
	wait_failure(rig);
	assert_non_null(strstr(rig->failure, "a commit of the store failed"));
	assert_int_equal(rig->stored_count, 1);
	assert_false(storerig_stats(rig).writable);

	/* The disk works again, but what it lost nobody knows: no more writes,
	 * and every dispatch says so. */
	heal();
	storerig_submit_one(rig, "later", "v", 1);
	assert_silence(rig);
	rig->has_failed = false;
	assert_false(storerig_turn(rig, STORERIG_WAIT_MS));
	assert_true(rig->has_failed);
	storerig_close(rig);

	storerig_open(rig);
	assert_true(storerig_has(rig, "before", "v", 1));
	assert_int_equal(storerig_load(rig, "later"), DYN_LOADED_ABSENT);
}

static void
a_failed_sync_is_final(void **state)
{
	expect_final_failure(*state, &sync_error);
}

static void
a_failed_write_is_final(void **state)
{
	expect_final_failure(*state, &write_error);
}

static void
a_failed_write_of_a_meta_page_is_final(void **state)
{
	expect_final_failure(*state, &meta_error);
}

/* ---- no room ---- */

enum
{
	BIG = 512 * 1024
};

static uint8_t big[BIG];

/* Put big objects until one is refused; returns how many fitted. */
static uint32_t
fill(struct storerig *rig, uint32_t most)
{
	char key[16];

	for (uint32_t i = 0; i < most; i++)
	{
		snprintf(key, sizeof(key), "big%u", i);
		memset(big, (int) i, BIG);
		if (storerig_put(rig, key, big, BIG) != DYN_STATUS_OK)
		{
			assert_int_equal(rig->statuses[rig->token_next - 1],
							 DYN_STATUS_FULL);
			return i;
		}
	}
	fail_msg("never full");
	return 0;
}

static void
check_filled(struct storerig *rig, uint32_t count)
{
	char key[16];

	for (uint32_t i = 0; i < count; i++)
	{
		snprintf(key, sizeof(key), "big%u", i);
		memset(big, (int) i, BIG);
		assert_true(storerig_has(rig, key, big, BIG));
	}
	snprintf(key, sizeof(key), "big%u", count);
	assert_int_equal(storerig_load(rig, key), DYN_LOADED_ABSENT);
}

static void
a_full_map_refuses_writes_and_serves_reads(void **state)
{
	struct storerig *rig = *state;
	uint32_t count;

	rig->config.map_size_max = 8 << 20;
	rig->config.probe_ms = 20;
	storerig_open(rig);
	count = fill(rig, 100);
	assert_in_range(count, 10, 16);
	assert_false(storerig_stats(rig).writable);
	check_filled(rig, count);
	storerig_scan(rig, true, 100);
	assert_int_equal(rig->scan_found, count);
	assert_int_equal(rig->writable_count, 0);

	/* A removal needs some pages too; there are some. */
	assert_int_equal(storerig_put(rig, "big0", NULL, 0), DYN_STATUS_OK);
	assert_int_equal(storerig_put(rig, "big1", NULL, 0), DYN_STATUS_OK);
	assert_int_equal(storerig_put(rig, "big2", NULL, 0), DYN_STATUS_OK);
	wait_writable(rig);
	assert_int_equal(storerig_put(rig, "again", big, BIG), DYN_STATUS_OK);
	assert_int_equal(rig->writable_count, 1);
}

/* One that is too big fails alone, whatever was committed around it. */
static void
only_what_does_not_fit_is_refused_and_nothing_of_it_is_stored(void **state)
{
	struct storerig *rig = *state;
	struct dyn_write writes[40];
	uint64_t refused;
	char keys[40][16];
	char key[16];

	rig->config.map_size_max = 8 << 20;
	storerig_open(rig);
	hold_syncs = true;
	storerig_submit_one(rig, "first", "v", 1);
	for (int i = 0; i < 100; i++)
	{
		snprintf(key, sizeof(key), "a%d", i);
		storerig_submit_one(rig, key, &i, sizeof(i));
	}
	/* Small records before and after big ones: all of it or none. */
	for (int i = 0; i < 40; i++)
	{
		snprintf(keys[i], sizeof(keys[i]), "half%d", i);
		writes[i] = storerig_write(keys[i], big, i % 2 ? BIG : 10);
	}
	refused = storerig_submit(rig, writes, 40);
	for (int i = 0; i < 100; i++)
	{
		snprintf(key, sizeof(key), "b%d", i);
		storerig_submit_one(rig, key, &i, sizeof(i));
	}
	hold_syncs = false;
	storerig_finish(rig);
	for (uint32_t i = 0; i < rig->stored_count; i++)
	{
		assert_int_equal(rig->tokens_in_order[i], i);
		assert_int_equal(rig->statuses[i],
						 i == refused ? DYN_STATUS_FULL : DYN_STATUS_OK);
	}
	for (int i = 0; i < 100; i++)
	{
		snprintf(key, sizeof(key), "a%d", i);
		assert_true(storerig_has(rig, key, &i, sizeof(i)));
		snprintf(key, sizeof(key), "b%d", i);
		assert_true(storerig_has(rig, key, &i, sizeof(i)));
	}
	for (int i = 0; i < 40; i++)
		assert_int_equal(storerig_load(rig, keys[i]), DYN_LOADED_ABSENT);
	/* What is free is plenty, so the store soon says so. */
	wait_writable(rig);
}

static void
a_store_that_opens_full_says_so(void **state)
{
	struct storerig *rig = *state;
	uint32_t count;

	rig->config.map_size_max = 8 << 20;
	storerig_open(rig);
	assert_true(storerig_stats(rig).writable);
	count = fill(rig, 100);
	storerig_close(rig);
	rig->config.probe_ms = 20;
	storerig_open(rig);
	assert_false(storerig_stats(rig).writable);
	check_filled(rig, count);
	storerig_close(rig);
	rig->config.map_size_max = 32 << 20;
	storerig_open(rig);
	assert_true(storerig_stats(rig).writable);
	assert_int_equal(storerig_put(rig, "again", big, BIG), DYN_STATUS_OK);
}

/* A file system that breaks fallocate's promise: LMDB's writes meet the end
 * of the disk in the middle of a commit. */
static void
a_disk_that_fills_during_a_commit_is_full_not_broken(void **state)
{
	struct storerig *rig = *state;

	rig->config.probe_ms = 20;
	storerig_open(rig);
	assert_int_equal(storerig_put(rig, "k", "old", 3), DYN_STATUS_OK);
	write_error = ENOSPC;
	assert_int_equal(storerig_put(rig, "k", "new", 3), DYN_STATUS_FULL);
	assert_true(storerig_has(rig, "k", "old", 3));
	write_error = 0;
	wait_writable(rig);
	assert_int_equal(storerig_put(rig, "k", "new", 3), DYN_STATUS_OK);
	storerig_close(rig);
	storerig_open(rig);
	assert_true(storerig_has(rig, "k", "new", 3));
}

/* The same while the meta page is written: LMDB itself is not sure what is
 * on disk, so a FULL, which promises that nothing is, would be a guess. */
static void
a_meta_page_without_room_is_final(void **state)
{
	struct storerig *rig = *state;

	storerig_open(rig);
	meta_error = ENOSPC;
	storerig_submit_one(rig, "k", "new", 3);
	wait_failure(rig);
	assert_int_equal(rig->stored_count, 0);
}

static void
write_ballast(int fd)
{
	while (syscall(SYS_write, fd, big, BIG) > 0 ||
		   syscall(SYS_write, fd, big, 1) > 0)
		;
	assert_int_equal(errno, ENOSPC);
}

static void
a_full_disk_refuses_writes_and_serves_reads(void **state)
{
	struct storerig *rig = *state;
	uint32_t count;
	char path[4096];
	int ballast;

	/* The mount is seen by this process alone and goes with it. */
	if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
		mount("tmpfs", rig->config.directory, "tmpfs", 0,
			  "size=16m,mode=0700") != 0)
		skip();
	rig->config.probe_ms = 20;
	storerig_open(rig);
	assert_int_equal(storerig_put(rig, "big0", big, BIG), DYN_STATUS_OK);
	snprintf(path, sizeof(path), "%s/ballast", rig->config.directory);
	ballast = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(ballast >= 0);
	count = fill(rig, 100);
	write_ballast(ballast);
	check_filled(rig, count);
	assert_false(storerig_stats(rig).writable);
	for (int i = 0; i < 5; i++)
		assert_true(storerig_turn(rig, 20));
	assert_int_equal(rig->writable_count, 0);
	/* A full disk opens, too. */
	storerig_close(rig);
	storerig_open(rig);
	check_filled(rig, count);
	/* A small write may still fit into pages that are free; a big one not. */
	assert_int_equal(storerig_put(rig, "late", big, BIG), DYN_STATUS_FULL);

	assert_int_equal(ftruncate(ballast, 0), 0);
	close(ballast);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(storerig_put(rig, "big0", NULL, 0), DYN_STATUS_OK);
	assert_int_equal(storerig_put(rig, "big1", NULL, 0), DYN_STATUS_OK);
	assert_int_equal(storerig_put(rig, "big2", NULL, 0), DYN_STATUS_OK);
	wait_writable(rig);
	assert_int_equal(storerig_put(rig, "late", big, BIG), DYN_STATUS_OK);
	storerig_close(rig);
	assert_int_equal(umount(rig->config.directory), 0);
}

/* ---- kill -9 ---- */

enum
{
	KILL_ROUNDS = 20,
	KILL_KEYS = 50
};

struct pair
{
	uint64_t sequence;
	uint8_t filler[600];
};

static struct pair
make_pair(uint64_t sequence)
{
	struct pair pair = { .sequence = sequence };

	for (size_t i = 0; i < sizeof(pair.filler); i++)
		pair.filler[i] = (uint8_t) (sequence * 31 + i);
	return pair;
}

static void
pair_keys(uint64_t sequence, char left[16], char right[16])
{
	snprintf(left, 16, "a%u", (unsigned) (sequence % KILL_KEYS));
	snprintf(right, 16, "z%u", (unsigned) (sequence % KILL_KEYS));
}

static int ack_fd;
static uint64_t sequence_first;

static void
acknowledge(struct storerig *rig, const struct dyn_event *event)
{
	uint64_t sequence = sequence_first + event->stored.token;

	if (event->type == DYN_EVENT_STORED &&
		event->stored.status == DYN_STATUS_OK &&
		write(ack_fd, &sequence, sizeof(sequence)) != sizeof(sequence))
		_exit(2);
}

/* Each STORE writes one sequence number under two keys. */
static void
write_until_killed(struct storerig *rig)
{
	rig->watch = acknowledge;
	storerig_open(rig);
	while (rig->token_next < STORERIG_TOKENS_MAX)
	{
		struct pair pair = make_pair(sequence_first + rig->token_next);
		struct dyn_write writes[2];
		char left[16];
		char right[16];

		pair_keys(pair.sequence, left, right);
		writes[0] = storerig_write(left, &pair, sizeof(pair));
		writes[1] = storerig_write(right, &pair, sizeof(pair));
		storerig_submit(rig, writes, 2);
		while (rig->token_next - rig->stored_count >= 32)
			storerig_turn(rig, STORERIG_WAIT_MS);
	}
	for (;;)
		pause();
}

/* Reads acknowledgements, kills, reads the rest; the last sequence number
 * that was acknowledged, or `last` when none was. */
static uint64_t
kill_one(struct storerig *rig, struct dyn_simrandom *random, uint64_t last)
{
	int acks[2];
	pid_t child;
	uint64_t sequence;
	uint64_t until;

	assert_int_equal(pipe(acks), 0);
	sequence_first = last + 100; /* beyond all that was ever submitted */
	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
	{
		close(acks[0]);
		ack_fd = acks[1];
		write_until_killed(rig);
	}
	close(acks[1]);
	until = dyn_simrandom_below(random, 1000);
	for (uint64_t i = 0; i < until; i++)
		if (read(acks[0], &sequence, sizeof(sequence)) == sizeof(sequence))
			last = sequence;
	usleep((useconds_t) dyn_simrandom_below(random, 3000));
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	while (read(acks[0], &sequence, sizeof(sequence)) == sizeof(sequence))
		last = sequence;
	close(acks[0]);
	return last;
}

static uint64_t
sequence_of(struct storerig *rig, const char *key)
{
	struct pair expected;
	struct pair found;

	if (storerig_load(rig, key) == DYN_LOADED_ABSENT)
		return 0;
	assert_int_equal(rig->state, DYN_LOADED_FOUND);
	assert_int_equal(rig->object_size, sizeof(found));
	memcpy(&found, rig->object, sizeof(found));
	expected = make_pair(found.sequence);
	assert_memory_equal(&found, &expected, sizeof(found));
	return found.sequence;
}

/* Sequence numbers are acknowledged in order, so all up to `last` of this
 * round are; each key must hold the newest of them, or a later one. */
static void
check_acknowledged(struct storerig *rig, uint64_t first, uint64_t last)
{
	for (uint64_t k = 0; k < KILL_KEYS; k++)
	{
		char left[16];
		char right[16];
		uint64_t found;
		uint64_t owed = 0;

		for (uint64_t s = last; s >= first && s > last - KILL_KEYS; s--)
			if (s % KILL_KEYS == k)
				owed = s;
		pair_keys(k, left, right);
		found = sequence_of(rig, left);
		assert_int_equal(found, sequence_of(rig, right));
		assert_true(found >= owed);
		assert_true(found <= last + 32 + 1 || found < first);
	}
}

static void
no_acknowledged_write_is_lost_by_kill_9(void **state)
{
	struct storerig *rig = *state;
	struct dyn_simrandom random = dyn_simrandom_stream(9, 9);
	uint64_t last = 1000;
	uint64_t acknowledged = 0;

	for (int round = 0; round < KILL_ROUNDS; round++)
	{
		uint64_t before = last;

		last = kill_one(rig, &random, last);
		rig->watch = NULL;
		storerig_open(rig);
		if (last > before)
		{
			acknowledged += last - (before + 100) + 1;
			check_acknowledged(rig, before + 100, last);
		}
		storerig_close(rig);
	}
	assert_true(acknowledged > 1000);
	print_message("# %d kills, %llu acknowledged stores, 0 lost\n", KILL_ROUNDS,
				  (unsigned long long) acknowledged);
}

/* ---- damage ---- */

enum
{
	RECORDS = 120,
	DAMAGE_ROUNDS = 300
};

struct image
{
	uint8_t *bytes;
	size_t size;
};

static void
data_path(const struct storerig *rig, char path[4096])
{
	snprintf(path, 4096, "%s/data.mdb", rig->config.directory);
}

static struct image
read_image(const struct storerig *rig)
{
	char path[4096];
	struct image image;
	struct stat status;
	int fd;

	data_path(rig, path);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0 && fstat(fd, &status) == 0);
	image.size = (size_t) status.st_size;
	image.bytes = malloc(image.size);
	assert_non_null(image.bytes);
	assert_int_equal(read(fd, image.bytes, image.size), image.size);
	close(fd);
	return image;
}

static void
poke(const struct storerig *rig, size_t at, const uint8_t *bytes, size_t size)
{
	char path[4096];
	int fd;

	data_path(rig, path);
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, size, (off_t) at), size);
	close(fd);
}

/* In buckets b and c by turns. */
static void
record_key(uint32_t i, char key[32])
{
	snprintf(key, 32, "%s%c-key-%03u-%03u", i % 2 ? "c/" : "", 'a' + i % 3, i,
			 i * 7 % 1000);
}

/* ... without its bucket. */
static const char *
bare_key(const char *key)
{
	return key[1] == '/' ? key + 2 : key;
}

/* Every other round scans all buckets. */
static bool
is_in_scan(const struct storerig *rig, uint32_t i)
{
	return rig->scan_all || i % 2 == 0;
}

static uint32_t
in_scan_count(const struct storerig *rig)
{
	return rig->scan_all ? RECORDS : RECORDS / 2;
}

static size_t
record_object(uint32_t i, uint8_t object[4096])
{
	struct dyn_simrandom random = dyn_simrandom_stream(i, 7);
	size_t size = i % 10 == 0 ? 4000 : 64 + i;

	for (size_t b = 0; b < size; b++)
		object[b] = (uint8_t) dyn_simrandom_next(&random);
	return size;
}

static void
write_records(struct storerig *rig)
{
	uint8_t object[4096];
	char key[32];

	rig->config.no_sync = true;
	storerig_open(rig);
	for (uint32_t i = 0; i < RECORDS; i++)
	{
		size_t size = record_object(i, object);

		record_key(i, key);
		assert_int_equal(storerig_put(rig, key, object, size), DYN_STATUS_OK);
	}
	storerig_close(rig);
}

/* Change one byte wherever this pattern lies: LMDB leaves old copies. */
static uint32_t
damage_pattern(const struct storerig *rig, const struct image *image,
			   const void *pattern, size_t size, size_t offset, uint8_t change)
{
	uint32_t count = 0;
	const uint8_t *at = image->bytes;

	while ((at = memmem(at, image->size - (size_t) (at - image->bytes), pattern,
						size)) != NULL)
	{
		uint8_t byte = at[offset] ^ change;

		poke(rig, (size_t) (at - image->bytes) + offset, &byte, 1);
		at++;
		count++;
	}
	return count;
}

static void
restore(const struct storerig *rig, const struct image *image)
{
	poke(rig, 0, image->bytes, image->size);
}

/* Everything but this record is as it was; it is damaged and says so. */
static void
expect_corrupt(struct storerig *rig, uint32_t which)
{
	uint8_t object[4096];
	char key[32];

	storerig_open(rig);
	for (uint32_t i = 0; i < RECORDS; i++)
	{
		size_t size = record_object(i, object);

		record_key(i, key);
		if (i == which)
			assert_int_equal(storerig_load(rig, key), DYN_LOADED_CORRUPT);
		else
			assert_true(storerig_has(rig, key, object, size));
	}
	storerig_scan(rig, true, 1000);
	if (rig->scan_status == DYN_STATUS_OK)
	{
		assert_int_equal(rig->scan_corrupt, is_in_scan(rig, which));
		assert_int_equal(rig->scan_found,
						 in_scan_count(rig) - is_in_scan(rig, which));
	}
	else
		assert_int_equal(rig->scan_status, DYN_STATUS_IO_ERROR);
	assert_true(storerig_stats(rig).corrupt > 0);
	/* A filter that none of them passes shows the damaged one, or not. */
	rig->scan_flags = DYN_RECORD_MORTAL;
	storerig_scan(rig, true, 1000);
	rig->scan_flags = 0;
	if (rig->scan_status == DYN_STATUS_OK)
	{
		assert_int_equal(rig->scan_found, 0);
		assert_true(rig->scan_corrupt <= is_in_scan(rig, which));
	}
	storerig_close(rig);
}

static void
a_damaged_record_is_corrupt_never_absent(void **state)
{
	struct storerig *rig = *state;
	struct dyn_simrandom random = dyn_simrandom_stream(1, 2);
	struct image image;

	write_records(rig);
	rig->is_damaged = true;
	image = read_image(rig);
	for (int round = 0; round < DAMAGE_ROUNDS; round++)
	{
		uint32_t which = (uint32_t) dyn_simrandom_below(&random, RECORDS);
		uint8_t change = (uint8_t) (1 + dyn_simrandom_below(&random, 255));
		uint8_t object[4096];
		size_t size = record_object(which, object);

		assert_true(damage_pattern(rig, &image, object, size,
								   dyn_simrandom_below(&random, size),
								   change) > 0);
		rig->scan_all = round % 2;
		expect_corrupt(rig, which);
		restore(rig, &image);
	}
	free(image.bytes);
}

/* How many records a walk in small pages shows; false when it ends in an
 * error. */
static bool
walk(struct storerig *rig, uint32_t *found, uint32_t *corrupt)
{
	*found = *corrupt = 0;
	for (uint32_t page = 0; page <= RECORDS; page++)
	{
		storerig_scan(rig, page == 0, 7);
		if (rig->scan_status != DYN_STATUS_OK)
			return false;
		*found += rig->scan_found;
		*corrupt += rig->scan_corrupt;
		if (rig->scan_end)
			return true;
	}
	fail_msg("a walk without end");
	return false;
}

/* Any range: all its records are shown, as FOUND or CORRUPT, or an error. */
static void
check_range(struct storerig *rig, uint32_t from, uint32_t to, uint32_t damaged)
{
	char key_min[32];
	char key_max[32];
	char key[32];
	uint32_t expected = 0;
	bool has_damaged = false;
	uint32_t found;
	uint32_t corrupt;

	record_key(from, key_min);
	record_key(to, key_max);
	memmove(key_min, bare_key(key_min), strlen(bare_key(key_min)) + 1);
	memmove(key_max, bare_key(key_max), strlen(bare_key(key_max)) + 1);
	for (uint32_t i = 0; i < RECORDS; i++)
	{
		record_key(i, key);
		if (!is_in_scan(rig, i) || strcmp(bare_key(key), key_min) < 0 ||
			strcmp(bare_key(key), key_max) > 0)
			continue;
		expected++;
		has_damaged |= i == damaged;
	}
	rig->scan_min = key_min;
	rig->scan_max = key_max;
	if (walk(rig, &found, &corrupt) &&
		!(found + corrupt == expected && corrupt <= 1) &&
		!(!has_damaged && found == expected && corrupt == 1))
		fail_msg("%u found and %u corrupt of %u", found, corrupt, expected);
	rig->scan_min = rig->scan_max = NULL;
}

/* Bucket, cell and key as they lie on the page. */
static size_t
record_name(uint32_t i, char name[48])
{
	char key[32];

	record_key(i, key);
	memcpy(name, i % 2 ? "c\0\0" : "b\0\0", 3);
	name[3] = bare_key(key)[0];
	memcpy(name + 4, bare_key(key), strlen(bare_key(key)));
	return 4 + strlen(bare_key(key));
}

/* The key's own bytes: the search for it then ends beside it. */
static void
a_record_under_a_damaged_key_is_never_passed_over(void **state)
{
	struct storerig *rig = *state;
	struct dyn_simrandom random = dyn_simrandom_stream(3, 4);
	struct image image;
	uint32_t corrupt = 0;
	uint32_t shown;

	write_records(rig);
	rig->is_damaged = true;
	image = read_image(rig);
	for (int round = 0; round < DAMAGE_ROUNDS; round++)
	{
		uint32_t which = (uint32_t) dyn_simrandom_below(&random, RECORDS);
		uint8_t change = (uint8_t) (1 + dyn_simrandom_below(&random, 255));
		char name[48];
		size_t size = record_name(which, name);

		assert_true(damage_pattern(rig, &image, name, size,
								   dyn_simrandom_below(&random, size),
								   change) > 0);
		storerig_open(rig);
		for (uint32_t i = 0; i < RECORDS; i++)
		{
			char key[32];

			/* Found: only a byte of a branch page was changed. */
			record_key(i, key);
			if (storerig_load(rig, key) == DYN_LOADED_ABSENT)
				fail_msg("round %d: %s is said to be absent", round, key);
			corrupt += rig->state == DYN_LOADED_CORRUPT;
		}
		rig->scan_all = round % 2;
		if (walk(rig, &shown, &corrupt))
			assert_int_equal(shown + corrupt, in_scan_count(rig));
		for (int i = 0; i < 10; i++)
			check_range(rig, (uint32_t) dyn_simrandom_below(&random, RECORDS),
						(uint32_t) dyn_simrandom_below(&random, RECORDS),
						which);
		storerig_close(rig);
		restore(rig, &image);
	}
	free(image.bytes);
}

/* ---- walks for damage ---- */

/* Which records the items of pages are, by the keys that they show. */
static struct
{
	bool found[RECORDS];
	bool corrupt[RECORDS];
	uint32_t nameless; /* damaged, and with another key or none */
} seen;

static void
note_seen(struct storerig *rig, const struct dyn_event *event)
{
	for (uint32_t i = 0;
		 event->type == DYN_EVENT_SCANNED && i < event->scanned.item_count; i++)
	{
		const struct dyn_scanned *item = &event->scanned.items[i];
		uint32_t n = 0;

		for (n = 0; n < RECORDS; n++)
		{
			char name[48];
			size_t size = record_name(n, name);

			if (item->bucket.size == 1 && item->bucket.data[0] == name[0] &&
				item->cell == (uint8_t) name[3] && item->key.size == size - 4 &&
				memcmp(item->key.data, name + 4, size - 4) == 0)
				break;
		}
		if (n == RECORDS)
			assert_int_equal(item->state, DYN_LOADED_CORRUPT);
		if (n == RECORDS)
			seen.nameless++;
		else if (item->state == DYN_LOADED_FOUND)
			seen.found[n] = true;
		else
			seen.corrupt[n] = true;
	}
}

/* In pages of so many; how many damaged ones were shown. */
static uint32_t
walk_for_damage(struct storerig *rig, uint32_t items_max, uint32_t visits_max)
{
	uint32_t corrupt = 0;

	memset(&seen, 0, sizeof(seen));
	rig->watch = note_seen;
	rig->scan_all = rig->scan_for_damage = true;
	rig->scan_visits_max = visits_max;
	for (uint32_t page = 0; page == 0 || !rig->scan_end; page++)
	{
		assert_true(page <= 2 * RECORDS);
		storerig_scan(rig, page == 0, items_max);
		assert_int_equal(rig->scan_status, DYN_STATUS_OK);
		assert_true(rig->scan_found + rig->scan_corrupt <= items_max);
		corrupt += rig->scan_corrupt;
	}
	rig->watch = NULL;
	rig->scan_for_damage = false;
	rig->scan_visits_max = 0;
	return corrupt;
}

static void
no_damaged_key_stops_a_walk_for_damage(void **state)
{
	struct storerig *rig = *state;
	struct dyn_simrandom random = dyn_simrandom_stream(3, 5);
	struct image image;

	write_records(rig);
	rig->is_damaged = true;
	image = read_image(rig);
	for (int round = 0; round < DAMAGE_ROUNDS; round++)
	{
		uint32_t which = (uint32_t) dyn_simrandom_below(&random, RECORDS);
		uint8_t change = (uint8_t) (1 + dyn_simrandom_below(&random, 255));
		char name[48];
		size_t size = record_name(which, name);

		assert_true(damage_pattern(rig, &image, name, size,
								   dyn_simrandom_below(&random, size),
								   change) > 0);
		storerig_open(rig);
		assert_int_equal(walk_for_damage(rig, 7, 0), 1);
		assert_int_equal(seen.nameless, 0);
		for (uint32_t i = 0; i < RECORDS; i++)
		{
			assert_int_equal(seen.found[i], i != which);
			assert_int_equal(seen.corrupt[i], i == which);
		}
		storerig_close(rig);
		restore(rig, &image);
	}
	free(image.bytes);
}

/* Many in a row, of which nothing is left to go by, and more than a page of
 * them. */
static void
no_run_of_damaged_keys_stops_a_walk_for_damage(void **state)
{
	struct storerig *rig = *state;
	struct dyn_simrandom random = dyn_simrandom_stream(3, 6);
	struct image image;

	write_records(rig);
	rig->is_damaged = true;
	image = read_image(rig);
	for (int round = 0; round < DAMAGE_ROUNDS; round++)
	{
		uint32_t first = (uint32_t) dyn_simrandom_below(&random, RECORDS);
		uint32_t count = 1 + (uint32_t) dyn_simrandom_below(&random, 30);
		bool damaged[RECORDS] = { false };
		uint32_t expected = 0;

		/* Each sixth: these are neighbours. */
		for (uint32_t i = first; i < RECORDS && expected < count; i += 6)
		{
			char name[48];
			size_t size = record_name(i, name);

			damage_pattern(rig, &image, name, size, 1 + round % 3,
						   (uint8_t) (1 + dyn_simrandom_below(&random, 255)));
			damage_pattern(rig, &image, name, size, 5 + round % 7,
						   (uint8_t) (1 + dyn_simrandom_below(&random, 255)));
			damaged[i] = true;
			expected++;
		}
		storerig_open(rig);
		assert_int_equal(
			walk_for_damage(rig,
							1 + (uint32_t) dyn_simrandom_below(&random, 10),
							(uint32_t) dyn_simrandom_below(&random, 10)),
			expected);
		for (uint32_t i = 0; i < RECORDS; i++)
			assert_int_equal(seen.found[i], !damaged[i]);
		storerig_close(rig);
		restore(rig, &image);
	}
	free(image.bytes);
}

/* All of the cells, and what is damaged beside them. */
static void
a_walk_for_damage_through_some_cells_shows_what_may_be_theirs(void **state)
{
	struct storerig *rig = *state;
	struct dyn_simrandom random = dyn_simrandom_stream(3, 7);
	struct image image;

	write_records(rig);
	rig->is_damaged = true;
	image = read_image(rig);
	for (int round = 0; round < DAMAGE_ROUNDS; round++)
	{
		uint32_t which = (uint32_t) dyn_simrandom_below(&random, RECORDS);
		uint8_t change = (uint8_t) (1 + dyn_simrandom_below(&random, 255));
		char name[48];
		size_t size = record_name(which, name);

		damage_pattern(rig, &image, name, size,
					   dyn_simrandom_below(&random, size), change);
		storerig_open(rig);
		rig->scan_cell_first = rig->scan_cell_last =
			(uint16_t) ('a' + round % 3);
		walk_for_damage(rig, 1 + (uint32_t) dyn_simrandom_below(&random, 10),
						0);
		for (uint32_t i = 0; i < RECORDS; i++)
		{
			bool is_in = (int) (i % 3) == round % 3;

			assert_int_equal(seen.found[i], is_in && i != which);
			assert_true(i == which ? !is_in || seen.corrupt[i]
								   : !seen.corrupt[i]);
		}
		rig->scan_cell_first = rig->scan_cell_last = 0;
		storerig_close(rig);
		restore(rig, &image);
	}
	free(image.bytes);
}

/* One byte of a key in a leaf, not of its copy in the branches above. */
static void
damage_leaf(const struct storerig *rig, const struct image *image,
			const char *name, size_t size, size_t offset, uint8_t change)
{
	enum
	{
		PAGE_SIZE = 4096,
		FLAGS_AT = 10,
		LEAF = 2
	};
	const uint8_t *at = image->bytes;

	while ((at = memmem(at, image->size - (size_t) (at - image->bytes), name,
						size)) != NULL)
	{
		size_t page = (size_t) (at - image->bytes) / PAGE_SIZE * PAGE_SIZE;
		uint8_t byte = at[offset] ^ change;

		if (image->bytes[page + FLAGS_AT] & LEAF)
			poke(rig, (size_t) (at - image->bytes) + offset, &byte, 1);
		at++;
	}
}

/* Else a search that is misled puts a second record into a wrong place. */
static void
a_write_beside_a_damaged_key_gives_it_back(void **state)
{
	struct storerig *rig = *state;
	struct dyn_simrandom random = dyn_simrandom_stream(3, 8);
	struct image image;
	uint32_t restored = 0;

	write_records(rig);
	rig->is_damaged = true;
	image = read_image(rig);
	for (int round = 0; round < DAMAGE_ROUNDS; round++)
	{
		uint32_t which = (uint32_t) dyn_simrandom_below(&random, RECORDS);
		uint8_t change = (uint8_t) (1 + dyn_simrandom_below(&random, 255));
		uint8_t object[4096];
		char name[48];
		size_t size = record_name(which, name);

		damage_leaf(rig, &image, name, size, dyn_simrandom_below(&random, size),
					change);
		storerig_open(rig);
		for (uint32_t i = 0; i < RECORDS; i++)
		{
			char key[32];

			record_key(i, key);
			size = record_object(i, object);
			if (i != which)
				assert_int_equal(storerig_put(rig, key, object, size),
								 DYN_STATUS_OK);
		}
		assert_true(walk_for_damage(rig, 7, 0) <= 1);
		for (uint32_t i = 0; i < RECORDS; i++)
			if (!seen.found[i] && (i != which || !seen.corrupt[i]))
				fail_msg("round %d: %u of %u", round, i, which);
		restored += seen.found[which];
		storerig_close(rig);
		restore(rig, &image);
	}
	print_message("# %u of %d given back\n", restored, DAMAGE_ROUNDS);
	assert_true(restored > 0);
	free(image.bytes);
}

static uint64_t
count_hints(struct storerig *rig)
{
	uint64_t count = 0;

	assert_true(rig->store->ops->count(rig->store, DYN_TABLE_HINTS, &count));
	return count;
}

/* The one that its owner has, or that is damaged, goes by the key it had. */
static void
a_hint_under_a_damaged_key_goes_by_the_one_it_had(void **state)
{
	enum
	{
		HINTS = 20
	};
	struct storerig *rig = *state;
	struct dyn_simrandom random = dyn_simrandom_stream(3, 9);
	struct dyn_write writes[HINTS];
	char keys[HINTS][32];
	struct image image;

	for (uint32_t i = 0; i < HINTS; i++)
	{
		snprintf(keys[i], sizeof(keys[i]), "a-hint-%03u", i);
		writes[i] = (struct dyn_write){
			.table = DYN_TABLE_HINTS,
			.key = { { (const uint8_t *) "h", 1 },
					 'a',
					 { (const uint8_t *) keys[i], strlen(keys[i]) } },
			.slots = 1,
			.object = { (const uint8_t *) "object", 6 }
		};
	}
	storerig_open(rig);
	assert_int_equal(storerig_wait(rig, storerig_submit(rig, writes, HINTS)),
					 DYN_STATUS_OK);
	storerig_close(rig);
	rig->is_damaged = true;
	image = read_image(rig);
	for (int round = 0; round < DAMAGE_ROUNDS; round++)
	{
		uint32_t which = (uint32_t) dyn_simrandom_below(&random, HINTS);
		struct dyn_write removal = writes[which];
		char name[48] = "h\0\0a";
		size_t size = 4 + strlen(keys[which]);

		memcpy(name + 4, keys[which], size - 4);
		removal.object = (struct dyn_slice){ NULL, 0 };
		damage_leaf(rig, &image, name, size, dyn_simrandom_below(&random, size),
					(uint8_t) (1 + dyn_simrandom_below(&random, 255)));
		storerig_open(rig);
		assert_int_equal(storerig_wait(rig, storerig_submit(rig, &removal, 1)),
						 DYN_STATUS_OK);
		assert_int_equal(count_hints(rig), HINTS - 1);
		storerig_close(rig);
		restore(rig, &image);
	}
	free(image.bytes);
}

static void
damaged_meta_records_are_not_returned(void **state)
{
	struct storerig *rig = *state;
	struct dyn_allocator allocator = dyn_allocator_malloc();
	struct dyn_write write = { .table = DYN_TABLE_META,
							   .key.key = { (const uint8_t *) "identity", 8 },
							   .object = { (const uint8_t *) "0123456789abcdef",
										   16 } };
	struct image image;
	struct dyn_slice *names = NULL;
	struct dyn_slice *values = NULL;
	uint32_t count;

	storerig_open(rig);
	assert_int_equal(storerig_wait(rig, storerig_submit(rig, &write, 1)),
					 DYN_STATUS_OK);
	storerig_close(rig);
	rig->is_damaged = true;
	image = read_image(rig);
	damage_pattern(rig, &image, "0123456789abcdef", 16, 7, 1);
	free(image.bytes);
	storerig_open(rig);
	assert_int_equal(rig->store->ops->read_meta(rig->store, &allocator, &names,
												&values, &count),
					 DYN_STATUS_CORRUPT);
	free(names);
	free(values);
}

/* ---- any damage at all ---- */

enum verdict
{
	VERDICT_NONE,    /* every record was right */
	VERDICT_NOTICED, /* CORRUPT, IO_ERROR, or the store did not open */
	VERDICT_ABSENT,  /* a record was said to be absent */
	VERDICT_SHORT,   /* a scan ended early without a word */
	VERDICT_WRONG,   /* something else was returned for a record */
	VERDICT_DIED,    /* LMDB gave up with a signal */
	VERDICT_COUNT
};

static enum verdict
judge(struct storerig *rig)
{
	enum verdict verdict = VERDICT_NONE;
	uint8_t object[4096];
	char reason[256];
	char key[32];

	if (dyn_store_lmdb_open(&rig->config, NULL, rig, &rig->store, reason,
							sizeof(reason)) != DYN_STATUS_OK)
		return VERDICT_NOTICED;
	rig->store->ops->close(&rig->store);
	storerig_open(rig);
	for (uint32_t i = 0; i < RECORDS; i++)
	{
		size_t size = record_object(i, object);

		record_key(i, key);
		switch (storerig_load(rig, key))
		{
			case DYN_LOADED_FOUND:
				if (rig->object_size != size ||
					memcmp(rig->object, object, size) != 0)
					return VERDICT_WRONG;
				break;
			case DYN_LOADED_ABSENT:
				return VERDICT_ABSENT;
			case DYN_LOADED_CORRUPT:
			case DYN_LOADED_IO_ERROR:
				verdict = VERDICT_NOTICED;
				break;
		}
	}
	rig->scan_all = true;
	storerig_scan(rig, true, 1000);
	if (rig->scan_status != DYN_STATUS_OK || rig->scan_corrupt > 0)
		return VERDICT_NOTICED;
	if (rig->scan_found > RECORDS)
		return VERDICT_WRONG;
	return rig->scan_found < RECORDS ? VERDICT_SHORT : verdict;
}

static enum verdict
judge_in_child(struct storerig *rig)
{
	int status;
	pid_t child;

	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
	{
		static const int deadly[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE };

		for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++)
			signal(deadly[i], SIG_DFL);
		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(99);
		alarm(5);
		_exit((int) judge(rig));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) && WEXITSTATUS(status) < VERDICT_COUNT
			   ? (enum verdict) WEXITSTATUS(status)
			   : VERDICT_DIED;
}

/* LMDB checks no page, so damage to its own structure may end in a signal or
 * hide a record; but nobody ever gets bytes that were not written. */
static void
no_damage_returns_wrong_bytes(void **state)
{
	struct storerig *rig = *state;
	struct dyn_simrandom random = dyn_simrandom_stream(5, 6);
	struct image image;
	uint32_t counts[VERDICT_COUNT] = { 0 };
	size_t used;

#ifdef __SANITIZE_THREAD__
	skip(); /* its report of a signal inside LMDB does not end */
#endif
	write_records(rig);
	storerig_open(rig);
	used = storerig_stats(rig).used_size;
	storerig_close(rig);
	rig->is_damaged = true;
	image = read_image(rig);
	for (int round = 0; round < DAMAGE_ROUNDS; round++)
	{
		uint8_t junk[64];

		for (size_t i = 0; i < sizeof(junk); i++)
			junk[i] = (uint8_t) dyn_simrandom_next(&random);
		poke(rig, dyn_simrandom_below(&random, used / 64) * 64, junk,
			 sizeof(junk));
		counts[judge_in_child(rig)]++;
		restore(rig, &image);
	}
	print_message("# %d times 64 bytes of junk: %u without effect, %u noticed, "
				  "%u absent, %u short scans, %u wrong, %u signals\n",
				  DAMAGE_ROUNDS, counts[VERDICT_NONE], counts[VERDICT_NOTICED],
				  counts[VERDICT_ABSENT], counts[VERDICT_SHORT],
				  counts[VERDICT_WRONG], counts[VERDICT_DIED]);
	assert_int_equal(counts[VERDICT_WRONG], 0);
	assert_true(counts[VERDICT_NOTICED] > 0);
	free(image.bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(stored_is_said_only_after_the_sync),
		TEST(what_gathers_during_a_sync_is_one_commit),
		TEST(a_failed_sync_is_final),
		TEST(a_failed_write_is_final),
		TEST(a_failed_write_of_a_meta_page_is_final),
		TEST(a_full_map_refuses_writes_and_serves_reads),
		TEST(only_what_does_not_fit_is_refused_and_nothing_of_it_is_stored),
		TEST(a_store_that_opens_full_says_so),
		TEST(a_disk_that_fills_during_a_commit_is_full_not_broken),
		TEST(a_meta_page_without_room_is_final),
		TEST(a_full_disk_refuses_writes_and_serves_reads),
		TEST(no_acknowledged_write_is_lost_by_kill_9),
		TEST(a_damaged_record_is_corrupt_never_absent),
		TEST(a_record_under_a_damaged_key_is_never_passed_over),
		TEST(no_damaged_key_stops_a_walk_for_damage),
		TEST(no_run_of_damaged_keys_stops_a_walk_for_damage),
		TEST(a_walk_for_damage_through_some_cells_shows_what_may_be_theirs),
		TEST(a_write_beside_a_damaged_key_gives_it_back),
		TEST(a_hint_under_a_damaged_key_goes_by_the_one_it_had),
		TEST(damaged_meta_records_are_not_returned),
		TEST(no_damage_returns_wrong_bytes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
