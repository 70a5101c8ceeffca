/*-------------------------------------------------------------------------
 *
 * error.c
 *		From the cluster's statuses to SQLSTATEs, with what to do.
 *
 *-------------------------------------------------------------------------
 */
#include "dynamo_fdw.h"

typedef struct ErrorEntry
{
	enum dyn_status status;
	int			sqlstate;
	const char *hint;
} ErrorEntry;

#define TRY_AGAIN "Try again."

static const ErrorEntry entries[] = {
	{DYN_STATUS_BAD_REQUEST, ERRCODE_INVALID_PARAMETER_VALUE, NULL},
	{DYN_STATUS_TOO_LARGE, ERRCODE_PROGRAM_LIMIT_EXCEEDED, NULL},
	{DYN_STATUS_NOT_AUTH, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION, NULL},
	{DYN_STATUS_WRONG_CLUSTER, ERRCODE_PROTOCOL_VIOLATION,
		"The nodes of the server's option \"nodes\" must belong to one cluster. A session stays with the one that it has met: begin a new session when the nodes were set up anew."},
	{DYN_STATUS_VERSION, ERRCODE_PROTOCOL_VIOLATION,
		"Extension and nodes must speak the same version of the protocol."},
	{DYN_STATUS_OVERLOAD, ERRCODE_INSUFFICIENT_RESOURCES,
		"Try again, with fewer sessions or smaller statements at a time."},
	{DYN_STATUS_FULL, ERRCODE_DISK_FULL,
		"Free some space on the nodes' disks, or raise their map-size-max; reading goes on."},
	{DYN_STATUS_NO_QUORUM, ERRCODE_CONNECTION_FAILURE,
		"Start the nodes that do not answer, or ask for fewer replicas with r or w."},
	{DYN_STATUS_UNKNOWN, ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN,
		"Read the key to see whether the write is there before writing again."},
	{DYN_STATUS_TIMEOUT, ERRCODE_CONNECTION_FAILURE,
		"Raise dynamo_fdw.timeout if the cluster is only slow."},
	{DYN_STATUS_EXISTS, ERRCODE_UNIQUE_VIOLATION, NULL},
	{DYN_STATUS_CONFLICT, ERRCODE_T_R_SERIALIZATION_FAILURE,
		"Read the key again and repeat the transaction."},
	{DYN_STATUS_SIBLINGS, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
		"Reconcile the key: INSERT one value with vclock_merge(vclock) of its rows."},
	{DYN_STATUS_NOT_READY, ERRCODE_CANNOT_CONNECT_NOW,
		"Try again: a node that was just started takes no writes before it has met another one. A new cluster forms when all its founding nodes have met."},
	{DYN_STATUS_BUILDING, ERRCODE_CANNOT_CONNECT_NOW, TRY_AGAIN},
	{DYN_STATUS_FENCED, ERRCODE_CANNOT_CONNECT_NOW, TRY_AGAIN},
	{DYN_STATUS_NOT_OWNER, ERRCODE_CANNOT_CONNECT_NOW, TRY_AGAIN},
	{DYN_STATUS_ABORTED, ERRCODE_CANNOT_CONNECT_NOW, TRY_AGAIN},
	{DYN_STATUS_INTERNAL, ERRCODE_INTERNAL_ERROR, NULL},
	{DYN_STATUS_CORRUPT, ERRCODE_DATA_CORRUPTED, NULL},
	{DYN_STATUS_IO_ERROR, ERRCODE_IO_ERROR, NULL},
	{DYN_STATUS_LATE, ERRCODE_CONNECTION_FAILURE,
		"Raise dynamo_fdw.timeout if the cluster is only slow."},
	{DYN_STATUS_NO_MEMORY, ERRCODE_OUT_OF_MEMORY, NULL},
};

static const ErrorEntry *
find_entry(enum dyn_status status)
{
	for (int i = 0; i < lengthof(entries); i++)
		if (entries[i].status == status)
			return &entries[i];
	return NULL;
}

int
dynfdw_sqlstate(enum dyn_status status)
{
	const ErrorEntry *entry = find_entry(status);

	return entry ? entry->sqlstate : ERRCODE_FDW_ERROR;
}

void
dynfdw_raise(enum dyn_status status, const char *what, const char *text)
{
	const ErrorEntry *entry = find_entry(status);
	const char *hint = entry ? entry->hint : NULL;

	/* A node that has no more to say repeats the status. */
	if (text && strcmp(text, dyn_status_text(status)) == 0)
		text = NULL;
	ereport(ERROR,
			(errcode(dynfdw_sqlstate(status)),
			 errmsg("%s: %s", what, dyn_status_text(status)),
			 text && text[0] ? errdetail("%s.", text) : 0,
			 hint ? errhint("%s", hint) : 0));
	pg_unreachable();
}

void
dynfdw_check(enum dyn_status status, const char *what)
{
	if (status != DYN_STATUS_OK)
		dynfdw_raise(status, what, NULL);
}
