/*-------------------------------------------------------------------------
 *
 * swarm.h
 *      The parameters of one run, drawn from its seed.
 *
 * Each seed turns some faults on and others off ("swarm testing"): a run with
 * all of them at once hides what only shows when one is missing.
 *
 * All parameters are numbers with names, so that a command line can set them
 * and shrink.c can take them away one after the other: a failing run is fully
 * told by its seed and the parameters that are not those of a calm run.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_SWARM_H
#define DYN_TESTS_SWARM_H

#include <stdbool.h>
#include <stdint.h>

/* X(name, value of a calm run).  Rates are of a million, periods are means,
 * 0 = never. */
#define DYN_SWARM_MAP(X)                                                       \
	/* cluster */                                                              \
	X(node_count, 3)                                                           \
	X(n, 3)                                                                    \
	X(r, 2)                                                                    \
	X(w, 2)                                                                    \
	X(partition_count, 8)                                                      \
	X(hedge_ms, 30)                                                            \
	X(heartbeat_ms, 300)                                                       \
	X(anti_entropy_ms, 0) /* 0 = never */                                      \
	X(scrub_ms, 0)        /* 0 = never */                                      \
	X(reap_ms, 0)         /* 0 = never */                                      \
	X(grace_ms, 1000)     /* how long what is deleted is kept */               \
	X(request_timeout_ms, 5000)                                                \
	X(requests_max, 0)                                                         \
	X(keys_max, 0)                                                             \
	X(bytes_max, 0)                                                            \
	X(memory_max, 0)                                                           \
	X(load_bytes_max, 0)                                                       \
	X(hints_max, 0)   /* of each node; 0 = the default */                      \
	X(value_limit, 0) /* of the cluster; 0 = the default */                    \
	X(lww, 0)         /* the bucket's policy: the last write wins */           \
	X(ttl_ms, 0)      /* the bucket's time to live */                          \
	/* load */                                                                 \
	X(duration_ms, 60000)                                                      \
	X(client_count, 0)                                                         \
	X(key_count, 16)                                                           \
	X(think_ms, 500)                                                           \
	X(actions_max, 0) /* of all clients together; 0 = no bound */              \
	X(hot_rate, 0)    /* operations that go to the first key */                \
	X(blind_rate, 0)  /* writes without a context */                           \
	X(stale_rate, 0)  /* writes with an old context */                         \
	X(row_rate, 0)    /* contexts that are one row's */                        \
	X(delete_rate, 0)                                                          \
	X(mode_rate, 0)       /* CREATE, GUARDED, REPLACE */                       \
	X(write_rate, 500000) /* actions that write */                             \
	X(scan_rate, 0)       /* reads that are scans */                           \
	X(direct_rate, 0)     /* reads that ask R owners themselves */             \
	X(batch_max, 1)                                                            \
	X(value_size_max, 64)                                                      \
	X(big_rate, 0)   /* values near the cluster's limit, or beyond it */       \
	X(retry_rate, 0) /* attempts that are followed by another */               \
	X(late_retry_rate, 0)                                                      \
	X(abandon_rate, 0)    /* clients that hang up before the answer */         \
	X(own_quorum_rate, 0) /* requests with an R or W of their own */           \
	X(two_rate, 50000)    /* puts of two values */                             \
	X(extension_rate, 0)  /* clients that act as the extension (simext.h) */   \
	X(follow_rate, 0)     /* writes whose client replaces them at once */      \
	/* network */                                                              \
	X(delay_ms_min, 0)                                                         \
	X(delay_ms_max, 2)                                                         \
	X(tail_ms_max, 100)                                                        \
	X(tail_rate, 0)                                                            \
	X(drop_rate, 0)                                                            \
	X(duplicate_rate, 0)                                                       \
	X(damage_rate, 0)                                                          \
	X(reorder, 0)      /* frames of one connection may overtake each other */  \
	X(newer, 0)        /* bits by endpoint: who runs a later version */        \
	X(unknown_rate, 0) /* frames of theirs beside which stands an unknown */   \
	X(clog_period_ms, 0)                                                       \
	X(clog_ms_max, 1000)                                                       \
	X(flap_period_ms, 0)                                                       \
	X(partition_period_ms, 0)                                                  \
	X(partition_ms_max, 5000)                                                  \
	X(partition_shapes, 0) /* bits by enum dyn_shape; 0 = all */               \
	X(retransmit_rate, 0)  /* cut connections whose kernels go on trying */    \
	X(sever_rate, 0)       /* puts behind which the connection breaks */       \
	X(socket_frames, 0) /* wait for a stopped process; 0 = each by itself */   \
	/* nodes */                                                                \
	X(crash_period_ms, 0)                                                      \
	X(crash_all_period_ms, 0)                                                  \
	X(snipe_period_ms, 0) /* crash just when something leaves the core */      \
	X(storm_period_ms, 0) /* restarts, one after the other */                  \
	X(down_ms_max, 1000)                                                       \
	X(pause_period_ms, 0)                                                      \
	X(pause_ms_max, 1000)                                                      \
	X(halt_period_ms, 0) /* pauses and cuts just when a put is under way */    \
	X(halt_ms_max, 5000)                                                       \
	X(clock_slowest, 1000) /* monotonic clocks run at so many per mille */     \
	X(clock_fastest, 1000)                                                     \
	X(drift_ppm, 0)      /* ... and are off by so many millionths */           \
	X(wall_period_ms, 0) /* wall clocks jump */                                \
	X(wall_jump_s, 3600)                                                       \
	X(skew_ms_max, 0) /* ... or are apart by so much, all the time */          \
	/* stores */                                                               \
	X(lmdb, 0) /* they are LMDB's, beside the model (simreal.h) */             \
	X(commit_ms_max, 3)                                                        \
	X(read_ms_max, 1)                                                          \
	X(slow_ms_max, 50)                                                         \
	X(slow_rate, 0)                                                            \
	X(disk_sync_ms, 0)      /* the modelled disk (simstore.h) */               \
	X(disk_bytes_per_ms, 0) /* 0 = diced latencies instead */                  \
	X(abort_rate, 0)                                                           \
	X(io_error_rate, 0)                                                        \
	X(full_period_ms, 0)                                                       \
	X(full_ms_max, 1000)                                                       \
	X(fail_period_ms, 0) /* the disk fails: the node stops */                  \
	X(damage_period_ms, 0)                                                     \
	X(head_rate, 0)          /* damage that spares no head */                  \
	X(empty_period_ms, 0)    /* a store is lost */                             \
	X(rollback_period_ms, 0) /* an older copy of a store comes back */         \
	X(clone_period_ms, 0)    /* a second node from a copy of a store */        \
	/* of all strikes together; 0 = no bound */                                \
	X(strikes_max, 0)

struct dyn_swarm
{
#define DYN_SWARM_FIELD(name, calm) uint32_t name;
	DYN_SWARM_MAP(DYN_SWARM_FIELD)
#undef DYN_SWARM_FIELD
};

void dyn_swarm_draw(struct dyn_swarm *self, uint64_t seed);

/* A calm cluster of three: scenarios, and what shrinking leads to. */
void dyn_swarm_calm(struct dyn_swarm *self);

/* ---- by number, in the order of the list ---- */

uint32_t dyn_swarm_count(void);
const char *dyn_swarm_name(uint32_t index);
uint32_t *dyn_swarm_value(struct dyn_swarm *self, uint32_t index);

/* "name=1,other=2". False (and what is wrong, in `why`) when it is not. */
bool dyn_swarm_set(struct dyn_swarm *self, const char *text, char *why,
				   uint32_t why_size);

/* What differs from a calm run, in the form of dyn_swarm_set. */
void dyn_swarm_print(const struct dyn_swarm *self, char *text, uint32_t size);

/* Can such a cluster exist? */
bool dyn_swarm_is_sound(const struct dyn_swarm *self);

#endif
