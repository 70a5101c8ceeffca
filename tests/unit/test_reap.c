/* What is deleted or has expired goes from all owners, or from none. */
#include "corerig.h"
#include "objects.h"
#include "rigclient.h"
#include "righand.h"
#include "rigreap.h"
#include "rigrecord.h"

#include "core/prune.h"

#include <stdio.h>

enum
{
	GRACE_MS = RIGREAP_GRACE_MS,
	REAP_MS = RIGREAP_EVERY_MS,
	AHEAD_MS = 1000 * GRACE_MS
};

static struct dyn_slice
expired(struct dyn_clock *also_seen)
{
	return encoded(
		put_with((struct dyn_object){ 0 }, also_seen, "old", 7, 1,
				 (struct extras){ .expires_at_ms = RIGREAP_WALL_MS }));
}

static struct corerig *
start(void)
{
	return rigreap_new(RIGREAP_OWNERS, 10);
}

static void
pass(struct corerig *rig, uint64_t ms)
{
	rigreap_pass(rig, ms, 4 * REAP_MS);
}

static void
done(struct corerig **rig)
{
	for (uint32_t n = 0; n < 3; n++)
		dyn_node_check((*rig)->nodes[n].node);
	corerig_free(rig);
	dyn_arena_reset(&arena);
}

static void
a_tombstone_goes_from_all_owners_after_the_grace_and_not_before(void **unused)
{
	struct corerig *rig = start();

	rigreap_put(rig, "gone", tombstone_of(1));
	rigreap_put(rig, "there", object_of("new", 2));
	pass(rig, GRACE_MS - 1);
	assert_int_equal(rigreap_count(rig, "gone"), 3);
	pass(rig, 1);
	assert_int_equal(rigreap_count(rig, "gone"), 0);
	assert_int_equal(rigreap_count(rig, "there"), 3);
	for (uint32_t n = 0; n < 3; n++)
		assert_int_equal(corerig_counter(rig, n, "reaped"), 1);
	done(&rig);
}

static void
each_owner_counts_the_grace_from_its_own_first_holding(void **unused)
{
	struct corerig *rig = start();

	rigreap_put(rig, "gone", tombstone_of(1));
	pass(rig, GRACE_MS / 2);
	corerig_put(rig, 2, "cart", "gone", (struct dyn_slice){ NULL, 0 });
	corerig_put(rig, 2, "cart", "gone", tombstone_of(1));
	pass(rig, GRACE_MS / 2);
	assert_int_equal(rigreap_count(rig, "gone"), 3);
	pass(rig, GRACE_MS / 2);
	assert_int_equal(rigreap_count(rig, "gone"), 0);
	done(&rig);
}

/* Two machines with the clock of another year, which are set right: their
 * grace counts from then. */
static void
a_clock_that_was_ahead_keeps_no_tombstone_for_as_long(void **unused)
{
	struct corerig *rig = start();

	for (uint32_t n = 0; n < 2; n++)
		rig->nodes[n].wall_ms += AHEAD_MS;
	rigreap_put(rig, "gone", tombstone_of(1));
	corerig_run(rig, 4 * REAP_MS);
	for (uint32_t n = 0; n < 2; n++)
		rig->nodes[n].wall_ms -= AHEAD_MS;
	corerig_run(rig, 4 * REAP_MS);
	pass(rig, GRACE_MS - 1);
	assert_int_equal(rigreap_count(rig, "gone"), 3);
	pass(rig, 1);
	assert_int_equal(rigreap_count(rig, "gone"), 0);
	done(&rig);
}

static void
what_one_owner_holds_otherwise_or_not_at_all_stays(void **unused)
{
	struct corerig *rig = start();

	rigreap_put(rig, "other", tombstone_of(1));
	corerig_put(rig, 1, "cart", "other", tombstone_of(2));
	rigreap_put(rig, "missing", tombstone_of(1));
	corerig_put(rig, 2, "cart", "missing", (struct dyn_slice){ NULL, 0 });
	rigreap_put(rig, "damaged", tombstone_of(1));
	corerig_get(rig, 0, "cart", "damaged")->damaged = true;
	pass(rig, 10 * GRACE_MS);
	assert_int_equal(rigreap_count(rig, "other"), 3);
	assert_int_equal(rigreap_count(rig, "missing"), 2);
	assert_int_equal(rigreap_count(rig, "damaged"), 3);
	for (uint32_t n = 0; n < 3; n++)
		assert_int_equal(corerig_counter(rig, n, "reaped"), 0);
	done(&rig);
}

