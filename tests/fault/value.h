/*-------------------------------------------------------------------------
 *
 * value.h
 *      What is written under faults: keys, and values that tell who made them.
 *
 * Every write has a name, the number of its client and a count, and its value
 * is "k0017 c3.45 12 stuvwxyzabcd": key, write, and so many letters that
 * follow from the count.  A value that was cut, mixed or made up is known by
 * that, without a table of what was written.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_FAULT_VALUE_H
#define DYN_TESTS_FAULT_VALUE_H

#include "model/types.h"

#define DYN_FAULT_BUCKET "fault"

enum
{
	DYN_FAULT_KEYS_MAX = 10000,
	DYN_FAULT_KEY_SIZE = 5,
	DYN_FAULT_VALUE_SIZE_MAX = 64 * 1024
};

/* A write, by the client that made it. */
struct dyn_token
{
	uint32_t client;
	uint32_t count;
};

/* "k0017" and a NUL; 0 <= key < DYN_FAULT_KEYS_MAX. */
struct dyn_slice dyn_fault_key(uint32_t key, char out[16]);

/* fill letters behind the head; out holds DYN_FAULT_VALUE_SIZE_MAX. */
struct dyn_slice dyn_fault_value(uint32_t key, struct dyn_token token,
								 uint32_t fill, char *out);

/* Is this exactly a value of this key?  Whose? */
bool dyn_fault_value_parse(struct dyn_slice value, uint32_t key,
						   struct dyn_token *token);

#endif
