#include "core/admin.h"

#include "core/cluster.h"
#include "core/exchange.h"
#include "core/outbox.h"
#include "core/peer.h"
#include "core/text.h"

#include <string.h>

static const char *const counter_names[] = {
#define DYN_COUNTER_NAME(name) #name,
	DYN_COUNTER_MAP(DYN_COUNTER_NAME)
#undef DYN_COUNTER_NAME
};

const char *
dyn_admin_counter_name(uint32_t index)
{
	return index < DYN_COUNTER_COUNT ? counter_names[index] : NULL;
}

static void
fill_peers(struct dyn_node *node, Dyn__StatusReply *reply)
{
	Dyn__PeerStatus *peers =
		dyn_arena_allocate(&node->scratch, node->peer_count * sizeof(*peers));

	reply->peers = dyn_arena_allocate(&node->scratch,
									  node->peer_count * sizeof(*reply->peers));
	for (uint32_t i = 0; i < node->peer_count; i++)
	{
		const struct dyn_peer *peer = node->peers[i];
		Dyn__PeerStatus *status = &peers[reply->n_peers];

		/* It dials itself to see who else is there (identity.h). */
		if (strcmp(peer->address, node->config.address) == 0)
			continue;
		dyn__peer_status__init(status);
		status->node.data = (uint8_t *) peer->id.bytes;
		status->node.len = sizeof(peer->id.bytes);
		status->address = (char *) peer->address;
		status->up = dyn_peer_is_reachable(node, (int32_t) i);
		status->silent_ms = peer->detector.heard_at_ms
								? node->now_ms - peer->detector.heard_at_ms
								: 0;
		status->granted = dyn_credit_grant(node, peer);
		status->sending = peer->sending;
		status->sending_max = peer->sending_max;
		status->skew_known =
			dyn_skew_of(node, i, &status->skew_ms, &status->skew_error_ms);
		reply->peers[reply->n_peers++] = status;
	}
}

static void
fill_counters(struct dyn_node *node, Dyn__StatusReply *reply)
{
	Dyn__Counter *counters = dyn_arena_allocate(
		&node->scratch, DYN_COUNTER_COUNT * sizeof(*counters));

	reply->n_counters = DYN_COUNTER_COUNT;
	reply->counters = dyn_arena_allocate(
		&node->scratch, DYN_COUNTER_COUNT * sizeof(*reply->counters));
	for (uint32_t i = 0; i < DYN_COUNTER_COUNT; i++)
	{
		dyn__counter__init(&counters[i]);
		counters[i].name = (char *) counter_names[i];
		counters[i].value = node->counters[i];
		reply->counters[i] = &counters[i];
	}
}

static uint64_t
since(const struct dyn_node *node, uint64_t at_ms)
{
	if (at_ms == 0)
		return 0;
	return node->now_ms > at_ms ? node->now_ms - at_ms : 1;
}

/* Anti-entropy with each other member of the ring. */
static void
fill_exchanges(struct dyn_node *node, Dyn__StatusReply *reply)
{
	const struct dyn_ring *ring = &node->cluster.ring;
	Dyn__ExchangeStatus *to =
		dyn_arena_allocate(&node->scratch, ring->member_count * sizeof(*to));

	reply->exchanges = dyn_arena_allocate(
		&node->scratch, ring->member_count * sizeof(*reply->exchanges));
	for (uint32_t i = 0; i < ring->member_count; i++)
	{
		const struct dyn_member *member = &ring->members[i];
		enum dyn_status last;
		uint64_t ended_at_ms;
		uint64_t oldest_at_ms;

		if (node->cluster.member_peer[i] == DYN_PEER_SELF)
			continue;
		dyn__exchange_status__init(to);
		to->address = (char *) member->address;
		to->state = (char *) dyn_exchange_state(
			node, node->cluster.member_peer[i], &last, &ended_at_ms);
		to->last_status = last;
		to->ended_ms = since(node, ended_at_ms);
		dyn_verified_summary(node, &member->id, &to->partitions, &to->verified,
							 &oldest_at_ms);
		to->oldest_ms = since(node, oldest_at_ms);
		reply->exchanges[reply->n_exchanges++] = to++;
	}
}

/* How the filling of a partition goes. */
static void
fill_building(struct dyn_node *node, uint16_t partition,
			  Dyn__PartitionStatus *to)
{
	const struct dyn_building_part *part;

	to->building = dyn_building_is(node, partition);
	if (!to->building)
		return;
	part = &node->building.parts[partition];
	to->told =
		dyn_arena_allocate(&node->scratch, node->cluster.n * sizeof(*to->told));
	for (uint8_t slot = 0; slot < node->cluster.n; slot++)
		if (part->pulled & (1U << slot))
			to->told[to->n_told++] = slot;
}

