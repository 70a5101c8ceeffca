/*-------------------------------------------------------------------------
 *
 * plan.c
 *		Which clauses the cluster can use, and what a scan costs.
 *
 * key = x, key IN (...) and key = ANY (...) become one multi-get, whatever x
 * is, as long as it is known when the scan begins: a literal, a parameter, an
 * init plan, a stable function, a column of another table (a parameterised
 * path).  Ranges and prefixes bound a scan; their clauses stay as filters, so
 * the bounds may be generous.
 *
 *-------------------------------------------------------------------------
 */
#include "dynamo_fdw.h"

#include "plan.h"

#include "access/stratnum.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"
#include "utils/typcache.h"

enum
{
	OID_TEXT_LIKE = 1209,
	OID_TEXT_STARTS_WITH = 3877
};

static const double TUPLES_UNKNOWN = 10000;
static const Cost ROUND_TRIP_COST = 25;
static const Cost SCAN_COST = 100;
static const Cost KEY_COST = 0.2;
static const Cost ROW_COST = 0.1;
static const Cost BYTE_COST = 0.0005;

typedef struct DynamoRelInfo
{
	AttrNumber	key;
	Oid			key_type;		/* base type */
} DynamoRelInfo;

/* ------------------------------------------------------------ key clauses */

/* Is this the key column, perhaps seen as text? */
static bool
is_key(Node *node, RelOptInfo *baserel)
{
	DynamoRelInfo *info = baserel->fdw_private;
	Var		   *var;

	while (IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	var = (Var *) node;
	return IsA(node, Var) && var->varno == baserel->relid &&
		var->varattno == info->key && var->varlevelsup == 0;
}

/* Of a type whose datums are the bytes of a key behind a header?  A text key
 * has operators for names too, and they are something else. */
static bool
is_like_key(Oid type, RelOptInfo *baserel)
{
	DynamoRelInfo *info = baserel->fdw_private;

	type = getBaseType(type);
	if (info->key_type == BYTEAOID)
		return type == BYTEAOID;
	return type == TEXTOID || type == VARCHAROID;
}

/* Known before the scan begins? */
static bool
is_known(PlannerInfo *root, Node *node, RelOptInfo *baserel)
{
	return !bms_is_member(baserel->relid, pull_varnos(root, node)) &&
		!contain_volatile_functions(node);
}

static TypeCacheEntry *
key_type_entry(RelOptInfo *baserel)
{
	DynamoRelInfo *info = baserel->fdw_private;
	Oid			type = info->key_type == VARCHAROID ? TEXTOID : info->key_type;

	return lookup_type_cache(type, TYPECACHE_EQ_OPR | TYPECACHE_BTREE_OPFAMILY);
}

static bool
is_deterministic(Oid collation)
{
	return !OidIsValid(collation) || get_collation_isdeterministic(collation);
}

static bool
sorts_like_bytes(RelOptInfo *baserel, Oid collation)
{
	DynamoRelInfo *info = baserel->fdw_private;

	return info->key_type == BYTEAOID || dynfdw_collation_is_c(collation);
}

/* An operator with the key on its left. */
static bool
match_operator(RelOptInfo *baserel, Oid operator, Oid collation,
			   DynamoKeyTest *test)
{
	TypeCacheEntry *type = key_type_entry(baserel);

	if (!is_deterministic(collation))
		return false;
	if (operator == type->eq_opr)
		*test = DYNAMO_KEY_EQUALS;
	else if (operator == OID_TEXT_STARTS_WITH)
		*test = DYNAMO_KEY_PREFIX;
	else if (operator == OID_TEXT_LIKE)
		*test = DYNAMO_KEY_LIKE;
	else if (sorts_like_bytes(baserel, collation))
	{
		switch (get_op_opfamily_strategy(operator, type->btree_opf))
		{
			case BTLessStrategyNumber:
			case BTLessEqualStrategyNumber:
				*test = DYNAMO_KEY_MAX;
				break;
			case BTGreaterStrategyNumber:
			case BTGreaterEqualStrategyNumber:
				*test = DYNAMO_KEY_MIN;
				break;
			default:
				return false;
		}
	}
	else
		return false;
	return true;
}

/* What a clause says of the key, and the expression that it is held against;
 * NULL when it says nothing of use. */
static Expr *
match_clause(PlannerInfo *root, RelOptInfo *baserel, Node *clause,
			 DynamoKeyTest *test)
{
	Node	   *left;
	Node	   *right;
	Oid			operator;
	Oid			collation;

	if (IsA(clause, OpExpr) && list_length(((OpExpr *) clause)->args) == 2)
	{
		operator = ((OpExpr *) clause)->opno;
		collation = ((OpExpr *) clause)->inputcollid;
		left = linitial(((OpExpr *) clause)->args);
		right = lsecond(((OpExpr *) clause)->args);
		if (!is_key(left, baserel))
		{
			Node	   *swap = left;

			left = right;
			right = swap;
			operator = get_commutator(operator);
		}
		if (is_key(left, baserel) && is_known(root, right, baserel) &&
			is_like_key(exprType(right), baserel) &&
			match_operator(baserel, operator, collation, test))
			return (Expr *) right;
		return NULL;
	}
	if (IsA(clause, ScalarArrayOpExpr) && ((ScalarArrayOpExpr *) clause)->useOr)
	{
		ScalarArrayOpExpr *any = (ScalarArrayOpExpr *) clause;

		left = linitial(any->args);
		right = lsecond(any->args);
		if (!is_key(left, baserel) || !is_known(root, right, baserel) ||
			!is_like_key(get_base_element_type(exprType(right)), baserel) ||
			!match_operator(baserel, any->opno, any->inputcollid, test) ||
			*test != DYNAMO_KEY_EQUALS)
			return NULL;
		*test = DYNAMO_KEY_ANY;
		return (Expr *) right;
	}
	return NULL;
}

static bool
is_exact(DynamoKeyTest test)
{
	return test == DYNAMO_KEY_EQUALS || test == DYNAMO_KEY_ANY;
}

/* -------------------------------------------------------------------- size */

static AttrNumber
find_key_column(Oid relid, Oid *type)
{
	char	   *name;

	for (AttrNumber attnum = 1;
		 (name = get_attname(relid, attnum, true)) != NULL; attnum++)
	{
		if (dynfdw_column_role(relid, attnum, name) != DYNAMO_ROLE_KEY)
			continue;
		*type = getBaseType(get_atttype(relid, attnum));
		return attnum;
	}
	return 0;
}

void
dynamoGetForeignRelSize(PlannerInfo *root, RelOptInfo *baserel,
						Oid foreigntableid)
{
	DynamoRelInfo *info = palloc0(sizeof(*info));

	info->key = find_key_column(foreigntableid, &info->key_type);
	baserel->fdw_private = info;
	/* Never analyzed, or when it was empty: nothing is known, and nobody is
	 * asked at plan time. */
	if (baserel->tuples <= 0)
	{
		baserel->tuples = TUPLES_UNKNOWN;
		baserel->pages = (BlockNumber) (baserel->tuples / 40);
	}
	set_baserel_size_estimates(root, baserel);
}

/* ------------------------------------------------------------------- paths */

/* The number of keys that exact clauses name, or 0 when there is none. */
static double
count_keys(PlannerInfo *root, RelOptInfo *baserel, List *clauses)
{
	double		best = 0;
	ListCell   *cell;

	foreach(cell, clauses)
	{
		RestrictInfo *info = lfirst_node(RestrictInfo, cell);
		DynamoKeyTest test;
		Expr	   *expr = match_clause(root, baserel, (Node *) info->clause,
										&test);
		double		count = 1;

		if (expr == NULL || !is_exact(test))
			continue;
		if (test == DYNAMO_KEY_ANY)
#if PG_VERSION_NUM >= 170000
			count = estimate_array_length(root, (Node *) expr);
#else
			count = estimate_array_length((Node *) expr);
#endif
		if (best == 0 || count < best)
			best = count;
	}
	return best;
}

static void
add_scan_path(PlannerInfo *root, RelOptInfo *baserel)
{
	double		keys = count_keys(root, baserel, baserel->baserestrictinfo);
	Cost		startup = baserel->baserestrictcost.startup;
	Cost		run = baserel->baserestrictcost.per_tuple +
		baserel->reltarget->width * BYTE_COST;
	double		rows = baserel->rows;
	Cost		total;

	if (keys > 0)
	{
		rows = clamp_row_est(keys);
		baserel->rows = rows;
		startup += ROUND_TRIP_COST;
		total = startup + keys * (KEY_COST + run);
	}
	else
	{
		startup += SCAN_COST;
		total = startup + baserel->tuples * (ROW_COST + run);
	}
	add_path(baserel, (Path *) dynfdw_create_scan_path(root, baserel, rows,
													   startup, total,
													   baserel->lateral_relids,
													   NIL));
}

/* Any member of an equivalence class that is our key. */
static bool
matches_key_member(PlannerInfo *root, RelOptInfo *rel, EquivalenceClass *ec,
				   EquivalenceMember *em, void *arg)
{
	return is_key((Node *) em->em_expr, rel);
}

static void
add_parameterized_path(PlannerInfo *root, RelOptInfo *baserel, Relids outer,
					   List **done)
{
	ParamPathInfo *param;
	double		keys;
	Cost		total;
	ListCell   *cell;

	outer = bms_union(outer, baserel->lateral_relids);
	outer = bms_del_member(outer, baserel->relid);
	if (bms_is_empty(outer))
		return;
	foreach(cell, *done)
		if (bms_equal(lfirst(cell), outer))
			return;
	*done = lappend(*done, outer);
	param = get_baserel_parampathinfo(root, baserel, outer);
	keys = count_keys(root, baserel,
					  list_concat_copy(param->ppi_clauses,
									   baserel->baserestrictinfo));
	if (keys == 0)
		return;
	total = ROUND_TRIP_COST +
		keys * (KEY_COST + baserel->reltarget->width * BYTE_COST);
	add_path(baserel, (Path *)
			 dynfdw_create_scan_path(root, baserel, clamp_row_est(keys),
									 ROUND_TRIP_COST, total, outer, NIL));
}

static void
add_join_paths(PlannerInfo *root, RelOptInfo *baserel)
{
	List	   *done = NIL;
	List	   *clauses = baserel->joininfo;
	ListCell   *cell;

	if (baserel->has_eclass_joins)
		clauses = list_concat_copy(clauses,
								   generate_implied_equalities_for_column(root,
																		  baserel,
																		  matches_key_member,
																		  NULL,
																		  baserel->lateral_referencers));
	foreach(cell, clauses)
	{
		RestrictInfo *info = lfirst_node(RestrictInfo, cell);
		DynamoKeyTest test;

		if (!join_clause_is_movable_to(info, baserel) ||
			match_clause(root, baserel, (Node *) info->clause, &test) == NULL ||
			!is_exact(test))
			continue;
		add_parameterized_path(root, baserel,
							   bms_copy(info->clause_relids), &done);
	}
}

void
dynamoGetForeignPaths(PlannerInfo *root, RelOptInfo *baserel,
					  Oid foreigntableid)
{
	add_scan_path(root, baserel);
	add_join_paths(root, baserel);
}

/* -------------------------------------------------------------------- plan */

/* Does anything of the query need the value column? */
static bool
needs_value(PlannerInfo *root, RelOptInfo *baserel, Oid relid)
{
	Bitmapset  *attrs = NULL;
	char	   *name;
	ListCell   *cell;

	pull_varattnos((Node *) baserel->reltarget->exprs, baserel->relid, &attrs);
	foreach(cell, baserel->baserestrictinfo)
		pull_varattnos((Node *) lfirst_node(RestrictInfo, cell)->clause,
					   baserel->relid, &attrs);
	foreach(cell, baserel->joininfo)
		pull_varattnos((Node *) lfirst_node(RestrictInfo, cell)->clause,
					   baserel->relid, &attrs);
	if (bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, attrs))
		return true;
	for (AttrNumber attnum = 1;
		 (name = get_attname(relid, attnum, true)) != NULL; attnum++)
		if (dynfdw_column_role(relid, attnum, name) == DYNAMO_ROLE_VALUE &&
			bms_is_member(attnum - FirstLowInvalidHeapAttributeNumber, attrs))
			return true;
	return false;
}

