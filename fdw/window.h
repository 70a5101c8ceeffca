/*-------------------------------------------------------------------------
 *
 * window.h
 *		How many writes may be on their way to one node.
 *
 * A node that has no room refuses a write before anybody has stored it, so it
 * may be sent again; but a session that sends as before is refused as before,
 * and so are all others.  As in TCP: who is refused halves what he has under
 * way and waits a moment, each time a longer one and never for as long as the
 * others; with every answer that refuses nothing the window grows again.
 *
 * Bytes are bounded, too, whatever the node says: what it is sent it should be
 * able to begin with soon, for that is when the time of an attempt begins.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYNFDW_WINDOW_H
#define DYNFDW_WINDOW_H

#include "postgres.h"

#include "moment.h"

typedef struct DynamoWindow
{
	int			size;			/* operations */
	int			in_flight;
	size_t		bytes;			/* in flight */
	int			frames;
	int			pause_ms;		/* the last one */
	DynamoMoment not_before;
	DynamoMoment halved_at;
	DynamoMoment refused_since;	/* nothing was taken since; 0 = it takes */
} DynamoWindow;

extern void dynfdw_window_init(DynamoWindow *self);

/* Operations that may leave now, in one frame. */
extern int	dynfdw_window_room(const DynamoWindow *self, DynamoMoment now);

extern void dynfdw_window_sent(DynamoWindow *self, int ops, size_t bytes);

/* An answer to a frame, or none (then nothing was refused). */
extern void dynfdw_window_answered(DynamoWindow *self, DynamoMoment sent_at,
								   int ops, size_t bytes, int refused);

/* Has it taken nothing for so long that others should be asked? */
extern bool dynfdw_window_is_stuck(const DynamoWindow *self, DynamoMoment now);

#endif
