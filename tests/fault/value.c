#include "tests/fault/value.h"

#include <stdio.h>
#include <string.h>

enum
{
	HEAD_SIZE_MAX = 64
};

struct dyn_slice
dyn_fault_key(uint32_t key, char out[16])
{
	snprintf(out, 16, "k%04u", key % DYN_FAULT_KEYS_MAX);
	return dyn_slice_of(out);
}

struct dyn_slice
dyn_fault_value(uint32_t key, struct dyn_token token, uint32_t fill, char *out)
{
	size_t size;

	if (fill > DYN_FAULT_VALUE_SIZE_MAX - HEAD_SIZE_MAX)
		fill = DYN_FAULT_VALUE_SIZE_MAX - HEAD_SIZE_MAX;
	size = (size_t) snprintf(out, HEAD_SIZE_MAX, "k%04u c%u.%u %u ",
							 key % DYN_FAULT_KEYS_MAX, token.client,
							 token.count, fill);
	for (uint32_t i = 0; i < fill; i++)
		out[size + i] = (char) ('a' + (token.count + i) % 26);
	return (struct dyn_slice){ (const uint8_t *) out, size + fill };
}

bool
dyn_fault_value_parse(struct dyn_slice value, uint32_t key,
					  struct dyn_token *token)
{
	char head[HEAD_SIZE_MAX] = { 0 };
	static char made[DYN_FAULT_VALUE_SIZE_MAX];
	unsigned found;
	unsigned fill;

	if (value.size == 0)
		return false;
	memcpy(head, value.data,
		   value.size < sizeof(head) - 1 ? value.size : sizeof(head) - 1);
	if (sscanf(head, "k%u c%u.%u %u ", &found, &token->client, &token->count,
			   &fill) != 4 ||
		found != key)
		return false;
	return dyn_slice_equal(value, dyn_fault_value(key, *token, fill, made));
}
