/* status and ring: what a node tells about itself and its cluster. */
#include "ctl/ctl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
print_id(ProtobufCBinaryData bytes)
{
	struct dyn_node_id id = { 0 };
	char text[33];

	dyn_node_id_of_bytes(bytes, &id);
	dyn_node_id_format(&id, text);
	printf("%s", text);
}

/* null = never. */
static void
print_ms(uint64_t ms)
{
	if (ms == 0)
		printf("null");
	else
		printf("%" PRIu64, ms);
}

static const char *
name_of_status(uint32_t status)
{
	return dyn_status_is_valid(status)
			   ? dyn_status_text((enum dyn_status) status)
			   : "unknown";
}

/* Anti-entropy with others, and when each partition was last found equal on
 * each of its owners and this node. */
static void
exchanges_json(const Dyn__StatusReply *status)
{
	printf("], \"anti_entropy\": [");
	for (size_t i = 0; i < status->n_exchanges; i++)
	{
		const Dyn__ExchangeStatus *exchange = status->exchanges[i];

		printf("%s{\"address\": ", i ? ", " : "");
		ctl_print_json(dyn_slice_of(exchange->address));
		printf(", \"state\": ");
		ctl_print_json(dyn_slice_of(exchange->state));
		printf(", \"partitions\": %" PRIu32 ", \"verified_equal\": %" PRIu32
			   ", \"oldest_verified_ms\": ",
			   exchange->partitions, exchange->verified);
		print_ms(exchange->oldest_ms);
		printf(", \"last_round_ms\": ");
		print_ms(exchange->ended_ms);
		printf(", \"last_round\": ");
		ctl_print_json(dyn_slice_of(name_of_status(exchange->last_status)));
		printf("}");
	}
	printf("], \"partitions\": [");
	for (size_t i = 0; i < status->n_partitions; i++)
	{
		const Dyn__PartitionStatus *partition = status->partitions[i];

		printf("%s{\"partition\": %" PRIu32 ", \"verified_equal_ms\": [",
			   i ? ", " : "", partition->partition);
		for (size_t s = 0; s < partition->n_verified_ms; s++)
		{
			printf("%s", s ? ", " : "");
			print_ms(partition->verified_ms[s]);
		}
		printf("]");
		if (partition->building)
		{
			printf(", \"building\": true, \"told\": [");
			for (size_t s = 0; s < partition->n_told; s++)
				printf("%s%" PRIu32, s ? ", " : "", partition->told[s]);
			printf("]");
		}
		printf("}");
	}
}

static void
exchanges_text(const Dyn__StatusReply *status)
{
	if (status->n_exchanges == 0)
		return;
	printf("\n%-24s %-13s %10s %6s %12s  %s\n", "anti-entropy with", "state",
		   "partitions", "equal", "oldest look", "last round");
	for (size_t i = 0; i < status->n_exchanges; i++)
	{
		const Dyn__ExchangeStatus *exchange = status->exchanges[i];

		printf("%-24s %-13s %10" PRIu32 " %6" PRIu32 " ", exchange->address,
			   exchange->state, exchange->partitions, exchange->verified);
		if (exchange->oldest_ms != 0)
			printf("%7" PRIu64 " s ago", exchange->oldest_ms / 1000);
		else
			printf("%13s", "never");
		if (exchange->ended_ms != 0)
			printf("  %s, %" PRIu64 " s ago",
				   name_of_status(exchange->last_status),
				   exchange->ended_ms / 1000);
		printf("\n");
	}
}

static void
reap_json(const Dyn__ReapStatus *reap)
{
	if (reap == NULL)
		return;
	printf(", \"reaping\": {\"state\": ");
	ctl_print_json(dyn_slice_of(reap->state));
	printf(", \"waiting\": %" PRIu64 ", \"grace_ms\": %" PRIu64
		   ", \"blocked\": ",
		   reap->waiting, reap->grace_ms);
	ctl_print_json(dyn_slice_of(reap->blocked));
	printf("}");
}

static void
reap_text(const Dyn__ReapStatus *reap)
{
	if (reap == NULL)
		return;
	/* While something is in the way, nobody counts. */
	printf("\ndeleted or expired and not yet removed: %" PRIu64
		   "%s (kept for %" PRIu64 " s; %s)\n",
		   reap->waiting,
		   reap->blocked[0] != 0 ? " when they were last counted" : "",
		   reap->grace_ms / 1000, reap->state);
	if (reap->blocked[0] != 0)
		printf("the last try to remove them ended: %s\n", reap->blocked);
}

