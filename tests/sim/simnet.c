#include "tests/sim/simnet.h"

#include "tests/sim/nemesis.h"
#include "tests/sim/newer.h"
#include "tests/sim/simclient.h"

#include <stdlib.h>
#include <string.h>

enum
{
	PEERS_MAX = 64,
	LINKS_MAX =
		DYN_SIM_NODES_MAX * PEERS_MAX + DYN_SIM_CLIENTS_MAX * DYN_SIM_NODES_MAX,
	PARTITIONS_MAX = 8,  /* at the same time; the first is dyn_simnet_block's */
	RETRANSMIT_MS = 200, /* the first time; each one twice as long */
	RETRANSMIT_MS_MAX = 30000,
	SILENT_MS_MIN = 3000, /* ZeroMQ's heartbeats, at clients */
	SILENT_MS_MAX = 4000,
	BOTH_PLANES = 1 << DYN_PLANE_DATA | 1 << DYN_PLANE_CONTROL
};

struct list
{
	struct frame *first;
	struct frame *last;
	uint32_t count;
};

/* Link numbers: node * PEERS_MAX + peer, then one for each client and node. */
struct link
{
	bool used;
	bool is_up;
	uint32_t from; /* endpoint */
	uint32_t to;   /* node */
	uint32_t peer_index;
	uint32_t generation; /* counts the connections */
	uint32_t from_life;
	uint32_t to_life;
	bool is_severed;        /* of a client: it breaks, whatever happens */
	uint64_t last_ms[2][2]; /* by way (there, back) and plane: keeps order */
	struct list held[2][2]; /* ... stopped by a partition */
	uint32_t tries[2][2];   /* ... so often */
	struct dyn_simrandom random;
};

struct partition
{
	uint32_t planes; /* bits; 0 = healed */
	uint64_t serial;
	dyn_simnet_cuts cuts;
};

struct dyn_simnet
{
	struct link links[LINKS_MAX];
	struct partition partitions[PARTITIONS_MAX];
	uint64_t partition_serial;
	uint64_t clogged_until_ms[DYN_SIM_ENDPOINTS_MAX][DYN_SIM_ENDPOINTS_MAX];
	struct list sockets[DYN_SIM_NODES_MAX]; /* of nodes that stand still */
};

/* A frame on its way. */
struct frame
{
	struct frame *next; /* in a list */
	uint32_t link;
	uint32_t generation;
	uint32_t to_life;
	bool back;
	enum dyn_plane plane;
	uint64_t tag;
	uint32_t size;
	uint8_t bytes[];
};

struct dyn_simnet *
dyn_simnet_new(uint64_t seed)
{
	struct dyn_simnet *self = dyn_sim_allocate(sizeof(*self));

	for (uint32_t i = 0; i < LINKS_MAX; i++)
		self->links[i].random = dyn_simrandom_stream(seed, 100000 + i);
	return self;
}

/* ---------------------------------------------------------- frames that wait */

static void
append(struct list *list, struct frame *frame)
{
	frame->next = NULL;
	if (list->last != NULL)
		list->last->next = frame;
	else
		list->first = frame;
	list->last = frame;
	list->count++;
}

/* The first one; NULL when there is none. */
static struct frame *
take_first(struct list *list)
{
	struct frame *frame = list->first;

	if (frame == NULL)
		return NULL;
	list->first = frame->next;
	if (list->first == NULL)
		list->last = NULL;
	list->count--;
	return frame;
}

static void
drop_all(struct list *list)
{
	struct frame *frame;

	while ((frame = take_first(list)) != NULL)
		free(frame);
}

void
dyn_simnet_free(struct dyn_simnet **self)
{
	struct dyn_simnet *net = *self;

	for (uint32_t i = 0; i < LINKS_MAX; i++)
		for (uint32_t k = 0; k < 4; k++)
			drop_all(&net->links[i].held[k / 2][k % 2]);
	for (uint32_t i = 0; i < DYN_SIM_NODES_MAX; i++)
		drop_all(&net->sockets[i]);
	free(net);
	*self = NULL;
}

