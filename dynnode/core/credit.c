#include "core/credit.h"

#include "core/state.h"

/* Slower commits than this count against the budget; more than one in
 * SLOW_PART of them halves it. */
enum
{
	SLOW_PART = 32
};

void
dyn_credit_init(struct dyn_credit *self)
{
	*self = (struct dyn_credit){ .budget = DYN_CREDIT_MAX };
}

void
dyn_credit_commit(struct dyn_node *node, uint64_t took_ms)
{
	struct dyn_credit *self = &node->credit;

	self->commit_count++;
	self->slow_count += took_ms > node->config.hedge_ms;
	if (self->commit_count < DYN_CREDIT_COMMITS)
		return;
	if (self->slow_count > DYN_CREDIT_COMMITS / SLOW_PART)
		self->budget /= 2;
	else if (self->slow_count == 0)
		self->budget += DYN_CREDIT_MAX / 16;
	if (self->budget < DYN_CREDIT_MIN)
		self->budget = DYN_CREDIT_MIN;
	if (self->budget > DYN_CREDIT_MAX)
		self->budget = DYN_CREDIT_MAX;
	self->commit_count = self->slow_count = 0;
}

uint64_t
dyn_credit_grant(const struct dyn_node *node)
{
	uint32_t others = node->cluster.ring.member_count;

	if (!node->writable || !node->cluster.formed || others < 2)
		return 0;
	return node->credit.budget / (others - 1);
}
