#include "core/fence.h"

#include "core/building.h"
#include "core/cluster.h"
#include "core/commit.h"
#include "core/handoff.h"
#include "core/number.h"
#include "core/request.h"
#include "core/state.h"
#include "core/text.h"

#include <assert.h>
#include <string.h>

enum
{
	RECORD_VERSION = 1,
	RECORD_HEAD_SIZE = 3, /* version, number of partitions */
	RECORD_ITEM_SIZE = 16 /* stamp, floor */
};

/* ---------------------------------------------------------------- looking */

static const struct dyn_fence_place *
look(const struct dyn_node *node, uint16_t partition)
{
	static const struct dyn_fence_place none = { 0 };

	return node->fence.places != NULL ? &node->fence.places[partition] : &none;
}

static struct dyn_fence_place *
place(struct dyn_node *node, uint16_t partition)
{
	if (node->fence.places == NULL)
		node->fence.places = dyn_memory_take(
			node->cluster.ring.partition_count * sizeof(*node->fence.places));
	return &node->fence.places[partition];
}

uint64_t
dyn_fence_stamp(const struct dyn_node *node, uint16_t partition)
{
	return look(node, partition)->stamp;
}

uint64_t
dyn_fence_floor(const struct dyn_node *node, uint16_t partition)
{
	return look(node, partition)->floor;
}

uint64_t
dyn_fence_birth(const struct dyn_node *node, uint64_t serial,
				uint16_t partition)
{
	const struct dyn_fence_place *self = look(node, partition);

	return serial >= self->stamped_serial ? self->stamp : self->floor;
}

uint64_t
dyn_fence_known_floor(const struct dyn_node *node, uint16_t partition)
{
	const struct dyn_fence_place *self = look(node, partition);

	return self->floor > self->owner_floor ? self->floor : self->owner_floor;
}

static enum dyn_fence_state
state_of(const struct dyn_fence_place *self)
{
	if (self->behind == 0)
		return self->wanted_stamp == 0 ? DYN_FENCE_LEVEL : DYN_FENCE_RAISING;
	return self->wanted_stamp < self->behind ? DYN_FENCE_BEHIND
											 : DYN_FENCE_RETURNING;
}

static bool
is_behind(const struct dyn_fence_place *self)
{
	enum dyn_fence_state state = state_of(self);

	return state == DYN_FENCE_BEHIND || state == DYN_FENCE_RETURNING;
}

enum dyn_fence_state
dyn_fence_state(const struct dyn_node *node, uint16_t partition)
{
	return state_of(look(node, partition));
}

bool
dyn_fence_is_behind(const struct dyn_node *node, uint16_t partition)
{
	return is_behind(look(node, partition));
}

/* ----------------------------------------------------------------- on disk */

bool
dyn_fence_boot(struct dyn_node *node, const struct dyn_slice *record)
{
	uint16_t count = node->cluster.ring.partition_count;
	const uint8_t *p;

	if (record == NULL)
		return true;
	p = record->data;
	if (record->size < RECORD_HEAD_SIZE || p[0] != RECORD_VERSION ||
		(p[1] | p[2] << 8) != count ||
		record->size != RECORD_HEAD_SIZE + (size_t) count * RECORD_ITEM_SIZE)
		return false;
	p += RECORD_HEAD_SIZE;
	for (uint16_t i = 0; i < count; i++, p += RECORD_ITEM_SIZE)
	{
		struct dyn_fence_place *self = place(node, i);

		self->stamp = dyn_get_u64(p);
		self->floor = dyn_get_u64(p + 8);
		if (self->floor > self->stamp)
			return false;
	}
	return true;
}

void
dyn_fence_destroy(struct dyn_node *node)
{
	dyn_memory_give(node->fence.places);
}

/* With the stamp that it had once, a store that was behind gets its floor. */
static uint64_t
floor_to_store(const struct dyn_node *node, uint16_t partition)
{
	const struct dyn_fence_place *self = &node->fence.places[partition];
	uint64_t floor = self->behind;

	if (state_of(self) != DYN_FENCE_RETURNING)
		return self->floor;
	if (dyn_cluster_own_slot(node, partition) >= 0)
		floor = self->owner_floor;
	return floor > self->floor ? floor : self->floor;
}

