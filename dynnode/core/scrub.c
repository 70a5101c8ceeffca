#include "core/scrub.h"

#include "core/misnamed.h"
#include "core/repair.h"
#include "core/state.h"

static const struct dyn_request_kind scrub_kind;

enum
{
	PAGE_ITEMS_MAX = 256,
	PAGE_BYTES_MAX = 64 * 1024
};

void
dyn_scrub_suspect(struct dyn_node *node, uint16_t cell)
{
	struct dyn_scrub *self = &node->scrub;

	if (self->suspects)
		return;
	dyn_count(node, scrub_suspects);
	self->suspects = true;
	self->suspect = cell;
	self->suspect_place = (struct dyn_walk){ 0 };
}

static void
read_page(struct dyn_node *node)
{
	struct dyn_scrub *self = &node->scrub;
	struct dyn_request *request = dyn_request_new(node, &scrub_kind, 0, NULL);
	struct dyn_effect *effect = dyn_effects_add(node->out, DYN_EFFECT_SCAN);

	self->serial = request->serial;
	effect->scan.token = request->serial;
	effect->scan.table = DYN_TABLE_MAIN;
	effect->scan.cell_first = self->of_suspect ? self->suspect : 0;
	effect->scan.cell_last =
		self->of_suspect ? self->suspect : DYN_CELL_COUNT - 1;
	dyn_walk_resume(self->of_suspect ? &self->suspect_place : &self->place,
					effect, &node->out->arena);
	effect->scan.items_max = PAGE_ITEMS_MAX;
	effect->scan.bytes_max = PAGE_BYTES_MAX;
	effect->scan.for_damage = true;
}

void
dyn_scrub_tick(struct dyn_node *node)
{
	struct dyn_scrub *self = &node->scrub;
	bool is_due = node->config.scrub_ms != DYN_SCRUB_NEVER &&
				  node->now_ms >= self->next_at_ms;

	if (!node->cluster.formed || self->serial != 0 ||
		!(is_due || self->suspects))
		return;
	self->of_suspect = self->suspects;
	if (!self->of_suspect)
		self->next_at_ms = node->now_ms + node->config.scrub_ms;
	read_page(node);
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

/* The place to go on from, or the beginning when there is nothing left, or
 * nobody knows how far it came. */
static void
go_on(struct dyn_walk *place, const struct dyn_event *event, bool ended)
{
	if (ended)
		*place = (struct dyn_walk){ 0 };
	else
		dyn_walk_keep(place, event);
}

static void
scanned(struct dyn_node *node, struct dyn_request *request,
		const struct dyn_event *event)
{
	struct dyn_scrub *self = &node->scrub;
	bool failed = event->scanned.status != DYN_STATUS_OK;
	bool ended = failed || event->scanned.end;

	self->serial = 0;
	dyn_request_end(node, request);
	if (failed)
		dyn_count(node, scrub_failures);
	else
	{
		node->counters[DYN_COUNT_scrub_records] += event->scanned.item_count;
		mend(node, event->scanned.items, event->scanned.item_count);
	}
	if (self->of_suspect)
	{
		go_on(&self->suspect_place, event, ended);
		self->suspects = !ended;
		return;
	}
	if (ended && !failed)
		dyn_count(node, scrub_passes);
	go_on(&self->place, event, ended);
}

static void
expire(struct dyn_node *node, struct dyn_request *request)
{
	node->scrub.serial = 0;
	node->scrub.suspects = false; /* the pass must get on */
	dyn_request_end(node, request);
}

static const struct dyn_request_kind scrub_kind = {
	.name = "scrub",
	.is_paged = true,
	.expire = expire,
	.scanned = scanned,
};
