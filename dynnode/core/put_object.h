/*-------------------------------------------------------------------------
 *
 * put_object.h
 *      What a put makes of its key's object, by the rules of its bucket.
 *
 * Siblings (the default): a put replaces what its context covers, and what
 * no reader is shown any more (model/object.h: view).  REPLACE covers all that
 * is there.
 *
 * The last write wins: a put replaces all that the coordinator holds, under a
 * stamp that exceeds all of it.  A delete is a version that has expired at
 * once, so that it wins by its stamp over earlier writes that nobody has met
 * yet.  What is lost so is counted (lww_discarded).
 *
 * Actors: a key gets a fresh epoch when its record holds none of mine, when
 * anybody knows more of me than the record, and when its epoch is below the
 * floor, which every aborted commit raises.  So a dot is never made twice.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_PUT_OBJECT_H
#define DYN_CORE_PUT_OBJECT_H

#include "core/coord_put.h"
#include "model/bucket.h"

/* Did a retry write all that this put would write?  Whatever became of that:
 * its name is known (model/object.h). */
bool dyn_put_is_named(const struct dyn_bucket *bucket,
					  const struct dyn_put_op *put,
					  const struct dyn_object *base);

/*
 * The object after a retry that is a repetition, when an earlier retry may have
 * acted where nobody sees it: what lives of the write under the dot of an
 * attempt that was not marked is given the name of its retries.  For who reads
 * the write when it was acknowledged, and replaces it, must cover that name.
 * (Not after one lost attempt: whoever replaces that one's copy meanwhile would
 * leave the name.)
 */
enum dyn_status dyn_put_name(struct dyn_node *node,
							 const struct dyn_put_op *put,
							 const struct dyn_object *base,
							 struct dyn_object *next);

/*
 * The object after the put, in scratch memory.  base: what is known of the
 * key, and was noticed (dyn_put_notice_amnesia); record: the context of this
 * node's own record.  EXISTS, CONFLICT by the put's mode; SIBLINGS when too
 * many would be left.
 */
enum dyn_status
dyn_put_object(struct dyn_node *node, const struct dyn_bucket *bucket,
			   const struct dyn_put_op *put, const struct dyn_clock *record,
			   const struct dyn_object *base, struct dyn_object *next);

#endif