uint64_t
dyn_fence_store(struct dyn_node *node)
{
	uint16_t count = node->cluster.ring.partition_count;
	size_t size = RECORD_HEAD_SIZE + (size_t) count * RECORD_ITEM_SIZE;
	uint8_t *bytes = dyn_arena_allocate(&node->out->arena, size);
	uint8_t *p = bytes + RECORD_HEAD_SIZE;
	uint64_t token =
		dyn_commit_write_meta(node, "fence", (struct dyn_slice){ bytes, size });

	bytes[0] = RECORD_VERSION;
	bytes[1] = (uint8_t) count;
	bytes[2] = (uint8_t) (count >> 8);
	for (uint16_t i = 0; i < count; i++, p += RECORD_ITEM_SIZE)
	{
		struct dyn_fence_place *self = place(node, i);

		self->wanted_token = self->wanted_stamp != 0 ? token : 0;
		dyn_put_u64(p,
					self->wanted_stamp != 0 ? self->wanted_stamp : self->stamp);
		dyn_put_u64(p + 8, floor_to_store(node, i));
	}
	return token;
}

/* A stamp counts when it can no longer be forgotten: after a restart the same
 * one must not be given to requests that are younger. */
void
dyn_fence_stored(struct dyn_node *node, uint64_t token, enum dyn_status status)
{
	if (node->fence.places == NULL)
		return;
	for (uint16_t i = 0; i < node->cluster.ring.partition_count; i++)
	{
		struct dyn_fence_place *self = &node->fence.places[i];

		if (self->wanted_stamp == 0 || self->wanted_token > token)
			continue;
		/* It marked nothing, so it may be asked for again. */
		if (status != DYN_STATUS_OK)
		{
			self->wanted_stamp = 0;
			continue;
		}
		self->floor = floor_to_store(node, i);
		if (state_of(self) == DYN_FENCE_RETURNING)
			self->behind = 0;
		self->stamp = self->wanted_stamp;
		self->wanted_stamp = 0;
		self->stamped_serial = node->serial_next + 1;
	}
}

/* ----------------------------------------------------------------- raising */

bool
dyn_fence_raise_stamp(struct dyn_node *node, uint16_t partition, uint64_t stamp)
{
	struct dyn_fence_place *self = place(node, partition);

	if (stamp <= self->stamp || stamp <= self->wanted_stamp)
		return false;
	self->wanted_stamp = stamp;
	return true;
}

void
dyn_fence_note(struct dyn_node *node, uint16_t partition, uint64_t stamp)
{
	struct dyn_fence_place *self = place(node, partition);

	if (stamp > self->heard_stamp)
		self->heard_stamp = stamp;
}

uint64_t
dyn_fence_next(const struct dyn_node *node, uint16_t partition)
{
	const struct dyn_fence_place *self = look(node, partition);
	uint64_t next = self->stamp;

	if (self->wanted_stamp > next)
		next = self->wanted_stamp;
	if (self->heard_stamp > next)
		next = self->heard_stamp;
	return next + 1;
}

uint64_t
dyn_fence_oldest(const struct dyn_node *node)
{
	const struct dyn_request *request;
	uint64_t oldest = UINT64_MAX;

	for (request = node->requests; request != NULL; request = request->hh.next)
		if (request->serial < oldest && request->kind->makes_objects)
			oldest = request->serial;
	return oldest;
}

bool
dyn_fence_is_drained(const struct dyn_node *node, uint16_t partition,
					 uint64_t oldest)
{
	const struct dyn_fence_place *self = look(node, partition);

	/* A stamp on its way to disk is of another round. */
	return self->wanted_stamp == 0 && oldest >= self->stamped_serial;
}

void
dyn_fence_raise_floor(struct dyn_node *node, uint16_t partition, uint64_t floor)
{
	struct dyn_fence_place *self = place(node, partition);

	if (floor > self->floor)
		self->floor = floor;
}

/* ------------------------------------------------------- stores of the past */

