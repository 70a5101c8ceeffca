/*-------------------------------------------------------------------------
 *
 * rigreap.h
 *      A corerig in which deletes are removed soon after their grace.
 *
 * Keys are of bucket "cart", and their owners are nodes 0 .. 2: when there is
 * a fourth, a test chooses keys that it does not own.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_RIGREAP_H
#define DYN_TESTS_RIGREAP_H

#include "corerig.h"

enum
{
	RIGREAP_OWNERS = 3,
	RIGREAP_GRACE_MS = 1000,
	RIGREAP_EVERY_MS = 500,
	RIGREAP_WALL_MS = 1000000 /* what all clocks show at first */
};

/* A cluster of so many nodes, which has run for so long; no anti-entropy. */
struct corerig *rigreap_new(uint32_t nodes, uint64_t run_ms);

/* So long passes by all wall clocks; then the cluster runs. */
void rigreap_pass(struct corerig *rig, uint64_t wall_ms, uint64_t run_ms);

/* The same record on all owners' disks (size 0 removes it); on how many of
 * them there is one. */
void rigreap_put(struct corerig *rig, const char *key, struct dyn_slice object);
uint32_t rigreap_count(struct corerig *rig, const char *key);

#endif
