#include "core/handoff.h"

#include "core/cluster.h"
#include "core/commit.h"
#include "core/misnamed.h"
#include "core/outbox.h"
#include "core/peer.h"
#include "model/hash.h"

#include <string.h>

static const struct dyn_request_kind handoff_kind;

enum
{
	SLICE_ITEMS_MAX = 1024,
	REST_MS = 60 * 1000 /* after what does not fit beside what the owner has */
};

struct dyn_handoff_op
{
	struct dyn_slice bucket;
	struct dyn_slice key;
	uint64_t hash;   /* of the object, as stored */
	uint64_t digest; /* of its bytes; what was sent */
	uint32_t size;   /* on its way; 0 = no more */
	bool damaged;
	bool decided;
};

/* A page of hints on its way to one owner. */
struct dyn_handoff
{
	uint32_t peer_index;
	uint16_t partition;
	uint8_t slot;
	uint64_t fence; /* the mark of what the page holds */
	bool failed;    /* some of it stays */
	struct dyn_handoff_op *ops;
};

/* ---------------------------------------------------------------- what is */

void
dyn_handoff_note(struct dyn_node *node, uint16_t partition, uint8_t slots)
{
	if (node->hints.pending == NULL)
		return;
	node->hints.pending[partition] |= slots;
	node->hints.walked[partition] &= (uint8_t) ~slots;
}

bool *
dyn_handoff_held(struct dyn_node *node)
{
	uint32_t count = node->cluster.ring.partition_count;
	bool *held = dyn_arena_allocate(&node->scratch, count * sizeof(*held));

	for (uint32_t p = 0; p < count; p++)
		held[p] = node->hints.pending == NULL || node->hints.pending[p] != 0;
	dyn_key_mark_hints(node, held);
	return held;
}

bool
dyn_handoff_takes(struct dyn_node *node, const struct dyn_key *key)
{
	if (key->object.size != 0 ||
		node->hints.count + node->hints.writing < node->config.hints_max)
		return true;
	dyn_count(node, hints_refused);
	return false;
}

static int
slot_of(const struct dyn_node *node, uint16_t partition, uint32_t peer_index)
{
	for (uint8_t slot = 0; slot < node->cluster.n; slot++)
		if (dyn_cluster_owner(node, partition, slot) == (int32_t) peer_index)
			return slot;
	return -1;
}

static uint8_t
bit_of(uint32_t slot)
{
	return (uint8_t) (1U << slot);
}

/* Does the partition hold some for the peer, as far as is known, that is not
 * left alone? */
static bool
may_hold(const struct dyn_node *node, uint16_t partition, uint32_t peer_index)
{
	int slot;

	if (node->hints.pending[partition] == 0 ||
		node->now_ms < node->hints.rest_ms[partition])
		return false;
	slot = slot_of(node, partition, peer_index);
	return slot >= 0 &&
		   (node->hints.pending[partition] & bit_of((uint32_t) slot)) != 0;
}

bool
dyn_handoff_wants(const struct dyn_node *node, uint32_t peer_index)
{
	uint32_t count = node->cluster.ring.partition_count;

	for (uint32_t p = 0; node->hints.pending != NULL && p < count; p++)
		if (may_hold(node, (uint16_t) p, peer_index))
			return true;
	return false;
}

/* After a start nobody knows where they are, if there are any; what this node
 * owns it keeps no hints of. */
static void
learn_partitions(struct dyn_node *node)
{
	uint32_t count = node->cluster.ring.partition_count;

	node->hints.pending = dyn_memory_take(count);
	node->hints.walked = dyn_memory_take(count);
	node->hints.rest_ms = dyn_memory_take(count * sizeof(*node->hints.rest_ms));
	for (uint32_t p = 0; p < count && node->hints.count != 0; p++)
		if (dyn_cluster_own_slot(node, (uint16_t) p) < 0)
			node->hints.pending[p] = (uint8_t) ((1U << node->cluster.n) - 1);
}

/* ------------------------------------------------------------------ slices */

