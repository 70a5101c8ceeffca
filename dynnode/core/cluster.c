#include "core/cluster.h"

#include "core/bucket.h"
#include "core/key_table.h"
#include "core/number.h"
#include "core/outbox.h"
#include "core/peer.h"
#include "core/progress.h"
#include "core/text.h"
#include "model/hash.h"

#include <string.h>

enum
{
	IDENTITY_SIZE = 33, /* version, id, generation, start count */
	IDENTITY_VERSION = 1,
	NO_MEMBER = DYN_MEMBERS_MAX /* the end of a list of fallbacks */
};

/* Into a zeroed array; what does not fit was refused before. */
static void
copy_text(char *to, size_t size, const char *from)
{
	size_t length = strlen(from);

	if (length >= size)
		length = size - 1;
	memset(to, 0, size);
	memcpy(to, from, length);
}

/* ------------------------------------------------------------ small views */

bool
dyn_cluster_serves(const struct dyn_node *node)
{
	return node->cluster.formed && node->now_ms >= node->quiet_until_ms;
}

uint16_t
dyn_cluster_partition(const struct dyn_node *node, uint16_t cell)
{
	return dyn_hash_partition(cell, node->cluster.ring.partition_count);
}

int32_t
dyn_cluster_owner(const struct dyn_node *node, uint16_t partition, uint8_t slot)
{
	const struct dyn_cluster *cluster = &node->cluster;

	return cluster
		->member_peer[cluster->slot_member[partition * cluster->n + slot]];
}

int
dyn_cluster_own_slot(const struct dyn_node *node, uint16_t partition)
{
	for (uint8_t slot = 0; slot < node->cluster.n; slot++)
		if (dyn_cluster_owner(node, partition, slot) == DYN_PEER_SELF)
			return slot;
	return -1;
}

bool
dyn_cluster_fallback(struct dyn_node *node, uint16_t partition, uint32_t index,
					 int32_t *peer)
{
	struct dyn_cluster *cluster = &node->cluster;
	uint8_t *list = cluster->fallbacks[partition];

	if (list == NULL)
	{
		uint32_t count;

		list = dyn_memory_take(cluster->ring.member_count + 1);
		count = dyn_ring_fallbacks(&cluster->ring, partition, list);
		list[count] = NO_MEMBER;
		cluster->fallbacks[partition] = list;
	}
	/* Whoever asks goes on from where the list has not ended yet. */
	if (list[index] == NO_MEMBER)
		return false;
	*peer = cluster->member_peer[list[index]];
	return true;
}

static void
forget_fallbacks(struct dyn_cluster *cluster)
{
	if (cluster->fallbacks == NULL)
		return;
	for (uint32_t i = 0; i < cluster->fallback_lists; i++)
		dyn_memory_give(cluster->fallbacks[i]);
	dyn_memory_give(cluster->fallbacks);
	cluster->fallbacks = NULL;
}

const char *
dyn_cluster_owner_address(const struct dyn_node *node, uint16_t partition,
						  uint8_t slot)
{
	const struct dyn_cluster *cluster = &node->cluster;

	return cluster->ring
		.members[cluster->slot_member[partition * cluster->n + slot]]
		.address;
}

void
dyn_cluster_map_peers(struct dyn_node *node)
{
	struct dyn_cluster *cluster = &node->cluster;

	for (uint32_t i = 0; i < cluster->ring.member_count; i++)
	{
		const struct dyn_node_id *id = &cluster->ring.members[i].id;
		int32_t peer = dyn_peer_of_id(node, id);

		if (dyn_node_id_compare(id, &node->id) == 0)
			cluster->member_peer[i] = DYN_PEER_SELF;
		else
			cluster->member_peer[i] = peer >= 0 ? peer : DYN_PEER_NONE;
	}
}

static uint64_t
digest_members(struct dyn_node *node)
{
	const struct dyn_ring *ring = &node->cluster.ring;
	uint8_t *bytes =
		dyn_arena_allocate(&node->scratch, ring->member_count * 16);

	for (uint32_t i = 0; i < ring->member_count; i++)
		memcpy(bytes + i * 16, ring->members[i].id.bytes, 16);
	return dyn_hash_bytes(
		(struct dyn_slice){ bytes, (size_t) ring->member_count * 16 });
}

