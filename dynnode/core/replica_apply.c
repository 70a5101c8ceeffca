#include "core/replica_apply.h"

#include "core/cluster.h"
#include "core/commit.h"
#include "core/coord_put.h"
#include "core/handoff.h"
#include "core/repair.h"
#include "core/room.h"
#include "model/hash.h"

/* ---------------------------------------------------------- may it be taken? */

/* A store of the past must not take what it would discard: neither when it
 * knows that it is one, nor when nobody could tell it yet. */
static bool
may_discard(const struct dyn_node *node, const struct dyn_replica_op *self,
			uint16_t partition)
{
	return dyn_fence_is_behind(node, partition) ||
		   (self->fence > dyn_fence_stamp(node, partition) &&
			!dyn_progress_has_met_anybody(node));
}

/* Whoever brings something is refused until the record is mended: that need
 * not wait for somebody to find it.  One at a time; the scrub meets the rest. */
static void
mend_soon(struct dyn_node *node, const struct dyn_key *key)
{
	struct dyn_repair_key damaged = { .bucket = key->bucket, .key = key->key };

	if (key->state == DYN_LOADED_CORRUPT && key->table == DYN_TABLE_MAIN &&
		dyn_request_find(node, node->mending) == NULL)
		node->mending = dyn_repair_mend(node, &damaged, 1);
}

/* OK, or why it is not taken now. */
static enum dyn_status
check(struct dyn_node *node, const struct dyn_replica_op *self,
	  const struct dyn_key *key)
{
	/* What came before the discarding began, and is met only now. */
	if (!dyn_building_takes(node, key->partition))
		return DYN_STATUS_BUILDING;
	/* Only now: while it waited for its turn, the floor may have risen. */
	if (!self->fill && self->fence < dyn_fence_floor(node, key->partition))
	{
		dyn_count(node, fenced);
		return DYN_STATUS_FENCED;
	}
	/* FENCED would tell whoever keeps a hint that this node has had it. */
	if (!self->fill && may_discard(node, self, key->partition))
		return DYN_STATUS_BUILDING;
	if (key->state == DYN_LOADED_IO_ERROR)
		return DYN_STATUS_IO_ERROR;
	if (key->state == DYN_LOADED_CORRUPT && !self->repair)
	{
		mend_soon(node, key);
		/* Nothing of it would say CORRUPT when that damage is mended: a page
		 * that fills the store has to come once more. */
		return self->fill && key->is_doubted ? DYN_STATUS_IO_ERROR
											 : DYN_STATUS_CORRUPT;
	}
	if (self->hint_slots != 0 && !dyn_handoff_takes(node, key))
		return DYN_STATUS_OVERLOAD;
	if (!dyn_room_for_object(node, key->object.size))
	{
		dyn_count(node, overloads);
		return DYN_STATUS_OVERLOAD;
	}
	return DYN_STATUS_OK;
}

/* ------------------------------------------------------------ what is made */

/* Of what comes, and of what goes. */
static void
learn_requests(struct dyn_node *node, struct dyn_request *request,
			   struct dyn_replica_op *op, const struct dyn_object *record,
			   const struct dyn_object *object, const struct dyn_object *merged)
{
	uint32_t count_max =
		op->id_count + object->version_count + record->version_count;
	struct dyn_request_id *ids =
		dyn_arena_allocate(&request->arena, count_max * sizeof(*ids));

	for (uint32_t i = 0; i < op->id_count; i++)
		ids[i] = op->ids[i];
	op->ids = ids;
	op->id_count +=
		dyn_remember_news(&record->context, object, ids + op->id_count);
	op->id_count += dyn_remember_replaced(
		record, merged, dyn_remember_since(&node->remember, node->wall_ms),
		ids + op->id_count);
}

/* Has its writer made nothing after it?  Then it is the last one of its put; of
 * a retried put the last one may have been replaced, and an earlier one not.
 * The names of retries tell nothing of the order of its values. */
static bool
is_latest(const struct dyn_object *object, const struct dyn_version *version)
{
	return version->dot.actor.epoch != 0 &&
		   dyn_clock_counter(&object->context, version->dot.actor) ==
			   version->dot.counter;
}

/* What the requests in the frame wrote: the last of the versions that they
 * made.  One that has none here is a delete, or has been overwritten. */
