/*-------------------------------------------------------------------------
 *
 * compat.h
 *		What differs between PostgreSQL 14 and 18: the only place that knows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYNFDW_COMPAT_H
#define DYNFDW_COMPAT_H

#include "postgres.h"

#include "foreign/fdwapi.h"
#include "nodes/pathnodes.h"
#include "optimizer/pathnode.h"
#include "storage/latch.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/pg_locale.h"
#include "utils/sampling.h"
#if PG_VERSION_NUM >= 160000
#include "catalog/pg_foreign_server.h"
#include "varatt.h"
#endif
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#include "storage/waiteventset.h"
#endif

#if PG_VERSION_NUM < 140000
#error "dynamo_fdw needs PostgreSQL 14 or later"
#endif

static inline WaitEventSet *
dynfdw_create_wait_event_set(int nevents)
{
#if PG_VERSION_NUM >= 170000
	return CreateWaitEventSet(NULL, nevents);
#else
	return CreateWaitEventSet(TopMemoryContext, nevents);
#endif
}

static inline ForeignPath *
dynfdw_create_scan_path(PlannerInfo *root, RelOptInfo *rel, double rows,
						Cost startup_cost, Cost total_cost,
						Relids required_outer, List *fdw_private)
{
#if PG_VERSION_NUM >= 180000
	return create_foreignscan_path(root, rel, NULL, rows, 0, startup_cost,
								   total_cost, NIL, required_outer, NULL, NIL,
								   fdw_private);
#elif PG_VERSION_NUM >= 170000
	return create_foreignscan_path(root, rel, NULL, rows, startup_cost,
								   total_cost, NIL, required_outer, NULL, NIL,
								   fdw_private);
#else
	return create_foreignscan_path(root, rel, NULL, rows, startup_cost,
								   total_cost, NIL, required_outer, NULL,
								   fdw_private);
#endif
}

/* Do strings of this collation sort like their bytes? */
static inline bool
dynfdw_collation_is_c(Oid collation)
{
#if PG_VERSION_NUM >= 180000
	return OidIsValid(collation) &&
		pg_newlocale_from_collation(collation)->collate_is_c;
#else
	return OidIsValid(collation) && lc_collate_is_c(collation);
#endif
}

static inline void
dynfdw_reserve_guc_prefix(const char *prefix)
{
#if PG_VERSION_NUM >= 150000
	MarkGUCPrefixReserved(prefix);
#else
	EmitWarningsOnPlaceholders(prefix);
#endif
}

/* From 0 to 1, neither included. */
static inline double
dynfdw_sampler_fraction(ReservoirState reservoir)
{
#if PG_VERSION_NUM >= 150000
	return sampler_random_fract(&reservoir->randstate);
#else
	return sampler_random_fract(reservoir->randstate);
#endif
}

static inline AclResult
dynfdw_server_aclcheck(Oid serverid, Oid userid, AclMode mode)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(ForeignServerRelationId, serverid, userid, mode);
#else
	return pg_foreign_server_aclcheck(serverid, userid, mode);
#endif
}

#endif
