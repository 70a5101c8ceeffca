/*
 * The store on LMDB: which directories it takes, how it commits, what a
 * caller may rely on.  Faults are in test_store_faults.c, damage in
 * test_store_damage.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storefile.h"
#include "storehand.h"
#include "storerig.h"

static void
write_file(const char *path, const char *bytes, size_t size)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
}

/* ---- loads ---- */

static void
a_load_ends_when_it_has_bytes_enough(void **state)
{
	static const char *const keys[] = { "a", "b", "absent", "c" };
	struct storerig *rig = *state;
	char object[1000] = { 1 };

	storerig_open(rig);
	for (int i = 0; i < 4; i++)
		if (i != 2)
			storerig_put(rig, keys[i], object, sizeof(object));
	assert_int_equal(storerig_load_some(rig, keys, 4, 0), 4);
	assert_int_equal(storerig_load_some(rig, keys, 4, 1 << 20), 4);
	assert_int_equal(storerig_load_some(rig, keys, 4, 2001), 4);
	assert_int_equal(storerig_load_some(rig, keys, 4, 2000), 2);
	assert_int_equal(storerig_load_some(rig, keys, 4, 1), 1);
	assert_int_equal(rig->state, DYN_LOADED_FOUND);
	assert_int_equal(rig->object_size, sizeof(object));
	storerig_close(rig);
}

/* ---- directories ---- */

static void
a_store_survives_its_process(void **state)
{
	struct storerig *rig = *state;

	storerig_open(rig);
	assert_int_equal(storerig_put(rig, "k", "value", 5), DYN_STATUS_OK);
	assert_int_equal(storerig_put(rig, "gone", "value", 5), DYN_STATUS_OK);
	assert_int_equal(storerig_put(rig, "gone", NULL, 0), DYN_STATUS_OK);
	storerig_close(rig);
	storerig_open(rig);
	assert_true(storerig_has(rig, "k", "value", 5));
	assert_int_equal(storerig_load(rig, "gone"), DYN_LOADED_ABSENT);
	assert_int_equal(storerig_load(rig, "never"), DYN_LOADED_ABSENT);
}

static void
a_missing_directory_is_made_for_its_owner_alone(void **state)
{
	struct storerig *rig = *state;
	char *path = strdup(storefile_path(rig, "new"));
	const char *parent = rig->config.directory;
	struct stat status;

	rig->config.directory = path;
	storerig_open(rig);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0700);
	storerig_close(rig);
	rig->config.directory = parent;
	assert_int_equal(stat(storefile_path(rig, "new/data.mdb"), &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	free(path);
}

static void
a_directory_in_use_is_refused(void **state)
{
	struct storerig *rig = *state;
	struct storerig *second = storerig_new();
	const char *own = second->config.directory;
	char pid[32];

	snprintf(pid, sizeof(pid), "(%d)", (int) getpid());
	storerig_open(rig);
	second->config.directory = rig->config.directory;
	const char *reason = storerig_open_refused(second);
	assert_non_null(strstr(reason, "is in use by another process"));
	assert_non_null(strstr(reason, pid));
	/* The first one does not notice. */
	assert_int_equal(storerig_put(rig, "k", "v", 1), DYN_STATUS_OK);
	storerig_close(rig);
	storerig_open(second);
	assert_true(storerig_has(second, "k", "v", 1));
	storerig_close(second);
	second->config.directory = own;
	storerig_free(second);
}

static void
what_is_no_directory_is_refused(void **state)
{
	struct storerig *rig = *state;
	const char *own = rig->config.directory;
	char *file = strdup(storefile_path(rig, "file"));
	char *deep = strdup(storefile_path(rig, "none/none"));

	write_file(file, "x", 1);
	rig->config.directory = file;
	assert_non_null(strstr(storerig_open_refused(rig), "is not a directory"));
	rig->config.directory = deep;
	assert_non_null(
		strstr(storerig_open_refused(rig), "No such file or directory"));
	rig->config.directory = own;
	free(file);
	free(deep);
}

static void
a_directory_that_others_may_write_is_refused(void **state)
{
	struct storerig *rig = *state;

	assert_int_equal(chmod(rig->config.directory, 0770), 0);
	assert_non_null(
		strstr(storerig_open_refused(rig), "may be written to by others"));
	assert_int_equal(chmod(rig->config.directory, 0702), 0);
	assert_non_null(
		strstr(storerig_open_refused(rig), "may be written to by others"));
	assert_int_equal(chmod(rig->config.directory, 0755), 0);
	storerig_open(rig);
}

static void
another_users_directory_is_refused(void **state)
{
	struct storerig *rig = *state;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chown(rig->config.directory, 65534, 65534), 0);
	assert_non_null(
		strstr(storerig_open_refused(rig), "belongs to another user"));
}

