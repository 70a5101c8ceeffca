/*-------------------------------------------------------------------------
 *
 * simreal.h
 *      A real store under a simulated disk: the seam.
 *
 * The simulated disk is the model of what the real store does; with one
 * beside it, every commit, every copy and all damage go to both, the readers'
 * answers come from the real one, and must be those of the model.  What they
 * differ in is kept in `drift`.
 *
 * Nothing here knows of time, threads, crashes or full disks: a commit is
 * called for when the simulated one is on disk, or never.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_SIMREAL_H
#define DYN_TESTS_SIMREAL_H

#include "core/event.h"
#include "tests/sim/simdisk.h"

/* What the real store says to a LOAD, SCAN or TREE. */
struct dyn_simanswer
{
	struct dyn_event event;
	void *memory; /* that of the answer */
};

struct dyn_simreal_ops
{
	/* A process starts, ends. */
	void (*open)(struct dyn_simreal *self);
	void (*close)(struct dyn_simreal *self);

	void (*commit)(struct dyn_simreal *self, const struct dyn_simbatch *batches,
				   uint32_t count);
	void (*damage)(struct dyn_simreal *self, const struct dyn_record_key *key,
				   bool head);
	void (*misname)(struct dyn_simreal *self, const struct dyn_record_key *from,
					const struct dyn_record_key *to);

	/* Only while it is open; the effect's lists may be empty. */
	struct dyn_simanswer (*read)(struct dyn_simreal *self,
								 const struct dyn_effect *effect);
	void (*forget)(struct dyn_simanswer *answer);
	enum dyn_status (*read_meta)(struct dyn_simreal *self,
								 const struct dyn_allocator *allocator,
								 struct dyn_slice **names,
								 struct dyn_slice **values, uint32_t *count);
	bool (*count)(struct dyn_simreal *self, enum dyn_table table,
				  uint64_t *count);

	/* Has it all that the disk has, and nothing else? */
	void (*compare)(struct dyn_simreal *self, const struct dyn_simdisk *disk);

	struct dyn_simreal *(*copy)(struct dyn_simreal *self);
	void (*free)(struct dyn_simreal *self);
};

struct dyn_simreal
{
	const struct dyn_simreal_ops *ops;
	char drift[256]; /* the first one; empty = none */
	bool is_told;    /* ... somebody has told of it */
};

/* Only the first one is kept (simstore_real.c). */
void dyn_simreal_note(struct dyn_simreal *self, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
