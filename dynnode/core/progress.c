#include "core/progress.h"

#include "core/building.h"
#include "core/commit.h"
#include "core/number.h"
#include "core/state.h"

#include <string.h>

enum
{
	RECORD_VERSION = 1,
	HEAD_SIZE = 9,  /* version, own */
	ITEM_SIZE = 24, /* id, count */
	STORE_MS = 10000
};

/* No store comes so far; beyond, it would be at its end at once. */
#define COUNT_MAX (UINT64_C(1) << 62)

/* What is known of another member; NULL when there are too many. */
static struct dyn_progress_item *
item_of(struct dyn_progress *self, const struct dyn_node_id *id)
{
	for (uint32_t i = 0; i < self->other_count; i++)
		if (dyn_node_id_compare(&self->others[i].id, id) == 0)
			return &self->others[i];
	if (self->other_count == DYN_MEMBERS_MAX)
		return NULL;
	self->others[self->other_count] = (struct dyn_progress_item){ .id = *id };
	return &self->others[self->other_count++];
}

/* ------------------------------------------------------------- the record */

static void
store(struct dyn_node *node, uint64_t own)
{
	struct dyn_progress *self = &node->progress;
	size_t size = HEAD_SIZE + (size_t) self->other_count * ITEM_SIZE;
	uint8_t *bytes = dyn_arena_allocate(&node->out->arena, size);
	uint8_t *to = bytes + HEAD_SIZE;

	bytes[0] = RECORD_VERSION;
	dyn_put_u64(bytes + 1, own);
	for (uint32_t i = 0; i < self->other_count; i++, to += ITEM_SIZE)
	{
		memcpy(to, self->others[i].id.bytes, sizeof(self->others[i].id.bytes));
		dyn_put_u64(to + 16, self->others[i].count);
	}
	self->next = own;
	self->has_more = self->has_others = false;
	self->store_at_ms = node->now_ms + STORE_MS;
	self->token = dyn_commit_write_meta(node, "progress",
										(struct dyn_slice){ bytes, size });
}

bool
dyn_progress_boot(struct dyn_node *node, const struct dyn_slice *record)
{
	struct dyn_progress *self = &node->progress;
	const uint8_t *from;

	if (record == NULL)
		return true;
	if (record->size < HEAD_SIZE || record->data[0] != RECORD_VERSION ||
		(record->size - HEAD_SIZE) % ITEM_SIZE != 0 ||
		(record->size - HEAD_SIZE) / ITEM_SIZE > DYN_MEMBERS_MAX)
		return false;
	self->own = dyn_get_u64(record->data + 1);
	for (from = record->data + HEAD_SIZE; from < record->data + record->size;
		 from += ITEM_SIZE)
	{
		struct dyn_progress_item *item = &self->others[self->other_count++];

		memcpy(item->id.bytes, from, sizeof(item->id.bytes));
		item->count = dyn_get_u64(from + 16);
	}
	return true;
}

void
dyn_progress_stored(struct dyn_node *node, uint64_t token,
					enum dyn_status status)
{
	struct dyn_progress *self = &node->progress;

	if (token != self->token)
		return;
	self->token = 0;
	if (status != DYN_STATUS_OK)
		self->has_more = true;
	else if (self->next > self->own)
		self->own = self->next;
}

/* -------------------------------------------------------------- being told */

uint64_t *
dyn_progress_tell(struct dyn_node *node)
{
	const struct dyn_ring *ring = &node->cluster.ring;
	uint64_t *counts = dyn_arena_allocate(&node->scratch,
										  ring->member_count * sizeof(*counts));

	for (uint32_t i = 0; i < ring->member_count; i++)
	{
		const struct dyn_node_id *id = &ring->members[i].id;
		const struct dyn_progress_item *item;

		counts[i] = node->progress.own;
		if (dyn_node_id_compare(id, &node->id) == 0)
			continue;
		item = item_of(&node->progress, id);
		counts[i] = item != NULL ? item->count : 0;
	}
	return counts;
}

