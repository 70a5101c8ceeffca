/* Three honest nodes over one queue, until their cluster stands. */
#include "fuzz/founding.h"

#include "fuzz/targets.h"

#include "io/store/store.h"
#include "model/message.h"
#include "tests/sim/simstore.h"

#include <string.h>

static const char *const addresses[FOUNDING_NODES] = { "10.0.0.1:7001",
													   "10.0.0.2:7001",
													   "10.0.0.3:7001" };

struct founder
{
	struct net *net;
	uint32_t index;
	struct dyn_simdisk *disk;
	struct dyn_store *store;
	struct dyn_node *node;
	struct dyn_effects effects;
	uint32_t peer_nodes[8]; /* who is behind a peer index */
	uint32_t peer_count;
	struct dyn_slice welcome; /* its answer to a client */
};

struct letter
{
	struct letter *next;
	uint32_t to;
	struct dyn_event event;
	uint8_t frame[];
};

struct net
{
	struct founder founders[FOUNDING_NODES];
	struct letter *first;
	struct letter **last;
	uint64_t now_ms;
	uint8_t n;
};

static void
post(struct net *net, uint32_t to, struct dyn_event event,
	 struct dyn_slice frame)
{
	struct letter *letter = malloc(sizeof(*letter) + frame.size);

	letter->next = NULL;
	letter->to = to;
	letter->event = event;
	if (frame.size != 0)
		memcpy(letter->frame, frame.data, frame.size);
	if (event.type == DYN_EVENT_MESSAGE)
		letter->event.message.frame =
			(struct dyn_slice){ letter->frame, frame.size };
	*net->last = letter;
	net->last = &letter->next;
}

static uint32_t
node_at(struct dyn_slice address)
{
	for (uint32_t i = 0; i < FOUNDING_NODES; i++)
		if (dyn_slice_equal(address, dyn_slice_of(addresses[i])))
			return i;
	abort();
}

/* Routes: 100 is a client, others are the asker's number. */
static void
reply(struct founder *self, uint64_t route, struct dyn_slice frame)
{
	struct dyn_event event = { .type = DYN_EVENT_MESSAGE };
	const struct founder *asker;

	if (route == 100)
	{
		uint8_t *copy = malloc(frame.size);

		memcpy(copy, frame.data, frame.size);
		self->welcome = (struct dyn_slice){ copy, frame.size };
		return;
	}
	asker = &self->net->founders[route];
	event.message.source = DYN_SOURCE_PEER;
	while (asker->peer_nodes[event.message.peer_index] != self->index)
		event.message.peer_index++;
	post(self->net, (uint32_t) route, event, frame);
}

static void
perform(struct founder *self, const struct dyn_effect *effect)
{
	struct dyn_event event = { .type = DYN_EVENT_PEER_UP };
	uint32_t peer_index;

	switch (effect->type)
	{
		case DYN_EFFECT_CONNECT:
			peer_index = effect->connect.peer_index;
			self->peer_nodes[peer_index] = node_at(effect->connect.address);
			event.peer.peer_index = peer_index;
			post(self->net, self->index, event, (struct dyn_slice){ NULL, 0 });
			break;
		case DYN_EFFECT_SEND:
			event.type = DYN_EVENT_MESSAGE;
			event.message.source = DYN_SOURCE_NODE;
			event.message.route = self->index;
			post(self->net, self->peer_nodes[effect->send.peer_index], event,
				 effect->send.frame);
			break;
		case DYN_EFFECT_REPLY:
			reply(self, effect->reply.route, effect->reply.frame);
			break;
		case DYN_EFFECT_STORE:
		case DYN_EFFECT_LOAD:
		case DYN_EFFECT_SCAN:
		case DYN_EFFECT_TREE:
			self->store->ops->submit(self->store, effect);
			break;
		case DYN_EFFECT_LOG:
			break;
		case DYN_EFFECT_FATAL:
			abort();
	}
}

static void
perform_all(struct founder *self)
{
	for (uint32_t i = 0; i < self->effects.count; i++)
		perform(self, &self->effects.items[i]);
	dyn_effects_reset(&self->effects);
}

static void
complete(void *context, const struct dyn_event *event)
{
	struct founder *self = context;

	dyn_node_step(self->node, event, self->net->now_ms, &self->effects);
	perform_all(self);
}

static struct dyn_node_config
config_of(uint32_t index, uint8_t n)
{
	return (struct dyn_node_config){ .cluster_name = "fuzz",
									 .address = addresses[index],
									 .seeds = addresses,
									 .seed_count = FOUNDING_NODES,
									 .zone = "",
									 .version = "fuzz",
									 .n = n,
									 .partition_count = 8,
									 .requests_max = 64,
									 .keys_max = 64,
									 .remembered_max = 64 };
}

