/*-------------------------------------------------------------------------
 *
 * nemesis.h
 *      Trouble, by the seed's dice: each kind comes back after a random time.
 *
 * Each kind has a stream of its own, so that taking one away leaves the
 * others as they were.
 *
 * Damage and loss of disks stay within a budget (atlas.c): nothing that any
 * disk holds is lost, because the others hold it, too.  So whatever is lost
 * is a bug, and not bad luck.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_NEMESIS_H
#define DYN_TESTS_NEMESIS_H

#include "tests/sim/world.h"

/* X(name, parameter with its mean period) */
#define DYN_NEMESIS_MAP(X)                                                     \
	X(CRASH, crash_period_ms)                                                  \
	X(CRASH_ALL, crash_all_period_ms)                                          \
	X(SNIPE, snipe_period_ms)                                                  \
	X(STORM, storm_period_ms)                                                  \
	X(PAUSE, pause_period_ms)                                                  \
	X(WALL, wall_period_ms)                                                    \
	X(FLAP, flap_period_ms)                                                    \
	X(CLOG, clog_period_ms)                                                    \
	X(PARTITION, partition_period_ms)                                          \
	X(FULL, full_period_ms)                                                    \
	X(FAIL, fail_period_ms)                                                    \
	X(DAMAGE, damage_period_ms)                                                \
	X(EMPTY, empty_period_ms)                                                  \
	X(ROLLBACK, rollback_period_ms)                                            \
	X(CLONE, clone_period_ms)                                                  \
	X(HALT, halt_period_ms)

enum dyn_nemesis
{
#define DYN_NEMESIS_ENUM(name, period) DYN_NEMESIS_##name,
	DYN_NEMESIS_MAP(DYN_NEMESIS_ENUM)
#undef DYN_NEMESIS_ENUM
		DYN_NEMESIS_COUNT
};

/* At which effect of a node the sniper shoots. */
enum dyn_snipe
{
	DYN_SNIPE_NOT,
	DYN_SNIPE_STORE, /* a STORE of records */
	DYN_SNIPE_SEND,  /* a REPLICATE */
	DYN_SNIPE_REPLY  /* an answer to a client */
};

/* At what a node stands still. */
enum dyn_halt
{
	DYN_HALT_NOT,
	DYN_HALT_PUT,   /* a client's PUT is in its socket */
	DYN_HALT_LOAD,  /* ... was begun, and waits for its record */
	DYN_HALT_STORE, /* ... waits for its commit */
	DYN_HALT_CUT    /* as PUT, but only the other nodes are out of reach */
};

/* It stands still for so long. */
void dyn_nemesis_stop(struct dyn_world *world, uint32_t node, uint64_t ms);
/* The moment has come, if it was waited for. */
void dyn_nemesis_halt_now(struct dyn_world *world, uint32_t node,
						  enum dyn_halt moment);

void dyn_nemesis_begin(struct dyn_world *world);
void dyn_nemesis_strike(struct dyn_world *world, uint32_t kind);

/* ---- nemesis_net.c ---- */
void dyn_nemesis_partition(struct dyn_world *world,
						   struct dyn_simrandom *random);
void dyn_nemesis_clog(struct dyn_world *world, struct dyn_simrandom *random);
void dyn_nemesis_flap(struct dyn_world *world, struct dyn_simrandom *random);
/* The next of its losses (DYN_WORLD_FLAP). */
void dyn_nemesis_flap_again(struct dyn_world *world, uint32_t who,
							uint64_t left);

/* ---- nemesis_disk.c; false when the budget allows no such strike ---- */
bool dyn_nemesis_damage(struct dyn_world *world, uint32_t node,
						struct dyn_simrandom *random);
bool dyn_nemesis_empty(struct dyn_world *world, uint32_t node,
					   struct dyn_simrandom *random);
bool dyn_nemesis_roll_back(struct dyn_world *world, uint32_t node,
						   struct dyn_simrandom *random);
/* Is this node a clone, or one that a clone was made of? */
bool dyn_nemesis_has_twin(const struct dyn_world *world, uint32_t node);
void dyn_nemesis_end_clone(struct dyn_world *world);
bool dyn_nemesis_clone(struct dyn_world *world, uint32_t node,
					   struct dyn_simrandom *random);

/* ---- atlas.c: the budget ---- */

/* Would all that this node's disk holds still be known if it held `instead`
 * (NULL = nothing)?  By dots and bytes, of records and hints alike. */
bool dyn_atlas_may_lose(struct dyn_world *world, uint32_t node,
						const struct dyn_simdisk *instead);
/* ... if one record were unreadable? */
bool dyn_atlas_may_damage(struct dyn_world *world, uint32_t node,
						  const struct dyn_simrecord *record);

#endif