static void
read_page(struct dyn_node *node, struct dyn_request *request)
{
	struct dyn_handoff *self = request->handoff;
	struct dyn_peer *peer = node->peers[self->peer_index];
	uint16_t q = node->cluster.ring.partition_count;
	struct dyn_effect *effect = dyn_effects_add(node->out, DYN_EFFECT_SCAN);

	/* How old they are nobody knows, but for the floor that they passed. */
	self->fence = dyn_fence_floor(node, self->partition);
	effect->scan.token = request->serial;
	effect->scan.table = DYN_TABLE_HINTS;
	effect->scan.cell_first = dyn_hash_cell_first(self->partition, q);
	effect->scan.cell_last = dyn_hash_cell_last(self->partition, q);
	dyn_walk_resume(&peer->hint_cursor.place, effect, &node->out->arena);
	effect->scan.items_max = SLICE_ITEMS_MAX;
	effect->scan.bytes_max = dyn_credit_may_send(peer) < DYN_CREDIT_SLICE_MAX
								 ? (uint32_t) dyn_credit_may_send(peer)
								 : DYN_CREDIT_SLICE_MAX;
	effect->scan.for_damage = request->for_damage;
}

/* The next partition that may hold something for the peer, from where the
 * last pass ended.  Each is looked at once between two heartbeats: it may hold
 * hints for others only, and would be looked at for ever. */
static bool
find_partition(struct dyn_node *node, uint32_t peer_index)
{
	struct dyn_hint_cursor *cursor = &node->peers[peer_index]->hint_cursor;
	uint32_t q = node->cluster.ring.partition_count;

	for (uint32_t i = 0; i < q && node->peers[peer_index]->hint_walks < q; i++)
	{
		uint16_t p = (uint16_t) ((cursor->partition + 1 + i) % q);

		node->peers[peer_index]->hint_walks++;
		if (!may_hold(node, p, peer_index))
			continue;
		*cursor = (struct dyn_hint_cursor){ .active = true, .partition = p };
		node->hints.walked[p] |=
			bit_of((uint32_t) slot_of(node, p, peer_index));
		return true;
	}
	return false;
}

static void
start(struct dyn_node *node, uint32_t peer_index)
{
	struct dyn_peer *peer = node->peers[peer_index];
	struct dyn_request *request;
	struct dyn_handoff *self;

	if (peer->handoff != 0 || dyn_credit_may_send(peer) == 0 ||
		!peer->writable || !dyn_peer_is_reachable(node, (int32_t) peer_index) ||
		(!peer->hint_cursor.active && !find_partition(node, peer_index)))
		return;
	request = dyn_request_new(node, &handoff_kind, 0, NULL);
	self = dyn_arena_allocate(&request->arena, sizeof(*self));
	*self = (struct dyn_handoff){
		.peer_index = peer_index,
		.partition = peer->hint_cursor.partition,
		.slot = (uint8_t) slot_of(node, peer->hint_cursor.partition, peer_index)
	};
	request->handoff = self;
	peer->handoff = request->serial;
	read_page(node, request);
}

void
dyn_handoff_tick(struct dyn_node *node)
{
	if (!node->cluster.formed || !node->writable)
		return;
	if (node->hints.pending == NULL)
		learn_partitions(node);
	for (uint32_t i = 0; i < node->peer_count; i++)
	{
		node->peers[i]->hint_walks = 0;
		start(node, i);
	}
}

static void
end_slice(struct dyn_node *node, struct dyn_request *request)
{
	struct dyn_peer *peer = node->peers[request->handoff->peer_index];

	peer->handoff = 0;
	for (uint32_t op = 0; op < request->op_count; op++)
		dyn_credit_sent(peer, request->handoff->ops[op].size);
	dyn_request_end(node, request);
}

static void
decide(struct dyn_node *node, struct dyn_request *request, uint32_t op,
	   bool done)
{
	struct dyn_handoff *self = request->handoff;
	uint32_t peer_index = self->peer_index;
	bool go_on;

	if (self->ops[op].decided)
		return;
	self->ops[op].decided = true;
	self->failed |= !done;
	if (--request->undecided != 0)
		return;
	/* Who could not take this page gets a pause, until the next heartbeat. */
	go_on = !self->failed;
	end_slice(node, request);
	if (go_on)
		start(node, peer_index);
}

/* ------------------------------------------------------------------- pages */

