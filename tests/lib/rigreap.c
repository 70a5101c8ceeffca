/* A corerig as tests of reaping want it. */
#include "rigreap.h"

#include "righand.h"
#include "rigrecord.h"

enum
{
	PARTITIONS = 4
};

struct corerig *
rigreap_new(uint32_t nodes, uint64_t run_ms)
{
	struct corerig *rig = corerig_new_of(nodes, RIGREAP_OWNERS, PARTITIONS,
										 DYN_ANTI_ENTROPY_NEVER);

	for (uint32_t n = 0; n < nodes; n++)
	{
		struct dyn_node *node = rig->nodes[n].node;

		rig->nodes[n].wall_ms = RIGREAP_WALL_MS;
		node->config.tombstone_grace_ms = RIGREAP_GRACE_MS;
		node->config.reap_ms = RIGREAP_EVERY_MS;
		node->reap.at_ms = 0;
	}
	corerig_run(rig, run_ms);
	return rig;
}

void
rigreap_pass(struct corerig *rig, uint64_t wall_ms, uint64_t run_ms)
{
	for (uint32_t n = 0; n < rig->count; n++)
		rig->nodes[n].wall_ms += wall_ms;
	corerig_run(rig, run_ms);
}

void
rigreap_put(struct corerig *rig, const char *key, struct dyn_slice object)
{
	rigrecord_put_on(rig, 0, RIGREAP_OWNERS - 1, "cart", key, object);
}

uint32_t
rigreap_count(struct corerig *rig, const char *key)
{
	uint32_t count = 0;

	for (uint32_t n = 0; n < RIGREAP_OWNERS; n++)
		count += corerig_get(rig, n, "cart", key) != NULL;
	return count;
}
