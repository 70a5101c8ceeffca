/*
 * repair: anti-entropy now, for a partition or for all, until the owners have
 * been found equal.
 *
 * Each node is asked to begin its rounds, again and again while some pair of
 * owners has not been found equal since the command began; which ones have,
 * STATUS tells.
 */
#include "ctl/ctl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/clock.h"

enum
{
	POLL_US = 300000,
	ASK_EVERY = 3,      /* polls */
	PATIENCE_MS = 30000 /* without any news */
};

/* A member, and what it told last. */
struct party
{
	const char *address;
	struct dyn_client *client;
	const Dyn__StatusReply *status; /* NULL = it does not answer */
	uint64_t asked_at_ms;           /* when that was asked for */
	uint64_t keys_before;
	uint64_t bytes_before;
	bool counted; /* these two are known */
};

struct repair
{
	struct ctl *ctl;
	struct dyn_ring ring;
	int partition; /* -1 = all */
	uint64_t begun_ms;
	struct party parties[DYN_MEMBERS_MAX];
	uint32_t pairs;
	uint32_t equal;
	uint32_t away; /* pairs of which one does not answer */
};

static uint64_t
counter(const Dyn__StatusReply *status, const char *name)
{
	for (size_t i = 0; status != NULL && i < status->n_counters; i++)
		if (strcmp(status->counters[i]->name, name) == 0)
			return status->counters[i]->value;
	return 0;
}

/* -------------------------------------------------------------------- asking */

static void *
ask(struct repair *self, struct party *party, enum dyn_message_type type,
	const ProtobufCMessage *body, enum dyn_message_type reply_type)
{
	const char *text;
	void *reply;

	if (party->client == NULL)
		party->client = dyn_client_open(party->address);
	if (party->client != NULL &&
		dyn_client_ask(party->client,
					   (uint32_t) self->ctl->arguments.timeout_ms, type, body,
					   reply_type, &self->ctl->arena, &reply,
					   &text) == DYN_STATUS_OK)
		return reply;
	dyn_client_close(&party->client);
	return NULL;
}

static void
ask_status(struct repair *self, struct party *party)
{
	Dyn__StatusRequest request = DYN__STATUS_REQUEST__INIT;

	request.partitions = true;
	party->asked_at_ms = dyn_clock_ms(CLOCK_MONOTONIC);
	party->status = ask(self, party, DYN_MESSAGE_STATUS, &request.base,
						DYN_MESSAGE_STATUS_REPLY);
	if (party->counted || party->status == NULL)
		return;
	party->counted = true;
	party->keys_before = counter(party->status, "exchange_keys_repaired");
	party->bytes_before = counter(party->status, "exchange_object_bytes");
}

static void
ask_repair(struct repair *self)
{
	Dyn__RepairRequest request = DYN__REPAIR_REQUEST__INIT;

	request.all = self->partition < 0;
	request.partition = self->partition < 0 ? 0 : (uint32_t) self->partition;
	for (uint32_t i = 0; i < self->ring.member_count; i++)
		if (self->parties[i].status != NULL)
			ask(self, &self->parties[i], DYN_MESSAGE_REPAIR, &request.base,
				DYN_MESSAGE_REPAIR_REPLY);
}

/* ------------------------------------------------------------------- looking */

static struct party *
owner(struct repair *self, uint16_t partition, uint8_t slot)
{
	const struct dyn_node_id *id =
		&dyn_ring_slot(&self->ring, partition, slot)->node;

	for (uint32_t i = 0; i < self->ring.member_count; i++)
		if (dyn_node_id_compare(&self->ring.members[i].id, id) == 0)
			return &self->parties[i];
	return NULL;
}

/* Has this owner found another one equal since the command began? */
static bool
has_verified(const struct repair *self, const struct party *party,
			 uint16_t partition, uint8_t other)
{
	for (size_t i = 0; i < party->status->n_partitions; i++)
	{
		const Dyn__PartitionStatus *told = party->status->partitions[i];

		if (told->partition == partition)
			return other < told->n_verified_ms &&
				   told->verified_ms[other] != 0 &&
				   told->verified_ms[other] <
					   party->asked_at_ms - self->begun_ms;
	}
	return false;
}

static void
look_at_pair(struct repair *self, uint16_t partition, uint8_t a, uint8_t b)
{
	struct party *one = owner(self, partition, a);
	struct party *two = owner(self, partition, b);

	self->pairs++;
	if (one == NULL || two == NULL || one->status == NULL ||
		two->status == NULL)
		self->away++;
	else if (has_verified(self, one, partition, b) ||
			 has_verified(self, two, partition, a))
		self->equal++;
}

static void
look(struct repair *self)
{
	for (uint32_t i = 0; i < self->ring.member_count; i++)
		ask_status(self, &self->parties[i]);
	self->pairs = self->equal = self->away = 0;
	for (uint16_t p = 0; p < self->ring.partition_count; p++)
		for (uint8_t a = 0; a < self->ring.replica_count; a++)
			for (uint8_t b = a + 1; b < self->ring.replica_count; b++)
				if (self->partition < 0 || self->partition == p)
					look_at_pair(self, p, a, b);
}

