/*-------------------------------------------------------------------------
 *
 * formation.h
 *      How a cluster comes to be, and who enters it.
 *
 * A cluster is formed once: the first of the seeds waits until all of them have
 * answered HELLO and none belongs to a cluster, makes a balanced slot table of
 * distinct nodes, stores it, and sends FORM to the others.  A store that knows
 * a cluster never forms or enters another; a store that was emptied is a
 * stranger to its old cluster and stays NOT_READY, unless it is told whose
 * place it takes (identity.h).
 *
 *     outside   nothing is known: try_form, form
 *     storing   settings and ring stand in memory, their commit is under way
 *               (cluster.storing is its token); aborted: outside again
 *     formed    for ever: it is on disk
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_FORMATION_H
#define DYN_CORE_FORMATION_H

#include "core/state.h"
#include "model/message.h"

/* Found the cluster if that is mine to do and everybody is there. */
void dyn_formation_try(struct dyn_node *node);

/* A FORM: enter. One that is not sound, or not for this node, is counted
 * (frames_refused) and logged. */
void dyn_formation_enter(struct dyn_node *node, const Dyn__Form *form);

/* A cluster is there, and this store knows of none: say so, and what to do when
 * it is a member's disk that was replaced.  One that takes a member's place at
 * another address enters: nobody will look for it there. */
void dyn_formation_stay_outside(struct dyn_node *node,
								const Dyn__Welcome *welcome);

/* To a member whose store does not know the cluster yet. */
void dyn_formation_send(struct dyn_node *node, uint32_t peer_index);

/* A commit that held meta records ended. */
void dyn_formation_stored(struct dyn_node *node, uint64_t token,
						  enum dyn_status status);

/* What could not be written, or not be committed, is due. */
void dyn_formation_writable(struct dyn_node *node);

#endif
