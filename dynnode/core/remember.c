#include "core/remember.h"

#include "core/memory.h"
#include "model/hash.h"
#include "model/wall.h"

struct dyn_remembered
{
	UT_hash_handle hh;
	struct dyn_request_id id;
	uint64_t since_ms;
	uint64_t mark; /* 0 = not known */
	bool committed;
};

void
dyn_remember_init(struct dyn_remember *self, uint32_t max, uint64_t keep_ms)
{
	*self = (struct dyn_remember){ .max = max, .keep_ms = keep_ms };
}

static void
drop(struct dyn_remember *self, struct dyn_remembered *item)
{
	HASH_DEL(self->table, item);
	self->count--;
	dyn_memory_give(item);
}

void
dyn_remember_destroy(struct dyn_remember *self)
{
	while (self->table != NULL)
		drop(self, self->table);
}

static struct dyn_remembered *
find(const struct dyn_remember *self, const struct dyn_request_id *id)
{
	struct dyn_remembered *item;

	HASH_FIND(hh, self->table, id, sizeof(*id), item);
	return item;
}

/* The table is in the order of insertion: the oldest stands first. */
static void
make_room(struct dyn_remember *self, uint64_t now_ms)
{
	while (self->table != NULL &&
		   (self->count >= self->max ||
			self->table->since_ms + self->keep_ms < now_ms))
		drop(self, self->table);
}

static struct dyn_remembered *
insert(struct dyn_remember *self, const struct dyn_request_id *id,
	   uint64_t now_ms)
{
	struct dyn_remembered *item;

	make_room(self, now_ms);
	item = dyn_memory_take(sizeof(*item));
	item->id = *id;
	item->since_ms = now_ms;
	HASH_ADD(hh, self->table, id, sizeof(item->id), item);
	self->count++;
	return item;
}

void
dyn_remember_pending(struct dyn_remember *self, const struct dyn_request_id *id,
					 uint64_t now_ms)
{
	if (find(self, id) == NULL)
		insert(self, id, now_ms);
}

void
dyn_remember_committed(struct dyn_remember *self,
					   const struct dyn_request_id *id, uint64_t now_ms)
{
	struct dyn_remembered *item = find(self, id);

	if (item == NULL)
		item = insert(self, id, now_ms);
	item->committed = true;
}

uint64_t
dyn_remember_mark(uint64_t position, struct dyn_slice last_value)
{
	return (position ^ dyn_hash_bytes(last_value)) | 1;
}

void
dyn_remember_note_mark(struct dyn_remember *self,
					   const struct dyn_request_id *id, uint64_t mark)
{
	struct dyn_remembered *item = find(self, id);

	if (item != NULL && item->mark == 0)
		item->mark = mark;
}

bool
dyn_remember_is_other(const struct dyn_remember *self,
					  const struct dyn_request_id *id, uint64_t mark)
{
	const struct dyn_remembered *item = find(self, id);

	return item != NULL && item->mark != 0 && mark != 0 && item->mark != mark;
}

void
dyn_remember_forget(struct dyn_remember *self, const struct dyn_request_id *id)
{
	struct dyn_remembered *item = find(self, id);

	if (item != NULL && !item->committed)
		drop(self, item);
}

uint32_t
dyn_remember_news(const struct dyn_clock *known,
				  const struct dyn_object *object, struct dyn_request_id *ids)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < object->version_count; i++)
		if (!dyn_clock_covers(known, object->versions[i].dot))
			ids[count++] = object->versions[i].request;
	return count;
}

uint64_t
dyn_remember_since(const struct dyn_remember *self, uint64_t wall_ms)
{
	uint64_t span_ms = self->keep_ms + DYN_CLOCKS_APART_MS;

	return wall_ms > span_ms ? wall_ms - span_ms : 0;
}

uint32_t
dyn_remember_replaced(const struct dyn_object *before,
					  const struct dyn_object *after, uint64_t since_wall_ms,
					  struct dyn_request_id *ids)
{
	uint32_t count = 0;
	uint32_t at = 0;

	/* Both ascend by dot. */
	for (uint32_t i = 0; i < before->version_count; i++)
	{
		const struct dyn_version *version = &before->versions[i];

		while (at < after->version_count &&
			   dyn_dot_compare(after->versions[at].dot, version->dot) < 0)
			at++;
		if (version->written_at_ms >= since_wall_ms &&
			(at == after->version_count ||
			 dyn_dot_compare(after->versions[at].dot, version->dot) != 0))
			ids[count++] = version->request;
	}
	return count;
}

bool
dyn_remember_knows(const struct dyn_remember *self,
				   const struct dyn_request_id *id)
{
	return find(self, id) != NULL;
}

bool
dyn_remember_is_committed(const struct dyn_remember *self,
						  const struct dyn_request_id *id)
{
	const struct dyn_remembered *item = find(self, id);

	return item != NULL && item->committed;
}
