#include "tests/fault/journal.h"

#include "io/clock.h"
#include "model/arena.h"
#include "tests/sim/simdisk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum
{
	/* A client whose connection breaks leaves an attempt that may still act. */
	ACTS_US = 5 * 1000 * 1000
};

void
dyn_tokens_add(struct dyn_tokens *self, struct dyn_token token)
{
	if (self->count == self->capacity)
	{
		self->capacity = self->capacity ? 2 * self->capacity : 8;
		self->items =
			dyn_sim_grow(self->items, self->capacity * sizeof(*self->items));
	}
	self->items[self->count++] = token;
}

void
dyn_tokens_destroy(struct dyn_tokens *self)
{
	free(self->items);
	*self = (struct dyn_tokens){ 0 };
}

uint64_t
dyn_journal_now_us(void)
{
	return dyn_clock_us(CLOCK_MONOTONIC);
}

/* ------------------------------------------------------------------ writing */

static void
put_tokens(FILE *file, const struct dyn_tokens *tokens)
{
	if (tokens == NULL || tokens->count == 0)
		fputs(" -", file);
	for (uint32_t i = 0; tokens != NULL && i < tokens->count; i++)
		fprintf(file, "%c%u.%u", i ? ',' : ' ', tokens->items[i].client,
				tokens->items[i].count);
}

void
dyn_journal_write(FILE *file, struct dyn_token op, bool is_delete, uint32_t key,
				  enum dyn_history_mode mode, unsigned w, unsigned r,
				  const struct dyn_tokens *seen,
				  const struct dyn_tokens *beside)
{
	fprintf(file, "%c %u.%u %u %d %u %u %" PRIu64, is_delete ? 'D' : 'P',
			op.client, op.count, key, (int) mode, w, r, dyn_journal_now_us());
	put_tokens(file, seen);
	put_tokens(file, beside);
	fputc('\n', file);
}

void
dyn_journal_read(FILE *file, struct dyn_token op, uint32_t key, unsigned r)
{
	fprintf(file, "G %u.%u %u %u %" PRIu64 "\n", op.client, op.count, key, r,
			dyn_journal_now_us());
}

void
dyn_journal_again(FILE *file, struct dyn_token op)
{
	fprintf(file, "A %u.%u\n", op.client, op.count);
}

void
dyn_journal_context(FILE *file, struct dyn_token op, uint64_t read_us,
					struct dyn_slice clock)
{
	struct dyn_arena arena;
	struct dyn_clock context;
	char *text;

	dyn_arena_init(&arena, dyn_allocator_malloc(), 4096);
	if (dyn_clock_decode(clock, false, &arena.allocator, &context) ==
			DYN_STATUS_OK &&
		dyn_clock_format(&context, &arena.allocator, &text) == DYN_STATUS_OK)
		fprintf(file, "X %u.%u %" PRIu64 " %s\n", op.client, op.count, read_us,
				text);
	dyn_arena_destroy(&arena);
}

void
dyn_journal_name(FILE *file, struct dyn_token op, struct dyn_dot name)
{
	fprintf(file, "V %u.%u %016" PRIx64 "\n", op.client, op.count,
			name.actor.start);
}

void
dyn_journal_ok(FILE *file, struct dyn_token op, unsigned owners,
			   const struct dyn_tokens *seen)
{
	fprintf(file, "O %u.%u %" PRIu64 " %u", op.client, op.count,
			dyn_journal_now_us(), owners);
	put_tokens(file, seen);
	fputc('\n', file);
}

void
dyn_journal_no(FILE *file, struct dyn_token op)
{
	fprintf(file, "N %u.%u %" PRIu64 "\n", op.client, op.count,
			dyn_journal_now_us());
}

void
dyn_journal_unknown(FILE *file, struct dyn_token op)
{
	fprintf(file, "U %u.%u %" PRIu64 "\n", op.client, op.count,
			dyn_journal_now_us());
}

/* ------------------------------------------------------------------ reading */

static bool
take_token(const char **at, struct dyn_token *out)
{
	char *end;

	out->client = (uint32_t) strtoul(*at, &end, 10);
	if (end == *at || *end != '.')
		return false;
	*at = end + 1;
	out->count = (uint32_t) strtoul(*at, &end, 10);
	if (end == *at)
		return false;
	*at = end;
	return true;
}

static bool
take_number(const char **at, uint64_t *out)
{
	char *end;

	while (**at == ' ')
		++*at;
	*out = strtoull(*at, &end, 10);
	if (end == *at)
		return false;
	*at = end;
	return true;
}

