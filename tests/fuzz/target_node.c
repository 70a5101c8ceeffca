/*
 * A node of a cluster of three among hostile clients and fellows.
 *
 * The first byte tells the replicas of a key, 2 or 3.  The rest is a list of
 * steps: a byte that tells what comes, then what that needs (missing bytes are
 * 0):
 *
 *     0  a client's frame     type, remaining (x 20 ms), size, body
 *     1  a fellow's question  the same
 *     2  a fellow's answer    the same, but instead of remaining: which one of
 *                             the node's latest questions it answers
 *     3  bytes in a frame's place   source, 0, size, bytes
 *     4  time passes          x 10 ms
 *     5  a connection         bit 0: which fellow, bit 1: comes or goes
 *     6  the store works
 *     7  the disk             bit 0: is full
 *     8  a fellow's ring      the node's own, with a number of changes:
 *                             0, id, incarnation: a member
 *                             1, partition, slot, id, version: an owner
 *
 * A size has two bytes, little-endian.  At the end the fellows are gone and
 * twenty seconds pass: then nothing may be in flight, whatever was said.
 */
#include "fuzz/fuzznode.h"
#include "fuzz/targets.h"

#include "model/message.h"

#include <string.h>

struct script
{
	const uint8_t *at;
	const uint8_t *end;
	uint32_t client_correlation;
};

static uint8_t
next_byte(struct script *script)
{
	return script->at < script->end ? *script->at++ : 0;
}

static struct dyn_slice
next_bytes(struct script *script)
{
	size_t size = next_byte(script);
	size_t left;
	struct dyn_slice bytes;

	size |= (size_t) next_byte(script) << 8;
	left = (size_t) (script->end - script->at);
	bytes = (struct dyn_slice){ script->at, size < left ? size : left };
	script->at += bytes.size;
	return bytes;
}

static void
hear(struct fuzznode *node, enum dyn_source source, uint32_t peer_index,
	 struct dyn_slice frame)
{
	struct dyn_event event = { .type = DYN_EVENT_MESSAGE };

	event.message.source = source;
	event.message.frame = frame;
	if (source == DYN_SOURCE_PEER)
		event.message.peer_index = peer_index;
	else
		event.message.route = source == DYN_SOURCE_CLIENT ? 1 : 2;
	fuzznode_step(node, &event);
	free((void *) frame.data);
}

/* Every question of the client has a number of its own. */
static void
ask(struct fuzznode *node, struct script *script, enum dyn_source source)
{
	uint8_t type = next_byte(script);
	uint32_t remaining_ms = 20u * next_byte(script);
	uint64_t correlation = 1000;

	if (source == DYN_SOURCE_CLIENT)
		correlation =
			script->client_correlation < 255 ? ++script->client_correlation : 0;
	hear(node, source, 0,
		 fuzznode_frame(node, type, remaining_ms, correlation,
						next_bytes(script)));
}

static void
answer(struct fuzznode *node, struct script *script)
{
	uint8_t type = next_byte(script);
	uint32_t which = next_byte(script);
	struct dyn_slice body = next_bytes(script);
	const struct fuzznode_call *call;

	if (which == 255 || node->call_count == 0)
	{
		/* Nobody asked. */
		hear(node, DYN_SOURCE_PEER, which & 3,
			 fuzznode_frame(node, type, 0, 0, body));
		return;
	}
	call = &node->calls[(node->call_count - 1 - which % node->call_count) %
						FUZZNODE_CALLS_MAX];
	hear(node, DYN_SOURCE_PEER, call->peer_index,
		 fuzznode_frame(node, type, 0, call->correlation, body));
}

static void
hear_noise(struct fuzznode *node, struct script *script)
{
	enum dyn_source source = (enum dyn_source)(next_byte(script) % 3);
	uint32_t peer_index = next_byte(script);
	struct dyn_slice bytes = next_bytes(script);
	uint8_t *copy = malloc(bytes.size ? bytes.size : 1);

	if (bytes.size != 0)
		memcpy(copy, bytes.data, bytes.size);
	hear(node, source, peer_index, (struct dyn_slice){ copy, bytes.size });
}

static void
connection(struct fuzznode *node, uint8_t byte)
{
	struct dyn_event event = { .type = byte & 2 ? DYN_EVENT_PEER_UP
												: DYN_EVENT_PEER_DOWN };

	event.peer.peer_index = byte & 1;
	fuzznode_step(node, &event);
}

/* The id of a member of the ring, or of a stranger. */
static struct dyn_node_id
id_of(const struct dyn_ring *ring, uint8_t byte)
{
	struct dyn_node_id id = { { byte } };

	return byte % 8 < ring->member_count ? ring->members[byte % 8].id : id;
}

