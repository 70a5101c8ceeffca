/*-------------------------------------------------------------------------
 *
 * load.h
 *      Records that are to be read: one LOAD at a time for each view.
 *
 * What is asked for in a step becomes one LOAD effect at its end.  While one is
 * under way, what is asked for goes with the next one, so that a busy node
 * reads in batches that grow with its load.  The store may answer a part
 * (config.load_bytes_max); the rest goes with the next one, first of all.
 *
 * A record shows committed state: whoever asked in a step sees what was
 * committed before it.  Keys are borrowed from whoever asks, until the answer.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_LOAD_H
#define DYN_CORE_LOAD_H

#include "core/event.h"
#include "core/node.h"

struct dyn_key;
struct dyn_work;

/* How a record is read. */
enum dyn_load_view
{
	DYN_LOAD_OBJECT,
	DYN_LOAD_HASH,
	DYN_LOAD_HINT, /* the object in the table of hints */
	DYN_LOAD_VIEW_COUNT
};

/* For an operation that reads: it hears (dyn_request_loaded), with the slot, for
 * which it asks. */
void dyn_load_read(struct dyn_node *node, struct dyn_slice bucket,
				   struct dyn_slice key, enum dyn_load_view view,
				   struct dyn_work work, uint8_t slot);

/* For an entry of the key table: dyn_key_loaded. */
void dyn_load_key(struct dyn_node *node, struct dyn_key *key);

/* A LOADED event. */
void dyn_load_event(struct dyn_node *node, const struct dyn_event *event);

/* The step's end: what was gathered becomes effects. */
void dyn_load_flush(struct dyn_node *node);
void dyn_load_destroy_all(struct dyn_node *node);
void dyn_load_check(const struct dyn_node *node);

#endif
