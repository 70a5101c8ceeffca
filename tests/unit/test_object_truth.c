/* Objects against the ground truth: sets of write events (lib/oracle.h). */
#include "objects.h"
#include "oracle.h"

#include <stdio.h>

enum
{
	EVENTS_PER_HISTORY = 120,
	OPERATIONS = 1000000,
	VALUES_MAX = 3,
	EPOCHS = 8,
	NO_EVENT = ORACLE_EVENTS
};

/* An event is one dot.  A write is what its client meant: a retried write has
 * several events, with one request id and one value.  Those that were marked as
 * retries are one event, which gives the write its name. */
struct event
{
	struct dyn_dot dot;
	uint32_t write;
	uint32_t request;
};

struct history
{
	struct dyn_object objects[REPLICAS];
	struct oracle_replica truths[REPLICAS];
	struct dyn_actor actors[REPLICAS];
	struct event events[ORACLE_EVENTS];
	uint32_t event_count;
	uint32_t write_count;
	uint32_t name_of[ORACLE_EVENTS]; /* by write; NO_EVENT = never retried */
	/* the event of a dot: by replica, epoch (from 1) and counter */
	uint32_t event_of[REPLICAS][EPOCHS][ORACLE_EVENTS];
	struct dyn_arena arena;
};

static void
history_init(struct history *self)
{
	memset(self, 0, sizeof(*self));
	for (uint32_t r = 0; r < REPLICAS; r++)
		self->actors[r] = (struct dyn_actor){ 100 + r, 1 };
	for (uint32_t w = 0; w < ORACLE_EVENTS; w++)
		self->name_of[w] = NO_EVENT;
	dyn_arena_init(&self->arena, dyn_allocator_malloc(), 64 * 1024);
}

static struct dyn_slice
value_of(struct dyn_arena *memory, uint32_t write)
{
	char text[16];

	snprintf(text, sizeof(text), "v%u", write);
	return dyn_arena_copy(memory, dyn_slice_of(text));
}

static uint32_t
event_of(const struct history *self, struct dyn_dot dot)
{
	for (uint32_t e = 0; dot.actor.epoch == 0 && e < self->event_count; e++)
		if (dyn_dot_compare(self->events[e].dot, dot) == 0)
			return e;
	assert_in_range(dot.actor.start, 100, 100 + REPLICAS - 1);
	assert_in_range(dot.actor.epoch, 1, EPOCHS - 1);
	assert_in_range(dot.counter, 1, ORACLE_EVENTS - 1);
	return self->event_of[dot.actor.start - 100][dot.actor.epoch][dot.counter];
}

/* What somebody has seen who has read one write's row at a replica: all that
 * it has seen, without the live events of the other writes. */
static struct oracle_set
row_truth(const struct history *self, uint32_t r, uint32_t write)
{
	struct oracle_set seen = self->truths[r].seen;

	for (uint32_t e = 0; e < self->event_count; e++)
		if (oracle_has(&self->truths[r].live, e) &&
			self->events[e].write != write)
			oracle_remove(&seen, e);
	return seen;
}

static void
compare_clock(const struct history *self, const struct dyn_clock *clock,
			  const struct oracle_set *truth)
{
	assert_true(dyn_clock_check(clock));
	for (uint32_t e = 0; e < self->event_count; e++)
		if (dyn_clock_covers(clock, self->events[e].dot) !=
			oracle_has(truth, e))
			fail_msg("event %u is %s the clock", e,
					 oracle_has(truth, e) ? "not in" : "in");
}

static void
compare_rows(const struct history *self, uint32_t r)
{
	struct dyn_object object = self->objects[r];
	struct oracle_set writes = { { 0 } }; /* that live, each once */
	uint32_t write_count = 0;
	uint32_t row_count;
	struct dyn_row *rows = rows_of(&object, &row_count);

	for (uint32_t e = 0; e < self->event_count; e++)
		if (oracle_has(&self->truths[r].live, e) &&
			!oracle_has(&writes, self->events[e].write))
		{
			oracle_add(&writes, self->events[e].write);
			write_count++;
		}
	assert_int_equal(row_count, write_count);
	for (uint32_t i = 0; i < row_count; i++)
	{
		uint32_t write =
			self->events[event_of(self, rows[i].version->dot)].write;
		struct oracle_set truth = row_truth(self, r, write);

		assert_true(oracle_has(&writes, write));
		oracle_remove(&writes, write);
		compare_clock(self, &rows[i].clock, &truth);
	}
}

