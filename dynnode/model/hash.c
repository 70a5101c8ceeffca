#include "model/hash.h"

#include <string.h>

#include <xxhash.h>

uint64_t
dyn_hash_position(struct dyn_slice bucket, struct dyn_slice key)
{
	uint8_t bytes[DYN_BUCKET_SIZE_MAX + 1 + DYN_KEY_SIZE_MAX];

	memcpy(bytes, bucket.data, bucket.size);
	bytes[bucket.size] = 0;
	memcpy(bytes + bucket.size + 1, key.data, key.size);
	return XXH3_64bits(bytes, bucket.size + 1 + key.size);
}

uint64_t
dyn_hash_bytes(struct dyn_slice bytes)
{
	return XXH3_64bits(bytes.data, bytes.size);
}

uint16_t
dyn_hash_cell(uint64_t position)
{
	return (uint16_t) (position >> 52);
}

bool
dyn_hash_is_of_cell(uint16_t cell, struct dyn_slice bucket,
					struct dyn_slice key)
{
	return dyn_hash_cell(dyn_hash_position(bucket, key)) == cell;
}

uint16_t
dyn_hash_partition(uint16_t cell, uint16_t partition_count)
{
	return (uint16_t) (cell / (DYN_CELL_COUNT / partition_count));
}

uint16_t
dyn_hash_cell_first(uint16_t partition, uint16_t partition_count)
{
	return (uint16_t) (partition * (DYN_CELL_COUNT / partition_count));
}

uint16_t
dyn_hash_cell_last(uint16_t partition, uint16_t partition_count)
{
	return (uint16_t) (dyn_hash_cell_first(partition, partition_count) +
					   DYN_CELL_COUNT / partition_count - 1);
}

enum dyn_status
dyn_key_check(struct dyn_slice key)
{
	if (key.size == 0)
		return DYN_STATUS_BAD_REQUEST;
	return key.size > DYN_KEY_SIZE_MAX ? DYN_STATUS_TOO_LARGE : DYN_STATUS_OK;
}

enum dyn_status
dyn_bucket_check(struct dyn_slice bucket)
{
	if (bucket.size == 0)
		return DYN_STATUS_BAD_REQUEST;
	if (bucket.size > DYN_BUCKET_SIZE_MAX)
		return DYN_STATUS_TOO_LARGE;
	return memchr(bucket.data, 0, bucket.size) ? DYN_STATUS_BAD_REQUEST
											   : DYN_STATUS_OK;
}
