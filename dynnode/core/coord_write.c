#include "core/coord_write.h"

#include "core/cluster.h"
#include "core/outbox.h"
#include "core/peer.h"
#include "core/put_answer.h"

static uint8_t
bit_of(uint32_t slot)
{
	return (uint8_t) (1U << slot);
}

static int32_t
owner_of(const struct dyn_node *node, const struct dyn_writing *self,
		 uint8_t slot)
{
	return dyn_cluster_owner(node, self->partition, slot);
}

void
dyn_write_init(struct dyn_node *node, struct dyn_writing *self,
			   uint16_t partition, int own_slot, uint8_t needed)
{
	*self = (struct dyn_writing){ .partition = partition,
								  .stands_in = own_slot < 0 };
	dyn_quorum_init(&self->quorum, node->cluster.n, needed);
	if (own_slot >= 0)
		self->own_slot = (uint8_t) own_slot;
	else
		while (
			self->own_slot + 1 < node->cluster.n &&
			dyn_peer_is_reachable(node, owner_of(node, self, self->own_slot)))
			self->own_slot++;
}

/* The next node of the list of fallbacks that can be reached, or NONE.  As
 * the preference list has it, at most N of them are looked at. */
static int32_t
next_fallback(struct dyn_node *node, struct dyn_writing *self)
{
	int32_t peer;

	while (
		self->fallback_next < node->cluster.n &&
		dyn_cluster_fallback(node, self->partition, self->fallback_next, &peer))
	{
		self->fallback_next++;
		/* This node keeps one copy, not two. */
		if (dyn_peer_is_reachable(node, peer))
			return peer;
	}
	return DYN_PEER_NONE;
}

bool
dyn_write_is_possible(struct dyn_node *node, struct dyn_writing *self)
{
	struct dyn_writing trial = *self;
	uint8_t missing = 0;
	uint8_t full = 0;
	uint8_t count = node->cluster.n;

	for (uint8_t slot = 0; slot < node->cluster.n; slot++)
	{
		int32_t peer = owner_of(node, self, slot);
		bool reachable =
			slot == self->own_slot || dyn_peer_is_reachable(node, peer);

		if (slot == self->own_slot ||
			(reachable && node->peers[peer]->writable))
			continue;
		missing |= bit_of(slot);
		full |= reachable ? bit_of(slot) : 0;
		if (reachable)
			dyn_quorum_refused(&self->quorum, slot, DYN_STATUS_FULL);
		count -= next_fallback(node, &trial) < 0;
	}
	if (count >= self->quorum.needed)
		return true;
	if (count + dyn_quorum_count(full) >= self->quorum.needed)
		self->refusal = DYN_STATUS_FULL;
	self->quorum.no = missing;
	self->quorum.yes = self->quorum.all & (uint8_t) ~missing;
	return false;
}

/* ---------------------------------------------------------------- sending */

static void
send_to(struct dyn_node *node, struct dyn_request *request, uint32_t op,
		uint8_t slot, int32_t peer, bool fallback)
{
	const struct dyn_put_op *put = &request->puts[op];
	struct dyn_call_item item = { .serial = request->serial,
								  .op = op,
								  .slot = slot,
								  .fallback = fallback,
								  .deadline_ms = request->deadline_ms };

	dyn_outbox_replicate(node, (uint32_t) peer, request->bucket, put->key,
						 put->writing.object, put->writing.fence, &put->id,
						 put->replaced, put->replaced_count, &item);
}

/* Somebody else for this slot; when there is nobody, and nobody may answer
 * for it any more, the slot has said no. */
static void
stand_in(struct dyn_node *node, struct dyn_request *request, uint32_t op,
		 uint8_t slot)
{
	struct dyn_writing *self = &request->puts[op].writing;
	int32_t peer = next_fallback(node, self);

	if (peer >= 0)
	{
		dyn_count(node, put_fallbacks);
		self->fallback_pending |= bit_of(slot);
		self->fallback_maybe++;
		send_to(node, request, op, slot, peer, true);
	}
	else if (!(self->owner_pending & bit_of(slot)))
		dyn_quorum_no(&self->quorum, slot);
}

