#include "core/discard.h"

#include "core/cluster.h"
#include "core/commit.h"
#include "core/misnamed.h"
#include "core/state.h"
#include "model/hash.h"

static const struct dyn_request_kind discard_kind;

enum
{
	PAGE_ITEMS_MAX = 256,
	PAGE_BYTES_MAX = 256 * 1024
};

/* One page. */
struct dyn_discard
{
	uint16_t partition;
	uint32_t turn;
	bool is_quiet; /* no commit was under way when it was read */
	bool failed;
	uint32_t waiting;      /* records being removed */
	struct dyn_walk place; /* over damage that does not go */
};

static bool
is_quiet(const struct dyn_node *node, uint16_t partition)
{
	const struct dyn_key *key;

	for (key = node->keys; key != NULL; key = key->hh.next)
		if (key->partition == partition && key->commit_count != 0)
			return false;
	return true;
}

/* From the start: what was there before is gone. */
static void
read_page(struct dyn_node *node, struct dyn_request *request)
{
	uint16_t partition = request->discard->partition;
	struct dyn_effect *effect = dyn_effects_add(node->out, DYN_EFFECT_SCAN);
	uint16_t q = node->cluster.ring.partition_count;

	effect->scan.token = request->serial;
	effect->scan.table = dyn_cluster_own_slot(node, partition) >= 0
							 ? DYN_TABLE_MAIN
							 : DYN_TABLE_HINTS;
	effect->scan.cell_first = dyn_hash_cell_first(partition, q);
	effect->scan.cell_last = dyn_hash_cell_last(partition, q);
	effect->scan.hash_only = true;
	effect->scan.items_max = PAGE_ITEMS_MAX;
	effect->scan.bytes_max = PAGE_BYTES_MAX;
	effect->scan.for_damage = request->for_damage;
	dyn_walk_resume(&request->discard->place, effect, &node->out->arena);
}

static void
begin(struct dyn_node *node, uint16_t partition)
{
	struct dyn_request *request = dyn_request_new(node, &discard_kind, 0, NULL);
	struct dyn_discard *self =
		dyn_arena_allocate(&request->arena, sizeof(*self));

	*self = (struct dyn_discard){ .partition = partition,
								  .turn = node->building.parts[partition].turn,
								  .is_quiet = is_quiet(node, partition) };
	request->discard = self;
	node->building.discard = request->serial;
	read_page(node, request);
}

static void
start(struct dyn_node *node)
{
	uint32_t q = node->cluster.ring.partition_count;

	if (node->building.count == 0 || !node->writable ||
		node->building.discard != 0)
		return;
	for (uint32_t i = 0; i < q; i++)
	{
		uint16_t p = (uint16_t) ((node->building.discard_from + i) % q);

		if (node->building.parts[p].mode == DYN_BUILDING_DISCARD)
		{
			begin(node, p);
			return;
		}
	}
}

void
dyn_discard_tick(struct dyn_node *node)
{
	if (node->cluster.formed)
		start(node);
}

static void
end(struct dyn_node *node, struct dyn_request *request, bool go_on)
{
	node->building.discard = 0;
	dyn_request_end(node, request);
	if (go_on)
		start(node);
}

static void
one_less(struct dyn_node *node, struct dyn_request *request)
{
	if (--request->discard->waiting == 0)
		end(node, request, !request->discard->failed);
}

/*
 * Damage in this partition or beside it.  What is shown all the same goes, the
 * damaged records too; that nothing is left is believed only where no damage
 * is, so another partition comes first, which may have it.
 */
static void
go_over_damage(struct dyn_node *node, struct dyn_request *request)
{
	if (request->for_damage)
	{
		node->building.discard_from =
			(uint16_t) (request->discard->partition + 1);
		end(node, request, false);
		return;
	}
	request->for_damage = true;
	read_page(node, request);
}

/* What was met at the edge of the partition may be of another one, and what
 * shows no key to go by goes when its key is written. */
static bool
may_go(const struct dyn_node *node, const struct dyn_discard *self,
	   const struct dyn_scanned *item)
{
	return !dyn_scanned_is_misnamed(item) &&
		   dyn_cluster_partition(node, item->cell) == self->partition;
}

static uint32_t
count_to_go(const struct dyn_node *node, const struct dyn_discard *self,
			const struct dyn_event *event)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < event->scanned.item_count; i++)
		count += may_go(node, self, &event->scanned.items[i]);
	return count;
}

static void
scanned(struct dyn_node *node, struct dyn_request *request,
		const struct dyn_event *event)
{
	struct dyn_discard *self = request->discard;
	uint32_t count = event->scanned.item_count;

	if (event->scanned.status == DYN_STATUS_OK && request->for_damage &&
		!event->scanned.end && count_to_go(node, self, event) == 0)
	{
		dyn_walk_keep(&self->place, event);
		read_page(node, request);
		return;
	}
	if (event->scanned.status != DYN_STATUS_OK ||
		((request->for_damage || count != 0) &&
		 count_to_go(node, self, event) == 0))
	{
		go_over_damage(node, request);
		return;
	}
	if (count == 0 && event->scanned.end)
	{
		if (self->is_quiet &&
			self->turn == node->building.parts[self->partition].turn)
			dyn_building_discarded(node, self->partition);
		end(node, request, self->is_quiet);
		return;
	}
	self->waiting = 1;
	for (uint32_t i = 0; i < count; i++)
	{
		const struct dyn_scanned *item = &event->scanned.items[i];

		if (!may_go(node, self, item))
			continue;
		self->waiting++;
		if (dyn_key_do(node, item->bucket, item->key,
					   (struct dyn_work){ request->serial, i }))
			continue;
		self->failed = true;
		self->waiting--;
	}
	one_less(node, request);
}

static void
apply(struct dyn_node *node, struct dyn_request *request, uint32_t op,
	  struct dyn_key *key)
{
	struct dyn_key_value value = { 0 };

	/* Nobody knows whether there is a record: it is looked for once more. */
	if (key->state == DYN_LOADED_IO_ERROR)
	{
		request->discard->failed = true;
		one_less(node, request);
		return;
	}
	dyn_count(node, discarded);
	if (dyn_commit_write(node, key, &value,
						 (struct dyn_work){ request->serial, op }))
		one_less(node, request);
}

static void
committed(struct dyn_node *node, struct dyn_request *request, uint32_t op,
		  enum dyn_status status, bool carried)
{
	request->discard->failed |= status != DYN_STATUS_OK;
	one_less(node, request);
}

static void
expire(struct dyn_node *node, struct dyn_request *request)
{
	end(node, request, false);
}

static const struct dyn_request_kind discard_kind = {
	.name = "discard",
	.is_paged = true,
	.expire = expire,
	.apply = apply,
	.committed = committed,
	.scanned = scanned,
};
