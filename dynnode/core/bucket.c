#include "core/bucket.h"

#include "core/commit.h"
#include "core/outbox.h"
#include "core/text.h"
#include "model/hash.h"

#include <string.h>

/* ------------------------------------------------------------------ looking */

const struct dyn_bucket *
dyn_bucket_find(const struct dyn_node *node, struct dyn_slice name)
{
	static const struct dyn_bucket plain = { .version = 0 };
	const struct dyn_bucket *bucket = dyn_buckets_find(node->buckets, name);

	return bucket ? bucket : &plain;
}

/* A table may come from before a cluster of fewer replicas: never more than
 * there are. */
static uint32_t
choose(const struct dyn_node *node, uint32_t asked, uint8_t bucket,
	   uint8_t cluster)
{
	if (asked != 0)
		return asked;
	return bucket != 0 && bucket <= node->cluster.n ? bucket : cluster;
}

uint32_t
dyn_bucket_r(const struct dyn_node *node, struct dyn_slice name, uint32_t asked)
{
	return choose(node, asked, dyn_bucket_find(node, name)->r, node->cluster.r);
}

uint32_t
dyn_bucket_w(const struct dyn_node *node, struct dyn_slice name, uint32_t asked)
{
	return choose(node, asked, dyn_bucket_find(node, name)->w, node->cluster.w);
}

/* ----------------------------------------------------------------- the table */

static uint64_t
store(struct dyn_node *node, const struct dyn_buckets *table)
{
	struct dyn_slice bytes;

	if (dyn_buckets_encode(table, dyn_out_allocator(node), &bytes) !=
		DYN_STATUS_OK)
		return 0;
	return dyn_commit_write_meta(node, "buckets", bytes);
}

/* The others learn it now rather than with their next heartbeat. */
static void
table_changed(struct dyn_node *node)
{
	node->bucket_digest = dyn_buckets_digest(node->buckets);
	node->heartbeat_at_ms = node->now_ms;
	dyn_count(node, bucket_changes);
}

bool
dyn_bucket_boot(struct dyn_node *node, const struct dyn_slice *record)
{
	node->buckets = dyn_memory_take(sizeof(*node->buckets));
	if (record != NULL && dyn_buckets_decode(*record, &node->scratch.allocator,
											 node->buckets) != DYN_STATUS_OK)
		return false;
	node->bucket_digest = dyn_buckets_digest(node->buckets);
	return true;
}

void
dyn_bucket_destroy(struct dyn_node *node)
{
	dyn_memory_give(node->buckets);
}

struct dyn_slice
dyn_bucket_table(struct dyn_node *node)
{
	struct dyn_slice bytes = { 0 };

	dyn_buckets_encode(node->buckets, &node->scratch.allocator, &bytes);
	return bytes;
}

void
dyn_bucket_tell(struct dyn_node *node, Dyn__Heartbeat *heartbeat,
				uint64_t other_digest)
{
	heartbeat->bucket_digest = node->bucket_digest;
	if (other_digest != 0 && other_digest != node->bucket_digest)
		heartbeat->buckets = dyn_bytes_of_slice(dyn_bucket_table(node));
}

void
dyn_bucket_merge(struct dyn_node *node, struct dyn_slice bytes)
{
	struct dyn_buckets *other;

	/* Not beside a change of the own: the record that is being written would
	 * not hold this. It comes again. */
	if (bytes.size == 0 || node->bucket_change.token != 0)
		return;
	other = dyn_arena_allocate(&node->scratch, sizeof(*other));
	if (dyn_buckets_decode(bytes, &node->scratch.allocator, other) !=
		DYN_STATUS_OK)
		dyn_count(node, frames_bad);
	else if (dyn_buckets_merge(node->buckets, other))
	{
		table_changed(node);
		if (node->writable)
			store(node, node->buckets);
	}
}

void
dyn_bucket_writable(struct dyn_node *node)
{
	if (node->buckets->count != 0 && node->bucket_change.token == 0)
		store(node, node->buckets);
}

/* ------------------------------------------------------------------ changes */

static void
show(struct dyn_node *node, uint64_t route, uint64_t correlation,
	 const struct dyn_bucket *buckets, uint32_t count)
{
	Dyn__BucketReply reply = DYN__BUCKET_REPLY__INIT;
	Dyn__Bucket *messages =
		dyn_arena_allocate(&node->scratch, count * sizeof(*messages));

	reply.buckets =
		dyn_arena_allocate(&node->scratch, count * sizeof(*reply.buckets));
	reply.n_buckets = count;
	for (uint32_t i = 0; i < count; i++)
	{
		dyn_bucket_to_message(&buckets[i], &messages[i]);
		reply.buckets[i] = &messages[i];
	}
	dyn_outbox_reply(node, route, DYN_MESSAGE_BUCKET_REPLY, correlation,
					 &reply.base);
}