static void
change_member(struct dyn_ring *ring, struct script *script)
{
	struct dyn_member member = { .status = DYN_MEMBER_VALID, .weight = 1 };

	member.id = id_of(ring, next_byte(script));
	member.incarnation = next_byte(script);
	snprintf(member.address, sizeof(member.address), "10.0.1.%u:7001",
			 member.id.bytes[0]);
	(void) dyn_ring_merge_member(ring, &member);
}

/* Written as it is, so that it may also be older than the node's own. */
static void
change_slot(struct dyn_ring *ring, struct script *script)
{
	uint16_t partition = next_byte(script) % ring->partition_count;
	uint8_t index = next_byte(script) % ring->replica_count;
	struct dyn_slot *slot =
		&ring->slots[partition * ring->replica_count + index];

	slot->node = id_of(ring, next_byte(script));
	slot->ver = next_byte(script);
}

static void
hear_ring(struct fuzznode *node, struct script *script)
{
	struct dyn_allocator heap = dyn_allocator_malloc();
	Dyn__Heartbeat heartbeat = DYN__HEARTBEAT__INIT;
	struct dyn_slice own;
	struct dyn_slice changed;
	struct dyn_slice body;
	struct dyn_ring ring;
	uint8_t *bytes;

	FUZZ_REQUIRE(dyn_ring_encode(dyn_node_ring(node->node), &heap, &own) ==
				 DYN_STATUS_OK);
	FUZZ_REQUIRE(dyn_ring_decode(own, &heap, &ring) == DYN_STATUS_OK);
	for (uint8_t i = next_byte(script); i > 0; i--)
		if (next_byte(script) & 1)
			change_slot(&ring, script);
		else
			change_member(&ring, script);
	FUZZ_REQUIRE(dyn_ring_encode(&ring, &heap, &changed) == DYN_STATUS_OK);
	heartbeat.ring = dyn_bytes_of_slice(changed);
	bytes = malloc(dyn__heartbeat__get_packed_size(&heartbeat));
	body = (struct dyn_slice){ bytes, dyn__heartbeat__pack(&heartbeat, bytes) };
	hear(node, DYN_SOURCE_NODE, 0,
		 fuzznode_frame(node, DYN_MESSAGE_HEARTBEAT, 0, 0, body));
	FUZZ_REQUIRE(dyn_ring_check(dyn_node_ring(node->node)) == DYN_STATUS_OK);
	free(bytes);
	dyn_ring_destroy(&ring);
	heap.release(heap.context, (void *) own.data);
	heap.release(heap.context, (void *) changed.data);
}

static void
take_step(struct fuzznode *node, struct script *script)
{
	switch (next_byte(script) % 9)
	{
		case 0:
			ask(node, script, DYN_SOURCE_CLIENT);
			break;
		case 1:
			ask(node, script, DYN_SOURCE_NODE);
			break;
		case 2:
			answer(node, script);
			break;
		case 3:
			hear_noise(node, script);
			break;
		case 4:
			fuzznode_sleep(node, 10u * next_byte(script));
			break;
		case 5:
			connection(node, next_byte(script));
			break;
		case 6:
			fuzznode_drain(node);
			break;
		case 7:
			dyn_simdisk_set_full(node->disk, next_byte(script) & 1);
			break;
		case 8:
			hear_ring(node, script);
			break;
	}
}

/* The fellows leave, the store works, and every deadline passes. */
static void
settle(struct fuzznode *node)
{
	uint32_t requests;
	uint32_t keys;

	dyn_simdisk_set_full(node->disk, false);
	for (uint8_t peer = 0; peer < FUZZNODE_PEERS; peer++)
		connection(node, peer);
	for (int i = 0; i < 20; i++)
	{
		fuzznode_drain(node);
		fuzznode_sleep(node, 1000);
	}
	fuzznode_drain(node);
	dyn_node_load(node->node, &requests, &keys);
	FUZZ_REQUIRE(requests == 0);
	FUZZ_REQUIRE(keys == 0);
	FUZZ_REQUIRE(dyn_ring_check(dyn_node_ring(node->node)) == DYN_STATUS_OK);
}

void
fuzz_node(const uint8_t *data, size_t size)
{
	struct script script;
	struct fuzznode node;

	if (size == 0)
		return;
	script = (struct script){ data + 1, data + size, 0 };
	fuzznode_start(&node, data[0] & 1 ? 3 : 2);
	while (script.at < script.end)
		take_step(&node, &script);
	settle(&node);
	fuzznode_stop(&node);
}
