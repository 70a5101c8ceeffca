/*
 * Anti-entropy: from leaves that differ to keys that are repaired.
 */
#include "core/descent.h"

#include "model/hash.h"

#include <stdlib.h>
#include <string.h>

static const struct dyn_call_kind list_call;

enum
{
	/* Keys are gathered from so many cells as it takes to fill a batch. */
	ENOUGH_KEYS = 2 * DYN_REPAIR_KEYS_MAX,
	/* A batch grows while its objects take a small part of what is granted. */
	SMALL_PART = 8,
	/* Halves of heartbeats without credit, until a round is given up. */
	WAITS_MAX = 60
};

/* -------------------------------------------------------------------- lists */

static void
set_cursor(struct dyn_cursor *self, const struct dyn_bound *to)
{
	struct dyn_bound at = { { self->bucket, to->bucket.size },
							{ self->key, to->key.size } };

	if (to->bucket.size != 0)
		memmove(self->bucket, to->bucket.data, to->bucket.size);
	if (to->key.size != 0)
		memmove(self->key, to->key.data, to->key.size);
	self->at = at;
}

static void
clear_cursor(struct dyn_cursor *self)
{
	self->at = (struct dyn_bound){ { NULL, 0 }, { NULL, 0 } };
}

static void
scan_page(struct dyn_node *node, struct dyn_descent *self)
{
	dyn_descent_step(node, self, DYN_DESCENT_LISTING);
	dyn_arena_reset(&self->round->page_arena);
	dyn_listing_scan(node, self->serial, self->round->listed.cell,
					 &self->round->after.at);
}

/* The leaves of the next cell; false when there is none. */
static bool
next_cell(struct dyn_round *round)
{
	uint32_t first = round->list_next;
	uint32_t i = first;

	if (first == round->node_count)
		return false;
	while (i < round->node_count && round->nodes[i] / DYN_CELL_LEAVES ==
										round->nodes[first] / DYN_CELL_LEAVES)
		i++;
	round->list_first = first;
	round->list_next = i;
	(void) dyn_listing_leaves(round->nodes + first, i - first, &round->listed);
	clear_cursor(&round->after);
	return true;
}

static void repair(struct dyn_node *node, struct dyn_descent *self,
				   uint32_t peer_index);

/* The page is done: more of its cell, the next cell, or what to repair. */
static void
next_page(struct dyn_node *node, struct dyn_descent *self, uint32_t peer_index)
{
	struct dyn_round *round = self->round;

	if (round->key_count >= ENOUGH_KEYS)
		repair(node, self, peer_index);
	else if (!round->page_is_last || next_cell(round))
		scan_page(node, self);
	else if (round->key_count != 0)
		repair(node, self, peer_index);
	else
		dyn_descent_go_on(node, self, peer_index);
}

void
dyn_descent_list(struct dyn_node *node, struct dyn_descent *self,
				 uint32_t peer_index)
{
	self->round->list_next = 0;
	self->round->page_is_last = true;
	next_page(node, self, peer_index);
}

void
dyn_exchange_scanned(struct dyn_node *node, const struct dyn_event *event)
{
	uint32_t peer_index;
	struct dyn_descent *self =
		dyn_descent_find(node, event->scanned.token, &peer_index);
	Dyn__ListRequest message = DYN__LIST_REQUEST__INIT;
	struct dyn_bound until;
	struct dyn_round *round;
	enum dyn_status status;

	if (self == NULL)
		return;
	round = self->round;
	status = event->scanned.status;
	if (status == DYN_STATUS_IO_ERROR)
		dyn_scrub_suspect(node, round->listed.cell);
	if (status == DYN_STATUS_OK)
		status = dyn_descent_may_go_on(node, self, peer_index);
	if (status != DYN_STATUS_OK)
	{
		dyn_descent_end(node, self, status);
		return;
	}
	until = dyn_listing_end(event);
	set_cursor(&round->until, &until);
	round->own =
		dyn_listing_take(event, &round->listed, &until, &round->page_arena);
	message.n_leaves = round->list_next - round->list_first;
	message.leaves = round->nodes + round->list_first;
	message.after_bucket = dyn_bytes_of_slice(round->after.at.bucket);
	message.after_key = dyn_bytes_of_slice(round->after.at.key);
	message.until_bucket = dyn_bytes_of_slice(until.bucket);
	message.until_key = dyn_bytes_of_slice(until.key);
	dyn_listing_pack(&round->own, &node->scratch, &message.items);
	message.n_items = round->own.count;
	dyn_descent_ask(node, self, peer_index, &list_call, &message.base);
}