/* The others know that more was on this node's disk than is there. */
static void
has_gone_back(struct dyn_node *node, uint64_t count)
{
	struct dyn_progress *self = &node->progress;

	self->own = count;
	if (!self->is_new)
	{
		dyn_count(node, rollbacks);
		dyn_log(node, DYN_LOG_WARNING,
				"the store is an older copy of what others know of it: all "
				"its partitions are built up again");
		dyn_building_begin_all(node, DYN_BUILDING_KEEP);
	}
	if (node->writable)
		store(node, count);
	else
		self->has_more = true;
}

void
dyn_progress_learn(struct dyn_node *node, const uint64_t *counts, size_t count)
{
	const struct dyn_ring *ring = &node->cluster.ring;

	if (count != ring->member_count)
		return;
	for (uint32_t i = 0; i < count; i++)
	{
		const struct dyn_node_id *id = &ring->members[i].id;
		struct dyn_progress_item *item;

		if (counts[i] > COUNT_MAX)
		{
			dyn_count(node, frames_bad);
			continue;
		}
		if (dyn_node_id_compare(id, &node->id) == 0)
		{
			if (counts[i] > node->progress.own)
				has_gone_back(node, counts[i]);
			continue;
		}
		item = item_of(&node->progress, id);
		if (item == NULL || counts[i] <= item->count)
			continue;
		item->count = counts[i];
		node->progress.has_others = true;
	}
}

/* ------------------------------------------------------------------- doubt */

void
dyn_progress_doubt(struct dyn_node *node)
{
	node->progress.in_doubt = node->cluster.ring.member_count > 1;
	node->progress.doubted_at_ms = node->now_ms;
}

/* How many of the others have been met, of how many. */
static uint32_t
count_met(struct dyn_node *node, uint32_t *all)
{
	const struct dyn_ring *ring = &node->cluster.ring;
	uint32_t met = 0;

	*all = ring->member_count - 1;
	for (uint32_t i = 0; i < ring->member_count; i++)
	{
		const struct dyn_node_id *id = &ring->members[i].id;
		const struct dyn_progress_item *item;

		if (dyn_node_id_compare(id, &node->id) == 0)
			continue;
		item = item_of(&node->progress, id);
		met += item != NULL && item->met;
	}
	return met;
}

static void
end_doubt(struct dyn_node *node)
{
	uint64_t passed_ms = node->now_ms - node->progress.doubted_at_ms;
	uint64_t silence_ms = node->config.silence_ms;
	uint32_t all;
	uint32_t met;

	if (!node->progress.in_doubt)
		return;
	met = count_met(node, &all);
	if (met == all || (met != 0 && passed_ms >= silence_ms) ||
		passed_ms >= DYN_ALONE * silence_ms)
		node->progress.in_doubt = false;
}

void
dyn_progress_met(struct dyn_node *node, const struct dyn_node_id *id)
{
	struct dyn_progress_item *item = item_of(&node->progress, id);

	if (item != NULL)
		item->met = true;
	end_doubt(node);
}

bool
dyn_progress_has_met_anybody(const struct dyn_node *node)
{
	for (uint32_t i = 0; i < node->progress.other_count; i++)
		if (node->progress.others[i].met)
			return true;
	return false;
}

/* ----------------------------------------------------------------- counting */

void
dyn_progress_committed(struct dyn_node *node)
{
	node->progress.has_more = true;
}

void
dyn_progress_tick(struct dyn_node *node)
{
	struct dyn_progress *self = &node->progress;

	if (!node->cluster.formed)
		return;
	end_doubt(node);
	if (node->now_ms < node->heartbeat_at_ms || !node->writable ||
		self->token != 0 || node->cluster.ring.member_count < 2)
		return;
	if (self->has_more)
		store(node, self->own + 1);
	else if (self->has_others && node->now_ms >= self->store_at_ms)
		store(node, self->own);
}
