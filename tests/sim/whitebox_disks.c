/*
 * What is on the disks: is an acknowledged write there, are all equal?
 */
#include "model/hash.h"
#include "tests/sim/simreal.h"
#include "tests/sim/whitebox_state.h"

#include <stdio.h>
#include <string.h>

/* Was it replaced before it left the node?  Only a write that replaces what
 * nobody has read can do that.  What an earlier attempt had sent, and everybody
 * has given up, says nothing of this one. */
static bool
may_have_vanished(const struct dyn_world *world, uint32_t op)
{
	const struct dyn_history_key *key =
		&world->history.keys[world->history.ops[op].key];

	if (op < world->whitebox->write_capacity &&
		world->whitebox->writes[op].count > 0 &&
		dyn_simwrite_of(world, op)->attempt_count < 2)
		return false;
	if (world->swarm.lww)
		return true;
	for (uint32_t i = 0; i < key->op_count; i++)
		if (world->history.ops[key->ops[i]].mode == DYN_HISTORY_REPLACE)
			return true;
	return false;
}

/* ------------------------------------------------- W2: what disks hold of it */

static bool
read_record(const struct dyn_world *world, uint32_t node, enum dyn_table table,
			uint32_t key, struct dyn_object *object)
{
	char buffer[32];
	struct dyn_record_key record_key = dyn_sim_record_key(key, buffer);
	const struct dyn_simrecord *record =
		dyn_simdisk_get(world->nodes[node].disk, table, &record_key);

	return record != NULL &&
		   dyn_object_decode(dyn_simblob_slice(record->object),
							 &world->whitebox->arena.allocator,
							 object) == DYN_STATUS_OK;
}

static bool
covers_write(const struct dyn_world *world, const struct dyn_object *object,
			 uint32_t op)
{
	const struct dyn_whitebox *self = world->whitebox;
	const struct dyn_simwrite *write = dyn_simwrite_of(world, op);
	struct dyn_clock context;
	struct dyn_clock known;

	for (uint32_t i = 0;
		 op < self->write_capacity && i < self->writes[op].count; i++)
		if (dyn_clock_covers(&object->context, self->writes[op].items[i]))
			return true;
	if (world->history.ops[op].kind != DYN_HISTORY_DELETE ||
		write->context.size == 0)
		return false;
	/* A delete: its context is known here, and nothing of it is live. */
	if (dyn_clock_decode(write->context, false,
						 &world->whitebox->arena.allocator,
						 &context) != DYN_STATUS_OK ||
		dyn_clock_union(&object->context, &self->given_up[write->key],
						&world->whitebox->arena.allocator,
						&known) != DYN_STATUS_OK ||
		!dyn_clock_descends(&known, &context))
		return false;
	for (uint32_t i = 0; i < object->version_count; i++)
		if (dyn_clock_covers(&context, object->versions[i].dot))
			return false;
	return true;
}

/* Have its owners removed it, with what had replaced it? */
static bool
was_reaped(const struct dyn_world *world, uint32_t op)
{
	const struct dyn_whitebox *self = world->whitebox;
	const struct dyn_simwrite *write = dyn_simwrite_of(world, op);
	const struct dyn_clock *given_up = &self->given_up[write->key];
	struct dyn_clock context;

	for (uint32_t i = 0;
		 op < self->write_capacity && i < self->writes[op].count; i++)
		if (dyn_clock_covers(given_up, self->writes[op].items[i]))
			return true;
	return world->history.ops[op].kind == DYN_HISTORY_DELETE &&
		   write->context.size != 0 &&
		   dyn_clock_decode(write->context, false, &self->arena.allocator,
							&context) == DYN_STATUS_OK &&
		   dyn_clock_descends(given_up, &context);
}

static bool
took(const struct dyn_whitebox *self, uint32_t node, uint32_t op)
{
	return op < self->write_capacity &&
		   (self->writes[op].takers >> node & 1) != 0;
}

/* In its own record, or in what it holds for somebody else. */
static bool
is_on_disk(const struct dyn_world *world, uint32_t node, uint32_t op,
		   const bool *owners)
{
	uint32_t key = world->history.ops[op].key;
	struct dyn_object object;

	return (owners[node] &&
			read_record(world, node, DYN_TABLE_MAIN, key, &object) &&
			covers_write(world, &object, op)) ||
		   (read_record(world, node, DYN_TABLE_HINTS, key, &object) &&
			covers_write(world, &object, op));
}

