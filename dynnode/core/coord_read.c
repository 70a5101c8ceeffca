#include "core/coord_read.h"

#include "core/cluster.h"
#include "core/coord_get.h"
#include "core/coord_put.h"
#include "core/load.h"
#include "core/outbox.h"
#include "core/peer.h"
#include "core/put_answer.h"
#include "core/replica.h"
#include "core/room.h"

static struct dyn_read *
read_of(struct dyn_request *request, uint32_t op)
{
	return request->kind == &dyn_get_kind ? &request->gets[op].read
										  : &request->puts[op].read;
}

/* Might an owner that has not answered remember the request? */
static bool
awaits_others(const struct dyn_node *node, const struct dyn_read *self)
{
	uint8_t silent = self->asked & (uint8_t) ~self->missing &
					 (uint8_t) ~(self->quorum.yes | self->quorum.no);

	return silent != 0 && node->now_ms < self->all_until_ms &&
		   (self->remembered_by & self->quorum.yes) == 0;
}

static void
decide_if_certain(struct dyn_node *node, struct dyn_request *request,
				  uint32_t op, struct dyn_read *self)
{
	enum dyn_quorum_state state = dyn_quorum_state(&self->quorum);

	if (self->decided || state == DYN_QUORUM_OPEN ||
		(state == DYN_QUORUM_REACHED && awaits_others(node, self)))
		return;
	/* Too few can answer because a record is damaged: hear the others all the
	 * same, so that it can be mended. */
	if (state == DYN_QUORUM_IMPOSSIBLE && self->damaged != 0 &&
		(self->quorum.yes | self->missing) != self->quorum.all)
		return;
	self->decided = true;
	if (request->kind == &dyn_get_kind)
		dyn_get_read(node, request, op, state == DYN_QUORUM_REACHED);
	else
		dyn_put_read(node, request, op, state == DYN_QUORUM_REACHED);
}

/* A replica remembers the request; other: for another write. */
static void
note_remembered(struct dyn_read *self, uint8_t slot, bool other)
{
	if (self->decided)
		return;
	self->remembered = true;
	self->remembered_by |= (uint8_t) (1U << slot);
	self->other |= other;
}

/* Ask a slot's owner, or a fallback in its place. */
static void
ask(struct dyn_node *node, struct dyn_request *request, uint32_t op,
	struct dyn_read *self, uint8_t slot, int32_t peer, bool fallback)
{
	struct dyn_call_item item = { .serial = request->serial,
								  .op = op,
								  .slot = slot,
								  .fallback = fallback,
								  .deadline_ms = request->deadline_ms };

	if (fallback)
		self->stood_in |= (uint8_t) (1U << slot);
	else
		self->asked |= (uint8_t) (1U << slot);
	if (peer != DYN_PEER_SELF)
	{
		dyn_outbox_read(node, (uint32_t) peer, request->bucket, self->key,
						self->request_id, self->request_mark, &item);
		return;
	}
	self->own_floor = dyn_fence_floor(node, self->partition);
	/* Asked before the load is submitted, so that the load sees its write. */
	if (self->request_id != NULL &&
		dyn_remember_is_committed(&node->remember, self->request_id))
		note_remembered(self, slot,
						dyn_remember_is_other(&node->remember, self->request_id,
											  self->request_mark));
	dyn_load_read(node, request->bucket, self->key,
				  fallback ? DYN_LOAD_HINT : DYN_LOAD_OBJECT,
				  (struct dyn_work){ request->serial, op }, slot);
}

static bool
ask_owner(struct dyn_node *node, struct dyn_request *request, uint32_t op,
		  struct dyn_read *self)
{
	int own_slot = dyn_cluster_own_slot(node, self->partition);

	if (own_slot >= 0 && !(self->asked & (1U << own_slot)))
	{
		/* When all are needed it is to see whether its record is damaged. */
		if (dyn_building_answers(node, self->partition) ||
			self->quorum.needed == node->cluster.n)
		{
			ask(node, request, op, self, (uint8_t) own_slot, DYN_PEER_SELF,
				false);
			return true;
		}
		dyn_count(node, reads_building);
		self->asked |= (uint8_t) (1U << own_slot);
		self->missing |= (uint8_t) (1U << own_slot);
	}
	for (uint8_t slot = 0; slot < node->cluster.n; slot++)
	{
		int32_t peer = dyn_cluster_owner(node, self->partition, slot);

		if (self->asked & (1U << slot))
			continue;
		if (dyn_peer_is_reachable(node, peer))
		{
			ask(node, request, op, self, slot, peer, false);
			return true;
		}
		self->asked |= (uint8_t) (1U << slot);
		self->missing |= (uint8_t) (1U << slot);
	}
	return false;
}

