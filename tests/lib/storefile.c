/*
 * Damage in the file of a closed store; storerig.c opens it again, and the
 * test sees what becomes of that.
 */
#include "storefile.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum
{
	PAGE_SIZE = 4096,
	PAGE_FLAGS_AT = 10,
	PAGE_LEAF = 2
};

const char *
storefile_path(const struct storerig *rig, const char *name)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/%s", rig->config.directory, name);
	return path;
}

struct storefile_image
storefile_read(const struct storerig *rig)
{
	struct storefile_image image;
	struct stat status;
	int fd = open(storefile_path(rig, "data.mdb"), O_RDONLY);

	storerig_must(fd >= 0 && fstat(fd, &status) == 0, "the store's file");
	image.size = (size_t) status.st_size;
	image.bytes = malloc(image.size);
	storerig_must(image.bytes != NULL, "memory");
	storerig_must(read(fd, image.bytes, image.size) == status.st_size,
				  "all of the store's file");
	close(fd);
	return image;
}

void
storefile_poke(const struct storerig *rig, size_t at, const uint8_t *bytes,
			   size_t size)
{
	int fd = open(storefile_path(rig, "data.mdb"), O_WRONLY);

	storerig_must(fd >= 0, "the store's file");
	storerig_must(pwrite(fd, bytes, size, (off_t) at) == (ssize_t) size,
				  "bytes in the store's file");
	close(fd);
}

void
storefile_restore(const struct storerig *rig,
				  const struct storefile_image *image)
{
	storefile_poke(rig, 0, image->bytes, image->size);
}

void
storefile_free(struct storefile_image *image)
{
	free(image->bytes);
	*image = (struct storefile_image){ NULL, 0 };
}

/* Not with the store's own functions: these bytes are what a format is. */
size_t
storefile_name(const char *key, char name[STOREFILE_NAME_MAX])
{
	const char *slash = strchr(key, '/');
	const char *bucket = slash != NULL ? key : "b";
	size_t bucket_size = slash != NULL ? (size_t) (slash - key) : 1;
	const char *bare = slash != NULL ? slash + 1 : key;
	char *end = name;

	memcpy(end, bucket, bucket_size);
	end += bucket_size;
	*end++ = 0;
	*end++ = 0; /* the cell's high byte */
	*end++ = bare[0];
	memcpy(end, bare, strlen(bare));
	return bucket_size + 3 + strlen(bare);
}

static uint32_t
change(const struct storerig *rig, const struct storefile_image *image,
	   const void *pattern, size_t size, ptrdiff_t offset, uint8_t bits,
	   bool leaves_only)
{
	uint32_t count = 0;
	const uint8_t *at = image->bytes;

	while ((at = memmem(at, image->size - (size_t) (at - image->bytes), pattern,
						size)) != NULL)
	{
		size_t page = (size_t) (at - image->bytes) / PAGE_SIZE * PAGE_SIZE;
		uint8_t byte = at[offset] ^ bits;

		if (!leaves_only || image->bytes[page + PAGE_FLAGS_AT] & PAGE_LEAF)
		{
			storefile_poke(rig, (size_t) (at - image->bytes + offset), &byte,
						   1);
			count++;
		}
		at++;
	}
	return count;
}

uint32_t
storefile_change(const struct storerig *rig,
				 const struct storefile_image *image, const void *pattern,
				 size_t size, ptrdiff_t offset, uint8_t bits)
{
	return change(rig, image, pattern, size, offset, bits, false);
}

uint32_t
storefile_change_leaves(const struct storerig *rig,
						const struct storefile_image *image,
						const void *pattern, size_t size, ptrdiff_t offset,
						uint8_t bits)
{
	return change(rig, image, pattern, size, offset, bits, true);
}