/* ------------------------------------------------------------- what is there */

/* Who looks at requests. */
struct look
{
	struct dyn_world *world;
	void (*look)(void *context, uint32_t to, struct dyn_slice frame);
	void *context;
};

static void
show(const struct look *self, const struct frame *frame)
{
	uint32_t to = self->world->net->links[frame->link].to;

	if (!frame->back && dyn_simnode_is_up(self->world, to) &&
		self->world->nodes[to].life == frame->to_life)
		self->look(self->context, to,
				   (struct dyn_slice){ frame->bytes, frame->size });
}

static void
show_all(const struct look *self, const struct list *list)
{
	for (const struct frame *frame = list->first; frame != NULL;
		 frame = frame->next)
		show(self, frame);
}

void
dyn_simnet_each_request(struct dyn_world *world,
						void (*look)(void *context, uint32_t to,
									 struct dyn_slice frame),
						void *context)
{
	const struct look self = { world, look, context };

	for (uint32_t i = 0; i < world->queue.count; i++)
		if (world->queue.items[i].kind == DYN_WORLD_FRAME &&
			world->queue.items[i].data != NULL)
			show(&self, world->queue.items[i].data);
	for (uint32_t i = 0; i < DYN_SIM_NODES_MAX; i++)
		show_all(&self, &world->net->sockets[i]);
	for (uint32_t i = 0; i < LINKS_MAX; i++)
		for (uint32_t plane = 0; plane < 2; plane++)
			show_all(&self, &world->net->links[i].held[0][plane]);
}

void
dyn_simnet_drop(struct dyn_simevent *event)
{
	free(event->data);
	event->data = NULL;
}

static bool
is_client(uint32_t endpoint)
{
	return endpoint >= DYN_SIM_NODES_MAX;
}

static uint32_t
client_link(uint32_t client, uint32_t node)
{
	return DYN_SIM_NODES_MAX * PEERS_MAX + client * DYN_SIM_NODES_MAX + node;
}

static bool
chance(struct dyn_world *world, struct link *link, uint32_t rate,
	   enum dyn_fault fault)
{
	if (world->calm || !dyn_simrandom_chance(&link->random, rate))
		return false;
	dyn_world_fault(world, fault);
	return true;
}

static bool
is_blocked(const struct dyn_world *world, uint32_t from, uint32_t to,
		   enum dyn_plane plane)
{
	const struct partition *partitions = world->net->partitions;

	for (uint32_t i = 0; i < PARTITIONS_MAX; i++)
		if ((partitions[i].planes >> plane & 1) != 0 &&
			partitions[i].cuts[from][to])
			return true;
	return false;
}

/* ------------------------------------------------------------------- routes */

static uint64_t
make_route(uint32_t link, uint32_t generation, enum dyn_plane plane)
{
	return (uint64_t) (link + 1) << 33 | (uint64_t) generation << 1 |
		   (uint64_t) plane;
}

static bool
read_route(uint64_t route, uint32_t *link, uint32_t *generation,
		   enum dyn_plane *plane)
{
	uint64_t number = route >> 33;

	if (number == 0 || number > LINKS_MAX)
		return false;
	*link = (uint32_t) number - 1;
	*generation = (uint32_t) (route >> 1);
	*plane = (enum dyn_plane)(route & 1);
	return true;
}

bool
dyn_simnet_route_client(const struct dyn_world *world, uint64_t route,
						uint32_t *client)
{
	uint32_t link;
	uint32_t generation;
	enum dyn_plane plane;

	if (!read_route(route, &link, &generation, &plane) ||
		!is_client(world->net->links[link].from))
		return false;
	*client = world->net->links[link].from - DYN_SIM_NODES_MAX;
	return true;
}

/* ------------------------------------------------------------------ sending */

