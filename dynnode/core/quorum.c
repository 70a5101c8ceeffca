#include "core/quorum.h"

void
dyn_quorum_init(struct dyn_quorum *self, uint8_t slot_count, uint8_t needed)
{
	*self = (struct dyn_quorum){ .needed = needed,
								 .all = (uint8_t) ((1U << slot_count) - 1) };
}

static bool
answer(struct dyn_quorum *self, uint8_t *mask, uint8_t slot)
{
	uint8_t bit = (uint8_t) (1U << slot);

	if ((self->all & bit) == 0 || ((self->yes | self->no) & bit) != 0)
		return false;
	*mask |= bit;
	return true;
}

bool
dyn_quorum_yes(struct dyn_quorum *self, uint8_t slot)
{
	return answer(self, &self->yes, slot);
}

bool
dyn_quorum_no(struct dyn_quorum *self, uint8_t slot)
{
	return answer(self, &self->no, slot);
}

void
dyn_quorum_refused(struct dyn_quorum *self, uint8_t slot,
				   enum dyn_status status)
{
	self->refusals[slot] = (uint8_t) status;
}

enum dyn_quorum_state
dyn_quorum_state(const struct dyn_quorum *self)
{
	if (dyn_quorum_count(self->yes) >= self->needed)
		return DYN_QUORUM_REACHED;
	if (dyn_quorum_count(self->all & (uint8_t) ~self->no) < self->needed)
		return DYN_QUORUM_IMPOSSIBLE;
	return DYN_QUORUM_OPEN;
}

uint8_t
dyn_quorum_count(uint8_t mask)
{
	uint8_t count = 0;

	for (; mask != 0; mask &= (uint8_t) (mask - 1))
		count++;
	return count;
}