/* Equal hashes, but one owner knows of one more delete. */
static void
contexts_of_what_has_expired_become_equal_before_it_goes(void **unused)
{
	struct corerig *rig = start();
	struct dyn_object more = put((struct dyn_object){ 0 }, NULL, "x", 9, 1);
	struct dyn_slice known = expired(&more.context);

	rigreap_put(rig, "gone", expired(NULL));
	corerig_put(rig, 1, "cart", "gone", known);
	for (uint32_t n = 0; n < 3; n++)
		rig->nodes[n].wall_ms += 2 * GRACE_MS;
	for (int ms = 0; ms < 20 * REAP_MS && rigreap_count(rig, "gone") == 3; ms++)
	{
		corerig_run(rig, 1);
		if (rigreap_count(rig, "gone") == 3)
			continue;
		for (uint32_t n = 0; n < 3; n++)
			assert_true(corerig_counter(rig, n, "repairs_applied") > 0 ||
						n == 1);
	}
	corerig_run(rig, 4 * REAP_MS);
	assert_int_equal(rigreap_count(rig, "gone"), 0);
	done(&rig);
}

static void
nothing_goes_while_a_member_is_away_and_status_says_who(void **unused)
{
	struct corerig *rig = start();
	bool told = false;

	rigreap_put(rig, "gone", tombstone_of(1));
	corerig_cut(rig, 1, true);
	corerig_run(rig, 8000);
	pass(rig, 2 * GRACE_MS);
	assert_int_equal(rigreap_count(rig, "gone"), 3);
	for (uint32_t n = 0; n < 3; n += 2)
	{
		const Dyn__StatusReply *status = corerig_status(rig, n);

		assert_non_null(status->reap);
		assert_int_equal(status->reap->grace_ms, GRACE_MS);
		told |= strstr(status->reap->blocked, rig->nodes[1].address) != NULL;
	}
	assert_true(told);
	corerig_cut(rig, 1, false);
	corerig_run(rig, 8000);
	pass(rig, 0);
	assert_int_equal(rigreap_count(rig, "gone"), 0);
	done(&rig);
}

static void
an_aborted_removal_is_made_up_for_later(void **unused)
{
	struct corerig *rig = start();

	rigreap_put(rig, "gone", tombstone_of(1));
	rig->nodes[2].store.aborts = true;
	pass(rig, GRACE_MS);
	assert_int_equal(rigreap_count(rig, "gone"), 3);
	rig->nodes[2].store.aborts = false;
	corerig_run(rig, 10 * REAP_MS);
	assert_int_equal(rigreap_count(rig, "gone"), 0);
	done(&rig);
}

/* A removal, seen on its way to an owner. */
struct removal
{
	bool seen;
	char key[16]; /* which has to wait until another one is removed */
};

/* Two reads keep node 1 loading until after the removal has arrived. */
static void
watch_removal(struct corerig *rig, uint32_t from, enum dyn_message_type type,
			  struct dyn_slice *frame)
{
	struct removal *self = rig->context;
	struct dyn_envelope env;
	ProtobufCMessage *body;
	const Dyn__ReapRequest *message;
	const ProtobufCBinaryData *last;
	int to = -1;

	if (type != DYN_MESSAGE_REAP || self->seen || from == 1)
		return;
	assert_int_equal(dyn_envelope_open(*frame, &env), DYN_STATUS_OK);
	assert_int_equal(dyn_message_unpack(&env, &rig->arena.allocator, &body),
					 DYN_STATUS_OK);
	message = (const Dyn__ReapRequest *) body;
	if (message->process == rig->nodes[1].node->start_id)
		to = 1;
	if (message->step != DYN_REAP_REMOVE || to != 1 ||
		message->n_items <= DYN_READS_AT_ONCE ||
		message->n_items > 2 * DYN_READS_AT_ONCE)
		return;
	self->seen = true;
	last = &message->items[message->n_items - 1]->key;
	snprintf(self->key, sizeof(self->key), "%.*s", (int) last->len,
			 (const char *) last->data);
	rigclient_send_get(rig, 1, "one", 0);
	rigclient_send_get(rig, 1, "two", 0);
}