static uint64_t
arrival(struct dyn_world *world, struct link *link, bool back,
		enum dyn_plane plane)
{
	uint64_t *last = &link->last_ms[back][plane];
	uint32_t from = back ? link->to : link->from;
	uint32_t to = back ? link->from : link->to;
	uint64_t clogged_ms = world->net->clogged_until_ms[from][to];
	uint64_t at_ms =
		world->now_ms + dyn_simrandom_between(&link->random,
											  world->swarm.delay_ms_min,
											  world->swarm.delay_ms_max);

	if (chance(world, link, world->swarm.tail_rate, DYN_FAULT_frame_delayed))
		at_ms += dyn_simrandom_below(&link->random, world->swarm.tail_ms_max);
	if (at_ms < clogged_ms)
	{
		dyn_world_fault(world, DYN_FAULT_frame_clogged);
		at_ms = clogged_ms + dyn_simrandom_below(&link->random, 5);
	}
	if (world->swarm.reorder && !world->calm)
		return at_ms;
	if (at_ms < *last)
		at_ms = *last;
	*last = at_ms;
	return at_ms;
}

static struct frame *
new_frame(const struct dyn_world *world, uint32_t number, bool back,
		  enum dyn_plane plane, uint32_t generation, uint64_t tag,
		  struct dyn_slice bytes)
{
	const struct link *link = &world->net->links[number];
	struct frame *frame = malloc(sizeof(*frame) + bytes.size);

	if (frame == NULL)
		abort();
	*frame = (struct frame){ .link = number,
							 .generation = generation,
							 .to_life = link->to_life,
							 .back = back,
							 .plane = plane,
							 .tag = tag,
							 .size = (uint32_t) bytes.size };
	memcpy(frame->bytes, bytes.data, bytes.size);
	return frame;
}

static void
launch(struct dyn_world *world, uint32_t number, bool back,
	   enum dyn_plane plane, uint32_t generation, uint64_t tag,
	   struct dyn_slice bytes)
{
	struct link *link = &world->net->links[number];
	uint64_t at_ms = arrival(world, link, back, plane);
	struct frame *frame =
		new_frame(world, number, back, plane, generation, tag, bytes);

	if (bytes.size > 0 &&
		chance(world, link, world->swarm.damage_rate, DYN_FAULT_frame_damaged))
	{
		frame->bytes[dyn_simrandom_below(&link->random, bytes.size)] ^=
			(uint8_t) (1U << dyn_simrandom_below(&link->random, 8));
		frame->tag = 0; /* nobody will take it for what it was */
	}
	dyn_world_push(world, at_ms, DYN_WORLD_FRAME, 0, 0, frame);
}

/* ---- what a partition stops, and a kernel sends again ---- */

static void
try_again(struct dyn_world *world, uint32_t number, bool back,
		  enum dyn_plane plane)
{
	uint32_t *tries = &world->net->links[number].tries[back][plane];
	uint64_t ms = (uint64_t) RETRANSMIT_MS << *tries;

	if (ms >= RETRANSMIT_MS_MAX)
		ms = RETRANSMIT_MS_MAX;
	else
		++*tries;
	dyn_world_push(
		world, world->now_ms + ms, DYN_WORLD_RETRANSMIT, 0,
		(uint64_t) number << 2 | (uint64_t) back << 1 | (uint64_t) plane, NULL);
}

/* Is it kept by the sender's kernel, behind what waits there already? */
static bool
hold(struct dyn_world *world, uint32_t number, bool back, enum dyn_plane plane,
	 uint32_t generation, uint64_t tag, struct dyn_slice bytes, bool blocked)
{
	struct link *link = &world->net->links[number];
	struct list *held = &link->held[back][plane];
	bool behind = held->last != NULL && held->last->generation == generation;

	if (!behind &&
		(!blocked || world->calm ||
		 !dyn_simrandom_chance(&link->random, world->swarm.retransmit_rate)))
		return false;
	if (held->first == NULL)
	{
		link->tries[back][plane] = 0;
		try_again(world, number, back, plane);
	}
	append(held, new_frame(world, number, back, plane, generation, tag, bytes));
	return true;
}