static void
learn_marks(struct dyn_request *request, struct dyn_replica_op *op,
			const struct dyn_object *object)
{
	op->marks =
		dyn_arena_allocate(&request->arena, op->sent_count * sizeof(uint64_t));
	for (uint32_t i = 0; i < op->sent_count; i++)
	{
		op->marks[i] = 0;
		for (uint32_t v = 0; v < object->version_count; v++)
			if (dyn_request_id_compare(&object->versions[v].request,
									   &op->ids[i]) == 0 &&
				is_latest(object, &object->versions[v]))
				op->marks[i] = dyn_remember_mark(
					dyn_hash_position(request->bucket, op->key),
					object->versions[v].value);
	}
}

/* What the key holds after the incoming object is merged in, encoded. */
static enum dyn_status
merge(struct dyn_node *node, struct dyn_request *request,
	  struct dyn_replica_op *op, const struct dyn_key *key,
	  struct dyn_object *merged, struct dyn_slice *encoded)
{
	const struct dyn_allocator *allocator = &node->scratch.allocator;
	struct dyn_object record = { 0 };
	struct dyn_object object;
	enum dyn_status status = dyn_object_decode(op->object, allocator, &object);

	if (status != DYN_STATUS_OK)
		return DYN_STATUS_BAD_REQUEST;
	if (key->object.size != 0 &&
		dyn_object_decode(key->object, allocator, &record) != DYN_STATUS_OK)
		return DYN_STATUS_CORRUPT;
	dyn_put_notice_amnesia(node, &record.context, &object.context);
	learn_marks(request, op, &object);
	*merged = object;
	if (key->object.size != 0)
		status = dyn_object_sync(&record, &object, allocator, merged);
	if (status != DYN_STATUS_OK)
		return status;
	learn_requests(node, request, op, &record, &object, merged);
	status = dyn_object_encode(merged, dyn_out_allocator(node), encoded);
	if (status == DYN_STATUS_OK && encoded->size > DYN_RECORD_SIZE_MAX)
	{
		dyn_count(node, objects_too_large);
		return DYN_STATUS_TOO_LARGE;
	}
	return status;
}

/* --------------------------------------------------------------- doing it */

static void
remove_damaged(struct dyn_node *node, struct dyn_request *request, uint32_t op,
			   struct dyn_key *key)
{
	struct dyn_key_value none = { 0 };

	/* Else it was mended, or is gone already. */
	if (key->state == DYN_LOADED_CORRUPT)
	{
		/* What it held of my writes nobody can tell. */
		node->epoch_floor = node->epoch_next;
		if (!dyn_commit_write(node, key, &none,
							  (struct dyn_work){ request->serial, op }))
			return;
	}
	dyn_replica_decide(node, request, op, DYN_STATUS_OK);
}

static void
write_merged(struct dyn_node *node, struct dyn_request *request, uint32_t op,
			 struct dyn_key *key)
{
	struct dyn_replica_op *self = &request->replicas[op];
	struct dyn_object merged;
	struct dyn_key_value value = { 0 };
	enum dyn_status status =
		merge(node, request, self, key, &merged, &value.object);
	bool done;

	if (status != DYN_STATUS_OK)
	{
		dyn_replica_decide(node, request, op, status);
		return;
	}
	value.hash = dyn_object_hash(&merged, self->key);
	value.flags = dyn_key_flags(&merged);
	value.ids = self->ids;
	value.id_count = self->id_count;
	value.slots = key->slots | self->hint_slots;
	done = dyn_commit_write(node, key, &value,
							(struct dyn_work){ request->serial, op });
	for (uint32_t i = 0; i < self->sent_count; i++)
		dyn_remember_note_mark(&node->remember, &self->ids[i], self->marks[i]);
	if (done)
		dyn_replica_decide(node, request, op, DYN_STATUS_OK);
}

void
dyn_replica_apply(struct dyn_node *node, struct dyn_request *request,
				  uint32_t op, struct dyn_key *key)
{
	struct dyn_replica_op *self = &request->replicas[op];
	enum dyn_status status = check(node, self, key);

	if (status != DYN_STATUS_OK)
	{
		dyn_replica_decide(node, request, op, status);
		return;
	}
	if (dyn_replica_removes_damaged(self))
	{
		remove_damaged(node, request, op, key);
		return;
	}
	/* What a damaged record held of my writes nobody can tell. */
	if (key->state == DYN_LOADED_CORRUPT)
		node->epoch_floor = node->epoch_next;
	write_merged(node, request, op, key);
}