/* The ring changed: derived tables and connections follow. */
static void
ring_changed(struct dyn_node *node)
{
	struct dyn_cluster *cluster = &node->cluster;
	const struct dyn_ring *ring = &cluster->ring;
	uint32_t slot_count =
		(uint32_t) ring->partition_count * ring->replica_count;

	cluster->ring_digest = dyn_ring_digest(ring);
	cluster->members_digest = digest_members(node);
	forget_fallbacks(cluster);
	cluster->fallback_lists = ring->partition_count;
	cluster->fallbacks =
		dyn_memory_take(ring->partition_count * sizeof(*cluster->fallbacks));
	dyn_memory_give(cluster->slot_member);
	cluster->slot_member = dyn_memory_take(slot_count);
	for (uint32_t i = 0; i < slot_count; i++)
	{
		const struct dyn_member *member =
			dyn_ring_member(ring, &ring->slots[i].node);

		cluster->slot_member[i] = (uint8_t) (member - ring->members);
	}
	/* Somebody at my own place, but not at my address, may be a copy of me. */
	for (uint32_t i = 0; i < ring->member_count; i++)
		if (dyn_node_id_compare(&ring->members[i].id, &node->id) != 0 ||
			strcmp(ring->members[i].address, node->config.address) != 0)
			dyn_peer_of_address(node, ring->members[i].address);
	dyn_cluster_map_peers(node);
	dyn_count(node, ring_changes);
}

const Dyn__Settings *
dyn_cluster_settings(struct dyn_node *node)
{
	Dyn__Settings *settings =
		dyn_arena_allocate(&node->scratch, sizeof(*settings));

	dyn__settings__init(settings);
	settings->cluster_name = node->cluster.name;
	settings->n = node->cluster.n;
	settings->r = node->cluster.r;
	settings->w = node->cluster.w;
	settings->partition_count = node->cluster.ring.partition_count;
	settings->value_size_max = node->cluster.value_size_max;
	return settings;
}

/* ---------------------------------------------------------- stored records */

static void
store_identity(struct dyn_node *node)
{
	uint8_t *bytes = dyn_arena_allocate(&node->out->arena, IDENTITY_SIZE);

	bytes[0] = IDENTITY_VERSION;
	memcpy(bytes + 1, node->id.bytes, 16);
	dyn_put_u64(bytes + 17, node->store_generation);
	dyn_put_u64(bytes + 25, node->start_count);
	dyn_key_write_meta(node, "identity",
					   (struct dyn_slice){ bytes, IDENTITY_SIZE });
}

/* Encoded, as FORM carries it and the store keeps it. */
static struct dyn_slice
encode_form(struct dyn_node *node)
{
	Dyn__Form form = DYN__FORM__INIT;
	struct dyn_slice ring;
	uint8_t *bytes;
	size_t size;

	if (dyn_ring_encode(&node->cluster.ring, &node->scratch.allocator, &ring) !=
		DYN_STATUS_OK)
		return (struct dyn_slice){ 0 };
	form.settings = (Dyn__Settings *) dyn_cluster_settings(node);
	form.ring = dyn_bytes_of_slice(ring);
	size = dyn__form__get_packed_size(&form);
	bytes = dyn_arena_allocate(&node->out->arena, size);
	dyn__form__pack(&form, bytes);
	return (struct dyn_slice){ bytes, size };
}

static uint64_t
store_cluster(struct dyn_node *node)
{
	return dyn_key_write_meta(node, "cluster", encode_form(node));
}

/* Settings and ring into the node's memory; BAD_REQUEST when they are not
 * sound, or this node is not part of it. */
static enum dyn_status
adopt(struct dyn_node *node, const Dyn__Form *form)
{
	struct dyn_cluster *cluster = &node->cluster;
	const Dyn__Settings *settings = form->settings;
	struct dyn_allocator allocator = dyn_memory_allocator();
	struct dyn_ring ring;
	enum dyn_status status;

	if (settings == NULL || strlen(settings->cluster_name) == 0 ||
		strlen(settings->cluster_name) >= sizeof(cluster->name) ||
		settings->r < 1 || settings->r > settings->n || settings->w < 1 ||
		settings->w > settings->n || settings->value_size_max < 1 ||
		settings->value_size_max > DYN_VALUE_SIZE_MAX)
		return DYN_STATUS_BAD_REQUEST;
	status = dyn_ring_decode(dyn_slice_of_bytes(form->ring), &allocator, &ring);
	if (status != DYN_STATUS_OK)
		return status;
	if (ring.replica_count != settings->n ||
		ring.partition_count != settings->partition_count ||
		dyn_ring_member(&ring, &node->id) == NULL)
	{
		dyn_ring_destroy(&ring);
		return DYN_STATUS_BAD_REQUEST;
	}
	copy_text(cluster->name, sizeof(cluster->name), settings->cluster_name);
	cluster->n = (uint8_t) settings->n;
	cluster->r = (uint8_t) settings->r;
	cluster->w = (uint8_t) settings->w;
	cluster->value_size_max = (uint32_t) settings->value_size_max;
	cluster->ring = ring;
	cluster->tag = dyn_envelope_cluster(&ring.cluster);
	ring_changed(node);
	return DYN_STATUS_OK;
}

