/*-------------------------------------------------------------------------
 *
 * effect.h
 *      Everything that the core can ask its shell to do.
 *
 * A step appends effects; the shell performs them in order, after the step.
 * What an effect points to lives in the effects' arena until
 * dyn_effects_reset, so a shell that works later copies.
 *
 * The order that matters for durability is built in: an answer that says
 * "stored" is only ever appended in the step of the STORED event.  SENDs of
 * the new object may stand beside the STORE of the same step, because a dot
 * that left the node is spent (ARCHITECTURE.md).
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_EFFECT_H
#define DYN_CORE_EFFECT_H

#include "model/arena.h"
#include "model/tree.h"
#include "model/types.h"

enum dyn_effect_type
{
	DYN_EFFECT_SEND,    /* a frame to a peer */
	DYN_EFFECT_REPLY,   /* a frame back along the route of a message */
	DYN_EFFECT_STORE,   /* commit these writes, all or none, then STORED */
	DYN_EFFECT_LOAD,    /* read committed records, then LOADED */
	DYN_EFFECT_SCAN,    /* read one page, then SCANNED */
	DYN_EFFECT_TREE,    /* read hashes of the tree, then TREE */
	DYN_EFFECT_CONNECT, /* from now on keep connections to this peer */
	DYN_EFFECT_LOG,     /* a line for people */
	DYN_EFFECT_FATAL    /* the node must not go on */
};

/* Data and control frames travel through separate sockets, so that a large
 * transfer never delays a heartbeat.  HELLO and FORM are control. */
enum dyn_plane
{
	DYN_PLANE_DATA,
	DYN_PLANE_CONTROL
};

enum dyn_log_level
{
	DYN_LOG_ERROR,
	DYN_LOG_WARNING,
	DYN_LOG_INFO,
	DYN_LOG_DEBUG
};

/* A record's place. cell is derived from the hash of bucket and key. */
struct dyn_record_key
{
	struct dyn_slice bucket;
	uint16_t cell;
	struct dyn_slice key;
};

enum dyn_table
{
	DYN_TABLE_MAIN, /* objects by (bucket, cell, key) */
	DYN_TABLE_META, /* the node's own records by name (key.key only) */
	DYN_TABLE_HINTS /* objects held for others' slots, in the same order */
};

/*
 * What a record says of its object, so that a walk finds candidates without
 * decoding.  A flag that is not there is certain; one that is there wants a
 * look at the object: a record of the first format has all of them.
 */
enum
{
	DYN_RECORD_MORTAL = 1, /* no live version, or one that expires */
	DYN_RECORD_CROWDED = 2 /* more than DYN_CONTEXT_CROWDED entries */
};

/*
 * Every write to DYN_TABLE_MAIN changes the hash tree (model/tree.h) in the
 * same transaction; the store itself takes the item of the record that it
 * replaces out, so that neither order nor aborts of commits matter.
 */
struct dyn_write
{
	enum dyn_table table;
	struct dyn_record_key key;
	uint64_t hash;           /* object hash, kept with the record */
	uint64_t held_at_ms;     /* wall time at which it came to this hash */
	uint8_t slots;           /* HINTS: bit s = for slot s of the partition */
	uint8_t flags;           /* MAIN, HINTS: DYN_RECORD_... */
	struct dyn_slice object; /* encoded; empty = remove the record */
};

struct dyn_effect
{
	enum dyn_effect_type type;
	union
	{
		struct
		{
			uint32_t peer_index;
			enum dyn_plane plane;
			struct dyn_slice frame;
		} send;
		struct
		{
			uint64_t route;
			struct dyn_slice frame;
		} reply;
		struct
		{
			uint64_t token;
			const struct dyn_write *writes;
			uint32_t write_count;
		} store;
		struct
		{
			uint64_t token;
			enum dyn_table table; /* MAIN or HINTS */
			const struct dyn_record_key *keys;
			uint32_t key_count;
			bool hash_only;
			/* When the objects read so far have so many bytes, the rest is
			 * left out (at least one record is read); 0 = read all. */
			uint32_t bytes_max;
		} load;
		struct
		{
			uint64_t token;
			enum dyn_table table; /* MAIN or HINTS */
			/* Empty = all, in the order (bucket, cell, key): then the cursor
			 * and each item tell their bucket. */
			struct dyn_slice bucket;
			uint16_t cell_first;
			uint16_t cell_last;            /* inclusive */
			bool has_after;                /* resume after what stands here */
			struct dyn_slice after_bucket; /* when bucket is empty */
			uint16_t after_cell;
			struct dyn_slice after_key;
			/* for_damage: and after so many damaged records, counted from
			 * there, or without has_after from the beginning. */
			uint32_t after_damaged;
			struct dyn_slice key_min; /* inclusive; empty = none */
			struct dyn_slice key_max; /* inclusive; empty = none */
			struct dyn_slice prefix;  /* empty = none */
			bool hash_only;
			/* Only records with one of these flags, and damaged ones that
			 * cannot tell; 0 = all. */
			uint8_t flags;
			uint32_t items_max; /* at least 1 */
			uint32_t bytes_max; /* keys and objects; at least one item fits */
			/* Records looked at, wanted or not: the page ends behind the last
			 * of them, maybe without any item; 0 = no bound. */
			uint32_t visits_max;
			/* For who looks for damage, and concludes from a page nothing
			 * about what is absent: damage never stops the walk, nor does it
			 * hide a sound record.  An item that is damaged is shown where it
			 * was met, at the edges of the range too, and tells of a key only
			 * as core/misnamed.h says.  Without key_min, key_max, prefix. */
			bool for_damage;
		} scan;
		struct
		{
			uint64_t token;
			enum dyn_tree_level level;
			const uint32_t *nodes; /* numbers of that level, ascending */
			uint32_t node_count;
		} tree;
		struct
		{
			uint32_t peer_index;
			struct dyn_slice address; /* host:port of its client socket */
		} connect;
		struct
		{
			enum dyn_log_level level;
			struct dyn_slice text;
		} log;
		struct
		{
			struct dyn_slice text;
		} fatal;
	};
};

struct dyn_effects
{
	struct dyn_arena arena;
	struct dyn_effect *items;
	uint32_t count;
	uint32_t capacity;
};

void dyn_effects_init(struct dyn_effects *self);
void dyn_effects_destroy(struct dyn_effects *self);

/* Forget all effects and their memory. */
void dyn_effects_reset(struct dyn_effects *self);

/* A new zeroed effect of this type at the end. Valid until the next add. */
struct dyn_effect *dyn_effects_add(struct dyn_effects *self,
								   enum dyn_effect_type type);

#endif
