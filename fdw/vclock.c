/*-------------------------------------------------------------------------
 *
 * vclock.c
 *		The SQL type vclock: a causal context, as a row or a key has it.
 *
 * A datum is a varlena that holds the clock's encoded form (message Clock of
 * dynnode/model/messages.proto), which is canonical: equal clocks are equal
 * bytes.  Operators are those of sets of write events: <@ contained, ||
 * united, <>| concurrent.
 *
 *-------------------------------------------------------------------------
 */
#include "dynamo_fdw.h"

#include "connection.h"

#include <inttypes.h>

#include "common/hashfn.h"
#include "fmgr.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(vclock_in);

static struct dyn_allocator
here(void)
{
	return dynfdw_allocator(CurrentMemoryContext);
}

Datum
dynfdw_vclock_datum(const struct dyn_clock *clock)
{
	size_t		size = dyn_clock_encoded_size(clock);
	struct varlena *datum = palloc(VARHDRSZ + size);

	SET_VARSIZE(datum, VARHDRSZ + size);
	dyn_clock_put(clock, (uint8_t *) VARDATA(datum));
	return PointerGetDatum(datum);
}

/* limit: what comes from outside may not be larger than a node accepts. */
static struct dyn_clock
clock_of_bytes(struct dyn_slice bytes, bool limit)
{
	struct dyn_allocator allocator = here();
	struct dyn_clock clock;
	enum dyn_status status =
		dyn_clock_decode(bytes, limit, &allocator, &clock);

	if (status == DYN_STATUS_TOO_LARGE)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a vclock has at most %d entries",
						DYN_CLOCK_ENTRIES_MAX)));
	if (status != DYN_STATUS_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid binary form of type vclock")));
	return clock;
}

struct dyn_clock
dynfdw_vclock_clock(Datum datum)
{
	struct varlena *bytes = PG_DETOAST_DATUM_PACKED(datum);

	return clock_of_bytes((struct dyn_slice) {
						  (const uint8_t *) VARDATA_ANY(bytes),
						  VARSIZE_ANY_EXHDR(bytes)
						  }, false);
}

#define PG_GETARG_VCLOCK(n) dynfdw_vclock_clock(PG_GETARG_DATUM(n))

/* By its input function: anybody may call a type of his own vclock. */
bool
dynfdw_type_is_vclock(Oid type)
{
	Oid			input;
	Oid			ioparam;
	FmgrInfo	function;

	getTypeInputInfo(type, &input, &ioparam);
	fmgr_info(input, &function);
	return function.fn_addr == vclock_in;
}

/* ---------------------------------------------------------- input, output */

Datum
vclock_in(PG_FUNCTION_ARGS)
{
	char	   *text = PG_GETARG_CSTRING(0);
	struct dyn_allocator allocator = here();
	struct dyn_clock clock;

	if (dyn_clock_parse(dyn_slice_of(text), &allocator, &clock) !=
		DYN_STATUS_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("invalid input syntax for type vclock: \"%s\"", text),
				 errhint("A vclock looks like {a1b2c3d4e5f60718.1:3!2,...}, as a SELECT shows it.")));
	if (dyn_clock_entry_count(&clock) > DYN_CLOCK_ENTRIES_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a vclock has at most %d entries",
						DYN_CLOCK_ENTRIES_MAX)));
	return dynfdw_vclock_datum(&clock);
}

PG_FUNCTION_INFO_V1(vclock_out);
Datum
vclock_out(PG_FUNCTION_ARGS)
{
	struct dyn_clock clock = PG_GETARG_VCLOCK(0);
	struct dyn_allocator allocator = here();
	char	   *text;

	dynfdw_check(dyn_clock_format(&clock, &allocator, &text), "vclock");
	PG_RETURN_CSTRING(text);
}

PG_FUNCTION_INFO_V1(vclock_recv);
Datum
vclock_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	int			size = buf->len - buf->cursor;
	struct dyn_clock clock = clock_of_bytes((struct dyn_slice) {
											(const uint8_t *)
											pq_getmsgbytes(buf, size), size
											}, true);

	return dynfdw_vclock_datum(&clock);
}

