/*
 * A few cores in one process: events on their way, effects that are done (what
 * is for a store: rigstore.c), and the life of the whole.  Tests act on it by
 * righand.c and rigdisk.c.
 */
#include "corerig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

void
corerig_forget(struct corerig *rig, uint32_t node)
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

void
corerig_connection(struct corerig *rig, uint32_t node, uint32_t peer_index,
				   bool up)
{
	enum dyn_event_type type = up ? DYN_EVENT_PEER_UP : DYN_EVENT_PEER_DOWN;

	event_new(rig, node, type)->event.peer.peer_index = peer_index;
}

static void perform(struct corerig *rig, uint32_t from);

void
corerig_step(struct corerig *rig, uint32_t node, const struct dyn_event *event)
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
				corerig_step(rig, event->node, &event->event);
			event_free(event);
		}
		for (uint32_t i = 0; i < rig->count; i++)
			if (dyn_node_deadline(rig->nodes[i].node) <= rig->now_ms)
				corerig_step(rig, i,
							 &(struct dyn_event){ .type = DYN_EVENT_TICK });
	}
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
	corerig_connection(rig, from, effect->connect.peer_index, true);
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
	event->event.message.frame = dyn_arena_copy(&event->arena, frame);
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

	if (effect->reply.route == CORERIG_CLIENT_ROUTE)
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
	event->event.message.frame = dyn_arena_copy(&event->arena, frame);
}

static struct corerig_store *
store_of(struct corerig *rig, uint32_t node, enum dyn_table table)
{
	return table == DYN_TABLE_HINTS ? &rig->nodes[node].hints
									: &rig->nodes[node].store;
}

static void
do_store(struct corerig *rig, uint32_t from, const struct dyn_effect *effect)
{
	struct corerig_event *event = event_new(rig, from, DYN_EVENT_STORED);

	rigstore_write(&rig->nodes[from].store, &rig->nodes[from].hints, effect,
				   &event->event);
}

static void
do_load(struct corerig *rig, uint32_t from, const struct dyn_effect *effect)
{
	struct corerig_event *event = event_new(rig, from, DYN_EVENT_LOADED);

	rigstore_load(store_of(rig, from, effect->load.table), effect,
				  &event->event, &event->arena);
}

static void
do_scan(struct corerig *rig, uint32_t from, const struct dyn_effect *effect)
{
	struct corerig_event *event = event_new(rig, from, DYN_EVENT_SCANNED);

	rigstore_scan(store_of(rig, from, effect->scan.table), effect,
				  &event->event, &event->arena);
}

static void
do_tree(struct corerig *rig, uint32_t from, const struct dyn_effect *effect)
{
	struct corerig_event *event = event_new(rig, from, DYN_EVENT_TREE);

	rigstore_tree(&rig->nodes[from].store, effect, &event->event,
				  &event->arena);
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

/* `as`: NULL, or with this node-id. */
static void
boot_node(struct corerig *rig, uint32_t index, const struct dyn_boot *boot,
		  const struct dyn_node_id *as)
{
	struct corerig_node *self = &rig->nodes[index];
	const char *seeds[CORERIG_NODES_MAX];
	struct dyn_node_config config = config_of(rig, index, seeds);

	if (as != NULL)
		config.node_id = *as;
	if (dyn_node_new(&config, boot, rig->now_ms, &self->effects, &self->node) !=
		DYN_STATUS_OK)
		abort();
}

void
corerig_boot(struct corerig *rig, uint32_t node, const struct dyn_boot *boot,
			 const struct dyn_node_id *as)
{
	boot_node(rig, node, boot, as);
	perform(rig, node);
}

static void
start(struct corerig *rig, uint32_t index)
{
	struct corerig_node *self = &rig->nodes[index];
	/* Ids are drawn from the seed: those that make them ascend. */
	struct dyn_boot boot = { .start_id = 100 + index, .writable = true };

	for (boot.prng_seed = 1;; boot.prng_seed++)
	{
		boot_node(rig, index, &boot, NULL);
		if (index == 0 ||
			dyn_node_id_compare(dyn_node_identity(rig->nodes[index - 1].node),
								dyn_node_identity(self->node)) < 0)
			break;
		dyn_effects_reset(&self->effects);
		dyn_node_destroy(&self->node);
	}
	perform(rig, index);
}

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
		rigstore_init(&self->store);
		rigstore_init(&self->hints);
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
		rigstore_free(&node->store);
		rigstore_free(&node->hints);
		rigstore_free(&node->kept);
	}
	dyn_arena_destroy(&self->arena);
	free(self);
	*rig = NULL;
}
