/*-------------------------------------------------------------------------
 *
 * workload.h
 *      What the clients do: read a key, think, write it with what was read.
 *
 * A client has one operation at a time.  Its writes stand on what it has
 * read of the key before (all siblings, or one row's clock), on nothing, or
 * they check or replace (CREATE, GUARDED, REPLACE); some are deletes.  Reads
 * are coordinated GETs, or go to R owners directly as the extension's do.  A
 * write without an answer may be sent again to another node; each attempt says
 * until when it may act, by the clock that the node has told.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_FAULT_WORKLOAD_H
#define DYN_TESTS_FAULT_WORKLOAD_H

#include "model/object.h"
#include "tests/fault/journal.h"
#include "tests/fault/links.h"
#include "tests/sim/simrandom.h"

enum
{
	DYN_STATUSES_MAX = 32,
	DYN_GRACE_US = 300 * 1000 /* for an answer to arrive after its deadline */
};

/* What a node has told last of its clock (Welcome). */
struct dyn_node_clock
{
	uint64_t process; /* 0: nothing */
	uint64_t clock_ms;
	uint64_t heard_us;
	uint64_t asked_us;
};

/* What a client remembers of its last read of a key. */
struct dyn_memory
{
	bool used;
	struct dyn_slice context; /* malloc'ed: of the whole object */
	struct dyn_tokens tokens;
	bool has_row;
	struct dyn_slice row; /* malloc'ed: the clock of one row */
	struct dyn_token row_token;
	uint64_t read_us; /* when that read began */
};

enum dyn_client_state
{
	DYN_CLIENT_THINKS,
	DYN_CLIENT_PUTS,
	DYN_CLIENT_GETS,
	DYN_CLIENT_READS /* R owners directly */
};

struct dyn_client_process
{
	uint32_t index;
	struct dyn_simrandom random;
	struct dyn_memory *memories; /* by key */
	enum dyn_client_state state;
	struct dyn_token op;
	uint32_t key;
	uint64_t due_us; /* next action, or the operation's end */

	/* PUTS */
	uint64_t begin_us; /* of a read, too */
	bool is_delete;
	enum dyn_history_mode mode;
	uint32_t fill;
	struct dyn_slice context; /* borrowed from the memory */
	uint32_t sent_count;      /* frames that may have left */
	uint32_t refused_count;   /* of these, those with a definite no */
	uint64_t correlations[DYN_REPLICAS_MAX];

	/* READS */
	uint32_t owners[DYN_REPLICAS_MAX];
	uint32_t answer_count;
	bool differs;
	uint64_t hash;
	enum dyn_status status;
	struct dyn_slice object; /* malloc'ed */
};

struct dyn_workload_stats
{
	uint64_t statuses[DYN_STATUSES_MAX]; /* of writes' answers */
	uint64_t acknowledged;
	uint64_t refused;
	uint64_t unknown;
	uint64_t reads;
	uint64_t reads_failed;
	uint64_t receipts_short; /* good answers that name fewer than W or R */
	uint64_t last_ack_us;
	uint64_t gap_us_max; /* without any acknowledged write */
	uint32_t *latencies_us;
	uint32_t latency_count;
	uint32_t latency_capacity;
};

struct dyn_workload
{
	struct dyn_links links;
	struct dyn_ring ring;
	bool has_ring;
	struct dyn_node_clock clocks[DYN_LINKS_MAX];
	FILE *journal;
	uint32_t key_count;
	uint32_t n;
	uint32_t r;
	uint32_t w;
	uint32_t fill_max;
	uint32_t large;   /* one value in so many has up to fill_max bytes */
	uint32_t deletes; /* per cent of the writes that stand on a read */
	uint32_t think_us;
	struct dyn_client_process *clients;
	uint32_t client_count;
	uint64_t correlation;
	bool ending; /* nothing new is begun */
	struct dyn_workload_stats stats;
};

void dyn_workload_init(struct dyn_workload *self, uint64_t seed);
void dyn_workload_destroy(struct dyn_workload *self);

/* An answer of a node (dyn_links_take). */
void dyn_workload_take(void *workload, uint32_t node,
					   const struct dyn_envelope *env,
					   const ProtobufCMessage *body);

/* What is due; returns when to come again. */
uint64_t dyn_workload_tick(struct dyn_workload *self, uint64_t now_us);

/* Does nobody wait for an answer? */
bool dyn_workload_is_idle(const struct dyn_workload *self);

/* ---- between workload.c and workload_read.c ---- */

bool dyn_client_chance(struct dyn_client_process *self, uint32_t per_million);
uint32_t dyn_client_below(struct dyn_client_process *self, uint32_t bound);
uint32_t dyn_workload_some_node(struct dyn_workload *self,
								struct dyn_client_process *client);

/* The operation is over: think. */
void dyn_workload_rest(struct dyn_workload *self,
					   struct dyn_client_process *client);

/* A good answer rests on a quorum, of owners or stand-ins. */
void dyn_workload_check_receipt(struct dyn_workload *self,
								const Dyn__Receipt *receipt, uint32_t needed);

/* Begin to read client->key: from any node; from R owners directly. */
void dyn_workload_get(struct dyn_workload *self,
					  struct dyn_client_process *client);
void dyn_workload_read_owners(struct dyn_workload *self,
							  struct dyn_client_process *client);

void dyn_workload_take_get(struct dyn_workload *self,
						   struct dyn_client_process *client,
						   const struct dyn_envelope *env,
						   const ProtobufCMessage *body);

/* place: which of the R frames is answered. */
void dyn_workload_take_read(struct dyn_workload *self,
							struct dyn_client_process *client, uint32_t place,
							const struct dyn_envelope *env,
							const ProtobufCMessage *body);
void dyn_workload_fail_read(struct dyn_workload *self,
							struct dyn_client_process *client);

#endif
