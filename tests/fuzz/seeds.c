/*
 * Writes the seeds of the corpus: one sound input of each kind, small, from
 * which libFuzzer and the mutations of test_fuzz_corpus.c start.
 *
 *     seeds DIR        makes DIR/<target>/<name>
 */
#include "model/arena.h"
#include "model/bucket.h"
#include "model/message.h"
#include "model/object.h"
#include "model/ring.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum
{
	FUZZ_PROCESS = 4711 /* of the node in fuzznode.c */
};

static struct dyn_arena arena;
static const char *top;

static void
need(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "seeds: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void
write_seed(const char *target, const char *name, struct dyn_slice bytes)
{
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", top, target);
	need(mkdir(path, 0777) == 0 || errno == EEXIST, path);
	snprintf(path, sizeof(path), "%s/%s/%s", top, target, name);
	file = fopen(path, "wb");
	need(file != NULL, path);
	need(fwrite(bytes.data, 1, bytes.size, file) == bytes.size, path);
	need(fclose(file) == 0, path);
}

static ProtobufCBinaryData
bytes_of(const char *text)
{
	return dyn_bytes_of_slice(dyn_slice_of(text));
}

static ProtobufCBinaryData
id_bytes(uint8_t number)
{
	uint8_t *bytes = dyn_arena_allocate(&arena, 16);

	memset(bytes, number, 16);
	return (ProtobufCBinaryData){ 16, bytes };
}

/* ------------------------------------------------------- clocks and objects */

static struct dyn_slice
write_clock_seeds(void)
{
	static const char *const texts[] = {
		"{}",
		"{a1b2c3d4e5f60718.7:3}",
		"{a1b2c3d4e5f60718.7:9!2!4..6,ffffffffffffffff.0:1}",
		"{0000000000000001.0:18446744073709551615!1..2}",
		" { 0000000000000001.1:2 , 0000000000000002.1:2!1 } ",
	};
	struct dyn_slice chosen = { NULL, 0 };
	char name[16];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
	{
		struct dyn_clock clock;
		struct dyn_slice encoded;

		snprintf(name, sizeof(name), "clock%zu", i);
		write_seed("clock_text", name, dyn_slice_of(texts[i]));
		if (dyn_clock_parse(dyn_slice_of(texts[i]), &arena.allocator, &clock) !=
			DYN_STATUS_OK)
			continue;
		dyn_clock_encode(&clock, &arena.allocator, &encoded);
		write_seed("clock", name, encoded);
		if (i == 2)
			chosen = encoded;
	}
	return chosen;
}

static struct dyn_object
put(const struct dyn_object *before, const struct dyn_clock *context,
	const char *value, uint64_t start)
{
	struct dyn_slice bytes = dyn_slice_of(value ? value : "");
	struct dyn_update update = { .request = { { (uint8_t) start, 1 } },
								 .context = context,
								 .values = &bytes,
								 .value_count = value != NULL,
								 .written_at_ms = 1700000000000 };
	struct dyn_actor actor = { start, 1 };
	struct dyn_object after;

	need(dyn_object_put(before, &update, actor, &arena.allocator, &after) ==
			 DYN_STATUS_OK,
		 "put");
	return after;
}

static struct dyn_slice
encode(const struct dyn_object *object)
{
	struct dyn_slice bytes = { NULL, 0 };

	need(dyn_object_encode(object, &arena.allocator, &bytes) == DYN_STATUS_OK,
		 "encode");
	return bytes;
}

static void
write_pair(const char *name, struct dyn_slice a, struct dyn_slice b)
{
	uint8_t *bytes = dyn_arena_allocate(&arena, 2 + a.size + b.size);

	bytes[0] = (uint8_t) a.size;
	bytes[1] = (uint8_t) (a.size >> 8);
	memcpy(bytes + 2, a.data, a.size);
	memcpy(bytes + 2 + a.size, b.data, b.size);
	write_seed("sync", name, (struct dyn_slice){ bytes, 2 + a.size + b.size });
}

static struct dyn_slice
write_object_seeds(void)
{
	struct dyn_object none = { { NULL, 0 }, NULL, 0 };
	struct dyn_object one = put(&none, NULL, "milk", 1);
	struct dyn_object two = put(&one, NULL, "eggs", 2);
	struct dyn_object other = put(&one, &one.context, "bread", 3);
	struct dyn_object merged;
	struct dyn_object deleted;

	dyn_object_sync(&two, &other, &arena.allocator, &merged);
	deleted = put(&merged, &merged.context, NULL, 4);
	write_seed("object", "one", encode(&one));
	write_seed("object", "siblings", encode(&two));
	write_seed("object", "merged", encode(&merged));
	write_seed("object", "tombstone", encode(&deleted));
	other.versions[0].flags = DYN_VERSION_LWW;
	other.versions[0].expires_at_ms = 1700000060000;
	write_seed("object", "mortal", encode(&other));
	write_pair("mortal", encode(&two), encode(&other));
	other.versions[0].flags = 0;
	other.versions[0].expires_at_ms = 0;
	write_pair("siblings", encode(&two), encode(&other));
	write_pair("deleted", encode(&deleted), encode(&other));
	write_pair("same", encode(&one), encode(&one));
	return encode(&two);
}

/* -------------------------------------------------------------------- rings */

static struct dyn_slice
ring_bytes(uint16_t partition_count, uint8_t replica_count, uint8_t members)
{
	struct dyn_node_id cluster = { { 200 } };
	struct dyn_slice bytes = { NULL, 0 };
	struct dyn_ring ring;

	need(dyn_ring_init(&ring, &arena.allocator, cluster, partition_count,
					   replica_count) == DYN_STATUS_OK,
		 "ring");
	for (uint8_t m = 0; m < members; m++)
	{
		struct dyn_member member = { .id = { { (uint8_t) (m + 1) } },
									 .incarnation = 1,
									 .status = DYN_MEMBER_VALID,
									 .weight = 1,
									 .zone = "a",
									 .address = "127.0.0.1:7001",
									 .start_count = 1 };

		dyn_ring_merge_member(&ring, &member);
	}
	for (uint16_t p = 0; p < partition_count; p++)
		for (uint8_t s = 0; s < replica_count; s++)
		{
			struct dyn_slot slot = {
				1, 1, { { (uint8_t) ((p + s) % members + 1) } }
			};

			dyn_ring_merge_slot(&ring, p, s, &slot);
		}
	need(dyn_ring_encode(&ring, &arena.allocator, &bytes) == DYN_STATUS_OK,
		 "ring");
	return bytes;
}

/* ----------------------------------------------------------------- messages */

static struct dyn_slice steps[32]; /* by message type */

/* The step of target_node.c that says this message. */
static void
make_step(enum dyn_message_type type, struct dyn_slice body)
{
	uint8_t *bytes = dyn_arena_allocate(&arena, 6 + body.size);
	uint8_t head[5] = { 0, (uint8_t) type, 100, (uint8_t) body.size,
						(uint8_t) (body.size >> 8) };

	switch ((int) type)
	{
		case DYN_MESSAGE_REPLICATE:
		case DYN_MESSAGE_FORM:
		case DYN_MESSAGE_HEARTBEAT:
			head[0] = 1;
			break;
		case DYN_MESSAGE_WELCOME:
		case DYN_MESSAGE_ERROR:
		case DYN_MESSAGE_PUT_REPLY:
		case DYN_MESSAGE_READ_REPLY:
		case DYN_MESSAGE_REPLICATE_REPLY:
			head[0] = 2;
			head[2] = 0;
			break;
		default:
			break;
	}
	memcpy(bytes, head, sizeof(head));
	memcpy(bytes + sizeof(head), body.data, body.size);
	/* Then the store works. */
	bytes[sizeof(head) + body.size] = 6;
	steps[type] = (struct dyn_slice){ bytes, sizeof(head) + 1 + body.size };
}

static void
make_body_step(enum dyn_message_type type, const ProtobufCMessage *body)
{
	uint8_t *bytes =
		dyn_arena_allocate(&arena, protobuf_c_message_get_packed_size(body));

	make_step(type, (struct dyn_slice){ bytes,
										protobuf_c_message_pack(body, bytes) });
}

static void
write_message(enum dyn_message_type type, const ProtobufCMessage *body)
{
	struct dyn_envelope env = { .type = type,
								.remaining_ms = 1000,
								.correlation = 1 };
	struct dyn_slice frame = { NULL, 0 };
	size_t body_size;
	uint8_t *bytes;

	need(dyn_message_pack(&env, body, &arena.allocator, &frame) ==
			 DYN_STATUS_OK,
		 "pack");
	body_size = frame.size - DYN_ENVELOPE_SIZE;
	bytes = dyn_arena_allocate(&arena, 2 + body_size);
	bytes[0] = (uint8_t) type;
	bytes[1] = 0;
	memcpy(bytes + 2, frame.data + DYN_ENVELOPE_SIZE, body_size);
	write_seed("frame", dyn_message_name(type), frame);
	write_seed("message", dyn_message_name(type),
			   (struct dyn_slice){ bytes, 2 + body_size });
	make_step(type, (struct dyn_slice){ bytes + 2, body_size });
}

static struct dyn_bucket
bucket(const char *name, uint64_t version)
{
	struct dyn_bucket self = dyn_bucket_of(dyn_slice_of(name));

	self.r = 1;
	self.conflict = DYN_CONFLICT_LWW;
	self.ttl_ms = 60000;
	self.version = version;
	return self;
}

static ProtobufCBinaryData
bucket_table(void)
{
	struct dyn_buckets *table = dyn_arena_allocate(&arena, sizeof(*table));
	struct dyn_bucket cart = bucket("cart", 2);
	struct dyn_bucket session = bucket("session", 1);
	struct dyn_slice bytes = { NULL, 0 };

	table->count = 0;
	dyn_buckets_merge_one(table, &cart);
	dyn_buckets_merge_one(table, &session);
	need(dyn_buckets_encode(table, &arena.allocator, &bytes) == DYN_STATUS_OK,
		 "buckets");
	return dyn_bytes_of_slice(bytes);
}

static void
write_buckets(void)
{
	Dyn__BucketRequest request = DYN__BUCKET_REQUEST__INIT;
	Dyn__BucketReply reply = DYN__BUCKET_REPLY__INIT;
	struct dyn_bucket cart = bucket("cart", 0);
	Dyn__Bucket message;
	Dyn__Bucket *messages[1] = { &message };

	dyn_bucket_to_message(&cart, &message);
	request.set = &message;
	write_message(DYN_MESSAGE_BUCKET, &request.base);
	reply.n_buckets = 1;
	reply.buckets = messages;
	write_message(DYN_MESSAGE_BUCKET_REPLY, &reply.base);
}

static void
write_greetings(struct dyn_slice ring)
{
	Dyn__Hello hello = DYN__HELLO__INIT;
	Dyn__Welcome welcome = DYN__WELCOME__INIT;
	Dyn__Settings settings = DYN__SETTINGS__INIT;
	Dyn__Error error = DYN__ERROR__INIT;
	Dyn__Heartbeat heartbeat = DYN__HEARTBEAT__INIT;
	Dyn__Form form = DYN__FORM__INIT;
	protobuf_c_boolean up[3] = { 1, 0, 1 };

	settings.cluster_name = "dynamo";
	settings.n = 3;
	settings.r = settings.w = 2;
	settings.partition_count = 4;
	settings.value_size_max = 1024 * 1024;
	hello.version_min = hello.version_max = 1;
	hello.agent = "dynctl 1.0";
	hello.node = id_bytes(1);
	hello.address = "127.0.0.1:7001";
	write_message(DYN_MESSAGE_HELLO, &hello.base);
	welcome.node = id_bytes(1);
	welcome.cluster_name = "dynamo";
	welcome.formed = 1;
	welcome.settings = &settings;
	welcome.ring = dyn_bytes_of_slice(ring);
	welcome.n_peer_up = 3;
	welcome.peer_up = up;
	welcome.buckets = bucket_table();
	write_message(DYN_MESSAGE_WELCOME, &welcome.base);
	error.status = DYN_STATUS_VERSION;
	error.text = "version";
	error.version_min = error.version_max = 1;
	write_message(DYN_MESSAGE_ERROR, &error.base);
	heartbeat.incarnation = 1;
	heartbeat.answer = heartbeat.writable = 1;
	heartbeat.ring = dyn_bytes_of_slice(ring);
	heartbeat.bucket_digest = 7;
	heartbeat.buckets = bucket_table();
	write_message(DYN_MESSAGE_HEARTBEAT, &heartbeat.base);
	form.settings = &settings;
	form.ring = dyn_bytes_of_slice(ring);
	form.buckets = bucket_table();
	write_message(DYN_MESSAGE_FORM, &form.base);
}

static void
write_puts_and_gets(struct dyn_slice object)
{
	Dyn__PutOp op = DYN__PUT_OP__INIT;
	Dyn__PutOp *ops[2] = { &op, &op };
	Dyn__PutRequest put_request = DYN__PUT_REQUEST__INIT;
	Dyn__Receipt receipt = DYN__RECEIPT__INIT;
	Dyn__PutResult put_result = DYN__PUT_RESULT__INIT;
	Dyn__PutResult *put_results[1] = { &put_result };
	Dyn__PutReply put_reply = DYN__PUT_REPLY__INIT;
	Dyn__GetRequest get = DYN__GET_REQUEST__INIT;
	Dyn__GetResult get_result = DYN__GET_RESULT__INIT;
	Dyn__GetResult *get_results[1] = { &get_result };
	Dyn__GetReply get_reply = DYN__GET_REPLY__INIT;
	ProtobufCBinaryData values[2] = { bytes_of("milk"), bytes_of("eggs") };
	ProtobufCBinaryData keys[2] = { bytes_of("alice"), bytes_of("bob") };
	uint32_t indexes[2] = { 0, 2 };

	op.key = keys[0];
	op.request_id = id_bytes(7);
	op.n_values = 2;
	op.values = values;
	op.mode = DYN__PUT_MODE__GUARDED;
	op.retry = 1;
	put_request.bucket = bytes_of("cart");
	put_request.w = 2;
	put_request.n_ops = 2;
	put_request.ops = ops;
	write_message(DYN_MESSAGE_PUT, &put_request.base);
	receipt.needed = 2;
	receipt.n_answered = 2;
	receipt.answered = indexes;
	receipt.n_silent = 1;
	receipt.silent = indexes;
	put_result.status = DYN_STATUS_UNKNOWN;
	put_result.text = "1 of 2";
	put_result.receipt = &receipt;
	put_reply.n_results = 1;
	put_reply.results = put_results;
	write_message(DYN_MESSAGE_PUT_REPLY, &put_reply.base);
	get.bucket = bytes_of("cart");
	get.n_keys = 2;
	get.keys = keys;
	write_message(DYN_MESSAGE_GET, &get.base);
	get_result.object = dyn_bytes_of_slice(object);
	get_result.receipt = &receipt;
	get_reply.n_results = 1;
	get_reply.results = get_results;
	write_message(DYN_MESSAGE_GET_REPLY, &get_reply.base);
}

static void
write_exchange_messages(void)
{
	Dyn__TreeRequest tree = DYN__TREE_REQUEST__INIT;
	Dyn__TreeReply tree_reply = DYN__TREE_REPLY__INIT;
	Dyn__ListItem item = DYN__LIST_ITEM__INIT;
	Dyn__ListItem damaged = DYN__LIST_ITEM__INIT;
	Dyn__ListItem *items[2] = { &item, &damaged };
	Dyn__ListRequest list = DYN__LIST_REQUEST__INIT;
	Dyn__ListReply list_reply = DYN__LIST_REPLY__INIT;
	Dyn__CopyRequest copy = DYN__COPY_REQUEST__INIT;
	Dyn__CopyItem copied = DYN__COPY_ITEM__INIT;
	Dyn__CopyItem unreadable = DYN__COPY_ITEM__INIT;
	Dyn__CopyItem *copies[2] = { &copied, &unreadable };
	Dyn__CopyReply copy_reply = DYN__COPY_REPLY__INIT;
	uint32_t nodes[3] = { 0, 1, 7 };
	uint64_t hashes[3] = { 0, 42, UINT64_MAX };

	tree.level = 1;
	tree.n_nodes = tree.n_hashes = 3;
	tree.nodes = nodes;
	tree.hashes = hashes;
	write_message(DYN_MESSAGE_TREE, &tree.base);
	tree_reply.n_differing = 2;
	tree_reply.differing = nodes + 1;
	tree_reply.n_building = 1;
	tree_reply.building = nodes;
	write_message(DYN_MESSAGE_TREE_REPLY, &tree_reply.base);
	item.bucket = bytes_of("cart");
	item.key = bytes_of("alice");
	item.hash = 42;
	damaged.key = bytes_of("bob");
	damaged.damaged = true;
	list.n_leaves = 3;
	list.leaves = nodes;
	list.after_bucket = list.until_bucket = bytes_of("cart");
	list.after_key = bytes_of("a");
	list.until_key = bytes_of("c");
	list.n_items = list_reply.n_items = 2;
	list.items = list_reply.items = items;
	write_message(DYN_MESSAGE_LIST, &list.base);
	list_reply.after_bucket = bytes_of("cart");
	list_reply.after_key = bytes_of("b");
	write_message(DYN_MESSAGE_LIST_REPLY, &list_reply.base);
	copy.partition = 3;
	copy.after_bucket = bytes_of("cart");
	copy.after_key = bytes_of("alice");
	copy.items_max = 64;
	write_message(DYN_MESSAGE_COPY, &copy.base);
	copied.bucket = bytes_of("cart");
	copied.key = bytes_of("alice");
	copied.object = bytes_of("no object");
	unreadable.key = bytes_of("bob");
	unreadable.damaged = true;
	copy_reply.n_items = 2;
	copy_reply.items = copies;
	copy_reply.after_bucket = bytes_of("cart");
	copy_reply.after_key = bytes_of("bob");
	write_message(DYN_MESSAGE_COPY_REPLY, &copy_reply.base);
}

static void
write_reap_messages(void)
{
	Dyn__FenceRequest fence = DYN__FENCE_REQUEST__INIT;
	Dyn__FenceReply fence_reply = DYN__FENCE_REPLY__INIT;
	Dyn__ReapActor actor = DYN__REAP_ACTOR__INIT;
	Dyn__ReapActor *actors[1] = { &actor };
	Dyn__ReapItem dead = DYN__REAP_ITEM__INIT;
	Dyn__ReapItem crowded = DYN__REAP_ITEM__INIT;
	Dyn__ReapItem *items[2] = { &dead, &crowded };
	Dyn__ReapRequest reap = DYN__REAP_REQUEST__INIT;
	Dyn__ReapReply reap_reply = DYN__REAP_REPLY__INIT;
	uint32_t partitions[3] = { 0, 1, 3 };
	uint64_t fences[3] = { 1, 2, UINT64_MAX };

	fence.step = 2;
	fence.n_partitions = fence.n_fences = 3;
	fence.partitions = partitions;
	fence.fences = fences;
	fence.process = reap.process = FUZZ_PROCESS;
	write_message(DYN_MESSAGE_FENCE, &fence.base);
	fence_reply.n_blocks = fence_reply.n_stamps = 3;
	fence_reply.blocks = partitions;
	fence_reply.stamps = fences;
	write_message(DYN_MESSAGE_FENCE_REPLY, &fence_reply.base);
	actor.start = 42;
	actor.epoch = 1;
	dead.bucket = bytes_of("cart");
	dead.key = bytes_of("alice");
	dead.hash = 42;
	dead.fence = crowded.fence = 1;
	dead.dies_at_ms = 1000;
	crowded.key = bytes_of("bob");
	crowded.n_actors = 1;
	crowded.actors = actors;
	reap.step = 1;
	reap.n_items = 2;
	reap.items = items;
	write_message(DYN_MESSAGE_REAP, &reap.base);
	reap_reply.n_statuses = 3;
	reap_reply.statuses = partitions;
	write_message(DYN_MESSAGE_REAP_REPLY, &reap_reply.base);
}

static void
write_replica_messages(struct dyn_slice object)
{
	Dyn__ReadRequest read = DYN__READ_REQUEST__INIT;
	Dyn__ReadResult read_result = DYN__READ_RESULT__INIT;
	Dyn__ReadResult *read_results[1] = { &read_result };
	Dyn__ReadReply read_reply = DYN__READ_REPLY__INIT;
	Dyn__ReplicateOp op = DYN__REPLICATE_OP__INIT;
	Dyn__ReplicateOp *ops[1] = { &op };
	Dyn__ReplicateRequest replicate = DYN__REPLICATE_REQUEST__INIT;
	Dyn__ReplicateReply replicate_reply = DYN__REPLICATE_REPLY__INIT;
	ProtobufCBinaryData key = bytes_of("alice");
	ProtobufCBinaryData request = id_bytes(7);
	uint32_t statuses[2] = { 0, 16 };

	read.bucket = bytes_of("cart");
	read.hash_only = 1;
	read.n_keys = read.n_request_ids = 1;
	read.keys = &key;
	read.request_ids = &request;
	write_message(DYN_MESSAGE_READ, &read.base);
	read_result.hash = 42;
	read_result.object = dyn_bytes_of_slice(object);
	read_reply.n_results = 1;
	read_reply.results = read_results;
	write_message(DYN_MESSAGE_READ_REPLY, &read_reply.base);
	op.key = key;
	op.object = dyn_bytes_of_slice(object);
	op.n_request_ids = 1;
	op.request_ids = &request;
	replicate.bucket = bytes_of("cart");
	replicate.n_ops = 1;
	replicate.ops = ops;
	write_message(DYN_MESSAGE_REPLICATE, &replicate.base);
	replicate_reply.n_statuses = 2;
	replicate_reply.statuses = statuses;
	write_message(DYN_MESSAGE_REPLICATE_REPLY, &replicate_reply.base);
	write_exchange_messages();
	write_reap_messages();
}

static void
write_scans_and_status(struct dyn_slice object)
{
	Dyn__ScanRequest scan = DYN__SCAN_REQUEST__INIT;
	Dyn__ScanItem item = DYN__SCAN_ITEM__INIT;
	Dyn__ScanItem *items[1] = { &item };
	Dyn__ScanReply scan_reply = DYN__SCAN_REPLY__INIT;
	Dyn__StatusRequest status = DYN__STATUS_REQUEST__INIT;
	Dyn__Counter counter = DYN__COUNTER__INIT;
	Dyn__Counter *counters[1] = { &counter };
	Dyn__PeerStatus peer = DYN__PEER_STATUS__INIT;
	Dyn__PeerStatus *peers[1] = { &peer };
	Dyn__StatusReply status_reply = DYN__STATUS_REPLY__INIT;
	Dyn__Cancel cancel = DYN__CANCEL__INIT;
	uint64_t correlations[2] = { 1, 2 };

	scan.bucket = bytes_of("cart");
	scan.cell_last = 4095;
	scan.after_cell = 3;
	scan.after_key = bytes_of("a");
	scan.key_min = bytes_of("a");
	scan.key_max = bytes_of("z");
	scan.prefix = bytes_of("al");
	scan.items_max = 100;
	write_message(DYN_MESSAGE_SCAN, &scan.base);
	item.key = bytes_of("alice");
	item.hash = 42;
	item.object = dyn_bytes_of_slice(object);
	scan_reply.n_items = 1;
	scan_reply.items = items;
	scan_reply.end = 1;
	write_message(DYN_MESSAGE_SCAN_REPLY, &scan_reply.base);
	write_message(DYN_MESSAGE_STATUS, &status.base);
	counter.name = "puts";
	counter.value = 7;
	peer.node = id_bytes(2);
	peer.address = "127.0.0.1:7011";
	status_reply.node = id_bytes(1);
	status_reply.address = "127.0.0.1:7001";
	status_reply.n_counters = status_reply.n_peers = 1;
	status_reply.counters = counters;
	status_reply.peers = peers;
	write_message(DYN_MESSAGE_STATUS_REPLY, &status_reply.base);
	cancel.n_correlations = 2;
	cancel.correlations = correlations;
	write_message(DYN_MESSAGE_CANCEL, &cancel.base);
}

/* ------------------------------------------------------------------- others */

static void
write_steps(const char *name, uint8_t n, const struct dyn_slice *list,
			size_t count)
{
	uint8_t *bytes = dyn_arena_allocate(&arena, 4096);
	size_t size = 0;

	bytes[size++] = n;
	for (size_t i = 0; i < count; i++)
	{
		need(size + list[i].size <= 4096, name);
		memcpy(bytes + size, list[i].data, list[i].size);
		size += list[i].size;
	}
	write_seed("node", name, (struct dyn_slice){ bytes, size });
}

/* Steps of several messages, one after the other, among n replicas. */
static void
write_story(const char *name, uint8_t n, const enum dyn_message_type *types,
			size_t count)
{
	struct dyn_slice list[16];

	need(count <= 16, name);
	for (size_t i = 0; i < count; i++)
		list[i] = steps[types[i]];
	write_steps(name, n, list, count);
}

/* A PUT in each mode, with and without a context, and what fellows answer. */
static void
write_put_stories(struct dyn_slice context)
{
	static const enum dyn_message_type story[] = {
		DYN_MESSAGE_PUT,
		DYN_MESSAGE_READ_REPLY,
		DYN_MESSAGE_READ_REPLY,
		DYN_MESSAGE_REPLICATE_REPLY,
		DYN_MESSAGE_PUT,
		DYN_MESSAGE_PUT_REPLY,
		DYN_MESSAGE_REPLICATE_REPLY
	};
	Dyn__PutOp op = DYN__PUT_OP__INIT;
	Dyn__PutOp *ops[1] = { &op };
	Dyn__PutRequest request = DYN__PUT_REQUEST__INIT;
	ProtobufCBinaryData value = bytes_of("milk");
	char name[32];

	request.bucket = bytes_of("cart");
	request.n_ops = 1;
	request.ops = ops;
	op.values = &value;
	op.request_id = id_bytes(9);
	for (int i = 0; i < 16; i++)
	{
		static const char *const keys[] = { "alice", "bob", "carol", "dave" };

		op.key = bytes_of(keys[i % 4]);
		op.mode = (Dyn__PutMode) (i / 4);
		op.n_values = i % 3 != 0;
		op.context = i % 2 ? dyn_bytes_of_slice(context) : bytes_of("");
		op.retry = i % 5 == 4;
		request.w = (uint32_t) i % 4;
		make_body_step(DYN_MESSAGE_PUT, &request.base);
		snprintf(name, sizeof(name), "put%d", i);
		write_story(name, (uint8_t) i, story, sizeof(story) / sizeof(story[0]));
	}
}

/* A context that claims writes of the node's own process (fuzznode.c starts
 * it as 4711) which it never made; then a write without a context. */
static void
write_future_story(void)
{
	static const char *const claims[] = {
		"{0000000000001267.1:18446744073709551615}",
		"{0000000000001267.2:18446744073709551615}",
		"{0000000000001267.18446744073709551615:18446744073709551615}",
		"{0000000000001267.1:9,0000000000001267.2:9,0000000000001267.3:9}",
	};
	char name[32];

	for (int i = 0; i < 4; i++)
	{
		Dyn__PutOp op = DYN__PUT_OP__INIT;
		Dyn__PutOp *ops[1] = { &op };
		Dyn__PutRequest request = DYN__PUT_REQUEST__INIT;
		ProtobufCBinaryData value = bytes_of("milk");
		struct dyn_slice story[2];
		struct dyn_slice context;
		struct dyn_clock clock;

		need(dyn_clock_parse(dyn_slice_of(claims[i]), &arena.allocator,
							 &clock) == DYN_STATUS_OK,
			 "clock");
		dyn_clock_encode(&clock, &arena.allocator, &context);
		request.bucket = bytes_of("cart");
		request.w = 1;
		request.n_ops = 1;
		request.ops = ops;
		op.key = bytes_of("alice");
		op.request_id = id_bytes(9);
		op.n_values = 1;
		op.values = &value;
		op.context = dyn_bytes_of_slice(context);
		make_body_step(DYN_MESSAGE_PUT, &request.base);
		story[0] = steps[DYN_MESSAGE_PUT];
		op.request_id = id_bytes(10);
		op.context = bytes_of("");
		make_body_step(DYN_MESSAGE_PUT, &request.base);
		story[1] = steps[DYN_MESSAGE_PUT];
		snprintf(name, sizeof(name), "future%d", i);
		write_steps(name, 3, story, 2);
	}
}

static void
write_stories(void)
{
	static const enum dyn_message_type put_story[] = {
		DYN_MESSAGE_PUT,        DYN_MESSAGE_READ_REPLY,
		DYN_MESSAGE_READ_REPLY, DYN_MESSAGE_REPLICATE_REPLY,
		DYN_MESSAGE_GET,        DYN_MESSAGE_READ_REPLY,
		DYN_MESSAGE_SCAN
	};
	static const enum dyn_message_type replica_story[] = {
		DYN_MESSAGE_REPLICATE,  DYN_MESSAGE_READ,   DYN_MESSAGE_GET,
		DYN_MESSAGE_READ_REPLY, DYN_MESSAGE_CANCEL, DYN_MESSAGE_STATUS
	};
	static const enum dyn_message_type bucket_story[] = {
		DYN_MESSAGE_BUCKET,     DYN_MESSAGE_PUT,       DYN_MESSAGE_READ_REPLY,
		DYN_MESSAGE_READ_REPLY, DYN_MESSAGE_HEARTBEAT, DYN_MESSAGE_PUT,
		DYN_MESSAGE_READ_REPLY, DYN_MESSAGE_READ_REPLY
	};
	/* A new member in the first slot; then in a table of its own, where the
	 * first two slots change places, one older and one newer than ours. */
	static const uint8_t ring_story[] = { 3, 8, 2, 0, 12, 7, 1, 0, 0, 12, 5 };
	static const uint8_t swap_story[] = {
		3, 8, 2, 1, 0, 0, 1, 0, 1, 0, 1, 0, 9
	};

	for (unsigned i = 1; i < sizeof(steps) / sizeof(steps[0]); i++)
	{
		enum dyn_message_type type = (enum dyn_message_type) i;

		if (steps[i].size != 0)
			write_story(dyn_message_name(i), 3, &type, 1);
	}
	write_story("put-get-scan", 3, put_story,
				sizeof(put_story) / sizeof(put_story[0]));
	write_story("replicate-read", 3, replica_story,
				sizeof(replica_story) / sizeof(replica_story[0]));
	write_story("buckets", 3, bucket_story,
				sizeof(bucket_story) / sizeof(bucket_story[0]));
	write_seed("node", "ring",
			   (struct dyn_slice){ ring_story, sizeof(ring_story) });
	write_seed("node", "swap",
			   (struct dyn_slice){ swap_story, sizeof(swap_story) });
}

/* Two streams, one page each: "a" with equal hashes, then the end. */
static void
write_scan_merge_seed(void)
{
	static const uint8_t bytes[] = { 1, 1, 1, 'a', 1, 0, 1, 1, 'a', 1, 0 };

	write_seed("scan_merge", "agree",
			   (struct dyn_slice){ bytes, sizeof(bytes) });
}

int
main(int argc, char **argv)
{
	struct dyn_slice object;
	struct dyn_slice clock;
	struct dyn_slice ring;

	if (argc != 2)
	{
		fprintf(stderr, "usage: seeds DIR\n");
		return 2;
	}
	top = argv[1];
	need(mkdir(top, 0777) == 0 || errno == EEXIST, top);
	dyn_arena_init(&arena, dyn_allocator_malloc(), 0);
	clock = write_clock_seeds();
	object = write_object_seeds();
	ring = ring_bytes(4, 3, 3);
	write_seed("ring", "three", ring);
	write_seed("ring", "one", ring_bytes(1, 1, 1));
	write_seed("ring", "five", ring_bytes(16, 3, 5));
	write_greetings(ring);
	write_puts_and_gets(object);
	write_replica_messages(object);
	write_scans_and_status(object);
	write_buckets();
	write_scan_merge_seed();
	write_stories();
	write_put_stories(clock);
	write_future_story();
	dyn_arena_destroy(&arena);
	return 0;
}
