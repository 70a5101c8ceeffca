/*-------------------------------------------------------------------------
 *
 * righand.h
 *      What a unit test does to its cores, asks of them, and counts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_RIGHAND_H
#define DYN_TESTS_RIGHAND_H

#include "corerig.h"

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