/* ... or on the disk of a copy that was taken for the node. */
static bool
is_held_by(const struct dyn_world *world, uint32_t node, uint32_t op,
		   const bool *owners)
{
	bool copy[DYN_SIM_NODES_MAX] = { [DYN_SIM_CLONE] = owners[node] };

	return is_on_disk(world, node, op, owners) ||
		   (world->nodes[DYN_SIM_CLONE].life > 0 &&
			world->nodes[DYN_SIM_CLONE].twin == node &&
			is_on_disk(world, DYN_SIM_CLONE, op, copy));
}

uint32_t
dyn_whitebox_holders(const struct dyn_world *world, uint32_t op,
					 bool takers_only)
{
	bool owners[DYN_SIM_NODES_MAX];
	uint32_t count = 0;

	if (!dyn_whitebox_owners(world, world->history.ops[op].key, owners))
		return 0;
	dyn_arena_reset(&world->whitebox->arena);
	for (uint32_t i = 0; i < world->swarm.node_count; i++)
		/* Who asks for takers asks who can tell a retry of it: owners. */
		if (!takers_only || (owners[i] && took(world->whitebox, i, op)))
			count += is_held_by(world, i, op, owners) ||
					 (owners[i] && was_reaped(world, op));
	return count;
}

bool
dyn_whitebox_is_stored(const struct dyn_world *world, uint32_t op)
{
	const struct dyn_simwrite *write = dyn_simwrite_of(world, op);

	dyn_arena_reset(&world->whitebox->arena);
	for (uint32_t i = 0; i < world->swarm.node_count; i++)
	{
		struct dyn_object object;

		if ((read_record(world, i, DYN_TABLE_MAIN, write->key, &object) &&
			 dyn_object_has_request(&object, &write->request)) ||
			(read_record(world, i, DYN_TABLE_HINTS, write->key, &object) &&
			 dyn_object_has_request(&object, &write->request)))
			return true;
	}
	return false;
}

/* Copies that the atlas took away since the write was sent are excused. */
static uint32_t
count_lost(const struct dyn_world *world, const struct dyn_simwrite *write)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < world->swarm.node_count; i++)
		count += world->nodes[i].lost_at_ms >= write->first_ms;
	return count;
}

/* W2: as many synced copies as the writer asked for, wherever they lie. */
void
dyn_whitebox_acknowledged(struct dyn_world *world, uint32_t node, uint32_t op)
{
	const struct dyn_simwrite *write = dyn_simwrite_of(world, op);
	uint32_t needed = write->w ? write->w : world->swarm.w;
	uint32_t held;

	if (write->context.size == 0 &&
		world->history.ops[op].kind == DYN_HISTORY_DELETE)
		return; /* of whatever was there: nothing to look for */
	held = dyn_whitebox_holders(world, op, false) + count_lost(world, write);
	if (held < needed && !may_have_vanished(world, op))
		dyn_world_violation(world, "W2",
							"node %u acknowledges op %u (key %u, W %u) with "
							"%u disks",
							node, op, write->key, needed, held);
}

/* ------------------------------------------- W7: reads of committed state */

void
dyn_whitebox_told(struct dyn_world *world, uint32_t node,
				  const struct dyn_object *object)
{
	bool owners[DYN_SIM_NODES_MAX];
	struct dyn_object record = { .version_count = 0 };
	uint32_t key;

	/* Its key stands in each value.  What was held for another owner may be
	 * with that one by now. */
	if (object->version_count == 0 || object->versions[0].value.size < 8)
		return;
	memcpy(&key, object->versions[0].value.data, sizeof(key));
	if (key >= world->history.key_count ||
		!dyn_whitebox_owners(world, key, owners) || !owners[node])
		return;
	dyn_arena_reset(&world->whitebox->arena);
	(void) read_record(world, node, DYN_TABLE_MAIN, key, &record);
	for (uint32_t i = 0; i < object->version_count; i++)
		if (!dyn_clock_covers(&record.context, object->versions[i].dot) &&
			!dyn_whitebox_gave_up(world, key, object->versions[i].dot))
			dyn_world_violation(world, "W7",
								"node %u tells of key %u what is not on its "
								"disk",
								node, key);
}

