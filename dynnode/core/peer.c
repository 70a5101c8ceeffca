#include "core/peer.h"

#include "core/bucket.h"
#include "core/call.h"
#include "core/cluster.h"
#include "core/cluster_record.h"
#include "core/exchange.h"
#include "core/formation.h"
#include "core/handoff.h"
#include "core/identity.h"
#include "core/outbox.h"
#include "core/progress.h"
#include "core/text.h"

#include <string.h>

int32_t
dyn_peer_of_address(struct dyn_node *node, const char *address)
{
	struct dyn_peer *peer;
	struct dyn_effect *effect;

	for (uint32_t i = 0; i < node->peer_count; i++)
		if (strcmp(node->peers[i]->address, address) == 0)
			return (int32_t) i;
	if (node->peer_count == DYN_PEERS_MAX ||
		strlen(address) > DYN_ADDRESS_SIZE_MAX || address[0] == 0)
		return -1;
	peer = dyn_memory_take(sizeof(*peer));
	strncpy(peer->address, address, sizeof(peer->address) - 1);
	peer->writable = true;
	node->peers[node->peer_count] = peer;
	effect = dyn_effects_add(node->out, DYN_EFFECT_CONNECT);
	effect->connect.peer_index = node->peer_count;
	effect->connect.address =
		dyn_arena_copy(&node->out->arena, dyn_slice_of(address));
	return (int32_t) node->peer_count++;
}

int32_t
dyn_peer_of_id(const struct dyn_node *node, const struct dyn_node_id *id)
{
	for (uint32_t i = 0; i < node->peer_count; i++)
		if (node->peers[i]->identified && !node->peers[i]->stranger &&
			dyn_node_id_compare(&node->peers[i]->id, id) == 0)
			return (int32_t) i;
	return -1;
}

bool
dyn_peer_is_reachable(const struct dyn_node *node, int32_t peer_index)
{
	const struct dyn_peer *peer;

	if (peer_index < 0)
		return false;
	peer = node->peers[peer_index];
	return peer->connected && peer->identified && peer->formed &&
		   !peer->stranger && !peer->silent &&
		   !dyn_detector_suspects(&peer->detector, node->now_ms);
}

/* ------------------------------------------------------------------ clocks */

enum
{
	DRIFT_ONE_IN = 1000
};

uint64_t
dyn_peer_clock_ms(const struct dyn_node *node, uint32_t peer_index)
{
	const struct dyn_peer *peer = node->peers[peer_index];
	uint64_t age_ms = node->now_ms - peer->clock_at_ms;

	return peer->clock_ms == 0 ? 0
							   : peer->clock_ms + age_ms -
									 (age_ms + DRIFT_ONE_IN - 1) / DRIFT_ONE_IN;
}

/* A frame may have waited in a socket, and tell too little: of two readings
 * the one that lets the clock show more now is the better one. */
static void
hear_clock(struct dyn_node *node, uint32_t peer_index, uint64_t process,
		   uint64_t clock_ms)
{
	struct dyn_peer *peer = node->peers[peer_index];

	if (process != peer->process ||
		clock_ms <= dyn_peer_clock_ms(node, peer_index))
		return;
	peer->clock_ms = clock_ms;
	peer->clock_at_ms = node->now_ms;
}

/* ------------------------------------------------------------ connections */

static void
send_hello(struct dyn_node *node, uint32_t peer_index)
{
	Dyn__Hello hello = DYN__HELLO__INIT;

	if (!node->identity_stored)
		return;
	hello.version_min = hello.version_max = DYN_PROTOCOL_VERSION;
	hello.agent = (char *) node->config.version;
	hello.node.data = node->id.bytes;
	hello.node.len = sizeof(node->id.bytes);
	hello.address = (char *) node->config.address;
	hello.asked_ms = node->now_ms;
	if (node->cluster.formed)
	{
		hello.cluster.data = node->cluster.ring.cluster.bytes;
		hello.cluster.len = sizeof(node->cluster.ring.cluster.bytes);
	}
	dyn_outbox_send(node, peer_index, DYN_MESSAGE_HELLO, 0, 0, &hello.base);
}

