/*-------------------------------------------------------------------------
 *
 * state.h
 *      The memory of one node, shared by the modules of core/.
 *
 * Each module owns the part that stands under its name; the others read it,
 * and change it through the module's functions only.  The last part lives
 * for one step: what it gathers (writes, loads, frames to each peer) becomes
 * one effect each at the step's end, so a batch stays a batch.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_STATE_H
#define DYN_CORE_STATE_H

#include "core/building.h"
#include "core/counters.h"
#include "core/credit.h"
#include "core/detector.h"
#include "core/fence.h"
#include "core/load.h"
#include "core/memory.h"
#include "core/node.h"
#include "core/progress.h"
#include "core/random.h"
#include "core/reap.h"
#include "core/remember.h"
#include "core/scrub.h"
#include "core/skew.h"
#include "core/timer.h"
#include "core/verified.h"
#include "core/walk.h"
#include "model/bucket.h"
#include "model/object.h"

struct dyn_batch;
struct dyn_call;
struct dyn_commit;
struct dyn_descent;
struct dyn_key;
struct dyn_load;
struct dyn_request;

enum
{
	DYN_PEERS_MAX = 4 * DYN_MEMBERS_MAX, /* addresses, old ones included */
	DYN_PEER_SELF = -1,
	DYN_PEER_NONE = -2,
	DYN_CALLS_MAX = 65536,                  /* frames awaiting answers */
	DYN_BATCH_BYTES_MAX = 8 * 1024 * 1024,  /* of one frame to a peer */
	DYN_REPLY_BYTES_MAX = 32 * 1024 * 1024, /* of objects in one answer */
	DYN_READS_AT_ONCE = 64,                 /* keys of one GET or READ */
	DYN_SCAN_ITEMS_MAX = 4096,              /* one page, and its default */
	DYN_SCAN_BYTES_MAX = 8 * 1024 * 1024,
	DYN_SCAN_BYTES_DEFAULT = 1024 * 1024
};

/* How far a walk through the hints for one peer has come. */
struct dyn_hint_cursor
{
	bool active;
	bool seen; /* anything, since it began */
	uint16_t partition;
	struct dyn_walk place;
};

/* What is being copied from a peer (filling.c). */
struct dyn_filling
{
	uint64_t serial; /* of the page under way; 0 = none */
	bool active;     /* in the midst of a partition */
	bool left_out;   /* something in it could not be read, or taken */
	uint16_t partition;
	uint32_t turn; /* of the partition's building when it began */
	struct dyn_walk place;
	uint32_t items_max; /* of the next page */
};

/* Somewhere another node may listen. */
struct dyn_peer
{
	uint64_t bucket_digest; /* as its last heartbeat told */
	char address[DYN_ADDRESS_SIZE_MAX + 1];
	struct dyn_node_id id; /* once identified */
	uint64_t process;      /* who answers there, of those with one id */
	uint64_t clock_ms;     /* its clock, as it last told; 0 = it has not */
	uint64_t clock_at_ms;  /* ... when that was heard */
	bool connected;        /* both sockets stand */
	bool identified;       /* it told who it is on this connection */
	bool formed;           /* it knows our cluster */
	bool stranger;         /* another cluster or protocol, or myself */
	bool rebuilding;       /* a new store in the place of a member's */
	bool writable;         /* its store takes writes */
	bool silent;           /* what was under way there is given up */
	struct dyn_detector detector;
	uint64_t ring_digest; /* as its last heartbeat told */
	uint64_t credit;      /* bytes of background work it takes at a time */
	uint64_t sending;     /* ... that are on their way there */
	uint64_t sending_max; /* the credit under which these left */
	uint64_t granted;     /* bytes that it may have on their way here */
	bool wants;           /* it has some to bring */
	uint64_t handoff;     /* serial of the slice under way to it; 0 = none */
	struct dyn_hint_cursor hint_cursor;
	uint32_t hint_walks; /* partitions looked at since the last heartbeat */
	struct dyn_filling filling;
	struct dyn_skew skew;
};

struct dyn_cluster
{
	bool formed;      /* what follows holds, and is on disk */
	uint64_t storing; /* token of the commit that will form it; 0 = none */
	char name[64];
	uint8_t n;
	uint8_t r;
	uint8_t w;
	uint32_t value_size_max;
	struct dyn_ring ring;
	uint64_t ring_digest;
	uint64_t tag;                         /* in envelopes */
	uint64_t members_digest;              /* of their ids */
	uint8_t *slot_member;                 /* Q x N: index of its member */
	int32_t member_peer[DYN_MEMBERS_MAX]; /* peer index, or SELF, NONE */
	/* By partition, made when first asked for: members in their order,
	 * DYN_MEMBERS_MAX at the end. */
	uint8_t **fallbacks;
	uint32_t fallback_lists;
};

