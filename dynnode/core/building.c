#include "core/building.h"

#include "core/cluster.h"
#include "core/commit.h"
#include "core/quorum.h"
#include "core/state.h"
#include "core/text.h"

enum
{
	RECORD_VERSION = 1,
	HEAD_SIZE = 2, /* version, all */
	ITEM_SIZE = 5  /* partition, mode, pulled, clean */
};

/* ---------------------------------------------------------------- what is */

bool
dyn_building_is(const struct dyn_node *node, uint16_t partition)
{
	const struct dyn_building *self = &node->building;

	return self->count != 0 && self->parts[partition].mode != DYN_BUILDING_NOT;
}

bool
dyn_building_answers(const struct dyn_node *node, uint16_t partition)
{
	return !node->progress.in_doubt && !dyn_building_is(node, partition);
}

bool
dyn_building_takes(const struct dyn_node *node, uint16_t partition)
{
	const struct dyn_building *self = &node->building;

	return self->count == 0 ||
		   self->parts[partition].mode != DYN_BUILDING_DISCARD;
}

bool
dyn_building_tells(const struct dyn_node *node, uint16_t partition)
{
	return !node->progress.in_doubt && dyn_building_takes(node, partition);
}

/* ---------------------------------------------------------------- changes */

static void end_if_enough(struct dyn_node *node, uint16_t partition);

static void
set_mode(struct dyn_node *node, uint16_t partition, enum dyn_building_mode mode)
{
	struct dyn_building *self = &node->building;
	struct dyn_building_part *part = &self->parts[partition];

	self->count += (mode != DYN_BUILDING_NOT);
	self->count -= (part->mode != DYN_BUILDING_NOT);
	*part = (struct dyn_building_part){ .mode = (uint8_t) mode,
										.turn = part->turn + 1 };
	self->dirty = true;
}

void
dyn_building_begin(struct dyn_node *node, uint16_t partition,
				   enum dyn_building_mode mode)
{
	struct dyn_building *self = &node->building;
	bool owns;

	if (self->parts == NULL || mode == DYN_BUILDING_NOT)
		return;
	owns = dyn_cluster_own_slot(node, partition) >= 0;
	if (!owns && mode != DYN_BUILDING_DISCARD)
		return;
	dyn_count(node, buildings);
	self->begun++;
	/* What is removed may have held dots of this process. */
	if (mode == DYN_BUILDING_DISCARD)
		node->epoch_floor = node->epoch_next;
	if (self->parts[partition].mode == DYN_BUILDING_DISCARD)
		mode = DYN_BUILDING_DISCARD;
	set_mode(node, partition, mode);
	end_if_enough(node, partition);
}

void
dyn_building_begin_all(struct dyn_node *node, enum dyn_building_mode mode)
{
	for (uint32_t p = 0; p < node->cluster.ring.partition_count; p++)
		if (dyn_cluster_own_slot(node, (uint16_t) p) >= 0)
			dyn_building_begin(node, (uint16_t) p, mode);
}

void
dyn_building_discarded(struct dyn_node *node, uint16_t partition)
{
	bool owns = dyn_cluster_own_slot(node, partition) >= 0;

	set_mode(node, partition, owns ? DYN_BUILDING_KEEP : DYN_BUILDING_NOT);
	end_if_enough(node, partition);
}

/* The fewest owners that any bucket's writes wait for. */
static uint8_t
least_w(const struct dyn_node *node)
{
	uint8_t least = node->cluster.w;

	for (uint32_t i = 0; i < node->buckets->count; i++)
		if (node->buckets->items[i].w != 0 && node->buckets->items[i].w < least)
			least = (uint8_t) node->buckets->items[i].w;
	return least;
}

/*
 * Enough have told when every write that W owners had acknowledged must be
 * among what was told, though one of these owners was this node: n - W + 1
 * others.  Or when nobody is left who could tell more; who owns it alone has
 * nobody from the start, and what was lost is lost.
 */
static bool
is_enough(const struct dyn_node *node, const struct dyn_building_part *part)
{
	uint8_t others = node->cluster.n - 1;
	uint8_t needed = node->cluster.n - least_w(node) + 1;

	return dyn_quorum_count(part->pulled) >= others ||
		   dyn_quorum_count(part->clean) >= needed;
}

static void
log_done(struct dyn_node *node)
{
	if (node->building.count == 0)
		dyn_log(node, DYN_LOG_INFO,
				"all partitions are built: reads are answered again");
}

