/*-------------------------------------------------------------------------
 *
 * wire.h
 *      Reading and writing the few protobuf forms that clocks and objects use.
 *
 * Messages go through protobuf-c (message.h).  Clocks and objects are encoded
 * by hand for two reasons: their form must be canonical (equal values, equal
 * bytes), which a general reader does not check, and they are decoded on
 * every read and write.  tests/unit/test_object_bytes.c holds both against
 * protobuf-c, byte for byte.
 *
 * Canonical: fields ascend, none has its default value, numbers are as short
 * as they can be, nothing unknown stands between.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_MODEL_WIRE_H
#define DYN_MODEL_WIRE_H

#include "model/types.h"

#include <string.h>

enum dyn_wire_kind
{
	DYN_WIRE_VARINT = 0,
	DYN_WIRE_FIXED64 = 1,
	DYN_WIRE_BYTES = 2
};

/* One byte for all fields below 16. */
#define DYN_WIRE_TAG(field, kind) ((uint8_t) ((field) << 3 | (kind)))

struct dyn_wire_reader
{
	const uint8_t *at;
	const uint8_t *end;
	bool failed; /* sticky */
};

static inline size_t
dyn_wire_varint_size(uint64_t value)
{
	size_t size = 1;

	while (value >= 128)
	{
		value >>= 7;
		size++;
	}
	return size;
}

static inline uint8_t *
dyn_wire_put_varint(uint8_t *at, uint64_t value)
{
	for (; value >= 128; value >>= 7)
		*at++ = (uint8_t) (value | 128);
	*at++ = (uint8_t) value;
	return at;
}

static inline uint8_t *
dyn_wire_put_fixed64(uint8_t *at, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		*at++ = (uint8_t) (value >> (8 * i));
	return at;
}

static inline uint8_t *
dyn_wire_put_bytes(uint8_t *at, struct dyn_slice bytes)
{
	at = dyn_wire_put_varint(at, bytes.size);
	if (bytes.size != 0)
		memcpy(at, bytes.data, bytes.size);
	return at + bytes.size;
}

static inline struct dyn_wire_reader
dyn_wire_reader(struct dyn_slice bytes)
{
	/* Nothing may be added to NULL, not even nothing. */
	const uint8_t *end = bytes.size != 0 ? bytes.data + bytes.size : bytes.data;

	return (struct dyn_wire_reader){ bytes.data, end, false };
}

static inline bool
dyn_wire_at_end(const struct dyn_wire_reader *self)
{
	return self->at == self->end;
}

/* 0 and failed when it is cut off, longer than needed or beyond 64 bits. */
static inline uint64_t
dyn_wire_get_varint(struct dyn_wire_reader *self)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 64; shift += 7)
	{
		uint8_t byte;

		if (self->at == self->end)
			break;
		byte = *self->at++;
		if (shift == 63 && byte > 1)
			break;
		value |= (uint64_t) (byte & 127) << shift;
		if (byte < 128)
		{
			if (byte == 0 && shift != 0)
				break;
			return value;
		}
	}
	self->failed = true;
	return 0;
}

static inline uint64_t
dyn_wire_get_fixed64(struct dyn_wire_reader *self)
{
	uint64_t value = 0;

	if (self->end - self->at < 8)
	{
		self->failed = true;
		return 0;
	}
	for (int i = 7; i >= 0; i--)
		value = value << 8 | self->at[i];
	self->at += 8;
	return value;
}

static inline struct dyn_slice
dyn_wire_get_bytes(struct dyn_wire_reader *self)
{
	uint64_t size = dyn_wire_get_varint(self);
	struct dyn_slice bytes = { self->at, 0 };

	if (self->failed || size > (uint64_t) (self->end - self->at))
	{
		self->failed = true;
		return bytes;
	}
	bytes.size = (size_t) size;
	self->at += size;
	return bytes;
}

/* Step over this tag if it stands next. */
static inline bool
dyn_wire_next_is(struct dyn_wire_reader *self, uint8_t tag)
{
	if (self->failed || self->at == self->end || *self->at != tag)
		return false;
	self->at++;
	return true;
}

/* An optional number: absent is 0, an explicit 0 is not canonical. */
static inline uint64_t
dyn_wire_get_number(struct dyn_wire_reader *self, uint8_t tag)
{
	uint64_t value;

	if (!dyn_wire_next_is(self, tag))
		return 0;
	value = (tag & 7) == DYN_WIRE_FIXED64 ? dyn_wire_get_fixed64(self)
										  : dyn_wire_get_varint(self);
	if (value == 0)
		self->failed = true;
	return value;
}

#endif
