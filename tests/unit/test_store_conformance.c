/*
 * Every kind of store behaves as io/store/store.h says: the same random operations
 * on LMDB's and on the simulated one, against an oracle that is nothing but
 * the list of all writes.
 *
 * STOREs are numbered 1, 2, 3 in the order of submission; the state after the
 * first P of them is what a reader at position P sees.  What a LOAD or SCAN
 * answers must be the state at one single position, not before the last STORE
 * whose completion was dispatched before it was submitted, and not after the
 * last one submitted until it was answered.
 *
 * CONFORMANCE_OPS and CONFORMANCE_SEED in the environment: more, or others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/store/store.h"
#include "model/hash.h"
#include "scratch.h"
#include "sim/simlmdb.h"
#include "sim/simrandom.h"
#include "sim/simstore.h"

enum
{
	BUCKETS = 4,
	TABLES = 2, /* main and hints */
	KEYS = 400, /* of each, over all buckets */
	METAS = 5,
	OBJECT_SIZE_MAX = 9000,
	READS_MAX = 8,    /* in flight */
	STORES_MAX = 12,  /* in flight */
	ITEMS_MAX = 64,   /* of a LOAD or a page */
	CHANGES_MAX = 40, /* writes of one STORE */
	WAIT_MS = 10000
};

/* A key of a table and all that was ever written to it. */
struct change
{
	uint64_t position; /* of its STORE */
	uint64_t version;  /* 0 = removed */
};

struct key
{
	struct dyn_record_key place;
	uint8_t bytes[DYN_KEY_SIZE_MAX];
	struct change *changes;
	uint32_t change_count;
	uint32_t change_capacity;
};

/* A LOAD or SCAN that is not answered yet. */
struct reading
{
	bool is_open;
	struct dyn_effect effect;
	uint64_t position_min;
	struct dyn_record_key places[ITEMS_MAX];
	const struct key *keys[ITEMS_MAX];
	uint32_t nodes[ITEMS_MAX];
};

struct bench
{
	struct dyn_simrandom random;
	struct dyn_store *store;
	const struct kind *kind;
	char *directory;          /* LMDB's */
	struct dyn_simdisk *disk; /* the simulated one's */
	uint64_t now_ms;

	struct key keys[TABLES][KEYS]; /* in the order of a scan */
	struct key metas[METAS];
	uint64_t submitted; /* STOREs */
	uint64_t stored;    /* ... whose completion was dispatched */
	uint64_t version_last;
	struct reading readings[READS_MAX];
	uint32_t reading_count;
	uint64_t loads;
	uint64_t scans;
	uint64_t trees;
	uint64_t items;
};

struct kind
{
	const char *name;
	void (*open)(struct bench *bench);
	/* Let time pass until something may have happened. */
	void (*wait)(struct bench *bench);
	/* Leaves of the tree on disk that are not those of the records. */
	uint64_t (*tree_wrong)(struct bench *bench);
	void (*clean)(struct bench *bench);
};

static const enum dyn_table tables[TABLES] = { DYN_TABLE_MAIN,
											   DYN_TABLE_HINTS };
static const char bucket_63[] =
	"abbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
static const char *const buckets[BUCKETS] = { "a", "ab", bucket_63, "b" };
static const uint16_t cells[] = { 0, 1, 2, 255, 256, 257, 4094, 4095 };

static uint64_t
below(struct bench *bench, uint64_t bound)
{
	return dyn_simrandom_below(&bench->random, bound);
}

/* ---- what a version's bytes are ---- */

static struct dyn_slice
object_of(uint64_t version, uint8_t *buffer)
{
	struct dyn_simrandom random = { version };
	size_t size = dyn_simrandom_below(&random, 10) == 0
					  ? 1 + dyn_simrandom_below(&random, OBJECT_SIZE_MAX)
					  : 1 + dyn_simrandom_below(&random, 200);

	for (size_t i = 0; i < size; i++)
		buffer[i] = (uint8_t) (version >> (i % 8 * 8) ^ i);
	return (struct dyn_slice){ buffer, size };
}

static uint64_t
hash_of(uint64_t version)
{
	return version * UINT64_C(0x9e3779b97f4a7c15);
}

/* The main table keeps none, whatever it was given. */
static uint8_t
slots_of(uint64_t version)
{
	return (uint8_t) (version * 0x5d);
}

static bool
are_slots(enum dyn_table table, uint64_t version, uint8_t slots)
{
	return slots == (table == DYN_TABLE_HINTS ? slots_of(version) : 0);
}

