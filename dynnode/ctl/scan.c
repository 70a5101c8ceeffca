/*
 * scan: a bucket, merged from R owners of each partition, or one replica.
 * Where partitions hold enough keys, trees are compared first, and equal cells
 * come from one copy.
 */
#include "ctl/streams.h"

#include "model/bucket.h"
#include "model/hash.h"
#include "model/scan_census.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct scan
{
	struct ctl *ctl;
	struct dyn_arena arena; /* of the present row: a bucket may be large */
	struct dyn_ring ring;
	uint32_t r;
	struct dyn_client *clients[DYN_MEMBERS_MAX]; /* by member, when needed */
	bool up[DYN_MEMBERS_MAX];
	struct dyn_scan_census census;
	struct ctl_streams streams; /* of the present partition */
};

/* Tombstones too: whoever compares replicas wants to see them. */
static void
print_replica(const struct ctl *ctl, struct dyn_slice key, uint64_t hash,
			  uint32_t row_count)
{
	if (ctl->arguments.json)
	{
		printf("{\"key\": ");
		ctl_print_json(key);
		printf(", \"hash\": \"%016" PRIx64 "\", \"rows\": %u}\n", hash,
			   row_count);
		return;
	}
	ctl_print_value(key);
	printf("\t%016" PRIx64 "\t%u\n", hash, row_count);
}

static bool
print_item(struct scan *self, struct dyn_slice key, struct dyn_slice encoded,
		   uint64_t hash)
{
	struct ctl *ctl = self->ctl;
	struct dyn_object object = { 0 };
	struct dyn_row *rows = NULL;
	uint32_t count = 0;
	char *clock = "";

	if (ctl_rows(ctl, encoded, &self->arena, &object, &rows, &count) !=
		DYN_STATUS_OK)
	{
		fprintf(stderr, "dynctl: scan: a node sent a malformed object\n");
		return false;
	}
	if (ctl->arguments.replica)
	{
		print_replica(ctl, key, hash, count);
		return true;
	}
	for (uint32_t i = 0; i < count; i++)
	{
		dyn_clock_format(&rows[i].clock, &self->arena.allocator, &clock);
		if (ctl->arguments.json)
		{
			printf("{\"key\": ");
			ctl_print_json(key);
			if (!ctl->arguments.keys_only)
			{
				printf(", \"value\": ");
				ctl_print_json(rows[i].version->value);
			}
			printf(", \"vclock\": \"%s\"}\n", clock);
		}
		else
		{
			ctl_print_value(key);
			if (!ctl->arguments.keys_only)
			{
				printf("\t");
				ctl_print_value(rows[i].version->value);
			}
			printf("\t%s\n", clock);
		}
	}
	return true;
}

/* A key on which the owners differ: a coordinated read, which repairs too. */
static bool
print_diverged(struct scan *self, struct dyn_slice key)
{
	Dyn__GetRequest request = DYN__GET_REQUEST__INIT;
	ProtobufCBinaryData bytes = dyn_bytes_of_slice(key);
	const Dyn__GetReply *reply;
	const char *text = "not one answer to one key";
	void *message = NULL;
	enum dyn_status status;

	request.bucket =
		dyn_bytes_of_slice(dyn_slice_of(self->ctl->arguments.words[0]));
	request.n_keys = 1;
	request.keys = &bytes;
	request.r = self->r;
	status = dyn_client_ask(
		self->ctl->client, (uint32_t) self->ctl->arguments.timeout_ms,
		DYN_MESSAGE_GET, &request.base, DYN_MESSAGE_GET_REPLY, &self->arena,
		&message, &text);
	reply = message;
	if (status != DYN_STATUS_OK || reply->n_results != 1)
	{
		fprintf(stderr, "dynctl: scan: %s: %s: %s\n",
				dyn_client_address(self->ctl->client), dyn_status_name(status),
				text);
		return false;
	}
	ctl_told_view(self->ctl, reply->view_ms);
	if (reply->results[0]->status == DYN_STATUS_NOT_FOUND)
		return true;
	if (reply->results[0]->status != DYN_STATUS_OK)
	{
		fprintf(stderr, "dynctl: scan: a key: %s: %s\n",
				dyn_status_name((enum dyn_status) reply->results[0]->status),
				reply->results[0]->text);
		return false;
	}
	return print_item(self, key, dyn_slice_of_bytes(reply->results[0]->object),
					  0);
}

static bool
merge_streams(struct scan *self)
{
	struct dyn_scan_merge *merge = &self->streams.merge;
	struct dyn_scan_item item;
	uint8_t which = 0;

	for (;;)
	{
		dyn_arena_reset(&self->arena);
		switch (dyn_scan_merge_next(merge, &item, &which))
		{
			case DYN_SCAN_ITEM:
				if (!print_item(self, item.key, item.object, item.hash))
					return false;
				break;
			case DYN_SCAN_DIVERGED:
				if (self->ctl->arguments.replica)
					printf("(unreadable record)\n");
				else if (!print_diverged(self, item.key))
					return false;
				break;
			case DYN_SCAN_NEED_PAGE:
				if (!ctl_streams_feed(&self->streams, which))
					return false;
				break;
			case DYN_SCAN_END:
				return true;
			case DYN_SCAN_BAD_ORDER:
				fprintf(
					stderr, "dynctl: scan: %s sent records out of order\n",
					dyn_client_address(self->streams.streams[which].client));
				return false;
		}
	}
}

static struct dyn_client *
client_of(struct scan *self, uint32_t member)
{
	if (self->clients[member] == NULL)
		self->clients[member] =
			dyn_client_open(self->ring.members[member].address);
	return self->clients[member];
}

