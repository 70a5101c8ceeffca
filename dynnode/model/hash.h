/*-------------------------------------------------------------------------
 *
 * hash.h
 *      From a key to its place on the ring.
 *
 * h = XXH3_64(bucket, 0x00, key) is the position (Dynamo 2007, section 4.2;
 * the paper used MD5).  Its top 12 bits are the cell; a partition is a
 * contiguous range of cells.  This is the only place that knows the hash:
 * test vectors in tests/unit/test_hash.c pin it for ever.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_MODEL_HASH_H
#define DYN_MODEL_HASH_H

#include "model/types.h"

/* Requires sizes within DYN_BUCKET_SIZE_MAX and DYN_KEY_SIZE_MAX. */
uint64_t dyn_hash_position(struct dyn_slice bucket, struct dyn_slice key);

/* XXH3_64 of any bytes. */
uint64_t dyn_hash_bytes(struct dyn_slice bytes);

uint16_t dyn_hash_cell(uint64_t position);

/* Does the key belong into the cell?  A damaged record that shows a place where
 * it does not is misnamed: its key is not the one that it was written under. */
bool dyn_hash_is_of_cell(uint16_t cell, struct dyn_slice bucket,
						 struct dyn_slice key);

/* partition_count: a power of two, 1 to DYN_PARTITIONS_MAX. */
uint16_t dyn_hash_partition(uint16_t cell, uint16_t partition_count);
uint16_t dyn_hash_cell_first(uint16_t partition, uint16_t partition_count);
uint16_t dyn_hash_cell_last(uint16_t partition, uint16_t partition_count);

/* BAD_REQUEST when empty, TOO_LARGE when too long; a bucket has no NUL. */
enum dyn_status dyn_key_check(struct dyn_slice key);
enum dyn_status dyn_bucket_check(struct dyn_slice bucket);

#endif
