/*-------------------------------------------------------------------------
 *
 * coord_read.h
 *      Ask owners of a key for their objects until enough have answered.
 *
 * Used by a coordinated get, and by puts that must know what is there.
 * `needed` owners are asked, this node first when it is one; another one at
 * once when one is lost or cannot answer, and one more after each hedge
 * delay.  Only an owner's word that it has no record counts as "absent"; a
 * damaged record counts as no answer.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_COORD_READ_H
#define DYN_CORE_COORD_READ_H

#include "core/quorum.h"
#include "core/request.h"
#include "core/state.h"

struct dyn_read
{
	struct dyn_slice key;                    /* in the request's arena */
	const struct dyn_request_id *request_id; /* do they remember it? */
	uint16_t partition;
	struct dyn_quorum quorum;
	bool decided;
	bool remembered;
	uint8_t asked;           /* slots */
	uint8_t damaged;         /* slots whose record is unreadable */
	enum dyn_status failure; /* of the latest slot that could not answer */
	/* By slot, encoded, in the request's arena; size 0 = absent there. */
	struct dyn_slice objects[DYN_REPLICAS_MAX];
};

/* Fill in key and request_id before.  The outcome goes to dyn_get_read or
 * dyn_put_read (by the request's type), maybe at once. */
void dyn_read_begin(struct dyn_node *node, struct dyn_request *request,
					uint32_t op, uint16_t partition, uint8_t needed);

/* What all that answered know together, in the request's arena; size 0 when
 * nobody has a record. BAD_REQUEST when an answer is malformed. */
enum dyn_status dyn_read_merge(struct dyn_request *request,
							   const struct dyn_read *self,
							   struct dyn_slice *merged);

/* Bring the owners that answered up to the merged object. */
void dyn_read_repair(struct dyn_node *node, struct dyn_request *request,
					 const struct dyn_read *self, struct dyn_slice merged);

void dyn_read_answer(struct dyn_node *node, struct dyn_request *request,
					 uint32_t op, uint8_t slot, enum dyn_status status,
					 struct dyn_slice object, bool remembered);
void dyn_read_loaded(struct dyn_node *node, struct dyn_request *request,
					 uint32_t op, uint8_t slot,
					 const struct dyn_loaded *record);
/* status OK = nothing is known. */
void dyn_read_lost(struct dyn_node *node, struct dyn_request *request,
				   uint32_t op, uint8_t slot, enum dyn_status status);
void dyn_read_hedge(struct dyn_node *node, struct dyn_request *request);

#endif
