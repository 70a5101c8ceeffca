#include "io/record.h"

#include <string.h>

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
	AT_HEAD_SUM = 24
};

_Static_assert(AT_HEAD_SUM + 8 == DYN_RECORD_HEAD_SIZE, "head layout");
_Static_assert(DYN_RECORD_KEY_SIZE_MAX <= 511, "LMDB's limit of a key");

static void
put_number(uint8_t *out, uint64_t number, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		out[i] = (uint8_t) (number >> (8 * i));
}

static uint64_t
get_number(const uint8_t *in, unsigned size)
{
	uint64_t number = 0;

	for (unsigned i = 0; i < size; i++)
		number |= (uint64_t) in[i] << (8 * i);
	return number;
}

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

/* The key is hashed before the head, so that no two pairs of key and head
 * are the same bytes: the head has a fixed size. */
static uint64_t
head_sum(struct dyn_slice name, const uint8_t *head)
{
	uint8_t bytes[DYN_RECORD_KEY_SIZE_MAX + AT_HEAD_SUM];

	memcpy(bytes, name.data, name.size);
	memcpy(bytes + name.size, head, AT_HEAD_SUM);
	return dyn_hash_bytes((struct dyn_slice){ bytes, name.size + AT_HEAD_SUM });
}

enum dyn_status
dyn_record_encode(struct dyn_slice name, uint64_t hash, uint8_t slots,
				  struct dyn_slice object, uint8_t *out)
{
	if (object.size > UINT32_MAX - DYN_RECORD_HEAD_SIZE)
		return DYN_STATUS_TOO_LARGE;
	out[AT_MAGIC] = 'D';
	out[AT_MAGIC + 1] = 'y';
	out[AT_FORMAT] = DYN_RECORD_FORMAT;
	out[AT_SLOTS] = slots;
	put_number(out + AT_SIZE, object.size, 4);
	put_number(out + AT_HASH, hash, 8);
	put_number(out + AT_OBJECT_SUM, dyn_hash_bytes(object), 8);
	put_number(out + AT_HEAD_SUM, head_sum(name, out), 8);
	if (object.size != 0)
		memcpy(out + DYN_RECORD_HEAD_SIZE, object.data, object.size);
	return DYN_STATUS_OK;
}

bool
dyn_record_head_is_sound(struct dyn_slice name, struct dyn_slice bytes)
{
	const uint8_t *head = bytes.data;

	return name.size != 0 && name.size <= DYN_RECORD_KEY_SIZE_MAX &&
		   bytes.size >= DYN_RECORD_HEAD_SIZE && head[AT_MAGIC] == 'D' &&
		   head[AT_MAGIC + 1] == 'y' && head[AT_FORMAT] == DYN_RECORD_FORMAT &&
		   get_number(head + AT_SIZE, 4) == bytes.size - DYN_RECORD_HEAD_SIZE &&
		   get_number(head + AT_HEAD_SUM, 8) == head_sum(name, head);
}

uint64_t
dyn_record_head_hash(struct dyn_slice bytes)
{
	return get_number(bytes.data + AT_HASH, 8);
}

enum dyn_status
dyn_record_decode(struct dyn_slice name, struct dyn_slice bytes,
				  struct dyn_record *out)
{
	struct dyn_slice object;

	if (!dyn_record_head_is_sound(name, bytes))
		return DYN_STATUS_CORRUPT;
	object.data = bytes.data + DYN_RECORD_HEAD_SIZE;
	object.size = bytes.size - DYN_RECORD_HEAD_SIZE;
	if (get_number(bytes.data + AT_OBJECT_SUM, 8) != dyn_hash_bytes(object))
		return DYN_STATUS_CORRUPT;
	out->hash = dyn_record_head_hash(bytes);
	out->slots = bytes.data[AT_SLOTS];
	out->object = object;
	return DYN_STATUS_OK;
}
