/* The example in dynnode/PROTOCOL.md is the frame that the code makes. */
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
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
