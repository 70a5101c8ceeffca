/*-------------------------------------------------------------------------
 *
 * dynamo_fdw.h
 *		What the files of the extension share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYNAMO_FDW_H
#define DYNAMO_FDW_H

#include "postgres.h"

#include "client.h"
#include "commands/explain.h"
#include "compat.h"
#include "foreign/fdwapi.h"
#include "nodes/pathnodes.h"
#include "utils/rel.h"

/* ---- option.c: options of servers, tables and columns; settings ---- */

typedef enum DynamoInsertMode
{
	DYNAMO_INSERT_SIBLING,
	DYNAMO_INSERT_CREATE,
	DYNAMO_INSERT_REPLACE
} DynamoInsertMode;

typedef enum DynamoColumnRole
{
	DYNAMO_ROLE_NONE,
	DYNAMO_ROLE_KEY,
	DYNAMO_ROLE_VALUE,
	DYNAMO_ROLE_VCLOCK,
	DYNAMO_ROLE_CONTEXT,
	DYNAMO_ROLE_SIBLINGS,
	DYNAMO_ROLE_WRITTEN_AT,
	DYNAMO_ROLE_COORDINATOR,
	DYNAMO_ROLE_PARTITION
} DynamoColumnRole;

/* Resolved: setting dynamo_fdw.* > table > server > built in. */
typedef struct DynamoOptions
{
	char	   *nodes;			/* host:port,... */
	char	   *bucket;			/* of the table; NULL for a server alone */
	int			r;				/* 0 = the cluster's */
	int			w;
	int			timeout_ms;
	int			connect_timeout_ms;
	DynamoInsertMode insert_mode;
	bool		conflict_error; /* conflict_mode 'error' */
	bool		write_at_statement;
} DynamoOptions;

extern void dynfdw_options(Oid serverid, Oid relid, DynamoOptions *out);

/* The server's own, without the settings of the moment. */
extern void dynfdw_server_options(Oid serverid, DynamoOptions *out);

/* DYNAMO_ROLE_NONE when neither the option `field` nor the name tells. */
extern DynamoColumnRole dynfdw_column_role(Oid relid, AttrNumber attnum,
										   const char *name);
extern const char *dynfdw_role_name(DynamoColumnRole role);
extern void dynfdw_define_settings(void);

/* Do scans compare trees?  AUTO: where model/scan_census.h wants it. */
typedef enum DynamoCompare
{
	DYNAMO_COMPARE_AUTO,
	DYNAMO_COMPARE_ON,
	DYNAMO_COMPARE_OFF
} DynamoCompare;

extern DynamoCompare dynfdw_compare_trees(void);

/* ---- error.c ---- */

extern int	dynfdw_sqlstate(enum dyn_status status);

/* ERROR with the status' SQLSTATE; text may be NULL. */
extern void dynfdw_raise(enum dyn_status status, const char *what,
						 const char *text) __attribute__((__noreturn__));

/* Raise unless OK; for the functions of model/. */
extern void dynfdw_check(enum dyn_status status, const char *what);

/* ---- vclock.c: between clocks and the SQL type ---- */

extern Datum dynfdw_vclock_datum(const struct dyn_clock *clock);
extern struct dyn_clock dynfdw_vclock_clock(Datum datum);

/* Is this our type vclock, wherever the extension was installed? Somebody
 * else's type of that name is laid out otherwise. */
extern bool dynfdw_type_is_vclock(Oid type);

/* ---- relmap.c: a foreign table's columns ---- */

typedef struct DynamoColumn
{
	DynamoColumnRole role;
	Oid			type;
	int32		typmod;
	bool		is_bytea;		/* bytes travel as they are */
	bool		is_vclock;		/* or a domain over it */
	FmgrInfo	input;			/* of text forms */
	FmgrInfo	output;
	Oid			ioparam;
	char	   *name;
} DynamoColumn;

typedef struct DynamoRelation
{
	Oid			relid;
	Oid			serverid;
	Oid			userid;
	DynamoOptions options;
	struct dyn_slice bucket;
	int			natts;
	DynamoColumn *columns;		/* by attnum - 1; dropped ones have no role */
	AttrNumber	key;			/* attnum; always there */
	AttrNumber	value;			/* 0 = none */
	AttrNumber	vclock;			/* 0 = none */
} DynamoRelation;

