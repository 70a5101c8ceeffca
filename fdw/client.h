/*-------------------------------------------------------------------------
 *
 * client.h
 *      One function for each thing the extension asks of a cluster.
 *
 * Above this header nobody sees a socket, a frame or a message of the
 * protocol; below it nobody sees a planner or executor node.  Values, clocks
 * and objects are those of dynnode/model.
 *
 * Everything here may ereport(ERROR): with the cluster's status mapped to an
 * SQLSTATE by error.c, or because of a cancel, a timeout or termination.
 * After an error the connection stays usable: late answers are dropped by
 * their correlation.  Nothing connects before the first request.
 *
 * Results live in the memory context that is current at the call.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYNFDW_CLIENT_H
#define DYNFDW_CLIENT_H

#include "postgres.h"

#include "model/object.h"
#include "model/types.h"

/* A cluster as one (server, user mapping) names it; lives as long as the
 * backend, begins anew when ALTER SERVER names other nodes. Never NULL. */
typedef struct DynamoCluster DynamoCluster;

extern DynamoCluster *dynfdw_cluster(Oid serverid, Oid userid);

/* How a request is to be made, settings and options resolved; zero = the
 * server's own, or the cluster's. */
typedef struct DynamoRequestOptions
{
	int			r;
	int			w;
	int			timeout_ms;		/* of one request: longest time without news */
	int			limit_ms;		/* of a whole multi-put; 0 = none */
} DynamoRequestOptions;

/* What a statement has cost so far, for EXPLAIN ANALYZE; added to. */
typedef struct DynamoRequestStats
{
	uint64		round_trips;	/* times the backend waited for the cluster */
	uint64		messages;		/* frames sent */
	uint64		keys;			/* keys asked for or sent */
	uint64		bytes_received;
	uint64		bytes_sent;
	uint64		coordinated;	/* keys on which owners disagreed */
	uint64		cells_equal;	/* scanned from one copy: owners hold the same */
	uint64		cells_merged;	/* scanned from all owners asked */
} DynamoRequestStats;

/*
 * Read keys: directly from R owners each, all at once; those on which they
 * disagree again through a coordinator.  objects[i] belongs to keys[i], as
 * readers are shown it now (model/object.h: view); version_count 0 when there
 * is no such key (or nothing of it is shown: then its context is not empty).
 * Keys must be distinct.
 */
extern void dynfdw_multi_get(DynamoCluster *cluster, struct dyn_slice bucket,
							 const struct dyn_slice *keys, int nkeys,
							 const DynamoRequestOptions *options,
							 DynamoRequestStats *stats,
							 struct dyn_object *objects);

/* One write. */
typedef enum DynamoPutMode
{
	DYNAMO_PUT_SIBLING = 0,
	DYNAMO_PUT_CREATE = 1,
	DYNAMO_PUT_REPLACE = 2,
	DYNAMO_PUT_GUARDED = 3
} DynamoPutMode;

typedef struct DynamoPut
{
	struct dyn_slice bucket;
	struct dyn_slice key;
	struct dyn_clock context;	/* empty = none */
	struct dyn_slice *values;	/* nvalues 0 = delete */
	int			nvalues;
	DynamoPutMode mode;
	/* outcome, filled in */
	enum dyn_status status;		/* OK, a definite no, or UNKNOWN */
	char	   *text;			/* the node's words on an error, or NULL */
	struct dyn_clock result;	/* context of the object after the put */
	bool		sent;			/* false: no node ever saw it */
} DynamoPut;

/*
 * Send writes in batches to their coordinators, in parallel; wait for all.
 * Fills in the outcomes and does not raise for them (the caller names what
 * was applied, unknown and unsent).  Raises for what ends the waiting itself:
 * a cancel, termination, no cluster to be found, no memory; the outcomes so far
 * are filled in at every moment, UNKNOWN for what was on its way.  Until it
 * was looked at, a put has the status that the caller gave it: ABORTED.
 */
extern void dynfdw_multi_put(DynamoCluster *cluster, DynamoPut *puts,
							 int nputs, const DynamoRequestOptions *options,
							 DynamoRequestStats *stats);

/* What to list of a bucket. */
typedef struct DynamoScanSpec
{
	struct dyn_slice bucket;
	struct dyn_slice key_min;	/* inclusive; size 0 = none */
	struct dyn_slice key_max;	/* inclusive; size 0 = none */
	struct dyn_slice prefix;	/* size 0 = none */
	bool		keys_only;		/* values are not wanted */
	int			rows_hint;		/* about so many rows will be taken; 0 = all */
} DynamoScanSpec;

typedef struct DynamoScan DynamoScan;

/*
 * Stream a bucket, merged from R owners of every partition, in no particular
 * order of keys, with bounded memory (a window of pages).  Lives in the
 * current memory context and cleans up when that is reset; scan_end early is
 * cheap: pages under way are cancelled.
 */
extern DynamoScan *dynfdw_scan_begin(DynamoCluster *cluster,
									 const DynamoScanSpec *spec,
									 const DynamoRequestOptions *options,
									 DynamoRequestStats *stats);

/* Next key of which readers are shown something. Both valid until the next call. */
extern bool dynfdw_scan_next(DynamoScan *scan, struct dyn_slice *key,
							 struct dyn_object *object);
extern void dynfdw_scan_end(DynamoScan *scan);

#endif