/* ------------------------------------------------------ C6, C8: the disks */

static const struct dyn_ring *
any_ring(const struct dyn_world *world)
{
	for (uint32_t i = 0; i < world->swarm.node_count; i++)
		if (world->nodes[i].node != NULL &&
			dyn_node_ring(world->nodes[i].node) != NULL)
			return dyn_node_ring(world->nodes[i].node);
	return NULL;
}

static void
find_owners(const struct dyn_world *world, const struct dyn_ring *ring,
			uint16_t partition, bool owners[DYN_SIM_NODES_MAX])
{
	for (uint32_t i = 0; i < DYN_SIM_NODES_MAX; i++)
		owners[i] = false;
	for (uint8_t slot = 0; slot < ring->replica_count; slot++)
	{
		const struct dyn_member *member =
			dyn_ring_member(ring, &dyn_ring_slot(ring, partition, slot)->node);

		for (uint32_t i = 0; i < world->swarm.node_count; i++)
			if (strcmp(member->address, world->nodes[i].address) == 0)
				owners[i] = true;
	}
}

bool
dyn_whitebox_owners(const struct dyn_world *world, uint32_t key,
					bool owners[DYN_SIM_NODES_MAX])
{
	const struct dyn_ring *ring = any_ring(world);
	char buffer[32];

	if (ring == NULL)
		return false;
	find_owners(world, ring,
				dyn_hash_partition(dyn_sim_record_key(key, buffer).cell,
								   ring->partition_count),
				owners);
	return true;
}

/* The owners' hashes of one cell. */
static void
check_cell(struct dyn_world *world, uint16_t cell,
		   const bool owners[DYN_SIM_NODES_MAX])
{
	uint64_t first_hash = 0;
	bool any = false;

	for (uint32_t i = 0; i < world->swarm.node_count; i++)
	{
		uint64_t hash;

		if (!owners[i])
			continue;
		hash = dyn_simdisk_tree_hash(world->nodes[i].disk, DYN_TREE_CELL, cell);
		if (any && hash != first_hash)
			dyn_world_violation(world, "C7", "cell %u: another hash on node %u",
								cell, i);
		first_hash = hash;
		any = true;
	}
}

/* By what the core goes on from: of a commit that is given up it hears late, and
 * what it made of that until then begins anew, which is safe. */
void
dyn_whitebox_held(struct dyn_world *world, uint32_t node,
				  const struct dyn_write *write)
{
	const struct dyn_simrecord *before = dyn_simstore_newest(
		world->nodes[node].store, write->table, &write->key);

	if (before == NULL || before->object == NULL || before->corrupt ||
		before->restored || before->held_at_ms == 0 ||
		before->hash != write->hash || before->held_at_ms == write->held_at_ms)
		return;
	dyn_world_violation(world, "W1", "node %u forgot since when it holds %.*s",
						node, (int) write->key.key.size,
						(const char *) write->key.key.data);
}

void
dyn_whitebox_drift(struct dyn_world *world, uint32_t node)
{
	struct dyn_simreal *real = dyn_simdisk_real(world->nodes[node].disk);

	if (real == NULL || real->drift[0] == 0 || real->is_told)
		return;
	real->is_told = true;
	dyn_world_violation(world, "drift", "node %u: %s", node, real->drift);
}

void
dyn_whitebox_trees(struct dyn_world *world)
{
	const struct dyn_ring *ring = any_ring(world);
	bool owners[DYN_SIM_NODES_MAX];

	for (uint32_t i = 0; i < world->swarm.node_count; i++)
	{
		uint32_t wrong = dyn_simdisk_tree_wrong(world->nodes[i].disk);

		dyn_simdisk_drift(world->nodes[i].disk);
		dyn_whitebox_drift(world, i);
		if (wrong != 0)
			dyn_world_violation(world, "C7",
								"node %u: %u leaves are not those of its "
								"records",
								i, wrong);
	}
	for (uint32_t cell = 0; ring != NULL && cell < DYN_CELL_COUNT; cell++)
	{
		find_owners(world, ring,
					dyn_hash_partition((uint16_t) cell, ring->partition_count),
					owners);
		check_cell(world, (uint16_t) cell, owners);
	}
}

