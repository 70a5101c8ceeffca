/* Every input that fuzzing started from or found, and mutations of each. */
#include "fuzz/targets.h"

#include "prng.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum
{
	INPUT_SIZE_MAX = 65536,
	MUTATIONS = 5000 /* of each input */
};

typedef void (*target_function)(const uint8_t *data, size_t size);

/* The target sees memory of exactly this size, so that a sanitizer notices
 * the first byte beyond. */
static void
feed(target_function target, const uint8_t *bytes, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	assert_non_null(copy);
	memcpy(copy, bytes, size);
	target(copy, size);
	free(copy);
}

/* Bits flipped, bytes set, pieces cut out, doubled or cut off. */
static size_t
mutate(struct prng *prng, uint8_t *bytes, size_t size)
{
	for (uint32_t i = 1 + prng_below(prng, 4); i > 0 && size > 0; i--)
	{
		size_t at = prng_below(prng, (uint32_t) size);
		size_t count = 1 + prng_below(prng, 8);

		switch (prng_below(prng, 6))
		{
			case 0:
				bytes[at] ^= (uint8_t) (1 << prng_below(prng, 8));
				break;
			case 1:
				bytes[at] = (uint8_t) prng_next(prng);
				break;
			case 2:
				bytes[at] = "\x00\x01\x7f\x80\xff\x10"[prng_below(prng, 6)];
				break;
			case 3:
				if (at + count > size)
					break;
				memmove(bytes + at, bytes + at + count, size - at - count);
				size -= count;
				break;
			case 4:
				if (at + count > size || size + count > INPUT_SIZE_MAX)
					break;
				memmove(bytes + at + count, bytes + at, size - at);
				size += count;
				break;
			default:
				if (prng_below(prng, 8) == 0)
					size = at;
		}
	}
	return size;
}

static size_t
read_input(const char *directory, const char *name, uint8_t *bytes)
{
	char path[512];
	size_t size;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "rb");
	assert_non_null(file);
	size = fread(bytes, 1, INPUT_SIZE_MAX, file);
	fclose(file);
	return size;
}

static void
replay(target_function target, const char *name)
{
	static uint8_t input[INPUT_SIZE_MAX];
	static uint8_t mutated[INPUT_SIZE_MAX];
	struct prng prng = { 5 };
	char directory[256];
	struct dirent *entry;
	int count = 0;
	DIR *list;

	snprintf(directory, sizeof(directory), "tests/fuzz/corpus/%s", name);
	list = opendir(directory);
	assert_non_null(list);
	feed(target, input, 0);
	while ((entry = readdir(list)) != NULL)
	{
		size_t size;

		if (entry->d_name[0] == '.')
			continue;
		size = read_input(directory, entry->d_name, input);
		feed(target, input, size);
		for (int i = 0; i < MUTATIONS; i++)
		{
			memcpy(mutated, input, size);
			feed(target, mutated, mutate(&prng, mutated, size));
		}
		count++;
	}
	closedir(list);
	assert_true(count > 0);
}

#define TEST(name)                                                             \
	static void hostile_bytes_do_no_harm_to_##name(void **unused)              \
	{                                                                          \
		replay(fuzz_##name, #name);                                            \
	}
FUZZ_TARGET_MAP(TEST)
#undef TEST

int
main(void)
{
#define TEST(name) cmocka_unit_test(hostile_bytes_do_no_harm_to_##name),
	const struct CMUnitTest tests[] = { FUZZ_TARGET_MAP(TEST) };
#undef TEST

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
