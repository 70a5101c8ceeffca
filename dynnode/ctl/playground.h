/*-------------------------------------------------------------------------
 *
 * playground.h
 *      The processes of a playground: playground_node.c starts, finds and
 *      signals them, playground.c has the commands.
 *
 * Everything lies in one directory:
 *
 *     DIR/playground    settings: nodes, base port, n, r, w, partitions
 *     DIR/node1/        data/, log, pid
 *
 * Node I listens on base-port + 10 * (I - 1).  A process is only ever
 * signalled after its command line was seen to name the node's own directory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CTL_PLAYGROUND_H
#define DYN_CTL_PLAYGROUND_H

#include "ctl/ctl.h"

#include <sys/types.h>

enum
{
	CTL_PORT_STEP = 10,
	CTL_STOP_WAIT_MS = 5000,
	CTL_START_WAIT_MS = 15000,
	CTL_PATH_SIZE = 4096
};

struct playground
{
	struct ctl *ctl;
	char dir[CTL_PATH_SIZE - 256]; /* absolute */
	int nodes;
	int base_port;
	int n;
	int r;
	int w;
	int partitions;
};

enum ctl_node_status
{
	CTL_NODE_STOPPED,
	CTL_NODE_RUNNING,
	CTL_NODE_PAUSED
};

extern const char *const ctl_node_status_names[];

/* Say it on stderr; CTL_FAILED. */
int ctl_complain(const char *text, const char *detail);

void ctl_node_address(const struct playground *self, int node, char out[64]);

/* All addresses, as the option nodes of a server wants them. */
void ctl_list_seeds(const struct playground *self, char *out, size_t size);

/* *pid is 0 when it is stopped. */
enum ctl_node_status ctl_node_state(const struct playground *self, int node,
									pid_t *pid);

/* True when the process runs dynnode; it may still find that it cannot. */
bool ctl_node_start(const struct playground *self, int node);

/*
 * Until the nodes from first to last listen and have found all that live.
 * False, and said whose log tells why, as soon as one of them has ended, or
 * after CTL_START_WAIT_MS each.
 */
bool ctl_node_wait_formed(const struct playground *self, int first, int last);

/* False, and said, when it is not running. */
bool ctl_node_signal(const struct playground *self, int node, int number);
void ctl_node_wait_stopped(const struct playground *self, int node,
						   int wait_ms);

#endif