static void
end_if_enough(struct dyn_node *node, uint16_t partition)
{
	const struct dyn_building_part *part = &node->building.parts[partition];

	if (part->mode != DYN_BUILDING_KEEP || !is_enough(node, part))
		return;
	dyn_count(node, buildings_done);
	set_mode(node, partition, DYN_BUILDING_NOT);
	log_done(node);
}

void
dyn_building_pulled(struct dyn_node *node, uint16_t partition, uint8_t slot,
					bool clean)
{
	struct dyn_building_part *part = &node->building.parts[partition];

	part->pulled |= (uint8_t) (1U << slot);
	if (clean)
		part->clean |= (uint8_t) (1U << slot);
	node->building.dirty = true;
	end_if_enough(node, partition);
}

/* ------------------------------------------------------------- the record */

static struct dyn_slice
encode(struct dyn_node *node)
{
	const struct dyn_building *self = &node->building;
	size_t size = HEAD_SIZE + (size_t) self->count * ITEM_SIZE;
	uint8_t *bytes = dyn_arena_allocate(&node->out->arena, size);
	uint8_t *to = bytes + HEAD_SIZE;

	bytes[0] = RECORD_VERSION;
	bytes[1] = self->all;
	for (uint32_t p = 0;
		 self->count != 0 && p < node->cluster.ring.partition_count; p++)
	{
		const struct dyn_building_part *part = &self->parts[p];

		if (part->mode == DYN_BUILDING_NOT)
			continue;
		to[0] = (uint8_t) p;
		to[1] = (uint8_t) (p >> 8);
		to[2] = part->mode;
		to[3] = part->pulled;
		to[4] = part->clean;
		to += ITEM_SIZE;
	}
	return (struct dyn_slice){ bytes, size };
}

static bool
decode(struct dyn_node *node, const struct dyn_slice *record)
{
	const uint8_t *from = record->data + HEAD_SIZE;

	if (record->size < HEAD_SIZE || record->data[0] != RECORD_VERSION ||
		(record->size - HEAD_SIZE) % ITEM_SIZE != 0)
		return false;
	node->building.all = record->data[1] != 0;
	for (; from < record->data + record->size; from += ITEM_SIZE)
	{
		uint16_t partition = (uint16_t) (from[0] | from[1] << 8);

		if (node->building.parts == NULL ||
			partition >= node->cluster.ring.partition_count ||
			from[2] == DYN_BUILDING_NOT || from[2] > DYN_BUILDING_DISCARD)
			return false;
		set_mode(node, partition, (enum dyn_building_mode) from[2]);
		node->building.parts[partition].pulled = from[3];
		node->building.parts[partition].clean = from[4];
	}
	node->building.dirty = false;
	return true;
}

/* ------------------------------------------------------------------- life */

void
dyn_building_take_over(struct dyn_node *node)
{
	node->building.all = node->building.dirty = true;
	node->progress.is_new = true;
}

bool
dyn_building_formed(struct dyn_node *node, const struct dyn_slice *record)
{
	struct dyn_building *self = &node->building;

	if (node->cluster.ring.partition_count != 0 && self->parts == NULL)
		self->parts = dyn_memory_take(node->cluster.ring.partition_count *
									  sizeof(*self->parts));
	if (record != NULL && !decode(node, record))
		return false;
	if (!self->all || self->parts == NULL)
		return true;
	self->all = false;
	self->dirty = true;
	dyn_building_begin_all(node, DYN_BUILDING_KEEP);
	return true;
}

void
dyn_building_flush(struct dyn_node *node)
{
	struct dyn_building *self = &node->building;

	if (!self->dirty || !node->writable)
		return;
	self->dirty = false;
	self->token = dyn_commit_write_meta(node, "building", encode(node));
}

void
dyn_building_stored(struct dyn_node *node, uint64_t token,
					enum dyn_status status)
{
	struct dyn_building *self = &node->building;

	/* An earlier one that failed is carried by the latest. */
	if (token != self->token)
		return;
	self->token = 0;
	self->dirty |= status != DYN_STATUS_OK;
}

void
dyn_building_writable(struct dyn_node *node)
{
	if (node->building.count != 0 || node->building.all)
		node->building.dirty = true;
}

void
dyn_building_destroy(struct dyn_node *node)
{
	dyn_memory_give(node->building.parts);
}
