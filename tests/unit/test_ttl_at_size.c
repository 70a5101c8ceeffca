/*
 * Many keys expire at once, and clocks disagree about when: whoever looks
 * sees other rows for a while, but what is stored is the same everywhere, so
 * nothing is compared below the roots, repaired or sent.
 *
 * TTL_KEYS in the environment: more, or fewer.
 */
#include "corerig.h"
#include "righand.h"

#include "model/bucket.h"
#include "model/object.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum
{
	KEYS = 100000,
	NODES = 3,
	SKEW_MS = 5000,
	TTL_MS = 120 * 1000,
	STEP_MS = 500,
	T = 1000 * 1000 * 1000, /* what the second clock shows at first */
	OPS = 500,              /* of one PUT */
	ASKED = 20              /* keys of one GET */
};

struct keys
{
	uint32_t count;
	char (*names)[16]; /* in the order of the stores */
};

static struct corerig *rig;
static uint64_t passed_ms;

static void
pass(uint64_t ms)
{
	for (; ms > 0; ms -= STEP_MS)
	{
		for (uint32_t i = 0; i < NODES; i++)
			rig->nodes[i].wall_ms = T + i * SKEW_MS - SKEW_MS + passed_ms;
		corerig_run(rig, STEP_MS);
		passed_ms += STEP_MS;
	}
}

static int
compare_names(const void *a, const void *b)
{
	int order =
		(int) corerig_cell("mortal", a) - (int) corerig_cell("mortal", b);

	return order != 0 ? order : strcmp(a, b);
}

/* In their order, so that a sorted array grows at its end. */
static struct keys
make_keys(void)
{
	const char *wanted = getenv("TTL_KEYS");
	struct keys keys = { .count = KEYS };

	if (wanted != NULL)
		keys.count = (uint32_t) strtoul(wanted, NULL, 10);
	keys.count -= keys.count % OPS;
	keys.names = calloc(keys.count, sizeof(*keys.names));
	assert_non_null(keys.names);
	for (uint32_t i = 0; i < keys.count; i++)
		snprintf(keys.names[i], sizeof(keys.names[i]), "key-%u", i);
	qsort(keys.names, keys.count, sizeof(*keys.names), compare_names);
	return keys;
}

static void
make_bucket(void)
{
	Dyn__BucketRequest request = DYN__BUCKET_REQUEST__INIT;
	Dyn__Bucket change = DYN__BUCKET__INIT;

	change.name = dyn_bytes_of_slice(dyn_slice_of("mortal"));
	change.conflict = DYN_CONFLICT_SIBLINGS;
	change.ttl_ms = TTL_MS;
	request.set = &change;
	assert_non_null(corerig_ask(rig, 0, DYN_MESSAGE_BUCKET, &request.base));
	assert_int_equal(rig->reply_type, DYN_MESSAGE_BUCKET_REPLY);
	pass(STEP_MS);
}

/* OPS keys through one node. */
static void
put(uint32_t node, char (*names)[16])
{
	static uint8_t ids[OPS][16];
	static uint32_t id;
	static Dyn__PutOp ops[OPS];
	static Dyn__PutOp *pointers[OPS];
	Dyn__PutRequest request = DYN__PUT_REQUEST__INIT;
	ProtobufCBinaryData value = dyn_bytes_of_slice(dyn_slice_of("a value"));
	const Dyn__PutReply *reply;

	for (uint32_t i = 0; i < OPS; i++)
	{
		memcpy(ids[i], &id, sizeof(id));
		id++;
		dyn__put_op__init(&ops[i]);
		ops[i].key = dyn_bytes_of_slice(dyn_slice_of(names[i]));
		ops[i].request_id = (ProtobufCBinaryData){ sizeof(ids[i]), ids[i] };
		ops[i].n_values = 1;
		ops[i].values = &value;
		pointers[i] = &ops[i];
	}
	request.bucket = dyn_bytes_of_slice(dyn_slice_of("mortal"));
	request.n_ops = OPS;
	request.ops = pointers;
	reply = corerig_ask(rig, node, DYN_MESSAGE_PUT, &request.base);
	assert_non_null(reply);
	assert_int_equal(rig->reply_type, DYN_MESSAGE_PUT_REPLY);
	for (uint32_t i = 0; i < OPS; i++)
		assert_int_equal(reply->results[i]->status, DYN_STATUS_OK);
	corerig_run(rig, 5);
	dyn_arena_reset(&rig->arena);
}

