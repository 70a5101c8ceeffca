/*-------------------------------------------------------------------------
 *
 * targets.h
 *      What is fed with bytes from strangers, and must hold whatever comes.
 *
 * Each target takes any bytes and ends the process when a property does not
 * hold.  `make fuzz` builds one libFuzzer program of each, with sanitizers;
 * tests/unit/test_fuzz_corpus.c feeds the committed corpus and mutations of it
 * to all of them in every `make check`.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TESTS_FUZZ_TARGETS_H
#define TESTS_FUZZ_TARGETS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* X(name): target_<name>.c defines fuzz_<name>, tests/fuzz/corpus/<name>/
 * holds its corpus. */
#define FUZZ_TARGET_MAP(X)                                                     \
	X(frame)                                                                   \
	X(message)                                                                 \
	X(object)                                                                  \
	X(sync)                                                                    \
	X(clock)                                                                   \
	X(clock_text)                                                              \
	X(ring)                                                                    \
	X(scan_merge)                                                              \
	X(node)

#define FUZZ_TARGET_DECLARE(name)                                              \
	void fuzz_##name(const uint8_t *data, size_t size);
FUZZ_TARGET_MAP(FUZZ_TARGET_DECLARE)
#undef FUZZ_TARGET_DECLARE

/* assert() that no build leaves out. */
#define FUZZ_REQUIRE(condition)                                                \
	do                                                                         \
	{                                                                          \
		if (!(condition))                                                      \
		{                                                                      \
			fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__,   \
					#condition);                                               \
			abort();                                                           \
		}                                                                      \
	} while (0)

#endif
