/*
 * The store on LMDB when its file is damaged: pages, records, keys.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/simrandom.h"
#include "storefile.h"
#include "storerig.h"

/* ---- damage ---- */

enum
{
	RECORDS = 120,
	DAMAGE_ROUNDS = 300
};

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
	struct storefile_image image;

	write_records(rig);
	rig->is_damaged = true;
	image = storefile_read(rig);
	for (int round = 0; round < DAMAGE_ROUNDS; round++)
	{
		uint32_t which = (uint32_t) dyn_simrandom_below(&random, RECORDS);
		uint8_t change = (uint8_t) (1 + dyn_simrandom_below(&random, 255));
		uint8_t object[4096];
		size_t size = record_object(which, object);

		assert_true(storefile_change(rig, &image, object, size,
									 dyn_simrandom_below(&random, size),
									 change) > 0);
		rig->scan_all = round % 2;
		expect_corrupt(rig, which);
		storefile_restore(rig, &image);
	}
	storefile_free(&image);
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

/* As it lies on the page. */
static size_t
record_name(uint32_t i, char name[STOREFILE_NAME_MAX])
{
	char key[32];

	record_key(i, key);
	return storefile_name(key, name);
}

/* The key's own bytes: the search for it then ends beside it. */
static void
a_record_under_a_damaged_key_is_never_passed_over(void **state)
{
	struct storerig *rig = *state;
	struct dyn_simrandom random = dyn_simrandom_stream(3, 4);
	struct storefile_image image;
	uint32_t corrupt = 0;
	uint32_t shown;

	write_records(rig);
	rig->is_damaged = true;
	image = storefile_read(rig);
	for (int round = 0; round < DAMAGE_ROUNDS; round++)
	{
		uint32_t which = (uint32_t) dyn_simrandom_below(&random, RECORDS);
		uint8_t change = (uint8_t) (1 + dyn_simrandom_below(&random, 255));
		char name[STOREFILE_NAME_MAX];
		size_t size = record_name(which, name);

		assert_true(storefile_change(rig, &image, name, size,
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
			corrupt += rig->state == DYN_LOADED_CORRUPT ||
					   rig->state == DYN_LOADED_DOUBTED;
		}
		rig->scan_all = round % 2;
		if (walk(rig, &shown, &corrupt))
			assert_int_equal(shown + corrupt, in_scan_count(rig));
		for (int i = 0; i < 10; i++)
			check_range(rig, (uint32_t) dyn_simrandom_below(&random, RECORDS),
						(uint32_t) dyn_simrandom_below(&random, RECORDS),
						which);
		storerig_close(rig);
		storefile_restore(rig, &image);
	}
	storefile_free(&image);
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
			char name[STOREFILE_NAME_MAX];
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
	struct storefile_image image;

	write_records(rig);
	rig->is_damaged = true;
	image = storefile_read(rig);
	for (int round = 0; round < DAMAGE_ROUNDS; round++)
	{
		uint32_t which = (uint32_t) dyn_simrandom_below(&random, RECORDS);
		uint8_t change = (uint8_t) (1 + dyn_simrandom_below(&random, 255));
		char name[STOREFILE_NAME_MAX];
		size_t size = record_name(which, name);

		assert_true(storefile_change(rig, &image, name, size,
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
		storefile_restore(rig, &image);
	}
	storefile_free(&image);
}

/* Many in a row, of which nothing is left to go by, and more than a page of
 * them. */
static void
no_run_of_damaged_keys_stops_a_walk_for_damage(void **state)
{
	struct storerig *rig = *state;
	struct dyn_simrandom random = dyn_simrandom_stream(3, 6);
	struct storefile_image image;

	write_records(rig);
	rig->is_damaged = true;
	image = storefile_read(rig);
	for (int round = 0; round < DAMAGE_ROUNDS; round++)
	{
		uint32_t first = (uint32_t) dyn_simrandom_below(&random, RECORDS);
		uint32_t count = 1 + (uint32_t) dyn_simrandom_below(&random, 30);
		bool damaged[RECORDS] = { false };
		uint32_t expected = 0;

		/* Each sixth: these are neighbours. */
		for (uint32_t i = first; i < RECORDS && expected < count; i += 6)
		{
			char name[STOREFILE_NAME_MAX];
			size_t size = record_name(i, name);

			storefile_change(rig, &image, name, size, 1 + round % 3,
							 (uint8_t) (1 + dyn_simrandom_below(&random, 255)));
			storefile_change(rig, &image, name, size, 5 + round % 7,
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
		storefile_restore(rig, &image);
	}
	storefile_free(&image);
}

/* All of the cells, and what is damaged beside them. */
static void
a_walk_for_damage_through_some_cells_shows_what_may_be_theirs(void **state)
{
	struct storerig *rig = *state;
	struct dyn_simrandom random = dyn_simrandom_stream(3, 7);
	struct storefile_image image;

	write_records(rig);
	rig->is_damaged = true;
	image = storefile_read(rig);
	for (int round = 0; round < DAMAGE_ROUNDS; round++)
	{
		uint32_t which = (uint32_t) dyn_simrandom_below(&random, RECORDS);
		uint8_t change = (uint8_t) (1 + dyn_simrandom_below(&random, 255));
		char name[STOREFILE_NAME_MAX];
		size_t size = record_name(which, name);

		storefile_change(rig, &image, name, size,
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
		storefile_restore(rig, &image);
	}
	storefile_free(&image);
}

/* Else a search that is misled puts a second record into a wrong place. */
static void
a_write_beside_a_damaged_key_gives_it_back(void **state)
{
	struct storerig *rig = *state;
	struct dyn_simrandom random = dyn_simrandom_stream(3, 8);
	struct storefile_image image;
	uint32_t restored = 0;

	write_records(rig);
	rig->is_damaged = true;
	image = storefile_read(rig);
	for (int round = 0; round < DAMAGE_ROUNDS; round++)
	{
		uint32_t which = (uint32_t) dyn_simrandom_below(&random, RECORDS);
		uint8_t change = (uint8_t) (1 + dyn_simrandom_below(&random, 255));
		uint8_t object[4096];
		char name[STOREFILE_NAME_MAX];
		size_t size = record_name(which, name);

		storefile_change_leaves(rig, &image, name, size,
								dyn_simrandom_below(&random, size), change);
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
		storefile_restore(rig, &image);
	}
	print_message("# %u of %d given back\n", restored, DAMAGE_ROUNDS);
	assert_true(restored > 0);
	storefile_free(&image);
}

static uint64_t
count_hints(struct storerig *rig)
{
	uint64_t count = 0;

	assert_true(rig->store->ops->count(rig->store, DYN_TABLE_HINTS, &count));
	return count;
}

enum
{
	HINTS = 20
};

static void
write_hints(struct storerig *rig, struct dyn_write writes[HINTS],
			char keys[HINTS][32])
{
	for (uint32_t i = 0; i < HINTS; i++)
	{
		snprintf(keys[i], 32, "a-hint-%03u", i);
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
}

/* As it stands on the page. */
static size_t
hint_name(const char *key, char name[48])
{
	memcpy(name, "h\0\0a", 4);
	memcpy(name + 4, key, strlen(key));
	return 4 + strlen(key);
}

/* One hint less after the removal of this one; then all is as it was. */
static void
expect_goes(struct storerig *rig, const struct storefile_image *image,
			struct dyn_write hint)
{
	hint.object = (struct dyn_slice){ NULL, 0 };
	storerig_open(rig);
	assert_int_equal(storerig_wait(rig, storerig_submit(rig, &hint, 1)),
					 DYN_STATUS_OK);
	assert_int_equal(count_hints(rig), HINTS - 1);
	storerig_close(rig);
	storefile_restore(rig, image);
}

/* The one that its owner has, or that is damaged, goes by the key it had. */
static void
a_hint_under_a_damaged_key_goes_by_the_one_it_had(void **state)
{
	struct storerig *rig = *state;
	struct dyn_simrandom random = dyn_simrandom_stream(3, 9);
	struct dyn_write writes[HINTS];
	char keys[HINTS][32];
	struct storefile_image image;

	write_hints(rig, writes, keys);
	image = storefile_read(rig);
	for (int round = 0; round < DAMAGE_ROUNDS; round++)
	{
		uint32_t which = (uint32_t) dyn_simrandom_below(&random, HINTS);
		char name[48];
		size_t size = hint_name(keys[which], name);

		storefile_change_leaves(
			rig, &image, name, size, dyn_simrandom_below(&random, size),
			(uint8_t) (1 + dyn_simrandom_below(&random, 255)));
		expect_goes(rig, &image, writes[which]);
	}
	storefile_free(&image);
}

/* What is left of its key leads no search to where it stands. */
static void
a_hint_under_a_key_that_nothing_is_made_of_goes_by_the_one_it_shows(
	void **state)
{
	struct storerig *rig = *state;
	struct dyn_write writes[HINTS];
	char keys[HINTS][32];
	struct storefile_image image;

	write_hints(rig, writes, keys);
	image = storefile_read(rig);
	for (uint32_t which = 0; which < HINTS; which++)
	{
		char name[48];
		size_t size = hint_name(keys[which], name);

		for (size_t i = 5; i < 7; i++)
			storefile_change_leaves(rig, &image, name, size, i, 0x1a);
		keys[which][1] ^= 0x1a;
		keys[which][2] ^= 0x1a;
		expect_goes(rig, &image, writes[which]);
	}
	storefile_free(&image);
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
	struct storefile_image image;
	struct dyn_slice *names = NULL;
	struct dyn_slice *values = NULL;
	uint32_t count;

	storerig_open(rig);
	assert_int_equal(storerig_wait(rig, storerig_submit(rig, &write, 1)),
					 DYN_STATUS_OK);
	storerig_close(rig);
	rig->is_damaged = true;
	image = storefile_read(rig);
	storefile_change(rig, &image, "0123456789abcdef", 16, 7, 1);
	storefile_free(&image);
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
			case DYN_LOADED_DOUBTED:
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
	struct storefile_image image;
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
	image = storefile_read(rig);
	for (int round = 0; round < DAMAGE_ROUNDS; round++)
	{
		uint8_t junk[64];

		for (size_t i = 0; i < sizeof(junk); i++)
			junk[i] = (uint8_t) dyn_simrandom_next(&random);
		storefile_poke(rig, dyn_simrandom_below(&random, used / 64) * 64, junk,
					   sizeof(junk));
		counts[judge_in_child(rig)]++;
		storefile_restore(rig, &image);
	}
	print_message("# %d times 64 bytes of junk: %u without effect, %u noticed, "
				  "%u absent, %u short scans, %u wrong, %u signals\n",
				  DAMAGE_ROUNDS, counts[VERDICT_NONE], counts[VERDICT_NOTICED],
				  counts[VERDICT_ABSENT], counts[VERDICT_SHORT],
				  counts[VERDICT_WRONG], counts[VERDICT_DIED]);
	assert_int_equal(counts[VERDICT_WRONG], 0);
	assert_true(counts[VERDICT_NOTICED] > 0);
	storefile_free(&image);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, storerig_set_up, storerig_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_damaged_record_is_corrupt_never_absent),
		TEST(a_record_under_a_damaged_key_is_never_passed_over),
		TEST(no_damaged_key_stops_a_walk_for_damage),
		TEST(no_run_of_damaged_keys_stops_a_walk_for_damage),
		TEST(a_walk_for_damage_through_some_cells_shows_what_may_be_theirs),
		TEST(a_write_beside_a_damaged_key_gives_it_back),
		TEST(a_hint_under_a_damaged_key_goes_by_the_one_it_had),
		TEST(
			a_hint_under_a_key_that_nothing_is_made_of_goes_by_the_one_it_shows),
		TEST(damaged_meta_records_are_not_returned),
		TEST(no_damage_returns_wrong_bytes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
