/*-------------------------------------------------------------------------
 *
 * commit.h
 *      What a step writes: one commit, all or nothing.
 *
 * What operations make of their keys in one step, and the node's own records,
 * become one STORE effect at the step's end.  Its STORED event tells each
 * operation (request.h), the memory of requests (remember.h), and the keepers of the
 * node's own records, by the commit's token.
 *
 * A commit that is aborted wrote nothing.  An entry of it without later commits
 * goes, and is loaded anew; with later ones it stays, because they carry what was
 * aborted.  No dot of it may be made again (node->epoch_floor).  FULL: the
 * store takes no more writes (node->writable) until it says so.
 *
 * Objects in commits count in node->room.key_bytes until the commit ends.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_COMMIT_H
#define DYN_CORE_COMMIT_H

#include "core/key_table.h"

/*
 * Make this the key's object and commit it; the operation hears of the
 * outcome (dyn_request_committed).  When it is what the key holds already, there
 * is nothing to write: true if that is on disk, else the operation hears with
 * the commit under way.  The object must live as long as the step's effects.
 */
bool dyn_commit_write(struct dyn_node *node, struct dyn_key *key,
					  const struct dyn_key_value *value, struct dyn_work work);

/* The operation hears of the key's newest commit, which is under way. */
void dyn_commit_await(struct dyn_node *node, struct dyn_key *key,
					  struct dyn_work work);

/* A record that stands under a damaged key goes from where it stands, whatever
 * place the key that it shows has.  Nobody hears of it: look again. */
void dyn_commit_remove_misnamed(struct dyn_node *node, enum dyn_table table,
								const struct dyn_record_key *place);

/* A record to DYN_TABLE_META, in this step's commit, whose token it returns.
 * value must live as long as the step's effects. */
uint64_t dyn_commit_write_meta(struct dyn_node *node, const char *name,
							   struct dyn_slice value);

void dyn_commit_stored(struct dyn_node *node, const struct dyn_event *event);

/* The step's end: what was gathered becomes an effect. */
void dyn_commit_flush(struct dyn_node *node);
void dyn_commit_destroy_all(struct dyn_node *node);

/* Operations that wait for commits; bytes of objects in these. For checks. */
uint64_t dyn_commit_item_count(const struct dyn_node *node);
uint64_t dyn_commit_bytes(const struct dyn_node *node);

#endif