/* The exact clause that names the keys: one key rather than a list. */
static RestrictInfo *
choose_exact(PlannerInfo *root, RelOptInfo *baserel, List *clauses)
{
	RestrictInfo *best = NULL;
	DynamoKeyTest best_test = DYNAMO_KEY_ANY;
	ListCell   *cell;

	foreach(cell, clauses)
	{
		RestrictInfo *info = lfirst_node(RestrictInfo, cell);
		DynamoKeyTest test;

		if (info->pseudoconstant ||
			!restriction_is_securely_promotable(info, baserel) ||
			match_clause(root, baserel, (Node *) info->clause, &test) == NULL ||
			!is_exact(test) || (best != NULL && test >= best_test))
			continue;
		best = info;
		best_test = test;
	}
	return best;
}

ForeignScan *
dynamoGetForeignPlan(PlannerInfo *root, RelOptInfo *baserel,
					 Oid foreigntableid, ForeignPath *best_path, List *tlist,
					 List *scan_clauses, Plan *outer_plan)
{
	List	   *tests = NIL;
	List	   *exprs = NIL;
	List	   *recheck = NIL;
	List	   *local = NIL;
	RestrictInfo *exact = choose_exact(root, baserel, scan_clauses);
	int			flags = 0;
	ListCell   *cell;

	/* All other clauses are filters, and perhaps bounds. */
	foreach(cell, scan_clauses)
	{
		RestrictInfo *info = lfirst_node(RestrictInfo, cell);
		DynamoKeyTest test;
		Expr	   *expr;

		if (info->pseudoconstant || info == exact)
			continue;
		expr = restriction_is_securely_promotable(info, baserel)
			? match_clause(root, baserel, (Node *) info->clause, &test) : NULL;
		local = lappend(local, info->clause);
		if (expr != NULL && !is_exact(test))
		{
			tests = lappend_int(tests, test);
			exprs = lappend(exprs, expr);
		}
	}
	if (exact != NULL)
	{
		DynamoKeyTest test;
		Expr	   *expr = match_clause(root, baserel, (Node *) exact->clause,
										&test);

		tests = list_make1_int(test);
		exprs = list_make1(expr);
		recheck = list_make1(exact->clause);
	}
	if (!needs_value(root, baserel, foreigntableid))
		flags |= DYNAMO_SCAN_KEYS_ONLY;
	return make_foreignscan(tlist, local, baserel->relid, exprs,
							list_make2(tests, list_make1_int(flags)), NIL,
							recheck, outer_plan);
}
