#include "core/reap.h"

#include "core/building.h"
#include "core/call.h"
#include "core/cluster.h"
#include "core/outbox.h"
#include "core/peer.h"
#include "core/prune.h"
#include "core/repair.h"
#include "core/request.h"
#include "model/hash.h"

#include <string.h>

enum
{
	KEYS_MAX = 2048, /* of one round, and up to a page more */
	PRUNES_MAX = 64,
	PAGE_ITEMS_MAX = 256,
	PAGE_BYTES_MAX = 4 * 1024 * 1024,
	PAGE_VISITS_MAX = 16 * 1024,
	PAGES_MAX = 64, /* of one round */
	PAUSE_MS = 100,
	CLOCKS_APART_MS = 60 * 1000 /* as much as clocks may differ */
};

enum state
{
	WALKING,
	ASKING,
	STAMPING,
	DRAINING,
	FLOOR_AT_OTHERS,
	FLOOR_AT_OWNERS,
	REMOVING
};

static const char *const state_names[] = {
	[WALKING] = "walking",
	[ASKING] = "asking",
	[STAMPING] = "raising stamps",
	[DRAINING] = "waiting for older requests",
	[FLOOR_AT_OTHERS] = "raising floors",
	[FLOOR_AT_OWNERS] = "raising floors at owners",
	[REMOVING] = "removing",
};

static const char *const block_texts[] = {
	[DYN_REAP_DONE] = "",
	[DYN_REAP_STAMPED] = "has a higher stamp",
	[DYN_REAP_REQUESTS] = "has older requests under way",
	[DYN_REAP_HINTS] = "keeps objects for others",
	[DYN_REAP_BUILDING] = "is being built up",
	[DYN_REAP_FULL] = "takes no writes",
	[DYN_REAP_AWAY] = "cannot be reached",
};

struct key
{
	struct dyn_slice bucket;
	struct dyn_slice key;
	uint64_t hash;
	uint64_t dies_at_ms;
	uint16_t partition;
	bool refused;             /* in this step: it is not so at somebody's */
	bool failed;              /* it is out */
	bool differs;             /* in its context, maybe */
	struct dyn_actor *actors; /* whose entries go; none = the record does */
	uint32_t actor_count;
};

struct part
{
	uint16_t partition;
	bool refused; /* in this step, for good */
	bool dropped; /* it is out */
	uint64_t fence;
	uint64_t done; /* this step, by member */
};

struct dyn_reap_round
{
	struct dyn_arena arena;
	enum state state;
	bool pausing;
	uint64_t until_ms; /* the step is tried again */
	uint64_t ring_digest;
	uint64_t processes[DYN_MEMBERS_MAX];
	uint32_t waiting; /* answers */
	uint32_t pages;
	struct key keys[KEYS_MAX + PAGE_ITEMS_MAX];
	uint32_t key_count;
	uint32_t prune_count;
	struct part *parts;
	uint32_t part_count;
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

	return grace_ms < CLOCKS_APART_MS ? grace_ms : CLOCKS_APART_MS;
}

bool
dyn_reap_is_due(const struct dyn_node *node, uint64_t held_at_ms)
{
	/* Of a record of the first format it is known that it was there when
	 * this process began to look. */
	if (held_at_ms == 0)
		held_at_ms = node->reap.begun_ms;
	return held_at_ms <= node->wall_ms &&
		   node->wall_ms - held_at_ms >= node->config.tombstone_grace_ms;
}

static bool
is_self(const struct dyn_node *node, uint32_t member)
{
	return node->cluster.member_peer[member] == DYN_PEER_SELF;
}