/* News: pairs found equal, and objects on their way. */
static uint64_t
progress(const struct repair *self)
{
	uint64_t sum = self->equal;

	for (uint32_t i = 0; i < self->ring.member_count; i++)
		sum += counter(self->parties[i].status, "exchange_object_bytes");
	return sum;
}

static void
run(struct repair *self)
{
	uint64_t news_ms;
	uint64_t before;
	uint32_t told = UINT32_MAX;

	look(self);
	self->begun_ms = news_ms = dyn_clock_ms(CLOCK_MONOTONIC);
	self->equal = 0;
	before = progress(self);
	for (uint32_t poll = 0;
		 dyn_clock_ms(CLOCK_MONOTONIC) - news_ms < PATIENCE_MS; poll++)
	{
		if (poll % ASK_EVERY == 0)
			ask_repair(self);
		usleep(POLL_US);
		dyn_arena_reset(&self->ctl->arena);
		look(self);
		if (!self->ctl->arguments.json && self->equal != told)
			printf("%" PRIu32 " of %" PRIu32 " pairs of owners are equal\n",
				   self->equal, self->pairs);
		fflush(stdout);
		told = self->equal;
		if (self->equal + self->away == self->pairs)
			break;
		if (progress(self) != before)
			news_ms = dyn_clock_ms(CLOCK_MONOTONIC);
		before = progress(self);
	}
}

/* ------------------------------------------------------------------- telling */

static uint64_t
repaired(const struct party *party)
{
	uint64_t count = counter(party->status, "exchange_keys_repaired");

	/* Less than before: it was started anew. */
	return count >= party->keys_before ? count - party->keys_before : count;
}

static uint64_t
moved(const struct party *party)
{
	uint64_t bytes = counter(party->status, "exchange_object_bytes");

	return bytes >= party->bytes_before ? bytes - party->bytes_before : bytes;
}

static void
tell_json(const struct repair *self)
{
	printf("{\"partitions\": %d, \"pairs\": %" PRIu32 ", \"equal\": %" PRIu32
		   ", \"away\": %" PRIu32 ", \"ms\": %" PRIu64 ", \"nodes\": [",
		   self->partition < 0 ? self->ring.partition_count : 1, self->pairs,
		   self->equal, self->away,
		   dyn_clock_ms(CLOCK_MONOTONIC) - self->begun_ms);
	for (uint32_t i = 0; i < self->ring.member_count; i++)
	{
		const struct party *party = &self->parties[i];

		printf("%s{\"address\": ", i ? ", " : "");
		ctl_print_json(dyn_slice_of(party->address));
		printf(", \"answers\": %s, \"keys_repaired\": %" PRIu64
			   ", \"object_bytes\": %" PRIu64 "}",
			   party->status != NULL ? "true" : "false", repaired(party),
			   moved(party));
	}
	printf("]}\n");
}

static void
tell_text(const struct repair *self)
{
	printf("\n%-24s %-8s %14s %14s\n", "node", "answers", "keys repaired",
		   "object bytes");
	for (uint32_t i = 0; i < self->ring.member_count; i++)
		printf("%-24s %-8s %14" PRIu64 " %14" PRIu64 "\n",
			   self->parties[i].address,
			   self->parties[i].status != NULL ? "yes" : "no",
			   repaired(&self->parties[i]), moved(&self->parties[i]));
	printf("\n");
	if (self->equal == self->pairs)
		printf("all owners are equal\n");
	if (self->away != 0)
		printf("%" PRIu32 " pairs of owners could not be compared: not all of "
			   "them answer\n",
			   self->away);
	if (self->equal + self->away != self->pairs)
		printf("%" PRIu32 " pairs of owners have not been found equal; "
			   "dynctl status tells how far each node is\n",
			   self->pairs - self->equal - self->away);
}

/* PARTITION, or nothing. */
static bool
parse(struct repair *self, const struct ctl_arguments *arguments)
{
	self->partition = -1;
	if (arguments->word_count == 0)
		return true;
	return arguments->word_count == 1 &&
		   ctl_parse_number(arguments->words[0], 0,
							self->ring.partition_count - 1, "repair",
							&self->partition);
}

int
ctl_repair(struct ctl *self)
{
	struct repair *repair = dyn_arena_allocate(&self->arena, sizeof(*repair));
	struct dyn_arena keep;
	const Dyn__Welcome *welcome = ctl_hello(self, self->client);
	int code = CTL_OK;

	memset(repair, 0, sizeof(*repair));
	repair->ctl = self;
	if (welcome == NULL || !ctl_ring(self, welcome, &repair->ring))
		return CTL_FAILED;
	if (!parse(repair, &self->arguments))
		return CTL_USAGE;
	for (uint32_t i = 0; i < repair->ring.member_count; i++)
		repair->parties[i].address = repair->ring.members[i].address;
	/* What lives as long as the command stays; answers come and go. */
	keep = self->arena;
	dyn_arena_init(&self->arena, dyn_allocator_malloc(), 0);
	run(repair);
	if (self->arguments.json)
		tell_json(repair);
	else
		tell_text(repair);
	if (repair->equal != repair->pairs)
		code = CTL_FAILED;
	for (uint32_t i = 0; i < repair->ring.member_count; i++)
		dyn_client_close(&repair->parties[i].client);
	dyn_arena_destroy(&self->arena);
	self->arena = keep;
	return code;
}
