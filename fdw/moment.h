/*-------------------------------------------------------------------------
 *
 * moment.h
 *		Points in time as the client measures them: until when to wait, when a
 *		frame left, when an attempt is given up.
 *
 * Microseconds of a clock that only goes on.  The wall clock jumps, and what
 * a node was told of an attempt's end would then no longer be when the client
 * leaves it.  That the time of a suspended machine may be missing here is
 * safe: the nodes' clocks go on meanwhile, so an attempt ends too early there.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYNFDW_MOMENT_H
#define DYNFDW_MOMENT_H

#include "postgres.h"

#include <limits.h>
#include <time.h>

typedef int64 DynamoMoment;

#define DYNAMO_NEVER PG_INT64_MAX

static inline DynamoMoment
dynfdw_now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64) time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static inline DynamoMoment
dynfdw_after(DynamoMoment moment, int64 ms)
{
	return moment + ms * 1000;
}

/* Rounded up, so that nobody wakes too early; 0 when it has passed. */
static inline long
dynfdw_ms_until(DynamoMoment from, DynamoMoment until)
{
	int64		us = until - from;

	if (us <= 0)
		return 0;
	return us >= (int64) INT_MAX * 1000 ? INT_MAX : (long) ((us + 999) / 1000);
}

#endif
