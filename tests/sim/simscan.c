/*
 * Scans of a partition: R owners' pages merged; sometimes trees are compared
 * first, in any order of the owners.
 */
#include "model/hash.h"
#include "tests/sim/simclient_state.h"
#include "tests/sim/whitebox.h"

#include <string.h>

enum
{
	READ_MS = 2000
};

static void
send_scan(struct dyn_world *world, struct dyn_simclient *self, uint8_t stream,
		  Dyn__ScanRequest *request)
{
	struct dyn_action *action = &self->action;

	request->bucket = dyn_bytes_of_slice(dyn_slice_of(DYN_SIM_BUCKET));
	request->hash_only = stream > 0;
	request->items_max = action->page_size;
	action->waiting_for = stream;
	action->correlations[0] =
		dyn_sim_send(world, self->index, &self->attempts,
					 action->owners[stream], DYN_MESSAGE_SCAN, &request->base,
					 READ_MS)
			->correlation;
	dyn_simclient_await(world, self, READ_MS + 500);
}

static void
ask_page(struct dyn_world *world, struct dyn_simclient *self, uint8_t stream)
{
	struct dyn_action *action = &self->action;
	Dyn__ScanRequest request = DYN__SCAN_REQUEST__INIT;

	request.cell_first = action->run_first[stream];
	request.cell_last = action->run_last[stream];
	request.after_cell = self->after_cell[stream];
	request.after_key = dyn_bytes_of_slice(self->after_key[stream]);
	send_scan(world, self, stream, &request);
}

/* The hashes of a stream's cells; with the first page, if it is the first
 * stream. */
static void
ask_hashes(struct dyn_world *world, struct dyn_simclient *self)
{
	struct dyn_action *action = &self->action;
	Dyn__ScanRequest request = DYN__SCAN_REQUEST__INIT;
	uint8_t stream = (uint8_t) ((action->first_heard + action->heard_count) %
								action->owner_count);

	request.cell_first = action->cell_first;
	request.cell_last = action->cell_last;
	request.cell_hashes = true;
	request.no_items = stream > 0;
	send_scan(world, self, stream, &request);
}

/* From this cell on, what the stream has to list; false: nothing. */
static bool
begin_run(struct dyn_action *action, uint8_t stream, uint32_t cell)
{
	action->run_first[stream] = (uint16_t) cell;
	action->run_last[stream] = action->cell_last;
	return cell <= action->cell_last &&
		   (stream == 0 ||
			dyn_scan_merge_differing(&action->merge, &action->run_first[stream],
									 &action->run_last[stream]));
}

static void
forget_cursor(struct dyn_simclient *self, uint8_t stream)
{
	self->after_cell[stream] = 0;
	self->after_key[stream] = (struct dyn_slice){ NULL, 0 };
}

/* All but the first stream begin anew, behind what was emitted. */
static void
begin_anew(struct dyn_simclient *self)
{
	struct dyn_action *action = &self->action;
	struct dyn_slice key;
	uint16_t cell;
	bool has_last = dyn_scan_merge_last(&action->merge, &cell, &key);

	for (uint8_t i = 1; i < action->owner_count; i++)
	{
		forget_cursor(self, i);
		begin_run(action, i, has_last ? cell : action->cell_first);
		if (!has_last)
			continue;
		self->after_cell[i] = cell;
		self->after_key[i] = dyn_arena_copy(&action->arena, key);
	}
}

/* Keys of the partition that did not appear do not exist; those on which the
 * owners differ are read in the usual way. */
static void
end_scan(struct dyn_world *world, struct dyn_simclient *self,
		 const uint32_t *diverged, uint32_t diverged_count)
{
	struct dyn_action *action = &self->action;

	for (uint32_t i = 0; i < action->count; i++)
		dyn_simread_end(world, action->ops[i], DYN_HISTORY_OK);
	dyn_arena_destroy(&action->arena);
	if (diverged_count == 0)
	{
		dyn_simclient_rest(world, self);
		return;
	}
	action->count =
		diverged_count < DYN_SIM_BATCH_MAX ? diverged_count : DYN_SIM_BATCH_MAX;
	memcpy(action->keys, diverged, action->count * sizeof(*diverged));
	dyn_simread_get(world, self);
}