/* My own record: the incarnation is the start counter, so a restart with a
 * new address wins over what others remember of me. */
static bool
merge_own_member(struct dyn_node *node)
{
	const struct dyn_member *known =
		dyn_ring_member(&node->cluster.ring, &node->id);
	struct dyn_member member = { 0 };

	if (known->incarnation >= node->start_count)
		return false;
	member = *known;
	member.incarnation = node->start_count;
	member.store_generation = node->store_generation;
	member.start_count = node->start_count;
	copy_text(member.address, sizeof(member.address), node->config.address);
	copy_text(member.zone, sizeof(member.zone), node->config.zone);
	dyn_ring_merge_member(&node->cluster.ring, &member);
	ring_changed(node);
	return true;
}

/* ------------------------------------------------------------------- boot */

static enum dyn_status
fatal(struct dyn_node *node, const char *text)
{
	struct dyn_effect *effect = dyn_effects_add(node->out, DYN_EFFECT_FATAL);

	effect->fatal.text = dyn_arena_copy(&node->out->arena, dyn_slice_of(text));
	return DYN_STATUS_BAD_REQUEST;
}

static const struct dyn_slice *
boot_record(const struct dyn_boot *boot, const char *name)
{
	for (uint32_t i = 0; i < boot->record_count; i++)
		if (dyn_slice_equal(boot->records[i].name, dyn_slice_of(name)))
			return &boot->records[i].value;
	return NULL;
}

static enum dyn_status
boot_identity(struct dyn_node *node, const struct dyn_slice *record)
{
	if (record == NULL)
	{
		if (!node->writable)
			return fatal(node, "the store is full and new: there is no room "
							   "for this node's identity; free some space");
		node->id = dyn_random_node_id(&node->random);
		if (!dyn_node_id_is_zero(&node->config.node_id))
		{
			node->id = node->config.node_id;
			dyn_building_take_over(node);
		}
		node->store_generation = dyn_random_next(&node->random);
		node->start_count = 1;
		return DYN_STATUS_OK;
	}
	if (record->size != IDENTITY_SIZE || record->data[0] != IDENTITY_VERSION)
		return fatal(node, "the store's identity record is damaged or of "
						   "another version of this program");
	memcpy(node->id.bytes, record->data + 1, 16);
	if (!dyn_node_id_is_zero(&node->config.node_id) &&
		dyn_node_id_compare(&node->id, &node->config.node_id) != 0)
		return fatal(node, "the store is another node's than node-id says; "
						   "leave that out, or use an empty directory");
	node->store_generation = dyn_get_u64(record->data + 17);
	node->start_count = dyn_get_u64(record->data + 25) + 1;
	node->identity_stored = true;
	return DYN_STATUS_OK;
}

static enum dyn_status
boot_cluster(struct dyn_node *node, const struct dyn_slice *record,
			 const struct dyn_slice *fence)
{
	Dyn__Form *form;
	struct dyn_text text;
	ProtobufCAllocator allocator = { .alloc = NULL };

	allocator.alloc = node->scratch.allocator.allocate;
	allocator.free = node->scratch.allocator.release;
	allocator.allocator_data = node->scratch.allocator.context;
	form = dyn__form__unpack(&allocator, record->size, record->data);
	if (form == NULL || adopt(node, form) != DYN_STATUS_OK)
		return fatal(node, "the store's cluster record is damaged or of "
						   "another version of this program");
	if (strcmp(node->cluster.name, node->config.cluster_name) != 0)
	{
		dyn_text_set(&text, "the store belongs to cluster \"");
		dyn_text_add(&text, node->cluster.name);
		dyn_text_add(&text, "\", but the configuration names \"");
		dyn_text_add(&text, node->config.cluster_name);
		dyn_text_add(&text, "\"; correct the name or use another directory");
		return fatal(node, text.bytes);
	}
	node->cluster.formed = true;
	if (!dyn_fence_boot(node, fence))
		return fatal(node, "the store's record of fences is damaged or of "
						   "another version of this program");
	dyn_progress_doubt(node);
	if (strcmp(dyn_ring_member(&node->cluster.ring, &node->id)->address,
			   node->config.address) != 0)
		node->quiet_until_ms = node->now_ms + node->config.silence_ms;
	if (node->quiet_until_ms == 0 && merge_own_member(node) && node->writable)
		store_cluster(node);
	return DYN_STATUS_OK;
}

