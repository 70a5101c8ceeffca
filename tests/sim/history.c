#include "tests/sim/history.h"

#include "tests/sim/simdisk.h"

#include <stdlib.h>

static void *
grow(void *items, uint32_t count, uint32_t *capacity, size_t size)
{
	if (count < *capacity)
		return items;
	*capacity = *capacity ? 2 * *capacity : 16;
	return dyn_sim_grow(items, *capacity * size);
}

void
dyn_history_init(struct dyn_history *self, uint32_t key_count)
{
	*self = (struct dyn_history){ .key_count = key_count };
	self->keys = dyn_sim_allocate(key_count * sizeof(*self->keys));
}

void
dyn_history_destroy(struct dyn_history *self)
{
	for (uint32_t i = 0; i < self->op_count; i++)
	{
		free(self->ops[i].seen.items);
		free(self->ops[i].beside.items);
	}
	for (uint32_t i = 0; i < self->key_count; i++)
	{
		free(self->keys[i].ops);
		free(self->keys[i].vid_ops);
		free(self->keys[i].final.items);
	}
	free(self->ops);
	free(self->keys);
	*self = (struct dyn_history){ 0 };
}

void
dyn_vids_add(struct dyn_vids *self, uint32_t vid)
{
	if (dyn_vids_has(self, vid))
		return;
	self->items =
		grow(self->items, self->count, &self->capacity, sizeof(*self->items));
	self->items[self->count++] = vid;
}

bool
dyn_vids_has(const struct dyn_vids *self, uint32_t vid)
{
	for (uint32_t i = 0; i < self->count; i++)
		if (self->items[i] == vid)
			return true;
	return false;
}

static uint32_t
add_op(struct dyn_history *self, uint32_t key, uint32_t client, uint64_t now_ms)
{
	struct dyn_history_key *k = &self->keys[key];
	uint32_t index = self->op_count;

	self->ops = grow(self->ops, index, &self->op_capacity, sizeof(*self->ops));
	self->ops[self->op_count++] = (struct dyn_history_op){
		.key = key, .client = client, .begin_ms = now_ms, .end_ms = UINT64_MAX
	};
	k->ops = grow(k->ops, k->op_count, &k->op_capacity, sizeof(*k->ops));
	k->ops[k->op_count++] = index;
	return index;
}

uint32_t
dyn_history_write(struct dyn_history *self, uint32_t key, uint32_t client,
				  enum dyn_history_mode mode, uint32_t value_count,
				  const struct dyn_vids *seen, uint8_t w, uint8_t check_r,
				  uint64_t now_ms)
{
	uint32_t index = add_op(self, key, client, now_ms);
	struct dyn_history_op *op = &self->ops[index];
	struct dyn_history_key *k = &self->keys[key];

	op->kind = value_count ? DYN_HISTORY_PUT : DYN_HISTORY_DELETE;
	op->mode = mode;
	op->quorum = w;
	op->check_quorum = check_r;
	op->first_vid = k->vid_count;
	op->vid_count = value_count ? value_count : 1;
	for (uint32_t i = 0; seen != NULL && i < seen->count; i++)
		dyn_vids_add(&op->seen, seen->items[i]);
	for (uint32_t i = 0; i < op->vid_count; i++)
	{
		k->vid_ops = grow(k->vid_ops, k->vid_count, &k->vid_capacity,
						  sizeof(*k->vid_ops));
		k->vid_ops[k->vid_count++] = index;
	}
	return index;
}

uint32_t
dyn_history_read(struct dyn_history *self, uint32_t key, uint32_t client,
				 uint8_t r, bool strict, uint64_t now_ms)
{
	uint32_t index = add_op(self, key, client, now_ms);

	self->ops[index].kind = DYN_HISTORY_READ;
	self->ops[index].quorum = r;
	self->ops[index].strict = strict;
	return index;
}

void
dyn_history_beside(struct dyn_history *self, uint32_t op,
				   const struct dyn_vids *vids)
{
	for (uint32_t i = 0; i < vids->count; i++)
		if (!dyn_vids_has(&self->ops[op].seen, vids->items[i]))
			dyn_vids_add(&self->ops[op].beside, vids->items[i]);
}

void
dyn_history_return(struct dyn_history *self, uint32_t op, uint32_t vid)
{
	dyn_vids_add(&self->ops[op].seen, vid);
}

void
dyn_history_end(struct dyn_history *self, uint32_t op,
				enum dyn_history_result result, uint64_t now_ms)
{
	struct dyn_history_op *o = &self->ops[op];

	if (o->result == DYN_HISTORY_OK || o->result == DYN_HISTORY_NO)
		return;
	if (o->result == DYN_HISTORY_UNKNOWN && result != DYN_HISTORY_OK)
		return;
	o->result = result;
	if (result == DYN_HISTORY_OK || result == DYN_HISTORY_NO)
		o->end_ms = now_ms;
}

void
dyn_history_final(struct dyn_history *self, uint32_t key,
				  const struct dyn_vids *vids)
{
	struct dyn_history_key *k = &self->keys[key];

	k->has_final = true;
	for (uint32_t i = 0; i < vids->count; i++)
		dyn_vids_add(&k->final, vids->items[i]);
}
