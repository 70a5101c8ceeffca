/*
 * The other side of anti-entropy: hashes and lists for whoever asks, and what
 * both sides do the same way.
 */
#include "core/cluster.h"
#include "core/exchange.h"
#include "core/listing.h"
#include "core/outbox.h"
#include "core/verified.h"
#include "model/hash.h"

/* -------------------------------------------------------------- both sides */

static enum dyn_tree_level
tree_level(enum dyn_exchange_level level)
{
	if (level == DYN_EXCHANGE_LEAVES)
		return DYN_TREE_LEAF;
	return level == DYN_EXCHANGE_BRANCHES ? DYN_TREE_BRANCH : DYN_TREE_CELL;
}

static uint32_t
cells_of_a_partition(const struct dyn_node *node)
{
	return DYN_CELL_COUNT / node->cluster.ring.partition_count;
}

static uint32_t
level_count(const struct dyn_node *node, enum dyn_exchange_level level)
{
	return level == DYN_EXCHANGE_PARTITIONS
			   ? node->cluster.ring.partition_count
			   : dyn_tree_level_count(tree_level(level));
}

uint16_t
dyn_exchange_partition(const struct dyn_node *node,
					   enum dyn_exchange_level level, uint32_t number)
{
	uint32_t leaf;

	if (level == DYN_EXCHANGE_PARTITIONS)
		return (uint16_t) number;
	leaf = dyn_tree_leaf_first(tree_level(level), number);
	return dyn_cluster_partition(node, (uint16_t) (leaf / DYN_CELL_LEAVES));
}

void
dyn_exchange_read_tree(struct dyn_node *node, uint64_t token,
					   enum dyn_exchange_level level, const uint32_t *nodes,
					   uint32_t count)
{
	struct dyn_effect *effect = dyn_effects_add(node->out, DYN_EFFECT_TREE);
	uint32_t each =
		level == DYN_EXCHANGE_PARTITIONS ? cells_of_a_partition(node) : 1;
	uint32_t *numbers = dyn_arena_allocate(
		&node->out->arena, (size_t) count * each * sizeof(*numbers));

	for (uint32_t i = 0; i < count; i++)
		for (uint32_t j = 0; j < each; j++)
			numbers[i * each + j] = nodes[i] * each + j;
	effect->tree.token = token;
	effect->tree.level = tree_level(level);
	effect->tree.nodes = numbers;
	effect->tree.node_count = count * each;
}

bool
dyn_exchange_take_tree(const struct dyn_node *node,
					   const struct dyn_event *event,
					   enum dyn_exchange_level level, uint32_t count,
					   uint64_t *hashes)
{
	uint32_t each =
		level == DYN_EXCHANGE_PARTITIONS ? cells_of_a_partition(node) : 1;

	if (event->tree.hash_count != count * each)
		return false;
	for (uint32_t i = 0; i < count; i++)
	{
		hashes[i] = 0;
		for (uint32_t j = 0; j < each; j++)
			hashes[i] ^= event->tree.hashes[i * each + j];
	}
	return true;
}

/* ------------------------------------------------------------------ hashes */

/* Ascending numbers of a level, all in partitions that this node owns. */
static enum dyn_status
check_nodes(const struct dyn_node *node, const Dyn__TreeRequest *message)
{
	enum dyn_exchange_level level = (enum dyn_exchange_level) message->level;

	if (message->level >= DYN_EXCHANGE_LEVEL_COUNT || message->n_nodes == 0 ||
		message->n_nodes != message->n_hashes)
		return DYN_STATUS_BAD_REQUEST;
	for (size_t i = 0; i < message->n_nodes; i++)
	{
		uint32_t number = message->nodes[i];

		if (number >= level_count(node, level) ||
			(i > 0 && number <= message->nodes[i - 1]))
			return DYN_STATUS_BAD_REQUEST;
		if (dyn_cluster_own_slot(
				node, dyn_exchange_partition(node, level, number)) < 0)
			return DYN_STATUS_NOT_OWNER;
	}
	return DYN_STATUS_OK;
}