static void claim_own_member(struct dyn_node *node,
							 const struct dyn_member *told);

void
dyn_cluster_tick(struct dyn_node *node)
{
	if (node->quiet_until_ms == 0 || node->now_ms < node->quiet_until_ms)
		return;
	node->quiet_until_ms = 0;
	claim_own_member(node, NULL);
	if (merge_own_member(node) && node->writable)
		store_cluster(node);
}

/* Only a founder's own settings matter; all are checked, so that a typing
 * error is found on every node. */
static enum dyn_status
check_config(struct dyn_node *node)
{
	struct dyn_node_config *config = &node->config;
	uint32_t q = config->partition_count;

	if (config->n == 0)
		config->n = config->seed_count < 3 ? (uint8_t) config->seed_count : 3;
	if (config->r == 0)
		config->r = config->n / 2 + 1;
	if (config->w == 0)
		config->w = config->n / 2 + 1;
	if (config->n > config->seed_count || config->n > DYN_REPLICAS_MAX)
		return fatal(node, "n is greater than the number of seeds (or 8): "
						   "each replica of a key needs a node of its own");
	if (config->r > config->n || config->w > config->n)
		return fatal(node, "r and w cannot be greater than n");
	if (q > DYN_PARTITIONS_MAX || (q & (q - 1)) != 0)
		return fatal(node, "the number of partitions must be a power of two "
						   "up to 4096");
	if (config->value_size_max > DYN_VALUE_SIZE_MAX)
		return fatal(node, "values can be at most 16 MiB");
	if (config->seed_count > DYN_MEMBERS_MAX)
		return fatal(node, "a cluster has at most 64 nodes");
	if (strlen(config->cluster_name) == 0 ||
		strlen(config->cluster_name) >= sizeof(node->cluster.name))
		return fatal(node, "a cluster's name has 1 to 63 bytes");
	if (strlen(config->address) == 0 ||
		strlen(config->address) > DYN_ADDRESS_SIZE_MAX)
		return fatal(node, "an address has 1 to 255 bytes");
	return DYN_STATUS_OK;
}

enum dyn_status
dyn_cluster_boot(struct dyn_node *node, const struct dyn_boot *boot)
{
	const struct dyn_slice *record = boot_record(boot, "cluster");
	enum dyn_status status = check_config(node);

	if (status == DYN_STATUS_OK)
		status = boot_identity(node, boot_record(boot, "identity"));
	if (status != DYN_STATUS_OK)
		return status;
	if (node->writable)
		store_identity(node);
	for (uint32_t i = 0; i < node->config.seed_count; i++)
		if (strcmp(node->config.seeds[i], node->config.address) != 0)
			dyn_peer_of_address(node, node->config.seeds[i]);
	if (!dyn_bucket_boot(node, boot_record(boot, "buckets")))
		return fatal(node, "the store's record of buckets is damaged or of "
						   "another version of this program");
	status = record ? boot_cluster(node, record, boot_record(boot, "fence"))
					: DYN_STATUS_OK;
	if (status == DYN_STATUS_OK &&
		!dyn_progress_boot(node, boot_record(boot, "progress")))
		return fatal(node, "the store's record of its progress is damaged or "
						   "of another version of this program");
	if (status == DYN_STATUS_OK &&
		!dyn_building_formed(node, boot_record(boot, "building")))
		return fatal(node, "the store's record of what is to be built is "
						   "damaged or of another version of this program");
	return status;
}

void
dyn_cluster_destroy(struct dyn_node *node)
{
	if (node->cluster.ring.slots != NULL)
		dyn_ring_destroy(&node->cluster.ring);
	dyn_memory_give(node->cluster.slot_member);
	forget_fallbacks(&node->cluster);
}

