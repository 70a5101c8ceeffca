/*
 * The store on LMDB when things go wrong: full disks and full maps, syncs
 * that fail, kill -9.  Damage is in test_store_damage.c.
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
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
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
	return storerig_set_up(state);
}

static int
tear_down(void **state)
{
	heal();
	return storerig_tear_down(state);
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
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
