/*-------------------------------------------------------------------------
 *
 * option.c
 *		Options of servers, tables and columns, from one table; settings.
 *
 *-------------------------------------------------------------------------
 */
#include "dynamo_fdw.h"

#include "access/reloptions.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "model/hash.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

typedef enum OptionKind
{
	KIND_NODES,
	KIND_BUCKET,
	KIND_COUNT,					/* r and w: 1 .. 8 */
	KIND_MILLISECONDS,
	KIND_INSERT_MODE,
	KIND_CONFLICT_MODE,
	KIND_WRITE_AT,
	KIND_FIELD
} OptionKind;

enum
{
	ON_SERVER = 1,
	ON_TABLE = 2,
	ON_COLUMN = 4
};

typedef struct OptionEntry
{
	const char *name;
	OptionKind	kind;
	int			places;
} OptionEntry;

static const OptionEntry option_table[] = {
	{"nodes", KIND_NODES, ON_SERVER},
	{"connect_timeout", KIND_MILLISECONDS, ON_SERVER},
	{"bucket", KIND_BUCKET, ON_TABLE},
	{"r", KIND_COUNT, ON_SERVER | ON_TABLE},
	{"w", KIND_COUNT, ON_SERVER | ON_TABLE},
	{"timeout", KIND_MILLISECONDS, ON_SERVER | ON_TABLE},
	{"insert_mode", KIND_INSERT_MODE, ON_SERVER | ON_TABLE},
	{"conflict_mode", KIND_CONFLICT_MODE, ON_SERVER | ON_TABLE},
	{"write_at", KIND_WRITE_AT, ON_SERVER | ON_TABLE},
	{"field", KIND_FIELD, ON_COLUMN},
};

static const char *const role_names[] = {
	[DYNAMO_ROLE_NONE] = "none",
	[DYNAMO_ROLE_KEY] = "key",
	[DYNAMO_ROLE_VALUE] = "value",
	[DYNAMO_ROLE_VCLOCK] = "vclock",
	[DYNAMO_ROLE_CONTEXT] = "context",
	[DYNAMO_ROLE_SIBLINGS] = "siblings",
	[DYNAMO_ROLE_WRITTEN_AT] = "written_at",
	[DYNAMO_ROLE_COORDINATOR] = "coordinator",
	[DYNAMO_ROLE_PARTITION] = "partition",
};

static const char *const insert_modes[] = {"sibling", "create", "replace"};
static const char *const conflict_modes[] = {"sibling", "error"};
static const char *const write_ats[] = {"commit", "statement"};

/* The settings dynamo_fdw.*; 0 or "" = not set. */
static int	guc_r;
static int	guc_w;
static int	guc_timeout;
static int	guc_insert_mode;
static int	guc_conflict_mode;
static int	guc_write_at;
static int	guc_compare_trees;

/* ---------------------------------------------------------------- values */

/* Index of a word in a list of words, or -1. */
static int
find_word(const char *const *words, int nwords, const char *word)
{
	for (int i = 0; i < nwords; i++)
		if (strcmp(words[i], word) == 0)
			return i;
	return -1;
}

static int
parse_word(const char *option, const char *const *words, int nwords,
		   const char *value)
{
	int			i = find_word(words, nwords, value);
	StringInfoData list;

	if (i >= 0)
		return i;
	initStringInfo(&list);
	for (i = 0; i < nwords; i++)
		appendStringInfo(&list, "%s\"%s\"", i ? ", " : "", words[i]);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value \"%s\" for option \"%s\"", value, option),
			 errhint("Valid values are: %s.", list.data)));
	return 0;
}

static int
parse_number(const char *option, const char *value, int min, int max)
{
	char	   *end;
	long		number;

	errno = 0;
	number = strtol(value, &end, 10);
	if (errno != 0 || end == value || *end != '\0' || number < min ||
		number > max)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value \"%s\" for option \"%s\"", value, option),
				 errhint("Valid values are whole numbers from %d to %d.", min,
						 max)));
	return (int) number;
}

static void
check_node(const char *address)
{
	const char *colon = strrchr(address, ':');
	size_t		digits = colon ? strspn(colon + 1, "0123456789") : 0;
	long		port = colon ? strtol(colon + 1, NULL, 10) : 0;

	if (colon == NULL || colon == address || colon[1 + digits] != '\0' ||
		port < 1 || port > 65535 || strpbrk(address, " \t\r\n") != NULL ||
		strlen(address) > DYN_ADDRESS_SIZE_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid node \"%s\" in option \"nodes\"", address),
				 errhint("Write host:port,host:port,... with the nodes' client ports.")));
}

