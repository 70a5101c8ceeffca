/*-------------------------------------------------------------------------
 *
 * coord_put.h
 *      Coordinated writes: one new object, W commits, one final word.
 *
 * (Dynamo 2007, sections 4.4 and 4.5.)  The coordinator is an owner of the
 * key, or, when none can be reached, the first fallback that can; any other
 * node forwards once.  An operation goes through
 *
 *     CHECKED -> READING (only where it must know what is there)
 *             -> LOADING (its place in the key table)
 *             -> READING, LOADING (where the last write wins, and the writer
 *                        knows more than the record: to learn the stamps)
 *             -> WRITING (own commit and REPLICATEs, in parallel)
 *             -> DECIDED
 *             -> READING, LOADING (where the own record is damaged: what all
 *                        other owners hold takes its place)
 *     CHECKED -> FORWARDED -> DECIDED
 *
 * An owner whose record is damaged, and that cannot hear all other owners,
 * hands the operation on to the next one.
 *
 * A frame may have waited in the socket of a process that stood still, or in a
 * kernel, until long after its client has gone on.  So a client says until
 * when an attempt may begin to act; later it is refused with LATE, at its
 * begin, and again when its turn at the key has come.  What may have acted
 * already is retried under a name of its own (model/object.h), and is a
 * repetition where that name is known.
 *
 * Until WRITING nothing of it exists anywhere: every failure is a definite
 * no.  From then on a node may hold it unless it has said that it stored
 * nothing; failing while any may is UNKNOWN.
 *
 * Here is how an operation begins, and what it waits for.  LOADING ends in
 * put_apply.h, FORWARDED in put_forward.h, and all of them in put_answer.h;
 * what is made of an object is put_object.h, how it reaches W nodes
 * coord_write.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_COORD_PUT_H
#define DYN_CORE_COORD_PUT_H

#include "core/coord_read.h"
#include "core/coord_write.h"
#include "core/key_table.h"
#include "core/request.h"

enum dyn_put_phase
{
	DYN_PUT_CHECKED,
	DYN_PUT_READING,
	DYN_PUT_LOADING,
	DYN_PUT_WRITING,
	DYN_PUT_FORWARDED,
	DYN_PUT_DECIDED
};

struct dyn_put_op
{
	const Dyn__PutOp *message;
	struct dyn_slice key;
	struct dyn_request_id id;
	uint64_t mark; /* of what it writes (remember.h) */
	struct dyn_clock context;
	uint16_t partition;
	enum dyn_put_phase phase;
	bool seeding;          /* READING for stamps only */
	bool mending;          /* READING, as the own record is damaged */
	uint8_t avoid;         /* slots whose owner shall not coordinate */
	char *fault;           /* what is wrong with it, beyond its status */
	bool counted;          /* by room.c */
	uint32_t forwarded_to; /* FORWARDED: the peer */
	uint64_t begun_ms;
	size_t held_bytes;    /* by room.c */
	struct dyn_read read; /* READING */
	/* What it found, encoded, in the request's arena; size 0 = no record. */
	struct dyn_slice read_object;
	/* Requests whose versions it replaces (remember.h); in the request's
	 * arena. */
	struct dyn_request_id *replaced;
	uint32_t replaced_count;
	struct dyn_writing writing; /* WRITING */
	enum dyn_status status;     /* DECIDED */
	char *text;
	struct dyn_slice result;     /* context of the object, encoded */
	const Dyn__Receipt *receipt; /* of a forwarded one */
};

extern const struct dyn_request_kind dyn_put_kind;

void dyn_put_begin(struct dyn_node *node, struct dyn_request *request,
				   const Dyn__PutRequest *message);

/* READING ended. */
void dyn_put_read(struct dyn_node *node, struct dyn_request *request,
				  uint32_t op, bool enough);

/* CHECKED: coordinate it here; own_slot -1: in place of an owner that is
 * away. */
void dyn_put_coordinate(struct dyn_node *node, struct dyn_request *request,
						uint32_t op, uint32_t w, int own_slot);

/* Has its client left it? */
bool dyn_put_is_late(const struct dyn_node *node,
					 const struct dyn_request *request);

/* READING begins: learn what R owners know. */
void dyn_put_read_owners(struct dyn_node *node, struct dyn_request *request,
						 uint32_t op);

/*
 * Somebody's clock, seen beside the record's: when it knows more of my writes
 * than the record does, no old dot may be made again.  (kv679; notes: L6.)
 */
void dyn_put_notice_amnesia(struct dyn_node *node,
							const struct dyn_clock *record,
							const struct dyn_clock *other);

#endif
