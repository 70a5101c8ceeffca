/*-------------------------------------------------------------------------
 *
 * storefile.h
 *      The file of a storerig's store while that is closed: damage, and how
 *      to take it back.
 *
 * What must not happen ends the test program, as in storerig.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_STOREFILE_H
#define DYN_TESTS_STOREFILE_H

#include "storerig.h"

#include <stddef.h>

enum
{
	STOREFILE_NAME_MAX = DYN_BUCKET_SIZE_MAX + 3 + DYN_KEY_SIZE_MAX
};

/* All bytes of the file, as it was once. */
struct storefile_image
{
	uint8_t *bytes;
	size_t size;
};

/* A file in the store's directory; good until the next call of
 * any function here. */
const char *storefile_path(const struct storerig *rig, const char *name);

struct storefile_image storefile_read(const struct storerig *rig);
void storefile_restore(const struct storerig *rig,
					   const struct storefile_image *image);
void storefile_free(struct storefile_image *image);

void storefile_poke(const struct storerig *rig, size_t at, const uint8_t *bytes,
					size_t size);

/* Bucket, cell and key of one of storerig's keys, as they lie on a page; their
 * size. */
size_t storefile_name(const char *key, char name[STOREFILE_NAME_MAX]);

/* Some of its bits turn over in one byte, so far behind or before each place
 * where the image has the pattern: LMDB leaves old copies.  How many there
 * are; or only those in leaves, not the copies of keys in branches. */
uint32_t storefile_change(const struct storerig *rig,
						  const struct storefile_image *image,
						  const void *pattern, size_t size, ptrdiff_t offset,
						  uint8_t bits);
uint32_t storefile_change_leaves(const struct storerig *rig,
								 const struct storefile_image *image,
								 const void *pattern, size_t size,
								 ptrdiff_t offset, uint8_t bits);

#endif
