#include "disk.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/memory.h"

/* ---- a file ---- */

static void
reserve(struct crash_file *self, size_t size)
{
	uint8_t *bytes;
	size_t capacity = self->capacity != 0 ? self->capacity : 1 << 16;

	if (size <= self->capacity)
		return;
	while (capacity < size)
		capacity *= 2;
	bytes = dyn_memory_take(capacity);
	if (self->used_size != 0)
		memcpy(bytes, self->bytes, self->used_size);
	dyn_memory_give(self->bytes);
	self->bytes = bytes;
	self->capacity = capacity;
}

void
crash_file_write(struct crash_file *self, size_t at, const uint8_t *bytes,
				 size_t size)
{
	reserve(self, at + size);
	memcpy(self->bytes + at, bytes, size);
	if (self->used_size < at + size)
		self->used_size = at + size;
	if (self->size < at + size)
		self->size = at + size;
}

void
crash_file_copy(struct crash_file *self, const struct crash_file *from)
{
	reserve(self, from->used_size);
	if (self->used_size > from->used_size)
		memset(self->bytes + from->used_size, 0,
			   self->used_size - from->used_size);
	if (from->used_size != 0)
		memcpy(self->bytes, from->bytes, from->used_size);
	self->used_size = from->used_size;
	self->size = from->size;
	self->is_new = from->is_new;
}

void
crash_file_destroy(struct crash_file *self)
{
	dyn_memory_give(self->bytes);
	*self = (struct crash_file){ 0 };
}

bool
crash_file_load(struct crash_file *self, const char *directory)
{
	char path[4096];
	int fd;
	struct stat status;
	bool is_read;

	snprintf(path, sizeof(path), "%s/data.mdb", directory);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	is_read = fstat(fd, &status) == 0;
	if (is_read)
	{
		reserve(self, (size_t) status.st_size);
		self->size = self->used_size = (size_t) status.st_size;
		is_read = pread(fd, self->bytes, self->size, 0) == status.st_size;
	}
	close(fd);
	return is_read;
}

/* Zeros are written too: in memory that is faster than pages that come and
 * go with every image. */
bool
crash_file_save(struct crash_file *self, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
	bool is_saved;

	if (fd < 0)
		return false;
	reserve(self, self->size);
	is_saved = pwrite(fd, self->bytes, self->size, 0) == (ssize_t) self->size &&
			   ftruncate(fd, (off_t) self->size) == 0;
	close(fd);
	return is_saved;
}

bool
crash_file_put(struct crash_file *self, const char *directory)
{
	char path[4096];
	char new_directory[4096];
	char new_path[4096];

	snprintf(path, sizeof(path), "%s/data.mdb", directory);
	snprintf(new_directory, sizeof(new_directory), "%s/new", directory);
	snprintf(new_path, sizeof(new_path), "%s/new/data.mdb", directory);
	if (!self->is_new)
	{
		unlink(new_path);
		return crash_file_save(self, path);
	}
	unlink(path);
	mkdir(new_directory, S_IRWXU);
	return crash_file_save(self, new_path);
}

/* ---- a disk ---- */

void
crash_disk_init(struct crash_disk *self, const struct crash_log *log,
				const struct crash_file *start)
{
	*self = (struct crash_disk){ .log = log, .synced.is_new = true };
	if (start != NULL)
		crash_file_copy(&self->synced, start);
}

void
crash_disk_destroy(struct crash_disk *self)
{
	crash_file_destroy(&self->synced);
	dyn_memory_give(self->pending);
	dyn_memory_give(self->last);
}

static const struct crash_entry *
pending_entry(const struct crash_disk *self, uint32_t i)
{
	return &self->log->entries[self->pending[i]];
}

static void
apply(struct crash_file *file, const struct crash_entry *entry)
{
	if (entry->type != CRASH_SIZE)
		crash_file_write(file, entry->at, entry->bytes, entry->size);
	else if (file->size < entry->size)
		file->size = entry->size;
}

static void
sync_all(struct crash_disk *self)
{
	for (uint32_t i = 0; i < self->pending_count; i++)
		apply(&self->synced, pending_entry(self, i));
	self->pending_count = 0;
}