/* The model knows exactly what the truth knows. */
static void
compare(const struct history *self, uint32_t r)
{
	const struct dyn_object *object = &self->objects[r];
	uint32_t live = 0;

	assert_true(dyn_object_check(object));
	compare_clock(self, &object->context, &self->truths[r].seen);
	for (uint32_t e = 0; e < self->event_count; e++)
		live += oracle_has(&self->truths[r].live, e);
	assert_int_equal(object->version_count, live);
	for (uint32_t i = 0; i < object->version_count; i++)
	{
		const struct dyn_version *version = &object->versions[i];
		uint32_t event = event_of(self, version->dot);
		struct dyn_request_id request = request_of(self->events[event].request);

		assert_true(oracle_has(&self->truths[r].live, event));
		assert_int_equal(dyn_request_id_compare(&version->request, &request),
						 0);
		assert_true(dyn_slice_equal(
			version->value, value_of(&arena, self->events[event].write)));
	}
	compare_rows(self, r);
	dyn_arena_reset(&arena);
}

/* A context that somebody could have read: nothing, a whole object, or one of
 * its rows; and what it has seen. */
static struct dyn_clock
read_context(struct history *self, struct prng *prng, struct oracle_set *seen)
{
	uint32_t r = prng_below(prng, REPLICAS);
	struct dyn_row *rows;
	uint32_t count;
	uint32_t row;

	memset(seen, 0, sizeof(*seen));
	if (prng_below(prng, 4) == 0)
		return (struct dyn_clock){ NULL, 0 };
	*seen = self->truths[r].seen;
	assert_int_equal(dyn_object_rows(&self->objects[r], &self->arena.allocator,
									 &rows, &count),
					 DYN_STATUS_OK);
	if (count == 0 || prng_below(prng, 2) == 0)
		return self->objects[r].context;
	row = prng_below(prng, count);
	*seen = row_truth(
		self, r, self->events[event_of(self, rows[row].version->dot)].write);
	return rows[row].clock;
}

/* Values under one request id, each of a new write; or one of an old write
 * whose client did not hear of its success.  Returns how many. */
static uint32_t
choose_writes(struct history *self, struct prng *prng, struct event *chosen)
{
	uint32_t count = 1;
	uint32_t request = self->event_count;

	if (self->event_count > 0 && prng_below(prng, 6) == 0)
	{
		chosen[0] = self->events[prng_below(prng, self->event_count)];
		return 1;
	}
	if (prng_below(prng, 8) == 0)
		return 0;
	if (prng_below(prng, 6) == 0)
		count = VALUES_MAX;
	for (uint32_t i = 0; i < count; i++)
		chosen[i] =
			(struct event){ .write = self->write_count++, .request = request };
	return count;
}

/* Where the name of a write was seen and lives no more, no event of it lives. */
static void
close_truth(const struct history *self, struct oracle_replica *truth)
{
	for (uint32_t e = 0; e < self->event_count; e++)
	{
		uint32_t name = self->name_of[self->events[e].write];

		if (name != NO_EVENT && oracle_has(&truth->seen, name) &&
			!oracle_has(&truth->live, name))
			oracle_remove(&truth->live, e);
	}
}

/* Who has seen an event of a write has read its row: all live ones of it. */
static void
read_rows(const struct history *self, const struct oracle_replica *truth,
		  struct oracle_set *read)
{
	for (uint32_t e = 0; e < self->event_count; e++)
		for (uint32_t twin = 0;
			 oracle_has(read, e) && oracle_has(&truth->live, e) &&
			 twin < self->event_count;
			 twin++)
			if (oracle_has(&truth->live, twin) &&
				self->events[twin].write == self->events[e].write)
				oracle_add(read, twin);
}

/* The event of a write at a replica, new unless it is the name of one that has
 * it already: then the put is left out, and false comes back. */
