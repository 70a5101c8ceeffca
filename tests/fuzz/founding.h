/*-------------------------------------------------------------------------
 *
 * founding.h
 *      What a node of a cluster of three has stored and heard when the
 *      cluster stands.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TESTS_FUZZ_FOUNDING_H
#define TESTS_FUZZ_FOUNDING_H

#include "core/node.h"
#include "tests/sim/simdisk.h"

enum
{
	FOUNDING_NODES = 3
};

struct founding
{
	struct dyn_simdisk *disk;                  /* of node 0 */
	struct dyn_slice welcomes[FOUNDING_NODES]; /* of 1 and 2: bodies */
	struct dyn_node_config config;             /* of node 0 */
};

/* n is 2 or 3. Made by the first call; the same for ever. */
const struct founding *founding_get(uint8_t n);

#endif