static bool
take_tokens(const char **at, struct dyn_tokens *out)
{
	struct dyn_token token;

	while (**at == ' ')
		++*at;
	if (**at == '-')
	{
		++*at;
		return true;
	}
	do
	{
		if (**at == ',')
			++*at;
		if (!take_token(at, &token))
			return false;
		dyn_tokens_add(out, token);
	} while (**at == ',');
	return true;
}

static bool
take_begin(struct dyn_journal_op *op, char kind, const char *at)
{
	uint64_t key;
	uint64_t mode = 0;
	uint64_t w = 0;
	uint64_t r;

	op->kind = kind == 'P'   ? DYN_HISTORY_PUT
			   : kind == 'D' ? DYN_HISTORY_DELETE
							 : DYN_HISTORY_READ;
	op->end_us = UINT64_MAX;
	if (!take_number(&at, &key) || key >= DYN_FAULT_KEYS_MAX ||
		(kind != 'G' && (!take_number(&at, &mode) || !take_number(&at, &w))) ||
		!take_number(&at, &r) || !take_number(&at, &op->begin_us))
		return false;
	op->key = (uint32_t) key;
	op->mode = (enum dyn_history_mode) mode;
	op->w = (unsigned) w;
	op->r = (unsigned) r;
	return kind == 'G' ||
		   (take_tokens(&at, &op->seen) && take_tokens(&at, &op->beside));
}

static bool
take_end(struct dyn_journal_op *op, char kind, const char *at)
{
	uint64_t owners;

	if (op == NULL || !take_number(&at, &op->end_us))
		return false;
	op->result = kind == 'O'   ? DYN_HISTORY_OK
				 : kind == 'N' ? DYN_HISTORY_NO
							   : DYN_HISTORY_UNKNOWN;
	if (kind != 'O')
		return true;
	if (strncmp(at, " -", 2) == 0)
		at += 2;
	else
	{
		if (!take_number(&at, &owners))
			return false;
		op->told_owners = true;
		op->owners = (unsigned) owners;
	}
	return op->kind != DYN_HISTORY_READ || take_tokens(&at, &op->seen);
}

void
dyn_journal_know(struct dyn_journal *self, struct dyn_token token,
				 uint64_t start)
{
	if (self->name_count == self->name_capacity)
	{
		self->name_capacity =
			self->name_capacity ? 2 * self->name_capacity : 1024;
		self->names = dyn_sim_grow(self->names,
								   self->name_capacity * sizeof(*self->names));
	}
	self->names[self->name_count++] =
		(struct dyn_journal_name){ .token = token, .start = start };
}

static bool
take_name(struct dyn_journal *self, struct dyn_token token, const char *at)
{
	char *end;
	uint64_t start = strtoull(at, &end, 16);

	if (end == at)
		return false;
	dyn_journal_know(self, token, start);
	return true;
}

/* One more clock that it carried: a line. */
static bool
take_context(struct dyn_journal_op *op, const char *at)
{
	size_t old_size;
	size_t size;

	if (op == NULL || !take_number(&at, &op->read_us))
		return false;
	while (*at == ' ')
		at++;
	old_size = op->contexts ? strlen(op->contexts) : 0;
	size = strlen(at);
	op->contexts = dyn_sim_grow(op->contexts, old_size + size + 1);
	memcpy(op->contexts + old_size, at, size + 1);
	return true;
}

/* The operation that a later line of the same file speaks of: one of the
 * last, for a client has few at a time. */
static struct dyn_journal_op *
find_open(struct dyn_journal *self, struct dyn_token name, uint32_t first)
{
	for (uint32_t i = self->count; i-- > first;)
		if (self->ops[i].name.client == name.client &&
			self->ops[i].name.count == name.count)
			return &self->ops[i];
	return NULL;
}

static bool
take_line(struct dyn_journal *self, const char *line, uint32_t first)
{
	char kind = line[0];
	const char *at = line + 2;
	struct dyn_token name;
	struct dyn_journal_op *op;

	if (strlen(line) < 3 || strchr("PDGAONUXV", kind) == NULL ||
		!take_token(&at, &name))
		return false;
	if (strchr("PDG", kind) != NULL)
	{
		if (self->count == self->capacity)
		{
			self->capacity = self->capacity ? 2 * self->capacity : 1024;
			self->ops =
				dyn_sim_grow(self->ops, self->capacity * sizeof(*self->ops));
		}
		op = &self->ops[self->count++];
		*op = (struct dyn_journal_op){ .name = name };
		return take_begin(op, kind, at);
	}
	if (kind == 'V')
		return take_name(self, name, at);
	op = find_open(self, name, first);
	if (kind == 'X')
		return take_context(op, at);
	if (kind != 'A')
		return take_end(op, kind, at);
	if (op != NULL)
		op->again = true;
	return op != NULL;
}

