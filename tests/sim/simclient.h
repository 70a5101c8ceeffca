/*-------------------------------------------------------------------------
 *
 * simclient.h
 *      Clients that speak real frames and write down what they see.
 *
 * A client does one thing after the other: a batch of writes, a coordinated
 * read, a direct read of R replicas, or a scan of one partition merged from R
 * owners.  What gets no answer is UNKNOWN, and is perhaps sent again to
 * another node, marked, with the same request ids; answers that come late
 * still count.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_SIMCLIENT_H
#define DYN_TESTS_SIMCLIENT_H

#include "tests/sim/world.h"

/* A write as it was sent; same number as its operation in the history. */
struct dyn_simwrite
{
	bool used;
	uint32_t key;
	struct dyn_request_id request;
	enum dyn_history_mode mode;
	struct dyn_slice context; /* encoded; owned */
	uint8_t w;                /* as sent; 0 = the cluster's */
	uint32_t attempt_count;
	uint32_t maybe_count; /* attempts without a definite no */
	uint64_t first_ms;
	uint64_t last_ms;
	bool repeated;   /* see history.h */
	bool is_bounded; /* each attempt says until when it may act */
	bool is_marked;  /* ... and the next one is a retry */
	bool is_retried; /* ... and one that was marked may have acted */
	/* ... those that are not marked, and those that are, in the world's time */
	uint64_t acts_until_ms[2];
	uint32_t read_op; /* whose context it carries; UINT32_MAX = none */
};

void dyn_simclient_new(struct dyn_world *world, uint32_t index);
void dyn_simclient_free(struct dyn_world *world, uint32_t index);

/* Its time has come (DYN_WORLD_CLIENT). */
void dyn_simclient_wake(struct dyn_world *world, uint32_t index, uint64_t what);

/* A frame came back from a node. */
void dyn_simclient_take(struct dyn_world *world, uint32_t index, uint32_t node,
						struct dyn_slice frame);

/* The connection to a node broke, and the client notices. */
void dyn_simclient_lost(struct dyn_world *world, uint32_t index, uint32_t node);

/* Does it act as the extension? */
bool dyn_simclient_is_extension(const struct dyn_world *world, uint32_t index);

/* A tagged frame was handed to a node, or doubled by the network. */
void dyn_simclient_delivered(struct dyn_world *world, uint64_t tag,
							 uint32_t node);
void dyn_simclient_doubled(struct dyn_world *world, uint64_t tag);

/* A frame between nodes was doubled: perhaps a forwarded PUT. */
void dyn_simclient_forward_doubled(struct dyn_world *world,
								   struct dyn_slice frame);

/* The writes of the PUT with this tag, in order. */
uint32_t dyn_simclient_writes(struct dyn_world *world, uint64_t tag,
							  const uint32_t **writes);

/* A node answers a correlation of this client: the writes that it was about,
 * in order; 0 when it was no PUT. */
uint32_t dyn_simclient_answered(struct dyn_world *world, uint32_t index,
								uint64_t correlation, const uint32_t **writes);

const struct dyn_simwrite *dyn_simwrite_of(const struct dyn_world *world,
										   uint32_t op);
/* Is it judged exactly? (history.h) */
bool dyn_simwrite_is_exact(const struct dyn_world *world, uint32_t op);
/* NULL when no client sent it. */
const struct dyn_simwrite *
dyn_simwrite_find(const struct dyn_world *world,
				  const struct dyn_request_id *request, uint32_t *op);

/* ---- one thing at a time, for scenarios and the end of a run ----
 * They run the world until the answer is there, or the time is up.
 */
struct dyn_sim_result
{
	enum dyn_status status;   /* TIMEOUT without an answer */
	uint32_t op;              /* in the history */
	struct dyn_vids vids;     /* reads; to be freed */
	struct dyn_slice context; /* reads: encoded; lives until the next call */
	uint32_t row_count;
};

struct dyn_sim_put
{
	uint32_t key;
	enum dyn_history_mode mode;
	uint32_t value_count;              /* 0 = delete */
	const struct dyn_sim_result *read; /* whose context it carries; or NULL */
	uint8_t w;
	bool retry; /* of retry_op, same request id */
	uint32_t retry_op;
};

struct dyn_sim_result dyn_sim_do_put(struct dyn_world *world, uint32_t node,
									 const struct dyn_sim_put *put);
struct dyn_sim_result dyn_sim_do_get(struct dyn_world *world, uint32_t node,
									 uint32_t key, uint8_t r);
void dyn_sim_result_free(struct dyn_sim_result *self);

#endif
