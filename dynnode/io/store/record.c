/*
 * Records as bytes: write.c encodes them, all who read decode them, and nobody
 * believes one that is not sound.
 */
#include "io/store/record.h"

#include <string.h>

#include "io/store/bytes.h"
#include "model/hash.h"

/* Offsets within the head. */
enum
{
	AT_MAGIC = 0,
	AT_FORMAT = 2,
	AT_SLOTS = 3,
	AT_SIZE = 4,
	AT_HASH = 8,
	AT_OBJECT_SUM = 16,
	AT_HELD_AT = 24, /* not in the first format */
	AT_FLAGS = 30,
	AT_ZERO = 31,
	SUM_SIZE = 8 /* of the head; comes last */
};

#define HELD_AT_MAX ((UINT64_C(1) << 48) - 1)

_Static_assert(AT_HELD_AT + SUM_SIZE == DYN_RECORD_HEAD_SIZE_FIRST,
			   "layout of the first head");
_Static_assert(AT_ZERO + 1 + SUM_SIZE == DYN_RECORD_HEAD_SIZE, "head layout");
_Static_assert(DYN_RECORD_KEY_SIZE_MAX <= 511, "LMDB's limit of a key");

static void
append(struct dyn_record_name *name, const void *bytes, size_t size)
{
	if (size != 0)
		memcpy(name->bytes + name->size, bytes, size);
	name->size += size;
}

enum dyn_status
dyn_record_name_make(const struct dyn_record_key *key,
					 struct dyn_record_name *out)
{
	uint8_t fence[1 + DYN_RECORD_CELL_SIZE] = { 0, (uint8_t) (key->cell >> 8),
												(uint8_t) key->cell };

	if (key->bucket.size == 0 || key->bucket.size > DYN_BUCKET_SIZE_MAX ||
		key->key.size > DYN_KEY_SIZE_MAX ||
		memchr(key->bucket.data, 0, key->bucket.size) != NULL)
		return DYN_STATUS_BAD_REQUEST;
	out->size = 0;
	append(out, key->bucket.data, key->bucket.size);
	append(out, fence, sizeof(fence));
	append(out, key->key.data, key->key.size);
	return DYN_STATUS_OK;
}

void
dyn_record_name_behind(struct dyn_slice bucket, struct dyn_record_name *out)
{
	const uint8_t behind = 1;

	out->size = 0;
	append(out, bucket.data, bucket.size);
	append(out, &behind, 1);
}

enum dyn_status
dyn_record_name_make_meta(struct dyn_slice name, struct dyn_record_name *out)
{
	if (name.size == 0 || name.size > DYN_KEY_SIZE_MAX)
		return DYN_STATUS_BAD_REQUEST;
	out->size = 0;
	append(out, name.data, name.size);
	return DYN_STATUS_OK;
}

struct dyn_slice
dyn_record_name_slice(const struct dyn_record_name *self)
{
	return (struct dyn_slice){ self->bytes, self->size };
}

bool
dyn_record_name_parse(struct dyn_slice name, struct dyn_record_key *out)
{
	const uint8_t *fence = name.size ? memchr(name.data, 0, name.size) : NULL;
	size_t bucket_size = fence ? (size_t) (fence - name.data) : 0;
	size_t fixed = bucket_size + 1 + DYN_RECORD_CELL_SIZE;

	if (bucket_size == 0 || bucket_size > DYN_BUCKET_SIZE_MAX ||
		name.size < fixed)
		return false;
	out->bucket = (struct dyn_slice){ name.data, bucket_size };
	out->cell = (uint16_t) (fence[1] << 8 | fence[2]);
	out->key = (struct dyn_slice){ name.data + fixed, name.size - fixed };
	return out->cell < DYN_CELL_COUNT && out->key.size <= DYN_KEY_SIZE_MAX;
}

/* Of the format that the record says it has; 0 = none. */
static size_t
head_size(struct dyn_slice bytes)
{
	if (bytes.size >= DYN_RECORD_HEAD_SIZE &&
		bytes.data[AT_FORMAT] == DYN_RECORD_FORMAT)
		return DYN_RECORD_HEAD_SIZE;
	if (bytes.size >= DYN_RECORD_HEAD_SIZE_FIRST &&
		bytes.data[AT_FORMAT] == DYN_RECORD_FORMAT_FIRST)
		return DYN_RECORD_HEAD_SIZE_FIRST;
	return 0;
}

/* The key is hashed before the head, and the format says how long that is:
 * no two pairs of key and head are the same bytes.  size is without the
 * sum. */
static uint64_t
head_sum(struct dyn_slice name, const uint8_t *head, size_t size)
{
	uint8_t bytes[DYN_RECORD_KEY_SIZE_MAX + DYN_RECORD_HEAD_SIZE];

	memcpy(bytes, name.data, name.size);
	memcpy(bytes + name.size, head, size);
	return dyn_hash_bytes((struct dyn_slice){ bytes, name.size + size });
}