static bool
owns(const struct dyn_node *node, uint32_t member, uint16_t partition)
{
	const struct dyn_cluster *cluster = &node->cluster;

	for (uint8_t slot = 0; slot < cluster->n; slot++)
		if (cluster->slot_member[partition * cluster->n + slot] == member)
			return true;
	return false;
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

static void
end_round(struct dyn_node *node, bool go_on)
{
	uint64_t pause_ms = node->config.reap_ms / 4;

	free_round(node);
	node->reap.serial = 0;
	if (!go_on)
		node->reap.at_ms = next_round_at(node);
	else
		node->reap.at_ms =
			node->now_ms + (pause_ms < PAUSE_MS ? pause_ms : PAUSE_MS) + 1;
}

static void
note_block(struct dyn_node *node, uint32_t member, enum dyn_reap_block block)
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
static bool
may_go_on(struct dyn_node *node)
{
	struct dyn_reap_round *round = node->reap.round;
	int32_t away = find_away(node, round);

	if (away >= 0)
		note_block(node, (uint32_t) away, DYN_REAP_AWAY);
	if (away < 0 && node->writable &&
		round->ring_digest == node->cluster.ring_digest)
		return true;
	end_round(node, false);
	return false;
}

static void
await(struct dyn_node *node, enum state state)
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

	await(node, WALKING);
	node->reap.round->pages++;
	effect = dyn_effects_add(node->out, DYN_EFFECT_SCAN);
	effect->scan.token = node->reap.serial;
	effect->scan.table = DYN_TABLE_MAIN;
	effect->scan.cell_last = DYN_CELL_COUNT - 1;
	effect->scan.flags = DYN_RECORD_MORTAL | DYN_RECORD_CROWDED;
	effect->scan.items_max = PAGE_ITEMS_MAX;
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
		note_block(node, (uint32_t) away, DYN_REAP_AWAY);
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
			is_self(node, i)
				? node->start_id
				: node->peers[node->cluster.member_peer[i]]->process;
	read_page(node);
}

static struct key *
add_key(struct dyn_reap_round *round, const struct dyn_scanned *item,
		uint16_t partition, uint64_t hash)
{
	struct key *key = &round->keys[round->key_count++];

	*key = (struct key){ .bucket = dyn_arena_copy(&round->arena, item->bucket),
						 .key = dyn_arena_copy(&round->arena, item->key),
						 .partition = partition,
						 .hash = hash };
	return key;
}

/* When the last version of an object that is dead has expired: others judge
 * it by their own clocks. */
static uint64_t
dies_at(const struct dyn_object *object)
{
	uint64_t at_ms = 0;

	for (uint32_t i = 0; i < object->version_count; i++)
		if (object->versions[i].expires_at_ms > at_ms)
			at_ms = object->versions[i].expires_at_ms;
	return at_ms;
}

static void
take_item(struct dyn_node *node, const struct dyn_scanned *item)
{
	struct dyn_reap_round *round = node->reap.round;
	uint16_t cell = dyn_hash_cell(dyn_hash_position(item->bucket, item->key));
	uint16_t partition = dyn_cluster_partition(node, cell);
	uint64_t margin_ms = dyn_reap_margin_ms(node);
	struct dyn_object object;
	struct dyn_actor *actors;
	uint32_t count;

	if (item->state != DYN_LOADED_FOUND ||
		dyn_cluster_owner(node, partition, 0) != DYN_PEER_SELF ||
		dyn_object_decode(item->object, &node->scratch.allocator, &object) !=
			DYN_STATUS_OK)
		return;
	if (dyn_object_is_dead(&object, node->wall_ms))
		node->reap.left++;
	if (!dyn_building_answers(node, partition) ||
		!dyn_reap_is_due(node, item->held_at_ms))
		return;
	if (node->wall_ms > margin_ms &&
		dyn_object_is_dead(&object, node->wall_ms - margin_ms))
		add_key(round, item, partition,
				object.version_count == 0 ? item->hash
										  : dyn_hash_bytes(item->object))
			->dies_at_ms = dies_at(&object);
	else if (round->prune_count < PRUNES_MAX &&
			 (count =
				  dyn_prune_choose(node, &object, &round->arena, &actors)) != 0)
	{
		struct key *key =
			add_key(round, item, partition, dyn_hash_bytes(item->object));

		key->actors = actors;
		key->actor_count = count;
		round->prune_count++;
	}
}

