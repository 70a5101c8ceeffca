/* get, put, del: one key. */
#include "ctl/ctl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum
{
	PUT_TRIES = 5,       /* in some 2 s */
	DRIFT_DIVISOR = 1000 /* clocks differ by less than this part */
};

/* ---------------------------------------------------------------- receipts */

static void
print_slots(const char *what, const uint32_t *slots, size_t count, bool json)
{
	if (json)
		printf(", \"%s\": [", what);
	else if (count != 0)
		printf("; %s: slot", what);
	for (size_t i = 0; i < count; i++)
		printf(json ? "%s%" PRIu32 : "%s %" PRIu32, i == 0 ? "" : ",",
			   slots[i]);
	if (json)
		printf("]");
}

/* What an answer rests on: replicas by their slots of the partition. */
static void
print_receipt(const struct ctl *self, const Dyn__Receipt *receipt)
{
	bool json = self->arguments.json;

	if (receipt == NULL || (!json && !self->arguments.receipt))
		return;
	if (json)
		printf(", \"receipt\": {\"needed\": %" PRIu32, receipt->needed);
	else
		printf("needed: %" PRIu32, receipt->needed);
	print_slots("answered", receipt->answered, receipt->n_answered, json);
	print_slots("fallbacks", receipt->fallbacks, receipt->n_fallbacks, json);
	print_slots("silent", receipt->silent, receipt->n_silent, json);
	printf(json ? "}" : "\n");
}

/* ----------------------------------------------------------------- reading */

static void
print_row(struct ctl *self, const struct dyn_row *row, bool first)
{
	char *clock = "";

	dyn_clock_format(&row->clock, &self->arena.allocator, &clock);
	if (self->arguments.json)
	{
		printf("%s{\"value\": ", first ? "" : ", ");
		ctl_print_json(row->version->value);
		printf(", \"vclock\": \"%s\", \"written_at_ms\": %" PRIu64 "}", clock,
			   row->version->written_at_ms);
		return;
	}
	ctl_print_value(row->version->value);
	printf("\t%s\n", clock);
}

/* The rows of an object; false when it is malformed. */
static bool
print_object(struct ctl *self, struct dyn_slice encoded,
			 const Dyn__Receipt *receipt)
{
	struct dyn_object object;
	struct dyn_row *rows;
	uint32_t count;
	char *context = "";

	if (ctl_rows(self, encoded, &self->arena, &object, &rows, &count) !=
		DYN_STATUS_OK)
	{
		fprintf(stderr, "dynctl: the node sent a malformed object\n");
		return false;
	}
	dyn_clock_format(&object.context, &self->arena.allocator, &context);
	if (self->arguments.json)
		printf("{\"context\": \"%s\", \"rows\": [", context);
	else if (count == 0)
		printf("deleted\t%s\n", context);
	for (uint32_t i = 0; i < count; i++)
		print_row(self, &rows[i], i == 0);
	if (self->arguments.json)
		printf("]");
	print_receipt(self, receipt);
	if (self->arguments.json)
		printf("}\n");
	return true;
}

static int
fail(const char *what, uint32_t status, const char *text)
{
	fprintf(stderr, "dynctl: %s: %s: %s\n", what,
			dyn_status_name((enum dyn_status) status),
			text && text[0] ? text : dyn_status_text((enum dyn_status) status));
	return status == DYN_STATUS_NOT_FOUND ? CTL_NOT_FOUND : CTL_FAILED;
}

/* This node's own record, and nobody else's word. */
static int
get_replica(struct ctl *self, ProtobufCBinaryData *key)
{
	Dyn__ReadRequest request = DYN__READ_REQUEST__INIT;
	const Dyn__ReadReply *reply;
	const Dyn__ReadResult *result;

	request.bucket = dyn_bytes_of_slice(dyn_slice_of(self->arguments.words[0]));
	request.n_keys = 1;
	request.keys = key;
	reply = ctl_ask(self, self->client, DYN_MESSAGE_READ, &request.base,
					DYN_MESSAGE_READ_REPLY);
	if (reply == NULL || reply->n_results != 1)
		return CTL_FAILED;
	result = reply->results[0];
	if (result->status != DYN_STATUS_OK)
		return fail("get", result->status, NULL);
	return print_object(self, dyn_slice_of_bytes(result->object), NULL)
			   ? CTL_OK
			   : CTL_FAILED;
}

