/*-------------------------------------------------------------------------
 *
 * rowcodec.c
 *		Between datums and the bytes in the store.
 *
 * bytea travels as it is; everything else as UTF-8 text, written under fixed
 * settings (as postgres_fdw does it), so that no session's DateStyle or
 * encoding changes what is stored.
 *
 *-------------------------------------------------------------------------
 */
#include "dynamo_fdw.h"

#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "mb/pg_wchar.h"
#include "model/hash.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "connection.h"

#include <inttypes.h>

/* ---------------------------------------------------------------- to bytes */

static int
fix_settings(void)
{
	int			level = NewGUCNestLevel();

	(void) set_config_option("datestyle", "ISO", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("intervalstyle", "postgres", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("extra_float_digits", "3", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("search_path", "pg_catalog", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	return level;
}

/* Types whose text form no setting changes. */
static bool
is_plain(Oid type)
{
	return type == TEXTOID || type == VARCHAROID || type == JSONBOID ||
		type == JSONOID || type == INT4OID || type == INT8OID ||
		type == BOOLOID || type == NUMERICOID || type == UUIDOID;
}

static struct dyn_slice
text_bytes(DynamoColumn *column, Datum datum)
{
	bool		plain = is_plain(column->type);
	int			level = plain ? 0 : fix_settings();
	char	   *text = OutputFunctionCall(&column->output, datum);
	char	   *utf8;

	if (!plain)
		AtEOXact_GUC(true, level);
	utf8 = pg_server_to_any(text, strlen(text), PG_UTF8);
	return dyn_slice_of(utf8);
}

static struct dyn_slice
varlena_bytes(Datum datum)
{
	struct varlena *bytes = PG_DETOAST_DATUM_PACKED(datum);

	return (struct dyn_slice) {
		(const uint8_t *) VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes)
	};
}

bool
dynfdw_key_of_datum(const DynamoColumn *column, Datum datum,
					struct dyn_slice *out)
{
	/* text, varchar and bytea are all bytes behind a header. */
	struct dyn_slice key = varlena_bytes(datum);

	if (!column->is_bytea && GetDatabaseEncoding() != PG_UTF8)
	{
		char	   *utf8 = pg_server_to_any((const char *) key.data,
											(int) key.size, PG_UTF8);

		if ((const uint8_t *) utf8 != key.data)
			key = dyn_slice_of(utf8);
	}
	*out = key;
	return key.size > 0 && key.size <= DYN_KEY_SIZE_MAX;
}

struct dyn_slice
dynfdw_key_bytes(const DynamoColumn *column, Datum datum)
{
	struct dyn_slice key;

	if (dynfdw_key_of_datum(column, datum, &key))
		return key;
	if (key.size == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a key cannot be empty")));
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("a key has at most %d bytes, this one has %zu",
					DYN_KEY_SIZE_MAX, key.size)));
	return key;
}

struct dyn_slice
dynfdw_value_bytes(DynamoColumn *column, Datum datum)
{
	if (column->is_bytea || column->type == TEXTOID ||
		column->type == VARCHAROID)
	{
		struct dyn_slice bytes = varlena_bytes(datum);
		char	   *utf8;

		if (column->is_bytea || GetDatabaseEncoding() == PG_UTF8)
			return bytes;
		utf8 = pg_server_to_any((const char *) bytes.data, (int) bytes.size,
								PG_UTF8);
		return (const uint8_t *) utf8 == bytes.data ? bytes
			: dyn_slice_of(utf8);
	}
	return text_bytes(column, datum);
}

const char *
dynfdw_key_text(struct dyn_slice key)
{
	StringInfoData text;

	initStringInfo(&text);
	for (size_t i = 0; i < key.size && i < 60; i++)
	{
		uint8		c = key.data[i];

		if (c >= 32 && c < 127)
			appendStringInfoChar(&text, (char) c);
		else
			appendStringInfo(&text, "\\x%02x", c);
	}
	return text.data;
}

/* -------------------------------------------------------------- from bytes */

static void
name_column(void *arg)
{
	errcontext("column \"%s\" of a Dynamo foreign table",
			   ((DynamoColumn *) arg)->name);
}

static Datum
bytes_datum(struct dyn_slice bytes)
{
	struct varlena *result = palloc(VARHDRSZ + bytes.size);

	SET_VARSIZE(result, VARHDRSZ + bytes.size);
	if (bytes.size != 0)
		memcpy(VARDATA(result), bytes.data, bytes.size);
	return PointerGetDatum(result);
}

/* A C string in the server's encoding; raises 22021 when it is none. */
static char *
server_text(struct dyn_slice bytes)
{
	char	   *text = pnstrdup((const char *) bytes.data, bytes.size);
	char	   *server;

	if (memchr(text, 0, bytes.size) != NULL)
		report_invalid_encoding(PG_UTF8,
								memchr(text, 0, bytes.size), 1);
	server = pg_any_to_server(text, (int) bytes.size, PG_UTF8);
	return server;
}

static Datum
input_text(DynamoColumn *column, char *text)
{
	if (column->type == TEXTOID)
		return CStringGetTextDatum(text);
	return InputFunctionCall(&column->input, text, column->ioparam,
							 column->typmod);
}

static Datum
bytes_to_datum(DynamoColumn *column, struct dyn_slice bytes)
{
	ErrorContextCallback callback = {.callback = name_column,.arg = column,
	.previous = error_context_stack};
	Datum		datum;

	if (column->is_bytea)
		return bytes_datum(bytes);
	error_context_stack = &callback;
	datum = input_text(column, bytes.size ? server_text(bytes) : pstrdup(""));
	error_context_stack = callback.previous;
	return datum;
}

static Datum
clock_to_datum(DynamoColumn *column, const struct dyn_clock *clock)
{
	struct dyn_allocator allocator = dynfdw_allocator(CurrentMemoryContext);
	char	   *text;

	if (column->is_vclock)
		return dynfdw_vclock_datum(clock);
	dynfdw_check(dyn_clock_format(clock, &allocator, &text), "vclock");
	return input_text(column, text);
}

static Datum
time_to_datum(DynamoColumn *column, uint64_t written_at_ms)
{
	TimestampTz time = ((int64) written_at_ms -
						((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) *
						 SECS_PER_DAY * 1000)) * 1000;

	if (getBaseType(column->type) == TIMESTAMPTZOID)
		return TimestampTzGetDatum(time);
	return input_text(column,
					  DatumGetCString(DirectFunctionCall1(timestamptz_out,
														  TimestampTzGetDatum(time))));
}

static Datum
number_to_datum(DynamoColumn *column, int number)
{
	if (column->type == INT4OID)
		return Int32GetDatum(number);
	return input_text(column, psprintf("%d", number));
}

/* The column's datum; *isnull for what pending rows do not have yet. */
static Datum
column_datum(DynamoRelation *rel, DynamoColumn *column,
			 const DynamoRowData *row, bool *isnull)
{
	*isnull = false;
	switch (column->role)
	{
		case DYNAMO_ROLE_KEY:
			return bytes_to_datum(column, row->key);
		case DYNAMO_ROLE_VALUE:
			if (!row->no_value)
				return bytes_to_datum(column, row->value);
			break;
		case DYNAMO_ROLE_SIBLINGS:
			return number_to_datum(column, row->siblings);
		case DYNAMO_ROLE_VCLOCK:
			if (row->clock != NULL)
				return clock_to_datum(column, row->clock);
			break;
		case DYNAMO_ROLE_CONTEXT:
			if (row->context != NULL)
				return clock_to_datum(column, row->context);
			break;
		case DYNAMO_ROLE_WRITTEN_AT:
			if (row->version != NULL)
				return time_to_datum(column, row->version->written_at_ms);
			break;
		case DYNAMO_ROLE_COORDINATOR:
			if (row->version != NULL)
				return input_text(column,
								  psprintf("%016" PRIx64,
										   row->version->dot.actor.start));
			break;
		case DYNAMO_ROLE_PARTITION:
			{
				DynamoCluster *cluster = dynfdw_cluster(rel->serverid,
														rel->userid);

				dynfdw_cluster_ready(cluster);
				return number_to_datum(column,
									   dyn_hash_partition(dyn_hash_cell(dyn_hash_position(rel->bucket, row->key)),
														  dynfdw_cluster_ring(cluster)->partition_count));
			}
		case DYNAMO_ROLE_NONE:
			break;
	}
	*isnull = true;
	return (Datum) 0;
}

void
dynfdw_fill_slot(DynamoRelation *rel, const DynamoRowData *row,
				 TupleTableSlot *slot)
{
	ExecClearTuple(slot);
	for (int i = 0; i < rel->natts; i++)
		slot->tts_values[i] = column_datum(rel, &rel->columns[i], row,
										   &slot->tts_isnull[i]);
	ExecStoreVirtualTuple(slot);
}