static uint64_t
held_at_of(uint64_t version)
{
	return version * UINT64_C(0x12345677) % (UINT64_C(1) << 48);
}

/* Few have any, so that pages of a filter are often empty. */
static uint8_t
flags_of(uint64_t version)
{
	return version % 8 < 4 ? (uint8_t) (version % 4) : 0;
}

/* ---- the oracle ---- */

static uint64_t
version_at(const struct key *key, uint64_t position)
{
	for (uint32_t i = key->change_count; i > 0; i--)
		if (key->changes[i - 1].position <= position)
			return key->changes[i - 1].version;
	return 0;
}

static void
note_change(struct key *key, uint64_t position, uint64_t version)
{
	if (key->change_count == key->change_capacity)
	{
		key->change_capacity = key->change_capacity * 2 + 8;
		key->changes =
			realloc(key->changes, key->change_capacity * sizeof(struct change));
		assert_non_null(key->changes);
	}
	key->changes[key->change_count++] = (struct change){ position, version };
}

static int
compare_keys(const void *a, const void *b)
{
	const struct dyn_record_key *left = &((const struct key *) a)->place;
	const struct dyn_record_key *right = &((const struct key *) b)->place;
	int order = dyn_slice_compare(left->bucket, right->bucket);

	if (order == 0)
		order = (int) left->cell - (int) right->cell;
	return order ? order : dyn_slice_compare(left->key, right->key);
}

/* Few letters and all lengths, so that prefixes, neighbours and both ends of
 * every range happen. */
static void
make_key(struct bench *bench, struct key *key)
{
	static const uint8_t letters[] = { 0, 'a', 'b', 0xff };
	size_t size =
		below(bench, 20) == 0 ? DYN_KEY_SIZE_MAX : 1 + below(bench, 5);

	for (size_t i = 0; i < size; i++)
		key->bytes[i] = letters[below(bench, sizeof(letters))];
	key->place.bucket = dyn_slice_of(buckets[below(bench, BUCKETS)]);
	key->place.cell = cells[below(bench, sizeof(cells) / sizeof(cells[0]))];
	key->place.key = (struct dyn_slice){ key->bytes, size };
}

static void
make_keys(struct bench *bench, struct key *keys)
{
	uint32_t count = 0;

	while (count < KEYS)
	{
		struct key *key = &keys[count];
		bool is_new = true;

		make_key(bench, key);
		for (uint32_t i = 0; i < count && is_new; i++)
			is_new = compare_keys(&keys[i], key) != 0;
		count += is_new;
	}
	qsort(keys, KEYS, sizeof(struct key), compare_keys);
	for (uint32_t i = 0; i < KEYS; i++)
		keys[i].place.key.data = keys[i].bytes;
}

static void
make_metas(struct bench *bench)
{
	for (uint32_t i = 0; i < METAS; i++)
	{
		bench->metas[i].bytes[0] = (uint8_t) ('A' + i);
		bench->metas[i].place.key =
			(struct dyn_slice){ bench->metas[i].bytes, 1 };
	}
}

/* ---- operations ---- */

static void
store(struct bench *bench)
{
	uint32_t count = 1 + (uint32_t) below(bench, below(bench, CHANGES_MAX) + 1);
	struct dyn_write *writes = calloc(count, sizeof(*writes));
	uint8_t(*objects)[OBJECT_SIZE_MAX] = calloc(count, sizeof(*objects));
	struct dyn_effect effect = { .type = DYN_EFFECT_STORE };

	assert_true(writes != NULL && objects != NULL);
	bench->submitted++;
	for (uint32_t i = 0; i < count; i++)
	{
		bool is_meta = below(bench, 20) == 0;
		uint64_t table = below(bench, TABLES);
		struct key *key = is_meta ? &bench->metas[below(bench, METAS)]
								  : &bench->keys[table][below(bench, KEYS)];
		uint64_t version = below(bench, 3) == 0 ? 0 : ++bench->version_last;

		writes[i].table = is_meta ? DYN_TABLE_META : tables[table];
		writes[i].key = key->place;
		if (version != 0)
		{
			writes[i].hash = hash_of(version);
			writes[i].held_at_ms = held_at_of(version);
			writes[i].slots = slots_of(version);
			writes[i].flags = flags_of(version);
			writes[i].object = object_of(version, objects[i]);
		}
		note_change(key, bench->submitted, version);
	}
	effect.store.token = bench->submitted;
	effect.store.writes = writes;
	effect.store.write_count = count;
	bench->store->ops->submit(bench->store, &effect);
	free(writes);
	free(objects);
}

