/*-------------------------------------------------------------------------
 *
 * simstore_job.h
 *      One submitted effect of a simulated store, on its way to an event.
 *
 * Private to simstore*.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_SIMSTORE_JOB_H
#define DYN_TESTS_SIMSTORE_JOB_H

#include "core/effect.h"
#include "core/event.h"
#include "model/arena.h"
#include "tests/sim/simreal.h"

struct dyn_simjob
{
	struct dyn_simjob *next;
	enum dyn_effect_type type;
	uint64_t token;
	uint64_t ready_at_ms;
	uint64_t serial; /* order among equals */

	/* STORE: the writes; LOAD and SCAN: what was found */
	enum dyn_table *tables;
	struct dyn_simrecord *records;
	enum dyn_loaded_state *states;
	uint32_t record_count;
	enum dyn_status status;

	uint64_t *hashes; /* TREE */

	/* LOAD, SCAN, TREE: the request, kept until the snapshot is taken */
	struct dyn_effect request;
	struct dyn_arena arena; /* of the request */
	bool taken;
	bool end;
	struct dyn_record_key last; /* SCAN: where it ended before the end */
	uint32_t damaged;           /* ... and how many damaged ones behind that */

	/* What the real store says, when there is one. */
	struct dyn_simreal *real;
	struct dyn_simanswer answer;
};

/* Copies what it needs of the effect. */
struct dyn_simjob *dyn_simjob_new(const struct dyn_effect *effect);
void dyn_simjob_free(struct dyn_simjob *self);

/* A record of the answer: what `record` holds when it was found. */
void dyn_simjob_add_found(struct dyn_simjob *self,
						  const struct dyn_record_key *key,
						  const struct dyn_simrecord *record,
						  enum dyn_loaded_state state, bool hash_only);

void dyn_simjob_drop_found(struct dyn_simjob *self);

/* Bucket and key in one piece, owned through the bucket's pointer. */
struct dyn_record_key dyn_simjob_own_key(const struct dyn_record_key *key,
										 bool meta);

/* What its records take on the modelled disk. */
uint64_t dyn_simjob_size(const struct dyn_simjob *self);

/* ---- in order ---- */

struct dyn_simjobs
{
	struct dyn_simjob *first;
	struct dyn_simjob **last;
};

void dyn_simjobs_init(struct dyn_simjobs *self);
void dyn_simjobs_push(struct dyn_simjobs *self, struct dyn_simjob *job);
struct dyn_simjob *dyn_simjobs_pop(struct dyn_simjobs *self);

/* place points to the job. */
void dyn_simjobs_unlink(struct dyn_simjobs *self, struct dyn_simjob **place);
void dyn_simjobs_free(struct dyn_simjobs *self);

#endif
