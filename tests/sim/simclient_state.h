/*-------------------------------------------------------------------------
 *
 * simclient_state.h
 *      The memory of a client, shared by simclient.c, simread.c, simsync.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_SIMCLIENT_STATE_H
#define DYN_TESTS_SIMCLIENT_STATE_H

#include "model/object.h"
#include "model/scan_merge.h"
#include "model/wall.h"
#include "tests/sim/simrequest.h"

/* What a client remembers of its last read of a key. */
struct dyn_memory
{
	bool used;
	uint32_t op; /* of the history */
	uint64_t at_ms;
	uint8_t *context; /* encoded, of the whole object */
	uint32_t context_size;
	struct dyn_vids vids;
	uint8_t *row; /* encoded clock of one row */
	uint32_t row_size;
	uint32_t row_vid;
	bool has_row;
};

enum dyn_action_kind
{
	DYN_ACTION_NONE,
	DYN_ACTION_HELLO,
	DYN_ACTION_PUT,
	DYN_ACTION_OWN_PUT, /* simext.h */
	DYN_ACTION_GET,
	DYN_ACTION_DIRECT, /* R replicas, one object and hashes */
	DYN_ACTION_SCAN
};

struct dyn_action
{
	enum dyn_action_kind kind;
	uint32_t keys[DYN_SIM_BATCH_MAX];
	uint32_t ops[DYN_SIM_BATCH_MAX * 4];
	uint32_t count;
	bool decided[DYN_SIM_BATCH_MAX];
	uint32_t attempt_count;
	uint64_t correlations[DYN_REPLICAS_MAX]; /* awaited */
	uint8_t own_r;                           /* of a GET; 0 = the cluster's */
	bool late;                               /* a retry of what was finished */
	bool abandoned;                          /* hangs up when the timer comes */

	/* DIRECT, SCAN: the owners asked */
	uint32_t owners[DYN_REPLICAS_MAX];
	uint8_t owner_count;
	uint8_t answer_count;
	bool differs;
	uint64_t hash;
	enum dyn_status status;
	struct dyn_slice object;

	struct dyn_arena arena; /* answers kept until the action ends */
	struct dyn_scan_merge merge;
	uint16_t cell_first;
	uint16_t cell_last;
	uint8_t waiting_for; /* stream whose page is on its way */
	uint32_t page_size;
	/* SCAN that compares trees first, from this stream on */
	bool comparing;
	uint8_t first_heard;
	uint8_t heard_count;
	const uint64_t *hashes[DYN_REPLICAS_MAX];
	struct dyn_scan_item *first_items; /* the first page of stream 0 */
	uint32_t first_count;
	bool first_ended;
	/* cells that a stream is asked for */
	uint16_t run_first[DYN_REPLICAS_MAX];
	uint16_t run_last[DYN_REPLICAS_MAX];
};

/* ---- of a client that acts as the extension (simext.h) ---- */

struct dyn_simext_node
{
	bool is_up;   /* it has said WELCOME on this connection */
	bool greeted; /* HELLO is on its way */
	uint64_t greeted_ms;
	uint64_t process;
	uint64_t clock_ms; /* as it told it ... */
	uint64_t told_ms;  /* ... at this time */
	uint64_t suspect_until_ms;
	uint64_t refused_since_ms; /* it has no room since; 0 = it takes */
	uint64_t not_before_ms;
	uint64_t pause_ms;
};

/* One write of the action, as PutState in fdw/client_put.h. */
struct dyn_simext_put
{
	uint16_t partition;
	uint8_t tried; /* slots */
	uint8_t late;  /* times in a row that a node said LATE */
	int8_t slot;   /* of the present attempt; -1 = with no owner */
	uint8_t round; /* so often all owners were tried */
	bool handed_on;
	bool checked; /* by its mode, against what is there */
	bool was_lost;
	bool was_retried; /* ... one that was marked */
	bool done;
	bool queued;
	uint64_t first_sent_ms; /* of those that may have acted; 0 = none */
	uint64_t not_before_ms; /* no round begins too early */
};

struct dyn_simext_frame
{
	uint64_t correlation; /* 0 = free */
	uint32_t node;
	uint32_t indexes[DYN_SIM_BATCH_MAX];
	uint32_t count;
	uint64_t give_up_ms;
};

