/*
 * Two objects of one key, as two replicas may hold them: byte 0 and 1 tell the
 * size of the first one.  Merging them gives one object in either order, and
 * nothing lives in it that did not live before.  A write of the one that is
 * retried at the other and replaced there does not live on when they meet.
 */
#include "fuzz/targets.h"

#include "model/arena.h"
#include "model/object.h"

static struct dyn_slice
sync_and_encode(const struct dyn_object *a, const struct dyn_object *b,
				struct dyn_arena *arena, struct dyn_object *out)
{
	struct dyn_slice encoded;

	FUZZ_REQUIRE(dyn_object_sync(a, b, &arena->allocator, out) ==
				 DYN_STATUS_OK);
	FUZZ_REQUIRE(dyn_object_check(out));
	FUZZ_REQUIRE(dyn_object_encode(out, &arena->allocator, &encoded) ==
				 DYN_STATUS_OK);
	return encoded;
}

static bool
has_dot(const struct dyn_object *object, struct dyn_dot dot)
{
	for (uint32_t i = 0; i < object->version_count; i++)
		if (dyn_dot_compare(object->versions[i].dot, dot) == 0)
			return true;
	return false;
}

static void
check_sync(const struct dyn_object *a, const struct dyn_object *b,
		   struct dyn_arena *arena)
{
	struct dyn_object ab;
	struct dyn_object ba;
	struct dyn_object again;
	struct dyn_slice one = sync_and_encode(a, b, arena, &ab);
	struct dyn_slice other = sync_and_encode(b, a, arena, &ba);

	FUZZ_REQUIRE(dyn_slice_equal(one, other));
	FUZZ_REQUIRE(dyn_slice_equal(one, sync_and_encode(&ab, a, arena, &again)));
	FUZZ_REQUIRE(dyn_slice_equal(one, sync_and_encode(&ab, b, arena, &again)));
	FUZZ_REQUIRE(dyn_clock_descends(&ab.context, &a->context));
	FUZZ_REQUIRE(dyn_clock_descends(&ab.context, &b->context));
	for (uint32_t i = 0; i < ab.version_count; i++)
		FUZZ_REQUIRE(has_dot(a, ab.versions[i].dot) ||
					 has_dot(b, ab.versions[i].dot));
}

static bool
has_row(const struct dyn_object *object, const struct dyn_version *row)
{
	for (uint32_t i = 0; i < object->version_count; i++)
		if (dyn_request_id_compare(&object->versions[i].request,
								   &row->request) == 0 &&
			dyn_slice_equal(object->versions[i].value, row->value))
			return true;
	return false;
}

static void
check_retry(const struct dyn_object *a, const struct dyn_object *b,
			struct dyn_arena *arena)
{
	const struct dyn_actor actor = { 1, 1 };
	const struct dyn_version *row = a->versions;
	struct dyn_update retry = { .request = row->request,
								.values = &row->value,
								.value_count = 1,
								.is_retry = true };
	struct dyn_update delete = { .request = { { 1 } } };
	struct dyn_object retried;
	struct dyn_object gone;
	struct dyn_object met;

	if (dyn_object_put(b, &retry, actor, &arena->allocator, &retried) !=
		DYN_STATUS_OK)
		return; /* it knows of too many others */
	check_sync(a, &retried, arena);
	delete.context = &retried.context;
	FUZZ_REQUIRE(dyn_object_put(&retried, &delete, actor, &arena->allocator,
								&gone) == DYN_STATUS_OK);
	check_sync(a, &gone, arena);
	(void) sync_and_encode(a, &gone, arena, &met);
	FUZZ_REQUIRE(!has_row(&met, row));
}

void
fuzz_sync(const uint8_t *data, size_t size)
{
	struct dyn_arena arena;
	struct dyn_object a;
	struct dyn_object b;
	size_t first;

	if (size < 2)
		return;
	first = (size_t) data[0] | (size_t) data[1] << 8;
	if (first > size - 2)
		return;
	dyn_arena_init(&arena, dyn_allocator_malloc(), 0);
	if (dyn_object_decode((struct dyn_slice){ data + 2, first },
						  &arena.allocator, &a) == DYN_STATUS_OK &&
		dyn_object_decode(
			(struct dyn_slice){ data + 2 + first, size - 2 - first },
			&arena.allocator, &b) == DYN_STATUS_OK)
	{
		check_sync(&a, &b, &arena);
		if (a.version_count != 0)
			check_retry(&a, &b, &arena);
	}
	dyn_arena_destroy(&arena);
}
