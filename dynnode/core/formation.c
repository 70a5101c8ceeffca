#include "core/formation.h"

#include "core/bucket.h"
#include "core/cluster.h"
#include "core/cluster_record.h"
#include "core/identity.h"
#include "core/outbox.h"
#include "core/peer.h"
#include "core/progress.h"
#include "core/text.h"

#include <string.h>

static bool
is_founder(const struct dyn_node *node)
{
	return node->identity_stored && !node->cluster.formed &&
		   !node->cluster.storing && !node->building.all &&
		   strcmp(node->config.seeds[0], node->config.address) == 0;
}

/* The peers of all other seeds, when each has told who it is, that it wants to
 * be one of us, and that it belongs nowhere. */
static bool
everybody_is_there(struct dyn_node *node, uint32_t *peers, uint32_t *count)
{
	*count = 0;
	for (uint32_t i = 0; i < node->config.seed_count; i++)
	{
		const char *seed = node->config.seeds[i];
		int32_t index;

		if (strcmp(seed, node->config.address) == 0)
			continue;
		index = dyn_peer_of_address(node, seed);
		if (index < 0 || !node->peers[index]->identified ||
			node->peers[index]->formed || node->peers[index]->stranger ||
			node->peers[index]->rebuilding)
			return false;
		for (uint32_t j = 0; j < *count; j++)
			if (dyn_node_id_compare(&node->peers[peers[j]]->id,
									&node->peers[index]->id) == 0)
				return false;
		peers[(*count)++] = (uint32_t) index;
	}
	return *count + 1 == node->config.seed_count;
}

static void
add_founding_member(struct dyn_ring *ring, const struct dyn_node_id *id,
					const char *address, const char *zone)
{
	struct dyn_member member = {
		.id = *id, .incarnation = 0, .status = DYN_MEMBER_VALID, .weight = 1
	};

	dyn_text_copy(member.address, sizeof(member.address), address);
	dyn_text_copy(member.zone, sizeof(member.zone), zone);
	dyn_ring_merge_member(ring, &member);
}

/* A step coprime to m visits all members: the next one from this on. */
static uint32_t
coprime_step(uint32_t step, uint32_t m)
{
	while (m > 1)
	{
		uint32_t a = m;
		uint32_t b = step;

		while (b != 0)
		{
			uint32_t rest = a % b;

			a = b;
			b = rest;
		}
		if (a == 1)
			break;
		step = step % (m - 1) + 1;
	}
	return step;
}

/*
 * Slot s of partition p goes to member (p + s) mod m, with a rotation by
 * rounds so that the same neighbours do not always share: every node gets
 * Q*N/m slots, give or take one, and as many first slots as any other.
 */
static void
deal_slots(struct dyn_ring *ring)
{
	uint32_t m = ring->member_count;

	for (uint32_t p = 0; p < ring->partition_count; p++)
	{
		uint32_t step = coprime_step(1 + (p / m) % (m > 1 ? m - 1 : 1), m);

		for (uint8_t s = 0; s < ring->replica_count; s++)
		{
			struct dyn_slot slot = { .fepoch = 1,
									 .ver = 1,
									 .node =
										 ring->members[(p + s * step) % m].id };

			dyn_ring_merge_slot(ring, (uint16_t) p, s, &slot);
		}
	}
}

void
dyn_formation_try(struct dyn_node *node)
{
	struct dyn_cluster *cluster = &node->cluster;
	const struct dyn_node_config *config = &node->config;
	struct dyn_allocator allocator = dyn_memory_allocator();
	uint32_t peers[DYN_MEMBERS_MAX];
	uint32_t count;

	if (!is_founder(node) || !everybody_is_there(node, peers, &count))
		return;
	if (dyn_ring_init(&cluster->ring, &allocator,
					  dyn_random_node_id(&node->random),
					  config->partition_count, config->n) != DYN_STATUS_OK)
		return;
	add_founding_member(&cluster->ring, &node->id, config->address,
						config->zone);
	for (uint32_t i = 0; i < count; i++)
		add_founding_member(&cluster->ring, &node->peers[peers[i]]->id,
							node->peers[peers[i]]->address, "");
	deal_slots(&cluster->ring);
	dyn_text_copy(cluster->name, sizeof(cluster->name), config->cluster_name);
	cluster->n = config->n;
	cluster->r = config->r;
	cluster->w = config->w;
	cluster->value_size_max = config->value_size_max;
	cluster->tag = dyn_envelope_cluster(&cluster->ring.cluster);
	dyn_cluster_ring_changed(node);
	dyn_identity_merge(node);
	cluster->storing = dyn_cluster_record_store(node);
}

/* ---------------------------------------------------------------- by others */

/* Of the member whose store is gone.  Whether it is really gone, and does not
 * run elsewhere, is heard before this node says a word. */
static void
take_place(struct dyn_node *node)
{
	const struct dyn_member *known =
		dyn_ring_member(&node->cluster.ring, &node->id);

	if (node->start_count <= known->incarnation)
		node->start_count = known->incarnation + 1;
	node->quiet_until_ms = node->now_ms + node->config.silence_ms;
	dyn_identity_store(node);
	dyn_log(node, DYN_LOG_WARNING,
			"this new store takes the place of a member's: its partitions "
			"answer no reads until they are built up again");
}