void
dyn_peer_up(struct dyn_node *node, uint32_t peer_index)
{
	struct dyn_peer *peer;

	if (peer_index >= node->peer_count)
		return;
	peer = node->peers[peer_index];
	peer->connected = true;
	peer->silent = false;
	dyn_detector_start(&peer->detector, node->config.heartbeat_ms,
					   node->config.silence_ms, node->now_ms);
	send_hello(node, peer_index);
}

void
dyn_peer_meet_again(struct dyn_node *node)
{
	for (uint32_t i = 0; i < node->peer_count; i++)
	{
		struct dyn_peer *peer = node->peers[i];

		if (!peer->formed)
			continue;
		peer->identified = false;
		peer->formed = false;
		if (peer->connected)
			send_hello(node, i);
	}
	dyn_cluster_map_peers(node);
}

static void
lose(struct dyn_node *node, uint32_t peer_index)
{
	dyn_count(node, peers_lost);
	dyn_call_lose_peer(node, peer_index);
}

void
dyn_peer_down(struct dyn_node *node, uint32_t peer_index)
{
	struct dyn_peer *peer;

	if (peer_index >= node->peer_count || !node->peers[peer_index]->connected)
		return;
	peer = node->peers[peer_index];
	peer->connected = false;
	peer->identified = false;
	peer->formed = false;
	dyn_cluster_map_peers(node);
	lose(node, peer_index);
}

void
dyn_peer_heard(struct dyn_node *node, uint32_t peer_index)
{
	struct dyn_peer *peer = node->peers[peer_index];

	dyn_detector_heard(&peer->detector, node->now_ms);
	peer->silent = false;
}

void
dyn_peer_answered(struct dyn_node *node, uint32_t peer_index, uint64_t took_ms)
{
	dyn_detector_answered(&node->peers[peer_index]->detector, took_ms);
}

void
dyn_peer_failed(struct dyn_node *node, uint32_t peer_index)
{
	struct dyn_detector *detector = &node->peers[peer_index]->detector;
	bool before = dyn_detector_suspects(detector, node->now_ms);

	dyn_detector_failed(detector, node->now_ms);
	if (!before && dyn_detector_suspects(detector, node->now_ms))
		dyn_count(node, peers_suspected);
}

uint32_t
dyn_peer_patience_ms(const struct dyn_node *node, int32_t peer_index)
{
	if (peer_index < 0)
		return node->config.hedge_ms;
	return dyn_detector_patience_ms(&node->peers[peer_index]->detector,
									node->config.hedge_ms);
}

static void
log_stranger(struct dyn_node *node, const struct dyn_peer *peer,
			 const char *why)
{
	struct dyn_text text;

	dyn_text_set(&text, peer->address);
	dyn_text_add(&text, " is not part of this cluster: ");
	dyn_text_add(&text, why);
	dyn_log(node, DYN_LOG_WARNING, text.bytes);
}

/* Why a peer cannot be a fellow, or NULL. */
static const char *
why_stranger(const struct dyn_node *node, uint32_t peer_index,
			 const struct dyn_node_id *id, const Dyn__Welcome *welcome)
{
	const char *name =
		node->cluster.formed ? node->cluster.name : node->config.cluster_name;
	int32_t other = dyn_peer_of_id(node, id);

	if (dyn_node_id_compare(id, &node->id) == 0)
		return welcome->process == node->start_id
				   ? "it is this node itself, under another address"
				   : "it runs with a copy of this node's store";
	if (strcmp(welcome->cluster_name, name) != 0)
		return "its cluster has another name";
	if (other >= 0 && other != (int32_t) peer_index &&
		node->peers[other]->process != welcome->process &&
		dyn_peer_is_reachable(node, other))
		return "a node of the same identity is there already";
	/* Another cluster of the same name: receive.c drops its frames. */
	return NULL;
}

enum
{
	TWIN_MS = 1000 /* uptimes that differ by less are taken for equal */
};

/*
 * Two processes of one identity: a copied data directory.  The younger one
 * must not go on.  Of two as old, as after a power cut, it is the one that is
 * not where its store was used last, or not where others reach it: only that
 * one knows of both.
 */
static bool
is_younger_twin(const struct dyn_node *node, const struct dyn_peer *peer,
				const Dyn__Welcome *welcome)
{
	uint64_t own_ms = node->now_ms - node->started_at_ms;
	bool is_at_my_address = strcmp(peer->address, node->config.address) == 0;

	if (welcome->process == node->start_id || welcome->process == 0)
		return false;
	if (own_ms + TWIN_MS < welcome->uptime_ms)
		return true;
	return own_ms <= welcome->uptime_ms + TWIN_MS &&
		   (is_at_my_address || node->quiet_until_ms != 0 ||
			node->start_id < welcome->process);
}