/* -------------------------------------------------------------- formation */

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

	copy_text(member.address, sizeof(member.address), address);
	copy_text(member.zone, sizeof(member.zone), zone);
	dyn_ring_merge_member(ring, &member);
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
		/* A step coprime to m visits all members. */
		uint32_t step = 1 + (p / m) % (m > 1 ? m - 1 : 1);

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
dyn_cluster_try_form(struct dyn_node *node)
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
	copy_text(cluster->name, sizeof(cluster->name), config->cluster_name);
	cluster->n = config->n;
	cluster->r = config->r;
	cluster->w = config->w;
	cluster->value_size_max = config->value_size_max;
	cluster->tag = dyn_envelope_cluster(&cluster->ring.cluster);
	ring_changed(node);
	merge_own_member(node);
	cluster->storing = store_cluster(node);
}

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
	store_identity(node);
	dyn_log(node, DYN_LOG_WARNING,
			"this new store takes the place of a member's: its partitions "
			"answer no reads until they are built up again");
}

void
dyn_cluster_form(struct dyn_node *node, const Dyn__Form *form)
{
	if (node->cluster.formed || node->cluster.storing || !node->identity_stored)
		return;
	if (form->settings == NULL ||
		strcmp(form->settings->cluster_name, node->config.cluster_name) != 0 ||
		adopt(node, form) != DYN_STATUS_OK)
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
		merge_own_member(node);
	dyn_bucket_merge(node, dyn_slice_of_bytes(form->buckets));
	node->cluster.storing = store_cluster(node);
}

void
dyn_cluster_stay_outside(struct dyn_node *node, const Dyn__Welcome *welcome)
{
	struct dyn_ring ring;
	struct dyn_text text;
	char id[33];

	if (node->told_outside || node->building.all ||
		dyn_ring_decode(dyn_slice_of_bytes(welcome->ring),
						&node->scratch.allocator, &ring) != DYN_STATUS_OK)
		return;
	for (uint32_t i = 0; i < ring.member_count; i++)
	{
		if (strcmp(ring.members[i].address, node->config.address) != 0 ||
			dyn_node_id_compare(&ring.members[i].id, &node->id) == 0)
			continue;
		node->told_outside = true;
		dyn_node_id_format(&ring.members[i].id, id);
		dyn_text_set(&text, "this store is new, and stays outside of the "
							"cluster, which knows another node at this "
							"address: if it takes the place of a store that "
							"is gone, start with an empty directory and "
							"--node-id ");
		dyn_text_add(&text, id);
		dyn_log(node, DYN_LOG_WARNING, text.bytes);
	}
}

void
dyn_cluster_send_form(struct dyn_node *node, uint32_t peer_index)
{
	Dyn__Form form = DYN__FORM__INIT;
	struct dyn_slice ring;

	if (!node->cluster.formed ||
		dyn_ring_member(&node->cluster.ring, &node->peers[peer_index]->id) ==
			NULL ||
		dyn_ring_encode(&node->cluster.ring, &node->scratch.allocator, &ring) !=
			DYN_STATUS_OK)
		return;
	form.settings = (Dyn__Settings *) dyn_cluster_settings(node);
	form.ring = dyn_bytes_of_slice(ring);
	form.buckets = dyn_bytes_of_slice(dyn_bucket_table(node));
	dyn_outbox_send(node, peer_index, DYN_MESSAGE_FORM, 0, 0, &form.base);
}

void
dyn_cluster_stored(struct dyn_node *node, uint64_t token,
				   enum dyn_status status)
{
	struct dyn_cluster *cluster = &node->cluster;
	bool forming = cluster->storing == token;

	if (forming)
		cluster->storing = 0;
	if (status != DYN_STATUS_OK)
	{
		/* The next WELCOME or FORM tries again. */
		if (forming)
			dyn_ring_destroy(&cluster->ring);
		if (forming)
			memset(&cluster->ring, 0, sizeof(cluster->ring));
		return;
	}
	if (forming)
	{
		cluster->formed = true;
		(void) dyn_building_formed(node, NULL);
		dyn_log(node, DYN_LOG_INFO, "the cluster is formed");
		if (node->progress.is_new)
			dyn_peer_greet_all(node);
		for (uint32_t i = 0; i < node->peer_count; i++)
			if (node->peers[i]->identified && !node->peers[i]->formed)
				dyn_cluster_send_form(node, i);
	}
	node->identity_stored = true;
	dyn_cluster_try_form(node);
}

void
dyn_cluster_writable(struct dyn_node *node)
{
	/* The start counter too, or the next start would count as this one. */
	store_identity(node);
	if (node->cluster.formed)
		store_cluster(node);
}

