/*
 * W5: what is removed together is gone everywhere, and does not come back.
 *
 * For each key the dots are kept that owners have given up: those of contexts
 * that were removed, or made shorter.  When a record goes, no other owner may
 * hold a version that it covered, nor a hint, nor a frame that an owner would
 * still take; and none is ever stored again.
 */
#include "core/building.h"
#include "core/request.h"
#include "core/state.h"
#include "model/hash.h"
#include "tests/sim/simnet.h"
#include "tests/sim/whitebox_state.h"

#include <stdlib.h>
#include <string.h>

/* What is being given up by one owner. */
struct removal
{
	struct dyn_world *world;
	uint32_t node;
	uint32_t key;
	uint16_t partition;
	struct dyn_clock dots;
	struct dyn_object object; /* that goes; no versions when it is pruned */
	bool pruned;
};

static const struct dyn_allocator *
scratch(const struct dyn_world *world)
{
	return &world->whitebox->arena.allocator;
}

static uint16_t
partition_of(const struct dyn_world *world, uint32_t key)
{
	char buffer[32];

	return dyn_hash_partition(dyn_sim_record_key(key, buffer).cell,
							  (uint16_t) world->swarm.partition_count);
}

/* The floor that the node's disk tells of. */
static uint64_t
floor_on_disk(const struct dyn_world *world, uint32_t node, uint16_t partition)
{
	struct dyn_record_key place = { .key = dyn_slice_of("fence") };
	const struct dyn_simrecord *record =
		dyn_simdisk_get(world->nodes[node].disk, DYN_TABLE_META, &place);
	const uint8_t *p;
	uint64_t floor = 0;

	if (record == NULL)
		return 0;
	p = dyn_simblob_slice(record->object).data + 3 + 16 * partition + 8;
	for (int i = 7; i >= 0; i--)
		floor = floor << 8 | p[i];
	return floor;
}

/* What a reader is shown of it now. */
static struct dyn_object
view_of(const struct dyn_world *world, const struct dyn_object *object)
{
	struct dyn_object seen = *object;
	size_t size = object->version_count * sizeof(*seen.versions);

	seen.versions = scratch(world)->allocate(scratch(world)->context, size + 1);
	if (size != 0)
		memcpy(seen.versions, object->versions, size);
	dyn_object_view(&seen, dyn_world_wall_ms(world));
	return seen;
}

static bool
has_version(const struct dyn_object *object, struct dyn_dot dot)
{
	for (uint32_t i = 0; i < object->version_count; i++)
		if (dyn_dot_compare(object->versions[i].dot, dot) == 0)
			return true;
	return false;
}

/* Would this object bring back something of what goes? What has expired, and
 * goes for that, may still lie elsewhere: nobody is shown it. */
static bool
brings_back(const struct removal *self, const struct dyn_object *object)
{
	struct dyn_object seen = view_of(self->world, object);

	for (uint32_t i = 0; i < object->version_count; i++)
	{
		struct dyn_dot dot = object->versions[i].dot;

		if (!dyn_clock_covers(&self->dots, dot))
			continue;
		if (!has_version(&self->object, dot) ||
			(has_version(&seen, dot) && object->versions[i].expires_at_ms == 0))
			return true;
	}
	return false;
}

/* ---------------------------------------------------------- when it goes */

static bool
read_disk(const struct dyn_world *world, uint32_t node, enum dyn_table table,
		  uint32_t key, struct dyn_object *object, bool *damaged)
{
	char buffer[32];
	struct dyn_record_key place = dyn_sim_record_key(key, buffer);
	const struct dyn_simrecord *record =
		dyn_simdisk_get(world->nodes[node].disk, table, &place);

	*damaged = record != NULL && record->corrupt;
	return record != NULL && !record->corrupt &&
		   dyn_object_decode(dyn_simblob_slice(record->object), scratch(world),
							 object) == DYN_STATUS_OK;
}

