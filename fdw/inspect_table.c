/*-------------------------------------------------------------------------
 *
 * inspect_table.c
 *		Functions that look into what a table shows: dynamo_owners,
 *		dynamo_conflicts.
 *
 *-------------------------------------------------------------------------
 */
#include "inspect.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "model/hash.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/* ------------------------------------------------------------------ owners */

/* What an owner holds of the key. */
static void
add_holding(DynamoRows *rows, const DynamoCall *call, Dyn__ReadReply *reply,
			enum dyn_status status)
{
	struct dyn_allocator allocator = dynfdw_allocator(rows->row);
	struct dyn_object object;

	if (call == NULL || call->state != DYNAMO_CALL_ANSWERED)
	{
		dynfdw_row_text(rows, call == NULL ? "not connected" : "silent");
		dynfdw_row_nulls(rows, 2);
		return;
	}
	if (reply != NULL)
		status = reply->n_results == 1 &&
			dyn_status_is_valid(reply->results[0]->status)
			? (enum dyn_status) reply->results[0]->status
			: DYN_STATUS_BAD_REQUEST;
	if (status != DYN_STATUS_OK)
	{
		dynfdw_row_text(rows, status == DYN_STATUS_NOT_FOUND ? "absent"
						: dyn_status_text(status));
		dynfdw_row_nulls(rows, 2);
		return;
	}
	dynfdw_check(dyn_object_decode(dyn_slice_of_bytes(reply->results[0]->object),
								   &allocator, &object),
				 "a node sent a malformed object");
	dyn_object_view(&object, dynfdw_view_ms(call->group->cluster));
	dynfdw_row_text(rows, dyn_object_is_tombstone(&object) ? "deleted"
					: "present");
	dynfdw_row_datum(rows, Int32GetDatum((int32) object.version_count));
	dynfdw_row_clock(rows, &object.context);
}

static Datum
list_owners(FunctionCallInfo fcinfo, DynamoRelation *rel, struct dyn_slice key)
{
	DynamoCluster *cluster = dynfdw_cluster(rel->serverid, rel->userid);
	Dyn__ReadRequest request = DYN__READ_REQUEST__INIT;
	ProtobufCBinaryData key_bytes = dyn_bytes_of_slice(key);
	DynamoCall *calls[DYN_REPLICAS_MAX] = {0};
	const struct dyn_ring *ring;
	DynamoCallGroup *group;
	uint16		partition;
	DynamoRows	rows;

	dynfdw_cluster_ready(cluster);
	ring = dynfdw_cluster_ring(cluster);
	partition =
		dyn_hash_partition(dyn_hash_cell(dyn_hash_position(rel->bucket, key)),
						   ring->partition_count);
	request.bucket = dyn_bytes_of_slice(rel->bucket);
	request.n_keys = 1;
	request.keys = &key_bytes;
	group = dynfdw_group_begin(cluster, NULL);
	for (int s = 0; s < ring->replica_count; s++)
		calls[s] =
			dynfdw_call(group, dynfdw_cluster_owner(cluster, partition, s),
						DYN_MESSAGE_READ, &request.base,
						dynfdw_after(dynfdw_now(), DYNAMO_PATIENCE_MS));
	dynfdw_inspect_await(cluster, group);
	dynfdw_rows_begin(fcinfo, &rows);
	for (int s = 0; s < ring->replica_count; s++)
	{
		enum dyn_status status = DYN_STATUS_OK;
		const char *text;
		Dyn__ReadReply *reply = NULL;

		if (calls[s] != NULL && calls[s]->state == DYNAMO_CALL_ANSWERED)
			reply = dynfdw_call_reply(calls[s], DYN_MESSAGE_READ_REPLY,
									  &status, &text);
		dynfdw_row_datum(&rows, Int32GetDatum(partition));
		dynfdw_row_datum(&rows, Int32GetDatum(s));
		dynfdw_row_node_id(&rows, &dyn_ring_slot(ring, partition, (uint8) s)->node);
		dynfdw_row_text(&rows, dynfdw_cluster_owner_address(cluster, partition, s));
		add_holding(&rows, calls[s], reply, status);
		dynfdw_row_end(&rows);
	}
	dynfdw_group_end(group);
	return (Datum) 0;
}

/* For text and for bytea. */
PG_FUNCTION_INFO_V1(dynamo_owners);
Datum
dynamo_owners(PG_FUNCTION_ARGS)
{
	DynamoRelation *rel = dynfdw_inspect_table(PG_GETARG_OID(0));
	DynamoColumn argument = {0};

	argument.is_bytea =
		getBaseType(get_fn_expr_argtype(fcinfo->flinfo, 1)) == BYTEAOID;
	return list_owners(fcinfo, rel,
					   dynfdw_key_bytes(&argument, PG_GETARG_DATUM(1)));
}

/* --------------------------------------------------------------- conflicts */

static void
add_key(DynamoRows *rows, const DynamoRelation *rel, struct dyn_slice key)
{
	MemoryContext old = MemoryContextSwitchTo(rows->row);
	bytea	   *bytes;
	char	   *text;

	if (rel->columns[rel->key - 1].is_bytea ||
		!pg_verify_mbstr(PG_UTF8, (const char *) key.data, (int) key.size, true))
	{
		bytes = palloc(VARHDRSZ + key.size);
		SET_VARSIZE(bytes, VARHDRSZ + key.size);
		memcpy(VARDATA(bytes), key.data, key.size);
		dynfdw_row_text(rows,
						DatumGetCString(DirectFunctionCall1(byteaout,
															PointerGetDatum(bytes))));
	}
	else
	{
		text = pg_any_to_server((const char *) key.data, (int) key.size,
								PG_UTF8);
		dynfdw_row_datum(rows,
						 PointerGetDatum(cstring_to_text_with_len(text,
																  text == (const char *) key.data
																  ? (int) key.size
																  : (int) strlen(text))));
	}
	MemoryContextSwitchTo(old);
}

PG_FUNCTION_INFO_V1(dynamo_conflicts);
Datum
dynamo_conflicts(PG_FUNCTION_ARGS)
{
	DynamoRelation *rel = dynfdw_inspect_table(PG_GETARG_OID(0));
	DynamoScanSpec spec = {.bucket = rel->bucket,.keys_only = true};
	DynamoRequestOptions options = {.r = rel->options.r,
	.timeout_ms = rel->options.timeout_ms};
	DynamoScan *scan;
	struct dyn_slice key;
	struct dyn_object object;
	DynamoRows	rows;

	dynfdw_rows_begin(fcinfo, &rows);
	scan = dynfdw_scan_begin(dynfdw_cluster(rel->serverid, rel->userid), &spec,
							 &options, NULL);
	while (dynfdw_scan_next(scan, &key, &object))
	{
		struct dyn_allocator allocator = dynfdw_allocator(rows.row);
		struct dyn_row *versions;
		uint32_t	count;

		if (object.version_count < 2)
			continue;
		/* A write that was retried elsewhere is one row. */
		dynfdw_check(dyn_object_rows(&object, &allocator, &versions, &count),
					 "rows of a key");
		if (count >= 2)
		{
			add_key(&rows, rel, key);
			dynfdw_row_datum(&rows, Int32GetDatum((int32) count));
			dynfdw_row_clock(&rows, &object.context);
			dynfdw_row_end(&rows);
		}
		else
			MemoryContextReset(rows.row);
	}
	dynfdw_scan_end(scan);
	return (Datum) 0;
}