/* Why a bucket cannot be changed so, or OK. */
static enum dyn_status
check_change(const struct dyn_node *node, const Dyn__Bucket *message,
			 struct dyn_bucket *bucket, const char **why)
{
	const struct dyn_bucket *known;

	*why = "a property that no bucket can have";
	if (!dyn_bucket_of_message(message, bucket) ||
		!dyn_bucket_is_sound(bucket, node->cluster.n, why))
		return DYN_STATUS_BAD_REQUEST;
	known = dyn_buckets_find(node->buckets, dyn_bucket_name(bucket));
	*why = "its properties have been changed meanwhile: look again";
	if (bucket->version != (known ? known->version : 0))
		return DYN_STATUS_CONFLICT;
	*why = "1024 buckets have properties of their own already";
	if (known == NULL && node->buckets->count == DYN_BUCKETS_MAX)
		return DYN_STATUS_TOO_LARGE;
	*why = "the store is full and takes no writes";
	if (!node->writable)
		return DYN_STATUS_FULL;
	*why = "another change is being stored: try again";
	return node->bucket_change.token != 0 ? DYN_STATUS_OVERLOAD : DYN_STATUS_OK;
}

static void
change(struct dyn_node *node, uint64_t route, uint64_t correlation,
	   const Dyn__Bucket *message)
{
	struct dyn_bucket bucket;
	struct dyn_buckets *table;
	const char *why;
	enum dyn_status status = check_change(node, message, &bucket, &why);

	if (status != DYN_STATUS_OK)
	{
		dyn_outbox_error(node, route, correlation, status, why);
		return;
	}
	bucket.version++;
	table = dyn_arena_allocate(&node->scratch, sizeof(*table));
	*table = *node->buckets;
	dyn_buckets_merge_one(table, &bucket);
	node->bucket_change.token = store(node, table);
	node->bucket_change.route = route;
	node->bucket_change.correlation = correlation;
	node->bucket_change.bucket = bucket;
}

void
dyn_bucket_take(struct dyn_node *node, uint64_t route, uint64_t correlation,
				const Dyn__BucketRequest *message)
{
	struct dyn_slice name = dyn_slice_of_bytes(message->name);
	const struct dyn_bucket *known;
	struct dyn_bucket plain;

	if (!node->cluster.formed)
		dyn_outbox_error(node, route, correlation, DYN_STATUS_NOT_READY,
						 "the node is not part of a formed cluster yet");
	else if (message->set != NULL)
		change(node, route, correlation, message->set);
	else if (name.size == 0)
		show(node, route, correlation, node->buckets->items,
			 node->buckets->count);
	else if (dyn_bucket_check(name) != DYN_STATUS_OK)
		dyn_outbox_error(node, route, correlation, DYN_STATUS_BAD_REQUEST,
						 "not a bucket's name");
	else
	{
		known = dyn_buckets_find(node->buckets, name);
		plain = dyn_bucket_of(name);
		show(node, route, correlation, known ? known : &plain, 1);
	}
}

static void
log_change(struct dyn_node *node, const struct dyn_bucket *bucket)
{
	struct dyn_text text;
	char name[DYN_BUCKET_SIZE_MAX + 1] = { 0 };

	memcpy(name, bucket->name, bucket->name_size);
	dyn_text_set(&text, "the properties of bucket \"");
	dyn_text_add(&text, name);
	dyn_text_add(&text, "\" have been set");
	dyn_log(node, DYN_LOG_INFO, text.bytes);
}

void
dyn_bucket_stored(struct dyn_node *node, uint64_t token, enum dyn_status status)
{
	const struct dyn_bucket *bucket = &node->bucket_change.bucket;

	if (token != node->bucket_change.token)
		return;
	node->bucket_change.token = 0;
	if (status != DYN_STATUS_OK)
	{
		dyn_outbox_error(node, node->bucket_change.route,
						 node->bucket_change.correlation, status,
						 dyn_status_text(status));
		return;
	}
	dyn_buckets_merge_one(node->buckets, bucket);
	table_changed(node);
	log_change(node, bucket);
	show(node, node->bucket_change.route, node->bucket_change.correlation,
		 bucket, 1);
}
