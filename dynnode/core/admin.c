#include "core/admin.h"

#include "core/outbox.h"
#include "core/peer.h"

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

	reply->n_peers = node->peer_count;
	reply->peers = dyn_arena_allocate(&node->scratch,
									  node->peer_count * sizeof(*reply->peers));
	for (uint32_t i = 0; i < node->peer_count; i++)
	{
		const struct dyn_peer *peer = node->peers[i];

		dyn__peer_status__init(&peers[i]);
		peers[i].node.data = (uint8_t *) peer->id.bytes;
		peers[i].node.len = sizeof(peer->id.bytes);
		peers[i].address = (char *) peer->address;
		peers[i].up = dyn_peer_is_reachable(node, (int32_t) i);
		peers[i].silent_ms =
			peer->heard_at_ms ? node->now_ms - peer->heard_at_ms : 0;
		reply->peers[i] = &peers[i];
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

void
dyn_admin_status(struct dyn_node *node, uint64_t route, uint64_t correlation)
{
	Dyn__StatusReply reply = DYN__STATUS_REPLY__INIT;

	reply.node.data = node->id.bytes;
	reply.node.len = sizeof(node->id.bytes);
	reply.address = (char *) node->config.address;
	reply.version = (char *) node->config.version;
	reply.formed = node->cluster.formed;
	reply.writable = node->writable;
	reply.uptime_ms = node->now_ms - node->started_at_ms;
	fill_peers(node, &reply);
	fill_counters(node, &reply);
	dyn_outbox_reply(node, route, DYN_MESSAGE_STATUS_REPLY, correlation,
					 &reply.base);
}
