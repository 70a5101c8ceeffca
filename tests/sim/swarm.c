#include "tests/sim/swarm.h"

#include "core/exchange.h"
#include "model/types.h"
#include "model/wall.h"
#include "tests/sim/simrandom.h"
#include "tests/sim/world.h"

enum
{
	VERSION_SIZE_MAX = 64, /* bytes of a version beside its value */
	COMPARED_SIZE_MAX = 12 /* of a leaf in a frame: its number, and its hash */
};

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
	static const uint8_t sizes[] = { 3, 3, 3, 3, 4, 4, 5, 5,
									 5, 6, 7, 8, 9, 1, 2, 3 };
	uint32_t n_max;

	self->node_count = sizes[dyn_simrandom_below(d, sizeof(sizes))];
	n_max = self->node_count < 5 ? self->node_count : 5;
	self->n = n_max >= 3 ? 3 : n_max;
	if (between(d, 0, 3) == 0)
		self->n = between(d, 1, n_max);
	self->r = self->w = self->n / 2 + 1;
	if (between(d, 0, 3) == 0)
	{
		self->r = between(d, 1, self->n);
		self->w = between(d, 1, self->n);
	}
	self->partition_count = 1U << between(d, 0, 5);
	self->hedge_ms = between(d, 5, 80);
	self->heartbeat_ms = between(d, 200, 400);
	self->anti_entropy_ms = sometimes(d, 80, 1000, 30000);
	self->scrub_ms = sometimes(d, 60, 500, 10000);
	self->requests_max = sometimes(d, 20, 4, 64);
	self->keys_max = sometimes(d, 20, 4, 64);
	self->bytes_max = sometimes(d, 20, 2000, 100000);
	self->load_bytes_max = sometimes(d, 40, 1, 4000);
}

/* ---- load: a run is of one kind, or a mixture ---- */

static void
draw_mixture(struct dyn_swarm *self, dice d)
{
	self->hot_rate = sometimes(d, 50, 100000, 600000);
	self->blind_rate = between(d, 0, 400000);
	self->stale_rate = sometimes(d, 60, 50000, 400000);
	self->row_rate = sometimes(d, 70, 100000, 900000);
	self->delete_rate = sometimes(d, 80, 50000, 400000);
	self->mode_rate = sometimes(d, 60, 50000, 400000);
	self->write_rate = between(d, 300000, 700000);
	self->scan_rate = sometimes(d, 70, 50000, 300000);
	self->direct_rate = sometimes(d, 80, 100000, 600000);
	self->big_rate = sometimes(d, 20, 20000, 300000);
	self->retry_rate = sometimes(d, 80, 200000, 1000000);
	self->late_retry_rate = sometimes(d, 60, 10000, 150000);
	self->abandon_rate = sometimes(d, 50, 10000, 100000);
	self->own_quorum_rate = sometimes(d, 40, 50000, 300000);
}

/* What one kind of user does all the time. */
static void
draw_emphasis(struct dyn_swarm *self, dice d)
{
	switch (dyn_simrandom_below(d, 12))
	{
		case 0: /* everybody on one key */
			self->hot_rate = 900000;
			self->key_count = between(d, 1, 4);
			break;
		case 1: /* many writers with old contexts */
			self->stale_rate = 1000000;
			self->blind_rate = between(d, 0, 50000);
			self->hot_rate = 500000;
			self->write_rate = 800000;
			break;
		case 2: /* nobody reads before writing */
			self->blind_rate = 900000;
			self->delete_rate = between(d, 100000, 400000);
			break;
		case 3: /* deleted and made again */
			self->delete_rate = 500000;
			self->key_count = between(d, 1, 8);
			self->write_rate = 700000;
			break;
		case 4: /* values as large as can be */
			self->big_rate = 700000;
			break;
		case 5: /* tables are read while things fall apart */
			self->scan_rate = 800000;
			self->key_count = between(d, 30, 64);
			break;
		case 6: /* impatient, and persistent */
			self->retry_rate = 1000000;
			self->late_retry_rate = 300000;
			self->abandon_rate = 200000;
			break;
		case 7: /* batches */
			self->batch_max = 16;
			break;
		default:
			break;
	}
}

static void
draw_load(struct dyn_swarm *self, dice d)
{
	self->duration_ms = between(d, 10, 45) * 60000;
	self->client_count = between(d, 2, 8);
	self->key_count = between(d, 4, 40);
	self->think_ms = between(d, 500, 3000) * self->client_count / 2;
	self->batch_max = between(d, 1, 12);
	self->value_size_max = between(d, 24, 200);
	self->value_limit = between(d, 500, 4000);
	draw_mixture(self, d);
	draw_emphasis(self, d);
}