static void
a_file_that_is_not_lmdbs_is_refused(void **state)
{
	struct storerig *rig = *state;
	char bytes[8192];

	memset(bytes, 'x', sizeof(bytes));
	write_file(storefile_path(rig, "data.mdb"), bytes, sizeof(bytes));
	assert_non_null(strstr(storerig_open_refused(rig), "is not an LMDB file"));
}

static void
change_by_hand(const struct storerig *rig, const char *table, const char *key,
			   const char *value)
{
	struct storehand hand = storehand_begin(rig);

	storehand_put(&hand, table, key, value);
	storehand_end(&hand);
}

static void
another_programs_store_is_refused(void **state)
{
	struct storerig *rig = *state;

	change_by_hand(rig, NULL, "k", "v");
	assert_non_null(
		strstr(storerig_open_refused(rig), "was made by another program"));
	change_by_hand(rig, "main", "k", "v");
	assert_non_null(
		strstr(storerig_open_refused(rig), "was made by another program"));
}

static void
an_unknown_format_is_refused_with_both_numbers(void **state)
{
	struct storerig *rig = *state;

	storerig_open(rig);
	storerig_close(rig);
	change_by_hand(rig, "dynnode", "format", "4");
	assert_non_null(
		strstr(storerig_open_refused(rig),
			   "the store has format 4, this program knows format 3"));
	change_by_hand(rig, "dynnode", "format", "23");
	assert_non_null(
		strstr(storerig_open_refused(rig),
			   "the store has format 23, this program knows format 3"));
}

/* A record of these flags, held since then. */
static void
put_flagged(struct storerig *rig, const char *key, uint8_t flags)
{
	struct dyn_write write = storerig_write(key, "object", 6);

	write.held_at_ms = 1000000000000;
	write.flags = flags;
	assert_int_equal(storerig_wait(rig, storerig_submit(rig, &write, 1)),
					 DYN_STATUS_OK);
}

static void
records_of_an_older_store_are_read_and_none_escapes_a_filter(void **state)
{
	struct storerig *rig = *state;

	storerig_open(rig);
	put_flagged(rig, "a", 0);
	put_flagged(rig, "b", DYN_RECORD_MORTAL);
	put_flagged(rig, "c", 0);
	storerig_close(rig);
	storerig_make_old(rig, "2");
	storerig_open(rig);
	assert_true(storerig_has(rig, "a", "object", 6));
	assert_true(rig->held_at_ms == 0);
	assert_int_equal(rig->flags, DYN_RECORD_MORTAL | DYN_RECORD_CROWDED);
	rig->scan_flags = DYN_RECORD_MORTAL;
	storerig_scan(rig, true, 10);
	assert_int_equal(rig->scan_found, 3);

	put_flagged(rig, "c", 0);
	assert_true(storerig_has(rig, "c", "object", 6));
	assert_true(rig->held_at_ms == 1000000000000);
	assert_int_equal(rig->flags, 0);
	storerig_scan(rig, true, 10);
	assert_int_equal(rig->scan_found, 2);
	storerig_close(rig);

	/* What an older program refuses from now on. */
	change_by_hand(rig, "dynnode", "format", "4");
	assert_non_null(strstr(storerig_open_refused(rig), "format 3"));
	change_by_hand(rig, "dynnode", "format", "3");
	storerig_open(rig);
	assert_true(storerig_has(rig, "a", "object", 6));
	assert_true(rig->held_at_ms == 0);
}