/* Does it know of all that goes, or has it given it up before? */
static bool
knows(const struct removal *self, const struct dyn_object *object)
{
	const struct dyn_clock *given_up =
		&self->world->whitebox->given_up[self->key];
	struct dyn_clock known;

	if (dyn_clock_union(&object->context, given_up, scratch(self->world),
						&known) != DYN_STATUS_OK)
		return false;
	/* Of equal objects with versions the contexts may differ. */
	if (self->object.version_count == 0)
		return dyn_clock_descends(&known, &self->dots);
	for (uint32_t i = 0; i < self->object.version_count; i++)
		if (!dyn_clock_covers(&known, self->object.versions[i].dot))
			return false;
	return true;
}

static void
check_owner(const struct removal *self, uint32_t other)
{
	struct dyn_world *world = self->world;
	const struct dyn_node *node = world->nodes[other].node;
	struct dyn_object object = { .version_count = 0 };
	bool damaged;

	/* Whose store went back in time knows it soon, and begins anew. */
	if (node == NULL || dyn_building_is(node, self->partition) ||
		floor_on_disk(world, other, self->partition) <
			floor_on_disk(world, self->node, self->partition))
		return;
	read_disk(world, other, DYN_TABLE_MAIN, self->key, &object, &damaged);
	if (damaged)
		return;
	/* What is written over a damaged record may have given it up unseen. */
	if (brings_back(self, &object) ||
		(world->nodes[other].damaged_ms[self->key] == 0 &&
		 !knows(self, &object)))
		dyn_world_violation(
			world, "W5", "node %u gives up what node %u %s of key %u",
			self->node, other,
			brings_back(self, &object) ? "has older versions" : "knows nothing",
			self->key);
}

static void
check_hints(const struct removal *self, uint32_t other)
{
	struct dyn_world *world = self->world;
	struct dyn_object object;
	bool damaged;

	if (floor_on_disk(world, other, self->partition) <
			floor_on_disk(world, self->node, self->partition) ||
		!read_disk(world, other, DYN_TABLE_HINTS, self->key, &object,
				   &damaged) ||
		!brings_back(self, &object))
		return;
	dyn_world_violation(world, "W5",
						"node %u gives up what node %u has a hint of, key %u",
						self->node, other, self->key);
}

static void
check_frame(void *context, uint32_t to, struct dyn_slice bytes)
{
	const struct removal *self = context;
	struct dyn_world *world = self->world;
	struct dyn_envelope env = { 0 };
	struct dyn_arena arena;
	ProtobufCMessage *body;
	bool owners[DYN_SIM_NODES_MAX];

	if (bytes.size <= 5 || bytes.data[5] != DYN_MESSAGE_REPLICATE ||
		dyn_envelope_open(bytes, &env) != DYN_STATUS_OK ||
		!dyn_whitebox_owners(world, self->key, owners) || !owners[to])
		return;
	dyn_arena_init(&arena, dyn_allocator_malloc(), 4096);
	if (dyn_message_unpack(&env, &arena.allocator, &body) == DYN_STATUS_OK)
	{
		const Dyn__ReplicateRequest *request = (Dyn__ReplicateRequest *) body;

		for (size_t i = 0; i < request->n_ops; i++)
		{
			const Dyn__ReplicateOp *op = request->ops[i];
			struct dyn_object object;
			uint32_t key;

			if (!dyn_sim_key_number(dyn_slice_of_bytes(op->key), &key) ||
				key != self->key ||
				op->fence < floor_on_disk(world, to, self->partition) ||
				dyn_object_decode(dyn_slice_of_bytes(op->object),
								  &arena.allocator, &object) != DYN_STATUS_OK ||
				!brings_back(self, &object))
				continue;
			dyn_world_violation(world, "W5",
								"node %u gives up what a frame brings to node "
								"%u, key %u",
								self->node, to, key);
		}
	}
	dyn_arena_destroy(&arena);
}

