#include "core/filling.h"

#include "core/call.h"
#include "core/cluster.h"
#include "core/fence.h"
#include "core/outbox.h"
#include "core/peer.h"
#include "core/replica.h"
#include "model/hash.h"

static const struct dyn_request_kind fill_kind;
static const struct dyn_call_kind copy_call;

enum
{
	PAGE_ITEMS_MAX = 1024,
	PAGE_ITEMS_FIRST = 64
};

/* One page. */
struct dyn_fill
{
	uint32_t peer_index;
	uint8_t slot;
	uint64_t pulling; /* bytes, of the own budget (credit.h) */
	uint32_t waiting; /* buckets being written */
	bool failed;      /* some of it is to be asked for again */
	bool left_out;    /* some of it cannot be had from this owner */
	bool end;
	struct dyn_walk after;
};

static int
slot_of(const struct dyn_node *node, uint16_t partition, uint32_t peer_index)
{
	for (uint8_t slot = 0; slot < node->cluster.n; slot++)
		if (dyn_cluster_owner(node, partition, slot) == (int32_t) peer_index)
			return slot;
	return -1;
}

/* Is there anything to be had from the peer for this partition? */
static bool
is_wanted(const struct dyn_node *node, uint16_t partition, uint32_t peer_index)
{
	const struct dyn_building_part *part = &node->building.parts[partition];
	int slot;

	if (part->mode != DYN_BUILDING_KEEP)
		return false;
	slot = slot_of(node, partition, peer_index);
	return slot >= 0 && !(part->pulled & (1U << slot));
}

/* -------------------------------------------------------------------- pages */

/* One page leaves something for another source. */
static uint64_t
page_bytes(struct dyn_node *node)
{
	uint64_t bytes = dyn_credit_may_pull(node);
	uint64_t half = node->credit.own_share / 2 + 1;

	if (bytes > half)
		bytes = half;
	return bytes < DYN_CREDIT_SLICE_MAX ? bytes : DYN_CREDIT_SLICE_MAX;
}

static void
ask(struct dyn_node *node, uint32_t peer_index)
{
	struct dyn_filling *filling = &node->peers[peer_index]->filling;
	struct dyn_request *request = dyn_request_new(node, &fill_kind, 0, NULL);
	struct dyn_fill *self = dyn_arena_allocate(&request->arena, sizeof(*self));
	struct dyn_call *call = dyn_call_new(node, peer_index, &copy_call);
	struct dyn_call_item item = { .serial = request->serial,
								  .deadline_ms = request->deadline_ms };
	struct dyn_walk *place = &filling->place;
	Dyn__CopyRequest message = DYN__COPY_REQUEST__INIT;

	*self = (struct dyn_fill){ .peer_index = peer_index,
							   .slot = (uint8_t) slot_of(
								   node, filling->partition, peer_index) };
	self->pulling = page_bytes(node);
	dyn_credit_pull(node, self->pulling);
	request->fill = self;
	filling->serial = request->serial;
	message.partition = filling->partition;
	message.items_max = filling->items_max;
	message.bytes_max = (uint32_t) self->pulling;
	message.after_cell = place->cell;
	message.after_bucket =
		(ProtobufCBinaryData){ place->bucket_size, place->bucket };
	message.after_key = (ProtobufCBinaryData){ place->key_size, place->key };
	message.after_damaged = place->damaged;
	dyn_call_add(call, &item);
	dyn_outbox_send(node, peer_index, DYN_MESSAGE_COPY, call->correlation,
					dyn_request_remaining_ms(node, request), &message.base);
	dyn_call_await(node, call);
}

/* The next partition to be had there, after the one looked at last. */
static bool
find_partition(struct dyn_node *node, uint32_t peer_index)
{
	struct dyn_filling *self = &node->peers[peer_index]->filling;
	uint32_t q = node->cluster.ring.partition_count;
	uint32_t items_max = self->items_max;

	for (uint32_t i = 1; i <= q; i++)
	{
		uint16_t p = (uint16_t) ((self->partition + i) % q);

		if (!is_wanted(node, p, peer_index))
			continue;
		*self =
			(struct dyn_filling){ .active = true,
								  .partition = p,
								  .turn = node->building.parts[p].turn,
								  .items_max = items_max ? items_max
														 : PAGE_ITEMS_FIRST };
		return true;
	}
	self->active = false;
	return false;
}

static bool
is_current(const struct dyn_node *node, uint32_t peer_index)
{
	const struct dyn_filling *self = &node->peers[peer_index]->filling;

	return self->active && is_wanted(node, self->partition, peer_index) &&
		   node->building.parts[self->partition].turn == self->turn;
}