static struct reading *
new_reading(struct bench *bench, enum dyn_effect_type type)
{
	uint32_t i = 0;

	while (bench->readings[i].is_open)
		i++;
	bench->readings[i] = (struct reading){ .is_open = true,
										   .effect.type = type,
										   .position_min = bench->stored };
	bench->reading_count++;
	return &bench->readings[i];
}

static void
load(struct bench *bench)
{
	struct reading *reading = new_reading(bench, DYN_EFFECT_LOAD);
	uint32_t count = 1 + (uint32_t) below(bench, ITEMS_MAX);
	uint64_t table = below(bench, TABLES);

	for (uint32_t i = 0; i < count; i++)
	{
		reading->keys[i] = &bench->keys[table][below(bench, KEYS)];
		reading->places[i] = reading->keys[i]->place;
	}
	reading->effect.load.token = (uint64_t) (reading - bench->readings);
	reading->effect.load.table = tables[table];
	reading->effect.load.keys = reading->places;
	reading->effect.load.key_count = count;
	reading->effect.load.hash_only = below(bench, 3) == 0;
	bench->store->ops->submit(bench->store, &reading->effect);
}

static bool
has_no_key_range(const struct dyn_effect *effect)
{
	return effect->scan.key_min.size == 0 && effect->scan.key_max.size == 0 &&
		   effect->scan.prefix.size == 0;
}

static void
scan(struct bench *bench)
{
	struct reading *reading = new_reading(bench, DYN_EFFECT_SCAN);
	struct dyn_effect *effect = &reading->effect;
	uint64_t table = below(bench, TABLES);
	const struct key *keys = bench->keys[table];
	const struct key *some = &keys[below(bench, KEYS)];
	const struct key *after = &keys[below(bench, KEYS)];

	effect->scan.token = (uint64_t) (reading - bench->readings);
	effect->scan.table = tables[table];
	if (below(bench, 2) == 0)
		effect->scan.bucket = some->place.bucket;
	effect->scan.cell_first = below(bench, 2) ? some->place.cell : 0;
	effect->scan.cell_last = DYN_CELL_COUNT - 1;
	if (below(bench, 3) == 0)
		effect->scan.cell_last = effect->scan.cell_first;
	if (below(bench, 2) == 0)
	{
		effect->scan.has_after = true;
		if (effect->scan.bucket.size == 0)
			effect->scan.after_bucket = after->place.bucket;
		effect->scan.after_cell = after->place.cell;
		effect->scan.after_key = after->place.key;
	}
	if (below(bench, 3) == 0)
		effect->scan.key_min = keys[below(bench, KEYS)].place.key;
	if (below(bench, 3) == 0)
		effect->scan.key_max = keys[below(bench, KEYS)].place.key;
	if (below(bench, 3) == 0)
	{
		effect->scan.prefix = some->place.key;
		effect->scan.prefix.size = 1 + below(bench, 2);
		if (effect->scan.prefix.size > some->place.key.size)
			effect->scan.prefix.size = 1;
	}
	effect->scan.hash_only = below(bench, 3) == 0;
	effect->scan.items_max = 1 + (uint32_t) below(bench, ITEMS_MAX);
	effect->scan.bytes_max = 1 + (uint32_t) below(bench, 3000);
	if (below(bench, 2) == 0)
		effect->scan.flags = (uint8_t) (1 + below(bench, 3));
	effect->scan.for_damage = below(bench, 3) == 0 && has_no_key_range(effect);
	if (effect->scan.for_damage && below(bench, 4) == 0)
		effect->scan.after_damaged = (uint32_t) below(bench, 3);
	if (below(bench, 2) == 0)
		effect->scan.visits_max = 1 + (uint32_t) below(bench, ITEMS_MAX);
	bench->store->ops->submit(bench->store, effect);
}

static uint32_t
leaf_of(const struct dyn_record_key *place)
{
	uint64_t position = dyn_hash_position(place->bucket, place->key);

	/* The cells of these keys are not those of their hashes. */
	return place->cell * 1024u + dyn_tree_leaf(position) % 1024;
}

