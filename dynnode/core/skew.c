#include "core/skew.h"

#include "core/state.h"
#include "core/text.h"
#include "model/wall.h"

enum
{
	WARN_MS = 1000,
	CALM_MS = 500,           /* it is over when they differ by less */
	NARROW_MS = 10 * 1000,   /* narrow bounds are kept so long */
	KEEP_MS = 10 * 60 * 1000 /* who is away is remembered so long */
};

/* No clock shows that: 2^53 ms are 285,000 years. */
#define WALL_MS_MAX (UINT64_C(1) << 53)

/* ----------------------------------------------------------------- the log */

/* In seconds, with one digit. */
static void
say(struct dyn_node *node, const struct dyn_peer *peer, int64_t skew_ms)
{
	uint64_t ms = skew_ms < 0 ? (uint64_t) -skew_ms : (uint64_t) skew_ms;
	struct dyn_text text;

	dyn_text_set(&text, "the clock of ");
	dyn_text_add(&text, peer->address);
	if (!peer->skew.apart)
	{
		dyn_text_add(&text, " agrees with this node's again");
		dyn_log(node, DYN_LOG_INFO, text.bytes);
		return;
	}
	dyn_text_add(&text, " is ");
	dyn_text_add_number(&text, ms / 1000);
	dyn_text_add(&text, ".");
	dyn_text_add_number(&text, ms % 1000 / 100);
	dyn_text_add(&text, skew_ms < 0 ? " s behind this node's"
									: " s ahead of this node's");
	dyn_text_add(&text, ": keep clocks synchronised");
	dyn_log(node, DYN_LOG_WARNING, text.bytes);
}

/* Only what is certain begins or ends it. */
static void
notice(struct dyn_node *node, uint32_t peer_index)
{
	struct dyn_peer *peer = node->peers[peer_index];
	struct dyn_skew *self = &peer->skew;
	int64_t skew_ms;
	uint64_t error_ms;
	int64_t size_ms;
	bool before = self->apart;

	if (!dyn_skew_of(node, peer_index, &skew_ms, &error_ms))
		return;
	size_ms = skew_ms < 0 ? -skew_ms : skew_ms;
	if (size_ms - (int64_t) error_ms > WARN_MS)
		self->apart = true;
	else if (size_ms + (int64_t) error_ms < CALM_MS)
		self->apart = false;
	if (self->apart == before)
		return;
	if (self->apart)
		dyn_count(node, clocks_apart);
	say(node, peer, skew_ms);
}

/* ------------------------------------------------------------------ bounds */

void
dyn_skew_learn(struct dyn_node *node, uint32_t peer_index, uint64_t wall_ms,
			   uint64_t asked_ms)
{
	struct dyn_skew *self = &node->peers[peer_index]->skew;
	int64_t least_ms;
	int64_t most_ms;

	/* An earlier version does not tell; an answer to what was never asked. */
	if (wall_ms == 0 || wall_ms > WALL_MS_MAX || asked_ms == 0 ||
		asked_ms > node->now_ms)
		return;
	least_ms = (int64_t) wall_ms - (int64_t) node->now_ms;
	most_ms = (int64_t) wall_ms - (int64_t) asked_ms;
	self->told_ms = node->now_ms;
	/* Clocks are read in whole milliseconds: what touches does not contradict. */
	if (!self->known || least_ms > self->most_ms + 1 ||
		most_ms + 1 < self->least_ms ||
		most_ms - least_ms <= self->most_ms - self->least_ms ||
		node->now_ms - self->at_ms > NARROW_MS)
	{
		self->known = true;
		self->least_ms = least_ms;
		self->most_ms = most_ms;
		self->at_ms = node->now_ms;
	}
	notice(node, peer_index);
}

/* Own steady clock to own wall clock. */
static int64_t
ahead_of_own(const struct dyn_node *node, int64_t ms)
{
	return (int64_t) node->now_ms + ms - (int64_t) node->wall_ms;
}

bool
dyn_skew_of(const struct dyn_node *node, uint32_t peer_index, int64_t *skew_ms,
			uint64_t *error_ms)
{
	const struct dyn_skew *self = &node->peers[peer_index]->skew;

	if (!self->known)
		return false;
	*error_ms = (uint64_t) (self->most_ms - self->least_ms + 1) / 2;
	*skew_ms = ahead_of_own(node, self->least_ms) + (int64_t) *error_ms;
	return true;
}

/* Is it one of the cluster, whose clock was told not too long ago? */
static bool
counts(const struct dyn_node *node, const struct dyn_peer *peer)
{
	return peer->skew.known && !peer->stranger &&
		   node->now_ms - peer->skew.told_ms <= KEEP_MS;
}

uint64_t
dyn_skew_view_ms(const struct dyn_node *node)
{
	int64_t least_ms = 0;

	for (uint32_t i = 0; i < node->peer_count; i++)
	{
		const struct dyn_peer *peer = node->peers[i];
		int64_t ms = ahead_of_own(node, peer->skew.least_ms);

		if (counts(node, peer) && ms < least_ms)
			least_ms = ms;
	}
	return dyn_view_near(least_ms + (int64_t) node->wall_ms > 0
							 ? (uint64_t) (least_ms + (int64_t) node->wall_ms)
							 : 1,
						 node->wall_ms);
}

uint64_t
dyn_skew_latest_ms(const struct dyn_node *node)
{
	int64_t most_ms = 0;

	for (uint32_t i = 0; i < node->peer_count; i++)
	{
		const struct dyn_peer *peer = node->peers[i];
		int64_t ms = ahead_of_own(node, peer->skew.most_ms);

		if (counts(node, peer) && ms > most_ms)
			most_ms = ms;
	}
	return dyn_view_near((uint64_t) (most_ms + (int64_t) node->wall_ms),
						 node->wall_ms);
}