static void
let_go(struct dyn_world *world, uint32_t number, bool back,
	   enum dyn_plane plane)
{
	struct link *link = &world->net->links[number];
	struct frame *frame;

	while ((frame = take_first(&link->held[back][plane])) != NULL)
	{
		dyn_world_fault(world, DYN_FAULT_frame_retransmitted);
		dyn_world_push(world, arrival(world, link, back, plane),
					   DYN_WORLD_FRAME, 0, 0, frame);
	}
}

void
dyn_simnet_retransmit(struct dyn_world *world, uint64_t what)
{
	uint32_t number = (uint32_t) (what >> 2);
	bool back = (what >> 1 & 1) != 0;
	enum dyn_plane plane = (enum dyn_plane)(what & 1);
	const struct link *link = &world->net->links[number];

	if (link->held[back][plane].first == NULL)
		return;
	if (is_blocked(world, back ? link->to : link->from,
				   back ? link->from : link->to, plane))
		try_again(world, number, back, plane);
	else
		let_go(world, number, back, plane);
}

static void
post_as_is(struct dyn_world *world, uint32_t number, bool back,
		   enum dyn_plane plane, uint32_t generation, uint64_t tag,
		   struct dyn_slice bytes)
{
	struct link *link = &world->net->links[number];
	uint32_t from = back ? link->to : link->from;
	uint32_t to = back ? link->from : link->to;
	bool blocked = is_blocked(world, from, to, plane);

	if (blocked)
		dyn_world_fault(world, DYN_FAULT_frame_blocked);
	if (hold(world, number, back, plane, generation, tag, bytes, blocked) ||
		blocked)
		return;
	if (chance(world, link, world->swarm.drop_rate, DYN_FAULT_frame_dropped))
		return;
	launch(world, number, back, plane, generation, tag, bytes);
	/* A connection doubles nothing: whoever counts on that is judged by it. */
	if (is_client(link->from) && !back &&
		dyn_simclient_is_extension(world, link->from - DYN_SIM_NODES_MAX))
		return;
	if (chance(world, link, world->swarm.duplicate_rate,
			   DYN_FAULT_frame_doubled))
	{
		if (tag != 0)
			dyn_simclient_doubled(world, tag);
		else if (!back && !is_client(from))
			dyn_simclient_forward_doubled(world, bytes);
		launch(world, number, back, plane, generation, tag, bytes);
	}
}

/* What the other version sends is odd to the end of the run: it is no trouble
 * that could be over. */
static void
post(struct dyn_world *world, uint32_t number, bool back, enum dyn_plane plane,
	 uint32_t generation, uint64_t tag, struct dyn_slice bytes)
{
	struct link *link = &world->net->links[number];
	uint32_t from = back ? link->to : link->from;
	struct dyn_slice later;

	if ((world->swarm.newer >> from & 1) == 0)
	{
		post_as_is(world, number, back, plane, generation, tag, bytes);
		return;
	}
	later = dyn_newer_frame(bytes, DYN_NEWER_FIELDS);
	dyn_world_fault(world, DYN_FAULT_frame_newer);
	post_as_is(world, number, back, plane, generation, tag, later);
	free((void *) (uintptr_t) later.data);
	if (!chance(world, link, world->swarm.unknown_rate,
				DYN_FAULT_frame_unknown))
		return;
	later = dyn_newer_frame(
		bytes, (enum dyn_newer_kind) dyn_simrandom_between(
				   &link->random, DYN_NEWER_TYPE, DYN_NEWER_VERSION));
	post_as_is(world, number, back, plane, generation, 0, later);
	free((void *) (uintptr_t) later.data);
}

void
dyn_simnet_send(struct dyn_world *world, uint32_t node, uint32_t peer_index,
				enum dyn_plane plane, struct dyn_slice frame)
{
	uint32_t number = node * PEERS_MAX + peer_index;
	const struct link *link = &world->net->links[number];

