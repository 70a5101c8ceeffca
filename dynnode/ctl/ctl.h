/*-------------------------------------------------------------------------
 *
 * ctl.h
 *      What the subcommands of dynctl share.
 *
 * Each takes the arguments behind its own name and returns an exit code: 0
 * done, 1 it failed (said on stderr), 2 wrong usage, 3 not found.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CTL_H
#define DYN_CTL_H

#include "io/client.h"
#include "model/object.h"

enum ctl_exit
{
	CTL_OK = 0,
	CTL_FAILED = 1,
	CTL_USAGE = 2,
	CTL_NOT_FOUND = 3
};

/* The flags that stand anywhere in the arguments; the rest are words. */
struct ctl_arguments
{
	const char *node; /* --node host:port */
	int timeout_ms;
	bool json;
	bool replica;
	bool receipt; /* --receipt */
	bool keys_only;
	const char *context;
	const char *mode;
	const char *prefix;
	const char *dir;
	const char *nodes;
	const char *base_port;
	const char *n;
	int r; /* 0 = the cluster's */
	int w;
	const char *partitions;
	const char *words[64];
	int word_count;
};

/* One connection's worth of state for a command. */
struct ctl
{
	struct ctl_arguments arguments;
	struct dyn_arena arena;
	struct dyn_client *client; /* to arguments.node */
	uint64_t view_ms; /* the earliest that nodes have told; 0 = none has */
	uint64_t view_at_ms; /* ... by the steady clock */
};

/* A number from min to max; false, and said with the flag's name, when it is
 * none.  text NULL: not given, *out stays. */
bool ctl_parse_number(const char *text, int min, int max, const char *name,
					  int *out);

/* Ask the node; on failure the error is printed and NULL comes back. */
void *ctl_ask(struct ctl *self, struct dyn_client *client,
			  enum dyn_message_type type, const ProtobufCMessage *body,
			  enum dyn_message_type reply_type);

/* HELLO; NULL (and said why) when it fails. */
Dyn__Welcome *ctl_hello(struct ctl *self, struct dyn_client *client);

/* The decoded ring of a WELCOME; false (and said) when it is not formed. */
bool ctl_ring(struct ctl *self, const Dyn__Welcome *welcome,
			  struct dyn_ring *ring);

/* The rows of an object as readers see them, or all with --replica; memory from
 * the arena.  OK, or the object is malformed. */
enum dyn_status ctl_rows(const struct ctl *self, struct dyn_slice encoded,
						 struct dyn_arena *arena, struct dyn_object *object,
						 struct dyn_row **rows, uint32_t *count);

/* A JSON string with quotes; bytes that are no UTF-8 as \u00xx. */
void ctl_print_json(struct dyn_slice bytes);

/* The time for which versions that expire are shown or not, as the nodes tell
 * it with what they answer (model/wall.h). */
void ctl_told_view(struct ctl *self, uint64_t view_ms);
uint64_t ctl_view_ms(const struct ctl *self);

/* As text when printable, else as \x hex. */
void ctl_print_value(struct dyn_slice bytes);

int ctl_status(struct ctl *self);
int ctl_ring_command(struct ctl *self);
int ctl_get(struct ctl *self);
int ctl_put(struct ctl *self);
int ctl_del(struct ctl *self);
int ctl_scan(struct ctl *self);
int ctl_bucket(struct ctl *self);
int ctl_repair(struct ctl *self);
int ctl_playground(struct ctl *self);

#endif
