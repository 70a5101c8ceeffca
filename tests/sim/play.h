/*-------------------------------------------------------------------------
 *
 * play.h
 *      What scenarios are made of: one thing at a time, then a look.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_PLAY_H
#define DYN_TESTS_PLAY_H

#include "tests/sim/simclient.h"
#include "tests/sim/whitebox.h"

#define EXPECT(condition)                                                      \
	do                                                                         \
	{                                                                          \
		if (!(condition))                                                      \
			dyn_world_violation(world, "scenario", "not so: %s (line %d)",     \
								#condition, __LINE__);                         \
	} while (0)

/* An owner of the key, by rank. */
uint32_t dyn_play_owner(struct dyn_world *world, uint32_t key, uint32_t rank);

/* A write of one value, or a delete, with the context of `read` (or NULL). */
struct dyn_sim_result dyn_play_put(struct dyn_world *world, uint32_t node,
								   uint32_t key,
								   const struct dyn_sim_result *read);
struct dyn_sim_result dyn_play_delete(struct dyn_world *world, uint32_t node,
									  uint32_t key,
									  const struct dyn_sim_result *read);

/* A write, and one attempt at it, as a client makes it that waits for so long:
 * it says until when it may act.  The answer comes when it comes. */
uint32_t dyn_play_write(struct dyn_world *world, uint32_t key,
						enum dyn_history_mode mode, uint32_t value_count,
						const struct dyn_sim_result *read);
void dyn_play_attempt(struct dyn_world *world, uint32_t node, uint32_t op,
					  bool is_retry, uint64_t ms);

/* Read at R, and write one value with what was read. */
struct dyn_sim_result dyn_play_update(struct dyn_world *world, uint32_t node,
									  uint32_t key);

/* How many rows a read of all owners shows. */
uint32_t dyn_play_rows(struct dyn_world *world, uint32_t node, uint32_t key);

/* Does a read of all owners return what this write wrote? */
bool dyn_play_has(struct dyn_world *world, uint32_t node, uint32_t key,
				  const struct dyn_sim_result *write);

/* A counter, over all nodes that run. */
uint64_t dyn_play_sum(const struct dyn_world *world, const char *name);

void dyn_play_pass(struct dyn_world *world, uint64_t ms);

/* The node stays down until it is started; others have noticed. */
void dyn_play_stop(struct dyn_world *world, uint32_t node);
/* ... and everybody has met it again. */
void dyn_play_start(struct dyn_world *world, uint32_t node);

/* What it keeps for others vanishes, too. */
void dyn_play_lose_hints(struct dyn_world *world, uint32_t node);

/* The record vanishes from the node's disk, behind its back. */
void dyn_play_forget(struct dyn_world *world, uint32_t node, uint32_t key);

/* ---- kv679.c ---- */
void dyn_kv679_dataloss(struct dyn_world *world);
void dyn_kv679_dataloss_fb(struct dyn_world *world);
void dyn_kv679_dataloss_fb2(struct dyn_world *world);
void dyn_kv679_tombstone(struct dyn_world *world);
void dyn_kv679_tombstone2(struct dyn_world *world);
void dyn_kv679_uid(struct dyn_world *world);

/* ---- late.c: attempts at writes ---- */
void dyn_late_insert_and_delete(struct dyn_world *world);
void dyn_late_retransmitted(struct dyn_world *world);
void dyn_late_unseen_insert_and_delete(struct dyn_world *world);
void dyn_late_unseen_update_and_update(struct dyn_world *world);
void dyn_late_retry_after_forgetting(struct dyn_world *world);
void dyn_late_after_its_load(struct dyn_world *world);
void dyn_late_handed_on(struct dyn_world *world);
void dyn_late_one_of_two_values(struct dyn_world *world);
void dyn_late_twins_go_together(struct dyn_world *world);
void dyn_late_stamp_of_a_twin(struct dyn_world *world);
void dyn_late_stamps_of_retries(struct dyn_world *world);
void dyn_late_acknowledged_on_the_first_copy(struct dyn_world *world);

/* ---- equal.c: anti-entropy ---- */
void dyn_equal_without_reads(struct dyn_world *world);
void dyn_equal_after_a_partition(struct dyn_world *world);
void dyn_equal_under_load(struct dyn_world *world);

/* ---- reaping.c ---- */
void dyn_reaping_delete_and_make_again(struct dyn_world *world);
void dyn_reaping_late_frame(struct dyn_world *world);
void dyn_reaping_waits_for_a_fallback(struct dyn_world *world);
void dyn_reaping_expired_keys(struct dyn_world *world);
void dyn_reaping_prunes(struct dyn_world *world);

/* ---- storm.c ---- */
void dyn_storm_of_hints(struct dyn_world *world);
void dyn_storm_of_repairs(struct dyn_world *world);
void dyn_storm_of_both(struct dyn_world *world);

/* ---- refill.c: disks that were replaced, or went back ---- */
void dyn_refill_emptied_disk(struct dyn_world *world);
void dyn_refill_with_crashes(struct dyn_world *world);
void dyn_refill_beside_damage(struct dyn_world *world);
void dyn_refill_restored_backup(struct dyn_world *world);
void dyn_refill_silent_before_told(struct dyn_world *world);
void dyn_refill_backup_of_two_heartbeats(struct dyn_world *world);
void dyn_refill_contexts(struct dyn_world *world);

/* ---- skewed.c ---- */
void dyn_skewed_nodes(struct dyn_world *world);
void dyn_skewed_reader(struct dyn_world *world);
void dyn_skewed_strangers(struct dyn_world *world);
void dyn_skewed_coordinator_gone(struct dyn_world *world);

/* ---- lastwrite.c ---- */
void dyn_lastwrite_one_is_left(struct dyn_world *world);
void dyn_lastwrite_delete(struct dyn_world *world);
void dyn_lastwrite_chain(struct dyn_world *world);
void dyn_lastwrite_chain_meets_strangers(struct dyn_world *world);

#endif
