#include "core/boot.h"

#include "core/bucket.h"
#include "core/cluster.h"
#include "core/cluster_record.h"
#include "core/identity.h"
#include "core/peer.h"
#include "core/text.h"

#include <string.h>

enum dyn_status
dyn_boot_fatal(struct dyn_node *node, const char *text)
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
	if (form == NULL || dyn_cluster_record_adopt(node, form) != DYN_STATUS_OK)
		return dyn_boot_fatal(node,
							  "the store's cluster record is damaged or of "
							  "another version of this program");
	if (strcmp(node->cluster.name, node->config.cluster_name) != 0)
	{
		dyn_text_set(&text, "the store belongs to cluster \"");
		dyn_text_add(&text, node->cluster.name);
		dyn_text_add(&text, "\", but the configuration names \"");
		dyn_text_add(&text, node->config.cluster_name);
		dyn_text_add(&text, "\"; correct the name or use another directory");
		return dyn_boot_fatal(node, text.bytes);
	}
	node->cluster.formed = true;
	if (!dyn_fence_boot(node, fence))
		return dyn_boot_fatal(node,
							  "the store's record of fences is damaged or of "
							  "another version of this program");
	dyn_progress_doubt(node);
	if (strcmp(dyn_ring_member(&node->cluster.ring, &node->id)->address,
			   node->config.address) != 0)
		node->quiet_until_ms = node->now_ms + node->config.silence_ms;
	if (node->quiet_until_ms == 0 && dyn_identity_merge(node) && node->writable)
		dyn_cluster_record_store(node);
	return DYN_STATUS_OK;
}

static void
set_quorums(struct dyn_node_config *config)
{
	if (config->n == 0)
		config->n = config->seed_count < 3 ? (uint8_t) config->seed_count : 3;
	if (config->r == 0)
		config->r = config->n / 2 + 1;
	if (config->w == 0)
		config->w = config->n / 2 + 1;
}

/* Only a founder's own settings matter; all are checked, so that a typing
 * error is found on every node. */
static enum dyn_status
check_config(struct dyn_node *node)
{
	struct dyn_node_config *config = &node->config;
	uint32_t q = config->partition_count;

	set_quorums(config);
	if (config->n > config->seed_count || config->n > DYN_REPLICAS_MAX)
		return dyn_boot_fatal(node,
							  "n is greater than the number of seeds (or 8): "
							  "each replica of a key needs a node of its own");
	if (config->r > config->n || config->w > config->n)
		return dyn_boot_fatal(node, "r and w cannot be greater than n");
	if (q > DYN_PARTITIONS_MAX || (q & (q - 1)) != 0)
		return dyn_boot_fatal(node,
							  "the number of partitions must be a power of two "
							  "up to 4096");
	if (config->value_size_max > DYN_VALUE_SIZE_MAX)
		return dyn_boot_fatal(node, "values can be at most 16 MiB");
	if (config->seed_count > DYN_MEMBERS_MAX)
		return dyn_boot_fatal(node, "a cluster has at most 64 nodes");
	if (strlen(config->cluster_name) == 0 ||
		strlen(config->cluster_name) >= sizeof(node->cluster.name))
		return dyn_boot_fatal(node, "a cluster's name has 1 to 63 bytes");
	if (strlen(config->address) == 0 ||
		strlen(config->address) > DYN_ADDRESS_SIZE_MAX)
		return dyn_boot_fatal(node, "an address has 1 to 255 bytes");
	return DYN_STATUS_OK;
}

enum dyn_status
dyn_boot_run(struct dyn_node *node, const struct dyn_boot *boot)
{
	const struct dyn_slice *record = boot_record(boot, "cluster");
	enum dyn_status status = check_config(node);

	if (status == DYN_STATUS_OK)
		status = dyn_identity_boot(node, boot_record(boot, "identity"));
	if (status != DYN_STATUS_OK)
		return status;
	if (node->writable)
		dyn_identity_store(node);
	for (uint32_t i = 0; i < node->config.seed_count; i++)
		if (strcmp(node->config.seeds[i], node->config.address) != 0)
			dyn_peer_of_address(node, node->config.seeds[i]);
	if (node->config.is_relayed)
		dyn_peer_of_address(node, node->config.address);
	if (!dyn_bucket_boot(node, boot_record(boot, "buckets")))
		return dyn_boot_fatal(node,
							  "the store's record of buckets is damaged or of "
							  "another version of this program");
	status = record ? boot_cluster(node, record, boot_record(boot, "fence"))
					: DYN_STATUS_OK;
	if (status == DYN_STATUS_OK &&
		!dyn_progress_boot(node, boot_record(boot, "progress")))
		return dyn_boot_fatal(
			node, "the store's record of its progress is damaged or "
				  "of another version of this program");
	if (status == DYN_STATUS_OK &&
		!dyn_building_formed(node, boot_record(boot, "building")))
		return dyn_boot_fatal(node,
							  "the store's record of what is to be built is "
							  "damaged or of another version of this program");
	return status;
}
