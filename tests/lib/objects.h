/*-------------------------------------------------------------------------
 *
 * objects.h
 *      Short ways to make objects in unit tests, and to look into them.
 *
 * Everything lives in `arena`, which a test resets when it likes; every
 * object made here is checked.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TESTS_OBJECTS_H
#define TESTS_OBJECTS_H

#include "model/arena.h"
#include "model/object.h"

#include "prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum
{
	REPLICAS = 3
};

static struct dyn_arena arena;

static inline struct dyn_request_id
request_of(uint32_t number)
{
	struct dyn_request_id id = { { 0 } };

	memcpy(id.bytes, &number, sizeof(number));
	return id;
}

/* What a bucket's rules add to a version. */
struct extras
{
	uint64_t written_at_ms;
	uint64_t expires_at_ms;
	uint32_t flags;
	bool is_retry;
};

/* One value under an actor; the object afterwards. */
static inline struct dyn_object
put_with(struct dyn_object object, const struct dyn_clock *context,
		 const char *value, uint64_t actor, uint32_t request,
		 struct extras extras)
{
	struct dyn_slice bytes =
		value ? dyn_slice_of(value) : (struct dyn_slice){ NULL, 0 };
	struct dyn_update update = { .request = request_of(request),
								 .context = context,
								 .values = &bytes,
								 .value_count = value != NULL,
								 .written_at_ms = extras.written_at_ms,
								 .expires_at_ms = extras.expires_at_ms,
								 .flags = extras.flags,
								 .is_retry = extras.is_retry };
	struct dyn_object out;

	assert_int_equal(dyn_object_put(&object, &update,
									(struct dyn_actor){ actor, 1 },
									&arena.allocator, &out),
					 DYN_STATUS_OK);
	assert_true(dyn_object_check(&out));
	return out;
}

static inline struct dyn_object
put(struct dyn_object object, const struct dyn_clock *context,
	const char *value, uint64_t actor, uint32_t request)
{
	return put_with(object, context, value, actor, request,
					(struct extras){ 0 });
}

static inline struct dyn_object
sync_of(struct dyn_object a, struct dyn_object b)
{
	struct dyn_object out;

	assert_int_equal(dyn_object_sync(&a, &b, &arena.allocator, &out),
					 DYN_STATUS_OK);
	assert_true(dyn_object_check(&out));
	return out;
}

static inline struct dyn_slice
encoded(struct dyn_object object)
{
	struct dyn_slice bytes;

	assert_int_equal(dyn_object_encode(&object, &arena.allocator, &bytes),
					 DYN_STATUS_OK);
	return bytes;
}

/* The bytes of an object with one value, the first one of this actor. */
static inline struct dyn_slice
object_of(const char *value, uint64_t actor)
{
	return encoded(
		put((struct dyn_object){ 0 }, NULL, value, actor, (uint32_t) actor));
}

/* The same with a value of so many bytes. */
static inline struct dyn_slice
object_of_size(size_t size, uint64_t actor)
{
	char *value = dyn_arena_allocate(&arena, size + 1);

	memset(value, 'v', size);
	value[size] = 0;
	return object_of(value, actor);
}

/* The bytes of one that was put and deleted under this actor. */
static inline struct dyn_slice
tombstone_of(uint64_t actor)
{
	struct dyn_object object =
		put((struct dyn_object){ 0 }, NULL, "old", actor, 1);

	return encoded(put(object, &object.context, NULL, actor, 2));
}

static inline bool
has_value(struct dyn_object object, const char *value)
{
	for (uint32_t i = 0; i < object.version_count; i++)
		if (dyn_slice_equal(object.versions[i].value, dyn_slice_of(value)))
			return true;
	return false;
}

static inline struct dyn_row *
rows_of(struct dyn_object *object, uint32_t *count)
{
	struct dyn_row *rows;

	assert_int_equal(dyn_object_rows(object, &arena.allocator, &rows, count),
					 DYN_STATUS_OK);
	return rows;
}

/* Three objects that share some past. */
static inline void
random_objects(struct prng *prng, struct dyn_object objects[REPLICAS])
{
	memset(objects, 0, REPLICAS * sizeof(*objects));
	for (int step = 0; step < 12; step++)
	{
		uint32_t r = prng_below(prng, REPLICAS);
		uint32_t other = prng_below(prng, REPLICAS);
		const struct dyn_clock *context =
			prng_below(prng, 2) ? &objects[other].context : NULL;

		if (prng_below(prng, 2) == 0)
			objects[r] = put_with(
				objects[r], context, prng_below(prng, 6) ? "x" : NULL, 50 + r,
				prng_below(prng, 3) ? (uint32_t) step : 0,
				(struct extras){ .written_at_ms = r * 1000,
								 .expires_at_ms = step % 3 * 500,
								 .flags = step % 2,
								 .is_retry = prng_below(prng, 4) == 0 });
		else
			objects[r] = sync_of(objects[r], objects[other]);
	}
}

static inline int
set_up(void **unused)
{
	dyn_arena_init(&arena, dyn_allocator_malloc(), 0);
	return 0;
}

/* After a test that made much. */
static inline int
reset_arena(void **unused)
{
	dyn_arena_reset(&arena);
	return 0;
}

static inline int
tear_down(void **unused)
{
	dyn_arena_destroy(&arena);
	return 0;
}

#endif