enum dyn_follow
{
	DYN_FOLLOW_NOT,
	DYN_FOLLOW_READ, /* what was just written is read, ... */
	DYN_FOLLOW_WRITE /* ... then replaced */
};

struct dyn_simclient
{
	uint32_t index;
	struct dyn_simrandom random;
	struct dyn_attempts attempts;
	struct dyn_memory *memories; /* by key */
	struct dyn_action action;
	uint64_t timer; /* serial of the valid one */
	bool has_ring;
	struct dyn_ring ring;
	uint32_t diverged[DYN_SIM_BATCH_MAX]; /* SCAN: keys to be read again */
	uint32_t diverged_count;
	uint16_t after_cell[DYN_REPLICAS_MAX]; /* SCAN: cursors of the streams */
	struct dyn_slice after_key[DYN_REPLICAS_MAX];
	uint32_t recent[8]; /* writes, for late retries */
	uint32_t recent_count;

	/* simview.c */
	struct dyn_told_view told[DYN_SIM_NODES_MAX];
	int64_t wall_offset_ms;

	/* simext.h */
	bool is_extension;
	uint32_t pid;
	uint32_t turn;
	enum dyn_follow follow;
	uint32_t follow_key;
	uint64_t follow_ms;
	struct dyn_simext_node nodes[DYN_SIM_NODES_MAX];
	struct dyn_simext_put puts[DYN_SIM_BATCH_MAX]; /* by place in the action */
	struct dyn_simext_frame frames[DYN_SIM_BATCH_MAX];
	uint32_t timeout_ms; /* without any progress */
	uint64_t put_deadline_ms;
	uint64_t resume_at_ms;
	uint64_t leave_at_ms;

	/* simsync.c */
	uint64_t awaited;
	bool done;
	struct dyn_sim_result *result;
	struct dyn_arena result_arena;
};

struct dyn_simclient *dyn_simclient_of(struct dyn_world *world, uint32_t index);
void dyn_simclient_timer(struct dyn_world *world, struct dyn_simclient *self,
						 uint64_t ms);
/* The timer of an answer; perhaps the client will not wait that long. */
void dyn_simclient_await(struct dyn_world *world, struct dyn_simclient *self,
						 uint64_t ms);
void dyn_simclient_rest(struct dyn_world *world, struct dyn_simclient *self);
uint32_t dyn_simclient_some_node(struct dyn_world *world,
								 struct dyn_simclient *self);

/* simread.c */
void dyn_simread_get(struct dyn_world *world, struct dyn_simclient *self);
void dyn_simread_direct(struct dyn_world *world, struct dyn_simclient *self);
void dyn_simread_take(struct dyn_world *world, struct dyn_simclient *self,
					  const struct dyn_envelope *env,
					  const ProtobufCMessage *body);
void dyn_simread_end(struct dyn_world *world, uint32_t op,
					 enum dyn_history_result result);

/* R owners of the partition, in the action; false when the client knows none. */
bool dyn_simread_owners(struct dyn_world *world, struct dyn_simclient *self,
						uint16_t partition);

/* No answer in time: another way, or no more. */
void dyn_simread_late(struct dyn_world *world, struct dyn_simclient *self);

/* No answer in time: what was begun is UNKNOWN. */
void dyn_simread_give_up(struct dyn_world *world, struct dyn_simclient *self);

/* Write down what an encoded object shows: into the history (op), the
 * client's memory. False when it is malformed. */
/* What an answer stood on: fallbacks do not count towards a strict quorum. */
void dyn_sim_note_receipt(struct dyn_world *world, uint32_t op,
						  const Dyn__Receipt *receipt);

bool dyn_simread_note(struct dyn_world *world, struct dyn_simclient *self,
					  uint32_t key, uint32_t op, struct dyn_slice object);

/* simscan.c */
void dyn_simscan_begin(struct dyn_world *world, struct dyn_simclient *self);
void dyn_simscan_take(struct dyn_world *world, struct dyn_simclient *self,
					  const Dyn__ScanReply *reply);

/* simsync.c */
void dyn_simsync_take(struct dyn_world *world, struct dyn_simclient *self,
					  const struct dyn_envelope *env,
					  const ProtobufCMessage *body);

#endif