static uint32_t
scanned_op(struct dyn_world *world, struct dyn_simclient *self,
		   struct dyn_slice key)
{
	for (uint32_t i = 0; i < self->action.count; i++)
	{
		char text[32];
		uint32_t op = self->action.ops[i];

		if (dyn_slice_equal(dyn_sim_key(world->history.ops[op].key, text), key))
			return op;
	}
	dyn_world_violation(world, "C2", "a scan finds a key of nobody");
	return UINT32_MAX;
}

/* Merge as far as the pages reach. */
static void
go_on_scanning(struct dyn_world *world, struct dyn_simclient *self)
{
	struct dyn_action *action = &self->action;

	for (;;)
	{
		struct dyn_scan_item item;
		uint8_t stream;
		uint32_t op;

		switch (dyn_scan_merge_next(&action->merge, &item, &stream))
		{
			case DYN_SCAN_ITEM:
				op = scanned_op(world, self, item.key);
				if (op != UINT32_MAX)
					dyn_simread_note(world, self, world->history.ops[op].key,
									 op, item.object);
				break;
			case DYN_SCAN_DIVERGED:
				op = scanned_op(world, self, item.key);
				if (op == UINT32_MAX)
					break;
				dyn_simread_end(world, op, DYN_HISTORY_NO);
				self->diverged[self->diverged_count++ % DYN_SIM_BATCH_MAX] =
					world->history.ops[op].key;
				break;
			case DYN_SCAN_NEED_PAGE:
				if (action->run_first[stream] > action->run_last[stream])
				{
					dyn_scan_merge_feed(&action->merge, stream, NULL, 0, true);
					break;
				}
				ask_page(world, self, stream);
				return;
			case DYN_SCAN_END:
				end_scan(world, self, self->diverged,
						 self->diverged_count < DYN_SIM_BATCH_MAX
							 ? self->diverged_count
							 : DYN_SIM_BATCH_MAX);
				return;
			case DYN_SCAN_BAD_ORDER:
				dyn_world_violation(world, "wire", "a scan out of order");
				dyn_simread_give_up(world, self);
				return;
		}
	}
}

void
dyn_simscan_begin(struct dyn_world *world, struct dyn_simclient *self)
{
	struct dyn_action *action = &self->action;
	uint16_t q = self->ring.partition_count;
	uint16_t partition = (uint16_t) dyn_simrandom_below(&self->random, q);

	action->kind = DYN_ACTION_SCAN;
	action->count = 0;
	action->cell_first = dyn_hash_cell_first(partition, q);
	action->cell_last = dyn_hash_cell_last(partition, q);
	action->page_size = (uint32_t) dyn_simrandom_between(&self->random, 1, 9);
	self->diverged_count = 0;
	memset(self->after_cell, 0, sizeof(self->after_cell));
	memset(self->after_key, 0, sizeof(self->after_key));
	dyn_arena_init(&action->arena, dyn_allocator_malloc(), 4096);
	for (uint32_t key = 0; key < world->history.key_count; key++)
	{
		char text[32];
		uint16_t cell = dyn_sim_record_key(key, text).cell;

		if (cell >= action->cell_first && cell <= action->cell_last &&
			action->count < DYN_SIM_BATCH_MAX * 4)
			action->ops[action->count++] =
				dyn_history_read(&world->history, key, self->index,
								 (uint8_t) world->swarm.r, true, world->now_ms);
	}
	if (!dyn_simread_owners(world, self, partition))
	{
		dyn_simread_give_up(world, self);
		return;
	}
	dyn_scan_merge_init(&action->merge, dyn_slice_of(DYN_SIM_BUCKET),
						action->owner_count);
	for (uint8_t i = 0; i < action->owner_count; i++)
		begin_run(action, i, action->cell_first);
	action->heard_count = 0;
	action->first_heard =
		(uint8_t) dyn_simrandom_below(&self->random, action->owner_count);
	action->comparing = dyn_simrandom_chance(&self->random, 500000);
	if (action->comparing)
		ask_hashes(world, self);
	else
		go_on_scanning(world, self);
}