/* A fellow knows of this node, too: whether it has been further before. */
static void
meet(struct dyn_node *node, const struct dyn_node_id *id,
	 const Dyn__Welcome *welcome)
{
	dyn_cluster_record_merge_ring(node, dyn_slice_of_bytes(welcome->ring));
	dyn_bucket_merge(node, dyn_slice_of_bytes(welcome->buckets));
	if (welcome->members == node->cluster.members_digest)
		dyn_progress_learn(node, welcome->progress, welcome->n_progress);
	dyn_progress_met(node, id);
}

void
dyn_peer_welcome(struct dyn_node *node, uint32_t peer_index,
				 const Dyn__Welcome *welcome)
{
	struct dyn_peer *peer = node->peers[peer_index];
	struct dyn_node_id id;
	const char *why;
	bool was_stranger = peer->stranger;

	if (!peer->connected || !dyn_node_id_of_bytes(welcome->node, &id))
		return;
	why = why_stranger(node, peer_index, &id, welcome);
	peer->id = id;
	if (peer->process != welcome->process)
		peer->clock_ms = 0;
	peer->process = welcome->process;
	hear_clock(node, peer_index, welcome->process, welcome->uptime_ms);
	peer->identified = true;
	peer->formed = welcome->formed;
	peer->rebuilding = welcome->rebuilding;
	peer->stranger = why != NULL;
	if (why != NULL && !was_stranger &&
		(welcome->process != node->start_id || !node->config.is_relayed))
		log_stranger(node, peer, why);
	dyn_cluster_map_peers(node);
	if (dyn_node_id_compare(&id, &node->id) == 0 &&
		is_younger_twin(node, peer, welcome))
		dyn_identity_give_way(node, peer->address);
	if (why != NULL)
		return;
	dyn_fence_learn(node, &id, welcome);
	dyn_skew_learn(node, peer_index, welcome->wall_ms, welcome->asked_ms);
	if (node->cluster.formed && !peer->formed)
		dyn_formation_send(node, peer_index);
	else if (node->cluster.formed)
		meet(node, &id, welcome);
	else if (peer->formed)
		dyn_formation_stay_outside(node, welcome);
	else
		dyn_formation_try(node);
}

void
dyn_peer_error(struct dyn_node *node, uint32_t peer_index,
			   const Dyn__Error *error)
{
	struct dyn_peer *peer = node->peers[peer_index];

	if (error->status != DYN_STATUS_WRONG_CLUSTER &&
		error->status != DYN_STATUS_VERSION)
		return;
	if (!peer->stranger)
		log_stranger(node, peer,
					 dyn_status_text((enum dyn_status) error->status));
	peer->stranger = true;
}

/* ------------------------------------------------------------- heartbeats */

static void
fill_heartbeat(struct dyn_node *node, int32_t peer_index,
			   Dyn__Heartbeat *heartbeat, uint64_t other_digest,
			   uint64_t bucket_digest)
{
	const struct dyn_peer *peer =
		peer_index >= 0 ? node->peers[peer_index] : NULL;
	struct dyn_slice ring;

	heartbeat->incarnation = node->start_count;
	heartbeat->process = node->start_id;
	heartbeat->clock_ms = dyn_node_clock_ms(node);
	heartbeat->writable = node->writable;
	heartbeat->credit = dyn_credit_grant(node, peer);
	heartbeat->wants =
		peer != NULL && (dyn_handoff_wants(node, (uint32_t) peer_index) ||
						 dyn_exchange_wants(node, (uint32_t) peer_index));
	heartbeat->ring_digest = node->cluster.ring_digest;
	heartbeat->members = node->cluster.members_digest;
	heartbeat->progress = dyn_progress_tell(node);
	heartbeat->n_progress = node->cluster.ring.member_count;
	heartbeat->wall_ms = node->wall_ms;
	dyn_bucket_tell(node, heartbeat, bucket_digest);
	if (other_digest != 0 && other_digest != node->cluster.ring_digest &&
		dyn_ring_encode(&node->cluster.ring, &node->scratch.allocator, &ring) ==
			DYN_STATUS_OK)
		heartbeat->ring = dyn_bytes_of_slice(ring);
}