/* Nodes with something below them, and others, in order. */
static void
tree(struct bench *bench)
{
	struct reading *reading = new_reading(bench, DYN_EFFECT_TREE);
	struct dyn_effect *effect = &reading->effect;
	enum dyn_tree_level level = (enum dyn_tree_level) below(bench, 3);
	uint32_t below_node = dyn_tree_leaves_below(level);
	uint32_t key = (uint32_t) below(bench, KEYS);
	uint32_t count = 0;
	uint32_t next = 0;

	while (count < ITEMS_MAX && key < KEYS)
	{
		uint32_t node = below(bench, 8) == 0
							? next
							: leaf_of(&bench->keys[0][key].place) / below_node;

		key += 1 + (uint32_t) below(bench, 20);
		if (node < next || node >= dyn_tree_level_count(level))
			continue;
		reading->nodes[count++] = node;
		next = node + 1;
	}
	effect->tree.token = (uint64_t) (reading - bench->readings);
	effect->tree.level = level;
	effect->tree.nodes = reading->nodes;
	effect->tree.node_count = count;
	bench->store->ops->submit(bench->store, effect);
}

/* ---- answers ---- */

static bool
is_version(uint64_t version, uint64_t hash, struct dyn_slice object,
		   bool hash_only)
{
	uint8_t buffer[OBJECT_SIZE_MAX];

	if (hash != hash_of(version))
		return false;
	if (hash_only)
		return object.size == 0;
	return dyn_slice_equal(object, object_of(version, buffer));
}

static bool
is_load_at(const struct reading *reading, const struct dyn_event *event,
		   uint64_t position)
{
	for (uint32_t i = 0; i < event->loaded.record_count; i++)
	{
		const struct dyn_loaded *record = &event->loaded.records[i];
		uint64_t version = version_at(reading->keys[i], position);

		if (record->state != (version ? DYN_LOADED_FOUND : DYN_LOADED_ABSENT))
			return false;
		if (version != 0 &&
			(!is_version(version, record->hash, record->object,
						 reading->effect.load.hash_only) ||
			 record->held_at_ms != held_at_of(version) ||
			 record->flags != flags_of(version) ||
			 !are_slots(reading->effect.load.table, version, record->slots)))
			return false;
	}
	return true;
}

static bool
is_after_cursor(const struct dyn_effect *effect,
				const struct dyn_record_key *place)
{
	int order = dyn_slice_compare(place->bucket, effect->scan.after_bucket);

	if (effect->scan.bucket.size == 0 && order != 0)
		return order > 0;
	if (place->cell != effect->scan.after_cell)
		return place->cell > effect->scan.after_cell;
	return dyn_slice_compare(place->key, effect->scan.after_key) > 0;
}

/* Written without a thought for seeks: every key is looked at. */
static bool
is_in_range(const struct dyn_effect *effect, const struct dyn_record_key *place)
{
	struct dyn_slice prefix = effect->scan.prefix;

	if ((effect->scan.bucket.size != 0 &&
		 !dyn_slice_equal(place->bucket, effect->scan.bucket)) ||
		place->cell < effect->scan.cell_first ||
		place->cell > effect->scan.cell_last)
		return false;
	if (effect->scan.has_after && !is_after_cursor(effect, place))
		return false;
	if (effect->scan.key_min.size != 0 &&
		dyn_slice_compare(place->key, effect->scan.key_min) < 0)
		return false;
	if (effect->scan.key_max.size != 0 &&
		dyn_slice_compare(place->key, effect->scan.key_max) > 0)
		return false;
	return prefix.size == 0 ||
		   (place->key.size >= prefix.size &&
			memcmp(place->key.data, prefix.data, prefix.size) == 0);
}

static bool
is_item(const struct dyn_effect *effect, const struct dyn_scanned *item,
		const struct key *key, uint64_t version)
{
	struct dyn_slice bucket = { NULL, 0 };

	if (effect->scan.bucket.size == 0)
		bucket = key->place.bucket;
	return dyn_slice_equal(item->bucket, bucket) &&
		   item->state == DYN_LOADED_FOUND && item->cell == key->place.cell &&
		   dyn_slice_equal(item->key, key->place.key) &&
		   are_slots(effect->scan.table, version, item->slots) &&
		   item->held_at_ms == held_at_of(version) &&
		   item->flags == flags_of(version) &&
		   is_version(version, item->hash, item->object,
					  effect->scan.hash_only);
}