static void
draw_network(struct dyn_swarm *self, dice d)
{
	self->delay_ms_max = between(d, 0, 20);
	if (between(d, 0, 9) == 0) /* two continents */
	{
		self->delay_ms_min = between(d, 20, 60);
		self->delay_ms_max = self->delay_ms_min + between(d, 0, 60);
	}
	self->tail_ms_max = between(d, 100, 2500);
	self->tail_rate = sometimes(d, 60, 100, 30000);
	self->drop_rate = sometimes(d, 50, 100, 50000);
	if (between(d, 0, 19) == 0)
		self->drop_rate = between(d, 50000, 300000);
	self->duplicate_rate = sometimes(d, 50, 100, 50000);
	self->damage_rate = sometimes(d, 30, 10, 2000);
	self->reorder = between(d, 0, 1);
	self->clog_period_ms = sometimes(d, 40, 5000, 120000);
	self->clog_ms_max = between(d, 100, 5000);
	self->flap_period_ms = sometimes(d, 50, 5000, 120000);
	self->partition_period_ms = sometimes(d, 60, 10000, 240000);
	self->partition_ms_max = between(d, 500, 40000);
	self->partition_shapes = sometimes(d, 30, 1, 511);
}

static void
draw_nodes(struct dyn_swarm *self, dice d)
{
	self->crash_period_ms = sometimes(d, 60, 10000, 240000);
	self->crash_all_period_ms = sometimes(d, 40, 60000, 900000);
	self->snipe_period_ms = sometimes(d, 50, 5000, 120000);
	self->storm_period_ms = sometimes(d, 30, 60000, 600000);
	self->down_ms_max = between(d, 10, 20000);
	if (between(d, 0, 5) == 0) /* gone for a while */
		self->down_ms_max = between(d, 20000, 120000);
	self->pause_period_ms = sometimes(d, 40, 10000, 240000);
	self->pause_ms_max = between(d, 50, 8000);
	self->clock_slowest = 1000 - sometimes(d, 20, 10, 500);
	self->clock_fastest = 1000 + sometimes(d, 20, 10, 1000);
	self->wall_period_ms = sometimes(d, 40, 20000, 300000);
	self->wall_jump_s = between(d, 0, 1) ? 3600 : 315360000;
}

static void
draw_stores(struct dyn_swarm *self, dice d)
{
	self->commit_ms_max = between(d, 0, 15);
	self->read_ms_max = between(d, 0, 4);
	self->slow_ms_max = between(d, 50, 3000);
	if (between(d, 0, 3) == 0) /* longer than anybody waits */
		self->slow_ms_max = 8000;
	self->slow_rate = sometimes(d, 50, 100, 20000);
	self->abort_rate = sometimes(d, 40, 100, 30000);
	self->io_error_rate = sometimes(d, 30, 10, 2000);
	self->full_period_ms = sometimes(d, 30, 20000, 240000);
	self->full_ms_max = between(d, 100, 20000);
	self->fail_period_ms = sometimes(d, 30, 30000, 400000);
	self->damage_period_ms = sometimes(d, 30, 2000, 60000);
	self->empty_period_ms = sometimes(d, 20, 60000, 600000);
	self->rollback_period_ms = sometimes(d, 20, 60000, 600000);
	self->clone_period_ms = sometimes(d, 20, 60000, 600000);
}

/* As little memory as keeps the rules of room.h, or little more.  One key's
 * read fits in an empty room, three quarters of which are for what n owners
 * hold and what is made of it, if these all differ and are as large as can be:
 * less would leave keys that nobody can read, and so nobody mends.  And the
 * largest frame, which compares leaves, fits in a half.  Values are small,
 * batches large and clients busy, so that a run comes to hold as much. */
static void
draw_memory(struct dyn_swarm *self, dice d)
{
	bool on = between(d, 0, 4) == 0;
	uint32_t value_limit = between(d, 24, 120);
	uint32_t object_max = DYN_SIBLINGS_MAX * (value_limit + VERSION_SIZE_MAX);
	uint32_t for_read = (self->n + 1) * object_max / 3 * 4;
	uint32_t for_frame = 2 * DYN_EXCHANGE_NODES_MAX * COMPARED_SIZE_MAX;
	uint32_t least = for_read > for_frame ? for_read : for_frame;
	uint32_t memory_max = between(d, least, least + least / 4);

	if (!on)
		return;
	self->memory_max = memory_max;
	self->value_limit = value_limit;
	self->value_size_max = value_limit - 7;
	self->batch_max = between(d, 8, 16);
	self->think_ms = self->think_ms / 4 + 1;
}

/* Clocks that are apart and stay so, which is what time to live is promised
 * for; beside it steady clocks are right, and wall clocks do not jump. */