/* A damaged one may be for anybody, if it is of the partition at all. */
static bool
is_for(const struct dyn_node *node, const struct dyn_handoff *self,
	   const struct dyn_scanned *item)
{
	if (item->state == DYN_LOADED_FOUND)
		return (item->slots & bit_of(self->slot)) != 0;
	return item->key.size != 0 &&
		   dyn_cluster_partition(node, item->cell) == self->partition;
}

/* A walk that met nothing for the slot, and nothing was written meanwhile:
 * there is nothing. */
static void
keep_cursor(struct dyn_node *node, struct dyn_handoff *self,
			const struct dyn_event *event)
{
	struct dyn_hint_cursor *cursor =
		&node->peers[self->peer_index]->hint_cursor;

	for (uint32_t i = 0; i < event->scanned.item_count; i++)
		cursor->seen |= is_for(node, self, &event->scanned.items[i]);
	if (event->scanned.end)
	{
		if (!cursor->seen &&
			(node->hints.walked[self->partition] & bit_of(self->slot)) != 0)
			node->hints.pending[self->partition] &=
				(uint8_t) ~bit_of(self->slot);
		cursor->active = false;
		return;
	}
	dyn_walk_keep(&cursor->place, event);
}

static uint32_t
size_of(const struct dyn_scanned *item)
{
	return (uint32_t) (item->key.size + item->object.size);
}

/* Where the key table would not look for it.  Nobody may bring it home, and
 * reaping would wait for it.  It counts until the next start. */
static void
remove_misnamed(struct dyn_node *node, const struct dyn_scanned *item)
{
	dyn_count(node, hints_damaged);
	/* What it held of my writes nobody can tell. */
	node->epoch_floor = node->epoch_next;
	dyn_commit_remove_misnamed(
		node, DYN_TABLE_HINTS,
		&(struct dyn_record_key){ item->bucket, item->cell, item->key });
}

static void
take_item(struct dyn_node *node, struct dyn_request *request,
		  const struct dyn_scanned *item)
{
	struct dyn_handoff *self = request->handoff;
	uint32_t op = request->op_count;
	struct dyn_call_item call = { .serial = request->serial,
								  .op = op,
								  .slot = self->slot,
								  .deadline_ms = request->deadline_ms };
	bool damaged = item->state != DYN_LOADED_FOUND;

	if (!is_for(node, self, item))
		return;
	if (dyn_scanned_is_misnamed(item))
	{
		remove_misnamed(node, item);
		return;
	}
	self->ops[op] = (struct dyn_handoff_op){
		.bucket = dyn_arena_copy(&request->arena, item->bucket),
		.key = dyn_arena_copy(&request->arena, item->key),
		.hash = item->hash,
		.digest = dyn_hash_bytes(item->object),
		.damaged = damaged
	};
	request->op_count++;
	request->undecided++;
	if (damaged)
		return;
	self->ops[op].size = size_of(item);
	dyn_credit_send(node, node->peers[self->peer_index], size_of(item));
	dyn_outbox_replicate(node, self->peer_index, self->ops[op].bucket,
						 self->ops[op].key, item->object, self->fence, NULL,
						 NULL, 0, &call);
}

/* To their places in the key table; each may be decided at once. */
static void
drop_damaged(struct dyn_node *node, struct dyn_request *request)
{
	struct dyn_handoff *self = request->handoff;

	for (uint32_t op = 0; op < request->op_count && !request->ended; op++)
		if (self->ops[op].damaged &&
			!dyn_key_do(node, self->ops[op].bucket, self->ops[op].key,
						(struct dyn_work){ request->serial, op }))
			decide(node, request, op, false);
}

/* Is what was granted when the page was asked for still granted? */
static bool
may_send(const struct dyn_node *node, const struct dyn_handoff *self,
		 const struct dyn_event *event)
{
	const struct dyn_peer *peer = node->peers[self->peer_index];
	uint64_t bytes = 0;
	uint32_t count = 0;

	for (uint32_t i = 0; i < event->scanned.item_count; i++)
		if (is_for(node, self, &event->scanned.items[i]))
		{
			bytes += size_of(&event->scanned.items[i]);
			count++;
		}
	return bytes <= dyn_credit_may_send(peer) ||
		   (count == 1 && peer->credit != 0 && peer->sending == 0);
}

