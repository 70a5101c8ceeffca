/*-------------------------------------------------------------------------
 *
 * config.h
 *      A node's settings, from one table: file, command line and help.
 *
 * A file has a line `name = value` for each setting (ZPL, as zconfig reads
 * it; # begins a comment; "quotes" keep what they enclose).  Each setting is
 * also a flag, --name value, which wins over the file.  Unknown names, values
 * out of range and settings given twice in the file are errors that name the
 * line and the nearest setting or the range.  setting.h has the table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_IO_CONFIG_H
#define DYN_IO_CONFIG_H

#include "core/effect.h"
#include "core/node.h"

struct dyn_config
{
	char data[4096];
	char listen[DYN_ADDRESS_SIZE_MAX + 1];
	char advertise[DYN_ADDRESS_SIZE_MAX + 1];
	char seeds[DYN_MEMBERS_MAX * 64];
	char cluster_name[256];
	char zone[64];
	char node_id[64];
	char ready_file[4096];
	char log_level[16];
	uint64_t n;
	uint64_t r;
	uint64_t w;
	uint64_t partitions;
	uint64_t value_size_max;
	uint64_t map_size_max;
	uint64_t request_timeout_ms;
	uint64_t hedge_ms;
	uint64_t heartbeat_ms;
	uint64_t silence_ms;
	uint64_t anti_entropy_ms; /* 0 = never */
	uint64_t scrub_ms;        /* 0 = never */
	uint64_t tombstone_grace_ms;
	uint64_t reap_ms; /* 0 = never */
	uint64_t requests_max;
	uint64_t insecure_listen; /* 0 or 1 */

	/* Derived from the others. */
	const char *seed_list[DYN_MEMBERS_MAX];
	uint32_t seed_count;
	char seed_bytes[DYN_MEMBERS_MAX * 64];
	enum dyn_log_level level;
	struct dyn_node_id member; /* node_id; all zero = none */
};

enum dyn_config_outcome
{
	DYN_CONFIG_RUN,
	DYN_CONFIG_HELP, /* --help or --version was answered */
	DYN_CONFIG_BAD   /* said on stderr */
};

/* Defaults, then the file named by -c, then flags; checked as a whole. What
 * is wrong is said on stderr. */
enum dyn_config_outcome dyn_config_read(struct dyn_config *self, int argc,
										char **argv);

/* What the core needs of it; borrows from self. */
struct dyn_node_config dyn_config_for_core(const struct dyn_config *self);

#endif
