#include "core/reap.h"

#include "core/building.h"
#include "core/cluster.h"
#include "core/peer.h"
#include "core/prune.h"
#include "core/reap_round.h"
#include "model/hash.h"
#include "model/wall.h"

#include <string.h>

enum
{
	PRUNES_MAX = 64,
	PAGE_BYTES_MAX = 4 * 1024 * 1024,
	PAGE_VISITS_MAX = 4 * 1024
};

static const char *const state_names[] = {
	[DYN_REAP_WALKING] = "walking",
	[DYN_REAP_ASKING] = "asking",
	[DYN_REAP_STAMPING] = "raising stamps",
	[DYN_REAP_DRAINING] = "waiting for older requests",
	[DYN_REAP_FLOOR_AT_OTHERS] = "raising floors",
	[DYN_REAP_FLOOR_AT_OWNERS] = "raising floors at owners",
	[DYN_REAP_REMOVING] = "removing",
};

static const char *const block_texts[] = {
	[DYN_REAP_DONE] = "",
	[DYN_REAP_STAMPED] = "has a higher stamp",
	[DYN_REAP_REQUESTS] = "has older requests under way",
	[DYN_REAP_HINTS] = "keeps objects for others",
	[DYN_REAP_NOT_WHOLE] = "is being built up",
	[DYN_REAP_FULL] = "takes no writes",
	[DYN_REAP_AWAY] = "cannot be reached",
};

/* ------------------------------------------------------------------- views */

const char *
dyn_reap_state(const struct dyn_node *node)
{
	return node->reap.round != NULL ? state_names[node->reap.round->state]
									: "idle";
}

const char *
dyn_reap_block_text(enum dyn_reap_block block)
{
	return block < DYN_REAP_BLOCK_COUNT ? block_texts[block] : "";
}

uint64_t
dyn_reap_margin_ms(const struct dyn_node *node)
{
	uint32_t grace_ms = node->config.tombstone_grace_ms;

	return grace_ms < DYN_CLOCKS_APART_MS ? grace_ms : DYN_CLOCKS_APART_MS;
}

bool
dyn_reap_is_due(const struct dyn_node *node, uint64_t held_at_ms)
{
	/* Of a record of the first format, and of one that was written while the
	 * clock was far ahead, it is known that it was there when this process
	 * began to look, or when the clock went back. */
	if (held_at_ms == 0 ||
		held_at_ms > node->wall_ms + dyn_reap_margin_ms(node))
		held_at_ms = node->reap.begun_ms;
	return held_at_ms <= node->wall_ms &&
		   node->wall_ms - held_at_ms >= node->config.tombstone_grace_ms;
}

bool
dyn_reap_is_self(const struct dyn_node *node, uint32_t member)
{
	return node->cluster.member_peer[member] == DYN_PEER_SELF;
}

/* -------------------------------------------------------------- life */

static uint64_t
next_round_at(struct dyn_node *node)
{
	uint64_t interval_ms = node->config.reap_ms;
	uint64_t jitter = dyn_random_next(&node->random) % (interval_ms / 2 + 1);

	return node->now_ms + interval_ms - interval_ms / 4 + jitter;
}

static void
free_round(struct dyn_node *node)
{
	if (node->reap.round == NULL)
		return;
	dyn_arena_destroy(&node->reap.round->arena);
	dyn_memory_give(node->reap.round);
	node->reap.round = NULL;
}

void
dyn_reap_destroy(struct dyn_node *node)
{
	free_round(node);
}

void
dyn_reap_end(struct dyn_node *node, bool go_on)
{
	uint64_t pause_ms = node->config.reap_ms / 4;

	free_round(node);
	node->reap.serial = 0;
	if (!go_on)
		node->reap.at_ms = next_round_at(node);
	else
		node->reap.at_ms =
			node->now_ms +
			(pause_ms < DYN_REAP_PAUSE_MS ? pause_ms : DYN_REAP_PAUSE_MS) + 1;
}

void
dyn_reap_note_block(struct dyn_node *node, uint32_t member,
					enum dyn_reap_block block)
{
	const char *address = node->cluster.ring.members[member].address;
	struct dyn_reap *self = &node->reap;