static bool
is_cursor(const struct dyn_effect *effect, const struct dyn_event *event,
		  const struct key *last)
{
	if (effect->scan.bucket.size == 0 &&
		!dyn_slice_equal(event->scanned.after_bucket, last->place.bucket))
		return false;
	return event->scanned.after_cell == last->place.cell &&
		   dyn_slice_equal(event->scanned.after_key, last->place.key);
}

static bool
is_page_at(const struct bench *bench, const struct dyn_effect *effect,
		   const struct dyn_event *event, uint64_t position)
{
	const struct key *keys = bench->keys[effect->scan.table == DYN_TABLE_HINTS];
	const struct key *last = NULL;
	uint32_t visits = 0;
	uint32_t count = 0;
	size_t bytes = 0;

	for (uint32_t i = 0; i < KEYS; i++)
	{
		const struct key *key = &keys[i];
		uint64_t version = version_at(key, position);
		uint8_t buffer[OBJECT_SIZE_MAX];
		size_t size = key->place.key.size;
		bool is_wanted = effect->scan.flags == 0 ||
						 (flags_of(version) & effect->scan.flags) != 0;

		if (version == 0 || !is_in_range(effect, &key->place))
			continue;
		if (!effect->scan.hash_only)
			size += object_of(version, buffer).size;
		if ((effect->scan.visits_max != 0 &&
			 visits == effect->scan.visits_max) ||
			(is_wanted && count > 0 &&
			 (count == effect->scan.items_max ||
			  bytes + size > effect->scan.bytes_max)))
			return event->scanned.item_count == count && !event->scanned.end &&
				   is_cursor(effect, event, last);
		visits++;
		last = key;
		if (!is_wanted)
			continue;
		if (count == event->scanned.item_count ||
			!is_item(effect, &event->scanned.items[count], key, version))
			return false;
		bytes += size;
		count++;
	}
	return event->scanned.item_count == count && event->scanned.end;
}

/* The XOR over all keys that are there and hang below the node. */
static bool
is_tree_at(const struct bench *bench, const struct dyn_effect *effect,
		   const struct dyn_event *event, uint64_t position)
{
	uint32_t below_node = dyn_tree_leaves_below(effect->tree.level);
	uint64_t hashes[ITEMS_MAX] = { 0 };

	for (uint32_t k = 0; k < KEYS; k++)
	{
		const struct dyn_record_key *place = &bench->keys[0][k].place;
		uint64_t version = version_at(&bench->keys[0][k], position);
		uint32_t node = leaf_of(place) / below_node;

		for (uint32_t i = 0; version != 0 && i < effect->tree.node_count; i++)
			if (effect->tree.nodes[i] == node)
				hashes[i] ^=
					dyn_tree_item(dyn_hash_position(place->bucket, place->key),
								  hash_of(version));
	}
	return event->tree.hash_count == 0 ||
		   memcmp(hashes, event->tree.hashes,
				  event->tree.hash_count * sizeof(hashes[0])) == 0;
}

static bool
is_at(const struct bench *bench, const struct reading *reading,
	  const struct dyn_event *event, uint64_t position)
{
	if (event->type == DYN_EVENT_LOADED)
		return is_load_at(reading, event, position);
	if (event->type == DYN_EVENT_TREE)
		return is_tree_at(bench, &reading->effect, event, position);
	return is_page_at(bench, &reading->effect, event, position);
}

static void
check_reading(struct bench *bench, const struct dyn_event *event,
			  struct reading *reading)
{
	bool found = false;

	assert_true(reading->is_open);
	for (uint64_t at = reading->position_min; at <= bench->submitted && !found;
		 at++)
		found = is_at(bench, reading, event, at);
	assert_true(found);
	reading->is_open = false;
	bench->reading_count--;
}

static void
complete(void *context, const struct dyn_event *event)
{
	struct bench *bench = context;

	if (event->type == DYN_EVENT_STORED)
	{
		assert_int_equal(event->stored.status, DYN_STATUS_OK);
		assert_int_equal(event->stored.token, bench->stored + 1);
		bench->stored++;
	}
	else if (event->type == DYN_EVENT_LOADED)
	{
		struct reading *reading = &bench->readings[event->loaded.token];

		assert_int_equal(event->loaded.record_count,
						 reading->effect.load.key_count);
		check_reading(bench, event, reading);
		bench->loads++;
		bench->items += event->loaded.record_count;
	}
	else if (event->type == DYN_EVENT_TREE)
	{
		struct reading *reading = &bench->readings[event->tree.token];

		assert_int_equal(event->tree.status, DYN_STATUS_OK);
		assert_int_equal(event->tree.hash_count,
						 reading->effect.tree.node_count);
		check_reading(bench, event, reading);
		bench->trees++;
	}
	else
	{
		assert_int_equal(event->type, DYN_EVENT_SCANNED);
		assert_int_equal(event->scanned.status, DYN_STATUS_OK);
		check_reading(bench, event, &bench->readings[event->scanned.token]);
		bench->scans++;
		bench->items += event->scanned.item_count;
	}
}

