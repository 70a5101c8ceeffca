#include "core/scrub.h"

#include "core/misnamed.h"
#include "core/repair.h"
#include "core/state.h"

enum
{
	PAGE_ITEMS_MAX = 256,
	PAGE_BYTES_MAX = 64 * 1024
};

void
dyn_scrub_tick(struct dyn_node *node)
{
	struct dyn_scrub *self = &node->scrub;
	struct dyn_request *request;
	struct dyn_effect *effect;

	if (!node->cluster.formed || node->config.scrub_ms == DYN_SCRUB_NEVER ||
		self->serial != 0 || node->now_ms < self->next_at_ms)
		return;
	self->next_at_ms = node->now_ms + node->config.scrub_ms;
	request = dyn_request_new(node, DYN_REQUEST_SCRUB, 0, NULL);
	self->serial = request->serial;
	effect = dyn_effects_add(node->out, DYN_EFFECT_SCAN);
	effect->scan.token = request->serial;
	effect->scan.table = DYN_TABLE_MAIN;
	effect->scan.cell_last = DYN_CELL_COUNT - 1;
	dyn_walk_resume(&self->place, effect, &node->out->arena);
	effect->scan.items_max = PAGE_ITEMS_MAX;
	effect->scan.bytes_max = PAGE_BYTES_MAX;
	effect->scan.for_damage = true;
}

/* Damaged records that stand side by side in one bucket, together. */
static void
mend(struct dyn_node *node, const struct dyn_scanned *items, uint32_t count)
{
	struct dyn_repair_key keys[DYN_REPAIR_KEYS_MAX];
	uint32_t n = 0;

	for (uint32_t i = 0; i < count; i++)
	{
		if (n != 0 && (n == DYN_REPAIR_KEYS_MAX ||
					   !dyn_slice_equal(keys[0].bucket, items[i].bucket)))
		{
			dyn_repair_mend(node, keys, n);
			n = 0;
		}
		if (items[i].state == DYN_LOADED_FOUND)
			continue;
		if (dyn_scanned_is_misnamed(&items[i]))
		{
			dyn_count(node, scrub_misnamed);
			continue;
		}
		dyn_count(node, scrub_damaged);
		keys[n++] = (struct dyn_repair_key){ .bucket = items[i].bucket,
											 .key = items[i].key,
											 .damaged = true };
	}
	if (n != 0)
		dyn_repair_mend(node, keys, n);
}

void
dyn_scrub_scanned(struct dyn_node *node, struct dyn_request *request,
				  const struct dyn_event *event)
{
	struct dyn_scrub *self = &node->scrub;

	self->serial = 0;
	dyn_request_end(node, request);
	if (event->scanned.status != DYN_STATUS_OK)
	{
		/* Nobody knows how far it came: the pass begins anew. */
		dyn_count(node, scrub_failures);
		self->place = (struct dyn_walk){ 0 };
		return;
	}
	node->counters[DYN_COUNT_scrub_records] += event->scanned.item_count;
	mend(node, event->scanned.items, event->scanned.item_count);
	if (event->scanned.end)
	{
		dyn_count(node, scrub_passes);
		self->place = (struct dyn_walk){ 0 };
		return;
	}
	dyn_walk_keep(&self->place, event);
}

void
dyn_scrub_expire(struct dyn_node *node, struct dyn_request *request)
{
	node->scrub.serial = 0;
	dyn_request_end(node, request);
}
