/*-------------------------------------------------------------------------
 *
 * corerig.h
 *      A few cores in one process, with simple stores, for unit tests.
 *
 * Frames and completions arrive one millisecond after they were sent, in the
 * order of sending; nothing is lost but what a test takes away.  What a test
 * may do to them is in righand.h and rigdisk.h, their stores are rigstore.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_CORERIG_H
#define DYN_TESTS_CORERIG_H

#include "core/node.h"
#include "core/state.h"
#include "model/message.h"
#include "rigstore.h"

enum
{
	CORERIG_NODES_MAX = 4,
	CORERIG_TYPES = 40,
	CORERIG_CLIENT_ROUTE = 1 /* of the test's own messages */
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

/* One event, now. */
void corerig_step(struct corerig *rig, uint32_t node,
				  const struct dyn_event *event);

/* ---- for rigdisk.c and righand.c ---- */

/* What is on its way to it is lost. */
void corerig_forget(struct corerig *rig, uint32_t node);

/* The node will hear that this connection of its own stands, or broke. */
void corerig_connection(struct corerig *rig, uint32_t node, uint32_t peer_index,
						bool up);

/* A node in this place, which has none; `as`: with this node-id, or NULL. */
void corerig_boot(struct corerig *rig, uint32_t node,
				  const struct dyn_boot *boot, const struct dyn_node_id *as);

#endif
