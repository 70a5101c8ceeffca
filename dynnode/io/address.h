/*-------------------------------------------------------------------------
 *
 * address.h
 *      host:port, as people write it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_IO_ADDRESS_H
#define DYN_IO_ADDRESS_H

#include "model/types.h"

struct dyn_address
{
	char host[DYN_ADDRESS_SIZE_MAX + 1]; /* [::1] keeps its brackets */
	int port;
};

/* False unless it is host:port with a port from 1 to 65533: a node uses the
 * two ports above it as well. */
bool dyn_address_parse(const char *text, struct dyn_address *out);

/* 127.0.0.0/8, ::1 and localhost. */
bool dyn_address_is_loopback(const struct dyn_address *address);

#endif
