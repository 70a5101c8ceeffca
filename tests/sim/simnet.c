#include "tests/sim/simnet.h"

#include "tests/sim/newer.h"
#include "tests/sim/simclient.h"

#include <stdlib.h>
#include <string.h>

enum
{
	PEERS_MAX = 64,
	LINKS_MAX =
		DYN_SIM_NODES_MAX * PEERS_MAX + DYN_SIM_CLIENTS_MAX * DYN_SIM_NODES_MAX,
	PARTITIONS_MAX = 8, /* at the same time; the first is dyn_simnet_block's */
	BOTH_PLANES = 1 << DYN_PLANE_DATA | 1 << DYN_PLANE_CONTROL
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
	uint64_t last_ms[2][2]; /* by way (there, back) and plane: keeps order */
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
};

/* A frame on its way. */
struct frame
{
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

void
dyn_simnet_free(struct dyn_simnet **self)
{
	free(*self);
	*self = NULL;
}

void
dyn_simnet_each_request(struct dyn_world *world,
						void (*look)(void *context, uint32_t to,
									 struct dyn_slice frame),
						void *context)
{
	for (uint32_t i = 0; i < world->queue.count; i++)
	{
		const struct dyn_simevent *event = &world->queue.items[i];
		struct frame *frame = event->data;
		uint32_t to;

		if (event->kind != DYN_WORLD_FRAME || frame == NULL || frame->back)
			continue;
		to = world->net->links[frame->link].to;
		if (dyn_simnode_is_up(world, to) &&
			world->nodes[to].life == frame->to_life)
			look(context, to, (struct dyn_slice){ frame->bytes, frame->size });
	}
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

static void
launch(struct dyn_world *world, uint32_t number, bool back,
	   enum dyn_plane plane, uint32_t generation, uint64_t tag,
	   struct dyn_slice bytes)
{
	struct link *link = &world->net->links[number];
	struct frame *frame = malloc(sizeof(*frame) + bytes.size);
	uint64_t at_ms = arrival(world, link, back, plane);

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
	if (bytes.size > 0 &&
		chance(world, link, world->swarm.damage_rate, DYN_FAULT_frame_damaged))
	{
		frame->bytes[dyn_simrandom_below(&link->random, bytes.size)] ^=
			(uint8_t) (1U << dyn_simrandom_below(&link->random, 8));
		frame->tag = 0; /* nobody will take it for what it was */
	}
	dyn_world_push(world, at_ms, DYN_WORLD_FRAME, 0, 0, frame);
}

static void
post_as_is(struct dyn_world *world, uint32_t number, bool back,
		   enum dyn_plane plane, uint32_t generation, uint64_t tag,
		   struct dyn_slice bytes)
{
	struct link *link = &world->net->links[number];
	uint32_t from = back ? link->to : link->from;
	uint32_t to = back ? link->from : link->to;

	if (is_blocked(world, from, to, plane))
	{
		dyn_world_fault(world, DYN_FAULT_frame_blocked);
		return;
	}
	if (chance(world, link, world->swarm.drop_rate, DYN_FAULT_frame_dropped))
		return;
	launch(world, number, back, plane, generation, tag, bytes);
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
	uint32_t number =
		DYN_SIM_NODES_MAX * PEERS_MAX + client * DYN_SIM_NODES_MAX + node;
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

static void
arrive_at_node(struct dyn_world *world, struct dyn_simevent *event,
			   const struct link *link)
{
	struct frame *frame = event->data;
	const struct dyn_simnode *node = &world->nodes[link->to];
	struct dyn_event message = { .type = DYN_EVENT_MESSAGE };

	if (!dyn_simnode_is_up(world, link->to) || node->life != frame->to_life)
		return;
	if (node->paused_until_ms > world->now_ms)
	{
		dyn_world_push(world, node->paused_until_ms, DYN_WORLD_FRAME, 0, 0,
					   frame);
		event->data = NULL;
		return;
	}
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
	if (node->paused_until_ms > world->now_ms)
	{
		dyn_world_push(world, node->paused_until_ms, DYN_WORLD_FRAME, 0, 0,
					   frame);
		event->data = NULL;
		return;
	}
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
			uint32_t generation = link->generation + 1;
			struct dyn_simrandom random = link->random;

			*link = (struct link){ .used = true,
								   .from = node,
								   .to = to,
								   .peer_index = peer_index,
								   .generation = generation,
								   .from_life = world->nodes[node].life,
								   .random = random };
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

void
dyn_simnet_lost(struct dyn_world *world, uint64_t what)
{
	uint32_t number;
	struct link *link = link_of_event(world, what, &number);

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
	uint32_t first = DYN_SIM_NODES_MAX * PEERS_MAX + client * DYN_SIM_NODES_MAX;

	for (uint32_t i = first; i < first + DYN_SIM_NODES_MAX; i++)
	{
		world->net->links[i].used = world->net->links[i].is_up = false;
		world->net->links[i].generation++;
	}
}

void
dyn_simnet_node_down(struct dyn_world *world, uint32_t node)
{
	for (uint32_t i = 0; i < LINKS_MAX; i++)
	{
		struct link *link = &world->net->links[i];

		if (!link->used)
			continue;
		if (link->to == node)
			lose_later(world, i, 0, 60);
		if (link->from == node)
		{
			link->is_up = false;
			link->generation++;
		}
	}
}
