/*-------------------------------------------------------------------------
 *
 * journal.c
 *		The journal of unsent writes itself: by key, and in time.
 *
 *-------------------------------------------------------------------------
 */
#include "journal.h"

#include "connection.h"

#include "access/xact.h"
#include "model/hash.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

typedef struct HashEntry
{
	uint64		hash;
	PendingKey *keys;
} HashEntry;

dlist_head	dynfdw_journal_keys = DLIST_STATIC_INIT(dynfdw_journal_keys);

/* As they were made. */
static dlist_head journal_writes = DLIST_STATIC_INIT(journal_writes);
static MemoryContext journal_context;
static HTAB *journal_hash;
static Size journal_size;
static uint64 last_id;			/* never given twice, in no transaction */

/* --------------------------------------------------------------------- life */

MemoryContext
dynfdw_journal_context(void)
{
	return journal_context;
}

void
dynfdw_journal_end(void)
{
	journal_context = NULL;
	journal_hash = NULL;
	journal_size = 0;
	dlist_init(&dynfdw_journal_keys);
	dlist_init(&journal_writes);
}

static void
ensure_context(void)
{
	HASHCTL		ctl = {.keysize = sizeof(uint64),.entrysize = sizeof(HashEntry)};

	if (journal_context != NULL)
		return;
	journal_context = AllocSetContextCreate(TopTransactionContext,
											"dynamo_fdw pending writes",
											ALLOCSET_DEFAULT_SIZES);
	ctl.hcxt = journal_context;
	journal_hash = hash_create("dynamo_fdw pending keys", 256, &ctl,
							   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	dlist_init(&dynfdw_journal_keys);
	dlist_init(&journal_writes);
}

bool
dynfdw_journal_has_writes(void)
{
	return !dlist_is_empty(&journal_writes);
}

static void
free_key(PendingKey *key)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &key->writes)
	{
		DynamoWrite *write = dlist_container(DynamoWrite, in_key, iter.cur);

		if (write->spec.value.data != NULL)
			pfree((void *) write->spec.value.data);
		pfree(write->spec.context.ranges);
		pfree(write);
	}
	pfree((void *) key->bucket.data);
	pfree((void *) key->key.data);
	pfree(key);
}

void
dynfdw_journal_sent(PendingKey **keys, int nkeys)
{
	journal_size = 0;
	if (!dlist_is_empty(&dynfdw_journal_keys))
	{
		for (int i = 0; i < nkeys; i++)
			free_key(keys[i]);
		return;
	}
	MemoryContextDelete(journal_context);
	dynfdw_journal_end();
}

void
dynfdw_journal_end_sub(SubTransactionId subid, SubTransactionId parent,
					   bool commit)
{
	dlist_node *node;
	dlist_node *before;

	if (journal_context == NULL)
		return;
	/* Its writes are the last ones: those of subtransactions within it have
	 * become its own, or are gone. */
	for (node = journal_writes.head.prev; node != &journal_writes.head;
		 node = before)
	{
		DynamoWrite *write = dlist_container(DynamoWrite, in_time, node);

		before = node->prev;
		if (write->subid != subid)
			break;
		if (commit)
			write->subid = parent;
		else
		{
			dlist_delete(&write->in_key);
			dlist_delete(&write->in_time);
		}
	}
}

/* ------------------------------------------------------------------ by key */

static PendingKey *
find_key(Oid serverid, struct dyn_slice bucket, struct dyn_slice key,
		 bool make)
{
	uint64		hash = dyn_hash_position(bucket, key) ^ serverid;
	HashEntry  *entry;
	PendingKey *pending;
	bool		found;

	if (journal_context == NULL)
		return NULL;
	entry = hash_search(journal_hash, &hash, make ? HASH_ENTER : HASH_FIND,
						&found);
	if (entry == NULL)
		return NULL;
	if (!found)
		entry->keys = NULL;
	for (pending = entry->keys; pending != NULL; pending = pending->next)
		if (pending->serverid == serverid &&
			dyn_slice_equal(pending->bucket, bucket) &&
			dyn_slice_equal(pending->key, key))
			return pending;
	if (!make)
		return NULL;
	pending = palloc0(sizeof(*pending));
	pending->next = entry->keys;
	entry->keys = pending;
	pending->serverid = serverid;
	dlist_init(&pending->writes);
	dlist_push_tail(&dynfdw_journal_keys, &pending->in_order);
	return pending;
}

PendingKey *
dynfdw_journal_find(Oid serverid, struct dyn_slice bucket,
					struct dyn_slice key)
{
	return find_key(serverid, bucket, key, false);
}

void
dynfdw_journal_remove(PendingKey *key)
{
	uint64		hash = dyn_hash_position(key->bucket, key->key) ^ key->serverid;
	HashEntry  *entry = hash_search(journal_hash, &hash, HASH_FIND, NULL);
	PendingKey **link = &entry->keys;
	dlist_iter	iter;

	while (*link != key)
		link = &(*link)->next;
	*link = key->next;
	if (entry->keys == NULL)
		hash_search(journal_hash, &hash, HASH_REMOVE, NULL);
	dlist_delete(&key->in_order);
	dlist_foreach(iter, &key->writes)
		dlist_delete(&dlist_container(DynamoWrite, in_key, iter.cur)->in_time);
}