/* In the current memory context. Raises when the table cannot be mapped. */
extern DynamoRelation *dynfdw_relation(Oid relid, Oid userid);

/* ---- rowcodec.c ---- */

/* A key's bytes from a datum of the key column's type (or of text or bytea);
 * false when no key has that size. */
extern bool dynfdw_key_of_datum(const DynamoColumn *column, Datum datum,
								struct dyn_slice *out);

/* The same, for a key to be written: raises for its size. */
extern struct dyn_slice dynfdw_key_bytes(const DynamoColumn *column,
										 Datum datum);
extern struct dyn_slice dynfdw_value_bytes(DynamoColumn *column, Datum datum);

/* A key's beginning for messages, plain ASCII: it may be no text, and a cut
 * character would be an error within the error. */
extern const char *dynfdw_key_text(struct dyn_slice key);

/* A row, or what the transaction has not sent yet (clock NULL). */
typedef struct DynamoRowData
{
	struct dyn_slice key;
	struct dyn_slice value;
	const struct dyn_clock *clock;	/* NULL: pending */
	const struct dyn_clock *context;	/* NULL: pending only */
	const struct dyn_version *version;	/* NULL: pending */
	int			siblings;
	bool		no_value;		/* it was not fetched: nobody looks at it */
} DynamoRowData;

extern void dynfdw_fill_slot(DynamoRelation *rel, const DynamoRowData *row,
							 TupleTableSlot *slot);

/* ---- journal.c, fold.c, flush.c, outcome.c: writes of the transaction ---- */

typedef struct DynamoWrite DynamoWrite;

typedef struct DynamoPending
{
	bool		any;			/* is anything pending for the key? */
	bool		hides_all;		/* a replace: nothing of the store shows */
	struct dyn_clock context;	/* rows it covers do not show */
	DynamoWrite **rows;			/* pending rows that show */
	int			nrows;
} DynamoPending;

/* What a command sees of the transaction's own writes to a key. */
extern void dynfdw_pending(Oid serverid, struct dyn_slice bucket,
						   struct dyn_slice key, CommandId curcid,
						   DynamoPending *out);

/* Is the key in the journal, whatever is left of its writes? */
extern bool dynfdw_is_pending(Oid serverid, struct dyn_slice bucket,
							  struct dyn_slice key);

/* All keys of a bucket with pending writes; for scans. Returns their count. */
extern int	dynfdw_pending_keys(Oid serverid, struct dyn_slice bucket,
								struct dyn_slice **keys);
extern struct dyn_slice dynfdw_pending_value(const DynamoWrite *write);

/* A write's name for as long as the backend lives; never 0. The write itself
 * may be sent and gone while somebody still holds its row. */
extern uint64 dynfdw_pending_id(const DynamoWrite *write);

typedef enum DynamoWriteKind
{
	DYNAMO_WRITE_INSERT,
	DYNAMO_WRITE_UPDATE,
	DYNAMO_WRITE_DELETE
} DynamoWriteKind;

typedef struct DynamoWriteSpec
{
	DynamoWriteKind kind;
	CommandId	cid;			/* of the statement, not of its triggers */
	DynamoPutMode mode;			/* of an INSERT; GUARDED of the others */
	struct dyn_slice key;
	struct dyn_slice value;		/* not of a DELETE */
	struct dyn_clock context;	/* what it covers; empty = nothing */
	uint64		replaces;		/* a pending row's id, or 0 */
	bool		or_nothing;		/* CREATE of ON CONFLICT DO NOTHING */
} DynamoWriteSpec;

/* False when the row was changed by this command already: nothing is kept. */
extern bool dynfdw_buffer_write(DynamoRelation *rel,
								const DynamoWriteSpec *spec);

/* Send what was written to tables with write_at 'statement', or everything.
 * A key that both have written goes with the statement.  A definite error
 * means that nothing of it is stored. */
extern void dynfdw_flush(bool at_statement, DynamoRequestStats *stats);
extern Size dynfdw_buffered_size(void);

/* ---- xact.c ---- */

extern void dynfdw_xact_init(void);

/* ---- create.c ---- */

/* What the store has of keys that are to be created. */
typedef struct DynamoLookup DynamoLookup;

