/*
 * The parameters of a run by name: command lines, shrinking.
 */
#include "tests/sim/swarm.h"

#include "tests/sim/world.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct
{
	const char *name;
	size_t offset;
} fields[] = {
#define SWARM_NAME(name, calm) { #name, offsetof(struct dyn_swarm, name) },
	DYN_SWARM_MAP(SWARM_NAME)
#undef SWARM_NAME
};

uint32_t
dyn_swarm_count(void)
{
	return sizeof(fields) / sizeof(fields[0]);
}

const char *
dyn_swarm_name(uint32_t index)
{
	return fields[index].name;
}

uint32_t *
dyn_swarm_value(struct dyn_swarm *self, uint32_t index)
{
	return (uint32_t *) ((char *) self + fields[index].offset);
}

void
dyn_swarm_calm(struct dyn_swarm *self)
{
#define SWARM_CALM(name, calm) self->name = calm;
	DYN_SWARM_MAP(SWARM_CALM)
#undef SWARM_CALM
}

static uint32_t *
find(struct dyn_swarm *self, const char *name, size_t size)
{
	for (uint32_t i = 0; i < dyn_swarm_count(); i++)
		if (strlen(fields[i].name) == size &&
			memcmp(fields[i].name, name, size) == 0)
			return dyn_swarm_value(self, i);
	return NULL;
}

bool
dyn_swarm_set(struct dyn_swarm *self, const char *text, char *why,
			  uint32_t why_size)
{
	while (*text != 0)
	{
		size_t size = strcspn(text, "=,");
		uint32_t *field = find(self, text, size);
		char *end = (char *) text;

		if (field == NULL || text[size] != '=')
		{
			snprintf(why, why_size, "no parameter \"%.*s\"", (int) size, text);
			return false;
		}
		*field = (uint32_t) strtoul(text + size + 1, &end, 10);
		if (end == text + size + 1 || (*end != ',' && *end != 0))
		{
			snprintf(why, why_size, "not a number: \"%s\"", text);
			return false;
		}
		text = *end ? end + 1 : end;
	}
	if (dyn_swarm_is_sound(self))
		return true;
	snprintf(why, why_size, "there is no such cluster");
	return false;
}

void
dyn_swarm_print(const struct dyn_swarm *self, char *text, uint32_t size)
{
	struct dyn_swarm copy = *self;
	struct dyn_swarm calm;
	uint32_t used = 0;

	dyn_swarm_calm(&calm);
	text[0] = 0;
	for (uint32_t i = 0; i < dyn_swarm_count() && used < size; i++)
		if (*dyn_swarm_value(&copy, i) != *dyn_swarm_value(&calm, i))
			used += (uint32_t) snprintf(text + used, size - used, "%s%s=%u",
										used ? "," : "", fields[i].name,
										*dyn_swarm_value(&copy, i));
}

bool
dyn_swarm_is_sound(const struct dyn_swarm *self)
{
	uint32_t q = self->partition_count;

	return self->node_count >= 1 && self->node_count <= DYN_SIM_MEMBERS_MAX &&
		   self->n >= 1 && self->n <= self->node_count && self->n <= 5 &&
		   self->r >= 1 && self->r <= self->n && self->w >= 1 &&
		   self->w <= self->n && q >= 1 && q <= 4096 && (q & (q - 1)) == 0 &&
		   self->client_count < DYN_SIM_CLIENTS_MAX && self->key_count >= 1 &&
		   self->key_count <= DYN_SIM_KEYS_MAX && self->batch_max >= 1 &&
		   self->batch_max <= 16 &&
		   self->value_size_max <= DYN_SIM_VALUE_MAX - 64 &&
		   self->value_limit <= DYN_SIM_VALUE_MAX - 64 &&
		   self->delay_ms_min <= self->delay_ms_max &&
		   self->clock_slowest >= 100 &&
		   self->clock_slowest <= self->clock_fastest &&
		   self->clock_fastest <= 10000;
}
