#include "tests/sim/checker.h"

#include "tests/sim/simdisk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One key being checked. Sets are bit strings over its vids. */
struct check
{
	const struct dyn_history *history;
	const struct dyn_history_key *key;
	uint32_t key_index;
	uint8_t n;
	uint32_t word_count;
	uint64_t *pasts;     /* vid_count sets */
	uint64_t *effective; /* acknowledged, or seen by somebody */
	uint64_t *covered;   /* scratch */
	/* Deletes that may exist, in the order of their begin; with each one what
	 * it and all before it have deleted. */
	uint32_t *deletes;
	uint64_t *deleted; /* delete_count sets */
	uint32_t delete_count;
	uint32_t *replaces; /* replacing writes that may exist */
	uint32_t replace_count;
	dyn_checker_report report;
	void *context;
	struct dyn_checker_counts *counts;
};

/* -------------------------------------------------------------------- sets */

static bool
has(const uint64_t *set, uint32_t vid)
{
	return set[vid / 64] >> (vid % 64) & 1;
}

static void
add(uint64_t *set, uint32_t vid)
{
	set[vid / 64] |= UINT64_C(1) << (vid % 64);
}

static bool
unite(const struct check *self, uint64_t *set, const uint64_t *other)
{
	bool grew = false;

	for (uint32_t i = 0; i < self->word_count; i++)
	{
		grew |= (other[i] & ~set[i]) != 0;
		set[i] |= other[i];
	}
	return grew;
}

static uint64_t *
past(const struct check *self, uint32_t vid)
{
	return self->pasts + (size_t) vid * self->word_count;
}

static const struct dyn_history_op *
op_of(const struct check *self, uint32_t vid)
{
	return &self->history->ops[self->key->vid_ops[vid]];
}

static bool
may_exist(const struct dyn_history_op *op)
{
	return op->result != DYN_HISTORY_NO;
}

/* ----------------------------------------------------------------- reports */

static void
violation(struct check *self, const char *rule, const char *what, uint32_t vid,
		  uint32_t other, uint32_t op)
{
	char text[256];

	self->counts->violations++;
	snprintf(text, sizeof(text), "key %u, version %u, other %d, op %d: %s",
			 self->key_index, vid, (int) other, (int) op, what);
	self->report(self->context, rule, text);
}

static bool
has_vid(const struct dyn_vids *vids, uint32_t vid)
{
	for (uint32_t i = 0; i < vids->count; i++)
		if (vids->items[i] == vid)
			return true;
	return false;
}

/* Does what the other one's writer had read stand for this version: itself, its
 * past, or what lay beside the rows that they had read? */
static bool
stands_for(const struct check *self, uint32_t other, uint32_t vid)
{
	if (vid == other || has(past(self, other), vid))
		return true;
	for (uint32_t v = vid + 1; v <= other; v++)
		if ((v == other || has(past(self, other), v)) &&
			has_vid(&op_of(self, v)->beside, vid))
			return true;
	return false;
}

/* Did none of those who replaced this version of an exact write, up to the
 * other one, replace its retry? */
static bool
is_residue(const struct check *self, uint32_t vid, uint32_t other)
{
	uint32_t replaced = 0;

	if (!op_of(self, vid)->exact || self->history->is_residue == NULL)
		return false;
	for (uint32_t v = vid + 1; v < self->key->vid_count; v++)
	{
		const struct dyn_history_op *op = op_of(self, v);

		if (!(has_vid(&op->seen, vid) ||
			  (op->mode == DYN_HISTORY_REPLACE && has(past(self, v), vid))) ||
			!stands_for(self, other, v))
			continue;
		replaced++;
		if (!self->history->is_residue(self->history->residue_context,
									   self->key_index, vid,
									   self->key->vid_ops[v]))
			return false;
	}
	return replaced > 0;
}

