/*-------------------------------------------------------------------------
 *
 * number.h
 *      Numbers in the node's own records (DYN_TABLE_META): 8 bytes, the
 *      least one first, whatever the machine.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_NUMBER_H
#define DYN_CORE_NUMBER_H

#include <stdint.h>

static inline void
dyn_put_u64(uint8_t *p, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t) (value >> (8 * i));
}

static inline uint64_t
dyn_get_u64(const uint8_t *p)
{
	uint64_t value = 0;

	for (int i = 7; i >= 0; i--)
		value = value << 8 | p[i];
	return value;
}

#endif
