/*-------------------------------------------------------------------------
 *
 * event.h
 *      Everything that can happen to a node.
 *
 * The core is step(node, event, now) -> effects.  An event and all that it
 * points to belong to the caller and live until the step returns.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_EVENT_H
#define DYN_CORE_EVENT_H

#include "model/types.h"

enum dyn_event_type
{
	DYN_EVENT_MESSAGE,   /* a frame arrived */
	DYN_EVENT_STORED,    /* a STORE effect was committed and synced, or not */
	DYN_EVENT_LOADED,    /* a LOAD effect was performed */
	DYN_EVENT_SCANNED,   /* a SCAN effect was performed */
	DYN_EVENT_TREE,      /* a TREE effect was performed */
	DYN_EVENT_TICK,      /* time passed (dyn_node_deadline was reached) */
	DYN_EVENT_PEER_UP,   /* the connection to a peer's sockets stands */
	DYN_EVENT_PEER_DOWN, /* ... is gone: nothing sent meanwhile arrives */
	DYN_EVENT_STORE_WRITABLE /* a FULL store takes writes again */
};

/* Which socket a frame came through.  A client's socket never carries what
 * only nodes may say. */
enum dyn_source
{
	DYN_SOURCE_CLIENT, /* client socket; answer with REPLY to the route */
	DYN_SOURCE_NODE,   /* data or control socket; answer with REPLY */
	DYN_SOURCE_PEER    /* answer of the peer (peer_index) to a SEND of mine */
};

/* What a LOAD found.  Only ABSENT may ever be treated as "not found". */
enum dyn_loaded_state
{
	DYN_LOADED_FOUND,
	DYN_LOADED_ABSENT,
	DYN_LOADED_CORRUPT,
	/* No record, but damage beside its place, which may hide one: the same as
	 * CORRUPT, until the damage is mended. */
	DYN_LOADED_DOUBTED,
	DYN_LOADED_IO_ERROR
};

struct dyn_loaded
{
	enum dyn_loaded_state state;
	uint64_t hash;           /* object hash, as stored with the record */
	uint64_t held_at_ms;     /* as written; 0 = unknown (the first format) */
	uint8_t slots;           /* as written; HINTS only */
	uint8_t flags;           /* as written */
	struct dyn_slice object; /* encoded; empty when the LOAD was hash_only */
};

struct dyn_scanned
{
	enum dyn_loaded_state state; /* FOUND or CORRUPT */
	struct dyn_slice bucket;     /* empty when the SCAN named one */
	uint16_t cell;               /* that it lies in, whatever its key says */
	struct dyn_slice key;
	uint64_t hash;
	uint64_t held_at_ms;
	uint8_t slots;
	uint8_t flags;
	struct dyn_slice object; /* encoded; empty when hash_only */
};

struct dyn_event
{
	enum dyn_event_type type;
	uint64_t wall_ms; /* wall clock: advisory, for written_at only */
	union
	{
		struct
		{
			enum dyn_source source;
			uint64_t route;      /* CLIENT, NODE: where a REPLY goes */
			uint32_t peer_index; /* PEER */
			struct dyn_slice frame;
		} message;
		struct
		{
			uint64_t token;
			/* OK; ABORTED, FULL: nothing of it is stored. Any other commit
			 * failure never becomes an event: the shell stops the node. */
			enum dyn_status status;
		} stored;
		struct
		{
			uint64_t token;
			const struct dyn_loaded *records; /* in the order of the keys */
			uint32_t record_count; /* 1 .. key_count: fewer when the LOAD's
									* bytes_max was reached */
		} loaded;
		struct
		{
			uint64_t token;
			enum dyn_status status; /* OK, IO_ERROR */
			const struct dyn_scanned *items;
			uint32_t item_count;
			bool end; /* nothing of the range is left */
			/* Cursor, when not at the end; with visits_max it may stand
			 * behind the last item. */
			struct dyn_slice after_bucket;
			uint16_t after_cell;
			struct dyn_slice after_key;
			uint32_t after_damaged; /* for_damage */
		} scanned;
		struct
		{
			uint64_t token;
			enum dyn_status status; /* OK, IO_ERROR */
			const uint64_t *hashes; /* in the order of the nodes */
			uint32_t hash_count;
		} tree;
		struct
		{
			uint32_t peer_index;
		} peer;
	};
};

#endif