/* Is the life that others know of this node a later one, or another one? */
static bool
is_other_life(const struct dyn_node *node, const struct dyn_member *known)
{
	return known->incarnation > node->start_count ||
		   (known->incarnation == node->start_count &&
			(strcmp(known->address, node->config.address) != 0 ||
			 (known->store_generation != node->store_generation &&
			  known->store_generation != 0)));
}

/* What others tell of this node's own record: when they know a later life of
 * it, the store went back to an older state, or a copy of it has run. */
static void
claim_own_member(struct dyn_node *node, const struct dyn_member *told)
{
	const struct dyn_member *known =
		dyn_ring_member(&node->cluster.ring, &node->id);
	struct dyn_text text;

	if (told != NULL && is_other_life(node, told))
		known = told;
	if (node->quiet_until_ms != 0 || !is_other_life(node, known))
		return;
	dyn_count(node, rollbacks);
	dyn_building_begin_all(node, DYN_BUILDING_KEEP);
	dyn_text_set(&text, "others know of ");
	dyn_text_add_number(&text, known->start_count);
	dyn_text_add(&text, " starts of this node, its store only of ");
	dyn_text_add_number(&text, node->start_count);
	dyn_text_add(&text, ": the store is an older copy, or a copy of it has "
						"run elsewhere");
	dyn_log(node, DYN_LOG_WARNING, text.bytes);
	node->start_count = known->incarnation + 1;
	if (node->writable)
		store_identity(node);
	merge_own_member(node);
}

void
dyn_cluster_merge_ring(struct dyn_node *node, struct dyn_slice bytes)
{
	struct dyn_cluster *cluster = &node->cluster;
	struct dyn_allocator allocator = dyn_memory_allocator();
	struct dyn_ring ring;

	if (!cluster->formed)
		return;
	if (dyn_ring_decode(bytes, &allocator, &ring) != DYN_STATUS_OK)
	{
		dyn_count(node, frames_bad);
		return;
	}
	/* A table that contradicts ours is refused whole: half of it would leave
	 * slots without an owner, on disk too. */
	if (dyn_ring_merge(&cluster->ring, &ring) != DYN_STATUS_OK)
		dyn_count(node, frames_bad);
	else
	{
		bool changed = dyn_ring_digest(&cluster->ring) != cluster->ring_digest;

		if (changed)
			ring_changed(node);
		claim_own_member(node, dyn_ring_member(&ring, &node->id));
		if (changed && node->writable)
			store_cluster(node);
	}
	dyn_ring_destroy(&ring);
}

static void
welcome_back(struct dyn_node *node, uint64_t route, uint64_t correlation,
			 bool to_node)
{
	Dyn__Welcome welcome = DYN__WELCOME__INIT;
	const struct dyn_cluster *cluster = &node->cluster;
	struct dyn_slice ring = { 0 };
	protobuf_c_boolean up[DYN_MEMBERS_MAX];

	welcome.node.data = node->id.bytes;
	welcome.node.len = sizeof(node->id.bytes);
	welcome.cluster_name = (char *) node->config.cluster_name;
	welcome.address = (char *) node->config.address;
	welcome.version = (char *) node->config.version;
	welcome.formed = cluster->formed;
	welcome.rebuilding = node->building.all;
	welcome.process = node->start_id;
	welcome.uptime_ms = node->now_ms - node->started_at_ms;
	if (cluster->formed &&
		dyn_ring_encode(&cluster->ring, &node->scratch.allocator, &ring) ==
			DYN_STATUS_OK)
	{
		welcome.settings = (Dyn__Settings *) dyn_cluster_settings(node);
		welcome.ring = dyn_bytes_of_slice(ring);
		welcome.buckets = dyn_bytes_of_slice(dyn_bucket_table(node));
		welcome.bucket_digest = node->bucket_digest;
		welcome.members = cluster->members_digest;
		welcome.progress = dyn_progress_tell(node);
		welcome.n_progress = cluster->ring.member_count;
		for (uint32_t i = 0; i < cluster->ring.member_count; i++)
			up[i] = cluster->member_peer[i] == DYN_PEER_SELF ||
					dyn_peer_is_reachable(node, cluster->member_peer[i]);
		welcome.peer_up = up;
		welcome.n_peer_up = cluster->ring.member_count;
		if (to_node)
			dyn_fence_tell(node, &welcome);
	}
	dyn_outbox_reply(node, route, DYN_MESSAGE_WELCOME, correlation,
					 &welcome.base);
}

void
dyn_cluster_hello(struct dyn_node *node, uint64_t route, uint64_t correlation,
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
		welcome_back(node, route, correlation, hello->node.len != 0);
}
