#include "core/reap_round.h"

#include "core/call.h"
#include "core/cluster.h"
#include "core/outbox.h"
#include "core/repair.h"
#include "core/request.h"

enum
{
	MENDS_MAX = 64 /* keys whose contexts are made equal, of one round */
};

static bool
owns(const struct dyn_node *node, uint32_t member, uint16_t partition)
{
	const struct dyn_cluster *cluster = &node->cluster;

	for (uint8_t slot = 0; slot < cluster->n; slot++)
		if (cluster->slot_member[partition * cluster->n + slot] == member)
			return true;
	return false;
}

/* --------------------------------------------------------- asking, removing */

/* Is the key among those that this member is asked about, or told to remove? */
static bool
is_listed(const struct dyn_node *node, const struct dyn_reap_key *key,
		  uint32_t member)
{
	return !key->failed && owns(node, member, key->partition);
}

static Dyn__ReapItem *
make_item(const struct dyn_reap_key *key, uint64_t fence,
		  struct dyn_arena *arena)
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
take_fence_reply(struct dyn_node *node, const struct dyn_call *call,
				 const ProtobufCMessage *body)
{
	dyn_reap_fenced(node, call->items[0].serial, call->items[0].op,
					(const Dyn__FenceReply *) body);
}

static void
lose_fence(struct dyn_node *node, const struct dyn_call_item *item,
		   enum dyn_status status)
{
	dyn_reap_fenced(node, item->serial, item->op, NULL);
}

static void
take_reap_reply(struct dyn_node *node, const struct dyn_call *call,
				const ProtobufCMessage *body)
{
	dyn_reap_answered(node, call->items[0].serial, call->items[0].op,
					  (const Dyn__ReapReply *) body);
}

static void
lose_reap(struct dyn_node *node, const struct dyn_call_item *item,
		  enum dyn_status status)
{
	dyn_reap_answered(node, item->serial, item->op, NULL);
}

static const struct dyn_call_kind fence_call = { DYN_MESSAGE_FENCE,
												 DYN_MESSAGE_FENCE_REPLY, NULL,
												 take_fence_reply, lose_fence };
static const struct dyn_call_kind reap_call = { DYN_MESSAGE_REAP,
												DYN_MESSAGE_REAP_REPLY, NULL,
												take_reap_reply, lose_reap };

static void
send(struct dyn_node *node, uint32_t member, const struct dyn_call_kind *kind,
	 const ProtobufCMessage *message)
{
	uint32_t peer_index = (uint32_t) node->cluster.member_peer[member];
	uint32_t timeout_ms = node->config.request_timeout_ms;
	struct dyn_call *call = dyn_call_new(node, peer_index, kind);
	struct dyn_call_item item = { .serial = node->reap.serial,
								  .op = member,
								  .deadline_ms = node->now_ms + timeout_ms };

	dyn_call_add(call, &item);
	dyn_outbox_send(node, peer_index, kind->type, call->correlation, timeout_ms,
					message);
	dyn_call_await(node, call);
}

static void
send_reap(struct dyn_node *node, uint32_t member, uint32_t step)
{
	struct dyn_reap_round *round = node->reap.round;
	struct dyn_request *request =
		dyn_reap_is_self(node, member)
			? dyn_request_new(node, &dyn_reap_kind, 0, NULL)
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
		dyn_reap_take(node, request, &node->id, message);
		return;
	}
	send(node, member, &reap_call, &message->base);
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
		if (any && (step != DYN_REAP_ASK || !dyn_reap_is_self(node, m)))
			send_reap(node, m, step);
	}
}

static void begin_fences(struct dyn_node *node);

