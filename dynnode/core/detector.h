/*-------------------------------------------------------------------------
 *
 * detector.h
 *      Does a peer still live?  An opinion from what was heard of it.
 *
 * Phi accrual (Hayashibara et al. 2004): phi = -log10 of the probability that
 * a heartbeat comes later than this, from a normal distribution fitted to the
 * last gaps between them.  A peer is suspected at phi >= 8; there the quantile
 * of the normal distribution is 5.612, so no logarithm is needed.  A floor on
 * the deviation keeps a very regular peer from being suspected for one late
 * frame.
 *
 * Beside that, evidence of the data path: three requests in a row that nobody
 * answered make a suspect for a while; then one more request is a probe, and
 * one more failure renews the suspicion.  Any answer ends it, a refusal too:
 * who is overloaded is not down.
 *
 * When this node's own loop stood still (a stopped process, a starved machine),
 * nothing could be heard: that time does not count (Lifeguard's lesson).
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_DETECTOR_H
#define DYN_CORE_DETECTOR_H

#include "model/types.h"

enum
{
	DYN_DETECTOR_GAPS = 64,         /* remembered */
	DYN_DETECTOR_FAILURES_MAX = 3,  /* in a row, then suspected */
	DYN_DETECTOR_SUSPECT_MS = 5000, /* for their sake */
	DYN_DETECTOR_GAP_CAP_MS = 60000 /* a longer one is no rhythm */
};

struct dyn_detector
{
	uint32_t interval_ms; /* at which heartbeats are expected */
	uint32_t silence_max_ms;
	uint64_t heard_at_ms; /* anything */
	uint64_t beat_at_ms;  /* the last heartbeat; 0 = none yet */
	uint16_t gaps[DYN_DETECTOR_GAPS];
	uint32_t gap_count;
	uint32_t gap_next;
	uint64_t sum;
	uint64_t square_sum;
	uint32_t failures; /* of the data path, in a row */
	uint64_t suspect_until_ms;
	/* How long the peer takes to answer a request: smoothed, in 1/8 ms, with
	 * its mean deviation (as TCP does it, RFC 6298). */
	uint32_t answer_ms8;
	uint32_t answer_deviation_ms8;
};

/* A connection stands: everything starts anew. No silence longer than
 * silence_max_ms is believed, whatever the rhythm. */
void dyn_detector_start(struct dyn_detector *self, uint32_t interval_ms,
						uint32_t silence_max_ms, uint64_t now_ms);

/* Any frame; a heartbeat. */
void dyn_detector_heard(struct dyn_detector *self, uint64_t now_ms);
void dyn_detector_beat(struct dyn_detector *self, uint64_t now_ms);

/* A request was answered after so long; or not at all. */
void dyn_detector_answered(struct dyn_detector *self, uint64_t took_ms);
void dyn_detector_failed(struct dyn_detector *self, uint64_t now_ms);

/* This node itself could not listen for so long. */
void dyn_detector_forgive(struct dyn_detector *self, uint64_t lag_ms,
						  uint64_t now_ms);

/* Nothing was heard for too long; or that, or the data path failed. */
bool dyn_detector_is_silent(const struct dyn_detector *self, uint64_t now_ms);
bool dyn_detector_suspects(const struct dyn_detector *self, uint64_t now_ms);

/* After how long an answer is so late that somebody else should be asked:
 * between floor_ms and a second. */
uint32_t dyn_detector_patience_ms(const struct dyn_detector *self,
								  uint32_t floor_ms);

#endif
