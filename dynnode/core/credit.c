#include "core/credit.h"

#include "core/peer.h"
#include "core/state.h"

#include <assert.h>

enum
{
	SCALE = 64, /* of calm_ms; and in so many commits a peak is forgotten */
	SLOW_MS = 2,
	SLOW_MAX = 1 /* of those that are judged together, without consequence */
};

void
dyn_credit_init(struct dyn_credit *self)
{
	*self = (struct dyn_credit){ .budget = DYN_CREDIT_FIRST };
}

/* ------------------------------------------------------------- the budget */

/* The longest of late: a peak that is forgotten step by step. */
static void
note_calm(struct dyn_credit *self, uint64_t took_ms)
{
	uint64_t took = (took_ms < UINT32_MAX / SCALE ? took_ms : 0) * SCALE;

	self->calm_ms -= self->calm_ms / SCALE;
	if (self->calm_ms < took + 1)
		self->calm_ms = (uint32_t) took + 1;
}

/* Of the background, in any state but on the network. */
static uint64_t
under_way(const struct dyn_credit *self)
{
	return self->here + self->pulling;
}

bool
dyn_credit_is_used(const struct dyn_node *node)
{
	return under_way(&node->credit) != 0;
}

static void
note_more(struct dyn_credit *self)
{
	if (self->most < under_way(self))
		self->most = under_way(self);
}

/* What a commit may take beside background work. */
static uint64_t
bearable_ms(const struct dyn_node *node)
{
	const struct dyn_credit *self = &node->credit;

	if (self->calm_ms == 0)
		return node->config.hedge_ms / 2;
	return SLOW_MS + (self->calm_ms + self->calm_ms / 2) / SCALE;
}

static void
set_budget(struct dyn_credit *self, uint64_t budget)
{
	if (budget < DYN_CREDIT_MIN)
		budget = DYN_CREDIT_MIN;
	if (budget > DYN_CREDIT_MAX)
		budget = DYN_CREDIT_MAX;
	self->budget = budget;
}

void
dyn_credit_commit(struct dyn_node *node, uint64_t took_ms, bool burdened)
{
	struct dyn_credit *self = &node->credit;

	if (!burdened)
	{
		note_calm(self, took_ms);
		return;
	}
	self->count++;
	self->slow_count += took_ms > bearable_ms(node);
	if (self->slow_count > SLOW_MAX)
		set_budget(self, self->budget / 2);
	else if (self->count < DYN_CREDIT_COMMITS)
		return;
	else if (self->slow_count == 0 && self->most >= self->budget / 2)
		set_budget(self, self->budget + self->budget / 2);
	self->count = self->slow_count = 0;
	self->most = under_way(self);
}

void
dyn_credit_arrived(struct dyn_node *node, uint64_t bytes)
{
	node->credit.here += bytes;
	note_more(&node->credit);
}

void
dyn_credit_left(struct dyn_node *node, uint64_t bytes)
{
	assert(node->credit.here >= bytes);
	node->credit.here -= bytes;
}

/* -------------------------------------------------------------- the turns */

static bool
may_have(const struct dyn_node *node, uint32_t peer_index)
{
	return dyn_peer_is_reachable(node, (int32_t) peer_index);
}

/* Who wants; or everybody, when nobody does. */
static bool
has_part(const struct dyn_node *node, uint32_t peer_index, bool anybody)
{
	return (node->peers[peer_index]->wants || !anybody) &&
		   may_have(node, peer_index);
}

/* As many of those who want as there is enough for, from behind those who had
 * the last turn; this node always.  (To repair a key takes a share on both
 * sides: two rare turns would hardly ever meet.) */
static void
share_in_turns(struct dyn_node *node, uint32_t count, bool anybody)
{
	struct dyn_credit *self = &node->credit;
	uint32_t begin = self->last + 1;
	uint64_t places = self->budget /
					  (anybody ? DYN_CREDIT_SHARE_MIN : DYN_CREDIT_SHARE_SMALL);
	uint64_t share;

	if (places == 0)
		places = 1;
	if (places > count)
		places = count;
	share = self->budget / (places + self->own_wants);
	self->own_share = self->own_wants ? share : 0;
	for (uint32_t i = 0; i < node->peer_count && places != 0; i++)
	{
		uint32_t index = (begin + i) % node->peer_count;

		if (!has_part(node, index, anybody))
			continue;
		node->peers[index]->granted = share;
		self->last = index;
		places--;
	}
}

void
dyn_credit_turn(struct dyn_node *node)
{
	struct dyn_credit *self = &node->credit;
	bool anybody = self->own_wants;
	uint32_t count = 0;

	self->own_share = 0;
	for (uint32_t i = 0; i < node->peer_count; i++)
	{
		node->peers[i]->granted = 0;
		anybody |= node->peers[i]->wants && may_have(node, i);
	}
	if (!node->cluster.formed || self->turn++ % DYN_CREDIT_REST == 0)
		return;
	if (!anybody && under_way(self) == 0)
		self->budget = DYN_CREDIT_FIRST;
	for (uint32_t i = 0; i < node->peer_count; i++)
		count += has_part(node, i, anybody);
	self->own_wants |= !anybody;
	share_in_turns(node, count, anybody);
	self->own_wants = false;
}

uint64_t
dyn_credit_grant(const struct dyn_node *node, const struct dyn_peer *peer)
{
	return node->writable && peer != NULL ? peer->granted : 0;
}

/* ------------------------------------------------------- coming and going */

static uint64_t
rest_of(uint64_t all, uint64_t used)
{
	return all > used ? all - used : 0;
}

uint64_t
dyn_credit_may_pull(struct dyn_node *node)
{
	struct dyn_credit *self = &node->credit;
	uint64_t rest =
		node->writable ? rest_of(self->own_share, self->pulling) : 0;

	self->own_wants |= rest == 0;
	return rest;
}

void
dyn_credit_pull(struct dyn_node *node, uint64_t bytes)
{
	node->credit.pulling += bytes;
	note_more(&node->credit);
}

void
dyn_credit_pulled(struct dyn_node *node, uint64_t bytes)
{
	assert(node->credit.pulling >= bytes);
	node->credit.pulling -= bytes;
}

uint64_t
dyn_credit_may_send(const struct dyn_peer *peer)
{
	return rest_of(peer->credit, peer->sending);
}

void
dyn_credit_send(struct dyn_node *node, struct dyn_peer *peer, uint64_t bytes)
{
	if (peer->sending + bytes > peer->credit)
		dyn_count(node, credit_oversize);
	peer->sending += bytes;
	peer->sending_max = peer->credit;
}

void
dyn_credit_sent(struct dyn_peer *peer, uint64_t bytes)
{
	assert(peer->sending >= bytes);
	peer->sending -= bytes;
}
