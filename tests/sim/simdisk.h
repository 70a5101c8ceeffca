/*-------------------------------------------------------------------------
 *
 * simdisk.h
 *      What a simulated store has on its disk: committed records only.
 *
 * A disk outlives the store that writes to it, as a file outlives a process:
 * the simulator keeps one for each node across crashes, and the checker looks
 * into all of them.
 *
 * The hash tree of the main table is kept as the real store does it: by what
 * a write replaces and what it brings, and computed anew only for the branch
 * of a record whose damage hides what is replaced.
 *
 * Records are kept in the order of the real store (bucket, cell, key), so a
 * scan is a walk.  Values are shared and never changed in place: a reader
 * that holds one keeps it through later commits.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_SIMDISK_H
#define DYN_TESTS_SIMDISK_H

#include "core/effect.h"

/* An immutable value with a count of its holders. */
struct dyn_simblob
{
	uint32_t holder_count;
	uint32_t size;
	uint8_t data[];
};

struct dyn_simrecord
{
	struct dyn_record_key key; /* bucket empty in DYN_TABLE_META */
	uint64_t hash;
	uint64_t held_at_ms;
	uint8_t slots; /* of a hint */
	uint8_t flags;
	bool corrupt;      /* damaged on disk: a checksum does not match */
	bool headless;     /* ... that of its head: it cannot even say what it is */
	uint8_t *true_key; /* headless for its key is damaged: it was this one,
						* of the same size; NULL = no such damage */
	bool restored;     /* a write beside it mended its key, and it was not
						* written since: whoever loaded it before knows of
						* damage only */
	struct dyn_simblob *object;
};

/* The writes of one STORE. An object that is NULL removes the record. */
struct dyn_simbatch
{
	enum dyn_table *tables;
	struct dyn_simrecord *records;
	uint32_t count;
};

struct dyn_simdisk;
struct dyn_simreal;

struct dyn_simdisk *dyn_simdisk_new(void);

/* With a real store (simreal.h), of which it becomes the owner: whatever comes
 * to the disk is done there as well. */
struct dyn_simdisk *dyn_simdisk_new_beside(struct dyn_simreal *real);

/* The same disk as it is now, damage included; with a copy of the real store
 * when there is one. */
struct dyn_simdisk *dyn_simdisk_copy(const struct dyn_simdisk *from);
void dyn_simdisk_free(struct dyn_simdisk **self);

/* All records of a table, in order. Pointers live until the next write. */
uint32_t dyn_simdisk_count(const struct dyn_simdisk *self,
						   enum dyn_table table);
const struct dyn_simrecord *dyn_simdisk_at(const struct dyn_simdisk *self,
										   enum dyn_table table,
										   uint32_t index);

/* The size of the largest object that was ever written to it. */
uint32_t dyn_simdisk_largest(const struct dyn_simdisk *self);

/* NULL when there is no such record.  One whose key is damaged is found where a
 * search for its true key meets it. */
const struct dyn_simrecord *dyn_simdisk_get(const struct dyn_simdisk *self,
											enum dyn_table table,
											const struct dyn_record_key *key);

/* Index of the first record not before this key. */
uint32_t dyn_simdisk_seek(const struct dyn_simdisk *self, enum dyn_table table,
						  const struct dyn_record_key *key);

/* There is no such record, and no damage beside its place that might hide it. */
bool dyn_simdisk_is_absent(const struct dyn_simdisk *self, enum dyn_table table,
						   const struct dyn_record_key *key);

/* One commit: of two writes of a place the later one counts.  Takes holds of
 * objects; copies of the rest. */
void dyn_simdisk_commit(struct dyn_simdisk *self,
						const struct dyn_simbatch *batches, uint32_t count);

/* ... of one write. */
void dyn_simdisk_put(struct dyn_simdisk *self, enum dyn_table table,
					 const struct dyn_simrecord *record);

/* Damage one record of the main table, its object or its head; a later write
 * of it heals it. */
void dyn_simdisk_corrupt(struct dyn_simdisk *self, uint32_t index, bool head);

/* A byte of its key, so that it stands where it stood.  False when that cannot
 * be, or it is damaged. */
bool dyn_simdisk_misname(struct dyn_simdisk *self, uint32_t index);

/* Where it stood before its key was damaged. */
struct dyn_record_key dyn_simrecord_place(const struct dyn_simrecord *self);

/* The hash of a node of the tree. */
uint64_t dyn_simdisk_tree_hash(const struct dyn_simdisk *self,
							   enum dyn_tree_level level, uint32_t node);

/* Leaves that are not those of the records; branches in which a record
 * with a damaged head hangs are not looked at. */
uint32_t dyn_simdisk_tree_wrong(const struct dyn_simdisk *self);

/* NULL when there is none. */
struct dyn_simreal *dyn_simdisk_real(const struct dyn_simdisk *self);

/* What the real store has otherwise than the disk, or said otherwise once;
 * NULL when there is nothing.  Lives until the next call. */
const char *dyn_simdisk_drift(const struct dyn_simdisk *self);

/* A full disk refuses every commit. */
void dyn_simdisk_set_full(struct dyn_simdisk *self, bool full);
bool dyn_simdisk_is_full(const struct dyn_simdisk *self);

/* Counts the commits, so that a watcher knows when to look again. */
uint64_t dyn_simdisk_version(const struct dyn_simdisk *self);

struct dyn_simblob *dyn_simblob_new(struct dyn_slice bytes);
struct dyn_simblob *dyn_simblob_hold(struct dyn_simblob *self);
void dyn_simblob_release(struct dyn_simblob *self);
struct dyn_slice dyn_simblob_slice(const struct dyn_simblob *self);

/* The order of records: bucket, cell, key. */
int dyn_record_key_compare(const struct dyn_record_key *a,
						   const struct dyn_record_key *b);

/* malloc that never returns NULL: a simulator without memory stops. */
void *dyn_sim_allocate(size_t size);
void *dyn_sim_grow(void *memory, size_t size);

#endif