/* What is known of the table of hints without reading it. */
struct dyn_hints
{
	uint64_t count;   /* records on disk */
	uint64_t writing; /* operations on some whose commit is under way */
	/* By partition, bits by slot (handoff.c). */
	uint8_t *pending;  /* may it hold some for the slot? */
	uint8_t *walked;   /* a walk began, and nothing was written since */
	uint64_t *rest_ms; /* until then it is left alone */
};

/* Of later lives than others know of (identity.c). */
struct dyn_claims
{
	uint32_t count; /* at a stretch */
	uint32_t max;
	uint64_t latest_ms;
};

/* What may be under way at a time (room.c). */
struct dyn_room
{
	uint32_t put_count; /* coordinated here and undecided */
	uint32_t put_limit; /* of these; moves */
	uint32_t in_time;   /* puts decided since it grew */
	uint64_t cut_ms;    /* when it was halved */
	uint64_t put_bytes; /* what these hold, here and on each other owner */
	uint64_t key_bytes; /* objects in the key table and in its commits */
	size_t held_bytes;  /* memory of all requests, those of this step, too */
};

struct dyn_node
{
	struct dyn_node_config config; /* strings live in boot_arena */
	struct dyn_arena boot_arena;
	struct dyn_random random;
	uint64_t started_at_ms;
	uint64_t counters[DYN_COUNTER_COUNT];

	/* identity.c: who I am */
	struct dyn_node_id id;
	uint64_t store_generation;
	uint64_t start_count;
	uint64_t quiet_until_ms; /* is another process the same node? */
	struct dyn_claims claims;
	uint64_t identity_token; /* of the commit that stores it; 0 = none */
	bool identity_stored;

	/* formation.c, cluster_record.c, cluster.c: what I belong to */
	bool told_outside; /* that a member of this address is known */
	struct dyn_cluster cluster;

	struct dyn_building building;
	struct dyn_progress progress;

	/* bucket.c */
	struct dyn_buckets *buckets;
	uint64_t bucket_digest;
	struct
	{
		uint64_t token; /* of its commit; 0 = none is being made */
		uint64_t route;
		uint64_t correlation;
		struct dyn_bucket bucket;
	} bucket_change;

	/* peer.c */
	struct dyn_peer *peers[DYN_PEERS_MAX];
	uint32_t peer_count;
	uint64_t heartbeat_at_ms;

	struct dyn_scrub scrub;

	/* handoff.c: objects held for others */
	struct dyn_hints hints;
	struct dyn_credit credit;

	/* fence.c: what is too old to be taken */
	struct dyn_fence fence;

	/* put_object.c: who makes dots (model/types.h) */
	uint64_t start_id;
	uint64_t epoch_next;
	uint64_t epoch_floor; /* keys whose epoch is lower get a fresh one */
	bool writable;
	bool records_due; /* own ones: their commit was aborted */
	struct dyn_remember remember;

	/* room.c */
	struct dyn_room room;

	/* request.c */
	struct dyn_request *requests;
	uint32_t request_count;
	uint64_t serial_next;
	struct dyn_timers request_timers;

	/* call.c */
	struct dyn_call *calls;
	uint32_t call_count;
	uint64_t correlation_next;
	struct dyn_timers call_timers;

	/* key_table.c */
	struct dyn_key *keys;
	uint32_t key_count;

	/* commit.c, load.c */
	struct dyn_commit *commits;
	struct dyn_load *loads;
	/* By view: at most one is under way; what is asked for meanwhile goes with
	 * the next one. */
	struct dyn_load *open_loads[DYN_LOAD_VIEW_COUNT];
	bool is_loading[DYN_LOAD_VIEW_COUNT];
	uint64_t token_next;

	/* reap.c */
	struct dyn_reap reap;

	/* exchange.c, verified.c */
	struct dyn_descent *descents[DYN_PEERS_MAX]; /* by peer; NULL = not mine */
	bool exchange_asked;                         /* by an operator, ever */
	uint64_t mending; /* serial of a read that mends damaged records */
	struct dyn_verified *verified; /* Q x N; NULL = nothing yet */

	/* of the present step */
	uint64_t now_ms;
	uint64_t wall_ms;
	struct dyn_effects *out;
	struct dyn_arena scratch;
	struct dyn_request *ended; /* to be freed at its end */
	struct dyn_batch *batches; /* frames to peers, being filled */
	uint32_t batch_count;
	uint32_t batch_capacity;
	struct dyn_commit *open_commit;
};

/* What the node tells as its clock (messages.proto: Welcome). */
static inline uint64_t
dyn_node_clock_ms(const struct dyn_node *node)
{
	return node->now_ms - node->started_at_ms;
}

#define dyn_count(node, name) ((node)->counters[DYN_COUNT_##name]++)

/* Memory that effects may point to. */
static inline const struct dyn_allocator *
dyn_out_allocator(struct dyn_node *node)
{
	return &node->out->arena.allocator;
}

void dyn_log(struct dyn_node *node, enum dyn_log_level level, const char *text);

#endif
