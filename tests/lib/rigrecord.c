/* Records straight on the disks of a corerig, above righand.c. */
#include "rigrecord.h"

#include "righand.h"

#include <stdlib.h>
#include <string.h>

void
rigrecord_put_on(struct corerig *rig, uint32_t first, uint32_t last,
				 const char *bucket, const char *key, struct dyn_slice bytes)
{
	for (uint32_t n = first; n <= last; n++)
		corerig_put(rig, n, bucket, key, bytes);
}

struct dyn_object
rigrecord_object(struct corerig *rig, uint32_t node, const char *bucket,
				 const char *key)
{
	const struct corerig_record *record = corerig_get(rig, node, bucket, key);
	struct dyn_object object = { 0 };
	struct dyn_slice bytes;

	if (record == NULL)
		return object;
	/* Its values lie in the bytes, and those go with the record. */
	bytes = dyn_arena_copy(
		&rig->arena, (struct dyn_slice){ record->object, record->object_size });
	if (dyn_object_decode(bytes, &rig->arena.allocator, &object) !=
		DYN_STATUS_OK)
		abort();
	return object;
}

void
rigrecord_misname(struct corerig *rig, uint32_t node, const char *bucket,
				  const char *key)
{
	struct corerig_record *record = corerig_get(rig, node, bucket, key);
	uint16_t own = corerig_partition(rig, bucket, key);
	char *last = record->key + strlen(record->key) - 1;

	record->damaged = true;
	do
		++*last;
	while (corerig_partition(rig, bucket, record->key) == own);
}