static struct dyn_scan_item *
take_items(struct dyn_world *world, struct dyn_simclient *self,
		   const Dyn__ScanReply *reply)
{
	struct dyn_arena *arena = &self->action.arena;
	struct dyn_scan_item *items =
		dyn_arena_allocate(arena, (reply->n_items + 1) * sizeof(*items));

	for (size_t i = 0; i < reply->n_items; i++)
	{
		const Dyn__ScanItem *from = reply->items[i];

		items[i] = (struct dyn_scan_item){
			.key = dyn_arena_copy(arena, dyn_slice_of_bytes(from->key)),
			.object = dyn_arena_copy(arena, dyn_slice_of_bytes(from->object)),
			.hash = from->hash,
			.status = (enum dyn_status) from->status,
			.cell = (uint16_t) from->cell
		};
		dyn_world_say(world, "  stream %u: %.*s, %s", self->action.waiting_for,
					  (int) from->key.len, (const char *) from->key.data,
					  dyn_status_name((enum dyn_status) from->status));
	}
	return items;
}

static void
feed(struct dyn_world *world, struct dyn_simclient *self, uint8_t stream,
	 const struct dyn_scan_item *items, uint32_t count, bool ended)
{
	if (dyn_scan_merge_feed(&self->action.merge, stream, items, count, ended))
		begin_anew(self);
	go_on_scanning(world, self);
}

/* All owners have told their hashes. */
static void
compare(struct dyn_world *world, struct dyn_simclient *self)
{
	struct dyn_action *action = &self->action;
	uint32_t cells = action->cell_last - action->cell_first + 1u;

	action->comparing = false;
	dyn_scan_merge_compare(&action->merge, action->cell_first, action->hashes,
						   cells);
	dyn_world_say(world, "  %u of %u cells are equal",
				  action->merge.equal_count, cells);
	for (uint8_t i = 1; i < action->owner_count; i++)
		if (!begin_run(action, i, action->cell_first))
			action->run_first[i] = (uint16_t) (action->run_last[i] + 1);
	feed(world, self, 0, action->first_items, action->first_count,
		 action->first_ended);
}

static void
take_hashes(struct dyn_world *world, struct dyn_simclient *self,
			const Dyn__ScanReply *reply, struct dyn_scan_item *items)
{
	struct dyn_action *action = &self->action;
	uint8_t stream = action->waiting_for;
	uint32_t cells = action->cell_last - action->cell_first + 1u;
	struct dyn_slice bytes = { (const uint8_t *) reply->cell_hashes,
							   cells * sizeof(*reply->cell_hashes) };

	if (reply->n_cell_hashes != cells ||
		(stream > 0 && (reply->n_items > 0 || reply->end)))
	{
		dyn_world_violation(world, "wire", "%zu hashes of %u cells",
							reply->n_cell_hashes, cells);
		dyn_simread_give_up(world, self);
		return;
	}
	action->hashes[stream] =
		(const uint64_t *) dyn_arena_copy(&action->arena, bytes).data;
	if (stream == 0)
	{
		action->first_items = items;
		action->first_count = (uint32_t) reply->n_items;
		action->first_ended = reply->end;
	}
	if (++action->heard_count < action->owner_count)
		ask_hashes(world, self);
	else
		compare(world, self);
}

void
dyn_simscan_take(struct dyn_world *world, struct dyn_simclient *self,
				 const Dyn__ScanReply *reply)
{
	struct dyn_action *action = &self->action;
	uint8_t stream = action->waiting_for;
	struct dyn_scan_item *items = take_items(world, self, reply);
	bool ended = reply->end;

	/* The extension asks another owner then (fdw/client_stream.c). */
	if (reply->status != DYN_STATUS_OK ||
		!dyn_scan_page_is_sound(dyn_slice_of(DYN_SIM_BUCKET), items,
								(uint32_t) reply->n_items))
	{
		dyn_simread_give_up(world, self);
		return;
	}
	if (!action->comparing || stream == 0)
	{
		self->after_cell[stream] = (uint16_t) reply->after_cell;
		self->after_key[stream] = dyn_arena_copy(
			&action->arena, dyn_slice_of_bytes(reply->after_key));
	}
	if (action->comparing)
	{
		take_hashes(world, self, reply, items);
		return;
	}
	if (ended && stream > 0 &&
		begin_run(action, stream, action->run_last[stream] + 1u))
	{
		forget_cursor(self, stream);
		ended = false;
	}
	feed(world, self, stream, items, (uint32_t) reply->n_items, ended);
}