void
dyn_exchange_answer_tree(struct dyn_node *node, struct dyn_request *request,
						 const struct dyn_node_id *asker,
						 const Dyn__TreeRequest *message)
{
	enum dyn_status status = check_nodes(node, message);

	if (status == DYN_STATUS_OK &&
		dyn_ring_member(&node->cluster.ring, asker) == NULL)
		status = DYN_STATUS_NOT_AUTH;
	if (status != DYN_STATUS_OK)
	{
		dyn_request_refuse(node, request, status, dyn_status_text(status));
		return;
	}
	request->asker = *asker;
	request->asked_at_ms = node->now_ms;
	dyn_count(node, exchange_answers);
	dyn_exchange_read_tree(node, request->serial,
						   (enum dyn_exchange_level) message->level,
						   message->nodes, (uint32_t) message->n_nodes);
}

static void
tree_read(struct dyn_node *node, struct dyn_request *request,
		  const struct dyn_event *event)
{
	const Dyn__TreeRequest *message = request->message;
	uint32_t count = (uint32_t) message->n_nodes;
	enum dyn_exchange_level level = (enum dyn_exchange_level) message->level;
	uint64_t *hashes =
		dyn_arena_allocate(&node->scratch, count * sizeof(*hashes));
	Dyn__TreeReply reply = DYN__TREE_REPLY__INIT;

	if (event->tree.status != DYN_STATUS_OK ||
		!dyn_exchange_take_tree(node, event, level, count, hashes))
	{
		dyn_request_refuse(node, request, DYN_STATUS_IO_ERROR,
						   dyn_status_text(DYN_STATUS_IO_ERROR));
		return;
	}
	reply.differing =
		dyn_arena_allocate(&node->scratch, count * sizeof(*reply.differing));
	reply.building =
		dyn_arena_allocate(&node->scratch, count * sizeof(*reply.building));
	for (uint32_t i = 0; i < count; i++)
		if (!dyn_building_answers(
				node, dyn_exchange_partition(node, level, message->nodes[i])))
			reply.building[reply.n_building++] = message->nodes[i];
		else if (hashes[i] != message->hashes[i])
			reply.differing[reply.n_differing++] = message->nodes[i];
		else if (level == DYN_EXCHANGE_PARTITIONS)
			dyn_verified_note(node, (uint16_t) message->nodes[i],
							  &request->asker, request->asked_at_ms);
	node->counters[DYN_COUNT_exchange_bytes] +=
		DYN_ENVELOPE_SIZE + dyn__tree_reply__get_packed_size(&reply);
	dyn_outbox_reply(node, request->route, DYN_MESSAGE_TREE_REPLY,
					 request->correlation, &reply.base);
	dyn_request_end(node, request);
}

/* ------------------------------------------------------------------- lists */

/* The parts of a ListRequest, borrowed but for the items. */
struct question
{
	struct dyn_leaves leaves;
	struct dyn_bound after;
	struct dyn_bound until;
	struct dyn_list list;
};

static bool
read_question(const Dyn__ListRequest *message, struct dyn_arena *arena,
			  struct question *out)
{
	out->after = (struct dyn_bound){ dyn_slice_of_bytes(message->after_bucket),
									 dyn_slice_of_bytes(message->after_key) };
	out->until = (struct dyn_bound){ dyn_slice_of_bytes(message->until_bucket),
									 dyn_slice_of_bytes(message->until_key) };
	return out->after.bucket.size <= DYN_BUCKET_SIZE_MAX &&
		   out->after.key.size <= DYN_KEY_SIZE_MAX &&
		   dyn_listing_leaves(message->leaves, message->n_leaves,
							  &out->leaves) &&
		   dyn_listing_unpack(message->items, message->n_items, &out->leaves,
							  &out->after, &out->until, arena, &out->list);
}