static void
found(struct founder *self)
{
	struct dyn_simstore_config store = { .seed = self->index };
	struct dyn_node_config config = config_of(self->index, self->net->n);
	struct dyn_boot boot = { .start_id = 1000 + self->index,
							 .prng_seed = 2000 + self->index,
							 .writable = true };

	dyn_effects_init(&self->effects);
	self->disk = dyn_simdisk_new();
	self->store = dyn_simstore_open(self->disk, &store, complete, self);
	FUZZ_REQUIRE(dyn_node_new(&config, &boot, self->net->now_ms, &self->effects,
							  &self->node) == DYN_STATUS_OK);
	perform_all(self);
}

static void
deliver(struct net *net)
{
	while (net->first != NULL)
	{
		struct letter *letter = net->first;
		struct founder *to = &net->founders[letter->to];

		net->first = letter->next;
		if (net->first == NULL)
			net->last = &net->first;
		dyn_node_step(to->node, &letter->event, net->now_ms, &to->effects);
		perform_all(to);
		free(letter);
	}
}

static bool
is_founded(const struct net *net)
{
	for (uint32_t i = 0; i < FOUNDING_NODES; i++)
		if (dyn_node_ring(net->founders[i].node) == NULL)
			return false;
	return true;
}

static void
pass_time(struct net *net)
{
	struct dyn_event tick = { .type = DYN_EVENT_TICK };
	const char *reason;

	net->now_ms += 50;
	for (uint32_t i = 0; i < FOUNDING_NODES; i++)
	{
		struct founder *one = &net->founders[i];

		one->store->ops->dispatch(one->store, &reason);
		dyn_node_step(one->node, &tick, net->now_ms, &one->effects);
		perform_all(one);
	}
	deliver(net);
}

/* What a node says to a stranger who greets it. */
static struct dyn_slice
ask_welcome(struct net *net, uint32_t index)
{
	struct dyn_allocator heap = dyn_allocator_malloc();
	struct founder *one = &net->founders[index];
	Dyn__Hello hello = DYN__HELLO__INIT;
	struct dyn_envelope env = { .type = DYN_MESSAGE_HELLO, .correlation = 1 };
	struct dyn_event event = { .type = DYN_EVENT_MESSAGE };
	struct dyn_slice frame;

	hello.version_min = hello.version_max = DYN_PROTOCOL_VERSION;
	FUZZ_REQUIRE(dyn_message_pack(&env, &hello.base, &heap, &frame) ==
				 DYN_STATUS_OK);
	event.message.source = DYN_SOURCE_CLIENT;
	event.message.route = 100;
	event.message.frame = frame;
	dyn_node_step(one->node, &event, net->now_ms, &one->effects);
	perform_all(one);
	heap.release(heap.context, (void *) frame.data);
	FUZZ_REQUIRE(one->welcome.size > DYN_ENVELOPE_SIZE);
	return (struct dyn_slice){ one->welcome.data + DYN_ENVELOPE_SIZE,
							   one->welcome.size - DYN_ENVELOPE_SIZE };
}

static void
make(struct founding *founding, uint8_t n)
{
	struct net net = { .n = n };

	net.last = &net.first;
	for (uint32_t i = 0; i < FOUNDING_NODES; i++)
	{
		net.founders[i].net = &net;
		net.founders[i].index = i;
		found(&net.founders[i]);
	}
	for (int i = 0; i < 1000 && !is_founded(&net); i++)
		pass_time(&net);
	FUZZ_REQUIRE(is_founded(&net));
	/* Until all have greeted all and have everything on disk. */
	for (int i = 0; i < 40; i++)
		pass_time(&net);
	for (uint32_t i = 1; i < FOUNDING_NODES; i++)
		founding->welcomes[i] = ask_welcome(&net, i);
	founding->config = config_of(0, n);
	founding->disk = net.founders[0].disk;
	for (uint32_t i = 0; i < FOUNDING_NODES; i++)
	{
		dyn_node_destroy(&net.founders[i].node);
		dyn_simstore_crash(&net.founders[i].store);
		dyn_effects_destroy(&net.founders[i].effects);
		if (i > 0)
			dyn_simdisk_free(&net.founders[i].disk);
	}
}

const struct founding *
founding_get(uint8_t n)
{
	static struct founding foundings[FOUNDING_NODES + 1];

	if (foundings[n].disk == NULL)
		make(&foundings[n], n);
	return &foundings[n];
}