static void
add_key(struct dyn_round *round, const struct dyn_repair_key *key)
{
	struct dyn_repair_key *to;

	round->keys =
		dyn_memory_reserve(round->keys, round->key_count, &round->key_capacity,
						   sizeof(*round->keys));
	to = &round->keys[round->key_count++];
	*to = *key;
	to->bucket = dyn_arena_copy(&round->key_arena, key->bucket);
	to->key = dyn_arena_copy(&round->key_arena, key->key);
}

/* What the peer holds otherwise, beside the own hashes. */
static void
join(struct dyn_round *round, const struct dyn_list *theirs)
{
	uint32_t i = 0;

	for (uint32_t j = 0; j < theirs->count; j++)
	{
		const struct dyn_listed *item = &theirs->items[j];
		struct dyn_repair_key key = { .bucket = item->bucket,
									  .key = item->key,
									  .peer_hash = item->hash,
									  .damaged = item->damaged };
		int order = -1;

		while (i < round->own.count &&
			   (order = dyn_listing_compare(round->own.items[i].bucket,
											round->own.items[i].key,
											item->bucket, item->key)) < 0)
			i++;
		if (i < round->own.count && order == 0)
		{
			key.own_hash = round->own.items[i].hash;
			key.damaged |= round->own.items[i].damaged;
		}
		add_key(round, &key);
	}
}

/* How far both lists went; false when that is no sound answer. */
static bool
take_cursor(struct dyn_round *round, const Dyn__ListReply *reply)
{
	struct dyn_bound end = { dyn_slice_of_bytes(reply->after_bucket),
							 dyn_slice_of_bytes(reply->after_key) };
	const struct dyn_bound *after = &round->after.at;
	const struct dyn_bound *until = &round->until.at;

	round->page_is_last = reply->end && until->bucket.size == 0;
	if (reply->end)
	{
		set_cursor(&round->after, until);
		return true;
	}
	if (dyn_bucket_check(end.bucket) != DYN_STATUS_OK ||
		end.key.size > DYN_KEY_SIZE_MAX ||
		(after->bucket.size != 0 &&
		 dyn_listing_compare(end.bucket, end.key, after->bucket, after->key) <=
			 0))
		return false; /* it would never end */
	set_cursor(&round->after, &end);
	return true;
}

static void
list_answered(struct dyn_node *node, const struct dyn_call *call,
			  const ProtobufCMessage *body)
{
	const Dyn__ListReply *reply = (const Dyn__ListReply *) body;
	uint64_t serial = call->items[0].serial;
	uint32_t peer_index;
	struct dyn_descent *self = dyn_descent_find(node, serial, &peer_index);
	struct dyn_list theirs;
	struct dyn_round *round;

	if (self == NULL)
		return;
	round = self->round;
	if (!dyn_listing_unpack(reply->items, reply->n_items, &round->listed,
							&round->after.at, &round->until.at, &node->scratch,
							&theirs) ||
		!take_cursor(round, reply))
	{
		dyn_count(node, replies_bad);
		dyn_descent_end(node, self, DYN_STATUS_BAD_REQUEST);
		return;
	}
	join(round, &theirs);
	node->counters[DYN_COUNT_exchange_keys_differing] += theirs.count;
	next_page(node, self, peer_index);
}

/* ------------------------------------------------------------------- repair */

/* Keys of one bucket together, the damaged ones by themselves. */
static int
by_batch(const void *a, const void *b)
{
	const struct dyn_repair_key *x = a;
	const struct dyn_repair_key *y = b;

	if (x->damaged != y->damaged)
		return x->damaged ? 1 : -1;
	return dyn_listing_compare(x->bucket, x->key, y->bucket, y->key);
}

/* What objects may take that are on their way to one of the two. */
static uint64_t
granted(struct dyn_node *node, uint32_t peer_index)
{
	uint64_t own = dyn_credit_may_pull(node);
	uint64_t peer = dyn_credit_may_send(node->peers[peer_index]);

	return own < peer ? own : peer;
}

