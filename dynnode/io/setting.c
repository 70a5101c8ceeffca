/*
 * The table of settings, and one value into its place.  config.c walks it for
 * the file, for flags and for --help.
 */
#include "io/setting.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_OF(field)                                                         \
	DYN_SETTING_TEXT, offsetof(struct dyn_config, field), 0,                   \
		sizeof(((struct dyn_config *) 0)->field)
#define NUMBER_OF(field, min, max)                                             \
	DYN_SETTING_NUMBER, offsetof(struct dyn_config, field), min, max
#define SIZE_OF(field, min, max)                                               \
	DYN_SETTING_SIZE, offsetof(struct dyn_config, field), min, max

const struct dyn_setting dyn_settings[] = {
	{ "data", TEXT_OF(data), "./dynnode-data",
	  "directory of this node's store; made when missing" },
	{ "listen", TEXT_OF(listen), "127.0.0.1:7001",
	  "host:port for clients; the two ports above are for nodes" },
	{ "advertise", TEXT_OF(advertise), "",
	  "host:port as others reach this node (default: listen)" },
	{ "seeds", TEXT_OF(seeds), "",
	  "host:port,... of all founding nodes, the founder first (default: this "
	  "node alone)" },
	{ "cluster-name", TEXT_OF(cluster_name), "dynamo",
	  "nodes with another name are refused" },
	{ "node-id", TEXT_OF(node_id), "",
	  "of the member whose lost store this new one replaces (dynctl ring)" },
	{ "zone", TEXT_OF(zone), "", "where this node stands" },
	{ "n", NUMBER_OF(n, 0, 8), "0",
	  "replicas of a key, when founding (0: min(3, nodes))" },
	{ "r", NUMBER_OF(r, 0, 8), "0", "answers a read needs (0: a majority)" },
	{ "w", NUMBER_OF(w, 0, 8), "0", "commits a write needs (0: a majority)" },
	{ "partitions", NUMBER_OF(partitions, 0, 4096), "256",
	  "a power of two, when founding" },
	{ "value-size-max", SIZE_OF(value_size_max, 1, 16 << 20), "1M",
	  "largest value, when founding" },
	{ "map-size-max", SIZE_OF(map_size_max, 1 << 20, (uint64_t) 1 << 46),
	  "1024G", "disk space the store may take" },
	{ "request-timeout-ms", NUMBER_OF(request_timeout_ms, 10, 3600000), "5000",
	  "longest time a request may take" },
	{ "hedge-ms", NUMBER_OF(hedge_ms, 1, 60000), "50",
	  "after so long another replica is asked too" },
	{ "heartbeat-ms", NUMBER_OF(heartbeat_ms, 10, 60000), "500",
	  "pace of heartbeats" },
	{ "silence-ms", NUMBER_OF(silence_ms, 20, 600000), "3000",
	  "a node not heard of for so long counts as down" },
	{ "anti-entropy-ms", NUMBER_OF(anti_entropy_ms, 0, 86400000), "5000",
	  "pace at which replicas are compared and mended (0: never)" },
	{ "scrub-ms", NUMBER_OF(scrub_ms, 0, 86400000), "2000",
	  "pace at which 64 KiB of records are read and checked (0: never)" },
	{ "tombstone-grace-ms",
	  NUMBER_OF(tombstone_grace_ms, 1, UINT64_C(31) * 86400000), "86400000",
	  "what is deleted or has expired is kept for so long" },
	{ "reap-ms", NUMBER_OF(reap_ms, 0, 86400000), "60000",
	  "pace at which it is looked for, and removed (0: never)" },
	{ "requests-max", NUMBER_OF(requests_max, 1, 1000000), "4096",
	  "requests in flight, then OVERLOAD" },
	{ "log-level", TEXT_OF(log_level), "info",
	  "error, warning, info or debug" },
	{ "ready-file", TEXT_OF(ready_file), "",
	  "written (with the process id) when the node listens" },
	{ "insecure-listen", DYN_SETTING_SWITCH,
	  offsetof(struct dyn_config, insecure_listen), 0, 1, "0",
	  "allow an address other nodes of the network can reach: there is no "
	  "encryption and no authentication yet" },
};

const int dyn_setting_count = sizeof(dyn_settings) / sizeof(dyn_settings[0]);

_Static_assert(sizeof(dyn_settings) / sizeof(dyn_settings[0]) <=
				   DYN_SETTINGS_MAX,
			   "more settings than setting.h says");

/* ------------------------------------------------------------------- values */

static bool
parse_number(const struct dyn_setting *setting, const char *text, uint64_t *out)
{
	char *end;
	unsigned long long value;
	unsigned shift = 0;

	errno = 0;
	if (text[0] < '0' || text[0] > '9')
		return false;
	value = strtoull(text, &end, 10);
	if (errno != 0)
		return false;
	if (setting->kind == DYN_SETTING_SIZE && *end != 0)
	{
		switch (*end++)
		{
			case 'k':
			case 'K':
				shift = 10;
				break;
			case 'm':
			case 'M':
				shift = 20;
				break;
			case 'g':
			case 'G':
				shift = 30;
				break;
			default:
				return false;
		}
	}
	if (*end != 0 || value > (UINT64_MAX >> shift))
		return false;
	*out = (uint64_t) value << shift;
	return true;
}

bool
dyn_setting_set(struct dyn_config *self, const struct dyn_setting *setting,
				const char *text, const char *where)
{
	void *field = (char *) self + setting->offset;
	uint64_t number;

	if (setting->kind == DYN_SETTING_TEXT)
	{
		if (strlen(text) >= setting->max)
		{
			fprintf(stderr, "dynnode: %s: longer than %llu bytes\n", where,
					(unsigned long long) setting->max - 1);
			return false;
		}
		memset(field, 0, setting->max);
		memcpy(field, text, strlen(text));
		return true;
	}
	if (setting->kind == DYN_SETTING_SWITCH &&
		(strcmp(text, "yes") == 0 || strcmp(text, "no") == 0))
		text = text[0] == 'y' ? "1" : "0";
	if (!parse_number(setting, text, &number) || number < setting->min ||
		number > setting->max)
	{
		fprintf(stderr,
				"dynnode: %s: \"%s\" is not a number from %llu to %llu%s\n",
				where, text, (unsigned long long) setting->min,
				(unsigned long long) setting->max,
				setting->kind == DYN_SETTING_SIZE ? " (K, M and G may follow)"
												  : "");
		return false;
	}
	*(uint64_t *) field = number;
	return true;
}

const struct dyn_setting *
dyn_setting_find(const char *name)
{
	for (int i = 0; i < dyn_setting_count; i++)
		if (strcmp(dyn_settings[i].name, name) == 0)
			return &dyn_settings[i];
	return NULL;
}

/* How many letters two names share at their beginning: enough for a hint. */
static size_t
likeness(const char *a, const char *b)
{
	size_t same = 0;

	while (a[same] != 0 && a[same] == b[same])
		same++;
	return same;
}

void
dyn_setting_refuse(const char *where, const char *name)
{
	const struct dyn_setting *best = NULL;

	for (int i = 0; i < dyn_setting_count; i++)
		if (likeness(dyn_settings[i].name, name) >= 1 &&
			(best == NULL ||
			 likeness(dyn_settings[i].name, name) > likeness(best->name, name)))
			best = &dyn_settings[i];
	fprintf(stderr, "dynnode: %s: there is no setting \"%s\"", where, name);
	if (best != NULL)
		fprintf(stderr, "; perhaps \"%s\"?", best->name);
	fprintf(stderr, " (--help lists all)\n");
}
