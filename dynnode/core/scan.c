#include "core/scan.h"

#include "core/cluster.h"
#include "core/exchange.h"
#include "core/outbox.h"
#include "model/hash.h"

static uint32_t
bound(uint32_t asked, uint32_t normal, uint32_t max)
{
	if (asked == 0)
		return normal;
	return asked < max ? asked : max;
}

static bool
owns_cells(const struct dyn_node *node, uint32_t first, uint32_t last)
{
	uint16_t p_last = dyn_cluster_partition(node, (uint16_t) last);

	for (uint16_t p = dyn_cluster_partition(node, (uint16_t) first);
		 p <= p_last; p++)
		if (dyn_cluster_own_slot(node, p) < 0)
			return false;
	return true;
}

static bool
answers_cells(struct dyn_node *node, uint32_t first, uint32_t last)
{
	uint16_t p_last = dyn_cluster_partition(node, (uint16_t) last);

	for (uint16_t p = dyn_cluster_partition(node, (uint16_t) first);
		 p <= p_last; p++)
		if (!dyn_building_answers(node, p))
		{
			dyn_count(node, reads_building);
			return false;
		}
	return true;
}

/* What is being built up has no word, neither of pages nor of hashes. */
static bool
is_refused(struct dyn_node *node, struct dyn_request *request,
		   const Dyn__ScanRequest *message)
{
	if (answers_cells(node, message->cell_first, message->cell_last))
		return false;
	dyn_request_refuse(node, request, DYN_STATUS_BUILDING,
					   dyn_status_text(DYN_STATUS_BUILDING));
	return true;
}

static bool
is_sound(const Dyn__ScanRequest *message)
{
	return message->cell_first <= message->cell_last &&
		   message->cell_last < DYN_CELL_COUNT &&
		   (message->cell_hashes || !message->no_items) &&
		   message->after_cell < DYN_CELL_COUNT &&
		   message->after_key.len <= DYN_KEY_SIZE_MAX &&
		   message->key_min.len <= DYN_KEY_SIZE_MAX &&
		   message->key_max.len <= DYN_KEY_SIZE_MAX &&
		   message->prefix.len <= DYN_KEY_SIZE_MAX;
}

static struct dyn_slice
copy(struct dyn_node *node, ProtobufCBinaryData bytes)
{
	return dyn_arena_copy(&node->out->arena, dyn_slice_of_bytes(bytes));
}

static void
read_page(struct dyn_node *node, const struct dyn_request *request)
{
	const Dyn__ScanRequest *message = request->message;
	struct dyn_effect *effect = dyn_effects_add(node->out, DYN_EFFECT_SCAN);

	dyn_count(node, scan_pages);
	effect->scan.token = request->serial;
	effect->scan.bucket = copy(node, message->bucket);
	effect->scan.cell_first = (uint16_t) message->cell_first;
	effect->scan.cell_last = (uint16_t) message->cell_last;
	effect->scan.has_after = message->after_key.len != 0;
	effect->scan.after_cell = (uint16_t) message->after_cell;
	effect->scan.after_key = copy(node, message->after_key);
	effect->scan.key_min = copy(node, message->key_min);
	effect->scan.key_max = copy(node, message->key_max);
	effect->scan.prefix = copy(node, message->prefix);
	effect->scan.hash_only = message->hash_only;
	effect->scan.items_max =
		bound(message->items_max, DYN_SCAN_ITEMS_MAX, DYN_SCAN_ITEMS_MAX);
	effect->scan.bytes_max =
		bound(message->bytes_max, DYN_SCAN_BYTES_DEFAULT, DYN_SCAN_BYTES_MAX);
}

static uint32_t
cell_count(const Dyn__ScanRequest *message)
{
	return message->cell_last - message->cell_first + 1;
}

static void
read_hashes(struct dyn_node *node, const struct dyn_request *request)
{
	const Dyn__ScanRequest *message = request->message;
	uint32_t count = cell_count(message);
	uint32_t *cells =
		dyn_arena_allocate(&node->scratch, count * sizeof(*cells));

	for (uint32_t i = 0; i < count; i++)
		cells[i] = message->cell_first + i;
	dyn_exchange_read_tree(node, request->serial, DYN_EXCHANGE_CELLS, cells,
						   count);
}

void
dyn_scan_begin(struct dyn_node *node, struct dyn_request *request,
			   const Dyn__ScanRequest *message)
{
	if (!is_sound(message) ||
		dyn_bucket_check(dyn_slice_of_bytes(message->bucket)) != DYN_STATUS_OK)
	{
		dyn_request_refuse(node, request, DYN_STATUS_BAD_REQUEST,
						   "not a bucket's name, or a range that is none");
		return;
	}
	if (!owns_cells(node, message->cell_first, message->cell_last))
	{
		dyn_request_refuse(node, request, DYN_STATUS_NOT_OWNER,
						   "the node owns no replica of some of these cells");
		return;
	}
	if (is_refused(node, request, message))
		return;
	if (message->cell_hashes)
		read_hashes(node, request);
	else
		read_page(node, request);
}