static void
draw_skew(struct dyn_swarm *self, dice d)
{
	uint32_t skew_ms_max = sometimes(d, 60, 1000, DYN_CLOCKS_APART_MS);

	if (self->ttl_ms == 0 || skew_ms_max == 0)
		return;
	self->skew_ms_max = skew_ms_max;
	self->wall_period_ms = 0;
	self->clock_slowest = self->clock_fastest = 1000;
}

/* Clients that act as the extension, in most runs, and what makes their
 * attempts late: processes that stand still, kernels that go on, connections
 * that break, cuts beyond what anybody remembers. */
static void
draw_attempts(struct dyn_swarm *self, dice d)
{
	bool long_ones = between(d, 0, 3) == 0;

	self->extension_rate = sometimes(d, 85, 300000, 1000000);
	if (between(d, 0, 1) == 0 && self->extension_rate != 0)
		self->extension_rate = 1000000;
	self->follow_rate = sometimes(d, 90, 100000, 900000);
	self->two_rate = between(d, 0, 3) ? 50000 : between(d, 100000, 600000);
	self->retransmit_rate = sometimes(d, 60, 100000, 1000000);
	self->sever_rate = sometimes(d, 40, 1000, 50000);
	self->socket_frames = between(d, 0, 9) ? 10000 : between(d, 1, 50);
	self->halt_period_ms = sometimes(d, 70, 3000, 60000);
	self->halt_ms_max = between(d, 2000, 10000);
	self->drift_ppm = sometimes(d, 50, 1, 400);
	if (self->skew_ms_max != 0)
		self->drift_ppm = 0;
	if (!long_ones)
		return;
	self->halt_ms_max = between(d, 10000, 120000);
	self->pause_ms_max = between(d, 10000, 120000);
	self->partition_ms_max = between(d, 40000, 120000);
}

void
dyn_swarm_draw(struct dyn_swarm *self, uint64_t seed)
{
	/* A stream for each part: what is added to one leaves the others. */
	struct dyn_simrandom cluster = dyn_simrandom_stream(seed, 0x636c7573);
	struct dyn_simrandom load = dyn_simrandom_stream(seed, 0x6c6f6164);
	struct dyn_simrandom network = dyn_simrandom_stream(seed, 0x6e657477);
	struct dyn_simrandom nodes = dyn_simrandom_stream(seed, 0x6e6f6465);
	struct dyn_simrandom stores = dyn_simrandom_stream(seed, 0x73746f72);
	struct dyn_simrandom bucket = dyn_simrandom_stream(seed, 0x6275636b);
	struct dyn_simrandom reap = dyn_simrandom_stream(seed, 0x72656170);
	struct dyn_simrandom heads = dyn_simrandom_stream(seed, 0x68656164);
	struct dyn_simrandom newer = dyn_simrandom_stream(seed, 0x6e657765);
	struct dyn_simrandom memory = dyn_simrandom_stream(seed, 0x6d656d6f);
	struct dyn_simrandom hints = dyn_simrandom_stream(seed, 0x68696e74);
	struct dyn_simrandom skew = dyn_simrandom_stream(seed, 0x736b6577);
	struct dyn_simrandom attempts = dyn_simrandom_stream(seed, 0x61747470);

	dyn_swarm_calm(self);
	draw_cluster(self, &cluster);
	draw_load(self, &load);
	draw_network(self, &network);
	draw_nodes(self, &nodes);
	draw_stores(self, &stores);
	/* What only the copy has taken goes with it: a second disk at least must
	 * have it. */
	if (self->w < 2 || self->own_quorum_rate > 0)
		self->clone_period_ms = 0;
	/* A store is filled from as many others as the cluster's w needs. */
	if (self->empty_period_ms > 0 || self->rollback_period_ms > 0)
		self->own_quorum_rate = 0;
	draw_memory(self, &memory);
	/* What nobody finds keeps others from being read. */
	if (self->scrub_ms > 0)
		self->head_rate = sometimes(&heads, 60, 100000, 1000000);
	self->lww = sometimes(&bucket, 20, 1, 1);
	self->ttl_ms = sometimes(&bucket, 15, 2000, 120000);
	draw_skew(self, &skew);
	self->reap_ms = sometimes(&reap, 80, 300, 6000);
	/* What one owner could not remove comes back to the others, or stays. */
	if (self->anti_entropy_ms == 0)
		self->reap_ms = 0;
	self->grace_ms = between(&reap, 0, 2) ? between(&reap, 1, 3000)
										  : between(&reap, 3000, 60000);
	self->newer = sometimes(&newer, 20, 1, (1U << DYN_SIM_ENDPOINTS_MAX) - 1);
	self->unknown_rate = sometimes(&newer, 50, 100, 50000);
	self->hints_max = sometimes(&hints, 25, 1, 20);
	draw_attempts(self, &attempts);
}
