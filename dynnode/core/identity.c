#include "core/identity.h"

#include "core/boot.h"
#include "core/cluster.h"
#include "core/cluster_record.h"
#include "core/commit.h"
#include "core/number.h"
#include "core/text.h"

#include <string.h>

enum
{
	/* Claims that follow each other sooner are of one stretch: so many, and one
	 * more for so long a life before it, up to twenty. */
	CLAIMS_APART_MS = 60 * 1000,
	CLAIMS_MAX = 5,
	CLAIMS_MORE_MS = 4 * 1000,
	IDENTITY_SIZE = 33, /* version, id, generation, start count */
	IDENTITY_VERSION = 1
};

void
dyn_identity_store(struct dyn_node *node)
{
	uint8_t *bytes = dyn_arena_allocate(&node->out->arena, IDENTITY_SIZE);

	bytes[0] = IDENTITY_VERSION;
	memcpy(bytes + 1, node->id.bytes, 16);
	dyn_put_u64(bytes + 17, node->store_generation);
	dyn_put_u64(bytes + 25, node->start_count);
	node->identity_token = dyn_commit_write_meta(
		node, "identity", (struct dyn_slice){ bytes, IDENTITY_SIZE });
}

void
dyn_identity_committed(struct dyn_node *node, uint64_t token,
					   enum dyn_status status)
{
	if (token != node->identity_token)
		return;
	node->identity_token = 0;
	node->identity_stored |= status == DYN_STATUS_OK;
}

/* A new store: somebody new, or the member that the configuration names. */
static enum dyn_status
begin_life(struct dyn_node *node)
{
	if (!node->writable)
		return dyn_boot_fatal(node,
							  "the store is full and new: there is no room "
							  "for this node's identity; free some space");
	node->id = dyn_random_node_id(&node->random);
	if (!dyn_node_id_is_zero(&node->config.node_id))
	{
		node->id = node->config.node_id;
		dyn_building_take_over(node);
	}
	node->store_generation = dyn_random_next(&node->random);
	node->start_count = 1;
	return DYN_STATUS_OK;
}

enum dyn_status
dyn_identity_boot(struct dyn_node *node, const struct dyn_slice *record)
{
	if (record == NULL)
		return begin_life(node);
	if (record->size != IDENTITY_SIZE || record->data[0] != IDENTITY_VERSION)
		return dyn_boot_fatal(node,
							  "the store's identity record is damaged or of "
							  "another version of this program");
	memcpy(node->id.bytes, record->data + 1, 16);
	if (!dyn_node_id_is_zero(&node->config.node_id) &&
		dyn_node_id_compare(&node->id, &node->config.node_id) != 0)
		return dyn_boot_fatal(node,
							  "the store is another node's than node-id says; "
							  "leave that out, or use an empty directory");
	node->store_generation = dyn_get_u64(record->data + 17);
	node->start_count = dyn_get_u64(record->data + 25) + 1;
	node->identity_stored = true;
	return DYN_STATUS_OK;
}

/* ------------------------------------------------ the own record in the ring */

bool
dyn_identity_merge(struct dyn_node *node)
{
	const struct dyn_member *known =
		dyn_ring_member(&node->cluster.ring, &node->id);
	struct dyn_member member = { 0 };

	if (known->incarnation >= node->start_count)
		return false;
	member = *known;
	member.incarnation = node->start_count;
	member.store_generation = node->store_generation;
	member.start_count = node->start_count;
	dyn_text_copy(member.address, sizeof(member.address), node->config.address);
	dyn_text_copy(member.zone, sizeof(member.zone), node->config.zone);
	dyn_ring_merge_member(&node->cluster.ring, &member);
	dyn_cluster_ring_changed(node);
	return true;
}

/* Is the life that others know of this node a later one, or another one? */
static bool
is_other_life(const struct dyn_node *node, const struct dyn_member *known)
{
	return known->incarnation > node->start_count ||
		   (known->incarnation == node->start_count &&
			(strcmp(known->address, node->config.address) != 0 ||
			 (known->store_generation != node->store_generation &&
			  known->store_generation != 0)));
}

void
dyn_identity_give_way(struct dyn_node *node, const char *address)
{
	struct dyn_effect *effect = dyn_effects_add(node->out, DYN_EFFECT_FATAL);
	struct dyn_text text;

	dyn_text_set(&text, "a node with the same identity runs at ");
	dyn_text_add(&text, address);
	dyn_text_add(&text, ": this data directory is a copy of its one; start "
						"this node with an empty directory, or stop the other");
	effect->fatal.text =
		dyn_arena_copy(&node->out->arena, dyn_slice_of(text.bytes));
}

/* Has it claimed too many lives at a stretch for a single one? */
static bool
has_a_twin(struct dyn_node *node)
{
	struct dyn_claims *self = &node->claims;
	uint64_t age_ms = node->now_ms - node->started_at_ms;

	if (self->count == 0 || node->now_ms - self->latest_ms > CLAIMS_APART_MS)
	{
		if (age_ms > CLAIMS_APART_MS)
			age_ms = CLAIMS_APART_MS;
		self->count = 0;
		self->max = CLAIMS_MAX + (uint32_t) (age_ms / CLAIMS_MORE_MS);
	}
	self->latest_ms = node->now_ms;
	return ++self->count > self->max;
}

void
dyn_identity_claim(struct dyn_node *node, const struct dyn_member *told)
{
	const struct dyn_member *known =
		dyn_ring_member(&node->cluster.ring, &node->id);
	struct dyn_text text;

	if (told != NULL && is_other_life(node, told))
		known = told;
	if (node->quiet_until_ms != 0 || !is_other_life(node, known))
		return;
	if (has_a_twin(node))
	{
		dyn_identity_give_way(node, known->address);
		return;
	}
	dyn_count(node, rollbacks);
	dyn_building_begin_all(node, DYN_BUILDING_KEEP);
	dyn_text_set(&text, "others know of another start of this node, number ");
	dyn_text_add_number(&text, known->start_count);
	dyn_text_add(&text, ", than its store's, number ");
	dyn_text_add_number(&text, node->start_count);
	dyn_text_add(&text, ": the store is an older copy, or a copy of it has "
						"run elsewhere");
	dyn_log(node, DYN_LOG_WARNING, text.bytes);
	node->start_count = known->incarnation + 1;
	if (node->writable)
		dyn_identity_store(node);
	dyn_identity_merge(node);
}

void
dyn_identity_tick(struct dyn_node *node)
{
	if (node->quiet_until_ms == 0 || node->now_ms < node->quiet_until_ms)
		return;
	node->quiet_until_ms = 0;
	dyn_identity_claim(node, NULL);
	if (dyn_identity_merge(node) && node->writable)
		dyn_cluster_record_store(node);
}
