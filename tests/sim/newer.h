/*-------------------------------------------------------------------------
 *
 * newer.h
 *      What a later version of the program would send.
 *
 * While a cluster is upgraded node by node, frames come from programs that
 * know more: messages at all depths have fields that this version does not
 * know, the header has flags, and some frames are of a type or of a version
 * of the protocol that does not exist yet.  PROTOCOL.md promises that fields
 * and flags are passed over and that such frames do no harm; in runs with
 * `newer` set, all other checks hold this version to it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_NEWER_H
#define DYN_TESTS_NEWER_H

#include "model/types.h"

enum dyn_newer_kind
{
	DYN_NEWER_FIELDS,  /* the same message, with more in it */
	DYN_NEWER_TYPE,    /* a message that nobody knows */
	DYN_NEWER_VERSION, /* a version of the protocol that nobody speaks */
	DYN_NEWER_KINDS
};

/*
 * Such a frame made from this one, to be freed by the caller.  One of another
 * type or version has a correlation of its own: nobody waits for its answer.
 */
struct dyn_slice dyn_newer_frame(struct dyn_slice frame,
								 enum dyn_newer_kind kind);

#endif
