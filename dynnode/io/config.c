#include "io/config.h"

#include "io/address.h"

#include <czmq.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum kind
{
	TEXT,
	NUMBER,
	SIZE, /* a number with K, M or G */
	SWITCH
};

struct setting
{
	const char *name;
	enum kind kind;
	size_t offset;
	uint64_t min; /* TEXT: unused */
	uint64_t max; /* TEXT: room, NUL included */
	const char *normal;
	const char *help;
};

#define TEXT_OF(field)                                                         \
	TEXT, offsetof(struct dyn_config, field), 0,                               \
		sizeof(((struct dyn_config *) 0)->field)
#define NUMBER_OF(field, min, max)                                             \
	NUMBER, offsetof(struct dyn_config, field), min, max
#define SIZE_OF(field, min, max)                                               \
	SIZE, offsetof(struct dyn_config, field), min, max

static const struct setting settings[] = {
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
	{ "requests-max", NUMBER_OF(requests_max, 1, 1000000), "4096",
	  "requests in flight, then OVERLOAD" },
	{ "log-level", TEXT_OF(log_level), "info",
	  "error, warning, info or debug" },
	{ "ready-file", TEXT_OF(ready_file), "",
	  "written (with the process id) when the node listens" },
	{ "insecure-listen", SWITCH, offsetof(struct dyn_config, insecure_listen),
	  0, 1, "0",
	  "allow an address other nodes of the network can reach: there is no "
	  "encryption and no authentication yet" },
};

enum
{
	SETTING_COUNT = sizeof(settings) / sizeof(settings[0])
};

/* ------------------------------------------------------------------- values */

static bool
parse_number(const struct setting *setting, const char *text, uint64_t *out)
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
	if (setting->kind == SIZE && *end != 0)
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

/* where: "--n" or "FILE: n", for the message. */
static bool
set(struct dyn_config *self, const struct setting *setting, const char *text,
	const char *where)
{
	void *field = (char *) self + setting->offset;
	uint64_t number;

	if (setting->kind == TEXT)
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
	if (setting->kind == SWITCH &&
		(strcmp(text, "yes") == 0 || strcmp(text, "no") == 0))
		text = text[0] == 'y' ? "1" : "0";
	if (!parse_number(setting, text, &number) || number < setting->min ||
		number > setting->max)
	{
		fprintf(stderr,
				"dynnode: %s: \"%s\" is not a number from %llu to %llu%s\n",
				where, text, (unsigned long long) setting->min,
				(unsigned long long) setting->max,
				setting->kind == SIZE ? " (K, M and G may follow)" : "");
		return false;
	}
	*(uint64_t *) field = number;
	return true;
}