/* A fallback for an owner that is missing; at most as many as there are
 * replicas, as the preference list has it. */
static bool
ask_fallback(struct dyn_node *node, struct dyn_request *request, uint32_t op,
			 struct dyn_read *self)
{
	uint8_t open = self->missing & (uint8_t) ~self->stood_in &
				   (uint8_t) ~(self->quorum.yes | self->quorum.no);
	int32_t peer;

	if (open == 0 || self->owners_only)
		return false;
	while (
		self->fallback_next < node->cluster.n &&
		dyn_cluster_fallback(node, self->partition, self->fallback_next, &peer))
	{
		self->fallback_next++;
		if (peer == DYN_PEER_SELF ? !dyn_building_answers(node, self->partition)
								  : !dyn_peer_is_reachable(node, peer))
			continue;
		dyn_count(node, read_fallbacks);
		ask(node, request, op, self, (uint8_t) __builtin_ctz(open), peer, true);
		return true;
	}
	return false;
}

/* Ask one more, this node before others, owners before fallbacks. False when
 * there is nobody left: who is missing then is given up. */
static bool
ask_next(struct dyn_node *node, struct dyn_request *request, uint32_t op,
		 struct dyn_read *self)
{
	if (ask_owner(node, request, op, self) ||
		ask_fallback(node, request, op, self))
		return true;
	for (uint8_t slot = 0; slot < node->cluster.n; slot++)
		if (self->missing & ~self->stood_in & (1U << slot))
			dyn_quorum_no(&self->quorum, slot);
	return false;
}

/* Keep as many asked as are still needed. */
static void
top_up(struct dyn_node *node, struct dyn_request *request, uint32_t op,
	   struct dyn_read *self)
{
	for (;;)
	{
		uint8_t hopeful = self->quorum.yes |
						  (self->asked & (uint8_t) ~self->missing) |
						  self->stood_in;

		hopeful &= (uint8_t) ~self->quorum.no;
		if (dyn_quorum_count(hopeful) >= self->quorum.needed ||
			!ask_next(node, request, op, self))
			break;
	}
	decide_if_certain(node, request, op, self);
}

void
dyn_read_begin(struct dyn_node *node, struct dyn_request *request, uint32_t op,
			   uint16_t partition, uint8_t needed)
{
	struct dyn_read *self = read_of(request, op);

	self->partition = partition;
	self->hint_floor = UINT64_MAX;
	dyn_quorum_init(&self->quorum, node->cluster.n, needed);
	dyn_request_wake(node, request, node->now_ms + node->config.hedge_ms);
	while (self->all_until_ms != 0 && ask_owner(node, request, op, self))
		continue;
	top_up(node, request, op, self);
}

/* What an answer has already brought is held once, byte for byte. */
static bool
find_kept(const struct dyn_read *self, struct dyn_slice object,
		  struct dyn_slice *kept)
{
	for (uint8_t slot = 0; slot < DYN_REPLICAS_MAX; slot++)
	{
		*kept = self->objects[slot];
		if (dyn_slice_equal(*kept, object))
			return true;
	}
	return false;
}

/* How large it is is known only when it is made, in scratch memory. */
static enum dyn_status
keep_merged(struct dyn_node *node, struct dyn_request *request,
			const struct dyn_read *self, const struct dyn_object *object,
			struct dyn_slice *merged)
{
	struct dyn_slice bytes;
	enum dyn_status status =
		dyn_object_encode(object, &node->scratch.allocator, &bytes);

	if (status != DYN_STATUS_OK || find_kept(self, bytes, merged))
		return status;
	if (!dyn_room_for_collected(node, bytes.size))
		return DYN_STATUS_OVERLOAD;
	*merged = dyn_arena_copy(&request->arena, bytes);
	return DYN_STATUS_OK;
}