/* What comes back of a write that may stand twice is no violation. */
static void
came_back(struct check *self, const char *rule, const char *what, uint32_t vid,
		  uint32_t other, uint32_t op)
{
	if (is_residue(self, vid, other))
		self->counts->residues++;
	else if (op_of(self, vid)->repeated)
		self->counts->repeats++;
	else
		violation(self, rule, what, vid, other, op);
}

/* ----------------------------------------------------------------- closure */

/* None of its attempts acts any more. */
static uint64_t
acted_until(const struct dyn_history_op *op)
{
	if (op->repeated)
		return UINT64_MAX;
	return op->acts_until_ms > op->end_ms ? op->acts_until_ms : op->end_ms;
}

/* Was v acknowledged before `begin`, so that R of a reader met its W? */
static bool
must_be_met(const struct check *self, const struct dyn_history_op *write,
			uint8_t r, uint64_t begin_ms)
{
	return write->result == DYN_HISTORY_OK && write->end_ms < begin_ms &&
		   r + write->quorum > self->n;
}

/* What a write had seen for certain, with the pasts of that. */
static void
find_past(struct check *self, uint32_t vid)
{
	const struct dyn_history_op *op = op_of(self, vid);
	uint64_t *set = past(self, vid);

	for (uint32_t i = 0; i < op->seen.count; i++)
	{
		uint32_t seen = op->seen.items[i];

		if (seen >= op->first_vid)
		{
			violation(self, "C2", "its context names a later version", vid,
					  seen, self->key->vid_ops[vid]);
			continue;
		}
		add(set, seen);
		unite(self, set, past(self, seen));
	}
	for (uint32_t i = 0; i < op->beside.count; i++)
		if (op->beside.items[i] < op->first_vid)
			unite(self, set, past(self, op->beside.items[i]));
	if (op->mode != DYN_HISTORY_REPLACE)
		return;
	/* A replacing write covers what R owners hold when it begins. */
	for (uint32_t i = 0; i < op->first_vid; i++)
		if (must_be_met(self, op_of(self, i), op->check_quorum, op->begin_ms))
		{
			add(set, i);
			unite(self, set, past(self, i));
		}
}

/* How many of these versions began until then; versions are numbered in the
 * order of their begin.  NULL: of all. */