void
dyn_whitebox_live(struct dyn_world *world, uint32_t key, struct dyn_vids *live)
{
	bool owners[DYN_SIM_NODES_MAX] = { false };
	struct dyn_object object = { .version_count = 0 };

	dyn_whitebox_owners(world, key, owners);
	dyn_arena_reset(&world->whitebox->arena);
	for (uint32_t i = 0; i < world->swarm.node_count; i++)
		if (owners[i] && read_record(world, i, DYN_TABLE_MAIN, key, &object))
			break;
	dyn_object_view(&object, dyn_world_wall_ms(world));
	for (uint32_t i = 0; i < object.version_count; i++)
	{
		uint32_t vid;

		if (dyn_sim_vid(world, key, object.versions[i].value, &vid))
			dyn_vids_add(live, vid);
		else
			dyn_world_violation(world, "C2", "key %u: a value of nobody", key);
	}
}

/* Contexts may differ in dots that are dead anyway; nothing else may. */
static bool
are_equal(const struct dyn_world *world, uint32_t key, uint32_t node,
		  uint32_t other)
{
	struct dyn_object a;
	struct dyn_object b;
	bool here = read_record(world, node, DYN_TABLE_MAIN, key, &a);
	bool there = read_record(world, other, DYN_TABLE_MAIN, key, &b);

	if (!here || !there)
		return here == there;
	if (a.version_count != b.version_count)
		return false;
	if (a.version_count == 0)
		return dyn_clock_descends(&a.context, &b.context) &&
			   dyn_clock_descends(&b.context, &a.context);
	for (uint32_t i = 0; i < a.version_count; i++)
		if (dyn_dot_compare(a.versions[i].dot, b.versions[i].dot) != 0 ||
			dyn_request_id_compare(&a.versions[i].request,
								   &b.versions[i].request) != 0 ||
			a.versions[i].written_at_ms != b.versions[i].written_at_ms ||
			a.versions[i].expires_at_ms != b.versions[i].expires_at_ms ||
			a.versions[i].flags != b.versions[i].flags ||
			!dyn_slice_equal(a.versions[i].value, b.versions[i].value))
			return false;
	return true;
}

/* A damaged record of an owner explains everything else: hints for it cannot
 * be delivered, either. */
static bool
is_damaged(const struct dyn_world *world, const bool *owners,
		   const struct dyn_record_key *place, char why[DYN_WHITEBOX_WHY])
{
	for (uint32_t i = 0; i < world->swarm.node_count; i++)
	{
		const struct dyn_simrecord *record =
			dyn_simdisk_get(world->nodes[i].disk, DYN_TABLE_MAIN, place);

		if (!owners[i] || record == NULL || !record->corrupt)
			continue;
		snprintf(why, DYN_WHITEBOX_WHY, "%.*s on node %u",
				 (int) place->key.size, (const char *) place->key.data, i);
		return true;
	}
	return false;
}

const char *
dyn_whitebox_unequal(struct dyn_world *world, uint32_t key,
					 char why[DYN_WHITEBOX_WHY])
{
	bool owners[DYN_SIM_NODES_MAX] = { false };
	char buffer[32];
	struct dyn_record_key place = dyn_sim_record_key(key, buffer);
	uint32_t first = DYN_SIM_NODES_MAX;

	dyn_whitebox_owners(world, key, owners);
	dyn_arena_reset(&world->whitebox->arena);
	if (is_damaged(world, owners, &place, why))
		return DYN_WHITEBOX_DAMAGED;
	for (uint32_t i = 0; i < world->swarm.node_count; i++)
	{
		const struct dyn_simdisk *disk = world->nodes[i].disk;
		const struct dyn_simrecord *record =
			dyn_simdisk_get(disk, DYN_TABLE_MAIN, &place);

		snprintf(why, DYN_WHITEBOX_WHY, "key %u, node %u", key, i);
		if (dyn_simdisk_get(disk, DYN_TABLE_HINTS, &place) != NULL ||
			(!owners[i] && record != NULL))
			return "C8";
		if (owners[i] && first < DYN_SIM_NODES_MAX &&
			!are_equal(world, key, first, i))
			return "C6";
		if (owners[i] && first == DYN_SIM_NODES_MAX)
			first = i;
	}
	return NULL;
}
