/*-------------------------------------------------------------------------
 *
 * coord_read.h
 *      Ask owners of a key for their objects until enough have answered.
 *
 * Used by a coordinated get, and by puts that must know what is there.
 * `needed` owners are asked, this node first when it is one; another one at
 * once when one is lost or cannot answer, and one more after each hedge
 * delay.  Only an owner's word that it has no record counts as "absent"; a
 * damaged record counts as no answer, and is mended by what all others know,
 * also while this node's partition is BUILDING.
 *
 * A retry wants to hear of its first attempt, which any owner may be the only
 * one to remember: all owners that can be reached are asked at once, and when
 * `needed` of them know nothing the others are waited for, up to all_until_ms.
 *
 * When owners are missing, fallbacks (ring.h) are asked for what they hold for
 * others: an object found there counts for a missing owner's slot, nothing
 * found there counts for nothing.
 *
 * An object for which there is no room (room.h) ends the operation: OVERLOAD,
 * a definite no, as nothing has been sent but questions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_COORD_READ_H
#define DYN_CORE_COORD_READ_H

#include "core/call.h"
#include "core/quorum.h"
#include "core/request.h"
#include "core/state.h"

struct dyn_read
{
	struct dyn_slice key;                    /* in the request's arena */
	const struct dyn_request_id *request_id; /* do they remember it? */
	uint64_t request_mark;                   /* core/remember.h */
	uint16_t partition;
	struct dyn_quorum quorum;
	bool decided;
	bool remembered;
	uint8_t remembered_by;   /* by these slots */
	bool other;              /* ... for another write than request_mark tells */
	bool owners_only;        /* nobody may stand in */
	uint64_t all_until_ms;   /* hear all owners until then; 0 = `needed` */
	uint8_t asked;           /* slots whose owner was asked, or is missing */
	uint8_t missing;         /* slots whose owner cannot answer */
	uint8_t stood_in;        /* of these: a fallback was asked */
	uint8_t by_fallback;     /* answers that a fallback gave */
	uint8_t damaged;         /* slots whose record is unreadable */
	uint32_t fallback_next;  /* in the partition's list */
	uint64_t own_floor;      /* when the own hints were asked for */
	uint64_t hint_floor;     /* the least one of hints that were found */
	enum dyn_status failure; /* of the latest slot that could not answer */
	/* By slot, encoded, in the request's arena; size 0 = absent there. */
	struct dyn_slice objects[DYN_REPLICAS_MAX];
};

/* Fill in key, request_id, owners_only and all_until_ms before.  The outcome
 * goes to dyn_get_read or dyn_put_read (by the request's kind), maybe at
 * once. */
void dyn_read_begin(struct dyn_node *node, struct dyn_request *request,
					uint32_t op, uint16_t partition, uint8_t needed);

/* What all that answered know together, in the request's arena; size 0 when
 * nobody has a record. BAD_REQUEST when an answer is malformed, OVERLOAD when
 * there is no room for it. */
enum dyn_status dyn_read_merge(struct dyn_node *node,
							   struct dyn_request *request,
							   const struct dyn_read *self,
							   struct dyn_slice *merged);

/* The mark of what is made of it. */
uint64_t dyn_read_fence(const struct dyn_node *node,
						const struct dyn_request *request,
						const struct dyn_read *self);

/* Bring the owners that answered up to the merged object. */
void dyn_read_repair(struct dyn_node *node, struct dyn_request *request,
					 const struct dyn_read *self, struct dyn_slice merged);

/* For the kinds that read (struct dyn_request_kind). */
void dyn_read_answered(struct dyn_node *node, struct dyn_request *request,
					   const struct dyn_call_item *item,
					   const Dyn__ReadResult *result, enum dyn_status status);
void dyn_read_loaded(struct dyn_node *node, struct dyn_request *request,
					 uint32_t op, uint8_t slot, bool is_hint,
					 const struct dyn_loaded *record);
void dyn_read_hedge(struct dyn_node *node, struct dyn_request *request);

#endif
