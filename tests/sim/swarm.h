/*-------------------------------------------------------------------------
 *
 * swarm.h
 *      The parameters of one run, drawn from its seed.
 *
 * Each seed turns some faults on and others off ("swarm testing"): a run with
 * all of them at once hides what only shows when one is missing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_SWARM_H
#define DYN_TESTS_SWARM_H

#include <stdbool.h>
#include <stdint.h>

/* Rates are of a million, periods are means, 0 = never. */
struct dyn_swarm
{
	/* cluster */
	uint32_t node_count;
	uint8_t n;
	uint8_t r;
	uint8_t w;
	uint16_t partition_count;
	uint32_t hedge_ms;
	uint32_t heartbeat_ms;
	uint32_t request_timeout_ms;
	uint32_t requests_max;
	uint32_t keys_max;

	/* load */
	uint64_t duration_ms;
	uint32_t client_count;
	uint32_t key_count;
	uint32_t think_ms;
	uint32_t hot_rate;   /* operations that go to the first key */
	uint32_t blind_rate; /* writes without a context */
	uint32_t stale_rate; /* writes with an old context */
	uint32_t row_rate;   /* contexts that are one row's */
	uint32_t delete_rate;
	uint32_t mode_rate;  /* CREATE, GUARDED, REPLACE */
	uint32_t write_rate; /* actions that write */
	uint32_t batch_max;
	uint32_t value_size_max;
	uint32_t retry_rate; /* attempts that are followed by another */
	uint32_t late_retry_rate;
	uint32_t own_quorum_rate; /* requests with an R or W of their own */

	/* network */
	uint32_t delay_ms_max;
	uint32_t tail_ms_max;
	uint32_t tail_rate;
	uint32_t drop_rate;
	uint32_t duplicate_rate;
	uint32_t damage_rate;
	bool reorder; /* frames of one connection may overtake each other */
	uint32_t flap_period_ms;
	uint32_t partition_period_ms;
	uint32_t partition_ms_max;

	/* nodes */
	uint32_t crash_period_ms;
	uint32_t down_ms_max;
	uint32_t pause_period_ms;
	uint32_t pause_ms_max;
	uint32_t drift_per_mille; /* clocks run up to so much fast or slow */

	/* stores */
	uint32_t commit_ms_max;
	uint32_t read_ms_max;
	uint32_t slow_ms_max;
	uint32_t slow_rate;
	uint32_t abort_rate;
	uint32_t io_error_rate;
	uint32_t full_period_ms;
	uint32_t full_ms_max;
	uint32_t fail_period_ms; /* the disk fails: the node stops */
	uint32_t damage_period_ms;
};

void dyn_swarm_draw(struct dyn_swarm *self, uint64_t seed);

/* A calm cluster of three, for scenarios. */
void dyn_swarm_calm(struct dyn_swarm *self);

#endif