static const Dyn__GetResult *
get(struct ctl *self, ProtobufCBinaryData *key)
{
	Dyn__GetRequest request = DYN__GET_REQUEST__INIT;
	const Dyn__GetReply *reply;

	request.bucket = dyn_bytes_of_slice(dyn_slice_of(self->arguments.words[0]));
	request.n_keys = 1;
	request.keys = key;
	request.r = (uint32_t) self->arguments.r;
	reply = ctl_ask(self, self->client, DYN_MESSAGE_GET, &request.base,
					DYN_MESSAGE_GET_REPLY);
	if (reply == NULL || reply->n_results != 1)
		return NULL;
	ctl_told_view(self, reply->view_ms);
	return reply->results[0];
}

int
ctl_get(struct ctl *self)
{
	ProtobufCBinaryData key;
	const Dyn__GetResult *result;

	if (self->arguments.word_count != 2)
		return CTL_USAGE;
	key = dyn_bytes_of_slice(dyn_slice_of(self->arguments.words[1]));
	if (self->arguments.replica)
		return get_replica(self, &key);
	result = get(self, &key);
	if (result == NULL)
		return CTL_FAILED;
	if (result->status != DYN_STATUS_OK)
		return fail("get", result->status, result->text);
	return print_object(self, dyn_slice_of_bytes(result->object),
						result->receipt)
			   ? CTL_OK
			   : CTL_FAILED;
}

/* ----------------------------------------------------------------- writing */

static bool
read_stdin(struct ctl *self, struct dyn_slice *out)
{
	size_t capacity = 64 * 1024;
	uint8_t *bytes = malloc(capacity);
	size_t size = 0;
	ssize_t got = -1;

	while (bytes != NULL &&
		   (got = read(STDIN_FILENO, bytes + size, capacity - size)) > 0)
	{
		size += (size_t) got;
		if (size == capacity)
		{
			uint8_t *more = capacity <= DYN_VALUE_SIZE_MAX
								? realloc(bytes, capacity * 2)
								: NULL;

			if (more == NULL)
			{
				free(bytes);
				return false;
			}
			bytes = more;
			capacity *= 2;
		}
	}
	/* Half a value is none. */
	if (got == 0)
		*out = dyn_arena_copy(&self->arena, (struct dyn_slice){ bytes, size });
	free(bytes);
	return got == 0;
}

static bool
parse_mode(const char *text, Dyn__PutMode *mode)
{
	static const char *const names[] = { "sibling", "create", "replace",
										 "guarded" };

	for (int i = 0; text != NULL && i < 4; i++)
		if (strcmp(text, names[i]) == 0)
		{
			*mode = (Dyn__PutMode) i;
			return true;
		}
	return text == NULL;
}

static bool
parse_context(struct ctl *self, ProtobufCBinaryData *out)
{
	struct dyn_clock clock;
	struct dyn_slice encoded;

	if (self->arguments.context == NULL)
		return true;
	if (dyn_clock_parse(dyn_slice_of(self->arguments.context),
						&self->arena.allocator, &clock) != DYN_STATUS_OK ||
		dyn_clock_encode(&clock, &self->arena.allocator, &encoded) !=
			DYN_STATUS_OK)
	{
		fprintf(stderr, "dynctl: --context: not a clock, as get prints it: "
						"{a1b2c3d4e5f60718.1:3,...}\n");
		return false;
	}
	*out = dyn_bytes_of_slice(encoded);
	return true;
}

/* Did nobody store it, and may the same node soon? */
static bool
is_for_now(enum dyn_status status, const Dyn__PutReply *reply)
{
	if (status == DYN_STATUS_OK && reply->n_results == 1)
		status = (enum dyn_status) reply->results[0]->status;
	return status == DYN_STATUS_OVERLOAD || status == DYN_STATUS_LATE;
}

/* It may not begin to act when nobody waits for it any more: until when, by the
 * clock that the node tells now. */
static bool
bound_time(struct ctl *self, Dyn__PutRequest *request)
{
	uint64_t timeout_ms = (uint64_t) self->arguments.timeout_ms;
	const Dyn__Welcome *welcome = ctl_hello(self, self->client);

	if (welcome == NULL)
		return false;
	request->process = welcome->process;
	request->act_until_ms =
		welcome->uptime_ms + timeout_ms - timeout_ms / DRIFT_DIVISOR;
	return true;
}

/* A node that has no room now, or found it too late, has passed the write on to
 * nobody: the same one again, some moments later. */