enum dyn_status
dyn_read_merge(struct dyn_node *node, struct dyn_request *request,
			   const struct dyn_read *self, struct dyn_slice *merged)
{
	const struct dyn_allocator *allocator = &node->scratch.allocator;
	struct dyn_slice result = { 0 };
	struct dyn_object object = { 0 };
	bool decoded = false;
	bool changed = false;
	enum dyn_status status = DYN_STATUS_OK;

	for (uint8_t slot = 0; slot < DYN_REPLICAS_MAX; slot++)
	{
		struct dyn_slice other = self->objects[slot];
		struct dyn_object other_object;

		if (!(self->quorum.yes & (1U << slot)) || other.size == 0)
			continue;
		if (result.size == 0)
		{
			result = other;
			continue;
		}
		if (dyn_slice_equal(result, other))
			continue;
		if (!decoded)
			status = dyn_object_decode(result, allocator, &object);
		if (status == DYN_STATUS_OK)
			status = dyn_object_decode(other, allocator, &other_object);
		if (status == DYN_STATUS_OK)
			status =
				dyn_object_sync(&object, &other_object, allocator, &object);
		if (status != DYN_STATUS_OK)
			return status;
		decoded = changed = true;
	}
	if (changed)
		status = keep_merged(node, request, self, &object, &result);
	*merged = result;
	return status;
}

uint64_t
dyn_read_fence(const struct dyn_node *node, const struct dyn_request *request,
			   const struct dyn_read *self)
{
	uint64_t fence = dyn_fence_birth(node, request->serial, self->partition);

	return self->hint_floor < fence ? self->hint_floor : fence;
}

void
dyn_read_repair(struct dyn_node *node, struct dyn_request *request,
				const struct dyn_read *self, struct dyn_slice merged)
{
	uint64_t fence = dyn_read_fence(node, request, self);
	uint8_t heard = self->quorum.yes & (uint8_t) ~self->by_fallback;
	uint8_t stale = 0;

	if (merged.size > DYN_RECORD_SIZE_MAX)
		dyn_count(node, objects_too_large);
	if (merged.size > DYN_RECORD_SIZE_MAX)
		return;
	for (uint8_t slot = 0; slot < node->cluster.n; slot++)
		if ((heard & (1U << slot)) &&
			!dyn_slice_equal(self->objects[slot], merged))
			stale |= (uint8_t) (1U << slot);
	/* A damaged record is replaced only by what all others know: what it
	 * held may stand on one other owner only.  When they have no record, as
	 * after a reaping that it missed, it goes. */
	if ((heard | self->damaged) == self->quorum.all &&
		(merged.size != 0 || heard != 0))
		stale |= self->damaged;
	for (uint8_t slot = 0; slot < node->cluster.n; slot++)
	{
		int32_t peer = dyn_cluster_owner(node, self->partition, slot);

		if (!(stale & (1U << slot)))
			continue;
		if (peer == DYN_PEER_SELF && !dyn_room_for_collected(node, merged.size))
			continue;
		dyn_count(node, repairs_sent);
		if (peer == DYN_PEER_SELF)
			dyn_replica_repair_self(node, request->bucket, self->key, merged,
									fence);
		else if (dyn_peer_is_reachable(node, peer))
			dyn_outbox_replicate(node, (uint32_t) peer, request->bucket,
								 self->key, merged, fence, NULL, NULL, 0, NULL);
	}
}

/* An owner, or who was asked in its place, cannot answer. */
static void
take_failure(struct dyn_node *node, struct dyn_request *request,
			 const struct dyn_call_item *item, struct dyn_read *self,
			 enum dyn_status status)
{
	uint8_t bit = (uint8_t) (1U << item->slot);

	if (item->fallback)
	{
		self->stood_in &= (uint8_t) ~bit;
		return;
	}
	self->missing |= bit;
	dyn_quorum_refused(&self->quorum, item->slot, status);
	if (status != DYN_STATUS_OK && status != DYN_STATUS_BUILDING)
		self->failure = status;
	if (status != DYN_STATUS_CORRUPT)
		return;
	/* The others must all be heard before it can be mended. */
	self->damaged |= bit;
	while (ask_owner(node, request, item->op, self))
		continue;
}

static void
refuse_for_now(struct dyn_node *node, struct dyn_request *request, uint32_t op)
{
	if (request->kind == &dyn_get_kind)
		dyn_get_refuse_for_now(node, request, op);
	else
		dyn_put_refuse_for_now(node, request, op);
}

/* Owners mostly hold the same.  False when there is no room for it. */
static bool
keep_object(struct dyn_node *node, struct dyn_request *request,
			const struct dyn_read *self, struct dyn_slice object,
			struct dyn_slice *kept)
{
	if (find_kept(self, object, kept))
		return true;
	if (!dyn_room_for_collected(node, object.size))
		return false;
	*kept = dyn_arena_copy(&request->arena, object);
	return true;
}

