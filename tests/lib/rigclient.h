/*-------------------------------------------------------------------------
 *
 * rigclient.h
 *      A client of the nodes of a corerig: writes and reads, as one would
 *      send them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_RIGCLIENT_H
#define DYN_TESTS_RIGCLIENT_H

#include "corerig.h"

enum
{
	RIGCLIENT_VALUES_MAX = 4
};

/* What is left out is 0: a delete of "k" in "cart", under a new id. */
struct rigclient_put
{
	const char *bucket;
	const char *key;
	const char *values[RIGCLIENT_VALUES_MAX]; /* the first NULL ends them */
	struct dyn_slice context;
	Dyn__PutMode mode;
	uint32_t w;
	uint8_t id; /* of the request; 0 = one that was never used */
	bool retry;
	bool retried;
	uint64_t process; /* of the node; 0 = it may act whenever it comes */
	uint64_t act_until_ms;
};

/* Nobody waits for its answer. */
void rigclient_send(struct corerig *rig, uint32_t node,
					struct rigclient_put put);

/* What was answered within a second, until the next question; NULL when
 * nothing was, or the request was refused as a whole. */
const Dyn__PutResult *rigclient_put(struct corerig *rig, uint32_t node,
									struct rigclient_put put);

/* Its status; NOT_READY for NULL. */
enum dyn_status rigclient_put_status(struct corerig *rig, uint32_t node,
									 struct rigclient_put put);

/* The status of a put of one value in "cart" that wants w answers. */
enum dyn_status rigclient_write(struct corerig *rig, uint32_t node,
								const char *key, uint32_t w);

/* A GET of one key of "cart" at this r (0 = the cluster's), for whose answer
 * nobody waits; or its result, as that of rigclient_put. */
void rigclient_send_get(struct corerig *rig, uint32_t node, const char *key,
						uint32_t r);
const Dyn__GetResult *rigclient_get(struct corerig *rig, uint32_t node,
									const char *key, uint32_t r);

/* Its status, or why the GET was refused as a whole; NOT_READY when nothing
 * was answered. */
enum dyn_status rigclient_get_status(struct corerig *rig, uint32_t node,
									 const char *key, uint32_t r);

/* One owner's own word on a key of "cart", as coordinators ask it; id: of the
 * request that is retried, or NULL.  The result lives until the next question;
 * NULL when the READ was refused as a whole, then *status is why (NOT_READY:
 * nothing was answered), else that of the result. */
const Dyn__ReadResult *rigclient_read(struct corerig *rig, uint32_t node,
									  const char *key,
									  const struct dyn_request_id *id,
									  enum dyn_status *status);

/* The status alone, of a READ that is no retry. */
enum dyn_status rigclient_read_status(struct corerig *rig, uint32_t node,
									  const char *key);

#endif
