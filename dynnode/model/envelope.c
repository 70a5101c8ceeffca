#include "model/envelope.h"

#include <string.h>

#include <xxhash.h>

enum
{
	AT_MAGIC = 0,
	AT_VERSION = 4,
	AT_TYPE = 5,
	AT_FLAGS = 6,
	AT_REMAINING = 8,
	AT_BODY_SIZE = 12,
	AT_CORRELATION = 16,
	AT_CLUSTER = 24,
	AT_SENDER = 32,
	AT_CHECKSUM = 48
};

static const uint8_t magic[4] = { 'D', 'Y', 'N', 'O' };

static const char *const names[] = {
#define DYN_MESSAGE_NAME(name, number, message) [number] = #name,
	DYN_MESSAGE_MAP(DYN_MESSAGE_NAME)
#undef DYN_MESSAGE_NAME
};

static bool
is_known(unsigned type)
{
	return type < sizeof(names) / sizeof(names[0]) && names[type] != NULL;
}

const char *
dyn_message_name(unsigned type)
{
	return is_known(type) ? names[type] : "INVALID";
}

static void
put(uint8_t *at, uint64_t value, int size)
{
	for (int i = 0; i < size; i++)
		at[i] = (uint8_t) (value >> (8 * i));
}

static uint64_t
get(const uint8_t *at, int size)
{
	uint64_t value = 0;

	for (int i = size - 1; i >= 0; i--)
		value = value << 8 | at[i];
	return value;
}

/* Of the header before the checksum, then the body. */
static uint64_t
checksum(const uint8_t *frame, size_t body_size)
{
	uint64_t header = XXH3_64bits(frame, AT_CHECKSUM);

	return XXH3_64bits_withSeed(frame + DYN_ENVELOPE_SIZE, body_size, header);
}

void
dyn_envelope_seal(const struct dyn_envelope *env, uint8_t *frame)
{
	memcpy(frame + AT_MAGIC, magic, sizeof(magic));
	frame[AT_VERSION] = DYN_PROTOCOL_VERSION;
	frame[AT_TYPE] = (uint8_t) env->type;
	put(frame + AT_FLAGS, 0, 2);
	put(frame + AT_REMAINING, env->remaining_ms, 4);
	put(frame + AT_BODY_SIZE, env->body.size, 4);
	put(frame + AT_CORRELATION, env->correlation, 8);
	put(frame + AT_CLUSTER, env->cluster, 8);
	memcpy(frame + AT_SENDER, env->sender.bytes, sizeof(env->sender.bytes));
	dyn_envelope_sum(frame, env->body.size);
}

void
dyn_envelope_sum(uint8_t *frame, size_t body_size)
{
	put(frame + AT_CHECKSUM, checksum(frame, body_size), 8);
}

enum dyn_status
dyn_envelope_open(struct dyn_slice frame, struct dyn_envelope *out)
{
	const uint8_t *at = frame.data;

	if (frame.size > DYN_FRAME_SIZE_MAX)
		return DYN_STATUS_TOO_LARGE;
	if (frame.size < DYN_ENVELOPE_SIZE ||
		memcmp(at + AT_MAGIC, magic, sizeof(magic)) != 0)
		return DYN_STATUS_BAD_REQUEST;
	*out = (struct dyn_envelope){ .version = at[AT_VERSION],
								  .type = (enum dyn_message_type) at[AT_TYPE],
								  .correlation = get(at + AT_CORRELATION, 8) };
	if (out->version != DYN_PROTOCOL_VERSION)
		return DYN_STATUS_VERSION;
	if (get(at + AT_BODY_SIZE, 4) != frame.size - DYN_ENVELOPE_SIZE ||
		get(at + AT_CHECKSUM, 8) !=
			checksum(at, frame.size - DYN_ENVELOPE_SIZE) ||
		!is_known(at[AT_TYPE]))
		return DYN_STATUS_BAD_REQUEST;
	out->remaining_ms = (uint32_t) get(at + AT_REMAINING, 4);
	out->cluster = get(at + AT_CLUSTER, 8);
	memcpy(out->sender.bytes, at + AT_SENDER, sizeof(out->sender.bytes));
	out->body = (struct dyn_slice){ at + DYN_ENVELOPE_SIZE,
									frame.size - DYN_ENVELOPE_SIZE };
	return DYN_STATUS_OK;
}

uint64_t
dyn_envelope_cluster(const struct dyn_node_id *cluster)
{
	return get(cluster->bytes, 8);
}
