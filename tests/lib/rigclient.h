/*-------------------------------------------------------------------------
 *
 * rigclient.h
 *      A client of the nodes of a corerig: writes, as one would send them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_RIGCLIENT_H
#define DYN_TESTS_RIGCLIENT_H

#include "corerig.h"

enum
{
	RIGCLIENT_VALUES_MAX = 4
};

/* What is left out is 0: a delete of "k" in "cart", under a new id. */
struct rigclient_put
{
	const char *bucket;
	const char *key;
	const char *values[RIGCLIENT_VALUES_MAX]; /* the first NULL ends them */
	struct dyn_slice context;
	Dyn__PutMode mode;
	uint32_t w;
	uint8_t id; /* of the request; 0 = one that was never used */
	bool retry;
};

/* What was answered within a second, until the next question; NULL when
 * nothing was, or the request was refused as a whole. */
const Dyn__PutResult *rigclient_put(struct corerig *rig, uint32_t node,
									struct rigclient_put put);

/* Its status; NOT_READY for NULL. */
enum dyn_status rigclient_put_status(struct corerig *rig, uint32_t node,
									 struct rigclient_put put);

#endif
