#include "tests/sim/swarm.h"

#include "tests/sim/simrandom.h"

#include <string.h>

typedef struct dyn_simrandom *dice;

static uint32_t
between(dice d, uint32_t first, uint32_t last)
{
	return (uint32_t) dyn_simrandom_between(d, first, last);
}

/* A value of first .. last in `share` of a hundred runs, else 0. */
static uint32_t
sometimes(dice d, uint32_t share, uint32_t first, uint32_t last)
{
	bool on = dyn_simrandom_below(d, 100) < share;
	uint32_t value = between(d, first, last);

	return on ? value : 0;
}

static void
draw_cluster(struct dyn_swarm *self, dice d)
{
	static const uint8_t sizes[] = { 3, 3, 3, 3, 4, 4, 5, 5, 6, 7, 1, 2 };
	uint8_t n_max;

	self->node_count = sizes[dyn_simrandom_below(d, sizeof(sizes))];
	n_max = self->node_count < 5 ? (uint8_t) self->node_count : 5;
	self->n = n_max >= 3 ? 3 : n_max;
	if (between(d, 0, 3) == 0)
		self->n = (uint8_t) between(d, 1, n_max);
	self->r = self->w = (uint8_t) (self->n / 2 + 1);
	if (between(d, 0, 3) == 0)
	{
		self->r = (uint8_t) between(d, 1, self->n);
		self->w = (uint8_t) between(d, 1, self->n);
	}
	self->partition_count = (uint16_t) (1U << between(d, 0, 5));
	self->hedge_ms = between(d, 5, 80);
	self->heartbeat_ms = between(d, 300, 1000);
	self->request_timeout_ms = 5000;
	self->requests_max = sometimes(d, 20, 4, 64);
	self->keys_max = sometimes(d, 20, 4, 64);
}

static void
draw_load(struct dyn_swarm *self, dice d)
{
	self->duration_ms = 600000;
	self->client_count = between(d, 2, 8);
	self->key_count = between(d, 4, 40);
	self->think_ms = between(d, 200, 1200) * self->client_count / 2;
	self->hot_rate = sometimes(d, 50, 100000, 600000);
	self->blind_rate = between(d, 0, 400000);
	self->stale_rate = sometimes(d, 60, 50000, 400000);
	self->row_rate = sometimes(d, 70, 100000, 900000);
	self->delete_rate = sometimes(d, 80, 50000, 400000);
	self->mode_rate = sometimes(d, 60, 50000, 400000);
	self->write_rate = between(d, 300000, 700000);
	self->batch_max = between(d, 1, 12);
	self->value_size_max = between(d, 24, 200);
	self->retry_rate = sometimes(d, 80, 200000, 1000000);
	self->late_retry_rate = sometimes(d, 60, 10000, 150000);
	self->own_quorum_rate = sometimes(d, 40, 50000, 300000);
}

static void
draw_network(struct dyn_swarm *self, dice d)
{
	self->delay_ms_max = between(d, 0, 20);
	self->tail_ms_max = between(d, 100, 2500);
	self->tail_rate = sometimes(d, 60, 100, 30000);
	self->drop_rate = sometimes(d, 50, 100, 50000);
	self->duplicate_rate = sometimes(d, 50, 100, 50000);
	self->damage_rate = sometimes(d, 30, 10, 2000);
	self->reorder = between(d, 0, 1) == 1;
	self->flap_period_ms = sometimes(d, 50, 2000, 60000);
	self->partition_period_ms = sometimes(d, 60, 10000, 120000);
	self->partition_ms_max = between(d, 500, 20000);
}

static void
draw_nodes(struct dyn_swarm *self, dice d)
{
	self->crash_period_ms = sometimes(d, 60, 5000, 120000);
	self->down_ms_max = between(d, 10, 20000);
	self->pause_period_ms = sometimes(d, 40, 10000, 120000);
	self->pause_ms_max = between(d, 50, 8000);
	self->drift_per_mille = sometimes(d, 40, 10, 200);
}

static void
draw_stores(struct dyn_swarm *self, dice d)
{
	self->commit_ms_max = between(d, 0, 15);
	self->read_ms_max = between(d, 0, 4);
	self->slow_ms_max = between(d, 50, 3000);
	self->slow_rate = sometimes(d, 50, 100, 20000);
	self->abort_rate = sometimes(d, 40, 100, 30000);
	self->io_error_rate = sometimes(d, 30, 10, 2000);
	self->full_period_ms = sometimes(d, 30, 10000, 120000);
	self->full_ms_max = between(d, 100, 20000);
	self->fail_period_ms = sometimes(d, 30, 20000, 200000);
	self->damage_period_ms = sometimes(d, 30, 2000, 60000);
}

void
dyn_swarm_draw(struct dyn_swarm *self, uint64_t seed)
{
	struct dyn_simrandom d = dyn_simrandom_stream(seed, 0x737761726d);

	memset(self, 0, sizeof(*self));
	draw_cluster(self, &d);
	draw_load(self, &d);
	draw_network(self, &d);
	draw_nodes(self, &d);
	draw_stores(self, &d);
}

void
dyn_swarm_calm(struct dyn_swarm *self)
{
	*self = (struct dyn_swarm){ .node_count = 3,
								.n = 3,
								.r = 2,
								.w = 2,
								.partition_count = 8,
								.hedge_ms = 30,
								.heartbeat_ms = 500,
								.request_timeout_ms = 5000,
								.key_count = 16,
								.value_size_max = 64,
								.batch_max = 1,
								.delay_ms_max = 2,
								.tail_ms_max = 100,
								.commit_ms_max = 3,
								.read_ms_max = 1,
								.slow_ms_max = 50 };
}