static void
turn(struct bench *bench)
{
	const char *reason = NULL;

	bench->kind->wait(bench);
	assert_true(bench->store->ops->dispatch(bench->store, &reason));
}

static void
finish_all(struct bench *bench)
{
	while (bench->stored < bench->submitted || bench->reading_count > 0)
		turn(bench);
}

static void
check_meta(struct bench *bench)
{
	struct dyn_allocator allocator = dyn_allocator_malloc();
	struct dyn_slice *names;
	struct dyn_slice *values;
	uint32_t count;
	uint32_t at = 0;

	assert_int_equal(bench->store->ops->read_meta(bench->store, &allocator,
												  &names, &values, &count),
					 DYN_STATUS_OK);
	for (uint32_t i = 0; i < METAS; i++)
	{
		uint64_t version = version_at(&bench->metas[i], bench->submitted);
		uint8_t buffer[OBJECT_SIZE_MAX];

		if (version == 0)
			continue;
		assert_true(at < count);
		assert_true(dyn_slice_equal(names[at], bench->metas[i].place.key));
		assert_true(dyn_slice_equal(values[at], object_of(version, buffer)));
		free((void *) names[at].data);
		free((void *) values[at].data);
		at++;
	}
	assert_int_equal(at, count);
	free(names);
	free(values);
}

/* Closing finishes what was submitted, delivered or not. */
static void
reopen(struct bench *bench)
{
	while (bench->reading_count > 0)
		turn(bench);
	bench->store->ops->close(&bench->store);
	assert_null(bench->store);
	bench->stored = bench->submitted;
	bench->kind->open(bench);
	check_meta(bench);
	assert_int_equal(bench->kind->tree_wrong(bench), 0);
}

static void
operate(struct bench *bench)
{
	uint64_t dice = below(bench, 1000);

	if (dice == 0)
		reopen(bench);
	else if (dice < 400 && bench->submitted - bench->stored < STORES_MAX)
		store(bench);
	else if (dice < 600 && bench->reading_count < READS_MAX)
		load(bench);
	else if (dice < 750 && bench->reading_count < READS_MAX)
		scan(bench);
	else if (dice < 850 && bench->reading_count < READS_MAX)
		tree(bench);
	else
		turn(bench);
}

static uint64_t
from_environment(const char *name, uint64_t normal)
{
	const char *value = getenv(name);

	return value ? strtoull(value, NULL, 10) : normal;
}

static void
run(const struct kind *kind, uint64_t seed, uint64_t ops)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	assert_non_null(bench);
	bench->random = dyn_simrandom_stream(seed, 1);
	bench->kind = kind;
	for (uint32_t t = 0; t < TABLES; t++)
		make_keys(bench, bench->keys[t]);
	make_metas(bench);
	kind->open(bench);
	for (uint64_t i = 0; i < ops; i++)
		operate(bench);
	finish_all(bench);
	reopen(bench);
	/* Everything, once more, from what a new process would see. */
	for (int i = 0; i < 50; i++)
	{
		load(bench);
		scan(bench);
		tree(bench);
		finish_all(bench);
	}
	bench->store->ops->close(&bench->store);
	print_message(
		"# %s seed %llu: %llu stores, %llu loads, %llu scans, %llu "
		"trees, %llu records read\n",
		kind->name, (unsigned long long) seed,
		(unsigned long long) bench->submitted,
		(unsigned long long) bench->loads, (unsigned long long) bench->scans,
		(unsigned long long) bench->trees, (unsigned long long) bench->items);
	kind->clean(bench);
	for (uint32_t t = 0; t < TABLES; t++)
		for (uint32_t i = 0; i < KEYS; i++)
			free(bench->keys[t][i].changes);
	for (uint32_t i = 0; i < METAS; i++)
		free(bench->metas[i].changes);
	free(bench);
}

static void
run_seeds(const struct kind *kind, uint64_t ops)
{
	uint64_t seed = from_environment("CONFORMANCE_SEED", 1);

	ops = from_environment("CONFORMANCE_OPS", ops);
	for (uint64_t i = 0; i < 3; i++)
		run(kind, seed + i, ops);
}