	dyn_count(node, reap_blocked);
	self->block = block;
	memcpy(self->block_address, address, sizeof(self->block_address));
}

/* The member that cannot take part in a round, or -1. */
static int32_t
find_away(const struct dyn_node *node, const struct dyn_reap_round *round)
{
	for (uint32_t i = 0; i < node->cluster.ring.member_count; i++)
	{
		int32_t peer = node->cluster.member_peer[i];

		if (peer == DYN_PEER_SELF)
			continue;
		if (!dyn_peer_is_reachable(node, peer) ||
			(round != NULL &&
			 node->peers[peer]->process != round->processes[i]))
			return (int32_t) i;
	}
	return -1;
}

/* False when the round has ended. */
bool
dyn_reap_may_go_on(struct dyn_node *node)
{
	struct dyn_reap_round *round = node->reap.round;
	int32_t away = find_away(node, round);

	if (away >= 0)
		dyn_reap_note_block(node, (uint32_t) away, DYN_REAP_AWAY);
	if (away < 0 && node->writable &&
		round->ring_digest == node->cluster.ring_digest)
		return true;
	dyn_reap_end(node, false);
	return false;
}

void
dyn_reap_await(struct dyn_node *node, enum dyn_reap_phase state)
{
	struct dyn_reap_round *round = node->reap.round;

	if (round->state != state)
		round->until_ms =
			node->now_ms + 2 * (uint64_t) node->config.request_timeout_ms;
	round->state = state;
	round->pausing = false;
	node->reap.serial = ++node->serial_next;
	/* Whoever is asked answers or is given up long before. */
	node->reap.at_ms =
		node->now_ms + 3 * (uint64_t) node->config.request_timeout_ms;
	/* An answer may come at once: nobody goes on before all were asked. */
	round->waiting = 1;
}

/* --------------------------------------------------------------- the walk */

static void
read_page(struct dyn_node *node)
{
	struct dyn_effect *effect;

	dyn_reap_await(node, DYN_REAP_WALKING);
	node->reap.round->pages++;
	effect = dyn_effects_add(node->out, DYN_EFFECT_SCAN);
	effect->scan.token = node->reap.serial;
	effect->scan.table = DYN_TABLE_MAIN;
	effect->scan.cell_last = DYN_CELL_COUNT - 1;
	effect->scan.flags = DYN_RECORD_MORTAL | DYN_RECORD_CROWDED;
	effect->scan.items_max = DYN_REAP_PAGE_ITEMS_MAX;
	effect->scan.bytes_max = PAGE_BYTES_MAX;
	effect->scan.visits_max = PAGE_VISITS_MAX;
	dyn_walk_resume(&node->reap.place, effect, &node->out->arena);
}

static void
begin_round(struct dyn_node *node)
{
	int32_t away = find_away(node, NULL);
	struct dyn_reap_round *round;

	if (away >= 0)
		dyn_reap_note_block(node, (uint32_t) away, DYN_REAP_AWAY);
	if (away >= 0 || !node->writable)
	{
		node->reap.at_ms = next_round_at(node);
		return;
	}
	round = node->reap.round = dyn_memory_take(sizeof(*round));
	dyn_arena_init(&round->arena, dyn_memory_allocator(), 16 * 1024);
	round->ring_digest = node->cluster.ring_digest;
	for (uint32_t i = 0; i < node->cluster.ring.member_count; i++)
		round->processes[i] =
			dyn_reap_is_self(node, i)
				? node->start_id
				: node->peers[node->cluster.member_peer[i]]->process;
	read_page(node);
}

static struct dyn_reap_key *
add_key(struct dyn_reap_round *round, const struct dyn_scanned *item,
		uint16_t partition, uint64_t hash)
{
	struct dyn_reap_key *key = &round->keys[round->key_count++];

	*key =
		(struct dyn_reap_key){ .bucket =
								   dyn_arena_copy(&round->arena, item->bucket),
							   .key = dyn_arena_copy(&round->arena, item->key),
							   .partition = partition,
							   .hash = hash };
	return key;
}