static void
a_filtered_page_ends_after_so_many_records_whatever_they_are(void **state)
{
	struct storerig *rig = *state;
	uint32_t pages = 0;
	uint32_t found = 0;
	char key[16];

	storerig_open(rig);
	for (uint32_t i = 0; i < 500; i++)
	{
		snprintf(key, sizeof(key), "%s%03u", i % 2 ? "k" : "c/k", i);
		put_flagged(rig, key, i % 100 == 41 ? DYN_RECORD_MORTAL : 0);
	}
	rig->scan_all = true;
	rig->scan_flags = DYN_RECORD_MORTAL;
	rig->scan_visits_max = 7;
	do
	{
		storerig_scan(rig, pages == 0, 100);
		assert_int_equal(rig->scan_status, DYN_STATUS_OK);
		assert_true(rig->scan_found <= 1);
		found += rig->scan_found;
		pages++;
	} while (!rig->scan_end);
	assert_int_equal(found, 5);
	assert_in_range(pages, 500 / 7, 500 / 7 + 2);

	rig->scan_flags = DYN_RECORD_CROWDED;
	rig->scan_visits_max = 0;
	storerig_scan(rig, true, 1);
	assert_int_equal(rig->scan_found, 0);
	assert_true(rig->scan_end);
}

static void
a_file_cut_short_is_refused(void **state)
{
	struct storerig *rig = *state;
	static uint8_t object[100000];

	storerig_open(rig);
	assert_int_equal(storerig_put(rig, "k", object, sizeof(object)),
					 DYN_STATUS_OK);
	storerig_close(rig);
	assert_int_equal(truncate(storefile_path(rig, "data.mdb"), 5 * 4096), 0);
	assert_non_null(
		strstr(storerig_open_refused(rig), "is damaged: 20480 bytes long"));
}

/* After a refusal nothing is held: the same process can try again. */
static void
a_refusal_leaves_no_lock_and_no_descriptor(void **state)
{
	struct storerig *rig = *state;
	int before = dup(0);
	int after;

	close(before);
	write_file(storefile_path(rig, "data.mdb"), "garbage", 7);
	for (int i = 0; i < 3; i++)
		storerig_open_refused(rig);
	assert_int_equal(unlink(storefile_path(rig, "data.mdb")), 0);
	storerig_open(rig);
	storerig_close(rig);
	after = dup(0);
	close(after);
	assert_int_equal(before, after);
}

/* ---- the process around it ---- */

static void
no_descriptor_is_inherited_by_a_program(void **state)
{
	struct storerig *rig = *state;
	DIR *fds;
	struct dirent *entry;
	uint32_t count = 0;

	storerig_open(rig);
	fds = opendir("/proc/self/fd");
	assert_non_null(fds);
	while ((entry = readdir(fds)) != NULL)
	{
		char target[4096] = "";
		char link[300];

		snprintf(link, sizeof(link), "/proc/self/fd/%s", entry->d_name);
		if (readlink(link, target, sizeof(target) - 1) < 0 ||
			(strstr(target, rig->config.directory) == NULL &&
			 strstr(target, "eventfd") == NULL))
			continue;
		count++;
		if (!(fcntl(atoi(entry->d_name), F_GETFD) & FD_CLOEXEC))
			fail_msg("%s would be inherited", target);
	}
	closedir(fds);
	/* data twice (meta pages have their own), LMDB's lock, ours, eventfd */
	assert_int_equal(count, 5);
}

