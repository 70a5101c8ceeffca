/*
 * host:port taken apart.  Settings, the transport and dynctl read addresses by
 * this and by nothing else.
 */
#include "io/address.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

bool
dyn_address_parse(const char *text, struct dyn_address *out)
{
	const char *colon = strrchr(text, ':');
	size_t host_size = colon ? (size_t) (colon - text) : 0;
	char *end;
	long port;

	if (host_size == 0 || strlen(text) > DYN_ADDRESS_SIZE_MAX ||
		colon[1] < '0' || colon[1] > '9' || strchr(text, ' ') != NULL ||
		strchr(text, '/') != NULL)
		return false;
	/* An IPv6 address needs brackets, or its last group would be the port. */
	if (text[0] != '[' && memchr(text, ':', host_size) != NULL)
		return false;
	port = strtol(colon + 1, &end, 10);
	if (*end != 0 || port < 1 || port > 65533)
		return false;
	memcpy(out->host, text, host_size);
	out->host[host_size] = 0;
	out->port = (int) port;
	return true;
}

bool
dyn_address_is_loopback(const struct dyn_address *address)
{
	struct in_addr bytes;

	if (strcmp(address->host, "localhost") == 0 ||
		strcmp(address->host, "[::1]") == 0)
		return true;
	/* A name may begin with "127." as well; only an address is one. */
	return inet_pton(AF_INET, address->host, &bytes) == 1 &&
		   ntohl(bytes.s_addr) >> 24 == 127;
}
