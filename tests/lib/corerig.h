/*-------------------------------------------------------------------------
 *
 * corerig.h
 *      A few cores in one process, with simple stores, for unit tests.
 *
 * Frames and completions arrive one millisecond after they were sent, in the
 * order of sending; nothing is lost but what a test takes away.  A store is a
 * sorted array of records with the leaves of the hash tree beside it; a test
 * may put records, and items of the tree without records, into it directly.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_CORERIG_H
#define DYN_TESTS_CORERIG_H

#include "core/node.h"
#include "core/state.h"
#include "model/message.h"
#include "model/tree.h"

enum
{
	CORERIG_NODES_MAX = 4,
	CORERIG_TYPES = 40,
	CORERIG_META_MAX = 8
};

struct corerig_record
{
	char *bucket;
	char *key;
	uint16_t cell;
	uint32_t leaf; /* of the tree, where it hangs, and as what */
	uint64_t item;
	uint64_t hash;
	uint64_t held_at_ms;
	uint8_t flags;
	uint8_t slots;
	bool damaged;
	uint8_t *object;
	size_t object_size;
};

struct corerig_store
{
	struct corerig_record *records; /* sorted by bucket, cell, key */
	uint32_t count;
	uint32_t capacity;
	uint64_t *leaves;
	bool stalls; /* reads are not answered */
	/* Beside its place there is damage, as long as it has no record. */
	const char *doubted;
	/* Damage, as long as there is some, stops each page that is not
	 * for_damage. */
	bool spoils;
	bool aborts; /* commits are given up */
	struct
	{
		char name[32];
		uint8_t *bytes;
		size_t size;
	} meta[CORERIG_META_MAX];
	uint32_t writes; /* of records, by STOREs */
};

struct corerig_event;

struct corerig_node
{
	char address[32];
	struct dyn_node *node;
	struct dyn_effects effects;
	int peers[CORERIG_NODES_MAX + 1]; /* node by peer index; -1 */
	struct corerig_store store;
	struct corerig_store hints; /* lost with a restart */
	struct corerig_store kept;  /* an older copy of it */
	bool cut;                   /* no frame leaves or arrives */
	uint64_t wall_ms; /* what its wall clock shows, all the time */
};

struct corerig
{
	struct corerig_node nodes[CORERIG_NODES_MAX];
	uint32_t count;
	uint8_t replicas;
	uint16_t partitions;
	uint32_t anti_entropy_ms;
	uint64_t now_ms;
	bool walls_run; /* ... or showed when now_ms was 0 */
	struct corerig_event *first;
	struct corerig_event **last;
	/* Frames sent since corerig_count_anew, by type. */
	uint64_t frames[CORERIG_TYPES];
	uint64_t bytes[CORERIG_TYPES];
	/* The body of the last STATUS_REPLY to corerig_status. */
	Dyn__StatusReply *status;
	/* The last answer to corerig_ask; NULL = none yet. */
	enum dyn_message_type reply_type;
	ProtobufCMessage *reply;
	struct dyn_arena arena; /* for the test, too */
	/* Called for each frame before it is sent; may be NULL. */
	void (*watch)(struct corerig *rig, uint32_t from,
				  enum dyn_message_type type, struct dyn_slice *frame);
	void *context;
	/* Called for each line of a log; may be NULL. */
	void (*hear)(uint32_t node, struct dyn_slice text);
};

/* A cluster that has formed, n = nodes; node 0 has the least id. */
struct corerig *corerig_new(uint32_t nodes, uint16_t partitions,
							uint32_t anti_entropy_ms);
/* The same with fewer owners than nodes. */
struct corerig *corerig_new_of(uint32_t nodes, uint8_t replicas,
							   uint16_t partitions, uint32_t anti_entropy_ms);
void corerig_free(struct corerig **rig);

void corerig_run(struct corerig *rig, uint64_t ms);

/*
 * A crash, and a start from what is on the disk; `as` = with this node-id, or
 * NULL.  What was on its way to the node is lost, and the others notice.
 */
void corerig_restart(struct corerig *rig, uint32_t node,
					 const struct dyn_node_id *as);

/* While it is down, in effect: an empty disk; a copy of the disk is made; that
 * copy takes its place. */
void corerig_empty(struct corerig *rig, uint32_t node);
void corerig_keep(struct corerig *rig, uint32_t node);
void corerig_go_back(struct corerig *rig, uint32_t node);

/* Its disk is empty, and it starts again in its own place.  It is built when
 * all partitions are filled up. */
void corerig_lose_disk(struct corerig *rig, uint32_t node);
bool corerig_is_built(const struct corerig *rig, uint32_t node);

/* One event, now. */
void corerig_step(struct corerig *rig, uint32_t node,
				  const struct dyn_event *event);

/* Nobody reaches it, or everybody does again. */
void corerig_cut(struct corerig *rig, uint32_t node, bool cut);
void corerig_full(struct corerig *rig, uint32_t node);

/* A scrub begins now, and another one so long after each. */
void corerig_scrub_every(struct corerig *rig, uint32_t node, uint32_t ms);

/* A record straight to the disk (size 0 removes it), with its tree, held since
 * what the node's wall clock shows; NULL when there is none. */
void corerig_put(struct corerig *rig, uint32_t node, const char *bucket,
				 const char *key, struct dyn_slice object);
struct corerig_record *corerig_get(struct corerig *rig, uint32_t node,
								   const char *bucket, const char *key);

/* The same of what a node keeps for these slots. */
struct corerig_record *corerig_put_hint(struct corerig *rig, uint32_t node,
										const char *bucket, const char *key,
										struct dyn_slice object, uint8_t slots);

/* Where a key stands. */
uint16_t corerig_cell(const char *bucket, const char *key);
uint16_t corerig_partition(const struct corerig *rig, const char *bucket,
						   const char *key);

/* Are all records of two nodes the same bytes, and both trees right? */
bool corerig_is_equal(const struct corerig *rig, uint32_t a, uint32_t b);

uint64_t corerig_counter(const struct corerig *rig, uint32_t node,
						 const char *name);
/* ... of all nodes. */
uint64_t corerig_sum(const struct corerig *rig, const char *name);
void corerig_count_anew(struct corerig *rig);
const Dyn__StatusReply *corerig_status(struct corerig *rig, uint32_t node);

/* A client's message; what is answered to it later is rig->reply. */
void corerig_send(struct corerig *rig, uint32_t node,
				  enum dyn_message_type type, const ProtobufCMessage *body);

/* What has been answered after a second at most, or NULL. */
const void *corerig_await(struct corerig *rig);

/* A client's message; what is answered within a second. */
const void *corerig_ask(struct corerig *rig, uint32_t node,
						enum dyn_message_type type,
						const ProtobufCMessage *body);

/* Bytes of frames that compare, and of those that repair. */
uint64_t corerig_compare_bytes(const struct corerig *rig);
uint64_t corerig_repair_bytes(const struct corerig *rig);

#endif
