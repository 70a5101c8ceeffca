#include "core/text.h"

#include <string.h>

void
dyn_text_set(struct dyn_text *self, const char *text)
{
	self->size = 0;
	self->bytes[0] = 0;
	dyn_text_add(self, text);
}

void
dyn_text_add(struct dyn_text *self, const char *text)
{
	size_t room = sizeof(self->bytes) - 1 - self->size;
	size_t size = strlen(text);

	if (size > room)
		size = room;
	memcpy(self->bytes + self->size, text, size);
	self->size += size;
	self->bytes[self->size] = 0;
}

void
dyn_text_add_number(struct dyn_text *self, uint64_t number)
{
	char digits[21];
	char *p = digits + sizeof(digits) - 1;

	*p = 0;
	do
		*--p = (char) ('0' + number % 10);
	while ((number /= 10) != 0);
	dyn_text_add(self, p);
}

void
dyn_text_copy(char *to, size_t size, const char *from)
{
	size_t length = strlen(from);

	if (length >= size)
		length = size - 1;
	memset(to, 0, size);
	memcpy(to, from, length);
}
