/*-------------------------------------------------------------------------
 *
 * record.h
 *      What a key and a record look like on disk.
 *
 *     key    = bucket, 0x00, cell (2 bytes, big-endian), key
 *     record = head (40 bytes), object
 *     head   = 'D' 'y', format (1), slots (1), object size (4),
 *              object hash (8), checksum of the object (8),
 *              held since (6), flags (1), 0 (1),
 *              checksum of the key and the 32 bytes before it (8)
 *
 * A record of format 1 has a head of 32 bytes, without the line in the
 * middle: held since 0, which is unknown, and all flags, which want a look.
 * It stays as it is until its key is written again.
 *
 * Numbers in the head are little-endian; checksums are XXH3.  LMDB does not
 * notice damaged pages by itself, so whatever is read is checked here before
 * anybody believes it.  The head has a checksum of its own, which covers the
 * key as well: a record that lies under a wrong key is noticed without
 * reading the object.
 *
 * Held since when: wall clock, ms since 1970, for as long as the object hash
 * is the same.  Flags: DYN_RECORD_... (core/effect.h).
 *
 * A hint looks like a record of the main table, in a table of its own; only
 * there slots are other than 0.  A record of the meta table is the same under
 * the bare name, hash 0.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_IO_STORE_RECORD_H
#define DYN_IO_STORE_RECORD_H

#include "core/effect.h"

enum
{
	DYN_RECORD_FORMAT = 2,
	DYN_RECORD_HEAD_SIZE = 40,
	DYN_RECORD_FORMAT_FIRST = 1,
	DYN_RECORD_HEAD_SIZE_FIRST = 32,
	DYN_RECORD_CELL_SIZE = 2,
	DYN_RECORD_KEY_SIZE_MAX =
		DYN_BUCKET_SIZE_MAX + 1 + DYN_RECORD_CELL_SIZE + DYN_KEY_SIZE_MAX
};

/* A key as LMDB sees it. */
struct dyn_record_name
{
	size_t size;
	uint8_t bytes[DYN_RECORD_KEY_SIZE_MAX];
};

/* What stands in a record; decoded, the object borrows from its bytes. */
struct dyn_record
{
	uint64_t hash;
	uint64_t held_at_ms; /* below 2^48 */
	uint8_t slots;       /* of a hint: for whom */
	uint8_t flags;
	struct dyn_slice object;
};

/*
 * Key of the main table.  BAD_REQUEST when the bucket is empty, too long or
 * has a NUL, or the key is too long.  An empty key is allowed: it is the
 * place where a cell begins.
 */
enum dyn_status dyn_record_name_make(const struct dyn_record_key *key,
									 struct dyn_record_name *out);

/* Key of the meta table. */
enum dyn_status dyn_record_name_make_meta(struct dyn_slice name,
										  struct dyn_record_name *out);

/* Behind all names of a bucket: after its bytes they all have a NUL. */
void dyn_record_name_behind(struct dyn_slice bucket,
							struct dyn_record_name *out);

struct dyn_slice dyn_record_name_slice(const struct dyn_record_name *self);

/* The place that a key of the main table stands for; borrows from name.
 * False when it can be none: such a name was never written. */
bool dyn_record_name_parse(struct dyn_slice name, struct dyn_record_key *out);

/* Writes DYN_RECORD_HEAD_SIZE + object.size bytes.  TOO_LARGE when the
 * object does not fit the head's size. */
enum dyn_status dyn_record_encode(struct dyn_slice name,
								  const struct dyn_record *record,
								  uint8_t *out);

/* OK or CORRUPT: any byte of name or record is not as it was written. */
enum dyn_status dyn_record_decode(struct dyn_slice name, struct dyn_slice bytes,
								  struct dyn_record *out);

/* The same for the name and the head alone. */
bool dyn_record_head_is_sound(struct dyn_slice name, struct dyn_slice bytes);

/* A name that differs from this one in one byte and under which the head is
 * sound: the name that the record was written under.  False when there is
 * none: then more is damaged, or something else. */
bool dyn_record_name_mend(struct dyn_slice name, struct dyn_slice bytes,
						  struct dyn_record_name *out);

/* The object's hash, and the flags, as a sound head tells them. */
uint64_t dyn_record_head_hash(struct dyn_slice bytes);
uint8_t dyn_record_head_flags(struct dyn_slice bytes);

#endif