static void
start(struct dyn_node *node, uint32_t peer_index)
{
	if (node->building.count == 0 || !node->writable ||
		node->peers[peer_index]->filling.serial != 0 ||
		!dyn_peer_is_reachable(node, (int32_t) peer_index) ||
		(!is_current(node, peer_index) && !find_partition(node, peer_index)))
		return;
	if (dyn_credit_may_pull(node) != 0)
		ask(node, peer_index);
}

void
dyn_filling_tick(struct dyn_node *node)
{
	if (!dyn_cluster_serves(node))
		return;
	for (uint32_t i = 0; i < node->peer_count; i++)
		start(node, i);
}

/* ---------------------------------------------------------------- the end */

static void
end_page(struct dyn_node *node, struct dyn_request *request)
{
	node->peers[request->fill->peer_index]->filling.serial = 0;
	dyn_credit_pulled(node, request->fill->pulling);
	dyn_request_end(node, request);
}

/* Asked for again at the next heartbeat, in smaller parts. */
static void
fail_page(struct dyn_node *node, struct dyn_request *request)
{
	struct dyn_filling *filling =
		&node->peers[request->fill->peer_index]->filling;

	dyn_count(node, fill_failures);
	if (filling->items_max > 1)
		filling->items_max /= 2;
	end_page(node, request);
}

static void
page_done(struct dyn_node *node, struct dyn_request *request)
{
	const struct dyn_fill *self = request->fill;
	uint32_t peer_index = self->peer_index;
	struct dyn_filling *filling = &node->peers[peer_index]->filling;

	if (self->failed)
	{
		fail_page(node, request);
		return;
	}
	dyn_count(node, fill_pages);
	filling->left_out |= self->left_out;
	filling->place = self->after;
	if (filling->items_max < PAGE_ITEMS_MAX)
		filling->items_max *= 2;
	if (self->end && is_current(node, peer_index))
		dyn_building_pulled(node, filling->partition, self->slot,
							!filling->left_out);
	if (self->end)
		filling->active = false;
	end_page(node, request);
	start(node, peer_index);
}

static void
copy_lost(struct dyn_node *node, const struct dyn_call_item *item,
		  enum dyn_status status)
{
	struct dyn_request *request = dyn_request_find(node, item->serial);
	struct dyn_filling *filling;

	if (request == NULL)
		return;
	filling = &node->peers[request->fill->peer_index]->filling;
	/* Who refuses this partition may tell of another one. */
	if (status != DYN_STATUS_OK && status != DYN_STATUS_OVERLOAD)
		filling->active = false;
	fail_page(node, request);
}

static void
expire(struct dyn_node *node, struct dyn_request *request)
{
	fail_page(node, request);
}

/* ------------------------------------------------------------------ records */

static void
take_status(struct dyn_fill *self, enum dyn_status status)
{
	switch ((int) status)
	{
		case DYN_STATUS_OK:
		/* Damaged here, and says so to whoever reads it: what it held may be
		 * newer than this source, so it is mended by all owners. */
		case DYN_STATUS_CORRUPT:
			break;
		case DYN_STATUS_BAD_REQUEST:
		case DYN_STATUS_TOO_LARGE:
		case DYN_STATUS_NOT_OWNER:
			self->left_out = true;
			break;
		default:
			self->failed = true;
			break;
	}
}

/* What became of the records of one bucket in the page. */
static void
child_done(struct dyn_node *node, struct dyn_request *request,
		   struct dyn_request *child)
{
	struct dyn_fill *self = request->fill;

	for (uint32_t op = 0; op < child->op_count; op++)
		take_status(self, child->replicas[op].status);
	if (--self->waiting == 0)
		page_done(node, request);
}

/* Behind where the page was asked for, in the partition, in order.  What is
 * damaged may stand under a damaged key, which is one of anywhere. */
static bool
is_sound(const struct dyn_node *node, const struct dyn_filling *filling,
		 const Dyn__CopyReply *reply)
{
	struct dyn_slice bucket = { NULL, 0 };

	for (size_t i = 0; i < reply->n_items; i++)
	{
		struct dyn_slice key = dyn_slice_of_bytes(reply->items[i]->key);

		if (reply->items[i]->bucket.len != 0)
			bucket = dyn_slice_of_bytes(reply->items[i]->bucket);
		if (dyn_bucket_check(bucket) != DYN_STATUS_OK ||
			dyn_key_check(key) != DYN_STATUS_OK ||
			(!reply->items[i]->damaged &&
			 (reply->items[i]->object.len == 0 ||
			  dyn_cluster_partition(
				  node, dyn_hash_cell(dyn_hash_position(bucket, key))) !=
				  filling->partition)))
			return false;
	}
	if (reply->end)
		return true;
	if (reply->after_key.len == 0 && reply->after_bucket.len == 0)
		return reply->after_damaged != 0;
	return dyn_bucket_check(dyn_slice_of_bytes(reply->after_bucket)) ==
			   DYN_STATUS_OK &&
		   dyn_key_check(dyn_slice_of_bytes(reply->after_key)) ==
			   DYN_STATUS_OK &&
		   reply->after_cell < DYN_CELL_COUNT;
}

