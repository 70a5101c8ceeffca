#include "model/bucket.h"

#include "model/hash.h"

#include <string.h>
#include <xxhash.h>

enum
{
	/* 1024 records of the longest names and numbers are well below this. */
	TABLE_SIZE_MAX = 256 * 1024
};

/* ------------------------------------------------------------- one bucket */

struct dyn_slice
dyn_bucket_name(const struct dyn_bucket *self)
{
	return (struct dyn_slice){ self->name, self->name_size };
}

struct dyn_bucket
dyn_bucket_of(struct dyn_slice name)
{
	struct dyn_bucket self = { .name_size = DYN_BUCKET_SIZE_MAX };

	if (name.size < DYN_BUCKET_SIZE_MAX)
		self.name_size = (uint8_t) name.size;
	if (name.size != 0)
		memcpy(self.name, name.data, self.name_size);
	return self;
}

bool
dyn_bucket_is_sound(const struct dyn_bucket *self, uint8_t n, const char **why)
{
	*why = "a bucket's name has 1 to 63 bytes, none of them 0";
	if (dyn_bucket_check(dyn_bucket_name(self)) != DYN_STATUS_OK)
		return false;
	*why = "r and w cannot be greater than the number of replicas, n";
	if (self->r > n || self->w > n)
		return false;
	*why = "conflict is siblings or lww";
	if (self->conflict > DYN_CONFLICT_LWW)
		return false;
	*why = "a time to live is at most a hundred years";
	return self->ttl_ms <= DYN_TTL_MS_MAX;
}

const char *
dyn_conflict_name(uint8_t conflict)
{
	return conflict == DYN_CONFLICT_LWW ? "lww" : "siblings";
}

bool
dyn_conflict_parse(struct dyn_slice text, uint8_t *conflict)
{
	for (uint8_t i = DYN_CONFLICT_SIBLINGS; i <= DYN_CONFLICT_LWW; i++)
		if (dyn_slice_equal(text, dyn_slice_of(dyn_conflict_name(i))))
		{
			*conflict = i;
			return true;
		}
	return false;
}