static void
give_up(struct removal *self)
{
	struct dyn_world *world = self->world;
	struct dyn_clock *given_up = &world->whitebox->given_up[self->key];
	struct dyn_allocator allocator = dyn_allocator_malloc();
	struct dyn_clock more;
	bool owners[DYN_SIM_NODES_MAX] = { false };

	dyn_whitebox_owners(world, self->key, owners);
	for (uint32_t i = 0; i < world->swarm.node_count; i++)
		if (owners[i] && i != self->node)
			check_owner(self, i);
		else if (!owners[i])
			check_hints(self, i);
	dyn_simnet_each_request(world, check_frame, self);
	if (dyn_clock_union(given_up, &self->dots, &allocator, &more) ==
		DYN_STATUS_OK)
	{
		free(given_up->ranges);
		*given_up = more;
	}
	dyn_world_fault(world, self->pruned ? DYN_FAULT_context_pruned
										: DYN_FAULT_record_reaped);
}

/* -------------------------------------------------------------- every store */

/* Dots of a that b does not cover. */
static struct dyn_clock
difference(const struct dyn_world *world, const struct dyn_clock *a,
		   const struct dyn_clock *b)
{
	struct dyn_clock out = { 0 };
	size_t size = (a->range_count + 1) * sizeof(*out.ranges);

	/* Whole actors go, never a part of one; a writer's old context may bring
	 * some of it back in the same STORE. */
	out.ranges = scratch(world)->allocate(scratch(world)->context, size);
	for (uint32_t i = 0; i < a->range_count; i++)
		if (dyn_clock_counter(b, a->ranges[i].actor) <
			dyn_clock_counter(a, a->ranges[i].actor))
			out.ranges[out.range_count++] = a->ranges[i];
	return out;
}

static bool
has_version_of(const struct dyn_object *object, const struct dyn_clock *dots)
{
	for (uint32_t i = 0; i < object->version_count; i++)
		if (dyn_clock_covers(dots, object->versions[i].dot))
			return true;
	return false;
}

/* Is the store being built up without knowing yet of deletes that another
 * owner's disk tells of?  It answers no reads, and discards what it has when it
 * meets that owner. */
static bool
is_of_the_past(struct dyn_world *world, uint32_t node, uint32_t key)
{
	const struct dyn_node *core = world->nodes[node].node;
	uint16_t partition = partition_of(world, key);
	bool owners[DYN_SIM_NODES_MAX] = { false };

	dyn_whitebox_owners(world, key, owners);
	for (uint32_t i = 0; i < world->swarm.node_count; i++)
		if (owners[i] && !dyn_building_answers(core, partition) &&
			floor_on_disk(world, i, partition) >
				dyn_fence_floor(core, partition))
			return true;
	return false;
}

/* Is something shown again that was given up? Who held it all the time (a
 * store that came back from the past) does not count, nor does a store that is
 * filled from such a one. */
static void
check_return(struct dyn_world *world, uint32_t node, uint32_t key,
			 const struct dyn_object *object, const struct dyn_object *before)
{
	const struct dyn_clock *given_up = &world->whitebox->given_up[key];
	struct dyn_object seen = view_of(world, object);

	for (uint32_t i = 0; i < seen.version_count; i++)
	{
		const struct dyn_version *version = &seen.versions[i];

		if (!dyn_clock_covers(given_up, version->dot) ||
			has_version(before, version->dot) ||
			is_of_the_past(world, node, key) ||
			(version->expires_at_ms != 0 &&
			 (world->swarm.wall_period_ms > 0 || world->swarm.skew_ms_max > 0)))
			continue;
		dyn_world_violation(world, "W5",
							"node %u stores what was given up of key %u", node,
							key);
	}
}