/* A page must get further than the one before, or it would never end. */
static bool
gets_on(const struct dyn_filling *filling, const Dyn__CopyReply *reply)
{
	const struct dyn_walk *place = &filling->place;
	struct dyn_slice bucket = { place->bucket, place->bucket_size };
	struct dyn_slice key = { place->key, place->key_size };
	int order;

	if (reply->end)
		return true;
	order = dyn_slice_compare(dyn_slice_of_bytes(reply->after_bucket), bucket);
	if (order == 0 && reply->after_cell != place->cell)
		order = reply->after_cell > place->cell ? 1 : -1;
	if (order == 0)
		order = dyn_slice_compare(dyn_slice_of_bytes(reply->after_key), key);
	return order > 0 ||
		   (order == 0 && reply->after_damaged > filling->place.damaged);
}

/* The sound ones of the items of one bucket, from the first one on; where the
 * next bucket begins. */
static size_t
take_bucket(struct dyn_node *node, struct dyn_request *request,
			const Dyn__CopyReply *reply, size_t first)
{
	struct dyn_fill *self = request->fill;
	struct dyn_fill_item *items = dyn_arena_allocate(
		&node->scratch, (reply->n_items - first) * sizeof(*items));
	size_t i = first;
	uint32_t count = 0;

	do
	{
		const Dyn__CopyItem *item = reply->items[i];

		if (item->damaged)
		{
			dyn_count(node, fill_damaged);
			self->left_out = true;
			continue;
		}
		dyn_count(node, fill_objects);
		node->counters[DYN_COUNT_fill_bytes] += item->object.len;
		items[count++] =
			(struct dyn_fill_item){ dyn_slice_of_bytes(item->key),
									dyn_slice_of_bytes(item->object) };
	} while (++i < reply->n_items && reply->items[i]->bucket.len == 0);
	if (count == 0)
		return i;
	self->waiting++;
	dyn_replica_fill(node, request,
					 dyn_slice_of_bytes(reply->items[first]->bucket), items,
					 count);
	return i;
}

static void
take_page(struct dyn_node *node, struct dyn_request *request,
		  const Dyn__CopyReply *reply)
{
	struct dyn_fill *self = request->fill;
	struct dyn_filling *filling = &node->peers[self->peer_index]->filling;

	if (!is_sound(node, filling, reply) || !gets_on(filling, reply))
	{
		dyn_count(node, replies_bad);
		fail_page(node, request);
		return;
	}
	if (!is_current(node, self->peer_index))
	{
		end_page(node, request); /* it began anew */
		return;
	}
	/* A store of the past that does not know it yet. */
	if (reply->fence < dyn_fence_known_floor(node, filling->partition))
	{
		fail_page(node, request);
		return;
	}
	self->end = reply->end;
	self->left_out = reply->building;
	if (!reply->end)
		dyn_walk_set(&self->after, dyn_slice_of_bytes(reply->after_bucket),
					 (uint16_t) reply->after_cell,
					 dyn_slice_of_bytes(reply->after_key));
	self->after.damaged = reply->after_damaged;
	/* An answer may come at once: the page is done when all is under way. */
	self->waiting = 1;
	for (size_t i = 0; i < reply->n_items;)
		i = take_bucket(node, request, reply, i);
	if (--self->waiting == 0)
		page_done(node, request);
}

static void
copy_answered(struct dyn_node *node, const struct dyn_call *call,
			  const ProtobufCMessage *body)
{
	struct dyn_request *request = dyn_request_find(node, call->items[0].serial);

	if (request != NULL)
		take_page(node, request, (const Dyn__CopyReply *) body);
}

static const struct dyn_call_kind copy_call = { DYN_MESSAGE_COPY,
												DYN_MESSAGE_COPY_REPLY, NULL,
												copy_answered, copy_lost };

static const struct dyn_request_kind fill_kind = {
	.name = "fill",
	.makes_objects = true,
	.is_paged = true,
	.expire = expire,
	.child_done = child_done,
};
