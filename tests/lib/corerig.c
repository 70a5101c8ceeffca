#include "corerig.h"

#include "core/handoff.h"
#include "core/key_table.h"
#include "model/hash.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum
{
	CLIENT_ROUTE = 1
};

/* Something on its way to a node. */
struct corerig_event
{
	struct corerig_event *next;
	uint64_t at_ms;
	uint32_t node;
	struct dyn_event event;
	struct dyn_arena arena; /* what it points to */
};

/* ------------------------------------------------------------------- events */

static struct corerig_event *
event_new(struct corerig *rig, uint32_t node, enum dyn_event_type type)
{
	struct corerig_event *event = calloc(1, sizeof(*event));

	event->at_ms = rig->now_ms + 1;
	event->node = node;
	event->event.type = type;
	event->event.wall_ms = 1700000000000 + rig->now_ms;
	dyn_arena_init(&event->arena, dyn_allocator_malloc(), 512);
	*rig->last = event;
	rig->last = &event->next;
	return event;
}

static void
event_free(struct corerig_event *event)
{
	dyn_arena_destroy(&event->arena);
	free(event);
}

static void perform(struct corerig *rig, uint32_t from);

static void
step(struct corerig *rig, uint32_t node, const struct dyn_event *event)
{
	struct corerig_node *self = &rig->nodes[node];
	struct dyn_event now = *event;

	now.wall_ms = self->wall_ms + (rig->walls_run ? rig->now_ms : 0);
	dyn_node_step(self->node, &now, rig->now_ms, &self->effects);
	dyn_node_check(self->node);
	perform(rig, node);
}

void
corerig_run(struct corerig *rig, uint64_t ms)
{
	uint64_t until_ms = rig->now_ms + ms;

	for (; rig->now_ms < until_ms; rig->now_ms++)
	{
		struct corerig_event *event;

		while ((event = rig->first) != NULL && event->at_ms <= rig->now_ms)
		{
			rig->first = event->next;
			if (rig->first == NULL)
				rig->last = &rig->first;
			if (event->event.type != DYN_EVENT_MESSAGE ||
				!rig->nodes[event->node].cut)
				step(rig, event->node, &event->event);
			event_free(event);
		}
		for (uint32_t i = 0; i < rig->count; i++)
			if (dyn_node_deadline(rig->nodes[i].node) <= rig->now_ms)
				step(rig, i, &(struct dyn_event){ .type = DYN_EVENT_TICK });
	}
}

/* -------------------------------------------------------------------- store */

static int
order(const struct corerig_record *record, struct dyn_slice bucket,
	  uint16_t cell, struct dyn_slice key)
{
	int by_bucket = dyn_slice_compare(dyn_slice_of(record->bucket), bucket);

	if (by_bucket != 0)
		return by_bucket;
	if (record->cell != cell)
		return record->cell < cell ? -1 : 1;
	return dyn_slice_compare(dyn_slice_of(record->key), key);
}

static uint32_t
seek(const struct corerig_store *store, struct dyn_slice bucket, uint16_t cell,
	 struct dyn_slice key)
{
	uint32_t low = 0;
	uint32_t high = store->count;

