/*
 * Crashes, starts and other disks for the cores of corerig.c: a node is
 * destroyed, and begins again on what its store has, or on another one.
 */
#include "rigdisk.h"

#include <string.h>

/* The others' connections to it break, and stand again. */
static void
reconnect(struct corerig *rig, uint32_t node)
{
	for (uint32_t i = 0; i < rig->count; i++)
		for (uint32_t p = 0; p <= CORERIG_NODES_MAX && i != node; p++)
			if (rig->nodes[i].peers[p] == (int) node)
			{
				corerig_connection(rig, i, p, false);
				corerig_connection(rig, i, p, true);
			}
}

void
corerig_restart(struct corerig *rig, uint32_t node,
				const struct dyn_node_id *as)
{
	static uint64_t starts = 1000;
	struct corerig_node *self = &rig->nodes[node];
	struct dyn_meta_record records[CORERIG_META_MAX];
	struct dyn_boot boot = { .start_id = ++starts,
							 .prng_seed = starts,
							 .records = records,
							 .writable = true };

	struct dyn_node_id id;

	/* It may be the node's own, which ends here. */
	if (as != NULL)
		id = *as;
	for (int i = 0; i < CORERIG_META_MAX; i++)
		if (self->store.meta[i].name[0] != 0)
			records[boot.record_count++] = (struct dyn_meta_record){
				dyn_slice_of(self->store.meta[i].name),
				{ self->store.meta[i].bytes, self->store.meta[i].size }
			};
	dyn_node_destroy(&self->node);
	corerig_forget(rig, node);
	for (int p = 0; p <= CORERIG_NODES_MAX; p++)
		self->peers[p] = -1;
	corerig_boot(rig, node, &boot, as != NULL ? &id : NULL);
	reconnect(rig, node);
}

void
corerig_empty(struct corerig *rig, uint32_t node)
{
	rigstore_free(&rig->nodes[node].store);
	rigstore_init(&rig->nodes[node].store);
}

void
corerig_keep(struct corerig *rig, uint32_t node)
{
	const struct corerig_store *from = &rig->nodes[node].store;
	struct corerig_store *to = &rig->nodes[node].kept;

	rigstore_free(to);
	rigstore_init(to);
	for (int i = 0; i < CORERIG_META_MAX && from->meta[i].name[0] != 0; i++)
		rigstore_put_meta(
			to, &(struct dyn_write){
					.key.key = dyn_slice_of(from->meta[i].name),
					.object = { from->meta[i].bytes, from->meta[i].size } });
	for (uint32_t i = 0; i < from->count; i++)
	{
		const struct corerig_record *record = &from->records[i];
		struct dyn_write write = {
			.key = { .bucket = dyn_slice_of(record->bucket),
					 .cell = record->cell,
					 .key = dyn_slice_of(record->key) },
			.hash = record->hash,
			.held_at_ms = record->held_at_ms,
			.flags = record->flags,
			.object = { record->object, record->object_size }
		};

		rigstore_put(to, &write);
	}
}

void
corerig_go_back(struct corerig *rig, uint32_t node)
{
	struct corerig_node *self = &rig->nodes[node];

	rigstore_free(&self->store);
	self->store = self->kept;
	memset(&self->kept, 0, sizeof(self->kept));
}

void
corerig_lose_disk(struct corerig *rig, uint32_t node)
{
	struct dyn_node_id id = *dyn_node_identity(rig->nodes[node].node);

	corerig_empty(rig, node);
	corerig_restart(rig, node, &id);
}

bool
corerig_is_built(const struct corerig *rig, uint32_t node)
{
	const struct dyn_node *self = rig->nodes[node].node;

	return self->building.parts != NULL && self->building.count == 0;
}