static void
skew_json(const Dyn__PeerStatus *peer)
{
	if (peer->skew_known)
		printf(", \"clock_skew_ms\": %" PRId64
			   ", \"clock_skew_error_ms\": %" PRIu64 "}",
			   peer->skew_ms, peer->skew_error_ms);
	else
		printf(", \"clock_skew_ms\": null, \"clock_skew_error_ms\": null}");
}

/* How far its clock is ahead of the node's; what the error may hide is no
 * difference. */
static void
skew_text(const Dyn__PeerStatus *peer)
{
	if (!peer->skew_known)
		printf("not known");
	else if ((uint64_t) llabs(peer->skew_ms) <= peer->skew_error_ms)
		printf("equal (+- %" PRIu64 " ms)", peer->skew_error_ms);
	else
		printf("%+.3f s", (double) peer->skew_ms / 1000);
}

static void
status_json(const Dyn__StatusReply *status)
{
	printf("{\"node\": \"");
	print_id(status->node);
	printf("\", \"address\": ");
	ctl_print_json(dyn_slice_of(status->address));
	printf(", \"version\": ");
	ctl_print_json(dyn_slice_of(status->version));
	printf(", \"formed\": %s, \"writable\": %s, \"uptime_ms\": %" PRIu64
		   ", \"hints\": %" PRIu64 ", \"hints_max\": %" PRIu64
		   ", \"owned\": %" PRIu32 ", \"building\": %" PRIu32
		   ", \"in_doubt\": %s, \"peers\": [",
		   status->formed ? "true" : "false",
		   status->writable ? "true" : "false", status->uptime_ms,
		   status->hints, status->hints_max, status->owned, status->building,
		   status->in_doubt ? "true" : "false");
	for (size_t i = 0; i < status->n_peers; i++)
	{
		printf("%s{\"address\": ", i ? ", " : "");
		ctl_print_json(dyn_slice_of(status->peers[i]->address));
		printf(", \"node\": \"");
		print_id(status->peers[i]->node);
		printf("\", \"up\": %s, \"silent_ms\": %" PRIu64
			   ", \"granted\": %" PRIu64 ", \"sending\": %" PRIu64
			   ", \"sending_max\": %" PRIu64,
			   status->peers[i]->up ? "true" : "false",
			   status->peers[i]->silent_ms, status->peers[i]->granted,
			   status->peers[i]->sending, status->peers[i]->sending_max);
		skew_json(status->peers[i]);
	}
	exchanges_json(status);
	printf("]");
	reap_json(status->reap);
	printf(", \"counters\": {");
	for (size_t i = 0; i < status->n_counters; i++)
		printf("%s\"%s\": %" PRIu64, i ? ", " : "", status->counters[i]->name,
			   status->counters[i]->value);
	printf("}}\n");
}

static uint64_t
counter_of(const Dyn__StatusReply *status, const char *name)
{
	for (size_t i = 0; i < status->n_counters; i++)
		if (strcmp(status->counters[i]->name, name) == 0)
			return status->counters[i]->value;
	return 0;
}

/* Only when there is something to tell. */
static void
building_text(const Dyn__StatusReply *status)
{
	if (status->in_doubt)
		printf("reads     not yet: has not met the other nodes since its "
			   "start\n");
	if (status->building == 0)
		return;
	printf("building  %" PRIu32 " of %" PRIu32
		   " partitions answer no reads until they are filled; %" PRIu64
		   " records (%" PRIu64 " bytes) copied\n",
		   status->building, status->owned, counter_of(status, "fill_objects"),
		   counter_of(status, "fill_bytes"));
}

static void
status_text(const Dyn__StatusReply *status)
{
	printf("node      ");
	print_id(status->node);
	printf("\naddress   %s\nversion   %s\nformed    %s\nwritable  %s\n"
		   "up since  %" PRIu64 " s\nhints     %" PRIu64 " (of %" PRIu64
		   " at most)\n",
		   status->address, status->version, status->formed ? "yes" : "no",
		   status->writable ? "yes" : "no", status->uptime_ms / 1000,
		   status->hints, status->hints_max);
	building_text(status);
	printf("\n%-24s %-5s %-18s %s\n", "peer", "up", "last heard", "its clock");
	for (size_t i = 0; i < status->n_peers; i++)
	{
		printf("%-24s %-5s %11" PRIu64 " ms ago ", status->peers[i]->address,
			   status->peers[i]->up ? "yes" : "no",
			   status->peers[i]->silent_ms);
		skew_text(status->peers[i]);
		printf("\n");
	}
	exchanges_text(status);
	reap_text(status->reap);
	printf("\n");
	for (size_t i = 0; i < status->n_counters; i++)
		if (status->counters[i]->value != 0)
			printf("%-24s %12" PRIu64 "\n", status->counters[i]->name,
				   status->counters[i]->value);
}

