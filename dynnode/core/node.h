/*-------------------------------------------------------------------------
 *
 * node.h
 *      A whole node as a pure state machine.
 *
 *     step(node, event, now) -> effects
 *
 * No I/O, clock, randomness, threads or globals: time comes with the call,
 * randomness from the seed in the boot record, everything else by events.
 * Same boot record and same events give the same effects, byte for byte.
 * The same code runs under the simulator and under ZeroMQ with LMDB.
 *
 * Everything is bounded (struct dyn_node_config); what does not fit is
 * refused at once with OVERLOAD.  Bad bytes from a peer or client are answered
 * or dropped and counted, never asserted on.  Running out of memory aborts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_NODE_H
#define DYN_CORE_NODE_H

#include "core/effect.h"
#include "core/event.h"
#include "model/ring.h"
#include "model/types.h"

struct dyn_node;

#define DYN_ANTI_ENTROPY_NEVER UINT32_MAX
#define DYN_SCRUB_NEVER        UINT32_MAX
#define DYN_REAP_NEVER         UINT32_MAX

struct dyn_node_config
{
	const char *cluster_name;
	const char
		*address; /* host:port of the client socket, as others reach it */
	/* It listens at another one, so somebody else may be reached there: a copy,
	 * or this node is the copy (identity.h). */
	bool is_relayed;
	/* Founding members' addresses (this node's among them), or one entry.
	 * The first one founds: when all named answer and none belongs to a
	 * cluster yet, it makes the slot table and tells the others. */
	const char *const *seeds;
	uint32_t seed_count;
	/* A new store takes the place of this member, whose store is gone; all
	 * zero = none.  A store that is not new must be that member's. */
	struct dyn_node_id node_id;
	const char *zone;    /* "" = none */
	const char *version; /* of the program, shown in WELCOME */

	/* For the cluster when this node founds it. */
	uint8_t n;                /* 0 = min(3, seeds) */
	uint8_t r;                /* 0 = n / 2 + 1 */
	uint8_t w;                /* 0 = n / 2 + 1 */
	uint16_t partition_count; /* 0 = 256 */
	uint32_t value_size_max;  /* 0 = DYN_VALUE_SIZE_DEFAULT */

	/* Times in ms, bounds; 0 = the default in node_life.c. */
	uint32_t request_timeout_ms; /* default 5000, and the cap of deadlines */
	uint32_t hedge_ms;           /* default 50 */
	uint32_t heartbeat_ms;       /* default 500 */
	uint32_t silence_ms;         /* default 3000: the longest one believed */
	uint32_t anti_entropy_ms;    /* default 5000; or DYN_ANTI_ENTROPY_NEVER */
	uint32_t scrub_ms;           /* default 2000; or DYN_SCRUB_NEVER */
	uint32_t tombstone_grace_ms; /* default a day */
	uint32_t reap_ms;            /* default 60000; or DYN_REAP_NEVER */
	uint32_t requests_max;       /* default 4096 requests in flight */
	uint32_t keys_max;           /* default 65536 keys with work in flight;
								  * clients get their share (core/room.h) */
	uint32_t bytes_max;          /* default 256 MiB of their objects */
	uint32_t memory_max;         /* default 512 MiB of requests, and of what
								  * they have read (core/room.h) */
	uint32_t load_bytes_max;     /* default 16 MiB of records in one LOAD */
	uint32_t remembered_max;     /* default 1048576 request ids */
	uint32_t hints_max;          /* default 1048576 objects held for others */
};

/* What the shell read from the store before the node exists. */
struct dyn_boot
{
	/* Fresh from getrandom at every start of the process. */
	uint64_t start_id;
	uint64_t prng_seed;
	/* Meta records by name, as earlier STOREs to DYN_TABLE_META wrote them;
	 * none for a new store. */
	const struct dyn_meta_record *records;
	uint32_t record_count;
	bool writable;       /* false: the store is FULL */
	uint64_t hint_count; /* records of DYN_TABLE_HINTS */
};

struct dyn_meta_record
{
	struct dyn_slice name;
	struct dyn_slice value;
};

/*
 * Effects of booting (CONNECTs, the first STORE, HELLOs) go to *out.
 * BAD_REQUEST with a FATAL effect that tells why: a config that contradicts
 * the store (other cluster name), N greater than the seeds, bad limits.
 */
enum dyn_status dyn_node_new(const struct dyn_node_config *config,
							 const struct dyn_boot *boot, uint64_t now_ms,
							 struct dyn_effects *out, struct dyn_node **self);
void dyn_node_destroy(struct dyn_node **self);

/* One event.  Appends to *out; never blocks; now_ms never goes back. */
void dyn_node_step(struct dyn_node *self, const struct dyn_event *event,
				   uint64_t now_ms, struct dyn_effects *out);

/* When a TICK is wanted at the latest. */
uint64_t dyn_node_deadline(const struct dyn_node *self);

/* ---- views for shells, tests and the simulator's white box ---- */

const struct dyn_node_id *dyn_node_identity(const struct dyn_node *self);

/* The slot table, or NULL while the cluster is not formed. */
const struct dyn_ring *dyn_node_ring(const struct dyn_node *self);

/* Counters by index, in the order of core/counters.h; name NULL at the end. */
const char *dyn_node_counter(const struct dyn_node *self, uint32_t index,
							 uint64_t *value);

/* Requests and keys in flight: both 0 when the node is idle. */
void dyn_node_load(const struct dyn_node *self, uint32_t *requests,
				   uint32_t *keys);

/* Bytes of memory that requests hold: as the room counts them, by which it
 * refuses (core/room.h); and as they are found by looking at each of them. */
void dyn_node_memory(const struct dyn_node *self, size_t *counted,
					 size_t *found);

/* Objects that it keeps for others, on disk. */
uint64_t dyn_node_hint_count(const struct dyn_node *self);

/* Restates ARCHITECTURE.md's invariants about one node's memory by
 * assertions; tests and the simulator call it after every step. */
void dyn_node_check(const struct dyn_node *self);

#endif