	if (peer_index < PEERS_MAX && link->used && link->is_up)
		post(world, number, false, plane, link->generation, 0, frame);
}

void
dyn_simnet_reply(struct dyn_world *world, uint32_t node, uint64_t route,
				 struct dyn_slice frame)
{
	uint32_t number;
	uint32_t generation;
	enum dyn_plane plane;

	if (!read_route(route, &number, &generation, &plane) ||
		world->net->links[number].to != node)
	{
		dyn_world_violation(world, "net", "node %u replies to route %llx", node,
							(unsigned long long) route);
		return;
	}
	if (world->net->links[number].generation == generation)
		post(world, number, true, plane, generation, 0, frame);
}

void
dyn_simnet_client_send(struct dyn_world *world, uint32_t client, uint32_t node,
					   struct dyn_slice frame, uint64_t tag)
{
	uint32_t number = client_link(client, node);
	struct link *link = &world->net->links[number];
	const struct dyn_simnode *to = &world->nodes[node];

	if (!dyn_simnode_is_up(world, node))
		return;
	if (!link->used || link->to_life != to->life)
	{
		link->used = link->is_up = true;
		link->from = DYN_SIM_NODES_MAX + client;
		link->to = node;
		link->to_life = to->life;
		link->generation++;
	}
	post(world, number, false, DYN_PLANE_DATA, link->generation, tag, frame);
}

/* ----------------------------------------------------------------- arriving */

/* The process stands still: the frame waits in its socket, while there is
 * room.  False when it does not. */
static bool
wait_in_socket(struct dyn_world *world, uint32_t node,
			   struct dyn_simevent *event)
{
	const struct dyn_simnode *self = &world->nodes[node];
	struct list *socket = &world->net->sockets[node];

	if (self->paused_until_ms <= world->now_ms)
		return false;
	if (world->swarm.socket_frames == 0)
	{
		dyn_world_push(world, self->paused_until_ms, DYN_WORLD_FRAME, 0, 0,
					   event->data);
		event->data = NULL;
	}
	else if (socket->count < world->swarm.socket_frames)
	{
		dyn_world_fault(world, DYN_FAULT_frame_in_socket);
		append(socket, event->data);
		event->data = NULL;
	}
	else
		dyn_world_fault(world, DYN_FAULT_frame_overflowed);
	return true;
}

static void
arrive_at_node(struct dyn_world *world, struct dyn_simevent *event,
			   const struct link *link)
{
	struct frame *frame = event->data;
	const struct dyn_simnode *node = &world->nodes[link->to];
	struct dyn_event message = { .type = DYN_EVENT_MESSAGE };

	if (!dyn_simnode_is_up(world, link->to) || node->life != frame->to_life)
		return;
	if (frame->tag != 0 && frame->size > 5 &&
		frame->bytes[5] == DYN_MESSAGE_PUT)
		dyn_nemesis_halt_now(world, link->to, DYN_HALT_PUT);
	if (wait_in_socket(world, link->to, event))
		return;
	message.message.source =
		is_client(link->from) ? DYN_SOURCE_CLIENT : DYN_SOURCE_NODE;
	message.message.route =
		make_route(frame->link, frame->generation, frame->plane);
	message.message.frame = (struct dyn_slice){ frame->bytes, frame->size };
	if (frame->tag != 0)
		dyn_simclient_delivered(world, frame->tag, link->to);
	dyn_simnode_take(world, link->to, &message);
}

static void
arrive_back(struct dyn_world *world, struct dyn_simevent *event,
			const struct link *link)
{
	struct frame *frame = event->data;
	struct dyn_slice bytes = { frame->bytes, frame->size };
	struct dyn_event message = { .type = DYN_EVENT_MESSAGE };
	const struct dyn_simnode *node;

	if (link->generation != frame->generation || !link->is_up)
		return;
	if (is_client(link->from))
	{
		dyn_simclient_take(world, link->from - DYN_SIM_NODES_MAX, link->to,
						   bytes);
		return;
	}
	node = &world->nodes[link->from];
	if (!dyn_simnode_is_up(world, link->from) || node->life != link->from_life)
		return;
	if (wait_in_socket(world, link->from, event))
		return;
	message.message.source = DYN_SOURCE_PEER;
	message.message.peer_index = link->peer_index;
	message.message.frame = bytes;
	dyn_simnode_take(world, link->from, &message);
}

