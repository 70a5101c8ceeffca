/*-------------------------------------------------------------------------
 *
 * text.h
 *      Sentences for people, put together without stdio.
 *
 * A text has a fixed size and is always NUL-terminated; what does not fit is
 * cut off.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_TEXT_H
#define DYN_CORE_TEXT_H

#include "model/types.h"

struct dyn_text
{
	char bytes[1024];
	size_t size;
};

/* Start anew with this sentence. */
void dyn_text_set(struct dyn_text *self, const char *text);
void dyn_text_add(struct dyn_text *self, const char *text);
void dyn_text_add_number(struct dyn_text *self, uint64_t number);

/* Into an array of this size, the rest of it zeroed; what does not fit is cut
 * off. */
void dyn_text_copy(char *to, size_t size, const char *from);

#endif