static void
count_building(struct dyn_node *node, Dyn__StatusReply *reply)
{
	reply->in_doubt = node->progress.in_doubt;
	for (uint32_t p = 0; p < node->cluster.ring.partition_count; p++)
		if (dyn_cluster_own_slot(node, (uint16_t) p) >= 0)
		{
			reply->owned++;
			reply->building += dyn_building_is(node, (uint16_t) p);
		}
}

static void
fill_partitions(struct dyn_node *node, Dyn__StatusReply *reply)
{
	const struct dyn_ring *ring = &node->cluster.ring;
	uint32_t count = ring->partition_count;
	Dyn__PartitionStatus *to =
		dyn_arena_allocate(&node->scratch, count * sizeof(*to));

	reply->partitions =
		dyn_arena_allocate(&node->scratch, count * sizeof(*reply->partitions));
	for (uint16_t p = 0; p < count; p++)
	{
		if (dyn_cluster_own_slot(node, p) < 0)
			continue;
		dyn__partition_status__init(to);
		to->partition = p;
		to->n_verified_ms = ring->replica_count;
		to->verified_ms = dyn_arena_allocate(
			&node->scratch, ring->replica_count * sizeof(*to->verified_ms));
		for (uint8_t slot = 0; slot < ring->replica_count; slot++)
			to->verified_ms[slot] = since(node, dyn_verified_at(node, p, slot));
		fill_building(node, p, to);
		reply->partitions[reply->n_partitions++] = to++;
	}
}

static void
fill_reap(struct dyn_node *node, Dyn__StatusReply *reply)
{
	const struct dyn_reap *reap = &node->reap;
	Dyn__ReapStatus *to = dyn_arena_allocate(&node->scratch, sizeof(*to));
	struct dyn_text text;

	dyn__reap_status__init(to);
	dyn_text_set(&text, "");
	if (reap->block != DYN_REAP_DONE)
	{
		dyn_text_add(&text, reap->block_address);
		dyn_text_add(&text, " ");
		dyn_text_add(&text, dyn_reap_block_text(reap->block));
	}
	to->state = node->config.reap_ms == DYN_REAP_NEVER
					? "never"
					: (char *) dyn_reap_state(node);
	to->waiting = reap->waiting > reap->left ? reap->waiting : reap->left;
	to->blocked =
		(char *) dyn_arena_copy(
			&node->scratch, (struct dyn_slice){ (const uint8_t *) text.bytes,
												strlen(text.bytes) + 1 })
			.data;
	to->grace_ms = node->config.tombstone_grace_ms;
	reply->reap = to;
}

void
dyn_admin_status(struct dyn_node *node, uint64_t route, uint64_t correlation,
				 const Dyn__StatusRequest *message)
{
	Dyn__StatusReply reply = DYN__STATUS_REPLY__INIT;

	reply.node.data = node->id.bytes;
	reply.node.len = sizeof(node->id.bytes);
	reply.address = (char *) node->config.address;
	reply.version = (char *) node->config.version;
	reply.formed = node->cluster.formed;
	reply.writable = node->writable;
	reply.uptime_ms = dyn_node_clock_ms(node);
	reply.hints = node->hints.count;
	reply.hints_max = node->config.hints_max;
	reply.wall_ms = node->wall_ms;
	fill_peers(node, &reply);
	fill_counters(node, &reply);
	if (node->cluster.formed)
	{
		fill_exchanges(node, &reply);
		fill_reap(node, &reply);
		count_building(node, &reply);
		if (message->partitions)
			fill_partitions(node, &reply);
	}
	dyn_outbox_reply(node, route, DYN_MESSAGE_STATUS_REPLY, correlation,
					 &reply.base);
}

void
dyn_admin_repair(struct dyn_node *node, uint64_t route, uint64_t correlation,
				 const Dyn__RepairRequest *message)
{
	Dyn__RepairReply reply = DYN__REPAIR_REPLY__INIT;

	if (!node->cluster.formed)
	{
		dyn_outbox_error(node, route, correlation, DYN_STATUS_NOT_READY,
						 "the node is not part of a formed cluster yet");
		return;
	}
	if (!message->all &&
		message->partition >= node->cluster.ring.partition_count)
	{
		dyn_outbox_error(node, route, correlation, DYN_STATUS_BAD_REQUEST,
						 "there is no such partition");
		return;
	}
	reply.rounds = dyn_exchange_ask(
		node, message->all ? -1 : (int32_t) message->partition);
	dyn_outbox_reply(node, route, DYN_MESSAGE_REPAIR_REPLY, correlation,
					 &reply.base);
}