/* One commit holds removals and a client's write of a key whose turn to be
 * removed comes when that commit has ended. */
static void
a_key_that_is_written_while_others_are_removed_stays(void **unused)
{
	struct corerig *rig = start();
	struct removal removal = { 0 };

	for (uint32_t i = 0; i < 300; i++)
	{
		char key[16];

		snprintf(key, sizeof(key), "k%03u", i);
		rigreap_put(rig, key, tombstone_of(1));
	}
	rig->watch = watch_removal;
	rig->context = &removal;
	for (uint32_t n = 0; n < 3; n++)
		rig->nodes[n].wall_ms += GRACE_MS;
	for (int ms = 0; ms < 8 * REAP_MS && !removal.seen; ms++)
		corerig_run(rig, 1);
	assert_true(removal.seen);
	corerig_run(rig, 1);
	rigclient_send(
		rig, 1,
		(struct rigclient_put){ .key = removal.key, .values = { "new" } });
	corerig_run(rig, 8 * REAP_MS);
	assert_int_equal(rigreap_count(rig, removal.key), 3);
	for (uint32_t n = 0; n < 3; n++)
		assert_int_equal(rig->nodes[n].store.count, 1);
	done(&rig);
}

/* Floors are on disk: a process that is made of these records knows them. */
static void
floors_outlive_the_process(void **unused)
{
	struct corerig *rig = start();
	struct dyn_meta_record records[8];
	struct dyn_boot boot = {
		.start_id = 1, .prng_seed = 1, .records = records, .writable = true
	};
	struct dyn_effects effects;
	struct dyn_node *node = NULL;
	uint64_t floors = 0;

	rigreap_put(rig, "gone", tombstone_of(1));
	pass(rig, GRACE_MS);
	assert_int_equal(rigreap_count(rig, "gone"), 0);
	for (uint32_t i = 0; i < 8 && rig->nodes[1].store.meta[i].size != 0; i++)
		records[boot.record_count++] = (struct dyn_meta_record){
			dyn_slice_of(rig->nodes[1].store.meta[i].name),
			{ rig->nodes[1].store.meta[i].bytes,
			  rig->nodes[1].store.meta[i].size }
		};
	dyn_effects_init(&effects);
	assert_int_equal(
		dyn_node_new(&rig->nodes[1].node->config, &boot, 1, &effects, &node),
		DYN_STATUS_OK);
	for (uint16_t p = 0; p < rig->partitions; p++)
	{
		assert_int_equal(dyn_fence_floor(node, p),
						 dyn_fence_floor(rig->nodes[1].node, p));
		floors += dyn_fence_floor(node, p);
	}
	assert_true(floors > 0);
	dyn_node_destroy(&node);
	dyn_effects_destroy(&effects);
	done(&rig);
}

/* A client's put or delete; the context of what is there afterwards. */
static struct dyn_slice
write_key(struct corerig *rig, const char *value, struct dyn_slice context)
{
	const Dyn__PutResult *result = rigclient_put(
		rig, 0,
		(struct rigclient_put){ .values = { value }, .context = context });

	assert_non_null(result);
	assert_int_equal(result->status, DYN_STATUS_OK);
	corerig_run(rig, 50);
	return dyn_arena_copy(&rig->arena, dyn_slice_of_bytes(result->context));
}

/* What was removed is no longer known to have been written. */
static void
a_delete_with_an_old_context_makes_a_new_actor(void **unused)
{
	struct corerig *rig = start();
	struct dyn_slice none = { NULL, 0 };
	struct dyn_slice first = write_key(rig, "v", none);
	struct dyn_object object;
	struct dyn_actor actor;

	write_key(rig, "w", first);
	object = rigrecord_object(rig, 0, "cart", "k");
	actor = object.versions[0].dot.actor;
	assert_int_equal(object.versions[0].dot.counter, 2);
	rigreap_put(rig, "k", none);
	write_key(rig, NULL, first);
	write_key(rig, "x", none);
	object = rigrecord_object(rig, 0, "cart", "k");
	assert_int_equal(object.version_count, 1);
	assert_int_not_equal(dyn_actor_compare(object.versions[0].dot.actor, actor),
						 0);
	done(&rig);
}

