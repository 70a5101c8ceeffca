/*-------------------------------------------------------------------------
 *
 * setting.h
 *      The table of a node's settings, behind config.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_IO_SETTING_H
#define DYN_IO_SETTING_H

#include "io/config.h"

enum dyn_setting_kind
{
	DYN_SETTING_TEXT,
	DYN_SETTING_NUMBER,
	DYN_SETTING_SIZE, /* a number with K, M or G */
	DYN_SETTING_SWITCH
};

struct dyn_setting
{
	const char *name;
	enum dyn_setting_kind kind;
	size_t offset;
	uint64_t min; /* of a TEXT: unused */
	uint64_t max; /* of a TEXT: room, NUL included */
	const char *normal;
	const char *help;
};

enum
{
	DYN_SETTINGS_MAX = 64
};

extern const struct dyn_setting dyn_settings[];
extern const int dyn_setting_count; /* at most DYN_SETTINGS_MAX */

/* NULL when there is no such setting. */
const struct dyn_setting *dyn_setting_find(const char *name);

/* False, and said on stderr what is wrong, when text is no value of it.  where
 * is "--n" or "FILE:7: n", for the message. */
bool dyn_setting_set(struct dyn_config *self, const struct dyn_setting *setting,
					 const char *text, const char *where);

/* Say on stderr that there is no such setting, and what may have been meant. */
void dyn_setting_refuse(const char *where, const char *name);

#endif