static void
answer(struct dyn_node *node, struct dyn_request *request,
	   const struct dyn_call_item *item, enum dyn_status status,
	   struct dyn_slice object, uint64_t fence)
{
	struct dyn_read *self = read_of(request, item->op);
	uint8_t bit = (uint8_t) (1U << item->slot);
	struct dyn_slice kept = { 0 };

	if (self->decided)
		return;
	if (status == DYN_STATUS_OK && object.size == 0)
		status = DYN_STATUS_BAD_REQUEST;
	/* What was kept there since before something was removed here. */
	if (status == DYN_STATUS_OK && item->fallback &&
		fence < dyn_fence_floor(node, self->partition))
		status = DYN_STATUS_FENCED;
	if (status == DYN_STATUS_OK &&
		!keep_object(node, request, self, object, &kept))
	{
		refuse_for_now(node, request, item->op);
		return;
	}
	if (status == DYN_STATUS_OK ||
		(status == DYN_STATUS_NOT_FOUND && !item->fallback))
	{
		if (dyn_quorum_yes(&self->quorum, item->slot))
		{
			self->objects[item->slot] = kept;
			if (item->fallback)
				self->by_fallback |= bit;
			if (item->fallback && fence < self->hint_floor)
				self->hint_floor = fence;
		}
	}
	/* Its answer was full: this key once more.  Each answer holds one object
	 * at least, so this ends. */
	else if (status == DYN_STATUS_TOO_LARGE && !item->fallback &&
			 dyn_peer_is_reachable(
				 node, dyn_cluster_owner(node, self->partition, item->slot)))
		ask(node, request, item->op, self, item->slot,
			dyn_cluster_owner(node, self->partition, item->slot), false);
	else
		take_failure(node, request, item, self, status);
	top_up(node, request, item->op, self);
}

void
dyn_read_loaded(struct dyn_node *node, struct dyn_request *request, uint32_t op,
				uint8_t slot, bool is_hint, const struct dyn_loaded *record)
{
	static const enum dyn_status statuses[] = {
		[DYN_LOADED_FOUND] = DYN_STATUS_OK,
		[DYN_LOADED_ABSENT] = DYN_STATUS_NOT_FOUND,
		[DYN_LOADED_CORRUPT] = DYN_STATUS_CORRUPT,
		[DYN_LOADED_DOUBTED] = DYN_STATUS_CORRUPT,
		[DYN_LOADED_IO_ERROR] = DYN_STATUS_IO_ERROR
	};
	struct dyn_call_item item = { .op = op, .slot = slot, .fallback = is_hint };
	const struct dyn_read *self = read_of(request, op);
	enum dyn_status status = statuses[record->state];

	/* What is damaged here is mended by what the others know. */
	if (!dyn_building_answers(node, self->partition) &&
		status != DYN_STATUS_CORRUPT)
		status = DYN_STATUS_BUILDING;
	if (is_hint && dyn_fence_is_behind(node, self->partition))
		status = DYN_STATUS_FENCED;
	answer(node, request, &item, status, record->object, self->own_floor);
}

void
dyn_read_answered(struct dyn_node *node, struct dyn_request *request,
				  const struct dyn_call_item *item,
				  const Dyn__ReadResult *result, enum dyn_status status)
{
	struct dyn_read *self = read_of(request, item->op);

	if (result != NULL && result->remembered)
		note_remembered(self, item->slot, result->other);
	if (result != NULL)
		answer(node, request, item, status, dyn_slice_of_bytes(result->object),
			   result->fence);
	else if (!self->decided)
	{
		take_failure(node, request, item, self, status);
		top_up(node, request, item->op, self);
	}
}

void
dyn_read_hedge(struct dyn_node *node, struct dyn_request *request)
{
	bool again = false;

	for (uint32_t op = 0; op < request->op_count && !request->ended; op++)
	{
		struct dyn_read *self = read_of(request, op);

		if (self->decided || self->quorum.needed == 0)
			continue;
		if (ask_next(node, request, op, self))
		{
			dyn_count(node, hedges);
			again = true;
		}
		else
			decide_if_certain(node, request, op, self);
		if (!self->decided && node->now_ms < self->all_until_ms)
			dyn_request_wake(node, request, self->all_until_ms);
	}
	if (again && !request->ended)
		dyn_request_wake(node, request, node->now_ms + node->config.hedge_ms);
}
