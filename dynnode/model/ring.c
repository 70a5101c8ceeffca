#include "model/ring.h"

#include "model/message.h"

#include <string.h>

#include <xxhash.h>

enum
{
	RING_SIZE_MAX = 1024 * 1024
};

const char *
dyn_member_status_name(enum dyn_member_status status)
{
	static const char *const names[] = {
#define DYN_MEMBER_STATUS_NAME(name, number, text) [number] = text,
		DYN_MEMBER_STATUS_MAP(DYN_MEMBER_STATUS_NAME)
#undef DYN_MEMBER_STATUS_NAME
	};

	return (unsigned) status < sizeof(names) / sizeof(names[0]) ? names[status]
																: "invalid";
}

static uint32_t
slot_count(const struct dyn_ring *self)
{
	return (uint32_t) self->partition_count * self->replica_count;
}

enum dyn_status
dyn_ring_init(struct dyn_ring *self, const struct dyn_allocator *allocator,
			  struct dyn_node_id cluster, uint16_t partition_count,
			  uint8_t replica_count)
{
	struct dyn_ring ring = { .allocator = *allocator,
							 .cluster = cluster,
							 .partition_count = partition_count,
							 .replica_count = replica_count };
	size_t size = slot_count(&ring) * sizeof(*ring.slots);

	if (partition_count == 0 || partition_count > DYN_PARTITIONS_MAX ||
		(partition_count & (partition_count - 1)) != 0 || replica_count == 0 ||
		replica_count > DYN_REPLICAS_MAX)
		return DYN_STATUS_BAD_REQUEST;
	ring.slots = allocator->allocate(allocator->context, size);
	if (ring.slots == NULL)
		return DYN_STATUS_NO_MEMORY;
	memset(ring.slots, 0, size);
	*self = ring;
	return DYN_STATUS_OK;
}

void
dyn_ring_destroy(struct dyn_ring *self)
{
	self->allocator.release(self->allocator.context, self->slots);
	if (self->members != NULL)
		self->allocator.release(self->allocator.context, self->members);
	self->slots = NULL;
	self->members = NULL;
	self->member_count = self->member_capacity = 0;
}

/* ----------------------------------------------------------------- members */