static const struct setting *
find(const char *name)
{
	for (int i = 0; i < SETTING_COUNT; i++)
		if (strcmp(settings[i].name, name) == 0)
			return &settings[i];
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

static void
refuse_unknown(const char *where, const char *name)
{
	const struct setting *best = NULL;

	for (int i = 0; i < SETTING_COUNT; i++)
		if (likeness(settings[i].name, name) >= 1 &&
			(best == NULL ||
			 likeness(settings[i].name, name) > likeness(best->name, name)))
			best = &settings[i];
	fprintf(stderr, "dynnode: %s: there is no setting \"%s\"", where, name);
	if (best != NULL)
		fprintf(stderr, "; perhaps \"%s\"?", best->name);
	fprintf(stderr, " (--help lists all)\n");
}

/* --------------------------------------------------------------------- file */

static bool
read_file(struct dyn_config *self, const char *path)
{
	zconfig_t *root;
	bool seen[SETTING_COUNT] = { false };
	bool good = true;

	errno = 0;
	root = zconfig_load(path);
	if (root == NULL)
	{
		fprintf(stderr, "dynnode: cannot read %s: %s\n", path,
				errno ? strerror(errno) : "not in the form name = value");
		return false;
	}
	for (zconfig_t *item = zconfig_child(root); item != NULL;
		 item = zconfig_next(item))
	{
		const char *name = zconfig_name(item);
		const struct setting *setting = find(name);
		char where[4200];

		snprintf(where, sizeof(where), "%s: %s", path, name);
		if (setting == NULL)
			refuse_unknown(path, name);
		else if (seen[setting - settings])
		{
			fprintf(stderr, "dynnode: %s is given twice\n", where);
			good = false;
		}
		else
			seen[setting - settings] = true;
		good = setting != NULL &&
			   set(self, setting,
				   zconfig_value(item) ? zconfig_value(item) : "", where) &&
			   good;
	}
	zconfig_destroy(&root);
	return good;
}

/* ------------------------------------------------------------- command line */

static void
print_help(void)
{
	printf(
		"dynnode: one node of a dynamo_fdw cluster\n\n"
		"usage: dynnode [-c FILE] [--setting value ...]\n\n"
		"With no arguments: one node alone, data in ./dynnode-data, clients "
		"at 127.0.0.1:7001.\n\nsettings (as flags, or as name = value in the "
		"file):\n");
	for (int i = 0; i < SETTING_COUNT; i++)
		printf("  --%-20s %s%s%s%s\n", settings[i].name, settings[i].help,
			   settings[i].normal[0] ? " [" : "", settings[i].normal,
			   settings[i].normal[0] ? "]" : "");
	printf(
		"\nexit codes: 0 stopped by a signal, 1 cannot start, 2 bad settings, "
		"3 the store failed\n");
}

/* Flags only; the file has been read. */
static bool
read_flags(struct dyn_config *self, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
	{
		const char *flag = argv[i];
		const struct setting *setting;
		const char *equals;
		char name[64] = "";

		if (strcmp(flag, "-c") == 0 || strcmp(flag, "--config") == 0)
		{
			i++;
			continue;
		}
		if (strncmp(flag, "--", 2) != 0)
		{
			fprintf(stderr,
					"dynnode: \"%s\" is not a flag (--help lists all)\n", flag);
			return false;
		}
		equals = strchr(flag, '=');
		snprintf(name, sizeof(name), "%.*s",
				 equals ? (int) (equals - flag - 2) : 63, flag + 2);
		setting = find(name);
		if (setting == NULL)
		{
			refuse_unknown("command line", name);
			return false;
		}
		if (equals == NULL && setting->kind == SWITCH)
			equals = "=1";
		if (equals == NULL && ++i == argc)
		{
			fprintf(stderr, "dynnode: --%s needs a value\n", name);
			return false;
		}
		if (!set(self, setting, equals ? equals + 1 : argv[i], flag))
			return false;
	}
	return true;
}

static const char *
config_path(int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--config") == 0)
			return argv[i + 1];
	return NULL;
}

/* ---------------------------------------------------------------- the whole */

static bool
check_address(const char *name, const char *text)
{
	struct dyn_address address;

	if (dyn_address_parse(text, &address))
		return true;
	fprintf(stderr,
			"dynnode: %s: \"%s\" is not host:port with a port from 1 to "
			"65533\n",
			name, text);
	return false;
}

static bool
split_seeds(struct dyn_config *self)
{
	char *next = self->seed_bytes;

	memcpy(self->seed_bytes, self->seeds[0] ? self->seeds : self->advertise,
		   strlen(self->seeds[0] ? self->seeds : self->advertise) + 1);
	while (next != NULL)
	{
		char *comma = strchr(next, ',');

		if (comma != NULL)
			*comma++ = 0;
		if (self->seed_count == DYN_MEMBERS_MAX)
		{
			fprintf(stderr, "dynnode: seeds: a cluster has at most %d nodes\n",
					DYN_MEMBERS_MAX);
			return false;
		}
		if (!check_address("seeds", next))
			return false;
		for (uint32_t i = 0; i < self->seed_count; i++)
			if (strcmp(self->seed_list[i], next) == 0)
			{
				fprintf(stderr, "dynnode: seeds: %s is named twice\n", next);
				return false;
			}
		self->seed_list[self->seed_count++] = next;
		next = comma;
	}
	return true;
}

static bool
check_seeds(const struct dyn_config *self)
{
	for (uint32_t i = 0; i < self->seed_count; i++)
		if (strcmp(self->seed_list[i], self->advertise) == 0)
			return true;
	fprintf(stderr,
			"dynnode: seeds: this node's own address %s is not among them (as "
			"others write it; see advertise)\n",
			self->advertise);
	return false;
}

static bool
check_level(struct dyn_config *self)
{
	static const char *const names[] = { "error", "warning", "info", "debug" };

	for (int i = 0; i < 4; i++)
		if (strcmp(names[i], self->log_level) == 0)
		{
			self->level = (enum dyn_log_level) i;
			return true;
		}
	fprintf(stderr,
			"dynnode: log-level: \"%s\" is not error, warning, info or debug\n",
			self->log_level);
	return false;
}

static bool
finish(struct dyn_config *self)
{
	struct dyn_address address;

	if (!check_address("listen", self->listen))
		return false;
	if (self->advertise[0] == 0)
		memcpy(self->advertise, self->listen, sizeof(self->advertise));
	if (!check_address("advertise", self->advertise))
		return false;
	dyn_address_parse(self->listen, &address);
	if (!dyn_address_is_loopback(&address) && !self->insecure_listen)
	{
		fprintf(stderr,
				"dynnode: listen: %s can be reached from the network, and "
				"nothing here is encrypted or authenticated yet; "
				"--insecure-listen allows it all the same\n",
				self->listen);
		return false;
	}
	if (self->partitions & (self->partitions - 1))
	{
		fprintf(stderr, "dynnode: partitions: not a power of two\n");
		return false;
	}
	return split_seeds(self) && check_seeds(self) && check_level(self);
}

enum dyn_config_outcome
dyn_config_read(struct dyn_config *self, int argc, char **argv)
{
	const char *path = config_path(argc, argv);

	memset(self, 0, sizeof(*self));
	for (int i = 1; i < argc; i++)
	{
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
		{
			print_help();
			return DYN_CONFIG_HELP;
		}
		if (strcmp(argv[i], "--version") == 0)
		{
			printf("dynnode %s\n", DYN_VERSION);
			return DYN_CONFIG_HELP;
		}
	}
	for (int i = 0; i < SETTING_COUNT; i++)
		set(self, &settings[i], settings[i].normal, settings[i].name);
	if (path != NULL && !read_file(self, path))
		return DYN_CONFIG_BAD;
	if (!read_flags(self, argc, argv) || !finish(self))
		return DYN_CONFIG_BAD;
	return DYN_CONFIG_RUN;
}

struct dyn_node_config
dyn_config_for_core(const struct dyn_config *self)
{
	return (struct dyn_node_config){
		.cluster_name = self->cluster_name,
		.address = self->advertise,
		.seeds = self->seed_list,
		.seed_count = self->seed_count,
		.zone = self->zone,
		.version = "dynnode " DYN_VERSION,
		.n = (uint8_t) self->n,
		.r = (uint8_t) self->r,
		.w = (uint8_t) self->w,
		.partition_count = (uint16_t) self->partitions,
		.value_size_max = (uint32_t) self->value_size_max,
		.request_timeout_ms = (uint32_t) self->request_timeout_ms,
		.hedge_ms = (uint32_t) self->hedge_ms,
		.heartbeat_ms = (uint32_t) self->heartbeat_ms,
		.silence_ms = (uint32_t) self->silence_ms,
		.requests_max = (uint32_t) self->requests_max
	};
}
