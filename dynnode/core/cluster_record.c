#include "core/cluster_record.h"

#include "core/cluster.h"
#include "core/commit.h"
#include "core/identity.h"
#include "core/text.h"

#include <string.h>

const Dyn__Settings *
dyn_cluster_record_settings(struct dyn_node *node)
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
	form.settings = (Dyn__Settings *) dyn_cluster_record_settings(node);
	form.ring = dyn_bytes_of_slice(ring);
	size = dyn__form__get_packed_size(&form);
	bytes = dyn_arena_allocate(&node->out->arena, size);
	dyn__form__pack(&form, bytes);
	return (struct dyn_slice){ bytes, size };
}

uint64_t
dyn_cluster_record_store(struct dyn_node *node)
{
	return dyn_commit_write_meta(node, "cluster", encode_form(node));
}

static bool
are_sound(const struct dyn_cluster *cluster, const Dyn__Settings *settings)
{
	return settings != NULL && strlen(settings->cluster_name) != 0 &&
		   strlen(settings->cluster_name) < sizeof(cluster->name) &&
		   settings->r >= 1 && settings->r <= settings->n && settings->w >= 1 &&
		   settings->w <= settings->n && settings->value_size_max >= 1 &&
		   settings->value_size_max <= DYN_VALUE_SIZE_MAX;
}

enum dyn_status
dyn_cluster_record_adopt(struct dyn_node *node, const Dyn__Form *form)
{
	struct dyn_cluster *cluster = &node->cluster;
	const Dyn__Settings *settings = form->settings;
	struct dyn_allocator allocator = dyn_memory_allocator();
	struct dyn_ring ring;
	enum dyn_status status;

	if (!are_sound(cluster, settings))
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
	dyn_text_copy(cluster->name, sizeof(cluster->name), settings->cluster_name);
	cluster->n = (uint8_t) settings->n;
	cluster->r = (uint8_t) settings->r;
	cluster->w = (uint8_t) settings->w;
	cluster->value_size_max = (uint32_t) settings->value_size_max;
	cluster->ring = ring;
	cluster->tag = dyn_envelope_cluster(&ring.cluster);
	dyn_cluster_ring_changed(node);
	return DYN_STATUS_OK;
}

void
dyn_cluster_record_merge_ring(struct dyn_node *node, struct dyn_slice bytes)
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
			dyn_cluster_ring_changed(node);
		dyn_identity_claim(node, dyn_ring_member(&ring, &node->id));
		if (changed && node->writable)
			dyn_cluster_record_store(node);
	}
	dyn_ring_destroy(&ring);
}