static const Dyn__PutReply *
ask_to_put(struct ctl *self, Dyn__PutRequest *request)
{
	const char *text = "";
	void *reply = NULL;
	enum dyn_status status = DYN_STATUS_INTERNAL;

	for (unsigned try = 0; try < PUT_TRIES; try++)
	{
		if (try > 0)
			usleep((50000U << try) + (unsigned) getpid() % 50000);
		if (!bound_time(self, request))
			return NULL;
		status =
			dyn_client_ask(self->client, (uint32_t) self->arguments.timeout_ms,
						   DYN_MESSAGE_PUT, &request->base,
						   DYN_MESSAGE_PUT_REPLY, &self->arena, &reply, &text);
		if (!is_for_now(status, reply))
			break;
	}
	if (status == DYN_STATUS_OK)
		return reply;
	fprintf(stderr, "dynctl: %s: %s: %s\n", dyn_client_address(self->client),
			dyn_status_name(status), text);
	return NULL;
}

static int
send_put(struct ctl *self, Dyn__PutOp *op)
{
	Dyn__PutRequest request = DYN__PUT_REQUEST__INIT;
	const Dyn__PutReply *reply;
	const Dyn__PutResult *result;
	uint8_t id[16];
	struct dyn_clock clock;
	char *text = "";

	if (getrandom(id, sizeof(id), 0) != sizeof(id))
		return CTL_FAILED;
	op->key = dyn_bytes_of_slice(dyn_slice_of(self->arguments.words[1]));
	op->request_id = (ProtobufCBinaryData){ sizeof(id), id };
	request.bucket = dyn_bytes_of_slice(dyn_slice_of(self->arguments.words[0]));
	request.w = (uint32_t) self->arguments.w;
	request.n_ops = 1;
	request.ops = &op;
	reply = ask_to_put(self, &request);
	if (reply == NULL || reply->n_results != 1)
		return CTL_FAILED;
	result = reply->results[0];
	if (result->status != DYN_STATUS_OK)
		return fail("write", result->status, result->text);
	if (dyn_clock_decode(dyn_slice_of_bytes(result->context), false,
						 &self->arena.allocator, &clock) == DYN_STATUS_OK)
		dyn_clock_format(&clock, &self->arena.allocator, &text);
	printf(self->arguments.json ? "{\"context\": \"%s\"" : "%s\n", text);
	print_receipt(self, result->receipt);
	if (self->arguments.json)
		printf("}\n");
	return CTL_OK;
}

int
ctl_put(struct ctl *self)
{
	Dyn__PutOp op = DYN__PUT_OP__INIT;
	ProtobufCBinaryData value;
	struct dyn_slice bytes;

	if (self->arguments.word_count != 3 ||
		!parse_mode(self->arguments.mode, &op.mode))
		return CTL_USAGE;
	if (!parse_context(self, &op.context))
		return CTL_USAGE;
	bytes = dyn_slice_of(self->arguments.words[2]);
	if (strcmp(self->arguments.words[2], "-") == 0 && !read_stdin(self, &bytes))
	{
		fprintf(stderr, "dynctl: cannot read the value from standard input\n");
		return CTL_FAILED;
	}
	value = dyn_bytes_of_slice(bytes);
	op.n_values = 1;
	op.values = &value;
	return send_put(self, &op);
}

int
ctl_del(struct ctl *self)
{
	Dyn__PutOp op = DYN__PUT_OP__INIT;
	ProtobufCBinaryData key;

	if (self->arguments.word_count != 2)
		return CTL_USAGE;
	if (!parse_context(self, &op.context))
		return CTL_USAGE;
	if (self->arguments.context == NULL)
	{
		/* All that is there now: read, then delete what was read. */
		const Dyn__GetResult *result;
		struct dyn_object object;
		struct dyn_slice context;

		key = dyn_bytes_of_slice(dyn_slice_of(self->arguments.words[1]));
		result = get(self, &key);
		if (result == NULL)
			return CTL_FAILED;
		if (result->status != DYN_STATUS_OK)
			return fail("del", result->status, result->text);
		if (dyn_object_decode(dyn_slice_of_bytes(result->object),
							  &self->arena.allocator,
							  &object) != DYN_STATUS_OK ||
			dyn_clock_encode(&object.context, &self->arena.allocator,
							 &context) != DYN_STATUS_OK)
			return CTL_FAILED;
		op.context = dyn_bytes_of_slice(context);
	}
	return send_put(self, &op);
}