static void
check_nodes(const char *value)
{
	char	   *copy = pstrdup(value);
	char	   *next = copy;
	int			count = 0;

	while (next != NULL)
	{
		char	   *comma = strchr(next, ',');

		if (comma != NULL)
			*comma++ = '\0';
		while (*next == ' ')
			next++;
		check_node(next);
		if (++count > DYN_MEMBERS_MAX)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("option \"nodes\" names more than %d nodes",
							DYN_MEMBERS_MAX)));
		next = comma;
	}
	pfree(copy);
}

/* Raises when the value is none of the option's. */
static void
check_value(const OptionEntry *entry, const char *value)
{
	switch (entry->kind)
	{
		case KIND_NODES:
			check_nodes(value);
			break;
		case KIND_BUCKET:
			if (dyn_bucket_check(dyn_slice_of(value)) != DYN_STATUS_OK)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("a bucket's name has 1 to %d bytes",
								DYN_BUCKET_SIZE_MAX)));
			break;
		case KIND_COUNT:
			parse_number(entry->name, value, 1, DYN_REPLICAS_MAX);
			break;
		case KIND_MILLISECONDS:
			parse_number(entry->name, value, 1, 3600000);
			break;
		case KIND_INSERT_MODE:
			parse_word(entry->name, insert_modes, lengthof(insert_modes), value);
			break;
		case KIND_CONFLICT_MODE:
			parse_word(entry->name, conflict_modes, lengthof(conflict_modes),
					   value);
			break;
		case KIND_WRITE_AT:
			parse_word(entry->name, write_ats, lengthof(write_ats), value);
			break;
		case KIND_FIELD:
			/* "none" (no role) is not offered. */
			parse_word(entry->name, role_names + 1, lengthof(role_names) - 1,
					   value);
			break;
	}
}

/* ------------------------------------------------------------- validator */

static int
place_of_catalog(Oid catalog)
{
	if (catalog == ForeignServerRelationId)
		return ON_SERVER;
	if (catalog == ForeignTableRelationId)
		return ON_TABLE;
	if (catalog == AttributeRelationId)
		return ON_COLUMN;
	return 0;
}

static void
refuse_unknown(const char *name, int place)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < lengthof(option_table); i++)
		if (option_table[i].places & place)
			appendStringInfo(&list, "%s\"%s\"", list.len ? ", " : "",
							 option_table[i].name);
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\"", name),
			 list.len ? errhint("Valid options in this context are: %s.",
								list.data)
			 : errhint("There are no valid options in this context.")));
}

static const OptionEntry *
find_option(const char *name, int place)
{
	for (int i = 0; i < lengthof(option_table); i++)
		if ((option_table[i].places & place) &&
			strcmp(option_table[i].name, name) == 0)
			return &option_table[i];
	return NULL;
}

PG_FUNCTION_INFO_V1(dynamo_fdw_validator);

Datum
dynamo_fdw_validator(PG_FUNCTION_ARGS)
{
	List	   *options = untransformRelOptions(PG_GETARG_DATUM(0));
	int			place = place_of_catalog(PG_GETARG_OID(1));
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *def = (DefElem *) lfirst(cell);
		const OptionEntry *entry = find_option(def->defname, place);

		if (entry == NULL)
			refuse_unknown(def->defname, place);
		check_value(entry, defGetString(def));
	}
	PG_RETURN_VOID();
}

/* ------------------------------------------------------------- resolving */

static void
apply_option(DynamoOptions *out, const char *name, char *value)
{
	if (strcmp(name, "nodes") == 0)
		out->nodes = value;
	else if (strcmp(name, "bucket") == 0)
		out->bucket = value;
	else if (strcmp(name, "r") == 0)
		out->r = parse_number(name, value, 1, DYN_REPLICAS_MAX);
	else if (strcmp(name, "w") == 0)
		out->w = parse_number(name, value, 1, DYN_REPLICAS_MAX);
	else if (strcmp(name, "timeout") == 0)
		out->timeout_ms = parse_number(name, value, 1, 3600000);
	else if (strcmp(name, "connect_timeout") == 0)
		out->connect_timeout_ms = parse_number(name, value, 1, 3600000);
	else if (strcmp(name, "insert_mode") == 0)
		out->insert_mode = (DynamoInsertMode)
			parse_word(name, insert_modes, lengthof(insert_modes), value);
	else if (strcmp(name, "conflict_mode") == 0)
		out->conflict_error =
			parse_word(name, conflict_modes, lengthof(conflict_modes), value);
	else if (strcmp(name, "write_at") == 0)
		out->write_at_statement =
			parse_word(name, write_ats, lengthof(write_ats), value);
}

static void
apply_options(DynamoOptions *out, List *options)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *def = (DefElem *) lfirst(cell);

		apply_option(out, def->defname, defGetString(def));
	}
}