static void
the_threads_take_no_signals_but_those_of_a_crash(void **state)
{
	struct storerig *rig = *state;
	DIR *tasks;
	struct dirent *entry;
	uint32_t count = 0;

	storerig_open(rig);
	assert_int_equal(storerig_put(rig, "k", "v", 1), DYN_STATUS_OK);
	tasks = opendir("/proc/self/task");
	assert_non_null(tasks);
	while ((entry = readdir(tasks)) != NULL)
	{
		char path[300];
		char line[200];
		bool is_ours = false;
		unsigned long long blocked;
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%s/status",
				 entry->d_name);
		file = fopen(path, "r");
		while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		{
			is_ours |= strncmp(line, "Name:\tstore-", 12) == 0;
			if (!is_ours || sscanf(line, "SigBlk: %llx", &blocked) != 1)
				continue;
			/* ILL (4), ABRT (6), BUS (7), FPE (8) and SEGV (11). */
			assert_true((blocked & 0x4e8) == 0);
			/* All others but KILL (9), STOP (19) and libc's own (32, 33). */
			assert_true((blocked | 0x1800405e8ULL) == 0xffffffffffffffffULL);
			count++;
		}
		if (file != NULL)
			fclose(file);
	}
	closedir(tasks);
	assert_int_equal(count, 2);
}

/* ---- commits ---- */

static void
stores_that_wait_share_a_commit_and_keep_their_order(void **state)
{
	struct storerig *rig = *state;
	struct dyn_store_lmdb_stats stats;
	char key[32];

	storerig_open(rig);
	for (int i = 0; i < 2000; i++)
	{
		snprintf(key, sizeof(key), "%d", i % 300);
		storerig_submit_one(rig, key, &i, sizeof(i));
	}
	storerig_finish(rig);
	for (uint32_t i = 0; i < 2000; i++)
	{
		assert_int_equal(rig->tokens_in_order[i], i);
		assert_int_equal(rig->statuses[i], DYN_STATUS_OK);
	}
	stats = storerig_stats(rig);
	assert_int_equal(stats.stores, 2000);
	assert_int_equal(stats.stores_queued, 0);
	assert_true(stats.commits < 500);
	assert_true(stats.group_max >= 4);
	print_message("# %llu stores in %llu commits, at most %llu in one\n",
				  (unsigned long long) stats.stores,
				  (unsigned long long) stats.commits,
				  (unsigned long long) stats.group_max);
	/* of several writes of a key, the last one is there */
	for (int i = 1700; i < 2000; i++)
	{
		snprintf(key, sizeof(key), "%d", i % 300);
		assert_true(storerig_has(rig, key, &i, sizeof(i)));
	}
}

static void
the_last_of_two_writes_of_a_key_in_one_store_wins(void **state)
{
	struct storerig *rig = *state;
	struct dyn_write writes[5];

	storerig_open(rig);
	writes[0] = storerig_write("k", "first", 5);
	writes[1] = storerig_write("other", "x", 1);
	writes[2] = storerig_write("k", NULL, 0);
	writes[3] = storerig_write("k", "second", 6);
	writes[4] = storerig_write("other", NULL, 0);
	assert_int_equal(storerig_wait(rig, storerig_submit(rig, writes, 5)),
					 DYN_STATUS_OK);
	assert_true(storerig_has(rig, "k", "second", 6));
	assert_int_equal(storerig_load(rig, "other"), DYN_LOADED_ABSENT);
}

static void
a_store_that_no_store_can_hold_is_aborted_in_its_place(void **state)
{
	struct storerig *rig = *state;
	struct dyn_write writes[2];
	char key[DYN_KEY_SIZE_MAX + 2];
	uint64_t bad;

	memset(key, 'k', sizeof(key) - 1);
	key[sizeof(key) - 1] = '\0';
	storerig_open(rig);
	writes[0] = storerig_write("good", "v", 1);
	writes[1] = storerig_write(key, "v", 1);
	storerig_submit_one(rig, "a", "v", 1);
	bad = storerig_submit(rig, writes, 2);
	storerig_submit_one(rig, "b", "v", 1);
	storerig_finish(rig);
	assert_int_equal(rig->statuses[bad], DYN_STATUS_ABORTED);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(rig->tokens_in_order[i], i);
	assert_int_equal(storerig_load(rig, "good"), DYN_LOADED_ABSENT);
	assert_true(storerig_has(rig, "a", "v", 1));
	assert_true(storerig_has(rig, "b", "v", 1));
}

static void
an_empty_store_is_answered(void **state)
{
	struct storerig *rig = *state;

	storerig_open(rig);
	assert_int_equal(storerig_wait(rig, storerig_submit(rig, NULL, 0)),
					 DYN_STATUS_OK);
}

