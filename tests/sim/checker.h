/*-------------------------------------------------------------------------
 *
 * checker.h
 *      Judges a history: was anything lost, invented, or brought back?
 *
 * Causality comes from what a client had read when it wrote, never from the
 * servers' clocks:
 *
 *     past(v)        the vids that the writer of v had seen, and their pasts
 *     covered by S   S, the pasts of S, and what deletes have seen
 *
 *     C1 lost         an acknowledged write is covered by the final state
 *     C2 invented     a read returns only what was written to the key before
 *                     the read ended, and was not definitely refused
 *     C3 resurrected  nothing final lies in the past of an effective write
 *     C4 antichain    no version returned lies in the past of another
 *     C9 fresh        with R + W > N a read covers every write that was
 *                     acknowledged before it began, and returns nothing of
 *                     that write's past
 *     C10 monotonic   a client's next read covers what it read before, as far
 *                     as that was acknowledged
 *     C12 modes       CREATE and GUARDED succeed only when what they did not
 *                     cover was not acknowledged before
 *
 * Where the last write wins, writes that know nothing of each other may be
 * lost, so C1, C4, C9, C10 and C12 give way to
 *
 *     L1 one          never more than one version is returned
 *     L2 last         what is read (or left at the end, or met by a CREATE) is
 *                     no write that had ended before an acknowledged one
 *                     began, as far as the wall clocks can be believed; and it
 *                     is not nothing when nobody deleted
 *     C9              still nothing of the past of a write that was met
 *
 * Where values have a time to live, one whose time may be up may be missing
 * anywhere, and
 *
 *     T1 over         none is returned whose time was up before the read began
 *
 * A write with `repeated` set may stand under two dots; a version of it that
 * comes back is counted as a repeat, not as a violation.  One that is `exact`
 * comes back in one case only: all who replaced it had read its first attempt's
 * copy, and not that of its retry, which stays (model/object.h).  That is a
 * residue, and counted, when the write was not acknowledged yet as they read
 * it, or R + W <= N; else a violation.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_CHECKER_H
#define DYN_TESTS_CHECKER_H

#include "tests/sim/history.h"

/* rule is "C1", ...; text says which key, vid and operation. */
typedef void (*dyn_checker_report)(void *context, const char *rule,
								   const char *text);

struct dyn_checker_counts
{
	uint64_t writes_acknowledged;
	uint64_t writes_unknown;
	uint64_t reads;
	uint64_t reads_strict;
	uint64_t repeats;       /* applied twice, within what is documented */
	uint64_t residues;      /* stayed, as who replaced it had not read it */
	uint64_t reads_stepped; /* a strict read went behind an unacknowledged
							 * write that the client had seen */
	/* Reads that missed a write acknowledged before they began, as R + W <= N
	 * (or a fallback that stood in) allows. */
	uint64_t reads_stale;
	uint64_t violations;
};

void dyn_checker_run(const struct dyn_history *history, uint8_t n,
					 dyn_checker_report report, void *context,
					 struct dyn_checker_counts *counts);

#endif
