/*-------------------------------------------------------------------------
 *
 * plan.h
 *		What the planner hands to the executor: plain nodes, nothing of the
 *		cluster's state, so that a cached plan stays right.
 *
 * fdw_private of a ForeignScan: a list of two integer lists: how each of
 * fdw_exprs restricts the key (DynamoKeyTest), and flags (DynamoScanFlag).
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYNFDW_PLAN_H
#define DYNFDW_PLAN_H

#include "postgres.h"

typedef enum DynamoKeyTest
{
	DYNAMO_KEY_EQUALS,			/* exact: a multi-get */
	DYNAMO_KEY_ANY,				/* an array of keys: exact */
	DYNAMO_KEY_MIN,				/* a superset: the filter stays */
	DYNAMO_KEY_MAX,
	DYNAMO_KEY_PREFIX,
	DYNAMO_KEY_LIKE				/* a pattern: its fixed beginning */
} DynamoKeyTest;

typedef enum DynamoScanFlag
{
	DYNAMO_SCAN_KEYS_ONLY = 1	/* values are not wanted */
} DynamoScanFlag;

#endif