/* The next keys of one bucket, all damaged or all sound. */
static uint32_t
batch(const struct dyn_round *round)
{
	const struct dyn_repair_key *first = &round->keys[round->key_next];
	uint32_t count = 1;

	while (count < round->batch_max &&
		   round->key_next + count < round->key_count &&
		   first[count].damaged == first->damaged &&
		   dyn_slice_equal(first[count].bucket, first->bucket))
		count++;
	return count;
}

static void
repair_some(struct dyn_node *node, struct dyn_descent *self,
			uint32_t peer_index)
{
	struct dyn_round *round = self->round;
	enum dyn_status status = dyn_descent_may_go_on(node, self, peer_index);

	if (status == DYN_STATUS_OK && round->waits > WAITS_MAX)
		status = DYN_STATUS_OVERLOAD;
	if (status != DYN_STATUS_OK)
	{
		dyn_descent_end(node, self, status);
		return;
	}
	if (granted(node, peer_index) == 0)
	{
		round->waits++;
		dyn_descent_pause(node, self, DYN_DESCENT_REPAIRING);
		self->at_ms = node->now_ms + node->config.heartbeat_ms / 2;
		return;
	}
	round->waits = 0;
	while (round->key_next < round->key_count)
	{
		const struct dyn_repair_key *keys = &round->keys[round->key_next];
		uint32_t count = batch(round);

		round->key_next += count;
		if (!keys->damaged)
		{
			dyn_descent_step(node, self, DYN_DESCENT_REPAIRING);
			dyn_repair_begin(node, self->serial, peer_index, keys, count);
			return;
		}
		/* One such read at a time; the rest is met in a later round. */
		if (dyn_request_find(node, node->mending) == NULL)
			node->mending = dyn_repair_mend(node, keys, count);
	}
	round->key_count = 0;
	dyn_arena_reset(&round->key_arena);
	next_page(node, self, peer_index);
}

void
dyn_descent_repair(struct dyn_node *node, struct dyn_descent *self,
				   uint32_t peer_index)
{
	repair_some(node, self, peer_index);
}

static void
repair(struct dyn_node *node, struct dyn_descent *self, uint32_t peer_index)
{
	struct dyn_round *round = self->round;

	qsort(round->keys, round->key_count, sizeof(*round->keys), by_batch);
	round->key_next = 0;
	repair_some(node, self, peer_index);
}

/* Keys of the last batch for which there was no credit are the next ones. */
static void
take_back(struct dyn_round *round, const struct dyn_repair_outcome *outcome)
{
	uint32_t first = round->key_next - outcome->count;

	for (uint32_t i = outcome->count; i-- > 0;)
		if (outcome->left >> i & 1)
		{
			struct dyn_repair_key key = round->keys[first + i];

			round->keys[--round->key_next] = key;
		}
}

void
dyn_exchange_repaired(struct dyn_node *node, uint64_t serial,
					  const struct dyn_repair_outcome *outcome)
{
	uint32_t peer_index;
	struct dyn_descent *self = dyn_descent_find(node, serial, &peer_index);
	struct dyn_round *round;

	node->counters[DYN_COUNT_exchange_keys_repaired] += outcome->repaired;
	node->counters[DYN_COUNT_exchange_keys_equal] += outcome->equal;
	node->counters[DYN_COUNT_exchange_keys_moved] += outcome->moved;
	node->counters[DYN_COUNT_exchange_object_bytes] += outcome->bytes;
	if (self == NULL)
		return;
	round = self->round;
	take_back(round, outcome);
	/* Who is overloaded, or gone, is left alone until the next round; a key
	 * that cannot be read keeps no other one from being repaired. */
	if (outcome->status != DYN_STATUS_OK &&
		outcome->status != DYN_STATUS_CORRUPT &&
		outcome->status != DYN_STATUS_IO_ERROR &&
		outcome->status != DYN_STATUS_TOO_LARGE &&
		outcome->status != DYN_STATUS_BAD_REQUEST)
	{
		dyn_descent_end(node, self, outcome->status);
		return;
	}
	if (outcome->left != 0 && round->batch_max > 1)
		round->batch_max /= 2;
	else if (outcome->bytes < granted(node, peer_index) / SMALL_PART &&
			 round->batch_max < DYN_REPAIR_KEYS_MAX)
		round->batch_max *= 2;
	repair_some(node, self, peer_index);
}

static const struct dyn_call_kind list_call = { DYN_MESSAGE_LIST,
												DYN_MESSAGE_LIST_REPLY, NULL,
												list_answered,
												dyn_descent_lost };
