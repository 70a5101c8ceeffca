#include "core/copy.h"

#include "core/cluster.h"
#include "core/fence.h"
#include "core/misnamed.h"
#include "core/outbox.h"
#include "model/hash.h"

enum
{
	ITEMS_MAX = 1024,
	BYTES_MAX = 1024 * 1024
};

static enum dyn_status
check(const struct dyn_node *node, const struct dyn_node_id *asker,
	  const Dyn__CopyRequest *message)
{
	const struct dyn_ring *ring = &node->cluster.ring;
	struct dyn_slice bucket = dyn_slice_of_bytes(message->after_bucket);
	struct dyn_slice key = dyn_slice_of_bytes(message->after_key);

	if (message->partition >= ring->partition_count ||
		(bucket.size == 0) != (key.size == 0) ||
		(bucket.size != 0 && (dyn_bucket_check(bucket) != DYN_STATUS_OK ||
							  dyn_key_check(key) != DYN_STATUS_OK ||
							  message->after_cell >= DYN_CELL_COUNT)))
		return DYN_STATUS_BAD_REQUEST;
	if (dyn_ring_find(ring, (uint16_t) message->partition, asker) < 0)
		return DYN_STATUS_NOT_AUTH;
	if (dyn_cluster_own_slot(node, (uint16_t) message->partition) < 0)
		return DYN_STATUS_NOT_OWNER;
	if (!dyn_building_tells(node, (uint16_t) message->partition))
		return DYN_STATUS_BUILDING;
	return DYN_STATUS_OK;
}

static uint32_t
bound(uint32_t asked, uint32_t max)
{
	return asked == 0 || asked > max ? max : asked;
}

static void
read_page(struct dyn_node *node, struct dyn_request *request)
{
	const Dyn__CopyRequest *message = request->message;
	uint16_t q = node->cluster.ring.partition_count;
	struct dyn_effect *effect = dyn_effects_add(node->out, DYN_EFFECT_SCAN);
	struct dyn_walk place = { 0 };

	effect->scan.token = request->serial;
	effect->scan.table = DYN_TABLE_MAIN;
	effect->scan.cell_first =
		dyn_hash_cell_first((uint16_t) message->partition, q);
	effect->scan.cell_last =
		dyn_hash_cell_last((uint16_t) message->partition, q);
	if (message->after_key.len != 0)
		dyn_walk_set(&place, dyn_slice_of_bytes(message->after_bucket),
					 (uint16_t) message->after_cell,
					 dyn_slice_of_bytes(message->after_key));
	place.damaged = message->after_damaged;
	dyn_walk_resume(&place, effect, &node->out->arena);
	effect->scan.items_max = bound(message->items_max, ITEMS_MAX);
	effect->scan.bytes_max = bound(message->bytes_max, BYTES_MAX);
	effect->scan.for_damage = request->for_damage;
}

void
dyn_copy_begin(struct dyn_node *node, struct dyn_request *request,
			   const struct dyn_node_id *asker, const Dyn__CopyRequest *message)
{
	enum dyn_status status = check(node, asker, message);

	if (status != DYN_STATUS_OK)
	{
		dyn_request_refuse(node, request, status, dyn_status_text(status));
		return;
	}
	request->vouches = !dyn_building_is(node, (uint16_t) message->partition);
	read_page(node, request);
}

/* What was met at the edge of the partition may be of another one, and who is
 * told a key must be able to believe it. */
static bool
may_tell(const struct dyn_node *node, uint16_t partition,
		 const struct dyn_scanned *item)
{
	return item->state == DYN_LOADED_FOUND ||
		   (!dyn_scanned_is_misnamed(item) &&
			dyn_cluster_partition(node, item->cell) == partition);
}

static void
fill_item(struct dyn_node *node, const struct dyn_scanned *from, bool same,
		  Dyn__CopyItem *item)
{
	dyn__copy_item__init(item);
	if (!same)
		item->bucket = dyn_bytes_of_slice(from->bucket);
	item->key = dyn_bytes_of_slice(from->key);
	item->damaged = from->state != DYN_LOADED_FOUND;
	if (item->damaged)
		dyn_count(node, records_unreadable);
	else
		item->object = dyn_bytes_of_slice(from->object);
}

static void
fill_items(struct dyn_node *node, uint16_t partition,
		   const struct dyn_event *event, Dyn__CopyReply *reply)
{
	uint32_t count = event->scanned.item_count;
	const struct dyn_scanned *last = NULL;
	Dyn__CopyItem *items =
		dyn_arena_allocate(&node->scratch, count * sizeof(*items));

	reply->items =
		dyn_arena_allocate(&node->scratch, count * sizeof(*reply->items));
	for (uint32_t i = 0; i < count; i++)
	{
		const struct dyn_scanned *from = &event->scanned.items[i];

		if (!may_tell(node, partition, from))
		{
			dyn_count(node, records_unreadable);
			reply->building = true;
			continue;
		}
		fill_item(node, from,
				  last != NULL && dyn_slice_equal(from->bucket, last->bucket),
				  &items[reply->n_items]);
		reply->items[reply->n_items] = &items[reply->n_items];
		reply->n_items++;
		last = from;
	}
}

static void
scanned(struct dyn_node *node, struct dyn_request *request,
		const struct dyn_event *event)
{
	const Dyn__CopyRequest *message = request->message;
	uint16_t partition = (uint16_t) message->partition;
	enum dyn_status status = event->scanned.status;
	Dyn__CopyReply reply = DYN__COPY_REPLY__INIT;

	/* What damage hides cannot be told; all the rest can, and must: the owner
	 * that asks may be the one without whom the damage is not mended. */
	if (status == DYN_STATUS_IO_ERROR && !request->for_damage)
	{
		request->for_damage = true;
		request->vouches = false;
		read_page(node, request);
		return;
	}
	if (status == DYN_STATUS_OK && !dyn_building_tells(node, partition))
		status = DYN_STATUS_BUILDING; /* since it was asked */
	if (status != DYN_STATUS_OK)
	{
		dyn_request_refuse(node, request, status, dyn_status_text(status));
		return;
	}
	dyn_count(node, copy_pages);
	fill_items(node, partition, event, &reply);
	reply.end = event->scanned.end;
	if (!reply.end)
	{
		reply.after_bucket = dyn_bytes_of_slice(event->scanned.after_bucket);
		reply.after_cell = event->scanned.after_cell;
		reply.after_key = dyn_bytes_of_slice(event->scanned.after_key);
		reply.after_damaged = event->scanned.after_damaged;
	}
	reply.building |= !request->vouches || dyn_building_is(node, partition);
	reply.fence = dyn_fence_stamp(node, partition);
	dyn_outbox_reply(node, request->route, DYN_MESSAGE_COPY_REPLY,
					 request->correlation, &reply.base);
	dyn_request_end(node, request);
}

const struct dyn_request_kind dyn_copy_kind = {
	.name = "copy",
	.is_paged = true,
	.scanned = scanned,
};