static bool
add_event(struct history *self, uint32_t r, struct event event, bool is_retry,
		  uint64_t counter, uint32_t *number)
{
	struct dyn_request_id id = request_of(event.request);
	uint32_t *name = &self->name_of[event.write];

	if (is_retry && *name != NO_EVENT)
	{
		*number = *name;
		return !oracle_has(&self->truths[r].seen, *name);
	}
	*number = self->event_count++;
	self->events[*number] = event;
	if (is_retry)
	{
		*name = *number;
		self->events[*number].dot =
			dyn_object_retry_dot(&id, value_of(&self->arena, event.write));
		return true;
	}
	self->events[*number].dot = (struct dyn_dot){ self->actors[r], counter };
	self->event_of[r][self->actors[r].epoch][counter] = *number;
	return true;
}

static void
random_put(struct history *self, struct prng *prng)
{
	uint32_t r = prng_below(prng, REPLICAS);
	struct oracle_set read;
	struct dyn_clock context = read_context(self, prng, &read);
	struct event chosen[VALUES_MAX] = { 0 };
	uint32_t old = self->event_count;
	uint32_t count = choose_writes(self, prng, chosen);
	struct dyn_actor *actor = &self->actors[r];
	struct dyn_slice values[VALUES_MAX];
	uint32_t numbers[VALUES_MAX];
	uint32_t added = 0;
	struct dyn_update update = { .context = &context,
								 .values = values,
								 .value_count = count };
	uint64_t counter;

	if (actor->epoch < EPOCHS - 1 && prng_below(prng, 16) == 0)
		actor->epoch++;
	counter = dyn_clock_counter(&self->objects[r].context, *actor);
	update.request = request_of(chosen[0].request);
	update.is_retry =
		count == 1 && chosen[0].request < old && prng_below(prng, 3) != 0;
	for (uint32_t i = 0; i < count; i++)
	{
		values[i] = value_of(&self->arena, chosen[i].write);
		added += add_event(self, r, chosen[i], update.is_retry, counter + 1 + i,
						   &numbers[added]);
	}
	assert_int_equal(dyn_object_put(&self->objects[r], &update, *actor,
									&self->arena.allocator, &self->objects[r]),
					 DYN_STATUS_OK);
	read_rows(self, &self->truths[r], &read);
	oracle_put(&self->truths[r], &read, numbers, added);
	close_truth(self, &self->truths[r]);
}

static void
random_sync(struct history *self, struct prng *prng)
{
	uint32_t r = prng_below(prng, REPLICAS);
	uint32_t other = prng_below(prng, REPLICAS);

	assert_int_equal(dyn_object_sync(&self->objects[r], &self->objects[other],
									 &self->arena.allocator, &self->objects[r]),
					 DYN_STATUS_OK);
	self->truths[r] = oracle_merge(&self->truths[r], &self->truths[other]);
	close_truth(self, &self->truths[r]);
}

static void
a_million_random_operations_keep_to_the_ground_truth(void **unused)
{
	struct prng prng = { 11 };
	static struct history history;
	uint32_t twins = 0;

	for (uint32_t done = 0; done < OPERATIONS;)
	{
		history_init(&history);
		while (history.event_count < EVENTS_PER_HISTORY)
		{
			if (prng_below(&prng, 3) == 0)
				random_put(&history, &prng);
			else
				random_sync(&history, &prng);
			if (++done % 4 == 0)
				compare(&history, prng_below(&prng, REPLICAS));
		}
		for (uint32_t r = 0; r < REPLICAS; r++)
			compare(&history, r);
		twins += history.event_count - history.write_count;
		dyn_arena_destroy(&history.arena);
	}
	assert_true(twins > 10000); /* retried writes were part of it */
}

/* -------------------------------------------- what plain vector clocks lose */

/* A store as the paper has it (2007, section 4.4): every version has a vector
 * of (node, counter); a put's vector is its context with the coordinator's
 * counter one higher than the coordinator has ever given; a version whose
 * vector is not greater in any place is an ancestor and goes. */
enum
{
	PLAIN_NODES = 2,
	PLAIN_VERSIONS_MAX = 64
};

struct plain_vector
{
	uint32_t counters[PLAIN_NODES];
};

struct plain_version
{
	struct plain_vector vector;
	uint32_t event;
};

struct plain_store
{
	struct plain_version versions[PLAIN_VERSIONS_MAX];
	uint32_t version_count;
	struct plain_vector given; /* the highest counter of each node */
};