int
ctl_status(struct ctl *self)
{
	Dyn__StatusRequest request = DYN__STATUS_REQUEST__INIT;
	const Dyn__StatusReply *status;

	if (self->arguments.word_count != 0)
		return CTL_USAGE;
	request.partitions = self->arguments.json;
	status = ctl_ask(self, self->client, DYN_MESSAGE_STATUS, &request.base,
					 DYN_MESSAGE_STATUS_REPLY);
	if (status == NULL)
		return CTL_FAILED;
	if (self->arguments.json)
		status_json(status);
	else
		status_text(status);
	return CTL_OK;
}

/* How many slots a member holds, and how many first ones. */
/* One line of a ring. */
struct place
{
	const struct dyn_member *member;
	char id[33];
	bool up;
	uint32_t slots;
	uint32_t first; /* ... of them, in which it is the first owner */
};

static struct place
place_of(const struct dyn_ring *ring, const Dyn__Welcome *welcome, uint32_t i)
{
	struct place self = { .member = &ring->members[i] };

	self.up = i < welcome->n_peer_up && welcome->peer_up[i];
	dyn_node_id_format(&self.member->id, self.id);
	for (uint32_t p = 0; p < ring->partition_count; p++)
	{
		int index = dyn_ring_find(ring, (uint16_t) p, &self.member->id);

		self.slots += index >= 0;
		self.first += index == 0;
	}
	return self;
}

static void
ring_json(const struct dyn_ring *ring, const Dyn__Welcome *welcome)
{
	char id[33];

	dyn_node_id_format(&ring->cluster, id);
	printf("{\"cluster\": \"%s\", \"name\": ", id);
	ctl_print_json(dyn_slice_of(welcome->cluster_name));
	printf(", \"partitions\": %u, \"n\": %u, \"r\": %u, \"w\": %u, "
		   "\"members\": [",
		   ring->partition_count, ring->replica_count, welcome->settings->r,
		   welcome->settings->w);
	for (uint32_t i = 0; i < ring->member_count; i++)
	{
		struct place place = place_of(ring, welcome, i);

		printf("%s{\"node\": \"%s\", \"address\": ", i ? ", " : "", place.id);
		ctl_print_json(dyn_slice_of(place.member->address));
		printf(", \"status\": \"%s\", \"up\": %s, \"slots\": %u, "
			   "\"first_slots\": %u}",
			   dyn_member_status_name(place.member->status),
			   place.up ? "true" : "false", place.slots, place.first);
	}
	printf("]}\n");
}

static void
ring_text(const struct dyn_ring *ring, const Dyn__Welcome *welcome)
{
	char id[33];

	dyn_node_id_format(&ring->cluster, id);
	printf("cluster %s (%s), %u partitions, n=%u r=%u w=%u\n\n",
		   welcome->cluster_name, id, ring->partition_count,
		   ring->replica_count, welcome->settings->r, welcome->settings->w);
	printf("%-32s  %-24s %-8s %-4s %6s %6s\n", "node", "address", "status",
		   "up", "slots", "first");
	for (uint32_t i = 0; i < ring->member_count; i++)
	{
		struct place place = place_of(ring, welcome, i);

		printf("%-32s  %-24s %-8s %-4s %6u %6u\n", place.id,
			   place.member->address,
			   dyn_member_status_name(place.member->status),
			   place.up ? "yes" : "no", place.slots, place.first);
	}
}

int
ctl_ring_command(struct ctl *self)
{
	const Dyn__Welcome *welcome;
	struct dyn_ring ring;

	if (self->arguments.word_count != 0)
		return CTL_USAGE;
	welcome = ctl_hello(self, self->client);
	if (welcome == NULL || !ctl_ring(self, welcome, &ring))
		return CTL_FAILED;
	if (self->arguments.json)
		ring_json(&ring, welcome);
	else
		ring_text(&ring, welcome);
	return CTL_OK;
}