static void
scanned(struct dyn_node *node, struct dyn_request *request,
		const struct dyn_event *event)
{
	struct dyn_handoff *self = request->handoff;

	/* What damage stands in the way of goes home all the same. */
	if (event->scanned.status == DYN_STATUS_IO_ERROR && !request->for_damage)
	{
		request->for_damage = true;
		read_page(node, request);
		return;
	}
	if (event->scanned.status != DYN_STATUS_OK || !may_send(node, self, event))
	{
		end_slice(node, request);
		return;
	}
	self->ops = dyn_arena_allocate(
		&request->arena, (event->scanned.item_count + 1) * sizeof(*self->ops));
	keep_cursor(node, self, event);
	for (uint32_t i = 0; i < event->scanned.item_count; i++)
		take_item(node, request, &event->scanned.items[i]);
	if (request->op_count != 0)
	{
		dyn_count(node, hint_slices);
		drop_damaged(node, request);
		return;
	}
	end_slice(node, request);
	start(node, self->peer_index);
}

/*
 * An owner's floor rises only after this node's has, and that one only while
 * no hints are here.  So who hears FENCED has gone back to an earlier time,
 * and the hint was delivered before - unless the floor rose since it was read.
 */
static bool
was_delivered(const struct dyn_node *node, const struct dyn_handoff *self)
{
	return self->fence == dyn_fence_floor(node, self->partition);
}

static void
replicated(struct dyn_node *node, struct dyn_request *request,
		   const struct dyn_call_item *item, bool lost, enum dyn_status status)
{
	uint32_t op = item->op;
	struct dyn_handoff_op *self = &request->handoff->ops[op];

	if (lost)
		status = DYN_STATUS_UNKNOWN;
	dyn_credit_sent(node->peers[request->handoff->peer_index], self->size);
	self->size = 0;
	/* Until somebody replaces what is there: no reason to send it with every
	 * heartbeat. */
	if (status == DYN_STATUS_TOO_LARGE)
		node->hints.rest_ms[request->handoff->partition] =
			node->now_ms + REST_MS;
	if (status == DYN_STATUS_FENCED && was_delivered(node, request->handoff))
	{
		dyn_count(node, hints_fenced);
		status = DYN_STATUS_OK;
	}
	if (status != DYN_STATUS_OK ||
		!dyn_key_do(node, self->bucket, self->key,
					(struct dyn_work){ request->serial, op }))
		decide(node, request, op, false);
}

/* The hint without the slot that has it now, or none at all. */
static void
apply(struct dyn_node *node, struct dyn_request *request, uint32_t op,
	  struct dyn_key *key)
{
	struct dyn_handoff *handoff = request->handoff;
	const struct dyn_handoff_op *self = &handoff->ops[op];
	struct dyn_key_value value = { 0 };
	bool is_same = key->state == DYN_LOADED_FOUND &&
				   dyn_hash_bytes(key->object) == self->digest;

	if (self->damaged)
		is_same = key->state == DYN_LOADED_CORRUPT;
	if (key->table != DYN_TABLE_HINTS || !is_same)
	{
		decide(node, request, op, true);
		return;
	}
	if (self->damaged)
	{
		/* What it held of my writes nobody can tell. */
		dyn_count(node, hints_damaged);
		node->epoch_floor = node->epoch_next;
	}
	else
		value.slots = key->slots & (uint8_t) ~(1U << handoff->slot);
	if (value.slots != 0)
	{
		value.object = dyn_arena_copy(&node->out->arena, key->object);
		value.hash = self->hash;
		value.flags = key->flags;
	}
	if (dyn_commit_write(node, key, &value,
						 (struct dyn_work){ request->serial, op }))
		decide(node, request, op, true);
}

static void
committed(struct dyn_node *node, struct dyn_request *request, uint32_t op,
		  enum dyn_status status, bool carried)
{
	if (status == DYN_STATUS_OK && !request->handoff->ops[op].damaged)
		dyn_count(node, hints_delivered);
	decide(node, request, op, status == DYN_STATUS_OK);
}

static const struct dyn_request_kind handoff_kind = {
	.name = "handoff",
	.makes_objects = true,
	.is_paged = true,
	.expire = end_slice,
	.apply = apply,
	.committed = committed,
	.scanned = scanned,
	.replicated = replicated,
};
