/*-------------------------------------------------------------------------
 *
 * relmap.c
 *		What each column of a foreign table stands for.
 *
 *-------------------------------------------------------------------------
 */
#include "dynamo_fdw.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "foreign/foreign.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

static void
refuse_type(const DynamoColumn *column, const char *wanted)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
			 errmsg("column \"%s\" cannot be the %s: its type is %s",
					column->name, dynfdw_role_name(column->role),
					format_type_be(column->type)),
			 errhint("%s", wanted)));
}

/* Types whose text form is not one-to-one would lose or mix up keys. */
static void
check_type(const DynamoColumn *column)
{
	Oid			type = getBaseType(column->type);

	switch (column->role)
	{
		case DYNAMO_ROLE_KEY:
			if (type != TEXTOID && type != VARCHAROID && type != BYTEAOID)
				refuse_type(column, "A key is text, varchar or bytea.");
			break;
		case DYNAMO_ROLE_VCLOCK:
		case DYNAMO_ROLE_CONTEXT:
			if (!column->is_vclock && type != TEXTOID)
				refuse_type(column, "A clock is vclock or text.");
			break;
		case DYNAMO_ROLE_WRITTEN_AT:
			if (type != TIMESTAMPTZOID && type != TEXTOID)
				refuse_type(column, "It is timestamptz or text.");
			break;
		case DYNAMO_ROLE_SIBLINGS:
		case DYNAMO_ROLE_PARTITION:
			if (type != INT4OID && type != INT8OID && type != TEXTOID)
				refuse_type(column, "It is integer, bigint or text.");
			break;
		case DYNAMO_ROLE_COORDINATOR:
			if (type != TEXTOID)
				refuse_type(column, "It is text.");
			break;
		case DYNAMO_ROLE_VALUE:
		case DYNAMO_ROLE_NONE:
			break;
	}
}

static void
map_column(DynamoRelation *rel, Form_pg_attribute attribute)
{
	DynamoColumn *column = &rel->columns[attribute->attnum - 1];
	Oid			function;
	bool		is_varlena;

	column->name = pstrdup(NameStr(attribute->attname));
	column->role = dynfdw_column_role(rel->relid, attribute->attnum,
									  column->name);
	column->type = attribute->atttypid;
	column->typmod = attribute->atttypmod;
	column->is_bytea = getBaseType(column->type) == BYTEAOID;
	column->is_vclock = dynfdw_type_is_vclock(getBaseType(column->type));
	if (column->role == DYNAMO_ROLE_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_COLUMN_NAME),
				 errmsg("column \"%s\" of foreign table \"%s\" stands for nothing",
						column->name, get_rel_name(rel->relid)),
				 errhint("Name it key, value, vclock, context, siblings, written_at, coordinator or partition, or say so with the column option \"field\".")));
	for (int i = 0; i < attribute->attnum - 1; i++)
		if (rel->columns[i].role == column->role)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_COLUMN_NAME),
					 errmsg("columns \"%s\" and \"%s\" of foreign table \"%s\" are both the %s",
							rel->columns[i].name, column->name,
							get_rel_name(rel->relid),
							dynfdw_role_name(column->role))));
	check_type(column);
	getTypeInputInfo(column->type, &function, &column->ioparam);
	fmgr_info(function, &column->input);
	getTypeOutputInfo(column->type, &function, &is_varlena);
	fmgr_info(function, &column->output);
	if (column->role == DYNAMO_ROLE_KEY)
		rel->key = attribute->attnum;
	else if (column->role == DYNAMO_ROLE_VALUE)
		rel->value = attribute->attnum;
	else if (column->role == DYNAMO_ROLE_VCLOCK)
		rel->vclock = attribute->attnum;
}

DynamoRelation *
dynfdw_relation(Oid relid, Oid userid)
{
	DynamoRelation *rel = palloc0(sizeof(*rel));
	Relation	relation = table_open(relid, NoLock);
	TupleDesc	desc = RelationGetDescr(relation);

	rel->relid = relid;
	rel->serverid = GetForeignTable(relid)->serverid;
	rel->userid = userid;
	dynfdw_options(rel->serverid, relid, &rel->options);
	/* One bucket for databases of all encodings. */
	rel->bucket = dyn_slice_of(pg_server_to_any(rel->options.bucket,
												strlen(rel->options.bucket),
												PG_UTF8));
	rel->natts = desc->natts;
	rel->columns = palloc0(desc->natts * sizeof(DynamoColumn));
	for (int i = 0; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped)
			map_column(rel, TupleDescAttr(desc, i));
	if (rel->key == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_COLUMN_NAME_NOT_FOUND),
				 errmsg("foreign table \"%s\" has no key column",
						RelationGetRelationName(relation)),
				 errhint("Name a column key, or give one the option field 'key'.")));
	table_close(relation, NoLock);
	return rel;
}