extern DynamoLookup *dynfdw_lookup_new(DynamoRelation *relation,
									   DynamoRequestStats *stats);

/* Ask for keys; each may come several times. What was asked for before is
 * forgotten. */
extern void dynfdw_lookup(DynamoLookup *lookup, const struct dyn_slice *keys,
						  int count);
extern void dynfdw_lookup_forget(DynamoLookup *lookup);

/* Has the key a live row, in the store or in this transaction? The store is
 * asked unless it was for this key. */
extern bool dynfdw_key_exists(DynamoLookup *lookup, struct dyn_slice key);

/* ---- scan.c ---- */

/* Where an UPDATE or DELETE finds the row that a scan returned. */
typedef struct DynamoHandle
{
	struct dyn_slice key;
	struct dyn_clock clock;
	uint64		pending;		/* 0: a row of the store */
} DynamoHandle;

extern const DynamoHandle *dynfdw_handle(EState *estate, Oid relid,
										 ItemPointer tid);

/* ---- the callbacks ---- */

/* plan.c */
extern void dynamoGetForeignRelSize(PlannerInfo *root, RelOptInfo *baserel,
									Oid foreigntableid);
extern void dynamoGetForeignPaths(PlannerInfo *root, RelOptInfo *baserel,
								  Oid foreigntableid);
extern ForeignScan *dynamoGetForeignPlan(PlannerInfo *root,
										 RelOptInfo *baserel,
										 Oid foreigntableid,
										 ForeignPath *best_path, List *tlist,
										 List *scan_clauses,
										 Plan *outer_plan);

/* scan.c */
extern void dynamoBeginForeignScan(ForeignScanState *node, int eflags);
extern TupleTableSlot *dynamoIterateForeignScan(ForeignScanState *node);
extern void dynamoReScanForeignScan(ForeignScanState *node);
extern void dynamoEndForeignScan(ForeignScanState *node);

/* modify.c */
extern void dynamoAddForeignUpdateTargets(PlannerInfo *root, Index rtindex,
										  RangeTblEntry *target_rte,
										  Relation target_relation);
extern List *dynamoPlanForeignModify(PlannerInfo *root, ModifyTable *plan,
									 Index resultRelation, int subplan_index);
extern void dynamoBeginForeignModify(ModifyTableState *mtstate,
									 ResultRelInfo *resultRelInfo,
									 List *fdw_private, int subplan_index,
									 int eflags);
extern TupleTableSlot *dynamoExecForeignInsert(EState *estate,
											   ResultRelInfo *resultRelInfo,
											   TupleTableSlot *slot,
											   TupleTableSlot *planSlot);
extern TupleTableSlot **dynamoExecForeignBatchInsert(EState *estate,
													 ResultRelInfo *resultRelInfo,
													 TupleTableSlot **slots,
													 TupleTableSlot **planSlots,
													 int *numSlots);
extern int	dynamoGetForeignModifyBatchSize(ResultRelInfo *resultRelInfo);
extern TupleTableSlot *dynamoExecForeignUpdate(EState *estate,
											   ResultRelInfo *resultRelInfo,
											   TupleTableSlot *slot,
											   TupleTableSlot *planSlot);
extern TupleTableSlot *dynamoExecForeignDelete(EState *estate,
											   ResultRelInfo *resultRelInfo,
											   TupleTableSlot *slot,
											   TupleTableSlot *planSlot);
extern void dynamoEndForeignModify(EState *estate,
								   ResultRelInfo *resultRelInfo);
extern void dynamoBeginForeignInsert(ModifyTableState *mtstate,
									 ResultRelInfo *resultRelInfo);
extern void dynamoEndForeignInsert(EState *estate,
								   ResultRelInfo *resultRelInfo);
extern int	dynamoIsForeignRelUpdatable(Relation rel);

/* analyze.c */
extern bool dynamoAnalyzeForeignTable(Relation relation,
									  AcquireSampleRowsFunc *func,
									  BlockNumber *totalpages);

/* explain.c */
extern void dynamoExplainForeignScan(ForeignScanState *node, ExplainState *es);
extern void dynamoExplainForeignModify(ModifyTableState *mtstate,
									   ResultRelInfo *resultRelInfo,
									   List *fdw_private, int subplan_index,
									   ExplainState *es);

#endif