PG_FUNCTION_INFO_V1(vclock_send);
Datum
vclock_send(PG_FUNCTION_ARGS)
{
	struct varlena *bytes = PG_DETOAST_DATUM_PACKED(PG_GETARG_DATUM(0));
	StringInfoData buf;

	pq_begintypsend(&buf);
	pq_sendbytes(&buf, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

/* ------------------------------------------------- equality, order, hash */

static int
compare_args(FunctionCallInfo fcinfo)
{
	struct dyn_clock a = PG_GETARG_VCLOCK(0);
	struct dyn_clock b = PG_GETARG_VCLOCK(1);

	return dyn_clock_sort_compare(&a, &b);
}

#define COMPARISON(name, test)											\
	PG_FUNCTION_INFO_V1(name);											\
	Datum																\
	name(PG_FUNCTION_ARGS)												\
	{																	\
		PG_RETURN_BOOL(compare_args(fcinfo) test 0);					\
	}

COMPARISON(vclock_eq, ==)
COMPARISON(vclock_ne, !=)
COMPARISON(vclock_lt, <)
COMPARISON(vclock_le, <=)
COMPARISON(vclock_gt, >)
COMPARISON(vclock_ge, >=)

PG_FUNCTION_INFO_V1(vclock_cmp);
Datum
vclock_cmp(PG_FUNCTION_ARGS)
{
	int			order = compare_args(fcinfo);

	PG_RETURN_INT32((order > 0) - (order < 0));
}

PG_FUNCTION_INFO_V1(vclock_hash);
Datum
vclock_hash(PG_FUNCTION_ARGS)
{
	struct varlena *bytes = PG_DETOAST_DATUM_PACKED(PG_GETARG_DATUM(0));

	return hash_any((unsigned char *) VARDATA_ANY(bytes),
					VARSIZE_ANY_EXHDR(bytes));
}

/* ------------------------------------------------------------- causality */

PG_FUNCTION_INFO_V1(vclock_contains);
Datum
vclock_contains(PG_FUNCTION_ARGS)
{
	struct dyn_clock a = PG_GETARG_VCLOCK(0);
	struct dyn_clock b = PG_GETARG_VCLOCK(1);

	PG_RETURN_BOOL(dyn_clock_descends(&a, &b));
}

PG_FUNCTION_INFO_V1(vclock_contained);
Datum
vclock_contained(PG_FUNCTION_ARGS)
{
	struct dyn_clock a = PG_GETARG_VCLOCK(0);
	struct dyn_clock b = PG_GETARG_VCLOCK(1);

	PG_RETURN_BOOL(dyn_clock_descends(&b, &a));
}

PG_FUNCTION_INFO_V1(vclock_concurrent);
Datum
vclock_concurrent(PG_FUNCTION_ARGS)
{
	struct dyn_clock a = PG_GETARG_VCLOCK(0);
	struct dyn_clock b = PG_GETARG_VCLOCK(1);

	PG_RETURN_BOOL(dyn_clock_compare(&a, &b) == DYN_CLOCK_CONCURRENT);
}

PG_FUNCTION_INFO_V1(vclock_union);
Datum
vclock_union(PG_FUNCTION_ARGS)
{
	struct dyn_clock a = PG_GETARG_VCLOCK(0);
	struct dyn_clock b = PG_GETARG_VCLOCK(1);
	struct dyn_allocator allocator = here();
	struct dyn_clock out;

	dynfdw_check(dyn_clock_union(&a, &b, &allocator, &out), "vclock");
	return dynfdw_vclock_datum(&out);
}

/* ----------------------------------------------------------------- jsonb */

static void
push_text(JsonbParseState **state, JsonbIteratorToken token, char *text)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = text;
	value.val.string.len = strlen(text);
	pushJsonbValue(state, token, &value);
}

static void
push_number(JsonbParseState **state, JsonbIteratorToken token, uint64 number)
{
	JsonbValue	value;
	char	   *text = psprintf(UINT64_FORMAT, number);

	value.type = jbvNumeric;
	value.val.numeric =
		DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(text),
											ObjectIdGetDatum(InvalidOid),
											Int32GetDatum(-1)));
	pushJsonbValue(state, token, &value);
}

/* {"a1b2c3d4e5f60718.1": [[1, 3], [5, 5]], ...}: the covered ranges. */
PG_FUNCTION_INFO_V1(vclock_to_jsonb);
Datum
vclock_to_jsonb(PG_FUNCTION_ARGS)
{
	struct dyn_clock clock = PG_GETARG_VCLOCK(0);
	JsonbParseState *state = NULL;
	JsonbValue *result;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (uint32 i = 0; i < clock.range_count; i++)
	{
		const struct dyn_clock_range *range = &clock.ranges[i];
		bool		first = i == 0 ||
			dyn_actor_compare(range[-1].actor, range->actor) != 0;
		bool		last = i + 1 == clock.range_count ||
			dyn_actor_compare(range[1].actor, range->actor) != 0;

		if (first)
		{
			push_text(&state, WJB_KEY,
					  psprintf("%016" PRIx64 "." UINT64_FORMAT,
							   range->actor.start, range->actor.epoch));
			pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
		}
		pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
		push_number(&state, WJB_ELEM, range->first);
		push_number(&state, WJB_ELEM, range->last);
		pushJsonbValue(&state, WJB_END_ARRAY, NULL);
		if (last)
			pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	}
	result = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	PG_RETURN_JSONB_P(JsonbValueToJsonb(result));
}