void
dyn_fence_tell(struct dyn_node *node, Dyn__Welcome *welcome)
{
	uint16_t count = node->cluster.ring.partition_count;

	if (!node->cluster.formed || node->fence.places == NULL)
		return;
	welcome->n_floors = count;
	welcome->floors =
		dyn_arena_allocate(&node->scratch, count * sizeof(*welcome->floors));
	for (uint16_t i = 0; i < count; i++)
		welcome->floors[i] = node->fence.places[i].floor;
}

static void
log_behind(struct dyn_node *node, const struct dyn_node_id *peer)
{
	struct dyn_text text;

	dyn_text_set(&text, "the store is of an earlier time: ");
	dyn_text_add(&text, dyn_ring_member(&node->cluster.ring, peer)->address);
	dyn_text_add(&text, " knows of deletes that it has forgotten; what it "
						"holds there is fetched anew");
	dyn_log(node, DYN_LOG_WARNING, text.bytes);
}

void
dyn_fence_learn(struct dyn_node *node, const struct dyn_node_id *peer,
				const Dyn__Welcome *welcome)
{
	const struct dyn_ring *ring = &node->cluster.ring;
	bool any = false;

	if (!node->cluster.formed || welcome->n_floors != ring->partition_count ||
		dyn_ring_member(ring, peer) == NULL)
		return;
	for (uint16_t i = 0; i < ring->partition_count; i++)
	{
		struct dyn_fence_place *self = place(node, i);
		uint64_t floor = welcome->floors[i];

		if (floor > self->owner_floor && dyn_ring_find(ring, i, peer) >= 0)
			self->owner_floor = floor;
		if (floor <= self->stamp || floor <= self->behind)
			continue;
		any |= !is_behind(self);
		self->behind = floor;
		self->behind_serial = node->serial_next + 1;
		dyn_building_begin(node, i, DYN_BUILDING_DISCARD);
	}
	if (!any)
		return;
	dyn_count(node, fence_behind);
	log_behind(node, peer);
}

/* Have all other owners told their floors? Whoever has met one that owns
 * nothing there may have met one that was ahead. */
static bool
has_met_owners(const struct dyn_node *node, uint16_t partition)
{
	for (uint8_t slot = 0; slot < node->cluster.n; slot++)
	{
		int32_t peer = dyn_cluster_owner(node, partition, slot);

		if (peer == DYN_PEER_SELF)
			continue;
		if (peer < 0 || !node->peers[peer]->identified)
			return false;
	}
	return true;
}

/* Nor may anything be left that was read here before: with the new floor it
 * would be marked as if it were as young. */
static bool
has_let_go(struct dyn_node *node, uint16_t partition, const bool *held,
		   uint64_t oldest)
{
	if (!dyn_building_takes(node, partition) ||
		oldest < look(node, partition)->behind_serial)
		return false;
	if (dyn_cluster_own_slot(node, partition) < 0)
		return !held[partition];
	return has_met_owners(node, partition);
}

void
dyn_fence_tick(struct dyn_node *node)
{
	const bool *held = NULL;
	uint64_t oldest = 0;
	bool any = false;

	if (!node->cluster.formed || !node->writable || node->fence.places == NULL)
		return;
	for (uint16_t i = 0; i < node->cluster.ring.partition_count; i++)
	{
		if (dyn_fence_state(node, i) != DYN_FENCE_BEHIND)
			continue;
		if (held == NULL)
		{
			held = dyn_handoff_held(node);
			oldest = dyn_fence_oldest(node);
		}
		if (has_let_go(node, i, held, oldest))
			any |= dyn_fence_raise_stamp(node, i, node->fence.places[i].behind);
	}
	if (any)
		dyn_fence_store(node);
}

void
dyn_fence_check(const struct dyn_node *node)
{
	for (uint16_t i = 0;
		 node->fence.places != NULL && i < node->cluster.ring.partition_count;
		 i++)
	{
		const struct dyn_fence_place *self = &node->fence.places[i];

		assert(self->floor <= self->stamp);
		if (self->wanted_stamp != 0)
			assert(self->wanted_stamp > self->stamp);
		if (is_behind(self))
			assert(self->behind > self->stamp);
	}
}