static void
apply_settings(DynamoOptions *out)
{
	if (guc_r > 0)
		out->r = guc_r;
	if (guc_w > 0)
		out->w = guc_w;
	if (guc_timeout > 0)
		out->timeout_ms = guc_timeout;
	if (guc_insert_mode >= 0)
		out->insert_mode = (DynamoInsertMode) guc_insert_mode;
	if (guc_conflict_mode >= 0)
		out->conflict_error = guc_conflict_mode != 0;
	if (guc_write_at >= 0)
		out->write_at_statement = guc_write_at != 0;
}

void
dynfdw_server_options(Oid serverid, DynamoOptions *out)
{
	memset(out, 0, sizeof(*out));
	out->nodes = "127.0.0.1:7001";
	out->timeout_ms = 5000;
	out->connect_timeout_ms = 2000;
	apply_options(out, GetForeignServer(serverid)->options);
}

void
dynfdw_options(Oid serverid, Oid relid, DynamoOptions *out)
{
	dynfdw_server_options(serverid, out);
	/* A table without the option is the bucket of its own name. */
	out->bucket = get_rel_name(relid);
	apply_options(out, GetForeignTable(relid)->options);
	apply_settings(out);
}

DynamoColumnRole
dynfdw_column_role(Oid relid, AttrNumber attnum, const char *name)
{
	List	   *options;
	ListCell   *cell;
	int			role;

	/* A dropped column keeps its options, and has no type. */
	if (!OidIsValid(get_atttype(relid, attnum)))
		return DYNAMO_ROLE_NONE;
	options = GetForeignColumnOptions(relid, attnum);
	foreach(cell, options)
	{
		DefElem    *def = (DefElem *) lfirst(cell);

		if (strcmp(def->defname, "field") == 0)
			name = defGetString(def);
	}
	role = find_word(role_names + 1, lengthof(role_names) - 1, name);
	return (DynamoColumnRole) (role + 1);
}

const char *
dynfdw_role_name(DynamoColumnRole role)
{
	return role_names[role];
}

/* -------------------------------------------------------------- settings */

static const struct config_enum_entry insert_mode_entries[] = {
	{"default", -1, false},
	{"sibling", DYNAMO_INSERT_SIBLING, false},
	{"create", DYNAMO_INSERT_CREATE, false},
	{"replace", DYNAMO_INSERT_REPLACE, false},
	{NULL, 0, false}
};

static const struct config_enum_entry conflict_mode_entries[] = {
	{"default", -1, false},
	{"sibling", 0, false},
	{"error", 1, false},
	{NULL, 0, false}
};

static const struct config_enum_entry write_at_entries[] = {
	{"default", -1, false},
	{"commit", 0, false},
	{"statement", 1, false},
	{NULL, 0, false}
};

static const struct config_enum_entry compare_trees_entries[] = {
	{"auto", DYNAMO_COMPARE_AUTO, false},
	{"on", DYNAMO_COMPARE_ON, false},
	{"off", DYNAMO_COMPARE_OFF, false},
	{NULL, 0, false}
};

DynamoCompare
dynfdw_compare_trees(void)
{
	return (DynamoCompare) guc_compare_trees;
}

void
dynfdw_define_settings(void)
{
	DefineCustomIntVariable("dynamo_fdw.r",
							"Answers that a read needs (0: the table's, server's or cluster's).",
							NULL, &guc_r, 0, 0, DYN_REPLICAS_MAX, PGC_USERSET,
							0, NULL, NULL, NULL);
	DefineCustomIntVariable("dynamo_fdw.w",
							"Commits that a write needs (0: the table's, server's or cluster's).",
							NULL, &guc_w, 0, 0, DYN_REPLICAS_MAX, PGC_USERSET,
							0, NULL, NULL, NULL);
	DefineCustomIntVariable("dynamo_fdw.timeout",
							"Longest time that one request may take (0: the table's or server's).",
							NULL, &guc_timeout, 0, 0, 3600000, PGC_USERSET,
							GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomEnumVariable("dynamo_fdw.insert_mode",
							 "What an INSERT without a vclock does to a key that exists.",
							 NULL, &guc_insert_mode, -1, insert_mode_entries,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("dynamo_fdw.conflict_mode",
							 "What UPDATE and DELETE do about versions written meanwhile.",
							 NULL, &guc_conflict_mode, -1,
							 conflict_mode_entries, PGC_USERSET, 0, NULL, NULL,
							 NULL);
	DefineCustomEnumVariable("dynamo_fdw.write_at",
							 "When writes are sent: at commit, or with each statement.",
							 NULL, &guc_write_at, -1, write_at_entries,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("dynamo_fdw.compare_trees",
							 "Whether scans compare what owners hold before reading one copy.",
							 NULL, &guc_compare_trees, DYNAMO_COMPARE_AUTO,
							 compare_trees_entries, PGC_USERSET, 0, NULL,
							 NULL, NULL);
	dynfdw_reserve_guc_prefix("dynamo_fdw");
}
