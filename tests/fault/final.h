/*-------------------------------------------------------------------------
 *
 * final.h
 *      What the owners of every key hold when all is well again.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_FAULT_FINAL_H
#define DYN_TESTS_FAULT_FINAL_H

#include "io/client.h"
#include "tests/fault/journal.h"
#include "tests/fault/links.h"

enum
{
	DYN_FINAL_TROUBLE_SIZE = 96
};

struct dyn_final_key
{
	uint64_t hashes[DYN_REPLICAS_MAX]; /* by slot, of the last look */
	enum dyn_status statuses[DYN_REPLICAS_MAX];
	uint32_t nodes[DYN_REPLICAS_MAX]; /* owners */
	bool asked[DYN_REPLICAS_MAX];     /* false: it is not to be asked */
	struct dyn_tokens tokens;         /* live on any owner */
	bool strange;                     /* an owner holds a value of nobody */
	bool tombstone;                   /* an owner holds one */
	bool equal;
	char trouble[DYN_FINAL_TROUBLE_SIZE]; /* when they are not */
};

struct dyn_final
{
	struct dyn_client *clients[DYN_LINKS_MAX];
	struct dyn_node_id ids[DYN_LINKS_MAX]; /* who answers there */
	uint32_t client_count;
	int without; /* index of a client, or -1 */
	struct dyn_ring ring;
	uint32_t n;
	struct dyn_final_key *keys;
	uint32_t key_count;
	struct dyn_arena arena;

	/* Of what is live, or was: what its retry is called. */
	struct dyn_journal_name *names;
	uint32_t name_count;
	uint32_t name_capacity;

	uint64_t converged_ms;   /* from the first look to equal owners */
	uint32_t repaired_count; /* keys that had to be read at r = N */
};

/* False, and said on stderr, when no node tells the ring. Keys whose owners
 * did not become equal in time are told by `equal`. */
bool dyn_final_read(struct dyn_final *self, const char *nodes,
					const char *without, uint32_t key_count, uint32_t settle_ms,
					uint32_t converge_ms);

/* Look at all keys once more, a little later. */
void dyn_final_again(struct dyn_final *self);

/* Keys of which an owner still holds a tombstone, as of the last look. */
uint32_t dyn_final_tombstones(const struct dyn_final *self);
void dyn_final_destroy(struct dyn_final *self);

/* "key 7, <what>" */
const char *dyn_final_text(char out[128], uint32_t key, const char *what);

#endif