/* The last write alone; its sectors take older writes to them along. */
static void
sync_last(struct crash_disk *self)
{
	uint32_t last = self->pending_count - 1;
	const struct crash_entry *meta = pending_entry(self, last);
	size_t from = meta->at / CRASH_SECTOR_SIZE * CRASH_SECTOR_SIZE;
	size_t to = (meta->at + meta->size + CRASH_SECTOR_SIZE - 1) /
				CRASH_SECTOR_SIZE * CRASH_SECTOR_SIZE;

	for (uint32_t i = 0; i <= last; i++)
	{
		const struct crash_entry *entry = pending_entry(self, i);
		size_t begin = entry->at > from ? entry->at : from;
		size_t end = entry->at + entry->size;

		if (end > to)
			end = to;
		if (entry->type != CRASH_SIZE && begin < end)
			crash_file_write(&self->synced, begin,
							 entry->bytes + (begin - entry->at), end - begin);
	}
	self->pending_count = last;
}

static void
remove_all(struct crash_disk *self)
{
	static const struct crash_file empty = { .is_new = true };

	crash_file_copy(&self->synced, &empty);
	self->pending_count = 0;
}

static void
add_pending(struct crash_disk *self, uint32_t index)
{
	self->pending =
		dyn_memory_reserve(self->pending, self->pending_count,
						   &self->pending_capacity, sizeof(*self->pending));
	self->pending[self->pending_count++] = index;
}

void
crash_disk_advance(struct crash_disk *self, uint32_t position)
{
	for (; self->position < position; self->position++)
	{
		switch (self->log->entries[self->position].type)
		{
			case CRASH_WRITE:
			case CRASH_WRITE_META:
			case CRASH_SIZE:
				add_pending(self, self->position);
				break;
			case CRASH_META_SYNC:
				sync_last(self);
				break;
			case CRASH_SYNC:
				sync_all(self);
				break;
			case CRASH_REMOVED:
				remove_all(self);
				break;
			case CRASH_RENAMED:
				self->is_renamed = true;
				break;
			case CRASH_NAME_SYNC:
				self->synced.is_new = self->synced.is_new && !self->is_renamed;
				break;
			case CRASH_SUBMITTED:
				self->submitted_count++;
				break;
			case CRASH_STORED:
				self->stored_count++;
				break;
		}
	}
}

void
crash_disk_see(struct crash_disk *self, struct crash_file *out)
{
	crash_file_copy(out, &self->synced);
	for (uint32_t i = 0; i < self->pending_count; i++)
		apply(out, pending_entry(self, i));
	out->is_new = self->synced.is_new && !self->is_renamed;
}

/* ---- crashes ---- */

/* How much of what is pending reached the disk. */
struct luck
{
	uint32_t write_rate;  /* writes of which anything did, of a million */
	uint32_t sector_rate; /* sectors of those */
	uint32_t exception;   /* one write that fares the other way; or none */
};

static struct luck
draw_luck(struct crash_disk *self, struct dyn_simrandom *random)
{
	static const uint32_t rates[] = { 0,      20000,  100000, 500000,
									  900000, 980000, 1000000 };
	struct luck luck = { rates[dyn_simrandom_below(random, 7)], 1000000,
						 UINT32_MAX };

	if (dyn_simrandom_chance(random, 400000))
		luck.sector_rate = rates[1 + dyn_simrandom_below(random, 6)];
	if (dyn_simrandom_chance(random, 400000))
		luck.exception =
			(uint32_t) dyn_simrandom_below(random, self->pending_count);
	return luck;
}

static void
reserve_sectors(struct crash_disk *self, size_t size)
{
	uint32_t count = (uint32_t) (size / CRASH_SECTOR_SIZE + 1);

	if (count <= self->last_count)
		return;
	dyn_memory_give(self->last);
	self->last = dyn_memory_take(count * sizeof(*self->last));
	self->last_count = count;
}

/* For each sector of a write: is it the last of the sector's writes that
 * reached the disk (as far as is known yet)? */