	while (low < high)
	{
		uint32_t middle = (low + high) / 2;

		if (order(&store->records[middle], bucket, cell, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static char *
text_of(struct dyn_slice bytes)
{
	char *text = calloc(1, bytes.size + 1);

	memcpy(text, bytes.data, bytes.size);
	return text;
}

static uint64_t
item_of(const struct corerig_record *record, uint32_t *leaf)
{
	uint64_t position = dyn_hash_position(dyn_slice_of(record->bucket),
										  dyn_slice_of(record->key));

	*leaf = dyn_tree_leaf(position);
	return dyn_tree_item(position, record->hash);
}

static void
free_record(struct corerig_record *record)
{
	free(record->bucket);
	free(record->key);
	free(record->object);
}

static void
store_put(struct corerig_store *store, const struct dyn_write *write)
{
	struct dyn_slice bucket = write->key.bucket;
	struct dyn_slice key = write->key.key;
	struct dyn_slice object = write->object;
	uint16_t cell = write->key.cell;
	uint32_t i = seek(store, bucket, cell, key);
	struct corerig_record *record = &store->records[i];

	if (i < store->count && order(record, bucket, cell, key) == 0)
	{
		store->leaves[record->leaf] ^= record->item;
		free_record(record);
		memmove(record, record + 1,
				(--store->count - i) * sizeof(*store->records));
	}
	if (object.size == 0)
		return;
	if (store->count == store->capacity)
	{
		store->capacity = store->capacity ? 2 * store->capacity : 64;
		store->records =
			realloc(store->records, store->capacity * sizeof(*store->records));
	}
	record = &store->records[i];
	memmove(record + 1, record, (store->count++ - i) * sizeof(*store->records));
	*record = (struct corerig_record){ .bucket = text_of(bucket),
									   .key = text_of(key),
									   .cell = cell,
									   .hash = write->hash,
									   .held_at_ms = write->held_at_ms,
									   .flags = write->flags,
									   .slots = write->slots,
									   .object_size = object.size };
	record->object = malloc(object.size);
	memcpy(record->object, object.data, object.size);
	record->item = item_of(record, &record->leaf);
	store->leaves[record->leaf] ^= record->item;
}

static void
store_meta(struct corerig_store *store, const struct dyn_write *write)
{
	char *name = text_of(write->key.key);

	for (int i = 0; i < CORERIG_META_MAX; i++)
		if (store->meta[i].name[0] == 0 ||
			strcmp(store->meta[i].name, name) == 0)
		{
			snprintf(store->meta[i].name, sizeof(store->meta[i].name), "%s",
					 name);
			free(store->meta[i].bytes);
			store->meta[i].bytes = malloc(write->object.size);
			memcpy(store->meta[i].bytes, write->object.data,
				   write->object.size);
			store->meta[i].size = write->object.size;
			break;
		}
	free(name);
}

static struct corerig_store *
store_of(struct corerig *rig, uint32_t node, enum dyn_table table)
{
	return table == DYN_TABLE_HINTS ? &rig->nodes[node].hints
									: &rig->nodes[node].store;
}

static void
do_store(struct corerig *rig, uint32_t node, const struct dyn_effect *effect)
{
	struct corerig_store *store = &rig->nodes[node].store;
	struct corerig_event *event = event_new(rig, node, DYN_EVENT_STORED);

	event->event.stored.token = effect->store.token;
	if (store->aborts)
	{
		event->event.stored.status = DYN_STATUS_ABORTED;
		return;
	}
	for (uint32_t i = 0; i < effect->store.write_count; i++)
	{
		const struct dyn_write *write = &effect->store.writes[i];

		if (write->table == DYN_TABLE_META)
			store_meta(store, write);
		else if (write->table == DYN_TABLE_MAIN)
		{
			store_put(store, write);
			store->writes++;
		}
		else
			store_put(&rig->nodes[node].hints, write);
	}
}

static struct dyn_slice
keep(struct corerig_event *event, const void *bytes, size_t size)
{
	return dyn_arena_copy(&event->arena, (struct dyn_slice){ bytes, size });
}

static void
do_load(struct corerig *rig, uint32_t node, const struct dyn_effect *effect)
{
	const struct corerig_store *store = store_of(rig, node, effect->load.table);
	struct corerig_event *event = event_new(rig, node, DYN_EVENT_LOADED);
	uint32_t count = effect->load.key_count;
	struct dyn_loaded *records =
		dyn_arena_allocate(&event->arena, count * sizeof(*records));

	for (uint32_t i = 0; i < count; i++)
	{
		const struct dyn_record_key *key = &effect->load.keys[i];
		uint32_t at = seek(store, key->bucket, key->cell, key->key);
		const struct corerig_record *record = &store->records[at];

		records[i] = (struct dyn_loaded){ .state = DYN_LOADED_ABSENT };
		if (store->doubted != NULL &&
			dyn_slice_equal(key->key, dyn_slice_of(store->doubted)))
			records[i].state = DYN_LOADED_DOUBTED;
		if (at == store->count ||
			order(record, key->bucket, key->cell, key->key) != 0)
			continue;
		records[i].state =
			record->damaged ? DYN_LOADED_CORRUPT : DYN_LOADED_FOUND;
		if (record->damaged)
			continue;
		records[i].hash = record->hash;
		records[i].held_at_ms = record->held_at_ms;
		records[i].flags = record->flags;
		records[i].slots = record->slots;
		if (!effect->load.hash_only)
			records[i].object =
				keep(event, record->object, record->object_size);
	}
	event->event.loaded.token = effect->load.token;
	event->event.loaded.records = records;
	event->event.loaded.record_count = count;
}

static bool
scan_wants(const struct dyn_effect *effect, const struct corerig_record *record)
{
	struct dyn_slice bucket = effect->scan.bucket.size != 0
								  ? effect->scan.bucket
								  : effect->scan.after_bucket;

	if (record->cell < effect->scan.cell_first ||
		record->cell > effect->scan.cell_last)
		return false;
	if (effect->scan.bucket.size != 0 &&
		!dyn_slice_equal(dyn_slice_of(record->bucket), effect->scan.bucket))
		return false;
	return !effect->scan.has_after ||
		   order(record, bucket, effect->scan.after_cell,
				 effect->scan.after_key) > 0;
}

static struct dyn_scanned
scanned(struct corerig_event *event, const struct dyn_effect *effect,
		const struct corerig_record *record)
{
	struct dyn_scanned item = {
		.state = DYN_LOADED_CORRUPT,
		.bucket = keep(event, record->bucket, strlen(record->bucket)),
		.cell = record->cell,
		.key = keep(event, record->key, strlen(record->key))
	};

	if (record->damaged)
		return item;
	item.state = DYN_LOADED_FOUND;
	item.hash = record->hash;
	item.held_at_ms = record->held_at_ms;
	item.flags = record->flags;
	item.slots = record->slots;
	if (!effect->scan.hash_only)
		item.object = keep(event, record->object, record->object_size);
	return item;
}

/* Bytes are not counted. */
static bool
has_damage(const struct corerig_store *store)
{
	for (uint32_t i = 0; i < store->count; i++)
		if (store->records[i].damaged)
			return true;
	return false;
}

static void
do_scan(struct corerig *rig, uint32_t node, const struct dyn_effect *effect)
{
	const struct corerig_store *store = store_of(rig, node, effect->scan.table);
	struct corerig_event *event = event_new(rig, node, DYN_EVENT_SCANNED);
	uint32_t max = effect->scan.items_max;
	const struct corerig_record *last = NULL;
	struct dyn_scanned *items;
	uint32_t count = 0;
	uint32_t visits = 0;

	if (max > store->count)
		max = store->count;
	items = dyn_arena_allocate(&event->arena, (max + 1) * sizeof(*items));
	event->event.scanned.token = effect->scan.token;
	if (store->spoils && has_damage(store) && !effect->scan.for_damage)
	{
		event->event.scanned.status = DYN_STATUS_IO_ERROR;
		return;
	}
	event->event.scanned.items = items;
	event->event.scanned.end = true;
	for (uint32_t i = 0; i < store->count && event->event.scanned.end; i++)
	{
		const struct corerig_record *record = &store->records[i];
		bool wanted = effect->scan.flags == 0 || record->damaged ||
					  (record->flags & effect->scan.flags) != 0;

		if (!scan_wants(effect, record))
			continue;
		if ((wanted && count == effect->scan.items_max) ||
			(effect->scan.visits_max != 0 && visits == effect->scan.visits_max))
		{
			event->event.scanned.end = false;
			continue;
		}
		visits++;
		last = record;
		if (wanted)
			items[count++] = scanned(event, effect, record);
	}
	event->event.scanned.item_count = count;
	if (event->event.scanned.end)
		return;
	event->event.scanned.after_bucket =
		keep(event, last->bucket, strlen(last->bucket));
	event->event.scanned.after_cell = last->cell;
	event->event.scanned.after_key = keep(event, last->key, strlen(last->key));
}

static void
do_tree(struct corerig *rig, uint32_t node, const struct dyn_effect *effect)
{
	const struct corerig_store *store = &rig->nodes[node].store;
	struct corerig_event *event = event_new(rig, node, DYN_EVENT_TREE);
	uint32_t count = effect->tree.node_count;
	uint32_t below = dyn_tree_leaves_below(effect->tree.level);
	uint64_t *hashes =
		dyn_arena_allocate(&event->arena, count * sizeof(*hashes));

	for (uint32_t i = 0; i < count; i++)
	{
		uint32_t first =
			dyn_tree_leaf_first(effect->tree.level, effect->tree.nodes[i]);

		assert(i == 0 || effect->tree.nodes[i] > effect->tree.nodes[i - 1]);
		hashes[i] = 0;
		for (uint32_t j = 0; j < below; j++)
			hashes[i] ^= store->leaves[first + j];
	}
	event->event.tree.token = effect->tree.token;
	event->event.tree.hashes = hashes;
	event->event.tree.hash_count = count;
}

/* ------------------------------------------------------------------ effects */

static void
count_frame(struct corerig *rig, uint32_t from, struct dyn_slice *frame)
{
	struct dyn_envelope env;

	if (dyn_envelope_open(*frame, &env) != DYN_STATUS_OK)
		return;
	rig->frames[env.type]++;
	rig->bytes[env.type] += frame->size;
	if (rig->watch != NULL)
		rig->watch(rig, from, env.type, frame);
}

static void
do_connect(struct corerig *rig, uint32_t from, const struct dyn_effect *effect)
{
	struct corerig_node *self = &rig->nodes[from];

	for (uint32_t i = 0; i < rig->count; i++)
		if (dyn_slice_equal(dyn_slice_of(rig->nodes[i].address),
							effect->connect.address))
			self->peers[effect->connect.peer_index] = (int) i;
	event_new(rig, from, DYN_EVENT_PEER_UP)->event.peer.peer_index =
		effect->connect.peer_index;
}

static void
do_send(struct corerig *rig, uint32_t from, const struct dyn_effect *effect)
{
	int to = rig->nodes[from].peers[effect->send.peer_index];
	struct dyn_slice frame = effect->send.frame;
	struct corerig_event *event;

	count_frame(rig, from, &frame);
	if (to < 0 || rig->nodes[from].cut || rig->nodes[to].cut)
		return;
	event = event_new(rig, (uint32_t) to, DYN_EVENT_MESSAGE);
	event->event.message.source = DYN_SOURCE_NODE;
	event->event.message.route =
		(uint64_t) (from + 1) * 1000 + effect->send.peer_index;
	event->event.message.frame = keep(event, frame.data, frame.size);
}

static void
take_answer(struct corerig *rig, struct dyn_slice frame)
{
	struct dyn_envelope env;
	ProtobufCMessage *body;

	if (dyn_envelope_open(frame, &env) != DYN_STATUS_OK ||
		dyn_message_unpack(&env, &rig->arena.allocator, &body) != DYN_STATUS_OK)
		return;
	rig->reply_type = env.type;
	rig->reply = body;
	if (env.type == DYN_MESSAGE_STATUS_REPLY)
		rig->status = (Dyn__StatusReply *) body;
}

static void
do_reply(struct corerig *rig, uint32_t from, const struct dyn_effect *effect)
{
	uint32_t to = (uint32_t) (effect->reply.route / 1000) - 1;
	struct dyn_slice frame = effect->reply.frame;
	struct corerig_event *event;

	if (effect->reply.route == CLIENT_ROUTE)
	{
		take_answer(rig, frame);
		return;
	}
	count_frame(rig, from, &frame);
	if (rig->nodes[from].cut || rig->nodes[to].cut)
		return;
	event = event_new(rig, to, DYN_EVENT_MESSAGE);
	event->event.message.source = DYN_SOURCE_PEER;
	event->event.message.peer_index = (uint32_t) (effect->reply.route % 1000);
	event->event.message.frame = keep(event, frame.data, frame.size);
}

static void
perform(struct corerig *rig, uint32_t from)
{
	struct dyn_effects *effects = &rig->nodes[from].effects;
	bool stalls = rig->nodes[from].store.stalls;

	for (uint32_t i = 0; i < effects->count; i++)
	{
		const struct dyn_effect *effect = &effects->items[i];

		switch (effect->type)
		{
			case DYN_EFFECT_SEND:
				do_send(rig, from, effect);
				break;
			case DYN_EFFECT_REPLY:
				do_reply(rig, from, effect);
				break;
			case DYN_EFFECT_STORE:
				do_store(rig, from, effect);
				break;
			case DYN_EFFECT_LOAD:
				do_load(rig, from, effect);
				break;
			case DYN_EFFECT_SCAN:
				if (!stalls)
					do_scan(rig, from, effect);
				break;
			case DYN_EFFECT_TREE:
				if (!stalls)
					do_tree(rig, from, effect);
				break;
			case DYN_EFFECT_CONNECT:
				do_connect(rig, from, effect);
				break;
			case DYN_EFFECT_LOG:
				if (rig->hear != NULL)
					rig->hear(from, effect->log.text);
				break;
			case DYN_EFFECT_FATAL:
				fprintf(stderr, "fatal: %.*s\n", (int) effect->fatal.text.size,
						(const char *) effect->fatal.text.data);
				abort();
		}
	}
	dyn_effects_reset(effects);
}

/* --------------------------------------------------------------------- life */

/* seeds: room for all addresses. */
static struct dyn_node_config
config_of(const struct corerig *rig, uint32_t index, const char **seeds)
{
	for (uint32_t i = 0; i < rig->count; i++)
		seeds[i] = rig->nodes[i].address;
	return (struct dyn_node_config){ .cluster_name = "rig",
									 .address = rig->nodes[index].address,
									 .seeds = seeds,
									 .seed_count = rig->count,
									 .zone = "",
									 .version = "rig",
									 .n = rig->replicas,
									 .r = rig->replicas,
									 .w = 1,
									 .partition_count = rig->partitions,
									 .anti_entropy_ms = rig->anti_entropy_ms,
									 .request_timeout_ms = 1000 };
}

static void
start(struct corerig *rig, uint32_t index)
{
	struct corerig_node *self = &rig->nodes[index];
	const char *seeds[CORERIG_NODES_MAX];
	/* Ids are drawn from the seed: those that make them ascend. */
	struct dyn_boot boot = { .start_id = 100 + index, .writable = true };
	struct dyn_node_config config = config_of(rig, index, seeds);

	for (boot.prng_seed = 1;; boot.prng_seed++)
	{
		if (dyn_node_new(&config, &boot, rig->now_ms, &self->effects,
						 &self->node) != DYN_STATUS_OK)
			abort();
		if (index == 0 ||
			dyn_node_id_compare(dyn_node_identity(rig->nodes[index - 1].node),
								dyn_node_identity(self->node)) < 0)
			break;
		dyn_effects_reset(&self->effects);
		dyn_node_destroy(&self->node);
	}
	perform(rig, index);
}

static void init_store(struct corerig_store *store);

struct corerig *
corerig_new(uint32_t nodes, uint16_t partitions, uint32_t anti_entropy_ms)
{
	return corerig_new_of(nodes, (uint8_t) nodes, partitions, anti_entropy_ms);
}

struct corerig *
corerig_new_of(uint32_t nodes, uint8_t replicas, uint16_t partitions,
			   uint32_t anti_entropy_ms)
{
	struct corerig *rig = calloc(1, sizeof(*rig));

	rig->count = nodes;
	rig->replicas = replicas;
	rig->partitions = partitions;
	rig->anti_entropy_ms = anti_entropy_ms;
	rig->now_ms = 1000;
	rig->last = &rig->first;
	dyn_arena_init(&rig->arena, dyn_allocator_malloc(), 0);
	for (uint32_t i = 0; i < nodes; i++)
	{
		struct corerig_node *self = &rig->nodes[i];

		snprintf(self->address, sizeof(self->address), "10.0.0.%u:7001", i + 1);
		init_store(&self->store);
		init_store(&self->hints);
		dyn_effects_init(&self->effects);
		for (int p = 0; p <= CORERIG_NODES_MAX; p++)
			self->peers[p] = -1;
	}
	for (uint32_t i = 0; i < nodes; i++)
		start(rig, i);
	corerig_run(rig, 2000);
	for (uint32_t i = 0; i < nodes; i++)
		if (dyn_node_ring(rig->nodes[i].node) == NULL)
			abort();
	return rig;
}

/* ----------------------------------------------------- restarts, other disks */

static void
forget_events(struct corerig *rig, uint32_t node)
{
	struct corerig_event **place = &rig->first;

	while (*place != NULL)
	{
		struct corerig_event *event = *place;

		if (event->node != node)
		{
			place = &event->next;
			continue;
		}
		*place = event->next;
		event_free(event);
	}
	rig->last = place;
}

/* The others' connections to it break, and stand again. */
static void
reconnect(struct corerig *rig, uint32_t node)
{
	for (uint32_t i = 0; i < rig->count; i++)
		for (uint32_t p = 0; p <= CORERIG_NODES_MAX && i != node; p++)
			if (rig->nodes[i].peers[p] == (int) node)
			{
				event_new(rig, i, DYN_EVENT_PEER_DOWN)->event.peer.peer_index =
					p;
				event_new(rig, i, DYN_EVENT_PEER_UP)->event.peer.peer_index = p;
			}
}

void
corerig_restart(struct corerig *rig, uint32_t node,
				const struct dyn_node_id *as)
{
	static uint64_t starts = 1000;
	struct corerig_node *self = &rig->nodes[node];
	const char *seeds[CORERIG_NODES_MAX];
	struct dyn_node_config config = config_of(rig, node, seeds);
	struct dyn_meta_record records[CORERIG_META_MAX];
	struct dyn_boot boot = { .start_id = ++starts,
							 .prng_seed = starts,
							 .records = records,
							 .writable = true };

	for (int i = 0; i < CORERIG_META_MAX; i++)
		if (self->store.meta[i].name[0] != 0)
			records[boot.record_count++] = (struct dyn_meta_record){
				dyn_slice_of(self->store.meta[i].name),
				{ self->store.meta[i].bytes, self->store.meta[i].size }
			};
	if (as != NULL)
		config.node_id = *as;
	dyn_node_destroy(&self->node);
	forget_events(rig, node);
	for (int p = 0; p <= CORERIG_NODES_MAX; p++)
		self->peers[p] = -1;
	if (dyn_node_new(&config, &boot, rig->now_ms, &self->effects,
					 &self->node) != DYN_STATUS_OK)
		abort();
	perform(rig, node);
	reconnect(rig, node);
}

static void
free_store(struct corerig_store *store)
{
	for (uint32_t r = 0; r < store->count; r++)
		free_record(&store->records[r]);
	free(store->records);
	free(store->leaves);
	for (int m = 0; m < CORERIG_META_MAX; m++)
		free(store->meta[m].bytes);
	memset(store, 0, sizeof(*store));
}

static void
init_store(struct corerig_store *store)
{
	memset(store, 0, sizeof(*store));
	store->leaves = calloc(DYN_TREE_LEAF_COUNT, sizeof(*store->leaves));
}

void
corerig_empty(struct corerig *rig, uint32_t node)
{
	free_store(&rig->nodes[node].store);
	init_store(&rig->nodes[node].store);
}

void
corerig_keep(struct corerig *rig, uint32_t node)
{
	const struct corerig_store *from = &rig->nodes[node].store;
	struct corerig_store *to = &rig->nodes[node].kept;

	free_store(to);
	init_store(to);
	for (int i = 0; i < CORERIG_META_MAX && from->meta[i].name[0] != 0; i++)
		store_meta(to,
				   &(struct dyn_write){
					   .key.key = dyn_slice_of(from->meta[i].name),
					   .object = { from->meta[i].bytes, from->meta[i].size } });
	for (uint32_t i = 0; i < from->count; i++)
	{
		const struct corerig_record *record = &from->records[i];
		struct dyn_write write = {
			.key = { .bucket = dyn_slice_of(record->bucket),
					 .cell = record->cell,
					 .key = dyn_slice_of(record->key) },
			.hash = record->hash,
			.held_at_ms = record->held_at_ms,
			.flags = record->flags,
			.object = { record->object, record->object_size }
		};

		store_put(to, &write);
	}
}

void
corerig_go_back(struct corerig *rig, uint32_t node)
{
	struct corerig_node *self = &rig->nodes[node];

	free_store(&self->store);
	self->store = self->kept;
	memset(&self->kept, 0, sizeof(self->kept));
}

void
corerig_lose_disk(struct corerig *rig, uint32_t node)
{
	struct dyn_node_id id = *dyn_node_identity(rig->nodes[node].node);

	corerig_empty(rig, node);
	corerig_restart(rig, node, &id);
}

bool
corerig_is_built(const struct corerig *rig, uint32_t node)
{
	const struct dyn_node *self = rig->nodes[node].node;

	return self->building.parts != NULL && self->building.count == 0;
}

void
corerig_free(struct corerig **rig)
{
	struct corerig *self = *rig;

	while (self->first != NULL)
	{
		struct corerig_event *event = self->first;

		self->first = event->next;
		event_free(event);
	}
	for (uint32_t i = 0; i < self->count; i++)
	{
		struct corerig_node *node = &self->nodes[i];

		dyn_node_destroy(&node->node);
		dyn_effects_destroy(&node->effects);
		free_store(&node->store);
		free_store(&node->hints);
		free_store(&node->kept);
	}
	dyn_arena_destroy(&self->arena);
	free(self);
	*rig = NULL;
}

/* -------------------------------------------------------------------- hands */

void
corerig_cut(struct corerig *rig, uint32_t node, bool cut)
{
	rig->nodes[node].cut = cut;
}

void
corerig_full(struct corerig *rig, uint32_t node)
{
	rig->nodes[node].node->writable = false;
}

void
corerig_scrub_every(struct corerig *rig, uint32_t node, uint32_t ms)
{
	rig->nodes[node].node->config.scrub_ms = ms;
	rig->nodes[node].node->scrub.next_at_ms = 0;
}

uint16_t
corerig_cell(const char *bucket, const char *key)
{
	return dyn_hash_cell(
		dyn_hash_position(dyn_slice_of(bucket), dyn_slice_of(key)));
}

uint16_t
corerig_partition(const struct corerig *rig, const char *bucket,
				  const char *key)
{
	return dyn_hash_partition(corerig_cell(bucket, key), rig->partitions);
}

static void
put_into(struct corerig *rig, struct corerig_store *store, uint64_t wall_ms,
		 const char *bucket, const char *key, struct dyn_slice bytes,
		 uint8_t slots)
{
	struct dyn_write write = { .key = { .bucket = dyn_slice_of(bucket),
										.cell = corerig_cell(bucket, key),
										.key = dyn_slice_of(key) },
							   .held_at_ms = wall_ms,
							   .slots = slots,
							   .object = bytes };
	struct dyn_object object;

	if (bytes.size != 0)
	{
		if (dyn_object_decode(bytes, &rig->arena.allocator, &object) !=
			DYN_STATUS_OK)
			abort();
		write.hash = dyn_object_hash(&object, dyn_slice_of(key));
		write.flags = dyn_key_flags(&object);
	}
	store_put(store, &write);
}

static struct corerig_record *
get_from(struct corerig_store *store, const char *bucket, const char *key)
{
	struct dyn_slice b = dyn_slice_of(bucket);
	struct dyn_slice k = dyn_slice_of(key);
	uint16_t cell = corerig_cell(bucket, key);
	uint32_t i = seek(store, b, cell, k);

	return i < store->count && order(&store->records[i], b, cell, k) == 0
			   ? &store->records[i]
			   : NULL;
}

void
corerig_put(struct corerig *rig, uint32_t node, const char *bucket,
			const char *key, struct dyn_slice bytes)
{
	put_into(rig, &rig->nodes[node].store, rig->nodes[node].wall_ms, bucket,
			 key, bytes, 0);
}

struct corerig_record *
corerig_get(struct corerig *rig, uint32_t node, const char *bucket,
			const char *key)
{
	return get_from(&rig->nodes[node].store, bucket, key);
}

struct corerig_record *
corerig_put_hint(struct corerig *rig, uint32_t node, const char *bucket,
				 const char *key, struct dyn_slice bytes, uint8_t slots)
{
	struct dyn_node *keeper = rig->nodes[node].node;
	struct corerig_store *hints = &rig->nodes[node].hints;

	put_into(rig, hints, rig->nodes[node].wall_ms, bucket, key, bytes, slots);
	keeper->hints.count++;
	dyn_handoff_note(keeper, corerig_partition(rig, bucket, key), slots);
	return get_from(hints, bucket, key);
}

static bool
tree_is_right(const struct corerig_store *store)
{
	uint64_t *leaves = calloc(DYN_TREE_LEAF_COUNT, sizeof(*leaves));
	bool right;

	for (uint32_t i = 0; i < store->count; i++)
	{
		uint32_t leaf;
		uint64_t item = item_of(&store->records[i], &leaf);

		leaves[leaf] ^= item;
	}
	right = memcmp(leaves, store->leaves,
				   DYN_TREE_LEAF_COUNT * sizeof(*leaves)) == 0;
	free(leaves);
	return right;
}

bool
corerig_is_equal(const struct corerig *rig, uint32_t a, uint32_t b)
{
	const struct corerig_store *x = &rig->nodes[a].store;
	const struct corerig_store *y = &rig->nodes[b].store;

	if (x->count != y->count || !tree_is_right(x) || !tree_is_right(y))
		return false;
	for (uint32_t i = 0; i < x->count; i++)
	{
		const struct corerig_record *r = &x->records[i];
		const struct corerig_record *s = &y->records[i];

		if (strcmp(r->key, s->key) != 0 || strcmp(r->bucket, s->bucket) != 0 ||
			r->damaged || s->damaged || r->hash != s->hash ||
			r->object_size != s->object_size ||
			memcmp(r->object, s->object, r->object_size) != 0)
			return false;
	}
	return true;
}

uint64_t
corerig_counter(const struct corerig *rig, uint32_t node, const char *name)
{
	const char *other;
	uint64_t value = 0;

	for (uint32_t i = 0;
		 (other = dyn_node_counter(rig->nodes[node].node, i, &value)); i++)
		if (strcmp(other, name) == 0)
			return value;
	abort();
}

uint64_t
corerig_sum(const struct corerig *rig, const char *name)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < rig->count; i++)
		sum += corerig_counter(rig, i, name);
	return sum;
}

void
corerig_count_anew(struct corerig *rig)
{
	memset(rig->frames, 0, sizeof(rig->frames));
	memset(rig->bytes, 0, sizeof(rig->bytes));
}

const Dyn__StatusReply *
corerig_status(struct corerig *rig, uint32_t node)
{
	Dyn__StatusRequest request = DYN__STATUS_REQUEST__INIT;
	struct dyn_envelope env = { .type = DYN_MESSAGE_STATUS, .correlation = 1 };
	struct dyn_event event = { .type = DYN_EVENT_MESSAGE };

	request.partitions = true;
	rig->status = NULL;
	if (dyn_message_pack(&env, &request.base, &rig->arena.allocator,
						 &event.message.frame) != DYN_STATUS_OK)
		abort();
	event.message.source = DYN_SOURCE_CLIENT;
	event.message.route = CLIENT_ROUTE;
	step(rig, node, &event);
	return rig->status;
}

void
corerig_send(struct corerig *rig, uint32_t node, enum dyn_message_type type,
			 const ProtobufCMessage *body)
{
	struct dyn_envelope env = { .type = type, .correlation = 1 };
	struct dyn_event event = { .type = DYN_EVENT_MESSAGE };

	if (dyn_message_pack(&env, body, &rig->arena.allocator,
						 &event.message.frame) != DYN_STATUS_OK)
		abort();
	event.message.source = DYN_SOURCE_CLIENT;
	event.message.route = CLIENT_ROUTE;
	rig->reply = NULL;
	step(rig, node, &event);
}

const void *
corerig_await(struct corerig *rig)
{
	for (int ms = 0; ms < 1000 && rig->reply == NULL; ms++)
		corerig_run(rig, 1);
	return rig->reply;
}

const void *
corerig_ask(struct corerig *rig, uint32_t node, enum dyn_message_type type,
			const ProtobufCMessage *body)
{
	corerig_send(rig, node, type, body);
	return corerig_await(rig);
}

void
corerig_step(struct corerig *rig, uint32_t node, const struct dyn_event *event)
{
	step(rig, node, event);
}

uint64_t
corerig_compare_bytes(const struct corerig *rig)
{
	return rig->bytes[DYN_MESSAGE_TREE] + rig->bytes[DYN_MESSAGE_TREE_REPLY] +
		   rig->bytes[DYN_MESSAGE_LIST] + rig->bytes[DYN_MESSAGE_LIST_REPLY];
}

uint64_t
corerig_repair_bytes(const struct corerig *rig)
{
	return rig->bytes[DYN_MESSAGE_READ] + rig->bytes[DYN_MESSAGE_READ_REPLY] +
		   rig->bytes[DYN_MESSAGE_REPLICATE] +
		   rig->bytes[DYN_MESSAGE_REPLICATE_REPLY];
}