static int
compare_numbers(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

/* Of one bucket: which record is newer?  Any total order of equal versions
 * will do, as long as all nodes use it. */
static int
compare_records(const struct dyn_bucket *a, const struct dyn_bucket *b)
{
	int order = compare_numbers(a->version, b->version);

	if (order == 0)
		order = compare_numbers(a->conflict, b->conflict);
	if (order == 0)
		order = compare_numbers(a->ttl_ms, b->ttl_ms);
	if (order == 0)
		order = compare_numbers(a->r, b->r);
	if (order == 0)
		order = compare_numbers(a->w, b->w);
	return order;
}

/* ------------------------------------------------------------------ table */

/* Where the name is, or belongs. */
static uint32_t
place_of(const struct dyn_buckets *self, struct dyn_slice name)
{
	uint32_t low = 0;
	uint32_t high = self->count;

	while (low < high)
	{
		uint32_t middle = low + (high - low) / 2;

		if (dyn_slice_compare(dyn_bucket_name(&self->items[middle]), name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct dyn_bucket *
dyn_buckets_find(const struct dyn_buckets *self, struct dyn_slice name)
{
	uint32_t i = place_of(self, name);

	return i < self->count &&
				   dyn_slice_equal(dyn_bucket_name(&self->items[i]), name)
			   ? &self->items[i]
			   : NULL;
}

bool
dyn_buckets_merge_one(struct dyn_buckets *self, const struct dyn_bucket *bucket)
{
	uint32_t i = place_of(self, dyn_bucket_name(bucket));
	struct dyn_bucket *at = &self->items[i];

	if (i < self->count &&
		dyn_slice_equal(dyn_bucket_name(at), dyn_bucket_name(bucket)))
	{
		if (compare_records(at, bucket) >= 0)
			return false;
		*at = *bucket;
		return true;
	}
	if (i == DYN_BUCKETS_MAX)
		return false;
	if (self->count < DYN_BUCKETS_MAX)
		self->count++;
	memmove(at + 1, at, (self->count - 1 - i) * sizeof(*at));
	*at = *bucket;
	return true;
}

bool
dyn_buckets_merge(struct dyn_buckets *self, const struct dyn_buckets *other)
{
	bool changed = false;

	for (uint32_t i = 0; i < other->count; i++)
		changed |= dyn_buckets_merge_one(self, &other->items[i]);
	return changed;
}

uint64_t
dyn_buckets_digest(const struct dyn_buckets *self)
{
	uint64_t hash = 0x6275636b;

	for (uint32_t i = 0; i < self->count; i++)
	{
		const struct dyn_bucket *bucket = &self->items[i];
		uint64_t parts[6] = {
			bucket->name_size, bucket->r,      bucket->w,
			bucket->conflict,  bucket->ttl_ms, bucket->version
		};

		hash = XXH3_64bits_withSeed(parts, sizeof(parts), hash);
		hash = XXH3_64bits_withSeed(bucket->name, bucket->name_size, hash);
	}
	return hash ? hash : 1;
}

/* ----------------------------------------------------------- encoded form */

void
dyn_bucket_to_message(const struct dyn_bucket *self, Dyn__Bucket *out)
{
	dyn__bucket__init(out);
	out->name = dyn_bytes_of_slice(dyn_bucket_name(self));
	out->r = self->r;
	out->w = self->w;
	out->conflict = self->conflict;
	out->ttl_ms = self->ttl_ms;
	out->version = self->version;
}

bool
dyn_bucket_of_message(const Dyn__Bucket *message, struct dyn_bucket *out)
{
	const char *why;

	if (message->name.len > DYN_BUCKET_SIZE_MAX ||
		message->r > DYN_REPLICAS_MAX || message->w > DYN_REPLICAS_MAX ||
		message->conflict > DYN_CONFLICT_LWW)
		return false;
	*out = dyn_bucket_of(dyn_slice_of_bytes(message->name));
	out->r = (uint8_t) message->r;
	out->w = (uint8_t) message->w;
	out->conflict = (uint8_t) message->conflict;
	out->ttl_ms = message->ttl_ms;
	out->version = message->version;
	return dyn_bucket_is_sound(out, DYN_REPLICAS_MAX, &why);
}

enum dyn_status
dyn_buckets_encode(const struct dyn_buckets *self,
				   const struct dyn_allocator *allocator, struct dyn_slice *out)
{
	Dyn__BucketTable table = DYN__BUCKET_TABLE__INIT;
	Dyn__Bucket *messages = allocator->allocate(
		allocator->context,
		self->count * (sizeof(*messages) + sizeof(Dyn__Bucket *)) + 1);
	uint8_t *bytes;
	size_t size;

	if (messages == NULL)
		return DYN_STATUS_NO_MEMORY;
	table.n_buckets = self->count;
	table.buckets = (Dyn__Bucket **) (void *) (messages + self->count);
	for (uint32_t i = 0; i < self->count; i++)
	{
		dyn_bucket_to_message(&self->items[i], &messages[i]);
		table.buckets[i] = &messages[i];
	}
	size = dyn__bucket_table__get_packed_size(&table);
	bytes = allocator->allocate(allocator->context, size + 1);
	if (bytes != NULL)
		dyn__bucket_table__pack(&table, bytes);
	allocator->release(allocator->context, messages);
	if (bytes == NULL)
		return DYN_STATUS_NO_MEMORY;
	*out = (struct dyn_slice){ bytes, size };
	return DYN_STATUS_OK;
}

static enum dyn_status
take_table(const Dyn__BucketTable *message, struct dyn_buckets *out)
{
	out->count = 0;
	if (message->n_buckets > DYN_BUCKETS_MAX)
		return DYN_STATUS_TOO_LARGE;
	for (size_t i = 0; i < message->n_buckets; i++)
	{
		struct dyn_bucket *bucket = &out->items[i];

		if (!dyn_bucket_of_message(message->buckets[i], bucket) ||
			bucket->version == 0 ||
			(i > 0 && dyn_slice_compare(dyn_bucket_name(bucket - 1),
										dyn_bucket_name(bucket)) >= 0))
			return DYN_STATUS_BAD_REQUEST;
		out->count++;
	}
	return DYN_STATUS_OK;
}

enum dyn_status
dyn_buckets_decode(struct dyn_slice bytes,
				   const struct dyn_allocator *allocator,
				   struct dyn_buckets *out)
{
	ProtobufCAllocator bridge = { allocator->allocate, allocator->release,
								  allocator->context };
	ProtobufCMessage *message;
	enum dyn_status status;

	if (bytes.size > TABLE_SIZE_MAX)
		return DYN_STATUS_TOO_LARGE;
	status = dyn_message_unpack_body(&dyn__bucket_table__descriptor, bytes,
									 allocator, &message);
	if (status != DYN_STATUS_OK)
		return status;
	status = take_table((const Dyn__BucketTable *) message, out);
	protobuf_c_message_free_unpacked(message, &bridge);
	return status;
}