static void
choose_sectors(struct crash_disk *self, uint32_t i, const struct luck *luck,
			   struct dyn_simrandom *random)
{
	const struct crash_entry *entry = pending_entry(self, i);
	bool is_lucky = dyn_simrandom_chance(random, luck->write_rate);
	uint32_t rate = luck->sector_rate;

	if (i == luck->exception)
	{
		is_lucky = luck->write_rate < 500000;
		rate = 1000000;
	}
	for (size_t at = entry->at; is_lucky && at < entry->at + entry->size;
		 at = (at / CRASH_SECTOR_SIZE + 1) * CRASH_SECTOR_SIZE)
		if (dyn_simrandom_chance(random, rate))
			self->last[at / CRASH_SECTOR_SIZE] = i + 1;
}

/* The parts of a write whose sectors hold it, or a later one above it. */
static void
apply_sectors(struct crash_disk *self, uint32_t i, struct crash_file *out)
{
	const struct crash_entry *entry = pending_entry(self, i);
	size_t at = entry->at;

	while (at < entry->at + entry->size)
	{
		size_t end = (at / CRASH_SECTOR_SIZE + 1) * CRASH_SECTOR_SIZE;

		if (end > entry->at + entry->size)
			end = entry->at + entry->size;
		if (self->last[at / CRASH_SECTOR_SIZE] > i)
			crash_file_write(out, at, entry->bytes + (at - entry->at),
							 end - at);
		at = end;
	}
}

/* The room for the marks must be there before the first mark is set. */
static void
clear_marks(struct crash_disk *self)
{
	size_t end = 0;

	for (uint32_t i = 0; i < self->pending_count; i++)
	{
		const struct crash_entry *entry = pending_entry(self, i);

		if (entry->type != CRASH_SIZE && entry->at + entry->size > end)
			end = entry->at + entry->size;
	}
	reserve_sectors(self, end);
	memset(self->last, 0, self->last_count * sizeof(*self->last));
}

static void
choose_size(struct crash_disk *self, struct dyn_simrandom *random,
			struct crash_file *out)
{
	const struct crash_entry *entry = pending_entry(
		self, (uint32_t) dyn_simrandom_below(random, self->pending_count));
	size_t size =
		entry->type == CRASH_SIZE ? entry->size : entry->at + entry->size;

	if (dyn_simrandom_chance(random, 500000) && out->size < size)
		out->size = size;
}

void
crash_disk_tear(struct crash_disk *self, struct dyn_simrandom *random,
				struct crash_file *out)
{
	struct luck luck;

	crash_file_copy(out, &self->synced);
	if (self->is_renamed && dyn_simrandom_chance(random, 500000))
		out->is_new = false;
	if (self->pending_count == 0)
		return;
	luck = draw_luck(self, random);
	clear_marks(self);
	for (uint32_t i = 0; i < self->pending_count; i++)
		if (pending_entry(self, i)->type != CRASH_SIZE)
			choose_sectors(self, i, &luck, random);
	for (uint32_t i = 0; i < self->pending_count; i++)
		if (pending_entry(self, i)->type != CRASH_SIZE)
			apply_sectors(self, i, out);
	choose_size(self, random, out);
}

void
crash_disk_tear_meta(struct crash_disk *self, struct dyn_simrandom *random,
					 struct crash_file *out)
{
	const struct crash_entry *meta =
		pending_entry(self, self->pending_count - 1);
	uint64_t kind = dyn_simrandom_below(random, 3);
	size_t cut = dyn_simrandom_below(random, meta->size + 1);

	crash_file_copy(out, &self->synced);
	for (uint32_t i = 0; i + 1 < self->pending_count; i++)
		apply(out, pending_entry(self, i));
	if (kind == 0)
		crash_file_write(out, meta->at, meta->bytes, cut);
	else if (kind == 1)
		crash_file_write(out, meta->at + cut, meta->bytes + cut,
						 meta->size - cut);
	for (size_t at = 0; kind == 2 && at + 8 <= meta->size; at += 8)
		if (dyn_simrandom_chance(random, 500000))
			crash_file_write(out, meta->at + at, meta->bytes + at, 8);
}
