/*-------------------------------------------------------------------------
 *
 * loop.h
 *      One node at work: sockets, store and clock drive the core.
 *
 * A turn: wait; step what arrived (control before data before clients); step
 * what the store completed; tick when the core's deadline has come.  The
 * effects of a step are performed before the next step.  One thread.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_IO_LOOP_H
#define DYN_IO_LOOP_H

#include "core/node.h"
#include "io/store/store.h"
#include "io/transport.h"

struct dyn_loop
{
	struct dyn_node *node;
	struct dyn_store *store;
	struct dyn_transport *transport;
	struct dyn_effects effects;
	int signal_fd; /* readable = stop; -1 = none */
	bool failed;
	bool submitted;   /* to the store, since the last dispatch */
	char reason[512]; /* why it failed */
	struct dyn_transport_counters reported; /* as last logged, and when */
	uint64_t reported_at_ms;
	void (*log)(enum dyn_log_level level, const char *text, size_t size);
};

/* Monotonic milliseconds since the machine started. */
uint64_t dyn_loop_now_ms(void);
uint64_t dyn_loop_wall_ms(void);

/* The callbacks for transport and store; context is the loop. */
void dyn_loop_deliver(void *loop, const struct dyn_event *event);

/* Perform what dyn_node_new asked for. */
void dyn_loop_perform(struct dyn_loop *self);

/* Until the signal descriptor is readable (true), or the store or the core
 * gives up (false, with self->reason). */
bool dyn_loop_run(struct dyn_loop *self);

#endif
