/*-------------------------------------------------------------------------
 *
 * create.c
 *		Does a key exist? For insert_mode 'create' and ON CONFLICT DO NOTHING.
 *
 * The store is asked for many keys at once, where many rows come at once;
 * what the transaction itself has done to a key since is looked at last.
 *
 *-------------------------------------------------------------------------
 */
#include "dynamo_fdw.h"

#include "utils/memutils.h"

struct DynamoLookup
{
	DynamoRelation *relation;
	DynamoRequestStats *stats;
	MemoryContext context;		/* of keys and objects */
	struct dyn_slice *keys;		/* sorted, each once */
	struct dyn_object *objects;
	int			count;
};

DynamoLookup *
dynfdw_lookup_new(DynamoRelation *relation, DynamoRequestStats *stats)
{
	DynamoLookup *lookup = palloc0(sizeof(*lookup));

	lookup->relation = relation;
	lookup->stats = stats;
	lookup->context = AllocSetContextCreate(CurrentMemoryContext,
											"dynamo_fdw keys to create",
											ALLOCSET_DEFAULT_SIZES);
	return lookup;
}

static int
compare_keys(const void *a, const void *b)
{
	return dyn_slice_compare(*(const struct dyn_slice *) a,
							 *(const struct dyn_slice *) b);
}

void
dynfdw_lookup_forget(DynamoLookup *lookup)
{
	MemoryContextReset(lookup->context);
	lookup->count = 0;
}

void
dynfdw_lookup(DynamoLookup *lookup, const struct dyn_slice *keys, int count)
{
	DynamoRelation *rel = lookup->relation;
	DynamoRequestOptions options = {.r = rel->options.r,
	.timeout_ms = rel->options.timeout_ms};
	MemoryContext old;
	int			kept = 0;

	dynfdw_lookup_forget(lookup);
	old = MemoryContextSwitchTo(lookup->context);
	lookup->keys = palloc(count * sizeof(*keys));
	lookup->objects = palloc(count * sizeof(*lookup->objects));
	for (int i = 0; i < count; i++)
	{
		lookup->keys[i].size = keys[i].size;
		lookup->keys[i].data = memcpy(palloc(keys[i].size), keys[i].data,
									  keys[i].size);
	}
	qsort(lookup->keys, count, sizeof(*keys), compare_keys);
	for (int i = 0; i < count; i++)
		if (kept == 0 || !dyn_slice_equal(lookup->keys[kept - 1],
										  lookup->keys[i]))
			lookup->keys[kept++] = lookup->keys[i];
	dynfdw_multi_get(dynfdw_cluster(rel->serverid, rel->userid), rel->bucket,
					 lookup->keys, kept, &options, lookup->stats,
					 lookup->objects);
	lookup->count = kept;
	MemoryContextSwitchTo(old);
}

/* What the store has of a key. */
static const struct dyn_object *
find_object(DynamoLookup *lookup, struct dyn_slice key)
{
	struct dyn_slice *found = NULL;

	if (lookup->count > 0)
		found = bsearch(&key, lookup->keys, lookup->count, sizeof(key),
						compare_keys);
	if (found == NULL)
	{
		dynfdw_lookup(lookup, &key, 1);
		found = lookup->keys;
	}
	return &lookup->objects[found - lookup->keys];
}

bool
dynfdw_key_exists(DynamoLookup *lookup, struct dyn_slice key)
{
	DynamoRelation *rel = lookup->relation;
	const struct dyn_object *object;
	DynamoPending pending;

	dynfdw_pending(rel->serverid, rel->bucket, key, InvalidCommandId, &pending);
	if (pending.nrows > 0)
		return true;
	if (pending.hides_all)
		return false;
	object = find_object(lookup, key);
	for (uint32_t i = 0; i < object->version_count; i++)
		if (!dyn_clock_covers(&pending.context, object->versions[i].dot))
			return true;
	return false;
}