/* ---- LMDB's ---- */

static void
lmdb_open(struct bench *bench)
{
	struct dyn_store_lmdb_config config = { 0 };
	char reason[256] = "";

	if (bench->directory == NULL)
		bench->directory = scratch_make();
	config.directory = bench->directory;
	/* Syncs make nothing visible; tests of them are elsewhere. */
	config.no_sync = true;
	if (dyn_store_lmdb_open(&config, complete, bench, &bench->store, reason,
							sizeof(reason)) != DYN_STATUS_OK)
		fail_msg("%s", reason);
}

static void
lmdb_wait(struct bench *bench)
{
	struct pollfd wakeup = { .fd = bench->store->ops->wakeup_fd(bench->store),
							 .events = POLLIN };

	if (bench->stored < bench->submitted || bench->reading_count > 0)
		assert_int_equal(poll(&wakeup, 1, WAIT_MS), 1);
}

static uint64_t
lmdb_tree_wrong(struct bench *bench)
{
	struct dyn_store_tree_report report;

	assert_int_equal(dyn_store_lmdb_check(bench->store, &report),
					 DYN_STATUS_OK);
	assert_int_equal(report.damaged + report.damaged_branches, 0);
	return report.wrong;
}

static void
lmdb_clean(struct bench *bench)
{
	scratch_remove(bench->directory);
}

static void
lmdb_store_conforms(void **state)
{
	static const struct kind kind = { "lmdb", lmdb_open, lmdb_wait,
									  lmdb_tree_wrong, lmdb_clean };

	run_seeds(&kind, 20000);
}

/* ---- the simulated one ---- */

static void
sim_open(struct bench *bench)
{
	struct dyn_simstore_config config = { .now_ms = &bench->now_ms,
										  .commit_ms_max = 10,
										  .read_ms_max = 5,
										  .slow_ms_max = 50,
										  .slow_rate = 10000 };

	if (bench->disk == NULL)
		bench->disk = dyn_simdisk_new();
	config.seed = below(bench, UINT64_MAX);
	bench->store = dyn_simstore_open(bench->disk, &config, complete, bench);
}

static void
sim_wait(struct bench *bench)
{
	bench->now_ms += below(bench, 8);
}

static uint64_t
sim_tree_wrong(struct bench *bench)
{
	return dyn_simdisk_tree_wrong(bench->disk);
}

static void
sim_clean(struct bench *bench)
{
	dyn_simdisk_free(&bench->disk);
}

static void
simulated_store_conforms(void **state)
{
	static const struct kind kind = { "sim", sim_open, sim_wait, sim_tree_wrong,
									  sim_clean };

	run_seeds(&kind, 20000);
}

/* ---- both: LMDB under the simulated disk (sim/simreal.h) ---- */

static void
both_open(struct bench *bench)
{
	if (bench->disk == NULL)
		bench->disk = dyn_simdisk_new_beside(dyn_simlmdb_new());
	sim_open(bench);
	assert_null(dyn_simdisk_drift(bench->disk));
}

static void
both_wait(struct bench *bench)
{
	const char *drift = dyn_simdisk_real(bench->disk)->drift;

	sim_wait(bench);
	assert_string_equal(drift, "");
}

static void
both_clean(struct bench *bench)
{
	assert_null(dyn_simdisk_drift(bench->disk));
	dyn_simdisk_free(&bench->disk);
}

static void
lmdb_under_the_simulated_disk_conforms(void **state)
{
	static const struct kind kind = { "both", both_open, both_wait,
									  sim_tree_wrong, both_clean };

	run_seeds(&kind, 20000);
}

/* ---- damage: what LMDB's store makes of it is what the model makes of it - */

static void
change_some(struct bench *bench)
{
	uint32_t count = dyn_simdisk_count(bench->disk, DYN_TABLE_MAIN);

	if (count > 0 && below(bench, 8) == 0)
		(void) dyn_simdisk_misname(bench->disk, (uint32_t) below(bench, count));
	else if (count > 0 && below(bench, 6) == 0)
		dyn_simdisk_corrupt(bench->disk, (uint32_t) below(bench, count),
							below(bench, 2) == 0);
	else if (below(bench, 3) == 0)
		store(bench);
	else if (below(bench, 2) == 0)
		load(bench);
	else if (below(bench, 3) == 0)
		tree(bench);
	else
		scan(bench);
}

