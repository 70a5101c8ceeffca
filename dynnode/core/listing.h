/*-------------------------------------------------------------------------
 *
 * listing.h
 *      Lists of keys and hashes, by which replicas find the keys that differ.
 *
 * A list is all that one replica holds in some leaves of one cell
 * (model/tree.h), in the order (bucket, key), between two keys.  Both sides
 * make theirs from pages of a SCAN over all buckets.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_LISTING_H
#define DYN_CORE_LISTING_H

#include "core/event.h"
#include "core/state.h"
#include "model/message.h"
#include "model/tree.h"

enum
{
	DYN_LISTING_ITEMS_MAX = 4096, /* of one page */
	DYN_LISTING_BYTES_MAX = 256 * 1024,
	DYN_CELL_LEAVES = DYN_TREE_FANOUT * DYN_TREE_FANOUT
};

/* Some leaves of one cell. */
struct dyn_leaves
{
	uint16_t cell;
	uint32_t bits[DYN_TREE_FANOUT];
};

/* A place between keys of a cell; bucket empty = before the first, or behind
 * the last one. */
struct dyn_bound
{
	struct dyn_slice bucket;
	struct dyn_slice key;
};

struct dyn_listed
{
	struct dyn_slice bucket;
	struct dyn_slice key;
	uint64_t hash; /* 0 = no record */
	bool damaged;
};

struct dyn_list
{
	struct dyn_listed *items;
	uint32_t count;
};

int dyn_listing_compare(struct dyn_slice bucket_a, struct dyn_slice key_a,
						struct dyn_slice bucket_b, struct dyn_slice key_b);

/* False unless they are leaves of one cell, ascending, at least one. */
bool dyn_listing_leaves(const uint32_t *numbers, size_t count,
						struct dyn_leaves *out);

/* The SCAN of a page behind `after`. */
void dyn_listing_scan(struct dyn_node *node, uint64_t token, uint16_t cell,
					  const struct dyn_bound *after);

/* What a page holds in the leaves, not behind `until`; copied. */
struct dyn_list dyn_listing_take(const struct dyn_event *event,
								 const struct dyn_leaves *leaves,
								 const struct dyn_bound *until,
								 struct dyn_arena *arena);

/* How far a page got: empty = to the cell's end. Borrowed. */
struct dyn_bound dyn_listing_end(const struct dyn_event *event);

/* To the wire, borrowing; and from it: false when it is not sound (not in
 * order, outside of the leaves or of what lies between the bounds). */
void dyn_listing_pack(const struct dyn_list *list, struct dyn_arena *arena,
					  Dyn__ListItem ***items);
bool dyn_listing_unpack(Dyn__ListItem **items, size_t count,
						const struct dyn_leaves *leaves,
						const struct dyn_bound *after,
						const struct dyn_bound *until, struct dyn_arena *arena,
						struct dyn_list *out);

#endif
