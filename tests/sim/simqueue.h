/*-------------------------------------------------------------------------
 *
 * simqueue.h
 *      What will happen, in the order of virtual time.
 *
 * Equal times are ordered by the serial of their insertion, never by a
 * pointer: the same seed gives the same run on every machine.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_SIMQUEUE_H
#define DYN_TESTS_SIMQUEUE_H

#include <stdbool.h>
#include <stdint.h>

struct dyn_simevent
{
	uint64_t at_ms;
	uint64_t serial;
	uint32_t kind; /* the owner's enum */
	uint32_t who;
	uint64_t what;
	void *data;
};

struct dyn_simqueue
{
	struct dyn_simevent *items; /* a binary heap */
	uint32_t count;
	uint32_t capacity;
	uint64_t serial_next;
};

void dyn_simqueue_destroy(struct dyn_simqueue *self);
void dyn_simqueue_push(struct dyn_simqueue *self, struct dyn_simevent event);

/* The earliest one; false when the queue is empty. */
bool dyn_simqueue_pop(struct dyn_simqueue *self, struct dyn_simevent *event);

#endif
