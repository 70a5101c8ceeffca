/*-------------------------------------------------------------------------
 *
 * analyze.c
 *		ANALYZE: a sample of a foreign table's rows, for the planner.
 *
 * The whole bucket is read, once; what is kept of it is the sample, and less
 * of that where it would not fit into maintenance_work_mem.  Rows that the
 * transaction has not sent are nobody else's business.
 *
 *-------------------------------------------------------------------------
 */
#include "dynamo_fdw.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "connection.h"

typedef struct Sample
{
	DynamoRelation *relation;
	TupleTableSlot *slot;
	HeapTuple  *rows;
	int			max;
	double		seen;
	double		to_skip;		/* rows, once the sample is full; -1: not known */
	Size		size;			/* of all rows */
	ReservoirStateData reservoir;
	MemoryContext temporary;	/* of one key */
} Sample;

static int
row_count(const Sample *sample)
{
	return (int) Min(sample->seen, sample->max);
}

static int
random_below(Sample *sample, int limit)
{
	return (int) (limit * dynfdw_sampler_fraction(&sample->reservoir));
}

/* Where the next row goes, or -1: every row has the same chance (Vitter's
 * algorithm, as in core). */
static int
choose_place(Sample *sample)
{
	double		number = sample->seen++;

	if (number < sample->max)
		return (int) number;
	if (sample->to_skip < 0)
		sample->to_skip = reservoir_get_next_S(&sample->reservoir, number,
											   sample->max);
	if (sample->to_skip-- > 0)
		return -1;
	return random_below(sample, sample->max);
}

static void
drop_row(Sample *sample, int place)
{
	sample->size -= sample->rows[place]->t_len;
	heap_freetuple(sample->rows[place]);
}

/* Any half of a fair sample is a fair sample. */
static void
halve(Sample *sample)
{
	int			count = row_count(sample);

	sample->max = count / 2;
	for (int i = 0; i < sample->max; i++)
	{
		int			j = i + random_below(sample, count - i);
		HeapTuple	row = sample->rows[j];

		sample->rows[j] = sample->rows[i];
		sample->rows[i] = row;
	}
	for (int i = sample->max; i < count; i++)
		drop_row(sample, i);
	reservoir_init_selection_state(&sample->reservoir, sample->max);
	sample->to_skip = -1;
}

static void
take_row(Sample *sample, const DynamoRowData *row)
{
	int			place = choose_place(sample);
	MemoryContext old;

	if (place < 0)
		return;
	if (sample->seen > sample->max)
		drop_row(sample, place);
	old = MemoryContextSwitchTo(sample->temporary);
	dynfdw_fill_slot(sample->relation, row, sample->slot);
	MemoryContextSwitchTo(old);
	sample->rows[place] = ExecCopySlotHeapTuple(sample->slot);
	sample->size += sample->rows[place]->t_len;
	ExecClearTuple(sample->slot);
	if (sample->size > (Size) maintenance_work_mem * 1024 &&
		row_count(sample) > 1)
		halve(sample);
}

static void
take_key(Sample *sample, struct dyn_slice key, const struct dyn_object *object)
{
	struct dyn_allocator allocator = dynfdw_allocator(sample->temporary);
	struct dyn_row *rows;
	uint32_t	count;

	dynfdw_check(dyn_object_rows(object, &allocator, &rows, &count),
				 "rows of a key");
	for (uint32_t i = 0; i < count; i++)
	{
		DynamoRowData row = {.key = key,.value = rows[i].version->value,
			.clock = &rows[i].clock,.context = &object->context,
		.version = rows[i].version,.siblings = count};

		take_row(sample, &row);
	}
}

static int
acquire_sample(Relation relation, int elevel, HeapTuple *rows, int targrows,
			   double *totalrows, double *totaldeadrows)
{
	DynamoRelation *rel = dynfdw_relation(RelationGetRelid(relation),
										  GetUserId());
	DynamoRequestOptions options = {.r = rel->options.r,
	.timeout_ms = rel->options.timeout_ms};
	DynamoRequestStats stats = {0};
	DynamoScanSpec spec = {.bucket = rel->bucket};
	Sample		sample = {.relation = rel,.rows = rows,.max = targrows,
	.to_skip = -1};
	DynamoScan *scan;
	struct dyn_slice key;
	struct dyn_object object;

	sample.temporary = AllocSetContextCreate(CurrentMemoryContext,
											 "dynamo_fdw sample",
											 ALLOCSET_DEFAULT_SIZES);
	sample.slot = MakeSingleTupleTableSlot(RelationGetDescr(relation),
										   &TTSOpsVirtual);
	reservoir_init_selection_state(&sample.reservoir, targrows);
	scan = dynfdw_scan_begin(dynfdw_cluster(rel->serverid, rel->userid), &spec,
							 &options, &stats);
	while (dynfdw_scan_next(scan, &key, &object))
	{
		CHECK_FOR_INTERRUPTS();
		take_key(&sample, key, &object);
		MemoryContextReset(sample.temporary);
	}
	dynfdw_scan_end(scan);
	ExecDropSingleTupleTableSlot(sample.slot);
	MemoryContextDelete(sample.temporary);
	*totalrows = sample.seen;
	*totaldeadrows = 0;
	ereport(elevel,
			(errmsg("\"%s\": the bucket has %.0f rows; %d rows in sample",
					RelationGetRelationName(relation), sample.seen,
					row_count(&sample))));
	return row_count(&sample);
}

bool
dynamoAnalyzeForeignTable(Relation relation, AcquireSampleRowsFunc *func,
						  BlockNumber *totalpages)
{
	*func = acquire_sample;
	/* There are none, but none would say that nobody has looked. */
	*totalpages = 1;
	return true;
}
