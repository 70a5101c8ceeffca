#include "model/types.h"

#include <string.h>

int
dyn_slice_compare(struct dyn_slice a, struct dyn_slice b)
{
	size_t size = a.size < b.size ? a.size : b.size;
	int order = size ? memcmp(a.data, b.data, size) : 0;

	if (order != 0)
		return order;
	return (a.size > b.size) - (a.size < b.size);
}

bool
dyn_slice_equal(struct dyn_slice a, struct dyn_slice b)
{
	return a.size == b.size &&
		   (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

struct dyn_slice
dyn_slice_of(const char *text)
{
	return (struct dyn_slice){ (const uint8_t *) text, strlen(text) };
}

int
dyn_node_id_compare(const struct dyn_node_id *a, const struct dyn_node_id *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

bool
dyn_node_id_is_zero(const struct dyn_node_id *id)
{
	static const struct dyn_node_id zero;

	return dyn_node_id_compare(id, &zero) == 0;
}

void
dyn_node_id_format(const struct dyn_node_id *id, char out[33])
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < 16; i++)
	{
		out[2 * i] = digits[id->bytes[i] >> 4];
		out[2 * i + 1] = digits[id->bytes[i] & 15];
	}
	out[32] = 0;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool
dyn_node_id_parse(const char *text, struct dyn_node_id *id)
{
	struct dyn_node_id result;

	if (strlen(text) != 32)
		return false;
	for (int i = 0; i < 16; i++)
	{
		int high = hex_digit(text[2 * i]);
		int low = hex_digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		result.bytes[i] = (uint8_t) (high << 4 | low);
	}
	*id = result;
	return true;
}

int
dyn_request_id_compare(const struct dyn_request_id *a,
					   const struct dyn_request_id *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

static int
compare_u64(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

int
dyn_actor_compare(struct dyn_actor a, struct dyn_actor b)
{
	int order = compare_u64(a.start, b.start);

	return order ? order : compare_u64(a.epoch, b.epoch);
}

int
dyn_dot_compare(struct dyn_dot a, struct dyn_dot b)
{
	int order = dyn_actor_compare(a.actor, b.actor);

	return order ? order : compare_u64(a.counter, b.counter);
}