static void
answer(struct dyn_node *node, struct dyn_request *request,
	   Dyn__ScanReply *reply)
{
	reply->bucket_digest = node->bucket_digest;
	reply->clock_ms = dyn_node_clock_ms(node);
	reply->view_ms = dyn_skew_view_ms(node);
	reply->cell_hashes = request->cell_hashes;
	reply->n_cell_hashes =
		request->cell_hashes == NULL ? 0 : cell_count(request->message);
	dyn_outbox_reply(node, request->route, DYN_MESSAGE_SCAN_REPLY,
					 request->correlation, &reply->base);
	dyn_request_end(node, request);
}

static void
tree_read(struct dyn_node *node, struct dyn_request *request,
		  const struct dyn_event *event)
{
	const Dyn__ScanRequest *message = request->message;
	uint32_t count = cell_count(message);
	uint64_t *hashes =
		dyn_arena_allocate(&request->arena, count * sizeof(*hashes));
	Dyn__ScanReply reply = DYN__SCAN_REPLY__INIT;

	if (is_refused(node, request, message))
		return;
	if (event->tree.status != DYN_STATUS_OK ||
		!dyn_exchange_take_tree(node, event, DYN_EXCHANGE_CELLS, count, hashes))
	{
		dyn_request_refuse(node, request, DYN_STATUS_IO_ERROR,
						   dyn_status_text(DYN_STATUS_IO_ERROR));
		return;
	}
	request->cell_hashes = hashes;
	if (!message->no_items)
	{
		read_page(node, request);
		return;
	}
	dyn_count(node, scan_hashes);
	answer(node, request, &reply);
}

/* keys_only: a lone version's value is what nobody wants; with siblings the
 * values tell the rows apart (twins). */
static struct dyn_slice
without_value(struct dyn_node *node, struct dyn_slice encoded)
{
	const struct dyn_allocator *allocator = &node->scratch.allocator;
	struct dyn_object object;
	struct dyn_slice smaller;

	if (dyn_object_decode(encoded, allocator, &object) != DYN_STATUS_OK ||
		object.version_count != 1)
		return encoded;
	object.versions[0].value = (struct dyn_slice){ NULL, 0 };
	if (dyn_object_encode(&object, allocator, &smaller) != DYN_STATUS_OK)
		return encoded;
	return smaller;
}

static void
fill_item(struct dyn_node *node, const Dyn__ScanRequest *message,
		  const struct dyn_scanned *from, Dyn__ScanItem *item)
{
	struct dyn_slice object = from->object;

	dyn__scan_item__init(item);
	item->key = dyn_bytes_of_slice(from->key);
	if (from->state != DYN_LOADED_FOUND)
	{
		dyn_count(node, records_unreadable);
		item->status = DYN_STATUS_CORRUPT;
		item->cell = from->cell;
		return;
	}
	item->hash = from->hash;
	if (message->keys_only && object.size != 0)
		object = without_value(node, object);
	item->object = dyn_bytes_of_slice(object);
}

static void
scanned(struct dyn_node *node, struct dyn_request *request,
		const struct dyn_event *event)
{
	Dyn__ScanReply reply = DYN__SCAN_REPLY__INIT;
	uint32_t count = event->scanned.item_count;
	const Dyn__ScanRequest *message = request->message;
	Dyn__ScanItem *items;

	if (is_refused(node, request, message))
		return;
	items = dyn_arena_allocate(&node->scratch, count * sizeof(*items));
	reply.items =
		dyn_arena_allocate(&node->scratch, count * sizeof(*reply.items));
	reply.n_items = count;
	for (uint32_t i = 0; i < count; i++)
	{
		fill_item(node, message, &event->scanned.items[i], &items[i]);
		reply.items[i] = &items[i];
	}
	reply.status = event->scanned.status;
	if (event->scanned.status != DYN_STATUS_OK)
		reply.text = (char *) dyn_status_text(event->scanned.status);
	reply.end = event->scanned.end;
	reply.after_cell = event->scanned.after_cell;
	reply.after_key = dyn_bytes_of_slice(event->scanned.after_key);
	answer(node, request, &reply);
}

const struct dyn_request_kind dyn_scan_kind = {
	.name = "scan",
	.is_read = true,
	.is_paged = true,
	.scanned = scanned,
	.tree_read = tree_read,
};