static void
take_item(struct dyn_node *node, const struct dyn_scanned *item)
{
	struct dyn_reap_round *round = node->reap.round;
	uint16_t cell = dyn_hash_cell(dyn_hash_position(item->bucket, item->key));
	uint16_t partition = dyn_cluster_partition(node, cell);
	uint64_t margin_ms = dyn_reap_margin_ms(node);
	uint64_t view_ms = dyn_skew_view_ms(node);
	struct dyn_object object;
	struct dyn_actor *actors;
	uint32_t count;

	if (item->state != DYN_LOADED_FOUND ||
		dyn_cluster_owner(node, partition, 0) != DYN_PEER_SELF ||
		dyn_object_decode(item->object, &node->scratch.allocator, &object) !=
			DYN_STATUS_OK)
		return;
	if (dyn_object_is_dead(&object, view_ms))
		node->reap.left++;
	if (!dyn_building_answers(node, partition) ||
		!dyn_reap_is_due(node, item->held_at_ms))
		return;
	if (view_ms > margin_ms && dyn_object_is_dead(&object, view_ms - margin_ms))
		add_key(round, item, partition,
				object.version_count == 0 ? item->hash
										  : dyn_hash_bytes(item->object))
			->dies_at_ms = dyn_object_dies_at(&object);
	else if (round->prune_count < PRUNES_MAX &&
			 (count =
				  dyn_prune_choose(node, &object, &round->arena, &actors)) != 0)
	{
		struct dyn_reap_key *key =
			add_key(round, item, partition, dyn_hash_bytes(item->object));

		key->actors = actors;
		key->actor_count = count;
		round->prune_count++;
	}
}

bool
dyn_reap_scanned(struct dyn_node *node, const struct dyn_event *event)
{
	struct dyn_reap *self = &node->reap;
	struct dyn_reap_round *round = self->round;

	if (self->serial == 0 || event->scanned.token != self->serial ||
		round->state != DYN_REAP_WALKING)
		return false;
	if (event->scanned.status != DYN_STATUS_OK)
	{
		self->place = (struct dyn_walk){ 0 };
		dyn_reap_end(node, false);
		return true;
	}
	for (uint32_t i = 0; i < event->scanned.item_count; i++)
		take_item(node, &event->scanned.items[i]);
	if (event->scanned.end)
	{
		self->place = (struct dyn_walk){ 0 };
		self->waiting = self->left;
		self->left = 0;
	}
	else
		dyn_walk_keep(&self->place, event);
	if (!event->scanned.end && round->key_count < DYN_REAP_KEYS_MAX &&
		round->pages < DYN_REAP_PAGES_MAX)
		read_page(node);
	else if (round->key_count == 0)
	{
		self->block = DYN_REAP_DONE;
		dyn_reap_end(node, false);
	}
	else if (dyn_reap_may_go_on(node))
		dyn_reap_ask_owners(node);
	return true;
}

/* -------------------------------------------------------------------- time */

void
dyn_reap_tick(struct dyn_node *node)
{
	struct dyn_reap *self = &node->reap;

	if (self->begun_ms == 0 ||
		self->seen_ms > node->wall_ms + dyn_reap_margin_ms(node))
		self->begun_ms = node->wall_ms;
	self->seen_ms = node->wall_ms;
	if (!dyn_cluster_serves(node) || node->config.reap_ms == DYN_REAP_NEVER ||
		node->now_ms < self->at_ms)
		return;
	if (self->at_ms == 0)
		self->at_ms = next_round_at(node);
	else if (self->round == NULL)
		begin_round(node);
	else if (!self->round->pausing)
		dyn_reap_end(node, false);
	else if (dyn_reap_may_go_on(node))
		dyn_reap_send_fences(node, self->round->state);
}

uint64_t
dyn_reap_deadline(const struct dyn_node *node)
{
	if (!dyn_cluster_serves(node) || node->config.reap_ms == DYN_REAP_NEVER)
		return UINT64_MAX;
	return node->reap.at_ms;
}
