#include "core/room.h"

#include "core/call.h"

enum
{
	PUTS_AT_FIRST = 1024,
	PUTS_MIN = 64
};

/* Of what n nodes fill for each other, the part of one. */
static uint32_t
share(const struct dyn_node *node, uint32_t all)
{
	uint32_t part = all / (node->cluster.n + 1U);

	return part != 0 ? part : 1;
}

bool
dyn_room_for_request(const struct dyn_node *node,
					 const struct dyn_request_kind *kind, size_t size)
{
	size_t bytes = node->room.held_bytes + size;

	if (kind->is_owed)
		return node->request_count / node->cluster.n <
				   node->config.requests_max &&
			   bytes <= node->config.memory_max;
	return node->request_count < node->config.requests_max &&
		   node->call_count < DYN_CALLS_MAX &&
		   bytes <= node->config.memory_max / 2;
}

bool
dyn_room_for_collected(const struct dyn_node *node, size_t size)
{
	size_t all = node->config.memory_max;

	return node->room.held_bytes + size <= all - all / 4;
}

void
dyn_room_init(struct dyn_node *node)
{
	node->room.put_limit = PUTS_AT_FIRST;
}

bool
dyn_room_begin_put(struct dyn_node *node)
{
	uint32_t all = node->config.keys_max;
	uint32_t part = share(node, all);

	if (node->room.put_count >= part ||
		node->room.put_count >= node->room.put_limit ||
		node->key_count >= all - part)
		return false;
	node->room.put_count++;
	return true;
}

/* By a quarter for as many puts as are let in. */
static void
grow(struct dyn_node *node, struct dyn_room *self)
{
	if (++self->in_time < 4)
		return;
	self->in_time = 0;
	if (self->put_limit < node->config.keys_max)
		self->put_limit++;
}

bool
dyn_room_for_put_bytes(const struct dyn_node *node, size_t own_size)
{
	uint32_t all = node->config.bytes_max;
	uint32_t part = share(node, all);

	return node->room.put_bytes < part &&
		   node->room.key_bytes - own_size < all - part;
}

size_t
dyn_room_hold_put(struct dyn_node *node, size_t object_size)
{
	/* In the key table, and in the commit. */
	node->room.put_bytes += 2 * object_size;
	return 2 * object_size;
}

void
dyn_room_end_put(struct dyn_node *node, uint64_t begun_ms, size_t held_bytes)
{
	struct dyn_room *self = &node->room;

	self->put_count--;
	self->put_bytes -= held_bytes;
	if (node->now_ms - begun_ms <= node->config.request_timeout_ms / 5)
		grow(node, self);
	/* What had begun before it was halved says nothing new. */
	else if (begun_ms >= self->cut_ms)
	{
		uint32_t were = self->put_count + 1;

		self->put_limit = (were < self->put_limit ? were : self->put_limit) / 2;
		if (self->put_limit < PUTS_MIN)
			self->put_limit = PUTS_MIN;
		self->cut_ms = node->now_ms;
	}
}

bool
dyn_room_for_key(const struct dyn_node *node)
{
	return node->key_count < node->config.keys_max;
}

bool
dyn_room_for_object(const struct dyn_node *node, size_t own_size)
{
	return node->room.key_bytes - own_size < node->config.bytes_max;
}
