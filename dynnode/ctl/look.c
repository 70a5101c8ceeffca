/* status and ring: what a node tells about itself and its cluster. */
#include "ctl/ctl.h"

#include <inttypes.h>
#include <stdio.h>

static void
print_id(ProtobufCBinaryData bytes)
{
	struct dyn_node_id id = { 0 };
	char text[33];

	dyn_node_id_of_bytes(bytes, &id);
	dyn_node_id_format(&id, text);
	printf("%s", text);
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
		   ", \"peers\": [",
		   status->formed ? "true" : "false",
		   status->writable ? "true" : "false", status->uptime_ms);
	for (size_t i = 0; i < status->n_peers; i++)
	{
		printf("%s{\"address\": ", i ? ", " : "");
		ctl_print_json(dyn_slice_of(status->peers[i]->address));
		printf(", \"node\": \"");
		print_id(status->peers[i]->node);
		printf("\", \"up\": %s, \"silent_ms\": %" PRIu64 "}",
			   status->peers[i]->up ? "true" : "false",
			   status->peers[i]->silent_ms);
	}
	printf("], \"counters\": {");
	for (size_t i = 0; i < status->n_counters; i++)
		printf("%s\"%s\": %" PRIu64, i ? ", " : "", status->counters[i]->name,
			   status->counters[i]->value);
	printf("}}\n");
}

static void
status_text(const Dyn__StatusReply *status)
{
	printf("node      ");
	print_id(status->node);
	printf("\naddress   %s\nversion   %s\nformed    %s\nwritable  %s\n"
		   "up since  %" PRIu64 " s\n\n%-24s %-5s %s\n",
		   status->address, status->version, status->formed ? "yes" : "no",
		   status->writable ? "yes" : "no", status->uptime_ms / 1000, "peer",
		   "up", "last heard");
	for (size_t i = 0; i < status->n_peers; i++)
		printf("%-24s %-5s %" PRIu64 " ms ago\n", status->peers[i]->address,
			   status->peers[i]->up ? "yes" : "no",
			   status->peers[i]->silent_ms);
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
static void
count_slots(const struct dyn_ring *ring, const struct dyn_member *member,
			uint32_t *slots, uint32_t *first)
{
	*slots = *first = 0;
	for (uint32_t p = 0; p < ring->partition_count; p++)
	{
		int index = dyn_ring_find(ring, (uint16_t) p, &member->id);

		*slots += index >= 0;
		*first += index == 0;
	}
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
		const struct dyn_member *member = &ring->members[i];
		uint32_t slots;
		uint32_t first;

		count_slots(ring, member, &slots, &first);
		dyn_node_id_format(&member->id, id);
		printf("%s{\"node\": \"%s\", \"address\": ", i ? ", " : "", id);
		ctl_print_json(dyn_slice_of(member->address));
		printf(", \"status\": \"%s\", \"up\": %s, \"slots\": %u, "
			   "\"first_slots\": %u}",
			   dyn_member_status_name(member->status),
			   i < welcome->n_peer_up && welcome->peer_up[i] ? "true" : "false",
			   slots, first);
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
		const struct dyn_member *member = &ring->members[i];
		uint32_t slots;
		uint32_t first;

		count_slots(ring, member, &slots, &first);
		dyn_node_id_format(&member->id, id);
		printf("%-32s  %-24s %-8s %-4s %6u %6u\n", id, member->address,
			   dyn_member_status_name(member->status),
			   i < welcome->n_peer_up && welcome->peer_up[i] ? "yes" : "no",
			   slots, first);
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