static bool
plain_descends(const struct plain_vector *a, const struct plain_vector *b)
{
	for (int i = 0; i < PLAIN_NODES; i++)
		if (a->counters[i] < b->counters[i])
			return false;
	return true;
}

static void
plain_put(struct plain_store *self, struct plain_vector context, uint32_t node,
		  uint32_t event)
{
	uint32_t kept = 0;

	context.counters[node] = ++self->given.counters[node];
	for (uint32_t i = 0; i < self->version_count; i++)
		if (!plain_descends(&context, &self->versions[i].vector))
			self->versions[kept++] = self->versions[i];
	assert_true(kept < PLAIN_VERSIONS_MAX);
	self->versions[kept++] = (struct plain_version){ context, event };
	self->version_count = kept;
}

/* What a reader of the whole key gives back as context. */
static struct plain_vector
plain_context(const struct plain_store *self)
{
	struct plain_vector all = { { 0 } };

	for (uint32_t i = 0; i < self->version_count; i++)
		for (int n = 0; n < PLAIN_NODES; n++)
			if (self->versions[i].vector.counters[n] > all.counters[n])
				all.counters[n] = self->versions[i].vector.counters[n];
	return all;
}

static bool
plain_has(const struct plain_store *self, uint32_t event)
{
	for (uint32_t i = 0; i < self->version_count; i++)
		if (self->versions[i].event == event)
			return true;
	return false;
}

/* Two clients have read the same version and write through one coordinator:
 * (A, 3) seems to descend from (A, 2), which its writer never read. */
static void
hot_key_keeps_what_plain_vector_clocks_lose(void **unused)
{
	struct plain_store plain = { 0 };
	struct plain_vector plain_read;
	struct dyn_object object;
	struct dyn_clock read;

	plain_put(&plain, (struct plain_vector){ { 0 } }, 0, 0);
	plain_read = plain_context(&plain);
	plain_put(&plain, plain_read, 0, 1);
	plain_put(&plain, plain_read, 0, 2);
	assert_true(plain_has(&plain, 2));
	assert_false(plain_has(&plain, 1)); /* acknowledged, unread, lost */

	object = put((struct dyn_object){ 0 }, NULL, "old", 1, 0);
	read = object.context;
	object = put(object, &read, "first", 1, 1);
	object = put(object, &read, "second", 1, 2);
	assert_int_equal(object.version_count, 2);
	assert_true(has_value(object, "first") && has_value(object, "second"));
}

struct client
{
	struct plain_vector plain;
	struct dyn_clock ours;
	struct oracle_set truth;
};

/* Four clients, each with what it read last, and one coordinator that never
 * fails: plain vectors lose acknowledged writes, ours loses none. */
static void
a_busy_hot_key_loses_writes_under_plain_vector_clocks_only(void **unused)
{
	enum
	{
		CLIENTS = 4,
		WRITES = 60,
		ROUNDS = 200
	};
	struct prng prng = { 21 };
	uint32_t plain_lost = 0;

	for (int round = 0; round < ROUNDS; round++)
	{
		struct client clients[CLIENTS] = { 0 };
		struct oracle_replica truth = { 0 };
		struct plain_store plain = { 0 };
		struct dyn_object object = { 0 };

		for (uint32_t event = 0; event < WRITES;)
		{
			struct client *client = &clients[prng_below(&prng, CLIENTS)];

			if (prng_below(&prng, 2) == 0)
			{
				client->plain = plain_context(&plain);
				client->ours = object.context;
				client->truth = truth.seen;
				continue;
			}
			plain_put(&plain, client->plain, 0, event);
			object = put(object, &client->ours, "x", 1, event);
			oracle_put(&truth, &client->truth, &event, 1);
			event++;
		}
		for (uint32_t event = 0; event < WRITES; event++)
		{
			struct dyn_request_id request = request_of(event);

			assert_int_equal(dyn_object_has_request(&object, &request),
							 oracle_has(&truth.live, event));
			plain_lost +=
				oracle_has(&truth.live, event) && !plain_has(&plain, event);
		}
		dyn_arena_reset(&arena);
	}
	assert_true(plain_lost > ROUNDS / 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_million_random_operations_keep_to_the_ground_truth),
		cmocka_unit_test(hot_key_keeps_what_plain_vector_clocks_lose),
		cmocka_unit_test(
			a_busy_hot_key_loses_writes_under_plain_vector_clocks_only),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
