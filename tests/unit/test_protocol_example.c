/* What dynnode/PROTOCOL.md says in numbers is what the code does. */
#include "model/arena.h"
#include "model/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct dyn_arena arena;

/* The bytes between the first pair of ``` lines. */
static struct dyn_slice
example_of_the_page(void)
{
	FILE *page = fopen("dynnode/PROTOCOL.md", "r");
	uint8_t *bytes = dyn_arena_allocate(&arena, 4096);
	size_t size = 0;
	char line[512];
	bool inside = false;

	assert_non_null(page);
	while (fgets(line, sizeof(line), page) != NULL)
	{
		if (strncmp(line, "```", 3) == 0)
		{
			if (inside)
				break;
			inside = true;
			continue;
		}
		for (char *at = line; inside && size < 4096;)
		{
			char *end;
			unsigned long byte = strtoul(at, &end, 16);

			if (end == at)
				break;
			bytes[size++] = (uint8_t) byte;
			at = end;
		}
	}
	fclose(page);
	return (struct dyn_slice){ bytes, size };
}

static void
the_example_of_the_page_is_what_the_code_sends(void **unused)
{
	Dyn__GetRequest request = DYN__GET_REQUEST__INIT;
	ProtobufCBinaryData key = dyn_bytes_of_slice(dyn_slice_of("alice"));
	struct dyn_envelope env = { .type = DYN_MESSAGE_GET,
								.remaining_ms = 5000,
								.correlation = 1 };
	struct dyn_slice example = example_of_the_page();
	struct dyn_slice frame;

	request.bucket = dyn_bytes_of_slice(dyn_slice_of("cart"));
	request.r = 2;
	request.n_keys = 1;
	request.keys = &key;
	assert_int_equal(
		dyn_message_pack(&env, &request.base, &arena.allocator, &frame),
		DYN_STATUS_OK);
	assert_int_equal(frame.size, example.size);
	assert_memory_equal(frame.data, example.data, frame.size);
	assert_int_equal(dyn_envelope_open(example, &env), DYN_STATUS_OK);
}

/* The whole page, with a NUL. */
static const char *
page_text(void)
{
	enum
	{
		SIZE = 65536
	};
	FILE *page = fopen("dynnode/PROTOCOL.md", "r");
	char *text = dyn_arena_allocate(&arena, SIZE);
	size_t size;

	assert_non_null(page);
	size = fread(text, 1, SIZE - 1, page);
	fclose(page);
	assert_true(size > 0 && size < SIZE - 1);
	text[size] = 0;
	return text;
}

static void
expect_line(const char *page, const char *line)
{
	if (strstr(page, line) == NULL)
		fail_msg("the page lacks: %s", line);
}

static void
the_page_lists_every_status(void **unused)
{
	const char *page = page_text();
	char line[256];

#define EXPECT(name, number, retryable, text)                                  \
	snprintf(line, sizeof(line), "\n| %d | %s | %s | %s |\n", number, #name,   \
			 retryable ? "yes" : "no", text);                                  \
	expect_line(page, line);
	DYN_STATUS_MAP(EXPECT)
#undef EXPECT
}

/* A request has a row of its own; an answer may stand in its request's. */
static void
the_page_lists_every_message(void **unused)
{
	const char *page = page_text();
	char row[128];
	char answer[128];

#define EXPECT(name, number, message)                                          \
	snprintf(row, sizeof(row), "\n| %d | %s `%s` |", number, #name, #message); \
	snprintf(answer, sizeof(answer), "| %d %s", number, #name);                \
	if (strstr(page, answer) == NULL)                                          \
		expect_line(page, row);
	DYN_MESSAGE_MAP(EXPECT)
#undef EXPECT
}

static void
the_page_tells_the_limits_of_the_code(void **unused)
{
	static const struct
	{
		const char *format;
		int limit;
	} limits[] = {
		{ "\n| key | %d bytes", DYN_KEY_SIZE_MAX },
		{ "\n| bucket | %d bytes", DYN_BUCKET_SIZE_MAX },
		{ "\n| value | %d bytes", DYN_VALUE_SIZE_DEFAULT },
		{ "never more than %d |", DYN_VALUE_SIZE_MAX },
		{ "\n| object after a client's put | %d bytes", DYN_OBJECT_SIZE_MAX },
		{ "\n| frame | %d bytes", DYN_FRAME_SIZE_MAX },
		{ "\n| operations in one request | %d |", DYN_BATCH_OPS_MAX },
		{ "\n| values in one put | %d (", DYN_VALUES_MAX },
		{ "a client's put | %d (else SIBLINGS) |", DYN_SIBLINGS_MAX },
		{ "\n| entries of a client's context | %d |", DYN_CLOCK_ENTRIES_MAX },
		{ "\n| members of a cluster | %d |", DYN_MEMBERS_MAX },
		{ "\n| partitions | %d, a power of two |", DYN_PARTITIONS_MAX },
		{ "\n| replicas of a key (n) | %d |", DYN_REPLICAS_MAX },
		{ "a header of %d bytes", DYN_ENVELOPE_SIZE },
		{ "version of the protocol: %d |", DYN_PROTOCOL_VERSION },
	};
	const char *page = page_text();

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
	{
		char line[128];

		snprintf(line, sizeof(line), limits[i].format, limits[i].limit);
		expect_line(page, line);
	}
}

static int
set_up(void **unused)
{
	dyn_arena_init(&arena, dyn_allocator_malloc(), 0);
	return 0;
}

static int
tear_down(void **unused)
{
	dyn_arena_destroy(&arena);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_example_of_the_page_is_what_the_code_sends),
		cmocka_unit_test(the_page_lists_every_status),
		cmocka_unit_test(the_page_lists_every_message),
		cmocka_unit_test(the_page_tells_the_limits_of_the_code),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