void
dyn_exchange_answer_list(struct dyn_node *node, struct dyn_request *request,
						 const Dyn__ListRequest *message)
{
	struct question question;
	enum dyn_status status = DYN_STATUS_OK;

	if (!read_question(message, &node->scratch, &question))
		status = DYN_STATUS_BAD_REQUEST;
	else if (dyn_cluster_own_slot(
				 node, dyn_cluster_partition(node, question.leaves.cell)) < 0)
		status = DYN_STATUS_NOT_OWNER;
	else if (!dyn_building_answers(
				 node, dyn_cluster_partition(node, question.leaves.cell)))
		status = DYN_STATUS_BUILDING;
	if (status != DYN_STATUS_OK)
	{
		dyn_request_refuse(node, request, status, dyn_status_text(status));
		return;
	}
	dyn_count(node, exchange_answers);
	dyn_listing_scan(node, request->serial, question.leaves.cell,
					 &question.after);
}

static struct dyn_listed
without_record(const struct dyn_listed *item)
{
	return (struct dyn_listed){ .bucket = item->bucket, .key = item->key };
}

/* What this node holds otherwise than the asker, up to `until`. */
static void
compare(const struct dyn_list *theirs, const struct dyn_list *own,
		const struct dyn_bound *until, struct dyn_list *out)
{
	uint32_t i = 0;
	uint32_t j = 0;

	while (i < theirs->count || j < own->count)
	{
		const struct dyn_listed *a = &theirs->items[i];
		const struct dyn_listed *b = &own->items[j];
		int order = i == theirs->count ? 1
					: j == own->count  ? -1
									   : dyn_listing_compare(a->bucket, a->key,
															 b->bucket, b->key);

		if (order < 0 && until->bucket.size != 0 &&
			dyn_listing_compare(a->bucket, a->key, until->bucket, until->key) >
				0)
			break; /* this page did not get so far */
		if (order < 0)
			out->items[out->count++] = without_record(a);
		else if (order > 0 || a->hash != b->hash || a->damaged || b->damaged)
			out->items[out->count++] = *b;
		i += order <= 0;
		j += order >= 0;
	}
}

static void
scanned(struct dyn_node *node, struct dyn_request *request,
		const struct dyn_event *event)
{
	struct dyn_arena *arena = &node->scratch;
	Dyn__ListReply reply = DYN__LIST_REPLY__INIT;
	struct dyn_bound end = dyn_listing_end(event);
	struct dyn_list differing = { 0 };
	struct dyn_list own;
	struct question question;

	bool sound = read_question(request->message, arena, &question);

	if (sound && event->scanned.status == DYN_STATUS_IO_ERROR)
		dyn_scrub_suspect(node, question.leaves.cell);
	if (!sound || event->scanned.status != DYN_STATUS_OK)
	{
		dyn_request_refuse(node, request, DYN_STATUS_IO_ERROR,
						   dyn_status_text(DYN_STATUS_IO_ERROR));
		return;
	}
	/* The range ends where the asker's or this page does. */
	reply.end = end.bucket.size == 0 ||
				(question.until.bucket.size != 0 &&
				 dyn_listing_compare(question.until.bucket, question.until.key,
									 end.bucket, end.key) <= 0);
	if (reply.end)
		end = question.until;
	own = dyn_listing_take(event, &question.leaves, &end, arena);
	differing.items =
		dyn_arena_allocate(arena, ((size_t) own.count + question.list.count) *
									  sizeof(*differing.items));
	compare(&question.list, &own, &end, &differing);
	dyn_listing_pack(&differing, arena, &reply.items);
	reply.n_items = differing.count;
	if (!reply.end)
	{
		reply.after_bucket = dyn_bytes_of_slice(end.bucket);
		reply.after_key = dyn_bytes_of_slice(end.key);
	}
	node->counters[DYN_COUNT_exchange_bytes] +=
		DYN_ENVELOPE_SIZE + dyn__list_reply__get_packed_size(&reply);
	dyn_outbox_reply(node, request->route, DYN_MESSAGE_LIST_REPLY,
					 request->correlation, &reply.base);
	dyn_request_end(node, request);
}

const struct dyn_request_kind dyn_tree_kind = {
	.name = "tree",
	.is_paged = true,
	.tree_read = tree_read,
};

const struct dyn_request_kind dyn_list_kind = {
	.name = "list",
	.is_paged = true,
	.scanned = scanned,
	.tree_read = tree_read,
};