static void
open_stream(struct scan *self, struct dyn_client *client, uint16_t partition)
{
	uint16_t q = self->ring.partition_count;

	ctl_streams_add(&self->streams, client, dyn_hash_cell_first(partition, q),
					dyn_hash_cell_last(partition, q));
}

/* Which members to ask about a partition: not those that have refused. */
static uint8_t
choose_owners(struct scan *self, uint16_t partition, uint64_t refused,
			  uint32_t *members)
{
	uint8_t count = 0;

	for (uint8_t s = 0; s < self->ring.replica_count && count < self->r; s++)
	{
		const struct dyn_node_id *id =
			&dyn_ring_slot(&self->ring, partition, s)->node;
		uint32_t member =
			(uint32_t) (dyn_ring_member(&self->ring, id) - self->ring.members);

		if (self->up[member] && !(refused >> member & 1) &&
			client_of(self, member) != NULL)
			members[count++] = member;
	}
	return count;
}

static bool
end_streams(struct scan *self, bool compared, bool good)
{
	dyn_scan_census_note(&self->census, self->streams.key_count, compared,
						 self->streams.merge.equal_count);
	ctl_streams_destroy(&self->streams);
	return good;
}

/* An owner that is being built up, or shows a damaged key, has no word; another
 * one is asked. */
static bool
scan_partition(struct scan *self, uint16_t partition)
{
	bool compared = self->r > 1 && dyn_scan_census_wants(&self->census);
	uint32_t members[DYN_REPLICAS_MAX];
	uint64_t refused = 0;
	uint8_t failed = 0;
	uint8_t count;

	while ((count = choose_owners(self, partition, refused, members)) ==
		   self->r)
	{
		ctl_streams_init(&self->streams, self->ctl);
		for (uint8_t i = 0; i < count; i++)
			open_stream(self, client_of(self, members[i]), partition);
		if (ctl_streams_begin(&self->streams, compared, &failed))
			return end_streams(self, compared, merge_streams(self));
		if (self->streams.streams[failed].status != DYN_STATUS_BUILDING &&
			self->streams.streams[failed].status != DYN_STATUS_CORRUPT)
			return end_streams(self, compared, false);
		refused |= UINT64_C(1) << members[failed];
		ctl_streams_destroy(&self->streams);
	}
	fprintf(stderr,
			"dynctl: scan: partition %u: %u owners are needed, %u can be "
			"reached%s\n",
			partition, self->r, count,
			refused ? "; others are being built up, or show damaged keys" : "");
	return false;
}

/* Only what this node holds, with hashes: for comparing replicas. */
static bool
scan_replica(struct scan *self, uint16_t partition,
			 const struct dyn_node_id *node)
{
	uint8_t failed;

	if (dyn_ring_find(&self->ring, partition, node) < 0)
		return true;
	ctl_streams_init(&self->streams, self->ctl);
	open_stream(self, self->ctl->client, partition);
	if (ctl_streams_begin(&self->streams, false, &failed))
		return end_streams(self, false, merge_streams(self));
	if (self->streams.streams[0].status == DYN_STATUS_BUILDING)
		fprintf(stderr, "dynctl: scan: partition %u is being built up here\n",
				partition);
	return end_streams(self, false, false);
}

/* Asked for, else the bucket's, else the cluster's. */
static uint32_t
choose_r(struct ctl *self, const Dyn__Welcome *welcome)
{
	struct dyn_buckets *table =
		dyn_arena_allocate(&self->arena, sizeof(*table));
	const struct dyn_bucket *bucket = NULL;

	if (self->arguments.r != 0)
		return (uint32_t) self->arguments.r;
	if (dyn_buckets_decode(dyn_slice_of_bytes(welcome->buckets),
						   &self->arena.allocator, table) == DYN_STATUS_OK)
		bucket =
			dyn_buckets_find(table, dyn_slice_of(self->arguments.words[0]));
	return bucket && bucket->r ? bucket->r : welcome->settings->r;
}

int
ctl_scan(struct ctl *self)
{
	struct scan scan = { .ctl = self };
	const Dyn__Welcome *welcome;
	struct dyn_node_id node = { 0 };
	bool good = true;

	if (self->arguments.word_count != 1)
		return CTL_USAGE;
	welcome = ctl_hello(self, self->client);
	if (welcome == NULL || !ctl_ring(self, welcome, &scan.ring))
		return CTL_FAILED;
	dyn_node_id_of_bytes(welcome->node, &node);
	scan.r = choose_r(self, welcome);
	if (scan.r < 1 || scan.r > scan.ring.replica_count)
	{
		fprintf(stderr, "dynctl: scan: r = %u, but a key has %u replicas\n",
				scan.r, scan.ring.replica_count);
		return CTL_FAILED;
	}
	dyn_arena_init(&scan.arena, dyn_allocator_malloc(), 0);
	dyn_scan_census_init(&scan.census, scan.ring.partition_count);
	for (size_t i = 0; i < welcome->n_peer_up && i < DYN_MEMBERS_MAX; i++)
		scan.up[i] = welcome->peer_up[i];
	for (uint32_t p = 0; p < scan.ring.partition_count && good; p++)
		good = self->arguments.replica
				   ? scan_replica(&scan, (uint16_t) p, &node)
				   : scan_partition(&scan, (uint16_t) p);
	for (uint32_t i = 0; i < DYN_MEMBERS_MAX; i++)
		dyn_client_close(&scan.clients[i]);
	dyn_arena_destroy(&scan.arena);
	return good ? CTL_OK : CTL_FAILED;
}
