/*-------------------------------------------------------------------------
 *
 * rigstore.h
 *      The simple store of a core in a unit test.
 *
 * A sorted array of records with the leaves of the hash tree beside it; a test
 * may put records, and items of the tree without records, into it directly.
 * Completions are written into an event, what they point to into its arena.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_RIGSTORE_H
#define DYN_TESTS_RIGSTORE_H

#include "core/effect.h"
#include "core/event.h"
#include "model/arena.h"

enum
{
	CORERIG_META_MAX = 8
};

struct corerig_record
{
	char *bucket;
	char *key;
	uint16_t cell;
	uint32_t leaf; /* of the tree, where it hangs, and as what */
	uint64_t item;
	uint64_t hash;
	uint64_t held_at_ms;
	uint8_t flags;
	uint8_t slots;
	bool damaged;
	uint8_t *object;
	size_t object_size;
};

struct corerig_store
{
	struct corerig_record *records; /* sorted by bucket, cell, key */
	uint32_t count;
	uint32_t capacity;
	uint64_t *leaves;
	bool stalls; /* reads are not answered */
	/* Beside its place there is damage, as long as it has no record. */
	const char *doubted;
	/* Damage, as long as there is some, stops each page that is not
	 * for_damage. */
	bool spoils;
	bool aborts; /* commits are given up */
	struct
	{
		char name[32];
		uint8_t *bytes;
		size_t size;
	} meta[CORERIG_META_MAX];
	uint32_t writes; /* of records, by STOREs */
};

void rigstore_init(struct corerig_store *store);
void rigstore_free(struct corerig_store *store);

/* A record of the main table or of the hints (object empty: it goes), with its
 * tree; a record of the meta table. */
void rigstore_put(struct corerig_store *store, const struct dyn_write *write);
void rigstore_put_meta(struct corerig_store *store,
					   const struct dyn_write *write);

/* NULL when there is none. */
struct corerig_record *rigstore_find(struct corerig_store *store,
									 struct dyn_slice bucket, uint16_t cell,
									 struct dyn_slice key);

/* Are the leaves those of the records? */
bool rigstore_tree_is_right(const struct corerig_store *store);

/* ---- effects ---- */

void rigstore_write(struct corerig_store *store, struct corerig_store *hints,
					const struct dyn_effect *effect, struct dyn_event *event);
void rigstore_load(const struct corerig_store *store,
				   const struct dyn_effect *effect, struct dyn_event *event,
				   struct dyn_arena *arena);
/* Bytes are not counted. */
void rigstore_scan(const struct corerig_store *store,
				   const struct dyn_effect *effect, struct dyn_event *event,
				   struct dyn_arena *arena);
void rigstore_tree(const struct corerig_store *store,
				   const struct dyn_effect *effect, struct dyn_event *event,
				   struct dyn_arena *arena);

#endif