void
dyn_simnet_arrive(struct dyn_world *world, struct dyn_simevent *event)
{
	const struct frame *frame = event->data;
	const struct link *link = &world->net->links[frame->link];

	if (frame->back)
		arrive_back(world, event, link);
	else
		arrive_at_node(world, event, link);
	dyn_simnet_drop(event);
}

/* It goes on: all that waits is taken, in its order, until it stands still
 * again. */
void
dyn_simnet_woken(struct dyn_world *world, uint32_t node)
{
	struct list waiting = world->net->sockets[node];
	struct frame *frame;

	if (world->nodes[node].paused_until_ms > world->now_ms)
		return;
	world->net->sockets[node] = (struct list){ 0 };
	while ((frame = take_first(&waiting)) != NULL)
	{
		struct dyn_simevent event = { .kind = DYN_WORLD_FRAME, .data = frame };

		dyn_simnet_arrive(world, &event);
	}
}

/* -------------------------------------------------------------- connections */

static uint64_t
link_event(uint32_t number, const struct link *link)
{
	return (uint64_t) link->generation << 32 | number;
}

/* The link of an event that still concerns it, or NULL. */
static struct link *
link_of_event(struct dyn_world *world, uint64_t what, uint32_t *number)
{
	struct link *link;

	*number = (uint32_t) what;
	link = &world->net->links[*number];
	if (!link->used || link->generation != (uint32_t) (what >> 32) ||
		!dyn_simnode_is_up(world, link->from) ||
		world->nodes[link->from].life != link->from_life)
		return NULL;
	return link;
}

static void
try_later(struct dyn_world *world, uint32_t number, uint32_t ms_max)
{
	struct link *link = &world->net->links[number];

	dyn_world_push(
		world, world->now_ms + 1 + dyn_simrandom_below(&link->random, ms_max),
		DYN_WORLD_LINK_TRY, 0, link_event(number, link), NULL);
}

void
dyn_simnet_connect(struct dyn_world *world, uint32_t node, uint32_t peer_index,
				   struct dyn_slice address)
{
	uint32_t number = node * PEERS_MAX + peer_index;
	struct link *link = &world->net->links[number];

	if (peer_index >= PEERS_MAX)
	{
		dyn_world_violation(world, "net", "node %u has %u peers", node,
							peer_index);
		return;
	}
	for (uint32_t to = 0; to < DYN_SIM_NODES_MAX; to++)
		if (dyn_slice_equal(address, dyn_slice_of(world->nodes[to].address)))
		{
			struct link old = *link;

			*link = (struct link){ .used = true,
								   .from = node,
								   .to = to,
								   .peer_index = peer_index,
								   .generation = old.generation + 1,
								   .from_life = world->nodes[node].life,
								   .random = old.random };
			/* The kernel goes on for a process that is no more. */
			memcpy(link->held, old.held, sizeof(link->held));
			memcpy(link->tries, old.tries, sizeof(link->tries));
			try_later(world, number, 50);
			return;
		}
	dyn_world_violation(world, "net", "node %u connects to an unknown address",
						node);
}

static void
tell(struct dyn_world *world, const struct link *link, enum dyn_event_type type)
{
	struct dyn_event event = { .type = type };

	event.peer.peer_index = link->peer_index;
	dyn_simnode_take(world, link->from, &event);
}

