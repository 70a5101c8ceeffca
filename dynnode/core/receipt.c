#include "core/receipt.h"

#include "core/cluster.h"
#include "core/text.h"

#include <string.h>

static uint32_t
list_slots(struct dyn_arena *arena, uint8_t mask, uint32_t **slots)
{
	uint32_t count = 0;

	*slots = dyn_arena_allocate(arena, DYN_REPLICAS_MAX * sizeof(**slots));
	for (uint32_t slot = 0; slot < DYN_REPLICAS_MAX; slot++)
		if (mask & (1U << slot))
			(*slots)[count++] = slot;
	return count;
}

Dyn__Receipt *
dyn_receipt_make(struct dyn_node *node, struct dyn_arena *arena,
				 uint16_t partition, const struct dyn_quorum *quorum,
				 uint8_t by_fallback)
{
	Dyn__Receipt *receipt = dyn_arena_allocate(arena, sizeof(*receipt));
	int own_slot = dyn_cluster_own_slot(node, partition);

	dyn__receipt__init(receipt);
	receipt->needed = quorum->needed;
	receipt->n_answered = list_slots(arena, quorum->yes, &receipt->answered);
	receipt->n_silent = list_slots(arena, quorum->all & (uint8_t) ~quorum->yes,
								   &receipt->silent);
	receipt->n_fallbacks =
		list_slots(arena, by_fallback & quorum->yes, &receipt->fallbacks);
	receipt->coordinator =
		own_slot >= 0 ? (uint32_t) own_slot : node->cluster.n;
	return receipt;
}

char *
dyn_receipt_say(struct dyn_arena *arena, const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = dyn_arena_allocate(arena, size);

	memcpy(copy, text, size);
	return copy;
}

/* Those of these slots whose owners refused so, or said nothing (OK): which. */
static uint8_t
list_owners(struct dyn_node *node, struct dyn_text *text, uint16_t partition,
			const struct dyn_quorum *quorum, uint8_t slots,
			enum dyn_status status)
{
	uint8_t listed = 0;

	dyn_text_add(text, "; ");
	dyn_text_add(text, status == DYN_STATUS_OK ? "no answer"
											   : dyn_status_name(status));
	for (uint8_t slot = 0; slot < node->cluster.n; slot++)
	{
		if (!(slots & (1U << slot)) || quorum->refusals[slot] != status)
			continue;
		dyn_text_add(text, listed == 0 ? " from " : ", ");
		dyn_text_add(text, dyn_cluster_owner_address(node, partition, slot));
		listed |= (uint8_t) (1U << slot);
	}
	return listed;
}

char *
dyn_receipt_text(struct dyn_node *node, struct dyn_arena *arena,
				 uint16_t partition, const struct dyn_quorum *quorum)
{
	struct dyn_text text;
	uint8_t came = dyn_quorum_count(quorum->yes);
	/* Those that were given up; when time ran out, those still awaited. */
	uint8_t missing = quorum->all & (uint8_t) ~quorum->yes;

	if (dyn_quorum_state(quorum) == DYN_QUORUM_IMPOSSIBLE)
		missing = quorum->no;

	dyn_text_set(&text, "");
	dyn_text_add_number(&text, quorum->needed);
	dyn_text_add(&text, quorum->needed == 1 ? " answer was needed, "
											: " answers were needed, ");
	dyn_text_add_number(&text, came);
	dyn_text_add(&text, " came");
	for (uint8_t slot = 0; slot < node->cluster.n; slot++)
		if (missing & (1U << slot))
			missing &= (uint8_t) ~list_owners(
				node, &text, partition, quorum, missing,
				(enum dyn_status) quorum->refusals[slot]);
	return dyn_receipt_say(arena, text.bytes);
}