void
dyn_whitebox_reap(struct dyn_world *world, uint32_t node,
				  const struct dyn_write *write)
{
	struct removal removal = { .world = world, .node = node };
	struct dyn_object before = { .version_count = 0 };
	struct dyn_object after = { .version_count = 0 };
	bool damaged;

	if (node >= world->swarm.node_count || write->table == DYN_TABLE_META ||
		!dyn_sim_key_number(write->key.key, &removal.key) ||
		removal.key >= world->history.key_count)
		return;
	dyn_arena_reset(&world->whitebox->arena);
	removal.partition = partition_of(world, removal.key);
	if (write->object.size != 0 &&
		dyn_object_decode(write->object, scratch(world), &after) !=
			DYN_STATUS_OK)
		return;
	read_disk(world, node, write->table, removal.key, &before, &damaged);
	if (write->object.size != 0)
		check_return(world, node, removal.key, &after, &before);
	if (write->table != DYN_TABLE_MAIN || damaged ||
		!dyn_building_takes(world->nodes[node].node, removal.partition) ||
		dyn_clock_descends(&after.context, &before.context))
		return;
	removal.dots = difference(world, &before.context, &after.context);
	/* One STORE can remove it and make it anew, also with most of its actors,
	 * of a writer's old context; but what is pruned has no versions. */
	removal.pruned = removal.dots.range_count < before.context.range_count &&
					 !has_version_of(&before, &removal.dots);
	if (!removal.pruned)
		removal.object = before;
	/* Its removal, or another owner's part of it, was looked at already, and
	 * is not on this disk yet. */
	if (write->object.size != 0 &&
		dyn_clock_descends(&world->whitebox->given_up[removal.key],
						   &removal.dots))
		return;
	give_up(&removal);
}

bool
dyn_whitebox_gave_up(const struct dyn_world *world, uint32_t key,
					 struct dyn_dot dot)
{
	return key < DYN_SIM_KEYS_MAX &&
		   dyn_clock_covers(&world->whitebox->given_up[key], dot);
}

/* ---------------------------------------------------- floors and marks */

/* Requests that began before the stamp rose, and could still send something. */
static bool
is_old(const struct dyn_request *request, const struct dyn_fence_place *place)
{
	return request->serial < place->stamped_serial &&
		   request->kind->makes_objects;
}

void
dyn_whitebox_floor(struct dyn_world *world, uint32_t node)
{
	const struct dyn_node *core = world->nodes[node].node;
	const struct dyn_request *request;

	if (node >= world->swarm.node_count || core == NULL ||
		core->fence.places == NULL)
		return;
	for (uint16_t p = 0; p < world->swarm.partition_count; p++)
	{
		const struct dyn_fence_place *place = &core->fence.places[p];

		if (place->floor <= floor_on_disk(world, node, p) ||
			place->wanted_stamp != 0)
			continue;
		for (request = core->requests; request != NULL;
			 request = request->hh.next)
			if (is_old(request, place))
				dyn_world_violation(world, "W5",
									"node %u raises its floor of partition %u "
									"beside older requests",
									node, p);
	}
}

void
dyn_whitebox_mark(struct dyn_world *world, uint32_t node,
				  const Dyn__ReplicateRequest *request,
				  const Dyn__ReplicateOp *op)
{
	uint64_t floor;
	uint32_t key;
	bool owners[DYN_SIM_NODES_MAX];

	if (node >= world->swarm.node_count || request->repair ||
		!dyn_sim_key_number(dyn_slice_of_bytes(op->key), &key))
		return;
	/* A write carries its request, a repair says so: what is left are hints on
	 * their way home. */
	if (op->n_request_ids != 0 || request->hint_slots != 0 ||
		!dyn_whitebox_owners(world, key, owners) || owners[node])
		return;
	floor = dyn_fence_floor(world->nodes[node].node, partition_of(world, key));
	if (op->fence > floor)
		dyn_world_violation(world, "W5",
							"node %u marks a hint of key %u with %d, its floor "
							"is %d",
							node, key, (int) op->fence, (int) floor);
}

/* ------------------------------------------------------------- at the end */

bool
dyn_whitebox_is_dead(struct dyn_world *world, uint32_t key)
{
	bool owners[DYN_SIM_NODES_MAX] = { false };
	uint64_t margin_ms =
		world->swarm.grace_ms < 60000 ? world->swarm.grace_ms : 60000;

	dyn_whitebox_owners(world, key, owners);
	for (uint32_t i = 0; i < world->swarm.node_count; i++)
	{
		struct dyn_object object;
		bool damaged;

		dyn_arena_reset(&world->whitebox->arena);
		if (owners[i] &&
			read_disk(world, i, DYN_TABLE_MAIN, key, &object, &damaged) &&
			dyn_object_is_dead(&object, dyn_world_wall_ms(world) - margin_ms))
			return true;
	}
	return false;
}