/* Where the id stands, or belongs. */
static uint32_t
find_member(const struct dyn_ring *self, const struct dyn_node_id *id)
{
	uint32_t low = 0;
	uint32_t high = self->member_count;

	while (low < high)
	{
		uint32_t middle = low + (high - low) / 2;

		if (dyn_node_id_compare(&self->members[middle].id, id) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool
is_at(const struct dyn_ring *self, uint32_t i, const struct dyn_node_id *id)
{
	return i < self->member_count &&
		   dyn_node_id_compare(&self->members[i].id, id) == 0;
}

const struct dyn_member *
dyn_ring_member(const struct dyn_ring *self, const struct dyn_node_id *id)
{
	uint32_t i = find_member(self, id);

	return is_at(self, i, id) ? &self->members[i] : NULL;
}

static enum dyn_status
grow_members(struct dyn_ring *self)
{
	uint32_t capacity = self->member_capacity ? self->member_capacity * 2 : 4;
	struct dyn_member *members;

	if (self->member_count == DYN_MEMBERS_MAX)
		return DYN_STATUS_TOO_LARGE;
	if (self->member_count < self->member_capacity)
		return DYN_STATUS_OK;
	members = self->allocator.allocate(self->allocator.context,
									   capacity * sizeof(*members));
	if (members == NULL)
		return DYN_STATUS_NO_MEMORY;
	if (self->members != NULL)
	{
		memcpy(members, self->members, self->member_count * sizeof(*members));
		self->allocator.release(self->allocator.context, self->members);
	}
	self->members = members;
	self->member_capacity = capacity;
	return DYN_STATUS_OK;
}

/* Of two records with one incarnation the greater one stands, so that tables
 * are equal in whatever order they met. */
static bool
is_newer(const struct dyn_member *a, const struct dyn_member *b)
{
	int order;

	if (a->incarnation != b->incarnation)
		return a->incarnation > b->incarnation;
	if (a->status != b->status)
		return a->status > b->status;
	order = strcmp(a->address, b->address);
	if (order == 0)
		order = strcmp(a->zone, b->zone);
	if (order != 0)
		return order > 0;
	if (a->weight != b->weight)
		return a->weight > b->weight;
	if (a->store_generation != b->store_generation)
		return a->store_generation > b->store_generation;
	return a->start_count > b->start_count;
}

enum dyn_status
dyn_ring_merge_member(struct dyn_ring *self, const struct dyn_member *member)
{
	struct dyn_member copy = *member; /* it may stand in the array that grows */
	uint32_t i = find_member(self, &copy.id);
	enum dyn_status status;

	if (is_at(self, i, &copy.id))
	{
		if (is_newer(&copy, &self->members[i]))
			self->members[i] = copy;
		return DYN_STATUS_OK;
	}
	status = grow_members(self);
	if (status != DYN_STATUS_OK)
		return status;
	memmove(&self->members[i + 1], &self->members[i],
			(self->member_count - i) * sizeof(*self->members));
	self->members[i] = copy;
	self->member_count++;
	return DYN_STATUS_OK;
}

/* ------------------------------------------------------------------- slots */

const struct dyn_slot *
dyn_ring_slot(const struct dyn_ring *self, uint16_t partition, uint8_t index)
{
	return &self->slots[(uint32_t) partition * self->replica_count + index];
}

static int
compare_slots(const struct dyn_slot *a, const struct dyn_slot *b)
{
	if (a->fepoch != b->fepoch)
		return a->fepoch > b->fepoch ? 1 : -1;
	if (a->ver != b->ver)
		return a->ver > b->ver ? 1 : -1;
	return dyn_node_id_compare(&a->node, &b->node);
}

bool
dyn_ring_merge_slot(struct dyn_ring *self, uint16_t partition, uint8_t index,
					const struct dyn_slot *slot)
{
	struct dyn_slot *mine =
		&self->slots[(uint32_t) partition * self->replica_count + index];

	if (compare_slots(slot, mine) <= 0)
		return false;
	*mine = *slot;
	return true;
}

int
dyn_ring_find(const struct dyn_ring *self, uint16_t partition,
			  const struct dyn_node_id *node)
{
	for (uint8_t i = 0; i < self->replica_count; i++)
		if (dyn_node_id_compare(&dyn_ring_slot(self, partition, i)->node,
								node) == 0)
			return i;
	return -1;
}

uint64_t
dyn_ring_digest(const struct dyn_ring *self)
{
	uint64_t hash = XXH3_64bits(self->cluster.bytes, 16);

	hash = XXH3_64bits_withSeed(self->slots,
								slot_count(self) * sizeof(*self->slots), hash);
	for (uint32_t i = 0; i < self->member_count; i++)
	{
		const struct dyn_member *member = &self->members[i];
		uint64_t numbers[3] = { member->incarnation, member->status,
								member->weight };

		hash = XXH3_64bits_withSeed(member->id.bytes, 16, hash);
		hash = XXH3_64bits_withSeed(numbers, sizeof(numbers), hash);
		hash = XXH3_64bits_withSeed(member->address, strlen(member->address),
									hash);
	}
	return hash ? hash : 1;
}

static bool
is_sound_slot(const struct dyn_ring *self, uint16_t partition, uint8_t index)
{
	const struct dyn_node_id *node =
		&dyn_ring_slot(self, partition, index)->node;

	return dyn_ring_member(self, node) != NULL &&
		   dyn_ring_find(self, partition, node) == index;
}

enum dyn_status
dyn_ring_check(const struct dyn_ring *self)
{
	for (uint32_t p = 0; p < self->partition_count; p++)
		for (uint8_t i = 0; i < self->replica_count; i++)
			if (!is_sound_slot(self, (uint16_t) p, i))
				return DYN_STATUS_BAD_REQUEST;
	return DYN_STATUS_OK;
}

static enum dyn_status
copy_ring(const struct dyn_ring *self, struct dyn_ring *out)
{
	enum dyn_status status =
		dyn_ring_init(out, &self->allocator, self->cluster,
					  self->partition_count, self->replica_count);

	if (status != DYN_STATUS_OK)
		return status;
	memcpy(out->slots, self->slots, slot_count(self) * sizeof(*self->slots));
	for (uint32_t i = 0; i < self->member_count && status == DYN_STATUS_OK; i++)
		status = dyn_ring_merge_member(out, &self->members[i]);
	if (status != DYN_STATUS_OK)
		dyn_ring_destroy(out);
	return status;
}

static enum dyn_status
merge_records(struct dyn_ring *self, const struct dyn_ring *other)
{
	for (uint32_t i = 0; i < other->member_count; i++)
	{
		enum dyn_status status =
			dyn_ring_merge_member(self, &other->members[i]);

		if (status != DYN_STATUS_OK)
			return status;
	}
	for (uint32_t p = 0; p < self->partition_count; p++)
		for (uint8_t i = 0; i < self->replica_count; i++)
			dyn_ring_merge_slot(self, (uint16_t) p, i,
								dyn_ring_slot(other, (uint16_t) p, i));
	return dyn_ring_check(self);
}

enum dyn_status
dyn_ring_merge(struct dyn_ring *self, const struct dyn_ring *other)
{
	struct dyn_ring result;
	enum dyn_status status;

	if (dyn_node_id_compare(&self->cluster, &other->cluster) != 0 ||
		self->partition_count != other->partition_count ||
		self->replica_count != other->replica_count)
		return DYN_STATUS_BAD_REQUEST;
	status = copy_ring(self, &result);
	if (status != DYN_STATUS_OK)
		return status;
	status = merge_records(&result, other);
	if (status != DYN_STATUS_OK)
	{
		dyn_ring_destroy(&result);
		return status;
	}
	dyn_ring_destroy(self);
	*self = result;
	return DYN_STATUS_OK;
}

/* ----------------------------------------------------------- encoded form */

/* All arrays of the message in one piece of memory. */
struct ring_arrays
{
	Dyn__Member members[DYN_MEMBERS_MAX];
	Dyn__Member *member_pointers[DYN_MEMBERS_MAX];
	uint64_t numbers[]; /* fepochs, vers, then nodes */
};

static void
fill_member(const struct dyn_member *from, Dyn__Member *to)
{
	dyn__member__init(to);
	to->id.data = (uint8_t *) from->id.bytes;
	to->id.len = sizeof(from->id.bytes);
	to->incarnation = from->incarnation;
	to->status = from->status;
	to->weight = from->weight;
	to->zone = (char *) from->zone;
	to->address = (char *) from->address;
	to->store_generation = from->store_generation;
	to->start_count = from->start_count;
}

enum dyn_status
dyn_ring_encode(const struct dyn_ring *self,
				const struct dyn_allocator *allocator, struct dyn_slice *out)
{
	uint32_t count = slot_count(self);
	struct ring_arrays *arrays = allocator->allocate(
		allocator->context,
		sizeof(*arrays) + (size_t) count * (2 * 8 + sizeof(uint32_t)));
	Dyn__Ring ring = DYN__RING__INIT;
	uint8_t *bytes;
	size_t size;

	if (arrays == NULL)
		return DYN_STATUS_NO_MEMORY;
	ring.cluster.data = (uint8_t *) self->cluster.bytes;
	ring.cluster.len = sizeof(self->cluster.bytes);
	ring.partition_count = self->partition_count;
	ring.replica_count = self->replica_count;
	for (uint32_t i = 0; i < self->member_count; i++)
	{
		fill_member(&self->members[i], &arrays->members[i]);
		arrays->member_pointers[i] = &arrays->members[i];
	}
	ring.n_members = self->member_count;
	ring.members = arrays->member_pointers;
	ring.n_fepochs = ring.n_vers = ring.n_nodes = count;
	ring.fepochs = arrays->numbers;
	ring.vers = arrays->numbers + count;
	ring.nodes = (uint32_t *) (void *) (arrays->numbers + 2 * (size_t) count);
	for (uint32_t i = 0; i < count; i++)
	{
		ring.fepochs[i] = self->slots[i].fepoch;
		ring.vers[i] = self->slots[i].ver;
		ring.nodes[i] = find_member(self, &self->slots[i].node);
	}
	size = dyn__ring__get_packed_size(&ring);
	bytes = allocator->allocate(allocator->context, size);
	if (bytes != NULL)
		dyn__ring__pack(&ring, bytes);
	allocator->release(allocator->context, arrays);
	if (bytes == NULL)
		return DYN_STATUS_NO_MEMORY;
	*out = (struct dyn_slice){ bytes, size };
	return DYN_STATUS_OK;
}

static bool
take_member(const Dyn__Member *from, struct dyn_member *to)
{
	memset(to, 0, sizeof(*to));
	if (!dyn_node_id_of_bytes(from->id, &to->id) ||
		from->status > DYN_MEMBER_REMOVED ||
		strlen(from->zone) >= sizeof(to->zone) ||
		strlen(from->address) >= sizeof(to->address) || from->address[0] == 0)
		return false;
	to->incarnation = from->incarnation;
	to->status = (enum dyn_member_status) from->status;
	to->weight = from->weight;
	memcpy(to->zone, from->zone, strlen(from->zone));
	memcpy(to->address, from->address, strlen(from->address));
	to->store_generation = from->store_generation;
	to->start_count = from->start_count;
	return true;
}

static enum dyn_status
take_members(const Dyn__Ring *message, struct dyn_ring *ring)
{
	for (size_t i = 0; i < message->n_members; i++)
	{
		struct dyn_member member;
		enum dyn_status status;

		if (!take_member(message->members[i], &member) ||
			(i > 0 &&
			 dyn_node_id_compare(&ring->members[i - 1].id, &member.id) >= 0))
			return DYN_STATUS_BAD_REQUEST;
		status = dyn_ring_merge_member(ring, &member);
		if (status != DYN_STATUS_OK)
			return status;
	}
	return DYN_STATUS_OK;
}

static enum dyn_status
take_slots(const Dyn__Ring *message, struct dyn_ring *ring)
{
	uint32_t count = slot_count(ring);

	if (message->n_fepochs != count || message->n_vers != count ||
		message->n_nodes != count)
		return DYN_STATUS_BAD_REQUEST;
	for (uint32_t i = 0; i < count; i++)
	{
		if (message->nodes[i] >= ring->member_count)
			return DYN_STATUS_BAD_REQUEST;
		ring->slots[i] =
			(struct dyn_slot){ message->fepochs[i], message->vers[i],
							   ring->members[message->nodes[i]].id };
	}
	return dyn_ring_check(ring);
}

static enum dyn_status
take_ring(const Dyn__Ring *message, const struct dyn_allocator *allocator,
		  struct dyn_ring *ring)
{
	struct dyn_node_id cluster;
	enum dyn_status status;

	if (!dyn_node_id_of_bytes(message->cluster, &cluster) ||
		message->partition_count > DYN_PARTITIONS_MAX ||
		message->replica_count > DYN_REPLICAS_MAX ||
		message->n_members > DYN_MEMBERS_MAX)
		return DYN_STATUS_BAD_REQUEST;
	status = dyn_ring_init(ring, allocator, cluster,
						   (uint16_t) message->partition_count,
						   (uint8_t) message->replica_count);
	if (status != DYN_STATUS_OK)
		return status;
	status = take_members(message, ring);
	if (status == DYN_STATUS_OK)
		status = take_slots(message, ring);
	if (status != DYN_STATUS_OK)
		dyn_ring_destroy(ring);
	return status;
}

enum dyn_status
dyn_ring_decode(struct dyn_slice bytes, const struct dyn_allocator *allocator,
				struct dyn_ring *out)
{
	ProtobufCAllocator bridge = { allocator->allocate, allocator->release,
								  allocator->context };
	struct dyn_ring ring;
	ProtobufCMessage *message;
	enum dyn_status status;

	/* The largest table, with the longest numbers, is well below this. */
	if (bytes.size > RING_SIZE_MAX)
		return DYN_STATUS_TOO_LARGE;
	status = dyn_message_unpack_body(&dyn__ring__descriptor, bytes, allocator,
									 &message);
	if (status != DYN_STATUS_OK)
		return status;
	status = take_ring((const Dyn__Ring *) message, allocator, &ring);
	protobuf_c_message_free_unpacked(message, &bridge);
	if (status == DYN_STATUS_OK)
		*out = ring;
	return status;
}