void
dyn_formation_enter(struct dyn_node *node, const Dyn__Form *form)
{
	if (node->cluster.formed || node->cluster.storing || !node->identity_stored)
		return;
	if (form->settings == NULL ||
		strcmp(form->settings->cluster_name, node->config.cluster_name) != 0 ||
		dyn_cluster_record_adopt(node, form) != DYN_STATUS_OK)
	{
		dyn_count(node, frames_refused);
		dyn_log(node, DYN_LOG_WARNING,
				"a FORM was refused: another cluster's name, or a table that "
				"does not hold this node");
		return;
	}
	/* Who was up once, as others know it, had a store that knew the cluster. */
	if (dyn_ring_member(&node->cluster.ring, &node->id)->incarnation != 0)
		dyn_building_take_over(node);
	if (node->building.all)
		take_place(node);
	else
		dyn_identity_merge(node);
	dyn_bucket_merge(node, dyn_slice_of_bytes(form->buckets));
	node->cluster.storing = dyn_cluster_record_store(node);
}

/* Nobody looks for a member at an address that it never had: a replaced store
 * at a new one forms from what it is told. */
static void
enter_elsewhere(struct dyn_node *node, const Dyn__Welcome *welcome)
{
	Dyn__Form form = DYN__FORM__INIT;

	form.settings = welcome->settings;
	form.ring = welcome->ring;
	form.buckets = welcome->buckets;
	dyn_formation_enter(node, &form);
}

static void
log_outside(struct dyn_node *node, const struct dyn_ring *ring)
{
	struct dyn_text text;
	char id[33];

	dyn_text_set(&text, node->building.all
							? "this node stays outside of the cluster, which "
							  "has no member with this node-id; "
							: "this store is new, and stays outside of the "
							  "cluster, which it was not founded with; ");
	dyn_text_add(&text, "to take the place of a store that is gone, start "
						"with an empty directory and --node-id ");
	for (uint32_t i = 0; i < ring->member_count; i++)
		if (strcmp(ring->members[i].address, node->config.address) == 0)
		{
			dyn_node_id_format(&ring->members[i].id, id);
			dyn_text_add(&text, id);
			dyn_text_add(&text, ", the member of this address");
			dyn_log(node, DYN_LOG_WARNING, text.bytes);
			return;
		}
	dyn_text_add(&text, "as dynctl ring shows it of a member that is away");
	dyn_log(node, DYN_LOG_WARNING, text.bytes);
}

void
dyn_formation_stay_outside(struct dyn_node *node, const Dyn__Welcome *welcome)
{
	struct dyn_ring ring;
	const struct dyn_member *own;

	if (dyn_ring_decode(dyn_slice_of_bytes(welcome->ring),
						&node->scratch.allocator, &ring) != DYN_STATUS_OK)
		return;
	own = dyn_ring_member(&ring, &node->id);
	if (own == NULL && !node->told_outside)
	{
		node->told_outside = true;
		log_outside(node, &ring);
	}
	if (own != NULL && node->building.all &&
		strcmp(own->address, node->config.address) != 0)
		enter_elsewhere(node, welcome);
}

void
dyn_formation_send(struct dyn_node *node, uint32_t peer_index)
{
	Dyn__Form form = DYN__FORM__INIT;
	struct dyn_slice ring;

	if (!node->cluster.formed ||
		dyn_ring_member(&node->cluster.ring, &node->peers[peer_index]->id) ==
			NULL ||
		dyn_ring_encode(&node->cluster.ring, &node->scratch.allocator, &ring) !=
			DYN_STATUS_OK)
		return;
	form.settings = (Dyn__Settings *) dyn_cluster_record_settings(node);
	form.ring = dyn_bytes_of_slice(ring);
	form.buckets = dyn_bytes_of_slice(dyn_bucket_table(node));
	dyn_outbox_send(node, peer_index, DYN_MESSAGE_FORM, 0, 0, &form.base);
}

/* ----------------------------------------------------------------- on disk */

/* The next WELCOME or FORM tries again; until then there is no place to be
 * quiet about. */
static void
form_failed(struct dyn_node *node)
{
	struct dyn_ring *ring = &node->cluster.ring;

	dyn_ring_destroy(ring);
	memset(ring, 0, sizeof(*ring));
	node->quiet_until_ms = 0;
}

static void
formed(struct dyn_node *node)
{
	node->cluster.formed = true;
	(void) dyn_building_formed(node, NULL);
	dyn_log(node, DYN_LOG_INFO, "the cluster is formed");
	if (node->progress.is_new)
		dyn_progress_doubt(node);
	dyn_peer_meet_again(node);
	for (uint32_t i = 0; i < node->peer_count; i++)
		if (node->peers[i]->identified && !node->peers[i]->formed)
			dyn_formation_send(node, i);
}

void
dyn_formation_stored(struct dyn_node *node, uint64_t token,
					 enum dyn_status status)
{
	struct dyn_cluster *cluster = &node->cluster;
	bool forming = cluster->storing == token;

	if (forming)
		cluster->storing = 0;
	if (status != DYN_STATUS_OK)
	{
		if (forming)
			form_failed(node);
		return;
	}
	if (forming)
		formed(node);
	dyn_formation_try(node);
}

void
dyn_formation_writable(struct dyn_node *node)
{
	/* The start counter too, or the next start would count as this one. */
	dyn_identity_store(node);
	if (node->cluster.formed)
		dyn_cluster_record_store(node);
}