static uint32_t
count_begun(const struct check *self, const uint32_t *vids, uint32_t count,
			uint64_t until_ms)
{
	uint32_t low = 0;
	uint32_t high = count;

	while (low < high) /* the first one that began later */
	{
		uint32_t middle = low + (high - low) / 2;
		uint32_t vid = vids != NULL ? vids[middle] : middle;

		if (op_of(self, vid)->begin_ms <= until_ms)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* A replacing write may have covered all that began before it ended, and so
 * all of their pasts, which are older. */
static bool
spread_replace(struct check *self, uint64_t *set,
			   const struct dyn_history_op *op)
{
	uint32_t count =
		count_begun(self, NULL, self->key->vid_count, acted_until(op));
	bool grew = false;

	for (uint32_t i = 0; i <= count / 64; i++)
	{
		uint64_t bits =
			i < count / 64 ? UINT64_MAX : (UINT64_C(1) << count % 64) - 1;

		grew |= (bits & ~set[i]) != 0;
		set[i] |= bits;
	}
	return grew;
}

/* Writes that sweep away what nobody names: deletes, with what they and all
 * before them have seen, and replacing writes. */
static void
find_sweeping(struct check *self)
{
	size_t words = self->word_count;

	self->deletes =
		dyn_sim_allocate((self->key->vid_count + 1) * sizeof(*self->deletes));
	self->replaces =
		dyn_sim_allocate((self->key->vid_count + 1) * sizeof(*self->replaces));
	for (uint32_t v = 0; v < self->key->vid_count; v++)
	{
		const struct dyn_history_op *op = op_of(self, v);

		if (op->kind == DYN_HISTORY_DELETE && may_exist(op))
			self->deletes[self->delete_count++] = v;
		if (op->mode == DYN_HISTORY_REPLACE && may_exist(op))
			self->replaces[self->replace_count++] = v;
	}
	self->deleted = dyn_sim_allocate((self->delete_count + 1) * words *
									 sizeof(*self->deleted));
	for (uint32_t i = 0; i < self->delete_count; i++)
	{
		uint64_t *set = self->deleted + i * words;

		if (i > 0)
			unite(self, set, set - words);
		add(set, self->deletes[i]);
		unite(self, set, past(self, self->deletes[i]));
	}
}

/* All deletes that began until then, and what they had seen. */
static void
add_deleted(const struct check *self, uint64_t *set, uint64_t until_ms)
{
	uint32_t count =
		count_begun(self, self->deletes, self->delete_count, until_ms);

	if (count > 0)
		unite(self, set,
			  self->deleted + (size_t) (count - 1) * self->word_count);
}

/* What the replacing writes and deletes that began until then may have swept
 * away besides self->covered. */
static void
cover_swept(struct check *self, uint64_t until_ms)
{
	uint64_t *set = self->covered;
	bool grew = true;

	add_deleted(self, set, until_ms);
	while (grew)
	{
		grew = false;
		for (uint32_t i = 0; i < self->replace_count; i++)
		{
			const struct dyn_history_op *op = op_of(self, self->replaces[i]);

			if (op->begin_ms > until_ms)
				break;
			if (has(set, self->replaces[i]))
				grew |= spread_replace(self, set, op);
		}
	}
}

/* self->covered = what may rightly be gone when `vids` are what is left,
 * with the writes that began until until_ms. */
static void
cover(struct check *self, const struct dyn_vids *vids, uint64_t until_ms)
{
	uint64_t *set = self->covered;

	memset(set, 0, self->word_count * sizeof(*set));
	for (uint32_t i = 0; i < vids->count; i++)
	{
		if (vids->items[i] >= self->key->vid_count)
			continue;
		add(set, vids->items[i]);
		unite(self, set, past(self, vids->items[i]));
	}
	cover_swept(self, until_ms);
}

/* self->covered = what a checking write may rightly not meet.  A CREATE covers
 * nothing; a GUARDED write with one row's context also covers what the rows
 * beside it had replaced. */
static void
cover_checked(struct check *self, const struct dyn_history_op *op)
{
	memset(self->covered, 0, self->word_count * sizeof(*self->covered));
	if (op->mode == DYN_HISTORY_GUARDED)
		unite(self, self->covered, past(self, op->first_vid));
	cover_swept(self, op->end_ms);
}

/* ------------------------------------------------------------ time to live */

/* Somebody's clock may have said so by then. */
static bool
may_have_expired(const struct check *self, const struct dyn_history_op *op,
				 uint64_t until_ms)
{
	uint64_t ttl_ms = self->history->ttl_ms;
	uint64_t early_ms = self->history->ends_early_ms;

	if (ttl_ms == 0 || op->kind != DYN_HISTORY_PUT)
		return false;
	return until_ms > UINT64_MAX - early_ms ||
		   op->begin_ms + ttl_ms <= until_ms + early_ms;
}

static void
check_over(struct check *self, const struct dyn_vids *vids, uint64_t begin_ms,
		   uint32_t index)
{
	uint64_t ttl_ms = self->history->ttl_ms;
	uint64_t late_ms = self->history->ends_late_ms;

	for (uint32_t i = 0; i < vids->count && ttl_ms != 0; i++)
	{
		const struct dyn_history_op *op;

		if (vids->items[i] >= self->key->vid_count)
			continue;
		op = op_of(self, vids->items[i]);
		if (op->result == DYN_HISTORY_OK && !op->repeated &&
			begin_ms > late_ms && acted_until(op) + ttl_ms < begin_ms - late_ms)
			violation(self, "T1", "its time was up", vids->items[i], 0, index);
	}
}

/* ------------------------------------------------------ the last write wins */

/* Was it over before the other began, so that its stamp must be the lesser? */
static bool
is_older(const struct check *self, const struct dyn_history_op *op,
		 const struct dyn_history_op *other)
{
	uint64_t differ_ms = self->history->clocks_differ_ms;

	return op->result == DYN_HISTORY_OK && !op->repeated &&
		   differ_ms < other->begin_ms &&
		   acted_until(op) < other->begin_ms - differ_ms;
}

/* May this be what is left after v? Nothing is left by deletes only. */
static bool
may_be_left(const struct check *self, const struct dyn_vids *vids, uint32_t v,
			uint64_t until_ms)
{
	if (vids->count != 0)
		return vids->items[0] >= self->key->vid_count ||
			   !is_older(self, op_of(self, vids->items[0]), op_of(self, v));
	for (uint32_t i = 0; i < self->delete_count; i++)
	{
		const struct dyn_history_op *op = op_of(self, self->deletes[i]);

		if (op->begin_ms <= until_ms && !is_older(self, op, op_of(self, v)))
			return true;
	}
	for (uint32_t i = 0; i < self->key->vid_count; i++)
		if (may_exist(op_of(self, i)) &&
			may_have_expired(self, op_of(self, i), until_ms) &&
			!is_older(self, op_of(self, i), op_of(self, v)))
			return true;
	return false;
}

static void
check_last(struct check *self, const struct dyn_vids *vids, uint32_t v,
		   uint64_t until_ms, uint32_t op)
{
	if (!may_be_left(self, vids, v, until_ms))
		violation(self, "L2", "an older write has won over it", v,
				  vids->count ? vids->items[0] : 0, op);
}

static void
check_one(struct check *self, const struct dyn_vids *vids, uint32_t op)
{
	if (vids->count > 1)
		violation(self, "L1", "more than one version is shown", vids->items[0],
				  vids->items[1], op);
}

/* ------------------------------------------------------------------- rules */

static void
check_invented(struct check *self, const struct dyn_vids *vids, uint64_t end_ms,
			   uint32_t op)
{
	for (uint32_t i = 0; i < vids->count; i++)
	{
		uint32_t vid = vids->items[i];

		if (vid >= self->key->vid_count)
			violation(self, "C2", "a version nobody wrote", vid, 0, op);
		else if (op_of(self, vid)->kind == DYN_HISTORY_DELETE)
			violation(self, "C2", "a delete was returned as a version", vid, 0,
					  op);
		else if (op_of(self, vid)->begin_ms > end_ms)
			violation(self, "C2", "a version from the future", vid, 0, op);
		else if (!may_exist(op_of(self, vid)))
			violation(self, "C2", "its write was definitely refused", vid, 0,
					  op);
	}
}

static void
check_antichain(struct check *self, const struct dyn_vids *vids, uint32_t op)
{
	for (uint32_t i = 0; i < vids->count; i++)
		for (uint32_t j = 0; j < vids->count; j++)
			if (vids->items[i] < self->key->vid_count &&
				vids->items[j] < self->key->vid_count &&
				has(past(self, vids->items[j]), vids->items[i]))
				came_back(self, "C4", "it lies in the past of the other",
						  vids->items[i], vids->items[j], op);
}

/* Nothing of `vids` is in the past of write w. */
static void
check_not_past(struct check *self, const struct dyn_vids *vids, uint32_t w,
			   const char *rule, uint32_t op)
{
	for (uint32_t i = 0; i < vids->count; i++)
		if (vids->items[i] < self->key->vid_count &&
			has(past(self, w), vids->items[i]))
			came_back(self, rule, "it had been replaced by the other",
					  vids->items[i], w, op);
}

static void
check_final(struct check *self)
{
	const struct dyn_vids *final = &self->key->final;

	check_invented(self, final, UINT64_MAX, UINT32_MAX);
	if (self->history->lww)
		check_one(self, final, UINT32_MAX);
	check_antichain(self, final, UINT32_MAX);
	cover(self, final, UINT64_MAX);
	for (uint32_t v = 0; v < self->key->vid_count; v++)
	{
		const struct dyn_history_op *op = op_of(self, v);

		if (op->result == DYN_HISTORY_OK && self->history->lww)
			check_last(self, final, v, UINT64_MAX, UINT32_MAX);
		else if (op->result == DYN_HISTORY_OK && !has(self->covered, v) &&
				 !may_have_expired(self, op, UINT64_MAX))
			violation(self, "C1", "an acknowledged write was lost", v, 0,
					  self->key->vid_ops[v]);
		if (op->result == DYN_HISTORY_OK || has(self->effective, v))
			check_not_past(self, final, v, "C3", UINT32_MAX);
	}
}

static void
check_fresh(struct check *self, uint32_t index)
{
	const struct dyn_history_op *read = &self->history->ops[index];

	bool stale = false;

	cover(self, &read->seen, read->end_ms);
	for (uint32_t v = 0; v < self->key->vid_count; v++)
	{
		const struct dyn_history_op *write = op_of(self, v);

		if (!must_be_met(self, write, read->quorum, read->begin_ms))
		{
			stale |= write->result == DYN_HISTORY_OK &&
					 write->end_ms < read->begin_ms && !has(self->covered, v);
			continue;
		}
		if (self->history->lww)
			check_last(self, &read->seen, v, read->end_ms, index);
		else if (!has(self->covered, v) &&
				 !may_have_expired(self, write, read->end_ms))
			violation(self, "C9", "a strict read missed an acknowledged write",
					  v, 0, index);
		check_not_past(self, &read->seen, v, "C9", index);
	}
	self->counts->reads_stale += stale;
}

/* Against the same client's strict read before. */
static void
check_monotonic(struct check *self, uint32_t before, uint32_t index)
{
	const struct dyn_history_op *first = &self->history->ops[before];
	const struct dyn_history_op *read = &self->history->ops[index];

	cover(self, &read->seen, read->end_ms);
	for (uint32_t i = 0; i < first->seen.count; i++)
	{
		uint32_t vid = first->seen.items[i];

		if (vid >= self->key->vid_count || has(self->covered, vid) ||
			may_have_expired(self, op_of(self, vid), read->end_ms))
			continue;
		if (must_be_met(self, op_of(self, vid), read->quorum, read->begin_ms))
			violation(self, "C10", "the client had read it before", vid, 0,
					  index);
		else
			self->counts->reads_stepped++;
	}
}

static void
check_read(struct check *self, uint32_t index)
{
	const struct dyn_history_op *read = &self->history->ops[index];

	if (read->result != DYN_HISTORY_OK)
		return;
	self->counts->reads++;
	check_invented(self, &read->seen, read->end_ms, index);
	if (self->history->lww)
		check_one(self, &read->seen, index);
	check_over(self, &read->seen, read->begin_ms, index);
	check_antichain(self, &read->seen, index);
	if (!read->strict)
		return;
	self->counts->reads_strict++;
	check_fresh(self, index);
}

/* A checking write that succeeded met nothing that it did not cover. */
static void
check_mode(struct check *self, uint32_t index)
{
	const struct dyn_history_op *op = &self->history->ops[index];
	static const struct dyn_vids none = { 0 };

	if (op->result != DYN_HISTORY_OK ||
		(op->mode != DYN_HISTORY_CREATE && op->mode != DYN_HISTORY_GUARDED))
		return;
	if (self->history->lww && op->mode == DYN_HISTORY_GUARDED)
		return; /* it meets the one that has won, not the others */
	cover_checked(self, op);
	for (uint32_t v = 0; v < self->key->vid_count; v++)
		if (self->key->vid_ops[v] == index ||
			!must_be_met(self, op_of(self, v), op->check_quorum, op->begin_ms))
			continue;
		else if (self->history->lww)
			check_last(self, &none, v, op->end_ms, index);
		else if (!has(self->covered, v) &&
				 !may_have_expired(self, op_of(self, v), op->end_ms))
			violation(self, "C12", "a checking write did not meet it", v,
					  op->first_vid, index);
}

/* ---------------------------------------------------------------- one key */

static void
find_effective(struct check *self)
{
	for (uint32_t i = 0; i < self->key->op_count; i++)
	{
		const struct dyn_history_op *op =
			&self->history->ops[self->key->ops[i]];

		if (op->kind != DYN_HISTORY_READ)
			continue;
		for (uint32_t j = 0; j < op->seen.count; j++)
			if (op->seen.items[j] < self->key->vid_count)
				add(self->effective, op->seen.items[j]);
	}
}

static void
check_reads_of_clients(struct check *self)
{
	if (self->history->lww)
		return;
	for (uint32_t i = 0; i < self->key->op_count; i++)
	{
		uint32_t index = self->key->ops[i];
		const struct dyn_history_op *op = &self->history->ops[index];

		if (op->kind != DYN_HISTORY_READ || !op->strict ||
			op->result != DYN_HISTORY_OK)
			continue;
		for (uint32_t j = i; j-- > 0;)
		{
			const struct dyn_history_op *before =
				&self->history->ops[self->key->ops[j]];

			if (before->kind == DYN_HISTORY_READ && before->strict &&
				before->client == op->client &&
				before->result == DYN_HISTORY_OK &&
				before->end_ms < op->begin_ms)
			{
				check_monotonic(self, self->key->ops[j], index);
				break;
			}
		}
	}
}

static void
count_writes(struct check *self)
{
	for (uint32_t i = 0; i < self->key->op_count; i++)
	{
		const struct dyn_history_op *op =
			&self->history->ops[self->key->ops[i]];

		if (op->kind == DYN_HISTORY_READ)
			continue;
		self->counts->writes_acknowledged += op->result == DYN_HISTORY_OK;
		self->counts->writes_unknown += op->result == DYN_HISTORY_UNKNOWN ||
										op->result == DYN_HISTORY_PENDING;
	}
}

static void
check_key(struct check *self)
{
	size_t size;

	self->word_count = (self->key->vid_count + 63) / 64 + 1;
	size = self->word_count * sizeof(uint64_t);
	self->pasts = dyn_sim_allocate((self->key->vid_count + 1) * size);
	self->effective = dyn_sim_allocate(size);
	self->covered = dyn_sim_allocate(size);
	for (uint32_t v = 0; v < self->key->vid_count; v++)
		find_past(self, v);
	find_sweeping(self);
	find_effective(self);
	count_writes(self);
	for (uint32_t i = 0; i < self->key->op_count; i++)
	{
		if (self->history->ops[self->key->ops[i]].kind == DYN_HISTORY_READ)
			check_read(self, self->key->ops[i]);
		else
			check_mode(self, self->key->ops[i]);
	}
	check_reads_of_clients(self);
	if (self->key->has_final)
		check_final(self);
	free(self->pasts);
	free(self->effective);
	free(self->covered);
	free(self->deletes);
	free(self->replaces);
	free(self->deleted);
}

void
dyn_checker_run(const struct dyn_history *history, uint8_t n,
				dyn_checker_report report, void *context,
				struct dyn_checker_counts *counts)
{
	*counts = (struct dyn_checker_counts){ 0 };
	for (uint32_t i = 0; i < history->key_count; i++)
	{
		struct check check = { .history = history,
							   .key = &history->keys[i],
							   .key_index = i,
							   .n = n,
							   .report = report,
							   .context = context,
							   .counts = counts };

		check_key(&check);
	}
}
