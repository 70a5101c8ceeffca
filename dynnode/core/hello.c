#include "core/hello.h"

#include "core/bucket.h"
#include "core/cluster.h"
#include "core/cluster_record.h"
#include "core/outbox.h"
#include "core/peer.h"

#include <string.h>

/* What a formed cluster's member tells of it. */
static void
tell_cluster(struct dyn_node *node, Dyn__Welcome *welcome,
			 struct dyn_slice ring)
{
	const struct dyn_cluster *cluster = &node->cluster;
	uint32_t count = cluster->ring.member_count;
	protobuf_c_boolean *up =
		dyn_arena_allocate(&node->scratch, count * sizeof(*up));

	welcome->settings = (Dyn__Settings *) dyn_cluster_record_settings(node);
	welcome->ring = dyn_bytes_of_slice(ring);
	welcome->buckets = dyn_bytes_of_slice(dyn_bucket_table(node));
	welcome->bucket_digest = node->bucket_digest;
	welcome->members = cluster->members_digest;
	welcome->progress = dyn_progress_tell(node);
	welcome->n_progress = count;
	for (uint32_t i = 0; i < count; i++)
		up[i] = cluster->member_peer[i] == DYN_PEER_SELF ||
				dyn_peer_is_reachable(node, cluster->member_peer[i]);
	welcome->peer_up = up;
	welcome->n_peer_up = count;
}

static void
welcome_back(struct dyn_node *node, uint64_t route, uint64_t correlation,
			 const Dyn__Hello *hello)
{
	Dyn__Welcome welcome = DYN__WELCOME__INIT;
	const struct dyn_cluster *cluster = &node->cluster;
	struct dyn_slice ring = { 0 };

	welcome.node.data = node->id.bytes;
	welcome.node.len = sizeof(node->id.bytes);
	welcome.cluster_name = (char *) node->config.cluster_name;
	welcome.address = (char *) node->config.address;
	welcome.version = (char *) node->config.version;
	welcome.formed = cluster->formed;
	welcome.rebuilding = node->building.all;
	welcome.process = node->start_id;
	welcome.uptime_ms = dyn_node_clock_ms(node);
	welcome.wall_ms = node->wall_ms;
	welcome.asked_ms = hello->asked_ms;
	if (cluster->formed &&
		dyn_ring_encode(&cluster->ring, &node->scratch.allocator, &ring) ==
			DYN_STATUS_OK)
	{
		tell_cluster(node, &welcome, ring);
		if (hello->node.len != 0)
			dyn_fence_tell(node, &welcome);
	}
	dyn_outbox_reply(node, route, DYN_MESSAGE_WELCOME, correlation,
					 &welcome.base);
}

void
dyn_hello_take(struct dyn_node *node, uint64_t route, uint64_t correlation,
			   const Dyn__Hello *hello)
{
	struct dyn_node_id cluster;

	if (hello->version_min > DYN_PROTOCOL_VERSION ||
		hello->version_max < DYN_PROTOCOL_VERSION)
		dyn_outbox_error(node, route, correlation, DYN_STATUS_VERSION,
						 dyn_status_text(DYN_STATUS_VERSION));
	else if (node->cluster.formed &&
			 dyn_node_id_of_bytes(hello->cluster, &cluster) &&
			 dyn_node_id_compare(&cluster, &node->cluster.ring.cluster) != 0)
		dyn_outbox_error(node, route, correlation, DYN_STATUS_WRONG_CLUSTER,
						 dyn_status_text(DYN_STATUS_WRONG_CLUSTER));
	else if (!node->identity_stored ||
			 (node->cluster.formed && !dyn_cluster_serves(node)))
		dyn_outbox_error(node, route, correlation, DYN_STATUS_NOT_READY,
						 "the node is starting");
	else
		welcome_back(node, route, correlation, hello);
}
