/*-------------------------------------------------------------------------
 *
 * credit.h
 *      How much background work others may have under way here.
 *
 * A node that comes back is met by everybody who kept hints for it.  So the
 * receiver grants: each heartbeat tells how many bytes that peer may have on
 * their way here, an equal share of a budget that is halved while this node's
 * own commits take long and grows back step by step while they do not
 * (DESIGN: foreground first).  A sender has one slice under way, never larger
 * than the last grant; a grant of 0 says wait.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_CREDIT_H
#define DYN_CORE_CREDIT_H

#include "model/types.h"

struct dyn_node;

enum
{
	DYN_CREDIT_MAX = 4 * 1024 * 1024, /* bytes, from all peers together */
	DYN_CREDIT_MIN = 64 * 1024,
	DYN_CREDIT_SLICE_MAX = 512 * 1024, /* one slice */
	DYN_CREDIT_COMMITS = 64            /* looked at together */
};

struct dyn_credit
{
	uint64_t budget; /* bytes */
	/* Of the commits since the last look: the slowest ones. */
	uint32_t commit_count;
	uint32_t slow_count;
};

void dyn_credit_init(struct dyn_credit *self);

/* A commit took so long from being handed to the store. */
void dyn_credit_commit(struct dyn_node *node, uint64_t took_ms);

/* What one peer may have under way: 0 while the store takes no writes. */
uint64_t dyn_credit_grant(const struct dyn_node *node);

#endif
