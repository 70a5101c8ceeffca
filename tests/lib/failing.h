/*-------------------------------------------------------------------------
 *
 * failing.h
 *      An allocator that fails at the n-th call, and counts what is not
 *      given back.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TESTS_FAILING_H
#define TESTS_FAILING_H

#include "model/types.h"

struct failing
{
	struct dyn_allocator allocator;
	long calls_left; /* until NULL is returned; negative = never */
	long live;       /* pieces handed out and not released */
	long calls;      /* that were granted */
	size_t size;     /* of all that was granted */
};

void failing_init(struct failing *self, long calls_left);

#endif
