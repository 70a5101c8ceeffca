/*-------------------------------------------------------------------------
 *
 * status.h
 *      Every outcome that a function of model/ or an answer on the wire has.
 *
 * One list gives the enum, the names, the texts and what a caller may do.
 * The numbers are part of the protocol: they are never reused.
 *
 * Three kinds of outcome matter to whoever sent a write: OK; a definite no
 * (nothing of the write is stored anywhere); and UNKNOWN (some replica may
 * hold it).  DYN_STATUS_UNKNOWN is the only code of the third kind that a
 * node sends.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_MODEL_STATUS_H
#define DYN_MODEL_STATUS_H

#include <stdbool.h>

/* X(NAME, number, retryable, text) */
#define DYN_STATUS_MAP(X)                                                      \
	X(OK, 0, false, "success")                                                 \
	X(BAD_REQUEST, 1, false, "malformed request")                              \
	X(TOO_LARGE, 2, false, "a size limit is exceeded")                         \
	X(NOT_AUTH, 3, false, "not allowed")                                       \
	X(WRONG_CLUSTER, 4, false, "the message belongs to another cluster")       \
	X(VERSION, 5, false, "protocol version not supported")                     \
	X(OVERLOAD, 6, true, "the node has too much work in flight")               \
	X(FULL, 7, true, "the store is full and takes no writes")                  \
	X(NO_QUORUM, 8, true, "not enough replicas can be reached")                \
	X(UNKNOWN, 9, false, "the write may or may not have been stored")          \
	X(TIMEOUT, 10, true, "not enough replicas answered in time")               \
	X(INTERNAL, 11, false, "internal error")                                   \
	X(NOT_FOUND, 12, false, "no such key")                                     \
	X(EXISTS, 13, false, "the key exists already")                             \
	X(CONFLICT, 14, true, "a version exists that the writer has not read")     \
	X(SIBLINGS, 15, false, "too many siblings")                                \
	X(NOT_OWNER, 16, true, "the node does not own the partition")              \
	X(NOT_READY, 17, true, "the node is not part of a formed cluster yet")     \
	X(CORRUPT, 18, false, "the stored record is damaged")                      \
	X(IO_ERROR, 19, false, "the store failed")                                 \
	X(NO_MEMORY, 20, false, "out of memory")                                   \
	X(ABORTED, 21, true, "the commit was given up; nothing was written")       \
	X(BUILDING, 22, true, "the node's store is being built up again")          \
	X(FENCED, 23, true, "older than what was removed here since")              \
	X(LATE, 24, true, "it came after its time to act; nothing was stored")

enum dyn_status
{
#define DYN_STATUS_ENUM(name, number, retryable, text)                         \
	DYN_STATUS_##name = number,
	DYN_STATUS_MAP(DYN_STATUS_ENUM)
#undef DYN_STATUS_ENUM
};

/* "OVERLOAD"; "INVALID" for a number that is not in the list. */
const char *dyn_status_name(enum dyn_status status);

/* One lower-case phrase without a period; static memory. */
const char *dyn_status_text(enum dyn_status status);

/* May the same request be sent again later with a hope of success? */
bool dyn_status_is_retryable(enum dyn_status status);

/* A node's refusal for a reason of its own: nothing was stored, and another
 * owner may do it. */
bool dyn_status_is_of_node(enum dyn_status status);

/* Is this number in the list?  For codes that arrive on the wire. */
bool dyn_status_is_valid(unsigned number);

#endif
