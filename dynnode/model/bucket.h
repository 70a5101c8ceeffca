/*-------------------------------------------------------------------------
 *
 * bucket.h
 *      Buckets that have properties of their own, as a table that merges.
 *
 * A bucket is made by the first write to it, and has the cluster's settings
 * until somebody gives it others.  What was given is kept in this table,
 * which every node holds whole and nodes exchange until theirs are equal: of
 * two records of one bucket the one with the higher version stays, of two
 * changes made at once the one that compares greater.  A bucket that gets all
 * its defaults back stays in the table: to forget it here would be undone by
 * whoever still knows it.
 *
 * At most DYN_BUCKETS_MAX; more come together only when nodes that could not
 * talk have each filled their table, and then the first ones by name stay,
 * everywhere alike.
 *
 * A table is a value: no allocations but for encoding.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_MODEL_BUCKET_H
#define DYN_MODEL_BUCKET_H

#include "model/message.h"
#include "model/types.h"

enum
{
	DYN_BUCKETS_MAX = 1024
};

/* The longest time to live: a hundred years. */
#define DYN_TTL_MS_MAX UINT64_C(3155760000000)

/* How versions that know nothing of each other are treated. */
enum dyn_conflict
{
	DYN_CONFLICT_SIBLINGS, /* all stay until somebody has read them */
	DYN_CONFLICT_LWW       /* the last write wins, the others are lost */
};

/* Zero = as the cluster has it: siblings, no end. */
struct dyn_bucket
{
	uint8_t name[DYN_BUCKET_SIZE_MAX];
	uint8_t name_size;
	uint8_t r;
	uint8_t w;
	uint8_t conflict; /* enum dyn_conflict */
	uint64_t ttl_ms;  /* versions end so long after they were put */
	uint64_t version; /* 0 = never set */
};

struct dyn_buckets
{
	uint32_t count;
	struct dyn_bucket items[DYN_BUCKETS_MAX]; /* ascending by name */
};

struct dyn_slice dyn_bucket_name(const struct dyn_bucket *self);

/* One without properties; a name that is none (dyn_bucket_check) is cut. */
struct dyn_bucket dyn_bucket_of(struct dyn_slice name);

/* Are the properties sound where n replicas are kept?  *why says what is not,
 * for people. */
bool dyn_bucket_is_sound(const struct dyn_bucket *self, uint8_t n,
						 const char **why);

/* "siblings", "lww"; false for any other word. */
const char *dyn_conflict_name(uint8_t conflict);
bool dyn_conflict_parse(struct dyn_slice text, uint8_t *conflict);

/* NULL when it has no properties of its own; valid until the next change. */
const struct dyn_bucket *dyn_buckets_find(const struct dyn_buckets *self,
										  struct dyn_slice name);

/* Take over what is newer. True when the table changed. */
bool dyn_buckets_merge_one(struct dyn_buckets *self,
						   const struct dyn_bucket *bucket);
bool dyn_buckets_merge(struct dyn_buckets *self,
					   const struct dyn_buckets *other);

/* Equal tables, equal digests; never 0, not even for an empty one. */
uint64_t dyn_buckets_digest(const struct dyn_buckets *self);

/* As message BucketTable.  Decoding: BAD_REQUEST when the names do not
 * ascend or a property cannot be. */
enum dyn_status dyn_buckets_encode(const struct dyn_buckets *self,
								   const struct dyn_allocator *allocator,
								   struct dyn_slice *out);
enum dyn_status dyn_buckets_decode(struct dyn_slice bytes,
								   const struct dyn_allocator *allocator,
								   struct dyn_buckets *out);

/* Between a record and its message; name is borrowed. */
void dyn_bucket_to_message(const struct dyn_bucket *self, Dyn__Bucket *out);
bool dyn_bucket_of_message(const Dyn__Bucket *message, struct dyn_bucket *out);

#endif
