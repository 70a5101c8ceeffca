/*
 * From a failing run to a short one: parameters are taken away, one after the
 * other, while it still fails in the same way.
 */
#include "tests/sim/runner.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum
{
	RUN_SECONDS_MAX = 60
};

struct shrink
{
	uint64_t seed;
	struct dyn_swarm best;
	struct dyn_outcome outcome; /* of best */
	char rule[32];              /* what failed: the text up to its first word */
	time_t until;
	uint32_t tries;
};

static void
rule_of(const struct dyn_outcome *outcome, char rule[32])
{
	snprintf(rule, 32, "%.*s", (int) strcspn(outcome->text, " :"),
			 outcome->text);
}

/* Does it still fail so?  Then it is the best one. */
static bool
try(struct shrink *self, const struct dyn_swarm *swarm)
{
	struct dyn_outcome outcome;
	char rule[32];

	if (time(NULL) >= self->until || !dyn_swarm_is_sound(swarm) ||
		memcmp(swarm, &self->best, sizeof(*swarm)) == 0)
		return false;
	self->tries++;
	(void) dyn_run_apart(self->seed, swarm, RUN_SECONDS_MAX, &outcome);
	rule_of(&outcome, rule);
	if (outcome.violations == 0 || strcmp(rule, self->rule) != 0)
		return false;
	self->best = *swarm;
	self->outcome = outcome;
	return true;
}

static bool
try_value(struct shrink *self, uint32_t index, uint32_t value)
{
	struct dyn_swarm swarm = self->best;

	*dyn_swarm_value(&swarm, index) = value;
	return try(self, &swarm);
}

static uint32_t
index_of(const char *name)
{
	uint32_t index = 0;

	while (strcmp(dyn_swarm_name(index), name) != 0)
		index++;
	return index;
}

/* Everything that ends in these letters becomes calm at once. */
static void
try_all_named(struct shrink *self, const char *part)
{
	struct dyn_swarm swarm = self->best;
	struct dyn_swarm calm;

	dyn_swarm_calm(&calm);
	for (uint32_t i = 0; i < dyn_swarm_count(); i++)
		if (strstr(dyn_swarm_name(i), part) != NULL)
			*dyn_swarm_value(&swarm, i) = *dyn_swarm_value(&calm, i);
	try(self, &swarm);
}

/* The first values that still fail, by bisection between nothing and all. */
static void
bisect(struct shrink *self, const char *name, uint64_t all)
{
	uint32_t index = index_of(name);
	uint64_t low = 0;
	uint64_t high = all;

	if (*dyn_swarm_value(&self->best, index) != 0 &&
		high > *dyn_swarm_value(&self->best, index))
		high = *dyn_swarm_value(&self->best, index);
	while (low + 1 < high)
	{
		uint64_t middle = low + (high - low) / 2;

		if (try_value(self, index, (uint32_t) middle))
			high = middle;
		else
			low = middle;
	}
}

static void
halve(struct shrink *self, const char *name, uint32_t least)
{
	uint32_t index = index_of(name);
	uint32_t value = *dyn_swarm_value(&self->best, index);

	while (value > least &&
		   try_value(self, index, value / 2 < least ? least : value / 2))
		value = *dyn_swarm_value(&self->best, index);
	while (value > least && value < 12 && try_value(self, index, value - 1))
		value--;
}

static void
shorten(struct shrink *self)
{
	bisect(self, "actions_max", self->outcome.actions);
	bisect(self, "strikes_max", self->outcome.strikes);
	halve(self, "duration_ms", 1000);
	halve(self, "client_count", 1);
	halve(self, "key_count", 1);
	halve(self, "batch_max", 1);
	halve(self, "node_count", self->best.n);
	halve(self, "partition_count", 1);
}

/* True when something could be taken away. */
static bool
simplify(struct shrink *self)
{
	struct dyn_swarm calm;
	bool any = false;

	dyn_swarm_calm(&calm);
	for (uint32_t i = 0; i < dyn_swarm_count(); i++)
		if (*dyn_swarm_value(&self->best, i) != *dyn_swarm_value(&calm, i))
			any |= try_value(self, i, *dyn_swarm_value(&calm, i));
	return any;
}

bool
dyn_shrink(uint64_t seed, struct dyn_swarm *swarm, uint32_t seconds_max,
		   struct dyn_outcome *outcome)
{
	static const char *const groups[] = { "_period_ms", "damage", "drop",
										  "tail",       "slow",   "wall",
										  "clock",      "retry",  "mode" };
	struct shrink self = { .seed = seed,
						   .best = *swarm,
						   .until = time(NULL) + seconds_max };

	(void) dyn_run_apart(seed, swarm, RUN_SECONDS_MAX, &self.outcome);
	*outcome = self.outcome;
	if (self.outcome.violations == 0)
		return false;
	rule_of(&self.outcome, self.rule);
	bisect(&self, "actions_max", self.outcome.actions);
	for (uint32_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		try_all_named(&self, groups[i]);
	do
		shorten(&self);
	while (simplify(&self) && time(NULL) < self.until);
	*swarm = self.best;
	*outcome = self.outcome;
	printf("# %u runs to shrink it\n", self.tries);
	return true;
}
