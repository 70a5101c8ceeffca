/*
 * Settings at the start of dynnode: the file, then the flags, then what the
 * whole must satisfy; the core gets its part by dyn_config_for_core.  Single
 * settings are setting.c's.
 */
#include "io/config.h"

#include "io/address.h"
#include "io/setting.h"

#include <czmq.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum
{
	FILE_SIZE_MAX = 64 * 1024
};

/* --------------------------------------------------------------------- file */

/* The whole file, NUL at the end; malloc'ed.  NULL and said why not. */
static char *
load_text(const char *path)
{
	FILE *file = fopen(path, "re");
	char *text = malloc(FILE_SIZE_MAX + 1);
	size_t size = 0;
	const char *reason = NULL;

	if (file == NULL || text == NULL)
		reason = strerror(errno);
	else
	{
		size = fread(text, 1, FILE_SIZE_MAX + 1, file);
		/* A directory can be opened, but not read. */
		if (ferror(file))
			reason = strerror(errno);
		else if (size > FILE_SIZE_MAX)
			reason = "larger than 64 KiB";
		else if (memchr(text, 0, size) != NULL)
			reason = "not a text file";
	}
	if (file != NULL)
		fclose(file);
	if (reason == NULL)
	{
		text[size] = 0;
		return text;
	}
	fprintf(stderr, "dynnode: cannot read %s: %s\n", path, reason);
	free(text);
	return NULL;
}

/* lines_seen: where each setting stood, 0 = nowhere so far. */
static bool
take_line(struct dyn_config *self, zconfig_t *item, const char *path, int line,
		  int *lines_seen)
{
	const char *name = zconfig_name(item);
	const char *value = zconfig_value(item);
	const struct dyn_setting *setting = dyn_setting_find(name);
	char where[PATH_MAX + 128];

	snprintf(where, sizeof(where), "%s:%d", path, line);
	if (setting == NULL)
	{
		dyn_setting_refuse(where, name);
		return false;
	}
	if (lines_seen[setting - dyn_settings] != 0)
	{
		fprintf(stderr, "dynnode: %s: \"%s\" is set twice, first in line %d\n",
				where, name, lines_seen[setting - dyn_settings]);
		return false;
	}
	lines_seen[setting - dyn_settings] = line;
	snprintf(where, sizeof(where), "%s:%d: %s", path, line, name);
	return dyn_setting_set(self, setting, value ? value : "", where);
}

/*
 * zconfig does not tell in which line a setting stood.  So it is given one
 * line at a time, behind as many empty ones as stand before it: then its own
 * complaint about the form names the right line, too.
 */
static bool
read_line(struct dyn_config *self, const char *path, const char *text, int line,
		  int *lines_seen)
{
	size_t size = strcspn(text, "\n");
	size_t before = (size_t) line - 1;
	char *alone;
	zconfig_t *root;
	bool good;

	if (text[strspn(text, " \t\r")] == '#' || strspn(text, " \t\r") == size)
		return true;
	alone = malloc(before + size + 2);
	if (alone == NULL)
		return false;
	memset(alone, '\n', before);
	memcpy(alone + before, text, size);
	memcpy(alone + before + size, "\n", 2);
	root = zconfig_str_load(alone);
	free(alone);
	if (root == NULL || zconfig_child(root) == NULL)
	{
		fprintf(stderr, "dynnode: %s:%d: not in the form name = value\n", path,
				line);
		good = false;
	}
	else
		good = take_line(self, zconfig_child(root), path, line, lines_seen);
	zconfig_destroy(&root);
	return good;
}

/* Goes on after a mistake, to tell of all of them at once. */
static bool
read_file(struct dyn_config *self, const char *path)
{
	int lines_seen[DYN_SETTINGS_MAX] = { 0 };
	char *text = load_text(path);
	bool good = text != NULL;
	const char *next = text;

	for (int line = 1; next != NULL; line++)
	{
		good = read_line(self, path, next, line, lines_seen) && good;
		next = strchr(next, '\n');
		if (next != NULL)
			next++;
	}
	free(text);
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
		"file; flags win):\n");
	for (int i = 0; i < dyn_setting_count; i++)
		printf("  --%-20s %s%s%s%s\n", dyn_settings[i].name,
			   dyn_settings[i].help, dyn_settings[i].normal[0] ? " [" : "",
			   dyn_settings[i].normal, dyn_settings[i].normal[0] ? "]" : "");
	printf(
		"\nexit codes: 0 stopped by a signal, 1 cannot start, 2 bad settings, "
		"3 the store failed\n");
}

/* One argument with its value; setting NULL: one of those that are none. */
struct flag
{
	char name[64];
	const struct dyn_setting *setting;
	const char *value;
};