/* The oracle knows of no damage. */
static void
take_any(void *context, const struct dyn_event *event)
{
	struct bench *bench = context;
	uint64_t token = event->type == DYN_EVENT_LOADED    ? event->loaded.token
					 : event->type == DYN_EVENT_SCANNED ? event->scanned.token
														: event->tree.token;

	if (event->type == DYN_EVENT_STORED)
		return;
	bench->readings[token].is_open = false;
	bench->reading_count--;
}

/* Counts of the last page. */
struct shown
{
	uint32_t items;
	uint32_t corrupt;
	enum dyn_status status;
};

static void
count_items(void *context, const struct dyn_event *event)
{
	struct shown *shown = context;

	shown->status = event->scanned.status;
	shown->items = event->scanned.item_count;
	for (uint32_t i = 0; i < event->scanned.item_count; i++)
		shown->corrupt += event->scanned.items[i].state == DYN_LOADED_CORRUPT;
}

/* Who looks for damage is shown everything, wherever the damage is. */
static void
expect_all_shown(struct bench *bench)
{
	struct dyn_simstore_config config = { .now_ms = &bench->now_ms };
	struct dyn_effect effect = { .type = DYN_EFFECT_SCAN };
	struct shown shown = { 0 };
	struct dyn_store *store =
		dyn_simstore_open(bench->disk, &config, count_items, &shown);
	const char *reason;
	uint32_t count = dyn_simdisk_count(bench->disk, DYN_TABLE_MAIN);
	uint32_t corrupt = 0;

	for (uint32_t i = 0; i < count; i++)
		corrupt += dyn_simdisk_at(bench->disk, DYN_TABLE_MAIN, i)->corrupt;
	effect.scan.table = DYN_TABLE_MAIN;
	effect.scan.cell_last = DYN_CELL_COUNT - 1;
	effect.scan.items_max = UINT16_MAX;
	effect.scan.bytes_max = UINT32_MAX;
	effect.scan.for_damage = true;
	store->ops->submit(store, &effect);
	assert_true(store->ops->dispatch(store, &reason));
	assert_int_equal(shown.status, DYN_STATUS_OK);
	assert_int_equal(shown.items, count);
	assert_int_equal(shown.corrupt, corrupt);
	dyn_simstore_crash(&store);
}

static void
the_model_knows_what_damage_does(void **state)
{
	for (uint64_t seed = 1; seed <= 20; seed++)
	{
		struct bench *bench = calloc(1, sizeof(*bench));
		struct dyn_simstore_config config = { .now_ms = &bench->now_ms };

		assert_non_null(bench);
		bench->random = dyn_simrandom_stream(seed, 77);
		make_keys(bench, bench->keys[0]);
		make_keys(bench, bench->keys[1]);
		make_metas(bench);
		bench->disk = dyn_simdisk_new_beside(dyn_simlmdb_new());
		bench->store = dyn_simstore_open(bench->disk, &config, take_any, bench);
		for (int i = 0; i < 600; i++)
		{
			struct dyn_simdisk *copy;
			const char *reason;

			change_some(bench);
			assert_true(bench->store->ops->dispatch(bench->store, &reason));
			assert_int_equal(bench->reading_count, 0);
			if (i % 50 == 0)
			{
				copy = dyn_simdisk_copy(bench->disk);
				assert_null(dyn_simdisk_drift(copy));
				dyn_simdisk_free(&copy);
			}
			assert_null(dyn_simdisk_drift(bench->disk));
			assert_int_equal(dyn_simdisk_tree_wrong(bench->disk), 0);
		}
		dyn_simstore_crash(&bench->store);
		for (uint32_t i = dyn_simdisk_count(bench->disk, DYN_TABLE_MAIN);
			 i > 0 && seed % 2 == 0; i--)
			dyn_simdisk_corrupt(bench->disk, i - 1, true);
		expect_all_shown(bench);
		both_clean(bench);
		for (uint32_t i = 0; i < KEYS; i++)
			for (int t = 0; t < TABLES; t++)
				free(bench->keys[t][i].changes);
		for (uint32_t i = 0; i < METAS; i++)
			free(bench->metas[i].changes);
		free(bench);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(simulated_store_conforms),
		cmocka_unit_test(lmdb_store_conforms),
		cmocka_unit_test(lmdb_under_the_simulated_disk_conforms),
		cmocka_unit_test(the_model_knows_what_damage_does),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