bool
dyn_journal_load(struct dyn_journal *self, const char *path)
{
	FILE *file = fopen(path, "re");
	uint32_t first = self->count;
	char *line = NULL;
	size_t capacity = 0;
	unsigned number = 0;
	bool good = true;

	if (file == NULL)
	{
		fprintf(stderr, "check: cannot read %s: %s\n", path, strerror(errno));
		return false;
	}
	while (good && getline(&line, &capacity, file) > 0)
	{
		number++;
		if (strchr(line, '\n') == NULL)
			break;
		good = take_line(self, line, first);
		if (!good)
			fprintf(stderr, "check: %s:%u: not understood: %s", path, number,
					line);
	}
	free(line);
	fclose(file);
	return good;
}

static int
compare_begins(const void *a, const void *b)
{
	const struct dyn_journal_op *x = a;
	const struct dyn_journal_op *y = b;

	if (x->begin_us != y->begin_us)
		return x->begin_us < y->begin_us ? -1 : 1;
	if (x->name.client != y->name.client)
		return x->name.client < y->name.client ? -1 : 1;
	return x->name.count < y->name.count ? -1 : x->name.count > y->name.count;
}

static int
compare_names(const void *a, const void *b)
{
	const struct dyn_journal_op *x = *(struct dyn_journal_op *const *) a;
	const struct dyn_journal_op *y = *(struct dyn_journal_op *const *) b;

	if (x->name.client != y->name.client)
		return x->name.client < y->name.client ? -1 : 1;
	return x->name.count < y->name.count ? -1 : x->name.count > y->name.count;
}

/* The vid of a write of this key; UINT32_MAX, which no checker knows, when
 * there is none. */
static uint32_t
vid_of(struct dyn_journal_op *const *sorted, uint32_t count, uint32_t key,
	   struct dyn_token name)
{
	struct dyn_journal_op wanted = { .name = name };
	struct dyn_journal_op *pointer = &wanted;
	struct dyn_journal_op *const *found =
		bsearch(&pointer, sorted, count, sizeof(*sorted), compare_names);

	if (found == NULL || (*found)->key != key ||
		(*found)->kind == DYN_HISTORY_READ)
		return UINT32_MAX;
	return (*found)->vid;
}

static void
to_vids(struct dyn_journal_op *const *sorted, uint32_t count, uint32_t key,
		const struct dyn_tokens *tokens, struct dyn_vids *out)
{
	out->count = 0;
	for (uint32_t i = 0; i < tokens->count; i++)
		dyn_vids_add(out, vid_of(sorted, count, key, tokens->items[i]));
}

/* An answer counts for as many owners as it says; whoever was not told may
 * have had any number of stand-ins. */
static void
end_op(const struct dyn_journal_op *op, bool stand_ins,
	   struct dyn_history *history)
{
	struct dyn_history_op *to = &history->ops[op->index];

	/* However often it was sent, it is one write; only, until then one of its
	 * attempts may begin to act. */
	to->exact = true;
	to->acts_until_ms =
		op->end_us == UINT64_MAX ? UINT64_MAX : op->end_us + ACTS_US;
	if (op->told_owners && op->owners < to->quorum)
		to->quorum = (uint8_t) op->owners;
	if (!op->told_owners && stand_ins)
		to->quorum = 0;
	/* Whom a checking or replacing write has read from is never told. */
	if (stand_ins)
		to->check_quorum = 0;
	if (op->result != DYN_HISTORY_PENDING)
		dyn_history_end(history, op->index, op->result, op->end_us);
}

/* Before anything is looked up: a read may return a write that began while it
 * was under way. */
static void
number_writes(struct dyn_journal *self, uint32_t key_count)
{
	uint32_t *counts = dyn_sim_allocate(key_count * sizeof(*counts));

	for (uint32_t i = 0; i < self->count; i++)
		if (self->ops[i].kind != DYN_HISTORY_READ)
			self->ops[i].vid = counts[self->ops[i].key]++;
	free(counts);
}