void
dyn_simnet_try(struct dyn_world *world, uint64_t what)
{
	uint32_t number;
	struct link *link = link_of_event(world, what, &number);

	if (link == NULL || link->is_up)
		return;
	if (!dyn_simnode_is_up(world, link->to) ||
		is_blocked(world, link->from, link->to, DYN_PLANE_CONTROL) ||
		is_blocked(world, link->to, link->from, DYN_PLANE_CONTROL) ||
		world->nodes[link->from].paused_until_ms > world->now_ms ||
		world->nodes[link->to].paused_until_ms > world->now_ms)
	{
		try_later(world, number, 300);
		return;
	}
	link->is_up = true;
	link->generation++;
	link->to_life = world->nodes[link->to].life;
	tell(world, link, DYN_EVENT_PEER_UP);
}

/* ---- of clients that act as the extension ---- */

static void
client_loses_later(struct dyn_world *world, uint32_t number, uint64_t ms_min,
				   uint64_t ms_max)
{
	struct link *link = &world->net->links[number];

	if (link->used && is_client(link->from) &&
		dyn_simclient_is_extension(world, link->from - DYN_SIM_NODES_MAX))
		dyn_world_push(world,
					   world->now_ms +
						   dyn_simrandom_between(&link->random, ms_min, ms_max),
					   DYN_WORLD_LINK_LOST, 0, link_event(number, link), NULL);
}

/* Is it broken, or has ZeroMQ heard no heartbeat for so long? */
static void
client_may_lose(struct dyn_world *world, uint64_t what)
{
	struct link *link = &world->net->links[(uint32_t) what];
	uint32_t node = link->to;

	if (!link->used || link->generation != (uint32_t) (what >> 32) ||
		(!link->is_severed && dyn_simnode_is_up(world, node) &&
		 world->nodes[node].life == link->to_life &&
		 world->nodes[node].paused_until_ms <= world->now_ms &&
		 !is_blocked(world, link->from, node, DYN_PLANE_DATA) &&
		 !is_blocked(world, node, link->from, DYN_PLANE_DATA)))
		return;
	link->used = link->is_up = link->is_severed = false;
	link->generation++;
	dyn_simclient_lost(world, link->from - DYN_SIM_NODES_MAX, node);
}

void
dyn_simnet_sever(struct dyn_world *world, uint32_t client, uint32_t node,
				 uint64_t ms)
{
	uint32_t number = client_link(client, node);

	dyn_world_fault(world, DYN_FAULT_client_severed);
	world->net->links[number].is_severed = true;
	client_loses_later(world, number, ms, ms);
}

void
dyn_simnet_stopped(struct dyn_world *world, uint32_t node)
{
	for (uint32_t client = 0; client < DYN_SIM_CLIENTS_MAX; client++)
		client_loses_later(world, client_link(client, node), SILENT_MS_MIN,
						   SILENT_MS_MAX);
}

void
dyn_simnet_lost(struct dyn_world *world, uint64_t what)
{
	uint32_t number;
	struct link *link;

	if (is_client(world->net->links[(uint32_t) what].from))
	{
		client_may_lose(world, what);
		return;
	}
	link = link_of_event(world, what, &number);
	if (link == NULL || !link->is_up)
		return;
	if (world->nodes[link->from].paused_until_ms > world->now_ms)
	{
		dyn_world_push(world, world->nodes[link->from].paused_until_ms,
					   DYN_WORLD_LINK_LOST, 0, what, NULL);
		return;
	}
	link->is_up = false;
	link->generation++;
	try_later(world, number, 300);
	tell(world, link, DYN_EVENT_PEER_DOWN);
}

static void
lose_later(struct dyn_world *world, uint32_t number, uint64_t ms_min,
		   uint64_t ms_max)
{
	struct link *link = &world->net->links[number];

	if (link->used && link->is_up && !is_client(link->from))
		dyn_world_push(world,
					   world->now_ms +
						   dyn_simrandom_between(&link->random, ms_min, ms_max),
					   DYN_WORLD_LINK_LOST, 0, link_event(number, link), NULL);
}

/* ------------------------------------------------------------------ trouble */

