#include "ctl/ctl.h"

#include "io/clock.h"
#include "model/wall.h"

#include <stdio.h>
#include <stdlib.h>

bool
ctl_parse_number(const char *text, int min, int max, const char *name, int *out)
{
	char *end;
	long value;

	if (text == NULL)
		return true;
	value = strtol(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != 0 || value < min ||
		value > max)
	{
		fprintf(stderr, "dynctl: %s: \"%s\" is not a number from %d to %d\n",
				name, text, min, max);
		return false;
	}
	*out = (int) value;
	return true;
}

void
ctl_told_view(struct ctl *self, uint64_t view_ms)
{
	uint64_t now_ms = dyn_clock_ms(CLOCK_MONOTONIC);

	if (view_ms == 0 || (self->view_ms != 0 &&
						 self->view_ms + (now_ms - self->view_at_ms) < view_ms))
		return;
	self->view_ms = view_ms;
	self->view_at_ms = now_ms;
}

uint64_t
ctl_view_ms(const struct ctl *self)
{
	struct dyn_view view = dyn_view_begin(dyn_clock_ms(CLOCK_MONOTONIC),
										  dyn_clock_ms(CLOCK_REALTIME));

	dyn_view_add(&view,
				 &(struct dyn_told_view){ self->view_ms, self->view_at_ms });
	return dyn_view_end(&view);
}

void *
ctl_ask(struct ctl *self, struct dyn_client *client, enum dyn_message_type type,
		const ProtobufCMessage *body, enum dyn_message_type reply_type)
{
	void *reply = NULL;
	const char *text = "";
	enum dyn_status status =
		dyn_client_ask(client, (uint32_t) self->arguments.timeout_ms, type,
					   body, reply_type, &self->arena, &reply, &text);

	if (status == DYN_STATUS_OK)
		return reply;
	fprintf(stderr, "dynctl: %s: %s: %s\n", dyn_client_address(client),
			dyn_status_name(status), text);
	return NULL;
}

Dyn__Welcome *
ctl_hello(struct ctl *self, struct dyn_client *client)
{
	Dyn__Hello hello = DYN__HELLO__INIT;
	Dyn__Welcome *welcome;

	hello.version_min = hello.version_max = DYN_PROTOCOL_VERSION;
	hello.agent = "dynctl " DYN_VERSION;
	welcome = ctl_ask(self, client, DYN_MESSAGE_HELLO, &hello.base,
					  DYN_MESSAGE_WELCOME);
	/* Whoever answers may be anybody. */
	if (welcome == NULL || !welcome->formed || welcome->settings != NULL)
		return welcome;
	fprintf(stderr, "dynctl: %s: its welcome tells no settings\n",
			dyn_client_address(client));
	return NULL;
}

bool
ctl_ring(struct ctl *self, const Dyn__Welcome *welcome, struct dyn_ring *ring)
{
	if (!welcome->formed)
	{
		fprintf(stderr,
				"dynctl: %s is not part of a formed cluster yet: its founding "
				"nodes have not all met\n",
				welcome->address);
		return false;
	}
	if (dyn_ring_decode(dyn_slice_of_bytes(welcome->ring),
						&self->arena.allocator, ring) == DYN_STATUS_OK)
		return true;
	fprintf(stderr, "dynctl: %s sent a malformed ring\n", welcome->address);
	return false;
}

/* Length of the UTF-8 character here, 0 when it is none. */
static size_t
utf8_size(struct dyn_slice bytes, size_t at)
{
	uint8_t first = bytes.data[at];
	size_t size = first < 0x80   ? 1
				  : first < 0xc2 ? 0
				  : first < 0xe0 ? 2
				  : first < 0xf0 ? 3
				  : first < 0xf5 ? 4
								 : 0;

	if (size == 0 || at + size > bytes.size)
		return 0;
	for (size_t i = 1; i < size; i++)
		if ((bytes.data[at + i] & 0xc0) != 0x80)
			return 0;
	return size;
}

enum dyn_status
ctl_rows(const struct ctl *self, struct dyn_slice encoded,
		 struct dyn_arena *arena, struct dyn_object *object,
		 struct dyn_row **rows, uint32_t *count)
{
	enum dyn_status status =
		dyn_object_decode(encoded, &arena->allocator, object);

	if (status != DYN_STATUS_OK)
		return status;
	if (!self->arguments.replica)
		dyn_object_view(object, ctl_view_ms(self));
	return dyn_object_rows(object, &arena->allocator, rows, count);
}

void
ctl_print_json(struct dyn_slice bytes)
{
	putchar('"');
	for (size_t i = 0; i < bytes.size;)
	{
		size_t size = utf8_size(bytes, i);
		uint8_t c = bytes.data[i];

		if (size == 0 || c < 32 || c == 127)
		{
			printf("\\u%04x", c);
			i++;
			continue;
		}
		if (c == '"' || c == '\\')
			putchar('\\');
		fwrite(bytes.data + i, 1, size, stdout);
		i += size;
	}
	putchar('"');
}

void
ctl_print_value(struct dyn_slice bytes)
{
	bool printable = true;

	for (size_t i = 0; i < bytes.size && printable;)
	{
		size_t size = utf8_size(bytes, i);

		printable = size != 0 && bytes.data[i] >= 32 && bytes.data[i] != 127;
		i += size;
	}
	if (printable)
	{
		fwrite(bytes.data, 1, bytes.size, stdout);
		return;
	}
	printf("\\x");
	for (size_t i = 0; i < bytes.size; i++)
		printf("%02x", bytes.data[i]);
}