/* What cannot be read excuses nothing. */
static bool
covers(const char *contexts, struct dyn_dot dot)
{
	struct dyn_arena arena;
	bool found = false;

	dyn_arena_init(&arena, dyn_allocator_malloc(), 4096);
	while (*contexts != 0 && !found)
	{
		struct dyn_slice text = { (const uint8_t *) contexts,
								  strcspn(contexts, "\n") };
		struct dyn_clock clock;

		found =
			dyn_clock_parse(text, &arena.allocator, &clock) != DYN_STATUS_OK ||
			dyn_clock_covers(&clock, dot);
		contexts += text.size + (contexts[text.size] == '\n');
	}
	dyn_arena_destroy(&arena);
	return found;
}

/* May a read of `by` have missed the retry's copy? */
static bool
may_be_missed(const struct dyn_journal *self, const struct dyn_journal_op *op,
			  const struct dyn_journal_op *by)
{
	return self->stand_ins || op->w + by->r <= self->n ||
		   op->result != DYN_HISTORY_OK || op->end_us >= by->read_us;
}

static const struct dyn_journal_op *
write_of(const struct dyn_journal *self, uint32_t key, uint32_t vid)
{
	for (uint32_t i = 0; i < self->count; i++)
		if (self->ops[i].key == key && self->ops[i].vid == vid &&
			self->ops[i].kind != DYN_HISTORY_READ)
			return &self->ops[i];
	return NULL;
}

/* dyn_history_residue. */
static bool
is_residue(void *context, uint32_t key, uint32_t vid, uint32_t by_index)
{
	const struct dyn_journal *self = context;
	const struct dyn_journal_op *by = &self->ops[by_index];
	const struct dyn_journal_op *op = write_of(self, key, vid);
	bool is_named = false;

	if (op == NULL || by->contexts == NULL || !may_be_missed(self, op, by))
		return false;
	for (uint32_t i = 0; i < self->name_count; i++)
	{
		const struct dyn_journal_name *name = &self->names[i];
		struct dyn_dot dot = { .actor = { .start = name->start },
							   .counter = 1 };

		if (name->token.client != op->name.client ||
			name->token.count != op->name.count)
			continue;
		if (covers(by->contexts, dot))
			return false;
		is_named = true;
	}
	return is_named;
}

void
dyn_journal_to_history(struct dyn_journal *self, uint32_t key_count, uint32_t n,
					   uint64_t relaxed_from_us, bool stand_ins,
					   struct dyn_history *history)
{
	struct dyn_journal_op **sorted =
		dyn_sim_allocate((self->count + 1) * sizeof(*sorted));
	struct dyn_vids vids = { 0 };

	qsort(self->ops, self->count, sizeof(*self->ops), compare_begins);
	for (uint32_t i = 0; i < self->count; i++)
		sorted[i] = &self->ops[i];
	qsort(sorted, self->count, sizeof(*sorted), compare_names);
	self->n = n;
	self->stand_ins = stand_ins;
	dyn_history_init(history, key_count);
	history->is_residue = is_residue;
	history->residue_context = self;
	number_writes(self, key_count);
	for (uint32_t i = 0; i < self->count; i++)
	{
		struct dyn_journal_op *op = &self->ops[i];

		to_vids(sorted, self->count, op->key, &op->seen, &vids);
		if (op->kind == DYN_HISTORY_READ)
		{
			op->index = dyn_history_read(
				history, op->key, op->name.client, (uint8_t) op->r,
				relaxed_from_us == 0 || op->begin_us < relaxed_from_us,
				op->begin_us);
			for (uint32_t j = 0; j < vids.count; j++)
				dyn_history_return(history, op->index, vids.items[j]);
		}
		else
		{
			op->index = dyn_history_write(
				history, op->key, op->name.client, op->mode,
				op->kind == DYN_HISTORY_PUT ? 1 : 0, &vids, (uint8_t) op->w,
				(uint8_t) op->r, op->begin_us);
			to_vids(sorted, self->count, op->key, &op->beside, &vids);
			dyn_history_beside(history, op->index, &vids);
		}
		end_op(op, stand_ins, history);
	}
	free(vids.items);
	free(sorted);
}

const struct dyn_journal_op *
dyn_journal_find(const struct dyn_journal *self, struct dyn_token name)
{
	for (uint32_t i = 0; i < self->count; i++)
		if (self->ops[i].name.client == name.client &&
			self->ops[i].name.count == name.count)
			return &self->ops[i];
	return NULL;
}

void
dyn_journal_destroy(struct dyn_journal *self)
{
	for (uint32_t i = 0; i < self->count; i++)
	{
		dyn_tokens_destroy(&self->ops[i].seen);
		dyn_tokens_destroy(&self->ops[i].beside);
		free(self->ops[i].contexts);
	}
	free(self->names);
	free(self->ops);
	*self = (struct dyn_journal){ 0 };
}