static void
submit_again(struct storerig *rig, const struct dyn_event *event)
{
	if (event->type == DYN_EVENT_STORED && rig->token_next < 5)
		storerig_submit_one(rig, "k", "v", 1);
}

static void
a_callback_may_submit(void **state)
{
	struct storerig *rig = *state;

	storerig_open(rig);
	rig->watch = submit_again;
	storerig_submit_one(rig, "k", "v", 1);
	storerig_finish(rig);
	assert_int_equal(rig->stored_count, 5);
}

static void
close_finishes_what_was_submitted(void **state)
{
	struct storerig *rig = *state;
	char key[32];

	storerig_open(rig);
	for (int i = 0; i < 1000; i++)
	{
		snprintf(key, sizeof(key), "k%d", i);
		storerig_submit_one(rig, key, &i, sizeof(i));
	}
	storerig_close(rig);
	assert_int_equal(rig->stored_count, 0);
	storerig_open(rig);
	for (int i = 0; i < 1000; i++)
	{
		snprintf(key, sizeof(key), "k%d", i);
		assert_true(storerig_has(rig, key, &i, sizeof(i)));
	}
}

/* The map moves many times while pages of it are being read. */
static void
the_map_grows_under_readers(void **state)
{
	enum
	{
		SIZE = 256 * 1024,
		COUNT = 200
	};
	struct storerig *rig = *state;
	uint8_t *object = malloc(SIZE);
	char key[32];
	uint32_t seen = 0;

	assert_non_null(object);
	rig->config.no_sync = true;
	storerig_open(rig);
	for (int i = 0; i < COUNT; i++)
	{
		memset(object, i, SIZE);
		snprintf(key, sizeof(key), "k%03d", i);
		storerig_submit_one(rig, key, object, SIZE);
		if (i % 10 != 9)
			continue;
		storerig_scan(rig, true, 100);
		assert_int_equal(rig->scan_status, DYN_STATUS_OK);
		assert_int_equal(rig->scan_corrupt, 0);
	}
	storerig_finish(rig);
	assert_true(storerig_stats(rig).map_size > (uint64_t) SIZE * COUNT);
	for (int i = 0; i < COUNT; i++)
	{
		memset(object, i, SIZE);
		snprintf(key, sizeof(key), "k%03d", i);
		assert_true(storerig_has(rig, key, object, SIZE));
	}
	storerig_scan(rig, true, 7);
	for (seen = rig->scan_found; !rig->scan_end; seen += rig->scan_found)
		storerig_scan(rig, false, 7);
	assert_int_equal(seen, COUNT);
	free(object);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, storerig_set_up, storerig_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_store_survives_its_process),
		TEST(a_load_ends_when_it_has_bytes_enough),
		TEST(a_missing_directory_is_made_for_its_owner_alone),
		TEST(a_directory_in_use_is_refused),
		TEST(what_is_no_directory_is_refused),
		TEST(a_directory_that_others_may_write_is_refused),
		TEST(another_users_directory_is_refused),
		TEST(a_file_that_is_not_lmdbs_is_refused),
		TEST(another_programs_store_is_refused),
		TEST(an_unknown_format_is_refused_with_both_numbers),
		TEST(records_of_an_older_store_are_read_and_none_escapes_a_filter),
		TEST(a_filtered_page_ends_after_so_many_records_whatever_they_are),
		TEST(a_file_cut_short_is_refused),
		TEST(a_refusal_leaves_no_lock_and_no_descriptor),
		TEST(no_descriptor_is_inherited_by_a_program),
		TEST(the_threads_take_no_signals_but_those_of_a_crash),
		TEST(stores_that_wait_share_a_commit_and_keep_their_order),
		TEST(the_last_of_two_writes_of_a_key_in_one_store_wins),
		TEST(a_store_that_no_store_can_hold_is_aborted_in_its_place),
		TEST(an_empty_store_is_answered),
		TEST(a_callback_may_submit),
		TEST(close_finishes_what_was_submitted),
		TEST(the_map_grows_under_readers),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