static void ask_owners(struct dyn_node *node);

bool
dyn_reap_scanned(struct dyn_node *node, const struct dyn_event *event)
{
	struct dyn_reap *self = &node->reap;
	struct dyn_reap_round *round = self->round;

	if (self->serial == 0 || event->scanned.token != self->serial ||
		round->state != WALKING)
		return false;
	if (event->scanned.status != DYN_STATUS_OK)
	{
		self->place = (struct dyn_walk){ 0 };
		end_round(node, false);
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
	if (!event->scanned.end && round->key_count < KEYS_MAX &&
		round->pages < PAGES_MAX)
		read_page(node);
	else if (round->key_count == 0)
	{
		self->block = DYN_REAP_DONE;
		end_round(node, false);
	}
	else if (may_go_on(node))
		ask_owners(node);
	return true;
}

/* --------------------------------------------------------- asking, removing */

/* Is the key among those that this member is asked about, or told to remove? */
static bool
is_listed(const struct dyn_node *node, const struct key *key, uint32_t member)
{
	return !key->failed && owns(node, member, key->partition);
}

static Dyn__ReapItem *
make_item(const struct key *key, uint64_t fence, struct dyn_arena *arena)
{
	Dyn__ReapItem *item = dyn_arena_allocate(arena, sizeof(*item));
	Dyn__ReapActor *actors =
		dyn_arena_allocate(arena, key->actor_count * sizeof(*actors));

	dyn__reap_item__init(item);
	item->bucket = dyn_bytes_of_slice(key->bucket);
	item->key = dyn_bytes_of_slice(key->key);
	item->hash = key->hash;
	item->fence = fence;
	item->dies_at_ms = key->dies_at_ms;
	item->n_actors = key->actor_count;
	item->actors =
		dyn_arena_allocate(arena, key->actor_count * sizeof(*item->actors));
	for (uint32_t i = 0; i < key->actor_count; i++)
	{
		dyn__reap_actor__init(&actors[i]);
		actors[i].start = key->actors[i].start;
		actors[i].epoch = key->actors[i].epoch;
		item->actors[i] = &actors[i];
	}
	return item;
}

static uint64_t
fence_of(const struct dyn_reap_round *round, uint16_t partition)
{
	for (uint32_t i = 0; i < round->part_count; i++)
		if (round->parts[i].partition == partition)
			return round->parts[i].fence;
	return 0;
}

static void
send(struct dyn_node *node, uint32_t member, enum dyn_message_type type,
	 const ProtobufCMessage *message)
{
	uint32_t peer_index = (uint32_t) node->cluster.member_peer[member];
	uint32_t timeout_ms = node->config.request_timeout_ms;
	struct dyn_call *call = dyn_call_new(node, peer_index, type);
	struct dyn_call_item item = { .serial = node->reap.serial,
								  .op = member,
								  .deadline_ms = node->now_ms + timeout_ms };

	dyn_call_add(call, &item);
	dyn_outbox_send(node, peer_index, type, call->correlation, timeout_ms,
					message);
	dyn_call_await(node, call);
}

static void
send_reap(struct dyn_node *node, uint32_t member, uint32_t step)
{
	struct dyn_reap_round *round = node->reap.round;
	struct dyn_request *request =
		is_self(node, member) ? dyn_request_new(node, DYN_REQUEST_REAP, 0, NULL)
							  : NULL;
	struct dyn_arena *arena = request ? &request->arena : &node->scratch;
	Dyn__ReapRequest *message = dyn_arena_allocate(arena, sizeof(*message));

	dyn__reap_request__init(message);
	message->step = step;
	message->process = round->processes[member];
	message->items =
		dyn_arena_allocate(arena, round->key_count * sizeof(*message->items));
	for (uint32_t i = 0; i < round->key_count; i++)
		if (is_listed(node, &round->keys[i], member))
			message->items[message->n_items++] =
				make_item(&round->keys[i],
						  fence_of(round, round->keys[i].partition), arena);
	round->waiting++;
	if (request != NULL)
	{
		request->parent = node->reap.serial;
		request->parent_op = member;
		request->message = message;
		dyn_reap_take(node, request, message);
		return;
	}
	send(node, member, DYN_MESSAGE_REAP, &message->base);
}

/* Owners of something; for ASK this node has asked itself already. */
static void
send_reaps(struct dyn_node *node, uint32_t step)
{
	struct dyn_reap_round *round = node->reap.round;

	for (uint32_t m = 0; m < node->cluster.ring.member_count; m++)
	{
		bool any = false;

		for (uint32_t i = 0; i < round->key_count && !any; i++)
			any = is_listed(node, &round->keys[i], m);
		if (any && (step != DYN_REAP_ASK || !is_self(node, m)))
			send_reap(node, m, step);
	}
}

static void begin_fences(struct dyn_node *node);

/* All have answered: what somebody said no to is left out from now on. */
static bool
take_refusals(struct dyn_node *node)
{
	struct dyn_reap_round *round = node->reap.round;
	bool any = false;

	for (uint32_t i = 0; i < round->key_count; i++)
	{
		struct key *key = &round->keys[i];
		struct dyn_repair_key again = { .bucket = key->bucket,
										.key = key->key };

		/* Contexts that differ are nothing to anti-entropy: a read of all
		 * owners makes them the same, for a later round. */
		if (key->differs)
			dyn_repair_mend(node, &again, 1);
		key->differs = false;

		if (key->refused && !key->failed)
			dyn_count(node, reap_refused);
		key->failed |= key->refused;
		any |= !key->failed;
	}
	return any;
}

static void
reap_answered(struct dyn_node *node)
{
	struct dyn_reap_round *round = node->reap.round;

	if (--round->waiting != 0)
		return;
	if (round->state == ASKING)
	{
		if (take_refusals(node) && may_go_on(node))
			begin_fences(node);
		else if (node->reap.round != NULL)
			end_round(node, round->key_count >= KEYS_MAX);
		return;
	}
	take_refusals(node);
	node->reap.block = DYN_REAP_DONE;
	end_round(node, round->key_count >= KEYS_MAX || round->pages >= PAGES_MAX);
}

static void
ask_owners(struct dyn_node *node)
{
	dyn_count(node, reap_rounds);
	await(node, ASKING);
	send_reaps(node, DYN_REAP_ASK);
	reap_answered(node);
}

static void
remove_keys(struct dyn_node *node)
{
	await(node, REMOVING);
	send_reaps(node, DYN_REAP_REMOVE);
	reap_answered(node);
}

/* A member cannot, or does not, answer. */
static void
lose(struct dyn_node *node, uint32_t member)
{
	note_block(node, member, DYN_REAP_AWAY);
	end_round(node, false);
}

static void
take_status(struct dyn_node *node, uint32_t member, struct key *key,
			enum dyn_status status)
{
	key->refused |= status != DYN_STATUS_OK;
	key->differs |= (key->actor_count != 0 || key->dies_at_ms != 0) &&
					status == DYN_STATUS_CONFLICT;
	/* What this node has removed is no longer waited for. */
	if (node->reap.round->state == REMOVING && is_self(node, member) &&
		status == DYN_STATUS_OK && key->actor_count == 0 &&
		node->reap.waiting != 0)
		node->reap.waiting--;
}

void
dyn_reap_answered(struct dyn_node *node, uint64_t serial, uint32_t member,
				  const Dyn__ReapReply *reply)
{
	struct dyn_reap_round *round = node->reap.round;
	size_t count = 0;

	if (round == NULL || serial != node->reap.serial ||
		(round->state != ASKING && round->state != REMOVING))
		return;
	for (uint32_t i = 0; i < round->key_count; i++)
		count += is_listed(node, &round->keys[i], member);
	if (reply == NULL || reply->n_statuses != count)
	{
		lose(node, member);
		return;
	}
	count = 0;
	for (uint32_t i = 0; i < round->key_count; i++)
		if (is_listed(node, &round->keys[i], member))
			take_status(node, member, &round->keys[i],
						(enum dyn_status) reply->statuses[count++]);
	reap_answered(node);
}

/* ------------------------------------------------------------------ fences */

static uint32_t
fence_step(enum state state)
{
	if (state == STAMPING)
		return DYN_FENCE_STAMP;
	return state == DRAINING ? DYN_FENCE_DRAIN : DYN_FENCE_FLOOR;
}

/* Has this member still to do its part of the step for the partition? */
static bool
is_open(const struct dyn_node *node, const struct part *part, uint32_t member)
{
	enum state state = node->reap.round->state;

	if (part->dropped || (part->done >> member & 1) != 0)
		return false;
	if (state == FLOOR_AT_OTHERS)
		return !owns(node, member, part->partition);
	return state != FLOOR_AT_OWNERS || owns(node, member, part->partition);
}

static void
send_fence(struct dyn_node *node, uint32_t member)
{
	struct dyn_reap_round *round = node->reap.round;
	struct dyn_request *request =
		is_self(node, member)
			? dyn_request_new(node, DYN_REQUEST_FENCE, 0, NULL)
			: NULL;
	struct dyn_arena *arena = request ? &request->arena : &node->scratch;
	Dyn__FenceRequest *message = dyn_arena_allocate(arena, sizeof(*message));

	dyn__fence_request__init(message);
	message->step = fence_step(round->state);
	message->process = round->processes[member];
	message->partitions = dyn_arena_allocate(
		arena, round->part_count * sizeof(*message->partitions));
	message->fences =
		dyn_arena_allocate(arena, round->part_count * sizeof(*message->fences));
	for (uint32_t i = 0; i < round->part_count; i++)
		if (is_open(node, &round->parts[i], member))
		{
			message->partitions[message->n_partitions++] =
				round->parts[i].partition;
			message->fences[message->n_fences++] = round->parts[i].fence;
		}
	round->waiting++;
	if (request != NULL)
	{
		request->parent = node->reap.serial;
		request->parent_op = member;
		request->message = message;
		dyn_reap_take_fence(node, request, message);
		return;
	}
	send(node, member, DYN_MESSAGE_FENCE, &message->base);
}

static void fence_answered(struct dyn_node *node);

static void
send_fences(struct dyn_node *node, enum state state)
{
	struct dyn_reap_round *round = node->reap.round;

	await(node, state);
	for (uint32_t m = 0; m < node->cluster.ring.member_count; m++)
	{
		bool any = false;

		for (uint32_t i = 0; i < round->part_count && !any; i++)
			any = is_open(node, &round->parts[i], m);
		if (any)
			send_fence(node, m);
	}
	fence_answered(node);
}

static void
begin_fence_step(struct dyn_node *node, enum state state)
{
	struct dyn_reap_round *round = node->reap.round;

	for (uint32_t i = 0; i < round->part_count; i++)
		round->parts[i].done = 0;
	send_fences(node, state);
}

static void
drop_part(struct dyn_reap_round *round, struct part *part)
{
	part->dropped = true;
	for (uint32_t i = 0; i < round->key_count; i++)
		if (round->keys[i].partition == part->partition)
			round->keys[i].failed = true;
}

/* False when nothing of the round is left. */
static bool
has_parts(struct dyn_node *node)
{
	struct dyn_reap_round *round = node->reap.round;

	for (uint32_t i = 0; i < round->part_count; i++)
		if (!round->parts[i].dropped)
			return true;
	end_round(node, false);
	return false;
}

static void
next_step(struct dyn_node *node)
{
	switch (node->reap.round->state)
	{
		case STAMPING:
			begin_fence_step(node, DRAINING);
			break;
		case DRAINING:
			begin_fence_step(node, FLOOR_AT_OTHERS);
			break;
		case FLOOR_AT_OTHERS:
			begin_fence_step(node, FLOOR_AT_OWNERS);
			break;
		case FLOOR_AT_OWNERS:
			remove_keys(node);
			break;
		case WALKING:
		case ASKING:
		case REMOVING:
			break;
	}
}

/* All that were asked have answered: on, or once more after a pause. */
static void
fence_answered(struct dyn_node *node)
{
	struct dyn_reap_round *round = node->reap.round;
	bool late = node->now_ms >= round->until_ms;
	bool open = false;

	if (--round->waiting != 0)
		return;
	for (uint32_t i = 0; i < round->part_count; i++)
	{
		bool undone = false;

		for (uint32_t m = 0; m < node->cluster.ring.member_count; m++)
			undone |= is_open(node, &round->parts[i], m);
		if (round->parts[i].refused || (undone && late))
			drop_part(round, &round->parts[i]);
		open |= undone && !round->parts[i].dropped;
	}
	if (!has_parts(node) || !may_go_on(node))
		return;
	if (!open)
	{
		next_step(node);
		return;
	}
	round->pausing = true;
	node->reap.serial = 0;
	node->reap.at_ms = node->now_ms + PAUSE_MS;
}

/* Will it be otherwise in a moment? */
static bool
may_pass(enum dyn_reap_block block)
{
	return block == DYN_REAP_REQUESTS || block == DYN_REAP_HINTS;
}

void
dyn_reap_fenced(struct dyn_node *node, uint64_t serial, uint32_t member,
				const Dyn__FenceReply *reply)
{
	struct dyn_reap_round *round = node->reap.round;
	size_t count = 0;

	if (round == NULL || serial != node->reap.serial)
		return;
	for (uint32_t i = 0; i < round->part_count; i++)
		count += is_open(node, &round->parts[i], member);
	if (reply == NULL || reply->n_blocks != count || reply->n_stamps != count)
	{
		lose(node, member);
		return;
	}
	count = 0;
	for (uint32_t i = 0; i < round->part_count; i++)
	{
		struct part *part = &round->parts[i];
		enum dyn_reap_block block;

		if (!is_open(node, part, member))
			continue;
		block = (enum dyn_reap_block) reply->blocks[count];
		dyn_fence_note(node, part->partition, reply->stamps[count++]);
		if (block == DYN_REAP_DONE)
		{
			part->done |= 1ULL << member;
			continue;
		}
		note_block(node, member, block);
		if (!may_pass(block))
			part->refused = true;
	}
	fence_answered(node);
}

static void
begin_fences(struct dyn_node *node)
{
	struct dyn_reap_round *round = node->reap.round;

	round->parts =
		dyn_arena_allocate(&round->arena, node->cluster.ring.partition_count *
											  sizeof(*round->parts));
	round->part_count = 0;
	for (uint32_t p = 0; p < node->cluster.ring.partition_count; p++)
	{
		bool any = false;

		for (uint32_t i = 0; i < round->key_count && !any; i++)
			any = !round->keys[i].failed && round->keys[i].partition == p;
		if (any)
			round->parts[round->part_count++] =
				(struct part){ .partition = (uint16_t) p,
							   .fence = dyn_fence_next(node, (uint16_t) p) };
	}
	begin_fence_step(node, STAMPING);
}

/* -------------------------------------------------------------------- time */

void
dyn_reap_tick(struct dyn_node *node)
{
	struct dyn_reap *self = &node->reap;

	if (self->begun_ms == 0)
		self->begun_ms = node->wall_ms;
	if (!dyn_cluster_serves(node) || node->config.reap_ms == DYN_REAP_NEVER ||
		node->now_ms < self->at_ms)
		return;
	if (self->at_ms == 0)
		self->at_ms = next_round_at(node);
	else if (self->round == NULL)
		begin_round(node);
	else if (!self->round->pausing)
		end_round(node, false);
	else if (may_go_on(node))
		send_fences(node, self->round->state);
}

uint64_t
dyn_reap_deadline(const struct dyn_node *node)
{
	if (!dyn_cluster_serves(node) || node->config.reap_ms == DYN_REAP_NEVER)
		return UINT64_MAX;
	return node->reap.at_ms;
}