static void
send_heartbeat(struct dyn_node *node, uint32_t peer_index)
{
	Dyn__Heartbeat heartbeat = DYN__HEARTBEAT__INIT;

	fill_heartbeat(node, (int32_t) peer_index, &heartbeat,
				   node->peers[peer_index]->ring_digest,
				   node->peers[peer_index]->bucket_digest);
	heartbeat.answer = true;
	heartbeat.asked_ms = node->now_ms;
	dyn_outbox_send(node, peer_index, DYN_MESSAGE_HEARTBEAT, 0, 0,
					&heartbeat.base);
}

static void
take_heartbeat(struct dyn_node *node, int32_t peer_index,
			   const Dyn__Heartbeat *heartbeat)
{
	struct dyn_peer *peer;

	if (heartbeat->ring.len != 0)
		dyn_cluster_record_merge_ring(node,
									  dyn_slice_of_bytes(heartbeat->ring));
	if (heartbeat->members == node->cluster.members_digest)
		dyn_progress_learn(node, heartbeat->progress, heartbeat->n_progress);
	dyn_bucket_merge(node, dyn_slice_of_bytes(heartbeat->buckets));
	if (peer_index < 0)
		return;
	peer = node->peers[peer_index];
	hear_clock(node, (uint32_t) peer_index, heartbeat->process,
			   heartbeat->clock_ms);
	peer->bucket_digest = heartbeat->bucket_digest;
	peer->writable = heartbeat->writable;
	peer->credit = heartbeat->credit;
	peer->wants = heartbeat->wants;
	peer->ring_digest = heartbeat->ring_digest;
}

void
dyn_peer_heartbeat(struct dyn_node *node, const struct dyn_envelope *env,
				   uint64_t route, const Dyn__Heartbeat *heartbeat)
{
	Dyn__Heartbeat answer = DYN__HEARTBEAT__INIT;
	int32_t index = dyn_peer_of_id(node, &env->sender);

	if (!node->cluster.formed)
		return;
	take_heartbeat(node, index, heartbeat);
	if (!heartbeat->answer)
		return;
	fill_heartbeat(node, index, &answer, heartbeat->ring_digest,
				   heartbeat->bucket_digest);
	answer.asked_ms = heartbeat->asked_ms;
	dyn_outbox_reply(node, route, DYN_MESSAGE_HEARTBEAT, env->correlation,
					 &answer.base);
}

void
dyn_peer_heartbeat_answer(struct dyn_node *node, uint32_t peer_index,
						  const Dyn__Heartbeat *heartbeat)
{
	dyn_detector_beat(&node->peers[peer_index]->detector, node->now_ms);
	take_heartbeat(node, (int32_t) peer_index, heartbeat);
	dyn_skew_learn(node, peer_index, heartbeat->wall_ms, heartbeat->asked_ms);
}

/* ------------------------------------------------------------------- time */

/* A tick that comes late tells that this node stood still: nobody else is
 * to blame for that silence. */
static void
forgive_lag(struct dyn_node *node)
{
	uint64_t lag_ms = node->now_ms - node->heartbeat_at_ms;

	if (lag_ms < node->config.heartbeat_ms / 4)
		return;
	dyn_count(node, lags);
	for (uint32_t i = 0; i < node->peer_count; i++)
		dyn_detector_forgive(&node->peers[i]->detector, lag_ms, node->now_ms);
}

void
dyn_peer_tick(struct dyn_node *node)
{
	bool due = node->now_ms >= node->heartbeat_at_ms;

	if (due)
	{
		forgive_lag(node);
		node->heartbeat_at_ms = node->now_ms + node->config.heartbeat_ms;
		dyn_credit_turn(node);
	}
	for (uint32_t i = 0; i < node->peer_count; i++)
	{
		struct dyn_peer *peer = node->peers[i];

		if (!peer->connected)
			continue;
		if (!peer->silent &&
			dyn_detector_is_silent(&peer->detector, node->now_ms))
		{
			peer->silent = true;
			lose(node, i);
		}
		if (!due)
			continue;
		if (!peer->identified || !peer->formed || peer->stranger)
			send_hello(node, i);
		else if (node->cluster.formed)
			send_heartbeat(node, i);
	}
}
