#include "model/status.h"

#include <stddef.h>

struct entry
{
	const char *name;
	const char *text;
	bool retryable;
};

static const struct entry entries[] = {
#define DYN_STATUS_ENTRY(name, number, retryable, text)                        \
	[number] = { #name, text, retryable },
	DYN_STATUS_MAP(DYN_STATUS_ENTRY)
#undef DYN_STATUS_ENTRY
};

bool
dyn_status_is_valid(unsigned number)
{
	return number < sizeof(entries) / sizeof(entries[0]) &&
		   entries[number].name != NULL;
}

const char *
dyn_status_name(enum dyn_status status)
{
	return dyn_status_is_valid(status) ? entries[status].name : "INVALID";
}

const char *
dyn_status_text(enum dyn_status status)
{
	return dyn_status_is_valid(status) ? entries[status].text
									   : "an outcome that this version does "
										 "not know";
}

bool
dyn_status_is_retryable(enum dyn_status status)
{
	return dyn_status_is_valid(status) && entries[status].retryable;
}

bool
dyn_status_is_of_node(enum dyn_status status)
{
	return status == DYN_STATUS_NOT_OWNER || status == DYN_STATUS_OVERLOAD ||
		   status == DYN_STATUS_NOT_READY || status == DYN_STATUS_FULL ||
		   status == DYN_STATUS_NO_QUORUM || status == DYN_STATUS_CORRUPT ||
		   status == DYN_STATUS_IO_ERROR || status == DYN_STATUS_ABORTED ||
		   status == DYN_STATUS_BUILDING || status == DYN_STATUS_FENCED ||
		   status == DYN_STATUS_LATE;
}