enum dyn_status
dyn_record_encode(struct dyn_slice name, const struct dyn_record *record,
				  uint8_t *out)
{
	struct dyn_slice object = record->object;
	size_t at_sum = DYN_RECORD_HEAD_SIZE - SUM_SIZE;
	uint64_t held_at_ms = record->held_at_ms;

	if (object.size > UINT32_MAX - DYN_RECORD_HEAD_SIZE)
		return DYN_STATUS_TOO_LARGE;
	out[AT_MAGIC] = 'D';
	out[AT_MAGIC + 1] = 'y';
	out[AT_FORMAT] = DYN_RECORD_FORMAT;
	out[AT_SLOTS] = record->slots;
	dyn_store_put_number(out + AT_SIZE, object.size, 4);
	dyn_store_put_number(out + AT_HASH, record->hash, 8);
	dyn_store_put_number(out + AT_OBJECT_SUM, dyn_hash_bytes(object), 8);
	dyn_store_put_number(out + AT_HELD_AT,
						 held_at_ms < HELD_AT_MAX ? held_at_ms : HELD_AT_MAX,
						 6);
	out[AT_FLAGS] = record->flags;
	out[AT_ZERO] = 0;
	dyn_store_put_number(out + at_sum, head_sum(name, out, at_sum), SUM_SIZE);
	if (object.size != 0)
		memcpy(out + DYN_RECORD_HEAD_SIZE, object.data, object.size);
	return DYN_STATUS_OK;
}

/* What the sum need not be computed for.  The head's size; 0 = not likely. */
static size_t
likely_head_size(struct dyn_slice name, struct dyn_slice bytes)
{
	size_t size = head_size(bytes);
	bool is_likely =
		size != 0 && name.size != 0 && name.size <= DYN_RECORD_KEY_SIZE_MAX &&
		bytes.data[AT_MAGIC] == 'D' && bytes.data[AT_MAGIC + 1] == 'y' &&
		dyn_store_get_number(bytes.data + AT_SIZE, 4) == bytes.size - size;

	return is_likely ? size : 0;
}

bool
dyn_record_head_is_sound(struct dyn_slice name, struct dyn_slice bytes)
{
	const uint8_t *head = bytes.data;
	size_t size = likely_head_size(name, bytes);
	size_t at_sum = size - SUM_SIZE;

	return size != 0 && dyn_store_get_number(head + at_sum, SUM_SIZE) ==
							head_sum(name, head, at_sum);
}

/* At most 255 sums for each byte of the name: a few milliseconds. */
bool
dyn_record_name_mend(struct dyn_slice name, struct dyn_slice bytes,
					 struct dyn_record_name *out)
{
	size_t size = likely_head_size(name, bytes);
	size_t at_sum = size - SUM_SIZE;
	uint64_t sum;

	if (size == 0)
		return false;
	sum = dyn_store_get_number(bytes.data + at_sum, SUM_SIZE);
	out->size = name.size;
	memcpy(out->bytes, name.data, name.size);
	for (size_t i = 0; i < name.size; i++)
	{
		for (unsigned change = 1; change < 256; change++)
		{
			out->bytes[i] = name.data[i] ^ (uint8_t) change;
			if (head_sum(dyn_record_name_slice(out), bytes.data, at_sum) == sum)
				return true;
		}
		out->bytes[i] = name.data[i];
	}
	return false;
}

uint64_t
dyn_record_head_hash(struct dyn_slice bytes)
{
	return dyn_store_get_number(bytes.data + AT_HASH, 8);
}

uint8_t
dyn_record_head_flags(struct dyn_slice bytes)
{
	if (bytes.data[AT_FORMAT] == DYN_RECORD_FORMAT_FIRST)
		return DYN_RECORD_MORTAL | DYN_RECORD_CROWDED;
	return bytes.data[AT_FLAGS];
}

enum dyn_status
dyn_record_decode(struct dyn_slice name, struct dyn_slice bytes,
				  struct dyn_record *out)
{
	struct dyn_slice object;
	size_t size;

	if (!dyn_record_head_is_sound(name, bytes))
		return DYN_STATUS_CORRUPT;
	size = head_size(bytes);
	object.data = bytes.data + size;
	object.size = bytes.size - size;
	if (dyn_store_get_number(bytes.data + AT_OBJECT_SUM, 8) !=
		dyn_hash_bytes(object))
		return DYN_STATUS_CORRUPT;
	out->hash = dyn_record_head_hash(bytes);
	out->held_at_ms = size == DYN_RECORD_HEAD_SIZE
						  ? dyn_store_get_number(bytes.data + AT_HELD_AT, 6)
						  : 0;
	out->slots = bytes.data[AT_SLOTS];
	out->flags = dyn_record_head_flags(bytes);
	out->object = object;
	return DYN_STATUS_OK;
}