static bool
is_word_of(const char *name, const char *long_name, const char *short_name)
{
	return strcmp(name, long_name) == 0 || strcmp(name, short_name) == 0;
}

/* --name value, --name=value, -c FILE and -n 3 (names of one letter).  Moves
 * *at behind it. */
static bool
next_flag(int argc, char **argv, int *at, struct flag *out)
{
	const char *word = argv[(*at)++];
	size_t dashes = strspn(word, "-");
	const char *name = word + dashes;
	size_t size = strcspn(name, "=");

	*out = (struct flag){ 0 };
	if (size >= sizeof(out->name) || dashes > 2 || dashes < 1 || size == 0 ||
		(dashes == 1 && size > 1))
	{
		fprintf(stderr, "dynnode: \"%s\" is not a flag (--help lists all)\n",
				word);
		return false;
	}
	memcpy(out->name, name, size);
	if (is_word_of(out->name, "help", "h") || strcmp(out->name, "version") == 0)
		return true;
	out->setting = dyn_setting_find(out->name);
	if (out->setting == NULL && !is_word_of(out->name, "config", "c"))
	{
		dyn_setting_refuse("command line", out->name);
		return false;
	}
	if (name[size] == '=')
		out->value = name + size + 1;
	else if (out->setting != NULL && out->setting->kind == DYN_SETTING_SWITCH)
		out->value = "1";
	else if (*at < argc)
		out->value = argv[(*at)++];
	if (out->value == NULL)
		fprintf(stderr, "dynnode: %s needs a value\n", word);
	return out->value != NULL;
}

/* What is no setting: help, version, and which file to read first. */
static enum dyn_config_outcome
read_others(int argc, char **argv, const char **path)
{
	struct flag flag;

	for (int at = 1; at < argc;)
	{
		if (!next_flag(argc, argv, &at, &flag))
			return DYN_CONFIG_BAD;
		if (flag.setting != NULL)
			continue;
		if (flag.value != NULL)
		{
			*path = flag.value;
			continue;
		}
		if (flag.name[0] == 'h')
			print_help();
		else
			printf("dynnode %s\n", DYN_VERSION);
		return DYN_CONFIG_HELP;
	}
	return DYN_CONFIG_RUN;
}

static bool
read_flags(struct dyn_config *self, int argc, char **argv)
{
	struct flag flag;
	char where[80];

	for (int at = 1; at < argc;)
	{
		if (!next_flag(argc, argv, &at, &flag))
			return false;
		snprintf(where, sizeof(where), "--%s", flag.name);
		if (flag.setting != NULL &&
			!dyn_setting_set(self, flag.setting, flag.value, where))
			return false;
	}
	return true;
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
check_node_id(struct dyn_config *self)
{
	if (self->node_id[0] == 0)
		return true;
	if (dyn_node_id_parse(self->node_id, &self->member) &&
		!dyn_node_id_is_zero(&self->member))
		return true;
	fprintf(stderr,
			"dynnode: node-id: \"%s\" is not a member's id of 32 hexadecimal "
			"digits\n",
			self->node_id);
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
	if (self->silence_ms <= self->heartbeat_ms)
	{
		fprintf(stderr,
				"dynnode: silence-ms: %llu is not longer than heartbeat-ms "
				"(%llu): every node would seem down\n",
				(unsigned long long) self->silence_ms,
				(unsigned long long) self->heartbeat_ms);
		return false;
	}
	return split_seeds(self) && check_seeds(self) && check_level(self) &&
		   check_node_id(self);
}

enum dyn_config_outcome
dyn_config_read(struct dyn_config *self, int argc, char **argv)
{
	const char *path = NULL;
	enum dyn_config_outcome outcome = read_others(argc, argv, &path);

	memset(self, 0, sizeof(*self));
	if (outcome != DYN_CONFIG_RUN)
		return outcome;
	for (int i = 0; i < dyn_setting_count; i++)
		dyn_setting_set(self, &dyn_settings[i], dyn_settings[i].normal,
						dyn_settings[i].name);
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
		.is_relayed = strcmp(self->listen, self->advertise) != 0,
		.seeds = self->seed_list,
		.seed_count = self->seed_count,
		.node_id = self->member,
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
		.anti_entropy_ms = self->anti_entropy_ms != 0
							   ? (uint32_t) self->anti_entropy_ms
							   : DYN_ANTI_ENTROPY_NEVER,
		.scrub_ms =
			self->scrub_ms != 0 ? (uint32_t) self->scrub_ms : DYN_SCRUB_NEVER,
		.tombstone_grace_ms = (uint32_t) self->tombstone_grace_ms,
		.reap_ms =
			self->reap_ms != 0 ? (uint32_t) self->reap_ms : DYN_REAP_NEVER,
		.requests_max = (uint32_t) self->requests_max
	};
}