/* How many of some keys a coordinated read finds live. */
static uint32_t
get(uint32_t node, const struct keys *keys, uint32_t from)
{
	Dyn__GetRequest request = DYN__GET_REQUEST__INIT;
	ProtobufCBinaryData names[ASKED];
	const Dyn__GetReply *reply;
	uint32_t live = 0;

	for (uint32_t i = 0; i < ASKED; i++)
		names[i] = dyn_bytes_of_slice(
			dyn_slice_of(keys->names[(from + i * 997) % keys->count]));
	request.bucket = dyn_bytes_of_slice(dyn_slice_of("mortal"));
	request.n_keys = ASKED;
	request.keys = names;
	reply = corerig_ask(rig, node, DYN_MESSAGE_GET, &request.base);
	assert_non_null(reply);
	assert_int_equal(rig->reply_type, DYN_MESSAGE_GET_REPLY);
	for (uint32_t i = 0; i < ASKED; i++)
	{
		struct dyn_object object;

		if (reply->results[i]->status == DYN_STATUS_NOT_FOUND)
			continue;
		assert_int_equal(reply->results[i]->status, DYN_STATUS_OK);
		assert_int_equal(
			dyn_object_decode(dyn_slice_of_bytes(reply->results[i]->object),
							  &rig->arena.allocator, &object),
			DYN_STATUS_OK);
		live += !dyn_object_is_dead(&object, rig->nodes[node].wall_ms);
	}
	dyn_arena_reset(&rig->arena);
	return live;
}

static void
expect_equal_and_mortal(const struct keys *keys)
{
	assert_true(corerig_is_equal(rig, 0, 1) && corerig_is_equal(rig, 0, 2));
	assert_int_equal(rig->nodes[0].store.count, keys->count);
	for (uint32_t i = 0; i < keys->count; i++)
		assert_int_equal(rig->nodes[0].store.records[i].flags,
						 DYN_RECORD_MORTAL);
}

static void
what_expires_at_other_times_elsewhere_is_neither_compared_nor_repaired(
	void **unused)
{
	struct keys keys = make_keys();
	uint64_t repaired;
	uint32_t live[NODES];
	uint32_t rounds = 0;
	uint32_t apart = 0;

	passed_ms = 0;
	rig = corerig_new(NODES, 64, 1000);
	make_bucket();
	for (uint32_t i = 0; i < keys.count; i += OPS)
		put(i / OPS % NODES, keys.names + i);
	pass(5000);
	expect_equal_and_mortal(&keys);
	corerig_count_anew(rig);
	repaired = corerig_sum(rig, "exchange_keys_repaired") +
			   corerig_sum(rig, "repairs_sent") +
			   corerig_sum(rig, "repairs_applied");

	/* Around the moment at which it ends, by each of the clocks. */
	while (passed_ms < TTL_MS + 3 * SKEW_MS)
	{
		pass(STEP_MS);
		for (uint32_t i = 0; i < NODES; i++)
			live[i] = get(i, &keys, 31 * ++rounds);
		apart += live[0] != live[2];
	}
	assert_true(apart > 0);
	for (uint32_t i = 0; i < NODES; i++)
		assert_int_equal(live[i], 0);
	expect_equal_and_mortal(&keys);
	assert_int_equal(corerig_sum(rig, "exchange_keys_repaired") +
						 corerig_sum(rig, "repairs_sent") +
						 corerig_sum(rig, "repairs_applied"),
					 repaired);
	assert_true(rig->frames[DYN_MESSAGE_TREE] > 0);
	assert_int_equal(rig->frames[DYN_MESSAGE_LIST], 0);
	assert_int_equal(rig->frames[DYN_MESSAGE_REPLICATE], 0);
	print_message("# %u keys, clocks %d ms apart: %u of %u reads differed, "
				  "%llu comparisons of trees, nothing repaired\n",
				  keys.count, 2 * SKEW_MS, apart, rounds,
				  (unsigned long long) rig->frames[DYN_MESSAGE_TREE]);
	corerig_free(&rig);
	free(keys.names);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			what_expires_at_other_times_elsewhere_is_neither_compared_nor_repaired),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
