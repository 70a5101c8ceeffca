/*-------------------------------------------------------------------------
 *
 * types.h
 *      The small value types and the limits that all parts share.
 *
 * Sizes are bytes, times are milliseconds; the unit is the last word of a
 * name.  Nothing here owns memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_MODEL_TYPES_H
#define DYN_MODEL_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/status.h"

enum
{
	DYN_KEY_SIZE_MAX = 440, /* so that bucket, cell and key fit in LMDB's 511 */
	DYN_BUCKET_SIZE_MAX = 63, /* one of PostgreSQL's identifiers */
	DYN_CELL_COUNT = 4096,    /* the top 12 bits of a hash, fixed for ever */
	DYN_PARTITIONS_MAX = DYN_CELL_COUNT,
	DYN_REPLICAS_MAX = 8, /* N */
	DYN_MEMBERS_MAX = 64, /* nodes of one cluster */
	DYN_ADDRESS_SIZE_MAX = 255,
	DYN_SIBLINGS_WARN = 10,
	DYN_SIBLINGS_MAX = 100, /* a client's put beyond is refused */
	DYN_CLOCK_ENTRIES_MAX =
		256,                  /* actors plus exceptions in a client's context */
	DYN_BATCH_OPS_MAX = 4096, /* operations in one message */
	DYN_VALUES_MAX = 100,     /* values in one put: all siblings of a key */
	/* A client makes no attempt at an operation so long after its first frame;
	 * nodes remember its request id for longer. */
	DYN_OP_LIMIT_MS = 30000,
	DYN_VALUE_SIZE_DEFAULT = 1024 * 1024,
	DYN_VALUE_SIZE_MAX = 16 * 1024 * 1024,
	DYN_OBJECT_SIZE_MAX = 32 * 1024 * 1024, /* for a client's put */
	DYN_FRAME_SIZE_MAX = 64 * 1024 * 1024,  /* whatever the type */
	/* Whatever replicas merge; more would fit in no frame. */
	DYN_RECORD_SIZE_MAX = DYN_FRAME_SIZE_MAX - 1024 * 1024
};

/* Borrowed bytes.  Whoever hands one out says until when they live. */
struct dyn_slice
{
	const uint8_t *data;
	size_t size;
};

/* 128 random bits in the store: who a node is, whatever its address. */
struct dyn_node_id
{
	uint8_t bytes[16];
};

/* 128 bits chosen by the client for one operation: a retry has the same. */
struct dyn_request_id
{
	uint8_t bytes[16];
};

/*
 * Who makes dots: the 64 random bits that a process draws when it starts,
 * and an epoch counted in its memory.  Ordered by start, then epoch.
 */
struct dyn_actor
{
	uint64_t start;
	uint64_t epoch;
};

/* One write event of one key: the counter-th (from 1) of its actor. */
struct dyn_dot
{
	struct dyn_actor actor;
	uint64_t counter;
};

/*
 * Where memory comes from.  allocate() may return NULL (the caller gets
 * DYN_STATUS_NO_MEMORY) or not return at all (palloc).  release() may do
 * nothing (an arena).  Memory is aligned for any type.
 */
struct dyn_allocator
{
	void *(*allocate)(void *context, size_t size);
	void (*release)(void *context, void *memory);
	void *context;
};

int dyn_slice_compare(struct dyn_slice a, struct dyn_slice b); /* bytewise */
bool dyn_slice_equal(struct dyn_slice a, struct dyn_slice b);

/* A slice of a C string, without its NUL. */
struct dyn_slice dyn_slice_of(const char *text);

int dyn_node_id_compare(const struct dyn_node_id *a,
						const struct dyn_node_id *b);
bool dyn_node_id_is_zero(const struct dyn_node_id *id);

/* 32 lower-case hex digits and a NUL. */
void dyn_node_id_format(const struct dyn_node_id *id, char out[33]);
bool dyn_node_id_parse(const char *text, struct dyn_node_id *id);

int dyn_request_id_compare(const struct dyn_request_id *a,
						   const struct dyn_request_id *b);

int dyn_actor_compare(struct dyn_actor a, struct dyn_actor b);
int dyn_dot_compare(struct dyn_dot a, struct dyn_dot b);

#endif
