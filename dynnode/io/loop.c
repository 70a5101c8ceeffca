/*
 * The turns of dynnode: what transport.c and the store have for the core
 * becomes a step of it (core/node.h), and the effects of the step go back to
 * them.  dynnode.c puts the three together.
 */
#include "io/loop.h"

#include <poll.h>
#include <stdio.h>

#include "io/clock.h"

enum
{
	WAIT_MAX_MS = 60000,
	DISPATCH_MS = 50,
	REPORT_MS = 60000
};

uint64_t
dyn_loop_now_ms(void)
{
	/* Clients say until when a put may act by this clock, and have left it when
	 * the machine wakes: time in which it was suspended must count. */
	return dyn_clock_ms(CLOCK_BOOTTIME);
}

uint64_t
dyn_loop_wall_ms(void)
{
	return dyn_clock_ms(CLOCK_REALTIME);
}

static void
fail(struct dyn_loop *self, const char *text, size_t size)
{
	if (!self->failed)
		snprintf(self->reason, sizeof(self->reason), "%.*s", (int) size, text);
	self->failed = true;
}

void
dyn_loop_perform(struct dyn_loop *self)
{
	for (uint32_t i = 0; i < self->effects.count; i++)
	{
		const struct dyn_effect *effect = &self->effects.items[i];

		switch (effect->type)
		{
			case DYN_EFFECT_SEND:
			case DYN_EFFECT_REPLY:
			case DYN_EFFECT_CONNECT:
				dyn_transport_perform(self->transport, effect);
				break;
			case DYN_EFFECT_STORE:
			case DYN_EFFECT_LOAD:
			case DYN_EFFECT_SCAN:
			case DYN_EFFECT_TREE:
				self->store->ops->submit(self->store, effect);
				self->submitted = true;
				break;
			case DYN_EFFECT_LOG:
				self->log(effect->log.level,
						  (const char *) effect->log.text.data,
						  effect->log.text.size);
				break;
			case DYN_EFFECT_FATAL:
				fail(self, (const char *) effect->fatal.text.data,
					 effect->fatal.text.size);
				break;
		}
	}
	dyn_effects_reset(&self->effects);
}

void
dyn_loop_deliver(void *context, const struct dyn_event *event)
{
	struct dyn_loop *self = context;
	struct dyn_event stamped = *event;

	stamped.wall_ms = dyn_loop_wall_ms();
	dyn_node_step(self->node, &stamped, dyn_loop_now_ms(), &self->effects);
	dyn_loop_perform(self);
}

/* Completions may lead to new loads, which are complete at once: go on until
 * nothing new was asked, but not while others wait for long: what is left
 * wakes the loop again. */
static void
dispatch(struct dyn_loop *self)
{
	const char *reason = NULL;
	uint64_t until_ms = dyn_loop_now_ms() + DISPATCH_MS;

	do
	{
		self->submitted = false;
		if (!self->store->ops->dispatch(self->store, &reason))
		{
			char text[256];
			int size = snprintf(text, sizeof(text), "the store failed: %s",
								reason ? reason : "unknown reason");

			fail(self, text, (size_t) size);
			return;
		}
	} while (self->submitted && !self->failed && dyn_loop_now_ms() < until_ms);
}

static long
timeout_ms(const struct dyn_loop *self)
{
	uint64_t deadline = dyn_node_deadline(self->node);
	uint64_t now = dyn_loop_now_ms();

	if (deadline <= now)
		return 0;
	return deadline - now < WAIT_MAX_MS ? (long) (deadline - now) : WAIT_MAX_MS;
}

/* What the transport dropped is no event for the core: say it here, but not
 * for each frame. */
static void
report_drops(struct dyn_loop *self)
{
	const struct dyn_transport_counters *seen =
		dyn_transport_counters(self->transport);
	uint64_t now = dyn_loop_now_ms();
	char text[160];
	int size;

	if (now - self->reported_at_ms < REPORT_MS ||
		(seen->dropped == self->reported.dropped &&
		 seen->malformed == self->reported.malformed))
		return;
	size = snprintf(
		text, sizeof(text),
		"%llu frames found no room or nobody to take them, %llu "
		"were malformed, since the last line like this",
		(unsigned long long) (seen->dropped - self->reported.dropped),
		(unsigned long long) (seen->malformed - self->reported.malformed));
	self->log(DYN_LOG_WARNING, text, (size_t) size);
	self->reported = *seen;
	self->reported_at_ms = now;
}

static bool
is_readable(int descriptor)
{
	struct pollfd item = { .fd = descriptor, .events = POLLIN };

	return descriptor >= 0 && poll(&item, 1, 0) > 0;
}

bool
dyn_loop_run(struct dyn_loop *self)
{
	int descriptors[2] = { self->store->ops->wakeup_fd(self->store),
						   self->signal_fd };

	while (!self->failed)
	{
		dyn_transport_wait(self->transport, descriptors, 2, timeout_ms(self));
		if (is_readable(self->signal_fd))
			break;
		dyn_transport_drain(self->transport);
		if (!self->failed)
			dispatch(self);
		if (!self->failed && dyn_node_deadline(self->node) <= dyn_loop_now_ms())
			dyn_loop_deliver(self,
							 &(struct dyn_event){ .type = DYN_EVENT_TICK });
		report_drops(self);
	}
	return !self->failed;
}