/* All have answered: what somebody said no to is left out from now on. */
static bool
take_refusals(struct dyn_node *node)
{
	struct dyn_reap_round *round = node->reap.round;
	uint32_t mends = 0;
	bool any = false;

	for (uint32_t i = 0; i < round->key_count; i++)
	{
		struct dyn_reap_key *key = &round->keys[i];
		struct dyn_repair_key again = { .bucket = key->bucket,
										.key = key->key };

		/* Contexts that differ are nothing to anti-entropy: a read of all
		 * owners makes them the same, for a later round. */
		if (key->differs && mends++ < MENDS_MAX)
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
	if (round->state == DYN_REAP_ASKING)
	{
		if (take_refusals(node) && dyn_reap_may_go_on(node))
			begin_fences(node);
		else if (node->reap.round != NULL)
			dyn_reap_end(node, round->key_count >= DYN_REAP_KEYS_MAX);
		return;
	}
	take_refusals(node);
	node->reap.block = DYN_REAP_DONE;
	dyn_reap_end(node, round->key_count >= DYN_REAP_KEYS_MAX ||
						   round->pages >= DYN_REAP_PAGES_MAX);
}

void
dyn_reap_ask_owners(struct dyn_node *node)
{
	dyn_count(node, reap_rounds);
	dyn_reap_await(node, DYN_REAP_ASKING);
	send_reaps(node, DYN_REAP_ASK);
	reap_answered(node);
}

static void
remove_keys(struct dyn_node *node)
{
	dyn_reap_await(node, DYN_REAP_REMOVING);
	send_reaps(node, DYN_REAP_REMOVE);
	reap_answered(node);
}

/* A member cannot, or does not, answer. */
static void
lose(struct dyn_node *node, uint32_t member)
{
	dyn_reap_note_block(node, member, DYN_REAP_AWAY);
	dyn_reap_end(node, false);
}

static void
take_status(struct dyn_node *node, uint32_t member, struct dyn_reap_key *key,
			enum dyn_status status)
{
	key->refused |= status != DYN_STATUS_OK;
	key->differs |= (key->actor_count != 0 || key->dies_at_ms != 0) &&
					status == DYN_STATUS_CONFLICT;
	/* What this node has removed is no longer waited for. */
	if (node->reap.round->state == DYN_REAP_REMOVING &&
		dyn_reap_is_self(node, member) && status == DYN_STATUS_OK &&
		key->actor_count == 0 && node->reap.waiting != 0)
		node->reap.waiting--;
}

void
dyn_reap_answered(struct dyn_node *node, uint64_t serial, uint32_t member,
				  const Dyn__ReapReply *reply)
{
	struct dyn_reap_round *round = node->reap.round;
	size_t count = 0;

	if (round == NULL || serial != node->reap.serial ||
		(round->state != DYN_REAP_ASKING && round->state != DYN_REAP_REMOVING))
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
fence_step(enum dyn_reap_phase state)
{
	if (state == DYN_REAP_STAMPING)
		return DYN_FENCE_STAMP;
	return state == DYN_REAP_DRAINING ? DYN_FENCE_DRAIN : DYN_FENCE_FLOOR;
}

/* Has this member still to do its part of the step for the partition? */
static bool
is_open(const struct dyn_node *node, const struct dyn_reap_part *part,
		uint32_t member)
{
	enum dyn_reap_phase state = node->reap.round->state;

	if (part->dropped || (part->done >> member & 1) != 0)
		return false;
	if (state == DYN_REAP_FLOOR_AT_OTHERS)
		return !owns(node, member, part->partition);
	return state != DYN_REAP_FLOOR_AT_OWNERS ||
		   owns(node, member, part->partition);
}

static void
send_fence(struct dyn_node *node, uint32_t member)
{
	struct dyn_reap_round *round = node->reap.round;
	struct dyn_request *request =
		dyn_reap_is_self(node, member)
			? dyn_request_new(node, &dyn_fence_kind, 0, NULL)
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
		dyn_reap_take_fence(node, request, &node->id, message);
		return;
	}
	send(node, member, &fence_call, &message->base);
}

static void fence_answered(struct dyn_node *node);

void
dyn_reap_send_fences(struct dyn_node *node, enum dyn_reap_phase state)
{
	struct dyn_reap_round *round = node->reap.round;

	dyn_reap_await(node, state);
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
begin_fence_step(struct dyn_node *node, enum dyn_reap_phase state)
{
	struct dyn_reap_round *round = node->reap.round;

	for (uint32_t i = 0; i < round->part_count; i++)
		round->parts[i].done = 0;
	dyn_reap_send_fences(node, state);
}

static void
drop_part(struct dyn_reap_round *round, struct dyn_reap_part *part)
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
	dyn_reap_end(node, false);
	return false;
}

static void
next_step(struct dyn_node *node)
{
	switch (node->reap.round->state)
	{
		case DYN_REAP_STAMPING:
			begin_fence_step(node, DYN_REAP_DRAINING);
			break;
		case DYN_REAP_DRAINING:
			begin_fence_step(node, DYN_REAP_FLOOR_AT_OTHERS);
			break;
		case DYN_REAP_FLOOR_AT_OTHERS:
			begin_fence_step(node, DYN_REAP_FLOOR_AT_OWNERS);
			break;
		case DYN_REAP_FLOOR_AT_OWNERS:
			remove_keys(node);
			break;
		case DYN_REAP_WALKING:
		case DYN_REAP_ASKING:
		case DYN_REAP_REMOVING:
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
	if (!has_parts(node) || !dyn_reap_may_go_on(node))
		return;
	if (!open)
	{
		next_step(node);
		return;
	}
	round->pausing = true;
	node->reap.serial = 0;
	node->reap.at_ms = node->now_ms + DYN_REAP_PAUSE_MS;
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
		struct dyn_reap_part *part = &round->parts[i];
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
		dyn_reap_note_block(node, member, block);
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
				(struct dyn_reap_part){ .partition = (uint16_t) p,
										.fence = dyn_fence_next(node,
																(uint16_t) p) };
	}
	begin_fence_step(node, DYN_REAP_STAMPING);
}