static struct dyn_slice
copy_slice(struct dyn_slice bytes)
{
	uint8	   *copy = palloc(bytes.size + 1);

	if (bytes.size != 0)
		memcpy(copy, bytes.data, bytes.size);
	journal_size += bytes.size;
	return (struct dyn_slice) {copy, bytes.size};
}

Size
dynfdw_buffered_size(void)
{
	return journal_size;
}

/*
 * Has this command changed the row already?  A join may bring a row several
 * times; as everywhere in PostgreSQL only the first change counts.  (Two would
 * make two siblings of one.)  A row is known by its clock, as long as it is
 * pending by its write.  What its own trigger has changed is an error, as on
 * other tables.
 */
static bool
is_changed(PendingKey *key, const DynamoWriteSpec *spec)
{
	dlist_iter	iter;

	dlist_foreach(iter, &key->writes)
	{
		const DynamoWrite *write = dlist_container(DynamoWrite, in_key,
												   iter.cur);

		if (write->spec.cid < spec->cid ||
			write->spec.kind == DYNAMO_WRITE_INSERT ||
			write->spec.replaces != spec->replaces ||
			dyn_clock_sort_compare(&write->spec.context, &spec->context) != 0)
			continue;
		if (write->spec.cid > spec->cid)
			ereport(ERROR,
					(errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
					 errmsg("a row to be changed was already modified by an operation triggered by the current command"),
					 errhint("Consider using an AFTER trigger instead of a BEFORE trigger to propagate changes to other rows.")));
		return true;
	}
	return false;
}

bool
dynfdw_buffer_write(DynamoRelation *rel, const DynamoWriteSpec *spec)
{
	struct dyn_allocator allocator;
	MemoryContext old;
	PendingKey *key;
	DynamoWrite *write;

	ensure_context();
	if (spec->kind != DYNAMO_WRITE_INSERT)
	{
		key = find_key(rel->serverid, rel->bucket, spec->key, false);
		if (key != NULL && is_changed(key, spec))
			return false;
	}
	old = MemoryContextSwitchTo(journal_context);
	allocator = dynfdw_allocator(journal_context);
	key = find_key(rel->serverid, rel->bucket, spec->key, true);
	if (key->key.data == NULL)
	{
		key->bucket = copy_slice(rel->bucket);
		key->key = copy_slice(spec->key);
		key->userid = rel->userid;
	}
	key->relid = rel->relid;
	key->w = rel->options.w;
	key->timeout_ms = rel->options.timeout_ms;
	write = palloc0(sizeof(*write));
	write->id = ++last_id;
	write->subid = GetCurrentSubTransactionId();
	write->at_statement = rel->options.write_at_statement;
	write->spec = *spec;
	write->spec.key = key->key;
	if (spec->kind != DYNAMO_WRITE_DELETE)
		write->spec.value = copy_slice(spec->value);
	dynfdw_check(dyn_clock_copy(&spec->context, &allocator,
								&write->spec.context), "vclock");
	dlist_push_tail(&key->writes, &write->in_key);
	dlist_push_tail(&journal_writes, &write->in_time);
	journal_size += sizeof(*write);
	MemoryContextSwitchTo(old);
	return true;
}

/* --------------------------------------------------------- what others see */

bool
dynfdw_is_pending(Oid serverid, struct dyn_slice bucket, struct dyn_slice key)
{
	return dynfdw_journal_find(serverid, bucket, key) != NULL;
}

/* Copies: a statement in between may send the writes, and forget them. */
int
dynfdw_pending_keys(Oid serverid, struct dyn_slice bucket,
					struct dyn_slice **keys)
{
	int			count = 0;
	int			capacity = 16;
	dlist_iter	iter;

	*keys = NULL;
	if (journal_context == NULL)
		return 0;
	*keys = palloc(capacity * sizeof(**keys));
	dlist_foreach(iter, &dynfdw_journal_keys)
	{
		PendingKey *key = dlist_container(PendingKey, in_order, iter.cur);

		if (key->serverid != serverid ||
			!dyn_slice_equal(key->bucket, bucket))
			continue;
		if (count == capacity)
		{
			capacity *= 2;
			*keys = repalloc_huge(*keys, capacity * sizeof(**keys));
		}
		(*keys)[count].data = memcpy(palloc(key->key.size), key->key.data,
									 key->key.size);
		(*keys)[count++].size = key->key.size;
	}
	return count;
}

struct dyn_slice
dynfdw_pending_value(const DynamoWrite *write)
{
	return write->spec.value;
}

uint64
dynfdw_pending_id(const DynamoWrite *write)
{
	return write->id;
}
