#include "core/put_forward.h"

#include "core/bucket.h"
#include "core/cluster.h"
#include "core/outbox.h"
#include "core/peer.h"
#include "core/put_answer.h"
#include "core/receipt.h"
#include "core/text.h"

/* Who shall coordinate: an owner, one whose store takes writes first; when
 * none can be reached, the first fallback that can, maybe this node. */
static int32_t
choose_coordinator(struct dyn_node *node, uint16_t partition, uint8_t avoid,
				   bool *stand_in)
{
	int32_t best = DYN_PEER_NONE;
	int32_t peer;

	for (uint8_t slot = 0; slot < node->cluster.n; slot++)
	{
		peer = dyn_cluster_owner(node, partition, slot);
		if (dyn_peer_is_reachable(node, peer) && !(avoid & (1U << slot)) &&
			(best < 0 || !node->peers[best]->writable))
			best = peer;
	}
	*stand_in = best < 0;
	for (uint32_t i = 0; best == DYN_PEER_NONE && i < node->cluster.n &&
						 dyn_cluster_fallback(node, partition, i, &peer);
		 i++)
		if (peer == DYN_PEER_SELF ? node->writable
								  : dyn_peer_is_reachable(node, peer) &&
										node->peers[peer]->writable)
			best = peer;
	return best;
}

static void
forward_to(struct dyn_node *node, struct dyn_request *request, uint32_t op,
		   int32_t peer, bool stand_in)
{
	const Dyn__PutRequest *message = request->message;
	struct dyn_put_op *put = &request->puts[op];
	struct dyn_call_item item = { .serial = request->serial,
								  .op = op,
								  .fallback = stand_in,
								  .deadline_ms = request->deadline_ms };
	uint64_t until_ms = request->deadline_ms;

	for (uint8_t slot = 0; slot < node->cluster.n; slot++)
		if (dyn_cluster_owner(node, put->partition, slot) == peer)
			put->avoid |= (uint8_t) (1U << slot);
	/* Nobody waits for longer: neither the client nor this node. */
	if (request->act_until_ms < until_ms)
		until_ms = request->act_until_ms;
	dyn_count(node, put_ops_forwarded);
	put->phase = DYN_PUT_FORWARDED;
	put->forwarded_to = (uint32_t) peer;
	dyn_outbox_forward(node, (uint32_t) peer, request->bucket,
					   dyn_bucket_w(node, request->bucket, message->w),
					   until_ms, put->message, &item);
}

void
dyn_put_forward(struct dyn_node *node, struct dyn_request *request, uint32_t op,
				uint32_t w)
{
	struct dyn_put_op *put = &request->puts[op];
	bool stand_in;
	int32_t best =
		choose_coordinator(node, put->partition, put->avoid, &stand_in);

	if (best == DYN_PEER_SELF)
	{
		dyn_put_coordinate(node, request, op, w, -1);
		return;
	}
	/* This node alone would have been enough. */
	if (best == DYN_PEER_NONE && w == 1 && !node->writable &&
		dyn_cluster_own_slot(node, put->partition) >= 0)
	{
		dyn_put_decide(node, request, op, DYN_STATUS_FULL,
					   dyn_put_refusal_text(DYN_STATUS_FULL));
		return;
	}
	if (best == DYN_PEER_NONE)
	{
		dyn_count(node, quorums_failed);
		dyn_quorum_init(&put->writing.quorum, node->cluster.n, (uint8_t) w);
		put->writing.quorum.no = put->writing.quorum.all;
		dyn_put_decide(node, request, op, DYN_STATUS_NO_QUORUM,
					   dyn_put_write_text(node, request, put));
		return;
	}
	forward_to(node, request, op, best, stand_in);
}

/* Another owner may have a sound record, or hear all others. False when there
 * is none. */
static bool
forward_again(struct dyn_node *node, struct dyn_request *request, uint32_t op)
{
	struct dyn_put_op *put = &request->puts[op];
	const Dyn__PutRequest *message = request->message;
	bool stand_in;
	int32_t peer =
		choose_coordinator(node, put->partition, put->avoid, &stand_in);

	if (message->hops != 0 || stand_in)
		return false;
	forward_to(node, request, op, peer, false);
	return true;
}

void
dyn_put_hand_on(struct dyn_node *node, struct dyn_request *request, uint32_t op)
{
	struct dyn_put_op *put = &request->puts[op];

	put->avoid |= (uint8_t) (1U << put->writing.own_slot);
	if (!put->writing.stands_in && forward_again(node, request, op))
		return;
	dyn_put_decide(node, request, op, DYN_STATUS_CORRUPT,
				   dyn_put_refusal_text(DYN_STATUS_CORRUPT));
}

/* What the coordinator said; the request may outlive its frame. */
static const Dyn__Receipt *
copy_receipt(struct dyn_arena *arena, const Dyn__Receipt *receipt)
{
	size_t size = dyn__receipt__get_packed_size(receipt);
	uint8_t *bytes = dyn_arena_allocate(arena, size + 1);
	ProtobufCAllocator allocator = { arena->allocator.allocate,
									 arena->allocator.release,
									 arena->allocator.context };

	dyn__receipt__pack(receipt, bytes);
	return dyn__receipt__unpack(&allocator, size, bytes);
}

void
dyn_put_forward_answer(struct dyn_node *node, struct dyn_request *request,
					   uint32_t op, const Dyn__PutResult *result)
{
	struct dyn_put_op *put = &request->puts[op];
	struct dyn_arena *arena = &request->arena;

	if (put->phase != DYN_PUT_FORWARDED)
		return;
	/* Its record is damaged; it has stored nothing. */
	if (result->status == DYN_STATUS_CORRUPT &&
		forward_again(node, request, op))
		return;
	put->result = dyn_arena_copy(arena, dyn_slice_of_bytes(result->context));
	put->writing.quorum.needed = 0; /* the receipt is the coordinator's */
	if (result->receipt != NULL)
		put->receipt = copy_receipt(arena, result->receipt);
	dyn_put_decide(node, request, op, (enum dyn_status) result->status,
				   dyn_receipt_say(arena, result->text));
}

void
dyn_put_forward_lost(struct dyn_node *node, struct dyn_request *request,
					 uint32_t op, enum dyn_status status)
{
	const struct dyn_put_op *put = &request->puts[op];
	struct dyn_text text;

	if (put->phase != DYN_PUT_FORWARDED)
		return;
	if (status != DYN_STATUS_OK)
	{
		dyn_put_decide(node, request, op, status, dyn_put_refusal_text(status));
		return;
	}
	dyn_text_set(&text, node->peers[put->forwarded_to]->address);
	dyn_text_add(&text, ", which was to coordinate it, did not answer");
	dyn_put_decide(node, request, op, DYN_STATUS_UNKNOWN,
				   dyn_receipt_say(&request->arena, text.bytes));
}