/* TCP or ZeroMQ's heartbeat notice in some cases, later. */
static void
lose_cut_links(struct dyn_world *world, const struct partition *partition)
{
	for (uint32_t i = 0; i < LINKS_MAX; i++)
	{
		struct link *link = &world->net->links[i];

		if (link->used && (partition->cuts[link->from][link->to] ||
						   partition->cuts[link->to][link->from]))
			client_loses_later(world, i, SILENT_MS_MIN, SILENT_MS_MAX);
		if (link->used &&
			(partition->cuts[link->from][link->to] ||
			 partition->cuts[link->to][link->from]) &&
			dyn_simrandom_below(&link->random, 3) != 0)
			lose_later(world, i, 500, 5000);
	}
}

void
dyn_simnet_block(struct dyn_world *world, uint32_t from, uint32_t to,
				 bool blocked)
{
	struct partition *first = &world->net->partitions[0];
	struct partition one = { .planes = BOTH_PLANES };

	first->planes = BOTH_PLANES;
	first->cuts[from][to] = blocked;
	one.cuts[from][to] = blocked;
	lose_cut_links(world, &one);
}

void
dyn_simnet_cut(struct dyn_world *world, const dyn_simnet_cuts cuts,
			   uint32_t planes, uint64_t until_ms)
{
	struct dyn_simnet *net = world->net;

	for (uint32_t i = 1; i < PARTITIONS_MAX; i++)
	{
		struct partition *partition = &net->partitions[i];

		if (partition->planes != 0)
			continue;
		partition->planes = planes;
		partition->serial = ++net->partition_serial;
		memcpy(partition->cuts, cuts, sizeof(partition->cuts));
		lose_cut_links(world, partition);
		dyn_world_push(world, until_ms, DYN_WORLD_MEND, i, partition->serial,
					   NULL);
		return;
	}
}

void
dyn_simnet_mend(struct dyn_world *world, uint32_t index, uint64_t serial)
{
	struct partition *partition = &world->net->partitions[index];

	if (partition->serial == serial)
		partition->planes = 0;
}

void
dyn_simnet_heal(struct dyn_world *world)
{
	memset(world->net->partitions, 0, sizeof(world->net->partitions));
	memset(world->net->clogged_until_ms, 0,
		   sizeof(world->net->clogged_until_ms));
	for (uint32_t i = 0; i < LINKS_MAX; i++)
		for (uint32_t k = 0; k < 4; k++)
			let_go(world, i, k / 2, (enum dyn_plane)(k % 2));
}

void
dyn_simnet_clog(struct dyn_world *world, uint32_t from, uint32_t to,
				uint64_t until_ms)
{
	uint64_t *until = &world->net->clogged_until_ms[from][to];

	if (*until < until_ms)
		*until = until_ms;
}

void
dyn_simnet_break(struct dyn_world *world, uint32_t node, uint32_t peer)
{
	for (uint32_t i = 0; i < PEERS_MAX; i++)
	{
		const struct link *link = &world->net->links[node * PEERS_MAX + i];

		if (link->used && link->to == peer)
			lose_later(world, node * PEERS_MAX + i, 0, 0);
	}
}

void
dyn_simnet_hang_up(struct dyn_world *world, uint32_t client)
{
	uint32_t first = client_link(client, 0);

	for (uint32_t i = first; i < first + DYN_SIM_NODES_MAX; i++)
	{
		world->net->links[i].used = world->net->links[i].is_up = false;
		world->net->links[i].generation++;
	}
}

void
dyn_simnet_node_down(struct dyn_world *world, uint32_t node)
{
	drop_all(&world->net->sockets[node]);
	for (uint32_t i = 0; i < LINKS_MAX; i++)
	{
		struct link *link = &world->net->links[i];

		if (!link->used)
			continue;
		if (link->to == node)
		{
			lose_later(world, i, 0, 60);
			client_loses_later(world, i, 0, 60);
		}
		if (link->from == node)
		{
			link->is_up = false;
			link->generation++;
		}
	}
}