/* ------------------------------------------------------------------ pruning */

/* Anything that may still meet the object: what it has of the object's past is
 * live there, too. */
static bool
may_meet(const struct dyn_object *other, const struct dyn_object *object)
{
	for (uint32_t i = 0; i < other->version_count; i++)
	{
		bool live = false;

		for (uint32_t j = 0; j < object->version_count; j++)
			live |= dyn_dot_compare(object->versions[j].dot,
									other->versions[i].dot) == 0;
		if (!live &&
			(dyn_clock_covers(&object->context, other->versions[i].dot) ||
			 dyn_clock_covers(
				 &object->context,
				 dyn_object_retry_dot(&other->versions[i].request,
									  other->versions[i].value))))
			return false;
	}
	return true;
}

static void
assert_same_versions(struct dyn_object a, struct dyn_object b)
{
	assert_int_equal(a.version_count, b.version_count);
	for (uint32_t i = 0; i < a.version_count; i++)
		assert_int_equal(dyn_dot_compare(a.versions[i].dot, b.versions[i].dot),
						 0);
}

static void
pruning_removes_no_value_and_makes_nothing_dominated(void **unused)
{
	struct prng prng = { 11 };
	uint32_t met = 0;

	for (int run = 0; run < 20000; run++)
	{
		struct dyn_object objects[REPLICAS];
		struct dyn_actor actors[64];
		struct dyn_object pruned;
		uint32_t actor_count = 0;

		random_objects(&prng, objects);
		for (uint32_t i = 0;
			 i < objects[0].context.range_count && actor_count < 64; i++)
			if (prng_below(&prng, 2))
				actors[actor_count++] = objects[0].context.ranges[i].actor;
		assert_int_equal(dyn_prune(&objects[0], actors, actor_count,
								   &arena.allocator, &pruned),
						 DYN_STATUS_OK);
		assert_true(dyn_object_check(&pruned));
		assert_same_versions(pruned, objects[0]);
		for (uint32_t r = 1; r < REPLICAS; r++)
			if (may_meet(&objects[r], &objects[0]))
			{
				met++;
				assert_same_versions(sync_of(pruned, objects[r]),
									 sync_of(objects[0], objects[r]));
			}
		dyn_arena_reset(&arena);
	}
	assert_true(met > 1000);
}

static void
a_crowded_context_is_pruned_everywhere_to_ten_entries(void **unused)
{
	struct corerig *rig = start();
	struct dyn_object object = { 0 };

	for (uint32_t i = 0; i < 25; i++)
		object = put(object, &object.context, "v", 100 + i, i + 1);
	rigreap_put(rig, "long", encoded(object));
	pass(rig, GRACE_MS);
	for (uint32_t n = 0; n < 3; n++)
	{
		struct dyn_object after = rigrecord_object(rig, n, "cart", "long");

		assert_int_equal(dyn_clock_entry_count(&after.context),
						 DYN_CONTEXT_CROWDED);
		assert_same_versions(after, object);
		assert_int_equal(corerig_counter(rig, n, "pruned"), 1);
	}
	done(&rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_tombstone_goes_from_all_owners_after_the_grace_and_not_before),
		cmocka_unit_test(
			each_owner_counts_the_grace_from_its_own_first_holding),
		cmocka_unit_test(a_clock_that_was_ahead_keeps_no_tombstone_for_as_long),
		cmocka_unit_test(what_one_owner_holds_otherwise_or_not_at_all_stays),
		cmocka_unit_test(
			contexts_of_what_has_expired_become_equal_before_it_goes),
		cmocka_unit_test(
			nothing_goes_while_a_member_is_away_and_status_says_who),
		cmocka_unit_test(an_aborted_removal_is_made_up_for_later),
		cmocka_unit_test(a_key_that_is_written_while_others_are_removed_stays),
		cmocka_unit_test(floors_outlive_the_process),
		cmocka_unit_test(a_delete_with_an_old_context_makes_a_new_actor),
		cmocka_unit_test(pruning_removes_no_value_and_makes_nothing_dominated),
		cmocka_unit_test(a_crowded_context_is_pruned_everywhere_to_ten_entries),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