void
dyn_write_begin(struct dyn_node *node, struct dyn_request *request, uint32_t op,
				struct dyn_slice object, bool committed)
{
	struct dyn_put_op *put = &request->puts[op];
	struct dyn_writing *self = &put->writing;

	/* Later frames may need it when the step's memory is gone; where there are
	 * only owners, none will. */
	self->object = node->cluster.ring.member_count > node->cluster.n
					   ? dyn_arena_copy(&request->arena, object)
					   : object;
	self->sent_at_ms = node->now_ms;
	if (node->cluster.ring.member_count > node->cluster.n)
		dyn_request_wake(node, request, node->now_ms + node->config.hedge_ms);
	if (self->stands_in)
	{
		self->fallback_pending = bit_of(self->own_slot);
		self->fallback_maybe = 1;
	}
	else
		self->owner_pending = self->owner_maybe = bit_of(self->own_slot);
	for (uint8_t slot = 0; slot < node->cluster.n; slot++)
	{
		int32_t peer = owner_of(node, self, slot);

		if (slot == self->own_slot)
			continue;
		if (!dyn_peer_is_reachable(node, peer))
		{
			stand_in(node, request, op, slot);
			continue;
		}
		self->owner_pending |= bit_of(slot);
		self->owner_maybe |= bit_of(slot);
		send_to(node, request, op, slot, peer, false);
	}
	if (committed)
		dyn_write_answer(node, request,
						 &(struct dyn_call_item){ .op = op,
												  .slot = self->own_slot,
												  .fallback = self->stands_in },
						 DYN_STATUS_OK);
	else
		dyn_put_written(node, request, op);
}

uint64_t
dyn_write_hedge(struct dyn_node *node, struct dyn_request *request, uint32_t op)
{
	struct dyn_writing *self = &request->puts[op].writing;
	uint64_t next_ms = UINT64_MAX;

	if (node->cluster.ring.member_count <= node->cluster.n)
		return next_ms;
	for (uint8_t slot = 0; slot < node->cluster.n; slot++)
	{
		uint8_t waits = self->owner_pending & (uint8_t) ~self->quorum.yes &
						(uint8_t) ~self->fallback_pending;
		uint64_t due_ms;

		if (slot == self->own_slot || !(waits & bit_of(slot)))
			continue;
		due_ms = self->sent_at_ms +
				 dyn_peer_patience_ms(node, owner_of(node, self, slot));
		if (node->now_ms >= due_ms)
			stand_in(node, request, op, slot);
		else if (due_ms < next_ms)
			next_ms = due_ms;
	}
	return next_ms;
}

/* ---------------------------------------------------------------- answers */

static void
take_refusal(struct dyn_node *node, struct dyn_request *request,
			 const struct dyn_call_item *item, enum dyn_status status)
{
	struct dyn_writing *self = &request->puts[item->op].writing;
	uint8_t bit = bit_of(item->slot);

	self->refusal = status;
	if (item->fallback)
		self->fallback_pending &= (uint8_t) ~bit;
	else
		self->owner_pending &= (uint8_t) ~bit;
	if (status != DYN_STATUS_UNKNOWN)
	{
		if (!item->fallback)
			dyn_quorum_refused(&self->quorum, item->slot, status);
		if (item->fallback)
			self->fallback_maybe--;
		else
			self->owner_maybe &= (uint8_t) ~bit;
	}
	if (!((self->quorum.yes | self->fallback_pending) & bit))
		stand_in(node, request, item->op, item->slot);
}

void
dyn_write_answer(struct dyn_node *node, struct dyn_request *request,
				 const struct dyn_call_item *item, enum dyn_status status)
{
	struct dyn_put_op *put = &request->puts[item->op];
	struct dyn_writing *self = &put->writing;

	if (put->phase != DYN_PUT_WRITING)
		return;
	if (status != DYN_STATUS_OK)
		take_refusal(node, request, item, status);
	else if (dyn_quorum_yes(&self->quorum, item->slot) && item->fallback)
		self->by_fallback |= bit_of(item->slot);
	dyn_put_written(node, request, item->op);
}

bool
dyn_write_may_exist(const struct dyn_writing *self)
{
	return self->owner_maybe != 0 || self->fallback_maybe != 0;
}
