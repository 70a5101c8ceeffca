#include "tests/sim/simview.h"

static int64_t
draw(const struct dyn_world *world, struct dyn_simrandom *random)
{
	uint32_t max_ms = world->swarm.skew_ms_max;

	return (int64_t) dyn_simrandom_below(random, max_ms + UINT64_C(1)) -
		   max_ms / 2;
}

void
dyn_simview_spread(struct dyn_world *world)
{
	struct dyn_simrandom random = dyn_simrandom_stream(world->seed, 0x736b6577);

	if (world->swarm.skew_ms_max == 0)
		return;
	for (uint32_t i = 0; i < DYN_SIM_NODES_MAX; i++)
		world->nodes[i].wall_offset_ms = draw(world, &random);
	for (uint32_t i = 0; i < DYN_SIM_CLIENTS_MAX; i++)
		if (world->clients[i] != NULL)
			world->clients[i]->wall_offset_ms = draw(world, &random);
}

void
dyn_simview_note(const struct dyn_world *world, struct dyn_simclient *self,
				 uint32_t node, enum dyn_message_type type,
				 const ProtobufCMessage *body)
{
	uint64_t view_ms = dyn_message_view_ms(type, body);

	if (view_ms != 0 && node < DYN_SIM_NODES_MAX)
		self->told[node] = (struct dyn_told_view){ view_ms, world->now_ms };
}

uint64_t
dyn_simview_ms(const struct dyn_world *world, const struct dyn_simclient *self)
{
	struct dyn_view view = dyn_view_begin(
		world->now_ms,
		(uint64_t) ((int64_t) dyn_world_wall_ms(world) + self->wall_offset_ms));

	for (uint32_t i = 0; i < DYN_SIM_NODES_MAX; i++)
		dyn_view_add(&view, &self->told[i]);
	return dyn_view_end(&view);
}
